"""TabularMDP: one frozen, validated container for finite MDPs, whatever their transitions are stored as."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import InitVar, dataclass, field
from typing import Any, NamedTuple, Protocol

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from rfos._kernels import dp
from rfos._memory import require_memory
from rfos._threads import in_ranges

Float = NDArray[np.float64]
Float32 = NDArray[np.float32]
Int = NDArray[np.int64]

ROW_SUM_TOL = 1e-9
"""How far a row of transition probabilities may sum from 1; the certificates of `planning` account for it."""


class Chain(NamedTuple):
    """Rows of some pairs, of a policy one per state: row i holds the entries start[i] to start[i+1] - 1."""

    start: Int  # (K+1,) int64
    successor: NDArray[np.int32]  # (nnz,)
    probability: Float  # (nnz,)
    reward: Float  # (K,) expected reward per step


class Storage(Protocol):
    """Transitions of an MDP, however they are kept.

    Iterative solvers need `improve` and `chain` only: neither takes memory per pair, so rows may be computed on the
    fly. `backup` and `branches` are for MDPs of which a table (S, A) fits.
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

    def reward_shape(self) -> tuple[int, int]:
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


def _read_only(array: NDArray[np.generic]) -> None:
    array.setflags(write=False)


def _frozen(array: NDArray[Any]) -> NDArray[Any]:
    """Return the array itself if it is read-only, else a read-only copy."""
    if array.flags.writeable:
        array = array.copy()
        _read_only(array)
    return array


def check_discount(discount: float) -> None:
    """Raise ValueError unless the discount lies in [0, 1)."""
    if not 0 <= discount < 1:
        raise ValueError(f"discount is {discount!r}: give a number in [0, 1)")


def thresholds(probability: Float) -> Int:
    """Return integer thresholds of the cumulative probabilities of each row (..., B), in units of 2^-53.

    Branch b is drawn by 53 random bits k with thresholds[b-1] <= k < thresholds[b]. Rows may sum to 1 only nearly;
    they are divided by their sum, or a draw above it would take the last branch, even one of probability 0.
    """
    cumulative = np.cumsum(probability, axis=-1)
    cumulative /= cumulative[..., -1:]
    result: Int = np.ceil(cumulative * 2.0**53).astype(np.int64)
    return result


def _check_rows(entries: Float, row_of: Callable[[int], int], sums: Float, n_actions: int) -> float:
    """Check stored probabilities and the `sums` (S*A,) of their rows; `row_of` maps a flat entry to its row."""
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
        state, action = divmod(worst, n_actions)
        raise ValueError(
            f"the transition probabilities of state {state}, action {action} sum to {float(sums[worst])!r}, "
            "not 1: divide the row by its sum"
        )
    return float(defect[worst])


