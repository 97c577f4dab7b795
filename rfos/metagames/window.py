"""Meta-games: a game, the opponents that the shaper meets, and what the shaper observes.

`WindowMetaGame` is Case II: one inner step per meta-step, simultaneous moves, the meta-state is
the window of the last h joint actions.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from rfos._kernels.rmax import AutomatonTables, Learners, World
from rfos._system import checks
from rfos._system.arrays import Owned, hand_over
from rfos._system.memory import BLOCK_ROWS, require_memory
from rfos.games.normal_form import NormalFormGame
from rfos.metagames.hidden import HIDDEN_MEMBERS, HIDDEN_MEND, HiddenOpponent, JointAutomaton, joint_automaton
from rfos.metagames.opponents import BUILT_IN, QLearner, WindowOpponent
from rfos.metagames.windows import WindowIndex
from rfos.planning.mdp import TabularMDP, check_discount
from rfos.planning.storages import ShiftRegister, thresholds

CONTINUING = np.iinfo(np.int64).max
"""Steps of an episode that never ends, for kernels."""


Opponent = QLearner | HiddenOpponent | WindowOpponent

WINDOW, FINITE, LEARNER = "functions of the window", "automata with a hidden state", "hidden learners"
"""The kinds of opponents."""


def _kind(opponent: object) -> str:
    """Return of which kind an opponent is."""
    if isinstance(opponent, QLearner):
        return LEARNER
    return FINITE if hasattr(opponent, "next_state") else WINDOW


def check_horizon(horizon: int | None) -> None:
    """Raise ValueError unless the horizon is None or a whole number of at least 1."""
    if horizon is None:
        return
    checks.whole("horizon", horizon, give="a whole number of steps of at least 1, or None for no restarts")
    if horizon > CONTINUING:
        shown = checks.shown(horizon)
        raise ValueError(f"horizon is {shown}, above the limit of {CONTINUING}: give None for no restarts")


@dataclass(frozen=True, eq=False)
class WindowMetaGame:
    """A Case II meta-game: the shaper (player 0) sees the last h joint actions and picks its next inner action.

    Parameters
    ----------
    game : NormalFormGame
        Any number of players and actions; the shaper earns ``game.payoffs[0]``.
    opponent : QLearner, HiddenOpponent or WindowOpponent, or a sequence of them
        One for each other player, or one for all. All are Q-learners with hidden values, or all have a hidden state
        among finitely many, or all are functions of the window.
    window : int
        Number of joint actions remembered, h >= 1. `index` documents and inverts the numbering of windows.
    discount : float in [0, 1)
        Meta discount.
    horizon : int or None
        Steps after which a meta-episode restarts from a uniformly random window; None: it never does.

    Raises
    ------
    ValueError
        If a size, the discount or the horizon is out of range, or the opponents do not fit the game.

    Examples
    --------
    >>> from rfos.games.named import matching_pennies
    >>> from rfos.metagames.opponents import QLearner, WindowQLearner
    >>> exact = WindowMetaGame(matching_pennies(), WindowQLearner(), window=2, discount=0.8)
    >>> exact.n_states, exact.n_actions, exact.branching, exact.is_markov
    (16, 2, 2, True)
    >>> WindowMetaGame(matching_pennies(), QLearner(), window=2, discount=0.8).is_markov
    False
    """

    game: NormalFormGame
    opponent: Opponent | Sequence[Opponent]
    window: int
    discount: float
    horizon: int | None = None

    def __post_init__(self) -> None:
        """Check the sizes and the opponents; nothing large is allocated here."""
        checks.kind("game", self.game, NormalFormGame)
        check_discount(self.discount)
        object.__setattr__(self, "discount", float(self.discount))
        check_horizon(self.horizon)
        if isinstance(self.opponent, Sequence) and not isinstance(self.opponent, str):
            object.__setattr__(self, "opponent", tuple(self.opponent))
        n_opponents = self.game.n_players - 1
        if n_opponents < 1:
            raise ValueError(f"{self.game.name} has one player: a meta-game needs an opponent")
        opponents = self.opponents
        if len(opponents) != n_opponents:
            raise ValueError(f"{len(opponents)} opponents for {n_opponents} other players: give one for each")
        kinds = set()
        for player, opponent in enumerate(opponents, start=1):
            kinds.add(_kind(opponent))
            if not isinstance(opponent, QLearner):
                finite = _kind(opponent) == FINITE
                members = HIDDEN_MEMBERS if finite else ("probabilities",)
                mend = HIDDEN_MEND if finite else checks.OPPONENT
                checks.offers(f"the opponent of player {player}", opponent, "an opponent", members, mend)
        if len(kinds) > 1:
            raise ValueError(
                f"of {n_opponents} opponents some are {' and some are '.join(sorted(kinds))}: let all be of one kind"
            )
        self.index  # noqa: B018  its sizes are checked here, before anything is computed

    @cached_property
    def index(self) -> WindowIndex:
        """The numbering of windows."""
        return WindowIndex(self.game.n_actions, self.window)

    @property
    def opponents(self) -> tuple[Opponent, ...]:
        """One opponent for each player from 1 on."""
        if isinstance(self.opponent, Sequence) and not isinstance(self.opponent, str):
            return tuple(self.opponent)
        return (self.opponent,) * (self.game.n_players - 1)

    @property
    def n_states(self) -> int:
        """Number of meta-states, (prod of all action counts) ** window."""
        return self.index.n_states

    @property
    def n_actions(self) -> int:
        """Number of meta-actions: the shaper's inner actions (pure ones suffice, G3)."""
        return self.game.n_actions[0]

    @property
    def branching(self) -> int:
        """Number of successors of a pair: the opponents' joint actions."""
        return self.index.branching

    @property
    def is_markov(self) -> bool:
        """Whether the opponents' play is a function of the meta-state, so that the meta-game is an MDP."""
        return _kind(self.opponents[0]) == WINDOW

    @cached_property
    def hidden(self) -> JointAutomaton | None:
        """The opponents' hidden states, where they are finitely many; None else."""
        return joint_automaton(self.game, self.opponents) if _kind(self.opponents[0]) == FINITE else None

    @cached_property
    def rewards(self) -> NDArray[np.float64]:
        """The shaper's reward for (own action, opponents' joint action), shape (n_actions, branching)."""
        rewards: NDArray[np.float64] = self.game.payoffs[0].reshape(self.n_actions, self.branching)
        rewards.setflags(write=False)
        return rewards

    @property
    def reward_range(self) -> tuple[float, float]:
        """Smallest and largest reward per step of the shaper."""
        return float(self.rewards.min()), float(self.rewards.max())

    @cached_property
    def opponents_play(self) -> NDArray[np.float64]:
        """Probability of each joint action of the opponents in each window, shape (n_states, branching).

        Raises
        ------
        ValueError
            If the opponents are hidden learners: their play is no function of the window.
        """
        if not self.is_markov:
            raise ValueError(
                "the opponent's state is hidden, so its play is no function of the window and V* is not defined: "
                "use an opponent that is a function of the window (WindowQLearner, tit_for_tat, ...)"
                + (", or solve for a shaper who sees its state: to_mdp(informed=True)" if self.hidden else "")
            )
        self.index.require(self._play_bytes)
        if self.game.n_players == 2:
            return self._played(1)
        joint = np.ones((self.n_states, self.branching))
        digits = np.indices(self.game.n_actions[1:]).reshape(-1, self.branching).tolist()
        for player, actions in enumerate(digits, start=1):
            own = self._played(player)
            for column, action in enumerate(actions):
                joint[:, column] *= own[:, action]
            del own  # or there were two
        joint.setflags(write=False)
        return joint

    def _played(self, player: int) -> NDArray[np.float64]:
        """Return what a player's opponent plays in each window, shape (n_states, n_actions[player]); nobody else's."""
        opponent = self.opponents[player - 1]
        assert isinstance(opponent, WindowOpponent)
        given = opponent.probabilities(self.game, player, self.index)
        says = f"the opponent of player {player} ({type(opponent).__name__}) plays"

        def where(state: int) -> str:
            return f"in window {state}, after the joint actions {self.index.decode(state).tolist()}"

        shape = (self.n_states, self.game.n_actions[player])
        return checks.distributions(says, Owned(given) if type(opponent) in BUILT_IN else given, shape, where)

    @property
    def _play_bytes(self) -> int:
        """Bytes while the opponents' play is computed."""
        # While a player's table grows, the one of the windows a step shorter is there too; one that may be another's
        # is copied, whatever else its owner takes.
        shorter = -(-8 // (self.n_actions * self.branching))
        own = max(
            size * (8 + shorter if type(opponent) in BUILT_IN else 20)
            for size, opponent in zip(self.game.n_actions[1:], self.opponents, strict=True)
        )
        joint = 0 if self.game.n_players == 2 else 8 * self.branching
        return self.n_states * (own + joint) + self._block_bytes

    @property
    def _block_bytes(self) -> int:
        """Bytes of what is made of some rows of the opponents' play at once, a few numbers for each of theirs."""
        return min(self.n_states, BLOCK_ROWS) * 32 * self.branching

    def to_mdp(self, *, informed: bool = False) -> TabularMDP:
        """Return the meta-game as an MDP with the storage of a shift register, 4 + 8 * branching bytes per window.

        Parameters
        ----------
        informed : bool
            For opponents with a hidden state among X: the MDP of a shaper who sees that state beside the window.
            Meta-state window * X + x; episodes start in every window, and in the opponents' start. Its rewards are the
            mean ones of a state and an action, and like every MDP it has no horizon: give that to `run` or `ledger`.

        Raises
        ------
        ValueError
            If the opponent's state is hidden and the shaper not informed, or the other way round.
        MemoryError
            If it does not fit this machine.
        """
        if informed:
            return self._informed()
        self.index.require(max(self._play_bytes, self.n_states * (8 * self.branching + 4) + self._block_bytes))
        play = self.opponents_play
        register = ShiftRegister(hand_over(self.index.shifted()), hand_over(self.index.offset()), hand_over(play))
        return TabularMDP(hand_over(register), self.rewards, self.discount)

    def _informed(self) -> TabularMDP:
        """Return the MDP of windows and hidden states."""
        hidden = self.hidden
        if hidden is None:
            raise ValueError(
                "informed=True is for opponents with a hidden state among finitely many (HiddenOpponent): "
                f"{self.opponents[0]!r} is not one"
            )
        n_hidden, rows = hidden.n_states, self.n_states * hidden.n_states * self.n_actions
        require_memory(rows * (64 * self.branching + 64), "the informed meta-game", "choose a shorter window")
        windows = self.index.shifted()[:, None] + self.index.offset().reshape(-1)  # (S, A*B)
        successor = windows[:, None, :] * n_hidden + hidden.following  # (S, X, A*B)
        shape = (self.n_states, n_hidden, self.n_actions, self.branching)
        law = np.broadcast_to(hidden.play[None, :, None, :], shape)
        indptr = np.arange(rows + 1, dtype=np.int64) * self.branching
        flat = (law.ravel(), successor.ravel(), indptr)
        transitions = sp.csr_array(flat, shape=(rows, self.n_states * n_hidden))
        transitions.sum_duplicates()
        transitions.eliminate_zeros()
        expected = hidden.play @ self.rewards.T  # (X, A)
        starts = np.zeros((self.n_states, n_hidden))
        starts[:, hidden.start] = 1 / self.n_states
        return TabularMDP(transitions, np.tile(expected, (self.n_states, 1)), self.discount, starts=starts.ravel())

    def automaton(self) -> AutomatonTables | None:
        """Return the hidden states for kernels, at their start; None where there are none, or not finitely many."""
        hidden = self.hidden
        if hidden is None:
            return None
        return AutomatonTables(
            thresholds(hidden.play), np.array(hidden.following), np.int64(hidden.start), np.array([hidden.start])
        )

    @property
    def world_bytes(self) -> int:
        """Bytes that `world` takes at its peak, in Python integers; the opponents' play is kept beside it."""
        play = 8 * self.branching if self.is_markov else 0
        # A successor, a reward and a threshold for each branch; where episodes start; and a number while it is built.
        arrays = self.n_actions * self.branching * (24 if self.is_markov else 16) + 16
        needed = max(self._play_bytes if self.is_markov else 0, self.n_states * (play + arrays) + self._block_bytes)
        if self.hidden is None:
            return needed
        # What the hidden states play and where they go, kept here and once more for kernels.
        return needed + self.hidden.n_states * self.branching * (16 * self.n_actions + 40)

    def world(self) -> World:
        """Return the arrays that simulation kernels need, about 24 bytes per pair and branch.

        Raises
        ------
        MemoryError
            If they do not fit this machine.
        """
        self.index.require(self.world_bytes)
        shape = (self.n_states, self.n_actions, self.branching)
        rows = (self.n_states * self.n_actions, self.branching)
        play = np.zeros((0, 0), np.int64)
        if self.is_markov:
            known = self.opponents_play
            drawn = np.empty(shape, np.int64)
            for first in range(0, self.n_states, BLOCK_ROWS):
                drawn[first : first + BLOCK_ROWS] = thresholds(known[first : first + BLOCK_ROWS])[:, None, :]
            play = drawn.reshape(rows)
        successor = np.empty(shape, np.int64)
        successor[:] = self.index.shifted()[:, None, None]
        successor += self.index.offset()
        reward = np.empty(shape)
        reward[:] = self.rewards
        return World(
            successor.reshape(rows),
            reward.reshape(rows),
            play,
            np.zeros((0, 0)),
            np.arange(self.n_states),
            CONTINUING if self.horizon is None else self.horizon,
        )

    def learners(self) -> Learners | None:
        """Return the hidden learners at the start of a run, for kernels; None where there are none."""
        if not isinstance(self.opponents[0], QLearner):
            return None
        hidden = [opponent for opponent in self.opponents if isinstance(opponent, QLearner)]
        sizes = self.game.n_actions[1:]
        initial = np.zeros((len(hidden), max(sizes)))
        for i, learner in enumerate(hidden):
            initial[i, : sizes[i]] = learner.initial
        digits = np.indices(self.game.n_actions[1:]).reshape(self.game.n_players - 1, self.branching)
        payoffs = self.game.payoffs[1:].reshape(-1, self.n_actions, self.branching)
        return Learners(
            initial.copy(),
            initial,
            np.array(sizes, np.int64),
            np.ascontiguousarray(digits, np.int64),
            np.array(payoffs),
            np.array([learner.learning_rate for learner in hidden], np.float64),
            np.array([learner.exploration for learner in hidden], np.float64),
            np.array([learner.reset for learner in hidden], np.bool_),
        )
