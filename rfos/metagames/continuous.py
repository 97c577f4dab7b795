"""The continuous meta-game: the opponents move as they really do, unrounded.

What a solution on the grid is worth shows here. Two players with two actions each are played by kernels where there is
one for the learner; every other game by the definition, pair by pair.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from rfos._kernels import policies as policies_kernels
from rfos._system import checks
from rfos._system.arrays import Float, Int, floats, integers
from rfos._system.memory import require_memory
from rfos._system.randomness import Seed, seed_sequence
from rfos._system.threads import in_ranges
from rfos.games.stochastic import StochasticGame
from rfos.metagames.learners import Learner, next_policy
from rfos.metagames.policy import PolicyMetaGame

MOST_STEPS = 10**12
"""Most meta-steps of a roll-out."""


def random_policies(n: int, n_states: int, n_actions: int, rng: np.random.Generator) -> Float:
    """Return policies whose logits are standard normal, the last action's 0, shape (n, S, A)."""
    logits = np.zeros((n, n_states, n_actions))
    logits[:, :, :-1] = rng.standard_normal((n, n_states, n_actions - 1))
    weights = np.exp(logits - logits.max(axis=2, keepdims=True))
    policies: Float = weights / weights.sum(axis=2, keepdims=True)
    return policies


def random_starts(game: StochasticGame, n: int, rng: Seed = None) -> list[Float]:
    """Return first policies of the opponents with standard normal logits, for each an array of shape (n, S, A_i).

    Examples
    --------
    >>> from rfos.games.named import matching_pennies
    >>> from rfos.games.stochastic import one_shot
    >>> [starts.shape for starts in random_starts(one_shot(matching_pennies()), 3, rng=0)]
    [(3, 1, 2)]
    """
    checks.kind("game", game, StochasticGame)
    checks.whole("n", n, give="a whole number of starts of at least 1")
    stream = np.random.default_rng(seed_sequence(rng))
    return [random_policies(n, game.n_states, n_actions, stream) for n_actions in game.n_actions[1:]]


def moved_starts(meta_game: PolicyMetaGame, starts: Sequence[Float], rng: Seed = None) -> list[Float]:
    """Return where the opponents are after one move against a shaper with standard normal logits, shapes (N, S, A_i).

    That is how episodes of M-FOS begin (the authors' `reset`): all policies are drawn, the opponents learn once, and
    only what comes after is scored.

    Parameters
    ----------
    meta_game : PolicyMetaGame
    starts : sequence of ndarray, shapes (N, S, A_i)
        The opponents' policies before.
    rng : seed
        Of the shaper's policies.

    Examples
    --------
    Who does not learn stays:

    >>> from rfos.games.named import matching_pennies
    >>> from rfos.metagames.grids import SimplexGrid
    >>> from rfos.metagames.learners import Fixed
    >>> from rfos.games.stochastic import one_shot
    >>> pure = SimplexGrid(1, 2, 1)
    >>> meta_game = PolicyMetaGame(one_shot(matching_pennies()), [Fixed()], [pure, pure], 0.5)
    >>> moved_starts(meta_game, [np.array([[[0.25, 0.75]]])], rng=0)[0].tolist()
    [[[0.25, 0.75]]]
    """
    game = meta_game.game
    starts = check_starts(meta_game, starts, 1)
    stream = np.random.default_rng(seed_sequence(rng))
    own = random_policies(len(starts[0]), game.n_states, game.n_actions[0], stream)
    moved = [meta_game.following([own[n], *(start[n] for start in starts)]) for n in range(len(own))]
    return [np.array(policies) for policies in zip(*moved, strict=True)]


def check_starts(meta_game: PolicyMetaGame, starts: Sequence[Float], steps: int) -> list[Float]:
    """Return the opponents' first policies, shapes (N, S, A_i), or raise ValueError unless they fit the game."""
    checks.kind("meta_game", meta_game, PolicyMetaGame)
    if not checks.is_whole(steps) or not 1 <= steps <= MOST_STEPS:
        raise ValueError(f"steps is {checks.shown(steps)}: play at least 1 and at most {MOST_STEPS}, a whole number")
    mend = "give the first policies of each opponent, such as random_starts(game, 10)"
    given = checks.several("starts", starts, mend)
    game = meta_game.game
    if len(given) != game.n_players - 1:
        sizes = [len(start) if hasattr(start, "__len__") else 1 for start in given]
        raise ValueError(f"starts are {sizes} policies for {game.n_players - 1} opponents: {mend}")
    found = [_policies(f"the starts of player {i}", start, game, i) for i, start in enumerate(given, start=1)]
    if len({len(start) for start in found}) != 1:
        raise ValueError(f"starts are {[len(start) for start in found]} policies: give as many for each opponent")
    return found


