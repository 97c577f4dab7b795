"""How large a meta-game of policies gets, and how long its sweeps take, before anything is allocated."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from rfos._system import checks
from rfos._system.memory import available_bytes, in_digits, require_memory
from rfos._system.threads import processors
from rfos.games.named import named_game
from rfos.games.normal_form import NormalFormGame
from rfos.games.stochastic import StochasticGame, iterated, one_shot, require_iterated
from rfos.metagames.grids import MAX_LEVELS, LevelGrid, SimplexGrid
from rfos.metagames.learners import Learner
from rfos.metagames.tables import (
    Dynamics,
    pair_bytes,
)

SECONDS_PER_PAIR = 2e-4
"""What one pair takes where no kernel evaluates it, for the estimate of the time."""

KERNEL_SECONDS_PER_PAIR = 2e-7
"""What one pair takes where a kernel evaluates it, on one processor, but for finding its cell."""

SECONDS_PER_BISECTION = 3e-9
"""What each halving takes on the way to the opponent's cell; there are log2(grid points) of them."""

LONGEST_SWEEP = 600.0
"""Seconds above which a sweep that evaluates all pairs on the fly is refused."""

QUICK_PAIRS, QUICK_SECONDS, MOST_QUICK_LEVELS = 10**7, 3.0, 101
"""Pairs, and seconds of evaluating them one by one, that a choice of levels by default may take; and its largest."""

MOST_PAIRS = 10**300
"""Numbers of pairs are counted as at most so many where a float is made of them."""

OUTER_LEVELS = (0.02, 0.98)
"""Outermost levels for learners on logits, which never leave 0 and 1."""


def inner_game(name: str, inner_discount: float) -> StochasticGame:
    """Return the inner game of a name: iterated with memory one, or one-shot where the inner discount is 0.

    Raises
    ------
    ValueError
        If there is no such game ("ipd" and "imp" are the iterated games of M-FOS).
    MemoryError
        If the iterated game's tables do not fit.

    Examples
    --------
    >>> inner_game("ipd", 0.96).n_states, inner_game("imp", 0.0).n_states
    (5, 1)
    """
    if not 0 <= checks.number(inner_discount) < 1:
        raise ValueError(f"inner_discount is {checks.shown(inner_discount)}: give a number in [0, 1)")
    stage = named_game(name)
    return one_shot(stage) if inner_discount == 0 else iterated(stage, inner_discount)


def even_grid(game: StochasticGame, player: int, count: int) -> LevelGrid | SimplexGrid:
    """Return a player's grid of `count` evenly spaced levels per probability.

    Parameters
    ----------
    game : StochasticGame
    player : int
    count : int
        From 2 to 100000.

    Raises
    ------
    ValueError
        If there is no such player, or no grid of so many levels; nothing is allocated then.

    Examples
    --------
    >>> even_grid(inner_game("matching-pennies", 0.5), 1, 3).levels
    (0.02, 0.5, 0.98)
    """
    checks.kind("game", game, StochasticGame)
    player = checks.whole("player", player, 0, game.n_players - 1)
    give = f"a whole number of levels from 2 to {MAX_LEVELS}"
    count = checks.whole("count", count, 2, MAX_LEVELS, give)
    if game.n_states == 1 or game.n_actions[player] != 2:
        return SimplexGrid(game.n_states, game.n_actions[player], count - 1)
    # Few levels are those of M-FOS, evenly spaced but for the ends; many would collide with the ends.
    inner = np.linspace(0, 1, count) if 1 / (count - 1) > 2 * OUTER_LEVELS[0] else np.linspace(*OUTER_LEVELS, count)
    return LevelGrid(game.n_states, tuple(float(p) for p in np.clip(inner, *OUTER_LEVELS)))


@dataclass(frozen=True)
class SizeEstimate:
    """What a meta-game needs, known before anything is allocated.

    Attributes
    ----------
    n_states, n_actions : int
        Meta-states and meta-actions.
    pairs : int
    storage : {"table", "on-the-fly", "sparse"}
        A compressed table; no table, each pair evaluated when it is needed; or a sparse matrix, evaluated pair by pair
        where no kernel plays the game.
    needed : int
        Bytes of memory.
    limit : int
        Bytes available.
    seconds : float
        About how long filling the table, or one sweep on the fly, takes here.
    """

    n_states: int
    n_actions: int
    pairs: int
    storage: Literal["table", "on-the-fly", "sparse"]
    needed: int
    limit: int
    seconds: float


