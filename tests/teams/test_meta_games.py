"""Meta-games as teams of one (M9): tables against a plain enumeration, and the values of what a window can tell."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from strength import FULL, scaled

import rfos
from rfos._kernels.rmax import draw_learner
from rfos.metagames.automata import Automaton, tit_for_two_tats
from rfos.metagames.opponents import QLearner, WindowQLearner, tit_for_tat
from rfos.planning.mdp import TabularMDP
from rfos.teams.meta_games import meta_game_team
from rfos.teams.model import DecPOMDP
from rfos.teams.tasks import task
from rfos.teams.window_policies import best_window_policy, window_values


def learned(window=2, horizon=10, name="matching-pennies", opponent=None, **options):
    """The paper's meta-game with a learner that is reset with the episode, as a team without discount."""
    game = rfos.named_game(name)
    opponent = QLearner(reset=True, **options) if opponent is None else opponent
    return rfos.WindowMetaGame(game, opponent, window=window, discount=0.8, horizon=horizon)


def full_information(team):
    """Largest return of a shaper who sees the state."""
    value = np.zeros(team.n_states)
    for _ in range(team.horizon):
        q = team.rewards + team.discount * (team.transitions @ value).reshape(team.rewards.shape)
        value = q.max(axis=1)
    return float(team.starts.sum(axis=1) @ value)


def enumerated(meta_game, policy, discount=1.0):
    """Return of a function of (step, window), by joint actions and learners' values in plain Python."""
    game, h = meta_game.game, meta_game.window
    learners = meta_game.opponents
    joint = list(itertools.product(*map(range, game.n_actions)))
    initial = tuple((one.initial,) * n for one, n in zip(learners, game.n_actions[1:], strict=True))
    windows = list(itertools.product(joint, repeat=h))
    law = {(window, initial): 1 / len(windows) for window in windows}
    total = 0.0
    for step in range(meta_game.horizon):
        following = {}
        for (window, values), p in law.items():
            shaper = policy(step, int(meta_game.index.encode(np.array(window))))
            for actions in joint:
                if actions[0] != shaper:
                    continue
                chance = p
                for q, one, action in zip(values, learners, actions[1:], strict=True):
                    best = [j for j in range(len(q)) if q[j] == max(q)]
                    chance *= one.exploration / len(q) + (action in best) * (1 - one.exploration) / len(best)
                total += discount**step * chance * game.payoffs[(0, *actions)]
                after = []
                for player, (q, one) in enumerate(zip(values, learners, strict=True), start=1):
                    q = list(q)
                    rate, reward = one.learning_rate, float(game.payoffs[(player, *actions)])
                    q[actions[player]] = (1 - rate) * q[actions[player]] + rate * reward
                    after.append(tuple(q))
                key = ((*window[1:], actions), tuple(after))
                following[key] = following.get(key, 0.0) + chance
        law = following
    return total


@pytest.mark.parametrize(
    ("window", "horizon", "name", "options"),
    [
        (1, 4, "matching-pennies", {}),
        (2, 4, "matching-pennies", {"learning_rate": 0.5, "exploration": 0.3, "initial": 0.25}),
        (1, 3, "prisoners-dilemma", {"exploration": 0.0}),
        (1, 3, "rock-paper-scissors", {"learning_rate": 0.1}),
        (1, 3, "matching-pennies", {"learning_rate": 0.0}),
        (3, 2, "matching-pennies", {"learning_rate": 1.0}),
        (1, 1, "matching-pennies", {}),
        (1, 2, "three-player-matching-pennies", {}),
    ],
)
def test_window_policies_earn_what_enumeration_says(window, horizon, name, options):
    """Exact returns of random policies, with and without a clock, against paths in plain Python."""
    meta_game = learned(window, horizon, name, **options)
    team = meta_game_team(meta_game, discount=0.9)
    rng = np.random.default_rng(0)
    policies = rng.integers(team.n_joint_actions, size=(3, horizon, team.n_joint_observations))
    expected = [enumerated(meta_game, lambda h, w, one=one: one[h, w], 0.9) for one in policies]
    assert window_values(team, policies) == pytest.approx(expected, abs=1e-12)
    constant = enumerated(meta_game, lambda h, w: policies[0, 0, w], 0.9)
    assert window_values(team, policies[:1, 0]) == pytest.approx([constant], abs=1e-12)


def test_learners_of_two_kinds_learn_each_their_own_way():
    """Two opponents with different rates, with payoffs of their own."""
    opponents = (QLearner(0.75, 0.1, 0.5, reset=True), QLearner(0.3, 0.4, 0.0, reset=True))
    meta_game = learned(1, 3, "public-goods-3", opponents)
    team = meta_game_team(meta_game, discount=1.0)
    policy = np.random.default_rng(1).integers(2, size=(3, 8))
    expected = enumerated(meta_game, lambda h, w: policy[h, w])
    assert window_values(team, policy[None]) == pytest.approx([expected], abs=1e-12)


