"""What else could be done with the same episodes: rivals of `marco` on the same task, by what they really earn."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, NamedTuple

import numpy as np

from rfos._kernels.team_play import Trees, learn_values, reuse_episodes
from rfos._system import checks
from rfos._system.arrays import Float
from rfos._system.display import page
from rfos._system.memory import require_memory
from rfos._system.randomness import Seed, seed_sequence, stream
from rfos.teams.evaluate import evaluate
from rfos.teams.marco import NODES, marco, report_times
from rfos.teams.marco_result import until_optimal
from rfos.teams.model import DecPOMDP
from rfos.teams.plan import plan
from rfos.teams.policies import TeamPolicy, n_histories, random_policy
from rfos.teams.world import layout, tree_numbers

if TYPE_CHECKING:
    import pandas as pd

Method = Literal["uniform", "none", "reuse", "independent", "decomposed"]
"""The rivals, by name: see `baseline`."""

TITLES = {
    "uniform": "model, uniform exploration",
    "none": "model, no exploration",
    "reuse": "trajectory reuse (uniform play)",
    "independent": "independent Q-learners",
    "decomposed": "value decomposition",
}
"""What a figure calls them."""

CLASS = 1000
"""Random policies among which trajectory reuse chooses, unless others are given."""


@dataclass(frozen=True, eq=False)
class BaselineResult:
    """What a rival's policies really earn, against episodes.

    Attributes
    ----------
    team : DecPOMDP
    method : str
    epsilon : float
    episodes : tuple of int
    values : tuple of float
        Expected return of the policy that it would play after so many episodes, in units of reward.
    optimum : tuple of float
        Bracket of the best value of decentralised policies.
    """

    team: DecPOMDP
    method: Method
    epsilon: float
    episodes: tuple[int, ...]
    values: tuple[float, ...]
    optimum: tuple[float, float]

    @property
    def episodes_until_optimal(self) -> int | None:
        """Episodes at the first report from which on every policy is epsilon-optimal; None: not yet."""
        return until_optimal(list(self.episodes), list(self.values), self.optimum[0] - self.epsilon)

    def to_frame(self) -> pd.DataFrame:
        """Return a table with columns episodes and value."""
        import pandas as pd

        return pd.DataFrame({"episodes": self.episodes, "value": self.values})

    def __repr__(self) -> str:
        """Return what it came to, on one line."""
        return (
            f"<BaselineResult of {self.team.name or 'a team'}, {TITLES[self.method]}: earns {self.values[-1]:.6g} "
            f"after {self.episodes[-1]:,} episodes, optimum in [{self.optimum[0]:.6g}, {self.optimum[1]:.6g}]>"
        )

    def _repr_html_(self) -> str:
        return page(repr(self), self.to_frame())


def baseline(
    team: DecPOMDP,
    method: Method,
    *,
    epsilon: float,
    m: int | None = None,
    episodes: int = 10_000,
    report_every: int | None = None,
    row_keys: object = None,
    plan_seconds: float | None = None,
    policies: Sequence[TeamPolicy] | None = None,
    rate: float = 0.1,
    exploration: float = 0.2,
    optimum: tuple[float, float] | None = None,
    rng: Seed = None,
) -> BaselineResult:
    """Learn a team problem in another way, and say what the policies really earn.

    Parameters
    ----------
    team : DecPOMDP
    method : {"uniform", "none", "reuse", "independent", "decomposed"}
        "uniform", "none": as `marco` does, but episodes are played by uniform joint actions, or by the planned
        policies. "reuse": uniform play, and the policy of a class with the largest return by importance weights, which
        are A^H where an episode's joint actions are the policy's and 0 elsewhere (Kearns, Mansour and Ng 1999; M7).
        "independent": each agent learns action values on its own histories by Q-learning. "decomposed": the sum of
        these values learns by one joint error (value decomposition networks, Sunehag et al. 2018, with tables).
    epsilon : float
        In units of reward.
    m : int, optional
        For "uniform" and "none": see `marco`.
    episodes : int
    report_every : int, optional
        Default: reports after 1, 2, 4, ... episodes.
    row_keys : array_like of int, shape (S*A,), optional
        For "uniform" and "none": see `marco`.
    plan_seconds : float, optional
        For "uniform" and "none": see `marco`.
    policies : sequence of TeamPolicy, optional
        The class of "reuse"; default `CLASS` random ones.
    rate, exploration : float in (0, 1]
        Step size, and share of random actions, of the two that learn values.
    optimum : tuple of float, optional
        Bracket of the best value; default: it is planned for.
    rng : int, SeedSequence, Generator or None

    Returns
    -------
    BaselineResult

    Raises
    ------
    ValueError
        If an argument is out of range.
    MemoryError

    Examples
    --------
    One agent, one step: value 1 for action 1.

    >>> team = DecPOMDP([[[[1.0]], [[1.0]]]], [[0.0, 1.0]], (2,), (1,), horizon=1)
    >>> baseline(team, "independent", epsilon=0.1, episodes=100, rng=0).episodes_until_optimal <= 64
    True
    """
    checks.kind("team", team, DecPOMDP, mend="rfos.teams.tasks.task(name) or DecPOMDP(W, R, ...) makes one")
    if method not in TITLES:
        raise ValueError(f"method is {checks.shown(method)}: choose among {', '.join(TITLES)}")
    checks.whole("episodes", episodes)
    for name, value in (("rate", rate), ("exploration", exploration)):
        if not 0 < checks.number(value) <= 1:
            raise ValueError(f"{name} is {checks.shown(value)}: give a number in (0, 1]")
    if optimum is None:
        best = plan(team, seconds=plan_seconds and 20 * plan_seconds, nodes=10 * NODES)
        optimum = (best.lower, best.upper)
    root = seed_sequence(rng)
    if method in ("uniform", "none"):
        run = marco(
            team,
            epsilon=epsilon,
            m=m,
            explore=method,
            episodes=episodes,
            report_every=report_every,
            row_keys=row_keys,
            plan_seconds=plan_seconds,
            optimum=optimum,
            rng=root,
        )
        pairs: Iterable[tuple[int, float]] = [(report.episodes, report.value) for report in run.reports]
    else:
        times = report_times(report_every, episodes)
        if method == "reuse":
            pairs = _reused(team, times, policies, root)
        else:
            pairs = _values(team, times, method == "decomposed", float(rate), float(exploration), root)
    played, values = zip(*pairs, strict=True)
    return BaselineResult(team, method, float(epsilon), played, values, optimum)


def _values(
    team: DecPOMDP, times: list[int], shared: bool, rate: float, exploration: float, rng: Seed
) -> Iterator[tuple[int, float]]:
    """Yield episodes and the value of the greedy policy."""
    trees = tree_numbers(team)
    nodes = sum(n_histories(team, i, t) for i in range(team.n_agents) for t in range(team.horizon))
    require_memory(8 * nodes * max(team.n_actions), "the action values of all histories", "give a shorter horizon")
    q = np.zeros((nodes, max(team.n_actions)))
    world, state, done = layout(team).world, stream(rng), 0
    for time in times:
        learn_values(world, trees, q, shared, rate, exploration, team.discount, state, time - done)
        done = time
        yield time, evaluate(team, _greedy(team, trees, q)).value


def _greedy(team: DecPOMDP, trees: Trees, q: Float) -> TeamPolicy:
    """Return the policy that takes the first best action at each node."""
    return TeamPolicy(
        tuple(
            tuple(
                q[first : first + n_histories(team, i, t), :size].argmax(axis=1)
                for t, first in enumerate(trees.first[i].tolist())
            )
            for i, size in enumerate(team.n_actions)
        )
    )


def _reused(
    team: DecPOMDP, times: list[int], policies: Sequence[TeamPolicy] | None, rng: np.random.SeedSequence
) -> Iterator[tuple[int, float]]:
    """Yield episodes and the value of the policy with the largest weighted return, the first of the best."""
    if policies is None:
        own = np.random.default_rng(seed_sequence(rng, key=(1,)))
        chosen = [random_policy(team, own) for _ in range(CLASS)]
    else:
        chosen = list(checks.several("policies", policies, "give a list of TeamPolicy"))
        if not chosen:
            raise ValueError("policies is empty: give a list of TeamPolicy")
        for policy in chosen:
            checks.kind("a policy", policy, TeamPolicy, mend="give a list of TeamPolicy")
    trees = tree_numbers(team)
    flat = np.array([tree_numbers(team, policy).action for policy in chosen])
    taken = np.array(np.unravel_index(np.arange(team.n_joint_actions), team.n_actions), np.int64).T.copy()
    sums, alive = np.zeros(len(chosen)), np.empty(len(chosen), np.bool_)
    world, state, done = layout(team).world, stream(rng), 0
    # The weight A^H is the same for all. Rewards are counted from the smallest on, which changes no order of values:
    # else a policy that no episode followed would look better than those that lost something.
    least = team.reward_range[0]
    shifted = world._replace(reward=world.reward - least)
    for time in times:
        reuse_episodes(shifted, trees, flat, taken, alive, sums, team.discount, state, time - done)
        done = time
        yield time, evaluate(team, chosen[int(sums.argmax())]).value


class Ratio(NamedTuple):
    """How many times as many episodes a rival takes.

    Attributes
    ----------
    value : float
        Geometric mean over the seeds; a seed that did not get there counts with the episodes it played.
    low, high : float
        Student's 95 % interval of the mean logarithm over the seeds; high is infinite where a rival's seed did not get
        there.
    seeds : int
        Pairs of runs.
    unfinished : int
        Runs of the rival that did not get there.
    """

    value: float
    low: float
    high: float
    seeds: int
    unfinished: int


def episodes_ratio(ours: Sequence[int | None], theirs: Sequence[int | None], played: int) -> Ratio | None:
    """Return how many times as many episodes a rival takes until its policies are epsilon-optimal.

    Parameters
    ----------
    ours, theirs : sequence of int or None
        Of each seed; None: not within `played` episodes.
    played : int

    Returns
    -------
    Ratio or None
        None where one of ours did not get there, so that no ratio is known.

    Examples
    --------
    >>> episodes_ratio([10, 20], [40, 80], 100)
    Ratio(value=4.0, low=4.0, high=4.0, seeds=2, unfinished=0)
    """
    if not ours or len(ours) != len(theirs):
        raise ValueError(f"there are {len(ours)} and {len(theirs)} runs: give as many of each, and one at least")
    if any(one is None for one in ours):
        return None
    unfinished = sum(one is None for one in theirs)
    logs = np.array([math.log((b or played) / a) for a, b in zip(ours, theirs, strict=True) if a is not None])
    mean, n = float(logs.mean()), len(logs)
    half = math.inf
    if n > 1:
        from scipy.stats import t

        half = float(t.ppf(0.975, n - 1) * logs.std(ddof=1) / math.sqrt(n))
    high = math.inf if unfinished else _exp(mean + half)
    return Ratio(
        round(_exp(mean), 12), round(_exp(mean - half), 12), round(high, 12) if high < math.inf else high, n, unfinished
    )


def _exp(x: float) -> float:
    return math.exp(x) if x < 700 else math.inf
