"""Storages of two-player, two-action meta-games: a table of `pair_bytes` a pair, or pairs evaluated on the fly.

A pair keeps its reward as float32 (off by at most 2^-24 of itself, or 2^-150 next to 0) and the opponent's next policy
as the lowest corner of its cell and one number per inner state, sorted: the place in the cell in 8192ths, rounded to
the nearest (at most 1/16384 of a cell). Barycentric weights are then exact multiples of 1/8192, and rows sum to 1
exactly. The table *is* the MDP that is solved; its brackets hold for it.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rfos._kernels import learners as learners_kernels
from rfos._kernels import policies as policies_kernels
from rfos._kernels import returns as returns_kernels
from rfos._kernels.grids import SHIFT, UNIT, corners
from rfos._system.arrays import Float, Int, Owned, hand_over, integers
from rfos._system.threads import in_ranges
from rfos.games.stochastic import StochasticGame, is_iterated
from rfos.metagames.grids import LevelGrid, SimplexGrid
from rfos.metagames.learners import rule_of
from rfos.planning.storages import Chain, CheckedStorage, Sweep

SMALLEST, LARGEST = 1e-30, 1e30
"""Largest rewards of games outside of this do not go into float32 tables: 2^-150 must be nothing beside them."""


def _kinds(n_states: int, n_entries: int) -> tuple[np.dtype[Any], np.dtype[Any]]:
    """Return types that hold a corner and a step, of 16 bits where that is enough."""
    largest = n_states - 1, (n_entries + 1 << SHIFT) - 1
    corner, step = (np.promote_types(np.uint16, np.min_scalar_type(number)) for number in largest)
    return corner, step


def pair_bytes(n_states: int, n_entries: int, nearest: bool) -> int:
    """Return the bytes of one pair in a table: reward, corner, and steps unless places are rounded to the nearest.

    Examples
    --------
    Memory-one policies on 7 levels: 4 for the reward, 2 for the corner, 2 for each inner state.

    >>> pair_bytes(7**5, 5, nearest=False), pair_bytes(7**5, 5, nearest=True)
    (16, 6)
    """
    corner, step = _kinds(n_states, n_entries)
    return 4 + corner.itemsize + (0 if nearest else n_entries * step.itemsize)


@dataclass(frozen=True)
class Dynamics:
    """A game, an opponent and level grids, as kernels take them; `of` says None where kernels do not apply.

    `iterated` says that the short form for iterated games plays this rule. `strides` (S+1,) say what one level up in
    each inner state adds to a meta-state's index; the last one is 0 (see `_kernels.grids`).
    """

    game: returns_kernels.Game
    rule: learners_kernels.Rule
    iterated: bool
    own_levels: Float
    levels: Float
    strides: Int

    @classmethod
    def of(cls, game: StochasticGame, opponent: object, grids: tuple[object, ...]) -> Dynamics | None:
        """Return the kernel form of a two-player game with two actions each and level grids, or None."""
        if not cls.plays(game.n_actions, opponent):
            return None
        levels = [_levels(grid) for grid in grids]
        rule = rule_of(opponent)
        if rule is None or levels[0] is None or levels[1] is None:
            return None
        largest = float(np.abs(game.rewards).max())
        if not (largest == 0 or SMALLEST <= largest <= LARGEST):
            return None
        most = int((game.transitions > 0).sum(axis=2).max())
        # The nonzero branches of each row, padded with probability 0.
        successor = np.argsort(game.transitions == 0, axis=2, kind="stable")[:, :, :most].astype(np.int64)
        probability = np.take_along_axis(game.transitions, successor, axis=2)
        parts = (successor, np.array(probability), np.array(game.rewards), np.array(game.initial))
        short = is_iterated(game) and rule.kind < learners_kernels.LOLA_EXACT
        strides = np.append(len(levels[1]) ** np.arange(game.n_states - 1, -1, -1, dtype=np.int64), 0)
        return cls(returns_kernels.Game(*parts, game.discount), rule, short, levels[0], levels[1], strides)

    @staticmethod
    def plays(n_actions: tuple[int, ...], opponent: object) -> bool:
        """Return whether kernels play such a game against such an opponent, on grids of levels."""
        return n_actions == (2, 2) and rule_of(opponent) is not None

    @property
    def n_entries(self) -> int:
        """Number of inner states, S."""
        return len(self.strides) - 1

    @property
    def shape(self) -> tuple[int, int]:
        """Numbers of meta-states and of meta-actions, (X, A)."""
        return len(self.levels) ** self.n_entries, len(self.own_levels) ** self.n_entries

    def parts(self) -> tuple[returns_kernels.Game, learners_kernels.Rule, bool, Float, Float]:
        """Return the leading arguments of the kernels that evaluate pairs."""
        return self.game, self.rule, self.iterated, self.own_levels, self.levels


def _levels(grid: object) -> Float | None:
    if isinstance(grid, LevelGrid):
        return grid.values
    if isinstance(grid, SimplexGrid) and grid.n_actions == 2:
        return np.arange(grid.levels + 1) / grid.levels
    return None


@dataclass(frozen=True, eq=False)
class PolicyTable(CheckedStorage):
    """Transitions of a policy meta-game as walks around the opponent's next policy; a storage of `TabularMDP`.

    Parameters
    ----------
    corner : ndarray of unsigned integers, shape (X, A)
        The lowest corner.
    steps : ndarray of unsigned integers, shape (X, A, S), or (X, A, 0) where every next policy is a grid point
        The way from there to the highest corner, as `_kernels.grids.walk` writes it.
    strides : ndarray of int64, shape (S+1,)
        What one level up in each inner state adds to a meta-state's index; the last one is 0.
    """

    corner: NDArray[Any]
    steps: NDArray[Any]
    strides: Int

    def __post_init__(self) -> None:
        """Take copies, after a look at every walk; a table that a kernel has filled is taken as it is."""
        filled = isinstance(self.corner, Owned)
        for name in ("corner", "steps", "strides"):
            object.__setattr__(self, name, integers(name, getattr(self, name)))
        if not filled:
            check_walks(self.corner, self.steps, self.strides)

    @property
    def n_states(self) -> int:
        """Number of meta-states, X."""
        return int(self.corner.shape[0])

    @property
    def n_actions(self) -> int:
        """Number of meta-actions, A."""
        return int(self.corner.shape[1])

    @property
    def branching(self) -> int:
        """Corners of a Kuhn simplex, S + 1; 1 after nearest rounding."""
        return int(self.steps.shape[2]) + 1

    @property
    def nbytes(self) -> int:
        """Memory of the walks, in bytes."""
        return self.corner.nbytes + self.steps.nbytes + self.strides.nbytes

    def check(self) -> float:
        """Return 0: weights are integers over 8192 that sum to 1 exactly."""
        return 0.0

    def reward_shape(self) -> tuple[int, int]:
        """Return (X, A)."""
        return self.n_states, self.n_actions

    def improve(self, sweep: Sweep, first: int, last: int) -> None:
        """Fill `new_values` and `policy` with the maxima of Q and their actions, states `first` to `last` - 1."""
        filled = sweep.values, sweep.new_values, sweep.policy, sweep.table
        walks = self.corner, self.steps, self.strides
        policies_kernels.improve_table(sweep.rewards, *walks, sweep.discount, *filled, first, last)

    def backup(self, rewards: Float, discount: float, values: Float, q: Float) -> None:
        """Fill `q` (X, A) with rewards + discount * the barycentric means of values."""
        policies_kernels.backup_table(rewards, self.corner, self.steps, self.strides, discount, values, q)

    def chain(self, rewards: Float, policy: Int, states: Int | None = None) -> Chain:
        """Return transitions and expected rewards of the pairs (states[i], policy[i])."""
        states = np.arange(self.n_states) if states is None else states
        walks = self.corner[states, policy], self.steps[states, policy]
        return _chain(*walks, self.strides, rewards[states, policy])

    def branches(self, rewards: Float) -> tuple[Int, Float, Float]:
        """Return successors, probabilities and rewards of all branches, each (X*A, B)."""
        corner = self.corner.ravel()
        successor, probability = _rows(corner, self.steps.reshape(len(corner), -1), self.strides, np.int64)
        repeated = np.repeat(np.asarray(rewards, np.float64).reshape(-1, 1), self.branching, axis=1)
        return successor, probability, repeated


@dataclass(frozen=True, eq=False)
class OnTheFly(CheckedStorage):
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
        return self.dynamics.shape[0]

    @property
    def n_actions(self) -> int:
        """Number of meta-actions, A."""
        return self.dynamics.shape[1]

    @property
    def branching(self) -> int:
        """Corners of a Kuhn simplex, S + 1; 1 after nearest rounding."""
        return 1 if self.nearest else self.dynamics.n_entries + 1

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

    def improve(self, sweep: Sweep, first: int, last: int) -> None:
        """Fill `new_values` and `policy` with the maxima of Q and their actions, states `first` to `last` - 1."""
        d = self.dynamics
        filled = sweep.values, sweep.new_values, sweep.policy, sweep.table
        policies_kernels.improve_on_the_fly(*d.parts(), self.nearest, d.strides, sweep.discount, *filled, first, last)

    def backup(self, rewards: Float, discount: float, values: Float, q: Float) -> None:
        """Fill `q` (X, A) with rewards + discount * the barycentric means of values."""
        found, table = fill(self.dynamics, self.nearest)
        table.backup(found, discount, values, q)

    def chain(self, rewards: Float, policy: Int, states: Int | None = None) -> Chain:
        """Return transitions and expected rewards of the pairs (states[i], policy[i])."""
        d = self.dynamics
        chosen = np.asarray(policy, np.int64)
        states = np.arange(self.n_states) if states is None else states
        found, corner, steps = _empty(d, (len(states),), self.nearest)
        in_ranges(
            lambda first, last: policies_kernels.fill_pairs(
                *d.parts(), self.nearest, d.strides, states, chosen, found, corner, steps, first, last
            ),
            len(states),
        )
        return _chain(corner, steps, d.strides, found)

    def branches(self, rewards: Float) -> tuple[Int, Float, Float]:
        """Return successors, probabilities and rewards of all branches, each (X*A, B)."""
        found, table = fill(self.dynamics, self.nearest)
        return table.branches(found)


def reward_bounds(game: StochasticGame) -> Float:
    """Return bounds (2,) of every pair's reward as float32: returns are means of rewards, up to rounding."""
    low, high = (np.float32(end) for end in game.reward_range(0))
    slack = np.float32(1e-6) * max(abs(low), abs(high))
    return np.array([low - slack, high + slack], np.float64)


