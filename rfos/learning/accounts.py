"""What the look-ups of a ledger's run add up to: the values of each policy that is played, with brackets."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rfos._kernels import ledger as kernels
from rfos._kernels.rmax import StepCosts
from rfos._system.arrays import Float, Int
from rfos._system.checkpoints import Arrays, take_up
from rfos._system.memory import require_memory
from rfos.learning.environment import Process
from rfos.learning.observer import PlanEvent
from rfos.planning.certificates import SMALLEST, UNIT_ROUNDOFF, Certifier
from rfos.planning.evaluate import evaluate_policy
from rfos.planning.iteration import Change
from rfos.planning.mdp import TabularMDP
from rfos.planning.solution import Solution
from rfos.planning.solve import solve

FINE = 1e-9
"""Width below which a bracket of V^pi that leaves a state undecided is left so, as a share of epsilon."""

EXPLORING_TOL = 1e-4
"""Width of the brackets of e_t, which lies between 0 and 1."""

MARK = 2.0**26
"""What an undecided state is worth in the sum in which a bad one is worth 1."""


def fine(epsilon: float) -> float:
    """Return the width `FINE` at an epsilon; above 0, however small that is."""
    return max(FINE * epsilon, SMALLEST)


def account_bytes(process: Process) -> int:
    """Return an upper estimate of the tables of an account."""
    # What a look at each array's size adds up to, where play is drawn, and some more.
    return process.n_states * (process.n_actions * (process.branching * 52 + 40) + 128)


class Account:
    """What the look-ups of a run add up to; the parts that depend on what is counted are left to two classes."""

    def __init__(self, mdp: TabularMDP, epsilon: float) -> None:
        """Take what both kinds need of an MDP."""
        require_memory(account_bytes(mdp), "the ledger's tables", "use fewer states")
        self.mdp, self.epsilon = mdp, epsilon
        self.successor, self.probability, rewards = mdp.storage.branches(mdp.finite_rewards)
        self.successor, self.probability = self.successor.astype(np.int64), np.array(self.probability, np.float64)
        self.reward = (self.probability * rewards).sum(axis=1)
        self.certify = Certifier(mdp)
        # The rewards in the table are filled in by the run.
        pairs = mdp.n_states * mdp.n_actions
        self.step_costs = StepCosts(np.zeros((pairs, 2 + mdp.branching)), np.zeros(mdp.n_states), np.zeros(2))
        self.step = self.evaluations = 0
        self.bad = self.possible = 0
        self.low = self.high = self.width = 0.0
        self.explores = True

    def close(self, step: int) -> None:
        """Take what the steps since the last plan have added up to."""
        played = step - self.step
        bad, exploring = self.step_costs.total.tolist()
        # bad + MARK * undecided, at most `played` in all: the smallest and the largest number of undecided ones.
        fewest = max(0, math.ceil((bad - played) / (MARK - 1)))
        most = int(bad // MARK)
        self.bad += int(bad - MARK * most)
        self.possible += int(bad - MARK * fewest) + fewest
        # Each of the additions rounds by one part in 2^53 of their sum at most.
        rounding = exploring * played * 2 * UNIT_ROUNDOFF
        low = (exploring - rounding) * (1 - 8 * UNIT_ROUNDOFF)
        high = (exploring + played * self.width + rounding) * (1 + 8 * UNIT_ROUNDOFF)
        # The sums over plans round too: outwards.
        self.low = math.nextafter(self.low + low, -math.inf)
        self.high = math.nextafter(self.high + high, math.inf)
        self.step_costs.total[:] = 0.0
        self.step = step

    def on_plan(self, event: PlanEvent) -> bool:
        """Close the last plan's account and open the next one's."""
        self.close(event.step)
        self.evaluations += 1
        self.open(event)
        return False

    def open(self, event: PlanEvent) -> None:
        """Fill the step costs for what is played from now on."""
        raise NotImplementedError

    def changing(self) -> dict[str, NDArray[Any]]:
        """Return the arrays that the account goes on from, none named as one of the run's."""
        return {"worth": self.step_costs.table[:, :2], "due": self.step_costs.starts, "added": self.step_costs.total}

    def state(self) -> dict[str, NDArray[Any]]:
        """Return all that the account goes on from."""
        counts = np.array([self.step, self.evaluations, self.bad, self.possible])
        return {**self.changing(), "counts": counts, "sums": np.array([self.low, self.high, self.width])}

    def restore(self, saved: Arrays) -> None:
        """Go on from there."""
        counts, sums = np.zeros(4, np.int64), np.zeros(3)
        take_up(saved, {**self.changing(), "counts": counts, "sums": sums})
        self.step, self.evaluations, self.bad, self.possible = counts.tolist()
        self.low, self.high, self.width = sums.tolist()


