"""What shaping is worth in a game: built, solved, played in the continuous game and compared with others."""

from __future__ import annotations

import itertools
import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from rfos._system.arrays import Float
from rfos._system.memory import in_digits, require_memory
from rfos._system.randomness import seed_sequence
from rfos.games.named import named_game
from rfos.games.normal_form import NormalFormGame
from rfos.games.stochastic import StochasticGame
from rfos.games.strategies import STRATEGIES, strategy
from rfos.games.wording import in_numbers, in_words
from rfos.metagames.continuous import RollOut, hold, moved_starts, random_starts
from rfos.metagames.discretisation import DiscretisationError, discretisation_error
from rfos.metagames.estimates import Earned, Returns, interval, paired
from rfos.metagames.grids import LevelGrid, SimplexGrid
from rfos.metagames.learners import NAMED_LEARNERS, Fixed, Learner, named_learner
from rfos.metagames.policy import PolicyMetaGame
from rfos.metagames.shaper import Shaper
from rfos.metagames.sizes import SECONDS_PER_PAIR, even_grid, inner_game, is_quick, quick_levels, require_levels
from rfos.metagames.yardsticks import constant_shapers, discounted_value, equilibria, learning_shapers
from rfos.planning.solve import solve

LONGEST = 600.0
"""Seconds of evaluating pairs one by one above which a request is refused."""

LONGEST_ROLL_OUT = 60.0
"""Seconds that looking ahead without a kernel may take; fewer starts are played where all would take longer."""

FEWEST_STARTS, MOST_STARTS = 64, 2048
"""Random starts at the first look and at the last one; each look has twice as many as the one before."""

MOST_PLAYS = {True: 200_000_000, False: 20_000_000}
"""Pairs that looking ahead from more than the fewest starts may evaluate, by the short form of a kernel or not."""

PRECISION = 0.005
"""Half-width at which no more starts are added, in spreads of the rows printed (see `INVENTED`)."""

CONFIDENCE = 0.95
"""Of all looks together."""

COMPARED_PAIRS = 10**6
"""Pairs that other levels may have if they are more than twice as fine."""

COMPARED_STARTS, COMPARED_PLAYS, COMPARED_SECONDS = 64, 5_000_000, 10.0
"""Starts from which other levels are compared: more where so many pairs are enough, fewer where it takes longer."""

FROZEN = 0.05
"""Share of frozen moves above which a warning is due."""

INVENTED = 0.1
"""By how much more than is earned the grid may promise before a warning is due, in spreads of the rows printed.

The spread is from the worst to the best row against the opponent. The range of rewards would be no scale: in Chicken a
crash costs a hundred times what else is at stake.
"""

TAIL = 0.02
"""Share of the range of rewards that discounted roll-outs leave out at most, unless `LONGEST_PLAY` ends them."""

LONGEST_PLAY = 1000
"""Most steps of a discounted roll-out."""

DISCOUNTED_STARTS = 16, 4
"""Starts of which the discounted value is computed, beside that on the grid, with a kernel and without."""

EVERY = 10.0
"""Seconds between two lines of progress."""

LOOK_AHEAD, PROJECTED = "one-step look-ahead", "policy of the nearest grid point"
"""How a solution on the grid is played off the grid."""


@dataclass(frozen=True)
class Request:
    """What `rfos solve` was asked for.

    Attributes
    ----------
    game, opponent : str
    levels : str, optional
        By default as many as are solved in seconds (`quick_levels`).
    rounding : {"barycentric", "nearest"}
    discount, inner_discount : float in [0, 1)
    joint : bool
    step : float > 0, optional
        The opponents' step size on the un-normalised return; by default that of the named learner, 1.
    starts : int, optional
        Random starts. By default they are doubled until intervals are narrow, as `Answer` says.
    steps : int
        Meta-steps of each roll-out.
    epsilon : float > 0
        Width of the certified bracket of every value on the grid, in units of value, that is of rewards per inner step
        over 1 - discount.
    reset : {"random", "move"}
        Begin at the opponents' random policies, or, as M-FOS does, after they have learned once from a random shaper.
    seed : int
    """

    game: str
    opponent: str = "naive"
    levels: str | None = None
    rounding: Literal["barycentric", "nearest"] = "barycentric"
    discount: float = 0.99
    inner_discount: float = 0.96
    joint: bool = False
    step: float | None = None
    starts: int | None = None
    steps: int = 100
    epsilon: float = 1e-3
    reset: Literal["random", "move"] = "random"
    seed: int = 0

    def __post_init__(self) -> None:
        """Check what is checked nowhere else."""
        for name, number in (("starts", self.starts), ("steps", self.steps)):
            if number is not None and number < 1:
                raise ValueError(f"{name} is {number}: give at least 1")
        if not 0 < self.epsilon < math.inf:
            raise ValueError(f"epsilon is {self.epsilon!r}: give a positive width, in units of value")
        if self.reset not in ("random", "move"):
            raise ValueError(f"reset is {self.reset!r}: choose random or move")


