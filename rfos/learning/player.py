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

MEND = "give Rmax(epsilon=0.8), Rmax(m=10), PaperRmax(), or an object with begin(environment, rng) -> player"


class Player(Protocol):
    """An agent during one run.

    It may have besides: ``unknown() -> ndarray of bool, shape (S*A,)``, the pairs that it wants to explore, from which
    the ledger counts its explorations; where it has none and its agent has an ``m``, these are the pairs with less than
    m visits.
    """

    def act(self, state: int) -> int:
        """Return the action that it takes in a state, by all it has observed."""
        ...

    def observe(self, state: int, action: int, reward: float, next_state: int) -> bool:
        """Take note of one step, before the next action is asked for; return whether the policy changed."""
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
    """Raise WrongKindError unless it is an agent."""
    if not isinstance(agent, Rmax | PaperRmax):
        checks.offers("agent", agent, "an agent", ("begin",), MEND)


def visits_asked(agent: Agent) -> int | None:
    """Return the m that an agent has, or None where it has none."""
    m = getattr(agent, "m", None)
    return None if m is None else checks.whole("the agent's m", m)


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
