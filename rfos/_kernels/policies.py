"""Meta-games of policies: exact returns, exact gradients and learning steps of every pair, and backups between cells.

Players have two actions; a policy is the probability of action 0 in each inner state. Policies of the grid are mixed
radix numbers of levels, first state the highest digit. A next policy is kept as its walk (see `grids`).
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np

from rfos._kernels._jit import kernel
from rfos._kernels.grids import SHIFT, mean_of_corners, mean_of_six, place, walk

Array = Any

NAIVE_LOGITS = 0
NAIVE_SIMPLEX = 1
SMOOTHED_BEST_RESPONSE = 2
Q_LEARNING = 3
FIXED = 4
LOLA_EXACT = 5
LOLA_FIRST_ORDER = 6
LOLA_SHAPING = 7
BEST_RESPONSE = 8
BEST_RESPONSE_WITHIN = 9  # the meta-step is scored with the reply
ADVANTAGES = 10  # no learner: `learn` returns the advantage itself

SCRATCH = 10  # rows of the scratch `vectors`


class Game(NamedTuple):
    """A two-player stochastic game with two actions each, transitions as branches."""

    successor: Array  # (S, 4, B) int64, after joint action 2 * a_0 + a_1
    probability: Array  # (S, 4, B) float64
    rewards: Array  # (2, S, 4) float64
    initial: Array  # (S,) float64
    discount: Any


class Rule(NamedTuple):
    """How the opponent (player 1) learns."""

    kind: Any  # one of the constants above; those below LOLA_EXACT are local, `learn` is all they need
    step: Any  # step size, or temperature of a softmax
    mixing: Any  # weight of the new in the next policy or values; LOLA: the step size imagined for the shaper


@kernel
def logistic(log_odds):
    """Return 1/(1 + exp(-log_odds)) without overflow."""
    if log_odds >= 0:
        return 1.0 / (1.0 + math.exp(-log_odds))
    odds = math.exp(log_odds)
    return odds / (1.0 + odds)


@kernel
def move_logit(p, by):
    """Return the probability whose logit is that of p plus `by`; 0 and 1 stay, and no exponential overflows."""
    if by < -709.78:
        return 0.0 if p < 1.0 else 1.0
    return p / (p + (1.0 - p) * math.exp(-by))


@kernel
def learn(rule, p, occupancy, advantage):
    """Return the next probability of action 0, given its value advantage and the state's discounted occupancy."""
    if rule.kind == NAIVE_LOGITS:
        return move_logit(p, rule.step * occupancy * p * (1.0 - p) * advantage)
    if rule.kind == NAIVE_SIMPLEX:
        return min(1.0, max(0.0, p + rule.step * occupancy * advantage / 2))
    if rule.kind == SMOOTHED_BEST_RESPONSE:
        return (1.0 - rule.mixing) * p + rule.mixing * logistic(advantage / rule.step)
    if rule.kind == Q_LEARNING:
        if rule.mixing == 1.0:  # the old value is forgotten at once
            return logistic(advantage / rule.step)
        if p == 0.0 or p == 1.0:  # the logit is infinite and stays so
            return p
        old = math.log(p) - math.log1p(-p)
        return logistic((1.0 - rule.mixing) * old + rule.mixing * advantage / rule.step)
    if rule.kind == ADVANTAGES:
        return advantage
    return p


