"""`Bound`: one statement of the theory as a symbolic expression that can be evaluated exactly."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields, replace
from enum import StrEnum
from fractions import Fraction
from functools import cached_property, lru_cache
from typing import Any, NamedTuple

import sympy as sp
from sympy.printing.latex import LatexPrinter

from bounds import _evaluate
from bounds._evaluate import MAX_BITS, FewestTrials, Undecided, Walker, closed_form, margin_of
from bounds.symbols import REGISTRY, SYMBOLS, Number, show

_FIRST_BITS = 128

_ORDERS = (sp.GreaterThan, sp.StrictGreaterThan, sp.LessThan, sp.StrictLessThan, type(sp.true), type(sp.false))


def _as_expression(given: Any, name: str) -> Any:
    """Return a whole number or a fraction as sympy writes it, and anything else as it is; floats are refused."""
    if isinstance(given, float):
        raise ValueError(f"the bound {name!r} holds the float {given}: give a Rational, since bounds are exact")
    if isinstance(given, bool):
        return sp.true if given else sp.false
    return sp.sympify(given) if isinstance(given, int | Fraction) else given


class Kind(StrEnum):
    """How much a bound's number may be trusted."""

    EXACT = "exact"
    EXPLICIT = "explicit constant"
    LEADING = "leading order"


class Enclosure(NamedTuple):
    """Rational numbers with lower <= value <= upper, both proved."""

    lower: Fraction
    upper: Fraction


class Part(NamedTuple):
    """One factor of a bound's value at a point: its decimal logarithm, and that over the whole one's."""

    name: str
    log10: float
    share: float


