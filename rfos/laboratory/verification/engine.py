"""What a statement is, and how it is checked on many instances. It knows no statement: `registry` lists them."""

from __future__ import annotations

import math
import numbers
import zlib
from collections.abc import Callable, Sequence
from dataclasses import KW_ONLY, dataclass
from typing import Any, NamedTuple

import numpy as np
import scipy.stats
from numpy.typing import ArrayLike

from rfos._system import checks

TOLERANCE = 1e-9
"""Excess of the left side, relative to 1 + the right side, that counts as rounding."""

ATTAINED = 1e-4
"""A largest ratio this far below 1, or less, counts as an equality."""

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


@dataclass(frozen=True, eq=False)
class Statement:
    """An inequality left <= right, instances of it, and a mutant: a fault in it that the check must catch.

    Attributes
    ----------
    id : str
        Its code, as in the theory: "P2+". No two statements that are checked together have the same one.
    title : str
        What it says, in words.
    sample : callable
        (numpy Generator) -> instance, anything; what its `label` or else its text says is printed.
    sides : callable
        (instance, mutant) -> Sides; where `mutant` is true the right side carries the fault.
    latex : str
        As a formula.
    assumptions : tuple of str
        What the sampled instances satisfy.
    mutant : str
        The fault in words: a constant halved, a factor dropped, or as small a fault as the check can catch where the
        theorem is looser than that. Empty where there is none.
    extremal : tuple
        Instances on which the left side is (nearly) the right one; for false statements the counterexamples.
    share : float
        Instances drawn for each one asked for; simulations are dear.
    probabilistic : bool
        Whether an instance is a simulation, judged by `quantile_sides`.
    holds : bool
        False for statements that are not true: then at least one instance must violate it.
    attained : bool
        Whether some instance makes it an equality, but for rounding; a check in which none does fails, so that one
        belongs into `extremal`.
    detects : (float, float), optional
        Where it is not attained: ends between which the factor lies by which the right side may be too small without
        being reported, on the extremal instances.
    source : str
        Theorem, paper and number; default that of the bound with the same label.

    Raises
    ------
    ValueError
        If a field cannot be what it is: one sentence.

    Examples
    --------
    The mean of two numbers is at least their geometric mean, and an equality where they are equal:

    >>> mine = Statement(
    ...     "AM-GM",
    ...     "arithmetic and geometric mean",
    ...     sample=lambda rng: rng.random(2),
    ...     sides=lambda x, mutant: Sides((x[0] * x[1]) ** 0.5, (x[0] + x[1]) / (3 if mutant else 2)),
    ...     mutant="a third for a half",
    ...     extremal=((1.0, 1.0),),
    ...     attained=True,
    ... )
    >>> mine.kind, mine.sides(mine.extremal[0], False).ratio
    ('exact', 1.0)
    """

    id: str
    title: str
    _: KW_ONLY
    sample: Callable[[np.random.Generator], Any]
    sides: Callable[[Any, bool], Sides]
    latex: str = ""
    assumptions: tuple[str, ...] = ()
    mutant: str = ""
    extremal: tuple[Any, ...] = ()
    share: float = 1.0
    probabilistic: bool = False
    holds: bool = True
    attained: bool = False
    detects: tuple[float, float] | None = None
    source: str = ""

    def __post_init__(self) -> None:
        """Check the fields."""
        for name in ("id", "title"):
            text = getattr(self, name)
            if not isinstance(text, str) or not text.strip() or not text.isprintable():
                raise ValueError(f"{name} of a statement is {text!r}: give a text on one line")
        for name in ("sample", "sides"):
            checks.function(f"{name} of statement {self.id!r}", getattr(self, name), "give a function")
        checks.kind(f"extremal of statement {self.id!r}", self.extremal, tuple, mend="give a tuple of instances")
        if not 0 < self.share < math.inf:
            raise ValueError(f"share of statement {self.id!r} is {self.share!r}: give a number above 0")
        if not (self.holds or self.extremal):
            raise ValueError(f"statement {self.id!r} does not hold and has no counterexample: give it in extremal")

    @property
    def kind(self) -> str:
        """How it is checked: "exact", "simulated", or "false" where it does not hold."""
        return "false" if not self.holds else "simulated" if self.probabilistic else "exact"

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
class StatementResult:
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
        No violation, and an equality met where the statement is said to be attained; for a false statement, at least
        one violation; with a mutant, at least one.
    failures, trials : int
        Of simulated statements: runs, and those that exceeded the bound.
    allowed : float
        Of simulated statements: the probability with which a run may exceed it, on average.
    unattained : bool
        Whether the statement is said to be attained, and no instance made it an equality, extremal ones included.
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
    unattained: bool = False

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


