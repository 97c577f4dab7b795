"""What a grid costs: D1 and X5 against a finer grid, D2 where it is an equality, D3 by roll-outs."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import numpy as np

from bounds.discretisation import d2_window
from rfos.discretisation import DiscretisationError, discretisation_error
from rfos.games import NormalFormGame, matching_pennies
from rfos.grids import SimplexGrid
from rfos.learners import Learner, NaiveLearner, SmoothedBestResponse
from rfos.mdp import TabularMDP
from rfos.planning import Solution, solve
from rfos.policy_metagames import PolicyMetaGame
from rfos.stochastic_games import StochasticGame, one_shot
from rfos.verification._engine import Sides, Statement
from rfos.verification._models import Float

Rounding = Literal["nearest", "barycentric"]

FINE = 64
"""Cells of the grid that stands for the continuum; its own error is taken off."""

STARTS = (0, 9, 21, 32, 43, 55, 64)
"""Points of the fine grid from which D3's policies are played."""


@dataclass(frozen=True)
class Discretised:
    """A one-shot 2 x 2 game against a learner, on a coarse grid."""

    game: StochasticGame
    learner: Learner
    cells: int
    rounding: Rounding
    discount: float

    def on(self, cells: int, rounding: Rounding) -> PolicyMetaGame:
        """Return the meta-game on a grid of so many cells."""
        grid = SimplexGrid(1, 2, cells)
        return PolicyMetaGame(self.game, [self.learner], [grid, grid], self.discount, rounding)

    @cached_property
    def coarse(self) -> tuple[Solution, DiscretisationError]:
        """Solution and error of the coarse grid."""
        meta_game = self.on(self.cells, self.rounding)
        return solve(meta_game.to_mdp(), tol=1e-9), discretisation_error(meta_game)

    @cached_property
    def continuous(self) -> tuple[Float, Float]:
        """Certain lower and upper ends of V* at the points of the fine grid."""
        meta_game = self.on(FINE, "nearest")
        solution, error = solve(meta_game.to_mdp(), tol=1e-9), discretisation_error(meta_game)
        assert error.lower is not None
        assert error.upper is not None
        return solution.lower - error.lower, solution.upper + error.upper

    @property
    def label(self) -> str:
        """The parameters in words."""
        return f"{self.learner}, {self.cells} cells, {self.rounding}, discount {self.discount:g}"


def _payoffs(rng: np.random.Generator) -> StochasticGame:
    return one_shot(NormalFormGame(rng.integers(-4, 5, (2, 2, 2)) / 4 + np.eye(2) / 8))


def _coarse(rng: np.random.Generator, learner: Learner) -> Discretised:
    rounding: Rounding = "nearest" if rng.random() < 0.5 else "barycentric"
    return Discretised(_payoffs(rng), learner, int(rng.choice([2, 4, 8])), rounding, float(rng.choice([0.3, 0.6, 0.8])))


def _sample_contracting(rng: np.random.Generator) -> Discretised:
    if rng.random() < 0.5:
        return _coarse(rng, NaiveLearner(float(rng.choice([0.1, 0.5, 1.5])), "simplex"))
    return _coarse(rng, SmoothedBestResponse(float(rng.choice([0.3, 1.0])), float(rng.choice([0.2, 0.7]))))


def _sample_expanding(rng: np.random.Generator) -> Discretised:
    return _coarse(rng, NaiveLearner(float(rng.choice([0.1, 0.3, 0.6]))))


