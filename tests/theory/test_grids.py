"""N1 to N4: counts, covering radii and roundings of grids of policies, against brute force."""

import itertools
import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rfos.metagames.grids import CubeGrid, LevelGrid, SimplexGrid, levels_for
from rfos.testing import distributions


def compositions(total, parts):
    """All rows of `parts` whole numbers that sum to `total`."""
    return np.array([row for row in itertools.product(range(total + 1), repeat=parts) if sum(row) == total])


def distance(first, second):
    """max over inner states of the L1 distance."""
    return np.abs(np.asarray(first) - second).sum(axis=-1).max(axis=-1)


def brute_force_radius(n_actions, levels):
    """The largest L1 distance from the grid among the rows that are multiples of 1/(2 A levels), as a Fraction."""
    unit = 2 * n_actions
    points = compositions(levels, n_actions) * unit
    rows = compositions(levels * unit, n_actions)
    nearest = np.full(len(rows), 10**9)
    for point in points:
        nearest = np.minimum(nearest, np.abs(rows - point).sum(axis=1))
    return Fraction(int(nearest.max()), levels * unit)


SMALL = [(1, 1), (1, 3), (2, 1), (2, 2), (2, 5), (3, 1), (3, 2), (3, 3), (4, 1), (4, 2), (5, 1)]


@pytest.mark.parametrize(("n_actions", "levels"), SMALL)
def test_n1_radius_is_exact(n_actions, levels):
    """N1: the covering radius is 2r(A-r)/(Ak), r = min(k, ⌊A/2⌋), reached at rows with fractional parts r/A."""
    assert SimplexGrid(1, n_actions, levels).radius == brute_force_radius(n_actions, levels)


def test_n1_radius_for_few_levels_is_not_the_one_for_many():
    """A = 6, k = 1: 5/3, not 2κ/k = 3, which no two distributions are apart."""
    assert SimplexGrid(1, 6, 1).radius == Fraction(5, 3)


@given(st.integers(1, 5), st.integers(1, 6), st.data())
def test_n1_count_and_largest_remainder(n_actions, levels, data):
    """N1: C(k+A-1, A-1) points; largest-remainder rounding is nearest in L1 and in L2 and within the radius."""
    grid = SimplexGrid(1, n_actions, levels)
    points = compositions(levels, n_actions)
    assert grid.n_points == len(points)
    row = np.array(data.draw(distributions(n_actions)))  # sixteenths, so that distances are exact
    error = np.abs(16 * points - 16 * levels * row)
    chosen = np.abs(16 * np.rint(levels * grid.policy(grid.nearest([row]))) - 16 * levels * row)
    assert chosen.sum() == error.sum(axis=1).min()
    assert (chosen**2).sum() == (error**2).sum(axis=1).min()
    assert Fraction(int(chosen.sum()), 16 * levels) <= grid.radius


@st.composite
def grids_and_policies(draw, max_states=4, max_actions=5, clipping=False):
    """A simplex or level grid, and a policy that need not be exact; with `clipping` levels may leave out 0 and 1."""
    n_states = draw(st.integers(1, max_states))
    if draw(st.booleans()):
        between = draw(st.sets(st.integers(1, 31), min_size=2 * clipping, max_size=4))
        levels = sorted(between if clipping else {0, *between, 32})
        grid = LevelGrid(n_states, [k / 32 for k in levels])
    else:
        grid = SimplexGrid(n_states, draw(st.integers(1, max_actions)), draw(st.integers(1, 7)))
    exact = draw(st.booleans())
    return grid, np.array([draw(distributions(grid.n_actions, exact=exact)) for _ in range(n_states)])


@given(grids_and_policies())
def test_n1_nearest_policies_are_within_the_radius(case):
    """d(φ, nearest) <= radius, the same for all numbers of inner states."""
    grid, policy = case
    assert distance(grid.policy(grid.nearest(policy)), policy) <= float(grid.radius) + 1e-12


