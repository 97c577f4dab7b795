"""The commands. Results go to stdout, progress and messages to stderr.

Exit status: 0 done, 1 a check failed, 2 bad input (one line that says what and how to mend it), 130 interrupted by
Ctrl-C, 141 nobody reads the results any more. Messages that nobody can read change nothing.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from rfos import __version__, cli_bound, cli_sweep, cli_verify
from rfos._streams import ReaderGone, standard_streams

if TYPE_CHECKING:
    from rfos.reproduction import Estimate, Report, WindowResult

app = typer.Typer(
    help="The sample-complexity theory of opponent shaping, executable.",
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)

DEFAULT_OUT = Path("results")
INTERRUPTED = 130
READER_GONE = 141


@app.callback(invoke_without_command=True)
def _commands(
    context: typer.Context, version: Annotated[bool, typer.Option("--version", help="Print the version.")] = False
) -> None:
    """Make the sample-complexity theory of opponent shaping executable."""
    if version:
        typer.echo(f"rfos {__version__}")
        raise typer.Exit()
    if context.invoked_subcommand is None:
        typer.echo(context.get_help())


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise typer.BadParameter(f"{text!r} is no number") from None


def _whole(text: str) -> int:
    try:
        return int(text)
    except ValueError:
        raise typer.BadParameter(f"{text!r} is no whole number") from None


def _whole_numbers(text: str, option: str) -> tuple[int, ...]:
    try:
        return tuple(int(part) for part in text.split(","))
    except ValueError:
        raise ValueError(f"{option} is {text!r}: give whole numbers separated by commas, such as 2,3,4") from None


def _interval(estimate: Estimate | None, scale: float = 1.0, digits: int = 1) -> str:
    from rfos.reproduction import shown

    return "not determined" if estimate is None else shown(estimate, digits, scale)


def _table(rows: list[tuple[str, list[str]]]) -> str:
    """Return rows of (heading, cells) as aligned text."""
    first = max(len(heading) for heading, _ in rows)
    widths = [max(len(cells[i]) for _, cells in rows) for i in range(len(rows[0][1]))]
    lines = []
    for heading, cells in rows:
        padded = "  ".join(cell.rjust(width) for cell, width in zip(cells, widths, strict=True))
        lines.append(f"{heading.ljust(first)}  {padded}".rstrip())
    lines.insert(1, "-" * max(len(line) for line in lines))
    return "\n".join(lines)


def _window_table(report: Report) -> str:
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
    return _table(rows)


def _print_report(report: Report, echo: Callable[[str], None]) -> None:
    from rfos.rmax import DEPARTURES, NOTHING_YET, Progress

    e = report.experiment
    seeds = "1 seed" if e.seeds == 1 else f"{e.seeds} seeds"
    echo(f"{e.game}, agent {e.agent}, opponent {e.opponent}, epsilon {e.epsilon:g}, {seeds}; 95 % intervals\n")
    echo(_window_table(report))
    idle = [str(result.window) for result in report.results if result.progress == Progress.NONE]
    if idle:
        echo(f"\nwindow {', '.join(idle)}: {NOTHING_YET}; give more episodes or a larger epsilon.")
    if e.opponent == "hidden":
        echo("\nV* and the gap to it are not defined here: the opponent's state is hidden, the meta-game is no MDP.")
    theorem, _, reason = report.results[0].coverage.partition(": ")
    echo(f"{theorem[0].upper()}{theorem[1:]} covers these runs: {reason}.")
    if e.agent == "paper":
        listed = DEPARTURES if e.opponent == "hidden" else DEPARTURES[:-1]
        echo("The preset departs from R-max: " + "; ".join(f"({i}) {text}" for i, text in enumerate(listed, 1)) + ".")
    for claim in report.claims:
        echo(f"\n{claim.verdict.upper()}: {claim.claim}\n  evidence: {claim.evidence}\n  rule: {claim.rule}")


@app.command()
def reproduce(
    windows: Annotated[str, typer.Option(help="Joint actions remembered, separated by commas.")] = "2,3,4",
    epsilon: Annotated[
        float, typer.Option(parser=_number, metavar="NUMBER", help="Accuracy in units of value, reward/(1-0.8).")
    ] = 0.8,
    seeds: Annotated[int, typer.Option(parser=_whole, metavar="N", help="Runs per window.")] = 5,
    game: Annotated[str, typer.Option(help="matching-pennies or prisoners-dilemma.")] = "matching-pennies",
    agent: Annotated[str, typer.Option(help="paper (the preset with its departures) or rmax (canonical).")] = "paper",
    opponent: Annotated[
        str, typer.Option(help="hidden (the paper's learner) or window (the same recomputed: an exact MDP).")
    ] = "hidden",
    jobs: Annotated[
        int | None, typer.Option(parser=_whole, metavar="N", help="Threads; default: all processors.")
    ] = None,
    out: Annotated[Path, typer.Option(help="Folder for tables and figures.")] = DEFAULT_OUT,
    seed: Annotated[int, typer.Option(parser=_whole, metavar="N", help="Root of all random streams.")] = 0,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Run the paper's experiment and print a verdict on each published claim."""
    from rfos._files import atomic, require_writable

    numbers = _whole_numbers(windows, "--windows")
    require_writable(out)

    import threading

    from tqdm import tqdm

    from rfos import reproduction

    choice: dict[str, Any] = {"game": game, "agent": agent, "opponent": opponent}
    experiment = reproduction.Experiment(windows=numbers, epsilon=epsilon, seeds=seeds, seed=seed, **choice)
    from rfos import plots  # after bad input is refused: it takes a second to import

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
        path.write_text(json.dumps(report.summary(), indent=2) + "\n")
    official = reproduction.official_curve() if experiment.is_published and 2 in numbers else None
    figures = {
        "learning_curves": plots.learning_curves(
            reproduction.curve_bands(report.curves, epsilon),
            report.yardsticks,
            official,
            episode_length=reproduction.HORIZON,
        ),
        "episodes_against_states": plots.episodes_against_states(report.results),
    }
    for name, figure in figures.items():
        for suffix in (".png", ".svg"):
            with atomic(out / f"{name}{suffix}") as path:
                figure.savefig(path, dpi=160)
    if as_json:
        typer.echo(json.dumps(report.summary()))
    else:
        _print_report(report, typer.echo)
    typer.echo(f"\nwritten to {out}: curves.csv, summary.json, {', '.join(figures)} (.png, .svg)", err=True)
    if report.claims[0].verdict == "not reproduced":
        raise typer.Exit(1)


