"""Evaluation of an expression at many points at once, with NumPy, in blocks that stay in the processor's cache."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import sympy as sp

from bounds._evaluate import FewestTrials, margin_of

_BLOCK = 1 << 13


def _damped(e: sp.Expr) -> tuple[sp.Expr, sp.Expr] | None:
    """Return c and x of e = c·x/(1-e^{-x}), the form in X1's denominator, or None."""
    for factor in sp.Mul.make_args(e):
        share = 1 / factor
        if share.is_Add and share.args[0] == 1 and len(share.args) == 2 and isinstance(-share.args[1], sp.exp):
            x = -(-share.args[1]).args[0]
            return e * share / x, x
    return None


def _excess(x: Any) -> Any:
    """Return x/(1-e^{-x}) - 1, by its series at small x, where the difference would cancel."""
    import numpy as np

    y = np.square(x)
    series = x / 2 + y / 12 * (1 - y / 60 * (1 - y / 42))
    return np.where(x < 0.1, series, x / -np.expm1(-x) - 1)


class Program:
    """An expression compiled to a list of array operations, common parts computed once.

    Parameters
    ----------
    expression : sympy.Expr
        Of the functions that the theory uses, the binomial quantile excepted.
    """

    def __init__(self, expression: sp.Expr) -> None:
        if expression.has(FewestTrials):
            raise NotImplementedError(
                "the binomial quantile is not vectorised: take P5's closed form, such as rmax.t1(form='closed')"
            )
        self.slots: dict[Any, int] = {}
        self.operations: list[tuple[Callable[..., Any] | None, tuple[int, ...], Any]] = []
        self.result = self._add(expression)

    def _emit(self, key: Any, operation: Callable[..., Any] | None, args: tuple[int, ...], constant: Any = None) -> int:
        self.operations.append((operation, args, constant))
        self.slots[key] = len(self.operations) - 1
        return self.slots[key]

    def _add(self, e: Any) -> int:
        import numpy as np

        if e in self.slots:
            return self.slots[e]
        if e.is_Number:
            return self._emit(e, None, (), np.float64(e))
        if e.is_Symbol:
            return self._emit(e, None, (), e.name)
        if isinstance(e, sp.Piecewise):
            slot = self._add(e.args[-1][0])
            for value, condition in reversed(e.args[:-1]):
                sides = self._add(condition.lhs), self._add(condition.rhs)
                cases = (*sides, self._add(value), slot)
                slot = self._emit((e, value), lambda a, b, x, y: np.where(a == b, x, y), cases)
            self.slots[e] = slot
            return slot
        if e.is_Pow:
            if e.exp == -1:
                return self._emit(e, np.reciprocal, (self._add(e.base),))
            if e.exp == 2:
                return self._emit(e, np.square, (self._add(e.base),))
            if e.exp == -2:
                return self._emit(e, lambda x: np.reciprocal(np.square(x)), (self._add(e.base),))
            if e.exp == sp.Rational(1, 2):
                return self._emit(e, np.sqrt, (self._add(e.base),))
            if e.base == 2:
                return self._emit(e, np.exp2, (self._add(e.exp),))
            return self._emit(e, np.power, (self._add(e.base), self._add(e.exp)))
        if e.is_Add and e.args[0] == 1 and len(e.args) == 2:
            if isinstance(-e.args[1], sp.exp):
                return self._emit(e, lambda x: -np.expm1(x), (self._add((-e.args[1]).args[0]),))  # 1 - e^x at small x
            found = _damped(-e.args[1])
            if found is not None:
                return self._emit(e, lambda c, x: (1 - c) - c * _excess(x), tuple(self._add(a) for a in found))
        if isinstance(e, sp.log) and e.args[0].is_Pow and e.args[0].exp == -1:
            return self._emit(e, lambda x: -np.log(x), (self._add(e.args[0].base),))  # 1/γ is rounded next to 1
        args = tuple(self._add(a) for a in e.args)
        folded = {sp.Add: np.add, sp.Mul: np.multiply, sp.Max: np.maximum, sp.Min: np.minimum}
        for kind, join in folded.items():
            if isinstance(e, kind):
                slot = args[0]
                for i, arg in enumerate(args[1:]):
                    slot = self._emit((e, i), join, (slot, arg))
                self.slots[e] = slot
                return slot
        single = {sp.log: np.log, sp.exp: np.exp, sp.ceiling: np.ceil, sp.floor: np.floor}
        for kind, function in single.items():
            if isinstance(e, kind):
                return self._emit(e, function, args)
        raise NotImplementedError(f"no array operation for {type(e).__name__}")

    def __call__(self, values: Mapping[str, Any]) -> Any:
        """Return the values as an array of float64, broadcast from `values`."""
        import numpy as np

        names = sorted(c for op, _, c in self.operations if op is None and isinstance(c, str))
        arrays = dict(zip(names, np.broadcast_arrays(*(np.asarray(values[n], np.float64) for n in names)), strict=True))
        shape = next(iter(arrays.values())).shape if arrays else ()
        flat = {name: array.ravel() for name, array in arrays.items()}
        size = int(np.prod(shape))
        out = np.empty(size)
        with np.errstate(all="ignore"):
            for start in range(0, size, _BLOCK):
                out[start : start + _BLOCK] = self._block(flat, slice(start, start + _BLOCK))
        return out.reshape(shape)

    @classmethod
    def where(cls, condition: Any, values: Mapping[str, Any], found: Any) -> Any:
        """Return `found`, NaN where a condition (see `Bound.conditions`) does not hold."""
        import numpy as np

        margin, closed = margin_of(condition)
        left = cls(margin)(values)
        return np.where(left >= 0 if closed else left > 0, found, np.nan)

    def _block(self, flat: Mapping[str, Any], part: slice) -> Any:
        results: list[Any] = []
        for operation, args, constant in self.operations:
            if operation is None:
                results.append(flat[constant][part] if isinstance(constant, str) else constant)
            else:
                results.append(operation(*(results[i] for i in args)))
        return results[self.result]
