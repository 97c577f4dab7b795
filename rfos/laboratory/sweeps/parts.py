"""What a spec names: opponents, agents and games of the package by name, a user's own as `module:name`.

A name of the second kind is imported, which runs its module as Python's import does, and what it names is called as
said here; nothing else of a text is ever executed. What is read from a store is never imported: a store may come from
somebody else. `is_own` tells the two kinds apart without importing.
"""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from rfos._system import checks
from rfos._system.names import imported, is_importable
from rfos.games.named import named_game
from rfos.games.normal_form import NormalFormGame
from rfos.games.stochastic import StochasticGame, iterated, one_shot
from rfos.laboratory.sweeps.modules import cached, load
from rfos.learning.agents import PaperRmax, Rmax
from rfos.learning.player import Agent, check_agent
from rfos.metagames import opponents
from rfos.metagames.learners import Learner, named_learner
from rfos.metagames.sizes import inner_game

WindowPlayer = opponents.QLearner | opponents.WindowOpponent

OPPONENTS: Mapping[str, Callable[[], WindowPlayer]] = MappingProxyType(
    {
        "q-learner": opponents.QLearner,
        "window-q-learner": opponents.WindowQLearner,
        "window-best-response": opponents.WindowBestResponse,
        "tit-for-tat": opponents.tit_for_tat,
        "win-stay-lose-shift": opponents.win_stay_lose_shift,
        "grim": opponents.grim,
    }
)
"""Opponents of window meta-games; the first has a hidden state, the others make exact MDPs."""


@dataclass(frozen=True)
class AgentKind:
    """An agent as sweeps tell agents apart.

    Attributes
    ----------
    make : callable
        (m or None, epsilon, delta) -> the configuration.
    pooled : bool
        Whether it counts per meta-state instead of per pair.
    episodic : bool
        Whether it plans for the rest of the episode.
    paper_schedule : bool
        Whether its m is that of the paper's schedule, which does not look at the range of rewards.
    softmax : bool
        Whether it draws actions from a softmax.
    searched : bool
        Whether its least sufficient m can be searched for.
    compiled : bool
        Whether it runs in kernels.
    """

    make: Callable[[int | None, float, float], Agent]
    pooled: bool = False
    episodic: bool = False
    paper_schedule: bool = False
    softmax: bool = False
    searched: bool = False
    compiled: bool = True


AGENT_KINDS: Mapping[str, AgentKind] = MappingProxyType(
    {
        "rmax": AgentKind(lambda m, epsilon, delta: Rmax(m, epsilon, delta), searched=True),
        "rmax-episode": AgentKind(lambda m, epsilon, delta: Rmax(m, epsilon, delta, planning="episode"), episodic=True),
        "rmax-pooled": AgentKind(
            lambda m, epsilon, delta: Rmax(m, epsilon, delta, pooled=True), pooled=True, searched=True
        ),
        "rmax-paper-m": AgentKind(lambda m, epsilon, delta: Rmax(m, epsilon, delta), paper_schedule=True),
        "paper": AgentKind(lambda m, epsilon, delta: PaperRmax(epsilon, delta, m=m), paper_schedule=True, softmax=True),
    }
)
"""Agents by name; "rmax-paper-m" is R-max with the m of the paper's schedule."""


def is_own(name: str) -> bool:
    """Return whether a name is one of a user's own parts, `module:name`; nothing is imported.

    Examples
    --------
    >>> is_own("mymodule:make_game"), is_own("matching-pennies"), is_own("os; print(1):x")
    (True, False, False)
    """
    return is_importable(name)


def own_part(what: str, name: str) -> Any:
    """Return what `module:name` names; its module is imported.

    Raises
    ------
    ValueError
        One sentence with the name and the mend.

    Examples
    --------
    >>> own_part("game", "nowhere:make_game")
    Traceback (most recent call last):
        ...
    ValueError: game is 'nowhere:make_game', and No module named 'nowhere': put the folder of the module on PYTHONPATH
    """
    try:
        if is_importable(name):
            with contextlib.suppress(ImportError):  # of which `imported` says what it is
                load(name.partition(":")[0])
        return imported(name, what)
    except ValueError:
        raise
    except (Exception, SystemExit) as error:
        raise ValueError(f"{what} is {name!r}, and importing it raised {_said(error)}: mend the module") from error


