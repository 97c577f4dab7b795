"""The worlds in which `check_rmax` lets an agent act, and what is asked of it there."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any

import numpy as np

import bounds.sharp
from rfos._system.arrays import Float
from rfos.planning.mdp import TabularMDP

ACCURACY, PLANNED = Fraction(1, 10), Fraction(1, 100)
"""Epsilon, and what an agent's planning may lose, as shares of V_max."""

COIN, COIN_VISITS = 0.9, 20
"""The best coin shows 1 with this chance, the others 0 with it; the visits that make one known."""

Step = Callable[[int, int, int, np.random.Generator], tuple[float, int]]


@dataclass(frozen=True, eq=False)
class Instance:
    """A world to act in, and what is asked of the agent there."""

    name: str
    mdp: TabularMDP
    m: int
    steps: int
    step: Step
    epsilon: float
    most_bad: int | None = None
    """Steps that may be bad; where there is such a bound the state at the end is judged, too."""
    ends_well: bool = False
    """Whether the policy at the end must be epsilon-optimal in every state."""
    visits: dict[tuple[int, int], tuple[int, str]] = field(default_factory=dict)
    """Visits that a pair must have in the end, and why."""


def _table(successor: list[list[int]], reward: list[list[float]]) -> Step:
    """Return the step of a deterministic MDP."""
    return lambda s, a, visit, rng: (reward[s][a], successor[s][a])


def _with_the_largest_reward(successor: list[list[int]], reward: list[list[float]], discount: float) -> TabularMDP:
    """Return a deterministic MDP, and beside it a state that nothing leads to and that pays 1, the largest reward."""
    n_actions = len(successor[0])
    return TabularMDP(
        np.array([*successor, [len(successor)] * n_actions]), np.array([*reward, [1.0] * n_actions]), discount
    )


def _certain(
    name: str, successor: Any, reward: Any, discount: float, m: int, r_max: float = 1.0, share: Fraction = ACCURACY
) -> Instance:
    """Return a deterministic MDP with the count of T1', each escape m times; epsilon is a share of V_max."""
    mdp = TabularMDP(np.array(successor), np.array(reward, np.float64), discount)
    n, n_actions = mdp.n_states, mdp.n_actions
    epsilon = float(share) * r_max / (1 - discount)
    promised = bounds.sharp.t1_deterministic().steps.evaluate(
        n_states=n, n_actions=n_actions, epsilon=epsilon, discount=discount, r_max=r_max, w_plan=PLANNED / share
    )
    most = int(promised) * m
    step = _table(np.array(successor).tolist(), np.array(reward, np.float64).tolist())
    return Instance(name, mdp, m, 2 * most + 50, step, epsilon, most)


def corridor() -> Instance:
    """A safe loop, and four steps to the best reward; every wrong action leads back."""
    last = 4
    successor = [[0, min(s + 1, last)] for s in range(last + 1)]
    reward = [[0.0, 0.0] for _ in range(last + 1)]
    reward[0][0], reward[last][1] = 0.6, 2.0
    return _certain("corridor to the best reward", successor, reward, 0.9, 3, r_max=2.0)


def detour(worth: bool) -> Instance:
    """A loop for ever, or a step to a state where nothing pays: worth it while 0.9 V_max is more than the loop's."""
    m, safe = 20, 0.882 if worth else 0.918
    successor, reward = [[0, 1], [0, 0]], [[safe, 0.0], [0.0, 0.0]]
    mdp = _with_the_largest_reward(successor, reward, 0.9)
    tries = 2 * m if worth else m
    why = (
        "its unknown pairs one step away are worth more than the loop"
        if worth
        else "after m visits the unknown pairs one step away are worth less than the loop"
    )
    name = f"detour {'just' if worth else 'not quite'} worth a try"
    return Instance(name, mdp, m, 8 * m, _table(successor, reward), 1.0, visits={(0, 1): (tries, why)})


def one_visit() -> Instance:
    """Six actions in one state, of which the last pays: each may be bad once, so that a second visit is too many."""
    return _certain("one visit of each action", [[0] * 6], [[0.0] * 5 + [1.0]], 0.5, 1)


