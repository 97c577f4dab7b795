"""The ledger: it counts what exact arithmetic counts, and the theorems' counts hold."""

import json
import math
import tracemalloc
from fractions import Fraction

import domains
import numpy as np
import pytest
import scipy.sparse
import scipy.stats
from exact import ExactMDP, exploring_values, slow_ledger
from strength import scaled
from tabular import dense_of

import bounds.exploration
import bounds.rmax
import bounds.sharp
from rfos.games.named import matching_pennies
from rfos.games.stochastic import one_shot
from rfos.learning.accounts import MARK, ContinuingAccount, EpisodicAccount
from rfos.learning.agents import PaperRmax, Rmax
from rfos.learning.coverage import derived_m, guarantee, theory_m
from rfos.learning.environment import Environment
from rfos.learning.ledger import ledger
from rfos.learning.observer import PlanEvent
from rfos.learning.run import run
from rfos.metagames.grids import SimplexGrid
from rfos.metagames.learners import NaiveLearner
from rfos.metagames.opponents import QLearner, WindowQLearner
from rfos.metagames.policy import PolicyMetaGame
from rfos.metagames.window import WindowMetaGame
from rfos.planning.evaluate import evaluate_policy
from rfos.planning.mdp import TabularMDP
from rfos.planning.solve import solve

FALSE_ALARM = 1e-6
EXACT = WindowMetaGame(matching_pennies(), WindowQLearner(), window=2, discount=0.8)
HIDDEN = WindowMetaGame(matching_pennies(), QLearner(), window=2, discount=0.8, horizon=10)


def assert_rate_at_most(failures: int, runs: int, rate: float) -> None:
    """Exact binomial test; if each run fails with probability `rate` at most, it errs with probability 1e-6."""
    assert scipy.stats.binom.sf(failures - 1, runs, rate) >= FALSE_ALARM, (failures, runs, rate)


def agrees(found, slow) -> None:
    """Certain and possible counts enclose the exact one and differ by ties alone; so do the ends of the sum."""
    assert found.undecided == slow.ties
    assert found.count == slow.count
    if found.exploration is not None:
        low, high = map(Fraction, found.exploration)
        assert low <= slow.exploration <= high
        assert high - low <= Fraction(2, 10**4) * found.trace.n_steps


# It counts right ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("restarts", [False, True])
def test_the_ledger_counts_what_exact_arithmetic_counts(restarts):
    """#{t: V^pi_t(s_t) < V*(s_t) - ε} and Σ e_t of whole runs, step by step in rationals, to the last step."""
    rng = np.random.default_rng(70)
    counts = []
    runs = scaled(32, 12)
    for i in range(runs):
        discount = domains.DISCOUNTS[i % 6]
        n_states, n_actions = int(rng.integers(1, 6)), int(rng.integers(1, 4))
        exact = domains.random_mdp(rng, n_states, n_actions, int(rng.integers(1, 4)), discount, low=0, high=1)
        span = max(map(max, exact.rewards)) - min(map(min, exact.rewards))
        largest = span / (1 - exact.discount)
        epsilon = (largest or Fraction(1, 10)) * Fraction(int(rng.integers(1, 400)), 1009)
        options = {"steps": 250, "horizon": int(rng.integers(1, 6)) if restarts else None, "rng": i}
        agent = Rmax(m=int(rng.integers(1, 5)))
        storage = ("dense", "sparse")[i % 2]
        found = ledger(exact.mdp(storage), agent, epsilon=float(epsilon), **options)
        slow = slow_ledger(exact, agent, epsilon=Fraction(float(epsilon)), storage=storage, **options)
        agrees(found, slow)
        counts.append(found.count)
    assert sum(0 < count < 250 for count in counts) > runs // 4


