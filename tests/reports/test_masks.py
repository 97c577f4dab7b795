"""A mask of allowed actions: what is not allowed counts nowhere, and what is stored there does not matter."""

from fractions import Fraction

import numpy as np
import pytest
import scipy.sparse as sp
from domains import encloses
from exact import ExactMDP
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from strength import scaled

from rfos.learning.agents import PaperRmax, Rmax
from rfos.learning.coverage import coverage
from rfos.learning.least_m import least_sufficient_m
from rfos.learning.ledger import ledger
from rfos.learning.run import run
from rfos.planning.evaluate import evaluate_policy
from rfos.planning.interop import to_quantecon
from rfos.planning.mdp import TabularMDP
from rfos.planning.solve import METHODS, solve
from rfos.planning.storages import Dense, Deterministic, ShiftRegister, Sparse
from rfos.testing import mdps, policies

NAN = float("nan")
MASK = np.array([[True, False, True], [False, True, False], [True, True, True]])
"""Of three states the first lacks the middle action, the second has that alone."""


def rows_with(garbage):
    """Rows (S*A, S): from s with certainty to the next state, by action 2 also back; closed rows hold `garbage`."""
    rows = np.zeros((9, 3))
    for s in range(3):
        for a in range(3):
            rows[3 * s + a, (s + 1) % 3] += 0.5
            rows[3 * s + a, (s + 2) % 3 if a == 2 else (s + 1) % 3] += 0.5
    rows[~MASK.ravel()] = garbage
    return rows


def rewards_with(garbage):
    """Rewards (S, A): the index of the pair; closed pairs hold `garbage`."""
    return np.where(MASK, np.arange(9.0).reshape(3, 3), garbage)


def made(garbage, reward):
    """The MDP in both storages with rows, from a mask or, where the reward is -inf, from that alone."""
    mask = None if reward == -np.inf else MASK
    rows = rows_with(garbage)
    yield TabularMDP(rows.reshape(3, 3, 3), rewards_with(reward), 0.8, allowed=mask)
    yield TabularMDP(sp.csr_array(rows), rewards_with(reward), 0.8, allowed=mask)


def reference(mdp, values):
    """max over allowed actions of R + discount P V, from the given tables."""
    q = rewards_with(0.0) + mdp.discount * rows_with(0.0).reshape(3, 3, 3) @ values
    return np.array([max(q[s, a] for a in range(3) if MASK[s, a]) for s in range(3)])


@pytest.mark.parametrize("garbage", [0.0, 1.0, NAN, -7.0, np.inf])
@pytest.mark.parametrize("reward", [0.0, 1e9, NAN, np.inf, -np.inf])
def test_what_is_stored_at_a_closed_pair_does_not_matter(garbage, reward):
    """Empty rows, NaN, sums other than 1, rewards beyond all others: the same arrays and the same values.

    V = max over allowed actions of R + .8 P V, iterated 400 times (.8^400 < 1e-38) over the tables as they are given.
    """
    values = np.zeros(3)
    clean = next(made(0.0, 0.0))
    for _ in range(400):
        values = reference(clean, values)
    for mdp in made(garbage, reward):
        assert mdp.allowed.tolist() == MASK.tolist()
        assert mdp.reward_range == (0.0, 8.0)
        assert mdp.branching == 2 if isinstance(mdp.storage, Sparse) else 3
        for method in METHODS:
            found = solve(mdp, method, tol=1e-10)
            assert found.value == pytest.approx(values, abs=1e-9)
            assert MASK[np.arange(3), found.policy].all()
            assert (found.lower <= found.value).all()
            assert (found.value <= found.upper).all()
        assert np.isneginf(mdp.backup(values)).tolist() == (~MASK).tolist()


def test_a_successor_of_a_closed_pair_may_be_anything():
    """Also none of the states; the table that was given stays as it is."""
    table = np.array([[0, 7], [-3, 1]])
    mdp = TabularMDP(table, [[1.0, 0.0], [0.0, 2.0]], 0.5, allowed=[[True, False], [False, True]])
    assert solve(mdp, "exact").exact == (Fraction(2), Fraction(4))
    assert table.tolist() == [[0, 7], [-3, 1]]
    assert isinstance(mdp.storage, Deterministic)


