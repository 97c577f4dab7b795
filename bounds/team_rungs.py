"""Teams: what cannot be avoided, the classical ways without states, pooled rows, opponents as one agent (M6 to M9)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cache
from typing import Literal

import sympy as sp

from bounds._evaluate import Missed, PowerSum
from bounds.bound import Bound, Family
from bounds.rmax import Factors, Form, accurate
from bounds.symbols import (
    delta,
    depth,
    episode_discount,
    episodes,
    epsilon,
    horizon,
    inner_actions,
    learning_rate,
    levels,
    log_policies,
    model_tv,
    n_actions,
    n_states,
    return_range,
    temperature,
    window,
)
from bounds.teams import LARGEST, PAPER, OptimisticCount, Returns, Start, m5

_UNSEEN = "states are never seen, not even in training"
_HALF = (sp.Ge(sp.Rational(1, 2), delta), "delta must be at most 1/2")


@dataclass(frozen=True)
class Lock(Family):
    """What the lock costs: a code of joint actions that pays 1 at the end if every one was right.

    Attributes
    ----------
    value : Bound
        Expected value of what any learner without states outputs after N episodes, at most.
    blind : Bound
        Codes, |A|^T: episodes without states after which that bound says nothing any more.
    hindsight : Bound
        Episodes that suffice a learner who sees states after the episode and knows that it is a lock.
    generic : Bound
        Episodes that suffice any R-max (M5'), |S||A|.
    """

    value: Bound
    blind: Bound
    hindsight: Bound
    generic: Bound


def m6a() -> Lock:
    """Return M6a: without states in training a lock takes |A|^T episodes, with them T(|A|-1)+1.

    Examples
    --------
    Two agents with three actions each, ten steps: 9^10, 10·8+1 and 11·9.

    >>> m6a().evaluate(n_actions=9, horizon=10, episodes=99)
    {'value': Fraction(100, 3486784401), 'blind': 3486784401, 'hindsight': 81, 'generic': 99}
    """
    codes = n_actions**horizon

    def bound(name: str, expression: sp.Expr, sketch: str, *assumptions: str, less: tuple[str, ...] = ()) -> Bound:
        sizes = ("n_actions", "horizon")
        return Bound(
            name=name,
            label="M6a",
            expression=expression,
            source=f"M6a, {PAPER}",
            assumptions=("the lock: a code of joint actions drawn uniformly, reward 1 at the end", *assumptions),
            parameters=(*sizes, "episodes"),
            grows=("episodes",) if less else sizes,
            shrinks=less,
            sketch=sketch,
        )

    once = "Each episode and the final test try one code, and a code that fails says nothing of the others."
    return Lock(
        value=bound(
            "expected value of the output, at most",
            sp.Min(1, (episodes + 1) / codes, evaluate=False),
            once,
            _UNSEEN,
            less=("n_actions", "horizon"),
        ),
        blind=bound("episodes without states", codes, once, _UNSEEN),
        hindsight=bound(
            "episodes with states in hindsight, at most",
            horizon * (n_actions - 1) + 1,
            "Each failure names its first wrong digit, and |A|-1 failures at a digit leave one.",
            "states are seen after the episode, and the learner knows that it is a lock",
        ),
        generic=bound(
            "episodes of R-max, at most",
            (horizon + 1) * n_actions,
            "M5' with T+1 states.",
            "states are seen after the episode",
        ),
    )


def m6b() -> Bound:
    """Return M6b: even fully observed, |A|^(d+1) pairs cost h'²(1-4Δ²)[(K-2)ln(1/δ)-1-ln(K-1)]/(8ε²) episodes.

    A tree of depth d, whose K = |A|^(d+1) last pairs lead to a state that pays 1 for the remaining h' = T-d-1 steps
    with probability ½, one of them perhaps with ½+Δ, Δ = 2ε/h'.

    Examples
    --------
    K = 81, h' = 8, Δ = 1/8: 64·(15/16)·(79 ln 20 - 1 - ln 80)/2.

    >>> round(m6b().evaluate(n_actions=9, depth=1, horizon=10, epsilon=0.5, delta=0.05), 1)
    6938.4
    """
    pairs, left = n_actions ** (depth + 1), horizon - depth - 1
    gap = 2 * epsilon / left
    doubt = (pairs - 2) * sp.log(1 / delta) - 1 - sp.log(pairs - 1)
    return Bound(
        name="expected episodes of a learner that is right with probability 1 - delta, at least",
        label="M6b",
        expression=left**2 * (1 - 4 * gap**2) * sp.Max(0, doubt, evaluate=False) / (8 * epsilon**2),
        source=f"M6b, {PAPER}",
        assumptions=("the instance of the family without a special pair", "right for every instance of the family"),
        conditions=(
            (left, "the horizon must exceed depth + 1"),
            (left - 4 * epsilon, "epsilon must be below a quarter of the steps left"),
            (n_actions - 1, "there must be at least 2 joint actions"),
            _HALF,
        ),
        grows=("n_actions", "horizon"),
        shrinks=("epsilon", "delta"),
        sketch=(
            "An output is right for one special pair only, so that every other pair must be tried until Pinsker's "
            "divergence tells it from a special one."
        ),
    )


def m7_policies(
    actions: Sequence[int] = (3, 3), observations: Sequence[int] = (2, 2), first_observation: bool = False
) -> Bound:
    """Return ln|Π| of the deterministic policies of local histories: Σ_i Λ_i ln|A_i| (M7).

    Λ_i is the number of histories of agent i: 1 + |O_i| + .. + |O_i|^(T-1), or |O_i| times that with a first
    observation.

    Parameters
    ----------
    actions, observations : sequence of int
        Of each agent.
    first_observation : bool
        Whether agents observe something before their first action.

    Examples
    --------
    Two agents with 3 histories each: 9·9·9 policies an agent, hence 6 ln 3.

    >>> round(m7_policies().evaluate(horizon=2), 4)
    6.5917
    """
    if len(actions) != len(observations) or not len(actions):
        raise ValueError(
            f"actions are of {len(actions)} agents and observations of {len(observations)}: give one of each per agent"
        )
    for name, sizes in (("actions", actions), ("observations", observations)):
        for size in sizes:
            if isinstance(size, bool) or not isinstance(size, int) or size < 1:
                raise ValueError(f"{name} hold {size!r}: give whole numbers, at least 1")
    total = sp.Integer(0)
    for a, o in zip(actions, observations, strict=True):
        histories = PowerSum(sp.Integer(o), horizon) * (o if first_observation else 1)
        total += histories * sp.log(a)
    return Bound(
        name="logarithm of the number of deterministic policies",
        label="M7",
        expression=total,
        source=f"M7, {PAPER}",
        assumptions=("policies are functions of each agent's own history",),
        parameters=("horizon",),
        grows=("horizon",),
        sketch="Each agent picks one action for each of its histories.",
    )


@dataclass(frozen=True)
class Rungs(Family):
    """Three ways to a good policy, in episodes.

    Attributes
    ----------
    enumeration : Bound
        Every policy is tried often enough, without states.
    reuse : Bound
        Uniformly random actions, and importance weights for every policy, without states.
    centralised : Bound
        M5's episodes that are not epsilon-optimal in the class, with states in training.
    """

    enumeration: Bound
    reuse: Bound
    centralised: Bound


@cache
def m7(
    start: Start = "estimated", returns: Returns = "per step", form: Form = "binomial", pooled: bool = False
) -> Rungs:
    """Return M7's three rungs: enumeration, trajectory reuse, and the centralised model.

    |Π|⌈2V²ln(2|Π|/δ)/ε²⌉; ⌈(8V²+(4/3)Vε)|A|^T ln(2|Π|/δ)/ε²⌉; M5. ln|Π| is exponential in the horizon, so that they
    grow doubly exponentially, exponentially and polynomially; for two or three steps the first two are cheaper.

    Parameters
    ----------
    start, returns, form
        Of M5, as in `bounds.teams.m5`; with returns="total" V is `return_range` for all rungs.
    pooled : bool
        Whether `n_rows` counts classes of joint actions (M8), which is said in the assumptions.

    Examples
    --------
    One step, four policies, four joint actions: 4·⌈2 ln(80)·4⌉ and ⌈(8 + 2/3)·4·ln(80)·4⌉, ln 4 cut off.

    >>> w = dict(w_plan=0, w_sim="1/2", w_esc="1/2")
    >>> sizes = dict(n_rows=3, branching=1, horizon=1, episode_discount=1, epsilon="1/2", delta="1/10", n_actions=4)
    >>> found = m7().evaluate(**sizes, **w, log_policies="1.3862943611198906")
    >>> round(found["enumeration"], 9), found["reuse"], found["centralised"]
    (144.0, 608, 23)
    """
    third = m5(start, "known", returns, form).episodes
    largest: sp.Expr = return_range if returns == "total" else LARGEST
    scale = "return_range" if returns == "total" else "episode_discount"
    doubt = sp.log(2) + log_policies - sp.log(delta)
    names = tuple(dict.fromkeys((*third.parameters, "n_actions", "log_policies", scale)))
    many = sp.exp(log_policies)

    def bound(name: str, expression: sp.Expr, grows: tuple[str, ...], sketch: str, factors: Factors) -> Bound:
        steps = ("horizon",) if returns == "per step" or "n_actions" in grows else ()
        return Bound(
            name=name,
            label="M7",
            expression=expression,
            source=f"M7, {PAPER}; for importance weights Kearns, Mansour and Ng 1999",
            assumptions=("returns lie in an interval of the largest return's length", _UNSEEN),
            parameters=names,
            weights=third.weights,
            conditions=(accurate(largest),),
            factors=factors,
            grows=(*steps, scale, *grows),
            shrinks=("epsilon", "delta"),
            sketch=sketch,
        )

    each = sp.ceiling(2 * largest**2 * doubt / epsilon**2)
    shared = sp.ceiling(
        (8 * largest**2 + sp.Rational(4, 3) * largest * epsilon) * n_actions**horizon * doubt / epsilon**2
    )
    alike = ("rows are pooled: joint actions of one class have the same law and reward",) if pooled else ()
    return Rungs(
        enumeration=bound(
            "episodes of trying every policy",
            many * each,
            ("log_policies",),
            "Hoeffding for each policy, and a union.",
            (("policies", many), ("episodes of each", each)),
        ),
        reuse=bound(
            "episodes of random actions for all policies",
            shared,
            ("n_actions", "log_policies"),
            "Bernstein for importance weights, at most |A|^T and of second moment |A|^T, and a union over policies.",
            (("weights", n_actions**horizon), ("accuracy", (largest / epsilon) ** 2), ("union", doubt)),
        ),
        centralised=replace(third, parameters=names, assumptions=(*third.assumptions, *alike)),
    )


def m7_unstructured(returns: Returns = "per step") -> Bound:
    """Return what a search needs that does not know how policies are alike: M6b with policies for pairs (M7).

    (1-16ε²/V²)((|Π|-2)ln(1/δ)-1-ln|Π|)V²/(8ε²) episodes, so that enumeration is not far from the best of its kind.

    Parameters
    ----------
    returns : {"per step", "total"}
        V is the largest return, or `return_range`.

    Examples
    --------
    Ten steps, e^10 policies, ε = 1, δ = 1/e: .84·(e^10 - 2 - 1 - 10)·12.5.

    >>> point = dict(log_policies=10, horizon=10, episode_discount=1, epsilon=1, delta="0.36787944117144233")
    >>> round(m7_unstructured().evaluate(**point))
    231141
    """
    largest: sp.Expr = return_range if returns == "total" else LARGEST
    many = sp.exp(log_policies)
    needed = sp.Max(0, (many - 2) * sp.log(1 / delta) - 1 - log_policies, evaluate=False)
    scale = ("return_range",) if returns == "total" else ("horizon", "episode_discount")
    return Bound(
        name="expected episodes of an unstructured search, at least",
        label="M7",
        expression=(1 - 16 * epsilon**2 / largest**2) * needed * largest**2 / (8 * epsilon**2),
        source=f"M7, {PAPER}",
        assumptions=("right for every assignment of values to policies", _UNSEEN),
        conditions=(
            (largest - 4 * epsilon, "epsilon must be below a quarter of the largest return"),
            (many - 2, "there must be more than 2 policies"),
            _HALF,
        ),
        factors=(("policies", many),),
        grows=(*scale, "log_policies"),
        shrinks=("epsilon", "delta"),
        sketch="Every policy but one must be tried until it is told from a better one, as in M6b.",
    )


def m8_rows(start: Start = "estimated", pooled: bool = False) -> Bound:
    """Return |Z|, the rows to estimate: |S||A| + 1, the 1 for the start law (M0; M8-pool).

    Parameters
    ----------
    start : {"estimated", "known"}
        Without the 1 where the start law is known.
    pooled : bool
        Count the classes of joint actions that have the same law and reward: `n_actions` is then the number of classes
        of a state, at most.

    Examples
    --------
    The switch riddle of three prisoners: of 27 joint actions only the occupant's three differ.

    >>> m8_rows(pooled=True).evaluate(n_states=45, n_actions=3)
    136
    """
    return Bound(
        name="rows to estimate",
        label="M8-pool" if pooled else "M8",
        expression=n_states * n_actions + (1 if start == "estimated" else 0),
        source=f"M8, {PAPER}",
        assumptions=("joint actions of one class have the same law and reward",) if pooled else (),
        grows=("n_states", "n_actions"),
        sketch="Visits are counted where the law is the same, so that every one of them is a sample of it.",
    )


@dataclass(frozen=True)
class HiddenStates(Family):
    """Sizes of a window meta-game with the paper's opponent, reset with the episode.

    Attributes
    ----------
    opponent : Bound
        States of the opponent, |X|.
    states : Bound
        Pairs of window and opponent's state that can be reached, |S|.
    """

    opponent: Bound
    states: Bound


def m9_states() -> HiddenStates:
    """Return |X| = (T-1)2^T+1 and |S| = 4^h[(T-1-h)2^(T-h)+h+1] for the Q-learner with two actions in T steps (M9).

    A value is an injective function of the string of rewards of its action, so that there are (t+1)2^t pairs of strings
    after t steps.

    Examples
    --------
    >>> m9_states().evaluate(horizon=10, window=2)
    {'opponent': 9217, 'states': 28720}
    """

    def bound(name: str, expression: sp.Expr, grows: tuple[str, ...]) -> Bound:
        return Bound(
            name=name,
            label="M9",
            expression=expression,
            source=f"M9, {PAPER}; the opponent of Fung et al. 2024",
            assumptions=(
                "an epsilon-greedy Q-learner with two actions, step size 3/4 and rewards 0 and 1, from equal values",
                "it is reset with each episode of `horizon` steps; episodes begin with any window",
            ),
            parameters=("horizon", "window"),
            conditions=(shorter,) if "window" in grows else (),
            grows=grows,
            sketch="(t+1)2^t pairs of strings before each of 4^h windows, and 4^h states in each of the first h steps.",
        )

    shorter = (horizon - window, "the window must be shorter than the episode")
    left = horizon - 1 - window
    return HiddenStates(
        opponent=bound("states of the opponent", (horizon - 1) * 2**horizon + 1, ("horizon",)),
        states=bound(
            "states of window and opponent", 4**window * (left * 2 ** (left + 1) + window + 1), ("horizon", "window")
        ),
    )


@cache
def m9(form: Form = "binomial") -> OptimisticCount:
    """Return M9: M5 for a hidden opponent whose learning state is seen in training, among the shaper's window policies.

    One agent; a row is the opponents' law in one of their states, and the reward is a function of the pair and of the
    opponents' actions, which are learned: 2σ = w_sim ε with σ = Σ_h γ^{h-1}[1-(1-t)^h]. The numbers are far beyond what
    can be played; they say that the dependence is polynomial.

    Parameters
    ----------
    form : {"binomial", "closed", "classical"}
        How N is computed, as for `bounds.rmax.p5`.

    Examples
    --------
    The paper's opponent over ten steps at ε = .1 a step, counted by window and learning state: m = 1.7e5, N = 1.5e11.

    >>> point = dict(n_rows=28720, branching=2, horizon=10, episode_discount=1, epsilon=1, delta="1/5")
    >>> found = m9("closed").evaluate(**point, w_plan=0, w_sim="2/3", w_esc="1/3")
    >>> f"{found['m']:.1e}", f"{found['episodes']:.1e}"
    ('1.7e+05', '1.5e+11')
    """
    family = m5("known", "outcome", "per step", form)
    more = (
        "the opponents' learning state is finite and seen in training",
        "episodes start from a fixed law of window and learning state",
    )

    def relabelled(bound: Bound) -> Bound:
        source, assumptions = f"M9, {PAPER}", (*bound.assumptions, *more)
        return replace(bound, label="M9", source=source, assumptions=assumptions)

    return OptimisticCount(**{name: relabelled(bound) for name, bound in family.bounds.items()})


@dataclass(frozen=True)
class SoftGrid(Family):
    """A softmax Q-learner rounded to a grid.

    Attributes
    ----------
    mismatch : Bound
        Total variation between its law and that of the rounded learner, t_k.
    states : Bound
        States of the rounded learner, |X|.
    rounding : Bound
        Error of every policy's value from rounding alone.
    error : Bound
        The same in a model of the rounded learner that is estimated to t.
    """

    mismatch: Bound
    states: Bound
    rounding: Bound
    error: Bound


def m9_grid(data: Literal["grid", "real"] = "grid") -> SoftGrid:
    """Return M9-grid: t_k = 1/(4τkα) for a softmax Q-learner whose values are rounded to k levels, (k+1)^|A| states.

    Rounding alone costs G_T(γ) - G_T(γ(1-t_k)), as the first step has none. A model of the rounded learner, whose law
    is estimated to t, errs by G_T(γ) - (1-t)G_T(γ(1-t)(1-t_k)): the law of step h is reward h's too.

    Parameters
    ----------
    data : {"grid", "real"}
        Whether the estimate is made from plays of the rounded learner, or from the real one's: then its error is to the
        mixture of laws that were met, and t + 2t_k stands in the place of t and t_k.

    Examples
    --------
    τ = 1/4, k = 100, α = 1/2: t_k = 1/50. Two steps: 1 - .98; and 2 - .9(1 + .9·.98) with t = 1/10.

    >>> point = dict(temperature="1/4", levels=100, learning_rate="1/2", inner_actions=2)
    >>> found = m9_grid().evaluate(**point, model_tv="1/10", horizon=2, episode_discount=1)
    >>> found["mismatch"], found["states"], found["rounding"], found["error"]
    (Fraction(1, 50), 10201, Fraction(1, 50), Fraction(1531, 5000))
    """
    if data not in ("grid", "real"):
        raise ValueError(f'data must be "grid" or "real"; got {data!r}')
    apart = sp.Min(1, 1 / (4 * temperature * levels * learning_rate), evaluate=False)
    if data == "grid":
        both = model_tv + apart * (1 - model_tv)  # 1-(1-t)(1-t_k)
        total = model_tv * LARGEST + (1 - model_tv) * Missed(both, episode_discount, horizon, sp.Integer(0))
    else:
        both = sp.Min(1, model_tv + 2 * apart, evaluate=False)
        total = Missed(both, episode_discount, horizon, sp.Integer(1))
    coarse = ("temperature", "levels", "learning_rate")

    def bound(name: str, expression: sp.Expr, grows: tuple[str, ...], shrinks: tuple[str, ...], sketch: str) -> Bound:
        return Bound(
            name=name,
            label="M9-grid",
            expression=expression,
            source=f"M9-grid, {PAPER}",
            assumptions=(
                "the opponent plays softmax(Q/temperature) and updates Q by learning_rate; rewards lie in [0, 1]",
                "its values at the start lie on the grid: 1/2 needs an even number of levels",
                "policies do not see Q",
                f"the estimate is made from plays of the {'rounded' if data == 'grid' else 'real'} learner",
            ),
            parameters=(*coarse, "inner_actions", "model_tv", "horizon", "episode_discount"),
            grows=grows,
            shrinks=shrinks,
            sketch=sketch,
        )

    long = ("horizon", "episode_discount")
    return SoftGrid(
        mismatch=bound(
            "total variation between the two learners' laws",
            apart,
            (),
            coarse,
            "Rounding moves a value by 1/(2k), the update forgets α of it: 1/(2kα) in all; softmax has slope 1/(4τ).",
        ),
        states=bound(
            "states of the rounded learner",
            (levels + 1) ** inner_actions,
            ("levels", "inner_actions"),
            (),
            "One of k+1 values for each action.",
        ),
        rounding=bound(
            "error of every policy's value from rounding",
            Missed(apart, episode_discount, horizon, sp.Integer(0)),
            long,
            coarse,
            "M1 with a known start: both learners begin alike.",
        ),
        error=bound(
            "error of every policy's value in an estimated model of the rounded learner",
            total,
            ("model_tv", *long),
            coarse,
            "M1 for two mismatches: that of the estimate, in each step, and that of rounding, from the second.",
        ),
    )
