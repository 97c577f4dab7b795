"""Hypothesis strategies for games, opponents, meta-games and MDPs, small enough to check by brute force; `check_rmax`.

They are what the tests of this package are written with, and are shipped so that other packages can state their
theorems the same way. Numbers are binary fractions unless asked otherwise, so that sums and ties are exact. Needs the
extra ``test``: ``pip install '.[test]'`` where the package lies.
"""

from __future__ import annotations

import math
from typing import Any, Literal

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from rfos._system import checks
from rfos.games.normal_form import NormalFormGame
from rfos.learning.check import Finding, RmaxAgent, RmaxCheck, RmaxFactory, check_rmax
from rfos.metagames.opponents import Always, MemoryOne, QLearner, WindowBestResponse, WindowOpponent, WindowQLearner
from rfos.metagames.window import WindowMetaGame
from rfos.metagames.windows import WindowIndex
from rfos.planning.mdp import TabularMDP
from rfos.planning.storages import ShiftRegister

try:
    from hypothesis import strategies as st
except ImportError as error:  # pragma: no cover
    raise ImportError("rfos.testing needs Hypothesis: pip install '.[test]'") from error

__all__ = [
    "DISCOUNTS",
    "EIGHTHS",
    "RATES",
    "STORAGES",
    "Finding",
    "RmaxAgent",
    "RmaxCheck",
    "RmaxFactory",
    "StorageName",
    "check_rmax",
    "distributions",
    "hidden_learners",
    "mdps",
    "memory_one_opponents",
    "normal_form_games",
    "policies",
    "window_meta_games",
    "window_opponents",
]

Float = NDArray[np.float64]
StorageName = Literal["dense", "sparse", "deterministic", "shift"]

STORAGES: tuple[StorageName, ...] = ("dense", "sparse", "deterministic", "shift")
"""The storages of `TabularMDP`, by the names that `mdps` takes."""

EIGHTHS = st.integers(-16, 16).map(lambda k: k / 8)
"""Rewards per step: multiples of 1/8 from -2 to 2, of which sums are exact."""

DISCOUNTS = st.sampled_from([0.0, 0.25, 0.5, 0.8, 0.9])
"""Discounts that keep exact solutions cheap; 0 included."""

RATES = st.sampled_from([0.0, 0.125, 0.25, 0.5, 0.75, 1.0])
"""Learning rates and exploration probabilities, both ends included."""


@st.composite
def distributions(draw: st.DrawFn, size: int, *, exact: bool = True) -> Float:
    """Draw a probability distribution.

    Parameters
    ----------
    size : int
        Number of outcomes, at least 1.
    exact : bool
        Multiples of 1/16 that sum to exactly 1, zeros and certainty included; else positive floats divided by their
        sum, which sum to 1 within rounding.

    Returns
    -------
    SearchStrategy of ndarray, shape (size,)

    Examples
    --------
    >>> from hypothesis import find
    >>> find(distributions(2), lambda p: p[0] == 0.25).tolist()
    [0.25, 0.75]
    """
    if exact:
        cuts = sorted(draw(st.lists(st.integers(0, 16), min_size=size - 1, max_size=size - 1)))
        return np.diff([0, *cuts, 16]) / 16
    weights = np.array(draw(st.lists(st.floats(0.01, 1.0), min_size=size, max_size=size)))
    normalised: Float = weights / weights.sum()
    return normalised


@st.composite
def normal_form_games(
    draw: st.DrawFn,
    *,
    n_players: int | None = None,
    n_actions: tuple[int, ...] | None = None,
    max_actions: int = 3,
    payoffs: st.SearchStrategy[float] = EIGHTHS,
) -> NormalFormGame:
    """Draw a normal-form game.

    Parameters
    ----------
    n_players : int, optional
        Default: 2 or 3, or as many as `n_actions` has entries.
    n_actions : tuple of int, optional
        Number of actions of each player; default: 1 to `max_actions` each.
    max_actions : int
    payoffs : SearchStrategy of float
        Rewards per step; default multiples of 1/8 from -2 to 2.

    Returns
    -------
    SearchStrategy of NormalFormGame

    Examples
    --------
    >>> from hypothesis import find
    >>> find(normal_form_games(n_actions=(2, 2)), lambda game: game.payoffs[0].min() == 0).payoffs[0].tolist()
    [[0.0, 0.0], [0.0, 0.0]]
    """
    if n_actions is None:
        players = draw(st.integers(2, 3)) if n_players is None else n_players
        n_actions = tuple(draw(st.integers(1, max_actions)) for _ in range(players))
    elif n_players not in (None, len(n_actions)):
        raise ValueError(f"n_players is {n_players} but n_actions {n_actions} are for {len(n_actions)}: give one")
    size = len(n_actions) * math.prod(n_actions)
    values = draw(st.lists(payoffs, min_size=size, max_size=size))
    return NormalFormGame(np.array(values).reshape(len(n_actions), *n_actions), name="random")


