"""Every bound of the catalogue: against an evaluation of its own, monotone as declared, with a hand-worked value."""

import inspect
import os
import re
import shutil
import sys
from dataclasses import fields
from fractions import Fraction
from functools import cache, partial

import numpy as np
import pytest
from bounds_points import bases, fit
from bounds_reference import REFERENCE, Point, Quantile, mp
from commands import run
from matplotlib.mathtext import MathTextParser
from strength import FULL, scaled

from bounds import STATEMENTS, Bound, Family
from bounds._evaluate import Compositions, FewestTrials
from bounds.symbols import REGISTRY

MATHTEXT = MathTextParser("path")
POINTS = os.environ.get("RFOS_POINTS")  # for each bound, 5000 take most of an hour; default 250, or 10 quantiles
MAKERS = {name: make for makers in STATEMENTS.values() for name, make in makers.items()}


def members(name):
    """The bounds of an entry, by member; a single bound has the member None."""
    made = MAKERS[name]()
    if isinstance(made, Bound):
        return {None: made}
    return {f.name: getattr(made, f.name) for f in fields(made)} if isinstance(made, Family) else dict(made)


def of(bound, values):
    known = (*bound.symbols, *bound.parameters, *bound.weights)
    return {name: value for name, value in values.items() if name in known}


def number(x):
    return mp.mpf(x.numerator) / x.denominator


def test_the_reference_covers_the_catalogue():
    """Every entry has an evaluation of its own, and there are no others."""
    assert set(REFERENCE) == set(MAKERS)
    assert len({b.name + str(b.expression) for name in MAKERS for b in members(name).values()}) > 100


def drawn(name):
    """Points of an entry, a tenth of them astronomic; fewer of both where a binomial quantile is proved at each."""
    bounds = list(members(name).values())
    slow = any(b.expression.has(FewestTrials) for b in bounds)
    if POINTS is not None:
        values = bases(int(POINTS), huge=200 if slow else 10)
    elif slow:
        values = bases(
            scaled(10, 4), huge=40 if name.startswith("case_two") else scaled(10, 4)
        )  # 10^1867 windows take ten seconds
    else:
        values = bases(250 if FULL else 25)
    return [fit(v, bounds) for v in values]


@pytest.mark.parametrize("name", MAKERS)
def test_every_bound_equals_its_own_evaluation(name):
    """ball() holds the value and is 50 digits narrow, evaluate() is its rounding, on_grid() is within 1e-12."""
    bounds = members(name)
    points = drawn(name)
    expected = [REFERENCE[name](Point(values)) for values in points]
    for member, bound in bounds.items():
        wanted = [x if member is None else x[member] for x in expected]
        for i, (values, x) in enumerate(zip(points, wanted, strict=True)):
            here = of(bound, values)
            try:
                low, high = map(number, bound.ball(digits=50, **here))
            except OverflowError:  # numbers with millions of digits have a logarithm only
                if mp.log10(x) > 1e308:  # 2^B at B = 4^600
                    with pytest.raises(OverflowError, match="logarithm"):
                        bound.log10(**here)
                else:
                    assert bound.log10(**here) == pytest.approx(float(mp.log10(x)), rel=1e-14)
                continue
            if isinstance(x, Quantile):
                assert x.agrees(low, high), here
                continue
            margin = abs(x) * mp.mpf(10) ** -60
            assert low - margin <= x <= high + margin, here
            assert high - low <= abs(x) * mp.mpf(10) ** -49
            if i % 10 == 0:
                if x == 0 or 1e-300 < x < 1e300:
                    assert number(Fraction(bound.evaluate(**here))) == pytest.approx(x, rel=1e-15, abs=0)
                assert x == 0 or bound.log10(**here) == pytest.approx(float(mp.log10(x)), rel=1e-14, abs=1e-15)
        on_grid(bound, points, wanted)


def on_grid(bound, points, wanted):
    """Floats agree to 1e-12 wherever they have the range, save for ceilings that rounding moves: none or very few."""
    pairs = [
        (of(bound, values), x)
        for values, x in zip(points, wanted, strict=True)
        if not isinstance(x, Quantile) and all(value < 10**15 for value in values.values())
    ]
    if not pairs or not bound.symbols:
        return
    arrays = {name: np.array([float(v[name]) for v, _ in pairs]) for name in bound.symbols}
    try:
        found = bound.on_grid(**arrays)
    except NotImplementedError:  # quantiles and counts of grids
        assert bound.expression.has(FewestTrials) or bound.expression.has(Compositions)
        return
    exact = np.array([float(x) for _, x in pairs])
    fits = np.isfinite(found) & np.isfinite(exact) & (exact > 1e-50)  # e^-x loses digits as x grows
    off = np.abs(found[fits] - exact[fits]) > 1e-12 * exact[fits]
    assert off.mean() <= 0.02, (bound.name, off.mean())


AXES = (
    "n_states",
    "n_actions",
    "branching",
    "horizon",
    "m",
    "epsilon",
    "delta",
    "discount",
    "window",
    "players",
    "levels",
    "radius",
    "n_rows",
    "n_observations",
    "model_tv",
    "reward_error",
    "episode_discount",
    "return_range",
    "log_policies",
)
UNDECLARED = {  # what a bound contains of the axes without moving one way in it
    ("paper_sweeps", None): {"discount"},  # ln(1/(ε(1-γ̂)))/(1-γ̂), negative for large ε
    ("x1_rate", None): {"discount"},  # from 0 at γ̂ = 0 up and down to 0 at 1
}


def moved(name, value):
    """A larger value of a symbol that is still in its range."""
    parameter = REGISTRY[name]
    if parameter.integer:
        return value + 1 + value // 3
    return value * Fraction(5, 4) if parameter.high is None else value + (parameter.high - value) / 4


