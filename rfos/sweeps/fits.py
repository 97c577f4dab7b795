"""How fast what was measured grows in each variable, beside how fast the bound grows at the same points.

The slope of log mean against log variable has a percentile bootstrap interval over the runs of each point. The bound's
exponent is its elasticity at the points; between them a smooth bound's slope lies between its elasticities.
"""

from __future__ import annotations

import functools
import json
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import stats

import bounds.exploration
import bounds.rmax
import bounds.sharp
from bounds import symbols
from bounds._substitute import substituted
from bounds.bound import Bound
from rfos.rmax import PLANNING_SHARE
from rfos.sweeps.cells import Cell
from rfos.sweeps.store import Row
from rfos.sweeps.tables import NAMES, cell_of

ALIKE = 0.1
"""Exponents that differ by no more count as the same."""

FEWEST_POINTS = 3
"""Points below which a slope says nothing about a power law."""

AS_BOUND, SLOWER, FASTER, UNDECIDED = "as the bound", "slower", "faster", "undecided"

Values = Mapping[str, Any]


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

QUANTITIES: Mapping[str, Mapping[str, str]] = {
    "run": {"steps_all_known": "steps until all pairs are known"},
    "ledger": {
        "count_most": "steps that are not epsilon-optimal",
        "exploration_high": "sum of e_t",
    },
    "least-m": {"m_middle": "least sufficient m"},
}
"""What is fitted, by measurement: the number in the result, and what it is called."""

NAMES_OF: Mapping[str, str] = {name: words for of in QUANTITIES.values() for name, words in of.items()}
"""Quantities in words."""

SIZES = ("n_states", "n_actions", "branching", "r_max")


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
    if quantity == "m_middle":
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
    if cell.agent in ("paper", "rmax-paper-m"):
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
    """A log-log slope with its 95 % interval (NaN for a single run a point), and the farthest point off the line.

    `misfit` is the largest factor between a point's mean and the line.
    """

    slope: float
    low: float
    high: float
    misfit: float


def slope(x: Sequence[float], samples: Sequence[Sequence[float]]) -> Slope:
    """Return the slope of log mean against log x with its 95 % percentile bootstrap interval over runs.

    The interval knows the spread between runs only, not whether a power law fits: that is what `misfit` is for.

    Parameters
    ----------
    x : sequence of float
        The points, positive, at least two of them different.
    samples : sequence of sequences of float
        The runs' positive results at each point.

    Examples
    --------
    >>> [round(number, 9) for number in slope([1, 2, 4], [[3, 3], [12, 12], [48, 48]])]
    [2.0, 2.0, 2.0, 1.0]
    """
    log_x = np.log(np.asarray(x, np.float64))
    log_x = log_x - log_x.mean()

    def of_means(*samples: NDArray[np.float64], axis: int = -1) -> NDArray[np.float64]:
        means = np.stack([np.log(np.mean(sample, axis=axis)) for sample in samples])
        result: NDArray[np.float64] = np.tensordot(log_x, means, axes=1) / (log_x @ log_x)
        return result

    data = [np.asarray(sample, np.float64) for sample in samples]
    found = float(of_means(*data))
    means = np.array([math.log(float(sample.mean())) for sample in data])
    misfit = float(np.exp(np.abs(means - means.mean() - found * log_x).max()))
    if min(len(sample) for sample in data) < 2:
        return Slope(found, math.nan, math.nan, misfit)
    if all((sample == sample[0]).all() for sample in data):
        return Slope(found, found, found, misfit)
    interval = stats.bootstrap(data, of_means, method="percentile", rng=np.random.default_rng(0)).confidence_interval
    return Slope(found, float(interval.low), float(interval.high), misfit)


def verdict(fit: Slope, exponents: Sequence[float], n_points: int) -> tuple[str, str]:
    """Return whether a slope is that of the bound, and why.

    Parameters
    ----------
    fit : Slope
    exponents : sequence of float
        The bound's elasticities at the points; empty where there is no bound.
    n_points : int

    Examples
    --------
    >>> verdict(Slope(1.0, 0.97, 1.03, 1.0), [1.9, 2.1], 4)[0]
    'slower'
    """
    if not exponents or any(math.isnan(e) for e in exponents):
        return UNDECIDED, "no bound is stated for these runs"
    if n_points < FEWEST_POINTS:
        return UNDECIDED, f"{n_points} points; a power law needs {FEWEST_POINTS}"
    if math.isnan(fit.low):
        return UNDECIDED, "one run a point has no interval"
    low, high = min(exponents) - ALIKE, max(exponents) + ALIKE
    where = f"the interval {fit.low:.2f} to {fit.high:.2f}"
    theirs = f"the bound's {min(exponents):.2f} to {max(exponents):.2f}, {ALIKE:g} wider each way"
    if low <= fit.low and fit.high <= high:
        return AS_BOUND, f"{where} lies within {theirs}"
    if fit.high < low:
        return SLOWER, f"{where} lies below {theirs}"
    if fit.low > high:
        return FASTER, f"{where} lies above {theirs}"
    return UNDECIDED, f"{where} reaches over an end of {theirs}"


