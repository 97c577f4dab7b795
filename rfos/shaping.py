"""How much shaping is worth: what policies earn in the *continuous* meta-game, and the yardsticks beside them.

A value on the grid is a statement about the discretised game, in which a learner may be frozen; what the same policy
earns against the learner as it really moves is the number that a reader may believe (theory.md N4).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from rfos._kernels import policies as kernels
from rfos._threads import in_ranges
from rfos.learners import Learner, NaiveLearner
from rfos.policy_tables import Dynamics, is_iterated
from rfos.randomness import Seed, seed_sequence
from rfos.stochastic_games import StochasticGame

Float = NDArray[np.float64]
Int = NDArray[np.int64]


@dataclass(frozen=True)
class Earned:
    """Mean reward per inner step over a roll-out and over random starts, with 95 % t intervals.

    Attributes
    ----------
    name : str
    shaper, opponent : tuple of float
        Mean, lower and upper end.
    """

    name: str
    shaper: tuple[float, float, float]
    opponent: tuple[float, float, float]


def earned(name: str, returns: Float) -> Earned:
    """Return means over starts of rewards per step (N, 2), with 95 % t intervals."""

    def interval(sample: Float) -> tuple[float, float, float]:
        mean = float(sample.mean())
        if len(sample) < 2:
            return mean, math.nan, math.nan
        half = float(stats.t.ppf(0.975, len(sample) - 1) * sample.std(ddof=1) / math.sqrt(len(sample)))
        return mean, mean - half, mean + half

    return Earned(name, interval(returns[:, 0]), interval(returns[:, 1]))


def random_starts(game: StochasticGame, n: int, rng: Seed = None) -> Float:
    """Return opponents' policies with standard normal logits, as probabilities of action 0, shape (n, S).

    Examples
    --------
    >>> from rfos.games import matching_pennies
    >>> from rfos.stochastic_games import one_shot
    >>> random_starts(one_shot(matching_pennies()), 2, rng=0).shape
    (2, 1)
    """
    draws = np.random.default_rng(seed_sequence(rng)).standard_normal((n, game.n_states))
    starts: Float = 1 / (1 + np.exp(-draws))
    return starts


def roll_out(
    dynamics: Dynamics, starts: Float, *, values: Float | None, policy: Int | None, discount: float, steps: int = 100
) -> tuple[Float, Int]:
    """Play the continuous meta-game, the opponent unrounded; return rewards (N, 2) per inner step and moves (N, T).

    Parameters
    ----------
    dynamics : Dynamics
    starts : ndarray, shape (N, S)
        The opponent's first policies, as probabilities of action 0.
    values : ndarray, shape (X,), or None
        Look one step ahead with these values on the grid, interpolated barycentrically.
    policy : ndarray of int64, shape (X,), or None
        Play that of the nearest grid point. One of `values` and `policy` is given.
    discount : float
        Meta discount of the look-ahead.
    steps : int
        Meta-steps.

    Raises
    ------
    ValueError
        If not exactly one of `values` and `policy` is given.
    """
    if (values is None) == (policy is None):
        raise ValueError("give values to look ahead with, or a policy to project on, not both")
    returns = np.empty((len(starts), 2))
    moves = np.empty((len(starts), steps), np.int64)
    ahead = np.zeros(0) if values is None else np.array(values)
    projected = np.zeros(0, np.int64) if policy is None else np.array(policy)

    def work(first: int, last: int) -> None:
        d = dynamics
        kernels.roll_out(
            d.game,
            d.rule,
            d.iterated,
            d.own_levels,
            d.levels,
            d.strides,
            discount,
            ahead,
            projected,
            starts,
            returns,
            moves,
            first,
            last,
        )

    in_ranges(work, len(starts))
    return returns, moves


def trajectory(
    game: StochasticGame, learner: Learner, start: Float, own_policies: Sequence[Float]
) -> tuple[Float, Float]:
    """Play given policies of the shaper against a learner, the definition step by step.

    Parameters
    ----------
    game : StochasticGame
        Two players with two actions.
    learner : Learner
    start : ndarray, shape (S,)
        The opponent's first probabilities of action 0.
    own_policies : sequence of ndarray, each of shape (S, 2)

    Returns
    -------
    policies : ndarray, shape (T, S)
        The opponent's probabilities of action 0 as they are played.
    rewards : ndarray, shape (T, 2)
        Both players' rewards per inner step.
    """
    other = np.stack([start, 1 - start], axis=1)
    policies, rewards = [], []
    for own in own_policies:
        policies.append(other[:, 0])
        rewards.append(game.returns([own, other]))
        other = learner.update(game, 1, [own, other])
    return np.array(policies), np.array(rewards)


def held(dynamics: Dynamics, policies: Float, starts: Float, steps: int = 100) -> Float:
    """Return rewards per inner step (M, N, 2) of a shaper that holds each policy (M, S) while the opponent learns."""
    returns = np.empty((len(policies), len(starts), 2))

    def work(first: int, last: int) -> None:
        d = dynamics
        kernels.hold(d.game, d.rule, d.iterated, policies, starts, steps, returns, first, last)

    in_ranges(work, len(policies))
    return returns


def mutual_learning(
    game: StochasticGame, own: Learner, opponent: Learner, starts: Float, steps: int = 100, rng: Seed = None
) -> Float:
    """Return rewards per inner step (N, 2) when both learn at once, the shaper from random logits of its own."""
    shaper_starts = random_starts(game, len(starts), rng)
    returns = np.zeros((len(starts), 2))
    for n in range(len(starts)):
        policies = [np.stack([p, 1 - p], axis=1) for p in (shaper_starts[n], starts[n])]
        for _ in range(steps):
            returns[n] += game.returns(policies) / steps
            policies = [learner.update(game, i, policies) for i, learner in enumerate((own, opponent))]
    return returns


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


def equilibria(game: StochasticGame) -> list[tuple[float, float]] | None:
    """Return the Nash equilibria of a 2 x 2 stage game as probabilities of action 0, or None without quantecon.

    Found by quantecon's support enumeration.
    """
    try:
        from quantecon.game_theory import NormalFormGame as Game
        from quantecon.game_theory import Player, support_enumeration
    except ImportError:
        return None
    own = game.rewards[0, 0].reshape(2, 2)
    other = game.rewards[1, 0].reshape(2, 2)
    found = support_enumeration(Game((Player(own), Player(other.T))))
    return [(float(row[0]), float(column[0])) for row, column in found]


def yardsticks(
    game: StochasticGame,
    opponent: Learner,
    dynamics: Dynamics,
    starts: Float,
    own_policies: Callable[[], Float],
    *,
    steps: int = 100,
    rng: Seed = None,
) -> list[Earned]:
    """Return what simple shapers earn while the opponent learns against them, from the same starts.

    The best constant inner policy of the shaper's grid, each Nash equilibrium of the stage game, tit for tat and
    extortion where the game has them, and mutual naive learning.
    """
    grid = own_policies()
    few = starts[: max(1, min(len(starts), 200_000 // len(grid)))]
    best = int(held(dynamics, grid, few, steps)[:, :, 0].mean(axis=1).argmax())
    rows: list[tuple[str, Float]] = [(f"best constant policy {_numbers(grid[best])}", grid[best])]
    for p, _ in equilibria(game) or []:
        rows.append((f"stage-game Nash equilibrium, action 0 with {p:.3g}", np.full(game.n_states, p)))
    if is_iterated(game):
        rows.append(("tit for tat", np.array([1.0, 1.0, 0.0, 1.0, 0.0])))
    extort = extortion(game)
    if extort is not None:
        rows.append((f"extortion, factor 3 {_numbers(extort)}", extort))
    found = [earned(name, held(dynamics, policy[None, :], starts, steps)[0]) for name, policy in rows]
    both = mutual_learning(game, NaiveLearner(), opponent, starts[:16], steps, rng)
    return [*found, earned("mutual naive learning", both)]


def _numbers(policy: Sequence[float] | Float) -> str:
    return "(" + ", ".join(f"{p:.2g}" for p in policy) + ")"
