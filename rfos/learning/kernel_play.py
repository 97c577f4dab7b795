"""A run of the package's own agents, in kernels."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from rfos._kernels import rmax as kernels
from rfos._system.checkpoints import within
from rfos._system.randomness import Seed, stream
from rfos.learning.agents import PaperRmax, Rmax
from rfos.learning.environment import Environment
from rfos.learning.observer import Observer, check_step_costs
from rfos.learning.planners import OptimisticPlanner, SoftmaxPlanner
from rfos.learning.play import Change, Learned
from rfos.metagames.window import CONTINUING, WindowMetaGame
from rfos.planning.storages import thresholds


def world_of(environment: Environment) -> tuple[kernels.World, kernels.Learners | None]:
    """Return the kernel's world and the learners with a hidden state, or None."""
    process = environment.played
    learners = None
    if isinstance(process, WindowMetaGame):
        world, learners = process.world(), process.learners()
    else:
        successor, probability, reward = process.storage.branches(process.rewards)
        world = kernels.World(
            # Copies: views would be read-only here and not there, and every kernel would be compiled for both.
            np.array(successor),
            np.array(reward),
            thresholds(probability),
            np.array(probability) if environment.reveals else np.zeros((0, 0)),
            np.arange(process.n_states),
            0,
        )
    starts = np.arange(process.n_states) if environment.starts is None else np.array(environment.starts)
    horizon = CONTINUING if environment.horizon is None else environment.horizon
    return world._replace(starts=starts, horizon=horizon), learners


def automaton_of(environment: Environment) -> kernels.AutomatonTables | None:
    """Return the kernel's automaton of opponents with a hidden state among finitely many, or None."""
    process = environment.played
    return process.automaton() if isinstance(process, WindowMetaGame) else None


class KernelPlay:
    """R-max or the paper's agent in an environment; see `Play`."""

    def __init__(
        self, environment: Environment, agent: Rmax | PaperRmax, m: int, rng: Seed, observer: Observer | None
    ) -> None:
        """Make the tables, and plan once."""
        process = environment.played
        self.n_states, self.n_actions = process.n_states, process.n_actions
        self.world, self.learners = world_of(environment)
        self.automaton = automaton_of(environment)
        law = environment.start_law
        self.law = None if law is None else thresholds(law)
        pooled = isinstance(agent, Rmax) and agent.pooled
        rows = self.n_states if pooled else self.n_states * self.n_actions
        self.memory = kernels.Memory(
            np.zeros(rows, np.int64),
            np.zeros((rows, process.branching), np.int64),
            np.zeros(rows, np.int64),
            min(m, CONTINUING),  # no run is longer, so a larger m is never reached either
            pooled,
        )
        allowed = environment.allowed
        self.closed = None if allowed is None else ~allowed.ravel()
        if self.closed is not None:
            # The model that is planned for knows from the start that these pairs pay -inf.
            self.memory.visits[self.closed] = self.memory.branches[self.closed, 0] = self.memory.m
        self.planner = (
            SoftmaxPlanner(environment, agent, self.world, self.memory)
            if isinstance(agent, PaperRmax)
            else OptimisticPlanner(environment, agent, self.world, self.memory)
        )
        self.position, self.total = np.zeros(3, np.int64), np.zeros(1)
        self.stream = stream(rng)
        self.step_costs = None if observer is None else observer.step_costs
        if self.step_costs is not None:
            check_step_costs(self.step_costs, self.world.reward.shape, self.n_states)
            self.step_costs.table[:, 2:] = self.world.reward

    def advance(self, stop: int) -> Change | None:
        """Play until a row becomes known, and plan anew then, or until `stop` steps are done."""
        found: bool = kernels.advance(
            self.world,
            self.learners,
            self.automaton,
            self.planner.behaviour,
            self.memory,
            self.stream,
            self.position,
            self.total,
            self.step_costs,
            self.law,
            stop,
        )
        if not found:
            return None
        self.planner.plan()
        return "plan"

    def known(self) -> int:
        """Return how many rows are known."""
        return int(np.count_nonzero(self.memory.known_at))

    def playing(self) -> NDArray[Any]:
        """Return what is played."""
        return self.planner.play()

    def unknown(self) -> NDArray[np.bool_]:
        """Return the rows that are not known."""
        unknown: NDArray[np.bool_] = self.memory.visits < self.memory.m
        return unknown

    def saved(self) -> dict[str, NDArray[Any]]:
        """Return the arrays that it goes on from."""
        memory = self.memory._asdict()
        del memory["m"], memory["pooled"]
        learners = {} if self.learners is None else {"learners": self.learners.q}
        if self.automaton is not None:
            learners["hidden"] = self.automaton.state
        own = {"position": self.position, "stream": self.stream, "total": self.total}
        return {**memory, **self.planner.changing(), **learners, **own}

    def check_restored(self) -> None:
        """Raise MisfitError unless all that kernels index with lies in its range."""
        memory, position = self.memory, self.position
        within("step of the episode", position[1:2], 0, self.world.horizon - 1)
        within("state", position[2:], 0, self.n_states - 1)
        if self.automaton is not None:
            within("hidden state", self.automaton.state, 0, len(self.automaton.following) - 1)
        within("visits", memory.visits, 0, memory.m)
        within("branches", memory.branches, 0, memory.m)
        within("known_at", memory.known_at, 0, int(position[0]))
        if not self.planner.behaviour.drawn:
            within("play", self.planner.behaviour.action, 0, self.n_actions - 1)

    def learned(self) -> Learned:
        """Return what was learned."""
        memory, planner = self.memory, self.planner
        if self.closed is not None:
            memory.visits[self.closed] = memory.branches[self.closed, 0] = 0
        return Learned(
            memory.known_at,
            memory.visits,
            memory.branches,
            planner.q,
            planner.policy(),
            planner.action_probabilities(),
            None if self.closed is None else ~self.closed,
        )
