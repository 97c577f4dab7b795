"""The command `rfos solve`: a Case I meta-game, its certified value, and what it is worth in the continuous game."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from rfos import plots
from rfos._files import atomic
from rfos.continuous import random_starts, roll_out, trajectory
from rfos.discretisation import DiscretisationError, discretisation_error
from rfos.grids import LevelGrid, SimplexGrid
from rfos.learners import named_learner
from rfos.planning import solve
from rfos.policy_metagames import SECONDS_PER_PAIR, PolicyMetaGame, even_grid, inner_game
from rfos.shaping import Earned, earned, equilibria, in_numbers, yardsticks
from rfos.stochastic_games import StochasticGame

Float = NDArray[np.float64]

LONGEST = 600.0
"""Seconds of evaluating pairs one by one above which a request is refused."""

LONGEST_ROLL_OUT = 60.0
"""Seconds that looking ahead without a kernel may take; fewer starts are played where all would take longer."""

FROZEN = 0.05
"""Share of frozen moves above which a warning is due."""

INVENTED = 0.1
"""Share of the range of rewards by which the grid may promise more than is earned, before a warning is due."""


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
    """What `rfos solve` found; values are rewards per inner step, (1-discount) V.

    `policies` (T, S, A_i) of each opponent and `rewards` (T, n_players) are the first roll-out's.
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
    start_value: tuple[float, float]
    mean_value: tuple[float, float]
    continuous: tuple[Earned, ...]
    yardsticks: tuple[Earned, ...]
    moves: tuple[str, ...]
    discretisation: DiscretisationError
    n_starts: int
    notes: tuple[str, ...]
    policies: tuple[Float, ...]
    rewards: Float
    reward_span: float
    seconds: float


def grid_of(game: StochasticGame, player: int, levels: str) -> LevelGrid | SimplexGrid:
    """Return the grid of a player: K levels, or the levels themselves separated by commas."""
    two = game.n_actions[player] == 2
    try:
        numbers = [float(part) for part in levels.split(",")]
    except ValueError:
        raise ValueError(f"levels is {levels!r}: give a whole number, or probabilities such as 0.02,0.5,0.98") from None
    if len(numbers) > 1:
        if not two:
            raise ValueError(f"levels is {levels!r}: several levels are for two actions, give one number of levels")
        return LevelGrid(game.n_states, tuple(numbers))
    count = int(numbers[0])
    if count != numbers[0] or count < 2:
        raise ValueError(f"levels is {levels!r}: give a whole number of at least 2")
    return even_grid(game, player, count)