@dataclass(frozen=True)
class OtherLevels:
    """The same request with other levels, from the same starts, by the same way of playing.

    Attributes
    ----------
    levels : str
    finer : bool
        Whether they are more, else fewer.
    n_states, n_actions : int
    promised : tuple of float
        Certified ends of the mean value at the starts, per inner step, (1-discount) V.
    promised_here : tuple of float
        The same with the levels of the request.
    earned : tuple of float
        Mean reward of the shaper over the starts and the ends of its interval.
    gain : tuple of float
        How much more the shaper earns with *these* levels, start by start, and the ends of its interval.
    n_starts : int
    """

    levels: str
    finer: bool
    n_states: int
    n_actions: int
    promised: tuple[float, float]
    promised_here: tuple[float, float]
    earned: tuple[float, float, float]
    gain: tuple[float, float, float]
    n_starts: int


@dataclass(frozen=True)
class Answer:
    """What `rfos solve` found; values are rewards per inner step, (1-discount) V, as certified ends.

    `start_value` is that of the grid point `start`, written from the opponents' own sides; `mean_value` is the mean
    over grid points. `promised`, the value on the grid, and `discounted`, what `played` earns in the continuous game,
    are means over the same random starts, and so comparable; `n_discounted` says over how many steps and starts.
    `worth` is how much more per step `shaper`, the better way of playing in `continuous`, earns than `best`, the best
    yardstick against the same opponent, and `worth_interval` the ends of its interval: differences from the
    `n_paired` starts that both have in common are the sample. `policies` (T, S, A_i) of each player, the shaper first,
    and `rewards` (T, n_players) are those of the first roll-out of `shaper`, which `solution` plays.

    Unless a number of starts was asked for, it is doubled from `FEWEST_STARTS` until the half-widths of
    `worth_interval` and of the two rows that it compares are at most `target`, or there have been `looks` looks. Who
    stops when an interval pleases has one that holds too rarely; so those of every look are t intervals at level
    `confidence` = 1 - 0.05 / `looks`, the most looks there can be, such that with probability 0.95 one holds at all of
    them, whichever is the last. They are of one row each, not of all rows at once.
    """

    request: Request
    inner: str
    levels: str
    n_states: int
    n_actions: int
    bytes: int
    frozen_share: float
    method: str
    iterations: int
    converged: bool
    accuracy: str
    start: str
    start_value: tuple[float, float]
    mean_value: tuple[float, float]
    continuous: tuple[Earned, ...]
    yardsticks: tuple[Earned, ...]
    worth: float
    worth_interval: tuple[float, float]
    n_paired: int
    shaper: str
    best: str
    promised: tuple[float, float]
    discounted: tuple[float, float]
    played: str
    n_discounted: tuple[int, int]
    moves: tuple[tuple[str, ...], ...]
    discretisation: DiscretisationError
    other_levels: OtherLevels | None
    n_starts: int
    looks: int
    confidence: float
    target: float
    notes: tuple[str, ...]
    warnings: tuple[str, ...]
    policies: tuple[Float, ...]
    rewards: Float
    seconds: float
    solution: Shaper


