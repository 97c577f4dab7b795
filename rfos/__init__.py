"""The sample-complexity theory of opponent shaping, executable.

Names are loaded when first used, so that ``import rfos`` costs next to nothing.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rfos.games.named import named_game as named_game
    from rfos.games.normal_form import NormalFormGame as NormalFormGame
    from rfos.games.stochastic import StochasticGame as StochasticGame
    from rfos.games.stochastic import iterated as iterated
    from rfos.games.stochastic import one_shot as one_shot
    from rfos.laboratory.shaping_study.request import ShapingRequest as ShapingRequest
    from rfos.laboratory.shaping_study.study import shaping_study as shaping_study
    from rfos.laboratory.verification.engine import Sides as Sides
    from rfos.laboratory.verification.engine import Statement as Statement
    from rfos.laboratory.verification.verify import verify as verify
    from rfos.learning.agents import PaperRmax as PaperRmax
    from rfos.learning.agents import Rmax as Rmax
    from rfos.learning.aliasing import aliasing as aliasing
    from rfos.learning.environment import Environment as Environment
    from rfos.learning.least_m import least_sufficient_m as least_sufficient_m
    from rfos.learning.ledger import Ledger as Ledger
    from rfos.learning.ledger import ledger as ledger
    from rfos.learning.run import run as run
    from rfos.learning.trace import Trace as Trace
    from rfos.metagames.grids import CubeGrid as CubeGrid
    from rfos.metagames.grids import LevelGrid as LevelGrid
    from rfos.metagames.grids import SimplexGrid as SimplexGrid
    from rfos.metagames.hidden import HiddenOpponent as HiddenOpponent
    from rfos.metagames.learners import LOLA as LOLA
    from rfos.metagames.learners import NaiveLearner as NaiveLearner
    from rfos.metagames.opponents import MemoryOne as MemoryOne
    from rfos.metagames.opponents import QLearner as QLearner
    from rfos.metagames.opponents import WindowBestResponse as WindowBestResponse
    from rfos.metagames.opponents import WindowOpponent as WindowOpponent
    from rfos.metagames.opponents import WindowQLearner as WindowQLearner
    from rfos.metagames.policy import PolicyMetaGame as PolicyMetaGame
    from rfos.metagames.shaper import Shaper as Shaper
    from rfos.metagames.shaper import load_shaper as load_shaper
    from rfos.metagames.window import WindowMetaGame as WindowMetaGame
    from rfos.metagames.windows import WindowIndex as WindowIndex
    from rfos.planning.evaluate import evaluate_policy as evaluate_policy
    from rfos.planning.mdp import TabularMDP as TabularMDP
    from rfos.planning.solution import Accuracy as Accuracy
    from rfos.planning.solution import Ended as Ended
    from rfos.planning.solution import Solution as Solution
    from rfos.planning.solve import solve as solve
    from rfos.planning.storages import ShiftRegister as ShiftRegister
    from rfos.teams.files import read_dpomdp as read_dpomdp
    from rfos.teams.marco import marco as marco
    from rfos.teams.model import DecPOMDP as DecPOMDP
    from rfos.teams.plan import TeamSolution as TeamSolution
    from rfos.teams.plan import plan as plan
    from rfos.teams.policies import TeamPolicy as TeamPolicy
    from rfos.teams.tasks import TASKS as TASKS
    from rfos.teams.tasks import task as task

__version__ = "0.1.0"

_EXPORTS = {
    "games.named": "named_game",
    "games.normal_form": "NormalFormGame",
    "games.stochastic": "StochasticGame iterated one_shot",
    "laboratory.shaping_study.request": "ShapingRequest",
    "laboratory.shaping_study.study": "shaping_study",
    "laboratory.verification.engine": "Sides Statement",
    "laboratory.verification.verify": "verify",
    "learning.agents": "PaperRmax Rmax",
    "learning.aliasing": "aliasing",
    "learning.least_m": "least_sufficient_m",
    "learning.environment": "Environment",
    "learning.ledger": "Ledger ledger",
    "learning.run": "run",
    "learning.trace": "Trace",
    "metagames.grids": "CubeGrid LevelGrid SimplexGrid",
    "metagames.hidden": "HiddenOpponent",
    "metagames.learners": "LOLA NaiveLearner",
    "metagames.opponents": "MemoryOne QLearner WindowBestResponse WindowOpponent WindowQLearner",
    "metagames.policy": "PolicyMetaGame",
    "metagames.shaper": "Shaper load_shaper",
    "metagames.window": "WindowMetaGame",
    "metagames.windows": "WindowIndex",
    "planning.evaluate": "evaluate_policy",
    "planning.mdp": "TabularMDP",
    "planning.solution": "Accuracy Ended Solution",
    "planning.solve": "solve",
    "planning.storages": "ShiftRegister",
    "teams.files": "read_dpomdp",
    "teams.marco": "marco",
    "teams.model": "DecPOMDP",
    "teams.plan": "TeamSolution plan",
    "teams.policies": "TeamPolicy",
    "teams.tasks": "TASKS task",
}
"""The public names by the module that defines them."""

_HOMES = {name: module for module, names in _EXPORTS.items() for name in names.split()}

__all__ = [*_HOMES]


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