@dataclass(frozen=True, eq=False)
class Dense:
    """Transitions as an array, shape (S, A, S)."""

    transitions: Float

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
class Sparse:
    """Transitions as compressed rows s * n_actions + a: `indptr` (S*A+1,), `indices` (nnz,), `data` (nnz,)."""

    indptr: Int
    indices: NDArray[np.int32]
    data: Float
    n_actions: int

    @classmethod
    def from_matrix(cls, rows: Any, n_actions: int) -> Sparse:
        """Copy a dense or sparse matrix (S*A, S), duplicates summed."""
        matrix: Any = sp.csr_array(rows, dtype=np.float64, copy=True)
        matrix.sum_duplicates()
        parts = (matrix.indptr.astype(np.int64), matrix.indices.astype(np.int32), matrix.data)
        for part in parts:
            _read_only(part)
        return cls(*parts, n_actions)

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
class Deterministic:
    """One successor per pair, shape (S, A)."""

    successor: Int

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
        """Return 0, or raise ValueError naming the first successor that is no state."""
        bad = (self.successor < 0) | (self.successor >= self.n_states)
        if bad.any():
            state, action = (int(i) for i in np.argwhere(bad)[0])
            raise ValueError(
                f"the successor of state {state}, action {action} is {self.successor[state, action]}: "
                f"states are 0 to {self.n_states - 1}"
            )
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
class ShiftRegister:
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
        if self.probability.shape != (self.n_states, self.branching):
            raise ValueError(
                f"probability has shape {self.probability.shape}, expected {(self.n_states, self.branching)}"
            )
        ends = (
            int(self.shifted.min()) + int(self.offset.min()),
            int(self.shifted.max()) + int(self.offset.max()),
        )
        if ends[0] < 0 or ends[1] >= self.n_states:
            raise ValueError(f"successors run from {ends[0]} to {ends[1]}: states are 0 to {self.n_states - 1}")
        return _check_rows(self.probability, lambda entry: entry // self.branching, self.probability.sum(axis=1), 1)

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


def _as_storage(transitions: Any, n_actions: int | None) -> Storage:
    if isinstance(transitions, Dense | Sparse | Deterministic | ShiftRegister):
        parts: dict[str, Any] = {
            k: _frozen(v) if isinstance(v, np.ndarray) else v for k, v in vars(transitions).items()
        }
        return type(transitions)(**parts)
    if hasattr(transitions, "reward_shape"):  # another storage, such as the table of a policy meta-game
        storage: Storage = transitions
        return storage
    if sp.issparse(transitions):
        matrix: Any = transitions
        rows, columns = matrix.shape
        if columns == 0 or rows % columns or (n_actions is not None and rows != columns * n_actions):
            raise ValueError(f"a sparse P has shape (S*A, S), not {(rows, columns)}")
        return Sparse.from_matrix(matrix, rows // columns)
    array = np.asarray(transitions)
    if array.ndim == 2 and array.dtype.kind in "iu" and array.size:
        successor = array.astype(np.int64)
        _read_only(successor)
        return Deterministic(successor)
    if array.ndim == 3 and array.dtype.kind in "fiu" and array.size and array.shape[0] == array.shape[2]:
        dense = np.array(array, np.float64)
        _read_only(dense)
        return Dense(dense)
    raise ValueError(
        f"P is {array.dtype} of shape {array.shape}: give floats (S, A, S), a sparse matrix (S*A, S), "
        "integer successors (S, A), or a ShiftRegister"
    )


@dataclass(frozen=True, eq=False)
class TabularMDP:
    """A finite discounted MDP, validated once and read-only from then on.

    Parameters
    ----------
    P : array_like (S, A, S), sparse (S*A, S), integer array_like (S, A), or ShiftRegister
        Transition probabilities; integers are the successors of a deterministic MDP. Sparse row s * A + a holds the
        pair (s, a).
    R : array_like of float, shape (S, A); (A, B) for a ShiftRegister
        Expected reward per step.
    discount : float in [0, 1)
    observed : bool
        Whether one visit to a pair reveals its row, as in a policy meta-game, where the opponents' next policies are
        seen and how they are rounded is known (N4, T1'). It changes what an agent can learn, not the values.

    Attributes
    ----------
    storage : Storage
        The transitions; `storage.improve` is the Bellman backup that all solvers use.
    rewards : ndarray of float64
    row_defect : float
        Largest distance of a stored row's sum from 1; certificates account for it.

    Raises
    ------
    ValueError
        If shapes do not fit, an entry is negative or not finite, a row does not sum to 1 within 1e-9, or the
        discount is outside [0, 1). The message names the row, the value and the mend.

    Examples
    --------
    Two states; action 0 stays, action 1 moves to the other; only staying in state 1 pays.

    >>> mdp = TabularMDP([[0, 1], [1, 0]], [[0.0, 0.0], [1.0, 0.0]], 0.5)
    >>> mdp.n_states, mdp.n_actions, mdp.branching
    (2, 2, 1)
    """

    P: InitVar[object]
    R: InitVar[object]
    discount: float
    observed: bool = False
    storage: Storage = field(init=False, repr=False)
    rewards: Float = field(init=False, repr=False)
    row_defect: float = field(init=False)

    def __post_init__(self, P: object, R: object) -> None:
        """Check everything and take read-only copies."""
        discount = float(self.discount)
        check_discount(discount)
        rewards: Any = R
        if not (isinstance(R, np.ndarray) and R.dtype.kind == "f" and not R.flags.writeable):
            rewards = np.array(R, np.float64)  # read-only tables of rewards are large: they are not copied
        storage = _as_storage(P, rewards.shape[1] if rewards.ndim == 2 else None)
        if rewards.shape != storage.reward_shape():
            raise ValueError(f"R has shape {rewards.shape}, expected {storage.reward_shape()}")
        if not np.isfinite(rewards).all():
            row = tuple(int(i) for i in np.argwhere(~np.isfinite(rewards))[0])
            raise ValueError(f"the reward at {row} is {rewards[row]}: rewards must be finite")
        _read_only(rewards)
        object.__setattr__(self, "discount", discount)
        object.__setattr__(self, "row_defect", storage.check())
        object.__setattr__(self, "storage", storage)
        object.__setattr__(self, "rewards", rewards)

    def _repr_pretty_(self, printer: Any, cycle: bool) -> None:
        """Print the tables too, in notebooks and in Hypothesis' counterexamples, NumPy's way of abridging them."""
        printer.text(f"TabularMDP({self.storage!r}, R={self.rewards!r}, discount={self.discount!r})")

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
        """Smallest and largest reward per step."""
        return float(self.rewards.min()), float(self.rewards.max())

    @property
    def nbytes(self) -> int:
        """Memory of all arrays, in bytes."""
        return self.storage.nbytes + self.rewards.nbytes

    def backup(self, values: Float) -> Float:
        """Return Q = R + discount * P V, shape (S, A), of values (S,).

        Raises
        ------
        MemoryError
            If that table does not fit this machine.
        """
        needed = 8 * self.n_states * self.n_actions
        require_memory(needed, "a table of all action values", "use solve, which needs memory per state only")
        q = np.empty((self.n_states, self.n_actions))
        self.storage.backup(self.rewards, self.discount, np.ascontiguousarray(values, np.float64), q)
        return q
