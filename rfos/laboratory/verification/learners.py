"""Lipschitz constants of learners: the table of section 4, row by row, and what has none."""

from __future__ import annotations

import zlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from bounds import discretisation as theory
from rfos._system.arrays import Float
from rfos.games.named import matching_pennies
from rfos.games.normal_form import NormalFormGame
from rfos.games.stochastic import StochasticGame, iterated, one_shot
from rfos.laboratory.verification.engine import Sides, Statement
from rfos.laboratory.verification.grids import distance
from rfos.laboratory.verification.models import NEARLY_ZERO
from rfos.metagames.learners import FictitiousPlay, Learner, NaiveLearner, SmoothedBestResponse

Policies = tuple[Float, ...]

Constants = tuple[float, float]

Sider = Callable[["Step", bool], Sides]


@dataclass(frozen=True)
class Step:
    """A game, one learner for all opponents, and two joint policies from which it takes a step."""

    game: StochasticGame
    learner: Learner
    first: Policies
    second: Policies
    label: str

    @property
    def own(self) -> float:
        """Distance of the shaper's policies."""
        return float(distance(self.first[0], self.second[0]))

    @property
    def others(self) -> float:
        """Distance of the opponents' policies, summed."""
        return sum(float(distance(x, y)) for x, y in zip(self.first[1:], self.second[1:], strict=True))

    @property
    def moved(self) -> float:
        """Distance of the opponents' next policies, summed."""
        players = range(1, self.game.n_players)
        ends = [[self.learner.update(self.game, i, p) for i in players] for p in (self.first, self.second)]
        return sum(float(distance(x, y)) for x, y in zip(*ends, strict=True))

    def span(self, player: int) -> float:
        """span(r_i)."""
        low, high = self.game.reward_range(player)
        return max(high - low, NEARLY_ZERO)


def _label(game: StochasticGame, learner: Learner) -> str:
    return f"{game.n_actions} actions, {game.n_states} states, inner discount {game.discount:g}, {learner}"


def _policy(rng: np.random.Generator, n_states: int, n_actions: int) -> Float:
    if rng.random() < 0.3:
        return np.eye(n_actions)[rng.integers(0, n_actions, n_states)]
    rows: Float = rng.dirichlet(np.full(n_actions, float(rng.choice([0.1, 1.0]))), n_states)
    return rows


def _pair(rng: np.random.Generator, n_states: int, n_actions: int) -> tuple[Float, Float]:
    """Two policies, far apart, close together, or the same."""
    first, second = (_policy(rng, n_states, n_actions) for _ in range(2))
    return first, first + float(rng.choice([0.0, 1e-3, 0.1, 1.0])) * (second - first)


def _step(rng: np.random.Generator, game: StochasticGame, learner: Learner) -> Step:
    first, second = zip(*(_pair(rng, game.n_states, n) for n in game.n_actions), strict=True)
    return Step(game, learner, first, second, _label(game, learner))


def _payoffs(rng: np.random.Generator, *n_actions: int) -> NormalFormGame:
    shape = (len(n_actions), *n_actions)
    whole = rng.integers(0, 2, shape).astype(float)
    return NormalFormGame(whole if rng.random() < 0.5 else rng.uniform(-1, 1, shape))


def _stochastic_game(rng: np.random.Generator, *n_actions: int) -> StochasticGame:
    """An iterated game with memory-one policies, or any game of 2 or 3 states."""
    discount = float(rng.choice([0.1, 0.5, 0.9]))
    if rng.random() < 0.5:
        return iterated(_payoffs(rng, *n_actions), discount)
    n, n_joint = int(rng.integers(2, 4)), int(np.prod(n_actions))
    transitions = rng.dirichlet(np.full(n, 0.3), (n, n_joint))
    rewards = rng.uniform(-1, 1, (len(n_actions), n, n_joint))
    return StochasticGame(transitions, rewards, rng.dirichlet(np.full(n, 0.5)), n_actions, discount)


def _naive(rng: np.random.Generator, game: StochasticGame, kind: str) -> NaiveLearner:
    """Step sizes on the normalised return from a hundredth to eight."""
    size = float(np.exp(rng.uniform(np.log(0.01), np.log(8))))
    return NaiveLearner(size * (1 - game.discount), "simplex" if kind == "simplex" else "logits")


def _sample_projected(rng: np.random.Generator) -> Step:
    game = one_shot(_payoffs(rng, *(int(n) for n in rng.integers(2, 4, 2))))
    return _step(rng, game, _naive(rng, game, "simplex"))


def _sample_many(rng: np.random.Generator) -> Step:
    game = one_shot(_payoffs(rng, *(int(n) for n in rng.integers(2, 4, 3))))
    return _step(rng, game, _naive(rng, game, "simplex"))


def _sample_logit(rng: np.random.Generator) -> Step:
    game = one_shot(_payoffs(rng, int(rng.integers(2, 4)), 2))
    return _step(rng, game, _naive(rng, game, "logits"))


