"""The certified planner: its bracket holds what brute force finds, and published optima come out to all digits."""

import itertools
import math

import numpy as np
import pytest
import scipy.sparse as sp
from strength import scaled
from team_brute import acts, best_of, random_team, reactive_trees_of, value_of

from rfos.teams.model import DecPOMDP
from rfos.teams.plan import TeamEnded, plan
from rfos.teams.relaxations import QBG, QMDP, QPOMDP
from rfos.teams.search import Search
from rfos.teams.tasks import TASKS, task


def shapes(count):
    """Random generators with sizes of tiny teams, in turn."""
    kinds = [
        {},
        {"n_states": 2, "discount": 0.7},
        {"n_actions": (2, 2, 2), "n_observations": (2, 2, 1), "n_states": 2},
        {"n_observations": (2, 1), "first": True},
        {"n_observations": (1, 2), "n_actions": (2, 3), "horizon": 2},
        {"n_states": 1},
        {"horizon": 1, "first": True, "discount": 0.0},
    ]
    for k in range(count):
        rng = np.random.default_rng(k)
        yield rng, random_team(rng, **kinds[k % len(kinds)])


def test_the_bracket_holds_brute_force_over_all_decentralised_policies():
    """lower <= V <= upper, closed when the search ends, and the policy attains the lower end."""
    for _, team in shapes(scaled(500)):
        best = best_of(team)
        found = plan(team, restarts=0)
        tiny = 1e-12 * (1 + abs(best))
        assert found.lower - tiny <= best <= found.upper + tiny
        assert found.converged
        assert found.ended is TeamEnded.CONVERGED
        assert found.value == pytest.approx(best, abs=1e-9 * team.largest_return * np.abs(team.rewards).max() + 1e-300)
        assert value_of(team, acts(team, found.policy)) == pytest.approx(found.value, rel=1e-12, abs=1e-12)


@pytest.mark.parametrize("nodes", [1, 3, 10])
def test_the_bracket_holds_when_the_search_is_stopped_early(nodes):
    """Whatever was not looked into is in the upper end."""
    stopped = 0
    for rng, team in shapes(scaled(150)):
        best = best_of(team)
        bound = ("Q_MDP", "Q_POMDP", "Q_BG")[int(rng.integers(3))]
        found = plan(team, restarts=0, nodes=nodes, bound=bound)
        tiny = 1e-12 * (1 + abs(best))
        assert found.lower - tiny <= best <= found.upper + tiny
        assert found.nodes <= nodes
        stopped += found.ended is TeamEnded.NODES
    assert stopped or nodes == 10


def test_merging_at_a_tolerance_is_paid_for():
    """The upper end holds at any tolerance."""
    wider = 0
    for _, team in shapes(scaled(200)):
        best = best_of(team)
        for tol in (0.05, 0.3, 0.9):
            found = plan(team, restarts=0, tol=tol)
            tiny = 1e-12 * (1 + abs(best))
            assert found.lower - tiny <= best <= found.upper + tiny
            wider += found.ended is TeamEnded.EXHAUSTED
    assert wider


def test_reactive_policies_are_compared_with_brute_force():
    """Step and last observation: the best of all of them, and one that is reactive."""
    for k in range(scaled(60)):
        team = random_team(np.random.default_rng(k), n_states=2, horizon=2 + (k % 4 == 0), n_observations=(2, 1))
        found = plan(team, "reactive")
        best = best_of(team, reactive_trees_of)
        tiny = 1e-12 * (1 + abs(best))
        assert found.lower - tiny <= best <= found.upper + tiny
        assert found.converged
        for i, tree in enumerate(found.policy.trees):
            for stage in tree[1:]:
                assert (stage == np.resize(stage[: team.n_observations[i]], len(stage))).all()
        early = plan(team, "reactive", nodes=1)
        assert early.lower - tiny <= best <= early.upper + tiny


def test_who_knows_more_earns_more():
    """Reactive <= decentralised <= joint <= full, and the bounds of the search in between."""
    for _, team in shapes(scaled(100)):
        found = [plan(team, policies, restarts=0) for policies in ("reactive", "decentralised", "joint", "full")]
        for less, more in itertools.pairwise(found):
            assert less.lower <= more.upper
        assert all(one.converged for one in found)


def test_bounds_are_ordered():
    """V <= Q_BG <= Q_POMDP <= Q_MDP, for each first joint action."""
    for _, team in shapes(scaled(200)):
        laws = team.starts.T if team.has_first_observation else team.starts[None, :]
        q = [kind(team).values(0, np.ascontiguousarray(laws)) for kind in (QBG, QPOMDP, QMDP)]
        tiny = 1e-12 * team.largest_return * np.abs(team.rewards).max()
        assert (q[0] <= q[1] + tiny).all()
        assert (q[1] <= q[2] + tiny).all()
        if not team.has_first_observation:
            assert best_of(team) <= q[0].max() + tiny


def test_full_information_is_backward_induction():
    """The table is greedy, and its value that of the MDP."""
    rng = np.random.default_rng(3)
    team = random_team(rng, horizon=4, discount=0.9)
    P = team.transitions.toarray().reshape(3, 4, 3)
    V = np.zeros(3)
    for _ in range(4):
        V = (team.rewards + 0.9 * P @ V).max(axis=1)
    found = plan(team, "full")
    assert found.lower <= team.starts @ V <= found.upper
    assert found.policy.shape == (4, 3)
    assert not found.policy.flags.writeable


