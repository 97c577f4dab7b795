"""What a lemma of a user's own may be made of, and what is said of one that is not a lemma."""

from __future__ import annotations

import json
from fractions import Fraction

import numpy as np
import pytest
import sympy as sp
from commands import here

from bounds import Bound, rmax, sharp
from bounds.symbols import branching, discount, eps_transition, epsilon, failure, n_actions, n_states

POINT = {
    "n_states": 16,
    "n_actions": 2,
    "branching": 2,
    "epsilon": "0.8",
    "delta": "0.2",
    "discount": "0.8",
    "r_max": 1,
}
WEIGHTS = rmax.default_weights("continuing")
RESTARTS = {"horizon": 10, "w_plan": "1/100", "w_sim": "99/100"}


def lemma(expression, **fields) -> Bound:
    return Bound(**{"name": "samples", "label": "mine", "source": "a note", "expression": expression, **fields})


CONDITIONS = {
    "less": (branching < 2, lambda b: b < 2),
    "at most": (branching <= 2, lambda b: b <= 2),
    "more": (branching > 2, lambda b: b > 2),
    "at least": (branching >= 2, lambda b: b >= 2),
    "equal": (sp.Eq(branching, 2), lambda b: b == 2),
    "unequal": (sp.Ne(branching, 2), lambda b: b != 2),
    "and": (sp.And(branching > 1, branching < 3), lambda b: 1 < b < 3),
    "or": (sp.Or(branching < 2, sp.Eq(branching, 3)), lambda b: b < 2 or b == 3),
    "not": (sp.Not(sp.And(branching > 1, branching < 3), evaluate=False), lambda b: not 1 < b < 3),
    "mixed": (sp.And(branching > 1, sp.Or(branching > 2, epsilon > 1)), lambda b: b > 2),
    "logarithm": (branching < 2 + sp.log(2), lambda b: b <= 2),
}


@pytest.mark.parametrize("name", CONDITIONS)
def test_every_condition_of_a_case_is_decided_as_it_reads(name) -> None:
    """An inequality was read as an equation, so that the wrong case was taken without a word."""
    condition, holds = CONDITIONS[name]
    made = lemma(sp.Piecewise((1, condition), (3 / epsilon**2, True)))
    sizes = [1, 2, 3, 4]
    want = [1 if holds(b) else 3 * 4 for b in sizes]
    assert [made.evaluate(branching=b, epsilon="1/2") for b in sizes] == want
    assert made.on_grid(branching=np.array(sizes), epsilon=0.5).tolist() == want
    slopes = [made.elasticity("epsilon", branching=b, epsilon="1/2") for b in sizes if not holds(b)]
    assert slopes == [-2.0] * len(slopes)


def test_a_theorem_takes_the_case_of_its_lemma() -> None:
    cased = lemma(sp.Piecewise((1, branching < 2), (3 / eps_transition**2, True)))
    assert rmax.t1(rows=cased).m.evaluate(**POINT, **WEIGHTS) == 7622  # 3 (5/(.62 .8 .2))^2 = 7621.4
    assert rmax.t1(rows=cased).m.evaluate(**{**POINT, "branching": 1}, **WEIGHTS) == 1


def test_a_case_that_no_digits_decide_is_said_to_be_one() -> None:
    hidden = lemma(sp.Piecewise((1, sp.log(epsilon**2 + 1) > sp.log(epsilon**2 + 2 * epsilon + 2)), (2, True)))
    assert hidden.evaluate(epsilon="1/2") == 2
    equal = lemma(sp.Piecewise((1, sp.log(epsilon) * 2 > sp.log(2 * epsilon - discount)), (2, True)))
    with pytest.raises(ArithmeticError, match="cannot be decided within"):
        equal.evaluate(epsilon="1/2", discount="3/4")  # 2 ln(1/2) against ln(1/4)


def test_where_no_case_covers_a_point_there_is_no_value() -> None:
    partial = lemma(sp.Piecewise((1, branching < 2), (5, branching < 3)))
    assert np.isnan(partial.on_grid(branching=[1, 2, 3])).tolist() == [False, False, True]
    with pytest.raises(ValueError, match="no case of the bound covers this point"):
        partial.evaluate(branching=3)


def test_a_condition_that_cannot_be_decided_is_refused() -> None:
    odd = sp.Piecewise((1, sp.Xor(branching < 2, epsilon < 1)), (2, True))
    with pytest.raises(ValueError, match=r"cannot be decided: make the cases"):
        lemma(odd).evaluate(branching=2, epsilon="1/2")
    with pytest.raises(ValueError, match=r"cannot be decided: make the cases"):
        lemma(odd).on_grid(branching=2, epsilon=0.5)


@pytest.mark.parametrize(
    "relation", [branching <= 4, branching < 5, sp.Integer(4) >= branching, sp.Integer(5) > branching]
)
def test_conditions_are_taken_in_every_order(relation) -> None:
    narrow = lemma(1 / eps_transition, conditions=[[relation, "give a smaller branching"]])
    t1 = rmax.t1(rows=narrow)
    assert t1.m.evaluate(**{**POINT, "branching": 4}, **WEIGHTS) == 51
    with pytest.raises(ValueError, match="give a smaller branching"):
        t1.m.evaluate(**{**POINT, "branching": 5}, **WEIGHTS)


