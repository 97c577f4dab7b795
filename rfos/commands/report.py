"""`rfos report`: tables, fits, figures and one page of what a store holds."""

from __future__ import annotations

import importlib.util
import io
import math
import re
from collections.abc import Sequence
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from rfos.commands import options
from rfos.commands.options import AS_JSON, STORE, table

if TYPE_CHECKING:
    import pandas as pd

    from rfos.laboratory.sweeps.fits import Fits
    from rfos.laboratory.sweeps.rows import StoreRow
    from rfos.laboratory.sweeps.store import Store


def report(
    store: Annotated[Path, STORE],
    out: Annotated[Path, typer.Option(help="Folder for tables, figures and the page.")],
    code: Annotated[
        str | None, typer.Option(metavar="FINGERPRINT", help="Cells of this version of the code.", show_default=False)
    ] = None,
    measure: Annotated[
        list[str] | None,
        typer.Option(
            metavar="MODULE:NAME",
            help="Fit the quantities of a measure of your own too; its module is imported. May be repeated.",
        ),
    ] = None,
    as_json: Annotated[bool, AS_JSON] = False,
) -> None:
    """Write what a store holds: tables, fits beside the bounds, figures, and one page."""
    from rfos._system.files import require_writable

    require_writable(out)
    from rfos.laboratory.sweeps.store import Store

    with Store(store, read_only=True) as opened:
        chosen = _code(opened, code)
        titles = opened.titles(chosen)
        files, fits, rows = write_report(opened, chosen, out, tuple(measure or ()))
    from rfos.laboratory.sweeps import tables

    idle = len(tables.not_learned(tables.cell_table(rows)))
    failed = sum(row.error is not None for row in rows)
    if as_json:
        content: dict[str, Any] = {
            "store": str(store),
            "titles": titles,
            "code": chosen,
            "cells": len(rows),
            "failed": failed,
            "not_learned": idle,
            "fits": fits.fits.to_dict("records"),
        }
        typer.echo(options.as_json({**content, "files": files}))
        return
    from rfos.laboratory.sweeps import variables

    for title in titles:
        typer.echo(title)
    typer.echo(f"{len(rows):,} cells of code {chosen}, {failed:,} failed")
    if idle:
        typer.echo(f"{idle_cells(idle)}; they enter no fit")
    for fitted, variable, found in fits.groups():
        typer.echo(f"\n{_words(found, ' of ' in fitted)} against {variables.VARIABLES[variable].label}\n")
        lines = found.to_dict("records")
        shown = [_line(line) for line in lines]
        typer.echo(table(list(shown[0]), [list(line.values()) for line in shown]))
        for sentence in _verdicts(lines):
            typer.echo(sentence)
    if len(fits.fits):
        typer.echo("\na bound from above may grow faster or slower than what it bounds")


def _words(lines: pd.DataFrame, named: bool = False) -> str:
    """Return what is fitted by some fits, in words, with its measure where one of a user's own may mean another."""
    from rfos.laboratory.sweeps.parts import is_own
    from rfos.laboratory.sweeps.variables import words

    measure = str(lines["measure"].iloc[0])
    said = words(measure, str(lines["quantity"].iloc[0]))
    return f"{said} ({measure})" if is_own(measure) and named else said


def _ends(lines: pd.DataFrame) -> str:
    """Return what the bars of a figure reach to."""
    from rfos.laboratory.sweeps.measures import measure_of

    known = measure_of(str(lines["measure"].iloc[0])).fitted[str(lines["quantity"].iloc[0])]
    return "run" if known.ends is None else "end"


def _line(line: dict[Any, Any]) -> dict[str, str]:
    """Return one fit in words: the verdict, where, the slope, how far the points are off its line, and the bound's."""

    def between(low: float, high: float) -> str:
        return "-" if math.isnan(low) else f"{low:z.2f} to {high:z.2f}"

    return {
        "verdict": line["verdict"],
        "at": line["held"] or "-",
        "slope": "-" if math.isnan(line["slope"]) else f"{line['slope']:z.2f}",
        "95 % interval": between(line["low"], line["high"]),
        "off the line": "-" if math.isnan(line["misfit"]) else f"x {line['misfit']:.2f}",
        "bound's exponents": between(line["exponent_low"], line["exponent_high"]),
        "bound": line["bound"] or "-",
    }


