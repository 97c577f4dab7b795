"""Tables, arrays and games of other packages: what is right is taken as it is meant, what is wrong is named."""

import warnings
from types import SimpleNamespace

import numpy as np
import pytest
import scipy.sparse as sp
from regrets import worst_regret
from scipy.stats import binom

from rfos.games import equilibria as equilibria_module
from rfos.games.equilibria import DegenerateGameWarning, nash_equilibria
from rfos.games.named import chicken, matching_pennies
from rfos.games.normal_form import NormalFormGame
from rfos.learning.agents import Rmax
from rfos.learning.coverage import coverage
from rfos.learning.least_m import least_sufficient_m
from rfos.learning.ledger import ledger
from rfos.learning.run import run
from rfos.planning import mdp as mdp_module
from rfos.planning.interop import from_arrays_ass, from_gymnasium, to_quantecon
from rfos.planning.solve import solve

STAY = [(1.0, 0, 1.0, False)]


def env(table, **more):
    """An environment with a table."""
    return SimpleNamespace(P=table, **more)


# Gymnasium -------------------------------------------------------------------------------------------------------


def both(first, second):
    """The same table as dictionaries and as lists, alone and mixed."""
    lists = [list(first.values()), list(second.values())]
    return [{0: first, 1: second}, lists, dict(enumerate(lists)), [first, second], (tuple(lists[0]), tuple(lists[1]))]


def test_the_action_that_only_one_state_has_is_kept():
    """State 1's second action pays 10 for ever: 10/(1-.5) = 20; state 0 leads there: 0 + .5 · 20 = 10."""
    going, idle, paying = [(1.0, 1, 0.0, False)], [(1.0, 1, 0.0, False)], [(1.0, 1, 10.0, False)]
    for table in both({0: going}, {0: idle, 1: paying}):
        mdp = from_gymnasium(env(table), 0.5)
        assert solve(mdp).value == pytest.approx([10.0, 20.0, 0.0], abs=1e-6)
        assert mdp.allowed.tolist() == [[True, False], [True, True], [True, True]]


def test_the_action_that_only_the_first_state_has_is_not_invented_elsewhere():
    """As before the other way round: state 0 has action 1, which pays 10 and stays; numbers may have gaps."""
    table = {0: {0: STAY, 3: [(1.0, 0, 10.0, False)]}, 1: {2: [(1.0, 0, 0.0, False)]}}
    mdp = from_gymnasium(env(table), 0.5)
    assert mdp.n_actions == 4
    assert solve(mdp).value == pytest.approx([20.0, 10.0, 0.0], abs=1e-6)
    assert solve(mdp).policy.tolist()[:2] == [3, 2]


