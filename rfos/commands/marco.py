"""`rfos marco`: one centralised model of a team problem, explored and planned in, beside its rivals."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from rfos.commands import options
from rfos.commands.options import AS_JSON, number, table, whole

if TYPE_CHECKING:
    from rfos.laboratory.marco_study import MarcoStudy

FILES = ("reports.csv", "summary.csv", "curves.png")


def _sizes(agents: int | None, given: list[str]) -> dict[str, int]:
    """Read sizes such as goals=3."""
    found = {} if agents is None else {"agents": agents}
    for one in given:
        name, _, value = one.partition("=")
        if not value.strip().isdigit():
            raise ValueError(f"--size is {one!r}: give a name and a whole number, such as goals=3")
        found[name.strip()] = int(value)
    return found


def _write(study: MarcoStudy, out: Path) -> list[str]:
    from rfos import plots
    from rfos._system.files import atomic

    figure = plots.figure_of(plots.marco_curves(study.to_frame(), optimum=study.optimum, title=study.task))
    files = [out / name for name in FILES]
    out.mkdir(parents=True, exist_ok=True)
    with atomic(files[0]) as path:
        study.to_frame().to_csv(path, index=False)
    with atomic(files[1]) as path:
        study.summary().to_csv(path, index=False)
    with atomic(files[2]) as path, path.open("wb") as file:
        figure.savefig(file, dpi=160, format="png")
    return [str(path) for path in files]


def _print(study: MarcoStudy, files: list[str]) -> None:
    low, high = study.optimum
    typer.echo(
        f"{study.team!r}\n{study.n_rows:,} rows, known at m = {study.m:,}; the best of {study.policies} policies earns "
        f"{low:.6g}{'' if high - low < 1e-6 else f' to {high:.6g}'}; epsilon {study.epsilon:g}\n"
    )
    lines = []
    for row in study.methods:
        most = "more than were played" if row.most_episodes is None else f"{row.most_episodes:,}"
        until = f"more than {study.episodes:,}" if row.fewest_episodes is None else f"{row.fewest_episodes:,} to {most}"
        ratio = ""
        if row.ratio is not None:
            at_least = "at least " if row.optimal < row.seeds else ""
            ratio = f"{at_least}{row.ratio:.3g} [{row.ratio_low:.3g}, {row.ratio_high:.3g}]"
        lines.append([row.title, f"{row.value:.4g}", until, ratio])
    typer.echo(table(["", "earns at the end", "episodes until epsilon-optimal", "times MARCO's"], lines))
    last = next(run for run in study.runs if run.method == "marco").rows[-1]
    typer.echo(
        f"\nAfter {last.episodes:,} episodes of the first seed the optimum is in [{last.bracket_low:.6g}, "
        f"{last.bracket_high:.6g}] with probability {1 - study.delta:g} (M4)."
    )
    covers = "covers these runs" if study.covered else "does not cover these runs; it"
    typer.echo(
        f"{study.theorem} {covers}{' with' if study.covered else ' takes'} m = {study.theorem_m:,} and at most "
        f"{study.theorem_episodes:,} episodes; derived here, the paper states a polynomial bound."
    )
    typer.echo("times MARCO's: geometric mean over the seeds, and Student's 95 % interval.")
    for file in files:
        typer.echo(f"wrote {file}")


def marco(
    task: Annotated[str, typer.Argument(help="A task such as dec-tiger; an unknown name lists them.")],
    agents: Annotated[
        int | None, typer.Option(parser=whole, metavar="N", help="Agents, where the task has several sizes.")
    ] = None,
    size: Annotated[
        list[str] | None, typer.Option(metavar="NAME=N", help="Another size of the task, such as goals=3; repeat it.")
    ] = None,
    horizon: Annotated[
        int | None, typer.Option(parser=whole, metavar="N", help="Steps of an episode; default the task's.")
    ] = None,
    epsilon: Annotated[
        float | None,
        typer.Option(parser=number, metavar="NUMBER", help="In units of reward; default 0.1 of the range of returns."),
    ] = None,
    delta: Annotated[float, typer.Option(parser=number, metavar="NUMBER", help="Failure probability.")] = 0.1,
    explore: Annotated[str, typer.Option(help="centralised (M2), optimism (M5), uniform or none.")] = "centralised",
    states: Annotated[str, typer.Option(help="Training sees states online, or in hindsight.")] = "online",
    policies: Annotated[str, typer.Option(help="decentralised, reactive or joint.")] = "decentralised",
    m: Annotated[
        int | None, typer.Option("--m", parser=whole, metavar="N", help="Visits of a known row; default the theorem's.")
    ] = None,
    episodes: Annotated[int, typer.Option(parser=whole, metavar="N", help="Most episodes of a run.")] = 10_000,
    plan_seconds: Annotated[
        float | None,
        typer.Option(
            parser=number, metavar="NUMBER", help="Time of each plan; default: as long as a number of nodes takes."
        ),
    ] = None,
    rivals: Annotated[
        str,
        typer.Option(help="uniform, none, reuse, independent, decomposed, by commas; all, or nothing."),
    ] = "all",
    seeds: Annotated[int, typer.Option(parser=whole, metavar="N", help="Runs of each method.")] = 5,
    seed: Annotated[int, typer.Option(parser=whole, metavar="N", help="Root of all random streams.")] = 0,
    jobs: Annotated[
        int | None, typer.Option(parser=whole, metavar="N", help="Processes; default one per processor.")
    ] = None,
    out: Annotated[Path | None, typer.Option(help="Folder for tables and the figure.", show_default=False)] = None,
    as_json: Annotated[bool, AS_JSON] = False,
) -> None:
    """Learn a team problem by one centralised model, and compare with rivals."""
    if out is not None:
        from rfos._system.files import require_writable

        require_writable(out)

    from tqdm import tqdm

    from rfos.laboratory.marco_study import marco_study
    from rfos.teams.baselines import TITLES

    chosen = {"all": list(TITLES), "nothing": []}.get(rivals) if rivals in ("all", "nothing") else rivals.split(",")
    with tqdm(unit="run", disable=None, file=sys.stderr, desc="learning") as bar:

        def tick(done: int, total: int) -> None:
            bar.total = total
            bar.update(done - bar.n)

        study = marco_study(
            task,
            horizon=horizon,
            sizes=_sizes(agents, size or []),
            epsilon=epsilon,
            delta=delta,
            m=m,
            explore=explore,  # type: ignore[arg-type]  # checked there
            states=states,  # type: ignore[arg-type]
            policies=policies,  # type: ignore[arg-type]
            episodes=episodes,
            plan_seconds=plan_seconds,
            rivals=chosen or (),
            seeds=seeds,
            seed=seed,
            jobs=jobs,
            progress=tick,
        )
    files = [] if out is None else _write(study, out)
    if not as_json:
        _print(study, files)
        return
    kept = {key: value for key, value in vars(study).items() if key not in ("team", "runs", "ratios")}
    runs = [{**run._asdict(), "rows": [row._asdict() for row in run.rows]} for run in study.runs]
    ratios = {method: None if ratio is None else ratio._asdict() for method, ratio in study.ratios.items()}
    typer.echo(options.as_json({**kept, "ratios": ratios, "runs": runs, "files": files}))
