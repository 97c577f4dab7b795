"""How far a discretised meta-game's value may be from the continuous one's: D1, or X5 where learning expands; D3."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from fractions import Fraction
from functools import cache
from types import MappingProxyType

import numpy as np

import bounds.discretisation as theory
from rfos._kernels.grids import UNIT
from rfos._system import checks
from rfos.games.stochastic import StochasticGame
from rfos.metagames.learners import Lipschitz, Numbers, lipschitz_of, reward_span
from rfos.metagames.policy import PolicyMetaGame

FORMULAS: Mapping[str, Callable[[bool], theory.Learner]] = MappingProxyType(
    {
        "projected_gradient": theory.projected_gradient,
        "logit_gradient": theory.logit_gradient,
        "smoothed_best_response": lambda stochastic: theory.smoothed_best_response(),
    }
)
"""Constants of learners by their names in `bounds.discretisation`."""


@dataclass(frozen=True)
class DiscretisationError:
    """-lower <= V* - V*_grid <= upper on grid states, in units of value, or why no statement applies.

    Attributes
    ----------
    statement : str or None
        "D1" or "X5".
    upper, lower : float or None
        E and E₋, reward/(1-discount), at most about `limit`.
    loss : float or None
        What a policy that is epsilon-optimal on the grid loses in the continuous meta-game, where it is played at the
        nearest grid point (D3), at most `limit`.
    constants : dict
        The constants that went in, by their symbols' names; `reward_rounding` is what float32 rewards may be off.
    reason : str
    limit : float
        span(r)/(1-discount): no two values of the shaper differ by more.
    """

    statement: str | None
    upper: float | None
    lower: float | None
    loss: float | None
    constants: dict[str, float]
    reason: str
    limit: float

    @property
    def vacuous(self) -> bool:
        """Whether the interval excludes no value at all: both ends allow the whole span of values."""
        return self.upper is not None and self.lower is not None and min(self.upper, self.lower) >= self.limit > 0


def discretisation_error(meta_game: PolicyMetaGame, epsilon: float = 1e-6) -> DiscretisationError:
    """Return the proved discretisation error of a meta-game (D1, X5).

    Learners' steps are stated on the normalised return in theory: the step on the un-normalised one over 1 - discount.
    Where they have constants for it, opponents play and learn in every inner state at once, and distances are largest
    ones over inner states. At inner discount 0 the rows of a policy move independently: in state s a gradient step is
    one of size ρ(s)·step in the normal-form game of that state, ρ the initial law, so that every distance is at most
    the constants at max_s ρ(s)|u_0-u_1| and max_s ρ(s) span(u_0-u_1). Distances of several opponents are summed.

    Barycentric rounding counts with the larger of the covering radius and the mean displacement. Where the meta-game
    is kept as a compressed table its own rounding is counted too: places move by 1/16384 of a cell at most, that is
    a distance of 1/8192 of the widest cell on top of `alpha_state`, and rewards by `reward_rounding`, 2**-24 of the
    largest, which costs E and E₋ so much over 1 - discount each. Rounding in double precision is left out.

    Both values lie between the smallest and the largest reward over 1 - discount, which caps E, E₋ and the loss.

    Of a joint meta-game these are the errors of max_a R(ψ, a) + discount·V*_grid(ψ, a), the value where the opponents'
    next policies ψ are known (G2). With barycentric rounding the joint shaper does not see the corner before it acts;
    that costs nothing more under D1, where V* is as steep as its action values, but X5 does not cover it.

    D2 is for random learners. Those of this package are deterministic, and two point masses are 1 apart in total
    variation however close they are, so it never applies here; `bounds.discretisation.d2_window` is its form for
    windows, Case II.

    Parameters
    ----------
    meta_game : PolicyMetaGame
    epsilon : float > 0
        What the policy of which D3 speaks loses on the grid, in units of value: the `tol` it was solved to.

    Examples
    --------
    A learner on logits at the settings of M-FOS expands, so D1 does not apply, and X5 promises no more than the span of
    all values, 3 a step:

    >>> from rfos.games.named import matching_pennies, standard_prisoners_dilemma
    >>> from rfos.games.stochastic import iterated, one_shot
    >>> from rfos.metagames.grids import LevelGrid, SimplexGrid
    >>> from rfos.metagames.learners import NaiveLearner
    >>> ipd = iterated(standard_prisoners_dilemma(), 0.96)
    >>> grid = LevelGrid(5, (0.02, 0.25, 0.5, 0.75, 0.98))
    >>> found = discretisation_error(PolicyMetaGame(ipd, [NaiveLearner()], [grid, grid], 0.99))
    >>> found.statement, round(found.upper, 3), found.vacuous
    ('X5', 300.0, True)

    Matching Pennies once, against gradient steps of 1/5 on the probabilities: L_R = ½, L_V = 5/2, E = 29/64.

    >>> grid = SimplexGrid(1, 2, 32)
    >>> learner = NaiveLearner(0.2, "simplex")
    >>> meta_game = PolicyMetaGame(one_shot(matching_pennies()), [learner], [grid, grid], 0.8, "nearest")
    >>> round(discretisation_error(meta_game).upper, 5), 29 / 64
    (0.45313, 0.453125)
    """
    checks.kind("meta_game", meta_game, PolicyMetaGame)
    if not 0 < checks.number(epsilon) < float("inf"):
        raise ValueError(f"epsilon is {checks.shown(epsilon)}: give a positive accuracy in units of value")
    game = meta_game.game
    left = 1 - Fraction(repr(float(meta_game.discount)))
    span = reward_span(game, 0)
    limit = span / left
    kept = meta_game.dynamics is not None  # as a compressed table, or evaluated like one
    if span == 0:
        reward = game.reward_range(0)[0]
        off = abs(float(np.float32(reward)) - reward) / float(left) if kept else 0.0
        return DiscretisationError(
            "D1", off, off, 0.0, {"meta_span": 0.0}, "all of the shaper's rewards are equal", 0.0
        )
    found = _constants(meta_game)
    if isinstance(found, str):
        return DiscretisationError(None, None, None, None, {}, found, float(limit))
    alpha = Fraction(0)
    for grid in meta_game.grids[1:]:
        alpha += max(grid.radius, grid.mean_displacement) if meta_game.rounding == "barycentric" else grid.radius
    if meta_game.dynamics is not None and meta_game.rounding == "barycentric":
        alpha += Fraction(float(np.diff(meta_game.dynamics.levels).max())) / UNIT
    rounding = Fraction(max(map(abs, game.reward_range(0)))) / 2**24 if kept else Fraction(0)
    values: Numbers = found | {
        "alpha_action": meta_game.grids[0].radius,
        "alpha_state": alpha,
        "discount": meta_game.discount,
        "epsilon": epsilon,
        "l_reward": span / (2 * (1 - Fraction(repr(float(game.discount))))),
        "meta_span": span,
    }
    name, family, reason = "D1", _d1(), ""
    if (1 - left) * Fraction(values["l_state"]) >= 1:
        name, family, reason = "X5", _x5(), "D1 does not apply: discount·l_state is not below 1"
        if meta_game.joint and meta_game.rounding == "barycentric":
            reason += "; X5 is not proved for joint meta-states and barycentric rounding"
            return DiscretisationError(None, None, None, None, {}, reason, float(limit))
    upper, lower, loss = (
        min(limit, Fraction(bound.evaluate(**{symbol: values[symbol] for symbol in bound.symbols})))
        for bound in (family.upper, family.lower, family.loss)
    )
    return DiscretisationError(
        name,
        float(upper + rounding / left),
        float(lower + rounding / left),
        float(min(limit, loss + 2 * rounding / left**2)),
        {symbol: float(number) for symbol, number in (values | {"reward_rounding": rounding}).items()},
        reason,
        float(limit),
    )


@cache
def _d1() -> theory.Discretisation:
    return theory.d1()


@cache
def _x5() -> theory.Discretisation:
    return theory.x5()


def _constants(meta_game: PolicyMetaGame) -> Numbers | str:
    """Return l_state and l_action of all opponents together with the symbols that they come from, or why not."""
    game = meta_game.game
    known = [lipschitz_of(learner, game, i) for i, learner in enumerate(meta_game.opponents, start=1)]
    if not any(map(_moves, known)):
        return {"l_state": 1, "l_action": 0}
    found = _one(known[0]) if len(known) == 1 else _many(known, game)
    if isinstance(found, str):
        return found
    learner, own = found
    try:
        # A shortest decimal is not an upper bound of an irrational constant; one that is a trifle larger is.
        slopes = {
            name: number if isinstance(number, int | Fraction) else Fraction(number) * (1 + Fraction(1, 10**12))
            for name, number in learner.evaluate(**own).items()
        }
    except OverflowError:
        return "the learner expands so strongly that its Lipschitz constant cannot be written down; take a smaller step"
    return own | {f"l_{name}": number for name, number in slopes.items()}


def _moves(known: Lipschitz | str) -> bool:
    """Return whether a learner may move at all."""
    return isinstance(known, str) or known.formula is not None


def _many(known: list[Lipschitz | str], game: StochasticGame) -> tuple[theory.Learner, Numbers] | str:
    """As `_one` for several opponents, of whom some move."""
    moving = [each for each in known if _moves(each)]
    steps = {
        i: Fraction(each.values["step_size"])
        for i, each in enumerate(known, start=1)
        if isinstance(each, Lipschitz) and each.formula == "projected_gradient"
    }
    if game.discount > 0 or len(steps) < len(moving):
        return "constants of several opponents are proved for gradient steps on probabilities at inner discount 0 only"
    # A step that is smaller than the largest one counts as smaller rewards.
    largest = max(steps.values())
    players = range(1, game.n_players)
    parts = [(game.n_actions[i], reward_span(game, i) * steps.get(i, 0) / largest) for i in players]
    return theory.projected_gradient_many(parts), {"step_size": largest}


def _one(known: Lipschitz | str) -> tuple[theory.Learner, Numbers] | str:
    """Return the constants of the only opponent as formulas, and the values of their symbols, or why there are none."""
    if isinstance(known, str):
        return known
    if isinstance(known.formula, theory.Learner):
        return known.formula, known.values
    if known.formula not in FORMULAS:
        raise ValueError(
            f"the formula of a learner's constants is {checks.shown(known.formula)}: give a Learner of "
            f"bounds.discretisation, or the name of one, {', '.join(FORMULAS)}"
        )
    return FORMULAS[known.formula](known.stochastic), known.values
