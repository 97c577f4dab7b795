"""The meta-game whose meta-states are the opponents' policies on a grid (Case I of R-FOS)."""

from __future__ import annotations

import itertools
import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Literal

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from rfos._system import checks
from rfos._system.arrays import Float, Int, floats, hand_over
from rfos._system.threads import processors
from rfos.games.stochastic import StochasticGame
from rfos.metagames.grids import BarycentricGrid
from rfos.metagames.learners import Learner, next_policy
from rfos.metagames.sizes import SizeEstimate, Sizes
from rfos.metagames.tables import (
    Dynamics,
    OnTheFly,
    PolicyTable,
    fill,
    frozen_share,
    reward_bounds,
    seconds_per_pair,
)
from rfos.planning.mdp import TabularMDP, check_discount

TIMED_PAIRS, TIMED_SLOW_PAIRS = 2000, 5
"""Pairs of which the time is taken before a table is filled, with a kernel and without."""


def _within(learner: Learner) -> bool:
    """Return whether a learner replies within the meta-step."""
    return bool(getattr(learner, "within", False))


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
        If the numbers of opponents or grids do not fit the game, a parameter is out of range, or opponents' grids
        have no barycentric weights though rounding wants them.

    Examples
    --------
    Matching Pennies once, pure policies, a learner that jumps to its better action: heads is answered by tails. The
    shaper matches every time: V* = 1/(1-0.5) = 2.

    >>> from rfos.games.named import matching_pennies
    >>> from rfos.metagames.grids import SimplexGrid
    >>> from rfos.metagames.learners import NaiveLearner
    >>> from rfos.planning.solve import solve
    >>> from rfos.games.stochastic import one_shot
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
        checks.kind("game", self.game, StochasticGame)
        check_discount(self.discount)
        object.__setattr__(self, "discount", float(self.discount))
        mend_opponents = "give one learner for each player from 1 on, such as [NaiveLearner()]"
        object.__setattr__(self, "opponents", checks.several("opponents", self.opponents, mend_opponents))
        mend = "give one grid for each player, such as [even_grid(game, i, 5) for i in range(game.n_players)]"
        object.__setattr__(self, "grids", checks.several("grids", self.grids, mend))
        if self.rounding not in ("barycentric", "nearest"):
            raise ValueError(f"rounding is {checks.shown(self.rounding)}: choose barycentric or nearest")
        if self.game.n_players < 2:
            raise ValueError("the game has one player: a meta-game needs an opponent, give a game with at least two")
        if len(self.opponents) != self.game.n_players - 1:
            raise ValueError(
                f"opponents holds {len(self.opponents)} learners, and the game has {self.game.n_players - 1} players "
                f"beside the shaper: {mend_opponents}"
            )
        if len(self.grids) != self.game.n_players:
            raise ValueError(f"{len(self.grids)} grids for {self.game.n_players} players: give one for each")
        for player, learner in enumerate(self.opponents, start=1):
            checks.offers(f"the opponent of player {player}", learner, "a learner", ("update",), checks.LEARNER)
        members = ("n_states", "n_actions", "n_points", "radius", "policy", "nearest")
        for player, grid in enumerate(self.grids):
            checks.offers(f"the grid of player {player}", grid, "a grid", members, checks.GRID)
            shape = (grid.n_states, grid.n_actions)
            expected = (self.game.n_states, self.game.n_actions[player])
            if shape != expected:
                raise ValueError(
                    f"the grid of player {player} is for (states, actions) {shape}, the game has {expected}"
                )
        if self.joint and any(map(_within, self.opponents)):
            raise ValueError(
                "joint is True and an opponent replies within the meta-step, before its policy is played: take the "
                "lumped meta-state"
            )
        if self.rounding == "barycentric":
            for player in range(1, self.game.n_players):
                self._barycentric(player)

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
    def _sizes(self) -> Sizes:
        kernel = self.dynamics is not None
        return Sizes(self.game.n_states, self.game.n_actions, kernel, self.rounding == "nearest", self.joint)

    @property
    def branching(self) -> int:
        """Largest number of successors: 1 if rounded to the nearest point, else the corners of all opponents' cells."""
        return self._sizes.branching

    @cached_property
    def dynamics(self) -> Dynamics | None:
        """The kernel form of the meta-game, or None where no kernel plays it."""
        return Dynamics.of(self.game, self.opponents[0], tuple(self.grids))

    def size_estimate(self) -> SizeEstimate:
        """Return sizes, storage and bytes, computed with Python integers before anything is allocated.

        A table is kept if it takes at most half of the memory, since other arrays want room too. The bytes are those
        of building the MDP, copies included; a solver takes a few numbers per state more.

        Examples
        --------
        Three levels for each of two players once: 9 pairs of 9 bytes, 4 for the reward, 2 for the corner, 2 for the
        step, and 1 while rewards are checked.

        >>> from rfos.metagames.learners import NaiveLearner
        >>> from rfos.metagames.sizes import even_grid, inner_game
        >>> game = inner_game("matching-pennies", 0.0)
        >>> size = PolicyMetaGame(game, [NaiveLearner()], [even_grid(game, i, 3) for i in (0, 1)], 0.9).size_estimate()
        >>> size.storage, size.pairs, size.needed
        ('table', 9, 81)
        """
        return self._sizes.of_points([grid.n_points for grid in self.grids])

    def policies(self, state: int) -> list[Float]:
        """Return the opponents' policies of a lumped state, player 1 as the highest digit, shapes (S, A_i)."""
        found = []
        for grid in reversed(self.grids[1:]):
            state, index = divmod(state, grid.n_points)
            found.append(grid.policy(index))
        return found[::-1]

    @cached_property
    def _lumped(self) -> tuple[Float, Any, float]:
        """Rewards (X, A), transitions as a matrix (X*A, X), and the share of pairs that nearest rounding freezes."""
        return self._evaluated(None)

    def _evaluated(self, progress: Callable[[int], None] | None) -> tuple[Float, Any, float]:
        self.require_fit()
        n_opponents, n_actions, n_corners = self.n_opponent_policies, self.n_actions, self.branching
        pairs = n_opponents * n_actions
        kind = np.int32 if pairs * n_corners < 2**31 else np.int64  # what scipy would copy everything to
        rewards = np.empty((n_opponents, n_actions))
        corners = np.empty((n_opponents, n_actions, n_corners), kind)
        weights = np.empty((n_opponents, n_actions, n_corners))
        frozen = 0
        own = [self.grids[0].policy(a) for a in range(n_actions)]
        for x, a in itertools.product(range(n_opponents), range(n_actions)):
            played = [own[a], *self.policies(x)]
            following = self.following(played)
            rewards[x, a] = self.returns(played, following)[0]
            corners[x, a], weights[x, a] = self.rounded(following)
            moved = any(np.abs(p - q).max() > 1e-12 for p, q in zip(following, played[1:], strict=True))
            frozen += moved and self.nearest(following) == x
            if progress is not None and a == n_actions - 1:
                progress(n_actions)
        pointers = np.arange(0, pairs * n_corners + 1, n_corners, dtype=kind)
        matrix = sp.csr_array((weights.ravel(), corners.ravel(), pointers), shape=(pairs, n_opponents))
        return rewards, matrix, frozen / pairs

    def require_fit(self) -> None:
        """Raise MemoryError, naming the bytes, the limit and what fits, unless the meta-game fits this machine."""
        self._sizes.require_fit(self.size_estimate())

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
        return [next_policy(learner, self.game, i, played) for i, learner in enumerate(self.opponents, start=1)]

    def lumped(self) -> PolicyMetaGame:
        """Return the meta-game whose state is the opponents' policies about to be played."""
        return replace(self, joint=False) if self.joint else self

    def scored(self, played: Sequence[Float], following: Sequence[Float]) -> list[Float]:
        """Return the policies that rewards of the meta-step are of, shapes (S, A_i).

        Those just played, but of an opponent that replies within the meta-step its reply, which it holds afterwards.
        """
        others = zip(self.opponents, played[1:], following, strict=True)
        return [played[0], *(after if _within(learner) else before for learner, before, after in others)]

    def returns(self, played: Sequence[Float], following: Sequence[Float]) -> Float:
        """Return everybody's normalised returns of the meta-step, shape (n_players,)."""
        return self.game.returns(self.scored(played, following))

    def corners(self, following: Sequence[Float]) -> tuple[Int, Float]:
        """Return the corners (C,) of the opponents' cells and their weights (C,); opponents are independent.

        Raises
        ------
        ValueError
            If an opponent's grid has no barycentric weights.
        """
        indices, weights = np.zeros(1, np.int64), np.ones(1)
        for player, policy in enumerate(following, start=1):
            grid = self._barycentric(player)
            own, share = grid.barycentric(policy)
            indices = (indices[:, None] * grid.n_points + own).ravel()
            weights = (weights[:, None] * share).ravel()
        return indices, weights

    def _barycentric(self, player: int) -> BarycentricGrid:
        grid: Any = self.grids[player]
        if not hasattr(grid, "barycentric"):
            raise ValueError(
                f"the grid of player {player} is a {type(grid).__name__}, which has no barycentric weights: choose "
                "rounding 'nearest' and play policies of the nearest point, or take a LevelGrid or SimplexGrid"
            )
        found: BarycentricGrid = grid
        return found

    def rounded(self, following: Sequence[Float]) -> tuple[Int, Float]:
        """Return the lumped meta-states (C,) that policies (S, A_i) are rounded to, and their probabilities (C,)."""
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

        Examples
        --------
        Matching Pennies once: between pure policies worth 0 and 2, the fair one is worth 1.

        >>> from rfos.metagames.learners import NaiveLearner
        >>> from rfos.metagames.sizes import even_grid, inner_game
        >>> game = inner_game("matching-pennies", 0.0)
        >>> coarse, fine = (
        ...     PolicyMetaGame(game, [NaiveLearner()], [even_grid(game, i, n) for i in (0, 1)], 0.9) for n in (2, 3)
        ... )
        >>> fine.interpolated(coarse, np.array([0.0, 2.0])).tolist()
        [0.0, 1.0, 2.0]
        """
        given = floats("values", values)
        if given.shape != (coarser.n_opponent_policies,):
            raise ValueError(f"values have shape {given.shape}, expected {(coarser.n_opponent_policies,)}")
        found = np.empty(self.n_opponent_policies)
        for x in range(len(found)):
            corners, weights = coarser.corners(self.policies(x))
            found[x] = weights @ given[corners]
        return found

    @property
    def frozen_share(self) -> float:
        """Share of pairs in which the learner moves but nearest rounding would put it back where it was."""
        if self.dynamics is None:
            return self._lumped[2]
        return frozen_share(self.dynamics)

    def seconds_to_fill(self) -> float:
        """Return about how many seconds `to_mdp` takes here, measured on a few pairs.

        Where there is no table (`size_estimate().storage` is "on-the-fly") that is one sweep over all pairs.
        """
        size = self.size_estimate()
        if size.storage != "sparse":
            assert self.dynamics is not None
            return seconds_per_pair(self.dynamics, self.rounding == "nearest", TIMED_PAIRS) * size.pairs / processors()
        own, n_opponents = [self.grids[0].policy(a) for a in (0, self.n_actions // 2)], self.n_opponent_policies
        began = time.perf_counter()
        for i in range(TIMED_SLOW_PAIRS):
            played = [own[i % 2], *self.policies(n_opponents * i // TIMED_SLOW_PAIRS)]
            following = self.following(played)
            self.returns(played, following)
            self.rounded(following)
        return (time.perf_counter() - began) / TIMED_SLOW_PAIRS * n_opponents * self.n_actions

    def to_mdp(self, progress: Callable[[int], None] | None = None) -> TabularMDP:
        """Return the meta-game as a TabularMDP.

        Lumped, the state is the opponents' policies about to be played. Joint, it is (opponents' policies, own policy)
        last played, own policy as the low digit; the opponents then play the rounding of L(last played). It has
        `row_feedback` where one visit to a pair reveals its row (N4, T1'): whoever plays it sees L before it is
        rounded. A joint game with barycentric rounding has none, as rewards there depend on the corner that came up.

        Parameters
        ----------
        progress : callable, optional
            Called from time to time with the number of pairs evaluated since the last call, from any thread.

        Raises
        ------
        MemoryError
            If the table does not fit; nothing is allocated then.
        """
        self.require_fit()
        storage = self.size_estimate().storage
        # Filled once: what is cached here is what the properties return.
        if storage == "table" and "_table" not in self.__dict__:
            assert self.dynamics is not None
            self.__dict__["_table"] = fill(self.dynamics, self.rounding == "nearest", progress)
        elif storage == "sparse" and "_lumped" not in self.__dict__:
            self.__dict__["_lumped"] = self._evaluated(progress)
        if storage == "table":
            rewards32, table = self._table
            return TabularMDP(hand_over(table), hand_over(rewards32), self.discount, row_feedback=True)
        if storage == "on-the-fly":
            assert self.dynamics is not None
            rows = OnTheFly(self.dynamics, self.rounding == "nearest")
            return TabularMDP(hand_over(rows), reward_bounds(self.game), self.discount, row_feedback=True)
        rewards, lumped, _ = self._lumped
        if not self.joint:
            return TabularMDP(lumped, hand_over(rewards), self.discount, row_feedback=True)
        # After (x, a) the opponents play y with probability lumped[(x, a), y]; own policy b then leads to (y, b).
        n_actions, n_corners = self.n_actions, self.branching
        pairs, size = lumped.shape[0], lumped.nnz * n_actions
        kind = np.int32 if size < 2**31 else np.int64
        own = np.arange(n_actions, dtype=kind)
        first = lumped.indices.astype(kind).reshape(pairs, 1, n_corners) * kind(n_actions)
        columns = (first + own[:, None]).ravel()
        shares = np.repeat(lumped.data.reshape(pairs, 1, n_corners), n_actions, axis=1).ravel()
        pointers = np.arange(0, size + 1, n_corners, dtype=kind)
        joint = sp.csr_array((shares, columns, pointers), shape=(pairs * n_actions, pairs))
        expected = lumped @ rewards
        return TabularMDP(joint, hand_over(expected), self.discount, row_feedback=self.rounding == "nearest")

    def known(self, values: Float) -> Float:
        """Return what each shaper's policy is worth where the opponents' policies are known, in the joint meta-game.

        The joint state holds what was last played; before they play, the opponents' policies x may be known all the
        same, as at a start. Then a is worth the reward of (x, a) + discount * the joint value of (x, a).

        Parameters
        ----------
        values : ndarray, shape (n_states,)
            Of the joint meta-states.

        Returns
        -------
        ndarray, shape (n_opponent_policies, n_actions)

        Raises
        ------
        ValueError
            If the meta-game is lumped: its states are those policies, and `TabularMDP.backup` is what is wanted.

        Examples
        --------
        Matching Pennies once, discount 0: whoever knows the opponent's pure policy earns 1 by the same, 0 by the other.

        >>> from rfos.metagames.learners import NaiveLearner
        >>> from rfos.metagames.sizes import even_grid, inner_game
        >>> game = inner_game("matching-pennies", 0.0)
        >>> pure = [even_grid(game, i, 2) for i in (0, 1)]
        >>> PolicyMetaGame(game, [NaiveLearner()], pure, 0.0, joint=True).known(np.zeros(4)).tolist()
        [[1.0, 0.0], [0.0, 1.0]]
        """
        if not self.joint:
            raise ValueError("the meta-game is lumped: use TabularMDP.backup, the opponents' policies are its states")
        rewards, given = self._lumped[0], floats("values", values)
        if given.shape != (self.n_states,):
            raise ValueError(f"values have shape {given.shape}, expected {(self.n_states,)}")
        worth: Float = rewards + self.discount * given.reshape(rewards.shape)
        return worth
