"""Inner games: payoffs against the literature, equilibrium facts, scaling that undoes itself, messages."""

import dataclasses
import itertools
import sys
import time

import numpy as np
import pytest
from commands import AT_ONCE, run
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from rfos.games import named, normal_form
from rfos.games.normal_form import AffineScaling, NormalFormGame

EPS = 2.0**-52

every_named_game = pytest.mark.parametrize("name", named.NAMED_GAMES)


# A separate, slow way to the equilibrium facts: by enumeration, from the definitions.


def pure_equilibria(game):
    def improves(joint, player):
        return any(
            game.payoffs[player, *joint[:player], other, *joint[player + 1 :]] > game.payoffs[player, *joint]
            for other in range(game.n_actions[player])
        )

    joints = itertools.product(*map(range, game.n_actions))
    return {joint for joint in joints if not any(improves(joint, player) for player in range(game.n_players))}


def strictly_dominates(game, player, better, worse):
    own_first = np.moveaxis(game.payoffs[player], player, 0)
    return bool(np.all(own_first[better] > own_first[worse]))


def rewards_by_own_action(game, player, policies):
    """Expected reward of each action of one player, shape (A_player,), against the others' mixed actions."""
    rewards = np.moveaxis(game.payoffs[player], player, 0)
    for other in reversed([policies[j] for j in range(game.n_players) if j != player]):
        rewards = rewards @ other
    return rewards


def pairs(game):
    """Table of (reward of player 0, reward of player 1), as books print two-player games."""
    rows, columns = game.n_actions
    return [[tuple(game.payoffs[:, a, b].tolist()) for b in range(columns)] for a in range(rows)]


@st.composite
def payoff_tensors(draw, largest=1e9):
    n_players = draw(st.integers(1, 3))
    n_actions = tuple(draw(st.integers(1, 3)) for _ in range(n_players))
    rewards = st.floats(-largest, largest, allow_subnormal=False)
    return draw(hnp.arrays(np.float64, (n_players, *n_actions), elements=rewards))


# Named games


TWO_PLAYER_TABLES = {
    "matching-pennies": [[(1, 0), (0, 1)], [(0, 1), (1, 0)]],
    "zero-sum-matching-pennies": [[(1, -1), (-1, 1)], [(-1, 1), (1, -1)]],
    "prisoners-dilemma": [[(0.6, 0.6), (0, 1)], [(1, 0), (0.2, 0.2)]],
    "standard-prisoners-dilemma": [[(-1, -1), (-3, 0)], [(0, -3), (-2, -2)]],
    "chicken": [[(0, 0), (-1, 1)], [(1, -1), (-100, -100)]],
    "stag-hunt": [[(2, 2), (0, 1)], [(1, 0), (1, 1)]],
    "bach-or-stravinsky": [[(2, 1), (0, 0)], [(0, 0), (1, 2)]],
    "rock-paper-scissors": [
        [(0, 0), (-1, 1), (1, -1)],
        [(1, -1), (0, 0), (-1, 1)],
        [(-1, 1), (1, -1), (0, 0)],
    ],
}


@pytest.mark.parametrize("name", TWO_PLAYER_TABLES)
def test_two_player_game_has_the_payoffs_of_its_source(name):
    assert pairs(named.named_game(name)) == TWO_PLAYER_TABLES[name]


RANGES = {
    "matching-pennies": (0, 1),
    "zero-sum-matching-pennies": (-1, 1),
    "prisoners-dilemma": (0, 1),
    "standard-prisoners-dilemma": (-3, 0),
    "chicken": (-100, 1),
    "stag-hunt": (0, 2),
    "bach-or-stravinsky": (0, 2),
    "rock-paper-scissors": (-1, 1),
    "three-player-matching-pennies": (-1, 1),
    "public-goods": (2 / 3 - 1, 4 / 3),
}


@every_named_game
def test_reward_range_of_a_named_game_is_the_documented_one_for_every_player(name):
    game = named.named_game(name)
    assert game.reward_range() == RANGES[name]
    assert all(game.reward_range(player) == RANGES[name] for player in range(game.n_players))


