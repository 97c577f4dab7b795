"""What a window hides of the opponents' state: X6's kappa and A_kappa."""

from __future__ import annotations

import functools
import itertools
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

import numpy as np
from scipy import stats

import bounds.simulation
from rfos._kernels.rmax import Learners
from rfos._system import checks
from rfos._system.arrays import Bool, Float, Int
from rfos._system.display import page
from rfos._system.memory import BLOCK_ROWS, require_memory
from rfos._system.randomness import Seed, seed_sequence
from rfos.metagames.hidden import JointAutomaton
from rfos.metagames.policy import PolicyMetaGame
from rfos.metagames.window import WindowMetaGame
from rfos.planning.mdp import TabularMDP

if TYPE_CHECKING:
    import pandas as pd

HISTORIES = 200_000
"""Different hidden states of windows that are listed before the list is given up as not finite."""

MATRIX = 10**6
"""Largest number of pairs of laws that are compared."""

EXACTLY = 10_000
"""Most pairs of laws whose distance floats cannot tell from the largest that are compared in rationals."""

BATCHES, CHAINS, STEPS = 32, 32, 300
"""Simulated play: independent batches of chains, and steps of each."""


@dataclass(frozen=True)
class Aliasing:
    """How far apart the opponents' laws are that one window may stand for.

    Attributes
    ----------
    kappa : tuple of float
        Certain lower and upper end of the largest total variation between two laws of the opponents' next joint action
        after histories that end in the same window (X6). The lower one is attained by histories that were found.
        Rounded outwards: where it is no float the ends are the two floats next to it.
    is_exact : bool
        Whether the ends are equal but for rounding, or every hidden state that can occur was listed.
    loss : tuple of float
        A_kappa at both ends, in units of value, rounded outwards.
    v_max : float
        Largest difference of values that there can be.
    windows : int
        Windows that two histories of at least h steps since the last restart were found for, with laws kappa apart.
    n_windows : int
        Windows in all.
    histories : int
        Different hidden states that were listed, each with its window; of learners with its step in the episode too.
    typical : tuple of float
        Mean total variation between the law in force and the mean law of its window, when the shaper plays at random:
        estimate and 95 % interval, simulated. What a window hides on average, where kappa is the worst case.
    """

    kappa: tuple[float, float]
    is_exact: bool
    loss: tuple[float, float]
    v_max: float
    windows: int
    n_windows: int
    histories: int
    typical: tuple[float, float, float]

    @property
    def is_vacuous(self) -> bool:
        """Whether epsilon + 2 A_kappa is more than any policy can lose, whatever epsilon is."""
        return 2 * self.loss[0] >= self.v_max > 0

    def row(self) -> dict[str, Any]:
        """Return the result as a dictionary of plain numbers and words."""
        return {
            "kappa_low": self.kappa[0],
            "kappa_high": self.kappa[1],
            "is_exact": self.is_exact,
            "loss_low": self.loss[0],
            "loss_high": self.loss[1],
            "v_max": self.v_max,
            "is_vacuous": self.is_vacuous,
            "windows": self.windows,
            "n_windows": self.n_windows,
            "histories": self.histories,
            "typical": self.typical[0],
            "typical_low": self.typical[1],
            "typical_high": self.typical[2],
        }

    def to_frame(self) -> pd.DataFrame:
        """Return the result as a table of one row, with the columns of `row`."""
        import pandas as pd

        return pd.DataFrame([self.row()])

    def _repr_html_(self) -> str:
        """Return what was found in a line and the table, for a notebook."""
        low, high = self.kappa
        line = f"<Aliasing of {self.windows} of {self.n_windows} windows: kappa from {low:g} to {high:g}>"
        return page(line, self.to_frame())


class _Laws(NamedTuple):
    """The laws that the opponents' next joint action can have."""

    table: Float  # (laws, B)
    distance: Float  # (laws, laws) total variation
    exact: Callable[[int], list[Fraction]]  # from the number of a law to the law

    @property
    def slack(self) -> float:
        """What a distance is off by at most: probabilities are products, and those of all replies are added up."""
        return float((self.table.shape[1] + 100) * 2.0**-52)

    def farthest(self, pairs: Bool) -> tuple[Fraction, Fraction]:
        """Return both ends of the largest distance of some pairs, which are equal but for very many of them."""
        top = float(self.distance.max(where=pairs, initial=0.0))
        first, second = np.nonzero(np.triu(pairs & (self.distance >= top - 2 * self.slack), 1))
        law = functools.lru_cache(maxsize=None)(self.exact)
        most = Fraction(0)
        for i, j in zip(first[:EXACTLY].tolist(), second[:EXACTLY].tolist(), strict=True):
            most = max(most, sum((abs(p - q) for p, q in zip(law(i), law(j), strict=True)), Fraction(0)) / 2)
        if len(first) <= EXACTLY:
            return most, most
        return most, min(Fraction(1), Fraction(top) + Fraction(self.slack))


