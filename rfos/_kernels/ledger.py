"""Kernels that evaluate what an agent plays: its value, and how soon it meets an unknown pair.

Branches are rows of `successor` and `probability` (R, B) and rewards (R,) are expected ones; in state s row[s] is
played.
"""

from __future__ import annotations

import numpy as np

from rfos._kernels._jit import kernel


@kernel
def know(unknown, probability, alive, stop):
    """Write pairs that became known, by `unknown` (R,), into `alive` (R, B) and `stop` (R,) of `settle_exploring`."""
    for r in range(unknown.shape[0]):
        if stop[r] > 0.0 and not unknown[r]:
            stop[r] = 0.0
            for b in range(alive.shape[1]):
                alive[r, b] = probability[r, b]


@kernel
def settle_value(successor, probability, reward, row, discount, below, enough, width, limit, values, change):
    """Back up the value of a policy until every state's bracket tells on which side of a gap it lies.

    The bracket of a state is its value plus discount / (1 - discount) times the smallest and the largest change of the
    last backup; it is to lie below `below` (S,) or from `enough` (S,) on, or all are to be at most `width` wide.
    `values` (2, S) holds the start in place 0 and is overwritten. `change` float64[3] gets the smallest and the largest
    change and the largest absolute value before. Returns the place of the last backup, the `limit`-th at the latest.
    """
    factor = discount / (1.0 - discount)
    n_branches = successor.shape[1]
    old = 0
    for _ in range(limit):
        new = 1 - old
        least, most, largest = np.inf, -np.inf, 0.0
        for s in range(row.shape[0]):
            r = row[s]
            value = 0.0
            for b in range(n_branches):
                value += probability[r, b] * values[old, successor[r, b]]
            value = reward[r] + discount * value
            least = min(least, value - values[old, s])
            most = max(most, value - values[old, s])
            largest = max(largest, abs(values[old, s]))
            values[new, s] = value
        old = new
        change[0] = least
        change[1] = most
        change[2] = largest
        open_states = 0
        for s in range(row.shape[0]):
            value = values[new, s]
            open_states += np.int64(value + factor * most >= below[s] and value + factor * least < enough[s])
        if open_states == 0 or factor * (most - least) <= width:
            break
    return old


@kernel
def settle_exploring(successor, alive, stop, row, discount, width, limit, exploring, change):
    """Sweep e = stop + discount * alive e in place until its bracket is at most `width` wide.

    `alive` (R, B) is the probability of a branch of which the pair is known, `stop` (R,) that of an unknown pair.
    `exploring` (S,) is the start and the result, in [0, 1]; `change` float64[2] gets the smallest change of the last
    sweep or 0, and the largest or 0. A sweep in place is monotone and adds at most discount * c where c >= 0 is added
    before it, so that e lies within discount / (1 - discount) times these of the result. There are at most `limit`
    sweeps. Returns False where no unknown pair is ever taken: then e = 0, and the arrays are left as they are.
    """
    never = True
    for s in range(row.shape[0]):
        never = never and stop[row[s]] == 0.0
    if never:
        return False
    factor = discount / (1.0 - discount)
    n_branches = successor.shape[1]
    for _ in range(limit):
        least = most = 0.0
        for s in range(row.shape[0]):
            r = row[s]
            value = 0.0
            for b in range(n_branches):
                value += alive[r, b] * exploring[successor[r, b]]
            value = stop[r] + discount * value
            least = min(least, value - exploring[s])
            most = max(most, value - exploring[s])
            exploring[s] = value
        change[0] = least
        change[1] = most
        if factor * (most - least) <= width:
            break
    return True


@kernel
def enter(value, below, enough, high, low, mark, exploring, shift, table):
    """Fill the first two columns of a meter's `table` (S*A, 2 + B), all other arrays (S,), by the state of each pair.

    First 1 where the value is less than below[s] - high, 0 where it is at least enough[s] - low, `mark` elsewhere, as
    where these are NaN; then exploring[s] + shift, cut to [0, 1].
    """
    n_actions = table.shape[0] // value.shape[0]
    for s in range(value.shape[0]):
        bad = mark
        if value[s] < below[s] - high:
            bad = 1.0
        elif value[s] >= enough[s] - low:
            bad = 0.0
        e = min(max(exploring[s] + shift, 0.0), 1.0)
        for pair in range(s * n_actions, (s + 1) * n_actions):
            table[pair, 0] = bad
            table[pair, 1] = e


@kernel
def staged_return(successor, probability, reward, action, discount, values, spare):
    """Fill `values` (S,) with the return of a policy of one row of actions per step, `action` (T, S).

    Here rows are pairs s * n_actions + a.
    """
    n_stages, n_states = action.shape
    n_actions = reward.shape[0] // n_states
    values[:] = 0.0
    for remaining in range(n_stages):
        stage = n_stages - 1 - remaining
        for s in range(n_states):
            r = s * n_actions + action[stage, s]
            value = 0.0
            for b in range(successor.shape[1]):
                value += probability[r, b] * values[successor[r, b]]
            spare[s] = reward[r] + discount * value
        values[:] = spare
