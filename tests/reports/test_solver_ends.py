"""Solvers end, say why, and their brackets hold at every scale that floats have."""

from __future__ import annotations

import math
from collections.abc import Callable
from fractions import Fraction

import numpy as np
import pytest
import scipy.sparse as sp
from exact import ExactMDP

from rfos._system.threads import Threads
from rfos.planning import bracketing, equations
from rfos.planning import exact as exact_module
from rfos.planning.certificates import bracket
from rfos.planning.equations import Equations, lu_size
from rfos.planning.evaluate import evaluate_policy
from rfos.planning.iteration import SWEEP, Iteration
from rfos.planning.mdp import TabularMDP
from rfos.planning.solution import Ended, Solution
from rfos.planning.solve import METHODS, solve
from rfos.planning.storages import Chain

LARGEST = float(np.finfo(np.float64).max)
DISCOUNTS = (0.0, 5e-324, 1e-300, 0.1, 0.5, 0.9, 0.99, 1 - 1e-6, 1 - 1e-12, 1 - 2.0**-51, 1 - 2.0**-52, 1 - 2.0**-53)
NEAR_ONE = 1 - 1e-6


def holds(low: float, value: float, high: float, exact: Fraction) -> bool:
    """No end is NaN, none is an infinity on the wrong side, and all is in order; the value is finite."""
    below = low == -math.inf or (math.isfinite(low) and Fraction(low) <= exact)
    above = high == math.inf or (math.isfinite(high) and exact <= Fraction(high))
    return below and above and math.isfinite(value) and low <= value <= high


def assert_holds(found: Solution, exact: list[Fraction]) -> None:
    ends = zip(found.lower.tolist(), found.value.tolist(), found.upper.tolist(), exact, strict=True)
    for low, value, high, x in ends:
        assert holds(low, value, high, x), (low, value, high, x)


def size(rng: np.random.Generator, low: int, high: int) -> float:
    """Return a number whose binary exponent is uniform, of either sign or 0."""
    return float(np.ldexp(rng.uniform(0.5, 1), rng.integers(low, high)) * rng.choice([-1, 0, 1], p=[0.45, 0.1, 0.45]))


def extreme(rng: np.random.Generator) -> tuple[ExactMDP, TabularMDP]:
    """Return an MDP of 1 to 5 states in rationals and in floats; probabilities are multiples of 1/4, so both agree."""
    n_states, n_actions = int(rng.integers(1, 6)), int(rng.integers(1, 4))
    discount = float(rng.choice(DISCOUNTS))
    middle = int(rng.choice([-1070, -1020, -500, 0, 500, 1000, 1024]))
    span = (-1073, 1025) if rng.random() < 0.4 else (max(-1073, middle - 3), min(1024, middle) + 1)
    rewards = [[size(rng, *span) for _ in range(n_actions)] for _ in range(n_states)]
    law = rng.multinomial(4, np.full(n_states, 1 / n_states), (n_states, n_actions)) / 4
    rows = tuple(
        tuple(
            tuple((j, Fraction(float(p)), Fraction(rewards[s][a])) for j, p in enumerate(law[s, a]) if p)
            for a in range(n_actions)
        )
        for s in range(n_states)
    )
    stored = law if rng.random() < 0.5 else sp.csr_array(law.reshape(-1, n_states))
    return ExactMDP(rows, Fraction(discount)), TabularMDP(stored, rewards, discount)


