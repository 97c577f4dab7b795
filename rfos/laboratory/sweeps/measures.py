"""What can be measured of a cell, and what that costs."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields, replace
from fractions import Fraction
from types import MappingProxyType
from typing import Any

import numpy as np

from rfos._system import checks
from rfos._system.checkpoints import Checkpoint, MisfitError, Unfinished
from rfos.laboratory.sweeps import results
from rfos.laboratory.sweeps.cells import (
    Cell,
    Outcome,
    Task,
    agent,
    canonical,
    kind,
    meta_game,
    printable,
    process,
    rows,
)
from rfos.laboratory.sweeps.modules import cached
from rfos.laboratory.sweeps.parts import is_own, own_part
from rfos.laboratory.sweeps.results import Check, Result, count, flag, number, or_none, words
from rfos.learning.agents import PaperRmax, Rmax
from rfos.learning.convergence import convergence
from rfos.learning.coverage import derived_m
from rfos.learning.environment import Played, as_environment
from rfos.learning.least_m import least_sufficient_m
from rfos.learning.ledger import ledger, ledger_bytes
from rfos.learning.player import Agent
from rfos.learning.run import run, run_bytes
from rfos.metagames.window import WindowMetaGame

BINS = 50
"""Bins of a learning curve, fewer where the run is shorter."""

FINAL_SHARE = 0.25
"""Share of the bins, at the end of a run, that sets its final reward."""

LONGEST_RUN = 10**11
"""Most effort of one cell, in steps of a run: about half an hour."""

PRODUCTS = 20
"""Products of a probability and a value, when planning, that take as long as a step of a run."""

MUCH_LESS = 1000
"""How many times less than T1's m the least sufficient one was, at least, wherever it was looked for."""

LEAST_ERROR = 0.05
"""Chance that the interval of a least-m cell is wrong."""

LEAST_RUNS = 300
"""Runs at one m after which a least-m cell leaves it undecided: the shares of good runs are known to a few percent."""

PYTHON_STEPS = 100
"""Steps of a kernel that take as long as one of an agent of one's own."""


def run_length(cell: Cell) -> int:
    """Return the steps of a cell's run, whole episodes where there are any."""
    return _run_length(cell.point)


def effort(cell: Cell) -> int:
    """Return about how long a cell takes at most, in steps of a run (some 20 ns each)."""
    return _effort(cell.point)


@cached(10_000)
def _effort(cell: Cell) -> int:
    return _asked(cell, "effort", measure_of(cell.measure).effort)


def _asked(cell: Cell, what: str, function: Callable[[Cell], int]) -> int:
    """Return what a measure says of a cell, a whole number; one of a user's own is not believed."""
    if not is_own(cell.measure):
        return function(cell)
    try:
        found = function(cell)
    except (ValueError, MemoryError):  # of what the package says of a run
        raise
    except (Exception, SystemExit) as error:
        said = " ".join(f"{type(error).__name__}: {error}".split())
        raise ValueError(f"measure is {cell.measure!r}, and its {what} raised {said}: mend it") from error
    if isinstance(found, bool) or not isinstance(found, int | np.integer) or found < 0:
        raise ValueError(
            f"measure is {cell.measure!r}, whose {what} returns {results.shown(found)}: let it return a whole number, "
            "at least 0"
        )
    return int(found)


