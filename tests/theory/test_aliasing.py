"""X6's kappa of hidden learners: attained, exact where the histories can be listed, and counted by hand."""

import itertools
import json
import math
import tracemalloc
from fractions import Fraction

import naive
import numpy as np
import pytest

from rfos.games.named import (
    matching_pennies,
    prisoners_dilemma,
    standard_prisoners_dilemma,
    three_player_matching_pennies,
)
from rfos.games.normal_form import NormalFormGame
from rfos.learning import aliasing as aliasing_module
from rfos.learning.aliasing import aliasing
from rfos.metagames.automata import AUTOMATA, Automaton, from_table, tit_for_two_tats, tsetlin
from rfos.metagames.opponents import QLearner, WindowQLearner
from rfos.metagames.window import WindowMetaGame
from rfos.planning.mdp import TabularMDP

PENNIES = matching_pennies()


@pytest.mark.parametrize("window", [1, 2, 3, 4])
def test_the_papers_opponent_hides_nearly_everything_at_every_window(window):
    """κ = .9 and A_κ = 4.89 of 5; both actions can be the better one in Σ_k C(h,k) 2^max(k,h-k) windows.

    With rewards 0 and 1 and a learning rate above ½ the larger value belongs to the lexicographically larger string of
    rewards, most recent first. A window fixes the first k rewards of one action and h-k of the other:
    the order is open where one string begins with the other, that is in 2^max(k,h-k) windows for each choice of the k
    steps: 12, 40 and 120 windows for h = 2, 3, 4.
    """
    found = aliasing(WindowMetaGame(PENNIES, QLearner(), window, 0.8))
    assert found.kappa == pytest.approx((0.9, 0.9), abs=1e-12)
    assert found.is_exact
    assert found.loss == pytest.approx((0.9 / (0.2 * 0.92),) * 2, rel=1e-9)
    assert found.is_vacuous
    assert found.windows == sum(math.comb(window, k) * 2 ** max(k, window - k) for k in range(window + 1))
    assert 0 < found.typical[1] < found.typical[0] < found.typical[2] < 0.3  # far less on average


def brute_force(meta_game, steps):
    """Largest distance of laws over all histories of `steps` joint actions at most, by the slow learners."""
    laws = {}
    learners = naive.hidden_learners(meta_game)
    n_actions = meta_game.game.n_actions
    joint = list(itertools.product(*map(range, n_actions)))
    for start in naive.all_windows(n_actions, meta_game.window).values():
        for length in range(steps + 1):
            for history in itertools.product(joint, repeat=length):
                naive.restart(learners)
                for played in history:
                    for i, learner in enumerate(learners, start=1):
                        learner.learn(played[i], float(meta_game.game.payoffs[(i, *played)]))
                own = [naive.epsilon_greedy(learner.values, learner.exploration) for learner in learners]
                law = [math.prod(p) for p in itertools.product(*own)]
                window = [*start, *history][-meta_game.window :]
                laws.setdefault(naive.encode(n_actions, window), []).append(law)
    return max(
        sum(abs(p - q) for p, q in zip(x, y, strict=True)) / 2
        for found in laws.values()
        for x, y in itertools.combinations(np.unique(np.round(found, 13), axis=0).tolist(), 2)
    )


@pytest.mark.parametrize(
    ("game", "window", "horizon"),
    [(PENNIES, 1, 2), (PENNIES, 2, 2), (PENNIES, 2, 4), (prisoners_dilemma(), 1, 3), (prisoners_dilemma(), 2, 3)],
)
def test_kappa_is_exact_for_learners_that_are_reset(game, window, horizon):
    """All histories of an episode, the windows before its start arbitrary."""
    meta_game = WindowMetaGame(game, QLearner(0.5, 0.3, reset=True), window, 0.8, horizon)
    found = aliasing(meta_game)
    assert found.is_exact
    assert found.kappa[0] == pytest.approx(brute_force(meta_game, horizon - 1), abs=1e-12)


def test_kappa_is_exact_for_two_learners():
    """Joint laws are products; one of the two explores more."""
    learners = [QLearner(0.5, 0.3, reset=True), QLearner(0.75, 0.6, reset=True)]
    meta_game = WindowMetaGame(three_player_matching_pennies(), learners, 1, 0.8, 3)
    found = aliasing(meta_game)
    assert found.is_exact
    assert found.kappa[0] == pytest.approx(brute_force(meta_game, 2), abs=1e-12)


def test_a_learner_that_remembers_one_reward_of_each_action_has_finitely_many_states():
    """Learning rate 1: the values are the last rewards, and the list of hidden states ends."""
    found = aliasing(WindowMetaGame(PENNIES, QLearner(learning_rate=1.0), 2, 0.8))
    assert found.is_exact
    assert found.histories < 200
    assert found.kappa[0] == pytest.approx(0.45, abs=1e-12)  # a tie of the last rewards is ½ : ½, never reversed


