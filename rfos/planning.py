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

import copy
import enum
import functools
import hashlib
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Any, NamedTuple

import numpy as np
import scipy.optimize
import scipy.sparse as sp
from numpy.typing import ArrayLike, NDArray

from rfos import _checks
from rfos._arrays import Owned, array_of, floats, hand_over, integers
from rfos._kernels import dp
from rfos._memory import ROWS, require_memory
from rfos._threads import Threads
from rfos.equations import DENSE_STATES, VECTORS, Equations, Outlook, fits, mixed
from rfos.iteration import SWEEP, Change, Iteration, Pair
from rfos.mdp import Chain, Dense, ShiftRegister, Sparse, TabularMDP

Float = NDArray[np.float64]
Int = NDArray[np.int64]

UNIT_ROUNDOFF = 2.0**-53
SMALLEST = 2.0**-1074
LARGEST = float(np.finfo(np.float64).max)
HUGE = 1e300

SCALED = 100
"""Rewards whose largest is not between 2^-100 and 2^100 are multiplied by a power of two while values are computed."""


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


def _policy(given: object) -> NDArray[Any]:
    """Return a policy as an own array, of int64 where it is one of actions."""
    array = given.array if isinstance(given, Owned) else array_of("policy", given)
    return integers("policy", given) if array.ndim == 1 else floats("policy", given)


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
        # The discount itself is off by u / 2 at most; close to 1, where 2u is too much, that is what counts.
        left = max(1.0 - discount * (1 + 2 * u), (1.0 - discount) - u / 2 if discount > 1 - 2.0**-40 else 0.0)
        at_most = 1.0 / left * (1 + 4 * u)
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
        low, high = np.empty(len(backed_up)), np.empty(len(backed_up))
        for first in range(0, len(backed_up), ROWS):
            states = slice(first, first + ROWS)
            # If a sum overflows, so does its widening; where infinities meet, fmax and fmin keep the trivial end. What
            # lies beyond the floats may be anything there: the last float is the end on its near side.
            with np.errstate(over="ignore", invalid="ignore"):
                widen = 4 * UNIT_ROUNDOFF * np.abs(backed_up[states])
                lower, upper = backed_up[states] + margins.low - widen, backed_up[states] + margins.high + widen
                lower = np.minimum(np.fmax(lower, self.trivial[0]), LARGEST)
                upper = np.maximum(np.fmin(upper, self.trivial[1]), -LARGEST)
                low[states], high[states] = _outward(lower, upper)
        return low, high


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
    _checks.kind("mdp", mdp, TabularMDP)
    # Kernels are compiled for arrays that can be written to.
    old, new = np.array(floats("values", values)), np.array(floats("backed_up", backed_up))
    for name, array in (("values", old), ("backed_up", new)):
        if array.shape != (mdp.n_states,):
            raise ValueError(f"{name} have shape {array.shape}, expected {(mdp.n_states,)}")
    result = np.empty(3)
    dp.change(old, new, 0, mdp.n_states, result)
    return _Certifier(mdp).bracket(new, Change(*result.tolist()))


Advance = Callable[[Float, Float, Change, "_Margins | None"], "Pair | None"]
"""Makes the next v, and a spare vector, of T v, v, their change and the margins; None where nothing more is gained."""


def _by_values(new: Float, old: Float, change: Change, margins: _Margins | None) -> Pair:
    return new, old


def _target(mdp: TabularMDP, tol: float) -> float:
    """Return the span of a change from which a bracket is well below `tol` wide."""
    return tol * (1 - mdp.discount) / 4


def _solving(equations: Equations, chain_of: Callable[[], Chain | None], target: float) -> Advance:
    """Solve the equations of the chain at hand, in full; where that cannot be done, sweep.

    A chain that was solved already has only the rounding of its solution left to be mended; where that does not help,
    nothing does. After an attempt in vain that is not so, one sweep is made, then two, then four, before the next.
    """
    steps = equations.steps
    solved: set[bytes] = set()
    pause = patience = 0

    def advance(new: Float, old: Float, change: Change, margins: _Margins | None) -> Pair | None:
        nonlocal pause, patience
        chain = chain_of() if pause == 0 else None
        if chain is None:
            pause = max(0, pause - 1)
            steps.lift(new, change)
            return new, old
        parts = chain.successor, chain.probability, chain.reward
        name = hashlib.blake2b(b"".join(part.tobytes() for part in parts), digest_size=16).digest()
        if name not in solved:
            values = equations.direct(chain, chain.reward)
            if values is not None:
                solved.add(name)
                return values, old
        better = equations.improve(chain, (new, old), change, target)
        if better is not None:
            return better
        if name in solved:
            return None
        pause, patience = patience, 2 * patience + 1
        steps.lift(new, change)
        return new, old

    return advance


