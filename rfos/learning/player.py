"""What an agent is: a configuration that begins runs, and the player that learns in one of them.

The agents of the package, `Rmax` and `PaperRmax`, run in kernels. Any object with this protocol runs in a loop of
Python, under the same trace, ledger and checks.
"""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from rfos._system import checks
from rfos.learning.agents import PaperRmax, Rmax
from rfos.learning.environment import Environment

AGENT_WANTED = "give Rmax(epsilon=0.8), Rmax(m=10), PaperRmax(), or an object with begin(environment, rng) -> player"


class Player(Protocol):
    """An agent during one run.

    It may have besides: ``unknown() -> ndarray of bool, shape (S*A,)``, the pairs that it wants to explore, from which
    the ledger counts its explorations, asked for after each step; where it has none and its agent has an ``m``, these
    are the pairs with less than m visits. What it says is compared: actions with the policy at each step, and the
    policy at the end of a run with the one that was last told.
    """

    def act(self, state: int) -> int:
        """Return the action that it takes in a state, by all it has observed."""
        ...

    def observe(self, state: int, action: int, reward: float, next_state: int) -> bool:
        """Take note of one step, before the next action is asked for; return True where the policy changed."""
        ...

    def policy(self) -> NDArray[Any]:
        """Return what it plays until the policy changes.

        Returns
        -------
        ndarray
            Actions, of integers, shape (S,), or (T, S) by the step of an episode of T steps; or probabilities, of
            floats, shape (S, A).
        """
        ...


class PlayingAgent(Protocol):
    """An agent of one's own: a configuration, best a frozen dataclass.

    It may have an ``epsilon`` and a ``delta``, which the ledger takes where none are given, and an ``m``, the visits
    that make a pair known to it, which `least_sufficient_m` searches for.
    """

    def begin(self, environment: Environment, rng: np.random.Generator) -> Player:
        """Return a player that has learned nothing yet; what it draws it draws from `rng`."""
        ...


Agent = Rmax | PaperRmax | PlayingAgent


def check_agent(agent: object) -> None:
    """Raise WrongKindError unless it is an agent; nor may it be of a class below those of the package.

    Kernels play `Rmax` and `PaperRmax` alone, and theorems speak of them: what a class below them does otherwise would
    be passed over without a word.
    """
    for base in (Rmax, PaperRmax):
        if isinstance(agent, base) and type(agent) is not base:
            raise checks.WrongKindError(
                f"agent is {checks.described(agent)}, a class below {base.__name__}, which would be played as "
                f"{base.__name__} itself: give {base.__name__}(...), or a class of its own with begin(environment, rng)"
            )
    if not isinstance(agent, Rmax | PaperRmax):
        checks.offers("agent", agent, "an agent", ("begin",), AGENT_WANTED)


def visits_asked(agent: Agent) -> int | None:
    """Return the m that an agent has, or None where it has none."""
    m = getattr(agent, "m", None)
    return None if m is None else checks.whole("the agent's m", m)


def begun(agent: Any, environment: Environment, rng: np.random.Generator) -> Player:
    """Let an agent of one's own begin, and return its player.

    Raises
    ------
    ValueError
        If it lacks one of the three methods of a player.
    """
    player = agent.begin(environment, rng)
    for name in ("act", "observe", "policy"):
        if not callable(getattr(player, name, None)):
            kind = type(player).__name__
            raise ValueError(
                f"begin returned {kind}, which has no {name}: return a player with act, observe and policy"
            )
    return player  # type: ignore[no-any-return]


def said_change(answer: object) -> bool:
    """Return what `observe` answered, whether the policy changed.

    Raises
    ------
    WrongKindError
        If it is neither True nor False: what is forgotten would be taken for False.

    Examples
    --------
    >>> said_change(np.bool_(True))
    True
    >>> said_change(None)
    Traceback (most recent call last):
        ...
    rfos._system.checks.WrongKindError: observe returned None: return True where the policy changed, else False
    """
    if not isinstance(answer, bool | np.bool_):
        what = checks.described(answer)
        raise checks.WrongKindError(f"observe returned {what}: return True where the policy changed, else False")
    return bool(answer)


def checked_policy(player: Player, environment: Environment) -> NDArray[Any]:
    """Return a player's policy as an array of our own, checked as a user's input.

    Raises
    ------
    ValueError
        If its shape is another, or an action is out of range or not allowed, or a row is not a distribution.
    """
    given = np.asarray(player.policy())
    n_states, n_actions, horizon = environment.n_states, environment.n_actions, environment.horizon
    who = f"the policy of {type(player).__name__}"
    allowed = environment.allowed
    if given.dtype.kind in "iu":
        if given.shape != (n_states,) and given.shape != (horizon, n_states):
            stages = "" if horizon is None else f", or ({horizon}, {n_states}) by the step of an episode"
            raise ValueError(f"{who} has shape {given.shape}: actions have shape ({n_states},){stages}")
        if given.size and not (given.min() >= 0 and given.max() < n_actions):
            wrong = given[(given < 0) | (given >= n_actions)].flat[0]
            raise ValueError(f"{who} takes action {wrong}: actions are 0 to {n_actions - 1}")
        if allowed is not None and not np.take_along_axis(allowed, given.reshape(-1, n_states).T, axis=1).all():
            raise ValueError(f"{who} takes an action that is not allowed: choose among `environment.mdp.allowed`")
        return given.astype(np.int64)
    if given.dtype.kind != "f" or given.shape != (n_states, n_actions):
        raise ValueError(
            f"{who} is an array of {given.dtype} and shape {given.shape}: give actions as integers, shape "
            f"({n_states},), or probabilities as floats, shape ({n_states}, {n_actions})"
        )
    rows = checks.distributions(f"{who} plays", given, (n_states, n_actions), lambda state: f"in state {state}")
    if allowed is not None and (rows[~allowed] > 0).any():
        raise ValueError(f"{who} takes an action that is not allowed: choose among `environment.mdp.allowed`")
    return np.array(rows)
