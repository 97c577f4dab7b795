"""Meta-games as teams of one: the shaper sees the window, and the opponents' learning state is hidden (M9)."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import scipy.sparse as sp

from rfos._system import checks
from rfos._system.arrays import Bool, Float, Int
from rfos._system.memory import require_memory
from rfos.metagames.opponents import QLearner
from rfos.metagames.window import WindowMetaGame
from rfos.planning.storages import MAX_STATES
from rfos.teams.model import LONGEST_EPISODE, DecPOMDP


class _Process(NamedTuple):
    """States of windows and hidden states, of which the first are where episodes start, one for each window or more.

    Attributes
    ----------
    window : ndarray of int64, shape (S,)
    play : ndarray of float64, shape (S, B)
        Probability of each joint reply.
    successor : ndarray of int64, shape (S, A*B)
        Next state after joint action a * B + b; any state where the reply has probability 0.
    starts : ndarray of int64, shape (windows,)
        The state in which an episode starts, by window.
    """

    window: Int
    play: Float
    successor: Int
    starts: Int


def _next_windows(meta_game: WindowMetaGame, window: Int) -> Int:
    """Return the window after each joint action, shape (S, A*B)."""
    index = meta_game.index
    after: Int = index.shifted().astype(np.int64)[window][:, None] + index.offset().astype(np.int64).reshape(-1)
    return after


def _with_automaton(meta_game: WindowMetaGame) -> _Process:
    """Return all windows with all hidden states, number window * X + x; functions of the window have one state."""
    windows = np.arange(meta_game.n_states)
    hidden = meta_game.hidden
    if hidden is None:
        return _Process(windows, meta_game.opponents_play, _next_windows(meta_game, windows), windows)
    x = hidden.n_states
    require_memory(
        8 * len(windows) * x * (4 * meta_game.branching * (meta_game.n_actions + 1) + 4),
        f"the team of {len(windows):,} windows and {x:,} hidden states",
        "choose a shorter window",
    )
    after = _next_windows(meta_game, windows)
    successor = (after[:, None, :] * x + hidden.following).reshape(len(windows) * x, -1)
    return _Process(
        np.repeat(windows, x), np.tile(hidden.play, (len(windows), 1)), successor, windows * x + hidden.start
    )


def _replies(learners: Any, values: Float) -> Float:
    """Return what epsilon-greedy learners play together by their values (X, L, most actions), shape (X, B)."""
    joint = np.ones((len(values), learners.digit.shape[1]))
    for i, n in enumerate(learners.n_actions.tolist()):
        own = values[:, i, :n]
        best = own == own.max(axis=1, keepdims=True)
        low = learners.exploration[i] / n
        share = (1.0 - learners.exploration[i]) / best.sum(axis=1, keepdims=True)
        joint *= np.where(best, low + share, low)[:, learners.digit[i]]
    return joint


def _learn(learners: Any, values: Float) -> Float:
    """Return the values after each joint action, shape (X, A*B, L, most actions), as kernels compute them."""
    n_learners, n_own, branching = learners.reward.shape
    after = np.repeat(values[:, None], n_own * branching, axis=1)
    for a in range(n_own):
        for b in range(branching):
            for i in range(n_learners):
                j = learners.digit[i, b]
                gain = learners.rate[i] * learners.reward[i, a, b]
                after[:, a * branching + b, i, j] = (1.0 - learners.rate[i]) * values[:, i, j] + gain + 0.0  # no -0.0
    return after


def _numbered(codes: Any, possible: Bool) -> tuple[Any, Int]:
    """Return the different rows of what is possible, and for each entry the number of its row (0 elsewhere)."""
    found, inverse = np.unique(codes[possible], axis=0, return_inverse=True)
    number = np.zeros(possible.shape, np.int64)
    number[possible] = inverse.reshape(-1)
    return found, number


def _with_learners(meta_game: WindowMetaGame, horizon: int) -> _Process:
    """Return windows with the learners' values that can be reached in an episode, step by step.

    After the last step values are what they were at the start, as in the next episode.
    """
    learners: Any = meta_game.learners()
    n_windows, joint = meta_game.n_states, meta_game.n_actions * meta_game.branching
    width = learners.initial.size
    window, x = np.arange(n_windows), np.zeros(n_windows, np.int64)
    values = learners.initial[None]
    levels, first = [], 0
    for step in range(horizon):
        play = _replies(learners, values)
        needed = 8 * joint * (4 * width * len(values) + 8 * len(window)) + 16 * joint * first
        what = f"the team of {first + len(window):,} states in {step + 1} steps"
        require_memory(needed, what, "choose a shorter horizon or window")
        if (first + len(window)) * n_windows > MAX_STATES:
            raise ValueError(f"{what} has too many windows and states: choose a shorter horizon or window")
        after = _next_windows(meta_game, window)
        following = first + len(window)
        if step == horizon - 1:
            levels.append((window, play[x], after))
            break
        possible = np.tile(play > 0, meta_game.n_actions)  # (X, A*B)
        learned, place = _numbered(_learn(learners, values).reshape(len(values), joint, width), possible)
        codes, number = _numbered(after * len(learned) + place[x], possible[x])
        levels.append((window, play[x], following + number))
        first = following
        window, x = np.divmod(codes, len(learned))
        values = learned.reshape(len(learned), *learners.initial.shape)
    parts = [np.concatenate(part) for part in zip(*levels, strict=True)]
    return _Process(parts[0], parts[1], parts[2], np.arange(n_windows))


def meta_game_team(meta_game: WindowMetaGame, *, discount: float | None = None) -> DecPOMDP:
    """Return a Case II meta-game as the team of one shaper who sees the window and not what its opponents have learned.

    M9, derived here. States are windows with the opponents' hidden state, numbered window * X + x: all of them for
    `HiddenOpponent`, windows alone for functions of the window. For Q-learners that are reset with the episode, the
    pairs of window and values that can be reached, step by step: with two actions each, rewards 0 and 1 and T steps,
    4^h [(T-1-h) 2^(T-h) + h + 1] of them. The shaper's actions are the actions, windows the observations, from the
    first one on, which is uniform; the horizon is the meta-game's and rewards are means, in the game's units.

    Parameters
    ----------
    meta_game : WindowMetaGame
        With a horizon. Q-learners have reset=True: if their values outlive the episode, they are not finitely many.
    discount : float in [0, 1], optional
        Instead of the meta-game's.

    Raises
    ------
    ValueError
        If there is no horizon, a Q-learner is never reset, or there are too many states.
    MemoryError
        If the states do not fit this machine.

    Examples
    --------
    >>> from rfos import QLearner, named_game
    >>> game = named_game("matching-pennies")
    >>> meta_game = WindowMetaGame(game, QLearner(reset=True), window=1, discount=0.8, horizon=3)
    >>> meta_game_team(meta_game, discount=1.0)
    <matching-pennies, window 1: 1 agent, 24 states, 2 actions, 4 observations, horizon 3, discount 1>
    """
    checks.kind("meta_game", meta_game, WindowMetaGame)
    horizon = meta_game.horizon
    if horizon is None or horizon > LONGEST_EPISODE:
        raise ValueError(
            f"the meta-game's horizon is {horizon}: give WindowMetaGame(..., horizon=100) or another number of steps "
            f"up to {LONGEST_EPISODE}"
        )
    learns = isinstance(meta_game.opponents[0], QLearner)
    if learns and not all(isinstance(one, QLearner) and one.reset for one in meta_game.opponents):
        raise ValueError(
            "the Q-learner's values outlive the episode, so that its states are not finitely many: give "
            "QLearner(reset=True)"
        )
    process = _with_learners(meta_game, horizon) if learns else _with_automaton(meta_game)
    n_states, n_windows = len(process.window), meta_game.n_states
    a, b = meta_game.n_actions, meta_game.branching
    needed = 100 * n_states * a * b + 24 * n_states * n_windows
    require_memory(needed, f"the team of {n_states:,} states and {n_windows:,} windows", "choose a shorter window")
    column = process.successor * n_windows + process.window[process.successor]
    law = np.tile(process.play, a)
    pointer = np.arange(n_states * a + 1) * b
    W = sp.csr_array((law.reshape(-1), column.reshape(-1), pointer), (n_states * a, n_states * n_windows))
    starts = np.zeros((n_states, n_windows))
    starts[process.starts, np.arange(n_windows)] = 1 / n_windows
    return DecPOMDP(
        W,
        process.play @ meta_game.rewards.T,
        (a,),
        (n_windows,),
        horizon,
        meta_game.discount if discount is None else discount,
        starts=starts,
        name=f"{meta_game.game.name}, window {meta_game.window}",
        action_names=(meta_game.game.action_names[0],),
    )
