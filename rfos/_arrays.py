"""What enters from outside becomes an array of our own: C-contiguous, native, float64, int64 or bool, read-only.

"Not writeable" does not mean "mine": a read-only view changes with its base, and an array that its owner locked can be
unlocked. So everything is copied, but for what a caller inside the package hands over as `Owned`.
"""

from __future__ import annotations

from dataclasses import dataclass
from numbers import Real
from typing import Any

import numpy as np
from numpy.typing import NDArray

Float = NDArray[np.float64]
Int = NDArray[np.int64]
Bool = NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class Owned:
    """An array that nobody else holds: made inside the package, too large to copy."""

    array: NDArray[Any]


def freeze(array: NDArray[Any]) -> None:
    """Make an array read-only."""
    array.setflags(write=False)


def _given(what: str, given: object) -> NDArray[Any]:
    """Return what NumPy makes of the input, or raise ValueError."""
    try:
        return np.asarray(given)
    except (ValueError, TypeError, OverflowError):
        raise ValueError(f"{what} is not an array: its rows have different lengths or hold no numbers") from None


def _taken(what: str, given: object, dtype: type[np.generic], kinds: str, wanted: str) -> NDArray[Any]:
    """Return an own read-only array of one type, made of an array of the given kinds of types."""
    if isinstance(given, Owned):
        array = given.array
        assert array.dtype == dtype
        assert array.flags.c_contiguous
    else:
        raw = _given(what, given)
        if raw.size and raw.dtype.kind not in kinds:
            raise ValueError(f"{what} holds {raw.dtype} values: give {wanted}")
        if raw.dtype.kind == "O":
            for entry in raw.flat:
                if not isinstance(entry, Real):
                    raise ValueError(f"{what} holds {entry!r}: give {wanted}")
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
    given : array_like of bool, int, float or of rationals; or Owned

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
        raw = _given(what, given)
        if raw.dtype.kind == "u" and raw.size and int(raw.max()) > np.iinfo(np.int64).max:
            raise ValueError(f"{what} holds {int(raw.max())}: whole numbers are below 2^63")
    return _taken(what, given, np.int64, "iu", "whole numbers")


def booleans(what: str, given: object) -> Bool:
    """Return an own read-only array of bool.

    Raises
    ------
    ValueError
        If it holds anything but true and false.
    """
    return _taken(what, given, np.bool_, "b", "true and false")
