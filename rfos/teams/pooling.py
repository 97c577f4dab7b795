"""Rows of a team problem that a learner may count together, because the task says that they are the same (M8)."""

from __future__ import annotations

from typing import Any

import numpy as np
import scipy.sparse as sp

from rfos._system.arrays import Float, Int, freeze
from rfos._system.memory import require_memory


def every_row(n_states: int, n_joint_actions: int) -> Int:
    """Return the keys of a problem without structure: each pair is a row of its own, shape (S*A,).

    Examples
    --------
    >>> every_row(2, 2).tolist()
    [0, 1, 2, 3]
    """
    keys = np.arange(n_states * n_joint_actions, dtype=np.int64)
    freeze(keys)
    return keys


def keys_of_one(who: Int, n_actions: tuple[int, ...]) -> Int:
    """Return the keys of a problem in which one agent's action counts, and which agent it is depends on the state.

    M8-pool with kappa(s, a) = the action of agent who[s]: keys are numbered by state, and in it by that action.

    Parameters
    ----------
    who : ndarray of int, shape (S,)
        The agent whose action counts in a state; -1: nobody's does.
    n_actions : tuple of int
        Of each agent.

    Returns
    -------
    ndarray of int64, shape (S*A,)
        Key of pair (s, a) at s * A + a, from 0 without gaps.

    Examples
    --------
    Two agents with two actions: in state 0 the second agent's counts, in state 1 nobody's.

    >>> keys_of_one(np.array([1, -1]), (2, 2)).tolist()
    [0, 1, 0, 1, 2, 2, 2, 2]
    """
    digits = np.indices(n_actions).reshape(len(n_actions), -1)
    own = np.vstack([digits, np.zeros_like(digits[:1])])[who]  # (S, A); agent -1 is the last row
    counts = np.array([*n_actions, 1])[who]
    keys: Int = (own + (np.cumsum(counts) - counts)[:, None]).reshape(-1).astype(np.int64)
    freeze(keys)
    return keys


def spread(keys: Int, rows: Any, rewards: Float) -> tuple[Any, Float]:
    """Return W and R of all pairs from the rows and rewards of their keys.

    Parameters
    ----------
    keys : ndarray of int, shape (S*A,)
    rows : sparse array, shape (K, S*O)
    rewards : ndarray of float, shape (K,)

    Returns
    -------
    W : sparse array, shape (S*A, S*O)
    R : ndarray of float64, shape (S*A,)

    Raises
    ------
    MemoryError
        If W does not fit this machine.

    Examples
    --------
    >>> W, R = spread(np.array([0, 0, 1]), sp.csr_array(np.eye(2)), np.array([0.5, 1.0]))
    >>> W.toarray().tolist(), R.tolist()
    ([[1.0, 0.0], [1.0, 0.0], [0.0, 1.0]], [0.5, 0.5, 1.0])
    """
    table = sp.csr_array(rows)
    entries = int(np.diff(table.indptr)[keys].sum())
    # W here and compressed again by the team, with rows, columns and the marks of its checks.
    require_memory(96 * entries + 64 * len(keys), "the law of state and observation", "choose smaller sizes")
    return table[keys], rewards[keys]
