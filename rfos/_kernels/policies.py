"""Meta-games of policies: exact returns, exact gradients and learning steps of every pair, and backups between cells.

Players have two actions; a policy is the probability of action 0 in each inner state. Policies of the grid are mixed
radix numbers of levels, first state the highest digit. A next policy is kept as its walk (see `grids`).
"""

from __future__ import annotations

import numpy as np

from rfos._kernels._jit import kernel
from rfos._kernels.grids import SHIFT, mean_of_corners, mean_of_six, place, walk
from rfos._kernels.learners import BEST_RESPONSE_WITHIN, SCRATCH, meet, play_iterated


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
