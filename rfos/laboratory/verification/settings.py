"""What the instances of statements on samples and runs share."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

import bounds.rmax
from bounds import sharp
from rfos._system.arrays import Float
from rfos.planning.mdp import TabularMDP

TRIALS = 20_000

EXACT_RATE = "exact binomial limits, false alarms 1e-9 an instance and 1e-9 of all together"
"""How simulated statements are judged."""


@dataclass(frozen=True)
class Setting:
    """Parameters of a simulation and the root of its stream."""

    values: dict[str, Any]
    seed: int

    @property
    def label(self) -> str:
        """The parameters in words."""
        return ", ".join(f"{name} {value:g}" for name, value in self.values.items())

    @property
    def rng(self) -> np.random.Generator:
        """The stream, from its start."""
        return np.random.default_rng(self.seed)


def seed_of(rng: np.random.Generator) -> int:
    """Return a seed for the part of an instance that is drawn later."""
    return int(rng.integers(2**62))


# R-max --------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class PlayedWorld:
    """An MDP as arrays, with what is asked of R-max in it."""

    P: Float
    R: Float
    discount: float
    epsilon: float
    seed: int
    label: str

    def mdp(self) -> TabularMDP:
        """The MDP; integer successors where they are certain, so that it is known to be deterministic."""
        if (self.P.max(axis=2) == 1).all():
            return TabularMDP(self.P.argmax(axis=2), self.R, self.discount)
        return TabularMDP(self.P, self.R, self.discount)


def small_world(rng: np.random.Generator) -> PlayedWorld:
    """Three states, two actions, two successors each, every state reached under every policy."""
    P = np.zeros((3, 2, 3))
    for s in range(3):
        for a in range(2):
            p = rng.uniform(0.1, 0.9)
            P[s, a, (s + 1) % 3] += p
            P[s, a, rng.choice([s, (s + 2) % 3])] += 1 - p
    R = rng.choice([0.0, 0.1, 1.0], (3, 2), p=[0.4, 0.4, 0.2])
    R[0, 0], R[2, 1] = 0.0, 1.0
    return PlayedWorld(P, R, 0.5, 0.25, seed_of(rng) % 2**32, "")


RUNS = 40

SLOW_RUNS = 400

DELTA = 0.05

RunTheorem = Literal["T1", "T1+", "T1-ep", "T1', observed"]


def promised(theorem: RunTheorem, values: dict[str, Any], horizon: int | None = None) -> tuple[int, int]:
    """Return m and the largest number of bad steps (episodes)."""
    if theorem == "T1":
        t1 = bounds.rmax.t1()
        return int(t1.m.evaluate(**values)), int(t1.steps.evaluate(**values))
    if theorem == "T1-ep":
        episodic = bounds.rmax.t1_episodic()
        values = {**values, "horizon": horizon}
        return int(episodic.m.evaluate(**values)), int(episodic.episodes.evaluate(**values))
    if theorem == "T1+":
        plus = sharp.t1_plus()
        return int(plus.m.evaluate(**values)), int(plus.steps.evaluate(**values))
    return 1, int(sharp.t1_observed().steps.evaluate(**values))


WEIGHTS: dict[str, tuple[str, ...]] = {
    "T1": ("w_plan", "w_sim", "w_hor", "w_esc"),
    "T1+": ("w_plan", "w_sim", "w_esc"),
    "T1-ep": ("w_plan", "w_sim", "w_esc"),
    "T1', observed": ("w_plan",),
}
