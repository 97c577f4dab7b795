"""What a grid costs: D1 and X5 against a finer grid, D2 where it is an equality, D3 by roll-outs."""

from __future__ import annotations

import math
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property
from typing import Any, Literal

import numpy as np

from bounds.discretisation import d2, d2_window, x5, x5_exponent
from rfos._system.arrays import Float
from rfos.games.named import matching_pennies
from rfos.games.normal_form import NormalFormGame
from rfos.games.stochastic import StochasticGame, one_shot
from rfos.laboratory.verification.engine import Sides, Statement
from rfos.laboratory.verification.models import NEARLY_ZERO, optimum
from rfos.metagames.discretisation import DiscretisationError, discretisation_error
from rfos.metagames.grids import SimplexGrid
from rfos.metagames.learners import Learner, NaiveLearner, SmoothedBestResponse
from rfos.metagames.policy import PolicyMetaGame
from rfos.planning.mdp import TabularMDP
from rfos.planning.solution import Solution
from rfos.planning.solve import solve

Rounding = Literal["nearest", "barycentric"]

FINE_CELLS = 64
"""Cells of the grid that stands for the continuum; its own error is taken off."""

STARTS = (0, 9, 17, 32, 47, 55, 64)
"""Points of the fine grid from which D3's policies are played."""


@dataclass(frozen=True)
class Discretised:
    """A one-shot 2 x 2 game against a learner, on a coarse grid."""

    game: StochasticGame
    learner: Learner
    cells: int
    rounding: Rounding
    discount: float
    own_cells: int | None = None

    def on(self, cells: int, rounding: Rounding, own_cells: int | None = None) -> PolicyMetaGame:
        """Return the meta-game on a grid of so many cells, and of others for the shaper's own policies."""
        own, other = self.game.n_actions
        grids = SimplexGrid(1, own, own_cells or cells), SimplexGrid(1, other, cells)
        return PolicyMetaGame(self.game, [self.learner], grids, self.discount, rounding)

    @cached_property
    def coarse(self) -> tuple[Solution, DiscretisationError]:
        """Solution and error of the coarse grid."""
        meta_game = self.on(self.cells, self.rounding, self.own_cells)
        return solve(meta_game.to_mdp(), tol=1e-9), discretisation_error(meta_game)

    @cached_property
    def continuous(self) -> tuple[Float, Float]:
        """Certain lower and upper ends of V* at the points of the fine grid."""
        meta_game = self.on(FINE_CELLS, "nearest")
        solution, error = solve(meta_game.to_mdp(), tol=1e-9), discretisation_error(meta_game)
        assert error.lower is not None
        assert error.upper is not None
        return solution.lower - error.lower, solution.upper + error.upper

    @property
    def label(self) -> str:
        """The parameters in words."""
        return f"{self.learner}, {self.cells} cells, {self.rounding}, discount {self.discount:g}"


@dataclass(frozen=True)
class Line:
    """States in [0, 1] that pay x and go to min(1, growth·x + drift), against k + 1 states with nearest rounding."""

    growth: float
    drift: float
    levels: int
    discount: float

    @property
    def label(self) -> str:
        """The parameters in words."""
        return f"growth {self.growth:g}, drift {self.drift:.2g}, {self.levels} levels, discount {self.discount:g}"

    def value(self, x: float, levels: int | None = None) -> float:
        """Return Σγ^t x_t, until the rest is rounding; with levels, of states that are rounded to them."""
        total, weight = 0.0, 1.0
        while weight > 1e-14 * (1 - self.discount):
            total += weight * x
            weight *= self.discount
            x = min(1.0, self.growth * x + self.drift)
            x = x if levels is None else math.floor(x * levels + 0.5) / levels
        return total

    def gaps(self) -> Float:
        """V* - V*_d at the grid's states."""
        states = np.arange(self.levels + 1) / self.levels
        return np.array([self.value(float(x)) - self.value(float(x), self.levels) for x in states])

    def promised(self) -> tuple[float, float]:
        """E and E₋ of X5; there is one action, so that its grid costs nothing."""
        at: dict[str, Any] = {"l_reward": 1, "l_state": self.growth, "meta_span": 1, "discount": self.discount}
        at |= {"alpha_state": Fraction(1, 2 * self.levels)}
        upper = x5().upper.evaluate(**at, l_action=NEARLY_ZERO, alpha_action=NEARLY_ZERO)
        return float(upper), float(x5().lower.evaluate(**at))


def _payoffs(rng: np.random.Generator) -> StochasticGame:
    return one_shot(NormalFormGame(rng.integers(-4, 5, (2, 2, 2)) / 4 + np.eye(2) / 8))


