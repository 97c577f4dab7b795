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
from collections.abc import Iterable
from dataclasses import dataclass, fields, replace
from typing import Any, NamedTuple

import numpy as np

from rfos.laboratory.sweeps.modules import cached
from rfos.laboratory.sweeps.parts import AgentKind, game_of, inner_game_of, is_own, kind_of, learner_of, opponent_of
from rfos.learning.agents import Rmax
from rfos.learning.coverage import theory_m
from rfos.learning.environment import Played
from rfos.learning.player import Agent
from rfos.metagames.policy import PolicyMetaGame
from rfos.metagames.sizes import even_grid
from rfos.metagames.window import WindowMetaGame


@dataclass(frozen=True, kw_only=True)
class Cell:
    """One measurement at one point with one seed; what does not apply is None.

    Attributes
    ----------
    measure : str
        One of `MEASURES`, or "module:name".
    game : str
        A named game, or "public-goods-N" for N players; with levels also "ipd" or "imp"; or "module:name". Rewards are
        the game's own.
    opponent : str
        One of `OPPONENTS` with a window, a named learner with levels; or "module:name".
    agent : str
        One of `AGENT_KINDS`, or "module:name".
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
@cached(1)
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
        return WindowMetaGame(game_of(game), opponent_of(opponent), window, discount, horizon)
    assert levels is not None
    inner = inner_game_of(game, inner_discount or 0.0)
    learners = [learner_of(opponent)] * (inner.n_players - 1)
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


def kind(cell: Cell) -> AgentKind:
    """Return what kind of agent a cell has."""
    return kind_of(cell.agent, cell.epsilon, cell.delta, cell.m)


def agent(cell: Cell) -> Agent:
    """Return the agent of a cell."""
    m, chosen = cell.m, kind(cell)
    if m is None and chosen.paper_schedule and not chosen.softmax:
        m = theory_m(process(cell), Rmax(epsilon=cell.epsilon, delta=cell.delta), horizon=cell.horizon)["paper"]
    return chosen.make(m, cell.epsilon, cell.delta)


def rows(cell: Cell) -> int:
    """Return how many counts the agent keeps: meta-states where it pools them over actions, else pairs."""
    game = meta_game(cell)
    return game.n_states * (1 if kind(cell).pooled else game.n_actions)


def own_parts(cell: Cell) -> tuple[str, ...]:
    """Return the names of a user's own parts of a cell, `module:name`."""
    return tuple(name for name in (cell.measure, cell.game, cell.opponent, cell.agent) if is_own(name))


def own_modules(cells: Iterable[Cell]) -> tuple[str, ...]:
    """Return the modules of a user's own that cells name, in alphabetic order; nothing is imported."""
    return tuple(sorted({name.partition(":")[0] for cell in cells for name in own_parts(cell)}))
