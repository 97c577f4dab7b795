"""T2: theorems with the cardinalities of the meta-game substituted, and the exponents that come out."""

import math
from fractions import Fraction
from itertools import pairwise

import pytest

from bounds.discretisation import d1, d2, x5
from bounds.grids import n3
from bounds.rmax import default_weights, t1
from bounds.shaping import case_one, case_two, inner_samples, sizes, t2
from bounds.sharp import t1_deterministic, t1_plus

THREE = {"w_plan": Fraction(1, 100), "w_sim": Fraction(66, 100), "w_esc": Fraction(33, 100)}
COMMON = {"epsilon": "1/2", "delta": "1/10", "discount": "4/5", "r_max": 1}


def point_of(bound, **values):
    """Keep what the bound knows, weights included."""
    weights = default_weights("continuing") if "w_hor" in bound.weights else THREE
    values = {**COMMON, **weights, "w_plan": Fraction(1, 100), **values}
    return {k: x for k, x in values.items() if k in (*bound.symbols, *bound.parameters, *bound.weights)}


@pytest.mark.parametrize(("theorem", "family"), [("T1", t1), ("T1+", t1_plus)])
@pytest.mark.parametrize("grid", ["paper", "paper, B = 1", "refined"])
@pytest.mark.parametrize(("players", "states", "actions"), [(2, 1, 2), (2, 5, 2), (3, 2, 3)])
def test_case_one_is_the_theorem_at_the_cardinalities(theorem, family, grid, players, states, actions):
    """Counts typed in by hand: ⌈√D/(2α)⌉^D or C(k+A-1, A-1)^|S| per player, to the power n or n-1."""
    alpha = Fraction(1, 4)
    if grid == "refined":
        kappa = Fraction((actions // 2) * (actions - actions // 2), actions)
        points = math.comb(math.ceil(2 * kappa / alpha) + actions - 1, actions - 1) ** states
        joint = points ** (players - 1)
    else:
        dimension = states * actions
        points = math.ceil(math.sqrt(dimension) / (2 * alpha)) ** dimension
        joint = points**players
    branching = joint if grid == "paper" else 1
    bound = case_one(grid, theorem)
    inner = {"players": players, "inner_states": states, "inner_actions": actions, "radius": alpha}
    direct = family().steps
    there = {"n_states": joint, "n_actions": points, "branching": branching}
    assert bound.log10(**point_of(bound, **inner)) == direct.log10(**point_of(direct, **there))
    found = {k: b.evaluate(**{n: inner[n] for n in b.symbols}) for k, b in sizes("one", grid).items()}
    assert found == there


def test_case_one_by_default_is_t1_deterministic_where_one_successor_is_left():
    """min(H, |S|)|S||A| with |S| = 5, |A| = 5."""
    bound = case_one()
    inner = {"players": 2, "inner_states": 1, "inner_actions": 2, "radius": "1/4"}
    direct = t1_deterministic().steps
    assert bound.evaluate(**point_of(bound, **inner)) == direct.evaluate(**point_of(direct, n_states=5, n_actions=5))
    with pytest.raises(ValueError, match="B = 1"):
        case_one("paper", "T1'")


LIMITS = {
    "paper": lambda n, d, s, a: (2 * n + 1) * d,
    "paper, B = 1": lambda n, d, s, a: (n + 1) * d,
    "refined": lambda n, d, s, a: n * s * (a - 1),
}


@pytest.mark.parametrize("grid", LIMITS)
@pytest.mark.parametrize(("players", "states", "actions"), [(2, 1, 2), (2, 5, 2), (3, 2, 3)])
def test_exponents_of_one_over_the_radius_converge(grid, players, states, actions):
    """(2n+1)|S||A|, (n+1)|S||A| and n|S|(|A|-1): nearer at each smaller α, from below."""
    bound = case_one(grid)
    limit = LIMITS[grid](players, states * actions, states, actions)
    inner = {"players": players, "inner_states": states, "inner_actions": actions}
    gaps = [
        limit + bound.elasticity("radius", **point_of(bound, **inner, radius=a))
        for a in ("1/50", "1/200", "1/1000", "1/10000")
    ]
    assert all(high >= low >= -1e-9 for high, low in pairwise(gaps)), gaps
    assert gaps[-1] < 2e-3 * limit


def test_elasticity_of_the_simplex_grid_at_finite_radius():
    """|S| Σ_{j<|A|} k/(k+j) per player: 4.17, 4.76, 4.95 at α = .2, .05, .01 for |S| = 5, |A| = 2."""
    points = sizes("one")["n_actions"]
    inner = {"players": 2, "inner_states": 5, "inner_actions": 2}
    found = [-points.elasticity("radius", **inner, radius=a) for a in (0.2, 0.05, 0.01)]
    assert found == pytest.approx([5 * 5 / 6, 5 * 20 / 21, 5 * 100 / 101], rel=1e-12)


@pytest.mark.parametrize("window", [1, 2, 3])
def test_case_two_is_the_theorem_at_the_windows(window):
    """(A^n)^h windows, A actions, B = A^(n-1) or |S|; several states: |S|(|S|A^n)^h and B times the branching."""
    for theorem, family in (("T1", t1), ("T1+", t1_plus)):
        for support, branching in (("exact", 9), ("paper", 27**window)):
            bound, direct = case_two(theorem, support=support), family().steps
            there = {"n_states": 27**window, "n_actions": 3, "branching": branching}
            inner = {"players": 3, "inner_actions": 3, "window": window}
            assert bound.log10(**point_of(bound, **inner)) == direct.log10(**point_of(direct, **there))
        pooled, direct = case_two(theorem, pooled=True), family(pooled=True).steps
        there = {"n_states": 4**window, "n_actions": 2, "branching": 2}
        inner = {"players": 2, "inner_actions": 2, "window": window}
        assert pooled.log10(**point_of(pooled, **inner)) == direct.log10(**point_of(direct, **there))
        many, direct = case_two(theorem, several_states=True), family().steps
        there = {"n_states": 5 * 20**window, "n_actions": 2, "branching": 6}
        inner |= {"inner_states": 5, "inner_branching": 3}
        assert many.log10(**point_of(many, **inner)) == direct.log10(**point_of(direct, **there))
    with pytest.raises(ValueError, match="one inner state"):
        case_two(pooled=True, several_states=True)


@pytest.mark.parametrize(("support", "power"), [("exact", 1), ("paper", 2)])
def test_case_two_is_linear_in_the_number_of_windows(support, power):
    """∂ln(bound)/∂ln|S| = (∂ln(bound)/∂ln h)/(h ln 4): 1, and 2 only with the paper's B = |S|."""
    bound = case_two(support=support)
    slopes = []
    for h in (3, 30, 300, 3000):
        slope = bound.elasticity("window", **point_of(bound, players=2, inner_actions=2, window=h))
        slopes.append(slope / (h * math.log(4)))
    gaps = [abs(slope - power) for slope in slopes]
    assert all(high >= low for high, low in pairwise(gaps))
    assert gaps[-1] < 1e-3


LADDERS = {
    "players": [2, 3, 4],
    "inner_states": [1, 2, 5],
    "inner_actions": [1, 2, 3, 4],
    "inner_branching": [1, 2, 3],
    "radius": ["1/100", "1/10", "1/4", "2/3", 2],
    "window": [1, 2, 3, 8],
    "discount": [0, 0.5, 0.9],
    "r_max": [1, 2],
    "epsilon": ["1/10", "1/2"],
    "delta": ["1/100", "1/10", "1/2"],
    "inner_steps": [1, 10],
}
FAMILIES = {
    **{f"one, {g}, {t}": case_one(g, t) for g in LIMITS for t in ("T1", "T1+")},
    "one, refined": inner_samples(case_one()),
    **{f"two, {s}, {t}": case_two(t, support=s) for s in ("exact", "paper") for t in ("T1", "T1+")},
    "two, states": case_two(several_states=True),
    "two, pooled": case_two("T1+", pooled=True),
}


@pytest.mark.parametrize("name", FAMILIES)
def test_declared_monotonicity_holds(name):
    """In players, inner sizes, window, 1/α, 1/ε, 1/δ, 1/(1-γ)."""
    bound = FAMILIES[name]
    inner = {
        "players": 2,
        "inner_states": 2,
        "inner_actions": 2,
        "radius": "1/4",
        "window": 2,
        "inner_branching": 2,
        "inner_steps": 5,
    }
    for symbol in (*bound.grows, *bound.shrinks):
        values = [bound.log10(**point_of(bound, **{**inner, symbol: x})) for x in LADDERS[symbol]]
        if symbol in bound.shrinks:
            values.reverse()
        assert all(low <= high for low, high in pairwise(values)), (symbol, values)
        assert values[0] < values[-1], symbol


def test_bounds_of_astronomic_size_have_a_logarithm():
    """Five players with memory one and ten actions each at α = 1/1000: far beyond floating point."""
    bound = case_one("paper")
    inner = {"players": 5, "inner_states": 100, "inner_actions": 10, "radius": "1/1000"}
    found = bound.log10(**point_of(bound, **inner))
    assert found == pytest.approx(11 * 1000 * math.log10(math.ceil(math.sqrt(1000) * 500)), rel=1e-3)


@pytest.mark.parametrize(
    ("states", "actions", "alpha", "points"), [(5, 6, "5/3", 6**5), (1, 3, "4/3", 3), (2, 5, "6/5", 15**2)]
)
def test_points_of_the_refined_grid_are_those_of_n3(states, actions, alpha, points):
    """Also at coarse radii, where N3 needs fewer levels than ⌈2κ/α⌉: six pure actions cover α = 5/3."""
    inner = {"inner_states": states, "inner_actions": actions, "radius": alpha}
    assert n3().points.evaluate(**inner) == points
    assert sizes("one")["n_actions"].evaluate(players=2, **inner) == points
    assert t2().steps.evaluate(**t2_point(**inner)) == case_one().evaluate(
        **point_of(case_one(), players=2, **inner, epsilon="2/5")
    )


def t2_point(**changes):
    """A point for `t2` with the constants of the learner left as symbols."""
    constants = {"l_reward": 1, "l_state": 1, "l_action": "1/5", "epsilon": "2/5", "discount": "4/5", "r_max": 1}
    inner = {"players": 2, "inner_states": 1, "inner_actions": 2, "radius": "1/4", "inner_steps": 10}
    return {**constants, **inner, "w_plan": "1/100", **changes}


@pytest.mark.parametrize("grid", LIMITS)
@pytest.mark.parametrize("players", [2, 3])
def test_t2_is_steps_samples_and_accuracy_at_one_radius(grid, players):
    """α_a = d, α_s = (n-1)d with d = α on the simplex and |A|/(2⌈√D/(2α)⌉) on the paper's grid, whose α is in L2."""
    point = t2_point(players=players, inner_states=2, inner_actions=3)
    family = t2(grid, "T1+")
    found = family.evaluate(**point, delta="1/10", w_sim="66/100", w_esc="33/100")
    steps = case_one(grid, "T1+")
    assert found["steps"] == steps.evaluate(**point_of(steps, **{**point, "w_plan": "1/100"}))
    assert found["samples"] == 10 * found["steps"]
    d = Fraction(1, 4) if grid == "refined" else Fraction(3, 2 * math.ceil(math.sqrt(6) / (2 / 4)))
    g, l_v = Fraction(4, 5), 1 / (1 - Fraction(4, 5))
    gap = (d + g * l_v * (d / 5 + (players - 1) * d)) / (1 - g)
    assert found["accuracy"] == Fraction(2, 5) + gap
    back = g * l_v * (players - 1) * d / (1 - g)
    assert found["loss"] == (gap + back + Fraction(2, 5) + 2 * l_v * (players - 1) * d) / (1 - g)


@pytest.mark.parametrize("cost", [d1, d2, x5], ids=["D1", "D2", "X5"])
def test_a_smaller_radius_costs_more_steps_and_buys_accuracy(cost):
    """As α falls the steps rise, ε + E and the loss fall; for each way to say what the grid costs."""
    family = t2(discretisation=cost())
    extra = {"l_state": 2} if cost is x5 else {}
    extra |= {} if cost is d1 else {"meta_span": 1}
    extra |= {"l_transition": "1/2"} if cost is d2 else {}
    for name, order in (("steps", 1), ("samples", 1), ("accuracy", -1), ("loss", -1)):
        bound = getattr(family, name)
        points = [t2_point(radius=a, **extra) for a in ("1/2", "1/8", "1/32")]
        values = [bound.evaluate(**{n: x for n, x in p.items() if n in bound.parameters}) for p in points]
        assert values == sorted(values, reverse=order < 0)
        assert values[0] != values[-1]


def test_factors_of_t2_by_hand():
    """Grid of 3 cells for each of two probabilities: |Ŝ| = 9² = B, |Â| = 9, ((V/(w ε(1-γ)))² = (5/(.62·.5·.2))²."""
    bound = case_one("paper", "T1")
    point = point_of(bound, players=2, inner_states=1, inner_actions=2, radius="1/4")
    found = {part.name: part for part in bound.parts(**point)}
    assert found["meta-states"].log10 == pytest.approx(math.log10(81))
    assert found["meta-actions"].log10 == pytest.approx(math.log10(9))
    assert found["accuracy of the model"].log10 == pytest.approx(2 * math.log10(5 / (0.62 * 0.5 * 0.2)))
    assert found["escape probability"].log10 == pytest.approx(math.log10(5 / (0.31 * 0.5)))
    assert found["horizon"].log10 == pytest.approx(math.log10(math.ceil(math.log(5 / 0.03) / math.log(1.25))))
    union = math.log(4 * 81 * 9 / 0.1)
    assert found["support and union"].log10 == pytest.approx(
        math.log10(2 * (81 * math.log(2) + union)), abs=1e-6
    )  # Weissman's is the smaller one here
    assert abs(found["rest"].log10) < 0.01


def test_factors_of_case_two_take_states_and_actions_apart():
    """16 windows, 2 actions; pooled, the actions do not count."""
    for pooled, names in ((False, {"meta-states": 16, "meta-actions": 2}), (True, {"meta-states": 16})):
        bound = case_two("T1+", pooled=pooled)
        parts = bound.parts(**point_of(bound, players=2, inner_actions=2, window=2))
        assert {p.name: round(10**p.log10) for p in parts if p.name.startswith("meta")} == names
        assert abs(parts[-1].log10) < 0.01
