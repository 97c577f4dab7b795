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


# Backup and maximum in one pass; ties by index. Threads run disjoint ranges of states. ------------------------------


@kernel
def improve_dense(transitions, rewards, discount, values, new_values, policy, table, first, last):
    """Fill `new_values` and `policy` (S,), and `table` (S, A) with Q if it has rows; states `first` to `last` - 1."""
    n_states, n_actions = rewards.shape
    for s in range(first, last):
        best = -np.inf
        chosen = 0
        for a in range(n_actions):
            expected = 0.0
            for j in range(n_states):
                expected += transitions[s, a, j] * values[j]
            q = rewards[s, a] + discount * expected
            if table.shape[0] > 0:
                table[s, a] = q
            if q > best:
                best = q
                chosen = a
        new_values[s] = best
        policy[s] = chosen


@kernel
def improve_sparse(indptr, indices, data, rewards, discount, values, new_values, policy, table, first, last):
    """Fill `new_values` and `policy` (S,), and `table` (S, A) with Q if it has rows; states `first` to `last` - 1."""
    n_actions = rewards.shape[1]
    for s in range(first, last):
        best = -np.inf
        chosen = 0
        for a in range(n_actions):
            row = s * n_actions + a
            expected = 0.0
            for k in range(np.uint64(indptr[row]), np.uint64(indptr[row + 1])):
                expected += data[k] * values[np.uint32(indices[k])]
            q = rewards[s, a] + discount * expected
            if table.shape[0] > 0:
                table[s, a] = q
            if q > best:
                best = q
                chosen = a
        new_values[s] = best
        policy[s] = chosen


@kernel
def improve_deterministic(successor, rewards, discount, values, new_values, policy, table, first, last):
    """Fill `new_values` and `policy` (S,), and `table` (S, A) with Q if it has rows; states `first` to `last` - 1."""
    n_actions = rewards.shape[1]
    for s in range(first, last):
        best = -np.inf
        chosen = 0
        for a in range(n_actions):
            q = rewards[s, a] + discount * values[np.uint64(successor[s, a])]
            if table.shape[0] > 0:
                table[s, a] = q
            if q > best:
                best = q
                chosen = a
        new_values[s] = best
        policy[s] = chosen


@kernel
def improve_shift(shifted, offset, probability, rewards, discount, values, new_values, policy, table, first, last):
    """Fill `new_values` and `policy` (S,), and `table` (S, A) with Q if it has rows; states `first` to `last` - 1."""
    n_actions, n_branches = rewards.shape
    for s in range(first, last):
        best = -np.inf
        chosen = 0
        for a in range(n_actions):
            q = 0.0
            for b in range(n_branches):
                following = values[np.uint32(shifted[s] + offset[a, b])]
                q += probability[s, b] * (rewards[a, b] + discount * following)
            if table.shape[0] > 0:
                table[s, a] = q
            if q > best:
                best = q
                chosen = a
        new_values[s] = best
        policy[s] = chosen


# The chain of one policy: row s holds the entries start[s] to start[s+1] - 1. --------------------------------------


@kernel
def chain_sparse(indptr, indices, data, pair, start, successor, probability, first, last):
    """Fill rows `first` to `last` - 1 of a chain: those of `pair` (K,) in a compressed matrix, then zeros.

    `successor` and `probability` are (nnz,).
    """
    for i in range(first, last):
        k = np.uint64(start[i])
        for source in range(np.uint64(indptr[pair[i]]), np.uint64(indptr[pair[i] + 1])):
            successor[k] = indices[source]
            probability[k] = data[source]
            k += np.uint64(1)
        for rest in range(k, np.uint64(start[i + 1])):
            successor[rest] = 0
            probability[rest] = 0.0


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
def improve_rows(
    first_row, action, start, successor, probability, reward, discount, values, new_values, policy, table, first, last
):
    """Do the same over rows first_row[s] to first_row[s + 1] - 1 of a chain, which belong to some actions of state s.

    `action` (K,) says which; `table` (K,) is filled with Q.
    """
    for s in range(first, last):
        best = -np.inf
        chosen = action[first_row[s]]
        for row in range(first_row[s], first_row[s + 1]):
            expected = 0.0
            for k in range(np.uint64(start[row]), np.uint64(start[row + 1])):
                expected += probability[k] * values[np.uint32(successor[k])]
            q = reward[row] + discount * expected
            table[row] = q
            if q > best:
                best = q
                chosen = action[row]
        new_values[s] = best
        policy[s] = chosen


