"""Evaluation of the theory's expressions: exact where they allow it, in rigorous enclosures elsewhere.

A value is a `Fraction` while it is rational and small enough to write down, else an enclosure of the
backend: an `arb` ball of python-flint where that is installed, an interval of mpmath's `iv` otherwise. A
ceiling or floor is decided by the enclosure of its argument; where that holds an integer, `Undecided`
asks the caller for more digits.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from fractions import Fraction
from functools import cache
from typing import Any

import mpmath
import sympy as sp
from mpmath.ctx_iv import MPIntervalContext
from sympy.functions.elementary.piecewise import ExprCondPair

from bounds._binomial import fewest_trials, trials_bracket

try:
    import flint
except ImportError:  # the extra `exact` is not installed
    flint = None

MAX_BITS = 1 << 18  # of precision: integers of some 78,000 digits
_EXACT_BITS = 1 << 14  # rational powers larger than this are enclosed instead
_MAX_TERMS = 1 << 20  # of a binomial coefficient, in words of 64 bits


class Undecided(ArithmeticError):
    """The enclosure is too wide to decide a ceiling, a floor or a case."""


class FewestTrials(sp.Function):  # type: ignore[misc]  # sympy has no types
    """FewestTrials(k, p, q): the smallest N with Pr(Bin(N, p) <= k) <= q, the quantile of P5 and X4."""

    nargs = 3

    def _latex(self, printer: Any) -> str:
        k, p, q = (printer.doprint(a) for a in self.args)
        return rf"\min\left\{{N : \Pr\left(\mathrm{{Bin}}\left(N, {p}\right) \leq {k}\right) \leq {q}\right\}}"


class Compositions(sp.Function):  # type: ignore[misc]  # sympy has no types
    """Compositions(k, n) = C(k+n-1, n-1): the ways to write k as a sum of n whole numbers, N1."""

    nargs = 2

    def fdiff(self, argindex: int = 1) -> sp.Expr:
        """Return the derivative by k or n, from those of ln Γ."""
        k, n = self.args
        return self * (ReciprocalSum(k, n - 1) if argindex == 1 else ReciprocalSum(n - 1, k))

    def _latex(self, printer: Any, exp: str | None = None) -> str:
        k, n = (printer.doprint(a) for a in self.args)
        binomial = rf"\binom{{{k}+{n}-1}}{{{n}-1}}"
        return binomial if exp is None else rf"{binomial}^{{{exp}}}"


class ReciprocalSum(sp.Function):  # type: ignore[misc]  # sympy has no types
    """ReciprocalSum(a, n) = 1/(a+1) + .. + 1/(a+n)."""

    nargs = 2


class PowerSum(sp.Function):  # type: ignore[misc]  # sympy has no types
    """PowerSum(x, n) = 1 + x + .. + x^(n-1), which is n at x = 1: the largest return of n steps, M0."""

    nargs = 2

    def fdiff(self, argindex: int = 1) -> sp.Expr:
        """Return the derivative by x or, of (1-x^n)/(1-x), by n."""
        x, n = self.args
        if argindex == 1:
            away = (1 - n * x ** (n - 1) + (n - 1) * x**n) / (1 - x) ** 2
            return sp.Piecewise((n * (n - 1) / 2, sp.Eq(x, 1)), (away, True))
        return sp.Piecewise((1, sp.Eq(x, 1)), (-(x**n) * sp.log(x) / (1 - x), True))

    def _latex(self, printer: Any, exp: str | None = None) -> str:
        x, n = (printer.doprint(a) for a in self.args)
        base = x if self.args[0].is_Symbol else rf"\left({x}\right)"
        shown = rf"\left(\sum_{{i<{n}}} {base}^{{i}}\right)"
        return shown if exp is None else rf"{shown}^{{{exp}}}"


def _later(x: sp.Expr, n: sp.Expr, j: sp.Expr, printer: Any) -> str:
    """Return Σ_{i<n} x^i [1-(1-t)^(i+j)] in LaTeX."""
    if n == 1:
        return rf"1-\left(1-t\right)^{{{printer.doprint(j)}}}"
    base = printer.doprint(x) if x.is_Symbol else rf"\left({printer.doprint(x)}\right)"
    power = printer.doprint(sp.Symbol("i") + j)
    return rf"\sum_{{i<{printer.doprint(n)}}} {base}^{{i}} \left(1-\left(1-t\right)^{{{power}}}\right)"


class Missed(sp.Function):  # type: ignore[misc]  # sympy has no types
    """Missed(t, x, n, j) = Σ_{i<n} x^i [1-(1-t)^(i+j)]: M1, what n steps lose to mismatches of chance t in each."""

    nargs = 4

    def closed(self) -> sp.Expr:
        """Return it without a sum."""
        t, x, n, j = self.args
        return PowerSum(x, n) - (1 - t) ** j * PowerSum(x * (1 - t), n)

    def fdiff(self, argindex: int = 1) -> sp.Expr:
        """Return the derivative by an argument."""
        places = sp.symbols("t x n j", cls=sp.Dummy, positive=True)
        slope = sp.diff(Missed(*places).closed(), places[argindex - 1])
        return slope.xreplace(dict(zip(places, self.args, strict=True)))

    def _latex(self, printer: Any, exp: str | None = None) -> str:
        t, x, n, j = self.args
        shown = _later(x, n, j, printer)
        if printer.doprint(t) != "t":
            shown = shown.replace(r"1-t\right", rf"1-{_bracketed(t, printer)}\right")
        shown = rf"\left({shown}\right)"
        return shown if exp is None else rf"{shown}^{{{exp}}}"


def _bracketed(e: sp.Expr, printer: Any) -> str:
    text: str = printer.doprint(e)
    return rf"\left({text}\right)" if e.is_Add else text


class Mismatch(sp.Function):  # type: ignore[misc]  # sympy has no types
    """Mismatch(s, x, n, j, a): the t in [0, 1] at which Σ_{i<n} x^i [1-(1-t)^(i+j)] + a t reaches s, else 1: M1 for t.

    The sum is concave and grows in t, so that Newton's method from the left never passes the root.
    """

    nargs = 5

    def fdiff(self, argindex: int = 1) -> sp.Expr:
        """Return the derivative by an argument, implicitly."""
        places = sp.symbols("s x n j a", cls=sp.Dummy, positive=True)
        t, (s, x, n, j, a) = sp.Dummy("t", positive=True), places
        total = Missed(t, x, n, j).closed() + a * t - s
        slope = -sp.diff(total, places[argindex - 1]) / sp.diff(total, t)
        return slope.xreplace({t: self, **dict(zip(places, self.args, strict=True))})

    def _latex(self, printer: Any, exp: str | None = None) -> str:
        s, x, n, j, a = self.args
        terms = _later(x, n, j, printer)
        if a != 0:
            terms += rf"+t\,{printer.doprint(a)}"
        least = rf"\min\left\{{t : {terms} \geq {printer.doprint(s)}\right\}}"
        return least if exp is None else rf"\left({least}\right)^{{{exp}}}"


def closed_form(k: sp.Expr, p: sp.Expr, q: sp.Expr) -> sp.Expr:
    """Return P5's closed form [k + ℓ + √(ℓ² + 2ℓk)]/p, ℓ = ln(1/q), at least FewestTrials(k, p, q) - 1."""
    ell = sp.log(1 / q)
    return (k + ell + sp.sqrt(ell**2 + 2 * ell * k)) / p


