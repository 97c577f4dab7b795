"""Teams: one estimated model for all policies, the exploration that makes it good, and optimism in a class (M1 to M5).

A finite Dec-POMDP is estimated row by row: a row is the law of next state and joint observation of a pair of state and
joint action, or the start law. Rewards lie in [0, 1] for each step (multiply values by their range otherwise), an
episode has T steps, and G_T(γ) = Σ_{i<T} γ^i is the largest return. Every statement is derived here; the paper on
learning a centralised model for decentralised policies (Zhang, Lu, Garg and Foerster 2022) states a polynomial bound.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cache
from typing import Literal, TypeAlias

import sympy as sp

from bounds._evaluate import Mismatch, Missed, PowerSum, closed_form
from bounds.bound import Bound, Family, Kind
from bounds.concentration import hoeffding_samples
from bounds.rmax import Factors, Form, accurate, check_rows, p5, row_lemma
from bounds.sharp import row_root
from bounds.substitution import substitute
from bounds.symbols import (
    bracket,
    branching,
    delta,
    discount,
    episode_discount,
    eps_plan,
    eps_sim,
    epsilon,
    escape,
    explorations,
    failure,
    horizon,
    m,
    model_tv,
    n_actions,
    n_observations,
    n_rows,
    n_states,
    rate,
    return_range,
    reward_error,
    w_esc,
    w_reward,
    w_sim,
)

Start: TypeAlias = Literal["estimated", "known"]
Rewards: TypeAlias = Literal["known", "sampled", "outcome"]
Returns: TypeAlias = Literal["per step", "total"]

PAPER = "derived here; the paper states a polynomial bound: Zhang, Lu, Garg and Foerster 2022 (arXiv 2107.06434)"
LARGEST = PowerSum(episode_discount, horizon)
"""V_T, the largest return of an episode."""

_ANY = (
    "the policy sees the same of both models: any memory, information or shared randomness, hidden states included, "
    "but not realised noisy rewards",
    "rewards lie in [0, 1]",
)
_STARTS = {
    "estimated": "the start law is estimated like any row",
    "known": "the start law is known",
}
_PAID = {
    "known": "the mean reward is a known function of state and joint action",
    "sampled": "the mean reward of each pair is estimated; it takes the share w_reward of the model error",
    "outcome": "the reward is a known function of the pair and of what follows it, which is learned",
}
_RANGE = (
    "all returns of an episode lie in an interval of length return_range, and nothing is earned before an escape, "
    "which ends the interval for the whole return"
)
_LEARNED = (
    "states are seen in training: before each step, or after the episode, as the exploring policies need them",
    "`branching` bounds the pairs of next state and joint observation that can follow a pair",
    "estimates are frozen at m visits, and plans are made between episodes",
    "the successor of the last step is revealed",
)
_SKETCH = (
    "Couple the two episodes with one random tape for the policy: until the first mismatch the histories are the same, "
    "and so are the actions."
)


def _read(start: str, rewards: str, returns: str = "per step") -> int:
    """Return how many rows more than steps precede a reward: the start law, and the outcome of its own step."""
    for name, value, choices in (
        ("start", start, ("estimated", "known")),
        ("rewards", rewards, ("known", "sampled", "outcome")),
        ("returns", returns, ("per step", "total")),
    ):
        if value not in choices:
            raise ValueError(f"{name} must be one of {', '.join(choices)}; got {value!r}")
    if returns == "total" and rewards == "sampled":
        raise ValueError('returns="total" (M1-tot) needs rewards="known" or "outcome": estimates err each step')
    return (start == "estimated") + (rewards == "outcome")


def m1(
    start: Start = "estimated", rewards: Rewards = "sampled", horizon_is: Literal["finite", "infinite"] = "finite"
) -> Bound:
    """Return the simulation lemma for all policies at once: σ = G_T(γ) - (1-ρ)(1-t)G_T(γ(1-t)) (M1).

    Parameters
    ----------
    start : {"estimated", "known"}
        Without the factor 1-t before G_T where the start law is known.
    rewards : {"sampled", "known", "outcome"}
        "known": ρ = 0. "outcome": the reward depends on what follows the pair, which is one factor 1-t more, and ρ = 0.
    horizon_is : {"finite", "infinite"}
        Episodes of `horizon` steps with the discount `episode_discount`, 1 included, or steps without end with
        `discount` below 1.

    Examples
    --------
    5 - .95·(1-.9⁵)/.1 = 1.1097 for t = .1, ρ = .05 and a known start; and without an end 5 - .9/.28:

    >>> round(float(m1("known").evaluate(model_tv="0.1", reward_error="0.05", horizon=5, episode_discount=1)), 4)
    1.1097
    >>> endless = m1("known", horizon_is="infinite")
    >>> endless.evaluate(model_tv="1/10", reward_error="1/10", discount="4/5")
    Fraction(25, 14)
    """
    more = _read(start, rewards)
    if horizon_is not in ("finite", "infinite"):
        raise ValueError(f'horizon_is must be "finite" or "infinite"; got {horizon_is!r}')
    finite = horizon_is == "finite"
    if finite:
        missed = Missed(model_tv, episode_discount, horizon, sp.Integer(more))
        kept = LARGEST - missed
    else:
        ends = 1 - discount + discount * model_tv
        first = sp.Integer(0), model_tv, model_tv * (2 - model_tv)  # 1-(1-t)^j
        missed = (discount * model_tv + (1 - discount) * first[more]) / ((1 - discount) * ends)
        kept = (1 - model_tv) ** more / ends
    total = missed + (reward_error * kept if rewards == "sampled" else 0)
    return Bound(
        name="error of every policy's value in one model",
        label="M1",
        expression=total,
        source=f"M1, {PAPER}",
        assumptions=(*_ANY, _STARTS[start], *(() if rewards == "sampled" else (_PAID[rewards],))),
        grows=(
            *("model_tv", *(("reward_error",) if rewards == "sampled" else ())),
            *(("horizon", "episode_discount") if finite else ("discount",)),
        ),
        sketch=f"{_SKETCH} Reward h errs by ρ if no mismatch came before, with probability (1-t)^h, else by 1.",
    )


def m1_total(start: Start = "estimated") -> Bound:
    """Return the same where the return as a whole lies in an interval of length V̄: V̄[1-(1-t)^T] (M1-tot).

    Parameters
    ----------
    start : {"estimated", "known"}
        T-1 for T where the start law is known.

    Examples
    --------
    Two steps, t = 1/10, returns in [-1, 1]: 2·(1-.81).

    >>> m1_total().evaluate(model_tv="1/10", horizon=2, return_range=2)
    Fraction(19, 50)
    """
    more = _read(start, "known")
    return Bound(
        name="error of every policy's value in one model, returns as a whole",
        label="M1-tot",
        expression=return_range * (1 - (1 - model_tv) ** (horizon - 1 + more)),
        source=f"M1-tot, {PAPER}",
        assumptions=(_ANY[0], _RANGE.split(", ")[0], _STARTS[start], _PAID["known"]),
        grows=("model_tv", "horizon", "return_range"),
        sketch=f"{_SKETCH} Without a mismatch the returns are the same, else they differ by V̄ at most.",
    )


@dataclass(frozen=True)
class Partly(Family):
    """What a partly known model says of every policy.

    Attributes
    ----------
    width : Bound
        Its value in the optimistic model less that in the pessimistic one, g.
    change : Bound
        How far g in the estimated model is from g in the truth.
    bracket : Bound
        Width of [V in the pessimistic model - σ, V in the optimistic model + σ], which holds the true value.
    """

    width: Bound
    change: Bound
    bracket: Bound


def m1_known(start: Start = "estimated") -> Partly:
    """Return what a partly known model says: V⁻-σ <= V <= V⁺+σ, V⁺-V⁻ = g <= V_T Pr(τ <= T), |g-g_M| <= σ(t, 0) (M1K).

    An unknown pair leads to a state that pays 1 (0) a step for ever in the optimistic (pessimistic) model, t and ρ are
    errors of known pairs, and τ is the step of the first unknown pair.

    Parameters
    ----------
    start : {"estimated", "known"}

    Examples
    --------
    Two steps, an escape in one of four episodes, t = 1/10: g <= 2/4; σ = 2 - .9 - .81 = .29, twice added.

    >>> point = dict(escape="1/4", model_tv="1/10", reward_error=0, horizon=2, episode_discount=1)
    >>> m1_known().evaluate(**point)
    {'width': Fraction(1, 2), 'change': Fraction(29, 100), 'bracket': Fraction(27, 25)}
    """
    error, exact = m1(start), m1(start, "known")
    names = ("escape", "model_tv", "reward_error", "horizon", "episode_discount")
    common = replace(
        error,
        label="M1K",
        source=f"M1K, {PAPER}",
        assumptions=(*error.assumptions, "the same pairs are unknown in both models; errors are those of known pairs"),
        parameters=names,
    )
    return Partly(
        width=replace(
            common,
            name="optimistic less pessimistic value of a policy",
            expression=LARGEST * escape,
            grows=("escape", "horizon", "episode_discount"),
            sketch="The two models agree until an unknown pair is met, and differ by 1 in each step from there.",
        ),
        change=replace(
            common,
            name="error of the escape value in the estimated model",
            expression=exact.expression,
            grows=("model_tv", "horizon", "episode_discount"),
            sketch="The escape value is a value whose known rewards are 0, so that M1 holds with ρ = 0.",
        ),
        bracket=replace(
            common,
            name="width of the interval that holds a policy's value",
            expression=LARGEST * escape + 2 * error.expression,
            grows=names,
            sketch="The true model lies between its own two versions path by path; M1 for each of them.",
        ),
    )


@dataclass(frozen=True)
class TeamCount(Family):
    """What a centralised model costs.

    Attributes
    ----------
    m : Bound
        Visits that make a pair known.
    accuracy : Bound
        Total variation to which every known row is then known, t.
    escape : Bound
        Probability p of meeting an unknown pair within an episode above which the episode counts.
    episodes : Bound
        Such episodes at most, N, with probability 1 - delta.
    """

    m: Bound
    accuracy: Bound
    escape: Bound
    episodes: Bound


@dataclass(frozen=True)
class OptimisticCount(Family):
    """What optimism inside a class of policies costs.

    Attributes
    ----------
    m : Bound
        Visits that make a pair known.
    accuracy : Bound
        Total variation to which every known row is then known, t.
    escape : Bound
        Probability p of meeting an unknown pair within an episode above which it may be bad.
    episodes : Bound
        Episodes that are not epsilon-optimal in the class, N, with probability 1 - delta.
    regret : Bound
        Sum over all episodes of what they lose beyond ε_plan + 2σ, with probability 1 - delta.
    """

    m: Bound
    accuracy: Bound
    escape: Bound
    episodes: Bound
    regret: Bound


class _Setting:
    """The parts that M2 and M5 share: m, the error that it leaves, names, factors, conditions."""

    def __init__(
        self, label: str, start: Start, rewards: Rewards, returns: Returns, form: Form, rows: Bound | None
    ) -> None:
        more = _read(start, rewards, returns)
        check_rows(rows)
        self.label, self.rewards, self.form, self.start, self.returns = label, rewards, form, start, returns
        self.total = returns == "total"
        self.largest: sp.Expr = return_range if self.total else LARGEST
        self.target = w_sim * epsilon / 2
        share = w_reward if rewards == "sampled" else sp.Integer(0)
        self.transitions = (1 - share) * self.target
        if self.total:
            one, rows_met = sp.Integer(1), horizon - 1 + more
            self.t = Mismatch(self.target / return_range, one, one, rows_met, sp.Integer(0))
        else:
            self.t = Mismatch(self.transitions, episode_discount, horizon, sp.Integer(more), sp.Integer(0))
        union = 4 if rewards == "sampled" else 2
        self.lemma = row_lemma(rows, delta / (union * n_rows), 2 * self.t)
        self.visits: sp.Expr = self.lemma.expression
        if rewards == "sampled":
            error = share * self.target / (LARGEST - self.transitions)
            means = hoeffding_samples(delta / (4 * n_rows), error, sp.Integer(1))
            self.visits = sp.Max(sp.ceiling(means), self.visits, evaluate=False)
        self.own = rows is not None
        accuracy = 1 / (2 * self.t**2)
        if rewards != "sampled":
            accuracy = sp.Piecewise((1, sp.Eq(branching, 1)), (accuracy, True))  # one visit tells all
        self.factors: Factors = (
            ("accuracy of the model", accuracy),
            ("support and union", self.visits / accuracy),
        )
        scale = ("horizon", "return_range") if self.total else ("horizon", "episode_discount")
        self.moves: tuple[tuple[str, ...], tuple[str, ...]] = ("n_rows", "branching", *scale), ("epsilon", "delta")
        sizes = ("n_rows", "branching", "horizon", "epsilon", "delta", "w_plan", "w_sim", "w_esc")
        self.names = (*sizes, scale[1], *(("w_reward",) if rewards == "sampled" else ()))

    def bound(
        self,
        name: str,
        expression: sp.Expr,
        sketch: str,
        factors: Factors = (),
        moves: tuple[tuple[str, ...], tuple[str, ...]] | None = None,
        conditions: tuple[tuple[sp.Expr, str], ...] = (),
        assumptions: tuple[str, ...] = (),
    ) -> Bound:
        """Return a member of the family."""
        lent = self.own and moves is None
        grows, shrinks = ((), ()) if lent else self.moves if moves is None else moves
        return Bound(
            name=name,
            label=self.label,
            expression=expression,
            source=f"{self.label}, {PAPER}" + (f"; for P1: {self.lemma.source}" if lent else ""),
            assumptions=(
                *(_ANY[0], _RANGE if self.total else _ANY[1], _STARTS[self.start], _PAID[self.rewards], *_LEARNED),
                *assumptions,
                *(self.lemma.assumptions if lent else ()),
            ),
            parameters=self.names,
            weights=("w_plan", "w_sim", "w_esc"),
            conditions=(accurate(self.largest), *conditions, *(self.lemma.conditions if lent else ())),
            factors=factors,
            grows=grows,
            shrinks=shrinks,
            sketch=sketch,
        )

    def visits_bound(self) -> Bound:
        """Return m."""
        sketch = "P1 for each row at the accuracy that M1 leaves to all policies at once, with a union over the rows."
        return self.bound("visits that make a pair known", self.visits, sketch, self.factors)

    def accuracy_bound(self) -> Bound:
        """Return t."""
        shrinks = ("horizon", "return_range" if self.total else "episode_discount")
        return self.bound(
            "total variation to which a row must be known",
            self.t,
            "M1 solved for t: its right side is w_sim ε/2 there, or what rewards leave of it.",
            moves=(("epsilon", "w_sim"), shrinks),
        )

    def episodes(self, threshold: sp.Expr) -> tuple[sp.Expr, Factors]:
        """Return P5's count at k0 = |Z|m, and its factors."""
        count = substitute(p5(self.form).expression, {explorations: n_rows * self.visits, escape: threshold})
        return count, (("rows", n_rows), *self.factors, ("escape probability", 1 / threshold))


