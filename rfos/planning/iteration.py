"""The steps of modified policy iteration: backups, sweeps along a policy, actions that are ruled out.

Sweeps are split among all processors; results do not depend on how many there are.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from rfos._kernels import dp
from rfos._system.arrays import Float, Float32, Int
from rfos._system.memory import BLOCK_ROWS
from rfos._system.threads import SMALL, Threads, split
from rfos.planning.mdp import TabularMDP
from rfos.planning.storages import Chain, Sweep

Pair = tuple[Float, Float]

SETTLED = 0.03
"""A policy is evaluated until the span of the changes is this share of the span of the improvement, or 1/A if that is
less: the more actions, the dearer the next improvement."""

SWEEPS = 12
"""Sweeps for which a policy is evaluated at most; twice as many each time that the next backup shows that what is left
of the changes was due to the evaluation, not to the policy."""

MOST_SWEEPS = 96
"""Where that doubling ends."""

EXTRAPOLATE = 8
"""Sweeps after which the slowest mode of the changes is taken to its limit."""

LARGEST_SPAN = 1e300
"""A policy is not evaluated where changes span more: near the end of the range of floats backups alone are safe."""

SLOW = 0.8
"""An evaluation was not worth its time if its changes still span this share after all sweeps. Nor was one of less than
`EXTRAPOLATE` sweeps, which did little more than a backup does, if the improvement still spans this share of that at the
evaluation before, as where news of a reward spreads by one state a backup. Of the next backups one, then three, then
seven go without, and so on until an evaluation pays again."""

LITTLE = 1 / 4
"""Share of the MDP's memory that action values may take; elsewhere a backup is too cheap for them to pay."""

SWEEP = 10_000
"""Products that take as long as one sweep takes however small the MDP is."""

REDUCED = 0.5
"""Actions are left out once what is left takes this share of the memory that a backup reads."""


class Change(NamedTuple):
    """What one sweep changed: smallest and largest new - old, and the largest absolute old value."""

    least: float
    most: float
    largest: float

    @property
    def span(self) -> float:
        """Largest less smallest change."""
        return self.most - self.least


class Candidates(NamedTuple):
    """The actions that may be optimal: rows first_row[s] to first_row[s + 1] - 1 of `rows` are those of state s."""

    state: Int  # (K,)
    action: Int  # (K,)
    first_row: Int  # (S+1,)
    rows: Chain


