"""The fourth step of a study: shaping beside yardsticks, beside other levels, and what to beware of."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from rfos._system import checks
from rfos.laboratory.shaping_study.levels import coarser, count_of, finer, grid_of, in_words
from rfos.laboratory.shaping_study.play import Played, promised
from rfos.laboratory.shaping_study.solve import LOOK_AHEAD, value_slack
from rfos.metagames.estimates import Returns, interval, paired
from rfos.metagames.policy import PolicyMetaGame
from rfos.metagames.shaper import Shaper
from rfos.metagames.sizes import SECONDS_PER_PAIR, is_quick, quick_levels
from rfos.metagames.yardsticks import equilibria
from rfos.planning.solve import solve

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


@dataclass(frozen=True, eq=False)
class Compared:
    """What shaping is worth, and what to beware of.

    Attributes
    ----------
    played : Played
    worth : tuple of float
        How much more per step the better shaper earns than the best yardstick against the same opponent, and the ends
        of its interval.
    n_paired : int
        Starts that both have in common.
    other_levels : OtherLevels, optional
        None where neither finer nor coarser levels are solved in seconds.
    warnings, notes : tuple of str
    """

    played: Played
    worth: tuple[float, float, float]
    n_paired: int
    other_levels: OtherLevels | None
    warnings: tuple[str, ...]
    notes: tuple[str, ...]

    def __repr__(self) -> str:
        """Return the worth on one line."""
        r = self.played.solved.built.request
        return f"<Compared {r.game} against {r.opponent}: shaping is worth {self.worth[0]:+.3f} a step>"


def compare(played: Played) -> Compared:
    """Compare what was played with the best yardstick and with other levels, and collect what to beware of.

    Examples
    --------
    >>> from rfos.laboratory.shaping_study.build import build
    >>> from rfos.laboratory.shaping_study.request import ShapingRequest
    >>> from rfos.laboratory.shaping_study.solve import solve_meta_game
    >>> from rfos.laboratory.shaping_study.play import play
    >>> request = ShapingRequest("matching-pennies", levels="3", inner_discount=0.0, discount=0.5, starts=2, steps=2)
    >>> compare(play(solve_meta_game(build(request)))).other_levels.finer
    True
    """
    checks.kind("played", played, Played, mend="play(solved) makes one")
    others = None if played.solved.built.request.joint else other_levels(played)
    measured = played.measured
    top, best = measured.top, measured.best
    return Compared(
        played=played,
        worth=paired(top, best, measured.confidence),
        n_paired=min(len(top.rewards), len(best.rewards)),
        other_levels=others,
        warnings=_warnings(played, others),
        notes=_notes(played, others),
    )


def _warnings(played: Played, others: OtherLevels | None) -> tuple[str, ...]:
    """Return why the numbers are not to be believed as they stand."""
    built, measured = played.solved.built, played.measured
    found = []
    if built.frozen_share > FROZEN and built.request.rounding == "nearest":
        found.append(
            f"frozen learners: nearest rounding leaves {built.frozen_share:.1%} of pairs where they are; the value on "
            "the grid is an artefact of rounding, believe the continuous game"
        )
    more = played.promised[0] - played.discounted[1]
    if more > max(INVENTED * measured.spread, 1e-6 * float(np.ptp(built.game.reward_range(0)))):
        found.append(
            f"the grid promises at least {more:.3f} a step more than its policy earns in the continuous game: an "
            "artefact of the grid, believe the continuous game"
        )
    if others is not None and others.finer and others.gain[1] > measured.target:
        _, low, high = others.gain
        found.append(
            f"the levels are too few: with {others.levels} the shaper earns {others.gain[0]:.3f} a step more "
            f"({low:.3f} to {high:.3f})"
        )
    return tuple(found)


def _notes(played: Played, others: OtherLevels | None) -> tuple[str, ...]:
    """Return what is missing, and why."""
    found = []
    if LOOK_AHEAD not in played.solved.shapers:
        found.append("one-step look-ahead is left out: no kernel evaluates this game, and it would take too long")
    if equilibria(played.solved.built.game) is None:
        found.append("no row for Nash equilibria: they need nashpy or quantecon, pip install 'rfos[interop]'")
    if others is None:
        found.append("other levels are not compared: neither finer nor coarser ones are solved in seconds")
    return tuple(found)


def other_levels(played: Played) -> OtherLevels | None:
    """Return what finer levels give, or coarser ones where no finer ones are solved in seconds, or None."""
    solved, measured = played.solved, played.measured
    built = solved.built
    request, meta_game, stage, levels = built.request, built.lumped, built.stage, built.levels
    memory_one, learners = request.inner_discount != 0, list(meta_game.opponents)
    cheap = quick_levels(stage, memory_one, learners, request.rounding, pairs=COMPARED_PAIRS)
    other = finer(levels, cheap)
    is_finer = is_quick(stage, memory_one, learners, count_of(other), request.rounding)
    if not is_finer:
        other = coarser(levels)
        count = count_of(other)
        if count < 2 or not is_quick(stage, memory_one, learners, count, request.rounding):
            return None
    game = meta_game.game
    grids = [grid_of(game, player, other) for player in range(game.n_players)]
    compared = PolicyMetaGame(game, learners, grids, request.discount, request.rounding)
    solution = solve(compared.to_mdp(), tol=request.epsilon)
    looked = measured.top.name == LOOK_AHEAD
    plays = compared.n_actions * request.steps
    most = max(COMPARED_STARTS, COMPARED_PLAYS // plays)
    if compared.dynamics is None and looked:
        most = max(1, int(COMPARED_SECONDS / (plays * SECONDS_PER_PAIR * (game.n_players - 1))))
    n = min(most, measured.n_starts)
    few = [each[:n] for each in played.starts]
    rolled = Shaper.of(compared, solution, look_ahead=looked).play(few, request.steps)
    row = Returns("", rolled.mean_rewards)
    slack = value_slack(built)
    low, high = (
        promised(compared, few, (1 - request.discount) * end) + sign * slack
        for sign, end in ((-1, solution.lower), (1, solution.upper))
    )
    return OtherLevels(
        levels=in_words(other),
        finer=is_finer,
        n_states=compared.n_states,
        n_actions=compared.n_actions,
        promised=(low, high),
        promised_here=(promised(meta_game, few, solved.lower), promised(meta_game, few, solved.upper)),
        earned=interval(row.rewards[:, 0]),
        gain=paired(row, measured.top),
        n_starts=n,
    )
