"""Team tasks by name: how to build them, at what sizes, and what is known of their optima."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from rfos._system import checks
from rfos._system.arrays import Int
from rfos.teams.model import LONGEST_EPISODE, DecPOMDP
from rfos.teams.pooling import every_row
from rfos.teams.tasks_benchmarks import broadcast_channel, dec_tiger, grid_small, recycling_robots
from rfos.teams.tasks_reference import lock, reference_game, reference_path, said_keys
from rfos.teams.tasks_riddles import all_drawn, occupant_keys, switch_bridge, switch_riddle


@dataclass(frozen=True)
class Known:
    """What is known of the largest return of decentralised policies.

    Attributes
    ----------
    value : float
        In the task's units of reward, over the whole episode.
    exact : bool
        Whether it is the optimum; else an upper bound.
    source : str
        In words.
    """

    value: float
    exact: bool
    source: str


@dataclass(frozen=True)
class Size:
    """One size that a task can be built at: its default and its range."""

    default: int
    low: int
    high: int


Sizes = Mapping[str, int]
"""All sizes of a task, by name."""


def own_rows(team: DecPOMDP) -> Int:
    """Return the keys of a task that declares no rows equal, shape (S*A,)."""
    return every_row(team.n_states, team.n_joint_actions)


@dataclass(frozen=True)
class Task:
    """A team problem that is known by name.

    Attributes
    ----------
    name : str
    title : str
        One line.
    make : callable
        make(horizon, **sizes) returns the DecPOMDP; `task` checks the sizes first.
    horizon : callable
        horizon(sizes) is the number of steps unless another is asked for.
    known : callable
        known(horizon, sizes) returns `Known`, or None where nothing is.
    sizes : mapping of str to Size
    row_keys : callable
        row_keys(team), integers of shape (S*A,): pairs (s, a) of the same key, at s * A + a, have the same law of next
        state and joint observation and the same reward, because the task says so (M8-pool). From 0, without gaps.
    """

    name: str
    title: str
    make: Callable[..., DecPOMDP]
    horizon: Callable[[Sizes], int]
    known: Callable[[int, Sizes], Known | None]
    sizes: Mapping[str, Size] = field(default_factory=lambda: MappingProxyType({}))
    row_keys: Callable[[DecPOMDP], Int] = own_rows

    def sizes_of(self, given: Mapping[str, int]) -> dict[str, int]:
        """Return all sizes, the defaults where none is given, or raise ValueError where one is wrong."""
        for size in given:
            if size not in self.sizes:
                has = f"its sizes are {', '.join(self.sizes)}" if self.sizes else "it has one size only"
                raise ValueError(f"{self.name} has no size {checks.shown(size)}: {has}")
        return {
            size: checks.whole(f"{size} of {self.name}", given.get(size, one.default), one.low, one.high)
            for size, one in self.sizes.items()
        }

    def optimum(self, horizon: int | None = None, **sizes: int) -> Known | None:
        """Return what is known of the largest return of decentralised policies; None: nothing.

        Examples
        --------
        >>> TASKS["dec-tiger"].optimum(3)
        Known(value=5.190812, exact=True, source='masplan.org table')
        >>> TASKS["switch-riddle"].optimum(agents=4).exact
        False
        """
        chosen = self.sizes_of(sizes)
        return self.known(self._steps(horizon, chosen), chosen)

    def build(self, horizon: int | None = None, **sizes: int) -> DecPOMDP:
        """Return the problem at these sizes; see `task`."""
        chosen = self.sizes_of(sizes)
        return self.make(self._steps(horizon, chosen), **chosen)

    def _steps(self, horizon: int | None, sizes: Sizes) -> int:
        return self.horizon(sizes) if horizon is None else checks.whole("horizon", horizon, 1, LONGEST_EPISODE)


def _table(first: int, *values: float) -> Callable[[int, Sizes], Known | None]:
    """Return what the public table says, from one horizon on."""
    listed = dict(enumerate(values, start=first))
    return lambda horizon, sizes: Known(listed[horizon], True, "masplan.org table") if horizon in listed else None


def _riddle_known(horizon: int, sizes: Sizes) -> Known:
    agents = sizes["agents"]
    visits = horizon // (sizes.get("cells", 0) + 1)
    value = float(all_drawn(agents, visits))
    if agents == 3:
        return Known(
            value,
            True,
            "derived here, by hand: who is new and finds the light off, the first one excepted, switches it on, and "
            "who is new and finds it on tells; that attains the oracle's value",
        )
    return Known(value, False, "upper bound (oracle)")


def _game_known(horizon: int, sizes: Sizes) -> Known:
    share = min(1.0, sizes["symbols"] / sizes["goals"])
    # One symbol is heard, and each step after the first is a pick for the same goals.
    return Known((horizon - 1) * share, True, "derived here, by hand: C messages tell at most C of k goals")


def _lock_known(horizon: int, sizes: Sizes) -> Known:
    return Known(float(horizon >= sizes["digits"]), True, "derived here, by hand: play the code")


_AGENTS, _GOALS, _SYMBOLS = Size(3, 3, 6), Size(3, 1, 16), Size(2, 1, 16)

_LISTED = (
    Task(
        "switch-riddle",
        "Switch riddle: prisoners, a light, and one of them in the room each day",
        switch_riddle,
        lambda sizes: 4 * sizes["agents"] - 6,
        _riddle_known,
        MappingProxyType({"agents": _AGENTS}),
        occupant_keys,
    ),
    Task(
        "switch-bridge",
        "Switch riddle with a bridge to the room (details guessed)",
        switch_bridge,
        lambda sizes: (4 * sizes["agents"] - 6) * (sizes["cells"] + 1),
        _riddle_known,
        MappingProxyType({"agents": _AGENTS, "cells": Size(1, 1, 8)}),
        occupant_keys,
    ),
    Task(
        "reference-game",
        "Reference game R(k, C): say the other's goal, then pick your own",
        reference_game,
        lambda sizes: 2,
        _game_known,
        MappingProxyType({"goals": _GOALS, "symbols": _SYMBOLS}),
        said_keys,
    ),
    Task(
        "reference-path",
        "Reference game on a path: walk to the goal that only the other one knows",
        reference_path,
        lambda sizes: sizes["cells"],
        lambda horizon, sizes: None,
        MappingProxyType({"goals": Size(2, 1, 16), "symbols": Size(2, 1, 16), "cells": Size(3, 2, 16)}),
    ),
    Task(
        "lock",
        "Lock: a code of joint actions, and nothing to see",
        lock,
        lambda sizes: sizes["digits"],
        _lock_known,
        MappingProxyType(
            {
                "agents": Size(2, 1, 6),
                "actions": Size(2, 1, 32),
                "digits": Size(4, 1, 1000),
                "seed": Size(0, 0, 2**63 - 1),
            }
        ),
    ),
    Task(
        "dec-tiger",
        "Dec-Tiger: two agents, two doors, one tiger",
        dec_tiger,
        lambda sizes: 4,
        _table(2, -4.0, 5.190812, 4.802755, 7.026451, 10.381625),
    ),
    Task(
        "broadcast-channel",
        "Broadcast channel: two messages at once collide",
        broadcast_channel,
        lambda sizes: 4,
        _table(2, 2.0, 2.99, 3.89, 4.79, 5.69),
    ),
    Task(
        "recycling-robots",
        "Recycling robots: big waste takes both",
        recycling_robots,
        lambda sizes: 4,
        _table(2, 7.0, 10.660125, 13.38, 16.486, 19.5542),
    ),
    Task(
        "grid-small",
        "Meeting in a grid of 2 x 2 cells",
        grid_small,
        lambda sizes: 3,
        _table(2, 0.91, 1.550444, 2.241577, 2.970496, 3.717168),
    ),
)

TASKS: Mapping[str, Task] = MappingProxyType({one.name: one for one in _LISTED})
"""The tasks, by name, in the order of listings."""


def task(name: str, horizon: int | None = None, **sizes: int) -> DecPOMDP:
    """Return the team problem of that name in `TASKS`.

    Parameters
    ----------
    name : str
    horizon : int, optional
        Steps of an episode; default: the task's own, which may depend on its sizes.
    **sizes : int
        Those that the task has, such as agents=4; the others take their defaults.

    Raises
    ------
    ValueError
        If there is no such task or size, or a size is out of range; the message names the choices.
    MemoryError
        If it does not fit this machine.

    Examples
    --------
    >>> task("dec-tiger", 3)
    <dec-tiger: 2 agents, 2 states, 3 x 3 actions, 2 x 2 observations, horizon 3, discount 1>
    >>> task("switch-riddle", agents=4).n_states
    125
    >>> task("switch-riddle", agents=9)
    Traceback (most recent call last):
        ...
    ValueError: agents of switch-riddle is 9: give a whole number from 3 to 6
    """
    checks.kind("name", name, str, mend=f"give one of {', '.join(TASKS)}")
    if name not in TASKS:
        close = difflib.get_close_matches(name[:80].lower().replace("_", "-").replace(" ", "-"), TASKS)
        hint = f" (closest: {', '.join(close)})" if close else ""
        raise ValueError(f"unknown task {checks.shown(name)}{hint}: give one of {', '.join(TASKS)}")
    return TASKS[name].build(horizon, **sizes)
