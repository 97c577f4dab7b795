"""The registry of statements: they hold, their faults are caught, what is false has its counterexample."""

import itertools
import sys
import types
from dataclasses import replace

import numpy as np
import pytest
import scipy.stats
from commands import run
from strength import FULL, scaled

from bounds.exploration import x1, x3
from bounds.rmax import default_weights
from rfos.laboratory.verification.counts import slow_tries
from rfos.laboratory.verification.engine import (
    FALSE_ALARM,
    Sides,
    Statement,
    certain_rate,
    fewest_failures,
    quantile_sides,
)
from rfos.laboratory.verification.models import ARMS, value_of
from rfos.laboratory.verification.registry import STATEMENTS
from rfos.laboratory.verification.settings import PlayedWorld, promised, small_world
from rfos.laboratory.verification.theorems import _GAMBLES, Slow, _count, _theorem
from rfos.laboratory.verification.verify import verify
from rfos.learning.agents import Rmax
from rfos.learning.ledger import ledger
from rfos.planning.mdp import TabularMDP

PLAYED = ("T1'", "X4, lower end", "T2, policies")
CHEAP = [name for name, s in STATEMENTS.items() if s.holds and not s.probabilistic and name not in PLAYED]
DEAR = [name for name, s in STATEMENTS.items() if s.holds and name not in CHEAP]
INSTANCES = 1000 if FULL else 100
DETECTING = [name for name, s in STATEMENTS.items() if s.detects is not None]


@pytest.mark.parametrize("name", CHEAP)
def test_statement_holds_on_many_instances_and_is_attained(name):
    """No alarm; extremal instances reach a ratio of 1 where the theory says that it is sharp."""
    [row] = verify([name], instances=INSTANCES, jobs=1)
    assert row.passed, row
    assert row.violations == 0
    assert row.instances >= INSTANCES * STATEMENTS[name].share
    assert row.largest_ratio <= 1 + 1e-6
    if STATEMENTS[name].attained:
        assert row.largest_ratio >= 1 - 1e-4


@pytest.mark.statistical
@pytest.mark.jit
@pytest.mark.parametrize("name", DEAR)
def test_simulated_statement_holds(name):
    """No alarm at a false-alarm rate of 1e-9 an instance."""
    [row] = verify([name], instances=scaled(200), jobs=1, seed=1)
    assert row.passed, row


@pytest.mark.jit
@pytest.mark.parametrize("name", [name for name, s in STATEMENTS.items() if s.holds])
def test_mutant_is_caught(name):
    """Each check fails once a constant is halved, a factor dropped, or gamma taken for 1 - gamma."""
    assert STATEMENTS[name].mutant
    [row] = verify([name], instances=scaled(100, 50) if name in CHEAP else scaled(20, 10), jobs=1, mutants=True)
    assert row.passed, row
    assert row.violations > 0


@pytest.mark.jit
@pytest.mark.parametrize("name", DETECTING)
def test_right_side_could_not_be_smaller_by_more_than_the_factor_that_is_stated(name):
    """Extremal instances: left <= right <= factor * left."""
    statement = STATEMENTS[name]
    sides = [statement.sides(instance, False) for instance in statement.extremal]
    assert all(side.left <= side.right for side in sides)
    low, high = statement.detects
    assert low <= 1 / max(side.ratio for side in sides) <= high


def test_all_but_six_checks_see_that_a_constant_is_halved():
    """Statements that are attained see any fault; of the others, these are looser than a factor 2."""
    assert not any(s.attained and s.detects for s in STATEMENTS.values())
    loose = [name for name in DETECTING if STATEMENTS[name].detects[1] >= 2]
    assert loose == ["X3", "T1", "T1, visits", "T1+, visits", "T1-ep, visits", "T2, policies"]


def test_all_extremal_models_attain_p3_although_one_of_their_states_is_harmless():
    """The largest shortfall over states counts: V* - V_MK <= 2 eps_sim is an equality in one of two."""
    for name in ("P3", "P3+"):
        for arms in ARMS:
            assert STATEMENTS[name].sides(arms, False).ratio == pytest.approx(1, abs=1e-6)


