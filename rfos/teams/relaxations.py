"""Upper bounds for a team from problems in which more is known: Q_MDP, Q_POMDP and Q_BG.

Each gives, for the law of the state that the joint history leaves, what each joint action may still bring. They are
ordered: value of the team <= Q_BG <= Q_POMDP <= Q_MDP (Oliehoek, Spaan and Vlassis 2008).
"""

from __future__ import annotations

import math
import time
from typing import Protocol

import numpy as np
import scipy.sparse as sp

from rfos._kernels import teams as kernels
from rfos._system.arrays import Float, Int
from rfos.teams.model import DecPOMDP, split_index

DIGITS = 12
"""Laws of the state that agree to so many digits are looked up as one; what they differ by is measured and paid for."""

CHUNK = 2**22
"""Numbers that a temporary table may hold."""

MOST_DENSE = 2**21
"""Numbers in the largest law of state and observation that is held as a full table."""

MOST_COMPLETIONS = 2000
"""Most partly chosen rules that Q_BG goes through for a law of the state and a joint action; then it takes a bound."""

GAMES = 2**10
"""Games that are solved between two looks at the clock."""


class BudgetError(RuntimeError):
    """A relaxation would take more beliefs or more time than it may."""


class Relaxation(Protocol):
    """An upper bound for what a joint action may bring from a step on.

    Attributes
    ----------
    name : str
    apart : float
        Largest sum of differences between two laws of the state that were looked up as one.
    deadline : float
        Of `time.monotonic`.
    """

    name: str
    apart: float
    deadline: float

    def values(self, step: int, rows: Float) -> Float:
        """Return an upper bound for each joint action.

        Parameters
        ----------
        step : int
        rows : ndarray of float64, shape (J, S)
            Laws of the state, times any weight.

        Returns
        -------
        ndarray of float64, shape (J, A)
            Times the same weight; discounted to the step.
        """
        ...


class QMDP:
    """Everyone sees the state: backward induction, H * S * A * B operations.

    Attributes
    ----------
    q : tuple of ndarray of float64, shape (S, A)
        Of each step.

    Examples
    --------
    >>> team = DecPOMDP(np.full((2, 4, 2, 1), 0.5), [[1, 0, 0, 0], [0, 0, 0, 1]], (2, 2), (1, 1), horizon=2)
    >>> QMDP(team).values(0, np.array([[0.5, 0.5]])).tolist()
    [[1.5, 1.0, 1.0, 1.5]]
    """

    name = "Q_MDP"

    def __init__(self, team: DecPOMDP) -> None:
        """Solve the MDP."""
        self.apart, self.deadline = 0.0, math.inf
        self.q: tuple[Float, ...] = backward(team)

    def values(self, step: int, rows: Float) -> Float:
        """Return the bounds (see `Relaxation`)."""
        return np.asarray(rows @ self.q[step])


def backward(team: DecPOMDP) -> tuple[Float, ...]:
    """Return the action values of the MDP whose states are seen, for each step, by backward induction."""
    found = [team.rewards]
    for _ in range(team.horizon - 1):
        ahead = team.transitions @ found[-1].max(axis=1)
        found.append(team.rewards + team.discount * ahead.reshape(team.rewards.shape))
    return tuple(reversed(found))


