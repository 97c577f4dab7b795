"""The rows of a store, which may come from somebody else: one reader, that believes none of them.

A row is what a sweep writes if its parts are what its digest and its key say, its cell is one that a spec may ask for,
and its result is one that the cell's measure may bring.
"""

from __future__ import annotations

import functools
import hashlib
import json
import re
from collections.abc import Callable, Mapping
from fractions import Fraction
from types import MappingProxyType
from typing import Any, NamedTuple

from rfos.games.named import named_game
from rfos.laboratory.sweeps.cells import OPPONENTS, Cell, canonical
from rfos.laboratory.sweeps.spec import LARGEST, check_cell, shown
from rfos.learning.trace import Progress
from rfos.metagames.window import WindowMetaGame

LONGEST: Mapping[str, int] = MappingProxyType({"key": 64, "code": 100, "cell": 10_000, "error": 100_000})
"""Most bytes of each text of a row."""

LONGEST_RESULT = 1_000_000
"""Most bytes of a result; a learning curve takes a few thousand."""

MOST = 1e300
"""Largest number in a result."""

THEOREMS = ("T1", "T1'", "T1' with X1", "T1 with X1", "T1-ep", "T1+", "X4")
"""Theorems that a result may name."""

Result = dict[str, Any]

Check = Callable[[Any], bool]


class Row(NamedTuple):
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


def written(texts: Mapping[str, bytes | None], result: bytes | None, stamp: bytes) -> Row:
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
        if content is not None and len(content) > LONGEST[name]:
            raise ValueError(f"its {name} has {len(content):,} bytes, above the limit of {LONGEST[name]:,}")
        try:
            found[name] = None if content is None else content.decode()
        except UnicodeDecodeError:
            raise ValueError(f"its {name} is not a text in UTF-8") from None
    if result is not None and len(result) > LONGEST_RESULT:
        raise ValueError(f"its result has {len(result):,} bytes, above the limit of {LONGEST_RESULT:,}")
    row = Row(found["key"] or "", found["code"] or "", found["cell"] or "", result, found["error"])
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


def read(row: Row) -> tuple[Cell, Result | None]:
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
    kinds = RESULTS[cell.measure]
    for name in kinds:
        if name not in result:
            raise ValueError(f"its result has no {name}")
    for name, value in result.items():
        if name not in kinds:
            raise ValueError(f"its result has {shown(name)}, which measure {cell.measure} does not bring")
        if not kinds[name](value):
            raise ValueError(f"its result has {name} = {shown(value)}")
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


def _whole(low: int, high: float = LARGEST) -> Check:
    return lambda value: isinstance(value, int) and not isinstance(value, bool) and low <= value <= high


def _number(low: float = -MOST, high: float = MOST) -> Check:
    return lambda value: isinstance(value, int | float) and not isinstance(value, bool) and low <= value <= high


def _flag(value: Any) -> bool:
    return isinstance(value, bool)


def _words(value: Any) -> bool:
    return isinstance(value, str) and len(value) <= 1000 and value.isprintable()


def _progress(value: Any) -> bool:
    return isinstance(value, str) and value in list(Progress)


def _theorem(value: Any) -> bool:
    return isinstance(value, str) and value in THEOREMS


def _range(value: Any) -> bool:
    """Whether a value is the range of rewards as it is written: a fraction of whole numbers, as text."""
    if not isinstance(value, str) or not re.fullmatch(r"[0-9]{1,700}(/[1-9][0-9]{0,700})?", value):
        return False
    return str(Fraction(value)) == value and Fraction(value) <= Fraction(MOST)


def _or_none(check: Check) -> Check:
    return lambda value: value is None or check(value)


def _curve(value: Any) -> bool:
    """Whether a value is a learning curve: bins that follow each other, with a reward and the known pairs of each."""
    kinds = {"steps": _whole(1), "reward": _number(), "known": _whole(0)}
    if not isinstance(value, dict) or value.keys() != kinds.keys():
        return False
    lists = list(value.values())
    if not all(isinstance(entry, list) for entry in lists) or len({len(entry) for entry in lists}) != 1 or not lists[0]:
        return False
    if not all(check(number) for name, check in kinds.items() for number in value[name]):
        return False
    return all(before < after for before, after in zip(value["steps"], value["steps"][1:], strict=False))


