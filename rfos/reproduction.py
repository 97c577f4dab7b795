"""The experiment of the R-FOS paper and a verdict on each of its claims.

The published claims: episodes to convergence grow as about 12 |S|^2 in Matching Pennies with windows of the last
h = 2, 3, 4 joint actions. Here the experiment runs as published, next to what the schedule of visits m alone implies.
"""

from __future__ import annotations

import hashlib
import importlib.resources
import json
import math
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import FIRST_EXCEPTION, Future, ThreadPoolExecutor, wait
from dataclasses import asdict, dataclass
from typing import Any, Literal, TypeVar

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import stats

import bounds.rmax
from rfos import _checks
from rfos._kernels import rmax as kernels
from rfos._threads import processors
from rfos.games import named_game
from rfos.metagames import WindowMetaGame
from rfos.opponents import QLearner, WindowOpponent, WindowQLearner
from rfos.pac import convergence
from rfos.planning import Solution, evaluate_policy, solve
from rfos.randomness import stream
from rfos.rmax import Agent, PaperRmax, Progress, Rmax, Trace, check_epsilon, derived_m, run
from rfos.sweeps.fits import slope

Float = NDArray[np.float64]
Item = TypeVar("Item")
Value = TypeVar("Value")

DISCOUNT = 0.8
HORIZON = 10
DELTA = 0.2
BINS = 1000
EPISODES_PER_VISIT = 8
"""A run has 8 m |S| meta-episodes."""

PUBLISHED = {2: 11, 3: 14, 4: 13}
"""Published episodes to convergence divided by |S|^2, by window, at epsilon 0.8 in Matching Pennies."""

ABOUT = (8.0, 18.0)
"""What "about 12" may mean: within a factor of 1.5."""

QUADRATIC = (1.75, 2.25)
"""What "quadratic" may mean for a fitted exponent."""

SECOND_EPSILON = 0.625
"""The second epsilon is this times the first, which multiplies m by 2.56."""

LONGEST_SECOND_RUN = 10**8
"""Windows whose run at the second epsilon would take more steps are left out there (the smallest never is)."""

LONGEST_RUN = 5 * 10**11
"""Most steps of one run; at a hundred million a second they take more than an hour."""

AVERAGED_STEPS = 10_000
"""Steps that a moving average covers: its noise, about 0.005, is a seventh of the 5 % that convergence is about."""

FINAL_SHARE = 0.25
"""Share of a run, at its end, that sets the final level."""

REFERENCE_GROUPS = 99
"""Simulated groups of five runs that the authors' five are ranked among: an exact test at a rate of 1 in 100."""

ENUMERABLE = 2**16
"""Deterministic window policies are enumerated up to this many."""

Verdict = Literal["reproduced", "not reproduced", "tautological", "undecided"]


class CancelledError(Exception):
    """A run was cancelled from outside."""


