"""The rows of a store, which may come from somebody else: one reader, that believes none of them.

A row is what a sweep writes if its parts are what its digest and its key say, its cell is one that a spec may ask for,
and its result is one that the cell's measure may bring.
"""

from __future__ import annotations

import functools
import hashlib
import json
import re
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, NamedTuple

from rfos.laboratory.sweeps.cells import Cell, canonical
from rfos.laboratory.sweeps.measures import MEASURES
from rfos.laboratory.sweeps.parts import AGENT_KINDS, game_of, is_own, opponent_of
from rfos.laboratory.sweeps.results import LARGEST_COUNT, Result, own_fault, shown
from rfos.laboratory.sweeps.spec import check_cell
from rfos.metagames.window import WindowMetaGame

MOST_BYTES: Mapping[str, int] = MappingProxyType({"key": 64, "code": 100, "cell": 10_000, "error": 100_000})
"""Most bytes of each text of a row."""

LONGEST_RESULT = 1_000_000
"""Most bytes of a result; a learning curve takes a few thousand."""


class StoreRow(NamedTuple):
    """A finished cell: its key, the code's fingerprint, its name, and its result or its error."""

    key: str
    code: str
    cell: str
    result: bytes | None
    error: str | None


def digest(*parts: str | bytes | None) -> bytes:
    """Return the SHA-256 of the parts of a row, each with its length, so that no other parts have it."""
    found = hashlib.sha256()
    for part in parts:
        content = part.encode() if isinstance(part, str) else part or b""
        found.update(b"%d " % len(content) + content)
    return found.digest()


def written(texts: Mapping[str, bytes | None], result: bytes | None, stamp: bytes) -> StoreRow:
    """Return a row from its bytes.

    Parameters
    ----------
    texts : mapping of str to bytes or None
        "key", "code", "cell" and "error".
    result : bytes or None
    stamp : bytes
        The digest that stands beside them.

    Raises
    ------
    ValueError
        If they are not what was written, whatever code wrote it.
    """
    found: dict[str, str | None] = {}
    for name, content in texts.items():
        if content is not None and len(content) > MOST_BYTES[name]:
            raise ValueError(f"its {name} has {len(content):,} bytes, above the limit of {MOST_BYTES[name]:,}")
        try:
            found[name] = None if content is None else content.decode()
        except UnicodeDecodeError:
            raise ValueError(f"its {name} is not a text in UTF-8") from None
    if result is not None and len(result) > LONGEST_RESULT:
        raise ValueError(f"its result has {len(result):,} bytes, above the limit of {LONGEST_RESULT:,}")
    row = StoreRow(found["key"] or "", found["code"] or "", found["cell"] or "", result, found["error"])
    if digest(*row) != stamp:
        raise ValueError("it is not what was written")
    if hashlib.sha256(f"{row.cell}\n{row.code}".encode()).hexdigest() != row.key:
        raise ValueError("its key is not that of its cell and code")
    if not row.code or not row.code.isprintable():
        raise ValueError(f"its code is {shown(row.code)}: that is not a fingerprint")
    if (row.result is None) == (row.error is None):
        raise ValueError("it has both or neither of a result and an error")
    return row


def named(key: bytes) -> str:
    """Return what a row is called in a message: its key, if it is one."""
    return key.decode() if re.fullmatch(rb"[0-9a-f]{64}", key) else shown(key[:100])


def read(row: StoreRow) -> tuple[Cell, Result | None]:
    """Return the cell and the result of a row, each checked as a user's input; of a cell that failed, no result.

    Raises
    ------
    ValueError
        If no spec may ask for the cell, or its measure does not bring such a result; the message says why.
    """
    cell = _cell(row.cell)
    if row.result is None:
        return cell, None
    result = _parsed("result", row.result)
    # A module that a store names is not imported: its measure's result is looked at as that of any measure.
    own = cell.measure not in MEASURES
    wrong = own_fault(result) if own else MEASURES[cell.measure].fault(cell.measure, result)
    if wrong:
        raise ValueError(wrong)
    wrong = _contradiction(cell, result)
    if wrong:
        raise ValueError(f"its result contradicts itself or the cell: {wrong}")
    return cell, result


@functools.lru_cache(maxsize=10_000)
def _cell(text: str) -> Cell:
    return check_cell(_parsed("cell", text.encode()))


def point(cell: Cell, result: Result) -> tuple[Any, ...]:
    """Return what is equal in the results of all repetitions of a cell."""
    curve = result.get("curve", {"steps": ()})
    names = ("n_states", "n_actions", "branching", "r_max", "theorem", "m", "steps")
    return (*(result.get(name) for name in names), tuple(curve["steps"]))


def _parsed(what: str, content: bytes) -> dict[str, Any]:
    """Return the JSON object that this is the one spelling of."""
    try:
        found = json.loads(content)
        same = canonical(found) == content
    except RecursionError:
        raise ValueError(f"its {what} is nested too deep") from None
    except ValueError:  # no JSON, no UTF-8, NaN, a number of thousands of digits
        raise ValueError(f"its {what} is not JSON: {shown(content[:100])}") from None
    if not isinstance(found, dict):
        raise ValueError(f"its {what} is {shown(found)}, which is not an object")
    if not same:
        raise ValueError(f"its {what} is not in the one spelling of its values")
    return found


def _contradiction(cell: Cell, result: Result) -> str:
    """Return what in a result cannot be, or nothing."""
    if cell.window is not None and not (is_own(cell.game) or is_own(cell.opponent)):
        for name, size in _sizes(cell.game, cell.opponent, cell.window).items():
            if result[name] != size:
                return f"{name} is {shown(result[name])}, and the meta-game has {size}"
    if cell.measure not in MEASURES:
        return ""
    if cell.m is not None and result["m"] != cell.m:
        return f"m is {shown(result['m'])}"
    if result.get("m", 1) is None and not is_own(cell.agent):
        return "m is None"
    steps = result.get("steps", LARGEST_COUNT)
    if cell.steps is not None and steps != -(-cell.steps // (cell.horizon or 1)) * (cell.horizon or 1):
        return f"steps is {shown(steps)}"
    if (result.get("steps_all_known") or 0) > steps:
        return f"steps_all_known is {shown(result['steps_all_known'])} of {steps} steps"
    if "curve" in result and result["curve"]["steps"][-1] > steps:
        return f"its curve goes on after {steps} steps"
    if result.get("theorem") == "T1-ep" and (cell.horizon is None or not _may_plan_for_episodes(cell)):
        return "theorem T1-ep is about episodes that are planned for"
    for low, high in (("exploration_low", "exploration_high"), ("m_low", "m_high")):
        if low in result and result[low] is not None and result[high] is not None and result[low] > result[high]:
            return f"{low} is above {high}"
    return MEASURES[cell.measure].contradiction(cell, result)


def _may_plan_for_episodes(cell: Cell) -> bool:
    return is_own(cell.agent) or AGENT_KINDS[cell.agent].episodic


@functools.lru_cache(maxsize=1000)
def _sizes(game: str, opponent: str, window: int) -> dict[str, int]:
    """Return the sizes of a window meta-game; nothing large is allocated."""
    found = WindowMetaGame(game_of(game), opponent_of(opponent), window, 0.0)
    return {"n_states": found.n_states, "n_actions": found.n_actions, "branching": found.branching}