@cache
def m2(
    start: Start = "estimated",
    rewards: Rewards = "known",
    returns: Returns = "per step",
    form: Form = "binomial",
    rows: Bound | None = None,
) -> TeamCount:
    """Return M2: with probability 1-δ a centralised exploration policy needs at most N episodes for *all* policies.

    Before each episode the policy with the largest escape value ĝ in the model is played while ĝ > w_esc ε; then the
    model answers every policy, class of policies and reward function within w_esc ε + w_sim ε.
    2σ(t, ρ) = w_sim ε, p = (w_esc ε - σ(t, 0))/V_T, k0 = |Z|m, and N from P5; m is P1's at ε_P = 2t and δ/(2|Z|).
    In hindsight ĝ must be an upper bound over a class that holds all policies asked about; exploration stops within
    N + 1 episodes.

    Parameters
    ----------
    start : {"estimated", "known"}
        Whether the start law is one of the rows.
    rewards : {"known", "sampled", "outcome"}
        As in `m1`; "sampled" gives σ(t, 0) the share 1-w_reward of σ(t, ρ), and rows and rewards δ/4 each.
    returns : {"per step", "total"}
        "total": M1-tot in place of M1, and `return_range` in place of V_T.
    form : {"binomial", "closed", "classical"}
        How N is computed, as for `bounds.rmax.p5`.
    rows : Bound, optional
        A lemma in the place of P1, as in `bounds.rmax.t1`.

    Examples
    --------
    One successor: m = 1. One step with an estimated start: σ(t, 0) = t = w_sim ε/2 = 1/8, p = 1/4 - 1/8:

    >>> w = dict(w_plan=0, w_sim="1/2", w_esc="1/2")
    >>> sizes = dict(n_rows=3, branching=1, horizon=1, episode_discount=1, epsilon=0.5, delta=0.2)
    >>> m2().evaluate(**sizes, **w)
    {'m': 1, 'accuracy': 0.125, 'escape': Fraction(1, 8), 'episodes': 41}
    """
    own = _Setting("M2", start, rewards, returns, form, rows)
    left = w_esc * epsilon - (own.target if own.total else own.transitions)
    threshold = sp.Min(1, left / own.largest, evaluate=False)
    rule = ((left, "w_esc must exceed half of w_sim, or what rewards leave of it: take a larger w_esc"),)
    count, factors = own.episodes(threshold)
    falling = ("epsilon", "w_esc"), own.moves[0][2:]
    return TeamCount(
        m=own.visits_bound(),
        accuracy=own.accuracy_bound(),
        escape=own.bound(
            "probability of exploring above which exploration goes on",
            threshold,
            "An exploring episode has ĝ > w_esc ε, so that g > w_esc ε - σ(t, 0) in truth, and g <= V_T Pr(escape).",
            moves=falling,
            conditions=rule,
        ),
        episodes=own.bound(
            "episodes of exploration",
            count,
            "P5: exploring episodes escape with more than probability p, and an unknown pair can be met k0 times.",
            factors,
            conditions=rule,
            assumptions=("exploring policies see the state, or ĝ is a certified upper bound over those that do not",),
        ),
    )


