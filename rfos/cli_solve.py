"""The command `rfos solve`: a Case I meta-game, its certified value, and what it is worth in the continuous game."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

from rfos import plots
from rfos._files import atomic
from rfos.discretisation import DiscretisationError, discretisation_error
from rfos.grids import LevelGrid, SimplexGrid
from rfos.learners import named_learner
from rfos.planning import solve
from rfos.policy_metagames import SECONDS_PER_PAIR, PolicyMetaGame, even_grid, inner_game
from rfos.shaping import Earned, earned, random_starts, roll_out, trajectory, yardsticks
from rfos.stochastic_games import StochasticGame

LONGEST = 600.0
"""Seconds of evaluating pairs one by one above which a request is refused."""

FROZEN = 0.05
"""Share of frozen moves above which a warning is due."""


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
    """What `rfos solve` found; values are rewards per inner step, (1-discount) V."""

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
    path: tuple[tuple[tuple[float, ...], ...], tuple[tuple[float, ...], ...]] | None
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
    _refuse(meta_game, request)
    say(f"{size.n_states:,} meta-states, {size.n_actions:,} meta-actions, {size.needed / 2**20:,.1f} MiB")
    mdp = meta_game.to_mdp()
    say("table filled")
    tol = 1e-3
    solution = solve(mdp, tol=tol)
    say(f"solved in {solution.iterations} iterations")
    per_step = 1 - request.discount
    low, high = per_step * solution.lower, per_step * solution.upper
    fair = [np.full((game.n_states, n), 1 / n) for n in game.n_actions[1:]]
    start = 0 if request.joint else meta_game.nearest(fair)
    dynamics = meta_game.dynamics
    continuous: list[Earned] = []
    beside: list[Earned] = []
    moves: list[str] = []
    path = None
    if dynamics is not None and not request.joint:
        starts = random_starts(game, request.starts, request.seed)
        values = solution.value
        ahead, chosen = roll_out(
            dynamics, starts, values=values, policy=None, discount=request.discount, steps=request.steps
        )
        projected, _ = roll_out(
            dynamics, starts, values=None, policy=solution.policy, discount=request.discount, steps=request.steps
        )
        continuous = [earned("one-step look-ahead", ahead), earned("policy of the nearest grid point", projected)]
        beside = yardsticks(
            game,
            learner,
            dynamics,
            starts,
            lambda: grids[0].policy(np.arange(grids[0].n_points))[:, :, 0].copy(),
            steps=request.steps,
            rng=request.seed + 1,
        )
        moves = [_in_words(game, grids[0], chosen[n]) for n in range(min(3, len(starts)))]
        played = [grids[0].policy(int(action)) for action in chosen[0]]
        policies, rewards = trajectory(game, learner, starts[0], played)
        path = (tuple(map(tuple, policies.tolist())), tuple(map(tuple, rewards.tolist())))
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
        discretisation=discretisation_error(meta_game, tol),
        path=path,
        seconds=time.perf_counter() - began,
    )


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


def _in_words(game: StochasticGame, grid: LevelGrid | SimplexGrid, chosen: np.ndarray[Any, Any]) -> str:
    """Return the first different moves of a roll-out, with how often each is repeated."""
    parts: list[str] = []
    i = 0
    while i < len(chosen) and len(parts) < 4:
        run = 1
        while i + run < len(chosen) and chosen[i + run] == chosen[i]:
            run += 1
        policy = grid.policy(int(chosen[i]))[:, 0]
        parts.append(f"{run} x ({', '.join(f'{p:.2g}' for p in policy)})")
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
    if not found.continuous:
        echo("in the continuous game: no kernel rolls out this game and opponent")
    error = found.discretisation
    if error.statement is None:
        echo(f"discretisation error: does not apply, because {error.reason}")
    else:
        listed = ", ".join(f"{name} {value:.4g}" for name, value in error.constants.items())
        below, above, loss = ((1 - r.discount) * (x or 0.0) for x in (error.lower, error.upper, error.loss))
        echo(f"discretisation error, {error.statement}: V* is within -{below:.3g} and +{above:.3g} a step")
        echo(f"  of the value on the grid; {listed}" + (f" ({error.reason})" if error.reason else ""))
        echo(f"  its policy, played at the nearest grid point, loses at most {loss:.3g} a step there (D3)")
    for title, rows in (
        (f"in the continuous game, {r.steps} steps from {r.starts} random starts", found.continuous),
        ("yardsticks, the opponent learning against each", found.yardsticks),
    ):
        if rows:
            echo(f"\n{title}\n  {'':44} {'shaper':>27} {'opponent':>27}")
        for row in rows:
            own, other = ("{:.3f} ({:.3f} to {:.3f})".format(*x) for x in (row.shaper, row.opponent))
            echo(f"  {row.name:44} {own:>27} {other:>27}")
    if found.continuous and found.yardsticks:
        worth = found.continuous[0].shaper[0] - max(row.shaper[0] for row in found.yardsticks)
        promise = found.start_value[0] - found.continuous[0].shaper[0]
        echo(f"\nshaping is worth {worth:+.3f} a step over the best yardstick; the grid promises {promise:+.3f} more")
    for n, words in enumerate(found.moves):
        echo(f"first moves from start {n}: {words}")
    echo(f"\n{found.seconds:.1f} s")


def draw(found: Answer, out: Path) -> bool:
    """Write the figure of the first roll-out to a folder; return whether there was one to draw."""
    if found.path is None:
        return False
    policies, rewards = (np.array(part) for part in found.path)
    game = inner_game(found.request.game, found.request.inner_discount)
    states = ["start", "CC", "CD", "DC", "DD"] if game.n_states == 5 else [str(s) for s in range(game.n_states)]
    assert game.views is not None
    figure = plots.shaping_trajectory(policies[:, game.views[1]], rewards, states)
    out.mkdir(parents=True, exist_ok=True)
    for suffix in (".png", ".svg"):
        with atomic(out / f"trajectory{suffix}") as path:
            figure.savefig(path, dpi=160)
    return True


def as_json(found: Answer) -> str:
    """Return an answer as one JSON object."""
    return json.dumps(asdict(found))
