"""The driver of a sweep: what is missing is measured, what is measured is stored, what is stored is acknowledged."""

from __future__ import annotations

import contextlib
import math
import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from rfos._system import checks
from rfos.laboratory.sweeps.cells import UNRELATED, Cell, Outcome, Task, own_modules
from rfos.laboratory.sweeps.executors import Executor
from rfos.laboratory.sweeps.fingerprint import fingerprint, require_current
from rfos.laboratory.sweeps.measures import effort, peak_bytes
from rfos.laboratory.sweeps.modules import forget_reloaded
from rfos.laboratory.sweeps.spec import Spec
from rfos.laboratory.sweeps.store import Store

CHUNK_STEPS = 20_000_000
"""Steps that are handed to a worker at a time, some tenths of a second, unless one cell has more."""

CHUNK_CELLS = 64
"""Most cells that are handed to a worker at a time."""

AUDITED = 100
"""One in so many finished cells is measured again in an audit."""


@dataclass(frozen=True)
class Summary:
    """What a sweep did.

    Attributes
    ----------
    code : str
        Fingerprint of the code.
    cells : int
        Cells of the spec.
    found : int
        Those that had a result in the store already.
    measured : int
        Those measured now, with a result.
    failed : tuple of (str, str)
        Key and error of all cells of the spec that have failed, now or before.
    audited : int
        Finished cells that were measured again and brought the same bytes.
    unaudited : tuple of (str, str)
        Key and error of those that could not be measured again, for want of memory or of a worker that lives.
    others : dict of str to int
        Cells in the store that other versions of the code have brought; they were left alone.
    """

    code: str
    cells: int
    found: int
    measured: int
    failed: tuple[tuple[str, str], ...]
    audited: int
    unaudited: tuple[tuple[str, str], ...]
    others: dict[str, int]


def chunked(cells: Sequence[Cell]) -> Iterator[tuple[Cell, ...]]:
    """Yield cells in chunks for workers, the longest runs first so that the workers end together."""

    sizes = {cell: effort(cell) for cell in cells}

    def place(cell: Cell) -> tuple[object, ...]:
        # Cells of one meta-game stay together, and those of one point: they share what is computed for it.
        return -sizes[cell], cell.game, cell.opponent, cell.window or 0, cell.levels or 0, cell.point.name, cell.seed

    chunk: list[Cell] = []
    steps = 0
    for cell in sorted(cells, key=place):
        if chunk and (steps + sizes[cell] > CHUNK_STEPS or len(chunk) == CHUNK_CELLS):
            yield tuple(chunk)
            chunk, steps = [], 0
        chunk.append(cell)
        steps += sizes[cell]
    if chunk:
        yield tuple(chunk)


def require_room(cells: Sequence[Cell], executor: Executor) -> None:
    """Raise MemoryError unless the largest cell fits into the workers' memory as often as there are workers."""
    if not cells:
        return
    largest = max(cells, key=peak_bytes)
    at_once = min(executor.workers, len(cells))
    needed = (peak_bytes(largest) + executor.base) * at_once
    if needed > executor.memory:
        own = f", {executor.base:,} of them for each process itself" if executor.base else ""
        raise MemoryError(
            f"{at_once} workers need {needed:,} bytes for cells such as {largest.name}{own}, above the limit of "
            f"{executor.memory:,}: use fewer workers, or smaller windows or levels"
        )


