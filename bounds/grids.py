"""Grids of inner policies: how many points, how far apart, which rounding (N1 to N4).

Policies of one player with |S| inner states and |A| actions; distances are the largest L1 distance over inner states.
The functions return frozen families of `Bound`s that share their symbols.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import sympy as sp

from bounds._evaluate import Compositions
from bounds.bound import Bound, Family, Kind
from bounds.symbols import cells, inner_actions, inner_states, levels, radius

_INNER = ("inner_states", "inner_actions")
_STARS = "Stars and bars: k units among |A| actions, independently in each of |S| states."
_PAPER = "Fung, Zhang, Lu, Wan, Willi and Foerster 2024 (arXiv 2402.05782)"


@dataclass(frozen=True)
class N1(Family):
    """Policies whose probabilities are multiples of 1/k.

    Attributes
    ----------
    points : Bound
        How many there are.
    radius : Bound
        Largest distance of a policy from the nearest of them.
    """

    points: Bound
    radius: Bound


@dataclass(frozen=True)
class N2(Family):
    """Centres of the q^D cells of the cube of all D = |S||A| probabilities.

    Attributes
    ----------
    points : Bound
        How many there are.
    radius : Bound
        Distance of a policy from the centre of its cell, at most.
    projected : Bound
        The same, once rows are projected on the simplex, at most.
    """

    points: Bound
    radius: Bound
    projected: Bound


@dataclass(frozen=True)
class N3(Family):
    """The simplex grid for a radius.

    Attributes
    ----------
    levels : Bound
        Fewest levels k.
    points : Bound
        How many policies they make.
    """

    levels: Bound
    points: Bound


@dataclass(frozen=True)
class N4(Family):
    """Barycentric rounding on a simplex grid.

    Attributes
    ----------
    branching : Bound
        Corners of a simplex: successors of a pair for one opponent with a deterministic rule.
    displacement : Bound
        Expected distance of a policy from the corner drawn, at most.
    """

    branching: Bound
    displacement: Bound


def simplex_constant(n_actions: sp.Expr) -> sp.Expr:
    """Return κ_A = ⌊A/2⌋⌈A/2⌉/A, ½ for two actions."""
    half = sp.floor(n_actions / 2)
    return half * (n_actions - half) / n_actions


def _exact(
    label: str,
    name: str,
    expression: sp.Expr,
    *parameters: sp.Symbol,
    sketch: str,
    grows: tuple[str, ...] = (),
    shrinks: tuple[str, ...] = (),
    source: str = "",
) -> Bound:
    return Bound(
        name=name,
        label=label,
        expression=expression,
        source=source or f"{label}, of this package",
        assumptions=("policies of one player, one row per inner state",),
        kind=Kind.EXACT,
        parameters=tuple(p.name for p in parameters),
        grows=grows,
        shrinks=shrinks,
        sketch=sketch,
    )


def _radius() -> sp.Expr:
    r = sp.Min(levels, sp.floor(inner_actions / 2), evaluate=False)
    return 2 * r * (inner_actions - r) / (inner_actions * levels)


def _levels() -> sp.Expr:
    """Return N3's k: the coarse formula where it needs at most ⌊A/2⌋ levels, else the fine one."""
    half = sp.floor(inner_actions / 2)
    coarse = sp.ceiling(inner_actions * (1 - radius / 2))
    fine = sp.ceiling(2 * simplex_constant(inner_actions) / radius)
    is_fine = sp.Eq(sp.Min(coarse, half + 1, evaluate=False) - half, 1, evaluate=False)
    return sp.Max(1, sp.Piecewise((fine, is_fine), (coarse, True), evaluate=False), evaluate=False)


@cache
def n1() -> N1:
    """Return N1: C(k+A-1, A-1)^S points, radius 2r(A-r)/(Ak) with r = min(k, ⌊A/2⌋).

    Examples
    --------
    Eleven levels 0, .1, .., 1 for each of five numbers; any policy is within 1/10:

    >>> n1().evaluate(inner_states=5, inner_actions=2, levels=10)
    {'points': 161051, 'radius': Fraction(1, 10)}
    """
    sizes = (inner_states, inner_actions, levels)
    points = Compositions(levels, inner_actions) ** inner_states
    return N1(
        points=_exact("N1", "policies in a simplex grid", points, *sizes, sketch=_STARS, grows=(*_INNER, "levels")),
        radius=_exact(
            "N1",
            "covering radius of a simplex grid",
            _radius(),
            *sizes,
            sketch="Largest remainders: with fractional parts f, Σf = r, the error is (2/k)(r - the r largest f).",
            grows=("inner_actions",),
            shrinks=("levels",),
        ),
    )


