"""The sharp theorems: T1+ (horizon-free, support paid once), T1' (deterministic), and its m = 1 for observed rows."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cache

import sympy as sp

from bounds.bound import Bound, Family
from bounds.exploration import RateIs, x1
from bounds.rmax import (
    _CONTINUING,
    _SHRINKS,
    _SIZES,
    Factors,
    Rewards,
    _bound,
    _check,
    _grows,
    accurate,
    check_rows,
)
from bounds.substitution import substitute, substituted
from bounds.symbols import (
    branching,
    delta,
    discount,
    eps_transition,
    epsilon,
    explorations,
    failure,
    n_actions,
    n_states,
    r_max,
    w_esc,
    w_plan,
    w_sim,
)

_V_MAX = r_max / (1 - discount)


@dataclass(frozen=True)
class T1Plus(Family):
    """T1+'s parts: all but `steps` steps are epsilon-optimal with probability 1 - delta.

    Attributes
    ----------
    m : Bound
        Visits that make a pair known.
    count : Bound
        C of X1, the sum of all e_t.
    steps : Bound
        Steps that are not epsilon-optimal, ⌊C·V_max/(w_esc ε)⌋.
    """

    m: Bound
    count: Bound
    steps: Bound


@dataclass(frozen=True)
class T1Deterministic(Family):
    """T1''s parts: all but `steps` steps are epsilon-optimal, with certainty.

    Attributes
    ----------
    m : Bound
        Visits that make a pair known, 1.
    effective_horizon : Bound
        Steps H after which the discounted rest is negligible.
    steps : Bound
        Steps that are not epsilon-optimal, min(H, |Ŝ|)·|Ŝ||Â|.
    """

    m: Bound
    effective_horizon: Bound
    steps: Bound


@dataclass(frozen=True)
class T1Observed(Family):
    """Parts where a visit reveals the row: all but `steps` steps are epsilon-optimal with probability 1 - delta/2.

    Attributes
    ----------
    m : Bound
        Visits that make a pair known, 1.
    count : Bound
        C of X1, the sum of all e_t.
    steps : Bound
        Steps that are not epsilon-optimal, ⌊C·V_max/((1-w_plan)ε)⌋.
    """

    m: Bound
    count: Bound
    steps: Bound


def row_root(union: sp.Expr) -> sp.Expr:
    """Return x with ½ε_P = x/√(2m): Weissman's or McDiarmid's, whichever is smaller; for B >= 2."""
    weissman = sp.sqrt(branching * sp.log(2) + sp.log((1 - 2 ** (1 - branching)) * union))
    mcdiarmid = sp.sqrt((branching - 1) / 2) + sp.sqrt(sp.log(union))
    return sp.Min(weissman, mcdiarmid, evaluate=False)


def _root_of(lemma: Bound, union: sp.Expr) -> sp.Expr:
    """Return the same x for a lemma that asks for c/ε_P² samples, √(c/2); ceilings count as their arguments."""
    needed = lemma.expression
    while isinstance(needed, sp.ceiling) or (isinstance(needed, sp.Max) and sp.Integer(1) in needed.args):
        rest = [a for a in needed.args if a != 1]
        needed = rest[0] if len(rest) == 1 else sp.Max(*rest, evaluate=False)
    constant = sp.simplify(needed * eps_transition**2)
    if eps_transition in constant.free_symbols:
        raise ValueError(
            f"rows, {lemma.name!r}, does not fall with the square of eps_transition, which T1+ needs: "
            "take it in t1, or give c/eps_transition**2"
        )
    return sp.sqrt(substitute(constant, {failure: 1 / union}) / 2)


@cache
def t1_plus(
    rewards: Rewards = "known", pooled: bool = False, rate_is: RateIs = "chosen", rows: Bound | None = None
) -> T1Plus:
    """Return T1+: T1 with X1 in place of P4 and P5, and with P3+ in place of P3.

    ε_sim + ξ/(1-γ̂) = w_sim ε, so that
    m = ⌈[R_max√ln(6|Ŝ||Â|/δ) + γ̂V_max x + V_max√ln(6|Ŝ||Â|/δ)]²/(2(w_sim ε(1-γ̂))²)⌉, where x is the smaller of
    √ln(6|Ŝ||Â|(2^B-2)/δ) and √((B-1)/2)+√ln(6|Ŝ||Â|/δ); for B = 1 there is no such term, and the last has R_max.

    Parameters
    ----------
    rewards : {"known", "sampled"}
        "known" (a function of (s, a, s')): no first term, V_max x without γ̂ (the row averages the reward too), and
        4 for 6; m = 1 for B = 1.
    pooled : bool
        X2, as in `bounds.rmax.t1`.
    rate_is : {"chosen", "free"}
        As for `bounds.exploration.x1`: whether `count` and `steps` take λ as the symbol `rate`, for `bounds.optimise`.
    rows : Bound, optional
        A lemma in the place of P1, as in `bounds.rmax.t1`; it must ask for c/ε_P² samples.

    Returns
    -------
    T1Plus
        Bounds in the symbols of `t1` without w_hor, and `rate` where it is free. The three weights must sum to 1.

    Examples
    --------
    One state, two actions, one successor: m = 1 and k0 = 2; γ̂ = 0, so that C = k0 and steps = 2·1/(¼·½).

    >>> w = dict(w_plan="1/4", w_sim="1/2", w_esc="1/4")
    >>> sizes = dict(n_states=1, n_actions=2, branching=1, epsilon=0.5, delta=0.2, discount=0, r_max=1)
    >>> t1_plus().evaluate(**sizes, **w)
    {'m': 1, 'count': 2, 'steps': 16}
    """
    _check(rewards, pooled)
    check_rows(rows)
    pairs = n_states if pooled else n_states * n_actions
    accuracy = 1 / (2 * (w_sim * epsilon * (1 - discount)) ** 2)
    if rewards == "known":
        union = 4 * pairs / delta
        row = row_root(union) if rows is None else _root_of(rows, union)
        several, one = _V_MAX * (row + sp.sqrt(sp.log(union))), sp.Integer(0)
    else:
        union = 6 * pairs / delta
        root = sp.sqrt(sp.log(union))
        row = row_root(union) if rows is None else _root_of(rows, union)
        several, one = r_max * root + discount * _V_MAX * row + _V_MAX * root, 2 * r_max * root
    needed = sp.Piecewise((accuracy * one**2, sp.Eq(branching, 1)), (accuracy * several**2, True))
    visits = sp.Max(1, sp.ceiling(needed), evaluate=False)
    counted = x1(rate_is)
    total = substitute(counted.expression, {explorations: pairs * visits})
    steps = sp.floor(total * _V_MAX / (w_esc * epsilon))
    names = (*_SIZES, "w_plan", "w_sim", "w_esc")
    scale = _V_MAX**2 * accuracy
    if rewards == "known":
        scale = sp.Piecewise((1, sp.Eq(branching, 1)), (scale, True))  # one visit tells all
    parts: Factors = (
        ("states" if pooled else "pairs", pairs),
        ("accuracy of the model", scale),
        ("support and union", visits / scale),
        ("1/(1-discount)", 1 / (1 - discount)),
    )

    def bound(name: str, expression: sp.Expr, sketch: str, factors: Factors) -> Bound:
        moves = _grows(rewards, pooled), _SHRINKS
        lemma = None if rows is None else substituted(rows, {failure: 1 / union})
        made = _bound("T1+", _CONTINUING, rewards, pooled, names, name, expression, factors, *moves, sketch, lemma)
        return made if expression == visits else replace(made, conditions=(*made.conditions, *counted.conditions))

    return T1Plus(
        m=bound(
            "visits that make a pair known", visits, "P1 where P3+ asks for it: the support is paid once.", parts[1:2]
        ),
        count=bound("sum of e_t", total, "X1 at k0 = the unknown pairs' visits.", parts),
        steps=bound(
            "steps that are not epsilon-optimal",
            steps,
            "P3+ and P4: a step with V_max e_t <= w_esc ε is ε-optimal; the e_t sum to C at most.",
            (*parts, ("V_max/(w_esc epsilon)", _V_MAX / (w_esc * epsilon))),
        ),
    )


@cache
def t1_deterministic() -> T1Deterministic:
    """Return T1': with B = 1 and deterministic rewards, at most min(H,|Ŝ|)·|Ŝ||Â| steps are not ε-optimal.

    H = ⌈ln(V_max/((1-w_plan)ε))/ln(1/γ̂)⌉, at least 1. With random rewards it is false.

    Examples
    --------
    γ̂ = ½, V_max = 2, ε = ½: 2·(½)^2 = ½, so H = 2.

    >>> sizes = dict(n_states=5, n_actions=3, epsilon=0.5, discount=0.5, r_max=1)
    >>> t1_deterministic().evaluate(**sizes, w_plan=0)
    {'m': 1, 'effective_horizon': 2, 'steps': 30}
    """
    reach = sp.ceiling(sp.log(_V_MAX / ((1 - w_plan) * epsilon)) / sp.log(1 / discount))
    ahead = sp.Piecewise((1, sp.Eq(discount, 0)), (sp.Max(1, reach, evaluate=False), True))
    path = sp.Min(ahead, n_states, evaluate=False)

    def bound(name: str, expression: sp.Expr, grows: tuple[str, ...] = (), factors: Factors = ()) -> Bound:
        return Bound(
            name=name,
            label="T1'",
            expression=expression,
            source="T1', of this package; Brafman and Tennenholtz 2002 for m = 1",
            assumptions=("every pair has one successor and one reward", *_CONTINUING[2:]),
            parameters=("n_states", "n_actions", "branching", "epsilon", "delta", "discount", "r_max", "w_plan"),
            factors=factors,
            grows=grows,
            shrinks=("epsilon",) if grows else (),
            conditions=(accurate(), (2 - branching, "it is for one successor of each pair: take T1 or T1+")),
            sketch="A plan explores surely or never, and a known path meets no state twice before it escapes.",
        )

    return T1Deterministic(
        m=bound("visits that make a pair known", sp.Integer(1)),
        effective_horizon=bound("steps until the discounted rest is negligible", ahead, ("discount", "r_max")),
        steps=bound(
            "steps that are not epsilon-optimal",
            path * n_states * n_actions,
            ("n_states", "n_actions", "discount", "r_max"),
            (("pairs", n_states * n_actions), ("steps until an escape", path)),
        ),
    )


@cache
def t1_observed(rate_is: RateIs = "chosen") -> T1Observed:
    """Return the bound for m = 1 where one visit to a pair reveals its row, as under barycentric rounding.

    The model of a known pair is exact, so that nothing of ε goes to estimation and k0 = |Ŝ||Â|; what is left is X1's
    count of explorations, and δ pays for that alone. T1''s certain number of steps does *not* carry over: a plan
    may reach an unknown pair with any probability, and X3's family with m = 1 exceeds it.

    Parameters
    ----------
    rate_is : {"chosen", "free"}
        As in `t1_plus`.

    Examples
    --------
    γ̂ = 0, so that C = k0 = 6, V_max = 1 and ε = ½: 12 steps.

    >>> sizes = dict(n_states=2, n_actions=3, epsilon=0.5, delta=0.2, discount=0, r_max=1)
    >>> t1_observed().evaluate(**sizes, w_plan=0)
    {'m': 1, 'count': 6, 'steps': 12}
    """
    counted = x1(rate_is)
    total = substitute(counted.expression, {explorations: n_states * n_actions})
    steps = sp.floor(total * _V_MAX / ((1 - w_plan) * epsilon))

    def bound(name: str, expression: sp.Expr, grows: tuple[str, ...] = (), factors: Factors = ()) -> Bound:
        return Bound(
            name=name,
            label="T1' with X1",
            expression=expression,
            source="T1' and X1, of this package",
            assumptions=("a visit to a pair reveals its row and its reward", *_CONTINUING[2:]),
            conditions=(accurate(), *(counted.conditions if grows else ())),
            parameters=("n_states", "n_actions", "branching", "epsilon", "delta", "discount", "r_max", "w_plan"),
            factors=factors,
            grows=grows,
            shrinks=("epsilon", "delta") if "r_max" in grows else ("delta",) if grows else (),
            sketch="A known pair has its true row, so P3 costs the planning error only; X1 counts the explorations.",
        )

    parts: Factors = (
        ("pairs", n_states * n_actions),
        ("1/(1-discount)", 1 / (1 - discount)),
        ("concentration", total * (1 - discount) / (n_states * n_actions)),
    )
    return T1Observed(
        m=bound("visits that make a pair known", sp.Integer(1)),
        count=bound("sum of e_t", total, ("n_states", "n_actions", "discount"), parts),
        steps=bound(
            "steps that are not epsilon-optimal",
            steps,
            ("n_states", "n_actions", "discount", "r_max"),
            (*parts, ("V_max/((1-w_plan) epsilon)", _V_MAX / ((1 - w_plan) * epsilon))),
        ),
    )
