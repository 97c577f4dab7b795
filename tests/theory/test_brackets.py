"""Certified brackets of V* and of V^pi against rational arithmetic."""

from fractions import Fraction

import domains
import numpy as np
import pytest
from domains import encloses, instances
from exact import ExactMDP
from hypothesis import example, given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from strength import scaled

from rfos.planning.certificates import bracket
from rfos.planning.evaluate import evaluate_policy
from rfos.planning.mdp import TabularMDP
from rfos.planning.solve import solve


def bracket_of(mdp, values):
    return bracket(mdp, values, mdp.backup(values).max(axis=1))


def plain_bracket(mdp, values):
    """MacQueen's bracket as the formula stands, in floats and without widening."""
    backed_up = mdp.backup(values).max(axis=1)
    factor = mdp.discount / (1 - mdp.discount)
    change = backed_up - values
    return backed_up + factor * change.min(), backed_up + factor * change.max()


def rounded(values) -> np.ndarray:
    return np.array([float(x) for x in values])


# --- the bracket ---------------------------------------------------------------------------------------------------


def test_bracket_holds_where_it_is_as_narrow_as_rounding_allows():
    """Tv + c min(Tv-v) - widening <= V* <= Tv + c max(Tv-v) + widening for v = V* rounded: 1200 MDPs, all storages."""
    for exact, mdp in instances(scaled(1200), seed=1):
        lower, upper = bracket_of(mdp, rounded(exact.v_star))
        assert encloses(lower, upper, exact.v_star), (mdp, lower, upper, exact)


def test_bracket_at_the_rounding_level_is_narrow():
    """upper - lower <= 2 (1+c) [eta + a few u |V*|]: the widening is of the size of rounding, not more."""
    for exact, mdp in instances(scaled(200), seed=2):
        lower, upper = bracket_of(mdp, rounded(exact.v_star))
        largest = max(abs(r) for r in mdp.reward_range) / (1 - mdp.discount)
        eta = (2 * (mdp.branching + mdp.n_actions) + 20) * 2.0**-53 * 2 * largest
        assert (upper - lower).max() <= 4 * eta / (1 - mdp.discount)


def test_bracket_without_widening_misses_the_exact_value():
    """For some v, V* lies outside Tv + c [min(Tv-v), max(Tv-v)] as floats compute it: the widening is needed."""
    missed = 0
    for exact, mdp in instances(scaled(400), seed=3):
        lower, upper = plain_bracket(mdp, rounded(exact.v_star))
        missed += not encloses(lower, upper, exact.v_star)
    assert missed >= scaled(100), missed


def test_bracket_from_random_vectors_holds():
    """lower <= V* <= upper whatever v is: random v of size 1e-3 to 1e12."""
    rng = np.random.default_rng(4)
    for exact, mdp in instances(scaled(400), seed=4):
        values = rng.normal(size=mdp.n_states) * 10.0 ** rng.uniform(-3, 12)
        assert encloses(*bracket_of(mdp, values), exact.v_star)


FIXED = list(instances(40, seed=5))


@given(st.integers(0, len(FIXED) - 1), hnp.arrays(np.float64, 16, elements=st.floats(width=64)))
@example(0, np.full(16, np.nan))
@example(4, np.array([np.inf, -np.inf] * 8))
@example(8, np.array([1e308, -1e308] * 8))
@example(9, np.array([1.7e308, 1.0] * 8))
@example(12, np.full(16, 5e-324))
def test_bracket_holds_for_any_candidate_vector(which, vector):
    """lower <= V* <= upper for every float vector v: NaN, infinite, huge and subnormal entries included."""
    exact, mdp = FIXED[which]
    lower, upper = bracket_of(mdp, vector[: mdp.n_states])
    assert encloses(lower, upper, exact.v_star)