def test_a_list_that_is_not_complete_claims_no_more_than_what_it_holds(monkeypatch):
    """Kappa is .45 of the list above; cut short it is between what was met and .9, the distance of any two laws."""
    meta_game = WindowMetaGame(PENNIES, QLearner(learning_rate=1.0), 2, 0.8)
    whole = aliasing(meta_game)
    monkeypatch.setattr(aliasing_module, "HISTORIES", 5)
    found = aliasing(meta_game)
    assert found.histories < whole.histories
    assert not found.is_exact
    assert found.kappa[0] <= whole.kappa[0] < found.kappa[1] == pytest.approx(0.9)
    assert found.loss[0] < found.loss[1]


def test_nothing_is_hidden_by_an_opponent_that_does_not_learn_or_is_seen():
    """κ = 0 for learning rate 0, for pure exploration, and for functions of the window."""
    for opponent in (QLearner(learning_rate=0.0), QLearner(exploration=1.0), WindowQLearner()):
        found = aliasing(WindowMetaGame(PENNIES, opponent, 2, 0.8))
        assert found.kappa == found.loss == (0.0, 0.0)
        assert found.is_exact
        assert not found.is_vacuous
        assert found.windows == 0


def histories_of_automata(meta_game, steps):
    """Laws by window after all histories of a positive probability of `steps` joint actions at most, and how long."""
    n_actions, found = meta_game.game.n_actions, {}
    others = list(itertools.product(*map(range, n_actions[1:])))
    minds = naive.automata(meta_game)
    first = [(window, tuple(mind.start for mind in minds)) for window in naive.all_windows(n_actions, meta_game.window)]
    frontier = set(first)
    windows = naive.all_windows(n_actions, meta_game.window)
    for length in range(steps + 1):
        onward = set()
        for window, states in frontier:
            plays = [mind.play[x] for mind, x in zip(minds, states, strict=True)]
            law = tuple(math.prod(p[b] for p, b in zip(plays, rest, strict=True)) for rest in others)
            found.setdefault(window, set()).add((law, length))
            for a in range(n_actions[0]):
                for p, rest in zip(law, others, strict=True):
                    if p > 0:
                        joint = naive.number((a, *rest), n_actions)
                        after = tuple(mind.following[x][joint] for mind, x in zip(minds, states, strict=True))
                        history = [*windows[window], (a, *rest)][-meta_game.window :]
                        onward.add((naive.encode(n_actions, history), after))
        frontier = onward
    return found


def farthest(laws):
    """Largest total variation of two laws."""
    pairs = itertools.combinations(laws, 2)
    return max((sum(abs(p - q) for p, q in zip(x, y, strict=True)) / 2 for x, y in pairs), default=0.0)


@pytest.mark.parametrize("horizon", [1, 2, 5, None])
@pytest.mark.parametrize("window", [1, 2])
@pytest.mark.parametrize("name", [*AUTOMATA, "of two", "with a delay"])
def test_kappa_is_exact_for_automata(name, window, horizon):
    """All histories of an episode that can occur; without restarts nothing new comes after 12 steps here."""
    game, opponent = standard_prisoners_dilemma(), None
    if name == "of two":
        game = three_player_matching_pennies()
        opponent, window = [tsetlin(game, 1, depth=2), tsetlin(game, 2, depth=1)], 1
    elif name == "with a delay":  # turns after three steps, whatever is played
        opponent = Automaton([[1, 0], [1, 0], [0.5, 0.5]], [[1] * 4, [2] * 4, [2] * 4])
    meta_game = WindowMetaGame(game, opponent or AUTOMATA[name](game), window, 0.8, horizon)
    found = aliasing(meta_game)
    met = histories_of_automata(meta_game, 12 if horizon is None else horizon - 1)
    apart = {w: farthest({law for law, _ in laws}) for w, laws in met.items()}
    assert found.is_exact
    assert found.kappa == pytest.approx((max(apart.values()),) * 2, abs=1e-12)
    settled = [farthest({law for law, length in laws if length >= window}) for laws in met.values()]
    if found.kappa[0] > 0:
        assert found.windows == sum(each > found.kappa[0] - 1e-9 for each in settled)


def test_a_window_that_is_long_enough_hides_nothing_of_what_was_played():
    """Tit for two tats by a table of memory 2: windows of 2 differ at an episode's beginning only, those of 1 later."""
    table = [int(first >= 2 and second >= 2) for first in range(4) for second in range(4)]
    dilemma = standard_prisoners_dilemma()
    for opponent in (tit_for_two_tats(), from_table(2, table)):
        assert aliasing(WindowMetaGame(dilemma, opponent, 1, 0.8)).windows > 0
        found = aliasing(WindowMetaGame(dilemma, opponent, 2, 0.8))
        assert (found.kappa, found.windows) == ((1.0, 1.0), 0)
        assert 0 < found.typical[0] < 0.01


def test_nothing_is_hidden_by_an_automaton_of_one_state():
    """κ = 0, and every window is one history's end."""
    found = aliasing(WindowMetaGame(PENNIES, Automaton([[0.3, 0.7]], [[0] * 4]), 2, 0.8))
    assert (found.kappa, found.loss, found.is_exact, found.histories) == ((0.0, 0.0), (0.0, 0.0), True, 16)


