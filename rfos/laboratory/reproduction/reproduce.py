"""Running the experiment, and what came of it."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence

import numpy as np

import bounds.rmax
from rfos._system import checks
from rfos._system.threads import processors
from rfos.laboratory.reproduction.claims import claim_constant, claim_exponent, claim_schedule, times_of
from rfos.laboratory.reproduction.curves import learning_curves
from rfos.laboratory.reproduction.estimates import estimate_of
from rfos.laboratory.reproduction.experiment import (
    BINS,
    DELTA,
    FINAL_SHARE,
    HORIZON,
    Experiment,
    agent_of,
    episodes_of,
    meta_game,
)
from rfos.laboratory.reproduction.parallel import CancelledError, parallel
from rfos.laboratory.reproduction.published import PUBLISHED, REFERENCE_GROUPS, match_official
from rfos.laboratory.reproduction.report import Report
from rfos.laboratory.reproduction.results import WindowResult
from rfos.laboratory.reproduction.runs import Run, play_run
from rfos.laboratory.reproduction.yardsticks import yardsticks_of
from rfos.learning.agents import PaperRmax, Rmax
from rfos.learning.run import run
from rfos.learning.trace import Progress, Trace
from rfos.planning.evaluate import evaluate_policy
from rfos.planning.solution import Solution
from rfos.planning.solve import solve

SECOND_EPSILON = 0.625
"""The second epsilon is this times the first, which multiplies m by 2.56."""

LONGEST_SECOND_RUN = 10**8
"""Windows whose run at the second epsilon would take more steps are left out there (the smallest never is)."""


def _result(experiment: Experiment, window: int, epsilon: float, traces: Sequence[Trace]) -> WindowResult:
    """Summarise the runs of one window and epsilon."""
    game = meta_game(experiment, window)
    trace = traces[0]
    m = int(trace.m or 0)
    converged, known = times_of(traces, "converged"), times_of(traces, "all_known")
    point = {"n_states": game.n_states, "n_actions": game.n_actions, "m": m, "horizon": HORIZON, "delta": DELTA}
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
        m=m,
        episodes=trace.n_steps // HORIZON,
        converged=None if converged is None else estimate_of(converged, bin_width / 2),
        all_known=None if known is None else estimate_of(known),
        x4=bracket,
        x4_greedy=int(greedy["upper"]),
        in_x4=0 if known is None else sum(bracket[0] <= k <= bracket[1] for k in known),
        published=PUBLISHED.get(window) if experiment.is_published and epsilon == experiment.epsilon else None,
        final_reward=estimate_of(float(t.mean_reward[-tail:].mean()) for t in traces),
        steps_per_second=float(np.median([t.n_steps / t.seconds for t in traces])),
        coverage=str(trace.coverage),
        optimal_value=None if optimum is None else (float(optimum.lower.mean()), float(optimum.upper.mean())),
        final_value=estimate_of(float(s.value.mean()) for s in finals) if finals else None,
        largest_gap=max(float((optimum.upper - s.lower).max()) for s in finals) if optimum and finals else None,
        progress=str(min((t.progress for t in traces), key=list(Progress).index)),
    )


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
    checks.kind("experiment", chosen, Experiment)
    workers = processors() if jobs is None else checks.whole("jobs", jobs, give="at least 1 thread")
    flag = threading.Event() if cancelled is None else cancelled

    def steps_of(window: int, epsilon: float) -> int:
        return episodes_of(meta_game(chosen, window), agent_of(chosen, epsilon)) * HORIZON

    second_epsilon = round(chosen.epsilon * SECOND_EPSILON, 12)
    smallest = min(chosen.windows)
    second = [w for w in chosen.windows if w == smallest or steps_of(w, second_epsilon) <= LONGEST_SECOND_RUN]
    settings = [(w, chosen.epsilon) for w in chosen.windows] + [(w, second_epsilon) for w in second]
    runs = [
        Run(chosen.game, window, epsilon, seed, chosen.agent, chosen.opponent)
        for window, epsilon in settings
        for seed in range(chosen.seeds)
    ]
    total = sum(steps_of(one.window, one.epsilon) for one in runs)
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
    order = sorted(runs, key=lambda one: -steps_of(one.window, one.epsilon))
    traces = dict(
        zip(order, parallel(lambda one: play_run(chosen, one, BINS, tick), order, workers, flag), strict=True)
    )
    grouped = {setting: [traces[one] for one in runs if (one.window, one.epsilon) == setting] for setting in settings}
    results = tuple(_result(chosen, w, chosen.epsilon, grouped[w, chosen.epsilon]) for w in chosen.windows)
    seconds = tuple(_result(chosen, w, second_epsilon, grouped[w, second_epsilon]) for w in second)
    by_window = {w: grouped[w, chosen.epsilon] for w in chosen.windows}
    sizes = {r.window: r.n_states for r in results}
    claims = (
        match_official(chosen, jobs=workers, cancelled=flag, progress=tick),
        claim_constant(chosen, by_window, sizes),
        claim_exponent(chosen, by_window, sizes),
        claim_schedule(results, seconds),
    )
    return Report(
        experiment=chosen,
        curves=learning_curves(runs, traces),
        results=results,
        second=seconds,
        yardsticks=yardsticks_of(chosen, workers, flag),
        claims=claims,
    )


def _warm_up(experiment: Experiment) -> None:
    """Run one episode of a small game, so that everything is compiled."""
    small = meta_game(experiment, 1)
    agent = PaperRmax(m=1) if experiment.agent == "paper" else Rmax(m=1, epsilon=experiment.epsilon)
    run(small, agent, episodes=10, rng=0)