@cache
def m2_sum(rate_is: Literal["free", "closed"] = "closed") -> Bound:
    """Return X1 in episodes: with probability 1-δ/2 the escape probabilities of all episodes sum to at most C (M2-sum).

    C = (λk0+ℓ)/(1-e^{-λ}) for every λ > 0, and the least of these is at most k0+ℓ+√(ℓ²+2ℓk0), ℓ = ln(2/δ): an episode
    ends the wait for an escape, so that there is no 1/(1-γ).

    Parameters
    ----------
    rate_is : {"free", "closed"}
        Whether λ is the caller's `rate`, or the closed form is taken.

    Examples
    --------
    k0 = 1000 and ℓ = ln 10: 1002.3 + √(5.3 + 4605.2).

    >>> round(m2_sum().evaluate(explorations=1000, delta=0.2), 2)
    1070.2
    """
    if rate_is not in ("free", "closed"):
        raise ValueError(f'rate_is must be "free" or "closed"; got {rate_is!r}')
    k0, ell = explorations, sp.log(2 / delta)
    closed = closed_form(k0, sp.Integer(1), delta / 2)
    return Bound(
        name="sum over all episodes of the probability of an escape",
        label="M2-sum",
        expression=(rate * k0 + ell) / (1 - sp.exp(-rate)) if rate_is == "free" else closed,
        source=f"M2-sum, {PAPER} (a supermartingale and Ville's inequality)",
        assumptions=("an unknown pair can be met at most k0 times", "plans are made between episodes"),
        grows=("explorations",),
        shrinks=("delta",),
        factors=(("explorations", k0),),
        sketch="exp((1-e^{-λ})Σe_i - λΣI_i) is a supermartingale, and escapes happen ΣI_i <= k0 times.",
    )


