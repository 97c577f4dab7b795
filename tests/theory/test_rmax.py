"""Canonical R-max: what the algorithm does, T1', T1, T1-ep, and the corridor where T1 fails under resets."""

import functools
import itertools
import math
from fractions import Fraction

import domains
import numpy as np
import pytest
import scipy.stats
from exact import epochs, replay
from strength import scaled
from tabular import dense_of

import bounds.rmax
from rfos.games.named import matching_pennies, standard_prisoners_dilemma
from rfos.games.stochastic import iterated, one_shot
from rfos.learning.agents import PaperRmax, Rmax
from rfos.learning.coverage import coverage, derived_m
from rfos.learning.run import run
from rfos.learning.theorems import PLANNING_SHARE
from rfos.metagames.grids import LevelGrid, SimplexGrid
from rfos.metagames.learners import NaiveLearner
from rfos.metagames.opponents import QLearner, WindowQLearner
from rfos.metagames.policy import PolicyMetaGame
from rfos.metagames.window import WindowMetaGame
from rfos.planning.evaluate import evaluate_policy
from rfos.planning.mdp import TabularMDP
from rfos.planning.solve import solve

FALSE_ALARM = 1e-6
PLAIN = {"bins": 1, "rng": 0}


def assert_rate_at_most(failures: int, runs: int, rate: float) -> None:
    """Exact binomial test; if each run fails with probability `rate` at most, it errs with probability 1e-6."""
    assert scipy.stats.binom.sf(failures - 1, runs, rate) >= FALSE_ALARM, (failures, runs, rate)


def any_deterministic(rng, discount):
    return domains.random_deterministic(rng, int(rng.integers(2, 8)), int(rng.integers(1, 4)), discount)


def v_max(exact) -> Fraction:
    return max(map(max, exact.rewards)) / (1 - exact.discount)


# --- the algorithm -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("discount", ["0", "1/2", "4/5", "999/1000"])
def test_pair_that_leads_only_to_unknown_states_is_worth_its_reward_and_discounted_v_max(discount):
    """Q(s,a) = r + γ V_max for a known pair whose successors are unknown; unknown pairs are worth V_max itself."""
    exact = domains.deterministic([[1, 1], [0, 0]], [["1/4", "1/4"], [1, "1/2"]], discount)
    trace = run(exact.mdp(), Rmax(m=1), steps=1, starts=[0], **PLAIN)
    stored = Fraction(float(exact.discount))
    top = 1 / (1 - stored)
    assert trace.visits.tolist() == [1, 0, 0, 0]
    assert trace.q[0, 0] == pytest.approx(float(Fraction(1, 4) + stored * top), rel=1e-14)
    assert trace.q.ravel()[1:] == pytest.approx([float(top)] * 3, rel=1e-15)


def test_largest_value_is_not_rounded_below_the_true_one():
    """Unknown pairs are worth at least r_max/(1-γ), compared in rational arithmetic, and hardly more."""
    rng = np.random.default_rng(30)
    for discount in (*rng.random(200).tolist(), *(0.5 - 2.0**-54 * rng.integers(1, 2000, 200)).tolist()):
        reward = float(rng.normal())
        mdp = TabularMDP([[0], [1]], [[reward], [reward]], discount)
        top = Fraction(float(run(mdp, Rmax(m=1), steps=1, starts=[0], **PLAIN).q[1, 0]))
        exact = Fraction(reward) / (1 - Fraction(discount))
        assert exact <= top <= exact + abs(exact) * Fraction(1, 10**15)


def test_largest_returns_of_episodes_are_not_rounded_below_the_true_ones():
    """With j steps to go an unknown pair is worth at least r_max(1-γ^j)/(1-γ), in rational arithmetic."""
    rng = np.random.default_rng(29)
    for discount in rng.random(60).tolist():
        reward, horizon = float(rng.normal()), int(rng.integers(1, 40))
        mdp = TabularMDP([[0], [1]], [[reward], [reward]], discount)
        agent = Rmax(m=1, planning="episode")
        top = Fraction(float(run(mdp, agent, steps=1, horizon=horizon, starts=[0], **PLAIN).q[1, 0]))
        exact = Fraction(reward) * sum(Fraction(discount) ** k for k in range(horizon))
        assert exact <= top <= exact + abs(exact) * Fraction(horizon, 10**15)


