"""Seeds: what is accepted, and that streams are NumPy's and apart."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rfos._system.randomness import seed_sequence, stream

KEYS = st.lists(st.integers(0, 2**40), max_size=3).map(tuple)


@given(st.integers(0, 2**128), KEYS)
def test_a_stream_starts_where_numpys_generator_does(seed, key):
    """stream(seed, key) is the state of np.random.SFC64 for SeedSequence(seed, spawn_key=key)."""
    expected = np.random.SFC64(np.random.SeedSequence(seed, spawn_key=key)).state["state"]["state"]
    assert stream(seed, key).tolist() == expected.tolist()
    assert stream(seed, key).dtype == np.uint64


@given(st.integers(0, 2**32), KEYS, KEYS)
def test_different_keys_have_different_streams(seed, key, other):
    """Cells of a sweep do not share a stream."""
    assert (stream(seed, key).tolist() == stream(seed, other).tolist()) == (key == other)


@given(st.integers(0, 2**32), KEYS, KEYS)
def test_keys_extend_a_seed_sequence(seed, first, second):
    """A key under a key is their concatenation; the sequence handed in is not changed."""
    sequence = np.random.SeedSequence(seed, spawn_key=first)
    assert stream(sequence, second).tolist() == stream(seed, first + second).tolist()
    assert sequence.n_children_spawned == 0


def test_a_generator_gives_a_new_stream_each_time_and_is_not_drawn_from():
    """A child of its seed sequence is spawned: two calls differ, and the same generator anew repeats them."""
    rng, again = np.random.default_rng(5), np.random.default_rng(5)
    first, second = stream(rng), stream(rng)
    assert first.tolist() != second.tolist()
    assert [stream(again).tolist(), stream(again).tolist()] == [first.tolist(), second.tolist()]
    assert rng.random() == np.random.default_rng(5).random()


def test_none_takes_fresh_entropy():
    """Two calls without a seed differ."""
    assert stream(None).tolist() != stream(None).tolist()


def test_a_stream_is_the_callers_own():
    """A kernel advances it in place; the next call starts anew."""
    state = stream(1)
    state[:] = 0
    assert stream(1).tolist() != state.tolist()


def test_numpy_integers_are_seeds():
    """np.int64(7) is 7."""
    assert stream(np.int64(7)).tolist() == stream(7).tolist()


@pytest.mark.parametrize(
    ("rng", "error", "message"),
    [
        (-1, ValueError, "seed is -1: give a non-negative integer"),
        (1.5, TypeError, "rng is 1.5: give an integer seed, a SeedSequence or a Generator"),
        ("7", TypeError, "rng is '7'"),
        (True, TypeError, "rng is True"),
    ],
)
def test_bad_seeds_are_refused_with_the_value(rng, error, message):
    """Each message names the value."""
    with pytest.raises(error, match=message):
        seed_sequence(rng)
