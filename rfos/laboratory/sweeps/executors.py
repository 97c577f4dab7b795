"""Where cells are measured: in this process, in a pool of processes, or on the workers of a dask scheduler.

All of them take chunks of cells and yield their outcomes chunk by chunk, in whatever order they end. A cell that takes
long is left at checkpoints: its outcome says where, and once that has been taken note of it is sent out again.
None of them writes anything.
"""

from __future__ import annotations

import itertools
import logging
import warnings
from collections import Counter, deque
from collections.abc import Generator, Iterable, Mapping
from concurrent.futures import FIRST_COMPLETED, CancelledError, Future, wait
from concurrent.futures.process import BrokenProcessPool
from types import TracebackType
from typing import Any, Protocol

from rfos._system import checks
from rfos._system.memory import available_bytes
from rfos._system.processes import Pool
from rfos.laboratory.sweeps.cells import DIED, Outcome, Task, own_modules
from rfos.laboratory.sweeps.fingerprint import fingerprint
from rfos.laboratory.sweeps.measures import measure_all

Chunk = tuple[Task, ...]

Answer = tuple[str, list[Outcome]]

CONNECTING = 20
"""Seconds that a scheduler and its first worker may take to answer."""

AHEAD = 3
"""Chunks per worker that are sent before the first comes back."""

CHECKPOINT = 15.0
"""Seconds after which a cell that is not finished is left, and stored so that it can be taken up there."""

WORKER_BYTES = 320 * 2**20
"""Memory of a worker process before it measures anything: the interpreter, the libraries, the compiled kernels."""

_QUIET = ("distributed", "tornado", "asyncio")
"""Loggers of what a lost scheduler or a worker without this package is told of in many lines; here in one."""


class Executor(Protocol):
    """Measures cells while a `with` block lasts.

    Attributes
    ----------
    workers : int
        Cells measured at the same time at most.
    memory : int
        Bytes that they share.
    base : int
        Bytes of them that each takes before it measures anything.
    """

    workers: int
    memory: int
    base: int

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


def measured(chunk: Chunk, seconds: float) -> Answer:
    """Return the code that measures here, and the outcomes: what a worker process is sent."""
    return _code_of(chunk), measure_all(chunk, seconds)


def _code_of(chunk: Chunk) -> str:
    """Return the version of the code that measures some cells, the modules of a user's own that they name included."""
    return fingerprint(own_modules(task.cell for task in chunk))


def _checked(answer: Answer, chunk: Chunk) -> list[Outcome]:
    """Return the outcomes of a worker; raise ValueError if it has other code, as one that comes later may."""
    code, outcomes = answer
    if code != _code_of(chunk):
        modules = own_modules(task.cell for task in chunk)
        raise ValueError(_other_code({code}, "a worker that came later has", modules))
    return outcomes


def _other_code(found: set[str], who: str, modules: tuple[str, ...] = ()) -> str:
    theirs = ", ".join(sorted(found))
    mend = (
        f"install the same rfos, and put the same {', '.join(modules)} on PYTHONPATH" if modules else "install the same"
    )
    return f"{who} other code ({theirs}) than this driver ({fingerprint(modules)}); no result of it is kept: {mend}"


class _Chunks:
    """The chunks that are still to be sent: first the cells that were left at a checkpoint, then the driver's.

    It may have an end, and then more again.
    """

    def __init__(self, chunks: Iterable[Chunk]) -> None:
        self._onward: deque[Chunk] = deque()
        self._chunks = iter(chunks)

    def __iter__(self) -> _Chunks:
        return self

    def __next__(self) -> Chunk:
        return self._onward.popleft() if self._onward else next(self._chunks)

    def left(self, outcomes: Iterable[Outcome]) -> None:
        """Take note of the cells that were left."""
        self._onward += [(Task(outcome.cell, outcome.state),) for outcome in outcomes if outcome.state is not None]


