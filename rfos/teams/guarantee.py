"""What the theory promises for learning a team problem: visits, episodes, the error of a model (M1, M2, M5).

Derived here; the paper states a polynomial bound.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache
from typing import Any, Literal

from bounds.teams import m2, m5
from rfos._system import checks
from rfos.teams.model import DecPOMDP
from rfos.teams.world import Rewards

Explore = Literal["centralised", "optimism", "uniform", "none"]
"""How data are collected: M2's exploration, the optimistic policy of M5, uniform joint actions, the planned policy."""

SHARES: dict[str, tuple[Fraction, Fraction]] = {
    "M2": (Fraction(4, 9), Fraction(5, 9)),
    "M5": (Fraction(2, 3), Fraction(1, 3)),
}
"""Shares w_sim and w_esc of epsilon for the model and for what is unknown: the best to leading order, w_plan = 0."""


@dataclass(frozen=True)
class Guarantee:
    """The numbers of M2 or M5 for a team problem.

    Attributes
    ----------
    theorem : {"M2", "M5"}
    m : int
        Visits that make a row known.
    escape : float
        Probability p of meeting an unknown pair above which an episode counts.
    episodes : int
        Such episodes at most, with probability 1 - delta: N.
    stop : float
        Gap in units of value at which exploration may stop: w_esc * epsilon.
    """

    theorem: Literal["M2", "M5"]
    m: int
    escape: float
    episodes: int
    stop: float


def span_of(team: DecPOMDP) -> float:
    """Return the largest mean reward less the smallest, or raise ValueError where all are equal."""
    low, high = team.reward_range
    if not high > low:
        raise ValueError(f"all rewards are {low:g}: every policy is optimal, and there is nothing to learn")
    return high - low


def check_accuracy(team: DecPOMDP, epsilon: float, delta: float) -> None:
    """Raise ValueError unless epsilon lies between 0 and the range of returns, and delta between 0 and 1."""
    largest = span_of(team) * team.largest_return
    if not 0 < checks.number(epsilon) < largest:
        raise ValueError(
            f"epsilon is {checks.shown(epsilon)}: give a number between 0 and the range of returns, {largest:g}"
        )
    if not 0 < checks.number(delta) < 1:
        raise ValueError(f"delta is {checks.shown(delta)}: give a failure probability between 0 and 1")


def guarantee(
    team: DecPOMDP,
    epsilon: float,
    delta: float,
    *,
    explore: Explore = "centralised",
    n_rows: int | None = None,
    known_start: bool = False,
    rewards: Rewards = "known",
) -> Guarantee:
    """Return M5's numbers for optimism, else M2's.

    Parameters
    ----------
    team : DecPOMDP
        Of its laws only `branching` is used, which has to be known beforehand.
    epsilon, delta : float
        Accuracy in units of reward, and failure probability.
    explore : {"centralised", "optimism", "uniform", "none"}
    n_rows : int, optional
        Rows to be learned; default S * A, and the start.
    known_start : bool
    rewards : {"known", "sampled"}

    Raises
    ------
    ValueError
        If epsilon or delta is out of range, or all rewards are equal.

    Examples
    --------
    One successor for each pair, so that one visit tells all; N = 41 is worked in `bounds.teams.m2`:

    >>> team = DecPOMDP([[[[1.0]], [[1.0]]]], [[0.0, 1.0]], (2,), (1,), horizon=1)
    >>> guarantee(team, 0.5, 0.2).m
    1
    """
    check_accuracy(team, epsilon, delta)
    theorem: Literal["M2", "M5"] = "M5" if explore == "optimism" else "M2"
    rows = team.rewards.size + (not known_start) if n_rows is None else n_rows
    units = Fraction(float(epsilon)) / Fraction(span_of(team))
    key = (theorem, rows, branching_of(team, known_start), team.horizon, Fraction(team.discount), units)
    m, escape, episodes = _numbers(*key, Fraction(float(delta)), known_start, rewards)
    return Guarantee(theorem, m, escape, episodes, float(SHARES[theorem][1]) * float(epsilon))


