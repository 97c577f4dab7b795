"""What opponents and learners play is a user's input: one check names whose it is, the window or policies, the row.

Right values: rows that are no distributions are refused; a deterministic opponent's game is solved by hand.
"""

import numpy as np
import pytest

import rfos
from rfos.games.named import matching_pennies, standard_prisoners_dilemma, three_player_matching_pennies
from rfos.games.stochastic import one_shot
from rfos.learning.agents import Rmax
from rfos.learning.run import run
from rfos.metagames.continuous import hold, mutual_learning, roll_out, trajectory
from rfos.metagames.discretisation import discretisation_error
from rfos.metagames.grids import SimplexGrid
from rfos.metagames.learners import Fixed, NaiveLearner
from rfos.metagames.opponents import Always, WindowQLearner
from rfos.metagames.policy import PolicyMetaGame

PENNIES = matching_pennies()
ONCE = one_shot(PENNIES)
PURE = SimplexGrid(1, 2, 1)
HEADS = np.array([[1.0, 0.0]])

ROWS = {
    "sums to 1.2": [0.6, 0.6],
    "negative": [1.5, -0.5],
    "nan": [np.nan, 1.0],
    "zero": [0.0, 0.0],
    "infinite": [np.inf, -np.inf],
    "one short of 1": [0.5, 0.5 - 1e-8],
}
ARRAYS = {"one action": [0.5], "three actions": [1, 0, 0], "complex": [0.5 + 0j, 0.5], "text": ["a", "b"], "none": None}


class Plays:
    """An opponent of a window game, and a learner, that plays what it was told."""

    def __init__(self, row, bad=0):
        self.row, self.bad = row, bad

    def probabilities(self, game, player, index):
        if self.row is None:
            return None
        rows = np.full((index.n_states, len(self.row)), 1 / len(self.row)).astype(np.asarray(self.row).dtype)
        if np.shape(self.row) == (2,):
            rows[self.bad] = self.row
        return rows

    def update(self, game, player, policies):
        return None if self.row is None else [self.row]


WINDOW_USES = {
    "run": lambda game: run(game, Rmax(m=2), steps=50, rng=0),
    "to_mdp": lambda game: game.to_mdp(),
    "world": lambda game: game.world(),
}
POLICY_USES = {
    "run": lambda game: run(game, Rmax(m=2), steps=50, rng=0),
    "to_mdp": lambda game: game.to_mdp(),
    "roll_out, values": lambda game: roll_out(game, [HEADS[None]], values=np.zeros(2), steps=3),
    "roll_out, policy": lambda game: roll_out(game, [HEADS[None]], policy=np.zeros(2, int), steps=3),
    "hold": lambda game: hold(game, HEADS[None], [HEADS[None]], steps=3),
    "trajectory": lambda game: trajectory(game, [HEADS], [HEADS] * 3),
    "mutual_learning": lambda game: mutual_learning(game, NaiveLearner(), [HEADS[None]], steps=3, rng=0),
}


@pytest.mark.parametrize("use", WINDOW_USES)
@pytest.mark.parametrize("row", ROWS)
def test_a_row_of_a_window_opponent_that_is_no_distribution_is_named_with_its_window(use, row):
    """Window 2 is (0, 1), (1, 0), ..: the message says which, and the joint action; nothing is rescaled or clipped."""
    game = rfos.WindowMetaGame(PENNIES, Plays(ROWS[row], bad=2), window=1, discount=0.8)
    with pytest.raises(
        ValueError, match=r"the opponent of player 1 \(Plays\) plays \[.*\] in window 2, after the joint"
    ):
        WINDOW_USES[use](game)


@pytest.mark.parametrize("use", WINDOW_USES)
@pytest.mark.parametrize("array", ARRAYS)
def test_an_array_of_a_window_opponent_that_is_no_table_is_named(use, array):
    """NumPy's broadcasting error does not come up."""
    game = rfos.WindowMetaGame(PENNIES, Plays(ARRAYS[array]), window=1, discount=0.8)
    with pytest.raises(ValueError, match=r"the opponent of player 1 \(Plays\) plays"):
        WINDOW_USES[use](game)


