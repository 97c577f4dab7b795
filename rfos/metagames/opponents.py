"""How the other agents play: learners with a hidden state, and opponents that are functions of the window.

Against functions of the window a Case II meta-game is exactly an MDP; against a hidden
learner it is an aliased view of one.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np
from numpy.typing import ArrayLike

from rfos._system import checks
from rfos._system.arrays import Float, floats
from rfos._system.memory import BLOCK_ROWS
from rfos.games.normal_form import NormalFormGame
from rfos.games.strategies import replies
from rfos.metagames.windows import WindowIndex


@runtime_checkable
class WindowOpponent(Protocol):
    """An opponent whose play is a function of the window alone."""

    def probabilities(self, game: NormalFormGame, player: int, index: WindowIndex) -> Float:
        """Return the probability of each own action in each window, shape (n_states, n_actions[player])."""
        ...


def _fraction(name: str, value: float, low: float = 0.0, high: float = 1.0) -> None:
    if not low <= checks.number(value) <= high:
        raise ValueError(f"{name} is {checks.shown(value)}: give a number from {low:g} to {high:g}")


def _greedy(values: Float, exploration: float) -> Float:
    """Turn values (S, n_actions) into epsilon-greedy probabilities in place: ties share, exploration is uniform."""
    for first in range(0, len(values), BLOCK_ROWS):
        columns = values[first : first + BLOCK_ROWS].T.copy()  # maxima of short rows are slow
        best = columns == columns.max(axis=0)
        np.multiply((1.0 - exploration) / best.sum(axis=0), best, out=columns)
        columns += exploration / len(columns)
        values[first : first + BLOCK_ROWS] = columns.T
    return values


def _along_windows(index: WindowIndex, width: int, initial: float, step: Callable[[Float, Float], object]) -> Float:
    """Return what the joint actions of each window, oldest first, make of `initial`, shape (n_states, width).

    Windows that begin alike share their beginning, so all of it costs little more than the last step.

    Parameters
    ----------
    index : WindowIndex
    width : int
        Numbers that are remembered.
    initial : float
        Each of them before the window's first step.
    step : callable
        step(before, after) fills `after` (X, B, Y, A, width), for the opponents' joint action and the shaper's own one
        on axes 1 and 3, from `before` (X, 1, Y, 1, width).
    """
    # The table itself, and the one of the window's first h - 1 steps.
    before_last = index.n_states // (index.branching * index.n_actions[0])
    index.require(8 * width * (index.n_states + before_last))
    table = np.full((1, 1, width), initial)
    for _ in range(index.window):
        others, own, _ = table.shape
        after = np.empty((others, index.branching, own, index.n_actions[0], width))
        step(table[:, None, :, None], after)
        table = after.reshape(others * index.branching, -1, width)
    return table.reshape(-1, width)


def _of_player(game: NormalFormGame, player: int) -> list[int]:
    """Return a player's own action in each joint action of the players from 1 on."""
    digits: list[int] = np.indices(game.n_actions[1:])[player - 1].ravel().tolist()
    return digits


@dataclass(frozen=True)
class QLearner:
    """A stateless epsilon-greedy Q-learner: one value per own action, hidden from the shaper.

    With probability `exploration` a uniform action, else one of the largest value (ties at random); after each step
    Q(own action) <- (1 - learning_rate) Q + learning_rate * own reward. The defaults are the opponent of the R-FOS
    experiment (Fung et al. 2024).

    Parameters
    ----------
    learning_rate : float in [0, 1]
    exploration : float in [0, 1]
    initial : float
        Value of every action at the start, in rewards per step.
    reset : bool
        Whether the values return to `initial` at the start of each meta-episode; the paper's never do.

    Raises
    ------
    ValueError
        If a rate is outside [0, 1] or the initial value is not finite.
    """

    learning_rate: float = 0.75
    exploration: float = 0.1
    initial: float = 0.5
    reset: bool = False

    def __post_init__(self) -> None:
        """Check the ranges."""
        _fraction("learning_rate", self.learning_rate)
        _fraction("exploration", self.exploration)
        if not np.isfinite(checks.number(self.initial)):
            raise ValueError(f"initial is {checks.shown(self.initial)}: give a finite value in rewards per step")


