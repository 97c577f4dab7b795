"""The two planners of a run: optimistic value iteration, and the sweeps of the paper's agent."""

from __future__ import annotations

import math
import sys
from fractions import Fraction
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rfos._kernels import rmax as kernels
from rfos._system import checks
from rfos._system.arrays import Float, Int
from rfos.learning.agents import PaperRmax, Rmax
from rfos.learning.coverage import paper_sweeps
from rfos.learning.environment import Environment, Played
from rfos.learning.theorems import DEFAULT_ACCURACY, PLANNING_SHARE
from rfos.planning.mdp import TabularMDP

LONGEST_PLAN = 10**11
"""Products of one plan, some minutes, above which a run is refused."""


def _planning_tolerance(process: Played, agent: Rmax) -> float:
    """Return the change of values at which the agent's value iteration stops.

    Raises
    ------
    ValueError
        If values are rounded by more, or one plan would take more than `LONGEST_PLAN` products.
    """
    discount = process.discount
    loss = float(PLANNING_SHARE) * (DEFAULT_ACCURACY if agent.epsilon is None else agent.epsilon)
    # Stopping at a change of `tolerance` loses at most 2 discount tolerance / (1 - discount) (P3).
    tolerance = loss * (1 - discount) / (2 * max(discount, 0.5))
    reward = max(map(abs, process.reward_range))
    with np.errstate(over="ignore"):
        rounding = 2.0**-50 * float(np.float64(reward) / (1 - discount))
    if tolerance < rounding < math.inf:
        if agent.epsilon is not None:
            raise ValueError(
                f"epsilon is {checks.shown(agent.epsilon)}, and values of up to {reward / (1 - discount):.3g} are "
                f"rounded by more than a plan may then miss: give an epsilon of at least "
                f"{agent.epsilon * rounding / tolerance:.1g}"
            )
        tolerance = rounding
    digits = math.log(max(reward, sys.float_info.min)) - math.log(max(tolerance, sys.float_info.min))
    sweeps = max(digits, 1.0) / -math.log(discount) if discount else 1.0
    _check_plan(process, sweeps)
    return tolerance


def _check_plan(process: Played, sweeps: float) -> None:
    """Raise ValueError if so many sweeps over all pairs take more than `LONGEST_PLAN` products."""
    if sweeps * process.n_states * process.n_actions * process.branching > LONGEST_PLAN:
        raise ValueError(
            f"at discount {process.discount!r} one plan takes about {sweeps:.1g} sweeps over all pairs, more than this "
            "agent should wait for: give a smaller discount, or fewer states; `solve` has no such limit"
        )


class SoftmaxPlanner:
    """The paper's agent during one run: its values, and what it plays."""

    def __init__(
        self, environment: Environment, agent: PaperRmax, world: kernels.World, memory: kernels.Memory
    ) -> None:
        """Start from the initial values."""
        process = environment.played
        shape = (process.n_states, process.n_actions)
        self.world, self.memory, self.discount = world, memory, process.discount
        self.temperature = agent.temperature
        # Decimals, because the paper's initial value is exactly 1/(1-0.8) = 5.
        largest = Fraction(repr(process.reward_range[1])) / (1 - Fraction(repr(process.discount)))
        if abs(largest) > sys.float_info.max:
            raise ValueError(
                f"the largest value, {process.reward_range[1]!r}/(1-discount), is beyond floats: scale the rewards"
            )
        self.initial = float(largest)
        self.sweeps = paper_sweeps(environment, agent)
        _check_plan(process, self.sweeps)
        self.q = np.full(shape, self.initial)
        if environment.allowed is not None:
            self.q[~environment.allowed] = -np.inf
        self.behaviour = kernels.Behaviour(True, np.empty(shape, np.int64), np.zeros((0, 0), np.int64))
        kernels.softmax(self.q, self.temperature, self.behaviour.thresholds)

    def plan(self) -> None:
        """Take what has just become known into the values and the play."""
        kernels.plan_paper(
            self.world,
            self.memory,
            self.q,
            self.initial,
            self.sweeps,
            self.discount,
            self.temperature,
            self.behaviour.thresholds,
        )

    def policy(self) -> Int:
        """Return the greedy policy, shape (S,)."""
        greedy: Int = self.q.argmax(axis=1)
        return greedy

    def action_probabilities(self) -> Float:
        """Return the softmax, shape (S, A)."""
        softmax: Float = np.diff(self.behaviour.thresholds, axis=1, prepend=0) * 2.0**-53
        return softmax

    def play(self) -> Float:
        """Return what it plays, shape (S, A)."""
        return self.action_probabilities()

    def changing(self) -> dict[str, NDArray[Any]]:
        """Return the arrays that planning changes."""
        return {"q": self.q, "play": self.behaviour.thresholds}


def _rounded_up(x: Fraction) -> float:
    """Return the smallest float that is at least x, or infinity."""
    try:
        nearest = float(x)
    except OverflowError:
        return math.inf if x > 0 else -sys.float_info.max
    return nearest if nearest >= x else math.nextafter(nearest, math.inf)


class OptimisticPlanner:
    """Canonical R-max during one run: its optimistic values, and what it plays."""

    def __init__(self, environment: Environment, agent: Rmax, world: kernels.World, memory: kernels.Memory) -> None:
        """Start from the optimistic values, and plan once."""
        process, horizon = environment.played, environment.horizon
        n_states, n_actions = process.n_states, process.n_actions
        self.world, self.memory, self.discount = world, memory, process.discount
        self.process = process
        self.episodic = agent.planning == "episode"
        stages = int(horizon or 1) if self.episodic else 1
        high = process.reward_range[1]
        # A maximum rounded below the true one would make known pairs look better than unknown ones.
        largest, discount = Fraction(high), Fraction(self.discount)
        self.top = _rounded_up(largest / (1 - discount))
        self.tops = np.empty(stages)
        rest = 0.0
        for stage in range(stages):
            if math.isfinite(rest):
                rest = _rounded_up(largest + discount * Fraction(rest))
            self.tops[stage] = rest
        self.tolerance = 0.0 if self.episodic else _planning_tolerance(process, agent)
        self.q = np.empty((n_states, n_actions))
        self.values = np.full(n_states, self.top)
        self.spare = np.empty(n_states)
        action = np.zeros((stages, n_states), np.int64)
        self.behaviour = kernels.Behaviour(False, np.zeros((0, n_actions), np.int64), action)
        self.plan()

    def plan(self) -> None:
        """Plan for the present model."""
        model = (self.world, self.memory, self.discount)
        scratch = (self.q, self.values, self.spare, self.behaviour.action)
        if self.episodic:
            kernels.plan_horizon(*model, self.tops, *scratch)
        else:
            kernels.plan_stationary(*model, self.top, self.tolerance, *scratch)
        if isinstance(self.process, TabularMDP):
            self.process.keep_allowed(self.behaviour.action)

    def policy(self) -> Int:
        """Return the greedy policy, shape (S,), or (T, S) where it plans episodes."""
        greedy: Int = self.behaviour.action if self.episodic else self.behaviour.action[0]
        return greedy.copy()

    def action_probabilities(self) -> Float | None:
        """Return the greedy policy as probabilities, shape (S, A), or None where it plans episodes."""
        return None if self.episodic else np.eye(self.q.shape[1])[self.behaviour.action[0]]

    def play(self) -> Int:
        """Return what it plays, shape (S,), or (T, S) where it plans episodes."""
        return self.policy()

    def changing(self) -> dict[str, NDArray[Any]]:
        """Return the arrays that planning changes and starts from."""
        return {"q": self.q, "values": self.values, "play": self.behaviour.action}
