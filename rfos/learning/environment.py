"""What is played, for how long, and from where."""

from __future__ import annotations

from rfos._system import checks
from rfos._system.arrays import Float
from rfos.metagames.policy import PolicyMetaGame
from rfos.metagames.window import WindowMetaGame
from rfos.planning.mdp import TabularMDP

Process = WindowMetaGame | PolicyMetaGame | TabularMDP

Played = WindowMetaGame | TabularMDP

PLAYED = (
    "give a WindowMetaGame(game, opponent, window=2, discount=0.8), a PolicyMetaGame(stochastic_game, learners, grids, "
    "discount) or a TabularMDP(P, R, discount)"
)


def check_process(process: object) -> None:
    """Raise WrongKindError unless it is something that can be played in."""
    checks.kind("process", process, WindowMetaGame, PolicyMetaGame, TabularMDP, mend=PLAYED)


def played(process: Process) -> Played:
    """Return a policy meta-game as the MDP that is played, everything else as it is."""
    check_process(process)
    return process.to_mdp() if isinstance(process, PolicyMetaGame) else process


def reveals(process: Played) -> bool:
    """Whether one visit to a pair reveals a row of several successors."""
    return isinstance(process, TabularMDP) and process.observed and process.branching > 1


def start_law(process: Played) -> Float | None:
    """Return the probability that an episode starts in each state, shape (S,), or None where it is the same for all."""
    return process.starts if isinstance(process, TabularMDP) else None
