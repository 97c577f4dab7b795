"""What a statement is, and how it is checked on many instances."""

from __future__ import annotations

import math
import zlib
from collections.abc import Callable, Sequence
from concurrent.futures import as_completed
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any, NamedTuple

import numpy as np
import scipy.stats
from numpy.typing import ArrayLike

from rfos._system import checks
from rfos._system.processes import Pool
from rfos._system.threads import processors

TOLERANCE = 1e-9
"""Excess of the left side, relative to 1 + the right side, that counts as rounding."""

FALSE_ALARM = 1e-9
"""Chance that one simulated instance of a true statement, or all of its instances together, are called a violation."""


class Sides(NamedTuple):
    """Both sides of left <= right on one instance.

    Attributes
    ----------
    left, right : float
    failures, trials : int
        Of a simulation: runs, and how many of them exceeded the right side.
    allowed : float
        Of a simulation: the failure probability that the statement allows.
    """

    left: float
    right: float
    failures: int = 0
    trials: int = 0
    allowed: float = 0.0

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


def certain_rate(failures: int, trials: int) -> float:
    """Return the exact (Clopper-Pearson) lower limit of a failure probability, which is right but for `FALSE_ALARM`.

    Examples
    --------
    >>> certain_rate(0, 100), round(certain_rate(90, 100), 2)
    (0.0, 0.63)
    """
    return float(scipy.stats.beta.ppf(FALSE_ALARM, failures, trials - failures + 1)) if failures else 0.0


def fewest_failures(trials: int, allowed: float) -> int:
    """Return how many failures have chance `FALSE_ALARM` at most if the allowed probability is the true one.

    Examples
    --------
    >>> fewest_failures(400, 0.05), fewest_failures(40, 0.05)
    (52, 15)
    """
    return int(scipy.stats.binom.isf(FALSE_ALARM, trials, allowed)) + 1


