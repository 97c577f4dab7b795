"""Evaluation of bounds: exact numbers, proved integers, enclosures, logarithms and elasticities."""

import doctest
import importlib
import math
from fractions import Fraction

import mpmath
import pytest
import sympy as sp
from hypothesis import given, settings
from hypothesis import strategies as st
from strength import scaled

from bounds import Bound, _evaluate
from bounds._evaluate import FewestTrials
from bounds.rmax import default_weights, t1, t1_episodic, x4
from bounds.symbols import delta, discount, epsilon, m, n_states, r_max

BACKENDS = [_evaluate._Interval] + ([_evaluate._Flint] if _evaluate.flint is not None else [])
POINT = {"n_states": 16, "n_actions": 2, "branching": 2, "epsilon": 0.8, "delta": 0.2, "discount": 0.8, "r_max": 1}
POSITIVE = st.fractions(min_value=Fraction(1, 50), max_value=50, max_denominator=50)


def make(expression):
    return Bound(name="bound under test", label="", expression=expression, source="")


@pytest.fixture(params=BACKENDS, ids=lambda b: b.__name__)
def backend(request, monkeypatch):
    monkeypatch.setattr(_evaluate, "BACKEND", request.param)


NAMES = ["_binomial", "_evaluate", "bound", "concentration", "exploration", "optimise", "rivals", "rmax", "shaping"]
NAMES += ["sharp", "simulation", "symbols"]


@pytest.mark.parametrize("name", NAMES)
def test_examples_of_the_documentation_hold(name):
    """Every docstring example prints what it says."""
    result = doctest.testmod(importlib.import_module(f"bounds.{name}"))
    assert result.failed == 0


@pytest.mark.usefixtures("backend")
@given(x=POSITIVE, y=POSITIVE)
def test_rational_formulas_stay_exact(x, y):
    """No rounding happens where none is needed."""
    value = make((epsilon**3 + r_max / 7) / (1 + r_max**2)).evaluate(epsilon=x, r_max=y)
    assert value == (x**3 + y / 7) / (1 + y**2)
    assert isinstance(value, int | Fraction)
    assert make(sp.sqrt(epsilon)).evaluate(epsilon=x**2) == x


@pytest.mark.usefixtures("backend")
@settings(max_examples=scaled(50))
@given(x=POSITIVE, y=POSITIVE)
def test_enclosures_hold_an_evaluation_at_sixty_digits(x, y):
    """lower <= value <= upper, within the digits asked for."""
    bound = make(sp.exp(-epsilon) * sp.log(1 + r_max) + sp.sqrt(epsilon) / r_max ** sp.Rational(1, 3))
    low, high = bound.ball(epsilon=x, r_max=y, digits=35)
    with mpmath.workdps(60):
        a, b = mpmath.mpf(x.numerator) / x.denominator, mpmath.mpf(y.numerator) / y.denominator
        truth = mpmath.exp(-a) * mpmath.log(1 + b) + mpmath.sqrt(a) / mpmath.cbrt(b)
        slack = mpmath.mpf(10) ** -55 * truth
        assert mpmath.mpf(low.numerator) / low.denominator <= truth + slack
        assert mpmath.mpf(high.numerator) / high.denominator >= truth - slack
        assert abs(bound.evaluate(epsilon=x, r_max=y) - float(truth)) <= 1e-15 * float(truth)
    assert high - low <= low / 10**35


@pytest.mark.usefixtures("backend")
@settings(max_examples=scaled(40))
@given(base=st.fractions(min_value=Fraction(11, 10), max_value=9, max_denominator=20), power=st.integers(1, 60))
def test_ceiling_of_a_logarithm_that_is_whole_is_that_number(base, power):
    """⌈ln(b^n)/ln b⌉ = n, one more just above b^n and not less just below."""
    value = sp.ceiling(sp.log(epsilon) / sp.log(r_max))
    nudge = Fraction(1, 10**70)
    assert make(value).evaluate(epsilon=base**power, r_max=base) == power
    assert make(value).evaluate(epsilon=base**power + nudge, r_max=base) == power + 1
    assert make(value).evaluate(epsilon=base**power - nudge, r_max=base) == power
    floor = sp.floor(sp.log(epsilon) / sp.log(r_max))
    assert make(floor).evaluate(epsilon=base**power, r_max=base) == power
    assert make(floor).evaluate(epsilon=base**power - nudge, r_max=base) == power - 1


