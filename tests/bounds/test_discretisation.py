"""G1, L_R, D1 to D3, X5 and the constants of learners: hand-worked values, independent evaluation, small games."""

import math
from fractions import Fraction
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from strength import scaled

from bounds import Kind
from bounds.discretisation import (
    d1,
    d2,
    d2_window,
    g1,
    g1_plus,
    logit_gradient,
    projected_gradient,
    projected_gradient_many,
    reward_lipschitz,
    smoothed_best_response,
    x5,
    x5_exponent,
    x5_lookahead,
)


def fractions(low, high):
    return st.fractions(min_value=Fraction(low), max_value=Fraction(high), max_denominator=30)


CONSTANTS = st.fixed_dictionaries(
    {
        "l_reward": fractions("1/10", 3),
        "l_state": fractions(0, 3),
        "l_action": fractions(0, 3),
        "discount": fractions(0, "19/20"),
        "alpha_action": fractions(0, 1),
        "alpha_state": fractions(0, 1),
        "distance": fractions(0, 2),
        "epsilon": fractions("1/30", 1),
        "meta_span": fractions("1/10", 5),
    }
)


def pick(values, bound):
    return {name: values[name] for name in bound.symbols}


def evaluated(family, values):
    return {name: bound.evaluate(**pick(values, bound)) for name, bound in vars(family).items()}


# Returns ---------------------------------------------------------------------------------------------------------


def test_g1_by_hand():
    """span 2, γ = 9/10: L_R = 10; average of 4 held steps: 5/2."""
    assert reward_lipschitz().evaluate(inner_span=2, inner_discount=0.9) == 10
    assert reward_lipschitz(held=True).evaluate(inner_span=2, inner_steps=4) == Fraction(5, 2)
    assert g1().evaluate(inner_span=2, inner_discount=0.9, distance=0.01) == Fraction(1, 10)


@given(fractions("1/10", 5), fractions(0, "29/30"), fractions(0, 1))
def test_g1_plus_is_the_good_and_bad_state_game_and_below_g1(span, discount, mismatch):
    """(1-γ) Σ γ^t (1-(1-δ)^{t+1}) span, the extremal game's loss; at most span and at most G1 at d = 2δ."""
    values = {"inner_span": span, "inner_discount": discount, "mismatch": mismatch}
    sharp = g1_plus().evaluate(**values)
    stays = discount * (1 - mismatch)  # the good state's value is (1-δ)(1-γ)/(1-γ(1-δ)) of the span
    assert sharp == span * (1 - (1 - mismatch) * (1 - discount) / (1 - stays))
    assert sharp <= min(span, g1().evaluate(inner_span=span, inner_discount=discount, distance=2 * mismatch))
    assert g1_plus().kind is Kind.EXACT


# Meta-games ------------------------------------------------------------------------------------------------------


@given(CONSTANTS)
def test_d1_and_d3_equal_an_independent_evaluation(values):
    """L_V, E, E₋ and the loss, written out with Fractions; refused where γ̂L_F^s >= 1."""
    v = values
    slack = 1 - v["discount"] * v["l_state"]
    if slack <= 0:
        for bound in vars(d1()).values():
            with pytest.raises(ValueError, match=r"D1 does not apply: .* is not below 1; use X5"):
                bound.evaluate(**pick(v, bound))
        return
    lipschitz = v["l_reward"] / slack
    left = 1 - v["discount"]
    reach = v["l_action"] * v["alpha_action"] + v["alpha_state"]
    upper = (v["l_reward"] * v["alpha_action"] + v["discount"] * lipschitz * reach) / left
    lower = v["discount"] * lipschitz * v["alpha_state"] / left
    loss = (upper + lower + v["epsilon"] + 2 * lipschitz * v["alpha_state"]) / left
    expected = {"modulus": lipschitz * v["distance"], "upper": upper, "lower": lower, "loss": loss}
    assert evaluated(d1(), v) == expected


