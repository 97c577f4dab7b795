"""Specs of small sweeps, as text: what a test does not name is as in the grid below."""

import json
from typing import Any

USUAL: dict[str, Any] = {
    "measure": ["run"],
    "game": ["matching-pennies"],
    "opponent": ["window-q-learner"],
    "window": [1],
    "agent": ["rmax"],
    "epsilon": [0.8],
    "delta": [0.2],
    "discount": [0.8],
    "m": [3],
    "horizon": [10],
    "steps": [300],
    "seeds": 2,
}
"""Two cells that take milliseconds."""


def grid(**changed: Any) -> str:
    """A grid of a spec, one key a line, with other lists, or with None without them."""
    lines = [f"{name} = {json.dumps(value)}" for name, value in (USUAL | changed).items() if value is not None]
    return "\n".join(["[[grid]]", *lines, ""])


def spec(title: str, seed: int, *grids: str) -> str:
    """A spec of these grids, or else of the usual one."""
    return f"title = {json.dumps(title)}\nseed = {seed}\n{''.join(grids) or grid()}"


TURNS = '''
class Turns:
    """Takes the actions in turn."""
    def begin(self, environment, rng):
        return TurnsPlayer(environment)

class TurnsPlayer:
    def __init__(self, environment):
        self.n_states, self.n_actions, self.at = environment.n_states, environment.n_actions, 0
    def act(self, state):
        self.at = (self.at + 1) % self.n_actions
        return self.at
    def observe(self, state, action, reward, next_state):
        return False
    def policy(self):
        return np.full((self.n_states, self.n_actions), 1 / self.n_actions)

TURNS = Turns()
'''
"""The source of an agent that plays in Python, for a user's module that has imported np."""
