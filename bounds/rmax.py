"""R-max: the visits m that make a pair known, and how much falls short (P5, T1, T1-ep, X2, X4).

The statements are assembled from their parts: m from P1 at the accuracy that the simulation lemma P2
leaves, the number of blocks from P5 at k0 = |Ŝ||Â|m. `t1(...)`, `t1_episodic(...)` and `x4(...)` return
frozen families of `Bound`s that share their symbols, so that one set of values evaluates them all.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import cache
from typing import Any, Literal, TypeAlias

import sympy as sp

from bounds._binomial import fewest_trials_of
from bounds._evaluate import FewestTrials, closed_form, foreign_part
from bounds.bound import Bound, Family, Kind
from bounds.concentration import hoeffding_samples, transition_m
from bounds.substitution import substitute, substituted
from bounds.symbols import (
    REGISTRY,
    SYMBOLS,
    Number,
    branching,
    delta,
    discount,
    eps_transition,
    epsilon,
    escape,
    exact,
    explorations,
    failure,
    horizon,
    m,
    n_actions,
    n_states,
    r_max,
    show,
    w_esc,
    w_hor,
    w_reward,
    w_sim,
)

Rewards: TypeAlias = Literal["known", "sampled"]
Factors: TypeAlias = tuple[tuple[str, sp.Expr], ...]
Form: TypeAlias = Literal["binomial", "closed", "classical"]

ROW_INPUTS = ("failure", "eps_transition", "branching", "n_states", "n_actions", "discount", "r_max")
"""Symbols that a lemma on the samples of one row may have."""

_RMAX = "Brafman and Tennenholtz 2002; Kakade 2003, chapter 8; Strehl, Li and Littman 2009, Theorem 11"
_RFOS = "Fung, Zhang, Lu, Wan, Willi and Foerster 2024 (arXiv 2402.05782)"


_COMMON = (
    "rewards lie in [0, r_max] and epsilon is below the largest return",
    "`branching` bounds the support of every true transition row",
    "estimates are frozen at m visits",
    "ties are broken deterministically, unknown actions first",
    "the planned policy is optimal in the estimated model to within w_plan·epsilon",
)
_CONTINUING = (*_COMMON, "one trajectory without resets")
_EPISODIC = (*_COMMON, "episodes of `horizon` steps from any starts, planned for that horizon")
_POOLED = (
    "the meta-state is an exact window and moves are simultaneous, so that the action does not change the "
    "opponents' law",
    "the rules of the game, rewards included, are known",
)
_SMALLER = "epsilon is not below the largest return, so that every policy is epsilon-optimal: give a smaller epsilon"


def accurate(largest: sp.Expr = r_max / (1 - discount)) -> tuple[sp.Expr, str]:
    """Return the condition that epsilon is below the largest return."""
    return largest - epsilon, _SMALLER


_KNOWN = ("the reward is a known function of state, action and successor",)
_SAMPLED = ("the mean reward of each pair is estimated; it takes the share w_reward of the model error",)


@dataclass(frozen=True)
class T1(Family):
    """T1's parts: all but `steps` steps are epsilon-optimal with probability 1 - delta.

    Attributes
    ----------
    m : Bound
        Visits that make a pair known.
    effective_horizon : Bound
        Steps H after which the discounted rest is below w_hor·epsilon.
    escape : Bound
        Probability p of meeting an unknown pair within H steps above which a step may be bad.
    blocks : Bound
        Blocks of H steps with more than that probability, N.
    steps : Bound
        Steps that are not epsilon-optimal, H·N.
    """

    m: Bound
    effective_horizon: Bound
    escape: Bound
    blocks: Bound
    steps: Bound


@dataclass(frozen=True)
class T1Episodic(Family):
    """T1-ep's parts: all but `episodes` episodes of T steps are epsilon-optimal with probability 1 - delta.

    Attributes
    ----------
    m : Bound
        Visits that make a pair known.
    escape : Bound
        Probability p of meeting an unknown pair within an episode above which it may be bad.
    episodes : Bound
        Episodes that are not epsilon-optimal, N.
    steps : Bound
        Their steps, T·N.
    """

    m: Bound
    escape: Bound
    episodes: Bound
    steps: Bound


@dataclass(frozen=True)
class X4(Family):
    """X4's bracket of the number of episodes until all pairs are known, under a uniform start law.

    Attributes
    ----------
    lower : Bound
        Episodes needed with certainty.
    upper : Bound
        Episodes that suffice with probability 1 - delta/2.
    steps : Bound
        Their steps: in an exact MDP at most so many are not epsilon-optimal, with w_hor = w_esc = 0 in m.
    """

    lower: Bound
    upper: Bound
    steps: Bound


@dataclass(frozen=True)
class T1Restarts(Family):
    """T1 with X4's parts: at most `steps` steps are not epsilon-optimal with probability 1 - delta.

    Attributes
    ----------
    m : Bound
        Visits that make a pair known.
    lower : Bound
        Episodes needed until all pairs are known, with certainty.
    episodes : Bound
        Episodes of T steps after which all pairs are known, N_ep.
    steps : Bound
        Their steps, T·N_ep.
    """

    m: Bound
    lower: Bound
    episodes: Bound
    steps: Bound


def p5(form: Form = "binomial") -> Bound:
    """Return the number N of blocks in which exploring had probability above p, with probability 1-δ/2 (P5).

    Parameters
    ----------
    form : {"binomial", "closed", "classical"}
        min{N : Pr(Bin(N, p) <= k0-1) <= δ/2}; ⌈[k0-1+ℓ+√(ℓ²+2ℓ(k0-1))]/p⌉ with ℓ = ln(2/δ);
        ⌈max(2k0, 8ℓ)/p⌉. Each is at most the next.

    Examples
    --------
    (2 + 2.303 + √14.51)/0.05 = 162.2 and 8 ln 10/0.05 = 368.4:

    >>> point = dict(explorations=3, escape=0.05, delta=0.2)
    >>> [p5(form).evaluate(**point) for form in ("binomial", "closed", "classical")]
    [105, 163, 369]
    """
    k0, ell = explorations, sp.log(2 / delta)
    forms = {
        "binomial": FewestTrials(k0 - 1, escape, delta / 2),
        "closed": sp.ceiling(closed_form(k0 - 1, escape, delta / 2)),
        "classical": sp.ceiling(sp.Max(2 * k0, 8 * ell, evaluate=False) / escape),
    }
    if form not in forms:
        raise ValueError(f"form must be one of {', '.join(forms)}; got {form!r}")
    return Bound(
        name="blocks with more than probability p of exploring",
        label="P5",
        expression=forms[form],
        source="P5; its classical form in Kakade 2003 and in Strehl, Li and Littman 2009",
        assumptions=("an unknown pair can be taken at most k0 times",),
        grows=("explorations",),
        shrinks=("escape", "delta"),
        sketch=(
            "Blocks begin where p_t > p; each explores with probability p at least, whatever came before, and if one "
            "more block begins an unknown pair is left, so that at most k0-1 have explored."
        ),
    )


def _check(rewards: str, pooled: bool) -> None:
    if rewards not in ("known", "sampled"):
        raise ValueError(f'rewards must be "known" or "sampled"; got {rewards!r}')
    if pooled and rewards == "sampled":
        raise ValueError('pooled counts (X2) need rewards="known": they do not tell the rewards of the actions apart')


def check_rows(rows: Bound | None) -> None:
    """Raise unless `rows` may stand for P1: samples of one row, in m's inputs."""
    if rows is None:
        return
    if not isinstance(rows, Bound):
        raise TypeError(f"rows is {show(rows)}, not a Bound: give the samples of one row, such as transition_m()")
    for expression in (rows.expression, *(c for c, _ in rows.conditions)):
        if not isinstance(expression, sp.Expr if expression is rows.expression else sp.Basic):
            raise TypeError(f"rows, {rows.name!r}, holds {expression!r}: give expressions of sympy, in bounds.symbols")
        floats = expression.atoms(sp.Float)
        if floats:
            said = f"the float {min(floats)}: give a Rational, since bounds are exact"
            raise ValueError(f"rows, {rows.name!r}, holds {said}")
        for symbol in sorted(expression.free_symbols, key=str):
            if symbol.name in ROW_INPUTS and symbol != SYMBOLS[symbol.name]:
                raise ValueError(
                    f"rows, {rows.name!r}, has a symbol {symbol} of its own: import {symbol} from bounds.symbols"
                )
        foreign = foreign_part(expression)
        if foreign is not None:
            raise ValueError(
                f"rows, {rows.name!r}, holds {show(foreign)}, which cannot be evaluated exactly: write it with +, *, "
                "powers, exp, log, Max, Min, ceiling, floor and Piecewise of finite numbers"
            )
    strange = sorted(set(rows.symbols) - set(ROW_INPUTS))
    if strange:
        raise ValueError(
            f"rows, {rows.name!r}, has the symbol {strange[0]}: the samples of one row depend on "
            f"{', '.join(ROW_INPUTS)} alone"
        )


