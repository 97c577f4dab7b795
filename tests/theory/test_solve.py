"""Every method, on every storage, against rational arithmetic and other solvers."""

import sys
import warnings
from fractions import Fraction

import domains
import numpy as np
import pytest
import scipy.optimize
import scipy.sparse as sp
from domains import encloses, instances
from exact import ExactMDP
from strength import FULL, scaled
from tabular import dense_of

from rfos._system import threads
from rfos._system.threads import Threads
from rfos.games.normal_form import NormalFormGame
from rfos.games.stochastic import one_shot
from rfos.metagames.grids import LevelGrid
from rfos.metagames.learners import NaiveLearner
from rfos.metagames.tables import Dynamics, OnTheFly, fill, reward_bounds
from rfos.planning import exact as exact_module
from rfos.planning import iteration
from rfos.planning.evaluate import evaluate_policy
from rfos.planning.exact import exact_optimum
from rfos.planning.iteration import Iteration
from rfos.planning.mdp import TabularMDP
from rfos.planning.solution import Accuracy
from rfos.planning.solve import METHODS, solve

ITERATIVE = ("value_iteration", "policy_iteration", "modified_policy_iteration")
DISCOUNTS = tuple(Fraction(x) for x in ("1/2", "2/3", "9/10", "29/30", "99/100", "999/1000", "2999/3000", "9999/10000"))