def close_rewards(best: int) -> Instance:
    """Two actions pay .965, one pays 1: rewards that look larger by .035 are taken for V_max, and never left again."""
    reward = [0.965] * 3
    reward[best] = 1.0
    name = f"the last {0.035:g} of the reward, action {best}"
    return _certain(name, [[0] * 3], [reward], 0.5, 2, share=Fraction(1, 50))


def frozen_rewards() -> Instance:
    """Action 0 pays .8, but nothing on the m visits after its first m; action 1 pays .6: what is known stays known."""
    m = 20
    mdp = _with_the_largest_reward([[0, 0]], [[0.8, 0.6]], 0.5)

    def step(s: int, a: int, visit: int, rng: np.random.Generator) -> tuple[float, int]:
        return (0.0 if m < visit <= 2 * m else 0.8) if a == 0 else 0.6, 0

    visits = {(0, 1): (m, "estimates are frozen at m, and the other action looked better then")}
    name = "rewards that fail for a while after m visits"
    return Instance(name, mdp, m, 20 * m, step, 0.2, ends_well=True, visits=visits)


def frozen_rows() -> Instance:
    """Action 0 leads to the state that pays, but on the 4 m visits after its first m to one that does not.

    Worth 2/3 at discount 1/2, the other action 2/5; while the second state is tried the first must fail longer than m.
    """
    m = 20
    successor, reward = [[1, 0], [0, 0], [0, 0]], [[0.0, 0.2], [1.0, 1.0], [0.0, 0.0]]
    mdp = TabularMDP(np.array(successor), np.array(reward), 0.5)

    def step(s: int, a: int, visit: int, rng: np.random.Generator) -> tuple[float, int]:
        following = 2 if (s, a) == (0, 0) and m < visit <= 5 * m else successor[s][a]
        return reward[s][a], following

    visits = {(0, 1): (m, "estimates are frozen at m, and the other action looked better then")}
    name = "successors that fail for a while after m visits"
    return Instance(name, mdp, m, 40 * m, step, 0.2, ends_well=True, visits=visits)


def random_world(number: int, rng: np.random.Generator) -> Instance:
    """Random successors, rewards i/5 with both ends attained."""
    n, n_actions = int(rng.integers(3, 6)), 2
    reward = rng.integers(0, 6, (n, n_actions)) / 5
    reward.flat[rng.choice(reward.size, 2, replace=False)] = 0.0, 1.0
    return _certain(f"random MDP {number}", rng.integers(0, n, (n, n_actions)), reward, 0.8, 2)


def _chances(n_actions: int, rng: np.random.Generator) -> Float:
    """Return the chances of coins of which one at random is the best."""
    chances = np.full(n_actions, 1 - COIN)
    chances[rng.integers(n_actions)] = COIN
    return chances


def reward_coins(rng: np.random.Generator) -> Instance:
    """One state, eight coins that pay 1 or nothing."""
    chances = _chances(8, rng)
    mdp = _with_the_largest_reward([[0] * 8], [chances.tolist()], 0.5)

    def step(s: int, a: int, visit: int, rng: np.random.Generator) -> tuple[float, int]:
        return float(rng.random() < chances[a]), 0

    return Instance("coins that pay", mdp, COIN_VISITS, 170, step, 0.2, ends_well=True)


def successor_coins(rng: np.random.Generator) -> Instance:
    """Four coins that lead to a state that pays or to one that does not; both lead back."""
    chances = _chances(4, rng)
    rows = np.zeros((3, 4, 3))
    rows[0, :, 1], rows[0, :, 2], rows[1:, :, 0] = chances, 1 - chances, 1.0
    mdp = TabularMDP(rows, np.repeat([[0.0], [1.0], [0.0]], 4, axis=1), 0.5)

    def step(s: int, a: int, visit: int, rng: np.random.Generator) -> tuple[float, int]:
        return (0.0, 1 if rng.random() < chances[a] else 2) if s == 0 else (float(s == 1), 0)

    return Instance("coins that lead on", mdp, COIN_VISITS, 500, step, 0.2, ends_well=True)
