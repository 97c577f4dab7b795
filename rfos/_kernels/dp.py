"""One Bellman backup Q = R + discount * P V for each storage of transitions, summed in index order."""

from __future__ import annotations

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
