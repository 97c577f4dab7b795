"""The kernels that evaluate what is played agree with their references bit for bit."""

import naive
import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from rfos._kernels import ledger as kernels
from rfos.testing import mdps, policies

CUTS = st.sampled_from([-8.0, -1.0, 0.3, 2.0, 9.0])


def test_every_kernel_has_a_reference():
    """By its name."""
    own = [name for name, value in vars(kernels).items() if getattr(value, "__module__", None) == kernels.__name__]
    assert own == ["settle_value", "settle_exploring", "staged_return"]
    assert all(hasattr(naive, name) for name in own)


def branches(mdp):
    """Rows of an MDP for the kernels, and the same for the references."""
    successor, probability, reward = mdp.storage.branches(mdp.rewards)
    successor, probability = successor.astype(np.int64), np.array(probability)
    rows = [list(zip(s, p, strict=True)) for s, p in zip(successor.tolist(), probability.tolist(), strict=True)]
    return successor, probability, (probability * reward).sum(axis=1), rows


@given(mdps(exact=False), st.sampled_from([1e-6, 0.1, 3.0]), st.integers(1, 60), st.data())
@settings(max_examples=100)
def test_settle_value_is_its_reference(mdp, width, limit, data):
    """Values, place and changes, whichever of the three ends it."""
    successor, probability, reward, rows = branches(mdp)
    play = data.draw(policies(mdp, stochastic=False))
    played = np.arange(mdp.n_states) * mdp.n_actions + play
    start = np.array(data.draw(st.lists(CUTS, min_size=mdp.n_states, max_size=mdp.n_states)))
    below = np.array(data.draw(st.lists(CUTS, min_size=mdp.n_states, max_size=mdp.n_states)))
    enough = below + data.draw(st.sampled_from([0.0, 1e-9, 1.0]))
    values, change = np.array([start, start]), np.empty(3)
    end = (width, limit, values, change)
    place = kernels.settle_value(successor, probability, reward, played, mdp.discount, below, enough, *end)
    expected = naive.settle_value(rows, reward, played, mdp.discount, below, enough, width, limit, start.tolist())
    assert values[place].tolist() == [float(x) for x in expected[0]]
    assert change.tolist() == [float(x) for x in expected[1:]]


@given(mdps(exact=False), st.sampled_from([1e-6, 0.1]), st.integers(1, 60), st.data())
@settings(max_examples=100)
def test_settle_exploring_is_its_reference(mdp, width, limit, data):
    """Sweeps in place, known and unknown pairs mixed."""
    successor, probability, _, rows = branches(mdp)
    pairs = mdp.n_states * mdp.n_actions
    stop = np.array(data.draw(st.lists(st.sampled_from([0.0, 1.0]), min_size=pairs, max_size=pairs)))
    played = np.arange(mdp.n_states) * mdp.n_actions + data.draw(policies(mdp, stochastic=False))
    alive = np.where(stop[:, None] > 0, 0.0, probability)
    exploring, change = np.ones(mdp.n_states), np.empty(2)
    kernels.settle_exploring(successor, alive, stop, played, mdp.discount, width, limit, exploring, change)
    rows = [[] if stop[r] else row for r, row in enumerate(rows)]
    expected = naive.settle_exploring(rows, stop, played, mdp.discount, width, limit, [1.0] * mdp.n_states)
    assert exploring.tolist() == [float(x) for x in expected[0]]
    assert change.tolist() == [float(x) for x in expected[1:]]


@given(mdps(exact=False), st.integers(1, 6), st.data())
@settings(max_examples=60)
def test_staged_return_is_its_reference(mdp, horizon, data):
    """Backwards over the steps of an episode."""
    successor, probability, reward, rows = branches(mdp)
    action = np.array([data.draw(policies(mdp, stochastic=False)) for _ in range(horizon)])
    values, spare = np.empty(mdp.n_states), np.empty(mdp.n_states)
    kernels.staged_return(successor, probability, reward, action, mdp.discount, values, spare)
    expected = naive.staged_return(rows, reward, mdp.n_actions, action.tolist(), mdp.discount)
    assert values.tolist() == [float(x) for x in expected]
