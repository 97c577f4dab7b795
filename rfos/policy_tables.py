"""Storages of two-player, two-action meta-games: a table of 4 + 2 S bytes a pair, or pairs evaluated on the fly.

A pair keeps its reward as float32 (relative error at most 2^-24) and the opponent's next policy as one 16-bit number
per inner state: the cell of the level grid and the place in it in 8192ths, rounded to the nearest (at most 1/16384 of
a cell). Barycentric weights are then exact multiples of 1/8192, and rows sum to 1 exactly. The table *is* the MDP that
is solved; its brackets hold for it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rfos._kernels import policies as kernels
from rfos._threads import in_ranges
from rfos.grids import LevelGrid, SimplexGrid
from rfos.learners import LOLA, FictitiousPlay, Fixed, NaiveLearner, QLearning, SmoothedBestResponse
from rfos.mdp import Chain
from rfos.stochastic_games import StochasticGame

Float = NDArray[np.float64]
Float32 = NDArray[np.float32]
Int = NDArray[np.int64]

MAX_CELLS = 65535 // kernels.UNIT
"""Most cells of a level grid whose places fit 16 bits."""


@dataclass(frozen=True)
class Dynamics:
    """A game, an opponent and level grids, as kernels take them; `of` says None where kernels do not apply.

    `iterated` says that the short form for iterated games plays this rule.
    """

    game: kernels.Game
    rule: kernels.Rule
    iterated: bool
    own_levels: Float
    levels: Float
    strides: Int

    @classmethod
    def of(cls, game: StochasticGame, opponent: object, grids: tuple[object, ...]) -> Dynamics | None:
        """Return the kernel form of a two-player game with two actions each and level grids, or None."""
        levels = [_levels(grid) for grid in grids]
        rule = _rule(opponent)
        if game.n_actions != (2, 2) or rule is None or levels[0] is None or levels[1] is None:
            return None
        most = int((game.transitions > 0).sum(axis=2).max())
        # The nonzero branches of each row, padded with probability 0.
        successor = np.argsort(game.transitions == 0, axis=2, kind="stable")[:, :, :most].astype(np.int64)
        probability = np.take_along_axis(game.transitions, successor, axis=2)
        parts = (successor, np.array(probability), np.array(game.rewards), np.array(game.initial))
        short = is_iterated(game) and rule.kind < kernels.LOLA
        strides = len(levels[1]) ** np.arange(game.n_states - 1, -1, -1, dtype=np.int64)
        return cls(kernels.Game(*parts, game.discount), rule, short, levels[0], levels[1], strides)


def _levels(grid: object) -> Float | None:
    if isinstance(grid, LevelGrid):
        return grid.values
    if isinstance(grid, SimplexGrid) and grid.n_actions == 2:
        return np.arange(grid.levels + 1) / grid.levels
    return None


def _rule(opponent: object) -> kernels.Rule | None:
    if isinstance(opponent, NaiveLearner):
        kind = kernels.NAIVE_LOGITS if opponent.parameters == "logits" else kernels.NAIVE_SIMPLEX
        return kernels.Rule(kind, opponent.step, 1.0)
    if isinstance(opponent, SmoothedBestResponse):
        return kernels.Rule(kernels.SMOOTHED_BEST_RESPONSE, opponent.temperature, opponent.mixing)
    if isinstance(opponent, QLearning):
        return kernels.Rule(kernels.Q_LEARNING, opponent.temperature, opponent.rate)
    if isinstance(opponent, LOLA):
        return kernels.Rule(kernels.LOLA, opponent.step, opponent.look_ahead)
    if isinstance(opponent, FictitiousPlay):
        return kernels.Rule(kernels.BEST_RESPONSE, 1.0, opponent.mixing)
    if isinstance(opponent, Fixed):
        return kernels.Rule(kernels.FIXED, 1.0, 0.0)
    return None


def is_iterated(game: StochasticGame) -> bool:
    """Return whether the game is an iterated normal-form game with states start, CC, CD, DC, DD."""
    if game.n_states != 5 or game.initial[0] != 1:
        return False
    follows = (game.transitions[:, np.arange(4), 1 + np.arange(4)] == 1).all()
    return bool(follows and (game.rewards == game.rewards[:, :1]).all())


@dataclass(frozen=True, eq=False)
class PolicyTable:
    """Transitions of a policy meta-game as places on the opponent's grid; a storage of `TabularMDP`.

    Parameters
    ----------
    places : ndarray of uint16 (int64 for more than 7 cells), shape (X, A, S)
    strides : ndarray of int64, shape (S,)
        What one level up in each inner state adds to a meta-state's index.
    nearest : bool
        Whether every place is a grid point, so that a pair has one successor.
    """

    places: NDArray[Any]
    strides: Int
    nearest: bool

    @property
    def n_states(self) -> int:
        """Number of meta-states, X."""
        return int(self.places.shape[0])

    @property
    def n_actions(self) -> int:
        """Number of meta-actions, A."""
        return int(self.places.shape[1])

    @property
    def branching(self) -> int:
        """Corners of a Kuhn simplex, S + 1; 1 after nearest rounding."""
        return 1 if self.nearest else int(self.places.shape[2]) + 1

    @property
    def nbytes(self) -> int:
        """Memory of the places, in bytes."""
        return self.places.nbytes + self.strides.nbytes

    def check(self) -> float:
        """Return 0: weights are integers over 8192 that sum to 1 exactly."""
        return 0.0

    def reward_shape(self) -> tuple[int, int]:
        """Return (X, A)."""
        return self.n_states, self.n_actions

    def improve(
        self,
        rewards: Float,
        discount: float,
        values: Float,
        new_values: Float,
        policy: Int,
        table: Float32,
        first: int,
        last: int,
    ) -> None:
        """Fill `new_values` and `policy` with the maxima of Q and their actions, states `first` to `last` - 1."""
        kernels.improve_places(
            rewards, self.places, self.strides, discount, values, new_values, policy, table, first, last
        )

    def backup(self, rewards: Float, discount: float, values: Float, q: Float) -> None:
        """Fill `q` (X, A) with rewards + discount * the barycentric means of values."""
        kernels.backup_places(rewards, self.places, self.strides, discount, values, q)

    def chain(self, rewards: Float, policy: Int, states: Int | None = None) -> Chain:
        """Return transitions and expected rewards of the pairs (states[i], policy[i])."""
        states = np.arange(self.n_states) if states is None else states
        return _chain(self.places[states, policy], self.strides, self.nearest, rewards[states, policy])

    def branches(self, rewards: Float) -> tuple[Int, Float, Float]:
        """Return successors, probabilities and rewards of all branches, each (X*A, B)."""
        successor, probability = _rows(self.places.reshape(-1, self.places.shape[2]), self.strides, self.nearest)
        repeated = np.repeat(np.asarray(rewards, np.float64).reshape(-1, 1), self.branching, axis=1)
        return successor, probability, repeated


@dataclass(frozen=True, eq=False)
class OnTheFly:
    """Transitions of a policy meta-game without a table: each backup evaluates every pair anew, bit for bit alike.

    Rewards are evaluated too; what `TabularMDP` keeps instead is their range, shape (2,).

    Parameters
    ----------
    dynamics : Dynamics
    nearest : bool
    """

    dynamics: Dynamics
    nearest: bool

    @property
    def n_states(self) -> int:
        """Number of meta-states, X."""
        return int(len(self.dynamics.levels) ** len(self.dynamics.strides))

    @property
    def n_actions(self) -> int:
        """Number of meta-actions, A."""
        return int(len(self.dynamics.own_levels) ** len(self.dynamics.strides))

    @property
    def branching(self) -> int:
        """Corners of a Kuhn simplex, S + 1; 1 after nearest rounding."""
        return 1 if self.nearest else len(self.dynamics.strides) + 1

    @property
    def nbytes(self) -> int:
        """Memory of the levels; there is no table."""
        return self.dynamics.levels.nbytes + self.dynamics.own_levels.nbytes

    def check(self) -> float:
        """Return 0: weights are integers over 8192 that sum to 1 exactly."""
        return 0.0

    def reward_shape(self) -> tuple[int, ...]:
        """Return (2,): smallest and largest reward of any pair."""
        return (2,)

    def improve(
        self,
        rewards: Float,
        discount: float,
        values: Float,
        new_values: Float,
        policy: Int,
        table: Float32,
        first: int,
        last: int,
    ) -> None:
        """Fill `new_values` and `policy` with the maxima of Q and their actions, states `first` to `last` - 1."""
        d = self.dynamics
        kernels.improve_on_the_fly(
            d.game, d.rule, d.iterated, d.own_levels, d.levels, self.nearest, d.strides, discount, values, new_values,
            policy, table, first, last,
        )  # fmt: skip

    def _table(self) -> tuple[NDArray[Any], PolicyTable]:
        """Return the table, in places of 64 bits, which hold any number of cells."""
        return fill(self.dynamics, self.nearest, np.int64)

    def backup(self, rewards: Float, discount: float, values: Float, q: Float) -> None:
        """Fill `q` (X, A) with rewards + discount * the barycentric means of values."""
        found, table = self._table()
        table.backup(found, discount, values, q)

    def chain(self, rewards: Float, policy: Int, states: Int | None = None) -> Chain:
        """Return transitions and expected rewards of the pairs (states[i], policy[i])."""
        d = self.dynamics
        chosen = np.asarray(policy, np.int64)
        pairs = np.arange(self.n_states) if states is None else states
        found = np.empty(len(pairs), np.float32)
        places = np.empty((len(pairs), len(d.strides)), np.int64)

        def work(first: int, last: int) -> None:
            kernels.fill_pairs(
                d.game,
                d.rule,
                d.iterated,
                d.own_levels,
                d.levels,
                self.nearest,
                pairs,
                chosen,
                found,
                places,
                first,
                last,
            )

        in_ranges(work, len(pairs))
        return _chain(places, d.strides, self.nearest, found)

    def branches(self, rewards: Float) -> tuple[Int, Float, Float]:
        """Return successors, probabilities and rewards of all branches, each (X*A, B)."""
        found, table = self._table()
        return table.branches(found)


def reward_bounds(game: StochasticGame) -> Float:
    """Return bounds (2,) of every pair's reward as float32: returns are means of rewards, up to rounding."""
    low, high = (np.float32(end) for end in game.reward_range(0))
    slack = np.float32(1e-6) * max(abs(low), abs(high))
    return np.array([low - slack, high + slack], np.float64)


