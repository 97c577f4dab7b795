"""Statements on numbers of tries and explorations (P5, X1, X3)."""

from __future__ import annotations

import math

import numpy as np

import bounds.rmax
from bounds import exploration
from rfos.laboratory.verification.engine import Sides, quantile_sides
from rfos.laboratory.verification.settings import TRIALS, Setting, seed_of

# P5, X1, X3 ---------------------------------------------------------------------------------------------------------


def _sample_blocks(rng: np.random.Generator) -> Setting:
    values = {"explorations": int(rng.integers(1, 200)), "escape": float(rng.choice([0.01, 0.1, 0.5, 0.9]))}
    return Setting({**values, "delta": float(rng.choice([0.02, 0.2, 0.8]))}, seed_of(rng))


def _p5(s: Setting, planted: bool) -> Sides:
    """Blocks that explore with probability p exactly, until nothing is left to explore."""
    v = s.values
    blocks = v["explorations"] + s.rng.negative_binomial(v["explorations"], v["escape"], TRIALS)
    most = int(bounds.rmax.p5().evaluate(**v))
    return quantile_sides(blocks, most / (2 if planted else 1), v["delta"] / 2)


def _p5_closed(s: Setting, planted: bool) -> Sides:
    binomial, closed = (int(bounds.rmax.p5(form).evaluate(**s.values)) for form in ("binomial", "closed"))
    return Sides(binomial, closed / (2 if planted else 1))


def _p5_classical(s: Setting, planted: bool) -> Sides:
    closed, classical = (int(bounds.rmax.p5(form).evaluate(**s.values)) for form in ("closed", "classical"))
    return Sides(closed, classical / (2 if planted else 1))


def _sample_count(rng: np.random.Generator) -> Setting:
    values = {"explorations": int(rng.integers(1, 300)), "discount": float(rng.choice([0.3, 0.5, 0.9, 0.99]))}
    values |= {"delta": float(rng.choice([0.02, 0.2, 0.8])), "q": float(rng.choice([0.002, 0.1, 0.7]))}
    return Setting(values, seed_of(rng))


def _x1(s: Setting, planted: bool) -> Sides:
    """A wait with chance q of an exploration in each step: e = γq/(1-γ+γq) while waiting, 1 when exploring."""
    v = s.values
    k0, g, q = v["explorations"], v["discount"], v["q"]
    waits = s.rng.negative_binomial(k0, q, TRIALS)
    total = k0 + waits * (g * q / (1 - g + g * q))
    most = float(exploration.x1().evaluate(explorations=k0, discount=g, delta=v["delta"]))
    return quantile_sides(total, most / (2 if planted else 1), v["delta"] / 2)


def _x1_mean(s: Setting, planted: bool) -> Sides:
    """The mean of the same process, exactly: k0 (1 + γ/(1-γ+γq))."""
    v = s.values
    k0, g, q = v["explorations"], v["discount"], v["q"]
    most = float(exploration.x1_mean().evaluate(explorations=k0, discount=g))
    return Sides(k0 * (1 + g / (1 - g + g * q)), most * (1 - g) if planted else most)


def _sample_slow(rng: np.random.Generator) -> Setting:
    values = {"far_states": int(rng.integers(2, 12)), "n_actions": int(rng.integers(2, 5))}
    g, v = float(rng.choice([0.9, 0.95, 0.99])), float(rng.choice([0.1, 0.5, 1.0]))
    q = 2 * v * (1 - g) / (g * (1 / (1 - g) - v))
    m = int(rng.choice([100, 400, 2000]) / q) + 1
    return Setting({**values, "m": m, "discount": g, "safe_value": v}, seed_of(rng))


def slow_tries(
    rng: np.random.Generator,
    *,
    far_states: int,
    n_actions: int,
    m: int,
    q: float,
    critical: float | None = None,
    observed: bool = False,
) -> int:
    """Return how often R-max tries in X3's family, drawn from its exact law; each try is a bad step.

    A try reaches one of the far states with probability q, uniformly; q_c is `critical`, by default q/2. Once it is
    known, after m tries, its estimates are frozen, and R-max tries on while the estimated chance of an unfinished far
    state exceeds q_c; with `observed` the true chance. A far state is finished after n_actions * m visits.
    """
    critical = q / 2 if critical is None else critical
    first = rng.multinomial(m, [*([q / far_states] * far_states), 1 - q])[:far_states]
    missing = n_actions * m - first
    # With tries at the points of a Poisson process of rate 1, visits to each far state are independent of the others.
    rate = q / far_states
    ends = np.where(missing > 0, rng.gamma(np.maximum(missing, 1), 1 / rate), 0.0)
    share = np.full(far_states, q / far_states) if observed else first / m
    hope = float(share.sum())
    stop = 0.0
    last = -1
    for i in np.argsort(ends):
        if hope <= critical:
            break
        hope -= float(share[i])
        stop, last = float(ends[i]), int(i)
    if stop <= 0:
        return m
    tries = m + int(rng.poisson((1 - q) * stop))
    for i in range(far_states):
        if i == last:
            tries += int(missing[i])
        elif ends[i] < stop:
            tries += max(0, int(missing[i])) + int(rng.poisson(rate * (stop - ends[i])))
        else:
            tries += int(rng.binomial(missing[i] - 1, stop / ends[i]))
    return tries


def _x3(s: Setting, planted: bool) -> Sides:
    """The bound against the number that 400 runs certainly fall short of no oftener than it allows."""
    v = s.values
    g, value = v["discount"], v["safe_value"]
    q = 2 * value * (1 - g) / (g * (1 / (1 - g) - value))
    sizes = {name: v[name] for name in ("far_states", "n_actions", "m")}
    rng = s.rng
    least = float(exploration.x3().evaluate(**v, r_max=1)) * (5 if planted else 1)
    tries = np.array([slow_tries(rng, **sizes, q=q) for _ in range(400)])
    allowed = min(1.0, float(exploration.x3_failure().evaluate(**v, r_max=1)))
    # As upper bounds of 1/tries.
    found = quantile_sides(1 / tries, 1 / least, allowed)
    return found._replace(left=least, right=1 / found.left if found.left else math.inf)
