"""Centralised exploration: the joint policy most likely to meet what is not known yet (M2)."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from rfos._kernels.team_play import plan_markov
from rfos._system.arrays import Float, Int, freeze
from rfos.teams.counts import Counts
from rfos.teams.world import start_branches


class Exploration(NamedTuple):
    """What exploration can still meet in the learned model.

    Attributes
    ----------
    gap : float
        Largest expectation, over all policies that see the states, of the discounted steps from the first unknown pair
        on; in [0, V_H]. It is g of M2.
    action : ndarray of int64, shape (H, S)
        A joint action that attains it at each step in each state; -1: any that is unknown there, so the one that was
        taken least. Until an episode meets an unknown pair it makes no difference which, so M2 covers it.
    """

    gap: float
    action: Int


def remaining(horizon: int, discount: float) -> Float:
    """Return the sum of discount^h over the last j + 1 steps, for each j from 0 on, shape (H,).

    Examples
    --------
    >>> remaining(3, 0.5).tolist()
    [1.0, 1.5, 1.75]
    """
    return np.array([math.fsum(discount**h for h in range(j + 1)) for j in range(horizon)])


def explore(counts: Counts, least: int | None = None) -> Exploration:
    """Plan for meeting unknown pairs, in the model whose known rewards are 0.

    Backward induction, of horizon * S * A * B operations: an unknown pair pays 1 in each step from it on. All Markov
    policies of state and step compete, so it takes states that are seen before each action.

    Parameters
    ----------
    counts : Counts
    least : int, optional
        Visits from which on a row counts as known; default m.

    Returns
    -------
    Exploration
        Derived here (M2); the paper explores by a centralised policy of the learned model too.

    Examples
    --------
    Nothing is known, so that the first step meets something unknown:

    >>> from rfos.teams.counts import Experience
    >>> from rfos.teams.model import DecPOMDP
    >>> team = DecPOMDP(np.full((2, 2, 2, 1), 0.5), np.zeros((2, 2)), (2,), (1,), horizon=3)
    >>> experience = Experience(team, m=1, known_start=True, rng=0)
    >>> explore(experience.counts()).gap
    3.0
    """
    team = counts.team
    values, spare = np.empty(team.n_states), np.empty(team.n_states)
    action = np.empty((team.horizon, team.n_states), np.int64)
    escapes = remaining(team.horizon, team.discount)
    nothing = np.zeros(team.rewards.size)
    plan_markov(counts.layout.rows, counts.tally(least), nothing, escapes, team.discount, values, spare, action)
    freeze(action)
    return Exploration(_at_start(counts, values, float(escapes[-1]), least), action)


def _at_start(counts: Counts, values: Float, unknown: float, least: int | None) -> float:
    """Return the value of an episode that begins by the known law, the counted one, or an unknown pair."""
    if counts.known_start:
        state, _, probability = start_branches(counts.team)
        return math.fsum(probability * values[state])
    if not counts.known_from(least)[-1]:
        return unknown
    first = counts.layout.rows.pointer[-2]
    return math.fsum(counts.seen[first:] * values[counts.layout.rows.state[first:]]) / float(counts.visits[-1])
