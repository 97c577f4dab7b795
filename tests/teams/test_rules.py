"""Decision rules of a stage come best first, each once, and the rest is bounded."""

import itertools
import math

import numpy as np
import pytest
from strength import scaled

from rfos.teams import rules as module
from rfos.teams.rules import RankedRules


def games(count):
    """Random team Bayesian games of one to three agents, some joint histories missing."""
    for k in range(count):
        rng = np.random.default_rng(k)
        n_actions, sizes = (((2, 3), (2, 2)), ((3,), (3,)), ((2, 2, 2), (2, 1, 2)))[k % 3]
        joint = np.array(list(itertools.product(*map(range, sizes)))).T
        keep = np.concatenate([np.arange(max(sizes)) * 0, np.flatnonzero(rng.random(joint.shape[1]) < 0.8)])
        joint = joint[:, np.unique(keep)]
        yield rng.normal(size=(joint.shape[1], math.prod(n_actions))).round(1), joint, sizes, n_actions


def all_payoffs(payoffs, histories, sizes, n_actions):
    """Of all joint rules, one by one, in falling order."""
    each = [list(itertools.product(range(a), repeat=n)) for a, n in zip(n_actions, sizes, strict=True)]
    found = []
    for rules in itertools.product(*each):
        action = np.zeros(histories.shape[1], int)
        for i, rule in enumerate(rules):
            action = action * n_actions[i] + np.array(rule)[histories[i]]
        found.append(payoffs[np.arange(len(action)), action].sum())
    return sorted(found, reverse=True)


@pytest.mark.parametrize("most_open", [200_000, 3])
def test_all_rules_come_once_and_best_first(monkeypatch, most_open):
    """With little memory they may come in another order, but each comes, and the rest is bounded."""
    monkeypatch.setattr(module, "MOST_OPEN", most_open)
    for game in games(scaled(100)):
        ranked, found = RankedRules(*game), []
        seen = set()
        rest = math.inf
        while (taken := ranked.take(-1e9)) is not None:
            payoff, rules = taken
            assert payoff <= rest + 1e-12
            rest = ranked.rest
            seen.add(tuple(map(tuple, rules)))
            found.append(payoff)
        expected = all_payoffs(*game)
        assert len(seen) == len(found) == len(expected)
        assert (found if most_open > 3 else sorted(found, reverse=True)) == pytest.approx(expected)


def test_nothing_below_the_floor_comes_and_it_is_bounded():
    """Those above come, and the rest says how much the best of the others brings, or a little more."""
    for k, game in enumerate(games(scaled(100))):
        expected = all_payoffs(*game)
        floor = expected[min(len(expected) - 1, 2 + k % 5)] + 1e-9
        ranked, found = RankedRules(*game), []
        while (taken := ranked.take(floor)) is not None:
            found.append(taken[0])
        above = [payoff for payoff in expected if payoff > floor]
        assert found == pytest.approx(above)
        assert expected[len(above)] - 1e-9 <= ranked.rest <= floor


def test_the_clock_ends_it():
    """What is left is bounded."""
    joint = np.array(list(itertools.product(range(4), repeat=2))).T
    payoffs = np.random.default_rng(0).normal(size=(16, 9))
    ranked = RankedRules(payoffs, joint, (4, 4), (3, 3), deadline=0.0)
    count = 0
    while ranked.take(-1e9) is not None:
        count += 1
    assert count < 3**8
    assert ranked.rest >= -1e9