@app.command()
def solve(
    game: Annotated[
        str,
        typer.Argument(
            help="A named game; ipd and imp are the Prisoner's Dilemma and Matching Pennies of M-FOS, which plays "
            "chicken once: --inner-discount 0. public-goods-N is for N players. An unknown name lists them."
        ),
    ],
    opponent: Annotated[
        str,
        typer.Option(
            help="How the opponents learn: naive, lola (first-order, as in M-FOS), lola-exact (the look-ahead itself), "
            "lola-shaping (the rule that Foerster et al. 2018 print), best-response (a meta-step later), "
            "best-response-within (in the same one, as in M-FOS), smoothed-best-response, fictitious-play, q-learner, "
            "or fixed: from random starts, never moving. Or what they always play: always-cooperate (action 0), "
            "always-defect (action 1), random and, in iterated games of two, tit-for-tat, win-stay-lose-shift."
        ),
    ] = "naive",
    levels: Annotated[
        str | None,
        typer.Option(
            help="Levels per probability: how many, or which, by commas. Default: as many as are solved in seconds, 5 "
            "for memory-one policies of two, 101 for games of two played once.",
            show_default=False,
        ),
    ] = None,
    rounding: Annotated[str, typer.Option(help="barycentric or nearest.")] = "barycentric",
    discount: Annotated[float, typer.Option(parser=_number, metavar="NUMBER", help="Meta discount.")] = 0.99,
    inner_discount: Annotated[
        float, typer.Option(parser=_number, metavar="NUMBER", help="Inner discount; 0: one-shot.")
    ] = 0.96,
    joint: Annotated[
        bool, typer.Option("--joint", help="The papers' meta-state: the joint policy last played.")
    ] = False,
    step: Annotated[
        float | None,
        typer.Option(
            parser=_number,
            metavar="NUMBER",
            help="The opponents' step size on the un-normalised return, of naive and lola. Default: 1, as in M-FOS.",
            show_default=False,
        ),
    ] = None,
    starts: Annotated[
        int | None,
        typer.Option(
            parser=_whole,
            metavar="N",
            help="Random starts. Default: from 64 doubled until intervals are narrow.",
            show_default=False,
        ),
    ] = None,
    steps: Annotated[int, typer.Option(parser=_whole, metavar="N", help="Meta-steps of a roll-out.")] = 100,
    epsilon: Annotated[
        float,
        typer.Option(
            parser=_number,
            metavar="NUMBER",
            help="Width of the certified brackets on the grid, in units of value: rewards per inner step / (1 - "
            "discount).",
        ),
    ] = 1e-3,
    reset: Annotated[
        str, typer.Option(help="random: begin at random policies; move: after the opponents learned once, as in M-FOS.")
    ] = "random",
    out: Annotated[Path | None, typer.Option(help="Folder for the figure of a roll-out.", show_default=False)] = None,
    policy: Annotated[
        Path | None,
        typer.Option(
            help="File for the shaping policy, .npz; rfos.load_shaper(FILE)(opponents) plays it.",
            metavar="FILE",
            show_default=False,
        ),
    ] = None,
    seed: Annotated[int, typer.Option(parser=_whole, metavar="N", help="Root of the random starts.")] = 0,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Solve the meta-game of policies and print what shaping is worth in the continuous game."""
    from rfos._files import require_writable

    if out is not None:
        require_writable(out)
    from rfos import cli_solve
    from rfos.shaper import shaper_path

    if policy is not None:
        require_writable(shaper_path(policy).parent, "--policy")
    choice: dict[str, Any] = {"rounding": rounding, "reset": reset}
    request = cli_solve.Request(
        game,
        opponent,
        levels,
        discount=discount,
        inner_discount=inner_discount,
        joint=joint,
        step=step,
        starts=starts,
        steps=steps,
        epsilon=epsilon,
        seed=seed,
        **choice,
    )
    found = cli_solve.answer(request, lambda text: typer.echo(text, err=True))
    if out is not None:
        cli_solve.draw(found, out)
        typer.echo(f"written to {out}: trajectory (.png, .svg)", err=True)
    if policy is not None:
        found.solution.save(policy)
        typer.echo(f"written to {policy}: the {found.shaper} of this solution", err=True)
    if as_json:
        typer.echo(cli_solve.as_json(found))
    else:
        cli_solve.show(found, typer.echo)


app.command("bound")(cli_bound.bound)
app.command("verify")(cli_verify.verify)
app.command("sweep")(cli_sweep.sweep)
app.command("report")(cli_sweep.report)


def main(arguments: list[str] | None = None) -> None:
    """Run a command; exit as the module docstring says."""
    with standard_streams():
        status = _status(arguments)
    sys.exit(status)


def _status(arguments: list[str] | None) -> int:
    """Run a command; return its exit status."""
    usage_error: Any = typer.BadParameter.__base__
    try:
        status = app(args=arguments, standalone_mode=False)
        sys.stdout.flush()
    except usage_error as error:
        message = error.format_message().replace("\n", " ")
        typer.echo(f"rfos: {message} (see rfos --help)", err=True)
        return 2
    except (ValueError, MemoryError, OSError) as error:
        typer.echo(f"rfos: {error}", err=True)
        return 2
    except ReaderGone:
        return READER_GONE
    except (KeyboardInterrupt, typer.Abort) as error:
        if isinstance(error.__cause__, EOFError):  # the library takes every one for the end of what a user types
            raise error.__cause__ from None
        status = INTERRUPTED
    if status == INTERRUPTED:
        # Where an interrupt has passed through an exec of text, as a compiler's, CPython ends by the signal instead of
        # with a status, unless some text is run after it.
        exec("")
        typer.echo("\nrfos: interrupted; files written so far are whole", err=True)
    return status if isinstance(status, int) else 0