def read_levels(levels: str) -> tuple[float, ...]:
    """Return the levels that a text lists by commas, or the one number of levels, a whole number of at least 2.

    Raises
    ------
    ValueError
        If it is neither.

    Examples
    --------
    >>> read_levels("5"), read_levels("0.02,0.5,0.98")
    ((5.0,), (0.02, 0.5, 0.98))
    """
    try:
        numbers = tuple(float(part) for part in levels.split(","))
    except ValueError:
        raise ValueError(f"levels is {levels!r}: give a whole number, or probabilities such as 0.02,0.5,0.98") from None
    if len(numbers) == 1 and not (math.isfinite(numbers[0]) and numbers[0] == int(numbers[0]) >= 2):
        raise ValueError(f"levels is {levels!r}: give a whole number of at least 2")
    return numbers


def grid_of(game: StochasticGame, player: int, levels: tuple[float, ...]) -> LevelGrid | SimplexGrid:
    """Return the grid of a player from what `read_levels` returns.

    Raises
    ------
    ValueError
        If levels are listed for a player with other than two actions, or are not increasing probabilities.
    """
    if len(levels) > 1:
        if game.n_actions[player] != 2:
            raise ValueError(f"levels are {levels}: several levels are for two actions, give one number of levels")
        return LevelGrid(game.n_states, levels)
    return even_grid(game, player, int(levels[0]))


def learner_of(name: str, step: float | None = None) -> Learner:
    """Return the learner of a name; whoever plays one of `STRATEGIES` never learns.

    Raises
    ------
    ValueError
        If the name is unknown; the message lists the names. Or a step size is given to one that takes no such steps.
    """
    if name in STRATEGIES:
        if step is not None:
            raise ValueError(f"{name} never learns: leave the step out, or choose naive or lola")
        return Fixed()
    if name not in NAMED_LEARNERS:
        learners, fixed = ", ".join(NAMED_LEARNERS), ", ".join(STRATEGIES)
        raise ValueError(f"unknown opponent {name!r}: choose one of {learners}, or one that never learns: {fixed}")
    return named_learner(name, step)