def row_lemma(rows: Bound | None, failure_: sp.Expr, eps: sp.Expr) -> Bound:
    """Return the whole number of samples after which one row errs by at most `eps` in L1, by P1 or by `rows`."""
    if rows is None:
        return substituted(transition_m(), {failure: failure_, eps_transition: eps})
    needed = substituted(rows, {failure: failure_, eps_transition: eps})
    positive = (needed.expression, f"{rows.name!r} asks for no samples at all")
    return replace(
        needed,
        expression=sp.Max(1, sp.ceiling(needed.expression), evaluate=False),
        conditions=(*needed.conditions, positive),
    )


def _model_m(
    rewards: Rewards, pairs: sp.Expr, reward_weight: sp.Expr, row_weight: sp.Expr, rows: Bound | None
) -> tuple[sp.Expr, Bound]:
    """Return m such that reward_weight·ε_R + row_weight·ε_P <= ε_sim = w_sim ε/2 for all `pairs` estimates.

    Failure probability δ/4 for the rewards and δ/4 for the rows, each divided by the union over the
    pairs. With it comes the lemma on the rows at that point.
    """
    share = w_reward if rewards == "sampled" else sp.Integer(0)
    error = w_sim * epsilon / 2
    lemma = row_lemma(rows, delta / (4 * pairs), (1 - share) * error / row_weight)
    if rewards == "known":
        return lemma.expression, lemma
    means = hoeffding_samples(delta / (4 * pairs), share * error / reward_weight, r_max)
    return sp.Max(sp.ceiling(means), lemma.expression, evaluate=False), lemma


