"""What enters is ours: copies, native types, no imaginary part lost."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest

from rfos._system.arrays import Owned, booleans, floats, integers


def test_an_array_that_enters_does_not_change_with_what_it_came_from() -> None:
    base = np.zeros(3)
    locked = base[:]
    locked.setflags(write=False)
    taken = floats("R", locked)
    base[:] = 7
    assert taken.tolist() == [0, 0, 0]
    assert taken.flags.owndata
    assert not taken.flags.writeable


@pytest.mark.parametrize("dtype", [">f8", "<f4", np.float16, np.longdouble, np.int32, ">i4", bool])
def test_every_real_type_becomes_native_float64(dtype: object) -> None:
    taken = floats("R", np.array([[0, 1], [1, 0]], dtype).T)  # type: ignore[call-overload]
    assert taken.dtype == np.float64
    assert taken.dtype.isnative
    assert taken.flags.c_contiguous
    assert taken.tolist() == [[0, 1], [1, 0]]


def test_rationals_are_real_numbers() -> None:
    assert floats("R", [Fraction(1, 2)]).tolist() == [0.5]


@pytest.mark.parametrize("given", [[1 + 0j], ["1"], [[1, 2], [3]], [None], object(), [b"1"], [np.datetime64("2020")]])
def test_what_is_not_real_numbers_is_refused_in_one_sentence(given: object) -> None:
    with pytest.raises(ValueError, match=r"^R (holds|is not)"):
        floats("R", given)


@pytest.mark.parametrize("given", [[0.0], [True], [2**63], [2**70], ["0"], [np.uint64(2**63)]])
def test_whole_numbers_are_of_an_integer_type_and_fit(given: object) -> None:
    with pytest.raises(ValueError, match="policy holds"):
        integers("policy", given)


def test_bools_are_bools() -> None:
    assert booleans("mask", [True, False]).tolist() == [True, False]
    assert booleans("mask", np.array([1, 0], np.int8)).tolist() == [True, False]
    with pytest.raises(ValueError, match="true and false"):
        booleans("mask", [0, 2])
    with pytest.raises(ValueError, match="true and false"):
        booleans("mask", [0.0, 1.0])


def test_what_is_handed_over_is_not_copied() -> None:
    array = np.zeros(2)
    assert floats("R", Owned(array)) is array
    assert not array.flags.writeable
