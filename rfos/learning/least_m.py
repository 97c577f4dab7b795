"""How many visits of a pair are enough: the least m at which R-max ends well, found by runs."""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, fields, is_dataclass, replace
from fractions import Fraction
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike

from rfos._system import checks
from rfos._system.arrays import Int
from rfos._system.checkpoints import Checkpoint, MisfitError, within
from rfos._system.display import page
from rfos._system.randomness import Seed, seed_sequence
from rfos._system.threads import processors
from rfos.learning.accounts import fine, largest_loss
from rfos.learning.agents import Rmax, check_epsilon
from rfos.learning.coverage import theory_m
from rfos.learning.environment import Environment, Process, as_environment
from rfos.learning.observer import Observer, PlanEvent
from rfos.learning.player import Agent, check_agent
from rfos.learning.run import run
from rfos.learning.sequential import OUTCOMES, SequentialTest, Verdict
from rfos.learning.theorems import Case, TheoremName, theorem_of
from rfos.metagames.window import CONTINUING
from rfos.planning.exact import exact_optimum, rational, solve_system
from rfos.planning.mdp import TabularMDP
from rfos.planning.solve import solve

if TYPE_CHECKING:
    import pandas as pd

PATIENCE = 100
"""Steps after which a run is cut off, in units of (steps per episode) * (rows of counts) * (m + 20)."""

EXACT_STATES = 32
"""Most states for which a loss too close to epsilon for floats is computed in rationals."""

ASSUMPTION = "the chance that a run ends well does not fall as m grows"


@dataclass(frozen=True)
class Comparison:
    """What runs at one m showed.

    Attributes
    ----------
    m : int
    runs, successes : int
        Successes ended with a policy that is certainly epsilon-optimal from every state.
    straddling : int
        Runs more that may be: the bracket of what their policy loses has epsilon within it. They count as failures
        where the m would be found sufficient, and as successes where it would be found insufficient.
    cut : int
        Runs that were cut off before their policy was final; they are judged by the one that they had.
    unknown : int
        Runs of which the final policy leaves pairs unknown for ever.
    verdict : {"sufficient", "insufficient", "undecided"}
    """

    m: int
    runs: int
    successes: int
    straddling: int
    cut: int
    unknown: int
    verdict: Verdict


@dataclass(frozen=True)
class LeastM:
    """Where the least sufficient m lies.

    Attributes
    ----------
    epsilon, delta : float
    error : float
        Chance that the interval is wrong, at most, where `assumption` holds.
    interval : tuple
        Smallest and largest value that the least sufficient m may have; the latter None where no m up to the largest
        tried was found sufficient.
    assumption : str
        What makes an interval of separate comparisons.
    comparisons : tuple of Comparison
        In the order in which they were made.
    theory : dict of str to int
        The m that the paper's schedule, the theorem that speaks of such runs and T1+ ask for, as of `theory_m`.
    theorem : TheoremName
        That theorem: T1, with restarts X4, T1' where one visit is enough.
    """

    epsilon: float
    delta: float
    error: float
    interval: tuple[int, int | None]
    assumption: str
    comparisons: tuple[Comparison, ...]
    theory: dict[str, int]
    theorem: TheoremName

    @property
    def runs(self) -> int:
        """Runs in all."""
        return sum(comparison.runs for comparison in self.comparisons)

    @property
    def cut(self) -> int:
        """Runs that were cut off."""
        return sum(comparison.cut for comparison in self.comparisons)

    @property
    def straddling(self) -> int:
        """Runs that count neither way."""
        return sum(comparison.straddling for comparison in self.comparisons)

    def row(self) -> dict[str, Any]:
        """Return the result as a dictionary of plain numbers and words.

        The names are the same in every setting, so that rows make a table: "m_T1" is the m of `theorem`, which is T1
        only where there are no restarts.
        """
        return {
            "epsilon": self.epsilon,
            "delta": self.delta,
            "error": self.error,
            "theorem": self.theorem,
            "m_low": self.interval[0],
            "m_high": self.interval[1],
            "assumption": self.assumption,
            "runs": self.runs,
            "straddling": self.straddling,
            "cut": self.cut,
            "comparisons": len(self.comparisons),
            "m_paper": self.theory["paper"],
            "m_T1": self.theory[self.theorem],
            "m_T1+": self.theory["T1+"],
        }

    def to_frame(self) -> pd.DataFrame:
        """Return the result as a table of one row, with the columns of `row`."""
        import pandas as pd

        return pd.DataFrame([self.row()])

    def _repr_html_(self) -> str:
        """Return what was found in a line and the table, for a notebook."""
        low, high = self.interval
        found = f"from {low} on, no end found" if high is None else f"from {low} to {high}"
        return page(f"<LeastM {found}: {self.runs} runs>", self.to_frame(), [f"Under: {self.assumption}."])


