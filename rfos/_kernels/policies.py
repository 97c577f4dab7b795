"""Meta-games of policies: exact returns, exact gradients and learning steps of every pair, and backups between cells.

Players have two actions; a policy is the probability of action 0 in each inner state. Policies of the grid are mixed
radix numbers of levels, first state the highest digit. A next policy is kept as one unsigned 16-bit number per entry:
its cell times `UNIT` plus its place in the cell in UNIT-ths, so that barycentric weights are exact multiples of 1/UNIT.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np

from rfos._kernels._jit import kernel
from rfos._kernels.grids import locate

Array = Any

NAIVE_LOGITS = 0
NAIVE_SIMPLEX = 1
SMOOTHED_BEST_RESPONSE = 2
Q_LEARNING = 3
FIXED = 4

SHIFT = 13
UNIT = 1 << SHIFT


class Game(NamedTuple):
    """A two-player stochastic game with two actions each, transitions as branches."""

    successor: Array  # (S, 4, B) int64, after joint action 2 * a_0 + a_1
    probability: Array  # (S, 4, B) float64
    rewards: Array  # (2, S, 4) float64
    initial: Array  # (S,) float64
    discount: Any


class Rule(NamedTuple):
    """How the opponent (player 1) learns."""

    kind: Any  # one of the constants above
    step: Any  # step size, or temperature of a softmax
    mixing: Any  # weight of the new in the next policy or values


@kernel
def learn(rule, p, occupancy, advantage):
    """Return the next probability of action 0, given its value advantage and the state's discounted occupancy."""
    if rule.kind == NAIVE_LOGITS:
        return p / (p + (1.0 - p) * math.exp(-rule.step * occupancy * p * (1.0 - p) * advantage))
    if rule.kind == NAIVE_SIMPLEX:
        return min(1.0, max(0.0, p + rule.step * occupancy * advantage / 2))
    if rule.kind == SMOOTHED_BEST_RESPONSE:
        return (1.0 - rule.mixing) * p + rule.mixing / (1.0 + math.exp(-advantage / rule.step))
    if rule.kind == Q_LEARNING:
        # Where p is 0 or 1 the logit is infinite and stays so, unless the old value is forgotten at once.
        odds = ((1.0 - p) / p) ** (1.0 - rule.mixing) if rule.mixing < 1.0 else 1.0
        return 1.0 / (1.0 + odds * math.exp(-rule.mixing * advantage / rule.step))
    return p


