"""What commands share: how options are read, tables are laid out, and results are written as JSON."""

from __future__ import annotations

import enum
import json
import math
import re
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import typer

_POWER = re.compile(r"([0-9]+)(?:\^([0-9]+))?")

_MOST_DIGITS = 10_000

_MOST_READ = 4000  # digits of a number that is written out, which Python limits


# Reading ---------------------------------------------------------------------------------------------------------


def whole(text: str) -> int:
    """Read a whole number, also as a power: "4^600".

    Examples
    --------
    >>> whole("4^3")
    64
    """
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


def whole_numbers(text: str, option: str) -> tuple[int, ...]:
    """Read whole numbers separated by commas.

    Examples
    --------
    >>> whole_numbers("2,3", "--windows")
    (2, 3)
    """
    try:
        return tuple(int(part) for part in text.split(","))
    except ValueError:
        raise ValueError(f"{option} is {text!r}: give whole numbers separated by commas, such as 2,3,4") from None


class Written(Fraction):
    """A number exactly as it was written: 0.1 is 1/10, and is printed as 0.1 again."""

    text: str

    def __new__(cls, text: str) -> Written:
        """Read a text, as `bounds.symbols.exact` does: "1/3", "0.05" or "1e-9"."""
        from bounds.symbols import exact

        self = super().__new__(cls, exact(text))
        self.text = text
        return self

    def __str__(self) -> str:
        """Return what was written."""
        return self.text


def rational(text: str) -> Written:
    """Read a number exactly, as bounds take them: "1/3", "0.05" or "1e-9".

    Examples
    --------
    >>> rational("0.1") * 3 == 3 * Fraction(1, 10), str(rational("0.10"))
    (True, '0.10')
    """
    try:
        return Written(str(text))
    except ValueError:
        raise typer.BadParameter(f"{str(text)[:40]!r} is not a number; write 0.05 or 1/3") from None


def number(text: str) -> float:
    """Read a number as the nearest float: what `rational` reads, or inf and nan, which whoever asked refuses by name.

    Examples
    --------
    >>> number("1/4"), number("1e-3"), number("inf")
    (0.25, 0.001, inf)
    """
    text = str(text)  # defaults come as numbers
    try:
        return float(text)
    except ValueError:
        try:
            return float(rational(text))
        except OverflowError:
            raise typer.BadParameter(f"{text[:40]!r} is beyond the range of floats; write 0.05 or 1/3") from None


# Writing ---------------------------------------------------------------------------------------------------------


def table(heading: list[str], rows: list[list[str]]) -> str:
    """Return aligned text, the first column to the left, the others to the right.

    Examples
    --------
    >>> print(table(["window", "2"], [["m", "30,506"]]))
    window       2
    --------------
    m       30,506
    """
    widths = [max(len(row[i]) for row in (heading, *rows)) for i in range(len(heading))]
    lines = []
    for row in (heading, *rows):
        cells = [row[0].ljust(widths[0]), *(cell.rjust(width) for cell, width in zip(row[1:], widths[1:], strict=True))]
        lines.append("  ".join(cells).rstrip())
    lines.insert(1, "-" * max(len(line) for line in lines))
    return "\n".join(lines)


def as_json(result: Any, indent: int | None = None) -> str:
    """Return a result as one JSON object; what is not a finite number is null.

    Parameters
    ----------
    result : dataclass, mapping, sequence, array, number, text or None
        And whatever these hold: dataclasses become objects by field, arrays lists.
    indent : int, optional
        Spaces of each level; by default all is on one line.

    Examples
    --------
    >>> import numpy as np
    >>> as_json({"value": np.array([0.5, np.nan]), "window": np.int64(2)})
    '{"value": [0.5, null], "window": 2}'
    """
    return json.dumps(_plain(result), indent=indent, allow_nan=False)


def _plain(value: Any) -> Any:
    """Return what JSON can hold."""
    if is_dataclass(value) and not isinstance(value, type):
        return {field.name: _plain(getattr(value, field.name)) for field in fields(value)}
    if isinstance(value, Mapping):
        return {str(key): _plain(part) for key, part in value.items()}
    if hasattr(value, "tolist"):  # arrays and numbers of NumPy, which is not imported for --help
        return _plain(value.tolist())
    if isinstance(value, list | tuple):
        return [_plain(part) for part in value]
    if isinstance(value, enum.Enum):
        return _plain(value.value)
    if isinstance(value, Path | Fraction):
        return str(value)
    return None if isinstance(value, float) and not math.isfinite(value) else value


STORE = typer.Option(help="The store, a SQLite file.")

AS_JSON = typer.Option("--json", help="Print one JSON object.")