class Tally(NamedTuple):
    """What came of some instances of a statement: those from `start` on.

    Attributes
    ----------
    start, instances, violations : int
    ratio : float
        Largest left side / right side.
    number : int
        The instance that reached it.
    failures, trials : int
        Of simulations.
    allowed : float
        Of simulations: runs that may fail, on average.
    """

    start: int
    instances: int
    violations: int
    ratio: float
    number: int
    failures: int
    trials: int
    allowed: float


def check(statement: Statement, start: int, stop: int, seed: int, mutant: bool) -> Tally:
    """Check the instances of a statement from `start` to `stop` - 1.

    Parameters
    ----------
    statement : Statement
    start, stop : int
    seed : int
        Root of the random streams.
    mutant : bool
        Check its mutant instead.

    Raises
    ------
    ValueError
        If its sides are not `Sides` of two numbers, or one of its functions raises.
    """
    violations, best, at = 0, -math.inf, start
    failures, trials, allowed = 0, 0, 0.0
    for number in range(start, stop):
        sides = _sides(statement, seed, number, mutant)
        violations += sides.violated
        failures += sides.failures
        trials += sides.trials
        allowed += sides.trials * sides.allowed
        if sides.ratio > best:
            best, at = sides.ratio, number
    return Tally(start, stop - start, violations, best, at, failures, trials, allowed)


def _sides(statement: Statement, seed: int, number: int, mutant: bool) -> Sides:
    """Return the sides of an instance, as a user's functions give them, checked."""
    what = "sample"
    try:
        instance = statement.instance(seed, number)
        what = "sides"
        sides = statement.sides(instance, mutant)
    except (Exception, SystemExit) as error:
        said = " ".join(f"{type(error).__name__}: {error}".split())
        raise ValueError(
            f"{what} of statement {statement.id!r} raised {said} for instance {number}: mend it"
        ) from error
    if not isinstance(sides, Sides):
        raise ValueError(
            f"sides of statement {statement.id!r} returned {type(sides).__name__} for instance {number}: "
            "return Sides(left, right)"
        )
    for name, value in (("left", sides.left), ("right", sides.right)):
        if isinstance(value, bool) or not isinstance(value, numbers.Real) or math.isnan(value):
            shown = " ".join(repr(value).split())
            raise ValueError(
                f"sides of statement {statement.id!r} have {name} = {shown[:60]} for instance {number}: give a number"
            )
    if statement.probabilistic and not sides.trials:
        raise ValueError(
            f"statement {statement.id!r} is probabilistic, and its sides have no trials: return "
            "quantile_sides(values, right, delta), or leave probabilistic out"
        )
    return sides


def summary(statement: Statement, tallies: Sequence[Tally], seed: int, mutant: bool) -> StatementResult:
    """Return what all instances of a statement say together.

    Parameters
    ----------
    statement : Statement
    tallies : sequence of Tally
        In the order of the instances, at least one.
    seed : int
    mutant : bool
    """
    worst = max(tallies, key=lambda tally: (tally.ratio, -tally.number))
    violations = sum(tally.violations for tally in tallies)
    failures, trials = sum(tally.failures for tally in tallies), sum(tally.trials for tally in tallies)
    # Sums of independent failures have no heavier upper tail than if all had the mean probability (Hoeffding 1956).
    allowed = math.fsum(tally.allowed for tally in tallies) / trials if trials else 0.0
    violations += certain_rate(failures, trials) > allowed
    claims = statement.attained and statement.holds and not mutant
    unattained = claims and violations == 0 and worst.ratio < 1 - ATTAINED
    return StatementResult(
        id=statement.id,
        title=statement.title,
        holds=statement.holds,
        instances=sum(tally.instances for tally in tallies),
        largest_ratio=worst.ratio,
        reached_by=_describe(statement, seed, worst.number),
        violations=violations,
        passed=(violations == 0) == (statement.holds and not mutant) and not unattained,
        unattained=unattained,
        failures=failures,
        trials=trials,
        allowed=allowed,
    )


def _describe(statement: Statement, seed: int, number: int) -> str:
    instance = statement.instance(seed, number)
    text = str(getattr(instance, "label", instance))
    text = text if len(text) <= 60 else text[:57] + "..."
    return f"#{number} {text}"
