"""Seeds to streams: one SFC64 stream per cell, whatever worker runs it in whatever order."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Seed = int | np.random.SeedSequence | np.random.Generator | None


def seed_sequence(rng: Seed, key: tuple[int, ...] = ()) -> np.random.SeedSequence:
    """Return the seed sequence of a seed and a key of non-negative integers.

    A Generator is not drawn from: a child of its seed sequence is spawned, so two calls differ. None takes fresh
    entropy from the operating system.

    Raises
    ------
    TypeError
        If `rng` is not an int, SeedSequence, Generator or None.
    ValueError
        If `rng` is a negative int.

    Examples
    --------
    >>> seed_sequence(7, key=(2, 1)).spawn_key
    (2, 1)
    """
    if isinstance(rng, np.random.Generator):
        root = rng.spawn(1)[0].bit_generator.seed_seq
        assert isinstance(root, np.random.SeedSequence)
    elif isinstance(rng, np.random.SeedSequence):
        root = rng
    elif rng is None or (isinstance(rng, int | np.integer) and not isinstance(rng, bool)):
        if rng is not None and rng < 0:
            raise ValueError(f"seed is {rng}: give a non-negative integer")
        root = np.random.SeedSequence(rng)
    else:
        raise TypeError(f"rng is {rng!r}: give an integer seed, a SeedSequence or a Generator")
    return np.random.SeedSequence(root.entropy, spawn_key=(*root.spawn_key, *key))


def stream(rng: Seed, key: tuple[int, ...] = ()) -> NDArray[np.uint64]:
    """Return the start state uint64[4] of the SFC64 stream of a seed and a key.

    The words that a kernel draws from it are those of ``np.random.SFC64(seed_sequence(rng, key))``.

    Examples
    --------
    >>> state = stream(7)
    >>> bool((state == np.random.SFC64(7).state["state"]["state"]).all())
    True
    """
    state: NDArray[np.uint64] = np.random.SFC64(seed_sequence(rng, key)).state["state"]["state"].copy()
    return state
