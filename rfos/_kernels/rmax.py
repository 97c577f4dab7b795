"""R-max kernels: play until a row of counts becomes known, then plan for the new model.

Two habits of the hot loop, each worth a tenth to a quarter of its time: it indexes with unsigned integers, because
Numba tests every signed index for being negative; and it compares the 53 bits of a uniform float u = k 2^-53 with
integer thresholds, because u >= c exactly when k >= ceil(c 2^53).
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np

from rfos._kernels._jit import kernel
from rfos._kernels.random import sfc64, uniform

Array = Any


class World(NamedTuple):
    """One step of a meta-game: from the pair (s, a) a branch is drawn; it fixes reward and next meta-state.

    Rows of pairs are s * n_actions + a. With hidden learners the branch is their joint action.
    """

    successor: Array  # (S*A, B) int64
    reward: Array  # (S*A, B) float64
    thresholds: Array  # (S*A, B) int64, of cumulative branch probabilities; (0, 0) with hidden learners
    revealed: Array  # (S*A, B) float64, branch probabilities that a known pair's model takes over; (0, 0): its counts
    starts: Array  # (n_starts,) int64, an episode starts in one of them, uniformly
    horizon: Any  # int64, steps per episode


class Learners(NamedTuple):
    """Opponents with a hidden state: epsilon-greedy Q-learners, one row each."""

    q: Array  # (L, max actions) float64, changed while playing
    initial: Array  # (L, max actions) float64, restored at episode starts where `reset`
    n_actions: Array  # (L,) int64
    digit: Array  # (L, B) int64, the learner's own action within the joint action
    reward: Array  # (L, A, B) float64
    rate: Array  # (L,) float64
    exploration: Array  # (L,) float64
    reset: Array  # (L,) bool


class AutomatonTables(NamedTuple):
    """Opponents with a hidden state among finitely many, all together."""

    thresholds: Array  # (X, B) int64, of the cumulative probabilities of the joint replies
    following: Array  # (X, A*B) int64, the next state by the joint action a * B + b
    start: Any  # int64, the state at an episode's first step
    state: Array  # (1,) int64, changed while playing


class Behaviour(NamedTuple):
    """What the agent plays: drawn from a distribution per meta-state, or one action per stage and meta-state."""

    drawn: Any  # bool
    thresholds: Array  # (S, A) int64, of cumulative probabilities; (0, A) where not drawn
    action: Array  # (stages, S) int64, one stage where the policy is stationary; (0, 0) where drawn


class Memory(NamedTuple):
    """What the agent has counted; rows are pairs, or meta-states where counts are pooled over actions."""

    visits: Array  # (rows,) int64, frozen at m
    branches: Array  # (rows, B) int64
    known_at: Array  # (rows,) int64, steps played when the row became known, 0 before
    m: Any  # int64
    pooled: Any  # bool


class StepCosts(NamedTuple):
    """What is added up while a run goes on: two numbers of each step, and one of each beginning of an episode.

    The numbers of a step stand before the pair's rewards, which are read at each step anyhow: a table of their own
    would cost twice as much.
    """

    table: Array  # (S*A, 2 + B) float64, of each pair its two numbers and a copy of `World.reward`
    starts: Array  # (S,) float64, added to the first sum where an episode begins
    total: Array  # (2,) float64, the sums


@kernel
def threshold(cumulative):
    """Return the smallest integer k with k 2^-53 >= a cumulative probability."""
    return np.int64(math.ceil(cumulative * 9007199254740992.0))


@kernel
def draw_start(law, bits):
    """Return the first state whose threshold in `law` (S,), of cumulative probabilities, is above 53 random `bits`."""
    low, high = 0, law.shape[0] - 1
    while low < high:
        middle = (low + high) // 2
        if bits >= law[middle]:
            low = middle + 1
        else:
            high = middle
    return low


@kernel
def draw_learner(q, learner, n_actions, exploration, u):
    """Return the action of one epsilon-greedy learner for the uniform float `u`, ties at random."""
    best = q[learner, 0]
    for j in range(1, n_actions):
        best = max(best, q[learner, j])
    ties = 0
    for j in range(n_actions):
        ties += np.int64(q[learner, j] == best)
    low = exploration / n_actions
    share = (1.0 - exploration) / ties
    cumulative = 0.0
    action = np.int64(0)
    for j in range(n_actions - 1):
        cumulative += low + share if q[learner, j] == best else low
        action += np.int64(u >= cumulative)
    return action


@kernel
def advance(world, learners, automaton, behaviour, memory, rng, position, total, step_costs, law, stop):
    """Play until a row becomes known or `stop` steps are done; return whether a row became known.

    `position` int64[3] holds steps done, step within the episode, meta-state; `total` float64[1] gains the rewards;
    `learners` is Learners or None, `automaton` AutomatonTables or None, not both, `step_costs` StepCosts or None, `law`
    None or the thresholds of cumulative start probabilities, int64 (S,), which replace `world.starts`. What None leaves
    out is not compiled: the loop is short of registers. Draws per step: the agent's action (only where drawn), then one
    per learner, else one for the branch; before them, at an episode's first step, one for the start.
    """
    s0, s1, s2, s3 = rng[0], rng[1], rng[2], rng[3]
    step, t, s = position[0], position[1], position[2]
    rewards = total[0]
    n_actions = behaviour.thresholds.shape[1]
    n_branches = world.successor.shape[1]
    stationary = behaviour.action.shape[0] == 1
    # Two sums in registers: to store a count per state in each step would cost a sixth of the time.
    worth0 = worth1 = 0.0
    q0 = q1 = rate = 0.0
    low = tie = high = np.int64(0)
    if learners is not None:
        n_learners = learners.q.shape[0]
        # The paper's opponent, one learner with two actions, keeps its two values in registers: twice as fast.
        single = n_learners == 1 and learners.n_actions[0] == 2
        if single:
            q0, q1, rate = learners.q[0, 0], learners.q[0, 1], learners.rate[0]
            explore = learners.exploration[0] / 2
            low = threshold(explore)
            tie = threshold(explore + (1.0 - learners.exploration[0]) / 2)
            high = threshold(explore + (1.0 - learners.exploration[0]) / 1)
    x = np.int64(0)
    if automaton is not None:
        x = automaton.state[0]
    keep = 1.0 - rate
    found = False
    while step < stop and not found:
        if t == 0:
            s0, s1, s2, s3, word = sfc64(s0, s1, s2, s3)
            if law is not None:
                s = draw_start(law, np.int64(word >> np.uint64(11)))
            else:
                s = world.starts[np.int64(uniform(word) * world.starts.shape[0])]
            if learners is not None:
                for i in range(n_learners):
                    if learners.reset[i]:
                        learners.q[i] = learners.initial[i]
                        if single:
                            q0, q1 = learners.q[0, 0], learners.q[0, 1]
            if automaton is not None:
                x = automaton.start
            if step_costs is not None:
                worth0 += step_costs.starts[np.uint64(s)]
        if behaviour.drawn:
            s0, s1, s2, s3, word = sfc64(s0, s1, s2, s3)
            bits = np.int64(word >> np.uint64(11))
            a = np.int64(0)
            for j in range(n_actions - 1):
                a += np.int64(bits >= behaviour.thresholds[np.uint64(s), np.uint64(j)])
        elif stationary:
            a = behaviour.action[np.uint64(0), np.uint64(s)]
        else:
            a = behaviour.action[np.uint64(t), np.uint64(s)]
        pair = np.uint64(s * n_actions + a)
        if automaton is not None:
            s0, s1, s2, s3, word = sfc64(s0, s1, s2, s3)
            bits = np.int64(word >> np.uint64(11))
            b = np.int64(0)
            for j in range(n_branches - 1):
                b += np.int64(bits >= automaton.thresholds[np.uint64(x), np.uint64(j)])
            x = automaton.following[np.uint64(x), np.uint64(a * n_branches + b)]
        elif learners is None:
            s0, s1, s2, s3, word = sfc64(s0, s1, s2, s3)
            bits = np.int64(word >> np.uint64(11))
            b = np.int64(0)
            for j in range(n_branches - 1):
                b += np.int64(bits >= world.thresholds[pair, np.uint64(j)])
        elif single:
            s0, s1, s2, s3, word = sfc64(s0, s1, s2, s3)
            first = tie if q0 == q1 else (high if q0 > q1 else low)
            b = np.int64(np.int64(word >> np.uint64(11)) >= first)
            gain = rate * learners.reward[np.uint64(0), np.uint64(a), np.uint64(b)]
            after0 = keep * q0 + gain
            after1 = keep * q1 + gain
            q0 = q0 if b == 1 else after0
            q1 = after1 if b == 1 else q1
        else:
            b = np.int64(0)
            for i in range(n_learners):
                s0, s1, s2, s3, word = sfc64(s0, s1, s2, s3)
                size = learners.n_actions[i]
                b = b * size + draw_learner(learners.q, i, size, learners.exploration[i], uniform(word))
            for i in range(n_learners):
                j = learners.digit[i, b]
                gain = learners.rate[i] * learners.reward[i, a, b]
                learners.q[i, j] = (1.0 - learners.rate[i]) * learners.q[i, j] + gain
        branch = np.uint64(b)
        if step_costs is None:
            rewards += world.reward[pair, branch]
        else:
            worth0 += step_costs.table[pair, np.uint64(0)]
            worth1 += step_costs.table[pair, np.uint64(1)]
            rewards += step_costs.table[pair, branch + np.uint64(2)]
        step += 1
        row = np.uint64(s) if memory.pooled else pair
        if memory.visits[row] < memory.m:
            memory.visits[row] += 1
            memory.branches[row, branch] += 1
            if memory.visits[row] == memory.m:
                memory.known_at[row] = step
                found = True
        s = world.successor[pair, branch]
        t += 1
        if t == world.horizon:
            t = 0
    if learners is not None:
        if single:
            learners.q[0, 0] = q0
            learners.q[0, 1] = q1
    if automaton is not None:
        automaton.state[0] = x
    rng[0] = s0
    rng[1] = s1
    rng[2] = s2
    rng[3] = s3
    position[0] = step
    position[1] = t
    position[2] = s
    total[0] = rewards
    if step_costs is not None:
        step_costs.total[0] += worth0
        step_costs.total[1] += worth1
    return found


@kernel
def plan_paper(world, memory, q, initial, sweeps, discount, temperature, thresholds):
    """Sweep in place over the known pairs and refresh the softmax policy, as the paper's agent does.

    `q` (S, A) starts at `initial`; the maximum over a successor's actions leaves out values still at exactly
    `initial` and counts as 0 if all are: unknown successors are pessimistic here. Values of -inf, of actions that are
    not allowed, are left out too.
    """
    n_states, n_actions = q.shape
    n_branches = world.successor.shape[1]
    for _ in range(sweeps):
        for s in range(n_states):
            for a in range(n_actions):
                pair = s * n_actions + a
                if memory.visits[pair] < memory.m:
                    continue
                rewards = 0.0
                values = 0.0
                for b in range(n_branches):
                    count = memory.branches[pair, b]
                    if count == 0:
                        continue
                    following = world.successor[pair, b]
                    best = 0.0
                    learned = False
                    for j in range(n_actions):
                        value = q[following, j]
                        if value != initial and value > -np.inf and (not learned or value > best):
                            best = value
                            learned = True
                    rewards += count * world.reward[pair, b]
                    values += count * best
                q[s, a] = rewards / memory.m + discount * (values / memory.m)
    softmax(q, temperature, thresholds)


@kernel
def softmax(q, temperature, thresholds):
    """Fill `thresholds` (S, A) with those of the cumulative softmax probabilities of `q` (S, A) at a temperature."""
    n_states, n_actions = q.shape
    for s in range(n_states):
        best = q[s, 0]
        for a in range(1, n_actions):
            best = max(best, q[s, a])
        total = 0.0
        for a in range(n_actions):
            total += math.exp((q[s, a] - best) / temperature)
        partial = 0.0
        for a in range(n_actions):
            partial += math.exp((q[s, a] - best) / temperature)
            thresholds[s, a] = threshold(partial / total)


@kernel
def optimistic_backup(world, memory, discount, top, following, q, values, action):
    """Back up `following` (S,) once through the optimistic model, in which unknown pairs are worth `top`.

    A known pair has its empirical law, or its true one where that is revealed. Fills `q` (S, A), its maxima `values`
    (S,) and the greedy `action` (S,), ties unknown first, then by index. Returns the largest change of a value.
    """
    n_states, n_actions = q.shape
    n_branches = world.successor.shape[1]
    revealed = world.revealed.shape[0] > 0
    change = 0.0
    for s in range(n_states):
        chosen = 0
        chosen_known = True
        for a in range(n_actions):
            pair = s * n_actions + a
            row = s if memory.pooled else pair
            known = memory.visits[row] == memory.m
            value = top
            if known and revealed:
                value = 0.0
                for b in range(n_branches):
                    share = world.revealed[pair, b]
                    if share > 0.0:
                        value += share * (world.reward[pair, b] + discount * following[world.successor[pair, b]])
                value = min(value, top)
            elif known:
                value = 0.0
                for b in range(n_branches):
                    count = memory.branches[row, b]
                    if count > 0:
                        value += count * (world.reward[pair, b] + discount * following[world.successor[pair, b]])
                value = min(value / memory.m, top)
            q[s, a] = value
            if a == 0 or value > q[s, chosen] or (value == q[s, chosen] and chosen_known and not known):
                chosen = a
                chosen_known = known
        change = max(change, abs(q[s, chosen] - following[s]))
        values[s] = q[s, chosen]
        action[s] = chosen
    return change


@kernel
def plan_stationary(world, memory, discount, top, tolerance, q, values, spare, action):
    """Iterate values of the optimistic model until the largest change is at most `tolerance`; return the iterations.

    `values` (S,) is the start and the result, `spare` (S,) scratch, `action` (1, S) the greedy policy. The greedy
    policy then loses at most 2 * discount * tolerance / (1 - discount) in the optimistic model.
    """
    iterations = 0
    change = np.inf
    while change > tolerance:
        change = optimistic_backup(world, memory, discount, top, values, q, spare, action[0])
        values[:] = spare
        iterations += 1
    return iterations


@kernel
def plan_horizon(world, memory, discount, tops, q, values, spare, action):
    """Plan backwards for the rest of an episode; `action` (T, S) is optimal for the optimistic model.

    `tops` (T,): the largest return of the last j + 1 steps, which is what an unknown pair is worth there.
    """
    horizon = action.shape[0]
    values[:] = 0.0
    for remaining in range(horizon):
        stage = horizon - 1 - remaining
        optimistic_backup(world, memory, discount, tops[remaining], values, q, spare, action[stage])
        values[:] = spare


@kernel
def play_informed(world, learners, rng, n_steps, n_actions):
    """Return the summed reward of `n_steps` by a shaper who sees the learners' values and plays the best reply.

    The reply is myopic: the action with the largest expected reward of the present step, ties by index.
    """
    s0, s1, s2, s3 = rng[0], rng[1], rng[2], rng[3]
    n_learners = learners.q.shape[0]
    n_branches = world.successor.shape[1]
    rewards = 0.0
    for step in range(n_steps):
        if step % world.horizon == 0:
            for i in range(n_learners):
                if learners.reset[i]:
                    learners.q[i] = learners.initial[i]
        chosen = 0
        chosen_value = -np.inf
        for a in range(n_actions):
            value = 0.0
            for b in range(n_branches):
                probability = 1.0
                for i in range(n_learners):
                    size = learners.n_actions[i]
                    best = learners.q[i, 0]
                    for j in range(1, size):
                        best = max(best, learners.q[i, j])
                    ties = 0
                    for j in range(size):
                        ties += np.int64(learners.q[i, j] == best)
                    own = learners.exploration[i] / size
                    if learners.q[i, learners.digit[i, b]] == best:
                        own += (1.0 - learners.exploration[i]) / ties
                    probability *= own
                value += probability * world.reward[a, b]
            if value > chosen_value:
                chosen = a
                chosen_value = value
        b = np.int64(0)
        for i in range(n_learners):
            s0, s1, s2, s3, word = sfc64(s0, s1, s2, s3)
            size = learners.n_actions[i]
            b = b * size + draw_learner(learners.q, i, size, learners.exploration[i], uniform(word))
        for i in range(n_learners):
            j = learners.digit[i, b]
            gain = learners.rate[i] * learners.reward[i, chosen, b]
            learners.q[i, j] = (1.0 - learners.rate[i]) * learners.q[i, j] + gain
        rewards += world.reward[chosen, b]
    rng[0] = s0
    rng[1] = s1
    rng[2] = s2
    rng[3] = s3
    return rewards