def answer(request: Request, say: Callable[[str], None]) -> Answer:
    """Build, solve and roll out the meta-game of a request.

    Raises
    ------
    ValueError, MemoryError
        If the request is out of range or too large; nothing has been allocated then.
    """
    began = time.perf_counter()
    learner = learner_of(request.opponent, request.step)
    stage = named_game(request.game)
    learners = [learner] * (stage.n_players - 1)
    memory_one = request.inner_discount != 0
    levels: tuple[float, ...]
    if request.levels is None:
        levels = (float(quick_levels(stage, memory_one, learners, request.rounding, joint=request.joint)),)
    else:
        levels = read_levels(request.levels)
    count = len(levels) if len(levels) > 1 else int(levels[0])
    require_levels(
        stage,
        memory_one,
        learners,
        count,
        request.rounding,
        joint=request.joint,
        patience=LONGEST,
    )
    game = inner_game(request.game, request.inner_discount)
    grids = [grid_of(game, player, levels) for player in range(game.n_players)]
    built = PolicyMetaGame(game, learners, grids, request.discount, request.rounding, request.joint)
    built.require_fit()
    meta_game = built.lumped()
    notes: list[str] = []
    looks = _looks(meta_game, request)
    _require_roll_outs(game, looks[-1], request.steps)
    starts = _starts(meta_game, request, looks[-1])
    error = discretisation_error(built, request.epsilon)
    size = built.size_estimate()
    say(f"{size.n_states:,} meta-states, {size.n_actions:,} meta-actions, {size.needed / 2**20:,.1f} MiB")
    evaluated = "a sweep over" if size.storage == "on-the-fly" else "filling"
    say(f"{evaluated} {in_digits(size.pairs)} pairs takes about {_time(built.seconds_to_fill())} here")
    mdp = built.to_mdp(_Progress(size.pairs, say))
    say("table filled")
    solution = solve(mdp, tol=request.epsilon)
    say(f"solved in {solution.iterations} iterations")
    # Every number below is a few sums of numbers of this size, which rounding moves by far less than `slack`.
    slack = 1e-12 * max(map(abs, game.reward_range(0)))
    lower, upper, ahead, policy = solution.lower, solution.upper, solution.value, solution.policy
    if request.joint:
        # Where the opponents' policies are known, values are one backup away, and they are what is played with (G2).
        lower, upper, ahead = (built.known(v) for v in (lower, upper, ahead))
        policy = ahead.argmax(axis=1)
        lower, upper, ahead = (q.max(axis=1) for q in (lower, upper, ahead))
    low, high = (1 - request.discount) * lower - slack, (1 - request.discount) * upper + slack
    shapers = {LOOK_AHEAD: Shaper(meta_game, values=ahead), PROJECTED: Shaper(meta_game, policy=policy)}
    if not affordable_starts(meta_game, request.steps, looks[-1]):
        del shapers[LOOK_AHEAD]
        notes.append("one-step look-ahead is left out: no kernel evaluates this game, and it would take too long")
    fair = [np.full((game.n_states, n), 1 / n) for n in game.n_actions[1:]]
    start = meta_game.nearest([each[0] for each in starts] if request.opponent in STRATEGIES else fair)
    found = _measure(meta_game, shapers, starts, looks, request, say)
    starts = [each[: found.n_starts] for each in starts]
    few, lasting = (
        [each[: DISCOUNTED_STARTS[meta_game.dynamics is None]] for each in starts],
        _lasting(request.discount),
    )
    top, best = found.top, found.best
    looked = top.name == LOOK_AHEAD and affordable_starts(meta_game, lasting, len(few[0])) == len(few[0])
    discounting = LOOK_AHEAD if looked else PROJECTED
    ends = discounted_value(meta_game, shapers[discounting].play(few, lasting).rewards)
    promised = _promised(meta_game, few, low), _promised(meta_game, few, high)
    discounted = float(ends[0].mean()), float(ends[1].mean())
    say("rolled out with the discount")
    if equilibria(game) is None:
        notes.append("no row for Nash equilibria: they need nashpy or quantecon, pip install 'rfos[interop]'")
    shown = found.played[top.name]
    own = np.array([grids[0].policy(int(action)) for action in shown.moves[0]])
    frozen = built.frozen_share
    warnings = []
    if frozen > FROZEN and request.rounding == "nearest":
        warnings.append(
            f"frozen learners: nearest rounding leaves {frozen:.1%} of pairs where they are; the value on the grid is "
            "an artefact of rounding, believe the continuous game"
        )
    more = promised[0] - discounted[1]
    if more > max(INVENTED * found.spread, 1e-6 * float(np.ptp(game.reward_range(0)))):
        warnings.append(
            f"the grid promises at least {more:.3f} a step more than its policy earns in the continuous game: an "
            "artefact of the grid, believe the continuous game"
        )
    others = None
    if not request.joint:
        others = _other_levels(meta_game, stage, levels, request, starts, found, (low, high))
    if others is None:
        notes.append("other levels are not compared: neither finer nor coarser ones are solved in seconds")
    elif others.finer and others.gain[1] > found.target:
        warnings.append(
            f"the levels are too few: with {others.levels} the shaper earns {others.gain[0]:.3f} a step more "
            f"({_ends(others.gain)})"
        )
    difference = paired(top, best, found.confidence)
    return Answer(
        request=request,
        inner=_inner(request),
        levels=_in_words(levels),
        n_states=size.n_states,
        n_actions=size.n_actions,
        bytes=mdp.nbytes,
        frozen_share=frozen,
        method=solution.method,
        iterations=solution.iterations,
        converged=solution.converged,
        accuracy=solution.accuracy.value,
        start=_listed(game, meta_game.policies(start)),
        start_value=(float(low[start]), float(high[start])),
        mean_value=(float(low.mean()), float(high.mean())),
        continuous=tuple(row.earned(found.confidence) for row in found.continuous),
        yardsticks=tuple(row.earned(found.confidence) for row in found.yardsticks),
        worth=difference[0],
        worth_interval=difference[1:],
        n_paired=min(len(top.rewards), len(best.rewards)),
        shaper=top.name,
        best=best.name,
        promised=promised,
        discounted=discounted,
        played=discounting,
        n_discounted=(lasting, len(few[0])),
        moves=tuple(
            (_listed(game, [each[n] for each in starts]), *_first_moves(game, grids[0], shown.moves[n]))
            for n in range(min(3, len(shown.moves)))
        ),
        discretisation=error,
        other_levels=others,
        n_starts=found.n_starts,
        looks=len(looks),
        confidence=found.confidence,
        target=found.target,
        notes=tuple(notes),
        warnings=tuple(warnings),
        policies=(own, *(path[0] for path in shown.policies)),
        rewards=shown.rewards[0],
        seconds=time.perf_counter() - began,
        solution=shapers[top.name],
    )


