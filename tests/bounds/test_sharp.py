"""P2 to P4, X1, X3, X6, T1+ and T1': independent evaluation, order, monotonicity, parts, grids, free weights."""

import math
from fractions import Fraction
from itertools import pairwise

import mpmath
import numpy as np
import pytest
import sympy as sp
from hypothesis import example, given, settings
from hypothesis import strategies as st
from strength import scaled

from bounds import Bound, optimise
from bounds.exploration import x1, x1_mean, x1_rate, x3, x3_failure
from bounds.rivals import rivals
from bounds.rmax import default_weights, t1, t1_episodic
from bounds.sharp import t1_deterministic, t1_observed, t1_plus
from bounds.simulation import optimism_error, p2, p2_plus, p3, p3_plus, p4, x6
from bounds.symbols import epsilon

POINT = {"n_states": 16, "n_actions": 2, "branching": 2, "epsilon": 0.8, "delta": 0.2, "discount": 0.8, "r_max": 1}
THREE = {"w_plan": Fraction(1, 100), "w_sim": Fraction(66, 100), "w_esc": Fraction(33, 100)}


def unit(low, high):
    return st.fractions(min_value=Fraction(low), max_value=Fraction(high), max_denominator=60)


SIZES = st.fixed_dictionaries(
    {
        "n_states": st.integers(1, 10**6) | st.just(4**600),
        "n_actions": st.integers(1, 50),
        "branching": st.integers(1, 3000) | st.just(4**600),
        "epsilon": unit("1/60", "9/10"),
        "delta": unit("1/60", "59/60"),
        "discount": unit(0, "59/60"),
        "r_max": unit(1, 5),
    }
)


def number(x):
    x = Fraction(x)
    return mpmath.mpf(x.numerator) / x.denominator


def c_of_x1(k0, g, delta, rate=None):
    """X1 as the theory writes it, with the λ that the documentation promises."""
    if g == 0:
        return k0
    ell = mpmath.log(2 / delta)
    a, b = k0 + g, g * ell
    rate = (mpmath.sqrt(b**2 + 2 * a * b * (1 - g)) - b) / a if rate is None else rate
    x = 1 - mpmath.exp(-rate)
    assert g * rate < x
    return (k0 + g * (rate + ell) / x) / (1 - g * rate / x)


@settings(max_examples=scaled(150))
@given(values=SIZES, pooled=st.booleans(), sampled=st.booleans())
def test_t1_plus_equals_an_independent_evaluation(values, pooled, sampled):
    """m and ⌊C V_max/(w_esc ε)⌋ written out again with mpmath."""
    if pooled and sampled:
        return
    family = t1_plus("sampled" if sampled else "known", pooled)
    with mpmath.workdps(80 + 4 * len(str(max(values["n_states"], values["branching"])))):
        v = {name: number(x) for name, x in values.items()}
        top = v["r_max"] / (1 - v["discount"])
        pairs = v["n_states"] * (1 if pooled else v["n_actions"])
        log = mpmath.log((6 if sampled else 4) * pairs / v["delta"])
        b = v["branching"]
        row = min(
            mpmath.sqrt(log + mpmath.log(mpmath.mpf(2) ** b - 2)) if b > 1 else 0,
            mpmath.sqrt((b - 1) / 2) + mpmath.sqrt(log),
        )
        if b == 1:
            total = 2 * v["r_max"] * mpmath.sqrt(log) if sampled else mpmath.mpf(0)
        elif sampled:
            total = (v["r_max"] + top) * mpmath.sqrt(log) + v["discount"] * top * row
        else:
            total = top * (mpmath.sqrt(log) + row)
        wanted = max(1, int(mpmath.ceil(total**2 / (2 * (number("66/100") * v["epsilon"] * (1 - v["discount"])) ** 2))))
        assert family.m.evaluate(**values, **THREE) == wanted
        steps = c_of_x1(pairs * wanted, v["discount"], v["delta"]) * top / (number("33/100") * v["epsilon"])
        assert family.steps.evaluate(**values, **THREE) == int(mpmath.floor(steps))


