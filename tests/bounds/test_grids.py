"""N1 to N4 as bounds: hand-worked values, brute force, exactness at any size, growth."""

import itertools
import math
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bounds.grids import n1, n2, n3, n4

RADII = st.fractions(min_value=Fraction(1, 50), max_value=2, max_denominator=50)


def brute_force_radius(n_actions, levels):
    """Largest L1 distance from the grid among the rows that are multiples of 1/(A levels)."""
    grid = [c for c in itertools.product(range(levels + 1), repeat=n_actions) if sum(c) == levels]
    total = levels * n_actions
    rows = [c for c in itertools.product(range(total + 1), repeat=n_actions) if sum(c) == total]
    worst = max(min(sum(abs(x - n_actions * g) for x, g in zip(row, c, strict=True)) for c in grid) for row in rows)
    return len(grid), Fraction(worst, total)


@pytest.mark.parametrize(("n_actions", "levels"), [(1, 2), (2, 1), (2, 4), (3, 1), (3, 2), (4, 1), (4, 2), (5, 1)])
def test_n1_equals_brute_force(n_actions, levels):
    """Number of points and covering radius, counted."""
    points, radius = brute_force_radius(n_actions, levels)
    for n_states in (1, 2, 7):
        value = n1().evaluate(inner_states=n_states, inner_actions=n_actions, levels=levels)
        assert value == {"points": points**n_states, "radius": radius}


@given(st.integers(1, 40), st.integers(1, 9), st.integers(1, 300))
def test_n1_counts_are_exact_integers(n_states, n_actions, levels):
    """C(k+A-1, A-1)^S, where it has fewer than 16384 bits."""
    points = math.comb(levels + n_actions - 1, n_actions - 1) ** n_states
    assert n1().points.evaluate(inner_states=n_states, inner_actions=n_actions, levels=levels) == points


def test_n1_has_a_logarithm_at_any_size():
    """40 players with memory one have 2^40+1 inner states; 10^500 levels."""
    big = n1().points.log10(inner_states=2**40 + 1, inner_actions=2, levels=200)
    assert big == pytest.approx((2**40 + 1) * math.log10(201), rel=1e-14)
    assert n1().points.log10(inner_states=3, inner_actions=2, levels=10**500) == pytest.approx(1500)
    with pytest.raises(ValueError, match="binomial coefficient of too many factors"):
        n1().points.log10(inner_states=1, inner_actions=10**9, levels=10**9)


@given(st.integers(1, 6), RADII)
def test_n3_is_minimal(n_actions, alpha):
    """radius(levels) <= α < radius(levels - 1), and the points are N1's."""
    sizes = {"inner_states": 3, "inner_actions": n_actions}
    value = n3().evaluate(**sizes, radius=alpha)
    k = value["levels"]
    assert n1().radius.evaluate(**sizes, levels=k) <= alpha
    assert k == 1 or n1().radius.evaluate(**sizes, levels=k - 1) > alpha
    assert value["points"] == n1().points.evaluate(**sizes, levels=k)


def test_n3_by_hand():
    """|A| = 1: 1; three actions: κ = 2/3; from α = 4/3 on the coarse formula: ⌈3(1-α/2)⌉."""
    point = {"inner_states": 1}
    levels = n3().levels
    assert levels.evaluate(**point, inner_actions=1, radius=0.01) == 1
    assert levels.evaluate(**point, inner_actions=3, radius=0.1) == 14
    assert levels.evaluate(**point, inner_actions=3, radius="4/3") == 1
    assert levels.evaluate(**point, inner_actions=5, radius="6/5") == 2


@given(st.integers(1, 5), st.integers(1, 5), RADII)
def test_n2_cells_for_an_l2_radius(n_states, n_actions, alpha):
    """q = ⌈√D/(2α)⌉ decided in whole numbers: the least q with D <= (2αq)²."""
    dimension = n_states * n_actions
    q = next(q for q in itertools.count(1) if dimension <= (2 * alpha * q) ** 2)
    sizes = {"inner_states": n_states, "inner_actions": n_actions}
    value = n2("l2").evaluate(**sizes, radius=alpha)
    assert value == n2().evaluate(**sizes, cells=q)
    assert value["points"] == q**dimension
    assert value["radius"] == Fraction(n_actions, 2 * q) >= value["projected"]
    with pytest.raises(ValueError, match="by must be"):
        n2("l1")


@pytest.mark.parametrize(
    ("n_states", "n_actions", "levels", "displacement"),
    [
        (1, 2, 4, "1/4"),
        (1, 6, 1, "5/3"),
        (2, 2, 4, "2/7"),
        (3, 2, 1, "5/4"),
        (4, 2, 1, "22/17"),
        (7, 1, 3, "0"),
        (2, 3, 4, "1/2"),
        (2, 4, 4, "7/8"),
        (2, 4, 1, "2"),
    ],
)
def test_n4_by_hand(n_states, n_actions, levels, displacement):
    """Branching S(A-1)+1; mean displacement α for S = 1, 8/7 α, 5/4 α, .. for A = 2, below 2α always."""
    sizes = {"inner_states": n_states, "inner_actions": n_actions, "levels": levels}
    value = n4().evaluate(**sizes)
    assert value == {"branching": n_states * (n_actions - 1) + 1, "displacement": Fraction(displacement)}
    assert value["displacement"] <= 2 * n1().radius.evaluate(**sizes)


def test_growth_of_the_grid():
    """∂ln N/∂ln k, S times k Σ 1/(k+i); in S it is ln N; by radius it is the fine formula's."""
    point = {"inner_states": 5, "inner_actions": 3, "levels": 10}
    assert n1().points.elasticity("levels", **point) == pytest.approx(5 * 10 * (1 / 11 + 1 / 12))
    assert n1().points.elasticity("inner_states", **point) == pytest.approx(5 * math.log(66))
    actions = 5 * 3 * sum(1 / (2 + i) for i in range(1, 11))
    assert n1().points.elasticity("inner_actions", **point) == pytest.approx(actions)
    point = {"inner_states": 5, "inner_actions": 2, "radius": 0.003}
    assert n3().points.elasticity("radius", **point) == pytest.approx(-5 * (1000 / 3) / (1000 / 3 + 1))


@pytest.mark.parametrize("family", [n1(), n2(), n2("l2"), n3(), n4()], ids=lambda family: type(family).__name__)
def test_every_bound_prints(family):
    """LaTeX in the theory's notation."""
    for bound in vars(family).values():
        assert bound.latex()
    assert n1().points.latex() == r"\binom{k+|A|-1}{|A|-1}^{|S|}"
