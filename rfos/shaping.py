"""How much shaping is worth: what was earned in the *continuous* meta-game, and the yardsticks beside it.

A value on the grid is a statement about the discretised game, in which a learner may be frozen (N4); what the same
policy earns against the learner as it really moves is the number that a reader may believe.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from rfos.continuous import hold, mutual_learning
from rfos.games import NormalFormGame
from rfos.interop import nash_equilibria
from rfos.learners import NaiveLearner
from rfos.policy_metagames import PolicyMetaGame
from rfos.policy_tables import is_iterated
from rfos.randomness import Seed
from rfos.stochastic_games import StochasticGame

Float = NDArray[np.float64]

MANY_PLAYS = 4_000_000
"""Meta-steps that choosing the best constant policy may take with a kernel: a second or two."""

FEW_PLAYS = 20_000
"""The same without one: some seconds."""


@dataclass(frozen=True)
class Earned:
    """Mean reward per inner step over a roll-out and over random starts, with 95 % t intervals.

    Attributes
    ----------
    name : str
    shaper, opponent : tuple of float
        Mean, lower and upper end; of several opponents their mean.
    """

    name: str
    shaper: tuple[float, float, float]
    opponent: tuple[float, float, float]


def earned(name: str, returns: Float) -> Earned:
    """Return means over starts of rewards per step (N, n_players), with 95 % t intervals."""

    def interval(sample: Float) -> tuple[float, float, float]:
        mean = float(sample.mean())
        if len(sample) < 2:
            return mean, math.nan, math.nan
        half = float(stats.t.ppf(0.975, len(sample) - 1) * sample.std(ddof=1) / math.sqrt(len(sample)))
        return mean, mean - half, mean + half

    return Earned(name, interval(returns[:, 0]), interval(returns[:, 1:].mean(axis=1)))


def extortion(game: StochasticGame, factor: float = 3.0) -> Float | None:
    """Return the extortionate zero-determinant strategy of Press & Dyson (2012), shape (S,), or None if there is none.

    It enforces (own reward - P) = factor (other's reward - P) in an iterated Prisoner's Dilemma with rewards
    T > R > P > S, with the largest feasible scale; the first move cooperates.

    Examples
    --------
    Rewards 3, 0, 5, 1 and factor 3: Press & Dyson print (11/13, 1/2, 7/26, 0) at half the largest scale.

    >>> from rfos.games import NormalFormGame
    >>> from rfos.stochastic_games import iterated
    >>> pd = iterated(NormalFormGame([[[3, 0], [5, 1]], [[3, 5], [0, 1]]]), 0.9)
    >>> (extortion(pd)[1:] * 13).round(9).tolist()
    [9.0, 0.0, 7.0, 0.0]
    """
    if game.n_states != 5 or game.n_actions != (2, 2):
        return None
    reward, sucker, temptation, punishment = game.rewards[0, 0]
    if not temptation > reward > punishment > sucker:
        return None
    downs = (
        (factor - 1) * (reward - punishment),
        (punishment - sucker) + factor * (temptation - punishment),
        (temptation - punishment) + factor * (punishment - sucker),
    )
    scale = 1 / max(downs)
    return np.array([1.0, 1 - scale * downs[0], 1 - scale * downs[1], scale * downs[2], 0.0])


def equilibria(game: StochasticGame) -> list[tuple[Float, ...]] | None:
    """Return the Nash equilibria of the stage game, one strategy for each player, or None without a solver of them.

    Found by nashpy or quantecon (see `rfos.interop.nash_equilibria`). Played in every inner state, each is an
    equilibrium of the iterated game.
    """
    payoffs = game.rewards[:, 0].reshape(game.n_players, *game.n_actions)
    try:
        return nash_equilibria(NormalFormGame(payoffs))
    except ImportError:
        return None


def yardsticks(
    meta_game: PolicyMetaGame, starts: Sequence[Float], *, steps: int = 100, rng: Seed = None
) -> list[Earned]:
    """Return what simple shapers earn while the opponents learn against them, from the same starts.

    The best constant inner policy of the shaper's grid (chosen on the first of the starts, as many as a short time
    allows), each Nash equilibrium of the stage game, tit for tat and extortion where the game has them, and mutual
    naive learning.
    """
    game = meta_game.game
    grid = np.array([meta_game.grids[0].policy(a) for a in range(meta_game.n_actions)])
    plays = FEW_PLAYS if meta_game.dynamics is None else MANY_PLAYS
    few = [start[: max(1, plays // (len(grid) * steps))] for start in starts]
    best = int(hold(meta_game, grid, few, steps)[:, :, 0].mean(axis=1).argmax())
    rows: list[tuple[str, Float]] = [(f"best constant policy {in_numbers(grid[best])}", grid[best])]
    for own, *_ in equilibria(game) or []:
        rows.append((f"stage-game Nash equilibrium ({_strategy(own)})", np.tile(own, (game.n_states, 1))))
    if is_iterated(game):
        rows.append(("tit for tat", _of_two([1.0, 1.0, 0.0, 1.0, 0.0])))
    extort = extortion(game)
    if extort is not None:
        extort = _of_two(extort)
        rows.append((f"extortion, factor 3 {in_numbers(extort)}", extort))
    found = [earned(name, hold(meta_game, policy[None], starts, steps)[0]) for name, policy in rows]
    both = mutual_learning(meta_game, NaiveLearner(), [start[:16] for start in starts], steps, rng)
    return [*found, earned("mutual naive learning", both)]


def _of_two(first: Sequence[float] | Float) -> Float:
    """Return a policy of two actions (S, 2) from its probabilities of action 0 (S,)."""
    return np.stack([first, 1 - np.asarray(first)], axis=1)


def _strategy(row: Float) -> str:
    # The last action's probability follows from the others.
    return "/".join(f"{p:.2g}" for p in row[:-1])


def in_numbers(policy: Float) -> str:
    """Return a policy (S, A) as text: all probabilities but the last action's, inner states separated by commas.

    Examples
    --------
    >>> in_numbers(np.array([[0.25, 0.75], [1.0, 0.0]])), in_numbers(np.array([[0.5, 0.25, 0.25]]))
    ('(0.25, 1)', '(0.5/0.25)')
    """
    return "(" + ", ".join(_strategy(row) for row in policy) + ")"
