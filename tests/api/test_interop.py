"""Environments, solvers and equilibria of other packages."""

import sys
from types import SimpleNamespace

import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import given, settings
from hypothesis import strategies as st
from regrets import worst_regret
from strength import scaled
from tabular import dense_of

from rfos.games.equilibria import nash_equilibria
from rfos.games.named import (
    NAMED_GAMES,
    bach_or_stravinsky,
    chicken,
    named_game,
    public_goods,
    three_player_matching_pennies,
)
from rfos.games.normal_form import NormalFormGame
from rfos.planning.interop import from_arrays_ass, from_gymnasium, to_quantecon
from rfos.planning.mdp import TabularMDP
from rfos.planning.solve import solve
from rfos.testing import mdps


def test_a_terminated_transition_ends_in_the_state_that_is_added():
    """State 0 leads to state 1, which would pay for ever, but for the end: V(0) = 1 + .5 (.5 · 2 + .5 · 0)."""
    going = {0: [(0.5, 1, 1.0, False), (0.5, 1, 1.0, True)]}
    paying = {0: [(1.0, 1, 1.0, False)]}
    mdp = from_gymnasium(SimpleNamespace(P={0: going, 1: paying}), 0.5)
    assert mdp.n_states == 3
    assert solve(mdp).value == pytest.approx([1.5, 2.0, 0.0], abs=1e-6)


def test_environments_without_a_table_are_refused():
    """The message names the environment."""
    with pytest.raises(ValueError, match="has no table of transitions P"):
        from_gymnasium(object(), 0.9)


@pytest.mark.jit
def test_the_frozen_lake_has_its_known_value():
    """Slippery 4 x 4, discount .99: an episode from the start is worth 0.5420; quantecon agrees."""
    gymnasium = pytest.importorskip("gymnasium")
    pytest.importorskip("quantecon")
    mdp = from_gymnasium(gymnasium.make("FrozenLake-v1", is_slippery=True), 0.99)
    assert solve(mdp).value[0] == pytest.approx(0.5420, abs=5e-5)
    assert to_quantecon(mdp).solve(method="policy_iteration").v == pytest.approx(solve(mdp, tol=1e-9).value, abs=1e-8)


def latest(gymnasium, name):
    """The newest version of an environment: older ones warn."""
    return gymnasium.make(max(found for found in gymnasium.registry if found.startswith(f"{name}-v")))


def test_the_cliff_is_walked_along_in_thirteen_steps():
    """Each step costs 1 until the goal: -(1 - .9^13)/.1 from the start, state 36."""
    gymnasium = pytest.importorskip("gymnasium")
    mdp = from_gymnasium(latest(gymnasium, "CliffWalking"), 0.9)
    assert mdp.n_states == 49
    assert solve(mdp).value[36] == pytest.approx(-(1 - 0.9**13) / 0.1, abs=1e-6)


def test_taxi_is_read_in_full():
    """500 states and 6 actions; delivering is worth 20, and a wrong drop costs 10."""
    gymnasium = pytest.importorskip("gymnasium")
    mdp = from_gymnasium(latest(gymnasium, "Taxi"), 0.9)
    assert (mdp.n_states, mdp.n_actions, mdp.branching) == (501, 6, 1)
    assert mdp.reward_range == (-10.0, 20.0)


@given(mdps(), st.booleans())
@settings(max_examples=scaled(60))
def test_arrays_by_action_are_the_same_mdp(mdp, sparse):
    """P (A, S, S) with rewards of pairs and of transitions, dense and sparse."""
    transitions, rewards = dense_of(mdp)
    by_action = np.swapaxes(transitions, 0, 1)
    given_as = [sp.csr_array(matrix) for matrix in by_action] if sparse else by_action
    again = from_arrays_ass(given_as, rewards, mdp.discount)
    assert np.array_equal(dense_of(again)[0], transitions)
    assert np.array_equal(again.rewards, rewards)
    per_transition = np.arange(transitions.size).reshape(by_action.shape) / 8
    expected = np.swapaxes((by_action * per_transition).sum(axis=2), 0, 1)
    assert np.allclose(from_arrays_ass(given_as, per_transition, mdp.discount).rewards, expected, atol=1e-12)


