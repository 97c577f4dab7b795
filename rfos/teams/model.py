"""Team problems: finite Dec-POMDPs, with MDPs and POMDPs as special cases."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import InitVar, dataclass, field
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
import scipy.sparse as sp

from rfos._system import checks
from rfos._system.arrays import Float, Int, array_of, floats, freeze, hand_over, integers
from rfos._system.memory import require_memory
from rfos.planning.mdp import TabularMDP
from rfos.planning.storages import MAX_STATES, ROW_SUM_TOL

LONGEST_EPISODE = 10_000
"""Largest horizon: an episode is looked at as a whole."""


class Branches(NamedTuple):
    """What can follow each pair, in rows of a compressed table: row s * A + a of pair (s, a).

    Attributes
    ----------
    pointer : ndarray of int64, shape (S*A + 1,)
        Branches `pointer[k]` to `pointer[k+1] - 1` are those of row k.
    state, observation : ndarray of int64, shape (E,)
        Next state, and joint observation.
    probability : ndarray of float64, shape (E,)
        All positive.
    """

    pointer: Int
    state: Int
    observation: Int
    probability: Float


def joint_index(parts: Sequence[int], sizes: Sequence[int]) -> int:
    """Return the number of a joint action or observation: the first agent's is the highest digit.

    Examples
    --------
    >>> joint_index((1, 2), (2, 3)), joint_index((), ())
    (5, 0)
    """
    number = 0
    for part, size in zip(parts, sizes, strict=True):
        number = number * size + part
    return number


def split_index(number: int, sizes: Sequence[int]) -> tuple[int, ...]:
    """Return each agent's part of a joint number.

    Examples
    --------
    >>> split_index(5, (2, 3))
    (1, 2)
    """
    parts = []
    for size in reversed(sizes):
        number, part = divmod(number, size)
        parts.append(part)
    return tuple(reversed(parts))


def _sizes(name: str, given: object) -> tuple[int, ...]:
    """Return the numbers of actions or observations of each agent."""
    sizes = checks.several(name, given, "give one number for each agent, such as (3, 3)")
    if not sizes:
        raise ValueError(f"{name} is empty: give one number for each agent, such as (3, 3)")
    return tuple(checks.whole(f"{name}[{i}]", size) for i, size in enumerate(sizes))


def _law(given: object, n_states: int, n_observations: int) -> Float:
    """Return the law of the first state, or of the first state and joint observation."""
    law = floats("starts", given)
    if law.shape not in ((n_states,), (n_states, n_observations)):
        raise ValueError(
            f"starts has shape {law.shape}: give a law of the first state, shape {(n_states,)}, or of the first state "
            f"and joint observation, shape {(n_states, n_observations)}"
        )
    bad = ~((law >= 0) & (law <= 1 + ROW_SUM_TOL))
    if bad.any():
        place = tuple(int(i) for i in np.argwhere(bad)[0])
        raise ValueError(f"starts holds {law[place]} at {place}: probabilities lie in [0, 1]")
    if abs(law.sum() - 1) > ROW_SUM_TOL:
        raise ValueError(f"starts sum to {float(law.sum())!r}, not 1: divide them by their sum")
    return law


def _entries(given: object, shape: tuple[int, int, int, int]) -> tuple[Int, Int, Float]:
    """Return the rows, the columns and the values of W."""
    n_states, n_actions, _, n_observations = shape
    flat = (n_states * n_actions, n_states * n_observations)
    if sp.issparse(given):
        matrix: Any = given
        if matrix.shape != flat:
            raise ValueError(f"W has shape {matrix.shape}, expected {flat}: a row s * A + a, a column s' * O + o")
        if hasattr(matrix, "check_format"):
            matrix.check_format(full_check=True)  # indices are within the matrix
        listed = matrix.tocoo()
        row, column = (
            integers(f"{name} of W", part.astype(np.int64))
            for name, part in (("rows", listed.row), ("columns", listed.col))
        )
        value = floats("W", listed.data)
        if len(row) and not (row.min() >= 0 and row.max() < flat[0] and column.min() >= 0 and column.max() < flat[1]):
            raise ValueError(f"W has an entry outside of its shape {flat}: give rows s * A + a and columns s' * O + o")
        return row, column, value
    dense = array_of("W", given)
    if dense.shape != shape:
        raise ValueError(f"W has shape {dense.shape}, expected (S, A, S, O) = {shape}, or a sparse matrix of {flat}")
    table = floats("W", dense).reshape(flat)
    row, column = np.nonzero(table)
    return row, column, table[row, column]


def _branches(given: object, shape: tuple[int, int, int, int]) -> Branches:
    """Return the branches of W, each once, those of probability zero left out."""
    row, column, value = _entries(given, shape)
    _, n_actions, _, n_observations = shape
    bad = ~((value >= 0) & (value <= 1 + ROW_SUM_TOL))
    if bad.any():
        first = int(bad.argmax())
        state, action = divmod(int(row[first]), n_actions)
        raise ValueError(
            f"W holds {value[first]} in state {state} under joint action {action}: probabilities lie in [0, 1]"
        )
    table = sp.coo_array((value, (row, column)), (shape[0] * n_actions, shape[0] * n_observations)).tocsr()
    table.eliminate_zeros()
    table.sort_indices()
    pointer = table.indptr.astype(np.int64)
    sums = np.add.reduceat(np.append(table.data, 0.0), np.minimum(pointer[:-1], len(table.data)))
    sums[np.diff(pointer) == 0] = 0.0
    wrong = np.abs(sums - 1) > ROW_SUM_TOL
    if wrong.any():
        first = int(wrong.argmax())
        state, action = divmod(first, n_actions)
        raise ValueError(
            f"the row of state {state} under joint action {action} sums to {float(sums[first])!r}, not 1: "
            "divide it by its sum"
        )
    next_state, observation = np.divmod(table.indices.astype(np.int64), n_observations)
    parts = Branches(pointer, next_state, observation, table.data.astype(np.float64))
    for part in parts:
        freeze(part)
    return parts


def _names(what: str, given: object, count: int) -> tuple[str, ...]:
    """Return names, or numbers in their place."""
    if given is None:
        return tuple(str(i) for i in range(count))
    names = checks.several(what, given, f"give {count} names")
    if len(names) != count or not all(isinstance(name, str) and name for name in names):
        raise ValueError(f"{what} are {checks.shown(given)}: give {count} names")
    if len(set(names)) != count:
        raise ValueError(f"{what} hold a name twice: {checks.shown(given)}")
    return tuple(names)


def _names_of_each(what: str, given: object, counts: tuple[int, ...]) -> tuple[tuple[str, ...], ...]:
    """Return the names of each agent's actions or observations."""
    lists = (None,) * len(counts) if given is None else checks.several(what, given, "give a tuple of names per agent")
    if len(lists) != len(counts):
        raise ValueError(f"{what} are of {len(lists)} agents, where there are {len(counts)}: give names for each")
    return tuple(_names(f"{what} of agent {i}", one, n) for i, (one, n) in enumerate(zip(lists, counts, strict=True)))


