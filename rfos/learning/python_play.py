"""A run of an agent of one's own, in a loop of Python that costs little beside the agent.

The process draws the same numbers in the same order as it does in kernels: R-max written as a `Player` leaves the same
trace as `Rmax`, byte for byte.
"""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rfos._kernels import rmax as kernels
from rfos._kernels.random import fill_uniform
from rfos._system.arrays import Float, Int, freeze
from rfos._system.randomness import Seed, seed_sequence, stream
from rfos.learning.environment import Environment
from rfos.learning.kernel_play import automaton_of, world_of
from rfos.learning.observer import Observer, check_step_costs
from rfos.learning.play import Change, Learned
from rfos.learning.player import PlayingAgent, begun, checked_policy, said_change, visits_asked
from rfos.metagames.window import CONTINUING
from rfos.planning.storages import thresholds

BLOCK = 4096
"""Uniform numbers that are drawn from the stream at a time."""


def _as_floats(table: Int) -> Float:
    """Return thresholds of 53 random bits as those of uniform floats, k 2^-53, exactly."""
    return np.ascontiguousarray(table * 2.0**-53)


def _draws(rng: Seed) -> Callable[[], float]:
    """Return a function that draws the next uniform float of a stream."""
    state, block = stream(rng), np.empty(BLOCK)

    def numbers() -> Any:
        while True:
            fill_uniform(state, block)
            yield from block.tolist()

    return numbers().__next__  # type: ignore[no-any-return]


def _by_row(world: kernels.World, draw: Callable[[], float]) -> Callable[[int, int], int]:
    """Return what draws the branch of a pair from the pair's own law."""
    table, n_branches = _as_floats(world.thresholds), int(world.successor.shape[1])
    limit = table.reshape(-1).item

    def branch(pair: int, action: int) -> int:
        u, first = draw(), pair * n_branches
        for b in range(n_branches - 1):
            if u < limit(first + b):
                return b
        return n_branches - 1

    return branch


class _Learners:
    """The hidden Q-learners of a window meta-game, who draw the branch of a pair; the twin of the kernel's."""

    def __init__(self, learners: kernels.Learners, draw: Callable[[], float]) -> None:
        self.draw, self.n_learners = draw, len(learners.rate)
        self.initial, self.sizes = learners.initial.tolist(), learners.n_actions.tolist()
        self.digit, self.reward = learners.digit.tolist(), learners.reward.tolist()
        self.rate, self.exploration = learners.rate.tolist(), learners.exploration.tolist()
        self.resets = learners.reset.tolist()
        self.q = learners.q.tolist()
        # The kernel draws the reply of a single learner with two actions by thresholds: the same, in the same rounding.
        self.single = self.n_learners == 1 and self.sizes[0] == 2
        if self.single:
            explore, greedy = self.exploration[0] / 2, 1.0 - self.exploration[0]
            chances = np.array([explore, explore + greedy / 2, explore + greedy])
            self.low, self.tie, self.high = (np.ceil(chances * 2.0**53) * 2.0**-53).tolist()

    def begin_episode(self) -> None:
        """Let those who do so forget."""
        for i, resets in enumerate(self.resets):
            if resets:
                self.q[i] = list(self.initial[i])

    def branch(self, pair: int, action: int) -> int:
        """Return the joint reply, and let them learn from it."""
        draw, b = self.draw, 0
        if self.single:
            own = self.q[0]
            first = self.tie if own[0] == own[1] else self.high if own[0] > own[1] else self.low
            b = 1 if draw() >= first else 0
        else:
            for i in range(self.n_learners):
                b = b * self.sizes[i] + self._reply(i, draw())
        for i in range(self.n_learners):
            j, rate = self.digit[i][b], self.rate[i]
            self.q[i][j] = (1.0 - rate) * self.q[i][j] + rate * self.reward[i][action][b]
        return b

    def _reply(self, i: int, u: float) -> int:
        """Return the epsilon-greedy action of learner i for a uniform float, ties at random."""
        size, exploration = self.sizes[i], self.exploration[i]
        own = self.q[i][:size]
        best = max(own)
        low, share = exploration / size, (1.0 - exploration) / own.count(best)
        cumulative, action = 0.0, 0
        for j in range(size - 1):
            cumulative += low + share if own[j] == best else low
            action += u >= cumulative
        return action


