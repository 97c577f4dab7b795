"""The statements on teams, M1 to M9: worked numbers, what contains what, and their inverse functions."""

import itertools
import math
from fractions import Fraction

import numpy as np
import pytest
from strength import scaled

from bounds import team_rungs, teams
from bounds._evaluate import Mismatch, Missed, PowerSum
from bounds.bound import Bound
from bounds.rmax import t1_episodic
from bounds.simulation import p2_plus
from bounds.symbols import SYMBOLS

SPLIT = {"w_plan": 0, "w_sim": "2/3", "w_esc": "1/3"}  # the best for M5 to leading order
EXPLORING = {"w_plan": 0, "w_sim": "4/9", "w_esc": "5/9"}  # and for M2
TIGER = {"n_rows": 19, "branching": 8, "episode_discount": 1, "delta": "1/10"}


def of(bound, values):
    """The values that a bound takes."""
    known = (*bound.symbols, *bound.parameters, *bound.weights)
    return {name: value for name, value in values.items() if name in known}


def log10(bound, values):
    return bound.log10(**of(bound, values))


def test_error_of_every_policy_has_the_value_worked_by_hand():
    """5 - .95(1 - .9^5)/.1 = 1.1097: known start, five steps without discount."""
    value = teams.m1("known").evaluate(model_tv="1/10", reward_error="1/20", horizon=5, episode_discount=1)
    assert value == 5 - Fraction(19, 20) * (1 - Fraction(9, 10) ** 5) * 10
    assert round(float(value), 4) == 1.1097


def test_endless_error_contains_the_sharp_simulation_lemma_and_improves_it():
    """1.786 against 1.929 at γ = .8, t = ρ = .1; equal where rewards are known, never above, with gain ρ's alone."""
    endless = teams.m1("known", horizon_is="infinite")
    before = p2_plus().evaluate(eps_reward="1/10", eps_transition="1/5", discount="4/5", r_max=1)
    now = endless.evaluate(model_tv="1/10", reward_error="1/10", discount="4/5")
    assert (round(float(now), 3), round(float(before), 3)) == (1.786, 1.929)
    rng = np.random.default_rng(0)
    for _ in range(scaled(200, 20)):
        t, rho, g = (Fraction(int(i), 100) for i in rng.integers(1, 100, 3))
        old = p2_plus().evaluate(eps_reward=rho, eps_transition=2 * t, discount=g, r_max=1)
        new = endless.evaluate(model_tv=t, reward_error=rho, discount=g)
        assert old - new == rho / (1 - g) - rho / (1 - g + g * t) > 0


def test_error_of_long_episodes_tends_to_the_endless_one():
    """At γ = .9 after 400 steps, for both kinds of start."""
    for start in ("known", "estimated"):
        at = {"model_tv": "1/20", "reward_error": "1/10"}
        endless = teams.m1(start, horizon_is="infinite").evaluate(discount="9/10", **at)
        long = teams.m1(start).evaluate(episode_discount="9/10", horizon=400, **at)
        assert 0 <= float(endless) - float(long) < 1e-15