@pytest.mark.parametrize("right", [0.0, 1.0, 1e6])
def test_a_left_side_larger_by_a_ten_millionth_is_a_violation(right):
    """Rounding is a billionth of 1 + the right side, no more."""
    assert Sides(right + 1e-7 * (1 + right), right).violated
    assert not Sides(right + 1e-10 * (1 + right), right).violated


def test_simulated_values_violate_exactly_where_the_binomial_test_rejects():
    """left > right if and only if so many of the values exceed the right side as have chance FALSE_ALARM at most."""
    needed = fewest_failures(200, 0.1)
    assert scipy.stats.binom.sf(needed - 1, 200, 0.1) <= FALSE_ALARM < scipy.stats.binom.sf(needed - 2, 200, 0.1)
    for failures in (0, needed - 1, needed, 200):
        sides = quantile_sides([2.0] * failures + [1.0] * (200 - failures), 1.5, 0.1)
        assert sides.violated == (failures >= needed)
        assert (sides.failures, sides.trials) == (failures, 200)


def test_failures_are_pooled_over_instances():
    """Ten runs are never significant at 1e-9 where half may fail; those of a thousand instances together are."""
    statement = replace(
        STATEMENTS["T1"],
        id="mine",
        extremal=(),
        share=1.0,
        sample=lambda rng: rng.random(10),
        sides=lambda draws, mutant: quantile_sides(draws, 0.3 if mutant else 0.6, 0.5),
    )
    [row] = verify([statement], instances=1000, jobs=1)
    assert row.passed
    assert (row.trials, row.allowed) == (10_000, 0.5)
    assert row.checked == f"{row.failures:,} of 10,000 runs failed, 50 % allowed"
    [row] = verify([statement], instances=1000, jobs=1, mutants=True)
    assert row.violations == 1


@pytest.mark.jit
@pytest.mark.parametrize("name", [name for name, s in STATEMENTS.items() if not s.holds])
def test_false_statement_has_its_counterexample(name):
    """It is violated by far more than rounding."""
    statement = STATEMENTS[name]
    assert statement.extremal
    sides = [statement.sides(instance, False) for instance in statement.extremal]
    assert any(side.left > side.right + 0.01 for side in sides)
    [row] = verify([name], jobs=1)
    assert row.passed
    assert not row.holds


def test_a_false_statement_without_counterexample_fails():
    """A registered counterexample that is none is reported."""
    name = "false: G3 under held policies"
    tame = replace(STATEMENTS[name], id="tame", sides=lambda instance, mutant: Sides(0.0, 1.0))
    [row] = verify([tame], jobs=1)
    assert not row.passed


def test_a_violated_statement_fails_and_names_its_instance():
    """One wrong instance in a hundred is found, counted and named."""
    statement = replace(
        STATEMENTS["N1"],
        id="mine",
        extremal=(),
        share=1.0,
        sample=lambda rng: int(rng.integers(100)),
        sides=lambda k, mutant: Sides(2.0 if k == 7 else 0.5, 1.0),
    )
    [row] = verify([statement], instances=1000, jobs=1)
    assert not row.passed
    assert 1 <= row.violations < 40
    assert row.largest_ratio == 2.0
    assert row.reached_by.endswith(" 7")
    number = int(row.reached_by.split()[0][1:])
    assert statement.instance(0, number) == 7


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"statements": ["P9"]}, "unknown statement 'P9': choose among 'G1'"),
        ({"instances": 0}, "instances is 0"),
        ({"jobs": 0}, "jobs is 0"),
        ({"seed": -1}, "seed is -1"),
    ],
)
def test_bad_requests_are_refused(arguments, message):
    """Unknown statements and numbers out of range."""
    with pytest.raises(ValueError, match=message):
        verify(**arguments)


# A statement of one's own -------------------------------------------------------------------------------------------


def _pair(rng):
    return rng.random(2)


def _means(x, mutant):
    return Sides(float(np.sqrt(x[0] * x[1])), float(x.sum()) / (3 if mutant else 2))