@dataclass(frozen=True, kw_only=True)
class Bound:
    """A statement's number as a function of the theory's symbols.

    Attributes
    ----------
    name : str
        What the number is, in words.
    label : str
        The statement in the theory, such as "T1".
    expression : sympy.Expr
        The formula, in the symbols of `bounds.symbols`.
    source : str
        Paper and theorem.
    assumptions : tuple of str
        What must hold for the statement to be true.
    kind : Kind
        Exact, with explicit constants, or leading order only.
    parameters : tuple of str
        Symbols of the statement that the formula need not contain; values for them are accepted and
        checked.
    weights : tuple of str
        Symbols that share out epsilon and must sum to 1. Those that the formula lacks may be left out; the
        rest must then sum to 1 at most.
    conditions : tuple of (sympy.Expr or relation, str)
        What must hold of the values for the statement to apply, each with what to say where it does not: an expression
        that must be positive, or a relation such as ``x <= 2`` (one of >=, >, <= and <). One that shares no symbol with
        the formula is checked where values for its symbols are given.
    factors : tuple of (str, sympy.Expr)
        Named factors of the formula, for `parts`.
    grows, shrinks : tuple of str
        Symbols in which the value never falls, and never grows, the others held fixed.
    sketch : str
        The idea of the proof.

    Raises
    ------
    TypeError, ValueError
        If a list of the record is none, a condition is not a pair of an expression and a sentence, or a number a float.

    Examples
    --------
    >>> from bounds.symbols import delta, n_states
    >>> formula = sp.ceiling(n_states * sp.log(1 / delta))
    >>> b = Bound(name="demonstration", label="", expression=formula, source="")
    >>> b.evaluate(n_states=10, delta=0.5)
    7
    >>> round(b.log10(n_states=10**500, delta=0.5), 6)
    499.840825
    """

    name: str
    label: str
    expression: sp.Expr
    source: str
    assumptions: tuple[str, ...] = ()
    kind: Kind = Kind.EXPLICIT
    parameters: tuple[str, ...] = ()
    weights: tuple[str, ...] = ()
    conditions: tuple[tuple[sp.Expr, str], ...] = ()
    factors: tuple[tuple[str, sp.Expr], ...] = ()
    grows: tuple[str, ...] = ()
    shrinks: tuple[str, ...] = ()
    sketch: str = ""

    def __post_init__(self) -> None:
        """Take whole numbers and fractions as expressions and lists as tuples; check the form of the conditions."""
        for name in ("assumptions", "parameters", "weights", "conditions", "factors", "grows", "shrinks"):
            given = getattr(self, name)
            if not isinstance(given, tuple | list):
                raise TypeError(f"{name} of the bound {self.name!r} is {show(given)}: give a tuple")
            object.__setattr__(self, name, tuple(tuple(x) if isinstance(x, list) else x for x in given))
        object.__setattr__(self, "expression", _as_expression(self.expression, self.name))
        for condition in self.conditions:
            if not (isinstance(condition, tuple) and len(condition) == 2 and isinstance(condition[1], str)):
                raise TypeError(
                    f"a condition of the bound {self.name!r} is {show(condition)}: give a pair of a relation, such as "
                    "branching <= 4, and a sentence to say where it does not hold"
                )
        made = tuple((_as_expression(e, self.name), text) for e, text in self.conditions)
        for e, _ in made:
            if isinstance(e, sp.logic.boolalg.Boolean) and not isinstance(e, (*_ORDERS, sp.Symbol)):
                raise ValueError(
                    f"a condition of the bound {self.name!r} is {show(e)}: give an expression that must be positive, "
                    "or one of >=, >, <= and <"
                )
        object.__setattr__(self, "conditions", made)

    @cached_property
    def symbols(self) -> tuple[str, ...]:
        """Names that `evaluate` needs, in alphabetic order."""
        own = self.expression.free_symbols
        shared = (e.free_symbols for e, _ in self.conditions if e.free_symbols & own)
        return tuple(sorted({s.name for s in own.union(*shared)}))

    def require(self, **values: Number) -> None:
        """Raise ValueError where the statement does not apply, as far as the given values tell.

        Parameters
        ----------
        **values : numbers
            As for `evaluate`; any of them may be missing. Conditions on those are not looked at.

        Examples
        --------
        >>> from bounds.symbols import epsilon
        >>> b = Bound(name="", label="T", expression=epsilon, source="", conditions=((1 - epsilon, "take less"),))
        >>> b.require(epsilon=2)
        Traceback (most recent call last):
            ...
        ValueError: T does not apply: take less (epsilon = 2)
        """
        self._solve(values, None, lambda walker, x: None, needed=None)

    def evaluate(self, **values: Number) -> int | Fraction | float:
        """Return the bound's value.

        Parameters
        ----------
        **values : int, Fraction, float or str
            One value for each of `symbols`. A float means the decimal that it prints as, a string is
            "p/q" or a decimal.

        Returns
        -------
        int, Fraction or float
            An int or a Fraction where the value is rational: every ceiling, floor and binomial quantile
            is proved, by raising the precision until its argument's enclosure holds no integer. Otherwise
            a correctly enclosed float.

        Raises
        ------
        TypeError
            If a value is not a number, if one is missing, or if a name is not a symbol of the statement.
        ValueError
            If a value lies outside its symbol's range, the weights do not sum to 1, or the statement does not apply.
        OverflowError
            If an irrational value lies outside the range of floats.
        """
        return self._exact(values, {})

    def _exact(self, values: Mapping[str, Number], shared: dict[int, dict[Any, Any]]) -> int | Fraction | float:
        """Return the value; `shared` keeps what other bounds have computed at the same point, by precision."""
        low, high = self._solve(values, None, lambda walker, x: _narrow(walker, x, 17), shared=shared)
        if low == high:
            return int(low) if low.denominator == 1 else low
        try:
            value = float((low + high) / 2)
        except OverflowError:
            value = math.inf
        if value == 0 or math.isinf(value):
            raise OverflowError(f"{self.name} is outside the range of floats at this point; use log10() or ball()")
        return value

    def log10(self, **values: Number) -> float:
        """Return the decimal logarithm of the value, which may have any size; -inf for 0."""

        def logarithm(walker: Walker, x: Any) -> float:
            if isinstance(x, Fraction):
                if x == 0:
                    return -math.inf
                if x == 1:
                    return 0.0
            field = walker.field
            ratio = field.log(walker.enclose(x)) / field.log(field.number(Fraction(10)))
            low, high = walker.ends(ratio)
            if high - low > max(abs(low), Fraction(1, 10**6)) / 10**16:
                raise Undecided("logarithm")
            try:
                return float((low + high) / 2)
            except OverflowError:
                raise OverflowError(f"the logarithm of {self.name} is itself outside the range of floats") from None

        return float(self._solve(values, 17, logarithm))

    def ball(self, *, digits: int = 30, **values: Number) -> Enclosure:
        """Return proved rational bounds of the value, at most 10**-digits of it apart.

        Examples
        --------
        >>> from bounds.symbols import epsilon
        >>> b = Bound(name="root", label="", expression=sp.sqrt(epsilon), source="")
        >>> low, high = b.ball(epsilon=2, digits=40)
        >>> low**2 <= 2 <= high**2, high - low < Fraction(2, 10**40)
        (True, True)
        """
        if isinstance(digits, bool) or not isinstance(digits, int) or digits < 1:
            raise ValueError(f"digits must be a whole number, at least 1; got {digits}")
        return Enclosure(*self._solve(values, digits, lambda walker, x: _narrow(walker, x, digits)))

    def elasticity(self, symbol: str, /, **values: Number) -> float:
        """Return ∂ln(value)/∂ln(symbol) at a point: the exponent of a power law that touches the bound there.

        Ceilings and floors count as their arguments and the binomial quantile as P5's closed form, since
        those of the step functions are 0 almost everywhere. The other values are held fixed, weights too.

        Examples
        --------
        >>> from bounds.symbols import epsilon
        >>> b = Bound(name="cube", label="", expression=7 / epsilon**3, source="")
        >>> b.elasticity("epsilon", epsilon=0.1)
        -3.0
        """
        if symbol not in REGISTRY:
            raise ValueError(f"{symbol!r} is not a symbol of this theory; choose one of {', '.join(self.symbols)}")
        s = SYMBOLS[symbol]

        def slope(walker: Walker, _: Any) -> float:
            smooth = _smooth(self.expression, walker)
            value, derivative = walker(smooth), walker(_derivative(smooth, s))
            if isinstance(value, Fraction) and value == 0:
                raise ValueError(f"{self.name} is 0 at this point and has no elasticity")
            number = walker.enclose(derivative) * walker.enclose(walker(s)) / walker.enclose(value)
            low, high = walker.ends(number)
            if high - low > max(Fraction(1), abs(low)) / 10**15:
                raise Undecided("elasticity")
            return float((low + high) / 2)

        return float(self._solve(values, 17, slope, needed=(symbol,)))

    def latex(self) -> str:
        """Return the formula in LaTeX, in the theory's notation; Matplotlib's mathtext takes it too."""
        names = {entry.symbol: entry.latex for entry in REGISTRY.values()}
        return str(_Printer({"symbol_names": names, "ln_notation": True}).doprint(self.expression))

    def on_grid(self, **values: Any) -> Any:
        """Return the values at many points at once, in floating point.

        Parameters
        ----------
        **values : array_like of float
            One array for each of `symbols`, or one number as for `evaluate`; they are broadcast against each other.
            Ranges of arrays are not checked.

        Returns
        -------
        numpy.ndarray of float64
            Within about 1e-13 of the exact values, relatively, save where rounding moves the argument of a ceiling
            across a whole number. A float means itself here and not, as for `evaluate`, the decimal that it prints as:
            near discount = 1 the two are different points, and T1+ differs by some 1e-11 at 1 - 1e-4, 1e-9 at 1 - 1e-6
            and 1e-7 at 1 - 1e-8. Compare with `evaluate` at Fraction(x). Points beyond the range of floats are inf, and
            points at which the statement does not apply NaN.

        Raises
        ------
        TypeError
            If a value is missing or unknown.
        NotImplementedError
            If the formula holds a binomial quantile: take the family in P5's closed form.

        Examples
        --------
        >>> from bounds.symbols import delta, n_states
        >>> b = Bound(name="", label="", expression=sp.ceiling(n_states * sp.log(1 / delta)), source="")
        >>> b.on_grid(n_states=[10, 20], delta="1/2").tolist()
        [7.0, 14.0]
        """
        from bounds._vectorised import Program

        missing = sorted(set(self.symbols) - set(values))
        unknown = sorted(set(values) - {*self.symbols, *self.parameters, *self.weights})
        if missing or unknown:
            raise TypeError(f"{self.name} needs arrays for {', '.join(self.symbols)}; {missing + unknown} do not fit")
        texts = {name: float(REGISTRY[name].read(value)) for name, value in values.items() if isinstance(value, str)}
        given = {**values, **texts}
        found = Program(self.expression)(given)
        for condition, _ in self.conditions:
            if {s.name for s in condition.free_symbols} <= set(given):
                found = Program.where(condition, given, found)
        return found

    def parts(self, **values: Number) -> tuple[Part, ...]:
        """Return the factors of the value with their shares of its logarithm, so that one sees where it is loose.

        The last one, "rest", is what the named factors leave: rounding, and the price of confidence. The product of
        all is the value; a factor below 1 has a negative share if the value is above 1.

        Examples
        --------
        >>> from bounds.symbols import epsilon, n_states
        >>> b = Bound(name="", label="", expression=10 * n_states / epsilon**2, source="",
        ...           factors=(("states", n_states), ("accuracy", 1 / epsilon**2)))
        >>> [(p.name, round(p.log10, 3), round(p.share, 3)) for p in b.parts(n_states=1000, epsilon=0.1)]
        [('states', 3.0, 0.5), ('accuracy', 2.0, 0.333), ('rest', 1.0, 0.167)]
        """
        total = self.log10(**values)
        bare = replace(self, conditions=(), parameters=(*self.parameters, *self.symbols))
        names = [(name, replace(bare, expression=e).log10(**values)) for name, e in self.factors]
        names.append(("rest", total - sum(x for _, x in names)))
        return tuple(Part(name, x, x / total if total else 0.0) for name, x in names)

    def _read(self, values: Mapping[str, Number], needed: tuple[str, ...] | None) -> dict[Any, Fraction]:
        """Return the checked values by symbol; where `needed` is None any may be missing."""
        known = {*self.symbols, *self.parameters, *self.weights}
        unknown = sorted(set(values) - known)
        if unknown:
            names = ", ".join(map(repr, unknown))
            raise TypeError(f"{self.name} has no symbol {names}; it has {', '.join(sorted(known))}")
        missing = [] if needed is None else sorted({*self.symbols, *needed} - set(values))
        if missing:
            raise TypeError(f"{self.name} needs a value for {', '.join(missing)}")
        numbers = {name: REGISTRY[name].read(value) for name, value in values.items()}
        given = [w for w in self.weights if w in numbers]
        total = sum((numbers[w] for w in given), Fraction(0))
        if total > 1 or (total < 1 and self.weights and len(given) == len(self.weights)):
            raise ValueError(f"the weights {' + '.join(self.weights)} must sum to 1; they sum to {total}")
        return {SYMBOLS[name]: number for name, number in numbers.items()}

    def _solve(
        self,
        values: Mapping[str, Number],
        digits: int | None,
        finish: Callable[[Walker, Any], Any],
        needed: tuple[str, ...] | None = (),
        shared: dict[int, dict[Any, Any]] | None = None,
    ) -> Any:
        """Evaluate with more and more digits until `finish` is content with the enclosure."""
        point = self._read(values, needed)
        shared = {} if shared is None else shared
        bits = _FIRST_BITS if digits is None else max(_FIRST_BITS, 4 * digits)
        while bits <= MAX_BITS:
            try:
                with _evaluate.BACKEND.working(bits) as field:
                    walker = Walker(field, shared.setdefault(bits, dict(point)), digits, bits)
                    self._require(walker, point)
                    return None if needed is None else finish(walker, walker(self.expression))
            except Undecided:
                bits *= 2
        raise ArithmeticError(f"{self.name} cannot be decided within {MAX_BITS} bits at this point")

    def _require(self, walker: Walker, point: Mapping[Any, Fraction]) -> None:
        """Raise ValueError where the statement does not apply."""
        for condition, otherwise in self.conditions:
            used = sorted(condition.free_symbols, key=str)
            if not set(used) <= set(point):
                continue
            margin, closed = margin_of(condition)
            low, high = walker.ends(walker(margin))
            if high < 0 or (high == 0 and not closed):
                at = ", ".join(f"{s} = {show(point[s])}" for s in used)
                raise ValueError(f"{self.label} does not apply: {otherwise}{f' ({at})' if at else ''}")
            if low < 0 or (low == 0 and not closed):
                raise Undecided("condition")


