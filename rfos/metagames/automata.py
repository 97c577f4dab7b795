"""Hidden opponents that come with the package: automata of repeated games, and learners with finitely many states."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np
from numpy.typing import ArrayLike

from rfos._system import checks
from rfos._system.arrays import Float, Int, floats, integers
from rfos._system.memory import require_memory
from rfos.games.normal_form import NormalFormGame


@dataclass(frozen=True, eq=False)
class Automaton:
    """A hidden opponent by its tables, for games with as many actions as they have.

    Parameters
    ----------
    play : array_like, shape (X, own actions)
        Probability of each own action in each state.
    following : array_like of int, shape (X, joint actions)
        Next state after each joint action, the shaper's action first.
    start : int
        State at an episode's first step.

    Raises
    ------
    ValueError
        If a table does not have two axes or does not hold numbers; the rest is checked where it meets a game.

    Examples
    --------
    It cooperates until the shaper has defected once, and then never again:

    >>> grim = Automaton([[1, 0], [0, 1]], [[0, 0, 1, 1], [1, 1, 1, 1]])
    >>> grim.n_states
    2
    """

    play: Float
    following: Int
    start: int = 0

    def __post_init__(self) -> None:
        """Take tables of our own; what is in them is checked where the game is known."""
        play, following = floats("play", self.play), integers("following", self.following)
        if play.ndim != 2 or following.ndim != 2:
            raise ValueError(
                f"play and following have shapes {play.shape} and {following.shape}: give (states, own actions) and "
                "(states, joint actions)"
            )
        object.__setattr__(self, "play", play)
        object.__setattr__(self, "following", following)

    @property
    def n_states(self) -> int:
        """Number of states."""
        return len(self.play)

    def probabilities(self, game: NormalFormGame, player: int) -> Float:
        """Return its play."""
        return self.play

    def next_state(self, game: NormalFormGame, player: int) -> Int:
        """Return its next states."""
        return self.following


def _against_one(cooperates: ArrayLike, after: Callable[[int, int], int], start: int = 0) -> Automaton:
    """Return an automaton for two actions that looks at the shaper's last action alone."""
    own = np.array(cooperates, np.float64)
    following = [[after(x, shaper) for shaper in (0, 0, 1, 1)] for x in range(len(own))]
    return Automaton(np.column_stack([own, 1 - own]), np.array(following), start)


def tit_for_two_tats() -> Automaton:
    """Return the strategy that defects only after two defections in a row (Axelrod 1984).

    The state is how many there were, 0, 1 or 2. In the Prisoner's Dilemma a shaper who sees it alternates.
    """
    return _against_one([1.0, 1.0, 0.0], lambda x, shaper: min(x + 1, 2) if shaper == 1 else 0)


def generous_tit_for_tat(generosity: float = 1 / 3) -> Automaton:
    """Return tit for tat that forgives a defection with a chance (Nowak & Sigmund 1992).

    Parameters
    ----------
    generosity : float in [0, 1]
        Chance of cooperation after a defection.
    """
    if not 0 <= checks.number(generosity) <= 1:
        raise ValueError(f"generosity is {checks.shown(generosity)}: give a number from 0 to 1")
    return _against_one([1.0, generosity], lambda x, shaper: shaper)


def grim_trigger() -> Automaton:
    """Return the strategy that cooperates until the first defection, and then never again (Friedman 1971)."""
    return _against_one([1.0, 0.0], lambda x, shaper: 1 if shaper == 1 else x)


def from_table(memory: int, table: ArrayLike) -> Automaton:
    """Return a deterministic strategy that looks at the last joint actions, as in Axelrod's tournaments (1987).

    It is no function of a shorter window: a shaper with window h < memory sees it as hidden. Before an episode's first
    step it takes the last actions for mutual cooperation, joint action 0.

    Parameters
    ----------
    memory : int
        Number of joint actions that it looks at, k >= 1.
    table : array_like of int, shape (4**k,)
        Its action, 0 or 1, after each sequence of joint actions 2 * shaper + own, the latest last: the number of a
        sequence (j_1, ..., j_k) is ((j_1 4 + j_2) 4 + ...) + j_k.

    Raises
    ------
    ValueError
        If the memory is out of range, or there is not one action, 0 or 1, for each sequence.
    MemoryError
        If the table of all states does not fit.

    Examples
    --------
    Tit for tat: it repeats the shaper's action.

    >>> from_table(1, [0, 0, 1, 1]).play.tolist()
    [[1.0, 0.0], [1.0, 0.0], [0.0, 1.0], [0.0, 1.0]]
    """
    memory = checks.whole("memory", memory, 1, 10)
    n_states = 4**memory
    require_memory(130 * n_states, f"an automaton of {n_states:,} states", "use a shorter memory")
    actions = integers("table", table)
    if actions.shape != (n_states,) or not np.isin(actions, (0, 1)).all():
        raise ValueError(
            f"table has shape {actions.shape} and values from {actions.min(initial=0)} to {actions.max(initial=0)}: "
            f"give {n_states} actions, 0 or 1, for memory {memory}"
        )
    following = (np.arange(n_states)[:, None] * 4 + np.arange(4)) % n_states
    return Automaton(np.eye(2)[actions], following)


