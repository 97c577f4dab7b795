"""Where cells are measured: in this process, in a pool of processes, or on the workers of a dask scheduler.

All of them take chunks of cells and yield their outcomes chunk by chunk, in whatever order they end. None of them
writes anything.
"""

from __future__ import annotations

import contextlib
import itertools
import multiprocessing
import os
import signal
import threading
from collections import deque
from collections.abc import Generator, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, CancelledError, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import resource_tracker
from types import FrameType, TracebackType
from typing import Any, Protocol

from rfos._memory import available_bytes
from rfos.sweeps.cells import Cell, Outcome, measure_all
from rfos.sweeps.fingerprint import fingerprint

Chunk = tuple[Cell, ...]

CONNECTING = 20
"""Seconds that a scheduler and its first worker may take to answer."""

AHEAD = 3
"""Chunks per worker that are sent before the first comes back."""


DIED = "WorkerDied: the process that measured it was killed, or ran out of memory"


class Executor(Protocol):
    """Measures cells while a `with` block lasts.

    Attributes
    ----------
    workers : int
        Cells measured at the same time at most.
    memory : int
        Bytes that they share.
    """

    workers: int
    memory: int

    def __enter__(self) -> Executor:
        """Start what measures."""
        ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop it."""
        ...

    def outcomes(self, chunks: Iterable[Chunk]) -> Generator[list[Outcome], None, None]:
        """Yield the outcomes of each chunk."""
        ...


class InProcess:
    """One cell after the other, here."""

    workers = 1

    def __init__(self) -> None:
        """Take all memory there is."""
        self.memory = available_bytes()

    def __enter__(self) -> InProcess:
        """Return itself."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Do nothing."""

    def outcomes(self, chunks: Iterable[Chunk]) -> Generator[list[Outcome], None, None]:
        """Yield the outcomes of each chunk, in order."""
        for chunk in chunks:
            yield measure_all(chunk)


@contextlib.contextmanager
def _interrupts_held() -> Iterator[None]:
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


class Processes:
    """A pool of processes, each with its own interpreter.

    A worker that dies (killed, or out of memory) takes the pool with it. The cells under way are then measured one by
    one in a new pool, so that the one that kills its worker is known and recorded as failed.

    Parameters
    ----------
    workers : int
        At least 1.

    Raises
    ------
    ValueError
        If `workers` is below 1.
    """

    def __init__(self, workers: int) -> None:
        """Check the number; nothing is started yet."""
        if isinstance(workers, bool) or not isinstance(workers, int) or workers < 1:
            raise ValueError(f"jobs is {workers!r}: give at least 1 process")
        self.workers = workers
        self.memory = available_bytes()
        self._pool: ProcessPoolExecutor | None = None
        self._strangers: set[Any] = set()

    def __enter__(self) -> Processes:
        """Return itself; processes start with the first chunk."""
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
        self._drop_pool()

    def _submit(self, chunk: Chunk) -> Future[list[Outcome]]:
        if self._pool is None:
            self._pool = ProcessPoolExecutor(
                self.workers, mp_context=multiprocessing.get_context("spawn"), initializer=_begin_worker
            )
        with _interrupts_held():  # a submission may start a worker
            return self._pool.submit(measure_all, chunk)

    def _drop_pool(self) -> None:
        if self._pool is not None:
            self._pool.shutdown()
            self._pool = None

    def outcomes(self, chunks: Iterable[Chunk]) -> Generator[list[Outcome], None, None]:
        """Yield the outcomes of each chunk as they come."""
        waiting = iter(chunks)
        pending: dict[Future[list[Outcome]], Chunk] = {}
        suspects: deque[Cell] = deque()
        while True:
            for chunk in waiting:
                try:
                    pending[self._submit(chunk)] = chunk
                except BrokenProcessPool:
                    suspects += chunk
                    break
                if len(pending) >= AHEAD * self.workers:
                    break
            if not pending and not suspects:
                return
            done, _ = wait(pending, return_when=FIRST_COMPLETED)
            for future in done:
                chunk = pending.pop(future)
                try:
                    yield future.result()
                except BrokenProcessPool:
                    suspects += chunk
            if suspects:
                for future, chunk in pending.items():
                    try:
                        yield future.result()
                    except BrokenProcessPool:
                        suspects += chunk
                pending.clear()
                self._drop_pool()
            while suspects:
                yield self._alone(suspects.popleft())

    def _alone(self, cell: Cell) -> list[Outcome]:
        """Return the outcome of a cell that may kill its worker."""
        try:
            return self._submit((cell,)).result()
        except BrokenProcessPool:
            self._drop_pool()
            return [Outcome(cell, None, DIED, 0.0)]


