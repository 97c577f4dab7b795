"""A theorem written in named quantities: short formulas for V_max, m, k0, λ, C, H, N and the theorem in them."""

from __future__ import annotations

from typing import Any, NamedTuple

import sympy as sp
from sympy.printing.latex import LatexPrinter

from bounds.exploration import best_rate, count
from bounds.rmax import T1, T1Restarts
from bounds.sharp import T1Deterministic, T1Observed, T1Plus, row_root
from bounds.substitution import substitute
from bounds.symbols import (
    REGISTRY,
    delta,
    discount,
    eps_transition,
    epsilon,
    escape,
    explorations,
    failure,
    m,
    r_max,
    rate,
    w_sim,
)

Theorem = T1 | T1Restarts | T1Plus | T1Deterministic | T1Observed

_NAMED = {
    "v_max": (r"V_{\max}", "largest return"),
    "row": ("x", "what the support of a row costs"),
    "ahead": ("H", "steps looked ahead"),
    "blocks": ("N", "blocks of steps, or episodes, that may be bad"),
    "total": ("C", "bound on the expected discounts until an unknown pair is taken, summed over all steps"),
    "steps": (r"\mathrm{steps}", "steps that are not epsilon-optimal, at most"),
}
_V, _X, _H, _N, _C, _STEPS = (sp.Symbol(name, positive=True) for name in _NAMED)
_LATEX = {entry.symbol: entry.latex for entry in REGISTRY.values()} | {
    sp.Symbol(name, positive=True): latex for name, (latex, _) in _NAMED.items()
}


class Definition(NamedTuple):
    """A quantity and its formula, in symbols and in quantities defined before it."""

    symbol: sp.Symbol
    expression: sp.Expr

    def latex(self) -> str:
        """Return the definition for amsmath's align."""
        printer = LatexPrinter({"symbol_names": _LATEX, "ln_notation": True})
        return f"{printer.doprint(self.symbol)} &= {printer.doprint(self.expression)}"


def definitions(family: Theorem) -> tuple[Definition, ...]:
    """Return a theorem for known rewards as definitions that build on each other; the last is its number of steps.

    Parts that the theorem was made of are replaced by their symbols, so that putting the definitions into each other
    gives back `family.steps`.

    Parameters
    ----------
    family : T1, T1Restarts, T1Plus, T1Deterministic or T1Observed
        With rewards="known"; the rate chosen.

    Examples
    --------
    >>> from bounds.sharp import t1_deterministic
    >>> for definition in definitions(t1_deterministic())[::2]:
    ...     print(definition.latex())
    V_{\\max} &= \\frac{R_{\\max}}{1 - \\hat\\gamma}
    \\mathrm{steps} &= |\\hat A| |\\hat S| \\min\\left(H, |\\hat S|\\right)
    """
    pairs = family.steps.factors[0][1]
    top = {r_max: _V * (1 - discount)}
    found = [Definition(_V, r_max / (1 - discount))]
    parts: dict[Any, sp.Expr] = dict(top)
    if not isinstance(family, T1Deterministic | T1Observed):
        found += _visits(family, pairs, top)
        parts[family.m.expression] = explorations / pairs if not isinstance(family, T1Restarts) else m
    if not isinstance(family, T1Deterministic | T1Restarts):
        found.append(Definition(explorations, pairs * m if not isinstance(family, T1Observed) else pairs))
    if isinstance(family, T1 | T1Deterministic):
        found.append(Definition(_H, substitute(family.effective_horizon.expression, top)))
        parts[family.effective_horizon.expression] = _H
    if isinstance(family, T1):
        found.append(Definition(escape, substitute(family.escape.expression, top)))
        found.append(Definition(_N, substitute(family.blocks.expression, parts | {family.escape.expression: escape})))
        parts[family.blocks.expression] = _N
    if isinstance(family, T1Restarts):
        found.append(Definition(_N, substitute(family.episodes.expression, parts)))
        parts[family.episodes.expression] = _N
    if isinstance(family, T1Plus | T1Observed):
        found.append(Definition(rate, best_rate(explorations, discount, delta)))
        at_rate = count(explorations, rate, discount, delta)
        found.append(Definition(_C, sp.Piecewise((explorations, sp.Eq(discount, 0)), (at_rate, True))))
        parts[family.count.expression] = _C
    return (*found, Definition(_STEPS, substitute(family.steps.expression, parts)))


def _visits(family: T1 | T1Restarts | T1Plus, pairs: sp.Expr, top: dict[Any, sp.Expr]) -> list[Definition]:
    """Return m in the failure probability and the error of one row."""
    shown = substitute(family.m.expression, {**top, delta: 4 * pairs * failure})
    found = [Definition(failure, delta / (4 * pairs))]
    if isinstance(family, T1Plus):
        row = row_root(1 / failure)
        if shown.has(row):  # not where a lemma stands in the place of P1
            found.append(Definition(_X, row))
            shown = substitute(shown, {row: _X})
    else:
        found.append(Definition(eps_transition, w_sim * epsilon * (1 - discount) / _V))
        shown = substitute(shown, {w_sim: eps_transition * _V / (epsilon * (1 - discount))})
    return [*found, Definition(m, shown)]


def legend(shown: tuple[Definition, ...]) -> dict[str, str]:
    """Return the meaning of every symbol of some definitions, by its LaTeX."""
    symbols = {s for d in shown for s in (d.symbol, *d.expression.free_symbols)}
    meanings = {entry.symbol: entry.meaning for entry in REGISTRY.values()}
    meanings |= {sp.Symbol(name, positive=True): meaning for name, (_, meaning) in _NAMED.items()}
    return {_LATEX[s]: meanings[s] for s in meanings if s in symbols}
