"""What other algorithms and lower bounds need, to leading order.

Logarithms are left out, R_max = 1, and values are not normalised: Kakade (2003) divides them by 1/(1-γ), which
takes three powers of 1/(1-γ) away from his bound. Mistakes are steps that are not ε-optimal; a generative model's
*samples* are another quantity, and stand here for orientation only.
"""

from __future__ import annotations

from typing import Any

import sympy as sp

from bounds.bound import Bound, Kind
from bounds.symbols import branching, discount, epsilon, n_actions, n_states

_PARAMETERS = ("n_states", "n_actions", "branching", "epsilon", "delta", "discount")  # r_max is 1, and not asked for
_TWO = 3 - branching, "it is for two successors of each pair at most"
_ONE = sp.Ge(1, epsilon), "epsilon is above 1: give at most 1, in units of r_max"


def _rival(
    name: str, expression: sp.Expr, source: str, *assumptions: str, conditions: tuple[tuple[Any, str], ...] = ()
) -> Bound:
    used = {s.name for s in expression.free_symbols}
    return Bound(
        name=name,
        label="rival",
        expression=expression,
        source=source,
        assumptions=("logarithms are left out", "r_max = 1", *assumptions),
        kind=Kind.LEADING,
        parameters=_PARAMETERS,
        conditions=conditions,
        grows=tuple(s for s in ("n_states", "n_actions", "branching", "discount") if s in used),
        shrinks=("epsilon",),
        sketch="Quoted from its source.",
    )


def rivals() -> dict[str, Bound]:
    """Return the leading orders by a short name.

    Examples
    --------
    |Ŝ| = 10, |Ŝ||Â| = 20, ε = 1, γ̂ = ½: 10²·2·2⁶, and with B = 2 successors 10·2·2·2⁶; the lower bound is 20·2³.

    >>> point = dict(n_states=10, n_actions=2, branching=2, epsilon=1, discount=0.5)
    >>> [rivals()[name].evaluate(**point) for name in ("R-max", "R-max, B successors", "lower bound")]
    [12800, 2560, 160]
    """
    pairs, rest, eps = n_states * n_actions, 1 / (1 - discount), 1 / epsilon
    mistakes = "counts mistakes: steps that are not epsilon-optimal"
    strehl = "Strehl, Li and Littman 2009, Theorems 11 and 12"
    lattimore = "Lattimore and Hutter 2012"
    return {
        "R-max": _rival("R-max and MBIE", n_states * pairs * eps**3 * rest**6, strehl, mistakes),
        "R-max, B successors": _rival(
            "R-max and MBIE with B successors", pairs * branching * eps**3 * rest**6, f"{strehl}; Kakade 2003", mistakes
        ),
        "Delayed Q-learning": _rival(
            "Delayed Q-learning",
            pairs * eps**4 * rest**8,
            "Strehl, Li, Wiewiora, Langford and Littman 2006, Theorem 1",
            mistakes,
        ),
        "MoRmax": _rival("MoRmax", pairs * eps**2 * rest**6, "Szita and Szepesvári 2010", mistakes),
        "UCRL-gamma": _rival(
            "UCRLγ",
            2 * pairs * eps**2 * rest**3,
            f"{lattimore}, upper bound",
            mistakes,
            "every pair has two successors at most, so that 2|S||A| transitions are not zero",
            conditions=(_TWO,),
        ),
        "UCB-Q": _rival(
            "UCB-Q, infinite horizon", pairs * eps**2 * rest**7, "Wang, Dong, Chen and Wang 2019", mistakes
        ),
        "generative model": _rival(
            "generative model, minimax",
            pairs * eps**2 * rest**3,
            "Azar, Munos and Kappen 2013",
            "counts samples of a simulator, not mistakes",
            "epsilon is at most 1; the value, not the policy",
            conditions=(_ONE,),
        ),
        "lower bound": _rival(
            "lower bound for every algorithm", pairs * eps**2 * rest**3, f"{lattimore}, lower bound", mistakes
        ),
    }
