r"""Solve tabular MDPs and evaluate policies, with brackets that hold including floating-point rounding.

Backups are fused with the maximum over actions, and the sweeps that evaluate a policy run over its chain alone; a
number per pair is kept only where it is small beside the pair's own storage.

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
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, NamedTuple

import numpy as np
import scipy.optimize
import scipy.sparse as sp
import scipy.sparse.linalg
from numpy.typing import ArrayLike, NDArray

from rfos._kernels import dp
from rfos._memory import require_memory
from rfos._threads import Threads
from rfos.iteration import Change, Iteration, Pair
from rfos.mdp import Chain, TabularMDP

Float = NDArray[np.float64]
Int = NDArray[np.int64]

UNIT_ROUNDOFF = 2.0**-53
SMALLEST = 2.0**-1074
LARGEST = float(np.finfo(np.float64).max)
HUGE = 1e300
POLICY_SUM_TOL = 1e-9

DENSE_STATES = 64
"""Up to this size linear equations are solved as a dense matrix, and "auto" is policy iteration.

Larger dense systems are slower than sweeps, and far slower where the threads of the BLAS wait for a busy processor.
"""


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
    """Values of an MDP, each with its bracket. Action values are `mdp.backup(solution.value)`, where they fit.

    Attributes
    ----------
    value : ndarray, shape (S,)
        Midpoints of the brackets, in units of reward/(1-discount).
    lower, upper : ndarray, shape (S,)
        lower <= V <= upper, for V = V* (`solve`) or V^pi (`evaluate_policy`).
    policy : ndarray of int64, shape (S,)
        From `solve`: greedy for the last backup among the actions not ruled out, ties by index; its own value is at
        least `lower` in every state.
        From `evaluate_policy`: the policy evaluated, probabilities of shape (S, A) if it was given so.
    method : str
        The method that was used.
    iterations : int
        Backups over all actions (of the policy, in `evaluate_policy`); sweeps that evaluate a policy in between are
        not counted.
    converged : bool
        Whether every bracket is at most `tol` wide; if not, the brackets hold all the same.
    accuracy : Accuracy
    exact : tuple of Fraction, length S, or None
        The values themselves where they were computed in rational arithmetic.
    """

    value: Float
    lower: Float
    upper: Float
    policy: NDArray[Any]
    method: str
    iterations: int
    converged: bool
    accuracy: Accuracy
    exact: tuple[Fraction, ...] | None = None

    def __post_init__(self) -> None:
        """Make the arrays read-only."""
        for array in (self.value, self.lower, self.upper, self.policy):
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


class _Margins(NamedTuple):
    """How far a backup is widened below and above, and by how much of that rounding is to blame."""

    low: float
    high: float
    rounding: float


class _Certifier:
    """The brackets of one MDP: what does not depend on the candidate vector is computed once."""

    def __init__(self, mdp: TabularMDP) -> None:
        discount = mdp.discount
        u = UNIT_ROUNDOFF
        low, high = mdp.reward_range
        # 1 - discount is exact in floats from 1/2 up (Sterbenz); below, 4u covers it, and 2u the discount itself.
        at_least = 1.0 / (1.0 - discount * (1 - 2 * u)) * (1 - 4 * u)
        at_most = 1.0 / (1.0 - discount * (1 + 2 * u)) * (1 + 4 * u) if discount * (1 + 2 * u) < 1 else math.inf
        self.discount = discount
        self.trivial = (
            _constant_value(low, (at_least, at_most), -math.inf),
            _constant_value(high, (at_least, at_most), math.inf),
        )
        self.factors = discount * at_least * (1 - 4 * u), discount * at_most * (1 + 4 * u)
        self.reward_size = max(abs(low), abs(high))
        self.terms = 2 * (mdp.branching + mdp.n_actions) + 10
        self.defect = mdp.row_defect

    def margins(self, change: Change) -> _Margins | None:
        """Return what a bracket adds to the backup at its ends, or None if the sweep says nothing."""
        if not (change.largest <= HUGE and math.isfinite(change.least) and math.isfinite(change.most)):
            return None
        u = UNIT_ROUNDOFF
        magnitude = self.reward_size + self.discount * change.largest
        eta = (self.terms * u + self.defect) * magnitude * (1 + 1e-9) + self.terms * SMALLEST
        slack = eta + 2 * u * max(abs(change.least), abs(change.most))
        least, most = change.least - slack, change.most + slack
        # The sum's operands can be larger than the sum: widen by their rounding too.
        widen = 4 * u * (abs(self.factors[1] * least) + abs(self.factors[1] * most)) + 4 * SMALLEST
        low = -eta + min(self.factors[0] * least, self.factors[1] * least) - widen
        high = eta + max(self.factors[0] * most, self.factors[1] * most) + widen
        return _Margins(low, high, 2 * (eta + widen + self.factors[1] * slack + 12 * u * change.largest))

    def width(self, change: Change) -> float:
        """Return about how wide the brackets are."""
        margins = self.margins(change)
        trivial = self.trivial[1] - self.trivial[0]
        width = math.inf if margins is None else margins.high - margins.low
        return width if width < trivial else trivial

    def bracket(self, backed_up: Float, change: Change) -> Pair:
        """Return the bracket of every state."""
        margins = self.margins(change)
        if margins is None:
            n_states = len(backed_up)
            return _outward(np.full(n_states, self.trivial[0]), np.full(n_states, self.trivial[1]))
        # If a sum overflows, so does its widening; where infinities meet, fmax and fmin keep the trivial end.
        with np.errstate(over="ignore", invalid="ignore"):
            widen = 4 * UNIT_ROUNDOFF * np.abs(backed_up)
            low, high = backed_up + margins.low - widen, backed_up + margins.high + widen
            return _outward(np.fmax(low, self.trivial[0]), np.fmin(high, self.trivial[1]))


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
        Never worse than reward range / (1 - discount), which is also the answer where v is not finite or above 1e300.

    Examples
    --------
    One state, reward 1, discount 1/2: the value is 2 and any v proves it.

    >>> mdp = TabularMDP([[0]], [[1.0]], 0.5)
    >>> low, high = bracket(mdp, np.array([7.0]), mdp.backup(np.array([7.0])).max(axis=1))
    >>> bool(low[0] <= 2 <= high[0]), bool(high[0] - low[0] < 1e-13)
    (True, True)
    """
    result = np.empty(3)
    dp.change(values, backed_up, 0, len(values), result)
    return _Certifier(mdp).bracket(backed_up, Change(*result.tolist()))