def _accuracy(rewards: Rewards, scale: sp.Expr) -> Factors:
    """Return the factor of m that the accuracy asks for: 1 where one visit tells all (B = 1, rewards known)."""
    if rewards == "known":
        scale = sp.Piecewise((1, sp.Eq(branching, 1)), (scale, True))
    return (("accuracy of the model", scale),)


def _bound(
    label: str,
    assumptions: tuple[str, ...],
    rewards: Rewards,
    pooled: bool,
    names: tuple[str, ...],
    name: str,
    expression: sp.Expr,
    factors: tuple[tuple[str, sp.Expr], ...] = (),
    grows: tuple[str, ...] = (),
    shrinks: tuple[str, ...] = (),
    sketch: str = "",
    lemma: Bound | None = None,
    largest: sp.Expr = r_max / (1 - discount),
) -> Bound:
    """Return a member of a T1 family; a lemma in the place of P1 lends it its assumptions, conditions and source.

    What such a member grows and shrinks in is not known.
    """
    return Bound(
        conditions=(accurate(largest), *(() if lemma is None else lemma.conditions)),
        factors=factors,
        grows=grows if lemma is None else (),
        shrinks=shrinks if lemma is None else (),
        sketch=sketch,
        name=name,
        label=f"{label} with X2" if pooled else label,
        expression=expression,
        source=f"{label}; {_RMAX}" + ("" if lemma is None else f"; for P1: {lemma.source}"),
        assumptions=assumptions
        + (_KNOWN if rewards == "known" else _SAMPLED)
        + (_POOLED if pooled else ())
        + (() if lemma is None else lemma.assumptions),
        parameters=(*names, "w_reward") if rewards == "sampled" else names,
        weights=tuple(w for w in names if w.startswith("w_")),
    )


_VISITS = "P1 for each pair at the accuracy that P2 and P3 leave, with a union over the pairs."
_REACH = "γ̂^H V_max <= w_hor ε."
_LIKELY = "P4: where exploring within the horizon has at most this chance it costs w_esc ε at most."
_BLOCKS = "P5 at k0 = the unknown pairs' visits and p = w_esc ε/V_max."
_TOTAL = "P3 and P4: a step with p_t <= p is ε-optimal; the others lie in the blocks of P5, H steps each."
_RESTARTED = "P3, and P4 with H = T, which has no tail; the episodes are the blocks of P5."
_STARTS = "A start in a state with an unknown action takes it; a union over the start states of a binomial tail."

