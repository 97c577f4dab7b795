"""Window meta-games: pure actions suffice (G3), pooled counts (X2), random restarts (X4)."""

from fractions import Fraction

import domains
import numpy as np
import pytest
import scipy.stats
from exact import ExactMDP

import bounds.rmax
from rfos.games.named import matching_pennies
from rfos.learning.agents import PaperRmax, Rmax
from rfos.learning.coverage import coverage, derived_m
from rfos.learning.run import run
from rfos.learning.theorems import PLANNING_SHARE
from rfos.metagames.opponents import QLearner, WindowQLearner
from rfos.metagames.window import WindowMetaGame
from rfos.planning.evaluate import evaluate_policy
from rfos.planning.solve import solve

FALSE_ALARM = 1e-6


def assert_rate_at_most(failures: int, runs: int, rate: float) -> None:
    """Exact binomial test; if each run fails with probability `rate` at most, it errs with probability 1e-6."""
    assert scipy.stats.binom.sf(failures - 1, runs, rate) >= FALSE_ALARM, (failures, runs, rate)


# --- G3 ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("n_actions", [(2, 2), (2, 3), (3, 2), (2, 2, 2)])
@pytest.mark.parametrize("discount", ["1/2", "9/10"])
def test_pure_actions_suffice_in_exact_window_games(n_actions, discount):
    """G3: V* with all mixed actions of 4 levels = V* with the pure ones, exactly, at every window."""
    rng = np.random.default_rng(41)
    for _ in range(8):
        game = domains.random_game(rng, n_actions)
        n_states, n_joint = int(np.prod(n_actions)), int(np.prod(n_actions[1:]))
        law = [domains.random_law(rng, n_joint) for _ in range(n_states)]
        pure = domains.exact_window_game(game, law, discount)
        mixed = domains.exact_window_game(game, law, discount, levels=4)
        assert pure.n_actions == n_actions[0] < mixed.n_actions
        assert pure.v_star == mixed.v_star


def test_window_game_is_the_one_that_the_theory_describes():
    """The package's window-1 meta-game has the exact value of the MDP written down by hand."""
    rng = np.random.default_rng(42)
    for _ in range(20):
        game = domains.random_game(rng)
        opponent = domains.random_memory_one(rng, game)
        meta = WindowMetaGame(game, opponent, window=1, discount=0.75)
        law = [[Fraction(round(20 * p), 20) for p in row] for row in meta.opponents_play.tolist()]
        exact = domains.exact_window_game(game, law, "3/4")
        solution = solve(meta.to_mdp(), tol=1e-10)
        assert all(
            low - 1e-14 <= x <= high + 1e-14
            for low, x, high in zip(solution.lower, map(float, exact.v_star), solution.upper, strict=True)
        )


def test_mixed_actions_gain_when_they_are_held():
    """G3 fails for policies held over two steps: reward "the two own actions differ" is 0 pure and ½ mixed."""
    levels = 4

    def held(share):  # expected reward of the second step, by enumeration of the two own actions
        pair = [(a, b) for a in (0, 1) for b in (0, 1)]
        return sum((share if a else 1 - share) * (share if b else 1 - share) * Fraction(int(a != b)) for a, b in pair)

    def game(shares):
        return ExactMDP(((tuple(((0, Fraction(1), held(p)),) for p in shares)),), Fraction(1, 2))

    pure = game([Fraction(0), Fraction(1)])
    mixed = game([Fraction(i, levels) for i in range(levels + 1)])
    assert pure.v_star == [0]
    assert mixed.v_star == [Fraction(1, 2) / (1 - Fraction(1, 2))]
    assert solve(mixed.mdp()).policy.tolist() == [2]


# --- X2 ------------------------------------------------------------------------------------------------------------


def loss(meta, policy) -> float:
    """Largest V* - V^pi, certified from above."""
    mdp = meta.to_mdp()
    return float((solve(mdp, tol=1e-9).upper - evaluate_policy(mdp, policy, tol=1e-9).lower).max())


def window_games(count, seed, n_actions=(2, 2), horizon=None):
    """Window-1 games with random payoffs in [0, 1], both ends attained, against random memory-one opponents."""
    rng = np.random.default_rng(seed)
    for _ in range(count):
        game = domains.random_game(rng, n_actions)
        yield WindowMetaGame(game, domains.random_memory_one(rng, game), window=1, discount=0.5, horizon=horizon)


def values_of(meta, agent):
    return {
        "n_states": meta.n_states,
        "n_actions": meta.n_actions,
        "branching": meta.branching,
        "epsilon": agent.epsilon,
        "delta": agent.delta,
        "discount": meta.discount,
        "r_max": 1,
    }


def test_pooled_counts_explore_for_all_actions_at_once():
    """X2: an unknown meta-state is visited |Ŝ|m times in all, not |Ŝ||Â|m, and then every action is known."""
    for i, meta in enumerate(window_games(10, seed=43, n_actions=(3, 2))):
        trace = run(meta, Rmax(m=9, pooled=True), steps=30_000, bins=1, rng=i)
        assert trace.visits.shape == (meta.n_states,)
        assert trace.visits.sum() <= meta.n_states * 9
        apart = run(meta, Rmax(m=9), steps=30_000, bins=1, rng=i)
        assert apart.visits.shape == (meta.n_states * meta.n_actions,)
        assert (trace.branch_counts.sum(axis=1) == trace.visits).all()
        assert trace.plans <= meta.n_states