def test_brackets_hold_at_every_scale_for_every_method() -> None:
    """lower <= V <= upper against rationals: rewards 5e-324 to 1.8e308, mixed; discounts 0 to 1-2^-53; starts far away.

    Nothing warns (warnings are errors here) and no end or value is NaN.
    """
    for seed in range(250):
        rng = np.random.default_rng(seed)
        exact, mdp = extreme(rng)
        optimum = exact.v_star
        tol = float(rng.choice([1e-6, 1e-300, 1e300]))
        initial = [size(rng, -1073, 1025) for _ in range(mdp.n_states)] if seed % 2 else None
        for method in METHODS:
            few = 50 if method in ("value_iteration", "modified_policy_iteration") else None
            found = solve(mdp, method, tol, initial=initial, max_iterations=few)
            assert_holds(found, optimum)
            assert found.converged == (found.ended is Ended.CONVERGED)
            if method != "exact":
                with np.errstate(over="ignore"):
                    assert found.converged == bool((found.upper - found.lower <= tol).all())
                earned = exact.value(found.policy.tolist())
                assert all(low == -math.inf or Fraction(low) <= x for low, x in zip(found.lower, earned, strict=True))
        policy = rng.integers(0, mdp.n_actions, mdp.n_states)
        assert_holds(evaluate_policy(mdp, policy, tol, initial=initial), exact.value(policy.tolist()))
        shares = rng.multinomial(4, np.full(mdp.n_actions, 1 / mdp.n_actions), mdp.n_states)
        law = [[Fraction(int(x), 4) for x in row] for row in shares]
        assert_holds(evaluate_policy(mdp, shares / 4, tol, initial=initial), exact.value(law))


def test_the_bracket_of_any_vector_has_no_nan() -> None:
    """`bracket` itself, on extreme MDPs and extreme vectors."""
    for seed in range(250):
        exact, mdp = extreme(np.random.default_rng(seed))
        for number in (0.0, 1e300, -1e300, 1e308, -1.7e308, math.inf, math.nan):
            values = np.full(mdp.n_states, number)
            lower, upper = bracket(mdp, values, mdp.backup(values).max(axis=1))
            for low, high, x in zip(lower.tolist(), upper.tolist(), exact.v_star, strict=True):
                assert holds(low, min(max(0.0, low), high), high, x), (number, low, high, x)


@pytest.mark.parametrize("method", METHODS)
def test_a_value_beyond_floats_has_the_last_float_and_infinity_as_ends(method: str) -> None:
    """1.7e308 / (1 - .1) = 1.89e308 is above every float; the rational is in `exact`."""
    found = solve(TabularMDP([[0]], [[1.7e308]], 0.1), method)
    assert (found.lower.tolist(), found.value.tolist(), found.upper.tolist()) == ([LARGEST], [LARGEST], [math.inf])
    if method == "exact":
        assert found.exact == (Fraction(1.7e308) / (1 - Fraction(0.1)),)
    else:
        assert found.ended is Ended.ROUNDING
        below = solve(TabularMDP([[0]], [[-1.7e308]], 0.1), method)
        assert (below.lower.tolist(), below.upper.tolist()) == ([-math.inf], [-LARGEST])


def test_the_bracket_of_a_vector_ends_at_the_last_float_where_sums_overflow() -> None:
    """T 0 = 1.7e308 and the value is 1.89e308: the lower end is a float a few roundings below the last, not NaN."""
    for sign in (1, -1):
        mdp = TabularMDP([[0]], [[sign * 1.7e308]], 0.1)
        ends = bracket(mdp, np.zeros(1), np.array([sign * 1.7e308]))
        near, far = (float(end[0]) * sign for end in ends[::sign])
        assert LARGEST * (1 - 1e-14) <= near <= LARGEST
        assert far == math.inf


@pytest.mark.parametrize("gap", [1, 2, 3, 8, 2**12])
def test_brackets_hold_for_every_discount_that_rounds_to_the_stored_one(gap: int) -> None:
    """At 1 - gap 2^-53 the discount may be half a unit off, by which 1/(1-discount) changes up to threefold."""
    unit = Fraction(2) ** -53
    mdp = TabularMDP([[0, 0], [1, 1]], [[1.0, 0.0], [-1.0, -2.0]], float(1 - gap * unit))
    for shift in (-0.499, 0, 0.499):
        discount = 1 - (gap + Fraction(shift)) * unit
        assert float(discount) == mdp.discount
        exact = [1 / (1 - discount), -1 / (1 - discount)]
        for method in ("auto", "value_iteration"):
            found = solve(mdp, method, max_iterations=30)
            assert_holds(found, exact)
            assert np.isfinite(found.upper).all()
        assert_holds(evaluate_policy(mdp, [0, 0]), exact)


