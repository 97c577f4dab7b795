"""The R-max kernels agree with their references bit for bit: planning, hidden learners, whole runs."""

import dataclasses
import math

import naive
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from strength import scaled

from rfos._kernels import dp, random
from rfos._kernels import rmax as kernels
from rfos._system.randomness import stream
from rfos.games.named import (
    matching_pennies,
    rock_paper_scissors,
    standard_prisoners_dilemma,
    three_player_matching_pennies,
)
from rfos.games.normal_form import NormalFormGame
from rfos.games.stochastic import iterated, one_shot
from rfos.learning.agents import PaperRmax, Rmax
from rfos.learning.run import run
from rfos.metagames.automata import AUTOMATA, Automaton, tsetlin
from rfos.metagames.grids import LevelGrid, SimplexGrid
from rfos.metagames.learners import NaiveLearner
from rfos.metagames.opponents import MemoryOne, QLearner, WindowBestResponse, WindowQLearner
from rfos.metagames.policy import PolicyMetaGame
from rfos.metagames.tables import OnTheFly, reward_bounds
from rfos.metagames.window import WindowMetaGame
from rfos.planning.mdp import TabularMDP
from rfos.planning.storages import thresholds
from rfos.testing import distributions, mdps, normal_form_games, window_meta_games

SEEDS = st.integers(0, 2**32 - 1)


def test_every_kernel_has_a_reference():
    """One stem for kernel and reference; forms of one backup for several storages share one."""
    for module in (dp, random, kernels):
        for name, value in vars(module).items():
            if getattr(value, "__module__", None) == module.__name__ and not isinstance(value, type):
                assert hasattr(naive, name) or hasattr(naive, name.split("_")[0]), name


# Planning in a learned model -------------------------------------------------------------------------------------


@st.composite
def learned_models(draw, pooled=None):
    """A kernel's world and memory in the middle of learning, and the same model for the reference."""
    n_states, n_actions, n_branches = draw(st.integers(1, 4)), draw(st.integers(1, 3)), draw(st.integers(1, 3))
    m = draw(st.integers(1, 5))
    is_pooled = draw(st.booleans()) if pooled is None else pooled
    pairs = n_states * n_actions
    # Few different rewards, so that ties happen; thirds, so that the order of summation shows.
    reward = draw(
        st.lists(st.sampled_from([0.0, 1 / 3, 1.0]), min_size=pairs * n_branches, max_size=pairs * n_branches)
    )
    successor = draw(st.lists(st.integers(0, n_states - 1), min_size=pairs * n_branches, max_size=pairs * n_branches))
    rows = n_states if is_pooled else pairs
    known = draw(st.lists(st.booleans(), min_size=rows, max_size=rows))
    outcomes = [draw(st.lists(st.integers(0, n_branches - 1), min_size=m, max_size=m)) for _ in range(rows)]
    world = kernels.World(
        np.array(successor, np.int64).reshape(pairs, n_branches),
        np.array(reward).reshape(pairs, n_branches),
        np.zeros((0, 0), np.int64),
        np.zeros((0, 0)),
        np.arange(n_states),
        1,
    )
    counts = np.zeros((rows, n_branches), np.int64)
    for row, outcome in enumerate(outcomes):
        # An unknown row has been visited m - 1 times.
        for b in outcome if known[row] else outcome[1:]:
            counts[row, b] += 1
    memory = kernels.Memory(counts.sum(axis=1), counts, np.zeros(rows, np.int64), m, is_pooled)
    model = {}
    for s in range(n_states):
        for a in range(n_actions):
            row, pair = (s if is_pooled else s * n_actions + a), s * n_actions + a
            if known[row]:
                model[s, a] = [
                    (outcomes[row].count(b), float(world.reward[pair, b]), int(world.successor[pair, b]))
                    for b in range(n_branches)
                    if b in outcomes[row]
                ]
    return world, memory, model, (n_states, n_actions)