def test_what_is_hidden_on_average_is_that_of_a_slow_simulation():
    """Mean distance of the law in force from the mean law of its window, shaper at random."""
    meta_game = WindowMetaGame(PENNIES, QLearner(), 1, 0.8)
    rng = np.random.default_rng(90)
    world = naive.WindowWorld(meta_game)
    state, visits = world.start(0), []
    for _ in range(40_000):
        law = naive.epsilon_greedy(world.learners[0].values, 0.1)
        visits.append((world.number(state), law[0]))
        action = int(rng.integers(2))
        _, state = world.outcome(state, action, world.respond(state, action, rng))
    windows, first = map(np.array, zip(*visits, strict=True))
    means = np.array([first[windows == w].mean() for w in range(4)])
    typical = abs(first - means[windows]).mean()
    found = aliasing(meta_game)
    assert abs(found.typical[0] - typical) < 0.01
    assert found.typical[2] - found.typical[1] < 0.01


def test_rows_are_plain_and_seeds_reproduce_them():
    """The same seed brings the same row; another one another simulation."""
    meta_game = WindowMetaGame(PENNIES, QLearner(), 1, 0.8, 10)
    row = aliasing(meta_game).row()
    assert json.loads(json.dumps(row)) == row == aliasing(meta_game, rng=0).row()
    assert row["typical"] != aliasing(meta_game, rng=1).row()["typical"]


@pytest.mark.parametrize("third", [1 / 3, 0.1, 2**-30 / 3, 1e-15])
def test_the_ends_of_kappa_enclose_the_true_one(third):
    """Two states that play p and 1 - p in rationals: κ = |1 - 2 p| or so, and A_κ by X6's formula; both outwards."""
    play = [[third, 1 - third], [1 - third, third]]
    found = aliasing(WindowMetaGame(PENNIES, Automaton(play, [[1] * 4, [0] * 4]), 1, 0.8))
    rows = [[Fraction(p) for p in row] for row in play]
    kappa = sum(abs(p - q) for p, q in zip(*rows, strict=True)) / 2
    loss = 1 * kappa / (Fraction(1, 5) * (Fraction(1, 5) + Fraction(4, 5) * kappa))
    for (low, high), true in ((found.kappa, kappa), (found.loss, loss)):
        assert Fraction(low) <= true <= Fraction(high)
        assert high <= math.nextafter(low, math.inf)
    assert found.is_exact


@pytest.mark.parametrize("exploration", [0.1, 0.3, 0.7, 1e-9, 1 - 2**-52])
def test_the_ends_of_kappa_enclose_that_of_learners(exploration):
    """κ = 1 - exploration of one learner of two actions, whose better action may be either."""
    found = aliasing(WindowMetaGame(PENNIES, QLearner(exploration=exploration), 1, 0.8))
    true = 1 - Fraction(repr(exploration))
    assert Fraction(found.kappa[0]) <= true <= Fraction(found.kappa[1]) <= Fraction(math.nextafter(found.kappa[0], 2))
    assert found.is_exact


def test_very_many_equal_distances_have_ends_that_hold(monkeypatch):
    """Where not all of them are compared in rationals the upper end is one of floats, rounded outwards."""
    meta_game = WindowMetaGame(
        PENNIES, Automaton(np.eye(2)[[0, 1, 0]] * 0.8 + 0.1, [[1] * 4, [2] * 4, [0] * 4]), 1, 0.8
    )
    exact = aliasing(meta_game)
    monkeypatch.setattr(aliasing_module, "EXACTLY", 0)
    found = aliasing(meta_game)
    assert found.kappa[0] <= exact.kappa[0] <= exact.kappa[1] < found.kappa[1] < exact.kappa[1] + 1e-12


def test_laws_are_compared_in_the_memory_that_is_asked_for():
    """900 laws of 64 replies: a table of all differences would take 415 MB; what is asked for is 26 MB."""
    rng = np.random.default_rng(1)
    play = rng.dirichlet([1.0] * 64, 900)
    tracemalloc.start()
    laws = aliasing_module._compared(play, lambda number: [])
    most = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert most < 32 * 900**2
    assert laws.distance[3, 5] == np.abs(play[3] - play[5]).sum() / 2
    assert laws.distance.tolist() == laws.distance.T.tolist()


def test_too_many_laws_are_refused():
    """2^12 - 1 choices of best actions."""
    game = NormalFormGame(np.zeros((2, 2, 12)))
    with pytest.raises(ValueError, match="4095 laws of the opponents are too many"):
        aliasing(WindowMetaGame(game, QLearner(), 1, 0.8))


def test_what_is_no_window_meta_game_is_refused():
    """An MDP hides nothing."""
    with pytest.raises(TypeError, match="a TabularMDP hides nothing: give a WindowMetaGame"):
        aliasing(TabularMDP([[0]], [[0.0]], 0.5))