def _sample_smoothed(rng: np.random.Generator) -> Step:
    game = one_shot(_payoffs(rng, *(int(n) for n in rng.integers(2, 4, 2))))
    return _step(rng, game, SmoothedBestResponse(float(rng.choice([0.1, 1.0])), float(rng.choice([0.1, 0.5, 1.0]))))


def _sample_projected_stochastic(rng: np.random.Generator) -> Step:
    game = _stochastic_game(rng, *(int(n) for n in rng.integers(2, 4, 2)))
    return _step(rng, game, _naive(rng, game, "simplex"))


def _sample_logit_stochastic(rng: np.random.Generator) -> Step:
    game = _stochastic_game(rng, int(rng.integers(2, 4)), 2)
    return _step(rng, game, _naive(rng, game, "logits"))


def step_size(step: Step) -> float:
    """η on the normalised return, as theory has it; learners step on the un-normalised one."""
    assert isinstance(step.learner, NaiveLearner)
    return step.learner.step / (1 - step.game.discount)


def _projected(step: Step) -> dict[str, Any]:
    at = {"step_size": step_size(step), "inner_actions": step.game.n_actions[1], "inner_span": step.span(1)}
    if not step.game.discount:
        return theory.projected_gradient().evaluate(**at)
    return theory.projected_gradient(stochastic=True).evaluate(**at, inner_discount=step.game.discount)


def _many(step: Step) -> dict[str, Any]:
    opponents = [(step.game.n_actions[i], step.span(i)) for i in range(1, step.game.n_players)]
    return theory.projected_gradient_many(opponents).evaluate(step_size=step_size(step))


def _logit(step: Step) -> dict[str, Any]:
    at = {"step_size": step_size(step)}
    if not step.game.discount:
        gaps = -np.diff(step.game.rewards[1, 0].reshape(-1, 2), axis=1)
        own = {"payoff_gap": max(float(np.abs(gaps).max()), NEARLY_ZERO), "payoff_gap_span": float(np.ptp(gaps))}
        return theory.logit_gradient().evaluate(**at, **own)
    at |= {"inner_span": step.span(1), "inner_discount": step.game.discount}
    return theory.logit_gradient(stochastic=True).evaluate(**at)


def _smoothed(step: Step) -> dict[str, Any]:
    assert isinstance(step.learner, SmoothedBestResponse)
    at = {"smoothing": step.learner.mixing, "temperature": step.learner.temperature, "inner_span": step.span(1)}
    return theory.smoothed_best_response().evaluate(**at)


def _sides(constants: Callable[[Step], dict[str, Any]], fault: Callable[[Step, Constants], Constants]) -> Sider:
    def sides(step: Step, mutant: bool) -> Sides:
        found = constants(step)
        state, action = float(found["state"]), float(found["action"])
        if mutant:
            state, action = fault(step, (state, action))
        return Sides(step.moved, state * step.others + action * step.own)

    return sides


def _half_action(step: Step, constants: Constants) -> Constants:
    return constants[0], constants[1] / 2


def _no_growth(step: Step, constants: Constants) -> Constants:
    return 1.0, constants[1]


def _no_exponential(step: Step, constants: Constants) -> Constants:
    x = step_size(step) * float(np.abs(np.diff(step.game.rewards[1, 0].reshape(-1, 2), axis=1)).max())
    return constants[0] / float(np.exp(x / 4)), constants[1]


def _jump(step: Step, mutant: bool) -> Sides:
    return Sides(step.moved, 1e6 * step.own)


# Attained ------------------------------------------------------------------------------------------------------------

_PENNIES = one_shot(matching_pennies())

_THREE = one_shot(NormalFormGame(np.array([np.zeros((1, 2, 2)), np.zeros((1, 2, 2)), [[[0.0, 1.0], [1.0, 0.0]]]])))


def _two(first: float, second: float) -> tuple[Float, Float]:
    """Two policies of one inner state and two actions, by their probabilities of action 0."""
    return np.array([[first, 1 - first]]), np.array([[second, 1 - second]])


def _attained(game: StochasticGame, learner: Learner, *policies: tuple[Float, Float]) -> Step:
    first, second = zip(*policies, strict=True)
    return Step(game, learner, first, second, "attained: " + _label(game, learner))


_ONE = (np.ones((1, 1)), np.ones((1, 1)))

_FULL = _attained(_PENNIES, NaiveLearner(0.4, "simplex"), _two(0, 1), _two(0.5, 0.5))

_CROSS = _attained(_THREE, NaiveLearner(0.4, "simplex"), _ONE, _two(0, 1), _two(0.5, 0.5))

_SMOOTH = _attained(_PENNIES, SmoothedBestResponse(1.0, 0.5), _two(0.5, 0.5 + 1e-6), _two(0.3, 0.3))

_STEEP = tuple(_attained(_PENNIES, NaiveLearner(x), _two(1, 1), _two(0.79, 0.79 + 1e-6)) for x in (0.5, 1.0))

_JUMP = _attained(_PENNIES, FictitiousPlay(), _two(0.5 - 1e-9, 0.5 + 1e-9), _two(0.3, 0.3))

