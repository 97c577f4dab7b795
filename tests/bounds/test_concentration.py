"""P1: hand-worked values, inverses of the probability bounds, and a simulation."""

import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from bounds.concentration import hoeffding, mcdiarmid, mcdiarmid_radius, reward_m, transition_m, weissman

FALSE_ALARM = 1e-6
SMALL = st.fractions(min_value=Fraction(1, 100), max_value=Fraction(1, 2), max_denominator=100)


@pytest.mark.parametrize(
    ("bound", "values", "expected"),
    [
        (hoeffding, {"m": 100, "eps_reward": "1/10", "r_max": 1}, 2 * math.exp(-2)),
        (hoeffding, {"m": 100, "eps_reward": "2/10", "r_max": 2}, 2 * math.exp(-2)),
        (weissman, {"m": 100, "eps_transition": "1/5", "branching": 2}, 2 * math.exp(-2)),
        (weissman, {"m": 100, "eps_transition": "1/5", "branching": 5}, 30 * math.exp(-2)),
        (mcdiarmid, {"m": 100, "eps_transition": "2/5", "branching": 5}, math.exp(-2)),
        (mcdiarmid_radius, {"m": 50, "branching": 1, "failure": "1/2"}, math.sqrt(math.log(2) / 25)),
    ],
)
def test_p1_at_worked_points(bound, values, expected):
    """2e^{-2mε²/R²}, (2^B-2)e^{-mε²/2}, e^{-m(ε-√((B-1)/m))²/2}."""
    assert bound().evaluate(**values) == pytest.approx(expected, rel=1e-14)


def test_p1_with_one_successor_is_certain():
    """B = 1: probability 0, one sample."""
    assert weissman().evaluate(m=3, eps_transition="1/10", branching=1) == 0
    assert weissman().log10(m=3, eps_transition="1/10", branching=1) == -math.inf
    assert transition_m().evaluate(failure="1/1000", eps_transition="1/1000", branching=1) == 1


def test_p1_mcdiarmid_claims_nothing_below_the_mean_error():
    """ε <= √((B-1)/m) gives 1."""
    assert mcdiarmid().evaluate(m=100, eps_transition="1/5", branching=5) == 1


@given(failure=SMALL, eps=SMALL, r_max=st.integers(1, 5))
def test_p1_reward_samples_are_the_fewest_that_hoeffding_allows(failure, eps, r_max):
    """2e^{-2mε²/R²} <= δ' at m, and not at m - 1."""
    m = reward_m().evaluate(failure=failure, eps_reward=eps, r_max=r_max)
    assert hoeffding().evaluate(m=m, eps_reward=eps, r_max=r_max) <= failure
    if m > 1:
        assert hoeffding().evaluate(m=m - 1, eps_reward=eps, r_max=r_max) > failure


@given(failure=SMALL, eps=SMALL, branching=st.integers(2, 400))
def test_p1_transition_samples_are_the_fewest_that_the_smaller_bound_allows(failure, eps, branching):
    """min of Weissman and McDiarmid <= δ' at m, and not at m - 1."""
    m = transition_m().evaluate(failure=failure, eps_transition=eps, branching=branching)

    def best(samples):
        values = {"m": samples, "eps_transition": eps, "branching": branching}
        return min(weissman().log10(**values), mcdiarmid().log10(**values))

    assert best(m) <= math.log10(failure) + 1e-12
    if m > 1:
        assert best(m - 1) > math.log10(failure) - 1e-12


def test_p1_mcdiarmid_takes_over_for_many_successors():
    """ε = 1, δ' = 1/10, B = 10^4: ⌈(√9999 + √(2 ln 10))²⌉ = 10,433 against ⌈2 ln(10(2^B-2))⌉ = 13,868."""
    m = transition_m().evaluate(failure="1/10", eps_transition=1, branching=10**4)
    assert m == math.ceil((math.sqrt(9999) + math.sqrt(2 * math.log(10))) ** 2)
    assert m < math.ceil(2 * (10**4 * math.log(2) + math.log(10))) == 13868


@pytest.mark.statistical
@pytest.mark.parametrize(("p", "m", "eps"), [(0.5, 20, "3/20"), (0.5, 50, "1/10"), (0.1, 40, "1/8"), (0.9, 10, "1/5")])
def test_p1_hoeffding_holds_in_simulation(p, m, eps):
    """Pr(|R̂-R| > ε) <= 2e^{-2mε²}: Bernoulli rewards; one-sided exact binomial test at 1e-6."""
    draws = np.random.default_rng(1).binomial(m, p, size=200_000)
    failures = int(np.sum(np.abs(draws / m - p) > float(Fraction(eps)) + 1e-12))
    bound = hoeffding().evaluate(m=m, eps_reward=eps, r_max=1)
    assert stats.binomtest(failures, draws.size, min(1.0, bound), alternative="greater").pvalue > FALSE_ALARM


@pytest.mark.statistical
@pytest.mark.parametrize(
    ("row", "m", "eps"),
    [
        ((0.5, 0.5), 20, "3/10"),
        ((0.5, 0.5), 60, "1/5"),
        ((0.2, 0.3, 0.5), 40, "3/5"),
        ((0.25,) * 4, 30, "4/5"),
        ((0.05,) * 20, 60, "9/10"),
    ],
)
def test_p1_rows_hold_in_simulation(row, m, eps):
    """Pr(‖P̂-P‖₁ > ε) <= min(Weissman, McDiarmid); one-sided exact binomial test at 1e-6."""
    draws = np.random.default_rng(2).multinomial(m, row, size=100_000)
    errors = np.abs(draws / m - np.array(row)).sum(axis=1)
    failures = int(np.sum(errors > float(Fraction(eps)) + 1e-12))
    values = {"m": m, "eps_transition": eps, "branching": len(row)}
    bound = min(weissman().evaluate(**values), mcdiarmid().evaluate(**values), 1.0)
    assert stats.binomtest(failures, len(errors), bound, alternative="greater").pvalue > FALSE_ALARM


@pytest.mark.statistical
@pytest.mark.parametrize("branching", [2, 5, 50])
def test_p1_mcdiarmid_radius_holds_in_simulation(branching):
    """‖P̂-P‖₁ <= √((B-1)/m)+√(2 ln(1/δ')/m) with probability 1-δ'; exact binomial test at 1e-6."""
    m, failure = 40, 0.2
    draws = np.random.default_rng(3).multinomial(m, (1 / branching,) * branching, size=100_000)
    errors = np.abs(draws / m - 1 / branching).sum(axis=1)
    radius = mcdiarmid_radius().evaluate(m=m, branching=branching, failure=failure)
    failures = int(np.sum(errors > radius))
    assert stats.binomtest(failures, len(errors), failure, alternative="greater").pvalue > FALSE_ALARM
    mean = float(errors.mean())
    assert mean <= math.sqrt((branching - 1) / m)  # the step that McDiarmid's bound adds to its own
