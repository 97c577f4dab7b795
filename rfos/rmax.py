"""R-max in tabular meta-games: the canonical algorithm and the one of the R-FOS experiment.

Both count visits of (meta-state, meta-action) pairs; a pair is known once it has m visits, its estimates are frozen
then, and the agent plans anew only when a pair becomes known (Brafman & Tennenholtz 2002; Kakade 2003). Rewards
here are known functions of a pair and its successor, so only transitions are estimated.
"""

from __future__ import annotations

import functools
import math
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from enum import StrEnum
from fractions import Fraction
from typing import Any, Literal, NamedTuple, Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray

import bounds.rmax
from bounds import sharp
from bounds.bound import Bound
from rfos import _checks
from rfos._arrays import booleans, floats, hand_over, integers
from rfos._kernels import rmax as kernels
from rfos._legs import Arrays, Leg, take_up, within
from rfos._memory import require_memory
from rfos.mdp import TabularMDP, thresholds
from rfos.metagames import CONTINUING, WindowMetaGame, check_horizon
from rfos.policy_metagames import PolicyMetaGame
from rfos.randomness import Seed, stream

Float = NDArray[np.float64]
Int = NDArray[np.int64]
Process = WindowMetaGame | PolicyMetaGame | TabularMDP
Played = WindowMetaGame | TabularMDP

PLANNING_SHARE = Fraction(1, 100)
"""Share of epsilon left to planning, w_plan: value iteration makes it cheap to keep small."""

MOST_VISITS = 10**30
"""Largest m that is given; of larger numbers what the theorems promise takes long to compute."""

LONGEST_PLAN = 10**11
"""Products of one plan, some minutes, above which a run is refused."""

LONGEST_CALL = 10**7
"""Steps that a kernel plays before Python looks up, so that a run can be watched and interrupted."""

DEFAULT_ACCURACY = 0.01
"""Accuracy that planning assumes where only m is given, in units of value."""


def _check_schedule(m: int | None, epsilon: float | None, delta: float | None) -> None:
    if m is not None:
        give = "a whole number of visits of at least 1, and at most 10^30: no run is so long"
        _checks.whole("m", m, 1, MOST_VISITS, give)
    if m is None and epsilon is None:
        raise ValueError("m is not given and cannot be derived: give m, or epsilon and delta")
    if epsilon is not None:
        check_epsilon(epsilon)
    if delta is not None:
        check_delta(delta)


def check_epsilon(epsilon: float) -> None:
    """Raise ValueError unless it is a positive number."""
    if not 0 < _checks.number(epsilon) < math.inf:
        raise ValueError(f"epsilon is {_checks.shown(epsilon)}: give a positive accuracy in units of value")


def check_delta(delta: float) -> None:
    """Raise ValueError unless it lies between 0 and 1."""
    if not 0 < _checks.number(delta) < 1:
        raise ValueError(f"delta is {_checks.shown(delta)}: give a failure probability between 0 and 1")


def _own_numbers(agent: Agent) -> None:
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
    that is `observed`) and an unknown pair is worth V_max = (largest reward)/(1-discount); ties go to unknown pairs
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
            raise ValueError(f"unknown planning {_checks.shown(self.planning)}: choose stationary or episode")
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
        if not 0 < _checks.number(self.temperature) < math.inf:
            shown = _checks.shown(self.temperature)
            raise ValueError(f"temperature is {shown}: give a positive number in units of value")
        _own_numbers(self)


Agent = Rmax | PaperRmax

DEPARTURES = (
    "actions are drawn from a softmax of Q at a temperature, not greedy",
    "unknown successors are worth 0 in a backup instead of V_max, so they are not sought through known pairs",
    "m = floor(|S| ln(1/delta) / (epsilon (1-discount))^2) lacks the union bound's logarithm and V_max",
    "a fixed number of in-place sweeps, floor(ln(1/(epsilon (1-discount))) / (1-discount)), replaces planning to a "
    "tolerance",
    "in the experiment the opponent's state is hidden and survives restarts, so the meta-game is no MDP",
)
"""How the preset `paper` departs from R-max; the last is the experiment's, not the agent's."""


@dataclass(frozen=True)
class Coverage:
    """Which theorem covers a run.

    Attributes
    ----------
    theorem : str or None
        "T1", "T1'", "T1' with X1", "T1-ep" or "X4"; None where no theorem applies.
    reason : str
        The assumptions that hold, or the first that fails.
    bad_steps : int or None
        Most steps that are not epsilon-optimal for m = 1: with certainty under T1', with probability 1 - delta/2 under
        T1' with X1. None under other theorems, which `bounds` evaluates, and where m is above 1 or epsilon is missing.
    """

    theorem: str | None
    reason: str
    bad_steps: int | None = None


class Progress(StrEnum):
    """How far a run came: which rows of counts (pairs, or meta-states if pooled) became known in it."""

    NONE = "none"  # it never planned on anything that it had learned: its counts say nothing yet
    SOME = "some"
    ALL = "all"


NOTHING_YET = "no pair became known: the agent has not learned anything, and the counts say nothing yet"
"""What `Progress.NONE` means, for whoever reads a result."""


