"""The inline SFC64 stream is NumPy's, word for word and float for float."""

import naive
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from strength import scaled

from rfos._kernels import random
from rfos._system.randomness import stream

SEEDS = st.integers(0, 2**128 - 1)
KEYS = st.lists(st.integers(0, 2**32 - 1), max_size=3).map(tuple)


@given(SEEDS, KEYS)
@settings(max_examples=scaled(30))
def test_words_are_those_of_numpy(seed, key):
    """The k-th word of the stream of (seed, key) is the k-th word of np.random.SFC64 for that seed sequence."""
    expected = naive.sfc64(np.random.SFC64(np.random.SeedSequence(seed, spawn_key=key)), 20)
    state = tuple(stream(seed, key))
    words = []
    for _ in range(20):
        *state, word = random.sfc64(*map(np.uint64, state))  # unboxed they are plain ints
        words.append(int(word))
    assert words == expected


@given(SEEDS)
@settings(max_examples=scaled(20))
def test_the_state_after_drawing_is_that_of_numpy(seed):
    """State and word agree also where a sum wraps around 2^64, so the stream can be handed on."""
    bits = np.random.SFC64(seed)
    rng = stream(seed)
    random.fill_uniform(rng, np.empty(33))
    bits.random_raw(33)
    assert rng.tolist() == bits.state["state"]["state"].tolist()


@given(st.integers(0, 2**64 - 1))
@settings(max_examples=scaled(50))
def test_a_float_is_the_top_53_bits(word):
    """u = floor(word / 2^11) / 2^53, in [0, 1)."""
    u = random.uniform(np.uint64(word))
    assert u == naive.uniform(word)
    assert 0 <= u < 1


@pytest.mark.parametrize(("word", "u"), [(0, 0.0), (2**64 - 1, 1 - 2.0**-53), (2**63, 0.5), (2**11 - 1, 0.0)])
def test_the_ends_of_the_floats(word, u):
    """The smallest word gives 0, the largest 1 - 2^-53: never 1."""
    assert random.uniform(np.uint64(word)) == u


@given(SEEDS, KEYS, st.integers(0, 100))
@settings(max_examples=scaled(30))
def test_floats_are_those_of_numpy(seed, key, n):
    """Filling and summing draw the same floats as Generator.random, in the same order."""
    out = np.empty(n)
    random.fill_uniform(stream(seed, key), out)
    assert out.tolist() == naive.fill_uniform(naive.generator(seed, key), n)
    assert random.sum_uniform(stream(seed, key), n) == naive.sum_uniform(naive.generator(seed, key), n)
