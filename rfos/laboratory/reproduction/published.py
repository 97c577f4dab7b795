"""The published curves, and how ours rank among them."""

from __future__ import annotations

import importlib.resources
import threading
from collections.abc import Callable

import numpy as np
import pandas as pd

from rfos._system.arrays import Float
from rfos.laboratory.reproduction.experiment import Experiment
from rfos.laboratory.reproduction.parallel import parallel
from rfos.laboratory.reproduction.results import Claim
from rfos.laboratory.reproduction.runs import Run, play_run

PUBLISHED = {2: 11, 3: 14, 4: 13}
"""Published episodes to convergence divided by |S|^2, by window, at epsilon 0.8 in Matching Pennies."""

REFERENCE_GROUPS = 99
"""Simulated groups of five runs that the authors' five are ranked among: an exact test at a rate of 1 in 100."""


def official_curve() -> pd.DataFrame:
    """Return the learning curve measured on the authors' own code; see rfos/data/README.md."""
    source = importlib.resources.files("rfos") / "data" / "official_matching_pennies.csv"
    with importlib.resources.as_file(source) as path:
        return pd.read_csv(path)


def rank_among(observed: Float, simulated: Float, *, standardise: bool) -> int:
    """Return how many of the curves (the observed one among them) lie at least as far out as the observed one.

    How far out a curve lies is its largest distance over bins from the mean of the others, in their standard
    deviations where asked. All curves are treated alike, so under the null hypothesis that they share a law the rank is
    uniform: rank 1 of n has probability at most 1/n.

    Parameters
    ----------
    observed : ndarray, shape (bins,)
    simulated : ndarray, shape (n - 1, bins)
    standardise : bool
    """
    curves = np.vstack([observed, simulated])
    distances = np.empty(len(curves))
    for i in range(len(curves)):
        others = np.delete(curves, i, axis=0)
        distance = np.abs(curves[i] - others.mean(axis=0))
        if standardise:
            spread = others.std(axis=0, ddof=1)
            # Where the others agree, equal is no distance and different is infinite.
            distance = np.divide(distance, spread, out=np.where(distance > 0, np.inf, 0.0), where=spread > 0)
        distances[i] = distance.max()
    return int((distances >= distances[0]).sum())


def match_official(
    experiment: Experiment, *, jobs: int, cancelled: threading.Event, progress: Callable[[int], None]
) -> Claim:
    """Test whether the authors' five runs look like five of ours (claim 1)."""
    claim = "the authors' code is matched"
    rule = (
        f"exact Monte Carlo rank test among {REFERENCE_GROUPS} simulated groups of five runs, on the largest deviation "
        "over 100 bins of (a) the mean reward, standardised, (b) the known pairs; false-alarm rate 1 % each, 2 % in all"
    )
    if not experiment.is_published:
        reason = "the reference curve is of the paper's agent at epsilon 0.8 in Matching Pennies, hidden learner"
        return Claim(claim, "undecided", reason, rule)
    official = official_curve()
    runs = [Run("matching-pennies", 2, 0.8, 10**6 + i, "paper", "hidden") for i in range(5 * REFERENCE_GROUPS)]
    traces = parallel(lambda one: play_run(experiment, one, 100, progress), runs, jobs, cancelled)
    rewards = np.array([t.mean_reward for t in traces]).reshape(REFERENCE_GROUPS, 5, 100).mean(axis=1)
    known = np.array([t.known for t in traces]).reshape(REFERENCE_GROUPS, 5, 100).mean(axis=1)
    total = REFERENCE_GROUPS + 1
    ranks = (
        rank_among(official["mean_reward"].to_numpy(), rewards, standardise=True),
        rank_among(official["mean_known_pairs"].to_numpy(), known, standardise=False),
    )
    matched = min(ranks) > 1
    evidence = (
        f"{'not ' if matched else ''}told apart; "
        f"learning curve: rank {ranks[0]} of {total} (p = {ranks[0] / total:.2f}), "
        f"known pairs: rank {ranks[1]} of {total} (p = {ranks[1] / total:.2f})"
    )
    return Claim(claim, "reproduced" if matched else "not reproduced", evidence, rule)
