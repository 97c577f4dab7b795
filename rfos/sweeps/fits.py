"""How fast what was measured grows in each variable, beside how fast the bound grows at the same points.

The slope of the mean log of the runs against the log of the variable has an interval from the runs' spread: Student's
over one slope a seed, which holds from two seeds on, with the bootstrap's beside it. The least sufficient m is no
number that spreads but one that a search encloses: its slopes are all those of values within the intervals. The bound's
exponent is its elasticity at the points; between them a smooth bound's slope lies between its elasticities.
"""

from __future__ import annotations

import functools
import json
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import optimize, stats

import bounds.exploration
import bounds.rmax
import bounds.sharp
from bounds import symbols
from bounds.bound import Bound
from bounds.substitution import substituted
from rfos.rmax import PLANNING_SHARE, Progress
from rfos.sweeps.cells import Cell
from rfos.sweeps.rows import Row
from rfos.sweeps.tables import NAMES, cell_of

ALIKE = 0.1
"""Exponents that differ by no more count as the same."""

FEWEST_POINTS = 3
"""Points below which a slope says nothing about a power law."""

WRONG = 0.05
"""Chance that an interval of a slope is wrong, at most."""

AS_BOUND, SLOWER, FASTER, UNDECIDED = "as the bound", "slower", "faster", "undecided"

SAME = 1e-12
"""Slopes that differ by no more are equal but for rounding."""

SHOWN = 0.005
"""Smallest bend that shows in two decimals."""

Values = Mapping[str, Any]
Float = NDArray[np.float64]


@dataclass(frozen=True)
class Variable:
    """A variable of the theory as fits use it.

    Attributes
    ----------
    label : str
        What stands on the axis.
    x : callable
        The variable at a point.
    scale : callable
        What an elasticity in the theory's symbol is multiplied with to be one in x.
    moved_by : tuple of str
        Variables of a cell that move it, which therefore need not be equal along a line.
    """

    label: str
    x: Callable[[Values], float]
    scale: Callable[[Values], float]
    moved_by: tuple[str, ...]


def _itself(name: str, label: str, *moved_by: str) -> Variable:
    return Variable(label, lambda v: float(v[name]), lambda _: 1.0, moved_by)


VARIABLES: Mapping[str, Variable] = {
    "n_states": _itself("n_states", "meta-states |S|", "window", "levels"),
    "n_actions": _itself("n_actions", "meta-actions |A|", "game", "window", "levels"),
    "branching": _itself("branching", "successors B", "game", "window", "levels"),
    "epsilon": Variable("1/epsilon", lambda v: 1 / v["epsilon"], lambda _: -1.0, ("epsilon",)),
    "delta": Variable("ln(1/delta)", lambda v: -math.log(v["delta"]), lambda v: math.log(v["delta"]), ("delta",)),
    "discount": Variable(
        "1/(1-discount)",
        lambda v: 1 / (1 - v["discount"]),
        lambda v: (1 - v["discount"]) / v["discount"] if v["discount"] else math.nan,
        ("discount",),
    ),
    "m": _itself("m", "visits m", "m"),
}

LEAST_M = "least_m"
"""Known as the interval from m_low to m_high."""

QUANTITIES: Mapping[str, Mapping[str, str]] = {
    "run": {"steps_all_known": "steps until all pairs are known"},
    "ledger": {
        "count_most": "steps that are not epsilon-optimal",
        "exploration_high": "sum of e_t",
    },
    "least-m": {LEAST_M: "least sufficient m"},
}
"""What is fitted, by measurement: the number in the result, and what it is called."""

NAMES_OF: Mapping[str, str] = {name: words for of in QUANTITIES.values() for name, words in of.items()}
"""Quantities in words."""

SIZES = ("n_states", "n_actions", "branching", "r_max")

PAPER_SCHEDULE = ("paper", "rmax-paper-m")
"""Agents with the m of the paper's schedule, which does not look at the range of rewards."""


