"""What is asked about shaping: a game, who learns in it, and how finely it is looked at."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from rfos._system import checks
from rfos.games.strategies import STRATEGIES
from rfos.metagames.learners import NAMED_LEARNERS, Fixed, Learner, named_learner


@dataclass(frozen=True)
class ShapingRequest:
    """What `shaping_study`, and so `rfos solve`, is asked for.

    Attributes
    ----------
    game, opponent : str
        Names of a game and of how the opponents learn (`learner_of`).
    levels : str, optional
        Levels per probability: how many, or which, by commas. By default as many as are solved in seconds
        (`rfos.metagames.sizes.quick_levels`).
    rounding : {"barycentric", "nearest"}
    discount, inner_discount : float in [0, 1)
        With `inner_discount` 0 the game is played once, else iterated, with memory-one policies.
    joint : bool
        Whether the meta-state is the joint policy last played, as in the papers, or the opponents' alone.
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
        Root of the random starts.

    Raises
    ------
    ValueError
        If starts, steps, epsilon or reset are out of range. Everything else is checked by `build`.

    Examples
    --------
    >>> ShapingRequest("chicken", inner_discount=0.0, steps=40).opponent
    'naive'
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
        checks.kind("game", self.game, str, mend="give a name in quotes, such as 'chicken'")
        checks.kind("opponent", self.opponent, str, mend="give a name in quotes, such as 'naive'")
        if self.levels is not None:
            checks.kind("levels", self.levels, str, mend="give text such as '5' or '0.02,0.5,0.98'")
        for name, number in (("starts", self.starts), ("steps", self.steps)):
            if number is not None:
                checks.whole(name, number, give="at least 1")
        if not 0 < self.epsilon < math.inf:
            raise ValueError(f"epsilon is {self.epsilon!r}: give a positive width, in units of value")
        if self.reset not in ("random", "move"):
            raise ValueError(f"reset is {self.reset!r}: choose random or move")


def learner_of(name: str, step: float | None = None) -> Learner:
    """Return the learner of a name; whoever plays one of `STRATEGIES` never learns.

    Raises
    ------
    ValueError
        If the name is unknown; the message lists the names. Or a step size is given to one that takes no such steps.

    Examples
    --------
    >>> learner_of("tit-for-tat")
    Fixed()
    """
    if name in STRATEGIES:
        if step is not None:
            raise ValueError(f"{name} never learns: leave the step out, or choose naive or lola")
        return Fixed()
    if name not in NAMED_LEARNERS:
        learners, fixed = ", ".join(NAMED_LEARNERS), ", ".join(STRATEGIES)
        raise ValueError(f"unknown opponent {name!r}: choose one of {learners}, or one that never learns: {fixed}")
    return named_learner(name, step)