class _Automaton:
    """Hidden opponents with finitely many states, who draw the branch of a pair; the twin of the kernel's."""

    def __init__(self, automaton: kernels.AutomatonTables, draw: Callable[[], float]) -> None:
        self.draw, self.start = draw, int(automaton.start)
        self.limits, self.following = _as_floats(automaton.thresholds).tolist(), automaton.following.tolist()
        self.n_branches = automaton.thresholds.shape[1]
        self.state = self.start

    def begin_episode(self) -> None:
        """Go back to the start."""
        self.state = self.start

    def branch(self, pair: int, action: int) -> int:
        """Return the joint reply, and take the next state."""
        u, limits, b = self.draw(), self.limits[self.state], 0
        while b < self.n_branches - 1 and u >= limits[b]:
            b += 1
        self.state = self.following[self.state][action * self.n_branches + b]
        return b


class PythonPlay:
    """An agent of one's own in an environment; see `Play`."""

    def __init__(self, environment: Environment, agent: PlayingAgent, rng: Seed, observer: Observer | None) -> None:
        """Make the tables, and let the agent begin."""
        process = environment.played
        self.environment, self.m = environment, visits_asked(agent)
        self.n_states, self.n_actions, self.n_branches = process.n_states, process.n_actions, process.branching
        root = seed_sequence(rng)
        self.world, learners = world_of(environment)
        self.draw = _draws(root)
        self.learners = None if learners is None else _Learners(learners, self.draw)
        hidden = automaton_of(environment)
        self.automaton = None if hidden is None else _Automaton(hidden, self.draw)
        self.branch: Callable[[int, int], int]
        if self.automaton is not None:
            self.branch = self.automaton.branch
        else:
            self.branch = _by_row(self.world, self.draw) if self.learners is None else self.learners.branch
        law = environment.start_law
        self.law = None if law is None else _as_floats(thresholds(law))
        pairs = self.n_states * self.n_actions
        self.visits, self.known_at = np.zeros(pairs, np.int64), np.zeros(pairs, np.int64)
        self.branch_counts = np.zeros((pairs, self.n_branches), np.int64)
        self.allowed = environment.allowed
        self.position, self.total = np.zeros(3, np.int64), np.zeros(1)
        self.step_costs = None if observer is None else observer.step_costs
        if self.step_costs is not None:
            check_step_costs(self.step_costs, self.world.reward.shape, self.n_states)
            self.step_costs.table[:, 2:] = self.world.reward
        own = np.random.Generator(np.random.SFC64(seed_sequence(root, (1,))))
        self.player = begun(agent, environment, own)
        self.policy = self._policy()
        self.says_unknown = hasattr(self.player, "unknown")
        # Whoever looks on is told of what is unknown, where there is somebody and it is said.
        self.tells_known = observer is not None and (self.says_unknown or self.m is not None)
        self.told = b""

    def _policy(self) -> NDArray[Any]:
        """Return what the player says that it plays, as an array that nobody writes to."""
        policy = checked_policy(self.player, self.environment)
        freeze(policy)
        return policy

    def _contradicted(self, state: int, action: int) -> ValueError:
        """Return the error for an action that the policy does not take."""
        return ValueError(
            f"{type(self.player).__name__}.act({state}) is {action}, which its policy() does not take there: return "
            "from observe True where the policy changed, and probabilities (S, A) of a policy that draws its actions"
        )

    def _refused(self, state: int, action: object) -> ValueError:
        """Return the error for an action that is not one, or is not allowed."""
        who = f"{type(self.player).__name__}.act({state}) is {action!r}"
        if isinstance(action, int) and 0 <= action < self.n_actions:
            return ValueError(f"{who}, which is not allowed there: choose among `environment.mdp.allowed`")
        return ValueError(f"{who}: actions are whole numbers from 0 to {self.n_actions - 1}")

    def advance(self, stop: int) -> Change | None:
        """Let the player act until its policy or what is unknown to it changes, or `stop` steps are done."""
        act, observe, branch, draw = self.player.act, self.player.observe, self.branch, self.draw
        n_actions, n_branches, horizon = self.n_actions, self.n_branches, self.world.horizon
        successor, reward = self.world.successor.reshape(-1).item, self.world.reward.reshape(-1).item
        visits, counts, known_at = self.visits, self.branch_counts.reshape(-1), self.known_at
        m = CONTINUING if self.m is None else self.m
        allowed = None if self.allowed is None else self.allowed.reshape(-1).item
        costs = self.step_costs
        cost, width = (None, 0) if costs is None else (costs.table.reshape(-1).item, 2 + n_branches)
        step, t, s = self.position.tolist()
        rewards, worth0, worth1 = float(self.total[0]), 0.0, 0.0
        visited = visits.item
        planned, drawn = self.policy.reshape(-1).item, self.policy.dtype.kind == "f"
        stage = self.n_states if self.policy.ndim == 2 and not drawn else 0
        learns = self.tells_known and not self.says_unknown  # else a pair that becomes known is nobody's concern
        asks = self.tells_known and self.says_unknown
        change: Change | None = None
        while step < stop and change is None:
            if t == 0:
                s = self._start(draw())
                if costs is not None:
                    worth0 += costs.starts.item(s)
            action = act(s)
            if action.__class__ is not int:
                try:
                    action = operator.index(action)
                except TypeError:
                    raise self._refused(s, action) from None
            pair = s * n_actions + action
            if not 0 <= action < n_actions or (allowed is not None and not allowed(pair)):
                raise self._refused(s, action)
            if planned(pair) <= 0.0 if drawn else planned(t * stage + s) != action:
                raise self._contradicted(s, action)
            b = branch(pair, action)
            at = pair * n_branches + b
            earned = reward(at)
            if cost is not None:
                worth0 += cost(pair * width)
                worth1 += cost(pair * width + 1)
            rewards += earned
            step += 1
            count = visited(pair)
            if count < m:
                visits[pair] = count + 1
                counts[at] += 1
                if count + 1 == (self.m or 1):
                    known_at[pair] = step
                    if learns:
                        change = "known"
            following = successor(at)
            changed = observe(s, action, earned, following)
            if changed is not False and said_change(changed):
                change = "plan"
            elif asks and self._unknown().tobytes() != self.told:
                change = "known"
            s = following
            t += 1
            if t == horizon:
                t = 0
        self.position[:] = step, t, s
        self.total[0] = rewards
        if costs is not None:
            costs.total[0] += worth0
            costs.total[1] += worth1
        if change == "plan":
            self.policy = self._policy()
        return change

    def _start(self, u: float) -> int:
        """Return the state of an episode's first step, and let the learners begin it."""
        if self.learners is not None:
            self.learners.begin_episode()
        if self.automaton is not None:
            self.automaton.begin_episode()
        if self.law is None:
            return int(self.world.starts[int(u * len(self.world.starts))])
        return min(int(np.searchsorted(self.law, u, side="right")), self.n_states - 1)

    def known(self) -> int:
        """Return how many pairs are known, or, where the agent has no m, were visited."""
        return int(np.count_nonzero(self.known_at))

    def playing(self) -> NDArray[Any]:
        """Return what is played."""
        return self.policy

    def unknown(self) -> NDArray[np.bool_] | None:
        """Return the allowed pairs that the player wants to explore, or those below its agent's m."""
        if self.m is None and not self.says_unknown:
            return None
        unknown = self._unknown()
        self.told = unknown.tobytes() if self.tells_known and self.says_unknown else b""
        return unknown

    def _unknown(self) -> NDArray[np.bool_]:
        """Return them as an array of our own."""
        unknown: NDArray[np.bool_]
        if self.says_unknown:
            given = np.asarray(self.player.unknown())  # type: ignore[attr-defined]
            if given.dtype != np.bool_ or given.shape != self.visits.shape:
                raise ValueError(
                    f"unknown() of {type(self.player).__name__} is an array of {given.dtype} and shape {given.shape}: "
                    f"give booleans of shape {self.visits.shape}"
                )
            unknown = given.copy()
        else:
            unknown = self.visits < (self.m or 1)
        if self.allowed is not None:
            unknown &= self.allowed.reshape(-1)
        return unknown

    def saved(self) -> None:
        """Return None: what a player has learned is its own, so that such a run is not left in the middle."""
        return

    def check_restored(self) -> None:
        """Do nothing: such a run is never taken up."""

    def learned(self) -> Learned:
        """Return what was learned, by a player that has told all changes of its policy."""
        if not np.array_equal(self._policy(), self.policy):
            raise ValueError(
                f"the policy of {type(self.player).__name__} changed, and observe did not say so: return True from it "
                "where the policy changed, so that what is played is what is evaluated"
            )
        probabilities = self.policy if self.policy.dtype.kind == "f" else None
        allowed = None if self.allowed is None else self.allowed.reshape(-1)
        return Learned(self.known_at, self.visits, self.branch_counts, None, self.policy, probabilities, allowed)