@lru_cache(maxsize=64)
def _numbers(
    theorem: Literal["M2", "M5"],
    rows: int,
    branching: int,
    horizon: int,
    discount: Fraction,
    epsilon: Fraction,
    delta: Fraction,
    known_start: bool,
    rewards: Rewards,
) -> tuple[int, float, int]:
    """Return m, p and N."""
    w_sim, w_esc = SHARES[theorem]
    own: dict[str, Any] = {
        "n_rows": rows,
        "branching": branching,
        "horizon": horizon,
        "episode_discount": discount,
        "epsilon": epsilon,
        "delta": delta,
        "w_plan": 0,
        "w_sim": w_sim,
        "w_esc": w_esc,
    }
    if rewards == "sampled":
        own["w_reward"] = Fraction(1, 2)
    family: Any = m5 if theorem == "M5" else m2
    found = family("known" if known_start else "estimated", rewards, form="closed").evaluate(**own)
    return int(found["m"]), float(found["escape"]), int(found["episodes"])


def branching_of(team: DecPOMDP, known_start: bool) -> int:
    """Return the largest number of successors of a row: of a pair, or of the start where it is learned."""
    return team.branching if known_start else max(team.branching, int((team.starts > 0).sum()))


@dataclass(frozen=True)
class ModelError:
    """How far a learned model can be from the truth.

    Attributes
    ----------
    transitions : float in [0, 1]
        Largest total variation of a known row.
    rewards : float in [0, 1]
        Largest error of a known mean reward, as a share of the range of rewards.
    value : float
        Largest error of a policy's value, sigma of M1, in units of reward.
    """

    transitions: float
    rewards: float
    value: float


def model_error(
    team: DecPOMDP,
    m: int,
    delta: float,
    *,
    n_rows: int,
    known_start: bool = False,
    rewards: Rewards = "known",
    union: int = 1,
) -> ModelError:
    """Return what P1 and M1 allow after m visits of each known row, with probability 1 - delta/2 for all rows at once.

    The smaller of Weissman's and McDiarmid's radius, with a union over the rows; nothing where a row has one successor.
    With `union` = M it holds for all numbers of visits up to M at once (a union over them), so that m may be chosen
    after the visits.

    Examples
    --------
    Weissman's, the root of (ln 2 + ln 100)/2000:

    >>> import numpy as np
    >>> team = DecPOMDP(np.full((2, 2, 2, 1), 0.5), [[0.0, 1.0]] * 2, (2,), (1,), horizon=2)
    >>> round(model_error(team, 1000, 0.1, n_rows=5).transitions, 3)
    0.051
    """
    share = 4 if rewards == "sampled" else 2
    doubt = math.log(share * n_rows / delta) + math.log(union)
    branching = branching_of(team, known_start)
    weissman = math.sqrt((_log_subsets(branching) + doubt) / (2 * m)) if branching > 1 else 0.0
    mcdiarmid = (math.sqrt(branching - 1) + math.sqrt(2 * doubt)) / (2 * math.sqrt(m)) if branching > 1 else 0.0
    t = min(1.0, weissman, mcdiarmid)
    rho = min(1.0, math.sqrt((math.log(2) + doubt) / (2 * m))) if rewards == "sampled" else 0.0
    return ModelError(t, rho, simulation_error(team, t, rho, known_start))


def _log_subsets(branching: int) -> float:
    """Return ln(2^B - 2) for B of at least 2."""
    return branching * math.log(2) + math.log1p(-(2.0 ** (1 - branching)))


def simulation_error(team: DecPOMDP, t: float, rho: float, known_start: bool) -> float:
    """Return M1's sigma: G_H(discount) - (1-rho)(1-t)G_H(discount(1-t)), times the range of rewards.

    Examples
    --------
    M1's own: t = .1, rho = .05, 5 steps, known start: 1.1097.

    >>> team = DecPOMDP([[[[1.0]], [[1.0]]]], [[0.0, 1.0]], (2,), (1,), horizon=5)
    >>> round(simulation_error(team, 0.1, 0.05, known_start=True), 4)
    1.1097
    """
    more = 0 if known_start else 1
    terms = (team.discount**h * (1 - (1 - rho) * (1 - t) ** (h + more)) for h in range(team.horizon))
    return span_of(team) * math.fsum(terms)
