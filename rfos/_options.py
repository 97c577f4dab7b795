"""What commands share: how options are read and tables are laid out."""

from __future__ import annotations

import re

import typer

_POWER = re.compile(r"([0-9]{1,4000})(?:\^([0-9]{1,5}))?")
_MOST_DIGITS = 10_000


def whole(text: str) -> int:
    """Read a whole number, also as a power: "4^600"."""
    text = str(text)  # defaults come as numbers
    found = _POWER.fullmatch(text)
    if found is None:
        raise typer.BadParameter(f"{text[:40]!r} is no whole number; write 64 or 4^3")
    base, power = found.group(1), int(found.group(2) or 1)
    if len(base) * power > _MOST_DIGITS:
        raise typer.BadParameter(f"{text[:40]!r} has more than {_MOST_DIGITS} digits")
    return int(int(base) ** power)


def table(heading: list[str], rows: list[list[str]]) -> str:
    """Return aligned text, the first column to the left, the others to the right."""
    widths = [max(len(row[i]) for row in (heading, *rows)) for i in range(len(heading))]
    lines = []
    for row in (heading, *rows):
        cells = [row[0].ljust(widths[0]), *(cell.rjust(width) for cell, width in zip(row[1:], widths[1:], strict=True))]
        lines.append("  ".join(cells).rstrip())
    lines.insert(1, "-" * max(len(line) for line in lines))
    return "\n".join(lines)