@settings(max_examples=scaled(200))
@example(k0=1, g=Fraction(1, 60), delta=Fraction(1, 60), u=Fraction(1, 5))
@given(
    k0=st.integers(1, 10**7) | st.just(4**600),
    g=unit("1/60", "59/60"),
    delta=unit("1/60", "59/60"),
    u=unit("1/60", "59/60"),
)
def test_x1_equals_an_independent_evaluation_and_its_rate_is_nearly_the_best(k0, g, delta, u):
    """C at the chosen λ, and at any λ below 2(1-γ): at most 2 % better from k0 = 1000, at most half better below.

    The chosen λ is the best one's leading term for large k0. At k0 = 1, γ = δ = 1/60 another λ is a third better.
    """
    with mpmath.workdps(400):
        chosen = c_of_x1(k0, number(g), number(delta))
        low, high = x1().ball(explorations=k0, discount=g, delta=delta)
        assert number(low) <= chosen <= number(high)
        rate = 2 * (1 - g) * u
        low, high = x1("free").ball(explorations=k0, discount=g, delta=delta, rate=rate)
        free = c_of_x1(k0, number(g), number(delta), number(rate))
        assert number(low) <= free <= number(high)
        assert chosen <= free * mpmath.mpf("1.02" if k0 >= 1000 else "1.5")
        assert chosen >= number(x1_mean().evaluate(explorations=k0, discount=g)) * (1 - mpmath.mpf(10) ** -300)


def test_a_rate_that_is_too_large_is_refused():
    """γλ < 1 - e^-λ fails at γ = .9, λ = 1: .9 > .632."""
    with pytest.raises(ValueError, match="rate λ must satisfy"):
        x1("free").evaluate(explorations=5, discount=0.9, delta=0.1, rate=1)


@settings(max_examples=scaled(200))
@given(g=unit(0, "59/60"), t=unit(0, 1), e=unit(0, 1), r=unit("1/60", 5))
def test_sharp_simulation_lemma_is_below_the_plain_one_and_below_v_max(g, t, e, r):
    """P2+ <= P2, and without ε_R both the error and A_κ are at most V_max; A_κ is P2+ for known rewards."""
    if not t or not e:
        return
    sampled = {"eps_reward": e, "eps_transition": 2 * t, "discount": g, "r_max": r}
    known = {"eps_transition": 2 * t, "discount": g, "r_max": r}
    assert p2_plus().evaluate(**sampled) <= p2().evaluate(**sampled)
    assert p2_plus("known").evaluate(**known) <= min(p2("known").evaluate(**known), r / (1 - g))
    assert x6().evaluate(aliasing=t, discount=g, r_max=r) == p2_plus("known").evaluate(**known)
    assert p2_plus().evaluate(**sampled) == e / (1 - g) + r / (1 - g) * g * t / (1 - g + g * t)


def test_worked_values():
    """P3, P3+, P4, ξ, X3, X3's probability and the rivals at points that a hand can check."""
    assert p3().evaluate(eps_plan=1, eps_sim="3/2") == 4
    assert p3_plus().evaluate(eps_plan=1, eps_sim="3/2", optimism=1, discount="1/2") == Fraction(9, 2)
    assert p4().evaluate(exploring="1/2", discount="4/5", r_max=2) == 5
    point = {"n_states": 4, "n_actions": 2, "failure": "1/2", "m": 8, "discount": "1/2", "r_max": 1}
    assert optimism_error().evaluate(**point) == pytest.approx(2 * math.sqrt(math.log(16) / 16), rel=1e-15)
    slow = {"far_states": 1, "n_actions": 1, "m": 8, "discount": "1/2", "r_max": 1, "safe_value": "1/2"}
    assert x3().evaluate(**slow) == Fraction(1, 2) * 8 * Fraction(3, 2) / (8 * Fraction(1, 2) * Fraction(1, 2))
    q = 2 * (1 / 4) / (3 / 4)
    failure = math.exp(-8 * q / 32) + math.exp(-8 / 6) + math.exp(-8 / 12)
    assert x3_failure().evaluate(**slow) == pytest.approx(failure, rel=1e-15)
    with pytest.raises(ValueError, match="below V_max"):
        x3().evaluate(**{**slow, "safe_value": 2})
    at = {"n_states": 10, "n_actions": 3, "branching": 2, "epsilon": "1/2", "discount": "1/2"}
    wanted = (
        100 * 3 * 8 * 64,
        60 * 8 * 64,
        30 * 16 * 256,
        30 * 4 * 64,
        60 * 4 * 8,
        30 * 4 * 128,
        30 * 4 * 8,
        30 * 4 * 8,
    )
    assert tuple(b.evaluate(**at) for b in rivals().values()) == wanted