@pytest.mark.parametrize(
    ("transitions", "rewards", "message"),
    [
        ([], [0.0], "P holds matrices of shapes"),
        ([np.eye(2), np.eye(3)], [0.0, 0.0], r"P holds matrices of shapes \[\(2, 2\), \(3, 3\)\]"),
        ([np.eye(2)], [0.0, 0.0, 0.0], r"R has shape \(3,\), expected \(2,\), \(2, 1\) or \(1, 2, 2\)"),
        ([np.full((2, 2), 0.6)], [0.0, 0.0], "sum to"),
    ],
)
def test_arrays_that_do_not_fit_are_refused(transitions, rewards, message):
    """Each message names the shapes or the row."""
    with pytest.raises(ValueError, match=message):
        from_arrays_ass(transitions, rewards, 0.9)


@pytest.mark.jit  # QuantEcon's own kernels fail interpreted
@given(mdps(discounts=st.sampled_from([0.5, 0.9])))
@settings(max_examples=scaled(25))
def test_quantecon_finds_the_same_values_in_every_storage(mdp):
    """To 1e-6, by its policy iteration."""
    pytest.importorskip("quantecon")
    assert np.allclose(to_quantecon(mdp).solve(method="policy_iteration").v, solve(mdp, tol=1e-9).value, atol=1e-6)


def regret(game, strategies):
    """The most that a player gains by another action."""
    most = 0.0
    for player in range(game.n_players):
        payoffs = np.moveaxis(game.payoffs[player], player, 0)
        for other in range(game.n_players - 1, -1, -1):
            if other != player:
                payoffs = payoffs @ strategies[other]
        most = max(most, float(payoffs.max() - payoffs @ strategies[player]))
    return most


@pytest.mark.jit
@pytest.mark.parametrize("package", ["nashpy", "quantecon"])
@pytest.mark.parametrize("name", NAMED_GAMES)
def test_equilibria_of_the_named_games_are_equilibria(monkeypatch, package, name):
    """No player gains by another action; both packages find as many."""
    pytest.importorskip("quantecon")
    pytest.importorskip(package)
    if package == "quantecon":
        monkeypatch.setitem(sys.modules, "nashpy", None)
    game = named_game(name)
    found = nash_equilibria(game)
    several = {"chicken": 3, "stag-hunt": 3, "bach-or-stravinsky": 3}
    assert len(found) == several.get(name, 1)
    for strategies in found:
        assert [len(s) for s in strategies] == list(game.n_actions)
        assert regret(game, strategies) <= 1e-3


@pytest.mark.jit
def test_equilibria_of_a_game_without_symmetry_are_found_whole():
    """Two actions against three, three players of different sizes: regrets stay within what is stated."""
    pytest.importorskip("quantecon")
    rng = np.random.default_rng(0)
    for shape in ((2, 3), (3, 2), (2, 3, 2)):
        game = NormalFormGame(rng.integers(0, 9, (len(shape), *shape)) / 1.0)
        found = nash_equilibria(game)
        assert found
        assert all(regret(game, strategies) <= 1e-2 for strategies in found)


def test_chicken_and_the_battle_of_tastes_mix_as_books_say():
    """Bach or Stravinsky: 2/3 for the own taste; Chicken as stated, each indifferent."""
    pytest.importorskip("nashpy")
    mixed = [s for s in nash_equilibria(bach_or_stravinsky()) if 0 < s[0][0] < 1]
    assert np.allclose(mixed[0], [[2 / 3, 1 / 3], [1 / 3, 2 / 3]])
    p = next(s for s in nash_equilibria(chicken()) if 0 < s[0][0] < 1)[1]
    own = chicken().payoffs[0]
    assert (own @ p)[0] == pytest.approx((own @ p)[1])


@pytest.mark.jit
def test_free_riding_is_the_only_equilibrium_of_public_goods():
    """Keeping is dominant for each of three players; Jordan's game has none in pure actions."""
    pytest.importorskip("quantecon")
    assert [[s.tolist() for s in e] for e in nash_equilibria(public_goods())] == [[[0.0, 1.0]] * 3]
    assert np.allclose(nash_equilibria(three_player_matching_pennies()), 0.5, atol=1e-2)


