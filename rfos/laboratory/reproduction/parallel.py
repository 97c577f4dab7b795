"""Work on threads that can be cancelled."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_EXCEPTION, Future, ThreadPoolExecutor, wait
from typing import TypeVar

Item = TypeVar("Item")

Value = TypeVar("Value")


class CancelledError(Exception):
    """A run was cancelled from outside."""


def parallel(
    work: Callable[[Item], Value], items: Sequence[Item], jobs: int, cancelled: threading.Event
) -> list[Value]:
    """Return work(item) of all items in order, on threads: kernels release the GIL."""
    with ThreadPoolExecutor(jobs) as pool:
        futures: list[Future[Value]] = [pool.submit(work, item) for item in items]
        try:
            pending = set(futures)
            while pending:
                done, pending = wait(pending, timeout=0.2, return_when=FIRST_EXCEPTION)
                for future in done:
                    future.result()
        except BaseException:
            cancelled.set()
            for future in futures:
                future.cancel()
            raise
    return [future.result() for future in futures]
