"""Learning a centralised model: the statements M1K to M5 on runs, exploration against brute force, messages."""

import dataclasses
import itertools
import math

import numpy as np
import pytest
from strength import scaled

from rfos._system.randomness import stream
from rfos.teams.baselines import TITLES, baseline, episodes_ratio
from rfos.teams.counts import Experience
from rfos.teams.evaluate import evaluate
from rfos.teams.explore import explore
from rfos.teams.guarantee import branching_of, guarantee, model_error, simulation_error
from rfos.teams.marco import marco, report_times
from rfos.teams.marco_result import Stop, Uncovered
from rfos.teams.model import DecPOMDP
from rfos.teams.plan import plan
from rfos.teams.policies import constant_policy, random_policy
from rfos.teams.tasks import TASKS, task
from rfos.teams.world import layout


def random_team(seed, states=3, actions=(2, 2), observations=(2, 2), horizon=2, branches=3):
    """A team whose pairs have few successors, rewards in [0, 1] that are both attained."""
    rng = np.random.default_rng(seed)
    a, o = math.prod(actions), math.prod(observations)
    W = np.zeros((states * a, states * o))
    for row in W:
        row[rng.choice(len(row), branches, replace=False)] = rng.dirichlet(np.ones(branches))
    R = rng.uniform(size=(states, a))
    R.flat[0], R.flat[-1] = 0, 1
    return DecPOMDP(W.reshape(states, a, states, o), R, actions, observations, horizon, starts=np.eye(states)[0])


def optimum(team):
    found = plan(team)
    return found.lower, found.upper


# M1K and M4: brackets --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("m", [10, 40])
def test_brackets_hold_the_best_value_with_the_error_that_the_model_has(m):
    """M4 as an inequality of each run: L - sigma(t) <= V <= U + sigma(t) with the true t of the known rows."""
    for seed in range(scaled(24, 5)):
        team = random_team(seed)
        best = optimum(team)
        for explore_by in ("centralised", "optimism", "uniform"):
            run = marco(
                team, epsilon=0.4, m=m, explore=explore_by, episodes=256, report_every=64, optimum=best, rng=seed
            )
            for r in run.reports:
                assert r.lower - r.sigma_of_error - 1e-9 <= best[0], (seed, explore_by, r)
                assert best[1] <= r.upper + r.sigma_of_error + 1e-9, (seed, explore_by, r)
                assert r.bracket_low - 1e-9 <= best[0]
                assert best[1] <= r.bracket_high + 1e-9


@pytest.mark.jit
def test_brackets_close_with_episodes():
    """The width of M4's bracket falls as counts grow, though nothing is frozen yet."""
    team = random_team(1)
    run = marco(team, epsilon=0.4, m=10**6, episodes=2**15, optimum=optimum(team), rng=0)
    width = [r.bracket_high - r.bracket_low for r in run.reports]
    assert run.reports[-1].known == 0
    assert width[-1] < 0.25 * width[0]
    assert all(b <= a + 0.02 for a, b in itertools.pairwise(width))
    for r in run.reports[-5:]:  # a union over the numbers of visits is a smaller failure probability for each
        assert r.visits < run.m
        assert r.sigma == pytest.approx(model_error(team, r.visits, 0.1 / run.m, n_rows=13).value)


@pytest.mark.parametrize("rewards", ["known", "sampled"])
def test_the_error_of_a_model_is_within_what_theory_allows(rewards):
    """P1: no known row is farther from the truth than its radius, in any of the runs (allowed: delta/2 each)."""
    for seed in range(scaled(100, 20)):
        team = random_team(seed)
        experience = Experience(team, m=50, rewards=rewards, rng=seed)
        while experience.episodes < 300:
            experience.play(until=300)
        counts = experience.counts()
        allowed = model_error(team, 50, 0.01, n_rows=counts.n_rows, rewards=rewards)
        t, rho = counts.error()
        assert t <= allowed.transitions
        assert rho <= allowed.rewards


@pytest.mark.jit
def test_what_theory_certifies_is_epsilon_optimal():
    """M4: at the theorem's m the plan at the stop is epsilon-optimal, and a bracket is at most epsilon wide then."""
    for seed in range(scaled(10, 3)):
        team = random_team(seed, states=2, actions=(2, 1), observations=(1, 1), branches=2)
        best = optimum(team)
        run = marco(team, epsilon=1.0, delta=1e-6, episodes=10**6, report_every=10**6, optimum=best, rng=seed)
        assert (run.theorem, run.stop) == ("M2 with M4", Stop.EXPLORED)
        assert run.episodes <= run.numbers.episodes
        assert best[1] - run.value <= run.epsilon
        assert run.reports[-1].upper - run.reports[-1].lower + 2 * run.reports[-1].sigma <= run.epsilon