class Dask:
    """The workers of a dask.distributed scheduler; they must have the same code.

    A cell whose worker is lost is measured on another one.

    Parameters
    ----------
    address : str
        Such as "tcp://127.0.0.1:8786".

    Raises
    ------
    ValueError
        If dask.distributed is not installed, or the workers have other code.
    OSError
        If the scheduler or its workers cannot be reached.
    """

    def __init__(self, address: str) -> None:
        """Keep the address; nothing is connected yet."""
        self.address = address
        self.workers = 0
        self.memory = 0
        self._client: Any = None

    def __enter__(self) -> Dask:
        """Connect, and see that the workers have this code."""
        try:
            import distributed
        except ImportError:
            raise ValueError("--scheduler needs dask.distributed: pip install 'rfos[distributed]'") from None
        try:
            self._client = distributed.Client(self.address, timeout=CONNECTING, set_as_default=False)
            self._client.wait_for_workers(1, timeout=CONNECTING)
        except (OSError, ValueError, TypeError) as error:
            if self._client is not None:
                self._client.close()
            reason = str(error).splitlines()[0] if str(error) else type(error).__name__
            raise OSError(
                f"no scheduler with workers answers at {self.address!r} ({reason}): start one, or give another address"
            ) from error
        workers = self._client.scheduler_info(n_workers=-1)["workers"].values()
        self.workers = sum(worker["nthreads"] for worker in workers)
        # The share of the tightest worker counts for all.
        share = min((worker["memory_limit"] or available_bytes()) // worker["nthreads"] for worker in workers)
        self.memory = share * self.workers
        theirs = set(self._client.run(fingerprint).values())
        if theirs != {fingerprint()}:
            self._client.close()
            found = ", ".join(sorted(theirs))
            raise ValueError(
                f"the workers have other code ({found}) than this driver ({fingerprint()}): install the same"
            )
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Disconnect; what was not finished is cancelled."""
        self._client.close()

    def outcomes(self, chunks: Iterable[Chunk]) -> Generator[list[Outcome], None, None]:
        """Yield the outcomes of each chunk as they come."""
        from distributed import KilledWorker, as_completed

        waiting = iter(chunks)
        sent: dict[Any, Chunk] = {}
        running = as_completed(loop=self._client.loop)

        def send(chunk: Chunk) -> None:
            # The scheduler must not take a second measurement of a cell for the first.
            future = self._client.submit(measure_all, chunk, pure=False)
            sent[future.key] = chunk
            running.add(future)

        for chunk in itertools.islice(waiting, AHEAD * self.workers):
            send(chunk)
        for future in running:
            chunk = sent.pop(future.key)
            try:
                yield future.result()
            except KilledWorker:
                if len(chunk) == 1:
                    yield [Outcome(chunk[0], None, DIED, 0.0)]
                else:  # one of them kills its worker: find out which
                    for cell in chunk:
                        send((cell,))
            except CancelledError:
                raise OSError(f"the scheduler at {self.address} is lost: start it and run again") from None
            for following in itertools.islice(waiting, 1):
                send(following)
