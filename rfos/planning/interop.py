"""MDPs of other packages: Gymnasium, mdptoolbox-style arrays, quantecon."""

from __future__ import annotations

import math
import warnings
from collections.abc import Mapping, Sequence
from numbers import Integral
from typing import Any

import numpy as np
import scipy.sparse as sp
from numpy.typing import ArrayLike

from rfos._system import arrays as arrays_module
from rfos._system import checks
from rfos._system.arrays import Float
from rfos._system.checks import shown
from rfos._system.memory import require_memory
from rfos._system.optional import load
from rfos.planning.mdp import TabularMDP
from rfos.planning.storages import ROW_SUM_TOL


def _numbered(what: str, given: object) -> dict[int, Any]:
    """Return the values of a dictionary or a list by their numbers, or raise ValueError."""
    if isinstance(given, list | tuple):
        return dict(enumerate(given))
    if not isinstance(given, Mapping):
        raise ValueError(f"{what} is a {type(given).__name__}, {shown(given)}: give a dictionary or a list")
    for key in given:
        if not isinstance(key, Integral) or isinstance(key, bool) or key < 0:
            raise ValueError(f"{what} has the key {shown(key)}: give whole numbers from 0 on")
    return {int(key): value for key, value in given.items()}


def _entry(given: object, n_states: int, where: str) -> tuple[float, int, float, bool]:
    """Return one entry of a Gymnasium table, or raise ValueError that says where it is."""
    if not isinstance(given, list | tuple | np.ndarray) or len(given) != 4:
        raise ValueError(f"{where} is {shown(given)}: give (probability, next state, reward, terminated)")
    probability, following, reward, terminated = map(checks.number, given)
    if not 0 <= probability <= 1 + ROW_SUM_TOL:
        raise ValueError(f"{where} has the probability {shown(given[0])}: give a number in [0, 1]")
    if not (0 <= following < n_states and following == int(following)):
        raise ValueError(f"{where} has the next state {shown(given[1])}: give a whole number from 0 to {n_states - 1}")
    if math.isnan(reward) or reward == math.inf:
        raise ValueError(f"{where} has the reward {shown(given[2])}: give a number, or -inf if it is not allowed")
    if not isinstance(given[3], bool | np.bool_) and terminated not in (0, 1):
        raise ValueError(f"{where} has terminated {shown(given[3])}: give True or False")
    return probability, int(following), reward, bool(given[3])


def from_gymnasium(env: Any, discount: float) -> TabularMDP:
    """Return the MDP of a Gymnasium environment that publishes its transitions, such as those of toy_text.

    Parameters
    ----------
    env : gymnasium.Env
        ``env.unwrapped.P[s][a]`` lists (probability, next state, reward, terminated); P and P[s] are dictionaries or
        lists, states are 0 to S-1. Actions that only some states have are not allowed in the others. The law
        ``env.unwrapped.initial_state_distrib``, shape (S,), is that of the first state of an episode; without one
        episodes start uniformly. Time limits are left out.
    discount : float in [0, 1)

    Returns
    -------
    TabularMDP
        One state more than the environment, the last: there a terminated episode stays, with reward 0, and none starts
        if the environment has a law. Rewards are expected rewards per step.

    Raises
    ------
    ValueError
        If the environment has no table `P`, or an entry of it is not what it should be (names state, action and entry).
    MemoryError
        If a table of all pairs does not fit this machine.

    Examples
    --------
    One state; action 0 stays and earns 1, action 1 ends the episode with 3. Staying is worth 1/(1-0.5) = 2, ending 3.

    >>> from types import SimpleNamespace
    >>> from rfos.planning.solve import solve
    >>> env = SimpleNamespace(P={0: {0: [(1.0, 0, 1.0, False)], 1: [(1.0, 0, 3.0, True)]}})
    >>> solve(from_gymnasium(env, 0.5)).value.round(6).tolist()
    [3.0, 0.0]
    """
    unwrapped = getattr(env, "unwrapped", env)
    table = getattr(unwrapped, "P", None)
    if table is None:
        raise ValueError(f"{env!r} has no table of transitions P: only environments such as those of toy_text have one")
    states = _numbered("P", table)
    n_states = len(states)
    gap = next((state for state in range(n_states) if state not in states), None)
    if n_states == 0 or gap is not None:
        raise ValueError(f"P has {n_states} states but no state {gap or 0}: number them from 0 on without a gap")
    actions = [_numbered(f"P at state {state}", states[state]) for state in range(n_states)]
    if not all(actions):
        state = next(state for state, own in enumerate(actions) if not own)
        raise ValueError(
            f"state {state} has no actions: give it one that stays there, if it is an end mark what leads to it as "
            "terminated"
        )
    n_actions, end = 1 + max(map(max, actions)), n_states
    require_memory(32 * (n_states + 1) * n_actions, f"a table of {n_actions} actions", "number the actions from 0 on")
    rewards = np.zeros((n_states + 1, n_actions))
    allowed = np.zeros(rewards.shape, np.bool_)
    allowed[end] = True
    entries = [(1.0, end * n_actions + action, end) for action in range(n_actions)]
    for state, own in enumerate(actions):
        for action, listed in own.items():
            where = f"state {state}, action {action}"
            if not isinstance(listed, list | tuple | np.ndarray):
                raise ValueError(
                    f"P at {where} is {shown(listed)}: give a list of (probability, next state, reward, terminated)"
                )
            total = 0.0
            for i, given in enumerate(listed):
                entry = _entry(given, n_states, f"P at {where}, entry {i}")
                probability, following, reward, terminated = entry
                total += probability
                if probability > 0:
                    entries.append((probability, state * n_actions + action, end if terminated else following))
                    rewards[state, action] += probability * reward
            if abs(total - 1) > ROW_SUM_TOL:
                raise ValueError(
                    f"the probabilities of {where} sum to {total!r} over {len(listed)} entries: they must sum to 1"
                )
            allowed[state, action] = True
    data, rows, columns = (np.array(part) for part in zip(*entries, strict=True))
    shape = ((n_states + 1) * n_actions, n_states + 1)
    starts = getattr(unwrapped, "initial_state_distrib", None)
    if starts is not None:
        law = arrays_module.floats("initial_state_distrib", starts)
        if law.shape != (n_states,):
            raise ValueError(f"initial_state_distrib has shape {law.shape}, expected {(n_states,)}")
        starts = np.append(law, 0.0)
    P = sp.csr_array(sp.coo_array((data, (rows, columns)), shape))
    return TabularMDP(P, rewards, discount, allowed=allowed, starts=starts)