class _UntilFinal(Observer):
    """Ends a run when its policy can change no more: no unknown pair can be reached under it."""

    step_costs = None

    def __init__(self, mdp: TabularMDP, horizon: int | None, starts: Int) -> None:
        successor, probability, _ = mdp.storage.branches(mdp.finite_rewards)
        self.successor = np.where(probability > 0, successor, -1)
        self.shape = mdp.n_states, mdp.n_actions
        self.horizon, self.starts = horizon, starts
        self.final = False
        self.unknown = True

    def on_plan(self, event: PlanEvent) -> bool:
        """Return whether the policy is final."""
        n_states, n_actions = self.shape
        if event.unknown is None or event.policy.shape != (n_states,):
            raise ValueError(
                "the least m is found for agents with an m and one action in each state: give such an agent"
            )
        self.unknown = bool(event.unknown.any())
        if not self.unknown:
            self.final = True
            return True
        unknown = event.unknown.reshape(n_states, -1)
        here = np.arange(n_states)
        stops = unknown[here, event.policy] if unknown.shape[1] == n_actions else unknown[:, 0]
        following = self.successor[here * n_actions + event.policy]
        reached = np.zeros(n_states, np.bool_)
        if self.horizon is None or event.step % self.horizon:
            reached[event.state] = True  # else the next step is an episode's first, and its state is not drawn yet
        if self.horizon is not None:
            reached[self.starts] = True
        # Within an episode the last step is taken in a state at most horizon - 1 steps from its start.
        for _ in range(n_states if self.horizon is None else self.horizon):
            if stops[reached].any():
                return False
            onward = following[reached]
            fresh = np.zeros(n_states, np.bool_)
            fresh[onward[onward >= 0]] = True
            if not (fresh & ~reached).any():
                break
            reached |= fresh
        self.final = True
        return True


def _check(epsilon: float, delta: float, error: float, resolution: float) -> None:
    check_epsilon(epsilon)
    for name, value in (("delta", delta), ("error", error)):
        if not 0 < checks.number(value) < 1:
            raise ValueError(f"{name} is {checks.shown(value)}: give a probability between 0 and 1")
    if not checks.number(resolution) > 0:
        raise ValueError(f"resolution is {checks.shown(resolution)}: give a positive relative width")


class _Judge:
    """Whether what a policy loses is at most epsilon; None where that cannot be told."""

    def __init__(self, mdp: TabularMDP, epsilon: float) -> None:
        self.mdp, self.epsilon = mdp, epsilon
        self.best = solve(mdp, tol=fine(epsilon))

    def __call__(self, policy: Int) -> bool | None:
        """Decide by the bracket, and by rationals where epsilon is within it and the MDP is small."""
        low, high = largest_loss(self.mdp, self.best, policy, fine(self.epsilon))
        if high <= self.epsilon or low > self.epsilon:
            return high <= self.epsilon
        if self.mdp.n_states > EXACT_STATES:
            return None
        transitions, rewards, best = self.exactly
        discount, own = Fraction(self.mdp.discount), policy.tolist()
        matrix = [[Fraction(int(i == j)) for j in range(len(own))] for i in range(len(own))]
        for s, a in enumerate(own):
            for j, p in transitions[s][a].items():
                matrix[s][j] -= discount * p
        values = solve_system(matrix, [rewards[s][a] or Fraction(0) for s, a in enumerate(own)])
        return max(v - w for v, w in zip(best, values, strict=True)) <= Fraction(self.epsilon)

    @functools.cached_property
    def exactly(self) -> tuple[list[list[dict[int, Fraction]]], list[list[Fraction | None]], list[Fraction]]:
        """The MDP and V* in rationals; None is the reward of what is not allowed, which no policy takes."""
        transitions, rewards = rational(self.mdp)
        return transitions, rewards, exact_optimum(transitions, rewards, Fraction(self.mdp.discount))[0]


