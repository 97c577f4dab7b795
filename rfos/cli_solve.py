"""The command `rfos solve`: a Case I meta-game, its certified value, and what it is worth in the continuous game."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from rfos import plots
from rfos._files import atomic
from rfos.continuous import random_starts, roll_out
from rfos.discretisation import DiscretisationError, discretisation_error
from rfos.games import named_game
from rfos.grids import LevelGrid, SimplexGrid
from rfos.learners import NAMED_LEARNERS, Fixed, Learner, named_learner
from rfos.planning import solve
from rfos.policy_metagames import SECONDS_PER_PAIR, PolicyMetaGame, even_grid, inner_game, require_levels
from rfos.shaping import (
    STRATEGIES,
    Earned,
    discounted_value,
    earned,
    equilibria,
    in_numbers,
    in_words,
    strategy,
    yardsticks,
)
from rfos.stochastic_games import StochasticGame

Float = NDArray[np.float64]

LONGEST = 600.0
"""Seconds of evaluating pairs one by one above which a request is refused."""

LONGEST_ROLL_OUT = 60.0
"""Seconds that looking ahead without a kernel may take; fewer starts are played where all would take longer."""

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


LOOK_AHEAD, PROJECTED = "one-step look-ahead", "policy of the nearest grid point"
"""How a solution on the grid is played off the grid."""


@dataclass(frozen=True)
class Request:
    """What `rfos solve` was asked for."""

    game: str
    opponent: str = "naive"
    levels: str = "5"
    rounding: Literal["barycentric", "nearest"] = "barycentric"
    discount: float = 0.99
    inner_discount: float = 0.96
    joint: bool = False
    starts: int = 64
    steps: int = 100
    seed: int = 0


@dataclass(frozen=True)
class Answer:
    """What `rfos solve` found; values are rewards per inner step, (1-discount) V, as certified ends.

    `start_value` is that of the grid point `start`, written from the opponents' own sides; `mean_value` is the mean
    over grid points. `promised`, the value on the grid, and `discounted`, what `played` earns in the continuous game,
    are means over the same random starts, and so comparable; `n_discounted` says over how many steps and starts.
    `worth` is the mean reward of `shaper`, the better way of playing in `continuous`, less that of `best`, the best
    yardstick against the same opponent. `policies` (T, S, A_i) of each player, the shaper first, and `rewards`
    (T, n_players) are those of the first roll-out of `shaper`.
    """

    request: Request
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
    shaper: str
    best: str
    promised: tuple[float, float]
    discounted: tuple[float, float]
    played: str
    n_discounted: tuple[int, int]
    moves: tuple[tuple[str, ...], ...]
    discretisation: DiscretisationError
    n_starts: int
    notes: tuple[str, ...]
    warnings: tuple[str, ...]
    policies: tuple[Float, ...]
    rewards: Float
    seconds: float


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


def learner_of(name: str) -> Learner:
    """Return the learner of a name; whoever plays one of `STRATEGIES` never learns.

    Raises
    ------
    ValueError
        If the name is unknown; the message lists the names.
    """
    if name in STRATEGIES:
        return Fixed()
    if name not in NAMED_LEARNERS:
        learners, fixed = ", ".join(NAMED_LEARNERS), ", ".join(STRATEGIES)
        raise ValueError(f"unknown opponent {name!r}: choose one of {learners}, or one that never learns: {fixed}")
    return named_learner(name)


def answer(request: Request, say: Callable[[str], None]) -> Answer:
    """Build, solve and roll out the meta-game of a request.

    Raises
    ------
    ValueError, MemoryError
        If the request is out of range or too large; nothing has been allocated then.
    """
    began = time.perf_counter()
    levels = read_levels(request.levels)
    learner = learner_of(request.opponent)
    stage = named_game(request.game)
    learners = [learner] * (stage.n_players - 1)
    count = len(levels) if len(levels) > 1 else int(levels[0])
    require_levels(
        stage,
        request.inner_discount != 0,
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
    starts = _starts(game, request)
    error = discretisation_error(built, 1e-3)
    size = built.size_estimate()
    say(f"{size.n_states:,} meta-states, {size.n_actions:,} meta-actions, {size.needed / 2**20:,.1f} MiB")
    mdp = built.to_mdp()
    say("table filled")
    solution = solve(mdp, tol=1e-3)
    say(f"solved in {solution.iterations} iterations")
    meta_game = replace(built, joint=False)
    # Every number below is a few sums of numbers of this size, which rounding moves by far less than `slack`.
    slack = 1e-12 * max(map(abs, game.reward_range(0)))
    lower, upper, ahead, policy = solution.lower, solution.upper, solution.value, solution.policy
    if request.joint:
        # Where the opponents' policies are known, values are one backup away, and they are what is played with (G2).
        lower, upper, ahead = (built.known(v) for v in (lower, upper, ahead))
        policy = ahead.argmax(axis=1)
        lower, upper, ahead = (q.max(axis=1) for q in (lower, upper, ahead))
    low, high = (1 - request.discount) * lower - slack, (1 - request.discount) * upper + slack
    fair = [np.full((game.n_states, n), 1 / n) for n in game.n_actions[1:]]
    start = meta_game.nearest([each[0] for each in starts] if request.opponent in STRATEGIES else fair)
    affordable = affordable_starts(meta_game, request)
    notes: list[str] = []
    if request.opponent not in STRATEGIES and 0 < affordable < request.starts:
        starts = [each[:affordable] for each in starts]
    steps = request.steps
    continuous: list[Earned] = []
    played = {PROJECTED: roll_out(meta_game, starts, policy=policy, steps=steps)}
    say("rolled out at grid points")
    if affordable:
        played[LOOK_AHEAD] = roll_out(meta_game, starts, values=ahead, steps=steps)
        continuous.append(earned(LOOK_AHEAD, played[LOOK_AHEAD].mean_rewards))
        say("rolled out with look-ahead")
    else:
        notes.append("one-step look-ahead is left out: no kernel evaluates this game, and it would take too long")
    continuous.append(earned(PROJECTED, played[PROJECTED].mean_rewards))
    few, lasting = (
        [each[: DISCOUNTED_STARTS[meta_game.dynamics is None]] for each in starts],
        _lasting(request.discount),
    )
    long = replace(request, steps=lasting, starts=len(few[0]))
    top = max(continuous, key=lambda row: row.shaper[0])
    looked = top.name == LOOK_AHEAD and affordable_starts(meta_game, long) == len(few[0])
    way: dict[str, Any] = {"values": ahead} if looked else {"policy": policy}
    ends = discounted_value(meta_game, roll_out(meta_game, few, steps=lasting, **way).rewards)
    promised = _promised(meta_game, few, low), _promised(meta_game, few, high)
    discounted = float(ends[0].mean()), float(ends[1].mean())
    say("rolled out with the discount")
    if equilibria(game) is None:
        notes.append("no row for Nash equilibria: they need nashpy or quantecon, pip install 'rfos[interop]'")
    beside = yardsticks(meta_game, starts, steps=steps, rng=request.seed + 1)
    best = max((row for row in beside if row.same_opponent), key=lambda row: row.shaper[0])
    rows = [row.shaper[0] for row in (*continuous, *beside) if row.same_opponent]
    shown = played[top.name]
    own = np.array([grids[0].policy(int(action)) for action in shown.moves[0]])
    frozen = built.frozen_share
    warnings = []
    if frozen > FROZEN and request.rounding == "nearest":
        warnings.append(
            f"frozen learners: nearest rounding leaves {frozen:.1%} of pairs where they are; the value on the grid is "
            "an artefact of rounding, believe the continuous game"
        )
    more = promised[0] - discounted[1]
    if more > max(INVENTED * (max(rows) - min(rows)), 1e-6 * float(np.ptp(game.reward_range(0)))):
        warnings.append(
            f"the grid promises at least {more:.3f} a step more than its policy earns in the continuous game: an "
            "artefact of the grid, believe the continuous game"
        )
    return Answer(
        request=request,
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
        continuous=tuple(continuous),
        yardsticks=tuple(beside),
        worth=top.shaper[0] - best.shaper[0],
        shaper=top.name,
        best=best.name,
        promised=promised,
        discounted=discounted,
        played=LOOK_AHEAD if looked else PROJECTED,
        n_discounted=(lasting, len(few[0])),
        moves=tuple(
            (_listed(game, [each[n] for each in starts]), *_first_moves(game, grids[0], shown.moves[n]))
            for n in range(min(3, len(shown.moves)))
        ),
        discretisation=error,
        n_starts=len(starts[0]),
        notes=tuple(notes),
        warnings=tuple(warnings),
        policies=(own, *(path[0] for path in shown.policies)),
        rewards=shown.rewards[0],
        seconds=time.perf_counter() - began,
    )


def _starts(game: StochasticGame, request: Request) -> list[Float]:
    """Return the opponents' first policies; an opponent with a fixed strategy has only that one."""
    if request.opponent in STRATEGIES:
        return [strategy(game, player, request.opponent)[None] for player in range(1, game.n_players)]
    return random_starts(game, request.starts, request.seed)


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