def test_a_mask_is_an_own_array():
    """What is done to the given one afterwards changes nothing; a mask that allows all is none."""
    mask = np.array([[True, False]])
    mdp = TabularMDP([[0, 0]], [[1.0, 5.0]], 0.5, allowed=mask)
    mask[0] = True
    assert solve(mdp).value == pytest.approx([2.0])
    with pytest.raises(ValueError, match="read-only"):
        mdp.allowed[0, 1] = True
    with pytest.raises(ValueError, match="read-only"):
        mdp.rewards[0, 1] = 5.0
    assert TabularMDP([[0, 0]], [[1.0, 5.0]], 0.5, allowed=[[True, True]]).allowed is None


SHIFT = ShiftRegister(np.zeros(1, np.int32), np.zeros((1, 1), np.int32), np.ones((1, 1)))


@pytest.mark.parametrize(
    ("arguments", "options", "message"),
    [
        (([[0, 0]], [[-np.inf, -np.inf]]), {}, "state 0 has no allowed action: allow at least one in every state"),
        (([[0], [1]], [[0.0], [0.0]]), {"allowed": [[True], [False]]}, "state 1 has no allowed action"),
        (([[0, 0]], [[0.0, 0.0]]), {"allowed": [True, False]}, r"allowed has shape \(2,\), expected \(1, 2\)"),
        (([[0, 0]], [[0.0, 0.0]]), {"allowed": [[2, 0]]}, "allowed holds int64 values: give true and false"),
        (([[0, 0]], [[NAN, 0.0]]), {"allowed": [[True, False]]}, r"the reward at \(0, 0\) is nan"),
        (([[0, 0]], [[np.inf, -np.inf]]), {}, r"the reward at \(0, 0\) is inf"),
        (([[3, 0]], [[0.0, 0.0]]), {"allowed": [[True, False]]}, "the successor of state 0, action 0 is 3"),
        ((SHIFT, [[-np.inf]]), {}, "a ShiftRegister cannot carry a mask of allowed actions, nor rewards of -inf"),
        ((SHIFT, [[0.0]]), {"allowed": [[False]]}, "a ShiftRegister cannot carry a mask of allowed actions"),
    ],
)
def test_a_mask_that_is_none_is_refused(arguments, options, message):
    """One sentence each; what is wrong at an allowed pair is still wrong."""
    with pytest.raises(ValueError, match=message):
        TabularMDP(*arguments, 0.5, **options)


def test_a_policy_that_takes_what_is_not_allowed_is_refused():
    """Named are the state, the action and what is allowed there."""
    mdp = next(made(NAN, NAN))
    message = r"the policy takes action 1 in state 0, which is not allowed there: choose of \[0, 2\]"
    with pytest.raises(ValueError, match=message):
        evaluate_policy(mdp, [1, 1, 0])
    with pytest.raises(ValueError, match=message):
        evaluate_policy(mdp, [[0.5, 0.5, 0.0], [0.0, 1.0, 0.0], [1.0, 0.0, 0.0]])


def exactly(mdp):
    """The MDP in rationals, closed pairs replaced by a copy of the state's first allowed action, and those copies."""
    rows = []
    for s in range(mdp.n_states):
        rows.append([])
        for a in range(mdp.n_actions):
            chosen = a if mdp.allowed is None or mdp.allowed[s, a] else int(mdp.allowed[s].argmax())
            successor, probability, reward = mdp.storage.branches(mdp.finite_rewards)
            pair = s * mdp.n_actions + chosen
            branches = zip(successor[pair].tolist(), probability[pair].tolist(), reward[pair].tolist(), strict=True)
            rows[-1].append(tuple((j, Fraction(p), Fraction(r)) for j, p, r in branches if p > 0))
    return ExactMDP(tuple(map(tuple, rows)), Fraction(mdp.discount))