@kernel
def play_iterated(game, own, other, rule, following):
    """Return what `play` returns, for an iterated game with memory-one policies, five times as fast.

    With W the law of the next outcome after each outcome (4, 4) and w that of the first, the worth of outcomes is
    u_i = r_i + discount W u_i, their discounted counts are e = w + discount e W, and J_0 = (1 - discount) w u_0.
    """
    g = game.discount
    r0, r1 = game.rewards[0, 0], game.rewards[1, 0]
    x, y = own[1], other[1]
    a00, a01, a02, a03 = 1 - g * x * y, -g * x * (1 - y), -g * (1 - x) * y, -g * (1 - x) * (1 - y)
    x, y = own[2], other[2]
    a10, a11, a12, a13 = -g * x * y, 1 - g * x * (1 - y), -g * (1 - x) * y, -g * (1 - x) * (1 - y)
    x, y = own[3], other[3]
    a20, a21, a22, a23 = -g * x * y, -g * x * (1 - y), 1 - g * (1 - x) * y, -g * (1 - x) * (1 - y)
    x, y = own[4], other[4]
    a30, a31, a32, a33 = -g * x * y, -g * x * (1 - y), -g * (1 - x) * y, 1 - g * (1 - x) * (1 - y)
    # LU without pivoting: rows are strictly diagonally dominant.
    i0 = 1.0 / a00
    a10 *= i0
    a20 *= i0
    a30 *= i0
    a11 -= a10 * a01
    a12 -= a10 * a02
    a13 -= a10 * a03
    a21 -= a20 * a01
    a22 -= a20 * a02
    a23 -= a20 * a03
    a31 -= a30 * a01
    a32 -= a30 * a02
    a33 -= a30 * a03
    i1 = 1.0 / a11
    a21 *= i1
    a31 *= i1
    a22 -= a21 * a12
    a23 -= a21 * a13
    a32 -= a31 * a12
    a33 -= a31 * a13
    i2 = 1.0 / a22
    a32 *= i2
    a33 -= a32 * a23
    i3 = 1.0 / a33
    b1 = r0[1] - a10 * r0[0]
    b2 = r0[2] - a20 * r0[0] - a21 * b1
    u3 = (r0[3] - a30 * r0[0] - a31 * b1 - a32 * b2) * i3
    u2 = (b2 - a23 * u3) * i2
    u1 = (b1 - a12 * u2 - a13 * u3) * i1
    u0 = (r0[0] - a01 * u1 - a02 * u2 - a03 * u3) * i0
    b1 = r1[1] - a10 * r1[0]
    b2 = r1[2] - a20 * r1[0] - a21 * b1
    v3 = (r1[3] - a30 * r1[0] - a31 * b1 - a32 * b2) * i3
    v2 = (b2 - a23 * v3) * i2
    v1 = (b1 - a12 * v2 - a13 * v3) * i1
    v0 = (r1[0] - a01 * v1 - a02 * v2 - a03 * v3) * i0
    x, y = own[0], other[0]
    w0, w1, w2, w3 = x * y, x * (1 - y), (1 - x) * y, (1 - x) * (1 - y)
    b0 = w0 * i0
    b1 = (w1 - a01 * b0) * i1
    b2 = (w2 - a02 * b0 - a12 * b1) * i2
    e3 = (w3 - a03 * b0 - a13 * b1 - a23 * b2) * i3
    e2 = b2 - a32 * e3
    e1 = b1 - a21 * e2 - a31 * e3
    e0 = b0 - a10 * e1 - a20 * e2 - a30 * e3
    up, down = v0 - v1, v2 - v3
    following[0] = learn(rule, other[0], 1.0, own[0] * up + (1 - own[0]) * down)
    following[1] = learn(rule, other[1], g * e0, own[1] * up + (1 - own[1]) * down)
    following[2] = learn(rule, other[2], g * e1, own[2] * up + (1 - own[2]) * down)
    following[3] = learn(rule, other[3], g * e2, own[3] * up + (1 - own[3]) * down)
    following[4] = learn(rule, other[4], g * e3, own[4] * up + (1 - own[4]) * down)
    own_return = (1 - g) * (w0 * u0 + w1 * u1 + w2 * u2 + w3 * u3)
    return own_return, (1 - g) * (w0 * v0 + w1 * v1 + w2 * v2 + w3 * v3)


@kernel
def play(game, own, other, rule, system, vectors, following):
    """Return both normalised returns and fill the opponent's next policy `following` (S,).

    `own`, `other` (S,) are the probabilities of action 0; `system` (S, S) and `vectors` (3, S) are scratch. One LU
    factorisation serves both value functions and, transposed, the occupancy. I - discount P is strictly diagonally
    dominant by rows, so it needs no pivoting.
    """
    n_states = own.shape[0]
    n_branches = game.successor.shape[2]
    discount = game.discount
    for s in range(n_states):
        for t in range(n_states):
            system[s, t] = 0.0
        system[s, s] = 1.0
        vectors[0, s] = 0.0
        vectors[1, s] = 0.0
        vectors[2, s] = game.initial[s]
        for j in range(4):
            weight = (own[s] if j < 2 else 1.0 - own[s]) * (other[s] if j % 2 == 0 else 1.0 - other[s])
            vectors[0, s] += weight * game.rewards[0, s, j]
            vectors[1, s] += weight * game.rewards[1, s, j]
            for b in range(n_branches):
                system[s, game.successor[s, j, b]] -= discount * weight * game.probability[s, j, b]
    # LU in place: L has a unit diagonal, U keeps the reciprocals of its own.
    for k in range(n_states):
        system[k, k] = 1.0 / system[k, k]
        for s in range(k + 1, n_states):
            factor = system[s, k] * system[k, k]
            system[s, k] = factor
            if factor != 0.0:
                for t in range(k + 1, n_states):
                    system[s, t] -= factor * system[k, t]
                vectors[0, s] -= factor * vectors[0, k]
                vectors[1, s] -= factor * vectors[1, k]
    for s in range(n_states - 1, -1, -1):
        for t in range(s + 1, n_states):
            vectors[0, s] -= system[s, t] * vectors[0, t]
            vectors[1, s] -= system[s, t] * vectors[1, t]
        vectors[0, s] *= system[s, s]
        vectors[1, s] *= system[s, s]
    # The transposed system: U' first, then L'.
    for s in range(n_states):
        for t in range(s):
            vectors[2, s] -= system[t, s] * vectors[2, t]
        vectors[2, s] *= system[s, s]
    for s in range(n_states - 1, -1, -1):
        for t in range(s + 1, n_states):
            vectors[2, s] -= system[t, s] * vectors[2, t]
    values = 0.0, 0.0
    for s in range(n_states):
        values = values[0] + game.initial[s] * vectors[0, s], values[1] + game.initial[s] * vectors[1, s]
    for s in range(n_states):
        # What the opponent gains by action 0 over action 1, in un-normalised value.
        advantage = 0.0
        for j in range(4):
            weight = own[s] if j < 2 else 1.0 - own[s]
            q = game.rewards[1, s, j]
            for b in range(n_branches):
                q += discount * game.probability[s, j, b] * vectors[1, game.successor[s, j, b]]
            advantage += weight * q if j % 2 == 0 else -weight * q
        following[s] = learn(rule, other[s], vectors[2, s], advantage)
    return (1.0 - discount) * values[0], (1.0 - discount) * values[1]


