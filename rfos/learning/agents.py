"""The configurations of the agents: canonical R-max, and the one of the R-FOS experiment.

Both count visits of (meta-state, meta-action) pairs; a pair is known once it has m visits, its estimates are frozen
then, and the agent plans anew only when a pair becomes known (Brafman & Tennenholtz 2002; Kakade 2003). Rewards
here are known functions of a pair and its successor, so only transitions are estimated.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from rfos._system import checks

MOST_VISITS = 10**30
"""Largest m that is given; of larger numbers what the theorems promise takes long to compute."""


def _check_schedule(m: int | None, epsilon: float | None, delta: float | None) -> None:
    if m is not None:
        give = "a whole number of visits of at least 1, and at most 10^30: no run is so long"
        checks.whole("m", m, 1, MOST_VISITS, give)
    if m is None and epsilon is None:
        raise ValueError("m is not given and cannot be derived: give m, or epsilon and delta")
    if epsilon is not None:
        check_epsilon(epsilon)
    if delta is not None:
        check_delta(delta)


def check_epsilon(epsilon: float) -> None:
    """Raise ValueError unless it is a positive number."""
    if not 0 < checks.number(epsilon) < math.inf:
        raise ValueError(f"epsilon is {checks.shown(epsilon)}: give a positive accuracy in units of value")


def check_delta(delta: float) -> None:
    """Raise ValueError unless it lies between 0 and 1."""
    if not 0 < checks.number(delta) < 1:
        raise ValueError(f"delta is {checks.shown(delta)}: give a failure probability between 0 and 1")


def _own_numbers(agent: Rmax | PaperRmax) -> None:
    """Keep an agent's numbers as Python's own, whatever type of number was given."""
    for name in ("epsilon", "delta", "temperature"):
        if getattr(agent, name, None) is not None:
            object.__setattr__(agent, name, float(getattr(agent, name)))
    if agent.m is not None:
        object.__setattr__(agent, "m", int(agent.m))


@dataclass(frozen=True)
class Rmax:
    """The canonical R-max.

    It plays greedily for the optimistic model, in which a known pair has its empirical law (its true one in an MDP
    with `row_feedback`) and an unknown pair is worth V_max = (largest reward)/(1-discount); ties go to unknown pairs
    first, then to the lower index.

    Parameters
    ----------
    m : int, optional
        Visits that make a pair known. Default: derived from `epsilon` and `delta` by the theorem that covers the run
        (`coverage`).
    epsilon, delta : float, optional
        Accuracy in units of value, failure probability in (0, 1). `epsilon` also sets how exactly the agent plans:
        value iteration loses at most 1 % of it.
    planning : {"stationary", "episode"}
        Plan for the discounted return without end, or for the return of the rest of an episode (T1-ep).
    pooled : bool
        Count per meta-state instead of per pair (X2): valid where the opponents' law does not depend on the shaper's
        simultaneous action, as in every exact window meta-game.

    Raises
    ------
    ValueError
        If a parameter is out of range, or neither `m` nor `epsilon` is given.
    """

    m: int | None = None
    epsilon: float | None = None
    delta: float = 0.05
    planning: Literal["stationary", "episode"] = "stationary"
    pooled: bool = False

    def __post_init__(self) -> None:
        """Check the ranges."""
        _check_schedule(self.m, self.epsilon, self.delta)
        if self.planning not in ("stationary", "episode"):
            raise ValueError(f"unknown planning {checks.shown(self.planning)}: choose stationary or episode")
        _own_numbers(self)


@dataclass(frozen=True)
class PaperRmax:
    """The agent of the R-FOS experiment, preset `paper`, departures included.

    Departures from R-max:

    1. actions are drawn from a softmax of Q at a temperature, not greedy;
    2. unknown successors are worth 0 in a backup instead of V_max, so they are not sought through known pairs;
    3. m = floor(|S| ln(1/delta) / (epsilon (1-discount))^2) lacks the union bound's logarithm and V_max;
    4. a fixed number of in-place sweeps, floor(ln(1/(epsilon (1-discount))) / (1-discount)), replaces planning to a
       tolerance;
    5. in the experiment the opponent's state is hidden and survives restarts, so the meta-game is no MDP.

    Parameters
    ----------
    epsilon, delta : float
        They set m and the sweeps by the paper's formulas.
    temperature : float > 0
        Of the softmax, in units of value.
    m : int, optional
        Overrides the formula.

    Raises
    ------
    ValueError
        If a parameter is out of range.
    """

    epsilon: float = 0.8
    delta: float = 0.2
    temperature: float = 0.25
    m: int | None = None

    def __post_init__(self) -> None:
        """Check the ranges."""
        _check_schedule(self.m, self.epsilon, self.delta)
        if not 0 < checks.number(self.temperature) < math.inf:
            shown = checks.shown(self.temperature)
            raise ValueError(f"temperature is {shown}: give a positive number in units of value")
        _own_numbers(self)


DEPARTURES = (
    "actions are drawn from a softmax of Q at a temperature, not greedy",
    "unknown successors are worth 0 in a backup instead of V_max, so they are not sought through known pairs",
    "m = floor(|S| ln(1/delta) / (epsilon (1-discount))^2) lacks the union bound's logarithm and V_max",
    "a fixed number of in-place sweeps, floor(ln(1/(epsilon (1-discount))) / (1-discount)), replaces planning to a "
    "tolerance",
    "in the experiment the opponent's state is hidden and survives restarts, so the meta-game is no MDP",
)
"""How the preset `paper` departs from R-max; the last is the experiment's, not the agent's."""