@kernel
def play_iterated(game, own, other, rule, following):
    """Return what `play` returns, for an iterated game with memory-one policies, five times as fast; `rule` is local.

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
def factor(game, own, other, system):
    """Fill `system` (S, S) with the LU factors of I - discount P: L has a unit diagonal, U reciprocals of its own.

    `own`, `other` (S,) are the probabilities of action 0. The matrix is strictly diagonally dominant by rows, so it
    needs no pivoting.
    """
    n_states = own.shape[0]
    for s in range(n_states):
        for t in range(n_states):
            system[s, t] = 0.0
        system[s, s] = 1.0
        for j in range(4):
            weight = (own[s] if j < 2 else 1.0 - own[s]) * (other[s] if j % 2 == 0 else 1.0 - other[s])
            for b in range(game.successor.shape[2]):
                system[s, game.successor[s, j, b]] -= game.discount * weight * game.probability[s, j, b]
    for k in range(n_states):
        system[k, k] = 1.0 / system[k, k]
        for s in range(k + 1, n_states):
            multiple = system[s, k] * system[k, k]
            system[s, k] = multiple
            if multiple != 0.0:
                for t in range(k + 1, n_states):
                    system[s, t] -= multiple * system[k, t]


@kernel
def solve_values(system, vector):
    """Replace `vector` (S,) by (I - discount P)^-1 vector, given the factors."""
    n_states = vector.shape[0]
    for s in range(n_states):
        for t in range(s):
            vector[s] -= system[s, t] * vector[t]
    for s in range(n_states - 1, -1, -1):
        for t in range(s + 1, n_states):
            vector[s] -= system[s, t] * vector[t]
        vector[s] *= system[s, s]


@kernel
def solve_occupancy(system, vector):
    """Replace `vector` (S,) by vector (I - discount P)^-1, given the factors."""
    n_states = vector.shape[0]
    for s in range(n_states):
        for t in range(s):
            vector[s] -= system[t, s] * vector[t]
        vector[s] *= system[s, s]
    for s in range(n_states - 1, -1, -1):
        for t in range(s + 1, n_states):
            vector[s] -= system[t, s] * vector[t]


@kernel
def value_of(game, own, other, player, system, values):
    """Fill `values` (S,) with a player's un-normalised values, given the factors of this pair of policies."""
    for s in range(values.shape[0]):
        values[s] = 0.0
        for j in range(4):
            weight = (own[s] if j < 2 else 1.0 - own[s]) * (other[s] if j % 2 == 0 else 1.0 - other[s])
            values[s] += weight * game.rewards[player, s, j]
    solve_values(system, values)


@kernel
def gain(game, player, mover, s, held, rewarded, values):
    """Return how much more of rewards + discount * values action 0 of `mover` brings `player` than action 1.

    `held` is the probability of the other player's action 0; `rewarded` (0 or 1) says whether rewards count.
    """
    total = 0.0
    for j in range(4):
        q = rewarded * game.rewards[player, s, j]
        for b in range(game.successor.shape[2]):
            q += game.discount * game.probability[s, j, b] * values[game.successor[s, j, b]]
        own_first, other_first = j < 2, j % 2 == 0
        first, weighed = (own_first, other_first) if mover == 0 else (other_first, own_first)
        weight = held if weighed else 1.0 - held
        total += weight * q if first else -weight * q
    return total


@kernel
def play(game, own, other, rule, system, vectors, following):
    """Return both normalised returns and fill the opponent's next policy `following` (S,).

    `own`, `other` (S,) are the probabilities of action 0; `system` (S, S) and `vectors` (SCRATCH, S) are scratch. One
    LU factorisation serves both value functions and, transposed, the occupancy.
    """
    n_states = own.shape[0]
    factor(game, own, other, system)
    value_of(game, own, other, 0, system, vectors[0])
    value_of(game, own, other, 1, system, vectors[1])
    vectors[2] = game.initial
    solve_occupancy(system, vectors[2])
    first = second = 0.0
    for s in range(n_states):
        first += game.initial[s] * vectors[0, s]
        second += game.initial[s] * vectors[1, s]
    for s in range(n_states):
        advantage = gain(game, 1, 1, s, own[s], 1.0, vectors[1])
        following[s] = learn(rule, other[s], vectors[2, s], advantage)
    return (1.0 - game.discount) * first, (1.0 - game.discount) * second


@kernel
def reply(game, own, other, rule, system, vectors, following):
    """Fill `following` (S,) with a mixture of the old policy and the best response, ties to action 0.

    Policy iteration with strict improvement ends, because there are finitely many pure policies.
    """
    n_states = own.shape[0]
    best, trial = vectors[3], vectors[4]
    for s in range(n_states):
        trial[s] = 1.0 if other[s] >= 0.5 else 0.0
    advantages = Rule(ADVANTAGES, 0.0, 0.0)
    improved = True
    while improved:
        improved = False
        play(game, own, trial, advantages, system, vectors, best)
        for s in range(n_states):
            better = -best[s] if trial[s] == 1.0 else best[s]
            if better > 1e-12 * (1.0 + abs(vectors[1, s] + better)):
                trial[s] = 1.0 - trial[s]
                improved = True
    for s in range(n_states):
        chosen = 1.0 if best[s] >= -1e-12 * (1.0 + abs(vectors[1, s])) else 0.0
        following[s] = (1.0 - rule.mixing) * other[s] + rule.mixing * chosen