@pytest.mark.parametrize("name", MAKERS)
def test_every_bound_moves_as_declared(name):
    """Raising one symbol of a random point never lowers what grows in it and never raises what shrinks."""
    bounds = members(name)
    points = [fit(values, list(bounds.values())) for values in bases(scaled(6, 3), seed=1, huge=scaled(6, 3))]
    points = points if FULL else points[::2]  # an ordinary one and the astronomic one
    for member, bound in bounds.items():
        slow = bound.expression.has(FewestTrials) and bound.label.startswith("T2")
        undeclared = set(AXES) & {s.name for s in bound.expression.free_symbols} - {*bound.grows, *bound.shrinks}
        assert undeclared <= UNDECLARED.get((name, member), set()), (member, undeclared)
        for values in points[:1] if slow else points:
            here = of(bound, values)
            start = size(bound, here)
            for symbol in (*bound.grows, *bound.shrinks):
                there = size(bound, here | {symbol: moved(symbol, here[symbol])})
                if start is None or there is None or (symbol.startswith("w_") and bound.weights):
                    continue  # outside the statement; or weights that no longer sum to 1
                low, high = (start, there) if symbol in bound.grows else (there, start)
                assert low <= high, (member, symbol, here)


def size(bound, values):
    """The logarithm; None where the statement does not apply, or where that is beyond floats."""
    try:
        return bound.log10(**values)
    except (ValueError, OverflowError):
        return None


COMPOSITE = [n for n in MAKERS if n.startswith(("t1", "case_", "inner_"))]


@pytest.mark.parametrize("name", COMPOSITE)
def test_shares_of_the_parts_of_every_composite_theorem_sum_to_one(name):
    """Its number of steps has named factors; they and the rest multiply to it."""
    bounds = members(name)
    steps = bounds.get("steps") or bounds[None]
    assert len(steps.factors) >= 2
    small = {"players": 2, "inner_states": 1, "inner_actions": 2, "radius": Fraction(1, 4), "window": 2}
    for values in bases(3, seed=2):
        here = of(steps, fit(values | small, list(bounds.values())))
        parts = steps.parts(**here)
        assert sum(part.share for part in parts) == pytest.approx(1, abs=1e-9)
        assert sum(part.log10 for part in parts) == pytest.approx(steps.log10(**here), abs=1e-9)


@pytest.mark.parametrize("name", MAKERS)
def test_every_bound_has_a_worked_value_a_source_and_a_sketch(name):
    """The docstring of what makes it evaluates it; source, label and proof sketch are given."""
    make = getattr(MAKERS[name], "func", MAKERS[name])
    if make.__name__ != "<lambda>":
        example = inspect.getdoc(make) or ""
        assert ">>>" in example
        assert ".evaluate(" in example
    for bound in members(name).values():
        assert all((bound.source, bound.label, bound.sketch)), bound.name


TOKEN = re.compile(r"\\(?:left|right)(?![a-zA-Z]) *(?:\\[a-zA-Z]+|\\.|.)|\\[a-zA-Z]+|\\.|.", re.DOTALL)


@cache
def parse(text):
    """As a whole in full, else once what stands between each pair of braces, the same in many bounds, and what is left.

    Nothing outside of a pair changes how what is inside is read: parsing takes time in proportion to the length.
    """
    MATHTEXT.parse(f"${text if FULL else shortened(text)}$")


def shortened(text):
    """The formula with x for all that is longer between braces, or left and right, and is parsed by itself."""
    levels = [[]]
    for token in TOKEN.findall(text):
        if token == "{" or token.startswith("\\left"):
            levels.append([token])
        elif token == "}" or token.startswith("\\right"):
            start, *inside = levels.pop()
            within = "".join(inside)
            if len(within) > 20:
                parse(within)
                within = "x"
            levels[-1].append(start + within + token)
        else:
            levels[-1].append(token)
    (whole,) = levels
    return "".join(whole)


@pytest.mark.parametrize("place", [r"\nonsense", r"\mathrm{a}\right)", r"\frac{a}", "x^2^2"])
def test_what_mathtext_cannot_read_is_found_at_any_depth(place):
    """In the midst of a formula of braces in parentheses in braces."""
    for text in (r"1 + \frac{\left(\sqrt{12345678901234567890 + %s}\right) + 12345678901234567890}{2}", "1 + %s"):
        parse(text % "y")
        with pytest.raises((ValueError, IndexError)):
            parse(text % place)


@pytest.mark.parametrize("name", MAKERS)
def test_every_formula_is_set_by_mathtext(name, request):
    """Matplotlib parses it; nothing of the names in code is left in it."""
    request.addfinalizer(partial(sys.setrecursionlimit, sys.getrecursionlimit()))
    sys.setrecursionlimit(20_000)  # pyparsing takes some thirty frames for each pair of braces
    for bound in members(name).values():
        text = bound.latex()
        assert "_states" not in text
        parse(text)


@pytest.mark.processes
@pytest.mark.skipif(shutil.which("pdflatex") is None, reason="needs a TeX engine: pdflatex")
def test_every_formula_is_set_by_tex(tmp_path):
    """One document with all of them compiles."""
    formulas = dict.fromkeys(bound.latex() for name in MAKERS for bound in members(name).values())
    lines = [
        r"\documentclass{article}\usepackage{amsmath}\begin{document}",
        *(rf"\[{f}\]" for f in formulas),
        r"\end{document}",
    ]
    (tmp_path / "all.tex").write_text("\n".join(lines))
    command = ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "all.tex"]
    done = run(command, cwd=tmp_path)
    assert done.returncode == 0, done.stdout[-2000:]
