"""A cell: one measurement at one point with one seed. Its name, its random stream, its size, and its result.

A cell's *name* is its canonical JSON. Its random stream is SeedSequence(root, spawn_key = the eight words of the name's
SHA-256), so a seed depends on what is measured and on nothing else: not on the version of the code, the worker,
or the order. Its *key* in a store is the SHA-256 of the name and the code's fingerprint, so a result is found again
only by the code that would compute it.
"""

from __future__ import annotations

import functools
import hashlib
import json
import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields, replace
from fractions import Fraction
from types import MappingProxyType
from typing import Any, NamedTuple

import numpy as np

from rfos import opponents
from rfos._legs import Leg, MisfitError, Unfinished
from rfos.games import named_game
from rfos.learners import named_learner
from rfos.metagames import WindowMetaGame
from rfos.pac import convergence, least_sufficient_m, ledger, theory_m
from rfos.pac._ledger import ledger_bytes
from rfos.policy_metagames import PolicyMetaGame, even_grid, inner_game
from rfos.rmax import Agent, PaperRmax, Played, Rmax, derived_m, run, run_bytes

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

OPPONENTS: Mapping[str, Callable[[], opponents.QLearner | opponents.WindowOpponent]] = MappingProxyType(
    {
        "q-learner": opponents.QLearner,
        "window-q-learner": opponents.WindowQLearner,
        "window-best-response": opponents.WindowBestResponse,
        "tit-for-tat": opponents.tit_for_tat,
        "win-stay-lose-shift": opponents.win_stay_lose_shift,
        "grim": opponents.grim,
    }
)
"""Opponents of window meta-games; the first has a hidden state, the others make exact MDPs."""

AGENTS: Mapping[str, Callable[[int | None, float, float], Agent]] = MappingProxyType(
    {
        "rmax": lambda m, epsilon, delta: Rmax(m, epsilon, delta),
        "rmax-episode": lambda m, epsilon, delta: Rmax(m, epsilon, delta, planning="episode"),
        "rmax-pooled": lambda m, epsilon, delta: Rmax(m, epsilon, delta, pooled=True),
        "rmax-paper-m": lambda m, epsilon, delta: Rmax(m, epsilon, delta),
        "paper": lambda m, epsilon, delta: PaperRmax(epsilon, delta, m=m),
    }
)
"""Agents by name, given m (None: derived), epsilon and delta; "rmax-paper-m" is R-max, m of the paper's schedule."""


@dataclass(frozen=True, kw_only=True)
class Cell:
    """One measurement at one point with one seed; what does not apply is None.

    Attributes
    ----------
    measure : str
        One of `MEASURES`.
    game : str
        A named game, or "public-goods-N" for N players; with levels also "ipd" or "imp". Rewards are the game's own.
    opponent : str
        One of `OPPONENTS` with a window, of `rfos.learners.NAMED_LEARNERS` with levels.
    agent : str
        One of `AGENTS`.
    epsilon, delta, discount : float
        Accuracy in units of the game's rewards, failure probability, meta discount.
    root, seed : int
        Root of the sweep's random streams, number of the repetition.
    window : int or None
        Joint actions remembered: Case II.
    levels : int or None
        Levels per probability of each policy: Case I, rounded barycentrically.
    inner_discount : float or None
        Of the inner game, with levels; 0 is one-shot.
    horizon : int or None
        Steps per episode; None: no restarts.
    m : int or None
        Visits that make a pair known; None: derived from epsilon and delta.
    steps, budget : int or None
        Length of the run, in steps or in multiples of m times the rows that are counted; none for "least-m".

    Examples
    --------
    >>> cell = Cell(measure="run", game="matching-pennies", opponent="window-q-learner", agent="rmax", epsilon=0.8,
    ...             delta=0.2, discount=0.8, root=0, seed=1, window=2, steps=1000)
    >>> cell.name
    '{"agent":"rmax","delta":0.2,"discount":0.8,...,"steps":1000,"window":2}'
    >>> len(cell.words), len(cell.key("version"))
    (8, 64)
    """

    measure: str
    game: str
    opponent: str
    agent: str
    epsilon: float
    delta: float
    discount: float
    root: int
    seed: int
    window: int | None = None
    levels: int | None = None
    inner_discount: float | None = None
    horizon: int | None = None
    m: int | None = None
    steps: int | None = None
    budget: int | None = None

    @functools.cached_property
    def name(self) -> str:
        """The cell's canonical JSON: what applies, in alphabetic order."""
        values = {field.name: getattr(self, field.name) for field in fields(self)}
        return canonical({key: value for key, value in values.items() if value is not None}).decode()

    @functools.cached_property
    def point(self) -> Cell:
        """The first repetition: what does not depend on the seed is computed for it once."""
        return _same(replace(self, seed=0))

    @property
    def words(self) -> tuple[int, ...]:
        """Eight 32-bit words, the SHA-256 of the name: the spawn key of the cell's random stream."""
        return tuple(int(word) for word in np.frombuffer(hashlib.sha256(self.name.encode()).digest(), ">u4"))

    def key(self, code: str) -> str:
        """Return the cell's key in a store of results of a version of the code: 64 hexadecimal digits."""
        return hashlib.sha256(f"{self.name}\n{code}".encode()).hexdigest()