@given(CONSTANTS, fractions(0, 1))
def test_d2_and_d3_equal_an_independent_evaluation(values, l_transition):
    """As D1 with L_V = L_R + γ̂L_P span(R)/(1-γ̂)."""
    v = {**values, "l_transition": l_transition}
    left = 1 - v["discount"]
    lipschitz = v["l_reward"] + v["discount"] * l_transition * v["meta_span"] / left
    upper = lipschitz * (v["alpha_action"] + v["discount"] * v["alpha_state"]) / left
    lower = v["discount"] * lipschitz * v["alpha_state"] / left
    loss = (upper + lower + v["epsilon"] + 2 * lipschitz * v["alpha_state"]) / left
    expected = {"modulus": lipschitz * v["distance"], "upper": upper, "lower": lower, "loss": loss}
    assert evaluated(d2(), v) == expected


def omega(v, d, horizons=80):
    """X5's ω by trying every H, and infinity, where the sum tends to L_R d/(1-γ̂L) if it converges."""
    growth = v["discount"] * v["l_state"]
    best, total = v["meta_span"] / (1 - v["discount"]), Fraction(0)
    for h in range(horizons):
        best = min(best, v["l_reward"] * d * total + v["discount"] ** h * v["meta_span"] / (1 - v["discount"]))
        total += growth**h
    if d == 0:
        return Fraction(0)
    return min(best, v["l_reward"] * d / (1 - growth)) if growth < 1 else best


@given(CONSTANTS, fractions("11/10", 3))
def test_x5_takes_the_best_horizon(values, l_state):
    """ω, E, E₋ and the loss with ω as the minimum over all H."""
    v = {**values, "l_state": l_state}
    left = 1 - v["discount"]
    one_step = omega(v, v["l_action"] * v["alpha_action"] + v["alpha_state"])
    upper = (v["l_reward"] * v["alpha_action"] + v["discount"] * one_step) / left
    lower = v["discount"] * omega(v, v["alpha_state"]) / left
    look = v["l_reward"] * v["alpha_state"] + v["discount"] * omega(v, l_state * v["alpha_state"])
    loss = (upper + lower + v["epsilon"] + omega(v, v["alpha_state"]) + look) / left
    expected = {"modulus": omega(v, v["distance"]), "upper": upper, "lower": lower, "loss": loss}
    assert evaluated(x5(), v) == expected
    if v["discount"] * l_state < 1:
        assert all(
            value <= d1_value for value, d1_value in zip(expected.values(), evaluated(d1(), v).values(), strict=True)
        )


def test_x5_refuses_what_d1_covers():
    """L_F^s = 1 is D1's; γ̂L_F^s <= 1 has no Hölder exponent below 1."""
    point = {"l_reward": 1, "l_state": 1, "meta_span": 1, "discount": 0.5, "distance": 0.1}
    with pytest.raises(ValueError, match="X5 does not apply: l_state is not above 1; use D1"):
        x5().modulus.evaluate(**point)
    with pytest.raises(ValueError, match="V\\* is Lipschitz by D1"):
        x5_exponent().evaluate(l_state=2, discount=0.5)


def test_x5_lookahead_by_hand():
    """1/4, 1/2, 1: two steps; 1/5 needs three; above the span none."""
    point = {"l_reward": 1, "l_state": 2, "meta_span": 1}
    assert [x5_lookahead().evaluate(**point, distance=d) for d in ("1/4", "1/5", 1, 3)] == [2, 3, 0, 0]


def test_x5_modulus_grows_like_its_exponent():
    """∂ln ω/∂ln d tends to β = ln(1/γ̂)/ln L_F^s."""
    point = {"l_reward": 1, "l_state": 2, "meta_span": 1, "discount": 0.8}
    beta = x5_exponent().evaluate(l_state=2, discount=0.8)
    assert beta == pytest.approx(0.3219, abs=5e-5)
    values = [x5().modulus.evaluate(**point, distance=Fraction(1, 2**j)) for j in (400, 401)]
    assert math.log2(float(Fraction(values[0]) / Fraction(values[1]))) == pytest.approx(beta, abs=1e-9)
    assert x5().modulus.elasticity("distance", **point, distance=Fraction(1, 2**400)) == pytest.approx(beta, abs=1e-9)


