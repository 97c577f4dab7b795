"""The rows of a store as tables."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import fields
from typing import Any

import numpy as np
import pandas as pd

from rfos._system import checks
from rfos.laboratory.sweeps.cells import Cell
from rfos.laboratory.sweeps.rows import StoreRow
from rfos.learning.trace import Progress

NAMES = tuple(field.name for field in fields(Cell))
"""The variables of a cell, in their order."""


def cell_of(row: StoreRow) -> Cell:
    """Return the cell of a row of a store."""
    return Cell(**json.loads(row.cell))


def cell_table(rows: Sequence[StoreRow]) -> pd.DataFrame:
    """Return one line per cell: its variables, the numbers and texts of its result, its error, its key.

    What a cell does not have is missing. A result's m, the one that was used, is in the column m_used, and the error
    rate of a search in search_error: the column error has what ended a cell.
    """
    lines = []
    for row in rows:
        result = json.loads(row.result) if row.result is not None else {}
        plain = {name: value for name, value in result.items() if not isinstance(value, dict | list)}
        plain.pop("steps", None)
        for name, column in (("m", "m_used"), ("error", "search_error")):
            if name in plain:
                plain[column] = plain.pop(name)
        if "steps" in result:
            plain["steps_played"] = result["steps"]
        # Whole numbers that no column of whole numbers holds are shown as they are to some 16 digits.
        plain = {name: float(v) if isinstance(v, int) and abs(v) >= 2**63 else v for name, v in plain.items()}
        lines.append({**json.loads(row.cell), **plain, "error": row.error, "key": row.key})
    if any(line["root"] >= 2**63 for line in lines):  # the digits of a root are its meaning
        lines = [{**line, "root": str(line["root"])} for line in lines]
    table = pd.DataFrame(lines)
    order = [*NAMES, *(name for name in table if name not in (*NAMES, "error", "key")), "error", "key"]
    table = table.reindex(columns=order)
    # Whole numbers stay whole where some are missing, and a column that no cell has is not kept.
    return table.convert_dtypes().dropna(axis="columns", how="all").sort_values("key", ignore_index=True)


def not_learned(cells: pd.DataFrame) -> pd.DataFrame:
    """Return the cells (`cell_table`) in whose runs no pair became known: their counts say nothing yet.

    Examples
    --------
    >>> not_learned(pd.DataFrame({"progress": ["none", "all", None], "key": ["a", "b", "c"]}))["key"].tolist()
    ['a']
    """
    found = cells["progress"] == Progress.NONE if "progress" in cells else pd.Series(False, index=cells.index)
    return cells[found.fillna(False)]


def _said(value: str | float) -> str:
    """Return a value as it is written in text."""
    return value if isinstance(value, str) else f"{value:,.10g}" if isinstance(value, float) else f"{value:,}"


MOST_LISTED = 12
"""Largest number of values that are listed one by one."""


def axes(cells: pd.DataFrame) -> pd.DataFrame:
    """Return the values that each variable of the cells has (`cell_table`), fixed ones too: variable, values.

    Where some cells lack a variable, "none" is one of its values; m is then "derived".

    Examples
    --------
    >>> axes(pd.DataFrame({"window": [1, 2], "epsilon": [0.4, 0.4], "m": [None, 3], "key": ["a", "b"]})).values.tolist()
    [['epsilon', '0.4'], ['window', '1, 2'], ['m', 'derived, 3']]
    >>> axes(pd.DataFrame({"seed": range(2000)})).values.tolist()
    [['seed', '2,000 values from 0 to 1,999']]
    """
    lines = []
    for name in NAMES:
        if name not in cells or cells[name].isna().all():
            continue
        values = sorted(cells[name].dropna().unique())
        shown = [_said(value) for value in values]
        if len(values) > MOST_LISTED:
            ends = "" if isinstance(values[0], str) else f" from {shown[0]} to {shown[-1]}"
            shown = [f"{len(values):,} values{ends}"]
        if cells[name].isna().any():
            shown.insert(0, "derived" if name == "m" else "none")
        lines.append({"variable": name, "values": ", ".join(shown)})
    return pd.DataFrame(lines)


def labels(cells: Iterable[Cell]) -> dict[Cell, str]:
    """Return what tells points apart, in words: the variables that differ between them.

    Examples
    --------
    >>> from dataclasses import replace
    >>> cell = Cell(measure="run", game="chicken", opponent="grim", agent="rmax", epsilon=0.8, delta=0.2, discount=0.8,
    ...             root=0, seed=0, window=1, steps=1)
    >>> list(labels([cell, replace(cell, window=2)]).values())
    ['window 1', 'window 2']
    """
    points = list(dict.fromkeys(cell.point for cell in cells))
    differing = [name for name in NAMES if len({getattr(point, name) for point in points}) > 1]
    said = {}
    for point in points:
        parts = ((name, getattr(point, name)) for name in differing)
        said[point] = ", ".join(str(v) if isinstance(v, str) else f"{n} {v}" for n, v in parts if v is not None)
    return said


def curve_bands(rows: Sequence[StoreRow]) -> pd.DataFrame:
    """Return each point's learning curve over its seeds: label, steps, mean, low and high per bin.

    Raises
    ------
    TypeError
        If it is given a table and not the rows of a store.
    """
    if isinstance(rows, pd.DataFrame):
        mend = "give store.rows(code); report_bands(cells, curves) takes a report's tables"
        raise checks.WrongKindError(f"rows are {checks.described(rows)}: {mend}")
    curves: dict[Cell, list[dict[str, list[float]]]] = {}
    for row in rows:
        result = json.loads(row.result) if row.result is not None else {}
        if "curve" in result:
            curves.setdefault(cell_of(row).point, []).append(result["curve"])
    parts = []
    for point, label in labels(curves).items():
        reward = np.array([curve["reward"] for curve in curves[point]])
        numbers = {"mean": reward.mean(axis=0), "low": reward.min(axis=0), "high": reward.max(axis=0)}
        parts.append(pd.DataFrame({"label": label, "steps": curves[point][0]["steps"], **numbers}))
    parts.sort(key=lambda part: str(part["label"].iloc[0]))
    return pd.concat(parts, ignore_index=True) if parts else pd.DataFrame(columns=["label", "steps", "mean"])


def report_bands(cells: pd.DataFrame, curves: pd.DataFrame) -> pd.DataFrame:
    """Return the same from the tables of a report, cells.csv and curves.csv: label, steps, mean, low and high per bin.

    Examples
    --------
    >>> cells = pd.DataFrame({"window": [1, 1, 2], "seed": [0, 1, 0], "key": ["a", "b", "c"]})
    >>> curves = pd.DataFrame({"key": ["a", "b", "c"], "steps": [10, 10, 10], "reward": [0.0, 1.0, 0.25]})
    >>> report_bands(cells, curves).values.tolist()
    [['window 1', 10, 0.5, 0.0, 1.0], ['window 2', 10, 0.25, 0.25, 0.25]]
    """
    checks.frame("cells", cells, ("key",), "give cells.csv of a report")
    checks.frame("curves", curves, ("key", "steps", "reward"), "give curves.csv of a report")
    known = cells[cells["key"].isin(curves["key"])]
    names = [name for name in NAMES if name in known and name != "seed" and known[name].nunique(dropna=False) > 1]

    def label(line: dict[Any, Any]) -> str:
        parts = [(name, line[name]) for name in names if not pd.isna(line[name])]
        return ", ".join(v if isinstance(v, str) else f"{n} {v:.10g}" for n, v in parts)

    said = {line["key"]: label(line) for line in known.to_dict("records")}
    reward = curves.assign(label=curves["key"].map(said)).groupby(["label", "steps"])["reward"]
    return reward.agg(mean="mean", low="min", high="max").reset_index()


def curve_table(rows: Sequence[StoreRow]) -> pd.DataFrame:
    """Return the learning curves, one line per bin: key, steps at its end, mean reward, known pairs."""
    parts = []
    for row in rows:
        result = json.loads(row.result) if row.result is not None else {}
        if "curve" in result:
            parts.append(pd.DataFrame({"key": row.key, **result["curve"]}))
    return pd.concat(parts, ignore_index=True) if parts else pd.DataFrame(columns=["key", "steps", "reward", "known"])