@dataclass(frozen=True, eq=False)
class Trace:
    """What a run of R-max left behind.

    Attributes
    ----------
    agent : Rmax or PaperRmax
    m : int
        Visits that made a pair known.
    coverage : Coverage
    horizon : int or None
        Steps per episode.
    n_steps : int
        Meta-steps played.
    bin_end : ndarray of int64, shape (bins,)
        Steps done at each bin's end.
    mean_reward : ndarray of float64, shape (bins,)
        Mean reward per step within each bin.
    known : ndarray of int64, shape (bins,)
        Known rows at each bin's end.
    known_at : ndarray of int64, shape (rows,)
        Step at which each row became known, 0 if it did not. Rows are pairs s * A + a, or meta-states if pooled.
    visits, branch_counts : ndarray of int64, shapes (rows,), (rows, B)
        Counts per successor actually possible, frozen at m.
    q : ndarray of float64, shape (S, A)
        The agent's final action values (of the first stage where it plans episodes).
    policy : ndarray of int64, shape (S,), or (T, S) where it plans episodes
        Final greedy policy.
    action_probabilities : ndarray of float64, shape (S, A), or None where it plans episodes
        What the agent would play next: the softmax of the paper's agent, else the greedy policy.
    plans : int
        How often it planned.
    seconds : float
        Processor time of the run's thread.
    allowed : ndarray of bool, shape (rows,), or None where all actions are allowed
        The other pairs are never taken, and count neither as known nor as unknown; `q` is -inf there.
    """

    agent: Agent
    m: int
    coverage: Coverage
    horizon: int | None
    n_steps: int
    bin_end: Int
    mean_reward: Float
    known: Int
    known_at: Int
    visits: Int
    branch_counts: Int
    q: Float
    policy: Int
    action_probabilities: Float | None
    plans: int
    seconds: float
    allowed: NDArray[np.bool_] | None = None

    def __post_init__(self) -> None:
        """Take read-only copies."""
        for name in ("bin_end", "known", "known_at", "visits", "branch_counts", "policy"):
            object.__setattr__(self, name, integers(name, getattr(self, name)))
        for name in ("mean_reward", "q", "action_probabilities"):
            if getattr(self, name) is not None:
                object.__setattr__(self, name, floats(name, getattr(self, name)))
        if self.allowed is not None:
            object.__setattr__(self, "allowed", booleans("allowed", self.allowed))

    @property
    def all_known_at(self) -> int | None:
        """Steps played when the last row became known, or None if some row never did."""
        return int(self._counted.max()) if self.progress is Progress.ALL else None

    @property
    def _counted(self) -> Int:
        """When each row that can be taken became known."""
        return self.known_at if self.allowed is None else self.known_at[self.allowed]

    @property
    def progress(self) -> Progress:
        """Whether no, some or all rows became known.

        Examples
        --------
        Nine steps cannot visit any of two pairs ten times:

        >>> run(TabularMDP([[0, 0]], [[0.0, 1.0]], 0.5), Rmax(m=10), steps=9, rng=1).progress
        <Progress.NONE: 'none'>
        """
        found = np.count_nonzero(self._counted)
        return Progress.ALL if found == len(self._counted) else Progress.SOME if found else Progress.NONE

    def __str__(self) -> str:
        """Return what happened in a sentence."""
        m, rows = _checks.shown(self.m), len(self._counted)
        found = np.count_nonzero(self._counted)
        said = f"{self.n_steps} steps with m = {m}: {found} of {rows} rows became known, {self.plans} plans"
        return f"{said}; {NOTHING_YET}" if self.progress is Progress.NONE else said


class Moment(NamedTuple):
    """What a watcher of a run is told after each plan, the one before the first step included."""

    step: int  # steps played so far
    state: int  # the meta-state of the next step; before an episode's first step it is not drawn yet
    play: NDArray[Any]  # what is played from now on: actions (S,) or (T, S), or probabilities (S, A)
    unknown: NDArray[np.bool_]  # (rows,) the rows of counts that are not known now


class Watcher(Protocol):
    """Looks on while a run goes on."""

    @property
    def meter(self) -> kernels.Meter | None:
        """Numbers that are added up at each step; a watcher may change them when it is told of a plan.

        The rewards in the table are not its own: the run puts them there.
        """
        ...

    def told(self, moment: Moment) -> bool:
        """Take note of a new plan; return whether the run may end here."""
        ...

    def kept(self) -> dict[str, NDArray[Any]]:
        """Return what it has noted so far, where the run is left to be taken up again; by default nothing."""
        return {}

    def restore(self, saved: Arrays) -> None:
        """Take up what it had noted."""
        return


PLAYED = (
    "give a WindowMetaGame(game, opponent, window=2, discount=0.8), a PolicyMetaGame(stochastic_game, learners, grids, "
    "discount) or a TabularMDP(P, R, discount)"
)
AGENTS = "give Rmax(epsilon=0.8), Rmax(m=10) or PaperRmax()"


