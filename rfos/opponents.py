"""How the other agents play: learners with a hidden state, and opponents that are functions of the window.

Against functions of the window a Case II meta-game is exactly an MDP; against a hidden
learner it is an aliased view of one.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np
from numpy.typing import ArrayLike, NDArray

from rfos.games import NormalFormGame
from rfos.windows import WindowIndex

Float = NDArray[np.float64]

PROBABILITY_TOL = 1e-9
"""How far probabilities given by a user may sum from 1."""


@runtime_checkable
class WindowOpponent(Protocol):
    """An opponent whose play is a function of the window alone."""

    def probabilities(self, game: NormalFormGame, player: int, index: WindowIndex) -> Float:
        """Return the probability of each own action in each window, shape (n_states, n_actions[player])."""
        ...


def _fraction(name: str, value: float, low: float = 0.0, high: float = 1.0) -> None:
    if not low <= value <= high:
        raise ValueError(f"{name} is {value!r}: give a number from {low:g} to {high:g}")


def _greedy(values: Float, exploration: float) -> Float:
    """Return epsilon-greedy probabilities of values (..., n_actions): ties share, exploration is uniform."""
    best = values == values.max(axis=-1, keepdims=True)
    ties = best.sum(axis=-1, keepdims=True)
    result: Float = exploration / values.shape[-1] + (1.0 - exploration) / ties * best
    return result


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
        if not np.isfinite(self.initial):
            raise ValueError(f"initial is {self.initial!r}: give a finite value in rewards per step")


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

    >>> from rfos.games import matching_pennies
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
        values = np.full((index.n_states, game.n_actions[player]), self.initial)
        states = np.arange(index.n_states)
        for time in range(index.window):
            joint = index.joint_action(time)
            own = joint[:, player]
            rewards = game.payoffs[(player, *joint.T)]
            values[states, own] = (1.0 - self.learning_rate) * values[states, own] + self.learning_rate * rewards
        return _greedy(values, self.exploration)


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
        values = np.array(table, np.float64)
        if values.ndim < 3:
            raise ValueError(
                f"a memory-one table has one axis per player and one for the own actions, not shape {values.shape}"
            )
        bad = ~((values >= 0).all(axis=-1) & (np.abs(values.sum(axis=-1) - 1) <= PROBABILITY_TOL))
        if bad.any():
            row = tuple(int(i) for i in np.argwhere(bad)[0])
            raise ValueError(
                f"the probabilities after joint action {row} are {values[row].tolist()}: "
                "they must be at least 0 and sum to 1"
            )
        values.setflags(write=False)
        object.__setattr__(self, "table", values)
        object.__setattr__(self, "name", name)

    def probabilities(self, game: NormalFormGame, player: int, index: WindowIndex) -> Float:
        """Return the probability of each own action in each window, shape (n_states, n_actions[player])."""
        expected = (*game.n_actions, game.n_actions[player])
        if self.table.shape != expected:
            raise ValueError(f"the table of {self.name} has shape {self.table.shape}, the game needs {expected}")
        joint = index.joint_action(index.window - 1)
        result: Float = self.table[tuple(joint.T)]
        return result


def tit_for_tat() -> MemoryOne:
    """Return tit for tat for two players with two actions: repeat the shaper's last action (Axelrod 1980)."""
    return MemoryOne([[[1, 0], [1, 0]], [[0, 1], [0, 1]]], "tit-for-tat")


def win_stay_lose_shift() -> MemoryOne:
    """Return win-stay, lose-shift for a Prisoner's Dilemma with action 0 = cooperate (Nowak & Sigmund 1993).

    It keeps its action after a reward of the better two (the shaper cooperated) and changes it otherwise, that is,
    it cooperates after CC and DD.
    """
    return MemoryOne([[[1, 0], [0, 1]], [[0, 1], [1, 0]]], "win-stay-lose-shift")


def grim() -> MemoryOne:
    """Return the memory-one grim trigger: cooperate (action 0) only after mutual cooperation (Friedman 1971)."""
    return MemoryOne([[[1, 0], [0, 1]], [[0, 1], [0, 1]]], "grim")


@dataclass(frozen=True)
class Always:
    """An opponent that always plays one action, in a game with any number of players.

    Raises
    ------
    ValueError
        If the action is negative, or (when it meets a game) not one of its own.
    """

    action: int = 0

    def __post_init__(self) -> None:
        """Check the sign; the game tells the range."""
        if self.action < 0:
            raise ValueError(f"action is {self.action}: actions are numbered from 0")

    def probabilities(self, game: NormalFormGame, player: int, index: WindowIndex) -> Float:
        """Return the probability of each own action in each window, shape (n_states, n_actions[player])."""
        if self.action >= game.n_actions[player]:
            raise ValueError(f"action is {self.action}, player {player} has actions 0 to {game.n_actions[player] - 1}")
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

    >>> from rfos.games import matching_pennies
    >>> WindowBestResponse().probabilities(matching_pennies(), 1, WindowIndex((2, 2), 1))[1].tolist()
    [1.0, 0.0]
    """

    exploration: float = 0.0

    def __post_init__(self) -> None:
        """Check the range."""
        _fraction("exploration", self.exploration)

    def probabilities(self, game: NormalFormGame, player: int, index: WindowIndex) -> Float:
        """Return the probability of each own action in each window, shape (n_states, n_actions[player])."""
        payoffs = np.moveaxis(game.payoffs[player], player, -1)
        total = np.zeros((index.n_states, game.n_actions[player]))
        for time in range(index.window):
            others = np.delete(index.joint_action(time), player, axis=1)
            total += payoffs[tuple(others.T)]
        # Sums of the same payoffs in another order may differ in the last place; that must stay a tie.
        scale = float(np.abs(total).max()) or 1.0
        return _greedy(np.round(total / scale, 12), self.exploration)
