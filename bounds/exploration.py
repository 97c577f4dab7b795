"""How often R-max can explore: the horizon-free count X1, and X3, which shows that it is tight given m."""

from __future__ import annotations

from functools import cache
from typing import Literal, TypeAlias

import sympy as sp

from bounds.bound import Bound
from bounds.symbols import delta, discount, explorations, far_states, m, n_actions, r_max, rate, safe_value

RateIs: TypeAlias = Literal["free", "chosen"]


def best_rate(k0: sp.Expr, discount: sp.Expr, delta: sp.Expr) -> sp.Expr:
    """Return a λ that is always valid and nearly the best for X1, for γ̂ > 0.

    With λ/(1-e^{-λ}) = 1 + λ/2 nearly, C = (k0 + γ̂ + γ̂ℓ/λ)/(1-γ̂-λ/2) nearly, smallest at the root of
    aλ² + 2bλ = 2b(1-γ̂), a = k0 + γ̂, b = γ̂ℓ. It lies below 2(1-γ̂), where γ̂λ < λ - λ²/2 < 1 - e^{-λ}.
    """
    a, b = k0 + discount, discount * sp.log(2 / delta)
    return (sp.sqrt(b**2 + 2 * a * b * (1 - discount)) - b) / a


def x1_rate() -> Bound:
    """Return the λ that X1 takes where none is given: valid for every k0 and nearly the best, for γ̂ > 0.

    Examples
    --------
    a = 1000 + ½ and b = ½ ln 10: (√(b² + ab) - b)/a, near √(b/a) = .0339.

    >>> round(x1_rate().evaluate(explorations=1000, discount=0.5, delta=0.2), 6)
    0.032791
    """
    return Bound(
        name="rate of the horizon-free count",
        label="X1",
        expression=best_rate(explorations, discount, delta),
        source="X1, of this package",
        assumptions=("a choice, not a bound: every rate that X1 allows proves it",),
        conditions=((discount, "without a discount every rate gives k0"),),
        shrinks=("explorations", "delta"),
        sketch="The minimum of X1 with λ/(1-e^{-λ}) = 1 + λ/2.",
    )


def count(k0: sp.Expr, rate: sp.Expr, discount: sp.Expr, delta: sp.Expr) -> sp.Expr:
    """Return C = [k0+γ̂(λ+ℓ)/(1-e^{-λ})]/[1-γ̂λ/(1-e^{-λ})], ℓ = ln(2/δ) (X1)."""
    share = 1 - sp.exp(-rate)
    return (k0 + discount * (rate + sp.log(2 / delta)) / share) / (1 - discount * rate / share)


def chosen_count(k0: sp.Expr, discount: sp.Expr, delta: sp.Expr) -> sp.Expr:
    """Return C at `best_rate`, and k0 for γ̂ = 0."""
    return sp.Piecewise((k0, sp.Eq(discount, 0)), (count(k0, best_rate(k0, discount, delta), discount, delta), True))


@cache
def x1(rate_is: RateIs = "chosen") -> Bound:
    """Return X1: with probability 1-δ/2, Σ_t e_t <= C = [k0+γ̂(λ+ℓ)/(1-e^{-λ})]/[1-γ̂λ/(1-e^{-λ})].

    e_t = E[γ̂^τ], τ = steps until an unknown pair is taken, and ℓ = ln(2/δ).

    Parameters
    ----------
    rate_is : {"free", "chosen"}
        Whether λ is the caller's `rate` or that of `best_rate`, which is valid everywhere and nearly the best.

    Examples
    --------
    γ̂ = 0: e_t is 1 where an unknown pair is taken, k0 times. k0 = 1000, γ̂ = ½, about k0/(1-γ̂):

    >>> x1().evaluate(explorations=7, discount=0, delta=0.2)
    7
    >>> round(x1().evaluate(explorations=1000, discount=0.5, delta=0.2), 1)
    2107.1
    """
    if rate_is not in ("free", "chosen"):
        raise ValueError(f'rate_is must be "free" or "chosen"; got {rate_is!r}')
    free = rate_is == "free"
    k0 = explorations
    share = 1 - sp.exp(-rate)
    rule = ((share - discount * rate, "rate λ must satisfy γ̂λ < 1 - e^{-λ}"),) if free else ()
    return Bound(
        name="sum of e_t, the expected discount until an unknown pair is taken",
        label="X1",
        expression=count(k0, rate, discount, delta) if free else chosen_count(k0, discount, delta),
        source="X1, of this package (a supermartingale and Ville's inequality)",
        assumptions=("an unknown pair can be taken at most k0 times", "ties are broken deterministically"),
        factors=(("explorations", k0), ("1/(1-discount)", 1 / (1 - discount))),
        conditions=rule,
        grows=("explorations", "discount"),
        shrinks=("delta",),
        sketch=(
            "e_t <= I_t + γ̂E[e_{t+1}|F_t] with ΣI_t <= k0; exp(-λe_{t+1}+(1-e^{-λ})E[e_{t+1}|F_t]) is a "
            "supermartingale factor."
        ),
    )