@dataclass(frozen=True)
class Experiment:
    """What to run; the defaults are the published experiment.

    Parameters
    ----------
    game : str
        "matching-pennies" or "prisoners-dilemma", the paper's two games.
    windows : tuple of int
        Joint actions remembered, each at least 1.
    epsilon : float > 0
        Accuracy in units of value, reward/(1-0.8).
    seeds : int
        Runs per window.
    agent : {"paper", "rmax"}
        The paper's agent with its departures (`rmax.PaperRmax`), or canonical R-max with m derived from epsilon and
        delta = 0.2.
    opponent : {"hidden", "window"}
        The paper's Q-learner with hidden values, or the same recomputed from the window: an exact MDP.
    seed : int
        Root of all random streams.

    Raises
    ------
    ValueError
        If a parameter is out of range; the message says how to mend it.
    """

    game: str = "matching-pennies"
    windows: tuple[int, ...] = (2, 3, 4)
    epsilon: float = 0.8
    seeds: int = 5
    agent: Literal["paper", "rmax"] = "paper"
    opponent: Literal["hidden", "window"] = "hidden"
    seed: int = 0

    def __post_init__(self) -> None:
        """Check everything that can be checked before the first run."""
        windows = _checks.several("windows", self.windows, "give different whole numbers, such as (2, 3, 4)")
        object.__setattr__(self, "windows", tuple(_checks.whole("window", window) for window in windows))
        for name in ("game", "agent", "opponent"):
            _checks.kind(name, getattr(self, name), str, mend="give a name in quotes")
        check_epsilon(self.epsilon)
        object.__setattr__(self, "epsilon", float(self.epsilon))
        if self.game not in ("matching-pennies", "prisoners-dilemma"):
            raise ValueError(
                f"unknown game {self.game!r}: the paper's games are matching-pennies and prisoners-dilemma"
            )
        if self.agent not in ("paper", "rmax"):
            raise ValueError(f"unknown agent {self.agent!r}: choose paper or rmax")
        if self.opponent not in ("hidden", "window"):
            raise ValueError(f"unknown opponent {self.opponent!r}: choose hidden or window")
        if not self.windows or len(set(self.windows)) < len(self.windows):
            raise ValueError(f"windows are {self.windows}: give different whole numbers, such as 2,3,4")
        give = "the number of runs per window, at least 1, at most 10000"
        _checks.whole("seeds", self.seeds, 1, 10**4, give)
        _checks.whole("seed", self.seed, 0, give="a non-negative integer")
        for window in self.windows:
            steps = episodes_of(meta_game(self, window), agent_of(self, self.epsilon)) * HORIZON
            if steps > LONGEST_RUN:
                raise ValueError(
                    f"window {window} at epsilon {self.epsilon:g} means 10^{math.log10(steps):.1f} steps per run, "
                    "which takes more than an hour: choose smaller windows or a larger epsilon"
                )

    @property
    def is_published(self) -> bool:
        """Whether game, epsilon, agent and opponent are those of the paper's figure."""
        chosen = (self.game, self.epsilon, self.agent, self.opponent)
        return chosen == ("matching-pennies", 0.8, "paper", "hidden")


@dataclass(frozen=True)
class Cell:
    """One run of an experiment."""

    game: str
    window: int
    epsilon: float
    seed: int
    agent: str
    opponent: str

    def key(self) -> tuple[int, ...]:
        """Return eight 32-bit words, the SHA-256 of the cell's canonical JSON: its own random stream."""
        text = json.dumps(asdict(self), sort_keys=True, separators=(",", ":"))
        return tuple(int(word) for word in np.frombuffer(hashlib.sha256(text.encode()).digest(), ">u4"))


@dataclass(frozen=True)
class Estimate:
    """A mean over seeds with its 95 % t interval; the ends are NaN for a single seed."""

    mean: float
    low: float
    high: float
    n: int


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


@dataclass(frozen=True, eq=False)
class Report:
    """Everything that `reproduce` found: curves as a table, results per window, yardsticks and claims."""

    experiment: Experiment
    curves: pd.DataFrame
    results: tuple[WindowResult, ...]
    second: tuple[WindowResult, ...]
    yardsticks: tuple[Yardstick, ...]
    claims: tuple[Claim, ...]

    def summary(self) -> dict[str, Any]:
        """Return all but the curves as plain JSON values (NaN becomes null)."""
        content = {
            "experiment": asdict(self.experiment),
            "discount": DISCOUNT,
            "horizon": HORIZON,
            "delta": DELTA,
            "results": [asdict(result) for result in self.results],
            "second_epsilon": [asdict(result) for result in self.second],
            "yardsticks": [asdict(yardstick) for yardstick in self.yardsticks],
            "claims": [asdict(claim) for claim in self.claims],
        }
        plain: dict[str, Any] = _without_nan(content)
        return plain


