"""P5, T1, T1-ep, X2 and X4: hand-worked values, independent evaluation, monotonicity, counterexamples."""

import math
from fractions import Fraction
from itertools import pairwise

import mpmath
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from strength import scaled

from bounds.rmax import default_weights, p5, paper_m, paper_sweeps, t1, t1_episodic, x4, x4_upper

POINT = {"n_states": 16, "n_actions": 2, "branching": 2, "epsilon": 0.8, "delta": 0.2, "discount": 0.8, "r_max": 1}
CONTINUING = {**POINT, **default_weights("continuing")}
EPISODIC = {**POINT, "horizon": 10, **default_weights("episodic")}


def unit(low, high):
    return st.fractions(min_value=Fraction(low), max_value=Fraction(high), max_denominator=60)


def shares(names):
    """Draw weights that sum to 1."""

    def normalise(parts):
        return {name: Fraction(x, sum(parts)) for name, x in zip(names, parts, strict=True)}

    return st.lists(st.integers(1, 20), min_size=len(names), max_size=len(names)).map(normalise)


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


def real(values):
    return {name: mpmath.mpf(Fraction(x).numerator) / Fraction(x).denominator for name, x in values.items()}


def rows(pairs, v, eps):
    """T1's count for the transition rows, as the theory writes it."""
    if v["branching"] == 1:
        return 1
    union = 4 * pairs / v["delta"]
    subsets = mpmath.log(2) * v["branching"] + mpmath.log1p(-mpmath.exp((1 - v["branching"]) * mpmath.log(2)))
    weissman = 2 * (mpmath.log(union) + subsets) / eps**2
    mcdiarmid = (mpmath.sqrt(v["branching"] - 1) + mpmath.sqrt(2 * mpmath.log(union))) ** 2 / eps**2
    return max(1, int(mpmath.ceil(min(weissman, mcdiarmid))))


def digits_for(values):
    return 60 + 4 * len(str(max(values["n_states"], values["branching"])))


@settings(max_examples=scaled(40))
@given(sizes=SIZES, weights=shares(["w_plan", "w_sim", "w_hor", "w_esc"]), share=unit("1/10", "9/10"))
def test_t1_equals_an_independent_evaluation(sizes, weights, share):
    """m, H and p of T1 at rational points, written out again with mpmath at 60 digits or more."""
    values = {**sizes, **weights}
    known, pooled, sampled = t1(), t1(pooled=True), t1("sampled")
    with mpmath.workdps(digits_for(sizes)):
        v = real(values)
        top = v["r_max"] / (1 - v["discount"])
        pairs = v["n_states"] * v["n_actions"]
        eps = v["w_sim"] * v["epsilon"] * (1 - v["discount"]) / top
        assert known.m.evaluate(**values) == rows(pairs, v, eps)
        assert pooled.m.evaluate(**values) == rows(v["n_states"], v, eps)
        w = mpmath.mpf(share.numerator) / share.denominator
        sim = v["w_sim"] * v["epsilon"] / 2  # eps_sim, of which the rewards take w
        eps_reward = w * sim * (1 - v["discount"])
        means = int(mpmath.ceil(v["r_max"] ** 2 * mpmath.log(8 * pairs / v["delta"]) / (2 * eps_reward**2)))
        if v["discount"] == 0:
            wanted = means  # the rows do not matter for one step
        else:
            wanted = max(means, rows(pairs, v, 2 * (1 - w) * sim * (1 - v["discount"]) / (v["discount"] * top)))
        assert sampled.m.evaluate(**values, w_reward=share) == wanted
        if v["discount"] == 0:
            horizon = 1
        else:
            horizon = max(1, math.ceil(log_ratio(values)))
        assert known.effective_horizon.evaluate(**values) == horizon
    assert (
        known.escape.evaluate(**values)
        == values["w_esc"] * values["epsilon"] * (1 - values["discount"]) / values["r_max"]
    )


def log_ratio(values):
    """ln(V_max/(w_hor ε))/ln(1/γ), exact where it is a whole number."""
    x = values["r_max"] / (1 - values["discount"]) / (values["w_hor"] * values["epsilon"])
    ratio = mpmath.log(mpmath.mpf(x.numerator) / x.denominator) / -mpmath.log(
        mpmath.mpf(values["discount"].numerator) / values["discount"].denominator
    )
    whole = int(mpmath.nint(ratio))
    return whole if whole >= 0 and x * values["discount"] ** whole == 1 else ratio