WRONG_CONDITIONS = {
    "bare": ((branching <= 4,), TypeError, "give a pair of a relation"),
    "number": (5, TypeError, "conditions of the bound 'samples' is 5: give a tuple"),
    "turned": ((("a sentence", branching <= 4),), TypeError, "give a pair of a relation"),
    "equation": (((sp.Eq(branching, 4), "words"),), ValueError, "or one of >=, >, <= and <"),
    "three": (((branching <= 4, "words", 1),), TypeError, "give a pair of a relation"),
}


@pytest.mark.parametrize("name", WRONG_CONDITIONS)
def test_a_condition_of_another_form_is_refused_in_a_sentence(name) -> None:
    conditions, kind, sentence = WRONG_CONDITIONS[name]
    with pytest.raises(kind, match=sentence):
        lemma(1 / eps_transition, conditions=conditions)


NOT_LEMMAS = {
    "own symbol": (
        lemma(sp.Symbol("branching") / eps_transition**2),
        ValueError,
        "has a symbol branching of its own: import branching from bounds.symbols",
    ),
    "infinity": (lemma(sp.oo), ValueError, "holds oo, which cannot be evaluated"),
    "not a number": (lemma(sp.nan), ValueError, "holds nan, which cannot be evaluated"),
    "sine": (lemma(sp.sin(eps_transition)), ValueError, "which cannot be evaluated exactly"),
    "xor": (
        lemma(sp.Piecewise((1, sp.Xor(branching < 2, failure < 1)), (2, True))),
        ValueError,
        "which cannot be evaluated exactly",
    ),
    "an int": (5, TypeError, "rows is 5, not a Bound"),
    "truth": (lemma(True), TypeError, "holds True: give expressions of sympy"),
    "text": (lemma("1/eps"), TypeError, "holds '1/eps': give expressions of sympy"),
}


@pytest.mark.parametrize("family", [rmax.t1, rmax.t1_episodic, rmax.t1_restarts, sharp.t1_plus])
@pytest.mark.parametrize("name", NOT_LEMMAS)
def test_what_is_not_a_lemma_is_refused_in_a_sentence(family, name) -> None:
    rows, kind, sentence = NOT_LEMMAS[name]
    with pytest.raises(kind, match=sentence):
        family(rows=rows)


def test_a_whole_number_is_a_lemma_whatever_was_asked_before() -> None:
    """An int equals sympy's, and so was refused or not, as the cache had it."""
    for number in (5, sp.Integer(5), Fraction(9, 2)):
        assert rmax.t1(rows=lemma(number)).m.evaluate(**POINT, **WEIGHTS) == 5
    with pytest.raises(ValueError, match=r"holds the float 5\.0"):
        lemma(5.0)


def test_pooled_restarts_keep_the_actions_of_the_lemma() -> None:
    """|Â| = 1 was put into m as well, so that the steps were those of another m."""
    rows = lemma(n_actions * 10 / eps_transition**2)
    pooled = rmax.t1_restarts(pooled=True, rows=rows)
    point = {**POINT, **RESTARTS}
    m = pooled.m.evaluate(**point)
    assert m == 19928  # 20 (5/(.99 .8 .2))^2 = 19927.9
    single = rmax.x4().evaluate(n_states=16, n_actions=1, m=m, horizon=10, delta="0.2")
    found = pooled.evaluate(**point)
    assert (found["lower"], found["episodes"], found["steps"]) == tuple(single.values())


def test_pooled_restarts_say_that_they_pool() -> None:
    for part in rmax.t1_restarts(pooled=True).bounds.values():
        assert part.label == "T1 with X4 and X2"
        assert any(note.startswith("the meta-state is an exact window") for note in part.assumptions)
    assert rmax.t1_restarts().steps.label == "T1 with X4"
    assert not any("exact window" in note for note in rmax.t1_restarts().steps.assumptions)


def test_a_bound_on_actions_alone_is_counted_per_state() -> None:
    assert rmax.t1_restarts(pooled=True).lower.evaluate(**{**POINT, "branching": 1}, **RESTARTS) == 2
    assert n_states in rmax.t1_restarts(pooled=True).lower.expression.free_symbols


def test_the_table_names_the_lemma_in_its_first_lines(tmp_path, monkeypatch) -> None:
    (tmp_path / "named_lemma.py").write_text(
        "from bounds import Bound\nfrom bounds.symbols import eps_transition\n"
        "half = Bound(name='samples', label='halves', source='my note', expression=1 / eps_transition**2)\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    sizes = ("bound", "--states", "16", "--actions", "2", "--branching", "2")
    text = here(*sizes, "--rows", "named_lemma:half", cwd=tmp_path).stdout
    assert "in the place of P1, the samples of a row: halves, samples (my note)" in text.splitlines()[:3]
    found = json.loads(here(*sizes, "--rows", "named_lemma:half", "--json", cwd=tmp_path).stdout)
    assert found["rows"] == {"name": "samples", "label": "halves", "source": "my note"}
    assert json.loads(here(*sizes, "--json", cwd=tmp_path).stdout)["rows"] is None
