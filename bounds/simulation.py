"""From an estimated model to a policy: the simulation lemma, optimism, explore or exploit, aliasing (P2-P4, X6).

M_K is the true model on known pairs and M̂_K the empirical one; unknown pairs are worth V_max = R_max/(1-γ̂) in both,
so that all values lie in [0, V_max].
"""

from __future__ import annotations

from dataclasses import replace
from typing import Literal

import sympy as sp

from bounds.bound import Bound
from bounds.rmax import Rewards, accurate
from bounds.symbols import (
    aliasing,
    discount,
    eps_plan,
    eps_reward,
    eps_sim,
    eps_transition,
    epsilon,
    escape,
    exploring,
    failure,
    horizon,
    m,
    model_change,
    n_actions,
    n_states,
    optimism,
    r_max,
)

_MODELS = ("rewards lie in [0, r_max]", "the same pairs are unknown in both models and worth V_max there")
_V_MAX = r_max / (1 - discount)


def _check(rewards: str) -> None:
    if rewards not in ("known", "sampled"):
        raise ValueError(f'rewards must be "known" or "sampled"; got {rewards!r}')


def coupling(t: sp.Expr, discount: sp.Expr) -> sp.Expr:
    """Return t/(1-γ+γt), the discounted share of time after the first mismatch, if one has chance t in each step."""
    return t / (1 - discount + discount * t)


def p2(rewards: Rewards = "sampled") -> Bound:
    """Return the simulation lemma: ‖V̂-V‖∞ <= (ε_R + ½γ̂ε_P V_max)/(1-γ̂) for every policy (P2).

    Parameters
    ----------
    rewards : {"known", "sampled"}
        "known": the reward is a known function of (s, a, s'), and the row averages it too: ½ε_P V_max/(1-γ̂).

    Examples
    --------
    γ̂ = ½, so V_max = 2: (1/10 + ½·½·1/5·2)/½ = 2/5; with known rewards ½·1/5·2/½ = 2/5 too.

    >>> p2().evaluate(eps_reward="1/10", eps_transition="1/5", discount=0.5, r_max=1)
    Fraction(2, 5)
    >>> p2("known").evaluate(eps_transition="1/5", discount=0.5, r_max=1)
    Fraction(2, 5)
    """
    _check(rewards)
    error = eps_transition * _V_MAX / 2
    total = error if rewards == "known" else eps_reward + discount * error
    return Bound(
        name="error of a policy's value in the estimated model",
        label="P2",
        expression=total / (1 - discount),
        source="P2; Kearns and Singh 2002, Lemma 4; Kakade 2003, Lemma 8.5.4, with the span of the value",
        assumptions=_MODELS,
        grows=(*(() if rewards == "known" else ("eps_reward",)), "eps_transition", "discount", "r_max"),
        sketch="V̂-V = (I-γ̂P̂)^{-1}[R̂-R + γ̂(P̂-P)V]; (P̂-P)V is at most half the L1 distance times the span of V.",
    )


def p2_plus(rewards: Rewards = "sampled") -> Bound:
    """Return the sharp simulation lemma: ε_R/(1-γ̂) + V_max γ̂t/(1-γ̂+γ̂t), t = ε_P/2 (P2+); attained for every t.

    Parameters
    ----------
    rewards : {"known", "sampled"}
        "known" (a function of (s, a, s')): V_max t/(1-γ̂+γ̂t), attained too.

    Examples
    --------
    γ̂ = ½, t = 1/10: (1/10)/½ + 2·(1/20)/(11/20) = 1/5 + 2/11.

    >>> p2_plus().evaluate(eps_reward="1/10", eps_transition="1/5", discount=0.5, r_max=1)
    Fraction(21, 55)
    """
    _check(rewards)
    share = coupling(eps_transition / 2, discount)
    total = _V_MAX * share if rewards == "known" else eps_reward / (1 - discount) + _V_MAX * discount * share
    return Bound(
        name="error of a policy's value in the estimated model, sharp",
        label="P2+",
        expression=total,
        source="P2+, of this package (coupling)",
        assumptions=(*_MODELS, "eps_transition is at most 2"),
        conditions=((sp.Ge(2, eps_transition), "two laws are at most 2 apart: give eps_transition from 0 to 2"),),
        grows=(*(() if rewards == "known" else ("eps_reward",)), "eps_transition", "discount", "r_max"),
        sketch=(
            "Couple the two trajectories until they first differ, which has chance t in each step; "
            "after that the values differ by V_max at most."
        ),
    )


def p3() -> Bound:
    """Return what the planned policy may fall short of V* in M_K: ε_plan + 2ε_sim (P3).

    Examples
    --------
    >>> p3().evaluate(eps_plan=0.1, eps_sim=0.2)
    Fraction(1, 2)
    """
    return Bound(
        name="shortfall of the planned policy in the model of known pairs",
        label="P3",
        expression=eps_plan + 2 * eps_sim,
        source="P3; Kakade 2003, Lemma 8.5.3; Strehl, Li and Littman 2009",
        assumptions=_MODELS,
        grows=("eps_plan", "eps_sim"),
        sketch="V^π_{M_K} >= V^π_{M̂_K}-ε_sim >= V*_{M̂_K}-ε_plan-ε_sim >= V*_{M_K}-ε_plan-2ε_sim >= V*-ε_plan-2ε_sim.",
    )


