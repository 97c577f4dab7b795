"""MARCO beside its rivals on one task: what plans really earn against episodes, over seeds (M2 to M5, M7)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import as_completed
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

from rfos._system import checks
from rfos._system.display import page
from rfos._system.processes import Pool
from rfos._system.randomness import seed_sequence
from rfos._system.threads import processors
from rfos.teams.baselines import TITLES, Ratio, baseline, episodes_ratio
from rfos.teams.guarantee import Explore, check_accuracy, guarantee, span_of
from rfos.teams.marco import NODES, check_request, check_seconds, marco
from rfos.teams.marco_result import Policies, States
from rfos.teams.model import DecPOMDP
from rfos.teams.plan import plan
from rfos.teams.tasks import TASKS, task
from rfos.teams.world import layout

if TYPE_CHECKING:
    import pandas as pd

OURS = "marco"
"""What the runs of `marco` are called in tables."""

ACCURACY = 0.1
"""Epsilon unless another is given, as a share of the range of returns."""


class TeamCell(NamedTuple):
    """One run: a method and a seed."""

    method: str
    seed: int


class TeamRow(NamedTuple):
    """One report of one run; values in units of reward, the bracket only of `marco`.

    Attributes
    ----------
    method : str
    seed, episodes : int
    value : float
        What the plan really earns.
    bracket_low, bracket_high : float or None
    known : int or None
    """

    method: str
    seed: int
    episodes: int
    value: float
    bracket_low: float | None
    bracket_high: float | None
    known: int | None


class TeamRun(NamedTuple):
    """How one run went.

    Attributes
    ----------
    method : str
    seed : int
    until : int or None
        Episodes until all plans are epsilon-optimal.
    ended : str or None
        Why `marco` ended.
    covered : bool
        Whether a theorem covers the run.
    rows : tuple of TeamRow
    """

    method: str
    seed: int
    until: int | None
    ended: str | None
    covered: bool
    rows: tuple[TeamRow, ...]


class MethodLine(NamedTuple):
    """What a method came to.

    Attributes
    ----------
    method, title : str
    seeds, optimal : int
        Runs, and those whose plans became epsilon-optimal.
    fewest_episodes, most_episodes : int or None
        Until they were, over the seeds; no most where a run did not get there.
    value : float
        Mean of what the last plans really earn.
    ratio, ratio_low, ratio_high : float or None
        See `rfos.teams.baselines.Ratio`.
    """

    method: str
    title: str
    seeds: int
    optimal: int
    fewest_episodes: int | None
    most_episodes: int | None
    value: float
    ratio: float | None
    ratio_low: float | None
    ratio_high: float | None


@dataclass(frozen=True, eq=False)
class MarcoStudy:
    """What `marco_study` found.

    Attributes
    ----------
    task : str
    team : DecPOMDP
    epsilon, delta : float
    m, theorem_m, theorem_episodes : int
        Visits that were used; visits and episodes of the theorem.
    theorem : str
        M2 or M5.
    covered : bool
        Whether the theorem covers the runs of `marco`.
    explore, states, policies : str
    episodes, n_rows : int
        Most episodes of a run; rows to be learned.
    optimum : tuple of float
        Bracket of the best value of the class.
    runs : tuple of TeamRun
        By method, then by seed.
    ratios : dict of str to Ratio or None
        How many times as many episodes each rival takes; None where a run of `marco` did not get there.
    """

    task: str
    team: DecPOMDP
    epsilon: float
    delta: float
    m: int
    theorem_m: int
    theorem_episodes: int
    theorem: str
    covered: bool
    explore: Explore
    states: States
    policies: Policies
    episodes: int
    n_rows: int
    optimum: tuple[float, float]
    runs: tuple[TeamRun, ...]
    ratios: dict[str, Ratio | None]

    def to_frame(self) -> pd.DataFrame:
        """Return every report of every run; columns as in `TeamRow`, and the method's title."""
        import pandas as pd

        frame = pd.DataFrame([row for run in self.runs for row in run.rows], columns=list(TeamRow._fields))
        return frame.assign(title=[title_of(method, self.explore) for method in frame["method"]])

    def summary(self) -> pd.DataFrame:
        """Return `methods` as a table."""
        import pandas as pd

        return pd.DataFrame(self.methods, columns=list(MethodLine._fields))

    @property
    def methods(self) -> tuple[MethodLine, ...]:
        """A line for each method."""
        return tuple(self._line(method) for method in dict.fromkeys(run.method for run in self.runs))

    def _line(self, method: str) -> MethodLine:
        own = [run for run in self.runs if run.method == method]
        until = sorted(run.until for run in own if run.until is not None)
        return MethodLine(
            method,
            title_of(method, self.explore),
            len(own),
            len(until),
            until[0] if until else None,
            until[-1] if len(until) == len(own) else None,
            sum(run.rows[-1].value for run in own) / len(own),
            *(self.ratios.get(method) or (None, None, None))[:3],
        )

    def __repr__(self) -> str:
        """Return what was compared, on one line."""
        methods = len({run.method for run in self.runs})
        return (
            f"<MarcoStudy of {self.task}: {methods} methods, {len(self.runs)} runs, optimum in "
            f"[{self.optimum[0]:.6g}, {self.optimum[1]:.6g}], epsilon {self.epsilon:g}>"
        )

    def _repr_html_(self) -> str:
        return page(repr(self), self.summary())


