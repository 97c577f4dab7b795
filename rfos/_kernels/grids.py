"""Places of two-action policies on level grids, and means of values at the corners around them.

A policy is one probability per inner state, a point of a D-dimensional box that the levels cut into cells. Kuhn's
(Freudenthal's) triangulation splits each cell into D! simplices: from the cell's lowest corner walk one coordinate up
at a time, largest fraction first. That simplex holds the point, with the differences of consecutive fractions as its
weights. Fractions are kept in UNIT-ths of a cell, so that weights are exact and rows sum to 1.

A *walk* is the index of the lowest corner and one *step* per coordinate, in the order in which they go up: the
coordinate times UNIT plus its fraction. A coordinate at the start of its cell never goes up; its step is D * UNIT,
and strides[D] is 0. The grid index of a policy is ``sum(level * stride)``.
"""

from __future__ import annotations

import math

import numpy as np

from rfos._kernels._jit import kernel

SHIFT = 13
UNIT = 1 << SHIFT

COUNTED_LEVELS = 64  # levels up to which counting, which has no branch to mispredict, beats bisection


@kernel
def locate(levels, p):
    """Return the cell of `levels` (L,), L >= 2, that holds probability `p`, and where in it, a fraction in [0, 1].

    Cell c runs from levels[c] to levels[c + 1], its lower end included; `p` outside all levels is clipped.
    """
    cell = np.uint64(0)
    if levels.size <= COUNTED_LEVELS:
        for i in range(1, levels.size - 1):
            cell += np.uint64(p >= levels[np.uint64(i)])
    else:
        beyond = np.uint64(levels.size - 1)
        while beyond - cell > np.uint64(1):
            middle = (cell + beyond) >> np.uint64(1)
            if p >= levels[middle]:
                cell = middle
            else:
                beyond = middle
    low = levels[cell]
    fraction = (p - low) / (levels[cell + np.uint64(1)] - low)
    return np.int64(cell), min(max(fraction, 0.0), 1.0)


@kernel
def place(levels, nearest, p):
    """Return the cell of a level grid that holds p, clipped to the grid, times UNIT, plus its place in the cell.

    With `nearest` the place is that of the nearest level, the higher one on ties.
    """
    cell, fraction = locate(levels, p)
    if nearest:
        upper = p - levels[cell] >= levels[cell + 1] - p
        return (cell + 1) * UNIT if upper else cell * UNIT
    return cell * UNIT + np.int64(math.floor(fraction * UNIT + 0.5))


@kernel
def step_of(key, n):
    """Return the step of the coordinate whose fraction, times 256, and number make up a key."""
    fraction = key >> 8
    return (key & 255) << SHIFT | fraction if fraction > 0 else n << SHIFT


@kernel
def walk(places, strides, steps):
    """Return the lowest corner around `places` (D,) int64 and fill `steps` (D,); `strides` (D+1,).

    Of equal fractions the later coordinate goes up first.
    """
    n = places.shape[0]
    corner = np.int64(0)
    # A coordinate's turn is the number of larger keys, its number in the low bits: no branch to mispredict.
    if n == 5:  # memory-one policies: in registers
        i0, i1, i2, i3, i4 = np.uint64(0), np.uint64(1), np.uint64(2), np.uint64(3), np.uint64(4)
        p0, p1, p2, p3, p4 = places[i0], places[i1], places[i2], places[i3], places[i4]
        corner += (p0 >> SHIFT) * strides[i0] + (p1 >> SHIFT) * strides[i1] + (p2 >> SHIFT) * strides[i2]
        corner += (p3 >> SHIFT) * strides[i3] + (p4 >> SHIFT) * strides[i4]
        k0, k1, k2 = (p0 & (UNIT - 1)) << 8, (p1 & (UNIT - 1)) << 8 | 1, (p2 & (UNIT - 1)) << 8 | 2
        k3, k4 = (p3 & (UNIT - 1)) << 8 | 3, (p4 & (UNIT - 1)) << 8 | 4
        c01, c02, c03, c04 = np.uint64(k1 > k0), np.uint64(k2 > k0), np.uint64(k3 > k0), np.uint64(k4 > k0)
        c12, c13, c14 = np.uint64(k2 > k1), np.uint64(k3 > k1), np.uint64(k4 > k1)
        c23, c24, c34 = np.uint64(k3 > k2), np.uint64(k4 > k2), np.uint64(k4 > k3)
        steps[c01 + c02 + c03 + c04] = step_of(k0, 5)
        steps[i1 - c01 + c12 + c13 + c14] = step_of(k1, 5)
        steps[i2 - c02 - c12 + c23 + c24] = step_of(k2, 5)
        steps[i3 - c03 - c13 - c23 + c34] = step_of(k3, 5)
        steps[i4 - c04 - c14 - c24 - c34] = step_of(k4, 5)
        return corner
    for i in range(n):
        corner += (places[i] >> SHIFT) * strides[i]
        key = (places[i] & (UNIT - 1)) << 8 | i
        turn = 0
        for j in range(n):
            turn += ((places[j] & (UNIT - 1)) << 8 | j) > key
        steps[turn] = step_of(key, n)
    return corner


