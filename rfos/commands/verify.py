"""`rfos verify`: the statements of the theory on random instances, as a table."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Annotated

import typer

from rfos.commands.options import table, whole

if TYPE_CHECKING:
    from rfos.laboratory.verification.engine import Row


def _ratio(row: Row) -> str:
    return "> 1e6" if row.largest_ratio > 1e6 else f"{row.largest_ratio:.4f}" if row.largest_ratio else "rounding"


def _fault(row: Row) -> str:
    """The factor by which the right side would have to be wrong; nothing where sides are compared up to rounding."""
    return f"{row.smallest_fault:.3g}x" if row.holds and row.smallest_fault else ""


def _verdict(row: Row, planted: bool) -> str:
    if planted:
        return "caught" if row.passed else "MISSED"
    if not row.holds:
        return "false, as known" if row.passed else "NO COUNTEREXAMPLE"
    return "holds" if row.passed else f"VIOLATED ({row.violations:,})"


def _as_dict(row: Row, planted: bool) -> dict[str, object]:
    from math import isfinite

    ratio = row.largest_ratio if isfinite(row.largest_ratio) else None
    found = {"smallest_fault": row.smallest_fault, "checked": row.checked, "verdict": _verdict(row, planted)}
    return {**vars(row), "largest_ratio": ratio, **found}


def verify(
    instances: Annotated[
        int,
        typer.Option(parser=whole, metavar="N", help="Random instances of each statement; simulations take a share."),
    ] = 1000,
    statement: Annotated[
        list[str] | None, typer.Option(metavar="ID", help="Check this one only, such as P2+; may be repeated.")
    ] = None,
    seed: Annotated[int, typer.Option(parser=whole, metavar="N", help="Root of all random streams.")] = 0,
    jobs: Annotated[
        int | None, typer.Option(parser=whole, metavar="N", help="Processes; default one per processor.")
    ] = None,
    planted: Annotated[
        bool, typer.Option("--planted", help="Plant a fault in each statement and see whether it is caught.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Check the statements of the theory on random and extremal instances."""
    from tqdm import tqdm

    from rfos.laboratory.verification import engine
    from rfos.laboratory.verification.registry import STATEMENTS

    with tqdm(unit="instance", disable=None, file=sys.stderr, desc="checking") as bar:

        def tick(done: int, total: int) -> None:
            bar.total = total
            bar.update(done)

        rows = engine.verify(
            statement or None, instances=instances, seed=seed, jobs=jobs, planted=planted, progress=tick
        )
    passed = all(row.passed for row in rows)
    if as_json:
        found = [_as_dict(row, planted) for row in rows]
        typer.echo(json.dumps({"seed": seed, "instances": instances, "planted": planted, "statements": found}))
    else:
        cells = [[r.id, r.checked, _ratio(r), _fault(r), _verdict(r, planted)] for r in rows]
        typer.echo(table(["statement", "checked", "left/right", "sees", "verdict"], cells))
        typer.echo("\nwhat they say, and what reached the largest ratio")
        for r in rows:
            typer.echo(f"  {r.id}: {r.title}; {r.reached_by}")
        typer.echo(
            "\nleft/right: the largest ratio met, 1 where a statement is attained. sees: a right side too small "
            "by more than this factor would be reported; where it is much above 1 the theorem is loose on all "
            "instances. Simulated statements compare, on the left, what runs certainly exceed more often than is "
            f"allowed; false alarms at most {engine.FALSE_ALARM:g} an instance, and as much for all together."
        )
        if planted:
            typer.echo(f"\nfaults planted{'' if passed else '; what is missed may show on more --instances'}")
            for r in rows:
                typer.echo(f"  {r.id}: {STATEMENTS[r.id].planted}")
    if not passed:
        raise typer.Exit(1)
