r"""Solve tabular MDPs and evaluate policies, with brackets that hold including floating-point rounding.

For any vector v and T the Bellman operator of the optimum (or of one policy), with stochastic rows (MacQueen 1966;
Porteus 1971; Puterman 1994, section 6.6),

    T v + c min(T v - v)  <=  V  <=  T v + c max(T v - v),     c = discount / (1 - discount).

The computed backup differs from the exact one by at most

    eta = [(2B + 2A + 10) u + defect] (max |R| + discount max |v|) + (2B + 2A + 10) t,    u = 2^-53, t = 2^-1074.

B is the number of products in a row: a term passes at most B roundings in the sum, five more from storing P, R and
the discount and from the three operations on them, and `defect`, the distance of the stored rows' sums from 1, was
itself summed with B roundings. A stochastic policy adds A for normalising it and A for averaging. t covers products
that underflow. The brackets are widened by eta and by the rounding of c and of the last additions, always outwards.
They hold for every MDP whose rewards and discount round to the stored ones (to 0 only if they are 0) and whose exactly
stochastic rows differ from the stored rows by rounding and by at most `defect` in L1.
"""

from __future__ import annotations

import enum
import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from rfos.mdp import TabularMDP

Float = NDArray[np.float64]

UNIT_ROUNDOFF = 2.0**-53
SMALLEST = 2.0**-1074
LARGEST = float(np.finfo(np.float64).max)
POLICY_SUM_TOL = 1e-9


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


@dataclass(frozen=True, eq=False)
class Solution:
    """Values of an MDP, each with its bracket.

    Attributes
    ----------
    value : ndarray, shape (S,)
        Midpoints of the brackets, in units of reward/(1-discount).
    lower, upper : ndarray, shape (S,)
        lower <= V <= upper, for V = V* (`solve`) or V^pi (`evaluate_policy`).
    policy : ndarray of int64, shape (S,)
        Greedy for the action values of the last backup, ties by index. From `solve` its own value is at least `lower`
        in every state.
    q : ndarray, shape (S, A)
        Action values of the last backup, shifted by the same midpoint as `value`.
    method : str
    iterations : int
    converged : bool
        Whether every bracket is at most `tol` wide; if not, the brackets hold all the same.
    accuracy : Accuracy
    """

    value: Float
    lower: Float
    upper: Float
    policy: NDArray[np.int64]
    q: Float
    method: str
    iterations: int
    converged: bool
    accuracy: Accuracy

    def __post_init__(self) -> None:
        """Make the arrays read-only."""
        for array in (self.value, self.lower, self.upper, self.policy, self.q):
            array.setflags(write=False)


def _outward(low: Float, high: Float) -> tuple[Float, Float]:
    """Move both ends outwards by more than the rounding of the few additions that made them."""
    return low - 8 * UNIT_ROUNDOFF * np.abs(low), high + 8 * UNIT_ROUNDOFF * np.abs(high)


def _constant_value(reward: float, factors: tuple[float, float], towards: float) -> float:
    """Return reward * 1/(1-discount), rounded `towards` minus or plus infinity; `factors` enclose the second."""
    if reward == 0:
        return 0.0
    stored = math.nextafter(reward, towards)
    ends = stored * factors[0], stored * factors[1]
    return math.nextafter(min(ends) if towards < 0 else max(ends), towards)