def _own(**changed):
    """The geometric mean is at most the arithmetic one."""
    fields = {"id": "AM-GM", "title": "two means", "sample": _pair, "sides": _means, "mutant": "a third for a half"}
    return Statement(**{**fields, "extremal": (np.ones(2),), "attained": True, **changed})


THEORY = ["P2+", "N1", "P5"]


@pytest.fixture(scope="module")
def in_two_processes():
    """Rows by id, and what was told as progress; in between, statements that no worker could have."""
    local = types.ModuleType("made_up")
    local.sides = types.FunctionType(_means.__code__, globals(), "sides")
    local.sides.__module__, local.sides.__qualname__ = "made_up", "sides"
    mine = [
        _own(),
        _own(id="a lambda", sides=lambda x, mutant: _means(x, mutant)),
        _own(id="of a module that only this process has", sides=local.sides),
    ]
    ticks = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(sys.modules, "made_up", local)
        rows = verify([*mine, *THEORY], instances=50, jobs=2, progress=lambda *counts: ticks.append(counts))
    return {row.id: row for row in rows}, ticks


@pytest.mark.processes
@pytest.mark.jit
def test_result_does_not_depend_on_the_number_of_processes(in_two_processes):
    """The same rows with one and with two, all of them told as progress; others for another seed."""
    two, ticks = in_two_processes
    assert [two[name] for name in THEORY] == verify(THEORY, instances=50, jobs=1)
    whole = sum(row.instances for row in two.values())
    assert sum(done for done, _ in ticks) == whole
    assert {total for _, total in ticks} == {whole}
    drawn = [STATEMENTS["P5"].instance(seed, 5).values for seed in (0, 0, 1)]
    assert drawn[0] == drawn[1] != drawn[2]


@pytest.mark.processes
@pytest.mark.jit
def test_a_statement_of_ones_own_stands_beside_those_of_the_theory(in_two_processes):
    """In this process or in workers, with the same result; its mutant is caught."""
    two, _ = in_two_processes
    assert [name for name in two if name in (*THEORY, "AM-GM")] == ["AM-GM", *THEORY]
    assert two["AM-GM"].passed
    assert two["AM-GM"].largest_ratio == pytest.approx(1)
    assert [two["AM-GM"], two["N1"]] == verify([_own(), "N1"], instances=50, jobs=1)
    [caught] = verify([_own()], instances=100, jobs=1, mutants=True)
    assert caught.passed
    assert caught.violations > 1


@pytest.mark.processes
@pytest.mark.jit
def test_what_no_worker_could_have_is_checked_here(in_two_processes):
    """A lambda, and a module that only this process has; the workers do the rest."""
    two, _ = in_two_processes
    for name in ("a lambda", "of a module that only this process has"):
        assert [two[name]] == verify([_own(id=name)], instances=50, jobs=1)


@pytest.mark.jit
def test_a_script_checks_its_own_statement(tmp_path):
    """As a user runs it: with another process, not importable, and not guarded by a __main__ of its own."""
    program = (
        "import rfos\n"
        "def sample(rng):\n    return rng.random()\n"
        "def sides(x, mutant):\n    return rfos.Sides(x * x, x / (4 if mutant else 1))\n"
        "more = {'mutant': 'a quarter', 'share': 20}\n"
        "mine = rfos.Statement('square', 'a square is smaller', sample=sample, sides=sides, **more)\n"
        "rows = rfos.verify([mine, 'N4, mean'], instances=1, jobs=2)\n"
        "print([(row.id, row.passed) for row in rows])\n"
    )
    done = run([sys.executable, "-c", program], cwd=tmp_path)
    assert done.stdout.strip() == "[('square', True), ('N4, mean', True)]", done.stderr