def _coarse(rng: np.random.Generator, learner: Learner) -> Discretised:
    rounding: Rounding = "nearest" if rng.random() < 0.5 else "barycentric"
    return Discretised(_payoffs(rng), learner, int(rng.choice([2, 4, 8])), rounding, float(rng.choice([0.3, 0.6, 0.8])))


def _sample_contracting(rng: np.random.Generator) -> Discretised:
    if rng.random() < 0.5:
        return _coarse(rng, NaiveLearner(float(rng.choice([0.1, 0.5, 1.5])), "simplex"))
    return _coarse(rng, SmoothedBestResponse(float(rng.choice([0.3, 1.0])), float(rng.choice([0.2, 0.7]))))


def _sample_line(rng: np.random.Generator) -> Line:
    growth, discount = float(rng.choice([1.1, 1.5, 2.0, 4.0])), float(rng.choice([0.3, 0.6, 0.9]))
    return Line(growth, float(rng.choice([0.0, 0.01, 0.2])), int(rng.integers(1, 40)), discount)


def _sample_expanding(rng: np.random.Generator) -> Discretised | Line:
    if rng.random() < 0.5:
        return _sample_line(rng)
    return _coarse(rng, NaiveLearner(float(rng.choice([0.1, 0.3, 0.6]))))


