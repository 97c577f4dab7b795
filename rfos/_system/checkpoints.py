"""Checkpoints of long measurements: one is left in the middle and taken up again, by any process, with the same bytes.

What changes while a measurement goes on is a few arrays. They are kept as NumPy's own format, and nothing is unpickled.
"""

from __future__ import annotations

import io
import math
import time
import zipfile
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

Arrays = Mapping[str, NDArray[Any]]

LARGEST_STATE = 2**26
"""Bytes above which a measurement is not left: to write them often would cost more than to begin again."""

ROOM = 2**20
"""Bytes that a checkpoint may take beside its arrays."""


class MisfitError(ValueError):
    """A checkpoint is not one of this measurement: begin again without it."""


class Unfinished(Exception):
    """A measurement was left; `state` says where."""

    def __init__(self, state: bytes) -> None:
        super().__init__("the measurement was left at a checkpoint")
        self.state = state


class Checkpoint:
    """Where a measurement was left, and when it is to be left again.

    Parameters
    ----------
    seconds : float
        After so long it is left at the next occasion. The clock starts at the first occasion, so that it always goes a
        part of the way, however long the preparations are.
    state : bytes, optional
        Where it was left; default: at its beginning.

    Examples
    --------
    >>> count, checkpoint = np.zeros(1), Checkpoint(0.0)
    >>> checkpoint.due(), checkpoint.due()
    (False, True)
    >>> try:
    ...     checkpoint.leave({"count": count + 2})
    ... except Unfinished as left:
    ...     Checkpoint(0.0, left.state).saved["count"]
    array([2.])
    """

    def __init__(self, seconds: float = math.inf, state: bytes | None = None) -> None:
        self.seconds = seconds
        self.saved: dict[str, NDArray[Any]] = {}
        if state is not None:
            self.saved = _read(state)
        self._end: float | None = None

    def due(self) -> bool:
        """Whether it is time to leave."""
        now = time.monotonic()
        if self._end is None:
            self._end = now + self.seconds
            return False
        return now >= self._end

    def leave(self, arrays: Arrays) -> None:
        """Raise Unfinished with these arrays, unless they are too large; then it is not left any more."""
        if sum(array.nbytes for array in arrays.values()) > LARGEST_STATE:
            self._end = math.inf
            return
        written = io.BytesIO()
        np.savez(written, allow_pickle=False, **dict(arrays))
        raise Unfinished(written.getvalue())


def _read(state: bytes) -> dict[str, NDArray[Any]]:
    """Return the arrays of a checkpoint, or raise MisfitError; nothing large is unpacked."""
    try:
        with zipfile.ZipFile(io.BytesIO(state)) as archive:
            size = sum(member.file_size for member in archive.infolist())
        if size > LARGEST_STATE + ROOM:
            raise ValueError(f"it holds {size:,} bytes")
        with np.load(io.BytesIO(state), allow_pickle=False) as file:
            return dict(file)
    except Exception as error:  # whatever damaged bytes make of a reader
        raise MisfitError(f"the checkpoint is damaged ({type(error).__name__}): begin again without it") from None


def take_up(saved: Arrays, arrays: Arrays) -> None:
    """Fill arrays with what was saved under their names.

    Raises
    ------
    MisfitError
        If one is missing, or has another shape or type.

    Examples
    --------
    >>> count = np.zeros(2)
    >>> take_up({"count": np.ones(2)}, {"count": count})
    >>> count.tolist()
    [1.0, 1.0]
    """
    for name, array in arrays.items():
        found = saved.get(name)
        if found is None or found.shape != array.shape or found.dtype != array.dtype:
            there = "missing" if found is None else f"{found.dtype} of shape {found.shape}"
            raise MisfitError(
                f"{name} in the checkpoint is {there}, expected {array.dtype} of shape {array.shape}: begin again "
                "without it"
            )
        array[...] = found


def within(name: str, array: NDArray[Any], low: int, high: int) -> None:
    """Raise MisfitError unless all numbers of an array that was taken up lie in low to high."""
    if array.size and not (low <= array.min() and array.max() <= high):
        raise MisfitError(
            f"{name} in the checkpoint runs from {array.min()} to {array.max()}, expected {low} to {high}: begin again "
            "without it"
        )