def fictitious_player(game: NormalFormGame, player: int = 1, *, memory: int = 3, exploration: float = 0.0) -> Automaton:
    """Return a fictitious player with a bounded memory: it replies to the shaper's last actions (Young 1993).

    It plays the best reply to how often each action of the shaper was among the last `memory`, ties to the lower
    action, and at an episode's first step to all of them alike. With the chance `exploration` it plays any action.

    Parameters
    ----------
    game : NormalFormGame
        Of two players.
    player : int
        The one that it is, 1.
    memory : int
        Actions that it remembers, 1 or more.
    exploration : float in [0, 1]

    Returns
    -------
    Automaton
        Its states are the sequences of at most `memory` actions.

    Raises
    ------
    ValueError
        If a number is out of range, or it meets more than one other player.
    MemoryError
        If there are too many sequences.

    Examples
    --------
    In matching pennies the second player wants to differ: after action 0 of the shaper it plays 1.

    >>> from rfos import named_game
    >>> fictitious_player(named_game("matching-pennies"), memory=1).play.tolist()
    [[1.0, 0.0], [0.0, 1.0], [1.0, 0.0]]
    """
    checks.kind("game", game, NormalFormGame)
    if game.n_players != 2 or player != 1:
        raise ValueError(
            f"{game.name} has {game.n_players} players: a fictitious player replies to one other, as player 1"
        )
    memory = checks.whole("memory", memory, 1, 16)
    if not 0 <= checks.number(exploration) <= 1:
        raise ValueError(f"exploration is {checks.shown(exploration)}: give a number from 0 to 1")
    theirs, own = game.n_actions
    n_states = sum(theirs**length for length in range(memory + 1))
    needed = n_states * (200 + 8 * memory + 40 * theirs + 40 * own + 24 * theirs * own)
    require_memory(needed, f"a fictitious player of {n_states:,} states", "use a shorter memory")
    sequences = [s for length in range(memory + 1) for s in itertools.product(range(theirs), repeat=length)]
    number = {sequence: x for x, sequence in enumerate(sequences)}
    counts = np.array([np.bincount(s, minlength=theirs) if s else np.ones(theirs, int) for s in sequences])
    best = (counts @ game.payoffs[1]).argmax(axis=1)
    play = exploration / own + (1 - exploration) * np.eye(own)[best]
    onward = [[number[(*s, a)[-memory:]] for a in range(theirs)] for s in sequences]
    return Automaton(play, np.repeat(onward, own, axis=1))


def tsetlin(game: NormalFormGame, player: int = 1, *, depth: int = 3, aspiration: float | None = None) -> Automaton:
    """Return Tsetlin's automaton with linear tactic, a learner with finitely many states (Tsetlin 1961).

    It keeps to an action; each payoff of at least the aspiration makes it surer of it, up to `depth`, each lower one
    less sure, and where it is least sure it turns to the next action. With depth 1 it is win-stay lose-shift.

    Parameters
    ----------
    game : NormalFormGame
    player : int
        The one that it is, from 1 on.
    depth : int
        States for each action, 1 or more.
    aspiration : float, optional
        Payoff that counts as a win, in the game's units; default the mean of the player's payoffs.

    Returns
    -------
    Automaton
        State action * depth + (how sure it is, from 0).

    Raises
    ------
    ValueError
        If the player, the depth or the aspiration is out of range.
    MemoryError
        If there are too many states.

    Examples
    --------
    >>> from rfos import named_game
    >>> tsetlin(named_game("prisoners-dilemma"), depth=1).following.tolist()
    [[0, 0, 1, 1], [1, 1, 0, 0]]
    """
    checks.kind("game", game, NormalFormGame)
    depth = checks.whole("depth", depth, 1, 10_000)
    player = checks.whole("player", player, 1, game.n_players - 1)
    payoffs = game.payoffs[player]
    enough = float(payoffs.mean()) if aspiration is None else checks.number(aspiration)
    if math.isnan(enough):
        raise ValueError(f"aspiration is {checks.shown(aspiration)}: give a payoff, or None for the mean one")
    joint, n_states = payoffs.size, depth * game.n_actions[player]
    require_memory(n_states * (16 * joint + 24 * game.n_actions[player] + 40), f"{n_states:,} states", "use less depth")
    won = (payoffs >= enough).ravel()
    n_actions = game.n_actions[player]
    state = np.arange(n_actions * depth)
    action, sure = state // depth, state % depth
    stay = action * depth + np.minimum(sure + 1, depth - 1)
    less = np.where(sure > 0, state - 1, (action + 1) % n_actions * depth)
    following = np.where(won[None, :], stay[:, None], less[:, None])
    return Automaton(np.eye(n_actions)[action], following)


AUTOMATA: Mapping[str, Callable[[NormalFormGame], Automaton]] = MappingProxyType(
    {
        "tit-for-two-tats": lambda game: tit_for_two_tats(),
        "generous-tit-for-tat": lambda game: generous_tit_for_tat(),
        "grim-trigger": lambda game: grim_trigger(),
        "fictitious-player": fictitious_player,
        "tsetlin": tsetlin,
    }
)
"""Hidden opponents by name, as functions of the game; the strategies of memory one are for two actions."""
