"""Statements on what R-max loses where the meta-state hides something (X6)."""

from __future__ import annotations

import numpy as np

import bounds.rmax
from bounds import simulation
from rfos.laboratory.verification.engine import Sides, Statement, quantile_sides
from rfos.laboratory.verification.settings import DELTA, EXACT_RATE, Setting, promised, seed_of


def _sample_turn(rng: np.random.Generator) -> Setting:
    values = {"aliasing": float(rng.choice([0.05, 0.2, 0.4])), "epsilon": float(rng.choice([0.02, 0.1]))}
    return Setting(values, seed_of(rng))


def _x6_rmax(s: Setting, mutant: bool) -> Sides:
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
    return quantile_sides(loss, (most + eps) / 2 if mutant else most, DELTA)


ALIASING = (
    Statement(
        "X6, R-max",
        "what R-max loses by aliasing",
        latex=r"V^{\mathcal A_t} \ge V^*-\varepsilon-2A_\kappa",
        assumptions=(
            "two arms that change by κ against the shaper once it has chosen, discount 0, 400 runs",
            EXACT_RATE,
        ),
        sample=_sample_turn,
        sides=_x6_rmax,
        mutant="A_κ for 2A_κ",
        extremal=(Setting({"aliasing": 0.4, "epsilon": 0.02}, 0),),
        share=0.1,
        probabilistic=True,
        detects=(1, 1.05),
    ),
)
