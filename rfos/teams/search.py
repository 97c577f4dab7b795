"""Depth-first branch and bound over the decision rules of each stage: a bracket, whenever it is stopped."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from rfos._system.arrays import Float, Int
from rfos.planning.certificates import UNIT_ROUNDOFF
from rfos.planning.storages import ROW_SUM_TOL
from rfos.teams.evaluate import Reached, first_reached
from rfos.teams.model import DecPOMDP
from rfos.teams.occupancy import Clustered, cluster, following, gather
from rfos.teams.policies import TeamPolicy, n_histories
from rfos.teams.relaxations import Relaxation
from rfos.teams.rules import RankedRules, Rules

SLACK = 1e-11
"""Rules that promise less more than this share of the largest return are not looked into; the bracket has it."""

MEMO_BYTES = 2**29
"""What is kept of stages that were looked at."""

PROGRESS_SECONDS = 1.0
"""Between two calls of `progress`."""

Plan = tuple[tuple[tuple[Int, ...], Rules], ...]
"""For each step from one on: the labels of each agent's histories, and its rule for them."""


class Bracket(NamedTuple):
    """What is known of the rest of an episode from an occupancy state on.

    Attributes
    ----------
    lower, upper : float
        Lower is the value of `plan`, -inf where there is none.
    plan : tuple
        Labels and rules, step by step.
    """

    lower: float
    upper: float
    plan: Plan


