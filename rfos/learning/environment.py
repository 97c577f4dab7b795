"""What is played, for how long, and from where: decided once, for all calls."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from rfos._system import checks
from rfos._system.arrays import Bool, Float, Int, freeze
from rfos.metagames.policy import PolicyMetaGame
from rfos.metagames.window import WindowMetaGame, check_horizon
from rfos.planning.mdp import TabularMDP

Process = WindowMetaGame | PolicyMetaGame | TabularMDP

Played = WindowMetaGame | TabularMDP

PLAYED = (
    "give a WindowMetaGame(game, opponent, window=2, discount=0.8), a PolicyMetaGame(stochastic_game, learners, grids, "
    "discount) or a TabularMDP(P, R, discount)"
)


def check_process(process: object) -> None:
    """Raise WrongKindError unless it is something that can be played in."""
    checks.kind("process", process, WindowMetaGame, PolicyMetaGame, TabularMDP, mend=PLAYED)


@dataclass(frozen=True, eq=False)
class Environment:
    """What an agent plays in: a process, the steps of an episode, and the states that episodes start in.

    Every call that takes a process takes an environment too, and makes one of a process. Here and nowhere else it is
    decided that a policy meta-game is played as its MDP, with the opponents rounded (T2 holds for that one only), and
    that the horizon is the meta-game's where none is given.

    Parameters
    ----------
    process : WindowMetaGame, PolicyMetaGame or TabularMDP
    horizon : int, optional
        Steps per episode; default that of the meta-game, for an MDP none (no restarts).
    starts : array_like of int, optional
        Meta-states that episodes start in, uniformly, each in 0 to S - 1; default all, or by the law of an MDP with
        `starts`.

    Attributes
    ----------
    starts : ndarray of int64, shape (n_starts,), or None

    Raises
    ------
    WrongKindError
        If the process is of another kind.
    ValueError
        If the horizon or a start is out of range.

    Examples
    --------
    >>> from rfos import TabularMDP
    >>> environment = Environment(TabularMDP([[0, 1], [1, 0]], [[0.0, 0.0], [1.0, 0.0]], 0.5), horizon=3)
    >>> environment.n_states, environment.n_actions, environment.reward_range, environment.restarts_everywhere
    (2, 2, (0.0, 1.0), True)
    """

    process: Process
    horizon: int | None = None
    starts: Any = None

    def __post_init__(self) -> None:
        """Decide on the horizon and take the starts."""
        check_process(self.process)
        horizon = self.horizon
        if horizon is None and isinstance(self.process, WindowMetaGame):
            horizon = self.process.horizon
        check_horizon(horizon)
        object.__setattr__(self, "horizon", None if horizon is None else int(horizon))
        if self.starts is not None:
            object.__setattr__(self, "starts", _start_states(self.process.n_states, self.starts))

    @functools.cached_property
    def played(self) -> Played:
        """What is played: a policy meta-game's MDP, everything else as it is."""
        return self.process.to_mdp() if isinstance(self.process, PolicyMetaGame) else self.process

    @functools.cached_property
    def mdp(self) -> TabularMDP:
        """The MDP that is played, that of the windows included; it is built when it is first asked for."""
        return self.played if isinstance(self.played, TabularMDP) else self.played.to_mdp()

    @property
    def n_states(self) -> int:
        """Number of meta-states."""
        return self.process.n_states

    @property
    def n_actions(self) -> int:
        """Number of meta-actions."""
        return self.process.n_actions

    @property
    def discount(self) -> float:
        """Discount per step, in [0, 1)."""
        return self.process.discount

    @property
    def reward_range(self) -> tuple[float, float]:
        """Smallest and largest reward of a step."""
        return self.played.reward_range

    @property
    def is_markov(self) -> bool:
        """Whether the meta-state says all that the next one depends on: False where opponents have a hidden state."""
        return not isinstance(self.process, WindowMetaGame) or self.process.is_markov

    @property
    def reveals(self) -> bool:
        """Whether one visit to a pair reveals a row of several successors."""
        return isinstance(self.played, TabularMDP) and self.played.row_feedback and self.played.branching > 1

    @property
    def allowed(self) -> Bool | None:
        """Which actions may be taken in which state, shape (S, A), or None where all may."""
        return self.played.allowed if isinstance(self.played, TabularMDP) else None

    @property
    def start_law(self) -> Float | None:
        """Probability that an episode starts in each state, shape (S,), or None where it is the same for all."""
        return self.played.starts if isinstance(self.played, TabularMDP) and self.starts is None else None

    @property
    def restarts_everywhere(self) -> bool:
        """Whether an episode may start in every state: uniformly, or by a law of the MDP's own with full support."""
        law = self.start_law
        return self.starts is None and (law is None or bool(law.min() > 0))

    @property
    def start_states(self) -> Int:
        """Meta-states that episodes start in, shape (n_starts,)."""
        if self.starts is not None:
            given: Int = self.starts
            return given
        law = self.start_law
        return np.arange(self.n_states) if law is None else np.flatnonzero(law)

    @property
    def sizes(self) -> dict[str, Any]:
        """What bounds ask of it: n_states, n_actions, branching, discount, and r_max as the span of rewards."""
        low, high = self.reward_range
        return {
            "n_states": self.n_states,
            "n_actions": self.n_actions,
            "branching": self.played.branching,
            "discount": self.discount,
            "r_max": Fraction(repr(high)) - Fraction(repr(low)),
        }


def as_environment(process: object, horizon: int | None = None, starts: ArrayLike | None = None) -> Environment:
    """Return the environment of a process; one that is given goes as it is.

    Raises
    ------
    ValueError
        If an environment is given, and a horizon or starts beside it.
    """
    if isinstance(process, Environment):
        for name, given in (("horizon", horizon), ("starts", starts)):
            if given is not None:
                raise ValueError(f"{name} is given beside an Environment, which has its own: give it there")
        return process
    return Environment(process, horizon, starts)  # type: ignore[arg-type]


def _start_states(n_states: int, starts: ArrayLike) -> Int:
    """Return the meta-states that episodes start in, shape (n_starts,)."""
    chosen = np.array(starts, ndmin=1)
    whole = chosen.dtype.kind in "iu" and chosen.ndim == 1 and chosen.size > 0
    if not whole or chosen.min() < 0 or chosen.max() >= n_states:
        raise ValueError(f"starts are {starts!r}: give a list of meta-states from 0 to {n_states - 1}")
    result: Int = chosen.astype(np.int64)
    freeze(result)
    return result
