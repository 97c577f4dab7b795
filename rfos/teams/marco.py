"""Learn one centralised model of a team problem, explore by it, and plan decentralised policies in it (M2 to M5)."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from rfos._system import checks
from rfos._system.randomness import Seed
from rfos.teams.counts import MOST_VISITS, Counts, Experience
from rfos.teams.evaluate import evaluate
from rfos.teams.explore import explore as centralised_exploration
from rfos.teams.guarantee import (
    Explore,
    ModelError,
    check_accuracy,
    guarantee,
    model_error,
    simulation_error,
    span_of,
)
from rfos.teams.marco_result import MarcoResult, Policies, Report, States, Stop, Stretch, Uncovered
from rfos.teams.model import DecPOMDP
from rfos.teams.plan import plan
from rfos.teams.policies import TeamPolicy, constant_policy
from rfos.teams.world import Rewards, layout

if TYPE_CHECKING:
    pass

CLOSED = 1e-9
"""Width of a bracket, as a share of the largest return, up to which a plan counts as the best: rounding."""

NODES = 2000
"""Occupancy states that the planner may open for each plan: not a time, so that a seed gives the same run anywhere."""


class Planned(Protocol):
    """What a planner returns: a policy, and a bracket that holds the best value of its class."""

    @property
    def upper(self) -> float:
        """At least the value of the best policy of the class."""

    @property
    def policy(self) -> Any:
        """A TeamPolicy."""


Planner = Callable[[DecPOMDP], Planned]


def report_times(every: int | None, last: int) -> list[int]:
    """Return after how many episodes it is reported: multiples of `every`, or powers of 2, and the last.

    Examples
    --------
    >>> report_times(None, 10), report_times(4, 10)
    ([1, 2, 4, 8, 10], [4, 8, 10])
    """
    times = [2**k for k in range(last.bit_length())] if every is None else list(range(every, last + 1, every))
    return times if times and times[-1] == last else [*times, last]


class _Run:
    """A run under way."""

    def __init__(
        self,
        team: DecPOMDP,
        experience: Experience,
        explore: Explore,
        states: States,
        epsilon: float,
        delta: float,
        stop_gap: float,
        planner: Planner,
    ) -> None:
        self.team, self.experience, self.explore, self.states = team, experience, explore, states
        self.epsilon, self.delta, self.stop_gap, self.planner = epsilon, delta, stop_gap, planner
        self.span = span_of(team)
        self.low, self.high = team.reward_range
        self.reports: list[Report] = []
        self.stretches: list[Stretch] = []
        self.policy = constant_policy(team, (0,) * team.n_agents)
        self.worth: tuple[TeamPolicy, float] | None = None  # of the last policy
        self.slack = 0.0  # by how much an optimistic plan may fall short of the best
        counts = experience.counts()
        self.learned: dict[str, Any] = {
            "n_rows": counts.n_rows,
            "known_start": counts.known_start,
            "rewards": "sampled" if len(counts.paid) else "known",
        }
        self.error: ModelError = model_error(team, experience.m, delta, **self.learned)

    def really(self, policy: TeamPolicy) -> float:
        """Return what a policy earns in the true problem; the last one's value is kept."""
        if self.worth is None or self.worth[0] is not policy:
            self.worth = (policy, evaluate(self.team, policy).value)
        return self.worth[1]

    def optimistic(self, counts: Counts) -> tuple[TeamPolicy, float]:
        """Return the policy that is best in the optimistic model, and what unknown pairs make of it: g."""
        model = counts.model(self.high)
        found = self.planner(model)
        worth = evaluate(model, found.policy)
        self.slack = max(self.slack, found.upper - worth.lower)
        return found.policy, worth.upper - evaluate(counts.model(self.low), found.policy).lower

    def enough(self, counts: Counts) -> tuple[int, float]:
        """Return from how many visits on rows are best taken for known, and sigma then.

        Few visits leave little unknown and much error, many the reverse: powers of 2 and m are tried, and the least sum
        of gap and twice sigma wins, m in a tie.
        """
        tried = [(counts.m, self.error.value)]
        for k in reversed(range((counts.m - 1).bit_length())):
            if (counts.visits >= 2**k).any():
                tried.append((2**k, model_error(self.team, 2**k, self.delta, union=counts.m, **self.learned).value))
        return min(tried, key=lambda one: self.span * centralised_exploration(counts, one[0]).gap + 2 * one[1])

    def report(self, counts: Counts, played: TeamPolicy | None) -> None:
        """Plan, unless optimism has, and add a line."""
        team = self.team
        least, most = self.low * team.largest_return, self.high * team.largest_return
        visits, sigma = self.enough(counts)
        known = counts.known_from(visits)
        pessimistic = counts.model(self.low, least=visits)
        upper, lower, careful = most, least, self.policy
        if known[-1]:
            found = self.planner(pessimistic)
            careful, lower = found.policy, max(least, evaluate(pessimistic, found.policy).lower)
            upper = min(most, found.upper if known.all() else self.planner(counts.model(self.high, least=visits)).upper)
        if played is not None:
            self.policy = played
        elif counts.visits.any():
            bold = careful if known.all() else self.planner(counts.model(self.low, least=1)).policy
            certain = upper - lower + 2 * sigma <= self.epsilon
            if certain and upper - evaluate(pessimistic, bold).lower + 2 * sigma > self.epsilon:
                bold = careful
            self.policy = bold
        lower = max(lower, evaluate(pessimistic, self.policy).lower)
        t, rho = counts.error(visits)
        self.reports.append(
            Report(
                self.experience.episodes,
                counts.n_known,
                self.span * centralised_exploration(counts).gap,
                visits,
                lower,
                upper,
                sigma,
                max(least, lower - sigma),
                min(most, upper + sigma),
                self.really(self.policy),
                t,
                simulation_error(team, t, min(1.0, rho / self.span), counts.known_start),
            )
        )

    def exploring(self, counts: Counts) -> tuple[Any, float]:
        """Return M2's policy and an upper end of what unknown pairs can cost, in units of reward."""
        if self.states == "online":
            found = centralised_exploration(counts)
            return found.action, self.span * found.gap
        planned = self.planner(counts.model(1.0, rewards=np.zeros_like(self.team.rewards)))
        return planned.policy, self.span * planned.upper

    def go(self, times: list[int]) -> Stop:
        """Play, and report at some times and at the end."""
        experience = self.experience
        played: TeamPolicy | None = None  # of optimism
        play: Any = None
        changed = True
        for time in times:
            while experience.episodes < time:
                if changed and self.explore != "uniform":
                    counts = experience.counts()
                    if self.explore == "centralised":
                        play, gap = self.exploring(counts)
                    elif self.explore == "optimism":
                        play, gap = self.optimistic(counts)
                        played = play
                    else:
                        play, gap = self.policy, math.inf
                    if gap <= self.stop_gap:
                        self.report(counts, played)
                        return Stop.EXPLORED if self.explore == "centralised" else Stop.CERTIFIED
                first = experience.episodes + 1
                changed = experience.play(play, until=time) and self.explore != "none"
                if self.explore in ("optimism", "none"):
                    self.stretches.append(Stretch(first, experience.episodes, self.really(play)))
            self.report(experience.counts(), played)
            changed |= self.explore == "none"
        return Stop.EPISODES


