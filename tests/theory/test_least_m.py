"""The least sufficient m: the sequential test keeps its error rate, and the search finds what can be computed."""

import json
import math

import domains
import numpy as np
import pytest
import scipy.stats
from strength import scaled

from rfos.games.named import matching_pennies
from rfos.learning import least_m
from rfos.learning.agents import Rmax
from rfos.learning.least_m import least_sufficient_m
from rfos.learning.run import run
from rfos.learning.sequential import SequentialTest
from rfos.metagames.opponents import QLearner, WindowQLearner
from rfos.metagames.window import WindowMetaGame
from rfos.planning.evaluate import evaluate_policy
from rfos.planning.mdp import TabularMDP
from rfos.planning.solve import solve

FALSE_ALARM = 1e-6


def coins(*chances):
    """State 0 pays 1; each action is a coin that leads there, from both states. The model breaks ties by index."""
    return TabularMDP([[[p, 1 - p] for p in chances]] * 2, [[1.0, 1.0], [0.0, 0.0]], 0.5)


COINS = coins(0.6, 0.9)


def chance_of_ending(p, least, error, verdict, tosses):
    """Probability, by dynamic programming, that a coin with chance p of 1 is ever given a verdict in so many tosses."""
    alive, ended = {0: 1.0}, 0.0
    test = SequentialTest(least, error)
    for n in range(1, tosses + 1):
        following = {}
        for ones, mass in alive.items():
            for one, weight in ((1, p), (0, 1 - p)):
                test.ones, test.tosses = ones, n - 1
                found = test.toss(bool(one))
                if found == "undecided":
                    following[ones + one] = following.get(ones + one, 0.0) + mass * weight
                elif found == verdict:
                    ended += mass * weight
        alive = following
    return ended


@pytest.mark.parametrize(("least", "error"), [(0.5, 0.1), (0.8, 0.05), (0.95, 0.01)])
def test_the_sequential_test_errs_with_its_rate_at_most(least, error):
    """At p = p0 it must not end with "insufficient", just below p0 not with "sufficient": ever, whenever one looks."""
    assert 0 < chance_of_ending(least, least, error, "insufficient", 150) <= error
    assert chance_of_ending(least - 1e-9, least, error, "sufficient", 150) <= error
    assert chance_of_ending(1.0, least, error, "sufficient", 400) == pytest.approx(1)
    assert chance_of_ending(least / 2, least, error, "insufficient", 150) > 0.9


def chance_of_success(m, worse=0.6, *, ties_are_right=False):
    """Both states must judge the coin of .9 better than the other; ties go to action 0."""
    k = np.arange(m + 1)
    below = scipy.stats.binom.cdf(k if ties_are_right else k - 1, m, worse)
    return float((scipy.stats.binom.pmf(k, m, 0.9) * below).sum()) ** 2


@pytest.mark.statistical
def test_the_interval_holds_the_least_m_that_can_be_computed():
    """Two coins, .9 against .6: the chance of the right choice at each m is a sum of binomials."""
    least = next(m for m in range(1, 100) if chance_of_success(m) >= 0.8)
    assert evaluate_policy(COINS, [1, 0]).value.min() < solve(COINS).value.min() - 0.1
    found = least_sufficient_m(COINS, 0.1, 0.2, horizon=2, max_runs=scaled(700, 250), rng=5)
    low, high = found.interval
    assert low <= least <= high
    assert high <= 2 * least
    assert found.cut == 0
    for comparison in found.comparisons:
        p = chance_of_success(comparison.m)
        assert min(
            scipy.stats.binom.cdf(comparison.successes, comparison.runs, p),
            scipy.stats.binom.sf(comparison.successes - 1, comparison.runs, p),
        ) >= FALSE_ALARM / (4 * len(found.comparisons))
    assert found.theory["X4"] > 50 * high
    row = found.row()
    assert (found.theorem, row["theorem"], row["m_T1"]) == ("X4", "X4", found.theory["X4"])
    assert "T1" not in found.theory


# From state 0 either lottery leads on; action 1 wins with 3/4, action 0 with 1/2.
EXACTLY = TabularMDP([[[0.5, 0.5], [0.75, 0.25]]] * 2, [[1.0, 1.0], [0.0, 0.0]], 0.5)