def answer(request: Request, say: Callable[[str], None]) -> Answer:
    """Build, solve and roll out the meta-game of a request.

    Raises
    ------
    ValueError, MemoryError
        If the request is out of range or too large; nothing has been allocated then.
    """
    began = time.perf_counter()
    game = inner_game(request.game, request.inner_discount)
    learner = named_learner(request.opponent)
    grids = [grid_of(game, player, request.levels) for player in range(game.n_players)]
    meta_game = PolicyMetaGame(
        game, [learner] * (game.n_players - 1), grids, request.discount, request.rounding, request.joint
    )
    size = meta_game.size_estimate()
    error = discretisation_error(meta_game, 1e-3)
    _refuse(meta_game, request)
    say(f"{size.n_states:,} meta-states, {size.n_actions:,} meta-actions, {size.needed / 2**20:,.1f} MiB")
    mdp = meta_game.to_mdp()
    say("table filled")
    tol = 1e-3
    solution = solve(mdp, tol=tol)
    say(f"solved in {solution.iterations} iterations")
    per_step = 1 - request.discount
    lower, upper, ahead = solution.lower, solution.upper, solution.value
    policy = solution.policy
    if request.joint:
        # Where the opponents' policies are known, values are one backup away, and they are what is played with (G2).
        meta_game = replace(meta_game, joint=False)
        rewards = np.asarray(meta_game.to_mdp().rewards, np.float64)
        shape = rewards.shape
        lower, upper, ahead = ((rewards + request.discount * v.reshape(shape)) for v in (lower, upper, ahead))
        policy = ahead.argmax(axis=1)
        lower, upper, ahead = (q.max(axis=1) for q in (lower, upper, ahead))
    low, high = per_step * lower, per_step * upper
    start = meta_game.nearest([np.full((game.n_states, n), 1 / n) for n in game.n_actions[1:]])
    count = affordable_starts(meta_game, request)
    notes: list[str] = []
    continuous: list[Earned] = []
    starts = random_starts(game, count or request.starts, request.seed)
    steps = request.steps
    projected, chosen = roll_out(meta_game, starts, policy=policy, steps=steps)
    say("rolled out at grid points")
    if count:
        seen, chosen = roll_out(meta_game, starts, values=ahead, steps=steps)
        continuous.append(earned("one-step look-ahead", seen))
        say("rolled out with look-ahead")
    else:
        notes.append("one-step look-ahead is left out: no kernel evaluates this game, and it would take too long")
    continuous.append(earned("policy of the nearest grid point", projected))
    if equilibria(game) is None:
        notes.append("no row for Nash equilibria: they need nashpy or quantecon, pip install 'rfos[interop]'")
    beside = yardsticks(meta_game, starts, steps=steps, rng=request.seed + 1)
    moves = [_in_words(grids[0], chosen[n]) for n in range(min(3, len(chosen)))]
    played = [grids[0].policy(int(action)) for action in chosen[0]]
    policies, paid = trajectory(meta_game, [each[0] for each in starts], played)
    return Answer(
        request=request,
        n_states=size.n_states,
        n_actions=size.n_actions,
        bytes=mdp.nbytes,
        frozen_share=meta_game.frozen_share,
        method=solution.method,
        iterations=solution.iterations,
        converged=solution.converged,
        accuracy=solution.accuracy.value,
        start_value=(float(low[start]), float(high[start])),
        mean_value=(float(low.mean()), float(high.mean())),
        continuous=tuple(continuous),
        yardsticks=tuple(beside),
        moves=tuple(moves),
        discretisation=error,
        n_starts=len(starts[0]),
        notes=tuple(notes),
        policies=tuple(policies),
        rewards=paid,
        reward_span=float(np.ptp(game.reward_range(0))),
        seconds=time.perf_counter() - began,
    )


def affordable_starts(meta_game: PolicyMetaGame, request: Request) -> int:
    """Return from how many starts looking ahead is affordable; 0 where not from two, which an interval needs."""
    if meta_game.dynamics is not None:
        return request.starts
    opponents = meta_game.game.n_players - 1
    seconds = meta_game.n_actions * request.steps * SECONDS_PER_PAIR * opponents
    count = min(request.starts, int(LONGEST_ROLL_OUT / seconds))
    return count if count >= 2 else 0


def _refuse(meta_game: PolicyMetaGame, request: Request) -> None:
    """Raise before anything is allocated if the table does not fit, or would take too long without a kernel."""
    meta_game.require_fit()
    if meta_game.size_estimate().storage == "sparse":
        pairs = meta_game.n_opponent_policies * meta_game.n_actions
        if pairs * SECONDS_PER_PAIR > LONGEST:
            raise ValueError(
                f"{request.levels} levels mean {pairs:,} pairs, about {pairs * SECONDS_PER_PAIR / 3600:.1f} hours: no "
                f"kernel evaluates this game against {request.opponent}; choose fewer levels"
            )


def _in_words(grid: LevelGrid | SimplexGrid, chosen: np.ndarray[Any, Any]) -> str:
    """Return the first different moves of a roll-out, with how often each is repeated."""
    parts: list[str] = []
    i = 0
    while i < len(chosen) and len(parts) < 4:
        run = 1
        while i + run < len(chosen) and chosen[i + run] == chosen[i]:
            run += 1
        parts.append(f"{run} x {in_numbers(grid.policy(int(chosen[i])))}")
        i += run
    return ", then ".join(parts)


