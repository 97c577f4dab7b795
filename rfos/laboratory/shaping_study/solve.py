"""The second step of a study: certified values on the grid, and the ways to play them between its points."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np

from rfos._system import checks
from rfos._system.arrays import Float, floats
from rfos.games.strategies import STRATEGIES
from rfos.laboratory.shaping_study.build import Built
from rfos.laboratory.shaping_study.progress import Say, quiet
from rfos.laboratory.shaping_study.starts import affordable_starts
from rfos.metagames.shaper import Shaper
from rfos.planning.solution import Solution
from rfos.planning.solve import solve

LOOK_AHEAD, PROJECTED = "one-step look-ahead", "policy of the nearest grid point"
"""How a solution on the grid is played off the grid."""


@dataclass(frozen=True, eq=False)
class Solved:
    """A meta-game with its values.

    Attributes
    ----------
    built : Built
    solution : Solution
        Of `built.mdp`.
    lower, upper : ndarray, shape (X,)
        Certified ends of the value of each grid point where the opponents' policies are known, as rewards per inner
        step, (1-discount) V.
    start : int
        The grid point at uniform policies, or at the strategy of an opponent that never learns.
    shapers : mapping of str to Shaper
        By the way of playing: `LOOK_AHEAD` (left out where it would take too long), `PROJECTED`.
    """

    built: Built
    solution: Solution
    lower: Float
    upper: Float
    start: int
    shapers: Mapping[str, Shaper]

    def __post_init__(self) -> None:
        """Take read-only copies."""
        for name in ("lower", "upper"):
            object.__setattr__(self, name, floats(name, getattr(self, name)))
        object.__setattr__(self, "shapers", MappingProxyType(dict(self.shapers)))

    @property
    def start_value(self) -> tuple[float, float]:
        """Certified ends of the value at `start`, per inner step."""
        return float(self.lower[self.start]), float(self.upper[self.start])

    @property
    def mean_value(self) -> tuple[float, float]:
        """Certified ends of the mean value over grid points, per inner step."""
        return float(self.lower.mean()), float(self.upper.mean())

    def __repr__(self) -> str:
        """Return what the mean value is, on one line."""
        low, high = self.mean_value
        r = self.built.request
        return f"<Solved {r.game} against {r.opponent}: mean value {low:.4f} to {high:.4f} a step, on the grid>"


def value_slack(built: Built) -> float:
    """Return by how much, at most, rounding moves the mean of some values per step.

    Every number of a study is a few sums of numbers of the size of a reward, which rounding moves by far less.
    """
    return float(1e-12 * max(map(abs, built.game.reward_range(0))))


def solve_meta_game(built: Built, progress: Say | None = None) -> Solved:
    """Return the meta-game's values, each in a certified bracket `request.epsilon` wide, and its shapers.

    Examples
    --------
    Matching Pennies once, pure policies or a coin, a naive learner:

    >>> from rfos.laboratory.shaping_study.build import build
    >>> from rfos.laboratory.shaping_study.request import ShapingRequest
    >>> request = ShapingRequest("matching-pennies", levels="3", inner_discount=0.0, discount=0.5, starts=2, steps=2)
    >>> solve_meta_game(build(request)).solution.converged
    True
    """
    checks.kind("built", built, Built, mend="build(request) makes one")
    say = progress or quiet
    request, lumped, game = built.request, built.lumped, built.game
    solution = solve(built.mdp, tol=request.epsilon)
    say(f"solved in {solution.iterations} iterations")
    lower, upper, ahead, policy = solution.lower, solution.upper, solution.value, solution.policy
    if request.joint:
        # Where the opponents' policies are known, values are one backup away, and they are what is played with (G2).
        lower, upper, ahead = (built.meta_game.known(v) for v in (lower, upper, ahead))
        policy = ahead.argmax(axis=1)
        lower, upper, ahead = (q.max(axis=1) for q in (lower, upper, ahead))
    slack = value_slack(built)
    shapers = {LOOK_AHEAD: Shaper(lumped, values=ahead), PROJECTED: Shaper(lumped, policy=policy)}
    if not affordable_starts(lumped, request.steps, built.looks[-1]):
        del shapers[LOOK_AHEAD]
    fair = [np.full((game.n_states, n), 1 / n) for n in game.n_actions[1:]]
    start = lumped.nearest([each[0] for each in built.starts] if request.opponent in STRATEGIES else fair)
    return Solved(
        built=built,
        solution=solution,
        lower=(1 - request.discount) * lower - slack,
        upper=(1 - request.discount) * upper + slack,
        start=int(start),
        shapers=shapers,
    )