def test_a_loss_of_exactly_epsilon_is_a_success():
    """By hand: the wrong action loses (1/4 · 1/2 · 1)/(1 - 1/2) = 1/4 for ever, and less if in one state alone.

    So at epsilon = 1/4 every run ends well and m = 1 is enough; a hair below it is not, since ties go to action 0.
    """
    worst = solve(EXACTLY).value - evaluate_policy(EXACTLY, [0, 0]).value
    assert worst == pytest.approx(0.25)
    found = least_sufficient_m(EXACTLY, 0.25, 0.2, horizon=2, largest=8, max_runs=200)
    assert found.interval == (1, 1)
    assert found.straddling == 0
    below = least_sufficient_m(EXACTLY, math.nextafter(0.25, 0), 0.2, horizon=2, largest=1, max_runs=200)
    assert below.interval[0] == 2


def test_a_run_that_cannot_be_judged_counts_for_neither_verdict(monkeypatch):
    """Without rationals at epsilon = 1/4: wrong policies straddle it, and the interval still holds m = 1."""
    monkeypatch.setattr(least_m, "EXACT_STATES", 0)
    found = least_sufficient_m(EXACTLY, 0.25, 0.2, horizon=2, largest=2, max_runs=200)
    assert found.interval == (1, None)
    assert found.straddling > 0
    for comparison in found.comparisons:
        assert (comparison.verdict, comparison.runs) == ("undecided", 200)
        assert comparison.successes + comparison.straddling == 200
    assert json.loads(json.dumps(found.row()))["straddling"] == found.straddling
    # The other way: what may fail is not called sufficient, what may succeed not insufficient, at any share.
    monkeypatch.setattr(least_m._Judge, "__call__", lambda self, policy: None)
    assert least_sufficient_m(COINS, 0.1, 0.2, horizon=2, largest=2, max_runs=100).interval == (1, None)


@pytest.mark.parametrize("error", [0.01, 0.05, 0.3])
def test_the_error_of_a_whole_search_is_the_one_that_is_stated(monkeypatch, error):
    """Union over the comparisons: the rates of the tests of all m add up to `error` at most, whatever their number."""
    rates = []

    class Recorded(SequentialTest):
        def __init__(self, least, rate):
            rates.append(rate)
            super().__init__(least, rate)

    monkeypatch.setattr(least_m, "SequentialTest", Recorded)
    found = least_sufficient_m(COINS, 0.1, 0.2, error=error, horizon=2, max_runs=30, resolution=0.01, largest=64)
    each = rates[::2]  # two tests of each m, of which one can be wrong
    assert each == rates[1::2]
    assert len(each) == len(found.comparisons) >= 6
    assert sum(each) <= found.error == error


def test_success_need_not_grow_with_m():
    """The assumption of the search can fail: one visit is right more often than three where ties happen to be right."""
    exact = [chance_of_success(m, 0.7, ties_are_right=True) for m in (1, 3, 24)]
    assert exact[0] > exact[1] + 0.05
    assert exact[2] > exact[0] + 0.05
    mdp = coins(0.9, 0.7)
    options = {"horizon": 1, "largest": 1, "max_runs": 600}
    one = least_sufficient_m(mdp, 0.05, 0.25, **options).comparisons[0]
    assert (one.m, one.verdict) == (1, "sufficient")
    assert abs(one.successes / one.runs - exact[0]) < 5 / one.runs**0.5
    found = least_sufficient_m(mdp, 0.05, 0.25, **options)
    assert found.assumption == "the chance that a run ends well does not fall as m grows"


def test_the_result_does_not_depend_on_the_number_of_threads():
    """Runs are judged in their order."""
    options = {"horizon": 2, "largest": 16, "max_runs": 40}
    one, three = (least_sufficient_m(COINS, 0.1, 0.2, jobs=jobs, rng=1, **options) for jobs in (1, 3))
    assert one == three
    assert json.loads(json.dumps(one.row())) == one.row()
    assert one != least_sufficient_m(COINS, 0.1, 0.2, rng=2, **options)


@pytest.mark.statistical
def test_what_is_learned_depends_on_the_tapes_alone():
    """With all pairs known the model is m draws from each row (the tape argument of P1), whatever the horizon."""
    rng = np.random.default_rng(80)
    exact = domains.random_mdp(rng, 4, 2, 3, "4/5", low=0, high=1)
    mdp, m, runs = exact.mdp(), 4, scaled(400)
    best = solve(mdp).value

    def good(policy):
        return bool((evaluate_policy(mdp, policy).value >= best - 0.1).all())

    drawn = 0
    rows = exact.transitions()
    for _ in range(runs):
        model = TabularMDP(np.array([[rng.multinomial(m, p) / m for p in row] for row in rows]), mdp.rewards, 0.8)
        drawn += good(solve(model).policy)
    played = []
    for horizon in (1, 7):
        traces = [run(mdp, Rmax(m=m, epsilon=0.1), steps=6000, horizon=horizon, bins=1, rng=i) for i in range(runs)]
        assert all(trace.all_known_at for trace in traces)
        played.append(sum(good(trace.policy) for trace in traces))
    assert 0.05 * runs < drawn < 0.95 * runs
    for successes in played:
        table = [[successes, runs - successes], [drawn, runs - drawn]]
        assert scipy.stats.fisher_exact(table).pvalue >= FALSE_ALARM / 2