@kernel
def seen(old, new, least, most, largest):
    """Return the extremes of new - old and of |old| with one more state; NaN makes the last infinite."""
    difference = new - old
    if difference < least:
        least = difference
    if difference > most:
        most = difference
    size = abs(old)
    if difference != difference:
        largest = np.inf
    elif size > largest:
        largest = size
    return least, most, largest


@kernel
def evaluate(start, successor, probability, reward, discount, values, new_values, first, last, result):
    """Fill `new_values` with reward + discount * P values for states `first` to `last` - 1, `result` as `change`."""
    least, most, largest = np.inf, -np.inf, 0.0
    for s in range(first, last):
        expected = 0.0
        for k in range(np.uint64(start[s]), np.uint64(start[s + 1])):
            expected += probability[k] * values[np.uint32(successor[k])]
        new_values[s] = reward[s] + discount * expected
        least, most, largest = seen(values[s], new_values[s], least, most, largest)
    result[0], result[1], result[2] = least, most, largest


@kernel
def correct(branching, start, successor, probability, residual, discount, values, new_values, first, last, result):
    """Do what `evaluate` does in float32 throughout, for what is still missing from the values of a policy.

    With V^pi = v + e and r the `residual` (S,) of v, e = r + discount * P e. Rows have `branching` entries, or those
    of `start` where it is 0. `result` (3,) receives the smallest and the largest change, and 0.
    """
    least, most = np.inf, -np.inf
    factor = np.float32(discount)
    for s in range(first, last):
        begin, end = np.uint64(s * branching), np.uint64((s + 1) * branching)
        if branching == 0:
            begin, end = np.uint64(start[s]), np.uint64(start[s + 1])
        expected = np.float32(0.0)
        for k in range(begin, end):
            expected += probability[k] * values[np.uint32(successor[k])]
        new = residual[s] + factor * expected
        new_values[s] = new
        difference = np.float64(new) - np.float64(values[s])
        if difference < least:
            least = difference
        if difference > most:
            most = difference
    result[0], result[1], result[2] = least, most, 0.0


@kernel
def rate(older, old, new):
    """Return the factor by which the changes shrank from old - older to new - old, means left out; least squares."""
    n_states = new.shape[0]
    before = after = square = product = 0.0
    for s in range(n_states):
        x, y = np.float64(old[s]) - np.float64(older[s]), np.float64(new[s]) - np.float64(old[s])
        before += x
        after += y
        square += x * x
        product += x * y
    square -= before * before / n_states
    return (product - before * after / n_states) / square if square > 0 else 0.0


@kernel
def enough_counts(table, begin, enough, first, last, counts):
    """Fill `counts` (S,) with how many of table[begin[s]] to table[begin[s + 1] - 1] are at least enough[s]."""
    for s in range(first, last):
        count = 0
        for row in range(begin[s], begin[s + 1]):
            count += table[row] >= enough[s]
        counts[s] = count


@kernel
def enough_pairs(table, begin, actions, enough, first_row, state, action, first, last):
    """Fill `state` and `action` (K,) with the pairs that `enough_counts` counts, those of state s from first_row[s] on.

    `actions` (rows,) says which action each row is of, or is empty: then all are there, in order.
    """
    for s in range(first, last):
        k = first_row[s]
        for row in range(begin[s], begin[s + 1]):
            if table[row] >= enough[s]:
                state[k] = s
                action[k] = actions[row] if actions.shape[0] > 0 else row - begin[s]
                k += 1


@kernel
def change(values, new_values, first, last, result):
    """Fill `result` (3,): smallest and largest new - old, and largest absolute old value, of a range of states.

    NaN anywhere makes the last infinite.
    """
    least, most, largest = np.inf, -np.inf, 0.0
    for s in range(first, last):
        least, most, largest = seen(values[s], new_values[s], least, most, largest)
    result[0], result[1], result[2] = least, most, largest


@kernel
def fill_in(start, row, most, parent, seen_at, count):
    """Fill `count` (n,) with the entries below the diagonal of each column of L, where L L' has a symmetric pattern.

    `row` holds the rows above the diagonal of column k from start[k] to start[k + 1] - 1. Row k of L has an entry in
    column i if i lies on a path to k in the elimination tree, from an entry of column k (Liu 1990; LDL of Davis 2005).
    Return their number; it stops above `most`. `parent` and `seen_at` (n,) are scratch.
    """
    total = 0
    for k in range(start.shape[0] - 1):
        parent[k] = -1
        seen_at[k] = k
        count[k] = 0
        for e in range(start[k], start[k + 1]):
            i = row[e]
            while seen_at[i] != k:
                if parent[i] < 0:
                    parent[i] = k
                count[i] += 1
                total += 1
                seen_at[i] = k
                i = parent[i]
        if total > most:
            break
    return total
