"""Every Bellman backup agrees with its reference bit for bit."""

import math

import naive
import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from strength import scaled

from rfos._kernels import dp
from rfos.metagames.windows import WindowIndex
from rfos.planning.storages import Sweep
from rfos.testing import STORAGES, mdps, policies

few = settings(max_examples=scaled(40))


@st.composite
def backups(draw, storage):
    """An MDP with inexact numbers, where the order of summation shows, some with a mask, and a vector of values."""
    inexact = st.floats(-10, 10, allow_subnormal=False)
    mdp = draw(mdps(storage=storage, exact=False, rewards=inexact, masked=None))
    values = draw(st.lists(inexact, min_size=mdp.n_states, max_size=mdp.n_states))
    return mdp, np.array(values)


def same(q, expected):
    return q.tobytes() == np.asarray(expected, np.float64).tobytes()


@given(backups("dense"))
@few
def test_backup_dense_is_its_reference(backup):
    """Q(s,a) = R(s,a) + discount Σ_j P(j|s,a) V(j), summed in index order."""
    mdp, values = backup
    expected = naive.backup_dense(mdp.storage.transitions.tolist(), mdp.rewards, mdp.discount, values)
    assert same(mdp.backup(values), expected)


@given(backups("sparse"))
@few
def test_backup_sparse_is_its_reference(backup):
    """As dense, over the stored entries of a row in their order."""
    mdp, values = backup
    rows = {pair: [(j, p) for p, _, j in row] for pair, row in naive.mdp_rows(mdp).items()}
    assert same(mdp.backup(values), naive.backup_sparse(rows, mdp.rewards, mdp.discount, values))


@given(backups("deterministic"))
@few
def test_backup_deterministic_is_its_reference(backup):
    """Q(s,a) = R(s,a) + discount V(successor)."""
    mdp, values = backup
    expected = naive.backup_deterministic(mdp.storage.successor.tolist(), mdp.rewards, mdp.discount, values)
    assert same(mdp.backup(values), expected)


@given(st.data(), st.sampled_from([((2, 2), 2), ((1, 3), 1), ((3, 1), 2), ((2, 2, 2), 1), ((1, 1), 3), ((2, 1, 3), 1)]))
@few
def test_backup_shift_is_its_reference(data, sizes):
    """The shift register appends (a, b) to the window and drops the oldest joint action, by the documented numbers."""
    n_actions, window = sizes
    index = WindowIndex(n_actions, window)
    floats = st.floats(-3, 3, allow_subnormal=False)

    def table(*shape):
        size = int(np.prod(shape))
        return np.array(data.draw(st.lists(floats, min_size=size, max_size=size))).reshape(shape)

    values, rewards = table(index.n_states), table(n_actions[0], index.branching)
    probability = np.abs(table(index.n_states, index.branching))
    q = np.empty((index.n_states, n_actions[0]))
    dp.backup_shift(index.shifted(), index.offset(), probability, rewards, 0.7, values, q)
    expected = naive.backup_shift(n_actions, window, probability.tolist(), rewards.tolist(), 0.7, values.tolist())
    assert same(q, expected)


@pytest.mark.parametrize("storage", STORAGES)
@given(st.data())
@few
def test_improve_is_the_maximum_of_the_backup(storage, data):
    """max_a Q(s,a) and the first action that reaches it, bit for bit, whatever the ranges of states are."""
    mdp, values = data.draw(backups(storage))
    cut = data.draw(st.integers(0, mdp.n_states))
    q = mdp.backup(values)
    for table in (np.empty(q.shape, np.float32), np.empty((0, mdp.n_actions), np.float32)):
        new_values, policy = np.empty(mdp.n_states), np.empty(mdp.n_states, np.int64)
        for first, last in ((cut, mdp.n_states), (0, cut)):
            mdp.storage.improve(Sweep(mdp.rewards, mdp.discount, values, new_values, policy, table), first, last)
        expected = naive.improve(q)
        assert same(new_values, expected[0])
        assert policy.tolist() == expected[1]
        assert not len(table) or table.tobytes() == q.astype(np.float32).tobytes()