@given(st.lists(st.lists(st.sampled_from([-3.0, 0.1, 0.3, 5.0]), min_size=3, max_size=3), min_size=1, max_size=4))
@settings(max_examples=scaled(40))
def test_softmax_is_its_reference(rows):
    """cumulative(s,a) = Σ_{j<=a} e^{(q_j - max q)/T} / Σ_j e^{(q_j - max q)/T}; the last is exactly 1."""
    q = np.array(rows)
    for width in (1, 2, 3):
        result = np.empty((len(q), width), np.int64)
        kernels.softmax(q[:, :width].copy(), 0.25, result)
        assert result.tolist() == [[naive.threshold(c) for c in row] for row in naive.softmax(q[:, :width], 0.25)]
        assert (result[:, -1] == 2**53).all()


@given(st.floats(0, 1))
def test_threshold_is_its_reference(cumulative):
    """u = k 2^-53 < c exactly when k < ceil(c 2^53)."""
    assert kernels.threshold(cumulative) == naive.threshold(cumulative)


@given(learned_models(pooled=False), st.integers(-1, 4), st.sampled_from([0.0, 0.8]))
@settings(max_examples=scaled(60))
def test_plan_paper_is_its_reference(learned, sweeps, discount):
    """In-place sweeps in index order over known pairs; a maximum leaves out values still at their start."""
    world, memory, model, shape = learned
    q, result = np.full(shape, 5.0), np.empty(shape, np.int64)
    kernels.plan_paper(world, memory, q, 5.0, sweeps, discount, 0.25, result)
    expected = naive.plan_paper(model, memory.m, np.full(shape, 5.0), 5.0, sweeps, discount, 0.25)
    assert q.tobytes() == expected[0].tobytes()
    assert result.tolist() == [[naive.threshold(c) for c in row] for row in expected[1]]


@given(learned_models(), st.sampled_from([0.0, 0.6]), st.sampled_from([0.5, 1.0, 2.5]), st.data())
@settings(max_examples=scaled(80))
def test_optimistic_backup_is_its_reference(learned, discount, top, data):
    """Known pairs have their empirical law, unknown ones `top`; ties go to unknown pairs, then to the lower index."""
    world, memory, model, (n_states, n_actions) = learned
    values = st.sampled_from([0.0, 0.3, 1.0])
    following = np.array(data.draw(st.lists(values, min_size=n_states, max_size=n_states)))
    q, best, action = np.empty((n_states, n_actions)), np.empty(n_states), np.empty(n_states, np.int64)
    change = kernels.optimistic_backup(world, memory, discount, top, following, q, best, action)
    expected = naive.optimistic_backup(model, memory.m, (n_states, n_actions), discount, top, following)
    assert q.tobytes() == expected[0].tobytes()
    assert best.tobytes() == expected[1].tobytes()
    assert action.tolist() == expected[2]
    assert change == expected[3]


@given(learned_models(pooled=False), st.sampled_from([0.0, 0.6]), st.sampled_from([0.5, 1.0, 2.5]), st.data())
@settings(max_examples=scaled(60))
def test_optimistic_backup_of_revealed_rows_is_its_reference(learned, discount, top, data):
    """Known pairs have their true law whatever came, never worth more than `top`; branches of share 0 do not count."""
    world, memory, model, (n_states, n_actions) = learned
    shares = [data.draw(distributions(world.reward.shape[1])) for _ in world.reward]
    world = world._replace(revealed=np.array(shares, np.float64))
    for s, a in model:
        pair = s * n_actions + a
        row = zip(shares[pair], world.reward[pair].tolist(), world.successor[pair].tolist(), strict=True)
        model[s, a] = [branch for branch in row if branch[0] > 0]
    following = np.linspace(0, 1, n_states)
    q, best, action = np.empty((n_states, n_actions)), np.empty(n_states), np.empty(n_states, np.int64)
    change = kernels.optimistic_backup(world, memory, discount, top, following, q, best, action)
    expected = naive.optimistic_backup(model, 1, (n_states, n_actions), discount, top, following)
    assert q.tobytes() == expected[0].tobytes()
    assert best.tobytes() == expected[1].tobytes()
    assert action.tolist() == expected[2]
    assert change == expected[3]


