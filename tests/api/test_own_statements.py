"""What is said of a statement of a user's own that is not what it says it is; results come in the order asked."""

from __future__ import annotations

import math
import sys

import numpy as np
import pytest
from commands import here

from rfos import Sides, Statement, verify
from rfos.laboratory.verification.engine import quantile_sides
from rfos.laboratory.verification.registry import STATEMENTS


def own(**changed) -> Statement:
    fields = {
        "id": "mine",
        "title": "a number is at most another one",
        "sample": lambda rng: float(rng.random()),
        "sides": lambda x, mutant: Sides(x, 1.0),
        "extremal": (1.0,),
    }
    return Statement(**{**fields, **changed})


def _raise(*_):
    raise KeyError("x")


FAULTS = {
    "texts": ({"sides": lambda x, mutant: Sides("a", "b")}, "sides of statement 'mine' have left = 'a' for instance 0"),
    "arrays": (
        {"sides": lambda x, mutant: Sides(1.0, np.ones(2))},
        r"sides of statement 'mine' have right = array\(\[1\., 1\.\]\) for instance 0: give a number",
    ),
    "not a number": ({"sides": lambda x, mutant: Sides(math.nan, 1.0)}, "sides of statement 'mine' have left = nan"),
    "truth": ({"sides": lambda x, mutant: Sides(True, 1.0)}, "sides of statement 'mine' have left = True"),
    "a pair": ({"sides": lambda x, mutant: (x, 1.0)}, "sides of statement 'mine' returned tuple for instance 0"),
    "sides raise": ({"sides": _raise}, "sides of statement 'mine' raised KeyError: 'x' for instance 0: mend it"),
    "sample raises": ({"sample": _raise}, "sample of statement 'mine' raised KeyError: 'x' for instance 1: mend it"),
    "sides exit": ({"sides": lambda x, mutant: sys.exit(0)}, "sides of statement 'mine' raised SystemExit: 0"),
    "no trials": ({"probabilistic": True}, "statement 'mine' is probabilistic, and its sides have no trials"),
}


@pytest.mark.parametrize("name", FAULTS)
def test_a_fault_in_a_statement_is_said_with_its_id(name) -> None:
    changed, sentence = FAULTS[name]
    with pytest.raises(ValueError, match=sentence):
        verify([own(**changed)], instances=3, jobs=1)


def test_sides_may_be_numbers_of_any_kind() -> None:
    [found] = verify([own(sides=lambda x, mutant: Sides(np.float32(0.5), 1))], instances=3, jobs=1)
    assert found.passed
    [found] = verify([own(sides=lambda x, mutant: Sides(0, math.inf))], instances=3, jobs=1)
    assert found.passed
    coin = own(probabilistic=True, sides=lambda x, mutant: quantile_sides([0.0] * 40, 1.0, 0.05))
    assert verify([coin], instances=3, jobs=1)[0].passed


def test_a_statement_that_is_not_attained_does_not_pass_as_one_that_is() -> None:
    """A ratio of .5 everywhere passed for an equality."""
    loose = own(attained=True, sides=lambda x, mutant: Sides(x / 2, 1.0 / (4 if mutant else 1)), mutant="a quarter")
    [found] = verify([loose], instances=20, jobs=1)
    assert (found.passed, found.violations, found.unattained) == (False, 0, True)
    assert found.largest_ratio == 0.5
    [found] = verify([own(attained=True)], instances=20, jobs=1)
    assert (found.passed, found.unattained) == (True, False)
    [caught] = verify([loose], instances=20, jobs=1, mutants=True)
    assert (caught.passed, caught.unattained) == (True, False)


def test_every_statement_that_is_attained_is_so_on_its_extremal_instances() -> None:
    names = [name for name, s in STATEMENTS.items() if s.attained and s.holds]
    found = verify(names, instances=1, jobs=1)
    assert [row.id for row in found if not row.passed] == []
    assert len(found) > 20


def test_results_come_in_the_order_asked_each_once() -> None:
    mine = own()
    found = verify(["P4", mine, "N1", "P4", mine], instances=2, jobs=1)
    assert [row.id for row in found] == ["P4", "mine", "N1"]
    assert [row.id for row in verify(["N1", STATEMENTS["N1"]], instances=2, jobs=1)] == ["N1"]


def test_the_command_prints_them_in_that_order_and_the_theory_in_its_own(tmp_path) -> None:
    listed = here("verify", "--list", cwd=tmp_path).stdout
    places = [listed.index(f"  {name}: ") for name in STATEMENTS]
    assert places == sorted(places)
    found = here("verify", "--statement", "P4", "--statement", "N1", "--instances", "2", "--jobs", "1", cwd=tmp_path)
    assert found.stdout.index("P4: ") < found.stdout.index("N1: ")