@functools.lru_cache(maxsize=10_000)
def _same(cell: Cell) -> Cell:
    """Return the first of all equal cells, so that what a point keeps is kept once."""
    return cell


class Outcome(NamedTuple):
    """What came of a cell, and the seconds that it took.

    That is a result (canonical JSON), the error that ended it, or where it was left, to be taken up again.
    """

    cell: Cell
    result: bytes | None
    error: str | None
    seconds: float
    state: bytes | None = None


DIED = "WorkerDied: the process that measured it was killed, or ran out of memory"
"""The error of a cell that ended its worker."""

UNRELATED = ("WorkerDied", "MemoryError")
"""Errors that come of the machine and not of the cell: they say nothing against a result."""


class Task(NamedTuple):
    """A cell to be measured, and where it was left; None: from its beginning."""

    cell: Cell
    state: bytes | None = None


def printable(text: str) -> str:
    """Return a text on one line, with what a terminal would obey written as in Python.

    Examples
    --------
    >>> print(printable("a" + chr(27) + "[2J"))
    a\\x1b[2J
    """
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def canonical(value: Any) -> bytes:
    """Return a value as JSON in the one form that the same value always takes."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False).encode()


# Cells of one process follow each other, so that one is enough; more would have to be counted as memory.
@functools.lru_cache(maxsize=1)
def _meta_game(
    game: str,
    opponent: str,
    window: int | None,
    levels: int | None,
    inner_discount: float | None,
    discount: float,
    horizon: int | None,
) -> WindowMetaGame | PolicyMetaGame:
    if window is not None:
        return WindowMetaGame(named_game(game), OPPONENTS[opponent](), window, discount, horizon)
    assert levels is not None
    inner = inner_game(game, inner_discount or 0.0)
    learners = [named_learner(opponent)] * (inner.n_players - 1)
    return PolicyMetaGame(inner, learners, [even_grid(inner, i, levels) for i in range(inner.n_players)], discount)


def meta_game(cell: Cell) -> WindowMetaGame | PolicyMetaGame:
    """Return the meta-game of a cell; nothing large is allocated.

    Raises
    ------
    ValueError
        If a part is out of range or unknown; the message names it.
    """
    chosen = (cell.game, cell.opponent, cell.window, cell.levels, cell.inner_discount, cell.discount, cell.horizon)
    return _meta_game(*chosen)


@functools.lru_cache(maxsize=1)
def _as_mdp(game: PolicyMetaGame) -> Played:
    return game.to_mdp()


def process(cell: Cell) -> Played:
    """Return what the agent of a cell plays in: the window meta-game itself, or the MDP of the policy meta-game."""
    game = meta_game(cell)
    return game if isinstance(game, WindowMetaGame) else _as_mdp(game)


def agent(cell: Cell) -> Agent:
    """Return the agent of a cell."""
    m = cell.m
    if cell.agent == "rmax-paper-m" and m is None:
        m = theory_m(process(cell), Rmax(epsilon=cell.epsilon, delta=cell.delta), horizon=cell.horizon)["paper"]
    return AGENTS[cell.agent](m, cell.epsilon, cell.delta)


def rows(cell: Cell) -> int:
    """Return how many counts the agent keeps: meta-states where it pools them over actions, else pairs."""
    game = meta_game(cell)
    return game.n_states * (1 if cell.agent == "rmax-pooled" else game.n_actions)


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
    return table + (run_bytes if cell.measure == "run" else ledger_bytes)(game, some, cell.horizon)


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
