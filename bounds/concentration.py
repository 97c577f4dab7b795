"""P1: how far empirical rewards and transition rows stray, and the samples needed to hold them.

m independent samples of one state-action pair. In R-max the j-th visit to a pair reads entry j of a tape
drawn in advance, so the samples are independent whatever the policy, and a union over pairs costs a
factor in the failure probability.
"""

from __future__ import annotations

import sympy as sp

from bounds.bound import Bound
from bounds.symbols import branching, eps_reward, eps_transition, failure, m, r_max

_HOEFFDING = "P1; Hoeffding 1963, Theorem 2"
_WEISSMAN = "P1; Weissman, Ordentlich, Seroussi, Verdú and Weinberger 2003, Theorem 2.1"
_MCDIARMID = "P1; McDiarmid 1989, with E‖P̂-P‖₁ <= √((B-1)/m) by Cauchy-Schwarz"
_CHERNOFF = "The moment generating function of a centred variable in [0, R] is at most exp(s²R²/8); Markov, both tails."
_SUBSETS = (
    "‖P̂-P‖₁ = 2 max over sets of (P̂-P)(set); Hoeffding for each of the 2^B-2 sets that are neither empty nor all."
)
_DIFFERENCES = "One sample moves ‖P̂-P‖₁ by 2/m at most, and its mean is at most √((B-1)/m); bounded differences."
_REWARDS = ("m independent rewards in [0, r_max]",)
_ROWS = ("m independent successors", "the true row has at most `branching` successors, known beforehand")


def hoeffding_samples(failure: sp.Expr, eps: sp.Expr, r_max: sp.Expr) -> sp.Expr:
    """Return the real m at which Hoeffding's bound equals `failure`: R² ln(2/δ')/(2ε_R²)."""
    return r_max**2 * sp.log(2 / failure) / (2 * eps**2)


def weissman_samples(failure: sp.Expr, eps: sp.Expr, branching: sp.Expr) -> sp.Expr:
    """Return the real m at which Weissman's bound equals `failure`: 2 ln((2^B-2)/δ')/ε_P², for B >= 2.

    ln(2^B - 2) is written B ln 2 + ln(1 - 2^(1-B)), which stays small when 2^B does not.
    """
    return 2 * (branching * sp.log(2) + sp.log((1 - 2 ** (1 - branching)) / failure)) / eps**2


def mcdiarmid_samples(failure: sp.Expr, eps: sp.Expr, branching: sp.Expr) -> sp.Expr:
    """Return the real m at which McDiarmid's radius equals ε_P: (√(B-1) + √(2 ln(1/δ')))²/ε_P²."""
    return (sp.sqrt(branching - 1) + sp.sqrt(2 * sp.log(1 / failure))) ** 2 / eps**2


def transition_samples(failure: sp.Expr, eps: sp.Expr, branching: sp.Expr) -> sp.Expr:
    """Return the whole number of samples that the better of Weissman and McDiarmid needs; 1 for B = 1."""
    better = sp.Min(
        weissman_samples(failure, eps, branching), mcdiarmid_samples(failure, eps, branching), evaluate=False
    )
    return sp.Piecewise((1, sp.Eq(branching, 1)), (sp.Max(1, sp.ceiling(better), evaluate=False), True))


def hoeffding() -> Bound:
    """Return Hoeffding's bound on Pr(|R̂-R| > ε_R): 2 exp(-2mε_R²/R_max²) (P1).

    Examples
    --------
    2e^-2 for m = 100, ε_R = 1/10:

    >>> round(hoeffding().evaluate(m=100, eps_reward=0.1, r_max=1), 6)
    0.270671
    """
    return Bound(
        name="probability that an estimated reward errs by more than eps_reward",
        label="P1",
        expression=2 * sp.exp(-2 * m * eps_reward**2 / r_max**2),
        source=_HOEFFDING,
        assumptions=_REWARDS,
        grows=("r_max",),
        shrinks=("m", "eps_reward"),
        sketch=_CHERNOFF,
    )


