"""The sample-complexity theory of R-max and of opponent shaping as exact symbolic objects."""

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
    symbols,
    team_rungs,
    teams,
)
from bounds.bound import Bound, Enclosure, Family, Kind, Part
from bounds.catalogue import STATEMENTS, bounds_of
from bounds.optimise import Choice, optimise
from bounds.substitution import substitute, substituted

__all__ = [
    "STATEMENTS",
    "Bound",
    "Choice",
    "Enclosure",
    "Family",
    "Kind",
    "Part",
    "bounds_of",
    "concentration",
    "discretisation",
    "exploration",
    "grids",
    "optimise",
    "rivals",
    "rmax",
    "shaping",
    "sharp",
    "simulation",
    "substitute",
    "substituted",
    "symbols",
    "team_rungs",
    "teams",
]