def _policies(what: str, given: object, game: StochasticGame, player: int) -> Float:
    """Return a player's policies (N, S, A_i), each checked."""
    policies = floats(what, given)
    n_states, n_actions = game.n_states, game.n_actions[player]
    if policies.shape[1:] != (n_states, n_actions) or len(policies) == 0:
        raise ValueError(f"{what} have shape {policies.shape}, expected (N, {n_states}, {n_actions}), N >= 1")

    def where(row: int) -> str:
        return f"in policy {row // n_states}, state {row % n_states}"

    rows = policies.reshape(-1, n_actions)
    return checks.distributions(f"{what} hold", rows, rows.shape, where).reshape(policies.shape)


class RollOut(NamedTuple):
    """What was played in the continuous meta-game from N starts for T meta-steps."""

    rewards: Float  # (N, T, n_players) per inner step
    moves: Int  # (N, T) the shaper's meta-actions
    policies: tuple[Float, ...]  # of each opponent (N, T, S, A_i), as they were played

    @property
    def mean_rewards(self) -> Float:
        """Mean over the meta-steps, shape (N, n_players)."""
        mean: Float = self.rewards.mean(axis=1)
        return mean


def roll_out(
    meta_game: PolicyMetaGame,
    starts: Sequence[Float],
    *,
    values: Float | None = None,
    policy: Int | None = None,
    steps: int = 100,
) -> RollOut:
    """Play the continuous meta-game with the shaper that a solution on the grid defines.

    Parameters
    ----------
    meta_game : PolicyMetaGame
        Its lumped meta-states are what `values` and `policy` are about.
    starts : sequence of ndarray, shapes (N, S, A_i)
        The opponents' first policies.
    values : ndarray, shape (X,), optional
        Look one step ahead with these values on the grid, interpolated barycentrically.
    policy : ndarray of int64, shape (X,), optional
        Play that of the nearest grid point. One of `values` and `policy` is given.
    steps : int
        Meta-steps.

    Returns
    -------
    RollOut

    Raises
    ------
    MemoryError
        If what is played does not fit this machine.
    ValueError
        If not exactly one of `values` and `policy` is given, one of them has another length, the starts do not fit the
        game, there are no steps, or looking ahead meets a grid without barycentric weights.

    Examples
    --------
    Matching Pennies once, against a learner that jumps to its better action: who matches what it plays always wins.

    >>> from rfos.games.named import matching_pennies
    >>> from rfos.metagames.grids import SimplexGrid
    >>> from rfos.metagames.learners import NaiveLearner
    >>> from rfos.planning.solve import solve
    >>> from rfos.games.stochastic import one_shot
    >>> pure = SimplexGrid(1, 2, 1)
    >>> meta_game = PolicyMetaGame(one_shot(matching_pennies()), [NaiveLearner(2.0, "simplex")], [pure, pure], 0.5)
    >>> heads = [np.array([[[1.0, 0.0]]])]
    >>> found = roll_out(meta_game, heads, values=solve(meta_game.to_mdp()).value, steps=4)
    >>> found.mean_rewards.tolist(), [pure.policy(move)[0].tolist() for move in found.moves[0]]
    ([[1.0, 0.0]], [[1.0, 0.0], [0.0, 1.0], [1.0, 0.0], [0.0, 1.0]])
    """
    firsts = check_starts(meta_game, starts, steps)
    if (values is None) == (policy is None):
        raise ValueError("give values to look ahead with, or a policy to project on, not both")
    values = None if values is None else floats("values", values)
    policy = None if policy is None else integers("policy", policy)
    given = np.asarray(policy if values is None else values)
    if given.shape != (meta_game.n_opponent_policies,):
        raise ValueError(
            f"{'policy' if values is None else 'values'} have shape {given.shape}, expected "
            f"{(meta_game.n_opponent_policies,)}: one for each lumped meta-state"
        )
    if policy is not None and (policy.min() < 0 or policy.max() >= meta_game.n_actions):
        wrong = int(policy.min() if policy.min() < 0 else policy.max())
        raise ValueError(f"policy holds {wrong}: give meta-actions from 0 to {meta_game.n_actions - 1}")
    n, game = len(firsts[0]), meta_game.game
    # Rewards and moves; policies, of kernels half of them once more and their complements.
    each = 8 * (game.n_players + 1 + 2 * game.n_states * sum(game.n_actions[1:]))
    require_memory(n * steps * each, f"what is played in {n * steps:,} meta-steps", "take fewer starts or steps")
    rewards, moves = np.empty((n, steps, game.n_players)), np.empty((n, steps), np.int64)
    d = meta_game.dynamics
    if d is None:
        paths = tuple(np.empty((n, steps, game.n_states, n_actions)) for n_actions in game.n_actions[1:])
        found = RollOut(rewards, moves, paths)
        _roll_out(meta_game, firsts, values, policy, found)
        return found
    ahead = np.zeros(0) if values is None else np.array(values)
    projected = np.zeros(0, np.int64) if policy is None else np.array(policy)
    first_actions = np.array(firsts[0][:, :, 0], order="C")
    path = np.empty((n, steps, game.n_states))
    shaper = (d.strides, meta_game.discount, ahead, projected)

    def work(first: int, last: int) -> None:
        policies_kernels.roll_out(*d.parts(), *shaper, first_actions, rewards, moves, path, first, last)

    in_ranges(work, n)
    return RollOut(rewards, moves, (np.stack([path, 1 - path], axis=-1),))