def least_sufficient_m(
    process: Environment | Process,
    epsilon: float,
    delta: float = 0.05,
    *,
    error: float = 0.01,
    resolution: float = 0.1,
    horizon: int | None = None,
    starts: ArrayLike | None = None,
    pooled: bool = False,
    agent: Agent | None = None,
    largest: int | None = None,
    max_runs: int = 2000,
    max_steps: int | None = None,
    jobs: int | None = None,
    rng: Seed = 0,
    checkpoint: Checkpoint | None = None,
) -> LeastM:
    """Find the smallest m at which R-max ends with an epsilon-optimal policy in at least 1 - delta of its runs.

    A run ends when its greedy policy is final: no pair that is still unknown can be reached under it. It is a success
    where that policy is epsilon-optimal from every state; a loss of exactly epsilon is one, which rationals decide in
    MDPs of up to 32 states. In larger ones a run whose loss floats cannot tell from epsilon counts neither way (see
    `Comparison`), so that the interval holds but may be wide. Without restarts a policy may be final and leave pairs
    unknown in states that it never meets; then no m need be sufficient, and the result says how many runs ended so.
    With restarts in every state all pairs become known, and what is learned does not depend on the steps per episode.

    Each m is judged by sequential tests (`SequentialTest`), the i-th m with error rate error / (i (i + 1)): these add
    up to `error` at most, however long the search. m is doubled until it is sufficient, then the gaps are halved. That
    separate verdicts make an interval rests on the `assumption` of the result, which can fail: where ties between equal
    counts happen to fall right, one visit may be right more often than three.

    Parameters
    ----------
    process : Environment, WindowMetaGame, PolicyMetaGame or TabularMDP
        An MDP: without hidden learners.
    epsilon, delta : float
        Accuracy in units of value, and the share of runs that may fail.
    error : float
        Chance that the interval is wrong, in (0, 1).
    resolution : float
        The search ends where the gaps between comparisons are at most this share of m.
    horizon, starts
        As of an `Environment`, where a process is given.
    pooled : bool
        As of `Rmax`.
    agent : Agent, optional
        An agent of one's own in the place of R-max, a dataclass with a field m. Its policy must change only when a pair
        has been visited m times, for a run ends where no such pair can be reached any more.
    largest : int, optional
        Largest m that is tried; default the theory's.
    max_runs : int
        Runs at one m after which it is left undecided.
    max_steps : int, optional
        Steps after which a run is cut off and judged by the policy it has; default 100 (m + 20) times the number of
        rows of counts, times the steps per episode.
    jobs : int, optional
        Threads; default one per processor. The result does not depend on it.
    rng : int, SeedSequence or Generator, optional
        Run i at m has the stream of the key (m, i).
    checkpoint : Checkpoint, optional
        For sweeps: which runs are done, and when the search is to be left again.

    Returns
    -------
    LeastM
        Beside the interval the theory's m: the paper's, T1's (with restarts that of X4, which needs no look ahead, by
        that name) and T1+'s, which covers runs without restarts only.

    Raises
    ------
    Unfinished
        If it is left at a checkpoint before the search is over.
    ValueError
        If a parameter is out of range, or the opponent's state is hidden.

    Examples
    --------
    Where every pair has one successor one visit is enough:

    >>> from rfos import TabularMDP
    >>> found = least_sufficient_m(TabularMDP([[0, 1], [1, 0]], [[0.0, 0.0], [1.0, 0.0]], 0.5), 0.1, horizon=3)
    >>> found.interval, str(found.theorem), found.theory["X4"]
    ((1, 1), 'X4', 1)
    """
    environment = as_environment(process, horizon, starts)
    if agent is not None:
        check_agent(agent)
        _with_m(agent, 1)
    _check(epsilon, delta, error, resolution)
    for name, count in (("largest", largest), ("max_steps", max_steps), ("jobs", jobs)):
        if count is not None:
            checks.whole(name, count)
    checks.whole("max_runs", max_runs)
    mdp, horizon = environment.mdp, environment.horizon
    asked = Rmax(epsilon=epsilon, delta=delta, pooled=pooled)
    theory, theorem = theory_m(environment, asked), theorem_of(Case(environment, asked)).name
    largest = theory[theorem] if largest is None else largest
    judge = _Judge(mdp, epsilon)
    first = environment.start_states
    rows = mdp.n_states * (1 if pooled else mdp.n_actions)
    root = seed_sequence(rng)
    judged: dict[bytes, bool | None] = {}
    done: dict[tuple[int, int], tuple[bool | None, bool, bool]] = {}
    if checkpoint is not None and checkpoint.saved:
        runs = checkpoint.saved.get("runs", np.zeros(0))
        if runs.ndim != 2 or runs.shape[1] != 5 or runs.dtype != np.int64:
            raise MisfitError("the checkpoint holds no runs: begin again without it")
        within("outcome", runs[:, 2], 0, len(OUTCOMES) - 1)
        done = {(m, i): (OUTCOMES[a], bool(b), bool(c)) for m, i, a, b, c in runs.tolist()}

    def play(m: int, i: int) -> tuple[bool | None, bool, bool]:
        """Return whether run i ended well (None: cannot be told), was cut off, and leaves pairs unknown."""
        if (m, i) in done:
            return done[m, i]
        longest = PATIENCE * (horizon or 1) * rows * (m + 20) if max_steps is None else max_steps
        observer = _UntilFinal(mdp, horizon, first)
        learner = Rmax(m=m, epsilon=epsilon, delta=delta, pooled=pooled) if agent is None else _with_m(agent, m)
        stream = seed_sequence(root, (m, i))
        steps = min(longest, CONTINUING - 1)
        policy = run(environment, learner, steps=steps, rng=stream, bins=1, observer=observer).policy
        key = hashlib.sha256(policy.tobytes()).digest()  # a policy is long, and there may be as many as runs
        if key not in judged:
            judged[key] = judge(policy)
        return judged[key], not observer.final, observer.final and observer.unknown

    comparisons: list[Comparison] = []
    with ThreadPoolExecutor(jobs or processors()) as pool:

        def compare(m: int) -> Verdict:
            number = len(comparisons) + 1
            # One verdict at most can be wrong of an m, so that both may have its whole rate.
            rate = error / (number * (number + 1))
            surely, perhaps = SequentialTest(1 - delta, rate), SequentialTest(1 - delta, rate)
            verdict: Verdict = "undecided"
            cut = unknown = 0
            for ended_well, was_cut, left in _in_order(pool, play, m, max_runs, 4 * (jobs or processors())):
                new = (m, surely.tosses) not in done
                done[m, surely.tosses] = ended_well, was_cut, left
                if checkpoint is not None and new and checkpoint.due():
                    runs = [(*run, OUTCOMES.index(well), *rest) for run, (well, *rest) in done.items()]
                    checkpoint.leave({"runs": np.array(runs, np.int64)})
                cut += was_cut
                unknown += left
                if surely.toss(ended_well is True) == "sufficient":
                    verdict = "sufficient"
                if perhaps.toss(ended_well is not False) == "insufficient":
                    verdict = "insufficient"
                if verdict != "undecided":
                    break
            straddling = perhaps.ones - surely.ones
            comparisons.append(Comparison(m, surely.tosses, surely.ones, straddling, cut, unknown, verdict))
            return verdict

        interval = _search(compare, largest, resolution)
    rates = float(epsilon), float(delta), float(error)
    return LeastM(*rates, interval, ASSUMPTION, tuple(comparisons), theory, theorem)


