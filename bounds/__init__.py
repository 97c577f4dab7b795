"""The sample-complexity theory of R-max and of opponent shaping as exact symbolic objects."""

from bounds import concentration, rmax, symbols
from bounds.bound import Bound, Enclosure, Kind

__all__ = ["Bound", "Enclosure", "Kind", "concentration", "rmax", "symbols"]
