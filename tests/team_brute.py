"""Team problems by the definition: small random ones, values by going through trajectories, policies one by one."""

import itertools
import math

import numpy as np

from rfos.teams.model import DecPOMDP, joint_index, split_index
from rfos.teams.policies import TeamPolicy, n_histories


def random_team(rng, n_states=3, n_actions=(2, 2), n_observations=(2, 2), horizon=2, discount=1.0, first=False):
    """A team with about half of its chances zero, rewards of either sign and sometimes equal observations."""
    a, o = math.prod(n_actions), math.prod(n_observations)
    W = rng.random((n_states, a, n_states, o)) ** 2 * (rng.random((n_states, a, n_states, o)) < 0.6)
    W[..., 0, 0] += 1e-3
    if rng.random() < 0.3:  # the last agent's observations say nothing, so that its histories merge
        own = n_observations[-1]
        W = np.repeat(W.reshape(n_states, a, n_states, o // own, own).mean(axis=4), own, axis=3).reshape(W.shape)
    W /= W.sum(axis=(2, 3), keepdims=True)
    R = np.round(rng.normal(size=(n_states, a)), 1) * 10.0 ** rng.integers(-2, 3)
    starts = rng.dirichlet(np.ones(n_states * o)).reshape(n_states, o) if first else rng.dirichlet(np.ones(n_states))
    return DecPOMDP(W, R, n_actions, n_observations, horizon, discount, starts)


def starts_of(team):
    """Pairs of probability, state and first histories."""
    for s in range(team.n_states):
        if not team.has_first_observation:
            yield team.starts[s], s, ((),) * team.n_agents
        else:
            for o in range(team.n_joint_observations):
                yield team.starts[s, o], s, tuple((x,) for x in split_index(o, team.n_observations))


def value_of(team, act):
    """The return of `act(agent, step, history)`, by going through all trajectories, one after the other."""
    b = team.branches

    def rest(step, state, seen):
        if step == team.horizon:
            return 0.0
        a = joint_index([act(i, step, seen[i]) for i in range(team.n_agents)], team.n_actions)
        total = team.rewards[state, a]
        row = state * team.n_joint_actions + a
        if step + 1 < team.horizon:
            for k in range(b.pointer[row], b.pointer[row + 1]):
                parts = split_index(int(b.observation[k]), team.n_observations)
                after = tuple((*own, part) for own, part in zip(seen, parts, strict=True))
                total += team.discount * b.probability[k] * rest(step + 1, int(b.state[k]), after)
        return total

    return sum(p * rest(0, s, seen) for p, s, seen in starts_of(team) if p > 0)


def acts(team, policy):
    """A `TeamPolicy` as a function of agent, step and history."""
    return lambda i, t, seen: int(policy.trees[i][t][joint_index(seen, (team.n_observations[i],) * len(seen))])


def trees_of(team, agent):
    """All trees of one agent."""
    sizes = [n_histories(team, agent, t) for t in range(team.horizon)]
    ends = np.cumsum(sizes)[:-1]
    for flat in itertools.product(range(team.n_actions[agent]), repeat=sum(sizes)):
        yield tuple(np.split(np.array(flat), ends))


def reactive_trees_of(team, agent):
    """All trees of one agent that look at the step and the last observation only."""
    o = team.n_observations[agent]
    kinds = [o if t + team.has_first_observation else 1 for t in range(team.horizon)]
    for flat in itertools.product(range(team.n_actions[agent]), repeat=sum(kinds)):
        rules = np.split(np.array(flat), np.cumsum(kinds)[:-1])
        yield tuple(np.resize(rule, n_histories(team, agent, t)) for t, rule in enumerate(rules))


def best_of(team, trees=trees_of):
    """The largest return of all policies, one by one."""
    return max(
        value_of(team, acts(team, TeamPolicy(own)))
        for own in itertools.product(*(list(trees(team, i)) for i in range(team.n_agents)))
    )