@dataclass(frozen=True)
class WindowQLearner:
    """The Q-learner of the paper, its values recomputed from the window: an exact MDP for the shaper.

    In each window the values start at `initial` and take the updates of the remembered steps, oldest first; then it
    plays epsilon-greedy as `QLearner` does.

    Parameters
    ----------
    learning_rate, exploration : float in [0, 1]
    initial : float
        Value of every action before the window's first step, in rewards per step.

    Examples
    --------
    Matching Pennies, window 1: after the opponent's action 0 met the shaper's 0 its value is 0.125 against 0.5, so
    it plays 1 with probability 0.95.

    >>> from rfos.games.named import matching_pennies
    >>> WindowQLearner().probabilities(matching_pennies(), 1, WindowIndex((2, 2), 1))[0].round(3).tolist()
    [0.05, 0.95]
    """

    learning_rate: float = 0.75
    exploration: float = 0.1
    initial: float = 0.5

    def __post_init__(self) -> None:
        """Check the ranges."""
        QLearner(self.learning_rate, self.exploration, self.initial)

    def probabilities(self, game: NormalFormGame, player: int, index: WindowIndex) -> Float:
        """Return the probability of each own action in each window, shape (n_states, n_actions[player])."""
        rewards = game.payoffs[player].reshape(game.n_actions[0], -1).T
        own = _of_player(game, player)

        def learn(before: Float, after: Float) -> None:
            after[:] = before
            for joint, action in enumerate(own):
                value = after[:, joint, :, :, action]
                value *= 1.0 - self.learning_rate
                value += self.learning_rate * rewards[joint]

        return _greedy(_along_windows(index, game.n_actions[player], self.initial, learn), self.exploration)


@dataclass(frozen=True, eq=False)
class MemoryOne:
    """An opponent that looks at the last joint action only.

    Parameters
    ----------
    table : array_like of float, shape (A_0, ..., A_{n-1}, A_own)
        Probability of each own action after each joint action (player order of the game).
    name : str

    Raises
    ------
    ValueError
        If a row is not a probability distribution (names the row), here or when the table does not fit the game.

    Examples
    --------
    >>> grim().table[1, 0].tolist()  # the shaper defected, it cooperated: it defects from now on
    [0.0, 1.0]
    """

    table: Float
    name: str = "memory-one"

    def __init__(self, table: ArrayLike, name: str = "memory-one") -> None:
        """Check the rows and keep a read-only copy."""
        values = floats("a memory-one table", table)
        if values.ndim < 3:
            raise ValueError(
                f"a memory-one table has one axis per player and one for the own actions, not shape {values.shape}"
            )
        bad = ~checks.are_distributions(values)
        if bad.any():
            row = tuple(int(i) for i in np.argwhere(bad)[0])
            raise ValueError(
                f"the probabilities after joint action {row} are {values[row].tolist()}: "
                "they must be at least 0 and sum to 1"
            )
        object.__setattr__(self, "table", values)
        object.__setattr__(self, "name", name)

    def probabilities(self, game: NormalFormGame, player: int, index: WindowIndex) -> Float:
        """Return the probability of each own action in each window, shape (n_states, n_actions[player])."""
        expected = (*game.n_actions, game.n_actions[player])
        if self.table.shape != expected:
            raise ValueError(f"the table of {self.name} has shape {self.table.shape}, the game needs {expected}")
        n_own = game.n_actions[player]
        index.require(8 * index.n_states * n_own)
        shape = index.by_time(index.window - 1)
        result = np.empty((*shape, n_own))
        result[:] = self.table.reshape(shape[4], shape[1], n_own).swapaxes(0, 1)[:, None, None, :, None]
        return result.reshape(-1, n_own)