@settings(max_examples=scaled(40))
@given(
    sizes=SIZES,
    horizon=st.integers(1, 40),
    weights=shares(["w_plan", "w_sim", "w_esc"]),
    share=unit("1/10", "9/10"),
)
def test_t1_episodic_equals_the_sum_over_steps(sizes, horizon, weights, share):
    """m and p of T1-ep with ε_sim,T summed step by step: Σγ^k(ε_R + ½γε_P V_{T-1-k}), or Σγ^k ½ε_P V_{T-k}."""
    values = {**sizes, "horizon": horizon, **weights}
    g, r = sizes["discount"], sizes["r_max"]
    returns = [r * sum((g**i for i in range(j)), Fraction(0)) for j in range(horizon + 1)]
    known_weight = sum((g**k * returns[horizon - k] / 2 for k in range(horizon)), Fraction(0))
    row_weight = sum((g ** (k + 1) * returns[horizon - 1 - k] / 2 for k in range(horizon)), Fraction(0))
    reward_weight = returns[horizon] / r
    sim = weights["w_sim"] * sizes["epsilon"] / 2
    with mpmath.workdps(digits_for(sizes)):
        v = real(values)
        pairs = v["n_states"] * v["n_actions"]
        eps = sim / known_weight
        wanted = rows(pairs, v, mpmath.mpf(eps.numerator) / eps.denominator)
        assert t1_episodic().m.evaluate(**values) == wanted
        eps_reward = share * sim / reward_weight
        ratio = (r / eps_reward) ** 2 / 2
        wanted = int(mpmath.ceil(mpmath.mpf(ratio.numerator) / ratio.denominator * mpmath.log(8 * pairs / v["delta"])))
        if row_weight:
            eps = (1 - share) * sim / row_weight
            wanted = max(wanted, rows(pairs, v, mpmath.mpf(eps.numerator) / eps.denominator))
        assert t1_episodic("sampled").m.evaluate(**values, w_reward=share) == wanted
    p = values["w_esc"] * values["epsilon"] / returns[horizon]
    assert t1_episodic().escape.evaluate(**values) == min(1, p)


def test_t1_is_assembled_from_its_parts():
    """N is P5 at k0 = |S||A|m and p; steps = H·N; X2 has k0 = |S|m; T1-ep has T·N."""
    for family, pairs, values in ((t1(), 32, CONTINUING), (t1(pooled=True), 16, CONTINUING)):
        value = family.evaluate(**values)
        k0 = pairs * value["m"]
        assert value["blocks"] == p5().evaluate(explorations=k0, escape=value["escape"], delta=0.2)
        assert value["steps"] == value["effective_horizon"] * value["blocks"]
    value = t1_episodic().evaluate(**EPISODIC)
    assert value["episodes"] == p5().evaluate(explorations=32 * value["m"], escape=value["escape"], delta=0.2)
    assert value["steps"] == 10 * value["episodes"]


def test_t1_at_a_worked_point():
    """γ = ½, R = 1, w_sim ε = ½, |S||A| = 2, δ = ½, B = 2: ε_P = ⅛ and m = ⌈128 ln 32⌉ = 444."""
    weights = {"w_plan": 0, "w_sim": "1/2", "w_hor": "1/4", "w_esc": "1/4"}
    sizes = {"n_states": 1, "n_actions": 2, "branching": 2, "epsilon": 1, "delta": 0.5, "discount": 0.5, "r_max": 1}
    value = t1().evaluate(**sizes, **weights)
    assert value["m"] == math.ceil(128 * math.log(32)) == 444
    assert value["effective_horizon"] == 3  # 2·(1/2)^3 = 1/4
    assert value["escape"] == Fraction(1, 8)
    # rewards sampled, half of eps_sim each: eps_R = 1/16 and eps_P = 1/8 again, as γ = ½ undoes the halving
    assert t1("sampled").m.evaluate(**sizes, **weights, w_reward=0.5) == max(444, math.ceil(128 * math.log(32)))


@pytest.mark.parametrize("pooled", [False, True])
def test_one_known_successor_needs_one_visit(pooled):
    """B = 1 and rewards known: m = 1 (T1'), whatever ε, δ and |S|."""
    for n_states in (1, 16, 10**500):
        assert t1(pooled=pooled).m.evaluate(**{**CONTINUING, "branching": 1, "n_states": n_states}) == 1
        assert t1_episodic(pooled=pooled).m.evaluate(**{**EPISODIC, "branching": 1, "n_states": n_states}) == 1


def test_one_successor_with_sampled_rewards_needs_more_than_one_visit():
    """Bernoulli(.9) against (.5) with m = 1 fails in 5% of runs; T1 asks for ⌈R² ln(8|S||A|/δ)/(2ε_R²)⌉."""
    m = t1("sampled").m.evaluate(**{**CONTINUING, "branching": 1, "w_reward": 0.5})
    eps_reward = 0.5 * 0.62 * 0.8 * 0.2 / 2
    assert m == math.ceil(math.log(8 * 32 / 0.2) / (2 * eps_reward**2))


