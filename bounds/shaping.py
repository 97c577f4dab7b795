"""T2, the sample complexity of R-FOS: a theorem on R-max with the cardinalities of the meta-game substituted.

Nothing is typed in finished: `case_one` and `case_two` take the Bounds of T1, T1+ or T1' and put |Ŝ|, |Â| and B of
the discretised meta-game in place of their symbols, the points of a grid being N2's or N3's. What a discretisation
costs (D1 to D3, X5) comes on top; `t2` has both as functions of one radius. Every player has the same number of actions
here.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cache
from typing import Any, Literal, TypeAlias

import sympy as sp

from bounds.bound import Bound, Family
from bounds.discretisation import Discretisation, d1
from bounds.grids import n2, n3
from bounds.rmax import t1, t1_restarts
from bounds.sharp import t1_deterministic, t1_plus
from bounds.substitution import substituted
from bounds.symbols import (
    REGISTRY,
    alpha_action,
    alpha_state,
    branching,
    epsilon,
    inner_actions,
    inner_branching,
    inner_states,
    inner_steps,
    n_actions,
    n_states,
    players,
    radius,
    window,
)

Theorem: TypeAlias = Literal["T1", "T1+", "T1'", "X4"]
_EPISODE: dict[str | None, tuple[str, ...]] = {"X4": ("horizon",)}  # X4 counts episodes of T steps
Grid: TypeAlias = Literal["paper", "paper, B = 1", "refined"]

_SOURCE = "T2; Fung, Zhang, Lu, Wan, Willi and Foerster 2024 (arXiv 2402.05782), with explicit constants"
_SIMULATED = "R-max plays the simulated meta-game on the grid; the final policy transfers by D3"


def _theorem(theorem: str, pooled: bool = False) -> Bound:
    if theorem == "T1":
        return t1(pooled=pooled).steps
    if theorem == "T1+":
        return t1_plus(pooled=pooled).steps
    if theorem == "T1'" and not pooled:
        return t1_deterministic().steps
    if theorem == "X4" and not pooled:
        return t1_restarts().steps
    raise ValueError(f"theorem must be T1, T1+, T1' or X4 (the last two not pooled); got {theorem!r}")


def _values(grid: Grid) -> dict[Any, sp.Expr]:
    """Return |Ŝ|, |Â| and B of Case I for the symbols that they stand for; the points are N2's or N3's."""
    points = n3().points.expression if grid == "refined" else n2("l2").points.expression
    states = points ** (players - 1 if grid == "refined" else players)
    return {n_states: states, n_actions: points, branching: states if grid == "paper" else sp.Integer(1)}


def _split(base: Bound, values: Mapping[Any, sp.Expr]) -> tuple[tuple[str, sp.Expr], ...]:
    """Return the factors of a theorem at the sizes `values`, with its pairs taken apart."""
    named, *rest = substituted(base, values).factors
    sizes = [("meta-states", values[n_states]), ("meta-actions", values[n_actions])]
    return (*sizes[: 1 if named[0] == "states" else 2], *rest)


@cache
def case_one(grid: Grid = "refined", theorem: Theorem | None = None) -> Bound:
    """Return T2 in Case I, policies observed, as a number of meta-steps that are not ε-optimal on the grid.

    Parameters
    ----------
    grid : {"paper", "paper, B = 1", "refined"}
        "paper": cube grid, joint meta-states |Ŝ| = N^n, |Â| = N, and B = |Ŝ|. "paper, B = 1": the same with the one
        successor that a deterministic learner has. "refined": lumped meta-states |Ŝ| = N^(n-1) on the simplex grid,
        B = 1.
    theorem : {"T1", "T1+", "T1'", "X4"}, optional
        X4 is T1 under random restarts (`bounds.rmax.t1_restarts`). Default T1 for the paper's grid and T1' (m = 1)
        where B = 1.

    Returns
    -------
    Bound
        In players, inner_states, inner_actions, radius and the theorem's other symbols. As α shrinks its elasticity
        in 1/α tends to (2n+1)|S||A| for the paper's grid, (n+1)|S||A| with B = 1, and n|S|(|A|-1) refined.

    Examples
    --------
    Matching Pennies, α = 1/4: k = 4, N = 5 policies each, 5 meta-states and 5 meta-actions. H = 4 as 5·(4/5)^4 = 2.05,
    so 4·25 steps:

    >>> point = dict(players=2, inner_states=1, inner_actions=2, radius="1/4")
    >>> case_one().evaluate(**point, epsilon=2.2, discount=0.8, r_max=1, w_plan=0)
    100
    """
    if grid not in ("paper", "paper, B = 1", "refined"):
        raise ValueError(f'grid must be "paper", "paper, B = 1" or "refined"; got {grid!r}')
    name = theorem or ("T1" if grid == "paper" else "T1'")
    if grid == "paper" and name == "T1'":
        raise ValueError("T1' needs B = 1: take another grid")
    values = _values(grid)
    base = _theorem(name)
    detail = (f"{grid} grid", "deterministic learner" if grid != "paper" else "nothing is known of the successors")
    return substituted(
        base,
        values,
        name=f"meta-steps that are not epsilon-optimal, Case I, {grid}",
        label=f"T2, Case I with {name}",
        source=_SOURCE,
        assumptions=(*base.assumptions, *detail, _SIMULATED),
        factors=_split(base, values),
        grows=("players", "inner_states", "inner_actions", "discount", "r_max", *_EPISODE.get(theorem, ())),
        shrinks=("radius", "epsilon", *(("delta",) if name != "T1'" else ())),
        sketch="The theorem on R-max with the grid's cardinalities.",
    )


def _window_sizes(several_states: bool) -> Mapping[Any, sp.Expr]:
    joint = inner_actions**players
    opponents = inner_actions ** (players - 1)
    if several_states:
        states = inner_states * (inner_states * joint) ** window
        return {n_states: states, n_actions: inner_actions, branching: inner_branching * opponents}
    return {n_states: joint**window, n_actions: inner_actions, branching: opponents}


@cache
def case_two(
    theorem: Theorem = "T1",
    *,
    support: Literal["exact", "paper"] = "exact",
    pooled: bool = False,
    several_states: bool = False,
) -> Bound:
    """Return T2 in Case II, a window of h joint actions observed, as a number of meta-steps that are not ε-optimal.

    Parameters
    ----------
    theorem : {"T1", "T1+", "X4"}
    support : {"exact", "paper"}
        B = Π_{i≠0}|A_i|, or the paper's B = |Ŝ|, from which the square of |Ŝ| in its bound comes.
    pooled : bool
        X2: counts per window. For one inner state only.
    several_states : bool
        Whether the game has several inner states; the window then holds (state, joint action) pairs and the current
        state, and B is multiplied by `inner_branching`.

    Returns
    -------
    Bound
        In players, inner_actions, window (and inner_states, inner_branching) and the theorem's other symbols.

    Examples
    --------
    Matching Pennies, window 2: 16 meta-states, 2 meta-actions, B = 2, as T1+ has it there.

    >>> point = dict(epsilon=0.8, delta=0.2, discount=0.8, r_max=1, w_plan="1/100", w_sim="33/50", w_esc="33/100")
    >>> case_two("T1+").evaluate(players=2, inner_actions=2, window=2, **point)
    92804735
    >>> t1_plus().steps.evaluate(n_states=16, n_actions=2, branching=2, **point)
    92804735
    """
    if support not in ("exact", "paper"):
        raise ValueError(f'support must be "exact" or "paper"; got {support!r}')
    if theorem == "T1'":
        raise ValueError("T1' needs one successor, which a window of random play has not: take T1, T1+ or X4")
    if pooled and several_states:
        raise ValueError("pooled counts need one inner state: the next one may depend on the shaper's action")
    values = dict(_window_sizes(several_states))
    if support == "paper":
        values[branching] = values[n_states]
    base = _theorem(theorem, pooled)
    sizes = ("players", "inner_actions", "window") + (("inner_states", "inner_branching") if several_states else ())
    return substituted(
        base,
        values,
        name="meta-steps that are not epsilon-optimal, Case II",
        label=f"T2, Case II with {theorem}",
        source=_SOURCE,
        assumptions=(*base.assumptions, "the opponents' play is a function of the window", f"{support} support"),
        factors=_split(base, values),
        grows=(
            *(s for s in sizes if support == "exact" or s != "inner_branching"),
            "discount",
            "r_max",
            *_EPISODE.get(theorem, ()),
        ),
        shrinks=("epsilon", "delta"),
        sketch="The theorem on R-max with the window's cardinalities.",
    )


def sizes(case: Literal["one", "two"], grid: Grid = "refined", *, several_states: bool = False) -> dict[str, Bound]:
    """Return |Ŝ|, |Â| and B of a case as Bounds, by the names of the symbols that they stand for.

    Examples
    --------
    >>> {k: b.evaluate(players=2, inner_actions=2, window=3) for k, b in sizes("two").items()}
    {'n_states': 64, 'n_actions': 2, 'branching': 2}
    """
    if case == "two":
        values = _window_sizes(several_states)
        names: tuple[str, ...] = ("players", "inner_actions", "window", "inner_states", "inner_branching")
    else:
        values = _values(grid)
        names = ("players", "inner_actions", "inner_states", "radius")
    return {
        str(symbol): Bound(
            name=REGISTRY[str(symbol)].meaning,
            label="T2",
            expression=e,
            source=_SOURCE,
            parameters=names,
            assumptions=(f"Case I, {grid} grid" if case == "one" else "Case II",),
            grows=tuple(n for n in names if n != "radius" and n in {s.name for s in e.free_symbols}),
            shrinks=("radius",) if radius in e.free_symbols else (),
            sketch="One policy of each player (Case I), or one joint action of each step of the window (Case II).",
        )
        for symbol, e in values.items()
    }


def accuracy(discretisation: Discretisation) -> Bound:
    """Return T2's accuracy against the continuous meta-game: ε + E.

    All but the stated number of meta-steps of R-max in the simulated meta-game on the grid have
    V^{A_t} >= V* - ε - E there.

    Parameters
    ----------
    discretisation : Discretisation
        From `bounds.discretisation`: `d1`, `d2` or `x5`, with the learner's constants put in.

    Examples
    --------
    L_V = 1/(1-½) = 2, E = [1/10 + ½·2(1/10 + 1/10)]/½:

    >>> from bounds.discretisation import d1
    >>> constants = dict(l_reward=1, l_state=1, l_action=1, alpha_action="1/10", alpha_state="1/10", discount="1/2")
    >>> accuracy(d1()).evaluate(**constants, epsilon="1/5")
    Fraction(4, 5)
    """
    upper = discretisation.upper
    return replace(
        upper,
        name="accuracy of R-FOS at the grid's meta-states",
        label=f"T2 with {upper.label}",
        expression=epsilon + upper.expression,
        source=_SOURCE,
        assumptions=(*upper.assumptions, _SIMULATED),
        parameters=(*upper.parameters, "epsilon"),
        grows=(*upper.grows, "epsilon"),
        sketch="V^{A_t} >= V*_grid - ε by the theorem on R-max, and V*_grid >= V* - E.",
    )


def inner_samples(steps: Bound) -> Bound:
    """Return the inner-environment samples of a number of meta-steps: times the inner steps of one.

    Examples
    --------
    >>> point = dict(players=2, inner_states=1, inner_actions=2, radius="1/4", inner_steps=10)
    >>> inner_samples(case_one()).evaluate(**point, epsilon=2.2, discount=0.8, r_max=1, w_plan=0)
    1000
    """
    return replace(
        steps,
        name="inner-environment samples",
        expression=steps.expression * inner_steps,
        factors=(*steps.factors, ("inner steps", inner_steps)),
        grows=(*steps.grows, "inner_steps"),
    )


@dataclass(frozen=True)
class T2(Family):
    """T2 in Case I at the radius α of every player's grid: what is paid for what accuracy.

    Attributes
    ----------
    steps : Bound
        Meta-steps that are not epsilon-optimal in the simulated meta-game on the grid.
    samples : Bound
        Their inner-environment samples.
    accuracy : Bound
        ε + E, of all other meta-steps against the continuous meta-game, at the grid's meta-states.
    loss : Bound
        D3: what the final policy loses in the continuous meta-game.
    """

    steps: Bound
    samples: Bound
    accuracy: Bound
    loss: Bound


def t2(grid: Grid = "refined", theorem: Theorem | None = None, discretisation: Discretisation | None = None) -> T2:
    """Return T2 in Case I with bound and accuracy in the one symbol `radius`, α.

    The shaper's grid has α_a = d and the opponents' together α_s = (n-1)d, where d is the radius in the distance of
    policies: α itself on the simplex grid (N3), and |A|/(2q) with q = ⌈√D/(2α)⌉ on the paper's, whose α is Euclidean
    (N2).

    Parameters
    ----------
    grid, theorem
        As for `case_one`.
    discretisation : Discretisation, optional
        From `bounds.discretisation`, with the learner's constants put in or not; default `d1()`.

    Returns
    -------
    T2
        Bounds that all take the same values.

    Examples
    --------
    Matching Pennies as for `case_one`, a gradient learner with steps of 1/5: L_R = ½ and L_V = 5/2, so that
    E = [½·¼ + (4/5)(5/2)(¼/5 + ¼)]/(1/5) = 29/8 and ε + E = 233/40.

    >>> from bounds.discretisation import projected_gradient, reward_lipschitz
    >>> family = t2(discretisation=d1(projected_gradient(), reward_lipschitz()))
    >>> point = dict(players=2, inner_states=1, inner_actions=2, radius="1/4", epsilon=2.2, discount=0.8, r_max=1)
    >>> found = family.evaluate(**point, step_size=0.2, inner_span=1, inner_discount=0, inner_steps=10, w_plan=0)
    >>> found["steps"], found["samples"], found["accuracy"]
    (100, 1000, Fraction(233, 40))
    """
    steps = case_one(grid, theorem)
    own = d1() if discretisation is None else discretisation
    refined = grid == "refined"
    near = radius if refined else n2("l2").radius.expression
    moved = {alpha_action: near, alpha_state: (players - 1) * near}
    lost = {alpha_action.name, alpha_state.name, *(() if refined else ("inner_states", "inner_actions"))}

    def placed(bound: Bound) -> Bound:
        grows = {*bound.grows, "radius", "players"} - lost  # a fixed Euclidean radius takes more cells for larger D
        return substituted(bound, moved, grows=tuple(sorted(grows)))

    parts = {
        "steps": steps,
        "samples": inner_samples(steps),
        "accuracy": accuracy(replace(own, upper=placed(own.upper))),
        "loss": placed(own.loss),
    }
    names = tuple(sorted({n for b in parts.values() for n in (*b.symbols, *b.parameters, *b.weights)}))
    return T2(**{name: replace(bound, parameters=names) for name, bound in parts.items()})
