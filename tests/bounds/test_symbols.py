"""What may be put in for a symbol, and what is refused with which sentence."""

import math
import sys
from fractions import Fraction

import pytest
import sympy as sp
from commands import run
from hypothesis import example, given, settings
from hypothesis import strategies as st
from strength import scaled

from bounds import Bound
from bounds.rmax import default_weights, t1, t1_episodic, x4
from bounds.symbols import REGISTRY, SYMBOLS, exact

POINT = {"n_states": 16, "n_actions": 2, "branching": 2, "epsilon": 0.8, "delta": 0.2, "discount": 0.8, "r_max": 1}
PAYLOADS = [
    "__import__('os').system('touch /tmp/executed')",
    "exec('raise SystemExit')",
    "(lambda: 1/0)()",
    "1+1",
    "2**10",
    "1/0",
    "1//2",
    "0x10",
    "1_000",
    " 1",
    "1e99999999",
    "nan",
    "inf",
    "-inf",
    "",
    "pi",
    "delta",
    "\u0661",
    "9" * 5000,
    "1/" + "0" * 10,
]


def test_float_means_the_decimal_that_it_prints_as():
    """0.1 is 1/10, not the binary number next to it."""
    assert exact(0.1) == Fraction(1, 10)
    assert exact(1e-300) == Fraction(1, 10**300)


@given(st.fractions())
def test_every_fraction_round_trips_through_its_string(x):
    """exact("p/q") == p/q."""
    assert exact(str(x)) == x == exact(x)


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_every_float_is_read_as_the_number_that_rounds_to_it(x):
    """float(exact(x)) == x."""
    assert float(exact(x)) == x


@pytest.mark.parametrize("payload", PAYLOADS)
def test_strings_that_are_not_numbers_are_refused(payload):
    """No string but "p/q" and a decimal is a value, and the message names the symbol."""
    for name in POINT:
        with pytest.raises(ValueError, match=name):
            t1().m.evaluate(**{**POINT, **default_weights("continuing"), name: payload})


@settings(max_examples=scaled(200))
@given(st.text() | st.text("0123456789./eE+-_() x*", max_size=12))
@example("__import__('sys').exit()")
def test_no_string_reaches_the_parser_of_sympy(text):
    """A string gives a number or a ValueError; sympy's parser is never called."""
    from sympy.parsing import sympy_parser

    def refuse(*args, **kwargs):
        raise AssertionError(f"parsed {args}")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sympy_parser, "parse_expr", refuse)
        patch.setattr(sympy_parser, "eval_expr", refuse)
        patch.setattr(sp, "sympify", refuse)
        try:
            value = x4().lower.evaluate(n_states=text, n_actions=2, m=3, horizon=5)
        except ValueError:
            return
        assert isinstance(value, int)


@pytest.mark.parametrize("value", [None, [1], {1: 2}, 1j, b"1", object(), sp.Symbol("x"), True])
def test_other_types_are_refused(value):
    """Numbers are ints, floats, Fractions and strings."""
    with pytest.raises(TypeError, match="n_states must be"):
        x4().lower.evaluate(n_states=value, n_actions=2, m=3, horizon=5)


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_floats_without_a_value_are_refused(value):
    """nan and infinity are not numbers of the theory."""
    with pytest.raises(ValueError, match="epsilon must be finite"):
        exact(value, "epsilon")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("n_states", 0),
        ("n_states", "3/2"),
        ("n_actions", -1),
        ("branching", 0),
        ("epsilon", 0),
        ("epsilon", -0.1),
        ("delta", 0),
        ("delta", 1),
        ("delta", "1.0000000001"),
        ("discount", 1),
        ("discount", -0.5),
        ("r_max", 0),
        ("w_sim", 0),
        ("w_plan", 1),
    ],
)
def test_values_outside_the_range_are_refused_with_the_range(name, value):
    """The message names the symbol, its range and the value."""
    with pytest.raises(ValueError, match=rf"^{name} must be a .*; got '?{value}'?$"):
        t1().m.evaluate(**{**POINT, **default_weights("continuing"), name: value})


def test_discount_zero_is_allowed():
    """0 <= discount < 1."""
    values = {**POINT, **default_weights("continuing"), "discount": 0}
    assert t1().effective_horizon.evaluate(**values) == 1


def test_weights_must_sum_to_one():
    """w_plan + w_sim + w_hor + w_esc = 1."""
    weights = default_weights("continuing")
    assert sum(weights.values()) == 1
    assert sum(default_weights("episodic").values()) == 1
    with pytest.raises(ValueError, match="must sum to 1; they sum to 99/100"):
        t1().steps.evaluate(**POINT, **{**weights, "w_plan": 0})
    with pytest.raises(ValueError, match="must sum to 1"):
        t1().m.evaluate(**POINT, **{**weights, "w_plan": 0.5})
    with pytest.raises(ValueError, match="must sum to 1; they sum to 101/100"):
        t1_episodic().m.evaluate(**POINT, horizon=3, **{**default_weights("episodic"), "w_plan": 0.02})
    with pytest.raises(ValueError, match="kind must be"):
        default_weights("other")


def test_missing_and_unknown_symbols_are_named():
    """A bound is a number only once all its free symbols are."""
    values = {**POINT, **default_weights("continuing")}
    with pytest.raises(TypeError, match=r"needs a value for delta, epsilon$"):
        t1().m.evaluate(**{k: v for k, v in values.items() if k not in ("delta", "epsilon")})
    with pytest.raises(TypeError, match="has no symbol 'gamma'"):
        t1().m.evaluate(**values, gamma=0.8)
    with pytest.raises(TypeError, match="has no symbol 'horizon'"):
        t1().m.evaluate(**values, horizon=3)


def test_same_named_symbol_without_assumptions_is_not_mistaken():
    """A value given by name reaches the theory's own symbol only."""
    stranger = Bound(name="stranger", label="", expression=sp.Symbol("delta") + 1, source="")
    with pytest.raises(NotImplementedError):
        stranger.evaluate(delta=0.5)


def test_every_symbol_is_described():
    """Each entry has a meaning, a unit, LaTeX and a range."""
    assert set(REGISTRY) == set(SYMBOLS)
    for name, entry in REGISTRY.items():
        assert str(entry.symbol) == name
        assert entry.meaning
        assert entry.unit
        assert entry.latex
        assert entry.range
        assert entry.symbol.is_real


@pytest.mark.processes
def test_bounds_imports_neither_the_package_nor_arrays():
    """Importing and evaluating bounds loads sympy and the standard library only."""
    code = (
        "import sys, bounds; bounds.rmax.x4().upper.evaluate(n_states=4, n_actions=2, m=5, delta=0.2);"
        "sys.exit(any(name in sys.modules for name in ('rfos', 'numpy', 'scipy', 'numba')))"
    )
    assert run([sys.executable, "-c", code]).returncode == 0
