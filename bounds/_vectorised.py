"""Evaluation of an expression at many points at once, with NumPy, in blocks that stay in the processor's cache."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import sympy as sp

from bounds._evaluate import UNKNOWN_CONDITION, FewestTrials, Mismatch, Missed, PowerSum, margin_of

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


def _power_sum(x: Any, n: Any) -> Any:
    """Return 1 + x + .. + x^(n-1)."""
    import numpy as np

    return np.where(x == 1, n, (1 - np.power(x, n)) / np.where(x == 1, 1, 1 - x))


def _missed(t: Any, x: Any, n: Any, j: Any) -> Any:
    """Return Σ_{i<n} x^i [1-(1-t)^(i+j)], term by term, as the sums of powers would cancel."""
    import numpy as np

    t, x, n, j = np.broadcast_arrays(*(np.asarray(v, np.float64) for v in (t, x, n, j)))
    staying, total, power = np.log1p(-t), np.zeros(t.shape), np.ones(t.shape)
    for i in range(int(np.nanmax(n, initial=1))):
        lost = np.where(i + j == 0, 0.0, -np.expm1(np.where(i + j == 0, 1.0, i + j) * staying))
        total += np.where(i < n, power, 0.0) * lost
        power = power * x
    return total


def _mismatch(s: Any, x: Any, n: Any, j: Any, a: Any) -> Any:
    """Return the t with Σ_{i<n} x^i [1-(1-t)^(i+j)] + a t = s, or 1: Newton's method, term by term as `_missed`."""
    import numpy as np

    s, x, n, j, a = np.broadcast_arrays(*(np.asarray(v, np.float64) for v in (s, x, n, j, a)))
    t = np.zeros(s.shape)
    longest = int(np.nanmax(n, initial=1))
    inside = s < _power_sum(x, n) - (j == 0) + a
    for _ in range(200):
        staying = np.log1p(-t)
        total, slope, power = a * t - s, a.copy(), np.ones(s.shape)
        for i in range(longest):
            live = np.where(i < n, power, 0.0)
            total -= live * np.expm1((i + j) * staying)
            slope += live * (i + j) * np.exp((i + j - 1) * staying)
            power = power * x
        step = np.where(inside, -total / slope, 0.0)
        t = t + step
        if not (np.abs(step) > 1e-16 * np.abs(t)).any():
            break
    return np.where(inside, t, 1.0)


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
            slot = self._emit((e, None), None, (), np.float64(np.nan))  # where no case covers a point
            for i, (value, condition) in reversed(list(enumerate(e.args))):
                slot = self._emit((e, i), np.where, (self._condition(condition), self._add(value), slot))
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
        summed: dict[Any, Callable[..., Any]] = {PowerSum: _power_sum, Missed: _missed, Mismatch: _mismatch}
        if type(e) in summed:
            return self._emit(e, summed[type(e)], args)
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

    def _condition(self, c: Any) -> int:
        import numpy as np

        if c in self.slots:
            return self.slots[c]
        if c in (sp.true, sp.false):
            return self._emit(c, None, (), np.bool_(c == sp.true))
        if isinstance(c, sp.Not):
            return self._emit(c, np.logical_not, (self._condition(c.args[0]),))
        for kind, join in {sp.And: np.logical_and, sp.Or: np.logical_or}.items():
            if isinstance(c, kind):
                slot = self._condition(c.args[0])
                for i, part in enumerate(c.args[1:]):
                    slot = self._emit((c, i), join, (slot, self._condition(part)))
                self.slots[c] = slot
                return slot
        compared = {
            sp.StrictLessThan: np.less,
            sp.LessThan: np.less_equal,
            sp.Equality: np.equal,
            sp.Unequality: np.not_equal,
            sp.GreaterThan: np.greater_equal,
            sp.StrictGreaterThan: np.greater,
        }
        for kind, compare in compared.items():
            if isinstance(c, kind):
                return self._emit(c, compare, (self._add(c.lhs), self._add(c.rhs)))
        raise ValueError(UNKNOWN_CONDITION.format(c))

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
