"""The words of a problem file, each with its line, in sections that begin with a keyword and a colon."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple, NoReturn

from rfos._system import checks

PREAMBLE = ("agents", "discount", "values", "states", "start", "actions", "observations")
"""Sections that each file has once at most."""

TABLES = ("T", "O", "R")
"""Sections that fill the tables; later ones override."""

RESERVED = ("uniform", "identity", "reset", "include", "exclude", "*")
"""Words that are no names."""

_WORD = re.compile(r"[^\s:]+|:")

_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d{1,4})?", re.ASCII)


class Word(NamedTuple):
    """A word or a colon, and the line on which it stands."""

    text: str
    line: int


@dataclass(frozen=True)
class Section:
    """A keyword and what follows it until the next one, by lines.

    Attributes
    ----------
    file : str
        As messages call it.
    keyword : str
        One of `PREAMBLE` or `TABLES`; "start include" and "start exclude" are "start" too.
    line : int
    lines : tuple of (int, str)
        Numbers and text of its lines, the first one without keyword and colon.
    """

    file: str
    keyword: str
    line: int
    lines: tuple[tuple[int, str], ...]

    def words(self) -> list[Word]:
        """Return all words and colons."""
        return [Word(text, number) for number, line in self.lines for text in _WORD.findall(line)]

    def rows(self) -> list[list[Word]]:
        """Return the words line by line, lines without words left out."""
        rows = ([Word(text, number) for text in _WORD.findall(line)] for number, line in self.lines)
        return [row for row in rows if row]

    def error(self, says: str, at: Word | None = None) -> ValueError:
        """Return the error of one line with the file, the line and what is wrong."""
        return ValueError(f"{self.file}:{at.line if at else self.line}: {says}")

    def wrong(self, says: str, at: Word | None = None) -> NoReturn:
        """Raise `error`."""
        raise self.error(says, at)

    def number(self, word: Word, what: str, low: float = -math.inf, high: float = math.inf) -> float:
        """Return a finite number within a range, or raise ValueError."""
        value = float(word.text) if _NUMBER.fullmatch(word.text) else math.nan
        if not (low <= value <= high and math.isfinite(value)):
            ends = "a finite number" if math.isinf(low) else f"a number from {low:g} to {high:g}"
            self.wrong(f"{what} is {checks.shown(word.text)}: give {ends}", word)
        return value

    def one(self) -> Word:
        """Return the only word, or raise ValueError."""
        words = self.words()
        if len(words) != 1:
            self.wrong(f"{self.keyword} has {len(words)} words: give one after the colon")
        return words[0]


def is_whole(text: str) -> bool:
    """Return whether a word is a whole number of at most nine digits.

    Examples
    --------
    >>> is_whole("12"), is_whole("-1"), is_whole("1.0"), is_whole("9" * 10)
    (True, False, False, False)
    """
    return text.isascii() and text.isdigit() and len(text) <= 9


def is_number(text: str) -> bool:
    """Return whether a word is a number.

    Examples
    --------
    >>> is_number("-1.5e3"), is_number(".5"), is_number("nan"), is_number("1_0")
    (True, True, False, False)
    """
    return _NUMBER.fullmatch(text) is not None


def _keyword(words: list[str]) -> tuple[str, int] | None:
    """Return the keyword that a line begins with, and how many words and colons it takes."""
    if len(words) > 2 and words[0] == "start" and words[1] in ("include", "exclude") and words[2] == ":":
        return f"start {words[1]}", 3
    if len(words) > 1 and words[1] == ":" and words[0] != ":":
        return words[0], 2
    return None


def sections(file: str, text: str) -> Iterator[Section]:
    """Yield the sections of a file; comments begin with # and end with the line.

    Raises
    ------
    ValueError
        If a line before the first section has no keyword, or an unknown one has a colon.

    Examples
    --------
    >>> [(s.keyword, s.line, [w.text for w in s.words()]) for s in sections("f", "states: a # b\\n\\nT: *\\nuniform")]
    [('states', 1, ['a']), ('T', 3, ['*', 'uniform'])]
    """
    known = (*PREAMBLE, *TABLES)
    keyword, first, lines = "", 0, [(0, "")]
    for number, raw in enumerate(text.split("\n"), start=1):
        line = raw.partition("#")[0]
        words = _WORD.findall(line[:400])
        if not words:
            continue
        begins = _keyword(words)
        if begins is not None and begins[0].partition(" ")[0] not in known:
            says = f"unknown word {checks.shown(begins[0])} before a colon: give one of {', '.join(known)}"
            raise ValueError(f"{file}:{number}: {says}")
        if begins is None and not keyword:
            says = f"{checks.shown(words[0])} comes before any keyword: give one of {', '.join(known)} and a colon"
            raise ValueError(f"{file}:{number}: {says}")
        if begins is None:
            lines.append((number, line))
            continue
        if keyword:
            yield Section(file, keyword, first, tuple(lines))
        keyword, first = begins[0], number
        lines = [(number, line.split(":", 1)[1])]
    if keyword:
        yield Section(file, keyword, first, tuple(lines))