def test_unknown_pairs_of_episodes_are_worth_the_largest_rest():
    """T1-ep: an unknown pair is worth V_j = (1-γ^j)/(1-γ) with j steps to go, a known one r + γ V_{j-1}."""
    exact = domains.deterministic([[1, 1], [0, 0]], [["1/4", "1/4"], [1, "1/2"]], "4/5")
    trace = run(exact.mdp(), Rmax(m=1, planning="episode"), steps=1, starts=[0], horizon=3, **PLAIN)
    assert trace.q[0].tolist() == pytest.approx([0.25 + 0.8 * 1.8, 1 + 0.8 + 0.64], rel=1e-14)


@pytest.mark.parametrize("planning", ["stationary", "episode"])
def test_optimistic_value_never_drops_below_the_optimum_when_the_model_is_exact(planning):
    """max_a Q >= V* (or V*_T) at every plan, where m = 1 makes the model of a deterministic MDP exact."""
    rng = np.random.default_rng(31)
    for i in range(scaled(60)):
        exact = any_deterministic(rng, domains.DISCOUNTS[i % 8])
        options = {"starts": [0]} if planning == "stationary" else {"horizon": 4}
        _, planned = epochs(exact.mdp(), Rmax(m=1, planning=planning), steps=400, rng=i, **options)
        best = exact.v_star if planning == "stationary" else exact.best_return(4)
        rounding = 1e-14 * float(v_max(exact)) / (1 - float(exact.discount))
        for _, trace in planned:
            assert (trace.q.max(axis=1) >= np.array([float(x) for x in best]) - rounding).all()


@pytest.mark.parametrize("discount", [0.0, 0.5, 0.9, 0.99, 0.999, 0.9999])
def test_ties_go_to_the_unknown_action(discount):
    """All actions pay the maximum for ever: after m visits of one the next is taken, although all are worth V_max."""
    for reward in (1.0, 0.3, 7.0):
        mdp = TabularMDP([[0, 0, 0]], [[reward] * 3], discount)
        trace = run(mdp, Rmax(m=2), steps=6, **PLAIN)
        assert trace.visits.tolist() == [2, 2, 2]
        assert trace.known_at.tolist() == [2, 4, 6]  # unknown ties by the lower index


def test_estimates_are_frozen_at_m():
    """Counts never pass m, and those of a known pair are the same ever after."""
    rng = np.random.default_rng(32)
    for i in range(scaled(10)):
        mdp = domains.random_mdp(rng, 4, 2, 3, "4/5", low=0, high=1, connected=True).mdp()
        final, planned = epochs(mdp, Rmax(m=7), steps=20_000, rng=i)
        assert final.visits.max() == 7
        assert (final.branch_counts.sum(axis=1) == final.visits).all()
        for time, trace in planned:
            known = (trace.known_at > 0) & (trace.known_at <= time)
            assert (final.branch_counts[known] == trace.branch_counts[known]).all()


def test_agent_plans_only_when_something_becomes_known():
    """One plan for each pair that became known, and the policy stays as it is between two plans."""
    rng = np.random.default_rng(33)
    for i in range(scaled(10)):
        mdp = domains.random_mdp(rng, 4, 2, 3, "4/5", low=0, high=1, connected=True).mdp()
        final, planned = epochs(mdp, Rmax(m=5), steps=5_000, rng=i)
        assert final.plans == np.count_nonzero(final.known_at) == len(planned)
        for (_, before), (time, _) in itertools.pairwise(planned):
            late = run(mdp, Rmax(m=5), steps=time - 1, bins=1, rng=i)
            assert (late.policy == before.policy).all()


# --- T1': deterministic --------------------------------------------------------------------------------------------


def count_bad_steps(exact, agent, *, steps, epsilon, **options) -> int:
    """Number of steps with V^{pi_t}(s_t) < V*(s_t) - epsilon.

    The replay ends with the last plan if the final policy is good everywhere, since no step after that is bad.
    """

    @functools.cache
    def bad_states(policy):
        values = exact.value(policy)
        return [v < best - epsilon for v, best in zip(values, exact.v_star, strict=True)]

    final = run(exact.mdp(), agent, steps=steps, bins=1, **options)
    if not any(bad_states(tuple(final.policy.tolist()))):
        steps = max(1, int(final.known_at.max()))
    path = replay(exact.mdp(), agent, steps=steps, **options)
    return sum(bad_states(tuple(policy.tolist()))[state] for _, state, _, policy in path)