def bound_of(quantity: str, cell: Cell, sizes: Values) -> tuple[Bound, dict[str, Any]] | None:
    """Return the bound of a quantity at a cell's point with the values of its symbols, or None where there is none.

    Parameters
    ----------
    quantity : str
        One of `QUANTITIES`.
    cell : Cell
    sizes : mapping
        The result's n_states, n_actions, branching and r_max, and for what a ledger counts its theorem.
    """
    values = {**sizes, "horizon": cell.horizon, "epsilon": cell.epsilon, "delta": cell.delta, "discount": cell.discount}
    pooled = cell.agent == "rmax-pooled"
    found: Bound | None
    if quantity == LEAST_M:
        found = None if cell.levels is not None else bounds.rmax.t1(pooled=pooled).m
    elif quantity == "count_most":
        found = _count(cell, sizes["theorem"])
    elif quantity == "exploration_high":  # X1 holds for every m, without restarts
        found = _x1(_schedule(cell)) if cell.horizon is None and cell.agent != "paper" else None
    else:  # X4 is about random restarts
        found = _x4(_schedule(cell), cell.agent == "paper") if cell.horizon is not None else None
    if found is None:
        return None
    values["m"] = 1 if cell.m is None else cell.m
    values |= _shares(cell)
    if pooled:
        values["n_actions"] = 1  # a row is a meta-state, as if there were one action
    return found, {name: value for name, value in values.items() if name in found.symbols}


def _shares(cell: Cell) -> dict[str, Any]:
    """Return the shares of epsilon that the agent's schedule takes."""
    if cell.agent == "rmax-episode":
        return bounds.rmax.default_weights("episodic")
    if cell.horizon is None:
        return bounds.rmax.default_weights("continuing")
    return {"w_plan": PLANNING_SHARE, "w_sim": 1 - PLANNING_SHARE}


def _schedule(cell: Cell) -> Bound | None:
    """Return the agent's schedule of m, or None where m is given, or 1 since a visit reveals a pair's law."""
    if cell.m is not None or cell.levels is not None:
        return None
    if cell.agent in PAPER_SCHEDULE:
        return bounds.rmax.paper_m()
    if cell.agent == "rmax-episode":
        return bounds.rmax.t1_episodic().m
    return bounds.rmax.t1(pooled=cell.agent == "rmax-pooled").m


def _count(cell: Cell, theorem: str | None) -> Bound | None:
    """Return the bound of the steps that are not epsilon-optimal by the theorem that covers the run."""
    if theorem == "X4":
        return _x4(_schedule(cell), False)
    if theorem == "T1'":
        return bounds.sharp.t1_deterministic().steps
    if theorem == "T1' with X1":
        return bounds.sharp.t1_observed().steps
    if cell.m is not None or theorem is None:
        return None
    if theorem == "T1-ep":
        return bounds.rmax.t1_episodic().episodes
    return bounds.rmax.t1(pooled=cell.agent == "rmax-pooled").steps


@functools.cache
def _x4(visits: Bound | None, softmax: bool) -> Bound:
    return bounds.rmax.x4(softmax).steps if visits is None else bounds.rmax.x4_scheduled(visits, softmax)


@functools.cache
def _x1(visits: Bound | None) -> Bound:
    """Return X1 with all the visits that make pairs known."""
    m = symbols.m if visits is None else visits.expression
    label = "X1" if visits is None else f"X1, m of {visits.label}"
    k0 = symbols.n_states * symbols.n_actions * m
    return substituted(bounds.exploration.x1(), {symbols.explorations: k0}, name="sum of e_t", label=label)


class Slope(NamedTuple):
    """A log-log slope with its 95 % interval, and how far the points are from one line.

    Attributes
    ----------
    slope, low, high : float
        The interval is NaN where the runs do not give one.
    misfit : float
        Largest factor between a point and the line; of intervals, between one of them and the line that is nearest to
        all. 1 where a power law fits.
    bend : float
        How far the slope from the first to the last point may be from that of the line, for such a factor.
    lacks : str
        Why there is no interval.
    """

    slope: float
    low: float
    high: float
    misfit: float
    bend: float
    lacks: str = ""


def _centred(x: Sequence[float]) -> tuple[Float, Float]:
    """Return the logs without their mean, and the weights of logs of y in a least-squares slope."""
    log_x = np.log(np.asarray(x, np.float64))
    log_x -= log_x.mean()
    return log_x, log_x / (log_x @ log_x)