def test_the_second_of_two_opponents_is_named():
    """Player 2's rows sum to 1.2: it is not said to be player 1, nor "transition probabilities of state 0"."""
    game = rfos.WindowMetaGame(three_player_matching_pennies(), [Always(0), Plays([0.6, 0.6])], window=1, discount=0.8)
    with pytest.raises(ValueError, match=r"the opponent of player 2 \(Plays\) plays \[0\.6, 0\.6\] in window 0"):
        run(game, Rmax(m=2), steps=50, rng=0)


def test_whole_numbers_are_probabilities_too():
    """Always heads as integers is `Always(0)`: the same seed, the same bytes."""
    runs = [
        run(rfos.WindowMetaGame(PENNIES, opponent, window=1, discount=0.8), Rmax(m=2), steps=200, rng=3)
        for opponent in (Always(0), type("Heads", (), {"probabilities": lambda s, g, p, i: [[1, 0]] * i.n_states})())
    ]
    assert runs[0].mean_reward.tolist() == runs[1].mean_reward.tolist()


def test_what_an_opponent_returned_and_keeps_is_not_the_tables_own():
    """An opponent that writes into its array later changes no meta-game."""
    kept = np.full((4, 2), 0.5)
    opponent = type("Keeps", (), {"probabilities": lambda self, game, player, index: kept})()
    game = rfos.WindowMetaGame(PENNIES, opponent, window=1, discount=0.8)
    before = rfos.solve(game.to_mdp()).value.tolist()
    kept[:] = [1.0, 0.0]
    assert rfos.solve(game.to_mdp()).value.tolist() == before == pytest.approx([2.5] * 4)


@pytest.mark.parametrize("rounding", ["barycentric", "nearest"])
@pytest.mark.parametrize("use", POLICY_USES)
@pytest.mark.parametrize("row", ROWS)
def test_a_row_of_a_learner_that_is_no_distribution_is_named_with_the_policies(use, row, rounding):
    """Runs, tables and roll-outs alike."""
    game = PolicyMetaGame(ONCE, [Plays(ROWS[row])], [PURE, PURE], 0.5, rounding)
    with pytest.raises(ValueError, match=r"the learner of player 1 \(Plays\) plays \[.*\] in state 0, after the polic"):
        POLICY_USES[use](game)


@pytest.mark.parametrize("use", POLICY_USES)
@pytest.mark.parametrize("array", ARRAYS)
def test_an_array_of_a_learner_that_is_no_policy_is_named(use, array):
    """The shape that is wanted is said."""
    game = PolicyMetaGame(ONCE, [Plays(ARRAYS[array])], [PURE, PURE], 0.5)
    with pytest.raises(ValueError, match=r"the learner of player 1 \(Plays\) plays"):
        POLICY_USES[use](game)


def test_the_shapers_own_learner_is_looked_at_too():
    """Mutual learning: player 0 is named."""
    game = PolicyMetaGame(ONCE, [NaiveLearner()], [PURE, PURE], 0.5)
    with pytest.raises(ValueError, match=r"the learner of player 0 \(Plays\) plays \[0\.6, 0\.6\] in state 0"):
        mutual_learning(game, Plays([0.6, 0.6]), [HEADS[None]], steps=3, rng=0)


@pytest.mark.parametrize("kernel", [True, False])
@pytest.mark.parametrize(
    "play",
    [
        lambda game, starts: roll_out(game, starts, values=np.zeros(2), steps=2),
        lambda game, starts: hold(game, HEADS[None], starts, steps=2),
    ],
    ids=["roll_out", "hold"],
)
def test_starts_that_are_no_policies_are_refused_with_and_without_a_kernel(play, kernel):
    """The kernel sees the first probability only: (.6, .6) was played as (.6, .4)."""
    learner = NaiveLearner() if kernel else type("Mine", (), {"update": Fixed.update})()
    game = PolicyMetaGame(ONCE, [learner], [PURE, PURE], 0.5)
    assert (game.dynamics is not None) == kernel
    starts = [np.array([[[1.0, 0.0]], [[0.6, 0.6]]])]
    with pytest.raises(ValueError, match=r"the starts of player 1 hold \[0\.6, 0\.6\] in policy 1, state 0"):
        play(game, starts)