def _compared(table: Float, exact: Callable[[int], list[Fraction]]) -> _Laws:
    """Return laws and how far apart they are, found for one law at a time."""
    require_memory(32 * len(table) ** 2, f"the distances of {len(table):,} laws", "take fewer or smaller opponents")
    distance = np.empty((len(table), len(table)))
    for i, law in enumerate(table):
        distance[i] = np.abs(table - law).sum(axis=1) / 2
    return _Laws(table, distance, exact)


def _outwards(low: Fraction, high: Fraction) -> tuple[float, float]:
    """Return the largest float that is at most `low`, and the smallest that is at least `high`."""
    below, above = float(low), float(high)
    below = below if Fraction(below) <= low else math.nextafter(below, -math.inf)
    return below, above if Fraction(above) >= high else math.nextafter(above, math.inf)


def _refuse_many(count: int) -> None:
    """Raise ValueError if there are too many laws to compare."""
    if count**2 > MATRIX:
        raise ValueError(f"{count} laws of the opponents are too many to compare: take fewer or smaller opponents")


class _Hidden(Protocol):
    """What opponents have in mind, for many histories at once: rows of an array."""

    laws: _Laws

    def first(self, count: int) -> Any:
        """Return what they start a run with."""

    def law(self, minds: Any) -> Int:
        """Return the number of the law that each mind plays by."""

    def learn(self, minds: Any, a: Int, b: Int) -> Any:
        """Return the minds after the joint actions (a, b)."""

    def restarted(self, minds: Any) -> Any:
        """Return the minds with which the next episode begins."""


class _Values:
    """The values of epsilon-greedy learners, minds of shape (N, L, A)."""

    def __init__(self, learners: Learners) -> None:
        """List the laws: one for each choice of best actions of each learner."""
        self.learners = learners
        sizes = learners.n_actions.tolist()
        codes = list(itertools.product(*(range(1, 2**n) for n in sizes)))
        _refuse_many(len(codes))
        table = []
        for code in codes:
            law = np.ones(learners.digit.shape[1])
            for i, (best, n) in enumerate(zip(code, sizes, strict=True)):
                greedy = np.array([best >> j & 1 for j in range(n)], np.float64)
                own = learners.exploration[i] / n + (1.0 - learners.exploration[i]) * greedy / greedy.sum()
                law *= own[learners.digit[i]]
            table.append(law)
        self.codes = codes
        self.laws = _compared(np.array(table), self.exactly)
        self.numbers = np.full([2**n for n in sizes], -1)  # law of a code of best actions, -1 where there is none
        self.numbers[tuple(np.array(codes).T)] = np.arange(len(codes))

    def exactly(self, number: int) -> list[Fraction]:
        """Return a law in rationals; exploration is the decimal that it prints as."""
        learners, law = self.learners, [Fraction(1)] * self.learners.digit.shape[1]
        for i, best in enumerate(self.codes[number]):
            n, exploration = int(learners.n_actions[i]), Fraction(repr(float(learners.exploration[i])))
            greedy = (1 - exploration) / best.bit_count()
            own = [exploration / n + greedy * (best >> j & 1) for j in range(n)]
            law = [p * own[j] for p, j in zip(law, learners.digit[i].tolist(), strict=True)]
        return law

    def first(self, count: int) -> Float:
        """Return their initial values."""
        return np.array([self.learners.initial] * count)

    def law(self, minds: Float) -> Int:
        """Return the law of each mind."""
        code = []
        for i, n in enumerate(self.learners.n_actions.tolist()):
            own = minds[:, i, :n]
            best = own == own.max(axis=1, keepdims=True)
            code.append(best @ 2 ** np.arange(n))
        found: Int = self.numbers[tuple(code)]
        return found

    def learn(self, minds: Float, a: Int, b: Int) -> Float:
        """Return the values after the joint actions (a, b), as the simulation computes them."""
        learners, after = self.learners, minds.copy()
        here = np.arange(len(minds))
        for i in range(minds.shape[1]):
            j = learners.digit[i, b]
            gain = learners.rate[i] * learners.reward[i, a, b]
            after[here, i, j] = (1.0 - learners.rate[i]) * minds[here, i, j] + gain
        return after

    def restarted(self, minds: Float) -> Float:
        """Return the values with which the next episode begins."""
        after = minds.copy()
        after[:, self.learners.reset] = self.learners.initial[self.learners.reset]
        return after


