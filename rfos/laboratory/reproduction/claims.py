"""The published claims, each with a verdict."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal

import numpy as np
from scipy import stats

from rfos.laboratory.reproduction.estimates import estimate_of, shown
from rfos.laboratory.reproduction.experiment import AVERAGED_STEPS, DELTA, FINAL_SHARE, HORIZON, Experiment
from rfos.laboratory.reproduction.results import Claim, Verdict, WindowResult
from rfos.laboratory.statistics import slope
from rfos.learning.convergence import convergence
from rfos.learning.trace import Trace

ABOUT = (8.0, 18.0)
"""What "about 12" may mean: within a factor of 1.5."""

QUADRATIC = (1.75, 2.25)
"""What "quadratic" may mean for a fitted exponent."""


def times_of(
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


def claim_constant(experiment: Experiment, traces: Mapping[int, Sequence[Trace]], sizes: Mapping[int, int]) -> Claim:
    """Judge the published constant: about 12 |S|^2 episodes."""
    claim = "convergence needs about 12 |S|^2 episodes"
    rule = (
        f"{CRITERION}; 95 % intervals of episodes/|S|^2, half a bin wider, all inside {ABOUT[0]:g} to {ABOUT[1]:g} (a "
        "factor 1.5 around 12): reproduced; one wholly outside: not reproduced; else undecided"
    )
    inside, outside, parts = [], [], []
    for fraction in FRACTIONS:
        scaled = {}
        for window, runs in traces.items():
            times = times_of(runs, "converged", fraction)
            if times is None:
                return Claim(claim, "undecided", f"some run of window {window} does not converge or is too short", rule)
            squared = sizes[window] ** 2
            scaled[window] = estimate_of((time / squared for time in times), _half_bin(runs) / squared)
        inside.append(all(ABOUT[0] <= e.low and e.high <= ABOUT[1] for e in scaled.values()))
        outside.append(any(e.high < ABOUT[0] or e.low > ABOUT[1] for e in scaled.values()))
        listed = ", ".join(f"window {w} {shown(e)}" for w, e in scaled.items())
        parts.append(f"{fraction:.0%} of the final level: {listed}")
    evidence = "; ".join(parts)
    if not experiment.is_published:
        return Claim(claim, "undecided", OTHER_SETTING + evidence, rule)
    return Claim(claim, _decide(inside, outside), evidence, rule)


def claim_exponent(experiment: Experiment, traces: Mapping[int, Sequence[Trace]], sizes: Mapping[int, int]) -> Claim:
    """Judge the published exponent: quadratic in |S|."""
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
        times = [times_of(traces[w], what, fraction) for w in order]
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


def claim_schedule(first: Sequence[WindowResult], second: Sequence[WindowResult]) -> Claim:
    """Judge whether the schedule alone sets that exponent."""
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