def _both_ends(case: Discretised, planted: bool, power: int = 2) -> Sides:
    """The end of -E₋ <= V* - V*_d <= E that is nearer to being reached, at the coarse grid's states."""
    solution, error = case.coarse
    assert error.lower is not None
    assert error.upper is not None
    low, high = (end[:: FINE // case.cells] for end in case.continuous)
    factor = (1 - case.discount) ** power if planted else 1.0
    above = Sides(float((low - solution.upper).max()), factor * error.upper)
    below = Sides(float((solution.lower - high).max()), factor * error.lower)
    return max(above, below, key=lambda side: side.ratio)


def _loss(case: Discretised, planted: bool) -> Sides:
    """Largest certain loss of the nearest grid point's policy in the continuous meta-game."""
    solution, error = case.coarse
    assert error.loss is not None
    meta_game = case.on(case.cells, case.rounding)
    # What is left after so many steps is worth less than a millionth of the rewards' span.
    steps = int(np.ceil(np.log(1e-6 * (1 - case.discount)) / np.log(case.discount)))
    highest = case.game.reward_range(0)[1]
    worst = 0.0
    for start in STARTS:
        x = np.array([[1 - start / FINE, start / FINE]])
        earned, weight = 0.0, 1.0
        for _ in range(steps):
            own = meta_game.grids[0].policy(int(solution.policy[meta_game.nearest([x])]))
            earned += weight * float(case.game.returns([own, x])[0])
            weight *= case.discount
            x = case.learner.update(case.game, 1, [own, x])
        earned += weight * highest / (1 - case.discount)
        state = case.on(FINE, "nearest").nearest([np.array([[1 - start / FINE, start / FINE]])])
        worst = max(worst, float(case.continuous[0][state]) - earned)
    return Sides(worst, ((1 - case.discount) ** 4 if planted else 1.0) * error.loss)


@dataclass(frozen=True)
class MixedWindow:
    """A window of one joint action: rewards r(a, b), opponent's play (4, 2), the shaper's mixed actions on a grid."""

    rewards: Float
    play: Float
    cells: int
    discount: float
    label: str

    def value(self, own: Float) -> Float:
        """Return V* if the shaper plays action 0 with one of these probabilities, shape (4,)."""
        weights = np.stack([own, 1 - own], axis=1)
        # The next window is (a, b): own action first.
        joint = np.einsum("ka,wb->wkab", weights, self.play)
        rewards = np.einsum("wkab,ab->wk", joint, self.rewards)
        return solve(TabularMDP(joint.reshape(4, len(own), 4), rewards, self.discount), tol=1e-10).value


def _sample_window(rng: np.random.Generator) -> MixedWindow:
    first = rng.dirichlet(np.full(2, 0.5), 4)
    cells, discount = int(rng.choice([1, 2, 4, 10])), float(rng.choice([0.3, 0.8, 0.95]))
    return MixedWindow(rng.uniform(0, 1, (2, 2)), first, cells, discount, f"{cells} cells, discount {discount:g}")


def _unforgiving(cells: int, discount: float) -> MixedWindow:
    """Pays 1 while both play action 0; the opponent does so until the first slip, and then never again."""
    play = np.array([[1.0, 0.0], [0.0, 1.0], [0.0, 1.0], [0.0, 1.0]])
    rewards = np.array([[1.0, 0.0], [0.0, 0.0]])
    return MixedWindow(rewards, play, cells, discount, f"unforgiving, {cells} cells, discount {discount:g}")


def _d2(case: MixedWindow, planted: bool) -> Sides:
    """Loss by cell centres, whose covering radius is 1/cells, against pure actions, which suffice (G3)."""
    centres = (np.arange(case.cells) + 0.5) / case.cells
    left = float((case.value(np.array([1.0, 0.0])) - case.value(centres)).max())
    span, radius = float(np.ptp(case.rewards)), 1 / case.cells
    if planted:
        share, discount = radius / 2, case.discount
        return Sides(left, span * share / ((1 - discount) * (1 - discount + share)))
    return Sides(left, float(d2_window().evaluate(inner_span=span, discount=case.discount, alpha_action=radius)))


_PENNIES = one_shot(matching_pennies())
_ON_GRID = ("one-shot 2 x 2 games, 2 to 8 cells, both roundings", "V* by a grid of 64 cells, less its own error")
_STEEP = tuple(Discretised(_PENNIES, NaiveLearner(0.1, "simplex"), cells, "nearest", 0.8) for cells in (2, 4))
_EXPANDING = Discretised(
    one_shot(NormalFormGame(np.array([[[0.375, -0.5], [0.25, 1.125]], [[-0.375, -1.0], [-0.75, 0.375]]]))),
    NaiveLearner(0.6),
    8,
    "nearest",
    0.6,
)


def _expanding(case: Discretised, planted: bool) -> Sides:
    """ω holds another 1/(1-γ̂)."""
    return _both_ends(case, planted, 4)


DISCRETISATION = (
    Statement(
        "D1",
        "what a grid costs where learning contracts",
        r"-E_- \le V^*-V^*_d \le E,\ E=\frac{L_R\alpha_a+\hat\gamma L_V(L_F^a\alpha_a+\alpha_s)}{1-\hat\gamma},\ "
        r"E_-=\frac{\hat\gamma L_V\alpha_s}{1-\hat\gamma}",
        (*_ON_GRID, "projected gradient and smoothed best responses"),
        _sample_contracting,
        _both_ends,
        "1-γ̂ for 1/(1-γ̂)",
        _STEEP,
        share=0.02,
    ),
    Statement(
        "D2",
        "what a grid of mixed actions costs in a window meta-game",
        r"V^*-V^*_d \le \frac{\mathrm{span}(r)\,\delta}{(1-\hat\gamma)(1-\hat\gamma+\hat\gamma\delta)},\ "
        r"\delta=\tfrac12\alpha_a",
        ("exact windows of one joint action of two, simultaneous moves", "mixed actions at cell centres"),
        _sample_window,
        _d2,
        "δ for γ̂δ in the denominator",
        tuple(_unforgiving(cells, g) for cells in (2, 10) for g in (0.5, 0.95)),
        share=0.3,
    ),
    Statement(
        "D3",
        "what the policy of the nearest grid point loses in the continuous meta-game",
        r"V^*-V^{\pi_d} \le \frac{E+E_-+\varepsilon+2L_V\alpha_s}{1-\hat\gamma}",
        (*_ON_GRID, "played from seven starts until the rest is worth a millionth"),
        _sample_contracting,
        _loss,
        "1-γ̂ for 1/(1-γ̂), in both places",
        _STEEP,
        share=0.02,
    ),
    Statement(
        "X5",
        "what a grid costs where learning expands",
        r"-E_- \le V^*-V^*_d \le E,\ E=\frac{L_R\alpha_a+\hat\gamma\,\omega(L_F^a\alpha_a+\alpha_s)}{1-\hat\gamma},\ "
        r"E_-=\frac{\hat\gamma\,\omega(\alpha_s)}{1-\hat\gamma}",
        (*_ON_GRID, "gradient steps on a logit"),
        _sample_expanding,
        _expanding,
        "1-γ̂ for 1/(1-γ̂), within ω too",
        (_EXPANDING,),
        share=0.02,
    ),
)