@every_named_game
def test_named_game_states_name_source_year_and_sign_convention(name):
    game = named.named_game(name)
    assert game.name == name
    assert any(f"({year})" in game.source for year in range(1700, 2030))
    assert "larger is better" in game.convention
    assert named.NAMED_GAMES[name].__name__ == name.replace("-", "_")
    assert hasattr(named, named.NAMED_GAMES[name].__name__)
    assert not any(label.isdigit() for labels in game.action_names for label in labels)


def test_matching_pennies_is_zero_sum_after_a_shift_and_has_no_pure_equilibrium():
    game = named.matching_pennies()
    assert np.array_equal((game.payoffs - 0.5).sum(axis=0), np.zeros((2, 2)))
    assert pure_equilibria(game) == set()


@pytest.mark.parametrize("name", ["prisoners-dilemma", "standard-prisoners-dilemma"])
def test_defection_is_dominant_and_yet_worse_for_both(name):
    game = named.named_game(name)
    assert all(strictly_dominates(game, player, better=1, worse=0) for player in (0, 1))
    assert pure_equilibria(game) == {(1, 1)}
    assert np.all(game.payoffs[:, 0, 0] > game.payoffs[:, 1, 1])
    reward, sucker, temptation, _ = game.payoffs[0].ravel()
    assert 2 * reward > sucker + temptation  # taking turns does not beat cooperation


@pytest.mark.parametrize(
    "name", ["prisoners-dilemma", "standard-prisoners-dilemma", "chicken", "stag-hunt", "rock-paper-scissors"]
)
def test_game_is_the_same_from_either_seat(name):
    game = named.named_game(name)
    assert np.array_equal(game.payoffs[1], game.payoffs[0].T)


def test_chicken_is_ordered_temptation_reward_sucker_crash_and_only_one_swerves():
    game = named.chicken()
    reward, sucker, temptation, crash = game.payoffs[0].ravel()
    assert temptation > reward > sucker > crash
    assert pure_equilibria(game) == {(0, 1), (1, 0)}


def test_stag_hunt_has_a_better_and_a_safer_equilibrium():
    game = named.stag_hunt()
    assert pure_equilibria(game) == {(0, 0), (1, 1)}
    assert np.all(game.payoffs[:, 0, 0] > game.payoffs[:, 1, 1])
    assert game.payoffs[0, 1].min() > game.payoffs[0, 0].min()


def test_bach_or_stravinsky_players_prefer_different_equilibria():
    game = named.bach_or_stravinsky()
    assert pure_equilibria(game) == {(0, 0), (1, 1)}
    assert game.payoffs[0, 0, 0] > game.payoffs[0, 1, 1]
    assert game.payoffs[1, 0, 0] < game.payoffs[1, 1, 1]


def test_rock_paper_scissors_is_zero_sum_and_cyclic():
    game = named.rock_paper_scissors()
    assert np.array_equal(game.payoffs.sum(axis=0), np.zeros((3, 3)))
    assert pure_equilibria(game) == set()
    names = game.action_names[0]
    wins = {(names[a], names[b]) for a, b in itertools.product(range(3), repeat=2) if game.payoffs[0, a, b] > 0}
    assert wins == {("paper", "rock"), ("scissors", "paper"), ("rock", "scissors")}


def test_three_player_matching_pennies_is_jordans_game():
    game = named.three_player_matching_pennies()
    for a, b, c in itertools.product(range(2), repeat=3):
        expected = [1 if a == b else -1, 1 if b == c else -1, 1 if c != a else -1]
        assert game.payoffs[:, a, b, c].tolist() == expected


def test_three_player_matching_pennies_has_no_pure_equilibrium():
    assert pure_equilibria(named.three_player_matching_pennies()) == set()


@pytest.mark.parametrize("name", ["matching-pennies", "rock-paper-scissors", "three-player-matching-pennies"])
def test_uniform_play_is_an_equilibrium(name):
    game = named.named_game(name)
    uniform = [np.full(n, 1 / n) for n in game.n_actions]
    for player in range(game.n_players):
        rewards = rewards_by_own_action(game, player, uniform)
        assert np.ptp(rewards) <= 4 * EPS