class Search:
    """A search for the best policy of a team.

    Parameters
    ----------
    team : DecPOMDP
    relaxation : Relaxation
    reactive : bool
        Agents know the step and their last observation only.
    merge : bool
        Whether histories with equal laws are merged; the value is the same.
    tol : float
        Histories with laws so far apart are merged.
    most_nodes : int or None
        Occupancy states that may be opened.
    deadline : float
        Of `time.monotonic`.
    progress : callable, optional
        Called about once a second with the number of nodes and the bracket so far.

    Attributes
    ----------
    nodes : int
        Occupancy states that were opened.
    stopped : str
        Why the search was stopped: "nodes", "seconds", or "" if it was not.
    """

    def __init__(
        self,
        team: DecPOMDP,
        relaxation: Relaxation,
        *,
        reactive: bool = False,
        merge: bool = True,
        tol: float = 0.0,
        most_nodes: int | None = None,
        deadline: float = math.inf,
        progress: Callable[[int, float, float], None] | None = None,
    ) -> None:
        """Look at nothing yet."""
        self.nodes, self.stopped = 0, ""
        self._team, self._relaxation = team, relaxation
        self._reactive, self._merge, self._tol = reactive, merge, tol
        self._most_nodes = math.inf if most_nodes is None else most_nodes
        self._deadline, self._progress = deadline, progress
        self._last = team.horizon - 1 if team.discount > 0 else 0
        self._size = float(np.abs(team.rewards).max())
        self._span = float(team.rewards.max() - team.rewards.min())
        self._slack = SLACK * self._size * team.largest_return
        self._memo: dict[bytes, tuple[Float, Bracket]] = {}
        self._memo_left = MEMO_BYTES
        self._most = self._most_joint = 1
        self._told = time.monotonic()
        self._floor, self._ceiling = -math.inf, math.inf

    def run(self, floor: float) -> Bracket:
        """Return the bracket of the team's value in units of reward, given a value that is attained.

        The upper end accounts for rounding; the lower end is that of the plan found, -inf if none is above the floor.
        """
        start = first_reached(self._team)
        sizes = tuple(n_histories(self._team, i, 0) for i in range(self._team.n_agents))
        self._floor = floor
        found = self._open(start, sizes, 0, floor)
        return found._replace(upper=max(found.upper, floor) + self.margin())

    @property
    def bound(self) -> str:
        """Name of the relaxation."""
        return self._relaxation.name

    def at_once(self, floor: float) -> Bracket | None:
        """Return the bracket if a value that is attained is what the relaxation allows at the start, else None."""
        law = self._team.starts if self._team.starts.ndim == 1 else self._team.starts.sum(axis=1)
        top = float(self._relaxation.values(0, np.diag(law)).max(axis=1).sum())
        return Bracket(-math.inf, max(top, floor) + self.margin(), ()) if top <= floor + self._slack else None

    def margin(self) -> float:
        """Return what rounding may have taken from an upper end, in units of reward."""
        team = self._team
        largest = self._size * team.largest_return
        sums = 2 * self._most + 3 * team.n_states + team.n_joint_observations + 20
        roundings = team.horizon * sums + self._most_joint
        return largest * (2 * UNIT_ROUNDOFF * roundings + team.horizon * self._relaxation.apart)

    def _price(self, step: int) -> float:
        """Return what a unit of total variation between two occupancy states of a step may change the rest by."""
        team = self._team
        rest = math.fsum(team.discount**k for k in range(team.horizon - step))
        drift = (1 + ROW_SUM_TOL) ** team.horizon - 1  # rows sum to 1 only about
        return rest * (1 + drift) * (self._span + 4 * drift * self._size)

    def _is_over(self) -> bool:
        """Return whether the search is to stop, and say how far it is now and then."""
        now = time.monotonic()
        if not self.stopped:
            self.stopped = "nodes" if self.nodes >= self._most_nodes else "seconds" if now > self._deadline else ""
        if self._progress is not None and now - self._told > PROGRESS_SECONDS:
            self._told = now
            self._progress(self.nodes, self._floor, self._ceiling)
        return bool(self.stopped)

    def _open(self, reached: Reached, sizes: tuple[int, ...], step: int, floor: float) -> Bracket:
        """Return the bracket of the rest from an occupancy state; only what is above the floor matters."""
        team = self._team
        # Without merging, histories that are never met are still left out.
        tol = self._tol if self._merge else -1.0
        state = cluster(reached, sizes, team.n_states, tol)
        self._most = max(self._most, state.most)
        paid = state.distance * self._price(step)
        name = b"".join(
            [bytes([step]), *(part.tobytes() for part in (state.reached.histories, state.reached.state)),
             (np.round(state.reached.weight, 12) + 0.0).tobytes()]
        )  # fmt: skip
        known = self._memo.get(name)
        if known is not None:
            weight, found = known
            apart = float(np.abs(weight - state.reached.weight).sum())
            cost = apart * self._price(step) + apart * self._size
            if found.upper + cost <= floor or found.upper - found.lower <= self._slack:
                return Bracket(found.lower - cost, found.upper + cost + paid, self._labelled(state, found.plan))
        found = self._expand(state, step, floor)
        taken = len(name) * 2 + 200
        if not self.stopped and self._memo_left > taken:
            self._memo_left -= taken
            self._memo[name] = (state.reached.weight, found)
        return Bracket(found.lower, found.upper + paid, self._labelled(state, found.plan))

    @staticmethod
    def _labelled(state: Clustered, plan: Plan) -> Plan:
        """Return a plan with the labels of its first step put in."""
        return ((state.labels, plan[0][1]), *plan[1:]) if plan else ()

    def _expand(self, state: Clustered, step: int, floor: float) -> Bracket:
        """Return the bracket of the rest from an occupancy state with merged histories."""
        team, reached = self._team, state.reached
        self.nodes += 1
        new = np.concatenate([[True], (reached.histories[:, 1:] != reached.histories[:, :-1]).any(axis=0)])
        joint = np.cumsum(new) - 1
        self._most_joint = max(self._most_joint, int(joint[-1]) + 1)
        rows = np.zeros((int(joint[-1]) + 1, team.n_states))
        rows[joint, reached.state] = reached.weight
        q = rows @ team.rewards if step == self._last else self._relaxation.values(step, rows)
        game = RankedRules(q, reached.histories[:, new], state.sizes, team.n_actions, self._deadline)
        lower, upper, plan = -math.inf, -math.inf, ()  # type: tuple[float, float, Plan]
        while True:
            best = max(floor, lower)
            if step == 0:
                self._floor, self._ceiling = best, max(upper, game.rest)
            # The last stage is no matter of search: its first rules are its best.
            if step != self._last and self.nodes > 1 and self._is_over():
                break
            taken = game.take(best + self._slack)
            if taken is None:
                break
            bound, rules = taken
            if step == self._last:
                return Bracket(bound, bound, ((state.labels, rules),))
            if self._is_over():
                upper = max(upper, bound)
                break
            earned = self._earned(reached, rules)
            after, most = following(team, reached, state.sizes, rules)
            self._most = max(self._most, most)
            if self._reactive:
                after, sizes = self._forgotten(after), team.n_observations
            else:
                sizes = tuple(n * o for n, o in zip(state.sizes, team.n_observations, strict=True))
            rest = self._open(after, sizes, step + 1, (best - earned) / team.discount)
            upper = max(upper, min(bound, earned + team.discount * rest.upper))
            value = earned + team.discount * rest.lower
            if value > lower:
                lower, plan = value, ((state.labels, rules), *rest.plan)
        return Bracket(lower, max(upper, game.rest), plan)

    def _earned(self, reached: Reached, rules: Rules) -> float:
        """Return the mean reward of a step, times the discount of steps from here."""
        action = np.zeros(len(reached.state), np.int64)
        for i, size in enumerate(self._team.n_actions):
            action = action * size + rules[i][reached.histories[i]]
        return float(reached.weight @ self._team.rewards[reached.state, action])

    def _forgotten(self, reached: Reached) -> Reached:
        """Return an occupancy state in which each agent has forgotten all but its last observation."""
        sizes = self._team.n_observations
        last = reached.histories % np.array(sizes, np.int64)[:, None]
        forgotten, most = gather(reached.state, last, reached.weight, sizes, self._team.n_states)
        self._most = max(self._most, most)
        return forgotten

    def policy(self, plan: Plan) -> TeamPolicy:
        """Return the policy of a plan for the whole episode, action 0 where a history is never met."""
        team = self._team
        trees: list[list[Int]] = [[] for _ in range(team.n_agents)]
        for i in range(team.n_agents):
            size = team.n_observations[i]
            kept = np.arange(n_histories(team, i, 0))  # the number of each history among those that are told apart
            for step in range(team.horizon):
                if step >= len(plan):
                    trees[i].append(np.zeros(n_histories(team, i, step), np.int64))
                    continue
                labels, rules = plan[step][0][i], plan[step][1][i]
                label = np.where(kept >= 0, labels[kept], -1)
                trees[i].append(np.where(label >= 0, rules[label], 0))
                if self._reactive:
                    kept = np.tile(np.arange(size), len(label))
                else:
                    grown = label[:, None] * size + np.arange(size)
                    kept = np.where(label[:, None] >= 0, grown, -1).ravel()
        return TeamPolicy(tuple(tuple(tree) for tree in trees))
