"""The binomial quantile against exact sums, against scipy and against hand-worked values."""

import math
from fractions import Fraction

import mpmath
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from scipy import stats
from strength import scaled

from bounds import _binomial
from bounds._binomial import _far_tail, _tail, fewest_trials, fewest_trials_of, trials_bracket

PROBABILITY = st.fractions(min_value=Fraction(1, 1000), max_value=1, max_denominator=1000)
CHANCE = st.fractions(min_value=Fraction(1, 1000), max_value=Fraction(999, 1000), max_denominator=1000)


def exact_tail(n, k, p):
    """Pr(Bin(n, p) <= k) as a Fraction."""
    return sum((math.comb(n, j) * p**j * (1 - p) ** (n - j) for j in range(min(k, n) + 1)), Fraction(0))


@settings(max_examples=scaled(100))
@given(k=st.integers(0, 12), p=PROBABILITY.filter(lambda p: p > Fraction(1, 8)), q=CHANCE)
def test_quantile_is_the_smallest_by_exact_sums(k, p, q):
    """Pr(Bin(N, p) <= k) <= q < Pr(Bin(N-1, p) <= k), in rationals."""
    n = fewest_trials(k, p, q)
    assert exact_tail(n, k, p) <= q < exact_tail(n - 1, k, p)


@settings(max_examples=scaled(50))
@given(k=st.integers(0, 40_000), p=PROBABILITY, q=CHANCE)
def test_quantile_agrees_with_scipy(k, p, q):
    """binom.cdf(k, N, p) <= q < binom.cdf(k, N-1, p), to the accuracy of scipy's cdf."""
    n = fewest_trials(k, p, q)
    assert stats.binom.cdf(k, n, float(p)) <= float(q) * (1 + 1e-9)
    assert stats.binom.cdf(k, n - 1, float(p)) > float(q) * (1 - 1e-9)


@settings(max_examples=scaled(100))
@given(
    n=st.integers(1, 300),
    share=st.floats(0, 1),
    p=PROBABILITY.filter(lambda p: p < 1),
    bits=st.sampled_from([20, 48, 96, 200]),
)
def test_tail_lies_within_its_own_error(n, share, p, bits):
    """|value - Pr(Bin(n, p) <= k)| <= error, in rationals."""
    k = min(int(share * n), n - 1)
    mp = mpmath.mp.clone()
    tail = _tail(mp, n, k, p, bits)
    mp.prec = 2000
    truth = exact_tail(n, k, p)
    assert abs(tail.value - mp.mpf(truth.numerator) / truth.denominator) <= tail.error


@given(k=st.integers(0, 10), numerator=st.integers(1, 9))
@settings(max_examples=scaled(25))
def test_ties_are_settled_in_integers(k, numerator):
    """Where q is itself a tail probability, that tail counts as small enough."""
    p, n = Fraction(numerator, 10), k + 3
    q = exact_tail(n, k, p)
    assume(0 < q < 1)
    assert fewest_trials(k, p, q) == n
    assert fewest_trials(k, p, q - Fraction(1, 10**80)) == n + 1


@pytest.mark.parametrize(
    ("k", "p", "q", "n"),
    [
        (0, "1/2", "1/8", 3),
        (0, "1/2", "1/4", 2),
        (7, 1, "1/10", 8),  # p = 1: k+1 certain successes
        (-1, "1/2", "1/2", 0),
        (2, "1/20", "1/10", 105),
        (999, "1/20", "1/10", 20794),
        (32187, "1/256", "1/2560", 8394995),
    ],
)
def test_quantile_at_worked_points(k, p, q, n):
    """Values worked by hand, and those of the proofs of P5 and X4."""
    assert fewest_trials(k, Fraction(p), Fraction(q)) == n


@pytest.mark.parametrize("k", [10, 32187, 10**9, 10**15])
def test_quantile_takes_a_handful_of_tails_whatever_its_size(k, monkeypatch):
    """The search is by secants from the normal law: milliseconds, for counts of events that no sum could walk."""
    tails = []
    monkeypatch.setattr(_binomial, "_tail", lambda *args: tails.append(args) or _tail(*args))
    fewest_trials_of([(1, Fraction(1, 256))], k, Fraction(1, 2560))
    assert len(tails) <= 12


@pytest.mark.parametrize("exponent", [12, 30, 60])
def test_quantile_of_any_size_lies_in_its_bracket(exponent):
    """k/p < N <= [k + ℓ + √(ℓ²+2ℓk)]/p + 1, and N scales as k/p + O(√k)."""
    k, p, q = 10**exponent, Fraction(1, 7), Fraction(1, 10)
    n = fewest_trials(k, p, q)
    mp = mpmath.mp.clone()
    mp.dps = 100
    ell = mp.log(10)
    assert 7 * k < n <= 7 * (k + ell + mp.sqrt(ell**2 + 2 * ell * k)) + 1
    z = (n - 7 * k) / mp.sqrt(42 * mp.mpf(k))  # standard deviations: the normal quantile of 1/10
    assert abs(z - 1.2815515655446004) < 1e-15 + 10 * mp.mpf(10) ** (-exponent / 2)


def test_tiny_probabilities_are_allowed():
    """q = 10**-400 is far below the smallest float."""
    p, q = Fraction(1, 2), Fraction(1, 10**400)
    n = fewest_trials(3, p, q)
    assert exact_tail(n, 3, p) <= q < exact_tail(n - 1, 3, p)


