"""Which theorem covers a run at a given epsilon and delta, and what it promises."""

from __future__ import annotations

from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Any

import numpy as np
from numpy.typing import NDArray

import bounds.exploration
import bounds.rmax
import bounds.sharp
from rfos._system import checks
from rfos.learning.agents import Agent, PaperRmax, Rmax
from rfos.learning.environment import Played, Process, played, start_law
from rfos.learning.theorems import DEFAULT_ACCURACY, PLANNING_SHARE, coverage, derived_m

Number = int | float | Fraction


@dataclass(frozen=True)
class Covering:
    """What is promised of a run.

    Attributes
    ----------
    theorem : str or None
        The theorem with the smallest count among those that cover the run; None where none does.
    reason : str
        The assumptions that hold, or the first that fails.
    count : int or None
        Steps (for T1-ep: episodes) that are not epsilon-optimal, at most, with probability 1 - delta.
    exploration : float or None
        X1's bound of the sum of e_t, which holds for every m; None where it does not apply.
    """

    theorem: str | None
    reason: str
    count: int | None
    exploration: float | None


def _sizes(process: Played) -> dict[str, Any]:
    low, high = process.reward_range
    return {
        "n_states": process.n_states,
        "n_actions": process.n_actions,
        "branching": process.branching,
        "discount": process.discount,
        "r_max": Fraction(repr(high)) - Fraction(repr(low)),
    }


def theory_m(process: Process, agent: Rmax, *, horizon: int | None = None) -> dict[str, int]:
    """Return the visits that each schedule asks for at the agent's epsilon and delta: "paper", "T1", "T1+".

    The paper's is its setting, not a bound; it may be 0. T1's is that of `rfos.rmax.derived_m`, from X4 where there
    are restarts; T1+ is a theorem for runs without restarts.

    Examples
    --------
    T1 by hand: epsilon_P = .62·.8·.2/5 = .01984, and 2 ln(4·32·2/.2)/epsilon_P^2 = 36353.

    >>> from rfos.games.named import matching_pennies
    >>> from rfos.metagames.window import WindowMetaGame
    >>> from rfos.metagames.opponents import WindowQLearner
    >>> meta_game = WindowMetaGame(matching_pennies(), WindowQLearner(), window=2, discount=0.8)
    >>> theory_m(meta_game, Rmax(epsilon=0.8, delta=0.2))
    {'paper': 1005, 'T1': 36353, 'T1+': 30506}
    """
    process = played(process)
    checks.kind("agent", agent, Rmax)
    sizes = _sizes(process)
    at = {**sizes, "epsilon": agent.epsilon, "delta": agent.delta}
    paper = bounds.rmax.paper_m()
    found = {"paper": int(paper.evaluate(**{name: at[name] for name in ("n_states", "delta", "epsilon", "discount")}))}
    found["T1"] = derived_m(process, replace(agent, m=None), horizon=horizon)
    found["T1+"] = _sharp_m(at, agent.pooled)
    return found


def _sharp_m(at: dict[str, Any], pooled: bool) -> int:
    """Return T1+'s m."""
    if at["r_max"] == 0:
        return 1
    return int(bounds.sharp.t1_plus(pooled=pooled).m.evaluate(**at, **bounds.rmax.default_weights("episodic")))


