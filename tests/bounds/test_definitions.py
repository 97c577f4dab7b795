"""Theorems in named quantities: put into each other, the definitions are the theorem; they are short."""

from fractions import Fraction

import pytest

from bounds import Bound
from bounds.definitions import definitions, legend
from bounds.rmax import t1, t1_restarts
from bounds.sharp import t1_deterministic, t1_observed, t1_plus
from bounds.substitution import substitute

FAMILIES = {
    "T1": t1(),
    "T1, classical": t1("known", False, "classical"),
    "T1, pooled": t1(pooled=True),
    "T1+": t1_plus(),
    "T1+, pooled": t1_plus(pooled=True),
    "X4": t1_restarts(),
    "T1'": t1_deterministic(),
    "T1', observed": t1_observed(),
}
POINT = {"n_states": 20, "n_actions": 3, "epsilon": "1/3", "delta": "1/7", "r_max": 2, "horizon": 10}
WEIGHTS = {"w_plan": "1/50", "w_sim": "3/5", "w_hor": "1/10", "w_esc": "7/25"}


@pytest.mark.parametrize("name", FAMILIES)
def test_definitions_put_into_each_other_are_the_theorem(name):
    """steps by the definitions alone = family.steps, for B = 1, 2 and 500 successors, also without a discount."""
    family = FAMILIES[name]
    *parts, (_, expression) = definitions(family)
    for symbol, part in reversed(parts):
        expression = substitute(expression, {symbol: part})
    whole = Bound(name="steps", label="", expression=expression, source="")
    for branching in (1, 2, 500):
        for discount in (0, Fraction(4, 5)):
            values = {**POINT, **WEIGHTS, "branching": branching, "discount": discount}
            here = {n: x for n, x in values.items() if n in family.steps.symbols}
            wanted = Bound(name="", label="", expression=family.steps.expression, source="").evaluate(**here)
            assert whole.evaluate(**{n: x for n, x in values.items() if n in whole.symbols}) == wanted


@pytest.mark.parametrize("name", FAMILIES)
def test_definitions_are_short_and_every_symbol_is_explained(name):
    """No formula has more than 400 characters of LaTeX; the legend has a meaning for all symbols, free of markup."""
    shown = definitions(FAMILIES[name])
    assert max(len(d.latex()) for d in shown) < 400
    meanings = legend(shown)
    assert len(meanings) == len({s for d in shown for s in (d.symbol, *d.expression.free_symbols)})
    assert not any(set(meaning) & set("_$&%#\\^") for meaning in meanings.values())
