"""What comes from a user is looked at here: whole numbers, numbers, objects of a kind, and rows of probabilities.

Each message names what was given, what was expected, and the call that makes it. Arrays are taken by `_arrays`.
"""

from __future__ import annotations

import math
import numbers
from collections.abc import Callable, Iterable, Mapping
from os import PathLike
from pathlib import Path
from types import BuiltinFunctionType, FunctionType, MethodType
from typing import Any, TypeGuard

import numpy as np
from numpy.typing import NDArray

from rfos._system import arrays
from rfos._system.arrays import Float
from rfos._system.memory import BLOCK_ROWS

ROW_TOL = 1e-9
"""How far the probabilities of a row may sum from 1."""

MOST_CHARACTERS = 80
"""Characters of a value that a message shows."""


class WrongKindError(TypeError, ValueError):
    """An object of another kind than was expected; a ValueError too, as everything that the package refuses is."""


MAKES: Mapping[str, str] = {
    "NormalFormGame": "named_game(name) or NormalFormGame.from_payoffs(...) makes one",
    "StochasticGame": "iterated(game, discount) or one_shot(game) makes one of a NormalFormGame",
    "DecPOMDP": "task(name) of rfos.teams.tasks or DecPOMDP(W, R, n_actions, n_observations, horizon) makes one",
    "TabularMDP": "meta_game.to_mdp() or TabularMDP(P, R, discount) makes one",
    "WindowMetaGame": "WindowMetaGame(game, opponent, window=2, discount=0.8) makes one of a NormalFormGame",
    "PolicyMetaGame": "PolicyMetaGame(stochastic_game, learners, grids, discount) makes one",
    "Rmax": "Rmax(epsilon=0.8) or Rmax(m=10) makes one",
    "PaperRmax": "PaperRmax() makes one",
    "Solution": "solve(mdp) makes one",
    "Trace": "run(process, agent, steps=1000) makes one",
    "WindowIndex": "WindowIndex((2, 2), window=2), or the index of a WindowMetaGame, is one",
    "Experiment": "Experiment() of rfos.laboratory.reproduction.reproduce makes one",
    "Spec": "read_spec(path) of rfos.laboratory.sweeps.spec makes one",
    "Store": "Store(path) of rfos.laboratory.sweeps.store makes one",
    "DataFrame": "pandas.DataFrame(rows) makes one",
}
"""The call that makes an object of a kind, by the kind's name."""

OPPONENT = (
    "give one of rfos.metagames.opponents, such as WindowQLearner(), or an object with "
    "probabilities(game, player, index)"
)

LEARNER = (
    "give one of rfos.metagames.learners, such as NaiveLearner(), or an object with update(game, player, policies)"
)

GRID = "even_grid(game, player, levels) of rfos.metagames.sizes makes one"


def shown(value: object) -> str:
    """Return a value as a message prints it: on one line that is not too long, however large the value is.

    Examples
    --------
    >>> shown(10**400), shown(-3), shown("rmax")
    ('about 10^400', '-3', "'rmax'")
    """
    if isinstance(value, numbers.Integral) and not isinstance(value, bool):
        whole = int(value)
        if abs(whole) < 10**30:
            return str(whole)
        # log10(2) = 0.30103: Python refuses to print thousands of digits.
        return f"about {'-' if whole < 0 else ''}10^{int(abs(whole).bit_length() * 0.30103)}"
    try:
        text = " ".join(repr(value).split())
    except Exception:
        text = f"a {type(value).__name__}"
    return text if len(text) <= MOST_CHARACTERS else text[: MOST_CHARACTERS - 3] + "..."


def described(value: object) -> str:
    """Return what an object is, in words.

    Examples
    --------
    >>> described(5), described(ValueError), described([1]), described(lambda: 0)
    ('5', 'the class ValueError', 'a list', 'a function')
    """
    if value is None or isinstance(value, str | numbers.Number):
        return shown(value)
    if isinstance(value, type):
        return f"the class {value.__name__}"
    if isinstance(value, FunctionType | BuiltinFunctionType | MethodType):
        return "a function"
    return _a(type(value).__name__)


def _a(name: str) -> str:
    return f"{'an' if name[:1].lower() in tuple('aeiou') or name[:2] in ('Rm', 'LO') else 'a'} {name}"


def is_whole(value: object) -> TypeGuard[int]:
    """Return whether a value is of an integer type: neither a bool nor a float, even a whole one.

    Examples
    --------
    >>> is_whole(np.int8(2)), is_whole(True), is_whole(2.0)
    (True, False, False)
    """
    return isinstance(value, numbers.Integral) and not isinstance(value, bool)


def whole(name: str, value: object, low: int = 1, high: int | None = None, give: str = "") -> int:
    """Return a whole number as a Python int.

    Any integer type will do, but neither a bool nor a float: True is no action, and 2.0 is a number of nothing.

    Parameters
    ----------
    name : str
        How a message calls it.
    value : object
    low, high : int
        Smallest and largest value; None: no largest.
    give : str
        What to give instead; default "a whole number from low to high", or "of at least low".

    Raises
    ------
    ValueError
        If it is not a whole number, or out of range; the message names it.

    Examples
    --------
    >>> whole("window", np.int8(2)), whole("action", 0, 0, 1)
    (2, 0)
    >>> whole("action", True, 0, 1)
    Traceback (most recent call last):
        ...
    ValueError: action is True: give a whole number from 0 to 1
    """
    if not is_whole(value) or int(value) < low or (high is not None and int(value) > high):
        ends = f"of at least {low}" if high is None else f"from {low} to {high}"
        raise ValueError(f"{name} is {shown(value)}: give {give or f'a whole number {ends}'}")
    return int(value)