def check_process(process: object) -> None:
    """Raise WrongKindError unless it is something that can be played in."""
    _checks.kind("process", process, WindowMetaGame, PolicyMetaGame, TabularMDP, mend=PLAYED)


def check_agent(agent: object) -> None:
    """Raise WrongKindError unless it is an agent."""
    _checks.kind("agent", agent, Rmax, PaperRmax, mend=AGENTS)


def require_accuracy(process: Played, epsilon: float, horizon: int | None = None) -> None:
    """Raise ValueError unless epsilon is below the largest return, as the theorems assume (`Bound.conditions`).

    Parameters
    ----------
    process : WindowMetaGame or TabularMDP
        Where all rewards are equal every policy is optimal at every epsilon, and nothing is refused.
    epsilon : float
    horizon : int, optional
        Steps of an episode that is planned for (T1-ep); default: the return without end.
    """
    low, high = process.reward_range
    if low == high:
        return
    point: dict[str, Any] = {
        "r_max": Fraction(repr(high)) - Fraction(repr(low)),
        "discount": process.discount,
        "epsilon": epsilon,
    }
    if horizon is None:
        bounds.rmax.t1().m.require(**point)
    else:
        bounds.rmax.t1_episodic().m.require(**point, horizon=horizon)


def _planned(agent: Rmax, horizon: int | None) -> int | None:
    """Return the steps that the agent plans for, None for all that come."""
    return horizon if agent.planning == "episode" else None


def played(process: Process) -> Played:
    """Return a policy meta-game as the MDP that is played, everything else as it is."""
    check_process(process)
    return process.to_mdp() if isinstance(process, PolicyMetaGame) else process


def _reveals(process: Played) -> bool:
    """Whether one visit to a pair reveals a row of several successors."""
    return isinstance(process, TabularMDP) and process.observed and process.branching > 1


def start_law(process: Played) -> Float | None:
    """Return the probability that an episode starts in each state, shape (S,), or None where it is the same for all."""
    return process.starts if isinstance(process, TabularMDP) else None


def _schedule_values(process: Played, agent: Agent) -> dict[str, Any]:
    low, high = process.reward_range
    return {
        "n_states": process.n_states,
        "n_actions": process.n_actions,
        "branching": process.branching,
        "epsilon": agent.epsilon,
        "delta": agent.delta,
        "discount": process.discount,
        "r_max": Fraction(repr(high)) - Fraction(repr(low)),
    }


def coverage(process: Process, agent: Agent, *, horizon: int | None = None, uniform_starts: bool = True) -> Coverage:
    """Return the theorem that covers a run of the agent, or why none does.

    Parameters
    ----------
    process : WindowMetaGame, PolicyMetaGame or TabularMDP
    agent : Rmax or PaperRmax
    horizon : int or None
        Steps per episode; None: no restarts.
    uniform_starts : bool
        Whether episodes start as the process has it: uniformly in all meta-states, or by the law of a TabularMDP with
        `starts`. False where `run` is given `starts` of its own.

    Examples
    --------
    Where each goes is certain, so one visit tells all: at most min(H, 2) * 4 steps fall short by more than 0.1.

    >>> mdp = TabularMDP([[0, 1], [1, 0]], [[0.0, 0.0], [1.0, 0.0]], 0.5)
    >>> coverage(mdp, Rmax(epsilon=0.1))
    Coverage(theorem="T1'", reason='transitions and rewards are deterministic: m = 1 is enough', bad_steps=8)
    """
    process = played(process)
    check_agent(agent)
    check_horizon(horizon)
    if isinstance(agent, Rmax) and agent.epsilon is not None:
        try:
            require_accuracy(process, agent.epsilon, _planned(agent, horizon))
        except ValueError as error:
            return Coverage(None, str(error))
    found = _theorem(process, agent, horizon, uniform_starts)
    if found.theorem is None:
        return found
    if found.theorem.startswith("T1'") and agent.epsilon is not None and agent.m in (None, 1):
        found = replace(found, bad_steps=_bad_steps(process, agent))
    if agent.m is None:
        return found
    if agent.epsilon is None:
        shown = _checks.shown(agent.m)
        return Coverage(found.theorem, f"{found.reason}, for every epsilon and delta that m = {shown} is enough for")
    needed = derived_m(process, replace(agent, m=None), horizon=horizon, uniform_starts=uniform_starts)
    if agent.m < needed:
        at = f"epsilon {agent.epsilon:g} and delta {agent.delta:g}"
        return Coverage(
            None, f"m is {_checks.shown(agent.m)}, below the {_checks.shown(needed)} that {found.theorem} needs at {at}"
        )
    return found


def _bad_steps(process: Played, agent: Agent) -> int:
    """Return T1''s number of steps for m = 1, or X1's where rows are revealed; 0 where all rewards are equal."""
    values = _schedule_values(process, agent) | {"w_plan": PLANNING_SHARE}
    if values["r_max"] == 0:
        return 0
    bound = (sharp.t1_observed() if _reveals(process) else sharp.t1_deterministic()).steps
    return int(bound.evaluate(**values))


