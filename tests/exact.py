"""Exact answers: values of small MDPs in rational arithmetic, and runs of R-max step by step.

Nothing here uses the package's solvers. Values solve (I - discount P) V = R in integers (Bareiss 1968), optimal ones
by Howard's policy iteration, which ends because each policy is strictly better than the last.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import cached_property

import numpy as np
import scipy.sparse as sp

import rfos
from rfos.planning.mdp import TabularMDP

Branch = tuple[int, Fraction, Fraction]
"""Successor, probability, reward."""


def solve_linear(matrix: Sequence[Sequence[Fraction]], right: Sequence[Fraction]) -> list[Fraction]:
    """Return x with matrix x = right, by fraction-free elimination."""
    rows = []
    for line, end in zip(matrix, right, strict=True):
        entries = [Fraction(x) for x in (*line, end)]
        scale = math.lcm(*(x.denominator for x in entries))
        rows.append([int(x * scale) for x in entries])
    size = len(rows)
    last = 1
    for k in range(size):
        pivot = next(i for i in range(k, size) if rows[i][k])
        rows[k], rows[pivot] = rows[pivot], rows[k]
        head = rows[k]
        for i in range(size):
            if i != k:
                factor = rows[i][k]
                rows[i] = [(head[k] * x - factor * y) // last for x, y in zip(rows[i], head, strict=True)]
        last = head[k]
    return [Fraction(row[-1], row[i]) for i, row in enumerate(rows)]


@dataclass(frozen=True)
class ExactMDP:
    """A finite MDP with rational data: `rows[s][a]` are the branches of a pair."""

    rows: tuple[tuple[tuple[Branch, ...], ...], ...]
    discount: Fraction

    @property
    def n_states(self) -> int:
        return len(self.rows)

    @property
    def n_actions(self) -> int:
        return len(self.rows[0])

    @property
    def branching(self) -> int:
        return max(len(branches) for row in self.rows for branches in row)

    @cached_property
    def rewards(self) -> list[list[Fraction]]:
        """Expected reward of each pair."""
        return [[sum((p * r for _, p, r in branches), Fraction(0)) for branches in row] for row in self.rows]

    def q(self, values: Sequence[Fraction]) -> list[list[Fraction]]:
        """One exact Bellman backup."""
        return [
            [r + self.discount * sum(p * values[j] for j, p, _ in b) for r, b in zip(rs, bs, strict=True)]
            for rs, bs in zip(self.rewards, self.rows, strict=True)
        ]

    def shares(self, choice: int | Sequence[Fraction]) -> Sequence[Fraction]:
        """Probability of each action, where one is chosen or they are given."""
        return [Fraction(int(a == choice)) for a in range(self.n_actions)] if np.ndim(choice) == 0 else choice

    def value(self, policy: Sequence[int] | Sequence[Sequence[Fraction]]) -> list[Fraction]:
        """V of a stationary policy: one action per state, or the probability of each."""
        matrix = []
        right = []
        for s in range(self.n_states):
            weights = self.shares(policy[s])
            line = [Fraction(int(s == j)) for j in range(self.n_states)]
            for weight, branches in zip(weights, self.rows[s], strict=True):
                for j, p, _ in branches:
                    line[j] -= self.discount * weight * p
            matrix.append(line)
            right.append(sum((w * r for w, r in zip(weights, self.rewards[s], strict=True)), Fraction(0)))
        return solve_linear(matrix, right)

    @cached_property
    def optimum(self) -> tuple[list[Fraction], list[int]]:
        """V* and an optimal policy."""
        policy = [0] * self.n_states
        while True:
            values = self.value(policy)
            improved = False
            for s, q in enumerate(self.q(values)):
                best = max(range(self.n_actions), key=q.__getitem__)
                if q[best] > q[policy[s]]:
                    policy[s] = best
                    improved = True
            if not improved:
                return values, policy

    @property
    def v_star(self) -> list[Fraction]:
        return self.optimum[0]

    def best_return(self, horizon: int) -> list[Fraction]:
        """Largest discounted return of `horizon` steps."""
        values = [Fraction(0)] * self.n_states
        for _ in range(horizon):
            values = [max(q) for q in self.q(values)]
        return values

    def staged_return(self, policy: Sequence[Sequence[int]]) -> list[Fraction]:
        """Return of a policy with one row of actions per step."""
        values = [Fraction(0)] * self.n_states
        for actions in reversed(policy):
            values = [q[a] for q, a in zip(self.q(values), actions, strict=True)]
        return values

    def with_rewards(self, reward) -> ExactMDP:
        """The same transitions, the branch (s, a, s') worth reward(s, a, s')."""
        rows = tuple(
            tuple(tuple((j, p, Fraction(reward(s, a, j))) for j, p, _ in b) for a, b in enumerate(row))
            for s, row in enumerate(self.rows)
        )
        return replace(self, rows=rows)

    def transitions(self) -> np.ndarray:
        """Rounded transition probabilities, shape (S, A, S)."""
        matrix = np.zeros((self.n_states, self.n_actions, self.n_states))
        for s, row in enumerate(self.rows):
            for a, branches in enumerate(row):
                for j in {j for j, _, _ in branches}:
                    matrix[s, a, j] = float(sum(p for i, p, _ in branches if i == j))
        return matrix

    def mdp(self, storage: str = "dense") -> TabularMDP:
        """The MDP in floats: each number rounded once."""
        rewards = [[float(r) for r in row] for row in self.rewards]
        if storage == "deterministic":
            return TabularMDP([[b[0][0] for b in row] for row in self.rows], rewards, float(self.discount))
        dense = self.transitions()
        if storage == "sparse":
            flat = sp.csr_array(dense.reshape(-1, self.n_states))
            return TabularMDP(flat, rewards, float(self.discount))
        return TabularMDP(dense, rewards, float(self.discount))


def epochs(process, agent, *, steps: int, horizon=None, starts=None, rng=0):
    """Return the final trace of a run and, for each plan, (steps played before it, trace at that moment).

    A run of fewer steps with the same seed is a prefix of a longer one, so the agent as it was after each plan is
    the result of a run that ends there.
    """
    options = {"horizon": horizon, "starts": starts, "rng": rng, "bins": 1}
    final = rfos.run(process, agent, steps=steps, **options)
    times = sorted(int(t) for t in final.known_at if t)
    return final, [(t, rfos.run(process, agent, steps=t, **options)) for t in times]


def first_policy(process, agent, *, horizon=None) -> np.ndarray:
    """The canonical agent's policy before anything is known: all ties, lowest index."""
    if agent.planning == "episode":
        return np.zeros((horizon, process.n_states), np.int64)
    return np.zeros(process.n_states, np.int64)


