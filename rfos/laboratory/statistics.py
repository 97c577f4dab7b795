"""Slopes of measured points with intervals."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from scipy import optimize, stats

from rfos._system.arrays import Float

INTERVAL_ERROR = 0.05
"""Chance that an interval of a slope is wrong, at most."""

EQUAL_SLOPES = 1e-12
"""Slopes that differ by no more are equal but for rounding."""


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
    if np.ptp(each) <= EQUAL_SLOPES * (1 + abs(found)) and rounded == 0:
        return Slope(found, math.nan, math.nan, misfit, bend, "all seeds have the same slope, and show no spread")
    spread = each.std(ddof=1) + rounded * math.sqrt(fewest / (fewest - 1))
    half = float(rounded + stats.t.ppf(1 - INTERVAL_ERROR / 2, fewest - 1) * spread / math.sqrt(fewest))

    def of_means(*drawn: Float, axis: int = -1) -> Float:
        result: Float = np.tensordot(weights, np.stack([sample.mean(axis=axis) for sample in drawn]), axes=1)
        return result

    drawn = stats.bootstrap(
        tuple(logs), of_means, confidence_level=1 - INTERVAL_ERROR, method="percentile", rng=np.random.default_rng(0)
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
    if wrong > INTERVAL_ERROR:
        why = f"some interval is wrong with chance up to {min(wrong, 1):.2g}: more seeds would make that smaller"
        return Slope(found, math.nan, math.nan, misfit, bend, why)
    extremes = np.sort(weights[:, None] * ends.T, axis=1).sum(axis=0)
    return Slope(found, float(extremes[0]), float(extremes[1]), misfit, bend)
