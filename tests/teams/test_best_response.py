"""Best responses: no tree does better against the others, and no agent gains in the end."""

import numpy as np
import pytest
from strength import scaled
from team_brute import acts, random_team, trees_of, value_of

from rfos.teams import best_response as module
from rfos.teams.best_response import alternating_best_response, best_constant, best_response
from rfos.teams.evaluate import evaluate
from rfos.teams.policies import TeamPolicy, constant_policy, random_policy
from rfos.teams.tasks import task


def with_tree(policy, agent, tree):
    return TeamPolicy(tuple(tree if j == agent else own for j, own in enumerate(policy.trees)))


def test_no_tree_answers_better():
    """All trees of the agent, one by one; two and three agents, with and without a first observation."""
    for k in range(scaled(60)):
        rng = np.random.default_rng(k)
        sizes = ((2, 2), (2, 2)) if k % 3 else ((2, 2, 2), (2, 1, 2))
        team = random_team(rng, 2, *sizes, horizon=2, discount=0.9, first=k % 2 == 0)
        policy = random_policy(team, rng)
        agent = k % team.n_agents
        answer = evaluate(team, with_tree(policy, agent, best_response(team, policy, agent))).value
        best = max(value_of(team, acts(team, with_tree(policy, agent, tree))) for tree in trees_of(team, agent))
        assert answer == pytest.approx(best, rel=1e-12, abs=1e-12)


def test_in_the_end_no_agent_gains():
    """A Nash equilibrium of the team."""
    for k in range(scaled(30)):
        team = random_team(np.random.default_rng(k), horizon=3)
        policy, value = alternating_best_response(team, restarts=2, rng=k)
        assert value == evaluate(team, policy)
        constant = evaluate(team, best_constant(team)).value
        for agent in range(2):
            gain = evaluate(team, with_tree(policy, agent, best_response(team, policy, agent))).value - value.value
            assert gain <= 1e-6 * np.abs(team.rewards).max() * 3 or value.value == constant
        assert value.value >= constant


def test_the_best_constant_is_the_best_of_all():
    """One by one."""
    for k in range(scaled(50)):
        team = random_team(np.random.default_rng(k), horizon=3, discount=0.8, first=bool(k % 2))
        all_values = [evaluate(team, constant_policy(team, (a, b))).value for a in range(2) for b in range(2)]
        assert evaluate(team, best_constant(team)).value == pytest.approx(max(all_values))


def test_what_is_too_large_is_left_and_the_best_so_far_returned(monkeypatch):
    """No best response fits: still a policy."""
    monkeypatch.setattr(module, "MOST_ENTRIES", 3)
    team = task("dec-tiger", 3)
    policy, value = alternating_best_response(team)
    assert value.value >= evaluate(team, best_constant(team)).value
    assert policy.horizon == 3


def test_wrong_agents_are_named():
    """One sentence."""
    team = task("dec-tiger", 2)
    with pytest.raises(ValueError, match="agent is 2: give a whole number from 0 to 1"):
        best_response(team, constant_policy(team, (0, 0)), 2)