class Fits(NamedTuple):
    """All fits of a store: one line per fit, and one line per point of each."""

    fits: pd.DataFrame
    points: pd.DataFrame

    def groups(self) -> list[tuple[str, str, pd.DataFrame]]:
        """Return quantity, variable and the fits of each pair that has any."""
        grouped = self.fits.groupby(["quantity", "variable"], sort=False)
        return [(str(quantity), str(variable), lines) for (quantity, variable), lines in grouped]


FIT_COLUMNS = (
    *("measure", "quantity", "variable", "held", "points", "runs", "slope", "low", "high", "misfit"),
    *("exponent_low", "exponent_high", "bound", "verdict", "reason"),
)
POINT_COLUMNS = ("fit", "x", "runs", "mean", "lowest", "highest", "log10_bound", "exponent")


def all_fits(rows: Iterable[Row]) -> Fits:
    """Fit every quantity against every variable along which the other variables are equal.

    A point at which some run has no number (it failed, or did not get so far) is left out, and named in the reason.

    Parameters
    ----------
    rows : iterable of Row
        Of one version of the code.

    Returns
    -------
    Fits
        Slopes are of log mean against log variable; `held` says at which values of the others, as far as these vary.
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
            runs: dict[Cell, list[float | None]] = {}
            for cell, result in mine:
                runs.setdefault(cell.point, []).append(None if result is None else result[quantity])
            for variable in VARIABLES:
                for held, group in _lines(variable, sizes, list(runs)):
                    line, its_points = _fit(quantity, variable, group, sizes, runs)
                    points += [{"fit": len(lines), **point} for point in its_points]
                    lines.append({"measure": measure, "quantity": quantity, "variable": variable, "held": held, **line})
    return Fits(pd.DataFrame(lines, columns=FIT_COLUMNS), pd.DataFrame(points, columns=POINT_COLUMNS))


def _lines(variable: str, sizes: Mapping[Cell, Values], cells: Sequence[Cell]) -> list[tuple[str, list[Cell]]]:
    """Return the cells that differ in a variable alone, in its order, with what they share in words."""
    v = VARIABLES[variable]
    fixed = [name for name in NAMES if name not in (*v.moved_by, "seed", "measure")]
    others = [name for name in SIZES if name != variable]
    groups: dict[tuple[Any, ...], list[Cell]] = {}
    for cell in cells:
        if getattr(cell, variable, 0) is None:
            continue
        family = cell.game.rstrip("-0123456789")
        shared = (*((family if name == "game" else getattr(cell, name)) for name in fixed), family)
        groups.setdefault((*shared, *(sizes[cell][name] for name in others)), []).append(cell)
    names = [*fixed, "game", *others]
    varying = [i for i, name in enumerate(names) if name not in names[:i] and len({group[i] for group in groups}) > 1]
    found = []
    for key, group in groups.items():
        at = {cell: v.x({**vars(cell), **sizes[cell]}) for cell in group}
        if len(set(at.values())) > 1:
            held = ", ".join(f"{names[i]} {key[i]}" for i in varying if key[i] is not None)
            found.append((held, sorted(group, key=lambda cell: (at[cell], cell.name))))
    return sorted(found, key=lambda item: (item[0], item[1][0].name))


def _fit(
    quantity: str,
    variable: str,
    group: Sequence[Cell],
    sizes: Mapping[Cell, Values],
    runs: Mapping[Cell, Sequence[float | None]],
) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """Return one line of the table of fits, and its points."""
    v = VARIABLES[variable]
    points: list[dict[str, Any]] = []
    x, samples, exponents, labels, left_out = [], [], [], [], []
    for cell in group:
        values = {**vars(cell), **sizes[cell]}
        sample = [y for y in runs[cell] if y is not None and y > 0]
        if len(sample) < len(runs[cell]):
            left_out.append(f"{v.x(values):.4g}")
            continue
        found = bound_of(quantity, cell, sizes[cell])
        size = exponent = math.nan
        if found is not None:
            bound, arguments = found
            labels.append(bound.label)
            size = bound.log10(**arguments)
            exponent = v.scale(values) * bound.elasticity(variable, **arguments) if variable in arguments else 0.0
            exponents.append(exponent)
        x.append(v.x(values))
        samples.append(sample)
        points.append(
            {
                "x": x[-1],
                "runs": len(sample),
                "mean": float(np.mean(sample)),
                "lowest": min(sample),
                "highest": max(sample),
                "log10_bound": size,
                "exponent": exponent,
            }
        )
    n_points = len(set(x))
    fit = slope(x, samples) if n_points > 1 else Slope(math.nan, math.nan, math.nan, math.nan)
    judged, reason = verdict(fit, exponents if len(exponents) == len(x) else [], n_points)
    if left_out:
        reason += f"; left out, since some run has no number: {', '.join(left_out)}"
    line = {
        "points": n_points,
        "runs": sum(len(sample) for sample in samples),
        **fit._asdict(),
        "exponent_low": min(exponents, default=math.nan),
        "exponent_high": max(exponents, default=math.nan),
        "bound": ", ".join(dict.fromkeys(labels)),
        "verdict": judged,
        "reason": reason,
    }
    return line, points
