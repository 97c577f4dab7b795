"""Window indices: the documented layout, round trips, refusals."""

import dataclasses
import itertools
import math
import time
import tracemalloc

import naive
import numpy as np
import pytest
from commands import AT_ONCE
from hypothesis import given
from hypothesis import strategies as st

from rfos.metagames.windows import MAX_STATES, WindowIndex


@st.composite
def indices(draw):
    """2 to 4 players with 1 to 3 actions, windows that leave at most 300 states."""
    n_actions = tuple(draw(st.lists(st.integers(1, 3), min_size=2, max_size=4)))
    windows = [h for h in range(1, 5) if math.prod(n_actions) ** h <= 300]
    return WindowIndex(n_actions, draw(st.sampled_from(windows or [1])))


@given(indices())
def test_indices_and_windows_are_in_bijection(index):
    """encode(decode(s)) = s for every s, and decode is onto all windows."""
    states = np.arange(index.n_states)
    windows = index.decode(states)
    assert index.encode(windows).tolist() == states.tolist()
    assert len({tuple(window.ravel()) for window in windows}) == index.n_states


@given(indices())
def test_the_layout_is_the_documented_one(index):
    """Opponents' joint actions high, own actions low, each oldest first; player 1 is the highest digit of a joint."""
    for state, history in naive.all_windows(index.n_actions, index.window).items():
        assert index.encode(history) == state
        assert index.decode(state).tolist() == [list(joint) for joint in history]


@given(indices())
def test_the_next_window_drops_the_oldest_joint_action_and_appends_the_new(index):
    """shifted[s] + offset[a, b] is the number of the next window."""
    shifted, offset = index.shifted(), index.offset()
    others = list(itertools.product(*map(range, index.n_actions[1:])))
    for state, history in naive.all_windows(index.n_actions, index.window).items():
        for a in range(index.n_actions[0]):
            for b, rest in enumerate(others):
                following = naive.encode(index.n_actions, [*history[1:], (a, *rest)])
                assert shifted[state] + offset[a, b] == following


@given(indices(), st.data())
def test_arrays_of_any_shape_are_encoded_elementwise(index, data):
    """Leading axes are kept."""
    states = np.array(data.draw(st.lists(st.integers(0, index.n_states - 1), min_size=6, max_size=6))).reshape(2, 3)
    assert index.encode(index.decode(states)).tolist() == states.tolist()
    assert index.decode(states).shape == (2, 3, index.window, len(index.n_actions))
    assert (index.joint_action(0, states) == index.decode(states)[..., 0, :]).all()


def test_the_papers_layout():
    """Two players, two actions: opponent's bits high, own bits low."""
    index = WindowIndex((2, 2), 3)
    assert index.n_states == 64
    assert index.encode([(0, 1), (1, 0), (0, 1)]) == 0b101_010


def test_a_window_of_40_is_refused_at_once():
    """Sizes are computed with Python integers: in no time, and nothing is allocated."""
    tracemalloc.start()
    began = time.process_time()
    with pytest.raises(ValueError, match=r"window 40 means 4\^40 = 10\^24.1 .* the largest window here is 15"):
        WindowIndex((2, 2), 40)
    assert time.process_time() - began < AT_ONCE
    assert tracemalloc.get_traced_memory()[1] < 100_000
    tracemalloc.stop()
    assert WindowIndex((2, 2), 15).n_states <= MAX_STATES


@pytest.mark.parametrize("n_actions", [(2, 2), (3, 2), (3, 3), (10, 10), (1290, 1290)])
def test_the_largest_window_named_is_the_largest(n_actions):
    """The message's largest window is accepted and the next one is not."""
    with pytest.raises(ValueError, match="largest window here is") as caught:
        WindowIndex(n_actions, 100)
    largest = int(str(caught.value).rsplit(" ", 1)[1])
    assert WindowIndex(n_actions, largest).n_states <= MAX_STATES
    assert math.prod(n_actions) ** (largest + 1) > MAX_STATES


@pytest.mark.parametrize(
    ("n_actions", "window", "message"),
    [
        ((2, 2), 0, "window is 0: give a whole number of at least 1"),
        ((2, 2), -1, "window is -1"),
        ((2, 2), 1.5, "window is 1.5"),
        ((2, 2), True, "window is True"),
        ((2,), 1, r"at least two players .* not \(2,\)"),
        ((2, 0), 1, r"not \(2, 0\)"),
        ((50_000, 50_000), 1, r"10\^9\.4 meta-states"),
    ],
)
def test_bad_sizes_are_refused_with_the_value_and_the_mend(n_actions, window, message):
    """Each message names the value."""
    with pytest.raises(ValueError, match=message):
        WindowIndex(n_actions, window)


@pytest.mark.parametrize(
    ("history", "message"),
    [
        ([[0, 2]], r"actions run from 0 to \(1, 1\), got 2"),
        ([[0, -1]], r"actions run from 0 to \(1, 1\)"),
        ([[0.0, 1.0]], "integer actions"),
        ([[0, 1], [0, 1]], r"last axes \(window, players\) = \(1, 2\)"),
    ],
)
def test_a_bad_history_is_refused(history, message):
    """Out of range, of the wrong type or of the wrong length."""
    with pytest.raises(ValueError, match=message):
        WindowIndex((2, 2), 1).encode(history)


@pytest.mark.parametrize("state", [-1, 4, 0.0, [0, 4]])
def test_a_bad_index_is_refused(state):
    """Indices run from 0 to n_states - 1."""
    with pytest.raises(ValueError, match="window indices are integers from 0 to 3, got"):
        WindowIndex((2, 2), 1).decode(state)


def test_a_window_index_is_frozen():
    """No field can be set."""
    with pytest.raises(dataclasses.FrozenInstanceError):
        WindowIndex((2, 2), 1).window = 2
