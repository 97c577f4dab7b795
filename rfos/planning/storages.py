"""How the rows of an MDP are kept: dense, sparse, a table of successors, a shift register."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from rfos._kernels import dp
from rfos._system import checks
from rfos._system.arrays import (
    Float,
    Float32,
    Int,
    array_of,
    floats,
    freeze,
    hand_over,
    integers,
)
from rfos._system.memory import BLOCK_ROWS, require_memory
from rfos._system.threads import in_ranges

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


class Sweep(NamedTuple):
    """What a sweep over the states reads and fills; the arguments that all kernels of `improve` end with."""

    rewards: Float
    discount: float
    values: Float  # (S,)
    new_values: Float  # (S,), filled
    policy: Int  # (S,), filled
    table: Float32  # (S, A), filled with Q, or (0, A)


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

    def improve(self, sweep: Sweep, first: int, last: int) -> None:
        """For states `first` to `last` - 1, fill `new_values` with the maxima of Q and `policy` with their actions.

        Q is the one of `backup`, bit for bit; it is kept too if `sweep.table` is (S, A) and not (0, A). Threads call
        it for disjoint ranges at once: it holds no lock.
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


def thresholds(probability: Float) -> Int:
    """Return integer thresholds of the cumulative probabilities of each row (..., B), in units of 2^-53.

    Branch b is drawn by 53 random bits k with thresholds[b-1] <= k < thresholds[b]. Rows may sum to 1 only nearly;
    they are divided by their sum, or a draw above it would take the last branch, even one of probability 0.
    """
    cumulative = np.cumsum(probability, axis=-1)
    cumulative /= cumulative[..., -1:]
    result: Int = np.ceil(cumulative * 2.0**53).astype(np.int64)
    return result


def check_sizes(n_states: int, n_actions: int) -> None:
    """Raise ValueError unless there are states and actions, and successors fit 32-bit integers."""
    if n_states < 1 or n_actions < 1:
        raise ValueError(f"P has {n_states} states and {n_actions} actions: give at least one of each")
    if n_states > MAX_STATES:
        raise ValueError(f"P has {n_states} states, above the limit of {MAX_STATES}: merge or leave out states")


def check_successors(successor: NDArray[Any], n_states: int, n_actions: int, row_of: Callable[[int], int]) -> None:
    """Raise ValueError naming the first successor that is not a state; `row_of` maps a flat entry to its row."""
    if successor.size and (successor.min() < 0 or successor.max() >= n_states):
        entry = int(((successor < 0) | (successor >= n_states)).ravel().argmax())
        state, action = divmod(row_of(entry), n_actions)
        raise ValueError(
            f"the successor of state {state}, action {action} is {int(successor.flat[entry])}: "
            f"states are 0 to {n_states - 1}"
        )


def check_pointers(indptr: NDArray[Any], n_rows: int, n_entries: int, name: Callable[[int], str]) -> None:
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