def _watched(
    sweep: Advance,
    equations: Equations,
    outlook: Outlook,
    chain_of: Callable[[], Chain | None],
    slow: Callable[[], bool],
) -> Advance:
    """Sweep, and solve the equations of the chain at hand where that takes less time.

    It does not where the bracket is wide because the policy is still wrong: `slow` says that its value is.
    """
    steps = equations.steps
    target = _target(steps.mdp, outlook.tol)

    def advance(new: Float, old: Float, change: Change, margins: _Margins | None) -> Pair | None:
        if margins is not None:
            width = margins.high - margins.low
            most = outlook.budget(width, margins.rounding)
            if most > 0 and slow():
                before, chain = steps.work, chain_of()
                better = None
                if chain is not None:
                    better = equations.improve(chain, (new, old), change, target, most, outlook.rate)
                outlook.attempted(steps.work - before, better is not None, width)
                if better is not None:
                    return better
        return sweep(new, old, change, margins)

    return advance


def _by_both(steps: Iteration, policy: Int) -> Advance:
    """Leave out actions, then evaluate the policy roughly."""

    def advance(new: Float, old: Float, change: Change, margins: _Margins | None) -> Pair:
        if margins is not None:
            steps.rule_out(new, change, margins.high - margins.low)
        steps.settle(policy, old, new, change)
        return new, old

    return advance


def _lifted(steps: Iteration) -> Advance:
    """Lift T v by what the chain would add for ever."""

    def advance(new: Float, old: Float, change: Change, margins: _Margins | None) -> Pair:
        steps.lift(new, change)
        return new, old

    return advance


def _start(mdp: TabularMDP, tol: float, max_iterations: int | None, initial: ArrayLike | None) -> Float:
    _checks.kind("mdp", mdp, TabularMDP, mend="its method to_mdp() makes one" if hasattr(mdp, "to_mdp") else "")
    if not _checks.number(tol) > 0:
        raise ValueError(f"tol is {_checks.shown(tol)}: give a positive width for the brackets")
    if max_iterations is not None:
        _checks.whole("max_iterations", max_iterations, give="at least 1, a whole number of sweeps")
    values = np.zeros(mdp.n_states) if initial is None else np.array(floats("initial", initial))
    if values.shape != (mdp.n_states,):
        raise ValueError(f"initial has shape {values.shape}, expected {(mdp.n_states,)}")
    if not np.isfinite(values).all():
        state = int(np.isfinite(values).argmin())
        raise ValueError(f"initial is {values[state]} in state {state}: give finite numbers")
    return values


def _near(mdp: TabularMDP, values: Float) -> Float:
    """Return values with those that no policy earns replaced by the nearest that one might."""
    return np.clip(values, *_Certifier(mdp).trivial)


def _end(lower: Float, upper: Float, tol: float, otherwise: Ended) -> Ended:
    """Return CONVERGED if every bracket is at most `tol` wide, else why iterations ended."""
    with np.errstate(over="ignore", invalid="ignore"):
        blocks = (slice(first, first + ROWS) for first in range(0, len(lower), ROWS))
        return Ended.CONVERGED if all(bool((upper[b] - lower[b] <= tol).all()) for b in blocks) else otherwise


def _result(policy: NDArray[Any], method: str, lower: Float, upper: Float, iterations: int, ended: Ended) -> Solution:
    value = np.empty(len(lower))
    for first in range(0, len(lower), ROWS):
        states = slice(first, first + ROWS)
        low, high = lower[states], upper[states]
        middle = low / 2 + high / 2
        value[states] = np.clip(np.where(np.isfinite(middle), middle, 0.0), low, high)
    ends, action = (hand_over(lower), hand_over(upper)), hand_over(policy)
    return Solution(hand_over(value), *ends, action, method, iterations, ended, Accuracy.CERTIFIED)