def test_deterministic_mdp_has_few_bad_steps_with_certainty():
    """T1': with m = 1 at most min(H, |S|) |S||A| steps are not ε-optimal, H = ⌈ln(V_max/((1-w_plan)ε))/ln(1/γ)⌉."""
    rng = np.random.default_rng(34)
    bad = []
    for i in range(scaled(60)):
        exact = any_deterministic(rng, domains.DISCOUNTS[1 + i % 5])
        epsilon = v_max(exact) * Fraction(1, int(rng.integers(3, 30)))
        agent = Rmax(epsilon=float(epsilon), delta=0.1)
        ratio = float(v_max(exact) / ((1 - PLANNING_SHARE) * epsilon))
        horizon = max(1, math.ceil(math.log(ratio) / -math.log(exact.discount)))
        bound = min(horizon, exact.n_states) * exact.n_states * exact.n_actions
        start = int(rng.integers(exact.n_states))
        bad.append(count_bad_steps(exact, agent, steps=3 * bound + 50, epsilon=epsilon, starts=[start], rng=i))
        assert derived_m(exact.mdp(), agent) == 1
        assert bad[-1] <= bound, (exact, start)
    assert max(bad) > 5  # it does have to explore


def test_one_visit_is_not_enough_where_successors_are_random():
    """T1' needs B = 1: after one visit each, .9 against .5 looks wrong with probability .1·.5 and stays so."""
    arms = tuple(((0, Fraction(k, 10), Fraction(0)), (1, Fraction(10 - k, 10), Fraction(0))) for k in (9, 5))
    # State 0 pays 1 whatever is done: the reward of an action is where it leads.
    exact = domains.ExactMDP((arms, arms), Fraction(1, 2)).with_rewards(lambda s, a, j: 1 - s)
    assert exact.optimum[1] == [0, 0]
    final = [run(exact.mdp(), Rmax(m=1), steps=200, bins=1, rng=i) for i in range(100)]
    losses = [exact.v_star[0] - exact.value(trace.policy.tolist())[0] for trace in final if trace.known[-1] == 4]
    assert sum(loss > Fraction(1, 10) for loss in losses) >= 1


# --- T1' in policy meta-games --------------------------------------------------------------------------------------


def pennies_meta_game(levels, rounding, step=0.3):
    grid = SimplexGrid(1, 2, levels)
    return PolicyMetaGame(one_shot(matching_pennies()), [NaiveLearner(step, "simplex")], [grid] * 2, 0.9, rounding)


def dilemma_meta_game(rounding):
    grid = LevelGrid(5, (0.1, 0.9))
    ipd = iterated(standard_prisoners_dilemma(), 0.96)
    return PolicyMetaGame(ipd, [NaiveLearner()], [grid] * 2, 0.9, rounding)


def count_bad_steps_of_table(mdp, agent, *, steps, start, rng):
    """Number of steps with V^{pi_t}(s_t) < V*(s_t) - epsilon, and whether the last policy is bad at its state."""
    best = solve(mdp, tol=1e-10).upper
    transitions, rewards = dense_of(mdp)
    at = np.arange(mdp.n_states)

    @functools.cache
    def bad_states(policy):
        system = np.eye(mdp.n_states) - mdp.discount * transitions[at, list(policy)]
        return np.linalg.solve(system, rewards[at, list(policy)]) < best - agent.epsilon - 1e-9

    path = replay(mdp, agent, steps=steps, starts=[start], rng=rng)
    bad = [bool(bad_states(tuple(policy.tolist()))[state]) for _, state, _, policy in path]
    return sum(bad), bad[-1]


@pytest.mark.parametrize("levels", [4, 7, 10])
@pytest.mark.parametrize("step", [0.3, 0.7])
def test_nearest_policy_meta_games_of_pennies_have_few_bad_steps_with_certainty(levels, step):
    """T1': m = 1 and at most min(H, |S|) |S||A| steps with V^{pi_t}(s_t) < V*(s_t) - ε, from every start."""
    mdp = pennies_meta_game(levels, "nearest", step).to_mdp()
    agent = Rmax(epsilon=0.2)
    covered = coverage(mdp, agent)
    assert covered.theorem == "T1'"
    assert derived_m(mdp, agent) == 1
    for start in range(0, mdp.n_states, 3):
        bad, at_last = count_bad_steps_of_table(mdp, agent, steps=40 * (levels + 1) ** 2, start=start, rng=start)
        assert 0 < bad <= covered.bad_steps
        assert not at_last