def test_the_ledger_counts_episodes_as_exact_arithmetic_does():
    """T1-ep: episodes with V_T^pi(s_1) < V_T*(s_1) - ε for the policy at their start."""
    rng = np.random.default_rng(71)
    counts = []
    runs = scaled(24, 12)
    for i in range(runs):
        exact = domains.random_mdp(rng, 4, 2, 2, domains.DISCOUNTS[i % 6], low=0, high=1)
        horizon = int(rng.integers(1, 6))
        epsilon = max(exact.best_return(horizon)) * Fraction(int(rng.integers(1, 400)), 1009)
        options = {"steps": 50 * horizon, "horizon": horizon, "rng": i}
        agent = Rmax(m=int(rng.integers(1, 4)), planning="episode")
        found = ledger(exact.mdp(), agent, epsilon=float(epsilon), **options)
        slow = slow_ledger(exact, agent, epsilon=Fraction(float(epsilon)), storage="dense", **options)
        agrees(found, slow)
        assert found.unit == "episodes"
        counts.append(found.count)
    assert sum(0 < count < 50 for count in counts) > runs // 3


def test_what_no_bracket_can_decide_is_reported_as_undecided():
    """V^pi = V* - ε exactly: such a step is not bad, and floats cannot tell; the first m steps here.

    State 1 is never met: it makes the largest return 4, so that ε is below it.
    """
    mdp = TabularMDP([[0, 0], [1, 1]], [[0.0, 1.0], [-1.0, -1.0]], 0.5)
    found = ledger(mdp, Rmax(m=7), epsilon=2.0, steps=100, starts=[0], rng=1)
    assert (found.count, found.undecided) == (0, 7)
    assert found.ratio == 7 / found.bound


def test_marks_of_many_undecided_steps_do_not_run_into_those_of_bad_ones():
    """bad + 2^26 undecided: told apart up to 2^26 steps of one plan, and enclosed beyond."""
    account = ContinuingAccount(TabularMDP([[0, 0]], [[0.0, 1.0]], 0.5), 2.0)
    account.step_costs.total[0] = 5 + MARK * 7
    account.close(1000)
    assert (account.bad, account.possible) == (5, 12)
    bad, undecided = 2**27, 3
    account = ContinuingAccount(TabularMDP([[0, 0]], [[0.0, 1.0]], 0.5), 2.0)
    account.step_costs.total[0] = bad + MARK * undecided
    account.close(2**28)
    assert account.bad <= bad
    assert account.possible >= bad + undecided


def test_the_sum_of_exploring_is_enclosed_over_many_plans():
    """100,000 plans of one step with the same e, a fifth in quick: both ends against the rational sum, close to it."""
    n = scaled(100_000)
    for e in (0.1, 0.3, 0.7, 1 / 3):
        account = ContinuingAccount(TabularMDP([[0, 0]], [[0.0, 1.0]], 0.5), 0.1)
        for step in range(1, n + 1):
            account.step_costs.total[1] = e
            account.close(step)
        exact = n * Fraction(e)
        assert Fraction(account.low) <= exact <= Fraction(account.high)
        assert account.high - account.low < 1e-5


def test_nothing_is_decided_beyond_the_range_of_floats_and_e_is_0_once_all_is_known():
    """Values above 1e300 leave every state undecided; known pairs need no bracket of e."""
    huge = TabularMDP([[0, 0]], [[0.0, 1e301]], 0.5)
    account = ContinuingAccount(huge, 1e300)
    account.open(PlanEvent(0, 0, np.array([1]), np.ones(2, bool)))
    assert account.step_costs.table[0, 0] == MARK
    account = ContinuingAccount(TabularMDP([[0, 0]], [[0.0, 1.0]], 0.5), 0.1)
    account.open(PlanEvent(0, 0, np.array([1]), np.ones(2, bool)))
    assert account.width > 0
    assert account.step_costs.table[0, 1] <= 1 <= account.step_costs.table[0, 1] + account.width
    account.open(PlanEvent(3, 0, np.array([1]), np.zeros(2, bool)))
    assert (account.width, account.step_costs.table[0, 1]) == (0.0, 0.0)


