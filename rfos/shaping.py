"""How much shaping is worth: what was earned in the *continuous* meta-game, and the yardsticks beside it.

A value on the grid is a statement about the discretised game, in which a learner may be frozen (N4); what the same
policy earns against the learner as it really moves is the number that a reader may believe.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from rfos import _checks
from rfos._arrays import floats
from rfos.continuous import check_starts, hold, mutual_learning, random_starts
from rfos.games import NormalFormGame
from rfos.interop import DegenerateGameWarning, nash_equilibria
from rfos.learners import NaiveLearner
from rfos.policy_metagames import PolicyMetaGame
from rfos.policy_tables import is_iterated
from rfos.randomness import Seed, seed_sequence
from rfos.stochastic_games import StochasticGame

Float = NDArray[np.float64]

MANY_PLAYS = 4_000_000
"""Meta-steps that choosing the best constant policy may take with a kernel: a second or two."""

FEW_PLAYS = 20_000
"""The same without one: some seconds."""

STRATEGIES: Mapping[str, tuple[float, ...]] = MappingProxyType(
    {
        "always-cooperate": (1.0,),
        "always-defect": (0.0,),
        "random": (),
        "tit-for-tat": (1.0, 1.0, 0.0, 1.0, 0.0),
        "win-stay-lose-shift": (1.0, 1.0, 0.0, 0.0, 1.0),
    }
)
"""Fixed strategies by name: probabilities of action 0, the same everywhere or for start, CC, CD, DC, DD, own first."""


@dataclass(frozen=True)
class Earned:
    """Mean reward per inner step over a roll-out and over random starts, with t intervals.

    Attributes
    ----------
    name : str
    shaper, opponent : tuple of float
        Mean, lower and upper end; of several opponents their mean. Without two starts the ends are NaN.
    same_opponent : bool
        Whether the opponent is the one asked about; else the row is no measure of shaping it.
    n_starts : int
        How many starts the means are over; 0 if unknown.
    """

    name: str
    shaper: tuple[float, float, float]
    opponent: tuple[float, float, float]
    same_opponent: bool = True
    n_starts: int = 0


@dataclass(frozen=True, eq=False)
class Returns:
    """What a shaper earns from each start.

    Attributes
    ----------
    name : str
    rewards : ndarray, shape (N, n_players)
        Means over the meta-steps, per inner step.
    same_opponent : bool
    """

    name: str
    rewards: Float
    same_opponent: bool = True

    def earned(self, confidence: float = 0.95) -> Earned:
        """Return the means over starts with their intervals."""
        return earned(self.name, self.rewards, self.same_opponent, confidence)


def interval(sample: Float, confidence: float = 0.95) -> tuple[float, float, float]:
    """Return the mean of a sample (N,) and the ends of its t interval, NaN without two numbers.

    Examples
    --------
    The t quantile of one degree of freedom is 12.706, times a standard error of 1/2:

    >>> [round(x, 3) for x in interval(np.array([0.0, 1.0]))]
    [0.5, -5.853, 6.853]
    """
    mean = float(sample.mean())
    if len(sample) < 2:
        return mean, math.nan, math.nan
    quantile = stats.t.ppf((1 + confidence) / 2, len(sample) - 1)
    half = float(quantile * sample.std(ddof=1) / math.sqrt(len(sample)))
    return mean, mean - half, mean + half


def paired(first: Returns, second: Returns, confidence: float = 0.95) -> tuple[float, float, float]:
    """Return how much more the shaper earns in the first, with a t interval, from the starts that they have in common.

    Both begin with the same starts; the differences start by start are the sample, so that what is hard about a start
    cancels.

    Examples
    --------
    >>> one, other = (Returns("", np.array([[x, 0.0], [x + 9, 0.0]])) for x in (1.0, 0.5))
    >>> paired(one, other)
    (0.5, 0.5, 0.5)
    """
    n = min(len(first.rewards), len(second.rewards))
    return interval(first.rewards[:n, 0] - second.rewards[:n, 0], confidence)


def earned(name: str, returns: Float, same_opponent: bool = True, confidence: float = 0.95) -> Earned:
    """Return means over starts of rewards per step (N, n_players), with t intervals.

    Examples
    --------
    The t quantile of one degree of freedom is 12.706, times a standard error of 1/2:

    >>> row = earned("two starts", np.array([[0.0, 1.0], [1.0, 1.0]]))
    >>> [round(x, 3) for x in row.shaper], row.opponent
    ([0.5, -5.853, 6.853], (1.0, 1.0, 1.0))
    """

    returns = floats("returns", returns)
    if returns.ndim != 2 or len(returns) < 1 or returns.shape[1] < 2:
        raise ValueError(f"returns have shape {returns.shape}: give (N, n_players), N of at least 1")

    own, others = returns[:, 0], returns[:, 1:].mean(axis=1)
    return Earned(name, interval(own, confidence), interval(others, confidence), same_opponent, len(returns))


def strategy(game: StochasticGame, player: int, name: str) -> Float:
    """Return a player's policy of a name in `STRATEGIES`, shape (S, A).

    "always-cooperate" is always action 0, "always-defect" always action 1, whatever the game calls them.

    Raises
    ------
    ValueError
        If there is no such strategy, or it needs an iterated game of two players with two actions each.

    Examples
    --------
    Tit for tat of player 1: states are written from player 0's side, so that DC is player 1's CD.

    >>> from rfos.games import standard_prisoners_dilemma
    >>> from rfos.stochastic_games import iterated
    >>> strategy(iterated(standard_prisoners_dilemma(), 0.9), 1, "tit-for-tat")[:, 0].tolist()
    [1.0, 1.0, 1.0, 0.0, 0.0]
    """
    _checks.kind("game", game, StochasticGame)
    player = _checks.whole("player", player, 0, game.n_players - 1)
    if not isinstance(name, str) or name not in STRATEGIES:
        raise ValueError(f"unknown strategy {_checks.shown(name)}: choose one of {', '.join(STRATEGIES)}")
    first = STRATEGIES[name]
    n_states, n_actions = game.n_states, game.n_actions[player]
    policy = np.zeros((n_states, n_actions))
    if not first:
        policy += 1 / n_actions
    elif len(first) == 1:
        if n_actions < 2:
            raise ValueError(f"{name} needs two actions, player {player} has one")
        policy[:, 0 if first[0] == 1 else 1] = 1.0
    else:
        if not is_iterated(game):
            raise ValueError(
                f"{name} is for an iterated game of two players with two actions each: choose such a game with an "
                "inner discount above 0, or always-cooperate, always-defect or random"
            )
        assert game.views is not None
        policy[game.views[player]] = _of_two(first)
    return policy


def extortion(game: StochasticGame, factor: float = 3.0) -> Float | None:
    """Return an extortionate zero-determinant strategy of player 0, shape (S,), or None if there is none.

    Against every opponent it enforces (own return - P) = factor (other's return - P), the *discounted* returns of a
    symmetric iterated Prisoner's Dilemma with rewards T > R > P > S. That of Press & Dyson (2012) does so for long-run
    means; with a discount the first move counts too and has to defect (Hilbe, Traulsen & Sigmund 2015). A large enough
    discount is needed. Of the feasible scales the largest is taken.

    The reason: with v the normalised discounted law of outcomes, the own cooperation is v(CC) + v(CD) =
    (1-discount) p_start + discount v p. Choosing p_start = 0 and discount p = (1, 1, 0, 0) + scale (own - P) -
    scale factor (other - P) makes the mean of own - P - factor (other - P) vanish.

    Parameters
    ----------
    game : StochasticGame
    factor : float > 1

    Raises
    ------
    ValueError
        If the factor is not above 1.

    Examples
    --------
    Rewards 3, 0, 5, 1 and factor 3: as the discount goes to 1, twice as far from (1, 1, 0, 0) as the (11/13, 1/2, 7/26,
    0) that Press & Dyson print.

    >>> from rfos.games import NormalFormGame
    >>> from rfos.stochastic_games import iterated
    >>> pd = iterated(NormalFormGame([[[3, 0], [5, 1]], [[3, 5], [0, 1]]]), 0.9)
    >>> (extortion(pd) * 13 * 0.9).round(9).tolist()
    [0.0, 9.0, 0.0, 7.0, 0.0]
    """
    _checks.kind("game", game, StochasticGame)
    if not 1 < _checks.number(factor) < math.inf:
        raise ValueError(
            f"factor is {_checks.shown(factor)}: give a number above 1, how many times the other's gain is taken"
        )
    if not is_iterated(game):
        return None
    own, other = game.rewards[:, 0]
    reward, sucker, temptation, punishment = own
    symmetric = other.tolist() == [reward, temptation, sucker, punishment]
    if not (symmetric and temptation > reward > punishment > sucker):
        return None
    # What the scale takes from (after cooperating) or adds to (after CD and DD) the discounted probabilities.
    tilt = (own - punishment) - factor * (other - punishment)
    cooperated = np.array([1.0, 1.0, 0.0, 0.0])
    # 0 <= cooperated + scale tilt <= discount in each of the first three; the last is 0.
    ends = [sorted(((0 - c) / t, (game.discount - c) / t)) for c, t in zip(cooperated[:3], tilt[:3], strict=True)]
    least, most = max(low for low, _ in ends), min(high for _, high in ends)
    if not 0 < least <= most:
        return None
    after = np.clip((cooperated + most * tilt) / game.discount, 0.0, 1.0)
    return np.concatenate([[0.0], after])


def equilibria(game: StochasticGame) -> list[tuple[Float, ...]] | None:
    """Return Nash equilibria of the stage game, one strategy for each player, or None without a solver of them.

    All of them, but for a degenerate game or more than two players: then some, or none.

    Found by nashpy or quantecon (see `rfos.interop.nash_equilibria`). Played in every inner state, each is an
    equilibrium of the iterated game.
    """
    _checks.kind("game", game, StochasticGame)
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
    _checks.kind("meta_game", meta_game, PolicyMetaGame)
    starts = check_starts(meta_game, starts, steps)
    game = meta_game.game
    grid = np.array([meta_game.grids[0].policy(a) for a in range(meta_game.n_actions)])
    plays = FEW_PLAYS if meta_game.dynamics is None else MANY_PLAYS
    few = [start[: max(1, plays // (len(grid) * max(1, steps)))] for start in starts]
    best = int(hold(meta_game, grid, few, steps)[:, :, 0].mean(axis=1).argmax())
    rows: list[tuple[str, Float]] = [(f"best constant policy of the grid {in_numbers(grid[best])}", grid[best])]
    for own, *_ in equilibria(game) or []:
        rows.append((f"stage-game Nash equilibrium ({_strategy(own)})", np.tile(own, (game.n_states, 1))))
    if is_iterated(game):
        rows.append(("tit for tat", strategy(game, 0, "tit-for-tat")))
    extort = extortion(game)
    if extort is not None:
        extort = _of_two(extort)
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

    >>> from rfos.games import matching_pennies
    >>> from rfos.grids import SimplexGrid
    >>> from rfos.stochastic_games import one_shot
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
        As `rfos.continuous.roll_out` returns them.

    Returns
    -------
    lower, upper : ndarray, shape (N,)

    Examples
    --------
    Matching Pennies once, discount 1/2: one step that earns 1 is 1/2 of it, the rest 0 to 1.

    >>> from rfos.games import matching_pennies
    >>> from rfos.grids import SimplexGrid
    >>> from rfos.learners import Fixed
    >>> from rfos.stochastic_games import one_shot
    >>> pure = SimplexGrid(1, 2, 1)
    >>> meta_game = PolicyMetaGame(one_shot(matching_pennies()), [Fixed()], [pure, pure], 0.5)
    >>> lower, upper = discounted_value(meta_game, np.array([[[1.0, 0.0]]]))
    >>> lower.tolist(), upper.tolist()
    ([0.5], [1.0])
    """
    _checks.kind("meta_game", meta_game, PolicyMetaGame)
    rewards = floats("rewards", rewards)
    if rewards.ndim != 3 or rewards.shape[2] != meta_game.game.n_players:
        raise ValueError(f"rewards have shape {rewards.shape}: give (N, T, {meta_game.game.n_players}), of a roll-out")
    steps = rewards.shape[1]
    weights = (1 - meta_game.discount) * meta_game.discount ** np.arange(steps)
    earned_so_far = rewards[:, :, 0] @ weights
    left = meta_game.discount**steps
    low, high = meta_game.game.reward_range(0)
    return earned_so_far + left * low, earned_so_far + left * high


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


def in_words(game: StochasticGame, policy: Float) -> str:
    """Return a policy (S, A) as text that says what each probability is of, where there are few.

    Examples
    --------
    C stands for action 0, D for action 1, the own one first:

    >>> from rfos.games import matching_pennies, rock_paper_scissors
    >>> from rfos.stochastic_games import iterated, one_shot
    >>> in_words(iterated(matching_pennies(), 0.9), _of_two([1.0, 0.25, 0.0, 0.5, 1.0]))
    'C with 1 at the start, after CC 0.25, CD 0, DC 0.5, DD 1'
    >>> in_words(one_shot(matching_pennies()), _of_two([0.25]))
    'action 0 with probability 0.25'
    >>> in_words(one_shot(rock_paper_scissors()), np.array([[0.5, 0.25, 0.25]]))
    'actions 0, 1, 2 with probabilities 0.5, 0.25, 0.25'
    """
    if is_iterated(game):
        first, *after = (f"{p:.2g}" for p in policy[:, 0])
        listed = ", ".join(f"{state} {p}" for state, p in zip(("CC", "CD", "DC", "DD"), after, strict=True))
        return f"C with {first} at the start, after {listed}"
    if game.n_states > 1:
        return in_numbers(policy)
    if policy.shape[1] == 2:
        return f"action 0 with probability {policy[0, 0]:.2g}"
    numbers = ", ".join(str(a) for a in range(policy.shape[1]))
    return f"actions {numbers} with probabilities {', '.join(f'{p:.2g}' for p in policy[0])}"
