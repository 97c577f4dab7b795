"""How fast what was measured grows in each variable, beside how fast the bound grows at the same points.

The slope of the mean log of the runs against the log of the variable has an interval from the runs' spread: Student's
over one slope a seed, which holds from two seeds on, with the bootstrap's beside it. The least sufficient m is no
number that spreads but one that a search encloses: its slopes are all those of values within the intervals. The bound's
exponent is its elasticity at the points; between them a smooth bound's slope lies between its elasticities.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from fractions import Fraction
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from rfos._system.display import page
from rfos.laboratory.statistics import Slope, slope, slope_of_intervals
from rfos.laboratory.sweeps.cells import Cell
from rfos.laboratory.sweeps.measures import MEASURES, Quantity, measure_of
from rfos.laboratory.sweeps.parts import AGENT_KINDS, is_own
from rfos.laboratory.sweeps.rows import StoreRow
from rfos.laboratory.sweeps.spec import FEWEST_POINTS
from rfos.laboratory.sweeps.tables import NAMES, cell_of
from rfos.laboratory.sweeps.variables import SIZES, VARIABLES, Values, bound_of
from rfos.learning.trace import Progress

SAME_EXPONENTS = 0.1
"""Exponents that differ by no more count as the same."""

AS_BOUND, SLOWER, FASTER, UNDECIDED = "as the bound", "slower", "faster", "undecided"

SMALLEST_BEND = 0.005
"""Smallest bend that shows in two decimals."""


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
    low, high = min(exponents) - SAME_EXPONENTS, max(exponents) + SAME_EXPONENTS

    def where(margin: float) -> str:
        least, most = fit.low - margin, fit.high + margin
        if low <= least and most <= high:
            return AS_BOUND
        return SLOWER if most < low else FASTER if least > high else UNDECIDED

    found = where(fit.bend)
    own = f"the interval {fit.low:z.2f} to {fit.high:z.2f}"
    if fit.bend >= SMALLEST_BEND:
        own += f", {fit.bend:z.2f} wider each way since points are off the line by a factor {fit.misfit:.2f},"
    theirs = f"the bound's {min(exponents):z.2f} to {max(exponents):z.2f}, {SAME_EXPONENTS:g} wider each way"
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
        """Return what is fitted, the variable, and the fits of each pair that has any.

        What is fitted is the quantity; where several measures have one of that name, with the name of its measure.
        """
        measures = self.fits.groupby("quantity")["measure"].unique().to_dict()
        grouped = self.fits.groupby(["measure", "quantity", "variable"], sort=False)
        return [
            (f"{quantity} of {measure}" if len(measures[quantity]) > 1 else str(quantity), str(variable), lines)
            for (measure, quantity, variable), lines in grouped
        ]

    def to_frame(self) -> pd.DataFrame:
        """Return the fits as a table, a row per fit (`FIT_COLUMNS`)."""
        return self.fits.copy()

    def __repr__(self) -> str:
        """Return how many fits there are and how they were judged, on one line."""
        counts = self.fits["verdict"].value_counts() if len(self.fits) else pd.Series(dtype=int)
        verdicts = ", ".join(f"{count} {verdict}" for verdict, count in counts.items())
        return f"<Fits of {len(self.points)} points: {len(self.fits)} slopes, {verdicts or 'no verdicts'}>"

    def _repr_html_(self) -> str:
        """Return the line and the fits, for a notebook."""
        return page(repr(self), self.fits)


FIT_COLUMNS = (
    *("measure", "quantity", "variable", "held", "points", "runs", "slope", "low", "high", "misfit", "bend"),
    *("exponent_low", "exponent_high", "bound", "verdict", "reason"),
)

POINT_COLUMNS = ("fit", "x", "runs", "middle", "lowest", "highest", "log10_bound", "exponent")


def all_fits(rows: Iterable[StoreRow], measures: Iterable[str] = ()) -> Fits:
    """Fit every quantity against every variable along which the other variables are equal.

    A point at which some run has no logarithm (it failed, did not get so far, counted 0, or its search left the end
    open) is left out, and named in the reason.

    Parameters
    ----------
    rows : iterable of StoreRow
        Of one version of the code.
    measures : iterable of str
        Measures of your own, `module:name`, whose quantities are fitted too; they are imported. Those that a store
        names are not, for it may come from somebody else: their cells are left out.

    Returns
    -------
    Fits
        Slopes are of mean log against log variable; `held` says at which values of the others, as far as these vary.
    """
    records = []
    fitted = {name: record.fitted for name, record in MEASURES.items()}
    fitted |= {name: measure_of(name).fitted for name in measures}
    for row in rows:
        cell = cell_of(row)
        if cell.measure in fitted:
            records.append((cell, json.loads(row.result) if row.result is not None else None))
    records.sort(key=lambda record: record[0].seed)  # the keys' order is another one for each version of the code
    sizes = {
        cell.point: {name: result.get(name) for name in (*SIZES, "theorem")}
        for cell, result in records
        if result is not None
    }
    lines: list[dict[str, Any]] = []
    points: list[dict[str, Any]] = []
    for measure, quantities in fitted.items():
        mine = [(cell, result) for cell, result in records if cell.measure == measure and cell.point in sizes]
        for name, quantity in quantities.items():
            runs: dict[Cell, list[Values | None]] = {}
            for cell, result in mine:
                runs.setdefault(cell.point, []).append(result)
            for variable in VARIABLES:
                for held, group in _lines(variable, sizes, list(runs)):
                    line, its_points = _fit(name, quantity, variable, group, sizes, runs)
                    points += [{"fit": len(lines), **point} for point in its_points]
                    lines.append({"measure": measure, "quantity": name, "variable": variable, "held": held, **line})
    return Fits(pd.DataFrame(lines, columns=FIT_COLUMNS), pd.DataFrame(points, columns=POINT_COLUMNS))


def _held(variable: str, cell: Cell, sizes: Values) -> dict[str, Any]:
    """Return what is equal along a line in a variable."""
    v = VARIABLES[variable]
    held = {name: getattr(cell, name) for name in NAMES if name not in (*v.moved_by, "seed", "measure")}
    held["game"] = cell.game.rstrip("-0123456789")
    held |= {name: sizes[name] for name in SIZES if name != variable}
    if "game" in v.moved_by and (is_own(cell.agent) or not AGENT_KINDS[cell.agent].paper_schedule):
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
    name: str,
    quantity: Quantity,
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
        gap = "a run failed" if len(results) < len(runs[cell]) else _gap(cell.measure, name, quantity, results)
        if gap:
            left_out.append(f"{v.x(values):.4g} ({gap})")
            continue
        if quantity.ends is not None:
            # The hull misses the one number only if each of the independent searches does, all on the same side.
            low, high = quantity.ends
            ends = [min(result[low] for result in results), max(result[high] for result in results)]
            wrong += math.prod(result["error"] for result in results)
            samples.append(ends)
        else:
            samples.append([result[name] for result in results])
        size = exponent = math.nan
        try:
            found = bound_of(name, cell, sizes[cell])
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
    elif quantity.ends is not None:
        fit = slope_of_intervals(x, [ends[0] for ends in samples], [ends[1] for ends in samples], wrong)
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


def _gap(measure: str, name: str, quantity: Quantity, results: Sequence[Values]) -> str:
    """Return why a point has no number to fit, or nothing."""
    if measure in MEASURES and name == "steps_all_known" and any(result["m"] is None for result in results):
        return "its agent has no m, and calls a pair known once it was visited"
    if any(result.get("progress") == Progress.NONE for result in results):
        return "no pair became known in a run"
    if quantity.ends is not None:
        lacks = any(result[end] is None for result in results for end in quantity.ends)
        return "a search left the upper end open" if lacks else ""
    if any(result[name] is None for result in results):
        return "a run has no number"
    if any(result[name] < 0 for result in results):
        return "a run has a negative number, which has no logarithm"
    return "a run has 0, which has no logarithm" if any(result[name] == 0 for result in results) else ""
