"""Kernels of policy meta-games against the exact game, learners and grids of the API."""

import naive
import numpy as np
import pytest
from strength import FULL

from rfos._kernels import grids
from rfos._kernels import learners as learners_kernels
from rfos.games.named import matching_pennies, standard_prisoners_dilemma
from rfos.games.normal_form import NormalFormGame
from rfos.games.stochastic import StochasticGame, iterated, one_shot
from rfos.metagames.grids import LevelGrid
from rfos.metagames.learners import LOLA, FictitiousPlay, Fixed, NaiveLearner, QLearning, SmoothedBestResponse
from rfos.metagames.policy import PolicyMetaGame
from rfos.metagames.tables import Dynamics, OnTheFly, fill, frozen_share, reward_bounds
from rfos.planning.mdp import TabularMDP
from rfos.planning.solve import solve
from rfos.planning.storages import Sweep

LEARNERS = [
    NaiveLearner(1.0),
    NaiveLearner(0.3, "simplex"),
    SmoothedBestResponse(0.7, 0.4),
    QLearning(0.3, 2.0),
    QLearning(1.0, 0.5),
    Fixed(),
    LOLA(1.0, 0.7),
    LOLA(1.0, 0.7, "exact"),
    LOLA(0.6, 0.7, "shaping"),
    LOLA(0.3, 0.0),
    FictitiousPlay(1.0),
    FictitiousPlay(0.4),
    FictitiousPlay(1.0, within=True),
    FictitiousPlay(0.4, within=True),
]
LEVELS = (0.02, 0.25, 0.5, 0.75, 0.98)
IPD = iterated(standard_prisoners_dilemma(), 0.96)


def random_game(rng: np.random.Generator) -> StochasticGame:
    """Three inner states, two branches a pair, mixed-sign rewards."""
    transitions = np.zeros((3, 4, 3))
    for s in range(3):
        for j in range(4):
            first, second = rng.choice(3, 2, replace=False)
            p = rng.uniform(0.1, 0.9)
            transitions[s, j, first], transitions[s, j, second] = p, 1 - p
    return StochasticGame(transitions, rng.normal(size=(2, 3, 4)), [0.5, 0.3, 0.2], (2, 2), 0.8)


def dynamics_of(game: StochasticGame, learner: object, levels: tuple[float, ...] = LEVELS) -> Dynamics:
    found = Dynamics.of(game, learner, (LevelGrid(game.n_states, levels),) * 2)
    assert found is not None
    return found


def play_both(d: Dynamics, own: np.ndarray, other: np.ndarray) -> tuple[tuple[float, float], np.ndarray]:
    n = len(own)
    following = np.empty(n)
    scratch = np.empty((n, n)), np.empty((learners_kernels.SCRATCH, n))
    return learners_kernels.meet(d.game, d.rule, own, other, *scratch, following), following


def as_policies(own: np.ndarray, other: np.ndarray) -> list[np.ndarray]:
    return [np.stack([p, 1 - p], axis=1) for p in (own, other)]


@pytest.mark.parametrize("learner", LEARNERS, ids=str)
def test_play_is_the_exact_return_and_the_learners_step(learner) -> None:
    """J_0, J_1 and ψ' of a pair are those of StochasticGame and of the learner, to 1e-9."""
    rng = np.random.default_rng(0)
    for game in (IPD, random_game(rng), one_shot(matching_pennies())):
        d = dynamics_of(game, learner)
        for _ in range(8):
            own, other = rng.uniform(0.02, 0.98, (2, game.n_states))
            returns, following = play_both(d, own, other)
            policies = as_policies(own, other)
            expected = learner.update(game, 1, policies)
            scored = [policies[0], expected] if getattr(learner, "within", False) else policies
            assert np.allclose(returns, game.returns(scored), rtol=0, atol=1e-10)
            assert np.allclose(following, expected[:, 0], rtol=0, atol=1e-9)


@pytest.mark.parametrize("learner", [x for x in LEARNERS if dynamics_of(IPD, x).iterated], ids=str)
def test_the_short_form_for_iterated_games_is_the_general_one(learner) -> None:
    """play_iterated = play for memory-one policies, to 1e-10."""
    rng = np.random.default_rng(1)
    for _ in range(20):
        game = iterated(NormalFormGame(rng.normal(size=(2, 2, 2))), 0.9)
        d = dynamics_of(game, learner)
        own, other = rng.uniform(0.02, 0.98, (2, 5))
        following = np.empty(5)
        returns = learners_kernels.play_iterated(d.game, own, other, d.rule, following)
        general, expected = play_both(d, own, other)
        assert np.allclose(returns, general, rtol=0, atol=1e-10)
        assert np.allclose(following, expected, rtol=0, atol=1e-10)