def test_the_nearest_policy_meta_game_of_the_iterated_dilemma_has_few_bad_steps_with_certainty():
    """T1' with 32 meta-states and 32 meta-actions: at most min(H, 32)·1024 steps, the last policy good where it is."""
    mdp = dilemma_meta_game("nearest").to_mdp()
    agent = Rmax(epsilon=1.0)
    covered = coverage(mdp, agent)
    assert (covered.theorem, derived_m(mdp, agent)) == ("T1'", 1)
    for start in (0, 9, 31):
        bad, at_last = count_bad_steps_of_table(mdp, agent, steps=3000, start=start, rng=start)
        assert 0 < bad <= covered.bad_steps
        assert not at_last


def test_observed_barycentric_meta_games_learn_from_one_visit_to_a_pair():
    """T1' with X1: m = 1; all but C·V_max/((1-w_plan)ε) steps are ε-optimal; δ/2 = 5e-8 in each of 20 runs."""
    for i in range(scaled(20)):
        mdp = pennies_meta_game(4 + i % 4, "barycentric", 0.1 + 0.05 * i).to_mdp()
        agent = Rmax(epsilon=0.2, delta=1e-7)
        covered = coverage(mdp, agent)
        assert (covered.theorem, derived_m(mdp, agent)) == ("T1' with X1", 1)
        bad, at_last = count_bad_steps_of_table(mdp, agent, steps=2000, start=i % mdp.n_states, rng=i)
        assert 0 < bad <= covered.bad_steps
        assert not at_last


def test_with_restarts_everywhere_one_visit_to_each_pair_solves_a_policy_meta_game():
    """X4 with m = 1: all pairs become known, and the final policy is ε-optimal in every meta-state."""
    for meta_game in (
        *(pennies_meta_game(10, r) for r in ("nearest", "barycentric")),
        dilemma_meta_game("barycentric"),
    ):
        agent = Rmax(epsilon=0.1)
        trace = run(meta_game, agent, steps=40 * meta_game.n_states * meta_game.n_actions, horizon=1, **PLAIN)
        assert trace.m == 1
        assert trace.coverage.theorem == "X4"
        assert trace.all_known_at is not None
        mdp = meta_game.to_mdp()
        earned = evaluate_policy(mdp, trace.policy, tol=1e-9).lower
        assert (earned >= solve(mdp, tol=1e-9).upper - agent.epsilon).all()


def test_t1_s_certain_number_of_steps_is_false_where_successors_are_random():
    """m = 1 carries over to rows that a visit reveals, min(H, |S|) |S||A| does not: trying for a rare successor is bad.

    X3's family: home pays .05 a step; to try pays nothing and leads to a far state with probability 1/86, which pays
    nothing either. While the far state has an unknown action, trying looks better. X1 counts it right.
    """
    chance = Fraction(1, 86)
    safe, leap = ((0, Fraction(1), Fraction(0)),), ((0, 1 - chance, Fraction(0)), (1, chance, Fraction(0)))
    prize = ((2, Fraction(1), Fraction(0)),)  # never reached; it says what the largest reward is
    exact = domains.ExactMDP(((safe, leap), (safe, safe), (prize, prize)), Fraction(9, 10))
    exact = exact.with_rewards(lambda s, a, j: (Fraction(1, 20) if a == 0 else 0, 0, 1)[s])
    plain = exact.mdp()
    mdp = TabularMDP(plain.storage, plain.rewards, plain.discount, row_feedback=True)
    epsilon = Fraction(1, 4)
    agent = Rmax(epsilon=float(epsilon), delta=1e-7)
    covered = coverage(mdp, agent)
    ratio = float(10 / ((1 - PLANNING_SHARE) * epsilon))
    certain = min(math.ceil(math.log(ratio) / math.log(10 / 9)), 3) * 6
    counts = []
    for i in range(30):
        tried = run(mdp, agent, steps=10_000, starts=[0], bins=1, rng=i)
        policy = tuple(tried.policy.tolist())
        assert exact.value(policy)[0] == exact.v_star[0]
        # Every step before the far state is known in full is one of a policy that tries, and worth nothing.
        counts.append(count_bad_steps_of_table(mdp, agent, steps=int(tried.known_at.max()), start=0, rng=i)[0])
    assert max(counts) > 10 * certain
    assert max(counts) <= covered.bad_steps


# --- T1: continuing, stochastic ------------------------------------------------------------------------------------


def t1_values(mdp, agent, kind):
    return {
        "n_states": mdp.n_states,
        "n_actions": mdp.n_actions,
        "branching": mdp.branching,
        "epsilon": agent.epsilon,
        "delta": agent.delta,
        "discount": mdp.discount,
        "r_max": 1,
        **bounds.rmax.default_weights(kind),
    }