class InProcess:
    """One cell after the other, here."""

    workers, base = 1, 0

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
        waiting = _Chunks(chunks)
        for chunk in waiting:
            outcomes = measure_all(chunk, CHECKPOINT)
            yield outcomes
            waiting.left(outcomes)


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

    base = WORKER_BYTES

    def __init__(self, workers: int) -> None:
        """Check the number; nothing is started yet."""
        self.workers = checks.whole("jobs", workers, give="at least 1 process")
        self.memory = available_bytes()
        self._pool = Pool(workers)

    def __enter__(self) -> Processes:
        """Return itself; processes start with the first chunk."""
        self._pool.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End the processes; after an error, at once."""
        self._pool.__exit__(kind, error, trace)

    def _submit(self, chunk: Chunk) -> Future[Answer]:
        return self._pool.submit(measured, chunk, CHECKPOINT)

    def outcomes(self, chunks: Iterable[Chunk]) -> Generator[list[Outcome], None, None]:
        """Yield the outcomes of each chunk as they come."""
        waiting = _Chunks(chunks)
        pending: dict[Future[Answer], Chunk] = {}
        suspects: deque[Task] = deque()
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
                    outcomes = _checked(future.result(), chunk)
                except BrokenProcessPool:
                    suspects += chunk
                    continue
                yield outcomes
                waiting.left(outcomes)
            if suspects:
                for future, chunk in pending.items():
                    try:
                        outcomes = _checked(future.result(), chunk)
                    except BrokenProcessPool:
                        suspects += chunk
                        continue
                    yield outcomes
                    waiting.left(outcomes)
                pending.clear()
                self._pool.close()
            while suspects:
                outcomes = self._alone(suspects.popleft())
                yield outcomes
                waiting.left(outcomes)

    def _alone(self, task: Task) -> list[Outcome]:
        """Return the outcome of a cell that may kill its worker."""
        try:
            return _checked(self._submit((task,)).result(), (task,))
        except BrokenProcessPool:
            self._pool.close()
            return [Outcome(task.cell, None, DIED, 0.0)]


def _shared_memory(workers: Iterable[Mapping[str, Any]]) -> int:
    """Return the bytes that the cells on the workers of a scheduler may take, from what it says of the workers.

    The smallest share of a thread counts for all of them, since a cell may be sent to any.

    Examples
    --------
    Two threads share 1 GB less what the process itself takes, and one has 800 MB less that.

    >>> two, one = {"nthreads": 2, "memory_limit": 10**9}, {"nthreads": 1, "memory_limit": 8 * 10**8}
    >>> _shared_memory([two, one]) == 3 * ((10**9 - WORKER_BYTES) // 2)
    True
    """
    listed = list(workers)
    unlimited = Counter(worker.get("host") for worker in listed if not worker["memory_limit"])
    shares = []
    for worker in listed:
        # Workers without a limit share what the machine has.
        limit = worker["memory_limit"] or available_bytes() // unlimited[worker.get("host")]
        shares.append(max(0, limit - WORKER_BYTES) // worker["nthreads"])
    return int(min(shares)) * sum(int(worker["nthreads"]) for worker in listed)


class Dask:
    """The workers of a dask.distributed scheduler; they must have the same code.

    A cell whose worker is lost is measured on another one.

    dask pickles what it sends and unpickles what comes back, in this process: whoever controls the scheduler, a worker,
    or the network to them can run any code here with this user's rights, and a worker runs whatever a scheduler sends.
    That is before anything is checked, so no check here can help: give the address of a scheduler of your own, on a
    network of your own or with dask's TLS ("tls://..."), and none that a stranger offers.

    Parameters
    ----------
    address : str
        Such as "tcp://127.0.0.1:8786".

    Raises
    ------
    ValueError
        If dask.distributed is not installed, or a worker has other code or none.
    OSError
        If the scheduler or its workers cannot be reached.
    """

    base = 0  # left out of what they share already

    def __init__(self, address: str) -> None:
        """Keep the address; nothing is connected yet."""
        checks.kind("address", address, str, mend="give the address of a scheduler, such as tcp://127.0.0.1:8786")
        self.address = address
        self.workers = 0
        self.memory = 0
        self._client: Any = None
        self._loggers: dict[str, int] = {}

    def __enter__(self) -> Dask:
        """Connect, and see that the workers have this code."""
        try:
            import distributed
        except ImportError:
            raise ValueError("--scheduler needs dask.distributed: pip install 'rfos[distributed]'") from None
        # Some of their parts have levels of their own.
        names = [name for name in logging.root.manager.loggerDict if name.partition(".")[0] in _QUIET]
        self._loggers = {name: logging.getLogger(name).level for name in names}
        for name in names:
            logging.getLogger(name).setLevel(logging.CRITICAL + 1)
        try:
            self._connect(distributed)
        except BaseException:
            self.__exit__(None, None, None)
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Disconnect; what was not finished is cancelled."""
        if self._client is not None:
            self._client.close()
            self._client = None
        for name, level in self._loggers.items():
            logging.getLogger(name).setLevel(level)

    def _connect(self, distributed: Any) -> None:
        try:
            self._client = distributed.Client(self.address, timeout=CONNECTING, set_as_default=False)
            self._client.wait_for_workers(1, timeout=CONNECTING)
        except (OSError, ValueError, TypeError) as error:
            reason = str(error).splitlines()[0] if str(error) else type(error).__name__
            raise OSError(
                f"no scheduler with workers answers at {self.address!r} ({reason}): start one, or give another address"
            ) from error
        workers = self._client.scheduler_info(n_workers=-1)["workers"].values()
        self.workers = sum(worker["nthreads"] for worker in workers)
        self.memory = _shared_memory(workers)
        try:
            theirs = set(self._client.run(fingerprint).values())
        except Exception as error:
            raise ValueError(self._unable(error)) from error
        if theirs != {fingerprint()}:
            raise ValueError(_other_code(theirs, "the workers have"))

    def _unable(self, error: BaseException) -> str:
        """Return why a worker could not even begin; what goes wrong in a cell is part of its outcome."""
        reason = (str(error).splitlines() or [""])[0]
        if isinstance(error, ValueError):  # of a module of a user's own, with its mend
            return f"a worker at {self.address} cannot measure: {reason}"
        return f"a worker at {self.address} cannot measure ({type(error).__name__}: {reason}): install the same rfos"

    def outcomes(self, chunks: Iterable[Chunk]) -> Generator[list[Outcome], None, None]:
        """Yield the outcomes of each chunk as they come."""
        from distributed import KilledWorker, as_completed

        waiting = _Chunks(chunks)
        sent: dict[Any, Chunk] = {}
        running = as_completed(loop=self._client.loop)

        def send(chunk: Chunk) -> None:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", UserWarning)  # where a long cell was left may be large
                # The scheduler must not take a second measurement of a cell for the first.
                future = self._client.submit(measured, chunk, CHECKPOINT, pure=False)
            sent[future.key] = chunk
            running.add(future)

        for chunk in itertools.islice(waiting, AHEAD * self.workers):
            send(chunk)
        for future in running:
            chunk = sent.pop(future.key)
            try:
                answer = future.result()
            except KilledWorker:
                if len(chunk) > 1:  # one of them kills its worker: find out which
                    for task in chunk:
                        send((task,))
                    continue
                answer = _code_of(chunk), [Outcome(chunk[0].cell, None, DIED, 0.0)]
            except (CancelledError, OSError):  # with it goes the task, or the connection while an answer comes
                raise OSError(f"the scheduler at {self.address} is lost: start it and run again") from None
            except Exception as error:
                raise ValueError(self._unable(error)) from error
            outcomes = _checked(answer, chunk)
            yield outcomes
            waiting.left(outcomes)
            for following in itertools.islice(waiting, 1):
                send(following)
