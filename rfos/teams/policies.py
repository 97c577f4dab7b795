"""Policies of a team: for each agent a tree of its own observations, with an action at each node."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from rfos._system import checks
from rfos._system.arrays import Int, integers
from rfos._system.memory import require_memory
from rfos.teams.model import DecPOMDP

MEND = "give TeamPolicy(trees), trees[agent][step] an array of actions"


def n_histories(team: DecPOMDP, agent: int, step: int) -> int:
    """Return how many histories of observations an agent may have when it acts at a step, from 0 on.

    Examples
    --------
    >>> team = DecPOMDP(np.full((1, 1, 1, 2), 0.5), [[0.0]], (1,), (2,), horizon=3)
    >>> [n_histories(team, 0, step) for step in range(3)]
    [1, 2, 4]
    """
    return int(team.n_observations[agent] ** (step + team.has_first_observation))


@dataclass(frozen=True, eq=False)
class TeamPolicy:
    """A deterministic policy of each agent by its own history of observations.

    Histories are numbered with the oldest observation as the highest digit, in base `n_observations` of the agent.

    Attributes
    ----------
    trees : tuple of tuple of ndarray of int64
        ``trees[agent][step][history]`` is the action that the agent takes at a step, from 0 to horizon - 1; shape
        (O_i**step,), or (O_i**(step + 1),) where there is a first observation.

    Raises
    ------
    ValueError
        If an action is negative, or there are no steps.

    Examples
    --------
    One agent who repeats what it saw last:

    >>> policy = TeamPolicy((([0], [0, 1], [0, 1, 0, 1]),))
    >>> policy.n_agents, policy.horizon
    (1, 3)
    """

    trees: tuple[tuple[Int, ...], ...]

    def __post_init__(self) -> None:
        """Take read-only copies."""
        agents = checks.several("trees", self.trees, MEND)
        own = tuple(
            tuple(
                integers(f"the actions of agent {i} at step {t}", stage)
                for t, stage in enumerate(checks.several(f"trees[{i}]", tree, MEND))
            )
            for i, tree in enumerate(agents)
        )
        if not own or not own[0] or len({len(tree) for tree in own}) != 1:
            raise ValueError(f"trees of {[len(tree) for tree in own]} steps do not fit together: {MEND}")
        for i, tree in enumerate(own):
            for t, stage in enumerate(tree):
                if stage.ndim != 1 or not len(stage) or stage.min() < 0:
                    raise ValueError(
                        f"the actions of agent {i} at step {t} are {checks.shown(stage.tolist())}: give a number from "
                        "0 on for each history"
                    )
        object.__setattr__(self, "trees", own)

    @property
    def n_agents(self) -> int:
        """Number of agents."""
        return len(self.trees)

    @property
    def horizon(self) -> int:
        """Number of steps."""
        return len(self.trees[0])

    def check(self, team: DecPOMDP) -> None:
        """Raise ValueError unless it is a policy of this team."""
        checks.kind("team", team, DecPOMDP)
        if (self.n_agents, self.horizon) != (team.n_agents, team.horizon):
            raise ValueError(
                f"the policy is for {self.n_agents} agents and {self.horizon} steps, the team has {team.n_agents} and "
                f"{team.horizon}: make it for this team"
            )
        for i, tree in enumerate(self.trees):
            for t, stage in enumerate(tree):
                if len(stage) != n_histories(team, i, t):
                    raise ValueError(
                        f"agent {i} has {len(stage)} actions at step {t}, where it has {n_histories(team, i, t)} "
                        "histories: give an action for each"
                    )
                if stage.max() >= team.n_actions[i]:
                    raise ValueError(
                        f"agent {i} takes action {stage.max()} at step {t}: its actions are 0 to "
                        f"{team.n_actions[i] - 1}"
                    )

    def lines(self, team: DecPOMDP) -> Iterator[str]:
        """Yield the trees in words, an agent after the other: what was seen, and what is done then."""
        self.check(team)
        for i, tree in enumerate(self.trees):
            yield f"agent {i}"
            for t, stage in enumerate(tree):
                length = t + team.has_first_observation
                for number, action in enumerate(stage):
                    seen = np.unravel_index(number, (team.n_observations[i],) * length) if length else ()
                    words = ", ".join(team.observation_names[i][int(o)] for o in seen)
                    yield f"  {words or 'at first'}: {team.action_names[i][int(action)]}"


def require_trees(team: DecPOMDP) -> None:
    """Raise MemoryError, naming the largest horizon that fits, unless all histories of each agent fit this machine.

    Raises
    ------
    MemoryError
    """

    def needed(horizon: int) -> int:
        return sum(8 * sum(n_histories(team, i, t) for t in range(horizon)) for i in range(team.n_agents))

    fits = team.horizon
    while fits > 1:
        try:
            require_memory(needed(fits), "the histories of the agents", "give a shorter horizon")
            break
        except MemoryError:
            fits -= 1
    if fits < team.horizon:
        require_memory(
            needed(team.horizon), "the histories of the agents", f"give a horizon of at most {fits}, by with_horizon"
        )


def constant_policy(team: DecPOMDP, actions: tuple[int, ...]) -> TeamPolicy:
    """Return the policy in which each agent always takes one action.

    Examples
    --------
    >>> team = DecPOMDP(np.full((1, 4, 1, 4), 0.25), np.zeros((1, 4)), (2, 2), (2, 2), horizon=2)
    >>> [stage.tolist() for stage in constant_policy(team, (1, 0)).trees[0]]
    [[1], [1, 1]]
    """
    require_trees(team)
    policy = TeamPolicy(
        tuple(
            tuple(np.full(n_histories(team, i, t), action) for t in range(team.horizon))
            for i, action in enumerate(actions)
        )
    )
    policy.check(team)
    return policy


def random_policy(team: DecPOMDP, rng: np.random.Generator) -> TeamPolicy:
    """Return a policy with each action drawn uniformly.

    Examples
    --------
    >>> team = DecPOMDP(np.full((1, 4, 1, 4), 0.25), np.zeros((1, 4)), (2, 2), (2, 2), horizon=2)
    >>> random_policy(team, np.random.default_rng(1)).n_agents
    2
    """
    require_trees(team)
    return TeamPolicy(
        tuple(
            tuple(rng.integers(team.n_actions[i], size=n_histories(team, i, t)) for t in range(team.horizon))
            for i in range(team.n_agents)
        )
    )


def log10_policies(team: DecPOMDP) -> float:
    """Return the logarithm of the number of deterministic decentralised policies.

    Examples
    --------
    Two agents, 3 actions, 2 observations, horizon 2: 3 histories each, 3^6 = 729.

    >>> team = DecPOMDP(np.full((1, 9, 1, 4), 0.25), np.zeros((1, 9)), (3, 3), (2, 2), horizon=2)
    >>> round(10 ** log10_policies(team))
    729
    """
    return sum(
        sum(n_histories(team, i, t) for t in range(team.horizon)) * math.log10(team.n_actions[i])
        for i in range(team.n_agents)
    )
