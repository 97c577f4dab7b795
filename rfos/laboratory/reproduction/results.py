"""Numbers of each window, yardsticks for them, and verdicts on claims."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from rfos.laboratory.reproduction.estimates import Estimate

Verdict = Literal["reproduced", "not reproduced", "tautological", "undecided"]


@dataclass(frozen=True)
class WindowResult:
    """What was measured for one window and epsilon, and what the theory says beside it.

    `converged` and `all_known` are episodes (None where some run did not get there, or is too short to tell); the
    interval of the former includes half a bin either way. `x4` is the bracket of the latter for the agent's play, its
    upper end with probability 0.9; `x4_greedy` the upper end under greedy play; `in_x4` counts runs inside. Values are
    in units of reward/(1-discount), as means over uniform starts; rewards are per step.
    """

    window: int
    n_states: int
    epsilon: float
    m: int
    episodes: int
    converged: Estimate | None
    all_known: Estimate | None
    x4: tuple[int, int]
    x4_greedy: int
    in_x4: int
    published: int | None
    final_reward: Estimate
    steps_per_second: float
    coverage: str
    optimal_value: tuple[float, float] | None
    final_value: Estimate | None
    largest_gap: float | None
    progress: str = "all"  # or "some" or "none": how many pairs became known in the run in which they were fewest


@dataclass(frozen=True)
class Yardstick:
    """A reward per step that the final reward is held against, with its 95 % interval (a point where exact)."""

    name: str
    window: int | None
    reward: float
    low: float
    high: float
    how: str


@dataclass(frozen=True)
class Claim:
    """A claim with its verdict, the evidence, and the rule that decided."""

    claim: str
    verdict: Verdict
    evidence: str
    rule: str
