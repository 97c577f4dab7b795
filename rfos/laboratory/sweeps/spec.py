"""What a sweep is asked for: a TOML file of grids, checked as a whole before anything runs."""

from __future__ import annotations

import contextlib
import difflib
import functools
import itertools
import math
import re
import textwrap
import tomllib
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any

from rfos._system import checks as checks_module
from rfos._system.files import read_regular
from rfos._system.memory import require_memory
from rfos.games.named import NAMED_GAMES
from rfos.laboratory.sweeps.cells import Cell, canonical, kind, meta_game, process
from rfos.laboratory.sweeps.measures import LONGEST_RUN, MEASURES, Measure, effort, measure_of, peak_bytes
from rfos.laboratory.sweeps.modules import cached, forget_reloaded
from rfos.laboratory.sweeps.parts import (
    AGENT_KINDS,
    OPPONENTS,
    game_of,
    inner_game_of,
    is_own,
    learner_of,
    opponent_of,
)
from rfos.laboratory.sweeps.results import LARGEST_COUNT, shown
from rfos.learning.coverage import require_accuracy
from rfos.learning.environment import as_environment
from rfos.metagames.grids import MAX_LEVELS
from rfos.metagames.learners import NAMED_LEARNERS
from rfos.metagames.opponents import QLearner
from rfos.metagames.policy import PolicyMetaGame
from rfos.metagames.window import WindowMetaGame

FEWEST_POINTS = 3
"""Points below which a slope says nothing about a power law."""

MOST_CELLS = 1_000_000
"""Largest number of cells of a sweep."""

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


def whole(low: int, high: int = LARGEST_COUNT) -> Callable[[str, object], int]:
    """Return a check that a value is a whole number between these ends; it raises ValueError with a name."""

    def check(name: str, value: object) -> int:
        if isinstance(value, bool) or not isinstance(value, int) or value < low:
            raise ValueError(f"{name} is {shown(value)}: give a whole number of at least {low}")
        if value > high:
            most = f"{high:,}" if high < LARGEST_COUNT else f"{high:.0e}"
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


def _named_or_own(names: Mapping[str, object] | None = None) -> Callable[[str, object], str]:
    """Return a check that a value is one of some names, or a user's own part; without names any text will do."""

    def check(name: str, value: object) -> str:
        text = text_of(name, value)
        if is_own(text) or (names is None and ":" not in text) or (names is not None and text in names):
            return text
        if ":" in text:
            raise ValueError(f"{name} is {shown(value)}: give one of your own as module:name")
        listed = ", ".join(names or ())
        raise ValueError(f"{name} is {shown(value)}: choose among {listed}, or give one of your own as module:name")

    return check


@dataclass(frozen=True)
class GridKey:
    """A key of a grid.

    Attributes
    ----------
    check : callable
        (name, value) -> the value as a cell keeps it, or ValueError.
    says : str
        What it is, in a sentence.
    example : tuple
        Values for an example.
    choices : tuple of str
        The names that it may have.
    own : str
        What one of a user's own, `module:name`, must be; empty where there is none.
    """

    check: Callable[[str, object], object]
    says: str
    example: tuple[object, ...]
    choices: tuple[str, ...] = ()
    own: str = ""