def _solve_chain(chain: Chain, discount: float) -> Float | None:
    """Return the value of a chain by solving its linear equations, or None if rounding made them singular."""
    n_states = len(chain.reward)
    matrix: Any = sp.csr_array((-discount * chain.probability, chain.successor, chain.start), (n_states, n_states))
    values: Float
    try:
        if n_states <= DENSE_STATES:
            dense = matrix.toarray()
            dense.flat[:: n_states + 1] += 1.0
            values = np.linalg.solve(dense, chain.reward)
        else:
            values = sp.linalg.splu((sp.eye_array(n_states) + matrix).tocsc()).solve(chain.reward)
    except (np.linalg.LinAlgError, RuntimeError):
        return None
    return values if np.isfinite(values).all() else None


def _by_values(
    steps: Iteration, values: Float, spare: Float, policy: Int, change: Change, margins: _Margins | None
) -> Pair:
    return values, spare


def _by_policies(
    steps: Iteration, values: Float, spare: Float, policy: Int, change: Change, margins: _Margins | None
) -> Pair:
    chain = steps.mdp.storage.chain(steps.mdp.rewards, policy)
    solved = _solve_chain(chain, steps.mdp.discount)
    return values if solved is None else solved, spare


def _by_both(
    steps: Iteration, values: Float, spare: Float, policy: Int, change: Change, margins: _Margins | None
) -> Pair:
    if margins is not None:
        steps.rule_out(values, change, margins.high - margins.low)
    steps.settle(policy, spare, values, change)
    return values, spare


