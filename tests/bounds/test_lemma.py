"""A lemma of a user's own takes the place of P1 in every theorem that counts samples of rows."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from commands import here
from sympy import Rational, ceiling, log

import bounds
from bounds import Bound, rmax, sharp
from bounds.concentration import weissman_samples
from bounds.symbols import branching, eps_transition, epsilon, failure, n_states

POINT = {
    "n_states": 16,
    "n_actions": 2,
    "branching": 2,
    "epsilon": "0.8",
    "delta": "0.2",
    "discount": "0.8",
    "r_max": 1,
}
CONTINUING, EPISODIC = rmax.default_weights("continuing"), rmax.default_weights("episodic")
RESTARTS = {"horizon": 10, "w_plan": "1/100", "w_sim": "99/100"}


def lemma(expression, **fields) -> Bound:
    return Bound(name="samples of a row", label="mine", source="a note", expression=expression, **fields)


WEISSMAN = lemma(weissman_samples(failure, eps_transition, branching), assumptions=("rows are mine",))
FAMILIES = {
    "t1": (rmax.t1, {**POINT, **CONTINUING}),
    "t1_plus": (sharp.t1_plus, {**POINT, **EPISODIC}),
    "t1_episodic": (rmax.t1_episodic, {**POINT, **EPISODIC, "horizon": 10}),
    "t1_restarts": (rmax.t1_restarts, {**POINT, **RESTARTS}),
}


@pytest.mark.parametrize("name", FAMILIES)
@pytest.mark.parametrize("rewards", ["known", "sampled"])
def test_weissman_given_as_a_lemma_gives_the_theorem_back_where_weissman_is_the_smaller(name, rewards) -> None:
    family, point = FAMILIES[name]
    point = {**point, **({"w_reward": "1/2"} if rewards == "sampled" and name != "t1_plus" else {})}
    plain, mine = family(rewards=rewards), family(rewards=rewards, rows=WEISSMAN)
    assert mine.evaluate(**point) == plain.evaluate(**point)
    assert mine.steps.parts(**point) == plain.steps.parts(**point)
    assert mine.steps.elasticity("epsilon", **point) == pytest.approx(plain.steps.elasticity("epsilon", **point))


@pytest.mark.parametrize("name", FAMILIES)
def test_half_the_samples_halve_m(name) -> None:
    family, point = FAMILIES[name]
    if name == "t1_plus":  # what is left of m is that of one backup
        assert family(rows=lemma(0 * eps_transition)).m.evaluate(**point) < family().m.evaluate(**point) / 3
        return
    half = lemma(WEISSMAN.expression / 2)
    assert family(rows=half).m.evaluate(**point) == -(-family().m.ball(**point).lower // 2)


def test_the_theorem_says_whose_lemma_it_is() -> None:
    assert rmax.t1(rows=WEISSMAN).steps.source.endswith("for P1: a note")
    assert "rows are mine" in rmax.t1(rows=WEISSMAN).steps.assumptions
    assert "rows are mine" in rmax.t1_restarts(rows=WEISSMAN).steps.assumptions
    assert "rows are mine" not in rmax.t1(rows=WEISSMAN).effective_horizon.assumptions
    assert rmax.t1(rows=WEISSMAN).steps.grows == ()


def test_a_lemma_brings_its_conditions() -> None:
    narrow = lemma(
        1 / eps_transition, conditions=((Rational(1, 100) - eps_transition, "eps_transition is above 1/100"),)
    )
    with pytest.raises(ValueError, match="above 1/100"):
        rmax.t1(rows=narrow).m.evaluate(**POINT, **CONTINUING)
    close = {**POINT, "epsilon": "0.1"}
    assert rmax.t1(rows=narrow).m.evaluate(**close, **CONTINUING) == 404  # 5/(.62 .1 .2) = 403.2


def test_t1_plus_takes_the_argument_of_a_ceiling() -> None:
    whole = lemma(ceiling(WEISSMAN.expression))
    assert sharp.t1_plus(rows=whole).m == sharp.t1_plus(rows=lemma(WEISSMAN.expression)).m
    with pytest.raises(ValueError, match="does not fall with the square"):
        sharp.t1_plus(rows=lemma(1 / eps_transition))


@pytest.mark.parametrize("family", [family for family, _ in FAMILIES.values()])
def test_what_is_not_a_lemma_on_rows_is_refused(family) -> None:
    with pytest.raises(TypeError, match="rows is 5, not a Bound"):
        family(rows=5)
    with pytest.raises(ValueError, match="has the symbol epsilon"):
        family(rows=lemma(log(n_states) / epsilon**2))
    with pytest.raises(TypeError, match="holds '1/eps': give expressions of sympy"):
        family(rows=lemma("1/eps"))
    with pytest.raises(ValueError, match=r"holds the float 0\.5"):
        family(rows=lemma(0.5 / eps_transition**2))


def test_substitution_is_public() -> None:
    doubled = bounds.substituted(WEISSMAN, {failure: failure / 2})
    assert doubled.evaluate(failure="1/5", eps_transition=1, branching=2) == pytest.approx(2 * float(log(20)))
    assert bounds.substitute(failure**2, {failure: epsilon}) == epsilon**2


def test_the_command_takes_a_lemma_by_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "mylemma.py").write_text(
        "from bounds import Bound\nfrom bounds.symbols import eps_transition\n"
        "half = Bound(name='h', label='', source='me', expression=1 / eps_transition**2)\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    sizes = ("--states", "16", "--actions", "2", "--branching", "2")
    found = json.loads(here("bound", *sizes, "--rows", "mylemma:half", "--json", cwd=tmp_path).stdout)
    assert found["theorems"]["T1"]["m"]["value"] == 2541  # (5/(.62 .8 .2))^2 = 2540.6
    assert found["theorems"]["T1"]["source"].endswith("for P1: me")
    assert (
        "x &=" not in here("bound", *sizes, "--rows", "mylemma:half", "--latex", cwd=tmp_path).stdout.split("T1+}")[1]
    )
    for bad, sentence in {
        "mylemma:none": "has no none",
        "nolemma:half": "PYTHONPATH",
        "half": "module:name",
        "math:pi": "rows is 3.141592653589793, not a Bound",
        "__import__('os').x:y": "module:name",
    }.items():
        refused = here("bound", *sizes, "--rows", bad, cwd=tmp_path)
        assert refused.returncode == 2
        assert sentence in refused.stderr


def test_a_lemma_with_a_wrong_sign_does_not_apply() -> None:
    """It was the best bound of all: m = 1."""
    with pytest.raises(ValueError, match="asks for no samples at all"):
        rmax.t1(rows=lemma(-1 / eps_transition)).m.evaluate(**POINT, **CONTINUING)