def _in_range(
    run: Callable[[TabularMDP, Float, float], Solution], mdp: TabularMDP, values: Float, tol: float
) -> Solution:
    """Run on the MDP itself or, where its rewards are very large or small, on one scaled by a power of two.

    Numbers that become too small to be stored are rounded, never to 0: certificates count products that underflow.
    """
    exponent = math.frexp(max(map(abs, mdp.reward_range)))[1]
    if abs(exponent) <= SCALED:
        return run(mdp, values, tol)
    with np.errstate(over="ignore", under="ignore"):
        rewards = np.ldexp(mdp.rewards, -exponent)
        lost = (rewards == 0) & (mdp.rewards != 0)
        rewards[lost] = np.copysign(SMALLEST, mdp.rewards[lost])
        rewards.setflags(write=False)
        scaled = copy.copy(mdp)
        object.__setattr__(scaled, "rewards", rewards)
        found = run(scaled, np.ldexp(values, -exponent), float(np.ldexp(tol, -exponent)))
        ends = []
        for end, outwards in ((found.lower, -math.inf), (found.upper, math.inf)):
            back = np.ldexp(end, exponent)
            ends.append(np.where(np.ldexp(back, -exponent) == end, back, np.nextafter(back, outwards)))
        lower, upper = ends
        value = np.clip(np.ldexp(found.value, exponent), -LARGEST, LARGEST)
    ended = _end(lower, upper, tol, Ended.ROUNDING if found.converged else found.ended)
    return replace(found, value=value, lower=lower, upper=upper, ended=ended)


def _iterate(
    mdp: TabularMDP,
    backup: Callable[[Float, Float], Change],
    advance: Advance,
    values: Float,
    tol: float,
    max_iterations: int | None,
) -> tuple[Float, Float, int, Ended]:
    """Back up, then `advance`, until the bracket is at most `tol` wide; return it, the number of backups and why."""
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
            ended = _end(lower, upper, tol, Ended.ROUNDING if stalled else Ended.LIMIT)
            if stalled or iterations >= limit or ended is Ended.CONVERGED:
                return lower, upper, iterations, ended
        following = advance(spare, values, change, margins)
        if following is None:
            lower, upper = certify.bracket(spare, change)
            return lower, upper, iterations, _end(lower, upper, tol, Ended.ROUNDING)
        values, spare = following


def _check_allowed(mdp: TabularMDP, state: Int, action: Int) -> None:
    """Raise ValueError unless an MDP allows all these actions in these states."""
    if mdp.allowed is None:
        return
    wrong = np.flatnonzero(~mdp.allowed[state, action])
    if wrong.size:
        s, a = int(state[wrong[0]]), int(action[wrong[0]])
        raise ValueError(
            f"the policy takes action {a} in state {s}, which is not allowed there: "
            f"choose of {np.flatnonzero(mdp.allowed[s]).tolist()}"
        )


METHODS = ("auto", "value_iteration", "policy_iteration", "modified_policy_iteration", "linear_programming", "exact")


