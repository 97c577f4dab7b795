"""TabularMDP: one frozen, validated container for finite MDPs, whatever their transitions are stored as."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import InitVar, dataclass, field, replace
from typing import Any, NamedTuple, Protocol

import numpy as np
import scipy.sparse as sp
from numpy.typing import ArrayLike, NDArray

from rfos import _checks
from rfos._arrays import Bool, Owned, array_of, booleans, floats, freeze, hand_over, integers
from rfos._kernels import dp
from rfos._memory import ROWS, require_memory
from rfos._threads import in_ranges

Float = NDArray[np.float64]
Float32 = NDArray[np.float32]
Int = NDArray[np.int64]

ROW_SUM_TOL = 1e-9
"""How far a row of transition probabilities may sum from 1; the certificates of `planning` account for it."""

MAX_STATES = 2**31 - 1
"""Largest number of states: successors are kept as 32-bit integers."""


class Chain(NamedTuple):
    """Rows of some pairs, of a policy one per state: row i holds the entries start[i] to start[i+1] - 1."""

    start: Int  # (K+1,) int64
    successor: NDArray[np.int32]  # (nnz,)
    probability: Float  # (nnz,)
    reward: Float  # (K,) expected reward per step


class Storage(Protocol):
    """Transitions of an MDP, however they are kept.

    Iterative solvers need `improve` and `chain` only: neither takes memory per pair, so rows may be computed on the
    fly. `backup` and `branches` are for MDPs of which a table (S, A) fits. The storages of this package check what they
    are made of; their methods trust their arguments, which `TabularMDP` and the solvers have checked.
    """

    @property
    def n_states(self) -> int:
        """Number of states, S."""
        ...

    @property
    def n_actions(self) -> int:
        """Number of actions, A."""
        ...

    @property
    def branching(self) -> int:
        """Largest number of stored successors of a pair, B."""
        ...

    @property
    def nbytes(self) -> int:
        """Memory of all arrays, in bytes."""
        ...

    def check(self) -> float:
        """Return the largest distance of a row sum from 1, or raise ValueError naming the first bad row."""
        ...

    def reward_shape(self) -> tuple[int, ...]:
        """Return the shape that rewards must have."""
        ...

    def improve(
        self,
        rewards: Float,
        discount: float,
        values: Float,
        new_values: Float,
        policy: Int,
        table: Float32,
        first: int,
        last: int,
    ) -> None:
        """For states `first` to `last` - 1, fill `new_values` with max over a of Q and `policy` with its first argmax.

        Q is the one of `backup`, bit for bit; it is kept too if `table` is (S, A) and not (0, A). Threads call it for
        disjoint ranges at once: it holds no lock.
        """
        ...

    def chain(self, rewards: Float, policy: Int, states: Int | None = None) -> Chain:
        """Return transitions and expected rewards of the pairs (states[i], policy[i]); default: all states."""
        ...

    def backup(self, rewards: Float, discount: float, values: Float, q: Float) -> None:
        """Fill `q` (S, A) with rewards + discount * transitions @ values."""
        ...

    def branches(self, rewards: Float) -> tuple[Int, Float, Float]:
        """Return successors, probabilities and rewards of all branches, each (S*A, B), padded with probability 0."""
        ...


class CheckedStorage:
    """A storage that has checked what kernels index with and owns its arrays: one of this package."""


def check_discount(discount: float) -> None:
    """Raise ValueError unless the discount lies in [0, 1)."""
    if not 0 <= _checks.number(discount) < 1:
        raise ValueError(f"discount is {_checks.shown(discount)}: give a number in [0, 1)")


def thresholds(probability: Float) -> Int:
    """Return integer thresholds of the cumulative probabilities of each row (..., B), in units of 2^-53.

    Branch b is drawn by 53 random bits k with thresholds[b-1] <= k < thresholds[b]. Rows may sum to 1 only nearly;
    they are divided by their sum, or a draw above it would take the last branch, even one of probability 0.
    """
    cumulative = np.cumsum(probability, axis=-1)
    cumulative /= cumulative[..., -1:]
    result: Int = np.ceil(cumulative * 2.0**53).astype(np.int64)
    return result


def _check_sizes(n_states: int, n_actions: int) -> None:
    """Raise ValueError unless there are states and actions, and successors fit 32-bit integers."""
    if n_states < 1 or n_actions < 1:
        raise ValueError(f"P has {n_states} states and {n_actions} actions: give at least one of each")
    if n_states > MAX_STATES:
        raise ValueError(f"P has {n_states} states, above the limit of {MAX_STATES}: merge or leave out states")


def _check_successors(successor: NDArray[Any], n_states: int, n_actions: int, row_of: Callable[[int], int]) -> None:
    """Raise ValueError naming the first successor that is not a state; `row_of` maps a flat entry to its row."""
    if successor.size and (successor.min() < 0 or successor.max() >= n_states):
        entry = int(((successor < 0) | (successor >= n_states)).ravel().argmax())
        state, action = divmod(row_of(entry), n_actions)
        raise ValueError(
            f"the successor of state {state}, action {action} is {int(successor.flat[entry])}: "
            f"states are 0 to {n_states - 1}"
        )


def _check_pointers(indptr: NDArray[Any], n_rows: int, n_entries: int, name: Callable[[int], str]) -> None:
    """Raise ValueError unless rows 0 to n_rows - 1 begin at 0, never end before they begin, and end with the entries.

    `name` says what the row of a number is.
    """
    if indptr.shape != (n_rows + 1,):
        raise ValueError(f"indptr has shape {indptr.shape}, expected {(n_rows + 1,)}: one number a row, and the end")
    bad = (indptr[1:] < indptr[:-1]) | (indptr[:-1] < 0) | (indptr[1:] > n_entries)
    if bad.any() or indptr[0] != 0:
        row = int(bad.argmax())
        raise ValueError(
            f"{name(row)} has the entries {int(indptr[row])} to {int(indptr[row + 1])} - 1: indptr starts at 0, never "
            f"falls, and ends at {n_entries}"
        )


def _indices(what: str, array: object) -> NDArray[Any]:
    """Return an array of whole numbers in one dimension as it is, or raise ValueError."""
    found = array_of(what, array)
    if found.ndim != 1 or (found.size and found.dtype.kind not in "iu"):
        raise ValueError(f"{what} is {found.dtype} of shape {found.shape}: give whole numbers in one dimension")
    return found


def _check_rows(entries: Float, row_of: Callable[[int], int], sums: Float, n_actions: int, first_row: int = 0) -> float:
    """Check stored probabilities and the `sums` (S*A,) of their rows; `row_of` maps a flat entry to its row.

    Where tables are checked in blocks, `first_row` is the row of the first sum.
    """
    bad = ~((entries >= 0) & (entries <= 1 + ROW_SUM_TOL))  # true for NaN as well
    if bad.any():
        entry = int(bad.ravel().argmax())
        state, action = divmod(row_of(entry), n_actions)
        raise ValueError(
            f"a transition probability of state {state}, action {action} is {float(entries.flat[entry])!r}: "
            "probabilities lie in [0, 1]"
        )
    defect = np.abs(sums - 1.0)
    worst = int(defect.argmax())
    if defect[worst] > ROW_SUM_TOL:
        state, action = divmod(first_row + worst, n_actions)
        raise ValueError(
            f"the transition probabilities of state {state}, action {action} sum to {float(sums[worst])!r}, "
            "not 1: divide the row by its sum"
        )
    return float(defect[worst])


@dataclass(frozen=True, eq=False)
class Dense(CheckedStorage):
    """Transitions as an array, shape (S, A, S)."""

    transitions: Float

    def __post_init__(self) -> None:
        """Take a copy of the right shape."""
        transitions = floats("P", self.transitions)
        if transitions.ndim != 3 or transitions.shape[0] != transitions.shape[2]:
            raise ValueError(f"a dense P has shape (S, A, S), not {transitions.shape}")
        _check_sizes(*transitions.shape[:2])
        object.__setattr__(self, "transitions", transitions)

    @property
    def n_states(self) -> int:
        """Number of states, S."""
        return int(self.transitions.shape[0])

    @property
    def n_actions(self) -> int:
        """Number of actions, A."""
        return int(self.transitions.shape[1])

    @property
    def branching(self) -> int:
        """Largest number of nonzero successors of a pair, B."""
        return int((self.transitions > 0).sum(axis=2).max())

    @property
    def nbytes(self) -> int:
        """Memory of all arrays, in bytes."""
        return self.transitions.nbytes

    def check(self) -> float:
        """Return the largest distance of a row sum from 1, or raise ValueError."""
        sums = self.transitions.sum(axis=2).ravel()
        return _check_rows(self.transitions, lambda entry: entry // self.n_states, sums, self.n_actions)

    def reward_shape(self) -> tuple[int, int]:
        """Return (S, A)."""
        return self.n_states, self.n_actions

    def improve(
        self,
        rewards: Float,
        discount: float,
        values: Float,
        new_values: Float,
        policy: Int,
        table: Float32,
        first: int,
        last: int,
    ) -> None:
        """Fill `new_values` and `policy` with the maxima of Q and their actions, states `first` to `last` - 1."""
        dp.improve_dense(self.transitions, rewards, discount, values, new_values, policy, table, first, last)

    def chain(self, rewards: Float, policy: Int, states: Int | None = None) -> Chain:
        """Return transitions and expected rewards of the pairs (states[i], policy[i])."""
        states = np.arange(self.n_states) if states is None else states
        start = self.n_states * np.arange(len(states) + 1)
        successor = np.tile(np.arange(self.n_states, dtype=np.int32), len(states))
        return Chain(start, successor, self.transitions[states, policy].ravel(), rewards[states, policy])

    def backup(self, rewards: Float, discount: float, values: Float, q: Float) -> None:
        """Fill `q` (S, A) with rewards + discount * transitions @ values."""
        dp.backup_dense(self.transitions, rewards, discount, values, q)

    def branches(self, rewards: Float) -> tuple[Int, Float, Float]:
        """Return successors, probabilities and rewards of all branches, each (S*A, B)."""
        rows = self.transitions.reshape(self.n_states * self.n_actions, self.n_states)
        return Sparse.from_matrix(rows, self.n_actions).branches(rewards)


@dataclass(frozen=True, eq=False)
class Sparse(CheckedStorage):
    """Transitions as compressed rows s * n_actions + a: `indptr` (S*A+1,), `indices` (nnz,), `data` (nnz,)."""

    indptr: Int
    indices: NDArray[np.int32]
    data: Float
    n_actions: int

    def __post_init__(self) -> None:
        """Take copies, after a look at all that kernels index with."""
        n_actions = _checks.whole("n_actions", self.n_actions)
        indptr, columns = integers("indptr of P", self.indptr), integers("indices of P", self.indices)
        data = floats("data of P", self.data)
        n_states, over = divmod(len(indptr) - 1 if indptr.ndim == 1 else 0, n_actions)
        if over:
            raise ValueError(
                f"indptr of P has shape {indptr.shape}: with {n_actions} actions give S * {n_actions} + 1 numbers"
            )
        _check_sizes(n_states, n_actions)
        if columns.shape != data.shape or columns.shape != (int(indptr[-1]),):
            raise ValueError(
                f"indices and data of P have shapes {columns.shape} and {data.shape}, indptr ends at "
                f"{int(indptr[-1])}: give as many of each"
            )
        _check_pointers(indptr, len(indptr) - 1, len(columns), _pair_name(n_actions))
        _check_successors(columns, n_states, n_actions, lambda entry: _row_of(indptr, entry))
        indices = columns.astype(np.int32, copy=False)
        freeze(indices)
        for name, part in (("indptr", indptr), ("indices", indices), ("data", data), ("n_actions", n_actions)):
            object.__setattr__(self, name, part)

    @classmethod
    def from_matrix(cls, rows: Any, n_actions: int) -> Sparse:
        """Copy a dense or sparse matrix (S*A, S), duplicates summed; its indices are checked before they are used."""
        matrix = _compressed(rows, n_actions)
        matrix.sum_duplicates()
        indptr, indices = matrix.indptr.astype(np.int64), matrix.indices.astype(np.int32, copy=False)
        return cls(hand_over(indptr), hand_over(indices), hand_over(matrix.data), n_actions)

    @property
    def n_states(self) -> int:
        """Number of states, S."""
        return (len(self.indptr) - 1) // self.n_actions

    @functools.cached_property
    def branching(self) -> int:
        """Largest number of stored successors of a pair, B."""
        return int(np.diff(self.indptr).max())

    @property
    def nbytes(self) -> int:
        """Memory of all arrays, in bytes."""
        return self.indptr.nbytes + self.indices.nbytes + self.data.nbytes

    def check(self) -> float:
        """Return the largest distance of a row sum from 1, or raise ValueError."""
        # reduceat would misread empty rows; cumulated sums would lose digits.
        row = np.repeat(np.arange(len(self.indptr) - 1), np.diff(self.indptr))
        sums: Any = np.bincount(row, weights=self.data, minlength=len(self.indptr) - 1)
        return _check_rows(self.data, lambda entry: int(row[entry]), sums, self.n_actions)

    def reward_shape(self) -> tuple[int, int]:
        """Return (S, A)."""
        return self.n_states, self.n_actions

    def improve(
        self,
        rewards: Float,
        discount: float,
        values: Float,
        new_values: Float,
        policy: Int,
        table: Float32,
        first: int,
        last: int,
    ) -> None:
        """Fill `new_values` and `policy` with the maxima of Q and their actions, states `first` to `last` - 1."""
        dp.improve_sparse(
            self.indptr, self.indices, self.data, rewards, discount, values, new_values, policy, table, first, last
        )

    def chain(self, rewards: Float, policy: Int, states: Int | None = None) -> Chain:
        """Return transitions and expected rewards of the pairs (states[i], policy[i])."""
        pair = (np.arange(self.n_states) if states is None else states) * self.n_actions + policy
        if self.branching * (len(self.indptr) - 1) <= 1.5 * len(self.data):
            start = self.branching * np.arange(len(pair) + 1)  # rows of one length: some of them may be written anew
        else:
            start = np.zeros(len(pair) + 1, np.int64)
            np.cumsum(self.indptr[pair + 1] - self.indptr[pair], out=start[1:])
        chain = Chain(start, np.empty(start[-1], np.int32), np.empty(start[-1]), rewards.ravel()[pair])
        rows = (self.indptr, self.indices, self.data, pair, start, chain.successor, chain.probability)
        in_ranges(lambda first, last: dp.chain_sparse(*rows, first, last), len(pair), len(chain.successor))
        return chain

    def backup(self, rewards: Float, discount: float, values: Float, q: Float) -> None:
        """Fill `q` (S, A) with rewards + discount * transitions @ values."""
        dp.backup_sparse(self.indptr, self.indices, self.data, rewards, discount, values, q)

    def branches(self, rewards: Float) -> tuple[Int, Float, Float]:
        """Return successors, probabilities and rewards of all branches, each (S*A, B)."""
        lengths = np.diff(self.indptr)
        row = np.repeat(np.arange(len(lengths)), lengths)
        column = np.arange(len(self.data)) - np.repeat(self.indptr[:-1], lengths)
        shape = (len(lengths), self.branching)
        successor = np.zeros(shape, np.int64)
        probability = np.zeros(shape)
        successor[row, column] = self.indices
        probability[row, column] = self.data
        return successor, probability, np.repeat(rewards.reshape(-1, 1), shape[1], axis=1)


@dataclass(frozen=True, eq=False)
class Deterministic(CheckedStorage):
    """One successor per pair, shape (S, A)."""

    successor: Int

    def __post_init__(self) -> None:
        """Take a copy of which every entry is a state."""
        successor = integers("P", self.successor)
        if successor.ndim != 2:
            raise ValueError(f"a deterministic P has shape (S, A), not {successor.shape}")
        _check_sizes(*successor.shape)
        _check_successors(successor, len(successor), successor.shape[1], lambda entry: entry)
        object.__setattr__(self, "successor", successor)

    @property
    def n_states(self) -> int:
        """Number of states, S."""
        return int(self.successor.shape[0])

    @property
    def n_actions(self) -> int:
        """Number of actions, A."""
        return int(self.successor.shape[1])

    @property
    def branching(self) -> int:
        """One successor per pair."""
        return 1

    @property
    def nbytes(self) -> int:
        """Memory of all arrays, in bytes."""
        return self.successor.nbytes

    def check(self) -> float:
        """Return 0: every pair has one successor."""
        return 0.0

    def reward_shape(self) -> tuple[int, int]:
        """Return (S, A)."""
        return self.n_states, self.n_actions

    def improve(
        self,
        rewards: Float,
        discount: float,
        values: Float,
        new_values: Float,
        policy: Int,
        table: Float32,
        first: int,
        last: int,
    ) -> None:
        """Fill `new_values` and `policy` with the maxima of Q and their actions, states `first` to `last` - 1."""
        dp.improve_deterministic(self.successor, rewards, discount, values, new_values, policy, table, first, last)

    def chain(self, rewards: Float, policy: Int, states: Int | None = None) -> Chain:
        """Return transitions and expected rewards of the pairs (states[i], policy[i])."""
        states = np.arange(self.n_states) if states is None else states
        successor = self.successor[states, policy].astype(np.int32)
        return Chain(np.arange(len(states) + 1), successor, np.ones(len(states)), rewards[states, policy])

    def backup(self, rewards: Float, discount: float, values: Float, q: Float) -> None:
        """Fill `q` (S, A) with rewards + discount * values of the successors."""
        dp.backup_deterministic(self.successor, rewards, discount, values, q)

    def branches(self, rewards: Float) -> tuple[Int, Float, Float]:
        """Return successors, probabilities and rewards of all branches, each (S*A, 1)."""
        column = (self.n_states * self.n_actions, 1)
        return self.successor.reshape(column), np.ones(column), rewards.reshape(column)


@dataclass(frozen=True, eq=False)
class ShiftRegister(CheckedStorage):
    """Transitions of a window meta-game: branch b of (s, a) leads to shifted[s] + offset[a, b].

    Branch b of (s, a) has probability[s, b], whatever the action. Rewards are a function of (a, b), shape (A, B),
    earned on the branch.

    Parameters
    ----------
    shifted : ndarray of int32, shape (S,)
    offset : ndarray of int32, shape (A, B)
    probability : ndarray of float64, shape (S, B)
    """

    shifted: NDArray[np.int32]
    offset: NDArray[np.int32]
    probability: Float

    def __post_init__(self) -> None:
        """Take copies of which every sum is a state."""
        shifted, offset = integers("shifted", self.shifted), integers("offset", self.offset)
        probability = floats("probability", self.probability)
        if shifted.ndim != 1 or offset.ndim != 2 or offset.size == 0:
            raise ValueError(f"shifted and offset have shapes {shifted.shape} and {offset.shape}: give (S,) and (A, B)")
        n_states, n_actions = len(shifted), len(offset)
        _check_sizes(n_states, n_actions)
        expected = (n_states, offset.shape[1])
        if probability.shape != expected:
            raise ValueError(f"probability has shape {probability.shape}, expected {expected}")
        for one, other in ((shifted.min(), offset.min()), (shifted.max(), offset.max())):
            # Python integers: the sum of two numbers of 64 bits may wrap.
            successor = int(one) + int(other)
            if not 0 <= successor < n_states:  # only now is it asked where: that takes a copy
                state, place = int((shifted == one).argmax()), int((offset == other).argmax())
                action, branch = divmod(place, offset.shape[1])
                raise ValueError(
                    f"branch {branch} of state {state}, action {action} leads to {successor}: "
                    f"states are 0 to {n_states - 1}"
                )
        for part in (shifted, offset):
            if max(-int(part.min()), int(part.max())) > MAX_STATES:
                raise ValueError(
                    f"shifted and offset hold {int(part.min())} to {int(part.max())}: give 32-bit integers"
                )
        for name, whole in (("shifted", shifted), ("offset", offset)):
            narrow = whole.astype(np.int32, copy=False)
            freeze(narrow)
            object.__setattr__(self, name, narrow)
        object.__setattr__(self, "probability", probability)

    @property
    def n_states(self) -> int:
        """Number of states, S."""
        return len(self.shifted)

    @property
    def n_actions(self) -> int:
        """Number of actions, A."""
        return int(self.offset.shape[0])

    @property
    def branching(self) -> int:
        """Number of joint actions of the opponents, B."""
        return int(self.offset.shape[1])

    @property
    def nbytes(self) -> int:
        """Memory of all arrays, in bytes."""
        return self.shifted.nbytes + self.offset.nbytes + self.probability.nbytes

    def check(self) -> float:
        """Return the largest distance of a row sum from 1, or raise ValueError."""
        worst = 0.0
        for first in range(0, self.n_states, ROWS):
            rows = self.probability[first : first + ROWS]
            row_of = functools.partial(self._row_of, first)
            worst = max(worst, _check_rows(rows, row_of, rows.sum(axis=1), 1, first))
        return worst

    def _row_of(self, first: int, entry: int) -> int:
        """Return the state of an entry of the rows from `first` on."""
        return first + entry // self.branching

    def reward_shape(self) -> tuple[int, int]:
        """Return (A, B): the reward is a function of the joint action."""
        return self.n_actions, self.branching

    def improve(
        self,
        rewards: Float,
        discount: float,
        values: Float,
        new_values: Float,
        policy: Int,
        table: Float32,
        first: int,
        last: int,
    ) -> None:
        """Fill `new_values` and `policy` with the maxima of Q and their actions, states `first` to `last` - 1."""
        dp.improve_shift(
            self.shifted,
            self.offset,
            self.probability,
            rewards,
            discount,
            values,
            new_values,
            policy,
            table,
            first,
            last,
        )

    def chain(self, rewards: Float, policy: Int, states: Int | None = None) -> Chain:
        """Return transitions and expected rewards of the pairs (states[i], policy[i])."""
        shifted, probability = self.shifted, self.probability
        if states is not None:
            shifted, probability = shifted[states], probability[states]
        start = self.branching * np.arange(len(policy) + 1)
        chain = Chain(start, np.empty(start[-1], np.int32), probability.ravel(), np.empty(len(policy)))
        dp.chain_shift(shifted, self.offset, probability, rewards, policy, chain.successor, chain.reward)
        return chain

    def backup(self, rewards: Float, discount: float, values: Float, q: Float) -> None:
        """Fill `q` (S, A) with the expected rewards + discount * transitions @ values."""
        dp.backup_shift(self.shifted, self.offset, self.probability, rewards, discount, values, q)

    def branches(self, rewards: Float) -> tuple[Int, Float, Float]:
        """Return successors, probabilities and rewards of all branches, each (S*A, B)."""
        shape = (self.n_states, self.n_actions, self.branching)
        rows = (shape[0] * shape[1], shape[2])
        successor = (self.shifted[:, None, None].astype(np.int64) + self.offset).reshape(rows)
        probability = np.broadcast_to(self.probability[:, None, :], shape).reshape(rows)
        return successor, probability, np.broadcast_to(rewards, shape).reshape(rows)


def _pair_name(n_actions: int) -> Callable[[int], str]:
    return lambda row: "state {}, action {}".format(*divmod(row, n_actions))


def _row_of(indptr: NDArray[Any], entry: int) -> int:
    """Return the row of an entry of a compressed matrix."""
    return int(np.searchsorted(indptr, entry, side="right")) - 1


def _compressed(given: Any, n_actions: int) -> Any:
    """Return a matrix (S*A, S) in compressed rows that nobody else holds.

    SciPy converts and sums with the indices that it finds, wherever they point: they are looked at before.
    """
    if not sp.issparse(given):
        return sp.csr_array(floats("P", given))
    rows: Any = given
    n_rows, n_states = rows.shape
    _check_sizes(n_states, n_rows // max(1, n_states))
    require_memory(16 * n_rows, "the rows of all pairs", "use fewer states")
    if rows.format != "csr":
        data, row, column = _listed(rows)
        if row.size and (row.min() < 0 or row.max() >= n_rows):
            bad = int(row[((row < 0) | (row >= n_rows)).argmax()])
            raise ValueError(f"a row of P is {bad}: rows are 0 to {n_rows - 1}, state * n_actions + action")
        _check_successors(column, n_states, n_actions, lambda entry: int(row[entry]))
        return sp.csr_array(sp.coo_array((data, (row, column)), rows.shape))
    indptr, indices, data = _compressed_parts(rows, n_rows, _pair_name(n_actions))
    _check_successors(indices, n_states, n_actions, lambda entry: _row_of(indptr, entry))
    data.setflags(write=True)  # duplicates are summed in place
    # Own, native, and of one width, or SciPy would copy them once more.
    width = np.int32 if max(len(data), n_rows) <= MAX_STATES else np.int64
    return sp.csr_array((data, indices.astype(width), indptr.astype(width)), rows.shape)


def _compressed_parts(matrix: Any, n_major: int, name: Callable[[int], str]) -> tuple[Any, Any, Float]:
    """Return pointers and indices of a csr, csc or bsr matrix as they are and a copy of its entries, sizes checked."""
    indptr, indices = _indices("indptr of P", matrix.indptr), _indices("indices of P", matrix.indices)
    if len(indices) != len(matrix.data):
        raise ValueError(f"P has {len(indices)} indices and {len(matrix.data)} entries: give as many of each")
    _check_pointers(indptr, n_major, len(indices), name)
    last = int(indptr[-1])  # what lies behind it is room that SciPy keeps
    return indptr, indices[:last], floats("P", matrix.data[:last])


def _listed(matrix: Any) -> tuple[Float, Int, Int]:
    """Return entries, rows and columns of a sparse matrix; SciPy's own conversions would trust its indices."""
    kind: str = matrix.format
    n_rows, n_columns = matrix.shape
    if kind == "coo":
        row, column = (
            integers(f"{name} of P", part) for name, part in zip(("rows", "columns"), matrix.coords, strict=True)
        )
        data = floats("P", matrix.data)
    elif kind in ("csc", "bsr"):
        height, width = matrix.blocksize if kind == "bsr" else (n_rows, 1)
        n_major = n_columns if kind == "csc" else n_rows // height
        what = "column" if kind == "csc" else "block row"
        indptr, indices, data = _compressed_parts(matrix, n_major, lambda major: f"{what} {major} of P")
        major, minor = (
            np.repeat(np.arange(n_major), np.diff(indptr.astype(np.int64))),
            integers("indices of P", indices),
        )
        if kind == "csc":
            row, column = minor, major
        elif data.shape[1:] != (height, width):
            raise ValueError(f"the blocks of P have shape {data.shape[1:]}, expected {(height, width)}")
        else:
            down, across = np.arange(height)[:, None], np.arange(width)
            row = np.broadcast_to(major[:, None, None] * height + down, data.shape)
            column = np.broadcast_to(minor[:, None, None] * width + across, data.shape)
    elif kind == "dia":
        data, offsets = floats("P", matrix.data), integers("offsets of P", matrix.offsets)
        if data.ndim != 2 or offsets.shape != data.shape[:1]:
            raise ValueError(f"P has {offsets.shape} offsets and diagonals of shape {data.shape}: give as many of each")
        column = np.broadcast_to(np.arange(data.shape[1]), data.shape)
        row = column - offsets[:, None]
        inside = (row >= 0) & (row < n_rows) & (column < n_columns)
        data, row, column = data[inside], row[inside], column[inside]
    elif kind == "lil":
        lengths = [len(columns) for columns in matrix.rows]
        if lengths != [len(entries) for entries in matrix.data]:
            raise ValueError("the rows of P do not fit together: give as many entries as columns in each")
        row = np.repeat(np.arange(n_rows), lengths)
        column = integers("columns of P", [i for columns in matrix.rows for i in columns] or np.zeros(0, np.int64))
        data = floats("P", [x for entries in matrix.data for x in entries])
    else:
        entries = list(matrix.items())
        places = integers("places of P", [place for place, _ in entries] or np.zeros((0, 2), np.int64))
        data, (row, column) = floats("P", [x for _, x in entries]), places.T
    if not row.shape == column.shape == data.shape:
        raise ValueError(f"P has {row.shape} rows, {column.shape} columns, {data.shape} entries: give as many of each")
    return data.ravel(), row.ravel(), column.ravel()


