"""The answer of a study: what shaping is worth in a game, in numbers and words."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any

import numpy as np

from rfos._system.arrays import Float, floats
from rfos._system.display import page
from rfos.games.stochastic import StochasticGame
from rfos.laboratory.shaping_study.compare import Compared, OtherLevels
from rfos.laboratory.shaping_study.levels import in_words
from rfos.laboratory.shaping_study.request import ShapingRequest
from rfos.laboratory.shaping_study.words import inner_in_words, moves_in_words, opponents_in_numbers
from rfos.metagames.discretisation import DiscretisationError
from rfos.metagames.estimates import Earned
from rfos.metagames.shaper import Shaper

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True, eq=False)
class Answer:
    """What a study found; values are rewards per inner step, (1-discount) V, as certified ends.

    `start_value` is that of the grid point `start`, written from the opponents' own sides; `mean_value` is the mean
    over grid points. `promised`, the value on the grid, and `discounted`, what `played` earns in the continuous game,
    are means over the same random starts, and so comparable; `n_discounted` says over how many steps and starts.
    `worth` is how much more per step `shaper`, the better way of playing in `continuous`, earns than `best`, the best
    yardstick against the same opponent, and `worth_interval` the ends of its interval: differences from the
    `n_paired` starts that both have in common are the sample. `policies` (T, S, A_i) of each player, the shaper first,
    and `rewards` (T, n_players) are those of the first roll-out of `shaper`, which `solution` plays.

    Unless a number of starts was asked for, it is doubled from `starts.FEWEST_STARTS` until the half-widths of
    `worth_interval` and of the two rows that it compares are at most `target`, or there have been `looks` looks. Who
    stops when an interval pleases has one that holds too rarely; so those of every look are t intervals at level
    `confidence` = 1 - 0.05 / `looks`, the most looks there can be, such that with probability 0.95 one holds at all of
    them, whichever is the last. They are of one row each, not of all rows at once.
    """

    request: ShapingRequest
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

    def __post_init__(self) -> None:
        """Take read-only copies."""
        object.__setattr__(self, "policies", tuple(floats("policies", policy) for policy in self.policies))
        object.__setattr__(self, "rewards", floats("rewards", self.rewards))

    @property
    def game(self) -> StochasticGame:
        """The inner game."""
        return self.solution.meta_game.game

    def summary(self) -> dict[str, Any]:
        """Return all but the shaper itself, by name: what `rfos solve --json` writes."""
        return {field.name: getattr(self, field.name) for field in fields(self) if field.name != "solution"}

    def to_frame(self) -> pd.DataFrame:
        """Return the rows as a table: ways of playing first, then yardsticks.

        Returns
        -------
        DataFrame
            Columns kind ("shaper" or "yardstick"), name, shaper, shaper_low, shaper_high, opponent, opponent_low,
            opponent_high (means per inner step, of several opponents their mean, and the ends of their intervals, NaN
            without two starts), same_opponent, n_starts.
        """
        import pandas as pd

        rows = [
            *(("shaper", row) for row in self.continuous),
            *(("yardstick", row) for row in self.yardsticks),
        ]
        names = ("", "_low", "_high")
        return pd.DataFrame(
            [
                {
                    "kind": kind,
                    "name": row.name,
                    **{f"shaper{name}": x for name, x in zip(names, row.shaper, strict=True)},
                    **{f"opponent{name}": x for name, x in zip(names, row.opponent, strict=True)},
                    "same_opponent": row.same_opponent,
                    "n_starts": row.n_starts,
                }
                for kind, row in rows
            ]
        )

    def __repr__(self) -> str:
        """Return the worth on one line."""
        low, high = self.worth_interval
        ends = "" if np.isnan(low) else f" ({low:.3f} to {high:.3f})"
        r = self.request
        return f"<Answer {r.game} against {r.opponent}: shaping is worth {self.worth:+.3f}{ends} a step>"

    def _repr_html_(self) -> str:
        """Return the worth, the warnings and the rows, for a notebook."""
        return page(repr(self), self.to_frame(), [f"WARNING: {warning}" for warning in self.warnings])


def answer_of(compared: Compared, seconds: float = 0.0) -> Answer:
    """Return what a study found, flat, as `rfos solve` prints it.

    Parameters
    ----------
    compared : Compared
        The last part of the study; it leads to all others.
    seconds : float
        How long the study took.
    """
    played = compared.played
    solved, measured = played.solved, played.measured
    built = solved.built
    game, request, solution, grid = built.game, built.request, solved.solution, built.lumped.grids[0]
    top, best, shown = measured.top, measured.best, played.shown
    own = np.array([grid.policy(int(action)) for action in shown.moves[0]])
    return Answer(
        request=request,
        inner=inner_in_words(request),
        levels=in_words(built.levels),
        n_states=built.size.n_states,
        n_actions=built.size.n_actions,
        bytes=built.mdp.nbytes,
        frozen_share=built.frozen_share,
        method=solution.method,
        iterations=solution.iterations,
        converged=solution.converged,
        accuracy=solution.accuracy.value,
        start=opponents_in_numbers(game, built.lumped.policies(solved.start)),
        start_value=solved.start_value,
        mean_value=solved.mean_value,
        continuous=tuple(row.earned(measured.confidence) for row in measured.continuous),
        yardsticks=tuple(row.earned(measured.confidence) for row in measured.yardsticks),
        worth=compared.worth[0],
        worth_interval=compared.worth[1:],
        n_paired=compared.n_paired,
        shaper=top.name,
        best=best.name,
        promised=played.promised,
        discounted=played.discounted,
        played=played.way,
        n_discounted=played.n_discounted,
        moves=tuple(
            (
                opponents_in_numbers(game, [each[n] for each in played.starts]),
                *moves_in_words(game, grid, shown.moves[n]),
            )
            for n in range(min(3, len(shown.moves)))
        ),
        discretisation=built.discretisation,
        other_levels=compared.other_levels,
        n_starts=measured.n_starts,
        looks=len(built.looks),
        confidence=measured.confidence,
        target=measured.target,
        notes=compared.notes,
        warnings=compared.warnings,
        policies=(own, *(path[0] for path in shown.policies)),
        rewards=shown.rewards[0],
        seconds=seconds,
        solution=solved.shapers[top.name],
    )
