"""The certified planner: the best policy of a team within a class, and a bracket that holds the class's value."""

from __future__ import annotations

import enum
import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from rfos._system import checks
from rfos._system.arrays import Float, Int, freeze
from rfos._system.randomness import Seed, seed_sequence
from rfos.planning.certificates import UNIT_ROUNDOFF
from rfos.teams.best_response import alternating_best_response, best_constant
from rfos.teams.evaluate import evaluate
from rfos.teams.model import DecPOMDP
from rfos.teams.policies import TeamPolicy, require_trees
from rfos.teams.relaxations import QBG, QMDP, QPOMDP, BudgetError, Relaxation, backward
from rfos.teams.search import Search

POLICY_CLASSES = ("decentralised", "reactive", "joint", "full")
"""Who knows what: own observations; the last own observation and the step; all observations; the state."""

CONVERGED_WITHIN = 1e-9
"""A bracket is closed when it is at most this share of the largest return wide: rounding takes about as much."""

MOST_STEPS = 200
"""Longest episode that is searched: the search goes into itself at each step. Full information has no such limit."""

MOST_BELIEFS = 300_000
"""Laws of the state that Q_POMDP or Q_BG may keep; beyond, the next wider bound is used."""

RELAXATION_SHARE = 0.2
"""Share of the seconds that the first values of a relaxation may take, and alternating best responses too."""


class TeamEnded(enum.Enum):
    """Why the planner ended."""

    CONVERGED = "converged"
    """The bracket is closed but for rounding: the policy is the best of its class."""
    EXHAUSTED = "exhausted"
    """Everything was looked at, with histories merged at a tolerance, or with more rounding than a closed bracket."""
    NODES = "nodes"
    """As many occupancy states were opened as were allowed."""
    SECONDS = "seconds"
    """The time was over."""


@dataclass(frozen=True, eq=False)
class TeamSolution:
    """A policy of a team and a bracket for the value of its class.

    Attributes
    ----------
    lower, upper : float
        lower <= value of the best policy of the class <= upper, in units of reward, rounding included; lower is
        attained by `policy`.
    value : float
        Expected return of `policy`.
    policy : TeamPolicy, or ndarray of int64, shape (H, S)
        A joint action for each step and state where the class is "full"; of the centralised team where it is "joint".
    policies : str
        The class, one of `POLICY_CLASSES`.
    ended : TeamEnded
    nodes : int
        Occupancy states that were opened.
    bound : str
        Relaxation that bounded the search: "Q_MDP", "Q_POMDP" or "Q_BG"; "Q_MDP" with no
        nodes where that bound was attained before the search.
    seconds : float
    """

    lower: float
    upper: float
    value: float
    policy: TeamPolicy | Int
    policies: str
    ended: TeamEnded
    nodes: int
    bound: str
    seconds: float

    @property
    def converged(self) -> bool:
        """Whether the bracket is closed but for rounding."""
        return self.ended is TeamEnded.CONVERGED

    def __repr__(self) -> str:
        """Return the bracket and how it came about, on one line."""
        opened = "1 node" if self.nodes == 1 else f"{self.nodes:,} nodes"
        how = "converged" if self.converged else f"NOT converged ({self.ended.value})"
        return (
            f"<TeamSolution, {self.policies} policies: value {self.value:.6g} in [{self.lower:.6g}, {self.upper:.6g}], "
            f"{how}, {opened}, {self.bound}>"
        )


def plan(
    team: DecPOMDP,
    policies: str = "decentralised",
    *,
    seconds: float | None = None,
    nodes: int | None = None,
    restarts: int = 10,
    tol: float = 0.0,
    bound: str = "auto",
    rng: Seed = 0,
    progress: Callable[[int, float, float], None] | None = None,
) -> TeamSolution:
    """Return the best policy of a team that is found, and a bracket that holds the best value of the class.

    Depth-first branch and bound over occupancy states, with the decision rules of a stage in the order of what a
    relaxation allows them, lossless clustering, and a memory of what was looked at (M3, M10). When it is stopped, the
    upper end is the largest bound that was not looked into.

    Parameters
    ----------
    team : DecPOMDP
    policies : {"decentralised", "reactive", "joint", "full"}
        What an agent's action may depend on: its own observations; the step and its last observation; all observations
        of everyone; the state.
    seconds : float, optional
        The search stops then; best responses that have begun are finished.
    nodes : int, optional
        Occupancy states that may be opened.
    restarts : int
        Random starts of alternating best responses before the search.
    tol : float in [0, 1)
        Histories are merged after which the laws of the rest are this close in total variation. The upper end pays for
        it: with the span of the rest of the return times the distance that was measured.
    bound : {"auto", "Q_MDP", "Q_POMDP", "Q_BG"}
        The tightest relaxation to be tried; the next wider one takes over if it takes too many laws of the state or a
        fifth of the seconds. "auto" is Q_BG.
    rng : int, SeedSequence, Generator or None
        For the restarts.
    progress : callable, optional
        Called about once a second with the nodes and both ends of the bracket so far.

    Returns
    -------
    TeamSolution

    Raises
    ------
    ValueError
        If an argument is out of range, or an episode is longer than `MOST_STEPS`.
    MemoryError
        If the histories of the agents do not fit this machine; the message names the largest horizon that does.

    Examples
    --------
    Two agents are paid for the same action, and more for that which fits a state that one of them sees:

    >>> W = np.zeros((2, 4, 2, 2))
    >>> for s in range(2):
    ...     W[:, :, s, s] = 0.5
    >>> R = [[2.0, 0.0, 0.0, 1.0], [1.0, 0.0, 0.0, 2.0]]
    >>> team = DecPOMDP(W, R, (2, 2), (2, 1), horizon=2)
    >>> plan(team)
    <TeamSolution, decentralised policies: value 3 in [3, 3], converged, 1 node, Q_BG>
    >>> plan(team, "joint").value
    3.5
    """
    checks.kind("team", team, DecPOMDP)
    if policies not in POLICY_CLASSES:
        raise ValueError(f"policies is {checks.shown(policies)}: choose among {', '.join(POLICY_CLASSES)}")
    if bound not in ("auto", "Q_MDP", "Q_POMDP", "Q_BG"):
        raise ValueError(f"bound is {checks.shown(bound)}: choose among auto, Q_MDP, Q_POMDP, Q_BG")
    if seconds is not None and not checks.number(seconds) > 0:
        raise ValueError(f"seconds is {checks.shown(seconds)}: give a positive number, or None for as long as it takes")
    if nodes is not None:
        checks.whole("nodes", nodes, 1)
    checks.whole("restarts", restarts, 0)
    if not 0 <= checks.number(tol) < 1:
        raise ValueError(f"tol is {checks.shown(tol)}: give a number in [0, 1)")
    if progress is not None:
        checks.function("progress", progress, "give a function of nodes, lower and upper")
    began = time.monotonic()
    if policies == "full":
        return _full(team, began)
    if team.horizon > MOST_STEPS:
        raise ValueError(
            f"horizon is {team.horizon}, and the search goes {MOST_STEPS} steps deep at most: give a shorter one, by "
            'team.with_horizon, or policies="full"'
        )
    if policies == "joint":
        team = team.centralised()
    require_trees(team)
    return _searched(team, policies, seconds, nodes, restarts, tol, bound, rng, progress, began)