def covering(
    process: Played,
    agent: Agent,
    m: int,
    *,
    epsilon: float,
    delta: float,
    horizon: int | None,
    uniform_starts: bool,
) -> Covering:
    """Return what is promised of a run at `epsilon` and `delta`, whatever the agent itself was given."""
    asked = replace(agent, m=None, epsilon=epsilon, delta=delta)
    plain = coverage(process, asked, horizon=horizon, uniform_starts=uniform_starts)
    if isinstance(agent, PaperRmax) or plain.theorem is None:
        return Covering(None, plain.reason, None, None)
    assert isinstance(asked, Rmax)
    sizes = _sizes(process)
    at = {**sizes, "epsilon": epsilon, "delta": delta}
    rows = process.n_states * (1 if asked.pooled else process.n_actions)
    k0 = rows * m
    exploration = None
    if horizon is None:
        x1 = bounds.exploration.x1()
        exploration = float(x1.evaluate(explorations=k0, discount=process.discount, delta=delta))
    accuracy = DEFAULT_ACCURACY if agent.epsilon is None else agent.epsilon
    if asked.planning == "stationary" and accuracy > epsilon:
        reason = f"it plans for an accuracy of {accuracy:g}, and epsilon is {epsilon:g}"
        return Covering(None, reason, None, exploration)
    if sizes["r_max"] == 0:
        return Covering(plain.theorem, "all rewards are equal: every policy is optimal", 0, exploration)
    needed = {plain.theorem: derived_m(process, asked, horizon=horizon, uniform_starts=uniform_starts)}
    if plain.theorem == "T1":
        needed["T1 with X1"] = needed["T1"]
        needed["T1+"] = _sharp_m(at, asked.pooled)
    law = start_law(process) if uniform_starts else None
    counts = {
        theorem: _count(theorem, at, rows, m, horizon, asked.pooled, law)
        for theorem, least in needed.items()
        if m >= least
    }
    if not counts:
        least = min(needed.values())
        first = min(needed, key=needed.__getitem__)
        reason = f"m is {checks.shown(m)}, below the {checks.shown(least)} that {first} needs"
        return Covering(None, f"{reason} at epsilon {epsilon:g} and delta {delta:g}", None, exploration)
    theorem = min(counts, key=counts.__getitem__)
    return Covering(theorem, plain.reason, counts[theorem], exploration)


def _count(
    theorem: str,
    at: dict[str, Any],
    rows: int,
    m: int,
    horizon: int | None,
    pooled: bool,
    law: NDArray[np.float64] | None,
) -> int:
    """Return how many steps (T1-ep: episodes) are not epsilon-optimal, with k0 = rows * m explorations."""
    k0 = rows * m
    epsilon, delta, discount = Fraction(repr(at["epsilon"])), at["delta"], Fraction(repr(at["discount"]))
    v_max = at["r_max"] / (1 - discount)
    continuing = bounds.rmax.default_weights("continuing")
    if theorem == "T1":
        at = {**at, **continuing}
        reach = int(bounds.rmax.t1(pooled=pooled).horizon.evaluate(**at))
        escape = min(Fraction(1), continuing["w_esc"] * epsilon / v_max)
        return reach * int(bounds.rmax.p5().evaluate(explorations=k0, escape=escape, delta=delta))
    shares = {
        # Without a horizon what T1 gives to it is left to the escapes.
        "T1 with X1": continuing["w_esc"] + continuing["w_hor"],
        "T1+": bounds.rmax.default_weights("episodic")["w_esc"],
        "T1' with X1": 1 - PLANNING_SHARE,
    }
    if theorem in shares:
        point = {"explorations": k0, "discount": at["discount"], "delta": delta}
        try:
            total = bounds.exploration.x1().evaluate(**point)
            return int(float(total) * float(v_max / (shares[theorem] * epsilon)) * (1 + 1e-12))
        except OverflowError:  # more than floats can count
            return int(bounds.exploration.x1().ball(digits=1, **point).upper * v_max / (shares[theorem] * epsilon)) + 1
    if theorem == "T1'":
        # A known path meets no state twice before it escapes, and there are k0 escapes, m for each row.
        promised = bounds.sharp.t1_deterministic().steps.evaluate(**at, w_plan=PLANNING_SHARE)
        path = int(promised) // int(at["n_states"] * at["n_actions"])
        return path * k0
    assert horizon is not None
    if theorem == "X4" and law is not None:
        return horizon * bounds.rmax.x4_upper(law.tolist(), n_actions=int(at["n_actions"]), m=m, delta=delta)
    if theorem == "X4":
        sizes = {"n_states": at["n_states"], "n_actions": 1 if pooled else at["n_actions"]}
        return int(bounds.rmax.x4().steps.evaluate(**sizes, m=m, horizon=horizon, delta=delta))
    best = at["r_max"] * (1 - discount**horizon) / (1 - discount)
    escape = min(Fraction(1), bounds.rmax.default_weights("episodic")["w_esc"] * epsilon / best)
    return int(bounds.rmax.p5().evaluate(explorations=k0, escape=escape, delta=delta))
