"""One Bellman backup Q = R + discount * P V for each storage of transitions, summed in index order."""

from __future__ import annotations

import numpy as np

from rfos._kernels._jit import kernel


@kernel
def backup_dense(transitions, rewards, discount, values, q):
    """Fill `q` (S, A) from `transitions` (S, A, S), `rewards` (S, A) and `values` (S,)."""
    n_states, n_actions = rewards.shape
    for s in range(n_states):
        for a in range(n_actions):
            expected = 0.0
            for j in range(n_states):
                expected += transitions[s, a, j] * values[j]
            q[s, a] = rewards[s, a] + discount * expected


@kernel
def backup_sparse(indptr, indices, data, rewards, discount, values, q):
    """Fill `q` (S, A) from CSR rows s * n_actions + a, `rewards` (S, A) and `values` (S,)."""
    n_states, n_actions = rewards.shape
    for s in range(n_states):
        for a in range(n_actions):
            row = s * n_actions + a
            expected = 0.0
            for k in range(indptr[row], indptr[row + 1]):
                expected += data[k] * values[indices[k]]
            q[s, a] = rewards[s, a] + discount * expected


@kernel
def backup_deterministic(successor, rewards, discount, values, q):
    """Fill `q` (S, A) from the `successor` table (S, A), `rewards` (S, A) and `values` (S,)."""
    n_states, n_actions = rewards.shape
    for s in range(n_states):
        for a in range(n_actions):
            q[s, a] = rewards[s, a] + discount * values[successor[s, a]]


@kernel
def backup_shift(shifted, offset, probability, rewards, discount, values, q):
    """Fill `q` (S, A) for a shift register: branch b of (s, a) leads to shifted[s] + offset[a, b].

    `shifted` (S,), `offset` (A, B), `probability` (S, B), `rewards` (A, B), `values` (S,).
    """
    n_actions, n_branches = rewards.shape
    for s in range(shifted.shape[0]):
        for a in range(n_actions):
            expected = 0.0
            for b in range(n_branches):
                following = values[shifted[s] + offset[a, b]]
                expected += probability[s, b] * (rewards[a, b] + discount * following)
            q[s, a] = expected


# Backup and maximum in one pass: no memory per pair. Threads run disjoint ranges of states. -------------------------


@kernel
def improve_dense(transitions, rewards, discount, values, new_values, policy, first, last):
    """Fill `new_values` (S,) and `policy` (S,) for states `first` to `last` - 1; ties by index."""
    n_states, n_actions = rewards.shape
    for s in range(first, last):
        best = 0.0
        chosen = 0
        for a in range(n_actions):
            expected = 0.0
            for j in range(n_states):
                expected += transitions[s, a, j] * values[j]
            q = rewards[s, a] + discount * expected
            if a == 0 or q > best:
                best = q
                chosen = a
        new_values[s] = best
        policy[s] = chosen


@kernel
def improve_sparse(indptr, indices, data, rewards, discount, values, new_values, policy, first, last):
    """Fill `new_values` (S,) and `policy` (S,) for states `first` to `last` - 1; ties by index."""
    n_actions = rewards.shape[1]
    for s in range(first, last):
        best = 0.0
        chosen = 0
        for a in range(n_actions):
            row = s * n_actions + a
            expected = 0.0
            for k in range(np.uint64(indptr[row]), np.uint64(indptr[row + 1])):
                expected += data[k] * values[np.uint32(indices[k])]
            q = rewards[s, a] + discount * expected
            if a == 0 or q > best:
                best = q
                chosen = a
        new_values[s] = best
        policy[s] = chosen


@kernel
def improve_deterministic(successor, rewards, discount, values, new_values, policy, first, last):
    """Fill `new_values` (S,) and `policy` (S,) for states `first` to `last` - 1; ties by index."""
    n_actions = rewards.shape[1]
    for s in range(first, last):
        best = 0.0
        chosen = 0
        for a in range(n_actions):
            q = rewards[s, a] + discount * values[np.uint64(successor[s, a])]
            if a == 0 or q > best:
                best = q
                chosen = a
        new_values[s] = best
        policy[s] = chosen


@kernel
def improve_shift(shifted, offset, probability, rewards, discount, values, new_values, policy, first, last):
    """Fill `new_values` (S,) and `policy` (S,) for states `first` to `last` - 1; ties by index."""
    n_actions, n_branches = rewards.shape
    for s in range(first, last):
        best = 0.0
        chosen = 0
        for a in range(n_actions):
            q = 0.0
            for b in range(n_branches):
                following = values[np.uint32(shifted[s] + offset[a, b])]
                q += probability[s, b] * (rewards[a, b] + discount * following)
            if a == 0 or q > best:
                best = q
                chosen = a
        new_values[s] = best
        policy[s] = chosen


# The chain of one policy: row s holds the entries start[s] to start[s+1] - 1. --------------------------------------


@kernel
def chain_sparse(indptr, indices, data, pair, start, successor, probability):
    """Fill `successor` and `probability` (nnz,) with the rows `pair` (S,) of a compressed matrix."""
    for s in range(pair.shape[0]):
        k = np.uint64(start[s])
        for source in range(np.uint64(indptr[pair[s]]), np.uint64(indptr[pair[s] + 1])):
            successor[k] = indices[source]
            probability[k] = data[source]
            k += np.uint64(1)


@kernel
def chain_shift(shifted, offset, probability, rewards, policy, successor, reward):
    """Fill `successor` (S*B,) and the expected `reward` (S,) of a shift register under `policy` (S,)."""
    n_branches = rewards.shape[1]
    for s in range(shifted.shape[0]):
        total = 0.0
        for b in range(n_branches):
            successor[s * n_branches + b] = shifted[s] + offset[policy[s], b]
            total += probability[s, b] * rewards[policy[s], b]
        reward[s] = total


@kernel
def evaluate(start, successor, probability, reward, discount, values, new_values, first, last):
    """Fill `new_values` with reward + discount * P values for states `first` to `last` - 1."""
    for s in range(first, last):
        expected = 0.0
        for k in range(np.uint64(start[s]), np.uint64(start[s + 1])):
            expected += probability[k] * values[np.uint32(successor[k])]
        new_values[s] = reward[s] + discount * expected


@kernel
def change(values, new_values, first, last, result):
    """Fill `result` (3,): smallest and largest new - old, and largest absolute old value, of a range of states.

    NaN anywhere makes the last infinite.
    """
    least = np.inf
    most = -np.inf
    largest = 0.0
    for s in range(first, last):
        difference = new_values[s] - values[s]
        if difference < least:
            least = difference
        if difference > most:
            most = difference
        size = abs(values[s])
        if size > largest:
            largest = size
        elif difference != difference:
            largest = np.inf
    result[0] = least
    result[1] = most
    result[2] = largest