@dataclass(frozen=True, eq=False)
class _Foreign:
    """A storage from outside: what it computes is its own, what this package then indexes with is checked."""

    given: Any

    def __post_init__(self) -> None:
        """Check the sizes."""
        for name in ("n_states", "n_actions", "branching"):
            _checks.whole(f"{name} of the storage", getattr(self.given, name, None))
        _check_sizes(self.n_states, self.n_actions)

    @property
    def n_states(self) -> int:
        """Number of states, S."""
        return int(self.given.n_states)

    @property
    def n_actions(self) -> int:
        """Number of actions, A."""
        return int(self.given.n_actions)

    @property
    def branching(self) -> int:
        """Largest number of stored successors of a pair, B."""
        return int(self.given.branching)

    @property
    def nbytes(self) -> int:
        """Memory of all arrays, in bytes."""
        return int(self.given.nbytes)

    def check(self) -> float:
        """Return what the storage says of its rows."""
        defect = float(self.given.check())
        if not 0 <= defect <= ROW_SUM_TOL:
            raise ValueError(f"check() of the storage returns {defect!r}: row sums are at most {ROW_SUM_TOL} from 1")
        return defect

    def reward_shape(self) -> tuple[int, ...]:
        """Return the shape that rewards must have."""
        return tuple(self.given.reward_shape())

    def improve(
        self,
        rewards: Float,
        discount: float,
        values: Float,
        new_values: Float,
        policy: Int,
        table: Float32,
        first: int,
        last: int,
    ) -> None:
        """Let the storage fill `new_values` and `policy`."""
        self.given.improve(rewards, discount, values, new_values, policy, table, first, last)
        bad = (policy[first:last] < 0) | (policy[first:last] >= self.n_actions)
        if bad.any():
            state = first + int(bad.argmax())
            raise ValueError(
                f"improve() of the storage plays {policy[state]} in state {state}: actions are 0 to "
                f"{self.n_actions - 1}"
            )

    def backup(self, rewards: Float, discount: float, values: Float, q: Float) -> None:
        """Let the storage fill `q` (S, A)."""
        self.given.backup(rewards, discount, values, q)

    def chain(self, rewards: Float, policy: Int, states: Int | None = None) -> Chain:
        """Return transitions and expected rewards of the pairs (states[i], policy[i])."""
        start, successor, probability, reward = self.given.chain(rewards, policy, states)
        start, successor = integers("start of the chain", start), integers("successor of the chain", successor)
        probability, reward = floats("probability of the chain", probability), floats("reward of the chain", reward)
        _check_pointers(start, len(policy), len(successor), lambda row: f"row {row} of chain() of the storage")
        expected = ((int(start[-1]),),) * 2 + ((len(policy),),)
        if (successor.shape, probability.shape, reward.shape) != expected:
            raise ValueError(
                f"chain() of the storage returns shapes {successor.shape}, {probability.shape}, {reward.shape}, "
                f"expected {expected}"
            )
        here = np.arange(self.n_states) if states is None else states

        def pair(entry: int) -> int:
            i = _row_of(start, entry)
            return int(here[i] * self.n_actions + policy[i])

        _check_successors(successor, self.n_states, self.n_actions, pair)
        # Copies that can be written to: rows of a policy are exchanged where few actions change.
        return Chain(start, successor.astype(np.int32), np.array(probability), reward)

    def branches(self, rewards: Float) -> tuple[Int, Float, Float]:
        """Return successors, probabilities and rewards of all branches, each (S*A, B)."""
        successor, *others = self.given.branches(rewards)
        found = integers("successors of the branches", successor)
        probability, reward = (floats("numbers of the branches", part) for part in others)
        expected = (self.n_states * self.n_actions, self.branching)
        for part in (found, probability, reward):
            if part.shape != expected:
                raise ValueError(f"branches() of the storage returns shape {part.shape}, expected {expected}")
        _check_successors(found, self.n_states, self.n_actions, lambda entry: entry // self.branching)
        _check_rows(probability, lambda entry: entry // self.branching, probability.sum(axis=1), self.n_actions)
        return found, probability, reward


def _as_storage(transitions: Any, n_actions: int | None, allowed: Bool | None) -> Storage:
    storage: Storage
    if isinstance(transitions, Owned):
        storage = transitions.array
        return storage
    if isinstance(transitions, CheckedStorage):
        checked: Any = transitions
        storage = replace(checked)  # copies: its arrays may have been unlocked
        return storage
    if hasattr(transitions, "reward_shape"):
        storage = _Foreign(transitions)
        return storage
    if sp.issparse(transitions):
        matrix: Any = transitions
        rows, columns = matrix.shape if len(matrix.shape) == 2 else (0, 0)
        if columns == 0 or rows % columns or (n_actions is not None and rows != columns * n_actions):
            raise ValueError(f"a sparse P has shape (S*A, S), not {matrix.shape}")
        return Sparse.from_matrix(matrix, rows // columns)
    array = array_of("P", transitions)
    if array.ndim == 2 and array.dtype.kind in "iu" and array.size:
        if allowed is not None and allowed.shape == array.shape:
            array = np.where(allowed, array, np.arange(len(array))[:, None])
        return Deterministic(array)
    if array.ndim == 3 and array.dtype.kind in "biufO" and array.size and array.shape[0] == array.shape[2]:
        return Dense(array)
    raise ValueError(
        f"P is {array.dtype} of shape {array.shape}: give floats (S, A, S), a sparse matrix (S*A, S), "
        "integer successors (S, A), or a ShiftRegister"
    )


def _mask(given: object, rewards: Float) -> Bool | None:
    """Return which pairs (S, A) are allowed, or None where all are; a reward of -inf closes a pair too."""
    if given is None and rewards.size and rewards.min() > -np.inf:  # without a table of its own
        return None
    allowed: Bool = ~np.isneginf(rewards)
    if given is not None:
        mask = booleans("allowed", given)
        if mask.shape != allowed.shape:
            raise ValueError(f"allowed has shape {mask.shape}, expected {allowed.shape}")
        allowed &= mask
    if allowed.all():
        return None
    freeze(allowed)
    return allowed


def _closed(storage: Storage, allowed: Bool) -> Storage:
    """Return the storage with the row of every pair that is not allowed replaced by one that stays."""
    if not isinstance(storage, Dense | Sparse | Deterministic):
        raise ValueError(
            f"a {type(storage).__name__} cannot carry a mask of allowed actions, nor rewards of -inf, which mean the "
            "same: give P as a sparse matrix (S*A, S)"
        )
    if not allowed.any(axis=1).all():
        stuck = int(allowed.any(axis=1).argmin())
        raise ValueError(f"state {stuck} has no allowed action: allow at least one in every state")
    state, action = np.nonzero(~allowed)
    if isinstance(storage, Dense):
        transitions = storage.transitions.copy()
        transitions[state, action] = 0.0
        transitions[state, action, state] = 1.0
        return Dense(hand_over(transitions))
    if isinstance(storage, Deterministic):
        return storage  # its successors were replaced before they were looked at
    pair = state * storage.n_actions + action
    lengths = np.diff(storage.indptr)
    kept = np.repeat(allowed.ravel(), lengths)
    lengths[pair] = 1
    pointers = np.concatenate([[0], np.cumsum(lengths)])
    indices, data = np.empty(pointers[-1], np.int64), np.ones(pointers[-1])
    old = np.ones(pointers[-1], np.bool_)
    old[pointers[pair]] = False
    indices[old], data[old] = storage.indices[kept], storage.data[kept]
    indices[pointers[pair]] = state
    return Sparse(hand_over(pointers), hand_over(indices), hand_over(data), storage.n_actions)


def _law(given: object, n_states: int) -> Float:
    """Return the law of the first state of an episode, shape (S,)."""
    law = floats("starts", given)
    if law.shape != (n_states,):
        raise ValueError(f"starts has shape {law.shape}, expected {(n_states,)}: give a probability for every state")
    bad = ~((law >= 0) & (law <= 1 + ROW_SUM_TOL))
    if bad.any():
        state = int(bad.argmax())
        raise ValueError(f"the probability to start in state {state} is {law[state]}: probabilities lie in [0, 1]")
    if abs(law.sum() - 1) > ROW_SUM_TOL:
        raise ValueError(f"the probabilities of starts sum to {float(law.sum())!r}, not 1: divide them by their sum")
    return law


@dataclass(frozen=True, eq=False)
class TabularMDP:
    """A finite discounted MDP, validated once and read-only from then on.

    Parameters
    ----------
    P : array_like (S, A, S), sparse (S*A, S), integer array_like (S, A), or ShiftRegister
        Transition probabilities; integers are the successors of a deterministic MDP. Sparse row s * A + a holds the
        pair (s, a).
    R : array_like of float, shape (S, A); (A, B) for a ShiftRegister
        Expected reward per step; -inf where the action is not allowed.
    discount : float in [0, 1)
    observed : bool
        Whether one visit to a pair reveals its row, as in a policy meta-game, where the opponents' next policies are
        seen and how they are rounded is known (N4, T1'). It changes what an agent can learn, not the values.
    allowed : array_like of bool, shape (S, A), optional
        Which actions may be taken in which state; default: all whose reward is not -inf. What P and R hold at the other
        pairs does not matter: an empty row or NaN will do. Values, policies, agents and counts pass them over, and
        Q is -inf there. Theorems count all |S||A| pairs, which is an upper bound then. Not for a ShiftRegister.
    starts : array_like of float, shape (S,), optional
        Probability that an episode starts in each state; default: the same for all. It changes what an agent meets, not
        the values.

    Attributes
    ----------
    storage : Storage
        The transitions; `storage.improve` is the Bellman backup that all solvers use.
    rewards : ndarray of float64
        -inf at pairs that are not allowed.
    allowed : ndarray of bool, shape (S, A), or None where all actions are allowed
    starts : ndarray of float64, shape (S,), or None where episodes start uniformly
    row_defect : float
        Largest distance of a stored row's sum from 1; certificates account for it.

    Raises
    ------
    ValueError
        If shapes do not fit, an entry is negative or not finite, a row does not sum to 1 within 1e-9, a state has no
        allowed action, or the discount is outside [0, 1). The message names the row, the value and the mend.

    Examples
    --------
    Two states; action 0 stays, action 1 moves to the other; only staying in state 1 pays.

    >>> mdp = TabularMDP([[0, 1], [1, 0]], [[0.0, 0.0], [1.0, 0.0]], 0.5)
    >>> mdp.n_states, mdp.n_actions, mdp.branching
    (2, 2, 1)

    Where the second action of state 1 is not allowed, nothing else of it matters:

    >>> masked = TabularMDP([[0, 1], [1, -1]], [[0.0, 0.0], [1.0, 9.0]], 0.5, allowed=[[True, True], [True, False]])
    >>> masked.reward_range, masked.backup(np.zeros(2)).tolist()
    ((0.0, 1.0), [[0.0, 0.0], [1.0, -inf]])
    """

    P: InitVar[object]
    R: InitVar[object]
    discount: float
    observed: bool = False
    allowed: Bool | None = field(default=None, repr=False)
    starts: Float | None = field(default=None, repr=False)
    storage: Storage = field(init=False, repr=False)
    rewards: Float = field(init=False, repr=False)
    row_defect: float = field(init=False)

    def __post_init__(self, P: object, R: object) -> None:
        """Check everything and take read-only copies."""
        check_discount(self.discount)
        discount = float(self.discount)
        rewards = floats("R", R)
        allowed = _mask(self.allowed, rewards)
        storage = _as_storage(P, rewards.shape[1] if rewards.ndim == 2 else None, allowed)
        if rewards.shape != storage.reward_shape():
            raise ValueError(f"R has shape {rewards.shape}, expected {storage.reward_shape()}")
        if allowed is not None:
            storage = _closed(storage, allowed)
            rewards = np.where(allowed, rewards, -np.inf)
            freeze(rewards)
        # Extremes are NaN where an entry is; tables may be of gigabytes.
        open_pairs = True if allowed is None else allowed
        ends = rewards.min(where=open_pairs, initial=0.0), rewards.max(where=open_pairs, initial=0.0)
        if not np.isfinite(ends).all():
            row = tuple(int(i) for i in np.argwhere(np.isnan(rewards) | np.isposinf(rewards))[0])
            raise ValueError(f"the reward at {row} is {rewards[row]}: rewards must be finite")
        object.__setattr__(self, "discount", discount)
        object.__setattr__(self, "row_defect", storage.check())
        object.__setattr__(self, "storage", storage)
        object.__setattr__(self, "rewards", rewards)
        object.__setattr__(self, "allowed", allowed)
        if self.starts is not None:
            object.__setattr__(self, "starts", _law(self.starts, storage.n_states))

    def _repr_pretty_(self, printer: Any, cycle: bool) -> None:
        """Print the tables too, in notebooks and in Hypothesis' counterexamples, NumPy's way of abridging them."""
        more = "" if self.starts is None else f", starts={self.starts!r}"
        printer.text(f"TabularMDP({self.storage!r}, R={self.rewards!r}, discount={self.discount!r}{more})")

    @property
    def n_states(self) -> int:
        """Number of states, S."""
        return self.storage.n_states

    @property
    def n_actions(self) -> int:
        """Number of actions, A."""
        return self.storage.n_actions

    @property
    def branching(self) -> int:
        """Largest number of stored successors of a pair, B."""
        return self.storage.branching

    @property
    def reward_range(self) -> tuple[float, float]:
        """Smallest and largest reward per step of an action that is allowed."""
        low = self.rewards.min() if self.allowed is None else self.rewards[self.allowed].min()
        return float(low), float(self.rewards.max())

    @property
    def finite_rewards(self) -> Float:
        """The rewards, with 0 at pairs that are not allowed."""
        return self.rewards if self.allowed is None else np.where(self.allowed, self.rewards, 0.0)

    def keep_allowed(self, policy: Int) -> None:
        """Replace, in place, what is not allowed in a policy (S,) or (T, S) by the first action that is.

        A maximum of Q is allowed unless values leave the range of floats, and even then what is played has to be.
        """
        if self.allowed is not None:
            wrong = ~self.allowed[np.arange(self.n_states), policy]
            policy[wrong] = np.broadcast_to(self.allowed.argmax(axis=1), policy.shape)[wrong]

    @property
    def nbytes(self) -> int:
        """Memory of all arrays, in bytes."""
        return self.storage.nbytes + self.rewards.nbytes + (0 if self.allowed is None else self.allowed.nbytes)

    def backup(self, values: ArrayLike) -> Float:
        """Return Q = R + discount * P V, shape (S, A), of values (S,); -inf where an action is not allowed.

        Raises
        ------
        ValueError
            If there is not one value a state.
        MemoryError
            If that table does not fit this machine.
        """
        needed = 8 * self.n_states * (self.n_actions + 2)  # the values are copied, and once more to be writeable
        require_memory(needed, "a table of all action values", "use solve, which needs memory per state only")
        given = np.array(floats("values", values))  # kernels are compiled for arrays that can be written to
        if given.shape != (self.n_states,):
            raise ValueError(f"values have shape {given.shape}, expected {(self.n_states,)}")
        q = np.empty((self.n_states, self.n_actions))
        self.storage.backup(self.rewards, self.discount, given, q)
        return q
