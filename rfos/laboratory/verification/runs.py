"""Statements on samples and runs: concentration, counts of explorations, R-max itself (P1, P5, X1, X3, X4, T1, X6)."""

from __future__ import annotations

import numpy as np

import bounds.rmax
from bounds import sharp, simulation
from rfos.laboratory.verification.concentration import (
    _p1_hoeffding,
    _p1_mcdiarmid,
    _p1_weissman,
    _sample_hoeffding,
    _sample_row,
)
from rfos.laboratory.verification.counts import (
    _p5,
    _p5_classical,
    _p5_closed,
    _sample_blocks,
    _sample_count,
    _sample_slow,
    _x1,
    _x1_mean,
    _x3,
)
from rfos.laboratory.verification.engine import Sides, Statement, quantile_sides
from rfos.laboratory.verification.restarts import (
    _bandit,
    _sample_restarted_worlds,
    _sample_restarts,
    _x4,
    _x4_least,
    _x4_steps,
)
from rfos.laboratory.verification.settings import DELTA, RUNS, Setting, World, promised, seed_of
from rfos.laboratory.verification.theorems import (
    _MANY_ARMS,
    Slow,
    _corridor,
    _sample_arms,
    _sample_certain,
    _sample_t1,
    _sample_t1_episodic,
    _sample_t1_observed,
    _sample_t1_plus,
    _t1,
    _t1_deterministic,
    _t1_episodic,
    _t1_episodic_visits,
    _t1_observed,
    _t1_plus,
    _t1_plus_visits,
    _t1_visits,
    _tree,
)
from rfos.learning.agents import Rmax
from rfos.learning.ledger import ledger

# Aliasing -----------------------------------------------------------------------------------------------------------


def _sample_turn(rng: np.random.Generator) -> Setting:
    values = {"aliasing": float(rng.choice([0.05, 0.2, 0.4])), "epsilon": float(rng.choice([0.02, 0.1]))}
    return Setting(values, seed_of(rng))


def _x6_rmax(s: Setting, planted: bool) -> Sides:
    """Two equal arms of one meta-state, discount 0; hidden from the shaper, after their m visits the one that it came
    to prefer becomes worse by κ and the other better by κ: the loss from then on, in 400 runs.
    """
    kappa, eps = s.values["aliasing"], s.values["epsilon"]
    at = {"n_states": 1, "n_actions": 2, "branching": 2, "epsilon": eps, "delta": DELTA, "discount": 0, "r_max": 1}
    m, _ = promised("T1+", {**at, **bounds.rmax.default_weights("episodic")})
    # The laws that are met in the two arms' m visits differ by chance alone; the one that looks worse may be better.
    rng = s.rng
    true = np.array([0.5, 0.5 + eps / 2])
    seen = rng.binomial(m, true, (400, 2))
    kept = seen.argmax(axis=1)
    loss = (true[1 - kept] + kappa) - (true[kept] - kappa)
    most = float(simulation.x6_accuracy().evaluate(epsilon=eps, aliasing=kappa, discount=0, r_max=1))
    return quantile_sides(loss, (most + eps) / 2 if planted else most, DELTA)


# What does not hold -------------------------------------------------------------------------------------------------


def _resets(world: World, planted: bool) -> Sides:
    """Bad steps of 2,000 episodes of 3 steps against T1''s count for one trajectory."""
    n, n_actions = world.R.shape
    at = {"n_states": n, "n_actions": n_actions, "epsilon": world.epsilon, "discount": world.discount, "r_max": 1}
    most = int(sharp.t1_deterministic().steps.evaluate(**at, w_plan="1/100"))
    found = ledger(world.mdp(), Rmax(m=1, epsilon=1.0), steps=6000, starts=[0], horizon=3)
    assert found.count is not None
    return Sides(found.count, most)


def _one_visit(s: Setting, planted: bool) -> Sides:
    """Bernoulli(.9) against (.5), one visit each: the worse arm looks better in .1·.5 of the runs, for ever."""
    return Sides((1 - s.values["first"]) * s.values["second"], 0.0)