class _Flint:
    """Balls of python-flint."""

    @staticmethod
    @contextmanager
    def working(bits: int) -> Iterator[Any]:
        with flint.ctx.workprec(bits):
            yield _Flint

    @staticmethod
    def number(x: Fraction) -> Any:
        return flint.arb(flint.fmpq(x.numerator, x.denominator))

    @staticmethod
    def log(x: Any) -> Any:
        return x.log()

    @staticmethod
    def exp(x: Any) -> Any:
        return x.exp()

    @staticmethod
    def sqrt(x: Any) -> Any:
        return x.sqrt()

    @staticmethod
    def hull(x: Any, y: Any) -> Any:
        return x.union(y)

    @staticmethod
    def ends(x: Any) -> tuple[tuple[int, int], tuple[int, int]]:
        if not x.is_finite():
            raise Undecided("not finite")
        low, high = x.lower().man_exp(), x.upper().man_exp()
        return (int(low[0]), int(low[1])), (int(high[0]), int(high[1]))


class _Interval:
    """Intervals of mpmath, with a context of their own so that the caller's precision stays as it is."""

    def __init__(self, bits: int) -> None:
        self.iv = MPIntervalContext()
        self.iv.prec = bits

    @staticmethod
    @contextmanager
    def working(bits: int) -> Iterator[Any]:
        yield _interval(bits)

    def number(self, x: Fraction) -> Any:
        return self.iv.mpf(x.numerator) / self.iv.mpf(x.denominator)

    def log(self, x: Any) -> Any:
        if not x > 0:  # iv.log turns complex there
            raise Undecided("logarithm of an interval that touches 0")
        return self.iv.log(x)

    def exp(self, x: Any) -> Any:
        return self.iv.exp(x)

    def sqrt(self, x: Any) -> Any:
        if not x >= 0:
            raise Undecided("root of an interval that passes 0")
        return self.iv.sqrt(x)

    def hull(self, x: Any, y: Any) -> Any:
        return self.iv.mpf([min(x.a, y.a), max(x.b, y.b)])

    @staticmethod
    def ends(x: Any) -> tuple[tuple[int, int], tuple[int, int]]:
        ends = []
        for sign, mantissa, exponent, bits in x._mpi_:
            if not mantissa and bits:  # how mpmath writes infinities
                raise Undecided("not finite")
            ends.append((-int(mantissa) if sign else int(mantissa), int(exponent)))
        return ends[0], ends[1]


