"""A tabular Markov decision process."""

from __future__ import annotations

import math
from dataclasses import InitVar, dataclass, field
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from rfos._system import checks
from rfos._system.arrays import Bool, Float, Int, booleans, floats, freeze, hand_over
from rfos._system.memory import require_memory
from rfos.planning.foreign import as_storage
from rfos.planning.storages import ROW_SUM_TOL, Dense, Deterministic, ShiftRegister, Sparse, Storage, thresholds


def check_discount(discount: float) -> None:
    """Raise ValueError unless the discount lies in [0, 1)."""
    if not 0 <= checks.number(discount) < 1:
        raise ValueError(f"discount is {checks.shown(discount)}: give a number in [0, 1)")


def _mask(given: object, rewards: Float) -> Bool | None:
    """Return which pairs (S, A) are allowed, or None where all are; a reward of -inf closes a pair too."""
    if given is None and rewards.size and rewards.min() > -np.inf:  # without a table of its own
        return None
    allowed: Bool = ~np.isneginf(rewards)
    if given is not None:
        mask = booleans("allowed", given)
        if mask.shape != allowed.shape:
            raise ValueError(
                f"allowed has shape {mask.shape}, expected {allowed.shape}: give True or False for every pair (S, A)"
            )
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
        state = int(((law < 0) if (law < 0).any() else bad).argmax())
        raise ValueError(
            f"the probability to start in state {state} is {law[state]}: probabilities lie in [0, 1], give ones of at "
            "least 0 that sum to 1"
        )
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
    row_feedback : bool
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
    row_feedback: bool = False
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
        storage = as_storage(P, rewards.shape[1] if rewards.ndim == 2 else None, allowed)
        if rewards.shape != storage.reward_shape():
            expected = storage.reward_shape()
            mend = f"give one expected reward for each of them, shape {expected}"
            if rewards.ndim == 3 and rewards.shape[:2] == expected:
                mend = "give the expected reward of each pair, (P * R).sum(axis=2) where R is by successor"
            raise ValueError(f"R has shape {rewards.shape}, expected {expected}: {mend}")
        if allowed is not None:
            storage = _closed(storage, allowed)
            rewards = np.where(allowed, rewards, -np.inf)
            freeze(rewards)
        # Extremes are NaN where an entry is; tables may be of gigabytes.
        open_pairs = True if allowed is None else allowed
        ends = rewards.min(where=open_pairs, initial=0.0), rewards.max(where=open_pairs, initial=0.0)
        if not np.isfinite(ends).all():
            row = tuple(int(i) for i in np.argwhere(np.isnan(rewards) | np.isposinf(rewards))[0])
            raise ValueError(
                f"the reward at {row} is {rewards[row]}: rewards must be finite, or -inf at what is not allowed"
            )
        object.__setattr__(self, "discount", discount)
        object.__setattr__(self, "row_defect", storage.check())
        object.__setattr__(self, "storage", storage)
        object.__setattr__(self, "rewards", rewards)
        object.__setattr__(self, "allowed", allowed)
        if self.starts is not None:
            object.__setattr__(self, "starts", _law(self.starts, storage.n_states))

    def __repr__(self) -> str:
        """Return the sizes on one line.

        Examples
        --------
        >>> TabularMDP([[0, 1], [1, 0]], [[0.0, 0.0], [1.0, 0.0]], 0.5)
        <TabularMDP: 2 states, 2 actions, 1 successor of a pair at most, discount 0.5>
        """
        counts = [(self.n_states, "state"), (self.n_actions, "action"), (self.branching, "successor")]
        states, actions, successors = (f"{count} {what}{'s' * (count != 1)}" for count, what in counts)
        said = [states, actions, f"{successors} of a pair at most", f"discount {self.discount!r}"]
        if self.allowed is not None:
            said.append(f"{np.count_nonzero(~self.allowed)} pairs not allowed")
        if self.row_feedback:
            said.append("a visit reveals the row")
        return f"<TabularMDP: {', '.join(said)}>"

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
            raise ValueError(f"values have shape {given.shape}, expected {(self.n_states,)}: give one for each state")
        q = np.empty((self.n_states, self.n_actions))
        self.storage.backup(self.rewards, self.discount, given, q)
        return q

    def row(self, state: int, action: int) -> Float:
        """Return the law of the next state, shape (S,).

        Raises
        ------
        ValueError
            If the state or the action is out of range, or the action is not allowed there.
        MemoryError
            If a vector of all states does not fit.

        Examples
        --------
        >>> TabularMDP([[0, 1], [1, 0]], [[0.0, 0.0], [1.0, 0.0]], 0.5).row(0, 1).tolist()
        [0.0, 1.0]
        """
        successor, probability, _ = self._pair(state, action)
        require_memory(8 * self.n_states, "a row of the MDP", "use step, which draws from it")
        law = np.zeros(self.n_states)
        np.add.at(law, successor, probability)
        return law

    def dense(self) -> Float:
        """Return all rows, shape (S, A, S), zeros where an action is not allowed.

        Raises
        ------
        MemoryError
            If the table does not fit this machine.

        Examples
        --------
        >>> TabularMDP([[0, 1], [1, 0]], [[0.0, 0.0], [1.0, 0.0]], 0.5).dense().tolist()
        [[[1.0, 0.0], [0.0, 1.0]], [[0.0, 1.0], [1.0, 0.0]]]
        """
        shape = (self.n_states, self.n_actions, self.n_states)
        require_memory(8 * math.prod(shape) + 40 * self.n_states, "a dense table", "use row(state, action)")
        table = np.zeros(shape)
        for action in range(self.n_actions):
            chosen = np.full(self.n_states, action)
            start, successor, probability, _ = self.storage.chain(self.finite_rewards, chosen)
            here = np.repeat(np.arange(self.n_states), np.diff(start))
            np.add.at(table, (here, chosen[here], successor.astype(np.int64)), probability)
        if self.allowed is not None:
            table[~self.allowed] = 0.0
        return table

    def step(self, state: int, action: int, rng: np.random.Generator) -> tuple[float, int]:
        """Return the reward of a pair and a next state drawn from its row.

        Parameters
        ----------
        state, action : int
        rng : Generator
            Of NumPy, such as ``np.random.default_rng(1)``; one float of it is used.

        Returns
        -------
        reward : float
            The expected reward of the pair, as R has it; for a shift register that of the successor drawn.
        next_state : int

        Raises
        ------
        ValueError
            If the state or the action is out of range, or the action is not allowed there.
        WrongKindError
            If `rng` is not a Generator: a seed would bring the same step each time.

        Examples
        --------
        >>> TabularMDP([[0, 1], [1, 0]], [[0.0, 0.0], [1.0, 0.0]], 0.5).step(1, 0, np.random.default_rng(1))
        (1.0, 1)
        """
        checks.kind("rng", rng, np.random.Generator, mend="np.random.default_rng(1) makes one, for all steps")
        successor, probability, reward = self._pair(state, action)
        # As kernels draw it: a branch of probability 0 is never taken, even where a row sums to a trifle less than 1.
        drawn = int(np.searchsorted(thresholds(probability), int(rng.random() * 2.0**53), side="right"))
        own = self.rewards[action, drawn] if isinstance(self.storage, ShiftRegister) else reward
        return float(own), int(successor[drawn])

    def _pair(self, state: int, action: int) -> tuple[Int, Float, float]:
        """Return the stored successors of a pair, their probabilities and its expected reward."""
        for name, value, count in (("state", state, self.n_states), ("action", action, self.n_actions)):
            if not checks.is_whole(value) or not 0 <= value < count:
                raise ValueError(f"{name} is {checks.shown(value)}: give a whole number from 0 to {count - 1}")
        if self.allowed is not None and not self.allowed[state, action]:
            raise ValueError(f"action {action} is not allowed in state {state}: choose one of {self._open(state)}")
        chain = self.storage.chain(self.finite_rewards, np.array([action]), np.array([state]))
        return chain.successor.astype(np.int64), chain.probability, float(chain.reward[0])

    def _open(self, state: int) -> list[int]:
        """Return the actions that are allowed in a state."""
        assert self.allowed is not None
        found: list[int] = np.flatnonzero(self.allowed[state]).tolist()
        return found