@dataclass(frozen=True, eq=False)
class DecPOMDP:
    """A finite team problem: agents who share a reward, and each sees only its own observations.

    An episode begins with a state, and maybe a first joint observation, from `starts`. At each of `horizon` steps each
    agent takes an action by its own history of observations, the team is paid the mean reward of state and joint
    action, and next state and joint observation come from W. An MDP is one agent who observes the state, a POMDP one
    agent (M0).

    Joint actions and observations are numbered with the first agent's part as the highest digit (`joint_index`).

    Parameters
    ----------
    W : array_like (S, A, S, O), or sparse (S*A, S*O)
        Probability of next state and joint observation; sparse row s * A + a, column s' * O + o.
    R : array_like of float, shape (S, A)
        Mean reward of the team for a state and a joint action.
    n_actions, n_observations : tuple of int
        Of each agent.
    horizon : int
        Steps of an episode.
    discount : float in [0, 1]
    starts : array_like of float, shape (S,) or (S, O), optional
        Law of the first state, or of the first state and joint observation; default: uniform in all states, without a
        first observation.
    name : str
    state_names : tuple of str, optional
    action_names, observation_names : tuple of tuple of str, optional
        For each agent; default: numbers.

    Attributes
    ----------
    branches : Branches
        W, compressed.
    rewards : ndarray of float64, shape (S, A)
    starts : ndarray of float64, shape (S,) or (S, O)

    Raises
    ------
    ValueError
        If sizes do not fit, a row of W or `starts` is not a distribution, a reward is not finite, or the horizon or the
        discount is out of range. The message names the row, the value and the mend.
    MemoryError
        If the tables do not fit this machine.

    Examples
    --------
    Two agents guess the same hidden bit, which neither sees; both right pays 1:

    >>> W = np.full((2, 4, 2, 1), 0.5)
    >>> team = DecPOMDP(W, [[1, 0, 0, 0], [0, 0, 0, 1]], (2, 2), (1, 1), horizon=1)
    >>> team
    <DecPOMDP: 2 agents, 2 states, 2 x 2 actions, 1 x 1 observations, horizon 1, discount 1>
    """

    W: InitVar[object]
    R: InitVar[object]
    n_actions: tuple[int, ...]
    n_observations: tuple[int, ...]
    horizon: int
    discount: float = 1.0
    starts: Float = None  # type: ignore[assignment]  # an array once it is made
    name: str = ""
    state_names: tuple[str, ...] = ()
    action_names: tuple[tuple[str, ...], ...] = ()
    observation_names: tuple[tuple[str, ...], ...] = ()
    branches: Branches = field(init=False, repr=False)
    rewards: Float = field(init=False, repr=False)

    def __post_init__(self, W: object, R: object) -> None:
        """Check everything and take read-only copies."""
        n_actions, n_observations = _sizes("n_actions", self.n_actions), _sizes("n_observations", self.n_observations)
        if len(n_actions) != len(n_observations):
            raise ValueError(
                f"n_actions are of {len(n_actions)} agents and n_observations of {len(n_observations)}: give one "
                "number of each for every agent"
            )
        joint, seen = math.prod(n_actions), math.prod(n_observations)
        checks.whole("horizon", self.horizon, 1, LONGEST_EPISODE)
        discount = checks.number(self.discount)
        if not 0 <= discount <= 1:
            raise ValueError(f"discount is {checks.shown(self.discount)}: give a number in [0, 1]")
        rewards = floats("R", R)
        if rewards.ndim != 2 or rewards.shape[1] != joint or not len(rewards):
            raise ValueError(
                f"R has shape {rewards.shape}: give a reward for each state and each of the {joint:,} joint actions"
            )
        n_states = len(rewards)
        if n_states * max(joint, seen) > MAX_STATES:
            raise ValueError(
                f"{n_states:,} states with {joint:,} joint actions and {seen:,} joint observations are above the limit "
                f"of {MAX_STATES}: give fewer agents or smaller sizes"
            )
        if not np.isfinite(rewards).all():
            place = tuple(int(i) for i in np.argwhere(~np.isfinite(rewards))[0])
            raise ValueError(f"the reward at {place} is {rewards[place]}: rewards must be finite")
        uniform = np.full(n_states, 1 / n_states)
        own = {
            "n_actions": n_actions,
            "n_observations": n_observations,
            "horizon": int(self.horizon),
            "discount": discount,
            "rewards": rewards,
            "starts": _law(hand_over(uniform) if self.starts is None else self.starts, n_states, seen),
            "state_names": _names("state_names", self.state_names or None, n_states),
            "action_names": _names_of_each("action_names", self.action_names or None, n_actions),
            "observation_names": _names_of_each("observation_names", self.observation_names or None, n_observations),
            "branches": _branches(W, (n_states, joint, n_states, seen)),
        }
        for key, value in own.items():
            object.__setattr__(self, key, value)

    def __repr__(self) -> str:
        """Return the sizes, on one line."""
        actions, observations = (" x ".join(map(str, sizes)) for sizes in (self.n_actions, self.n_observations))
        agents = "1 agent" if self.n_agents == 1 else f"{self.n_agents} agents"
        return (
            f"<{self.name or 'DecPOMDP'}: {agents}, {self.n_states:,} states, {actions} actions, "
            f"{observations} observations, horizon {self.horizon}, discount {self.discount:g}>"
        )

    @property
    def n_agents(self) -> int:
        """Number of agents, n."""
        return len(self.n_actions)

    @property
    def n_states(self) -> int:
        """Number of states, S."""
        return len(self.rewards)

    @property
    def n_joint_actions(self) -> int:
        """Number of joint actions, A."""
        return math.prod(self.n_actions)

    @property
    def n_joint_observations(self) -> int:
        """Number of joint observations, O."""
        return math.prod(self.n_observations)

    @property
    def has_first_observation(self) -> bool:
        """Whether agents observe something before their first action."""
        return self.starts.ndim == 2

    @property
    def branching(self) -> int:
        """Largest number of pairs (next state, joint observation) that can follow a pair, B."""
        return int(np.diff(self.branches.pointer).max())

    @property
    def reward_range(self) -> tuple[float, float]:
        """Smallest and largest mean reward of a step."""
        return float(self.rewards.min()), float(self.rewards.max())

    @property
    def largest_return(self) -> float:
        """Sum of discount^h over the steps of an episode, V_H in units of reward (M0).

        Examples
        --------
        >>> DecPOMDP(np.ones((1, 1, 1, 1)), [[1]], (1,), (1,), horizon=3, discount=0.5).largest_return
        1.75
        """
        return math.fsum(self.discount**step for step in range(self.horizon))

    @cached_property
    def transitions(self) -> Any:
        """P, the law of the next state: sparse of shape (S*A, S)."""
        b = self.branches
        shape = (len(b.pointer) - 1, self.n_states)
        return sp.csr_array((b.probability, b.state, b.pointer), shape)

    def with_horizon(self, horizon: int) -> DecPOMDP:
        """Return the same problem with episodes of another length."""
        return self._changed(horizon=horizon)

    def _changed(self, **changes: Any) -> DecPOMDP:
        b = self.branches
        column = b.state * self.n_joint_observations + b.observation
        shape = (len(b.pointer) - 1, self.n_states * self.n_joint_observations)
        kept: dict[str, Any] = {
            "W": sp.csr_array((b.probability, column, b.pointer), shape),
            "R": self.rewards,
            "n_actions": self.n_actions,
            "n_observations": self.n_observations,
            "horizon": self.horizon,
            "discount": self.discount,
            "starts": self.starts,
            "name": self.name,
            "state_names": self.state_names,
            "action_names": self.action_names,
            "observation_names": self.observation_names,
        }
        return DecPOMDP(**(kept | changes))

    def centralised(self) -> DecPOMDP:
        """Return the POMDP of one agent who takes all actions and sees all observations.

        Examples
        --------
        >>> team = DecPOMDP(np.full((2, 4, 2, 1), 0.5), np.zeros((2, 4)), (2, 2), (1, 1), horizon=1)
        >>> team.centralised().n_actions
        (4,)
        """
        joined = tuple(" ".join(self._parts(self.action_names, self.n_actions, a)) for a in range(self.n_joint_actions))
        seen = tuple(
            " ".join(self._parts(self.observation_names, self.n_observations, o))
            for o in range(self.n_joint_observations)
        )
        return self._changed(
            n_actions=(self.n_joint_actions,),
            n_observations=(self.n_joint_observations,),
            action_names=(joined,),
            observation_names=(seen,),
        )

    @staticmethod
    def _parts(names: tuple[tuple[str, ...], ...], sizes: tuple[int, ...], number: int) -> list[str]:
        return [own[part] for own, part in zip(names, split_index(number, sizes), strict=True)]

    @classmethod
    def from_tables(cls, P: object, O: object, R: object, **options: Any) -> DecPOMDP:  # noqa: E741
        """Return the problem whose observations are drawn given next state and joint action.

        Parameters
        ----------
        P : array_like, shape (S, A, S)
            Transition probabilities.
        O : array_like, shape (A, S, O)
            Probability of each joint observation after joint action a and next state s'.
        R : array_like, shape (S, A), or (S, A, S)
            Mean reward; with a third axis that of each next state, of which the mean is taken.
        **options
            As for `DecPOMDP`.

        Examples
        --------
        >>> team = DecPOMDP.from_tables([[[0.5, 0.5]], [[0.5, 0.5]]], [[[0.9, 0.1], [0.1, 0.9]]],
        ...                             [[0.0], [1.0]], n_actions=(1,), n_observations=(2,), horizon=2)
        >>> team.branches.probability[:4].round(2).tolist()
        [0.45, 0.05, 0.05, 0.45]
        """
        moves, seen, rewards = floats("P", P), floats("O", O), floats("R", R)
        if moves.ndim != 3 or moves.shape[0] != moves.shape[2]:
            raise ValueError(f"P has shape {moves.shape}: give probabilities of shape (S, A, S)")
        n_states, n_actions, _ = moves.shape
        if seen.ndim != 3 or seen.shape[:2] != (n_actions, n_states):
            raise ValueError(
                f"O has shape {seen.shape}, expected ({n_actions}, {n_states}, O): P has shape {moves.shape}"
            )
        if rewards.shape not in (moves.shape, moves.shape[:2]):
            raise ValueError(f"R has shape {rewards.shape}, expected {moves.shape[:2]} or {moves.shape}")
        require_memory(
            8 * moves.size * (3 * seen.shape[2] + 2), "the law of state and observation", "give W as a sparse matrix"
        )
        law = moves[:, :, :, None] * seen[None, :, :, :]
        mean = rewards if rewards.ndim == 2 else (moves * rewards).sum(axis=2)
        return cls(law, mean, **options)

    @classmethod
    def from_mdp(cls, mdp: TabularMDP, horizon: int, **options: Any) -> DecPOMDP:
        """Return an MDP as the team of one agent who sees the state, from the first one on.

        Parameters
        ----------
        mdp : TabularMDP
            All actions must be allowed.
        horizon : int
        **options
            As for `DecPOMDP`; the discount is the MDP's unless given.

        Examples
        --------
        >>> mdp = TabularMDP([[0, 1], [1, 0]], [[0.0, 0.0], [1.0, 0.0]], 0.5)
        >>> team = DecPOMDP.from_mdp(mdp, horizon=3)
        >>> team.n_observations, team.has_first_observation, (team.to_mdp().dense() == mdp.dense()).all()
        ((2,), True, np.True_)
        """
        checks.kind("mdp", mdp, TabularMDP)
        if mdp.allowed is not None:
            raise ValueError("an action of the MDP is not allowed somewhere: a team's agents can take each at any time")
        n, a = mdp.n_states, mdp.n_actions
        dense = mdp.dense()
        state, action, successor = np.nonzero(dense)
        matrix = sp.coo_array(
            (dense[state, action, successor], (state * a + action, successor * n + successor)), (n * a, n * n)
        )
        q = mdp.backup(np.zeros(n))
        law = np.full(n, 1 / n) if mdp.starts is None else mdp.starts
        chosen = {"discount": mdp.discount, "starts": np.diag(law), **options}
        return cls(matrix, q, (a,), (n,), horizon, **chosen)

    def to_mdp(self) -> TabularMDP:
        """Return the MDP that one agent sees whose observation is the state.

        Raises
        ------
        ValueError
            If there are more agents, an observation is not the state, or the discount is 1.
        """
        b = self.branches
        first = self.starts if self.has_first_observation else None
        sees = self.n_observations == (self.n_states,) and bool((b.state == b.observation).all())
        if self.n_agents != 1 or not sees or (first is not None and np.count_nonzero(first - np.diag(np.diag(first)))):
            raise ValueError(
                "this is not an MDP: it takes one agent whose observation is the state; plan with teams.plan"
            )
        law = self.starts if first is None else np.diag(first)
        return TabularMDP(self.transitions, self.rewards, self.discount, starts=law)