_POINT: Mapping[str, Check] = {
    "n_states": _whole(1),
    "n_actions": _whole(1),
    "branching": _whole(1),
    "r_max": _range,
}

_COUNT, _COUNT_OR_NONE, _AMOUNT_OR_NONE = _whole(0), _or_none(_whole(0)), _or_none(_number(0))

RESULTS: Mapping[str, Mapping[str, Check]] = MappingProxyType(
    {
        "run": {
            **_POINT,
            "progress": _progress,
            "theorem": _or_none(_theorem),
            "m": _whole(1),
            "steps": _whole(1),
            "steps_all_known": _COUNT_OR_NONE,
            "episodes_all_known": _COUNT_OR_NONE,
            "steps_converged": _COUNT_OR_NONE,
            "final_reward": _number(),
            "plans": _COUNT,
            "curve": _curve,
        },
        "ledger": {
            **_POINT,
            "unit": lambda value: value in ("steps", "episodes"),
            "progress": _progress,
            "theorem": _or_none(_theorem),
            "reason": _words,
            "m": _whole(1),
            "steps": _whole(1),
            "count": _COUNT,
            "undecided": _COUNT,
            "count_most": _COUNT,
            "bound": _AMOUNT_OR_NONE,
            "ratio": _AMOUNT_OR_NONE,
            "exploration_low": _AMOUNT_OR_NONE,
            "exploration_high": _AMOUNT_OR_NONE,
            "exploration_bound": _AMOUNT_OR_NONE,
            "exploration_ratio": _AMOUNT_OR_NONE,
            "final_loss_low": _or_none(_number()),
            "final_loss_high": _or_none(_number()),
            "final_is_optimal": _or_none(_flag),
            "evaluations": _COUNT,
            "steps_all_known": _COUNT_OR_NONE,
        },
        "least-m": {
            **_POINT,
            "error": lambda value: _number()(value) and 0 < value < 1,
            "m_low": _whole(1),
            "m_high": _or_none(_whole(1)),
            "runs": _COUNT,
            "straddling": _COUNT,
            "cut": _COUNT,
            "comparisons": _COUNT,
            "m_paper": _whole(0, MOST),
            "m_T1": _whole(1, MOST),
            "m_T1+": _whole(1, MOST),
        },
    }
)
"""What a measure brings, each with its check: all of these, and nothing else."""


def _contradiction(cell: Cell, result: Result) -> str:
    """Return what in a result cannot be, or nothing."""
    if cell.window is not None:
        for name, size in _sizes(cell.game, cell.opponent, cell.window).items():
            if result[name] != size:
                return f"{name} is {shown(result[name])}, and the meta-game has {size}"
    if cell.m is not None and result["m"] != cell.m:
        return f"m is {shown(result['m'])}"
    steps = result.get("steps", LARGEST)
    if cell.steps is not None and steps != -(-cell.steps // (cell.horizon or 1)) * (cell.horizon or 1):
        return f"steps is {shown(steps)}"
    if (result.get("steps_all_known") or 0) > steps:
        return f"steps_all_known is {shown(result['steps_all_known'])} of {steps} steps"
    if "curve" in result and result["curve"]["steps"][-1] > steps:
        return f"its curve goes on after {steps} steps"
    if result.get("theorem") == "T1-ep" and (cell.horizon is None or cell.agent != "rmax-episode"):
        return "theorem T1-ep is about episodes that are planned for"
    if cell.measure == "ledger" and result["count_most"] != result["count"] + result["undecided"]:
        return "count_most is not the sum of count and undecided"
    for low, high in (("exploration_low", "exploration_high"), ("m_low", "m_high")):
        if low in result and result[low] is not None and result[high] is not None and result[low] > result[high]:
            return f"{low} is above {high}"
    return ""


@functools.lru_cache(maxsize=1000)
def _sizes(game: str, opponent: str, window: int) -> dict[str, int]:
    """Return the sizes of a window meta-game; nothing large is allocated."""
    found = WindowMetaGame(named_game(game), OPPONENTS[opponent](), window, 0.0)
    return {"n_states": found.n_states, "n_actions": found.n_actions, "branching": found.branching}
