"""Exact returns and gradients of stochastic games."""

import numpy as np
import pytest

from rfos.games.named import matching_pennies, standard_prisoners_dilemma, three_player_matching_pennies
from rfos.games.stochastic import StochasticGame, iterated, one_shot

IPD = iterated(standard_prisoners_dilemma(), 0.96)


def random_policies(game: StochasticGame, rng: np.random.Generator) -> list[np.ndarray]:
    return [rng.dirichlet(np.ones(n), game.n_states) for n in game.n_actions]


def test_returns_agree_with_a_long_sum_of_the_definition() -> None:
    """J_i = (1-γ) Σ γ^t E r_t, summed step by step from the law of the state."""
    rng = np.random.default_rng(0)
    game = iterated(three_player_matching_pennies(), 0.7)
    policies = random_policies(game, rng)
    law, total = game.initial.copy(), np.zeros(3)
    for t in range(200):
        joint = np.einsum("sa,sb,sc->sabc", *policies).reshape(game.n_states, -1)
        total += 0.3 * 0.7**t * np.einsum("s,sj,isj->i", law, joint, game.rewards)
        law = np.einsum("s,sj,sjt->t", law, joint, game.transitions)
    assert np.allclose(game.returns(policies), total, atol=1e-12)


def test_memory_one_returns_by_hand() -> None:
    """Tit for tat against itself cooperates for ever; against always-defect it is exploited once."""
    tft = np.array([[1, 0], [1, 0], [0, 1], [1, 0], [0, 1]], float)
    own_view = tft[np.argsort(IPD.views[1])]  # player 1 reads CD as its own C
    assert IPD.returns([tft, own_view]).round(12).tolist() == [-1.0, -1.0]
    assert IPD.returns([tft, [[0, 1]] * 5]).round(12).tolist() == [-2.04, -1.92]


@pytest.mark.parametrize("game", [IPD, one_shot(matching_pennies()), iterated(three_player_matching_pennies(), 0.5)])
def test_gradients_are_derivatives_of_returns(game: StochasticGame) -> None:
    """Along any direction that keeps rows normalised, the gradient is the central difference to 1e-7."""
    rng = np.random.default_rng(1)
    policies = random_policies(game, rng)
    for i, gradient in enumerate(game.gradients(policies)):
        direction = rng.normal(size=gradient.shape)
        direction -= direction.mean(axis=1, keepdims=True)
        h = 1e-5 * policies[i].min()
        ends = []
        for sign in (1, -1):
            moved = list(policies)
            moved[i] = policies[i] + sign * h * direction
            ends.append(game.returns(moved)[i])
        assert (ends[0] - ends[1]) / (2 * h) == pytest.approx((gradient * direction).sum(), abs=1e-6)


def test_mixed_derivatives_are_derivatives_of_gradients() -> None:
    """∂/∂φ_1 of the derivative of J_0 along a direction in φ_0, against differences of exact gradients."""
    rng = np.random.default_rng(2)
    policies = random_policies(IPD, rng)
    direction = rng.normal(size=(5, 2))
    direction -= direction.mean(axis=1, keepdims=True)
    h = 1e-6
    ends = [IPD.gradients([policies[0] + s * h * direction, policies[1]], player=0)[1] for s in (1, -1)]
    mixed = IPD.mixed_derivative(policies, 0, direction)
    assert np.allclose(mixed, (ends[0] - ends[1]) / (2 * h), atol=1e-6)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: iterated(matching_pennies(), 1.0), "discount is 1.0"),
        (lambda: StochasticGame([[[0.5]]], [[[1.0]]], [1.0], (1,), 0.5), r"transitions: row \(0, 0\) is \[0.5\]"),
        (lambda: StochasticGame([[[1.0]]], [[[np.nan]]], [1.0], (1,), 0.5), "rewards hold nan"),
        (lambda: StochasticGame([[[1.0]]], [[[1.0]]], [1.0], (2,), 0.5), r"expected \(1, 2, 1\)"),
        (lambda: IPD.returns([[[1, 0]] * 5]), "1 policies for 2 players"),
        (lambda: IPD.returns([[[1, 0]] * 5, [[0.5, 0.6]] * 5]), r"policy of player 1: row \(0,\) is \[0.5, 0.6\]"),
    ],
)
def test_bad_games_and_policies_are_named(make, message: str) -> None:
    """Each message names the value."""
    with pytest.raises(ValueError, match=message):
        make()