@pytest.mark.parametrize("power", [-900, -500, 500, 900])
def test_a_power_of_two_in_the_rewards_is_one_in_the_solution(power: int) -> None:
    """Brackets at 2^power are those at 1, bit for bit: multiplying by 2^power rounds nothing."""
    rng = np.random.default_rng(0)
    law = rng.dirichlet(np.ones(70), (70, 2))
    rewards = rng.normal(size=(70, 2))
    one, other = (TabularMDP(law, r, 0.99) for r in (rewards, np.ldexp(rewards, power)))
    weights = rng.dirichlet([1.0, 1.0], 70)
    calls: list[Callable[[TabularMDP, float], Solution]] = [
        *(lambda mdp, tol, m=m: solve(mdp, m, tol) for m in METHODS if m not in ("exact", "linear_programming")),
        lambda mdp, tol: evaluate_policy(mdp, [0] * 70, tol),
        lambda mdp, tol: evaluate_policy(mdp, weights, tol),
    ]
    for call in calls:
        plain, scaled = call(one, 1e-6), call(other, float(np.ldexp(1e-6, power)))
        assert plain.ended is scaled.ended is Ended.CONVERGED
        assert np.ldexp(plain.lower, power).tobytes() == scaled.lower.tobytes()
        assert np.ldexp(plain.upper, power).tobytes() == scaled.upper.tobytes()
        assert plain.policy.tobytes() == scaled.policy.tobytes()


@pytest.mark.parametrize("method", ["auto", "value_iteration", "modified_policy_iteration"])
@pytest.mark.parametrize("discount", [0.99, 0.999])
def test_values_above_1e300_take_as_many_backups_as_any(method: str, discount: float) -> None:
    """Stay in state 1 for 1e304 a step: V = 1e304 / (1 - discount), by some backups and not by 71,025."""
    found = solve(TabularMDP([[0, 1], [1, 0]], [[0.0, 0.0], [1e304, 0.0]], discount), method, max_iterations=200)
    right = Fraction(1e304) / (1 - Fraction(discount))
    assert_holds(found, [Fraction(discount) * right, right])
    assert found.ended is Ended.ROUNDING
    assert float((found.upper - found.lower).max()) <= 1e-8 * float(right)


@pytest.mark.parametrize("far", [1e308, -1e308, 1e30])
def test_a_start_far_away_is_brought_near(far: float) -> None:
    """From 1e308 in both states the value of stay-or-move, (99, 100), is found in a few backups."""
    mdp = TabularMDP([[0, 1], [1, 0]], [[0.0, 0.0], [1.0, 0.0]], 0.99)
    for method in ("auto", "value_iteration", "modified_policy_iteration"):
        found = solve(mdp, method, initial=[far, far], max_iterations=10)
        assert found.ended is Ended.CONVERGED
        assert found.value == pytest.approx([99, 100])
    assert evaluate_policy(mdp, [[0.0, 1.0], [1.0, 0.0]], initial=[far, -far], max_iterations=10).converged


# --- near discount 1 -----------------------------------------------------------------------------------------------


def frozen_lake(discount: float) -> TabularMDP:
    """Return Gymnasium's 8x8 map, each move slipping sideways with probability 2/3; holes and goal end in state 64."""
    rows = ["SFFFFFFF", "FFFFFFFF", "FFFHFFFF", "FFFFFHFF", "FFFHFFFF", "FHHFFFHF", "FHFFHFHF", "FFFHFFFG"]
    tiles = "".join(rows)
    law, rewards = np.zeros((65, 4, 65)), np.zeros((65, 4))
    for s in range(65):
        for a in range(4):
            if s == 64 or tiles[s] in "HG":
                law[s, a, 64] = 1
                continue
            for turned in ((a - 1) % 4, a, (a + 1) % 4):  # left, down, right, up
                row, column = s // 8 + (0, 1, 0, -1)[turned], s % 8 + (-1, 0, 1, 0)[turned]
                to = 8 * min(max(row, 0), 7) + min(max(column, 0), 7)
                law[s, a, to] += 1 / 3
                rewards[s, a] += (tiles[to] == "G") / 3
    return TabularMDP(law, rewards, discount)