def test_d2_window_by_hand():
    """δ = 1/2, γ̂ = 1/2: ½/(½·¾) = 4/3 of the largest value 2; never above it."""
    assert d2_window().evaluate(inner_span=1, discount=0.5, alpha_action=1) == Fraction(4, 3)
    assert d2_window().evaluate(inner_span=1, discount=0.5, alpha_action=2) == 2
    assert d2_window().evaluate(inner_span=1, discount=0.5, alpha_action=5) == 2
    assert d2_window().evaluate(inner_span=1, discount=0.5, alpha_action=0) == 0


def chain_values(slope, discount, cells, rounding, steps):
    """Values at the grid points of x -> min(1, slope·x), reward x: continuous, and rounded to multiples of 1/cells."""
    points = [Fraction(i, cells) for i in range(cells + 1)]

    def step(x):
        return min(Fraction(1), slope * x)

    continuous = []
    for x in points:
        total, weight = Fraction(0), Fraction(1)
        for _ in range(steps):
            total += weight * x
            weight *= discount
            x = step(x)
        continuous.append(total)
    values = [Fraction(0)] * (cells + 1)
    for _ in range(steps):
        following = []
        for x in points:
            height = step(x) * cells
            low = min(math.floor(height), cells - 1)
            part = height - low
            part = Fraction(part >= Fraction(1, 2)) if rounding == "nearest" else part
            following.append((1 - part) * values[low] + part * values[low + 1])
        values = [x + discount * v for x, v in zip(points, following, strict=True)]
    return [c - v for c, v in zip(continuous, values, strict=True)]


@pytest.mark.parametrize("rounding", ["nearest", "barycentric"])
@pytest.mark.parametrize("slope", ["1/2", "9/10", 1, "6/5", 2])
@pytest.mark.parametrize("cells", [1, 2, 3, 5, 8])
def test_the_value_on_the_grid_is_within_d1_and_x5(rounding, slope, cells):
    """-E₋ <= V* - V*_d <= E for a chain without actions; distances |x-x'|, α_s = 1/(2 cells) for both roundings."""
    slope, discount, steps = Fraction(slope), Fraction(4, 5), 30
    rest = discount**steps / (1 - discount)
    gaps = chain_values(slope, discount, cells, rounding, steps)
    point = {"l_reward": 1, "l_state": slope, "l_action": 0, "discount": discount, "alpha_action": 0}
    point |= {"alpha_state": Fraction(1, 2 * cells), "meta_span": 1}
    families = ([d1()] if discount * slope < 1 else []) + ([x5()] if slope > 1 else [])
    assert families
    for family in families:
        assert max(gaps) <= family.upper.evaluate(**pick(point, family.upper)) + rest
        assert -min(gaps) <= family.lower.evaluate(**pick(point, family.lower)) + rest


@given(st.lists(fractions(0, 1), min_size=2, max_size=6, unique=True))
def test_x5_modulus_holds_for_a_doubling_chain(places):
    """|V(x)-V(x')| <= ω(|x-x'|) for x -> min(1, 2x), reward x, γ̂ = 4/5."""

    def value(x, steps=60):
        return sum(Fraction(4, 5) ** t * min(Fraction(1), 2**t * x) for t in range(steps))

    point = {"l_reward": 1, "l_state": 2, "meta_span": 1, "discount": 0.8}
    for low, high in pairwise(sorted(places)):
        assert value(high) - value(low) <= x5().modulus.evaluate(**point, distance=high - low)


# Learners --------------------------------------------------------------------------------------------------------


