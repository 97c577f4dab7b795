"""The tables of a problem file: which rows an entry T, O or R writes, and with what."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from rfos._system import checks
from rfos._system.arrays import Float, Int
from rfos._system.memory import require_memory
from rfos.teams.words import RESERVED, Section, Word, is_number, is_whole

FILE_ROW_TOL = 1e-5
"""How far a row of a file may sum from 1: files are written with few digits. Rows are divided by their sums."""


@dataclass(frozen=True, eq=False)
class Sizes:
    """What a file says before its tables."""

    file: str
    states: tuple[str, ...]
    actions: tuple[tuple[str, ...], ...]
    observations: tuple[tuple[str, ...], ...]

    @cached_property
    def n_actions(self) -> tuple[int, ...]:
        """Of each agent."""
        return tuple(map(len, self.actions))

    @cached_property
    def n_observations(self) -> tuple[int, ...]:
        """Of each agent."""
        return tuple(map(len, self.observations))

    @cached_property
    def numbers(self) -> Mapping[str, int]:
        """The number of each state."""
        return _numbered(self.states)

    @cached_property
    def action_numbers(self) -> tuple[Mapping[str, int], ...]:
        """The number of each agent's actions."""
        return tuple(map(_numbered, self.actions))

    @cached_property
    def observation_numbers(self) -> tuple[Mapping[str, int], ...]:
        """The number of each agent's observations."""
        return tuple(map(_numbered, self.observations))


def _numbered(names: tuple[str, ...]) -> Mapping[str, int]:
    return {name: i for i, name in enumerate(names)}


def picked(section: Section, word: Word, names: Mapping[str, int], what: str) -> Int:
    """Return the numbers that a name, a number or a wildcard means."""
    if word.text == "*":
        return np.arange(len(names))
    if word.text in names:
        return np.array([names[word.text]])
    if is_whole(word.text) and int(word.text) < len(names):
        return np.array([int(word.text)])
    first = list(itertools.islice(names, 8))
    shown = ", ".join(first) + (", ..." if len(names) > 8 else "")
    says = f"is not one of the {what}: give *, a number below {len(names)}, or one of {shown[:200]}"
    raise section.error(f"{checks.shown(word.text)} {says}", word)


def _joint(section: Section, words: list[Word], names: tuple[Mapping[str, int], ...], what: str) -> Int:
    """Return the joint numbers that words for each agent mean; one word is a wildcard or a joint number."""
    sizes = tuple(map(len, names))
    if len(names) > 1 and len(words) == 1:
        joint = math.prod(sizes)
        text = words[0].text
        if text == "*":
            return np.arange(joint)
        if is_whole(text) and int(text) < joint:
            return np.array([int(text)])
    if len(words) != len(names):
        section.wrong(
            f"{len(words)} words for the joint {what} of {len(names)} agents: give one for each, or *",
            words[0] if words else None,
        )
    own = [
        picked(section, word, own_names, f"{what}s of agent {agent + 1}")
        for agent, (word, own_names) in enumerate(zip(words, names, strict=True))
    ]
    return np.arange(math.prod(sizes)).reshape(sizes)[np.ix_(*own)].reshape(-1)


def _is_fraction(text: str) -> bool:
    return is_number(text) and not is_whole(text)


def _fields(section: Section, widths: tuple[int, ...], least: int) -> tuple[list[list[Word]], list[Word]]:
    """Return the words between the colons, a list for each axis that is given, and the numbers that follow.

    `widths` has the most words of each axis. Colons may be left out before the numbers.
    """
    fields: list[list[Word]] = [[]]
    last = section.line
    for word in section.words():
        if word.text == ":":
            last = word.line
            fields.append([])
        else:
            fields[-1].append(word)
    if len(fields) > len(widths) + 1:
        section.wrong(f"{section.keyword} has {len(fields)} parts: give {len(widths)} and a number at most")
    heads, tail = fields[:-1], fields[-1]
    numbers = len(heads) == len(widths) or (
        len(heads) >= least
        and (not tail or tail[0].line > last or tail[0].text in RESERVED[:3] or _is_fraction(tail[0].text))
    )
    if not numbers:
        width = widths[len(heads)]
        line = tail[0].line if tail else 0
        # Of a joint action all words on its line: of one agent's, or a state, exactly one.
        end = 1 if width == 1 else max(1, sum(word.line == line for word in tail[:width]))
        heads, tail = [*heads, tail[:end]], tail[end:]
        if width > 1 and tail and tail[0].line == line and len(heads) < len(widths):
            section.wrong(f"{checks.shown(tail[0].text)} stands where a colon or a new line is expected", tail[0])
    for i, head in enumerate(heads):
        if not head or len(head) > widths[i]:
            section.wrong(f"part {i + 1} of {section.keyword} has {len(head)} words: give {widths[i]}, or *")
    if len(heads) < least:
        section.wrong(f"{section.keyword} has {len(heads)} parts before its numbers: give {least} at least")
    return heads, tail


