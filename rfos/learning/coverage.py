"""Which theorem covers a run, with which m, and what it promises: questions to the table of theorems."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from numpy.typing import ArrayLike

from rfos._system import checks
from rfos.learning.agents import PaperRmax, Rmax
from rfos.learning.environment import Environment, Process, as_environment
from rfos.learning.player import Agent, check_agent
from rfos.learning.theorems import (
    BY_NAME,
    DEFAULT_ACCURACY,
    Assumption,
    Case,
    Failure,
    Theorem,
    TheoremName,
    alternatives,
    failure,
    shares,
    theorem_of,
    too_few,
    without_m,
)
from rfos.metagames.window import WindowMetaGame


@dataclass(frozen=True)
class Coverage:
    """Which theorem covers a run.

    Attributes
    ----------
    theorem : TheoremName or None
        "T1", "T1'", "T1' with X1", "T1-ep" or "X4", or a refinement of T1 ("T1+") where m is enough for that one only;
        None where no theorem applies.
    reason : str
        The assumptions that hold, or the first that fails.
    bad_steps : int or None
        Most steps that are not epsilon-optimal for m = 1: with certainty under T1', with probability 1 - delta/2 under
        T1' with X1. None under other theorems, which `bounds` evaluates, and where m is above 1 or epsilon is missing.
    fails : Assumption or None
        The first assumption that fails; None where a theorem applies.
    """

    theorem: TheoremName | None
    reason: str
    bad_steps: int | None = None
    fails: Assumption | None = None

    def __str__(self) -> str:
        """Return the theorem, or that there is none, and why."""
        return f"{self.theorem or 'no theorem'}: {self.reason}"


def _uncovered(found: Failure) -> Coverage:
    return Coverage(None, found.sentence, fails=found.assumption)


def require_accuracy(environment: Environment, epsilon: float, horizon: int | None = None) -> None:
    """Raise ValueError unless epsilon is below the largest return, as the theorems assume (`Bound.conditions`).

    Parameters
    ----------
    environment : Environment
        Where all rewards are equal every policy is optimal at every epsilon, and nothing is refused.
    epsilon : float
    horizon : int, optional
        Steps of an episode that is planned for (T1-ep); default: the return without end.
    """
    import bounds.rmax

    sizes = environment.sizes
    if sizes["r_max"] == 0:
        return
    point = {"r_max": sizes["r_max"], "discount": sizes["discount"], "epsilon": epsilon}
    if horizon is None:
        bounds.rmax.t1().m.require(**point)
    else:
        bounds.rmax.t1_episodic().m.require(**point, horizon=horizon)


def planned_steps(environment: Environment, agent: Agent) -> int | None:
    """Return the steps that an agent plans for, None for all that come."""
    return environment.horizon if isinstance(agent, Rmax) and agent.planning == "episode" else None


def check_fit(environment: Environment, agent: Agent) -> None:
    """Raise ValueError unless the agent's pooling and planning fit the process."""
    check_agent(agent)
    if not isinstance(agent, Rmax):
        return
    if agent.pooled and not isinstance(environment.process, WindowMetaGame):
        raise ValueError("counts are pooled over actions in window meta-games only (X2): set pooled=False")
    if agent.planning == "episode" and environment.horizon is None:
        raise ValueError("planning for the episode needs a horizon: give the steps per episode")


def coverage(
    process: Environment | Process, agent: Agent, *, horizon: int | None = None, starts: ArrayLike | None = None
) -> Coverage:
    """Return the theorem that covers a run of the agent, or why none does.

    Where m is given the plain theorem comes first, then what refines it and may need less; `ledger` names the one with
    the smallest count instead.

    Parameters
    ----------
    process : Environment, WindowMetaGame, PolicyMetaGame or TabularMDP
    agent : Rmax, PaperRmax or Agent
        No theorem of this package covers an agent of one's own.
    horizon, starts
        As of an `Environment`.

    Examples
    --------
    Where each goes is certain, so one visit tells all: at most min(H, 2) * 4 steps fall short by more than 0.1.

    >>> from rfos import Rmax, TabularMDP
    >>> mdp = TabularMDP([[0, 1], [1, 0]], [[0.0, 0.0], [1.0, 0.0]], 0.5)
    >>> found = coverage(mdp, Rmax(epsilon=0.1))
    >>> str(found.theorem), found.reason, found.bad_steps
    ("T1'", 'transitions and rewards are deterministic: m = 1 is enough', 8)
    """
    environment = as_environment(process, horizon, starts)
    check_agent(agent)
    if not isinstance(agent, Rmax | PaperRmax):
        return _uncovered(failure(Assumption.AGENT))
    if isinstance(agent, Rmax) and agent.epsilon is not None:
        try:
            require_accuracy(environment, agent.epsilon, planned_steps(environment, agent))
        except ValueError as error:
            return _uncovered(failure(Assumption.EPSILON, refused=error))
    case = Case(environment, agent)
    theorem = theorem_of(case)
    fails = theorem.fails(case)
    if fails is not None:
        return _uncovered(fails)
    found = Coverage(theorem.name, theorem.holds(case))
    if theorem.weights is None and agent.epsilon is not None and agent.m in (None, 1):
        found = replace(found, bad_steps=_bad_steps(case))
    if agent.m is None:
        return found
    if agent.epsilon is None:
        # What is not given planning assumes, but for episodes, whose plans are exact.
        least = "" if case.episodic else f" of at least {DEFAULT_ACCURACY:g}"
        every = f"for every epsilon{least} and every delta that m = {checks.shown(agent.m)} is enough for"
        return replace(found, reason=f"{found.reason}, {every}")
    needed = _needed(without_m(case))
    for other, visits in needed.items():
        if agent.m >= visits:
            return replace(found, theorem=other.name, reason=other.holds(case))
    return _uncovered(_too_few(case, agent.m, needed))