def _theorem(process: Played, agent: Agent, horizon: int | None, uniform_starts: bool) -> Coverage:
    """Return the theorem whose assumptions hold, m aside."""
    if isinstance(process, WindowMetaGame) and not process.is_markov:
        return Coverage(None, "the opponent's state is hidden: the meta-game is not an MDP (only X6 applies)")
    if isinstance(agent, PaperRmax):
        return Coverage(None, "the preset departs from R-max: softmax play, pessimistic unknown successors, its own m")
    if agent.pooled and not isinstance(process, WindowMetaGame):
        return Coverage(None, "counts are pooled, which X2 proves for window meta-games only")
    if agent.planning == "episode":
        if horizon is None:
            return Coverage(None, "it plans for the rest of an episode, but there are no episodes: give a horizon")
        return Coverage("T1-ep", "restarts every T steps, planned for the rest of the episode")
    law = start_law(process) if uniform_starts else None
    everywhere = uniform_starts and (law is None or bool(law.min() > 0))
    restarts = f"restarts {'uniformly in all meta-states' if law is None else 'in every meta-state, by a start law'}"
    if process.branching == 1:
        if horizon is None:
            return Coverage("T1'", "transitions and rewards are deterministic: m = 1 is enough")
        if everywhere:
            return Coverage("X4", f"deterministic, {restarts}: m = 1 is enough")
    if _reveals(process):
        known = "a visit reveals the row"
        if horizon is None:
            count = "successors are random: X1 counts the bad steps, with probability 1 - delta/2, not with certainty"
            return Coverage("T1' with X1", f"{known}: m = 1 is enough; {count}")
        if everywhere:
            return Coverage("X4", f"{known}, {restarts}: m = 1 is enough")
    if horizon is None:
        return Coverage("T1", "an MDP without restarts")
    if everywhere:
        return Coverage("X4", f"an MDP with {restarts}")
    if law is not None:
        never = f"restarts by a start law that never takes meta-state {int((law == 0).argmax())}"
        return Coverage(None, f"{never}: X4 needs all, and T1 is false then; plan for the episode (T1-ep)")
    return Coverage(None, "restarts from few meta-states: T1 is false then; plan for the episode (T1-ep)")


def _check_fit(process: Played, agent: Agent, horizon: int | None) -> None:
    """Raise ValueError unless the agent's pooling and planning fit the process."""
    check_agent(agent)
    if isinstance(agent, Rmax) and agent.pooled and not isinstance(process, WindowMetaGame):
        raise ValueError("counts are pooled over actions in window meta-games only (X2): set pooled=False")
    if isinstance(agent, Rmax) and agent.planning == "episode" and horizon is None:
        raise ValueError("planning for the episode needs a horizon: give the steps per episode")


def _planning_tolerance(process: Played, agent: Rmax) -> float:
    """Return the change of values at which the agent's value iteration stops.

    Raises
    ------
    ValueError
        If values are rounded by more, or one plan would take more than `LONGEST_PLAN` products.
    """
    discount = process.discount
    loss = float(PLANNING_SHARE) * (DEFAULT_ACCURACY if agent.epsilon is None else agent.epsilon)
    # Stopping at a change of `tolerance` loses at most 2 discount tolerance / (1 - discount) (P3).
    tolerance = loss * (1 - discount) / (2 * max(discount, 0.5))
    reward = max(map(abs, process.reward_range))
    with np.errstate(over="ignore"):
        rounding = 2.0**-50 * float(np.float64(reward) / (1 - discount))
    if tolerance < rounding < math.inf:
        if agent.epsilon is not None:
            raise ValueError(
                f"epsilon is {_checks.shown(agent.epsilon)}, and values of up to {reward / (1 - discount):.3g} are "
                f"rounded by more than a plan may then miss: give an epsilon of at least "
                f"{agent.epsilon * rounding / tolerance:.1g}"
            )
        tolerance = rounding
    digits = math.log(max(reward, sys.float_info.min)) - math.log(max(tolerance, sys.float_info.min))
    sweeps = max(digits, 1.0) / -math.log(discount) if discount else 1.0
    _check_plan(process, sweeps)
    return tolerance


def _check_plan(process: Played, sweeps: float) -> None:
    """Raise ValueError if so many sweeps over all pairs take more than `LONGEST_PLAN` products."""
    if sweeps * process.n_states * process.n_actions * process.branching > LONGEST_PLAN:
        raise ValueError(
            f"at discount {process.discount!r} one plan takes about {sweeps:.1g} sweeps over all pairs, more than this "
            "agent should wait for: give a smaller discount, or fewer states; `solve` has no such limit"
        )


def _sweeps(process: Played, agent: PaperRmax) -> int:
    return int(bounds.rmax.paper_sweeps().evaluate(epsilon=agent.epsilon, discount=process.discount))