def _roll_out(
    meta_game: PolicyMetaGame, starts: Sequence[Float], values: Float | None, policy: Int | None, found: RollOut
) -> None:
    """Fill a roll-out by the definition."""
    own = [meta_game.grids[0].policy(a) for a in range(meta_game.n_actions)]

    def worth(a: int, others: Sequence[Float]) -> float:
        assert values is not None
        played = [own[a], *others]
        following = meta_game.following(played)
        corners, weights = meta_game.corners(following)
        return float(meta_game.returns(played, following)[0] + meta_game.discount * weights @ values[corners])

    for n, moves in enumerate(found.moves):
        others = [start[n] for start in starts]
        for step in range(len(moves)):
            if policy is not None:
                moves[step] = policy[meta_game.nearest(others)]
            else:
                moves[step] = np.argmax([worth(a, others) for a in range(len(own))])
            played = [own[moves[step]], *others]
            others = meta_game.following(played)
            scored = meta_game.scored(played, others)
            found.rewards[n, step] = meta_game.game.returns(scored)
            for path, other in zip(found.policies, scored[1:], strict=True):
                path[n, step] = other


def hold(meta_game: PolicyMetaGame, policies: Float, starts: Sequence[Float], steps: int = 100) -> Float:
    """Return what a shaper earns that holds each of several policies while the opponents learn against it.

    Parameters
    ----------
    meta_game : PolicyMetaGame
    policies : ndarray, shape (M, S, A_0)
    starts : sequence of ndarray, shapes (N, S, A_i)
        The opponents' first policies.
    steps : int
        Meta-steps.

    Returns
    -------
    ndarray, shape (M, N, n_players)
        Mean rewards per inner step.

    Raises
    ------
    ValueError
        If the policies or the starts do not fit the game, or there are no steps.

    Examples
    --------
    Matching Pennies once, a learner that jumps to its better action: heads wins once against heads, then never.

    >>> from rfos.games.named import matching_pennies
    >>> from rfos.metagames.grids import SimplexGrid
    >>> from rfos.metagames.learners import NaiveLearner
    >>> from rfos.games.stochastic import one_shot
    >>> pure = SimplexGrid(1, 2, 1)
    >>> meta_game = PolicyMetaGame(one_shot(matching_pennies()), [NaiveLearner(2.0, "simplex")], [pure, pure], 0.5)
    >>> heads = np.array([[[1.0, 0.0]]])
    >>> hold(meta_game, heads, [heads], steps=4).tolist()
    [[[0.25, 0.75]]]
    """
    firsts = check_starts(meta_game, starts, steps)
    policies = _policies("the shaper's policies", policies, meta_game.game, 0)
    n = len(firsts[0])
    returns = np.zeros((len(policies), n, meta_game.game.n_players))
    d = meta_game.dynamics
    if d is None:
        for m in range(len(policies)):
            for i in range(n):
                _, rewards = trajectory(meta_game, [start[i] for start in firsts], [policies[m]] * steps)
                returns[m, i] = rewards.mean(axis=0)
        return returns
    own, others = (np.array(array[:, :, 0], order="C") for array in (policies, firsts[0]))

    def work(first: int, last: int) -> None:
        policies_kernels.hold(d.game, d.rule, d.iterated, own, others, steps, returns, first, last)

    in_ranges(work, len(policies))
    return returns