def _full(team: DecPOMDP, began: float) -> TeamSolution:
    """Return the solution of the MDP whose states are seen."""
    q = backward(team)
    table = np.array([stage.argmax(axis=1) for stage in q], np.int64)
    freeze(table)
    law = team.starts if team.starts.ndim == 1 else team.starts.sum(axis=1)
    value = math.fsum(law * q[0].max(axis=1))
    sums = team.branching + team.n_joint_observations + 4
    largest = team.largest_return * float(np.abs(team.rewards).max())
    margin = 2 * UNIT_ROUNDOFF * (team.horizon * sums + 4) * largest
    seconds = time.monotonic() - began
    ended = TeamEnded.CONVERGED
    return TeamSolution(value - margin, value + margin, value, table, "full", ended, 0, "Q_MDP", seconds)


def _relaxation(team: DecPOMDP, bound: str, deadline: float) -> Relaxation:
    """Return the relaxation that was asked for, or the tightest that is within the budget."""
    for kind in (QBG, QPOMDP):
        if bound in ("auto", kind.name):
            try:
                found = kind(team, MOST_BELIEFS, deadline)
                found.values(0, _first_laws(team))
            except BudgetError:
                continue
            return found
    return QMDP(team)


def _first_laws(team: DecPOMDP) -> Float:
    """Return the law of the first state for each joint observation that comes first, times its probability."""
    laws = team.starts.T if team.has_first_observation else team.starts[None, :]
    return np.ascontiguousarray(laws[laws.any(axis=1)])


def _searched(
    team: DecPOMDP,
    policies: str,
    seconds: float | None,
    nodes: int | None,
    restarts: int,
    tol: float,
    bound: str,
    rng: Seed,
    progress: Callable[[int, float, float], None] | None,
    began: float,
) -> TeamSolution:
    """Return the solution of a search, with a policy found before it to begin with."""
    span = math.inf if seconds is None else seconds
    reactive = policies == "reactive"
    if reactive or team.n_agents == 1:
        policy = best_constant(team)
        found = evaluate(team, policy)
    else:
        generator = np.random.default_rng(seed_sequence(rng))
        policy, found = alternating_best_response(team, restarts, generator, deadline=began + RELAXATION_SHARE * span)
    options: dict[str, Any] = {
        "reactive": reactive, "tol": tol, "most_nodes": nodes, "deadline": began + span, "progress": progress,
    }  # fmt: skip
    search = Search(team, QMDP(team), **options)
    bracket = search.at_once(found.value)
    if bracket is None:
        try:
            relaxation = _relaxation(team, bound, began + 2 * RELAXATION_SHARE * span)
            relaxation.deadline = math.inf  # the search has its own
            search = Search(team, relaxation, **options)
            bracket = search.run(found.value)
        except BudgetError:  # merged histories have laws of their own
            search = Search(team, QMDP(team), **options)
            bracket = search.run(found.value)
    if bracket.plan:
        own = search.policy(bracket.plan)
        value = evaluate(team, own)
        if value.lower > found.lower:
            policy, found = own, value
    upper = max(bracket.upper, found.lower)
    largest = team.largest_return * float(np.abs(team.rewards).max())
    closed = upper - found.lower <= CONVERGED_WITHIN * largest
    ended = TeamEnded.CONVERGED if closed else TeamEnded(search.stopped or "exhausted")
    return TeamSolution(
        found.lower, upper, found.value, policy, policies, ended, search.nodes, search.bound,
        time.monotonic() - began,
    )  # fmt: skip