@given(st.integers(1, 3), st.integers(1, 4), st.fractions(min_value="1/10", max_value=2, max_denominator=50))
def test_n2_cells_are_the_fewest_for_an_l2_radius(n_states, n_actions, alpha):
    """N2: q = ⌈√D/(2α)⌉: half a cell's diagonal is at most α, and with one cell fewer it is more."""
    dimension = n_states * n_actions
    q = CubeGrid.with_l2_radius(n_states, n_actions, alpha).cells
    assert CubeGrid(n_states, n_actions, q).n_points == q**dimension
    assert dimension <= (2 * q * alpha) ** 2
    assert q == 1 or dimension > (2 * (q - 1) * alpha) ** 2


@given(st.integers(1, 3), st.integers(1, 5), st.integers(1, 8), st.data())
def test_n2_projected_centres_are_within_both_radii(n_states, n_actions, cells, data):
    """N2: L2 distance at most √D/(2q), d at most A/(2q); after projection even 2κ_A/q, less for odd A."""
    grid = CubeGrid(n_states, n_actions, cells) if cells ** (n_states * n_actions) < 2**63 else CubeGrid(1, 1, 1)
    exact = data.draw(st.booleans())
    policy = np.array([data.draw(distributions(grid.n_actions, exact=exact)) for _ in range(grid.n_states)])
    index = grid.nearest(policy)
    near = grid.policy(index)
    dimension = grid.n_states * grid.n_actions
    assert math.sqrt(((near - policy) ** 2).sum()) <= math.sqrt(dimension) / (2 * grid.cells) + 1e-12
    assert distance(grid.centre(index), policy) <= grid.n_actions / (2 * grid.cells) + 1e-12
    assert distance(near, policy) <= float(grid.radius) + 1e-12
    assert grid.radius <= Fraction(grid.n_actions, 2 * grid.cells)


def test_n2_radius_is_reached_for_an_even_number_of_actions():
    """Just below the corner (½, ½) of four cells the distance tends to 2κ_2/q = ½."""
    grid = CubeGrid(1, 2, 2)
    policy = np.array([[0.5 - 1e-9, 0.5 + 1e-9]])
    assert distance(grid.policy(grid.nearest(policy)), policy) == pytest.approx(float(grid.radius), abs=1e-8)


@pytest.mark.parametrize(("n_actions", "cells"), [(2, 1), (2, 5), (3, 1), (3, 4), (4, 3)])
def test_n2_lacks_the_pure_policies(n_actions, cells):
    """N2: no centre is pure, nor does any project on a pure policy; N1 has them all."""
    grid = CubeGrid(1, n_actions, cells)
    assert grid.policy(np.arange(grid.n_points)).max() < 1 - 1e-9
    simplex = SimplexGrid(1, n_actions, cells)
    for row in np.eye(n_actions):
        assert simplex.policy(simplex.index([row])).tolist() == [row.tolist()]


@pytest.mark.parametrize("n_actions", range(1, 9))
def test_n3_levels_are_the_fewest(n_actions):
    """N3: levels_for has at most the radius asked for, and one level fewer has more; α = .02 .. 2.02 and the radii."""
    radii = [SimplexGrid(1, n_actions, k).radius for k in range(1, 30)]
    for alpha in {Fraction(j, 50) for j in range(1, 102)} | {r for r in radii if r}:
        k = levels_for(n_actions, alpha)
        assert SimplexGrid(1, n_actions, k).radius <= alpha
        assert k == 1 or SimplexGrid(1, n_actions, k - 1).radius > alpha


def test_n3_first_draft_was_not_minimal():
    """⌈2κ_A/α⌉ alone asks for 2 levels of 6 actions at α = 5/3, where 1 will do; and for 0 levels of one action."""
    assert math.ceil(2 * Fraction(9, 6) / Fraction(5, 3)) == 2
    assert levels_for(6, Fraction(5, 3)) == 1
    assert levels_for(1, Fraction(1, 2)) == 1


# Barycentric rounding ----------------------------------------------------------------------------------------------


def spread(grid, policy):
    """The expected distance of a policy from the corner drawn."""
    indices, weights = grid.barycentric(policy)
    return weights @ distance(grid.policy(indices), policy)


