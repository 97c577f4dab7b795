"""What discretisation costs: Lipschitz returns, the value on the grid, the policy off the grid (G1-G3, D1-D3, X5).

Distances of policies are largest L1 distances over inner states, summed over players; returns are normalised,
J = (1-γ) E Σ γ^t r. Learners are `Learner`s: their two Lipschitz constants, to be put into D1 and X5. Where
`learner` or `reward` is left out, the constants stay symbols: l_state, l_action, l_reward.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

import sympy as sp

from bounds.bound import Bound, Family, Kind
from bounds.grids import simplex_constant
from bounds.simulation import coupling
from bounds.symbols import (
    Number,
    alpha_action,
    alpha_state,
    discount,
    distance,
    epsilon,
    exact,
    inner_actions,
    inner_discount,
    inner_span,
    inner_steps,
    l_action,
    l_reward,
    l_state,
    l_transition,
    meta_span,
    mismatch,
    payoff_gap,
    payoff_gap_span,
    smoothing,
    step_size,
    temperature,
)

_OWN = "of this package"
_DIFFERENCE = (
    "J(φ')-J(φ) is the mean advantage under φ'; span(Q) <= span(r)/(1-γ), and the L1 of products <= sum of L1."
)
_ONE_STEP = "normalised discounted return of stationary policies"
_DETERMINISTIC = (
    "the learning rule is deterministic and without memory",
    "d(L(a,ψ), L(a',ψ')) <= l_state·d(ψ,ψ') + l_action·d(a,a')",
    "the meta-reward is l_reward-Lipschitz in both",
    "grid states, grid actions, next state rounded: alpha_state is the grid's radius for nearest rounding, for "
    "barycentric rounding the larger of its radius and its mean displacement",
)
_CONTRACTING = ((1 - discount * l_state, "discount·l_state is not below 1; use X5"),)
_EXPANSIVE = ((l_state - 1, "l_state is not above 1; use D1"),)


@dataclass(frozen=True)
class Learner(Family):
    """How strongly a learner's next policy depends on the present policies.

    Attributes
    ----------
    state : Bound
        L_F^s, Lipschitz constant in the opponents' policies.
    action : Bound
        L_F^a, Lipschitz constant in the shaper's policy.
    """

    state: Bound
    action: Bound


@dataclass(frozen=True)
class Discretisation(Family):
    """How far the optimal value of the discretised meta-game is from the continuous one: -lower <= V* - V*_d <= upper.

    Attributes
    ----------
    modulus : Bound
        |V*(x) - V*(x')| at distance d(x,x') = `distance`, at most; linear in it under D1 and D2.
    upper : Bound
        E: what the grid may lose, at grid states.
    lower : Bound
        E₋: what the grid may seem to gain, at grid states.
    loss : Bound
        D3: what a policy that is epsilon-optimal at all grid states of the discretised meta-game loses when it is
        played at the nearest grid point in the continuous meta-game.
    """

    modulus: Bound
    upper: Bound
    lower: Bound
    loss: Bound


def _bound(
    label: str,
    name: str,
    expression: sp.Expr,
    assumptions: tuple[str, ...] = (),
    *,
    kind: Kind = Kind.EXPLICIT,
    parameters: Sequence[sp.Symbol] = (),
    conditions: tuple[tuple[sp.Expr, str], ...] = (),
    source: str = _OWN,
    grows: tuple[str, ...] = (),
    shrinks: tuple[str, ...] = (),
    sketch: str = "",
) -> Bound:
    names = tuple(p.name for p in parameters)
    return Bound(
        name=name,
        label=label,
        expression=expression,
        source=f"{label}; {source}",
        assumptions=assumptions,
        kind=kind,
        parameters=names,
        conditions=conditions,
        grows=grows,
        shrinks=shrinks,
        sketch=sketch,
    )


# Returns ---------------------------------------------------------------------------------------------------------


def reward_lipschitz(held: bool = False) -> Bound:
    """Return L_R, the Lipschitz constant of the shaper's return: span(r)/(2(1-γ)) (G1).

    Parameters
    ----------
    held : bool
        Instead of the discounted return the average of K inner steps under held policies: span(r)(K+1)/4.

    Examples
    --------
    >>> reward_lipschitz().evaluate(inner_span=3, inner_discount=0.5)
    3
    >>> reward_lipschitz(held=True).evaluate(inner_span=2, inner_steps=1)
    1
    """
    if held:
        expression, assumptions = inner_span * (inner_steps + 1) / 4, ("average over K inner steps",)
        grows, sketch = ("inner_span", "inner_steps"), "Couple until the first mismatch: (1/K) Σ_t (t+1) d/2 · span(r)."
    else:
        expression, assumptions = inner_span / (2 * (1 - inner_discount)), (_ONE_STEP,)
        grows, sketch = ("inner_span", "inner_discount"), _DIFFERENCE
    name = "Lipschitz constant of the return"
    return _bound("G1", name, expression, assumptions, source="performance difference", grows=grows, sketch=sketch)


def g1() -> Bound:
    """Return G1: |J(φ)-J(φ')| <= span(r)/(2(1-γ))·d(φ,φ'), for joint policies.

    Examples
    --------
    >>> g1().evaluate(inner_span=1, inner_discount=0.9, distance=0.1)
    Fraction(1, 2)
    """
    return _bound(
        "G1",
        "difference of two returns",
        reward_lipschitz().expression * distance,
        (_ONE_STEP,),
        source="performance difference; Kakade and Langford 2002",
        grows=("inner_span", "inner_discount", "distance"),
        sketch=_DIFFERENCE,
    )


def g1_plus() -> Bound:
    """Return G1+: |J(φ)-J(φ')| <= span(r)·δ/(1-γ+γδ) with δ = max_s [1 - Π_i(1-½‖φ_i-φ'_i‖₁)], `mismatch`.

    Never above span(r); sharp: a good state that pays 1 and stays, a bad absorbing one, and a mismatch falls.

    Examples
    --------
    (1/20)/(1/10 + 9/200):

    >>> g1_plus().evaluate(inner_span=1, inner_discount=0.9, mismatch=0.05)
    Fraction(10, 29)
    """
    return _bound(
        "G1+",
        "difference of two returns, sharp",
        inner_span * coupling(mismatch, inner_discount),
        (_ONE_STEP,),
        kind=Kind.EXACT,
        grows=("inner_span", "inner_discount", "mismatch"),
        sketch="Couple the trajectories until the first mismatch, which has chance δ at most in each step.",
    )


# Meta-games as such -----------------------------------------------------------------------------------------------


def g2() -> Bound:
    """Return how far lumping is from exact where only the next state is projected: L_R α_s/(1-γ̂) (G2).

    Where the learner L is deterministic and without memory, V*_joint(φ) = V*_lumped(L(φ)) exactly, on grids too if the
    opponents *play* the projected policies. The bound is for opponents that play L(φ) itself.

    Examples
    --------
    >>> g2().evaluate(l_reward=1, alpha_state="1/10", discount=0.5)
    Fraction(1, 5)
    """
    return _bound(
        "G2",
        "difference of the joint and the lumped optimal value",
        l_reward * alpha_state / (1 - discount),
        ("the learning rule is deterministic and without memory", "the reward is that of the unprojected policies"),
        grows=("l_reward", "alpha_state", "discount"),
        sketch="φ ↦ L(φ) is a homomorphism; each step's reward is off by L_R α_s at most.",
    )


def g3() -> Bound:
    """Return what mixed actions gain over pure ones in an exact Case II meta-game with one inner step: 0 (G3).

    Under policies held over two or more inner steps it is false: reward 1 where the two own actions differ gives pure
    policies 0 and mixed ones ½.

    Examples
    --------
    >>> g3().evaluate()
    0
    """
    return _bound(
        "G3",
        "value that mixed actions add to pure ones",
        sp.S.Zero,
        ("one inner step per meta-step, simultaneous moves", "the meta-state is an exact window"),
        kind=Kind.EXACT,
        sketch="Q is affine on the simplex of mixed actions, so that a vertex is best.",
    )


# Learners --------------------------------------------------------------------------------------------------------

_NORMAL = "normal-form game, exact expected payoffs"
_STOCHASTIC = "stochastic game with memory-one or other stationary policies, gradient of the normalised return"
_PROJECTION = (
    "The projection on the simplex is L1-nonexpansive on differences that sum to 0; the centred part of a vector in "
    "[-c, c]^A has L1 norm 4cκ_A at most."
)
_NEIGHBOURS = 4 * inner_discount / (1 - inner_discount) ** 2 + 2 / (1 - inner_discount)


def _learner(
    name: str,
    state: sp.Expr,
    action: sp.Expr,
    assumptions: tuple[str, ...],
    sketch: str,
    shrinks: tuple[tuple[str, ...], tuple[str, ...]] = ((), ()),
) -> Learner:
    """Assemble a learner; its constants grow in all their symbols but those listed in `shrinks`."""
    parameters = sorted(state.free_symbols | action.free_symbols, key=str)

    def bound(what: str, expression: sp.Expr, falls: tuple[str, ...]) -> Bound:
        grows = tuple(sorted({s.name for s in expression.free_symbols} - set(falls)))
        return _bound(
            "D1",
            f"{name}: {what}",
            expression,
            assumptions,
            parameters=parameters,
            grows=grows,
            shrinks=falls,
            sketch=sketch,
        )

    return Learner(
        state=bound("Lipschitz constant in the opponents' policies", state, shrinks[0]),
        action=bound("Lipschitz constant in the shaper's policy", action, shrinks[1]),
    )


def projected_gradient(stochastic: bool = False) -> Learner:
    """Return the constants of one opponent's projected gradient step of size η on the simplex.

    Normal form: 1 and 2ηκ_A span(r). Stochastic game: 1+4ηκ_Aγ span(r)/(1-γ)² and
    ηκ_A span(r)[4γ/(1-γ)²+2/(1-γ)].

    Parameters
    ----------
    stochastic : bool

    Examples
    --------
    Matching Pennies, rewards 0 and 1, step 1/5 (κ_2 = ½):

    >>> projected_gradient().evaluate(step_size=0.2, inner_actions=2, inner_span=1)
    {'state': 1, 'action': Fraction(1, 5)}
    >>> projected_gradient(True).evaluate(step_size=0.2, inner_actions=2, inner_span=1, inner_discount=0.5)
    {'state': Fraction(9, 5), 'action': Fraction(6, 5)}
    """
    scale = step_size * simplex_constant(inner_actions) * inner_span
    if not stochastic:
        return _learner("projected gradient", sp.S.One, 2 * scale, (_NORMAL,), _PROJECTION)
    state = 1 + 4 * scale * inner_discount / (1 - inner_discount) ** 2
    sketch = f"{_PROJECTION} Second derivatives of the return bound how the gradient moves."
    return _learner("projected gradient, stochastic game", state, scale * _NEIGHBOURS, (_STOCHASTIC,), sketch)


def projected_gradient_many(opponents: Sequence[tuple[int, Number]]) -> Learner:
    """Return the constants of several opponents' simultaneous projected gradient steps in a normal-form game.

    1+2η max_j Σ_{i≠j} κ_i span(r_i) and 2η Σ_i κ_i span(r_i), over opponents i, j.

    Parameters
    ----------
    opponents : sequence of (int, number)
        Number of actions and span of the rewards of each.

    Examples
    --------
    Two opponents with κ = ½ and spans 1 and 3: 1 + 2η·3/2 and 2η·2.

    >>> projected_gradient_many([(2, 1), (2, 3)]).evaluate(step_size=0.1)
    {'state': Fraction(13, 10), 'action': Fraction(2, 5)}
    """
    weights = []
    for i, (n_actions, span) in enumerate(opponents):
        n, width = exact(n_actions, f"opponents[{i}][0]"), exact(span, f"opponents[{i}][1]")
        if n.denominator != 1 or n < 1 or width < 0:
            raise ValueError(f"opponents[{i}] is {(n_actions, span)}: give (actions >= 1, span of rewards >= 0)")
        weights.append(Fraction(int(n) // 2 * ((int(n) + 1) // 2)) / n * width)
    if not weights:
        raise ValueError("opponents is empty; give (number of actions, span of rewards) of at least one")
    total = sum(weights, Fraction(0))
    others = max(total - weight for weight in weights)
    state = 1 + 2 * step_size * sp.Rational(others.numerator, others.denominator)
    action = 2 * step_size * sp.Rational(total.numerator, total.denominator)
    return _learner(f"projected gradient, {len(weights)} opponents", state, action, (_NORMAL,), _PROJECTION)


def logit_gradient(stochastic: bool = False) -> Learner:
    """Return the constants of one opponent's gradient step of size η on the logits of two actions.

    e^{x/4}(1+x/(6√3)) and η span(u_0-u_1)/16 with x = η max|u_0-u_1|, u_j the opponent's payoff of its action j. In a
    stochastic game x = η span(r)/(1-γ), the first gains ηγ span(r)/(4(1-γ)²), and the second is
    (η/16) span(r)[4γ/(1-γ)²+2/(1-γ)].

    Parameters
    ----------
    stochastic : bool

    Examples
    --------
    Matching Pennies, rewards 0 and 1: η/8, and e^{1/4}(1+1/(6√3)):

    >>> constants = logit_gradient().evaluate(step_size=1, payoff_gap=1, payoff_gap_span=2)
    >>> round(constants["state"], 6), constants["action"]
    (1.407581, Fraction(1, 8))
    """
    name = "logit gradient"
    x = step_size * (inner_span / (1 - inner_discount) if stochastic else payoff_gap)
    state = sp.exp(x / 4) * (1 + x / (6 * sp.sqrt(3)))
    sketch = "σ'(θ+x)/σ'(θ) <= e^{|x|}, a step moves θ by x/4 at most, and max p(1-p)|1-2p| = 1/(6√3)."
    if not stochastic:
        return _learner(name, state, step_size * payoff_gap_span / 16, (_NORMAL, "two actions"), sketch)
    state += step_size * inner_discount * inner_span / (4 * (1 - inner_discount) ** 2)
    action = step_size * inner_span * _NEIGHBOURS / 16
    return _learner(f"{name}, stochastic game", state, action, (_STOCHASTIC, "two actions"), sketch)


def smoothed_best_response() -> Learner:
    """Return the constants of ψ' = (1-β)ψ + β softmax(u/τ) in a normal-form game: 1-β and β span(r)/(2τ).

    Examples
    --------
    >>> smoothed_best_response().evaluate(smoothing=0.25, inner_span=2, temperature=0.5)
    {'state': Fraction(3, 4), 'action': Fraction(1, 2)}
    """
    action = smoothing * inner_span / (2 * temperature)
    sketch = "The softmax's Jacobian J has ‖Jw‖₁ = E|w-Ew| <= span(w)/2."
    falls = (("smoothing",), ("temperature",))
    return _learner("smoothed best response", 1 - smoothing, action, (_NORMAL, "one opponent"), sketch, falls)


# Meta-games ------------------------------------------------------------------------------------------------------


_UPPER = "A backup on the grid loses the shaper's rounding at once, and the modulus of how far the next state is off."
_LOWER = "A backup on the grid gains the modulus of the rounding of the next state; it has fewer actions."
_LOSS = (
    "At x̄, the grid point next to x, the action's regret is at most E + E₋ + ε; between x̄ and x the optimal value and "
    "the action's value move by their moduli; regrets add up to 1/(1-γ̂) of the largest."
)


def _family(
    label: str,
    modulus: sp.Expr,
    step: sp.Expr,
    rest: sp.Expr,
    look: sp.Expr,
    assumptions: tuple[str, ...],
    conditions: tuple[tuple[sp.Expr, str], ...],
    replace: dict[sp.Symbol, Bound],
    sketch: str,
) -> Discretisation:
    """Assemble E, E₋ and D3's loss.

    `modulus` bounds |V*(x)-V*(x')| at `distance`. One step on the grid costs at most `step` more than in the
    continuous meta-game and gains at most `rest`; `look` bounds |Q*(x,a)-Q*(x',a)| at `distance`.
    """
    upper, lower = step / (1 - discount), rest / (1 - discount)
    near = {distance: alpha_state}
    # Regret at x of the action chosen for x̄: V* and Q* change by the modulus and by `look` between the two, and at
    # x̄ it is at most E + E₋ + epsilon.
    regret = upper + lower + epsilon + modulus.xreplace(near) + look.xreplace(near)
    values = {symbol: bound.expression for symbol, bound in replace.items()}
    notes = (note for bound in replace.values() for note in bound.assumptions)
    assumptions = tuple(dict.fromkeys((*assumptions, *notes)))
    expressions = [e.xreplace(values) for e in (modulus, upper, lower, regret / (1 - discount))]
    conditions = tuple((e.xreplace(values), otherwise) for e, otherwise in conditions)
    parameters = sorted(set[sp.Symbol]().union(*(e.free_symbols for e in expressions)), key=str)

    # The formulas grow in all their symbols, so those of the constants that are put in carry over.
    falls = {name for bound in replace.values() for name in bound.shrinks}

    def bound(label: str, name: str, expression: sp.Expr, sketch: str) -> Bound:
        return _bound(
            label,
            name,
            expression,
            assumptions,
            parameters=parameters,
            conditions=conditions,
            grows=tuple(sorted({s.name for s in expression.free_symbols} - falls)),
            sketch=sketch,
        )

    return Discretisation(
        modulus=bound(label, "difference of optimal values at a distance", expressions[0], sketch),
        upper=bound(label, "value lost on the grid", expressions[1], f"{sketch} {_UPPER}"),
        lower=bound(label, "value gained on the grid", expressions[2], f"{sketch} {_LOWER}"),
        loss=bound(
            f"D3 with {label}", "value that the grid's policy loses in the continuous game", expressions[3], _LOSS
        ),
    )


def _constants(learner: Learner | None, reward: Bound | None) -> dict[sp.Symbol, Bound]:
    replace = {} if learner is None else {l_state: learner.state, l_action: learner.action}
    return replace if reward is None else {**replace, l_reward: reward}


def d1(learner: Learner | None = None, reward: Bound | None = None) -> Discretisation:
    """Return D1 and D3 for a contracting learner, γ̂L_F^s < 1.

    V* is L_V-Lipschitz, L_V = L_R/(1-γ̂L_F^s); E = [L_Rα_a + γ̂L_V(L_F^aα_a+α_s)]/(1-γ̂), E₋ = γ̂L_Vα_s/(1-γ̂);
    loss [E + E₋ + ε + 2L_Vα_s]/(1-γ̂).

    Parameters
    ----------
    learner : Learner, optional
        Its constants take the place of l_state and l_action.
    reward : Bound, optional
        Takes the place of l_reward, as `reward_lipschitz()` does.

    Returns
    -------
    Discretisation
        Evaluation raises ValueError where γ̂L_F^s >= 1.

    Examples
    --------
    Matching Pennies, gradient steps of 1/5, 32 levels, γ̂ = 4/5: L_R = ½, L_V = 5/2, α = 1/32:

    >>> family = d1(projected_gradient(), reward_lipschitz())
    >>> point = dict(step_size=0.2, inner_actions=2, inner_span=1, inner_discount=0, discount=0.8)
    >>> family.upper.evaluate(**point, alpha_action="1/32", alpha_state="1/32")
    Fraction(29, 64)
    >>> d1().modulus.evaluate(l_reward=1, l_state=2, discount=0.5, distance=0.1)
    Traceback (most recent call last):
        ...
    ValueError: D1 does not apply: discount·l_state is not below 1; use X5 (discount = 1/2, l_state = 2)
    """
    slope = l_reward / (1 - discount * l_state)
    return _family(
        "D1",
        slope * distance,
        l_reward * alpha_action + discount * slope * (l_action * alpha_action + alpha_state),
        discount * slope * alpha_state,
        slope * distance,
        _DETERMINISTIC,
        _CONTRACTING,
        _constants(learner, reward),
        "V* = TV* and T carries Lipschitz constants L to L_R + γ̂L_F^s L: the fixed point is L_V.",
    )


def d2(reward: Bound | None = None) -> Discretisation:
    """Return D2 and D3 for transitions that are Lipschitz in total variation.

    L_V = L_R+γ̂L_P span(R)/(1-γ̂); E = L_V(α_a+γ̂α_s)/(1-γ̂), E₋ = γ̂L_Vα_s/(1-γ̂); loss as in D1.

    Parameters
    ----------
    reward : Bound, optional
        Takes the place of l_reward.

    Examples
    --------
    L_V = 1 + ½·½·2/½ = 2 and E = 2(1/10 + 1/20)/½:

    >>> constants = dict(l_reward=1, l_transition=0.5, meta_span=2, discount=0.5)
    >>> d2().upper.evaluate(**constants, alpha_action=0.1, alpha_state=0.1)
    Fraction(3, 5)
    """
    slope = l_reward + discount * l_transition * meta_span / (1 - discount)
    return _family(
        "D2",
        slope * distance,
        slope * (alpha_action + discount * alpha_state),
        discount * slope * alpha_state,
        slope * distance,
        ("½‖P(·|x,a)-P(·|x',a')‖₁ <= l_transition·(d(x,x')+d(a,a'))", "the meta-reward is l_reward-Lipschitz in both"),
        (),
        _constants(None, reward),
        "|(P-P')V| is at most the total variation times span(V), and span(V*) <= span(R)/(1-γ̂).",
    )


def d2_window() -> Bound:
    """Return the loss by a grid of actions in an exact Case II meta-game: span(r)δ/[(1-γ̂)(1-γ̂+γ̂δ)], δ = α_a/2.

    G1+ on the meta-level; 0 where the pure actions are in the grid (G3).

    Examples
    --------
    (1/10)/(½·(½ + 1/20)):

    >>> d2_window().evaluate(inner_span=1, discount=0.5, alpha_action=0.2)
    Fraction(4, 11)
    """
    share = sp.Min(1, alpha_action / 2, evaluate=False)
    return _bound(
        "D2",
        "value lost by a grid of actions, Case II",
        inner_span * coupling(share, discount) / (1 - discount),
        ("one inner step per meta-step, simultaneous moves", "the meta-state is an exact window"),
        grows=("inner_span", "discount", "alpha_action"),
        sketch="G1+ on the meta-level: play the nearest action and couple; 0 with the pure actions in the grid (G3).",
    )


def _lookahead(d: sp.Expr) -> sp.Expr:
    """Return the smallest H with L_R d (L_F^s)^H >= span(R), at which ω(d) is least if L_F^s > 1."""
    needed = sp.ceiling(sp.log(meta_span / (l_reward * d)) / sp.log(l_state))
    return sp.Max(0, needed, evaluate=False)


def _omega(d: sp.Expr) -> sp.Expr:
    h, growth = _lookahead(d), discount * l_state
    total = sp.Piecewise((h, sp.Eq(growth, 1)), ((growth**h - 1) / (growth - 1), True))
    value = l_reward * d * total + discount**h * meta_span / (1 - discount)
    return sp.Piecewise((sp.S.Zero, sp.Eq(d, 0)), (value, True))


def x5(learner: Learner | None = None, reward: Bound | None = None) -> Discretisation:
    """Return X5 and D3 for an expansive learner, L_F^s > 1, whether γ̂L_F^s is below 1 or not.

    |V*(x)-V*(x')| <= ω(d) = min_H [L_R d Σ_{t<H}(γ̂L_F^s)^t + γ̂^H span(R)/(1-γ̂)], least at the smallest H with
    L_R d (L_F^s)^H >= span(R); E = [L_Rα_a+γ̂ω(L_F^aα_a+α_s)]/(1-γ̂), E₋ = γ̂ω(α_s)/(1-γ̂). Since ω(d) <= L_V d where
    D1 applies too, X5 is never the worse of the two. The loss is [E + E₋ + ε + ω(α_s) + L_Rα_s + γ̂ω(L_F^sα_s)]/(1-γ̂).

    Parameters
    ----------
    learner : Learner, optional
        Its constants take the place of l_state and l_action.
    reward : Bound, optional
        Takes the place of l_reward.

    Returns
    -------
    Discretisation
        Evaluation raises ValueError where L_F^s <= 1.

    Examples
    --------
    d = 1/4 doubles twice before it reaches span(R) = 1: H = 2, (1/4)(1 + 1) + (½)²·1/½ = 1:

    >>> x5().modulus.evaluate(l_reward=1, l_state=2, meta_span=1, discount=0.5, distance="1/4")
    1
    """
    one_step = _omega(l_action * alpha_action + alpha_state)
    return _family(
        "X5",
        _omega(distance),
        l_reward * alpha_action + discount * one_step,
        discount * _omega(alpha_state),
        l_reward * distance + discount * _omega(l_state * distance),
        _DETERMINISTIC,
        _EXPANSIVE,
        _constants(learner, reward),
        "Replay the optimal open-loop actions for H steps, in which the states drift apart by L_F^s a step.",
    )


def x5_lookahead() -> Bound:
    """Return the H at which X5's ω(d) is least: max(0, ⌈ln(span(R)/(L_R d))/ln L_F^s⌉), for L_F^s > 1.

    Examples
    --------
    >>> x5_lookahead().evaluate(l_reward=1, l_state=2, meta_span=1, distance="1/4")
    2
    """
    name = "steps for which open-loop actions are replayed"
    return _bound(
        "X5",
        name,
        _lookahead(distance),
        _DETERMINISTIC,
        kind=Kind.EXACT,
        conditions=_EXPANSIVE,
        grows=("meta_span",),
        shrinks=("l_reward", "distance", "l_state"),
        sketch="One step more costs L_R d (γ̂L_F^s)^H and saves γ̂^H span(R).",
    )


def x5_exponent() -> Bound:
    """Return X5's Hölder exponent β = ln(1/γ̂)/ln L_F^s: ω(d) = O(d^β) for γ̂L_F^s > 1.

    Examples
    --------
    >>> round(x5_exponent().evaluate(l_state=2, discount=0.8), 4)
    0.3219
    """
    conditions = ((discount * l_state - 1, "discount·l_state is not above 1; V* is Lipschitz by D1"),)
    expression = sp.log(1 / discount) / sp.log(l_state)
    return _bound(
        "X5",
        "Hölder exponent of the optimal value",
        expression,
        _DETERMINISTIC,
        conditions=conditions,
        shrinks=("discount", "l_state"),
        sketch="ω at H = ln(span(R)/(L_R d))/ln L_F^s: both terms are of the order γ̂^H = d^β.",
    )
