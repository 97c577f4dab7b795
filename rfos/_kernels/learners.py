"""One meta-step of each learner."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

from rfos._kernels._jit import kernel
from rfos._kernels.returns import factor, gain, solve_occupancy, solve_values, value_of

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