@pytest.mark.parametrize("storage", STORAGES)
@given(st.data())
@few
def test_improve_rows_is_the_maximum_over_the_actions_that_are_left(storage, data):
    """As `improve`, over some actions of each state: maxima, first actions that reach them, and each Q."""
    mdp, values = data.draw(backups(storage))
    left = data.draw(
        st.lists(st.sets(st.integers(0, mdp.n_actions - 1), min_size=1), min_size=mdp.n_states, max_size=mdp.n_states)
    )
    state = np.array([s for s, some in enumerate(left) for _ in some])
    action = np.array([a for some in left for a in sorted(some)])
    first_row = np.cumsum([0, *map(len, left)])
    chain = mdp.storage.chain(mdp.rewards, action, state)
    new_values, policy = np.empty(mdp.n_states), np.empty(mdp.n_states, np.int64)
    table = np.empty(len(state), np.float32)
    cut = data.draw(st.integers(0, mdp.n_states))
    for first, last in ((cut, mdp.n_states), (0, cut)):
        arguments = (values, new_values, policy, table, first, last)
        dp.improve_rows(first_row, action, *chain, mdp.discount, *arguments)
    rows = naive.mdp_rows(mdp)
    for s, some in enumerate(left):
        q = {}
        for a in sorted(some):
            policy_of_one = [a if x == s else 0 for x in range(mdp.n_states)]
            reward = naive.chain(mdp, policy_of_one)[1][s]
            q[a] = reward + mdp.discount * sum(p * values[j] for p, _, j in rows[s, a])
        assert new_values[s] == max(q.values())
        assert policy[s] == max(q, key=q.__getitem__)
        assert table[first_row[s] : first_row[s + 1]].tolist() == [np.float32(x) for x in q.values()]


@pytest.mark.parametrize("storage", STORAGES)
@given(st.data())
@few
def test_improve_breaks_ties_by_index(storage, data):
    """All actions are worth the same: the first is chosen."""
    mdp = data.draw(mdps(storage=storage, rewards=st.just(1.0)))
    policy = np.full(mdp.n_states, 7)
    zeros = np.zeros(mdp.n_states)
    table = np.empty((0, mdp.n_actions), np.float32)
    mdp.storage.improve(Sweep(mdp.rewards, mdp.discount, zeros, zeros.copy(), policy, table), 0, mdp.n_states)
    assert policy.tolist() == [0] * mdp.n_states


@pytest.mark.parametrize("storage", STORAGES)
@given(st.data())
@few
def test_chain_and_evaluate_are_their_references(storage, data):
    """P_pi and R_pi by rows, and R_pi + discount P_pi V, bit for bit."""
    mdp, values = data.draw(backups(storage))
    policy = data.draw(policies(mdp, stochastic=False))
    chain = mdp.storage.chain(mdp.rewards, policy)
    rows, reward = naive.chain(mdp, policy.tolist())
    for s, row in enumerate(rows):
        part = slice(chain.start[s], chain.start[s + 1])
        stored = zip(chain.successor[part].tolist(), chain.probability[part].tolist(), strict=True)
        assert [(j, p) for j, p in stored if p > 0] == [(j, p) for j, p in row if p > 0]
    assert len(chain.successor) == len(chain.probability) == chain.start[-1]
    assert same(chain.reward, reward)
    new_values, result = np.empty(mdp.n_states), np.empty(3)
    for first in range(mdp.n_states):
        dp.evaluate(*chain, mdp.discount, values, new_values, first, first + 1, result)
        expected = naive.evaluate(rows, reward, mdp.discount, values.tolist())[first]
        assert tuple(result) == naive.change([values[first]], [expected])
    assert same(new_values, naive.evaluate(rows, reward, mdp.discount, values.tolist()))


@pytest.mark.parametrize("storage", STORAGES)
@given(st.data())
@few
def test_correct_is_its_reference(storage, data):
    """r + discount P_pi e in float32, bit for bit, whether rows are of one length or not, and how far e moves."""
    mdp, values = data.draw(backups(storage))
    policy = data.draw(policies(mdp, stochastic=False))
    chain = mdp.storage.chain(mdp.rewards, policy)
    rows, reward = naive.chain(mdp, policy.tolist())
    residual, old = np.array(reward, np.float32), values.astype(np.float32)
    new, result = np.empty_like(old), np.empty(3)
    expected = np.array(naive.correct(rows, residual, mdp.discount, old), np.float32)
    even = mdp.branching if len(chain.successor) == mdp.n_states * mdp.branching else 0
    for branching in {0, even}:
        parts = (chain.start, chain.successor, chain.probability.astype(np.float32), residual)
        dp.correct(branching, *parts, mdp.discount, old, new, 0, mdp.n_states, result)
        assert new.tobytes() == expected.tobytes()
        least, most, _ = naive.change(old.astype(float).tolist(), expected.astype(float).tolist())
        assert result.tolist() == [least, most, 0.0]


