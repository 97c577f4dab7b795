"""What can be measured of a cell, and what that costs."""

from __future__ import annotations

import functools
import math
import time
from collections.abc import Callable, Mapping
from fractions import Fraction
from types import MappingProxyType
from typing import Any

import numpy as np

from rfos._system.checkpoints import Leg, MisfitError, Unfinished
from rfos.laboratory.sweeps.cells import (
    AGENTS,
    Cell,
    Outcome,
    Task,
    agent,
    canonical,
    meta_game,
    printable,
    process,
    rows,
)
from rfos.learning.agents import Rmax
from rfos.learning.convergence import convergence
from rfos.learning.coverage import derived_m, theory_m
from rfos.learning.environment import Played, as_environment
from rfos.learning.least_m import least_sufficient_m
from rfos.learning.ledger import ledger, ledger_bytes
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


def run_length(cell: Cell) -> int:
    """Return the steps of a cell's run, whole episodes where there are any."""
    return _run_length(cell.point)


def effort(cell: Cell) -> int:
    """Return about how long a cell takes at most, in steps of a run (some 20 ns each)."""
    return _effort(cell.point)


@functools.lru_cache(maxsize=10_000)
def _effort(cell: Cell) -> int:
    if cell.measure != "least-m":
        steps = run_length(cell)
        plans = min(rows(cell), steps // derived_m(process(cell), agent(cell), horizon=cell.horizon)) + 1
        # The ledger evaluates what each plan plays, which takes about as long as to find it.
        return steps + _planning(cell, plans * (2 if cell.measure == "ledger" else 1))
    # A run of least-m plans once per row and takes a millisecond or more; m is doubled until it is enough.
    chosen = agent(cell)
    assert isinstance(chosen, Rmax)
    largest = theory_m(process(cell), chosen, horizon=cell.horizon)["T1"]
    return LEAST_RUNS * (100_000 + _planning(cell, rows(cell)) + rows(cell) * -(-largest // MUCH_LESS))


def _planning(cell: Cell, plans: int) -> int:
    """Return how long so many plans take, in steps: sweeps over all pairs until the values are exact enough."""
    game = meta_game(cell)
    products = game.n_states * game.n_actions * game.branching
    if cell.agent == "rmax-episode":
        sweeps = float(cell.horizon or 1)
    elif cell.discount == 0:
        sweeps = 1.0
    else:
        # From V_max to the agents' tolerance, a hundredth of epsilon lost at most; in logarithms, as it may be tiny.
        largest = max(abs(reward) for reward in (*process(cell).reward_range, 1e-300))
        span = math.log(largest) - math.log(cell.epsilon) - 2 * math.log1p(-cell.discount) + math.log(200)
        sweeps = max(1.0, span / -math.log(cell.discount))
    return plans * math.ceil(sweeps) * products // PRODUCTS


@functools.lru_cache(maxsize=10_000)
def _run_length(cell: Cell) -> int:
    if cell.steps is not None:
        steps = cell.steps
    else:
        assert cell.budget is not None
        steps = cell.budget * derived_m(process(cell), agent(cell), horizon=cell.horizon) * rows(cell)
    return steps if cell.horizon is None else -(-steps // cell.horizon) * cell.horizon


def peak_bytes(cell: Cell) -> int:
    """Return an upper estimate of all arrays of a cell at their largest, in Python integers; allocates nothing."""
    return _peak_bytes(cell.point)


@functools.lru_cache(maxsize=10_000)
def _peak_bytes(cell: Cell) -> int:
    game, some = meta_game(cell), AGENTS[cell.agent](1, cell.epsilon, cell.delta)
    table = 0 if isinstance(game, WindowMetaGame) else game.size_estimate().needed
    return table + (run_bytes if cell.measure == "run" else ledger_bytes)(as_environment(game, cell.horizon), some)


def _measure_run(cell: Cell, leg: Leg) -> dict[str, Any]:
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
        leg=leg,
    )
    bins = len(trace.bin_end)
    converged = convergence(trace.bin_end, trace.mean_reward, average=min(5, bins), final=FINAL_SHARE)
    final = trace.mean_reward[-max(1, round(FINAL_SHARE * bins)) :]
    return {
        **_point(played),
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


def _measure_ledger(cell: Cell, leg: Leg) -> dict[str, Any]:
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
        leg=leg,
    )
    row = found.row()
    row["steps_all_known"] = row.pop("all_known_at")
    assert found.count is not None
    assert found.undecided is not None
    kept = {name: value for name, value in row.items() if name not in ("epsilon", "delta", "definition")}
    return {**_point(played), **kept, "count_most": found.count + found.undecided}


def _measure_least(cell: Cell, leg: Leg) -> dict[str, Any]:
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
        leg=leg,
    )
    kept = {name: value for name, value in found.row().items() if name not in ("epsilon", "delta", "assumption")}
    return {**_point(played), **kept}


MEASURES: Mapping[str, Callable[[Cell, Leg], dict[str, Any]]] = MappingProxyType(
    {"run": _measure_run, "ledger": _measure_ledger, "least-m": _measure_least}
)
"""What can be measured in a cell; each returns plain JSON values without NaN."""


def measure(cell: Cell, state: bytes | None = None, seconds: float = math.inf) -> Outcome:
    """Measure a cell from where it was left, for so long at most; an error is part of the outcome, in one line."""
    began = time.perf_counter()
    try:
        result = canonical(MEASURES[cell.measure](cell, Leg(seconds, state)))
    except Unfinished as left:
        return Outcome(cell, None, None, time.perf_counter() - began, left.state)
    except MisfitError:
        return measure(cell, None, seconds)  # the bytes are those of a cell that was never left
    except Exception as error:
        line = printable(f"{type(error).__name__}: {error}".replace("\n", " "))
        return Outcome(cell, None, line, time.perf_counter() - began)
    return Outcome(cell, result, None, time.perf_counter() - began)


def measure_all(tasks: tuple[Task, ...], seconds: float = math.inf) -> list[Outcome]:
    """Measure several cells, one after the other, each for so long at most: what a worker is sent."""
    return [measure(*task, seconds) for task in tasks]
