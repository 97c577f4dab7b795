"""What a sweep is asked for: a TOML file of grids, checked as a whole before anything runs."""

from __future__ import annotations

import contextlib
import difflib
import functools
import itertools
import math
import re
import tomllib
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rfos._system import checks as checks_module
from rfos._system.files import read_regular
from rfos._system.memory import require_memory
from rfos.games.named import named_game
from rfos.laboratory.sweeps.cells import AGENTS, OPPONENTS, Cell, canonical, meta_game, process
from rfos.laboratory.sweeps.measures import LONGEST_RUN, MEASURES, effort, peak_bytes
from rfos.learning.coverage import require_accuracy
from rfos.learning.environment import as_environment
from rfos.metagames.grids import MAX_LEVELS
from rfos.metagames.learners import named_learner
from rfos.metagames.policy import PolicyMetaGame
from rfos.metagames.sizes import inner_game
from rfos.metagames.window import WindowMetaGame

MOST_CELLS = 1_000_000
"""Largest number of cells of a sweep."""

LARGEST = 10**18
"""Largest whole number in a spec, the seed apart: no run has so many steps."""

LARGEST_FILE = 2**20
"""Most bytes of a spec."""

DEEPEST = 4
"""Most brackets within each other in a spec; [[grid]] has two."""

LONGEST_WORD = 500
"""Most characters of a number or a key in a spec, with the dots of a key."""

LONGEST_TEXT = 200
"""Most characters of a text in a spec."""

SMALLEST_EPSILON = 1e-300
"""Below it, 1/epsilon is no number."""

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


def shown(value: object) -> str:
    """Return a value as it is written, printable and not too long.

    Examples
    --------
    >>> print(shown("a" + chr(27)), shown(10**5000), len(shown([0] * 100)))
    'a\\x1b' a number of about 5,000 digits 60
    """
    try:
        text = repr(value)
    except (ValueError, RecursionError):  # Python writes no number of more than 4,300 digits
        return f"a number of about {digits(value):,} digits" if isinstance(value, int) else "nested too deep"
    return text if len(text) <= 60 else text[:57] + "..."


def digits(number: int) -> int:
    """Return about how many decimal digits a whole number has."""
    return math.floor((number.bit_length() - 1) * math.log10(2)) + 1


def whole(low: int, high: int = LARGEST) -> Callable[[str, object], int]:
    """Return a check that a value is a whole number between these ends; it raises ValueError with a name."""

    def check(name: str, value: object) -> int:
        if isinstance(value, bool) or not isinstance(value, int) or value < low:
            raise ValueError(f"{name} is {shown(value)}: give a whole number of at least {low}")
        if value > high:
            most = f"{high:,}" if high < LARGEST else f"{high:.0e}"
            raise ValueError(f"{name} is {shown(value)}: give a whole number of at most {most}")
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
            raise ValueError(f"{name} is {shown(value)}: give a number {ends}")
        return number

    return check


def _epsilon(name: str, value: object) -> float:
    number = _number(0, math.inf)(name, value)
    if number < SMALLEST_EPSILON:
        raise ValueError(f"{name} is {shown(value)}: give a number of at least {SMALLEST_EPSILON:g}")
    return number


def text_of(name: str, value: object) -> str:
    """Return a value if it is a text that can stand on one line, else raise ValueError."""
    if not isinstance(value, str) or not value or not value.isprintable():
        raise ValueError(f"{name} is {shown(value)}: give a text in quotes, on one line")
    if len(value) > LONGEST_TEXT:
        raise ValueError(f"{name} has {len(value):,} characters: give at most {LONGEST_TEXT}")
    return value


def _one_of(names: Mapping[str, object]) -> Callable[[str, object], str]:
    def check(name: str, value: object) -> str:
        if text_of(name, value) not in names:
            raise ValueError(f"{name} is {shown(value)}: choose among {', '.join(names)}")
        return str(value)

    return check