def derived_m(process: Process, agent: Agent, *, horizon: int | None = None, uniform_starts: bool = True) -> int:
    """Return the visits m that an agent's epsilon and delta need.

    The paper's agent takes the paper's formula. R-max takes m from T1 (continuing), T1-ep (episode planning) or, with
    uniform restarts, from X4, which leaves all of epsilon but the planning share to estimation; X2's smaller union
    where counts are pooled. Where no theorem covers the run, m is that of the theorem whose assumptions fail. Where
    transitions are deterministic or a visit reveals the row (T1'), and where all rewards are equal, m = 1.

    Parameters
    ----------
    process, agent, horizon, uniform_starts
        As for `coverage`.

    Returns
    -------
    int

    Raises
    ------
    ValueError
        If the planning or pooling does not fit the process, or the paper's formula gives less than one visit.

    Examples
    --------
    The paper's schedule for window 2: floor(16 ln 5 / 0.16^2) = 1005.

    >>> from rfos.games import matching_pennies
    >>> from rfos.opponents import QLearner
    >>> derived_m(WindowMetaGame(matching_pennies(), QLearner(), window=2, discount=0.8), PaperRmax())
    1005
    """
    process = played(process)
    check_horizon(horizon)
    _check_fit(process, agent, horizon)
    if isinstance(agent, Rmax) and agent.epsilon is not None:
        require_accuracy(process, agent.epsilon, _planned(agent, horizon))
    if agent.m is not None:
        return int(agent.m)
    if isinstance(agent, PaperRmax) and _sweeps(process, agent) < 1:
        raise ValueError(
            f"epsilon {agent.epsilon:g} lets the paper's agent sweep 0 times, so that it never plans: give a smaller "
            f"epsilon, well below {1 / (1 - process.discount):.3g}"
        )
    values = _schedule_values(process, agent)
    if isinstance(agent, PaperRmax):
        names = ("n_states", "epsilon", "delta", "discount")
        m = int(bounds.rmax.paper_m().evaluate(**{name: values[name] for name in names}))
        if m < 1:
            raise ValueError(f"epsilon {agent.epsilon:g} makes the paper's m {m}: give a smaller epsilon, or m itself")
        return m
    if process.branching == 1 or _reveals(process) or values["r_max"] == 0:
        return 1
    if agent.planning == "episode":
        bound = bounds.rmax.t1_episodic(pooled=agent.pooled).m
        values |= {"horizon": horizon, **bounds.rmax.default_weights("episodic")}
    else:
        bound = bounds.rmax.t1(pooled=agent.pooled).m
        if horizon is None:
            values |= bounds.rmax.default_weights("continuing")
        else:
            values |= {"w_plan": PLANNING_SHARE, "w_sim": 1 - PLANNING_SHARE, "w_hor": 0, "w_esc": 0}
    return _evaluated(bound, tuple((name, values[name]) for name in bound.parameters))


# A sweep asks for the same number for every seed, and again for the theorem that covers the run.
@functools.lru_cache(maxsize=1000)
def _evaluated(bound: Bound, point: tuple[tuple[str, Any], ...]) -> int:
    return int(bound.evaluate(**dict(point)))


def run_bytes(process: Process, agent: Agent, horizon: int | None = None) -> int:
    """Return an upper estimate of all that a run allocates, tables of the process included, in Python integers."""
    n_states, pairs = process.n_states, process.n_states * process.n_actions
    stages = int(horizon or 1) if isinstance(agent, Rmax) and agent.planning == "episode" else 1
    # Values of states, their spare, and starts as they are checked; each policy once more when it is told.
    needed = n_states * (40 + 16 * stages)
    # Values of pairs and the probabilities of play; thresholds of the softmax and what they are made of.
    needed += pairs * (48 if isinstance(agent, PaperRmax) else 16)
    if isinstance(process, WindowMetaGame):
        # Visits of pairs, when each became known, and counts of branches; only the opponents' play is kept of the MDP.
        return needed + process.world_bytes + pairs * (8 * process.branching + 16)
    # Per branch: three tables as they come, four for the kernel with one in between, and a count. Per pair: as above.
    return needed + pairs * (72 * process.branching + 16)


def require_run(process: Process, agent: Agent, horizon: int | None) -> None:
    """Raise MemoryError unless a run fits, before anything is allocated or a policy meta-game is even filled."""
    if isinstance(agent, Rmax) and agent.planning == "episode":
        stages = int(horizon or 1)
        what = f"a policy of {stages} stages"
        require_memory(stages * process.n_states * 8, what, "choose a shorter horizon")
    needed = run_bytes(process, agent, horizon)
    if isinstance(process, WindowMetaGame):
        process.index.require(needed)
    else:
        require_memory(needed, "R-max's table of all branches", "use fewer states or levels")


def _process_arrays(
    process: Played, horizon: int | None, starts: ArrayLike | None
) -> tuple[kernels.World, kernels.Learners | None]:
    """Return the kernel's world and the learners with a hidden state, or None."""
    if isinstance(process, WindowMetaGame):
        world, learners = process.world(), process.learners()
    else:
        successor, probability, reward = process.storage.branches(process.rewards)
        learners = None
        world = kernels.World(
            # Copies: views would be read-only here and not there, and every kernel would be compiled for both.
            np.array(successor),
            np.array(reward),
            thresholds(probability),
            np.array(probability) if _reveals(process) else np.zeros((0, 0)),
            np.arange(process.n_states),
            0,
        )
    world = world._replace(
        starts=_start_states(process, starts), horizon=CONTINUING if horizon is None else int(horizon)
    )
    return world, learners


