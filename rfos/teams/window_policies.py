"""Policies of one agent that look at the last observation alone: their values, and good ones found by search."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import scipy.sparse as sp

from rfos._system import checks
from rfos._system.arrays import Float, Int, array_of, freeze, integers
from rfos._system.memory import require_memory
from rfos._system.randomness import Seed, seed_sequence
from rfos.teams.model import DecPOMDP

MOST_POLICIES = 2**20
"""Policies that are all tried, at most."""

BATCH = 64
"""Policies whose values are computed together."""

LEAST_GAIN = 1e-12
"""A step of the search has to gain more than that: rounding is no gain."""


class _Step(NamedTuple):
    """Pairs of state and observation that can be reached at one step, N of them.

    Attributes
    ----------
    observation : ndarray of int64, shape (N,)
    rewards : ndarray of float64, shape (N, A)
    onward : tuple of sparse arrays, shape (N', N)
        By action: transposed probabilities of the next step's pairs.
    """

    observation: Int
    rewards: Float
    onward: tuple[Any, ...]


def _branches_of(pointer: Int, rows: Int) -> tuple[Int, Int]:
    """Return the numbers of all branches of some rows, row by row, and how many each has."""
    counts = np.diff(pointer)[rows]
    ends = np.cumsum(counts)
    return np.arange(int(counts.sum())) + np.repeat(pointer[rows] - (ends - counts), counts), counts


def _steps(team: DecPOMDP) -> tuple[Float, list[_Step]]:
    """Return the law of the first pair, and the steps of an episode."""
    checks.kind("team", team, DecPOMDP, mend="rfos.teams.meta_games.meta_game_team(meta_game) makes one")
    if team.n_agents != 1 or not team.has_first_observation:
        raise ValueError(
            f"{team!r} is not one agent with a first observation: give meta_game_team(meta_game), or an MDP as a team"
        )
    seen, actions, b = team.n_joint_observations, team.n_joint_actions, team.branches
    pairs = np.flatnonzero(team.starts)
    law: Float = team.starts.ravel()[pairs]
    steps = []
    for step in range(team.horizon):
        state, observation = np.divmod(pairs, seen)
        onward = []
        if step < team.horizon - 1:
            require_memory(80 * len(pairs) * actions * team.branching, "one step of all episodes", "use a smaller team")
            listed = [_branches_of(b.pointer, state * actions + action) for action in range(actions)]
            codes = [b.state[taken] * seen + b.observation[taken] for taken, _ in listed]
            after = np.unique(np.concatenate(codes))
            for (taken, counts), own in zip(listed, codes, strict=True):
                pointer = np.concatenate([[0], np.cumsum(counts)])
                flat = (b.probability[taken], np.searchsorted(after, own), pointer)
                onward.append(sp.csr_array(flat, (len(pairs), len(after))).T.tocsr())
            pairs = after
        steps.append(_Step(observation, team.rewards[state], tuple(onward)))
    return law, steps


def _checked(team: DecPOMDP, policies: object) -> Int:
    """Return policies as integers of shape (K, H, O), the same at each step where no step is given."""
    given = array_of("policies", policies)
    seen, horizon = team.n_joint_observations, team.horizon
    if given.ndim not in (2, 3) or given.shape[1:] not in ((seen,), (horizon, seen)):
        raise ValueError(
            f"policies have shape {given.shape}: give an action for each observation, shape (K, {seen}), or for each "
            f"step and observation, shape (K, {horizon}, {seen})"
        )
    actions = integers("policies", given)
    if actions.size and not (actions.min() >= 0 and actions.max() < team.n_joint_actions):
        raise ValueError(f"policies hold an action that is not one from 0 to {team.n_joint_actions - 1}")
    if actions.ndim == 2:
        actions = np.broadcast_to(actions[:, None, :], (len(actions), horizon, seen))
    return actions


def _forward(team: DecPOMDP, law: Float, steps: list[_Step], policies: Int) -> Float:
    """Return the returns of policies (K, H, O)."""
    now = np.repeat(law[:, None], len(policies), axis=1)
    total = np.zeros(len(policies))
    for h, step in enumerate(steps):
        chosen = policies[:, h, step.observation].T
        total += team.discount**h * (now * np.take_along_axis(step.rewards, chosen, axis=1)).sum(axis=0)
        if step.onward:
            now = sum(matrix @ (now * (chosen == action)) for action, matrix in enumerate(step.onward))
    return total


def window_values(team: DecPOMDP, policies: object) -> Float:
    """Return the exact returns of policies that look at the last observation, and maybe at the clock.

    Parameters
    ----------
    team : DecPOMDP
        One agent, with a first observation.
    policies : array_like of int, shape (K, O) or (K, H, O)
        Action for each observation, or for each step and observation.

    Returns
    -------
    ndarray of float64, shape (K,)
        Expected return of an episode, in units of reward.

    Raises
    ------
    ValueError
        If the team has more agents or no first observation, or the policies do not fit it.

    Examples
    --------
    A bit that stays is seen; action 0 pays 1 in state 0 and action 1 in state 1:

    >>> from rfos.planning.mdp import TabularMDP
    >>> team = DecPOMDP.from_mdp(TabularMDP([[0, 0], [1, 1]], [[1.0, 0.0], [0.0, 1.0]], 0.5), horizon=2)
    >>> window_values(team, [[0, 1], [0, 0], [1, 0]]).tolist()
    [1.5, 0.75, 0.0]
    """
    law, steps = _steps(team)
    actions = _checked(team, policies)
    found = [
        _forward(team, law, steps, actions[first : first + BATCH]) for first in range(0, max(1, len(actions)), BATCH)
    ]
    return np.concatenate(found)


@dataclass(frozen=True, eq=False)
class WindowPolicy:
    """A deterministic policy that looks at the last observation, and how it was found.

    Attributes
    ----------
    policy : ndarray of int64, shape (O,), or (H, O) with a clock
    value : float
        Its exact return, in units of reward over the episode.
    is_best : bool
        Whether all policies of its kind were tried; else it is the best that was found.
    """

    policy: Int
    value: float
    is_best: bool


def _climb(team: DecPOMDP, law: Float, steps: list[_Step], policy: Int) -> tuple[Int, float]:
    """Change one observation's action at a time, the change that gains most, until none gains."""
    value = float(_forward(team, law, steps, _checked(team, policy[None]))[0])
    places = np.repeat(np.arange(len(policy)), team.n_joint_actions)
    actions = np.tile(np.arange(team.n_joint_actions), len(policy))
    while True:
        near = np.repeat(policy[None], len(places), axis=0)
        near[np.arange(len(places)), places] = actions
        values = np.concatenate(
            [_forward(team, law, steps, _checked(team, near[i : i + BATCH])) for i in range(0, len(near), BATCH)]
        )
        best = int(values.argmax())
        if values[best] <= value + LEAST_GAIN:
            return policy, value
        policy, value = near[best], float(values[best])


def _climb_by_steps(team: DecPOMDP, law: Float, steps: list[_Step], policy: Int) -> tuple[Int, float]:
    """Take the best actions of one step at a time, last step first, the others given, until nothing gains."""
    value, policy = -np.inf, policy.copy()
    while True:
        laws = [law]
        for h, step in enumerate(steps[:-1]):
            chosen = policy[h, step.observation]
            laws.append(sum(matrix @ (laws[h] * (chosen == a)) for a, matrix in enumerate(step.onward)))
        later = np.zeros(0)
        for h in reversed(range(len(steps))):
            step, q = steps[h], steps[h].rewards.copy()
            for a, matrix in enumerate(step.onward):
                q[:, a] += team.discount * (matrix.T @ later)
            gains = np.zeros((team.n_joint_observations, team.n_joint_actions))
            np.add.at(gains, step.observation, laws[h][:, None] * q)
            gains[np.arange(len(gains)), policy[h]] += LEAST_GAIN  # ties stay
            policy[h] = gains.argmax(axis=1)
            later = np.take_along_axis(q, policy[h, step.observation][:, None], axis=1)[:, 0]
        after = float(law @ later)
        if after <= value + LEAST_GAIN * team.horizon * team.n_joint_observations:
            return policy, after
        value = after


def best_window_policy(
    team: DecPOMDP, *, clock: bool = False, exhaustive: bool = False, tries: int = 10, rng: Seed = 0
) -> WindowPolicy:
    """Return the best deterministic policy found that looks at the last observation alone, or at the clock too.

    Local search from random policies: without a clock, one observation's action at a time; with one, all actions of a
    step at a time by the exact gains of each. Each stops where no such change gains more than rounding.

    Parameters
    ----------
    team : DecPOMDP
        One agent, with a first observation; `meta_game_team` makes one.
    clock : bool
        Whether the action may depend on the step.
    exhaustive : bool
        Try all A^O policies without a clock instead, at most 2^20: then it is the best.
    tries : int
        Random policies that the search starts from.
    rng : int, SeedSequence, Generator or None
        Of these policies.

    Raises
    ------
    ValueError
        If the team has more agents or no first observation, or there are too many policies to try all.

    Examples
    --------
    >>> from rfos import QLearner, WindowMetaGame, named_game
    >>> from rfos.teams.meta_games import meta_game_team
    >>> game = named_game("matching-pennies")
    >>> meta_game = WindowMetaGame(game, QLearner(reset=True), window=1, discount=0.8, horizon=3)
    >>> team = meta_game_team(meta_game, discount=1.0)
    >>> best = best_window_policy(team, exhaustive=True)
    >>> best.is_best, best.value == best_window_policy(team).value <= best_window_policy(team, clock=True).value
    (True, True)
    """
    tries = checks.whole("tries", tries)
    law, steps = _steps(team)
    seen, actions = team.n_joint_observations, team.n_joint_actions
    if exhaustive:
        if clock or seen * np.log2(actions) > np.log2(MOST_POLICIES):
            raise ValueError(
                f"{actions}^{seen} policies, for each step with a clock, are more than {MOST_POLICIES}: leave out "
                "exhaustive=True"
            )
        count, best, value = actions**seen, 0, -np.inf
        digits = actions ** np.arange(seen)
        for first in range(0, count, BATCH):
            some = np.arange(first, min(first + BATCH, count))[:, None] // digits % actions
            values = _forward(team, law, steps, _checked(team, some))
            if values.max() > value:
                best, value = first + int(values.argmax()), float(values.max())
        policy = best // digits % actions
        freeze(policy)
        return WindowPolicy(policy, value, True)
    draws = np.random.Generator(np.random.SFC64(seed_sequence(rng)))
    found = []
    for _ in range(tries):
        start = draws.integers(actions, size=(team.horizon, seen) if clock else seen)
        found.append((_climb_by_steps if clock else _climb)(team, law, steps, start))
    policy, value = max(found, key=lambda one: one[1])
    freeze(policy)
    return WindowPolicy(policy, value, actions == 1)