@kernel
def unpack(index, levels, policy):
    """Fill `policy` (S,) with the levels of a grid index."""
    size = levels.shape[0]
    for s in range(policy.shape[0] - 1, -1, -1):
        policy[s] = levels[index % size]
        index //= size


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
def mean_of_corners(values, strides, places, keys):
    """Return the barycentric mean of `values` at a place: the corners of its Kuhn simplex, weights exact UNIT-ths.

    `places` (S,) are cells and fractions, `keys` (S,) int64 is scratch. The corners are walked from the cell's lowest
    one by steps along the entries in the order of their fractions, largest first (Freudenthal 1942; Kuhn 1960).
    """
    n_entries = places.shape[0]
    corner = np.int64(0)
    for i in range(n_entries):
        packed = np.int64(places[i])
        corner += (packed >> SHIFT) * strides[i]
        # Insertion by minima and maxima has no branch to mispredict; the entry rides in the low bits.
        key = (packed & (UNIT - 1)) << 8 | i
        for j in range(i):
            larger = max(keys[j], key)
            key = min(keys[j], key)
            keys[j] = larger
        keys[i] = key
    left = np.int64(UNIT)
    total = 0.0
    for i in range(n_entries):
        fraction = keys[i] >> 8
        if fraction == 0:
            break
        total += (left - fraction) * values[corner]
        corner += strides[keys[i] & 255]
        left = fraction
    return (total + left * values[corner]) / UNIT


@kernel
def backup_places(rewards, places, strides, discount, values, q):
    """Fill `q` (X, A) from a table of `rewards` (X, A) and `places` (X, A, S) and from `values` (X,)."""
    keys = np.empty(strides.shape[0], np.int64)
    for x in range(rewards.shape[0]):
        for a in range(rewards.shape[1]):
            mean = mean_of_corners(values, strides, places[x, a], keys)
            q[x, a] = np.float64(rewards[x, a]) + discount * mean


@kernel
def improve_places(rewards, places, strides, discount, values, new_values, policy, first, last):
    """Fill `new_values` (X,) and `policy` (X,) for meta-states `first` to `last` - 1; ties by index."""
    keys = np.empty(strides.shape[0], np.int64)
    for x in range(first, last):
        best = 0.0
        chosen = 0
        for a in range(rewards.shape[1]):
            mean = mean_of_corners(values, strides, places[x, a], keys)
            q = np.float64(rewards[x, a]) + discount * mean
            if a == 0 or q > best:
                best = q
                chosen = a
        new_values[x] = best
        policy[x] = chosen


@kernel
def corners_of_places(places, strides, successor, probability):
    """Fill the corners `successor` (n, S+1) and weights `probability` (n, S+1) of `places` (n, S)."""
    n_entries = strides.shape[0]
    keys = np.empty(n_entries, np.int64)
    for n in range(places.shape[0]):
        corner = np.int64(0)
        for i in range(n_entries):
            packed = np.int64(places[n, i])
            corner += (packed >> SHIFT) * strides[i]
            keys[i] = (packed & (UNIT - 1)) << 8 | i
        # Descending; the same order as `mean_of_corners` walks.
        order = np.sort(keys)[::-1]
        left = np.int64(UNIT)
        for i in range(n_entries):
            fraction = order[i] >> 8
            successor[n, i] = corner
            probability[n, i] = (left - fraction) / UNIT
            if fraction > 0:
                corner += strides[order[i] & 255]
            left = fraction
        successor[n, n_entries] = corner
        probability[n, n_entries] = left / UNIT