def small_mdps(count, seed, discount="1/2"):
    """Connected MDPs of 3 states, 2 actions, 2 successors; rewards 0, 1/10 or 1, both ends attained."""
    rng = np.random.default_rng(seed)
    for _ in range(count):
        exact = domains.random_mdp(rng, 3, 2, 2, discount, connected=True)
        pays = rng.choice([Fraction(0), Fraction(1, 10), Fraction(1)], (3, 2), p=[0.4, 0.4, 0.2])
        pays[0, 0], pays[2, 1] = Fraction(0), Fraction(1)
        yield exact.with_rewards(lambda s, a, j, pays=pays: pays[s, a])


@pytest.mark.statistical
def test_all_but_few_steps_are_epsilon_optimal():
    """T1: at the derived m, Pr(more than H·N steps with V^{pi_t}(s_t) < V*(s_t) - ε) <= δ."""
    agent = Rmax(epsilon=0.5, delta=0.05)
    failures, runs = 0, scaled(40, 16)
    for i, exact in enumerate(small_mdps(runs, seed=35)):
        mdp = exact.mdp()
        assert coverage(mdp, agent).theorem == "T1"
        promised = bounds.rmax.t1().evaluate(**t1_values(mdp, agent, "continuing"))
        assert derived_m(mdp, agent) == promised["m"]
        assert promised["steps"] < 2 * 10**6
        bad = count_bad_steps(exact, agent, steps=2 * promised["steps"], epsilon=Fraction(1, 2), starts=[0], rng=i)
        failures += bad > promised["steps"]
    assert_rate_at_most(failures, runs, agent.delta)


@pytest.mark.statistical
def test_final_policy_is_epsilon_optimal_where_all_states_recur():
    """T1: where every policy meets every state for ever, the last policy is ε-optimal in all states, save with δ."""
    agent = Rmax(epsilon=0.3, delta=0.05)
    failures, runs = 0, scaled(200)
    for i, exact in enumerate(small_mdps(runs, seed=36)):
        mdp = exact.mdp()
        policy = run(mdp, agent, steps=400_000, bins=1, rng=i).policy.tolist()
        failures += any(v < best - Fraction(3, 10) for v, best in zip(exact.value(policy), exact.v_star, strict=True))
    assert_rate_at_most(failures, runs, agent.delta)


# --- restarts ------------------------------------------------------------------------------------------------------

CORRIDOR = domains.corridor("9/10")
HORIZON = 3


def corridor_bad_steps(episodes: int) -> int:
    """Steps more than 1 short of V* in a run that restarts in state 0 every 3 steps."""
    agent = Rmax(m=1, epsilon=1.0)
    options = {"steps": HORIZON * episodes, "horizon": HORIZON, "starts": [0]}
    return _count_with_restarts(CORRIDOR, agent, Fraction(1), **options)


def _count_with_restarts(exact, agent, epsilon, **options) -> int:
    value = functools.lru_cache(maxsize=None)(exact.value)
    return sum(
        value(tuple(policy.tolist()))[state] < exact.v_star[state] - epsilon
        for _, state, _, policy in replay(exact.mdp(), agent, **options)
    )


def test_t1_is_false_under_resets():
    """T1 does not survive restarts every T < H steps: in the corridor a third of all steps is bad for ever."""
    deterministic_bound = 22 * CORRIDOR.n_states * CORRIDOR.n_actions  # H = ⌈ln 10.1/ln(10/9)⌉ = 22
    counts = [corridor_bad_steps(episodes) for episodes in (500, 1000, 2000)]
    assert np.diff(counts).tolist() == [500, 1000]
    assert counts[2] > deterministic_bound * 3
    assert counts[2] >= 2000 - CORRIDOR.n_states * CORRIDOR.n_actions


def test_corridor_without_resets_is_learned():
    """The same corridor, one trajectory: T1' holds, a few steps are bad and none after that."""
    agent = Rmax(m=1, epsilon=1.0)
    options = {"epsilon": Fraction(1), "starts": [0]}
    counts = [count_bad_steps(CORRIDOR, agent, steps=steps, **options) for steps in (500, 5000)]
    assert counts[0] == counts[1] <= CORRIDOR.n_states**2 * CORRIDOR.n_actions