@st.composite
def memory_one_opponents(draw: st.DrawFn, game: NormalFormGame, player: int = 1, *, exact: bool = True) -> MemoryOne:
    """Draw a memory-one strategy of a player.

    Parameters
    ----------
    game : NormalFormGame
    player : int
        1 to ``game.n_players - 1``.
    exact : bool
        As for `distributions`.

    Returns
    -------
    SearchStrategy of MemoryOne

    Examples
    --------
    >>> from hypothesis import find
    >>> from rfos.games.named import matching_pennies
    >>> find(memory_one_opponents(matching_pennies()), lambda o: True).table.shape
    (2, 2, 2)
    """
    _check_player(game, player)
    n_own = game.n_actions[player]
    rows = [draw(distributions(n_own, exact=exact)) for _ in range(math.prod(game.n_actions))]
    return MemoryOne(np.array(rows).reshape(*game.n_actions, n_own), name="random")


def _check_player(game: NormalFormGame, player: int) -> None:
    checks.kind("game", game, NormalFormGame)
    checks.whole("player", player, 1, game.n_players - 1)


def window_opponents(game: NormalFormGame, player: int = 1, *, exact: bool = True) -> st.SearchStrategy[WindowOpponent]:
    """Draw an opponent that is a function of the window: the meta-game with it is exactly an MDP.

    Parameters
    ----------
    game : NormalFormGame
    player : int
        1 to ``game.n_players - 1``.
    exact : bool
        As for `distributions`; concerns memory-one strategies.

    Returns
    -------
    SearchStrategy of WindowOpponent
        `Always`, `MemoryOne`, `WindowBestResponse` or `WindowQLearner`.

    Examples
    --------
    >>> from hypothesis import find
    >>> from rfos.games.named import matching_pennies
    >>> find(window_opponents(matching_pennies()), lambda opponent: isinstance(opponent, Always))
    Always(action=0)
    """
    _check_player(game, player)
    return st.one_of(
        st.builds(Always, st.integers(0, game.n_actions[player] - 1)),
        memory_one_opponents(game, player, exact=exact),
        st.builds(WindowBestResponse, RATES),
        st.builds(WindowQLearner, learning_rate=RATES, exploration=RATES, initial=EIGHTHS),
    )


def hidden_learners() -> st.SearchStrategy[QLearner]:
    """Draw a Q-learner that the shaper does not see.

    Returns
    -------
    SearchStrategy of QLearner

    Examples
    --------
    >>> from hypothesis import find
    >>> find(hidden_learners(), lambda learner: learner.reset)
    QLearner(learning_rate=0.0, exploration=0.0, initial=0.0, reset=True)
    """
    return st.builds(QLearner, learning_rate=RATES, exploration=RATES, initial=EIGHTHS, reset=st.booleans())


@st.composite
def window_meta_games(
    draw: st.DrawFn,
    *,
    games: st.SearchStrategy[NormalFormGame] | None = None,
    hidden: bool | None = False,
    max_window: int = 3,
    max_states: int = 128,
    discounts: st.SearchStrategy[float] = DISCOUNTS,
    horizons: st.SearchStrategy[int | None] | None = None,
) -> WindowMetaGame:
    """Draw a window meta-game, with a separate opponent for every other player.

    Parameters
    ----------
    games : SearchStrategy of NormalFormGame, optional
        Default `normal_form_games()`.
    hidden : bool or None
        Whether the opponents are hidden learners; None: either.
    max_window, max_states : int
        The window is the largest drawn that keeps to both; at least 1.
    discounts : SearchStrategy of float in [0, 1)
    horizons : SearchStrategy of int or None, optional
        Steps per episode; default None or 1 to 5.

    Returns
    -------
    SearchStrategy of WindowMetaGame

    Examples
    --------
    >>> from hypothesis import find
    >>> find(window_meta_games(hidden=False), lambda meta_game: meta_game.n_actions > 1).is_markov
    True
    """
    game = draw(normal_form_games() if games is None else games)
    joint = math.prod(game.n_actions)
    largest = max_window
    while largest > 1 and joint**largest > max_states:
        largest -= 1
    is_hidden = draw(st.booleans()) if hidden is None else hidden
    opponents: list[QLearner | WindowOpponent] = []
    for player in range(1, game.n_players):
        opponents.append(draw(hidden_learners()) if is_hidden else draw(window_opponents(game, player)))
    return WindowMetaGame(
        game,
        opponents,
        window=draw(st.integers(1, largest)),
        discount=draw(discounts),
        horizon=draw(st.none() | st.integers(1, 5) if horizons is None else horizons),
    )


