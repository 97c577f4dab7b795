"""Grids of policies: numbering, round trips, agreement with each other, refusals."""

import dataclasses
import itertools
import math
import time
import tracemalloc
from fractions import Fraction

import naive
import numpy as np
import pytest
from commands import AT_ONCE
from hypothesis import given
from hypothesis import strategies as st

from rfos.metagames.grids import (
    MAX_POINTS,
    CubeGrid,
    LevelGrid,
    SimplexGrid,
    largest_levels,
    levels_for,
    logit_levels,
    project,
)
from rfos.testing import distributions

MFOS = (0.02, 0.25, 0.5, 0.75, 0.98)


@st.composite
def simplex_grids(draw, max_points=300):
    """Up to three inner states and four actions."""
    n_states, n_actions = draw(st.integers(1, 3)), draw(st.integers(1, 4))
    fitting = [k for k in range(1, 8) if math.comb(k + n_actions - 1, n_actions - 1) ** n_states <= max_points]
    return SimplexGrid(n_states, n_actions, draw(st.sampled_from(fitting)))


@st.composite
def level_grids(draw):
    """Up to three inner states and five levels."""
    levels = sorted(draw(st.sets(st.integers(0, 32), min_size=2, max_size=5)))
    return LevelGrid(draw(st.integers(1, 3)), [k / 32 for k in levels])


@st.composite
def policies_for(draw, grid):
    return np.array([draw(distributions(grid.n_actions)) for _ in range(grid.n_states)])


@given(simplex_grids() | level_grids())
def test_indices_and_policies_are_in_bijection(grid):
    """index(policy(i)) = nearest(policy(i)) = i for all i, and no policy comes twice."""
    everything = np.arange(grid.n_points)
    policies = grid.policies()
    assert policies.shape == (grid.n_points, grid.n_states, grid.n_actions)
    assert grid.index(policies).tolist() == everything.tolist()
    assert grid.nearest(policies).tolist() == everything.tolist()
    assert len({policy.tobytes() for policy in policies}) == grid.n_points
    assert (np.abs(policies.sum(axis=-1) - 1) < 1e-15 * 8).all()


@given(simplex_grids())
def test_simplex_grids_number_rows_lexicographically_with_the_first_state_highest(grid):
    """Rows in the order of itertools.product, restricted to those that sum to `levels`."""
    k = grid.levels
    rows = [row for row in itertools.product(range(k + 1), repeat=grid.n_actions) if sum(row) == k]
    expected = [[[c / k for c in row] for row in policy] for policy in itertools.product(rows, repeat=grid.n_states)]
    assert grid.policies().tolist() == expected
    assert grid.n_points == len(rows) ** grid.n_states


@given(level_grids())
def test_level_grids_number_levels_with_the_first_state_highest(grid):
    """Index = Σ level number · stride, as the kernels assume."""
    for index, numbers in enumerate(itertools.product(range(len(grid.levels)), repeat=grid.n_states)):
        assert grid.policy(index)[:, 0].tolist() == [grid.levels[i] for i in numbers]
        assert index == naive.number(numbers, [len(grid.levels)] * grid.n_states) == (numbers * grid.strides).sum()


@given(st.integers(1, 3), st.integers(1, 8), st.data())
def test_two_actions_make_the_same_grid_from_levels(n_states, k, data):
    """SimplexGrid with A = 2 and LevelGrid with levels i/k: numbering, roundings (ties included), radius."""
    simplex, levels = SimplexGrid(n_states, 2, k), LevelGrid(n_states, [i / k for i in range(k + 1)])
    assert simplex.n_points == levels.n_points
    assert float(simplex.radius) == pytest.approx(float(levels.radius), abs=1e-12)
    assert float(simplex.mean_displacement) == pytest.approx(float(levels.mean_displacement), abs=1e-12)
    policy = data.draw(policies_for(simplex))
    if k & (k - 1) == 0:  # levels are exact, and so are ties
        assert simplex.nearest(policy) == levels.nearest(policy)
        assert [x.tolist() for x in simplex.barycentric(policy)] == [x.tolist() for x in levels.barycentric(policy)]
    index = data.draw(st.integers(0, simplex.n_points - 1))
    assert np.allclose(simplex.policy(index), levels.policy(index), atol=1e-15, rtol=0)


@given(simplex_grids() | level_grids(), st.data())
def test_arrays_of_any_shape_are_treated_elementwise(grid, data):
    """Leading axes are kept by all methods."""
    six = np.array([data.draw(policies_for(grid)) for _ in range(6)]).reshape(2, 3, grid.n_states, grid.n_actions)
    indices, weights = grid.barycentric(six)
    assert indices.shape == weights.shape == (2, 3, grid.n_states * (grid.n_actions - 1) + 1)
    assert grid.policy(indices).shape == (*indices.shape, grid.n_states, grid.n_actions)
    for place in np.ndindex(2, 3):
        assert grid.nearest(six)[place] == grid.nearest(six[place])
        assert indices[place].tolist() == grid.barycentric(six[place])[0].tolist()
        assert weights[place].tolist() == grid.barycentric(six[place])[1].tolist()


