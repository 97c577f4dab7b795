"""Finite nets of inner policies: what discretised meta-states and meta-actions are.

A policy of a player with S inner states and A actions is an array of shape (S, A) whose rows are distributions. Every
grid here numbers its policies 0 .. n_points-1 and rounds any policy to one of them. Distances are

    d(φ, φ') = max over inner states s of ‖φ(·|s) - φ'(·|s)‖₁,

and `radius` is the largest distance of a policy from the point that it is rounded to (N1 and N2).

There are two roundings (N4). *Nearest* takes one grid point. *Barycentric* takes the corners of the simplex of the
Freudenthal/Kuhn triangulation that holds the policy, at most S(A-1)+1 of them, with the weights that reproduce the
policy exactly in the mean: a learner whose steps are shorter than half a cell still moves.

Sizes are computed with Python integers, or with logarithms first where those would be too long, and checked before
anything is allocated.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property
from itertools import islice, pairwise
from typing import Any, Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray

from rfos._system import checks
from rfos._system.arrays import Float, Int, array_of, floats
from rfos._system.memory import available_bytes, require_memory

MAX_POINTS = 2**63 - 1
"""Largest number of policies in a grid: indices are 64-bit integers."""

MAX_LEVELS = 100_000
"""Largest number of levels per probability."""

_MAX_SIZE = 2**31 - 1

_POINT_TOLERANCE = 1e-12


class Grid(Protocol):
    """What every grid offers; indices and policies may have leading axes."""

    @property
    def n_states(self) -> int:
        """Number of inner states."""

    @property
    def n_actions(self) -> int:
        """Number of actions."""

    @property
    def n_points(self) -> int:
        """Number of policies in the grid."""

    @property
    def radius(self) -> Fraction:
        """Largest distance of a policy from the point that it is rounded to."""

    def policy(self, index: ArrayLike) -> Float:
        """Return the policies of indices, shape (..., S, A)."""

    def nearest(self, policy: ArrayLike) -> Int:
        """Return the index of the point that a policy is rounded to, shape (...)."""


class BarycentricGrid(Grid, Protocol):
    """A grid whose cells are simplices with corners in the grid."""

    @property
    def mean_displacement(self) -> Fraction:
        """Largest expected distance of a policy from the corner drawn."""

    def index(self, policy: ArrayLike) -> Int:
        """Return the index of a policy that is in the grid, shape (...)."""

    def barycentric(self, policy: ArrayLike) -> tuple[Int, Float]:
        """Return corners and weights, both of shape (..., S(A-1)+1)."""


@dataclass(frozen=True)
class SimplexGrid:
    """All policies whose probabilities are multiples of 1/levels.

    Index: the rows' numbers are digits, first inner state the highest; a row's number is its place among all rows in
    lexicographic order, so row (0, .., 0, 1) is 0 and row (1, 0, .., 0) the last. For two actions the number is
    ``levels`` times the probability of action 0.

    Parameters
    ----------
    n_states : int
        Inner states, S.
    n_actions : int
        Actions, A.
    levels : int
        Steps k from 0 to 1, at least 1 and at most 100000; k = 1 leaves the pure policies.

    Raises
    ------
    ValueError
        If a number is below 1, or there are more than 2**63 - 1 policies; the message names the largest number of
        levels that fits.

    Examples
    --------
    Halves of three actions make C(4, 2) = 6 rows. Thirds are farthest away: |1/3-1/2| + |1/3-1/2| + |1/3-0| = 2/3.

    >>> grid = SimplexGrid(n_states=1, n_actions=3, levels=2)
    >>> grid.n_points, grid.radius
    (6, Fraction(2, 3))
    >>> grid.policy(np.arange(6))[:, 0].tolist()
    [[0.0, 0.0, 1.0], [0.0, 0.5, 0.5], [0.0, 1.0, 0.0], [0.5, 0.0, 0.5], [0.5, 0.5, 0.0], [1.0, 0.0, 0.0]]
    >>> int(grid.nearest([[0.1, 0.3, 0.6]]))
    1

    (0.25, 0.25, 0.5) lies halfway between (0, ½, ½) and (½, 0, ½):

    >>> indices, weights = grid.barycentric([[0.25, 0.25, 0.5]])
    >>> indices.tolist(), weights.tolist()
    ([1, 3, 4], [0.5, 0.5, 0.0])
    """

    n_states: int
    n_actions: int
    levels: int

    def __post_init__(self) -> None:
        """Check the sizes before anything is allocated."""
        for name in ("n_states", "n_actions", "levels"):
            object.__setattr__(self, name, _whole(name, getattr(self, name), MAX_LEVELS if name == "levels" else None))
        if _log2_points(self.n_states, self.n_actions, self.levels) > 64 or self.n_points > MAX_POINTS:
            what = f"{self.levels} levels for {self.n_states} inner states and {self.n_actions} actions"
            log10 = _log2_points(self.n_states, self.n_actions, self.levels) * math.log10(2)
            largest = largest_levels(self.n_states, self.n_actions, MAX_POINTS)
            raise ValueError(_too_many(what, log10, largest))

    @property
    def n_points(self) -> int:
        """Number of policies, C(levels+A-1, A-1)**S."""
        return int(self._row_points**self.n_states)

    @property
    def _row_points(self) -> int:
        return math.comb(self.levels + self.n_actions - 1, self.n_actions - 1)

    @property
    def radius(self) -> Fraction:
        """Exact covering radius 2r(A-r)/(Ak) with r = min(k, A//2) (N1), of rows as of policies."""
        r = min(self.levels, self.n_actions // 2)
        return Fraction(2 * r * (self.n_actions - r), self.n_actions * self.levels)

    @property
    def mean_displacement(self) -> Fraction:
        """Largest expected distance of a policy from the corner that barycentric rounding draws.

        For one inner state it is the radius. For two actions it is the radius times 2 - 1/(n/(n+1) + n'/(n'+1)), where
        n + n' = S + 1 as equal as may be: 1, 8/7, 5/4, .. up to 3/2. Else an upper bound, (A-½)/levels for even A,
        (A-1)/levels for odd, which many inner states approach; below twice the radius.
        """
        if self.n_states > 1 and self.n_actions > 2:
            twice = 2 * self.n_actions - (1 if self.n_actions % 2 == 0 else 2)
            return min(Fraction(2), Fraction(twice, 2 * self.levels))
        return _spread(self.n_states) * self.radius

    @cached_property
    def _binomials(self) -> Int:
        """Table C(n + p, p) at row p, column n, shape (A, levels+1): of p+1 parts that sum to n there are so many."""
        table = np.ones((self.n_actions, self.levels + 1), np.int64)
        for p in range(1, self.n_actions):
            np.cumsum(table[p - 1], out=table[p])
        return table

    def policy(self, index: ArrayLike) -> Float:
        """Return the policies of indices.

        Parameters
        ----------
        index : array_like of int, shape (...)
            0 to n_points - 1.

        Returns
        -------
        ndarray of float64, shape (..., S, A)
        """
        rest = _read_index(index, self.n_points)
        counts = np.empty((*rest.shape, self.n_states, self.n_actions), np.int64)
        for s in reversed(range(self.n_states)):
            rest, number = np.divmod(rest, self._row_points)
            left = np.full(rest.shape, self.levels, np.int64)
            for a in range(self.n_actions - 1):
                table = self._binomials[self.n_actions - 1 - a]
                # Rows that begin with less than c leave more than left - c: table[left] - table[left - c] of them.
                after = np.searchsorted(table, table[left] - number)
                number = number - (table[left] - table[after])
                counts[..., s, a] = left - after
                left = after
            counts[..., s, -1] = left
        result: Float = counts / self.levels
        return result

    def policies(self) -> Float:
        """Return all policies, shape (n_points, S, A).

        Raises
        ------
        MemoryError
            If they do not fit this machine; the message names the largest number of levels that fits.
        """
        per_point = 16 * self.n_states * self.n_actions + 64
        what = f"the table of all {self.n_points:,} policies with {self.levels} levels"
        _require_points(self.n_points, per_point, what, lambda n: largest_levels(self.n_states, self.n_actions, n))
        return self.policy(np.arange(self.n_points))

    def _rank(self, counts: Int) -> Int:
        """Return the index of counts (..., S, A) whose rows sum to `levels`."""
        result = np.zeros(counts.shape[:-2], np.int64)
        for s in range(self.n_states):
            number = np.zeros(counts.shape[:-2], np.int64)
            left = np.full(counts.shape[:-2], self.levels, np.int64)
            for a in range(self.n_actions - 1):
                table = self._binomials[self.n_actions - 1 - a]
                after = left - counts[..., s, a]
                number += table[left] - table[after]
                left = after
            result = result * self._row_points + number
        return result

    def _round(self, policy: Float) -> Int:
        """Return the counts of the largest-remainder rounding."""
        scaled = policy * self.levels
        whole = np.floor(scaled)
        units = self.levels - whole.sum(axis=-1, keepdims=True)
        order = np.argsort(whole - scaled, axis=-1, kind="stable")  # largest remainder first, ties by index
        rank = np.argsort(order, axis=-1)
        counts: Int = (whole + (rank < units)).astype(np.int64)
        return counts

    def nearest(self, policy: ArrayLike) -> Int:
        """Return the index of the nearest grid point, in L1 and in L2: rounding by largest remainder.

        Equal remainders: the lower action is rounded up.

        Parameters
        ----------
        policy : array_like of float, shape (..., S, A)

        Returns
        -------
        ndarray of int64, shape (...)
        """
        return self._rank(self._round(_read_policy(policy, self.n_states, self.n_actions)))

    def index(self, policy: ArrayLike) -> Int:
        """Return the index of policies in the grid, shape (...).

        Raises
        ------
        ValueError
            If a probability is further than 1e-12 from the nearest multiple of 1/levels.
        """
        given = _read_policy(policy, self.n_states, self.n_actions)
        counts = self._round(given)
        _require_point(given, counts / self.levels)
        return self._rank(counts)

    def barycentric(self, policy: ArrayLike) -> tuple[Int, Float]:
        """Return the corners of the Kuhn simplex that holds a policy, and their weights.

        The triangulation is that of the cumulative probabilities, jointly over the inner states.

        Parameters
        ----------
        policy : array_like of float, shape (..., S, A)

        Returns
        -------
        indices : ndarray of int64, shape (..., S(A-1)+1)
        weights : ndarray of float64, shape (..., S(A-1)+1)
            Non-negative, possibly 0; they sum to 1, and the mean of the corners is the policy, within rounding.
        """
        given = _read_policy(policy, self.n_states, self.n_actions)
        lead = given.shape[:-2]
        heights = np.clip(np.cumsum(given, axis=-1)[..., :-1] * self.levels, 0, self.levels)
        cells = np.minimum(np.floor(heights), self.levels - 1)
        raised, weights = _kuhn((heights - cells).reshape(*lead, -1))
        tops = cells.reshape(*lead, 1, -1).astype(np.int64) + raised
        tops = tops.reshape(*tops.shape[:-1], self.n_states, self.n_actions - 1)
        counts = np.diff(tops, axis=-1, prepend=0, append=self.levels)
        return self._rank(counts), weights


@dataclass(frozen=True)
class LevelGrid:
    """Policies for two actions whose probabilities of action 0 are taken from given levels.

    Index: the level numbers are digits, first inner state the highest.

    Parameters
    ----------
    n_states : int
        Inner states, S.
    levels : iterable of float
        Probabilities of action 0, at least two, strictly increasing, in [0, 1]. A float means the decimal that it
        prints as.

    Raises
    ------
    ValueError
        If they are not, or there are more than 2**63 - 1 policies.

    Examples
    --------
    Five numbers per player of the iterated Prisoner's Dilemma, each from five levels; policies beyond .02 and .98
    are clipped:

    >>> grid = LevelGrid(5, (0.02, 0.25, 0.5, 0.75, 0.98))
    >>> grid.n_points, grid.radius
    (3125, Fraction(1, 4))
    >>> grid = LevelGrid(1, (0.02, 0.5, 0.98))
    >>> int(grid.nearest([[0.0, 1.0]])), grid.policy(1).tolist()
    (0, [[0.5, 0.5]])

    0.38 is a quarter of the way down from 0.5 to 0.02:

    >>> indices, weights = grid.barycentric([[0.38, 0.62]])
    >>> indices.tolist(), weights.round(12).tolist()
    ([0, 1], [0.25, 0.75])
    """

    n_states: int
    levels: tuple[float, ...]

    def __post_init__(self) -> None:
        """Check the levels and the size before anything is allocated."""
        object.__setattr__(self, "n_states", _whole("n_states", self.n_states))
        given: Any = self.levels
        if not isinstance(given, Iterable) or isinstance(given, str):
            raise ValueError(f"levels is {checks.shown(given)}: give the probabilities, such as (0.02, 0.5, 0.98)")
        levels = tuple(checks.number(p) for p in islice(given, MAX_LEVELS + 1))
        object.__setattr__(self, "levels", levels)
        increasing = all(low < high for low, high in pairwise(levels))
        if not (2 <= len(levels) <= MAX_LEVELS and increasing and levels[0] >= 0 and levels[-1] <= 1):
            many = f"more than {MAX_LEVELS}" if len(levels) > MAX_LEVELS else len(levels)
            shown = levels if len(levels) <= 8 else f"{many} of them"
            raise ValueError(f"levels are 2 to {MAX_LEVELS} strictly increasing probabilities in [0, 1], not {shown}")
        if self.n_states * math.log2(len(levels)) > 64 or self.n_points > MAX_POINTS:
            what = f"{len(levels)} levels for {self.n_states} inner states"
            largest = largest_levels(self.n_states, 2, MAX_POINTS)
            log10 = self.n_states * math.log10(len(levels))
            raise ValueError(_too_many(what, log10, largest + 1 if largest else 0))

    @property
    def n_actions(self) -> int:
        """Number of actions, 2."""
        return 2

    @property
    def n_points(self) -> int:
        """Number of policies, len(levels)**S."""
        return int(len(self.levels) ** self.n_states)

    @property
    def _gap(self) -> Fraction:
        exact = [Fraction(repr(p)) for p in self.levels]
        return max(high - low for low, high in pairwise(exact))

    @property
    def radius(self) -> Fraction:
        """Exact covering radius: the widest gap, or twice what is cut off at an end if that is more."""
        return max(self._gap, 2 * Fraction(repr(self.levels[0])), 2 * (1 - Fraction(repr(self.levels[-1]))))

    @property
    def mean_displacement(self) -> Fraction:
        """Largest expected distance of a policy from the corner that barycentric rounding draws, exact.

        Between the outer levels it is as for `SimplexGrid`: g(2 - 1/h(S+1)) with g the widest gap and
        h(k) = n/(n+1) + n'/(n'+1), n + n' = k as equal as may be. Beyond them a probability is clipped. If c is the
        most that is cut off, c < g and y = 1 - c/g, one clipped entry and S-1 spread ones make 2c + g y² h(S-1),
        which is the larger where y h(S-1) <= 1. From c = g on it is 2c.

        Proof: A clipped entry is always 2c away; what matters of the other k = S-1 are their places in cells, of the
        widest gap at worst. Corners rise at one uniform threshold, so sorted places 0 = f_0 <= .. <= f_{k+1} = 1 make
        the mean 2g Σ (f_{i+1}-f_i) max(c/g, f_i, 1-f_{i+1}). With n' intervals on the left that count by 1-f_{i+1},
        n on the right by f_i, n + n' = k, and one of c/g between them, equal pieces are best; the left ones gain
        z y - z²(n'+1)/(2n') over c/g, most at z = y n'/(n'+1), and so do the right ones. Where both do not fit into
        [0, 1], no interval of c/g is left, and S spread entries are no worse.

        Examples
        --------
        Two entries, c = 0.3 and g = 0.4: y = 1/4, 0.6 + 0.4/16/2. Without clipping it would be 8/7 of 0.4:

        >>> LevelGrid(2, (0.3, 0.7)).mean_displacement, LevelGrid(2, (0, 0.4, 0.8, 1)).mean_displacement
        (Fraction(49, 80), Fraction(16, 35))
        """
        gap, share = self._gap, _shares(self.n_states - 1)
        cut = max(Fraction(repr(self.levels[0])), 1 - Fraction(repr(self.levels[-1])))
        left = max(1 - cut / gap, Fraction(0))
        clipped = 2 * cut + gap * left**2 * share if left * share <= 1 else Fraction(0)
        return max(_spread(self.n_states) * gap, clipped)

    @property
    def values(self) -> Float:
        """The levels as an array, shape (L,), as the kernels take them."""
        return np.array(self.levels)

    @property
    def strides(self) -> Int:
        """What one level up in each inner state adds to the index, shape (S,)."""
        return np.array([len(self.levels) ** (self.n_states - 1 - s) for s in range(self.n_states)], np.int64)

    def policy(self, index: ArrayLike) -> Float:
        """Return the policies of indices (...), shape (..., S, 2)."""
        numbers = _read_index(index, self.n_points)[..., None] // self.strides % len(self.levels)
        first = self.values[numbers]
        return np.stack([first, 1.0 - first], axis=-1)

    def policies(self) -> Float:
        """Return all policies, shape (n_points, S, 2).

        Raises
        ------
        MemoryError
            If they do not fit this machine; the message names the largest number of levels that fits.
        """
        what = f"the table of all {self.n_points:,} policies with {len(self.levels)} levels"
        per_point = 48 * self.n_states + 16
        _require_points(self.n_points, per_point, what, lambda n: largest_levels(self.n_states, 2, n) + 1)
        return self.policy(np.arange(self.n_points))

    def _locate(self, policy: ArrayLike) -> tuple[Int, Float]:
        """Return cells and fractions (..., S) of the clipped policies."""
        p = _read_policy(policy, self.n_states, 2)[..., 0]
        cells = np.clip(np.searchsorted(self.values, p, side="right") - 1, 0, len(self.levels) - 2)
        low = self.values[cells]
        return cells, np.clip((p - low) / (self.values[cells + 1] - low), 0.0, 1.0)

    def nearest(self, policy: ArrayLike) -> Int:
        """Return the index of the nearest grid point, ties to the higher level, as `SimplexGrid` has it.

        Parameters
        ----------
        policy : array_like of float, shape (..., S, 2)

        Returns
        -------
        ndarray of int64, shape (...)
        """
        p = _read_policy(policy, self.n_states, 2)[..., 0]
        cells, _ = self._locate(policy)
        upper = p - self.values[cells] >= self.values[cells + 1] - p
        result: Int = ((cells + upper) * self.strides).sum(axis=-1)
        return result

    def index(self, policy: ArrayLike) -> Int:
        """Return the index of policies in the grid, shape (...).

        Raises
        ------
        ValueError
            If a probability is further than 1e-12 from the nearest level.
        """
        result = self.nearest(policy)
        _require_point(_read_policy(policy, self.n_states, 2), self.policy(result))
        return result

    def barycentric(self, policy: ArrayLike) -> tuple[Int, Float]:
        """Return the corners of the Kuhn simplex that holds a policy, and their weights.

        Parameters
        ----------
        policy : array_like of float, shape (..., S, 2)
            Probabilities outside the levels are clipped to them first.

        Returns
        -------
        indices : ndarray of int64, shape (..., S+1)
        weights : ndarray of float64, shape (..., S+1)
            Non-negative, possibly 0; they sum to 1, and the mean of the corners is the clipped policy, within
            rounding.
        """
        cells, fractions = self._locate(policy)
        raised, weights = _kuhn(fractions)
        indices: Int = ((cells[..., None, :] + raised) * self.strides).sum(axis=-1)
        return indices, weights


@dataclass(frozen=True)
class CubeGrid:
    """Cell centres of the unit cube of all S·A probabilities, rows projected on the simplex (N2, the paper's style).

    Centres are not policies; `policy` returns their Euclidean projections, of which many coincide, so that there is no
    index of a policy. The pure policies are missing, and so there is no barycentric rounding.
    Index: the S·A cell numbers are digits, first inner state and first action the highest.

    Parameters
    ----------
    n_states : int
        Inner states, S.
    n_actions : int
        Actions, A.
    cells : int
        Cells per axis, q.

    Raises
    ------
    ValueError
        If a number is below 1, or there are more than 2**63 - 1 cells.

    Examples
    --------
    >>> grid = CubeGrid(n_states=1, n_actions=2, cells=4)
    >>> grid.n_points, grid.radius
    (16, Fraction(1, 4))

    The centre (0.375, 0.875) is no policy; its projection is:

    >>> int(grid.nearest([[0.3, 0.7]])), grid.policy(6).tolist()
    (6, [[0.375, 0.625]])
    """

    n_states: int
    n_actions: int
    cells: int

    def __post_init__(self) -> None:
        """Check the sizes before anything is allocated."""
        for name in ("n_states", "n_actions", "cells"):
            object.__setattr__(self, name, _whole(name, getattr(self, name), MAX_LEVELS if name == "cells" else None))
        dimension = self.n_states * self.n_actions
        if dimension * math.log2(self.cells) > 64 or self.n_points > MAX_POINTS:
            what = f"{self.cells} cells per axis for {self.n_states} inner states and {self.n_actions} actions"
            largest = min(largest_levels(dimension, 2, MAX_POINTS) + 1, MAX_LEVELS)
            raise ValueError(_too_many(what, dimension * math.log10(self.cells), largest, "cells per axis"))

    @classmethod
    def with_l2_radius(cls, n_states: int, n_actions: int, radius: float | Fraction | str) -> CubeGrid:
        """Return the grid with the fewest cells of L2 radius `radius`: q = ⌈√(SA)/(2 radius)⌉ (N2).

        Examples
        --------
        √4/(2·0.3) = 3.33:

        >>> CubeGrid.with_l2_radius(2, 2, 0.3).cells
        4
        """
        alpha = _read_radius(radius)
        needed = _whole("n_states", n_states) * _whole("n_actions", n_actions) / (4 * alpha * alpha)  # q**2 at least
        return cls(n_states, n_actions, math.isqrt(math.ceil(needed) - 1) + 1)

    @property
    def n_points(self) -> int:
        """Number of cells, q**(S·A)."""
        return int(self.cells ** (self.n_states * self.n_actions))

    @property
    def radius(self) -> Fraction:
        """Upper bound 2⌊A/2⌋⌈A/2⌉/(Aq) of the distance of a policy from its cell's policy; at most N2's A/(2q)."""
        half = self.n_actions // 2
        return Fraction(2 * half * (self.n_actions - half), self.n_actions * self.cells)

    def centre(self, index: ArrayLike) -> Float:
        """Return the centres of cells (...), shape (..., S, A); their rows need not sum to 1."""
        rest = _read_index(index, self.n_points)
        numbers = np.empty((*rest.shape, self.n_states * self.n_actions))
        for i in reversed(range(numbers.shape[-1])):
            rest, numbers[..., i] = np.divmod(rest, self.cells)
        return ((numbers + 0.5) / self.cells).reshape(*rest.shape, self.n_states, self.n_actions)

    def policy(self, index: ArrayLike) -> Float:
        """Return the centres of cells (...) with their rows projected on the simplex, shape (..., S, A)."""
        return project(self.centre(index))

    def nearest(self, policy: ArrayLike) -> Int:
        """Return the index of the cell that holds a policy (upper cell on a boundary), shape (...)."""
        given = _read_policy(policy, self.n_states, self.n_actions)
        numbers = np.clip(np.floor(given * self.cells), 0, self.cells - 1).astype(np.int64)
        result = np.zeros(given.shape[:-2], np.int64)
        for i in range(self.n_states * self.n_actions):
            result = result * self.cells + numbers[..., i // self.n_actions, i % self.n_actions]
        return result


def levels_for(n_actions: int, radius: float | Fraction | str) -> int:
    """Return the fewest levels of a simplex grid with covering radius at most `radius` (N3).

    Parameters
    ----------
    n_actions : int
        Actions A, at least 1.
    radius : float, Fraction or str
        L1 radius, greater than 0; a float means the decimal that it prints as.

    Examples
    --------
    Two actions: the radius is 1/k. Six actions, one level: 2·1·5/6 = 5/3.

    >>> levels_for(2, 0.1), levels_for(6, "5/3"), levels_for(1, 0.1)
    (10, 1, 1)
    """
    n, alpha = _whole("n_actions", n_actions), _read_radius(radius)
    half = n // 2
    coarse = math.ceil(n * (1 - alpha / 2))
    return max(1, coarse if coarse <= half else math.ceil(Fraction(2 * half * (n - half), n) / alpha))


def largest_levels(n_states: int, n_actions: int, max_points: int) -> int:
    """Return the largest number of levels of a `SimplexGrid` with at most `max_points` policies, at most 100000.

    0 if even the pure policies are more.

    Examples
    --------
    11 levels have 12**5 = 248832 points, 12 have 13**5 = 371293:

    >>> largest_levels(5, 2, 300_000)
    11
    """
    n_states, n_actions = checks.whole("n_states", n_states), _whole("n_actions", n_actions)
    max_points = checks.whole("max_points", max_points, 0)
    low, high = 0, MAX_LEVELS
    room = math.log2(max_points) if max_points > 0 else -1.0
    while low < high:
        middle = (low + high + 1) // 2
        fits = _log2_points(n_states, n_actions, middle) <= room + 1
        if fits and math.comb(middle + n_actions - 1, n_actions - 1) ** n_states <= max_points:
            low = middle
        else:
            high = middle - 1
    return low


def logit_levels(n_levels: int, lowest: float) -> tuple[float, ...]:
    """Return probabilities with equal steps of the logit ln(p/(1-p)), from `lowest` to 1 - `lowest`.

    Parameters
    ----------
    n_levels : int
        At least 2.
    lowest : float
        In (0, ½).

    Examples
    --------
    The odds 1/9, 1/3, 1, 3, 9:

    >>> [round(p, 12) for p in logit_levels(5, 0.1)]
    [0.1, 0.25, 0.5, 0.75, 0.9]
    """
    n = _whole("n_levels", n_levels, MAX_LEVELS)
    if n < 2 or not 0 < checks.number(lowest) < 0.5:
        shown = checks.shown(lowest)
        raise ValueError(f"logit levels need n_levels >= 2 and 0 < lowest < 1/2, not {n_levels} and {shown}")
    top = math.log((1 - lowest) / lowest)
    lower = [lowest, *(1 / (1 + math.exp(top * (1 - 2 * i / (n - 1)))) for i in range(1, n // 2))]
    middle = [0.5] if n % 2 else []
    return (*lower, *middle, *(1 - p for p in reversed(lower)))


def project(rows: ArrayLike) -> Float:
    """Return the Euclidean projection of rows on the probability simplex, shape (..., A).

    Examples
    --------
    >>> project([0.375, 0.875]).tolist(), project([2.0, 0.0, 0.5]).tolist()
    ([0.25, 0.75], [1.0, 0.0, 0.0])
    """
    x = floats("rows", rows)
    if x.ndim == 0 or x.shape[-1] == 0 or not np.isfinite(x).all():
        raise ValueError(f"rows are {checks.shown(rows)}: give finite numbers, shape (..., A) with A at least 1")
    descending = -np.sort(-x, axis=-1)
    excess = np.cumsum(descending, axis=-1) - 1.0
    support = (descending * np.arange(1, x.shape[-1] + 1) > excess).sum(axis=-1, keepdims=True)
    shift = np.take_along_axis(excess, support - 1, axis=-1) / support
    result: Float = np.maximum(x - shift, 0.0)
    return result


def _kuhn(fractions: Float) -> tuple[NDArray[np.bool_], Float]:
    """Return which coordinates each corner has raised, (..., D+1, D), and the corners' weights (..., D+1)."""
    dimension = fractions.shape[-1]
    backwards = np.argsort(-fractions[..., ::-1], axis=-1, kind="stable")  # largest first, ties later one first
    order = dimension - 1 - backwards
    rank = np.argsort(order, axis=-1)
    raised = rank[..., None, :] < np.arange(dimension + 1)[:, None]
    ends = np.ones((*fractions.shape[:-1], 1))
    steps = np.concatenate([ends, np.take_along_axis(fractions, order, axis=-1), 0 * ends], axis=-1)
    return raised, steps[..., :-1] - steps[..., 1:]


def _shares(n_pieces: int) -> Fraction:
    """Return n/(n+1) + n'/(n'+1) with n + n' = n_pieces as equal as may be."""
    low, high = n_pieces // 2, (n_pieces + 1) // 2
    return Fraction(low, low + 1) + Fraction(high, high + 1)


def _spread(n_states: int) -> Fraction:
    """Return the largest mean of max_s 2|corner - x| over x in a unit cube: 1, 8/7, 5/4, .. up to 3/2."""
    return 2 - 1 / _shares(n_states + 1)


def _log2_points(n_states: int, n_actions: int, levels: int) -> float:
    """Return log2 of the number of policies, within rounding."""
    row = math.lgamma(levels + n_actions) - math.lgamma(levels + 1) - math.lgamma(n_actions)
    return math.inf if n_states.bit_length() > 1000 else n_states * row / math.log(2)


def _too_many(what: str, log10: float, largest: int, unit: str = "levels") -> str:
    mend = f"the largest grid has {largest} {unit}" if largest else "no grid of so many inner states fits"
    return f"{what} means 10^{log10:.1f} policies, above the limit of {MAX_POINTS}: {mend}"


def _whole(name: str, value: object, limit: int | None = None) -> int:
    """Return a count as a Python int."""
    return checks.whole(name, value, 1, _MAX_SIZE if limit is None else limit)


def _read_radius(radius: float | Fraction | str) -> Fraction:
    try:
        alpha = Fraction(repr(float(radius)) if isinstance(radius, float) else radius)
    except (ValueError, TypeError, ZeroDivisionError, OverflowError):
        alpha = Fraction(0)
    if alpha <= 0 or isinstance(radius, bool):
        raise ValueError(f'radius is {checks.shown(radius)}: give a number greater than 0, such as 0.1 or "1/10"')
    return alpha


def _read_index(index: ArrayLike, n_points: int) -> Int:
    given = array_of("index", index)
    if given.dtype.kind not in "iu" or (given.size and (given.min() < 0 or given.max() >= n_points)):
        raise ValueError(f"grid indices are integers from 0 to {n_points - 1}, got {checks.shown(index)}")
    return given.astype(np.int64)


def _read_policy(policy: ArrayLike, n_states: int, n_actions: int) -> Float:
    given = floats("a policy", policy)
    if given.shape[-2:] != (n_states, n_actions):
        raise ValueError(f"a policy has last axes (states, actions) = {(n_states, n_actions)}, not shape {given.shape}")
    bad = ~checks.are_distributions(given)
    if bad.any():
        row = tuple(int(i) for i in np.argwhere(bad)[0])
        raise ValueError(
            f"the probabilities in row {row} of the policy are {given[row].tolist()}: "
            "they must be at least 0 and sum to 1"
        )
    return given


def _require_point(given: Float, nearest: Float) -> None:
    bad = np.abs(given - nearest).max(axis=-1) > _POINT_TOLERANCE
    if bad.any():
        row = tuple(int(i) for i in np.argwhere(bad)[0])
        raise ValueError(
            f"row {row} of the policy, {given[row].tolist()}, is not in the grid; "
            f"the nearest is {nearest[row].tolist()}: round with nearest() or barycentric()"
        )


def _require_points(n_points: int, per_point: int, what: str, largest: Callable[[int], int]) -> None:
    """Refuse a table of all policies that does not fit; `largest` tells the levels for a number of points."""
    mend = f"ask for policies one by one, or take at most {largest(available_bytes() // per_point)} levels"
    require_memory(n_points * per_point, what, mend)