def test_a_reward_of_minus_infinity_is_an_action_that_is_not_allowed():
    """Masks are -inf rewards, here too."""
    mdp = from_gymnasium(env([[STAY, [(1.0, 0, -np.inf, False)]]]), 0.5)
    assert mdp.allowed.tolist() == [[True, False], [True, True]]
    assert mdp.reward_range == (0.0, 1.0)


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ({(0, 0): STAY}, r"P has the key \(0, 0\): give whole numbers from 0 on"),
        ({1: [STAY], 2: [STAY]}, "P has 2 states but no state 0: number them from 0 on without a gap"),
        ({0: [STAY], 2: [STAY]}, "P has 2 states but no state 1"),
        ({"a": [STAY]}, "P has the key 'a'"),
        ({}, "P has 0 states"),
        ([], "P has 0 states"),
        (np.ones((1, 1, 1)), r"P is a ndarray, array\(.*\): give a dictionary or a list"),
        ([np.ones((1, 1))], "P at state 0 is a ndarray"),
        ([{(0, 1): STAY}], r"P at state 0 has the key \(0, 1\)"),
        ([[STAY], {}], "state 1 has no actions: give it one that stays there, if it is an end"),
        ([[STAY], []], "state 1 has no actions"),
        ([[0.5]], r"P at state 0, action 0 is 0.5: give a list of \(probability, next state, reward, terminated\)"),
        ([[[(1.0, 0, 0.0)]]], r"P at state 0, action 0, entry 0 is \(1.0, 0, 0.0\): give \(probability, next state"),
        ([[STAY, [(0.5, 0, 0.0, False), (0.5, 0, 0.0, False, {})]]], "P at state 0, action 1, entry 1 is"),
        (
            [[[(1.0, 1, 0.0, False)]]],
            "state 0, action 0, entry 0 has the next state 1: give a whole number from 0 to 0",
        ),
        ([[[(1.0, -1, 0.0, False)]]], "entry 0 has the next state -1"),
        ([[[(1.0, 0.5, 0.0, False)]]], "entry 0 has the next state 0.5"),
        ([[[(1.0, None, 0.0, True)]]], "entry 0 has the next state None"),
        ([[[(1.0, np.inf, 0.0, True)]]], "entry 0 has the next state inf"),
        ([[[(1.5, 0, 0.0, False), (-0.5, 0, 0.0, False)]]], "entry 0 has the probability 1.5: give a number in"),
        ([[[(1.0, 0, 0.0, False), (np.nan, 0, 0.0, False)]]], "entry 1 has the probability nan"),
        ([[[("1", 0, 0.0, False)]]], "entry 0 has the probability '1'"),
        ([[[(1j, 0, 0.0, False)]]], "entry 0 has the probability 1j"),
        ([[[(1.0, 0, np.nan, False)]]], "entry 0 has the reward nan: give a number, or -inf if it is not allowed"),
        ([[[(1.0, 0, np.inf, False)]]], "entry 0 has the reward inf"),
        ([[[(1.0, 0, 10**400, False)]]], "entry 0 has the reward about"),
        ([[[(1.0, 0, 0.0, "no")]]], "entry 0 has terminated 'no': give True or False"),
        (
            [[[(0.5, 0, 0.0, False)]]],
            "the probabilities of state 0, action 0 sum to 0.5 over 1 entries: they must sum to 1",
        ),
        ([[[]]], "the probabilities of state 0, action 0 sum to 0.0 over 0 entries"),
        ([[[(1.0, 0, -np.inf, False)]]], "state 0 has no allowed action"),
        ({0: {10**15: STAY}}, "a table of 1000000000000001 actions needs"),
    ],
)
def test_a_table_that_is_none_is_refused_by_state_action_and_entry(table, message):
    """One sentence each, that names the state, the action and the entry."""
    with pytest.raises((ValueError, MemoryError), match=message) as refused:
        from_gymnasium(env(table), 0.5)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    ("law", "message"),
    [
        ([1.0], r"initial_state_distrib has shape \(1,\), expected \(2,\)"),
        ([0.5, 0.2], "the probabilities of starts sum to 0.7, not 1"),
        (
            [1.5, -0.5],
            r"start in state 1 is -0.5: probabilities lie in \[0, 1\], give ones of at least 0 that sum to 1",
        ),
        ([np.nan, 1.0], "the probability to start in state 0 is nan"),
        (["x", "y"], "initial_state_distrib holds"),
    ],
)
def test_a_start_law_that_is_none_is_refused(law, message):
    """One sentence each."""
    with pytest.raises(ValueError, match=message):
        from_gymnasium(env([[STAY], [STAY]], initial_state_distrib=law), 0.5)


def lake():
    """The slippery 4 x 4 lake."""
    gymnasium = pytest.importorskip("gymnasium")
    return from_gymnasium(gymnasium.make("FrozenLake-v1", is_slippery=True), 0.99)


def test_episodes_on_the_lake_start_where_its_law_says():
    """State 0 alone: before, a sixteenth of all episodes began in each state, and in the end state that is added.

    With one step per episode only the actions of state 0 are ever taken.
    """
    mdp = lake()
    assert mdp.starts.tolist() == [1.0] + [0.0] * 16
    trace = run(mdp, Rmax(m=10), episodes=500, horizon=1, rng=0)
    assert np.flatnonzero(trace.visits).tolist() == [0, 1, 2, 3]


def test_coverage_does_not_name_x4_where_some_state_is_never_started_in():
    """X4 needs a start in every state; planning for the episode is covered from any starts (T1-ep)."""
    found = coverage(lake(), Rmax(m=10), horizon=20)
    assert found.theorem is None
    assert found.reason == (
        "restarts by a start law that never takes meta-state 1: X4 needs all, and T1 is false then; plan for the "
        "episode (T1-ep)"
    )
    assert coverage(lake(), Rmax(m=10, planning="episode"), horizon=20).theorem == "T1-ep"
    assert coverage(lake(), Rmax(m=10)).theorem == "T1"
    counted = ledger(lake(), Rmax(m=3), epsilon=0.5, steps=200, horizon=20, rng=0)
    assert (counted.theorem, counted.bound, counted.reason) == (None, None, found.reason)


