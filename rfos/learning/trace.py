"""What a run leaves behind."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from rfos._system import checks
from rfos._system.arrays import Float, Int, Owned, booleans, floats, integers
from rfos._system.display import page
from rfos.learning.coverage import Coverage
from rfos.learning.player import Agent

if TYPE_CHECKING:
    import pandas as pd


class Progress(StrEnum):
    """How far a run came: which rows of counts (pairs, or meta-states if pooled) became known in it."""

    NONE = "none"  # it never planned on anything that it had learned: its counts say nothing yet
    SOME = "some"
    ALL = "all"


NOTHING_YET = "no pair became known: the agent has not learned anything, and the counts say nothing yet"
"""What `Progress.NONE` means, for whoever reads a result."""


@dataclass(frozen=True, eq=False)
class Trace:
    """What a run left behind.

    Attributes
    ----------
    agent : Rmax, PaperRmax or Agent
    m : int or None
        Visits that made a pair known; None for an agent without an m, to whom a pair is known once it was visited.
    coverage : Coverage
    horizon : int or None
        Steps per episode.
    n_steps : int
        Meta-steps played.
    bin_end : ndarray of int64, shape (bins,)
        Steps done at each bin's end.
    mean_reward : ndarray of float64, shape (bins,)
        Mean reward per step within each bin.
    known : ndarray of int64, shape (bins,)
        Known rows at each bin's end.
    known_at : ndarray of int64, shape (rows,)
        Step at which each row became known, 0 if it did not. Rows are pairs s * A + a, or meta-states if pooled.
    visits, branch_counts : ndarray of int64, shapes (rows,), (rows, B)
        Counts per successor actually possible, frozen at m.
    q : ndarray of float64, shape (S, A), or None for an agent of one's own
        The agent's final action values (of the first stage where it plans episodes).
    policy : ndarray of int64, shape (S,), or (T, S) where it plans episodes
        Final greedy policy; of an agent of one's own what its player returned, maybe probabilities (S, A).
    action_probabilities : ndarray of float64, shape (S, A), or None where it plans episodes
        What the agent would play next: the softmax of the paper's agent, else the greedy policy.
    plans : int
        How often it planned.
    seconds : float
        Processor time of the run's thread.
    allowed : ndarray of bool, shape (rows,), or None where all actions are allowed
        The other pairs are never taken, and count neither as known nor as unknown; `q` is -inf there.
    """

    agent: Agent
    m: int | None
    coverage: Coverage
    horizon: int | None
    n_steps: int
    bin_end: Int
    mean_reward: Float
    known: Int
    known_at: Int
    visits: Int
    branch_counts: Int
    q: Float | None
    policy: NDArray[Any]
    action_probabilities: Float | None
    plans: int
    seconds: float
    allowed: NDArray[np.bool_] | None = None

    def __post_init__(self) -> None:
        """Take read-only copies."""
        for name in ("bin_end", "known", "known_at", "visits", "branch_counts"):
            object.__setattr__(self, name, integers(name, getattr(self, name)))
        own = integers if _whole(self.policy) else floats
        object.__setattr__(self, "policy", own("policy", self.policy))
        for name in ("mean_reward", "q", "action_probabilities"):
            if getattr(self, name) is not None:
                object.__setattr__(self, name, floats(name, getattr(self, name)))
        if self.allowed is not None:
            object.__setattr__(self, "allowed", booleans("allowed", self.allowed))

    @property
    def all_known_at(self) -> int | None:
        """Steps played when the last row became known, or None if some row never did."""
        return int(self._counted.max()) if self.progress is Progress.ALL else None

    @property
    def _counted(self) -> Int:
        """When each row that can be taken became known."""
        return self.known_at if self.allowed is None else self.known_at[self.allowed]

    @property
    def progress(self) -> Progress:
        """Whether no, some or all rows became known.

        Examples
        --------
        Nine steps cannot visit any of two pairs ten times:

        >>> from rfos import Rmax, TabularMDP, run
        >>> run(TabularMDP([[0, 0]], [[0.0, 1.0]], 0.5), Rmax(m=10), steps=9, rng=1).progress
        <Progress.NONE: 'none'>
        """
        found = np.count_nonzero(self._counted)
        return Progress.ALL if found == len(self._counted) else Progress.SOME if found else Progress.NONE

    def to_frame(self) -> pd.DataFrame:
        """Return the run as a table, a row per bin.

        Returns
        -------
        DataFrame
            Columns steps (played at the bin's end), mean_reward (a step, within the bin) and known (rows, at its end).

        Examples
        --------
        Both actions are tried once, in the order 0, 1; action 1 pays 1:

        >>> from rfos import Rmax, TabularMDP, run
        >>> trace = run(TabularMDP([[0, 0]], [[0.0, 1.0]], 0.5), Rmax(m=1), steps=4, bins=2, rng=1)
        >>> trace
        <Trace of Rmax: 4 steps with m = 1: 2 of 2 rows became known, 2 plans>
        >>> trace.to_frame().values.tolist()
        [[2.0, 0.5, 2.0], [4.0, 1.0, 2.0]]
        """
        import pandas as pd

        return pd.DataFrame({"steps": self.bin_end, "mean_reward": self.mean_reward, "known": self.known})

    def __repr__(self) -> str:
        """Return whose run it is and what happened, on one line."""
        return f"<Trace of {type(self.agent).__name__}: {self}>"

    def _repr_html_(self) -> str:
        """Return the line, what covers the run, and the first and last bins, for a notebook."""
        return page(repr(self), self.to_frame(), [f"Covered by {self.coverage}."])

    def __str__(self) -> str:
        """Return what happened in a sentence."""
        with_m = "without an m" if self.m is None else f"with m = {checks.shown(self.m)}"
        rows = len(self._counted)
        found = np.count_nonzero(self._counted)
        said = f"{self.n_steps} steps {with_m}: {found} of {rows} rows became known, {self.plans} plans"
        return f"{said}; {NOTHING_YET}" if self.progress is Progress.NONE else said


def _whole(policy: Any) -> bool:
    """Whether a policy is of actions, and not of probabilities."""
    return np.asarray(policy.array if isinstance(policy, Owned) else policy).dtype.kind in "iu"