def run_effort(cell: Cell, times: int = 1) -> int:
    """Return how long a run of a cell takes, in steps; each of its plans counts so many times."""
    steps, chosen = run_length(cell), kind(cell)
    if not chosen.compiled:
        return PYTHON_STEPS * steps
    plans = min(rows(cell), steps // derived_m(process(cell), _compiled(cell), horizon=cell.horizon)) + 1
    return steps + _planning(cell, plans * times)


def _ledger_effort(cell: Cell) -> int:
    # The ledger evaluates what each plan plays, which takes about as long as to find it.
    return run_effort(cell, 2)


def _least_effort(cell: Cell) -> int:
    # A run of least-m plans once per row and takes a millisecond or more; m is doubled until it is enough.
    chosen = agent(cell)
    assert isinstance(chosen, Rmax)
    largest = derived_m(process(cell), replace(chosen, m=None), horizon=cell.horizon)
    return LEAST_RUNS * (100_000 + _planning(cell, rows(cell)) + rows(cell) * -(-largest // MUCH_LESS))


def _compiled(cell: Cell) -> Rmax | PaperRmax:
    """Return the agent of a cell, which has a schedule of m."""
    found = agent(cell)
    if isinstance(found, Rmax | PaperRmax):
        return found
    raise ValueError(f"agent is {cell.agent!r}, which has no schedule of m: give m, or steps for budget")


def _planning(cell: Cell, plans: int) -> int:
    """Return how long so many plans take, in steps: sweeps over all pairs until the values are exact enough."""
    game = meta_game(cell)
    products = game.n_states * game.n_actions * game.branching
    if kind(cell).episodic:
        sweeps = float(cell.horizon or 1)
    elif cell.discount == 0:
        sweeps = 1.0
    else:
        # From V_max to the agents' tolerance, a hundredth of epsilon lost at most; in logarithms, as it may be tiny.
        largest = max(abs(reward) for reward in (*process(cell).reward_range, 1e-300))
        span = math.log(largest) - math.log(cell.epsilon) - 2 * math.log1p(-cell.discount) + math.log(200)
        sweeps = max(1.0, span / -math.log(cell.discount))
    return plans * math.ceil(sweeps) * products // PRODUCTS


@cached(10_000)
def _run_length(cell: Cell) -> int:
    if cell.steps is not None:
        steps = cell.steps
    else:
        assert cell.budget is not None
        m = cell.m or getattr(agent(cell), "m", None) or derived_m(process(cell), _compiled(cell), horizon=cell.horizon)
        steps = cell.budget * int(m) * rows(cell)
    return steps if cell.horizon is None else -(-steps // cell.horizon) * cell.horizon


def peak_bytes(cell: Cell) -> int:
    """Return an upper estimate of all arrays of a cell at their largest, in Python integers; allocates nothing."""
    return _peak_bytes(cell.point)


@cached(10_000)
def _peak_bytes(cell: Cell) -> int:
    game = meta_game(cell)
    table = 0 if isinstance(game, WindowMetaGame) else game.size_estimate().needed
    return table + _asked(cell, "memory", measure_of(cell.measure).memory)


def run_memory(cell: Cell) -> int:
    """Return the bytes that a run of a cell takes, the table of a policy meta-game apart."""
    return run_bytes(as_environment(meta_game(cell), cell.horizon), _some_agent(cell))


def _ledger_memory(cell: Cell) -> int:
    return ledger_bytes(as_environment(meta_game(cell), cell.horizon), _some_agent(cell))


def _some_agent(cell: Cell) -> Agent:
    """Return the agent with some m, so that none is derived."""
    chosen = kind(cell)
    return chosen.make(1 if not is_own(cell.agent) else cell.m, cell.epsilon, cell.delta)


def _measure_run(cell: Cell, checkpoint: Checkpoint) -> dict[str, Any]:
    """Return the learning curve's summary, when all pairs were known, and the final reward."""
    played = process(cell)
    length = run_length(cell)
    episodes = None if cell.horizon is None else length // cell.horizon
    trace = run(
        played,
        agent(cell),
        steps=length if episodes is None else None,
        episodes=episodes,
        horizon=cell.horizon,
        bins=min(BINS, episodes or length),
        rng=np.random.SeedSequence(cell.root, spawn_key=cell.words),
        checkpoint=checkpoint,
    )
    bins = len(trace.bin_end)
    converged = convergence(trace.bin_end, trace.mean_reward, average=min(5, bins), final=FINAL_SHARE)
    final = trace.mean_reward[-max(1, round(FINAL_SHARE * bins)) :]
    return {
        "theorem": trace.coverage.theorem,
        "m": trace.m,
        "steps": trace.n_steps,
        "steps_all_known": trace.all_known_at,
        "episodes_all_known": _episodes(trace.all_known_at, cell.horizon),
        "steps_converged": converged,
        "final_reward": float(final.mean()),
        "plans": trace.plans,
        "progress": str(trace.progress),
        "curve": {
            "steps": trace.bin_end.tolist(),
            "reward": trace.mean_reward.tolist(),
            "known": trace.known.tolist(),
        },
    }


def _episodes(steps: int | None, horizon: int | None) -> int | None:
    return None if steps is None or horizon is None else -(-steps // horizon)


def _point(played: Played) -> dict[str, Any]:
    """Return the sizes that the bounds speak of; the range of rewards is an exact fraction, as text."""
    low, high = played.reward_range
    return {
        "n_states": played.n_states,
        "n_actions": played.n_actions,
        "branching": played.branching,
        "r_max": str(Fraction(repr(high)) - Fraction(repr(low))),
    }


def _measure_ledger(cell: Cell, checkpoint: Checkpoint) -> dict[str, Any]:
    """Return how many steps were not epsilon-optimal, the sum of e_t, and what the theorem promises of both."""
    played = process(cell)
    length = run_length(cell)
    episodes = None if cell.horizon is None else length // cell.horizon
    found = ledger(
        played,
        agent(cell),
        epsilon=cell.epsilon,
        delta=cell.delta,
        steps=length if episodes is None else None,
        episodes=episodes,
        horizon=cell.horizon,
        bins=1,
        rng=np.random.SeedSequence(cell.root, spawn_key=cell.words),
        checkpoint=checkpoint,
    )
    row = found.row()
    row["steps_all_known"] = row.pop("all_known_at")
    assert found.count is not None
    assert found.undecided is not None
    kept = {name: value for name, value in row.items() if name not in ("epsilon", "delta", "definition")}
    return {**kept, "count_most": found.count + found.undecided}


def _measure_least(cell: Cell, checkpoint: Checkpoint) -> dict[str, Any]:
    """Return where the least sufficient m lies, and the m that the theory asks for."""
    played = process(cell)
    found = least_sufficient_m(
        played,
        cell.epsilon,
        cell.delta,
        error=LEAST_ERROR,
        horizon=cell.horizon,
        pooled=cell.agent == "rmax-pooled",
        max_runs=LEAST_RUNS,
        jobs=1,
        rng=np.random.SeedSequence(cell.root, spawn_key=cell.words),
        checkpoint=checkpoint,
    )
    left = ("epsilon", "delta", "assumption", "theorem")
    return {name: value for name, value in found.row().items() if name not in left}


@dataclass(frozen=True)
class Quantity:
    """A number in a result that is fitted against the variables.

    Attributes
    ----------
    label : str
        What it is called.
    ends : (str, str), optional
        Where it is known as an interval: the names of its ends in the result, beside "error", the chance that the
        interval is wrong.
    """

    label: str
    ends: tuple[str, str] | None = None


def _no_contradiction(cell: Cell, result: Result) -> str:
    return ""


@dataclass(frozen=True, kw_only=True)
class Measure:
    """Something that a sweep can measure in a cell.

    One of your own is named in a spec as `module:name`: an object of this class in a module that can be imported.

    Attributes
    ----------
    run : callable
        (cell, checkpoint) -> the result, a dictionary of plain JSON values with exactly the names of `check`; the sizes
        of the meta-game are added to it. A short one need not look at the checkpoint; a long one hands it on (`run`).
        Randomness comes from ``numpy.random.SeedSequence(cell.root, spawn_key=cell.words)``.
    check : mapping of str to callable
        What it brings, each name with a check of its value (`rfos.laboratory.sweeps.results`).
    quantities : mapping of str to Quantity or str
        The numbers in it that are fitted, and what they are called.
    effort : callable
        cell -> about how long it takes, in steps of a run of 20 ns; default that of a run.
    memory : callable
        cell -> bytes that its arrays take; default those of a run.
    needs_mdp : bool
        Whether opponents may not hide their state.
    searches_m : bool
        Whether it looks for m itself, and its runs end by themselves.
    contradiction : callable
        (cell, result) -> why they cannot belong together, or nothing.

    Raises
    ------
    ValueError
        If a name is one that a table of cells has already, a quantity is nothing that is brought, or what is called is
        not a function.

    Examples
    --------
    >>> from rfos.laboratory.sweeps.results import number
    >>> mine = Measure(run=lambda cell, checkpoint: {"regret": 1.0}, check={"regret": number(0)},
    ...                quantities={"regret": "regret of the run"})
    >>> mine.quantities["regret"]
    Quantity(label='regret of the run', ends=None)
    """

    run: Callable[[Cell, Checkpoint], Result]
    check: Mapping[str, Check]
    quantities: Mapping[str, Quantity | str] = field(default_factory=dict)
    effort: Callable[[Cell], int] = run_effort
    memory: Callable[[Cell], int] = run_memory
    needs_mdp: bool = False
    searches_m: bool = False
    contradiction: Callable[[Cell, Result], str] = _no_contradiction

    def __post_init__(self) -> None:
        """Check the functions and the names."""
        for what in ("run", "effort", "memory", "contradiction"):
            if not callable(getattr(self, what)):
                raise ValueError(
                    f"{what} of a measure is {results.shown(getattr(self, what))}: give a function of a cell"
                )
        taken = {entry.name for entry in fields(Cell)} - {"m", "steps"} | {"key", *results.POINT_CHECKS}
        for name, check in self.check.items():
            if not isinstance(name, str) or (not name.isidentifier() and name not in ("m_T1+",)) or name in taken:
                raise ValueError(f"a result of a measure has {name!r}: choose a name that no column of a table has")
            if not callable(check):
                raise ValueError(f"the check of {name!r} is {check!r}: give a function, such as results.number(0)")
        for name, quantity in self.quantities.items():
            ends = quantity.ends if isinstance(quantity, Quantity) else None
            lacking = [end for end in (*(ends or (name,)), *(("error",) if ends else ())) if end not in self.check]
            if lacking:
                raise ValueError(f"quantity {name!r} of a measure needs {lacking[0]!r}: let run bring it, with a check")
        plain = {n: Quantity(q) if isinstance(q, str) else q for n, q in self.quantities.items()}
        object.__setattr__(self, "quantities", MappingProxyType(plain))
        object.__setattr__(self, "check", MappingProxyType(dict(self.check)))

    @property
    def fitted(self) -> Mapping[str, Quantity]:
        """The quantities, each as a record."""
        return {name: q for name, q in self.quantities.items() if isinstance(q, Quantity)}

    def fault(self, name: str, result: Mapping[str, Any]) -> str:
        """Return why a result is not what it brings, or nothing; `name` is what the measure is called."""
        return results.fault({**results.POINT_CHECKS, **self.check}, result, name)


def _ledger_contradiction(cell: Cell, result: Result) -> str:
    if result["count_most"] != result["count"] + result["undecided"]:
        return "count_most is not the sum of count and undecided"
    return ""


_COUNT, _COUNT_OR_NONE, _AMOUNT_OR_NONE = count(0), or_none(count(0)), or_none(number(0))

LEAST_M = "least_m"
"""Known as the interval from m_low to m_high."""

MEASURES: Mapping[str, Measure] = MappingProxyType(
    {
        "run": Measure(
            run=_measure_run,
            quantities={"steps_all_known": "steps until all pairs are known"},
            check={
                "progress": results.progress,
                "theorem": or_none(results.theorem),
                "m": or_none(count(1)),
                "steps": count(1),
                "steps_all_known": _COUNT_OR_NONE,
                "episodes_all_known": _COUNT_OR_NONE,
                "steps_converged": _COUNT_OR_NONE,
                "final_reward": number(),
                "plans": _COUNT,
                "curve": results.curve,
            },
        ),
        "ledger": Measure(
            run=_measure_ledger,
            effort=_ledger_effort,
            memory=_ledger_memory,
            needs_mdp=True,
            contradiction=_ledger_contradiction,
            quantities={
                "count_most": "steps that are not epsilon-optimal",
                "exploration_high": "sum of e_t",
            },
            check={
                "unit": lambda value: value in ("steps", "episodes"),
                "progress": results.progress,
                "theorem": or_none(results.theorem),
                "reason": words,
                "m": or_none(count(1)),
                "steps": count(1),
                "count": _COUNT,
                "undecided": _COUNT,
                "count_most": _COUNT,
                "bound": _AMOUNT_OR_NONE,
                "ratio": _AMOUNT_OR_NONE,
                "exploration_low": _AMOUNT_OR_NONE,
                "exploration_high": _AMOUNT_OR_NONE,
                "exploration_bound": _AMOUNT_OR_NONE,
                "exploration_ratio": _AMOUNT_OR_NONE,
                "final_loss_low": or_none(number()),
                "final_loss_high": or_none(number()),
                "final_is_optimal": or_none(flag),
                "evaluations": _COUNT,
                "steps_all_known": _COUNT_OR_NONE,
            },
        ),
        "least-m": Measure(
            run=_measure_least,
            effort=_least_effort,
            memory=_ledger_memory,
            needs_mdp=True,
            searches_m=True,
            quantities={LEAST_M: Quantity("least sufficient m", ("m_low", "m_high"))},
            check={
                "error": lambda value: number()(value) and 0 < value < 1,
                "m_low": count(1),
                "m_high": or_none(count(1)),
                "runs": _COUNT,
                "straddling": _COUNT,
                "cut": _COUNT,
                "comparisons": _COUNT,
                "m_paper": count(0, results.LARGEST_NUMBER),
                "m_T1": count(1, results.LARGEST_NUMBER),
                "m_T1+": count(1, results.LARGEST_NUMBER),
            },
        ),
    }
)
"""What can be measured in a cell; results are plain JSON values without NaN."""


def measure_of(name: str) -> Measure:
    """Return what a name measures; one of a user's own, `module:name`, is imported.

    Raises
    ------
    ValueError
        If it is no `Measure`, or calls a quantity as the package does.
    """
    if name in MEASURES:
        return MEASURES[name]
    found = own_part("measure", name)
    if not isinstance(found, Measure):
        raise ValueError(f"measure is {name!r}, which is {checks.described(found)}: name a Measure, of sweeps.measures")
    taken = {quantity for record in MEASURES.values() for quantity in record.quantities}
    for quantity in found.quantities:
        if quantity in taken:
            raise ValueError(
                f"measure {name!r} has the quantity {quantity!r}, as the package does: choose another name"
            )
    return found


def measure(cell: Cell, state: bytes | None = None, seconds: float = math.inf) -> Outcome:
    """Measure a cell from where it was left, for so long at most; an error is part of the outcome, in one line."""
    began = time.perf_counter()
    try:
        record = measure_of(cell.measure)
        found = {**_point(process(cell)), **record.run(cell, Checkpoint(seconds, state))}
        if is_own(cell.measure):
            wrong = record.fault(cell.measure, found) or record.contradiction(cell, found)
            if wrong:
                raise ValueError(wrong)
        result = canonical(found)
    except Unfinished as left:
        return Outcome(cell, None, None, time.perf_counter() - began, left.state)
    except MisfitError:
        return measure(cell, None, seconds)  # the bytes are those of a cell that was never left
    except (Exception, SystemExit) as error:  # a user's part may call sys.exit
        line = printable(f"{type(error).__name__}: {error}".replace("\n", " "))
        return Outcome(cell, None, line, time.perf_counter() - began)
    return Outcome(cell, result, None, time.perf_counter() - began)


def measure_all(tasks: tuple[Task, ...], seconds: float = math.inf) -> list[Outcome]:
    """Measure several cells, one after the other, each for so long at most: what a worker is sent."""
    return [measure(*task, seconds) for task in tasks]
