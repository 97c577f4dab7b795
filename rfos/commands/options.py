"""What commands share: how options are read and tables are laid out."""

from __future__ import annotations

import math
import re

import typer

_POWER = re.compile(r"([0-9]+)(?:\^([0-9]+))?")

_MOST_DIGITS = 10_000

_MOST_READ = 4000  # digits of a number that is written out, which Python limits


def whole(text: str) -> int:
    """Read a whole number, also as a power: "4^600"."""
    text = str(text)  # defaults come as numbers
    if re.fullmatch("-[0-9]+", text):
        raise typer.BadParameter(f"{text[:40]!r} is negative; a whole number from 0 on is needed")
    found = _POWER.fullmatch(text)
    if found is None:
        raise typer.BadParameter(f"{text[:40]!r} is not a whole number; write 64 or 4^3")
    digits, exponent = (part.lstrip("0") or "0" for part in (found.group(1), found.group(2) or "1"))
    if len(digits) > _MOST_READ:
        raise typer.BadParameter(f"{text[:40]!r} is too large; at most {_MOST_READ} digits are read, or a power")
    base = int(digits)
    if base > 1 and (len(exponent) > 5 or int(exponent) * math.log10(base) >= _MOST_DIGITS):
        raise typer.BadParameter(f"{text[:40]!r} is too large; it has more than {_MOST_DIGITS} digits")
    return int(base ** int(exponent)) if base > 1 else base if exponent != "0" else 1


def table(heading: list[str], rows: list[list[str]]) -> str:
    """Return aligned text, the first column to the left, the others to the right."""
    widths = [max(len(row[i]) for row in (heading, *rows)) for i in range(len(heading))]
    lines = []
    for row in (heading, *rows):
        cells = [row[0].ljust(widths[0]), *(cell.rjust(width) for cell, width in zip(row[1:], widths[1:], strict=True))]
        lines.append("  ".join(cells).rstrip())
    lines.insert(1, "-" * max(len(line) for line in lines))
    return "\n".join(lines)


def number(text: str) -> float:
    """Read a number."""
    try:
        return float(text)
    except ValueError:
        raise typer.BadParameter(f"{text!r} is not a number") from None


def whole_numbers(text: str, option: str) -> tuple[int, ...]:
    """Read whole numbers separated by commas."""
    try:
        return tuple(int(part) for part in text.split(","))
    except ValueError:
        raise ValueError(f"{option} is {text!r}: give whole numbers separated by commas, such as 2,3,4") from None


STORE = typer.Option(help="The store, a SQLite file.")

AS_JSON = typer.Option("--json", help="Print one JSON object.")