def check_walks(corner: Int, steps: Int, strides: Int) -> None:
    """Raise ValueError naming the first pair whose walk leaves the meta-states, or whose weights are no weights."""
    shape = corner.shape
    sizes = len(shape) == 2 and corner.size > 0 and steps.shape[:-1] == shape and strides.ndim == 1
    if not sizes or steps.shape[-1] not in (0, len(strides) - 1):
        raise ValueError(
            f"corner, steps and strides have shapes {shape}, {steps.shape} and {strides.shape}: give (X, A), (X, A, S) "
            "or (X, A, 0), and (S+1,)"
        )
    turns, fractions = steps >> SHIFT, steps & (UNIT - 1)
    bad = (corner < 0) | (corner >= shape[0])
    bad |= ((turns < 0) | (turns >= len(strides))).any(axis=2) | (np.diff(fractions, axis=2) > 0).any(axis=2)
    walked = corner[:, :, None] + np.cumsum(strides[np.clip(turns, 0, len(strides) - 1)], axis=2)
    bad |= ((walked < 0) | (walked >= shape[0])).any(axis=2)
    if bad.any():
        state, action = divmod(int(bad.argmax()), shape[1])
        raise ValueError(
            f"state {state}, action {action} has corner {int(corner[state, action])} and steps "
            f"{steps[state, action].tolist()}, which are not a walk: its fractions never rise, and it stays in states "
            f"0 to {shape[0] - 1}"
        )


