"""The games that go by a name."""

from __future__ import annotations

import difflib
import math
from collections.abc import Callable, Mapping
from types import MappingProxyType

import numpy as np

from rfos._system import checks
from rfos.games.normal_form import MOST_BYTES, MOST_PLAYERS, NormalFormGame

_FUNG_2024 = "Fung et al. (2024), Analysing the Sample Complexity of Opponent Shaping, AAMAS, arXiv:2402.05782"


def matching_pennies() -> NormalFormGame:
    """Matching Pennies as in the R-FOS experiment: player 0 earns 1 on a match, player 1 on a mismatch.

    Rewards 0 and 1, constant sum 1 (subtract 1/2 from each for the zero-sum game); larger is better. The only
    equilibrium is uniform play and pays 1/2 to each.

    Source: Fung, Zhang, Lu, Wan, Willi and Foerster (2024), "Analysing the Sample Complexity of Opponent
    Shaping", AAMAS, arXiv:2402.05782, the Matching Pennies experiment.

    Examples
    --------
    >>> matching_pennies().payoffs[0]
    array([[1., 0.],
           [0., 1.]])
    """
    match = np.eye(2)
    return NormalFormGame.from_payoffs(
        match,
        1.0 - match,
        name="matching-pennies",
        action_names=(("heads", "tails"),) * 2,
        source=_FUNG_2024,
        convention="rewards per step, larger is better; player 0 (the shaper) wants a match, player 1 a mismatch",
    )


def zero_sum_matching_pennies() -> NormalFormGame:
    """Matching Pennies with payoffs of 1 and -1: player 0 wins the other's penny on a match.

    Rewards -1 and 1, zero-sum; larger is better. The only equilibrium is uniform play and pays 0. Renaming one
    player's actions swaps match and mismatch, so that who wants the match does not matter to the value.

    Source: Lu, Willi, Schroeder de Witt and Foerster (2022), "Model-Free Opponent Shaping", ICML, the iterated
    Matching Pennies.

    Examples
    --------
    >>> zero_sum_matching_pennies().payoffs[0]
    array([[ 1., -1.],
           [-1.,  1.]])
    """
    match = 2.0 * np.eye(2) - 1.0
    return NormalFormGame.from_payoffs(
        match,
        -match,
        name="zero-sum-matching-pennies",
        action_names=(("heads", "tails"),) * 2,
        source="Lu et al. (2022), Model-Free Opponent Shaping, ICML, the iterated Matching Pennies",
        convention="rewards per step, larger is better; player 0 (the shaper) wants a match, player 1 a mismatch",
    )


def prisoners_dilemma() -> NormalFormGame:
    """Prisoner's Dilemma as in the R-FOS experiment, with rewards in [0, 1].

    Each earns .6 if both cooperate and .2 if both defect; a lone defector earns 1 and the one it betrays 0.
    Action 0 cooperates; larger is better. Defection is strictly dominant.

    Source: Fung, Zhang, Lu, Wan, Willi and Foerster (2024), "Analysing the Sample Complexity of Opponent
    Shaping", AAMAS, arXiv:2402.05782, the Prisoner's Dilemma experiment.

    Examples
    --------
    >>> prisoners_dilemma().payoffs[0]
    array([[0.6, 0. ],
           [1. , 0.2]])
    """
    own = np.array([[0.6, 0.0], [1.0, 0.2]])
    return NormalFormGame.from_payoffs(
        own,
        own.T,
        name="prisoners-dilemma",
        action_names=(("cooperate", "defect"),) * 2,
        source=_FUNG_2024,
        convention="rewards per step, larger is better",
    )


