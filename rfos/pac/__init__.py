"""What is measured on runs, beside what the theorems promise.

`ledger` counts the steps of a run that are not epsilon-optimal, `least_sufficient_m` finds how many visits of a pair
are enough, `aliasing` how much a window hides, `convergence` when a learning curve has reached its level. Results are
frozen dataclasses whose `row()` is a dictionary of plain numbers and words.
"""

from rfos.pac._aliasing import Aliasing, aliasing
from rfos.pac._convergence import convergence
from rfos.pac._covering import theory_m
from rfos.pac._least import Comparison, LeastM, SequentialTest, least_sufficient_m
from rfos.pac._ledger import Ledger, ledger

__all__ = [
    "Aliasing",
    "Comparison",
    "LeastM",
    "Ledger",
    "SequentialTest",
    "aliasing",
    "convergence",
    "least_sufficient_m",
    "ledger",
    "theory_m",
]