class Bracketed(ContinuingAccount):
    """An account that keeps the ends of its last brackets."""

    def _value(self, rows):
        self.ends = super()._value(rows)
        return self.ends


@pytest.mark.parametrize("stochastic", [False, True], ids=["pure", "mixed"])
def test_brackets_of_what_is_played_hold_the_exact_values(stochastic):
    """V^pi and e in rationals, where the iteration has converged and nothing but rounding is left to cover."""
    rng = np.random.default_rng(77)
    widths = []
    for i in range(scaled(160)):
        n_states, n_actions = int(rng.integers(1, 6)), int(rng.integers(2, 5))
        exact = domains.random_mdp(rng, n_states, n_actions, 3, domains.DISCOUNTS[i % 4])
        play = shares = rng.integers(0, n_actions, n_states)
        if stochastic:  # in multiples of 2^-53, as softmax play is drawn
            cuts = np.sort(rng.integers(0, 2**53, (n_states, n_actions - 1)), axis=1)
            words = np.diff(cuts, axis=1, prepend=0, append=2**53)
            play, shares = words / 2**53, [[Fraction(int(w), 2**53) for w in row] for row in words]
        unknown = rng.random((n_states, n_actions)) < 0.5
        account = Bracketed(exact.mdp(("dense", "sparse")[i % 2]), 1e-6)
        for _ in range(120):
            account.open(PlanEvent(0, 0, play, unknown.ravel()))
        high, low = account.ends
        for mine, value in zip(account.values[0], exact.value(shares), strict=True):
            assert Fraction(mine) + Fraction(low) <= value <= Fraction(mine) + Fraction(high)
        exploring = exploring_values(exact, shares, frozenset(np.flatnonzero(unknown).tolist()))
        for mine, e in zip(account.step_costs.table[::n_actions, 1], exploring, strict=True):
            assert Fraction(mine) <= e <= Fraction(mine) + Fraction(account.width)
        widths.append((high - low, account.width))
    assert np.max(widths) < 1e-11  # all has converged


def test_the_brackets_of_drawn_play_count_the_terms_of_all_actions():
    """A row of 64 actions with 64 branches: all terms but the first are lost to rounding, more than one action has."""
    discount, n = Fraction(1, 2), 64
    spread = tuple((2 + j, Fraction(1, n), Fraction(0)) for j in range(n))
    home = (((1, Fraction(1), Fraction(0)),), *((spread,) * (n - 1)))
    best, other = ((1, Fraction(1), Fraction(1, 2)),), Fraction(49, 200)  # worth 1, and 0.49 for ever
    others = [(((2 + j, Fraction(1), other),),) * n for j in range(n)]
    exact = ExactMDP((home, (best,) * n, *others), discount)
    # A branch of another action has probability 2^-53, times 0.49: less than half a unit in the last place of 1/2.
    shares = [[1 - (n - 1) * Fraction(n, 2**53), *[Fraction(n, 2**53)] * (n - 1)], *[[Fraction(1, n)] * n] * (n + 1)]
    account = Bracketed(exact.mdp(), 1e-6)
    for _ in range(60):
        account.open(PlanEvent(0, 0, np.array(shares, np.float64), np.zeros(exact.n_states * n, np.bool_)))
    high, low = map(Fraction, account.ends)
    assert Fraction(account.values[0][0]) + low <= exact.value(shares)[0] <= Fraction(account.values[0][0]) + high


def many_states(n_states, n_actions, branching):
    """A sparse MDP whose rows hold so many different successors."""
    rng, pairs = np.random.default_rng(78), n_states * n_actions
    places = (rng.integers(n_states, size=(pairs, 1)) + np.arange(branching)) % n_states
    probability = rng.dirichlet(np.ones(branching), size=pairs)
    rows = scipy.sparse.csr_array((probability.ravel(), (np.repeat(np.arange(pairs), branching), places.ravel())))
    rows.resize(pairs, n_states)
    return TabularMDP(rows, rng.normal(size=(n_states, n_actions)), 0.8)