def test_learner_constants_by_hand():
    """Points worked by hand."""
    point = {"step_size": 1, "inner_actions": 3, "inner_span": 3}
    assert projected_gradient().evaluate(**point) == {"state": 1, "action": 4}  # κ_3 = 2/3
    value = projected_gradient(stochastic=True).evaluate(**point, inner_discount=0.5)
    assert value == {"state": 1 + 4 * 2 * Fraction(1, 2) * 4, "action": 2 * (8 + 4)}
    value = projected_gradient(stochastic=True).evaluate(**point, inner_discount=0)
    assert value == projected_gradient().evaluate(**point)
    assert projected_gradient_many([(3, 3)]).evaluate(step_size=1) == {"state": 1, "action": 4}
    value = projected_gradient_many([(2, 1), (3, 3), (4, 2)]).evaluate(step_size=1)
    assert value == {"state": 1 + 2 * 4, "action": 2 * Fraction(9, 2)}  # κ span: 1/2, 2, 2
    value = logit_gradient(stochastic=True).evaluate(step_size=1, inner_span=1, inner_discount=0)
    assert value["action"] == Fraction(1, 8)
    assert value["state"] == pytest.approx(math.exp(0.25) * (1 + 1 / (6 * math.sqrt(3))))
    value = logit_gradient(stochastic=True).evaluate(step_size=1, inner_span=1, inner_discount=0.5)
    assert value["state"] == pytest.approx(math.exp(0.5) * (1 + 2 / (6 * math.sqrt(3))) + 0.5)
    assert value["action"] == Fraction(12, 16)
    value = smoothed_best_response().evaluate(smoothing=1, inner_span=1, temperature=0.1)
    assert value == {"state": 0, "action": 5}


@pytest.mark.parametrize(
    ("opponents", "message"),
    [([], "opponents is empty"), ([(0, 1)], r"opponents\[0\] is \(0, 1\)"), ([(2, 1), (2, -1)], r"opponents\[1\]")],
)
def test_bad_opponents_are_refused(opponents, message):
    """Each has at least one action and a span of at least 0."""
    with pytest.raises(ValueError, match=message):
        projected_gradient_many(opponents)


def project(y):
    """Euclidean projection on the simplex, by trying every size of the support."""
    descending = np.sort(y)[::-1]
    shifts = [(descending[:n].sum() - 1) / n for n in range(1, len(y) + 1)]
    shift = next(t for n, t in reversed(list(enumerate(shifts))) if descending[n] > t)
    return np.maximum(y - shift, 0)


def l1(x, y):
    return float(np.abs(np.asarray(x) - y).sum())


def pairs_of_policies(rng, n):
    """Policies far apart, close together, and near the corners."""
    first = rng.dirichlet(np.full(n, rng.choice([0.1, 1.0, 5.0])))
    second = rng.dirichlet(np.full(n, rng.choice([0.1, 1.0, 5.0])))
    return first, first + rng.choice([1.0, 0.1, 1e-3]) * (second - first)


@pytest.mark.parametrize("seed", range(scaled(300)))
def test_learner_constants_hold_on_random_games(seed):
    """d(L(a,ψ), L(a',ψ')) <= L_F^s d(ψ,ψ') + L_F^a d(a,a') for projected gradient, logit gradient, smoothed reply."""
    rng = np.random.default_rng(seed)
    own, other, eta = int(rng.integers(2, 5)), int(rng.integers(2, 4)), float(rng.choice([0.1, 0.5, 2.0, 8.0]))
    payoff = rng.choice([rng.uniform(-1, 1, (own, other)), rng.integers(0, 2, (own, other)).astype(float)])
    if np.ptp(payoff) == 0:
        payoff[0, 0] += 1
    span = float(np.ptp(payoff))
    (a, a2), (psi, psi2) = pairs_of_policies(rng, other), pairs_of_policies(rng, own)

    def holds(learner, step, constants, p, p2):
        value = learner.evaluate(**constants)
        moved = l1(step(a, p), step(a2, p2))
        assert moved <= float(value["state"]) * l1(p, p2) + float(value["action"]) * l1(a, a2) + 1e-9

    holds(
        projected_gradient(),
        lambda a, p: project(p + eta * payoff @ a),
        {"step_size": eta, "inner_actions": own, "inner_span": span},
        psi,
        psi2,
    )

    def smoothed(a, p):
        weights = np.exp((payoff @ a - (payoff @ a).max()) * eta)
        return 0.75 * p + 0.25 * weights / weights.sum()

    constants = {"smoothing": 0.25, "inner_span": span, "temperature": 1 / eta}
    holds(smoothed_best_response(), smoothed, constants, psi, psi2)

    difference = payoff[0] - payoff[1]

    def logit(a, p):
        q = min(max(p[0], 1e-12), 1 - 1e-12)
        theta = math.log(q / (1 - q)) + eta * q * (1 - q) * float(difference @ a)
        up = 1 / (1 + math.exp(-theta))
        return np.array([up, 1 - up])

    gap, gap_span = float(np.abs(difference).max()), float(np.ptp(difference))
    two = [np.array([p[0], 1 - p[0]]) for p in (psi, psi2)]
    if gap > 0:
        holds(logit_gradient(), logit, {"step_size": eta, "payoff_gap": gap, "payoff_gap_span": gap_span}, *two)