class _Finite:
    """The state of an automaton, minds of shape (N,)."""

    def __init__(self, hidden: JointAutomaton) -> None:
        """List the laws: states that play alike share one."""
        self.hidden = hidden
        table, numbers = np.unique(hidden.play, axis=0, return_inverse=True)
        _refuse_many(len(table))
        self.numbers = numbers.reshape(-1)
        self.laws = _compared(table, lambda number: [Fraction(p) for p in table[number].tolist()])

    def first(self, count: int) -> Int:
        """Return the start."""
        return np.full(count, self.hidden.start)

    def law(self, minds: Int) -> Int:
        """Return the law of each state."""
        found: Int = self.numbers[minds]
        return found

    def learn(self, minds: Int, a: Int, b: Int) -> Int:
        """Return the next states."""
        found: Int = self.hidden.following[minds, a * self.hidden.play.shape[1] + b]
        return found

    def restarted(self, minds: Int) -> Int:
        """Return the start."""
        return self.first(len(minds))


class _States(NamedTuple):
    """Hidden states that a history can end in."""

    clock: Int  # (N,) step within the episode; without restarts steps played, the window's length at most
    window: Int  # (N,)
    minds: Any  # (N, ...)

    def keys(self) -> Iterator[bytes]:
        """Yield what tells one from another."""
        rows = np.column_stack([self.clock, self.window, self.minds.reshape(len(self.minds), -1)])
        return (row.tobytes() for row in rows)

    def only(self, chosen: Any) -> _States:
        return _States(self.clock[chosen], self.window[chosen], self.minds[chosen])


def _require(n_states: int, size: int, laws: int = 0) -> None:
    """Raise MemoryError unless so many minds of `size` numbers fit, and where `laws` are given those of windows."""
    # A state as it is drawn up, chosen from and written down as a key. What is met of each law, and its visits, twice.
    each = 6 * (16 + 8 * size) + 50 + laws * (16 * BATCHES + 48)
    require_memory(n_states * each, f"the list of {n_states:,} hidden states", "choose a smaller window")


class _Game:
    """A window game with hidden opponents, one step at a time for many states at once."""

    def __init__(self, meta_game: WindowMetaGame, hidden: _Hidden) -> None:
        self.horizon, self.window = meta_game.horizon, meta_game.window
        self.n_states, self.n_actions, self.branching = meta_game.n_states, meta_game.n_actions, meta_game.branching
        self.hidden, self.size = hidden, hidden.first(1).size
        self.shifted, self.offset = meta_game.index.shifted().astype(np.int64), meta_game.index.offset()

    def start(self) -> _States:
        """Return the states in which a run may begin."""
        n = self.n_states
        return _States(np.zeros(n, np.int64), np.arange(n), self.hidden.first(n))

    def step(self, states: _States, a: Int, b: Int) -> _States:
        """Return the states after the joint actions, before a restart."""
        window = self.shifted[states.window] + self.offset[a, b]
        minds = self.hidden.learn(states.minds, a, b)
        clock = states.clock + 1
        return _States(np.minimum(clock, self.window) if self.horizon is None else clock, window, minds)

    def successors(self, states: _States, listed: int) -> _States:
        """Return all states that may come next, beside those that are `listed` already."""
        count = len(states.window)
        joint = self.n_actions * self.branching
        _require(listed + count * joint, self.size)
        a, b = (np.tile(x, count) for x in np.divmod(np.arange(joint), self.branching))
        after = self.step(states.only(np.repeat(np.arange(count), joint)), a, b)
        if self.horizon is None:
            return after
        ends = after.clock == self.horizon
        kept = np.unique(self.hidden.restarted(after.minds[ends]), axis=0) if ends.any() else after.minds[ends]
        _require(listed + len(after.window) + len(kept) * self.n_states, self.size)
        fresh = _States(
            np.zeros(len(kept) * self.n_states, np.int64),
            np.tile(np.arange(self.n_states), len(kept)),
            np.repeat(kept, self.n_states, axis=0),
        )
        rest = after.only(~ends)
        return _States(*(np.concatenate(parts) for parts in zip(rest, fresh, strict=True)))

    def is_settled(self, states: _States) -> Bool:
        """Whether the window is what was played."""
        return states.clock >= self.window


