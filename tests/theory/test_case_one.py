"""Case I on random games: D1 with actions, exact gradients and exact returns of memory-one policies."""

import itertools
import math

import numpy as np
import pytest
import sympy as sp
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from rfos.discretisation import discretisation_error
from rfos.games import NormalFormGame
from rfos.grids import SimplexGrid
from rfos.learners import FictitiousPlay, NaiveLearner, SmoothedBestResponse
from rfos.planning import solve
from rfos.policy_metagames import PolicyMetaGame
from rfos.stochastic_games import StochasticGame, iterated, one_shot

FINE = 64
COARSE = (2, 4, 8)


def payoffs(draw: st.DrawFn) -> NormalFormGame:
    """Two players, two actions, rewards in quarters between -1 and 1."""
    quarters = st.integers(-4, 4)
    numbers = [draw(quarters) / 4 for _ in range(8)]
    # Constant rewards have no span, and nothing to discretise.
    for i in (0, 4):
        if len(set(numbers[i : i + 4])) == 1:
            numbers[i] += 0.25
    return NormalFormGame(np.reshape(numbers, (2, 2, 2)))


@st.composite
def contracting_cases(draw: st.DrawFn) -> tuple[StochasticGame, object, float]:
    """A one-shot game, a learner that contracts there, and a meta discount."""
    learner = draw(
        st.one_of(
            st.sampled_from([0.1, 0.5, 1.5]).map(lambda step: NaiveLearner(step, "simplex")),
            st.tuples(st.sampled_from([0.3, 1.0]), st.sampled_from([0.2, 0.7])).map(lambda x: SmoothedBestResponse(*x)),
        )
    )
    return one_shot(payoffs(draw)), learner, draw(st.sampled_from([0.3, 0.6, 0.8]))


def on_grid(game: StochasticGame, learner, discount: float, k: int, rounding: str) -> PolicyMetaGame:
    return PolicyMetaGame(game, [learner], [SimplexGrid(1, 2, k)] * 2, discount, rounding)


