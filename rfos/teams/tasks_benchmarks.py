"""Four benchmarks of the Dec-POMDP literature, rebuilt from their descriptions: two agents, no first observation."""

from __future__ import annotations

import itertools

import numpy as np

from rfos._system.arrays import Float
from rfos.teams.model import DecPOMDP


def _both(one: Float, two: Float) -> Float:
    """Return the law of a pair from the laws of two independent parts, over their last axes."""
    joint: Float = (one[..., :, None] * two[..., None, :]).reshape(*one.shape[:-1], -1)
    return joint


def dec_tiger(horizon: int) -> DecPOMDP:
    """Return Dec-Tiger: two agents before two doors, a tiger behind one of them.

    Actions listen, open-left, open-right. Both listen: -2, the tiger stays, and each hears the right side with
    probability .85, independently. Otherwise the tiger is behind a door anew, uniformly, what is heard is uniform, and
    both opening the tiger's door costs 50, both the other door pays 20, different doors cost 100, the tiger's door
    while the other listens costs 101 and the other door then pays 9.

    Source: Nair et al. (2003); rewards and probabilities as in the public problem file.

    Examples
    --------
    >>> dec_tiger(2).rewards[0].tolist()  # the tiger is on the left
    [-2.0, -101.0, 9.0, -101.0, -50.0, -100.0, 9.0, -100.0, 20.0]
    """
    left = np.array([[-2.0, -101.0, 9.0], [-101.0, -50.0, -100.0], [9.0, -100.0, 20.0]])
    mirrored = left[np.ix_([0, 2, 1], [0, 2, 1])]
    moves, hears = np.full((2, 9, 2), 0.5), np.full((9, 2, 4), 0.25)
    moves[:, 0] = np.eye(2)
    ear = np.array([[0.85, 0.15], [0.15, 0.85]])
    hears[0] = _both(ear, ear)
    return DecPOMDP.from_tables(
        moves,
        hears,
        np.stack([left.ravel(), mirrored.ravel()]),
        n_actions=(3, 3),
        n_observations=(2, 2),
        horizon=horizon,
        starts=[0.5, 0.5],
        name="dec-tiger",
        state_names=("tiger-left", "tiger-right"),
        action_names=(("listen", "open-left", "open-right"),) * 2,
        observation_names=(("hear-left", "hear-right"),) * 2,
    )


def broadcast_channel(horizon: int) -> DecPOMDP:
    """Return the broadcast channel: two senders with a buffer each; two messages at once collide.

    Actions send, wait. Who sends alone from a full buffer earns 1. A buffer that was sent from, or is empty, fills with
    probability .9 (the first) or .1 (the second); both send: so do both, whatever they were; else a full one stays
    full. Each hears whether there was a collision, rightly with .9, independently.

    Source: Hansen, Bernstein and Zilberstein (2004), after Ooi and Wornell (1996).

    Examples
    --------
    >>> broadcast_channel(2).rewards.tolist()  # both full, the first, the second, none
    [[0.0, 1.0, 1.0, 0.0], [0.0, 1.0, 0.0, 0.0], [0.0, 0.0, 1.0, 0.0], [0.0, 0.0, 0.0, 0.0]]
    """
    arrives = (0.9, 0.1)
    moves, rewards = np.zeros((4, 4, 4)), np.zeros((4, 4))
    states = list(itertools.product((1, 0), repeat=2))  # full is 1 and comes first
    for (s, full), (a, waits) in itertools.product(enumerate(states), enumerate(states[::-1])):
        chance = [1.0 if f and w else p for f, w, p in zip(full, waits, arrives, strict=True)]
        moves[s, a] = [
            np.prod([p if f else 1 - p for p, f in zip(chance, following, strict=True)]) for following in states
        ]
        rewards[s, a] = float(sum(waits) == 1 and bool(full[waits.index(0)]))
    ear = np.array([[0.9, 0.1]] + 3 * [[0.1, 0.9]])  # by joint action: both send in the first
    hears = np.repeat(_both(ear, ear)[:, None, :], 4, axis=1)
    return DecPOMDP.from_tables(
        moves,
        hears,
        rewards,
        n_actions=(2, 2),
        n_observations=(2, 2),
        horizon=horizon,
        starts=[1.0, 0.0, 0.0, 0.0],
        name="broadcast-channel",
        state_names=tuple(" ".join("full" if f else "empty" for f in full) for full in states),
        action_names=(("send", "wait"),) * 2,
        observation_names=(("collision", "no-collision"),) * 2,
    )