@pytest.mark.parametrize(
    ("method", "count", "seed"),
    [("auto", 7000, 21), ("modified_policy_iteration", 2000, 22), ("value_iteration", 1000, 23)],
)
def test_certified_interval_holds_the_exact_optimum(method, count, seed):
    """lower <= V* <= upper in rational arithmetic: 10,000 MDPs of 2 to 8 states, 1 to 4 actions, discounts to .9999.

    Rewards have both signs, numbers are rationals that floats only approximate. All but "auto" may stop early.
    """
    for exact, mdp in instances(count if FULL else count // 12, seed, DISCOUNTS):
        solution = solve(mdp, method, 1e-4, max_iterations=None if method == "auto" else 100)
        assert encloses(solution.lower, solution.upper, exact.v_star), (mdp, exact)
        assert solution.converged or method != "auto", mdp
        assert solution.converged == bool((solution.upper - solution.lower <= 1e-4).all())


def other_optimum(mdp):
    """V* by SciPy's LP and by QuantEcon's policy iteration."""
    transitions, rewards = dense_of(mdp)
    rows = mdp.discount * transitions - np.eye(mdp.n_states)[:, None, :]
    done = scipy.optimize.linprog(
        np.ones(mdp.n_states), rows.reshape(-1, mdp.n_states), -rewards.ravel(), bounds=(None, None)
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        markov = pytest.importorskip("quantecon.markov")
        other = markov.DiscreteDP(rewards, transitions, mdp.discount)
        return done.x, other.solve(method="policy_iteration").v


def agree(mdp, others):
    """All methods that take the storage are within 1e-6 of other values."""
    for method in METHODS:
        solution = solve(mdp, method, tol=1e-7)
        assert solution.method == method or method == "auto"
        for other in others:
            assert solution.value == pytest.approx(other, abs=1e-6)


def test_methods_and_storages_agree_with_each_other_and_with_other_solvers():
    """500 MDPs of all storages: every method, and the dense form, within 1e-6 of SciPy's LP and of QuantEcon."""
    for _, mdp in instances(500 if FULL else 40, 24, tuple(g for g in DISCOUNTS if g < Fraction(999, 1000))):
        others = other_optimum(mdp)
        agree(mdp, others)
        transitions, rewards = dense_of(mdp)
        assert solve(TabularMDP(transitions, rewards, mdp.discount), tol=1e-7).value == pytest.approx(
            others[0], abs=1e-6
        )


@pytest.mark.parametrize("nearest", [False, True])
def test_methods_agree_on_tables_of_policies_and_without_one(nearest):
    """Every method on 20 random meta-games of policies, in a table and on the fly, within 1e-6 of the other solvers."""
    rng = np.random.default_rng(31)
    grid = LevelGrid(1, (0.1, 0.4, 0.7, 0.9))
    for _ in range(scaled(20)):
        game = one_shot(NormalFormGame(rng.normal(size=(2, 2, 2))))
        dynamics = Dynamics.of(game, NaiveLearner(float(rng.uniform(0.1, 3))), (grid, grid))
        rewards, table = fill(dynamics, nearest)
        mdp = TabularMDP(table, rewards, 0.9)
        others = other_optimum(mdp)
        agree(mdp, others)
        agree(TabularMDP(OnTheFly(dynamics, nearest), reward_bounds(game), 0.9), others)


def test_actions_are_ruled_out_by_the_whole_width_of_the_bracket(monkeypatch):
    """An optimal action may fall short by all but nothing of the bracket's width: 0.999 of it would rule that one out.

    State 0 chooses between an absorbing state whose value is 1 above v and one whose value is 1 below it.
    """
    monkeypatch.setattr(iteration, "REDUCED", 10)
    discount, best = 0.9, np.array([1.9, 0.0])
    rewards = np.array([[0.0, 0.9 * 1.9 - 1e-5], [0.19] * 2, [0.0] * 2])  # action 0 is better by 1e-5
    mdp = TabularMDP([[1, 2], [1, 1], [2, 2]], rewards, discount)
    for share, stays in ((1.0, True), (0.999, False)):
        steps = Iteration(mdp, Threads(1))
        steps.table = np.empty((3, 2), np.float32)
        values = np.array([0.0, best[0] - 1, best[1] + 1])
        values[0] = (rewards[0] + discount * values[[1, 2]]).max()
        backed_up = np.empty(3)
        change = steps.improve(values, backed_up, np.zeros(3, np.int64))
        width = discount / (1 - discount) * change.span
        assert width == pytest.approx(2 * discount)
        steps.rule_out(backed_up, change, share * width)
        assert steps.candidates is not None
        assert (0 in steps.candidates.action[steps.candidates.state == 0]) == stays


def test_only_actions_that_are_not_optimal_are_ruled_out(monkeypatch):
    """300 MDPs: an action whose exact Q* is V* is never left out; in 100 or more some action is."""
    seen = []
    rule_out = Iteration.rule_out

    def spy(self, *arguments):
        rule_out(self, *arguments)
        seen.append(self)

    monkeypatch.setattr(Iteration, "rule_out", spy)
    monkeypatch.setattr(iteration, "LITTLE", 100)
    monkeypatch.setattr(iteration, "REDUCED", 10)
    reduced = 0
    for exact, mdp in instances(scaled(300), 25, DISCOUNTS[:6]):
        seen.clear()
        solve(mdp, "modified_policy_iteration", 1e-8)
        left = seen[-1].candidates if seen else None
        if left is not None:
            reduced += 1
            kept = set(zip(left.state.tolist(), left.action.tolist(), strict=True))
            q = exact.q(exact.v_star)
            for s, row in enumerate(q):
                assert {(s, a) for a, value in enumerate(row) if value == exact.v_star[s]} <= kept
    assert reduced >= scaled(100)


def test_an_evaluation_that_lessens_no_improvement_pauses(monkeypatch):
    """On a 40 x 40 grid news of the goal spreads by one cell a backup: most backups go without an evaluation."""
    evaluated = []
    chain = Iteration.chain
    monkeypatch.setattr(Iteration, "chain", lambda steps, policy: evaluated.append(0) or chain(steps, policy))
    row, column = divmod(np.arange(1600), 40)
    moves = ((-1, 0), (0, 1), (1, 0), (0, -1))
    moved = [np.clip(row + down, 0, 39) * 40 + np.clip(column + right, 0, 39) for down, right in moves]
    successor = np.stack(moved, axis=1)
    goal = 28 * 40 + 12
    successor[goal] = goal
    rewards = np.full((1600, 4), -1.0)
    rewards[goal] = 0.0
    solution = solve(TabularMDP(successor, rewards, 0.999), "modified_policy_iteration", 1e-6)
    distance = abs(row - 28) + abs(column - 12)
    assert solution.value == pytest.approx(-(1 - 0.999**distance) / 0.001, abs=1e-6)
    assert solution.converged
    assert len(evaluated) < solution.iterations / 2


def test_evaluations_that_are_needed_do_not_pause():
    """Stages that are left with probability .01: each next action pays only once the policy's value has come near."""
    stages, move = 30, 0.01
    successor = [[s, s, min(s + 1, stages - 1)] for s in range(stages) for _ in range(2)]
    law = [[1.0, 0.0, 0.0], [0.0, 1 - move, move]] * stages
    start = np.arange(0, 6 * stages + 1, 3)
    rows = sp.csr_array((np.ravel(law), np.ravel(successor), start), (2 * stages, stages))
    rewards = np.tile([0.0, -move / 1e-4 / stages / 2], (stages, 1))
    rewards[-1] = 1.0
    solution = solve(TabularMDP(rows, rewards, 0.9999), "modified_policy_iteration", 1e-6)
    assert solution.converged
    assert solution.iterations < 60


def test_exact_solutions_are_exact():
    """`exact` is V* of the stored floats with rows divided by their sums; lower and upper are floats around it."""
    for i, (_, mdp) in enumerate(instances(scaled(120), 25)):
        rows = exact_module.rational(mdp)
        exact = ExactMDP(
            tuple(
                tuple(tuple((j, p, r) for j, p in branches.items()) for branches, r in zip(row, rewards, strict=True))
                for row, rewards in zip(*rows, strict=True)
            ),
            Fraction(mdp.discount),
        )
        solution = solve(mdp, "exact")
        assert solution.exact == tuple(exact.v_star), i
        assert solution.accuracy is Accuracy.EXACT
        assert exact.value(solution.policy.tolist()) == exact.v_star
        assert encloses(solution.lower, solution.upper, exact.v_star)
        assert (np.nextafter(solution.lower, np.inf) >= solution.upper).all()
        assert [float(x) for x in exact.v_star] == solution.value.tolist()
        certified = solve(mdp, "modified_policy_iteration", max_iterations=50)
        assert encloses(certified.lower, certified.upper, exact.v_star)


def test_rationals_may_be_given_as_they_are(monkeypatch):
    """Thirds are thirds; the answer does not depend on python-flint."""
    rng = np.random.default_rng(26)
    for _ in range(scaled(60)):
        exact = domains.random_mdp(rng, int(rng.integers(2, 7)), 3, 3, Fraction(2999, 3000))
        transitions = [[{} for _ in row] for row in exact.rows]
        for s, row in enumerate(exact.rows):
            for a, branches in enumerate(row):
                for j, p, _ in branches:
                    transitions[s][a][j] = transitions[s][a].get(j, 0) + p
        values, policy, _ = exact_optimum(transitions, exact.rewards, exact.discount)
        assert values == exact.v_star
        assert exact.value(policy) == values
        with monkeypatch.context() as patch:
            patch.setitem(sys.modules, "flint", None)
            assert exact_optimum(transitions, exact.rewards, exact.discount)[0] == values


def large_mdp(rng, n_states, discount):
    """Large enough that sweeps are split and chains are swept, not solved: half of the states walk, half jump."""
    ahead = np.minimum(np.arange(n_states) + 1, n_states - 1)
    successor = np.stack([ahead, rng.integers(0, n_states, n_states)], axis=1)
    rewards = rng.uniform(-1, 1, (n_states, 2))
    return TabularMDP(successor, rewards, discount)


def test_results_do_not_depend_on_the_number_of_threads(monkeypatch):
    """The same bytes with 1, 2 and 5 threads."""
    mdp = large_mdp(np.random.default_rng(27), 12_000, 0.99)
    found = []
    for count in (1, 2, 5):
        monkeypatch.setattr(threads, "processors", lambda count=count: count)
        for method in ("value_iteration", "modified_policy_iteration"):
            solution = solve(mdp, method, tol=1e-3)
            found.append(solution.lower.tobytes() + solution.upper.tobytes() + solution.policy.tobytes())
    assert found[0::2] == [found[0]] * 3
    assert found[1::2] == [found[1]] * 3


@pytest.mark.parametrize("discount", [0.0, 0.9, 0.999])
def test_large_methods_agree(discount):
    """Sweeps, sparse LU and value iteration on 3000 states: brackets of the same V* overlap, all converged."""
    mdp = large_mdp(np.random.default_rng(28), 3000, discount)
    solutions = [solve(mdp, method, tol=1e-5) for method in ITERATIVE]
    assert all(solution.converged for solution in solutions)
    lower = np.max([solution.lower for solution in solutions], axis=0)
    upper = np.min([solution.upper for solution in solutions], axis=0)
    assert (lower <= upper).all()
    best = solutions[2]
    earned = evaluate_policy(mdp, best.policy, tol=1e-5)
    assert earned.converged
    assert (earned.upper >= best.lower).all()
    assert (earned.lower <= best.upper).all()


def test_a_warm_start_saves_backups():
    """From V* itself one backup proves it; from the neighbouring discount fewer are needed than from zero."""
    mdp = large_mdp(np.random.default_rng(29), 3000, 0.99)
    cold = solve(mdp, "modified_policy_iteration")
    assert solve(mdp, "modified_policy_iteration", initial=cold.value).iterations < cold.iterations


def test_a_tolerance_below_rounding_ends_and_says_so():
    """tol = 1e-300: not converged, soon, and the bracket is as narrow as rounding allows."""
    for exact, mdp in instances(scaled(40), 30):
        for method in ITERATIVE[1:]:
            solution = solve(mdp, method, tol=1e-300)
            assert encloses(solution.lower, solution.upper, exact.v_star)
            assert solution.converged == bool((solution.upper - solution.lower <= 1e-300).all())
            size = max(map(abs, mdp.reward_range)) / (1 - mdp.discount)
            assert (solution.upper - solution.lower).max() <= 1e-12 * (1 + size) / (1 - mdp.discount)


def test_equations_that_rounding_makes_singular_are_swept():
    """P = 1 + 2^-31 at discount 1/P: I - discount P is 0 in floats; the bracket holds and nothing is raised."""
    row = 1 + 2.0**-31
    mdp = TabularMDP([[[row]]], [[1.0]], 1 / row)
    solution = solve(mdp, "policy_iteration", max_iterations=5)
    assert encloses(solution.lower, solution.upper, [1 / (1 - Fraction(1 / row))])
    assert not solution.converged