def _start(mdp: TabularMDP, tol: float, max_iterations: int | None, initial: ArrayLike | None) -> Float:
    if not isinstance(mdp, TabularMDP):
        raise TypeError(f"a {type(mdp).__name__} is no TabularMDP: a meta-game becomes one by to_mdp()")
    if not tol > 0:
        raise ValueError(f"tol is {tol!r}: give a positive width for the brackets")
    if max_iterations is not None and max_iterations < 1:
        raise ValueError(f"max_iterations is {max_iterations}: give at least 1")
    values = np.zeros(mdp.n_states) if initial is None else np.array(initial, np.float64)
    if values.shape != (mdp.n_states,):
        raise ValueError(f"initial has shape {values.shape}, expected {(mdp.n_states,)}")
    if not np.isfinite(values).all():
        state = int(np.isfinite(values).argmin())
        raise ValueError(f"initial is {values[state]} in state {state}: give finite numbers")
    return values


def _result(lower: Float, upper: Float, policy: NDArray[Any], method: str, iterations: int, tol: float) -> Solution:
    middle = lower / 2 + upper / 2
    value = np.clip(np.where(np.isfinite(middle), middle, 0.0), lower, upper)
    with np.errstate(over="ignore", invalid="ignore"):
        converged = bool(((upper - lower) <= tol).all())
    return Solution(value, lower, upper, policy, method, iterations, converged, Accuracy.CERTIFIED)


def _iterate(
    mdp: TabularMDP,
    backup: Callable[[Float, Float], Change],
    advance: Callable[[Float, Float, Change, _Margins | None], Pair],
    values: Float,
    tol: float,
    max_iterations: int | None,
) -> tuple[Float, Float, int]:
    """Back up, then `advance`, until the bracket is at most `tol` wide; return it and the number of backups."""
    certify = _Certifier(mdp)
    spare = np.empty(mdp.n_states)
    limit = max_iterations
    iterations = 0
    while True:
        change = backup(values, spare)
        iterations += 1
        width = certify.width(change)
        if limit is None:
            # Between v and V* >= v the distance contracts by the discount at every backup, and the first is at most
            # the first width / (1 - discount); so this many suffice, rounding aside.
            shrink = math.log(max(tol, 1e-300)) + math.log1p(-mdp.discount) - math.log(min(max(width, 1e-300), LARGEST))
            limit = 3 + (math.ceil(shrink / math.log(mdp.discount)) if shrink < 0 and mdp.discount > 0 else 0)
        margins = certify.margins(change)
        stalled = margins is not None and width <= 2 * margins.rounding and margins.rounding > tol
        if width <= tol or stalled or iterations >= limit:
            lower, upper = certify.bracket(spare, change)
            if stalled or iterations >= limit or bool((upper - lower <= tol).all()):
                return lower, upper, iterations
        values, spare = advance(spare, values, change, margins)


METHODS = ("auto", "value_iteration", "policy_iteration", "modified_policy_iteration", "linear_programming", "exact")


