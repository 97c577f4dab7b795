"""The experiment of R-FOS: its sizes, its meta-games, its agents."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from rfos._system import checks
from rfos.games.named import named_game
from rfos.learning.agents import PaperRmax, Rmax, check_epsilon
from rfos.learning.coverage import derived_m
from rfos.metagames.opponents import QLearner, WindowOpponent, WindowQLearner
from rfos.metagames.window import WindowMetaGame

DISCOUNT = 0.8

HORIZON = 10

DELTA = 0.2

BINS = 1000

EPISODES_PER_VISIT = 8
"""A run has 8 m |S| meta-episodes."""

LONGEST_RUN = 5 * 10**11
"""Most steps of one run; at a hundred million a second they take more than an hour."""

AVERAGED_STEPS = 10_000
"""Steps that a moving average covers: its noise, about 0.005, is a seventh of the 5 % that convergence is about."""

FINAL_SHARE = 0.25
"""Share of a run, at its end, that sets the final level."""


@dataclass(frozen=True)
class Experiment:
    """What to run; the defaults are the published experiment.

    Parameters
    ----------
    game : str
        "matching-pennies" or "prisoners-dilemma", the paper's two games.
    windows : tuple of int
        Joint actions remembered, each at least 1.
    epsilon : float > 0
        Accuracy in units of value, reward/(1-0.8).
    seeds : int
        Runs per window.
    agent : {"paper", "rmax"}
        The paper's agent with its departures (`rfos.PaperRmax`), or canonical R-max with m derived from epsilon and
        delta = 0.2.
    opponent : {"hidden", "window"}
        The paper's Q-learner with hidden values, or the same recomputed from the window: an exact MDP.
    seed : int
        Root of all random streams.

    Raises
    ------
    ValueError
        If a parameter is out of range; the message says how to mend it.
    """

    game: str = "matching-pennies"
    windows: tuple[int, ...] = (2, 3, 4)
    epsilon: float = 0.8
    seeds: int = 5
    agent: Literal["paper", "rmax"] = "paper"
    opponent: Literal["hidden", "window"] = "hidden"
    seed: int = 0

    def __post_init__(self) -> None:
        """Check everything that can be checked before the first run."""
        windows = checks.several("windows", self.windows, "give different whole numbers, such as (2, 3, 4)")
        object.__setattr__(self, "windows", tuple(checks.whole("window", window) for window in windows))
        for name in ("game", "agent", "opponent"):
            checks.kind(name, getattr(self, name), str, mend="give a name in quotes")
        check_epsilon(self.epsilon)
        object.__setattr__(self, "epsilon", float(self.epsilon))
        if self.game not in ("matching-pennies", "prisoners-dilemma"):
            raise ValueError(
                f"unknown game {self.game!r}: the paper's games are matching-pennies and prisoners-dilemma"
            )
        if self.agent not in ("paper", "rmax"):
            raise ValueError(f"unknown agent {self.agent!r}: choose paper or rmax")
        if self.opponent not in ("hidden", "window"):
            raise ValueError(f"unknown opponent {self.opponent!r}: choose hidden or window")
        if not self.windows or len(set(self.windows)) < len(self.windows):
            raise ValueError(f"windows are {self.windows}: give different whole numbers, such as 2,3,4")
        give = "the number of runs per window, at least 1, at most 10000"
        checks.whole("seeds", self.seeds, 1, 10**4, give)
        checks.whole("seed", self.seed, 0, give="a non-negative integer")
        for window in self.windows:
            steps = episodes_of(meta_game(self, window), agent_of(self, self.epsilon)) * HORIZON
            if steps > LONGEST_RUN:
                raise ValueError(
                    f"window {window} at epsilon {self.epsilon:g} means 10^{math.log10(steps):.1f} steps per run, "
                    "which takes more than an hour: choose smaller windows or a larger epsilon"
                )

    @property
    def is_published(self) -> bool:
        """Whether game, epsilon, agent and opponent are those of the paper's figure."""
        chosen = (self.game, self.epsilon, self.agent, self.opponent)
        return chosen == ("matching-pennies", 0.8, "paper", "hidden")


def meta_game(experiment: Experiment, window: int) -> WindowMetaGame:
    """Return the experiment's meta-game for a window."""
    opponent: QLearner | WindowOpponent = QLearner() if experiment.opponent == "hidden" else WindowQLearner()
    return WindowMetaGame(named_game(experiment.game), opponent, window, DISCOUNT, HORIZON)


def agent_of(experiment: Experiment, epsilon: float) -> Rmax | PaperRmax:
    """Return the experiment's agent for an epsilon."""
    if experiment.agent == "paper":
        return PaperRmax(epsilon=epsilon, delta=DELTA)
    return Rmax(epsilon=epsilon, delta=DELTA)


def episodes_of(game: WindowMetaGame, agent: Rmax | PaperRmax) -> int:
    """Return the meta-episodes of a run, 8 m |S|."""
    return EPISODES_PER_VISIT * derived_m(game, agent, horizon=HORIZON) * game.n_states