def bracket(mdp: TabularMDP, values: Float, backed_up: Float) -> tuple[Float, Float]:
    """Return certified lower and upper bounds of the fixed point of T, given any v and the computed T v.

    Parameters
    ----------
    mdp : TabularMDP
    values : ndarray, shape (S,)
        Any vector v, finite or not.
    backed_up : ndarray, shape (S,)
        The computed T v: maxima of `mdp.backup(values)` over actions, or their averages under a policy.

    Returns
    -------
    lower, upper : ndarray, shape (S,)
        Never worse than reward range / (1 - discount), which is also the answer where v is not finite.

    Examples
    --------
    One state, reward 1, discount 1/2: the value is 2 and any v proves it.

    >>> mdp = TabularMDP([[0]], [[1.0]], 0.5)
    >>> low, high = bracket(mdp, np.array([7.0]), mdp.backup(np.array([7.0])).max(axis=1))
    >>> bool(low[0] <= 2 <= high[0]), bool(high[0] - low[0] < 1e-13)
    (True, True)
    """
    discount = mdp.discount
    u = UNIT_ROUNDOFF
    reward_low, reward_high = mdp.reward_range
    # 1 - discount is exact in floats from 1/2 up (Sterbenz); below, 4u covers it, and 2u the stored discount itself.
    effective_low = 1.0 / (1.0 - discount * (1 - 2 * u)) * (1 - 4 * u)
    effective_high = 1.0 / (1.0 - discount * (1 + 2 * u)) * (1 + 4 * u) if discount * (1 + 2 * u) < 1 else math.inf
    trivial_low = _constant_value(reward_low, (effective_low, effective_high), -math.inf)
    trivial_high = _constant_value(reward_high, (effective_low, effective_high), math.inf)
    with np.errstate(over="ignore", invalid="ignore"):
        if not (np.isfinite(values).all() and np.isfinite(backed_up).all()):
            return _outward(np.full(len(values), trivial_low), np.full(len(values), trivial_high))
        magnitude = max(abs(reward_low), abs(reward_high)) + discount * float(np.abs(values).max())
        terms = 2 * (mdp.branching + mdp.n_actions) + 10
        eta = (terms * u + mdp.row_defect) * magnitude * (1 + 1e-9) + terms * SMALLEST
        change = backed_up - values
        slack = eta + 2 * u * float(np.abs(change).max())
        least, most = float(change.min()) - slack, float(change.max()) + slack
        factors = discount * effective_low * (1 - 4 * u), discount * effective_high * (1 + 4 * u)
        low = backed_up - eta + min(factors[0] * least, factors[1] * least)
        high = backed_up + eta + max(factors[0] * most, factors[1] * most)
        # The sum's operands can be larger than the sum: widen by their rounding too.
        widen = 4 * u * (np.abs(backed_up) + abs(factors[1] * least) + abs(factors[1] * most)) + 4 * SMALLEST
        # If a sum overflows, so does its widening; where infinities meet, fmax and fmin keep the trivial end.
        return _outward(np.fmax(low - widen, trivial_low), np.fmin(high + widen, trivial_high))


def _iterate(
    mdp: TabularMDP,
    select: Callable[[Float], Float],
    method: str,
    tol: float,
    max_iterations: int | None,
    initial: ArrayLike | None,
) -> Solution:
    """Apply v <- select(Q(v)) until the bracket is at most `tol` wide."""
    if not tol > 0:
        raise ValueError(f"tol is {tol!r}: give a positive width for the brackets")
    if max_iterations is not None and max_iterations < 1:
        raise ValueError(f"max_iterations is {max_iterations}: give at least 1")
    values = np.zeros(mdp.n_states) if initial is None else np.array(initial, np.float64)
    if values.shape != (mdp.n_states,):
        raise ValueError(f"initial has shape {values.shape}, expected {(mdp.n_states,)}")
    iterations = 0
    limit = max_iterations
    with np.errstate(over="ignore", invalid="ignore"):
        while True:
            q = mdp.backup(values)
            backed_up = select(q)
            iterations += 1
            lower, upper = bracket(mdp, values, backed_up)
            width = float((upper - lower).max())
            if limit is None:
                # The span of the change contracts by the discount, so this many steps do, rounding aside.
                shrink = math.log(max(tol, 1e-300)) - math.log(min(max(width, 1e-300), LARGEST))
                limit = 3 + (math.ceil(shrink / math.log(mdp.discount)) if shrink < 0 and mdp.discount > 0 else 0)
            if width <= tol or iterations >= limit:
                break
            values = backed_up
        # Before the shift below, whose rounding could make an action look as good as the best.
        policy = q.argmax(axis=1)
        middle = lower / 2 + upper / 2
        value = np.clip(np.where(np.isfinite(middle), middle, 0.0), lower, upper)
        q += (value - backed_up)[:, None]
    return Solution(value, lower, upper, policy, q, method, iterations, width <= tol, Accuracy.CERTIFIED)


