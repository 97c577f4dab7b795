"""Cells, corners and interpolation agree with their references bit for bit."""

import itertools

import naive
import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from rfos._kernels import grids
from rfos.metagames.grids import LevelGrid

PROBABILITIES = st.floats(0, 1) | st.integers(0, 16).map(lambda k: k / 16)
LEVELS = st.lists(PROBABILITIES, min_size=2, max_size=12, unique=True).map(sorted)
MANY = st.integers(grids.COUNTED_LEVELS - 1, 300).map(lambda n: np.linspace(0.02, 0.98, n).tolist())


@given(LEVELS | MANY, st.data())
def test_locate_is_its_reference(levels, data):
    """Below, on and above every level, whether cells are counted or bisected."""
    p = data.draw(PROBABILITIES | st.sampled_from(levels))
    cell, fraction = grids.locate(np.array(levels), p)
    assert (int(cell), float(fraction)) == naive.locate(levels, p)
    assert 0 <= cell < len(levels) - 1
    assert 0 <= fraction <= 1


@given(LEVELS, PROBABILITIES)
def test_places_are_rounded_to_the_nearest_part_of_a_cell(levels, p):
    """|place - (cell + fraction) UNIT| <= 1/2."""
    cell, fraction = naive.locate(levels, p)
    assert abs(grids.place(np.array(levels), False, p) - cell * grids.UNIT - fraction * grids.UNIT) <= 0.5


PARTS = st.integers(0, 8191) | st.sampled_from([0, 1, 4096, 8191])


@st.composite
def places(draw):
    """A grid of 1 to 6 inner states and a place on it, ties, both ends of a cell and of the grid included."""
    n_levels = draw(st.integers(2, 4))
    n_states = draw(st.integers(1, 6) | st.just(5))
    one = st.integers(0, n_levels - 2).flatmap(lambda cell: PARTS.map(lambda part: cell * 8192 + part))
    return n_levels, draw(st.lists(one | st.just(8192 * (n_levels - 1)), min_size=n_states, max_size=n_states))


def walk_of(grid, places):
    strides, steps = np.append(grid.strides, 0), np.empty(len(places), np.int64)
    return strides, grids.walk(np.array(places), strides, steps), steps


@given(places())
def test_walks_are_their_reference(place):
    """The same corner and the same steps, of equal fractions the later coordinate first."""
    n_levels, where = place
    _, corner, steps = walk_of(LevelGrid(len(where), np.linspace(0, 1, n_levels)), where)
    assert (int(corner), [divmod(step, 8192) for step in steps.tolist()]) == naive.walk(where, n_levels)


def test_walks_of_five_sort_every_order():
    """All 120 orders of five fractions, and all with ties among three sizes."""
    grid = LevelGrid(5, (0, 0.5, 1))
    orders = [*itertools.permutations([1, 7, 4000, 8000, 8191]), *itertools.product([0, 5, 8192], repeat=5)]
    for where in orders:
        _, corner, steps = walk_of(grid, where)
        assert (int(corner), [divmod(step, 8192) for step in steps.tolist()]) == naive.walk(where, 3)


@given(places(), st.integers(0, 2**32 - 1))
def test_corners_and_their_mean_are_their_references(place, seed):
    """Same corners in the same order, weights that sum to 1 exactly, and Σ weight · value, lowest corner first."""
    n_levels, where = place
    grid = LevelGrid(len(where), np.linspace(0, 1, n_levels))
    strides, corner, steps = walk_of(grid, where)
    expected = naive.walked(*naive.walk(where, n_levels), n_levels)
    successor, probability = np.empty((1, len(where) + 1), np.int64), np.empty((1, len(where) + 1))
    grids.corners(strides, np.array([corner]), steps[None], successor, probability)
    assert list(zip(successor[0].tolist(), probability[0].tolist(), strict=True)) == expected
    assert probability.sum() == 1
    values = np.random.default_rng(seed).normal(size=grid.n_points)
    mean = sum(8192 * weight * float(values[j]) for j, weight in expected) / 8192
    assert float(grids.mean_of_corners(values, strides, corner, steps)) == mean
    if len(where) == 5:
        assert float(grids.mean_of_six(values, strides, corner, np.append(0, steps), 1)) == mean


@given(st.lists(PROBABILITIES, min_size=1, max_size=6), st.integers(0, 2**32 - 1))
def test_means_of_corners_are_those_of_the_grid(policy, seed):
    """Σ weights V of a place is that of LevelGrid.barycentric, up to half a UNIT-th of a cell per entry."""
    grid = LevelGrid(len(policy), (0.02, 0.25, 0.5, 0.98))
    values = np.random.default_rng(seed).normal(size=grid.n_points)
    strides, corner, steps = walk_of(grid, [grids.place(grid.values, False, p) for p in policy])
    indices, weights = grid.barycentric(np.stack([policy, 1 - np.array(policy)], axis=1))
    slack = len(policy) * np.ptp(values) / grids.UNIT
    assert abs(grids.mean_of_corners(values, strides, corner, steps) - weights @ values[indices]) <= slack


@given(PROBABILITIES)
def test_nearest_places_are_those_of_the_grid(p):
    """Nearest rounding agrees with LevelGrid.nearest, ties included, and its walk stays where it is."""
    grid = LevelGrid(1, (0.02, 0.25, 0.5, 0.75, 0.98))
    place = grids.place(grid.values, True, p)
    assert place == int(grid.nearest([[p, 1 - p]])) * grids.UNIT
    _, corner, steps = walk_of(grid, [place])
    assert (corner * grids.UNIT, steps.tolist()) == (place, [grids.UNIT])


@given(LEVELS, st.data())
def test_the_grid_finds_the_corners_of_the_reference(levels, data):
    """`LevelGrid.barycentric` and the walk up from the lowest corner agree bit for bit."""
    n_states = data.draw(st.integers(1, 4))
    p = data.draw(st.lists(PROBABILITIES, min_size=n_states, max_size=n_states))
    grid = LevelGrid(n_states, levels)
    cells, fractions = zip(*(naive.locate(grid.values.tolist(), x) for x in p), strict=True)
    indices, weights = grid.barycentric(np.stack([p, 1 - np.array(p)], axis=-1))
    found = list(zip(indices.tolist(), weights.tolist(), strict=True))
    assert found == naive.corners(len(levels), cells, fractions)
