"""Reference games: each of two agents has a goal that only the other one knows. And the lock, which hides a code."""

from __future__ import annotations

import itertools

import numpy as np
import scipy.sparse as sp

from rfos._system.arrays import Int, freeze
from rfos._system.memory import require_memory
from rfos.teams.model import DecPOMDP, joint_index


def _deterministic(successor: Int, n_columns: int) -> sp.csr_array:
    """Return W in which row k has one entry, in column successor[k]."""
    n = len(successor)
    return sp.csr_array((np.ones(n), successor, np.arange(n + 1)), (n, n_columns))


def _require(n_states: int, joint: int, seen: int, what: str) -> None:
    require_memory(160 * n_states * joint + 32 * n_states * seen, what, "choose smaller sizes")


def reference_game(horizon: int, goals: int, symbols: int) -> DecPOMDP:
    """Return the reference game R(k, C): say to the other what its goal is, then pick (M10).

    Goals are uniform and independent; each agent sees first the *other's* goal. In the first step action a says symbol
    a modulo C. Each then hears the other's symbol, and picks: ½ for each agent that picks its own goal, and an action
    beyond the goals is a wrong pick. The state stays, so that in longer episodes they may pick again.

    Parameters
    ----------
    horizon : int
        2: speak, and pick.
    goals, symbols : int
        k and C.

    Examples
    --------
    >>> reference_game(2, 3, 2)
    <reference-game: 2 agents, 45 states, 3 x 3 actions, 5 x 5 observations, horizon 2, discount 1>
    """
    k, c = goals, symbols
    own_actions, own_views = max(k, c), k + c
    sizes, views = (own_actions,) * 2, (own_views,) * 2
    joint, seen, n_states = own_actions**2, own_views**2, k * k * (1 + c * c)
    _require(n_states, joint, seen, f"the reference game of {k} goals and {c} symbols")
    pairs = list(itertools.product(range(k), range(k)))
    heard = list(itertools.product(range(k), range(k), range(c), range(c)))  # goals, and what each has heard
    number = {state: k * k + i for i, state in enumerate(heard)}
    successor = np.zeros((n_states, joint), np.int64)
    R = np.zeros((n_states, joint))
    actions = list(itertools.product(range(own_actions), repeat=2))

    def column(state: tuple[int, int, int, int]) -> int:
        return number[state] * seen + joint_index((k + state[2], k + state[3]), views)

    for i, (first, second) in enumerate(pairs):
        for says in actions:
            successor[i, joint_index(says, sizes)] = column((first, second, says[1] % c, says[0] % c))
    for state in heard:
        i = number[state]
        successor[i] = column(state)
        R[i] = [(int(one == state[0]) + int(two == state[1])) / 2 for one, two in actions]
    starts = np.zeros((n_states, seen))
    for i, (first, second) in enumerate(pairs):
        starts[i, joint_index((second, first), views)] = 1 / k**2
    names = (
        *(f"goals {a + 1} {b + 1}" for a, b in pairs),
        *(f"goals {a + 1} {b + 1}, heard {x + 1} {y + 1}" for a, b, x, y in heard),
    )
    seen_names = (*(f"other's goal {g + 1}" for g in range(k)), *(f"heard {s + 1}" for s in range(c)))
    return DecPOMDP(
        _deterministic(successor.reshape(-1), n_states * seen),
        R,
        sizes,
        views,
        horizon,
        starts=starts,
        name="reference-game",
        state_names=names,
        observation_names=(seen_names,) * 2,
    )


def said_keys(team: DecPOMDP) -> Int:
    """Return the keys of pairs of `reference_game` that are the same row: actions that say the same symbol.

    Examples
    --------
    >>> keys = said_keys(reference_game(2, 3, 2))
    >>> keys[:9].tolist(), len(set(keys.tolist()))  # with two symbols, actions 0 and 2 say the same
    ([0, 1, 0, 2, 3, 2, 0, 1, 0], 360)
    """
    own = team.n_actions[0]
    # Views are goals and symbols; states are k^2 (1 + C^2).
    (k,) = (k for k in range(1, team.n_observations[0]) if _fits(team, k))
    c = team.n_observations[0] - k
    said = np.arange(own) % c
    first = (said[:, None] * c + said).reshape(-1)
    early = np.arange(k * k)[:, None] * (min(own, c) ** 2) + first
    rest = np.arange((team.n_states - k * k) * own**2) + k * k * c * c
    keys = np.concatenate([early.reshape(-1), rest])
    freeze(keys)
    return keys


def _fits(team: DecPOMDP, k: int) -> bool:
    c = team.n_observations[0] - k
    return max(k, c) == team.n_actions[0] and k * k * (1 + c * c) == team.n_states


