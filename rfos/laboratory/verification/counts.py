"""Statements on numbers of tries and explorations (P5, X1, X3)."""

from __future__ import annotations

import math

import numpy as np

import bounds.rmax
from bounds import exploration
from rfos.laboratory.verification.engine import Sides, Statement, quantile_sides
from rfos.laboratory.verification.settings import EXACT_RATE, TRIALS, Setting, seed_of

# P5, X1, X3 ---------------------------------------------------------------------------------------------------------


def _sample_blocks(rng: np.random.Generator) -> Setting:
    values = {"explorations": int(rng.integers(1, 200)), "escape": float(rng.choice([0.01, 0.1, 0.5, 0.9]))}
    return Setting({**values, "delta": float(rng.choice([0.02, 0.2, 0.8]))}, seed_of(rng))


def _p5(s: Setting, mutant: bool) -> Sides:
    """Blocks that explore with probability p exactly, until nothing is left to explore."""
    v = s.values
    blocks = v["explorations"] + s.rng.negative_binomial(v["explorations"], v["escape"], TRIALS)
    most = int(bounds.rmax.p5().evaluate(**v))
    return quantile_sides(blocks, most / (2 if mutant else 1), v["delta"] / 2)


def _p5_closed(s: Setting, mutant: bool) -> Sides:
    binomial, closed = (int(bounds.rmax.p5(form).evaluate(**s.values)) for form in ("binomial", "closed"))
    return Sides(binomial, closed / (2 if mutant else 1))


def _p5_classical(s: Setting, mutant: bool) -> Sides:
    closed, classical = (int(bounds.rmax.p5(form).evaluate(**s.values)) for form in ("closed", "classical"))
    return Sides(closed, classical / (2 if mutant else 1))


def _sample_count(rng: np.random.Generator) -> Setting:
    values = {"explorations": int(rng.integers(1, 300)), "discount": float(rng.choice([0.3, 0.5, 0.9, 0.99]))}
    values |= {"delta": float(rng.choice([0.02, 0.2, 0.8])), "q": float(rng.choice([0.002, 0.1, 0.7]))}
    return Setting(values, seed_of(rng))


def _x1(s: Setting, mutant: bool) -> Sides:
    """A wait with chance q of an exploration in each step: e = γq/(1-γ+γq) while waiting, 1 when exploring."""
    v = s.values
    k0, g, q = v["explorations"], v["discount"], v["q"]
    waits = s.rng.negative_binomial(k0, q, TRIALS)
    total = k0 + waits * (g * q / (1 - g + g * q))
    most = float(exploration.x1().evaluate(explorations=k0, discount=g, delta=v["delta"]))
    return quantile_sides(total, most / (2 if mutant else 1), v["delta"] / 2)


def _x1_mean(s: Setting, mutant: bool) -> Sides:
    """The mean of the same process, exactly: k0 (1 + γ/(1-γ+γq))."""
    v = s.values
    k0, g, q = v["explorations"], v["discount"], v["q"]
    most = float(exploration.x1_mean().evaluate(explorations=k0, discount=g))
    return Sides(k0 * (1 + g / (1 - g + g * q)), most * (1 - g) if mutant else most)


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


def _x3(s: Setting, mutant: bool) -> Sides:
    """The bound against the number that 400 runs certainly fall short of no oftener than it allows."""
    v = s.values
    g, value = v["discount"], v["safe_value"]
    q = 2 * value * (1 - g) / (g * (1 / (1 - g) - value))
    sizes = {name: v[name] for name in ("far_states", "n_actions", "m")}
    rng = s.rng
    least = float(exploration.x3().evaluate(**v, r_max=1)) * (5 if mutant else 1)
    tries = np.array([slow_tries(rng, **sizes, q=q) for _ in range(400)])
    allowed = min(1.0, float(exploration.x3_failure().evaluate(**v, r_max=1)))
    # As upper bounds of 1/tries.
    found = quantile_sides(1 / tries, 1 / least, allowed)
    return found._replace(left=least, right=1 / found.left if found.left else math.inf)


