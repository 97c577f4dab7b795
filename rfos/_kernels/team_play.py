"""Team kernels: whole episodes under a joint policy, counted until a row becomes known, and plans for what is known.

A row is what is counted together: a pair (state, joint action), several pairs that are declared to share their law, or
the start pair, the last one. Each branch of the world belongs to a slot: a successor (next state, joint observation) of
its row. The successor of an episode's last step is drawn and counted too: without it an unknown pair that is met there
would never become known.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from rfos._kernels._jit import kernel
from rfos._kernels.random import sfc64, uniform

Array = Any


class TeamWorld(NamedTuple):
    """A team problem as it is played; pair s * A + a, the start pair S * A."""

    pointer: Array  # (S*A + 2,) int64, branches of pair k are pointer[k] to pointer[k+1] - 1
    state: Array  # (E,) int64, next state
    observation: Array  # (E,) int64, joint observation; 0 at the start where there is none
    thresholds: Array  # (E,) int64, of the cumulative probabilities within a pair
    reward: Array  # (S*A,) float64, mean reward
    coins: Array  # (S*A,) int64, thresholds of drawing the largest reward, not the smallest; (0,): rewards are known
    row: Array  # (S*A + 1,) int64, where a pair is counted
    slot: Array  # (E,) int64, where a branch is counted
    n_actions: Any  # int64, joint actions A
    horizon: Any  # int64


class Tally(NamedTuple):
    """What has been counted."""

    visits: Array  # (rows,) int64, frozen at m
    seen: Array  # (slots,) int64
    paid: Array  # (rows,) int64, visits that paid the largest reward; (0,) where rewards are known
    known_at: Array  # (rows,) int64, the episode in which a row became known, from 1 on; 0 before
    m: Any  # int64


class Rows(NamedTuple):
    """What a model is made of: the slots of each row."""

    pointer: Array  # (rows + 1,) int64
    state: Array  # (slots,) int64, next state
    row: Array  # (S*A + 1,) int64, the row of each pair


class Trees(NamedTuple):
    """Numbers of the nodes of each agent's tree of histories, all agents' one after the other."""

    first: Array  # (n, H) int64, the node of history 0 of an agent at a step
    n_actions: Array  # (n,) int64
    n_observations: Array  # (n,) int64
    observed: Array  # (O, n) int64, each agent's part of a joint observation
    action: Array  # (nodes,) int64, the policy; (0,) where there is none
    begins: Any  # bool, whether there is a first observation
    history: Array  # (n,) int64, scratch


@kernel
def draw_branch(world, pair, bits):
    """Return the branch of a pair for 53 random `bits`: the first whose threshold is above them."""
    low, high = world.pointer[np.uint64(pair)], world.pointer[np.uint64(pair + 1)] - 1
    while low < high:
        middle = (low + high) >> 1
        if bits >= world.thresholds[np.uint64(middle)]:
            low = middle + 1
        else:
            high = middle
    return low


@kernel
def count(world, tally, pair, branch, episode):
    """Count a branch unless its row is known, and return whether the row became known by it."""
    row = np.uint64(world.row[np.uint64(pair)])
    visits = tally.visits[row]
    if visits >= tally.m:
        return False
    tally.visits[row] = visits + 1
    tally.seen[np.uint64(world.slot[np.uint64(branch)])] += 1
    if visits + 1 < tally.m:
        return False
    tally.known_at[row] = episode + 1
    return True


@kernel
def least_visited(world, tally, state):
    """Return the joint action with the fewest visits in a state, the first of them."""
    chosen = 0
    for a in range(1, world.n_actions):
        pair = state * world.n_actions
        if tally.visits[world.row[pair + a]] < tally.visits[world.row[pair + chosen]]:
            chosen = a
    return chosen


@kernel
def play_team(world, markov, trees, tally, rng, position, stop):
    """Play episodes until one in which a row became known has ended, or `stop` are done; return whether one became so.

    `markov` (H, S) int64 holds the joint action of each step and state, -1 for the one with the fewest visits there; or
    (0, 0): joint actions are drawn uniformly.
    `trees` is Trees, whose policy is played instead, or None. `position` int64[1] holds the episodes done. Draws: the
    start; per step the joint action (only where drawn), the branch, and the reward (only where not known).
    """
    s0, s1, s2, s3 = rng[0], rng[1], rng[2], rng[3]
    episode = position[0]
    start = world.row.shape[0] - 1
    drawn = markov.shape[0] == 0
    coins = world.coins.shape[0] > 0
    n_agents = 0
    if trees is not None:
        n_agents = trees.first.shape[0]
    found = False
    while episode < stop and not found:
        s0, s1, s2, s3, word = sfc64(s0, s1, s2, s3)
        branch = draw_branch(world, start, np.int64(word >> np.uint64(11)))
        found |= count(world, tally, start, branch, episode)
        s = world.state[np.uint64(branch)]
        if trees is not None:
            for i in range(n_agents):
                trees.history[i] = trees.observed[world.observation[branch], i] if trees.begins else 0
        for t in range(world.horizon):
            a = np.int64(0)
            if trees is not None:
                for i in range(n_agents):
                    a = a * trees.n_actions[i] + trees.action[trees.first[i, t] + trees.history[i]]
            elif drawn:
                s0, s1, s2, s3, word = sfc64(s0, s1, s2, s3)
                a = np.int64(uniform(word) * world.n_actions)
            else:
                a = markov[np.uint64(t), np.uint64(s)]
                if a < 0:
                    a = least_visited(world, tally, s)
            pair = s * world.n_actions + a
            s0, s1, s2, s3, word = sfc64(s0, s1, s2, s3)
            branch = draw_branch(world, pair, np.int64(word >> np.uint64(11)))
            if coins:
                s0, s1, s2, s3, word = sfc64(s0, s1, s2, s3)
                row = world.row[pair]
                if tally.visits[row] < tally.m and np.int64(word >> np.uint64(11)) < world.coins[pair]:
                    tally.paid[row] += 1
            found |= count(world, tally, pair, branch, episode)
            s = world.state[np.uint64(branch)]
            if trees is not None:
                for i in range(n_agents):
                    own = trees.observed[world.observation[branch], i]
                    trees.history[i] = trees.history[i] * trees.n_observations[i] + own
        episode += 1
    rng[0] = s0
    rng[1] = s1
    rng[2] = s2
    rng[3] = s3
    position[0] = episode
    return found


@kernel
def plan_markov(rows, tally, reward, escapes, discount, values, spare, action):
    """Plan backwards over states and steps in the model of the known rows.

    A known pair pays `reward` (S*A,) and goes on by its counts; an unknown pair at a step with j more steps to come
    is worth `escapes` (H,) [j]. Fills `action` (H, S) with an optimal joint action, the first one, or -1 where an
    unknown one is optimal, and `values` (S,) with the values at the first step; `spare` (S,) is scratch.
    """
    horizon, n_states = action.shape
    n_actions = (rows.row.shape[0] - 1) // n_states
    values[:] = 0.0
    for left in range(horizon):
        stage = horizon - 1 - left
        for s in range(n_states):
            chosen, best, chosen_known = 0, 0.0, True
            for a in range(n_actions):
                pair = s * n_actions + a
                row = rows.row[pair]
                known = tally.visits[row] >= tally.m
                value = escapes[left]
                if known:
                    value = 0.0
                    for slot in range(rows.pointer[row], rows.pointer[row + 1]):
                        value += tally.seen[slot] * values[rows.state[slot]]
                    value = reward[pair] + discount * (value / tally.visits[row])
                if a == 0 or value > best or (value == best and chosen_known and not known):
                    chosen, best, chosen_known = a, value, known
            spare[s] = best
            action[stage, s] = chosen if chosen_known else -1
        values[:] = spare


@kernel
def learn_values(world, trees, q, shared, rate, exploration, discount, rng, n_episodes):
    """Learn action values on each agent's own histories while playing epsilon-greedily; `q` (nodes, actions).

    Where `shared`, the joint value is the sum of the agents' own and its error corrects each (value decomposition);
    else each agent corrects its own (independent Q-learning). Draws: the start; per step one for each agent's action,
    and the branch. The mean reward is paid.
    """
    s0, s1, s2, s3 = rng[0], rng[1], rng[2], rng[3]
    n_agents = trees.first.shape[0]
    start = world.row.shape[0] - 1
    node = np.empty(n_agents, np.int64)
    chosen = np.empty(n_agents, np.int64)
    ahead = np.empty(n_agents, np.float64)
    for _ in range(n_episodes):
        s0, s1, s2, s3, word = sfc64(s0, s1, s2, s3)
        branch = draw_branch(world, start, np.int64(word >> np.uint64(11)))
        s = world.state[branch]
        for i in range(n_agents):
            trees.history[i] = trees.observed[world.observation[branch], i] if trees.begins else 0
        for t in range(world.horizon):
            a = np.int64(0)
            for i in range(n_agents):
                node[i] = trees.first[i, t] + trees.history[i]
                best = np.int64(0)
                for j in range(1, trees.n_actions[i]):
                    if q[node[i], j] > q[node[i], best]:
                        best = j
                s0, s1, s2, s3, word = sfc64(s0, s1, s2, s3)
                u = uniform(word)
                if u < exploration:
                    best = min(np.int64(u / exploration * trees.n_actions[i]), trees.n_actions[i] - 1)
                chosen[i] = best
                a = a * trees.n_actions[i] + best
            pair = s * world.n_actions + a
            s0, s1, s2, s3, word = sfc64(s0, s1, s2, s3)
            branch = draw_branch(world, pair, np.int64(word >> np.uint64(11)))
            s = world.state[branch]
            error = world.reward[pair]
            for i in range(n_agents):
                own = trees.observed[world.observation[branch], i]
                trees.history[i] = trees.history[i] * trees.n_observations[i] + own
                ahead[i] = 0.0
                if t + 1 < world.horizon:
                    following = trees.first[i, t + 1] + trees.history[i]
                    ahead[i] = q[following, 0]
                    for j in range(1, trees.n_actions[i]):
                        ahead[i] = max(ahead[i], q[following, j])
            if shared:
                for i in range(n_agents):
                    error += discount * ahead[i] - q[node[i], chosen[i]]
                for i in range(n_agents):
                    q[node[i], chosen[i]] += rate * error
            else:
                for i in range(n_agents):
                    own_error = world.reward[pair] + discount * ahead[i] - q[node[i], chosen[i]]
                    q[node[i], chosen[i]] += rate * own_error
    rng[0] = s0
    rng[1] = s1
    rng[2] = s2
    rng[3] = s3


@kernel
def reuse_episodes(world, trees, policies, taken, alive, sums, discount, rng, n_episodes):
    """Play uniformly and add the return of an episode to each policy that would have acted the same all along.

    `policies` (K, nodes) int64; `taken` (A, n) int64, each agent's part of a joint action; `alive` (K,) bool, scratch;
    `sums` (K,) float64. Draws: the start; per step the joint action and the branch. The mean reward is paid.
    """
    s0, s1, s2, s3 = rng[0], rng[1], rng[2], rng[3]
    n_agents = trees.first.shape[0]
    start = world.row.shape[0] - 1
    for _ in range(n_episodes):
        s0, s1, s2, s3, word = sfc64(s0, s1, s2, s3)
        branch = draw_branch(world, start, np.int64(word >> np.uint64(11)))
        s = world.state[branch]
        for i in range(n_agents):
            trees.history[i] = trees.observed[world.observation[branch], i] if trees.begins else 0
        alive[:] = True
        total = 0.0
        weight = 1.0
        for t in range(world.horizon):
            s0, s1, s2, s3, word = sfc64(s0, s1, s2, s3)
            a = np.int64(uniform(word) * world.n_actions)
            for k in range(policies.shape[0]):
                if alive[k]:
                    for i in range(n_agents):
                        if policies[k, trees.first[i, t] + trees.history[i]] != taken[a, i]:
                            alive[k] = False
                            break
            pair = s * world.n_actions + a
            total += weight * world.reward[pair]
            weight *= discount
            s0, s1, s2, s3, word = sfc64(s0, s1, s2, s3)
            branch = draw_branch(world, pair, np.int64(word >> np.uint64(11)))
            s = world.state[branch]
            for i in range(n_agents):
                own = trees.observed[world.observation[branch], i]
                trees.history[i] = trees.history[i] * trees.n_observations[i] + own
        for k in range(policies.shape[0]):
            if alive[k]:
                sums[k] += total
    rng[0] = s0
    rng[1] = s1
    rng[2] = s2
    rng[3] = s3