@pytest.mark.parametrize(("n_players", "multiplier"), [(2, 1.5), (3, 2.0), (3, 1.1), (5, 4.5)])
def test_public_goods_is_a_social_dilemma(n_players, multiplier):
    game = named.public_goods(n_players, multiplier=multiplier, contribution=0.5)
    assert game.n_actions == (2,) * n_players
    assert all(strictly_dominates(game, player, better=1, worse=0) for player in range(n_players))
    assert pure_equilibria(game) == {(1,) * n_players}
    total = game.payoffs.sum(axis=0)
    assert np.unravel_index(total.argmax(), total.shape) == (0,) * n_players


def test_public_goods_pays_the_share_less_the_own_contribution():
    game = named.public_goods(3, multiplier=1.5, contribution=4.0)
    for joint in itertools.product(range(2), repeat=3):
        contributors = joint.count(0)
        for player in range(3):
            expected = 1.5 * 4.0 * contributors / 3 - 4.0 * (joint[player] == 0)
            assert game.payoffs[player, *joint] == expected


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"n_players": 1}, "n_players is 1: give an integer of at least 2"),
        ({"n_players": 2.5}, "n_players is 2.5: give an integer"),
        ({"multiplier": 1.0}, "multiplier is 1.0: with 3 players .* strictly between 1 and 3"),
        ({"multiplier": 3.0}, "multiplier is 3.0: .* strictly between 1 and 3"),
        ({"multiplier": float("nan")}, "multiplier is nan"),
        ({"contribution": 0.0}, "contribution is 0.0: give a positive finite number"),
        ({"contribution": float("inf")}, "contribution is inf"),
    ],
)
def test_public_goods_refuses_parameters_that_are_no_dilemma(arguments, message):
    with pytest.raises(ValueError, match=message):
        named.public_goods(**arguments)


def test_public_goods_of_forty_players_is_refused_before_anything_is_allocated():
    with pytest.raises(MemoryError, match=r"40 players need 351843720888320 bytes .* at most 20 players"):
        named.public_goods(40)


@pytest.mark.parametrize("players", ["40", "999999999"])
def test_so_many_players_by_name_are_refused_as_soon(players):
    """No power of two with a billion digits is written down either."""
    began = time.process_time()
    with pytest.raises(MemoryError, match=f"payoffs of {players} players need .* bytes .* at most 20 players"):
        named.named_game(f"public-goods-{players}")
    assert time.process_time() - began < AT_ONCE


def test_what_m_fos_iterates_has_short_names():
    assert named.named_game("ipd").name == "standard-prisoners-dilemma"
    assert named.named_game("imp").name == "zero-sum-matching-pennies"


def test_the_player_limit_of_public_goods_is_the_byte_limit():
    assert 8 * 20 * 2**20 <= normal_form.MOST_BYTES < 8 * 21 * 2**21


def test_unknown_game_is_answered_with_the_closest_and_all_known_names():
    with pytest.raises(ValueError, match=r"unknown game 'Maching_Pennies' \(closest: matching-pennies") as error:
        named.named_game("Maching_Pennies")
    assert all(name in str(error.value) for name in named.NAMED_GAMES)
    assert "\n" not in str(error.value)
    with pytest.raises(ValueError, match="closest: rock-paper-scissors"):
        named.named_game("ROCK_PAPER_SCISSORS")
    with pytest.raises(ValueError, match="unknown game 'zzz': give one of matching-pennies"):
        named.named_game("zzz")


def test_the_registry_cannot_be_changed():
    with pytest.raises(TypeError):
        named.NAMED_GAMES["mine"] = named.chicken


# NormalFormGame


@given(payoff_tensors())
def test_payoffs_are_kept_as_a_read_only_copy(payoffs):
    given_payoffs = payoffs.copy()
    game = NormalFormGame(payoffs)
    payoffs.flat[0] += 1.0
    assert np.array_equal(game.payoffs, given_payoffs)
    assert game.payoffs.dtype == np.float64
    assert game.payoffs.flags.c_contiguous
    with pytest.raises(ValueError, match="read-only"):
        game.payoffs[(0,) * game.payoffs.ndim] = 1.0


@given(payoff_tensors())
def test_one_array_and_one_tensor_per_player_make_the_same_game(payoffs):
    game = NormalFormGame.from_payoffs(*payoffs)
    assert np.array_equal(game.payoffs, payoffs)
    assert game.n_players == len(payoffs)
    assert game.n_actions == payoffs[0].shape