@given(grids_and_policies())
def test_n4_the_mean_is_exact(case):
    """N4: at most S(A-1)+1 corners, weights non-negative with sum 1, mean the policy, corners of one cell."""
    grid, policy = case
    indices, weights = grid.barycentric(policy)
    corners = grid.policy(indices)
    assert len(set(indices.tolist())) == len(indices) == grid.n_states * (grid.n_actions - 1) + 1
    assert weights.min() >= 0
    assert abs(weights.sum() - 1) < 1e-14
    assert np.allclose(np.tensordot(weights, corners, 1), policy, atol=1e-13, rtol=0)
    assert distance(corners, policy).max() <= 2 * float(grid.radius) + 1e-12


@given(grids_and_policies(clipping=True))
def test_n4_mean_displacement_is_bounded(case):
    """The expected distance from the corner drawn is at most `mean_displacement`, which is below twice the radius."""
    grid, policy = case
    assert spread(grid, policy) <= float(grid.mean_displacement) + 1e-12
    assert grid.radius <= grid.mean_displacement <= 2 * grid.radius
    assert grid.n_states > 1 or grid.mean_displacement == grid.radius


def worst_policies(levels, n_states):
    """Policies spread over the widest cell as badly as may be, with no entry or one at the worse end.

    With c cut off at that end and g the cell's width, n' places are equally far apart from 0 to (1-c/g) n'/(n'+1),
    and n from 1 downwards likewise; without clipping the two runs meet.
    """
    gap, low = max((high - low, low) for low, high in itertools.pairwise(levels))
    cut = max(levels[0], 1 - levels[-1])
    yield [low + gap * float(f) for f in worst_fractions(n_states)]
    left = max(0.0, 1 - cut / gap)
    lower, upper = (n_states - 1) // 2, n_states // 2
    below = [left * i / (lower + 1) for i in range(1, lower + 1)]
    above = [1 - left * i / (upper + 1) for i in range(1, upper + 1)]
    yield [float(levels[0] < cut), *(low + gap * f for f in (*below, *above))]


@pytest.mark.parametrize("n_states", range(1, 7))
@pytest.mark.parametrize(
    "levels",
    [
        (0.262, 0.738),
        (0.3, 0.7),
        (0.1, 0.5, 0.9),
        (0.25, 0.75),
        (0.2, 1),
        (0, 0.35, 0.8),
        (0.4, 0.5),
        (0.02, 0.5, 0.98),
    ],
)
def test_n4_one_clipped_entry_and_spread_ones_reach_the_mean_displacement(levels, n_states):
    """Levels that leave out 0 or 1: max(g(2-1/h(S+1)), 2c + g y² h(S-1)) is attained, and nothing exceeds it."""
    grid = LevelGrid(n_states, levels)
    found = [spread(grid, np.stack([p, 1 - p], axis=-1)) for p in map(np.array, worst_policies(levels, n_states))]
    assert max(found) == pytest.approx(float(grid.mean_displacement), abs=1e-12)


def test_n4_counterexample_to_clipping_or_spreading_alone():
    """Levels .262 and .738, one entry cut off and one .107 below the upper: 0.572; each alone makes 0.544."""
    grid = LevelGrid(2, (0.262, 0.738))
    found = spread(grid, [[0.0, 1.0], [0.631, 0.369]])
    assert max(Fraction(8, 7) * Fraction("0.476"), grid.radius) < Fraction("0.545")
    assert 0.572 < found == pytest.approx(float(grid.mean_displacement), abs=1e-6)


@given(grids_and_policies())
def test_n4_grid_points_stay_where_they_are(case):
    """A policy of the grid is its own rounding, with weight 1."""
    grid, policy = case
    index = int(grid.nearest(policy))
    indices, weights = grid.barycentric(grid.policy(index))
    assert weights[indices == index].sum() == pytest.approx(1, abs=1e-12)


