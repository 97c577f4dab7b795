"""Agents of one's own for tests: R-max written as a player, and players that do what they must not."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

import rfos


@dataclass(frozen=True)
class PythonRmax:
    """The canonical R-max as anybody would write it; its planning is the kernel's, with the same order of sums."""

    m: int
    epsilon: float = 0.1
    delta: float = 0.05

    def begin(self, environment: rfos.Environment, rng: np.random.Generator) -> PythonRmaxPlayer:
        return PythonRmaxPlayer(environment, self.m, self.epsilon)


class PythonRmaxPlayer:
    """Counts, estimates that are frozen at m, value iteration from optimistic values."""

    def __init__(self, environment: rfos.Environment, m: int, epsilon: float) -> None:
        self.m, self.discount = m, environment.discount
        self.n_states, self.n_actions = environment.n_states, environment.n_actions
        self.top = environment.reward_range[1] / (1 - self.discount)
        loss = 0.01 * epsilon
        self.tolerance = loss * (1 - self.discount) / (2 * max(self.discount, 0.5))
        self.visits = [[0] * self.n_actions for _ in range(self.n_states)]
        self.counts: dict[tuple[int, int], dict[tuple[int, float], int]] = {}
        self.values = [self.top] * self.n_states
        self.actions = [0] * self.n_states
        self._plan()

    def act(self, state: int) -> int:
        return self.actions[state]

    def observe(self, state: int, action: int, reward: float, next_state: int) -> bool:
        if self.visits[state][action] == self.m:
            return False
        self.visits[state][action] += 1
        seen = self.counts.setdefault((state, action), {})
        seen[next_state, reward] = seen.get((next_state, reward), 0) + 1
        if self.visits[state][action] < self.m:
            return False
        self._plan()
        return True

    def policy(self) -> np.ndarray:
        return np.array(self.actions)

    def _value(self, state: int, action: int) -> float:
        if self.visits[state][action] < self.m:
            return self.top
        value = 0.0
        for (following, reward), count in sorted(self.counts[state, action].items()):
            value += count * (reward + self.discount * self.values[following])
        return min(value / self.m, self.top)

    def _plan(self) -> None:
        change = np.inf
        while change > self.tolerance:
            change, new = 0.0, []
            for s in range(self.n_states):
                q = [self._value(s, a) for a in range(self.n_actions)]
                best = max(q)
                tied = [a for a in range(self.n_actions) if q[a] == best]
                unknown = [a for a in tied if self.visits[s][a] < self.m]
                self.actions[s] = (unknown or tied)[0]
                change = max(change, abs(best - self.values[s]))
                new.append(best)
            self.values = new


@dataclass(frozen=True)
class Scripted:
    """Plays one policy for ever, or returns what it is told to: for looking at what `run` makes of it.

    What it acts is one action, or a function of the steps that it has played.
    """

    returns: Any = None
    acts: Any = 0
    changes: Any = False
    wants: Any = None
    planning: str = "stationary"

    def begin(self, environment: rfos.Environment, rng: np.random.Generator) -> ScriptedPlayer:
        return ScriptedPlayer(self, environment)


class ScriptedPlayer:
    def __init__(self, script: Scripted, environment: rfos.Environment) -> None:
        self.script, self.steps = script, 0
        self.table = np.zeros(environment.n_states, np.int64) if script.returns is None else script.returns
        if script.wants is not None:
            self.unknown = lambda: script.wants

    def act(self, state: int) -> Any:
        return self.script.acts(self.steps) if callable(self.script.acts) else self.script.acts

    def observe(self, state: int, action: int, reward: float, next_state: int) -> Any:
        self.steps += 1
        return self.script.changes

    def policy(self) -> Any:
        return self.table
