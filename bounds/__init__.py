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
)
from bounds.bound import Bound, Enclosure, Family, Kind, Part
from bounds.optimise import Choice, optimise

__all__ = [
    "Bound",
    "Choice",
    "Enclosure",
    "Family",
    "Kind",
    "Part",
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
    "symbols",
]