@pytest.mark.parametrize(("n_actions", "levels"), [(2, 1), (2, 4), (3, 2), (4, 2), (4, 1), (5, 3), (6, 1)])
def test_n4_one_inner_state_is_displaced_by_the_radius(n_actions, levels):
    """S = 1, any A and k: the expected distance is (2/k) Σ f(1-f) over the fractional parts, at most N1's radius."""
    grid = SimplexGrid(1, n_actions, levels)
    r = min(levels, n_actions // 2)
    worst = np.full(n_actions, Fraction(r, n_actions))
    worst[0] += levels - r
    policy = [(worst / levels).astype(float)]
    assert spread(grid, policy) == pytest.approx(float(grid.radius), abs=1e-12)


def worst_fractions(n_states):
    """Descending fractions that cut [0, 1] into n equal pieces above and n' below a point: the worst ones."""
    upper, lower = (n_states + 1) // 2, (n_states + 2) // 2
    a, b = 1 + Fraction(1, upper), 1 + Fraction(1, lower)
    cut = a / (a + b)
    above = [cut + (1 - cut) * Fraction(i, upper) for i in range(upper)]
    below = [cut * Fraction(i, lower) for i in range(1, lower)]
    return sorted(above + below, reverse=True)


@pytest.mark.parametrize("n_states", range(1, 9))
def test_n4_two_actions_reach_the_mean_displacement(n_states):
    """A = 2: 1, 8/7, 5/4, .. times the radius, reached; α_s is not enough for S >= 2, but 3/2 α_s always is."""
    for grid in (SimplexGrid(n_states, 2, 4), LevelGrid(n_states, (0, 0.25, 0.5, 0.75, 1))):
        first = np.array([float(f) / 4 for f in worst_fractions(n_states)])
        assert spread(grid, np.stack([first, 1 - first], axis=-1)) == pytest.approx(float(grid.mean_displacement))
        assert (grid.mean_displacement == grid.radius) == (n_states == 1)
        assert grid.mean_displacement < Fraction(3, 2) * grid.radius
    factors = [SimplexGrid(n, 2, 1).mean_displacement for n in (1, 2, 3, 4, 5)]
    assert factors == [1, Fraction(8, 7), Fraction(5, 4), Fraction(22, 17), Fraction(4, 3)]


def test_n4_counterexample_to_the_radius_as_mean_displacement():
    """S = 2, A = 2, one level: at (5/7, 3/7) the expected distance is 8/7, above the radius 1."""
    assert spread(SimplexGrid(2, 2, 1), [[5 / 7, 2 / 7], [3 / 7, 4 / 7]]) == pytest.approx(8 / 7)


@pytest.mark.parametrize("n_actions", [3, 4, 5])
def test_n4_many_inner_states_approach_the_bound(n_actions):
    """A > 2: (A-½)/k for even, (A-1)/k for odd A; cumulative fractions that alternate about each threshold."""
    levels, n_states = n_actions, 400
    rows = []
    for u in np.linspace(0, 1, n_states, endpoint=False):
        up_first = n_actions % 2 == 0 and u < 0.5
        low, high = u, u + 1 / n_states
        fractions = [high if (j % 2 == 0) == up_first else low for j in range(n_actions - 1)]
        heights = np.arange(n_actions - 1) + np.array(fractions)
        rows.append(np.diff(heights, prepend=0, append=levels) / levels)
    bound = float(SimplexGrid(2, n_actions, levels).mean_displacement)  # the same for all S >= 2
    policy = np.array(rows)
    assert bound * 0.98 < _spread_without_indices(policy, levels) <= bound + 1e-9


def _spread_without_indices(policy, levels):
    """As `spread`, for grids too large to be numbered: the corners from the definition of the triangulation."""
    heights = np.cumsum(policy, axis=1)[:, :-1] * levels
    fractions = heights - np.floor(heights)
    thresholds = [1.0, *sorted(fractions.ravel(), reverse=True), 0.0]
    total = 0.0
    for above, below in itertools.pairwise(thresholds):
        corner = np.floor(heights) + (fractions >= above if above < 1 else fractions > 1)
        rows = np.diff(corner, axis=1, prepend=0, append=levels) / levels
        total += (above - below) * distance(rows, policy)
    return total
