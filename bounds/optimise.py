"""The free weights of a bound (and the rate of X1) chosen to make it small, with a certificate."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from fractions import Fraction

from bounds.bound import Bound
from bounds.symbols import REGISTRY, Number

_GRAIN = 4096


@dataclass(frozen=True)
class Choice:
    """A choice of the free symbols, and what it is worth.

    Attributes
    ----------
    values : dict of str to Fraction
        The weights, which sum to 1 exactly, and the rate where it is free.
    log10 : float
        Of the bound there.
    equal_log10 : float
        Of the bound at equal weights; never smaller.
    """

    values: dict[str, Fraction]
    log10: float
    equal_log10: float

    @property
    def factor(self) -> float:
        """How many times smaller the bound is than at equal weights, at least 1."""
        return float(10 ** min(300.0, self.equal_log10 - self.log10))


def optimise(
    bound: Bound, *, plan: Number = Fraction(1, 100), start: Mapping[str, Number] | None = None, **values: Number
) -> Choice:
    """Choose the weights of epsilon, and `rate` where it is free, by a compass search in exact rationals.

    Any weights that sum to 1 prove the statement, so the choice needs no proof of optimality: its certificate is that
    the bound was evaluated, rigorously, at exactly these numbers, and that equal weights and `start` were among the
    candidates.

    Parameters
    ----------
    bound : Bound
        With `weights`, or with the free symbol `rate`.
    plan : number
        Share of planning, kept as it is: the bound alone would give it nothing.
    start : mapping of str to number, optional
        Weights, and the rate where it is free, from which the search begins; the choice is never worse. By default
        near the best of T1's leading order.
    **values : numbers
        The bound's other symbols.

    Returns
    -------
    Choice

    Raises
    ------
    TypeError
        If it is a family of bounds.
    ValueError
        If the bound has nothing to choose, does not apply, or a weight is among the values.

    Examples
    --------
    Without logarithms 1/(w_sim² w_esc) is smallest at 2 : 1.

    >>> from bounds.symbols import w_esc, w_sim
    >>> b = Bound(name="", label="", expression=1 / (w_sim**2 * w_esc), source="", weights=("w_sim", "w_esc"))
    >>> {name: round(float(x), 3) for name, x in optimise(b).values.items()}
    {'w_sim': 0.667, 'w_esc': 0.333}
    """
    if not isinstance(bound, Bound):
        raise TypeError(f"a {type(bound).__name__} is no Bound: give one of its members, such as family.steps")
    fixed = [w for w in bound.weights if w in values]
    if fixed:
        raise ValueError(f"{', '.join(fixed)} cannot be given: weights are chosen; give start= to begin from them")
    given = {name: REGISTRY[name].read(value) for name, value in (start or {}).items()}
    planned = {"w_plan": given.get("w_plan", Fraction(plan))} if "w_plan" in bound.weights else {}
    rest = 1 - sum(planned.values(), Fraction(0))
    free = [w for w in bound.weights if w not in planned]
    rated = "rate" in bound.symbols and "rate" not in values
    if not free and not rated:
        raise ValueError(f"{bound.name} has no weights and no rate to choose")

    bound.require(**values)

    def at(shares: tuple[Fraction, ...], rate: Fraction) -> float:
        chosen = {**planned, **dict(zip(free, shares, strict=True)), **({"rate": rate} if rated else {})}
        try:
            return bound.log10(**{**values, **chosen})
        except ValueError:
            if rated:  # the rate is too large
                return math.inf
            raise

    every = Fraction(1, len(free) + len(planned)) if free else Fraction(1)
    even = tuple(rest / len(free) for _ in free)
    rate = given.get("rate", Fraction(1, 2))
    while rated and at(even, rate) == math.inf:
        rate /= 2
    equal_point = dict.fromkeys((*planned, *free), every)
    equal = bound.log10(**{**values, **equal_point, **({"rate": rate} if rated else {})})
    scales = {
        "w_hor": Fraction(1, 10),
        "w_sim": Fraction(1),
        "w_esc": Fraction(1, 2),
    }  # near the best of T1's leading order
    whole = sum((scales.get(w, Fraction(1)) for w in free), Fraction(0))
    near = tuple(given.get(w, rest * scales.get(w, Fraction(1)) / whole) for w in free)
    best, value = near, at(near, rate)
    for shares in (even, near):
        found = _descend(at, shares, rate, rated, rest)
        if found[0] < value:
            value, best, rate = found
    if equal <= value:
        return Choice(equal_point | ({"rate": rate} if rated else {}), equal, equal)
    return Choice({**planned, **dict(zip(free, best, strict=True)), **({"rate": rate} if rated else {})}, value, equal)


def _descend(
    at: Callable[[tuple[Fraction, ...], Fraction], float],
    start: tuple[Fraction, ...],
    rate: Fraction,
    rated: bool,
    rest: Fraction,
) -> tuple[float, tuple[Fraction, ...], Fraction]:
    """Return the value, the shares and the rate at which a compass search from `start` ends."""
    best = tuple(Fraction(round(share * _GRAIN), _GRAIN) for share in start[1:])
    best = (rest - sum(best, Fraction(0)), *best) if start else ()
    value = at(best, rate)
    step = Fraction(1, 8)
    while step * _GRAIN >= 1:
        moves = []
        for i, j in itertools.permutations(range(len(best)), 2):
            moved = list(best)
            moved[i], moved[j] = moved[i] + step, moved[j] - step
            if moved[j] > 0:
                moves.append((tuple(moved), rate))
        if rated:
            moves += [(best, rate * (1 + step)), (best, rate / (1 + step))]
        found = min(((at(*move), move) for move in moves), default=(math.inf, (best, rate)))
        if found[0] < value:
            value, (best, rate) = found
        else:
            step /= 2
    return value, best, rate