@settings(max_examples=scaled(40))
@given(weights=st.lists(st.integers(1, 9), min_size=1, max_size=5), k=st.integers(0, 6), q=CHANCE)
def test_sum_of_tails_is_the_smallest_by_exact_sums(weights, k, q):
    """Σ Pr(Bin(N, ρ) <= k) <= q < Σ Pr(Bin(N-1, ρ) <= k), in rationals."""
    law = [Fraction(w, sum(weights)) for w in weights]
    n = fewest_trials_of([(1, p) for p in law], k, q)
    assert sum(exact_tail(n, k, p) for p in law) <= q < sum(exact_tail(n - 1, k, p) for p in law)


def test_impossible_probabilities_are_refused():
    """0 < p <= 1 and 0 < q < 1."""
    with pytest.raises(ValueError, match="success probability"):
        fewest_trials(3, Fraction(0), Fraction(1, 2))
    with pytest.raises(ValueError, match="allowed probability"):
        fewest_trials(3, Fraction(1, 2), Fraction(1))


@settings(max_examples=scaled(100))
@given(
    k=st.integers(0, 40),
    p=PROBABILITY.filter(lambda p: Fraction(1, 20) < p < Fraction(9, 10)),
    ratio=st.integers(6, 12),
    bits=st.sampled_from([20, 60, 200, 500]),
)
def test_far_tails_lie_within_their_own_error(k, p, ratio, bits):
    """|value - Pr(Bin(n, p) <= k)| <= error <= 2^(3-bits), where the mean is several times k and the sum is taken."""
    n = math.ceil((k + 60) * Fraction(ratio, 3) / p)
    truth = exact_tail(n, k, p)
    assert truth < Fraction(1, 10**12)
    mp = mpmath.mp.clone()
    tail = _tail(mp, n, k, p, bits)
    mp.prec = 3000
    assert abs(tail.value - mp.mpf(truth.numerator) / truth.denominator) <= tail.error
    assert tail.error <= mp.mpf(2) ** (3 - bits)


@pytest.mark.parametrize(
    ("n", "k", "p", "bits"),
    [(15, 10, "17/25", 8), (8, 6, "79/100", 8), (10, 8, "43/50", 8), (33, 24, "37/50", 12), (21, 12, "29/50", 20)],
)
def test_what_the_circle_picks_up_from_larger_counts_is_in_its_error(n, k, p, bits, monkeypatch):
    """With few points c_{k+M} r^M is most of the error: these tails are missed by 1.5 to 25 times without it."""
    mp = mpmath.mp.clone()

    def missed():
        tail = _tail(mp, n, k, Fraction(p), bits)
        mp.prec = 2000
        truth = exact_tail(n, k, Fraction(p))
        return abs(tail.value - mp.mpf(truth.numerator) / truth.denominator) / tail.error

    assert missed() <= 1
    monkeypatch.setattr(_binomial, "_outer_alias", lambda mp, *_: mp.mpf(0))
    assert missed() > 1.5


@pytest.mark.parametrize("k", [1, 2, 5, 40])
def test_every_term_of_the_far_sum_counts(k):
    """Pr(Bin(n, p) <= k) to 400 bits of itself: the term of no success, the smallest, is 2^-350 of it or more."""
    mp, n, p = mpmath.mp.clone(), 100 * (k + 1), Fraction(1, 2)
    truth = exact_tail(n, k, p)
    assert (1 - p) ** n * 2**350 > truth
    size = truth.denominator.bit_length() - truth.numerator.bit_length()
    tail = _far_tail(mp, n, k, p, 400, mp.mpf(1) / 2)
    mp.prec = 4000 + size
    exact = mp.mpf(truth.numerator) / truth.denominator
    assert abs(tail.value / exact - 1) < mp.mpf(2) ** -390
    assert abs(tail.value - exact) <= tail.error


def test_quantiles_far_out_are_the_smallest_by_exact_sums():
    """q = 10^-30 .. 10^-300 at small k, in rationals; and X4's quantile at 10^300 states takes no minute."""
    for exponent in (30, 100, 300):
        p, q = Fraction(2, 7), Fraction(1, 10**exponent)
        for k in (0, 3, 25):
            n = fewest_trials(k, p, q)
            assert exact_tail(n, k, p) <= q < exact_tail(n - 1, k, p)
    states = 10**300
    n = fewest_trials(200, Fraction(1, states), Fraction(1, 20 * states))
    mean = n // states  # the law is Poisson's to 300 digits
    with mpmath.workdps(30):
        failure = mpmath.gammainc(201, mean, regularized=True)
        assert failure * states * 20 == pytest.approx(1, rel=0.9)
        assert mpmath.gammainc(201, mean + 1, regularized=True) * states * 20 < 1
        assert mpmath.gammainc(201, mean - 1, regularized=True) * states * 20 > 1


@pytest.mark.parametrize("digits", [3, 20, 60])
def test_brackets_of_long_quantiles_hold_them_and_are_as_narrow_as_asked(digits):
    """L < N <= U and U - L <= L/10^digits, for N of 40 and of 500 digits, found with fewer digits of probability."""
    for k, exponent in ((0, 40), (30, 40), (5000, 40), (30, 500)):
        p, q = Fraction(1, 10**exponent), Fraction(1, 20 * 10 ** (exponent // 2))
        low, high = trials_bracket(k, p, q, digits)
        assert high - low <= max(1, low // 10**digits)
        assert low < fewest_trials(k, p, q) <= high
