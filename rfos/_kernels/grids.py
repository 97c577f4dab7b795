"""Barycentric interpolation on grids of two-action policies, for use inside other kernels.

A policy is one probability per inner state, a point of a D-dimensional box that the levels cut into cells. Kuhn's
(Freudenthal's) triangulation splits each cell into D! simplices: from the cell's lowest corner walk one coordinate up
at a time, largest fraction first. That simplex holds the point, with the differences of consecutive fractions as its
weights. Fractions are ranked by counting, which needs no branch that a processor could mispredict.

The grid index of a policy is ``sum(level * stride)``, strides as in `rfos.grids.LevelGrid.strides`.
"""

from __future__ import annotations

import numpy as np

from rfos._kernels._jit import kernel


@kernel
def locate(levels, p):
    """Return the cell of `levels` (L,), L >= 2, that holds probability `p`, and where in it, a fraction in [0, 1].

    Cell c runs from levels[c] to levels[c + 1], its lower end included; `p` outside all levels is clipped. Counting
    beats bisection up to hundreds of levels.
    """
    cell = np.uint64(0)
    for i in range(1, levels.size - 1):
        cell += np.uint64(p >= levels[np.uint64(i)])
    low = levels[cell]
    fraction = (p - low) / (levels[cell + np.uint64(1)] - low)
    return np.int64(cell), min(max(fraction, 0.0), 1.0)


@kernel
def corners(strides, cells, fractions, indices, weights):
    """Fill the grid `indices` (D+1,) and `weights` (D+1,) of the corners around a policy, lowest corner first.

    `strides`, `cells` (D,) int64 and `fractions` (D,) in [0, 1], not NaN, say where the policy is, one entry per inner
    state. Of equal fractions the later coordinate goes up first; the corner between them has weight 0. The weights
    are 1 - f(1), f(1) - f(2), .., f(D), for fractions in descending order.
    """
    n = fractions.size
    base = np.int64(0)
    for i in range(n):
        here = np.uint64(i)
        base += cells[here] * strides[here]
        f = fractions[here]
        rank = np.uint64(0)
        for j in range(i):
            rank += np.uint64(fractions[np.uint64(j)] > f)
        for j in range(i + 1, n):
            rank += np.uint64(fractions[np.uint64(j)] >= f)
        weights[rank] = f
        indices[rank] = strides[here]
    last = 1.0
    for t in range(n):
        here = np.uint64(t)
        f = weights[here]
        step = indices[here]
        weights[here] = last - f
        indices[here] = base
        base += step
        last = f
    weights[np.uint64(n)] = last
    indices[np.uint64(n)] = base


@kernel
def interpolate(values, strides, cells, fractions, indices, weights):
    """Return the barycentric mean of `values` (n_points,), finite, at the policy described by the next three.

    The arguments after `values` are those of `corners`, which fills `indices` and `weights` (D+1,); pass the same
    two arrays every time. The sum runs from the lowest corner to the highest.
    """
    corners(strides, cells, fractions, indices, weights)
    total = 0.0
    for t in range(indices.size):
        total += weights[np.uint64(t)] * values[np.uint64(indices[np.uint64(t)])]
    return total


@kernel
def exchange(first, first_step, second, second_step):
    """Return two fractions with their steps, the larger fraction first."""
    up = second > first
    return (
        second if up else first,
        second_step if up else first_step,
        first if up else second,
        first_step if up else second_step,
    )


@kernel
def interpolate_five(values, strides, cells, fractions):
    """Return what `interpolate` does, for five inner states (memory-one policies), in half the time.

    Fractions are sorted in registers by a network of nine exchanges. Corners between equal fractions may be others
    than those of `corners`; their weight is 0.
    """
    i0, i1, i2, i3, i4 = np.uint64(0), np.uint64(1), np.uint64(2), np.uint64(3), np.uint64(4)
    f0, f1, f2, f3, f4 = fractions[i0], fractions[i1], fractions[i2], fractions[i3], fractions[i4]
    s0, s1, s2, s3, s4 = strides[i0], strides[i1], strides[i2], strides[i3], strides[i4]
    base = cells[i0] * s0 + cells[i1] * s1 + cells[i2] * s2 + cells[i3] * s3 + cells[i4] * s4
    f0, s0, f3, s3 = exchange(f0, s0, f3, s3)
    f1, s1, f4, s4 = exchange(f1, s1, f4, s4)
    f0, s0, f2, s2 = exchange(f0, s0, f2, s2)
    f1, s1, f3, s3 = exchange(f1, s1, f3, s3)
    f0, s0, f1, s1 = exchange(f0, s0, f1, s1)
    f2, s2, f4, s4 = exchange(f2, s2, f4, s4)
    f1, s1, f2, s2 = exchange(f1, s1, f2, s2)
    f3, s3, f4, s4 = exchange(f3, s3, f4, s4)
    f2, s2, f3, s3 = exchange(f2, s2, f3, s3)
    total = (1.0 - f0) * values[np.uint64(base)]
    base += s0
    total += (f0 - f1) * values[np.uint64(base)]
    base += s1
    total += (f1 - f2) * values[np.uint64(base)]
    base += s2
    total += (f2 - f3) * values[np.uint64(base)]
    base += s3
    total += (f3 - f4) * values[np.uint64(base)]
    base += s4
    return total + f4 * values[np.uint64(base)]