@dataclass(frozen=True)
class Sizes:
    """What sizes depend on besides the numbers of grid points; counted with Python integers.

    Attributes
    ----------
    n_states : int
        Inner states.
    n_actions : tuple of int
    kernel : bool
        Whether kernels play the game.
    nearest, joint : bool
    """

    n_states: int
    n_actions: tuple[int, ...]
    kernel: bool
    nearest: bool
    joint: bool

    @property
    def branching(self) -> int:
        """Largest number of successors: 1 if rounded to the nearest point, else the corners of all opponents' cells."""
        return 1 if self.nearest else math.prod(self.n_states * (n - 1) + 1 for n in self.n_actions[1:])

    def of_points(self, points: Sequence[int]) -> SizeEstimate:
        """Return the sizes with these numbers of grid points, one for each player."""
        others = math.prod(points[1:])
        lumped, limit = others * points[0], available_bytes()
        n_states = lumped if self.joint else others
        pairs = n_states * points[0]
        if self.joint or not self.kernel:
            # A row is held twice, here and in the MDP: 4 bytes an index, 8 a probability; checking it takes another 8
            # an entry, or 4 while it is copied. Then pointers, row sums and rewards; and the policies of the shaper.
            row = 12 * self.branching
            needed = pairs * (2 * row + 8 * self.branching + 56)
            if self.joint:
                needed += lumped * (row + 24)
            needed += points[0] * (8 * self.n_states * self.n_actions[0] + 200)
            return SizeEstimate(
                n_states, points[0], pairs, "sparse", needed, limit, min(lumped, MOST_PAIRS) * SECONDS_PER_PAIR
            )
        found: Literal["table", "on-the-fly"] = "table"
        # A byte more while rewards are checked.
        needed = pairs * (1 + pair_bytes(n_states, self.n_states, self.nearest))
        if needed > limit // 2:
            # A chain and its predecessor, and a few numbers a state.
            needed, found = n_states * (24 * self.branching + 100), "on-the-fly"
        seconds = KERNEL_SECONDS_PER_PAIR + SECONDS_PER_BISECTION * others.bit_length()
        return SizeEstimate(
            n_states, points[0], pairs, found, needed, limit, min(pairs, MOST_PAIRS) * seconds / processors()
        )

    def of_levels(self, count: int) -> SizeEstimate:
        """Return the sizes with `even_grid` of so many levels for everyone; no grid is built."""
        return self.of_points([math.comb(count + n - 2, n - 1) ** self.n_states for n in self.n_actions])

    def require_fit(self, size: SizeEstimate, patience: float = math.inf) -> None:
        """Raise unless the meta-game fits this machine and, evaluated pair by pair, takes at most `patience` seconds.

        Raises
        ------
        MemoryError
            Naming the bytes, the limit and what fits.
        ValueError
            Naming the hours and what takes less.
        """
        if size.needed > size.limit:
            without = ", kept in no table," if size.storage == "on-the-fly" else ""
            what = f"the meta-game of {in_digits(size.pairs)} pairs{without}"
            require_memory(size.needed, what, self._mend(patience))
        if _takes_too_long(size, patience):
            hours = f"about {size.seconds / 3600:.1g} hours"
            if size.storage == "sparse":
                what = f"{in_digits(size.pairs)} pairs take {hours}, since no kernel evaluates them"
                raise ValueError(f"{what}: {self._mend(patience)}")
            table = size.pairs * pair_bytes(size.n_states, self.n_states, self.nearest)
            raise MemoryError(
                f"a table of {in_digits(size.pairs)} pairs needs {in_digits(table)} bytes, above the limit of "
                f"{size.limit:,} here, and without it a sweep takes {hours}: {self._mend(patience)}"
            )

    def _mend(self, patience: float) -> str:
        """Return what to choose instead of what does not fit: the largest number of levels, by bisection."""
        low, high = 1, MAX_LEVELS + 1
        while high - low > 1:
            middle = (low + high) // 2
            size = self.of_levels(middle)
            if size.needed > size.limit or _takes_too_long(size, patience):
                high = middle
            else:
                low = middle
        if low > 1:
            return f"choose at most {low} levels"
        smaller = "fewer players" if self.n_states == 1 else "fewer inner states, such as the one played once"
        return f"not even 2 levels fit, choose a game with {smaller}"


def _takes_too_long(size: SizeEstimate, patience: float) -> bool:
    return size.seconds > {"table": math.inf, "on-the-fly": LONGEST_SWEEP, "sparse": patience}[size.storage]