# Composition -----------------------------------------------------------------------------------------------------


def test_matching_pennies_as_in_the_proof_notes():
    """Simplex gradient, γ̂ = .8, 32 levels: L_V = 2.5, E = .45 at η = .2 and .70 at η = 1."""
    family = d1(projected_gradient(), reward_lipschitz())
    point = {"inner_actions": 2, "inner_span": 1, "inner_discount": 0, "discount": 0.8}
    grid = {"alpha_action": "1/32", "alpha_state": "1/32"}
    assert family.modulus.evaluate(**point, step_size=0.2, distance=1) == Fraction(5, 2)
    upper = [family.upper.evaluate(**point, **grid, step_size=eta) for eta in (0.2, 1)]
    assert [round(float(x), 2) for x in upper] == [0.45, 0.7]


def test_irrational_constants_go_through_x5():
    """A logit learner's constants are irrational; the value is enclosed, the horizon decided, zeros recognised."""
    family = x5(logit_gradient(), reward_lipschitz())
    game = {"step_size": 2, "payoff_gap": 1, "payoff_gap_span": 2, "inner_span": 1, "inner_discount": 0}
    grid = {"alpha_action": 0.1, "alpha_state": 0.1, "discount": 0.8, "meta_span": 1}
    x = 2.0
    v = {"l_reward": 0.5, "l_state": math.exp(x / 4) * (1 + x / (6 * math.sqrt(3))), "discount": 0.8, "meta_span": 1}
    one_step = omega(v, 2 * 2 / 16 * 0.1 + 0.1)
    assert family.upper.evaluate(**game, **grid) == pytest.approx((0.05 + 0.8 * one_step) / 0.2)
    assert family.lower.evaluate(**game, **{**grid, "alpha_state": 0}) == 0
    low, high = family.upper.ball(**game, **grid)
    assert 0 < high - low < Fraction(1, 10**25)
    with pytest.raises(ValueError, match="D1 does not apply"):
        d1(logit_gradient()).modulus.evaluate(
            step_size=8, payoff_gap=1, payoff_gap_span=2, l_reward=1, discount=0.8, distance=1
        )


def test_assumptions_travel_with_the_parts():
    """A composite lists what its learner and its reward assume."""
    family = d1(smoothed_best_response(), reward_lipschitz())
    for part in (smoothed_best_response().state, reward_lipschitz()):
        assert set(part.assumptions) <= set(family.loss.assumptions)
    assert len(set(family.loss.assumptions)) == len(family.loss.assumptions)
    assert family.loss.label == "D3 with D1"
    assert "use X5" in family.upper.conditions[0][1]


@pytest.mark.parametrize("family", [d1(), d2(), x5(), projected_gradient(True), logit_gradient(True)], ids=str)
def test_every_bound_prints(family):
    """LaTeX in the theory's notation."""
    assert all(bound.latex() for bound in vars(family).values())
