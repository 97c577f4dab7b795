"""`rfos reproduce`: the paper's experiment and a verdict on each of its claims."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from rfos.commands import options
from rfos.commands.options import AS_JSON, number, table, whole, whole_numbers

if TYPE_CHECKING:
    from rfos.laboratory.reproduction.estimates import Estimate
    from rfos.laboratory.reproduction.report import Report
    from rfos.laboratory.reproduction.results import WindowResult

DEFAULT_OUT = Path("results")


def _interval(estimate: Estimate | None, scale: float = 1.0, digits: int = 1) -> str:
    """Return an estimate over a scale as text."""
    from rfos.laboratory.reproduction.estimates import shown

    return "not determined" if estimate is None else shown(estimate, digits, scale)


def _window_table(report: Report) -> str:
    """Return a column per window: sizes, episodes beside the paper's, rewards beside yardsticks."""
    e = report.experiment
    exact = e.opponent == "window"
    best = {y.window: f"{y.reward:.3f}" for y in report.yardsticks if y.window is not None}
    full = next((f"{y.reward:.3f}" for y in report.yardsticks if y.window is None), None)

    def row(heading: str, cell: Callable[[WindowResult], str]) -> tuple[str, list[str]]:
        return heading, [cell(result) for result in report.results]

    def published(result: WindowResult) -> str:
        if result.published is None:
            return "-"
        return f"{result.published * result.n_states**2:,} = {result.published} |S|^2"

    rows = [
        row("window", lambda r: str(r.window)),
        row("meta-states |S|", lambda r: str(r.n_states)),
        row("visits m", lambda r: f"{r.m:,}"),
        row("meta-episodes played", lambda r: f"{r.episodes:,}"),
        row("to 95 % of the final level", lambda r: _interval(r.converged, digits=0)),
        row("  over |S|^2", lambda r: _interval(r.converged, r.n_states**2)),
        row("  published", published),
        row("pairs known in the end", lambda r: r.progress),
        row("until all pairs are known", lambda r: _interval(r.all_known, digits=0)),
        row("  over |S|^2", lambda r: _interval(r.all_known, r.n_states**2)),
        row("  X4, 90 % of runs", lambda r: f"{r.x4[0]:,} to {r.x4[1]:,}"),
        *([row("  X4 for greedy play", lambda r: f"{r.x4[0]:,} to {r.x4_greedy:,}")] if e.agent == "paper" else []),
        row("final reward per step", lambda r: _interval(r.final_reward, digits=4)),
        row(
            "  best plan for ten steps" if exact else "  best window policy, at least",
            lambda r: best.get(r.window, "not enumerable"),
        ),
    ]
    if full is not None:
        rows.append(row("  full information, myopic", lambda _: full))
    if exact:
        rows += [
            row("optimal value V*, mean", lambda r: "{:.6f} to {:.6f}".format(*r.optimal_value or (0.0, 0.0))),
            row("value of the final policy", lambda r: _interval(r.final_value, digits=4)),
            row("largest gap to V*", lambda r: "-" if r.largest_gap is None else f"{r.largest_gap:.4f}"),
        ]
    rows.append(row("steps per second and core", lambda r: f"{r.steps_per_second / 1e6:,.0f} million"))
    (first, *windows), *others = [[heading, *cells] for heading, cells in rows]
    return table([first, *windows], others)


def _print_report(report: Report, echo: Callable[[str], None]) -> None:
    """Print the table, what covers the runs, and the claims."""
    from rfos.learning.agents import DEPARTURES
    from rfos.learning.trace import NOTHING_YET, Progress

    e = report.experiment
    seeds = "1 seed" if e.seeds == 1 else f"{e.seeds} seeds"
    echo(f"{e.game}, agent {e.agent}, opponent {e.opponent}, epsilon {e.epsilon:g}, {seeds}; 95 % intervals\n")
    echo(_window_table(report))
    idle = [str(result.window) for result in report.results if result.progress == Progress.NONE]
    if idle:
        echo(f"\nwindow {', '.join(idle)}: {NOTHING_YET}; give more episodes or a larger epsilon.")
    if e.opponent == "hidden":
        echo("\nV* and the gap to it are not defined here: the opponent's state is hidden, the meta-game is no MDP.")
    echo(f"These runs are covered by {report.results[0].coverage}.")
    if e.agent == "paper":
        listed = DEPARTURES if e.opponent == "hidden" else DEPARTURES[:-1]
        echo("The preset departs from R-max: " + "; ".join(f"({i}) {text}" for i, text in enumerate(listed, 1)) + ".")
    for claim in report.claims:
        echo(f"\n{claim.verdict.upper()}: {claim.claim}\n  evidence: {claim.evidence}\n  rule: {claim.rule}")


