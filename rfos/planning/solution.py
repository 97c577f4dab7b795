"""What a solver returns: a value with its bracket, and why it ended."""

from __future__ import annotations

import enum
from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from rfos._system.arrays import Float, Owned, array_of, floats, integers
from rfos._system.display import page

if TYPE_CHECKING:
    import pandas as pd


class Accuracy(enum.Enum):
    """How sure a number is, from exact arithmetic down to sampling."""

    EXACT = "exact"
    """Computed in rational arithmetic."""
    CERTIFIED = "certified"
    """Inside a bracket that holds including rounding."""
    BOUNDED = "bounded"
    """Inside a bracket that ignores rounding."""
    ESTIMATED = "estimated"
    """Sampled; comes with a confidence interval."""


class Ended(enum.Enum):
    """Why iterations ended."""

    CONVERGED = "converged"
    """Every bracket is at most `tol` wide, or the values are exact."""
    ROUNDING = "rounding"
    """Some bracket is wider, and floats can do no better: rounding is to blame, or the end of their range."""
    LIMIT = "limit"
    """Some bracket is wider, and `max_iterations` backups were done, or as many as contraction by `discount` needs."""


@dataclass(frozen=True, eq=False)
class Solution:
    """Values of an MDP, each with its bracket. Action values are `mdp.backup(solution.value)`, where they fit.

    Attributes
    ----------
    value : ndarray, shape (S,)
        Midpoints of the brackets, in units of reward/(1-discount). Always finite: where one end of a bracket is
        infinite it is the point nearest to 0, and a value beyond the range of floats becomes the last float.
    lower, upper : ndarray, shape (S,)
        lower <= V <= upper, for V = V* (`solve`) or V^pi (`evaluate_policy`). Never NaN; infinite only where V is, or
        may be, beyond the range of floats.
    policy : ndarray of int64, shape (S,)
        From `solve`: greedy for the last backup among the actions not ruled out, ties by index; its own value is at
        least `lower` in every state.
        From `evaluate_policy`: the policy evaluated, probabilities of shape (S, A) if it was given so.
    method : str
        The method that was used; where "auto" went on with another one, the last.
    iterations : int
        Backups over all actions (of the policy, in `evaluate_policy`); sweeps that evaluate a policy in between are
        not counted.
    ended : Ended
        Why it ended. Brackets hold in any case.
    accuracy : Accuracy
    exact : tuple of Fraction, length S, or None
        The values themselves where they were computed in rational arithmetic, also where no float is near.
    """

    value: Float
    lower: Float
    upper: Float
    policy: NDArray[Any]
    method: str
    iterations: int
    ended: Ended
    accuracy: Accuracy
    exact: tuple[Fraction, ...] | None = None

    def __post_init__(self) -> None:
        """Take read-only copies."""
        for name in ("value", "lower", "upper"):
            object.__setattr__(self, name, floats(name, getattr(self, name)))
        object.__setattr__(self, "policy", _policy(self.policy))

    @property
    def converged(self) -> bool:
        """Whether every bracket is at most `tol` wide, or the values are exact."""
        return self.ended is Ended.CONVERGED

    def to_frame(self) -> pd.DataFrame:
        """Return the values as a table, a row per state.

        Returns
        -------
        DataFrame
            Index state; columns value, lower, upper (reward/(1-discount)) and action, or, where the policy is one of
            probabilities, probability_0, probability_1 and so on.

        Examples
        --------
        >>> from rfos import TabularMDP, solve
        >>> solution = solve(TabularMDP([[0, 0]], [[0.0, 1.0]], 0.5))
        >>> solution
        <Solution of 1 state by policy_iteration: values 2 to 2, certified, converged>
        >>> solution.to_frame()[["value", "action"]].round(6).values.tolist()
        [[2.0, 1.0]]
        """
        import pandas as pd

        columns: dict[str, NDArray[Any]] = {"value": self.value, "lower": self.lower, "upper": self.upper}
        if self.policy.ndim == 1:
            columns["action"] = self.policy
        else:
            columns |= {f"probability_{a}": self.policy[:, a] for a in range(self.policy.shape[1])}
        return pd.DataFrame(columns, index=pd.RangeIndex(len(self.value), name="state"))

    def __repr__(self) -> str:
        """Return the range of the values and how sure they are, on one line."""
        n, ended = len(self.value), self.ended
        how = "converged" if self.converged else f"NOT converged ({ended.value})"
        states = "1 state" if n == 1 else f"{n:,} states"
        low, high = (f"{end:.6g}" for end in (np.min(self.value), np.max(self.value)))
        return f"<Solution of {states} by {self.method}: values {low} to {high}, {self.accuracy.value}, {how}>"

    def _repr_html_(self) -> str:
        """Return the line and the first and last states, for a notebook."""
        widest = float(np.max(self.upper - self.lower, initial=0.0))
        width = [f"The widest bracket is {widest:.2g} wide, in units of reward/(1-discount)."]
        return page(repr(self), self.to_frame().reset_index(), width)


def _policy(given: object) -> NDArray[Any]:
    """Return a policy as an own array, of int64 where it is one of actions."""
    array = given.array if isinstance(given, Owned) else array_of("policy", given)
    return integers("policy", given) if array.ndim == 1 else floats("policy", given)