def test_equal_remainders_round_the_lower_action_up():
    """(½, ½, 0) with one level is (1, 0, 0); two actions: to the higher level."""
    assert SimplexGrid(1, 3, 1).policy(SimplexGrid(1, 3, 1).nearest([[0.5, 0.5, 0]])).tolist() == [[1, 0, 0]]
    assert SimplexGrid(1, 2, 1).nearest([[0.5, 0.5]]) == LevelGrid(1, (0, 1)).nearest([[0.5, 0.5]]) == 1


def test_policies_beyond_the_levels_are_clipped():
    """Below .02 and above .98 all weight is on the outer level."""
    grid = LevelGrid(2, MFOS)
    policy = [[0.0, 1.0], [1.0, 0.0]]
    assert grid.nearest(policy) == 4
    indices, weights = grid.barycentric(policy)
    assert indices[weights > 0].tolist() == [4]


@given(st.integers(1, 2), st.integers(1, 3), st.integers(1, 3), st.data())
def test_a_cube_grid_rounds_to_the_centre_of_the_cell(n_states, n_actions, cells, data):
    """The cell that holds the policy has the nearest centre of all; numbers run like digits."""
    grid = CubeGrid(n_states, n_actions, cells)
    axes = [(2 * i + 1) / (2 * cells) for i in range(cells)]
    centres = grid.centre(np.arange(grid.n_points)).reshape(grid.n_points, -1)
    assert np.allclose(centres, list(itertools.product(axes, repeat=n_states * n_actions)), atol=1e-15, rtol=0)
    policy = data.draw(policies_for(grid))
    distance = ((centres - policy.ravel()) ** 2).sum(axis=1)
    assert distance[grid.nearest(policy)] <= distance.min() + 1e-15


@given(st.lists(st.floats(-3, 3), min_size=1, max_size=6))
def test_projection_is_the_nearest_distribution(row):
    """Variational inequality: (x - p)·(q - p) <= 0 for all pure q, and p is a distribution."""
    x, p = np.array(row), project(row)
    assert (p >= 0).all()
    assert abs(p.sum() - 1) < 1e-14
    assert max((x - p) @ (q - p) for q in np.eye(len(row))) <= 1e-13


def test_logit_levels_are_symmetric_and_evenly_spaced_in_logits():
    """Ends exact; ln(p/(1-p)) in equal steps."""
    for n in range(2, 12):
        levels = logit_levels(n, 0.02)
        assert (levels[0], levels[-1], len(levels)) == (0.02, 0.98, n)
        assert np.allclose(np.diff([math.log(p / (1 - p)) for p in levels], n=2), 0, atol=1e-12)
        assert LevelGrid(1, levels).n_points == n


@given(st.integers(1, 6), st.integers(1, 5), st.integers(0, 10**7))
def test_the_largest_levels_named_are_the_largest(n_states, n_actions, points):
    """largest_levels fits, the next does not."""
    k = largest_levels(n_states, n_actions, points)
    count = [math.comb(j + n_actions - 1, n_actions - 1) ** n_states for j in (k, k + 1)]
    assert count[0] <= points or k == 0
    assert count[1] > points or k == 100_000


OVERSIZED = [
    (lambda: SimplexGrid(5, 2, 200).policies(), MemoryError, "needs .* bytes, above the limit of"),
    (
        lambda: LevelGrid(5, np.linspace(0, 1, 200)).policies(),
        MemoryError,
        "needs .* bytes, above the limit of .* levels",
    ),
    (lambda: SimplexGrid(2**20 + 1, 2, 200), ValueError, r"means 10\^\d+\.\d policies, .* no grid of so many"),
    (
        lambda: SimplexGrid(9, 2, 200),
        ValueError,
        r"10\^20\.7 policies, above the limit of .* largest grid has 126 levels",
    ),
    (lambda: SimplexGrid(2**31 - 1, 1000, 100_000), ValueError, "no grid of so many"),
    (lambda: SimplexGrid(1, 2**31 - 1, 100_000), ValueError, "largest grid has 2 levels"),
    (lambda: LevelGrid(40, np.linspace(0, 1, 200)), ValueError, r"10\^92\.0 policies, .* largest grid has 2 levels"),
    (lambda: CubeGrid(5, 2, 200), ValueError, r"10\^23\.0 policies, .* largest grid has 78 cells per axis"),
    (lambda: CubeGrid(2**31 - 1, 2**31 - 1, 200), ValueError, "largest grid has 1 cells per axis"),
]


@pytest.mark.parametrize(("request_it", "error", "message"), OVERSIZED)
def test_oversized_requests_are_refused_at_once(request_it, error, message):
    """In no time, nothing allocated, and the message says what fits."""
    tracemalloc.start()
    began = time.process_time()
    with pytest.raises(error, match=message):
        request_it()
    elapsed = time.process_time() - began
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert elapsed < AT_ONCE
    assert peak < 10_000_000


