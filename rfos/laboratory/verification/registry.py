"""The statements of the theory on random instances: what `rfos verify`, the tests and the notebooks share.

`STATEMENTS` maps an id to a `Statement`: an inequality with a sampler of instances, both sides, instances on which it
is (nearly) an equality, and a planted fault that the check must catch. Adding a statement is adding one entry to one
of the tuples below. Statements that do *not* hold are there too, with their counterexamples.

Right sides come from `bounds`; left sides are measured: values by linear solves in floating point, probabilities by
simulation, judged by exact binomial limits (`quantile_sides`).
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from rfos.laboratory.verification.discretisation import DISCRETISATION
from rfos.laboratory.verification.engine import Statement
from rfos.laboratory.verification.games import FALSE_GAMES, GAMES
from rfos.laboratory.verification.grids import GRIDS
from rfos.laboratory.verification.learners import FALSE_LEARNERS, LEARNERS
from rfos.laboratory.verification.models import MODELS
from rfos.laboratory.verification.runs import FALSE_RUNNING, RUNNING
from rfos.laboratory.verification.shaping import SHAPING

STATEMENTS: Mapping[str, Statement] = MappingProxyType(
    {
        statement.id: statement
        for statement in (
            *GAMES,
            *GRIDS,
            *LEARNERS,
            *DISCRETISATION,
            *MODELS,
            *RUNNING,
            *SHAPING,
            *FALSE_GAMES,
            *FALSE_LEARNERS,
            *FALSE_RUNNING,
        )
    }
)
"""All statements by id, the false ones last."""