def show(found: Answer, echo: Callable[[str], None]) -> None:
    """Print an answer."""
    r = found.request
    echo(
        f"{r.game} against {r.opponent}, {r.levels} levels, {r.rounding} rounding, discount {r.discount:g}, inner "
        f"discount {r.inner_discount:g}; rewards per inner step\n"
    )
    echo(f"meta-states {found.n_states:,}, meta-actions {found.n_actions:,}, {found.bytes / 2**20:,.1f} MiB")
    echo(f"frozen moves: nearest rounding leaves {found.frozen_share:.1%} of pairs where they are")
    if found.frozen_share > FROZEN and r.rounding == "nearest":
        echo("WARNING: frozen learners; the value on the grid is an artefact of rounding, believe the continuous game")
    stop = "" if found.converged else ", NOT converged"
    echo(f"solved by {found.method} in {found.iterations} iterations{stop}, {found.accuracy}\n")
    echo("on the grid")
    echo(f"  from fair opponents        {found.start_value[0]:9.4f} to {found.start_value[1]:.4f}")
    echo(f"  mean over grid points      {found.mean_value[0]:9.4f} to {found.mean_value[1]:.4f}")
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
    for title, rows in (
        (f"in the continuous game, {r.steps} steps from {found.n_starts} random starts", found.continuous),
        ("yardsticks, the opponent learning against each", found.yardsticks),
    ):
        if rows:
            echo(f"\n{title}\n  {'':44} {'shaper':>27} {'opponent':>27}")
        for row in rows:
            own, other = ("{:.3f} ({:.3f} to {:.3f})".format(*x) for x in (row.shaper, row.opponent))
            echo(f"  {row.name:44} {own:>27} {other:>27}")
    for note in found.notes:
        echo(note)
    if found.continuous and found.yardsticks:
        worth = found.continuous[0].shaper[0] - max(row.shaper[0] for row in found.yardsticks)
        promise = found.start_value[0] - found.continuous[0].shaper[0]
        echo(f"\nshaping is worth {worth:+.3f} a step over the best yardstick; the grid promises {promise:+.3f} more")
        if promise > INVENTED * found.reward_span:
            echo("WARNING: that is an artefact of the grid or lies beyond these steps: believe the continuous game")
    for n, words in enumerate(found.moves):
        echo(f"first moves from start {n}: {words}")
    echo(f"\n{found.seconds:.1f} s")


def draw(found: Answer, out: Path) -> None:
    """Write the figure of the first roll-out to a folder."""
    game = inner_game(found.request.game, found.request.inner_discount)
    assert game.views is not None
    if game.n_actions == (2, 2):
        paths = found.policies[0][:, game.views[1], 0]
        names = ["start", "CC", "CD", "DC", "DD"] if game.n_states == 5 else ["probability"]
        title, what = "inner state, own side", "opponent's probability\nof action 0"
    else:
        # Of many inner states the first one, which an iterated game starts from.
        paths = np.concatenate([policy[:, 0, :-1] for policy in found.policies], axis=1)
        names = [f"{i}: {a}" for i, n in enumerate(game.n_actions[1:], start=1) for a in range(n - 1)]
        title, what = "player: action, in the first inner state", "opponents' probabilities"
    figure = plots.shaping_trajectory(paths, found.rewards, names, title, what)
    out.mkdir(parents=True, exist_ok=True)
    for suffix in (".png", ".svg"):
        with atomic(out / f"trajectory{suffix}") as path:
            figure.savefig(path, dpi=160)


def as_json(found: Answer) -> str:
    """Return an answer as one JSON object."""
    plain = asdict(found)
    plain["policies"] = [policy.tolist() for policy in found.policies]
    plain["rewards"] = found.rewards.tolist()
    return json.dumps(plain)