def test_bracket_is_never_worse_than_the_reward_range():
    """min R/(1-discount) <= lower and upper <= max R/(1-discount), up to a few roundings."""
    for _, mdp in instances(scaled(40), seed=6):
        lower, upper = bracket_of(mdp, np.full(mdp.n_states, np.nan))
        ends = np.array(mdp.reward_range) / (1 - mdp.discount)
        slack = 1e-13 * np.abs(ends).max() / (1 - mdp.discount)
        assert (lower >= ends[0] - slack).all()
        assert (upper <= ends[1] + slack).all()


def test_bracket_holds_for_rewards_near_the_smallest_float():
    """With rewards k * 2^-1074 products underflow, and yet lower <= V* <= upper."""
    rng = np.random.default_rng(7)
    for i in range(scaled(200)):
        discount = domains.DISCOUNTS[i % len(domains.DISCOUNTS)]
        n_states = int(rng.integers(2, 6))
        unit = Fraction(2) ** -1074 * Fraction(int(rng.integers(1, 50)))
        rewards = [[int(k) * unit for k in row] for row in rng.integers(-9, 10, (n_states, 2))]
        exact = domains.random_mdp(rng, n_states, 2, 3, discount).with_rewards(
            lambda s, a, j, rewards=rewards: rewards[s][a]
        )
        assert encloses(*bracket_of(exact.mdp(), rounded(exact.v_star)), exact.v_star), exact


@pytest.mark.parametrize("discount", [0.0, 0.5, 1 - 1e-12, 1 - 2.0**-53, 5e-324])
@pytest.mark.parametrize(
    "reward", [1 / 3, -1 / 3, 0.0, 1e300, -1e300, 1.2e308, -1.2e308, 1.7e308, -1.7e308, 5e-324, -5e-324]
)
def test_bracket_holds_at_the_ends_of_the_float_range(reward, discount):
    """One state: lower <= r/(1-discount) <= upper, also where the value is no float any more."""
    mdp = TabularMDP([[0]], [[reward]], discount)
    exact = [Fraction(reward) / (1 - Fraction(discount))]
    for guess in (0.0, reward, np.nan, np.inf, 1e308, -1e308, -1.7e308, 1e16):
        lower, upper = bracket_of(mdp, np.array([guess]))
        assert encloses(lower, upper, exact), (guess, lower, upper)
    solution = solve(mdp, max_iterations=20)
    assert encloses(solution.lower, solution.upper, exact)


def test_bracket_holds_for_rows_that_miss_one_by_the_tolerance():
    """Rows stored with sums 1 ± 9e-10: lower <= V <= upper for the MDP with the rows divided by their sums."""
    rng = np.random.default_rng(8)
    for i in range(scaled(200)):
        exact = domains.random_mdp(rng, int(rng.integers(2, 7)), 2, 4, domains.DISCOUNTS[i % 8])
        stored = exact.transitions() * (1 + rng.choice([-9e-10, 9e-10], (exact.n_states, 2, 1)))
        mdp = TabularMDP(stored, [[float(r) for r in row] for row in exact.rewards], float(exact.discount))
        sums = [[sum(map(Fraction, row)) for row in block] for block in stored.tolist()]
        rows = tuple(
            tuple(
                tuple((j, Fraction(p) / sums[s][a], exact.rewards[s][a]) for j, p in enumerate(stored[s, a].tolist()))
                for a in range(2)
            )
            for s in range(exact.n_states)
        )
        normalised = ExactMDP(rows, exact.discount)
        assert encloses(*bracket_of(mdp, rounded(normalised.v_star)), normalised.v_star)


# --- the solvers ---------------------------------------------------------------------------------------------------

MODERATE = tuple(g for g in domains.DISCOUNTS if g <= Fraction(99, 100))


def test_solve_encloses_the_optimal_value_within_tol():
    """lower <= V* <= upper and upper - lower <= tol when converged; all storages, discounts 0 to .99."""
    for exact, mdp in instances(scaled(200), seed=9, discounts=MODERATE):
        solution = solve(mdp, tol=1e-6)
        assert solution.converged
        assert (solution.upper - solution.lower).max() <= 1e-6
        assert encloses(solution.lower, solution.upper, exact.v_star)
        assert encloses(solution.lower, solution.value, solution.value.tolist())
        assert encloses(solution.value, solution.upper, solution.value.tolist())