@pytest.mark.parametrize(("branching", "n_actions"), [(1, 2), (2, 2), (20, 3)])
@pytest.mark.parametrize("play", ["pure", "drawn", "staged"])
def test_the_memory_of_a_ledger_is_asked_for_before_it_is_taken(branching, n_actions, play, monkeypatch):
    """By tracemalloc, through the first evaluation; and not twice as much, where every array is needed."""
    rng, n_states = np.random.default_rng(78), 4000
    mdp = many_states(n_states, n_actions, branching)
    asked = []
    monkeypatch.setattr("rfos.learning.accounts.require_memory", lambda size, *words: asked.append(size))
    choice = rng.integers(0, n_actions, (3, n_states) if play == "staged" else n_states)
    weights = np.full((n_states, n_actions), 1 / n_actions) if play == "drawn" else choice
    for measured in (False, True):  # the first compiles
        tracemalloc.start()
        account = EpisodicAccount(mdp, 0.3, 3) if play == "staged" else ContinuingAccount(mdp, 0.3)
        account.open(PlanEvent(0, 0, weights, np.ones(n_states * n_actions, np.bool_)))
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        if measured:
            assert peak <= asked[-1]
            assert play != "drawn" or asked[-1] < 2 * peak


def test_a_ledger_of_too_many_stages_is_refused_at_once():
    """Planning an episode of 2^40 steps would need terabytes; so does its ledger."""
    mdp = TabularMDP([[0, 0]], [[0.0, 1.0]], 0.5)
    with pytest.raises(MemoryError, match=r"a policy of 1099511627776 stages needs .*: choose a shorter horizon"):
        ledger(mdp, Rmax(m=1, planning="episode"), epsilon=0.1, steps=10, horizon=2**40)


class Checked(ContinuingAccount):
    """An account that checks each evaluation by other means."""

    def __init__(self, mdp, epsilon):
        super().__init__(mdp, epsilon)
        self.transitions, self.rewards = dense_of(mdp)
        self.checked = 0

    def open(self, event):
        super().open(event)
        mdp = self.mdp
        found = evaluate_policy(mdp, event.policy, tol=1e-11)
        gap = self.best.value - found.value - self.epsilon
        clear = abs(gap) > 1e-9
        bad, low = self.step_costs.table[:, :2].reshape(mdp.n_states, -1, 2).transpose(2, 1, 0)
        assert (bad[:, clear] == (gap[clear] > 0)).all()
        weights = np.eye(mdp.n_actions)[event.policy] if event.policy.ndim == 1 else event.policy
        unknown = event.unknown.reshape(mdp.n_states, -1) & np.ones(mdp.n_actions, bool)
        stop = (weights * unknown).sum(axis=1)
        onward = np.einsum("sa,saj->sj", weights * ~unknown, self.transitions)
        exploring = np.linalg.solve(np.eye(mdp.n_states) - mdp.discount * onward, stop)
        assert (low <= exploring + 1e-13).all()
        assert (exploring <= low + self.width + 1e-13).all()
        self.checked += 1


@pytest.mark.parametrize(
    "agent", [Rmax(m=20), Rmax(m=20, pooled=True), PaperRmax(m=20)], ids=["pairs", "pooled", "paper"]
)
def test_every_policy_is_evaluated_as_by_other_solvers(agent):
    """V^pi against `evaluate_policy`, e against a dense solve: pairs, pooled counts, softmax play."""
    for seed in range(4):
        account = Checked(EXACT.to_mdp(), 0.3)
        trace = run(EXACT, agent, steps=4000, rng=seed, observer=account)
        assert account.checked == account.evaluations == trace.plans + 1