def _start_states(process: Played, starts: ArrayLike | None) -> Int:
    """Return the meta-states that episodes start in, shape (n_starts,), default all."""
    chosen = np.arange(process.n_states) if starts is None else np.array(starts, ndmin=1)
    whole = chosen.dtype.kind in "iu" and chosen.ndim == 1 and chosen.size > 0
    if not whole or chosen.min() < 0 or chosen.max() >= process.n_states:
        raise ValueError(f"starts are {starts!r}: give a list of meta-states from 0 to {process.n_states - 1}")
    result: Int = chosen.astype(np.int64)
    return result


def _check_meter(meter: kernels.Meter, rewards: tuple[int, ...], n_states: int) -> None:
    """Raise ValueError unless a watcher's arrays are those that kernels add up."""
    expected = {"table": (rewards[0], 2 + rewards[1]), "starts": (n_states,), "total": (2,)}
    for name, shape in expected.items():
        array = getattr(meter, name)
        kept = isinstance(array, np.ndarray) and array.dtype == np.float64 and array.flags.carray
        if not kept or array.shape != shape:
            raise ValueError(f"the meter's {name} is not a float64 array of shape {shape} that can be written to")


def _check_taken_up(
    process: Played,
    behaviour: kernels.Behaviour,
    memory: kernels.Memory,
    position: Int,
    horizon: int,
    bin_end: Int,
    loop: tuple[int, int, int],
) -> None:
    """Raise MisfitError unless all that kernels index with, taken up from a checkpoint, lies in its range."""
    i, first, before = loop
    within("bin", np.array(i), 0, len(bin_end) - 1)
    within("steps", position[:1], before, int(bin_end[i]))
    within("steps before", np.array([first, before]), 0, int(bin_end[i]))
    within("step of the episode", position[1:2], 0, horizon - 1)
    within("state", position[2:], 0, process.n_states - 1)
    within("visits", memory.visits, 0, memory.m)
    within("branches", memory.branches, 0, memory.m)
    within("known_at", memory.known_at, 0, int(position[0]))
    if not behaviour.drawn:
        within("play", behaviour.action, 0, process.n_actions - 1)


class _SoftmaxLearner:
    """The paper's agent during one run: its values, and what it plays."""

    def __init__(self, process: Played, agent: PaperRmax, world: kernels.World, memory: kernels.Memory) -> None:
        shape = (process.n_states, process.n_actions)
        self.world, self.memory, self.discount = world, memory, process.discount
        self.temperature = agent.temperature
        # Decimals, because the paper's initial value is exactly 1/(1-0.8) = 5.
        largest = Fraction(repr(process.reward_range[1])) / (1 - Fraction(repr(process.discount)))
        if abs(largest) > sys.float_info.max:
            raise ValueError(
                f"the largest value, {process.reward_range[1]!r}/(1-discount), is beyond floats: scale the rewards"
            )
        self.initial = float(largest)
        self.sweeps = _sweeps(process, agent)
        _check_plan(process, self.sweeps)
        self.q = np.full(shape, self.initial)
        if isinstance(process, TabularMDP) and process.allowed is not None:
            self.q[~process.allowed] = -np.inf
        self.behaviour = kernels.Behaviour(True, np.empty(shape, np.int64), np.zeros((0, 0), np.int64))
        kernels.softmax(self.q, self.temperature, self.behaviour.thresholds)

    def plan(self) -> None:
        """Take what has just become known into the values and the play."""
        kernels.plan_paper(
            self.world,
            self.memory,
            self.q,
            self.initial,
            self.sweeps,
            self.discount,
            self.temperature,
            self.behaviour.thresholds,
        )

    def policy(self) -> Int:
        """Return the greedy policy, shape (S,)."""
        greedy: Int = self.q.argmax(axis=1)
        return greedy

    def action_probabilities(self) -> Float:
        """Return the softmax, shape (S, A)."""
        softmax: Float = np.diff(self.behaviour.thresholds, axis=1, prepend=0) * 2.0**-53
        return softmax

    def play(self) -> Float:
        """Return what it plays, shape (S, A)."""
        return self.action_probabilities()

    def changing(self) -> dict[str, NDArray[Any]]:
        """Return the arrays that planning changes."""
        return {"q": self.q, "play": self.behaviour.thresholds}


def _rounded_up(x: Fraction) -> float:
    """Return the smallest float that is at least x, or infinity."""
    try:
        nearest = float(x)
    except OverflowError:
        return math.inf if x > 0 else -sys.float_info.max
    return nearest if nearest >= x else math.nextafter(nearest, math.inf)


