"""What an agent of the experiment could have earned."""

from __future__ import annotations

import threading

import numpy as np
from numpy.typing import NDArray

from rfos._kernels import rmax as kernels
from rfos._system import checks
from rfos._system.randomness import stream
from rfos.laboratory.reproduction.estimates import estimate_of
from rfos.laboratory.reproduction.experiment import HORIZON, Experiment, meta_game
from rfos.laboratory.reproduction.parallel import CancelledError, parallel
from rfos.laboratory.reproduction.results import Yardstick
from rfos.metagames.window import WindowMetaGame

ENUMERABLE = 2**16
"""Deterministic window policies are enumerated up to this many."""


def best_window_policy(
    game: WindowMetaGame, rng: int = 0, *, jobs: int = 1, cancelled: threading.Event | None = None
) -> Yardstick:
    """Estimate the largest mean reward per step of all deterministic window policies, by enumeration.

    Every policy plays against the opponents, whatever they hide, with the game's own restarts; the better part of them
    plays longer, four times over. The last one's reward is estimated anew on fresh draws, so the choice does not bias
    it upwards; as the best of the whole class it may be missed, so it is a lower bound for that.

    Parameters
    ----------
    game : WindowMetaGame
        With at most 2^16 deterministic window policies.
    rng : int
    jobs : int
        Threads.
    cancelled : threading.Event, optional
        Setting it ends the enumeration with CancelledError.

    Raises
    ------
    ValueError
        If there are too many policies to enumerate.
    """
    checks.kind("game", game, WindowMetaGame)
    count = game.n_actions**game.n_states
    if count > ENUMERABLE:
        raise ValueError(f"{game.n_actions}^{game.n_states} window policies are too many to enumerate")
    flag = threading.Event() if cancelled is None else cancelled
    powers = game.n_actions ** np.arange(game.n_states, dtype=np.int64)
    world = game.world()

    def reward(policy: int, steps: int, stage: int) -> float:
        if flag.is_set():
            raise CancelledError
        behaviour = kernels.Behaviour(
            False, np.zeros((0, game.n_actions), np.int64), (policy // powers % game.n_actions)[None, :]
        )
        rows = game.n_states * game.n_actions
        memory = kernels.Memory(
            np.zeros(rows, np.int64), np.zeros((rows, game.branching), np.int64), np.zeros(rows, np.int64), 0, False
        )
        total = np.zeros(1)
        # Learners and automata at their start, anew for each policy.
        hidden = game.learners(), game.automaton()
        played = world, *hidden, behaviour, memory, stream(rng, (stage,)), np.zeros(3, np.int64), total
        kernels.advance(*played, None, None, steps)
        return float(total[0]) / steps

    candidates = np.arange(count)
    for stage, (steps, keep) in enumerate([(2_000, 4_096), (20_000, 256), (200_000, 16), (2_000_000, 1)]):
        chunks = np.array_split(candidates, max(1, min(len(candidates), 8 * jobs)))

        def play(chunk: NDArray[np.int64], steps: int = steps, stage: int = stage) -> list[float]:
            return [reward(int(policy), steps, stage) for policy in chunk]

        rewards = np.concatenate(parallel(play, chunks, jobs, flag))
        candidates = candidates[np.argsort(-rewards, kind="stable")[:keep]]
    # Batches of a million steps give the interval without assumptions about correlations.
    batches = parallel(lambda stage: reward(int(candidates[0]), 10**6, stage), range(100, 108), jobs, flag)
    estimate = estimate_of(batches, least=game.reward_range[0])
    how = f"best found among all {count} deterministic window policies by successive halving, on fresh draws"
    return Yardstick("best window policy", game.window, estimate.mean, estimate.low, estimate.high, how)


def full_information(game: WindowMetaGame, rng: int = 0) -> Yardstick:
    """Estimate the reward per step of a shaper who sees the hidden learners' values and replies myopically.

    Raises
    ------
    ValueError
        If the opponents are no Q-learners.
    """
    checks.kind("game", game, WindowMetaGame)
    if game.is_markov:
        raise ValueError("the opponents are functions of the window and hide nothing: take solved_optimum instead")
    learners = game.learners()
    if learners is None:
        raise ValueError(
            "the opponents are automata, and what replies here sees learners' values: solve to_mdp(informed=True) "
            "instead"
        )
    world = game.world()
    batches = []
    for batch in range(8):
        state = stream(rng, (1000 + batch,))
        total = kernels.play_informed(world, game.learners(), state, 500_000, game.n_actions)
        batches.append(total / 500_000)
    estimate = estimate_of(batches, least=game.reward_range[0])
    how = "myopic best reply to the learner's hidden values, simulated"
    return Yardstick("full information, myopic", None, estimate.mean, estimate.low, estimate.high, how)


def solved_optimum(game: WindowMetaGame) -> Yardstick:
    """Return the largest mean reward per step of an episode from a uniformly random window, by backward induction."""
    checks.kind("game", game, WindowMetaGame)
    mdp = game.to_mdp()
    values = np.zeros(mdp.n_states)
    q = np.empty((mdp.n_states, mdp.n_actions))
    for _ in range(HORIZON):
        mdp.storage.backup(mdp.rewards, 1.0, values, q)
        values = q.max(axis=1)
    reward = float(values.mean()) / HORIZON
    how = "solved by backward induction; the plan may depend on the step of the episode"
    return Yardstick("best plan for ten steps", game.window, reward, reward, reward, how)


def yardsticks_of(experiment: Experiment, jobs: int, cancelled: threading.Event) -> tuple[Yardstick, ...]:
    """Return what could have been earned in each meta-game."""
    games = [meta_game(experiment, window) for window in experiment.windows]
    if experiment.opponent == "window":
        return tuple(solved_optimum(game) for game in games)
    found = [
        best_window_policy(game, experiment.seed, jobs=jobs, cancelled=cancelled)
        for game in games
        if game.n_actions**game.n_states <= ENUMERABLE
    ]
    return (*found, full_information(games[0], experiment.seed))