def _linear_programme(mdp: TabularMDP) -> Float:
    """Return min sum V with V >= R + discount P V, or zeros if HiGHS finds none."""
    branches = mdp.n_states * mdp.n_actions * mdp.branching
    # As measured: tables and matrices, with HiGHS' own copies; the factors of its basis; and what it always takes.
    needed = 256 * branches + 24 * mdp.n_states**2 + 2**24
    require_memory(needed, "the linear programme", "use modified_policy_iteration")
    successor, probability, reward = mdp.storage.branches(mdp.finite_rewards)
    state = np.repeat(np.arange(mdp.n_states), mdp.n_actions)
    if mdp.allowed is not None:
        kept = mdp.allowed.ravel()
        successor, probability, reward, state = successor[kept], probability[kept], reward[kept], state[kept]
    rows, branching = successor.shape
    pair = np.repeat(np.arange(rows), branching)
    transitions: Any = sp.csr_array((probability.ravel(), (pair, successor.ravel())), shape=(rows, mdp.n_states))
    owner: Any = sp.csr_array((np.ones(rows), (np.arange(rows), state)))
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
    rewards: Sequence[Sequence[Fraction | None]],
    discount: Fraction,
) -> tuple[list[Fraction], list[int], int]:
    """Compute V* and an optimal policy by policy iteration in rational arithmetic.

    It ends because each policy is better than the last in some state and worse in none (Howard 1960).

    Parameters
    ----------
    transitions : sequence (S, A) of mappings
        Probability of each successor; each row sums to exactly 1.
    rewards : sequence of Fraction, shape (S, A)
        None where an action is not allowed.
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
    choices = [{a: reward for a, reward in enumerate(row) if reward is not None} for row in rewards]
    policy = [next(iter(row)) for row in choices]
    iterations = 0
    while True:
        matrix = [[Fraction(int(i == j)) for j in range(size)] for i in range(size)]
        for s, a in enumerate(policy):
            for j, p in transitions[s][a].items():
                matrix[s][j] -= discount * p
        values = _solve_system(matrix, [choices[s][a] for s, a in enumerate(policy)])
        iterations += 1
        improved = False
        for s, row in enumerate(transitions):
            q = {
                a: reward + discount * sum((p * values[j] for j, p in row[a].items()), Fraction(0))
                for a, reward in choices[s].items()
            }
            best = max(q, key=q.__getitem__)
            if q[best] > q[policy[s]]:
                policy[s] = best
                improved = True
        if not improved:
            return values, policy, iterations


def _rational(mdp: TabularMDP) -> tuple[list[list[dict[int, Fraction]]], list[list[Fraction | None]]]:
    """Return the MDP's floats as rationals, rows divided by their sums, and expected rewards, None if not allowed."""
    successor, probability, reward = (part.tolist() for part in mdp.storage.branches(mdp.finite_rewards))
    transitions: list[list[dict[int, Fraction]]] = []
    rewards: list[list[Fraction | None]] = []
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
            rewards[-1].append(expected if mdp.allowed is None or mdp.allowed.flat[pair] else None)
    return transitions, rewards


def _enclose(values: Sequence[Fraction]) -> tuple[Float, Float, Float]:
    """Return the nearest floats, and the nearest ones below and above; all equal where the value is a float."""
    nearest = [float(x) if abs(x) <= LARGEST else math.inf if x > 0 else -math.inf for x in values]
    low = [f if f <= x else math.nextafter(f, -math.inf) for f, x in zip(nearest, values, strict=True)]
    high = [f if f >= x else math.nextafter(f, math.inf) for f, x in zip(nearest, values, strict=True)]
    return np.clip(nearest, -LARGEST, LARGEST), np.array(low), np.array(high)


def _solve_exactly(mdp: TabularMDP) -> Solution:
    require_memory(200 * mdp.n_states**2, "rational policy iteration", "use modified_policy_iteration")
    values, policy, iterations = exact_optimum(*_rational(mdp), Fraction(mdp.discount))
    return Solution(
        *_enclose(values), np.array(policy), "exact", iterations, Ended.CONVERGED, Accuracy.EXACT, tuple(values)
    )


def _counting_bytes(mdp: TabularMDP) -> int:
    """Return the bytes that it takes to find the largest number of successors in tables that hold what rows need."""
    if isinstance(mdp.storage, Dense):
        return mdp.nbytes // 8 + 8 * mdp.n_states * mdp.n_actions
    return 8 * mdp.n_states * mdp.n_actions if isinstance(mdp.storage, Sparse) else 0