def _rows(places: NDArray[Any], strides: Int, nearest: bool) -> tuple[Int, Float]:
    """Return successors and probabilities of places (n, S), each (n, B)."""
    if nearest:
        successor = (places >> kernels.SHIFT).astype(np.int64) @ strides
        return successor[:, None], np.ones((len(places), 1))
    shape = (len(places), places.shape[1] + 1)
    successor, probability = np.empty(shape, np.int64), np.empty(shape)
    kernels.corners_of_places(np.ascontiguousarray(places), strides, successor, probability)
    return successor, probability


def _chain(places: NDArray[Any], strides: Int, nearest: bool, rewards: NDArray[Any]) -> Chain:
    """Return the chain of rows with these places (X, S) and rewards (X,)."""
    successor, probability = _rows(places, strides, nearest)
    start = successor.shape[1] * np.arange(len(places) + 1)
    return Chain(start, successor.ravel().astype(np.int32), probability.ravel(), rewards.astype(np.float64))


def fill(
    dynamics: Dynamics, nearest: bool, kind: type[np.uint16] | type[np.int64] = np.uint16
) -> tuple[NDArray[np.float32], PolicyTable]:
    """Return rewards (X, A) and the table of all pairs, evaluated exactly and on all cores."""
    n_entries = len(dynamics.strides)
    shape = (len(dynamics.levels) ** n_entries, len(dynamics.own_levels) ** n_entries)
    rewards = np.empty(shape, np.float32)
    places = np.empty((*shape, n_entries), kind)

    def work(first: int, last: int) -> None:
        d = dynamics
        kernels.fill(d.game, d.rule, d.iterated, d.own_levels, d.levels, nearest, rewards, places, first, last)

    in_ranges(work, shape[0])
    rewards.setflags(write=False)
    places.setflags(write=False)
    return rewards, PolicyTable(places, dynamics.strides, nearest)


def frozen_share(dynamics: Dynamics) -> float:
    """Return the share of pairs in which the learner moves but nearest rounding would put it back where it was."""
    counts = []

    def work(first: int, last: int) -> None:
        d = dynamics
        counts.append(kernels.frozen_moves(d.game, d.rule, d.iterated, d.own_levels, d.levels, d.strides, first, last))

    n_entries = len(dynamics.strides)
    n_states = len(dynamics.levels) ** n_entries
    in_ranges(work, n_states)
    return float(sum(counts) / (n_states * len(dynamics.own_levels) ** n_entries))