def slope(x: Sequence[float], samples: Sequence[Sequence[float]], resolution: Sequence[float] | None = None) -> Slope:
    """Return the slope of mean log against log x with its 95 % interval over runs.

    Runs of different points have independent streams, so that the i-th runs of all points give a slope each, and these
    are independent and alike: Student's interval of their mean is exact where logs are normal, whatever their spread at
    each point. The interval reaches to the ends of the percentile bootstrap's over the runs of each point, too, which
    alone covers 72 % for 2 runs, 85 % for 3 and 88 % for 5. Where all seeds have the same slope they show no spread,
    and there is no interval, unless rounding may have hidden it: where results are rounded, each seed's slope may be
    off by w, their mean too, and their standard deviation by w sqrt(n/(n-1)) for n seeds. The interval knows the spread
    between runs only, not whether a power law fits: `misfit` and `bend` do.

    Parameters
    ----------
    x : sequence of float
        The points, positive, at least two of them different.
    samples : sequence of sequences of float
        The runs' positive results at each point; as many as the shortest has are used.
    resolution : sequence of float, optional
        By how much the results at each point may be rounded; default not at all.

    Examples
    --------
    Two seeds with slopes 1.5 and 2.5: Student's factor for one degree of freedom is 12.7, the mean's error 0.5.

    >>> found = slope([1, 4], [[2, 2], [16, 64]])
    >>> [round(number, 2) for number in found[:5]]
    [2.0, -4.35, 8.35, 1.0, 0.0]

    Five seeds in the same bins, 4 +- 1 and 16 +- 0: their slopes may be off by w = ln(4/3)/ln 4 = 0.21.

    >>> found = slope([1, 4], [[4] * 5, [16] * 5], [1, 0])
    >>> [round(number, 2) for number in found[:3]]
    [1.0, 0.5, 1.5]
    """
    fewest = min(len(sample) for sample in samples)
    logs = np.log(np.array([list(sample)[:fewest] for sample in samples], np.float64))
    means = logs.mean(axis=1)
    log_x, weights = _centred(x)
    found = float(weights @ means)
    off = float(np.abs(means - means.mean() - found * log_x).max())
    misfit, bend = math.exp(off), 2 * off / float(np.ptp(log_x))
    if fewest < 2:
        return Slope(found, math.nan, math.nan, misfit, bend, "one run a point has no interval")
    each = weights @ logs
    rounded = 0.0 if resolution is None else _rounded(weights, np.exp(logs.min(axis=1)), np.array(resolution))
    if np.ptp(each) <= SAME * (1 + abs(found)) and rounded == 0:
        return Slope(found, math.nan, math.nan, misfit, bend, "all seeds have the same slope, and show no spread")
    spread = each.std(ddof=1) + rounded * math.sqrt(fewest / (fewest - 1))
    half = float(rounded + stats.t.ppf(1 - WRONG / 2, fewest - 1) * spread / math.sqrt(fewest))

    def of_means(*drawn: Float, axis: int = -1) -> Float:
        result: Float = np.tensordot(weights, np.stack([sample.mean(axis=axis) for sample in drawn]), axes=1)
        return result

    drawn = stats.bootstrap(
        tuple(logs), of_means, confidence_level=1 - WRONG, method="percentile", rng=np.random.default_rng(0)
    ).confidence_interval
    low, high = float(drawn.low) - rounded, float(drawn.high) + rounded
    return Slope(found, min(found - half, low), max(found + half, high), misfit, bend)


def _rounded(weights: Float, smallest: Float, resolution: Float) -> float:
    """Return by how much a slope may be off where results are rounded; infinite where one may be 0."""
    if (resolution >= smallest).any():
        return math.inf
    return float(np.abs(weights) @ -np.log1p(-resolution / smallest))