_EXACT_RATE = "exact binomial limits, false alarms 1e-9 an instance and 1e-9 of all together"

_LEDGER = "R-max itself in small MDPs, counted exactly by the ledger"

_LOGS = "both sides as -ln, so that the ratio is one of exponents"

_SLOW = "X3's family at the theorem's m, 400 runs from their exact law"

_RING = "many states with two arms of ½ ± ε/2, discount 0; exact probabilities"

_TWO_AND_A_HALF = "m over 2.5 (half of m is enough, as two estimates must err at once: no smaller fault can be seen)"

RUNNING = (
    Statement(
        "P1, rewards",
        "Hoeffding",
        r"\Pr(|\hat R-R|>\varepsilon_R) \le 2e^{-2m\varepsilon_R^2/R_{\max}^2}",
        ("Bernoulli rewards, exact probabilities", _LOGS),
        _sample_hoeffding,
        _p1_hoeffding,
        "a constant doubled: 4 for 2 in the exponent",
        tuple(Setting({"m": 400, "eps_reward": eps, "mean": 0.5}, 0) for eps in (0.1249, 0.2499)),
        share=0.25,
    ),
    Statement(
        "P1, rows",
        "Weissman et al.",
        r"\Pr(\|\hat P-P\|_1>\varepsilon_P) \le (2^B-2)e^{-m\varepsilon_P^2/2}",
        ("uniform rows, exact probabilities", _LOGS),
        _sample_row,
        _p1_weissman,
        "a constant doubled: 1 for ½ in the exponent",
        tuple(Setting({"m": 400, "branching": 2, "eps_transition": eps}, 0) for eps in (0.2499, 0.4999)),
        share=0.1,
    ),
    Statement(
        "P1, rows, McDiarmid",
        "McDiarmid",
        r"\Pr(\|\hat P-P\|_1>\varepsilon_P) \le e^{-m(\varepsilon_P-\sqrt{(B-1)/m})^2/2}",
        ("uniform rows, exact probabilities", _LOGS),
        _sample_row,
        _p1_mcdiarmid,
        "the mean √((B-1)/m) halved",
        (
            Setting({"m": 40, "branching": 40, "eps_transition": 0.72}, 0),
            Setting({"m": 400, "branching": 2, "eps_transition": 0.7499}, 0),
        ),
        share=0.1,
    ),
    Statement(
        "P5",
        "few explorations",
        r"\Pr(\#\{\text{blocks with }p_t>p\}>N) \le \delta/2",
        ("blocks that explore with probability p exactly, 20,000 runs", _EXACT_RATE),
        _sample_blocks,
        _p5,
        "a constant halved",
        (Setting({"explorations": 100, "escape": 0.1, "delta": 0.2}, 0),),
        share=0.1,
        probabilistic=True,
    ),
    Statement(
        "P5, closed",
        "few explorations, in closed form",
        r"\min\{N:\Pr(\mathrm{Bin}(N,p)\le k_0-1)\le\delta/2\} \le "
        r"\lceil[k_0-1+\ell+\sqrt{\ell^2+2\ell(k_0-1)}]/p\rceil",
        ("exact quantiles",),
        _sample_blocks,
        _p5_closed,
        "a constant halved",
        (Setting({"explorations": 100_000, "escape": 0.01, "delta": 0.2}, 0),),
        share=0.1,
    ),
    Statement(
        "P5, classical",
        "few explorations, the classical form",
        r"\lceil[k_0-1+\ell+\sqrt{\ell^2+2\ell(k_0-1)}]/p\rceil \le \lceil\max(2k_0,8\ell)/p\rceil",
        ("equality near k_0 = 4 ln(2/δ)",),
        _sample_blocks,
        _p5_classical,
        "a constant halved",
        (Setting({"explorations": 18, "escape": 0.001, "delta": 0.022}, 0),),
        share=0.1,
    ),
    Statement(
        "X1",
        "horizon-free count",
        r"\Pr\Big(\sum_t e_t > C\Big) \le \delta/2",
        ("a wait with chance q of exploring in each step, 20,000 runs", _EXACT_RATE),
        _sample_count,
        _x1,
        "a constant halved",
        (Setting({"explorations": 100_000, "discount": 0.9, "delta": 0.2, "q": 1e-4}, 0),),
        share=0.1,
        probabilistic=True,
    ),
    Statement(
        "X1, mean",
        "horizon-free count, in expectation",
        r"\mathbb E\sum_t e_t \le \frac{k_0}{1-\hat\gamma}",
        ("the same process, its mean computed",),
        _sample_count,
        _x1_mean,
        "the factor 1/(1-γ) dropped",
        tuple(Setting({"explorations": 50, "discount": g, "delta": 0.2, "q": 1e-9}, 0) for g in (0.5, 0.9, 0.99)),
    ),
    Statement(
        "X3",
        "a family in which R-max is slow",
        r"\Pr\Big(\#\mathrm{bad} < \frac{\hat\gamma nAm(V_{\max}-v)}{8v(1-\hat\gamma)}\Big)"
        r" \le e^{-mq/32}+ne^{-Am/6}+e^{-nAm/12}",
        ("400 runs from their exact law", _EXACT_RATE),
        _sample_slow,
        _x3,
        "5 times as many steps claimed (R-max takes 4 times as many, so that no smaller fault can be seen)",
        (Setting({"far_states": 40, "n_actions": 2, "m": 100_000, "discount": 0.9, "safe_value": 1.0}, 0),),
        share=0.02,
        probabilistic=True,
    ),
    Statement(
        "T1'",
        "R-max, deterministic",
        r"\#\mathrm{bad} \le \min(H,|\hat S|)\,|\hat S||\hat A|",
        ("one successor, deterministic rewards, m = 1", "exact counts by the ledger"),
        _sample_certain,
        _t1_deterministic,
        "a constant halved",
        (_tree(17, 3, 4), *(_corridor(length, a) for length, a in ((2, 2), (4, 3)))),
        share=0.1,
    ),
    Statement(
        "T1', observed",
        "R-max where a visit reveals the row",
        r"\Pr(\#\mathrm{bad} > CV_{\max}/((1-w_{\mathrm{plan}})\varepsilon)) \le \delta/2,\ k_0=|\hat S||\hat A|",
        ("m = 1", "X3's family, 400 runs from their exact law", _EXACT_RATE),
        _sample_t1_observed,
        _t1_observed,
        "a constant halved",
        (Slow(60, 0.95, 0.02, 1.02, (0.01,), 0, n_actions=2000),),
        share=0.01,
        probabilistic=True,
    ),
    Statement(
        "T1",
        "R-max",
        r"\Pr(\#\mathrm{bad} > HN) \le \delta",
        (_LEDGER, _SLOW, _EXACT_RATE),
        _sample_t1,
        _t1,
        "a sixth of HN (whole blocks of H steps are counted where one step is bad: no smaller fault can be seen)",
        (Slow(60, 0.98, 0.3, 1.02, (0.005, 0.02, 0.26, 0.715), 0),),
        share=0.015,
        probabilistic=True,
    ),
    Statement(
        "T1, visits",
        "the m of R-max",
        r"\Pr(\#\mathrm{bad} = \infty) > \delta \text{ at } m' \Rightarrow m' < m",
        (_RING,),
        _sample_arms,
        _t1_visits,
        _TWO_AND_A_HALF,
        _MANY_ARMS,
        share=0.03,
    ),
    Statement(
        "T1+",
        "R-max, sharp",
        r"\Pr(\#\mathrm{bad} > CV_{\max}/(w_{\mathrm{esc}}\varepsilon)) \le \delta",
        (_LEDGER, _SLOW, _EXACT_RATE),
        _sample_t1_plus,
        _t1_plus,
        "a constant halved",
        (Slow(60, 0.95, 0.02, 1.02, (0.01, 0.04, 0.95), 0),),
        share=0.015,
        probabilistic=True,
    ),
    Statement(
        "T1+, visits",
        "the m of R-max, sharp",
        r"\Pr(\#\mathrm{bad} = \infty) > \delta \text{ at } m' \Rightarrow m' < m",
        (_RING,),
        _sample_arms,
        _t1_plus_visits,
        _TWO_AND_A_HALF,
        _MANY_ARMS,
        share=0.03,
    ),
    Statement(
        "T1-ep",
        "R-max in episodes",
        r"\Pr(\#\mathrm{bad\ episodes} > N) \le \delta",
        ("planned for episodes", _LEDGER, _SLOW, _EXACT_RATE),
        _sample_t1_episodic,
        _t1_episodic,
        "a constant halved",
        (Slow(60, 0.99, 0.05, 1.02, (0.01, 0.04, 0.95), 0, 10),),
        share=0.015,
        probabilistic=True,
    ),
    Statement(
        "T1-ep, visits",
        "the m of R-max in episodes",
        r"\Pr(\#\mathrm{bad\ episodes} = \infty) > \delta \text{ at } m' \Rightarrow m' < m",
        (_RING, "episodes of one step"),
        _sample_arms,
        _t1_episodic_visits,
        _TWO_AND_A_HALF,
        _MANY_ARMS,
        share=0.03,
    ),
    Statement(
        "X4",
        "random restarts",
        r"\Pr(\text{episodes until all is known} > N_{\mathrm{ep}}) \le \delta/2",
        ("uniform starts, 200 runs", _EXACT_RATE),
        _sample_restarts,
        _x4,
        "a constant halved",
        (_sample_restarts(np.random.default_rng(0), 1),),
        share=0.01,
        probabilistic=True,
    ),
    Statement(
        "X4, lower end",
        "random restarts, fewest episodes",
        r"\lceil k_0/T\rceil \le \text{episodes until all is known}",
        ("uniform starts", "the fewest episodes of all runs"),
        _sample_restarts,
        _x4_least,
        "twice as many episodes",
        (_bandit(2, 0.8, 0.5, 4, 5),),
        share=0.01,
    ),
    Statement(
        "X4, steps",
        "R-max under random restarts",
        r"\Pr(\#\mathrm{bad} > T N_{\mathrm{ep}}) \le \delta",
        ("the m of T1 for restarts", "uniform starts; exact counts by the ledger", _EXACT_RATE),
        _sample_restarted_worlds,
        _x4_steps,
        "a constant halved",
        (_bandit(10, 0.2, 0.8, RUNS, 1),),
        share=0.005,
        probabilistic=True,
    ),
    Statement(
        "X6, R-max",
        "what R-max loses by aliasing",
        r"V^{\mathcal A_t} \ge V^*-\varepsilon-2A_\kappa",
        ("two arms that change by κ against the shaper once it has chosen, discount 0, 400 runs", _EXACT_RATE),
        _sample_turn,
        _x6_rmax,
        "A_κ for 2A_κ",
        (Setting({"aliasing": 0.4, "epsilon": 0.02}, 0),),
        share=0.1,
        probabilistic=True,
    ),
)

FALSE_RUNNING = (
    Statement(
        "false: T1 under resets",
        "R-max restarted every T < H steps has few bad steps",
        r"\#\mathrm{bad} \le \min(H,|\hat S|)\,|\hat S||\hat A|",
        ("a corridor of 5 steps to an unknown pair, restarts every 3 steps: it is walked for ever",),
        _sample_certain,
        _resets,
        "",
        (_corridor(5, 2),),
        holds=False,
    ),
    Statement(
        "false: T1' with random rewards",
        "one successor is enough for m = 1",
        r"\Pr(\text{the worse arm is kept}) = 0",
        ("Bernoulli(.9) against (.5); the probability is .1·.5",),
        _sample_hoeffding,
        _one_visit,
        "",
        (Setting({"first": 0.9, "second": 0.5}, 0),),
        holds=False,
    ),
)