def _both_ends(case: Discretised | Line, mutant: bool) -> Sides:
    """The end of -E₋ <= V* - V*_d <= E that is nearer to being reached, at the coarse grid's states."""
    share = 0.5 if mutant else 1.0
    if isinstance(case, Line):
        gap, (upper, lower) = case.gaps(), case.promised()
        above, below = Sides(float(gap.max()), share * upper), Sides(float(-gap.min()), share * lower)
        return max(above, below, key=lambda side: side.ratio)
    solution, error = case.coarse
    assert error.lower is not None
    assert error.upper is not None
    low, high = (end[:: FINE_CELLS // case.cells] for end in case.continuous)
    above = Sides(float((low - solution.upper).max()), share * error.upper)
    below = Sides(float((solution.lower - high).max()), share * error.lower)
    return max(above, below, key=lambda side: side.ratio)


def _loss(case: Discretised, mutant: bool) -> Sides:
    """Largest certain loss of the nearest grid point's policy in the continuous meta-game."""
    solution, error = case.coarse
    assert error.loss is not None
    meta_game = case.on(case.cells, case.rounding, case.own_cells)
    # What is left after so many steps is worth less than a millionth of the rewards' span.
    steps = int(np.ceil(np.log(1e-6 * (1 - case.discount)) / np.log(case.discount)))
    highest = case.game.reward_range(0)[1]
    worst = 0.0
    for start in STARTS:
        x = np.array([[1 - start / FINE_CELLS, start / FINE_CELLS]])
        earned, weight = 0.0, 1.0
        for _ in range(steps):
            own = meta_game.grids[0].policy(int(solution.policy[meta_game.nearest([x])]))
            earned += weight * float(case.game.returns([own, x])[0])
            weight *= case.discount
            x = case.learner.update(case.game, 1, [own, x])
        earned += weight * highest / (1 - case.discount)
        state = case.on(FINE_CELLS, "nearest").nearest([np.array([[1 - start / FINE_CELLS, start / FINE_CELLS]])])
        worst = max(worst, float(case.continuous[0][state]) - earned)
    return Sides(worst, error.loss / (2 if mutant else 1))


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


def _d2_window(case: MixedWindow, mutant: bool) -> Sides:
    """Loss by cell centres, whose covering radius is 1/cells, against pure actions, which suffice (G3)."""
    centres = (np.arange(case.cells) + 0.5) / case.cells
    left = float((case.value(np.array([1.0, 0.0])) - case.value(centres)).max())
    span, radius = float(np.ptp(case.rewards)), 1 / case.cells
    if mutant:
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


def _drift(sign: float) -> Discretised:
    """A learner that moves by a little less than half a cell and is put back each time; a shaper without a choice."""
    payoffs = np.array([[[sign, 0.0]], [[1.0, 0.0]]])
    return Discretised(one_shot(NormalFormGame(payoffs)), NaiveLearner(15 / 32, "simplex"), 2, "nearest", 0.3)


_DRIFTS = _drift(1.0), _drift(-1.0)

# Between two grid points the reply to the nearer one loses as much as its value there and here differ, twice.
_TURNING = Discretised(_PENNIES, NaiveLearner(1e-9, "simplex"), 2, "nearest", 0.05, own_cells=64)

_DOUBLING = tuple(
    Line(growth, (0.5 - 1e-9) / levels, levels, g)
    for growth, levels, g in ((1.5, 20, 0.6), (2.0, 100, 0.55), (2.0, 8, 0.4))
)


def _modulus(case: Line, mutant: bool) -> Sides:
    """From 0 to the first grid point and to half of the line, and beyond; without a drift |V*(x)-V*(0)| is ω(x)."""
    at = {"l_reward": 1, "l_state": case.growth, "meta_span": 1, "discount": case.discount}
    found = []
    for x, y in ((0.0, 1 / case.levels), (0.0, 0.5), (0.5, 1.0)):
        right = float(x5().modulus.evaluate(**at, distance=y - x))
        found.append(Sides(case.value(y) - case.value(x), right / 2 if mutant else right))
    return max(found, key=lambda side: side.ratio)


def _sample_beta(rng: np.random.Generator) -> Line:
    growth = float(rng.choice([1.5, 2.0, 4.0]))
    return Line(growth, 0.0, 1, float(rng.uniform(1.2 / growth, 0.98)))


def _beta(case: Line, mutant: bool) -> Sides:
    """Distance from β of the local exponent of ω at distances of L^-n; ω(d) = Kd^β (1 + O((γL)^-n))."""
    at = {"l_reward": 1, "l_state": case.growth, "meta_span": 1, "discount": case.discount}
    far = math.ceil(25 / math.log(case.discount * case.growth))
    first, second = (
        x5().modulus.log10(**at, distance=Fraction(repr(case.growth)) ** -steps) for steps in (far, far + 1)
    )
    slope = float(first - second) / math.log10(case.growth)
    beta = float(x5_exponent().evaluate(l_state=case.growth, discount=case.discount))
    return Sides(abs(slope - (1 - beta if mutant else beta)), 1e-9)


@dataclass(frozen=True)
class Tilted:
    """States and actions in [0, 1]: from (x, a) to one of the points by the law low + tilt (x + a)/2 (high - low).

    Rewards are slope·x + own·a. All is affine in the action, so that 0 or 1 is the best in the continuous meta-game.
    """

    points: Float
    low: Float
    high: Float
    tilt: float
    slope: float
    own: float
    levels: int
    discount: float

    @property
    def label(self) -> str:
        """The parameters in words."""
        return f"{len(self.points)} points, tilt {self.tilt:g}, {self.levels} levels, discount {self.discount:g}"

    def value(self, points: Float, actions: Float) -> Float:
        """Return V* at the grid's states, if these points are met instead and there are these actions."""
        n = len(points)
        places = np.concatenate([points, np.arange(self.levels + 1) / self.levels])
        share = self.tilt * (places[:, None] + actions) / 2
        P = np.zeros((*share.shape, len(places)))
        P[..., :n] = self.low + share[..., None] * (self.high - self.low)
        return optimum(P, self.slope * places[:, None] + self.own * actions, self.discount)[0][n:]


def _sample_tilted(rng: np.random.Generator) -> Tilted:
    low, high = rng.dirichlet(np.ones(int(rng.integers(1, 4))), 2)
    slopes = float(rng.uniform(0, 1)), float(rng.uniform(0, 1)), float(rng.uniform(-1, 1))
    return Tilted(
        rng.random(len(low)), low, high, *slopes, int(rng.integers(1, 6)), float(rng.choice([0.3, 0.8, 0.95]))
    )


_ONE = np.ones(1)

_HOLES = tuple(Tilted(np.array([0.5 / k - 1e-9]), _ONE, _ONE, 0.0, 1.0, 1.0, k, g) for k, g in ((1, 0.5), (4, 0.9)))


def _d2(case: Tilted, mutant: bool) -> Sides:
    """V* - V*_d at the grid's states with the actions at cell centres, its negative, and the slope of V*."""
    k, share = case.levels, 0.5 if mutant else 1.0
    exact = case.value(case.points, np.array([0.0, 1.0]))
    coarse = case.value(np.floor(case.points * k + 0.5) / k, (np.arange(k) + 0.5) / k)
    at = {"l_reward": max(abs(case.slope), abs(case.own), NEARLY_ZERO), "discount": case.discount}
    at |= {"meta_span": max(abs(case.slope) + abs(case.own), NEARLY_ZERO)}
    at |= {"l_transition": max(case.tilt * float(np.abs(case.high - case.low).sum()) / 4, NEARLY_ZERO)}
    cell = Fraction(1, 2 * k)
    found = (
        (exact - coarse, d2().upper.evaluate(**at, alpha_action=cell, alpha_state=cell)),
        (coarse - exact, d2().lower.evaluate(**at, alpha_state=cell)),
        (np.abs(np.diff(exact)), d2().modulus.evaluate(**at, distance=2 * cell)),
    )
    return max((Sides(float(left.max()), share * float(right)) for left, right in found), key=lambda side: side.ratio)


DISCRETISATION = (
    Statement(
        "D1",
        "what a grid costs where learning contracts",
        latex=r"-E_- \le V^*-V^*_d \le E,\ E=\frac{L_R\alpha_a+\hat\gamma L_V(L_F^a\alpha_a+\alpha_s)}{1-\hat\gamma},\ "
        r"E_-=\frac{\hat\gamma L_V\alpha_s}{1-\hat\gamma}",
        assumptions=(*_ON_GRID, "projected gradient and smoothed best responses"),
        sample=_sample_contracting,
        sides=_both_ends,
        mutant="a constant halved",
        extremal=(*_DRIFTS, *_STEEP),
        share=0.02,
        detects=(1, 1.15),
    ),
    Statement(
        "D2",
        "what a grid costs where transitions are Lipschitz in total variation",
        latex=r"-E_- \le V^*-V^*_d \le \frac{L_V(\alpha_a+\hat\gamma\alpha_s)}{1-\hat\gamma},\ "
        r"L_V=L_R+\hat\gamma L_P\,\mathrm{span}(R)/(1-\hat\gamma)",
        assumptions=("up to 3 next states, laws and rewards affine in x and a", "also |V*(x)-V*(x')| ≤ L_V d"),
        sample=_sample_tilted,
        sides=_d2,
        mutant="a constant halved",
        extremal=_HOLES,
        share=0.1,
        attained=True,
    ),
    Statement(
        "D2, windows",
        "what a grid of mixed actions costs in a window meta-game",
        latex=r"V^*-V^*_d \le \frac{\mathrm{span}(r)\,\delta}{(1-\hat\gamma)(1-\hat\gamma+\hat\gamma\delta)},\ "
        r"\delta=\tfrac12\alpha_a",
        assumptions=("exact windows of one joint action of two, simultaneous moves", "mixed actions at cell centres"),
        sample=_sample_window,
        sides=_d2_window,
        mutant="δ for γ̂δ in the denominator",
        extremal=tuple(_unforgiving(cells, g) for cells in (2, 10) for g in (0.5, 0.95)),
        share=0.3,
        detects=(1, 1.01),
    ),
    Statement(
        "D3",
        "what the policy of the nearest grid point loses in the continuous meta-game",
        latex=r"V^*-V^{\pi_d} \le \frac{E+E_-+\varepsilon+2L_V\alpha_s}{1-\hat\gamma}",
        assumptions=(*_ON_GRID, "played from seven starts until the rest is worth a millionth"),
        sample=_sample_contracting,
        sides=_loss,
        mutant="a constant halved",
        extremal=(_TURNING, *_STEEP),
        share=0.02,
        detects=(1, 1.25),
    ),
    Statement(
        "X5",
        "what a grid costs where learning expands",
        latex=r"-E_- \le V^*-V^*_d \le E,\ "
        r"E=\frac{L_R\alpha_a+\hat\gamma\,\omega(L_F^a\alpha_a+\alpha_s)}{1-\hat\gamma},\ "
        r"E_-=\frac{\hat\gamma\,\omega(\alpha_s)}{1-\hat\gamma}",
        assumptions=(*_ON_GRID, "gradient steps on a logit, or x that pays x and goes to min(1, L x + c)"),
        sample=_sample_expanding,
        sides=_both_ends,
        mutant="a constant halved",
        extremal=(*_DOUBLING, _EXPANDING),
        share=0.02,
        detects=(1, 1.25),
    ),
    Statement(
        "X5, modulus",
        "how the optimal value changes where learning expands",
        latex=r"|V^*(x)-V^*(x')| \le \omega(d(x,x'))",
        assumptions=("x pays x and goes to min(1, L x + c)",),
        sample=_sample_line,
        sides=_modulus,
        mutant="a constant halved",
        extremal=(Line(2.0, 0.0, 64, 0.8), Line(4.0, 0.0, 10, 0.5)),
        share=0.1,
        attained=True,
    ),
    Statement(
        "X5, exponent",
        "the exponent of that change",
        latex=r"\omega(d) = O(d^\beta),\ \beta=\ln(1/\hat\gamma)/\ln L_F^s",
        assumptions=("γL > 1, distances of L^-n; the right side is rounding",),
        sample=_sample_beta,
        sides=_beta,
        mutant="1-β for β",
        extremal=(Line(2.0, 0.0, 1, 0.8),),
        share=0.05,
    ),
)