_CONTRACTION = r"d(L(a,\psi),L(a',\psi')) \le L_F^s\,d(\psi,\psi')+L_F^a\,d(a,a'),\ "


def _drawn(statement: str, sample: Callable[[np.random.Generator], Any], number: int) -> Any:
    """Return an instance that `sample` draws under seed 0, one that was found to make the statement an equality."""
    key = (zlib.crc32(statement.encode()), number)
    return sample(np.random.default_rng(np.random.SeedSequence(0, spawn_key=key)))


_ONE_SHOT = ("2 or 3 actions each, one inner state", "policies far apart, close together, and pure ones")

_MEMORY = ("iterated games with memory-one policies and games of 2 or 3 states", "inner discounts .1, .5 and .9")

LEARNERS = (
    Statement(
        "L, projected gradient",
        "one opponent's gradient steps on the simplex contract",
        latex=_CONTRACTION + r"L_F^s=1,\ L_F^a=2\eta\kappa_A\,\mathrm{span}(r)",
        assumptions=_ONE_SHOT,
        sample=_sample_projected,
        sides=_sides(_projected, _half_action),
        mutant="L_F^a halved",
        extremal=(_FULL,),
        attained=True,
    ),
    Statement(
        "L, several gradients",
        "two opponents' gradient steps on the simplex",
        latex=_CONTRACTION + r"L_F^s=1+2\eta\max_j\sum_{i\ne j}\kappa_i\mathrm{span}(r_i),\ "
        r"L_F^a=2\eta\sum_i\kappa_i\mathrm{span}(r_i)",
        assumptions=_ONE_SHOT,
        sample=_sample_many,
        sides=_sides(_many, _no_growth),
        mutant="L_F^s = 1, as for one opponent",
        extremal=(_CROSS,),
        attained=True,
    ),
    Statement(
        "L, logit gradient",
        "gradient steps on a logit",
        latex=_CONTRACTION
        + r"L_F^s=e^{x/4}\left(1+\tfrac{x}{6\sqrt3}\right),\ L_F^a=\tfrac{\eta}{16}\mathrm{span}(u_0-u_1)",
        assumptions=("2 or 3 own actions, 2 of the opponent", "x = η max|u_0-u_1|"),
        sample=_sample_logit,
        sides=_sides(_logit, _no_exponential),
        mutant="the factor e^{x/4} dropped",
        extremal=(*_STEEP, _drawn("L, logit gradient", _sample_logit, 16)),
        attained=True,
    ),
    Statement(
        "L, smoothed best response",
        "smoothed best responses contract",
        latex=_CONTRACTION + r"L_F^s=1-\beta,\ L_F^a=\tfrac{\beta}{2\tau}\mathrm{span}(r)",
        assumptions=_ONE_SHOT,
        sample=_sample_smoothed,
        sides=_sides(_smoothed, _half_action),
        mutant="L_F^a halved",
        extremal=(_SMOOTH,),
        attained=True,
    ),
    Statement(
        "L, projected gradient, stochastic",
        "gradient steps on the simplex in stochastic games",
        latex=_CONTRACTION + r"L_F^s=1+\tfrac{4\eta\kappa_A\gamma}{(1-\gamma)^2}\mathrm{span}(r),\ "
        r"L_F^a=\eta\kappa_A\mathrm{span}(r)\left[\tfrac{4\gamma}{(1-\gamma)^2}+\tfrac{2}{1-\gamma}\right]",
        assumptions=_MEMORY,
        sample=_sample_projected_stochastic,
        sides=_sides(_projected, _no_growth),
        mutant="L_F^s = 1, as in normal form",
        extremal=(_drawn("L, projected gradient, stochastic", _sample_projected_stochastic, 31),),
        attained=True,
    ),
    Statement(
        "L, logit gradient, stochastic",
        "gradient steps on logits in stochastic games",
        latex=_CONTRACTION
        + r"L_F^s=e^{x/4}\left(1+\tfrac{x}{6\sqrt3}\right)+\tfrac{\eta\gamma}{4(1-\gamma)^2}\mathrm{span}(r),\ "
        r"L_F^a=\tfrac{\eta}{16}\mathrm{span}(r)\left[\tfrac{4\gamma}{(1-\gamma)^2}+\tfrac{2}{1-\gamma}\right]",
        assumptions=(*_MEMORY, "2 or 3 own actions, 2 of the opponent"),
        sample=_sample_logit_stochastic,
        sides=_sides(_logit, _no_growth),
        mutant="L_F^s = 1, as if learning contracted",
        extremal=(_drawn("L, logit gradient, stochastic", _sample_logit_stochastic, 34),),
        attained=True,
    ),
)

FALSE_LEARNERS = (
    Statement(
        "false: L, best response",
        "best responses have Lipschitz constants",
        latex=_CONTRACTION + r"L_F^a = 10^6",
        assumptions=("Matching Pennies: at ½ the reply jumps, whatever the constant",),
        sample=_sample_projected,
        sides=_jump,
        extremal=(_JUMP,),
        holds=False,
    ),
)