def number(value: object) -> float:
    """Return a real number as a float, and NaN for all that is not one: it then fails every check of a range.

    Examples
    --------
    >>> number(np.float32(0.5)), number(True), number("0.5"), number(-(10**400))
    (0.5, nan, nan, -inf)
    """
    if not isinstance(value, numbers.Real) or isinstance(value, bool):
        return math.nan
    try:
        return float(value)
    except OverflowError:
        return -math.inf if value < 0 else math.inf


def kind(name: str, value: object, *kinds: type, mend: str = "") -> None:
    """Raise unless an object is of one of some kinds.

    Raises
    ------
    WrongKindError
        Naming what it is, what was expected, and the call that makes that (`MAKES`, or `mend`).

    Examples
    --------
    >>> from rfos.games.normal_form import NormalFormGame
    >>> kind("game", 5, NormalFormGame)
    Traceback (most recent call last):
        ...
    rfos._system.checks.WrongKindError: game is 5, not a NormalFormGame: named_game(name) or ... makes one
    """
    if not isinstance(value, kinds):
        names = [_a(one.__name__) for one in kinds]
        wanted = names[0] if len(names) == 1 else f"{', '.join(names[:-1])} or {names[-1]}"
        raise WrongKindError(f"{name} is {described(value)}, not {wanted}: {mend or MAKES[kinds[0].__name__]}")


def offers(name: str, value: object, wanted: str, members: tuple[str, ...], mend: str) -> None:
    """Raise unless an object (an instance, not its class) has what a protocol asks for.

    Parameters
    ----------
    name : str
        How a message calls it.
    value : object
    wanted : str
        What was expected, as in "a learner".
    members : tuple of str
        Names of attributes and methods.
    mend : str
        What to give instead.

    Raises
    ------
    WrongKindError
    """
    if isinstance(value, type):
        has = all(hasattr(value, member) for member in members)
        how = f"give an object of it, such as {value.__name__}()" if has else mend
        raise WrongKindError(f"{name} is the class {value.__name__}, not {wanted}: {how}")
    lacks = [member for member in members if not hasattr(value, member)]
    if lacks:
        part = f" (it has no {lacks[0]})" if len(lacks) < len(members) else ""
        raise WrongKindError(f"{name} is {described(value)}, not {wanted}{part}: {mend}")


def path(name: str, value: object) -> Path:
    """Return a path that was given as a Path or as text, or raise WrongKindError."""
    if not isinstance(value, str | PathLike):
        raise WrongKindError(f"{name} is {described(value)}, not a path: give a file's name, or a pathlib.Path")
    return Path(value)


def frame(name: str, value: object, columns: tuple[str, ...], mend: str) -> None:
    """Raise unless an object is a DataFrame with these columns.

    Raises
    ------
    WrongKindError
        If it is not a DataFrame.
    ValueError
        If it lacks a column; the message names it.
    """
    if not hasattr(value, "groupby") or not hasattr(value, "columns"):
        raise WrongKindError(f"{name} is {described(value)}, not a DataFrame: {mend}")
    lacks = [column for column in columns if column not in value.columns]
    if lacks:
        raise ValueError(f"{name} has no column {lacks[0]}: {mend}")


def function(name: str, value: object, mend: str) -> None:
    """Raise WrongKindError unless an object can be called."""
    if not callable(value):
        raise WrongKindError(f"{name} is {described(value)}, not a function: {mend}")


def several(name: str, value: object, mend: str) -> tuple[Any, ...]:
    """Return the members of a sequence, or raise WrongKindError where it is none (a text is none)."""
    if isinstance(value, str | bytes | Mapping) or not isinstance(value, Iterable):
        raise WrongKindError(f"{name} is {described(value)}, not a sequence: {mend}")
    return tuple(value)


def are_distributions(rows: Float) -> NDArray[np.bool_]:
    """Return for each row (..., A) whether it is at least 0 and sums to 1.

    Examples
    --------
    >>> are_distributions(np.array([[0.5, 0.5], [1.5, -0.5], [np.nan, 1.0], [np.inf, -np.inf]])).tolist()
    [True, False, False, False]
    """
    with np.errstate(invalid="ignore"):
        found: NDArray[np.bool_] = (rows >= 0).all(axis=-1) & (np.abs(rows.sum(axis=-1) - 1) <= ROW_TOL)
    return found


def distributions(says: str, given: object, shape: tuple[int, ...], where: Callable[[int], str]) -> Float:
    """Return what an opponent or a learner plays as an own read-only array of distributions, one in each row.

    Parameters
    ----------
    says : str
        What the message begins with, such as "the opponent of player 1 plays".
    given : object
        What was returned.
    shape : tuple of int
        (rows, actions).
    where : callable
        Names a row in words, given its number.

    Returns
    -------
    ndarray of float64, shape (rows, actions)
        As given: rows are not rescaled.

    Raises
    ------
    ValueError
        If it is not an array of real numbers of that shape, or a row is negative, not finite, or does not sum to 1.

    Examples
    --------
    >>> distributions("the opponent plays", [[0.6, 0.6]], (1, 2), lambda row: f"in window {row}")
    Traceback (most recent call last):
        ...
    ValueError: the opponent plays [0.6, 0.6] in window 0: give probabilities of at least 0 that sum to 1
    """
    rows = arrays.floats(f"what {says}", given)
    if rows.shape != shape:
        raise ValueError(f"{says} an array of shape {rows.shape}: give probabilities of shape {shape}")
    for first in range(0, len(rows), BLOCK_ROWS):
        bad = ~are_distributions(rows[first : first + BLOCK_ROWS])
        if bad.any():
            row = first + int(bad.argmax())
            what = shown(rows[row].tolist())
            raise ValueError(f"{says} {what} {where(row)}: give probabilities of at least 0 that sum to 1")
    return rows