COUNTS = (
    Statement(
        "P5",
        "few explorations",
        latex=r"\Pr(\#\{\text{blocks with }p_t>p\}>N) \le \delta/2",
        assumptions=("blocks that explore with probability p exactly, 20,000 runs", EXACT_RATE),
        sample=_sample_blocks,
        sides=_p5,
        mutant="a constant halved",
        extremal=(Setting({"explorations": 100, "escape": 0.1, "delta": 0.2}, 0),),
        share=0.1,
        probabilistic=True,
        detects=(1, 1.05),
    ),
    Statement(
        "P5, closed",
        "few explorations, in closed form",
        latex=r"\min\{N:\Pr(\mathrm{Bin}(N,p)\le k_0-1)\le\delta/2\} \le "
        r"\lceil[k_0-1+\ell+\sqrt{\ell^2+2\ell(k_0-1)}]/p\rceil",
        assumptions=("exact quantiles",),
        sample=_sample_blocks,
        sides=_p5_closed,
        mutant="a constant halved",
        extremal=(Setting({"explorations": 100_000, "escape": 0.01, "delta": 0.2}, 0),),
        share=0.1,
        detects=(1, 1.05),
    ),
    Statement(
        "P5, classical",
        "few explorations, the classical form",
        latex=r"\lceil[k_0-1+\ell+\sqrt{\ell^2+2\ell(k_0-1)}]/p\rceil \le \lceil\max(2k_0,8\ell)/p\rceil",
        assumptions=("equality near k_0 = 4 ln(2/δ)",),
        sample=_sample_blocks,
        sides=_p5_classical,
        mutant="a constant halved",
        extremal=(Setting({"explorations": 18, "escape": 0.001, "delta": 0.022}, 0),),
        share=0.1,
        detects=(1, 1.05),
    ),
    Statement(
        "X1",
        "horizon-free count",
        latex=r"\Pr\Big(\sum_t e_t > C\Big) \le \delta/2",
        assumptions=("a wait with chance q of exploring in each step, 20,000 runs", EXACT_RATE),
        sample=_sample_count,
        sides=_x1,
        mutant="a constant halved",
        extremal=(Setting({"explorations": 100_000, "discount": 0.9, "delta": 0.2, "q": 1e-4}, 0),),
        share=0.1,
        probabilistic=True,
        detects=(1, 1.05),
    ),
    Statement(
        "X1, mean",
        "horizon-free count, in expectation",
        latex=r"\mathbb E\sum_t e_t \le \frac{k_0}{1-\hat\gamma}",
        assumptions=("the same process, its mean computed",),
        sample=_sample_count,
        sides=_x1_mean,
        mutant="the factor 1/(1-γ) dropped",
        extremal=tuple(
            Setting({"explorations": 50, "discount": g, "delta": 0.2, "q": 1e-9}, 0) for g in (0.5, 0.9, 0.99)
        ),
        attained=True,
    ),
    Statement(
        "X3",
        "a family in which R-max is slow",
        latex=r"\Pr\Big(\#\mathrm{bad} < \frac{\hat\gamma nAm(V_{\max}-v)}{8v(1-\hat\gamma)}\Big)"
        r" \le e^{-mq/32}+ne^{-Am/6}+e^{-nAm/12}",
        assumptions=("400 runs from their exact law", EXACT_RATE),
        sample=_sample_slow,
        sides=_x3,
        mutant="5 times as many steps claimed (R-max takes 4 times as many, so that no smaller fault can be seen)",
        extremal=(Setting({"far_states": 40, "n_actions": 2, "m": 100_000, "discount": 0.9, "safe_value": 1.0}, 0),),
        share=0.02,
        probabilistic=True,
        detects=(3.9, 4.1),  # its proof gives up a factor 4
    ),
)