def _with_m(agent: Any, m: int) -> Agent:
    """Return an agent with another m."""
    if not is_dataclass(agent) or not any(field.name == "m" for field in fields(agent)):
        mend = "give it one, so that m can be varied"
        raise ValueError(f"agent is {checks.described(agent)}, not a dataclass with a field m: {mend}")
    changed: Any = replace(agent, m=m)  # type: ignore[type-var]
    return changed  # type: ignore[no-any-return]


def _in_order(pool: ThreadPoolExecutor, play: Any, m: int, max_runs: int, batch: int) -> Iterator[Any]:
    """Yield the results of runs 0, 1, ... in order, a batch of them at a time in threads."""
    for begin in range(0, max_runs, batch):
        yield from pool.map(lambda i: play(m, i), range(begin, min(begin + batch, max_runs)))


def _search(compare: Any, largest: int, resolution: float) -> tuple[int, int | None]:
    """Return the smallest and the largest value that the least sufficient m may have."""
    low, high = 0, None
    undecided: set[int] = set()

    def probe(m: int) -> None:
        nonlocal low, high
        verdict = compare(m)
        if verdict == "sufficient":
            high = m
        elif verdict == "insufficient":
            low = m
        else:
            undecided.add(m)
        undecided.difference_update([u for u in undecided if u <= low or (high is not None and u >= high)])

    m = 1
    while high is None:
        probe(m)
        if m >= largest:
            break
        m = min(2 * m, largest)

    def wide(below: int, above: int) -> bool:
        return above - below > max(1, resolution * above)

    while True:
        above = min(undecided, default=high)
        if above is not None and wide(low, above):
            probe((low + above) // 2)
        elif undecided and high is not None and wide(max(undecided), high):
            probe((max(undecided) + high) // 2)
        else:
            return low + 1, high