class Iteration:
    """Sweeps over all states of an MDP.

    Parameters
    ----------
    mdp : TabularMDP
    threads : Threads
    """

    def __init__(self, mdp: TabularMDP, threads: Threads) -> None:
        """Start with all actions."""
        self.mdp = mdp
        self.threads = threads
        self.work = 0  # products so far, `SWEEP` more for each sweep
        self.ranges = split(mdp.n_states, 4 * threads.count if threads.count > 1 else 1)
        self.results = np.empty((len(self.ranges), 3))
        self.candidates: Candidates | None = None
        self.table: Float32 = np.empty((0, mdp.n_actions), np.float32)
        self.tried = 1e30  # width at the last look for actions to rule out
        self.patience = 1
        self.pause = 0
        self.limit = SWEEPS
        self.improved = math.inf  # span of the improvement before the last evaluation
        self.left = 0.0  # span of the changes at its end
        self.last: tuple[Int, Chain] | None = None
        self.scratch = [np.empty(0, np.float32)] * 4

    @property
    def evaluates_slowly(self) -> bool:
        """Whether the last evaluation of a policy left more than half of the changes that it was to make an end of."""
        return self.left > self.improved / 2

    def _sweep(self, part: Callable[[int, int, Float], object], work: int) -> Change:
        """Run a kernel over all states, split among the threads where the sweep's number of products is not small."""
        self.work += work + SWEEP
        ranges = self.ranges if work >= SMALL else [(0, self.mdp.n_states)]
        self.threads.each(ranges, lambda i, first, last: part(first, last, self.results[i]))
        least, most, largest = self.results[: len(ranges)].T
        return Change(float(least.min()), float(most.max()), float(largest.max()))

    @staticmethod
    def extra_bytes(mdp: TabularMDP) -> int:
        """Return the bytes of Q of each backup and of what `rule_out` makes of it; 0 where Q is not kept."""
        table = 4 * mdp.n_states * mdp.n_actions
        if table > LITTLE * mdp.nbytes:
            return 0
        # What is left of the MDP once actions are ruled out, and what is left of that; counts and places of rows.
        return table + int(REDUCED * mdp.nbytes * (1 + REDUCED)) + 32 * mdp.n_states

    def prepare(self) -> None:
        """Keep Q of each backup, for `rule_out`, where that takes little memory beside the MDP itself; and scratch."""
        self.scratch = [np.empty(self.mdp.n_states, np.float32) for _ in range(4)]
        if self.extra_bytes(self.mdp):
            self.table = np.empty((self.mdp.n_states, self.mdp.n_actions), np.float32)

    def improve(self, values: Float, new_values: Float, policy: Int) -> Change:
        """Back up `values` over all actions that may be optimal."""
        mdp, left = self.mdp, self.candidates

        def part(first: int, last: int, result: Float) -> None:
            if left is None:
                sweep = Sweep(mdp.rewards, mdp.discount, values, new_values, policy, self.table)
                mdp.storage.improve(sweep, first, last)
            else:
                rows = (left.first_row, left.action, *left.rows, mdp.discount)
                dp.improve_rows(*rows, values, new_values, policy, self.table, first, last)
            dp.change(values, new_values, first, last, result)

        rows = mdp.n_states * mdp.n_actions if left is None else len(left.action)
        change = self._sweep(part, rows * mdp.branching)
        mdp.keep_allowed(policy)
        return change

    def rule_out(self, backed_up: Float, change: Change, width: float) -> None:
        """Leave out the actions that the last backup proves not to be optimal, once that makes backups cheaper.

        Between Q of a backup and Q*, as between its maximum and V*, lie at most the two ends of the bracket, which are
        `width` apart; an action whose Q falls short of the maximum by more is not optimal (MacQueen 1967).
        """
        if not (len(self.table) and change.largest <= 1e30 and width <= self.tried / 2):
            return
        self.tried = width
        # The table is rounded to float32.
        short = width * (1 + 1e-6) + 1e-6 * (change.largest + abs(change.least) + abs(change.most))
        enough = (backed_up - short).astype(np.float32)
        mdp, old, n_states = self.mdp, self.candidates, self.mdp.n_states
        row_bytes = 12 * mdp.branching + 28
        if old is None:
            begin, actions, read = np.arange(n_states + 1) * mdp.n_actions, np.empty(0, np.int64), mdp.nbytes
        else:
            begin, actions, read = old.first_row, old.action, row_bytes * len(old.action)
        flat = self.table.reshape(-1)
        counts = np.empty(n_states, np.int64)
        self.threads.each(self.ranges, lambda _, i, j: dp.enough_counts(flat, begin, enough, i, j, counts))
        left = int(counts.sum())
        if left * row_bytes > REDUCED * read:
            return
        first_row = np.concatenate([[0], np.cumsum(counts)])
        state, action = np.empty(left, np.int64), np.empty(left, np.int64)
        self.threads.each(
            self.ranges,
            lambda _, i, j: dp.enough_pairs(flat, begin, actions, enough, first_row, state, action, i, j),
        )
        self.table = np.empty(left, np.float32)  # frees the large one before rows are made
        self.candidates = Candidates(state, action, first_row, mdp.storage.chain(mdp.rewards, action, state))

    def chain(self, policy: Int) -> Chain:
        """Return the chain of a policy in float32; where few actions changed since the last one, only those are new."""
        mdp = self.mdp
        if self.last is not None and len(self.last[1].successor) == mdp.n_states * mdp.branching:
            before, chain = self.last
            moved = np.flatnonzero(policy != before)
            if len(moved) <= mdp.n_states // 4:
                if len(moved):
                    rows = mdp.storage.chain(mdp.rewards, policy[moved], moved)
                    chain.successor.reshape(mdp.n_states, -1)[moved] = rows.successor.reshape(len(moved), -1)
                    chain.probability.reshape(mdp.n_states, -1)[moved] = rows.probability.reshape(len(moved), -1)
                    before[moved] = policy[moved]
                return chain
        self.last = None  # frees the old one
        full = mdp.storage.chain(mdp.rewards, policy)
        # Rewards are in the residuals, and rows of one length begin where they must: neither is kept.
        kept = full._replace(reward=np.empty(0))
        if len(full.successor) == mdp.n_states * mdp.branching:
            kept = kept._replace(start=np.empty(0, np.int64))
        del full
        self.last = policy.copy(), kept._replace(probability=kept.probability.astype(np.float32))
        return self.last[1]

    def evaluate(self, chain: Chain, values: Float, new_values: Float) -> Change:
        """Back up `values` along a policy's chain."""
        discount = self.mdp.discount
        return self._sweep(
            lambda first, last, result: dp.evaluate(*chain, discount, values, new_values, first, last, result),
            len(chain.successor),
        )

    def lift(self, new_values: Float, change: Change) -> None:
        """Add discount/(1-discount) * least change: the largest constant that leaves T v >= v certain."""
        least = change.least * self.mdp.discount / (1 - self.mdp.discount)
        if least != 0 and math.isfinite(least):
            new_values += least

    def settle(self, policy: Int, values: Float, backed_up: Float, change: Change) -> None:
        """Evaluate a policy roughly, from T v = `backed_up` of v = `values`, and overwrite T v by its values.

        What is missing from them solves e = r + discount * P e, r = T v - v. That is swept in float32 and in units of
        the span of r: half of the memory, and what is rounded away is left to the next r, which is exact.
        """
        if self.pause > 0 or not 0 < change.span < LARGEST_SPAN:
            self.pause -= self.pause > 0
            self.lift(backed_up, change)
            return
        improves = change.span <= SLOW * self.improved
        self.improved = change.span
        chain = self.chain(policy)
        begun = self.scratch[0]
        for first in range(0, len(begun), BLOCK_ROWS):
            states = slice(first, first + BLOCK_ROWS)
            residual = np.subtract(backed_up[states], values[states])
            residual -= change.least
            residual /= change.span
            begun[states] = residual
        target = min(SETTLED, 1 / self.mdp.n_actions)
        # A backup over all actions costs as much as some A sweeps: where A is large, evaluate for longer before it.
        fewest, most = (max(n, self.mdp.n_actions // 4) for n in (SWEEPS, MOST_SWEEPS))
        self.limit = min(2 * self.limit, most) if change.span <= 2 * self.left else fewest
        older, old, new = self.scratch[1:]  # the last three e, the newest last
        new[:] = begun
        last = Change(0.0, 1.0, 0.0)
        sweeps = 0
        while last.span > target and sweeps < self.limit:
            last = self._correct(chain, begun, new, older)
            older, old, new = old, new, older
            sweeps += 1
            if sweeps % EXTRAPOLATE == 0:
                older, old, new, last = self._extrapolate(chain, begun, older, old, new, last)
        # T of the last but one e is the last: v + e changed by these, which `lift` takes to their limit.
        np.multiply(new, change.span, out=backed_up)
        backed_up += values
        backed_up += change.least
        self.lift(backed_up, Change(change.span * last.least + change.least, math.inf, math.inf))
        self.left = change.span * last.span
        paid = last.span <= SLOW and (improves or sweeps >= EXTRAPOLATE)
        self.patience = 1 if paid else 2 * self.patience
        self.pause = self.patience - 1

    def _correct(self, chain: Chain, residual: Float32, values: Float32, new_values: Float32) -> Change:
        """Sweep e = residual + discount * P e once."""
        rows = chain.start, chain.successor, chain.probability
        even = self.mdp.branching if len(chain.successor) == self.mdp.n_states * self.mdp.branching else 0
        return self._sweep(
            lambda first, last, result: dp.correct(
                even, *rows, residual, self.mdp.discount, values, new_values, first, last, result
            ),
            len(chain.successor),
        )

    def _extrapolate(
        self, chain: Chain, residual: Float32, older: Float32, old: Float32, new: Float32, change: Change
    ) -> tuple[Float32, Float32, Float32, Change]:
        """Take the slowest mode of the changes to its limit and keep that if the changes then span less."""
        factor = dp.rate(older, old, new)
        if not 0 < factor < 1:
            return older, old, new, change
        np.subtract(new, old, out=older)
        older *= np.float32(factor / (1 - factor))
        older += new
        extrapolated = self._correct(chain, residual, older, old)
        if not extrapolated.span < change.span:
            return older, old, new, change
        return new, older, old, extrapolated
