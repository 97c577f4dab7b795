"""`rfos sweep` and `rfos report`: measure a grid of cells once each, and show what a store holds."""

from __future__ import annotations

import sys
from collections import deque
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from rfos.commands import options
from rfos.commands.options import AS_JSON, STORE, whole
from rfos.commands.report import write_report

if TYPE_CHECKING:
    from rfos.laboratory.sweeps.cells import Cell, Outcome
    from rfos.laboratory.sweeps.executors import Executor


def _print_example(wanted: bool) -> None:
    if wanted:
        from rfos.laboratory.sweeps.spec import example

        typer.echo(example(), nl=False)
        raise typer.Exit()


def _named(cell: Cell) -> str:
    """Return what a cell is, in words: who measures what, where, with which seed."""
    place = f"window {cell.window}" if cell.window is not None else f"{cell.levels} levels"
    return f"{cell.measure} of {cell.agent} in {cell.game} against {cell.opponent}, {place}, seed {cell.seed}"


def sweep(
    spec: Annotated[
        Path,
        typer.Argument(
            help="A TOML file of grids, or a spec that is shipped: states, scaling. A module:name in it is imported, "
            "which runs that module: run no spec of a stranger's that names one."
        ),
    ],
    store: Annotated[Path, STORE],
    jobs: Annotated[
        int | None, typer.Option(parser=whole, metavar="N", help="Processes; default one per processor.")
    ] = None,
    scheduler: Annotated[
        str | None,
        typer.Option(
            metavar="ADDRESS",
            help="A dask.distributed scheduler, instead of --jobs. dask unpickles what it answers, which can run any "
            "code here: give one of your own only.",
        ),
    ] = None,
    out: Annotated[Path | None, typer.Option(help="Folder for a report at the end.", show_default=False)] = None,
    retry: Annotated[bool, typer.Option("--retry", help="Measure cells again that have failed.")] = False,
    audit: Annotated[bool, typer.Option("--audit", help="Measure 1 % of the finished cells again.")] = False,
    as_json: Annotated[bool, AS_JSON] = False,
    example: Annotated[
        bool,
        typer.Option(
            "--example",
            is_eager=True,
            callback=_print_example,
            help="Print a spec with every key, and measure nothing.",
        ),
    ] = False,
) -> None:
    """Measure the cells of a spec that the store does not have."""
    from rfos._system.files import require_writable

    if out is not None:
        require_writable(out)
    if jobs is not None and scheduler is not None:
        raise ValueError(f"--jobs is {jobs} and --scheduler is {scheduler!r}: give one of them")

    from tqdm import tqdm

    from rfos._system.threads import processors
    from rfos.laboratory.sweeps.cells import printable
    from rfos.laboratory.sweeps.driver import sweep as drive
    from rfos.laboratory.sweeps.executors import CHECKPOINT, Dask, InProcess, Processes
    from rfos.laboratory.sweeps.spec import read_spec, without_verdict
    from rfos.laboratory.sweeps.store import NondeterminismError

    workers = processors() if jobs is None else jobs
    executor: Executor = InProcess() if workers == 1 else Processes(workers)
    if scheduler is not None:
        executor = Dask(scheduler)
    chosen = read_spec(spec)
    try:
        with tqdm(unit="cell", disable=None, file=sys.stderr, desc="measuring") as bar:
            failing: deque[Cell] = deque()

            def acknowledge(outcomes: Sequence[Outcome], left: int) -> None:
                failing.extend(outcome.cell for outcome in outcomes if outcome.error is not None)
                if bar.total is None:  # it begins, and nothing was refused
                    for sentence in without_verdict(chosen.cells):
                        bar.write(sentence, file=sys.stderr)
                bar.total = bar.n + len(outcomes) + left
                bar.update(len(outcomes))

            def fail(key: str, error: str) -> None:
                bar.write(f"failed {key} ({_named(failing.popleft())}): {printable(error)}", file=sys.stderr)

            try:
                found = drive(chosen, store, executor, retry=retry, audit=audit, acknowledge=acknowledge, fail=fail)
            except KeyboardInterrupt:
                longer = f"longer ones as far as their last checkpoint, one every {CHECKPOINT:.0f} s"
                kept = f"{bar.n:,} cells measured now are kept, and {longer}: the same command goes on from there"
                bar.write(kept, file=sys.stderr)
                raise
    except NondeterminismError as error:
        typer.echo(f"rfos: {error}", err=True)
        raise typer.Exit(1) from None
    if found.others:
        count = sum(found.others.values())
        typer.echo(f"{store} also has {count:,} cells of other versions of the code; they were left alone", err=True)
    files: list[str] = []
    if out is not None:
        from rfos.laboratory.sweeps.parts import is_own
        from rfos.laboratory.sweeps.store import Store

        with Store(store, read_only=True) as opened:
            own = tuple(sorted({cell.measure for cell in chosen.cells if is_own(cell.measure)}))
            files = write_report(opened, found.code, out, own)[0]
    if as_json:
        cells = {cell.key(found.code): cell for cell in chosen.cells}
        failed = [{"key": key, "cell": _named(cells[key]), "error": error} for key, error in found.failed]
        content = {**vars(found), "failed": failed, "title": chosen.title, "store": str(store), "files": files}
        typer.echo(options.as_json(content))
    else:
        line = f"{chosen.title}: {found.cells:,} cells, {found.found:,} already there, {found.measured:,} measured now"
        typer.echo(f"{line}, {len(found.failed):,} failed")
        if audit:
            typer.echo(f"audit: {found.audited:,} measured again, the same bytes")
        if found.failed:
            typer.echo("failed cells are measured again with --retry")
    if found.failed:
        raise typer.Exit(1)