def sweep(
    spec: Spec,
    path: Path,
    executor: Executor,
    *,
    retry: bool = False,
    audit: bool = False,
    acknowledge: Callable[[Sequence[Outcome], int], None] | None = None,
    fail: Callable[[str, str], None] | None = None,
) -> Summary:
    """Measure the cells of a spec that a store does not have.

    Parameters
    ----------
    spec : Spec
    path : Path
        The store; created if it does not exist, once everything else has been checked.
    executor : Executor
        Where cells are measured. The bytes in the store do not depend on it.
    retry : bool
        Measure cells again that have failed before.
    audit : bool
        Measure one finished cell in a hundred (at least one) again, drawn at random, and compare.
    acknowledge : callable, optional
        Called with the outcomes that have just reached the disk, and how many are still to come; first with none. A
        cell that was left half done is none of them.
    fail : callable, optional
        Called with the key and the error of each cell that fails.

    Returns
    -------
    Summary

    Raises
    ------
    MemoryError
        If the workers together do not fit into memory; nothing has been written then.
    NondeterminismError
        If a cell brings other bytes than the store has for it, from the same code.
    OSError, ValueError
        If the store cannot be used, the workers cannot be reached, or a module of a user's own was changed on disk
        since it was imported.

    Examples
    --------
    >>> import tempfile
    >>> from rfos.laboratory.sweeps.executors import InProcess
    >>> from rfos.laboratory.sweeps.spec import parse_spec
    >>> spec = parse_spec('''
    ... title = "one cell"
    ... seed = 0
    ... [[grid]]
    ... measure = ["run"]
    ... game = ["matching-pennies"]
    ... opponent = ["window-q-learner"]
    ... window = [1]
    ... agent = ["rmax"]
    ... epsilon = [0.8]
    ... delta = [0.2]
    ... discount = [0.8]
    ... m = [5]
    ... steps = [100]
    ... seeds = 1
    ... ''')
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     first = sweep(spec, Path(folder, "store.db"), InProcess())
    ...     second = sweep(spec, Path(folder, "store.db"), InProcess())
    >>> first.measured, second.measured, second.found
    (1, 0, 1)
    """
    checks.kind("spec", spec, Spec)
    path = checks.path("path", path)
    members = ("base", "workers", "memory", "outcomes")
    checks.offers(
        "executor",
        executor,
        "an executor",
        members,
        "give InProcess() or Processes(2) of rfos.laboratory.sweeps.executors",
    )
    for name, given in (("acknowledge", acknowledge), ("fail", fail)):
        if given is not None:
            checks.function(name, given, "give a function, or None")
    forget_reloaded()
    require_current(own_modules(spec.cells))
    code = fingerprint(own_modules(spec.cells))
    unaudited: list[tuple[str, str]] = []
    with executor:
        if not path.exists():
            require_room(spec.cells, executor)
        with Store(path) as store:
            known = store.keys(code)
            keys = {cell: cell.key(code) for cell in spec.cells}
            status = {cell: known.get(key) for cell, key in keys.items()}
            todo = [cell for cell, good in status.items() if good is None or (retry and not good)]
            finished = [cell for cell, good in status.items() if good]
            again = random.SystemRandom().sample(finished, math.ceil(len(finished) / AUDITED)) if audit else []
            require_room(todo + again, executor)
            begun = store.checkpoints(code)
            left = len(todo) + len(again)
            store.add_title(code, spec.title)

            def task(cell: Cell) -> Task:
                return Task(cell, store.checkpoint(keys[cell]) if keys[cell] in begun else None)

            if acknowledge is not None:
                acknowledge((), left)
            chunks = (tuple(map(task, chunk)) for chunk in chunked(todo + again))
            with contextlib.closing(executor.outcomes(chunks)) as batches:
                for outcomes in batches:
                    lost = [o for o in outcomes if status[o.cell] and o.error and o.error.startswith(UNRELATED)]
                    unaudited += [(keys[o.cell], o.error or "") for o in lost]
                    store.put(code, [outcome for outcome in outcomes if outcome not in lost])
                    done = [outcome for outcome in outcomes if outcome.state is None]
                    left -= len(done)
                    if acknowledge is not None:
                        acknowledge(done, left)
                    for outcome in done:
                        if fail is not None and outcome.error is not None:
                            fail(keys[outcome.cell], outcome.error)
            mine = set(keys.values())
            failed = tuple((key, error) for key, error in store.failures(code) if key in mine)
            others = {other: count for other, count in store.codes().items() if other != code}
    return Summary(
        code=code,
        cells=len(spec.cells),
        found=len(finished),
        measured=len(spec.cells) - len(finished) - len(failed),
        failed=failed,
        audited=len(again) - len(unaudited),
        unaudited=tuple(sorted(unaudited)),
        others=others,
    )
