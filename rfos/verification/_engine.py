"""What a statement is, and how it is checked on many instances."""

from __future__ import annotations

import math
import os
import zlib
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from typing import Any, NamedTuple

import numpy as np
import scipy.stats

TOLERANCE = 1e-9
"""Excess of the left side, relative to 1 + the right side, that counts as rounding."""

FALSE_ALARM = 1e-9
"""Chance that one simulated instance of a true probabilistic statement is called a violation."""


class Sides(NamedTuple):
    """Both sides of left <= right on one instance."""

    left: float
    right: float

    @property
    def violated(self) -> bool:
        """Whether the left side exceeds the right one by more than rounding."""
        return not self.left <= self.right + TOLERANCE * (1 + abs(self.right))

    @property
    def ratio(self) -> float:
        """Left over right; 0 where the left side is rounding."""
        if self.left <= TOLERANCE:
            return 0.0
        return self.left / self.right if self.right > 0 else math.inf


def rate_sides(failures: int, trials: int, allowed: float) -> Sides:
    """Return the exact (Clopper-Pearson) lower limit of a failure probability against the one that is allowed.

    The limit exceeds the true probability with chance `FALSE_ALARM` at most.

    Examples
    --------
    >>> rate_sides(0, 100, 0.05)
    Sides(left=0.0, right=0.05)
    >>> rate_sides(90, 100, 0.05).violated
    True
    """
    low = float(scipy.stats.beta.ppf(FALSE_ALARM, failures, trials - failures + 1)) if failures else 0.0
    return Sides(low, float(allowed))


@dataclass(frozen=True)
class Statement:
    """An inequality, instances of it, and a fault that the check must catch.

    Attributes
    ----------
    id : str
        As in the theory: "P2+".
    title, latex : str
        In words, and as a formula.
    assumptions : tuple of str
        What the sampled instances satisfy.
    sample : callable
        (numpy Generator) -> instance.
    sides : callable
        (instance, planted) -> Sides; with `planted` the statement carries the fault.
    planted : str
        The fault in words.
    extremal : tuple
        Instances on which the left side is (nearly) the right one; for false statements the counterexamples.
    share : float
        Instances drawn for each one asked for; simulations are dear.
    probabilistic : bool
        Whether an instance is a simulation, judged by `rate_sides`.
    holds : bool
        False for statements that are not true: then at least one instance must violate it.
    """

    id: str
    title: str
    latex: str
    assumptions: tuple[str, ...]
    sample: Callable[[np.random.Generator], Any]
    sides: Callable[[Any, bool], Sides]
    planted: str
    extremal: tuple[Any, ...] = ()
    share: float = 1.0
    probabilistic: bool = False
    holds: bool = True

    def instance(self, seed: int, number: int) -> Any:
        """Return instance `number`: the extremal ones first, then one that depends on (id, seed, number) alone."""
        if number < len(self.extremal):
            return self.extremal[number]
        key = (zlib.crc32(self.id.encode()), number)
        return self.sample(np.random.default_rng(np.random.SeedSequence(seed, spawn_key=key)))

    def count(self, instances: int) -> int:
        """Return how many instances a request for `instances` brings."""
        if not self.holds:
            return len(self.extremal)
        return len(self.extremal) + max(1, round(instances * self.share))


@dataclass(frozen=True)
class Row:
    """The result of checking one statement.

    Attributes
    ----------
    id, title : str
    holds : bool
        Whether the statement is meant to hold.
    instances : int
    largest_ratio : float
        Largest left side / right side.
    reached_by : str
        The instance that reached it: its number, and its parameters.
    violations : int
    passed : bool
        No violation; for a false statement, at least one; with a planted fault, at least one.
    """

    id: str
    title: str
    holds: bool
    instances: int
    largest_ratio: float
    reached_by: str
    violations: int
    passed: bool


class _Chunk(NamedTuple):
    id: str
    seed: int
    start: int
    stop: int
    planted: bool


class _Tally(NamedTuple):
    id: str
    instances: int
    violations: int
    ratio: float
    number: int


