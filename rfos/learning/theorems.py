"""The theorems on R-max, in one table: when each holds, the visits m that it asks for, and what it counts.

Which theorem covers a run, its m, its count and the first assumption that fails are all answered from `THEOREMS`: by
`coverage`, `derived_m` and `guarantee`, for the ledger, for the fits of sweeps and for `rfos bound`.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass, replace
from enum import Enum, StrEnum
from fractions import Fraction
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from rfos._system import checks
from rfos.learning.agents import PaperRmax, Rmax

if TYPE_CHECKING:
    from bounds.bound import Bound, Family
    from rfos.learning.environment import Environment

PLANNING_SHARE = Fraction(1, 100)
"""Share of epsilon left to planning, w_plan: value iteration makes it cheap to keep small."""

DEFAULT_ACCURACY = 0.01
"""Accuracy that planning assumes where only m is given, in units of value."""


class TheoremName(StrEnum):
    """The theorems that can cover a run."""

    DETERMINISTIC = "T1'"
    OBSERVED = "T1' with X1"
    SHARP = "T1+"
    EXPLORING = "T1 with X1"
    CONTINUING = "T1"
    EPISODIC = "T1-ep"
    RESTARTS = "X4"

    def __repr__(self) -> str:
        """Return the code as a text, as in the theory."""
        return repr(str(self))


class Assumption(Enum):
    """What a theorem on R-max assumes of a run; the value is the sentence for where it fails."""

    AGENT = "no theorem of this package covers an agent of one's own"
    MARKOV = (
        "the opponent's state is hidden: the meta-game is not an MDP (X6 applies; M9, where training sees that state)"
    )
    CANONICAL = "the preset departs from R-max: softmax play, pessimistic unknown successors, its own m"
    POOLING = "counts are pooled, which X2 proves for window meta-games only"
    EPISODES = "it plans for the rest of an episode, but there are no episodes: give a horizon"
    STARTS = "restarts from few meta-states: T1 is false then; plan for the episode (T1-ep)"
    START_LAW = (
        "restarts by a start law that never takes meta-state {state}: X4 needs all, and T1 is false then; plan for the "
        "episode (T1-ep)"
    )
    EPSILON = "{refused}"
    PLANNING = "it plans for an accuracy of {accuracy:g}, and epsilon is {epsilon:g}"
    VISITS = "m is {m}, below the {needed} that {theorem} needs at epsilon {epsilon:g} and delta {delta:g}"


class Failure(NamedTuple):
    """The first assumption that fails, and the sentence that says so of the run."""

    assumption: Assumption
    sentence: str


def failure(assumption: Assumption, **numbers: Any) -> Failure:
    """Return that an assumption fails, with its sentence filled in."""
    return Failure(assumption, assumption.value.format(**numbers))


@dataclass(frozen=True, eq=False)
class Case:
    """A run that a theorem may cover: an environment, an agent of the package, and what is asked of it."""

    environment: Environment
    agent: Rmax | PaperRmax

    @property
    def certain(self) -> bool:
        """Whether one visit tells a pair's row, or all rewards are equal, so that m = 1 is enough."""
        return _one_visit_is_enough(self) or self.values["r_max"] == 0

    @property
    def pooled(self) -> bool:
        """Whether counts are kept per meta-state."""
        return isinstance(self.agent, Rmax) and self.agent.pooled

    @property
    def episodic(self) -> bool:
        """Whether the agent plans for the rest of an episode."""
        return isinstance(self.agent, Rmax) and self.agent.planning == "episode"

    @property
    def rows(self) -> int:
        """Rows of counts: pairs, or meta-states where counts are pooled."""
        return self.environment.n_states * (1 if self.pooled else self.environment.n_actions)

    @functools.cached_property
    def values(self) -> dict[str, Any]:
        """The values of the symbols of bounds."""
        return {**self.environment.sizes, "epsilon": self.agent.epsilon, "delta": self.agent.delta}