@given(payoff_tensors())
def test_reward_range_is_attained_and_covers_every_payoff(payoffs):
    game = NormalFormGame(payoffs)
    assert game.reward_range() == (min(payoffs.flat), max(payoffs.flat))
    for player in range(game.n_players):
        assert game.reward_range(player) == (min(payoffs[player].flat), max(payoffs[player].flat))


def test_a_game_cannot_be_changed():
    with pytest.raises(dataclasses.FrozenInstanceError):
        named.chicken().name = "hawk-dove"


def test_actions_are_numbered_where_they_have_no_names():
    game = NormalFormGame.from_payoffs([[1, 2, 3], [4, 5, 6]], np.zeros((2, 3)))
    assert game.action_names == (("0", "1"), ("0", "1", "2"))
    assert game.scaling == (AffineScaling(), AffineScaling())


@pytest.mark.parametrize("player", [-1, 2])
def test_reward_range_refuses_a_player_that_does_not_exist(player):
    with pytest.raises(ValueError, match=f"player {player} does not exist: chicken has players 0 to 1"):
        named.chicken().reward_range(player)


NAN = float("nan")


@pytest.mark.parametrize(
    ("payoffs", "message"),
    [
        (1.0, r"payoffs have shape \(\): give one tensor per player"),
        ([1.0, 2.0], r"payoffs have shape \(2,\): give one tensor per player"),
        ([], r"payoffs have shape \(0,\): .*at least 1"),
        (np.zeros((3, 2, 2)), r"payoffs have shape \(3, 2, 2\): give one tensor per player"),
        (
            np.zeros((2, 2, 0)),
            r"player 1 has no action \(payoffs have shape \(2, 2, 0\)\): give every player",
        ),
        ([[[1, 0], [0]], [[0, 1], [1, 0]]], "the payoff tensor is not an array"),
        ([[["a", "b"]]], "the payoff tensor holds <U1 values: give real numbers"),
        ([[1j, 0]], "the payoff tensor holds complex128 values: give real numbers"),
        ([[[0, 1], [1, 0]], [[1, 0], [NAN, 1]]], r"player 1 at joint action \(1, 0\) is nan: give a finite"),
        ([[0.0, float("inf")]], r"player 0 at joint action \(1,\) is inf: give a finite number"),
        ([[-1e308, 1e308]], r"player 0 range from -1e\+308 to 1e\+308, more than a float can hold"),
    ],
)
def test_bad_payoffs_are_refused_with_the_value_and_the_mend(payoffs, message):
    with pytest.raises(ValueError, match=message) as error:
        NormalFormGame(payoffs)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("payoffs", "message"),
    [
        ([], "no payoffs given: give one payoff tensor for each player"),
        ([[1.0, 2.0], [1.0, 2.0]], r"player 0 have shape \(2,\): with 2 players give 2 axes"),
        (
            [np.zeros((2, 2)), np.zeros((2, 3))],
            r"player 1 have shape \(2, 3\) and those of player 0 \(2, 2\): give",
        ),
        ([np.zeros((2, 2)), [[1, 2], [3]]], "the payoff tensor of player 1 is not an array"),
    ],
)
def test_payoff_tensors_that_do_not_fit_each_other_are_refused(payoffs, message):
    with pytest.raises(ValueError, match=message):
        NormalFormGame.from_payoffs(*payoffs)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"action_names": (("a", "b"),)}, "action_names are for 1 players, the game has 2"),
        (
            {"action_names": (("a", "b"), ("a",))},
            "action_names of player 1 are .*: give 2 different names",
        ),
        ({"action_names": (("a", "a"), ("a", "b"))}, "action_names of player 0 .*: give 2 different names"),
        ({"scaling": (AffineScaling(),)}, "scaling is for 1 players, the game has 2"),
    ],
)
def test_names_and_scalings_that_do_not_fit_the_players_are_refused(fields, message):
    with pytest.raises(ValueError, match=message):
        NormalFormGame(np.zeros((2, 2, 2)), **fields)


# Scaling


@given(payoff_tensors())
def test_scaled_payoffs_fill_the_unit_interval_exactly(payoffs):
    game = NormalFormGame(payoffs).scaled()
    for player, original in enumerate(payoffs):
        assert game.reward_range(player) == ((0.0, 1.0) if np.ptp(original) > 0 else (0.0, 0.0))


