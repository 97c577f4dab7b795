"""The linear equations of a policy, V = r + discount * P V, and when solving them beats more sweeps.

They are solved by sparse LU where its fill, which is counted beforehand, is small; elsewhere by BiCGSTAB.
Whatever comes out is a candidate only: it is kept if it lessens what a backup changes.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np
import scipy.sparse as sp

from rfos._kernels import dp
from rfos._system.arrays import Float
from rfos._system.memory import available_bytes
from rfos.planning.certificates import UNIT_ROUNDOFF
from rfos.planning.iteration import Change, Iteration, Pair
from rfos.planning.mdp import TabularMDP
from rfos.planning.storages import Chain

DENSE_STATES = 64
"""Up to this size linear equations are solved as a dense matrix, and "auto" is policy iteration.

Larger dense systems are slower than sweeps, and far slower where the threads of the BLAS wait for a busy processor.
"""

MOST_FILL = 2**27
"""Entries of L and U together above which no LU is begun: a fixed number, as results must not depend on the machine."""

FILL_BYTES = 18
"""Memory per entry of L and U while they are computed."""

ENTRY_BYTES, STATE_BYTES, SOME_BYTES = 150, 450, 2**26
"""Memory per entry, per row and in any case while a matrix is built, ordered and counted; per row for its LU too."""

VECTOR_BYTES, CHAIN_BYTES = 160, 24
"""Memory per state for vectors, and per entry of a chain."""

ORDERING = 500
"""Products that take as long as ordering and counting one entry of the matrix."""

BEGINNING = 2_000_000
"""Products that take as long as one attempt takes however small the matrix is."""

VECTORS = 12
"""Products that take as long, per entry of a vector, as some operations on vectors beside a sweep."""

MOST_KRYLOV = 4_000
"""Sweeps that BiCGSTAB takes at most."""

FIRST_LOOK = 64
"""Backups before the first look at how fast the bracket shrinks; where so many suffice, nothing is looked at."""

GAIN = 4
"""How many times longer than the equations the sweeps must be going to take."""


def fits(n_states: int, entries: int) -> bool:
    """Return whether there is memory for a chain with so many entries, and for the vectors of BiCGSTAB."""
    return VECTOR_BYTES * n_states + CHAIN_BYTES * entries <= available_bytes()


def _matrix_fits(n_states: int, entries: int) -> bool:
    """Return whether there is memory to build, order and count the matrix of a chain with so many entries."""
    return STATE_BYTES * n_states + ENTRY_BYTES * entries + SOME_BYTES <= available_bytes()


class Plan(NamedTuple):
    """A matrix I - discount * P, and how many products take as long as its LU."""

    matrix: Any
    work: float


def mixed(mdp: TabularMDP, weights: Float) -> Chain | None:
    """Return the chain of a stochastic policy, weights (S, A); None where it does not fit this machine."""
    state, action = np.nonzero(weights)
    if not _matrix_fits(mdp.n_states, len(state) * mdp.branching):
        return None
    rows = mdp.storage.chain(mdp.rewards, action, state)
    first = np.searchsorted(state, np.arange(mdp.n_states + 1))
    mixing: Any = sp.csr_array((weights[state, action], np.arange(len(state)), first), (mdp.n_states, len(state)))
    moves: Any = sp.csr_array((rows.probability, rows.successor, rows.start), (len(state), mdp.n_states))
    merged = mixing @ moves
    successor, start = merged.indices.astype(np.int32), merged.indptr.astype(np.int64)
    return Chain(start, successor, merged.data, mixing @ rows.reward)


def _matrix(chain: Chain, discount: float) -> Any:
    """Return I - discount * P by columns, without zeros."""
    n_states = len(chain.reward)
    moves: Any = sp.csr_array((-discount * chain.probability, chain.successor, chain.start), (n_states, n_states))
    matrix = (sp.eye_array(n_states) + moves).tocsc()
    matrix.eliminate_zeros()
    return matrix


def _factorise(matrix: Any) -> Any:
    from scipy.sparse.linalg import splu

    # Rows sum to 1 - discount > 0, with nothing above 0 off the diagonal: no pivoting is needed, so none makes fill.
    return splu(matrix, permc_spec="COLAMD", diag_pivot_thresh=0.0)


def _order(matrix: Any) -> Any:
    """Return the place of each column in the order that LU takes: an incomplete one that drops all is ordered alike."""
    from scipy.sparse.linalg import spilu

    parts = spilu(matrix, drop_tol=1.0, fill_factor=1, permc_spec="COLAMD", diag_pivot_thresh=0.0)
    return parts.perm_c


def lu_size(matrix: Any, most: int) -> tuple[int, float]:
    """Return entries of L and U without pivoting, bounded by the symmetric pattern, and the products they take.

    Parameters
    ----------
    matrix : sparse array (n, n) by columns
    most : int
        Entries above which counting stops; then the products are infinite.

    Examples
    --------
    Tridiagonal matrices have no fill: 2 entries to each side and the diagonal, twice.

    >>> lu_size(sp.csc_array(sp.diags_array([1.0, 3.0, 1.0], offsets=[-1, 0, 1], shape=(3, 3))), 100)
    (10, 2.0)
    """
    size = matrix.shape[0]
    place = _order(matrix)
    entries = matrix.tocoo()
    one, other = place[entries.row], place[entries.col]
    ends = np.minimum(one, other), np.maximum(one, other)
    off = ends[0] != ends[1]
    upper: Any = sp.csc_array((np.ones(int(off.sum()), np.bool_), (ends[0][off], ends[1][off])), (size, size))
    count = np.zeros(size, np.int64)
    scratch = np.empty((2, size), np.int64)
    below = dp.fill_in(upper.indptr, upper.indices, most // 2, scratch[0], scratch[1], count)
    total = 2 * (int(below) + size)
    return total, math.inf if below > most // 2 else float((count.astype(np.float64) ** 2).sum())


class Equations:
    """Solves the equations of one policy after another.

    Parameters
    ----------
    steps : Iteration
        Whose sweeps are used.
    """

    def __init__(self, steps: Iteration) -> None:
        """Start with nothing planned."""
        self.steps = steps
        self.discount = steps.mdp.discount
        self.planned: tuple[Chain, Plan | None] | None = None
        self.factors: tuple[Chain, Any] | None = None

    def direct(self, chain: Chain, right: Float, limit: float = math.inf) -> Float | None:
        """Return x = right + discount * P x by elimination, or None.

        None where it does not fit, the work would come to more than `limit`, or rounding made the matrix singular.
        """
        n_states = len(chain.reward)
        values: Float
        try:
            if n_states <= DENSE_STATES:
                moves: Any = sp.csr_array(
                    (-self.discount * chain.probability, chain.successor, chain.start), (n_states, n_states)
                )
                dense = moves.toarray()
                dense.flat[:: n_states + 1] += 1.0
                values = np.linalg.solve(dense, right)
            else:
                if self.factors is None or self.factors[0] is not chain:
                    plan = self._plan(chain)
                    if plan is None or self.steps.work + plan.work > limit:
                        return None
                    self.factors = None  # frees the old ones first
                    self.factors = chain, _factorise(plan.matrix)
                    self.steps.work += int(plan.work)
                values = self.factors[1].solve(right)
        except (np.linalg.LinAlgError, RuntimeError):
            return None
        return values if np.isfinite(values).all() else None

    def _plan(self, chain: Chain) -> Plan | None:
        """Return the matrix and what its LU costs; None where it does not fit. The last one is kept."""
        if self.planned is None or self.planned[0] is not chain:
            self.planned = None
            self.planned = chain, self._make_plan(chain)
        return self.planned[1]

    def _make_plan(self, chain: Chain) -> Plan | None:
        n_states, entries = len(chain.reward), len(chain.successor)
        if entries >= 2**31 or not _matrix_fits(n_states, entries):
            return None
        matrix = _matrix(chain, self.discount)
        self.steps.work += ORDERING * matrix.nnz + BEGINNING
        fill, work = lu_size(matrix, MOST_FILL)
        if work == math.inf or FILL_BYTES * fill + STATE_BYTES * n_states > available_bytes():
            return None
        return Plan(matrix, work / 4 + 60 * fill)

    def krylov(self, chain: Chain, right: Float, target: float, limit: float, rate: float) -> Float:
        """Return an x for which right + discount * P x - x spans little, by BiCGSTAB (van der Vorst 1992).

        It works on vectors of mean 0 and leaves the mean of the residual aside: a bracket sees spans only, and
        without the mean the condition is that of the chain's mixing, whatever the discount. It stops when the span is
        at most `target` or the work comes to `limit`, or to a quarter of the way there and sweeps, which shrink spans
        at `rate`, would have been faster; and returns the best x it met.
        """
        steps = self.steps
        plain = chain._replace(reward=np.zeros(len(right)))
        image = np.empty_like(right)

        def apply(x: Float) -> Float:
            steps.work += VECTORS * len(x)
            steps.evaluate(plain, x, image)
            result = x - image
            result -= result.mean()
            return result

        def dot(x: Float, y: Float) -> float:
            return float((x * y).sum())  # not by the BLAS, whose sums depend on the number of threads

        x, best = np.zeros_like(right), np.zeros_like(right)
        residual = right - right.mean()
        least = first = float(np.ptp(residual))
        begun = steps.work
        shadow = residual.copy()
        direction, moved = np.zeros_like(right), np.zeros_like(right)
        rho = alpha = omega = 1.0
        with np.errstate(all="ignore"):
            for _ in range(MOST_KRYLOV // 2):
                done = steps.work - begun
                late = done > (limit - begun) / 4 and least > first * math.exp(-rate * done)
                if least <= target or steps.work > limit or late:
                    break
                before, rho = rho, dot(shadow, residual)
                direction = residual + (rho / before) * (alpha / omega) * (direction - omega * moved)
                moved = apply(direction)
                alpha = rho / dot(shadow, moved)
                half = residual - alpha * moved
                turned = apply(half)
                omega = dot(turned, half) / dot(turned, turned)
                x = x + alpha * direction + omega * half
                residual = half - omega * turned
                span = float(np.ptp(residual))
                if not (math.isfinite(span) and math.isfinite(omega) and omega != 0 and rho != 0):
                    break
                if span < least:
                    least = span
                    best[:] = x
        return best

    def improve(
        self, chain: Chain, pair: Pair, change: Change, target: float, most: float = math.inf, rate: float = 0.0
    ) -> Pair | None:
        """Return T v' and v' with v' = v + x, where x solves x = (T v - v) + discount * P x; None if that did not help.

        It helped if T v' - v' spans at most half of what T v - v does, and at most what sweeps would have left of it.

        Parameters
        ----------
        chain : Chain
            That of the policy.
        pair : pair of ndarray, shape (S,)
            T v and v, T the policy's backup; left alone.
        change : Change
            Between them.
        target : float
            Span of the change that is small enough.
        most : float
            Products that may be spent.
        rate : float
            By which sweeps lessen the logarithm of the span, per product.
        """
        backed_up, values = pair
        target = max(target, 4 * UNIT_ROUNDOFF * change.largest)
        residual = backed_up - values
        begun = self.steps.work
        found = self.direct(chain, residual, begun + most)
        if found is None:
            found = self.krylov(chain, residual, target, begun + most, rate)
        found += values
        new_values = np.empty_like(found)
        after = self.steps.evaluate(chain, found, new_values)
        if not after.span <= change.span * min(0.5, math.exp(-rate * (self.steps.work - begun))):
            return None
        self.steps.lift(new_values, after)
        return new_values, found


class Outlook:
    """Tells when sweeps take longer than equations would, from how the bracket shrank while the work doubled.

    Parameters
    ----------
    steps : Iteration
        Whose work is counted: in products, so that the same MDP is always solved alike.
    tol : float
        Width of the bracket at which sweeps end.
    entries : int
        Of the chains whose equations may be solved, about.
    """

    def __init__(self, steps: Iteration, tol: float, entries: int) -> None:
        """Start before the first backup."""
        self.steps, self.tol = steps, tol
        self.least = BEGINNING + ORDERING * entries
        self.looks = 0
        self.spent = 0  # work on equations
        self.mark: tuple[int, float] = (0, math.inf)  # work and width when the work had doubled for the last time
        self.pays: float | None = None  # width before the last attempt, while attempts help
        self.rate = 0.0  # by which sweeps lessen the logarithm of the width, per product
        self.allowed = 0.0  # what may be spent before sweeps alone would have been faster
        self.helped = False

    def budget(self, width: float, rounding: float) -> float:
        """Return how many products an attempt at the equations may take, 0 for none; `width` of the bracket now."""
        self.looks += 1
        swept = self.steps.work - self.spent
        if self.pays is not None:
            most = min(swept + self.spent, self.allowed - self.spent)
            if most >= self.least and (width <= self.pays / 2 or self.spent <= swept):
                return most
            self.pays = None
            self.mark = swept, width
        if swept < 2 * self.mark[0]:
            return 0.0
        (begun, wide), self.mark = self.mark, (swept, width)
        goal = max(self.tol, 2 * rounding)
        if self.looks < FIRST_LOOK or not goal < width < math.inf:
            return 0.0
        shrunk = math.log(wide / width) if width < wide < math.inf else 0.0
        self.rate = shrunk / (swept - begun)
        remaining = math.log(width / goal) / self.rate if self.rate > 0 else math.inf
        self.allowed = self.spent + remaining / GAIN
        most = min(swept, remaining / GAIN)
        return most if most >= 2 * self.least else 0.0

    def attempted(self, work: int, helped: bool, width: float) -> None:
        """Take note of an attempt that took `work` products."""
        self.spent += work
        self.pays = width if helped else None
        self.helped = self.helped or helped