@pytest.mark.parametrize(
    "learner", [QLearning(0.3, 1e-3), QLearning(1.0, 1e-3), SmoothedBestResponse(1e-3, 0.4)], ids=str
)
def test_policies_near_the_ends_and_low_temperatures_stay_probabilities(learner) -> None:
    """Infinite logits stay, exp never overflows: kernels are the learner, 0 <= ψ' <= 1."""
    rng = np.random.default_rng(5)
    d = dynamics_of(IPD, learner)
    for _ in range(30):
        own, other = rng.choice([0.0, 1e-300, 1e-9, 0.003, 0.5, 1 - 1e-9, 1.0], (2, 5))
        _, following = play_both(d, own, other)
        assert ((following >= 0) & (following <= 1)).all()
        expected = learner.update(IPD, 1, as_policies(own, other))[:, 0]
        assert np.allclose(following, expected, rtol=0, atol=1e-9)


@pytest.mark.jit
def test_compiled_and_interpreted_kernels_agree_bit_for_bit() -> None:
    """The same bytes with the JIT on and off."""
    rng = np.random.default_rng(2)
    scratch = np.empty((5, 5)), np.empty((learners_kernels.SCRATCH, 5))
    for learner in LEARNERS:
        d = dynamics_of(IPD, learner)
        own, other = rng.uniform(0.02, 0.98, (2, 5))
        ways = [(learners_kernels.meet, (d.game, d.rule, own, other, *scratch))]
        if d.iterated:
            ways.append((learners_kernels.play_iterated, (d.game, own, other, d.rule)))
        for way, arguments in ways:
            compiled, interpreted = np.empty(5), np.empty(5)
            assert way(*arguments, compiled) == way.py_func(*arguments, interpreted)
            assert compiled.tobytes() == interpreted.tobytes()


def test_tables_hold_every_pair_and_their_backups_agree() -> None:
    """Table entries are `play` of the pair; improve = max of backup; chains are the rows of the policy."""
    learner = NaiveLearner(0.5)
    game = one_shot(matching_pennies())
    d = dynamics_of(game, learner)
    rewards, table = fill(d, nearest=False)
    grid = LevelGrid(1, LEVELS)
    for x in range(5):
        for a in range(5):
            policies = [grid.policy(a), grid.policy(x)]
            assert rewards[x, a] == np.float32(game.returns(policies)[0])
            following = learner.update(game, 1, policies)[0, 0]
            place = grids.place(grid.values, False, following)
            walked = int(table.corner[x, a]), [divmod(int(step), grids.UNIT) for step in table.steps[x, a]]
            assert walked == naive.walk([place], 5)
    values = np.arange(5.0) ** 2
    q = np.empty((5, 5))
    table.backup(rewards, 0.9, values, q)
    new_values, policy = np.empty(5), np.empty(5, np.int64)
    kept = np.empty((5, 5), np.float32)
    table.improve(Sweep(rewards, 0.9, values, new_values, policy, kept), 0, 5)
    assert kept.tobytes() == q.astype(np.float32).tobytes()
    assert new_values.tobytes() == q.max(axis=1).tobytes()
    assert policy.tolist() == q.argmax(axis=1).tolist()
    chain = table.chain(rewards, policy)
    for x in range(5):
        row = slice(chain.start[x], chain.start[x + 1])
        expected = chain.reward[x] + 0.9 * chain.probability[row] @ values[chain.successor[row]]
        assert expected == pytest.approx(new_values[x], abs=1e-12)


def test_best_responses_break_ties_towards_the_lower_action() -> None:
    """Against a fair shaper in Matching Pennies both actions earn the same, whatever was played before."""
    d = dynamics_of(one_shot(matching_pennies()), FictitiousPlay(1.0))
    for p in (0.0, 0.3, 0.5, 1.0):
        assert play_both(d, np.array([0.5]), np.array([p]))[1].tolist() == [1.0]


