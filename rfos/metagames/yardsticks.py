"""What other shapers earn where a learned one is measured: constant policies, strategies, learners."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from rfos._system import checks
from rfos._system.arrays import Float, floats
from rfos._system.randomness import Seed, seed_sequence
from rfos.games.equilibria import DegenerateGameWarning, nash_equilibria
from rfos.games.normal_form import NormalFormGame
from rfos.games.stochastic import StochasticGame, is_iterated
from rfos.games.strategies import extortion, of_two, strategy
from rfos.games.wording import as_strategy, in_numbers
from rfos.metagames.continuous import check_starts, hold, mutual_learning, random_starts
from rfos.metagames.estimates import Earned, Returns
from rfos.metagames.learners import NaiveLearner
from rfos.metagames.policy import PolicyMetaGame

MANY_PLAYS = 4_000_000
"""Meta-steps that choosing the best constant policy may take with a kernel: a second or two."""

FEW_PLAYS = 20_000
"""The same without one: some seconds."""


def equilibria(game: StochasticGame) -> list[tuple[Float, ...]] | None:
    """Return Nash equilibria of the stage game, one strategy for each player, or None without a solver of them.

    All of them, but for a degenerate game or more than two players: then some, or none.

    Found by nashpy or quantecon (see `rfos.games.equilibria.nash_equilibria`). Played in every inner state, each is an
    equilibrium of the iterated game.
    """
    checks.kind("game", game, StochasticGame)
    payoffs = game.rewards[:, 0].reshape(game.n_players, *game.n_actions)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DegenerateGameWarning)  # some are enough here, and the docstring says so
            return nash_equilibria(NormalFormGame(payoffs))
    except ImportError:
        return None
    except RuntimeError:  # none is good enough
        return []


def constant_shapers(
    meta_game: PolicyMetaGame, starts: Sequence[Float], *, steps: int = 100
) -> list[tuple[str, Float]]:
    """Return shapers that hold one policy (S, A_0), by name, as `yardsticks` says."""
    checks.kind("meta_game", meta_game, PolicyMetaGame)
    starts = check_starts(meta_game, starts, steps)
    game = meta_game.game
    grid = np.array([meta_game.grids[0].policy(a) for a in range(meta_game.n_actions)])
    plays = FEW_PLAYS if meta_game.dynamics is None else MANY_PLAYS
    few = [start[: max(1, plays // (len(grid) * max(1, steps)))] for start in starts]
    best = int(hold(meta_game, grid, few, steps)[:, :, 0].mean(axis=1).argmax())
    rows: list[tuple[str, Float]] = [(f"best constant policy of the grid {in_numbers(grid[best])}", grid[best])]
    for own, *_ in equilibria(game) or []:
        rows.append((f"stage-game Nash equilibrium ({as_strategy(own)})", np.tile(own, (game.n_states, 1))))
    if is_iterated(game):
        rows.append(("tit for tat", strategy(game, 0, "tit-for-tat")))
    extort = extortion(game)
    if extort is not None:
        extort = of_two(extort)
        rows.append((f"extortion, factor 3 {in_numbers(extort)}", extort))
    return rows


def learning_shapers(
    meta_game: PolicyMetaGame, starts: Sequence[Float], *, steps: int = 100, rng: Seed = None
) -> list[Returns]:
    """Return what naive learning earns from at most 16 of the starts, as `yardsticks` says."""
    game = meta_game.game
    first = meta_game.opponents[0]
    naive = first if isinstance(first, NaiveLearner) else NaiveLearner()
    some = [start[:16] for start in starts]
    alone = mutual_learning(meta_game, naive, some, steps, rng)
    if all(learner == naive for learner in meta_game.opponents):
        return [Returns("mutual naive learning", alone)]
    all_naive = replace(meta_game, opponents=[naive] * len(meta_game.opponents))
    together = mutual_learning(all_naive, naive, random_starts(game, 16, seed_sequence(rng, (1,))), steps, rng)
    return [
        Returns("naive learning against this opponent", alone),
        Returns("mutual naive learning", together, same_opponent=False),
    ]


def yardsticks(
    meta_game: PolicyMetaGame, starts: Sequence[Float], *, steps: int = 100, rng: Seed = None
) -> list[Earned]:
    """Return what simple shapers earn while the opponents learn against them, from the same starts.

    The best constant inner policy of the shaper's grid (chosen on the first of the starts, as many as a short time
    allows), each Nash equilibrium of the stage game, tit for tat and extortion where the game has them, and naive
    learning (from at most 16 starts). Last comes mutual naive learning; where the opponents are no naive learners, it
    is played by others, from random starts of their own, and its row says so.

    Parameters
    ----------
    meta_game : PolicyMetaGame
    starts : sequence of ndarray, shapes (N, S, A_i)
        The opponents' first policies.
    steps : int
        Meta-steps, at least 1.
    rng : seed
        Of the naive shaper's first policies.

    Raises
    ------
    ValueError
        If the starts do not fit the game, or there are no steps.

    Examples
    --------
    Matching Pennies once, pure policies, a learner that jumps to its better action: no constant policy wins for long.

    >>> from rfos.games.named import matching_pennies
    >>> from rfos.metagames.grids import SimplexGrid
    >>> from rfos.games.stochastic import one_shot
    >>> pure = SimplexGrid(1, 2, 1)
    >>> meta_game = PolicyMetaGame(one_shot(matching_pennies()), [NaiveLearner(2.0, "simplex")], [pure, pure], 0.5)
    >>> rows = yardsticks(meta_game, [np.array([[[1.0, 0.0]]])], steps=4, rng=0)
    >>> rows[0].name, rows[0].shaper[0], rows[-1].name
    ('best constant policy of the grid (1)', 0.25, 'mutual naive learning')
    """
    constant = constant_shapers(meta_game, starts, steps=steps)
    found = [Returns(name, hold(meta_game, policy[None], starts, steps)[0]) for name, policy in constant]
    return [row.earned() for row in (*found, *learning_shapers(meta_game, starts, steps=steps, rng=rng))]


def discounted_value(meta_game: PolicyMetaGame, rewards: Float) -> tuple[Float, Float]:
    """Return bounds of what a roll-out is worth, going on for ever, per inner step.

    That is (1-discount) times the sum of discount^t r_t, what comes after the last step bounded by the smallest and
    largest reward: comparable with (1-discount) times a value on the grid, which means over steps are not.

    Parameters
    ----------
    meta_game : PolicyMetaGame
    rewards : ndarray, shape (N, T, n_players)
        As `rfos.metagames.continuous.roll_out` returns them.

    Returns
    -------
    lower, upper : ndarray, shape (N,)

    Examples
    --------
    Matching Pennies once, discount 1/2: one step that earns 1 is 1/2 of it, the rest 0 to 1.

    >>> from rfos.games.named import matching_pennies
    >>> from rfos.metagames.grids import SimplexGrid
    >>> from rfos.metagames.learners import Fixed
    >>> from rfos.games.stochastic import one_shot
    >>> pure = SimplexGrid(1, 2, 1)
    >>> meta_game = PolicyMetaGame(one_shot(matching_pennies()), [Fixed()], [pure, pure], 0.5)
    >>> lower, upper = discounted_value(meta_game, np.array([[[1.0, 0.0]]]))
    >>> lower.tolist(), upper.tolist()
    ([0.5], [1.0])
    """
    checks.kind("meta_game", meta_game, PolicyMetaGame)
    rewards = floats("rewards", rewards)
    if rewards.ndim != 3 or rewards.shape[2] != meta_game.game.n_players:
        raise ValueError(f"rewards have shape {rewards.shape}: give (N, T, {meta_game.game.n_players}), of a roll-out")
    steps = rewards.shape[1]
    weights = (1 - meta_game.discount) * meta_game.discount ** np.arange(steps)
    earned_so_far = rewards[:, :, 0] @ weights
    left = meta_game.discount**steps
    low, high = meta_game.game.reward_range(0)
    return earned_so_far + left * low, earned_so_far + left * high
