"""TabularMDP: validation messages, round trips between storages, read-only results."""

import dataclasses
import time

import naive
import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import given
from hypothesis import strategies as st
from tabular import dense_of

import rfos
from rfos.planning.mdp import TabularMDP
from rfos.planning.storages import Chain, Deterministic, ShiftRegister, thresholds
from rfos.testing import STORAGES, distributions, mdps

HALVES = np.full((2, 1, 2), 0.5)
REWARDS = [[0.0], [1.0]]


@given(mdps(), st.data())
def test_all_storages_back_up_alike(mdp, data):
    """Dense, sparse and the storage drawn give the same Q up to the order of summation."""
    values = np.array(data.draw(st.lists(st.integers(-8, 8), min_size=mdp.n_states, max_size=mdp.n_states))) / 4
    transitions, rewards = dense_of(mdp)
    matrix = sp.csr_array(transitions.reshape(-1, mdp.n_states))
    expected = mdp.backup(values)
    for P in (transitions, matrix, sp.coo_array(matrix)):
        other = TabularMDP(P, rewards, mdp.discount)
        assert (other.n_states, other.n_actions) == (mdp.n_states, mdp.n_actions)
        assert other.backup(values) == pytest.approx(expected, abs=1e-14)


@given(mdps())
def test_branches_are_the_rows_padded_with_probability_zero(mdp):
    """What simulation sees is what planning sees."""
    successor, probability, reward = mdp.storage.branches(mdp.rewards)
    for (s, a), row in naive.mdp_rows(mdp).items():
        pair = s * mdp.n_actions + a
        for b, (p, r, j) in enumerate(row):
            assert (probability[pair, b], reward[pair, b], successor[pair, b]) == (p, r, j)
        assert not probability[pair, len(row) :].any()
    assert successor.shape == (mdp.n_states * mdp.n_actions, mdp.branching)


@given(mdps())
def test_a_small_mdp_prints_its_tables(mdp):
    """Notebooks and counterexamples show what it is."""

    class Printer:
        def text(self, text):
            self.printed = text

    printer = Printer()
    mdp._repr_pretty_(printer, False)
    assert printer.printed.startswith(f"TabularMDP({type(mdp.storage).__name__}(")
    assert "discount" in printer.printed


@given(mdps(max_states=6))
def test_sizes_and_ranges_are_read_off_the_rows(mdp):
    """B is the largest number of stored successors; memory is that of the arrays."""
    rows = naive.mdp_rows(mdp)
    assert mdp.branching == max(map(len, rows.values()))
    assert mdp.reward_range == (mdp.rewards.min(), mdp.rewards.max())
    assert mdp.nbytes >= mdp.rewards.nbytes
    assert mdp.row_defect < 1e-15


