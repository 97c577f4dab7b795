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