def test_stationary_agent_walks_the_corridor_for_ever():
    """Its reward per step is 0 in the long run; the safe loop would pay .3."""
    trace = run(CORRIDOR.mdp(), Rmax(m=1), episodes=10_000, horizon=HORIZON, starts=[0], bins=10, rng=0)
    assert trace.mean_reward[1:].tolist() == [0.0] * 9


def test_episode_planning_passes_the_corridor():
    """T1-ep: planned for the rest of the episode, at most |S||A| episodes are bad (m = 1), the rest earn .3."""
    agent = Rmax(m=1, planning="episode")
    trace = run(CORRIDOR.mdp(), agent, episodes=10_000, horizon=HORIZON, starts=[0], bins=100, rng=0)
    assert trace.mean_reward[1:] == pytest.approx(np.full(99, 0.3), rel=1e-12)
    bad = count_bad_episodes(CORRIDOR, agent, episodes=500, epsilon=Fraction(1, 10), horizon=HORIZON, rng=0)
    assert 1 <= bad <= CORRIDOR.n_states * CORRIDOR.n_actions


def count_bad_episodes(exact, agent, *, episodes, epsilon, horizon, rng) -> int:
    """Number of episodes whose policy at the start has V_T^pi(0) < V*_T(0) - epsilon; all start in state 0."""
    best = exact.best_return(horizon)[0]

    @functools.cache
    def is_bad(policy):
        return exact.staged_return(policy)[0] < best - epsilon

    def key(policy):
        return tuple(map(tuple, policy.tolist()))

    options = {"horizon": horizon, "starts": [0], "rng": rng}
    final = run(exact.mdp(), agent, episodes=episodes, bins=1, **options)
    if not is_bad(key(final.policy)):
        episodes = -(-int(final.known_at.max()) // horizon)
    path = replay(exact.mdp(), agent, steps=episodes * horizon, **options)
    return sum(is_bad(key(policy)) for _, _, stage, policy in path if stage == 0)


@pytest.mark.statistical
def test_all_but_few_episodes_are_epsilon_optimal():
    """T1-ep: at the derived m, Pr(more than N episodes with V_T^pi(s_1) < V*_T(s_1) - ε) <= δ; all start in state 0."""
    agent = Rmax(epsilon=0.4, delta=0.05, planning="episode")
    failures, runs = 0, scaled(40, 16)
    for i, exact in enumerate(small_mdps(runs, seed=37)):
        mdp = exact.mdp()
        assert coverage(mdp, agent, horizon=HORIZON, starts=[0]).theorem == "T1-ep"
        values = t1_values(mdp, agent, "episodic")
        promised = bounds.rmax.t1_episodic().evaluate(**values, horizon=HORIZON)
        assert derived_m(mdp, agent, horizon=HORIZON, starts=[0]) == promised["m"]
        bad = count_bad_episodes(
            exact, agent, episodes=2 * promised["episodes"], epsilon=Fraction(2, 5), horizon=HORIZON, rng=i
        )
        failures += bad > promised["episodes"]
    assert_rate_at_most(failures, runs, agent.delta)


def test_coverage_says_in_words_which_theorem_holds():
    """Every case of the theory has its theorem, or the reason why none applies."""
    stochastic = domains.random_mdp(np.random.default_rng(38), 3, 2, 2, "1/2").mdp()
    agent = Rmax(m=1)
    assert coverage(CORRIDOR.mdp(), agent).theorem == "T1'"
    assert coverage(stochastic, agent).theorem == "T1"
    assert coverage(stochastic, agent, horizon=3).theorem == "X4"
    for mdp in (CORRIDOR.mdp(), stochastic):
        lost = coverage(mdp, agent, horizon=3, starts=[0])
        assert lost.theorem is None
        assert "T1 is false" in lost.reason
        assert "T1-ep" in lost.reason
    assert coverage(CORRIDOR.mdp(), Rmax(m=1, planning="episode"), horizon=3, starts=[0]).theorem == "T1-ep"
    trace = run(CORRIDOR.mdp(), agent, episodes=5, horizon=3, starts=[0], **PLAIN)
    assert "T1 is false" in trace.coverage.reason
    hidden = WindowMetaGame(matching_pennies(), QLearner(), window=1, discount=0.8)
    assert "hidden" in coverage(hidden, agent).reason
    exact = WindowMetaGame(matching_pennies(), WindowQLearner(), window=1, discount=0.8)
    assert coverage(exact, PaperRmax()).theorem is None
    assert coverage(exact, Rmax(m=1, pooled=True)).theorem == "T1"