def title_of(method: str, explore: str) -> str:
    """Return what a table or a figure calls a method.

    Examples
    --------
    >>> title_of("marco", "optimism"), title_of("independent", "optimism")
    ('MARCO, optimism', 'independent Q-learners')
    """
    return f"MARCO, {explore}" if method == OURS else TITLES[method]


def _run(cell: TeamCell, team: DecPOMDP, chosen: dict[str, Any], root: int) -> TeamRun:
    """Return one run; its stream is that of its seed and method, whatever process it is in."""
    method, seed = cell
    names = (OURS, *TITLES)
    rng = seed_sequence(root, key=(names.index(method), seed))
    rows: list[TeamRow] = []
    common = {key: chosen[key] for key in ("epsilon", "m", "episodes", "row_keys", "plan_seconds", "optimum")}
    if method == OURS:
        more = {key: chosen[key] for key in ("delta", "explore", "states", "policies")}
        result = marco(team, **common, **more, rng=rng)
        for r in result.reports:
            rows.append(TeamRow(method, seed, r.episodes, r.value, r.bracket_low, r.bracket_high, r.known))
        return TeamRun(
            method, seed, result.episodes_until_optimal, result.stop.value, result.theorem is not None, tuple(rows)
        )
    other = baseline(team, method, **common, rng=rng)  # type: ignore[arg-type]  # a key of TITLES
    for episodes, value in zip(other.episodes, other.values, strict=True):
        rows.append(TeamRow(method, seed, episodes, value, None, None, None))
    return TeamRun(method, seed, other.episodes_until_optimal, None, False, tuple(rows))