def from_arrays_ass(P: Sequence[Any] | Float, R: ArrayLike | Sequence[Any], discount: float) -> TabularMDP:
    """Return the MDP of arrays in the order (action, state, next state), as MDP toolboxes keep them.

    Parameters
    ----------
    P : array_like, shape (A, S, S), or sequence of A sparse matrices (S, S)
    R : array_like, shape (S,), (S, A) or (A, S, S), or sequence of A sparse matrices (S, S)
        Reward per step of a state, of a pair, or of a transition; -inf where an action is not allowed.
    discount : float in [0, 1)

    Raises
    ------
    ValueError
        If the shapes do not fit, or `TabularMDP` refuses the arrays.

    Examples
    --------
    Action 0 stays, action 1 swaps the two states; state 1 pays.

    >>> mdp = from_arrays_ass([np.eye(2), np.eye(2)[::-1]], [0.0, 1.0], 0.5)
    >>> mdp.rewards.tolist(), mdp.backup(np.array([0.0, 2.0])).tolist()
    ([[0.0, 0.0], [1.0, 1.0]], [[0.0, 1.0], [2.0, 1.0]])
    """
    rows = [sp.csr_array(matrix) for matrix in P]
    n_actions, n_states = len(rows), rows[0].shape[0] if rows else 0
    if not rows or any(matrix.shape != (n_states, n_states) for matrix in rows):
        raise ValueError(f"P holds matrices of shapes {[m.shape for m in rows]}: give (S, S) for each action")
    for matrix in rows:
        matrix.eliminate_zeros()  # a transition that never happens may pay anything
    wanted = (n_actions, n_states, n_states)
    listed = list(R) if isinstance(R, list | tuple) else []
    if any(map(sp.issparse, listed)):
        matrices = [sp.csr_array(matrix) for matrix in listed]
        if len(matrices) != n_actions or any(matrix.shape != (n_states, n_states) for matrix in matrices):
            raise ValueError(f"R holds matrices of shapes {[m.shape for m in matrices]}: give (S, S) for each action")
    else:
        rewards = arrays_module.floats("R", R.toarray() if sp.issparse(R) else R)
        matrices = list(rewards) if rewards.shape == wanted else []
    if matrices:
        rewards = np.stack([m.multiply(r).sum(axis=1) for m, r in zip(rows, matrices, strict=True)], axis=1)
    elif rewards.shape == (n_states,):
        rewards = np.repeat(rewards[:, None], n_actions, axis=1)
    elif rewards.shape != (n_states, n_actions):
        raise ValueError(f"R has shape {rewards.shape}, expected {(n_states,)}, {(n_states, n_actions)} or {wanted}")
    stacked = sp.vstack(rows, format="csr")
    order = np.arange(n_actions * n_states).reshape(n_actions, n_states).T.ravel()
    return TabularMDP(stacked[order], rewards, discount)


def to_quantecon(mdp: TabularMDP) -> Any:
    """Return an MDP of any storage as a `quantecon.markov.DiscreteDP` over state-action pairs, with sparse rows.

    Pairs that are not allowed are left out.

    Raises
    ------
    ImportError
        If quantecon is not installed.
    MemoryError
        If the rows of all pairs do not fit this machine.

    Examples
    --------
    >>> mdp = TabularMDP([[0, 1], [1, 0]], [[0.0, 0.0], [1.0, 0.0]], 0.5)
    >>> to_quantecon(mdp).solve(method="policy_iteration").v.tolist()
    [1.0, 2.0]
    """
    checks.kind("mdp", mdp, TabularMDP)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        markov = load("quantecon.markov", "DiscreteDP")
    pairs = mdp.n_states * mdp.n_actions
    require_memory(pairs * (64 * mdp.branching + 32), "the rows of all pairs", "use fewer states")
    successor, probability, rewards = mdp.storage.branches(mdp.finite_rewards)
    expected = (probability * rewards).sum(axis=1)
    pointers = np.arange(0, successor.size + 1, successor.shape[1])
    rows = sp.csr_matrix((probability.ravel(), successor.ravel(), pointers), shape=(pairs, mdp.n_states))
    rows.sum_duplicates()
    state, action = np.divmod(np.arange(pairs), mdp.n_actions)
    if mdp.allowed is not None:
        kept = np.flatnonzero(mdp.allowed)
        expected, rows, state, action = expected[kept], rows[kept], state[kept], action[kept]
    return markov.DiscreteDP(expected, rows, mdp.discount, state, action)