GRID_KEYS: Mapping[str, GridKey] = MappingProxyType(
    {
        "game": GridKey(
            _named_or_own(),
            "The inner game; public-goods-N is for N players, and epsilon is in its own units of reward.",
            ("matching-pennies",),
            (*NAMED_GAMES, "public-goods-3"),
            "a function without arguments that returns a NormalFormGame",
        ),
        "opponent": GridKey(
            _named_or_own(),
            f"Whoever plays against the shaper: with a window one of {', '.join(OPPONENTS)}; with levels one of "
            f"{', '.join(NAMED_LEARNERS)}.",
            ("window-q-learner",),
            (),
            "a function without arguments that returns an opponent, or with levels a learner",
        ),
        "window": GridKey(whole(1), "Joint actions that the meta-state remembers (Case II).", (1, 2, 3)),
        "levels": GridKey(
            whole(2, MAX_LEVELS + 1),
            "Levels of each probability in the grid of policies (Case I), instead of window.",
            (3,),
        ),
        "inner_discount": GridKey(
            _number(0, 1, closed=True), "Discount of the inner game, with levels; 0: it is played once.", (0.0,)
        ),
        "discount": GridKey(_number(0, 1, closed=True), "Discount of the meta-game.", (0.8,)),
        "horizon": GridKey(whole(1), "Steps of an episode; without it there are no restarts.", (10,)),
        "measure": GridKey(
            _named_or_own(MEASURES),
            "What is measured in each cell; least-m needs a grid of its own, without m, steps and budget.",
            ("run", "ledger"),
            tuple(MEASURES),
            "a Measure",
        ),
        "agent": GridKey(
            _named_or_own(AGENT_KINDS),
            "The shaper; rmax-episode needs a horizon, rmax-pooled a window.",
            ("rmax",),
            tuple(AGENT_KINDS),
            "an agent, or a function (epsilon, delta, m) that returns one",
        ),
        "epsilon": GridKey(_epsilon, "Accuracy, in the game's units of reward.", (0.8,)),
        "delta": GridKey(_number(0, 1), "Failure probability.", (0.2,)),
        "m": GridKey(
            whole(1), "Visits that make a pair known; without it they are derived from epsilon and delta.", (5,)
        ),
        "steps": GridKey(whole(1), "Length of the runs, in steps.", (2000,)),
        "budget": GridKey(
            whole(1), "Length of the runs in multiples of m times the rows counted, instead of steps.", (4,)
        ),
    }
)
"""The keys of a grid; each has a list in the file.

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
    forget_reloaded()
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


def example() -> str:
    """Return a spec in TOML with every key, what it is and what it may be: what `rfos sweep --example` prints.

    Examples
    --------
    >>> len(parse_spec(example()).cells)
    14
    """
    lines = [
        "# What rfos sweep measures: the union of the products of all grids, each cell once.",
        "# A name of your own, module:name, is imported from PYTHONPATH, and importing a module runs it.",
        "",
        "# What stands on the report, on one line.",
        'title = "an example of every key"',
        "# Root of all random streams: the same seed brings the same bytes.",
        "seed = 1",
        *_example_grid(without=("levels", "inner_discount", "budget")),
        *_example_grid(without=("window", "steps", "m"), measure=("run",), opponent=("naive",)),
    ]
    return "\n".join(lines) + "\n"


def _example_grid(without: tuple[str, ...], **other: tuple[object, ...]) -> list[str]:
    lines = ["", "[[grid]]"]
    for name, key in GRID_KEYS.items():
        comments = textwrap.wrap(key.says, 110, break_on_hyphens=False)
        if key.choices:
            comments += textwrap.wrap(f"One of {', '.join(key.choices)}.", 110, break_on_hyphens=False)
        if key.own:
            comments.append(f"Or module:name of your own: {key.own}.")
        values = ", ".join(_toml(value) for value in other.get(name, key.example))
        comments = [] if other else comments  # in the first grid they are said
        lines += [*(f"# {line}" for line in comments), f"{'# ' if name in without else ''}{name} = [{values}]"]
    if not other:
        lines.append("# Repetitions of each cell, each with a random stream of its own.")
    return [*lines, "seeds = 2"]


_OPAQUE = re.compile(r'"""(?:\\.|[^\\])*?"""|' r"'''.*?'''|" r'"(?:\\.|[^"\\\n])*"|' r"'[^'\n]*'|#[^\n]*", re.DOTALL)
"""Texts and comments in TOML."""


def without_verdict(cells: Iterable[Cell]) -> list[str]:
    """Return a sentence for each variable that has two values along every line: these give no verdict.

    Examples
    --------
    >>> from dataclasses import replace
    >>> cell = Cell(measure="run", game="chicken", opponent="grim", agent="rmax", epsilon=0.8, delta=0.2, discount=0.8,
    ...             root=0, seed=0, window=1, steps=1)
    >>> without_verdict([cell, replace(cell, window=2)])
    ['window has 2 values where all else is equal: a verdict beside a bound needs 3']
    """
    points = dict.fromkeys(cell.point for cell in cells)
    found = []
    for name in ("window", "levels", "epsilon", "delta", "discount", "m"):
        values: dict[Cell, set[Any]] = {}
        for point in points:
            others: dict[str, Any] = {name: None}
            values.setdefault(replace(point, **others), set()).add(getattr(point, name))
        most = max(map(len, values.values()), default=0)
        if 1 < most < FEWEST_POINTS:
            found.append(
                f"{name} has {most} values where all else is equal: a verdict beside a bound needs {FEWEST_POINTS}"
            )
    return found


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


def _check_keys(grid: Mapping[str, object], measures: Mapping[str, Measure]) -> None:
    """Raise ValueError unless a grid has all keys that belong together; `measures` are those that may be looked at."""
    _known(grid, (*GRID_KEYS, "seeds"), " in a grid")
    _present(grid, (*REQUIRED, "seeds"), "a grid")
    once = [("window", "levels", "the meta-state")]
    given = grid["measure"] if isinstance(grid["measure"], list) else []
    searching = [name for name in given if isinstance(name, str) and name in measures and measures[name].searches_m]
    if searching and len(searching) == len(given):
        _without(grid, ("m", "steps", "budget"), f"{searching[0]} looks for m, and its runs end by themselves")
    elif all(name in measures for name in given if isinstance(name, str)) or "steps" in grid or "budget" in grid:
        once.append(("steps", "budget", "the length of the runs"))
    for one, other, what in once:
        if (one in grid) == (other in grid):
            raise ValueError(f"give {what} once, as {one} or as {other}")
    if ("inner_discount" in grid) != ("levels" in grid):
        raise ValueError("inner_discount belongs to levels: give both, or a window alone (0 is a one-shot game)")


def _cells(grid: dict[str, Any], root: int, room: int) -> list[Cell]:
    """Return the cells of one grid, every distinct point checked."""
    _present(grid, ("measure",), "a grid")
    measures = dict(MEASURES)
    for name in grid["measure"] if isinstance(grid["measure"], list) else ():
        if isinstance(name, str) and is_own(name):
            measures[name] = measure_of(name)
    _check_keys(grid, measures)
    seeds = whole(1)("seeds", grid["seeds"])
    lists: dict[str, list[Any]] = {}
    for name, key in GRID_KEYS.items():
        if name not in grid:
            continue
        values = grid[name]
        if not isinstance(values, list):
            raise ValueError(f"{name} is {shown(values)}: give a list, such as {name} = [{_toml(values)}]")
        if not values:
            raise ValueError(f"{name} is an empty list: give at least one value")
        lists[name] = [key.check(name, value) for value in values]
        twice = next((value for value, count in Counter(lists[name]).items() if count > 1), None)
        if twice is not None:
            raise ValueError(f"{name} has {shown(twice)} twice: give each value once")
    alone = [name for name in lists["measure"] if measures[name].searches_m]
    if alone and len(lists["measure"]) > len(alone):
        raise ValueError(
            f"measure has {alone[0]} beside others: give it a grid of its own, since its runs have no length"
        )
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


def _check_parts(cell: Cell, imported: bool) -> None:
    """Raise ValueError unless the parts of a cell are known and go together; of a user's own only if they may be."""
    if cell.window is not None and cell.opponent not in OPPONENTS and not is_own(cell.opponent):
        raise ValueError(f"opponent is {shown(cell.opponent)}: choose among {', '.join(OPPONENTS)} with a window")
    record = measure_of(cell.measure) if imported else MEASURES.get(cell.measure)
    known = cell.window is not None and (imported or not is_own(cell.opponent))
    if record is not None and record.needs_mdp and known and not _is_markov(cell.game, cell.opponent, imported):
        hides = f"{cell.opponent} hides its state: choose another opponent"
        raise ValueError(f"measure {cell.measure} needs an MDP, and {hides}")
    if is_own(cell.agent) and not imported:
        return
    chosen = kind(cell)
    if record is not None and record.searches_m and not chosen.searched:
        searched = " or ".join(name for name, other in AGENT_KINDS.items() if other.searched)
        raise ValueError(f"agent is {cell.agent!r}: {cell.measure} looks for the m of {searched}")
    if chosen.episodic and cell.horizon is None:
        raise ValueError(f"agent {cell.agent} plans for the episode: give horizon, the steps per episode")
    if chosen.pooled and cell.window is None:
        raise ValueError(f"agent {cell.agent} counts per window: give window instead of levels")


