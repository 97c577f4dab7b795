"""The switch riddle, and one with a bridge: prisoners who can tell each other nothing but by a light."""

from __future__ import annotations

import itertools
import math
from fractions import Fraction

import numpy as np
import scipy.sparse as sp

from rfos._system.arrays import Int
from rfos._system.memory import require_memory
from rfos.teams.model import DecPOMDP, joint_index
from rfos.teams.pooling import keys_of_one, spread

NOTHING, FLIP, TELL, LEFT, RIGHT = range(5)
"""Actions of a prisoner; the last two on a bridge only."""

END = (-1, 0, -1, 0)
"""The state after somebody has told."""


def _states(agents: int, cells: int) -> list[tuple[int, int, int, int]]:
    """Return what can be reached: light, who has been before (bits), whose turn it is, where that one stands."""
    ways = itertools.product((0, 1), range(2**agents), range(agents), range(cells + 1))
    return [state for state in ways if not (state[0] and not state[1])] + [END]


def _riddle(agents: int, cells: int, horizon: int, name: str) -> DecPOMDP:
    n_actions, n_observations = 5 if cells else 3, cells + 3
    joint, seen = math.prod([n_actions] * agents), math.prod([n_observations] * agents)
    n_states = (2 ** (agents + 1) - 1) * agents * (cells + 1) + 1
    needed = 96 * n_states * joint * agents + 32 * n_states * seen
    require_memory(needed, f"the riddle of {agents} prisoners", "choose fewer prisoners or cells")
    states = _states(agents, cells)
    number = {state: i for i, state in enumerate(states)}
    everyone = 2**agents - 1

    def column(state: tuple[int, int, int, int]) -> int:
        """Return where a state and what is seen there stand in a row of W."""
        light, _, who, place = state
        view = [0] * agents
        if state != END:
            view[who] = 1 + place + (light if place == cells else 0)
        return number[state] * seen + joint_index(view, (n_observations,) * agents)

    def follow(state: tuple[int, int, int, int], action: int) -> tuple[list[int], float]:
        """Return the columns that follow with equal probability, and the reward."""
        light, been, who, place = state
        if state == END:
            return [column(END)], 0.0
        if place < cells:
            move = {LEFT: -1, RIGHT: 1}.get(action, 0)
            return [column((light, been, who, max(place + move, 0)))], 0.0
        been |= 1 << who
        if action == TELL:
            return [column(END)], 1.0 if been == everyone else -1.0
        return [column((light ^ (action == FLIP), been, other, 0)) for other in range(agents)], 0.0

    rows = [follow(state, action) for state in states for action in range(1 if state == END else n_actions)]
    pointer = np.cumsum([0] + [len(columns) for columns, _ in rows])
    law = np.concatenate([np.full(len(columns), 1 / len(columns)) for columns, _ in rows])
    table = sp.csr_array((law, np.concatenate([c for c, _ in rows]), pointer), (len(rows), n_states * seen))
    keys = keys_of_one(np.array([who for _, _, who, _ in states]), (n_actions,) * agents)
    W, R = spread(keys, table, np.array([reward for _, reward in rows]))
    starts = np.zeros(n_states * seen)
    starts[[column((0, 0, who, 0)) for who in range(agents)]] = 1 / agents

    def named(state: tuple[int, int, int, int]) -> str:
        light, been, who, place = state
        if state == END:
            return "end"
        before = "".join(str(i + 1) for i in range(agents) if been >> i & 1) or "nobody"
        where = "" if not cells else ", room" if place == cells else f", cell {place + 1}"
        return f"{'on' if light else 'off'}, been {before}, now {who + 1}{where}"

    walk = ("left", "right") if cells else ()
    bridge = tuple(f"cell {place + 1}" for place in range(cells))
    return DecPOMDP(
        W,
        R.reshape(n_states, joint),
        (n_actions,) * agents,
        (n_observations,) * agents,
        horizon,
        starts=starts.reshape(n_states, seen),
        name=name,
        state_names=tuple(map(named, states)),
        action_names=(("nothing", "flip", "tell", *walk),) * agents,
        observation_names=(("out", *bridge, "in, off", "in, on"),) * agents,
    )


def switch_riddle(horizon: int, agents: int) -> DecPOMDP:
    """Return the switch riddle: n prisoners, a light, and one of them drawn each day (M10).

    Each day one prisoner, uniform and independent of the past, is in the room; only that one sees the light and only
    that one's action counts: nothing, flip the light, or tell that all have been here, which ends the episode and pays
    1 if all have been, the teller included, else -1. States are those that can be reached, (2^(n+1) - 1) n and an end:
    who has been leaves out the present one, and the light is off until somebody has been.

    Source: DIAL (Foerster et al. 2016) and the public code of JaxMARL; horizon 4n - 6 there.

    Parameters
    ----------
    horizon : int
    agents : int in 3 to 6
        Prisoners n.

    Examples
    --------
    >>> switch_riddle(6, 3)
    <switch-riddle: 3 agents, 46 states, 3 x 3 x 3 actions, 3 x 3 x 3 observations, horizon 6, discount 1>
    """
    return _riddle(agents, 0, horizon, "switch-riddle")


def switch_bridge(horizon: int, agents: int, cells: int) -> DecPOMDP:
    """Return the switch riddle in which the prisoner drawn has to cross a bridge of b cells to the room.

    Guessed: MARCO (Zhang et al. 2022) names such a task, but the paper's own details were not at hand. Here the one who
    is drawn starts on the bridge's first cell, sees the own cell, and goes left (on the first cell: stays) or right;
    other actions do nothing on the bridge. In the room, to the right of the last cell, all is as in `switch_riddle`,
    left and right count as nothing, and any action ends the visit: the next prisoner is drawn.

    Parameters
    ----------
    horizon : int
    agents : int in 3 to 6
    cells : int in 1 to 8

    Examples
    --------
    >>> switch_bridge(12, 3, 1)
    <switch-bridge: 3 agents, 91 states, 5 x 5 x 5 actions, 4 x 4 x 4 observations, horizon 12, discount 1>
    """
    return _riddle(agents, cells, horizon, "switch-bridge")


def occupant_keys(team: DecPOMDP) -> Int:
    """Return the keys under which pairs of a riddle, with or without a bridge, are the same row, shape (S*A,).

    Only the action of the prisoner whose turn it is counts, and nobody's at the end (M8-pool).

    Examples
    --------
    >>> keys = occupant_keys(switch_riddle(6, 3))
    >>> len(keys), len(set(keys.tolist()))  # 46 * 27 pairs, 45 * 3 + 1 rows
    (1242, 136)
    """
    states = _states(team.n_agents, team.n_observations[0] - 3)
    return keys_of_one(np.array([who for _, _, who, _ in states]), team.n_actions)


def all_drawn(agents: int, visits: int) -> Fraction:
    """Return the probability that each of n prisoners is drawn in so many visits: the oracle's value.

    Derived here, by inclusion and exclusion; nobody may tell earlier at a gain.

    Examples
    --------
    >>> all_drawn(3, 6)
    Fraction(20, 27)
    """
    terms = ((-1) ** j * math.comb(agents, j) * (agents - j) ** visits for j in range(agents + 1))
    return Fraction(sum(terms), agents**visits)
