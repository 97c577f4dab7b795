"""Solutions: certified brackets against exact rationals and other solvers, validation, read-only results."""

import dataclasses
import itertools
import math
import warnings
from fractions import Fraction

import naive
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from strength import scaled
from tabular import dense_of

from rfos.games.named import matching_pennies
from rfos.metagames.opponents import WindowQLearner
from rfos.metagames.window import WindowMetaGame
from rfos.planning.certificates import bracket
from rfos.planning.evaluate import evaluate_policy
from rfos.planning.mdp import TabularMDP
from rfos.planning.solution import Accuracy
from rfos.planning.solve import solve
from rfos.testing import mdps, policies

TWO_STATES = TabularMDP([[0, 1], [1, 0]], [[0.0, 0.0], [1.0, 0.0]], 0.5)


def exact_value(mdp, policy):
    """V^pi by Gaussian elimination in rationals; `policy` maps (s, a) to a probability."""
    n, discount = mdp.n_states, Fraction(mdp.discount)
    rows = naive.mdp_rows(mdp)
    system = [[Fraction(int(s == j)) for j in range(n)] + [Fraction(0)] for s in range(n)]
    for (s, a), row in rows.items():
        total = sum(Fraction(p) for p, _, _ in row)
        for p, reward, j in row:
            weight = policy[s, a] * Fraction(p) / total
            system[s][j] -= discount * weight
            system[s][n] += weight * Fraction(reward)
    for i in range(n):
        pivot = next(k for k in range(i, n) if system[k][i])
        system[i], system[pivot] = system[pivot], system[i]
        system[i] = [x / system[i][i] for x in system[i]]
        for k in range(n):
            if k != i:
                system[k] = [x - system[k][i] * y for x, y in zip(system[k], system[i], strict=True)]
    return [row[n] for row in system]


def exact_optimal_value(mdp):
    """V*: the largest value over all deterministic policies, in rationals."""
    best = None
    for actions in itertools.product(range(mdp.n_actions), repeat=mdp.n_states):
        policy = {(s, a): Fraction(int(a == actions[s])) for s in range(mdp.n_states) for a in range(mdp.n_actions)}
        value = exact_value(mdp, policy)
        best = value if best is None else [max(pair) for pair in zip(best, value, strict=True)]
    return best


def assert_encloses(solution, exact):
    for low, value, high in zip(solution.lower, exact, solution.upper, strict=True):
        assert Fraction(float(low)) <= value <= Fraction(float(high))


@given(mdps(max_states=3, max_actions=2))
@settings(max_examples=scaled(60))
def test_the_bracket_of_solve_holds_the_exact_value(mdp):
    """lower <= V* <= upper in rational arithmetic, for every storage; the policy is worth at least lower."""
    solution = solve(mdp, tol=1e-9)
    exact = exact_optimal_value(mdp)
    assert_encloses(solution, exact)
    assert solution.converged
    assert solution.accuracy is Accuracy.CERTIFIED
    policy = {(s, a): Fraction(int(a == solution.policy[s])) for s in range(mdp.n_states) for a in range(mdp.n_actions)}
    for low, value in zip(solution.lower, exact_value(mdp, policy), strict=True):
        assert Fraction(float(low)) <= value


@given(st.data(), st.booleans())
@settings(max_examples=scaled(60))
def test_the_bracket_of_a_policy_holds_its_exact_value(data, stochastic):
    """lower <= V^pi <= upper for deterministic and stochastic policies."""
    mdp = data.draw(mdps(max_states=3))
    policy = data.draw(policies(mdp, stochastic=stochastic))
    table = policy if stochastic else np.eye(mdp.n_actions)[policy]
    exact = exact_value(mdp, {(s, a): Fraction(float(p)) for (s, a), p in np.ndenumerate(table)})
    assert_encloses(evaluate_policy(mdp, policy, tol=1e-9), exact)


@given(mdps(max_states=3, max_actions=2), st.integers(1, 3), st.data())
@settings(max_examples=scaled(40))
def test_a_bracket_holds_before_convergence_and_from_any_start(mdp, iterations, data):
    """Stopped early it is wider, but true; `converged` says so."""
    start = data.draw(st.lists(st.floats(-1e6, 1e6), min_size=mdp.n_states, max_size=mdp.n_states))
    solution = solve(mdp, tol=1e-9, max_iterations=iterations, initial=start)
    assert_encloses(solution, exact_optimal_value(mdp))
    assert solution.iterations <= iterations
    assert solution.converged == bool((solution.upper - solution.lower <= 1e-9).all())


