"""Learning curves of the experiment as tables."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from rfos.laboratory.reproduction.experiment import HORIZON
from rfos.laboratory.reproduction.runs import Run
from rfos.learning.trace import Trace


def learning_curves(runs: Sequence[Run], traces: Mapping[Run, Trace]) -> pd.DataFrame:
    """Return the curves of all runs as one table."""
    frames = []
    for one in runs:
        trace = traces[one]
        frames.append(
            pd.DataFrame(
                {
                    "game": one.game,
                    "window": one.window,
                    "epsilon": one.epsilon,
                    "seed": one.seed,
                    "bin": np.arange(len(trace.bin_end)),
                    "episode_end": trace.bin_end // HORIZON,
                    "mean_reward": trace.mean_reward,
                    "known_pairs": trace.known,
                }
            )
        )
    return pd.concat(frames, ignore_index=True)


def curve_bands(curves: pd.DataFrame, epsilon: float, points: int = 60) -> pd.DataFrame:
    """Return each window's curve at one epsilon on a logarithmic grid of episodes, for a figure.

    Parameters
    ----------
    curves : DataFrame
        `Report.curves`.
    epsilon : float
    points : int
        Largest number of grid points per window; the bins between two of them are averaged.

    Returns
    -------
    DataFrame
        Columns window, episode (middle of the bins averaged), mean, low and high (over seeds).
    """
    chosen = curves[curves["epsilon"] == epsilon]
    frames = []
    for window, curve in chosen.groupby("window"):
        table = curve.pivot_table(index="episode_end", columns="seed", values="mean_reward")
        edges = np.unique(np.geomspace(1, len(table), points).astype(int))
        group = np.searchsorted(edges, np.arange(1, len(table) + 1))
        means = table.groupby(group).mean()
        ends = pd.Series(table.index, index=group).groupby(level=0).max().to_numpy()
        frames.append(
            pd.DataFrame(
                {
                    "window": window,
                    "episode": (np.append(0, ends[:-1]) + ends) / 2,
                    "mean": means.mean(axis=1).to_numpy(),
                    "low": means.min(axis=1).to_numpy(),
                    "high": means.max(axis=1).to_numpy(),
                }
            )
        )
    return pd.concat(frames, ignore_index=True)
