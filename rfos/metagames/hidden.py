"""Opponents with a hidden state among finitely many: what one is, and several of them as one automaton."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import ArrayLike

from rfos._system import checks
from rfos._system.arrays import Float, Int, array_of, integers
from rfos._system.memory import require_memory
from rfos.games.normal_form import NormalFormGame


@runtime_checkable
class HiddenOpponent(Protocol):
    """An opponent that plays by a state which the shaper does not see.

    Where a meta-episode begins it is in its `start`. In each step it draws an action by its state, and then its next
    state follows from the state and the joint action.

    Attributes
    ----------
    n_states : int
        Number of states X.
    start : int
        State at an episode's first step, in 0 to X - 1.
    """

    @property
    def n_states(self) -> int:
        """Number of states X."""
        ...

    @property
    def start(self) -> int:
        """State at an episode's first step."""
        ...

    def probabilities(self, game: NormalFormGame, player: int) -> ArrayLike:
        """Return the probability of each own action in each state, shape (X, n_actions[player])."""
        ...

    def next_state(self, game: NormalFormGame, player: int) -> ArrayLike:
        """Return the next state after each joint action, integers of shape (X, number of joint actions).

        Joint actions are numbered with player 0's action first: (a_0 n_1 + a_1) n_2 + a_2, ...
        """
        ...


HIDDEN_MEMBERS = ("n_states", "start", "probabilities", "next_state")
"""What an opponent with a hidden state has to have."""

HIDDEN_MEND = (
    "give n_states, start, probabilities(game, player) and next_state(game, player), or an Automaton(play, following) "
    "of rfos.metagames.automata"
)


@dataclass(frozen=True, eq=False)
class JointAutomaton:
    """All hidden opponents of a game together.

    Attributes
    ----------
    play : ndarray of float64, shape (X, B)
        Probability of each joint reply.
    following : ndarray of int64, shape (X, A*B)
        Next state after each joint action a * B + b.
    start : int
    """

    play: Float
    following: Int
    start: int

    @property
    def n_states(self) -> int:
        """Number of states X, the product of the opponents' own."""
        return len(self.play)


def _checked(game: NormalFormGame, player: int, opponent: Any) -> tuple[Float, Int, int]:
    """Return play (X, own actions), next states (X, joint actions) and start of one opponent, checked."""
    says = f"the opponent of player {player} ({type(opponent).__name__})"
    n_states = checks.whole(f"n_states of {says}", opponent.n_states)
    start = opponent.start
    if not (checks.is_whole(start) and 0 <= start < n_states):
        raise ValueError(f"start of {says} is {checks.shown(start)}: give a state from 0 to {n_states - 1}")
    joint = math.prod(game.n_actions)
    # What it returns, a copy of it, and marks of what is wrong in it.
    needed = n_states * (19 * joint + 24 * game.n_actions[player])
    require_memory(needed, f"the states of {says}", "use fewer states")
    shape = (n_states, game.n_actions[player])
    play = checks.distributions(f"{says} plays", opponent.probabilities(game, player), shape, lambda x: f"in state {x}")
    given = array_of(f"next_state of {says}", opponent.next_state(game, player))
    if given.dtype.kind not in "iu" or given.shape != (n_states, joint):
        raise ValueError(
            f"next_state of {says} is an array of {given.dtype} and shape {given.shape}: give integers of shape "
            f"({n_states}, {joint}), one for each joint action"
        )
    following = integers(f"next_state of {says}", given)
    wrong = (following < 0) | (following >= n_states)
    if wrong.any():
        x, action = np.argwhere(wrong)[0].tolist()
        raise ValueError(
            f"next_state of {says} in state {x} after joint action {action} is {following[x, action]}: give a state "
            f"from 0 to {n_states - 1}"
        )
    return play, following, int(start)


def joint_automaton(game: NormalFormGame, opponents: Sequence[Any]) -> JointAutomaton:
    """Return the automaton that all opponents make together, one for each player from 1 on.

    Raises
    ------
    ValueError
        If an opponent's play or its next states are not what `HiddenOpponent` says; it names player, state and value.
    MemoryError
        If there are too many states together.

    Examples
    --------
    >>> from rfos import named_game
    >>> from rfos.metagames.automata import tit_for_two_tats
    >>> found = joint_automaton(named_game("prisoners-dilemma"), [tit_for_two_tats()])
    >>> found.play.tolist(), found.start
    ([[1.0, 0.0], [1.0, 0.0], [0.0, 1.0]], 0)
    """
    parts = [_checked(game, player, opponent) for player, opponent in enumerate(opponents, start=1)]
    sizes = [len(play) for play, _, _ in parts]
    n_states, joint = math.prod(sizes), math.prod(game.n_actions)
    branching = joint // game.n_actions[0]
    require_memory(n_states * 16 * (joint + branching), "all hidden states together", "use opponents with fewer states")
    play, following, start = parts[0]
    for own, onward, first in parts[1:]:
        play = (play[:, None, :, None] * own[None, :, None, :]).reshape(len(play) * len(own), -1)
        following = (following[:, None, :] * len(own) + onward[None, :, :]).reshape(-1, joint)
        start = start * len(own) + first
    for array in (play, following):
        array.setflags(write=False)
    return JointAutomaton(play, following, start)
