"""Strategies of memory one that are known by name: what a fixed opponent or a constant shaper plays."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from types import MappingProxyType

import numpy as np

from rfos._system import checks
from rfos._system.arrays import Float
from rfos.games.stochastic import StochasticGame, is_iterated

STRATEGIES: Mapping[str, tuple[float, ...]] = MappingProxyType(
    {
        "always-cooperate": (1.0,),
        "always-defect": (0.0,),
        "random": (),
        "tit-for-tat": (1.0, 1.0, 0.0, 1.0, 0.0),
        "win-stay-lose-shift": (1.0, 1.0, 0.0, 0.0, 1.0),
        "grim": (1.0, 1.0, 0.0, 0.0, 0.0),
    }
)
"""Fixed strategies by name: probabilities of action 0, the same everywhere or for start, CC, CD, DC, DD, own first.

Tit for tat repeats the other's action (Axelrod 1980). Win-stay, lose-shift keeps its action after a reward of the
better two and changes it otherwise, that is, it cooperates after CC and DD (Nowak & Sigmund 1993). Grim cooperates only
after mutual cooperation (Friedman 1971). The one list there is: opponents with a window play these too.
"""


def replies(name: str) -> Float:
    """Return what a strategy of memory one in `STRATEGIES` plays next, shape (2, 2, 2).

    Entry (a, b, c) is the probability of its action c after the other's action a and its own b.

    Raises
    ------
    ValueError
        If there is no such strategy, or it does not look at the last actions.

    Examples
    --------
    >>> replies("grim")[0].tolist()  # the other cooperated: so does it, unless it had defected
    [[1.0, 0.0], [0.0, 1.0]]
    """
    known = [each for each, first in STRATEGIES.items() if len(first) == 5]
    if not isinstance(name, str) or name not in known:
        raise ValueError(f"{checks.shown(name)} has no replies: choose one of {', '.join(known)}")
    after = np.array(STRATEGIES[name][1:]).reshape(2, 2).T  # listed with its own action first
    return np.stack([after, 1.0 - after], axis=-1)


def strategy(game: StochasticGame, player: int, name: str) -> Float:
    """Return a player's policy of a name in `STRATEGIES`, shape (S, A).

    "always-cooperate" is always action 0, "always-defect" always action 1, whatever the game calls them.

    Raises
    ------
    ValueError
        If there is no such strategy, or it needs an iterated game of two players with two actions each.

    Examples
    --------
    Tit for tat of player 1: states are written from player 0's side, so that DC is player 1's CD.

    >>> from rfos.games.named import standard_prisoners_dilemma
    >>> from rfos.games.stochastic import iterated
    >>> strategy(iterated(standard_prisoners_dilemma(), 0.9), 1, "tit-for-tat")[:, 0].tolist()
    [1.0, 1.0, 1.0, 0.0, 0.0]
    """
    checks.kind("game", game, StochasticGame)
    player = checks.whole("player", player, 0, game.n_players - 1)
    if not isinstance(name, str) or name not in STRATEGIES:
        raise ValueError(f"unknown strategy {checks.shown(name)}: choose one of {', '.join(STRATEGIES)}")
    first = STRATEGIES[name]
    n_states, n_actions = game.n_states, game.n_actions[player]
    policy = np.zeros((n_states, n_actions))
    if not first:
        policy += 1 / n_actions
    elif len(first) == 1:
        if n_actions < 2:
            raise ValueError(f"{name} needs two actions, player {player} has one")
        policy[:, 0 if first[0] == 1 else 1] = 1.0
    else:
        if not is_iterated(game):
            raise ValueError(
                f"{name} is for an iterated game of two players with two actions each: choose such a game with an "
                "inner discount above 0, or always-cooperate, always-defect or random"
            )
        assert game.views is not None
        policy[game.views[player]] = of_two(first)
    return policy


def extortion(game: StochasticGame, factor: float = 3.0) -> Float | None:
    """Return an extortionate zero-determinant strategy of player 0, shape (S,), or None if there is none.

    Against every opponent it enforces (own return - P) = factor (other's return - P), the *discounted* returns of a
    symmetric iterated Prisoner's Dilemma with rewards T > R > P > S. That of Press & Dyson (2012) does so for long-run
    means; with a discount the first move counts too and has to defect (Hilbe, Traulsen & Sigmund 2015). A large enough
    discount is needed. Of the feasible scales the largest is taken.

    The reason: with v the normalised discounted law of outcomes, the own cooperation is v(CC) + v(CD) =
    (1-discount) p_start + discount v p. Choosing p_start = 0 and discount p = (1, 1, 0, 0) + scale (own - P) -
    scale factor (other - P) makes the mean of own - P - factor (other - P) vanish.

    Parameters
    ----------
    game : StochasticGame
    factor : float > 1

    Raises
    ------
    ValueError
        If the factor is not above 1.

    Examples
    --------
    Rewards 3, 0, 5, 1 and factor 3: as the discount goes to 1, twice as far from (1, 1, 0, 0) as the (11/13, 1/2, 7/26,
    0) that Press & Dyson print.

    >>> from rfos.games.normal_form import NormalFormGame
    >>> from rfos.games.stochastic import iterated
    >>> pd = iterated(NormalFormGame([[[3, 0], [5, 1]], [[3, 5], [0, 1]]]), 0.9)
    >>> (extortion(pd) * 13 * 0.9).round(9).tolist()
    [0.0, 9.0, 0.0, 7.0, 0.0]
    """
    checks.kind("game", game, StochasticGame)
    if not 1 < checks.number(factor) < math.inf:
        raise ValueError(
            f"factor is {checks.shown(factor)}: give a number above 1, how many times the other's gain is taken"
        )
    if not is_iterated(game):
        return None
    own, other = game.rewards[:, 0]
    reward, sucker, temptation, punishment = own
    symmetric = other.tolist() == [reward, temptation, sucker, punishment]
    if not (symmetric and temptation > reward > punishment > sucker):
        return None
    # What the scale takes from (after cooperating) or adds to (after CD and DD) the discounted probabilities.
    tilt = (own - punishment) - factor * (other - punishment)
    cooperated = np.array([1.0, 1.0, 0.0, 0.0])
    # 0 <= cooperated + scale tilt <= discount in each of the first three; the last is 0.
    ends = [sorted(((0 - c) / t, (game.discount - c) / t)) for c, t in zip(cooperated[:3], tilt[:3], strict=True)]
    least, most = max(low for low, _ in ends), min(high for _, high in ends)
    if not 0 < least <= most:
        return None
    after = np.clip((cooperated + most * tilt) / game.discount, 0.0, 1.0)
    return np.concatenate([[0.0], after])


def of_two(first: Sequence[float] | Float) -> Float:
    """Return a policy of two actions (S, 2) from its probabilities of action 0 (S,)."""
    return np.stack([first, 1 - np.asarray(first)], axis=1)