@pytest.mark.parametrize(
    ("P", "R", "discount", "message"),
    [
        (
            [[[0.5, 0.5]], [[0.7, 0.4]]],
            REWARDS,
            0.5,
            r"probabilities of state 1, action 0 sum to 1\.1.*: divide the row by its sum",
        ),
        (
            [[[1.5, -0.5]], [[0.5, 0.5]]],
            REWARDS,
            0.5,
            r"action 0 is -0\.5: .* in \[0, 1\], give ones of at least 0 that",
        ),
        ([[[1.5, 0.5]], [[0.5, 0.5]]], REWARDS, 0.5, r"probability of state 0, action 0 is 1\.5: .* lie in \[0, 1\]"),
        (HALVES, np.zeros((2, 1, 2)), 0.5, r"R has shape \(2, 1, 2\), expected \(2, 1\): .* \(P \* R\)\.sum\(axis=2\)"),
        (HALVES, np.zeros((2, 2)), 0.5, r"R has shape \(2, 2\), expected \(2, 1\): give one expected reward for each"),
        ([[[0.5, 0.5]], [[np.nan, 1]]], REWARDS, 0.5, "probability of state 1, action 0 is nan"),
        ([[[0.5, 0.5]], [[np.inf, 1]]], REWARDS, 0.5, "probability of state 1, action 0 is inf"),
        (sp.csr_array([[0.5, 0.5], [0.2, 0.2]]), REWARDS, 0.5, "of state 1, action 0 sum to 0.4"),
        (sp.csr_array([[0.5, 0.5], [0.0, 0.0]]), REWARDS, 0.5, "of state 1, action 0 sum to 0.0"),
        (sp.csr_array([[0.5, 0.5], [-1.0, 2.0]]), REWARDS, 0.5, "probability of state 1, action 0 is -1.0"),
        (sp.csr_array(np.ones((3, 2)) / 2), REWARDS, 0.5, r"sparse P has shape \(S\*A, S\), not \(3, 2\)"),
        ([[0], [2]], REWARDS, 0.5, "successor of state 1, action 0 is 2: states are 0 to 1"),
        ([[0], [-1]], REWARDS, 0.5, "successor of state 1, action 0 is -1: states are 0 to 1"),
        (HALVES, [[0.0, 1.0]], 0.5, r"R has shape \(1, 2\), expected \(2, 1\)"),
        (HALVES, [0.0, 1.0], 0.5, r"R has shape \(2,\), expected \(2, 1\)"),
        (HALVES, [[0.0], [np.inf]], 0.5, r"reward at \(1, 0\) is inf: rewards must be finite"),
        (HALVES, [[np.nan], [0.0]], 0.5, r"reward at \(0, 0\) is nan"),
        (HALVES, REWARDS, 1.0, r"discount is 1.0: give a number in \[0, 1\)"),
        (HALVES, REWARDS, -0.5, "discount is -0.5"),
        (HALVES, REWARDS, float("nan"), "discount is nan"),
        (np.full((2, 1, 3), 1 / 3), REWARDS, 0.5, r"P is float64 of shape \(2, 1, 3\): give floats \(S, A, S\)"),
        (np.zeros((0, 1, 0)), np.zeros((0, 1)), 0.5, r"shape \(0, 1, 0\)"),
        ([[0.5], [0.5]], REWARDS, 0.5, r"P is float64 of shape \(2, 1\)"),
        ([["a"]], REWARDS, 0.5, "P is <U1"),
    ],
)
def test_bad_mdps_are_refused_with_the_row_the_value_and_the_mend(P, R, discount, message):
    """Each message names what is wrong and where."""
    with pytest.raises(ValueError, match=message):
        TabularMDP(P, R, discount)


@pytest.mark.parametrize(
    ("shifted", "offset", "probability", "message"),
    [
        ([0, 0], [[0, 2]], np.full((2, 2), 0.5), "branch 1 of state 0, action 0 leads to 2: states are 0 to 1"),
        ([0, 0], [[0, 1]], np.full((2, 3), 0.5), r"probability has shape \(2, 3\), expected \(2, 2\)"),
        ([0, 0], [[0, 1]], [[0.5, 0.5], [0.5, 0.6]], r"of state 1, action 0 sum to 1\.1"),
    ],
)
def test_bad_shift_registers_are_refused(shifted, offset, probability, message):
    """Successors outside, shapes, rows."""
    with pytest.raises(ValueError, match=message):
        TabularMDP(ShiftRegister(shifted, offset, probability), [[0.0, 1.0]], 0.5)


def test_refusal_of_a_large_mdp_takes_less_than_50_ms():
    """A bad row among 10^5 pairs."""
    successor = np.zeros((50_000, 2), np.int64)
    successor[40_000, 1] = 50_000
    rewards = np.zeros((50_000, 2))
    began = time.process_time()
    with pytest.raises(ValueError, match="successor of state 40000, action 1 is 50000"):
        TabularMDP(successor, rewards, 0.5)
    assert time.process_time() - began < 0.05


@pytest.mark.parametrize("storage", STORAGES)
@given(st.data())
def test_an_mdp_is_frozen_and_read_only(storage, data):
    """Neither its fields nor its arrays can be changed."""
    mdp = data.draw(mdps(storage=storage))
    with pytest.raises(dataclasses.FrozenInstanceError):
        mdp.discount = 0.1
    arrays = [value for value in vars(mdp.storage).values() if isinstance(value, np.ndarray)]
    for array in [*arrays, mdp.rewards]:
        assert not array.flags.writeable