def _require_solver(mdp: TabularMDP, method: str) -> None:
    """Raise MemoryError unless what a method keeps fits this machine; the MDP is there already."""
    n_states, entries = mdp.n_states, mdp.n_states if isinstance(mdp.storage, Dense) else mdp.branching
    # Values twice, a policy, the bracket and its middle, bytes to compare them; and as much again for a block.
    needed = 50 * n_states + 48 * min(n_states, ROWS) + _counting_bytes(mdp)
    if method in ("modified_policy_iteration", "policy_evaluation", "policy_iteration"):
        # A chain: 4 bytes a successor, 8 a probability that is not the MDP's own, and a start and a reward a state.
        needed += n_states * (16 + entries * (4 if isinstance(mdp.storage, ShiftRegister) else 12))
    if method == "modified_policy_iteration":
        # The policy of that chain, its probabilities once more and four vectors in single precision.
        needed += n_states * (24 + 4 * entries) + Iteration.extra_bytes(mdp)
    elif method == "policy_evaluation":
        needed += 24 * n_states  # the policy as it was given, and the numbers of states and pairs
    elif method == "policy_iteration":
        # The equations as they are put together; their factors may take more, which nobody knows before.
        dense = n_states <= DENSE_STATES
        needed += 24 * n_states**2 if dense else 4 * n_states * (12 * entries + 16)
    require_memory(needed, f"{method} of {n_states:,} states", "use fewer states, or value_iteration")


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
        Each greedy policy's equations are solved (Howard 1960), dense up to 64 states, else by sparse LU where its
        fill, which is counted beforehand, is below `equations.MOST_FILL` and fits the memory, else by BiCGSTAB (van der
        Vorst 1992). A policy that comes up again has its solution refined.
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
        Policy iteration up to `DENSE_STATES` states, above modified policy iteration; the latter turns to the equations
        of its policies, as policy iteration does, where it shrinks the bracket so slowly that they would take less
        time. Time is counted in products, so the same MDP is always solved alike. This is for chains that mix slowly
        at discounts near 1; the explicit methods can take some 1/(1-discount) sweeps there.

    Rewards whose largest is below 2^-100 or above 2^100 are multiplied by a power of two meanwhile, which is exact but
    for numbers too small to be stored, and these are accounted for; so all this holds at every scale that floats have.

    Parameters
    ----------
    mdp : TabularMDP
    method : {"auto", "value_iteration", "policy_iteration", "modified_policy_iteration", "linear_programming", "exact"}
    tol : float > 0
        Width of the bracket, in units of value (reward/(1-discount)).
    max_iterations : int, optional
        Backups over all actions. Default: as many as the contraction by `discount` needs; where rounding alone is
        wider than `tol` they stop there. Either way `Solution.ended` says so.
    initial : array_like, shape (S,), optional
        Where to start; default zeros. What no policy can earn is replaced by the nearest value that one might.

    Returns
    -------
    Solution

    Raises
    ------
    TypeError
        If `mdp` is no TabularMDP, such as a meta-game, which becomes one by `to_mdp()`.
    ValueError
        If the method is unknown, `tol` is not positive or `initial` has another shape or is not finite.
    MemoryError
        If what the method keeps beside the MDP does not fit this machine.

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
        raise ValueError(f"unknown method {_checks.shown(method)}: choose {', '.join(METHODS[:-1])} or {METHODS[-1]}")
    values = _start(mdp, tol, max_iterations, initial)
    small = method == "auto" and mdp.n_states <= DENSE_STATES
    swept = "policy_iteration" if small else "modified_policy_iteration"
    _require_solver(mdp, swept if method == "auto" else method)
    if method == "exact":
        return _solve_exactly(mdp)

    def run(mdp: TabularMDP, values: Float, tol: float) -> Solution:
        if initial is not None:
            values = _near(mdp, values)
        if method == "linear_programming":
            values = _linear_programme(mdp)
        policy = np.zeros(mdp.n_states, np.int64)
        used = method
        with Threads(mdp.n_states * mdp.n_actions * mdp.branching) as threads:
            steps = Iteration(mdp, threads)
            equations = Equations(steps)
            outlook = Outlook(steps, tol, mdp.n_states * mdp.branching)

            def chain() -> Chain | None:
                if not fits(mdp.n_states, mdp.n_states * mdp.branching):
                    return None
                return mdp.storage.chain(mdp.rewards, policy)

            advance: Advance
            if method == "value_iteration":
                advance = _by_values
            elif small or method in ("policy_iteration", "linear_programming"):
                advance = _solving(equations, chain, _target(mdp, tol))
            else:
                steps.prepare()
                advance = _by_both(steps, policy)
                if method == "auto":
                    advance = _watched(advance, equations, outlook, chain, lambda: steps.evaluates_slowly)
            found = _iterate(
                mdp, lambda old, new: steps.improve(old, new, policy), advance, values, tol, max_iterations
            )
            if method == "auto":
                used = "policy_iteration" if small or outlook.helped else "modified_policy_iteration"
        return _result(policy, used, *found)

    return _in_range(run, mdp, values, tol)