# M2: exploration -------------------------------------------------------------------------------------------------


def escape_value(counts, action):
    """g of a Markov policy by its definition: expected discounted steps from the first unknown pair on."""
    team, rows = counts.team, counts.layout.rows
    at = {0: 1.0} if counts.known[-1] else {}
    total = 0.0 if at else team.largest_return
    for h in range(team.horizon):
        after = {}
        for s, p in at.items():
            pair = s * team.n_joint_actions + action[h][s]
            if not counts.known[pair]:
                total += p * sum(team.discount**k for k in range(h, team.horizon))
                continue
            for slot in range(rows.pointer[pair], rows.pointer[pair + 1]):
                q = p * counts.seen[slot] / counts.m
                after[int(rows.state[slot])] = after.get(int(rows.state[slot]), 0.0) + q
        at = after
    return total


def test_exploration_finds_the_largest_escape_value_of_all_policies():
    """M2's maximum over Markov policies, against all of them one by one; -1 stands for an unknown joint action."""
    checked = 0
    for seed in range(scaled(40, 12)):
        team = random_team(seed, states=2, actions=(2,), observations=(2,), branches=2)
        experience = Experience(team, m=2, rng=seed)
        while experience.episodes < 1 + seed % 6:
            experience.play(until=1 + seed % 6)
        counts = experience.counts()
        found = explore(counts)
        policies = itertools.product(range(2), repeat=4)
        values = [escape_value(counts, np.array(p).reshape(2, 2)) for p in policies]
        assert found.gap == pytest.approx(max(values), abs=1e-12)
        checked += 0 < found.gap < team.largest_return
    assert checked, "some are between nothing and everything"


def test_hindsight_explores_by_policies_of_the_class_and_stops():
    """The best policy of the class in the model of zero rewards is played, until it meets nothing unknown."""
    team = random_team(3)
    run = marco(team, epsilon=0.6, m=5, states="hindsight", episodes=4000, optimum=optimum(team), rng=1)
    assert run.stop is Stop.EXPLORED
    last = run.reports[-1]
    assert last.upper - last.lower <= run.numbers.stop + 2 * last.sigma + 1e-9


@pytest.mark.parametrize("digits", [4, 6])
def test_a_lock_is_opened_within_a_hundred_episodes(digits):
    """M6a: with states seen, at most H(|A|-1)+1 episodes; every policy is certified with m = 1."""
    lock = task("lock", agents=2, actions=3, digits=digits)
    for seed in range(scaled(5, 2)):
        run = marco(lock, epsilon=0.5, optimum=(1.0, 1.0), rng=seed)
        assert (run.m, run.stop, run.value, run.theorem) == (1, Stop.EXPLORED, 1.0, "M2 with M4")
        assert run.episodes <= digits * 8 + 1
        assert run.reports[-1].bracket_low == pytest.approx(1, abs=1e-9)
        assert run.reports[-1].bracket_high == pytest.approx(1, abs=1e-9)
    blind = marco(lock, epsilon=0.5, explore="uniform", episodes=100, optimum=(1.0, 1.0), rng=0)
    assert blind.value < 1


# M5: optimism ----------------------------------------------------------------------------------------------------


@pytest.mark.jit
def test_optimism_plays_bad_policies_no_more_often_than_m5_allows():
    """M5: at most N episodes are not epsilon-optimal at the theorem's m; with delta = 1e-6 a violation is a fault."""
    bad = 0
    for seed in range(scaled(300, 30)):
        team = random_team(seed, states=2, actions=(2, 1), observations=(1, 1), branches=1 + seed % 2)
        best = optimum(team)
        run = marco(
            team,
            epsilon=1.0,
            delta=1e-6,
            explore="optimism",
            episodes=30_000,
            report_every=10_000,
            optimum=best,
            rng=seed,
        )
        assert run.theorem == "M5"
        assert run.bad_episodes <= run.numbers.episodes
        bad += run.bad_episodes
        assert run.stop is Stop.CERTIFIED
        assert run.value >= best[1] - run.epsilon
    assert bad, "some episodes are bad, so that something was counted"


def test_optimism_loses_no_more_than_model_error_and_escapes():
    """M5's step: V - V(played) <= 2 sigma(t) + V_H Pr(escape), here with g_M, for each policy that is played."""
    for seed in range(scaled(24, 6)):
        team = random_team(seed)
        best = optimum(team)
        run = marco(team, epsilon=0.5, m=10, explore="optimism", episodes=400, report_every=20, optimum=best, rng=seed)
        for r in run.reports:
            # The gap is at least g of the played policy in the learned model, and g_M <= g + sigma(t, 0).
            assert best[0] - r.value <= 3 * r.sigma_of_error + r.gap + 1e-9