def replay(process: TabularMDP, agent, *, steps: int, horizon=None, starts=None, rng=0):
    """Yield (step, state, stage, policy) of a run of the canonical agent, from the documented random stream.

    One uniform float picks the start of an episode, then one per step picks the branch by inversion.
    """
    final, planned = epochs(process, agent, steps=steps, horizon=horizon, starts=starts, rng=rng)
    changes = {t: trace.policy for t, trace in planned}
    successor, probability, _ = process.storage.branches(process.rewards)
    cumulative = np.cumsum(probability, axis=1)[:, :-1].tolist()
    successor = successor.tolist()
    first = list(range(process.n_states)) if starts is None else list(starts)
    draws = iter(np.random.Generator(np.random.SFC64(np.random.SeedSequence(rng))).random(2 * steps).tolist())
    policy = first_policy(process, agent, horizon=horizon)
    state = 0
    seen = np.zeros(process.n_states * process.n_actions, np.int64)
    for step in range(steps):
        stage = 0 if horizon is None else step % horizon
        if step == 0 or (horizon is not None and stage == 0):
            state = first[int(next(draws) * len(first))]
        policy = changes.get(step, policy)
        yield step, state, stage, policy
        action = int(policy[state] if policy.ndim == 1 else policy[stage, state])
        pair = state * process.n_actions + action
        seen[pair] += 1
        draw = next(draws)
        state = successor[pair][sum(draw >= edge for edge in cumulative[pair])]
    assert np.array_equal(np.minimum(seen, final.m), final.visits), "the replay has left the path of the run"


@dataclass(frozen=True)
class SlowLedger:
    """What `rfos.ledger` counts, in rational arithmetic: bad steps or episodes, ties, and the sum of e_t."""

    count: int
    ties: int
    exploration: Fraction


def slow_ledger(exact: ExactMDP, agent, *, epsilon: Fraction, steps: int, horizon=None, starts=None, rng=0, storage):
    """Replay a run step by step and evaluate what is played at each step, by elimination."""
    process = exact.mdp(storage)
    options = {"steps": steps, "horizon": horizon, "starts": starts, "rng": rng}
    known_at = rfos.run(process, agent, bins=1, **options).known_at
    episodic = agent.planning == "episode"
    values: dict = {}
    exploring: dict = {}
    count = ties = 0
    total = Fraction(0)
    best = exact.best_return(horizon) if episodic else exact.v_star
    for step, state, stage, policy in replay(process, agent, **options):
        key = tuple(policy.ravel().tolist())
        if episodic:
            if stage == 0:
                if key not in values:
                    values[key] = exact.staged_return(policy.tolist())
                count += values[key][state] < best[state] - epsilon
                ties += values[key][state] == best[state] - epsilon
            continue
        if key not in values:
            values[key] = exact.value(key)
        count += values[key][state] < best[state] - epsilon
        ties += values[key][state] == best[state] - epsilon
        unknown = frozenset(np.flatnonzero((known_at == 0) | (known_at > step)).tolist())
        if (key, unknown) not in exploring:
            exploring[key, unknown] = exploring_values(exact, key, unknown)
        total += exploring[key, unknown][state]
    return SlowLedger(int(count), int(ties), total)


def exploring_values(exact: ExactMDP, policy, unknown: frozenset[int]) -> list[Fraction]:
    """e = E[discount^tau] from each state: 1 where an unknown pair is taken, else discount times the mean of e."""
    matrix, right = [], []
    for s, choice in enumerate(policy):
        line = [Fraction(int(s == j)) for j in range(exact.n_states)]
        stop = Fraction(0)
        for a, weight in enumerate(exact.shares(choice)):
            if s * exact.n_actions + a in unknown:
                stop += weight
                continue
            for j, p, _ in exact.rows[s][a]:
                line[j] -= exact.discount * weight * p
        matrix.append(line)
        right.append(stop)
    return solve_linear(matrix, right)