def test_what_is_named_as_the_largest_is_accepted():
    """126 levels for 9 states, 78 cells for 10 axes."""
    assert SimplexGrid(9, 2, 126).n_points <= MAX_POINTS < 128**9
    assert CubeGrid(5, 2, 78).n_points <= MAX_POINTS < 79**10
    assert SimplexGrid(1, 2**31 - 1, 2).n_points <= MAX_POINTS


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: SimplexGrid(0, 2, 2), "n_states is 0: give a whole number from 1"),
        (lambda: SimplexGrid(1, True, 2), "n_actions is True"),
        (lambda: SimplexGrid(1, 2, 2.5), "levels is 2.5"),
        (lambda: SimplexGrid(1, 2, 100_001), "levels is 100001: give a whole number from 1 to 100000"),
        (lambda: LevelGrid(1, (0.5,)), r"2 to 100000 strictly increasing probabilities in \[0, 1\], not \(0.5,\)"),
        (lambda: LevelGrid(1, (0.5, 0.5)), "strictly increasing"),
        (lambda: LevelGrid(1, (0.5, 1.5)), "strictly increasing"),
        (lambda: LevelGrid(1, (0.5, math.nan)), "strictly increasing"),
        (lambda: LevelGrid(1, 5), "levels is 5: give the probabilities"),
        (lambda: CubeGrid(1, 2, 0), "cells is 0"),
        (lambda: CubeGrid.with_l2_radius(1, 2, 0), "radius is 0"),
        (lambda: levels_for(2, -0.1), "radius is -0.1: give a number greater than 0"),
        (lambda: levels_for(2, math.nan), "radius is nan"),
        (lambda: levels_for(2, "x"), "radius is 'x'"),
        (lambda: logit_levels(1, 0.1), "n_levels >= 2"),
        (lambda: logit_levels(3, 0.5), "0 < lowest < 1/2"),
    ],
)
def test_bad_sizes_are_refused_with_the_value(make, message):
    """Each message names the value and the range."""
    with pytest.raises(ValueError, match=message):
        make()


@pytest.mark.parametrize("grid", [SimplexGrid(2, 2, 4), LevelGrid(2, MFOS), CubeGrid(2, 2, 3)], ids=type)
@pytest.mark.parametrize(
    ("policy", "message"),
    [
        ([[0.5, 0.5]], r"last axes \(states, actions\) = \(2, 2\), not shape \(1, 2\)"),
        ([[0.5, 0.5], [0.5, 0.6]], r"row \(1,\) of the policy are \[0.5, 0.6\]"),
        ([[0.5, 0.5], [-0.5, 1.5]], r"row \(1,\)"),
        ([[math.nan, 0.5], [0.5, 0.5]], r"row \(0,\)"),
    ],
)
def test_a_bad_policy_is_refused(grid, policy, message):
    """Wrong shape, or a row that is no distribution."""
    with pytest.raises(ValueError, match=message):
        grid.nearest(policy)


@pytest.mark.parametrize("grid", [SimplexGrid(2, 2, 4), LevelGrid(2, MFOS), CubeGrid(2, 2, 3)], ids=type)
@pytest.mark.parametrize("index", [-1, 10**6, 0.0, [0, 81]])
def test_a_bad_index_is_refused(grid, index):
    """Indices run from 0 to n_points - 1."""
    with pytest.raises(ValueError, match="grid indices are integers from 0 to"):
        grid.policy(index)


@pytest.mark.parametrize("grid", [SimplexGrid(1, 2, 4), LevelGrid(1, MFOS)], ids=type)
def test_a_policy_between_grid_points_has_no_index(grid):
    """The message names the nearest."""
    with pytest.raises(ValueError, match=r"row \(0,\) .* is not in the grid; the nearest is \[0.\d+, 0.\d+\]: round"):
        grid.index([[0.3, 0.7]])


@pytest.mark.parametrize("k", [3, 7, 49, 1000, 99_999])
def test_levels_that_are_no_binary_fractions_keep_their_numbers(k):
    """49 · (1/49) < 1 in floats; the index is right all the same."""
    grid = SimplexGrid(1, 3, k)
    sample = np.linspace(0, grid.n_points - 1, 1000).astype(np.int64)
    assert grid.index(grid.policy(sample)).tolist() == sample.tolist()


def test_radii_are_exact_fractions():
    """N1's formula; levels are read as the decimals that they print as."""
    assert SimplexGrid(5, 2, 10).radius == Fraction(1, 10)
    assert LevelGrid(5, MFOS).radius == Fraction(1, 4)
    assert LevelGrid(1, (0.35, 0.9)).radius == LevelGrid(1, (0.1, 0.65)).radius == Fraction(7, 10)
    assert CubeGrid(1, 2, 5).radius == Fraction(1, 5)


def test_grids_are_frozen():
    """No field can be set."""
    with pytest.raises(dataclasses.FrozenInstanceError):
        SimplexGrid(1, 2, 2).levels = 3