def test_deterministic_optimism_is_bad_in_at_most_as_many_episodes_as_there_are_pairs():
    """M5': known deterministic start, W and r deterministic, m = 1: all but |S||A| episodes are optimal, certainly."""
    for seed in range(scaled(40, 10)):
        team = random_team(seed, branches=1)
        best = optimum(team)
        run = marco(team, epsilon=1e-3, m=1, explore="optimism", known_start=True, optimum=best, rng=seed)
        assert run.bad_episodes <= team.rewards.size
        assert run.value == pytest.approx(best[0])


# Counts ----------------------------------------------------------------------------------------------------------


def test_optimism_is_not_covered_where_a_plan_was_not_known_to_be_the_best():
    """M5 is about best plans: an upper end that is .1 too high, as of a planner that was stopped, leaves it open."""

    class Stopped:
        def __init__(self, found):
            self.policy, self.upper = found.policy, found.upper + 0.1

    lock = task("lock", agents=1, digits=2)
    arguments = {"epsilon": 0.5, "explore": "optimism", "rng": 0}
    assert marco(lock, **arguments).theorem == "M5"
    stopped = marco(lock, planner=lambda model: Stopped(plan(model)), **arguments)
    assert (stopped.theorem, stopped.uncovered) == (None, Uncovered.OPEN_PLANS)


def test_pooled_rows_learn_from_all_their_pairs():
    """M8-pool: the switch riddle's rows are those of the occupant's action, 3 of 27 a state."""
    riddle = task("switch-riddle")
    keys = TASKS["switch-riddle"].row_keys(riddle)
    assert Experience(riddle, m=1, row_keys=keys).counts().n_rows < riddle.rewards.size / 8
    team = DecPOMDP(np.full((2, 2, 2, 1), 0.5), [[0.0, 1.0]] * 2, (2,), (1,), horizon=4)
    experience = Experience(team, m=100, row_keys=[7, 7, 7, 7], rng=0)
    experience.play(until=10)
    assert experience.counts().visits.tolist() == [40, 10]


def test_the_model_of_enough_visits_is_the_truth_but_for_its_error():
    """Values in the learned model differ by at most sigma of its true error (M1), for random policies."""
    team = random_team(5)
    experience = Experience(team, m=200, rng=2)
    while not experience.counts().known.all():
        experience.play(explore(experience.counts()).action, until=10**6)
    counts = experience.counts()
    sigma = simulation_error(team, *counts.error(), known_start=False)
    for seed in range(scaled(50, 10)):
        policy = random_policy(team, np.random.default_rng(seed))
        apart = abs(evaluate(team, policy).value - evaluate(counts.model(0.0), policy).value)
        assert 0 < apart <= sigma
    assert counts.error()[0] < 0.2


def test_one_seed_gives_one_run():
    """Same seed, same reports; another seed, others. A run is its seed's whatever was run before."""
    team = random_team(0)
    runs = [marco(team, epsilon=0.5, m=5, episodes=64, optimum=(0, 2), rng=seed).to_frame() for seed in (3, 3, 4)]
    assert runs[0].equals(runs[1])
    assert not runs[0].equals(runs[2])


def test_results_are_frozen_and_show_themselves():
    run = marco(random_team(0), epsilon=0.5, m=5, episodes=64, optimum=(0, 2), rng=1)
    with pytest.raises(dataclasses.FrozenInstanceError):
        run.m = 3
    with pytest.raises(ValueError, match="read-only"):
        run.counts.visits[0] = 1
    assert "\n" not in repr(run)
    assert run.uncovered is Uncovered.FEWER_VISITS
    assert "No theorem covers the run: m is smaller than the theorem's" in run._repr_html_().replace("&#x27;", "'")
    assert list(run.to_frame()["episodes"])[-1] == run.episodes


# Numbers ---------------------------------------------------------------------------------------------------------


def test_m5_takes_fewer_episodes_than_m2():
    """To leading order 2.25 times fewer (M5, leading order)."""
    tiger = task("dec-tiger")
    m2, m5 = (guarantee(tiger, 10.0, 0.1, explore=how).episodes for how in ("centralised", "optimism"))
    assert m2 / m5 == pytest.approx(2.25, rel=0.05)
    assert branching_of(tiger, known_start=True) == 8