def test_known_rewards_of_the_successor_cost_the_full_value_range():
    """P2 with ε_R = 0 and r = r(s, a, s'): ε_sim = ½ε_P V_max/(1-γ), not ½γε_P V_max/(1-γ).

    Counterexample to the smaller one, γ = 0: the safe action earns 1/2 for sure, the other 1 with probability 2/5. With
    the factor γ no accuracy of the row would be needed and m = 1, but one sample shows the 1 with probability 2/5 > δ,
    and the greedy action then loses 1/10 > ε for ever. At T1's own m that is rarer than δ.
    """
    point = {"n_states": 1, "n_actions": 2, "branching": 2, "epsilon": 0.05, "delta": 0.2, "discount": 0, "r_max": 1}
    weights = default_weights("continuing")
    m = t1().m.evaluate(**point, **weights)
    success, safe = 0.4, 0.5

    def fooled(samples):
        return stats.binom.sf(math.floor(safe * samples), samples, success)

    assert fooled(1) == pytest.approx(0.4)
    assert fooled(1) > 0.2
    assert m > 1
    assert fooled(m) < 0.2
    assert t1_episodic().m.evaluate(**point, **default_weights("episodic"), horizon=1) > 1


@settings(max_examples=scaled(40))
@given(k0=st.integers(1, 10**7), p=unit("1/60", 1), delta=unit("1/60", "59/60"))
def test_p5_forms_are_ordered(k0, p, delta):
    """Binomial quantile <= closed form <= classical form."""
    forms = ("binomial", "closed", "classical")
    values = [p5(form).evaluate(explorations=k0, escape=p, delta=delta) for form in forms]
    assert values == sorted(values)
    assert stats.binom.cdf(k0 - 1, values[0], float(p)) <= float(delta) / 2 * (1 + 1e-9)


@pytest.mark.parametrize(
    ("k0", "p", "expected"), [(3, 0.05, (105, 163, 369)), (1000, 0.05, (20794, 21384, 40000)), (1, 0.5, (4, 10, 37))]
)
def test_p5_at_worked_points(k0, p, expected):
    """δ = .2, ℓ = ln 10; for k0 = 1: (1/2)^4 <= 1/10, ⌈2ℓ/p⌉ = ⌈9.2⌉, ⌈8ℓ/p⌉ = ⌈36.8⌉."""
    forms = ("binomial", "closed", "classical")
    assert tuple(p5(form).evaluate(explorations=k0, escape=p, delta=0.2) for form in forms) == expected


@pytest.mark.parametrize(
    ("window", "m", "lower", "upper"), [(2, 1005, 3216, 33922), (3, 4023, 51495, 531940), (4, 16094, 824013, 8394995)]
)
def test_x4_brackets_of_the_paper(window, m, lower, upper):
    """⌈k0/T⌉ and N_ep for windows 2, 3, 4; softmax play doubles the upper end."""
    values = {"n_states": 4**window, "n_actions": 2, "m": m, "horizon": 10, "delta": 0.2}
    greedy, softmax = x4().evaluate(**values), x4(softmax=True).evaluate(**values)
    assert (greedy["lower"], greedy["upper"]) == (lower, upper)
    assert softmax["lower"] == lower
    assert softmax["upper"] == pytest.approx(2 * upper, rel=2e-3)
    assert greedy["steps"] == 10 * upper
    law = [Fraction(1, 4**window)] * 4**window
    assert x4_upper(law, n_actions=2, m=m, delta=0.2) == upper
    assert x4_upper(law, n_actions=2, m=m, delta=0.2, softmax=True) == softmax["upper"]


@settings(max_examples=scaled(40))
@given(
    weights=st.lists(st.integers(1, 9), min_size=1, max_size=6),
    n_actions=st.integers(1, 3),
    m=st.integers(1, 30),
    delta=unit("1/60", "59/60"),
)
def test_x4_upper_is_the_smallest_number_of_episodes(weights, n_actions, m, delta):
    """Σ_s Pr(Bin(N, ρ(s)) <= |A|m-1) <= δ/2, and not with N - 1."""
    law = [Fraction(w, sum(weights)) for w in weights]
    n = x4_upper(law, n_actions=n_actions, m=m, delta=delta)

    def failure(episodes):
        return sum(stats.binom.cdf(n_actions * m - 1, episodes, float(p)) for p in law)

    assert failure(n) <= float(delta) / 2 * (1 + 1e-9)
    assert failure(n - 1) > float(delta) / 2 * (1 - 1e-9)


