"""Opponents: functions of the window against references that replay it, and refusals."""

import dataclasses

import naive
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rfos.games.named import matching_pennies, prisoners_dilemma, public_goods, rock_paper_scissors
from rfos.games.stochastic import iterated
from rfos.games.strategies import STRATEGIES, replies, strategy
from rfos.metagames import opponents
from rfos.metagames.opponents import Always, MemoryOne, QLearner, WindowBestResponse, WindowOpponent, WindowQLearner
from rfos.metagames.windows import WindowIndex
from rfos.testing import RATES, memory_one_opponents, normal_form_games, window_opponents


@st.composite
def meetings(draw, opponent=None):
    """A game, a player other than the shaper, one of its opponents, a window of at most 81 states."""
    game = draw(normal_form_games())
    player = draw(st.integers(1, game.n_players - 1))
    window = draw(st.integers(1, 2)) if np.prod(game.n_actions) <= 9 else 1
    chosen = draw(window_opponents(game, player) if opponent is None else opponent(game, player))
    return game, player, chosen, WindowIndex(game.n_actions, window)


def assert_plays_as_its_reference(meeting):
    game, player, opponent, index = meeting
    play = opponent.probabilities(game, player, index)
    assert play.shape == (index.n_states, game.n_actions[player])
    for state, history in naive.all_windows(game.n_actions, index.window).items():
        assert play[state].tolist() == naive.opponent_probabilities(opponent, game, player, history)


@given(meetings())
def test_every_window_opponent_plays_as_its_reference(meeting):
    """Exactly the same probabilities in every window, for any number of players and actions."""
    assert_plays_as_its_reference(meeting)


@given(meetings(lambda *_: st.builds(WindowQLearner, RATES, RATES, st.sampled_from([0.1, 0.5]))))
def test_a_window_q_learner_replays_its_window(meeting):
    """Values start at `initial` and take the updates of the remembered steps, oldest first."""
    assert_plays_as_its_reference(meeting)


@given(meetings(lambda *_: st.builds(WindowBestResponse, RATES)))
def test_best_response_maximises_the_payoff_against_the_counted_actions(meeting):
    """The others' joint actions are counted and ties are exact."""
    assert_plays_as_its_reference(meeting)


@pytest.mark.parametrize("window", [1, 2, 3])
@pytest.mark.parametrize("opponent", [WindowQLearner(), WindowQLearner(0.3, 0.2, 0.1), WindowBestResponse(0.1)])
@pytest.mark.parametrize("game", [matching_pennies(), prisoners_dilemma(), public_goods(3)], ids=lambda game: game.name)
def test_learners_replay_the_named_games_as_their_references(game, opponent, window):
    """The order of the remembered steps matters."""
    for player in range(1, game.n_players):
        assert_plays_as_its_reference((game, player, opponent, WindowIndex(game.n_actions, window)))


@given(meetings())
def test_every_window_opponent_plays_a_distribution(meeting):
    """Rows are at least 0 and sum to 1."""
    game, player, opponent, index = meeting
    play = opponent.probabilities(game, player, index)
    assert (play >= 0).all()
    assert np.abs(play.sum(axis=1) - 1).max() < 1e-15
    assert isinstance(opponent, WindowOpponent)


def test_best_response_keeps_a_tie_whatever_the_order_of_the_window():
    """0.1 + 0.2 + 0.3 in any order is the same payoff: the window's order must not break the tie."""
    payoffs = np.zeros((2, 3, 2))
    payoffs[1, :, 0] = [0.1, 0.2, 0.3]
    payoffs[1, :, 1] = [0.3, 0.2, 0.1]
    game = opponents.NormalFormGame(payoffs)
    index = WindowIndex(game.n_actions, 3)
    play = WindowBestResponse().probabilities(game, 1, index)
    for own in [(0, 1, 2), (2, 1, 0), (1, 0, 2)]:
        assert play[index.encode([(a, 0) for a in own])].tolist() == [0.5, 0.5]


def test_the_classics_play_as_described():
    """Axelrod's tit for tat repeats, win-stay lose-shift cooperates after CC and DD, grim after CC only."""
    index = WindowIndex((2, 2), 1)
    after = {joint: int(index.encode([joint])) for joint in [(0, 0), (0, 1), (1, 0), (1, 1)]}
    cooperates = {
        opponents.tit_for_tat: [(0, 0), (0, 1)],
        opponents.win_stay_lose_shift: [(0, 0), (1, 1)],
        opponents.grim: [(0, 0)],
    }
    for made, where in cooperates.items():
        play = made().probabilities(prisoners_dilemma(), 1, index)
        for joint, state in after.items():
            assert play[state].tolist() == ([1.0, 0.0] if joint in where else [0.0, 1.0]), (made, joint)


