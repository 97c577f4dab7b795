"""The third step of a study: the shapers in the continuous game, and what the grid had promised."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from rfos._system import checks
from rfos._system.arrays import Float
from rfos.laboratory.shaping_study.measure import Measured, measure
from rfos.laboratory.shaping_study.progress import Say, quiet
from rfos.laboratory.shaping_study.solve import LOOK_AHEAD, PROJECTED, Solved
from rfos.laboratory.shaping_study.starts import affordable_starts
from rfos.metagames.continuous import RollOut
from rfos.metagames.policy import PolicyMetaGame
from rfos.metagames.yardsticks import discounted_value

TAIL = 0.02
"""Share of the range of rewards that discounted roll-outs leave out at most, unless `LONGEST_PLAY` ends them."""

LONGEST_PLAY = 1000
"""Most steps of a discounted roll-out."""

DISCOUNTED_STARTS = 16, 4
"""Starts of which the discounted value is computed, beside that on the grid, with a kernel and without."""


@dataclass(frozen=True, eq=False)
class Played:
    """What the shapers of a solution earn in the continuous game.

    Attributes
    ----------
    solved : Solved
    measured : Measured
        Rewards from common random starts, of the shapers and of yardsticks.
    starts : tuple of ndarray, shapes (N, S, A_i)
        Those that were played.
    promised : tuple of float
        Certified ends of the mean value on the grid at the first starts, per inner step, (1-discount) V.
    discounted : tuple of float
        Ends of what is earned from these starts in the continuous game, discounted likewise.
    way : str
        How it was played there, `LOOK_AHEAD` or `PROJECTED`.
    n_discounted : tuple of int
        Over how many steps and starts.
    """

    solved: Solved
    measured: Measured
    starts: tuple[Float, ...]
    promised: tuple[float, float]
    discounted: tuple[float, float]
    way: str
    n_discounted: tuple[int, int]

    @property
    def shown(self) -> RollOut:
        """The roll-outs of the better way of playing."""
        return self.measured.played[self.measured.top.name]

    def __repr__(self) -> str:
        """Return what the better way of playing earns, on one line."""
        r, row = self.solved.built.request, self.measured.top
        earned = float(row.rewards[:, 0].mean())
        return f"<Played {r.game} against {r.opponent}: {row.name} earns {earned:.3f} a step>"


def play(solved: Solved, progress: Say | None = None) -> Played:
    """Play the shapers and the yardsticks from random starts, and the better shaper with the discount.

    Examples
    --------
    Matching Pennies once, pure policies or a coin: the shaper earns at least what a coin does.

    >>> from rfos.laboratory.shaping_study.build import build
    >>> from rfos.laboratory.shaping_study.request import ShapingRequest
    >>> from rfos.laboratory.shaping_study.solve import solve_meta_game
    >>> request = ShapingRequest("matching-pennies", levels="3", inner_discount=0.0, discount=0.5, starts=2, steps=2)
    >>> played = play(solve_meta_game(build(request)))
    >>> played.measured.n_starts, bool(played.measured.top.rewards[:, 0].mean() >= 0.5)
    (2, True)
    """
    checks.kind("solved", solved, Solved, mend="solve_meta_game(built) makes one")
    say = progress or quiet
    built = solved.built
    request, lumped = built.request, built.lumped
    measured = measure(lumped, solved.shapers, built.starts, built.looks, request, say)
    starts = tuple(each[: measured.n_starts] for each in built.starts)
    few, lasting = [each[: DISCOUNTED_STARTS[lumped.dynamics is None]] for each in starts], _lasting(request.discount)
    looked = measured.top.name == LOOK_AHEAD and affordable_starts(lumped, lasting, len(few[0])) == len(few[0])
    way = LOOK_AHEAD if looked else PROJECTED
    ends = discounted_value(lumped, solved.shapers[way].play(few, lasting).rewards)
    say("rolled out with the discount")
    return Played(
        solved=solved,
        measured=measured,
        starts=starts,
        promised=(promised(lumped, few, solved.lower), promised(lumped, few, solved.upper)),
        discounted=(float(ends[0].mean()), float(ends[1].mean())),
        way=way,
        n_discounted=(lasting, len(few[0])),
    )


def _lasting(discount: float) -> int:
    """Return the steps after which what is left of a discounted sum is a share of at most `TAIL`."""
    return 1 if discount == 0 else min(LONGEST_PLAY, math.ceil(math.log(TAIL) / math.log(discount)))


def promised(meta_game: PolicyMetaGame, starts: Sequence[Float], values: Float) -> float:
    """Return the mean of values (X,) on the grid at starts of shapes (N, S, A_i), rounded as the meta-game rounds."""
    found = []
    for n in range(len(starts[0])):
        states, weights = meta_game.rounded([each[n] for each in starts])
        found.append(float(weights @ values[states]))
    return float(np.mean(found))
