"""What shapers earn from common random starts, with intervals."""

from __future__ import annotations

import math
from dataclasses import dataclass

from rfos._system.arrays import Float, floats


@dataclass(frozen=True)
class Earned:
    """Mean reward per inner step over a roll-out and over random starts, with t intervals.

    Attributes
    ----------
    name : str
    shaper, opponent : tuple of float
        Mean, lower and upper end; of several opponents their mean. Without two starts the ends are NaN.
    same_opponent : bool
        Whether the opponent is the one asked about; else the row does not measure what shaping it is worth.
    n_starts : int
        How many starts the means are over; 0 if unknown.
    """

    name: str
    shaper: tuple[float, float, float]
    opponent: tuple[float, float, float]
    same_opponent: bool = True
    n_starts: int = 0


@dataclass(frozen=True, eq=False)
class Returns:
    """What a shaper earns from each start.

    Attributes
    ----------
    name : str
    rewards : ndarray, shape (N, n_players)
        Means over the meta-steps, per inner step.
    same_opponent : bool
    """

    name: str
    rewards: Float
    same_opponent: bool = True

    def earned(self, confidence: float = 0.95) -> Earned:
        """Return the means over starts with their intervals."""
        return earned(self.name, self.rewards, self.same_opponent, confidence)


def interval(sample: Float, confidence: float = 0.95) -> tuple[float, float, float]:
    """Return the mean of a sample (N,) and the ends of its t interval, NaN without two numbers.

    Examples
    --------
    The t quantile of one degree of freedom is 12.706, times a standard error of 1/2:

    >>> import numpy as np
    >>> [round(x, 3) for x in interval(np.array([0.0, 1.0]))]
    [0.5, -5.853, 6.853]
    """
    mean = float(sample.mean())
    if len(sample) < 2:
        return mean, math.nan, math.nan
    from scipy import stats

    quantile = stats.t.ppf((1 + confidence) / 2, len(sample) - 1)
    half = float(quantile * sample.std(ddof=1) / math.sqrt(len(sample)))
    return mean, mean - half, mean + half


def paired(first: Returns, second: Returns, confidence: float = 0.95) -> tuple[float, float, float]:
    """Return how much more the shaper earns in the first, with a t interval, from the starts that they have in common.

    Both begin with the same starts; the differences start by start are the sample, so that what is hard about a start
    cancels.

    Examples
    --------
    >>> import numpy as np
    >>> one, other = (Returns("", np.array([[x, 0.0], [x + 9, 0.0]])) for x in (1.0, 0.5))
    >>> paired(one, other)
    (0.5, 0.5, 0.5)
    """
    n = min(len(first.rewards), len(second.rewards))
    return interval(first.rewards[:n, 0] - second.rewards[:n, 0], confidence)


def earned(name: str, returns: Float, same_opponent: bool = True, confidence: float = 0.95) -> Earned:
    """Return means over starts of rewards per step (N, n_players), with t intervals.

    Examples
    --------
    The t quantile of one degree of freedom is 12.706, times a standard error of 1/2:

    >>> import numpy as np
    >>> row = earned("two starts", np.array([[0.0, 1.0], [1.0, 1.0]]))
    >>> [round(x, 3) for x in row.shaper], row.opponent
    ([0.5, -5.853, 6.853], (1.0, 1.0, 1.0))
    """

    returns = floats("returns", returns)
    if returns.ndim != 2 or len(returns) < 1 or returns.shape[1] < 2:
        raise ValueError(f"returns have shape {returns.shape}: give (N, n_players), N of at least 1")

    own, others = returns[:, 0], returns[:, 1:].mean(axis=1)
    return Earned(name, interval(own, confidence), interval(others, confidence), same_opponent, len(returns))