def reproduce(
    windows: Annotated[str, typer.Option(help="Joint actions remembered, separated by commas.")] = "2,3,4",
    epsilon: Annotated[
        float, typer.Option(parser=number, metavar="NUMBER", help="Accuracy in units of value, reward/(1-0.8).")
    ] = 0.8,
    seeds: Annotated[int, typer.Option(parser=whole, metavar="N", help="Runs per window.")] = 5,
    game: Annotated[str, typer.Option(help="matching-pennies or prisoners-dilemma.")] = "matching-pennies",
    agent: Annotated[str, typer.Option(help="paper (the preset with its departures) or rmax (canonical).")] = "paper",
    opponent: Annotated[
        str, typer.Option(help="hidden (the paper's learner) or window (the same recomputed: an exact MDP).")
    ] = "hidden",
    jobs: Annotated[
        int | None, typer.Option(parser=whole, metavar="N", help="Threads; default: all processors.")
    ] = None,
    out: Annotated[Path, typer.Option(help="Folder for tables and figures.")] = DEFAULT_OUT,
    seed: Annotated[int, typer.Option(parser=whole, metavar="N", help="Root of all random streams.")] = 0,
    as_json: Annotated[bool, AS_JSON] = False,
) -> None:
    """Run the paper's experiment and print a verdict on each published claim."""
    from rfos._system.files import atomic, require_writable

    numbers = whole_numbers(windows, "--windows")
    require_writable(out)

    import threading

    from tqdm import tqdm

    from rfos import plots
    from rfos.laboratory.reproduction import curves, published
    from rfos.laboratory.reproduction import reproduce as reproduction
    from rfos.laboratory.reproduction.experiment import HORIZON, Experiment

    choice: dict[str, Any] = {"game": game, "agent": agent, "opponent": opponent}
    experiment = Experiment(windows=numbers, epsilon=epsilon, seeds=seeds, seed=seed, **choice)
    lock = threading.Lock()
    with tqdm(unit="step", unit_scale=True, disable=None, file=sys.stderr, desc="playing") as bar:

        def tick(steps: int, total: int) -> None:
            with lock:
                bar.total = total
                bar.update(steps)

        report = reproduction.reproduce(experiment, jobs=jobs, progress=tick)
    out.mkdir(parents=True, exist_ok=True)
    with atomic(out / "curves.csv") as path:
        report.curves.to_csv(path, index=False)
    with atomic(out / "summary.json") as path:
        path.write_text(options.as_json(report.summary(), indent=2) + "\n")
    official = published.official_curve() if experiment.is_published and 2 in numbers else None
    figures = {
        "learning_curves": plots.learning_curves(
            curves.curve_bands(report.curves, epsilon),
            report.yardsticks,
            official,
            episode_length=HORIZON,
        ),
        "episodes_against_states": plots.episodes_against_states(report.results),
    }
    for name, drawn in figures.items():
        for suffix in (".png", ".svg"):
            with atomic(out / f"{name}{suffix}") as path:
                plots.figure_of(drawn).savefig(path, dpi=160)
    if as_json:
        typer.echo(options.as_json(report.summary()))
    else:
        _print_report(report, typer.echo)
    typer.echo(f"\nwritten to {out}: curves.csv, summary.json, {', '.join(figures)} (.png, .svg)", err=True)
    if report.claims[0].verdict == "not reproduced":
        raise typer.Exit(1)
