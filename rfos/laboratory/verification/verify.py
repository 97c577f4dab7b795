"""Statements on random instances, those of the theory and a user's own, in as many processes as there are."""

from __future__ import annotations

import contextlib
import functools
import pickle
from collections.abc import Callable, Sequence
from concurrent.futures import as_completed
from concurrent.futures.process import BrokenProcessPool
from difflib import get_close_matches
from typing import NamedTuple

from rfos._system import checks
from rfos._system.processes import Pool
from rfos._system.threads import processors
from rfos.laboratory.verification.engine import Statement, StatementResult, Tally, check, summary
from rfos.laboratory.verification.registry import STATEMENTS

Parcel = str | bytes
"""What a worker process is sent of a statement: its code, or where it is a user's own its pickle."""


class Chunk(NamedTuple):
    """Instances of one statement, from `start` to `stop` - 1."""

    statement: Statement
    start: int
    stop: int


def chosen(statements: Sequence[str | Statement] | None, mutants: bool = False) -> list[Statement]:
    """Return the statements that are meant, each once, in the order given; by default all of the theory.

    Parameters
    ----------
    statements : sequence of str and Statement, optional
        Codes of the theory's statements and statements of one's own; default all of the theory.
    mutants : bool
        Leave out those that do not hold, which have no mutant.

    Raises
    ------
    ValueError
        If a code is unknown, two statements have one code, or one of a user's own lacks the mutant that is asked for.

    Examples
    --------
    >>> [statement.title for statement in chosen(["P4", "N1"])]
    ['explore or exploit', 'covering radius of the simplex grid']
    """
    if statements is None:
        found = list(STATEMENTS.values())
    else:
        given = checks.several("statements", statements, 'give a list such as ["T1", mine]')
        for entry in given:
            checks.kind("a statement", entry, str, Statement, mend="give its code, such as 'T1', or a Statement")
        own = dict.fromkeys(
            entry for entry in given if isinstance(entry, Statement) and STATEMENTS.get(entry.id) is not entry
        )
        codes = {entry if isinstance(entry, str) else entry.id for entry in given if entry not in own}
        taken = set(STATEMENTS)
        for statement in own:
            if statement.id in taken:
                whose = "the theory" if statement.id in STATEMENTS else "yours"
                raise ValueError(
                    f"statement {statement.id!r} has the code of another one of {whose}: choose another id"
                )
            taken.add(statement.id)
        _require_known(codes)
        found = list(dict.fromkeys(STATEMENTS[entry] if isinstance(entry, str) else entry for entry in given))
    if not mutants:
        return found
    found = [statement for statement in found if statement.holds]
    for statement in found:
        if not statement.mutant:
            raise ValueError(
                f"statement {statement.id!r} has no mutant: say in Statement(mutant=...) what is wrong where its sides "
                "are called with True"
            )
    return found


def _require_known(codes: set[str]) -> None:
    unknown = sorted(codes - set(STATEMENTS))
    if unknown:
        folded = {name.casefold(): name for name in STATEMENTS}
        near = get_close_matches(unknown[0].casefold(), folded, n=3)
        near += [key for key in folded if key.startswith(f"{unknown[0].casefold()},") and key not in near]
        names = [folded[key] for key in near] or list(STATEMENTS)
        raise ValueError(
            f"unknown statement {', '.join(map(repr, unknown))}: choose {'one such as' if near else 'among'} "
            f"{', '.join(map(repr, names))}"
        )


def _parcel(statement: Statement) -> Parcel | None:
    """Return what a worker is sent of a statement, or None where it is of no use to another process."""
    if STATEMENTS.get(statement.id) is statement:
        return statement.id
    with contextlib.suppress(Exception):  # whatever a user's object raises, it stays here
        pickled = pickle.dumps(statement)
        # What a script or a notebook defines is in no module that a worker could import without running it again.
        return None if b"__main__" in pickled else pickled
    return None


