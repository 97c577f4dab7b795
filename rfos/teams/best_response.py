"""Alternating best response: each agent in turn answers the others best, until no agent gains. A lower bound."""

from __future__ import annotations

import math
import time

import numpy as np

from rfos._system import checks
from rfos._system.arrays import Float, Int
from rfos.teams.evaluate import TeamValue, evaluate, first_reached
from rfos.teams.model import DecPOMDP, split_index
from rfos.teams.occupancy import followed, joint_codes, merge_groups, observation_parts
from rfos.teams.policies import MEND, TeamPolicy, constant_policy, n_histories, random_policy

GAIN = 1e-9
"""Least gain of a round, as a share of the largest return, for there to be another one."""

MOST_ENTRIES = 4_000_000
"""Most pairs (own history of actions and observations, what is hidden) of a step that a best response goes through."""


class TooLargeError(RuntimeError):
    """A best response would take more memory than it may."""


def best_response(team: DecPOMDP, policy: TeamPolicy, agent: int) -> tuple[Int, ...]:
    """Return the tree of one agent that answers the others' trees best.

    With the others fixed it is a POMDP of one agent, whose hidden state is the state and the others' histories; its own
    histories after which the laws of these are equal are merged.

    Parameters
    ----------
    team : DecPOMDP
    policy : TeamPolicy
    agent : int

    Returns
    -------
    tuple of ndarray of int64
        ``tree[step][history]``; action 0 after histories that are never met.

    Raises
    ------
    TooLargeError
        If the laws of a step would take more than `MOST_ENTRIES` numbers.

    Examples
    --------
    Two agents are paid for the same action:

    >>> from rfos.teams.policies import constant_policy
    >>> team = DecPOMDP(np.ones((1, 4, 1, 1)), [[1, 0, 0, 1]], (2, 2), (1, 1), horizon=2)
    >>> [rule.tolist() for rule in best_response(team, constant_policy(team, (0, 1)), 0)]
    [[1], [1]]
    """
    checks.kind("team", team, DecPOMDP)
    checks.kind("policy", policy, TeamPolicy, mend=MEND)
    policy.check(team)
    checks.whole("agent", agent, 0, team.n_agents - 1)
    others = [j for j in range(team.n_agents) if j != agent]
    n_own, seen = team.n_actions[agent], team.n_observations[agent]
    start = first_reached(team)
    state, weight = start.state, start.weight
    histories = start.histories[others]
    group = start.histories[agent]
    n_groups = n_histories(team, agent, 0)
    rewards: list[Float] = []
    children: list[Int] = []
    chances: list[Float] = []
    first: Int = np.zeros(0, np.int64)
    for step in range(team.horizon):
        # Nodes of this step: groups of own histories (with their actions) that leave the same law of the rest.
        sizes = [n_histories(team, j, step) for j in others]
        rest = joint_codes([*histories, state], [*sizes, team.n_states])
        label, n_nodes, _ = merge_groups(group, rest, weight, n_groups, 0.0)
        mass: Float = np.bincount(group, weight, n_groups).astype(np.float64)
        if step == 0:
            first = label
        else:
            children.append(label.reshape(-1, n_own, seen))
            chances.append(mass.reshape(-1, n_own, seen))
        # One of each group's members stands for all, with a law that sums to 1.
        stands: Int = np.full(n_nodes, -1, np.int64)
        present = np.flatnonzero(label >= 0)[::-1]
        stands[label[present]] = present
        kept = stands[label[group]] == group
        state, histories, node = state[kept], histories[:, kept], label[group[kept]]
        weight = weight[kept] / mass[group[kept]]
        actions = [policy.trees[j][step][histories[k]] for k, j in enumerate(others)]
        paid = np.empty((n_nodes, n_own))
        parts: list[tuple[Int, Int, Int, Float]] = []
        for own in range(n_own):
            chosen = np.zeros(len(state), np.int64)
            for j, size in enumerate(team.n_actions):
                chosen = chosen * size + (own if j == agent else actions[others.index(j)])
            paid[:, own] = np.bincount(node, weight * team.rewards[state, chosen], n_nodes)
            if step + 1 < team.horizon:
                row = state * team.n_joint_actions + chosen
                total = int((team.branches.pointer[row + 1] - team.branches.pointer[row]).sum())
                if total * n_own > MOST_ENTRIES:
                    raise TooLargeError(f"a best response at step {step} takes about {total * n_own:,} entries")
                source, branch = followed(team, state, chosen)
                parts.append((np.full(len(source), own), source, branch, team.branches.probability[branch]))
        rewards.append(paid)
        if step + 1 < team.horizon:
            did, source, branch, chance = (np.concatenate(column) for column in zip(*parts, strict=True))
            observed = observation_parts(team, team.branches.observation[branch])
            group = (node[source] * n_own + did) * seen + observed[agent]
            grown = [histories[k][source] * team.n_observations[j] + observed[j] for k, j in enumerate(others)]
            state = team.branches.state[branch]
            n_groups = n_nodes * n_own * seen
            code = joint_codes(
                [group, *grown, state], [n_groups, *(n_histories(team, j, step + 1) for j in others), team.n_states]
            )
            _, at, place = np.unique(code, return_index=True, return_inverse=True)
            weight = np.bincount(place, weight[source] * chance, len(at)).astype(np.float64)
            group, state = group[at], state[at]
            histories = np.array([column[at] for column in grown], np.int64).reshape(len(others), len(at))
    choices = [rewards[-1].argmax(axis=1)]
    value = rewards[-1].max(axis=1)
    for step in range(team.horizon - 2, -1, -1):
        child, chance = children[step], chances[step]
        ahead = np.where(child >= 0, value[child], 0.0)
        q = rewards[step] + team.discount * (chance * ahead).sum(axis=2)
        choices.append(q.argmax(axis=1))
        value = q.max(axis=1)
    choices.reverse()
    tree, node = [], first
    for step in range(team.horizon):
        action = np.where(node >= 0, choices[step][node], 0)
        tree.append(action)
        if step + 1 < team.horizon:
            child = children[step][node, action]
            node = np.where(node[:, None] >= 0, child, -1).ravel()
    return tuple(tree)