def test_error_is_below_its_tangent_which_is_t1_eps():
    """σ <= tH(H-1)/2 with a known start and t(H+1)H/2 else; for small t it is that."""
    for horizon in (1, 2, 7):
        for start, steps in (("known", horizon * (horizon - 1) // 2), ("estimated", horizon * (horizon + 1) // 2)):
            for t in (Fraction(1, 10), Fraction(1, 10**6)):
                error = teams.m1(start, "known").evaluate(model_tv=t, horizon=horizon, episode_discount=1)
                assert t * steps * (1 - t * horizon) <= error <= t * steps


def test_one_agent_who_sees_the_state_costs_no_more_than_t1_ep():
    """M5 is T1-ep there: the same N, and an m below T1-ep's, whose ε_sim is the tangent and whose union is larger."""
    sizes = {"branching": 4, "horizon": 6, "epsilon": "1/2", "delta": "1/10"}
    old = t1_episodic().evaluate(**sizes, n_states=5, n_actions=4, discount="99/100", r_max=1, **SPLIT)
    new = teams.m5("known", "outcome").evaluate(**sizes, n_rows=20, episode_discount="99/100", **SPLIT)
    assert 0.8 * old["m"] < new["m"] <= old["m"]
    assert new["escape"] == old["escape"]


TABLE = [  # log10 of policies, enumeration, reuse, M5, M2
    (2, TIGER, 9, (3, 3), (2.9, 6.1, 5.8, 6.8, 7.2)),
    (3, TIGER, 9, (3, 3), (6.7, 10.2, 7.0, 7.1, 7.4)),
    (4, TIGER, 9, (3, 3), (14.3, 18.2, 8.3, 7.3, 7.6)),
    (6, TIGER, 9, (3, 3), (60, 65, 10.8, 7.5, 7.9)),
    (10, TIGER, 9, (3, 3), (976, 982, 15.8, 7.9, 8.3)),
    (10, TIGER | {"n_rows": 17, "branching": 16}, 4, (2, 2), (616, 621, 12.1, 8.1, 8.4)),
    (4, TIGER | {"n_rows": 37, "branching": 4}, 9, (3, 3), (14.3, 18.2, 8.3, 7.5, 7.8)),
]


@pytest.mark.parametrize(("horizon", "sizes", "joint", "actions", "wanted"), TABLE)
def test_three_rungs_have_the_orders_of_magnitude_of_the_theory(horizon, sizes, joint, actions, wanted):
    """Dec-Tiger, broadcast and recycling at ε = 10 % of the range of returns, to the digits written down."""
    policies = team_rungs.m7_policies(actions, (2, 2)).evaluate(horizon=horizon)
    point = {**sizes, "horizon": horizon, "epsilon": Fraction(horizon, 10), "n_actions": joint}
    point |= {"log_policies": policies}
    rungs = team_rungs.m7(form="closed").bounds
    found = [policies / math.log(10), *(log10(bound, point | SPLIT) for bound in rungs.values())]
    found.append(log10(teams.m2(form="closed").episodes, point | EXPLORING))
    for value, written in zip(found, wanted, strict=True):
        assert abs(value - written) <= (0.051 if isinstance(written, float) else 0.51)


def test_classical_rungs_are_cheaper_for_two_steps_and_the_model_from_four_on():
    """Dec-Tiger: reuse wins at 2 and 3 steps, the centralised model from 4 on."""
    for horizon, best in ((2, "reuse"), (3, "reuse"), (4, "centralised"), (6, "centralised")):
        policies = team_rungs.m7_policies().evaluate(horizon=horizon)
        point = {**TIGER, **SPLIT, "horizon": horizon, "epsilon": Fraction(horizon, 10), "n_actions": 9}
        found = {
            n: log10(b, point | {"log_policies": policies}) for n, b in team_rungs.m7(form="closed").bounds.items()
        }
        assert min(found, key=found.get) == best


@pytest.mark.parametrize(("n", "rows", "branching", "horizon", "wanted"), [(3, 136, 3, 6, 8.8), (4, 373, 4, 10, 9.8)])
def test_switch_riddle_with_pooled_rows_and_returns_as_a_whole(n, rows, branching, horizon, wanted):
    """Three and four prisoners at ε = .2 of [-1, 1]; only the occupant's actions count, for all rungs."""
    assert team_rungs.m8_rows(pooled=True).evaluate(n_states=(rows - 1) // 3, n_actions=3) == rows
    policies = n * (3**horizon - 1) * math.log(3)
    point = {"n_rows": rows, "branching": branching, "horizon": horizon, "return_range": 2, "epsilon": "1/5"}
    point |= {"delta": "1/10", "n_actions": 3, "log_policies": policies, **SPLIT}
    rungs = {name: log10(b, point) for name, b in team_rungs.m7("estimated", "total", "closed", True).bounds.items()}
    assert round(rungs["centralised"], 1) == wanted
    assert round(rungs["reuse"], 1) == {3: 9.2, 4: 13.1}[n]
    assert round(rungs["enumeration"]) == {3: 1048, 4: 112_700}[n]


def test_leading_order_is_reached_and_being_right_about_all_policies_costs_nine_quarters():
    """exact/leading = 1.000 with ln(2^B-2) for B ln 2, at ε = 1e-5; M2 : M5 = 2.2500."""
    point = TIGER | {"horizon": 4, "epsilon": "1/100000"}
    paid = (math.log(2**8 - 2) + math.log(380)) / (8 * math.log(2) + math.log(380))
    ratios = []
    for name, theorem, split in (("M5", teams.m5, SPLIT), ("M2", teams.m2, EXPLORING)):
        exact = log10(theorem(form="closed").episodes, point | split)
        ratios.append(10 ** (exact - log10(teams.leading(name), point)) / paid)
        assert ratios[-1] == pytest.approx(1, abs=2e-4)
    both = [log10(f().episodes, point | split) for f, split in ((teams.m2, EXPLORING), (teams.m5, SPLIT))]
    assert 10 ** (both[0] - both[1]) == pytest.approx(2.25, abs=1e-4)


@pytest.mark.parametrize(
    ("sizes", "gain"),
    [
        (TIGER | {"n_states": 2, "n_observations": 4}, 1.088),
        (TIGER | {"n_rows": 17, "branching": 16, "n_states": 4, "n_observations": 4}, 1.265),
        (TIGER | {"n_rows": 901, "branching": 400, "n_states": 100, "n_observations": 4}, 2.751),
    ],
)
def test_optimism_without_the_support_saves_visits(sizes, gain):
    """M5's m over M5+'s at h = 4: at ε = 10 % of the range, and for small ε 4x'²/(x+y/10)², 1.10 for Dec-Tiger."""
    rows, functions = sizes["n_rows"], sizes["n_states"] * (4**4 - 1) / 3
    root = 10 * math.sqrt(math.log(functions / 0.025))
    roots = []
    for union in (2, 4):
        ell, support = math.log(union * rows / 0.1), sizes["branching"]
        weissman = math.sqrt(ell + math.log(2**support - 2))
        roots.append(min(weissman, math.sqrt((support - 1) / 2) + math.sqrt(ell)))
    limit = (2 * roots[0] / (roots[1] + root / 10)) ** 2
    for epsilon, wanted in ((Fraction(4, 10), gain), (Fraction(1, 10**5), limit)):
        point = {**sizes, "horizon": 4, "epsilon": epsilon, **SPLIT}
        plus, plain = teams.m5_plus().m, teams.m5().m
        assert 10 ** (log10(plain, point) - log10(plus, point)) == pytest.approx(wanted, abs=6e-4)
    if rows == 19:
        assert round(limit, 2) == 1.10


def test_lock_costs_its_codes_without_states_and_its_digits_with_them():
    """3.5e9 episodes against 81, or 99 for any R-max; the value after N is (N+1)/9^10."""
    found = team_rungs.m6a().evaluate(n_actions=9, horizon=10, episodes=81)
    assert f"{found['blind']:.1e}" == "3.5e+09"
    assert (found["hindsight"], found["generic"]) == (81, 99)
    assert found["value"] == Fraction(82, 9**10)


def test_fully_observed_tree_needs_thousands_where_the_upper_bound_says_billions():
    """K = 81, H = 10: 6.9e3 against M5's 3.2e9 of 12 states, 9 actions, two outcomes."""
    lower = team_rungs.m6b().evaluate(n_actions=9, depth=1, horizon=10, epsilon="1/2", delta="1/20")
    sizes = {"n_rows": 109, "branching": 2, "horizon": 10, "episode_discount": 1, "epsilon": "1/2", "delta": "1/20"}
    upper = teams.m5(form="closed").episodes.evaluate(**sizes, **SPLIT)
    assert (f"{lower:.1e}", f"{upper:.1e}") == ("6.9e+03", "3.2e+09")
    for wrong in ({"delta": "3/5"}, {"epsilon": 2}, {"depth": 9}, {"n_actions": 1}):
        with pytest.raises(ValueError, match="M6b does not apply"):
            team_rungs.m6b().evaluate(
                **{"n_actions": 9, "depth": 1, "horizon": 10, "epsilon": 1, "delta": "1/2"} | wrong
            )


def test_hidden_opponent_costs_what_the_corrected_theory_says():
    """m = 1.7e5; N = 1.5e11 by window and state, 4.4e10 by the opponent's state, 4.9e6 by the sign of a difference."""
    assert team_rungs.m9_states().evaluate(horizon=10, window=2) == {"opponent": 9217, "states": 28720}
    point = {"branching": 2, "horizon": 10, "episode_discount": 1, "epsilon": 1, "delta": "1/5", **SPLIT}
    found = {rows: team_rungs.m9("closed").evaluate(**point, n_rows=rows) for rows in (28720, 9217, 3)}
    assert f"{found[28720]['m']:.1e}" == "1.7e+05"
    assert [f"{f['episodes']:.1e}" for f in found.values()] == ["1.5e+11", "4.4e+10", "4.9e+06"]


def test_hidden_states_of_the_reset_opponent_are_the_reachable_ones():
    """Enumerated: strings of rewards of both actions and the last joint actions, from every window."""
    for horizon, window in ((3, 1), (4, 2), (5, 1)):
        plays = list(itertools.product((0, 1), repeat=2))  # shaper's and opponent's actions
        reached, layer = set(), {((), (), w) for w in itertools.product(plays, repeat=window)}
        for _ in range(horizon):
            reached |= layer
            later = set()
            for *strings, seen in layer:
                for shaper, opponent in plays:
                    grown = list(strings)
                    grown[opponent] = (*grown[opponent], int(shaper == opponent))
                    later.add((*grown, (*seen, (shaper, opponent))[1:]))
            layer = later
        found = team_rungs.m9_states().evaluate(horizon=horizon, window=window)
        assert found == {"opponent": len({r[:2] for r in reached}), "states": len(reached)}


def test_grid_learner_is_as_far_as_its_rounding():
    """t_k = 1/(4τkα); with a perfect estimate the error is that of rounding, from real plays it is larger."""
    grid = {"temperature": "1/4", "levels": 1000, "learning_rate": "1/2", "inner_actions": 2}
    point = {**grid, "model_tv": 0, "horizon": 5, "episode_discount": "9/10"}
    own, real = (team_rungs.m9_grid(data).evaluate(**point) for data in ("grid", "real"))
    assert own["mismatch"] == Fraction(1, 500)
    assert own["states"] == 1001**2
    assert own["error"] == own["rounding"] < real["error"]


def test_closed_form_of_the_sum_of_escapes_is_no_smaller_than_the_best_rate():
    """k0 + ℓ + √(ℓ²+2ℓk0) is at least the least of (λk0+ℓ)/(1-e^-λ), and half as much again at most."""
    for k0 in (1, 20, 10**6):
        for delta in (Fraction(1, 10), Fraction(9, 10)):
            at = {"explorations": k0, "delta": delta}
            least = min(teams.m2_sum("free").evaluate(**at, rate=Fraction(1.05**i)) for i in range(-300, 40))
            assert least <= teams.m2_sum().evaluate(**at) <= 1.5 * least


def test_exploration_needs_weight_left_for_the_escape():
    """p > 0 needs w_esc above half of w_sim."""
    with pytest.raises(ValueError, match="w_esc must exceed half of w_sim"):
        teams.m2().evaluate(**TIGER, horizon=2, epsilon="1/5", w_plan=0, w_sim="2/3", w_esc="1/3")


def test_unknown_options_are_refused():
    """Each names the choices."""
    for call in (
        lambda: teams.m1("unknown"),
        lambda: teams.m1("known", "paid"),
        lambda: teams.m1("known", horizon_is="long"),
        lambda: teams.m5("known", "known", "half"),
        lambda: teams.m5("known", "sampled", "total"),
        lambda: teams.m2_sum("best"),
        lambda: teams.leading("M3"),
        lambda: team_rungs.m7_policies((3,), (2, 2)),
        lambda: team_rungs.m7_policies((3, 0), (2, 2)),
        lambda: team_rungs.m9_grid("both"),
    ):
        with pytest.raises(ValueError, match=r"must be|needs|give"):
            call()


T, X, N = SYMBOLS["model_tv"], SYMBOLS["episode_discount"], SYMBOLS["horizon"]


def as_bound(expression):
    return Bound(name="mine", label="", expression=expression, source="")


@pytest.mark.parametrize("more", [0, 1, 2])
@pytest.mark.parametrize("slope", [0, Fraction(3, 2)])
def test_mismatch_is_the_inverse_of_the_error(more, slope):
    """Missed(Mismatch(s)) + a·Mismatch(s) = s to 50 digits, 1 beyond the largest error; at γ = 1 and below."""
    s = SYMBOLS["epsilon"]
    root = Mismatch(s, X, N, more, slope)
    back = as_bound(Missed(root, X, N, more) + slope * root)
    for discount in (1, Fraction(7, 10)):
        for epsilon in (Fraction(1, 10**9), Fraction(1, 10), Fraction(1, 2)):
            at = {"epsilon": epsilon, "horizon": 6, "episode_discount": discount}
            low, high = back.ball(digits=50, **at)
            assert low <= epsilon <= high
        assert as_bound(root).evaluate(epsilon=100, horizon=6, episode_discount=discount) == 1


@pytest.mark.parametrize("symbol", ["horizon", "epsilon", "episode_discount"])
def test_elasticities_of_the_implicit_functions_are_slopes(symbol):
    """Against secants of log10, in a real horizon as well as in γ; at γ = 1 from below."""
    bound = teams.m5(form="closed").episodes
    for discount in (1, Fraction(9, 10)):
        point = TIGER | {"horizon": 5, "epsilon": Fraction(1, 1000), "episode_discount": discount, **SPLIT}
        here = bound.elasticity(symbol, **point)
        if symbol == "horizon":
            near = [log10(bound, point | {"horizon": h}) for h in (4, 6)]
            assert here == pytest.approx((near[1] - near[0]) / math.log10(6 / 4), rel=0.03)
            continue
        step = Fraction(1, 10**4)
        moved = point | {symbol: point[symbol] * (1 - step)}
        slope = (log10(bound, point) - log10(bound, moved)) / -math.log10(1 - step)
        assert here == pytest.approx(slope, rel=2e-3)


def test_sum_of_powers_at_and_near_one():
    """n at 1, and continuous there; its slope too."""
    total = as_bound(PowerSum(X, N))
    assert total.evaluate(episode_discount=1, horizon=7) == 7
    near = 1 - Fraction(1, 10**9)
    assert total.evaluate(episode_discount=near, horizon=7) == sum(near**i for i in range(7))
    at_one = total.elasticity("episode_discount", episode_discount=1, horizon=7)
    assert at_one == pytest.approx(3)
    assert total.elasticity("episode_discount", episode_discount=near, horizon=7) == pytest.approx(3, rel=1e-6)
