"""Rewards of shapers and yardsticks from common starts, more of them until the intervals are narrow."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from rfos._system.arrays import Float
from rfos.laboratory.shaping_study.progress import Say, quiet
from rfos.laboratory.shaping_study.request import ShapingRequest
from rfos.metagames.continuous import RollOut, hold
from rfos.metagames.estimates import Returns, interval, paired
from rfos.metagames.policy import PolicyMetaGame
from rfos.metagames.shaper import Shaper
from rfos.metagames.yardsticks import constant_shapers, learning_shapers

PRECISION = 0.005
"""Half-width at which no more starts are added, in spreads of the rows printed (from the worst row to the best)."""

CONFIDENCE = 0.95
"""Of all looks together."""


@dataclass(frozen=True, eq=False)
class Measured:
    """Rows and roll-outs at the look where the intervals were narrow enough, or at the last one.

    Attributes
    ----------
    continuous, yardsticks : tuple of Returns
        What the shapers earn, and what simpler ones do.
    played : mapping of str to RollOut
        By the way of playing.
    n_starts : int
    confidence : float in (0, 1)
        Of each look.
    """

    continuous: tuple[Returns, ...]
    yardsticks: tuple[Returns, ...]
    played: Mapping[str, RollOut]
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


def measure(
    meta_game: PolicyMetaGame,
    shapers: Mapping[str, Shaper],
    starts: Sequence[Float],
    looks: Sequence[int],
    request: ShapingRequest,
    progress: Say | None = None,
) -> Measured:
    """Play from the starts, more at each look, until the intervals are narrow (`Answer` says how that is honest).

    Parameters
    ----------
    meta_game : PolicyMetaGame
        Lumped.
    shapers : mapping of str to Shaper
    starts : sequence of ndarray, shapes (N, S, A_i)
        The opponents' first policies, as many as the last look has.
    looks : sequence of int
        Increasing numbers of starts.
    request : ShapingRequest
        For its steps and seed.
    progress : callable, optional
    """
    say = progress or quiet
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
        found = Measured(
            tuple(Returns(name, roll.mean_rewards) for name, roll in played.items()),
            (*(Returns(name, rows) for (name, _), rows in zip(constant, held, strict=True)), *learning),
            dict(played),
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