@pytest.mark.parametrize("agent", [Rmax(m=9), Rmax(m=9, pooled=True), PaperRmax(m=9)], ids=["pairs", "pooled", "paper"])
def test_a_run_with_a_ledger_is_the_run_without_one(agent):
    """Same seed, same bytes."""
    options = {"episodes": 300, "horizon": 5, "rng": 3}
    with_ledger, plain = ledger(EXACT, agent, epsilon=0.5, **options).trace, run(EXACT, agent, **options)
    for name in ("mean_reward", "known_at", "visits", "branch_counts", "q", "policy"):
        assert getattr(with_ledger, name).tobytes() == getattr(plain, name).tobytes()


# What is promised --------------------------------------------------------------------------------------------------


@pytest.mark.statistical
def test_x1_bounds_the_sum_of_exploring():
    """X1: Pr(Σ e_t > C) <= δ/2, and on average Σ e_t is at most k0/(1-γ), whatever m; corridors come nearest."""
    rng = np.random.default_rng(72)
    delta, failures, ratios = 0.2, 0, []
    runs = [domains.random_mdp(rng, 4, 2, 2, "9/10", low=0, high=1, connected=True) for _ in range(scaled(40))]
    runs += [domains.corridor("9/10", length=6, safe=Fraction(1, 5))] * 4
    for i, exact in enumerate(runs):
        m = int(rng.integers(1, 30))
        found = ledger(exact.mdp(), Rmax(m=m), epsilon=0.5, delta=delta, steps=20_000, starts=[0], rng=i)
        k0 = exact.n_states * exact.n_actions * m
        expected = bounds.exploration.x1().evaluate(explorations=k0, discount="9/10", delta="1/5")
        assert found.exploration_bound == pytest.approx(float(expected), rel=1e-12)
        failures += found.exploration[0] > found.exploration_bound
        ratios.append(found.exploration[1] / (k0 / (1 - 0.9)))
    assert_rate_at_most(failures, len(runs), delta / 2)
    assert np.mean(ratios) < 1


@pytest.mark.parametrize(("n", "m"), [(3, 40), (6, 40), (3, 80)])
def test_far_states_cost_as_many_steps_as_x3_says_and_no_more_than_x1(n, m):
    """X3's family: γ̂nAm(V_max-v)/(8v(1-γ̂)) <= bad steps, and V_max Σ e_t / ε covers them."""
    discount, n_actions, v = Fraction(4, 5), 2, Fraction(1, 2)
    largest = 1 / (1 - discount)
    q = 2 * v * (1 - discount) / (discount * (largest - v))
    exact = domains.far_states(n, n_actions, v, q, discount)
    least = discount * n * n_actions * m * (largest - v) / (8 * v * (1 - discount))
    for seed in range(3):
        options = {"epsilon": 0.45, "steps": int(12 * least), "starts": [0], "rng": seed}
        found = ledger(exact.mdp(), Rmax(m=m), **options)
        assert found.count >= least
        assert found.theorem is None
        assert "below the" in found.reason
        assert found.exploration[1] <= found.exploration_bound


@pytest.mark.statistical
def test_few_steps_are_bad_at_the_m_of_the_theorem():
    """T1, T1 with X1, T1+: at the derived m the count exceeds the smallest of their bounds with probability <= δ."""
    rng = np.random.default_rng(73)
    failures, runs, ratios = 0, 40, []
    for i in range(runs):
        exact = domains.random_mdp(rng, 3, 2, 2, "1/2", connected=True)
        pays = rng.choice([Fraction(0), Fraction(1, 10), Fraction(1)], (3, 2), p=[0.4, 0.4, 0.2])
        pays[0, 0], pays[2, 1] = Fraction(0), Fraction(1)
        mdp = exact.with_rewards(lambda s, a, j, pays=pays: pays[s, a]).mdp()
        found = ledger(mdp, Rmax(epsilon=0.5, delta=0.05), steps=100_000, starts=[0], rng=i)
        assert found.theorem in ("T1 with X1", "T1+")
        failures += found.count + found.undecided > found.bound
        ratios.append(found.ratio)
    assert_rate_at_most(failures, runs, 0.05)
    assert max(ratios) > 0  # something was bad