def test_products_of_roots_that_are_whole_are_found_to_be():
    """⌈√2·√8/r⌉ = ⌈√16/r⌉: an enclosure of each root could never decide it."""
    value = sp.ceiling(sp.sqrt(epsilon) * sp.sqrt(r_max) / m)
    assert make(value).evaluate(epsilon=2, r_max=8, m=2) == 2
    assert make(value).evaluate(epsilon=2, r_max=8, m=3) == 2
    assert make(value).evaluate(epsilon=2, r_max=9, m=1) == 5


def test_logarithms_that_share_a_base_are_compared_exactly():
    """ln 8 / ln 4 = 3/2 is rounded up; ln 27 / ln 3 = 3 is not, nor 2 ln 8 / ln 4."""
    assert make(sp.ceiling(sp.log(epsilon) / sp.log(r_max))).evaluate(epsilon=8, r_max=4) == 2
    assert make(sp.ceiling(2 * sp.log(epsilon) / sp.log(r_max))).evaluate(epsilon=8, r_max=4) == 3
    assert make(sp.ceiling(-sp.log(epsilon) / sp.log(1 / r_max))).evaluate(epsilon=27, r_max=3) == 3


@pytest.mark.usefixtures("backend")
@pytest.mark.parametrize("count", [5, 40, 80])
def test_ceilings_near_integers_are_proved(count):
    """⌈s ln 2⌉ for s such that s ln 2 is within 1/s of a whole number: convergents of ln 2."""
    with mpmath.workdps(300):
        x = mpmath.log(2)
        terms = []
        for _ in range(count):
            terms.append(int(x))
            x = 1 / (x - int(x))
        h, h1, k, k1 = 1, 0, 0, 1
        for a in terms:
            h, h1, k, k1 = a * h + h1, h, a * k + k1, k
        truth = int(mpmath.ceil(k * mpmath.log(2)))
        assert abs(k * mpmath.log(2) - h) < mpmath.mpf(1) / k
    assert make(sp.ceiling(n_states * sp.log(1 / delta))).evaluate(n_states=k, delta="1/2") == truth
    assert make(sp.floor(n_states * sp.log(1 / delta))).evaluate(n_states=k, delta="1/2") == truth - 1


@pytest.mark.usefixtures("backend")
def test_logarithm_of_any_size():
    """log10 of |S|^2 ln(2) + 1 at |S| = 10^500, of 10^-1000, of 1 and of 0."""
    value = make(n_states**2 * sp.log(2) + 1).log10(n_states=10**500)
    assert value == pytest.approx(1000 + math.log10(math.log(2)), rel=1e-15)
    assert make(epsilon).log10(epsilon="1e-1000") == -1000
    assert make(epsilon).log10(epsilon=1) == 0
    assert make(sp.exp(-n_states)).log10(n_states=10**6) == pytest.approx(-(10**6) / math.log(10), rel=1e-15)
    assert make(discount).log10(discount=0) == -math.inf


