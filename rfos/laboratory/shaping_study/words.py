"""Games, policies and moves of a study in words."""

from __future__ import annotations

from collections.abc import Sequence

from rfos._system.arrays import Float, Int
from rfos.games.stochastic import StochasticGame
from rfos.games.wording import in_numbers, in_words
from rfos.laboratory.shaping_study.request import ShapingRequest
from rfos.metagames.grids import Grid


def inner_in_words(request: ShapingRequest) -> str:
    """Return which inner game is played, and where M-FOS plays another one of that name.

    Examples
    --------
    >>> inner_in_words(ShapingRequest("chicken", inner_discount=0.0))
    'chicken played once, as in M-FOS'
    """
    once = request.inner_discount == 0
    played = f"{request.game} played once" if once else f"iterated {request.game} with memory-one policies"
    if request.game == "chicken":
        return played + (", as in M-FOS" if once else "; M-FOS plays chicken once, which is --inner-discount 0")
    if request.game in ("ipd", "imp") and once:
        return f"{played}; M-FOS plays {request.game} iterated, with inner discount 0.96"
    return played


def opponents_in_numbers(game: StochasticGame, policies: Sequence[Float]) -> str:
    """Return the opponents' policies (S, A_i) as text, each from its own side."""
    assert game.views is not None
    return " and ".join(in_numbers(policy[view]) for policy, view in zip(policies, game.views[1:], strict=True))


def moves_in_words(game: StochasticGame, grid: Grid, chosen: Int) -> list[str]:
    """Return the first different moves (T,) of a roll-out in words, with how often each is repeated."""
    parts: list[str] = []
    i = 0
    while i < len(chosen) and len(parts) < 4:
        run = 1
        while i + run < len(chosen) and chosen[i + run] == chosen[i]:
            run += 1
        parts.append(f"{run} x {in_words(game, grid.policy(int(chosen[i])))}")
        i += run
    return parts
