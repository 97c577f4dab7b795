"""What commands share: one reader of numbers, one printer of tables, one writer of JSON."""

import enum
import json
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
import typer

from rfos.commands.options import as_json, number, rational, table, whole, whole_numbers


@dataclass(frozen=True)
class Inner:
    ends: tuple[float, float]


@dataclass(frozen=True)
class Outer:
    inner: Inner
    array: np.ndarray
    path: Path


class Colour(enum.Enum):
    RED = "red"


def test_whatever_is_not_a_finite_number_is_null():
    """At every depth: fields, arrays, tuples, mappings, numbers of NumPy."""
    given = Outer(Inner((float("nan"), 1.0)), np.array([[np.inf, 2.0]]), Path("a/b"))
    found = json.loads(as_json({"outer": given, "scalar": np.float64("-inf"), "count": np.int64(3), 4: [Colour.RED]}))
    assert found == {
        "outer": {"inner": {"ends": [None, 1.0]}, "array": [[None, 2.0]], "path": "a/b"},
        "scalar": None,
        "count": 3,
        "4": ["red"],
    }


def test_json_is_one_line_unless_it_is_indented():
    assert as_json({"a": [1, True, None, "x"]}) == '{"a": [1, true, null, "x"]}'
    assert as_json({"a": 1}, indent=2) == '{\n  "a": 1\n}'
    assert as_json({"a": Fraction(1, 3)}) == '{"a": "1/3"}'


def test_what_json_cannot_hold_is_an_error_and_not_text():
    with pytest.raises(TypeError, match="not JSON serializable"):
        as_json({"a": object()})


@pytest.mark.parametrize("text", ["0.1", ".1", "1/3", "1e-9", "0.10", "-2"])
def test_numbers_are_exact_and_print_as_they_were_written(text):
    assert rational(text) == Fraction(text)
    assert str(rational(text)) == text
    assert number(text) == float(Fraction(text))


@pytest.mark.parametrize("text", ["x", "", "1/0", "1/2/3", "exit()", "0x10", "nan", "inf"])
def test_what_bounds_cannot_read_is_not_a_number(text):
    with pytest.raises(typer.BadParameter, match=r"is not a number; write 0\.05 or 1/3"):
        rational(text)


def test_floats_may_be_infinite_and_whoever_asked_refuses_that():
    """`epsilon is inf: give a positive width` says more than "not a number"."""
    assert number("inf") == float("inf")
    assert np.isnan(number("nan"))
    with pytest.raises(typer.BadParameter, match="'x' is not a number"):
        number("x")
    with pytest.raises(typer.BadParameter, match="beyond the range of floats"):
        number("1" + "0" * 400 + "/3")


def test_tables_align_the_first_column_left_and_the_others_right():
    assert table(["a", "bb"], [["long", "1"], ["x", "22"]]).splitlines() == [
        "a     bb",
        "--------",
        "long   1",
        "x     22",
    ]


def test_whole_numbers_are_read_one_or_several():
    assert whole("4^3") == 64
    assert whole_numbers("2, 3", "--windows") == (2, 3)
    with pytest.raises(ValueError, match="--windows is '2,x': give whole numbers separated by commas"):
        whole_numbers("2,x", "--windows")