@pytest.mark.parametrize(
    ("window", "horizon", "states"), [(2, 10, 28720), (1, 10, 16392), (1, 2, 8), (1, 3, 24), (2, 3, 48), (3, 5, 512)]
)
def test_states_are_as_many_as_derived(window, horizon, states):
    """4^h [(T-1-h) 2^(T-h) + h + 1], counted, with two successors of each pair."""
    t, h = horizon, window
    assert states == 4**h * ((t - 1 - h) * 2 ** (t - h) + h + 1)
    team = meta_game_team(learned(window, horizon))
    assert team.n_states == states
    assert team.branching == 2
    assert (team.horizon, team.discount, team.n_observations) == (horizon, 0.8, (4**window,))


def test_every_state_can_be_reached():
    """The start, and whatever follows, are all there is; without exploration there is less."""
    sizes = []
    for exploration in (0.1, 0.0):
        team = meta_game_team(learned(1, 5, exploration=exploration))
        reached = team.starts.sum(axis=1) > 0
        for _ in range(team.horizon):
            reached[team.transitions[np.repeat(reached, 2)].indices] = True
        assert reached.all()
        sizes.append(team.n_states)
    assert sizes[1] < sizes[0]


@pytest.mark.parametrize("values", [(0.5, 0.5), (0.25, 0.5), (0.875, 0.125)])
def test_replies_are_those_that_kernels_draw(values):
    """The probability of the first action is where the kernel's draw changes."""
    meta_game = learned(1, 2, opponent=QLearner(0.0, 0.1, 0.5, reset=True))
    learners = meta_game.learners()
    learners.initial[:] = values
    object.__setattr__(meta_game, "learners", lambda: learners)
    team = meta_game_team(meta_game)
    first = float(team.rewards[0, 0])  # matching action 0 pays 1
    for u, action in ((first - 1e-9, 0), (first + 1e-9, 1)):
        assert draw_learner(np.array([values]), 0, 2, 0.1, u) == action


def test_first_observation_is_a_uniform_window():
    """One state for each window, and the window is what is seen."""
    team = meta_game_team(learned(1, 3))
    state, observation = np.nonzero(team.starts)
    assert state.tolist() == observation.tolist() == [0, 1, 2, 3]
    assert team.starts[state, observation].tolist() == [0.25] * 4


