"""The shipped strategies draw what they promise, and all of it."""

import math

import numpy as np
import pytest
from hypothesis import find, given, settings
from hypothesis import strategies as st
from hypothesis.errors import NoSuchExample

from rfos.games.named import matching_pennies
from rfos.metagames.opponents import Always, MemoryOne, QLearner, WindowBestResponse, WindowQLearner
from rfos.testing import STORAGES, distributions, mdps, normal_form_games, policies, window_meta_games, window_opponents


def reachable(strategy, condition):
    try:
        find(strategy, condition, settings=settings(max_examples=2000, derandomize=True))
    except NoSuchExample:
        return False
    return True


@given(st.integers(1, 5), st.booleans(), st.data())
def test_distributions_are_distributions(size, exact, data):
    """Exact ones sum to exactly 1 in binary fractions, the others within rounding."""
    p = data.draw(distributions(size, exact=exact))
    assert p.shape == (size,)
    assert (p >= 0).all()
    if exact:
        assert math.fsum(p) == 1
        assert (p * 16 == np.round(p * 16)).all()
    assert abs(p.sum() - 1) < 1e-15


@given(normal_form_games(max_actions=2))
def test_games_keep_to_their_sizes(game):
    """Two or three players by default, at most `max_actions` actions."""
    assert game.n_players in (2, 3)
    assert max(game.n_actions) <= 2


def test_sizes_that_contradict_are_refused():
    """Three players, two action counts."""
    with pytest.raises(ValueError, match=r"n_players is 3 but n_actions \(2, 2\) are for 2: give one"):
        find(normal_form_games(n_players=3, n_actions=(2, 2)), lambda _: True)


@pytest.mark.parametrize("kind", [Always, MemoryOne, WindowBestResponse, WindowQLearner])
def test_every_kind_of_window_opponent_is_drawn(kind):
    """The four functions of the window."""
    assert reachable(window_opponents(matching_pennies()), lambda opponent: isinstance(opponent, kind))


@given(window_meta_games(hidden=None, max_window=3, max_states=40))
def test_meta_games_keep_to_their_sizes(meta_game):
    """Windows and states within their limits, where a window of 1 allows it; one opponent per other player."""
    assert meta_game.window <= 3
    assert meta_game.n_states <= 40 or meta_game.window == 1
    assert len(meta_game.opponents) == meta_game.game.n_players - 1


@given(window_meta_games(hidden=True), window_meta_games(hidden=False))
def test_hidden_decides_whether_the_opponents_are_hidden(hidden, exact):
    """All opponents or none."""
    assert all(isinstance(opponent, QLearner) for opponent in hidden.opponents)
    assert not any(isinstance(opponent, QLearner) for opponent in exact.opponents)


@pytest.mark.parametrize("hidden", [True, False])
def test_hidden_none_draws_either(hidden):
    """Both kinds of meta-game are reached."""
    assert reachable(window_meta_games(hidden=None), lambda g: isinstance(g.opponents[0], QLearner) == hidden)


@given(mdps(max_states=5, max_actions=2), st.data())
def test_mdps_and_policies_keep_to_their_sizes(mdp, data):
    """At most so many states and actions; policies have the shapes that evaluate_policy takes."""
    assert mdp.n_states <= 5
    assert mdp.n_actions <= 2
    assert mdp.row_defect == 0
    policy = data.draw(policies(mdp))
    assert policy.shape in [(mdp.n_states,), (mdp.n_states, mdp.n_actions)]


@pytest.mark.parametrize("storage", STORAGES)
def test_every_storage_is_drawn_down_to_one_state_and_one_action(storage):
    """Also without asking for it."""
    names = {"dense": "Dense", "sparse": "Sparse", "deterministic": "Deterministic", "shift": "ShiftRegister"}
    assert reachable(mdps(), lambda mdp: type(mdp.storage).__name__ == names[storage])
    assert reachable(mdps(storage=storage), lambda mdp: mdp.n_states == mdp.n_actions == 1)
    assert reachable(mdps(storage=storage), lambda mdp: mdp.n_states > 2 and mdp.n_actions > 1 and mdp.discount > 0)