@pytest.mark.parametrize(
    ("statements", "options", "message"),
    [
        (lambda: [_own(id="T1")], {}, "statement 'T1' has the code of another one of the theory: choose another id"),
        (lambda: [_own(), _own()], {}, "statement 'AM-GM' has the code of another one of yours"),
        (lambda: [_own(mutant="")], {"mutants": True}, "statement 'AM-GM' has no mutant: say in"),
        (lambda: [_own(sides=lambda x, mutant: 3)], {}, "'AM-GM' returned int for instance 0: return Sides"),
        (lambda: [3], {}, "a statement is 3, not a str or a Statement"),
        (lambda: "T1", {}, "statements is 'T1', not a sequence"),
        (lambda: [_own(id="")], {}, "id of a statement is ''"),
        (lambda: [_own(sample=3)], {}, "sample of statement 'AM-GM' is 3, not a function"),
        (lambda: [_own(share=0)], {}, "share of statement 'AM-GM' is 0: give a number above 0"),
        (lambda: [_own(holds=False, extremal=())], {}, "has no counterexample"),
    ],
)
def test_a_statement_that_cannot_be_checked_is_refused(statements, options, message):
    """One sentence that names the statement and the mend."""
    with pytest.raises((ValueError, TypeError), match=message) as caught:
        verify(statements(), jobs=1, **options)
    assert "\n" not in str(caught.value)


def test_a_statement_of_the_theory_may_be_given_itself():
    """It is no clash with itself, and stands once."""
    [row] = verify([STATEMENTS["P2+"], "P2+"], instances=5, jobs=1)
    assert row.id == "P2+"


@pytest.mark.parametrize(("failures", "trials"), [(0, 10), (1, 10), (7, 40), (40, 40), (300, 20_000)])
def test_lower_limit_is_the_exact_one(failures, trials):
    """Clopper-Pearson: at the limit so many failures have chance FALSE_ALARM."""
    low = certain_rate(failures, trials)
    assert (low == 0.0) == (failures == 0)
    if failures:
        assert scipy.stats.binom.sf(failures - 1, trials, low) == pytest.approx(FALSE_ALARM, rel=1e-6)


@pytest.mark.statistical
@pytest.mark.jit
def test_slow_family_in_episodes_has_the_law_of_rmax():
    """Bad episodes of R-max itself, by the ledger, against those drawn from the law; 150 runs each, KS test at 1e-6."""
    slow = Slow(far_states=3, discount=0.9, share=0.2, above=1.6, weights=(), seed=0, horizon=5)
    n, m, q = 3, 12, 1.6 * slow.critical
    P, R = np.zeros((n + 2, 2, n + 2)), np.zeros((n + 2, 2))
    P[0, 0, -1], R[0, 0], R[-1] = 1, slow.safe_value, 0  # home, and rest
    P[0, 1, 1 : n + 1], P[0, 1, -1] = q / n, 1 - q
    P[1:, :, -1] = 1
    # A reward of 1 that is never met, so that unknown pairs are worth 1 a step.
    P, R = np.pad(P, ((0, 1), (0, 0), (0, 1))), np.pad(R, ((0, 1), (0, 0)), constant_values=1)
    P[-1, :, -1] = 1
    mdp, agent = TabularMDP(P, R, 0.9), Rmax(m=m, planning="episode")
    options = {"epsilon": 0.99 * slow.safe_value, "horizon": 5, "starts": [0], "episodes": 4000}
    played = [ledger(mdp, agent, rng=i, **options).count for i in range(scaled(150, 100))]
    rng = np.random.default_rng(1)
    drawn = [slow_tries(rng, far_states=n, n_actions=2, m=m, q=q, critical=slow.critical) for _ in range(2000)]
    assert scipy.stats.ks_2samp(played, drawn).pvalue > 1e-6
    assert np.mean(played) == pytest.approx(np.mean(drawn), rel=0.15)


@pytest.mark.statistical
def test_slow_family_has_the_law_that_playing_it_step_by_step_has():
    """The tries of X3 drawn from their law, against R-max played try by try; 2000 runs each, KS test at 1e-6."""
    sizes = {"far_states": 3, "n_actions": 2, "m": 60}
    q = 0.2
    rng = np.random.default_rng(8)

    runs = scaled(2000)
    n, m, k = sizes["far_states"], sizes["m"], sizes["n_actions"]
    hits, first, slow = np.zeros((runs, n), int), None, np.zeros(runs, int)
    for tries in itertools.count(1):  # all runs at once
        found = np.flatnonzero(rng.random(runs) < q)
        hits[found, rng.integers(n, size=len(found))] += 1
        if tries < m:
            continue
        first = hits.copy() if first is None else first
        over = (first * (hits < k * m)).sum(axis=1) / m <= q / 2
        slow[over & (slow == 0)] = tries
        if slow.all():
            break
    fast = [slow_tries(rng, **sizes, q=q) for _ in range(runs)]
    assert scipy.stats.ks_2samp(slow, fast).pvalue > 1e-6