@pytest.mark.statistical
@pytest.mark.parametrize("n_actions", [(2, 2), (3, 2)])
def test_pooled_agent_is_epsilon_optimal_in_the_promised_fraction_of_runs(n_actions):
    """X2 with T1: with k0 = |Ŝ|m and unions over |Ŝ|, the last policy is ε-optimal at all windows, save with δ."""
    agent = Rmax(epsilon=0.4, delta=0.05, pooled=True)
    failures, runs = 0, 60
    for i, meta in enumerate(window_games(runs, seed=44, n_actions=n_actions)):
        m = derived_m(meta, agent)
        assert m == bounds.rmax.t1(pooled=True).m.evaluate(**values_of(meta, agent), **WEIGHTS)
        assert m < derived_m(meta, Rmax(epsilon=0.4, delta=0.05))
        # Restarts meet every window for ever, whatever the shaper plays.
        trace = run(meta, Rmax(epsilon=0.4, delta=0.05, m=m, pooled=True), steps=300_000, horizon=5, bins=1, rng=i)
        assert trace.all_known_at is not None
        failures += loss(meta, trace.policy) > agent.epsilon
    assert_rate_at_most(failures, runs, agent.delta)


WEIGHTS = bounds.rmax.default_weights("continuing")


# --- X4 ------------------------------------------------------------------------------------------------------------


def x4_of(meta, agent, m, *, softmax):
    delta = agent.delta
    values = {"n_states": meta.n_states, "n_actions": meta.n_actions, "m": m, "horizon": meta.horizon, "delta": delta}
    return bounds.rmax.x4(softmax=softmax).evaluate(**values)


def outside_x4(meta, agent, *, softmax, seeds) -> int:
    """Number of runs in which the pairs are not all known within X4's upper end; the lower end must always hold."""
    failures = 0
    for seed in range(seeds):
        bracket = x4_of(meta, agent, agent.m, softmax=softmax)
        trace = run(meta, agent, episodes=bracket["upper"], bins=1, rng=seed)
        if trace.all_known_at is None:
            failures += 1
        else:
            assert -(-trace.all_known_at // meta.horizon) >= bracket["lower"]
    return failures


@pytest.mark.statistical
@pytest.mark.parametrize(
    "opponent", [QLearner(), QLearner(reset=True), WindowQLearner()], ids=["hidden", "reset", "window"]
)
@pytest.mark.parametrize("agent", [Rmax(m=15, delta=0.2), PaperRmax(m=15, delta=0.2)], ids=["greedy", "paper"])
def test_restarts_make_all_pairs_known_within_the_bracket(opponent, agent):
    """X4: ⌈k0/T⌉ <= episodes until all known, always, and <= N_ep with probability 1-δ/2; no Markov property needed."""
    meta = WindowMetaGame(matching_pennies(), opponent, window=2, discount=0.8, horizon=10)
    runs = 150
    failures = outside_x4(meta, agent, softmax=isinstance(agent, PaperRmax), seeds=runs)
    assert_rate_at_most(failures, runs, agent.delta / 2)


@pytest.mark.statistical
def test_upper_end_of_the_bracket_is_nearly_attained_by_episodes_of_one_step():
    """X4 at T = 1: only starts count, so the failure rate lies just below δ/2 (the union bound is the only loss)."""
    meta = WindowMetaGame(matching_pennies(), QLearner(), window=1, discount=0.8, horizon=1)
    agent = Rmax(m=5, delta=0.5)
    runs = 600
    failures = outside_x4(meta, agent, softmax=False, seeds=runs)
    assert_rate_at_most(failures, runs, agent.delta / 2)
    # By Bonferroni, and since counts of different states are negatively associated.
    share = agent.delta / 2 / 4
    n = x4_of(meta, agent, agent.m, softmax=False)["upper"]
    single = scipy.stats.binom.cdf(2 * 5 - 1, n, 1 / 4)
    assert share * 0.8 < single <= share
    least = 4 * single - 6 * single**2
    assert scipy.stats.binom.cdf(failures, runs, least) >= FALSE_ALARM, (failures, runs, least)


@pytest.mark.statistical
def test_restarted_agent_is_epsilon_optimal_in_the_promised_fraction_of_runs():
    """X4: with w_sim = 1 - w_plan and uniform restarts, after N_ep episodes the policy is ε-optimal, save with δ."""
    agent = Rmax(epsilon=0.3, delta=0.05)
    failures, runs = 0, 100
    rng = np.random.default_rng(46)
    for i in range(runs):
        exact = domains.random_mdp(rng, 4, 2, 2, "1/2", low=0, high=1)
        pays = rng.choice([Fraction(0), Fraction(1, 10), Fraction(1)], (4, 2), p=[0.4, 0.4, 0.2])
        pays[0, 0], pays[2, 1] = Fraction(0), Fraction(1)
        exact = exact.with_rewards(lambda s, a, j, pays=pays: pays[s, a])
        mdp = exact.mdp()
        assert coverage(mdp, agent, horizon=3).theorem == "X4"
        m = derived_m(mdp, agent, horizon=3)
        weights = {"w_plan": PLANNING_SHARE, "w_sim": 1 - PLANNING_SHARE, "w_hor": 0, "w_esc": 0}
        assert m == bounds.rmax.t1().m.evaluate(**values_of(mdp, agent), **weights)
        sizes = {"n_states": 4, "n_actions": 2, "m": m, "horizon": 3, "delta": agent.delta}
        n_episodes = bounds.rmax.x4().upper.evaluate(**sizes)
        policy = run(mdp, agent, episodes=n_episodes, horizon=3, bins=1, rng=i).policy.tolist()
        values = zip(exact.value(policy), exact.v_star, strict=True)
        failures += any(v < best - Fraction(3, 10) for v, best in values)
    assert_rate_at_most(failures, runs, agent.delta)