@kernel
def mixed_derivative(game, own, other, player, value, occupancy, turn, system, dvalue, doccupancy, mixed):
    """Add to `mixed` (S,) what moving the shaper along `turn` (S,) does to a player's gain of the opponent's action 0.

    `value` (S,) holds the player's un-normalised values, `occupancy` (S,) the discounted one, `system` the factors of
    this pair of policies. Exact: the linear systems are differentiated. `dvalue`, `doccupancy` (S,) are scratch.
    """
    n_states = own.shape[0]
    for s in range(n_states):
        dvalue[s] = turn[s] * gain(game, player, 0, s, other[s], 1.0, value)
        doccupancy[s] = 0.0
    for s in range(n_states):
        for j in range(4):
            weight = (turn[s] if j < 2 else -turn[s]) * (other[s] if j % 2 == 0 else 1.0 - other[s])
            for b in range(game.successor.shape[2]):
                moved = game.discount * weight * game.probability[s, j, b]
                doccupancy[game.successor[s, j, b]] += moved * occupancy[s]
    solve_values(system, dvalue)
    solve_occupancy(system, doccupancy)
    for s in range(n_states):
        played = gain(game, player, 1, s, own[s], 1.0, value)
        # The same along the direction (turn, -turn): the difference between its two pure ends.
        along = turn[s] * (gain(game, player, 1, s, 1.0, 1.0, value) - gain(game, player, 1, s, 0.0, 1.0, value))
        moved = gain(game, player, 1, s, own[s], 0.0, dvalue)
        mixed[s] += (along + moved) * occupancy[s] + played * doccupancy[s]


@kernel
def look_through(game, own, other, rule, system, vectors, following):
    """Fill `following` (S,) with LOLA's next policy: the gradient step through one naive step of the shaper.

    With p, q the probabilities of action 0 and logits as parameters, the shaper's imagined step is that of
    `learn(NAIVE_LOGITS)` with step `rule.mixing`. LOLA_EXACT takes the opponent's gradients where the shaper would be
    after that step; the others where it is, LOLA_FIRST_ORDER with the derivative of both factors of the Taylor term,
    LOLA_SHAPING with that of the shaper's step alone.
    """
    n_states = own.shape[0]
    value, other_value, occupancy, imagined, ascent = vectors[0], vectors[1], vectors[2], vectors[3], vectors[4]
    turn, dvalue, doccupancy, mixed = vectors[5], vectors[6], vectors[7], vectors[8]
    factor(game, own, other, system)
    value_of(game, own, other, 0, system, value)
    occupancy[:] = game.initial
    solve_occupancy(system, occupancy)
    naive = Rule(NAIVE_LOGITS, rule.mixing, 0.0)
    for s in range(n_states):
        mixed[s] = 0.0
        if rule.kind == LOLA_EXACT:
            imagined[s] = learn(naive, own[s], occupancy[s], gain(game, 0, 0, s, other[s], 1.0, value))
        else:
            imagined[s] = own[s]
    # The opponent's own gradients where the shaper is imagined.
    factor(game, imagined, other, system)
    value_of(game, imagined, other, 1, system, other_value)
    doccupancy[:] = game.initial
    solve_occupancy(system, doccupancy)
    for s in range(n_states):
        ascent[s] = doccupancy[s] * gain(game, 1, 1, s, imagined[s], 1.0, other_value)
        through = doccupancy[s] * gain(game, 1, 0, s, other[s], 1.0, other_value)
        turn[s] = own[s] * (1.0 - own[s]) * imagined[s] * (1.0 - imagined[s]) * through
    # What moving the shaper along `turn` does to its own step.
    factor(game, own, other, system)
    mixed_derivative(game, own, other, 0, value, occupancy, turn, system, dvalue, doccupancy, mixed)
    if rule.kind == LOLA_FIRST_ORDER:
        # What moving the shaper along its own step does to the opponent's gradient.
        for s in range(n_states):
            spread = own[s] * (1.0 - own[s])
            turn[s] = spread * spread * occupancy[s] * gain(game, 0, 0, s, other[s], 1.0, value)
        mixed_derivative(game, own, other, 1, other_value, occupancy, turn, system, dvalue, doccupancy, mixed)
    for s in range(n_states):
        slope = other[s] * (1.0 - other[s]) * (ascent[s] + rule.mixing * mixed[s])
        following[s] = move_logit(other[s], rule.step * slope)