@pytest.mark.jit
@pytest.mark.parametrize("nearest", [False, True])
@pytest.mark.parametrize("learner", LEARNERS, ids=str)
@pytest.mark.parametrize(
    ("game", "levels"), [(random_game(np.random.default_rng(3)), (0.1, 0.4, 0.9)), (IPD, (0.1, 0.9))], ids=["3", "ipd"]
)
def test_pairs_evaluated_on_the_fly_are_those_of_the_table_bit_for_bit(game, levels, learner, nearest: bool) -> None:
    """Backups, chains, branches and solutions of the two storages have the same bytes; so do the two backups.

    In quick each learner's game is solved by one of the methods, in turn.
    """
    d = dynamics_of(game, learner, levels)
    n = len(levels) ** game.n_states
    rewards, table = fill(d, nearest)
    storage, bounds = OnTheFly(d, nearest), reward_bounds(game)
    assert bounds[0] <= rewards.min() <= rewards.max() <= bounds[1]
    values = np.random.default_rng(4).normal(size=n)
    found = []
    for one, given_rewards in ((table, rewards), (storage, bounds)):
        q, new_values, policy = np.empty((n, n)), np.empty(n), np.empty(n, np.int64)
        one.backup(given_rewards, 0.9, values, q)
        kept = np.empty((n, n), np.float32)
        one.improve(Sweep(given_rewards, 0.9, values, new_values, policy, kept), 0, n)
        assert (kept.tobytes(), new_values.tobytes()) == (q.astype(np.float32).tobytes(), q.max(axis=1).tobytes())
        assert policy.tolist() == q.argmax(axis=1).tolist()
        some = one.chain(given_rewards, np.array([3, 0, 26]), np.array([5, 5, 1]))
        arrays = (q, kept, new_values, policy, *one.chain(given_rewards, policy), *some, *one.branches(given_rewards))
        found.append([array.tobytes() for array in arrays])
    assert found[0] == found[1]
    methods = ("modified_policy_iteration", "value_iteration", "policy_iteration", "linear_programming")
    turn = (LEARNERS.index(learner) + nearest) % len(methods)
    for method in methods if FULL else methods[turn : turn + 1]:
        first = solve(TabularMDP(table, rewards, 0.9), method, tol=1e-6)
        second = solve(TabularMDP(storage, bounds, 0.9), method, tol=1e-6)
        assert first.policy.tolist() == second.policy.tolist()
        assert np.abs(first.value - second.value).max() <= 2e-6


def test_frozen_moves_are_those_of_the_definition() -> None:
    """A pair is frozen if the learner moves in some inner state and nearest rounding undoes it in all."""
    game = random_game(np.random.default_rng(6))
    grid = LevelGrid(3, (0.1, 0.4, 0.9))
    for learner in (NaiveLearner(3.0), NaiveLearner(0.5, "simplex"), SmoothedBestResponse(1.0, 0.4)):
        frozen = 0
        for x in range(27):
            for a in range(27):
                following = learner.update(game, 1, [grid.policy(a), grid.policy(x)])
                moved = np.abs(following - grid.policy(x)).max() > 1e-12
                frozen += bool(moved and int(grid.nearest(following)) == x)
        assert 0 < frozen < 27 * 27
        assert frozen_share(dynamics_of(game, learner, grid.levels)) == frozen / 27**2


@pytest.mark.parametrize("size", [1e-40, 1e39])
def test_rewards_that_float32_does_not_hold_are_kept_in_float64(size: float) -> None:
    """V* scales with the rewards, whatever their size."""
    pennies = matching_pennies()
    grid = LevelGrid(1, LEVELS)
    values = []
    for payoffs in (pennies.payoffs, size * pennies.payoffs):
        game = one_shot(NormalFormGame(payoffs))
        learner = NaiveLearner(0.5 * float(pennies.payoffs.max() / payoffs.max()), "simplex")
        values.append(
            solve(PolicyMetaGame(game, [learner], [grid, grid], 0.9).to_mdp(), tol=1e-7 * payoffs.max()).value
        )
    assert np.abs(values[1] / size - values[0]).max() <= 1e-3  # places in 8192ths of a cell in the first


def test_a_learner_whose_step_is_short_is_frozen() -> None:
    """Matching Pennies, simplex step η: nearest rounding freezes all moves for k < 1/η, none of the long ones."""
    game = one_shot(matching_pennies())
    levels = (0.0, 0.25, 0.5, 0.75, 1.0)
    short = dynamics_of(game, NaiveLearner(0.1, "simplex"), levels)
    # At rest, not frozen: against the fair shaper, and at the end that the shaper drives them to.
    assert frozen_share(short) == pytest.approx((25 - 5 - 4) / 25)
    assert frozen_share(dynamics_of(game, NaiveLearner(2.0, "simplex"), levels)) == 0.0
    assert frozen_share(dynamics_of(game, Fixed(), levels)) == 0.0
