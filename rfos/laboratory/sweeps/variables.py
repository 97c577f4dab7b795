"""What a fit varies and what it fits, with the bound beside it."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import bounds.exploration
import bounds.rmax
from bounds import symbols
from bounds.bound import Bound
from bounds.substitution import substituted
from rfos.laboratory.sweeps.cells import Cell
from rfos.laboratory.sweeps.measures import LEAST_M, MEASURES, measure_of
from rfos.laboratory.sweeps.parts import AGENT_KINDS, AgentKind, is_own
from rfos.learning.theorems import BY_NAME, TheoremName, shares

Values = Mapping[str, Any]


@dataclass(frozen=True)
class Variable:
    """A variable of the theory as fits use it.

    Attributes
    ----------
    label : str
        What stands on the axis.
    x : callable
        The variable at a point.
    scale : callable
        What an elasticity in the theory's symbol is multiplied with to be one in x.
    moved_by : tuple of str
        Variables of a cell that move it, which therefore need not be equal along a line.
    """

    label: str
    x: Callable[[Values], float]
    scale: Callable[[Values], float]
    moved_by: tuple[str, ...]


def _itself(name: str, label: str, *moved_by: str) -> Variable:
    return Variable(label, lambda v: float(v[name]), lambda _: 1.0, moved_by)


VARIABLES: Mapping[str, Variable] = {
    "n_states": _itself("n_states", "meta-states |S|", "window", "levels"),
    "n_actions": _itself("n_actions", "meta-actions |A|", "game", "window", "levels"),
    "branching": _itself("branching", "successors B", "game", "window", "levels"),
    "epsilon": Variable("1/epsilon", lambda v: 1 / v["epsilon"], lambda _: -1.0, ("epsilon",)),
    "delta": Variable("ln(1/delta)", lambda v: -math.log(v["delta"]), lambda v: math.log(v["delta"]), ("delta",)),
    "discount": Variable(
        "1/(1-discount)",
        lambda v: 1 / (1 - v["discount"]),
        lambda v: (1 - v["discount"]) / v["discount"] if v["discount"] else math.nan,
        ("discount",),
    ),
    "m": _itself("m", "visits m", "m"),
}

NAMES_OF: Mapping[str, str] = {
    name: quantity.label for record in MEASURES.values() for name, quantity in record.fitted.items()
}
"""What the package's quantities are called."""

SIZES = ("n_states", "n_actions", "branching", "r_max")


def words(measure: str, quantity: str) -> str:
    """Return what a quantity of a measure is called; one of a user's own is imported."""
    return measure_of(measure).fitted[quantity].label


def bound_of(quantity: str, cell: Cell, sizes: Values) -> tuple[Bound, dict[str, Any]] | None:
    """Return the bound of a quantity at a cell's point with the values of its symbols, or None where there is none.

    Parameters
    ----------
    quantity : str
        One of a measure's.
    cell : Cell
    sizes : mapping
        The result's n_states, n_actions, branching and r_max, and for what a ledger counts its theorem.
    """
    if is_own(cell.agent) or quantity not in _BOUNDS:
        return None
    kind = AGENT_KINDS[cell.agent]
    values = {**sizes, "horizon": cell.horizon, "epsilon": cell.epsilon, "delta": cell.delta, "discount": cell.discount}
    found = _BOUNDS[quantity](cell, kind, sizes)
    if found is None:
        return None
    values["m"] = 1 if cell.m is None else cell.m
    values |= _shares(cell, kind)
    if kind.pooled:
        values["n_actions"] = 1  # a row is a meta-state, as if there were one action
    return found, {name: value for name, value in values.items() if name in found.symbols}


def _shares(cell: Cell, kind: AgentKind) -> dict[str, Any]:
    """Return the shares of epsilon that the agent's schedule takes."""
    if kind.episodic:
        return shares(BY_NAME[TheoremName.EPISODIC])
    return shares(BY_NAME[TheoremName.CONTINUING if cell.horizon is None else TheoremName.RESTARTS])


def _schedule(cell: Cell, kind: AgentKind) -> Bound | None:
    """Return the agent's schedule of m, or None where m is given, or 1 since a visit reveals a pair's law."""
    if cell.m is not None or cell.levels is not None:
        return None
    if kind.paper_schedule:
        return bounds.rmax.paper_m()
    if kind.episodic:
        return bounds.rmax.t1_episodic().m
    return bounds.rmax.t1(pooled=kind.pooled).m


def _least_m(cell: Cell, kind: AgentKind, sizes: Values) -> Bound | None:
    return None if cell.levels is not None else bounds.rmax.t1(pooled=kind.pooled).m


def _count_most(cell: Cell, kind: AgentKind, sizes: Values) -> Bound | None:
    """Return the bound of the steps that are not epsilon-optimal by the theorem that covers the run."""
    if sizes["theorem"] is None:
        return None
    theorem = BY_NAME[TheoremName(sizes["theorem"])]
    if theorem.name == TheoremName.RESTARTS:
        return _x4(_schedule(cell, kind), False)
    if theorem.weights is not None and cell.m is not None:
        return None
    # What T1 is sharpened to is compared with T1.
    return (BY_NAME[theorem.refines] if theorem.refines else theorem).promise(kind.pooled)


def _exploration(cell: Cell, kind: AgentKind, sizes: Values) -> Bound | None:
    """Return X1, which holds for every m, without restarts."""
    return _x1(_schedule(cell, kind)) if cell.horizon is None and not kind.softmax else None


def _all_known(cell: Cell, kind: AgentKind, sizes: Values) -> Bound | None:
    """Return X4, which is about random restarts."""
    return _x4(_schedule(cell, kind), kind.softmax) if cell.horizon is not None else None


_BOUNDS: Mapping[str, Callable[[Cell, AgentKind, Values], Bound | None]] = {
    LEAST_M: _least_m,
    "count_most": _count_most,
    "exploration_high": _exploration,
    "steps_all_known": _all_known,
}


@functools.cache
def _x4(visits: Bound | None, softmax: bool) -> Bound:
    return bounds.rmax.x4(softmax).steps if visits is None else bounds.rmax.x4_scheduled(visits, softmax)


@functools.cache
def _x1(visits: Bound | None) -> Bound:
    """Return X1 with all the visits that make pairs known."""
    m = symbols.m if visits is None else visits.expression
    label = "X1" if visits is None else f"X1, m of {visits.label}"
    k0 = symbols.n_states * symbols.n_actions * m
    return substituted(bounds.exploration.x1(), {symbols.explorations: k0}, name="sum of e_t", label=label)