class _OptimisticPlanner:
    """Canonical R-max during one run: its optimistic values, and what it plays."""

    def __init__(
        self, process: Played, agent: Rmax, world: kernels.World, memory: kernels.Memory, horizon: int | None
    ) -> None:
        n_states, n_actions = process.n_states, process.n_actions
        self.world, self.memory, self.discount = world, memory, process.discount
        self.process = process
        self.episodic = agent.planning == "episode"
        stages = int(horizon or 1) if self.episodic else 1
        high = process.reward_range[1]
        # A maximum rounded below the true one would make known pairs look better than unknown ones.
        largest, discount = Fraction(high), Fraction(self.discount)
        self.top = _rounded_up(largest / (1 - discount))
        self.tops = np.empty(stages)
        rest = 0.0
        for stage in range(stages):
            if math.isfinite(rest):
                rest = _rounded_up(largest + discount * Fraction(rest))
            self.tops[stage] = rest
        self.tolerance = 0.0 if self.episodic else _planning_tolerance(process, agent)
        self.q = np.empty((n_states, n_actions))
        self.values = np.full(n_states, self.top)
        self.spare = np.empty(n_states)
        action = np.zeros((stages, n_states), np.int64)
        self.behaviour = kernels.Behaviour(False, np.zeros((0, n_actions), np.int64), action)
        self.plan()

    def plan(self) -> None:
        """Plan for the present model."""
        model = (self.world, self.memory, self.discount)
        scratch = (self.q, self.values, self.spare, self.behaviour.action)
        if self.episodic:
            kernels.plan_horizon(*model, self.tops, *scratch)
        else:
            kernels.plan_stationary(*model, self.top, self.tolerance, *scratch)
        if isinstance(self.process, TabularMDP):
            self.process.keep_allowed(self.behaviour.action)

    def policy(self) -> Int:
        """Return the greedy policy, shape (S,), or (T, S) where it plans episodes."""
        greedy: Int = self.behaviour.action if self.episodic else self.behaviour.action[0]
        return greedy.copy()

    def action_probabilities(self) -> Float | None:
        """Return the greedy policy as probabilities, shape (S, A), or None where it plans episodes."""
        return None if self.episodic else np.eye(self.q.shape[1])[self.behaviour.action[0]]

    def play(self) -> Int:
        """Return what it plays, shape (S,), or (T, S) where it plans episodes."""
        return self.policy()

    def changing(self) -> dict[str, NDArray[Any]]:
        """Return the arrays that planning changes and starts from."""
        return {"q": self.q, "values": self.values, "play": self.behaviour.action}