def check_rows(entries: Float, row_of: Callable[[int], int], sums: Float, n_actions: int, first_row: int = 0) -> float:
    """Check stored probabilities and the `sums` (S*A,) of their rows; `row_of` maps a flat entry to its row.

    Where tables are checked in blocks, `first_row` is the row of the first sum.
    """
    bad = ~((entries >= 0) & (entries <= 1 + ROW_SUM_TOL))  # true for NaN as well
    if bad.any():
        # In (1.1, -0.1), which sums to 1, it is the negative one that is wrong.
        below = entries < 0
        entry = int((below if below.any() else bad).ravel().argmax())
        state, action = divmod(row_of(entry), n_actions)
        raise ValueError(
            f"a transition probability of state {state}, action {action} is {float(entries.flat[entry])!r}: "
            "probabilities lie in [0, 1], give ones of at least 0 that sum to 1"
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
        check_sizes(*transitions.shape[:2])
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
        return check_rows(self.transitions, lambda entry: entry // self.n_states, sums, self.n_actions)

    def reward_shape(self) -> tuple[int, int]:
        """Return (S, A)."""
        return self.n_states, self.n_actions

    def improve(self, sweep: Sweep, first: int, last: int) -> None:
        """Fill `new_values` and `policy` with the maxima of Q and their actions, states `first` to `last` - 1."""
        dp.improve_dense(self.transitions, *sweep, first, last)

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
        n_actions = checks.whole("n_actions", self.n_actions)
        indptr, columns = integers("indptr of P", self.indptr), integers("indices of P", self.indices)
        data = floats("data of P", self.data)
        n_states, over = divmod(len(indptr) - 1 if indptr.ndim == 1 else 0, n_actions)
        if over:
            raise ValueError(
                f"indptr of P has shape {indptr.shape}: with {n_actions} actions give S * {n_actions} + 1 numbers"
            )
        check_sizes(n_states, n_actions)
        if columns.shape != data.shape or columns.shape != (int(indptr[-1]),):
            raise ValueError(
                f"indices and data of P have shapes {columns.shape} and {data.shape}, indptr ends at "
                f"{int(indptr[-1])}: give as many of each"
            )
        check_pointers(indptr, len(indptr) - 1, len(columns), _pair_name(n_actions))
        check_successors(columns, n_states, n_actions, lambda entry: row_of(indptr, entry))
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
        return check_rows(self.data, lambda entry: int(row[entry]), sums, self.n_actions)

    def reward_shape(self) -> tuple[int, int]:
        """Return (S, A)."""
        return self.n_states, self.n_actions

    def improve(self, sweep: Sweep, first: int, last: int) -> None:
        """Fill `new_values` and `policy` with the maxima of Q and their actions, states `first` to `last` - 1."""
        dp.improve_sparse(self.indptr, self.indices, self.data, *sweep, first, last)

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
        check_sizes(*successor.shape)
        check_successors(successor, len(successor), successor.shape[1], lambda entry: entry)
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

    def improve(self, sweep: Sweep, first: int, last: int) -> None:
        """Fill `new_values` and `policy` with the maxima of Q and their actions, states `first` to `last` - 1."""
        dp.improve_deterministic(self.successor, *sweep, first, last)

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
        check_sizes(n_states, n_actions)
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
        for first in range(0, self.n_states, BLOCK_ROWS):
            rows = self.probability[first : first + BLOCK_ROWS]
            row_of = functools.partial(self._stored_row, first)
            worst = max(worst, check_rows(rows, row_of, rows.sum(axis=1), 1, first))
        return worst

    def _stored_row(self, first: int, entry: int) -> int:
        """Return the state of an entry of the rows from `first` on."""
        return first + entry // self.branching

    def reward_shape(self) -> tuple[int, int]:
        """Return (A, B): the reward is a function of the joint action."""
        return self.n_actions, self.branching

    def improve(self, sweep: Sweep, first: int, last: int) -> None:
        """Fill `new_values` and `policy` with the maxima of Q and their actions, states `first` to `last` - 1."""
        dp.improve_shift(
            self.shifted,
            self.offset,
            self.probability,
            *sweep,
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


def row_of(indptr: NDArray[Any], entry: int) -> int:
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
    check_sizes(n_states, n_rows // max(1, n_states))
    require_memory(16 * n_rows, "the rows of all pairs", "use fewer states")
    if rows.format != "csr":
        data, row, column = _listed(rows)
        if row.size and (row.min() < 0 or row.max() >= n_rows):
            bad = int(row[((row < 0) | (row >= n_rows)).argmax()])
            raise ValueError(f"a row of P is {bad}: rows are 0 to {n_rows - 1}, state * n_actions + action")
        check_successors(column, n_states, n_actions, lambda entry: int(row[entry]))
        return sp.csr_array(sp.coo_array((data, (row, column)), rows.shape))
    indptr, indices, data = _compressed_parts(rows, n_rows, _pair_name(n_actions))
    check_successors(indices, n_states, n_actions, lambda entry: row_of(indptr, entry))
    data.setflags(write=True)  # duplicates are summed in place
    # Own, native, and of one width, or SciPy would copy them once more.
    width = np.int32 if max(len(data), n_rows) <= MAX_STATES else np.int64
    return sp.csr_array((data, indices.astype(width), indptr.astype(width)), rows.shape)


def _compressed_parts(matrix: Any, n_major: int, name: Callable[[int], str]) -> tuple[Any, Any, Float]:
    """Return pointers and indices of a csr, csc or bsr matrix as they are and a copy of its entries, sizes checked."""
    indptr, indices = _indices("indptr of P", matrix.indptr), _indices("indices of P", matrix.indices)
    if len(indices) != len(matrix.data):
        raise ValueError(f"P has {len(indices)} indices and {len(matrix.data)} entries: give as many of each")
    check_pointers(indptr, n_major, len(indices), name)
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