@given(st.lists(st.tuples(*[st.floats(-10, 10, allow_subnormal=False)] * 3), min_size=1, max_size=6))
@few
def test_rate_is_its_reference(triples):
    """Ratio of successive changes by least squares, bit for bit."""
    older, old, new = np.array(triples).T
    expected = naive.rate(older.tolist(), old.tolist(), new.tolist())
    assert dp.rate(older, old, new) == expected


def test_rate_of_a_geometric_sequence_is_its_factor():
    """Changes of 1, 1/2 and a mean that is left out: the factor is 1/2, and the limit is one formula away."""
    mode = np.array([1.0, -1.0, 0.0])
    values = [3.0 * k - 2 * mode * 0.5**k for k in range(3)]
    assert dp.rate(*values) == 0.5
    assert dp.rate(values[0], values[0], values[1]) == 0.0


numbers32 = st.floats(-4, 4, width=32) | st.just(math.nan)


@given(st.data(), st.lists(st.integers(0, 4), min_size=1, max_size=5), st.booleans())
@few
def test_pairs_that_are_enough_are_those_of_the_reference(data, sizes, all_there):
    """Ties count, NaN does not; with a list of actions and with all of them."""
    sizes = [sizes[0]] * len(sizes) if all_there else sizes
    table = np.array(data.draw(st.lists(numbers32, min_size=sum(sizes), max_size=sum(sizes))), np.float32)
    enough = np.array([data.draw(numbers32 | st.sampled_from([0.0, *table])) for _ in sizes], np.float32)
    begin = np.concatenate([[0], np.cumsum(sizes)])
    chosen = [list(range(n)) if all_there else sorted(data.draw(st.permutations(range(9)))[:n]) for n in sizes]
    actions = np.array([a for row in chosen if not all_there for a in row], np.int64)
    rows = [list(zip(chosen[s], table[begin[s] : begin[s + 1]], strict=True)) for s in range(len(sizes))]
    expected = naive.enough(rows, enough)
    counts = np.full(len(sizes), -1)
    for s in range(len(sizes)):
        dp.enough_counts(table, begin, enough, s, s + 1, counts)
    assert counts.tolist() == [sum(t == s for t, _ in expected) for s in range(len(sizes))]
    first_row = np.concatenate([[0], np.cumsum(counts)])
    state, action = np.full(len(expected), -1), np.full(len(expected), -1)
    for s in reversed(range(len(sizes))):
        dp.enough_pairs(table, begin, actions, enough, first_row, state, action, s, s + 1)
    assert list(zip(state.tolist(), action.tolist(), strict=True)) == expected


@given(st.lists(st.tuples(st.floats(), st.floats()), min_size=1, max_size=5))
@example([(5.0, math.nan)])
@few
def test_change_is_its_reference(pairs):
    """Smallest and largest new - old and largest |old|; NaN anywhere makes the last infinite."""
    values, new_values = np.array(pairs).T
    result = np.empty(3)
    dp.change(values, new_values, 0, len(pairs), result)
    with np.errstate(all="ignore"):
        expected = naive.change(values.tolist(), new_values.tolist())
    assert tuple(result.tolist()) == expected
    for old, new in pairs:
        assert dp.seen(old, new, -1.0, 1.0, 2.0) == naive.seen(old, new, -1.0, 1.0, 2.0)


@given(st.integers(1, 9), st.floats(0, 1), st.integers(0, 2**32 - 1))
@few
def test_fill_in_is_its_reference(size, density, seed):
    """Entries of L below the diagonal by eliminating on the graph itself, and where counting stops."""
    upper = np.triu(np.random.default_rng(seed).random((size, size)) < density, 1)
    row = np.concatenate([np.flatnonzero(upper[:, k]) for k in range(size)]).astype(np.int32)
    start = np.concatenate([[0], np.cumsum(upper.sum(axis=0))]).astype(np.int32)
    expected = naive.fill_in((upper | upper.T).tolist())
    count = np.full(size, -1)
    total = dp.fill_in(start, row, size * size, np.empty(size, np.int64), np.empty(size, np.int64), count)
    assert (total, count.tolist()) == (sum(expected), expected)
    if total:
        assert 0 < dp.fill_in(start, row, 0, np.empty(size, np.int64), np.empty(size, np.int64), count) <= total
