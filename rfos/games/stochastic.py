"""Stochastic inner games: exact returns of stationary policies and their exact gradients.

The main use is the iterated normal-form game with memory-one policies: its states are "start" and each joint action.
Returns are normalised, J_i = (1-discount) E[sum of discount^t r_i], so they are rewards per step.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from rfos._system import checks
from rfos._system.arrays import Float, Int, floats, integers
from rfos._system.memory import require_memory
from rfos.games.normal_form import NormalFormGame


@dataclass(frozen=True, eq=False)
class StochasticGame:
    """A finite n-player discounted stochastic game with simultaneous moves.

    Parameters
    ----------
    transitions : array_like of float, shape (S, J, S)
        Probability of the next state after joint action j, J = prod(n_actions), player 0 the highest digit.
    rewards : array_like of float, shape (n_players, S, J)
        Reward per step of each player.
    initial : array_like of float, shape (S,)
        Law of the first state.
    n_actions : tuple of int
        Number of actions of each player, the same in every state.
    discount : float in [0, 1)
        Inner discount.
    name : str
    views : array_like of int, shape (n_players, S), optional
        views[i, k] is the state that player i counts as its k-th: memory-one policies are written from the own side.
        Default: the same order for everyone.

    Raises
    ------
    ValueError
        If shapes do not fit, a row is not a distribution (names it), a reward is not finite, or the discount is outside
        [0, 1).

    Examples
    --------
    One state, one action each, rewards 1 and 2: the normalised returns are the rewards.

    >>> game = StochasticGame([[[1.0]]], [[[1.0]], [[2.0]]], [1.0], (1, 1), 0.9)
    >>> game.returns([[[1.0]], [[1.0]]]).round(12).tolist()
    [1.0, 2.0]
    """

    transitions: Float
    rewards: Float
    initial: Float
    n_actions: tuple[int, ...]
    discount: float
    name: str = "unnamed"
    views: Int | None = None

    def __post_init__(self) -> None:
        """Check everything and take read-only copies."""
        mend = "give the number of actions of each player, such as (2, 2)"
        counts = checks.several("n_actions", self.n_actions, mend)
        give = "a whole number: every player needs at least one action"
        n_actions = tuple(checks.whole(f"n_actions[{i}]", n, give=give) for i, n in enumerate(counts))
        if not n_actions:
            raise ValueError(f"n_actions is empty: {mend}")
        if not 0 <= checks.number(self.discount) < 1:
            raise ValueError(f"discount is {checks.shown(self.discount)}: give a number in [0, 1)")
        transitions = floats("transitions", self.transitions)
        rewards = floats("rewards", self.rewards)
        initial = floats("initial", self.initial)
        if initial.ndim != 1 or initial.size == 0:
            raise ValueError(f"initial has shape {initial.shape}: give one probability for each state")
        n_states, n_joint = len(initial), math.prod(n_actions)
        if transitions.shape != (n_states, n_joint, n_states):
            raise ValueError(f"transitions have shape {transitions.shape}, expected {(n_states, n_joint, n_states)}")
        if rewards.shape != (len(n_actions), n_states, n_joint):
            raise ValueError(f"rewards have shape {rewards.shape}, expected {(len(n_actions), n_states, n_joint)}")
        if not np.isfinite(rewards).all():
            raise ValueError(f"rewards hold {rewards[~np.isfinite(rewards)][0]}: they must be finite")
        check_distributions("transitions", transitions)
        check_distributions("initial", initial)
        own_order = np.tile(np.arange(n_states), (len(n_actions), 1))
        views = integers("views", own_order if self.views is None else self.views)
        if views.shape != (len(n_actions), n_states) or (np.sort(views, axis=1) != np.arange(n_states)).any():
            raise ValueError("views must hold a permutation of the states for each player")
        for name, value in (
            ("transitions", transitions),
            ("rewards", rewards),
            ("initial", initial),
            ("views", views),
        ):
            object.__setattr__(self, name, value)
        object.__setattr__(self, "n_actions", n_actions)
        object.__setattr__(self, "discount", float(self.discount))

    @property
    def n_players(self) -> int:
        """Number of players."""
        return len(self.n_actions)

    @property
    def n_states(self) -> int:
        """Number of inner states, S."""
        return len(self.initial)

    def reward_range(self, player: int) -> tuple[float, float]:
        """Return the smallest and largest reward per step of a player."""
        player = checks.whole("player", player, 0, self.n_players - 1)
        return float(self.rewards[player].min()), float(self.rewards[player].max())

    def check_policies(self, policies: Sequence[ArrayLike]) -> list[Float]:
        """Return the policies as arrays, or raise ValueError naming the player and state that is no distribution."""
        policies = checks.several("policies", policies, "give one policy for each player")
        if len(policies) != self.n_players:
            raise ValueError(f"{len(policies)} policies for {self.n_players} players: give one for each")
        checked = [floats(f"the policy of player {i}", policy) for i, policy in enumerate(policies)]
        for player, policy in enumerate(checked):
            if policy.shape != (self.n_states, self.n_actions[player]):
                expected = (self.n_states, self.n_actions[player])
                raise ValueError(f"the policy of player {player} has shape {policy.shape}, expected {expected}")
            check_distributions(f"the policy of player {player}", policy)
        return checked

    def joint(self, policies: Sequence[ArrayLike], without: int | None = None) -> Float:
        """Return the probability of each joint action in each state, shape (S, J).

        With `without`, that player's factor is left out: the product of the others' probabilities.
        """
        product = np.ones((self.n_states, 1))
        for player, policy in enumerate(policies):
            factor = np.ones((self.n_states, self.n_actions[player])) if player == without else np.asarray(policy)
            product = (product[:, :, None] * factor[:, None, :]).reshape(self.n_states, -1)
        return product

    def returns(self, policies: Sequence[ArrayLike]) -> Float:
        """Return the normalised discounted returns of stationary policies, exactly.

        Parameters
        ----------
        policies : sequence of array_like, shapes (S, A_i)

        Returns
        -------
        ndarray, shape (n_players,)
            Rewards per step, J_i = (1-discount) initial (I - discount P)^-1 r_i.

        Raises
        ------
        ValueError
            If a policy has another shape or a row that is no distribution.
        """
        _, values, _ = self.solve_policies(self.check_policies(policies))
        result: Float = (1 - self.discount) * (values @ self.initial)
        return result

    def gradients(self, policies: Sequence[ArrayLike], player: int | None = None) -> list[Float]:
        """Return the exact gradients of each player's normalised return in its own policy's probabilities.

        Parameters
        ----------
        policies : sequence of array_like, shapes (S, A_i)
        player : int, optional
            Whose return is differentiated, in every policy; default: each player's own return.

        Returns
        -------
        list of ndarray, shapes (S, A_i)
            dJ/dphi_i(a|s) = (1-discount) occupancy(s) E[Q(s, a, others)], the probabilities taken as free coordinates
            (policy gradient theorem; Sutton et al. 2000).

        Examples
        --------
        Matching Pennies, once: against a fair opponent both actions earn 1/2.

        >>> from rfos.games.named import matching_pennies
        >>> game = one_shot(matching_pennies())
        >>> game.gradients([[[0.5, 0.5]], [[0.5, 0.5]]])[0].tolist()
        [[0.5, 0.5]]
        """
        checked = self.check_policies(policies)
        occupancy, values, _ = self.solve_policies(checked)
        gradients = []
        for i in range(self.n_players):
            owner = i if player is None else player
            q = self.rewards[owner] + self.discount * (self.transitions @ values[owner])
            weighted = self.joint(checked, without=i) * q * occupancy[:, None]
            shape = (self.n_states, *self.n_actions)
            others = tuple(1 + j for j in range(self.n_players) if j != i)
            gradients.append(weighted.reshape(shape).sum(axis=others))
        return gradients

    def solve_policies(self, policies: Sequence[Float]) -> tuple[Float, Float, Float]:
        """Return normalised occupancy (S,), un-normalised values (n, S) and state transitions (S, S)."""
        joint = self.joint(policies)
        step = np.einsum("sj,sjt->st", joint, self.transitions)
        system = np.eye(self.n_states) - self.discount * step
        rewards = np.einsum("sj,isj->is", joint, self.rewards)
        values = np.linalg.solve(system, rewards.T).T
        occupancy = (1 - self.discount) * np.linalg.solve(system.T, self.initial)
        return occupancy, values, step

    def mixed_derivative(self, policies: Sequence[ArrayLike], player: int, direction: ArrayLike) -> Float:
        """Return the gradient in player 1's policy of player 0's directional derivative, for two players.

        Parameters
        ----------
        policies : sequence of array_like, shapes (S, A_i)
        player : int
            Whose normalised return is differentiated.
        direction : array_like, shape (S, A_0)
            The direction in player 0's policy; its rows sum to 0.

        Returns
        -------
        ndarray, shape (S, A_1)
            Exact: the derivative along the direction of ``gradients(policies, player)[1]``, by differentiating the
            linear systems for occupancy and values.
        """
        checked = self.check_policies(policies)
        along_own = floats("direction", direction)
        if along_own.shape != checked[0].shape:
            raise ValueError(f"direction has shape {along_own.shape}, expected {checked[0].shape}")
        moved = [along_own, checked[1]]
        occupancy, values, step = self.solve_policies(checked)
        system = np.eye(self.n_states) - self.discount * step
        turn = np.einsum("sj,sjt->st", self.joint(moved), self.transitions)
        gain = (self.joint(moved) * self.rewards[player]).sum(axis=1)
        dvalues = np.linalg.solve(system, gain + self.discount * turn @ values[player])
        doccupancy = np.linalg.solve(system.T, self.discount * turn.T @ occupancy)
        q = self.rewards[player] + self.discount * (self.transitions @ values[player])
        dq = self.discount * (self.transitions @ dvalues)
        own, along = self.joint(checked, without=1), self.joint(moved, without=1)
        weighted = (along * q + own * dq) * occupancy[:, None] + own * q * doccupancy[:, None]
        result: Float = weighted.reshape(self.n_states, *self.n_actions).sum(axis=1)
        return result


def check_distributions(what: str, rows: Float) -> None:
    """Raise ValueError naming the first row (last axis) that is not a distribution."""
    bad = ~checks.are_distributions(rows)
    if bad.any():
        where = tuple(int(i) for i in np.argwhere(bad)[0])
        row = rows[where] if rows.ndim > 1 else rows
        raise ValueError(f"{what}: row {where} is {row.tolist()}, which must be at least 0 and sum to 1")


def one_shot(game: NormalFormGame) -> StochasticGame:
    """Return a normal-form game as a stochastic game with one state and discount 0."""
    checks.kind("game", game, NormalFormGame)
    n_joint = math.prod(game.n_actions)
    rewards = game.payoffs.reshape(game.n_players, 1, n_joint)
    return StochasticGame(np.ones((1, n_joint, 1)), rewards, np.ones(1), game.n_actions, 0.0, game.name)


def require_iterated(game: NormalFormGame) -> None:
    """Raise MemoryError, before anything is allocated, unless the tables of the iterated game fit this machine.

    Examples
    --------
    >>> from rfos.games.named import public_goods
    >>> require_iterated(public_goods(15))
    Traceback (most recent call last):
        ...
    MemoryError: the iterated game of 32,768 joint actions needs ...: play it once, or with fewer players
    """
    checks.kind("game", game, NormalFormGame)
    n_joint = math.prod(game.n_actions)
    # Numbers of 8 bytes, each once more in the game's own copy, and bytes to compare them with 0.
    needed = 17 * (1 + n_joint) * n_joint * (1 + n_joint + game.n_players)
    require_memory(needed, f"the iterated game of {n_joint:,} joint actions", "play it once, or with fewer players")


def iterated(game: NormalFormGame, discount: float) -> StochasticGame:
    """Return the iterated game with memory-one policies: S = 1 + J states, "start" and the last joint action.

    A memory-one policy has a row for the first move and one after each joint action. `views` order them from the own
    side, as M-FOS does (Lu et al. 2022): start, then the joint actions with the own action as the highest digit and the
    others in player order; for two actions each: start, CC, CD, DC, DD with the own action first.

    Parameters
    ----------
    game : NormalFormGame
    discount : float in [0, 1)
        Inner discount; M-FOS uses 0.96.

    Returns
    -------
    StochasticGame

    Raises
    ------
    MemoryError
        If its tables, (1 + J) J (1 + J) transitions and n_players (1 + J) J rewards, do not fit.

    Examples
    --------
    >>> from rfos.games.named import standard_prisoners_dilemma
    >>> ipd = iterated(standard_prisoners_dilemma(), 0.96)
    >>> ipd.n_states, ipd.views.tolist()
    (5, [[0, 1, 2, 3, 4], [0, 1, 3, 2, 4]])

    Tit for tat against always defect: exploited once, then mutual defection, 0.04 (-3) + 0.96 (-2).

    >>> tit_for_tat = [[1, 0], [1, 0], [0, 1], [1, 0], [0, 1]]
    >>> ipd.returns([tit_for_tat, [[0, 1]] * 5]).round(12).tolist()
    [-2.04, -1.92]
    """
    require_iterated(game)
    n_joint = math.prod(game.n_actions)
    n_states = 1 + n_joint
    transitions = np.zeros((n_states, n_joint, n_states))
    transitions[:, np.arange(n_joint), 1 + np.arange(n_joint)] = 1.0
    flat = game.payoffs.reshape(game.n_players, 1, n_joint)
    rewards = np.repeat(flat, n_states, axis=1)
    initial = np.zeros(n_states)
    initial[0] = 1.0
    numbers = np.arange(n_joint).reshape(game.n_actions)
    views = [np.concatenate([[0], 1 + np.moveaxis(numbers, player, 0).ravel()]) for player in range(game.n_players)]
    return StochasticGame(
        transitions, rewards, initial, game.n_actions, discount, f"iterated {game.name}", np.array(views)
    )


def is_iterated(game: StochasticGame) -> bool:
    """Return whether the game is an iterated normal-form game with states start, CC, CD, DC, DD.

    Rewards depend on the joint action alone, and the next state is that action.

    Examples
    --------
    >>> from rfos.games.named import matching_pennies
    >>> is_iterated(iterated(matching_pennies(), 0.9)), is_iterated(one_shot(matching_pennies()))
    (True, False)
    """
    if game.n_states != 5 or game.n_actions != (2, 2) or game.initial[0] != 1:
        return False
    follows = (game.transitions[:, np.arange(4), 1 + np.arange(4)] == 1).all()
    return bool(follows and (game.rewards == game.rewards[:, :1]).all())