def slope_of_intervals(x: Sequence[float], low: Sequence[float], high: Sequence[float], wrong: float) -> Slope:
    """Return the slope of the middles of intervals, and the smallest and the largest slope of values within them.

    A slope is linear in the logs, so that both are those of ends. A bootstrap of values within the intervals cannot
    leave them.

    Parameters
    ----------
    x : sequence of float
        The points, positive, at least two of them different.
    low, high : sequence of float
        Ends of the intervals, positive.
    wrong : float
        Chance that some interval is wrong, at most; above 0.05 there is no interval of the slope.

    Examples
    --------
    From 1 or 2 at x = 1 to 4 at x = 4: as 4/2 or as 4/1.

    >>> slope_of_intervals([1, 4], [1, 4], [2, 4], 0.01)[1:3]
    (0.5, 1.0)
    """
    ends = np.log(np.array([low, high], np.float64))
    log_x, weights = _centred(x)
    found = float(weights @ ends.mean(axis=0))
    # Level and slope of the line, and how far it is outside of the intervals.
    line, outside = np.column_stack([np.ones_like(log_x), log_x]), -np.ones((len(log_x), 1))
    rows = np.block([[line, outside], [-line, outside]])
    nearest = optimize.linprog([0, 0, 1], rows, np.append(ends[1], -ends[0]), bounds=[(None, None)] * 2 + [(0, None)])
    assert nearest.x is not None  # a level line, far enough outside, is always one
    off = max(0.0, float(nearest.x[2]))
    misfit, bend = math.exp(off), 2 * off / float(np.ptp(log_x))
    if wrong > WRONG:
        why = f"some interval is wrong with chance up to {min(wrong, 1):.2g}: more seeds would make that smaller"
        return Slope(found, math.nan, math.nan, misfit, bend, why)
    extremes = np.sort(weights[:, None] * ends.T, axis=1).sum(axis=0)
    return Slope(found, float(extremes[0]), float(extremes[1]), misfit, bend)


def verdict(fit: Slope, exponents: Sequence[float], n_points: int) -> tuple[str, str]:
    """Return whether a slope is that of the bound, and why.

    The interval is first made wider by `bend`: where the points are on no line, the slope depends on how it is drawn.
    A verdict is wrong with chance 0.05 at most, if the runs' logs are normal.

    Parameters
    ----------
    fit : Slope
    exponents : sequence of float
        The bound's elasticities at the points; empty where there is no bound.
    n_points : int

    Examples
    --------
    >>> verdict(Slope(1.0, 0.97, 1.03, 1.0, 0.0), [1.9, 2.1], 4)[0]
    'slower'

    The same slope of points that are off their line by a factor 2 between x = 1 and 4, which is a bend of 1:

    >>> verdict(Slope(1.0, 0.97, 1.03, 2.0, 1.0), [1.9, 2.1], 4)[0]
    'undecided'
    """
    if not exponents or any(math.isnan(e) for e in exponents):
        return UNDECIDED, "no bound is stated for these runs"
    if n_points < FEWEST_POINTS:
        return UNDECIDED, f"{n_points} points; a power law needs {FEWEST_POINTS}"
    if fit.lacks:
        return UNDECIDED, fit.lacks
    low, high = min(exponents) - ALIKE, max(exponents) + ALIKE

    def where(margin: float) -> str:
        least, most = fit.low - margin, fit.high + margin
        if low <= least and most <= high:
            return AS_BOUND
        return SLOWER if most < low else FASTER if least > high else UNDECIDED

    found = where(fit.bend)
    own = f"the interval {fit.low:z.2f} to {fit.high:z.2f}"
    if fit.bend >= SHOWN:
        own += f", {fit.bend:z.2f} wider each way since points are off the line by a factor {fit.misfit:.2f},"
    theirs = f"the bound's {min(exponents):z.2f} to {max(exponents):z.2f}, {ALIKE:g} wider each way"
    if found == AS_BOUND and low <= 0 <= high and any(exponents):
        return UNDECIDED, f"the exponents are too small to tell: a constant, too, would lie within {theirs}"
    if found == UNDECIDED and where(0.0) != UNDECIDED:
        return UNDECIDED, f"no power law: {own} reaches over an end of {theirs}"
    said = {AS_BOUND: "lies within", SLOWER: "lies below", FASTER: "lies above", UNDECIDED: "reaches over an end of"}
    return found, f"{own} {said[found]} {theirs}"


class Fits(NamedTuple):
    """All fits of a store: one line per fit, and one line per point of each."""

    fits: pd.DataFrame
    points: pd.DataFrame

    def groups(self) -> list[tuple[str, str, pd.DataFrame]]:
        """Return quantity, variable and the fits of each pair that has any."""
        grouped = self.fits.groupby(["quantity", "variable"], sort=False)
        return [(str(quantity), str(variable), lines) for (quantity, variable), lines in grouped]


