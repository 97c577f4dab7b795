"""Tables of two-player, two-action meta-games: 4 + 2 S bytes a pair, filled and backed up by kernels.

A pair keeps its reward as float32 (relative error at most 2^-24) and the opponent's next policy as one 16-bit number
per inner state: the cell of the level grid and the place in it in 8192ths, rounded to the nearest (at most 1/16384 of
a cell). Barycentric weights are then exact multiples of 1/8192, and rows sum to 1 exactly. The table *is* the MDP that
is solved; its brackets hold for it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from rfos._kernels import policies as kernels
from rfos._threads import in_ranges
from rfos.grids import LevelGrid, SimplexGrid
from rfos.learners import Fixed, NaiveLearner, QLearning, SmoothedBestResponse
from rfos.mdp import Chain
from rfos.stochastic_games import StochasticGame

Float = NDArray[np.float64]
Int = NDArray[np.int64]

MAX_CELLS = 65535 // kernels.UNIT
"""Most cells of a level grid whose places fit 16 bits."""


@dataclass(frozen=True)
class Dynamics:
    """A game, an opponent and level grids, as kernels take them; `of` says None where kernels do not apply."""

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
        strides = len(levels[1]) ** np.arange(game.n_states - 1, -1, -1, dtype=np.int64)
        return cls(kernels.Game(*parts, game.discount), rule, _is_iterated(game), levels[0], levels[1], strides)


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
    if isinstance(opponent, Fixed):
        return kernels.Rule(kernels.FIXED, 1.0, 0.0)
    return None


def _is_iterated(game: StochasticGame) -> bool:
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
    places : ndarray of uint16, shape (X, A, S)
    strides : ndarray of int64, shape (S,)
        What one level up in each inner state adds to a meta-state's index.
    """

    places: NDArray[np.uint16]
    strides: Int

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
        """Corners of a Kuhn simplex, S + 1."""
        return int(self.places.shape[2]) + 1

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
        self, rewards: Float, discount: float, values: Float, new_values: Float, policy: Int, first: int, last: int
    ) -> None:
        """Fill `new_values` and `policy` with the maxima of Q and their actions, states `first` to `last` - 1."""
        kernels.improve_places(rewards, self.places, self.strides, discount, values, new_values, policy, first, last)

    def backup(self, rewards: Float, discount: float, values: Float, q: Float) -> None:
        """Fill `q` (X, A) with rewards + discount * the barycentric means of values."""
        kernels.backup_places(rewards, self.places, self.strides, discount, values, q)

    def _rows(self, places: NDArray[np.uint16]) -> tuple[Int, Float]:
        """Return corners and weights of places (n, S), each (n, S+1)."""
        shape = (len(places), self.branching)
        successor, probability = np.empty(shape, np.int64), np.empty(shape)
        kernels.corners_of_places(np.ascontiguousarray(places), self.strides, successor, probability)
        return successor, probability

    def chain(self, rewards: Float, policy: Int) -> Chain:
        """Return transitions and expected rewards under a policy (X,)."""
        states = np.arange(self.n_states)
        successor, probability = self._rows(self.places[states, policy])
        start = self.branching * np.arange(self.n_states + 1)
        chosen = rewards[states, policy].astype(np.float64)
        return Chain(start, successor.ravel().astype(np.int32), probability.ravel(), chosen)

    def branches(self, rewards: Float) -> tuple[Int, Float, Float]:
        """Return successors, probabilities and rewards of all branches, each (X*A, S+1)."""
        successor, probability = self._rows(self.places.reshape(-1, self.branching - 1))
        repeated = np.repeat(np.asarray(rewards, np.float64).reshape(-1, 1), self.branching, axis=1)
        return successor, probability, repeated


def fill(dynamics: Dynamics, nearest: bool) -> tuple[NDArray[np.float32], PolicyTable]:
    """Return rewards (X, A) and the table of all pairs, evaluated exactly and on all cores."""
    n_entries = len(dynamics.strides)
    shape = (len(dynamics.levels) ** n_entries, len(dynamics.own_levels) ** n_entries)
    rewards = np.empty(shape, np.float32)
    places = np.empty((*shape, n_entries), np.uint16)

    def work(first: int, last: int) -> None:
        d = dynamics
        kernels.fill(d.game, d.rule, d.iterated, d.own_levels, d.levels, nearest, rewards, places, first, last)

    in_ranges(work, shape[0])
    rewards.setflags(write=False)
    places.setflags(write=False)
    return rewards, PolicyTable(places, dynamics.strides)


def frozen_share(dynamics: Dynamics, table: PolicyTable) -> float:
    """Return the share of pairs that nearest rounding leaves where they are: frozen moves, and learners at rest.

    The table does not tell the two apart where it was filled with nearest rounding already.
    """
    counts = []

    def work(first: int, last: int) -> None:
        counts.append(kernels.frozen_moves(dynamics.levels, dynamics.strides, table.places, first, last))

    in_ranges(work, table.n_states)
    return float(sum(counts) / (table.n_states * table.n_actions))