def solve(
    mdp: TabularMDP,
    method: str = "auto",
    tol: float = 1e-6,
    *,
    max_iterations: int | None = None,
    initial: ArrayLike | None = None,
) -> Solution:
    """Compute the optimal value V* and an optimal policy, with a certified bracket.

    Value iteration, stopped when the bracket (module docstring) is at most `tol` wide in every state. The greedy
    policy then loses at most `tol` in every state, rounding included.

    Parameters
    ----------
    mdp : TabularMDP
    method : {"auto", "value_iteration"}
    tol : float > 0
        Width of the bracket, in units of value (reward/(1-discount)).
    max_iterations : int, optional
        Default: as many as the contraction by `discount` needs; brackets narrower than rounding allows are then
        reported as not converged.
    initial : array_like, shape (S,), optional
        Where to start; default zeros.

    Returns
    -------
    Solution

    Raises
    ------
    ValueError
        If the method is unknown, `tol` is not positive or `initial` has another shape.

    Examples
    --------
    Stay in state 1 for a reward of 1 per step; from state 0 it takes one step to get there: V* = (1, 2).

    >>> solution = solve(TabularMDP([[0, 1], [1, 0]], [[0.0, 0.0], [1.0, 0.0]], 0.5))
    >>> solution.value.round(6).tolist(), solution.policy.tolist(), solution.converged
    ([1.0, 2.0], [1, 0], True)
    """
    if method not in ("auto", "value_iteration"):
        raise ValueError(f"unknown method {method!r}: choose auto or value_iteration")
    return _iterate(mdp, lambda q: q.max(axis=1), "value_iteration", tol, max_iterations, initial)


def evaluate_policy(
    mdp: TabularMDP,
    policy: ArrayLike,
    tol: float = 1e-6,
    *,
    max_iterations: int | None = None,
    initial: ArrayLike | None = None,
) -> Solution:
    """Compute the value V^pi of a stationary policy, with a certified bracket.

    Parameters
    ----------
    mdp : TabularMDP
    policy : array_like of int, shape (S,), or of float, shape (S, A)
        One action per state, or the probability of each action.
    tol, max_iterations, initial
        As for `solve`.

    Returns
    -------
    Solution
        Its `value`, `lower`, `upper` and `q` are those of the policy; its `policy` is greedy for `q`.

    Raises
    ------
    ValueError
        If an action is out of range or a row of probabilities does not sum to 1 (names the state).

    Examples
    --------
    Never moving earns nothing in state 0 and 1/(1-0.5) = 2 in state 1.

    >>> evaluate_policy(TabularMDP([[0, 1], [1, 0]], [[0, 0], [1, 0]], 0.5), [0, 0]).value.round(6).tolist()
    [0.0, 2.0]
    """
    given = np.asarray(policy)
    states = np.arange(mdp.n_states)
    if given.shape == (mdp.n_states,) and given.dtype.kind in "iu":
        bad = (given < 0) | (given >= mdp.n_actions)
        if bad.any():
            state = int(bad.argmax())
            raise ValueError(
                f"the policy's action in state {state} is {given[state]}: actions are 0 to {mdp.n_actions - 1}"
            )
        return _iterate(mdp, lambda q: q[states, given], "policy_evaluation", tol, max_iterations, initial)
    if given.shape != (mdp.n_states, mdp.n_actions):
        raise ValueError(
            f"a policy is integers ({mdp.n_states},) or probabilities {(mdp.n_states, mdp.n_actions)}, "
            f"not {given.dtype} {given.shape}"
        )
    weights = given.astype(np.float64)
    sums = weights.sum(axis=1)
    bad = ~((weights >= 0).all(axis=1) & (np.abs(sums - 1) <= POLICY_SUM_TOL))
    if bad.any():
        state = int(bad.argmax())
        raise ValueError(
            f"the policy's probabilities in state {state} are {weights[state].tolist()}: "
            "they must be at least 0 and sum to 1"
        )
    weights /= sums[:, None]
    return _iterate(mdp, lambda q: (q * weights).sum(axis=1), "policy_evaluation", tol, max_iterations, initial)
