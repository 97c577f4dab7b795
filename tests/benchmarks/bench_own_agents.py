"""What the loop of Python costs beside an agent of one's own: `python tests/benchmarks/bench_own_agents.py`.

A player that does nothing is timed in the loop and alone; the difference is the loop's.
"""

from __future__ import annotations

import statistics
import time

import numpy as np

import rfos

STEPS, TIMES = 200_000, 7


class Idle:
    """Always takes action 0 and learns nothing."""

    def begin(self, environment: rfos.Environment, rng: np.random.Generator) -> Idle:
        self.n_states = environment.n_states
        return self

    def act(self, state: int) -> int:
        return 0

    def observe(self, state: int, action: int, reward: float, next_state: int) -> bool:
        return False

    def policy(self) -> np.ndarray:
        return np.zeros(self.n_states, np.int64)


def alone() -> float:
    player = Idle()
    act, observe = player.act, player.observe
    began = time.perf_counter()
    for _ in range(STEPS):
        observe(0, act(0), 0.0, 0)
    return time.perf_counter() - began


def processes() -> dict[str, rfos.Environment]:
    pennies = rfos.named_game("matching-pennies")
    rng = np.random.default_rng(1)
    mdp = rfos.TabularMDP(rng.dirichlet([1.0] * 8, (8, 4)), rng.random((8, 4)), 0.9)
    hidden = rfos.WindowMetaGame(pennies, rfos.QLearner(), window=3, discount=0.8, horizon=10)
    window = rfos.WindowMetaGame(pennies, rfos.WindowQLearner(), window=3, discount=0.8, horizon=10)
    return {
        "MDP, 8 successors": rfos.Environment(mdp),
        "windows": rfos.Environment(window),
        "hidden": rfos.Environment(hidden),
    }


def main() -> None:
    for name, environment in processes().items():
        loop, bare, counted = [], [], []
        for seed in range(TIMES):
            bare.append(alone())
            began = time.perf_counter()
            rfos.run(environment, Idle(), steps=STEPS, rng=seed)
            loop.append(time.perf_counter() - began)
            if environment.is_markov:
                began = time.perf_counter()
                rfos.ledger(environment, Idle(), epsilon=0.5, steps=STEPS, rng=seed)
                counted.append(time.perf_counter() - began)
        own = statistics.median(bare)
        for what, times in (("run", loop), ("ledger", counted)):
            if times:
                micro = (statistics.median(times) - own) / STEPS * 1e6
                print(f"{name:20} {what:7} {micro:.2f} us a step, {1 / micro:.2f} million steps a second")


if __name__ == "__main__":
    main()
