"""What a result may be: checks of its values, for cells that are measured and for rows that are read from a store.

A result is a dictionary of plain JSON values. `Measure.check` has one of these for each of its names.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from fractions import Fraction
from types import MappingProxyType
from typing import Any

from rfos.learning.theorems import TheoremName
from rfos.learning.trace import Progress

LARGEST_COUNT = 10**18
"""Largest whole number in a spec or a result, the seed apart: no run has so many steps."""

LARGEST_NUMBER = 1e300
"""Largest number in a result."""

LONGEST_WORDS = 1000
"""Most characters of a text in a result."""

Check = Callable[[Any], bool]

Result = dict[str, Any]


def count(low: int, high: float = LARGEST_COUNT) -> Check:
    """Return a check that a value is a whole number between these ends.

    Examples
    --------
    >>> [count(1)(value) for value in (1, 0, 2.0, True)]
    [True, False, False, False]
    """
    return lambda value: isinstance(value, int) and not isinstance(value, bool) and low <= value <= high


def number(low: float = -LARGEST_NUMBER, high: float = LARGEST_NUMBER) -> Check:
    """Return a check that a value is a number between these ends, and not NaN."""
    return lambda value: isinstance(value, int | float) and not isinstance(value, bool) and low <= value <= high


def flag(value: Any) -> bool:
    """Return whether a value is true or false."""
    return isinstance(value, bool)


def words(value: Any) -> bool:
    """Return whether a value is a text on one line."""
    return isinstance(value, str) and len(value) <= LONGEST_WORDS and value.isprintable()


def or_none(check: Check) -> Check:
    """Return a check that lets None pass too."""
    return lambda value: value is None or check(value)


def progress(value: Any) -> bool:
    """Return whether a value says how far a run came."""
    return isinstance(value, str) and value in list(Progress)


def theorem(value: Any) -> bool:
    """Return whether a value is the name of a theorem."""
    return isinstance(value, str) and value in list(TheoremName)


def reward_range(value: Any) -> bool:
    """Return whether a value is the range of rewards as it is written: a fraction of whole numbers, as text."""
    if not isinstance(value, str) or not re.fullmatch(r"[0-9]{1,700}(/[1-9][0-9]{0,700})?", value):
        return False
    return str(Fraction(value)) == value and Fraction(value) <= Fraction(LARGEST_NUMBER)


def curve(value: Any) -> bool:
    """Return whether a value is a learning curve: bins that follow each other, each with a reward and known pairs."""
    kinds = {"steps": count(1), "reward": number(), "known": count(0)}
    if not isinstance(value, dict) or value.keys() != kinds.keys():
        return False
    lists = list(value.values())
    if not all(isinstance(entry, list) for entry in lists) or len({len(entry) for entry in lists}) != 1 or not lists[0]:
        return False
    if not all(check(entry) for name, check in kinds.items() for entry in value[name]):
        return False
    return all(before < after for before, after in zip(value["steps"], value["steps"][1:], strict=False))


POINT_CHECKS: Mapping[str, Check] = MappingProxyType(
    {"n_states": count(1), "n_actions": count(1), "branching": count(1), "r_max": reward_range}
)
"""The sizes that the bounds speak of, which are part of every result."""


def fault(checks: Mapping[str, Check], result: Mapping[str, Any], measure: str) -> str:
    """Return why a result is none that a measure brings, or nothing; it must have all of the names and no other.

    Examples
    --------
    >>> fault({"visits": count(0)}, {"visits": -1}, "run")
    'its result has visits = -1'
    """
    for name in checks:
        if name not in result:
            return f"its result has no {name}"
    for name, value in result.items():
        if name not in checks:
            return f"its result has {shown(name)}, which measure {measure} does not bring"
        if not checks[name](value):
            return f"its result has {name} = {shown(value)}"
    return ""


def own_fault(result: Mapping[str, Any]) -> str:
    """Return why a result is none that any measure brings, or nothing: for rows of a measure that is not imported."""
    plain = or_none(lambda value: number()(value) or flag(value) or words(value))
    checks = {
        name: POINT_CHECKS.get(name, curve if name == "curve" else plain)
        for name in (*POINT_CHECKS, *result)
        if words(name)
    }
    return fault(checks, result, "of one's own")


def shown(value: object) -> str:
    """Return a value as it is written, printable and not too long.

    Examples
    --------
    >>> print(shown("a" + chr(27)), shown(10**5000), len(shown([0] * 100)))
    'a\\x1b' a number of about 5,000 digits 60
    """
    try:
        text = repr(value)
    except (ValueError, RecursionError):  # Python writes no number of more than 4,300 digits
        return f"a number of about {digits(value):,} digits" if isinstance(value, int) else "nested too deep"
    return text if len(text) <= 60 else text[:57] + "..."


def digits(number: int) -> int:
    """Return about how many decimal digits a whole number has."""
    return math.floor((number.bit_length() - 1) * math.log10(2)) + 1
