"""The sample-complexity theory of R-max and of opponent shaping as exact symbolic objects."""

from bounds import concentration, discretisation, grids, rmax, symbols
from bounds.bound import Bound, Enclosure, Family, Kind

__all__ = ["Bound", "Enclosure", "Family", "Kind", "concentration", "discretisation", "grids", "rmax", "symbols"]
