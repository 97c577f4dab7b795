"""Traces as tables for figures: learning curves over runs, and how long it took until all was known."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TypeAlias, TypeGuard

import numpy as np
import pandas as pd

from rfos._system import checks
from rfos.learning.trace import Trace

Traces: TypeAlias = Trace | Sequence[Trace] | Mapping[str, Trace | Sequence[Trace]]
"""One run, several, or several by a label."""

POINTS = 60
"""Most points of a curve; bins between two of them are averaged."""

TRACES_WANTED = (
    "give a Trace, a list of them, or a dict of label to list of traces; run(process, agent, steps=1000) makes one"
)


def are_traces(given: object) -> TypeGuard[Traces]:
    """Return whether something is a trace, or a collection of what may be traces, and not a table."""
    return isinstance(given, Trace | Mapping | list | tuple)


def grouped(traces: Traces) -> dict[str, list[Trace]]:
    """Return traces by their labels; without labels all have the label "".

    Raises
    ------
    WrongKindError, ValueError
        If something else than traces is given, or none.

    Examples
    --------
    >>> from rfos import Rmax, TabularMDP, run
    >>> trace = run(TabularMDP([[0, 0]], [[0.0, 1.0]], 0.5), Rmax(m=1), steps=4, rng=1)
    >>> [(label, len(runs)) for label, runs in grouped({"m = 1": [trace, trace]}).items()]
    [('m = 1', 2)]
    """
    by_label = traces if isinstance(traces, Mapping) else {"": traces}
    found: dict[str, list[Trace]] = {}
    for label, given in by_label.items():
        runs = [given] if isinstance(given, Trace) else list(checks.several("traces", given, TRACES_WANTED))
        for one in runs:
            checks.kind("a trace", one, Trace, mend=TRACES_WANTED)
        if runs:
            found[str(label)] = runs
    if not found:
        raise ValueError(f"traces are none: {TRACES_WANTED}")
    return found


def reward_bands(traces: Traces, points: int = POINTS) -> pd.DataFrame:
    """Return learning curves over runs, on a logarithmic grid of steps.

    Parameters
    ----------
    traces : Trace, list of Trace, or dict of label to these
        Runs of one label have equal bins.
    points : int
        Largest number of points of a curve; the bins between two of them are averaged.

    Returns
    -------
    DataFrame
        Columns label, steps (middle of the bins averaged), mean, low and high (mean reward per step over the runs of a
        label, lowest and highest run).

    Raises
    ------
    ValueError
        If runs of one label have different bins.

    Examples
    --------
    Two actions, known after one visit each: from the third step on every reward is 1.

    >>> from rfos import Rmax, TabularMDP, run
    >>> trace = run(TabularMDP([[0, 0]], [[0.0, 1.0]], 0.5), Rmax(m=1), steps=4, rng=1, bins=4)
    >>> reward_bands([trace])["mean"].tolist()[1:]
    [1.0, 1.0, 1.0]
    """
    frames = []
    for label, runs in grouped(traces).items():
        ends = runs[0].bin_end
        if any(not np.array_equal(one.bin_end, ends) for one in runs):
            raise ValueError(f"runs of {label!r} have different bins: give them labels of their own, or equal steps")
        edges = np.unique(np.geomspace(1, len(ends), points).astype(int))
        group = np.searchsorted(edges, np.arange(1, len(ends) + 1))
        curves = pd.DataFrame([one.mean_reward for one in runs]).T.groupby(group).mean()
        last = pd.Series(ends, index=group).groupby(level=0).max().to_numpy()
        frames.append(
            pd.DataFrame(
                {
                    "label": label,
                    "steps": (np.append(0, last[:-1]) + last) / 2,
                    "mean": curves.mean(axis=1).to_numpy(),
                    "low": curves.min(axis=1).to_numpy(),
                    "high": curves.max(axis=1).to_numpy(),
                }
            )
        )
    return pd.concat(frames, ignore_index=True)


def known_points(traces: Traces) -> pd.DataFrame:
    """Return how long it took until all pairs were known, by label and number of meta-states.

    Returns
    -------
    DataFrame
        Columns label, n_states, middle, lowest, highest (meta-steps: mean, least and most of the runs), horizon (steps
        per episode, missing without one). Runs that did not get there are left out.

    Examples
    --------
    Two actions that one visit each makes known:

    >>> from rfos import Rmax, TabularMDP, run
    >>> trace = run(TabularMDP([[0, 0]], [[0.0, 1.0]], 0.5), Rmax(m=1), steps=4, rng=1)
    >>> known_points([trace])[["n_states", "middle"]].values.tolist()
    [[1.0, 2.0]]
    """
    rows = [
        {"label": label, "n_states": _n_states(one), "steps": one.all_known_at, "horizon": one.horizon}
        for label, runs in grouped(traces).items()
        for one in runs
    ]
    found = pd.DataFrame(rows).dropna(subset=["steps"]).astype({"steps": float, "horizon": float})
    points = found.groupby(["label", "n_states"], sort=False, as_index=False)
    return points.agg(
        middle=("steps", "mean"), lowest=("steps", "min"), highest=("steps", "max"), horizon=("horizon", "first")
    )


def _n_states(trace: Trace) -> int:
    return len(trace.policy if trace.q is None else trace.q)


def shared_horizon(traces: Traces) -> int | None:
    """Return the steps per episode that all runs have in common, or None."""
    found = {one.horizon for runs in grouped(traces).values() for one in runs}
    return found.pop() if len(found) == 1 else None