@pytest.mark.jit  # QuantEcon's own kernels fail interpreted
@pytest.mark.parametrize("name", ["FrozenLake", "FrozenLake8x8", "Taxi", "CliffWalking"])
def test_quantecon_finds_the_same_values_of_the_toys(name):
    """Its policy iteration, to 1e-8; the law sums to 1 and leaves out the state that is added."""
    gymnasium = pytest.importorskip("gymnasium")
    pytest.importorskip("quantecon")
    made = gymnasium.make(max(found for found in gymnasium.registry if found.startswith(f"{name}-v")))
    mdp = from_gymnasium(made, 0.95)
    assert to_quantecon(mdp).solve(method="policy_iteration").v == pytest.approx(solve(mdp, tol=1e-9).value, abs=1e-8)
    assert np.array_equal(mdp.starts[:-1], made.unwrapped.initial_state_distrib)
    assert mdp.starts[-1] == 0
    assert mdp.allowed is None


# Start laws ------------------------------------------------------------------------------------------------------


def coins(**more):
    """Two states, each with two coins for where to go; state 1 pays."""
    rows = np.array([[[0.5, 0.5], [0.25, 0.75]], [[0.5, 0.5], [0.75, 0.25]]])
    return mdp_module.TabularMDP(rows, [[0.0, 0.0], [1.0, 1.0]], 0.5, **more)


def test_a_start_law_is_what_episodes_start_by():
    """Of 40,000 episodes of one step a share of .8 begins in state 0: within .01, five standard deviations."""
    trace = run(coins(starts=[0.8, 0.2]), Rmax(m=10**6), episodes=40_000, horizon=1, rng=3)
    assert trace.visits.reshape(2, 2).sum(axis=1)[0] / 40_000 == pytest.approx(0.8, abs=0.01)
    never = run(coins(starts=[0.0, 1.0]), Rmax(m=10**6), episodes=500, horizon=1, rng=3)
    assert never.visits.tolist() == [0, 0, 500, 0]
    given = run(coins(starts=[0.0, 1.0]), Rmax(m=10**6), episodes=500, horizon=1, rng=3, starts=[0])
    assert given.visits.tolist() == [500, 0, 0, 0]


def test_x4_counts_by_the_start_law_where_it_has_full_support():
    """N_ep = min{N: Pr(Bin(N, .9) <= 2m-1) + Pr(Bin(N, .1) <= 2m-1) <= δ/2} by SciPy's binomial law; T N_ep steps."""
    delta, horizon, m = 0.1, 5, 2000
    agent = Rmax(m=m, epsilon=0.4, delta=delta)
    counted = ledger(coins(starts=[0.9, 0.1]), agent, steps=10, horizon=horizon, rng=0)
    assert counted.theorem == "X4"
    assert counted.reason == "an MDP with restarts in every meta-state, by a start law"
    n = counted.bound // horizon
    assert counted.bound == n * horizon
    tails = [binom.cdf(2 * m - 1, x, 0.1) + binom.cdf(2 * m - 1, x, 0.9) for x in (n - 1, n)]
    assert tails[1] <= delta / 2 < tails[0]
    uniform = ledger(coins(), agent, steps=10, horizon=horizon, rng=0)
    even = ledger(coins(starts=[0.5, 0.5]), agent, steps=10, horizon=horizon, rng=0)
    assert uniform.bound == even.bound < counted.bound


def test_least_m_starts_by_the_law():
    """Episodes of one step from state 0 only: state 1's pairs are never met, and no policy learns of them."""
    found = least_sufficient_m(coins(starts=[1.0, 0.0]), 1.9, horizon=1, largest=2)
    assert all(comparison.unknown == comparison.runs and comparison.cut == 0 for comparison in found.comparisons)
    everywhere = least_sufficient_m(coins(starts=[0.5, 0.5]), 1.9, horizon=1, largest=2)
    assert all(comparison.unknown == 0 for comparison in everywhere.comparisons)


# Arrays ----------------------------------------------------------------------------------------------------------