@cache
def n2(by: str = "cells") -> N2:
    """Return N2, the paper's style of grid: q^D points, D = |S||A|.

    Parameters
    ----------
    by : {"cells", "l2"}
        "cells": in terms of q. "l2": q = ⌈√D/(2α)⌉, the fewest cells of L2 radius α, the symbol `radius`.

    Returns
    -------
    N2
        `radius` is |A|/(2q) for the centres, `projected` 2κ_A/q: the projection sees a row's error only up to a
        constant, and is L1-nonexpansive on what is left.

    Examples
    --------
    √10/(2/10) = 15.8, so 16 cells for each of ten probabilities:

    >>> n2("l2").evaluate(inner_states=5, inner_actions=2, radius=0.1)
    {'points': 1099511627776, 'radius': Fraction(1, 16), 'projected': Fraction(1, 16)}
    """
    if by not in ("cells", "l2"):
        raise ValueError(f'by must be "cells" or "l2"; got {by!r}')
    dimension = inner_states * inner_actions
    q = cells if by == "cells" else sp.ceiling(sp.sqrt(dimension) / (2 * radius))
    free = by == "cells"
    sizes = (inner_states, inner_actions, cells if free else radius)
    more, less = (("cells",), ()) if free else ((), ("radius",))
    grows = (*less, *(("inner_actions",) if free else ()))  # a fixed L2 radius takes more cells for more actions
    return N2(
        points=_exact(
            "N2",
            "cells of a cube grid",
            q**dimension,
            *sizes,
            sketch="Cells of side 1/q have half a diagonal √D/(2q).",
            grows=_INNER + more,
            shrinks=less,
            source=f"N2; {_PAPER}",
        ),
        radius=_exact(
            "N2",
            "distance from a cell's centre",
            inner_actions / (2 * q),
            *sizes,
            sketch="Half a cell in each of a row's |A| entries.",
            grows=grows,
            shrinks=more,
        ),
        projected=_exact(
            "N2",
            "distance from a projected centre",
            2 * simplex_constant(inner_actions) / q,
            *sizes,
            sketch="Projecting is L1-nonexpansive on differences that sum to 0; centring leaves 4cκ_A of |.| <= c.",
            grows=grows,
            shrinks=more,
        ),
    )


@cache
def n3() -> N3:
    """Return N3: the fewest levels of a simplex grid with radius at most α, and its points.

    k = 1 for |A| = 1; max(1, ⌈A(1-α/2)⌉) for α >= 2⌈A/2⌉/A; else ⌈2κ_A/α⌉.

    Examples
    --------
    κ_2 = ½, so k = 1/α; for six actions 2(6-1)/6 = 5/3 is the radius of the six pure policies:

    >>> n3().evaluate(inner_states=5, inner_actions=2, radius=0.1)
    {'levels': 10, 'points': 161051}
    >>> n3().evaluate(inner_states=1, inner_actions=6, radius="5/3")
    {'levels': 1, 'points': 6}
    """
    sizes = (inner_states, inner_actions, radius)
    points = Compositions(_levels(), inner_actions) ** inner_states
    return N3(
        levels=_exact(
            "N3",
            "levels for a radius",
            _levels(),
            *sizes,
            sketch="N1's radius solved for k: with r = k where that leaves k <= ⌊A/2⌋, else with r = ⌊A/2⌋.",
            grows=("inner_actions",),
            shrinks=("radius",),
        ),
        points=_exact(
            "N3 in N1",
            "policies in the simplex grid of a radius",
            points,
            *sizes,
            sketch=_STARS,
            grows=_INNER,
            shrinks=("radius",),
        ),
    )


@cache
def n4() -> N4:
    """Return N4's barycentric rounding: |S|(|A|-1)+1 corners, and the mean displacement that D1 needs for α_s.

    With α N1's radius and n = ⌊(|S|+1)/2⌋, n' = ⌈(|S|+1)/2⌉ the displacement is at most α for |S| = 1;
    α[2 - 1/(n/(n+1) + n'/(n'+1))] < 3α/2 for |A| = 2; else min(2, (|A|-½)/k) for even and min(2, (|A|-1)/k) for odd
    |A|, below 2α. The first two are reached.

    Examples
    --------
    n = n' = 3 for five inner states, 2 - 1/(3/4 + 3/4) = 4/3:

    >>> n4().evaluate(inner_states=5, inner_actions=2, levels=10)
    {'branching': 6, 'displacement': Fraction(2, 15)}
    """
    sizes = (inner_states, inner_actions, levels)
    low = sp.floor((inner_states + 1) / 2)
    high = inner_states + 1 - low
    spread = 2 - 1 / (low / (low + 1) + high / (high + 1))
    parity = inner_actions - 2 * sp.floor(inner_actions / 2)
    many = sp.Min(2, (inner_actions - (1 + parity) / 2) / levels, evaluate=False)
    displacement = sp.Piecewise(
        (_radius(), sp.Eq(inner_states, 1)),
        (sp.S.Zero, sp.Eq(inner_actions, 1)),
        (spread * _radius(), sp.Eq(inner_actions, 2)),
        (many, True),
    )
    return N4(
        branching=_exact(
            "N4",
            "corners of a simplex",
            inner_states * (inner_actions - 1) + 1,
            *sizes,
            sketch="A simplex of the Freudenthal triangulation of |S|(|A|-1) free numbers has one corner more.",
            grows=_INNER,
        ),
        displacement=_exact(
            "N4",
            "mean displacement of barycentric rounding, at most",
            displacement,
            *sizes,
            sketch="The corner is drawn with the weights of the policy in its simplex, so that the mean is exact.",
            grows=_INNER,
            shrinks=("levels",),
        ),
    )