def _verdicts(lines: Sequence[dict[Any, Any]]) -> list[str]:
    """Return how fits are judged, and why: a sentence for each reason, with all places where it holds."""
    places: dict[tuple[str, str], list[str]] = {}
    for line in lines:
        places.setdefault((line["verdict"], line["reason"]), []).append(line["held"])
    return [
        f"{judged}{' at ' if any(held) else ''}{'; '.join(held)}: {reason}" for (judged, reason), held in places.items()
    ]


def _code(store: Store, wanted: str | None) -> str:
    """Return the version of the code whose cells are reported."""
    from rfos.laboratory.sweeps.fingerprint import fingerprint

    codes = store.codes()
    listed = ", ".join(f"{code} ({count:,} cells)" for code, count in codes.items())
    if not codes:
        raise ValueError(f"the store {store.path} has no finished cell yet: run rfos sweep first")
    if wanted is not None:
        if wanted not in codes:
            raise ValueError(f"code is {wanted!r}: the store has {listed}")
        return wanted
    if fingerprint() in codes:
        return fingerprint()
    own = [code for code in codes if code.partition("+")[0] == fingerprint()]  # with modules of a user's own
    if len(own) == 1:
        return own[0]
    if len(own) > 1:
        raise ValueError(
            f"the store has cells of several versions of your own modules: choose one with --code, {listed}"
        )
    if len(codes) > 1:
        raise ValueError(f"the store has cells of other versions of the code only: choose one with --code, {listed}")
    (only,) = codes
    typer.echo(f"these cells are of another version of the code, {only}", err=True)
    return only


def write_report(
    store: Store, code: str, out: Path, measures: tuple[str, ...] = ()
) -> tuple[list[str], Fits, list[StoreRow]]:
    """Write all files of a report; return their names, the fits and the rows.

    Parameters
    ----------
    store : Store
    code : str
    out : Path
    measures : tuple of str
        Measures of a user's own whose quantities are fitted.
    """
    from rfos._system.files import atomic
    from rfos.laboratory.sweeps import fits as fitting
    from rfos.laboratory.sweeps import tables
    from rfos.laboratory.sweeps.page import page

    rows = store.rows(code)
    fits = fitting.all_fits(rows, measures)
    _name_unfitted(rows, measures)
    out.mkdir(parents=True, exist_ok=True)
    frames = {
        "cells": tables.cell_table(rows),
        "curves": tables.curve_table(rows),
        "fits": fits.fits,
        "points": fits.points,
    }
    for name, frame in frames.items():
        with atomic(out / f"{name}.csv") as path:
            frame.to_csv(path, index=False)
    written = [f"{name}.csv" for name in frames] + _write_parquet(frames, out)
    drawings = _draw(rows, fits, out)
    written += [f"{name}.{kind}" for name in drawings for kind in ("svg", "png")]
    title = "; ".join(store.titles(code)) or f"Sweep {store.path.stem}"
    settings = tables.curve_bands(rows)["label"].nunique()
    text = page(title, _sections(frames["cells"], code, fits, drawings, settings))
    with atomic(out / "report.html") as path:
        path.write_text(text, encoding="utf-8")
    written.append("report.html")
    typer.echo(f"written to {out}: {', '.join(written)}", err=True)
    return written, fits, rows


def _name_unfitted(rows: list[StoreRow], measures: tuple[str, ...]) -> None:
    """Say of which measures nothing was fitted, since a store's modules are not imported unasked."""
    from rfos.laboratory.sweeps.parts import is_own
    from rfos.laboratory.sweeps.tables import cell_of

    for name in sorted({cell.measure for cell in map(cell_of, rows)} - set(measures)):
        if is_own(name):
            typer.echo(f"measure {name} is in the tables only: --measure {name} imports it and fits it", err=True)


def _write_parquet(frames: dict[str, pd.DataFrame], out: Path) -> list[str]:
    """Write the tables as Parquet where pyarrow is installed; say so where it is not."""
    from rfos._system.files import atomic

    if importlib.util.find_spec("pyarrow") is None:
        typer.echo("no Parquet files, for want of pyarrow: pip install 'rfos[parquet]'", err=True)
        return []
    for name, frame in frames.items():
        with atomic(out / f"{name}.parquet") as path:
            frame.to_parquet(path, index=False)
    return [f"{name}.parquet" for name in frames]


CURVES = "learning_curves"


def _figure_name(fitted: str, variable: str) -> str:
    """Return the name of a figure's files: of what is fitted, a measure's dots, colon and spaces made plain."""
    return f"scaling_{re.sub('[^A-Za-z0-9_+-]+', '_', fitted)}_{variable}"


