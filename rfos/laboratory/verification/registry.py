"""The statements of the theory: what `rfos verify`, the tests and the notebooks share.

`STATEMENTS` maps a code to a `Statement`: an inequality with a sampler of instances, both sides, instances on which it
is (nearly) an equality, and a mutant that the check must catch. Each file lists its own in a tuple; adding a statement
is adding an entry to one of these. Statements that do *not* hold are there too, with their counterexamples.

Right sides come from `bounds`; left sides are measured: values by linear solves in floating point, probabilities by
simulation, judged by exact binomial limits (`quantile_sides`).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from types import MappingProxyType

from rfos.laboratory.verification.aliasing import ALIASING
from rfos.laboratory.verification.concentration import CONCENTRATION, FALSE_CONCENTRATION
from rfos.laboratory.verification.counts import COUNTS
from rfos.laboratory.verification.discretisation import DISCRETISATION
from rfos.laboratory.verification.engine import Statement
from rfos.laboratory.verification.games import FALSE_GAMES, GAMES
from rfos.laboratory.verification.grids import GRIDS
from rfos.laboratory.verification.learners import FALSE_LEARNERS, LEARNERS
from rfos.laboratory.verification.models import MODELS
from rfos.laboratory.verification.restarts import RESTARTS
from rfos.laboratory.verification.shaping import SHAPING
from rfos.laboratory.verification.teams import TEAMS
from rfos.laboratory.verification.theorems import FALSE_RMAX_STATEMENTS, RMAX_STATEMENTS

TRUE = (
    *(*GAMES, *GRIDS, *LEARNERS, *DISCRETISATION, *MODELS, *CONCENTRATION, *COUNTS, *RMAX_STATEMENTS),
    *(*RESTARTS, *ALIASING, *SHAPING, *TEAMS),
)
FALSE = (*FALSE_GAMES, *FALSE_LEARNERS, *FALSE_RMAX_STATEMENTS, *FALSE_CONCENTRATION)

STATEMENTS: Mapping[str, Statement] = MappingProxyType({statement.id: statement for statement in (*TRUE, *FALSE)})
"""All statements by code, the false ones last."""

assert len(STATEMENTS) == len(TRUE) + len(FALSE), "each statement has a code of its own"

_LABEL = re.compile(r"(?:false: )?([A-Z]\d?(?:\+|'|-ep)?)(?![^ ,])")

_HOMES = {"L": "D1"}  # Lipschitz constants of learners are what D1 needs


def source_of(statement: Statement) -> str:
    """Return where a statement comes from: its own `source`, or that of the bound with its label.

    Parameters
    ----------
    statement : Statement

    Examples
    --------
    >>> source_of(STATEMENTS["P4, horizon"])
    'P4; Kakade 2003, Lemma 8.5.5 (with a horizon)'
    """
    from bounds.catalogue import STATEMENTS as CATALOGUE
    from bounds.catalogue import bounds_of

    found = _LABEL.match(statement.id)
    label = "" if found is None else _HOMES.get(found[1], found[1])
    if statement.source or label not in CATALOGUE:
        return statement.source
    sources = [bound.source for bound in bounds_of(label).values()]
    return next((source for source in sources if source.startswith(label)), sources[0])