@st.composite
def mdps(
    draw: st.DrawFn,
    *,
    max_states: int = 4,
    max_actions: int = 3,
    storage: StorageName | None = None,
    exact: bool = True,
    rewards: st.SearchStrategy[float] = EIGHTHS,
    discounts: st.SearchStrategy[float] = DISCOUNTS,
    masked: bool | None = False,
) -> TabularMDP:
    """Draw a small MDP.

    Parameters
    ----------
    max_states, max_actions : int
        At least 1; one state and one action are drawn too.
    storage : {"dense", "sparse", "deterministic", "shift"}, optional
        Default: any of them.
    exact : bool
        Transition probabilities as for `distributions`.
    rewards : SearchStrategy of float
        Rewards per step.
    discounts : SearchStrategy of float in [0, 1)
    masked : bool or None
        Whether some actions are not allowed, where there are several; None: either. All are allowed in a shift
        register.

    Returns
    -------
    SearchStrategy of TabularMDP

    Examples
    --------
    >>> from hypothesis import find
    >>> mdp = find(mdps(storage="deterministic"), lambda mdp: mdp.n_states == 2)
    >>> mdp.storage.successor.tolist(), mdp.rewards.tolist(), mdp.discount
    ([[0], [0]], [[0.0], [0.0]], 0.0)
    """
    if storage not in (None, *STORAGES):
        raise ValueError(f"unknown storage {storage!r}: choose {', '.join(STORAGES[:-1])} or {STORAGES[-1]}")
    kind = draw(st.sampled_from(STORAGES)) if storage is None else storage
    discount = draw(discounts)

    def reward_table(*shape: int) -> Float:
        size = math.prod(shape)
        return np.array(draw(st.lists(rewards, min_size=size, max_size=size)), np.float64).reshape(shape)

    if kind == "shift":
        sizes = [
            (own, others, window)
            for own in range(1, max_actions + 1)
            for others in range(1, max_states + 1)
            for window in range(1, 4)
            if (own * others) ** window <= max_states
        ]
        own, others, window = draw(st.sampled_from(sizes))
        index = WindowIndex((own, others), window)
        probability = np.array([draw(distributions(others, exact=exact)) for _ in range(index.n_states)])
        register = ShiftRegister(index.shifted(), index.offset(), probability)
        return TabularMDP(register, reward_table(own, others), discount)
    n_states = draw(st.integers(1, max_states))
    n_actions = draw(st.integers(1, max_actions))
    pairs = n_states * n_actions
    P: Any
    if kind == "deterministic":
        successors = draw(st.lists(st.integers(0, n_states - 1), min_size=pairs, max_size=pairs))
        P = np.array(successors, np.int64).reshape(n_states, n_actions)
    else:
        rows = np.array([draw(distributions(n_states, exact=exact)) for _ in range(pairs)])
        P = sp.csr_array(rows) if kind == "sparse" else rows.reshape(n_states, n_actions, n_states)
    allowed = None
    if draw(st.booleans()) if masked is None else masked:
        masks = st.lists(st.booleans(), min_size=n_actions, max_size=n_actions).filter(any)
        allowed = np.array([draw(masks) for _ in range(n_states)])
    return TabularMDP(P, reward_table(n_states, n_actions), discount, allowed=allowed)


@st.composite
def policies(draw: st.DrawFn, mdp: TabularMDP, *, stochastic: bool | None = None) -> NDArray[Any]:
    """Draw a stationary policy of an MDP.

    Parameters
    ----------
    mdp : TabularMDP
    stochastic : bool, optional
        Probabilities, multiples of 1/16, instead of one action per state; default: either.

    Returns
    -------
    SearchStrategy of ndarray of int64, shape (S,), or of float64, shape (S, A)
        Actions that are not allowed are never taken.

    Examples
    --------
    >>> from hypothesis import find
    >>> mdp = TabularMDP([[0, 1], [1, 0]], [[0.0, 0.0], [1.0, 0.0]], 0.5)
    >>> find(policies(mdp, stochastic=False), lambda policy: policy[1] == 1).tolist()
    [0, 1]
    """
    is_stochastic = draw(st.booleans()) if stochastic is None else stochastic
    if mdp.allowed is not None:
        choices = [np.flatnonzero(row).tolist() for row in mdp.allowed]
        if not is_stochastic:
            return np.array([draw(st.sampled_from(own)) for own in choices], np.int64)
        weights = np.zeros(mdp.allowed.shape)
        for s, own in enumerate(choices):
            weights[s, own] = draw(distributions(len(own)))
        return weights
    if is_stochastic:
        return np.array([draw(distributions(mdp.n_actions)) for _ in range(mdp.n_states)])
    actions = st.integers(0, mdp.n_actions - 1)
    return np.array(draw(st.lists(actions, min_size=mdp.n_states, max_size=mdp.n_states)), np.int64)
