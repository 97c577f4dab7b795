"""Window meta-games: exactly the MDP of the definition, sizes, refusals."""

import dataclasses
import itertools
import math
import time

import naive
import numpy as np
import pytest
from hypothesis import given

from rfos._system import memory as memory_module
from rfos.games.named import matching_pennies, prisoners_dilemma, three_player_matching_pennies
from rfos.games.normal_form import NormalFormGame
from rfos.learning.agents import Rmax
from rfos.learning.run import run
from rfos.metagames.opponents import Always, MemoryOne, QLearner, WindowQLearner, tit_for_tat
from rfos.metagames.window import WindowMetaGame
from rfos.planning.evaluate import evaluate_policy
from rfos.planning.solve import solve
from rfos.testing import window_meta_games


@given(window_meta_games(max_window=2, max_states=36))
def test_a_meta_game_is_the_mdp_of_its_definition(meta_game):
    """P(next window | window, a) = Π_i play_i(b_i | window), with the shaper's payoff, for any number of players."""
    mdp = meta_game.to_mdp()
    rows = naive.mdp_rows(mdp)
    game = meta_game.game
    for state, history in naive.all_windows(game.n_actions, meta_game.window).items():
        play = [
            naive.opponent_probabilities(opponent, game, player, history)
            for player, opponent in enumerate(meta_game.opponents, start=1)
        ]
        for a in range(game.n_actions[0]):
            expected = [
                (
                    math.prod(p[b] for p, b in zip(play, rest, strict=True)),
                    float(game.payoffs[(0, a, *rest)]),
                    naive.encode(game.n_actions, [*history[1:], (a, *rest)]),
                )
                for rest in itertools.product(*map(range, game.n_actions[1:]))
            ]
            assert rows[state, a] == expected


@given(window_meta_games(hidden=None))
def test_sizes_are_those_of_the_theory(meta_game):
    """|S| = (Π|A_i|)^h, |A| = |A_0|, B = Π_{i>0}|A_i|; Markov exactly where no opponent is hidden."""
    sizes = meta_game.game.n_actions
    assert meta_game.n_states == math.prod(sizes) ** meta_game.window
    assert (meta_game.n_actions, meta_game.branching) == (sizes[0], math.prod(sizes[1:]))
    assert meta_game.is_markov == (not any(isinstance(o, QLearner) for o in meta_game.opponents))
    assert meta_game.reward_range == meta_game.game.reward_range(0)


def test_tit_for_tat_is_met_with_cooperation():
    """Against tit for tat in the paper's Prisoner's Dilemma always cooperating is worth .6/(1-.9) = 6 after CC."""
    mdp = WindowMetaGame(prisoners_dilemma(), tit_for_tat(), window=1, discount=0.9).to_mdp()
    solution = solve(mdp, tol=1e-9)
    assert solution.lower[0] <= 6 <= solution.upper[0]
    assert solution.policy[0] == 0


def test_two_players_with_one_opponent_each():
    """Always-heads opponents, three players: the value is that of the best constant reply."""
    game = three_player_matching_pennies()
    meta_game = WindowMetaGame(game, [Always(0), Always(1)], window=1, discount=0.5)
    best = float(game.payoffs[0, :, 0, 1].max()) / (1 - 0.5)
    assert evaluate_policy(meta_game.to_mdp(), solve(meta_game.to_mdp()).policy).value == pytest.approx(best, abs=1e-5)


@pytest.mark.jit
def test_a_million_meta_states_fit_in_64_megabytes_and_are_solved():
    """Window 10 in Matching Pennies: 4^10 windows, structured storage, a certified bracket."""
    meta_game = WindowMetaGame(matching_pennies(), WindowQLearner(), window=10, discount=0.5)
    mdp = meta_game.to_mdp()
    assert mdp.n_states == 4**10
    assert mdp.nbytes < 64e6
    solution = solve(mdp, tol=1e-2)
    assert solution.converged
    assert 0.5 / 0.5 < solution.value.mean() < 1 / 0.5