@pytest.mark.parametrize("wrong", [-1, 2])
def test_a_policy_that_names_no_meta_action_is_refused_before_a_kernel_indexes_with_it(wrong):
    """Two meta-actions: 0 and 1."""
    game = PolicyMetaGame(ONCE, [NaiveLearner()], [PURE, PURE], 0.5)
    with pytest.raises(ValueError, match=rf"policy holds {wrong}: give meta-actions from 0 to 1"):
        roll_out(game, [HEADS[None]], policy=np.array([0, wrong]), steps=2)


def test_a_learner_that_overrides_update_is_played_as_it_learns():
    """It always goes to (½, ½), where both actions earn ½: V* = 1 + ½·½/(1-½) = 1.5 from a pure policy, 1 from it.

    The kernels of the class that it is derived from once played it as that class.
    """

    class Even(NaiveLearner):
        def update(self, game, player, policies):
            return [[0.5, 0.5]]

    halves = SimplexGrid(1, 2, 2)
    game = PolicyMetaGame(ONCE, [Even(2.0, "simplex")], [halves, halves], 0.5)
    assert rfos.solve(game.to_mdp()).value.tolist() == pytest.approx([1.5, 1.0, 1.5], abs=1e-6)
    assert discretisation_error(game).statement is None
    named = type("Named", (NaiveLearner,), {})()  # nothing is overridden: the kernels apply
    assert PolicyMetaGame(ONCE, [named], [halves, halves], 0.5).dynamics is not None


def test_a_learner_sees_the_policies_read_only():
    """One that writes into what it is shown would change the shaper's policy in the table."""

    class Writes:
        def update(self, game, player, policies):
            policies[0][0] = [0.0, 1.0]
            return policies[1]

    with pytest.raises(ValueError, match="read-only"):
        PolicyMetaGame(ONCE, [Writes()], [PURE, PURE], 0.5).to_mdp()


def test_a_trajectory_keeps_policies_of_a_learner_that_returns_one_array_again_and_again():
    """Heads, tails, heads, ..: each step has its own policy, though the learner's array is the same."""

    class Turns:
        def __init__(self):
            self.own = np.array([[1.0, 0.0]])

        def update(self, game, player, policies):
            self.own[:] = self.own[:, ::-1]
            return self.own

    policies, _ = trajectory(PolicyMetaGame(ONCE, [Turns()], [PURE, PURE], 0.5), [HEADS], [HEADS] * 4)
    assert policies[0][:, 0, 0].tolist() == [1.0, 0.0, 1.0, 0.0]


@pytest.mark.parametrize("action", [True, False, np.True_, 1.0, "1", None, -1, 1j])
def test_an_action_is_a_whole_number(action):
    """`Always(True)` indexed with a mask: it played 50/50 against the standard Prisoner's Dilemma (mean 3.0)."""
    with pytest.raises(ValueError, match=r"action is .*: actions are numbered from 0, give a whole number"):
        Always(action)


def test_always_defect_is_answered_with_defection():
    """After best reply both defect: -2 a step, so that V* = -2/(1-.5) = -4 in every window but for nothing."""
    game = rfos.WindowMetaGame(standard_prisoners_dilemma(), Always(np.int8(1)), window=1, discount=0.5)
    assert rfos.solve(game.to_mdp()).value.tolist() == pytest.approx([-4.0] * 4)


def test_opponents_of_the_package_pass_their_own_check():
    """Every window of every named game against the Q-learner."""
    for name in rfos.games.named.NAMED_GAMES:
        game = rfos.WindowMetaGame(rfos.named_game(name), WindowQLearner(), window=1, discount=0.8)
        assert np.allclose(game.opponents_play.sum(axis=1), 1)