QUICK = {
    "dec-tiger": (2, 3, 4, 5),
    "broadcast-channel": (2, 3, 4, 5),
    "recycling-robots": (2, 3, 4, 5),
    "grid-small": (2, 3),
}


@pytest.mark.parametrize(("name", "horizon"), [(name, h) for name, horizons in QUICK.items() for h in horizons])
def test_published_optima_come_out_to_all_digits(name, horizon):
    """The masplan.org table."""
    known = TASKS[name].optimum(horizon)
    found = plan(task(name, horizon))
    assert known.exact
    assert found.converged
    assert abs(found.value - known.value) <= 0.5000001e-6


def test_three_prisoners_win_with_20_in_27():
    """By hand: what an oracle can do is attained."""
    found = plan(task("switch-riddle"))
    assert found.converged
    assert found.lower <= 20 / 27 <= found.upper


@pytest.mark.parametrize(("goals", "symbols"), [(1, 1), (2, 1), (3, 2), (3, 3)])
def test_the_reference_game_is_worth_its_channel(goals, symbols):
    """min(1, C / k): C messages tell at most C of k goals."""
    found = plan(task("reference-game", goals=goals, symbols=symbols))
    assert found.converged
    assert found.lower <= min(1, symbols / goals) <= found.upper


def test_the_clock_stops_the_search_and_the_bracket_holds():
    """Dec-Tiger with 6 steps, next to no time."""
    found = plan(task("dec-tiger", 6), seconds=1e-9)
    assert found.ended is TeamEnded.SECONDS
    assert found.lower <= 10.381625 <= found.upper


def test_equal_calls_give_equal_policies():
    """The same seed."""
    one, two = (plan(task("dec-tiger", 4), nodes=3, rng=5) for _ in range(2))
    assert (one.lower, one.upper, one.nodes) == (two.lower, two.upper, two.nodes)
    for a, b in zip(one.policy.trees, two.policy.trees, strict=True):
        assert all((x == y).all() for x, y in zip(a, b, strict=True))


def test_too_long_episodes_are_refused_at_once():
    """The message names the largest horizon that fits."""
    with pytest.raises(MemoryError, match="give a horizon of at most"):
        plan(task("dec-tiger", 100))
    with pytest.raises(ValueError, match="horizon is 201, and the search goes 200 steps deep at most"):
        plan(task("dec-tiger", 201))


def test_the_longest_episode_is_searched():
    """200 steps of a lock without anything to see."""
    team = task("lock", 200)
    for kind in ("Q_BG", "Q_POMDP"):
        found = plan(team, restarts=0, nodes=300, bound=kind)
        assert found.lower <= 1 <= found.upper


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"policies": "best"}, "policies is 'best': choose among decentralised, reactive, joint, full"),
        ({"bound": "Q"}, "bound is 'Q'"),
        ({"seconds": 0}, "seconds is 0"),
        ({"seconds": math.nan}, "seconds is nan"),
        ({"nodes": 0}, "nodes is 0"),
        ({"restarts": -1}, "restarts is -1"),
        ({"tol": 1}, "tol is 1"),
        ({"progress": 3}, "progress is 3"),
    ],
)
def test_what_is_wrong_is_named(options, message):
    """One sentence with the value."""
    with pytest.raises(ValueError, match=message):
        plan(task("dec-tiger", 2), **options)
    with pytest.raises(ValueError, match="team is 3, not a DecPOMDP"):
        plan(3)


def test_a_model_whose_rows_sum_to_one_only_about_is_bracketed_as_stored():
    """Tables are taken as they are."""
    rng = np.random.default_rng(1)
    base = random_team(rng)
    b = base.branches
    column = b.state * base.n_joint_observations + b.observation
    W = sp.csr_array((b.probability * (1 + 9e-10), column, b.pointer), (12, 12))
    team = DecPOMDP(W, base.rewards, (2, 2), (2, 2), 2, starts=base.starts)
    found = plan(team, restarts=0)
    assert found.lower <= best_of(team) + 1e-12
    assert best_of(team) - 1e-12 <= found.upper


def test_require_trees_is_asked_before_anything_else(monkeypatch):
    """Nothing is allocated before."""
    asked = []
    monkeypatch.setattr("rfos.teams.plan.require_trees", lambda team: asked.append(team) or 1 / 0)
    with pytest.raises(ZeroDivisionError):
        plan(task("dec-tiger", 2))
    assert asked


def test_what_was_left_for_a_high_floor_is_taken_up_for_a_lower_one():
    """The memory of a search knows for which floor it looked."""
    for _, team in shapes(scaled(50)):
        search = Search(team, QMDP(team))
        above = search.run(2 * team.largest_return * np.abs(team.rewards).max())
        assert above.plan == ()
        found = search.run(-math.inf)
        assert found.lower == pytest.approx(best_of(team), rel=1e-9, abs=1e-12)
        assert found.upper == pytest.approx(found.lower, rel=1e-9, abs=1e-9)