@dataclass(frozen=True)
class Bracket(Family):
    """What planning in the learned model is worth.

    Attributes
    ----------
    shortfall : Bound
        How far the planned policy is from the best of its class.
    width : Bound
        Width of the interval [L-σ, U+σ] that holds the best value of the class.
    at_stop : Bound
        U - L once exploration has stopped.
    """

    shortfall: Bound
    width: Bound
    at_stop: Bound


def m4() -> Bracket:
    """Return M4: a planner's bracket U-L in the model is one in truth, wider by 2σ, and so is its policy's shortfall.

    Examples
    --------
    >>> m4().evaluate(bracket="1/5", eps_sim="1/10", eps_plan="1/20", epsilon="1/2", w_esc="1/4")
    {'shortfall': Fraction(2, 5), 'width': Fraction(2, 5), 'at_stop': Fraction(7, 40)}
    """
    names = ("bracket", "eps_sim", "eps_plan", "epsilon", "w_esc")

    def bound(name: str, expression: sp.Expr, grows: tuple[str, ...], sketch: str) -> Bound:
        return Bound(
            name=name,
            label="M4",
            expression=expression,
            source=f"M4, {PAPER}",
            assumptions=(
                "M2's event: every known row is within t and every known reward within ρ",
                "L is the planned policy's value in the pessimistic model, U a proved bound in the optimistic one",
                "eps_sim is σ(t, ρ) of M1",
            ),
            parameters=names,
            grows=grows,
            sketch=sketch,
        )

    whole = bracket + 2 * eps_sim
    twice = "M1K for the planned policy and for the best one."
    return Bracket(
        shortfall=bound("shortfall of the planned policy in its class", whole, names[:2], twice),
        width=bound("width of the interval that holds the best value of the class", whole, names[:2], twice),
        at_stop=bound(
            "bracket in the model once exploration has stopped",
            eps_plan + w_esc * epsilon,
            names[2:],
            "No policy's optimistic and pessimistic values differ by more than w_esc ε there.",
        ),
    )