class ContinuingAccount(Account):
    """Steps with V^pi(s_t) < V*(s_t) - epsilon, and e_t."""

    def __init__(self, mdp: TabularMDP, epsilon: float) -> None:
        """Solve the MDP."""
        super().__init__(mdp, epsilon)
        n_states = mdp.n_states
        self.best = solve(mdp, tol=fine(epsilon))
        # Outwards, so that a comparison with them is never right by rounding.
        self.below = np.nextafter(self.best.lower - epsilon, -np.inf)
        self.enough = np.nextafter(self.best.upper - epsilon, np.inf)
        self.values, self.exploring = np.array([self.best.value] * 2), np.ones(n_states)
        self.changes = np.empty(3), np.empty(2)
        self.alive, self.stop = np.zeros_like(self.probability), np.ones(len(self.reward))
        self.base = np.arange(n_states) * mdp.n_actions
        # From V_max to 2^-57 of it.
        self.limit = 3 + (math.ceil(-40 / math.log(mdp.discount)) if mdp.discount > 0 else 0)

    def open(self, event: PlanEvent) -> None:
        """Evaluate what is played."""
        mdp, play, unknown = self.mdp, event.policy, event.unknown
        if play.dtype.kind in "iu" and play.ndim == 2:
            raise ValueError(
                "the policy is by the step of an episode, and steps are counted by the return without end: give "
                'the agent an attribute planning = "episode", so that episodes are counted by their own returns'
            )
        self.explores = unknown is not None
        if unknown is None:  # the agent does not say what it wants to explore: nothing adds up
            unknown = np.zeros(len(self.reward), np.bool_)
        if len(unknown) == mdp.n_states:  # counts are pooled over actions, or there is one action
            unknown = np.repeat(unknown, mdp.n_actions)
        kernels.know(unknown, self.probability, self.alive, self.stop)
        rows = self._mixed(play) if play.dtype.kind == "f" else self._pure(play)
        successor, probability, alive, reward, stop, row = rows
        gap = self.below, self.enough
        ends = self._value((successor, probability, reward, row))
        shift = self._exploring((successor, alive, stop, row))
        kernels.enter(self.values[0], *gap, *ends, MARK, self.exploring, shift, self.step_costs.table)

    def _pure(self, play: Int) -> tuple[Any, ...]:
        """Return the rows of all pairs, and which of them is played in each state (S,)."""
        return self.successor, self.probability, self.alive, self.reward, self.stop, self.base + play

    def _mixed(self, play: Float) -> tuple[Any, ...]:
        """Return one row for each state, averaged over its actions (S, A)."""
        mdp = self.mdp
        shape = (mdp.n_states, mdp.n_actions * mdp.branching)
        weight = play.reshape(-1, 1)
        self.certify.terms = max(self.certify.terms, 2 * shape[1] + 10)
        return (
            self.successor.reshape(shape),
            (self.probability * weight).reshape(shape),
            (self.alive * weight).reshape(shape),
            (self.reward.reshape(play.shape) * play).sum(axis=1),
            (self.stop.reshape(play.shape) * play).sum(axis=1),
            np.arange(mdp.n_states),
        )

    def _value(self, rows: tuple[Any, Any, Any, Any]) -> tuple[float, float]:
        """Evaluate what is played; return what the upper and the lower ends of the brackets add to the values."""
        end = fine(self.epsilon), self.limit
        gap = self.below, self.enough
        new = kernels.settle_value(*rows, self.mdp.discount, *gap, *end, self.values, self.changes[0])
        self.values[0] = self.values[new]
        change = Change(*self.changes[0].tolist())
        margins = self.certify.margins(change)
        if margins is None:  # beyond the range of floats: nothing is decided
            return math.nan, math.nan
        # Outwards by more than the few operations that follow round.
        rounding = 16 * UNIT_ROUNDOFF * (change.largest + abs(change.least) + abs(change.most))
        return margins.high + rounding, margins.low - rounding

    def _exploring(self, rows: tuple[Any, Any, Any, Any]) -> float:
        """Evaluate e; return what leads from it to the lower ends."""
        end = EXPLORING_TOL, self.limit
        if not kernels.settle_exploring(*rows, self.mdp.discount, *end, self.exploring, self.changes[1]):
            self.width = 0.0
            return -math.inf
        least, most = self.changes[1].tolist()
        factor = self.certify.factors[1]
        margin = 2 * (self.certify.terms * UNIT_ROUNDOFF + self.certify.defect) * (1 + 2 * factor)
        self.width = factor * (most - least) + 2 * margin
        return factor * least - margin

    def changing(self) -> dict[str, NDArray[Any]]:
        """Return also the values, which the next evaluation starts from, and what is known."""
        known = {"alive": self.alive, "stop": self.stop}
        return {**super().changing(), **known, "evaluated": self.values, "exploring": self.exploring}

    def final_loss(self, play: NDArray[Any]) -> tuple[float, float]:
        """Return both ends of the largest loss of what is played."""
        return largest_loss(self.mdp, self.best, play, fine(self.epsilon))