_GROWS = ("n_states", "n_actions", "branching", "discount", "r_max")
_SHRINKS = ("epsilon", "delta")
_UNIFORM = "each episode starts in a state drawn uniformly and independently"


def _grows(rewards: str, pooled: bool) -> tuple[str, ...]:
    """Return what m and the counts of steps grow in; with pooled counts |Â| does not matter."""
    return tuple(s for s in _GROWS if not (pooled and s == "n_actions"))


_SIZES = ("n_states", "n_actions", "branching", "epsilon", "delta", "discount", "r_max")


@cache
def t1(rewards: Rewards = "known", pooled: bool = False, form: Form = "binomial", rows: Bound | None = None) -> T1:
    """Return T1: with probability 1-δ all but H·N steps of continuing R-max are ε-optimal.

    V_max = R_max/(1-γ̂), H = max(1, ⌈ln(V_max/(w_hor ε))/ln(1/γ̂)⌉), p = w_esc ε/V_max, N from P5 at
    k0 = |Ŝ||Â|m, and m = max(⌈R_max² ln(8|Ŝ||Â|/δ)/(2ε_R²)⌉, rows), where rows is the smaller of
    ⌈2 ln(4|Ŝ||Â|(2^B-2)/δ)/ε_P²⌉ and ⌈(√(B-1)+√(2 ln(4|Ŝ||Â|/δ)))²/ε_P²⌉, and 1 for B = 1.

    Parameters
    ----------
    rewards : {"known", "sampled"}
        "known": the reward is a known function of (s, a, s'). There is no ε_R, but the estimated row also
        averages the reward, so that P2 reads ε_sim = ½ε_P V_max/(1-γ̂), *without* a factor γ̂, and
        ε_P = w_sim ε(1-γ̂)/V_max; m = 1 for B = 1. "sampled": ε_R = w_R w_sim ε(1-γ̂)/2 and
        ε_P = (1-w_R) w_sim ε(1-γ̂)/(γ̂V_max), with w_R = `w_reward` given by the caller; ½ is the equal split.
    pooled : bool
        X2: count visits per meta-state of an exact window, so that k0 = |Ŝ|m and unions run over |Ŝ|.
    form : {"binomial", "closed", "classical"}
        How N is computed, as for `p5`; the closed forms can be evaluated on grids.
    rows : Bound, optional
        A lemma of your own in the place of P1: how many samples bring one row within `eps_transition` of the truth in
        L1, with probability 1 - `failure`. Its symbols are among `ROW_INPUTS`; the theorem rounds it up.

    Returns
    -------
    T1
        Bounds in n_states, n_actions, branching, epsilon, delta, discount, r_max, w_plan, w_sim, w_hor,
        w_esc (and w_reward). The four weights share out epsilon and must sum to 1.

    Notes
    -----
    False when episodes are cut after fewer than H steps: see `t1_episodic` and `x4`. The m that goes with X4 is this
    one at w_hor = w_esc = 0; `effective_horizon` and `blocks` need them positive.

    Examples
    --------
    One state, two actions, one successor: m = 1 and k0 = 2. With γ̂ = ½, ε = ½ and weights ¼, V_max = 2,
    H = 4 as 2·(½)⁴ = ¼·½, and p = ¼·½/2 = 1/16.

    >>> w = dict(w_plan="1/4", w_sim="1/4", w_hor="1/4", w_esc="1/4")
    >>> sizes = dict(n_states=1, n_actions=2, branching=1, epsilon=0.5, delta=0.2, discount=0.5, r_max=1)
    >>> t1().evaluate(**sizes, **w)
    {'m': 1, 'effective_horizon': 4, 'escape': Fraction(1, 16), 'blocks': 61, 'steps': 244}

    A lemma by which 1/ε_P samples are enough: ε_P = w_sim ε(1-γ̂)/V_max = 1/32, so that m = 32.

    >>> mine = Bound(name="samples", label="", source="a conjecture", expression=1 / eps_transition)
    >>> t1(rows=mine).m.evaluate(**sizes, **w)
    32
    """
    _check(rewards, pooled)
    check_rows(rows)
    v_max = r_max / (1 - discount)
    pairs = n_states if pooled else n_states * n_actions
    if rewards == "known":
        visits, used = _model_m(rewards, pairs, sp.Integer(0), v_max / (1 - discount) / 2, rows)
    else:
        visits, used = _model_m(rewards, pairs, 1 / (1 - discount), discount * v_max / (1 - discount) / 2, rows)
    lemma = None if rows is None else used
    reach = sp.ceiling(sp.log(v_max / (w_hor * epsilon)) / sp.log(1 / discount))
    steps_ahead = sp.Piecewise((1, sp.Eq(discount, 0)), (sp.Max(1, reach, evaluate=False), True))
    threshold = sp.Min(1, w_esc * epsilon / v_max, evaluate=False)
    parts = {explorations: pairs * visits, escape: threshold}
    blocks = substitute(p5(form).expression, parts)
    names = (*_SIZES, "w_plan", "w_sim", "w_hor", "w_esc")
    accuracy = _accuracy(rewards, (v_max / (w_sim * epsilon * (1 - discount))) ** 2)
    logarithms = (("support and union", visits / accuracy[0][1]),)
    count = (("pairs" if not pooled else "states", pairs), *accuracy, *logarithms)
    escapes = (("escape probability", 1 / threshold),)

    whole = _grows(rewards, pooled), _SHRINKS

    def bound(
        name: str,
        expression: sp.Expr,
        sketch: str,
        moves: tuple[tuple[str, ...], tuple[str, ...]] = whole,
        factors: Factors = (),
    ) -> Bound:
        own = lemma if moves is whole else None
        return _bound("T1", _CONTINUING, rewards, pooled, names, name, expression, factors, *moves, sketch, own)

    reaching = (("discount", "r_max"), ("epsilon", "w_hor"))
    escaping = (("epsilon", "w_esc"), ("discount", "r_max"))
    product = (*count, *escapes, ("horizon", steps_ahead))
    return T1(
        m=bound("visits that make a pair known", visits, _VISITS, factors=accuracy),
        effective_horizon=bound("steps until the discounted rest is negligible", steps_ahead, _REACH, reaching),
        escape=bound("probability of exploring above which a step may be bad", threshold, _LIKELY, escaping),
        blocks=bound("blocks of steps that may be bad", blocks, _BLOCKS, factors=(*count, *escapes)),
        steps=bound("steps that are not epsilon-optimal", steps_ahead * blocks, _TOTAL, factors=product),
    )


