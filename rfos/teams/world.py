"""A team problem as kernels play it: its branches, the rows in which they are counted, and the trees of its agents."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from rfos._kernels.team_play import Rows, TeamWorld, Trees
from rfos._system import checks
from rfos._system.arrays import Float, Int, integers
from rfos._system.memory import require_memory
from rfos.planning.storages import ROW_SUM_TOL
from rfos.teams.model import DecPOMDP
from rfos.teams.policies import TeamPolicy, n_histories, require_trees

Rewards = Literal["known", "sampled"]
"""Whether mean rewards are known, or each step pays the largest or the smallest reward, with the right mean."""


@dataclass(frozen=True, eq=False)
class Layout:
    """Where the branches of a team problem are counted.

    Attributes
    ----------
    world : TeamWorld
    rows : Rows
        The last row is that of the start pair.
    slot_observation : ndarray of int64, shape (slots,)
        The joint observation of each slot.
    pair : ndarray of int64, shape (rows,)
        The first pair of each row; S * A is the start pair.
    """

    world: TeamWorld
    rows: Rows
    slot_observation: Int
    pair: Int

    @property
    def n_rows(self) -> int:
        """Number of rows, with that of the start pair."""
        return len(self.pair)

    @property
    def widths(self) -> Int:
        """Number of successors of each row, shape (rows,)."""
        widths: Int = np.diff(self.rows.pointer)
        return widths


def start_branches(team: DecPOMDP) -> tuple[Int, Int, Float]:
    """Return state, joint observation (0 where there is none) and probability of each beginning of an episode."""
    law = team.starts if team.has_first_observation else team.starts[:, None]
    state, observation = np.nonzero(law)
    return state, observation, law[state, observation]


def _thresholds(pointer: Int, probability: Float) -> Int:
    """Return the thresholds of the cumulative probabilities within each row, in units of 2^-53."""
    width = np.diff(pointer)
    found = np.empty(len(probability), np.int64)
    for size in np.unique(width):  # rows of one width at once: a sum within a row must not depend on other rows
        first = pointer[:-1][width == size]
        place = first[:, None] + np.arange(size)
        cumulative = np.cumsum(probability[place], axis=1)
        cumulative /= cumulative[:, -1:]
        found[place] = np.ceil(cumulative * 2.0**53).astype(np.int64)
    return found


def _keys(team: DecPOMDP, given: object) -> Int:
    """Return the row of each pair, from 0 on, once it is known that pairs of a row share their law."""
    n_pairs = team.n_states * team.n_joint_actions
    if given is None:
        return np.arange(n_pairs)
    own = integers("row_keys", given)
    if own.shape != (n_pairs,):
        raise ValueError(
            f"row_keys has shape {own.shape}: give a whole number for each of the {n_pairs:,} pairs s * A + a"
        )
    _, representative, key = np.unique(own, return_index=True, return_inverse=True)
    b = team.branches
    other = representative[key]
    width = np.diff(b.pointer)
    fits = width == width[other]
    pair = np.repeat(np.arange(n_pairs)[fits], width[fits])
    offset = np.arange(len(pair)) - np.repeat(np.cumsum(width[fits]) - width[fits], width[fits])
    mine, its = b.pointer[pair] + offset, b.pointer[other[pair]] + offset
    same = (b.state[mine] == b.state[its]) & (b.observation[mine] == b.observation[its])
    same &= np.abs(b.probability[mine] - b.probability[its]) <= ROW_SUM_TOL
    fits[pair[~same]] = False
    if not fits.all():
        first = int((~fits).argmax())
        (s, a), (t, c) = (divmod(int(x), team.n_joint_actions) for x in (first, other[first]))
        raise ValueError(
            f"row_keys put state {s} with joint action {a} into the row of state {t} with joint action {c}, but their "
            "laws of next state and observation differ: give them different keys"
        )
    return np.asarray(key, np.int64).ravel()


def layout(team: DecPOMDP, row_keys: object = None, rewards: Rewards = "known") -> Layout:
    """Return where the branches of a team problem are counted.

    Parameters
    ----------
    team : DecPOMDP
    row_keys : array_like of int, shape (S*A,), optional
        Pairs of one key share a row of counts (M8-pool); their laws must be equal. Default: a row for each pair.
    rewards : {"known", "sampled"}
        With "sampled" a row counts how often the largest reward was drawn, so pairs of a row must have equal means.

    Raises
    ------
    ValueError
        If `rewards` is neither, `row_keys` has another shape, or puts pairs with different laws into one row.
    MemoryError

    Examples
    --------
    A coin that no action touches: one row for all pairs, and the start pair's.

    >>> team = DecPOMDP(np.full((2, 2, 2, 1), 0.5), np.zeros((2, 2)), (2,), (1,), horizon=1)
    >>> layout(team).n_rows, layout(team, row_keys=[0, 0, 0, 0]).n_rows
    (5, 2)
    """
    checks.kind("team", team, DecPOMDP)
    if rewards not in ("known", "sampled"):
        raise ValueError(f"rewards are {checks.shown(rewards)}: choose 'known' or 'sampled'")
    b = team.branches
    require_memory(80 * (len(b.state) + team.rewards.size), "the counts of the team", "give a smaller problem")
    key = _keys(team, row_keys)
    n_pairs, n_rows = len(key), int(key.max()) + 1
    state, observation, probability = start_branches(team)
    pointer = np.append(b.pointer, b.pointer[-1] + len(state))
    row = np.append(key, n_rows)
    pair = np.append(np.unique(key, return_index=True)[1], n_pairs)
    low, high = team.reward_range
    coins = np.empty(0, np.int64)
    if rewards == "sampled":
        mean = team.rewards.ravel()
        if (mean != mean[pair[:-1]][key]).any():
            first = int((mean != mean[pair[:-1]][key]).argmax())
            raise ValueError(
                f"row_keys put pairs of mean rewards {mean[first]} and {mean[pair[key[first]]]} into one row: give "
                "them different keys, or rewards='known'"
            )
        share = np.zeros(n_pairs) if low == high else (mean - low) / (high - low)
        coins = np.ceil(share * 2.0**53).astype(np.int64)
    width = np.diff(pointer)
    slots = np.append(0, np.cumsum(width[pair]))
    slot = np.arange(len(b.state) + len(state)) - np.repeat(pointer[:-1], width) + np.repeat(slots[row], width)
    states, observations = np.append(b.state, state), np.append(b.observation, observation)
    of_slot = np.arange(slots[-1]) - np.repeat(slots[:-1], width[pair]) + np.repeat(pointer[pair], width[pair])
    world = TeamWorld(
        pointer,
        states,
        observations,
        _thresholds(pointer, np.append(b.probability, probability)),
        team.rewards.ravel().copy(),
        coins,
        row,
        slot,
        team.n_joint_actions,
        team.horizon,
    )
    return Layout(world, Rows(slots, states[of_slot], row), observations[of_slot], pair)


def tree_numbers(team: DecPOMDP, policy: TeamPolicy | None = None) -> Trees:
    """Return the numbers of the nodes of the agents' trees, and a policy's action at each.

    Raises
    ------
    MemoryError
        If the histories do not fit this machine.

    Examples
    --------
    Two steps, two observations: a node first, two nodes then; the second agent's come after.

    >>> team = DecPOMDP(np.full((1, 4, 1, 4), 0.25), np.zeros((1, 4)), (2, 2), (2, 2), horizon=2)
    >>> tree_numbers(team).first.tolist()
    [[0, 1], [3, 4]]
    """
    require_trees(team)
    sizes = np.array([[n_histories(team, i, t) for t in range(team.horizon)] for i in range(team.n_agents)], np.int64)
    ends = np.cumsum(sizes.ravel()).reshape(sizes.shape)
    observed = np.array(np.unravel_index(np.arange(team.n_joint_observations), team.n_observations), np.int64).T
    action = np.empty(0, np.int64)
    if policy is not None:
        policy.check(team)
        action = np.concatenate([stage for tree in policy.trees for stage in tree])
    return Trees(
        ends - sizes,
        np.array(team.n_actions, np.int64),
        np.array(team.n_observations, np.int64),
        np.ascontiguousarray(observed),
        action,
        bool(team.has_first_observation),
        np.zeros(team.n_agents, np.int64),
    )