def _loss(best_low: Float, best_high: Float, low: Float, high: Float) -> tuple[float, float]:
    """Return both ends of max (V* - V), rounded outwards."""
    least, most = float((best_low - high).max()), float((best_high - low).max())
    return max(0.0, math.nextafter(least, -math.inf)), max(0.0, math.nextafter(most, math.inf))


def largest_loss(mdp: TabularMDP, best: Solution, play: NDArray[Any], tol: float) -> tuple[float, float]:
    """Return both ends of the largest V*(s) - V^pi(s) of a policy, `best` being the solution of the MDP."""
    found = evaluate_policy(mdp, play, tol=tol)
    return _loss(best.lower, best.upper, found.lower, found.upper)


class EpisodicAccount(Account):
    """Episodes with V_T^pi(s) < V_T*(s) - epsilon at their start s, pi what is played when they begin."""

    def __init__(self, mdp: TabularMDP, epsilon: float, horizon: int) -> None:
        """Solve the MDP for returns of T steps."""
        super().__init__(mdp, epsilon)
        self.horizon = horizon
        best = np.zeros(mdp.n_states)
        size = max(map(abs, mdp.reward_range))
        # The computed return of j + 1 steps is off by discount times that of j steps and one backup's rounding.
        self.error = largest = 0.0
        for _ in range(horizon):
            one = (self.certify.terms * UNIT_ROUNDOFF + mdp.row_defect) * (size + mdp.discount * largest) * (1 + 1e-9)
            self.error = (mdp.discount * self.error + one + self.certify.terms * SMALLEST) * (1 + 1e-15)
            best = mdp.backup(best).max(axis=1)
            largest = float(np.abs(best).max()) + self.error
        self.best = best
        self.below = np.nextafter(best - epsilon - 2 * self.error, -np.inf)
        self.enough = np.nextafter(best - epsilon + 2 * self.error, np.inf)
        self.value, self.spare = np.empty(mdp.n_states), np.empty(mdp.n_states)

    def evaluate(self, play: Int) -> Float:
        """Return the return of T steps from every state."""
        mdp = self.mdp
        if play.dtype.kind == "f":
            raise ValueError(
                "the policy draws its actions, and episodes are counted for policies of actions (T, S) or (S,)"
            )
        play = np.ascontiguousarray(np.broadcast_to(play, (self.horizon, mdp.n_states)))
        rows = (self.successor, self.probability, self.reward)
        kernels.staged_return(*rows, play, mdp.discount, self.value, self.spare)
        return self.value

    def open(self, event: PlanEvent) -> None:
        """Mark the starts whose episode falls short."""
        value = self.evaluate(event.policy)
        bad = value < self.below
        undecided = ~bad & (value < self.enough)
        self.step_costs.starts[:] = np.where(undecided, MARK, bad)

    def final_loss(self, play: Int) -> tuple[float, float]:
        """Return both ends of the largest loss of what is played."""
        value = self.evaluate(play)
        return _loss(self.best - self.error, self.best + self.error, value - self.error, value + self.error)