# Starts ----------------------------------------------------------------------------------------------------------


def _looks(meta_game: PolicyMetaGame, request: Request) -> list[int]:
    """Return the numbers of starts at which intervals may be looked at; nothing random or timed decides on them."""
    if request.opponent in STRATEGIES:
        return [1]
    if request.starts is not None or meta_game.dynamics is None:
        wanted = FEWEST_STARTS if request.starts is None else request.starts
        return [affordable_starts(meta_game, request.steps, wanted) or wanted]
    most = min(MOST_STARTS, MOST_PLAYS[meta_game.dynamics.iterated] // (meta_game.n_actions * request.steps))
    looks = [FEWEST_STARTS]
    while 2 * looks[-1] <= most:
        looks.append(2 * looks[-1])
    return looks


def affordable_starts(meta_game: PolicyMetaGame, steps: int, wanted: int) -> int:
    """Return from how many starts looking ahead is affordable; 0 where not from two, which an interval needs."""
    if meta_game.dynamics is not None:
        return wanted
    opponents = meta_game.game.n_players - 1
    seconds = meta_game.n_actions * steps * SECONDS_PER_PAIR * opponents
    count = min(wanted, int(LONGEST_ROLL_OUT / seconds))
    return count if count >= min(2, wanted) else 0


def _require_roll_outs(game: StochasticGame, n_starts: int, steps: int) -> None:
    """Raise MemoryError unless roll-outs from so many starts fit this machine."""
    # Rewards, moves and policies of two ways of playing; policies once more where they are put together.
    numbers = game.n_players + 1 + 2 * game.n_states * sum(game.n_actions[1:])
    what = f"roll-outs of {in_digits(n_starts)} starts and {in_digits(steps)} steps"
    require_memory(16 * n_starts * steps * numbers, what, "give fewer starts or steps")


def _starts(meta_game: PolicyMetaGame, request: Request, n: int) -> list[Float]:
    """Return the opponents' first policies; an opponent with a fixed strategy has only that one."""
    game = meta_game.game
    if request.opponent in STRATEGIES:
        return [strategy(game, player, request.opponent)[None] for player in range(1, game.n_players)]
    starts = random_starts(game, n, request.seed)
    return moved_starts(meta_game, starts, seed_sequence(request.seed, (2,))) if request.reset == "move" else starts


# Roll-outs -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class _Measured:
    """Rows and roll-outs at the look where the intervals were narrow enough, or at the last one."""

    continuous: list[Returns]
    yardsticks: list[Returns]
    played: dict[str, RollOut]
    n_starts: int
    confidence: float

    @property
    def top(self) -> Returns:
        """The better way of playing."""
        return max(self.continuous, key=_mean)

    @property
    def best(self) -> Returns:
        """The best yardstick against the same opponent."""
        return max((row for row in self.yardsticks if row.same_opponent), key=_mean)

    @property
    def spread(self) -> float:
        """From the worst to the best row against the same opponent."""
        means = [_mean(row) for row in (*self.continuous, *self.yardsticks) if row.same_opponent]
        return max(means) - min(means)

    @property
    def target(self) -> float:
        """Half-width that is narrow enough."""
        return PRECISION * self.spread

    @property
    def is_precise(self) -> bool:
        """Whether more starts are not needed, or do not help where naive learning is played from a few."""
        rows = [row for row in (self.top, self.best) if len(row.rewards) == self.n_starts]
        ends = [interval(row.rewards[:, 0], self.confidence) for row in rows]
        if self.best in rows:
            ends.append(paired(self.top, self.best, self.confidence))
        return all(high - low <= 2 * self.target for _, low, high in ends)


def _mean(row: Returns) -> float:
    return float(row.rewards[:, 0].mean())


def _measure(
    meta_game: PolicyMetaGame,
    shapers: dict[str, Shaper],
    starts: Sequence[Float],
    looks: Sequence[int],
    request: Request,
    say: Callable[[str], None],
) -> _Measured:
    """Play from the starts, more at each look, until the intervals are narrow (`Answer` says how that is honest)."""
    steps = request.steps
    confidence = 1 - (1 - CONFIDENCE) / len(looks)
    constant = constant_shapers(meta_game, [each[: looks[0]] for each in starts], steps=steps)
    learning = learning_shapers(meta_game, [each[: looks[0]] for each in starts], steps=steps, rng=request.seed + 1)
    played: dict[str, RollOut] = {}
    held = [np.empty((0, meta_game.game.n_players))] * len(constant)
    before = 0
    for count in looks:
        more = [each[before:count] for each in starts]
        for name, shaper in shapers.items():
            new = shaper.play(more, steps)
            played[name] = _joined(played[name], new) if before else new
        held = [
            np.concatenate([old, hold(meta_game, own[None], more, steps)[0]])
            for old, (_, own) in zip(held, constant, strict=True)
        ]
        found = _Measured(
            [Returns(name, roll.mean_rewards) for name, roll in played.items()],
            [*(Returns(name, rows) for (name, _), rows in zip(constant, held, strict=True)), *learning],
            played,
            count,
            confidence,
        )
        say(f"rolled out from {count} starts" if count > 1 else "rolled out")
        before = count
        if found.is_precise:
            break
    return found


def _joined(first: RollOut, second: RollOut) -> RollOut:
    """Return the roll-outs of the starts of both."""
    paths = zip(first.policies, second.policies, strict=True)
    return RollOut(
        np.concatenate([first.rewards, second.rewards]),
        np.concatenate([first.moves, second.moves]),
        tuple(np.concatenate(pair) for pair in paths),
    )


def _lasting(discount: float) -> int:
    """Return the steps after which what is left of a discounted sum is a share of at most `TAIL`."""
    return 1 if discount == 0 else min(LONGEST_PLAY, math.ceil(math.log(TAIL) / math.log(discount)))


def _promised(meta_game: PolicyMetaGame, starts: list[Float], values: Float) -> float:
    """Return the mean of values (X,) at the starts, rounded as the meta-game rounds."""
    found = []
    for n in range(len(starts[0])):
        states, weights = meta_game.rounded([each[n] for each in starts])
        found.append(float(weights @ values[states]))
    return float(np.mean(found))


# Levels ----------------------------------------------------------------------------------------------------------


def _other_levels(
    meta_game: PolicyMetaGame,
    stage: NormalFormGame,
    levels: tuple[float, ...],
    request: Request,
    starts: list[Float],
    found: _Measured,
    ends: tuple[Float, Float],
) -> OtherLevels | None:
    """Return what finer levels give, or coarser ones where no finer ones are solved in seconds, or None."""
    memory_one, learners = request.inner_discount != 0, list(meta_game.opponents)
    cheap = quick_levels(stage, memory_one, learners, request.rounding, pairs=COMPARED_PAIRS)
    other = _finer(levels, cheap)
    count = len(other) if len(other) > 1 else int(other[0])
    finer = is_quick(stage, memory_one, learners, count, request.rounding)
    if not finer:
        other = _coarser(levels)
        count = len(other) if len(other) > 1 else int(other[0])
        if count < 2 or not is_quick(stage, memory_one, learners, count, request.rounding):
            return None
    game = meta_game.game
    grids = [grid_of(game, player, other) for player in range(game.n_players)]
    compared = PolicyMetaGame(game, learners, grids, request.discount, request.rounding)
    solution = solve(compared.to_mdp(), tol=request.epsilon)
    looked = found.top.name == LOOK_AHEAD
    plays = compared.n_actions * request.steps
    most = max(COMPARED_STARTS, COMPARED_PLAYS // plays)
    if compared.dynamics is None and looked:
        most = max(1, int(COMPARED_SECONDS / (plays * SECONDS_PER_PAIR * (game.n_players - 1))))
    n = min(most, found.n_starts)
    few = [each[:n] for each in starts]
    rolled = Shaper.of(compared, solution, look_ahead=looked).play(few, request.steps)
    row = Returns("", rolled.mean_rewards)
    slack = 1e-12 * max(map(abs, game.reward_range(0)))
    promised = [
        _promised(compared, few, (1 - request.discount) * end) + sign * slack
        for sign, end in ((-1, solution.lower), (1, solution.upper))
    ]
    return OtherLevels(
        levels=_in_words(other),
        finer=finer,
        n_states=compared.n_states,
        n_actions=compared.n_actions,
        promised=(promised[0], promised[1]),
        promised_here=(_promised(meta_game, few, ends[0]), _promised(meta_game, few, ends[1])),
        earned=interval(row.rewards[:, 0]),
        gain=paired(row, found.top),
        n_starts=n,
    )


def _finer(levels: tuple[float, ...], cheap: int) -> tuple[float, ...]:
    """Return levels of cells of half the width, or as many as are cheap if they are more."""
    if len(levels) == 1:
        return (max(float(cheap), 2 * levels[0] - 1),)
    between = [(low + high) / 2 for low, high in itertools.pairwise(levels)]
    return tuple(sorted((*levels, *between)))


def _coarser(levels: tuple[float, ...]) -> tuple[float, ...]:
    """Return levels of cells of twice the width, or fewer than two levels where there are none."""
    if len(levels) == 1:
        return ((levels[0] + 1) // 2 if levels[0] > 2 else 1.0,)
    return (*levels[:-1:2], levels[-1]) if len(levels) > 2 else (1.0,)


def _in_words(levels: tuple[float, ...]) -> str:
    return f"{levels[0]:.0f} levels" if len(levels) == 1 else "levels " + ", ".join(f"{x:g}" for x in levels)


# Words -----------------------------------------------------------------------------------------------------------


class _Progress:
    """Says now and then how many pairs are filled."""

    def __init__(self, pairs: int, say: Callable[[str], None]) -> None:
        self.pairs, self.say = pairs, say
        self.done, self.last = 0, time.monotonic()

    def __call__(self, pairs: int) -> None:
        self.done += pairs
        now = time.monotonic()
        if now - self.last >= EVERY:
            self.last = now
            self.say(f"{self.done / self.pairs:.0%} of pairs filled")


def _time(seconds: float) -> str:
    return f"{seconds / 60:.0f} minutes" if seconds >= 120 else f"{seconds:.0f} s" if seconds >= 1 else "a second"


def _inner(request: Request) -> str:
    """Return which inner game is played, and where M-FOS plays another one of that name."""
    once = request.inner_discount == 0
    played = f"{request.game} played once" if once else f"iterated {request.game} with memory-one policies"
    if request.game == "chicken":
        return played + (", as in M-FOS" if once else "; M-FOS plays chicken once, which is --inner-discount 0")
    if request.game in ("ipd", "imp") and once:
        return f"{played}; M-FOS plays {request.game} iterated, with inner discount 0.96"
    return played


def _ends(bounds: tuple[float, float, float]) -> str:
    return f"{bounds[1]:.3f} to {bounds[2]:.3f}"


def _listed(game: StochasticGame, policies: list[Float]) -> str:
    """Return the opponents' policies as text, each from its own side."""
    assert game.views is not None
    return " and ".join(in_numbers(policy[view]) for policy, view in zip(policies, game.views[1:], strict=True))


def _first_moves(game: StochasticGame, grid: LevelGrid | SimplexGrid, chosen: np.ndarray[Any, Any]) -> list[str]:
    """Return the first different moves of a roll-out in words, with how often each is repeated."""
    parts: list[str] = []
    i = 0
    while i < len(chosen) and len(parts) < 4:
        run = 1
        while i + run < len(chosen) and chosen[i + run] == chosen[i]:
            run += 1
        parts.append(f"{run} x {in_words(game, grid.policy(int(chosen[i])))}")
        i += run
    return parts