def test_what_was_handed_in_can_be_changed_without_changing_the_mdp():
    """Tables are copied, those of a ready-made storage too."""
    transitions, rewards = HALVES.copy(), np.array(REWARDS)
    successor = np.array([[0], [1]])
    probability = np.full((2, 2), 0.5)
    register = ShiftRegister(np.zeros(2, np.int32), np.array([[0, 1]], np.int32), probability)
    made = [
        TabularMDP(transitions, rewards, 0.5),
        TabularMDP(successor, rewards, 0.5),
        TabularMDP(Deterministic(successor), rewards, 0.5),
        TabularMDP(register, [[0.0, 1.0]], 0.5),
    ]
    before = [mdp.backup(np.array([1.0, 2.0])) for mdp in made]
    transitions[:], rewards[:], successor[:], probability[:] = 7, 7, 0, 7
    for mdp, q in zip(made, before, strict=True):
        assert (mdp.backup(np.array([1.0, 2.0])) == q).all()


def test_duplicate_sparse_entries_are_summed():
    """Two entries for one successor are one branch."""
    matrix = sp.csr_array(([0.25, 0.25, 0.5, 1.0], [1, 1, 0, 0], [0, 3, 4]), shape=(2, 2))
    mdp = TabularMDP(matrix, REWARDS, 0.5)
    assert mdp.branching == 2
    assert mdp.storage.data.tolist() == [0.5, 0.5, 1.0]


@given(distributions(3, exact=False), st.integers(1, 2), st.sampled_from([1.0, 1 - 9e-10, 1 + 9e-10]))
def test_no_draw_can_take_a_branch_of_probability_zero(row, padding, scale):
    """Thresholds reach exactly 2^53, above every draw, at the last possible branch, even where the row sums to less."""
    padded = np.array([*(row * scale), *[0.0] * padding])
    limits = thresholds(padded)
    assert (limits[2:] == 2**53).all()
    assert (np.diff(limits) >= 0).all()


def stored_four_ways():
    """One MDP of windows as a shift register, sparse, dense; and a table of successors."""
    process = rfos.WindowMetaGame(rfos.named_game("chicken"), rfos.WindowQLearner(), window=2, discount=0.5).to_mdp()
    dense = process.dense()
    _, probability, reward = process.storage.branches(process.rewards)
    rewards = (probability * reward).sum(axis=1).reshape(process.n_states, process.n_actions)
    sparse = sp.csr_array(dense.reshape(-1, process.n_states))
    return {
        "shift register": process,
        "dense": TabularMDP(dense, rewards, 0.5),
        "sparse": TabularMDP(sparse, rewards, 0.5),
        "successors": TabularMDP([[0, 1], [1, 0]], [[0.0, 0.0], [1.0, 0.0]], 0.5),
    }


@pytest.mark.parametrize("name", ["shift register", "dense", "sparse", "successors"])
def test_rows_dense_and_step_are_the_law_of_the_next_state(name):
    """Rows sum to 1 and are those of the branches; frequencies of steps lie within 6 sigma of them."""
    mdp = stored_four_ways()[name]
    successor, probability, _ = mdp.storage.branches(mdp.finite_rewards)
    table = mdp.dense()
    rng = np.random.default_rng(1)
    for s in range(mdp.n_states):
        for a in range(mdp.n_actions):
            expected = np.zeros(mdp.n_states)
            np.add.at(expected, successor[s * mdp.n_actions + a], probability[s * mdp.n_actions + a])
            assert mdp.row(s, a).tolist() == table[s, a].tolist() == expected.tolist()
    s, a = mdp.n_states - 1, 1
    drawn = [mdp.step(s, a, rng) for _ in range(4000)]
    counts = np.bincount([following for _, following in drawn], minlength=mdp.n_states) / 4000
    assert np.abs(counts - table[s, a]).max() < 6 * 0.5 / np.sqrt(4000)
    expected = (mdp.storage.branches(mdp.finite_rewards)[2] * probability)[s * mdp.n_actions + a].sum()
    assert abs(np.mean([reward for reward, _ in drawn]) - expected) < 6 * 7 / np.sqrt(4000)


class Lopsided:
    """A storage of a user: three states on a ring, one step onward with 3/4, else back to 0; two actions alike."""

    n_states, n_actions, branching, nbytes = 3, 2, 2, 0

    def check(self):
        return 0.0

    def reward_shape(self):
        return (3, 2)

    def chain(self, rewards, policy, states=None):
        here = np.arange(3) if states is None else states
        successor = np.stack([(here + 1) % 3, 0 * here], axis=1).ravel()
        start = 2 * np.arange(len(here) + 1)
        return Chain(start, successor, np.tile([0.75, 0.25], len(here)), rewards[here, policy])

    def branches(self, rewards):
        raise NotImplementedError

    improve = backup = branches