def marco_study(
    name: str,
    *,
    horizon: int | None = None,
    sizes: dict[str, int] | None = None,
    epsilon: float | None = None,
    delta: float = 0.1,
    m: int | None = None,
    explore: Explore = "centralised",
    states: States = "online",
    policies: Policies = "decentralised",
    episodes: int = 10_000,
    plan_seconds: float | None = None,
    rivals: Sequence[str] = tuple(TITLES),
    seeds: int = 5,
    seed: int = 0,
    jobs: int | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> MarcoStudy:
    """Run `marco` and its rivals on a task, each with some seeds, and compare them.

    Parameters
    ----------
    name : str
        A task of `rfos.teams.tasks.TASKS`; pairs that it declares equal share a row (M8-pool).
    horizon : int, optional
    sizes : dict of str to int, optional
        Such as {"agents": 3}.
    epsilon : float, optional
        In units of reward; default a tenth of the range of returns.
    delta : float
    m : int, optional
        Visits that make a row known; default the theorem's.
    explore, states, policies, episodes, plan_seconds
        As for `marco`.
    rivals : sequence of str
        Methods of `baseline`.
    seeds : int
        Runs of each method.
    seed : int
        Root of all streams.
    jobs : int, optional
        Processes; default one per processor. They change no number.
    progress : callable, optional
        Called with the runs done and all runs.

    Returns
    -------
    MarcoStudy

    Raises
    ------
    ValueError
        If an argument is out of range; the message names it and the mend.
    OSError
        If a worker process was killed.

    Examples
    --------
    >>> options = {"epsilon": 0.5, "episodes": 16, "rivals": (), "seeds": 1, "jobs": 1}
    >>> study = marco_study("lock", sizes={"agents": 1, "digits": 2}, **options)
    >>> study.runs[0].ended
    'explored'
    """
    team = task(name, horizon, **(sizes or {}))
    chosen_epsilon = ACCURACY * span_of(team) * team.largest_return if epsilon is None else epsilon
    check_accuracy(team, chosen_epsilon, delta)
    check_request(explore, states, policies, episodes, m)
    check_seconds(plan_seconds)
    checks.whole("seeds", seeds)
    checks.whole("seed", seed, 0)
    if jobs is not None:
        checks.whole("jobs", jobs)
    for one in rivals:
        if one not in TITLES:
            raise ValueError(f"a rival is {checks.shown(one)}: choose among {', '.join(TITLES)}")
    keys = TASKS[name].row_keys(team)
    n_rows = layout(team, keys).n_rows
    played = team.centralised() if policies == "joint" else team
    numbers = guarantee(played, chosen_epsilon, delta, explore=explore, n_rows=n_rows)
    kind = "reactive" if policies == "reactive" else "decentralised"
    best = plan(played, kind, seconds=plan_seconds and 20 * plan_seconds, nodes=10 * NODES)
    chosen = {
        "epsilon": chosen_epsilon,
        "delta": delta,
        "m": m,
        "explore": explore,
        "states": states,
        "policies": policies,
        "episodes": episodes,
        "row_keys": keys,
        "plan_seconds": plan_seconds,
        "optimum": (best.lower, best.upper),
    }
    cells = [TeamCell(method, i) for method in (OURS, *dict.fromkeys(rivals)) for i in range(seeds)]
    runs = _all(cells, team, chosen, seed, min(len(cells), jobs or processors()), progress)
    until = {
        method: [run.until for run in runs if run.method == method] for method in dict.fromkeys(c.method for c in cells)
    }
    ratios = {
        method: episodes_ratio(until[OURS], theirs, episodes) for method, theirs in until.items() if method != OURS
    }
    visits = numbers.m if m is None else m
    return MarcoStudy(
        name,
        team,
        float(chosen_epsilon),
        float(delta),
        visits,
        numbers.m,
        numbers.episodes,
        numbers.theorem,
        all(run.covered for run in runs if run.method == OURS),
        explore,
        states,
        policies,
        episodes,
        n_rows,
        (best.lower, best.upper),
        tuple(runs),
        ratios,
    )


def _all(
    cells: list[TeamCell],
    team: DecPOMDP,
    chosen: dict[str, Any],
    root: int,
    workers: int,
    progress: Callable[[int, int], None] | None,
) -> list[TeamRun]:
    """Return the runs in the order of the cells."""
    found: dict[TeamCell, TeamRun] = {}

    def take(cell: TeamCell, run: TeamRun) -> None:
        found[cell] = run
        if progress is not None:
            progress(len(found), len(cells))

    if workers == 1:
        for cell in cells:
            take(cell, _run(cell, team, chosen, root))
        return [found[cell] for cell in cells]
    try:
        with Pool(workers) as pool:
            futures = {pool.submit(_run, cell, team, chosen, root): cell for cell in cells}
            for done in as_completed(futures):
                take(futures[done], done.result())
    except BrokenProcessPool:
        raise OSError(
            f"one of {workers} worker processes was killed, or ran out of memory: use fewer jobs, and run again"
        ) from None
    return [found[cell] for cell in cells]