def test_hidden_automata_give_the_informed_mdp():
    """States window * X + x, as `to_mdp(informed=True)` numbers them."""
    coin = Automaton([[0.5, 0.5], [0.9, 0.1]], [[0, 1, 1, 0], [1, 1, 0, 0]], start=1)
    for name, opponent in (("prisoners-dilemma", tit_for_two_tats()), ("matching-pennies", coin)):
        meta_game = learned(2, 7, name, opponent)
        team, mdp = meta_game_team(meta_game), meta_game.to_mdp(informed=True)
        assert np.allclose(team.transitions.toarray().reshape(team.n_states, 2, -1), mdp.dense(), atol=1e-15)
        assert np.allclose(team.rewards, mdp.backup(np.zeros(mdp.n_states)), atol=1e-15)
        assert np.allclose(team.starts.sum(axis=1), mdp.starts)
        b = team.branches
        assert np.array_equal(b.observation, b.state // opponent.n_states)
        assert team.action_names == (meta_game.game.action_names[0],)


@pytest.mark.parametrize("opponent", [WindowQLearner(), tit_for_tat()])
def test_functions_of_the_window_give_the_mdp(opponent):
    """X = 1: the shaper sees the state."""
    meta_game = learned(2, 5, "matching-pennies", opponent)
    team, mdp = meta_game_team(meta_game), meta_game.to_mdp()
    assert np.array_equal(team.to_mdp().dense(), mdp.dense())
    assert np.array_equal(team.rewards, mdp.backup(np.zeros(mdp.n_states)))


def test_what_is_missing_with_a_window_is_mostly_the_clock():
    """Reset learner, h = 2, T = 10, a step: .8618 informed, .7631 stationary, .8565 with a clock at least."""
    team = meta_game_team(learned(), discount=1.0)
    informed = full_information(team) / 10
    assert informed == pytest.approx(0.8618, abs=5e-5)
    # All 65,536 at full strength.
    stationary = best_window_policy(team, exhaustive=FULL, tries=3)
    assert stationary.value / 10 == pytest.approx(0.7631, abs=5e-5)
    assert stationary.is_best == FULL
    with_clock = best_window_policy(team, clock=True, tries=10)
    assert 0.8565 <= with_clock.value / 10 <= informed
    for found in (stationary, with_clock):
        assert window_values(team, found.policy[None])[0] == pytest.approx(found.value, abs=1e-12)
        assert not found.policy.flags.writeable


def test_exchanging_heads_and_tails_changes_nothing():
    """The symmetry that halves the search: complement windows and actions."""
    team = meta_game_team(learned(2, 6), discount=1.0)
    policies = np.random.default_rng(2).integers(2, size=(scaled(20), 16))
    assert window_values(team, 1 - policies[:, ::-1]) == pytest.approx(window_values(team, policies), abs=1e-12)


@st.composite
def single(draw):
    """A random team of one agent with a first observation."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    s, a, o = (draw(st.integers(1, n)) for n in (4, 3, 3))
    W = rng.dirichlet(np.full(s * o, 0.3), size=s * a).reshape(s, a, s, o)
    starts = rng.dirichlet(np.full(s * o, 0.3)).reshape(s, o)
    horizon, discount = draw(st.integers(1, 3)), draw(st.sampled_from([0.0, 0.5, 1.0]))
    return DecPOMDP(W, rng.normal(size=(s, a)), (a,), (o,), horizon, discount, starts=starts), W


@settings(max_examples=scaled(100, 20))
@given(case=single())
def test_searches_find_what_brute_force_finds_or_less(case):
    """Exhaustive search is exact; local ones stay between any start and the best; a clock never harms."""
    team, W = case
    (s, a), o, h = team.rewards.shape, team.n_joint_observations, team.horizon

    def value(policy):
        law, total = team.starts, 0.0
        for step in range(h):
            total += team.discount**step * sum(
                law[x, y] * team.rewards[x, policy[y]] for x in range(s) for y in range(o)
            )
            law = sum(law[x, y] * W[x, policy[y]] for x in range(s) for y in range(o))
        return total

    policies = list(itertools.product(range(a), repeat=o))
    values = window_values(team, policies)
    assert values == pytest.approx([value(one) for one in policies], abs=1e-9)
    best = best_window_policy(team, exhaustive=True)
    assert best.value == pytest.approx(max(values), abs=1e-12)
    near, with_clock = best_window_policy(team, tries=2), best_window_policy(team, clock=True, tries=2)
    assert near.value <= best.value + 1e-9
    assert with_clock.value <= full_information(team) + 1e-9
    assert window_values(team, with_clock.policy[None])[0] == pytest.approx(with_clock.value, abs=1e-9)
    flips = np.repeat(near.policy[None], o * a, axis=0)
    flips[np.arange(o * a), np.repeat(np.arange(o), a)] = np.tile(np.arange(a), o)
    assert window_values(team, flips).max() <= near.value + 1e-9


def test_a_clock_is_as_good_as_the_state_where_the_state_is_seen():
    """An MDP with a horizon: coordinate ascent by steps, last first, is backward induction."""
    rng = np.random.default_rng(3)
    mdp = TabularMDP(rng.dirichlet(np.ones(4), size=(4, 2)), rng.normal(size=(4, 2)), 0.9)
    team = DecPOMDP.from_mdp(mdp, horizon=5)
    assert best_window_policy(team, clock=True, tries=1).value == pytest.approx(full_information(team), abs=1e-9)


def test_same_seed_gives_the_same_policy():
    """And another seed may give another."""
    team = meta_game_team(learned(2, 5), discount=1.0)
    one, two = (best_window_policy(team, clock=True, tries=2, rng=7) for _ in range(2))
    assert np.array_equal(one.policy, two.policy)
    assert one.value == two.value


@pytest.mark.parametrize(
    ("call", "says"),
    [
        (lambda: meta_game_team(5), "meta_game is 5, not a WindowMetaGame"),
        (lambda: meta_game_team(learned(horizon=None)), "the meta-game's horizon is None: give WindowMetaGame"),
        (lambda: meta_game_team(learned(horizon=10**6)), "the meta-game's horizon is 1000000: give"),
        (lambda: meta_game_team(learned(opponent=QLearner())), r"values outlive the episode.*reset=True"),
        (lambda: meta_game_team(learned(), discount=2), "discount is 2: give a number in"),
        (lambda: meta_game_team(learned(6, 30)), "choose a shorter horizon or window"),
        (lambda: best_window_policy(5), r"team is 5, not a DecPOMDP: .*meta_game_team"),
        (lambda: window_values(task("dec-tiger"), [[0]]), "is not one agent with a first observation"),
        (lambda: window_values(meta_game_team(learned(1, 3)), [[0, 1]]), r"policies have shape \(1, 2\): give"),
        (lambda: window_values(meta_game_team(learned(1, 3)), [[0, 1, 2, 0]]), "an action that is not one from 0 to 1"),
        (lambda: best_window_policy(meta_game_team(learned(1, 3)), tries=0), "tries is 0: give a whole number"),
        (
            lambda: best_window_policy(meta_game_team(learned(1, 3)), clock=True, exhaustive=True),
            r"2\^4 policies, for each step with a clock, are more than 1048576",
        ),
        (lambda: best_window_policy(meta_game_team(learned(3, 4)), exhaustive=True), r"2\^64 policies"),
    ],
)
def test_what_is_no_finite_team_is_refused_in_one_sentence(call, says):
    """What was given, and what to give instead."""
    with pytest.raises((ValueError, MemoryError), match=says) as caught:
        call()
    assert "\n" not in str(caught.value)
