"""The team kernels agree with their references bit for bit: play, exploration, rivals."""

import naive
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from strength import scaled

from rfos._kernels import team_play as kernels
from rfos._system.randomness import stream
from rfos.teams.counts import Experience
from rfos.teams.explore import explore, remaining
from rfos.teams.model import DecPOMDP
from rfos.teams.policies import random_policy
from rfos.teams.world import layout, tree_numbers

SEEDS = st.integers(0, 2**32 - 1)


@st.composite
def teams(draw):
    """Small teams with few different probabilities and rewards, so that ties happen; thirds, so that sums show."""
    rng = np.random.default_rng(draw(SEEDS))
    n = draw(st.integers(1, 3))
    n_actions = tuple(draw(st.lists(st.integers(1, 3), min_size=n, max_size=n)))
    n_observations = tuple(draw(st.lists(st.integers(1, 3), min_size=n, max_size=n)))
    n_states, horizon = draw(st.integers(1, 4)), draw(st.integers(1, 3))
    a, o = int(np.prod(n_actions)), int(np.prod(n_observations))
    raw = rng.choice([0, 0, 1, 1 / 3, 2], (n_states * a, n_states * o))
    raw[np.arange(len(raw)), rng.integers(raw.shape[1], size=len(raw))] += 1
    starts = rng.choice([0, 1, 1 / 3], (n_states, o) if draw(st.booleans()) else (n_states,)).astype(float)
    starts.flat[rng.integers(starts.size)] += 1
    return DecPOMDP(
        (raw / raw.sum(1, keepdims=True)).reshape(n_states, a, n_states, o),
        rng.choice([0.0, 1 / 3, 1.0], (n_states, a)),
        n_actions,
        n_observations,
        horizon,
        draw(st.sampled_from([0.0, 0.7, 1.0])),
        starts=starts / starts.sum(),
    )


def counts_of(play, experience):
    """What a learner of the package has counted, as the reference keeps it."""
    counts = experience.counts()
    rows = counts.layout.rows
    names = [*range(counts.layout.n_rows - 1), "start"]
    visits = {name: int(n) for name, n in zip(names, counts.visits, strict=True) if n}
    known_at = {name: int(n) for name, n in zip(names, counts.known_at, strict=True) if n}
    paid = {name: int(n) for name, n in zip(names, counts.paid, strict=False) if n}
    row = np.repeat(np.arange(len(names)), np.diff(rows.pointer))
    keys = zip(row, rows.state, counts.layout.slot_observation, strict=True)
    seen = {(names[int(k)], int(s), int(o)): int(n) for (k, s, o), n in zip(keys, counts.seen, strict=True) if n}
    assert visits == {k: n for k, n in play.visits.items() if n}
    assert seen == {k: n for k, n in play.seen.items() if n}
    assert paid == {k: n for k, n in play.paid.items() if n}
    assert known_at == play.known_at
    assert experience.episodes == play.episode


def test_every_kernel_has_a_reference():
    """One stem for kernel and reference; what they call by the way is part of the reference's play."""
    parts = {"draw_branch": "follow", "count": "count", "least_visited": "least_visited"}
    for name, value in vars(kernels).items():
        if getattr(value, "__module__", None) == kernels.__name__ and not isinstance(value, type):
            assert hasattr(naive, name) or hasattr(naive.TeamPlay, parts.get(name, "")), name


@given(teams(), SEEDS, st.sampled_from(["markov", "trees", "uniform"]), st.integers(1, 4), st.booleans(), st.booleans())
@settings(max_examples=scaled(150, 30))
def test_episodes_are_played_and_counted_as_the_reference_does(team, seed, how, m, drawn, known_start):
    """Visits, successors, rewards, the episodes in which rows become known: all equal, however it is played."""
    rng = np.random.default_rng(seed)
    markov = rng.integers(-1, team.n_joint_actions, size=(team.horizon, team.n_states)) if how == "markov" else None
    policy = random_policy(team, rng) if how == "trees" else markov
    keys = rng.permutation(team.rewards.size)
    experience = Experience(
        team, m=m, known_start=known_start, rewards="sampled" if drawn else "known", row_keys=keys, rng=seed
    )
    play = naive.TeamPlay(team, naive.generator(seed), m, keys, drawn, {"start"} if known_start else set())
    for until in (1, 3, 20, 20):
        found = experience.play(policy, until=until)
        assert found == naive.play_team(play, markov, policy.trees if how == "trees" else None, until)
        counts_of(play, experience)