def evaluate_policy(
    mdp: TabularMDP,
    policy: ArrayLike,
    tol: float = 1e-6,
    *,
    max_iterations: int | None = None,
    initial: ArrayLike | None = None,
) -> Solution:
    """Compute the value V^pi of a stationary policy, with a certified bracket.

    Up to 64 states the equations of its chain are solved. Above, the chain is swept, each sweep lifted by what the
    chain would add for ever, and where that shrinks the bracket too slowly the equations are solved too (see `solve`).

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
        If an action is out of range or not allowed, or a row of probabilities does not sum to 1 (names the state).

    Examples
    --------
    Never moving earns nothing in state 0 and 1/(1-0.5) = 2 in state 1.

    >>> evaluate_policy(TabularMDP([[0, 1], [1, 0]], [[0, 0], [1, 0]], 0.5), [0, 0]).value.round(6).tolist()
    [0.0, 2.0]
    """
    values = _start(mdp, tol, max_iterations, initial)
    given = array_of("the policy", policy)

    def evaluated(
        steps: Iteration,
        backup: Callable[[Float, Float], Change],
        chain: Callable[[], Chain | None],
        entries: int,
        values: Float,
        tol: float,
    ) -> Solution:
        mdp, equations = steps.mdp, Equations(steps)
        if initial is not None:
            values = _near(mdp, values)
        if mdp.n_states <= DENSE_STATES:
            advance = _solving(equations, chain, _target(mdp, tol))
        else:
            outlook = Outlook(steps, tol, entries)
            advance = _watched(_lifted(steps), equations, outlook, chain, lambda: True)
        return _result(given, "policy_evaluation", *_iterate(mdp, backup, advance, values, tol, max_iterations))

    if given.shape == (mdp.n_states,) and given.dtype.kind in "iu":
        given = np.array(integers("the policy", given))
        bad = (given < 0) | (given >= mdp.n_actions)
        if bad.any():
            state = int(bad.argmax())
            raise ValueError(
                f"the policy's action in state {state} is {given[state]}: actions are 0 to {mdp.n_actions - 1}"
            )
        _check_allowed(mdp, np.arange(mdp.n_states), given)
        _require_solver(mdp, "policy_evaluation")
        actions = given

        def run_chosen(mdp: TabularMDP, values: Float, tol: float) -> Solution:
            chain = mdp.storage.chain(mdp.rewards, actions)
            with Threads(len(chain.successor)) as threads:
                steps = Iteration(mdp, threads)
                backup = functools.partial(steps.evaluate, chain)
                entries = len(chain.successor)
                return evaluated(steps, backup, lambda: chain if fits(mdp.n_states, 0) else None, entries, values, tol)

        return _in_range(run_chosen, mdp, values, tol)
    if given.shape != (mdp.n_states, mdp.n_actions):
        raise ValueError(
            f"a policy is integers ({mdp.n_states},) or probabilities {(mdp.n_states, mdp.n_actions)}, "
            f"not {given.dtype} {given.shape}"
        )
    pairs = given.size  # the weights twice, and the action values, weighted too
    needed = 34 * pairs + 60 * mdp.n_states + 48 * min(mdp.n_states, ROWS) + _counting_bytes(mdp)
    require_memory(needed, "the evaluation of a stochastic policy", "give one action a state")
    given = floats("the policy", given)
    weights = np.array(given)
    bad = ~_checks.are_distributions(weights)
    if bad.any():
        state = int(bad.argmax())
        raise ValueError(
            f"the policy's probabilities in state {state} are {weights[state].tolist()}: "
            "they must be at least 0 and sum to 1"
        )
    _check_allowed(mdp, *np.nonzero(weights))
    weights /= weights.sum(axis=1)[:, None]

    def run_mixed(mdp: TabularMDP, values: Float, tol: float) -> Solution:
        result = np.empty(3)
        with Threads(mdp.n_states * mdp.n_actions * mdp.branching) as threads:
            steps = Iteration(mdp, threads)

            def backup(old: Float, new: Float) -> Change:
                steps.work += mdp.n_states * mdp.n_actions * (mdp.branching + VECTORS) + SWEEP
                q = mdp.backup(old)
                if mdp.allowed is not None:
                    q[~mdp.allowed] = 0.0
                (q * weights).sum(axis=1, out=new)
                dp.change(old, new, 0, mdp.n_states, result)
                return Change(*result.tolist())

            entries = mdp.n_states * min(mdp.n_states, mdp.n_actions * mdp.branching)
            return evaluated(steps, backup, functools.cache(lambda: mixed(mdp, weights)), entries, values, tol)

    return _in_range(run_mixed, mdp, values, tol)