def x1_mean() -> Bound:
    """Return X1 without concentration: E Σ_t e_t <= k0/(1-γ̂).

    Examples
    --------
    >>> x1_mean().evaluate(explorations=96, discount="4/5")
    480
    """
    return Bound(
        name="expected sum of e_t",
        label="X1",
        expression=explorations / (1 - discount),
        source="X1, of this package",
        assumptions=("an unknown pair can be taken at most k0 times",),
        grows=("explorations", "discount"),
        sketch="e_t <= I_t + γ̂E[e_{t+1}|F_t] summed over t and averaged: (1-γ̂)EΣe_t <= EΣI_t <= k0.",
    )


_SLOW = (
    "the family of X3: a safe loop of value v > epsilon, a try that reaches one of n far states with probability 2q_c",
    "far states have n_actions actions that pay nothing and lead home",
)
_V_MAX = r_max / (1 - discount)
_CRITICAL = safe_value * (1 - discount) / (discount * (_V_MAX - safe_value))
_POSITIVE = (
    (_V_MAX - safe_value, "safe_value must lie below V_max"),
    (1 - 2 * _CRITICAL, "the try's probability 2q_c must lie below 1: take a smaller safe_value"),
)


def x3() -> Bound:
    """Return X3: in its family R-max takes at least γ̂nAm(V_max-v)/(8v(1-γ̂)) bad steps, given m.

    Examples
    --------
    γ̂ = 9/10, V_max = 10, v = 1: .9·10·2·100·9/(8·.1).

    >>> x3().evaluate(far_states=10, n_actions=2, m=100, discount=0.9, r_max=1, safe_value=1)
    20250
    """
    return Bound(
        name="steps that are not epsilon-optimal, at least",
        label="X3",
        expression=discount * far_states * n_actions * m * (_V_MAX - safe_value) / (8 * safe_value * (1 - discount)),
        source="X3, of this package",
        assumptions=_SLOW,
        conditions=_POSITIVE,
        grows=("far_states", "n_actions", "m", "discount", "r_max"),
        shrinks=("safe_value",),
        sketch=(
            "R-max tries while the estimated chance of an unfinished far state exceeds q_c; each such step is worth 0 "
            "and v could be had; far states fill at the rate q/n."
        ),
    )


def x3_failure() -> Bound:
    """Return the probability that X3's count is not reached: e^{-mq/32}+ne^{-Am/6}+e^{-nAm/12}, q = 2q_c.

    Examples
    --------
    q = 2·1·.1/(.9·9) = 2/81: e^{-m·2/81/32} is what matters.

    >>> point = dict(far_states=10, n_actions=2, m=10000, discount=0.9, r_max=1, safe_value=1)
    >>> round(x3_failure().evaluate(**point), 6)
    0.000446
    """
    q = 2 * _CRITICAL
    return Bound(
        name="probability that a run takes fewer bad steps",
        label="X3",
        expression=sp.exp(-m * q / 32)
        + far_states * sp.exp(-n_actions * m / 6)
        + sp.exp(-far_states * n_actions * m / 12),
        source="X3, of this package (Chernoff)",
        assumptions=_SLOW,
        conditions=_POSITIVE,
        grows=("discount", "r_max"),
        shrinks=("n_actions", "m", "safe_value"),
        sketch="Chernoff for q̂ >= 1.5q_c, for each far state's visits, and for the tries that the visits need.",
    )
