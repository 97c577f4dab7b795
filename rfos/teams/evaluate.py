"""The value of a team's policy, exactly but for rounding, which the bracket accounts for."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np

from rfos._system import checks
from rfos._system.arrays import Float, Int
from rfos._system.memory import require_memory
from rfos.planning.certificates import UNIT_ROUNDOFF
from rfos.teams.model import DecPOMDP
from rfos.teams.policies import MEND, TeamPolicy


class TeamValue(NamedTuple):
    """The return of an episode, and a bracket that holds it whatever was rounded.

    Attributes
    ----------
    value, lower, upper : float
        In units of reward, discounted by the model's discount.
    """

    value: float
    lower: float
    upper: float


class Reached(NamedTuple):
    """What can be at a step: states with each agent's history, and the probability of each.

    Attributes
    ----------
    state : ndarray of int64, shape (K,)
    histories : ndarray of int64, shape (n, K)
        The number of each agent's history.
    weight : ndarray of float64, shape (K,)
    """

    state: Int
    histories: Int
    weight: Float


def _merged(state: Int, histories: Int, weight: Float, most: int) -> tuple[Reached, int]:
    """Return what is reached, equal entries put together, and how many were put into one at most."""
    keys = np.vstack([histories, state])
    order = np.lexsort(keys)
    sorted_keys = keys[:, order]
    new = np.ones(len(order), np.bool_)
    new[1:] = (sorted_keys[:, 1:] != sorted_keys[:, :-1]).any(axis=0)
    first = np.flatnonzero(new)
    counts = np.diff(np.append(first, len(order)))
    kept = sorted_keys[:, first]
    total = np.add.reduceat(weight[order], first)
    return Reached(kept[-1], kept[:-1], total), max(most, int(counts.max()))


def first_reached(team: DecPOMDP) -> Reached:
    """Return the states and the agents' first histories that an episode can begin with."""
    if not team.has_first_observation:
        state = np.flatnonzero(team.starts)
        return Reached(state, np.zeros((team.n_agents, len(state)), np.int64), team.starts[state])
    state, observation = np.nonzero(team.starts)
    parts = np.array(np.unravel_index(observation, team.n_observations), np.int64).reshape(team.n_agents, -1)
    return Reached(state, parts, team.starts[state, observation])


def joint_actions(team: DecPOMDP, policy: TeamPolicy, step: int, reached: Reached) -> Int:
    """Return the joint action taken at each entry of what is reached."""
    action = np.zeros(len(reached.state), np.int64)
    for i, size in enumerate(team.n_actions):
        action = action * size + policy.trees[i][step][reached.histories[i]]
    return action


def after(team: DecPOMDP, reached: Reached, action: Int) -> tuple[Reached, int]:
    """Return what is reached a step later, and how many entries were put into one at most.

    Raises
    ------
    MemoryError
        If that does not fit this machine.
    """
    b = team.branches
    row = reached.state * team.n_joint_actions + action
    count = b.pointer[row + 1] - b.pointer[row]
    total = int(count.sum())
    require_memory(8 * total * (5 * team.n_agents + 12), "the histories of a step", "give a shorter horizon")
    source = np.repeat(np.arange(len(row)), count)
    branch = np.arange(total) - np.repeat(np.cumsum(count) - count, count) + b.pointer[row][source]
    parts: Any = np.unravel_index(b.observation[branch], team.n_observations)
    histories = np.empty((team.n_agents, total), np.int64)
    for i, size in enumerate(team.n_observations):
        histories[i] = reached.histories[i][source] * size + parts[i]
    return _merged(b.state[branch], histories, reached.weight[source] * b.probability[branch], 1)


def evaluate(team: DecPOMDP, policy: TeamPolicy) -> TeamValue:
    """Return the expected return of a policy, by going through all histories that it can meet.

    Parameters
    ----------
    team : DecPOMDP
    policy : TeamPolicy

    Returns
    -------
    TeamValue
        The bracket holds the value of the tables as they are stored.

    Raises
    ------
    ValueError
        If the policy is for another team.
    MemoryError
        If the histories of a step do not fit this machine.

    Examples
    --------
    A state that pays 1 for action 1, and stays; two steps, discount 1/2:

    >>> from rfos.teams.policies import constant_policy
    >>> team = DecPOMDP(np.ones((1, 2, 1, 1)), [[0.0, 1.0]], (2,), (1,), horizon=2, discount=0.5)
    >>> evaluate(team, constant_policy(team, (1,))).value
    1.5
    """
    checks.kind("team", team, DecPOMDP)
    checks.kind("policy", policy, TeamPolicy, mend=MEND)
    policy.check(team)
    reached, most = first_reached(team), 1
    earned: list[float] = []
    size = 0.0
    roundings = 3  # of a weight: its start, its reward, its discount
    for step in range(team.horizon):
        action = joint_actions(team, policy, step, reached)
        paid = reached.weight * team.rewards[reached.state, action]
        scale = team.discount**step
        earned.append(scale * math.fsum(paid))
        size += scale * math.fsum(np.abs(paid))
        if step + 1 < team.horizon:
            reached, most = after(team, reached, action)
            roundings += 1 + most  # a product, and a sum of so many
    value = math.fsum(earned)
    margin = 2 * UNIT_ROUNDOFF * (roundings + team.horizon + 4) * size
    return TeamValue(value, value - margin, value + margin)
