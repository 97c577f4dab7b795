"""Statements on runs with restarts (X4)."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

import bounds.rmax
from rfos.laboratory.verification.engine import Sides, Statement, quantile_sides
from rfos.laboratory.verification.settings import DELTA, EXACT_RATE, RUNS, PlayedWorld, seed_of, small_world
from rfos.learning.agents import Rmax
from rfos.learning.ledger import ledger
from rfos.learning.run import run

# Restarts -----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Restarts:
    """Several MDPs of one shape, played in episodes from uniformly random states."""

    worlds: tuple[PlayedWorld, ...]
    horizon: int
    label: str


RESTARTED = 200

VISITS = 20


def _sample_restarts(rng: np.random.Generator, horizon: int | None = None) -> Restarts:
    horizon = int(rng.choice([1, 5])) if horizon is None else horizon
    seeds = range(seed_of(rng) % 2**31, 2**32)
    P, R = rng.dirichlet(np.full(6, 0.2), (6, 2)), rng.random((6, 2))
    worlds = tuple(PlayedWorld(P, R, 0.8, 0.5, seed, "") for seed, _ in zip(seeds, range(RESTARTED), strict=False))
    return Restarts(worlds, horizon, f"{RESTARTED} runs in an MDP of 6 states, m {VISITS}, episodes of {horizon}")


def _bandit(n_actions: int, discount: float, epsilon: float, runs: int, horizon: int) -> Restarts:
    """One state whose last action pays: every step counts until all is known, and all but those of the last are bad."""
    P, R = np.ones((1, n_actions, 1)), np.eye(n_actions)[None, -1]
    worlds = tuple(PlayedWorld(P, R, discount, epsilon, i, "") for i in range(runs))
    return Restarts(worlds, horizon, f"{runs} runs with one state and {n_actions} actions, episodes of {horizon}")


def _known_after(case: Restarts, episodes: int) -> list[float]:
    """Return the episodes after which all pairs are known, for each run; infinity where they are not."""
    options: dict[str, Any] = {"episodes": episodes, "horizon": case.horizon, "bins": 1}
    traces = (run(world.mdp(), Rmax(m=VISITS), **options, rng=world.seed) for world in case.worlds)
    return [math.inf if t.all_known_at is None else -(-t.all_known_at // case.horizon) for t in traces]


def _restarts(case: Restarts) -> dict[str, Any]:
    n, n_actions = case.worlds[0].R.shape
    return {"n_states": n, "n_actions": n_actions, "m": VISITS, "horizon": case.horizon, "delta": 0.2}


def _x4(case: Restarts, mutant: bool) -> Sides:
    """Episodes until all is known."""
    most = int(bounds.rmax.x4().upper.evaluate(**_restarts(case)))
    return quantile_sides(_known_after(case, most), most / (2 if mutant else 1), 0.1)


def _x4_least(case: Restarts, mutant: bool) -> Sides:
    """The fewest episodes after which all pairs were known."""
    found = bounds.rmax.x4().evaluate(**_restarts(case))
    least = int(found["lower"]) * (2 if mutant else 1)
    return Sides(least, min(_known_after(case, int(found["upper"]))))


def _sample_restarted_worlds(rng: np.random.Generator) -> Restarts:
    return Restarts(tuple(small_world(rng) for _ in range(RUNS)), 4, f"{RUNS} random MDPs of 3 states, episodes of 4")


def _x4_steps(case: Restarts, mutant: bool) -> Sides:
    """Bad steps at the m of T1, until all is known; after that there is none if the plan is good."""
    world = case.worlds[0]
    at: dict[str, Any] = {"n_states": world.R.shape[0], "n_actions": world.R.shape[1], "branching": 2, "r_max": 1}
    at |= {"epsilon": world.epsilon, "delta": DELTA, "discount": world.discount, "horizon": case.horizon}
    promised = bounds.rmax.t1_restarts().evaluate(**at, w_plan="1/100", w_sim="99/100")
    m, most = int(promised["m"]), int(promised["steps"])
    counts = []
    for each in case.worlds:
        options: dict[str, Any] = {"epsilon": each.epsilon, "delta": DELTA, "horizon": case.horizon, "rng": each.seed}
        found = ledger(each.mdp(), Rmax(m=m, epsilon=each.epsilon), episodes=3 * int(promised["episodes"]), **options)
        assert found.count is not None
        counts.append(found.count)
    return quantile_sides(counts, most / (2 if mutant else 1), DELTA)


RESTARTS = (
    Statement(
        "X4",
        "random restarts",
        latex=r"\Pr(\text{episodes until all is known} > N_{\mathrm{ep}}) \le \delta/2",
        assumptions=("uniform starts, 200 runs", EXACT_RATE),
        sample=_sample_restarts,
        sides=_x4,
        mutant="a constant halved",
        extremal=(_sample_restarts(np.random.default_rng(0), 1),),
        share=0.01,
        probabilistic=True,
        detects=(1, 1.1),
    ),
    Statement(
        "X4, lower end",
        "random restarts, fewest episodes",
        latex=r"\lceil k_0/T\rceil \le \text{episodes until all is known}",
        assumptions=("uniform starts", "the fewest episodes of all runs"),
        sample=_sample_restarts,
        sides=_x4_least,
        mutant="twice as many episodes",
        extremal=(_bandit(2, 0.8, 0.5, 4, 5),),
        share=0.01,
        detects=(1, 1.01),
    ),
    Statement(
        "X4, steps",
        "R-max under random restarts",
        latex=r"\Pr(\#\mathrm{bad} > T N_{\mathrm{ep}}) \le \delta",
        assumptions=("the m of T1 for restarts", "uniform starts; exact counts by the ledger", EXACT_RATE),
        sample=_sample_restarted_worlds,
        sides=_x4_steps,
        mutant="a constant halved",
        extremal=(_bandit(10, 0.2, 0.8, RUNS, 1),),
        share=0.005,
        probabilistic=True,
        detects=(1, 1.15),
    ),
)