@pytest.mark.parametrize("method", METHODS)
@given(mdp=mdps(masked=True))
@settings(max_examples=scaled(40))
def test_every_method_brackets_the_optimum_over_allowed_actions(method, mdp):
    """lower <= V* <= upper, V* in rationals with each closed action replaced by a copy of an allowed one."""
    found = solve(mdp, method)
    exact = exactly(mdp)
    assert encloses(found.lower, found.upper, exact.v_star)
    assert mdp.allowed is None or mdp.allowed[np.arange(mdp.n_states), found.policy].all()
    assert encloses(found.lower - 1e-6, np.full(mdp.n_states, np.inf), exact.value(found.policy.tolist()))


@given(st.data())
@settings(max_examples=scaled(60))
def test_policies_of_masked_mdps_are_bracketed(data):
    """lower <= V^pi <= upper for drawn policies, stochastic ones included, which never take a closed action."""
    mdp = data.draw(mdps(masked=True))
    policy = data.draw(policies(mdp))
    found = evaluate_policy(mdp, policy)
    weights = policy.tolist() if policy.ndim == 1 else [[Fraction(x) for x in row] for row in policy.tolist()]
    assert encloses(found.lower, found.upper, exactly(mdp).value(weights))


@pytest.mark.jit  # QuantEcon's own kernels fail interpreted
@given(mdps(masked=True, discounts=st.sampled_from([0.5, 0.9])))
@settings(max_examples=scaled(25))
def test_quantecon_is_given_the_allowed_pairs_only(mdp):
    """The same values, and as many pairs as are allowed."""
    pytest.importorskip("quantecon")
    there = to_quantecon(mdp)
    assert there.num_sa_pairs == (mdp.n_states * mdp.n_actions if mdp.allowed is None else mdp.allowed.sum())
    assert np.allclose(there.solve(method="policy_iteration").v, solve(mdp, tol=1e-9).value, atol=1e-6)


def test_the_linear_programme_has_the_allowed_pairs_only():
    """V*(1) = -3/(1-.5) = -6, V*(0) = -1 - .5 · 6 = -4; to stay for nothing would be worth 0. One backup proves it."""
    mdp = TabularMDP([[1, 0], [1, 1]], [[-1.0, -np.inf], [-3.0, -3.0]], 0.5)
    found = solve(mdp, "linear_programming", max_iterations=1)
    assert found.converged
    assert found.value == pytest.approx([-4.0, -6.0])


def test_values_beyond_all_floats_do_not_let_a_closed_action_in():
    """Where all that is allowed is worth -inf in floats, -inf and NaN tie: still an allowed action is played."""
    rows = np.ones((2, 3, 2)) / 2
    mdp = TabularMDP(rows, np.full((2, 3), -1.7e308), 0.99, allowed=[[False, True, True], [False, False, True]])
    for method in ("value_iteration", "policy_iteration", "modified_policy_iteration"):
        assert mdp.allowed[np.arange(2), solve(mdp, method, max_iterations=5).policy].all()
    trace = run(mdp, Rmax(m=1000), steps=5000, rng=0)
    assert trace.visits.reshape(2, 3)[~mdp.allowed].sum() == 0
    assert mdp.allowed[np.arange(2), trace.policy].all()


@given(mdps(masked=True), st.integers(1, 4), st.integers(0, 2**16), st.data())
@settings(max_examples=scaled(60))
def test_agents_never_take_what_is_not_allowed_and_do_not_wait_for_it(mdp, m, seed, data):
    """No visit there, -inf in q; with restarts everywhere all allowed pairs become known, and `known` counts those."""
    closed = np.zeros((mdp.n_states, mdp.n_actions), bool) if mdp.allowed is None else ~mdp.allowed
    agent = data.draw(st.sampled_from([Rmax(m=m), Rmax(m=m, planning="episode"), PaperRmax(m=m)]))
    trace = run(mdp, agent, steps=3000, horizon=2, rng=seed)
    assert trace.visits.reshape(closed.shape)[closed].sum() == 0
    assert trace.branch_counts.sum(axis=1).tolist() == trace.visits.tolist()
    assert np.isneginf(trace.q).tolist() == closed.tolist()
    assert not closed[np.arange(mdp.n_states), trace.policy].any()
    if trace.action_probabilities is not None:
        assert trace.action_probabilities[closed].sum() == 0
    if not isinstance(agent, PaperRmax):  # the paper's may be slow to try what looks bad
        assert trace.known[-1] == (~closed).sum()
        assert trace.all_known_at == trace.known_at.max()