@kernel
def meet(game, rule, own, other, system, vectors, following):
    """Return what `play` returns, for every rule: also those that need more than the opponent's own values."""
    if rule.kind < LOLA_EXACT:
        return play(game, own, other, rule, system, vectors, following)
    if rule.kind < BEST_RESPONSE:
        look_through(game, own, other, rule, system, vectors, following)
    else:
        reply(game, own, other, rule, system, vectors, following)
    met = following if rule.kind == BEST_RESPONSE_WITHIN else other
    return play(game, own, met, Rule(FIXED, 0.0, 0.0), system, vectors, vectors[3])


@kernel
def unpack(index, levels, policy):
    """Fill `policy` (S,) with the levels of a grid index."""
    size = levels.shape[0]
    for s in range(policy.shape[0] - 1, -1, -1):
        policy[s] = levels[index % size]
        index //= size


@kernel
def land(levels, nearest, following, strides, places, steps):
    """Return the lowest corner around the next policy `following` (S,) and fill `steps` (S,); `places` is scratch."""
    for s in range(following.shape[0]):
        places[s] = place(levels, nearest, following[s])
    return walk(places, strides, steps)


@kernel
def backup_table(rewards, corner, steps, strides, discount, values, q):
    """Fill `q` (X, A) from a table of `rewards` and `corner` (X, A), `steps` (X, A, S), and from `values` (X,)."""
    for x in range(rewards.shape[0]):
        for a in range(rewards.shape[1]):
            mean = mean_of_corners(values, strides, corner[x, a], steps[x, a])
            q[x, a] = np.float64(rewards[x, a]) + discount * mean


@kernel
def improve_table(rewards, corner, steps, strides, discount, values, new_values, policy, table, first, last):
    """Fill `new_values` and `policy` (X,), and `table` (X, A) with Q if it has rows; states `first` to `last` - 1."""
    n_actions, n_steps = steps.shape[1], steps.shape[2]
    flat = steps.reshape(steps.size)
    for x in range(first, last):
        best = -np.inf
        chosen = 0
        for a in range(rewards.shape[1]):
            if n_steps == 5:
                mean = mean_of_six(values, strides, corner[x, a], flat, 5 * (x * n_actions + a))
            else:
                mean = mean_of_corners(values, strides, corner[x, a], steps[x, a])
            q = np.float64(rewards[x, a]) + discount * mean
            if table.shape[0] > 0:
                table[x, a] = q
            if q > best:
                best = q
                chosen = a
        new_values[x] = best
        policy[x] = chosen


@kernel
def roll_out(
    game,
    rule,
    iterated,
    own_levels,
    levels,
    strides,
    discount,
    values,
    policy,
    starts,
    rewards,
    moves,
    path,
    first,
    last,
):
    """Play the continuous meta-game from `starts` (N, S), the opponent unrounded; fill `rewards` (N, T, 2).

    Only starts `first` to `last` - 1, so that threads share the work. With an empty `policy` the shaper looks one step
    ahead with `values`; else it plays that of the nearest grid point. `moves` (N, T) receives its actions, `path`
    (N, T, S) the opponent's policies as they are played.
    """
    n_states = starts.shape[1]
    n_actions = own_levels.shape[0] ** n_states
    system = np.empty((n_states, n_states))
    vectors = np.empty((SCRATCH, n_states))
    own, following = np.empty(n_states), np.empty(n_states)
    places, steps = np.empty(n_states, np.int64), np.empty(n_states, np.int64)
    for n in range(first, last):
        other = starts[n].copy()
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
                        q = meet(game, rule, own, other, system, vectors, following)[0]
                    corner = land(levels, False, following, strides, places, steps)
                    q += discount * mean_of_corners(values, strides, corner, steps)
                    if q > best:
                        best = q
                        chosen = a
            unpack(chosen, own_levels, own)
            if iterated:
                both = play_iterated(game, own, other, rule, following)
            else:
                both = meet(game, rule, own, other, system, vectors, following)
            rewards[n, step, 0], rewards[n, step, 1] = both
            moves[n, step] = chosen
            path[n, step] = following if rule.kind == BEST_RESPONSE_WITHIN else other
            other[:] = following


@kernel
def fill(game, rule, iterated, own_levels, levels, nearest, strides, rewards, corner, steps, first, last):
    """Fill `rewards` and `corner` (X, A) and `steps` (X, A, S or 0) of meta-states `first` to `last` - 1."""
    n_states = game.initial.shape[0]
    system = np.empty((n_states, n_states))
    vectors = np.empty((SCRATCH, n_states))
    own, other, following = np.empty(n_states), np.empty(n_states), np.empty(n_states)
    places, walked = np.empty(n_states, np.int64), np.empty(n_states, np.int64)
    for x in range(first, last):
        unpack(x, levels, other)
        for a in range(rewards.shape[1]):
            unpack(a, own_levels, own)
            if iterated:
                rewards[x, a] = play_iterated(game, own, other, rule, following)[0]
            else:
                rewards[x, a] = meet(game, rule, own, other, system, vectors, following)[0]
            corner[x, a] = land(levels, nearest, following, strides, places, walked)
            for i in range(steps.shape[2]):
                steps[x, a, i] = walked[i]


