"""Long measurements in legs: one is left in the middle and taken up again, by any process, with the same bytes.

What changes while a measurement goes on is a few arrays. They are kept as NumPy's own format, and nothing is unpickled.
"""

from __future__ import annotations

import io
import math
import time
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

Arrays = Mapping[str, NDArray[Any]]

LARGEST_STATE = 2**26
"""Bytes above which a measurement is not left: to write them often would cost more than to begin again."""


class Unfinished(Exception):
    """A leg is over; `state` says where the measurement was left."""

    def __init__(self, state: bytes) -> None:
        super().__init__("the leg is over")
        self.state = state


class Leg:
    """A part of a measurement.

    Parameters
    ----------
    seconds : float
        After so long it is left at the next occasion. The clock starts at the first: whatever has to be prepared, each
        leg goes a part of the way.
    state : bytes, optional
        Where it was left; default: at its beginning.

    Examples
    --------
    >>> count, leg = np.zeros(1), Leg(0.0)
    >>> leg.over(), leg.over()
    (False, True)
    >>> try:
    ...     leg.leave({"count": count + 2})
    ... except Unfinished as left:
    ...     Leg(0.0, left.state).saved["count"]
    array([2.])
    """

    def __init__(self, seconds: float = math.inf, state: bytes | None = None) -> None:
        self.seconds = seconds
        self.saved: dict[str, NDArray[Any]] = {}
        if state is not None:
            with np.load(io.BytesIO(state), allow_pickle=False) as file:
                self.saved = dict(file)
        self._end: float | None = None

    def over(self) -> bool:
        """Whether it is time to leave."""
        now = time.monotonic()
        if self._end is None:
            self._end = now + self.seconds
            return False
        return now >= self._end

    def leave(self, arrays: Arrays) -> None:
        """Raise Unfinished with these arrays, unless they are too large; then this leg is the last."""
        if sum(array.nbytes for array in arrays.values()) > LARGEST_STATE:
            self._end = math.inf
            return
        written = io.BytesIO()
        np.savez(written, allow_pickle=False, **dict(arrays))
        raise Unfinished(written.getvalue())