@kernel
def roll_out(
    game, rule, iterated, own_levels, levels, strides, discount, values, policy, starts, returns, moves, first, last
):
    """Play the continuous meta-game from `starts` (N, S), the opponent unrounded; fill `returns` (N, 2) per step.

    Only starts `first` to `last` - 1, so that threads share the work. With an empty `policy` the shaper looks one step
    ahead with `values`; else it plays that of the nearest grid point. `moves` (N, T) receives its actions.
    """
    n_states = starts.shape[1]
    n_actions = own_levels.shape[0] ** n_states
    system = np.empty((n_states, n_states))
    vectors = np.empty((3, n_states))
    own, following = np.empty(n_states), np.empty(n_states)
    keys = np.empty(n_states, np.int64)
    places = np.empty(n_states, np.int64)
    for n in range(first, last):
        other = starts[n].copy()
        returns[n, 0] = 0.0
        returns[n, 1] = 0.0
        for step in range(moves.shape[1]):
            chosen = 0
            if policy.shape[0] > 0:
                nearest = np.int64(0)
                for s in range(n_states):
                    nearest += (place(levels, True, other[s]) >> SHIFT) * strides[s]
                chosen = policy[nearest]
            else:
                best = -np.inf
                for a in range(n_actions):
                    unpack(a, own_levels, own)
                    if iterated:
                        q = play_iterated(game, own, other, rule, following)[0]
                    else:
                        q = play(game, own, other, rule, system, vectors, following)[0]
                    for s in range(n_states):
                        places[s] = place(levels, False, following[s])
                    q += discount * mean_of_corners(values, strides, places, keys)
                    if q > best:
                        best = q
                        chosen = a
            unpack(chosen, own_levels, own)
            if iterated:
                both = play_iterated(game, own, other, rule, following)
            else:
                both = play(game, own, other, rule, system, vectors, following)
            returns[n, 0] += both[0] / moves.shape[1]
            returns[n, 1] += both[1] / moves.shape[1]
            moves[n, step] = chosen
            other[:] = following


@kernel
def fill(game, rule, iterated, own_levels, levels, nearest, rewards, places, first, last):
    """Fill `rewards` (X, A) float32 and `places` (X, A, S) uint16 of meta-states `first` to `last` - 1."""
    n_states = game.initial.shape[0]
    system = np.empty((n_states, n_states))
    vectors = np.empty((3, n_states))
    own, other, following = np.empty(n_states), np.empty(n_states), np.empty(n_states)
    for x in range(first, last):
        unpack(x, levels, other)
        for a in range(rewards.shape[1]):
            unpack(a, own_levels, own)
            if iterated:
                rewards[x, a] = play_iterated(game, own, other, rule, following)[0]
            else:
                rewards[x, a] = play(game, own, other, rule, system, vectors, following)[0]
            for s in range(n_states):
                places[x, a, s] = place(levels, nearest, following[s])


@kernel
def frozen_moves(levels, strides, places, first, last):
    """Return how many pairs of meta-states `first` to `last` - 1 nearest rounding puts back where they were."""
    count = 0
    for x in range(first, last):
        for a in range(places.shape[1]):
            back = np.int64(0)
            for s in range(strides.shape[0]):
                packed = np.int64(places[x, a, s])
                cell, fraction = packed >> SHIFT, packed & (UNIT - 1)
                if fraction > 0:
                    p = levels[cell] + (levels[cell + 1] - levels[cell]) * fraction / UNIT
                    cell += np.int64(p - levels[cell] >= levels[cell + 1] - p)
                back += cell * strides[s]
            count += np.int64(back == x)
    return count


@kernel
def hold(game, rule, iterated, policies, starts, n_steps, returns, first, last):
    """Fill `returns` (M, N, 2) per step of shapers who hold policy m (M, S) against opponents from `starts` (N, S).

    Only policies `first` to `last` - 1, so that threads share the work.
    """
    n_states = starts.shape[1]
    system = np.empty((n_states, n_states))
    vectors = np.empty((3, n_states))
    other, following = np.empty(n_states), np.empty(n_states)
    for m in range(first, last):
        for n in range(starts.shape[0]):
            other[:] = starts[n]
            returns[m, n, 0] = 0.0
            returns[m, n, 1] = 0.0
            for _ in range(n_steps):
                if iterated:
                    both = play_iterated(game, policies[m], other, rule, following)
                else:
                    both = play(game, policies[m], other, rule, system, vectors, following)
                returns[m, n, 0] += both[0] / n_steps
                returns[m, n, 1] += both[1] / n_steps
                other[:] = following