class QPOMDP:
    """Everyone sees what everyone sees: dynamic programming over the laws of the state that can come up.

    Parameters
    ----------
    team : DecPOMDP
    most : int
        Laws of the state that may be kept.
    deadline : float
        Of `time.monotonic`.

    Raises
    ------
    BudgetError
        From `values`, when that is not enough.

    Examples
    --------
    Observing nothing, a second guess is as good as the first:

    >>> team = DecPOMDP(np.full((2, 4, 2, 1), 0.5), [[1, 0, 0, 0], [0, 0, 0, 1]], (2, 2), (1, 1), horizon=2)
    >>> QPOMDP(team).values(0, np.array([[0.5, 0.5]])).tolist()
    [[1.0, 0.5, 0.5, 1.0]]
    """

    name = "Q_POMDP"

    def __init__(self, team: DecPOMDP, most: int = 10**6, deadline: float = math.inf) -> None:
        """Lay out the law of state and observation; nothing is solved yet."""
        self.apart = 0.0
        self.deadline = deadline
        self._team, self._most, self._kept = team, most, 0
        self._memo: list[dict[bytes, tuple[Float, Float]]] = [{} for _ in range(team.horizon)]
        b, n, a, o = team.branches, team.n_states, team.n_joint_actions, team.n_joint_observations
        self._shape = (a, o, n)
        row = np.repeat(np.arange(n * a), np.diff(b.pointer))
        state, action = np.divmod(row, a)
        column = (action * o + b.observation) * n + b.state
        # Laws of next state and observation by joint action: row s, column (a, o, s').
        moves = sp.csr_array((b.probability, (state, column)), (n, a * o * n))
        self._moves = moves.toarray() if n * a * o * n <= MOST_DENSE else moves

    def values(self, step: int, rows: Float) -> Float:
        """Return the bounds (see `Relaxation`)."""
        team = self._team
        now = np.asarray(rows @ team.rewards)
        if step == team.horizon - 1 or team.discount == 0:
            return now
        chunk = max(1, CHUNK // math.prod(self._shape))
        if step == team.horizon - 2:
            ahead = [self._ahead(step, rows[k : k + chunk]) for k in range(0, len(rows), chunk)]
            return np.asarray(now + team.discount * np.concatenate(ahead))
        mass = rows.sum(axis=1)
        found = np.zeros_like(now)
        there = np.flatnonzero(mass > 0)
        laws = rows[there] / mass[there, None]
        keys = np.round(laws, DIGITS) + 0.0  # no negative zeros
        memo = self._memo[step]
        names = [key.tobytes() for key in keys]
        missing = {name: k for k, name in enumerate(names) if name not in memo}
        if missing:
            new = np.array(list(missing.values()))
            self._kept += len(new)
            for start in range(0, len(new), chunk):
                if self._kept > self._most or time.monotonic() > self.deadline:
                    raise BudgetError(f"{self.name} takes too many laws of the state")
                part = new[start : start + chunk]
                value = laws[part] @ team.rewards + team.discount * self._ahead(step, laws[part])
                for k, q in zip(part, value, strict=True):
                    memo[names[k]] = (laws[k].copy(), q)
        entries = [memo[name] for name in names]
        self.apart = max(
            self.apart, float(np.abs(np.array([entry[0] for entry in entries]) - laws).sum(axis=1).max(initial=0.0))
        )
        found[there] = np.array([entry[1] for entry in entries]).reshape(len(there), -1) * mass[there, None]
        return found

    def _ahead(self, step: int, rows: Float) -> Float:
        """Return what may come after each joint action, shape (J, A)."""
        a, o, n = self._shape
        following = np.asarray(rows @ self._moves).reshape(-1, n)
        there = np.flatnonzero(following.any(axis=1))
        q = np.zeros((len(following), a))
        q[there] = self.values(step + 1, following[there])
        return self._best(q.reshape(len(rows), a, o, a))

    def _best(self, q: Float) -> Float:
        """Return what is best after each joint action, given action values after each joint observation."""
        return np.asarray(q.max(axis=3).sum(axis=2))


class QBG(QPOMDP):
    """Everyone learns what everyone saw, one step late: a team Bayesian game for each law of the state.

    A game that takes too many rules is bounded by the largest that was left open, which is at most what Q_POMDP says.

    Parameters
    ----------
    team : DecPOMDP
    most : int
    deadline : float

    Raises
    ------
    BudgetError
        From `values`, when that is not enough.

    Examples
    --------
    >>> team = DecPOMDP(np.full((2, 4, 2, 1), 0.5), [[1, 0, 0, 0], [0, 0, 0, 1]], (2, 2), (1, 1), horizon=2)
    >>> QBG(team).values(0, np.array([[0.5, 0.5]])).tolist()
    [[1.0, 0.5, 0.5, 1.0]]
    """

    name = "Q_BG"

    def __init__(self, team: DecPOMDP, most: int = 10**6, deadline: float = math.inf) -> None:
        """Lay out the games."""
        super().__init__(team, most, deadline)
        agents = sorted(range(team.n_agents), key=lambda i: team.n_observations[i] * math.log(team.n_actions[i]))
        seen = [split_index(o, team.n_observations) for o in range(team.n_joint_observations)]
        done = [split_index(a, team.n_actions) for a in range(team.n_joint_actions)]
        self._histories: Int = np.array(seen, np.int64).T[agents].copy()
        self._parts: Int = np.array(done, np.int64).T[agents].copy()
        sizes = [team.n_observations[i] for i in agents[:-1]]
        self._offsets: Int = np.cumsum([0, *sizes])[:-1].astype(np.int64)
        self._choices: Int = np.repeat([team.n_actions[i] for i in agents[:-1]], sizes).astype(np.int64)
        last = agents[-1]
        self._table = np.zeros((team.n_observations[last], team.n_actions[last]))
        self._bounds = np.zeros((len(self._choices), max(team.n_actions)))

    def _best(self, q: Float) -> Float:
        flat = np.ascontiguousarray(q.reshape(-1, *q.shape[2:]))
        chosen = np.zeros(len(self._choices), np.int64)
        best = np.empty(len(flat))
        for start in range(0, len(flat), GAMES):
            if time.monotonic() > self.deadline:
                raise BudgetError(f"{self.name} takes too long")
            kernels.solve_games(
                flat[start : start + GAMES], self._histories, self._parts, self._offsets, self._choices, chosen,
                self._table, self._bounds, MOST_COMPLETIONS, best[start : start + GAMES],
            )  # fmt: skip
        return best.reshape(q.shape[:2])
