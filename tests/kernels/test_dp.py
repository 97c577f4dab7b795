"""Every Bellman backup agrees with its reference bit for bit."""

import naive
import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from rfos._kernels import dp
from rfos.testing import mdps
from rfos.windows import WindowIndex

few = settings(max_examples=40)


@st.composite
def backups(draw, storage):
    """An MDP with inexact numbers, where the order of summation shows, and a vector of values."""
    inexact = st.floats(-10, 10, allow_subnormal=False)
    mdp = draw(mdps(storage=storage, exact=False, rewards=inexact))
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
