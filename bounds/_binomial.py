"""Lower tails of the binomial law and their quantile in the number of trials, for numbers of any size.

Write G(z) = (1-p+pz)^n for the generating function of X ~ Bin(n, p). Then Pr(X <= j) is the coefficient
c_j of z^j in G(z)/(1-z), so with z_l = r·exp(2πi l/M), 0 < r < 1, the trapezoidal rule over M points of a
circle gives exactly

    (1/M) Σ_l G(z_l) / ((1-z_l) z_l^k) = c_k + Σ_{j>=1} c_{k+jM} r^{jM} + Σ_{1<=j<=k/M} c_{k-jM} r^{-jM}.

Chernoff bounds both errors, the first with c <= 1 beyond the mean. |G(z)/(1-z)| falls
as the angle grows from 0 to π, so the sum may stop early and the last term taken bounds the omitted ones.
Some thirty points give twenty digits whatever n is, where summing the tail itself takes about √n terms. Far out, where
the terms of the sum fall like a geometric series and the circle would need a point for every bit of 1/c_k, the sum is
taken instead.
"""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from functools import lru_cache
from statistics import NormalDist
from typing import Any, NamedTuple

import mpmath

_FIRST_BITS = 48
_MAX_BITS = 1 << 14
_FAR = 40  # Chernoff's exponent from which on the sum is taken
_MOST_TERMS = 1 << 12  # of that sum, some 5 ms; beyond, the circle is as quick however far out
_EXACT_WORK = 10**9  # bit operations allowed for settling a tie in integers, about a second


class _Tail(NamedTuple):
    value: Any  # mpf
    error: Any  # mpf: |value - Pr(X <= k)| <= error