def _needed(case: Case) -> dict[Theorem, int]:
    """Return the visits that the theorem of a case and each that refines it need, the plain one first."""
    return {theorem: theorem.m(case) for theorem in reversed(alternatives(theorem_of(case)))}


def _too_few(case: Case, m: int, needed: dict[Theorem, int]) -> Failure:
    """Return that m is below the least that one of several theorems needs."""
    first = min(needed, key=needed.__getitem__)
    return too_few(case, first.name, m, needed[first])


def _bad_steps(case: Case) -> int:
    """Return T1''s number of steps for m = 1, or X1's where rows are revealed; 0 where all rewards are equal."""
    theorem = theorem_of(case)
    values = case.values | shares(theorem)
    return 0 if values["r_max"] == 0 else int(theorem.promise(False).evaluate(**values))


def paper_sweeps(environment: Environment, agent: PaperRmax) -> int:
    """Return how often the paper's agent sweeps in one plan."""
    import bounds.rmax

    return int(bounds.rmax.paper_sweeps().evaluate(epsilon=agent.epsilon, discount=environment.discount))


def _paper_m(environment: Environment, agent: PaperRmax | Rmax) -> int:
    """Return the m of the paper's schedule, which is a setting and no bound; it may be 0."""
    import bounds.rmax

    names = ("n_states", "epsilon", "delta", "discount")
    values = {**environment.sizes, "epsilon": agent.epsilon, "delta": agent.delta}
    return int(bounds.rmax.paper_m().evaluate(**{name: values[name] for name in names}))


def derived_m(
    process: Environment | Process,
    agent: Rmax | PaperRmax,
    *,
    horizon: int | None = None,
    starts: ArrayLike | None = None,
) -> int:
    """Return the visits m that an agent's epsilon and delta need.

    The paper's agent takes the paper's formula. R-max takes m from T1 (continuing), T1-ep (episode planning) or, with
    uniform restarts, from X4, which leaves all of epsilon but the planning share to estimation; X2's smaller union
    where counts are pooled. Where no theorem covers the run, m is that of the theorem whose assumptions fail. Where
    transitions are deterministic or a visit reveals the row (T1'), and where all rewards are equal, m = 1.

    Parameters
    ----------
    process, agent, horizon, starts
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

    >>> from rfos import PaperRmax, QLearner, WindowMetaGame, named_game
    >>> derived_m(WindowMetaGame(named_game("matching-pennies"), QLearner(), window=2, discount=0.8), PaperRmax())
    1005
    """
    environment = as_environment(process, horizon, starts)
    mend = (
        "Rmax(epsilon=0.8), Rmax(m=10) or PaperRmax() makes one, and of an agent of your own the schedule is your own"
    )
    checks.kind("agent", agent, Rmax, PaperRmax, mend=mend)
    check_fit(environment, agent)
    if isinstance(agent, Rmax) and agent.epsilon is not None:
        require_accuracy(environment, agent.epsilon, planned_steps(environment, agent))
    if agent.m is not None:
        return int(agent.m)
    if isinstance(agent, Rmax):
        case = Case(environment, agent)
        return theorem_of(case).m(case)
    if paper_sweeps(environment, agent) < 1:
        raise ValueError(
            f"epsilon {agent.epsilon:g} lets the paper's agent sweep 0 times, so that it never plans: give a smaller "
            f"epsilon, well below {1 / (1 - environment.discount):.3g}"
        )
    m = _paper_m(environment, agent)
    if m < 1:
        raise ValueError(f"epsilon {agent.epsilon:g} makes the paper's m {m}: give a smaller epsilon, or m itself")
    return m


