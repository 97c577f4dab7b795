"""Cells, corners and interpolation agree with their references bit for bit."""

import itertools

import naive
import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from rfos._kernels import grids
from rfos.grids import LevelGrid

PROBABILITIES = st.floats(0, 1) | st.integers(0, 16).map(lambda k: k / 16)
LEVELS = st.lists(PROBABILITIES, min_size=2, max_size=12, unique=True).map(sorted)


@given(LEVELS, st.data())
def test_locate_is_its_reference(levels, data):
    """Below, on and above every level."""
    p = data.draw(PROBABILITIES | st.sampled_from(levels))
    cell, fraction = grids.locate(np.array(levels), p)
    assert (int(cell), float(fraction)) == naive.locate(levels, p)
    assert 0 <= cell < len(levels) - 1
    assert 0 <= fraction <= 1


@st.composite
def places(draw, n_states=None):
    """A grid of 1 to 6 inner states, a cell and fractions in it, ties and both ends included."""
    n_levels = draw(st.integers(2, 4))
    n_states = draw(st.integers(1, 6)) if n_states is None else n_states
    cells = draw(st.lists(st.integers(0, n_levels - 2), min_size=n_states, max_size=n_states))
    fractions = draw(st.lists(PROBABILITIES, min_size=n_states, max_size=n_states))
    return n_levels, cells, fractions


@given(places())
def test_corners_are_their_reference(place):
    """Same corners in the same order, same weights."""
    n_levels, cells, fractions = place
    strides = LevelGrid(len(cells), np.linspace(0, 1, n_levels)).strides
    indices, weights = np.empty(len(cells) + 1, np.int64), np.empty(len(cells) + 1)
    grids.corners(strides, np.array(cells), np.array(fractions), indices, weights)
    assert list(zip(indices.tolist(), weights.tolist(), strict=True)) == naive.corners(n_levels, cells, fractions)


@given(places(), st.integers(0, 2**32 - 1))
def test_interpolate_is_its_reference(place, seed):
    """Σ weight · value, lowest corner first."""
    n_levels, cells, fractions = place
    grid = LevelGrid(len(cells), np.linspace(0, 1, n_levels))
    values = np.random.default_rng(seed).normal(size=grid.n_points)
    indices, weights = np.empty(len(cells) + 1, np.int64), np.empty(len(cells) + 1)
    arguments = (grid.strides, np.array(cells), np.array(fractions), indices, weights)
    total = grids.interpolate(values, *arguments)
    assert float(total) == naive.interpolate(values.tolist(), n_levels, cells, fractions)


@given(LEVELS, st.data())
def test_the_grid_finds_the_corners_that_the_kernels_find(levels, data):
    """`LevelGrid.barycentric` and the kernels agree bit for bit."""
    n_states = data.draw(st.integers(1, 4))
    p = np.array(data.draw(st.lists(PROBABILITIES, min_size=n_states, max_size=n_states)))
    grid = LevelGrid(n_states, levels)
    places = [grids.locate(grid.values, x) for x in p]
    cells, fractions = np.array([c for c, _ in places]), np.array([f for _, f in places])
    indices, weights = np.empty(n_states + 1, np.int64), np.empty(n_states + 1)
    grids.corners(grid.strides, cells, fractions, indices, weights)
    expected_indices, expected_weights = grid.barycentric(np.stack([p, 1 - p], axis=-1))
    assert indices.tolist() == expected_indices.tolist()
    assert weights.tobytes() == expected_weights.tobytes()


@given(places(n_states=5), st.integers(0, 2**32 - 1))
def test_interpolate_five_is_the_same_reference(place, seed):
    """The sorting network of five inner states sums the same products in the same order, ties included."""
    n_levels, cells, fractions = place
    grid = LevelGrid(5, np.linspace(0, 1, n_levels))
    values = np.random.default_rng(seed).normal(size=grid.n_points)
    total = grids.interpolate_five(values, grid.strides, np.array(cells), np.array(fractions))
    assert float(total) == naive.interpolate(values.tolist(), n_levels, cells, fractions)


def test_interpolate_five_sorts_every_order():
    """All 120 orders of five fractions, and all with ties among three sizes."""
    rng = np.random.default_rng(0)
    grid = LevelGrid(5, (0, 0.5, 1))
    values, cells = rng.normal(size=grid.n_points), [0, 1, 0, 1, 1]
    orders = [*itertools.permutations([0.1, 0.3, 0.4, 0.7, 0.9]), *itertools.product([0.0, 0.4, 1.0], repeat=5)]
    for fractions in orders:
        total = grids.interpolate_five(values, grid.strides, np.array(cells), np.array(fractions))
        assert float(total) == naive.interpolate(values.tolist(), 3, cells, fractions)