def weissman() -> Bound:
    """Return Weissman's bound on Pr(‖P̂-P‖₁ > ε_P): (2^B-2) exp(-mε_P²/2), which is 0 for B = 1 (P1).

    Examples
    --------
    2e^-2 for B = 2, m = 100, ε_P = 1/5; one successor is estimated without error:

    >>> round(weissman().evaluate(m=100, eps_transition=0.2, branching=2), 6)
    0.270671
    >>> weissman().evaluate(m=100, eps_transition=0.2, branching=1)
    0
    """
    return Bound(
        name="probability that an estimated row errs by more than eps_transition (Weissman)",
        label="P1",
        expression=(2**branching - 2) * sp.exp(-m * eps_transition**2 / 2),
        source=_WEISSMAN,
        assumptions=_ROWS,
        grows=("branching",),
        shrinks=("m", "eps_transition"),
        sketch=_SUBSETS,
    )


def mcdiarmid() -> Bound:
    """Return McDiarmid's bound on Pr(‖P̂-P‖₁ > ε_P): exp(-m(ε_P-√((B-1)/m))²/2), at most 1 (P1).

    Examples
    --------
    e^-2 for B = 5, m = 100, ε_P = 2/5, as √(4/100) = 1/5; below the mean nothing is claimed:

    >>> round(mcdiarmid().evaluate(m=100, eps_transition=0.4, branching=5), 6)
    0.135335
    >>> mcdiarmid().evaluate(m=100, eps_transition=0.1, branching=5)
    1
    """
    excess = sp.Max(0, eps_transition - sp.sqrt((branching - 1) / m), evaluate=False)
    return Bound(
        name="probability that an estimated row errs by more than eps_transition (McDiarmid)",
        label="P1",
        expression=sp.exp(-m * excess**2 / 2),
        source=_MCDIARMID,
        assumptions=_ROWS,
        grows=("branching",),
        shrinks=("m", "eps_transition"),
        sketch=_DIFFERENCES,
    )


def mcdiarmid_radius() -> Bound:
    """Return a row's L1 error with probability 1-δ': √((B-1)/m)+√(2 ln(1/δ')/m) (P1).

    Examples
    --------
    >>> round(mcdiarmid_radius().evaluate(m=100, branching=5, failure=0.5), 6)
    0.317741
    """
    return Bound(
        name="error of an estimated row",
        label="P1",
        expression=sp.sqrt((branching - 1) / m) + sp.sqrt(2 * sp.log(1 / failure) / m),
        source=_MCDIARMID,
        assumptions=_ROWS,
        grows=("branching",),
        shrinks=("m", "failure"),
        sketch=_DIFFERENCES,
    )


def reward_m() -> Bound:
    """Return the samples after which |R̂-R| <= ε_R with probability 1-δ': ⌈R_max² ln(2/δ')/(2ε_R²)⌉ (P1).

    Examples
    --------
    50 ln 20 = 149.8 for ε_R = 1/10, δ' = 1/10:

    >>> reward_m().evaluate(failure=0.1, eps_reward=0.1, r_max=1)
    150
    """
    needed = sp.ceiling(hoeffding_samples(failure, eps_reward, r_max))
    return Bound(
        name="samples for one mean reward",
        label="P1",
        expression=sp.Max(1, needed, evaluate=False),
        source=_HOEFFDING,
        assumptions=_REWARDS,
        grows=("r_max",),
        shrinks=("failure", "eps_reward"),
        sketch=_CHERNOFF,
    )


def transition_m() -> Bound:
    """Return the samples after which ‖P̂-P‖₁ <= ε_P with probability 1-δ' (P1).

    min{⌈2 ln((2^B-2)/δ')/ε_P²⌉, ⌈(√(B-1)+√(2 ln(1/δ')))²/ε_P²⌉}, and 1 for B = 1.

    Examples
    --------
    Weissman with 50 ln 20 = 149.8 for B = 2; McDiarmid from about B = 55 ln(1/δ') on:

    >>> transition_m().evaluate(failure=0.1, eps_transition=0.2, branching=2)
    150
    >>> transition_m().evaluate(failure=0.1, eps_transition=0.2, branching=1)
    1
    """
    return Bound(
        name="samples for one transition row",
        label="P1",
        expression=transition_samples(failure, eps_transition, branching),
        source=f"{_WEISSMAN}; {_MCDIARMID}",
        assumptions=_ROWS,
        grows=("branching",),
        shrinks=("failure", "eps_transition"),
        sketch=f"The smaller of two. Weissman: {_SUBSETS} McDiarmid: {_DIFFERENCES}",
    )