def _listed(game: _Game, met: Bool) -> tuple[int, bool]:
    """List hidden states breadth first, note their laws in `met` (2, S, laws); return how many, and whether all."""
    seen: set[bytes] = set()
    frontier = game.start()
    while len(frontier.window):
        fresh = []
        for i, key in enumerate(frontier.keys()):
            if key not in seen:
                seen.add(key)
                fresh.append(i)
        frontier = frontier.only(fresh)
        law = game.hidden.law(frontier.minds)
        met[0, frontier.window, law] = True
        settled = game.is_settled(frontier)
        met[1, frontier.window[settled], law[settled]] = True
        if len(seen) > HISTORIES:
            return len(seen), False
        frontier = game.successors(frontier, len(seen))
    return len(seen), True


def _reached(meta_game: WindowMetaGame, opponents: _Finite, met: Bool) -> int:
    """Note the laws of all pairs of a window and a state that histories end in; return how many pairs there are.

    Pairs number S * X, and every episode begins in the same ones: those that lie within horizon - 1 steps of them are
    all there are. Replies of probability 0 lead nowhere.
    """
    hidden, law = opponents.hidden, opponents.numbers
    n_hidden, joint = hidden.n_states, meta_game.n_actions * meta_game.branching
    pairs = meta_game.n_states * n_hidden
    needed = 28 * pairs + 40 * joint * min(pairs, BLOCK_ROWS)
    require_memory(needed, f"the list of {pairs:,} hidden states", "choose a smaller window")
    shifted, offset = meta_game.index.shifted().astype(np.int64), meta_game.index.offset().reshape(-1)
    possible = np.tile(hidden.play > 0, meta_game.n_actions)  # (X, A*B)

    def onward(found: Int) -> Int:
        mark = np.zeros(pairs, np.bool_)
        for first in range(0, len(found), BLOCK_ROWS):
            window, x = np.divmod(found[first : first + BLOCK_ROWS], n_hidden)
            row, column = np.nonzero(possible[x])
            mark[(shifted[window[row]] + offset[column]) * n_hidden + hidden.following[x[row], column]] = True
        return np.flatnonzero(mark)

    def spread(first: Int, depth: float) -> Bool:
        seen = np.zeros(pairs, np.bool_)
        seen[first] = True
        while len(first) and depth > 0:
            first = onward(first)
            first = first[~seen[first]]
            seen[first] = True
            depth -= 1
        return seen

    horizon = float("inf") if meta_game.horizon is None else meta_game.horizon
    start = np.arange(meta_game.n_states) * n_hidden + hidden.start
    every = spread(start, horizon - 1)
    settled, steps = start, 0
    while steps < min(meta_game.window, horizon):
        settled, steps = onward(settled), steps + 1
    late = spread(settled, horizon - 1 - steps) if steps < horizon else np.zeros(pairs, np.bool_)
    for part, found in zip(met, (every, late), strict=True):
        window, x = np.divmod(np.flatnonzero(found), n_hidden)
        part[window, law[x]] = True
    return int(np.count_nonzero(every))


def _simulated(game: _Game, rng: np.random.Generator, met: Bool) -> tuple[float, float, float]:
    """Play at random, note the laws in `met`, and return how far they are from the mean law of their window."""
    count = BATCHES * CHAINS
    laws = game.hidden.laws
    states = game.start().only(rng.integers(game.n_states, size=count))
    cumulative = np.cumsum(laws.table, axis=1)
    visits = np.zeros((BATCHES, game.n_states, len(laws.table)))
    batch = np.repeat(np.arange(BATCHES), CHAINS)
    for _ in range(STEPS):
        law = game.hidden.law(states.minds)
        np.add.at(visits, (batch, states.window, law), 1.0)
        settled = game.is_settled(states)
        met[0, states.window, law] = True
        met[1, states.window[settled], law[settled]] = True
        a = rng.integers(game.n_actions, size=count)
        b = (rng.random((count, 1)) >= cumulative[law, :-1]).sum(axis=1)
        states = game.step(states, a, b)
        if game.horizon is not None and states.clock[0] == game.horizon:
            minds = game.hidden.restarted(states.minds)
            states = _States(np.zeros(count, np.int64), rng.integers(game.n_states, size=count), minds)
    weights = visits.sum(axis=0)
    mean = weights @ laws.table / np.maximum(weights.sum(axis=1, keepdims=True), 1.0)
    apart = np.abs(laws.table[None] - mean[:, None]).sum(axis=2) / 2
    each = (visits * apart).sum(axis=(1, 2)) / visits.sum(axis=(1, 2))
    estimate = float(each.mean())
    half = float(stats.t.ppf(0.975, BATCHES - 1) * each.std(ddof=1) / BATCHES**0.5)
    return estimate, max(0.0, estimate - half), min(1.0, estimate + half)