@given(teams(), SEEDS, st.integers(1, 3))
@settings(max_examples=scaled(150, 30))
def test_exploration_plans_as_the_reference_does(team, seed, m):
    """Equal joint actions at every step and state, and equal values."""
    experience = Experience(team, m=m, known_start=True, rng=seed)
    play = naive.TeamPlay(team, naive.generator(seed), m, None, False, {"start"})
    nothing = np.zeros(team.rewards.shape)
    for until in (2, 10):
        while experience.play(until=until):
            pass
        while naive.play_team(play, None, None, until):
            pass
        found = explore(experience.counts())
        escapes = remaining(team.horizon, team.discount).tolist()
        actions, values = naive.plan_markov(play, nothing.tolist(), escapes, team.discount)
        assert found.action.tolist() == actions
        assert found.gap == pytest.approx(sum(p * values[s] for s, _, p in play.beginnings()), abs=1e-12)
        own, spare = np.empty(team.n_states), np.empty(team.n_states)
        action = np.empty((team.horizon, team.n_states), np.int64)
        counts = experience.counts()
        kernels.plan_markov(
            counts.layout.rows,
            counts.tally(),
            team.rewards.ravel().copy(),
            np.array(escapes),
            team.discount,
            own,
            spare,
            action,
        )
        actions, values = naive.plan_markov(play, team.rewards.tolist(), escapes, team.discount)
        assert (action.tolist(), own.tolist()) == (actions, values)


@given(teams(), SEEDS, st.booleans(), st.sampled_from([0.1, 0.5, 1.0]))
@settings(max_examples=scaled(100, 20))
def test_values_are_learned_as_the_reference_does(team, seed, shared, exploration):
    """Independent learners and value decomposition: every action value of every history is equal."""
    trees = tree_numbers(team)
    nodes = int(sum(o**t for o in team.n_observations for t in lengths(team)))
    q = np.zeros((nodes, max(team.n_actions)))
    kernels.learn_values(
        layout(team).world, trees, q, shared, 0.3, exploration, team.discount, stream(seed), scaled(30, 10)
    )
    slow = [{} for _ in range(team.n_agents)]
    for i, table in enumerate(slow):
        for t, length in enumerate(lengths(team)):
            for h in np.ndindex(*(team.n_observations[i],) * length):
                table[t, h] = [0.0] * team.n_actions[i]
    play = naive.TeamPlay(team, naive.generator(seed))
    naive.learn_values(play, slow, shared, 0.3, exploration, team.discount, scaled(30, 10))
    flat = [values + [0.0] * (q.shape[1] - len(values)) for table in slow for values in table.values()]
    assert q.tolist() == flat


def lengths(team):
    """Observations that an agent has made when it acts, by step."""
    return [t + team.has_first_observation for t in range(team.horizon)]


@given(teams(), SEEDS)
@settings(max_examples=scaled(100, 20))
def test_trajectories_are_reused_as_the_reference_does(team, seed):
    """Equal sums of returns for every policy of the class."""
    rng = np.random.default_rng(seed)
    policies = [random_policy(team, rng) for _ in range(4)]
    trees = tree_numbers(team)
    flat = np.array([tree_numbers(team, policy).action for policy in policies])
    taken = np.array(np.unravel_index(np.arange(team.n_joint_actions), team.n_actions), np.int64).T.copy()
    sums = np.zeros(4)
    kernels.reuse_episodes(
        layout(team).world, trees, flat, taken, np.empty(4, np.bool_), sums, team.discount, stream(seed), 40
    )
    play = naive.TeamPlay(team, naive.generator(seed))
    assert sums.tolist() == naive.reuse_episodes(play, [p.trees for p in policies], team.discount, 40)