def gambler(discount: float, states: int = 102) -> TabularMDP:
    """Return the gambler who stakes 1 or all he can, wins with probability .45, and earns 1 on breaking the bank."""
    law, rewards = np.zeros((states, 2, states)), np.zeros((states, 2))
    law[0, :, 0] = law[-1, :, -1] = 1
    for s in range(1, states - 1):
        for a, stake in enumerate((1, min(s, states - 1 - s))):
            law[s, a, s + stake] += 0.45
            law[s, a, s - stake] += 0.55
            rewards[s, a] = 0.45 * (s + stake == states - 1)
    return TabularMDP(law, rewards, discount)


def walk(side: int, discount: float, seed: int = 0) -> TabularMDP:
    """Return a walk on a grid that moves at random or, by the other action, half as often; rewards at random."""
    states = np.arange(side * side)
    row, column = divmod(states, side)
    moves = [
        np.clip(row + down, 0, side - 1) * side + np.clip(column + right, 0, side - 1)
        for down, right in ((-1, 0), (0, 1), (1, 0), (0, -1))
    ]
    successor = np.stack([*moves, *moves, states], axis=1)
    law = (
        np.tile([0.25] * 4 + [0.0] * 4 + [0.0], (len(states), 1)),
        np.tile([0.0] * 4 + [0.125] * 4 + [0.5], (len(states), 1)),
    )
    rows = [
        sp.csr_array((p.ravel(), successor.ravel(), np.arange(0, successor.size + 1, 9)), shape=(len(states),) * 2)
        for p in law
    ]
    both = sp.vstack(rows).tocsr()[np.arange(2 * len(states)).reshape(2, -1).T.ravel()]
    both.sum_duplicates()
    both.eliminate_zeros()
    return TabularMDP(both, np.random.default_rng(seed).uniform(-1, 1, (len(states), 2)), discount)


def test_frozen_lake_near_discount_one_is_solved_by_equations() -> None:
    """At 1-1e-8 sweeps leave it 1.02 wide; a start in the corner wins with probability 1 if there is time enough."""
    mdp = frozen_lake(1 - 1e-8)
    found = solve(mdp, max_iterations=300)
    assert found.ended is Ended.CONVERGED
    assert found.method == "policy_iteration"
    assert found.lower[0] > 1 - 1e-5
    other = solve(mdp, "policy_iteration", max_iterations=100)
    assert other.ended is Ended.CONVERGED
    assert (np.maximum(found.lower, other.lower) <= np.minimum(found.upper, other.upper)).all()
    assert solve(mdp, "modified_policy_iteration", max_iterations=300).ended is Ended.LIMIT


@pytest.mark.parametrize("discount", [1 - 1e-6, 1 - 1e-9, 1 - 1e-12])
def test_the_gambler_near_discount_one_ends(discount: float) -> None:
    """102 states: `auto` and policy iteration end within some backups, at brackets that rounding makes as wide."""
    found, other = solve(gambler(discount), max_iterations=400), solve(gambler(discount), "policy_iteration")
    assert Ended.LIMIT not in (found.ended, other.ended)
    assert (np.maximum(found.lower, other.lower) <= np.minimum(found.upper, other.upper)).all()
    assert float((found.upper - found.lower).max()) <= 1e-6 + 1e-14 / (1 - discount)


def as_wide_as_rounding(found: Solution, discount: float) -> bool:
    """Whether brackets are as narrow as some hundred roundings of the values allow."""
    width = float((found.upper - found.lower).max())
    return width <= 1e-6 + 200 * 2.0**-53 * (1 + float(np.abs(found.value).max())) / (1 - discount)


