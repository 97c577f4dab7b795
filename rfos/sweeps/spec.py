"""What a sweep is asked for: a TOML file of grids, checked as a whole before anything runs."""

from __future__ import annotations

import contextlib
import difflib
import functools
import itertools
import math
import tomllib
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rfos._memory import require_memory
from rfos.metagames import WindowMetaGame
from rfos.policy_metagames import PolicyMetaGame
from rfos.sweeps.cells import (
    AGENTS,
    LONGEST_RUN,
    MEASURES,
    OPPONENTS,
    Cell,
    effort,
    game_of,
    meta_game,
    peak_bytes,
)

MOST_CELLS = 1_000_000
"""Largest number of cells of a sweep."""

LARGEST = 10**18
"""Largest whole number in a spec, the seed apart: no run has so many steps."""

LONGEST_TABLE = 60
"""Seconds that the table of a policy meta-game may take: it is filled once to check a spec, and in each worker."""


@dataclass(frozen=True)
class Spec:
    """A sweep: its title and its cells, each once.

    Attributes
    ----------
    title : str
    cells : tuple of Cell
        In the order of the grids, the last variable fastest.
    """

    title: str
    cells: tuple[Cell, ...]


def _show(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."


def _whole(low: int, high: int = LARGEST) -> Callable[[str, object], int]:
    def check(name: str, value: object) -> int:
        if isinstance(value, bool) or not isinstance(value, int) or value < low:
            raise ValueError(f"{name} is {_show(value)}: give a whole number of at least {low}")
        if value > high:
            raise ValueError(f"{name} is {_show(value)}: give a whole number of at most {high:.0e}")
        return value

    return check


def _number(low: float, high: float, closed: bool = False) -> Callable[[str, object], float]:
    def check(name: str, value: object) -> float:
        number = math.nan
        if not isinstance(value, bool) and isinstance(value, int | float):
            with contextlib.suppress(OverflowError):  # whole numbers may be larger than any float
                number = float(value)
        if not (low < number < high or (closed and number == low)):
            ends = f"{'from' if closed else 'above'} {low:g}" + ("" if math.isinf(high) else f" and below {high:g}")
            raise ValueError(f"{name} is {_show(value)}: give a number {ends}")
        return number

    return check


def _text(name: str, value: object) -> str:
    if not isinstance(value, str) or not value or not value.isprintable():
        raise ValueError(f"{name} is {_show(value)}: give a text in quotes, on one line")
    return value


def _one_of(names: Mapping[str, object]) -> Callable[[str, object], str]:
    def check(name: str, value: object) -> str:
        if _text(name, value) not in names:
            raise ValueError(f"{name} is {_show(value)}: choose among {', '.join(names)}")
        return str(value)

    return check


VARIABLES: Mapping[str, Callable[[str, object], object]] = {
    "game": _text,
    "opponent": _text,
    "window": _whole(1),
    "levels": _whole(2),
    "inner_discount": _number(0, 1, closed=True),
    "discount": _number(0, 1, closed=True),
    "horizon": _whole(1),
    "measure": _one_of(MEASURES),
    "agent": _one_of(AGENTS),
    "epsilon": _number(0, math.inf),
    "delta": _number(0, 1),
    "m": _whole(1),
    "steps": _whole(1),
    "budget": _whole(1),
}
"""The variables of a grid with their checks; each is a list in the file.

Those of the meta-game come first, so that in the product of all lists its table is built once.
"""

SPECS = Path(__file__).parent / "specs"
"""Specs that come with the package."""

REQUIRED = ("measure", "game", "opponent", "agent", "epsilon", "delta", "discount")


def shipped() -> dict[str, Path]:
    """Return the specs that come with the package, by name."""
    return {path.stem: path for path in sorted(SPECS.glob("*.toml"))}


def read_spec(path: Path) -> Spec:
    """Read and check a spec, from a file or by the name of one that comes with the package (`shipped`).

    Parameters
    ----------
    path : Path
        A TOML file: ``title``, ``seed`` (root of all random streams), and one or more ``[[grid]]``. A grid has a list
        for each of measure, game, opponent, agent, epsilon, delta and discount; for window (Case II) or levels and
        inner_discount (Case I); for the length of the runs, steps or budget (multiples of m times the rows counted),
        unless the measure is least-m, whose runs end by themselves; optionally for horizon and m; and the number of
        repetitions, seeds. The sweep is the union of all products.

    Raises
    ------
    ValueError
        If anything in it is unknown, missing, out of range or too large: one sentence with the value and the mend.
    OSError
        If the file cannot be read.
    """
    if not path.exists() and str(path) in shipped():
        path = shipped()[str(path)]
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        names = ", ".join(shipped())
        raise OSError(f"cannot read the spec {path}: {reason}; give a file, or one that is shipped: {names}") from error
    except UnicodeDecodeError:
        raise ValueError(f"{path}: it is no text in UTF-8: give a TOML file") from None
    return parse_spec(text, str(path))


def parse_spec(text: str, source: str = "spec") -> Spec:
    """Check the text of a spec; `source` begins the error messages.

    Examples
    --------
    >>> spec = parse_spec('''
    ... title = "two windows"
    ... seed = 0
    ... [[grid]]
    ... measure = ["run"]
    ... game = ["matching-pennies"]
    ... opponent = ["window-q-learner"]
    ... window = [1, 2]
    ... agent = ["rmax"]
    ... epsilon = [0.8]
    ... delta = [0.2]
    ... discount = [0.8]
    ... steps = [1000]
    ... seeds = 3
    ... ''')
    >>> len(spec.cells), spec.cells[-1].window, spec.cells[-1].seed
    (6, 2, 2)
    """
    try:
        given = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ValueError(f"{source} is no TOML file: {error}") from None
    try:
        return _spec(given)
    except (ValueError, MemoryError) as error:
        raise type(error)(f"{source}: {error}") from None


def _spec(given: dict[str, Any]) -> Spec:
    _known(given, ("title", "seed", "grid"), "")
    _present(given, ("title", "seed", "grid"), "the spec")
    title = _text("title", given["title"])
    root = _whole(0, 2**256)("seed", given["seed"])
    grids = given["grid"]
    if not isinstance(grids, list) or not grids or not all(isinstance(grid, dict) for grid in grids):
        raise ValueError("grid is no list of tables: begin each grid with [[grid]]")
    cells: dict[Cell, None] = {}
    for number, grid in enumerate(grids, start=1):
        where = f"grid {number}: " if len(grids) > 1 else ""
        try:
            cells.update(dict.fromkeys(_cells(grid, root, MOST_CELLS - len(cells))))
        except (ValueError, MemoryError) as error:
            raise type(error)(f"{where}{error}") from None
    return Spec(title, tuple(cells))


def _known(given: Mapping[str, object], names: tuple[str, ...], what: str) -> None:
    for name in given:
        if name not in names:
            close = difflib.get_close_matches(name, names, 1)
            hint = f"did you mean {close[0]}?" if close else f"choose among {', '.join(names)}"
            raise ValueError(f"unknown key {name!r}{what}: {hint}")


def _present(given: Mapping[str, object], names: tuple[str, ...], where: str) -> None:
    missing = [name for name in names if name not in given]
    if missing:
        raise ValueError(f"{where} has no {', '.join(missing)}: add it")


def _without(grid: Mapping[str, object], names: tuple[str, ...], why: str) -> None:
    for name in names:
        if name in grid:
            raise ValueError(f"{why}: leave out {name}")


def _cells(grid: dict[str, Any], root: int, room: int) -> list[Cell]:
    """Return the cells of one grid, every distinct point checked."""
    _known(grid, (*VARIABLES, "seeds"), " in a grid")
    _present(grid, (*REQUIRED, "seeds"), "a grid")
    once = [("window", "levels", "the meta-state")]
    if grid["measure"] == ["least-m"]:
        _without(grid, ("m", "steps", "budget"), "least-m looks for m, and its runs end by themselves")
    else:
        once.append(("steps", "budget", "the length of the runs"))
    for one, other, what in once:
        if (one in grid) == (other in grid):
            raise ValueError(f"give {what} once, as {one} or as {other}")
    if ("inner_discount" in grid) != ("levels" in grid):
        raise ValueError("inner_discount belongs to levels: give both, or a window alone (0 is a one-shot game)")
    seeds = _whole(1)("seeds", grid["seeds"])
    lists: dict[str, list[Any]] = {}
    for name, check in VARIABLES.items():
        if name not in grid:
            continue
        values = grid[name]
        if not isinstance(values, list):
            raise ValueError(f"{name} is {_show(values)}: give a list, such as {name} = [{_toml(values)}]")
        if not values:
            raise ValueError(f"{name} is an empty list: give at least one value")
        lists[name] = [check(name, value) for value in values]
        twice = next((value for value, count in Counter(lists[name]).items() if count > 1), None)
        if twice is not None:
            raise ValueError(f"{name} has {_show(twice)} twice: give each value once")
    if "least-m" in lists["measure"] and len(lists["measure"]) > 1:
        raise ValueError("measure has least-m beside others: give it a grid of its own, since its runs have no length")
    count = math.prod(len(values) for values in lists.values()) * seeds
    if count > room:
        raise ValueError(f"the sweep has more than {MOST_CELLS:,} cells ({count:,} in a grid): give fewer values")
    cells = []
    for values in itertools.product(*lists.values()):
        point = dict(zip(lists, values, strict=True))
        first = Cell(**point, root=root, seed=0)
        _check_point(first)
        cells += [first, *(Cell(**point, root=root, seed=seed) for seed in range(1, seeds))]
    return cells


def _toml(value: object) -> str:
    return f'"{value}"' if isinstance(value, str) else str(value).lower()


def _check_point(cell: Cell) -> None:
    """Raise ValueError or MemoryError unless a cell can run; builds nothing but the table of a policy meta-game."""
    if cell.window is not None and cell.opponent not in OPPONENTS:
        raise ValueError(f"opponent is {cell.opponent!r}: choose among {', '.join(OPPONENTS)} with a window")
    game = meta_game(cell)
    if cell.window is not None:
        _check_opponent(cell.game, cell.opponent)
    if cell.measure != "run" and cell.opponent == "q-learner" and cell.window is not None:
        raise ValueError(f"measure {cell.measure} needs an MDP, and q-learner hides its state: choose another opponent")
    if cell.measure == "least-m" and cell.agent not in ("rmax", "rmax-pooled"):
        raise ValueError(f"agent is {cell.agent!r}: least-m looks for the m of rmax or rmax-pooled")
    require_memory(peak_bytes(cell), f"{cell.game} with {_point(cell)}", "choose a smaller window or fewer levels")
    if isinstance(game, PolicyMetaGame) and game.size_estimate().seconds > LONGEST_TABLE:
        seconds = game.size_estimate().seconds
        raise ValueError(
            f"the table of {cell.game} with {_point(cell)} takes {seconds:,.0f} s, above the limit of {LONGEST_TABLE}: "
            "choose fewer levels"
        )
    if cell.agent == "rmax-episode" and cell.horizon is None:
        raise ValueError("agent rmax-episode plans for the episode: give horizon, the steps per episode")
    if cell.agent == "rmax-pooled" and cell.window is None:
        raise ValueError("agent rmax-pooled counts per window: give window instead of levels")
    size = effort(cell)
    if size > LONGEST_RUN:
        mend = "a smaller window or discount, or a larger epsilon"
        if cell.measure != "least-m":
            mend = "a smaller m, budget, steps, window or discount, or a larger epsilon"
        raise ValueError(
            f"measure {cell.measure} of {cell.game} with {_point(cell)} takes as long as 10^{math.log10(size):.1f} "
            f"steps, above the limit of {LONGEST_RUN:.0e}: give {mend}"
        )


@functools.lru_cache(maxsize=1000)
def _check_opponent(game: str, opponent: str) -> None:
    """Raise ValueError unless an opponent of a window meta-game can play the game."""
    small = WindowMetaGame(game_of(game), OPPONENTS[opponent](), 1, 0.0)
    if small.is_markov:
        small.opponents_play  # noqa: B018  computed for this only


def _point(cell: Cell) -> str:
    where = f"window {cell.window}" if cell.window is not None else f"{cell.levels} levels"
    return f"{where}, epsilon {cell.epsilon} and discount {cell.discount}"
