"""Occupancy states: merging loses nothing, and what it costs at a tolerance is measured."""

import numpy as np
import pytest
from strength import scaled
from team_brute import random_team

from rfos.teams.evaluate import Reached, after, first_reached, joint_actions
from rfos.teams.occupancy import cluster, following, gather, joint_codes, merge_groups
from rfos.teams.policies import random_policy
from rfos.teams.relaxations import QBG
from rfos.teams.search import Search
from rfos.teams.tasks import task


def value(team, **options):
    """What the search finds, its bracket closed."""
    found = Search(team, QBG(team), **options).run(-np.inf)
    assert found.upper - found.lower <= 1e-9 * team.largest_return * np.abs(team.rewards).max()
    return found.lower


def test_merging_is_lossless():
    """The same value with and without."""
    for k in range(scaled(100)):
        team = random_team(np.random.default_rng(k), horizon=2 + k % 2, n_observations=(2, 1 + k % 2), n_states=2)
        assert value(team) == pytest.approx(value(team, merge=False), rel=1e-10, abs=1e-12)
    for name, horizon in (("dec-tiger", 3), ("broadcast-channel", 3), ("recycling-robots", 3)):
        team = task(name, horizon)
        assert value(team) == pytest.approx(value(team, merge=False), rel=1e-12)


def test_dec_tiger_forgets_the_order_of_what_was_heard():
    """After two steps of listening left-right and right-left say the same: three clusters of four histories."""
    team = task("dec-tiger", 3)
    reached, sizes = first_reached(team), (1, 1)
    for _ in range(2):
        reached, _ = following(team, reached, sizes, [np.zeros(n, np.int64) for n in sizes])
        sizes = tuple(2 * n for n in sizes)
    found = cluster(reached, sizes, team.n_states)
    assert found.sizes == (3, 3)
    assert [label.tolist() for label in found.labels] == [[0, 1, 1, 2]] * 2
    assert found.distance <= 1e-15
    assert found.reached.weight.sum() == pytest.approx(1)


def test_the_distance_is_that_to_the_law_in_which_merged_histories_are_alike():
    """By hand, from dense tables, one agent after the other."""
    merged = 0
    for k in range(scaled(100)):
        rng = np.random.default_rng(k)
        group, rest = (part.ravel() for part in np.meshgrid(np.arange(4), np.arange(3), indexing="ij"))
        dense = rng.dirichlet(np.ones(12)).reshape(4, 3) * (rng.random((4, 3)) < 0.7)
        dense[0, 0] += 0.1
        there = dense.ravel() > 0
        tol = float(rng.choice([0.1, 0.5, 0.9]))
        label, count, distance = merge_groups(group[there], rest[there], dense.ravel()[there], 4, tol)
        assert ((label < 0) == ~dense.any(axis=1)).all()
        alike = np.zeros_like(dense)
        for number in range(count):
            own = label == number
            alike[own] = dense[own].sum(axis=1)[:, None] * dense[own].sum(axis=0) / dense[own].sum()
            merged += own.sum() > 1
        assert distance == pytest.approx(np.abs(dense - alike).sum() / 2, abs=1e-14)
        assert label[label >= 0].max() == count - 1
    assert merged


def test_the_next_occupancy_state_is_what_a_policy_reaches():
    """Unmerged, it is what the evaluation of a policy goes through."""
    for k in range(scaled(50)):
        rng = np.random.default_rng(k)
        team = random_team(rng, horizon=3, first=bool(k % 2))
        policy = random_policy(team, rng)
        one = first_reached(team)
        sizes = tuple(n ** int(team.has_first_observation) for n in team.n_observations)
        two = one
        for step in range(2):
            one, _ = after(team, one, joint_actions(team, policy, step, one))
            two, _ = following(team, two, sizes, [tree[step] for tree in policy.trees])
            sizes = tuple(n * o for n, o in zip(sizes, team.n_observations, strict=True))
        entries = [
            {(int(s), *map(int, h)): w for s, h, w in zip(x.state, x.histories.T, x.weight, strict=True)}
            for x in (one, two)
        ]
        assert entries[0] == pytest.approx(entries[1])


def test_codes_keep_order_and_tell_rows_apart_where_their_product_overflows():
    """More than 2^62 rows are possible here."""
    rng = np.random.default_rng(0)
    columns = [rng.integers(2**40, size=50), rng.integers(2**61, size=50), np.arange(50) % 7]
    columns[0][:25] = columns[0][0]
    code = joint_codes(columns, [2**40, 2**61, 7])
    assert (np.argsort(code) == np.lexsort(columns[::-1])).all()
    assert len(set(code.tolist())) == 50


def test_equal_entries_are_summed():
    """And sorted by history, then state."""
    found, most = gather(np.array([1, 0, 1]), np.array([[0, 1, 0]]), np.array([0.25, 0.5, 0.25]), [2], 2)
    assert most == 2
    assert isinstance(found, Reached)
    assert (found.state.tolist(), found.histories.tolist(), found.weight.tolist()) == ([1, 0], [[0, 1]], [0.5, 0.5])