@pytest.mark.parametrize("bad", [math.inf, -math.inf, math.nan, 1e308])
def test_a_bracket_from_a_useless_vector_is_the_trivial_one(bad):
    """Never worse than the reward range / (1 - discount)."""
    values = np.array([bad, 0.0])
    low, high = bracket(TWO_STATES, values, TWO_STATES.backup(values).max(axis=1))
    assert (low <= 0).all()
    assert (low > -1e-9).all()
    assert (high >= 2).all()
    assert (high < 2 + 1e-9).all()


@given(mdps(max_states=4))
@settings(max_examples=scaled(40))
def test_all_storages_have_the_same_solution(mdp):
    """The same MDP as a dense table is worth the same."""
    transitions, rewards = dense_of(mdp)
    solution, dense = solve(mdp, tol=1e-9), solve(TabularMDP(transitions, rewards, mdp.discount), tol=1e-9)
    assert solution.value == pytest.approx(dense.value, abs=2e-9)


@pytest.mark.jit  # QuantEcon's own kernels fail interpreted
@given(mdps(max_states=4, storage="dense", exact=False))
@settings(max_examples=scaled(25))
def test_solve_agrees_with_quantecon(mdp):
    """V* of QuantEcon's DiscreteDP, by policy iteration."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        markov = pytest.importorskip("quantecon.markov")
        if mdp.discount == 0:
            return
        other = markov.DiscreteDP(mdp.rewards.copy(), mdp.storage.transitions.copy(), mdp.discount)
        expected = other.solve(method="policy_iteration").v
    assert solve(mdp, tol=1e-9).value == pytest.approx(expected, abs=1e-8)


def test_a_meta_game_is_refused_with_the_way_to_an_mdp():
    """solve(meta_game) says what is missing."""
    meta_game = WindowMetaGame(matching_pennies(), WindowQLearner(), 1, 0.8)
    for call in (lambda: solve(meta_game), lambda: evaluate_policy(meta_game, [0, 0, 0, 0])):
        with pytest.raises(TypeError, match=r"a WindowMetaGame, not a TabularMDP: .* to_mdp\(\)"):
            call()
    assert solve(meta_game.to_mdp()).converged


def test_solutions_are_frozen_and_read_only():
    """Neither fields nor arrays can be changed."""
    solution = solve(TWO_STATES)
    with pytest.raises(dataclasses.FrozenInstanceError):
        solution.value = None
    for name in ("value", "lower", "upper", "policy"):
        with pytest.raises(ValueError, match="read-only"):
            getattr(solution, name)[0] = 0


def test_a_start_that_was_handed_in_is_left_alone():
    """`initial` is copied."""
    start = np.array([3.0, 4.0])
    solve(TWO_STATES, initial=start)
    assert start.tolist() == [3.0, 4.0]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"tol": 0}, "tol is 0: give a positive width"),
        ({"tol": float("nan")}, "tol is nan"),
        ({"method": "magic"}, "unknown method 'magic': choose auto, value_iteration"),
        ({"max_iterations": 0}, "max_iterations is 0: give at least 1"),
        ({"initial": [0.0]}, r"initial has shape \(1,\), expected \(2,\)"),
    ],
)
def test_bad_arguments_of_solve_are_refused(arguments, message):
    """Each message names the value."""
    with pytest.raises(ValueError, match=message):
        solve(TWO_STATES, **arguments)


@pytest.mark.parametrize(
    ("policy", "message"),
    [
        ([0, 2], "policy's action in state 1 is 2: actions are 0 to 1"),
        ([0, -1], "policy's action in state 1 is -1"),
        ([0], r"a policy is integers \(2,\) or probabilities \(2, 2\), not int64 \(1,\)"),
        ([0.0, 1.0], r"not float64 \(2,\)"),
        ([[1, 0], [0.5, 0.6]], r"probabilities in state 1 are \[0.5, 0.6\]: they must be at least 0 and sum to 1"),
        ([[1.5, -0.5], [1, 0]], "probabilities in state 0"),
        ([[np.nan, 1], [1, 0]], "probabilities in state 0"),
    ],
)
def test_bad_policies_are_refused_with_the_state(policy, message):
    """Each message names the state and the value."""
    with pytest.raises(ValueError, match=message):
        evaluate_policy(TWO_STATES, policy)