@dataclass(frozen=True)
class Theorem:
    """A theorem on the mistakes of R-max.

    Attributes
    ----------
    name : TheoremName
    title : str
        What it says, in a few words.
    unit : {"steps", "episodes"}
        What it counts: those that are not epsilon-optimal.
    speaks : callable
        Whether it is about the setting of a case: restarts or none, what is planned for, whether one visit is enough.
    holds : callable
        The assumptions that hold in a case of its setting, as a sentence.
    family : callable
        From options as those of `bounds.rmax.t1` (pooled, rows, ..) to the theorem's symbolic parts.
    weights : {"continuing", "episodic", "restarts"} or None
        How the theorem shares epsilon; None where it has no model to estimate, and so asks for one visit.
    count : callable
        From a case and m to the number that it promises, as an integer.
    refines : TheoremName or None
        The theorem with the same assumptions that it sharpens.
    """

    name: TheoremName
    title: str
    unit: Literal["steps", "episodes"]
    speaks: Callable[[Case], bool]
    holds: Callable[[Case], str]
    family: Callable[..., Family]
    weights: Literal["continuing", "episodic", "restarts"] | None
    count: Callable[[Case, int], int]
    refines: TheoremName | None = None

    def fails(self, case: Case) -> Failure | None:
        """Return the first of its assumptions that fails in a case of its setting, m and epsilon aside."""
        from rfos.metagames.window import WindowMetaGame  # `rfos bound` reads this table without building games

        environment = case.environment
        if not environment.is_markov:
            return failure(Assumption.MARKOV)
        if not isinstance(case.agent, Rmax):
            return failure(Assumption.CANONICAL)
        if case.pooled and not isinstance(environment.process, WindowMetaGame):
            return failure(Assumption.POOLING)
        if case.episodic:
            return failure(Assumption.EPISODES) if environment.horizon is None else None
        if environment.horizon is None or environment.restarts_everywhere:
            return None
        law = environment.start_law
        if law is not None:
            return failure(Assumption.START_LAW, state=int((law == 0).argmax()))
        return failure(Assumption.STARTS)

    def schedule(self, pooled: bool) -> Bound | None:
        """Return the symbolic m; None where one visit is enough."""
        return None if self.weights is None else self.family(pooled=pooled).bounds["m"]

    def promise(self, pooled: bool) -> Bound:
        """Return the symbolic count, with the theorem's own m in it where it has one."""
        return self.family(pooled=pooled).bounds[self.unit]

    def m(self, case: Case) -> int:
        """Return the visits that make a pair known by its schedule, at the case's epsilon and delta."""
        bound = None if case.certain else self.schedule(case.pooled)
        if bound is None:
            return 1
        values = {**case.values, "horizon": case.environment.horizon, **shares(self)}
        return _evaluated(bound, tuple((name, values[name]) for name in bound.parameters))


# A sweep asks for the same number for every seed, and again for the theorem that covers the run.
@functools.lru_cache(maxsize=1000)
def _evaluated(bound: Bound, point: tuple[tuple[str, Any], ...]) -> int:
    return int(bound.evaluate(**dict(point)))


def shares(theorem: Theorem) -> dict[str, Fraction]:
    """Return the shares of epsilon that a theorem takes, by the names of their symbols."""
    import bounds.rmax

    if theorem.weights is None:  # the model is exact
        return {"w_plan": PLANNING_SHARE}
    if theorem.weights == "restarts":  # no look ahead and no escape: all but planning is left to the model
        return {"w_plan": PLANNING_SHARE, "w_sim": 1 - PLANNING_SHARE}
    return bounds.rmax.default_weights(theorem.weights)


def _restarts(case: Case) -> str:
    law = case.environment.start_law
    return f"restarts {'uniformly in all meta-states' if law is None else 'in every meta-state, by a start law'}"


def _x4_holds(case: Case) -> str:
    if case.environment.played.branching == 1:
        return f"deterministic, {_restarts(case)}: m = 1 is enough"
    if case.environment.reveals:
        return f"a visit reveals the row, {_restarts(case)}: m = 1 is enough"
    return f"an MDP with {_restarts(case)}"


def _t1(**options: Any) -> Family:
    import bounds.rmax

    return bounds.rmax.t1(**options)


def _t1_episodic(**options: Any) -> Family:
    import bounds.rmax

    return bounds.rmax.t1_episodic(**options)