def reference_path(horizon: int, goals: int, symbols: int, cells: int) -> DecPOMDP:
    """Return the reference game on a path, R(k, C, L): walk to goals that only the other knows, and speak (M10).

    Two agents start in the middle of a path of L cells (to the left of it where L is even). Goals, uniform and
    independent, are k cells spread evenly. An action is a move (left, stay, right; the ends stop it) and a symbol. Each
    sees the own cell, the other's goal and the symbol that the other said last (the first one before anything is said).
    The reward of a step is the mean over the agents of -(distance to the goal after the move)/(L-1).

    Rebuilt here from the idea of the reference game of the multi-agent particle environments, in which it is played in
    the plane: 3 goals, 10 symbols, 5 moves, 25 steps.

    Parameters
    ----------
    horizon : int
    goals, symbols : int
        k, at most L, and C.
    cells : int
        L, at least 2.

    Raises
    ------
    ValueError
        If there are more goals than cells.
    MemoryError
        If it does not fit this machine.

    Examples
    --------
    >>> reference_path(3, 2, 2, 3)
    <reference-path: 2 agents, 144 states, 6 x 6 actions, 12 x 12 observations, horizon 3, discount 1>
    """
    k, c, length = goals, symbols, cells
    if k > length:
        raise ValueError(f"goals is {k}, above the {length} cells of the path: choose at most {length} goals")
    shape = (length, length, k, k, c, c)
    n_states, joint, seen = (length * k * c) ** 2, (3 * c) ** 2, (length * k * c) ** 2
    _require(n_states, joint, seen, f"the path of {length} cells with {k} goals and {c} symbols")
    place = np.array([0] if k == 1 else [j * (length - 1) // (k - 1) for j in range(k)])
    x, y, g, h, _, _ = (part.reshape(-1, 1) for part in np.indices(shape).astype(np.int64))
    first, second = np.divmod(np.arange(joint), 3 * c)
    (move, says), (other_move, other_says) = np.divmod(first, c), np.divmod(second, c)
    x, y = (np.clip(at + step - 1, 0, length - 1) for at, step in ((x, move), (y, other_move)))
    R = -(np.abs(x - place[g]) + np.abs(y - place[h])) / (2 * (length - 1))
    # What is heard afterwards is what the other says now.
    state = ((((x * length + y) * k + g) * k + h) * c + other_says) * c + says
    view = ((x * k + h) * c + other_says) * (length * k * c) + (y * k + g) * c + says
    middle = (length - 1) // 2
    starts = np.zeros((n_states, seen))
    for one, two in itertools.product(range(k), range(k)):
        row = np.ravel_multi_index((middle, middle, one, two, 0, 0), shape)
        starts[row, ((middle * k + two) * c) * (length * k * c) + (middle * k + one) * c] = 1 / k**2
    moves = ("left", "stay", "right")
    views = itertools.product(range(length), range(k), range(c))
    return DecPOMDP(
        _deterministic((state * seen + view).reshape(-1), n_states * seen),
        R,
        (3 * c,) * 2,
        (length * k * c,) * 2,
        horizon,
        starts=starts,
        name="reference-path",
        state_names=tuple(
            f"cells {a + 1} {b + 1}, goals {i + 1} {j + 1}, heard {u + 1} {v + 1}"
            for a, b, i, j, u, v in itertools.product(*map(range, shape))
        ),
        action_names=(tuple(f"{step}, say {s + 1}" for step in moves for s in range(c)),) * 2,
        observation_names=(tuple(f"cell {a + 1}, other's goal {g + 1}, heard {s + 1}" for a, g, s in views),) * 2,
    )


def lock_code(agents: int, actions: int, digits: int, seed: int) -> Int:
    """Return the code that opens `lock`, drawn uniformly by NumPy's SFC64, shape (digits,).

    Examples
    --------
    >>> code = lock_code(2, 3, 4, seed=0)
    >>> code.shape, bool((code < 9).all())
    ((4,), True)
    """
    draws = np.random.Generator(np.random.SFC64(seed))
    code: Int = draws.integers(actions**agents, size=digits)
    freeze(code)
    return code


def lock(horizon: int, agents: int, actions: int, digits: int, seed: int) -> DecPOMDP:
    """Return the lock of M6a: a code of joint actions, no observations, and 1 when the last digit is right too.

    States are how many digits have been right so far, all of them; a wrong one, and the last, lead to "over". A learner
    that never sees the state finds nothing but by trying codes; one that sees it after each episode learns a digit at a
    time. Derived here.

    Parameters
    ----------
    horizon : int
    agents, actions : int
        Of the |A| = actions^agents joint actions one is a digit.
    digits : int
        Length of the code.
    seed : int
        Which code: `lock_code`.

    Examples
    --------
    >>> lock(4, 2, 3, 4, seed=0)
    <lock: 2 agents, 5 states, 3 x 3 actions, 1 x 1 observations, horizon 4, discount 1>
    """
    joint = actions**agents
    _require(digits + 1, joint, 1, f"a lock with {joint} joint actions")
    code = lock_code(agents, actions, digits, seed)
    successor = np.full((digits + 1, joint), digits)
    successor[np.arange(digits - 1), code[:-1]] = np.arange(1, digits)
    R = np.zeros((digits + 1, joint))
    R[digits - 1, code[-1]] = 1.0
    starts = np.zeros(digits + 1)
    starts[0] = 1.0
    return DecPOMDP(
        _deterministic(successor.reshape(-1), digits + 1),
        R,
        (actions,) * agents,
        (1,) * agents,
        horizon,
        starts=starts,
        name="lock",
        state_names=(*(f"{i} right" for i in range(digits)), "over"),
        observation_names=(("nothing",),) * agents,
    )