def _without_nan(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _without_nan(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_without_nan(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def meta_game(experiment: Experiment, window: int) -> WindowMetaGame:
    """Return the experiment's meta-game for a window."""
    opponent: QLearner | WindowOpponent = QLearner() if experiment.opponent == "hidden" else WindowQLearner()
    return WindowMetaGame(named_game(experiment.game), opponent, window, DISCOUNT, HORIZON)


def agent_of(experiment: Experiment, epsilon: float) -> Agent:
    """Return the experiment's agent for an epsilon."""
    if experiment.agent == "paper":
        return PaperRmax(epsilon=epsilon, delta=DELTA)
    return Rmax(epsilon=epsilon, delta=DELTA)


def episodes_of(game: WindowMetaGame, agent: Agent) -> int:
    """Return the meta-episodes of a run, 8 m |S|."""
    return EPISODES_PER_VISIT * derived_m(game, agent, horizon=HORIZON) * game.n_states


def official_curve() -> pd.DataFrame:
    """Return the learning curve measured on the authors' own code; see rfos/data/README.md."""
    source = importlib.resources.files("rfos") / "data" / "official_matching_pennies.csv"
    with importlib.resources.as_file(source) as path:
        return pd.read_csv(path)


def _estimate(values: Iterable[float], resolution: float = 0.0) -> Estimate:
    """Return mean and t interval of non-negative values, the interval widened by their resolution."""
    sample = np.array(list(values), np.float64)
    mean = float(sample.mean())
    if len(sample) < 2:
        return Estimate(mean, math.nan, math.nan, len(sample))
    half = float(stats.t.ppf(0.975, len(sample) - 1) * sample.std(ddof=1) / math.sqrt(len(sample))) + resolution
    return Estimate(mean, max(0.0, mean - half), mean + half, len(sample))


def _parallel(
    work: Callable[[Item], Value], items: Sequence[Item], jobs: int, cancelled: threading.Event
) -> list[Value]:
    """Return work(item) of all items in order, on threads: kernels release the GIL."""
    with ThreadPoolExecutor(jobs) as pool:
        futures: list[Future[Value]] = [pool.submit(work, item) for item in items]
        try:
            pending = set(futures)
            while pending:
                done, pending = wait(pending, timeout=0.2, return_when=FIRST_EXCEPTION)
                for future in done:
                    future.result()
        except BaseException:
            cancelled.set()
            for future in futures:
                future.cancel()
            raise
    return [future.result() for future in futures]


def _run_cell(experiment: Experiment, cell: Cell, bins: int, progress: Callable[[int], None]) -> Trace:
    game = meta_game(experiment, cell.window)
    agent = agent_of(experiment, cell.epsilon)
    episodes = episodes_of(game, agent)
    seeds = np.random.SeedSequence(experiment.seed, spawn_key=cell.key())
    return run(game, agent, episodes=episodes, bins=min(bins, episodes), rng=seeds, progress=progress)


def best_window_policy(
    game: WindowMetaGame, rng: int = 0, *, jobs: int = 1, cancelled: threading.Event | None = None
) -> Yardstick:
    """Estimate the largest mean reward per step of all deterministic window policies, by enumeration.

    Every policy plays against the hidden learner with the game's own restarts; the better part of them plays longer,
    four times over. The last one's reward is estimated anew on fresh draws, so the choice does not bias it upwards; as
    the best of the whole class it may be missed, so it is a lower bound for that.

    Parameters
    ----------
    game : WindowMetaGame
        With at most 2^16 deterministic window policies.
    rng : int
    jobs : int
        Threads.
    cancelled : threading.Event, optional
        Setting it ends the enumeration with CancelledError.

    Raises
    ------
    ValueError
        If there are too many policies to enumerate.
    """
    _checks.kind("game", game, WindowMetaGame)
    count = game.n_actions**game.n_states
    if count > ENUMERABLE:
        raise ValueError(f"{game.n_actions}^{game.n_states} window policies are too many to enumerate")
    flag = threading.Event() if cancelled is None else cancelled
    powers = game.n_actions ** np.arange(game.n_states, dtype=np.int64)
    world = game.world()

    def reward(policy: int, steps: int, stage: int) -> float:
        if flag.is_set():
            raise CancelledError
        behaviour = kernels.Behaviour(
            False, np.zeros((0, game.n_actions), np.int64), (policy // powers % game.n_actions)[None, :]
        )
        rows = game.n_states * game.n_actions
        memory = kernels.Memory(
            np.zeros(rows, np.int64), np.zeros((rows, game.branching), np.int64), np.zeros(rows, np.int64), 0, False
        )
        total = np.zeros(1)
        played = world, game.learners(), behaviour, memory, stream(rng, (stage,)), np.zeros(3, np.int64), total
        kernels.advance(*played, None, None, steps)
        return float(total[0]) / steps

    candidates = np.arange(count)
    for stage, (steps, keep) in enumerate([(2_000, 4_096), (20_000, 256), (200_000, 16), (2_000_000, 1)]):
        chunks = np.array_split(candidates, max(1, min(len(candidates), 8 * jobs)))

        def play(chunk: NDArray[np.int64], steps: int = steps, stage: int = stage) -> list[float]:
            return [reward(int(policy), steps, stage) for policy in chunk]

        rewards = np.concatenate(_parallel(play, chunks, jobs, flag))
        candidates = candidates[np.argsort(-rewards, kind="stable")[:keep]]
    # Batches of a million steps give the interval without assumptions about correlations.
    batches = _parallel(lambda stage: reward(int(candidates[0]), 10**6, stage), range(100, 108), jobs, flag)
    estimate = _estimate(batches)
    how = f"best found among all {count} deterministic window policies by successive halving, on fresh draws"
    return Yardstick("best window policy", game.window, estimate.mean, estimate.low, estimate.high, how)


def full_information(game: WindowMetaGame, rng: int = 0) -> Yardstick:
    """Estimate the reward per step of a shaper who sees the hidden learners' values and replies myopically."""
    _checks.kind("game", game, WindowMetaGame)
    if game.is_markov:
        raise ValueError("the opponents are functions of the window and hide nothing: take solved_optimum instead")
    world = game.world()
    batches = []
    for batch in range(8):
        state = stream(rng, (1000 + batch,))
        total = kernels.play_informed(world, game.learners(), state, 500_000, game.n_actions)
        batches.append(total / 500_000)
    estimate = _estimate(batches)
    how = "myopic best reply to the learner's hidden values, simulated"
    return Yardstick("full information, myopic", None, estimate.mean, estimate.low, estimate.high, how)


def solved_optimum(game: WindowMetaGame) -> Yardstick:
    """Return the largest mean reward per step of an episode from a uniformly random window, by backward induction."""
    _checks.kind("game", game, WindowMetaGame)
    mdp = game.to_mdp()
    values = np.zeros(mdp.n_states)
    q = np.empty((mdp.n_states, mdp.n_actions))
    for _ in range(HORIZON):
        mdp.storage.backup(mdp.rewards, 1.0, values, q)
        values = q.max(axis=1)
    reward = float(values.mean()) / HORIZON
    how = "solved by backward induction; the plan may depend on the step of the episode"
    return Yardstick("best plan for ten steps", game.window, reward, reward, reward, how)


def _yardsticks(experiment: Experiment, jobs: int, cancelled: threading.Event) -> tuple[Yardstick, ...]:
    games = [meta_game(experiment, window) for window in experiment.windows]
    if experiment.opponent == "window":
        return tuple(solved_optimum(game) for game in games)
    found = [
        best_window_policy(game, experiment.seed, jobs=jobs, cancelled=cancelled)
        for game in games
        if game.n_actions**game.n_states <= ENUMERABLE
    ]
    return (*found, full_information(games[0], experiment.seed))


def _times(
    traces: Sequence[Trace], what: Literal["converged", "all_known"], fraction: float = 0.95
) -> list[float] | None:
    """Return the episodes that each run took, or None if some run did not get there or is too short to tell."""
    found = []
    for t in traces:
        if what == "converged":
            average = -(-AVERAGED_STEPS * len(t.bin_end) // t.n_steps)
            # An average over much of the run would be a property of the run's length.
            too_short = 20 * average > len(t.bin_end)
            ends = t.bin_end // HORIZON
            end = (
                None
                if too_short
                else convergence(ends, t.mean_reward, fraction=fraction, average=average, final=FINAL_SHARE)
            )
        else:
            end = None if t.all_known_at is None else -(-t.all_known_at // HORIZON)
        if end is None:
            return None
        found.append(float(end))
    return found


def _result(experiment: Experiment, window: int, epsilon: float, traces: Sequence[Trace]) -> WindowResult:
    """Summarise the runs of one window and epsilon."""
    game = meta_game(experiment, window)
    trace = traces[0]
    converged, known = _times(traces, "converged"), _times(traces, "all_known")
    point = {"n_states": game.n_states, "n_actions": game.n_actions, "m": trace.m, "horizon": HORIZON, "delta": DELTA}
    greedy = bounds.rmax.x4().evaluate(**point)
    x4 = bounds.rmax.x4(softmax=experiment.agent == "paper").evaluate(**point)
    bracket = (int(x4["lower"]), int(x4["upper"]))
    bin_width = trace.n_steps / HORIZON / len(trace.bin_end)
    optimum: Solution | None = None
    finals: list[Solution] = []
    if game.is_markov:
        mdp = game.to_mdp()
        optimum = solve(mdp)
        finals = [evaluate_policy(mdp, t.action_probabilities) for t in traces if t.action_probabilities is not None]
    tail = max(1, round(FINAL_SHARE * len(trace.bin_end)))
    return WindowResult(
        window=window,
        n_states=game.n_states,
        epsilon=epsilon,
        m=trace.m,
        episodes=trace.n_steps // HORIZON,
        converged=None if converged is None else _estimate(converged, bin_width / 2),
        all_known=None if known is None else _estimate(known),
        x4=bracket,
        x4_greedy=int(greedy["upper"]),
        in_x4=0 if known is None else sum(bracket[0] <= k <= bracket[1] for k in known),
        published=PUBLISHED.get(window) if experiment.is_published and epsilon == experiment.epsilon else None,
        final_reward=_estimate(float(t.mean_reward[-tail:].mean()) for t in traces),
        steps_per_second=float(np.median([t.n_steps / t.seconds for t in traces])),
        coverage=f"{trace.coverage.theorem or 'no theorem'}: {trace.coverage.reason}",
        optimal_value=None if optimum is None else (float(optimum.lower.mean()), float(optimum.upper.mean())),
        final_value=_estimate(float(s.value.mean()) for s in finals) if finals else None,
        largest_gap=max(float((optimum.upper - s.lower).max()) for s in finals) if optimum and finals else None,
        progress=str(min((t.progress for t in traces), key=list(Progress).index)),
    )


def rank_among(observed: Float, simulated: Float, *, standardise: bool) -> int:
    """Return how many of the curves (the observed one among them) lie at least as far out as the observed one.

    How far out a curve lies is its largest distance over bins from the mean of the others, in their standard
    deviations where asked. All curves are treated alike, so under the null hypothesis that they share a law the rank is
    uniform: rank 1 of n has probability at most 1/n.

    Parameters
    ----------
    observed : ndarray, shape (bins,)
    simulated : ndarray, shape (n - 1, bins)
    standardise : bool
    """
    curves = np.vstack([observed, simulated])
    distances = np.empty(len(curves))
    for i in range(len(curves)):
        others = np.delete(curves, i, axis=0)
        distance = np.abs(curves[i] - others.mean(axis=0))
        if standardise:
            spread = others.std(axis=0, ddof=1)
            # Where the others agree, equal is no distance and different is infinite.
            distance = np.divide(distance, spread, out=np.where(distance > 0, np.inf, 0.0), where=spread > 0)
        distances[i] = distance.max()
    return int((distances >= distances[0]).sum())


def match_official(
    experiment: Experiment, *, jobs: int, cancelled: threading.Event, progress: Callable[[int], None]
) -> Claim:
    """Test whether the authors' five runs look like five of ours (claim 1)."""
    claim = "the authors' code is matched"
    rule = (
        f"exact Monte Carlo rank test among {REFERENCE_GROUPS} simulated groups of five runs, on the largest deviation "
        "over 100 bins of (a) the mean reward, standardised, (b) the known pairs; false-alarm rate 1 % each, 2 % in all"
    )
    if not experiment.is_published:
        reason = "the reference curve is of the paper's agent at epsilon 0.8 in Matching Pennies, hidden learner"
        return Claim(claim, "undecided", reason, rule)
    official = official_curve()
    cells = [Cell("matching-pennies", 2, 0.8, 10**6 + i, "paper", "hidden") for i in range(5 * REFERENCE_GROUPS)]
    traces = _parallel(lambda cell: _run_cell(experiment, cell, 100, progress), cells, jobs, cancelled)
    rewards = np.array([t.mean_reward for t in traces]).reshape(REFERENCE_GROUPS, 5, 100).mean(axis=1)
    known = np.array([t.known for t in traces]).reshape(REFERENCE_GROUPS, 5, 100).mean(axis=1)
    total = REFERENCE_GROUPS + 1
    ranks = (
        rank_among(official["mean_reward"].to_numpy(), rewards, standardise=True),
        rank_among(official["mean_known_pairs"].to_numpy(), known, standardise=False),
    )
    matched = min(ranks) > 1
    evidence = (
        f"{'not ' if matched else ''}told apart; "
        f"learning curve: rank {ranks[0]} of {total} (p = {ranks[0] / total:.2f}), "
        f"known pairs: rank {ranks[1]} of {total} (p = {ranks[1] / total:.2f})"
    )
    return Claim(claim, "reproduced" if matched else "not reproduced", evidence, rule)


CRITERION = (
    f"converged: in the middle of the first average over at least {AVERAGED_STEPS:,} steps from which on all averages "
    f"stay at or above 90 % or 95 % of the mean over the last {FINAL_SHARE:.0%} of the run (the paper states no "
    "criterion, so both must agree)"
)
FRACTIONS = (0.9, 0.95)
OTHER_SETTING = "not the paper's setting, so no verdict on its claim; "


def _decide(inside: Sequence[bool], outside: Sequence[bool]) -> Verdict:
    """Return the verdict if all criteria agree."""
    return "reproduced" if all(inside) else "not reproduced" if all(outside) else "undecided"


def _half_bin(runs: Sequence[Trace]) -> float:
    """Return by how many episodes a time of convergence may be off: it is read from bins of a curve."""
    return runs[0].n_steps / HORIZON / len(runs[0].bin_end) / 2


def _claim_constant(experiment: Experiment, traces: Mapping[int, Sequence[Trace]], sizes: Mapping[int, int]) -> Claim:
    claim = "convergence needs about 12 |S|^2 episodes"
    rule = (
        f"{CRITERION}; 95 % intervals of episodes/|S|^2, half a bin wider, all inside {ABOUT[0]:g} to {ABOUT[1]:g} (a "
        "factor 1.5 around 12): reproduced; one wholly outside: not reproduced; else undecided"
    )
    inside, outside, parts = [], [], []
    for fraction in FRACTIONS:
        scaled = {}
        for window, runs in traces.items():
            times = _times(runs, "converged", fraction)
            if times is None:
                return Claim(claim, "undecided", f"some run of window {window} does not converge or is too short", rule)
            squared = sizes[window] ** 2
            scaled[window] = _estimate((time / squared for time in times), _half_bin(runs) / squared)
        inside.append(all(ABOUT[0] <= e.low and e.high <= ABOUT[1] for e in scaled.values()))
        outside.append(any(e.high < ABOUT[0] or e.low > ABOUT[1] for e in scaled.values()))
        listed = ", ".join(f"window {w} {shown(e)}" for w, e in scaled.items())
        parts.append(f"{fraction:.0%} of the final level: {listed}")
    evidence = "; ".join(parts)
    if not experiment.is_published:
        return Claim(claim, "undecided", OTHER_SETTING + evidence, rule)
    return Claim(claim, _decide(inside, outside), evidence, rule)


def shown(estimate: Estimate, digits: int = 1, scale: float = 1.0) -> str:
    """Return a mean over `scale` with its interval as text, without one for a single seed."""
    text = f"{estimate.mean / scale:,.{digits}f}"
    if estimate.n < 2:
        return text
    return f"{text} ({estimate.low / scale:,.{digits}f} to {estimate.high / scale:,.{digits}f})"


def _claim_exponent(experiment: Experiment, traces: Mapping[int, Sequence[Trace]], sizes: Mapping[int, int]) -> Claim:
    claim = "the growth is quadratic in |S|"
    rule = (
        f"{CRITERION}; the log-log slope over all windows (95 % interval over runs and bins) and those between "
        f"neighbouring windows all inside {QUADRATIC[0]:g} to {QUADRATIC[1]:g}: reproduced; all outside: not "
        "reproduced; else undecided"
    )
    order = sorted(traces)
    if len(order) < 2:
        return Claim(claim, "undecided", "one window gives no slope: choose at least two", rule)
    inside, outside, parts = [], [], []
    measures: list[tuple[Literal["converged", "all_known"], float, str]] = [
        *(("converged", fraction, f"{fraction:.0%} of the final level") for fraction in FRACTIONS),
        ("all_known", 1.0, "all pairs known"),
    ]
    for what, fraction, label in measures:
        times = [_times(traces[w], what, fraction) for w in order]
        complete = [t for t in times if t is not None]
        if len(complete) < len(times):
            inside.append(False)
            outside.append(False)
            parts.append(f"{label}: some runs do not get there or are too short")
            continue
        fit = slope([sizes[w] for w in order], complete, [_half_bin(traces[w]) * (what == "converged") for w in order])
        means = [np.log(t).mean() for t in complete]
        local = np.diff(means) / np.diff(np.log([sizes[w] for w in order]))
        ends = fit.lacks or f"{fit.low:.2f} to {fit.high:.2f}"
        between = ", ".join(f"{x:.2f}" for x in local)
        parts.append(f"{label}: {fit.slope:.2f} ({ends}), between neighbouring windows {between}")
        if what == "converged":
            slopes = [fit.low, fit.high, *local]  # without an interval neither of the two
            inside.append(all(QUADRATIC[0] <= x <= QUADRATIC[1] for x in slopes))
            outside.append(all(x < QUADRATIC[0] for x in slopes) or all(x > QUADRATIC[1] for x in slopes))
    evidence = "; ".join(parts)
    if not experiment.is_published:
        return Claim(claim, "undecided", OTHER_SETTING + evidence, rule)
    return Claim(claim, _decide(inside, outside), evidence, rule)


def _claim_schedule(first: Sequence[WindowResult], second: Sequence[WindowResult]) -> Claim:
    claim = "the quadratic growth is set by the schedule"
    rule = (
        "m is proportional to |S| (within 1 %), the episodes until all pairs are known grow as m does at fixed |S| "
        "(within 15 %), and the runs lie in X4's bracket, which knows nothing of what is learned (its upper end may "
        "fail in 10 % of runs; more, at a false-alarm rate of 1 %, decides against): tautological"
    )
    rates = [r.m / r.n_states for r in first]
    if len(first) < 2 or max(rates) > 1.01 * min(rates):
        listed = ", ".join(f"{r.m:,} for |S| = {r.n_states}" for r in first)
        return Claim(claim, "undecided", f"no schedule proportional to |S| to judge: m is {listed}", rule)
    by_window = {r.window: r for r in first}
    parts = []
    proportional = bool(second)
    for other in second:
        one = by_window[other.window]
        if one.all_known is None or other.all_known is None:
            return Claim(claim, "undecided", f"some run of window {other.window} does not know all pairs", rule)
        growth, m_growth = other.all_known.mean / one.all_known.mean, other.m / one.m
        proportional = proportional and abs(growth / m_growth - 1) <= 0.15
        parts.append(
            f"window {other.window}: epsilon {one.epsilon:g} to {other.epsilon:g} multiplies m by {m_growth:.2f} "
            f"and the episodes by {growth:.2f}"
        )
    settings = [*first, *second]
    inside = sum(r.in_x4 for r in settings)
    runs = sum(r.final_reward.n for r in settings)
    parts.append(f"{inside} of {runs} runs lie in X4's bracket")
    plausible = stats.binom.cdf(inside, runs, 1 - DELTA / 2) > 0.01
    return Claim(claim, "tautological" if proportional and plausible else "not reproduced", "; ".join(parts), rule)


def reproduce(
    experiment: Experiment | None = None,
    *,
    jobs: int | None = None,
    progress: Callable[[int, int], None] | None = None,
    cancelled: threading.Event | None = None,
) -> Report:
    """Run the experiment and decide on each claim.

    Parameters
    ----------
    experiment : Experiment, optional
        Default: the published one.
    jobs : int, optional
        Threads; default all processors. Results do not depend on it.
    progress : callable, optional
        Called with (steps just played, steps in all), from worker threads.
    cancelled : threading.Event, optional
        Setting it ends everything with CancelledError, within one bin.

    Returns
    -------
    Report

    Raises
    ------
    ValueError
        If `jobs` is below 1.
    """
    chosen = Experiment() if experiment is None else experiment
    _checks.kind("experiment", chosen, Experiment)
    workers = processors() if jobs is None else _checks.whole("jobs", jobs, give="at least 1 thread")
    flag = threading.Event() if cancelled is None else cancelled

    def steps_of(window: int, epsilon: float) -> int:
        return episodes_of(meta_game(chosen, window), agent_of(chosen, epsilon)) * HORIZON

    second_epsilon = round(chosen.epsilon * SECOND_EPSILON, 12)
    smallest = min(chosen.windows)
    second = [w for w in chosen.windows if w == smallest or steps_of(w, second_epsilon) <= LONGEST_SECOND_RUN]
    settings = [(w, chosen.epsilon) for w in chosen.windows] + [(w, second_epsilon) for w in second]
    cells = [
        Cell(chosen.game, window, epsilon, seed, chosen.agent, chosen.opponent)
        for window, epsilon in settings
        for seed in range(chosen.seeds)
    ]
    total = sum(steps_of(cell.window, cell.epsilon) for cell in cells)
    if chosen.is_published:
        total += 5 * REFERENCE_GROUPS * steps_of(2, 0.8)

    def tick(steps: int) -> None:
        if flag.is_set():
            raise CancelledError
        if progress is not None:
            progress(steps, total)

    # Kernels compile here, not inside the first run that is timed.
    _warm_up(chosen)
    # The longest runs go first, so that the threads end together.
    order = sorted(cells, key=lambda cell: -steps_of(cell.window, cell.epsilon))
    traces = dict(
        zip(order, _parallel(lambda cell: _run_cell(chosen, cell, BINS, tick), order, workers, flag), strict=True)
    )
    grouped = {setting: [traces[c] for c in cells if (c.window, c.epsilon) == setting] for setting in settings}
    results = tuple(_result(chosen, w, chosen.epsilon, grouped[w, chosen.epsilon]) for w in chosen.windows)
    seconds = tuple(_result(chosen, w, second_epsilon, grouped[w, second_epsilon]) for w in second)
    by_window = {w: grouped[w, chosen.epsilon] for w in chosen.windows}
    sizes = {r.window: r.n_states for r in results}
    claims = (
        match_official(chosen, jobs=workers, cancelled=flag, progress=tick),
        _claim_constant(chosen, by_window, sizes),
        _claim_exponent(chosen, by_window, sizes),
        _claim_schedule(results, seconds),
    )
    return Report(
        experiment=chosen,
        curves=_curves(cells, traces),
        results=results,
        second=seconds,
        yardsticks=_yardsticks(chosen, workers, flag),
        claims=claims,
    )


def _warm_up(experiment: Experiment) -> None:
    """Run one episode of a small game, so that everything is compiled."""
    small = meta_game(experiment, 1)
    agent = PaperRmax(m=1) if experiment.agent == "paper" else Rmax(m=1, epsilon=experiment.epsilon)
    run(small, agent, episodes=10, rng=0)


def _curves(cells: Sequence[Cell], traces: dict[Cell, Trace]) -> pd.DataFrame:
    frames = []
    for cell in cells:
        trace = traces[cell]
        frames.append(
            pd.DataFrame(
                {
                    "game": cell.game,
                    "window": cell.window,
                    "epsilon": cell.epsilon,
                    "seed": cell.seed,
                    "bin": np.arange(len(trace.bin_end)),
                    "episode_end": trace.bin_end // HORIZON,
                    "mean_reward": trace.mean_reward,
                    "known_pairs": trace.known,
                }
            )
        )
    return pd.concat(frames, ignore_index=True)


def curve_bands(curves: pd.DataFrame, epsilon: float, points: int = 60) -> pd.DataFrame:
    """Return each window's curve at one epsilon on a logarithmic grid of episodes, for a figure.

    Parameters
    ----------
    curves : DataFrame
        `Report.curves`.
    epsilon : float
    points : int
        Largest number of grid points per window; the bins between two of them are averaged.

    Returns
    -------
    DataFrame
        Columns window, episode (middle of the bins averaged), mean, low and high (over seeds).
    """
    chosen = curves[curves["epsilon"] == epsilon]
    frames = []
    for window, curve in chosen.groupby("window"):
        table = curve.pivot_table(index="episode_end", columns="seed", values="mean_reward")
        edges = np.unique(np.geomspace(1, len(table), points).astype(int))
        group = np.searchsorted(edges, np.arange(1, len(table) + 1))
        means = table.groupby(group).mean()
        ends = pd.Series(table.index, index=group).groupby(level=0).max().to_numpy()
        frames.append(
            pd.DataFrame(
                {
                    "window": window,
                    "episode": (np.append(0, ends[:-1]) + ends) / 2,
                    "mean": means.mean(axis=1).to_numpy(),
                    "low": means.min(axis=1).to_numpy(),
                    "high": means.max(axis=1).to_numpy(),
                }
            )
        )
    return pd.concat(frames, ignore_index=True)