def _values(section: Section, body: list[Word], shape: tuple[int, ...], start: Float) -> Float:
    """Return the numbers of an entry: one, a row or a matrix, or a word for them."""
    low, high = (-math.inf, math.inf) if section.keyword == "R" else (0.0, 1.0)
    count = math.prod(shape)
    word = body[0].text if len(body) == 1 and shape else ""
    if section.keyword != "R" and word == "uniform":
        return np.full(shape, 1 / shape[-1])
    if section.keyword == "T" and word == "identity" and len(shape) == 2:
        return np.eye(shape[0])
    if section.keyword == "T" and word == "reset":
        return np.broadcast_to(start, shape)
    if len(body) != count:
        section.wrong(f"{section.keyword} has {len(body)} numbers here: give {count}", body[0] if body else None)
    what = "a reward" if section.keyword == "R" else "a probability"
    return np.array([section.number(word, what, low, high) for word in body]).reshape(shape)


def require(file: str, shape: tuple[int, int, int], needed: int) -> None:
    """Raise MemoryError unless the tables of so many states, joint actions and joint observations fit this machine."""
    n, a, o = map(checks.shown, shape)
    what = f"{file}: a problem of {n} states, {a} joint actions and {o} joint observations"
    require_memory(needed, what, "give a smaller one")


class Tables:
    """T, O and R while they are filled, and the line that wrote each row last."""

    def __init__(self, sizes: Sizes, entries: list[Section], start: Float) -> None:
        """Take the entries apart and make room for what they say, if it fits."""
        self.sizes, self.start = sizes, start
        n, a, o = len(sizes.states), math.prod(sizes.n_actions), math.prod(sizes.n_observations)
        self.shape = (n, a, o)
        agents = len(sizes.actions)
        self.heads = {"T": (agents, 1, 1), "O": (agents, 1, agents), "R": (agents, 1, 1, agents)}
        self.parts = {id(s): _fields(s, self.heads[s.keyword], 2 if s.keyword == "R" else 1) for s in entries}
        rewards = [self.parts[id(s)][0] for s in entries if s.keyword == "R"]
        # R is kept by next state and by observation only where the file tells them apart.
        every = [[len(heads) > i and {w.text for w in heads[i]} == {"*"} for heads in rewards] for i in (2, 3)]
        wide = (n if not all(every[0]) else 1, o if not all(every[1]) else 1)
        needed = 8 * a * n * (4 * n + 4 * o + 3 * math.prod(wide) + 4)
        require(sizes.file, (n, a, o), needed)
        self.T, self.O, self.R = np.zeros((a, n, n)), np.zeros((a, n, o)), np.zeros((a, n, *wide))
        self.lines = {"T": np.zeros((a, n), np.int64), "O": np.zeros((a, n), np.int64)}

    def fill(self, section: Section) -> None:
        """Write one entry; a later one overrides."""
        heads, body = self.parts[id(section)]
        n, _, o = self.shape
        all_shapes = {"T": (n, n), "O": (n, o), "R": (n, n, o)}
        shape = all_shapes[section.keyword][len(heads) - 1 :]
        places = [_joint(section, heads[0], self.sizes.action_numbers, "action")]
        for i, words in enumerate(heads[1:], start=1):
            if (section.keyword, i) in (("O", 2), ("R", 3)):
                places.append(_joint(section, words, self.sizes.observation_numbers, "observation"))
            else:
                places.append(picked(section, words[0], self.sizes.numbers, "states"))
        values = _values(section, body, shape, self.start)
        table = {"T": self.T, "O": self.O, "R": self.R}[section.keyword]
        given = len(places)
        places += [np.arange(size) for size in shape]
        # An axis that the file does not tell apart has one place.
        where = [np.zeros(1, np.int64) if size == 1 else one for one, size in zip(places, table.shape, strict=True)]
        table[np.ix_(*where)] = values.reshape((1,) * given + shape)
        if section.keyword in self.lines:
            rows = places[1] if given > 1 else np.arange(n)
            self.lines[section.keyword][np.ix_(places[0], rows)] = section.line

    def check(self, keyword: str, table: Float, last: int) -> None:
        """Raise ValueError unless each row of T or O sums to 1, then divide it by its sum."""
        sums = table.sum(axis=2)
        wrong = np.abs(sums - 1) > FILE_ROW_TOL
        if wrong.any():
            action, state = np.argwhere(wrong)[0].tolist()
            parts = np.unravel_index(action, self.sizes.n_actions)
            named = " ".join(own[int(part)] for own, part in zip(self.sizes.actions, parts, strict=True))
            line = int(self.lines[keyword][action, state])
            where = f"action {checks.shown(named)} and {'next ' * (keyword == 'O')}state {self.sizes.states[state]}"
            says = f"sums to {sums[action, state]:.6g}, not 1: mend it" if line else "is not given: add it"
            raise ValueError(f"{self.sizes.file}:{line or last}: the row of {keyword} for {where[:200]} {says}")
        table /= sums[:, :, None]