def standard_prisoners_dilemma() -> NormalFormGame:
    """Prisoner's Dilemma with the years in prison as negative rewards: -1, -3, 0, -2.

    Rewards in [-3, 0]: each earns -1 if both cooperate and -2 if both defect; a lone defector earns 0 and
    the one it betrays -3. Action 0 cooperates; larger is better. Defection is strictly dominant.

    Source: Foerster, Chen, Al-Shedivat, Whiteson, Abbeel and Mordatch (2018), "Learning with
    Opponent-Learning Awareness", AAMAS, the iterated prisoner's dilemma; the same in Lu, Willi, Schroeder
    de Witt and Foerster (2022), "Model-Free Opponent Shaping", ICML.

    Examples
    --------
    >>> standard_prisoners_dilemma().payoffs[0]
    array([[-1., -3.],
           [ 0., -2.]])
    """
    own = np.array([[-1.0, -3.0], [0.0, -2.0]])
    return NormalFormGame.from_payoffs(
        own,
        own.T,
        name="standard-prisoners-dilemma",
        action_names=(("cooperate", "defect"),) * 2,
        source="Foerster et al. (2018), Learning with Opponent-Learning Awareness, AAMAS; "
        "Lu et al. (2022), Model-Free Opponent Shaping, ICML",
        convention="rewards per step, larger is better; the reward is minus the years in prison",
    )


def chicken() -> NormalFormGame:
    """Chicken with a disastrous crash.

    Rewards in [-100, 1]: both swerve 0, 0; who drives straight on alone earns 1 and the one that swerves
    -1; a crash costs each 100. Action 0 swerves; larger is better. The pure equilibria are the two in which
    just one swerves.

    Source: Lu, Willi, Schroeder de Witt and Foerster (2022), "Model-Free Opponent Shaping", ICML, the
    chicken game (the authors' code, ``src/environments.py``, ``chicken_game_batch``).

    Examples
    --------
    >>> chicken().payoffs[0]
    array([[   0.,   -1.],
           [   1., -100.]])
    """
    own = np.array([[0.0, -1.0], [1.0, -100.0]])
    return NormalFormGame.from_payoffs(
        own,
        own.T,
        name="chicken",
        action_names=(("swerve", "straight"),) * 2,
        source="Lu et al. (2022), Model-Free Opponent Shaping, ICML, and the authors' src/environments.py",
        convention="rewards per step, larger is better; a crash costs each player 100",
    )


def stag_hunt() -> NormalFormGame:
    """Stag Hunt: the stag takes two, a hare can be had alone.

    Rewards in [0, 2]: both hunt the stag 2, 2; alone at the stag 0; a hare 1, whatever the other does.
    Action 0 hunts the stag; larger is better. Both at the stag and both at hares are equilibria, and the
    first is better for each.

    Source: Rousseau (1755), "Discourse on Inequality", part 2; payoffs as in Osborne (2004), "An
    Introduction to Game Theory", Oxford University Press, section 2.5.

    Examples
    --------
    >>> stag_hunt().payoffs[0]
    array([[2., 0.],
           [1., 1.]])
    """
    own = np.array([[2.0, 0.0], [1.0, 1.0]])
    return NormalFormGame.from_payoffs(
        own,
        own.T,
        name="stag-hunt",
        action_names=(("stag", "hare"),) * 2,
        source="Rousseau (1755), Discourse on Inequality, part 2; payoffs: Osborne (2004), An Introduction "
        "to Game Theory, section 2.5",
        convention="rewards per step, larger is better",
    )


def bach_or_stravinsky() -> NormalFormGame:
    """Bach or Stravinsky: two want to go out together, each to its own favourite.

    Rewards in [0, 2]: together at Bach 2, 1; together at Stravinsky 1, 2; apart 0, 0; larger is better.
    Player 0 prefers Bach (action 0). Both concerts together are equilibria.

    Source: Osborne and Rubinstein (1994), "A Course in Game Theory", MIT Press, example 15.3.

    Examples
    --------
    >>> bach_or_stravinsky().payoffs[1]
    array([[1., 0.],
           [0., 2.]])
    """
    return NormalFormGame.from_payoffs(
        [[2, 0], [0, 1]],
        [[1, 0], [0, 2]],
        name="bach-or-stravinsky",
        action_names=(("bach", "stravinsky"),) * 2,
        source="Osborne and Rubinstein (1994), A Course in Game Theory, MIT Press, example 15.3",
        convention="rewards per step, larger is better; both want to be together, player 0 at Bach, "
        "player 1 at Stravinsky",
    )


