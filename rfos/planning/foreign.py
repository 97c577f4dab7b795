"""Storages that a user wrote, and matrices that he gives: each answer is checked before a kernel indexes with it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import scipy.sparse as sp

from rfos._system import checks
from rfos._system.arrays import (
    Bool,
    Float,
    Int,
    Owned,
    array_of,
    floats,
    integers,
)
from rfos.planning.storages import (
    ROW_SUM_TOL,
    Chain,
    CheckedStorage,
    Dense,
    Deterministic,
    Sparse,
    Storage,
    Sweep,
    check_pointers,
    check_rows,
    check_sizes,
    check_successors,
    row_of,
)


@dataclass(frozen=True, eq=False)
class _Foreign:
    """A storage from outside: what it computes is its own, what this package then indexes with is checked."""

    given: Any

    def __post_init__(self) -> None:
        """Check the sizes."""
        for name in ("n_states", "n_actions", "branching"):
            checks.whole(f"{name} of the storage", getattr(self.given, name, None))
        check_sizes(self.n_states, self.n_actions)

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

    def improve(self, sweep: Sweep, first: int, last: int) -> None:
        """Let the storage fill `new_values` and `policy`."""
        self.given.improve(sweep, first, last)
        policy = sweep.policy
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
        check_pointers(start, len(policy), len(successor), lambda row: f"row {row} of chain() of the storage")
        expected = ((int(start[-1]),),) * 2 + ((len(policy),),)
        if (successor.shape, probability.shape, reward.shape) != expected:
            raise ValueError(
                f"chain() of the storage returns shapes {successor.shape}, {probability.shape}, {reward.shape}, "
                f"expected {expected}"
            )
        here = np.arange(self.n_states) if states is None else states

        def pair(entry: int) -> int:
            i = row_of(start, entry)
            return int(here[i] * self.n_actions + policy[i])

        check_successors(successor, self.n_states, self.n_actions, pair)
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
        check_successors(found, self.n_states, self.n_actions, lambda entry: entry // self.branching)
        check_rows(probability, lambda entry: entry // self.branching, probability.sum(axis=1), self.n_actions)
        return found, probability, reward


def as_storage(transitions: Any, n_actions: int | None, allowed: Bool | None) -> Storage:
    """Return the storage that keeps the transitions as they were given."""
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