def _is_markov(game: str, opponent: str, imported: bool) -> bool:
    """Return whether the window meta-games of an opponent are MDPs; of those of the package one hides its state."""
    found = opponent_of(opponent)
    if isinstance(found, QLearner):
        return False
    return not imported or WindowMetaGame(game_of(game), found, 1, 0.0).is_markov


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
    _known(values, tuple(GRID_KEYS), " in a cell")
    # A store may come from somebody else: what its cells name is not imported.
    _check_keys({**{name: [value] for name, value in values.items()}, "seeds": 1}, MEASURES)
    checked: dict[str, Any] = {name: GRID_KEYS[name].check(name, value) for name, value in values.items()}
    cell = Cell(**checked, root=root, seed=seed)
    if cell.name != canonical(dict(given)).decode():
        raise ValueError("its numbers are not written as a sweep writes them")
    _check_parts(cell, imported=False)
    _check_names(cell.game, cell.opponent, cell.inner_discount)
    return cell


@functools.lru_cache(maxsize=1000)
def _check_names(game: str, opponent: str, inner_discount: float | None) -> None:
    """Raise ValueError unless a cell's game is known, and with levels its opponent, too."""
    try:
        if not is_own(game):
            game_of(game) if inner_discount is None else inner_game_of(game, inner_discount)
        if inner_discount is not None and not is_own(opponent):
            learner_of(opponent)
    except MemoryError as error:
        raise ValueError(str(error)) from None