def test_t1_plus_is_ten_to_fifty_times_smaller_than_t1():
    """At the theory's points, each with its own weights."""
    for sizes, low, high in (({}, 4, 11), ({"n_states": 256, "branching": 256}, 10, 60)):
        point = {**POINT, **sizes}
        ratio = t1("known", False, "classical").steps.evaluate(**point, **default_weights("continuing"))
        ratio /= t1_plus().steps.evaluate(**point, **THREE)
        assert low < ratio < high


def test_t1_plus_takes_mcdiarmid_for_large_supports():
    """B = 1000, |S||A| = 1, δ = 1/2, γ = 0, w_sim ε = 1/4: ⌈8(√499.5 + 2√ln 8)²⌉, where Weissman needs more."""
    at = {"n_states": 1, "n_actions": 1, "branching": 1000, "epsilon": "1/2", "delta": "1/2", "discount": 0, "r_max": 1}
    weights = {"w_plan": 0, "w_sim": "1/2", "w_esc": "1/2"}
    root = math.sqrt(math.log(8))
    wanted = math.ceil(8 * (math.sqrt(499.5) + 2 * root) ** 2)
    assert wanted < 8 * (math.sqrt(1000 * math.log(2) + math.log(8)) + root) ** 2
    assert t1_plus().m.evaluate(**at, **weights) == wanted


def test_forms_of_t1_are_ordered():
    """Binomial <= closed form <= classical form of P5, inside T1."""
    values = [
        t1("known", False, form).steps.evaluate(**POINT, **default_weights("continuing"))
        for form in ("binomial", "closed", "classical")
    ]
    assert values == sorted(values)
    assert values[0] < values[2] / 1.9


