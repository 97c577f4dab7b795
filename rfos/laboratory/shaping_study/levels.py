"""Levels per probability: read from text, as grids, half as wide and twice as wide."""

from __future__ import annotations

import itertools
import math

from rfos.games.stochastic import StochasticGame
from rfos.metagames.grids import LevelGrid, SimplexGrid
from rfos.metagames.sizes import even_grid


def read_levels(levels: str) -> tuple[float, ...]:
    """Return the levels that a text lists by commas, or the one number of levels, a whole number of at least 2.

    Raises
    ------
    ValueError
        If it is neither.

    Examples
    --------
    >>> read_levels("5"), read_levels("0.02,0.5,0.98")
    ((5.0,), (0.02, 0.5, 0.98))
    """
    try:
        numbers = tuple(float(part) for part in levels.split(","))
    except ValueError:
        raise ValueError(f"levels is {levels!r}: give a whole number, or probabilities such as 0.02,0.5,0.98") from None
    if len(numbers) == 1 and not (math.isfinite(numbers[0]) and numbers[0] == int(numbers[0]) >= 2):
        raise ValueError(f"levels is {levels!r}: give a whole number of at least 2")
    return numbers


def count_of(levels: tuple[float, ...]) -> int:
    """Return how many levels they are.

    Examples
    --------
    >>> count_of((5.0,)), count_of((0.02, 0.5, 0.98))
    (5, 3)
    """
    return len(levels) if len(levels) > 1 else int(levels[0])


def grid_of(game: StochasticGame, player: int, levels: tuple[float, ...]) -> LevelGrid | SimplexGrid:
    """Return the grid of a player from what `read_levels` returns.

    Raises
    ------
    ValueError
        If levels are listed for a player with other than two actions, or are not increasing probabilities.
    """
    if len(levels) > 1:
        if game.n_actions[player] != 2:
            raise ValueError(f"levels are {levels}: several levels are for two actions, give one number of levels")
        return LevelGrid(game.n_states, levels)
    return even_grid(game, player, int(levels[0]))


def finer(levels: tuple[float, ...], cheap: int) -> tuple[float, ...]:
    """Return levels of cells of half the width, or as many as are cheap if they are more.

    Examples
    --------
    >>> finer((5.0,), 5), finer((5.0,), 101), finer((0.0, 0.5, 1.0), 101)
    ((9.0,), (101.0,), (0.0, 0.25, 0.5, 0.75, 1.0))
    """
    if len(levels) == 1:
        return (max(float(cheap), 2 * levels[0] - 1),)
    between = [(low + high) / 2 for low, high in itertools.pairwise(levels)]
    return tuple(sorted((*levels, *between)))


def coarser(levels: tuple[float, ...]) -> tuple[float, ...]:
    """Return levels of cells of twice the width, or fewer than two levels where there are none.

    Examples
    --------
    >>> coarser((5.0,)), coarser((2.0,)), coarser((0.1, 0.2, 0.3, 0.9))
    ((3.0,), (1.0,), (0.1, 0.3, 0.9))
    """
    if len(levels) == 1:
        return ((levels[0] + 1) // 2 if levels[0] > 2 else 1.0,)
    return (*levels[:-1:2], levels[-1]) if len(levels) > 2 else (1.0,)


def in_words(levels: tuple[float, ...]) -> str:
    """Return levels as text.

    Examples
    --------
    >>> in_words((5.0,)), in_words((0.02, 0.5, 0.98))
    ('5 levels', 'levels 0.02, 0.5, 0.98')
    """
    return f"{levels[0]:.0f} levels" if len(levels) == 1 else "levels " + ", ".join(f"{x:g}" for x in levels)