@cache
def m5(
    start: Start = "estimated",
    rewards: Rewards = "known",
    returns: Returns = "per step",
    form: Form = "binomial",
    rows: Bound | None = None,
) -> OptimisticCount:
    """Return M5: with probability 1-δ all but N episodes are ε-optimal in the class of policies that is played.

    A policy of the class that is best for the optimistic model, to within w_plan ε, is played in each episode.
    2σ(t, ρ) = w_sim ε, p = w_esc ε/V_T, k0 = |Z|m, N from P5, and m as in M2. T1-ep is the case of one agent that
    sees the state.

    Parameters
    ----------
    start, rewards, returns, form, rows
        As in `m2`.

    Examples
    --------
    One successor: m = 1; p = 1/4 for one step, k0 = 3; the regret is V_T(k0 + ℓ + √(ℓ² + 2ℓk0)), ℓ = ln 10:

    >>> w = dict(w_plan=0, w_sim="1/2", w_esc="1/2")
    >>> sizes = dict(n_rows=3, branching=1, horizon=1, episode_discount=1, epsilon=0.5, delta=0.2)
    >>> found = m5().evaluate(**sizes, **w)
    >>> found["m"], found["escape"], found["episodes"], round(found["regret"], 3)
    (1, Fraction(1, 4), 20, 9.675)
    """
    own = _Setting("M5", start, rewards, returns, form, rows)
    threshold = sp.Min(1, w_esc * epsilon / own.largest, evaluate=False)
    count, factors = own.episodes(threshold)
    total = substitute(m2_sum().expression, {explorations: n_rows * own.visits})
    falling = ("epsilon", "w_esc"), own.moves[0][2:]
    return OptimisticCount(
        m=own.visits_bound(),
        accuracy=own.accuracy_bound(),
        escape=own.bound(
            "probability of exploring above which an episode may be bad",
            threshold,
            "Where an episode escapes with probability p at most, that costs w_esc ε at most.",
            moves=falling,
        ),
        episodes=own.bound(
            "episodes that are not epsilon-optimal in the class",
            count,
            "Optimism for the best policy of the class, M1 twice, and P5 at p = w_esc ε/V_T.",
            factors,
        ),
        regret=own.bound(
            "loss beyond planning and estimation, summed over all episodes",
            own.largest * total,
            "An episode loses V_T e_i at most beyond that, and the e_i sum to C at most (M2-sum).",
            (("rows", n_rows), *own.factors, ("largest return", own.largest)),
        ),
    )