def _rows(corner: NDArray[Any], steps: NDArray[Any], strides: Int, kind: type) -> tuple[NDArray[Any], Float]:
    """Return successors and probabilities of walks (n,), (n, S or 0), each (n, B)."""
    shape = (len(corner), steps.shape[1] + 1)
    successor, probability = np.empty(shape, kind), np.empty(shape)
    corners(strides, corner, steps, successor, probability)
    return successor, probability


def _chain(corner: NDArray[Any], steps: NDArray[Any], strides: Int, rewards: NDArray[Any]) -> Chain:
    """Return the chain of rows with these walks and rewards (n,)."""
    successor, probability = _rows(corner, steps, strides, np.int32)
    start = successor.shape[1] * np.arange(len(corner) + 1)
    return Chain(start, successor.ravel(), probability.ravel(), rewards.astype(np.float64))


def _empty(dynamics: Dynamics, shape: tuple[int, ...], nearest: bool) -> tuple[NDArray[Any], ...]:
    """Return rewards, corners and steps of so many pairs, unfilled."""
    corner, step = _kinds(dynamics.shape[0], dynamics.n_entries)
    n_steps = 0 if nearest else dynamics.n_entries
    return np.empty(shape, np.float32), np.empty(shape, corner), np.empty((*shape, n_steps), step)


def fill(
    dynamics: Dynamics, nearest: bool, progress: Callable[[int], None] | None = None
) -> tuple[NDArray[Any], PolicyTable]:
    """Return float32 rewards (X, A) and the table of all pairs, evaluated exactly and on all cores.

    `progress` is called with the number of pairs evaluated since the last call, from any thread.
    """
    d = dynamics
    rewards, corner, steps = _empty(d, d.shape, nearest)

    def work(first: int, last: int) -> None:
        policies_kernels.fill(*d.parts(), nearest, d.strides, rewards, corner, steps, first, last)
        if progress is not None:
            progress((last - first) * d.shape[1])

    in_ranges(work, d.shape[0])
    return rewards, PolicyTable(hand_over(corner), hand_over(steps), d.strides)


def seconds_per_pair(dynamics: Dynamics, nearest: bool, count: int) -> float:
    """Return the seconds that evaluating a pair takes on one processor, the mean of `count` pairs spread over all."""
    d = dynamics
    # Far apart, so that they do not share levels.
    states, actions = (np.array([n * i // count for i in range(count)], np.int64) for n in d.shape)
    found, corner, steps = _empty(d, (count,), nearest)
    began = math.inf
    for last in (1, count):  # the first compiles
        began = time.perf_counter()
        arrays = (states, actions[::-1].copy(), found, corner, steps)
        policies_kernels.fill_pairs(*d.parts(), nearest, d.strides, *arrays, 0, last)
    return (time.perf_counter() - began) / count


def frozen_share(dynamics: Dynamics) -> float:
    """Return the share of pairs in which the learner moves but nearest rounding would put it back where it was."""
    counts = []

    def work(first: int, last: int) -> None:
        counts.append(policies_kernels.frozen_moves(*dynamics.parts(), dynamics.strides, first, last))

    in_ranges(work, dynamics.shape[0])
    return float(sum(counts) / math.prod(dynamics.shape))
