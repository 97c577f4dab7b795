"""Brackets of values that hold including all rounding."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from rfos._kernels import dp
from rfos._system import checks
from rfos._system.arrays import Float, floats
from rfos._system.memory import BLOCK_ROWS
from rfos.planning.iteration import Change, Pair
from rfos.planning.mdp import TabularMDP

UNIT_ROUNDOFF = 2.0**-53

SMALLEST = 2.0**-1074

LARGEST = float(np.finfo(np.float64).max)

HUGE = 1e300


def _outward(low: Float, high: Float) -> tuple[Float, Float]:
    """Move both ends outwards by more than the rounding of the few additions that made them."""
    return low - 8 * UNIT_ROUNDOFF * np.abs(low), high + 8 * UNIT_ROUNDOFF * np.abs(high)


def _constant_value(reward: float, factors: tuple[float, float], towards: float) -> float:
    """Return reward * 1/(1-discount), rounded `towards` minus or plus infinity; `factors` enclose the second."""
    if reward == 0:
        return 0.0
    stored = math.nextafter(reward, towards)
    ends = stored * factors[0], stored * factors[1]
    return math.nextafter(min(ends) if towards < 0 else max(ends), towards)


class Margins(NamedTuple):
    """How far a backup is widened below and above, and by how much of that rounding is to blame."""

    low: float
    high: float
    rounding: float


class Certifier:
    """The brackets of one MDP: what does not depend on the candidate vector is computed once."""

    def __init__(self, mdp: TabularMDP) -> None:
        """Take what brackets need of an MDP."""
        discount = mdp.discount
        u = UNIT_ROUNDOFF
        low, high = mdp.reward_range
        # 1 - discount is exact in floats from 1/2 up (Sterbenz); below, 4u covers it, and 2u the discount itself.
        at_least = 1.0 / (1.0 - discount * (1 - 2 * u)) * (1 - 4 * u)
        # The discount itself is off by u / 2 at most; close to 1, where 2u is too much, that is what counts.
        left = max(1.0 - discount * (1 + 2 * u), (1.0 - discount) - u / 2 if discount > 1 - 2.0**-40 else 0.0)
        at_most = 1.0 / left * (1 + 4 * u)
        self.discount = discount
        self.trivial = (
            _constant_value(low, (at_least, at_most), -math.inf),
            _constant_value(high, (at_least, at_most), math.inf),
        )
        self.factors = discount * at_least * (1 - 4 * u), discount * at_most * (1 + 4 * u)
        self.reward_size = max(abs(low), abs(high))
        self.terms = 2 * (mdp.branching + mdp.n_actions) + 10
        self.defect = mdp.row_defect

    def margins(self, change: Change) -> Margins | None:
        """Return what a bracket adds to the backup at its ends, or None if the sweep says nothing."""
        if not (change.largest <= HUGE and math.isfinite(change.least) and math.isfinite(change.most)):
            return None
        u = UNIT_ROUNDOFF
        magnitude = self.reward_size + self.discount * change.largest
        eta = (self.terms * u + self.defect) * magnitude * (1 + 1e-9) + self.terms * SMALLEST
        slack = eta + 2 * u * max(abs(change.least), abs(change.most))
        least, most = change.least - slack, change.most + slack
        # The sum's operands can be larger than the sum: widen by their rounding too.
        widen = 4 * u * (abs(self.factors[1] * least) + abs(self.factors[1] * most)) + 4 * SMALLEST
        low = -eta + min(self.factors[0] * least, self.factors[1] * least) - widen
        high = eta + max(self.factors[0] * most, self.factors[1] * most) + widen
        return Margins(low, high, 2 * (eta + widen + self.factors[1] * slack + 12 * u * change.largest))

    def width(self, change: Change) -> float:
        """Return about how wide the brackets are."""
        margins = self.margins(change)
        trivial = self.trivial[1] - self.trivial[0]
        width = math.inf if margins is None else margins.high - margins.low
        return width if width < trivial else trivial

    def bracket(self, backed_up: Float, change: Change) -> Pair:
        """Return the bracket of every state."""
        margins = self.margins(change)
        if margins is None:
            n_states = len(backed_up)
            return _outward(np.full(n_states, self.trivial[0]), np.full(n_states, self.trivial[1]))
        low, high = np.empty(len(backed_up)), np.empty(len(backed_up))
        for first in range(0, len(backed_up), BLOCK_ROWS):
            states = slice(first, first + BLOCK_ROWS)
            # If a sum overflows, so does its widening; where infinities meet, fmax and fmin keep the trivial end. What
            # lies beyond the floats may be anything there: the last float is the end on its near side.
            with np.errstate(over="ignore", invalid="ignore"):
                widen = 4 * UNIT_ROUNDOFF * np.abs(backed_up[states])
                lower, upper = backed_up[states] + margins.low - widen, backed_up[states] + margins.high + widen
                lower = np.minimum(np.fmax(lower, self.trivial[0]), LARGEST)
                upper = np.maximum(np.fmin(upper, self.trivial[1]), -LARGEST)
                low[states], high[states] = _outward(lower, upper)
        return low, high


def bracket(mdp: TabularMDP, values: Float, backed_up: Float) -> tuple[Float, Float]:
    """Return certified lower and upper bounds of the fixed point of T, given any v and the computed T v.

    Parameters
    ----------
    mdp : TabularMDP
    values : ndarray, shape (S,)
        Any vector v, finite or not.
    backed_up : ndarray, shape (S,)
        The computed T v: maxima of `mdp.backup(values)` over actions, or their averages under a policy.

    Returns
    -------
    lower, upper : ndarray, shape (S,)
        Never worse than reward range / (1 - discount), which is also the answer where v is not finite or above 1e300.

    Examples
    --------
    One state, reward 1, discount 1/2: the value is 2 and any v proves it.

    >>> mdp = TabularMDP([[0]], [[1.0]], 0.5)
    >>> low, high = bracket(mdp, np.array([7.0]), mdp.backup(np.array([7.0])).max(axis=1))
    >>> bool(low[0] <= 2 <= high[0]), bool(high[0] - low[0] < 1e-13)
    (True, True)
    """
    checks.kind("mdp", mdp, TabularMDP)
    # Kernels are compiled for arrays that can be written to.
    old, new = np.array(floats("values", values)), np.array(floats("backed_up", backed_up))
    for name, array in (("values", old), ("backed_up", new)):
        if array.shape != (mdp.n_states,):
            raise ValueError(f"{name} have shape {array.shape}, expected {(mdp.n_states,)}")
    result = np.empty(3)
    dp.change(old, new, 0, mdp.n_states, result)
    return Certifier(mdp).bracket(new, Change(*result.tolist()))