VARIABLES: Mapping[str, Callable[[str, object], object]] = {
    "game": text_of,
    "opponent": text_of,
    "window": whole(1),
    "levels": whole(2, MAX_LEVELS + 1),
    "inner_discount": _number(0, 1, closed=True),
    "discount": _number(0, 1, closed=True),
    "horizon": whole(1),
    "measure": _one_of(MEASURES),
    "agent": _one_of(AGENTS),
    "epsilon": _epsilon,
    "delta": _number(0, 1),
    "m": whole(1),
    "steps": whole(1),
    "budget": whole(1),
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
        A regular file of at most a megabyte, in TOML: ``title``, ``seed`` (root of all random streams), and one or more
        ``[[grid]]``. A grid has a list for each of measure, game, opponent, agent, epsilon, delta and discount; for
        window (Case II) or levels and inner_discount (Case I); for the length of the runs, steps or budget (multiples
        of m times the rows counted), unless the measure is least-m, whose runs end by themselves; optionally for
        horizon and m; and the number of repetitions, seeds. Rewards, and so epsilon, are in the game's own units. The
        sweep is the union of all products.

    Raises
    ------
    ValueError
        If anything in it is unknown, missing, out of range or too large: one sentence with the value and the mend.
    OSError
        If the file cannot be read.
    """
    path = checks_module.path("path", path)
    if not path.exists() and str(path) in shipped():
        path = shipped()[str(path)]
    try:
        content = read_regular(path, LARGEST_FILE)
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        names = ", ".join(shipped())
        raise OSError(f"cannot read the spec {path}: {reason}; give a file, or one that is shipped: {names}") from error
    try:
        text = content.decode()
    except UnicodeDecodeError:
        raise ValueError(f"{path}: it is not a text in UTF-8: give a TOML file") from None
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
    checks_module.kind("text", text, str, mend="give the text of a spec; read_spec(path) reads a file")
    text = text.removeprefix("\ufeff")  # a byte-order mark, which some editors write
    try:
        _check_form(text)
        given = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ValueError(f"{source} is not a TOML file: {error}") from None
    except ValueError as error:
        raise ValueError(f"{source}: {error}") from None
    try:
        return _spec(given)
    except (ValueError, MemoryError) as error:
        raise type(error)(f"{source}: {error}") from None


_OPAQUE = re.compile(r'"""(?:\\.|[^\\])*?"""|' r"'''.*?'''|" r'"(?:\\.|[^"\\\n])*"|' r"'[^'\n]*'|#[^\n]*", re.DOTALL)
"""Texts and comments in TOML."""


def _check_form(text: str) -> None:
    """Raise ValueError if a text is such that the parser would take long or fall: too large, deep, or long words."""
    if len(text) > LARGEST_FILE:
        raise ValueError(f"it has {len(text):,} characters, above the limit of {LARGEST_FILE:,}: give fewer values")
    bare = _OPAQUE.sub(lambda found: "" if found[0][0] == "#" else "_", text).replace(" ", "").replace("\t", "")
    depth = 0
    for bracket in re.findall(r"[][{}]", bare):
        depth += 1 if bracket in "[{" else -1
        if depth > DEEPEST:
            raise ValueError(f"brackets are nested more than {DEEPEST} deep: give each variable a list of values")
    key = ""
    for word in re.finditer(r"([^][{}=,\n]+)(=?)", bare):
        if len(word[1]) > LONGEST_WORD:
            what = "a key has" if word[2] or not key else f"a value of {key} has"
            raise ValueError(f"{what} {len(word[1]):,} characters: give at most {LONGEST_WORD}")
        if word[2]:
            key = word[1]


def _spec(given: dict[str, Any]) -> Spec:
    _known(given, ("title", "seed", "grid"), "")
    _present(given, ("title", "seed", "grid"), "the spec")
    title = text_of("title", given["title"])
    root = whole(0, 2**256)("seed", given["seed"])
    grids = given["grid"]
    if not isinstance(grids, list) or not grids or not all(isinstance(grid, dict) for grid in grids):
        raise ValueError("grid is not a list of tables: begin each grid with [[grid]]")
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
            raise ValueError(f"unknown key {shown(name)}{what}: {hint}")


def _present(given: Mapping[str, object], names: tuple[str, ...], where: str) -> None:
    missing = [name for name in names if name not in given]
    if missing:
        raise ValueError(f"{where} has no {', '.join(missing)}: add it")


def _without(grid: Mapping[str, object], names: tuple[str, ...], why: str) -> None:
    for name in names:
        if name in grid:
            raise ValueError(f"{why}: leave out {name}")


def _check_keys(grid: Mapping[str, object]) -> None:
    """Raise ValueError unless a grid has all keys that belong together."""
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


def _cells(grid: dict[str, Any], root: int, room: int) -> list[Cell]:
    """Return the cells of one grid, every distinct point checked."""
    _check_keys(grid)
    seeds = whole(1)("seeds", grid["seeds"])
    lists: dict[str, list[Any]] = {}
    for name, check in VARIABLES.items():
        if name not in grid:
            continue
        values = grid[name]
        if not isinstance(values, list):
            raise ValueError(f"{name} is {shown(values)}: give a list, such as {name} = [{_toml(values)}]")
        if not values:
            raise ValueError(f"{name} is an empty list: give at least one value")
        lists[name] = [check(name, value) for value in values]
        twice = next((value for value, count in Counter(lists[name]).items() if count > 1), None)
        if twice is not None:
            raise ValueError(f"{name} has {shown(twice)} twice: give each value once")
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


def _check_parts(cell: Cell) -> None:
    """Raise ValueError unless the parts of a cell are known and go together; builds nothing."""
    if cell.window is not None and cell.opponent not in OPPONENTS:
        raise ValueError(f"opponent is {shown(cell.opponent)}: choose among {', '.join(OPPONENTS)} with a window")
    if cell.measure != "run" and cell.opponent == "q-learner" and cell.window is not None:
        raise ValueError(f"measure {cell.measure} needs an MDP, and q-learner hides its state: choose another opponent")
    if cell.measure == "least-m" and cell.agent not in ("rmax", "rmax-pooled"):
        raise ValueError(f"agent is {cell.agent!r}: least-m looks for the m of rmax or rmax-pooled")
    if cell.agent == "rmax-episode" and cell.horizon is None:
        raise ValueError("agent rmax-episode plans for the episode: give horizon, the steps per episode")
    if cell.agent == "rmax-pooled" and cell.window is None:
        raise ValueError("agent rmax-pooled counts per window: give window instead of levels")


def check_cell(given: Mapping[str, Any]) -> Cell:
    """Return the cell of a name that has been read, checked as a spec's; whether this machine has room is not asked.

    Raises
    ------
    ValueError
        If no spec may ask for it: one sentence.

    Examples
    --------
    >>> check_cell({"measure": "run", "seed": -1, "root": 0})
    Traceback (most recent call last):
        ...
    ValueError: seed is -1: give a whole number of at least 0
    """
    _present(given, ("root", "seed"), "the cell")
    root, seed = whole(0, 2**256)("root", given["root"]), whole(0)("seed", given["seed"])
    values = {name: value for name, value in given.items() if name not in ("root", "seed")}
    _known(values, tuple(VARIABLES), " in a cell")
    _check_keys({**{name: [value] for name, value in values.items()}, "seeds": 1})
    checked: dict[str, Any] = {name: VARIABLES[name](name, value) for name, value in values.items()}
    cell = Cell(**checked, root=root, seed=seed)
    if cell.name != canonical(dict(given)).decode():
        raise ValueError("its numbers are not written as a sweep writes them")
    _check_parts(cell)
    _check_names(cell.game, cell.opponent, cell.inner_discount)
    return cell


@functools.lru_cache(maxsize=1000)
def _check_names(game: str, opponent: str, inner_discount: float | None) -> None:
    """Raise ValueError unless a cell's game is known, and with levels its opponent, too."""
    try:
        if inner_discount is None:
            named_game(game)
        else:
            inner_game(game, inner_discount)
            named_learner(opponent)
    except MemoryError as error:
        raise ValueError(str(error)) from None


def _check_point(cell: Cell) -> None:
    """Raise ValueError or MemoryError unless a cell can run; builds nothing but the table of a policy meta-game."""
    _check_parts(cell)
    game = meta_game(cell)
    if cell.window is not None:
        _check_opponent(cell.game, cell.opponent)
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
    planned = cell.horizon if cell.agent == "rmax-episode" else None
    require_accuracy(as_environment(process(cell)), cell.epsilon, planned)
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
    small = WindowMetaGame(named_game(game), OPPONENTS[opponent](), 1, 0.0)
    if small.is_markov:
        small.opponents_play  # noqa: B018  computed for this only


def _point(cell: Cell) -> str:
    where = f"window {cell.window}" if cell.window is not None else f"{cell.levels} levels"
    return f"{where}, epsilon {cell.epsilon} and discount {cell.discount}"