@pytest.mark.parametrize("pooled", [False, True])
def test_t1_plus_promises_a_run_what_its_family_states(pooled):
    """At its own m, below T1's, it covers alone: ⌊C V_max/(w_esc ε)⌋ steps, with the share that its weights leave."""
    agent = Rmax(epsilon=0.4, delta=0.1, pooled=pooled)
    m = theory_m(EXACT, agent)
    assert m["T1+"] < m["T1"]
    promised = guarantee(Environment(EXACT), agent, m["T1+"], epsilon=0.4, delta=0.1)
    sizes = {"n_states": 16, "n_actions": 2, "branching": 2, "r_max": 1, "discount": "4/5"}
    at = {**sizes, "epsilon": "2/5", "delta": "1/10", **bounds.rmax.default_weights("episodic")}
    family = bounds.sharp.t1_plus(pooled=pooled)
    assert (promised.theorem, m["T1+"]) == ("T1+", family.m.evaluate(**at))
    assert promised.count == pytest.approx(int(family.steps.evaluate(**at)), abs=1)


def test_the_planted_m_is_outside_every_bound():
    """With m = 1 instead of T1's a gamble is judged wrongly in some runs, for ever: more bad steps than promised."""
    P, R = np.zeros((4, 2, 4)), np.zeros((4, 2))
    P[1:, :, 0] = 1
    P[0, 0, 3], P[0, 1, 1], P[0, 1, 2] = 1, 0.4, 0.6
    R[1], R[3] = 1, 0.1
    mdp = TabularMDP(P, R, 0.5)
    # A wrong judgement loses 0.2 in state 0, every other step.
    promised = ledger(mdp, Rmax(epsilon=0.19, delta=0.05), steps=1, rng=0).bound
    found = [ledger(mdp, Rmax(m=1), epsilon=0.19, delta=0.05, steps=5 * promised // 2, rng=i) for i in range(10)]
    assert all(one.theorem is None for one in found)
    outside = [one for one in found if one.count > promised]
    assert 3 <= len(outside) < 10  # a bad draw comes with probability .6
    assert all(one.final_is_optimal is False for one in outside)


def test_deterministic_runs_keep_to_their_bound_with_certainty():
    """T1' and its form for m > 1: at most min(H,|S|) |S||A| m steps are bad."""
    rng = np.random.default_rng(74)
    ratios = []
    for i in range(scaled(40)):
        exact = domains.random_deterministic(rng, int(rng.integers(2, 8)), int(rng.integers(1, 4)), "4/5")
        m = 1 + i % 3
        found = ledger(exact.mdp("deterministic"), Rmax(m=m, epsilon=0.4), steps=4000, starts=[0], rng=i)
        assert found.theorem == "T1'"
        assert found.count + found.undecided <= found.bound
        ratios.append(found.ratio)
    assert max(ratios) > 0.1


def test_restarts_are_covered_by_x4_and_episode_plans_by_t1_ep():
    """The bounds of both hold in all of 20 runs, whose false-alarm rate is far below δ."""
    rng = np.random.default_rng(75)
    for i in range(10):
        exact = domains.random_mdp(rng, 3, 2, 2, "1/2", low=0, high=1)
        options = {"steps": 60_000, "horizon": 3, "rng": i}
        x4 = ledger(exact.mdp(), Rmax(epsilon=0.5, delta=0.05), **options)
        staged = ledger(exact.mdp(), Rmax(epsilon=0.5, delta=0.05, planning="episode"), **options)
        assert (x4.theorem, x4.unit, staged.theorem, staged.unit) == ("X4", "steps", "T1-ep", "episodes")
        assert x4.count + x4.undecided <= x4.bound
        assert staged.count + staged.undecided <= staged.bound
        assert x4.exploration_bound is None
        assert staged.exploration is None


def test_restarts_without_a_theorem_are_named_and_counted():
    """In the corridor that is cut short a third of all steps is bad; no theorem covers it, and the ledger says so."""
    exact = domains.corridor("9/10")
    found = ledger(exact.mdp(), Rmax(m=1, epsilon=1.0), episodes=1000, horizon=3, starts=[0], rng=0)
    assert found.theorem is None
    assert found.bound is found.ratio is None
    assert found.reason.startswith("restarts from few meta-states")
    assert found.count >= 950


def test_a_hidden_opponent_has_no_ledger():
    """Values of windows are not defined there; the row says why."""
    found = ledger(HIDDEN, PaperRmax(), episodes=100, rng=1)
    assert found.theorem is None
    assert "not an MDP (X6 applies; M9, where training sees that state)" in found.reason
    assert found.count is found.exploration is found.final_loss is found.final_is_optimal is None
    assert found.trace.n_steps == 1000
    assert json.loads(json.dumps(found.row()))["count"] is None


def test_window_and_policy_meta_games_have_ledgers():
    """With pooled counts k0 = |S| m (X2); a policy meta-game is run as its MDP."""
    m = derived_m(EXACT, Rmax(epsilon=2.0, pooled=True))
    pooled = ledger(EXACT, Rmax(epsilon=2.0, pooled=True), steps=200_000, rng=1)
    assert pooled.trace.m == m
    k0 = 16 * m
    assert pooled.exploration_bound == pytest.approx(
        float(bounds.exploration.x1().evaluate(explorations=k0, discount="4/5", delta="1/20")), rel=1e-12
    )
    grid = SimplexGrid(1, 2, 4)
    meta_game = PolicyMetaGame(one_shot(matching_pennies()), [NaiveLearner(0.5, "simplex")], [grid, grid], 0.8)
    found = ledger(meta_game, Rmax(m=5), epsilon=0.2, steps=20_000, rng=1)
    assert found.count > 0
    assert found.undecided == 0


def test_final_loss_is_that_of_the_final_policy():
    """Both ends against the solver and a certified evaluation."""
    found = ledger(EXACT, Rmax(m=50), epsilon=0.3, steps=50_000, rng=2)
    mdp = EXACT.to_mdp()
    loss = (solve(mdp).value - evaluate_policy(mdp, found.trace.policy).value).max()
    assert found.final_loss[0] <= loss + 1e-6
    assert found.final_loss[1] >= loss - 1e-6
    assert found.final_is_optimal == (loss <= 0.3)


def test_an_agent_that_plans_too_coarsely_is_not_covered():
    """T1 gives planning 1 % of the epsilon asked for, not of a larger one."""
    found = ledger(EXACT, Rmax(m=10**9, epsilon=0.8), epsilon=0.1, steps=100, rng=1)
    assert found.theorem is None
    assert found.reason == "it plans for an accuracy of 0.8, and epsilon is 0.1"


def test_equal_rewards_leave_nothing_to_lose():
    """Every policy is optimal: no step is bad, and the bound is 0."""
    found = ledger(TabularMDP([[0, 0]], [[1.0, 1.0]], 0.5), Rmax(m=1, epsilon=0.1), steps=10, rng=1)
    assert (found.count, found.bound, found.ratio) == (0, 0, 0.0)


def test_rows_are_plain():
    """They survive JSON unchanged."""
    row = ledger(EXACT, Rmax(epsilon=3.0, delta=0.2), steps=2000, rng=1).row()
    assert json.loads(json.dumps(row)) == row
    assert not any(isinstance(value, float) and math.isnan(value) for value in row.values())


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({}, "epsilon is not given, nor does the agent have one"),
        ({"epsilon": 0.0}, "epsilon is 0.0: give a positive accuracy"),
        ({"epsilon": 0.1, "delta": 1.0}, "delta is 1.0: give a failure probability"),
    ],
)
def test_bad_arguments_are_refused_in_one_sentence(options, message):
    """Before anything runs."""
    with pytest.raises(ValueError, match=message):
        ledger(EXACT, Rmax(m=3), steps=10, **options)
