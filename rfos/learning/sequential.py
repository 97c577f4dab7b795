"""A sequential test of a share against a limit, with an error that is fixed before."""

from __future__ import annotations

import math
from typing import Literal

import numpy as np
from scipy.special import betaln

Verdict = Literal["sufficient", "insufficient", "undecided"]

OUTCOMES = False, True, None
"""How a run may have ended, as numbers in checkpoints."""


class SequentialTest:
    """Whether a coin shows 1 with probability p >= p0, by tosses until that is clear at a stated error rate.

    The likelihood of the tosses, mixed over p by half a point at p = 1 and half a Beta(1/2, 1/2), over their likelihood
    at any one p is a martingale with mean 1 where that p is the true one. So the p at which the ratio ever reaches
    1/error include the true one with probability `error` at most, however many tosses are looked at (Ville 1939;
    Robbins 1970). They lie on both sides of the share of ones: where p0 is among them the test ends.

    Parameters
    ----------
    least : float
        p0, in (0, 1).
    error : float
        Chance that it ever ends with the wrong answer, in (0, 1).

    Examples
    --------
    Ten ones in a row make p < 1/2 unlikely: (1/2)/2^-10 = 512, and more with the other half of the mixture.

    >>> test = SequentialTest(0.5, 1 / 512)
    >>> [test.toss(True) for _ in range(10)][-2:]
    ['undecided', 'sufficient']
    """

    def __init__(self, least: float, error: float) -> None:
        """Begin with no tosses."""
        self.least, self.error = least, error
        self.ones = self.tosses = 0

    def toss(self, one: bool) -> Verdict:
        """Take one more toss into account and return the verdict."""
        self.ones += bool(one)
        self.tosses += 1
        zeros = self.tosses - self.ones
        mixed = float(betaln(self.ones + 0.5, zeros + 0.5) - betaln(0.5, 0.5))
        mixed = math.log(0.5) + (float(np.logaddexp(mixed, 0.0)) if zeros == 0 else mixed)
        fixed = self.ones * math.log(self.least) + zeros * math.log1p(-self.least)
        if mixed - fixed < -math.log(self.error):
            return "undecided"
        return "sufficient" if self.ones >= self.least * self.tosses else "insufficient"
