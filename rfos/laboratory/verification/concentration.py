"""Statements on the samples of one row (P1)."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import scipy.special
import scipy.stats

from bounds import concentration
from rfos._system.arrays import Float
from rfos.laboratory.verification.engine import Sides, Statement
from rfos.laboratory.verification.settings import Setting

# P1 -----------------------------------------------------------------------------------------------------------------


def _exponents(claimed: Any, exact: float) -> Sides:
    """Pr <= bound, as exponents: the bound's -ln against that of the exact probability."""
    return Sides(-math.log(float(claimed)), -math.log(exact) if exact > 0 else math.inf)


def _sample_hoeffding(rng: np.random.Generator) -> Setting:
    m = int(rng.choice([1, 10, 100, 1000]))
    eps = float(round(rng.uniform(0.5, 4) / math.sqrt(m), 4))
    return Setting({"m": m, "eps_reward": eps, "mean": float(rng.choice([0.05, 0.3, 0.5]))}, 0)


def _p1_hoeffding(s: Setting, mutant: bool) -> Sides:
    """The exact probability of m Bernoulli rewards."""
    m, eps, mean = (s.values[name] for name in ("m", "eps_reward", "mean"))
    hits = np.arange(m + 1)
    far = np.abs(hits / m - mean) > eps
    exact = float(scipy.stats.binom.pmf(hits[far], m, mean).sum())
    eps *= math.sqrt(2) if mutant else 1
    return _exponents(concentration.hoeffding().evaluate(m=m, eps_reward=eps, r_max=1), exact)


def _sample_row(rng: np.random.Generator) -> Setting:
    size = int(rng.choice([2, 2, 3, 5, 12]))
    m = int(rng.choice([1, 12, 36])) if size > 2 else int(rng.choice([1, 10, 100]))
    eps = float(round((math.sqrt(size - 1) + rng.uniform(0, 3)) / math.sqrt(m), 4))
    return Setting({"m": m, "branching": size, "eps_transition": eps}, 0)


def _distance_law(m: int, size: int) -> Float:
    """Return the exact law of size·m·‖P̂-P‖₁ = Σ|size·n_i - m| for m draws of a uniform row, by adding up cells."""
    counts = np.arange(m + 1)
    off = np.abs(size * counts - m)
    weight = np.exp(-scipy.special.gammaln(counts + 1))
    law = np.zeros((m + 1, 2 * size * m + 1))  # by draws used and by distance
    law[0, 0] = 1
    for _ in range(size):
        following = np.zeros_like(law)
        for n, away, w in zip(counts, off, weight, strict=True):
            following[n:, away:] += w * law[: m + 1 - n, : law.shape[1] - away]
        law = following
    scaled: Float = law[m] * math.exp(math.lgamma(m + 1) - m * math.log(size))
    return scaled


def _row_failure(s: Setting) -> float:
    m, size = s.values["m"], s.values["branching"]
    if size == 2:
        hits = np.arange(m + 1)
        return float(scipy.stats.binom.pmf(hits[np.abs(2 * hits / m - 1) > s.values["eps_transition"]], m, 0.5).sum())
    law = _distance_law(m, size)
    return float(law[np.arange(len(law)) / (size * m) > s.values["eps_transition"] + 1e-12].sum())


def _p1_weissman(s: Setting, mutant: bool) -> Sides:
    v = dict(s.values)
    v["eps_transition"] *= math.sqrt(2) if mutant else 1
    return _exponents(concentration.weissman().evaluate(**v), _row_failure(s))


def _p1_mcdiarmid(s: Setting, mutant: bool) -> Sides:
    """The mutant leaves half of the mean √((B-1)/m)."""
    v = dict(s.values)
    v["eps_transition"] += math.sqrt((v["branching"] - 1) / v["m"]) / 2 if mutant else 0
    return _exponents(concentration.mcdiarmid().evaluate(**v), _row_failure(s))


def _one_visit(s: Setting, mutant: bool) -> Sides:
    """Bernoulli(.9) against (.5), one visit each: the worse arm looks better in .1·.5 of the runs, for ever."""
    return Sides((1 - s.values["first"]) * s.values["second"], 0.0)


_LOGS = "both sides as -ln, so that the ratio is one of exponents"

CONCENTRATION = (
    Statement(
        "P1, rewards",
        "Hoeffding",
        latex=r"\Pr(|\hat R-R|>\varepsilon_R) \le 2e^{-2m\varepsilon_R^2/R_{\max}^2}",
        assumptions=("Bernoulli rewards, exact probabilities", _LOGS),
        sample=_sample_hoeffding,
        sides=_p1_hoeffding,
        mutant="a constant doubled: 4 for 2 in the exponent",
        extremal=tuple(Setting({"m": 400, "eps_reward": eps, "mean": 0.5}, 0) for eps in (0.1249, 0.2499)),
        share=0.25,
        detects=(1, 1.15),
        source="P1; Hoeffding 1963, Theorem 2",
    ),
    Statement(
        "P1, rows",
        "Weissman et al.",
        latex=r"\Pr(\|\hat P-P\|_1>\varepsilon_P) \le (2^B-2)e^{-m\varepsilon_P^2/2}",
        assumptions=("uniform rows, exact probabilities", _LOGS),
        sample=_sample_row,
        sides=_p1_weissman,
        mutant="a constant doubled: 1 for ½ in the exponent",
        extremal=tuple(Setting({"m": 400, "branching": 2, "eps_transition": eps}, 0) for eps in (0.2499, 0.4999)),
        share=0.1,
        detects=(1, 1.15),
        source="P1; Weissman, Ordentlich, Seroussi, Verdú and Weinberger 2003, Theorem 2.1",
    ),
    Statement(
        "P1, rows, McDiarmid",
        "McDiarmid",
        latex=r"\Pr(\|\hat P-P\|_1>\varepsilon_P) \le e^{-m(\varepsilon_P-\sqrt{(B-1)/m})^2/2}",
        assumptions=("uniform rows, exact probabilities", _LOGS),
        sample=_sample_row,
        sides=_p1_mcdiarmid,
        mutant="the mean √((B-1)/m) halved",
        extremal=(
            Setting({"m": 40, "branching": 40, "eps_transition": 0.72}, 0),
            Setting({"m": 400, "branching": 2, "eps_transition": 0.7499}, 0),
        ),
        share=0.1,
        detects=(1, 1.35),
        source="P1; McDiarmid 1989",
    ),
)

FALSE_CONCENTRATION = (
    Statement(
        "false: T1' with random rewards",
        "one successor is enough for m = 1",
        latex=r"\Pr(\text{the worse arm is kept}) = 0",
        assumptions=("Bernoulli(.9) against (.5); the probability is .1·.5",),
        sample=_sample_hoeffding,
        sides=_one_visit,
        extremal=(Setting({"first": 0.9, "second": 0.5}, 0),),
        holds=False,
    ),
)