def test_rows_of_a_users_storage_are_those_of_its_chain():
    """Two branches into one state are summed; a step draws each, and only what is allowed."""
    mdp = TabularMDP(Lopsided(), [[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]], 0.5)
    assert mdp.row(0, 1).tolist() == [0.25, 0.75, 0.0]
    assert mdp.row(2, 0).tolist() == [1.0, 0.0, 0.0]
    assert mdp.dense()[:, 0].tolist() == mdp.dense()[:, 1].tolist() == [[0.25, 0.75, 0], [0.25, 0, 0.75], [1, 0, 0]]
    rng = np.random.default_rng(3)
    drawn = [mdp.step(1, 1, rng) for _ in range(400)]
    assert set(drawn) == {(4.0, 2), (4.0, 0)}
    assert abs(sum(following == 2 for _, following in drawn) / 400 - 0.75) < 6 * 0.5 / 20


def test_a_policy_meta_game_gives_its_rows_and_steps_too():
    """A compressed table: the law of the rows is that of its branches, and steps follow it."""
    game = rfos.one_shot(rfos.named_game("matching-pennies"))
    grids = [rfos.SimplexGrid(1, 2, 3)] * 2
    mdp = rfos.PolicyMetaGame(game, [rfos.NaiveLearner(0.3, "simplex")], grids, 0.9).to_mdp()
    successor, probability, reward = mdp.storage.branches(mdp.rewards)
    rng = np.random.default_rng(1)
    for s in range(mdp.n_states):
        for a in range(mdp.n_actions):
            pair, row = s * mdp.n_actions + a, np.zeros(mdp.n_states)
            np.add.at(row, successor[pair], probability[pair])
            assert mdp.row(s, a).tolist() == mdp.dense()[s, a].tolist() == row.tolist()
            earned, following = mdp.step(s, a, rng)
            assert earned == pytest.approx(reward[pair, 0])
            assert row[following] > 0


class Last(np.random.Generator):
    """Draws the largest float below 1."""

    def random(self):
        return 1 - 2.0**-53


def test_a_step_never_takes_a_branch_of_probability_zero():
    """A row that sums to a trifle less than 1, and the largest draw there is."""
    row = [0.5, 0.5 - 9e-10, 0.0]
    register = ShiftRegister(np.zeros(3, int), [[0, 1, 2]], [row] * 3)
    for mdp in (TabularMDP(register, [[1.0, 2.0, 3.0]], 0.5), TabularMDP([[row]] * 3, [[1.0]] * 3, 0.5)):
        assert mdp.step(0, 0, Last(np.random.PCG64(1)))[1] == 1


def test_rows_that_are_not_there_are_refused(monkeypatch):
    """Out of range, not allowed, or too large a table: one sentence."""
    mdp = TabularMDP([[0, 1], [1, 0]], [[0.0, 0.0], [1.0, 0.0]], 0.5, allowed=[[True, True], [True, False]])
    with pytest.raises(ValueError, match="state is 2: give a whole number from 0 to 1"):
        mdp.row(2, 0)
    with pytest.raises(ValueError, match="action is -1: give a whole number from 0 to 1"):
        mdp.step(0, -1, np.random.default_rng(1))
    with pytest.raises(ValueError, match=r"action 1 is not allowed in state 1: choose one of \[0\]"):
        mdp.step(1, 1, np.random.default_rng(1))
    with pytest.raises(TypeError, match=r"rng is 7, not a Generator: np.random.default_rng\(1\) makes one"):
        mdp.step(1, 0, 7)
    assert mdp.dense()[1, 1].tolist() == [0.0, 0.0]
    monkeypatch.setattr("rfos._system.memory.available_bytes", lambda: 100)
    with pytest.raises(MemoryError, match=r"a dense table needs .* use row\(state, action\)"):
        mdp.dense()


def test_an_mdp_shows_its_sizes_on_one_line():
    """States, actions, successors, discount, and what is special."""
    plain = TabularMDP(HALVES, REWARDS, 0.5)
    assert repr(plain) == "<TabularMDP: 2 states, 1 action, 2 successors of a pair at most, discount 0.5>"
    masked = TabularMDP([[0, 1], [1, 0]], [[0.0, 0.0], [1.0, -np.inf]], 0.5, row_feedback=True)
    assert repr(masked).endswith("discount 0.5, 1 pairs not allowed, a visit reveals the row>")
