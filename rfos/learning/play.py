"""A run under way, whoever plays: what `run` asks of a loop in kernels and of a loop in Python."""

from __future__ import annotations

from typing import Any, Literal, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from rfos._system.arrays import Float, Int

Change = Literal["plan", "known"]
"""Why a play comes back before it has to: it plans anew, or goes on as before and knows more."""


class Learned(NamedTuple):
    """What a run has learned in the end, as a `Trace` keeps it; no array of it is held by anybody else."""

    known_at: Int  # (rows,)
    visits: Int  # (rows,)
    branch_counts: Int  # (rows, B)
    q: Float | None  # (S, A)
    policy: NDArray[Any]
    action_probabilities: Float | None  # (S, A)
    allowed: NDArray[np.bool_] | None  # (rows,)


class Play(Protocol):
    """One run under way.

    Attributes
    ----------
    position : ndarray of int64, shape (3,)
        Steps done, step within the episode, meta-state.
    total : ndarray of float64, shape (1,)
        Rewards since it was last set to 0.
    """

    position: Int
    total: Float

    def advance(self, stop: int) -> Change | None:
        """Play until it plans anew, what is unknown to it changes, or `stop` steps are done; return which it was."""
        ...

    def known(self) -> int:
        """Return how many rows of counts are known."""
        ...

    def playing(self) -> NDArray[Any]:
        """Return what is played: actions (S,) or (T, S), or probabilities (S, A)."""
        ...

    def unknown(self) -> NDArray[np.bool_] | None:
        """Return the rows of counts (rows,) that are not known, or None where the agent does not say."""
        ...

    def saved(self) -> dict[str, NDArray[Any]] | None:
        """Return the arrays that it goes on from, or None where it cannot be left and taken up again."""
        ...

    def check_restored(self) -> None:
        """Raise MisfitError unless all that it indexes with, taken up from a checkpoint, lies in its range."""
        ...

    def learned(self) -> Learned:
        """Return what was learned; the run is over."""
        ...