def _t1_restarts(**options: Any) -> Family:
    import bounds.rmax

    return bounds.rmax.t1_restarts(**options)


def _t1_plus(**options: Any) -> Family:
    from bounds import sharp

    return sharp.t1_plus(**options)


def _t1_deterministic(**ignored: Any) -> Family:
    """Return T1', which estimates nothing: there is nothing to pool, and no lemma in it."""
    from bounds import sharp

    return sharp.t1_deterministic()


def _t1_observed(rate_is: Literal["chosen", "free"] = "chosen", **ignored: Any) -> Family:
    """Return T1' with X1, which estimates nothing either."""
    from bounds import sharp

    return sharp.t1_observed(rate_is)


def _deterministic_count(case: Case, m: int) -> int:
    """A known path meets no state twice before it escapes, and there are k0 escapes, m for each row."""
    promised = _t1_deterministic().bounds["steps"].evaluate(**case.values, w_plan=PLANNING_SHARE)
    path = int(promised) // int(case.environment.n_states * case.environment.n_actions)
    return path * case.rows * m


def _largest_value(case: Case) -> Fraction:
    """Return the largest return less the smallest."""
    value: Fraction = case.values["r_max"] / (1 - Fraction(repr(case.environment.discount)))
    return value


def _x1_count(share: Callable[[], Fraction], case: Case, m: int) -> int:
    """Return X1's sum of e_t over the smallest e_t of a bad step, for a share of epsilon left to escapes."""
    import bounds.exploration

    values = case.values
    x1, epsilon, v_max = bounds.exploration.x1(), Fraction(repr(values["epsilon"])), _largest_value(case)
    point = {"explorations": case.rows * m, "discount": values["discount"], "delta": values["delta"]}
    try:
        total = x1.evaluate(**point)
        return int(float(total) * float(v_max / (share() * epsilon)) * (1 + 1e-12))
    except OverflowError:  # more than floats can count
        return int(x1.ball(digits=1, **point).upper * v_max / (share() * epsilon)) + 1


def _weight(kind: Literal["continuing", "episodic"], *names: str) -> Fraction:
    import bounds.rmax

    weights = bounds.rmax.default_weights(kind)
    return sum((weights[name] for name in names), Fraction(0))


def _t1_count(case: Case, m: int) -> int:
    """Return T1's count: escapes within its horizon, P5."""
    import bounds.rmax

    values = {**case.values, **bounds.rmax.default_weights("continuing")}
    reach = int(bounds.rmax.t1(pooled=case.pooled).effective_horizon.evaluate(**values))
    escape = min(Fraction(1), values["w_esc"] * Fraction(repr(values["epsilon"])) / _largest_value(case))
    tries = bounds.rmax.p5().evaluate(explorations=case.rows * m, escape=escape, delta=values["delta"])
    return reach * int(tries)


def _episodic_count(case: Case, m: int) -> int:
    """Return T1-ep's count of episodes, P5."""
    import bounds.rmax

    values, horizon = case.values, case.environment.horizon
    discount = Fraction(repr(case.environment.discount))
    best = values["r_max"] * (1 - discount ** int(horizon or 0)) / (1 - discount)
    escape = min(Fraction(1), _weight("episodic", "w_esc") * Fraction(repr(values["epsilon"])) / best)
    return int(bounds.rmax.p5().evaluate(explorations=case.rows * m, escape=escape, delta=values["delta"]))


def _restarts_count(case: Case, m: int) -> int:
    """Return X4's count: the steps until restarts have visited every row m times."""
    import bounds.rmax

    environment, delta, horizon = case.environment, case.values["delta"], int(case.environment.horizon or 1)
    law = environment.start_law
    if law is not None:
        n_actions = environment.n_actions
        return horizon * bounds.rmax.x4_upper(law.tolist(), n_actions=n_actions, m=m, delta=delta)
    sizes = {"n_states": environment.n_states, "n_actions": 1 if case.pooled else environment.n_actions}
    return int(bounds.rmax.x4().steps.evaluate(**sizes, m=m, horizon=horizon, delta=delta))


def _goes_on(case: Case) -> bool:
    return not case.episodic and case.environment.horizon is None


