"""The kernels that evaluate what is played agree with their references bit for bit."""

import math

import naive
import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from strength import scaled

from rfos._kernels import ledger as kernels
from rfos.testing import mdps, policies

CUTS = st.sampled_from([-8.0, -1.0, 0.3, 2.0, 9.0])


def test_every_kernel_has_a_reference():
    """By its name."""
    own = [name for name, value in vars(kernels).items() if getattr(value, "__module__", None) == kernels.__name__]
    assert own == ["know", "settle_value", "settle_exploring", "enter", "staged_return"]
    assert all(hasattr(naive, name) for name in own)


def branches(mdp):
    """Rows of an MDP for the kernels, and the same for the references."""
    successor, probability, reward = mdp.storage.branches(mdp.rewards)
    successor, probability = successor.astype(np.int64), np.array(probability)
    rows = [list(zip(s, p, strict=True)) for s, p in zip(successor.tolist(), probability.tolist(), strict=True)]
    return successor, probability, (probability * reward).sum(axis=1), rows


@given(mdps(exact=False), st.sampled_from([1e-6, 0.1, 3.0]), st.integers(1, 60), st.data())
@settings(max_examples=scaled(100))
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
@settings(max_examples=scaled(100))
def test_settle_exploring_is_its_reference(mdp, width, limit, data):
    """Sweeps in place, known and unknown pairs mixed."""
    successor, probability, _, rows = branches(mdp)
    pairs = mdp.n_states * mdp.n_actions
    stop = np.array(data.draw(st.lists(st.sampled_from([0.0, 1.0]), min_size=pairs, max_size=pairs)))
    played = np.arange(mdp.n_states) * mdp.n_actions + data.draw(policies(mdp, stochastic=False))
    alive = np.where(stop[:, None] > 0, 0.0, probability)
    exploring, change = np.ones(mdp.n_states), np.empty(2)
    some = kernels.settle_exploring(successor, alive, stop, played, mdp.discount, width, limit, exploring, change)
    assert some == stop[played].any()
    if not some:
        assert exploring.tolist() == [1.0] * mdp.n_states
        return
    rows = [[] if stop[r] else row for r, row in enumerate(rows)]
    expected = naive.settle_exploring(rows, stop, played, mdp.discount, width, limit, [1.0] * mdp.n_states)
    assert exploring.tolist() == [float(x) for x in expected[0]]
    assert change.tolist() == [float(x) for x in expected[1:]]


@given(st.lists(st.tuples(st.booleans(), st.sampled_from([0.0, 1.0])), min_size=1, max_size=6))
def test_know_is_its_reference(pairs):
    """Only pairs that were unknown and no longer are change."""
    unknown, stop = np.array([u for u, _ in pairs]), np.array([end for _, end in pairs])
    probability, alive = np.arange(2.0 * len(pairs)).reshape(-1, 2), np.full((len(pairs), 2), -1.0)
    expected = naive.know(unknown.tolist(), probability.tolist(), alive.tolist(), stop.tolist())
    kernels.know(unknown, probability, alive, stop)
    assert (alive.tolist(), stop.tolist()) == expected


@given(
    st.lists(st.tuples(*[CUTS | st.just(math.nan) | st.just(math.inf)] * 3, st.floats(0, 1)), min_size=1, max_size=5),
    st.tuples(CUTS, CUTS) | st.just((math.nan, math.nan)),
    st.sampled_from([-math.inf, -0.3, 0.0, 0.3]),
    st.integers(1, 3),
)
def test_enter_is_its_reference(states, ends, shift, n_actions):
    """Each side of the gap and neither, also beyond the range of floats; rewards are left alone."""
    value, below, enough, exploring = np.array(states).T
    table = np.full((len(states) * n_actions, 5), 7.0)
    kernels.enter(value, below, enough, *ends, 64.0, exploring, shift, table)
    columns = (value.tolist(), below.tolist(), enough.tolist())
    expected = naive.enter(*columns, *ends, 64.0, exploring.tolist(), shift, n_actions)
    assert table.tolist() == [[*pair, 7.0, 7.0, 7.0] for pair in expected]


@given(mdps(exact=False), st.integers(1, 6), st.data())
@settings(max_examples=scaled(60))
def test_staged_return_is_its_reference(mdp, horizon, data):
    """Backwards over the steps of an episode."""
    successor, probability, reward, rows = branches(mdp)
    action = np.array([data.draw(policies(mdp, stochastic=False)) for _ in range(horizon)])
    values, spare = np.empty(mdp.n_states), np.empty(mdp.n_states)
    kernels.staged_return(successor, probability, reward, action, mdp.discount, values, spare)
    expected = naive.staged_return(rows, reward, mdp.n_actions, action.tolist(), mdp.discount)
    assert values.tolist() == [float(x) for x in expected]