def affordable_starts(meta_game: PolicyMetaGame, request: Request) -> int:
    """Return from how many starts looking ahead is affordable; 0 where not from two, which an interval needs."""
    if meta_game.dynamics is not None:
        return request.starts
    opponents = meta_game.game.n_players - 1
    seconds = meta_game.n_actions * request.steps * SECONDS_PER_PAIR * opponents
    count = min(request.starts, int(LONGEST_ROLL_OUT / seconds))
    return count if count >= min(2, request.starts) else 0


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


def show(found: Answer, echo: Callable[[str], None]) -> None:
    """Print an answer."""
    r = found.request
    echo(
        f"{r.game} against {r.opponent}, {r.levels} levels, {r.rounding} rounding, discount {r.discount:g}, inner "
        f"discount {r.inner_discount:g}; rewards per inner step\n"
    )
    echo(f"meta-states {found.n_states:,}, meta-actions {found.n_actions:,}, {found.bytes / 2**20:,.1f} MiB")
    echo(f"frozen moves: nearest rounding leaves {found.frozen_share:.1%} of pairs where they are")
    stop = "" if found.converged else ", NOT converged"
    echo(f"solved by {found.method} in {found.iterations} iterations{stop}, {found.accuracy}\n")
    echo("on the grid, certified")
    for what, ends in (
        (f"from its point {found.start}", found.start_value),
        ("mean over its points", found.mean_value),
    ):
        echo(f"  {what:46} {ends[0]:9.4f} to {ends[1]:.4f}")
    error = found.discretisation
    if error.statement is None:
        echo(f"discretisation error: does not apply, because {error.reason}")
    else:
        listed = ", ".join(f"{name} {value:.4g}" for name, value in error.constants.items())
        listed += f" ({error.reason})" if error.reason else ""
        below, above, loss = ((1 - r.discount) * (x or 0.0) for x in (error.lower, error.upper, error.loss))
        if error.vacuous:
            echo(
                f"discretisation error, {error.statement}: vacuous here (it allows the whole span of values); {listed}"
            )
        else:
            echo(f"discretisation error, {error.statement}: V* is within -{below:.3g} and +{above:.3g} a step")
            echo(f"  of the value on the grid; {listed}")
            if (error.loss or 0.0) < error.limit:
                echo(f"  its policy, played at the nearest grid point, loses at most {loss:.3g} a step there (D3)")
            else:
                echo("  what its policy, played at the nearest grid point, loses there: D3 is vacuous")
    whence = f"against {r.opponent}" if r.opponent in STRATEGIES else f"from {found.n_starts} random starts"
    width = max(len(_label(row)) for row in (*found.continuous, *found.yardsticks))
    for title, rows in (
        (f"in the continuous game, mean of {r.steps} steps {whence}", found.continuous),
        ("yardsticks, the opponent learning against each", found.yardsticks),
    ):
        echo(f"\n{title}\n  {'':{width}} {'shaper':>27} {'opponent':>27}")
        for row in rows:
            own, other = (_interval(*ends) for ends in (row.shaper, row.opponent))
            echo(f"  {_label(row):{width}} {own:>27} {other:>27}")
    echo(f"\nshaping ({found.shaper}) is worth {found.worth:+.3f} a step over the best yardstick")
    echo(f"  against this opponent, {found.best}")
    lasting, n = found.n_discounted
    echo(f"discounted by {r.discount:g} a step, " + (f"mean over {n} of these starts" if n > 1 else "from its start"))
    rounded = "of the nearest point" if r.rounding == "nearest" else "interpolated"
    for what, ends in (
        (f"promised by the grid, {rounded}", found.promised),
        (f"earned in the continuous game, {found.played}", found.discounted),
    ):
        echo(f"  {what:70} {ends[0]:9.4f} to {ends[1]:.4f}")
    echo(f"  (of what is earned {lasting} steps are played, and the rest bounded)")
    for warning in found.warnings:
        echo(f"WARNING: {warning}")
    for note in found.notes:
        echo(note)
    echo(f"\nfirst moves of the {found.shaper}; C is action 0, D action 1, the own one first")
    for whose, *moves in found.moves:
        echo(f"  opponents starting at {whose}")
        for words in moves:
            echo(f"    {words}")
    echo(f"\n{found.seconds:.1f} s")