def run(
    process: Process,
    agent: Agent,
    *,
    episodes: int | None = None,
    steps: int | None = None,
    horizon: int | None = None,
    starts: ArrayLike | None = None,
    bins: int | None = None,
    rng: Seed = None,
    progress: Callable[[int], None] | None = None,
    watcher: Watcher | None = None,
    leg: Leg | None = None,
) -> Trace:
    """Run an agent in a meta-game or an MDP and return what it learned.

    Memory does not grow with the number of steps: rewards are binned while the run goes on.

    Parameters
    ----------
    process : WindowMetaGame, PolicyMetaGame or TabularMDP
        A policy meta-game is played as its MDP, the opponents rounded: T2 holds for that one only.
    agent : Rmax or PaperRmax
    episodes, steps : int
        Length of the run: one of the two; `episodes` needs a horizon.
    horizon : int, optional
        Steps per episode; default that of the meta-game, for an MDP none (no restarts).
    starts : array_like of int, optional
        Meta-states that episodes start in, uniformly; default all, or by the law of an MDP with `starts`.
    bins : int, optional
        Number of bins of (nearly) equal length; default 100, or the length of the run if that is less.
    rng : int, SeedSequence or Generator, optional
        The same seed brings the same bytes.
    progress : callable, optional
        Called with the number of steps just played, at each bin's end and at least every ten million steps; an
        exception raised in it ends the run.
    watcher : Watcher, optional
        Told of each plan; where it answers that the run may end, the run ends there, and so does its trace.
    leg : Leg, optional
        For sweeps: where the run was left, and when it is to be left again. However often that is, the trace of the
        last leg is that of the whole run, but for its seconds.

    Returns
    -------
    Trace

    Raises
    ------
    Unfinished
        If the leg is over before the run is.
    ValueError
        If a length, the horizon, a start or the number of bins is out of range.
    MemoryError
        If the tables do not fit this machine; nothing is allocated then.

    Examples
    --------
    One state, action 1 pays: R-max tries each action m = 3 times and keeps to the better.

    >>> trace = run(TabularMDP([[0, 0]], [[0.0, 1.0]], 0.5), Rmax(m=3), steps=100, bins=2, rng=1)
    >>> trace.policy.tolist(), trace.known.tolist(), trace.mean_reward.tolist()
    ([1], [2, 2], [0.94, 1.0])
    """
    check_process(process)
    check_agent(agent)
    if horizon is None and isinstance(process, WindowMetaGame):
        horizon = process.horizon
    check_horizon(horizon)
    require_run(process, agent, horizon)
    process = played(process)
    _check_fit(process, agent, horizon)
    if (episodes is None) == (steps is None):
        raise ValueError("give the length of the run once, as episodes or as steps")
    if episodes is not None and horizon is None:
        raise ValueError("the run has no horizon: give its length in steps")
    unit = horizon if episodes is not None and horizon is not None else 1
    units = _checks.whole("episodes", episodes) if steps is None else _checks.whole("steps", steps)
    if units * unit >= CONTINUING:
        length = _checks.shown(units * unit)
        raise ValueError(f"the run is {length} steps long, above the limit of {CONTINUING - 1}: shorten it")
    bins = min(100, units) if bins is None else _checks.whole("bins", bins)
    if progress is not None:
        _checks.function("progress", progress, "give a function of the number of steps just played, or None")
    if watcher is not None:
        _checks.offers(
            "watcher",
            watcher,
            "a watcher",
            ("meter", "told"),
            "give an object with told(moment), such as a rfos.rmax.Watcher",
        )
    if bins > units:
        raise ValueError(f"bins is {_checks.shown(bins)}: give a whole number from 1 to the length of the run, {units}")
    uniform = starts is None
    m = derived_m(process, agent, horizon=horizon, uniform_starts=uniform)
    world, learners = _process_arrays(process, horizon, starts)
    own_law = start_law(process) if uniform else None
    law = None if own_law is None else thresholds(own_law)
    pooled = isinstance(agent, Rmax) and agent.pooled
    rows = process.n_states if pooled else process.n_states * process.n_actions
    memory = kernels.Memory(
        np.zeros(rows, np.int64),
        np.zeros((rows, process.branching), np.int64),
        np.zeros(rows, np.int64),
        min(m, CONTINUING),  # no run is longer, so a larger m is never reached either
        pooled,
    )
    closed = ~process.allowed.ravel() if isinstance(process, TabularMDP) and process.allowed is not None else None
    if closed is not None:
        # The model that is planned for knows from the start that these pairs pay -inf.
        memory.visits[closed] = memory.branches[closed, 0] = memory.m
    planner = (
        _SoftmaxLearner(process, agent, world, memory)
        if isinstance(agent, PaperRmax)
        else _OptimisticPlanner(process, agent, world, memory, horizon)
    )
    bin_end = np.array([units * (i + 1) // bins * unit for i in range(bins)], np.int64)
    mean_reward = np.zeros(bins)
    known = np.zeros(bins, np.int64)
    position = np.zeros(3, np.int64)
    meter = None if watcher is None else watcher.meter
    if meter is not None:
        _check_meter(meter, world.reward.shape, process.n_states)
        meter.table[:, 2:] = world.reward

    def tell() -> bool:
        if watcher is None:
            return False
        return watcher.told(Moment(int(position[0]), int(position[2]), planner.play(), memory.visits < memory.m))

    state = stream(rng)
    total = np.zeros(1)
    # The bin under way, the steps at its beginning and at that of the kernel's call, and the plans.
    i = first = before = plans = 0
    changing = {
        **memory._asdict(),
        **planner.changing(),
        **({} if learners is None else {"learners": learners.q}),
        "position": position,
        "stream": state,
        "total": total,
        "mean_reward": mean_reward,
        "known": known,
    }
    del changing["m"], changing["pooled"]
    began = time.thread_time()
    ended = False
    if leg is not None and leg.saved:
        loop = np.zeros(4, np.int64)
        take_up(leg.saved, {**changing, "loop": loop})
        if watcher is not None:
            watcher.restore(leg.saved)
        i, first, before, plans = loop.tolist()
        _check_taken_up(process, planner.behaviour, memory, position, world.horizon, bin_end, (i, first, before))
    else:
        tell()
    while i < bins and not ended:
        end = int(bin_end[i])
        while before < end and not ended:
            stop = min(end, before + LONGEST_CALL)
            while position[0] < stop and not ended:
                if kernels.advance(
                    world, learners, planner.behaviour, memory, state, position, total, meter, law, stop
                ):
                    planner.plan()
                    plans += 1
                    ended = tell()
                if leg is not None and not ended and leg.over():
                    noted = {} if watcher is None else watcher.kept()
                    leg.leave({**changing, **noted, "loop": np.array([i, first, before, plans])})
            if progress is not None:
                progress(int(position[0]) - before)
            before = int(position[0])
        bin_end[i] = before
        mean_reward[i] = total[0] / (before - first)
        known[i] = np.count_nonzero(memory.known_at)
        total[0], first = 0.0, before
        i += 1
    if closed is not None:
        memory.visits[closed] = memory.branches[closed, 0] = 0
    probabilities = planner.action_probabilities()
    return Trace(
        agent=agent,
        m=m,
        coverage=coverage(process, agent, horizon=horizon, uniform_starts=uniform),
        horizon=horizon,
        n_steps=int(position[0]),
        bin_end=bin_end[:i],
        mean_reward=mean_reward[:i],
        known=known[:i],
        known_at=hand_over(memory.known_at),
        visits=hand_over(memory.visits),
        branch_counts=hand_over(memory.branches),
        q=hand_over(planner.q),
        policy=hand_over(planner.policy()),
        action_probabilities=None if probabilities is None else hand_over(probabilities),
        plans=plans,
        seconds=time.thread_time() - began,
        allowed=None if closed is None else ~closed,
    )
