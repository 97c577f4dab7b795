"""Policies of a team and their value, compared with trajectories one by one."""

from fractions import Fraction

import numpy as np
import pytest
from strength import scaled
from team_brute import acts, random_team, trees_of, value_of

from rfos.teams.evaluate import evaluate
from rfos.teams.model import joint_index
from rfos.teams.policies import TeamPolicy, constant_policy, log10_policies, n_histories, random_policy, require_trees
from rfos.teams.show import draw_policy, graphviz, policy_graph
from rfos.teams.tasks import task


def exact_value(team, policy):
    """The return of the tables as they are stored, in rational arithmetic, forward in trajectories."""
    b, act, discount = team.branches, acts(team, policy), Fraction(team.discount)
    starts = team.starts if team.has_first_observation else team.starts[:, None]
    total = Fraction(0)
    entries = []
    for (s, o), p in np.ndenumerate(starts):
        seen = tuple((x,) for x in np.unravel_index(o, team.n_observations)) if team.has_first_observation else None
        entries.append((Fraction(p), s, seen or ((),) * team.n_agents))
    for step in range(team.horizon):
        following = []
        for p, s, seen in entries:
            a = joint_index([act(i, step, seen[i]) for i in range(team.n_agents)], team.n_actions)
            total += discount**step * p * Fraction(team.rewards[s, a])
            row = s * team.n_joint_actions + a
            for k in range(b.pointer[row], b.pointer[row + 1]):
                parts = np.unravel_index(b.observation[k], team.n_observations)
                after = tuple((*own, int(part)) for own, part in zip(seen, parts, strict=True))
                following.append((p * Fraction(b.probability[k]), int(b.state[k]), after))
        entries = following
    return total


def test_the_bracket_holds_the_value_in_rational_arithmetic():
    """Of the tables as stored; and the recursion in plain Python agrees."""
    for k in range(scaled(100)):
        rng = np.random.default_rng(k)
        team = random_team(rng, 2, horizon=1 + k % 3, discount=(1.0, 0.7, 0.0)[k // 3 % 3], first=bool(k % 2))
        policy = random_policy(team, rng)
        found = evaluate(team, policy)
        assert found.lower <= exact_value(team, policy) <= found.upper
        assert found.value == pytest.approx(value_of(team, acts(team, policy)), rel=1e-12, abs=1e-12)
        assert found.upper - found.lower <= 1e-11 * team.largest_return * np.abs(team.rewards).max()


def test_there_are_as_many_policies_as_it_says():
    """Counted one by one."""
    team = random_team(np.random.default_rng(0), n_observations=(2, 1), first=True)
    count = len(list(trees_of(team, 0))) * len(list(trees_of(team, 1)))
    assert 10 ** log10_policies(team) == pytest.approx(count)


def test_policies_own_what_they_hold():
    """Read-only, and not the arrays that were given."""
    given = np.array([0])
    policy = TeamPolicy(((given,),))
    given[0] = 1
    assert policy.trees[0][0].tolist() == [0]
    with pytest.raises(ValueError, match="read-only"):
        policy.trees[0][0][0] = 1


@pytest.mark.parametrize(
    ("trees", "message"),
    [
        (3, "trees is 3"),
        ((), "do not fit together"),
        (((),), "do not fit together"),
        ((([0],), ([0], [0, 0])), r"trees of \[1, 2\] steps"),
        ((([-1],),), "the actions of agent 0 at step 0 are"),
        ((([],),), "the actions of agent 0 at step 0"),
        ((([0.5],),), "the actions of agent 0 at step 0"),
    ],
)
def test_what_is_no_policy_is_refused(trees, message):
    """Agent and step are named."""
    with pytest.raises(ValueError, match=message):
        TeamPolicy(trees)


@pytest.mark.parametrize(
    ("trees", "message"),
    [
        ((([0],),), "1 agents and 1 steps, the team has 2 and 2"),
        ((([0], [0, 0]), ([0], [0, 0, 0])), "agent 1 has 3 actions at step 1, where it has 2"),
        ((([0], [0, 0]), ([0], [0, 3])), "agent 1 takes action 3 at step 1: its actions are 0 to 2"),
    ],
)
def test_a_policy_of_another_team_is_refused(trees, message):
    """By everything that takes both."""
    team, policy = task("dec-tiger", 2), TeamPolicy(trees)
    for call in (evaluate, graphviz, draw_policy):
        with pytest.raises(ValueError, match=message):
            call(team, policy)


def test_too_many_histories_are_refused_with_the_horizon_that_fits(monkeypatch):
    """2 agents of 2 observations: 16 (2^H - 1) bytes; 1000 bytes hold 5 steps."""
    team = task("dec-tiger", 9)
    monkeypatch.setattr("rfos._system.memory._available", lambda second: 1000)
    with pytest.raises(MemoryError, match="give a horizon of at most 5"):
        require_trees(team)


def test_merged_drawings_say_what_the_tree_says():
    """Walking along the graph gives the action of each history."""
    for k in range(scaled(30)):
        rng = np.random.default_rng(k)
        team = random_team(rng, horizon=3, first=bool(k % 2))
        policy = random_policy(team, rng)
        for agent in range(2):
            nodes, first = policy_graph(policy, 2, agent)
            assert len(set(nodes)) == len(nodes)
            assert len(first) == n_histories(team, agent, 0)
            for step in range(3):
                for history, action in enumerate(policy.trees[agent][step]):
                    digits = [history >> place & 1 for place in range(step)][::-1]
                    at = first[history >> step]
                    for digit in digits:
                        at = nodes[at].next[digit]
                    assert (nodes[at].step, nodes[at].action) == (step, action)


def test_what_is_too_large_to_be_drawn_is_refused():
    """The message says how to read it."""
    team = task("dec-tiger", 10)
    with pytest.raises(ValueError, match=r"more than the 400 that can be drawn: print policy.lines\(team\)"):
        draw_policy(team, random_policy(team, np.random.default_rng(0)))
    assert graphviz(team, constant_policy(team, (0, 0))).count("->") == 18
