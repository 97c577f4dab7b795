"""The sample-complexity theory of opponent shaping, executable.

Names are loaded when first used, so that ``import rfos`` costs next to nothing.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rfos.games import NormalFormGame, named_game
    from rfos.grids import CubeGrid, LevelGrid, SimplexGrid
    from rfos.learners import LOLA, NaiveLearner
    from rfos.mdp import ShiftRegister, TabularMDP
    from rfos.metagames import WindowMetaGame
    from rfos.opponents import MemoryOne, QLearner, WindowBestResponse, WindowQLearner
    from rfos.planning import Accuracy, Ended, Solution, evaluate_policy, solve
    from rfos.policy_metagames import PolicyMetaGame
    from rfos.rmax import PaperRmax, Rmax, Trace, run
    from rfos.shaper import Shaper, load_shaper
    from rfos.stochastic_games import StochasticGame, iterated, one_shot
    from rfos.windows import WindowIndex

__version__ = "0.1.0"

_HOMES = {
    "NormalFormGame": "games",
    "named_game": "games",
    "CubeGrid": "grids",
    "LevelGrid": "grids",
    "SimplexGrid": "grids",
    "LOLA": "learners",
    "NaiveLearner": "learners",
    "ShiftRegister": "mdp",
    "TabularMDP": "mdp",
    "WindowMetaGame": "metagames",
    "MemoryOne": "opponents",
    "QLearner": "opponents",
    "WindowBestResponse": "opponents",
    "WindowQLearner": "opponents",
    "Accuracy": "planning",
    "Ended": "planning",
    "Solution": "planning",
    "evaluate_policy": "planning",
    "solve": "planning",
    "PolicyMetaGame": "policy_metagames",
    "PaperRmax": "rmax",
    "Rmax": "rmax",
    "Trace": "rmax",
    "run": "rmax",
    "Shaper": "shaper",
    "load_shaper": "shaper",
    "StochasticGame": "stochastic_games",
    "iterated": "stochastic_games",
    "one_shot": "stochastic_games",
    "WindowIndex": "windows",
}

__all__ = [
    "LOLA",
    "Accuracy",
    "CubeGrid",
    "Ended",
    "LevelGrid",
    "MemoryOne",
    "NaiveLearner",
    "NormalFormGame",
    "PaperRmax",
    "PolicyMetaGame",
    "QLearner",
    "Rmax",
    "Shaper",
    "ShiftRegister",
    "SimplexGrid",
    "Solution",
    "StochasticGame",
    "TabularMDP",
    "Trace",
    "WindowBestResponse",
    "WindowIndex",
    "WindowMetaGame",
    "WindowQLearner",
    "evaluate_policy",
    "iterated",
    "load_shaper",
    "named_game",
    "one_shot",
    "run",
    "solve",
]


def __getattr__(name: str) -> Any:
    """Load a public name from its module on first use."""
    if name not in _HOMES:
        raise AttributeError(f"module 'rfos' has no attribute {name!r}")
    value = getattr(importlib.import_module(f"rfos.{_HOMES[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    """Return the public names."""
    return [*__all__, "__version__"]