def theory_m(
    process: Environment | Process, agent: Rmax, *, horizon: int | None = None, starts: ArrayLike | None = None
) -> dict[str, int]:
    """Return the visits that each schedule asks for at the agent's epsilon and delta: "paper", a theorem's, "T1+".

    The paper's is its setting, not a bound; it may be 0. The theorem is the one that speaks of such a run and that
    `derived_m` takes m from: "T1", "T1'", "T1' with X1", "T1-ep", or "X4" where there are restarts. T1+ is a theorem
    for runs without restarts.

    Examples
    --------
    T1 by hand: epsilon_P = .62·.8·.2/5 = .01984, and 2 ln(4·32·2/.2)/epsilon_P^2 = 36353.

    >>> from rfos import Rmax, WindowMetaGame, WindowQLearner, named_game
    >>> meta_game = WindowMetaGame(named_game("matching-pennies"), WindowQLearner(), window=2, discount=0.8)
    >>> theory_m(meta_game, Rmax(epsilon=0.8, delta=0.2))
    {'paper': 1005, 'T1': 36353, 'T1+': 30506}
    >>> theory_m(meta_game, Rmax(epsilon=0.8, delta=0.2), horizon=10)
    {'paper': 1005, 'X4': 14258, 'T1+': 30506}
    """
    environment = as_environment(process, horizon, starts)
    checks.kind("agent", agent, Rmax)
    case, sharp = Case(environment, agent), BY_NAME[TheoremName.SHARP]
    own = derived_m(environment, replace(agent, m=None))
    found = {"paper": _paper_m(environment, agent), str(theorem_of(case).name): own}
    schedule = sharp.schedule(agent.pooled)
    assert schedule is not None
    values = {**case.values, **shares(sharp)}
    found["T1+"] = 1 if values["r_max"] == 0 else int(schedule.evaluate(**values))
    return found


@dataclass(frozen=True)
class Guarantee:
    """What is promised of a run.

    Attributes
    ----------
    theorem : TheoremName or None
        The theorem with the smallest count among those that cover the run; None where none does.
    reason : str
        The assumptions that hold, or the first that fails.
    count : int or None
        Steps (for T1-ep: episodes) that are not epsilon-optimal, at most, with probability 1 - delta.
    exploration : float or None
        X1's bound of the sum of e_t, which holds for every m; None where it does not apply.
    fails : Assumption or None
        The first assumption that fails; None where a theorem covers the run.
    """

    theorem: TheoremName | None
    reason: str
    count: int | None
    exploration: float | None
    fails: Assumption | None = None


def guarantee(environment: Environment, agent: Agent, m: int | None, *, epsilon: float, delta: float) -> Guarantee:
    """Return what is promised of a run at `epsilon` and `delta`, whatever the agent itself was given."""

    def none(found: Failure, exploration: float | None = None) -> Guarantee:
        return Guarantee(None, found.sentence, None, exploration, found.assumption)

    if not isinstance(agent, Rmax | PaperRmax) or m is None:
        return none(failure(Assumption.AGENT))
    asked = replace(agent, m=None, epsilon=epsilon, delta=delta)
    plain = coverage(environment, asked)
    if plain.fails is not None:
        return none(Failure(plain.fails, plain.reason))
    assert isinstance(asked, Rmax)
    case = Case(environment, asked)
    exploration = None
    if environment.horizon is None:
        import bounds.exploration

        point: dict[str, Any] = {"explorations": case.rows * m, "discount": environment.discount, "delta": delta}
        exploration = float(bounds.exploration.x1().evaluate(**point))
    accuracy = DEFAULT_ACCURACY if agent.epsilon is None else agent.epsilon
    if not case.episodic and accuracy > epsilon:
        return none(failure(Assumption.PLANNING, accuracy=accuracy, epsilon=epsilon), exploration)
    theorem = theorem_of(case)
    if case.values["r_max"] == 0:
        return Guarantee(theorem.name, "all rewards are equal: every policy is optimal", 0, exploration)
    needed = _needed(case)
    counts = {other: other.count(case, m) for other, least in needed.items() if m >= least}
    if not counts:
        return none(_too_few(case, m, needed), exploration)
    tightest = min(counts, key=counts.__getitem__)  # of equal counts the plain one, which is the better known
    return Guarantee(tightest.name, plain.reason, counts[tightest], exploration)
