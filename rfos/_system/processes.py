"""Worker processes: they leave Ctrl-C to the process that started them, and end with it, even if it was killed."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from multiprocessing import resource_tracker
from types import FrameType, TracebackType
from typing import Any, ParamSpec, TypeVar

Parameters = ParamSpec("Parameters")

Result = TypeVar("Result")


@contextlib.contextmanager
def interrupts_held() -> Iterator[None]:
    """Hold Ctrl-C back: processes that are started meanwhile never see it, this one does afterwards."""
    if not hasattr(signal, "pthread_sigmask"):  # not on every system
        yield
        return
    resource_tracker.ensure_running()  # changes the mask itself when it starts
    held: list[tuple[int, FrameType | None]] = []
    handler = signal.getsignal(signal.SIGINT) if threading.current_thread() is threading.main_thread() else None
    # The mask is for the new processes, which inherit it. It does not protect this one: another of its threads may
    # receive the signal, and the main thread then handles it.
    if callable(handler):
        signal.signal(signal.SIGINT, lambda number, frame: held.append((number, frame)))
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
        if callable(handler):
            signal.signal(signal.SIGINT, handler)
    if held and callable(handler):
        handler(*held[0])


def _begin_worker() -> None:
    """Leave Ctrl-C to the driver, and end when the driver has ended, even if it was killed."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    parent = multiprocessing.parent_process()
    assert parent is not None

    def follow() -> None:
        parent.join()
        os._exit(1)

    threading.Thread(target=follow, daemon=True).start()


def _let_submissions_end(pool: Any) -> None:
    """Have a pool that breaks wait for the submission that is under way.

    Before Python 3.12 its thread marks what is pending as failed without the lock that `submit` holds: a call that is
    added meanwhile ends the thread with a traceback on stderr, or has no result for ever.
    """
    manager = pool._executor_manager_thread
    if not hasattr(manager, "terminate_broken") or hasattr(manager, "_terminate_broken"):  # the latter has the lock
        return
    terminate = manager.terminate_broken

    def terminate_broken(cause: Any) -> None:
        executor = manager.executor_reference()
        if executor is not None:
            executor._broken = "one of its processes has died"  # whatever is submitted from here on is refused
            with manager.shutdown_lock:
                pass
        terminate(cause)

    manager.terminate_broken = terminate_broken


class Pool:
    """Processes, each with its own interpreter, that are started with the first call and for as long as `with` lasts.

    Parameters
    ----------
    workers : int
        How many at the same time.
    """

    def __init__(self, workers: int) -> None:
        self.workers = workers
        self._pool: ProcessPoolExecutor | None = None
        self._strangers: set[Any] = set()

    def __enter__(self) -> Pool:
        """Return itself; processes start with the first call."""
        self._strangers = set(multiprocessing.active_children())
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End the processes; after an error, at once."""
        if self._pool is None:
            return
        if kind is not None:
            # The pool is then broken and ends by itself; it is waited for, as an interpreter that ends beside it may
            # write to a pipe that it has just closed.
            for child in set(multiprocessing.active_children()) - self._strangers:
                child.terminate()
                child.join()
        self.close()

    def submit(
        self, function: Callable[Parameters, Result], *args: Parameters.args, **kwargs: Parameters.kwargs
    ) -> Future[Result]:
        """Have a function called by one of the processes.

        Raises
        ------
        BrokenProcessPool
            If one of them has died; `close` then lets new ones be started.
        """
        fresh = self._pool is None
        if self._pool is None:
            self._pool = ProcessPoolExecutor(
                self.workers, mp_context=multiprocessing.get_context("spawn"), initializer=_begin_worker
            )
        with interrupts_held():  # a submission may start a worker
            future = self._pool.submit(function, *args, **kwargs)
            if fresh:
                _let_submissions_end(self._pool)
        return future

    def close(self) -> None:
        """Wait for what was submitted, and end the processes."""
        if self._pool is not None:
            self._pool.shutdown()
            self._pool = None
