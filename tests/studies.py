"""Shaping studies in which other levels are compared where a hundredth of the usual time is enough."""

from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from rfos.laboratory.shaping_study.answer import Answer
from rfos.laboratory.shaping_study.request import ShapingRequest
from rfos.laboratory.shaping_study.study import shaping_study
from rfos.metagames import sizes

FEW_PAIRS = 60_000
"""Of which 3^10, memory-one policies on 3 levels, are quick, and 201^2, games played once on 201 levels."""


@contextmanager
def small_comparisons() -> Iterator[None]:
    """Take for quick what has so many pairs, evaluated in .05 s where no kernel does it, and compare in .2 s there."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sizes, "QUICK_PAIRS", min(sizes.QUICK_PAIRS, FEW_PAIRS))
        patch.setattr(sizes, "QUICK_SECONDS", 0.05)
        patch.setattr("rfos.laboratory.shaping_study.compare.COMPARED_SECONDS", 0.2)
        yield


def small_study(request: ShapingRequest) -> Answer:
    """A study that ends soon."""
    with small_comparisons():
        return shaping_study(request)
