"""Run a kernel over ranges of states on all processors; kernels release the GIL, so plain threads do."""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from types import TracebackType

SMALL = 20_000
"""Products per sweep below which one thread is faster than handing out the work."""


def processors() -> int:
    """Return the number of processors that this process may use."""
    try:
        return len(os.sched_getaffinity(0))
    except AttributeError:  # not every system tells
        return os.cpu_count() or 1


def split(n: int, parts: int) -> list[tuple[int, int]]:
    """Return `parts` ranges that cover 0 to n - 1, of nearly equal length, none empty.

    Examples
    --------
    >>> split(5, 2), split(2, 4)
    ([(0, 2), (2, 5)], [(0, 1), (1, 2)])
    """
    parts = max(1, min(parts, n))
    return [(n * i // parts, n * (i + 1) // parts) for i in range(parts)]


class Threads:
    """A pool of threads for as long as a `with` block lasts; none where `work` per sweep is small.

    Parameters
    ----------
    work : int
        Products per sweep.
    """

    def __init__(self, work: int) -> None:
        self.count = processors() if work >= SMALL else 1
        self.pool = ThreadPoolExecutor(self.count - 1) if self.count > 1 else None

    def __enter__(self) -> Threads:
        """Return itself."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop the threads."""
        if self.pool is not None:
            self.pool.shutdown()

    def each(self, ranges: list[tuple[int, int]], call: Callable[[int, int, int], object]) -> None:
        """Call `call(i, first, last)` for the i-th range, in any order, several at a time."""
        numbers = itertools.count()

        def work() -> None:
            # Each thread takes the next range that nobody has taken: next() of a count is one step of the interpreter.
            while (i := next(numbers)) < len(ranges):
                call(i, *ranges[i])

        others = min(self.count, len(ranges)) - 1
        futures = [self.pool.submit(work) for _ in range(others)] if self.pool is not None else []
        try:
            work()
        finally:
            for future in futures:
                future.result()


def in_ranges(work: Callable[[int, int], None], n: int, products: int = SMALL) -> None:
    """Call work(first, last) for ranges that cover 0 to n - 1, on all processors unless there are few products."""
    with Threads(products) as threads:
        threads.each(split(n, 8 * threads.count), lambda _, first, last: work(first, last))