@functools.lru_cache(maxsize=64)
def _opened(parcel: bytes) -> Statement | None:
    """Return the statement of a pickle that the driver has made; None where its module cannot be imported here."""
    try:
        found = pickle.loads(parcel)
    except Exception:
        return None
    return found if isinstance(found, Statement) else None


def _elsewhere(parcel: Parcel, start: int, stop: int, seed: int, mutants: bool) -> Tally | None:
    """Check some instances in a worker; None where the statement cannot be had there."""
    statement = STATEMENTS[parcel] if isinstance(parcel, str) else _opened(parcel)
    return None if statement is None else check(statement, start, stop, seed, mutants)


def verify(
    statements: Sequence[str | Statement] | None = None,
    *,
    instances: int = 200,
    seed: int = 0,
    jobs: int | None = None,
    mutants: bool = False,
    progress: Callable[[int, int], None] | None = None,
) -> list[StatementResult]:
    """Check statements on random instances.

    A statement of your own is checked by the same rules as those of the theory. Its functions run in worker processes
    if they are defined in a module that can be imported. What only this process has (a lambda, a function of a notebook
    or of a script itself) is checked here, while the workers check the rest: it takes longer, and nothing is refused.

    Parameters
    ----------
    statements : sequence of str and Statement, optional
        Codes of the theory's statements, and statements of your own; default all of the theory.
    instances : int
        Random instances of each statement, beside its extremal ones; simulations take a share of it.
    seed : int
        Root of all random streams: an instance depends on it, the statement's code and its number only.
    jobs : int, optional
        Processes; default as many as there are processors. The result does not depend on it.
    mutants : bool
        Check the statements' mutants instead; a result then passes if the fault is caught.
    progress : callable, optional
        Called with (instances just checked, instances in all).

    Returns
    -------
    list of StatementResult
        In the order given, each statement once; by default that of the registry.

    Raises
    ------
    ValueError
        If a code is unknown or taken, a mutant is missing, a number is out of range, sides are not `Sides` of two
        numbers, or a function of a statement raises; the statement is named.
    OSError
        If a process dies.

    Examples
    --------
    >>> [result] = verify(["P2+"], instances=20, jobs=1)
    >>> result.violations, round(result.largest_ratio, 6)
    (0, 1.0)
    """
    for name, value in (("instances", instances), ("jobs", 1 if jobs is None else jobs)):
        checks.whole(name, value)
    checks.whole("seed", seed, 0, give="a whole number, at least 0")
    wanted = chosen(statements, mutants)
    chunks = []
    for statement in wanted:
        total = statement.count(instances)
        size = max(1, min(round(2000 * statement.share), -(-total // 8)))
        chunks += [Chunk(statement, i, min(i + size, total)) for i in range(0, total, size)]
    whole = sum(chunk.stop - chunk.start for chunk in chunks)
    workers = min(len(chunks), jobs or processors())
    tallies: dict[str, list[Tally]] = {}

    def take(chunk: Chunk, tally: Tally | None) -> None:
        if tally is None:
            tally = check(*chunk, seed, mutants)
        tallies.setdefault(chunk.statement.id, []).append(tally)
        if progress is not None:
            progress(tally.instances, whole)

    parcels = {statement: _parcel(statement) for statement in wanted} if workers > 1 else {}
    # The dear ones first, so that no worker is left with them at the end; counted as soon as they are done.
    there = sorted((c for c in chunks if parcels.get(c.statement) is not None), key=lambda c: c.statement.share)
    try:
        with Pool(workers) as pool:
            futures = {}
            for chunk in there:
                parcel = parcels[chunk.statement]
                assert parcel is not None
                futures[pool.submit(_elsewhere, parcel, chunk.start, chunk.stop, seed, mutants)] = chunk
            for chunk in chunks:
                if parcels.get(chunk.statement) is None:
                    take(chunk, None)
            for done in as_completed(futures):
                take(futures[done], done.result())
    except BrokenProcessPool:
        raise OSError(
            f"one of {workers} worker processes was killed, or ran out of memory: use fewer jobs, and run again"
        ) from None
    return [summary(statement, sorted(tallies[statement.id]), seed, mutants) for statement in wanted]