LADDERS = {
    "n_states": [1, 2, 16, 256, 10**6],
    "n_actions": [1, 2, 3, 50],
    "branching": [1, 2, 3, 16, 256, 1000],
    "discount": [0, 0.1, 0.5, 0.8, 0.95, 0.99],
    "r_max": ["1/2", 1, 2, 10],
    "epsilon": [0.01, 0.1, 0.5, 0.8],
    "delta": [0.001, 0.05, 0.2, 0.9],
    "explorations": [1, 5, 1000],
    "eps_reward": [0.01, 0.3],
    "eps_transition": [0.01, 0.3, 2],
    "eps_plan": [0, 1],
    "eps_sim": [0, 1],
    "optimism": [0, 1],
    "exploring": [0, 0.2, 1],
    "aliasing": [0, 0.2, 1],
    "failure": [0.01, 0.3],
    "m": [1000, 3000],
    "far_states": [1, 7],
    "safe_value": [0.1, 0.2],
}
BASE = {name: ladder[len(ladder) // 2] for name, ladder in LADDERS.items()} | POINT
DECLARED = {
    "T1": (t1().steps, default_weights("continuing")),
    "T1, sampled": (t1("sampled").steps, {**default_weights("continuing"), "w_reward": Fraction(1, 2)}),
    "T1+": (t1_plus().steps, THREE),
    "T1+, m": (t1_plus().m, THREE),
    "T1+, sampled": (t1_plus("sampled").steps, THREE),
    "T1+, pooled": (t1_plus("known", True).steps, THREE),
    "T1'": (t1_deterministic().steps, {"w_plan": 0, "branching": 1}),
    "T1', observed": (t1_observed().steps, {"w_plan": 0}),
    "T1', observed, count": (t1_observed().count, {}),
    "X1": (x1(), {}),
    "X1 mean": (x1_mean(), {}),
    "X3": (x3(), {"safe_value": 0.1}),
    "P2": (p2(), {}),
    "P2+": (p2_plus(), {}),
    "P2, known": (p2("known"), {}),
    "P3": (p3(), {}),
    "P3+": (p3_plus(), {}),
    "P3+, xi": (optimism_error(), {}),
    "P4": (p4(), {}),
    "X6": (x6(), {}),
    **{f"rival {name}": (b, {}) for name, b in rivals().items()},
}


@pytest.mark.parametrize("name", DECLARED)
def test_declared_monotonicity_holds(name):
    """The value never falls in what it `grows` in, never grows in what it `shrinks` in, and does move."""
    bound, extra = DECLARED[name]
    assert bound.grows
    for symbol in (*bound.grows, *bound.shrinks):
        base = {k: x for k, x in {**BASE, **extra}.items() if k in (*bound.symbols, *bound.parameters, *bound.weights)}
        ladder = LADDERS[symbol] if (name, symbol) != ("X3", "discount") else [0.5, 0.8, 0.95]
        values = [bound.log10(**{**base, symbol: x}) for x in ladder]
        if symbol in bound.shrinks:
            values.reverse()
        assert all(low <= high for low, high in pairwise(values)), (symbol, values)
        assert values[0] < values[-1] or (name == "T1+, pooled" and symbol == "n_actions"), symbol


@pytest.mark.parametrize("name", ["T1", "T1+", "T1'", "T1', observed", "X1"])
def test_parts_multiply_to_the_whole(name):
    """Σ log10 of the parts is that of the bound, the shares sum to 1, and the rest is small."""
    bound, extra = DECLARED[name]
    values = {
        k: x
        for k, x in {**POINT, "explorations": 1000, **extra}.items()
        if k in (*bound.symbols, *bound.parameters, *bound.weights)
    }
    parts = bound.parts(**values)
    assert sum(p.log10 for p in parts) == pytest.approx(bound.log10(**values), rel=1e-12)
    assert sum(p.share for p in parts) == pytest.approx(1, rel=1e-12)
    assert parts[-1].name == "rest"
    assert abs(parts[-1].log10) < 0.1
    assert len({p.name for p in parts}) == len(parts) > 2


GRID = {"n_states": (1, 10**6), "n_actions": (1, 50), "branching": (1, 100)}


@pytest.mark.parametrize("form", ["closed", "classical"])
def test_grids_agree_with_the_exact_evaluation(form):
    """T1 at 300 of 2**14 points, to 1e-12, or to one block of H steps where rounding moves N across a whole number."""
    horizon = t1().effective_horizon

    def smaller(point):
        return {name: point[name] for name in ("epsilon", "discount")} | {"r_max": 1, "w_hor": Fraction(7, 64)}

    rng = np.random.default_rng(5)
    n = 2**14
    grid = {name: rng.integers(low, high, n).astype(float) for name, (low, high) in GRID.items()}
    grid |= {name: rng.integers(low, 62, n) / 64 for name, low in (("epsilon", 1), ("delta", 1), ("discount", 0))}
    weights = {"w_plan": 1 / 64, "w_sim": 0.5, "w_hor": 7 / 64, "w_esc": 0.375}
    bound = t1("known", False, form).steps
    out = bound.on_grid(**grid, r_max=1.0, **weights)
    assert out.shape == (n,)
    for i in rng.integers(0, n, 300):
        point = {name: Fraction(float(x[i])) for name, x in grid.items()}
        exact = bound.evaluate(**point, r_max=1, **{k: Fraction(x) for k, x in weights.items()})
        assert abs(Fraction(float(out[i])) - exact) <= exact / 10**12 + horizon.evaluate(**smaller(point))


def test_grids_broadcast_and_refuse_what_they_cannot():
    """Shapes follow NumPy's rule; a missing array or a binomial quantile is refused."""
    bound = t1_plus().steps
    weights = {name: float(x) for name, x in THREE.items()}
    point = {**POINT, "n_states": [[1], [2], [3]], "epsilon": [0.5, 0.25]}
    out = bound.on_grid(**point, **weights)
    assert out.shape == (3, 2)
    assert out[1, 1] == pytest.approx(bound.evaluate(**{**POINT, "n_states": 2, "epsilon": 0.25}, **THREE), rel=1e-12)
    with pytest.raises(TypeError, match="do not fit"):
        bound.on_grid(**{**POINT, "nonsense": 1.0}, **weights)
    with pytest.raises(NotImplementedError, match="closed form"):
        t1().steps.on_grid(**POINT, **{k: float(x) for k, x in default_weights("continuing").items()})


@pytest.mark.parametrize("case", ["T1", "T1+", "rate"])
def test_chosen_weights_are_valid_and_never_worse_than_equal_ones(case):
    """They sum to 1 exactly, the bound at them is what is claimed, and equal weights or the defaults are no better."""
    bound = {"T1": t1().steps, "T1+": t1_plus().steps, "rate": x1("free")}[case]
    changes = ({}, {"n_states": 1, "branching": 1}, {"epsilon": 0.05, "discount": 0.95}, {"delta": 0.9})
    for change in changes[: scaled(4, 2)] if case == "T1" else changes:  # a second each for its binomial quantiles
        point = (
            {**POINT, **change}
            if case != "rate"
            else {"explorations": 3, "discount": 0.9, "delta": change.get("delta", 0.1)}
        )
        choice = optimise(bound, **point)
        if bound.weights:
            assert sum(x for name, x in choice.values.items() if name in bound.weights) == 1
        assert bound.log10(**point, **choice.values) == choice.log10 <= choice.equal_log10
        if case != "rate":
            default = default_weights("continuing") if case == "T1" else THREE
            assert choice.log10 <= bound.log10(**point, **default) + 1e-3
        else:
            assert choice.log10 <= x1().log10(**point)
    with pytest.raises(ValueError, match="w_sim cannot be given: weights are chosen; give start="):
        optimise(t1().steps, w_sim=Fraction(1, 2))
    with pytest.raises(TypeError, match=r"a T1 is no Bound: give one of its members, such as family\.steps"):
        optimise(t1())
    with pytest.raises(ValueError, match="has no weights and no rate"):
        optimise(Bound(name="fixed", label="", expression=sp.Integer(1) * epsilon, source=""), epsilon=1)


def test_t1_deterministic_takes_the_shorter_of_path_and_horizon():
    """min(H, |S|): H = ⌈ln(5/.8)/ln 1.25⌉ = 9 against 16 and against 4 states; γ = 0 gives 1."""
    point = {"n_actions": 2, "epsilon": 0.8, "discount": 0.8, "r_max": 1, "w_plan": 0}
    steps = t1_deterministic().steps
    assert steps.evaluate(n_states=16, **point) == 9 * 32
    assert steps.evaluate(n_states=4, **point) == 4 * 8
    assert steps.evaluate(n_states=4, **{**point, "discount": 0}) == 8


@settings(max_examples=scaled(60))
@given(SIZES, unit(0, "1/2"))
def test_t1_for_observed_rows_equals_an_independent_evaluation(values, w_plan):
    """m = 1, C of X1 at k0 = |Ŝ||Â|, and ⌊C·V_max/((1-w_plan)ε)⌋ steps."""
    family = t1_observed()
    k0 = values["n_states"] * values["n_actions"]
    with mpmath.workdps(80 + 4 * len(str(k0))):
        g = number(values["discount"])
        count = c_of_x1(k0, g, number(values["delta"]))
        steps = count * number(values["r_max"]) / (1 - g) / (number(1 - w_plan) * number(values["epsilon"]))
        assert family.m.evaluate(**values, w_plan=w_plan) == 1
        shared = {name: x for name, x in values.items() if name in family.count.parameters}
        assert family.count.log10(**shared) == pytest.approx(float(mpmath.log10(count)), rel=1e-12, abs=1e-12)
        assert family.steps.evaluate(**values, w_plan=w_plan) == int(mpmath.floor(steps))


NEAR_ONE = {
    "T1": (t1("known", False, "closed").steps, default_weights("continuing")),
    "T1+": (t1_plus().steps, THREE),
    "T1+, sampled": (t1_plus("sampled").steps, THREE),
    "T1', observed": (t1_observed().steps, {"w_plan": 0}),
    "X1": (x1(), {}),
}


@pytest.mark.parametrize("name", NEAR_ONE)
@pytest.mark.parametrize("gap", [1e-2, 1e-4, 1e-6, 1e-8])
def test_grids_do_not_cancel_near_discount_one(name, gap):
    """1e-12 at the very numbers that the floats are, up to 1 - 1e-8: neither in 1-γ, ln(1/γ) nor 1-γλ/(1-e^-λ)."""
    bound, weights = NEAR_ONE[name]
    for n, discount in ((1, 1 - gap), (40, 1 - 0.77 * gap), (10**6, 1 - 0.31 * gap)):
        point = {**POINT, "n_states": n, "epsilon": 0.75, "delta": 0.125, "explorations": 3 * n, "discount": discount}
        weights = {name: Fraction(float(x)) for name, x in weights.items()}  # may miss the sum 1 by an ulp
        here = {k: x for k, x in point.items() if k in bound.symbols}
        shares = {k: x for k, x in weights.items() if k in bound.symbols}
        bare = Bound(name="", label="", expression=bound.expression, source="")
        exact = bare.ball(**{k: Fraction(x) for k, x in here.items()}, **shares)[0]
        found = bound.on_grid(**here, **{k: float(x) for k, x in shares.items()})
        assert abs(Fraction(float(found)) - exact) <= exact / 10**12


FREE = {
    "T1+": (t1_plus(), t1_plus(rate_is="free"), THREE),
    "T1+, pooled": (t1_plus(pooled=True), t1_plus(pooled=True, rate_is="free"), THREE),
    "T1', observed": (t1_observed(), t1_observed("free"), {"w_plan": Fraction(1, 100)}),
}


@pytest.mark.parametrize("name", FREE)
def test_a_free_rate_is_chosen_with_the_weights_and_never_worse(name):
    """At the chosen λ and default weights at most the default; a third less at k0 = 1; too large a λ is refused."""
    chosen, free, weights = FREE[name]
    assert "rate" in free.steps.symbols
    for change in ({}, {"n_states": 1, "n_actions": 1, "branching": 1, "discount": 1 / 60, "delta": 1 / 60}):
        point = {**POINT, **change, "epsilon": 1e-3}  # many steps, so that rounding does not matter
        pairs = point["n_states"] * (1 if "pooled" in name else point["n_actions"])
        k0 = pairs * chosen.m.evaluate(**{**point, **weights})
        rate = x1_rate().evaluate(explorations=k0, discount=point["discount"], delta=point["delta"])
        default = chosen.steps.log10(**point, **weights)
        assert free.steps.log10(**point, **weights, rate=rate) == pytest.approx(default, abs=1e-9)
        fixed = {} if chosen.steps.weights else weights
        choice = optimise(free.steps, **point, **fixed, start={**weights, "rate": rate})
        assert choice.log10 == free.steps.log10(**point, **fixed, **choice.values) <= default + 1e-12
        if change and not chosen.steps.weights:
            assert choice.log10 < default - math.log10(1.1)
    with pytest.raises(ValueError, match="rate λ must satisfy"):
        free.steps.evaluate(**{**POINT, "discount": 0.9}, **weights, rate=1)
    with pytest.raises(ValueError, match="every rate gives k0"):
        x1_rate().evaluate(explorations=3, discount=0, delta=0.1)


def test_factors_by_hand():
    """γ = ½, R = 1, w_sim ε = ½: T1 (2/(½·½))² = 64 and T1+ 4/(2·(½·½)²) = 32; both 1 where B = 1 needs no model."""
    weights = {"w_plan": 0, "w_sim": "1/2", "w_esc": "1/4"}
    point = {"n_states": 3, "n_actions": 2, "branching": 2, "epsilon": 1, "delta": 0.5, "discount": 0.5, "r_max": 1}
    for bound, extra, accuracy in ((t1().steps, {"w_hor": "1/4"}, 64), (t1_plus().steps, {"w_plan": "1/4"}, 32)):
        shares = {**weights, **extra}
        parts = {p.name: p.log10 for p in bound.parts(**point, **shares)}
        assert parts["pairs"] == pytest.approx(math.log10(6))
        assert parts["accuracy of the model"] == pytest.approx(math.log10(accuracy))
        one = {p.name: p.log10 for p in bound.parts(**{**point, "branching": 1}, **shares)}
        assert one["accuracy of the model"] == one["support and union"] == 0
    parts = {p.name: p.log10 for p in t1_plus().steps.parts(**point, **{**weights, "w_plan": "1/4"})}
    assert parts["1/(1-discount)"] == pytest.approx(math.log10(2))
    assert parts["V_max/(w_esc epsilon)"] == pytest.approx(math.log10(8))
    ends = {"w_sim": "1/2", "w_esc": "1/4", "w_plan": "1/4", "horizon": 2}
    episodic = {p.name: p.log10 for p in t1_episodic().episodes.parts(**point, **ends)}
    assert episodic["accuracy of the model"] == pytest.approx(2 * math.log10((3 / 2 + 1 / 2) / (1 / 2)))
    sampled = {p.name: p.log10 for p in t1("sampled").steps.parts(**point, **weights, w_hor="1/4", w_reward="1/2")}
    assert sampled["accuracy of the model"] == pytest.approx(math.log10(64))
