"""Arrays that a value owns: taken from what a user gives, checked, read-only."""

from __future__ import annotations

from dataclasses import dataclass
from numbers import Real
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rfos._system.memory import require_memory

Float = NDArray[np.float64]

Float32 = NDArray[np.float32]

Int = NDArray[np.int64]

Bool = NDArray[np.bool_]

LARGE = 2**20
"""Entries above which it is asked whether a copy fits: a small view may stand for any number of them."""


@dataclass(frozen=True, eq=False)
class Owned:
    """What nobody else holds: an array, or a storage of them, made inside the package and too large to copy."""

    array: Any


def hand_over(made: object) -> Any:
    """Hand over what nobody else holds: whoever takes it freezes it and does not copy it."""
    return Owned(made)


def freeze(array: NDArray[Any]) -> None:
    """Make an array read-only."""
    array.setflags(write=False)


def array_of(what: str, given: object) -> NDArray[Any]:
    """Return what NumPy makes of the input, not copied where it is an array, or raise ValueError."""
    if isinstance(given, np.ma.MaskedArray) and np.ma.getmaskarray(given).any():
        raise ValueError(f"{what} has masked entries: fill them with numbers")
    try:
        return np.asarray(given)
    except (ValueError, TypeError, OverflowError):
        raise ValueError(f"{what} is not an array: its rows have different lengths or hold no numbers") from None


def _shown(entry: object) -> str:
    """Return an entry as one short line."""
    text = repr(entry)
    return text if len(text) <= 60 and "\n" not in text else f"a {type(entry).__name__}"


def _taken(what: str, given: object, dtype: type[np.generic], kinds: str, wanted: str) -> NDArray[Any]:
    """Return an own read-only array of one type, made of an array of the given kinds of types.

    What is handed over as `Owned` keeps its width: float32 stays so, and so do integers of 16 and 32 bits.
    """
    if isinstance(given, Owned):
        array: NDArray[Any] = given.array
        assert array.dtype.kind in ("iu" if dtype is np.int64 else np.dtype(dtype).kind)
        assert array.dtype.isnative
        assert array.flags.c_contiguous
    else:
        raw = array_of(what, given)
        if raw.size > LARGE:
            require_memory(raw.size * np.dtype(dtype).itemsize, f"a copy of {what}", "give a smaller one")
        if raw.size and raw.dtype.kind not in kinds:
            raise ValueError(f"{what} holds {raw.dtype} values: give {wanted}")
        if raw.dtype.kind == "O":
            for entry in raw.flat:
                if not isinstance(entry, Real):
                    raise ValueError(f"{what} holds {_shown(entry)}: give {wanted}")
        try:
            with np.errstate(over="ignore", invalid="ignore"):
                array = np.array(raw, dtype, order="C", copy=True, subok=False)
        except (ValueError, TypeError, OverflowError):
            raise ValueError(f"{what} holds values that are not {wanted}") from None
    freeze(array)
    return array


def floats(what: str, given: object) -> Float:
    """Return an own read-only float64 array of real numbers.

    Parameters
    ----------
    what : str
        How a message calls it, such as "R".
    given : array_like of bool, int, float or of rationals; or Owned, which is not copied

    Raises
    ------
    ValueError
        If it is complex, text, or not a rectangular array of numbers.

    Examples
    --------
    >>> floats("R", [[1, 2]]).flags.writeable
    False
    """
    return _taken(what, given, np.float64, "biufO", "real numbers")


def integers(what: str, given: object) -> Int:
    """Return an own read-only int64 array of whole numbers.

    Raises
    ------
    ValueError
        If it is not of an integer type, or a number is beyond int64.
    """
    if not isinstance(given, Owned):
        raw = array_of(what, given)
        if raw.dtype.kind == "u" and raw.size and int(raw.max()) > np.iinfo(np.int64).max:
            raise ValueError(f"{what} holds {int(raw.max())}: whole numbers are below 2^63")
    return _taken(what, given, np.int64, "iu", "whole numbers")


def booleans(what: str, given: object) -> Bool:
    """Return an own read-only array of bool.

    Raises
    ------
    ValueError
        If it holds anything but true and false, or 0 and 1.
    """
    raw = array_of(what, given)
    if raw.dtype.kind in "iu" and bool(((raw == 0) | (raw == 1)).all()):
        raw = raw == 1
    return _taken(what, raw, np.bool_, "b", "true and false")