def test_a_window_of_40_is_refused_before_anything_is_computed():
    """Under 50 ms, with the largest possible window in the message."""
    began = time.process_time()
    with pytest.raises(ValueError, match=r"4\^40.*the largest window here is 15"):
        WindowMetaGame(matching_pennies(), QLearner(), window=40, discount=0.8)
    assert time.process_time() - began < 0.05


@pytest.mark.parametrize("opponent", [QLearner(), WindowQLearner()])
def test_what_does_not_fit_into_memory_is_refused_at_once(opponent, monkeypatch):
    """The message names bytes and limit, under 50 ms: nothing was allocated before."""
    monkeypatch.setattr(memory_module, "available_bytes", lambda: 50_000_000)
    meta_game = WindowMetaGame(matching_pennies(), opponent, window=11, discount=0.8)
    uses = [lambda: run(meta_game, Rmax(m=1), steps=1, bins=1), meta_game.world]
    for use in [*uses, meta_game.to_mdp] if meta_game.is_markov else uses:
        began = time.process_time()
        with pytest.raises(MemoryError, match=r"window of 11 .* needs [\d,]+ bytes, above the limit .* smaller window"):
            use()
        assert time.process_time() - began < 0.05


PENNIES = matching_pennies()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"window": 0}, "window is 0"),
        ({"discount": 1}, r"discount is 1: give a number in \[0, 1\)"),
        ({"discount": -0.1}, "discount is -0.1"),
        ({"discount": float("nan")}, "discount is nan"),
        ({"horizon": 0}, "horizon is 0: give a whole number of steps of at least 1, or None"),
        ({"horizon": 2.5}, "horizon is 2.5"),
        ({"horizon": 2**70}, "horizon is 1180591620717411303424, above the limit"),
        ({"opponent": [QLearner(), QLearner()]}, "2 opponents for 1 other players: give one for each"),
        (
            {"opponent": "tit-for-tat"},
            "player 1 is 'tit-for-tat', not an opponent: give one of rfos.metagames.opponents",
        ),
        ({"opponent": 3}, "player 1 is 3, not an opponent: give one of rfos.metagames.opponents"),
        ({"game": NormalFormGame(np.zeros((1, 2)))}, "has one player: a meta-game needs an opponent"),
        (
            {"game": three_player_matching_pennies(), "opponent": [QLearner(), WindowQLearner()]},
            "of 2 opponents some are functions of the window and some are hidden learners",
        ),
    ],
)
def test_bad_meta_games_are_refused_with_the_value_and_the_mend(changes, message):
    """Each message names the value."""
    arguments = {"game": PENNIES, "opponent": QLearner(), "window": 1, "discount": 0.8}
    with pytest.raises(ValueError, match=message):
        WindowMetaGame(**arguments | changes)


def test_a_hidden_opponent_has_no_mdp():
    """V* is not defined there, and the message says what to use instead."""
    meta_game = WindowMetaGame(PENNIES, QLearner(), window=1, discount=0.8)
    for use in (meta_game.to_mdp, lambda: meta_game.opponents_play):
        with pytest.raises(ValueError, match=r"hidden, .* V\* is not defined: use an opponent that is a function"):
            use()


def test_an_opponent_that_does_not_fit_is_named_when_it_plays():
    """A memory-one table of another game."""
    with pytest.raises(ValueError, match=r"table of memory-one has shape \(1, 1, 1\), the game needs \(2, 2, 2\)"):
        WindowMetaGame(PENNIES, MemoryOne([[[1.0]]]), window=1, discount=0.8).to_mdp()


def test_a_meta_game_is_frozen_and_its_arrays_are_read_only():
    """Neither fields nor derived arrays can be changed."""
    meta_game = WindowMetaGame(PENNIES, WindowQLearner(), window=1, discount=0.8)
    with pytest.raises(dataclasses.FrozenInstanceError):
        meta_game.window = 2
    for array in (meta_game.rewards, meta_game.opponents_play):
        with pytest.raises(ValueError, match="read-only"):
            array[0] = 1
    opponents = [WindowQLearner()]
    meta_game = WindowMetaGame(PENNIES, opponents, window=1, discount=0.8)
    opponents[0] = QLearner()
    assert meta_game.is_markov