@given(learned_models(), st.sampled_from([0.0, 0.6]), st.sampled_from([1e-3, 0.5]))
@settings(max_examples=scaled(40))
def test_plan_stationary_is_its_reference(learned, discount, threshold):
    """Values, policy and the number of iterations."""
    world, memory, model, (n_states, n_actions) = learned
    top = 1 / (1 - discount)
    q, values, spare = np.empty((n_states, n_actions)), np.full(n_states, top), np.empty(n_states)
    action = np.zeros((1, n_states), np.int64)
    iterations = kernels.plan_stationary(world, memory, discount, top, threshold, q, values, spare, action)
    start = np.full(n_states, top)
    expected = naive.plan_stationary(model, memory.m, (n_states, n_actions), discount, top, threshold, start)
    assert q.tobytes() == expected[0].tobytes()
    assert values.tobytes() == expected[1].tobytes()
    assert action[0].tolist() == expected[2]
    assert iterations == expected[3]


@given(learned_models(), st.sampled_from([0.0, 0.6]), st.integers(1, 4))
@settings(max_examples=scaled(40))
def test_plan_horizon_is_its_reference(learned, discount, horizon):
    """Backward induction: with j steps left an unknown pair is worth the largest j-step return."""
    world, memory, model, (n_states, n_actions) = learned
    tops = np.cumsum(discount ** np.arange(horizon))
    q, values, spare = np.empty((n_states, n_actions)), np.empty(n_states), np.empty(n_states)
    action = np.zeros((horizon, n_states), np.int64)
    kernels.plan_horizon(world, memory, discount, tops, q, values, spare, action)
    expected = naive.plan_horizon(model, memory.m, (n_states, n_actions), discount, tops.tolist())
    assert q.tobytes() == expected[0].tobytes()
    assert values.tobytes() == expected[1].tobytes()
    assert action.tolist() == expected[2]


# Hidden learners -------------------------------------------------------------------------------------------------


@given(
    st.lists(st.sampled_from([0.0, 0.5, 1.0]), min_size=1, max_size=4),
    st.sampled_from([0.0, 0.1, 1.0]),
    st.floats(0, 1, exclude_max=True),
)
@settings(max_examples=scaled(100))
def test_draw_learner_is_its_reference(values, exploration, u):
    """Epsilon-greedy, ties at random, by the inverse distribution function."""
    drawn = kernels.draw_learner(np.array([values]), 0, len(values), exploration, u)
    assert drawn == naive.draw_learner(values, exploration, u)


@given(st.data(), st.integers(1, 6), st.floats(0, 1, exclude_max=True))
@settings(max_examples=scaled(60))
def test_draw_start_is_its_reference(data, size, u):
    """The first state whose cumulative share is above u; a state of share 0 is never drawn."""
    law = data.draw(distributions(size, exact=data.draw(st.booleans())))
    u = data.draw(st.sampled_from([u, *np.cumsum(law)[:-1].tolist()]).filter(lambda x: x < 1))
    bits = int(u * 2**53)
    state = kernels.draw_start(thresholds(law), bits)
    assert state == naive.draw_from_row(law.tolist(), bits * 2**-53)
    assert law[state] > 0


@given(window_meta_games(hidden=True, max_window=1), SEEDS, st.integers(1, 60))
@settings(max_examples=scaled(30))
def test_play_informed_is_its_reference(meta_game, seed, n_steps):
    """The informed shaper earns the same against one and two learners, with and without resets."""
    state = stream(seed)
    earned = kernels.play_informed(meta_game.world(), meta_game.learners(), state, n_steps, meta_game.n_actions)
    assert earned == naive.play_informed(meta_game, naive.generator(seed), n_steps)


@pytest.mark.parametrize("reset", [False, True])
def test_the_informed_shaper_meets_two_learners_as_its_reference(reset):
    """Best replies to the joint play of two learners, whose probabilities are multiplied."""
    learners = [QLearner(0.5, 0.3, reset=reset), QLearner(0.75, 0.6)]
    for seed in range(10):
        payoffs = np.random.default_rng(seed).integers(0, 9, (3, 3, 2, 3)) / 8
        meta_game = WindowMetaGame(NormalFormGame(payoffs), learners, window=1, discount=0.8, horizon=7)
        earned = kernels.play_informed(meta_game.world(), meta_game.learners(), stream(seed), 100, 3)
        assert earned == naive.play_informed(meta_game, naive.generator(seed), 100)