@kernel
def fill_pairs(
    game, rule, iterated, own_levels, levels, nearest, strides, states, actions, rewards, corner, steps, first, last
):
    """Fill `rewards` and `corner` (K,) and `steps` (K, S or 0) of pairs (states[i], actions[i]), a range of them."""
    n_states = game.initial.shape[0]
    system = np.empty((n_states, n_states))
    vectors = np.empty((SCRATCH, n_states))
    own, other, following = np.empty(n_states), np.empty(n_states), np.empty(n_states)
    places, walked = np.empty(n_states, np.int64), np.empty(n_states, np.int64)
    for i in range(first, last):
        unpack(states[i], levels, other)
        unpack(actions[i], own_levels, own)
        if iterated:
            rewards[i] = play_iterated(game, own, other, rule, following)[0]
        else:
            rewards[i] = meet(game, rule, own, other, system, vectors, following)[0]
        corner[i] = land(levels, nearest, following, strides, places, walked)
        for s in range(steps.shape[1]):
            steps[i, s] = walked[s]


@kernel
def improve_on_the_fly(
    game, rule, iterated, own_levels, levels, nearest, strides, discount, values, new_values, policy, table, first, last
):
    """Do what `improve_table` does, each pair evaluated when it is needed."""
    n_states = game.initial.shape[0]
    n_actions = own_levels.shape[0] ** n_states
    system = np.empty((n_states, n_states))
    vectors = np.empty((SCRATCH, n_states))
    own, other, following = np.empty(n_states), np.empty(n_states), np.empty(n_states)
    places, steps = np.empty(n_states, np.int64), np.empty(n_states, np.int64)
    for x in range(first, last):
        unpack(x, levels, other)
        best = -np.inf
        chosen = 0
        for a in range(n_actions):
            unpack(a, own_levels, own)
            if iterated:
                reward = play_iterated(game, own, other, rule, following)[0]
            else:
                reward = meet(game, rule, own, other, system, vectors, following)[0]
            corner = land(levels, nearest, following, strides, places, steps)
            if n_states == 5:
                mean = mean_of_six(values, strides, corner, steps, 0)
            else:
                mean = mean_of_corners(values, strides, corner, steps)
            q = np.float64(np.float32(reward)) + discount * mean
            if table.shape[0] > 0:
                table[x, a] = q
            if q > best:
                best = q
                chosen = a
        new_values[x] = best
        policy[x] = chosen


@kernel
def frozen_moves(game, rule, iterated, own_levels, levels, strides, first, last):
    """Return in how many pairs of states `first` to `last` - 1 the learner moves and nearest rounding puts it back."""
    n_states = game.initial.shape[0]
    system = np.empty((n_states, n_states))
    vectors = np.empty((SCRATCH, n_states))
    own, other, following = np.empty(n_states), np.empty(n_states), np.empty(n_states)
    count = 0
    for x in range(first, last):
        unpack(x, levels, other)
        for a in range(own_levels.shape[0] ** n_states):
            unpack(a, own_levels, own)
            if iterated:
                play_iterated(game, own, other, rule, following)
            else:
                meet(game, rule, own, other, system, vectors, following)
            back = np.int64(0)
            moved = False
            for s in range(n_states):
                back += (place(levels, True, following[s]) >> SHIFT) * strides[s]
                moved = moved or abs(following[s] - other[s]) > 1e-12
            count += np.int64(moved and back == x)
    return count


@kernel
def hold(game, rule, iterated, policies, starts, n_steps, returns, first, last):
    """Fill `returns` (M, N, 2) per step of shapers who hold policy m (M, S) against opponents from `starts` (N, S).

    Only policies `first` to `last` - 1, so that threads share the work.
    """
    n_states = starts.shape[1]
    system = np.empty((n_states, n_states))
    vectors = np.empty((SCRATCH, n_states))
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
                    both = meet(game, rule, policies[m], other, system, vectors, following)
                returns[m, n, 0] += both[0] / n_steps
                returns[m, n, 1] += both[1] / n_steps
                other[:] = following