FIT_COLUMNS = (
    *("measure", "quantity", "variable", "held", "points", "runs", "slope", "low", "high", "misfit", "bend"),
    *("exponent_low", "exponent_high", "bound", "verdict", "reason"),
)
POINT_COLUMNS = ("fit", "x", "runs", "middle", "lowest", "highest", "log10_bound", "exponent")


def all_fits(rows: Iterable[Row]) -> Fits:
    """Fit every quantity against every variable along which the other variables are equal.

    A point at which some run has no logarithm (it failed, did not get so far, counted 0, or its search left the end
    open) is left out, and named in the reason.

    Parameters
    ----------
    rows : iterable of Row
        Of one version of the code.

    Returns
    -------
    Fits
        Slopes are of mean log against log variable; `held` says at which values of the others, as far as these vary.
    """
    records = []
    for row in rows:
        cell = cell_of(row)
        if cell.measure in QUANTITIES:
            records.append((cell, json.loads(row.result) if row.result is not None else None))
    sizes = {
        cell.point: {name: result.get(name) for name in (*SIZES, "theorem")}
        for cell, result in records
        if result is not None
    }
    lines: list[dict[str, Any]] = []
    points: list[dict[str, Any]] = []
    for measure, quantities in QUANTITIES.items():
        mine = [(cell, result) for cell, result in records if cell.measure == measure and cell.point in sizes]
        for quantity in quantities:
            runs: dict[Cell, list[Values | None]] = {}
            for cell, result in mine:
                runs.setdefault(cell.point, []).append(result)
            for variable in VARIABLES:
                for held, group in _lines(variable, sizes, list(runs)):
                    line, its_points = _fit(quantity, variable, group, sizes, runs)
                    points += [{"fit": len(lines), **point} for point in its_points]
                    lines.append({"measure": measure, "quantity": quantity, "variable": variable, "held": held, **line})
    return Fits(pd.DataFrame(lines, columns=FIT_COLUMNS), pd.DataFrame(points, columns=POINT_COLUMNS))


def without_verdict(cells: Iterable[Cell]) -> list[str]:
    """Return a sentence for each variable that has two values along every line: these give no verdict.

    Examples
    --------
    >>> from dataclasses import replace
    >>> cell = Cell(measure="run", game="chicken", opponent="grim", agent="rmax", epsilon=0.8, delta=0.2, discount=0.8,
    ...             root=0, seed=0, window=1, steps=1)
    >>> without_verdict([cell, replace(cell, window=2)])
    ['window has 2 values where all else is equal: a verdict beside a bound needs 3']
    """
    points = dict.fromkeys(cell.point for cell in cells)
    found = []
    for name in ("window", "levels", "epsilon", "delta", "discount", "m"):
        values: dict[Cell, set[Any]] = {}
        for point in points:
            others: dict[str, Any] = {name: None}
            values.setdefault(replace(point, **others), set()).add(getattr(point, name))
        most = max(map(len, values.values()), default=0)
        if 1 < most < FEWEST_POINTS:
            found.append(
                f"{name} has {most} values where all else is equal: a verdict beside a bound needs {FEWEST_POINTS}"
            )
    return found


def _held(variable: str, cell: Cell, sizes: Values) -> dict[str, Any]:
    """Return what is equal along a line in a variable."""
    v = VARIABLES[variable]
    held = {name: getattr(cell, name) for name in NAMES if name not in (*v.moved_by, "seed", "measure")}
    held["game"] = cell.game.rstrip("-0123456789")
    held |= {name: sizes[name] for name in SIZES if name != variable}
    if "game" in v.moved_by and cell.agent not in PAPER_SCHEDULE:
        # Rewards are the games' own: theorems ask the same of all of them at the same share of their range.
        span = float(Fraction(held.pop("r_max")))
        held["epsilon / r_max"] = float(f"{held.pop('epsilon') / span:.4g}") if span else math.inf
    return held