# Whole runs ------------------------------------------------------------------------------------------------------


def assert_agree(trace, expected):
    """Every array of a run, byte for byte."""
    assert trace.m == expected.m
    assert trace.plans == expected.plans
    for name in ("bin_end", "mean_reward", "known", "known_at", "visits", "branch_counts", "q", "policy"):
        value = getattr(trace, name)
        assert value.tobytes() == np.asarray(getattr(expected, name), value.dtype).tobytes(), name
    if trace.action_probabilities is None:
        assert expected.action_probabilities is None
    else:
        assert trace.action_probabilities.tobytes() == np.array(expected.action_probabilities).tobytes()


# One hidden learner with two actions has a branch of its own in the kernel.
PAPERS_SIZE = window_meta_games(hidden=True, games=normal_form_games(n_actions=(2, 2)))


@st.composite
def any_mdps(draw):
    """MDPs of every kind: some with a mask, some of which a visit reveals a row, some with a start law."""
    mdp = draw(mdps(masked=None))
    starts = draw(distributions(mdp.n_states)) if draw(st.booleans()) else None
    return TabularMDP(mdp.storage, mdp.rewards, mdp.discount, row_feedback=draw(st.booleans()), starts=starts)


@st.composite
def met_automata(draw):
    """Window meta-games in which each opponent has one to three hidden states, its play rounded or not."""
    like = draw(window_meta_games(hidden=True))
    joint, opponents = math.prod(like.game.n_actions), []
    for n_own in like.game.n_actions[1:]:
        n_states = draw(st.integers(1, 3))
        states = st.lists(st.integers(0, n_states - 1), min_size=joint, max_size=joint)
        play = np.array([draw(distributions(n_own, exact=draw(st.booleans()))) for _ in range(n_states)])
        following = np.array([draw(states) for _ in range(n_states)])
        opponents.append(Automaton(play, following, draw(st.integers(0, n_states - 1))))
    return dataclasses.replace(like, opponent=opponents)


PROCESSES = st.one_of(window_meta_games(hidden=None), PAPERS_SIZE, met_automata(), mdps(), any_mdps())