def test_final_policies_that_leave_pairs_unknown_are_counted():
    """From state 0 state 1 is never met: its pairs stay unknown, its policy is a guess, and no m is sufficient."""
    mdp = TabularMDP([[0, 0], [1, 1]], [[0.9, 0.0], [0.0, 1.0]], 0.3)
    found = least_sufficient_m(mdp, 0.2, 0.1, starts=[0], largest=4, max_runs=100)
    assert found.interval == (5, None)
    assert all(c.unknown == c.runs and c.cut == 0 for c in found.comparisons)
    everywhere = least_sufficient_m(mdp, 0.2, 0.1, horizon=2, largest=4, max_runs=100)
    assert everywhere.interval == (1, 1)


def test_runs_that_do_not_end_are_cut_off_and_said_to_be():
    """State 1 is reached once in 10^12 steps and has an action never tried: the policy is not final."""
    rows = [[[1 - 1e-12, 1e-12]] * 2, [[1.0, 0.0]] * 2]
    mdp = TabularMDP(rows, [[1.0, 0.9], [0.0, 0.0]], 0.5)
    found = least_sufficient_m(mdp, 0.05, 0.5, starts=[0], largest=1, max_runs=20, max_steps=500, error=0.2)
    assert all(c.cut == c.runs and c.unknown == 0 for c in found.comparisons)


def test_a_run_ends_where_its_observer_says_so():
    """The trace ends there too: its steps, its bins, its means."""
    found = []

    class AtThird:
        step_costs = None

        def on_plan(self, event):
            found.append(event.step)
            return len(found) == 4  # the plan before the first step is the first

    trace = run(COINS, Rmax(m=2), steps=1000, bins=50, rng=1, observer=AtThird())
    whole = run(COINS, Rmax(m=2), steps=1000, bins=50, rng=1)
    known = sorted(whole.known_at[whole.known_at > 0])
    assert found == [0, *known[:3]]
    assert trace.n_steps == trace.bin_end[-1] == known[2]
    assert (trace.bin_end[:-1] == whole.bin_end[: len(trace.bin_end) - 1]).all()
    assert trace.known[-1] == 3
    exact = run(COINS, Rmax(m=2), steps=trace.n_steps, bins=1, rng=1)
    lengths = np.diff(trace.bin_end, prepend=0)
    assert trace.mean_reward @ lengths == pytest.approx(exact.mean_reward[0] * trace.n_steps)


def test_windows_of_matching_pennies_need_few_visits():
    """Window 1: two visits are enough at epsilon 0.1, against T1's m of more than 10^5; no run is cut off."""
    meta_game = WindowMetaGame(matching_pennies(), WindowQLearner(), window=1, discount=0.8, horizon=10)
    found = least_sufficient_m(meta_game, 0.1, 0.05, max_runs=400)
    assert found.interval[1] <= 4
    assert found.cut == 0
    assert min(found.theory["X4"], found.theory["T1+"]) > 10**5


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"epsilon": -1.0}, "epsilon is -1.0: give a positive accuracy"),
        ({"epsilon": math.nan}, "epsilon is nan: give a positive accuracy"),
        ({"epsilon": 0.1, "delta": 0.0}, "delta is 0.0: give a probability"),
        ({"epsilon": 0.1, "error": 1.0}, "error is 1.0: give a probability"),
        ({"epsilon": 0.1, "resolution": 0.0}, "resolution is 0.0: give a positive relative width"),
    ],
)
def test_bad_arguments_are_refused_in_one_sentence(arguments, message):
    """Before any run."""
    with pytest.raises(ValueError, match=message):
        least_sufficient_m(COINS, **arguments)


def test_hidden_opponents_are_refused():
    """V* is not defined there."""
    hidden = WindowMetaGame(matching_pennies(), QLearner(), window=1, discount=0.8)
    with pytest.raises(ValueError, match="the opponent's state is hidden"):
        least_sufficient_m(hidden, 0.1)
