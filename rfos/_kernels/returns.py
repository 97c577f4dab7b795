"""Values of inner games."""

from __future__ import annotations

from typing import Any, NamedTuple

from rfos._kernels._jit import kernel

Array = Any


class Game(NamedTuple):
    """A two-player stochastic game with two actions each, transitions as branches."""

    successor: Array  # (S, 4, B) int64, after joint action 2 * a_0 + a_1
    probability: Array  # (S, 4, B) float64
    rewards: Array  # (2, S, 4) float64
    initial: Array  # (S,) float64
    discount: Any


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