def quantile_sides(values: ArrayLike, right: float, allowed: float) -> Sides:
    """Return the sides of Pr(value > right) <= allowed, from independent values.

    The left side is the largest number of which it is certain, but for `FALSE_ALARM`, that the values reach it with
    more than the allowed probability: so many of them do that as many failures would not be by chance. So left > right
    exactly where the exact binomial test rejects, and left/right tells how much smaller the right side could be.

    Examples
    --------
    Of 40 fair dice 15 or more would have to exceed the bound to refute that one in 20 does; 14 show more than 4:

    >>> quantile_sides([1] * 6 + [2] * 8 + [3] * 6 + [4] * 6 + [5] * 7 + [6] * 7, 6, 0.05)
    Sides(left=4.0, right=6.0, failures=0, trials=40, allowed=0.05)
    """
    found = np.sort(np.asarray(values, np.float64))
    needed = fewest_failures(len(found), allowed)
    left = float(found[-needed]) if needed <= len(found) else 0.0
    return Sides(left, float(right), int((found > right).sum()), len(found), allowed)


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
        The fault in words: a constant halved, a factor dropped, or as small a fault as the check can catch where the
        theorem is looser than that.
    extremal : tuple
        Instances on which the left side is (nearly) the right one; for false statements the counterexamples.
    share : float
        Instances drawn for each one asked for; simulations are dear.
    probabilistic : bool
        Whether an instance is a simulation, judged by `quantile_sides`.
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
        Instances that violate it; one more where a simulated statement fails more often on all of them together than
        it allows on average.
    passed : bool
        No violation; for a false statement, at least one; with a planted fault, at least one.
    failures, trials : int
        Of simulated statements: runs, and those that exceeded the bound.
    allowed : float
        Of simulated statements: the probability with which a run may exceed it, on average.
    """

    id: str
    title: str
    holds: bool
    instances: int
    largest_ratio: float
    reached_by: str
    violations: int
    passed: bool
    failures: int = 0
    trials: int = 0
    allowed: float = 0.0

    @property
    def smallest_fault(self) -> float | None:
        """The factor by which the right side would have to be too small to be caught; None for equalities."""
        return 1 / self.largest_ratio if self.largest_ratio > 0 else None

    @property
    def checked(self) -> str:
        """What was checked, in words."""
        if not self.trials:
            return f"{self.instances:,} instance{'s' if self.instances > 1 else ''}"
        return f"{self.failures:,} of {self.trials:,} runs failed, {100 * self.allowed:.3g} % allowed"


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
    failures: int
    trials: int
    allowed: float


def _check_chunk(chunk: _Chunk) -> _Tally:
    from rfos.laboratory.verification.registry import STATEMENTS

    statement = STATEMENTS[chunk.id]
    violations, best, at = 0, -math.inf, chunk.start
    failures, trials, allowed = 0, 0, 0.0
    for number in range(chunk.start, chunk.stop):
        sides = statement.sides(statement.instance(chunk.seed, number), chunk.planted)
        violations += sides.violated
        failures += sides.failures
        trials += sides.trials
        allowed += sides.trials * sides.allowed
        if sides.ratio > best:
            best, at = sides.ratio, number
    return _Tally(chunk.id, chunk.stop - chunk.start, violations, best, at, failures, trials, allowed)


def _row(name: str, mine: Sequence[_Tally], seed: int, planted: bool) -> Row:
    from rfos.laboratory.verification.registry import STATEMENTS

    statement = STATEMENTS[name]
    worst = max(mine, key=lambda tally: (tally.ratio, -tally.number))
    violations = sum(tally.violations for tally in mine)
    failures, trials = sum(tally.failures for tally in mine), sum(tally.trials for tally in mine)
    # Sums of independent failures have no heavier upper tail than if all had the mean probability (Hoeffding 1956).
    allowed = math.fsum(tally.allowed for tally in mine) / trials if trials else 0.0
    violations += certain_rate(failures, trials) > allowed
    return Row(
        id=name,
        title=statement.title,
        holds=statement.holds,
        instances=sum(tally.instances for tally in mine),
        largest_ratio=worst.ratio,
        reached_by=_describe(statement, seed, worst.number),
        violations=violations,
        passed=(violations == 0) == (statement.holds and not planted),
        failures=failures,
        trials=trials,
        allowed=allowed,
    )


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
    OSError
        If a process dies.

    Examples
    --------
    >>> [row] = verify(["P2+"], instances=20, jobs=1)
    >>> row.violations, round(row.largest_ratio, 6)
    (0, 1.0)
    """
    from rfos.laboratory.verification.registry import STATEMENTS

    for name, value in (("instances", instances), ("jobs", 1 if jobs is None else jobs)):
        checks.whole(name, value)
    checks.whole("seed", seed, 0, give="a whole number, at least 0")
    chosen = list(STATEMENTS) if ids is None else [name for name in STATEMENTS if name in set(ids)]
    unknown = sorted(set(ids or ()) - set(STATEMENTS))
    if unknown:
        folded = {name.casefold(): name for name in STATEMENTS}
        near = get_close_matches(unknown[0].casefold(), folded, n=3)
        near += [key for key in folded if key.startswith(f"{unknown[0].casefold()},") and key not in near]
        names = [folded[key] for key in near] or list(STATEMENTS)
        raise ValueError(
            f"unknown statement {', '.join(map(repr, unknown))}: choose {'one such as' if near else 'among'} "
            f"{', '.join(map(repr, names))}"
        )
    chunks = []
    for name in chosen:
        statement = STATEMENTS[name]
        if planted and not statement.holds:
            continue
        total = statement.count(instances)
        size = max(1, min(round(2000 * statement.share), -(-total // 8)))
        chunks += [_Chunk(name, seed, i, min(i + size, total), planted) for i in range(0, total, size)]
    whole = sum(chunk.stop - chunk.start for chunk in chunks)
    workers = min(len(chunks), jobs or processors())
    tallies: list[_Tally] = []

    def take(tally: _Tally) -> None:
        tallies.append(tally)
        if progress is not None:
            progress(tally.instances, whole)

    if workers <= 1:
        for chunk in chunks:
            take(_check_chunk(chunk))
    else:
        # The dear ones first, so that no worker is left with them at the end; counted as soon as they are done.
        chunks.sort(key=lambda chunk: STATEMENTS[chunk.id].share)
        try:
            with Pool(workers) as pool:
                for done in as_completed([pool.submit(_check_chunk, chunk) for chunk in chunks]):
                    take(done.result())
        except BrokenProcessPool:
            raise OSError(
                f"one of {workers} worker processes was killed, or ran out of memory: use fewer jobs, and run again"
            ) from None
    return [
        _row(name, mine, seed, planted)
        for name in chosen
        if (mine := [tally for tally in sorted(tallies) if tally.id == name])
    ]