@pytest.mark.parametrize(("above", "most"), [(2.0, 2.8), (1.1, 1.6)])
def test_x1_is_tight_in_the_slow_family(above, most):
    """X1 (w_esc -> 1) over the tries that R-max takes: about q/q_c times V_max/(γ(V_max-v)), here 1.23."""
    g, v, m = 0.9, 1.0, 400_000
    critical = v * (1 - g) / (g * (1 / (1 - g) - v))
    sizes = {"far_states": 40, "n_actions": 2, "m": m}
    rng = np.random.default_rng(3)
    tries = np.array([slow_tries(rng, **sizes, q=above * critical, critical=critical) for _ in range(100)])
    pairs = sizes["far_states"] * sizes["n_actions"] + 1
    bound = x1().evaluate(explorations=pairs * m, discount=g, delta=0.1) * 10 / v
    assert bound / tries.max() >= 1
    assert bound / np.median(tries) <= most
    least = x3().evaluate(**sizes, discount=g, r_max=1, safe_value=v)
    assert (tries >= float(least)).all()


@pytest.mark.jit
@pytest.mark.parametrize("horizon", [None, 1])
def test_theorems_are_checked_by_the_exact_count_of_the_run_without_end(horizon):
    """One state, the second action pays: m = 5 tries of the first are bad, steps or episodes of one step; no more."""
    world = PlayedWorld(np.ones((1, 2, 1)), np.array([[0.0, 1.0]]), 0.5, 0.1, 0, "")
    assert _count(4, world, 5, horizon) == 5


@pytest.mark.jit
@pytest.mark.parametrize(("theorem", "visits"), [("T1", 9530), ("T1+", 7997), ("T1-ep", 5552)])
def test_rmax_itself_is_played_at_the_m_of_the_theorem(theorem, visits):
    """In the gamble the sure thing is bad and is tried m times: bad steps >= m, against the theorem's count."""
    sides = _theorem(_GAMBLES, theorem)
    at = {"n_states": 4, "n_actions": 2, "branching": 2, "r_max": 1, "epsilon": 0.25, "delta": 0.05, "discount": 0.5}
    at |= default_weights("continuing" if theorem == "T1" else "episodic")
    m, most = promised(theorem, at, 4)
    assert m == visits
    assert m <= sides.left
    assert sides.right == most


@pytest.mark.jit
@pytest.mark.parametrize("horizon", [None, 4])
def test_a_plan_that_stays_bad_exceeds_any_count(horizon):
    """The gamble at m = 1: in about half of the runs the draw is bad, and the sure thing is taken for ever."""
    exceeding = [_count(100_000, world, 1, horizon) > 100_000 for world in _GAMBLES.worlds]
    assert 10 <= sum(exceeding) <= 30
    assert not any(_count(100_000, world, 60, horizon) > 100_000 for world in _GAMBLES.worlds[:5])
    rng = np.random.default_rng(3)
    connected = [replace(small_world(rng), epsilon=0.1) for _ in range(40)]  # here all pairs are known in the end
    assert 3 <= sum(_count(10_000, world, 1, horizon) > 10_000 for world in connected) <= 20


@pytest.mark.jit
def test_x4_needs_its_fewest_episodes_where_no_step_is_wasted():
    """One state, two actions, m = 20, 5 steps an episode: known after 8 episodes exactly."""
    [least] = STATEMENTS["X4, lower end"].extremal
    assert STATEMENTS["X4, lower end"].sides(least, False) == Sides(8, 8)


def test_value_of_is_the_geometric_sum():
    """One state that stays: R/(1-γ)."""
    assert value_of(np.eye(1), np.array([2.0]), 0.75).tolist() == [8.0]
