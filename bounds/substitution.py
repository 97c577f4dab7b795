"""Substitution of expressions for symbols, the way in which composite theorems are made from their parts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import sympy as sp

from bounds.bound import Bound


def substitute(expression: sp.Expr, values: Mapping[Any, sp.Expr]) -> sp.Expr:
    """Return the expression with symbols replaced; `Max` and `Min` are rebuilt unevaluated, which sympy cannot do."""
    memo: dict[Any, Any] = dict(values)

    def walk(e: Any) -> Any:
        if e not in memo:
            args = [walk(a) for a in e.args]
            if not e.args or all(a is b for a, b in zip(args, e.args, strict=True)):
                memo[e] = e
            elif isinstance(e, sp.Max | sp.Min):
                memo[e] = e.func(*args, evaluate=False)
            else:
                memo[e] = e.func(*args)
        return memo[e]

    return walk(expression)


def substituted(bound: Bound, values: Mapping[Any, sp.Expr], **changes: Any) -> Bound:
    """Return a bound with symbols replaced by expressions in its formula, its factors and its conditions.

    What it grows and shrinks in is not known any more, and is left empty unless `changes` say it.
    """
    gone = {s.name for s in values}
    inner = {s.name for e in values.values() for s in e.free_symbols}
    parameters = tuple(dict.fromkeys([*(p for p in bound.parameters if p not in gone), *sorted(inner)]))
    fields: dict[str, Any] = {
        "expression": substitute(bound.expression, values),
        "factors": tuple((name, substitute(e, values)) for name, e in bound.factors),
        "conditions": tuple((substitute(e, values), text) for e, text in bound.conditions),
        "parameters": parameters,
        "weights": tuple(w for w in bound.weights if w not in gone),
        "grows": (),
        "shrinks": (),
    }
    return replace(bound, **{**fields, **changes})