@given(contracting_cases(), st.sampled_from(COARSE), st.sampled_from(["nearest", "barycentric"]))
@settings(max_examples=40)
def test_d1_the_value_on_the_grid_is_within_its_error(case, k: int, rounding: str) -> None:
    """-E₋ <= V* - V*_d <= E at grid states of random games with actions.

    V* itself is bracketed by D1 on a grid 64 cells fine, so both sides are intervals, and a violation is a gap.
    """
    game, learner, discount = case
    coarse, fine = on_grid(game, learner, discount, k, rounding), on_grid(game, learner, discount, FINE, "nearest")
    found, reference = discretisation_error(coarse), discretisation_error(fine)
    assert found.statement == reference.statement == "D1"
    on_coarse, on_fine = solve(coarse.to_mdp(), tol=1e-9), solve(fine.to_mdp(), tol=1e-9)
    shared = np.arange(k + 1) * (FINE // k)
    least = on_fine.lower[shared] - reference.lower
    most = on_fine.upper[shared] + reference.upper
    assert (most >= on_coarse.lower - found.lower - 1e-9).all()
    assert (least <= on_coarse.upper + found.upper + 1e-9).all()


def test_d1_would_fail_with_a_twentieth_of_its_error() -> None:
    """The check above can fail: some game needs more than a twentieth of E on a coarse grid."""
    game = one_shot(NormalFormGame([[[1, 0], [0, 1]], [[0, 1], [1, 0]]]))
    learner = NaiveLearner(0.1, "simplex")
    coarse, fine = on_grid(game, learner, 0.8, 2, "nearest"), on_grid(game, learner, 0.8, FINE, "nearest")
    difference = solve(fine.to_mdp()).value[[0, 32, 64]] - solve(coarse.to_mdp()).value
    error, reference = discretisation_error(coarse), discretisation_error(fine)
    assert np.abs(difference).max() - max(reference.upper, reference.lower) > 0.05 * max(error.upper, error.lower)


def test_best_responses_have_no_error_and_say_why() -> None:
    """Best responses jump: no Lipschitz constant, so neither D1 nor X5 applies."""
    game = one_shot(NormalFormGame([[[1, 0], [0, 1]], [[0, 1], [1, 0]]]))
    found = discretisation_error(on_grid(game, FictitiousPlay(), 0.8, 4, "nearest"))
    assert found.statement is None
    assert "jump" in found.reason


def test_without_rewards_that_differ_a_grid_costs_nothing() -> None:
    """Equal rewards of the shaper: V* is the same everywhere, whatever the learner, and the error is 0."""
    game = one_shot(NormalFormGame([[[1, 1], [1, 1]], [[0, 1], [1, 0]]]))
    found = discretisation_error(on_grid(game, FictitiousPlay(), 0.8, 4, "nearest"))
    assert (found.statement, found.upper, found.lower, found.loss) == ("D1", 0.0, 0.0, 0.0)
    assert "equal" in found.reason


def symbolic_return(game: StochasticGame, player: int, symbols: list[list[list[sp.Expr]]]) -> sp.Expr:
    """J_i = (1-γ) ρ (I - γP)^-1 r, in the policies' probabilities as free coordinates."""
    n = game.n_states
    joint = list(itertools.product(*map(range, game.n_actions)))
    exact = np.vectorize(lambda x: sp.Rational(str(x)))
    transitions, rewards = exact(game.transitions), exact(game.rewards[player])
    step, reward = sp.zeros(n, n), sp.zeros(n, 1)
    for s in range(n):
        for j, actions in enumerate(joint):
            weight = sp.Mul(*(symbols[i][s][a] for i, a in enumerate(actions)))
            reward[s] += weight * rewards[s, j]
            for t in range(n):
                step[s, t] += weight * transitions[s, j, t]
    discount = sp.Rational(str(game.discount))
    system = sp.eye(n) - discount * step
    values = system.adjugate() * reward / system.det()
    initial = sp.Matrix([[sp.Rational(str(x)) for x in game.initial]])
    return (1 - discount) * (initial * values)[0]


@pytest.mark.parametrize(("n_states", "n_actions"), [(1, (2, 3)), (2, (2, 2)), (2, (2, 2, 2)), (2, (3, 2))])
def test_exact_gradients_are_those_of_the_symbolic_return(n_states: int, n_actions: tuple[int, ...]) -> None:
    """dJ_i/dφ_k(a|s) against sympy's derivative at a rational point, every player's return in every policy."""
    rng = np.random.default_rng(n_states + sum(n_actions))
    n_joint = math.prod(n_actions)
    transitions = rng.integers(1, 5, (n_states, n_joint, n_states)).astype(float)
    transitions = np.round(transitions / transitions.sum(axis=2, keepdims=True), 3)
    transitions[:, :, -1] = np.round(1 - transitions[:, :, :-1].sum(axis=2), 3)
    rewards = rng.integers(-8, 9, (len(n_actions), n_states, n_joint)) / 4
    initial = np.eye(n_states)[0]
    game = StochasticGame(transitions, rewards, initial, n_actions, 0.75)
    symbols = [
        [[sp.Symbol(f"p_{i}_{s}_{a}") for a in range(n)] for s in range(n_states)] for i, n in enumerate(n_actions)
    ]
    policies, point = [], {}
    for i, n in enumerate(n_actions):
        weights = rng.integers(1, 6, (n_states, n))
        policies.append(weights / weights.sum(axis=1, keepdims=True))
        for s, a in itertools.product(range(n_states), range(n)):
            point[symbols[i][s][a]] = sp.Rational(int(weights[s, a]), int(weights[s].sum()))
    for player in range(len(n_actions)):
        formula = symbolic_return(game, player, symbols)
        assert float(formula.subs(point)) == pytest.approx(game.returns(policies)[player], rel=1e-12)
        found = game.gradients(policies, player)
        for i, n in enumerate(n_actions):
            for s, a in itertools.product(range(n_states), range(n)):
                expected = float(sp.diff(formula, symbols[i][s][a]).subs(point))
                assert found[i][s, a] == pytest.approx(expected, rel=1e-11, abs=1e-12)


def determinant_return(game: StochasticGame, own: np.ndarray, other: np.ndarray, player: int) -> float:
    """The return of memory-one policies by Cramer's rule on the 4 x 4 system of outcomes (as Press & Dyson, 2012).

    The discounted law of outcomes is d = (1-γ) w (I - γW)^-1, and d r = det(..r..)/det by replacing rows.
    """

    def outcome(x: float, y: float) -> np.ndarray:
        return np.array([x * y, x * (1 - y), (1 - x) * y, (1 - x) * (1 - y)])

    g = game.discount
    first = outcome(own[0], other[0])
    after = np.array([outcome(own[k], other[k]) for k in range(1, 5)])
    system = np.eye(4) - g * after
    reward = game.rewards[player, 0]
    # w (I - γW)^-1 r = 1 - det(I - γW - r w) / det(I - γW), the matrix determinant lemma.
    return (1 - g) * (1 - np.linalg.det(system - np.outer(reward, first)) / np.linalg.det(system))


def test_memory_one_returns_are_a_ratio_of_determinants() -> None:
    """J_i of random memory-one policies against the determinant form, to 1e-10."""
    rng = np.random.default_rng(5)
    for _ in range(200):
        game = iterated(NormalFormGame(rng.normal(size=(2, 2, 2))), float(rng.choice([0.0, 0.5, 0.9, 0.99])))
        own, other = rng.uniform(0, 1, (2, 5))
        played = [np.stack([p, 1 - p], axis=1) for p in (own, other)]
        found = game.returns(played)
        for player in range(2):
            assert found[player] == pytest.approx(determinant_return(game, own, other, player), abs=1e-10)


def test_memory_one_returns_are_the_means_of_long_simulations() -> None:
    """E of r at a geometric time is the normalised return: 40,000 games, t interval at a false-alarm rate of 1e-6."""
    rng = np.random.default_rng(6)
    stage = NormalFormGame(rng.normal(size=(2, 2, 2)))
    game = iterated(stage, 0.9)
    own, other = rng.uniform(0, 1, (2, 5))
    n = 40_000
    last = np.zeros(n, np.int64)
    ends = rng.geometric(1 - 0.9, n)
    sampled = np.zeros((n, 2))
    for t in range(1, ends.max() + 1):
        a = (rng.random(n) >= own[last]).astype(int)
        b = (rng.random(n) >= other[last]).astype(int)
        now = ends == t
        sampled[now] = stage.payoffs[:, a[now], b[now]].T
        last = 1 + 2 * a + b
    exact = game.returns([np.stack([p, 1 - p], axis=1) for p in (own, other)])
    half = stats.norm.ppf(1 - 1e-6 / 4) * sampled.std(axis=0, ddof=1) / math.sqrt(n)
    assert (np.abs(sampled.mean(axis=0) - exact) <= half).all()
