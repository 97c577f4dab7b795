"""What a run of MARCO leaves behind: brackets of the optimum against episodes, and what plans really earn."""

from __future__ import annotations

import enum
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, NamedTuple

from rfos._system.display import page
from rfos._system.memory import in_digits
from rfos.teams.counts import Counts
from rfos.teams.guarantee import Explore, Guarantee
from rfos.teams.model import DecPOMDP
from rfos.teams.policies import TeamPolicy

if TYPE_CHECKING:
    import pandas as pd

States = Literal["online", "hindsight"]
"""Whether training sees the state before each joint action, or only after the episode."""

Policies = Literal["decentralised", "reactive", "joint"]
"""The class that is planned in: own observations; step and last own observation; everybody's observations."""


class Stop(enum.Enum):
    """Why learning ended."""

    EXPLORED = "explored"
    """What is unknown can cost no policy more than the theorem allows."""
    CERTIFIED = "certified"
    """The optimistic policy is known to be as good as its model says, up to what the theorem allows."""
    EPISODES = "episodes"
    """As many episodes as were allowed have been played."""


class Uncovered(enum.Enum):
    """Why no theorem covers a run, though all brackets hold with probability 1 - delta."""

    FEWER_VISITS = "m is smaller than the theorem's"
    NOT_EXPLORING = "data are not collected by a policy that seeks what is unknown"
    OPEN_PLANS = "an optimistic plan was stopped before its bracket closed, and M5 asks for the best one"


class Report(NamedTuple):
    """What is known after a number of episodes; values in units of reward.

    Attributes
    ----------
    episodes, known : int
        Episodes played; rows known.
    gap : float
        Most that unknown pairs can cost a policy in the learned model (M2's g, for policies that see states).
    visits : int
        Visits from which on rows are taken for known in what follows: m, or fewer where that makes the bracket narrower
        (M1K for the rows with so many; P1 with a union over the numbers of visits).
    lower, upper : float
        L: value of a policy in the pessimistic model, the best that was planned; U: at least the best value in the
        optimistic one.
    sigma : float
        How far a learned value may be off, by M1 and P1.
    bracket_low, bracket_high : float
        L - sigma and U + sigma, cut to the range of returns: they hold the best value of the class (M4).
    value : float
        What the planned policy really earns.
    error : float
        Largest total variation from the truth of a row taken for known, which a learner cannot see.
    sigma_of_error : float
        What M1 makes of that error.
    """

    episodes: int
    known: int
    gap: float
    visits: int
    lower: float
    upper: float
    sigma: float
    bracket_low: float
    bracket_high: float
    value: float
    error: float
    sigma_of_error: float


class Stretch(NamedTuple):
    """Consecutive episodes that were played by one planned policy, and what it really earns.

    Attributes
    ----------
    first, last : int
        Episodes, from 1 on.
    value : float
    """

    first: int
    last: int
    value: float