def m5_deterministic() -> Bound:
    """Return M5': where everything is deterministic all but |S||A| episodes are as good as planned, with certainty.

    Examples
    --------
    >>> m5_deterministic().evaluate(n_states=11, n_actions=9)
    99
    """
    return Bound(
        name="episodes that are not as good as planned",
        label="M5'",
        expression=n_states * n_actions,
        source=f"M5', {PAPER}",
        assumptions=(
            "the start state is known and certain, each pair has one outcome and one reward",
            "the policies that are played are deterministic",
            *_LEARNED[2:],
        ),
        grows=("n_states", "n_actions"),
        factors=(("states", n_states), ("joint actions", n_actions)),
        sketch="A deterministic policy escapes surely or never, and an escape makes one pair known for good.",
    )


@dataclass(frozen=True)
class Optimism(Family):
    """M5's count with the union over histories in place of the support in its optimistic half.

    Attributes
    ----------
    optimism : Bound
        ξ, how far the best optimistic value of the class may fall below the best true one, given m.
    m : Bound
        Visits that make a pair known.
    episodes : Bound
        Episodes that are not epsilon-optimal in the class.
    """

    optimism: Bound
    m: Bound
    episodes: Bound


@cache
def m5_plus(start: Start = "estimated", form: Form = "binomial") -> Optimism:
    """Return M5+: M5 with σ + ξ in place of 2σ, where ξ does not contain the number of successors B.

    ξ = Σ_j γ^{T-j}V_j √(ln(|S|Σ_{h<T}|O|^h/δ')/(2m)) with probability 1-δ', where j = T is the start law's. Rows and ξ
    have δ/4 each, and m is the least with σ(t, 0) + ξ = w_sim ε. It may be larger than M5's: take the smaller one.

    Parameters
    ----------
    start : {"estimated", "known"}
    form : {"binomial", "closed", "classical"}

    Examples
    --------
    One step, start estimated, one state: ξ = √(ln(1/½)/(2·50)).

    >>> sizes = dict(n_states=1, n_observations=4, horizon=1, episode_discount=1)
    >>> round(m5_plus().optimism.evaluate(m=50, failure="1/2", **sizes), 4)
    0.0833
    """
    own = _Setting("M5+", start, "known", "per step", form, None)
    more = int(start == "estimated")
    tail = episode_discount**horizon
    steps = sp.Piecewise(
        (horizon * (horizon + 1) / 2, sp.Eq(episode_discount, 1)),
        ((LARGEST - horizon * tail) / (1 - episode_discount), True),
    ) - (0 if more else LARGEST)

    def root(failed: sp.Expr) -> sp.Expr:
        return steps * sp.sqrt(sp.log(n_states * PowerSum(n_observations, horizon) / failed))

    row = row_root(4 * n_rows / delta)
    target = w_sim * epsilon
    t = Mismatch(target, episode_discount, horizon, sp.Integer(more), root(delta / 4) / row)
    several = sp.Max(1, sp.ceiling(row**2 / (2 * t**2)), evaluate=False)
    own.visits = sp.Piecewise((1, sp.Eq(branching, 1)), (several, True))
    accuracy = sp.Piecewise((1, sp.Eq(branching, 1)), (1 / (2 * t**2), True))
    own.factors = (("accuracy of the model", accuracy), ("support, histories and union", own.visits / accuracy))
    own.moves = (*own.moves[0], "n_states", "n_observations"), own.moves[1]
    own.names = (*own.names, "n_states", "n_observations", "m", "failure")
    threshold = sp.Min(1, w_esc * epsilon / LARGEST, evaluate=False)
    count, factors = own.episodes(threshold)
    moves = ("n_states", "n_observations", "horizon", "episode_discount"), ("m", "failure")
    classes = ("the class has a best policy that is deterministic and decentralised",)
    optimism = own.bound(
        "loss of optimism of the best policy of the class",
        root(failure) / sp.sqrt(2 * m),
        "The best policy's values given its history are fixed functions: Hoeffding, once for each history.",
        moves=moves,
        assumptions=classes,
    )
    return Optimism(
        optimism=replace(optimism, conditions=(), weights=()),
        m=own.bound(
            "visits that make a pair known",
            own.visits,
            "σ for the policy that is played and ξ for the best one, both of which fall as 1/√m.",
            own.factors,
            assumptions=classes,
        ),
        episodes=own.bound(
            "episodes that are not epsilon-optimal in the class",
            count,
            "As M5, with the optimistic half of the error paid by the histories and not by the support.",
            factors,
            assumptions=classes,
        ),
    )