def test_opponents_of_windows_play_the_one_list_of_strategies():
    """What an iterated game's memory-one policy of player 1 plays after a joint action, byte for byte."""
    made = {"tit-for-tat": opponents.tit_for_tat, "win-stay-lose-shift": opponents.win_stay_lose_shift}
    made["grim"] = opponents.grim
    assert set(made) == {name for name, first in STRATEGIES.items() if len(first) == 5}
    game = iterated(prisoners_dilemma(), 0.9)
    for name, opponent in made.items():
        assert opponent().name == name
        assert opponent().table.reshape(4, 2).tobytes() == strategy(game, 1, name)[1:].tobytes()
    with pytest.raises(ValueError, match="'random' has no replies: choose one of tit-for-tat, win-stay-lose-shift"):
        replies("random")


@given(normal_form_games(n_players=2), st.data())
def test_memory_one_looks_at_the_last_joint_action_only(game, data):
    """Windows with the same newest joint action get the same row."""
    opponent = data.draw(memory_one_opponents(game))
    index = WindowIndex(game.n_actions, 2)
    play = opponent.probabilities(game, 1, index)
    last = index.joint_action(1)
    assert (play == opponent.table[tuple(last.T)]).all()


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: QLearner(learning_rate=1.5), "learning_rate is 1.5: give a number from 0 to 1"),
        (lambda: QLearner(learning_rate=float("nan")), "learning_rate is nan"),
        (lambda: QLearner(exploration=-0.1), "exploration is -0.1: give a number from 0 to 1"),
        (lambda: QLearner(initial=float("inf")), "initial is inf: give a finite value"),
        (lambda: WindowQLearner(exploration=2), "exploration is 2"),
        (lambda: WindowBestResponse(exploration=2), "exploration is 2"),
        (lambda: Always(-1), "action is -1: actions are numbered from 0, give a whole number"),
        (lambda: MemoryOne([0.5, 0.5]), r"not shape \(2,\)"),
        (
            lambda: MemoryOne([[[1, 0], [1, 0]], [[0, 1], [0.5, 0.6]]]),
            r"after joint action \(1, 1\) are \[0.5, 0.6\]: they must be at least 0 and sum to 1",
        ),
        (lambda: MemoryOne([[[1.5, -0.5]]]), r"after joint action \(0, 0\) are \[1.5, -0.5\]"),
        (lambda: MemoryOne([[[np.nan, 1]]]), r"after joint action \(0, 0\) are \[nan, 1.0\]"),
    ],
)
def test_bad_opponents_are_refused_with_the_value_and_the_mend(make, message):
    """Each message names the value."""
    with pytest.raises(ValueError, match=message):
        make()


def test_an_opponent_that_does_not_fit_the_game_is_refused():
    """A table of another shape, an action that the player does not have."""
    index = WindowIndex((3, 3), 1)
    with pytest.raises(ValueError, match=r"table of grim has shape \(2, 2, 2\), the game needs \(3, 3, 3\)"):
        opponents.grim().probabilities(rock_paper_scissors(), 1, index)
    with pytest.raises(ValueError, match="action is 3, player 1 has actions 0 to 2"):
        Always(3).probabilities(rock_paper_scissors(), 1, index)


def test_opponents_are_frozen_and_their_tables_read_only():
    """Nothing can be changed after the checks, not even through the array that was handed in."""
    with pytest.raises(dataclasses.FrozenInstanceError):
        QLearner().exploration = 0.5
    given_table = np.full((2, 2, 2), 0.5)
    opponent = MemoryOne(given_table)
    given_table[0, 0, 0] = 7
    assert opponent.table[0, 0, 0] == 0.5
    with pytest.raises(ValueError, match="read-only"):
        opponent.table[0, 0, 0] = 7


def test_opponents_meet_games_with_many_players():
    """A public-goods game with four players: the reference replays it too."""
    game = public_goods(4)
    for opponent in (WindowQLearner(), WindowBestResponse(0.1), Always(1)):
        assert_plays_as_its_reference((game, 3, opponent, WindowIndex(game.n_actions, 1)))