def test_x4_refuses_laws_that_are_none():
    """ρ(s) > 0 and Σρ = 1; floats may miss 1 by rounding."""
    with pytest.raises(ValueError, match=r"start_law\[1\] must be greater than 0"):
        x4_upper([1, 0], n_actions=2, m=3, delta=0.2)
    with pytest.raises(ValueError, match="must sum to 1"):
        x4_upper(["1/2", "1/3"], n_actions=2, m=3, delta=0.2)
    with pytest.raises(ValueError, match="empty"):
        x4_upper([], n_actions=2, m=3, delta=0.2)
    with pytest.raises(ValueError, match=r"start_law\[0\] must be a number"):
        x4_upper(["x"], n_actions=2, m=3, delta=0.2)
    with pytest.raises(ValueError, match="delta must be"):
        x4_upper([1], n_actions=2, m=3, delta=1)
    assert x4_upper([1 / 3] * 3, n_actions=2, m=3, delta=0.2) == x4_upper(["1/3"] * 3, n_actions=2, m=3, delta=0.2)


def test_paper_settings():
    """m = 1005, 4023, 16094 and 9 sweeps at ε = .8, δ = .2, γ = .8; 2574, ... at ε = .5."""
    values = {"delta": 0.2, "discount": 0.8}
    assert [paper_m().evaluate(n_states=4**h, epsilon=0.8, **values) for h in (2, 3, 4)] == [1005, 4023, 16094]
    assert paper_sweeps().evaluate(epsilon=0.8, discount=0.8) == 9
    assert paper_m().evaluate(n_states=16, epsilon=0.5, **values) == math.floor(16 * math.log(5) / 0.01)


def test_impossible_families_are_refused():
    """Pooled counts do not tell the rewards of the actions apart."""
    with pytest.raises(ValueError, match='rewards="known"'):
        t1("sampled", pooled=True)
    with pytest.raises(ValueError, match="rewards must be"):
        t1_episodic("noisy")
    with pytest.raises(ValueError, match="form must be"):
        p5("exact")


GROWING = {
    "n_states": [1, 2, 16, 256, 10**6],
    "n_actions": [1, 2, 3, 50],
    "branching": [1, 2, 3, 16, 256, 1000],
    "discount": [0, 0.1, 0.5, 0.8, 0.95, 0.99],
    "r_max": ["1/2", 1, 2, 10],
}
SHRINKING = {"epsilon": [0.01, 0.1, 0.5, 0.8], "delta": [0.001, 0.05, 0.2, 0.9], "w_sim": None}


@pytest.mark.parametrize(
    ("family", "base", "largest"),
    [(t1(), CONTINUING, "steps"), (t1(pooled=True), CONTINUING, "steps"), (t1_episodic(), EPISODIC, "episodes")],
    ids=["T1", "T1 pooled", "T1-ep"],
)
@pytest.mark.parametrize("name", [*GROWING, "epsilon", "delta"])
def test_m_and_the_number_of_failures_are_monotone(family, base, largest, name):
    """Both grow in |S|, |A|, B, 1/(1-γ), R_max and shrink in ε, δ."""
    ladder = GROWING.get(name) or SHRINKING[name][::-1]
    for attribute in ("m", largest):
        values = [getattr(family, attribute).evaluate(**{**base, name: x}) for x in ladder]
        assert all(low <= high for low, high in pairwise(values)), (attribute, values)
        flat = family.m.label.endswith("X2") and name == "n_actions"
        assert flat or values[0] < values[-1]


def test_x4_is_monotone():
    """Both ends grow in |S|, |A| and m; the upper end shrinks in δ, the lower in T."""
    base = {"n_states": 16, "n_actions": 2, "m": 20, "horizon": 10, "delta": 0.2}
    for attribute in ("lower", "upper"):
        for name in ("n_states", "n_actions", "m"):
            values = [getattr(x4(), attribute).evaluate(**{**base, name: x}) for x in (2, 3, 10, 100)]
            assert all(low < high for low, high in pairwise(values))
    assert x4().upper.evaluate(**{**base, "delta": 0.1}) > x4().upper.evaluate(**base)
    assert x4().lower.evaluate(**{**base, "horizon": 5}) > x4().lower.evaluate(**base)


@pytest.mark.parametrize("kind", ["continuing", "episodic"])
def test_default_weights_are_near_the_best_of_a_grid(kind):
    """No weights on a grid of twentieths beat them by more than 5%."""
    weights = default_weights(kind)
    steps, base = (t1().steps, POINT) if kind == "continuing" else (t1_episodic().steps, {**POINT, "horizon": 10})
    ours = steps.log10(**base, **weights)
    rest = 1 - weights["w_plan"]
    for sim in range(10, 18):
        for hor in range(1, 5) if kind == "continuing" else (0,):
            other = {"w_plan": weights["w_plan"], "w_sim": Fraction(sim, 20) * rest}
            if kind == "continuing":
                other["w_hor"] = Fraction(hor, 20) * rest
            other["w_esc"] = 1 - sum(other.values())
            if other["w_esc"] > 0:
                assert ours < steps.log10(**base, **other) + math.log10(1.05)