def _tail(mp: Any, n: int, k: int, p: Fraction, bits: int) -> _Tail:
    """Return Pr(Bin(n, p) <= k) for 0 <= k < n and 0 < p < 1, with error about 2**-bits, and that error."""
    if k >= n * p:  # then the upper tail is the small one
        upper = _tail(mp, n, n - k - 1, 1 - p, bits)
        return _Tail(1 - upper.value, upper.error + mp.ldexp(1, 1 - mp.prec))
    mp.prec = 64 + 2 * n.bit_length()
    prob, rest = _mpf(mp, p), _mpf(mp, 1 - p)
    exponent = _divergence(mp, n, k, prob, rest)
    if exponent > 2 * bits:  # far out; under uneven laws most tails are
        return _Tail(mp.mpf(0), 2 * mp.exp(-exponent))
    if exponent > _FAR:
        bits = max(_FIRST_BITS, bits - int(exponent / mp.ln2))  # of the tail itself, which is at most exp(-exponent)
        gap = 1 - k * rest / ((n - k + 1) * prob)
        if bits < gap * _MOST_TERMS:
            return _far_tail(mp, n, k, p, bits, gap)
    goal = bits * mp.ln2
    level = k + mp.mpf(1) / 2  # not zero for k = 0
    spread = mp.sqrt(level * (1 - level / (n + 1)))
    # Radius e^-t: the saddle point of G(z)/z^k, then further in, where fewer points do. Any t > 0 is valid.
    saddle, further = mp.log(max(1, (n - level) * prob / (level * rest))), mp.sqrt(goal) / (2 * spread)
    t = saddle + further
    if exponent > _FAR:
        reach, points_beyond = further * spread, goal / further
    else:
        reach, points_beyond = t * spread, goal / t
    points = 2 + int(mp.ceil(max(points_beyond, spread * (reach + mp.sqrt(reach**2 + 2 * goal)))))

    # Guard bits: exponents of this size lose its bits, 1 - z those of 1/t; 64 more cover the products.
    magnitude = n * (1 - mp.log(rest + prob * mp.exp(-t))) + (k + 1) * t + 1 / t
    mp.prec = bits + 2 * int(magnitude).bit_length() + 64
    prob, rest = _mpf(mp, p), _mpf(mp, 1 - p)
    z, root = mp.mpc(mp.exp(-t)), mp.expjpi(mp.mpf(2) / points)
    turn = 2 * mp.pi * k / points
    total, used, first, last = mp.mpf(0), 0, mp.mpf(0), mp.mpf(0)
    for j in range(points // 2 + 1):
        term = mp.exp(n * mp.log(rest + prob * z) + mp.mpc(k * t, -j * turn)) / (1 - z)
        last = abs(term)
        first = first or last
        weight = 1 if j == 0 or 2 * j == points else 2  # a point and its conjugate
        total += weight * term.real
        used += weight
        if mp.ldexp(last, bits) * points < first:
            break
        z *= root
    rounding = mp.ldexp(first * used / points, -bits - 8)
    omitted = last * (points - used) / points
    aliased = _outer_alias(mp, n, k, points, t, prob, rest)
    if points <= k:
        aliased += _inner_alias(mp, n, k, points, t, prob, rest)
    return _Tail(total / points, 2 * (omitted + aliased) + rounding)


def _far_tail(mp: Any, n: int, k: int, p: Fraction, bits: int, gap: Any) -> _Tail:
    """Return Σ_{j<=k} of the terms, each at most 1-gap of the one above it, with relative error about 2**-bits."""
    mp.prec = bits + 2 * n.bit_length() + 64  # the logarithms are of the size of n ln n
    prob, rest = _mpf(mp, p), _mpf(mp, 1 - p)
    ways = mp.loggamma(n + 1) - mp.loggamma(n - k + 1) - mp.loggamma(k + 1)
    largest = mp.exp(ways + k * mp.log(prob) + (n - k) * mp.log(rest))
    mp.prec = bits + 64
    odds = rest / prob
    term = total = mp.mpf(1)
    omitted = mp.mpf(0)
    for j in range(k, 0, -1):
        term *= j * odds / (n - j + 1)
        total += term
        if mp.ldexp(term, bits) < 1:
            omitted = term / gap
            break
    return _Tail(largest * total, largest * (omitted + mp.ldexp(total, -bits)))


def _divergence(mp: Any, n: int, k: int, prob: Any, rest: Any) -> Any:
    """Return n KL(k/n || p), Chernoff's exponent: Pr(X <= k) <= exp(-it) for k <= np."""
    share = mp.mpf(k) / n
    return (n - k) * mp.log((1 - share) / rest) + (k * mp.log(share / prob) if k else 0)


def _outer_alias(mp: Any, n: int, k: int, points: int, t: Any, prob: Any, rest: Any) -> Any:
    """Bound Σ_{j>=1} c_{k+jM} e^{-jMt} by c_l <= exp(-n KL(l/n || p)) for l < np and by 1 beyond, log-concave in l."""
    level = k + points
    here = _divergence(mp, n, k, prob, rest)
    there = _divergence(mp, n, level, prob, rest) if level < n * prob else mp.mpf(0)
    ratio = mp.exp(here - there - points * t)  # from k to k+M; the next ones are no larger
    return mp.exp(-here) * ratio / (1 - ratio) if ratio < 1 else mp.inf


def _inner_alias(mp: Any, n: int, k: int, points: int, t: Any, prob: Any, rest: Any) -> Any:
    """Bound Σ_{1<=j<=k/M} c_{k-jM} e^{tjM} by c_l <= exp(-n KL(l/n || p)), log-concave in l."""
    low = k - points
    first = mp.exp(points * t - _divergence(mp, n, low, prob, rest))
    if low < points:
        return first
    ratio = mp.exp(points * (t - mp.log((n - low) * prob / (low * rest))))
    return first / (1 - ratio) if ratio < 1 else mp.inf


def _mpf(mp: Any, x: Fraction) -> Any:
    return mp.mpf(x.numerator) / x.denominator


def _exact_tail_at_most(n: int, k: int, p: Fraction, count: int, q: Fraction) -> bool | None:
    """Decide count·Pr(Bin(n, p) <= k) <= q in integers, or return None where that takes too long."""
    bits = n * p.denominator.bit_length()
    if (k + 1) * bits > _EXACT_WORK:
        return None
    hit, miss = p.numerator, p.denominator - p.numerator
    term = miss**n
    total = term
    for j in range(k):
        term = term * (n - j) * hit // ((j + 1) * miss)
        total += term
    return bool(count * total * q.denominator <= q.numerator * p.denominator**n)


def fewest_trials_of(groups: Sequence[tuple[int, Fraction]], k: int, q: Fraction) -> int:
    """Return the smallest N with Σ c·Pr(Bin(N, p) <= k) <= q over the pairs (c, p) of `groups`: see `_bracket`."""
    return _bracket(groups, k, q, None)[1]


def _bracket(groups: Sequence[tuple[int, Fraction]], k: int, q: Fraction, digits: int | None) -> tuple[int, int]:
    """Return L < N <= U for the smallest N with Σ c·Pr(Bin(N, p) <= k) <= q over the pairs (c, p) of `groups`.

    Parameters
    ----------
    groups : sequence of (int, Fraction)
        Multiplicities c >= 1 and success probabilities 0 < p <= 1.
    k : int
        Largest number of successes that counts as too few; k < 0 gives 0.
    q : Fraction
        Probability allowed, 0 < q < 1.
    digits : int or None
        U - L is at most L/10**digits, or 1; None asks for 1. At N = 10**500 that spares many digits of probability.

    Returns
    -------
    tuple of int
        Both sides of the inequality are enclosed at N and at N-1, with more digits until they separate. The
        truncation errors are proved; the rounding errors are bounded on the assumption that mpmath's elementary
        functions lose no more than the 50 or so guard bits left for them.

    Raises
    ------
    ArithmeticError
        If they do not separate within 16384 bits (an exact tie that is too large to settle in integers).
    """
    if k < 0:
        return -1, 0
    groups = [(c, p) for c, p in groups if p < 1]
    if not groups:
        return k, k + 1
    mp = mpmath.mp.clone()
    size = max(0, q.denominator.bit_length() - q.numerator.bit_length())  # bits before the first of q
    digits_of_q = _FIRST_BITS

    def excess(n: int) -> tuple[bool, Any]:
        """Return whether the sum at n exceeds q, and about log(sum / q)."""
        nonlocal digits_of_q
        while True:
            bits = size + digits_of_q
            parts = [(c, _tail(mp, n, k, p, bits)) for c, p in groups]
            mp.prec = 64 + 2 * (bits + n.bit_length())
            total, error = sum(c * x.value for c, x in parts), sum(c * x.error for c, x in parts)
            margin = total - _mpf(mp, q)
            if abs(margin) > 2 * error:
                return margin > 0, mp.log(total / _mpf(mp, q)) if total > 0 else mp.mpf(-2 * bits)
            if digits_of_q > 300 and len(groups) == 1:
                c, p = groups[0]
                at_most = _exact_tail_at_most(n, k, p, c, q)
                if at_most is not None:
                    return not at_most, mp.mpf(0)
            if digits_of_q > _MAX_BITS:
                raise ArithmeticError(f"cannot tell whether {n} trials suffice for k = {k}, q = {q}; change q a little")
            digits_of_q *= 2

    p_min = min(p for _, p in groups)
    share = q / sum(c for c, _ in groups)
    chance = float(q / sum(c for c, p in groups if p == p_min))
    mp.prec = 64 + 2 * k.bit_length() + p_min.denominator.bit_length()
    ell = -mp.log(_mpf(mp, share))
    low = k  # no fewer can do
    p_low = _mpf(mp, p_min)
    high = 1 + int(mp.ceil((k + ell + mp.sqrt(ell**2 + 2 * ell * k)) / p_low))  # by Chernoff these do
    # Start where the normal law would have it, with the slope of log Pr there; then secants inside (low, high].
    z = -NormalDist().inv_cdf(chance) if 1e-300 < chance < 1 else mp.sqrt(2 * ell)
    root = z * mp.sqrt(1 - p_low)
    n = int(((root + mp.sqrt(root**2 + 4 * k + 2)) / 2) ** 2 / p_low)
    slope = -(abs(z) + 0.8) * p_low / mp.sqrt(k + 1)
    previous: tuple[int, Any] | None = None
    rounds = 0
    width = 1 if digits is None else max(1, k // 10**digits)
    while high - low > width:
        if width > 1:  # step over the estimate by a little, so that both ends close in
            n += width // 3 if high - n > n - low else -(width // 3)
        n = min(max(n, low + 1), high - 1)
        too_few, value = excess(n)
        low, high = (n, high) if too_few else (low, n)
        if previous is not None and value != previous[1]:
            slope = (value - previous[1]) / (n - previous[0])
        previous = (n, value)
        rounds += 1
        secant = slope < 0 and rounds % 16  # now and then a bisection, so that the end is certain
        n = int(mp.ceil(n - value / slope)) if secant else (low + high) // 2
        width = 1 if digits is None else max(1, low // 10**digits)
    return low, high


@lru_cache(maxsize=4096)
def trials_bracket(k: int, p: Fraction, q: Fraction, digits: int) -> tuple[int, int]:
    """Return L < N <= U with U - L at most 1 or L/10**digits, for N = fewest_trials(k, p, q).

    Examples
    --------
    A state of 10^30 is not met in 3·10^30 uniform draws with probability e^-3 = 0.0498, and 2.9957 = ln 20:

    >>> low, high = trials_bracket(0, Fraction(1, 10**30), Fraction(1, 20), 6)
    >>> low // 10**26, (high - low) * 10**6 <= low
    (29957, True)
    """
    return _bracket([(1, p)], k, q, digits)


@lru_cache(maxsize=4096)
def fewest_trials(k: int, p: Fraction, q: Fraction) -> int:
    """Return the smallest N with Pr(Bin(N, p) <= k) <= q.

    Examples
    --------
    One success in fair tosses with probability at least 7/8 takes three of them.

    >>> fewest_trials(0, Fraction(1, 2), Fraction(1, 8))
    3
    """
    if not 0 < p <= 1:
        raise ValueError(f"the success probability p must lie in (0, 1]; got {p}")
    if not 0 < q < 1:
        raise ValueError(f"the allowed probability q must lie in (0, 1); got {q}")
    return fewest_trials_of([(1, p)], k, q)