def rock_paper_scissors() -> NormalFormGame:
    """Rock Paper Scissors: paper beats rock, scissors beat paper, rock beats scissors.

    Rewards in [-1, 1], zero-sum: the winner earns 1, the loser -1, a tie 0; larger is better. The only
    equilibrium is uniform play.

    Source: von Neumann and Morgenstern (1944), "Theory of Games and Economic Behavior", Princeton
    University Press, "Stone, Paper, Scissors".

    Examples
    --------
    >>> rock_paper_scissors().payoffs[0]
    array([[ 0., -1.,  1.],
           [ 1.,  0., -1.],
           [-1.,  1.,  0.]])
    """
    own = np.array([[0.0, -1.0, 1.0], [1.0, 0.0, -1.0], [-1.0, 1.0, 0.0]])
    return NormalFormGame.from_payoffs(
        own,
        own.T,
        name="rock-paper-scissors",
        action_names=(("rock", "paper", "scissors"),) * 2,
        source="von Neumann and Morgenstern (1944), Theory of Games and Economic Behavior ('Stone, Paper, Scissors')",
        convention="rewards per step, larger is better; a win earns 1, a loss -1, a tie 0",
    )


def three_player_matching_pennies() -> NormalFormGame:
    """Three-player Matching Pennies: 0 wants to match 1, 1 wants to match 2, and 2 wants to differ from 0.

    Rewards -1 and 1; larger is better. The only equilibrium is uniform play and pays 0; fictitious play
    does not converge to it. Not zero-sum: the rewards add up to 1 or to -3.

    Source: Jordan (1993), "Three Problems in Learning Mixed-Strategy Nash Equilibria", Games and Economic
    Behavior 5, pages 368-386.

    Examples
    --------
    >>> three_player_matching_pennies().payoffs[:, 0, 0, 0]  # all three show heads
    array([ 1.,  1., -1.])
    """
    a = np.ogrid[:2, :2, :2]
    payoffs = [
        np.broadcast_to(np.where(wins, 1.0, -1.0), (2, 2, 2)) for wins in (a[0] == a[1], a[1] == a[2], a[2] != a[0])
    ]
    return NormalFormGame.from_payoffs(
        *payoffs,
        name="three-player-matching-pennies",
        action_names=(("heads", "tails"),) * 3,
        source="Jordan (1993), Three Problems in Learning Mixed-Strategy Nash Equilibria, "
        "Games and Economic Behavior 5, 368-386",
        convention="rewards per step, larger is better; player 0 wants to match player 1, "
        "player 1 to match player 2, player 2 to differ from player 0",
    )


def public_goods(n_players: int = 3, *, multiplier: float = 2.0, contribution: float = 1.0) -> NormalFormGame:
    """Linear public-goods game: what is paid into the pot is multiplied and shared out equally among all.

    With k contributors each player earns ``multiplier * contribution * k / n_players``, and a contributor
    pays `contribution` for it (net gain over keeping one's endowment). Action 0 contributes; larger is
    better. Rewards lie between that of a lone contributor, ``contribution * (multiplier / n_players - 1)``,
    and that of a lone free rider, ``contribution * multiplier * (n_players - 1) / n_players``: -1/3 and 4/3
    with the defaults.

    Parameters
    ----------
    n_players : int
        At least 2.
    multiplier : float
        More than 1, so that all gain if all contribute, and less than `n_players`, so that keeping one's
        contribution is strictly dominant.
    contribution : float
        What a contributor pays, in reward units per step; positive and finite.

    Raises
    ------
    ValueError
        If a parameter is out of its range.
    MemoryError
        If the ``8 * n_players * 2**n_players`` bytes of payoffs exceed 256 MiB (more than 20 players).

    Notes
    -----
    Source: Isaac and Walker (1988), "Group Size Effects in Public Goods Provision: The Voluntary
    Contributions Mechanism", Quarterly Journal of Economics 103(1), pages 179-199, with all-or-nothing
    contributions.

    Examples
    --------
    >>> game = public_goods()
    >>> float(game.payoffs[0, 0, 0, 0]), float(game.payoffs[0, 1, 1, 1])  # all contribute, none does
    (1.0, 0.0)
    """
    n = checks.whole("n_players", n_players, 2, give="an integer of at least 2")
    many = checks.shown(n)
    if not 1.0 < checks.number(multiplier) < n:
        raise ValueError(
            f"multiplier is {checks.shown(multiplier)}: with {many} players give a number strictly between 1 and "
            f"{many}, else it is not a social dilemma"
        )
    if not 0.0 < checks.number(contribution) < math.inf:
        raise ValueError(f"contribution is {checks.shown(contribution)}: give a positive finite number")
    if n > MOST_PLAYERS:  # 2^n itself may not fit
        n_bytes = 8 * n * 2**n if n < 100 else f"8 * {many} * 2^{many}"
        raise MemoryError(
            f"payoffs of {many} players need {n_bytes} bytes and the limit is {MOST_BYTES}: give at most "
            f"{MOST_PLAYERS} players"
        )
    contributes = np.array([1, 0])  # by action
    own = [contributes.reshape([2 if axis == player else 1 for axis in range(n)]) for player in range(n)]
    n_contributors = np.zeros((2,) * n, dtype=np.int64)
    for one in own:
        n_contributors += one
    share = np.array([multiplier * contribution * k / n for k in range(n + 1)])[n_contributors]
    return NormalFormGame.from_payoffs(
        *(share - contribution * one for one in own),
        name="public-goods",
        action_names=(("contribute", "keep"),) * n,
        source="Isaac and Walker (1988), Group Size Effects in Public Goods Provision, "
        "Quarterly Journal of Economics 103(1), 179-199",
        convention=f"rewards per step, larger is better; the net gain of a player: a contribution "
        f"costs {contribution:g} and returns {multiplier:g} times as much to all {n} together",
    )


