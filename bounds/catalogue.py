"""Every statement of the theory with the functions that return its bounds."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import fields
from functools import partial
from types import MappingProxyType
from typing import TypeAlias

from bounds import (
    concentration,
    discretisation,
    exploration,
    grids,
    rivals,
    rmax,
    shaping,
    sharp,
    simulation,
    team_rungs,
    teams,
)
from bounds.bound import Bound, Family

Maker: TypeAlias = Callable[[], Bound | Family | Mapping[str, Bound]]

_TWO_OPPONENTS = ((2, 1), (3, 2))
_PLAIN = (discretisation.projected_gradient(), discretisation.reward_lipschitz())

STATEMENTS: Mapping[str, Mapping[str, Maker]] = MappingProxyType(
    {
        "G1": {"g1": discretisation.g1, "reward_lipschitz": discretisation.reward_lipschitz}
        | {"reward_lipschitz, held": partial(discretisation.reward_lipschitz, held=True)},
        "G1+": {"g1_plus": discretisation.g1_plus},
        "G2": {"g2": discretisation.g2},
        "G3": {"g3": discretisation.g3},
        "N1": {"n1": grids.n1},
        "N2": {"n2": grids.n2, "n2, l2": partial(grids.n2, "l2")},
        "N3": {"n3": grids.n3},
        "N4": {"n4": grids.n4},
        "D1": {
            "d1": discretisation.d1,
            "d1, gradient": partial(discretisation.d1, *_PLAIN),
            "projected_gradient": discretisation.projected_gradient,
            "projected_gradient, stochastic": partial(discretisation.projected_gradient, stochastic=True),
            "projected_gradient_many": partial(discretisation.projected_gradient_many, _TWO_OPPONENTS),
            "logit_gradient": discretisation.logit_gradient,
            "logit_gradient, stochastic": partial(discretisation.logit_gradient, stochastic=True),
            "smoothed_best_response": discretisation.smoothed_best_response,
        },
        "D2": {"d2": discretisation.d2, "d2_window": discretisation.d2_window},
        "D3": {"d1": discretisation.d1, "d2": discretisation.d2, "x5": discretisation.x5},
        "X5": {
            "x5": discretisation.x5,
            "x5_lookahead": discretisation.x5_lookahead,
            "x5_exponent": discretisation.x5_exponent,
        },
        "P1": {
            "hoeffding": concentration.hoeffding,
            "weissman": concentration.weissman,
            "mcdiarmid": concentration.mcdiarmid,
            "mcdiarmid_radius": concentration.mcdiarmid_radius,
            "reward_m": concentration.reward_m,
            "transition_m": concentration.transition_m,
        },
        "P2": {"p2": simulation.p2, "p2, known": partial(simulation.p2, "known")},
        "P2+": {"p2_plus": simulation.p2_plus, "p2_plus, known": partial(simulation.p2_plus, "known")},
        "P3": {"p3": simulation.p3, "planning_loss": simulation.planning_loss},
        "P3+": {"p3_plus": simulation.p3_plus, "optimism_error": simulation.optimism_error},
        "P4": {"p4": simulation.p4, "p4, horizon": partial(simulation.p4, "horizon")},
        "P5": {
            "p5": rmax.p5,
            "p5, closed": partial(rmax.p5, "closed"),
            "p5, classical": partial(rmax.p5, "classical"),
        },
        "X1": {
            "x1": exploration.x1,
            "x1, free": partial(exploration.x1, "free"),
            "x1_rate": exploration.x1_rate,
            "x1_mean": exploration.x1_mean,
        },
        "T1": {
            "t1": rmax.t1,
            "t1, sampled": partial(rmax.t1, "sampled"),
            "t1, closed": partial(rmax.t1, "known", False, "closed"),
            "t1, classical": partial(rmax.t1, "known", False, "classical"),
        },
        "T1+": {
            "t1_plus": sharp.t1_plus,
            "t1_plus, sampled": partial(sharp.t1_plus, "sampled"),
            "t1_plus, free": partial(sharp.t1_plus, rate_is="free"),
        },
        "T1-ep": {"t1_episodic": rmax.t1_episodic, "t1_episodic, sampled": partial(rmax.t1_episodic, "sampled")},
        "X4": {
            "x4": rmax.x4,
            "x4, softmax": partial(rmax.x4, softmax=True),
            "t1_restarts": rmax.t1_restarts,
            "t1_restarts, sampled": partial(rmax.t1_restarts, "sampled"),
        },
        "X2": {
            "t1, pooled": partial(rmax.t1, pooled=True),
            "t1_plus, pooled": partial(sharp.t1_plus, pooled=True),
            "t1_plus, pooled, free": partial(sharp.t1_plus, pooled=True, rate_is="free"),
            "t1_episodic, pooled": partial(rmax.t1_episodic, pooled=True),
        },
        "T1'": {
            "t1_deterministic": sharp.t1_deterministic,
            "t1_observed": sharp.t1_observed,
            "t1_observed, free": partial(sharp.t1_observed, "free"),
        },
        "X3": {"x3": exploration.x3, "x3_failure": exploration.x3_failure},
        "X6": {"x6": simulation.x6, "x6_accuracy": simulation.x6_accuracy},
        "T2": {
            **{
                f"case_one, {grid}, {theorem}": partial(shaping.case_one, grid, theorem)
                for grid in ("paper", "paper, B = 1", "refined")
                for theorem in ("T1", "T1+", "T1'", "X4")
                if (grid, theorem) != ("paper", "T1'")
            },
            **{
                f"case_two, {support}, {theorem}": partial(shaping.case_two, theorem, support=support)
                for support in ("exact", "paper")
                for theorem in ("T1", "T1+", "X4")
            },
            "case_two, pooled": partial(shaping.case_two, "T1+", pooled=True),
            "case_two, states": partial(shaping.case_two, "T1+", several_states=True),
            "sizes, one": partial(shaping.sizes, "one"),
            "sizes, two": partial(shaping.sizes, "two"),
            "inner_samples": lambda: shaping.inner_samples(shaping.case_two("T1+")),
            "t2": shaping.t2,
            "t2, paper, gradient": lambda: shaping.t2("paper", "T1+", discretisation.d1(*_PLAIN)),
            "t2, x5": lambda: shaping.t2(discretisation=discretisation.x5()),
            "accuracy": lambda: shaping.accuracy(discretisation.d1(*_PLAIN)),
        },
        "M1": {
            "m1": teams.m1,
            "m1, known start": partial(teams.m1, "known"),
            "m1, known rewards": partial(teams.m1, "known", "known"),
            "m1, outcome": partial(teams.m1, "estimated", "outcome"),
            "m1, infinite": partial(teams.m1, "estimated", "sampled", "infinite"),
            "m1, infinite, known start": partial(teams.m1, "known", "sampled", "infinite"),
        },
        "M1-tot": {"m1_total": teams.m1_total, "m1_total, known start": partial(teams.m1_total, "known")},
        "M1K": {"m1_known": teams.m1_known, "m1_known, known start": partial(teams.m1_known, "known")},
        "M2": {
            "m2": teams.m2,
            "m2, known start": partial(teams.m2, "known"),
            "m2, sampled": partial(teams.m2, "estimated", "sampled"),
            "m2, total": partial(teams.m2, "estimated", "known", "total"),
            "m2, closed": partial(teams.m2, "estimated", "known", "per step", "closed"),
            "leading, M2": partial(teams.leading, "M2"),
        },
        "M2-sum": {"m2_sum": teams.m2_sum, "m2_sum, free": partial(teams.m2_sum, "free")},
        "M4": {"m4": teams.m4},
        "M5": {
            "m5": teams.m5,
            "m5, known start": partial(teams.m5, "known"),
            "m5, sampled": partial(teams.m5, "estimated", "sampled"),
            "m5, total": partial(teams.m5, "estimated", "known", "total"),
            "m5, closed": partial(teams.m5, "estimated", "known", "per step", "closed"),
            "leading, M5": teams.leading,
        },
        "M5'": {"m5_deterministic": teams.m5_deterministic},
        "M5+": {"m5_plus": teams.m5_plus, "m5_plus, known start": partial(teams.m5_plus, "known", "closed")},
        "M6a": {"m6a": team_rungs.m6a},
        "M6b": {"m6b": team_rungs.m6b},
        "M7": {
            "m7": team_rungs.m7,
            "m7, total": partial(team_rungs.m7, "estimated", "total", "closed"),
            "m7_unstructured": team_rungs.m7_unstructured,
            "m7_unstructured, total": partial(team_rungs.m7_unstructured, "total"),
            "m7_policies": team_rungs.m7_policies,
            "m7_policies, first": partial(team_rungs.m7_policies, (2, 3), (4, 1), True),
        },
        "M8": {"m8_rows": team_rungs.m8_rows, "m8_rows, known start": partial(team_rungs.m8_rows, "known")},
        "M8-pool": {"m8_rows, pooled": partial(team_rungs.m8_rows, pooled=True)},
        "M9": {"m9": team_rungs.m9, "m9_states": team_rungs.m9_states},
        "M9-grid": {"m9_grid": team_rungs.m9_grid, "m9_grid, real": partial(team_rungs.m9_grid, "real")},
        "paper": {"paper_m": rmax.paper_m, "paper_sweeps": rmax.paper_sweeps},
        "rivals": {"rivals": rivals.rivals},
    }
)
"""For each label of the theory, what returns its bounds: functions and their variants by name."""


def bounds_of(statement: str) -> dict[str, Bound]:
    """Return the bounds of a statement by name; a member of a family is "family.member".

    Parameters
    ----------
    statement : str
        A key of `STATEMENTS`.

    Raises
    ------
    ValueError
        If there is no such statement.

    Examples
    --------
    >>> [(name, bound.label) for name, bound in bounds_of("P4").items()]
    [('p4', 'P4'), ('p4, horizon', 'P4')]
    >>> list(bounds_of("N3"))
    ['n3.levels', 'n3.points']
    """
    if statement not in STATEMENTS:
        raise ValueError(f"unknown statement {statement!r}: choose among {', '.join(STATEMENTS)}")
    found: dict[str, Bound] = {}
    for name, make in STATEMENTS[statement].items():
        made = make()
        if isinstance(made, Bound):
            found[name] = made
        elif isinstance(made, Family):
            found |= {f"{name}.{field.name}": getattr(made, field.name) for field in fields(made)}
        else:
            found |= {f"{name}.{key}": bound for key, bound in made.items()}
    return found
