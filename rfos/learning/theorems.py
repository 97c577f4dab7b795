"""The theorems on R-max: which covers a run, the visits m that it asks for, and what it counts."""

from __future__ import annotations

import functools
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Any

import bounds.rmax
from bounds import sharp
from bounds.bound import Bound
from rfos._system import checks
from rfos.learning.agents import Agent, PaperRmax, Rmax, check_agent
from rfos.learning.environment import Played, Process, played, reveals, start_law
from rfos.metagames.window import WindowMetaGame, check_horizon

PLANNING_SHARE = Fraction(1, 100)
"""Share of epsilon left to planning, w_plan: value iteration makes it cheap to keep small."""

DEFAULT_ACCURACY = 0.01
"""Accuracy that planning assumes where only m is given, in units of value."""


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

    >>> from rfos.planning.mdp import TabularMDP
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
        shown = checks.shown(agent.m)
        return Coverage(found.theorem, f"{found.reason}, for every epsilon and delta that m = {shown} is enough for")
    needed = derived_m(process, replace(agent, m=None), horizon=horizon, uniform_starts=uniform_starts)
    if agent.m < needed:
        at = f"epsilon {agent.epsilon:g} and delta {agent.delta:g}"
        return Coverage(
            None, f"m is {checks.shown(agent.m)}, below the {checks.shown(needed)} that {found.theorem} needs at {at}"
        )
    return found


def _bad_steps(process: Played, agent: Agent) -> int:
    """Return T1''s number of steps for m = 1, or X1's where rows are revealed; 0 where all rewards are equal."""
    values = _schedule_values(process, agent) | {"w_plan": PLANNING_SHARE}
    if values["r_max"] == 0:
        return 0
    bound = (sharp.t1_observed() if reveals(process) else sharp.t1_deterministic()).steps
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
    if reveals(process):
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


def check_fit(process: Played, agent: Agent, horizon: int | None) -> None:
    """Raise ValueError unless the agent's pooling and planning fit the process."""
    check_agent(agent)
    if isinstance(agent, Rmax) and agent.pooled and not isinstance(process, WindowMetaGame):
        raise ValueError("counts are pooled over actions in window meta-games only (X2): set pooled=False")
    if isinstance(agent, Rmax) and agent.planning == "episode" and horizon is None:
        raise ValueError("planning for the episode needs a horizon: give the steps per episode")


def paper_sweeps(process: Played, agent: PaperRmax) -> int:
    """Return how often the paper's agent sweeps in one plan."""
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

    >>> from rfos.games.named import matching_pennies
    >>> from rfos.metagames.opponents import QLearner
    >>> derived_m(WindowMetaGame(matching_pennies(), QLearner(), window=2, discount=0.8), PaperRmax())
    1005
    """
    process = played(process)
    check_horizon(horizon)
    check_fit(process, agent, horizon)
    if isinstance(agent, Rmax) and agent.epsilon is not None:
        require_accuracy(process, agent.epsilon, _planned(agent, horizon))
    if agent.m is not None:
        return int(agent.m)
    if isinstance(agent, PaperRmax) and paper_sweeps(process, agent) < 1:
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
    if process.branching == 1 or reveals(process) or values["r_max"] == 0:
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