def _one_visit_is_enough(case: Case) -> bool:
    return case.environment.played.branching == 1 or case.environment.reveals


_T1 = Theorem(
    name=TheoremName.CONTINUING,
    title="R-max without restarts",
    unit="steps",
    speaks=lambda case: _goes_on(case) and not _one_visit_is_enough(case),
    holds=lambda case: "an MDP without restarts",
    family=_t1,
    weights="continuing",
    count=_t1_count,
)
"""T1; what refines it has its setting and its assumptions."""

THEOREMS: tuple[Theorem, ...] = (
    Theorem(
        name=TheoremName.DETERMINISTIC,
        title="R-max in a deterministic MDP: at most min(H, |S|) bad steps for each pair, with certainty",
        unit="steps",
        speaks=lambda case: _goes_on(case) and case.environment.played.branching == 1,
        holds=lambda case: "transitions and rewards are deterministic: m = 1 is enough",
        family=_t1_deterministic,
        weights=None,
        count=_deterministic_count,
    ),
    Theorem(
        name=TheoremName.OBSERVED,
        title="R-max where a visit reveals the row: X1's count of explorations with m = 1",
        unit="steps",
        speaks=lambda case: _goes_on(case) and case.environment.reveals,
        holds=lambda case: (
            "a visit reveals the row: m = 1 is enough; successors are random: X1 counts the bad steps, with "
            "probability 1 - delta/2, not with certainty"
        ),
        family=_t1_observed,
        weights=None,
        count=functools.partial(_x1_count, lambda: 1 - PLANNING_SHARE),
    ),
    Theorem(
        name=TheoremName.RESTARTS,
        title="R-max under random restarts: all rows are known after a coupon collector's number of episodes",
        unit="steps",
        speaks=lambda case: not case.episodic and case.environment.horizon is not None,
        holds=_x4_holds,
        family=_t1_restarts,
        weights="restarts",
        count=_restarts_count,
    ),
    Theorem(
        name=TheoremName.EPISODIC,
        title="R-max with plans for the rest of an episode",
        unit="episodes",
        speaks=lambda case: case.episodic,
        holds=lambda case: "restarts every T steps, planned for the rest of the episode",
        family=_t1_episodic,
        weights="episodic",
        count=_episodic_count,
    ),
    replace(
        _T1,
        name=TheoremName.SHARP,
        title="R-max without restarts, the sharp form: no horizon is cut off, X1 counts",
        family=_t1_plus,
        weights="episodic",
        count=functools.partial(_x1_count, functools.partial(_weight, "episodic", "w_esc")),
        refines=TheoremName.CONTINUING,
    ),
    replace(
        _T1,
        name=TheoremName.EXPLORING,
        title="R-max without restarts: T1's model and X1's count",
        # Without a horizon what T1 gives to it is left to the escapes.
        count=functools.partial(_x1_count, functools.partial(_weight, "continuing", "w_esc", "w_hor")),
        refines=TheoremName.CONTINUING,
    ),
    _T1,
)
"""All theorems, the tightest of a setting first."""

BY_NAME = {theorem.name: theorem for theorem in THEOREMS}
"""The theorems by name."""


def theorem_of(case: Case) -> Theorem:
    """Return the theorem that speaks of a case's setting, whether or not its assumptions hold; not a refinement."""
    return next(theorem for theorem in THEOREMS if theorem.refines is None and theorem.speaks(case))


def alternatives(theorem: Theorem) -> tuple[Theorem, ...]:
    """Return a theorem and those that refine it, the tightest first."""
    return tuple(other for other in THEOREMS if theorem.name in (other.name, other.refines))


def without_m(case: Case) -> Case:
    """Return the same case with an agent that derives its m."""
    return replace(case, agent=replace(case.agent, m=None))


def too_few(case: Case, theorem: TheoremName, m: int, needed: int) -> Failure:
    """Return that m is below what a theorem needs at the case's epsilon and delta."""
    at = {"epsilon": case.agent.epsilon, "delta": case.agent.delta}
    return failure(Assumption.VISITS, m=checks.shown(m), needed=checks.shown(needed), theorem=str(theorem), **at)