def _checked(name: str, value: object, choices: tuple[str, ...]) -> None:
    if value not in choices:
        raise ValueError(f"{name} is {checks.shown(value)}: choose among {', '.join(choices)}")


def check_seconds(plan_seconds: float | None) -> None:
    """Raise ValueError unless it is a positive number of seconds, or None."""
    if plan_seconds is not None and not checks.number(plan_seconds) > 0:
        raise ValueError(
            f"plan_seconds is {checks.shown(plan_seconds)}: give a positive number, or None for as long as it takes"
        )


def check_request(explore: str, states: str, policies: str, episodes: int, m: int | None) -> None:
    """Raise ValueError unless these are choices of `marco`.

    Examples
    --------
    >>> check_request("optimism", "online", "full", 10, None)
    Traceback (most recent call last):
        ...
    ValueError: policies is 'full': choose among decentralised, reactive, joint
    """
    _checked("explore", explore, ("centralised", "optimism", "uniform", "none"))
    _checked("states", states, ("online", "hindsight"))
    _checked("policies", policies, ("decentralised", "reactive", "joint"))
    checks.whole("episodes", episodes)
    if m is not None:
        checks.whole("m", m, 1, MOST_VISITS)


def marco(
    team: DecPOMDP,
    *,
    epsilon: float,
    delta: float = 0.1,
    m: int | None = None,
    explore: Explore = "centralised",
    states: States = "online",
    policies: Policies = "decentralised",
    episodes: int = 10_000,
    planner: Planner | None = None,
    plan_seconds: float | None = None,
    report_every: int | None = None,
    row_keys: object = None,
    known_start: bool = False,
    rewards: Rewards = "known",
    optimum: tuple[float, float] | None = None,
    rng: Seed = None,
) -> MarcoResult:
    """Learn a centralised model of a team problem, and plan in it (M2 to M5).

    A row of counts (a pair of state and joint action, or the start) is known after `m` visits. "centralised": episodes
    are played by the joint policy that is most likely to meet an unknown pair in the learned model, until unknown pairs
    can cost no policy more than the theorem's share of epsilon. "optimism": by the policy of the class that is best
    where unknown pairs pay the largest reward. "uniform": by uniform joint actions. "none": by the last plan, made anew
    at each report.

    At each report the planner finds the best policy of the class in the model of all counts, or in the pessimistic one
    where only that policy is certified to be epsilon-optimal: by (U - L) + 2 sigma (M4). With probability 1 - delta all
    brackets hold the best value of the class, whatever was explored.

    Parameters
    ----------
    team : DecPOMDP
        The true problem: it is played, and used to say what plans really earn. The learner knows its sizes and rewards.
    epsilon : float
        Accuracy in units of reward, between 0 and the range of returns.
    delta : float
        Failure probability.
    m : int, optional
        Visits; default the theorem's (M5's for optimism, else M2's).
    explore : {"centralised", "optimism", "uniform", "none"}
    states : {"online", "hindsight"}
        With "hindsight" states are seen after the episode only, and exploration is by policies of the class.
    policies : {"decentralised", "reactive", "joint"}
    episodes : int
        Most episodes.
    planner : callable, optional
        planner(model) returns what has `upper` and `policy`; default `plan` with at most `NODES` nodes.
    plan_seconds : float, optional
        Time of each plan instead, for large problems; 20 times as much for the optimum. A seed then gives the same run
        only where plans end by themselves.
    report_every : int, optional
        Episodes between reports; default: reports after 1, 2, 4, ... episodes.
    row_keys : array_like of int, shape (S*A,), optional
        Pairs of one key share a row (M8-pool).
    known_start : bool
        Whether the law of an episode's beginning is known.
    rewards : {"known", "sampled"}
        "sampled": each step pays the largest or smallest reward at random, and means are learned.
    optimum : tuple of float, optional
        Bracket of the best value of the class in the true problem; default: it is planned for.
    rng : int, SeedSequence, Generator or None

    Returns
    -------
    MarcoResult

    Raises
    ------
    ValueError
        If an argument is out of range; the message names it and the mend.
    MemoryError
        If the histories of the agents do not fit this machine.

    Examples
    --------
    A lock of two digits, which one agent opens by 1, 1: one visit of each pair tells all.

    >>> from rfos.teams.tasks import task
    >>> lock = task("lock", agents=1, digits=2)
    >>> result = marco(lock, epsilon=0.5, rng=0)
    >>> result.stop.value, result.value, result.episodes <= 9, result.theorem
    ('explored', 1.0, True, 'M2 with M4')
    """
    checks.kind("team", team, DecPOMDP, mend="rfos.teams.tasks.task(name) or DecPOMDP(W, R, ...) makes one")
    check_accuracy(team, epsilon, delta)
    check_request(explore, states, policies, episodes, m)
    check_seconds(plan_seconds)
    if report_every is not None:
        checks.whole("report_every", report_every)
    if planner is not None:
        checks.function("planner", planner, "give a function of a DecPOMDP, such as rfos.teams.plan.plan")
    played = team.centralised() if policies == "joint" else team
    kind = "reactive" if policies == "reactive" else "decentralised"

    def own_planner(model: DecPOMDP) -> Planned:
        return plan(model, kind, seconds=plan_seconds, nodes=NODES if plan_seconds is None else None)

    chosen = own_planner if planner is None else planner
    n_rows = layout(played, row_keys, rewards).n_rows - bool(known_start)
    numbers = guarantee(
        played, epsilon, delta, explore=explore, n_rows=n_rows, known_start=known_start, rewards=rewards
    )
    visits = numbers.m if m is None else m
    experience = Experience(played, m=visits, row_keys=row_keys, known_start=known_start, rewards=rewards, rng=rng)
    if optimum is None:
        best = plan(played, kind, seconds=plan_seconds and 20 * plan_seconds, nodes=10 * NODES)
        optimum = (best.lower, best.upper)
    run = _Run(played, experience, explore, states, epsilon, delta, numbers.stop, chosen)
    stop = run.go(report_times(report_every, episodes))
    uncovered = None
    if explore in ("uniform", "none"):
        uncovered = Uncovered.NOT_EXPLORING
    elif visits < numbers.m:
        uncovered = Uncovered.FEWER_VISITS
    elif run.slack > CLOSED * span_of(team) * team.largest_return:
        uncovered = Uncovered.OPEN_PLANS
    return MarcoResult(
        team,
        float(epsilon),
        float(delta),
        visits,
        explore,
        states,
        policies,
        n_rows,
        numbers,
        uncovered,
        stop,
        tuple(run.reports),
        tuple(run.stretches),
        optimum,
        run.policy,
        experience.counts(),
    )