@kernel
def mean_of_corners(values, strides, corner, steps):
    """Return the barycentric mean of `values` on a walk, lowest corner first; `strides` (D+1,), `steps` (D,) or (0,).

    No steps mean the value of the one corner.
    """
    at = np.uint64(corner)
    left = np.int64(UNIT)
    total = 0.0
    for i in range(steps.shape[0]):
        step = np.int64(steps[np.uint64(i)])
        fraction = step & (UNIT - 1)
        total += (left - fraction) * values[at]
        at += np.uint64(strides[np.uint64(step >> SHIFT)])
        left = fraction
    return (total + left * values[at]) / UNIT


@kernel
def mean_of_six(values, strides, corner, steps, first):
    """Return what `mean_of_corners` does for the five steps of a memory-one policy from steps[first] on.

    Written out, everything stays in registers: three times as fast. Only the sign of a zero may differ.
    """
    i1, i2, i3, i4 = np.uint64(first + 1), np.uint64(first + 2), np.uint64(first + 3), np.uint64(first + 4)
    s0, s1, s2 = np.int64(steps[np.uint64(first)]), np.int64(steps[i1]), np.int64(steps[i2])
    s3, s4 = np.int64(steps[i3]), np.int64(steps[i4])
    f0, f1, f2, f3, f4 = s0 & (UNIT - 1), s1 & (UNIT - 1), s2 & (UNIT - 1), s3 & (UNIT - 1), s4 & (UNIT - 1)
    c0 = np.uint64(corner)
    c1 = c0 + np.uint64(strides[np.uint64(s0 >> SHIFT)])
    c2 = c1 + np.uint64(strides[np.uint64(s1 >> SHIFT)])
    c3 = c2 + np.uint64(strides[np.uint64(s2 >> SHIFT)])
    c4 = c3 + np.uint64(strides[np.uint64(s3 >> SHIFT)])
    c5 = c4 + np.uint64(strides[np.uint64(s4 >> SHIFT)])
    lower = (UNIT - f0) * values[c0] + (f0 - f1) * values[c1] + (f1 - f2) * values[c2]
    return (lower + (f2 - f3) * values[c3] + (f3 - f4) * values[c4] + f4 * values[c5]) / UNIT


@kernel
def corners(strides, corner, steps, successor, probability):
    """Fill the corners `successor` (n, D+1) and weights `probability` (n, D+1) of walks `corner` (n,), `steps` (n, D).

    A corner that only coordinates at the start of their cells would leave is repeated with weight 0.
    """
    n_steps = steps.shape[1]
    for n in range(corner.shape[0]):
        at = np.int64(corner[n])
        left = np.int64(UNIT)
        for i in range(n_steps):
            step = np.int64(steps[n, i])
            fraction = step & (UNIT - 1)
            successor[n, i] = at
            probability[n, i] = (left - fraction) / UNIT
            at += strides[step >> SHIFT]
            left = fraction
        successor[n, n_steps] = at
        probability[n, n_steps] = left / UNIT