@given(payoff_tensors())
def test_undoing_the_scaling_gives_the_payoffs_back_within_four_ulps(payoffs):
    game = NormalFormGame(payoffs, name="mine")
    back = game.scaled().unscaled()
    for player, original in enumerate(payoffs):
        assert np.abs(back.payoffs[player] - original).max() <= 4 * EPS * np.abs(original).max()
    assert back.name == "mine"
    assert back.scaling == game.scaling


@every_named_game
def test_undoing_the_scaling_of_a_named_game_gives_its_payoffs_back_to_an_ulp(name):
    game = named.named_game(name)
    back = game.scaled().unscaled()
    assert np.abs(back.payoffs - game.payoffs).max() <= EPS * np.abs(game.payoffs).max()


@given(payoff_tensors())
def test_a_scaled_reward_is_undone_by_the_scaling_that_the_game_carries(payoffs):
    game = NormalFormGame(payoffs)
    scaled = game.scaled()
    for player, scaling in enumerate(scaled.scaling):
        low, high = game.reward_range(player)
        tolerance = 4 * EPS * max(abs(low), abs(high))
        assert scaling.undo(0.0) == low
        assert abs(scaling.undo(scaled.payoffs[player].max()) - high) <= tolerance
        assert np.array_equal(scaling.apply(game.payoffs[player]), scaled.payoffs[player])


@given(payoff_tensors())
def test_scaling_preserves_the_order_of_rewards(payoffs):
    scaled = NormalFormGame(payoffs).scaled().payoffs
    for original, mapped in zip(payoffs, scaled, strict=True):
        assert np.all(np.diff(mapped.ravel()[np.argsort(original.ravel())]) >= 0)


@given(payoff_tensors())
def test_scaling_a_scaled_game_changes_nothing(payoffs):
    once = NormalFormGame(payoffs).scaled()
    twice = once.scaled()
    assert np.array_equal(twice.payoffs, once.payoffs)
    assert twice.scaling == once.scaling


def test_scaling_a_changed_scaled_game_still_leads_back_to_the_source_units():
    once = named.standard_prisoners_dilemma().scaled()
    half = dataclasses.replace(once, payoffs=once.payoffs / 2)  # source units: -3 to -1.5
    twice = half.scaled()
    assert twice.scaling[0] == AffineScaling(scale=1.5, shift=-3.0)
    assert twice.scaling[0].undo(1.0) == half.scaling[0].undo(0.5) == -1.5


def test_constant_rewards_are_scaled_to_zero_and_undone_exactly():
    game = NormalFormGame.from_payoffs([[7.3, 7.3]] * 2, [[0, 1], [2, 3]])
    scaled = game.scaled()
    assert np.array_equal(scaled.payoffs[0], np.zeros((2, 2)))
    assert np.array_equal(scaled.unscaled().payoffs, game.payoffs)


def test_scaled_prisoners_dilemma_by_hand():
    scaled = named.standard_prisoners_dilemma().scaled()
    assert scaled.scaling == (AffineScaling(scale=3.0, shift=-3.0),) * 2
    assert pairs(scaled) == [[(2 / 3, 2 / 3), (0, 1)], [(1, 0), (1 / 3, 1 / 3)]]
    assert scaled.source == named.standard_prisoners_dilemma().source


@pytest.mark.parametrize(
    ("numbers", "message"),
    [
        ({"scale": 0.0}, "scale is 0.0: give a positive finite number"),
        ({"scale": -1.0}, "scale is -1.0"),
        ({"scale": NAN}, "scale is nan"),
        ({"scale": float("inf")}, "scale is inf"),
        ({"shift": NAN}, "shift is nan: give a finite number"),
    ],
)
def test_a_scaling_that_cannot_be_undone_is_refused(numbers, message):
    with pytest.raises(ValueError, match=message):
        AffineScaling(**numbers)


# Importing


@pytest.mark.processes
def test_importing_games_loads_no_heavy_library():
    code = (
        "import sys, rfos.games; "
        "print([m for m in ('numba', 'scipy', 'sympy', 'pandas', 'matplotlib') if m in sys.modules])"
    )
    done = run([sys.executable, "-c", code])
    assert done.returncode == 0, done.stderr
    assert done.stdout == "[]\n"