def _draw(rows: list[StoreRow], fits: Fits, out: Path) -> dict[str, bytes]:
    """Write the figures; return them as SVG, by name."""
    import matplotlib

    from rfos import plots
    from rfos._system.files import atomic
    from rfos.laboratory.sweeps import tables, variables

    figures = {}
    for fitted, variable, lines in fits.groups():
        what, along = _words(lines, " of " in fitted), variables.VARIABLES[variable].label
        if fits.points["fit"].isin(lines.index).any():  # else there is no run with a number
            figures[_figure_name(fitted, variable)] = plots.scaling(lines, fits.points, along, what)
    bands = tables.curve_bands(rows)
    if len(bands):
        figures[CURVES] = plots.sweep_curves(bands)
    drawings = {}
    for name, axes in figures.items():
        drawn, figure = io.BytesIO(), plots.figure_of(axes)
        # The same results are the same bytes: no date, no random names.
        with matplotlib.rc_context({"svg.hashsalt": name}):
            figure.savefig(drawn, format="svg", metadata={"Date": None})
        with atomic(out / f"{name}.svg") as path:
            path.write_bytes(drawn.getvalue())
        with atomic(out / f"{name}.png") as path:
            figure.savefig(path, dpi=160)
        drawings[name] = drawn.getvalue()
    return drawings


def _shown_of(settings: int) -> str:
    """Return how many of all settings the learning curves show, where that is not all."""
    from rfos.plots import LEGEND

    return f"; {LEGEND} of {settings} settings are drawn, all are in curves.csv" if settings > LEGEND else ""


def _sections(
    cells: pd.DataFrame, code: str, fits: Fits, drawings: dict[str, bytes], settings: int
) -> list[tuple[str, str]]:
    """Return the headings of the page with what stands below them; `settings` have learning curves."""
    import pandas as pd

    from rfos.laboratory.sweeps import fits as fitting
    from rfos.laboratory.sweeps import tables, variables
    from rfos.laboratory.sweeps.cells import printable
    from rfos.laboratory.sweeps.page import items, picture
    from rfos.laboratory.sweeps.page import table as html

    named = [name for name in ("measure", "agent", "game", "opponent", "window", "levels", "seed") if name in cells]
    failures = (
        cells[[*named, "key", "error"]].dropna(subset="error").astype(object) if "error" in cells else cells[[]][:0]
    )
    failures = failures.where(failures.notna(), "-").map(lambda value: printable(str(value)))
    counts = (
        f"<p>{len(cells) - len(failures):,} measured, {len(failures):,} failed; code <code>{escape(code)}</code>.</p>"
    )
    rule = (
        "<p>Slopes are of mean log against log variable, with 95 % intervals: of runs from their spread, by Student's "
        "rule over seeds and by bootstrap, of the least m from the ends of its intervals. They are made wider by what "
        "the points are off a line. Beside them are the bound's own exponents at the same points. Within "
        f"{fitting.SAME_EXPONENTS:g} counts as alike, and an interval that reaches over the end of that is undecided. "
        "A bound from above may grow faster or slower than what it bounds.</p>"
    )
    sections = [("Cells", counts + html(tables.axes(cells)) + (rule if len(fits.fits) else ""))]
    for fitted, variable, lines in fits.groups():
        what, along = _words(lines, " of " in fitted), variables.VARIABLES[variable].label
        heading = f"{what[0].upper()}{what[1:]} against {along}"
        records = lines.to_dict("records")
        shown = pd.DataFrame([_line(line) for line in records])
        # Below the table: a column of sentences would be out of sight on a phone, and make its rows high.
        reasons = items(_verdicts(records))
        caption = f"{heading}; bars from the lowest to the highest {_ends(lines)}."
        drawing = drawings.get(_figure_name(fitted, variable))
        sections.append((heading, (picture(caption, drawing) if drawing else "") + html(shown) + reasons))
    if CURVES in drawings:
        caption = f"Mean reward per step; bands from the lowest to the highest run{_shown_of(settings)}."
        sections.append(("Learning curves", picture(caption, drawings[CURVES])))
    idle = tables.not_learned(cells)
    if len(idle):
        said = f"<p>{idle_cells(len(idle))}. They enter no fit; give them more steps, or a smaller m.</p>"
        sections.append(("Cells that have not learned anything", said + html(idle[["key", "m_used", "steps_played"]])))
    if len(failures):
        sections.append(("Failed cells", html(failures)))
    return sections


def idle_cells(count: int) -> str:
    """Return what there is to say of cells in which no pair became known."""
    whose = "1 cell: its" if count == 1 else f"{count:,} cells: their"
    return f"no pair became known in the runs of {whose} counts say nothing yet"