@cache
def t1_episodic(
    rewards: Rewards = "known", pooled: bool = False, form: Form = "binomial", rows: Bound | None = None
) -> T1Episodic:
    """Return T1-ep: with probability 1-δ all but N episodes of T steps are ε-optimal for the T-step return.

    V_j = R_max(1-γ̂^j)/(1-γ̂) is the largest j-step return, p = w_esc ε/V_T, N from P5 at k0 = |Ŝ||Â|m,
    and m as in T1 with 2ε_sim,T = w_sim ε.

    Parameters
    ----------
    rewards : {"known", "sampled"}
        "known" (a function of (s, a, s')): ε_sim,T = ½ε_P Σ_{k<T} γ̂^k V_{T-k}, since the row averages
        the reward as well. "sampled": ε_sim,T = Σ_{k<T} γ̂^k (ε_R + ½γ̂ε_P V_{T-1-k}), of which ε_R takes
        the share `w_reward`.
    pooled : bool
        X2, as in `t1`.
    form : {"binomial", "closed", "classical"}
        How N is computed, as for `p5`.
    rows : Bound, optional
        A lemma in the place of P1, as in `t1`.

    Returns
    -------
    T1Episodic
        Bounds in the symbols of `t1` without w_hor, and horizon = T, a whole number. The three weights
        must sum to 1.

    Examples
    --------
    Two steps at γ̂ = ½: V_2 = 3/2, so p = ¼·½/(3/2) = 1/12.

    >>> w = dict(w_plan="1/4", w_sim="1/2", w_esc="1/4")
    >>> sizes = dict(n_states=1, n_actions=2, branching=1, epsilon=0.5, delta=0.2, discount=0.5, r_max=1)
    >>> t1_episodic().evaluate(**sizes, horizon=2, **w)
    {'m': 1, 'escape': Fraction(1, 12), 'episodes': 46, 'steps': 92}
    """
    _check(rewards, pooled)
    check_rows(rows)
    pairs = n_states if pooled else n_states * n_actions
    tail = discount**horizon
    total = (1 - tail) / (1 - discount)  # Σ_{k<T} γ^k
    row_weight = r_max * ((1 if rewards == "known" else discount) * total - horizon * tail) / (2 * (1 - discount))
    visits, used = _model_m(rewards, pairs, total, row_weight, rows)
    lemma = None if rows is None else used
    threshold = sp.Min(1, w_esc * epsilon / (r_max * total), evaluate=False)
    episodes = substitute(p5(form).expression, {explorations: pairs * visits, escape: threshold})
    names = (*_SIZES, "horizon", "w_plan", "w_sim", "w_esc")
    known_weight = r_max * (total - horizon * tail) / (1 - discount)
    accuracy = _accuracy(rewards, (known_weight / (w_sim * epsilon)) ** 2)
    logarithms = (("support and union", visits / accuracy[0][1]),)
    count = (("states" if pooled else "pairs", pairs), *accuracy, *logarithms, ("escape probability", 1 / threshold))
    whole = (*_grows(rewards, pooled), "horizon"), _SHRINKS

    def bound(
        name: str,
        expression: sp.Expr,
        sketch: str,
        factors: Factors = (),
        moves: tuple[tuple[str, ...], tuple[str, ...]] = whole,
    ) -> Bound:
        own = lemma if moves is whole else None
        described = ("T1-ep", _EPISODIC, rewards, pooled, names, name, expression, factors, *moves, sketch, own)
        return _bound(*described, largest=r_max * total)

    escaping = (("epsilon", "w_esc"), ("discount", "r_max", "horizon"))
    return T1Episodic(
        m=bound("visits that make a pair known", visits, _VISITS, accuracy),
        escape=bound("probability of exploring above which an episode may be bad", threshold, _LIKELY, moves=escaping),
        episodes=bound("episodes that are not epsilon-optimal", episodes, _RESTARTED, count),
        steps=bound(
            "steps in episodes that are not epsilon-optimal",
            horizon * episodes,
            _RESTARTED,
            (*count, ("episode", horizon)),
        ),
    )