@dataclass(frozen=True)
class Family:
    """Bounds that share their symbols: every field is a `Bound`."""

    @property
    def bounds(self) -> dict[str, Bound]:
        """The bounds by attribute name."""
        return {f.name: getattr(self, f.name) for f in fields(self)}

    def evaluate(self, **values: Number) -> dict[str, int | Fraction | float]:
        """Return the value of every bound of the family at one point, by attribute name."""
        shared: dict[int, dict[Any, Any]] = {}
        return {name: bound._exact(values, shared) for name, bound in self.bounds.items()}


class _Printer(LatexPrinter):  # type: ignore[misc]  # sympy has no types
    """LaTeX with cases on one line, which mathtext can set too."""

    def _print_Piecewise(self, e: sp.Piecewise) -> str:
        cases = [
            self.doprint(value)
            + r"\ \mathrm{"
            + (r"otherwise}" if holds == sp.true else rf"if}}\ {self.doprint(holds)}")
            for value, holds in e.args
        ]
        return r"\left\{" + r";\ ".join(cases) + r"\right."


def _narrow(walker: Walker, x: Any, digits: int) -> tuple[Fraction, Fraction]:
    low, high = walker.ends(x)
    if low != high and (high - low) * 10**digits > min(abs(low), abs(high)):
        raise Undecided("enclosure")
    return low, high


@lru_cache(maxsize=256)
def _derivative(e: sp.Expr, symbol: sp.Symbol) -> sp.Expr:
    """Return de/dsymbol, once for all points and precisions at which it is evaluated."""
    return sp.diff(e, symbol)


def _smooth(e: sp.Expr, walker: Walker) -> sp.Expr:
    """Return a differentiable stand-in for e near the point: steps smoothed, cases and extremes resolved."""
    if isinstance(e, sp.Piecewise):
        return _smooth(walker.branch(e), walker)
    if not e.args:
        return e
    args = [_smooth(a, walker) for a in e.args]
    if isinstance(e, sp.ceiling | sp.floor):
        return args[0]
    if isinstance(e, FewestTrials):
        return closed_form(*args)
    if isinstance(e, sp.Max | sp.Min):
        ranked = sorted(args, key=lambda a: walker.ends(walker(a))[0])
        return ranked[-1] if isinstance(e, sp.Max) else ranked[0]
    return e.func(*args)