@pytest.mark.jit
@pytest.mark.parametrize("factor", [1e-300, 1e-4, 1.0, 1e6, 1e9, 1e300])
@pytest.mark.parametrize("shift", [0, 1000])
def test_three_players_mix_evenly_in_whatever_unit_they_are_paid(factor, shift):
    """Jordan's three-player Matching Pennies has one equilibrium: all mix evenly (Jordan 1993)."""
    pytest.importorskip("quantecon")
    payoffs = (three_player_matching_pennies().payoffs + shift) * factor
    (found,) = nash_equilibria(NormalFormGame(payoffs))
    assert np.allclose(found, 0.5, atol=2e-3)
    assert worst_regret(payoffs, found) <= 1e-3


@pytest.mark.jit
@pytest.mark.parametrize("factor", [1e-9, 1.0, 1e9])
def test_regrets_are_small_beside_the_span_in_random_games(factor):
    """Thirty games of three players, seed 0, each player in a unit of its own."""
    pytest.importorskip("quantecon")
    rng = np.random.default_rng(0)
    for _ in range(30):
        shape = tuple(rng.integers(2, 4, 3))
        payoffs = rng.random((3, *shape)) * factor * np.array([1.0, 1e3, 1e-3]).reshape(3, 1, 1, 1)
        for strategies in nash_equilibria(NormalFormGame(payoffs)):
            assert worst_regret(payoffs, strategies) <= 1e-3


@pytest.mark.jit
def test_two_players_have_the_same_equilibria_in_every_unit(monkeypatch):
    """Chicken-like payoffs times 2^40 and 2^-40, shifted: the same three, bit for bit, of either package."""
    pytest.importorskip("quantecon")
    pytest.importorskip("nashpy")
    for package in ("nashpy", "quantecon"):
        if package == "quantecon":
            monkeypatch.setitem(sys.modules, "nashpy", None)
        payoffs = np.array([[[4.0, 1.0], [5.0, 0.0]], [[4.0, 5.0], [1.0, 0.0]]])
        plain = nash_equilibria(NormalFormGame(payoffs))
        assert len(plain) == 3
        for scaled_payoffs in (payoffs * 2**40, payoffs * 2.0**-40, payoffs * 2**10 - 2**12):
            assert np.array_equal(nash_equilibria(NormalFormGame(scaled_payoffs)), plain)


@pytest.mark.jit
def test_what_is_not_good_enough_is_not_returned(monkeypatch):
    """A solver that gives up at a pure profile: its regret there is the whole span, and that is said."""
    theory = pytest.importorskip("quantecon.game_theory")
    given_up = tuple(np.eye(2)[0] for _ in range(3))
    monkeypatch.setattr(theory, "mclennan_tourky", lambda *args, **options: given_up)
    with pytest.raises(
        RuntimeError, match=r"the best profile has a regret of 1 of the span of player \d's payoffs, above"
    ):
        nash_equilibria(three_player_matching_pennies())


@pytest.mark.jit
@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: to_quantecon(TabularMDP([[0]], [[1.0]], 0.5)), "DiscreteDP needs quantecon"),
        (lambda: nash_equilibria(chicken()), "finding Nash equilibria needs quantecon"),
        (lambda: nash_equilibria(public_goods()), "finding Nash equilibria of 3 players needs quantecon"),
    ],
    ids=["DiscreteDP", "two players", "three players"],
)
def test_a_missing_package_is_named_with_the_extra(monkeypatch, call, message):
    """One clear ImportError."""
    for name in list(sys.modules):
        if name.partition(".")[0] in ("quantecon", "nashpy"):
            monkeypatch.setitem(sys.modules, name, None)
    for name in ("quantecon", "nashpy"):
        monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(ImportError) as caught:
        call()
    assert str(caught.value) == f"{message}: pip install 'rfos[interop]'"


def test_quantecon_is_refused_where_the_jit_is_off(monkeypatch):
    """Its own kernels fail interpreted, with an error that names nothing of use."""
    monkeypatch.setattr("rfos._system.optional.INTERPRETED", True)
    with pytest.raises(ImportError, match="needs quantecon, which runs compiled only: unset NUMBA_DISABLE_JIT"):
        to_quantecon(TabularMDP([[0]], [[1.0]], 0.5))