def _label(row: Earned) -> str:
    return row.name if row.same_opponent else f"{row.name} (other opponents)"


def _interval(mean: float, low: float, high: float) -> str:
    return f"{mean:.3f}" if math.isnan(low) else f"{mean:.3f} ({low:.3f} to {high:.3f})"


def draw(found: Answer, out: Path) -> None:
    """Write the figure of the first roll-out to a folder."""
    r = found.request
    title = f"{r.game} against {r.opponent}, {found.shaper}"
    figure = plots.shaping_trajectory(inner_game(r.game, r.inner_discount), found.policies, found.rewards, title)
    out.mkdir(parents=True, exist_ok=True)
    for suffix in (".png", ".svg"):
        with atomic(out / f"trajectory{suffix}") as path:
            figure.savefig(path, dpi=160)


def as_json(found: Answer) -> str:
    """Return an answer as one JSON object; what is not a finite number is null."""

    def plain(value: Any) -> Any:
        if isinstance(value, np.ndarray):
            return plain(value.tolist())
        if isinstance(value, dict):
            return {key: plain(part) for key, part in value.items()}
        if isinstance(value, list | tuple):
            return [plain(part) for part in value]
        return None if isinstance(value, float) and not math.isfinite(value) else value

    return json.dumps(plain(asdict(found)), allow_nan=False)