@dataclass(frozen=True, eq=False)
class MarcoResult:
    """A run of `marco`, by its reports.

    Attributes
    ----------
    team : DecPOMDP
    epsilon, delta : float
    m : int
    explore, states, policies : str
    n_rows : int
        Rows to be learned, |Z|.
    numbers : Guarantee
        What the theorem asks for and promises at these epsilon and delta.
    uncovered : Uncovered or None
        Why no theorem covers the run.
    stop : Stop
    reports : tuple of Report
    stretches : tuple of Stretch
        Where planned policies were played: of optimism and of no exploration.
    optimum : tuple of float
        Bracket of the best value of the class in the true problem.
    policy : TeamPolicy
        The last plan; of the centralised team where policies are "joint".
    counts : Counts
    """

    team: DecPOMDP
    epsilon: float
    delta: float
    m: int
    explore: Explore
    states: States
    policies: Policies
    n_rows: int
    numbers: Guarantee
    uncovered: Uncovered | None
    stop: Stop
    reports: tuple[Report, ...]
    stretches: tuple[Stretch, ...]
    optimum: tuple[float, float]
    policy: TeamPolicy = field(repr=False)
    counts: Counts = field(repr=False)

    @property
    def episodes(self) -> int:
        """Episodes played."""
        return self.reports[-1].episodes

    @property
    def value(self) -> float:
        """What the last plan really earns."""
        return self.reports[-1].value

    @property
    def theorem(self) -> str | None:
        """The theorem that covers the run; None: `uncovered` says why."""
        if self.uncovered is not None:
            return None
        return "M5" if self.explore == "optimism" else "M2 with M4"

    @property
    def episodes_until_optimal(self) -> int | None:
        """Episodes at the first report from which on every plan is epsilon-optimal in its class; None: not yet.

        The last report may be the first such one.
        """
        return until_optimal([r.episodes for r in self.reports], [r.value for r in self.reports], self.least)

    @property
    def least(self) -> float:
        """The value from which on a policy counts as epsilon-optimal: epsilon below the lower end of the optimum."""
        return self.optimum[0] - self.epsilon

    @property
    def bad_episodes(self) -> int | None:
        """Episodes that a planned policy played which is not epsilon-optimal (M5 counts them); None: none were planned.

        A policy counts as bad if it may be: if it is not epsilon-optimal for the upper end of the optimum.
        """
        if self.explore not in ("optimism", "none"):
            return None
        bad = self.optimum[1] - self.epsilon
        return sum(s.last - s.first + 1 for s in self.stretches if s.value < bad)

    def to_frame(self) -> pd.DataFrame:
        """Return the reports as a table, a row for each; columns as in `Report`."""
        import pandas as pd

        return pd.DataFrame(self.reports, columns=list(Report._fields))

    def sentences(self) -> list[str]:
        """Return what is to be said of the run."""
        last, numbers = self.reports[-1], self.numbers
        said = [f"The best policy of the class earns {_interval(*self.optimum)}; the plan earns {last.value:.6g}."]
        if self.uncovered is None:
            kind = "are not epsilon-optimal" if self.explore == "optimism" else "are spent on exploring"
            said.append(
                f"{self.theorem} covers the run: with probability {1 - self.delta:g} at most "
                f"{in_digits(numbers.episodes)} episodes {kind} at epsilon {self.epsilon:g} (derived here; the paper "
                "states a polynomial bound)."
            )
        else:
            said.append(
                f"No theorem covers the run: {self.uncovered.value}. {numbers.theorem} takes m = "
                f"{in_digits(numbers.m)} and up to {in_digits(numbers.episodes)} episodes."
            )
        good = self.episodes_until_optimal
        said.append(
            "The plan is not epsilon-optimal yet."
            if good is None
            else f"Plans are epsilon-optimal from episode {good:,} on."
        )
        return said

    def __repr__(self) -> str:
        """Return what was learned, on one line."""
        last = self.reports[-1]
        return (
            f"<MarcoResult of {self.team.name or 'a team'}, {self.explore}: {last.episodes:,} episodes, "
            f"{last.known:,} of {self.n_rows:,} rows known at m = {in_digits(self.m)}, optimum in "
            f"{_interval(last.bracket_low, last.bracket_high)}, plan earns {last.value:.6g}, {self.stop.value}>"
        )

    def _repr_html_(self) -> str:
        return page(repr(self), self.to_frame(), self.sentences())


def _interval(low: float, high: float) -> str:
    return f"[{low:.6g}, {high:.6g}]"


def until_optimal(episodes: list[int], values: list[float], least: float) -> int | None:
    """Return the first number of episodes from which on all values are at least `least`; None: the last is not.

    Examples
    --------
    >>> until_optimal([1, 2, 4, 8], [0.9, 0.1, 0.8, 0.9], 0.8), until_optimal([1], [0.0], 0.8)
    (4, None)
    """
    found = None
    for episode, value in zip(reversed(episodes), reversed(values), strict=True):
        if not value >= least - 1e-12 * abs(least):
            break
        found = episode
    return found