def _check_chunk(chunk: _Chunk) -> _Tally:
    from rfos.verification import STATEMENTS

    statement = STATEMENTS[chunk.id]
    violations, best, at = 0, -math.inf, chunk.start
    for number in range(chunk.start, chunk.stop):
        sides = statement.sides(statement.instance(chunk.seed, number), chunk.planted)
        violations += sides.violated
        if sides.ratio > best:
            best, at = sides.ratio, number
    return _Tally(chunk.id, chunk.stop - chunk.start, violations, best, at)


def _describe(statement: Statement, seed: int, number: int) -> str:
    instance = statement.instance(seed, number)
    text = str(getattr(instance, "label", instance))
    text = text if len(text) <= 60 else text[:57] + "..."
    return f"#{number} {text}"


def verify(
    ids: Sequence[str] | None = None,
    *,
    instances: int = 200,
    seed: int = 0,
    jobs: int | None = None,
    planted: bool = False,
    progress: Callable[[int, int], None] | None = None,
) -> list[Row]:
    """Check statements on random instances.

    Parameters
    ----------
    ids : sequence of str, optional
        Which; default all.
    instances : int
        Random instances of each statement, beside its extremal ones; simulations take a share of it.
    seed : int
        Root of all random streams: an instance depends on it, the statement and its number only.
    jobs : int, optional
        Processes; default as many as there are processors. The result does not depend on it.
    planted : bool
        Check the statements with their planted faults instead; a row then passes if the fault is caught.
    progress : callable, optional
        Called with (instances just checked, instances in all).

    Returns
    -------
    list of Row
        In the order of the registry.

    Raises
    ------
    ValueError
        If an id is unknown or a number is out of range.

    Examples
    --------
    >>> [row] = verify(["P2+"], instances=20, jobs=1)
    >>> row.violations, round(row.largest_ratio, 6)
    (0, 1.0)
    """
    from rfos.verification import STATEMENTS

    for name, value in (("instances", instances), ("jobs", 1 if jobs is None else jobs)):
        if isinstance(value, bool) or not isinstance(value, int | np.integer) or value < 1:
            raise ValueError(f"{name} is {value!r}: give a whole number of at least 1")
    if isinstance(seed, bool) or not isinstance(seed, int | np.integer) or seed < 0:
        raise ValueError(f"seed is {seed!r}: give a whole number, at least 0")
    chosen = list(STATEMENTS) if ids is None else [name for name in STATEMENTS if name in set(ids)]
    unknown = sorted(set(ids or ()) - set(STATEMENTS))
    if unknown:
        raise ValueError(
            f"unknown statement {', '.join(map(repr, unknown))}: choose among {', '.join(map(repr, STATEMENTS))}"
        )
    chunks = []
    for name in chosen:
        statement = STATEMENTS[name]
        if planted and not statement.holds:
            continue
        total = statement.count(instances)
        size = max(1, min(2000, -(-total // 8)))
        chunks += [_Chunk(name, seed, i, min(i + size, total), planted) for i in range(0, total, size)]
    whole = sum(chunk.stop - chunk.start for chunk in chunks)
    workers = min(len(chunks), jobs or os.cpu_count() or 1)
    tallies: list[_Tally] = []

    def take(tally: _Tally) -> None:
        tallies.append(tally)
        if progress is not None:
            progress(tally.instances, whole)

    if workers <= 1:
        for chunk in chunks:
            take(_check_chunk(chunk))
    else:
        # The dear ones first, so that no worker is left with them at the end.
        chunks.sort(key=lambda chunk: STATEMENTS[chunk.id].share)
        with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
            for tally in pool.map(_check_chunk, chunks):
                take(tally)
    rows = []
    for name in chosen:
        mine = [tally for tally in tallies if tally.id == name]
        if not mine:
            continue
        statement = STATEMENTS[name]
        worst = max(mine, key=lambda tally: (tally.ratio, -tally.number))
        violations = sum(tally.violations for tally in mine)
        rows.append(
            Row(
                id=name,
                title=statement.title,
                holds=statement.holds,
                instances=sum(tally.instances for tally in mine),
                largest_ratio=worst.ratio,
                reached_by=_describe(statement, seed, worst.number),
                violations=violations,
                passed=(violations == 0) == (statement.holds and not planted),
            )
        )
    return rows