def _lines(variable: str, sizes: Mapping[Cell, Values], cells: Sequence[Cell]) -> list[tuple[str, list[Cell]]]:
    """Return the cells that differ in a variable alone, in its order, with what they share in words."""
    v = VARIABLES[variable]
    groups: dict[tuple[tuple[str, Any], ...], list[Cell]] = {}
    for cell in cells:
        if getattr(cell, variable, 0) is not None:
            groups.setdefault(tuple(_held(variable, cell, sizes[cell]).items()), []).append(cell)
    names = dict.fromkeys(name for key in groups for name, _ in key)
    varying = {name for name in names if len({dict(key).get(name) for key in groups}) > 1}
    found = []
    for key, group in groups.items():
        at = {cell: v.x({**vars(cell), **sizes[cell]}) for cell in group}
        if len(set(at.values())) > 1:
            held = ", ".join(f"{name} {value}" for name, value in key if name in varying and value is not None)
            found.append((held, sorted(group, key=lambda cell: (at[cell], cell.name))))
    return sorted(found, key=lambda item: (item[0], item[1][0].name))


def _fit(
    quantity: str,
    variable: str,
    group: Sequence[Cell],
    sizes: Mapping[Cell, Values],
    runs: Mapping[Cell, Sequence[Values | None]],
) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """Return one line of the table of fits, and its points."""
    v = VARIABLES[variable]
    points: list[dict[str, Any]] = []
    x, samples, exponents, labels, left_out, wrong = [], [], [], [], [], 0.0
    for cell in group:
        values = {**vars(cell), **sizes[cell]}
        results = [result for result in runs[cell] if result is not None]
        gap = "a run failed" if len(results) < len(runs[cell]) else _gap(quantity, results)
        if gap:
            left_out.append(f"{v.x(values):.4g} ({gap})")
            continue
        if quantity == LEAST_M:
            # The hull misses the one least m only if each of the independent searches does, all on the same side.
            ends = [min(result["m_low"] for result in results), max(result["m_high"] for result in results)]
            wrong += math.prod(result["error"] for result in results)
            samples.append(ends)
        else:
            samples.append([result[quantity] for result in results])
        size = exponent = math.nan
        try:
            found = bound_of(quantity, cell, sizes[cell])
            if found is not None:
                bound, arguments = found
                size = bound.log10(**arguments)
                exponent = v.scale(values) * bound.elasticity(variable, **arguments) if variable in arguments else 0.0
                labels.append(bound.label)
                exponents.append(exponent)
        except (ValueError, ArithmeticError):  # the point breaks what the bound assumes, or is out of floats' range
            size = exponent = math.nan
        x.append(v.x(values))
        lowest, highest = min(samples[-1]), max(samples[-1])
        points.append(
            {
                "x": x[-1],
                "runs": len(results),
                # Equal runs are their own mean, whatever rounding says.
                "middle": float(np.clip(np.exp(np.log(samples[-1]).mean()), lowest, highest)),
                "lowest": lowest,
                "highest": highest,
                "log10_bound": size,
                "exponent": exponent,
            }
        )
    n_points = len(set(x))
    if n_points < 2:
        fit = Slope(math.nan, math.nan, math.nan, math.nan, math.nan)
    elif quantity == LEAST_M:
        fit = slope_of_intervals(x, [low for low, _ in samples], [high for _, high in samples], wrong)
    else:
        fit = slope(x, samples)
    judged, reason = verdict(fit, exponents if len(exponents) == len(x) else [], n_points)
    if not x:
        reason = "no point is left"
    elif 0 < len(exponents) < len(x):
        reason = f"a bound is stated at {len(exponents)} of {len(x)} points only"
    if left_out:
        reason += f"; left out: {', '.join(left_out)}"
    line = {
        "points": n_points,
        "runs": sum(point["runs"] for point in points),
        **{name: value for name, value in fit._asdict().items() if name != "lacks"},
        "exponent_low": min(exponents, default=math.nan),
        "exponent_high": max(exponents, default=math.nan),
        "bound": ", ".join(dict.fromkeys(labels)),
        "verdict": judged,
        "reason": reason,
    }
    return line, points


def _gap(quantity: str, results: Sequence[Values]) -> str:
    """Return why a point has no number to fit, or nothing."""
    if any(result.get("progress") == Progress.NONE for result in results):
        return "no pair became known in a run"
    if quantity == LEAST_M:
        return "a search left the upper end open" if any(result["m_high"] is None for result in results) else ""
    if any(result[quantity] is None for result in results):
        return "a run has no number"
    return "a run has 0, which has no logarithm" if any(result[quantity] == 0 for result in results) else ""
