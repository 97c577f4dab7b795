"""Case I meta-games: the meta-state is the opponents' inner policies on a grid, the meta-action the shaper's.

One meta-step: the shaper picks its inner policy a, the opponents play ψ, the shaper earns its normalised return
J_0(a, ψ), and the opponents move to the grid's rounding of L(a, ψ). The *lumped* meta-state is ψ,
the policies about to be played; the *joint* one of the papers is the joint policy last played.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Literal

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from rfos._memory import available_bytes, require_memory
from rfos._threads import processors
from rfos.games import named_game, standard_prisoners_dilemma
from rfos.grids import BarycentricGrid, LevelGrid, SimplexGrid
from rfos.learners import Learner
from rfos.mdp import TabularMDP, check_discount
from rfos.policy_tables import Dynamics, OnTheFly, PolicyTable, fill, frozen_share, pair_bytes, reward_bounds
from rfos.stochastic_games import StochasticGame, iterated, one_shot

Float = NDArray[np.float64]
Int = NDArray[np.int64]

SECONDS_PER_PAIR = 2e-4
"""What one pair takes where no kernel evaluates it, for the estimate of the time."""

KERNEL_SECONDS_PER_PAIR = 2e-7
"""What one pair takes where a kernel evaluates it, on one processor."""

LONGEST_SWEEP = 600.0
"""Seconds above which a sweep that evaluates all pairs on the fly is refused."""


OUTER_LEVELS = (0.02, 0.98)
"""Outermost levels for learners on logits, which never leave 0 and 1."""


def inner_game(name: str, inner_discount: float) -> StochasticGame:
    """Return the inner game of a name: iterated with memory one, or one-shot where the inner discount is 0.

    Raises
    ------
    ValueError
        If there is no such game ("ipd" is the iterated Prisoner's Dilemma of M-FOS).
    """
    stage = standard_prisoners_dilemma() if name == "ipd" else named_game(name)
    return one_shot(stage) if inner_discount == 0 else iterated(stage, inner_discount)


def even_grid(game: StochasticGame, player: int, count: int) -> LevelGrid | SimplexGrid:
    """Return a player's grid of `count` evenly spaced levels per probability.

    Examples
    --------
    >>> even_grid(inner_game("matching-pennies", 0.5), 1, 3).levels
    (0.02, 0.5, 0.98)
    """
    if game.n_states == 1 or game.n_actions[player] != 2:
        return SimplexGrid(game.n_states, game.n_actions[player], count - 1)
    # Few levels are those of M-FOS, evenly spaced but for the ends; many would collide with the ends.
    inner = np.linspace(0, 1, count) if 1 / (count - 1) > 2 * OUTER_LEVELS[0] else np.linspace(*OUTER_LEVELS, count)
    return LevelGrid(game.n_states, tuple(float(p) for p in np.clip(inner, *OUTER_LEVELS)))


@dataclass(frozen=True)
class SizeEstimate:
    """What a meta-game needs, known before anything is allocated.

    Attributes
    ----------
    n_states, n_actions : int
        Meta-states and meta-actions.
    pairs : int
    storage : {"table", "on-the-fly", "sparse"}
        A compressed table; no table, each pair evaluated when it is needed; or a sparse matrix, evaluated pair by pair
        where no kernel plays the game.
    needed : int
        Bytes of memory.
    limit : int
        Bytes available.
    seconds : float
        About how long filling the table, or one sweep on the fly, takes here.
    """

    n_states: int
    n_actions: int
    pairs: int
    storage: Literal["table", "on-the-fly", "sparse"]
    needed: int
    limit: int
    seconds: float


@dataclass(frozen=True, eq=False)
class PolicyMetaGame:
    """A discretised Case I meta-game for any number of players and actions.

    Parameters
    ----------
    game : StochasticGame
    opponents : sequence of Learner
        One for each player from 1 on.
    grids : sequence of grid, one for each player
        The shaper's grid gives the meta-actions, the others' the meta-states.
    discount : float in [0, 1)
        Meta discount.
    rounding : {"barycentric", "nearest"}
        Where the opponents' next policies fall between grid points: on random corners with the right mean, or on the
        nearest point (which freezes learners whose steps are short; N4).
    joint : bool
        Use the papers' meta-state, the joint policy last played, instead of the lumped one.

    Raises
    ------
    ValueError
        If the numbers of opponents or grids do not fit the game, or a parameter is out of range.

    Examples
    --------
    Matching Pennies once, pure policies, a learner that jumps to its better action: heads is answered by tails. The
    shaper matches every time: V* = 1/(1-0.5) = 2.

    >>> from rfos.games import matching_pennies
    >>> from rfos.grids import SimplexGrid
    >>> from rfos.learners import NaiveLearner
    >>> from rfos.planning import solve
    >>> from rfos.stochastic_games import one_shot
    >>> pure = SimplexGrid(1, 2, 1)
    >>> meta_game = PolicyMetaGame(one_shot(matching_pennies()), [NaiveLearner(2.0, "simplex")], [pure, pure], 0.5)
    >>> solve(meta_game.to_mdp()).value.round(5).tolist()
    [2.0, 2.0]
    """

    game: StochasticGame
    opponents: Sequence[Learner]
    grids: Sequence[BarycentricGrid]
    discount: float
    rounding: Literal["barycentric", "nearest"] = "barycentric"
    joint: bool = False

    def __post_init__(self) -> None:
        """Check that everything fits; nothing is allocated."""
        check_discount(self.discount)
        object.__setattr__(self, "opponents", tuple(self.opponents))
        object.__setattr__(self, "grids", tuple(self.grids))
        if self.rounding not in ("barycentric", "nearest"):
            raise ValueError(f"rounding is {self.rounding!r}: choose barycentric or nearest")
        if len(self.opponents) != self.game.n_players - 1:
            raise ValueError(
                f"{len(self.opponents)} opponents for {self.game.n_players - 1} other players: give one for each"
            )
        if len(self.grids) != self.game.n_players:
            raise ValueError(f"{len(self.grids)} grids for {self.game.n_players} players: give one for each")
        for player, grid in enumerate(self.grids):
            shape = (grid.n_states, grid.n_actions)
            expected = (self.game.n_states, self.game.n_actions[player])
            if shape != expected:
                raise ValueError(
                    f"the grid of player {player} is for (states, actions) {shape}, the game has {expected}"
                )

    @property
    def n_opponent_policies(self) -> int:
        """Number of joint policies of the opponents on the grid."""
        return math.prod(grid.n_points for grid in self.grids[1:])

    @property
    def n_actions(self) -> int:
        """Number of meta-actions: the shaper's policies on its grid."""
        return self.grids[0].n_points

    @property
    def n_states(self) -> int:
        """Number of meta-states: the opponents' policies, times the shaper's where the state is joint."""
        return self.n_opponent_policies * (self.n_actions if self.joint else 1)

    @property
    def branching(self) -> int:
        """Largest number of successors: 1 if rounded to the nearest point, else the corners of all opponents' cells."""
        if self.rounding == "nearest":
            return 1
        return math.prod(grid.n_states * (grid.n_actions - 1) + 1 for grid in self.grids[1:])

    @cached_property
    def dynamics(self) -> Dynamics | None:
        """The kernel form of the meta-game, or None where no kernel plays it."""
        return Dynamics.of(self.game, self.opponents[0], tuple(self.grids))

    def size_estimate(self) -> SizeEstimate:
        """Return sizes, storage and bytes, computed with Python integers before anything is allocated.

        A table is kept if it takes at most half of the memory, since other arrays want room too.
        """
        pairs, limit = self.n_states * self.n_actions, available_bytes()
        found: Literal["table", "on-the-fly", "sparse"] = "sparse"
        # A sparse row's indices and probabilities, its pointer, its reward, and one copy while it is assembled.
        needed, seconds = pairs * (2 * (16 * self.branching + 8) + 8), pairs * SECONDS_PER_PAIR
        if not self.joint and self.dynamics is not None:
            seconds = pairs * KERNEL_SECONDS_PER_PAIR / processors()
            needed, found = pairs * self._pair_bytes, "table"
            if needed > limit // 2:
                # A chain and its predecessor, and a few numbers a state.
                needed, found = self.n_states * (24 * self.branching + 100), "on-the-fly"
        return SizeEstimate(self.n_states, self.n_actions, pairs, found, needed, limit, seconds)

    @property
    def _pair_bytes(self) -> int:
        return pair_bytes(self.n_states, self.game.n_states, self.rounding == "nearest")

    def policies(self, state: int) -> list[Float]:
        """Return the opponents' policies of a lumped state, player 1 as the highest digit, shapes (S, A_i)."""
        found = []
        for grid in reversed(self.grids[1:]):
            state, index = divmod(state, grid.n_points)
            found.append(grid.policy(index))
        return found[::-1]

    @cached_property
    def _lumped(self) -> tuple[Float, Int, Float, Float]:
        """Rewards (X, A), corners and weights (X, A, C), and whether nearest rounding freezes a move (X, A)."""
        self.require_fit()
        n_opponents, n_actions = self.n_opponent_policies, self.n_actions
        rewards = np.empty((n_opponents, n_actions))
        corners = np.empty((n_opponents, n_actions, self.branching), np.int64)
        weights = np.empty((n_opponents, n_actions, self.branching))
        frozen = np.zeros((n_opponents, n_actions))
        own = [self.grids[0].policy(a) for a in range(n_actions)]
        for x, a in itertools.product(range(n_opponents), range(n_actions)):
            played = [own[a], *self.policies(x)]
            rewards[x, a] = self.game.returns(played)[0]
            following = self.following(played)
            corners[x, a], weights[x, a] = self._round(following)
            moved = any(np.abs(p - q).max() > 1e-12 for p, q in zip(following, played[1:], strict=True))
            frozen[x, a] = moved and self.nearest(following) == x
        return rewards, corners, weights, frozen

    def require_fit(self) -> None:
        """Raise MemoryError, naming the bytes, the limit and the mend, unless the meta-game fits this machine."""
        size = self.size_estimate()
        if size.storage == "on-the-fly" and size.seconds > LONGEST_SWEEP:
            entries = 2 * self.game.n_states
            most = int(LONGEST_SWEEP * processors() / KERNEL_SECONDS_PER_PAIR)
            table = size.pairs * self._pair_bytes
            raise MemoryError(
                f"a table of {size.pairs:,} pairs needs {table:,} bytes, above the limit of {size.limit:,} here, and "
                f"without it a sweep takes about {size.seconds / 3600:.1g} hours: choose at most "
                f"{_root(most, entries)} levels"
            )
        if size.needed > size.limit:
            require_memory(size.needed, f"the meta-game of {size.pairs:,} pairs", self._mend())

    def _mend(self) -> str:
        """Return what to choose instead of a table that does not fit."""
        most = 1
        while True:
            grids = [even_grid(self.game, player, most + 1) for player in range(self.game.n_players)]
            size = replace(self, grids=grids).size_estimate()
            if size.needed > size.limit:
                break
            most += 1
        if most > 1:
            return f"choose at most {most} levels"
        return "not even 2 levels fit, choose a game with fewer inner states, such as the one played once"

    @cached_property
    def _table(self) -> tuple[NDArray[np.float32], PolicyTable]:
        assert self.dynamics is not None
        return fill(self.dynamics, self.rounding == "nearest")

    def nearest(self, following: Sequence[Float]) -> int:
        """Return the lumped meta-state nearest to the opponents' policies, shapes (S, A_i)."""
        index = 0
        for grid, policy in zip(self.grids[1:], following, strict=True):
            index = index * grid.n_points + int(grid.nearest(policy))
        return index

    def following(self, played: Sequence[Float]) -> list[Float]:
        """Return the opponents' next policies, unrounded, given everybody's policies just played, shapes (S, A_i)."""
        return [learner.update(self.game, i, played) for i, learner in enumerate(self.opponents, start=1)]

    def corners(self, following: Sequence[Float]) -> tuple[Int, Float]:
        """Return the corners (C,) of the opponents' cells and their weights (C,); opponents are independent."""
        indices, weights = np.zeros(1, np.int64), np.ones(1)
        for grid, policy in zip(self.grids[1:], following, strict=True):
            own, share = grid.barycentric(policy)
            indices = (indices[:, None] * grid.n_points + own).ravel()
            weights = (weights[:, None] * share).ravel()
        return indices, weights

    def _round(self, following: Sequence[Float]) -> tuple[Int, Float]:
        """Return the successors (C,) and their probabilities (C,)."""
        if self.rounding == "nearest":
            return np.array([self.nearest(following)]), np.ones(1)
        return self.corners(following)

    def interpolated(self, coarser: PolicyMetaGame, values: Float) -> Float:
        """Return the values of another meta-game of the same players at this one's lumped meta-states, shape (X,).

        A solution on a coarser grid, `solve(..., initial=...)` started from it, saves sweeps over the finer one.

        Parameters
        ----------
        coarser : PolicyMetaGame
            Lumped, with the same numbers of inner states and actions.
        values : ndarray, shape (coarser.n_states,)
        """
        found = np.empty(self.n_opponent_policies)
        for x in range(len(found)):
            corners, weights = coarser.corners(self.policies(x))
            found[x] = weights @ values[corners]
        return found

    @property
    def frozen_share(self) -> float:
        """Share of pairs in which the learner moves but nearest rounding would put it back where it was."""
        if self.dynamics is None:
            return float(self._lumped[3].mean())
        return frozen_share(self.dynamics)

    def to_mdp(self) -> TabularMDP:
        """Return the meta-game as a TabularMDP.

        Lumped, the state is the opponents' policies about to be played. Joint, it is (opponents' policies, own policy)
        last played, own policy as the low digit; the opponents then play the rounding of L(last played). It is
        `observed` where one visit to a pair reveals its row (N4, T1'): whoever plays it sees L before it is rounded.
        A joint game with barycentric rounding is not, as rewards there depend on the corner that came up.

        Raises
        ------
        MemoryError
            If the table does not fit; nothing is allocated then.
        """
        self.require_fit()
        storage = self.size_estimate().storage
        if storage == "table":
            rewards32, table = self._table
            return TabularMDP(table, rewards32, self.discount, observed=True)
        if storage == "on-the-fly":
            assert self.dynamics is not None
            rows = OnTheFly(self.dynamics, self.rounding == "nearest")
            return TabularMDP(rows, reward_bounds(self.game), self.discount, observed=True)
        rewards, corners, weights, _ = self._lumped
        n_opponents, n_actions, n_corners = corners.shape
        pairs = n_opponents * n_actions
        pointers = np.arange(0, pairs * n_corners + 1, n_corners)
        lumped = sp.csr_array((weights.ravel(), corners.ravel(), pointers), shape=(pairs, n_opponents))
        lumped.sum_duplicates()
        if not self.joint:
            return TabularMDP(lumped, rewards, self.discount, observed=True)
        # After (x, a) the opponents play y with probability lumped[(x, a), y]; own policy b then leads to (y, b).
        moves = sp.coo_array(lumped)
        own = np.arange(n_actions)
        rows = (moves.row[:, None] * n_actions + own).ravel()
        columns = (moves.col[:, None] * n_actions + own).ravel()
        joint = sp.csr_array((np.repeat(moves.data, n_actions), (rows, columns)), shape=(pairs * n_actions, pairs))
        return TabularMDP(joint, lumped @ rewards, self.discount, observed=self.rounding == "nearest")


def _root(number: int, degree: int) -> int:
    """Return the largest integer whose power is at most a number."""
    root = int(number ** (1 / degree)) + 1
    while root**degree > number:
        root -= 1
    return root