def _of_the_list(name: str) -> MemoryOne:
    """Return a strategy of `rfos.games.strategies` as an opponent, for two players with two actions."""
    return MemoryOne(replies(name), name)


def tit_for_tat() -> MemoryOne:
    """Return tit for tat for two players with two actions: repeat the shaper's last action (Axelrod 1980)."""
    return _of_the_list("tit-for-tat")


def win_stay_lose_shift() -> MemoryOne:
    """Return win-stay, lose-shift for a Prisoner's Dilemma with action 0 = cooperate (Nowak & Sigmund 1993).

    It keeps its action after a reward of the better two (the shaper cooperated) and changes it otherwise, that is,
    it cooperates after CC and DD.
    """
    return _of_the_list("win-stay-lose-shift")


def grim() -> MemoryOne:
    """Return the memory-one grim trigger: cooperate (action 0) only after mutual cooperation (Friedman 1971)."""
    return _of_the_list("grim")


@dataclass(frozen=True)
class Always:
    """An opponent that always plays one action, in a game with any number of players.

    Raises
    ------
    ValueError
        If the action is not a whole number of at least 0, or (when it meets a game) not one of its own.
    """

    action: int = 0

    def __post_init__(self) -> None:
        """Check that it is a whole number; the game tells the range."""
        if not checks.is_whole(self.action) or self.action < 0:
            shown = checks.shown(self.action)
            raise ValueError(f"action is {shown}: actions are numbered from 0, give a whole number")
        object.__setattr__(self, "action", int(self.action))

    def probabilities(self, game: NormalFormGame, player: int, index: WindowIndex) -> Float:
        """Return the probability of each own action in each window, shape (n_states, n_actions[player])."""
        if self.action >= game.n_actions[player]:
            last = game.n_actions[player] - 1
            raise ValueError(f"action is {checks.shown(self.action)}, player {player} has actions 0 to {last}")
        index.require(8 * index.n_states * game.n_actions[player])
        result = np.zeros((index.n_states, game.n_actions[player]))
        result[:, self.action] = 1.0
        return result


@dataclass(frozen=True)
class WindowBestResponse:
    """Best response to the frequencies of the others' joint actions in the window (fictitious play with a window).

    Parameters
    ----------
    exploration : float in [0, 1]
        Probability of a uniform action instead; ties between best responses are broken at random.

    Examples
    --------
    Matching Pennies, window 1: the shaper played 1, so the opponent, who wants a mismatch, plays 0.

    >>> from rfos.games.named import matching_pennies
    >>> WindowBestResponse().probabilities(matching_pennies(), 1, WindowIndex((2, 2), 1))[1].tolist()
    [1.0, 0.0]
    """

    exploration: float = 0.0

    def __post_init__(self) -> None:
        """Check the range."""
        _fraction("exploration", self.exploration)

    def probabilities(self, game: NormalFormGame, player: int, index: WindowIndex) -> Float:
        """Return the probability of each own action in each window, shape (n_states, n_actions[player])."""
        n_own = game.n_actions[player]
        payoffs = np.expand_dims(np.moveaxis(game.payoffs[player], player, -1), player)
        # Rewards of each own action against the others' actions in each joint one, axes as `_along_windows` has them.
        gains = np.broadcast_to(payoffs, (*game.n_actions, n_own)).reshape(game.n_actions[0], -1, n_own).swapaxes(0, 1)

        def add(before: Float, after: Float) -> None:
            np.add(before, gains[:, None], out=after)

        total = _along_windows(index, n_own, 0.0, add)
        # Sums of the same payoffs in another order may differ in the last place; that must stay a tie.
        scale = max(abs(float(total.min())), abs(float(total.max()))) or 1.0
        for first in range(0, len(total), BLOCK_ROWS):
            rows = total[first : first + BLOCK_ROWS]
            rows /= scale
            np.round(rows, 12, out=rows)
        return _greedy(total, self.exploration)


BUILT_IN = (WindowQLearner, MemoryOne, Always, WindowBestResponse)
"""Opponents whose table of probabilities is new at each call: nobody else holds it."""