def two_ways():
    """State 0: action 0 pays .5 and stays, action 1 is closed, action 2 leads to state 1, which pays 1 by action 1."""
    table = [[0, 0, 1], [1, 1, 0]]
    return TabularMDP(table, [[0.5, -np.inf, 0.0], [-np.inf, 1.0, -np.inf]], 0.5)


def test_a_run_leads_to_the_allowed_optimum():
    """V* = (1, 2): .5/(1-.5) = 1 either way in state 0, 1/(1-.5) = 2 in state 1; three pairs become known, m = 2."""
    trace = run(two_ways(), Rmax(m=2), steps=200, horizon=4, rng=0)
    assert trace.known.max() == 3
    assert trace.all_known_at is not None
    assert trace.visits.tolist() == [2, 0, 2, 0, 2, 0]
    closed = [[False, True, False], [True, False, True]]
    assert np.isneginf(trace.q).tolist() == closed
    assert trace.q[~np.array(closed)] == pytest.approx([1.0, 1.0, 2.0], abs=1e-4)  # planned to 1e-4


def test_the_ledger_and_least_m_pass_over_closed_pairs():
    """T1' counts |S||A| pairs, an upper bound; V* = (1, 2) is found, and the end is optimal."""
    for agent in (Rmax(m=2), Rmax(m=2, planning="episode"), PaperRmax(m=2)):
        found = ledger(two_ways(), agent, epsilon=0.25, steps=400, horizon=4, rng=0)
        assert found.undecided == 0
        assert isinstance(agent, PaperRmax) or found.final_is_optimal
    found = ledger(two_ways(), Rmax(m=2), epsilon=0.25, steps=400, rng=0)
    assert found.theorem == "T1'"
    assert 0 <= found.count <= found.bound
    assert found.exploration[0] >= 0
    assert least_sufficient_m(two_ways(), 0.25, horizon=3).interval == (1, 1)
    assert coverage(two_ways(), Rmax(epsilon=0.25)).theorem == "T1'"


@given(mdps(masked=True, discounts=st.sampled_from([0.0, 0.5, 0.8])), st.integers(0, 2**16))
@settings(max_examples=scaled(40))
def test_a_ledger_is_that_of_the_mdp_without_the_closed_actions(mdp, seed):
    """Where all states have as many allowed actions these can be renumbered: the same run and the same ledger."""
    allowed = np.ones((mdp.n_states, mdp.n_actions), bool) if mdp.allowed is None else mdp.allowed
    counts = allowed.sum(axis=1)
    assume((counts == counts[0]).all() and not isinstance(mdp.storage, ShiftRegister))
    own = [np.flatnonzero(row) for row in allowed]
    state = np.arange(mdp.n_states)[:, None]
    pairs = (state * mdp.n_actions + np.array(own)).ravel()
    dense = np.zeros((mdp.n_states * mdp.n_actions, mdp.n_states))
    successor, probability, _ = mdp.storage.branches(mdp.finite_rewards)
    np.add.at(dense, (np.arange(len(dense))[:, None], successor), probability)
    P = dense[pairs].reshape(mdp.n_states, counts[0], mdp.n_states)
    less = TabularMDP(P, mdp.rewards.ravel()[pairs].reshape(P.shape[:2]), mdp.discount)
    whole = TabularMDP(Dense(dense.reshape(mdp.n_states, -1, mdp.n_states)), mdp.rewards, mdp.discount)
    low, high = whole.reward_range
    options = {"epsilon": (high - low) / (1 - mdp.discount) / 4 or 0.25, "steps": 150, "horizon": 3, "rng": seed}
    for agent in (Rmax(m=2), PaperRmax(m=2)):
        one, other = ledger(whole, agent, **options), ledger(less, agent, **options)
        assert (one.count, one.undecided, one.final_is_optimal) == (
            other.count,
            other.undecided,
            other.final_is_optimal,
        )
        assert one.trace.mean_reward.tolist() == other.trace.mean_reward.tolist()
        assert one.trace.all_known_at == other.trace.all_known_at