def test_rewards_of_transitions_may_be_sparse_matrices():
    """Action 0: .5 · 2 + .5 · 4 = 3 in state 0, 1 in state 1; action 1: 5 and 6; sparse in P, R or both, or neither."""
    P = np.array([[[0.5, 0.5], [0.0, 1.0]], [[1.0, 0.0], [1.0, 0.0]]])
    R = np.array([[[2.0, 4.0], [0.0, 1.0]], [[5.0, 0.0], [6.0, 0.0]]])
    for transitions in (P, list(P), [sp.csr_matrix(p) for p in P], [sp.csr_array(p) for p in P]):
        for rewards in (R, list(R), [sp.csr_matrix(r) for r in R], tuple(sp.coo_array(r) for r in R)):
            mdp = from_arrays_ass(transitions, rewards, 0.5)
            assert mdp.rewards.tolist() == [[3.0, 5.0], [1.0, 6.0]]
    assert from_arrays_ass(P, sp.csr_array([[3.0, 5.0], [1.0, 6.0]]), 0.5).rewards.tolist() == [[3.0, 5.0], [1.0, 6.0]]


def test_a_transition_that_never_happens_may_pay_anything():
    """-inf and NaN where the probability is 0 say nothing; where it is not 0, -inf closes the action."""
    P = np.array([[[0.0, 1.0], [0.0, 1.0]], [[1.0, 0.0], [1.0, 0.0]]])
    R = np.array([[[-np.inf, 1.0], [np.nan, 1.0]], [[2.0, np.nan], [-np.inf, 0.0]]])
    for transitions in (P, [sp.csr_array(([0.0, 1.0, 1.0], ([0, 0, 1], [0, 1, 1]))), P[1]]):
        mdp = from_arrays_ass(transitions, R, 0.5)
        assert mdp.rewards.tolist() == [[1.0, 2.0], [1.0, -np.inf]]
        assert mdp.allowed.tolist() == [[True, True], [True, False]]


@pytest.mark.parametrize(
    ("rewards", "message"),
    [
        ([sp.csr_array(np.eye(2))], r"R holds matrices of shapes \[\(2, 2\)\]: give \(S, S\) for each action"),
        ([sp.csr_array(np.eye(3))] * 2, r"R holds matrices of shapes \[\(3, 3\), \(3, 3\)\]"),
        (np.ones(2) * 1j, "R holds complex128 values: give real numbers"),
        ([[1.0], [1.0, 2.0]], "R is not an array"),
    ],
)
def test_rewards_that_do_not_fit_are_refused(rewards, message):
    """Shapes of all matrices are named."""
    with pytest.raises(ValueError, match=message):
        from_arrays_ass([np.eye(2), np.eye(2)], rewards, 0.5)


# Equilibria ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "payoffs",
    [
        np.zeros((2, 2, 2)),
        [[[1.0, 1.0], [0.0, 0.0]], [[1.0, 1.0], [0.0, 0.0]]],
        [[[1.0, 0.0], [1.0, 0.0]], [[1.0, 0.0], [0.0, 1.0]]],
        [[[2.0, 0.0, 1.0], [0.0, 2.0, 1.0]], [[1.0, 0.0, 1.0], [0.0, 1.0, 1.0]]],
    ],
    ids=["nothing matters", "a segment", "one indifferent", "three replies to a mixture"],
)
def test_a_degenerate_game_is_said_to_be_one(payoffs):
    """In each some strategy has more best replies than it mixes actions: there are whole segments of equilibria."""
    pytest.importorskip("nashpy")
    with pytest.warns(DegenerateGameWarning, match="there may be other equilibria than the"):
        found = nash_equilibria(NormalFormGame(payoffs))
    assert found
    assert not np.any(payoffs) or all(worst_regret(np.array(payoffs), each) <= 1e-3 for each in found)


def test_an_even_number_of_equilibria_is_said_to_miss_some(monkeypatch):
    """A game that is not degenerate has an odd number (Lemke & Howson 1964): chicken has three, here one is lost."""
    pytest.importorskip("nashpy")
    found = equilibria_module._of_two
    monkeypatch.setattr(equilibria_module, "_of_two", lambda payoffs: found(payoffs)[1:])
    with pytest.warns(DegenerateGameWarning, match="there may be other equilibria than the 2 found"):
        assert len(nash_equilibria(chicken())) == 2


def test_a_game_that_is_not_degenerate_brings_no_warning():
    """Matching Pennies: the one equilibrium is all there is."""
    pytest.importorskip("nashpy")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert len(nash_equilibria(matching_pennies())) == 1
