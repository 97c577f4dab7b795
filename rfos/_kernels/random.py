"""NumPy's SFC64 stream, inline: the same words as ``np.random.SFC64``, at the cost of a few instructions."""

from __future__ import annotations

import numpy as np

from rfos._kernels._jit import kernel


@kernel
def sfc64(a, b, c, counter):
    """Return the next state (a, b, c, counter) and the 64-bit word drawn; all are uint64."""
    word = a + b + counter
    counter = counter + np.uint64(1)
    a = b ^ (b >> np.uint64(11))
    b = c + (c << np.uint64(3))
    c = ((c << np.uint64(24)) | (c >> np.uint64(40))) + word
    return a, b, c, counter, word


@kernel
def uniform(word):
    """Return the float in [0, 1) of a 64-bit word: its top 53 bits times 2**-53, as NumPy does."""
    # Signed conversion is one instruction, unsigned is five; 53 bits fit either.
    return np.float64(np.int64(word >> np.uint64(11))) * (1.0 / 9007199254740992.0)


@kernel
def fill_uniform(rng, out):
    """Fill `out` (n,) with uniform floats and advance the stream `rng` uint64[4] (a, b, c, counter)."""
    a, b, c, counter = rng[0], rng[1], rng[2], rng[3]
    for i in range(out.shape[0]):
        a, b, c, counter, word = sfc64(a, b, c, counter)
        out[i] = uniform(word)
    rng[0] = a
    rng[1] = b
    rng[2] = c
    rng[3] = counter


@kernel
def sum_uniform(rng, n):
    """Return the sum of the next `n` uniform floats: the cost of drawing alone, for benchmarks."""
    a, b, c, counter = rng[0], rng[1], rng[2], rng[3]
    total = 0.0
    for _ in range(n):
        a, b, c, counter, word = sfc64(a, b, c, counter)
        total += uniform(word)
    rng[0] = a
    rng[1] = b
    rng[2] = c
    rng[3] = counter
    return total