def length(process, steps):
    """A length in steps, or in episodes where there is a horizon."""
    horizon = getattr(process, "horizon", None)
    return {"steps": steps} if horizon is None else {"episodes": -(-steps // horizon)}


@given(PROCESSES, SEEDS, st.integers(1, 4), st.data())
@settings(max_examples=scaled(120))
def test_run_paper_is_its_reference(process, seed, m, data):
    """The paper's agent in hidden and exact meta-games and in MDPs of every storage."""
    steps = data.draw(st.integers(1, 150))
    arguments = length(process, steps)
    arguments["bins"] = data.draw(st.integers(1, min(4, *arguments.values())))
    trace = run(process, PaperRmax(m=m), rng=seed, **arguments)
    assert_agree(trace, naive.run_paper(process, seed=seed, m=m, **arguments))


@given(PROCESSES, SEEDS, st.integers(1, 4), st.data())
@settings(max_examples=scaled(160))
def test_run_rmax_is_its_reference(process, seed, m, data):
    """Canonical R-max: stationary or planning episodes, pooled or not, with restarts from any set of states."""
    horizon = data.draw(st.none() | st.integers(1, 5))
    starts = data.draw(st.none() | st.lists(st.integers(0, process.n_states - 1), min_size=1, max_size=3))
    in_force = horizon or getattr(process, "horizon", None)
    low, high = process.reward_range
    spread = high - low
    agent = {
        "m": m,
        "planning": data.draw(st.sampled_from(["stationary", "episode"])) if in_force else "stationary",
        "pooled": data.draw(st.booleans()) if isinstance(process, WindowMetaGame) else False,
        "epsilon": data.draw(st.sampled_from([None, 0.9 * spread])) if spread else None,
    }
    arguments = {"horizon": horizon, "starts": starts, "steps": data.draw(st.integers(1, 150))}
    trace = run(process, Rmax(**agent), rng=seed, bins=1, **arguments)
    assert_agree(trace, naive.run_rmax(process, seed=seed, **agent, **arguments))


def games_by_size():
    """Two and three players, windows 1 to 3, hidden and window opponents."""
    pennies, three, rps = matching_pennies(), three_player_matching_pennies(), rock_paper_scissors()
    table = np.full((2, 2, 2, 2), 0.5)
    for window in (1, 2, 3):
        yield f"pennies-hidden-{window}", pennies, QLearner(), window
        yield f"pennies-resetting-{window}", pennies, QLearner(reset=True), window
        yield f"pennies-window-{window}", pennies, WindowQLearner(), window
    for window in (1, 2):
        yield f"three-hidden-{window}", three, [QLearner(), QLearner(reset=True, exploration=0.3)], window
        yield f"three-window-{window}", three, [WindowBestResponse(0.2), MemoryOne(table)], window
        yield f"three-automata-{window}", three, [tsetlin(three, 1, depth=2), tsetlin(three, 2)], window
    for name, automaton in AUTOMATA.items():
        yield f"pennies-{name}", pennies, automaton(pennies), 1
    yield "rps-automaton-1", rps, tsetlin(rps, aspiration=0.0), 1
    yield "rps-hidden-1", rps, QLearner(exploration=0.2), 1
    yield "rps-window-1", rps, WindowQLearner(exploration=0.2), 1


@pytest.mark.parametrize(("game", "opponent", "window"), [pytest.param(*c[1:], id=c[0]) for c in games_by_size()])
@pytest.mark.parametrize("horizon", [None, 10])
def test_both_agents_are_their_references_in_the_named_games(game, opponent, window, horizon):
    """Two and three players, windows 1 to 3, m so small that planning happens often."""
    meta_game = WindowMetaGame(game, opponent, window=window, discount=0.8, horizon=horizon)
    arguments = {"steps": 400, "bins": 3}
    trace = run(meta_game, PaperRmax(m=3), rng=11, **arguments)
    assert_agree(trace, naive.run_paper(meta_game, seed=11, m=3, **arguments))
    assert trace.plans > 2
    trace = run(meta_game, Rmax(m=2), rng=12, **arguments)
    assert_agree(trace, naive.run_rmax(meta_game, seed=12, m=2, **arguments))
    assert trace.plans > 2


def policy_meta_games():
    """Compressed and sparse tables and none, lumped and joint, one to nine successors of a pair."""
    pennies, rps, three = (
        one_shot(g()) for g in (matching_pennies, rock_paper_scissors, three_player_matching_pennies)
    )
    line, triangle, levels = SimplexGrid(1, 2, 4), SimplexGrid(1, 3, 2), LevelGrid(5, (0.1, 0.9))
    ipd = iterated(standard_prisoners_dilemma(), 0.96)
    for rounding in ("nearest", "barycentric"):
        yield f"pennies-{rounding}", PolicyMetaGame(pennies, [NaiveLearner(0.3, "simplex")], [line] * 2, 0.9, rounding)
        yield f"rps-{rounding}", PolicyMetaGame(rps, [NaiveLearner(0.7)], [triangle] * 2, 0.8, rounding)
        yield f"three-{rounding}", PolicyMetaGame(three, [NaiveLearner(0.7)] * 2, [line] * 3, 0.8, rounding)
        yield f"ipd-{rounding}", PolicyMetaGame(ipd, [NaiveLearner()], [levels] * 2, 0.8, rounding)
        fine = PolicyMetaGame(
            pennies, [NaiveLearner(0.3, "simplex")], [SimplexGrid(1, 2, 3), SimplexGrid(1, 2, 10)], 0.9, rounding
        )
        rows = OnTheFly(fine.dynamics, rounding == "nearest")
        yield f"on-the-fly-{rounding}", TabularMDP(rows, reward_bounds(pennies), 0.9, row_feedback=True)
        two = SimplexGrid(1, 2, 2)
        joint = PolicyMetaGame(pennies, [NaiveLearner(0.3, "simplex")], [two] * 2, 0.9, rounding, joint=True)
        yield f"joint-{rounding}", joint


@pytest.mark.parametrize("meta_game", [pytest.param(g, id=name) for name, g in policy_meta_games()])
@pytest.mark.parametrize("horizon", [None, 3])
def test_both_agents_are_their_references_in_policy_meta_games(meta_game, horizon):
    """Known pairs take over the row that a visit reveals; the paper's agent counts as ever."""
    mdp = meta_game if isinstance(meta_game, TabularMDP) else meta_game.to_mdp()
    # Rewards of a joint game depend on the corner that comes up: one visit does not reveal them.
    assert mdp.row_feedback == (mdp is meta_game or not meta_game.joint or meta_game.rounding == "nearest")
    options = {"steps": 60, "bins": 3, "horizon": horizon}
    for m in (1, 2):
        trace = run(meta_game, Rmax(m=m), rng=5, **options)
        assert_agree(trace, naive.run_rmax(mdp, seed=5, m=m, **options))
        assert trace.plans > 2
    assert_agree(run(meta_game, PaperRmax(m=1), rng=5, **options), naive.run_paper(mdp, seed=5, m=1, **options))
    if horizon is not None:
        trace = run(meta_game, Rmax(m=1, planning="episode"), rng=6, **options)
        assert_agree(trace, naive.run_rmax(mdp, seed=6, m=1, planning="episode", **options))


def test_the_paper_agent_derives_the_published_m():
    """m = floor(16 ln 5 / 0.16^2) = 1005 for window 2, and the whole run agrees."""
    meta_game = WindowMetaGame(matching_pennies(), QLearner(), window=2, discount=0.8, horizon=10)
    expected = naive.run_paper(meta_game, seed=3, episodes=300, bins=5)
    assert expected.m == 1005
    assert_agree(run(meta_game, PaperRmax(), rng=3, episodes=300, bins=5), expected)


@given(normal_form_games(n_actions=(1, 1)), SEEDS)
@settings(max_examples=scaled(10))
def test_one_state_and_one_action_agree(game, seed):
    """S = A = 1: the pair is known after m steps and nothing is left to choose."""
    for opponent in (QLearner(), WindowQLearner()):
        meta_game = WindowMetaGame(game, opponent, window=2, discount=0.0)
        trace = run(meta_game, Rmax(m=3), steps=5, bins=1, rng=seed)
        assert_agree(trace, naive.run_rmax(meta_game, seed=seed, m=3, steps=5))
        assert trace.known_at.tolist() == [3]
        trace = run(meta_game, PaperRmax(m=3), steps=5, bins=1, rng=seed)
        assert_agree(trace, naive.run_paper(meta_game, seed=seed, m=3, steps=5))


def test_ties_go_to_unknown_pairs_first_then_to_the_lower_index():
    """One state, equal rewards: actions are tried in index order, each m times, then action 0 for ever."""
    mdp = TabularMDP([[0, 0, 0]], [[1.0, 1.0, 1.0]], 0.5)
    trace = run(mdp, Rmax(m=2), steps=20, bins=20, rng=0)
    assert trace.known_at.tolist() == [2, 4, 6]
    assert trace.policy.tolist() == [0]
    assert trace.q.tolist() == [[2.0, 2.0, 2.0]]


def test_discount_zero_plans_for_the_present_reward():
    """With discount 0 the values of known pairs are their rewards."""
    mdp = TabularMDP([[0, 1], [1, 0]], [[0.25, 0.5], [1.0, 0.0]], 0.0)
    trace = run(mdp, Rmax(m=1), steps=50, bins=1, rng=1)
    assert trace.q.tolist() == [[0.25, 0.5], [1.0, 0.0]]
    assert_agree(trace, naive.run_rmax(mdp, seed=1, m=1, steps=50))
