"""Other packages' environments, solvers and equilibria, loaded when they are asked for (extra ``rfos[interop]``)."""

from __future__ import annotations

import importlib
import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np
import scipy.sparse as sp
from numpy.typing import ArrayLike, NDArray

from rfos._kernels._jit import INTERPRETED
from rfos._memory import require_memory
from rfos.games import NormalFormGame
from rfos.mdp import TabularMDP

Float = NDArray[np.float64]


def _load(module: str, what: str) -> Any:
    """Return a module of another package, or raise ImportError that says what needs it and how to get it."""
    package = module.partition(".")[0]
    if package == "quantecon" and INTERPRETED:
        raise ImportError(f"{what} needs {package}, which runs compiled only: unset NUMBA_DISABLE_JIT")
    try:
        return importlib.import_module(module)
    except ImportError:
        raise ImportError(f"{what} needs {package}: pip install 'rfos[interop]'") from None


def from_gymnasium(env: Any, discount: float) -> TabularMDP:
    """Return the MDP of a Gymnasium environment that publishes its transitions, such as those of toy_text.

    Parameters
    ----------
    env : gymnasium.Env
        ``env.unwrapped.P[s][a]`` lists (probability, next state, reward, terminated). Time limits are left out.
    discount : float in [0, 1)

    Returns
    -------
    TabularMDP
        One state more than the environment, the last: there a terminated episode stays, with reward 0. Rewards are
        expected rewards per step.

    Raises
    ------
    ValueError
        If the environment has no table `P`, or `TabularMDP` refuses it.

    Examples
    --------
    One state; action 0 stays and earns 1, action 1 ends the episode with 3. Staying is worth 1/(1-0.5) = 2, ending 3.

    >>> from types import SimpleNamespace
    >>> from rfos.planning import solve
    >>> env = SimpleNamespace(P={0: {0: [(1.0, 0, 1.0, False)], 1: [(1.0, 0, 3.0, True)]}})
    >>> solve(from_gymnasium(env, 0.5)).value.round(6).tolist()
    [3.0, 0.0]
    """
    table = getattr(getattr(env, "unwrapped", env), "P", None)
    if table is None:
        raise ValueError(f"{env!r} has no table of transitions P: only environments such as those of toy_text have one")
    n_states, n_actions = len(table), len(table[0])
    end = n_states
    rewards = np.zeros((n_states + 1, n_actions))
    entries: list[tuple[float, int, int]] = []
    for state in range(n_states):
        for action in range(n_actions):
            for probability, following, reward, terminated in table[state][action]:
                row = state * n_actions + action
                entries.append((probability, row, end if terminated else int(following)))
                rewards[state, action] += probability * reward
    entries += [(1.0, end * n_actions + action, end) for action in range(n_actions)]
    data, rows, columns = (np.array(part) for part in zip(*entries, strict=True))
    shape = ((n_states + 1) * n_actions, n_states + 1)
    return TabularMDP(sp.csr_array(sp.coo_array((data, (rows, columns)), shape)), rewards, discount)


def from_arrays_ass(P: Sequence[Any] | Float, R: ArrayLike, discount: float) -> TabularMDP:
    """Return the MDP of arrays in the order (action, state, next state), as MDP toolboxes keep them.

    Parameters
    ----------
    P : array_like, shape (A, S, S), or sequence of A sparse matrices (S, S)
    R : array_like, shape (S,), (S, A) or (A, S, S)
        Reward per step of a state, of a pair, or of a transition.
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
    rewards = np.array(R, np.float64)
    if rewards.shape == (n_actions, n_states, n_states):
        rewards = np.stack([m.multiply(r).sum(axis=1) for m, r in zip(rows, rewards, strict=True)], axis=1)
    elif rewards.shape == (n_states,):
        rewards = np.repeat(rewards[:, None], n_actions, axis=1)
    elif rewards.shape != (n_states, n_actions):
        raise ValueError(
            f"R has shape {rewards.shape}, expected {(n_states,)}, {(n_states, n_actions)} or "
            f"{(n_actions, n_states, n_states)}"
        )
    stacked = sp.vstack(rows, format="csr")
    order = np.arange(n_actions * n_states).reshape(n_actions, n_states).T.ravel()
    return TabularMDP(stacked[order], rewards, discount)


def to_quantecon(mdp: TabularMDP) -> Any:
    """Return an MDP of any storage as a `quantecon.markov.DiscreteDP` over state-action pairs, with sparse rows.

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
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        markov = _load("quantecon.markov", "DiscreteDP")
    pairs = mdp.n_states * mdp.n_actions
    require_memory(pairs * (64 * mdp.branching + 32), "the rows of all pairs", "use fewer states")
    successor, probability, rewards = mdp.storage.branches(mdp.rewards)
    expected = (probability * rewards).sum(axis=1)
    pointers = np.arange(0, successor.size + 1, successor.shape[1])
    rows = sp.csr_matrix((probability.ravel(), successor.ravel(), pointers), shape=(pairs, mdp.n_states))
    rows.sum_duplicates()
    state, action = np.divmod(np.arange(pairs), mdp.n_actions)
    return markov.DiscreteDP(expected, rows, mdp.discount, state, action)


def nash_equilibria(game: NormalFormGame) -> list[tuple[Float, ...]]:
    """Return Nash equilibria of a normal-form game, one strategy for each player.

    Two players: all that support enumeration finds (nashpy, else quantecon), which is all of them in a nondegenerate
    game. More: all pure ones, or where there are none one approximate one, with regret at most 1e-3 (quantecon;
    McLennan & Tourky 2006).

    Raises
    ------
    ImportError
        If neither package is installed, or quantecon is not for more than two players.

    Examples
    --------
    Matching Pennies: both mix evenly.

    >>> from rfos.games import matching_pennies
    >>> [[strategy.tolist() for strategy in found] for found in nash_equilibria(matching_pennies())]
    [[[0.5, 0.5], [0.5, 0.5]]]
    """
    what = "finding Nash equilibria" + (f" of {game.n_players} players" if game.n_players > 2 else "")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # nashpy warns of degenerate games
        if game.n_players == 2:
            try:
                found = list(_load("nashpy", what).Game(*game.payoffs).support_enumeration())
                return [tuple(np.array(strategy, np.float64) for strategy in each) for each in found]
            except ImportError:
                pass
        theory = _load("quantecon.game_theory", what)
    n = game.n_players
    # A player's own action first, then those after it, round the table.
    axes = [[*range(i, n), *range(i)] for i in range(n)]
    built = theory.NormalFormGame([theory.Player(np.transpose(game.payoffs[i], axes[i])) for i in range(n)])
    if n == 2:
        found = theory.support_enumeration(built)
    else:
        pure = theory.pure_nash_brute(built)
        found = [
            [np.eye(size)[action] for action, size in zip(each, game.n_actions, strict=True)] for each in pure
        ] or [theory.mclennan_tourky(built)]
    return [tuple(np.array(strategy, np.float64) for strategy in each) for each in found]