def planning_loss() -> Bound:
    """Return ε_plan of value iteration that stops once ‖Q_{k+1}-Q_k‖∞ <= τ: 2γ̂τ/(1-γ̂) (P3).

    Examples
    --------
    >>> planning_loss().evaluate(model_change="1/10", discount="4/5")
    Fraction(4, 5)
    """
    return Bound(
        name="loss of the greedy policy of a value iteration that was stopped",
        label="P3",
        expression=2 * discount * model_change / (1 - discount),
        source="P3; Williams and Baird 1993",
        assumptions=("the policy is greedy in the last backup",),
        grows=("discount", "model_change"),
        sketch="Its value and the optimal one both lie within γ̂τ/(1-γ̂) of the last values (MacQueen).",
    )


def p3_plus() -> Bound:
    """Return the same with the support paid once: ε_plan + ε_sim + ξ/(1-γ̂) (P3+).

    Examples
    --------
    >>> p3_plus().evaluate(eps_plan=0.1, eps_sim=0.2, optimism="1/20", discount=0.5)
    Fraction(2, 5)
    """
    return Bound(
        name="shortfall of the planned policy in the model of known pairs, sharp",
        label="P3+",
        expression=eps_plan + eps_sim + optimism / (1 - discount),
        source="P3+, of this package",
        assumptions=(*_MODELS, "optimism is the largest [Q* - (R̂ + γ̂P̂V*)]+ over known pairs"),
        grows=("eps_plan", "eps_sim", "optimism", "discount"),
        sketch="T̂V* >= V*-ξ on known pairs and V_max >= Q* on the others, so that V*_{M̂_K} >= V*-ξ/(1-γ̂).",
    )


def optimism_error() -> Bound:
    """Return ξ with probability 1-δ': V_max √(ln(|Ŝ||Â|/δ')/(2m)), without the size of the support (P3+).

    Examples
    --------
    V_max = 2, ln 2/(2·50) = 0.00693: 2·0.0833.

    >>> round(optimism_error().evaluate(n_states=1, n_actions=1, failure=0.5, m=50, discount=0.5, r_max=1), 4)
    0.1665
    """
    return Bound(
        name="error of one backup of the optimal value",
        label="P3+",
        expression=_V_MAX * sp.sqrt(sp.log(n_states * n_actions / failure) / (2 * m)),
        source="P3+, of this package; Hoeffding 1963, one-sided, as V* is a fixed function",
        assumptions=(*_MODELS, "m independent samples of each pair"),
        grows=("n_states", "n_actions", "discount", "r_max"),
        shrinks=("failure", "m"),
        sketch="r + γ̂V*(s') lies in [0, V_max] and V* does not depend on the samples: Hoeffding, without the 2^B.",
    )


def p4(form: Literal["discounted", "horizon"] = "discounted") -> Bound:
    """Return what playing loses against M_K: V_max e, e = E[γ̂^τ], τ = steps until an unknown pair is taken (P4).

    Parameters
    ----------
    form : {"discounted", "horizon"}
        "horizon" is the classical form, with e <= p + γ̂^H and p = Pr(τ < H), the symbols `escape` and `horizon`.

    Examples
    --------
    >>> p4().evaluate(exploring="1/4", discount=0.5, r_max=1)
    Fraction(1, 2)
    >>> p4("horizon").evaluate(escape="1/8", horizon=3, discount=0.5, r_max=1)
    Fraction(1, 2)
    """
    if form not in ("discounted", "horizon"):
        raise ValueError(f'form must be "discounted" or "horizon"; got {form!r}')
    discounted = form == "discounted"
    share = exploring if discounted else escape + discount**horizon
    return Bound(
        name="shortfall of the value against the model of known pairs",
        label="P4",
        expression=_V_MAX * share,
        source="P4; Kakade 2003, Lemma 8.5.5 (with a horizon)",
        assumptions=(*_MODELS, "ties are broken deterministically when a plan is made"),
        grows=("exploring" if discounted else "escape", "discount", "r_max"),
        shrinks=() if discounted else ("horizon",),
        sketch="The true process and M_K agree until an unknown pair is taken, which is worth V_max at most.",
    )


def x6() -> Bound:
    """Return A_κ, how far aliasing moves a policy's value: R_max κ/[(1-γ̂)(1-γ̂+γ̂κ)] (X6).

    R-max on the aliased process satisfies T1 with ε + 2A_κ in place of ε.

    Examples
    --------
    The paper's opponent hides κ = .9 at every window: .9/(.2·.92) = 4.89 of at most 5, which says nothing.

    >>> round(float(x6().evaluate(aliasing=0.9, discount=0.8, r_max=1)), 2)
    4.89
    """
    return Bound(
        name="error of values in any model of the meta-states alone",
        label="X6",
        expression=_V_MAX * coupling(aliasing, discount),
        source="X6, of this package (coupling)",
        assumptions=("aliasing is the largest total variation between laws of the next observation in a meta-state",),
        grows=("aliasing", "discount", "r_max"),
        sketch="As P2+, with a chance κ of a mismatch in each step, the reward included.",
    )


def x6_accuracy() -> Bound:
    """Return the accuracy with which R-max on an aliased process satisfies T1: ε + 2A_κ (X6).

    Examples
    --------
    κ = 1/10: A = (1/10)/(½·(½ + 1/20)) = 4/11.

    >>> x6_accuracy().evaluate(epsilon="1/2", aliasing="1/10", discount=0.5, r_max=1)
    Fraction(27, 22)
    """
    return replace(
        x6(),
        name="accuracy of R-max on an aliased process",
        expression=epsilon + 2 * x6().expression,
        assumptions=(*x6().assumptions, "what T1 assumes, save that the meta-states need not be Markov"),
        conditions=(accurate(),),
        grows=("epsilon", "aliasing", "discount", "r_max"),
        sketch=(
            "P1 holds for martingales, with the mixture of the laws met as its model; the optimal policy earns all but "
            "A_κ of its value there, and the policy that is played all but A_κ of its value there in truth."
        ),
    )