def aliasing(meta_game: WindowMetaGame, *, rng: Seed = 0) -> Aliasing:
    """Return how much the windows of a meta-game hide: X6's kappa and A_kappa.

    The laws of epsilon-greedy learners are known given their values, so that any two histories that are found prove a
    lower end; the upper end is the largest distance of any two laws that such learners can have. Histories are listed
    breadth first, restarts included, until no new hidden state comes (then kappa is exact) or there are too many, and
    simulated under random play. Opponents with a hidden state among finitely many end in finitely many pairs of window
    and state, so that kappa is exact; only replies that have a probability above 0 count.

    Parameters
    ----------
    meta_game : WindowMetaGame
        With opponents that have a hidden state; where they are functions of the window kappa is 0.
    rng : int, SeedSequence or Generator, optional
        For the simulation.

    Returns
    -------
    Aliasing

    Raises
    ------
    TypeError
        If it is no window meta-game: what is an MDP hides nothing.
    ValueError
        If the opponents have too many different laws.
    MemoryError
        If the hidden states of all windows do not fit this machine.

    Examples
    --------
    The paper's opponent: with probability .9 it plays its better action, and either may be the better one in most
    windows. A_kappa = .9/(.2·.92) = 4.89 of at most 5 says nothing.

    >>> from rfos.games.named import matching_pennies
    >>> from rfos.metagames.opponents import QLearner
    >>> found = aliasing(WindowMetaGame(matching_pennies(), QLearner(), window=2, discount=0.8))
    >>> tuple(round(k, 12) for k in found.kappa), found.is_exact, round(found.loss[0], 2), found.is_vacuous
    ((0.9, 0.9), True, 4.89, True)
    >>> found.windows, found.n_windows
    (12, 16)

    Tit for two tats without restarts, and a shaper who sees the last two steps: the window shows what it does, but for
    those at the beginning, which were not played.

    >>> from rfos.games.named import prisoners_dilemma
    >>> from rfos.metagames.automata import tit_for_two_tats
    >>> found = aliasing(WindowMetaGame(prisoners_dilemma(), tit_for_two_tats(), window=2, discount=0.8))
    >>> found.kappa, found.is_exact, found.windows
    ((1.0, 1.0), True, 0)
    """
    if isinstance(meta_game, PolicyMetaGame | TabularMDP):
        raise checks.WrongKindError(f"{checks.described(meta_game)} hides nothing: give a WindowMetaGame")
    checks.kind("meta_game", meta_game, WindowMetaGame)
    low, high = meta_game.reward_range
    r_max = Fraction(repr(high)) - Fraction(repr(low))
    v_max = float(r_max / (1 - Fraction(repr(meta_game.discount))))
    n = meta_game.n_states
    learners, automaton = meta_game.learners(), meta_game.hidden
    hidden: _Values | _Finite
    if automaton is not None:
        hidden = _Finite(automaton)
    elif learners is not None:
        hidden = _Values(learners)
    else:
        return Aliasing((0.0, 0.0), True, (0.0, 0.0), v_max, 0, n, n, (0.0, 0.0, 0.0))
    laws, game = hidden.laws, _Game(meta_game, hidden)
    _require(n, game.size, len(laws.table))
    met = np.zeros((2, n, len(laws.table)), np.bool_)
    if isinstance(hidden, _Finite):
        histories, complete = _reached(meta_game, hidden, met), True
    else:
        histories, complete = _listed(game, met)
    typical = _simulated(game, np.random.default_rng(seed_sequence(rng)), met)
    apart = np.array([[laws.distance[np.ix_(row, row)].max(initial=0.0) for row in part] for part in met])
    # Distances of the same laws in another order of products may differ in the last place.
    nearly = float(apart[0].max()) - 2 * laws.slack
    pairs = np.zeros(laws.distance.shape, np.bool_)
    for row in met[0, apart[0] >= nearly]:
        pairs[np.ix_(row, row)] = True
    least, most = laws.farthest(pairs)
    if not complete:
        most = laws.farthest(np.ones_like(pairs))[1]
    bound = bounds.simulation.x6()
    loss = [
        Fraction(bound.evaluate(aliasing=kappa, discount=meta_game.discount, r_max=r_max)) if r_max > 0 else Fraction(0)
        for kappa in (least, most)
    ]
    windows = int(np.count_nonzero(apart[1] >= nearly)) if nearly > 0 else 0
    exact = complete or least == most
    return Aliasing(_outwards(least, most), exact, _outwards(*loss), v_max, windows, n, histories, typical)
