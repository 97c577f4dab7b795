"""`rfos verify`: the statements of the theory on random instances, as a table."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated

import typer

from rfos.commands import options
from rfos.commands.options import AS_JSON, table, whole

if TYPE_CHECKING:
    from rfos.laboratory.verification.engine import Statement, StatementResult


def _ratio(row: StatementResult) -> str:
    return "> 1e6" if row.largest_ratio > 1e6 else f"{row.largest_ratio:.4f}" if row.largest_ratio else "rounding"


def _fault(row: StatementResult) -> str:
    """The factor by which the right side would have to be wrong; nothing where sides are compared up to rounding."""
    return f"{row.smallest_fault:.3g}x" if row.holds and row.smallest_fault else ""


def _verdict(row: StatementResult, mutants: bool) -> str:
    if mutants:
        return "caught" if row.passed else "MISSED"
    if not row.holds:
        return "false, as known" if row.passed else "NO COUNTEREXAMPLE"
    if row.unattained:
        return f"NOT ATTAINED (at most {row.largest_ratio:.3g})"
    return "holds" if row.passed else f"VIOLATED ({row.violations:,})"


def _as_dict(row: StatementResult, mutants: bool) -> dict[str, object]:
    found = {"smallest_fault": row.smallest_fault, "checked": row.checked, "verdict": _verdict(row, mutants)}
    return {**vars(row), **found}


def _print_list(statements: list[Statement], as_json: bool) -> None:
    """Print the code, the title, the kind and the source of statements."""
    from rfos.laboratory.verification.registry import source_of

    found = [{"id": s.id, "title": s.title, "kind": s.kind, "source": source_of(s)} for s in statements]
    if as_json:
        typer.echo(options.as_json({"statements": found}))
        return
    width = max(len(line["kind"]) for line in found)
    for line in found:
        typer.echo(f"{line['kind']:<{width}}  {line['id']}: {line['title']} ({line['source']})")
    typer.echo(
        "\nexact: both sides are computed. simulated: the left side is a probability, judged by exact binomial limits. "
        "false: it does not hold, and has a counterexample."
    )


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
    mutants: Annotated[
        bool, typer.Option("--mutants", help="Put a fault into each statement and see whether it is caught.")
    ] = False,
    only_list: Annotated[bool, typer.Option("--list", help="Print what there is to check, and check nothing.")] = False,
    as_json: Annotated[bool, AS_JSON] = False,
) -> None:
    """Check the statements of the theory on random and extremal instances."""
    from rfos.laboratory.verification.engine import FALSE_ALARM
    from rfos.laboratory.verification.registry import STATEMENTS
    from rfos.laboratory.verification.verify import chosen
    from rfos.laboratory.verification.verify import verify as check

    if only_list:
        _print_list(chosen(statement or None, mutants), as_json)
        return

    from tqdm import tqdm

    with tqdm(unit="instance", disable=None, file=sys.stderr, desc="checking") as bar:

        def tick(done: int, total: int) -> None:
            bar.total = total
            bar.update(done)

        rows = check(statement or None, instances=instances, seed=seed, jobs=jobs, mutants=mutants, progress=tick)
    passed = all(row.passed for row in rows)
    if as_json:
        found = [_as_dict(row, mutants) for row in rows]
        content = {"seed": seed, "instances": instances, "mutants": mutants, "statements": found}
        typer.echo(options.as_json(content))
    else:
        cells = [[f"{r.id}: {r.title}", r.checked, _ratio(r), _fault(r), _verdict(r, mutants)] for r in rows]
        typer.echo(table(["statement", "checked", "left/right", "sees", "verdict"], cells))
        typer.echo("\nwhat reached the largest ratio")
        for r in rows:
            typer.echo(f"  {r.id}: {r.title}; {r.reached_by}")
        typer.echo(
            "\nleft/right: the largest ratio met, 1 where a statement is attained. sees: a right side too small "
            "by more than this factor would be reported; where it is much above 1 the theorem is loose on all "
            "instances. Simulated statements compare, on the left, what runs certainly exceed more often than is "
            f"allowed; false alarms at most {FALSE_ALARM:g} an instance, and as much for all together."
        )
        if mutants:
            typer.echo(f"\nthe faults{'' if passed else '; what is missed may show on more --instances'}")
            for r in rows:
                typer.echo(f"  {r.id}: {r.title}; {STATEMENTS[r.id].mutant}")
    if not passed:
        raise typer.Exit(1)