def _check_point(cell: Cell) -> None:
    """Raise ValueError or MemoryError unless a cell can run; builds nothing but the table of a policy meta-game."""
    _check_parts(cell, imported=True)
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
    planned = cell.horizon if kind(cell).episodic else None
    require_accuracy(as_environment(process(cell)), cell.epsilon, planned)
    size = effort(cell)
    if size > LONGEST_RUN:
        mend = "a smaller window or discount, or a larger epsilon"
        if not measure_of(cell.measure).searches_m:
            mend = "a smaller m, budget, steps, window or discount, or a larger epsilon"
        raise ValueError(
            f"measure {cell.measure} of {cell.game} with {_point(cell)} takes as long as 10^{math.log10(size):.1f} "
            f"steps, above the limit of {LONGEST_RUN:.0e}: give {mend}"
        )


@cached(1000)
def _check_opponent(game: str, opponent: str) -> None:
    """Raise ValueError unless an opponent of a window meta-game can play the game."""
    small = WindowMetaGame(game_of(game), opponent_of(opponent), 1, 0.0)
    if small.is_markov:
        small.opponents_play  # noqa: B018  computed for this only


def _point(cell: Cell) -> str:
    where = f"window {cell.window}" if cell.window is not None else f"{cell.levels} levels"
    return f"{where}, epsilon {cell.epsilon} and discount {cell.discount}"
