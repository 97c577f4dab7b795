"""Statements on grids of policies (N1 to N4)."""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass, replace
from fractions import Fraction

import numpy as np

from bounds import grids as theory
from rfos._system.arrays import Float
from rfos.games.normal_form import NormalFormGame
from rfos.games.stochastic import one_shot
from rfos.laboratory.verification.engine import Sides, Statement
from rfos.metagames.grids import CubeGrid, SimplexGrid
from rfos.metagames.learners import NaiveLearner

ROUNDING = 1e-12
"""What statements of equality allow."""


def distance(x: Float, y: Float) -> Float:
    """d(φ, φ') = max over inner states of the L1 distance, shapes (..., S, A)."""
    result: Float = np.abs(x - y).sum(axis=-1).max(axis=-1)
    return result


# Counts and radii ---------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Point:
    """A point of a simplex and the levels of the grid."""

    x: Float
    levels: int
    label: str


def _sample_point(rng: np.random.Generator) -> Point:
    size, levels = int(rng.integers(1, 6)), int(rng.integers(1, 7))
    x = rng.dirichlet(np.full(size, float(rng.choice([0.3, 1.0, 10.0]))))
    return Point(x, levels, f"{size} actions, {levels} levels")


def _deep_hole(size: int, levels: int) -> Point:
    """Fractional parts r/A in every entry, r = min(k, ⌊A/2⌋): N1 is an equality."""
    r = min(levels, size // 2)
    x = np.full(size, r / size)
    x[0] += levels - r
    return Point(x / levels, levels, f"deep hole, {size} actions, {levels} levels")


HOLES = tuple(_deep_hole(size, levels) for size in (2, 3, 5, 6) for levels in (1, 2, 5))


def _n1(point: Point, mutant: bool) -> Sides:
    """By brute force over the whole grid."""
    size, k = len(point.x), point.levels
    grid = np.array([w for w in itertools.product(range(k + 1), repeat=size) if sum(w) == k]) / k
    claimed = theory.n1().evaluate(inner_states=1, inner_actions=size, levels=k)
    assert len(grid) == claimed["points"], "N1 counts the points of the grid"
    right = float(claimed["radius"])
    return Sides(float(np.abs(grid - point.x).sum(axis=1).min()), right / 2 if mutant else right)


@dataclass(frozen=True)
class GridCell:
    """A policy (S, A), cells per axis, and the L2 radius for which they are enough."""

    policy: Float
    cells: int
    radius: Fraction
    label: str


def _sample_cell(rng: np.random.Generator) -> GridCell:
    n, size = int(rng.integers(1, 4)), int(rng.integers(1, 5))
    policy = rng.dirichlet(np.full(size, float(rng.choice([0.3, 1.0, 10.0]))), n)
    radius = Fraction(int(rng.integers(4, 41)), 20)
    cells = CubeGrid.with_l2_radius(n, size, radius).cells
    return GridCell(policy, cells, radius, f"{n} states, {size} actions, L2 radius {float(radius):g}")


def _corner(n: int, size: int, cells: int) -> GridCell:
    """Probabilities that are multiples of 1/q, with √D/(2q) rational: the centre is half a diagonal away."""
    row = np.zeros(size)
    row[0], row[-1] = (cells - 1) / cells, 1 / cells
    radius = Fraction(math.isqrt(n * size), 2 * cells)
    return GridCell(np.tile(row, (n, 1)), cells, radius, f"corner of a cell, {n} states, {size} actions, {cells} cells")


def _edge(size: int, cells: int) -> GridCell:
    """Just inside a cell, half of the entries above its centre and half below: the projected centre is farthest."""
    low = (size + 1) // 2
    numbers = np.zeros(size)
    numbers[0] = cells - low
    place = np.where(np.arange(size) < low, 1 - 1e-9, 1e-9 * low / max(size - low, 1))
    label = f"edge of a cell, {size} actions, {cells} cells"
    return GridCell(((numbers + place) / cells)[None], cells, Fraction(2), label)


def _n2(cell: GridCell, mutant: bool) -> Sides:
    """L2 distance from the centre of the cell that holds the policy."""
    n, size = cell.policy.shape
    cells = math.ceil(Fraction(1, 2) / cell.radius) if mutant else cell.cells
    grid = CubeGrid(n, size, cells)
    claimed = theory.n2("l2").points.evaluate(inner_states=n, inner_actions=size, radius=cell.radius)
    assert mutant or grid.n_points == claimed, "N2 counts the cells"
    gap = grid.centre(grid.nearest(cell.policy)) - cell.policy
    return Sides(float(np.sqrt((gap**2).sum())), float(cell.radius))


def _n2_projected(cell: GridCell, mutant: bool) -> Sides:
    """Distance d from the projected centre."""
    n, size = cell.policy.shape
    grid = CubeGrid(n, size, cell.cells)
    claimed = theory.n2().evaluate(inner_states=n, inner_actions=size, cells=cell.cells)
    near = grid.nearest(cell.policy)
    right = float(claimed["projected"])
    assert float(distance(grid.centre(near), cell.policy)) <= float(claimed["radius"]) + ROUNDING
    return Sides(float(distance(grid.policy(near), cell.policy)), right / 2 if mutant else right)


@dataclass(frozen=True)
class Radius:
    """A radius to be reached with rows of so many actions."""

    n_actions: int
    radius: Fraction
    label: str


def _radius(n_actions: int, radius: Fraction) -> Radius:
    return Radius(n_actions, radius, f"{n_actions} actions, radius {radius}")


def _sample_radius(rng: np.random.Generator) -> Radius:
    return _radius(int(rng.integers(1, 9)), Fraction(int(rng.integers(1, 101)), 50))


def _n3(case: Radius, mutant: bool) -> Sides:
    """The larger of: radius of the k levels over α, and k over the fewest levels that do."""
    at = {"inner_states": 1, "inner_actions": case.n_actions}
    k = int(theory.n3().levels.evaluate(**at, radius=case.radius))
    if mutant:
        half = case.n_actions // 2
        k = math.ceil(Fraction(2 * half * (case.n_actions - half), case.n_actions) / case.radius)
    fewest = next(j for j in itertools.count(1) if theory.n1().radius.evaluate(**at, levels=j) <= case.radius)
    reached = Fraction(theory.n1().radius.evaluate(**at, levels=max(k, 1))) / case.radius
    return Sides(max(float(reached), k / fewest, fewest / max(k, 1)), 1.0)


# Roundings ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Rounding:
    """A policy (S, A) to be rounded on a simplex grid."""

    policy: Float
    levels: int
    label: str

    @property
    def grid(self) -> SimplexGrid:
        """The grid."""
        return SimplexGrid(len(self.policy), self.policy.shape[1], self.levels)


def _sample_rounding(rng: np.random.Generator) -> Rounding:
    n, size, levels = (int(i) for i in rng.integers((1, 1, 1), (5, 5, 7)))
    policy = rng.dirichlet(np.full(size, float(rng.choice([0.3, 1.0, 10.0]))), n)
    return Rounding(policy, levels, f"{n} states, {size} actions, {levels} levels")


def _spread_out(n_states: int, levels: int) -> Rounding:
    """Two actions, the fractional parts of the inner states so placed that the mean displacement is largest."""
    upper, lower = (n_states + 1) // 2, (n_states + 2) // 2
    a, b = 1 + 1 / upper, 1 + 1 / lower
    cut = a / (a + b)
    above = [cut + (1 - cut) * i / upper for i in range(upper)]
    below = [cut * i / lower for i in range(1, lower)]
    first = np.array(above + below) / levels
    label = f"fractional parts spread out, {n_states} states, 2 actions, {levels} levels"
    return Rounding(np.stack([first, 1 - first], axis=1), levels, label)


def _n4(case: Rounding, mutant: bool) -> Sides:
    """Expected distance from the corner drawn."""
    corners, weights = case.grid.barycentric(case.policy)
    n, size = case.policy.shape
    claimed = theory.n4().evaluate(inner_states=n, inner_actions=size, levels=case.levels)
    assert len(corners) == claimed["branching"], "N4 counts the corners"
    right = float(case.grid.radius) if mutant else float(claimed["displacement"])
    return Sides(float(weights @ distance(case.grid.policy(corners), case.policy)), right)


def _n4_mean(case: Rounding, mutant: bool) -> Sides:
    """Distance of the mean corner from the policy; the mutant: of the nearest point."""
    corners, weights = case.grid.barycentric(case.policy)
    mean = np.tensordot(weights, case.grid.policy(corners), 1)
    if mutant:
        mean = case.grid.policy(case.grid.nearest(case.policy))
    return Sides(float(distance(mean, case.policy)), ROUNDING)


@dataclass(frozen=True)
class ShortStep:
    """Payoffs (A_0, 2) of a learner that takes projected gradient steps, its step size, and the grid's levels."""

    payoffs: Float
    step: float
    levels: int
    label: str


def _short_step(payoffs: Float, step: float, levels: int) -> ShortStep:
    return ShortStep(payoffs, step, levels, f"{len(payoffs)} own actions, step {step:.4g}, {levels} levels")


def _sample_step(rng: np.random.Generator) -> ShortStep:
    payoffs = rng.uniform(-1, 1, (int(rng.integers(1, 4)), 2))
    levels = int(rng.integers(1, 11))
    longest = 1 / (levels * np.abs(np.diff(payoffs)).max())
    return _short_step(payoffs, float(longest * rng.uniform(0.1, 0.999)), levels)


def _n4_frozen(case: ShortStep, mutant: bool) -> Sides:
    """How far nearest rounding lets the learner move, over all its grid policies and all pure actions of the shaper."""
    case = replace(case, levels=2 * case.levels) if mutant else case
    payoffs = np.stack([np.zeros_like(case.payoffs), case.payoffs])
    game, grid = one_shot(NormalFormGame(payoffs)), SimplexGrid(1, 2, case.levels)
    learner, moved = NaiveLearner(case.step, "simplex"), 0.0
    for own, policy in itertools.product(np.eye(len(case.payoffs)), grid.policies()):
        following = grid.policy(grid.nearest(learner.update(game, 1, [own[None], policy])))
        moved = max(moved, float(distance(following, policy)))
    return Sides(moved, 0.0)


_PENNIES = np.array([[0.0, 1.0], [1.0, 0.0]])

GRIDS = (
    Statement(
        "N1",
        "covering radius of the simplex grid",
        latex=r"\min_{g}\|g-x\|_1 \le \frac{2r(A-r)}{Ak},\ r=\min(k,\lfloor A/2\rfloor)",
        assumptions=("up to 5 actions and 6 levels, nearest point by brute force",),
        sample=_sample_point,
        sides=_n1,
        mutant="a constant halved",
        extremal=HOLES,
        share=0.5,
        attained=True,
    ),
    Statement(
        "N2",
        "L2 radius of the cube grid",
        latex=r"\|c-\varphi\|_2 \le \alpha,\ q=\lceil\sqrt D/(2\alpha)\rceil,\ q^D\text{ points}",
        assumptions=("the centre of the cell that holds the policy", "up to 3 states and 4 actions"),
        sample=_sample_cell,
        sides=_n2,
        mutant="the factor √D dropped",
        extremal=tuple(_corner(n, size, q) for n, size, q in ((1, 4, 3), (2, 2, 5), (3, 3, 2))),
        attained=True,
    ),
    Statement(
        "N2, projected",
        "radius of the cube grid in d, rows projected on the simplex",
        latex=r"d(\mathrm{proj}\,c,\varphi) \le 2\kappa_A/q",
        assumptions=("the centre of the cell that holds the policy", "up to 3 states and 4 actions"),
        sample=_sample_cell,
        sides=_n2_projected,
        mutant="a constant halved",
        extremal=tuple(_edge(size, q) for size in (2, 3, 4) for q in (3, 5)),
        attained=True,
    ),
    Statement(
        "N3",
        "fewest levels for a radius",
        latex=r"k(\alpha) = \min\{k:\ 2r(A-r)/(Ak) \le \alpha\}",
        assumptions=(
            "up to 8 actions, radii in fiftieths",
            "the left side is the larger of k over that and the radius over α",
        ),
        sample=_sample_radius,
        sides=_n3,
        mutant="⌈2κ/α⌉ for every α",
        extremal=(_radius(6, Fraction(5, 3)), _radius(1, Fraction(1, 2)), _radius(2, Fraction(1, 10))),
        share=0.2,
        attained=True,
    ),
    Statement(
        "N4",
        "mean displacement of barycentric rounding",
        latex=r"\mathbb E\,d(\varphi,g) \le "
        r"\alpha\left[2-\left(\tfrac{n}{n+1}+\tfrac{n'}{n'+1}\right)^{-1}\right],\ A=2",
        assumptions=("|S|(A-1)+1 corners", "α for one inner state, min(2,(A-½)/k) or min(2,(A-1)/k) for A > 2"),
        sample=_sample_rounding,
        sides=_n4,
        mutant="the radius α for any number of inner states",
        extremal=(
            *(_spread_out(n, k) for n in (1, 2, 3, 5) for k in (1, 4)),
            *(Rounding(hole.x[None], hole.levels, hole.label) for hole in HOLES),
        ),
        attained=True,
    ),
    Statement(
        "N4, mean",
        "barycentric rounding keeps the mean",
        latex=r"\sum_g w_g\,g = \varphi",
        assumptions=("the right side is rounding",),
        sample=_sample_rounding,
        sides=_n4_mean,
        mutant="the nearest point for the mean of the corners",
    ),
    Statement(
        "N4, frozen",
        "nearest rounding freezes short steps",
        latex=r"k < \frac{1}{\eta\max|u_0-u_1|}\ \Rightarrow\ \mathrm{proj}\,L(a,\psi)=\psi",
        assumptions=(
            "projected gradient steps, two actions; Matching Pennies: k < 1/η",
            "all grid policies, all pure own actions",
        ),
        sample=_sample_step,
        sides=_n4_frozen,
        mutant="twice as many levels",
        extremal=(_short_step(_PENNIES, 0.2, 4), _short_step(_PENNIES, 0.0999, 10)),
        share=0.1,
    ),
)
