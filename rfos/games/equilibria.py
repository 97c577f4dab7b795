"""Nash equilibria of games played once, by nashpy and quantecon, checked by their regret."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np

from rfos._system import checks
from rfos._system.arrays import Float
from rfos._system.optional import load
from rfos.games.normal_form import NormalFormGame

REGRET = 1e-3
"""Largest regret of an equilibrium that is returned, as a share of the span of the player's payoffs."""

TIED = 1e-9
"""Payoffs that differ by less, as a share of their span, count as equal where ties are looked for."""


class DegenerateGameWarning(UserWarning):
    """The two-player game is degenerate: it may have more equilibria than those returned, even infinitely many."""


def _scaled(payoffs: Float) -> Float:
    """Return each player's payoffs shifted and divided by a power of 2, into [0, 1]: ties stay ties."""
    axes = tuple(range(1, payoffs.ndim))
    for _ in range(2):  # first the size, so that the span is a float, then the span
        exponent = np.frexp(np.abs(payoffs).max(axis=axes, keepdims=True))[1]
        payoffs = np.ldexp(payoffs, -exponent)
        payoffs = payoffs - payoffs.min(axis=axes, keepdims=True)
    return payoffs


def _replies(payoffs: Float, strategies: Sequence[Float], player: int) -> Float:
    """Return what each action of a player earns against the others' strategies."""
    own: Float = np.moveaxis(payoffs[player], player, 0)
    for other in range(len(payoffs) - 1, -1, -1):
        if other != player:
            own = own @ strategies[other]
    return own


def _regrets(payoffs: Float, strategies: Sequence[Float]) -> Float:
    """Return what each player gains by its best action, as a share of the span of its payoffs."""
    n = len(payoffs)
    spans = np.ptp(payoffs.reshape(n, -1), axis=1)
    earned = [_replies(payoffs, strategies, i) for i in range(n)]
    gains = np.array([max(x.max() - x @ strategy, 0.0) for x, strategy in zip(earned, strategies, strict=True)])
    shares: Float = np.divide(gains, spans, out=np.zeros(n), where=spans > 0)
    return shares


def _is_degenerate(payoffs: Float, found: Sequence[Sequence[Float]]) -> bool:
    """Whether a two-player game shows to be degenerate: a strategy with more best replies than actions it mixes.

    Looked at are pure strategies and those of the equilibria found, and the number of these, which is odd in a game
    that is not degenerate (Lemke & Howson 1964).
    """
    pure = [[np.eye(size)[a] for a in range(size)] for size in payoffs.shape[1:]]
    for player in (0, 1):
        for strategy in [*pure[1 - player], *(each[1 - player] for each in found)]:
            earned = _replies(payoffs, [strategy, strategy], player)
            if np.count_nonzero(earned >= earned.max() - TIED) > np.count_nonzero(strategy > TIED):
                return True
    return len(found) % 2 == 0


def _good(payoffs: Float, found: Sequence[Sequence[Any]]) -> list[tuple[Float, ...]]:
    """Return the profiles whose regrets are small enough, or raise RuntimeError where none is."""
    profiles = [tuple(np.array(strategy, np.float64) for strategy in each) for each in found]
    regrets = [_regrets(payoffs, profile) for profile in profiles]
    good = [profile for profile, regret in zip(profiles, regrets, strict=True) if regret.max() <= REGRET]
    if good:
        return good
    if not regrets:
        raise RuntimeError(
            "support enumeration finds no equilibrium of this degenerate game: change its payoffs a little"
        )
    best = min(regrets, key=np.max)
    player = int(best.argmax())
    raise RuntimeError(
        f"no equilibrium of this game was found: the best profile has a regret of {best[player]:.2g} of the span of "
        f"player {player}'s payoffs, above {REGRET:g}"
    )


def nash_equilibria(game: NormalFormGame) -> list[tuple[Float, ...]]:
    """Return Nash equilibria of a normal-form game, one strategy for each player.

    Two players: all that support enumeration finds (nashpy, else quantecon), which is all of them in a nondegenerate
    game. More: all pure ones, or where there are none one approximate one (quantecon; McLennan & Tourky 2006).

    Each player's payoffs are scaled to [0, 1] first, so that shifts and units change nothing. The regret of all that is
    returned is checked: no player gains more than 1e-3 of the span of its payoffs, largest less smallest, by any other
    action.

    Raises
    ------
    ImportError
        If neither package is installed, or quantecon is not for more than two players.
    RuntimeError
        If nothing is found whose regret is small enough.

    Warns
    -----
    DegenerateGameWarning
        If a two-player game shows to be degenerate: equilibria may be missing then, and there may be infinitely many.

    Examples
    --------
    Matching Pennies: both mix evenly.

    >>> from rfos.games.named import matching_pennies
    >>> [[strategy.tolist() for strategy in found] for found in nash_equilibria(matching_pennies())]
    [[[0.5, 0.5], [0.5, 0.5]]]
    """
    checks.kind("game", game, NormalFormGame)
    payoffs = _scaled(np.array(game.payoffs))
    if game.n_players > 2:
        return _good(payoffs, _of_many(payoffs))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of what degenerate games lack a warning of our own tells
        found = _good(payoffs, _of_two(payoffs))
    if _is_degenerate(payoffs, found):
        warnings.warn(
            f"the game is degenerate: there may be other equilibria than the {len(found)} found, even infinitely many",
            DegenerateGameWarning,
            stacklevel=2,
        )
    return found


def _of_two(payoffs: Float) -> list[Any]:
    """Return what support enumeration finds."""
    what = "finding Nash equilibria"
    try:
        return list(load("nashpy", what).Game(*payoffs).support_enumeration())
    except ImportError:
        theory = load("quantecon.game_theory", what)
    return list(theory.support_enumeration(_for_quantecon(theory, payoffs)))


def _of_many(payoffs: Float) -> list[Any]:
    """Return all pure equilibria, or an approximate one."""
    n, sizes = len(payoffs), payoffs.shape[1:]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        theory = load("quantecon.game_theory", f"finding Nash equilibria of {n} players")
    built = _for_quantecon(theory, payoffs)
    pure = [
        [np.eye(size)[action] for action, size in zip(each, sizes, strict=True)]
        for each in theory.pure_nash_brute(built)
    ]
    tried: list[Any] = []
    starts = ([0] * n, [size - 1 for size in sizes], [np.full(size, 1 / size) for size in sizes])
    for start in () if pure else starts:
        # Spans are above 1/2 now: half of what is promised.
        tried.append(theory.mclennan_tourky(built, init=start, epsilon=REGRET / 2, max_iter=1000))
        if _regrets(payoffs, tried[-1]).max() <= REGRET:
            break
    return pure or tried


def _for_quantecon(theory: Any, payoffs: Float) -> Any:
    """Return the game as QuantEcon has it: a player's own action first, then those after it, round the table."""
    n = len(payoffs)
    axes = [[*range(i, n), *range(i)] for i in range(n)]
    return theory.NormalFormGame([theory.Player(np.transpose(payoffs[i], axes[i])) for i in range(n)])
