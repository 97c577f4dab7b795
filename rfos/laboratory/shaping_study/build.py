"""The first step of a study: the meta-game of a request, its table, and where it is played from."""

from __future__ import annotations

from dataclasses import dataclass

from rfos._system import checks
from rfos._system.arrays import Float
from rfos._system.memory import in_digits
from rfos.games.named import named_game
from rfos.games.normal_form import NormalFormGame
from rfos.games.stochastic import StochasticGame
from rfos.laboratory.shaping_study.levels import count_of, grid_of, read_levels
from rfos.laboratory.shaping_study.progress import Say, Share, in_time, quiet
from rfos.laboratory.shaping_study.request import ShapingRequest, learner_of
from rfos.laboratory.shaping_study.starts import looks_of, require_roll_outs, starts_of
from rfos.metagames.discretisation import DiscretisationError, discretisation_error
from rfos.metagames.policy import PolicyMetaGame
from rfos.metagames.sizes import SizeEstimate, inner_game, quick_levels, require_levels
from rfos.planning.mdp import TabularMDP

LONGEST_FILL = 600.0
"""Seconds of evaluating pairs one by one above which a request is refused."""


@dataclass(frozen=True, eq=False)
class Built:
    """A meta-game ready to be solved.

    Attributes
    ----------
    request : ShapingRequest
    stage : NormalFormGame
        The game that is played once, or at every inner step.
    levels : tuple of float
        As `read_levels` returns them.
    meta_game : PolicyMetaGame
        As it was asked for, its state maybe joint.
    lumped : PolicyMetaGame
        The same with the opponents' policies alone as its state, in which shapers play.
    mdp : TabularMDP
        Of `meta_game`.
    size : SizeEstimate
    discretisation : DiscretisationError
        How far values on the grid may be off.
    frozen_share : float in [0, 1]
        Share of pairs in which nearest rounding would leave the opponents where they are.
    looks : tuple of int
        Numbers of starts at which intervals may be looked at.
    starts : tuple of ndarray, shapes (N, S, A_i)
        The opponents' first policies, as many as the last look has.
    """

    request: ShapingRequest
    stage: NormalFormGame
    levels: tuple[float, ...]
    meta_game: PolicyMetaGame
    lumped: PolicyMetaGame
    mdp: TabularMDP
    size: SizeEstimate
    discretisation: DiscretisationError
    frozen_share: float
    looks: tuple[int, ...]
    starts: tuple[Float, ...]

    @property
    def game(self) -> StochasticGame:
        """The inner game."""
        return self.lumped.game

    def __repr__(self) -> str:
        """Return the sizes on one line."""
        r, size = self.request, self.size
        return f"<Built {r.game} against {r.opponent}: {size.n_states:,} meta-states, {size.n_actions:,} meta-actions>"


def build(request: ShapingRequest, progress: Say | None = None) -> Built:
    """Return the meta-game that a request describes, with its table filled.

    Parameters
    ----------
    request : ShapingRequest
    progress : callable, optional
        Called with a sentence now and then.

    Raises
    ------
    ValueError, MemoryError
        If the request is out of range or too large; nothing has been allocated then.

    Examples
    --------
    Matching Pennies once, three levels for each player:

    >>> build(ShapingRequest("matching-pennies", levels="3", inner_discount=0.0, starts=2, steps=2))
    <Built matching-pennies against naive: 3 meta-states, 3 meta-actions>
    """
    checks.kind("request", request, ShapingRequest, mend="ShapingRequest('chicken') makes one")
    say = progress or quiet
    learner = learner_of(request.opponent, request.step)
    stage = named_game(request.game)
    learners = [learner] * (stage.n_players - 1)
    memory_one = request.inner_discount != 0
    levels: tuple[float, ...]
    if request.levels is None:
        levels = (float(quick_levels(stage, memory_one, learners, request.rounding, joint=request.joint)),)
    else:
        levels = read_levels(request.levels)
    require_levels(
        stage,
        memory_one,
        learners,
        count_of(levels),
        request.rounding,
        joint=request.joint,
        patience=LONGEST_FILL,
    )
    game = inner_game(request.game, request.inner_discount)
    grids = [grid_of(game, player, levels) for player in range(game.n_players)]
    meta_game = PolicyMetaGame(game, learners, grids, request.discount, request.rounding, request.joint)
    meta_game.require_fit()
    lumped = meta_game.lumped()
    looks = looks_of(lumped, request)
    require_roll_outs(game, looks[-1], request.steps)
    starts = starts_of(lumped, request, looks[-1])
    error = discretisation_error(meta_game, request.epsilon)
    size = meta_game.size_estimate()
    say(f"{size.n_states:,} meta-states, {size.n_actions:,} meta-actions, {size.needed / 2**20:,.1f} MiB")
    evaluated = "a sweep over" if size.storage == "on-the-fly" else "filling"
    say(f"{evaluated} {in_digits(size.pairs)} pairs takes about {in_time(meta_game.seconds_to_fill())} here")
    mdp = meta_game.to_mdp(Share(size.pairs, say))
    say("table filled")
    return Built(
        request=request,
        stage=stage,
        levels=levels,
        meta_game=meta_game,
        lumped=lumped,
        mdp=mdp,
        size=size,
        discretisation=error,
        frozen_share=meta_game.frozen_share,
        looks=looks,
        starts=starts,
    )