NAMED_GAMES: Mapping[str, Callable[[], NormalFormGame]] = MappingProxyType(
    {
        "matching-pennies": matching_pennies,
        "zero-sum-matching-pennies": zero_sum_matching_pennies,
        "prisoners-dilemma": prisoners_dilemma,
        "standard-prisoners-dilemma": standard_prisoners_dilemma,
        "chicken": chicken,
        "stag-hunt": stag_hunt,
        "bach-or-stravinsky": bach_or_stravinsky,
        "rock-paper-scissors": rock_paper_scissors,
        "three-player-matching-pennies": three_player_matching_pennies,
        "public-goods": public_goods,
    }
)
"""The named games, each a function without required arguments, in the order of listings."""

ITERATED_GAMES: Mapping[str, Callable[[], NormalFormGame]] = MappingProxyType(
    {"ipd": standard_prisoners_dilemma, "imp": zero_sum_matching_pennies}
)
"""What is iterated in the Prisoner's Dilemma and the Matching Pennies of M-FOS, by the short names used there."""


def named_game(name: str) -> NormalFormGame:
    """Game of that name in `NAMED_GAMES` or `ITERATED_GAMES`, or public goods for any number of players.

    Parameters
    ----------
    name : str
        Such as "matching-pennies", "ipd" for what is iterated there, or "public-goods-4" for four players; with N
        players the multiplier is (N+1)/2, midway between its bounds, so that it is a dilemma for every N.

    Raises
    ------
    ValueError
        If there is no such game; the message names the closest and all known names.
    MemoryError
        If there are too many players.

    Examples
    --------
    >>> named_game("stag-hunt").reward_range(), named_game("ipd").name, named_game("public-goods-4").n_actions
    ((0.0, 2.0), 'standard-prisoners-dilemma', (2, 2, 2, 2))
    """
    checks.kind("name", name, str, mend=f"give one of {', '.join([*NAMED_GAMES, *ITERATED_GAMES])}")
    family, _, players = name.rpartition("-")
    if family == "public-goods" and players.isascii() and players.isdigit():
        if len(players) > 9:  # too many for a float, or even to be counted
            raise ValueError(f"game is {name[:40]!r}: give at most {MOST_PLAYERS} players")
        return public_goods(int(players), multiplier=(int(players) + 1) / 2)
    if name in ITERATED_GAMES:
        return ITERATED_GAMES[name]()
    if name not in NAMED_GAMES:
        close = difflib.get_close_matches(name.lower().replace("_", "-").replace(" ", "-"), NAMED_GAMES)
        hint = f" (closest: {', '.join(close)})" if close else ""
        raise ValueError(f"unknown game {name!r}{hint}: give one of {', '.join([*NAMED_GAMES, *ITERATED_GAMES])}")
    return NAMED_GAMES[name]()
