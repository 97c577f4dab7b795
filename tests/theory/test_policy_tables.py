"""Tables of policy meta-games against a simulator written from the definition: all of `naive`'s own code."""

import itertools
from dataclasses import dataclass

import naive
import numpy as np
import pytest

from rfos.games.named import rock_paper_scissors
from rfos.games.normal_form import NormalFormGame
from rfos.games.stochastic import StochasticGame, iterated, one_shot
from rfos.metagames.grids import LevelGrid, SimplexGrid
from rfos.metagames.learners import NaiveLearner, SmoothedBestResponse
from rfos.metagames.policy import PolicyMetaGame

STAGE = NormalFormGame([[[3, 0.5], [1, -1]], [[0.3, 2], [-1, 0.7]]])
LEARNERS = [NaiveLearner(0.4), SmoothedBestResponse(0.8, 0.3)]
LEVELS = (0.1, 0.45, 0.9)
PLACE = 2 / 8192
"""A weight is the difference of two places in a cell, each rounded to half of an 8192th, and probabilities of two."""


@dataclass(frozen=True)
class Wrapped:
    """A learner that no kernel knows."""

    inner: NaiveLearner | SmoothedBestResponse

    def update(self, game: StochasticGame, player: int, policies: list[np.ndarray]) -> np.ndarray:
        return self.inner.update(game, player, policies)


def next_policy(learner, game: StochasticGame, played: list[np.ndarray]) -> np.ndarray:
    if isinstance(learner, NaiveLearner):
        return naive.step_on_logits(game, played, 1, learner.step)
    return naive.softmax_reply(game, played, 1, learner.temperature, learner.mixing)


def rows_of(meta_game: PolicyMetaGame) -> tuple[np.ndarray, np.ndarray]:
    """Rewards (X, A) and transitions (X, A, X) of its MDP, dense."""
    mdp = meta_game.to_mdp()
    successor, probability, reward = mdp.storage.branches(mdp.rewards)
    shape = mdp.n_states, mdp.n_actions, mdp.n_states
    dense = np.zeros((shape[0] * shape[1], shape[2]))
    for row in range(len(dense)):
        np.add.at(dense[row], successor[row], probability[row])
    return reward[:, 0].reshape(shape[:2]), dense.reshape(shape)


@pytest.mark.parametrize("rounding", ["barycentric", "nearest"])
@pytest.mark.parametrize("learner", LEARNERS, ids=str)
@pytest.mark.parametrize("kernel", [True, False])
@pytest.mark.parametrize("memory_one", [True, False])
def test_tables_are_what_the_definition_plays(memory_one: bool, kernel: bool, learner, rounding: str) -> None:
    """Reward = J_0 and law of the next state = rounding of L(a, ψ), on random pairs of memory-one or all one-shot ones.

    To 1e-6 pair by pair; from kernels the reward to a float32 and each weight to 2/8192.
    """
    game = iterated(STAGE, 0.8) if memory_one else one_shot(STAGE)
    levels = LEVELS[::2] if memory_one else LEVELS
    grid = LevelGrid(game.n_states, levels)
    meta_game = PolicyMetaGame(game, [learner if kernel else Wrapped(learner)], [grid, grid], 0.9, rounding)
    assert (meta_game.dynamics is not None) is kernel
    rewards, transitions = rows_of(meta_game)
    digits = list(itertools.product(range(len(levels)), repeat=game.n_states))
    points = [np.array([[levels[i], 1 - levels[i]] for i in each]) for each in digits]
    rng = np.random.default_rng(7)
    pairs = rng.integers(len(points), size=(25, 2)) if memory_one else np.argwhere(np.ones_like(rewards))
    for x, a in pairs:
        played = [points[a], points[x]]
        own = naive.own_return(game, played, 0)
        assert rewards[x, a] == pytest.approx(own, rel=2.0**-23 if kernel else 1e-12, abs=1e-12)
        following = next_policy(learner, game, played)
        expected = np.zeros(len(points))
        if rounding == "nearest":
            expected[naive.nearest_point(points, following)] = 1.0
        else:
            for each, weight in naive.kuhn_weights(levels, following[:, 0]).items():
                expected[digits.index(each)] += weight
        assert np.abs(transitions[x, a] - expected).max() <= (PLACE if kernel else 1e-6)


@pytest.mark.parametrize("learner", LEARNERS, ids=str)
def test_tables_of_three_actions_are_what_the_definition_plays(learner) -> None:
    """Rock Paper Scissors once: barycentric weights of the small triangle that holds the next policy, to 1e-6."""
    game, side = one_shot(rock_paper_scissors()), 3
    grid = SimplexGrid(1, 3, side)
    rewards, transitions = rows_of(PolicyMetaGame(game, [learner], [grid, grid], 0.9))
    points = [grid.policy(x)[0] for x in range(10)]
    assert sorted(map(tuple, np.rint(np.array(points) * side))) == [
        (i, j, side - i - j) for i in range(side + 1) for j in range(side + 1 - i)
    ]
    # Pure policies stay pure on logits, which are infinite there.
    inside = [x for x in range(10) if min(points[x]) > 0] if isinstance(learner, NaiveLearner) else range(10)
    for x, a in itertools.product(inside, range(10)):
        played = [points[a][None], points[x][None]]
        assert rewards[x, a] == pytest.approx(naive.own_return(game, played, 0), abs=1e-12)
        expected = np.zeros(10)
        following = next_policy(learner, game, played)[0]
        for i, weight in naive.triangle_weights(points, following, 2 / side).items():
            expected[i] += weight
        assert np.abs(transitions[x, a] - expected).max() <= 1e-6