def test_error_after_the_theorems_visits_is_what_its_share_allows():
    """2 sigma(t(m)) <= w_sim epsilon at the derived m, and above it one visit before."""
    team = random_team(0)
    for how, share in (("centralised", 4 / 9), ("optimism", 2 / 3)):
        found = guarantee(team, 0.4, 0.1, explore=how)
        after, before = (model_error(team, m, 0.1, n_rows=13).value for m in (found.m, found.m - 1))
        assert 2 * after <= share * 0.4 * (1 + 1e-9) < 2 * before * (1 + 1e-6)


# Rivals ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("method", TITLES)
def test_rivals_find_an_easy_optimum(method):
    """One step: every method ends with the best joint action; each value is one that a policy earns."""
    team = DecPOMDP(np.ones((1, 4, 1, 1)), [[0.1, 0.0, 0.0, 1.0]], (2, 2), (1, 1), horizon=1)
    found = baseline(team, method, epsilon=0.5, m=20, episodes=4000, optimum=(1.0, 1.0), rng=0)
    assert set(found.values) <= {0.0, 0.1, 1.0}
    assert found.values[-1] == (0.1 if method == "none" else 1.0), "who does not explore keeps what it met first"
    assert (found.episodes_until_optimal is None) == (method == "none")
    assert found.episodes == tuple(report_times(None, 4000))


@pytest.mark.jit
def test_trajectory_reuse_estimates_each_policys_value():
    """The weighted mean A^H * sum / N is the value, to within five standard errors."""
    from rfos._kernels.team_play import reuse_episodes
    from rfos.teams.world import tree_numbers

    team = random_team(2)
    policies = [constant_policy(team, a) for a in itertools.product(range(2), repeat=2)]
    flat = np.array([tree_numbers(team, policy).action for policy in policies])
    taken = np.array(list(itertools.product(range(2), repeat=2)))
    sums, n = np.zeros(4), 20_000
    reuse_episodes(layout(team).world, tree_numbers(team), flat, taken, np.empty(4, np.bool_), sums, 1.0, stream(0), n)
    wide = 5 * 2 * 4 / math.sqrt(n)  # returns of at most 2, weights 16 with probability 1/16
    for estimate, policy in zip(16 * sums / n, policies, strict=True):
        assert abs(estimate - evaluate(team, policy).value) <= wide


def test_ratios_of_episodes_are_intervals():
    """By hand: logarithms 0 and log 4 have mean log 2; one seed has no interval; none of ours, no ratio."""
    found = episodes_ratio([10, 10], [10, 40], 100)
    assert found.value == pytest.approx(2)
    assert found.low < 1 < 2 < found.high
    assert found.low * found.high == pytest.approx(4)
    assert math.log(found.high / 2) == pytest.approx(12.7062 * math.log(4) / 2, rel=1e-4), "t of one degree of freedom"
    assert math.isinf(episodes_ratio([10], [None], 100).high)
    assert episodes_ratio([10], [None], 100).value == pytest.approx(10)
    assert episodes_ratio([None, 10], [10, 10], 100) is None


# Messages --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"epsilon": 0}, "epsilon is 0: give a number between 0 and the range of returns, 2"),
        ({"epsilon": 2.5}, "epsilon is 2.5"),
        ({"delta": 1}, "delta is 1: give a failure probability"),
        ({"m": 0}, "m is 0: give a whole number"),
        ({"m": True}, "m is True"),
        ({"explore": "greedy"}, "explore is 'greedy': choose among centralised, optimism, uniform, none"),
        ({"states": "never"}, "states is 'never'"),
        ({"policies": "full"}, "policies is 'full'"),
        ({"episodes": 0}, "episodes is 0"),
        ({"report_every": 0}, "report_every is 0"),
        ({"plan_seconds": 0}, "plan_seconds is 0: give a positive number"),
        ({"planner": 5}, "planner is 5, not a function"),
        ({"row_keys": [1, 2]}, r"row_keys has shape \(2,\)"),
        ({"row_keys": np.zeros(12, int)}, "laws of next state and observation differ"),
        ({"rewards": "noisy"}, "rewards are 'noisy'"),
        ({"team": 5}, "team is 5, not a DecPOMDP"),
    ],
)
def test_messages_name_the_value_and_the_mend(change, says):
    given = {"team": random_team(0), "epsilon": 0.5} | change
    with pytest.raises(ValueError, match=says):
        marco(given.pop("team"), **given)


def test_rewards_that_are_all_equal_are_refused():
    team = DecPOMDP(np.ones((1, 2, 1, 1)), [[1.0, 1.0]], (2,), (1,), horizon=1)
    with pytest.raises(ValueError, match="every policy is optimal"):
        marco(team, epsilon=0.5)
    with pytest.raises(ValueError, match="method is 'dqn'"):
        baseline(random_team(0), "dqn", epsilon=0.5)