def test_slow_walks_are_solved_and_evaluated_by_equations() -> None:
    """A walk on a 100 x 100 grid at 1-1e-6: all three end at the width of rounding, in far fewer sweeps than 10^6."""
    mdp = walk(100, NEAR_ONE)
    best = solve(mdp, max_iterations=1000)
    chosen = evaluate_policy(mdp, best.policy, max_iterations=3000)
    drawn = evaluate_policy(mdp, np.full((mdp.n_states, 2), 0.5), max_iterations=3000)
    plain = solve(mdp, "modified_policy_iteration", max_iterations=1000)
    for found in (best, chosen, drawn):
        assert found.ended is not Ended.LIMIT
        assert as_wide_as_rounding(found, NEAR_ONE)
    assert plain.ended is Ended.LIMIT
    assert not as_wide_as_rounding(plain, NEAR_ONE)
    assert (plain.lower <= best.upper).all()
    assert (best.lower <= plain.upper).all()
    assert (chosen.upper >= best.lower).all()
    assert (drawn.lower <= best.upper).all()


def test_krylov_takes_over_where_lu_would_fill_too_much(monkeypatch: pytest.MonkeyPatch) -> None:
    """The same walk with no LU allowed: BiCGSTAB reaches the same brackets, explicit policy iteration too."""
    mdp = walk(100, NEAR_ONE)
    direct = solve(mdp, max_iterations=1000)
    monkeypatch.setattr(equations, "MOST_FILL", 100)
    monkeypatch.setattr(equations, "_factorise", lambda matrix: pytest.fail("LU was begun"))
    for method in ("auto", "policy_iteration"):
        found = solve(mdp, method, max_iterations=1000)
        assert found.ended is not Ended.LIMIT
        assert as_wide_as_rounding(found, NEAR_ONE)
        assert (np.maximum(found.lower, direct.lower) <= np.minimum(found.upper, direct.upper)).all()


def test_equations_that_do_not_fit_the_memory_are_swept(monkeypatch: pytest.MonkeyPatch) -> None:
    """With no memory left nothing is factorised and nothing is raised; brackets hold."""
    mdp = walk(12, 0.99)
    right = solve(mdp)
    monkeypatch.setattr(equations, "available_bytes", lambda: 0)
    monkeypatch.setattr(equations, "_factorise", lambda matrix: pytest.fail("LU was begun"))
    for found in (solve(mdp), solve(mdp, "policy_iteration"), evaluate_policy(mdp, np.full((144, 2), 0.5))):
        assert found.ended is Ended.CONVERGED
        assert (found.lower <= right.upper).all()


def test_one_state_drawn_policies_near_discount_one_take_no_minutes() -> None:
    """Half of the time a reward of 1: V = 1/2 / (1 - discount), from two backups."""
    for discount in (1 - 1e-6, 1 - 1e-12, 1 - 2.0**-53):
        found = evaluate_policy(TabularMDP([[0, 0]], [[1.0, 0.0]], discount), [[0.5, 0.5]], max_iterations=5)
        assert_holds(found, [Fraction(1, 2) / (1 - Fraction(discount))])
        assert found.ended is Ended.ROUNDING


def test_a_cycle_without_mixing_is_evaluated() -> None:
    """100 states in a ring, a reward of 1 in state 0: V(s) = g^((100-s) mod 100) / (1 - g^100), g the discount."""
    mdp = TabularMDP(np.roll(np.arange(100), -1)[:, None], np.eye(100)[:, :1], 1 - 1e-9)
    g = Fraction(mdp.discount)
    right = [g ** ((100 - s) % 100) / (1 - g**100) for s in range(100)]
    for found in (evaluate_policy(mdp, [0] * 100), evaluate_policy(mdp, np.ones((100, 1))), solve(mdp)):
        assert_holds(found, right)
        assert found.ended is Ended.ROUNDING
        assert found.iterations < 1000


# --- the ends ------------------------------------------------------------------------------------------------------