def alternating_best_response(
    team: DecPOMDP,
    restarts: int = 10,
    rng: int | np.random.SeedSequence | np.random.Generator | None = 0,
    *,
    deadline: float = math.inf,
) -> tuple[TeamPolicy, TeamValue]:
    """Return the best policy that alternating best responses find from random starts.

    Each is a Nash equilibrium of the team, which may be far from its optimum (JESP; Nair et al. 2003).

    Parameters
    ----------
    team : DecPOMDP
    restarts : int
        Random starts. The best constant joint action is looked at too, but not improved.
    rng : int, SeedSequence, Generator or None
    deadline : float
        Of `time.monotonic`: no round begins after it.

    Returns
    -------
    policy : TeamPolicy
    value : TeamValue

    Examples
    --------
    >>> team = DecPOMDP(np.ones((1, 4, 1, 1)), [[1, 0, 0, 1]], (2, 2), (1, 1), horizon=2)
    >>> alternating_best_response(team, restarts=1)[1].value
    2.0
    """
    checks.kind("team", team, DecPOMDP)
    checks.whole("restarts", restarts, 0)
    generator = np.random.default_rng(rng)
    best = best_constant(team)
    best_value = evaluate(team, best)
    least = GAIN * team.largest_return * float(np.abs(team.rewards).max())
    for _ in range(restarts):
        if time.monotonic() > deadline:
            break
        policy = random_policy(team, generator)
        value = evaluate(team, policy)
        idle = 0
        agent = 0
        while idle < team.n_agents and time.monotonic() <= deadline:
            try:
                tree = best_response(team, policy, agent)
            except TooLargeError:
                return (policy, value) if value.lower > best_value.lower else (best, best_value)
            answer = TeamPolicy(tuple(tree if j == agent else own for j, own in enumerate(policy.trees)))
            found = evaluate(team, answer)
            idle = 0 if found.value > value.value + least else idle + 1
            if found.value >= value.value:
                policy, value = answer, found
            agent = (agent + 1) % team.n_agents
        if value.lower > best_value.lower:
            best, best_value = policy, value
    return best, best_value


def best_constant(team: DecPOMDP) -> TeamPolicy:
    """Return the best policy in which each agent always does the same.

    Examples
    --------
    >>> team = DecPOMDP(np.ones((1, 4, 1, 1)), [[0, 2, 0, 1]], (2, 2), (1, 1), horizon=1)
    >>> [tree[0].tolist() for tree in best_constant(team).trees]
    [[0], [1]]
    """
    law = team.starts if team.starts.ndim == 1 else team.starts.sum(axis=1)
    earned = np.zeros(team.n_joint_actions)
    laws = np.tile(law, (team.n_joint_actions, 1))
    rows = np.arange(team.n_states) * team.n_joint_actions
    for step in range(team.horizon):
        earned += team.discount**step * np.einsum("as,sa->a", laws, team.rewards)
        if step + 1 < team.horizon:
            laws = np.array([laws[a] @ team.transitions[rows + a] for a in range(team.n_joint_actions)])
    return constant_policy(team, split_index(int(earned.argmax()), team.n_actions))
