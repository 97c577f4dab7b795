"""From how many random starts a shaper is played, and which they are."""

from __future__ import annotations

from rfos._system.arrays import Float, floats
from rfos._system.memory import in_digits, require_memory
from rfos._system.randomness import seed_sequence
from rfos.games.stochastic import StochasticGame
from rfos.games.strategies import STRATEGIES, strategy
from rfos.laboratory.shaping_study.request import ShapingRequest
from rfos.metagames.continuous import moved_starts, random_starts
from rfos.metagames.policy import PolicyMetaGame
from rfos.metagames.sizes import SECONDS_PER_PAIR

LONGEST_ROLL_OUT = 60.0
"""Seconds that looking ahead without a kernel may take; fewer starts are played where all would take longer."""

FEWEST_STARTS, MOST_STARTS = 64, 2048
"""Random starts at the first look and at the last one; each look has twice as many as the one before."""

MOST_PLAYS = {True: 200_000_000, False: 20_000_000}
"""Pairs that looking ahead from more than the fewest starts may evaluate, by the short form of a kernel or not."""


def looks_of(meta_game: PolicyMetaGame, request: ShapingRequest) -> tuple[int, ...]:
    """Return the numbers of starts at which intervals may be looked at; nothing random or timed decides on them."""
    if request.opponent in STRATEGIES:
        return (1,)
    if request.starts is not None or meta_game.dynamics is None:
        wanted = FEWEST_STARTS if request.starts is None else request.starts
        return (affordable_starts(meta_game, request.steps, wanted) or wanted,)
    most = min(MOST_STARTS, MOST_PLAYS[meta_game.dynamics.iterated] // (meta_game.n_actions * request.steps))
    looks = [FEWEST_STARTS]
    while 2 * looks[-1] <= most:
        looks.append(2 * looks[-1])
    return tuple(looks)


def affordable_starts(meta_game: PolicyMetaGame, steps: int, wanted: int) -> int:
    """Return from how many starts looking ahead is affordable; 0 where not from two, which an interval needs."""
    if meta_game.dynamics is not None:
        return wanted
    opponents = meta_game.game.n_players - 1
    seconds = meta_game.n_actions * steps * SECONDS_PER_PAIR * opponents
    count = min(wanted, int(LONGEST_ROLL_OUT / seconds))
    return count if count >= min(2, wanted) else 0


def require_roll_outs(game: StochasticGame, n_starts: int, steps: int) -> None:
    """Raise MemoryError unless roll-outs from so many starts fit this machine."""
    # Rewards, moves and policies of two ways of playing; policies once more where they are put together.
    numbers = game.n_players + 1 + 2 * game.n_states * sum(game.n_actions[1:])
    what = f"roll-outs of {in_digits(n_starts)} starts and {in_digits(steps)} steps"
    require_memory(16 * n_starts * steps * numbers, what, "give fewer starts or steps")


def starts_of(meta_game: PolicyMetaGame, request: ShapingRequest, n: int) -> tuple[Float, ...]:
    """Return the opponents' first policies, shapes (n, S, A_i); an opponent with a fixed strategy has only that one."""
    game = meta_game.game
    if request.opponent in STRATEGIES:
        fixed = [strategy(game, player, request.opponent)[None] for player in range(1, game.n_players)]
        return tuple(floats("starts", each) for each in fixed)
    starts = random_starts(game, n, request.seed)
    if request.reset == "move":
        starts = moved_starts(meta_game, starts, seed_sequence(request.seed, (2,)))
    return tuple(floats("starts", each) for each in starts)