def test_a_solution_says_why_it_ended() -> None:
    """Stay or move at .99: within tol; at most 2 backups; a tolerance below rounding."""
    mdp = TabularMDP([[0, 1], [1, 0]], [[0.0, 0.0], [1.0, 0.0]], 0.99)
    for method in METHODS[:-1]:
        assert solve(mdp, method).ended is Ended.CONVERGED
        assert solve(mdp, method, 1e-300).ended is Ended.ROUNDING
    limited = solve(mdp, "value_iteration", max_iterations=2, initial=[50.0, 0.0])
    assert (limited.ended, limited.iterations, limited.converged) == (Ended.LIMIT, 2, False)
    assert evaluate_policy(mdp, [1, 0], 1e-300).ended is Ended.ROUNDING
    assert evaluate_policy(mdp, [[0.5, 0.5]] * 2, 1e-300).ended is Ended.ROUNDING
    assert solve(mdp, "exact", 1e-300).ended is Ended.CONVERGED


@pytest.mark.parametrize("most", [1, 63, 64, 80, 81, 82, 85])
def test_a_limit_counts_backups_before_and_after_equations(most: int) -> None:
    """FrozenLake turns to equations at about the 80th backup; however many are allowed, no more are made."""
    found = solve(frozen_lake(1 - 1e-8), max_iterations=most)
    assert (found.iterations, found.ended) == (most, Ended.LIMIT)


def test_policies_that_tie_do_not_go_round_for_ever() -> None:
    """All actions alike, values that no float holds, a tolerance that none meets: policy iteration ends by itself."""
    for seed in range(50):
        rng = np.random.default_rng(seed)
        law = np.repeat(rng.dirichlet(np.ones(30), (30, 1)), 3, axis=1)
        rewards = np.repeat(rng.normal(size=(30, 1)), 3, axis=1) / 3
        found = solve(TabularMDP(law, rewards, 1 - 10.0 ** -(seed % 12)), "policy_iteration", 1e-300)
        assert found.ended is Ended.ROUNDING
        assert found.iterations < 20


def test_a_solution_that_cannot_be_refined_ends_policy_iteration() -> None:
    """The same chain again and again: its solution is refined while that halves what a backup changes, then it ends."""
    for seed in range(20):
        rng = np.random.default_rng(seed)
        mdp = TabularMDP(rng.dirichlet(np.ones(30), (30, 1)), rng.normal(size=(30, 1)), 0.999)
        steps = Iteration(mdp, Threads(1))
        chain = mdp.storage.chain(mdp.rewards, np.zeros(30, np.int64))
        advance = bracketing.solving(Equations(steps), lambda chain=chain: chain, 1e-300)
        following = np.zeros(30), np.empty(30)
        calls = 0
        while following is not None and calls < 20:
            values, new = following[0], np.empty(30)
            following = advance(new, values, steps.evaluate(chain, values, new), None)
            calls += 1
        assert 2 <= calls <= 10


# --- the linear algebra --------------------------------------------------------------------------------------------


def test_the_fill_of_lu_is_known_before() -> None:
    """Entries of L and U as SuperLU makes them, of random chains: at most what was counted, but for its supernodes."""
    for seed in range(60):
        rng = np.random.default_rng(seed)
        size, branching = int(rng.integers(65, 400)), int(rng.integers(1, 5))
        successor = rng.integers(0, size, size * branching)
        start = np.arange(0, len(successor) + 1, branching)
        law = rng.dirichlet(np.ones(branching), size).ravel()
        matrix = equations._matrix(Chain(start, successor.astype(np.int32), law, np.zeros(size)), 0.999)
        fill, _ = lu_size(matrix, 10**9)
        parts = equations._factorise(matrix)
        entries = parts.L.count_nonzero() + parts.U.count_nonzero()
        assert entries <= fill
        assert (parts.perm_r == parts.perm_c).all()  # no pivoting
        assert lu_size(matrix, fill // 4)[1] == (
            math.inf if fill // 2 - size > fill // 8 else pytest.approx(lu_size(matrix, fill)[1])
        )