@cache
def x4(softmax: bool = False) -> X4:
    """Return X4 for the uniform start law: ⌈k0/T⌉ <= episodes until all pairs are known <= N_ep.

    k0 = |Ŝ||Â|m; N_ep = min{N : |Ŝ| Pr(Bin(N, 1/|Ŝ|) <= |Â|m-1) <= δ/2}, with 1/(|Ŝ||Â|) for 1/|Ŝ| under
    softmax play. The upper end holds with probability 1-δ/2, the lower always; neither needs the Markov
    property.

    Parameters
    ----------
    softmax : bool
        Actions are drawn from a softmax in which unknown actions have the largest value, instead of
        greedily.

    Returns
    -------
    X4
        Bounds in n_states, n_actions, m, horizon and delta.

    Examples
    --------
    Matching Pennies, window 2, m = 1005, episodes of 10 steps:

    >>> x4().evaluate(n_states=16, n_actions=2, m=1005, horizon=10, delta=0.2)
    {'lower': 3216, 'upper': 33922, 'steps': 339220}
    """
    trial = 1 / (n_states * n_actions) if softmax else 1 / n_states
    upper = FewestTrials(n_actions * m - 1, trial, delta / (2 * n_states))
    play = "unknown actions have the largest value in the softmax" if softmax else "greedy play, unknown actions first"

    sizes = ("n_states", "n_actions", "m")

    def bound(
        name: str, expression: sp.Expr, sketch: str, shrinks: tuple[str, ...], *assumptions: str, grows: tuple[str, ...]
    ) -> Bound:
        return Bound(
            name=name,
            label="X4",
            expression=expression,
            source="X4, of this package: random restarts",
            assumptions=assumptions,
            parameters=(*sizes, "horizon", "delta"),
            grows=grows,
            shrinks=shrinks,
            sketch=sketch,
        )

    least = sp.ceiling(n_states * n_actions * m / horizon)
    return X4(
        lower=bound(
            "episodes until all pairs are known, at least",
            least,
            "An episode makes T visits.",
            ("horizon",),
            "episodes of `horizon` steps",
            grows=sizes,
        ),
        upper=bound(
            "episodes until all pairs are known, at most", upper, _STARTS, ("delta",), _UNIFORM, play, grows=sizes
        ),
        steps=bound(
            "steps that are not epsilon-optimal",
            horizon * upper,
            f"{_STARTS} Once all pairs are known every step is ε-optimal by P3.",
            ("delta",),
            _UNIFORM,
            play,
            "an exact MDP",
            grows=(*sizes, "horizon"),
        ),
    )