def _linear_programme(mdp: TabularMDP) -> Float:
    """Return min sum V with V >= R + discount P V, or zeros if HiGHS finds none."""
    branches = mdp.n_states * mdp.n_actions * mdp.branching
    require_memory(64 * branches, "the linear programme", "use modified_policy_iteration")
    successor, probability, reward = mdp.storage.branches(mdp.rewards)
    rows, branching = successor.shape
    pair = np.repeat(np.arange(rows), branching)
    transitions: Any = sp.csr_array((probability.ravel(), (pair, successor.ravel())), shape=(rows, mdp.n_states))
    owner: Any = sp.csr_array((np.ones(rows), (np.arange(rows), np.arange(rows) // mdp.n_actions)))
    done = scipy.optimize.linprog(
        np.ones(mdp.n_states),
        A_ub=mdp.discount * transitions - owner,
        b_ub=-(probability * reward).sum(axis=1),
        bounds=(None, None),
        method="highs",
    )
    return np.zeros(mdp.n_states) if done.x is None else np.array(done.x)


def _solve_system(matrix: list[list[Fraction]], right: list[Fraction]) -> list[Fraction]:
    """Return x with matrix x = right, in rationals."""
    try:
        import flint
    except ImportError:
        return _eliminate([[*row, end] for row, end in zip(matrix, right, strict=True)])
    size = len(right)
    entries = [flint.fmpq(x.numerator, x.denominator) for row in matrix for x in row]
    ends = [flint.fmpq(x.numerator, x.denominator) for x in right]
    solved = flint.fmpq_mat(size, size, entries).solve(flint.fmpq_mat(size, 1, ends))
    return [Fraction(int(solved[i, 0].p), int(solved[i, 0].q)) for i in range(size)]


def _eliminate(rows: list[list[Fraction]]) -> list[Fraction]:
    """Gauss-Jordan elimination; I - discount P is diagonally dominant, so no pivot is zero."""
    size = len(rows)
    for k in range(size):
        head = [x / rows[k][k] for x in rows[k]]
        rows = [
            head if i == k else [x - row[k] * y for x, y in zip(row, head, strict=True)] if row[k] else row
            for i, row in enumerate(rows)
        ]
    return [row[size] for row in rows]


def exact_optimum(
    transitions: Sequence[Sequence[Mapping[int, Fraction]]],
    rewards: Sequence[Sequence[Fraction]],
    discount: Fraction,
) -> tuple[list[Fraction], list[int], int]:
    """Compute V* and an optimal policy by policy iteration in rational arithmetic.

    It ends because each policy is better than the last in some state and worse in none (Howard 1960).

    Parameters
    ----------
    transitions : sequence (S, A) of mappings
        Probability of each successor; each row sums to exactly 1.
    rewards : sequence of Fraction, shape (S, A)
    discount : Fraction in [0, 1)

    Returns
    -------
    values : list of Fraction, length S
    policy : list of int, length S
    iterations : int
        Policies evaluated.

    Examples
    --------
    Paying 1/3 for ever at discount 1/2 is worth 2/3.

    >>> exact_optimum([[{0: Fraction(1)}]], [[Fraction(1, 3)]], Fraction(1, 2))
    ([Fraction(2, 3)], [0], 1)
    """
    size = len(rewards)
    policy = [0] * size
    iterations = 0
    while True:
        matrix = [[Fraction(int(i == j)) for j in range(size)] for i in range(size)]
        for s, a in enumerate(policy):
            for j, p in transitions[s][a].items():
                matrix[s][j] -= discount * p
        values = _solve_system(matrix, [rewards[s][a] for s, a in enumerate(policy)])
        iterations += 1
        improved = False
        for s, row in enumerate(transitions):
            q = [
                reward + discount * sum((p * values[j] for j, p in following.items()), Fraction(0))
                for reward, following in zip(rewards[s], row, strict=True)
            ]
            best = max(range(len(q)), key=q.__getitem__)
            if q[best] > q[policy[s]]:
                policy[s] = best
                improved = True
        if not improved:
            return values, policy, iterations


def _rational(mdp: TabularMDP) -> tuple[list[list[dict[int, Fraction]]], list[list[Fraction]]]:
    """Return the MDP's floats as rationals, rows divided by their sums, and the expected rewards."""
    successor, probability, reward = (part.tolist() for part in mdp.storage.branches(mdp.rewards))
    transitions: list[list[dict[int, Fraction]]] = []
    rewards: list[list[Fraction]] = []
    for s in range(mdp.n_states):
        transitions.append([])
        rewards.append([])
        for pair in range(s * mdp.n_actions, (s + 1) * mdp.n_actions):
            total = sum(map(Fraction, probability[pair]))
            row: dict[int, Fraction] = {}
            expected = Fraction(0)
            for j, p, r in zip(successor[pair], probability[pair], reward[pair], strict=True):
                if p:
                    row[j] = row.get(j, Fraction(0)) + Fraction(p) / total
                    expected += Fraction(p) / total * Fraction(r)
            transitions[-1].append(row)
            rewards[-1].append(expected)
    return transitions, rewards


def _enclose(values: Sequence[Fraction]) -> tuple[Float, Float, Float]:
    """Return the nearest floats, and the nearest ones below and above; all equal where the value is a float."""
    nearest = [float(x) if abs(x) <= LARGEST else math.copysign(math.inf, x) for x in values]
    low = [f if f <= x else math.nextafter(f, -math.inf) for f, x in zip(nearest, values, strict=True)]
    high = [f if f >= x else math.nextafter(f, math.inf) for f, x in zip(nearest, values, strict=True)]
    return np.array(nearest), np.array(low), np.array(high)


def _solve_exactly(mdp: TabularMDP) -> Solution:
    require_memory(200 * mdp.n_states**2, "rational policy iteration", "use modified_policy_iteration")
    values, policy, iterations = exact_optimum(*_rational(mdp), Fraction(mdp.discount))
    return Solution(*_enclose(values), np.array(policy), "exact", iterations, True, Accuracy.EXACT, tuple(values))


def solve(
    mdp: TabularMDP,
    method: str = "auto",
    tol: float = 1e-6,
    *,
    max_iterations: int | None = None,
    initial: ArrayLike | None = None,
) -> Solution:
    """Compute the optimal value V* and an optimal policy, with a certified bracket.

    Every method but "exact" ends with one Bellman backup, from which the bracket (module docstring) comes, and stops
    when it is at most `tol` wide in every state. The policy then loses at most `tol` in every state, rounding
    included.

    value_iteration
        Backups alone (Bellman 1957), stopped by the span of their changes.
    policy_iteration
        Each greedy policy's equations are solved (Howard 1960), dense up to 64 states, else by sparse LU.
    modified_policy_iteration
        Each greedy policy is evaluated roughly (Puterman & Shin 1978), until the span of the changes is a thirtieth or
        it stops paying. After every sweep the values are raised by discount/(1-discount) times the least change: that
        skips what the chain would add for ever, and keeps T v >= v, from which the method converges at least as fast
        as backups alone. The slowest mode of the changes is taken to its limit now and then, and kept if that helps.
        Where a table of Q is small beside the MDP, actions that a bracket proves not to be optimal are left out.
    linear_programming
        min sum V with V >= R + discount P V, by SciPy's HiGHS, then policy iteration from its answer. Needs a table
        of all branches.
    exact
        Policy iteration in rational arithmetic on the floats as they are stored, each row divided by its sum; in
        python-flint where installed, else in fractions. For up to a few hundred states. `lower` and `upper` are the
        nearest floats around the value, `Solution.exact` is the value itself. The options below play no part.
    auto
        Policy iteration up to `DENSE_STATES` states, above modified policy iteration.

    Parameters
    ----------
    mdp : TabularMDP
    method : {"auto", "value_iteration", "policy_iteration", "modified_policy_iteration", "linear_programming", "exact"}
    tol : float > 0
        Width of the bracket, in units of value (reward/(1-discount)).
    max_iterations : int, optional
        Backups over all actions. Default: as many as the contraction by `discount` needs; where rounding alone is
        wider than `tol` they stop there. Either way a bracket wider than `tol` is reported as not converged.
    initial : array_like, shape (S,), optional
        Where to start; default zeros.

    Returns
    -------
    Solution

    Raises
    ------
    TypeError
        If `mdp` is no TabularMDP, such as a meta-game, which becomes one by `to_mdp()`.
    ValueError
        If the method is unknown, `tol` is not positive or `initial` has another shape or is not finite.

    Examples
    --------
    Stay in state 1 for a reward of 1 per step; from state 0 it takes one step to get there: V* = (1, 2).

    >>> mdp = TabularMDP([[0, 1], [1, 0]], [[0.0, 0.0], [1.0, 0.0]], 0.5)
    >>> solution = solve(mdp)
    >>> solution.value.round(6).tolist(), solution.policy.tolist(), solution.converged
    ([1.0, 2.0], [1, 0], True)
    >>> solve(mdp, "exact").exact
    (Fraction(1, 1), Fraction(2, 1))
    """
    if method not in METHODS:
        raise ValueError(f"unknown method {method!r}: choose {', '.join(METHODS[:-1])} or {METHODS[-1]}")
    values = _start(mdp, tol, max_iterations, initial)
    if method == "auto":
        method = "policy_iteration" if mdp.n_states <= DENSE_STATES else "modified_policy_iteration"
    if method == "exact":
        return _solve_exactly(mdp)
    if method == "linear_programming":
        values = _linear_programme(mdp)
    advance = {"value_iteration": _by_values, "modified_policy_iteration": _by_both}.get(method, _by_policies)
    policy = np.zeros(mdp.n_states, np.int64)
    with Threads(mdp.n_states * mdp.n_actions * mdp.branching) as threads:
        steps = Iteration(mdp, threads)
        if advance is _by_both:
            steps.prepare()
        lower, upper, iterations = _iterate(
            mdp,
            lambda old, new: steps.improve(old, new, policy),
            lambda new, old, *seen: advance(steps, new, old, policy, *seen),
            values,
            tol,
            max_iterations,
        )
    return _result(lower, upper, policy, method, iterations, tol)


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
        Its `value`, `lower` and `upper` are those of the policy, its `policy` is the one given.

    Raises
    ------
    TypeError
        If `mdp` is no TabularMDP.
    ValueError
        If an action is out of range or a row of probabilities does not sum to 1 (names the state).

    Examples
    --------
    Never moving earns nothing in state 0 and 1/(1-0.5) = 2 in state 1.

    >>> evaluate_policy(TabularMDP([[0, 1], [1, 0]], [[0, 0], [1, 0]], 0.5), [0, 0]).value.round(6).tolist()
    [0.0, 2.0]
    """
    values = _start(mdp, tol, max_iterations, initial)
    given = np.array(policy)
    if given.shape == (mdp.n_states,) and given.dtype.kind in "iu":
        bad = (given < 0) | (given >= mdp.n_actions)
        if bad.any():
            state = int(bad.argmax())
            raise ValueError(
                f"the policy's action in state {state} is {given[state]}: actions are 0 to {mdp.n_actions - 1}"
            )
        given = given.astype(np.int64)
        chain = mdp.storage.chain(mdp.rewards, given)
        with Threads(len(chain.successor)) as threads:
            steps = Iteration(mdp, threads)

            def advance(new: Float, old: Float, change: Change, margins: _Margins | None) -> Pair:
                solved = _solve_chain(chain, mdp.discount) if mdp.n_states <= DENSE_STATES else None
                if solved is None:
                    steps.lift(new, change)
                    return new, old
                return solved, old

            found = _iterate(
                mdp, lambda old, new: steps.evaluate(chain, old, new), advance, values, tol, max_iterations
            )
        return _result(*found[:2], given, "policy_evaluation", found[2], tol)
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
    result = np.empty(3)

    def backup(old: Float, new: Float) -> Change:
        (mdp.backup(old) * weights).sum(axis=1, out=new)
        dp.change(old, new, 0, mdp.n_states, result)
        return Change(*result.tolist())

    found = _iterate(mdp, backup, lambda new, old, *_: (new, old), values, tol, max_iterations)
    return _result(*found[:2], given, "policy_evaluation", found[2], tol)
