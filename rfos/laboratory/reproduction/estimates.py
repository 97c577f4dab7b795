"""A mean over runs with its interval."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from scipy import stats


@dataclass(frozen=True)
class Estimate:
    """A mean over seeds with its 95 % t interval; the ends are NaN for a single seed."""

    mean: float
    low: float
    high: float
    n: int


def estimate_of(values: Iterable[float], resolution: float = 0.0, *, least: float = 0.0) -> Estimate:
    """Return mean and t interval of values of at least `least`, the interval widened by their resolution.

    Examples
    --------
    >>> found = estimate_of([-1.0, -1.0], least=-3.0)
    >>> found.low, found.high
    (-1.0, -1.0)
    """
    sample = np.array(list(values), np.float64)
    mean = float(sample.mean())
    if len(sample) < 2:
        return Estimate(mean, math.nan, math.nan, len(sample))
    half = float(stats.t.ppf(0.975, len(sample) - 1) * sample.std(ddof=1) / math.sqrt(len(sample))) + resolution
    return Estimate(mean, max(least, mean - half), mean + half, len(sample))


def shown(estimate: Estimate, digits: int = 1, scale: float = 1.0) -> str:
    """Return a mean over `scale` with its interval as text, without one for a single seed."""
    text = f"{estimate.mean / scale:,.{digits}f}"
    if estimate.n < 2:
        return text
    return f"{text} ({estimate.low / scale:,.{digits}f} to {estimate.high / scale:,.{digits}f})"