@cache
def _interval(bits: int) -> _Interval:
    """Return the context of a precision: numbers of two contexts do not mix."""
    return _Interval(bits)


BACKEND: Any = _Interval if flint is None else _Flint


def _fraction(end: tuple[int, int]) -> Fraction:
    mantissa, exponent = end
    if mantissa and abs(exponent) > 64 * MAX_BITS:
        raise OverflowError("the value is too large or too small to write down; use log10()")
    return Fraction(mantissa << exponent) if exponent >= 0 else Fraction(mantissa, 1 << -exponent)


class Walker:
    """Evaluates expressions at one point and one precision.

    Parameters
    ----------
    field : backend
        From `BACKEND.working(bits)`.
    memo : dict
        The point, a Fraction for every symbol. Values of expressions are added to it.
    digits : int or None
        None proves every ceiling, floor and binomial quantile as an integer. Otherwise an enclosure of it
        to that many digits will do, which keeps numbers of thousands of digits cheap.
    bits : int
        Precision of the field.
    """

    def __init__(self, field: Any, memo: dict[Any, Any], digits: int | None, bits: int = 128) -> None:
        self.field = field
        self.digits = digits
        self.bits = bits
        self.memo = memo

    def enclose(self, x: Any) -> Any:
        """Return x as an enclosure."""
        return self.field.number(x) if isinstance(x, Fraction) else x

    def ends(self, x: Any) -> tuple[Fraction, Fraction]:
        """Return rational lower and upper bounds of x."""
        if isinstance(x, Fraction):
            return x, x
        low, high = self.field.ends(x)
        return _fraction(low), _fraction(high)

    def __call__(self, expression: sp.Expr) -> Any:
        """Return the value of an expression: a Fraction or an enclosure."""
        if expression not in self.memo:
            self.memo[expression] = self._value(expression)
        return self.memo[expression]

    def _value(self, e: sp.Expr) -> Any:
        if e.is_Rational:
            return Fraction(int(e.p), int(e.q))
        if e.is_Add:
            return self._fold([self(a) for a in e.args], lambda x, y: x + y)
        if e.is_Mul:
            factors = self._factors(e)
            return Fraction(0) if Fraction(0) in factors else self._fold(factors, lambda x, y: x * y)
        if e.is_Pow:
            return self._power(self(e.base), self(e.exp))
        if isinstance(e, sp.exp):
            return self._exp(self(e.args[0]))
        if isinstance(e, sp.log):
            return self._log(self(e.args[0]))
        if isinstance(e, sp.Max | sp.Min):
            return self._extreme([self(a) for a in e.args], isinstance(e, sp.Max))
        if isinstance(e, sp.ceiling | sp.floor):
            return self._round(e)
        if isinstance(e, sp.Piecewise):
            return self(self.branch(e))
        if isinstance(e, FewestTrials):
            return self._fewest(e)
        if isinstance(e, Compositions):
            return self._compositions(*(self(a) for a in e.args))
        if isinstance(e, PowerSum):
            return self._power_sum(*(self(a) for a in e.args))
        if isinstance(e, Missed):
            return self._missed(*(self(a) for a in e.args))
        if isinstance(e, Mismatch):
            return self._mismatch(*(self(a) for a in e.args))
        if isinstance(e, ReciprocalSum):
            return self._reciprocals(*(self(a) for a in e.args))
        what = f"the symbol {e}, which is not one of bounds.symbols" if e.is_Symbol else type(e).__name__
        raise NotImplementedError(f"no rule for {what}")

    def _factors(self, e: sp.Expr) -> list[Any]:
        """Return the factors of a product, with its square roots joined: sympy writes √(xy) as √x·√y."""
        roots = [a for a in e.args if a.is_Pow and a.exp == sp.S.Half]
        joined = [self(a.base) for a in roots]
        if len(roots) < 2 or not all(isinstance(x, Fraction) for x in joined):
            return [self(a) for a in e.args]
        return [self._power(math.prod(joined), Fraction(1, 2)), *(self(a) for a in e.args if a not in roots)]

    def _fold(self, values: list[Any], join: Callable[[Any, Any], Any]) -> Any:
        """Join the rational values first, so that they stay exact as long as they can."""
        values = sorted(values, key=lambda v: not isinstance(v, Fraction))
        total = values[0]
        for v in values[1:]:
            total = join(total, v) if isinstance(v, Fraction) else join(self.enclose(total), v)
        return total

    def _power(self, base: Any, exponent: Any) -> Any:
        if isinstance(exponent, Fraction):
            whole = exponent.denominator == 1
            if isinstance(base, Fraction):
                if base == 0 and exponent < 0:
                    raise ValueError("the bound divides by 0 at this point")
                if base in (0, 1):
                    return Fraction(base == 1 or exponent == 0)
                size = max(base.numerator.bit_length(), base.denominator.bit_length())
                if whole and abs(exponent) * size <= _EXACT_BITS:
                    return base ** int(exponent)
                if exponent.denominator == 2 and base > 0:
                    root = Fraction(math.isqrt(base.numerator), math.isqrt(base.denominator))
                    if root**2 == base:
                        return self._power(root, 2 * exponent)
            if whole and abs(exponent) < 64:
                return self.enclose(base) ** int(exponent)
            if exponent == Fraction(1, 2):
                return self.field.sqrt(self.enclose(base))
        return self._exp(self._fold([exponent, self._log(base)], lambda x, y: x * y))

    def _exp(self, x: Any) -> Any:
        return Fraction(1) if x == 0 and isinstance(x, Fraction) else self.field.exp(self.enclose(x))

    def _log(self, x: Any) -> Any:
        if isinstance(x, Fraction):
            if x <= 0:
                raise ValueError(f"the bound needs the logarithm of {x} at this point, which does not exist")
            if x == 1:
                return Fraction(0)
        return self.field.log(self.enclose(x))

    def _extreme(self, values: list[Any], largest: bool) -> Any:
        best = values[0]
        for v in values[1:]:
            if isinstance(best, Fraction) and isinstance(v, Fraction):
                best = max(best, v) if largest else min(best, v)
                continue
            x, y = self.enclose(best), self.enclose(v)
            if (x > y) if largest else (x < y):
                continue
            if (y > x) if largest else (y < x):
                best = v
            else:  # too close to tell: an enclosure of both
                best = self.field.hull(x, y)
        return best

    def branch(self, e: sp.Piecewise) -> sp.Expr:
        """Return the expression of the first case whose condition holds."""
        for value, condition in e.args:
            if self.holds(condition):
                return value
        raise ValueError("no case of the bound covers this point")

    def holds(self, condition: Any) -> bool:
        """Return whether a condition holds: equations, inequalities, and what And, Or and Not make of them.

        Raises
        ------
        Undecided
            If the enclosure of a side reaches over the other one, and the rest does not settle it.
        """
        if condition in (sp.true, sp.false):
            return bool(condition)
        if isinstance(condition, sp.Not):
            return not self.holds(condition.args[0])
        if isinstance(condition, sp.And | sp.Or):
            settles, undecided = isinstance(condition, sp.Or), None
            for part in condition.args:
                try:
                    if self.holds(part) is settles:
                        return settles
                except Undecided as wide:
                    undecided = wide
            if undecided is not None:
                raise undecided
            return not settles
        for kind, (below, equal, above) in _SIGNS.items():
            if isinstance(condition, kind):
                low, high = self.ends(self(condition.lhs - condition.rhs))
                possible = {
                    answer for answer, may in ((below, low < 0), (equal, low <= 0 <= high), (above, high > 0)) if may
                }
                if len(possible) > 1:
                    raise Undecided("case")
                return possible.pop()
        raise ValueError(UNKNOWN_CONDITION.format(condition))

    def _round(self, e: sp.Expr) -> Any:
        """Return a proved ceiling or floor, or where `digits` allow it an enclosure of it."""
        rounding = math.ceil if isinstance(e, sp.ceiling) else math.floor
        argument = e.args[0]
        low, high = self.ends(self(argument))
        first, last = rounding(low), rounding(high)
        if first == last:
            return Fraction(first)
        if last == first + 1:
            # Two roundings are left. The enclosure can never exclude the integer between them when it is
            # the value.
            candidate = first if rounding is math.ceil else last
            if self._is_log_ratio(argument, candidate):
                return Fraction(candidate)
        if self.digits is not None and first > 0 and last - first < first // 10 ** (self.digits + 2):
            return self.field.hull(self.field.number(Fraction(first)), self.field.number(Fraction(last)))
        raise Undecided("rounding")

    def _is_log_ratio(self, e: sp.Expr, n: int) -> bool:
        """Decide e == n for e = c·ln(a)/ln(b) with rational a, b, c.

        Of the arguments that this package rounds only these can be integers without being rational: the
        others are non-constant algebraic functions of one logarithm, which is transcendental (Lindemann).
        """
        logs = [f for f in sp.Mul.make_args(e) if f.has(sp.log)]
        top = [f for f in logs if isinstance(f, sp.log)]
        bottom = [f.base for f in logs if f.is_Pow and f.exp == -1 and isinstance(f.base, sp.log)]
        if len(logs) != 2 or len(top) != 1 or len(bottom) != 1:
            return False
        scale = self(e / top[0] * bottom[0])
        a, b = self(top[0].args[0]), self(bottom[0].args[0])
        if not all(isinstance(x, Fraction) for x in (a, b, scale)) or scale == 0:
            return False
        return _same_power(a, scale.numerator, b, n * scale.denominator)

    def _compositions(self, k: Any, n: Any) -> Any:
        """Return C(k+n-1, n-1), also for a real k, which the elasticities of rounded levels need."""
        whole = isinstance(k, Fraction) and k.denominator == 1
        terms = min(k, n - 1) if whole else n - 1
        if terms * (1 + math.ceil(self.ends(k + n)[1]).bit_length() // 64) > _MAX_TERMS:
            raise ValueError("the bound needs a binomial coefficient of too many factors at this point")
        if whole:
            return Fraction(math.comb(int(k + n - 1), int(n - 1)))
        return self._fold([Fraction(1), *((k + i) / i for i in range(1, int(n)))], lambda x, y: x * y)

    def _reciprocals(self, a: Any, n: Any) -> Any:
        if not isinstance(n, Fraction) or n.denominator != 1 or n > _MAX_TERMS // 64:
            raise ValueError("the bound has no derivative that can be evaluated at this point")
        a = self.enclose(a)
        total = self.field.number(Fraction(0))
        for i in range(1, int(n) + 1):
            total = total + 1 / (a + i)
        return total

    def _power_sum(self, x: Any, n: Any) -> Any:
        """Return 1 + x + .. + x^(n-1)."""
        if isinstance(x, Fraction):
            if x == 1:
                return n
            power = self._power(x, n)
            return (1 - power) / (1 - x) if isinstance(power, Fraction) else (1 - power) / self.enclose(1 - x)
        low, high = self.ends(x)
        if low <= 1 <= high:
            raise Undecided("sum of powers")
        return (1 - self.enclose(self._power(x, n))) / (1 - x)

    def _missed(self, t: Any, x: Any, n: Any, j: Any) -> Any:
        """Return Σ_{i<n} x^i [1-(1-t)^(i+j)], with both sums of powers in closed form."""
        if t == 0 and isinstance(t, Fraction):
            return Fraction(0)
        staying = 1 - t
        if isinstance(staying, Fraction) and isinstance(x, Fraction):
            lasting = self._power_sum(x * staying, n)
        else:
            lasting = self._power_sum(self.enclose(x) * self.enclose(staying), n)
        lasting = self._fold([self._power(staying, j), lasting], lambda x, y: x * y)
        return self._fold([self._power_sum(x, n), -lasting], lambda x, y: x + y)

    def _mismatch(self, s: Any, x: Any, n: Any, j: Any, a: Any) -> Any:
        """Return the root of a sum that grows: Newton's method finds it, the signs beside it prove it."""
        whole = self._power_sum(x, n)

        def excess(t: Any) -> tuple[Fraction, Fraction]:
            t = self.enclose(t)
            return self.ends(self.enclose(self._missed(t, x, n, j)) + self.enclose(a) * t - self.enclose(s))

        low, high = self.ends(self._fold([whole, a, -s, Fraction(-1 if j == 0 else 0)], lambda x, y: x + y))  # at t = 1
        if high <= 0:
            return Fraction(1)
        if low <= 0:
            raise Undecided("mismatch")
        (s_low, s_high), (whole_low, _) = self.ends(s), self.ends(whole)
        if s_low <= 0:
            if s_low == s_high == 0:
                return Fraction(0)
            raise Undecided("mismatch")
        bits = self.bits + 64 + 2 * max(0, int(whole_low / s_low)).bit_length()
        middle = [(low + high) / 2 for low, high in (self.ends(v) for v in (s, x, n, j, a))]
        root = _newton(middle, bits)
        slack = self.bits - 8
        while slack > 8:
            below, above = root * (1 - Fraction(1, 1 << slack)), root * (1 + Fraction(1, 1 << slack))
            if above < 1 and excess(below)[1] < 0 < excess(above)[0]:
                return self.field.hull(self.field.number(below), self.field.number(above))
            slack -= 16
        raise Undecided("mismatch")

    def _fewest(self, e: FewestTrials) -> Any:
        k, p, q = (self(a) for a in e.args)
        (k_low, k_high), (p_low, p_high), (q_low, q_high) = self.ends(k), self.ends(p), self.ends(q)
        size = q_low.denominator.bit_length()  # at least ln(1/q)
        if self.digits is not None and k_low > size * 10 ** (2 * self.digits + 8) and q_high < Fraction(1, 2):
            # The median of Bin(n, p) is at least floor(np), so N > k/p; the closed form is P5's. They
            # agree to more than the digits asked for.
            ell = self._log(1 / self.enclose(q))
            k, p = self.enclose(k), self.enclose(p)
            return self.field.hull(k / p, (k + ell + self.field.sqrt(ell * ell + 2 * ell * k)) / p + 1)
        p_high = min(p_high, Fraction(1))
        if self.digits is not None and k_low > p_high * 10 ** (self.digits + 3):  # N has more digits than that
            low = trials_bracket(math.floor(k_low), p_high, q_high, self.digits + 3)[0] + 1
            high = trials_bracket(math.floor(k_high), p_low, q_low, self.digits + 3)[1]
        else:
            low = fewest_trials(math.floor(k_low), p_high, q_high)
            high = fewest_trials(math.floor(k_high), p_low, q_low)
        if low == high:
            return Fraction(low)
        if self.digits is not None and high - low < low // 10 ** (self.digits + 2):
            return self.field.hull(self.field.number(Fraction(low)), self.field.number(Fraction(high)))
        raise Undecided("binomial quantile")


def _newton(point: list[Fraction], bits: int) -> Fraction:
    """Return a number near the t with Σ_{i<n} x^i [1-(1-t)^(i+j)] + a t = s, for point = [s, x, n, j, a]."""
    mp = mpmath.mp.clone()
    mp.prec = bits
    s, x, n, j, a = (mp.mpf(v.numerator) / v.denominator for v in point)

    def total(y: Any) -> Any:
        return n if y == 1 else (1 - y**n) / (1 - y)

    def slope(y: Any) -> Any:
        return n * (n - 1) / 2 if y == 1 else (total(y) - n * y ** (n - 1)) / (1 - y)

    whole, t = total(x), mp.mpf(0)
    for _ in range(bits):
        staying = 1 - t
        excess = whole - staying**j * total(x * staying) + a * t - s
        grows = j * staying ** (j - 1) * total(x * staying) + staying**j * x * slope(x * staying) + a
        step = -excess / grows
        t += step
        if abs(step) < mp.ldexp(t, 48 - bits):  # of the guard bits
            break
    mantissa, exponent = mp.frexp(t)
    return Fraction(int(mp.ldexp(mantissa, bits))) * Fraction(2) ** (int(exponent) - bits)


def margin_of(condition: Any) -> tuple[sp.Expr, bool]:
    """Return what a condition asks to be positive, and whether 0 will do: of ``a >= b`` that is a - b.

    A relation that holds for all values of its symbols is 1 here, and one that holds for none is -1.
    """
    if isinstance(condition, sp.GreaterThan | sp.StrictGreaterThan):
        return condition.lhs - condition.rhs, isinstance(condition, sp.GreaterThan)
    if isinstance(condition, sp.LessThan | sp.StrictLessThan):
        return condition.rhs - condition.lhs, isinstance(condition, sp.LessThan)
    if condition in (sp.true, sp.false):
        return sp.Integer(1 if condition == sp.true else -1), False
    return condition, False


_FUNCTIONS = (sp.exp, sp.log, sp.Max, sp.Min, sp.ceiling, sp.floor, FewestTrials, Compositions, ReciprocalSum)

_SIGNS: dict[Any, tuple[bool, bool, bool]] = {
    sp.StrictLessThan: (True, False, False),
    sp.LessThan: (True, True, False),
    sp.Equality: (False, True, False),
    sp.Unequality: (True, False, True),
    sp.GreaterThan: (False, True, True),
    sp.StrictGreaterThan: (False, False, True),
}
"""Whether a relation holds where its left side less its right one is below, equal to or above 0."""

UNKNOWN_CONDITION = "{} cannot be decided: make the cases of a formula of <, <=, >, >=, Eq, Ne, And, Or and Not"


def foreign_part(formula: sp.Basic) -> sp.Basic | None:
    """Return a part of a formula or of a condition that cannot be evaluated, or None; symbols are not looked at."""
    seen, waiting = set(), [formula]
    while waiting:
        e = waiting.pop()
        if e in seen:
            continue
        seen.add(e)
        known = e.is_Symbol or e.is_Rational or e.is_Add or e.is_Mul or e.is_Pow or e in (sp.true, sp.false)
        if not known and not isinstance(e, (*_FUNCTIONS, sp.Piecewise, ExprCondPair, sp.And, sp.Or, sp.Not, *_SIGNS)):
            return e
        waiting += e.args
    return None


def _same_power(a: Fraction, i: int, b: Fraction, j: int) -> bool:
    """Return whether a**i == b**j, without writing down powers that cannot be equal."""
    if i < 0:
        a, i = 1 / a, -i
    if j < 0:
        b, j = 1 / b, -j
    size = i * (a.numerator.bit_length() + a.denominator.bit_length())
    other = j * (b.numerator.bit_length() + b.denominator.bit_length())
    if abs(size - other) > 2 * (i + j) or size > 1 << 26:
        return False
    return bool(a**i == b**j)