def _said(error: BaseException) -> str:
    return " ".join(f"{type(error).__name__}: {error}".split())


def _made(what: str, name: str, wanted: str, **arguments: Any) -> Any:
    """Return what a user's own function makes."""
    function = own_part(what, name)
    if not callable(function):
        raise ValueError(
            f"{what} is {name!r}, which is {checks.described(function)}: give a function that returns {wanted}"
        )
    try:
        return function(**arguments)
    except (Exception, SystemExit) as error:
        given = f"with {', '.join(arguments)}" if arguments else "without arguments"
        raise ValueError(f"{what} is {name!r}, and calling it {given} raised {_said(error)}: mend it") from error


def _require(what: str, name: str, good: bool, found: object, wanted: str) -> None:
    if not good:
        raise ValueError(f"{what} is {name!r}, which returns {checks.described(found)}: let it return {wanted}")


@cached(100)
def game_of(name: str) -> NormalFormGame:
    """Return the game of a name; one of a user's own is a function without arguments that returns a NormalFormGame.

    Raises
    ------
    ValueError
        If there is no such game, or it is none.
    """
    if not is_own(name):
        return named_game(name)
    found = _made("game", name, "a NormalFormGame")
    _require("game", name, isinstance(found, NormalFormGame), found, "a NormalFormGame")
    game: NormalFormGame = found
    return game


def inner_game_of(name: str, inner_discount: float) -> StochasticGame:
    """Return the inner game of a name: iterated with memory one, or one-shot where the inner discount is 0."""
    if not is_own(name):
        return inner_game(name, inner_discount)
    return one_shot(game_of(name)) if inner_discount == 0 else iterated(game_of(name), inner_discount)


@cached(100)
def opponent_of(name: str) -> WindowPlayer:
    """Return the opponent of a window meta-game; one of a user's own is a function without arguments that returns it.

    Raises
    ------
    ValueError
        If there is no such opponent, or it is none.
    """
    if not is_own(name):
        return OPPONENTS[name]()
    found = _made("opponent", name, "an opponent")
    good = isinstance(found, opponents.QLearner | opponents.WindowOpponent)
    _require("opponent", name, good, found, "an opponent with probabilities(game, player, index), as a window needs")
    made: WindowPlayer = found
    return made


@cached(100)
def learner_of(name: str) -> Learner:
    """Return the opponent of a policy meta-game; one of a user's own is a function without arguments that returns it.

    Raises
    ------
    ValueError
        If there is no such learner, or it is none.
    """
    if not is_own(name):
        return named_learner(name)
    found = _made("opponent", name, "a learner")
    good = callable(getattr(found, "update", None)) and not isinstance(found, type)
    _require("opponent", name, good, found, "a learner with update(game, player, policies), as levels need")
    made: Learner = found
    return made


def kind_of(name: str, epsilon: float, delta: float, m: int | None) -> AgentKind:
    """Return the kind of an agent; one of a user's own is a configuration or a function (epsilon, delta, m) of it.

    Raises
    ------
    ValueError
        If there is no such agent, or it is none.
    """
    if not is_own(name):
        return AGENT_KINDS[name]
    made = _own_agent(name, m, epsilon, delta)
    rmax = isinstance(made, Rmax)
    return AgentKind(
        functools.partial(_own_agent, name),
        pooled=isinstance(made, Rmax) and made.pooled,
        episodic=isinstance(made, Rmax) and made.planning == "episode",
        paper_schedule=isinstance(made, PaperRmax),
        softmax=isinstance(made, PaperRmax),
        compiled=rmax or isinstance(made, PaperRmax),
    )


@cached(1000)
def _own_agent(name: str, m: int | None, epsilon: float, delta: float) -> Agent:
    found = own_part("agent", name)
    if (not hasattr(found, "begin") and not isinstance(found, Rmax | PaperRmax)) or isinstance(found, type):
        found = _made("agent", name, "an agent", epsilon=epsilon, delta=delta, m=m)
    try:
        check_agent(found)
    except TypeError as error:
        raise ValueError(f"agent is {name!r}: {error}") from None
    own = getattr(found, "m", None)
    if m is not None and own != m:
        raise ValueError(f"agent is {name!r}, whose m is {own!r} where the cell asks for {m}: leave out m, or take it")
    agent: Agent = found
    return agent