@cache
def t1_restarts(rewards: Rewards = "known", pooled: bool = False, rows: Bound | None = None) -> T1Restarts:
    """Return T1 under random restarts: with probability 1-δ at most T·N_ep steps are not ε-optimal (X4).

    X4 with T1's m put in. No w_hor and no w_esc: all of epsilon goes to planning and to the model.

    Parameters
    ----------
    rewards : {"known", "sampled"}
        As in `t1`.
    pooled : bool
        X2, as in `t1`: a meta-state is known after m visits, so that X4 counts one row for each.
    rows : Bound, optional
        A lemma in the place of P1, as in `t1`.

    Returns
    -------
    T1Restarts
        Bounds in the symbols of `t1` without w_hor and w_esc, and horizon = T. The two weights must sum to 1.

    Examples
    --------
    One state, two actions, one successor: m = 1, two episodes of one step visit both pairs.

    >>> sizes = dict(n_states=1, n_actions=2, branching=1, epsilon=0.5, delta=0.2, discount=0.5, r_max=1)
    >>> t1_restarts().evaluate(**sizes, horizon=1, w_plan="1/4", w_sim="3/4")
    {'m': 1, 'lower': 2, 'episodes': 2, 'steps': 2}
    """
    base, bracket = t1(rewards, pooled, rows=rows), x4()
    names = (*_SIZES, "horizon", "w_plan", "w_sim", *(("w_reward",) if rewards == "sampled" else ()))
    notes = (
        *_COMMON,
        *(_KNOWN if rewards == "known" else _SAMPLED),
        *(_POOLED if pooled else ()),
        *(() if rows is None else rows.assumptions),
    )
    count = base.blocks.factors[:3]  # without the escape probability
    grows = _grows(rewards, pooled)

    def composed(part: Bound, **changes: Any) -> Bound:
        if pooled and part is not base.m:  # X4 counts one row for each meta-state; m keeps the |Â| of its lemma
            part = substituted(part, {n_actions: sp.Integer(1)})
        if rows is not None:
            changes |= {"grows": (), "shrinks": ()}
        fields = {
            "label": "T1 with X4 and X2" if pooled else "T1 with X4",
            "source": f"X4, of this package; {_RMAX if rows is None else base.m.source}",
            "parameters": names,
            "conditions": base.m.conditions,
            "assumptions": (*part.assumptions, *notes),
            "weights": ("w_plan", "w_sim"),
            "factors": count,
        }
        return substituted(part, {m: base.m.expression}, **{**fields, **changes})

    return T1Restarts(
        m=composed(base.m, assumptions=notes, factors=base.m.factors, grows=grows, shrinks=_SHRINKS),
        lower=composed(bracket.lower, grows=grows, shrinks=("epsilon", "delta", "horizon")),
        episodes=composed(bracket.upper, grows=grows, shrinks=_SHRINKS),
        steps=composed(
            bracket.steps, grows=(*grows, "horizon"), shrinks=_SHRINKS, factors=(*count, ("episode", horizon))
        ),
    )


def x4_scheduled(visits: Bound, softmax: bool = False) -> Bound:
    """Return X4's steps with the m of a schedule, such as `t1().m`, for m: how they grow in what m depends on.

    Parameters
    ----------
    visits : Bound
        Visits that make a pair known.
    softmax : bool
        As in `x4`.

    Examples
    --------
    The paper's schedule m = 1005 for window 2:

    >>> x4_scheduled(paper_m()).evaluate(n_states=16, n_actions=2, horizon=10, epsilon=0.8, delta=0.2, discount=0.8)
    339220
    """
    base = x4(softmax).steps
    label = f"X4, m of {visits.label}"
    scheduled = {"name": f"{base.name}, m scheduled", "label": label, "conditions": visits.conditions}
    return substituted(base, {m: visits.expression}, **scheduled)


