"""Occupancy states: the law of the state and of each agent's history at a step, given the rules of the steps before."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from rfos._kernels import teams as kernels
from rfos._system.arrays import Float, Int
from rfos._system.memory import require_memory
from rfos.teams.evaluate import Reached
from rfos.teams.model import DecPOMDP

EQUAL_WITHIN = 1e-11
"""Laws that are closer than this in total variation are merged even at `tol=0`; what that may cost is paid for too."""

LARGEST_CODE = 2**62
"""Several numbers are joined into one as long as it stays below."""


class Clustered(NamedTuple):
    """An occupancy state with the histories of each agent merged.

    Attributes
    ----------
    reached : Reached
        With the numbers of clusters in place of histories; sorted by them, first agent's first, then by state.
    sizes : tuple of int
        Clusters of each agent.
    labels : tuple of ndarray of int64
        ``labels[i][history]`` is the cluster of a history of agent i, -1 if the history is never met.
    distance : float
        Total variation, in probability, between the occupancy state and the one in which merged histories are alike.
        For every policy it changes the rest of the return by at most this times the span of that rest (the argument of
        M1, with the distance measured instead of the tolerance).
    most : int
        How many entries were summed up to one at most.
    """

    reached: Reached
    sizes: tuple[int, ...]
    labels: tuple[Int, ...]
    distance: float
    most: int


def joint_codes(columns: Sequence[Int], sizes: Sequence[int]) -> Int:
    """Return one number for each row of several columns of numbers, in the order of the rows.

    Parameters
    ----------
    columns : sequence of ndarray of int64, shape (K,)
    sizes : sequence of int
        Numbers in a column lie below.

    Examples
    --------
    >>> joint_codes([np.array([0, 1]), np.array([2, 0])], [2, 3]).tolist()
    [2, 3]
    """
    code, size = np.zeros(len(columns[0]), np.int64), 1
    for column, number in zip(columns, sizes, strict=True):
        if size * number >= LARGEST_CODE:
            found, code = np.unique(code, return_inverse=True)
            size = len(found)
        if size * number >= LARGEST_CODE:
            found, column = np.unique(column, return_inverse=True)
            number = len(found)
        code = code * number + column
        size *= number
    return code


def gather(state: Int, histories: Int, weight: Float, sizes: Sequence[int], n_states: int) -> tuple[Reached, int]:
    """Return an occupancy state with equal entries summed up, sorted, and how many were summed up at most."""
    code = joint_codes([*histories, state], [*sizes, n_states])
    order = np.argsort(code, kind="stable")
    ordered = code[order]
    first = np.flatnonzero(np.concatenate([[True], ordered[1:] != ordered[:-1]]))
    most = int(_counts(first, len(order)).max())
    kept = order[first]
    return Reached(state[kept], histories[:, kept], np.add.reduceat(weight[order], first)), most


def _counts(first: Int, total: int) -> Int:
    """Return how many entries each group has, given the first of each."""
    counts = np.empty_like(first)
    counts[:-1] = first[1:] - first[:-1]
    counts[-1] = total - first[-1]
    return counts


def merge_groups(group: Int, rest: Int, weight: Float, n_groups: int, tol: float) -> tuple[Int, int, float]:
    """Merge groups with equal conditional laws.

    Parameters
    ----------
    group, rest : ndarray of int64, shape (K,)
        No pair may come twice.
    weight : ndarray of float64, shape (K,)
        Probability of each pair.
    n_groups : int
    tol : float
        Largest total variation between two laws that are merged; if negative, none are.

    Returns
    -------
    label : ndarray of int64, shape (n_groups,)
        Number of the merged group, in the order in which they first come; -1 for a group that has no entry.
    count : int
    distance : float
        Total variation between the joint law and that in which the groups of a number have a common law.

    Examples
    --------
    Groups 0 and 2 say the same of the rest:

    >>> label, count, distance = merge_groups(np.array([0, 0, 1, 2, 2]), np.array([0, 1, 1, 0, 1]),
    ...                                       np.array([0.125, 0.125, 0.25, 0.25, 0.25]), 3, 0.0)
    >>> label.tolist(), count, distance
    ([0, 1, 0], 2, 0.0)
    """
    order = np.lexsort((rest, group))
    group, rest, weight = group[order], rest[order], weight[order]
    first = np.flatnonzero(np.concatenate([[True], group[1:] != group[:-1]]))
    present = group[first]
    mass = np.add.reduceat(weight, first)
    counts = _counts(first, len(group))
    share = weight / np.repeat(mass, counts)
    mixed = (rest.astype(np.uint64) + np.uint64(1)) * np.uint64(0x9E3779B97F4A7C15)
    score = np.add.reduceat(share * ((mixed >> np.uint64(11)) * 2.0**-53), first)
    merged = np.empty(len(first), np.int64)
    pointer = np.append(first, len(group))
    within = tol if tol < 0 else max(tol, EQUAL_WITHIN)
    count = int(kernels.merge_groups(pointer, rest, share, score, np.argsort(score, kind="stable"), within, merged))
    label = np.full(n_groups, -1, np.int64)
    if count == len(first):
        label[present] = np.arange(count)
        return label, count, 0.0
    _, at = np.unique(merged, return_index=True)
    renumbered = np.empty(count, np.int64)
    renumbered[merged[np.sort(at)]] = np.arange(count)
    own = renumbered[merged]
    label[present] = own
    # The law that the merged groups have in common, and how far each is from it.
    total = np.bincount(own, mass, count)
    entry = np.repeat(own, counts)
    pair, place = np.unique(joint_codes([entry, rest], [count, int(rest.max()) + 1]), return_inverse=True)
    common = np.bincount(place, weight, len(pair)) / total[_first_of(place, entry, len(pair))]
    within_each = np.abs(weight - np.repeat(mass, counts) * common[place]).sum()
    # What the law in common has outside of a group's own entries is missing from its part.
    outside = mass.sum() - math.fsum(np.repeat(mass, counts) * common[place])
    return label, count, 0.5 * (float(within_each) + max(0.0, float(outside)))


def _first_of(place: Int, value: Int, size: int) -> Int:
    """Return for each number the value of an entry that has it."""
    found = np.empty(size, np.int64)
    found[place] = value
    return found


def cluster(reached: Reached, sizes: Sequence[int], n_states: int, tol: float = 0.0) -> Clustered:
    """Merge the histories of each agent after which the law of everything else is the same.

    An agent loses nothing by doing the same after both: lossless clustering (Oliehoek, Whiteson and Spaan 2009).

    Parameters
    ----------
    reached : Reached
    sizes : sequence of int
        Numbers of histories of each agent lie below.
    n_states : int
    tol : float in [0, 1)
        Histories are also merged whose laws are so far apart in total variation; `distance` says what that may cost.

    Returns
    -------
    Clustered

    Examples
    --------
    Agent 0 knows the state, agent 1 has seen noise:

    >>> reached = Reached(np.array([0, 0, 1, 1]), np.array([[0, 0, 1, 1], [0, 1, 0, 1]]), np.full(4, 0.25))
    >>> cluster(reached, (2, 2), 2).sizes
    (2, 1)
    """
    found = list(sizes)
    labels: list[Any] = [None] * len(found)
    distance, most = 0.0, 1
    changed = True
    agent, unchanged = 0, 0
    while unchanged < len(found):
        others = [j for j in range(len(found)) if j != agent]
        rest = joint_codes(
            [*(reached.histories[j] for j in others), reached.state], [*(found[j] for j in others), n_states]
        )
        label, count, apart = merge_groups(reached.histories[agent], rest, reached.weight, found[agent], tol)
        changed = count < len(np.unique(reached.histories[agent]))
        if changed or count < found[agent]:
            histories = reached.histories.copy()
            histories[agent] = label[histories[agent]]
            previous = labels[agent]
            labels[agent] = label if previous is None else np.where(previous >= 0, label[previous], -1)
            found[agent] = count
            reached, sums = gather(reached.state, histories, reached.weight, found, n_states)
            most, distance = max(most, sums), distance + apart
        elif labels[agent] is None:
            labels[agent] = np.arange(found[agent])
        unchanged = 1 if changed else unchanged + 1
        agent = (agent + 1) % len(found)
    return Clustered(reached, tuple(found), tuple(labels), distance, most)


def following(team: DecPOMDP, reached: Reached, sizes: Sequence[int], rules: Sequence[Int]) -> tuple[Reached, int]:
    """Return the occupancy state of the next step, and how many entries were summed up to one at most.

    Parameters
    ----------
    team : DecPOMDP
    reached : Reached
    sizes : sequence of int
        Numbers of histories of each agent lie below.
    rules : sequence of ndarray of int64
        ``rules[i][history]`` is the action of agent i.

    Returns
    -------
    reached : Reached
        History h and observation o of agent i make history h * O_i + o.
    most : int

    Examples
    --------
    >>> team = DecPOMDP(np.full((1, 1, 1, 2), 0.5), [[0.0]], (1,), (2,), horizon=2)
    >>> start = Reached(np.array([0]), np.array([[0]]), np.array([1.0]))
    >>> following(team, start, (1,), [np.array([0])])[0].histories.tolist()
    [[0, 1]]
    """
    action = np.zeros(len(reached.state), np.int64)
    for i, size in enumerate(team.n_actions):
        action = action * size + rules[i][reached.histories[i]]
    source, branch = followed(team, reached.state, action)
    b = team.branches
    histories = np.empty((team.n_agents, len(source)), np.int64)
    for i, part in enumerate(observation_parts(team, b.observation[branch])):
        histories[i] = reached.histories[i][source] * team.n_observations[i] + part
    weight = reached.weight[source] * b.probability[branch]
    grown = [n * o for n, o in zip(sizes, team.n_observations, strict=True)]
    return gather(b.state[branch], histories, weight, grown, team.n_states)


def followed(team: DecPOMDP, state: Int, action: Int) -> tuple[Int, Int]:
    """Return all branches that follow states under joint actions: the entry that each comes from, and its number.

    Raises
    ------
    MemoryError
        If they do not fit this machine.
    """
    pointer = team.branches.pointer
    row = state * team.n_joint_actions + action
    first = pointer[row]
    count = pointer[row + 1] - first
    ends = np.cumsum(count)
    total = int(ends[-1])
    if total > 10**6:
        require_memory(8 * total * (5 * team.n_agents + 12), "the histories of a step", "give a shorter horizon")
    source = np.repeat(np.arange(len(row)), count)
    return source, np.arange(total) + np.repeat(first - ends + count, count)


def observation_parts(team: DecPOMDP, observation: Int) -> tuple[Int, ...]:
    """Return each agent's part of joint observations."""
    parts: tuple[Int, ...] = np.unravel_index(observation, team.n_observations)
    return parts
