"""Kernels of teams and their slow twins."""

import itertools
import math

import naive
import numpy as np
import pytest
from strength import scaled

from rfos._kernels import teams


def game(rng):
    """A random team Bayesian game, its arrays as the kernels take them, with scratch."""
    n = int(rng.integers(1, 4))
    n_actions, sizes = rng.integers(1, 4, n), rng.integers(1, 4, n)
    parts = np.array(list(itertools.product(*map(range, n_actions))), np.int64).T.copy()
    joint = np.array(list(itertools.product(*map(range, sizes))), np.int64)
    joint = joint[rng.permutation(len(joint))[: max(1, int(rng.integers(len(joint) + 1)))]]
    payoffs = rng.normal(size=(len(joint), parts.shape[1])).round(int(rng.integers(1, 4)))
    offsets = np.cumsum([0, *sizes[:-1]])[:-1].astype(np.int64) if n > 1 else np.zeros(0, np.int64)
    choices = np.repeat(n_actions[:-1], sizes[:-1]).astype(np.int64)
    table = np.zeros((sizes[-1], n_actions[-1]))
    return payoffs, joint.T.copy(), parts, offsets, choices, table


def test_completion_is_that_of_its_twin():
    """Bit for bit, whatever is chosen."""
    for k in range(scaled(300)):
        rng = np.random.default_rng(k)
        payoffs, histories, parts, offsets, choices, table = game(rng)
        chosen = np.array([rng.integers(-1, n) for n in choices], np.int64)
        twin = np.zeros_like(table)
        expected = naive.completion(payoffs, histories, parts, offsets, chosen, twin)
        assert teams.completion(payoffs, histories, parts, offsets, chosen, table) == expected
        assert (table == twin).all()
        for place in np.flatnonzero(chosen < 0)[:1]:
            bounds = np.zeros(choices[place])
            teams.completions(payoffs, histories, parts, offsets, chosen, int(place), table, bounds)
            assert chosen[place] == -1
            for action, bound in enumerate(bounds):
                chosen[place] = action
                assert bound == naive.completion(payoffs, histories, parts, offsets, chosen, twin)
            chosen[place] = -1
            assert bounds.max() <= expected + 1e-12


def test_the_best_rules_are_those_of_brute_force():
    """Up to bounds that are tied but for rounding; stopped early, it is a bound above."""
    for k in range(scaled(200)):
        payoffs, histories, parts, offsets, choices, table = game(np.random.default_rng(k))
        if math.prod(choices.tolist()) > 3000:
            continue
        chosen = np.full(len(choices), -1)
        bounds = np.zeros((len(choices), max(choices, default=1)))
        games, found = np.stack([payoffs, 0.0 * payoffs]), np.full(2, np.nan)
        expected = naive.best_rules(payoffs, histories, parts, offsets, choices)
        teams.solve_games(games, histories, parts, offsets, choices, chosen, table, bounds, 10**9, found)
        assert found[0] == pytest.approx(expected, rel=1e-13, abs=1e-15)
        assert found[0] >= expected or found[0] == pytest.approx(expected, abs=1e-15)
        assert found[1] == 0
        teams.solve_games(games, histories, parts, offsets, choices, chosen, table, bounds, 1, found)
        free = np.full(len(choices), -1)
        assert expected - 1e-12 <= found[0]
        assert found[0] <= naive.completion(payoffs, histories, parts, offsets, free, table) + 1e-12


def test_groups_are_merged_as_by_its_twin():
    """The first that is close enough: with few laws that are equal or far apart, the order does not matter."""
    for k in range(scaled(200)):
        rng = np.random.default_rng(k)
        kinds = rng.dirichlet(np.ones(4), 3) * (rng.random((3, 4)) < 0.7)
        kinds[:, 0] += 0.01
        kinds /= kinds.sum(axis=1, keepdims=True)
        which = rng.integers(3, size=8)
        laws = [{x: float(p) for x, p in enumerate(kinds[w]) if p > 0} for w in which]
        rest = np.array([x for law in laws for x in law], np.int64)
        share = np.array([p for law in laws for p in law.values()])
        pointer = np.cumsum([0, *map(len, laws)]).astype(np.int64)
        at = rng.random(4)
        score = np.array([sum(at[x] * p for x, p in law.items()) for law in laws])
        label = np.full(8, -5)
        count = teams.merge_groups(pointer, rest, share, score, np.argsort(score, kind="stable"), 1e-12, label)
        expected = naive.merge_groups(laws, 1e-12)
        assert count == len(set(expected))
        pairs = set(zip(label.tolist(), expected, strict=True))
        assert len(pairs) == count


def test_two_laws_are_merged_if_they_are_close_enough():
    """At any tolerance, whatever their scores."""
    both = set()
    for k in range(scaled(300)):
        rng = np.random.default_rng(k)
        dense = rng.dirichlet(np.ones(3), 2) * (rng.random((2, 3)) < 0.8)
        dense[:, 0] += 0.01
        dense /= dense.sum(axis=1, keepdims=True)
        laws = [{x: float(p) for x, p in enumerate(row) if p > 0} for row in dense]
        rest = np.array([x for law in laws for x in law], np.int64)
        share = np.array([p for law in laws for p in law.values()])
        pointer = np.cumsum([0, *map(len, laws)]).astype(np.int64)
        score = dense @ rng.random(3)
        label, tol = np.zeros(2, np.int64), float(rng.random())
        count = teams.merge_groups(pointer, rest, share, score, np.argsort(score, kind="stable"), tol, label)
        assert count == 1 + max(naive.merge_groups(laws, tol))
        both.add(count)
    assert both == {1, 2}