def x4_upper(start_law: Sequence[Number], *, n_actions: int, m: int, delta: Number, softmax: bool = False) -> int:
    """Return X4's N_ep for any start law: min{N : Σ_s Pr(Bin(N, ρ(s)) <= |Â|m-1) <= δ/2}.

    Parameters
    ----------
    start_law : sequence of numbers, one per meta-state
        ρ(s) > 0. It must sum to 1; floats may miss that by 1e-9 and are then divided by their sum.
    n_actions, m : int
        Actions, and visits that make a pair known.
    delta : number
        The bound holds with probability 1 - delta/2; 0 < delta < 1.
    softmax : bool
        As in `x4`: ρ(s)/|Â| for ρ(s).

    Raises
    ------
    TypeError, ValueError
        If an entry is not a positive number, or the law does not sum to 1.

    Examples
    --------
    >>> x4_upper([Fraction(1, 16)] * 16, n_actions=2, m=1005, delta=0.2)
    33922
    >>> x4_upper([0.5, 0.25, 0.25], n_actions=1, m=1, delta=0.5)
    8
    """
    law = [exact(x, f"start_law[{i}]") for i, x in enumerate(start_law)]
    if not law:
        raise ValueError("start_law is empty; give one probability per meta-state")
    for i, x in enumerate(law):
        if x <= 0:
            raise ValueError(f"start_law[{i}] must be greater than 0, else that state need never be met; got {x}")
    total = sum(law, Fraction(0))
    slack = Fraction(1, 10**9) if any(isinstance(x, float) for x in start_law) else 0
    if abs(total - 1) > slack:
        raise ValueError(f"start_law must sum to 1; it sums to {float(total):.12g}")
    actions = REGISTRY["n_actions"].read(n_actions)
    visits = actions * REGISTRY["m"].read(m)
    scale = total * actions if softmax else total
    groups = [(count, x / scale) for x, count in sorted(Counter(law).items())]
    return fewest_trials_of(groups, int(visits) - 1, REGISTRY["delta"].read(delta) / 2)


def paper_m() -> Bound:
    """Return the visits of the R-FOS paper's experiment: ⌊|Ŝ| ln(1/δ)/(ε(1-γ̂))²⌋.

    Examples
    --------
    >>> [paper_m().evaluate(n_states=4**h, delta=0.2, epsilon=0.8, discount=0.8) for h in (2, 3, 4)]
    [1005, 4023, 16094]
    """
    return Bound(
        name="visits that make a pair known, as in the paper's experiment",
        label="paper",
        expression=sp.floor(n_states * sp.log(1 / delta) / (epsilon * (1 - discount)) ** 2),
        source=f"{_RFOS}, experiment",
        assumptions=("a setting, not a bound: T1's logarithm and V_max are left out",),
        kind=Kind.LEADING,
        parameters=("n_actions",),
        grows=("n_states", "discount"),
        shrinks=("epsilon", "delta"),
        sketch="Hoeffding for each of |Ŝ| states, leaving out the union and V_max.",
    )


def paper_sweeps() -> Bound:
    """Return the sweeps of each replanning in the R-FOS paper's experiment: ⌊ln(1/(ε(1-γ̂)))/(1-γ̂)⌋.

    Examples
    --------
    >>> paper_sweeps().evaluate(epsilon=0.8, discount=0.8)
    9
    """
    return Bound(
        name="sweeps of each replanning, as in the paper's experiment",
        label="paper",
        expression=sp.floor(sp.log(1 / (epsilon * (1 - discount))) / (1 - discount)),
        source=f"{_RFOS}, experiment; Strehl, Li and Littman 2009, Proposition 4",
        assumptions=("a setting, not a bound",),
        kind=Kind.LEADING,
        shrinks=("epsilon",),
        sketch="ln(V_max/ε)/(1-γ̂) >= ln(V_max/ε)/ln(1/γ̂), the sweeps after which γ̂^n V_max <= ε.",
    )


def default_weights(kind: Literal["continuing", "episodic"]) -> dict[str, Fraction]:
    """Return shares of epsilon that sum to 1 and come close to the smallest T1 or T1-ep.

    Planning is nearly free. Without logarithms T1 is proportional to 1/(w_sim² w_esc), which is smallest
    at 2 : 1; w_hor enters by a logarithm only.

    Examples
    --------
    >>> {name: str(w) for name, w in default_weights("episodic").items()}
    {'w_plan': '1/100', 'w_sim': '33/50', 'w_esc': '33/100'}
    """
    if kind == "continuing":
        percent = {"w_plan": 1, "w_sim": 62, "w_hor": 6, "w_esc": 31}
    elif kind == "episodic":
        percent = {"w_plan": 1, "w_sim": 66, "w_esc": 33}
    else:
        raise ValueError(f'kind must be "continuing" or "episodic"; got {kind!r}')
    return {name: Fraction(share, 100) for name, share in percent.items()}