@pytest.mark.parametrize("discount", [1 - 1e-6, 1 - 1e-12])
def test_krylov_solves_up_to_a_constant_whatever_the_discount(discount: float) -> None:
    """Right + discount P x - x spans at most the target, soon; a ring that starts anew with probability 1/1000.

    With the mean of the residual left in, it is still 1e-6 wide or more after 4000 sweeps.
    """
    states = np.arange(3000)
    successor = np.stack([(states + 1) % 3000, (states - 1) % 3000, 0 * states], axis=1)
    law = np.tile([0.4995, 0.4995, 0.001], (3000, 1))
    moves = sp.csr_array((law.ravel(), successor.ravel(), np.arange(0, 9001, 3)), (3000, 3000))
    mdp = TabularMDP(moves, np.random.default_rng(1).normal(size=(3000, 1)), discount)
    chain = mdp.storage.chain(mdp.rewards, np.zeros(3000, np.int64))
    steps = Iteration(mdp, Threads(1))
    found = Equations(steps).krylov(chain, chain.reward, 1e-9, math.inf, 0.0)
    assert np.ptp(chain.reward + discount * (moves @ found) - found) <= 2e-9
    assert steps.work <= 1500 * (len(chain.successor) + SWEEP + 12 * 3000)


def test_lu_that_would_take_too_long_is_not_begun(monkeypatch: pytest.MonkeyPatch) -> None:
    """A limit on the work between that of planning and that of LU: no answer, and no LU."""
    mdp = walk(30, 0.99)
    chain = mdp.storage.chain(mdp.rewards, np.zeros(900, np.int64))
    steps = Iteration(mdp, Threads(1))
    solver = Equations(steps)
    plan = solver._plan(chain)
    assert plan is not None
    planned = steps.work
    values = solver.direct(chain, chain.reward, planned + plan.work)
    assert values is not None
    monkeypatch.setattr(equations, "_factorise", lambda matrix: pytest.fail("LU was begun"))
    solver.factors, steps.work = None, planned
    assert solver.direct(chain, chain.reward, planned + plan.work - 1) is None


def test_mixing_a_policys_rows_is_its_chain() -> None:
    """P_pi and r_pi are the averages over actions, for each storage."""
    rng = np.random.default_rng(2)
    law = rng.dirichlet(np.ones(5), (5, 3))
    rewards, weights = rng.normal(size=(5, 3)), rng.dirichlet(np.ones(3), 5)
    weights[0] = [0, 1, 0]
    for transitions in (law, sp.csr_array(law.reshape(15, 5))):
        chain = equations.mixed(TabularMDP(transitions, rewards, 0.9), weights)
        assert chain is not None
        dense = sp.csr_array((chain.probability, chain.successor, chain.start), (5, 5)).toarray()
        assert dense == pytest.approx(np.einsum("sa,saj->sj", weights, law))
        assert chain.reward == pytest.approx((weights * rewards).sum(axis=1))


def test_the_same_mdp_is_solved_alike_however_many_processors(monkeypatch: pytest.MonkeyPatch) -> None:
    """The same bytes with 1, 2 and 5 threads where equations take over, by LU and by BiCGSTAB: no clock decides."""
    mdp = walk(100, NEAR_ONE)
    for fill in (equations.MOST_FILL, 100):
        monkeypatch.setattr(equations, "MOST_FILL", fill)
        found = []
        for count in (1, 2, 5):
            monkeypatch.setattr("rfos._system.threads.processors", lambda count=count: count)
            solution = solve(mdp, max_iterations=1000)
            assert solution.method == "policy_iteration"
            found.append(solution.lower.tobytes() + solution.policy.tobytes())
        assert found == [found[0]] * 3


def test_enclosing_a_rational_is_tight() -> None:
    """The floats next to 1/3, to 10^400 and to 10^-400; both ends equal where the value is a float."""
    third = Fraction(1, 3)
    value, low, high = exact_module._enclose(
        [third, Fraction(10) ** 400, Fraction(10) ** -400, Fraction(-(10**400)), Fraction(1, 2)]
    )
    assert value.tolist() == [1 / 3, LARGEST, 0.0, -LARGEST, 0.5]
    assert low.tolist() == [1 / 3, LARGEST, 0.0, -math.inf, 0.5]
    assert high.tolist() == [math.nextafter(1 / 3, 1), math.inf, 5e-324, -LARGEST, 0.5]
