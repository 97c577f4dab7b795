"""When a learning curve has converged."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from rfos._system.arrays import floats, integers


def convergence(
    bin_end: ArrayLike, mean_reward: ArrayLike, *, fraction: float = 0.95, average: int = 10, final: float = 0.25
) -> int | None:
    """Return when a learning curve has reached a fraction of its final level for good.

    The final level is the mean over the last part of the run. The curve has converged in the middle of the first
    moving-average window from which on every moving average is at least `fraction` of that level.

    Parameters
    ----------
    bin_end : array_like of int, shape (bins,)
        Episodes (or steps) done at each bin's end, increasing; bins of nearly equal length.
    mean_reward : array_like of float, shape (bins,)
        Mean reward per step within each bin; the final level must be positive, or a fraction of it means nothing.
    fraction : float in (0, 1]
    average : int
        Bins in the moving average: few, or the result is a property of the average; enough that its noise stays well
        below (1 - fraction) of the level.
    final : float in (0, 1]
        Share of the bins, at the end, that set the final level.

    Returns
    -------
    int or None
        Episodes (or steps), rounded down; None if the level is not positive or the last moving average falls short.

    Raises
    ------
    ValueError
        If the shapes differ or a parameter is out of range.

    Examples
    --------
    The third bin, from 20 to 30, is the first that stays at the level:

    >>> convergence([10, 20, 30, 40], [0.0, 0.5, 1.0, 1.0], average=1)
    25
    """
    ends = integers("bin_end", bin_end)
    rewards = floats("mean_reward", mean_reward)
    if ends.ndim != 1 or ends.shape != rewards.shape or not 1 <= average <= len(ends):
        raise ValueError(
            f"{ends.shape} bin ends, {rewards.shape} rewards and a moving average of {average} bins do not fit together"
        )
    if not (0 < fraction <= 1 and 0 < final <= 1):
        raise ValueError(f"fraction is {fraction} and final is {final}: give numbers in (0, 1]")
    level = float(rewards[-max(1, round(final * len(rewards))) :].mean())
    moving = np.convolve(rewards, np.full(average, 1.0 / average), mode="valid")
    below = np.flatnonzero(moving < fraction * level)
    first = int(below[-1]) + 1 if below.size else 0
    if level <= 0 or first == len(moving):
        return None
    begin = 0 if first == 0 else int(ends[first - 1])
    return (begin + int(ends[first + average - 1])) // 2