def test_solve_encloses_the_optimal_value_when_stopped_early():
    """lower <= V* <= upper after 1 to 30 iterations from any start, discounts up to .9999."""
    rng = np.random.default_rng(10)
    for exact, mdp in instances(scaled(300), seed=10):
        start = rng.normal(size=mdp.n_states) * 10.0 ** rng.uniform(-2, 6)
        solution = solve(mdp, max_iterations=int(rng.integers(1, 31)), initial=start)
        assert encloses(solution.lower, solution.upper, exact.v_star)


def test_solved_policy_earns_at_least_the_lower_end():
    """V^pi >= lower in every state for the policy that `solve` returns, converged or not."""
    rng = np.random.default_rng(11)
    for exact, mdp in instances(scaled(300), seed=11):
        start = rounded(exact.v_star) if rng.random() < 0.5 else None
        solution = solve(mdp, max_iterations=int(rng.integers(1, 40)), initial=start)
        earned = exact.value(solution.policy.tolist())
        assert all(low <= v for low, v in zip(solution.lower.tolist(), earned, strict=True))


def test_solved_policy_is_not_blurred_by_the_shift_to_the_midpoint():
    """Rewards 1 and 1 + 1e-13 at discount .9999: the policy earns at least `lower`, so it takes the second."""
    solution = solve(TabularMDP([[0, 0]], [[1.0, 1 + 1e-13]], 0.9999))
    assert solution.policy.tolist() == [1]


def test_policy_brackets_hold_for_deterministic_policies():
    """lower <= V^pi <= upper."""
    rng = np.random.default_rng(12)
    for exact, mdp in instances(scaled(300), seed=12):
        policy = rng.integers(0, mdp.n_actions, mdp.n_states)
        value = exact.value(policy.tolist())
        solution = evaluate_policy(mdp, policy, max_iterations=5, initial=rounded(value))
        assert encloses(solution.lower, solution.upper, value)


def test_policy_brackets_hold_for_stochastic_policies():
    """lower <= V^pi <= upper for pi with rational probabilities, rounded when stored."""
    rng = np.random.default_rng(13)
    for exact, mdp in instances(scaled(300), seed=13):
        policy = [domains.random_law(rng, mdp.n_actions) for _ in range(mdp.n_states)]
        value = exact.value(policy)
        floats = np.array([[float(p) for p in row] for row in policy])
        solution = evaluate_policy(mdp, floats, max_iterations=5, initial=rounded(value))
        assert encloses(solution.lower, solution.upper, value)


@pytest.mark.parametrize(
    ("name", "exact", "answer"),
    [
        ("stay or move", domains.stay_or_move("1/2"), [1, 2]),
        ("corridor", domains.corridor("9/10"), [3, 0, 0, 0, 0, 0, 0, 10]),
        ("far states", domains.far_states(2, 2, 1, "1/10", "4/5"), [1, Fraction(4, 5), Fraction(4, 5), 5]),
        ("fall", domains.fall("1/4", "1/2"), [Fraction(8, 5), 0]),
        ("slip", domains.slip("1/4", "1/2"), [Fraction(6, 5), 0]),
    ],
)
def test_domains_have_their_stated_answers(name, exact, answer):
    """V* as worked by hand = exact policy iteration = the bracket of `solve`."""
    assert exact.v_star == answer
    solution = solve(exact.mdp())
    assert encloses(solution.lower, solution.upper, exact.v_star)


def test_river_swim_is_worth_swimming():
    """At discount .95 always-right is optimal in RiverSwim with 6 states (Strehl & Littman 2008)."""
    exact = domains.river_swim(6, "19/20")
    assert exact.optimum[1] == [1] * 6
    assert solve(exact.mdp()).policy.tolist() == [1] * 6