def recycling_robots(horizon: int) -> DecPOMDP:
    """Return the recycling robots: two robots that look for small and big waste, the big only together.

    Each battery is high or low, both high at the start, and each robot sees its own after each step. Actions recharge,
    small, big: the next battery is high with probability 1; .7 from high and .2 from low; .5 and .3.

    Source: Amato, Bernstein and Zilberstein (2007), after Sutton and Barto; numbers as in the public problem file.

    Examples
    --------
    >>> recycling_robots(2).rewards[0].tolist()
    [0.0, 2.0, 0.0, 2.0, 4.0, 2.0, 0.0, 2.0, 5.0]
    """
    high = np.array([[1.0, 0.7, 0.5], [1.0, 0.2, 0.3]])  # by battery (0 = high) and action
    battery = np.stack([high, 1 - high], axis=-1)
    moves = np.einsum("sax,tby->stabxy", battery, battery).reshape(4, 9, 4)
    mixed = np.array([[0.0, -0.4, -3.0], [2.0, 1.2, -1.6], [0.0, -0.4, 0.5]])  # high, low
    rewards = np.stack(
        [
            np.array([[0.0, 2.0, 0.0], [2.0, 4.0, 2.0], [0.0, 2.0, 5.0]]),
            mixed,
            mixed.T,
            np.array([[0.0, -0.4, -3.0], [-0.4, -1.44, -3.88], [-3.0, -3.88, -3.55]]),
        ]
    )
    names = ("high", "low")
    return DecPOMDP.from_tables(
        moves,
        np.repeat(np.eye(4)[None], 9, axis=0),
        rewards.reshape(4, 9),
        n_actions=(3, 3),
        n_observations=(2, 2),
        horizon=horizon,
        starts=[1.0, 0.0, 0.0, 0.0],
        name="recycling-robots",
        state_names=tuple(" ".join(pair) for pair in itertools.product(names, repeat=2)),
        action_names=(("recharge", "small", "big"),) * 2,
        observation_names=(names,) * 2,
    )


def grid_small(horizon: int) -> DecPOMDP:
    """Return the meeting in a grid of 2 x 2 cells: 1 whenever both arrive in the same cell.

    Cells 0 1 above 2 3; the agents start in cells 1 and 2. Actions up, down, left, right, stay: stay is certain, a move
    goes as intended with probability .6, in each other direction with .1 and nowhere with .1, and into a wall is
    nowhere. Each sees its own column after the step.

    Source: Bernstein, Hansen and Zilberstein (2005); numbers as in the public problem file GridSmall.

    Examples
    --------
    >>> grid_small(2).rewards[4 * 1 + 2, 5 * 2 + 0].round(3)  # from 1 and 2: left, up
    np.float64(0.37)
    """
    steps = ((-1, 0), (1, 0), (0, -1), (0, 1))
    walk = np.zeros((4, 5, 4))
    walk[:, 4] = np.eye(4)
    for cell, action in itertools.product(range(4), range(4)):
        row, column = divmod(cell, 2)
        walk[cell, action, cell] += 0.1
        for direction, (down, right) in enumerate(steps):
            there = (row + down, column + right)
            onto = 2 * there[0] + there[1] if 0 <= there[0] < 2 and 0 <= there[1] < 2 else cell
            walk[cell, action, onto] += 0.6 if direction == action else 0.1
    moves = np.einsum("xau,ybv->xyabuv", walk, walk).reshape(16, 25, 16)
    together = np.eye(4).ravel()
    pairs = list(itertools.product(range(4), repeat=2))
    seen = np.eye(4)[[2 * (one % 2) + two % 2 for one, two in pairs]]
    starts = np.zeros(16)
    starts[4 * 1 + 2] = 1.0
    return DecPOMDP.from_tables(
        moves,
        np.repeat(seen[None], 25, axis=0),
        moves @ together,
        n_actions=(5, 5),
        n_observations=(2, 2),
        horizon=horizon,
        starts=starts,
        name="grid-small",
        state_names=tuple(f"cells {one} {two}" for one, two in pairs),
        action_names=(("up", "down", "left", "right", "stay"),) * 2,
        observation_names=(("left-column", "right-column"),) * 2,
    )