def require_levels(
    game: NormalFormGame,
    memory_one: bool,
    opponents: Sequence[Learner],
    count: int,
    rounding: Literal["barycentric", "nearest"] = "barycentric",
    *,
    joint: bool = False,
    patience: float = math.inf,
) -> None:
    """Raise unless the meta-game with `count` levels per probability fits; neither grids nor inner game are built.

    Parameters
    ----------
    game : NormalFormGame
        The stage game.
    memory_one : bool
        Whether it is iterated, with policies of memory one, or played once.
    opponents : sequence of Learner
    count : int
        At least 2.
    rounding : {"barycentric", "nearest"}
    joint : bool
    patience : float
        Seconds that evaluating pairs one by one may take.

    Raises
    ------
    MemoryError
        One sentence with the bytes needed, the limit and the largest number of levels that fits.
    ValueError
        If evaluating pair by pair would take longer; the sentence names what takes less.

    Examples
    --------
    >>> from rfos.games.named import rock_paper_scissors
    >>> from rfos.metagames.learners import NaiveLearner
    >>> require_levels(rock_paper_scissors(), True, [NaiveLearner()], 200)
    Traceback (most recent call last):
        ...
    MemoryError: the meta-game of about 10^86 pairs needs ... choose a game with fewer inner states, ...
    """
    checks.kind("game", game, NormalFormGame)
    count = checks.whole("count", count, 2, give="a whole number of levels of at least 2")
    opponents = checks.several("opponents", opponents, "give one learner for each player from 1 on")
    if memory_one:
        require_iterated(game)
    sizes = _sizes(game, memory_one, opponents, rounding, joint)
    sizes.require_fit(sizes.of_levels(count), patience)


def _sizes(game: NormalFormGame, memory_one: bool, opponents: Sequence[Learner], rounding: str, joint: bool) -> Sizes:
    n_states = 1 + math.prod(game.n_actions) if memory_one else 1
    kernel = len(opponents) == 1 and Dynamics.plays(game.n_actions, opponents[0])
    return Sizes(n_states, game.n_actions, kernel, rounding == "nearest", joint)


def is_quick(
    game: NormalFormGame,
    memory_one: bool,
    opponents: Sequence[Learner],
    count: int,
    rounding: Literal["barycentric", "nearest"] = "barycentric",
    *,
    joint: bool = False,
    pairs: int | None = None,
) -> bool:
    """Return whether the meta-game with `count` levels per probability is solved in seconds, on any machine.

    It is if it has at most `pairs` pairs (default: `QUICK_PAIRS`), all of which are evaluated in at most
    `QUICK_SECONDS` where no kernel does it.

    Examples
    --------
    Memory-one policies have five probabilities each: 5^10 pairs are quick, 6^10 are not.

    >>> from rfos.games.named import standard_prisoners_dilemma
    >>> from rfos.metagames.learners import NaiveLearner
    >>> [is_quick(standard_prisoners_dilemma(), True, [NaiveLearner()], count) for count in (5, 6)]
    [True, False]
    """
    size = _sizes(game, memory_one, opponents, rounding, joint).of_levels(count)
    most = QUICK_PAIRS if pairs is None else pairs
    return size.pairs <= most and (size.storage != "sparse" or size.seconds <= QUICK_SECONDS)


def quick_levels(
    game: NormalFormGame,
    memory_one: bool,
    opponents: Sequence[Learner],
    rounding: Literal["barycentric", "nearest"] = "barycentric",
    *,
    joint: bool = False,
    pairs: int | None = None,
) -> int:
    """Return the most levels per probability, 2 to `MOST_QUICK_LEVELS`, with which a meta-game `is_quick`; at least 2.

    Raises
    ------
    MemoryError
        If the iterated game's tables do not fit.

    Examples
    --------
    One probability each leaves room for many levels, five for few:

    >>> from rfos.games.named import chicken
    >>> from rfos.metagames.learners import NaiveLearner
    >>> [quick_levels(chicken(), memory_one, [NaiveLearner()]) for memory_one in (False, True)]
    [101, 5]
    >>> quick_levels(chicken(), True, [NaiveLearner()], pairs=10**6)
    3
    """
    quick = (
        n
        for n in range(MOST_QUICK_LEVELS, 2, -1)
        if is_quick(game, memory_one, opponents, n, rounding, joint=joint, pairs=pairs)
    )
    return next(quick, 2)
