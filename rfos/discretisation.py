"""How far a discretised meta-game's value may be from the continuous one's: D1, or X5 where learning expands; D3."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

import numpy as np

import bounds.discretisation as theory
from rfos.learners import Learner, NaiveLearner, SmoothedBestResponse
from rfos.policy_metagames import PolicyMetaGame
from rfos.stochastic_games import StochasticGame


@dataclass(frozen=True)
class DiscretisationError:
    """-lower <= V* - V*_grid <= upper on grid states, in units of value, or why no statement applies.

    Attributes
    ----------
    statement : str or None
        "D1" or "X5".
    upper, lower : float or None
        E and E₋, reward/(1-discount).
    loss : float or None
        What a policy that is epsilon-optimal on the grid loses in the continuous meta-game, where it is played at the
        nearest grid point (D3).
    constants : dict
        The constants that went in, by their symbols' names.
    reason : str
    """

    statement: str | None
    upper: float | None
    lower: float | None
    loss: float | None
    constants: dict[str, float]
    reason: str


def discretisation_error(meta_game: PolicyMetaGame, epsilon: float = 1e-6) -> DiscretisationError:
    """Return the proved discretisation error of a two-player meta-game (D1, X5).

    Learners' steps are stated on the normalised return in theory: the step on the un-normalised one over 1 - discount.
    Barycentric rounding counts with the larger of the covering radius and the mean displacement.

    Parameters
    ----------
    meta_game : PolicyMetaGame
    epsilon : float > 0
        What the policy of which D3 speaks loses on the grid, in units of value: the `tol` it was solved to.

    Examples
    --------
    A learner on logits at the settings of M-FOS expands, so D1 does not apply, and X5 promises no more than the span of
    all values:

    >>> from rfos.games import standard_prisoners_dilemma
    >>> from rfos.grids import LevelGrid
    >>> from rfos.stochastic_games import iterated
    >>> ipd = iterated(standard_prisoners_dilemma(), 0.96)
    >>> grid = LevelGrid(5, (0.02, 0.25, 0.5, 0.75, 0.98))
    >>> found = discretisation_error(PolicyMetaGame(ipd, [NaiveLearner()], [grid, grid], 0.99))
    >>> found.statement, found.upper > 300
    ('X5', True)
    """
    game = meta_game.game
    spans = [Fraction(repr(high)) - Fraction(repr(low)) for low, high in map(game.reward_range, range(game.n_players))]
    if spans[0] == 0:
        return DiscretisationError("D1", 0.0, 0.0, 0.0, {"meta_span": 0.0}, "all of the shaper's rewards are equal")
    if game.n_players != 2:
        return _none("the constants of learners are stated for two players")
    constants = _learner(meta_game.opponents[0], game)
    if constants is None:
        return _none("the learner has no Lipschitz constants (best responses jump), or none that are proved")
    learner, values = constants
    own, other = meta_game.grids
    displaced = other.mean_displacement if meta_game.rounding == "barycentric" else Fraction(0)
    values |= {
        "epsilon": epsilon,
        "discount": meta_game.discount,
        "inner_discount": game.discount,
        "inner_span": max(spans),
        "inner_actions": game.n_actions[1],
        "meta_span": spans[0],
        "alpha_action": own.radius,
        "alpha_state": max(other.radius, displaced),
    }
    reward = theory.reward_lipschitz()
    reasons = []
    for name, family in (("D1", theory.d1(learner, reward)), ("X5", theory.x5(learner, reward))):
        try:
            upper, lower, loss = (
                float(bound.evaluate(**{symbol: values[symbol] for symbol in bound.symbols}))
                for bound in (family.upper, family.lower, family.loss)
            )
        except ValueError as error:
            reasons.append(str(error))
            continue
        shown = {symbol: float(values[symbol]) for symbol in family.upper.symbols}
        return DiscretisationError(name, upper, lower, loss, shown, "; ".join(reasons))
    return _none("; ".join(reasons))


def _none(reason: str) -> DiscretisationError:
    return DiscretisationError(None, None, None, None, {}, reason)


def _learner(learner: Learner, game: StochasticGame) -> tuple[theory.Learner, dict[str, Fraction | float | int]] | None:
    """Return the learner's constants and the values of their own symbols, or None."""
    stochastic = game.discount > 0
    if isinstance(learner, NaiveLearner):
        step = Fraction(repr(learner.step)) / (1 - Fraction(repr(game.discount)))
        if learner.parameters == "logits" and not stochastic and game.n_actions[1] == 2:
            gaps = -np.diff(game.rewards[1, 0].reshape(-1, 2), axis=1)
            own = {"payoff_gap": float(np.abs(gaps).max()), "payoff_gap_span": float(np.ptp(gaps))}
            return theory.logit_gradient(), {"step_size": step, **own}
        if learner.parameters == "logits" and stochastic:
            return theory.logit_gradient(stochastic=True), {"step_size": step}
        if learner.parameters == "logits":
            return None
        return theory.projected_gradient(stochastic=stochastic), {"step_size": step}
    if isinstance(learner, SmoothedBestResponse) and not stochastic:
        return theory.smoothed_best_response(), {"smoothing": learner.mixing, "temperature": learner.temperature}
    return None