@pytest.mark.usefixtures("backend")
def test_t1_is_evaluable_at_ten_to_the_five_hundred():
    """|S| = B = 10^500: m is a proved integer of 504 digits; its logarithm agrees; the steps have a logarithm."""
    values = {**POINT, "n_states": 10**500, "branching": 10**500, **default_weights("continuing")}
    visits = t1().m.evaluate(**values)
    assert isinstance(visits, int)
    assert t1().m.log10(**values) == pytest.approx(math.log10(visits), rel=1e-14)
    steps = t1().steps.log10(**values)
    assert 1000 < steps < 1010
    low, high = t1().steps.ball(digits=40, **values)
    assert high - low <= low / 10**40
    assert steps == pytest.approx(math.log10(low.numerator // low.denominator), rel=1e-14)


def test_logarithm_agrees_with_the_value():
    """log10(value) where both exist."""
    values = {**POINT, **default_weights("continuing")}
    for bound in vars(t1()).values():
        assert bound.log10(**values) == pytest.approx(math.log10(bound.evaluate(**values)), rel=1e-14, abs=1e-14)


def test_values_outside_floats_are_refused():
    """exp(-10^6) is not 0."""
    with pytest.raises(OverflowError, match="log10"):
        make(sp.exp(-n_states)).evaluate(n_states=10**6)
    with pytest.raises(OverflowError, match="log10"):
        make(sp.exp(n_states)).evaluate(n_states=10**6)


def test_division_by_zero_and_logarithm_of_zero_are_refused():
    """One sentence, no traceback of the evaluator's insides."""
    with pytest.raises(ValueError, match="divides by 0"):
        make(1 / discount).evaluate(discount=0)
    with pytest.raises(ValueError, match="logarithm of 0"):
        make(sp.log(discount)).evaluate(discount=0)
    with pytest.raises(ValueError, match="digits"):
        make(sp.log(delta)).ball(delta=0.5, digits=0)


def test_elasticity_of_power_laws_is_their_exponent():
    """s ∂ln(c s^a)/∂s = a; ceilings count as their arguments."""
    assert make(3 * m**2 / epsilon**5).elasticity("epsilon", m=7, epsilon=0.3) == -5
    assert make(sp.ceiling(m**2 / epsilon)).elasticity("m", m=7, epsilon=0.3) == 2
    for name in ("n_states", "n_actions", "m"):
        assert x4().lower.elasticity(name, n_states=16, n_actions=2, m=1005, horizon=10) == 1
    assert x4().lower.elasticity("horizon", n_states=16, n_actions=2, m=1005, horizon=10) == -1


@pytest.mark.usefixtures("backend")
@pytest.mark.parametrize("name", ["n_states", "epsilon", "delta", "discount", "branching", "w_esc", "r_max"])
def test_elasticity_of_t1_agrees_with_differences(name):
    """∂ln/∂ln of T1's smooth form, written out independently and differentiated numerically."""
    values = {k: Fraction(str(v)) for k, v in {**POINT, **default_weights("continuing")}.items()}
    values["n_states"] = Fraction(256)

    def smooth(x):
        v = {k: mpmath.mpf(f.numerator) / f.denominator for k, f in values.items()} | {name: x}
        top = v["r_max"] / (1 - v["discount"])
        pairs = v["n_states"] * v["n_actions"]
        eps = v["w_sim"] * v["epsilon"] * (1 - v["discount"]) / top
        rows = 2 * mpmath.log(4 * pairs * (2 ** v["branching"] - 2) / v["delta"]) / eps**2
        p, k, ell = v["w_esc"] * v["epsilon"] / top, pairs * rows - 1, mpmath.log(2 / v["delta"])
        reach = mpmath.log(top / (v["w_hor"] * v["epsilon"])) / mpmath.log(1 / v["discount"])
        return reach * (k + ell + mpmath.sqrt(ell**2 + 2 * ell * k)) / p

    with mpmath.workdps(50):
        point = mpmath.mpf(values[name].numerator) / values[name].denominator
        truth = float(point * mpmath.diff(smooth, point) / smooth(point))
    assert t1().steps.elasticity(name, **values) == pytest.approx(truth, rel=1e-9)


def test_elasticities_in_reward_scale_and_accuracy_cancel():
    """T1 depends on ε/R_max only; in |S| and |A| through their product."""
    values = {**POINT, **default_weights("continuing")}
    steps = t1().steps
    assert steps.elasticity("epsilon", **values) == pytest.approx(-steps.elasticity("r_max", **values), rel=1e-12)
    assert steps.elasticity("n_states", **values) == pytest.approx(steps.elasticity("n_actions", **values), rel=1e-12)
    episodic = {**POINT, "horizon": 10, **default_weights("episodic")}
    assert t1_episodic().steps.elasticity("horizon", **episodic) > 1


def test_elasticity_in_an_unknown_symbol_is_refused():
    """The message lists the symbols that there are."""
    with pytest.raises(ValueError, match="choose one of delta, n_states"):
        make(n_states * delta).elasticity("speed", n_states=2, delta=0.1)
    with pytest.raises(TypeError, match="needs a value for m"):
        make(n_states * delta).elasticity("m", n_states=2, delta=0.1)


def test_latex_uses_the_notation_of_the_theory():
    """|Ŝ|, δ and the quantile, with balanced braces."""
    for family in (t1(), t1("sampled"), t1(pooled=True), t1_episodic(), x4()):
        for bound in vars(family).values():
            text = bound.latex()
            bare = text.replace(r"\{", "").replace(r"\}", "")  # braces that are printed need no partner
            assert bare.count("{") == bare.count("}")
            assert "n_states" not in text
            assert "n\\_" not in text
    assert r"|\hat S|" in x4().upper.latex()
    assert r"\Pr\left(\mathrm{Bin}" in x4().upper.latex()


def test_expressions_outside_the_language_are_refused():
    """Evaluation knows the functions that the theory uses, and says when it meets another."""
    with pytest.raises(NotImplementedError, match="gamma"):
        make(sp.gamma(epsilon)).evaluate(epsilon=0.5)


@pytest.mark.usefixtures("backend")
@pytest.mark.parametrize("gap", ["1e-30", "1e-60", "1e-200"])
def test_cancellation_is_met_with_more_digits(gap):
    """e^{x+h} - e^x = h e^x (1 + h/2 + …): value, logarithm, root, enclosure and elasticity for tiny h."""
    x = Fraction(1, 2)
    values = {"epsilon": x + Fraction(gap), "discount": x}
    difference = sp.exp(epsilon) - sp.exp(discount)
    h = float(gap)
    assert make(difference).evaluate(**values) == pytest.approx(h * math.exp(0.5), rel=1e-15)
    assert make(sp.log(difference)).evaluate(**values) == pytest.approx(math.log(h) + 0.5, rel=1e-15)
    assert make(sp.sqrt(difference)).evaluate(**values) == pytest.approx(math.sqrt(h) * math.exp(0.25), rel=1e-15)
    assert make(difference).elasticity("epsilon", **values) == pytest.approx(0.5 / h, rel=1e-14)
    low, high = make(difference).ball(digits=35, **values)
    assert 0 < high - low <= low / 10**35


@pytest.mark.usefixtures("backend")
@pytest.mark.parametrize(("p", "q"), [("1/7", "1/10"), ("1/1000", "1/3"), ("99/100", "1/1000000")])
def test_bracket_that_stands_in_for_a_giant_quantile_holds_it(p, q):
    """k/p <= N <= [k + ℓ + √(ℓ²+2ℓk)]/p + 1, to the digits asked for."""
    bound = make(FewestTrials(n_states, epsilon, r_max))
    values = {"n_states": 10**18, "epsilon": p, "r_max": q}
    low, high = bound.ball(digits=3, **values)
    assert low <= bound.evaluate(**values) <= high
    assert 0 < high - low <= low / 10**3


@pytest.mark.usefixtures("backend")
@pytest.mark.parametrize("n", [1, 1000, 10**6, 10**45])
def test_quantile_with_irrational_arguments_is_proved(n):
    """FewestTrials(n, e^-3, e^-2) equals the quantile at two hundred correct digits."""
    value = make(FewestTrials(n_states, sp.exp(-epsilon), sp.exp(-r_max))).evaluate(n_states=n, epsilon=3, r_max=2)
    with mpmath.workdps(220):
        p, q = (Fraction(int(mpmath.exp(-x) * 10**200), 10**200) for x in (3, 2))
    assert value == make(FewestTrials(n_states, epsilon, r_max)).evaluate(n_states=n, epsilon=p, r_max=q)