def leading(theorem: Literal["M2", "M5"] = "M5") -> Bound:
    """Return M2's or M5's count to leading order at the best split, for γ = 1: c|Z|(B ln 2+ln(2|Z|/δ))T³(T+1)²/ε³.

    Parameters
    ----------
    theorem : {"M2", "M5"}
        c is 243/32 at w_sim = 4/9, and 27/8 at w_sim = 2/3.

    Examples
    --------
    2.25 is the price of being right about all policies:

    >>> point = dict(n_rows=19, branching=8, horizon=4, epsilon="1/10", delta="1/10")
    >>> both = [leading(name).evaluate(**point) for name in ("M2", "M5")]
    >>> round(both[0] / both[1], 9)
    2.25
    """
    constants = {"M2": sp.Rational(243, 32), "M5": sp.Rational(27, 8)}
    if theorem not in constants:
        raise ValueError(f'theorem must be "M2" or "M5"; got {theorem!r}')
    cost = branching * sp.log(2) + sp.log(2 * n_rows / delta)
    reach = horizon**3 * (horizon + 1) ** 2
    return Bound(
        name="episodes, to leading order",
        label=theorem,
        expression=constants[theorem] * n_rows * cost * reach / epsilon**3,
        source=f"{theorem}, {PAPER}",
        assumptions=("no discount, known rewards, estimated start law, small epsilon", *_LEARNED),
        kind=Kind.LEADING,
        factors=(("rows", n_rows), ("horizon", reach), ("accuracy", 1 / epsilon**3), ("support and union", cost)),
        grows=("n_rows", "branching", "horizon"),
        shrinks=("epsilon", "delta"),
        sketch="σ = tT(T+1)/2, Weissman's inequality, k0/p for P5, and the best weights without one for planning.",
    )
