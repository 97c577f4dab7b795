"""What a fit varies and what it fits, with the bound beside it."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import bounds.exploration
import bounds.rmax
import bounds.sharp
from bounds import symbols
from bounds.bound import Bound
from bounds.substitution import substituted
from rfos.laboratory.sweeps.cells import Cell
from rfos.learning.theorems import PLANNING_SHARE

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

LEAST_M = "least_m"
"""Known as the interval from m_low to m_high."""

QUANTITIES: Mapping[str, Mapping[str, str]] = {
    "run": {"steps_all_known": "steps until all pairs are known"},
    "ledger": {
        "count_most": "steps that are not epsilon-optimal",
        "exploration_high": "sum of e_t",
    },
    "least-m": {LEAST_M: "least sufficient m"},
}
"""What is fitted, by measurement: the number in the result, and what it is called."""

NAMES_OF: Mapping[str, str] = {name: words for of in QUANTITIES.values() for name, words in of.items()}
"""Quantities in words."""

SIZES = ("n_states", "n_actions", "branching", "r_max")

PAPER_SCHEDULE = ("paper", "rmax-paper-m")
"""Agents with the m of the paper's schedule, which does not look at the range of rewards."""


def bound_of(quantity: str, cell: Cell, sizes: Values) -> tuple[Bound, dict[str, Any]] | None:
    """Return the bound of a quantity at a cell's point with the values of its symbols, or None where there is none.

    Parameters
    ----------
    quantity : str
        One of `QUANTITIES`.
    cell : Cell
    sizes : mapping
        The result's n_states, n_actions, branching and r_max, and for what a ledger counts its theorem.
    """
    values = {**sizes, "horizon": cell.horizon, "epsilon": cell.epsilon, "delta": cell.delta, "discount": cell.discount}
    pooled = cell.agent == "rmax-pooled"
    found: Bound | None
    if quantity == LEAST_M:
        found = None if cell.levels is not None else bounds.rmax.t1(pooled=pooled).m
    elif quantity == "count_most":
        found = _count(cell, sizes["theorem"])
    elif quantity == "exploration_high":  # X1 holds for every m, without restarts
        found = _x1(_schedule(cell)) if cell.horizon is None and cell.agent != "paper" else None
    else:  # X4 is about random restarts
        found = _x4(_schedule(cell), cell.agent == "paper") if cell.horizon is not None else None
    if found is None:
        return None
    values["m"] = 1 if cell.m is None else cell.m
    values |= _shares(cell)
    if pooled:
        values["n_actions"] = 1  # a row is a meta-state, as if there were one action
    return found, {name: value for name, value in values.items() if name in found.symbols}


def _shares(cell: Cell) -> dict[str, Any]:
    """Return the shares of epsilon that the agent's schedule takes."""
    if cell.agent == "rmax-episode":
        return bounds.rmax.default_weights("episodic")
    if cell.horizon is None:
        return bounds.rmax.default_weights("continuing")
    return {"w_plan": PLANNING_SHARE, "w_sim": 1 - PLANNING_SHARE}


def _schedule(cell: Cell) -> Bound | None:
    """Return the agent's schedule of m, or None where m is given, or 1 since a visit reveals a pair's law."""
    if cell.m is not None or cell.levels is not None:
        return None
    if cell.agent in PAPER_SCHEDULE:
        return bounds.rmax.paper_m()
    if cell.agent == "rmax-episode":
        return bounds.rmax.t1_episodic().m
    return bounds.rmax.t1(pooled=cell.agent == "rmax-pooled").m


def _count(cell: Cell, theorem: str | None) -> Bound | None:
    """Return the bound of the steps that are not epsilon-optimal by the theorem that covers the run."""
    if theorem == "X4":
        return _x4(_schedule(cell), False)
    if theorem == "T1'":
        return bounds.sharp.t1_deterministic().steps
    if theorem == "T1' with X1":
        return bounds.sharp.t1_observed().steps
    if cell.m is not None or theorem is None:
        return None
    if theorem == "T1-ep":
        return bounds.rmax.t1_episodic().episodes
    return bounds.rmax.t1(pooled=cell.agent == "rmax-pooled").steps


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