def trajectory(
    meta_game: PolicyMetaGame, start: Sequence[Float], own_policies: Sequence[Float]
) -> tuple[list[Float], Float]:
    """Play given policies of the shaper, the definition step by step.

    Parameters
    ----------
    meta_game : PolicyMetaGame
    start : sequence of ndarray, shapes (S, A_i)
        The opponents' first policies.
    own_policies : sequence of ndarray, each of shape (S, A_0)

    Returns
    -------
    policies : list of ndarray, shapes (T, S, A_i)
        The opponents' policies as they are played.
    rewards : ndarray, shape (T, n_players)
        Rewards per inner step.

    Raises
    ------
    ValueError
        If a policy does not fit the game.

    Examples
    --------
    Matching Pennies once, a learner that jumps to its better action, after heads to tails:

    >>> from rfos.games.named import matching_pennies
    >>> from rfos.metagames.grids import SimplexGrid
    >>> from rfos.metagames.learners import NaiveLearner
    >>> from rfos.games.stochastic import one_shot
    >>> pure = SimplexGrid(1, 2, 1)
    >>> meta_game = PolicyMetaGame(one_shot(matching_pennies()), [NaiveLearner(2.0, "simplex")], [pure, pure], 0.5)
    >>> heads = np.array([[1.0, 0.0]])
    >>> policies, rewards = trajectory(meta_game, [heads], [heads, heads])
    >>> policies[0][:, 0].tolist(), rewards.tolist()
    ([[1.0, 0.0], [0.0, 1.0]], [[1.0, 0.0], [0.0, 1.0]])
    """
    checks.kind("meta_game", meta_game, PolicyMetaGame)
    game = meta_game.game
    others = list(checks.several("start", start, "give one first policy for each opponent"))
    own_policies = checks.several("own_policies", own_policies, "give the shaper's policy of each meta-step")
    if len(others) != game.n_players - 1:
        raise ValueError(f"start holds {len(others)} policies: give one for each of {game.n_players - 1} opponents")
    policies: list[list[Float]] = [[] for _ in others]
    rewards = []
    for own in own_policies:
        played = [own, *others]
        others = meta_game.following(played)
        scored = meta_game.scored(played, others)
        rewards.append(meta_game.game.returns(scored))
        for path, other in zip(policies, scored[1:], strict=True):
            path.append(other)
    return [np.array(path) for path in policies], np.array(rewards)


def mutual_learning(
    meta_game: PolicyMetaGame, own: Learner, starts: Sequence[Float], steps: int = 100, rng: Seed = None
) -> Float:
    """Return mean rewards per inner step when all learn at once, the shaper from random logits too.

    Parameters
    ----------
    meta_game : PolicyMetaGame
        The game and how its opponents learn; its grids do not matter.
    own : Learner
        How the shaper learns.
    starts : sequence of ndarray, shapes (N, S, A_i)
        The opponents' first policies.
    steps : int
        Meta-steps.
    rng : seed
        Of the shaper's first policies.

    Returns
    -------
    ndarray, shape (N, n_players)

    Raises
    ------
    ValueError
        If the starts do not fit the game, there are no steps, or a learner cannot play the game.

    Examples
    --------
    Matching Pennies once has constant sum 1, however the two learn:

    >>> from rfos.games.named import matching_pennies
    >>> from rfos.metagames.grids import SimplexGrid
    >>> from rfos.metagames.learners import NaiveLearner
    >>> from rfos.games.stochastic import one_shot
    >>> pure = SimplexGrid(1, 2, 1)
    >>> meta_game = PolicyMetaGame(one_shot(matching_pennies()), [NaiveLearner()], [pure, pure], 0.5)
    >>> fair = np.array([[[0.5, 0.5]]])
    >>> mutual_learning(meta_game, NaiveLearner(), [fair], steps=3, rng=0).sum(axis=1).round(12).tolist()
    [1.0]
    """
    firsts = check_starts(meta_game, starts, steps)
    checks.offers("own", own, "a learner", ("update",), checks.LEARNER)
    game = meta_game.game
    stream = np.random.default_rng(seed_sequence(rng))
    first = random_policies(len(firsts[0]), game.n_states, game.n_actions[0], stream)
    returns = np.zeros((len(first), game.n_players))
    for n in range(len(first)):
        played = [first[n], *(start[n] for start in firsts)]
        for _ in range(steps):
            following = meta_game.following(played)
            returns[n] += meta_game.returns(played, following) / steps
            played = [next_policy(own, game, 0, played), *following]
    return returns
