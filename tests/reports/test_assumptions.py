"""Assumptions that can be told from the values are checked wherever a bound is evaluated, a run made, a spec read.

The largest return is r_max/(1-discount): at discount 4/5 and r_max 1 it is 5, of two steps 9/5. An epsilon at or above
it makes every policy epsilon-optimal, so that there is nothing that a theorem could promise.
"""

import re
from fractions import Fraction

import numpy as np
import pytest
from commands import here

import rfos
from bounds import STATEMENTS, bounds_of, optimise, rivals, rmax, sharp
from rfos.games.named import matching_pennies
from rfos.laboratory.sweeps.spec import parse_spec
from rfos.learning.agents import Rmax
from rfos.learning.coverage import coverage, derived_m
from rfos.learning.least_m import least_sufficient_m
from rfos.learning.ledger import ledger
from rfos.learning.run import run
from rfos.metagames.opponents import WindowQLearner

POINT = {"n_states": 64, "n_actions": 2, "branching": 2, "r_max": 1, "epsilon": 1, "delta": 0.05, "discount": "4/5"}
NOT_BELOW = "epsilon is not below the largest return"
ASSUMED = "rewards lie in [0, r_max] and epsilon is below the largest return"
PENNIES = rfos.WindowMetaGame(matching_pennies(), WindowQLearner(), window=1, discount=0.8)


def point_of(bound, **changes):
    """Values for all that a bound takes, its weights in equal shares."""
    values = {**POINT, "horizon": 2, "players": 2, "inner_states": 1, "inner_actions": 2, "inner_branching": 1}
    values |= {"window": 2, "radius": "1/4", "inner_steps": 1, "rate": "1/100", "w_reward": "1/2", "aliasing": "1/10"}
    values |= {w: Fraction(1, len(bound.weights)) for w in bound.weights}
    if "w_plan" in bound.parameters and not bound.weights:
        values["w_plan"] = 0
    if any("one successor" in text for _, text in bound.conditions):
        values["branching"] = 1
    return {k: x for k, x in {**values, **changes}.items() if k in (*bound.symbols, *bound.parameters, *bound.weights)}


LISTED = {
    f"{statement} {name}": bound
    for statement in STATEMENTS
    for name, bound in bounds_of(statement).items()
    if ASSUMED in bound.assumptions
}


@pytest.mark.parametrize("name", LISTED)
def test_every_bound_that_lists_a_small_epsilon_refuses_a_large_one(name):
    """At V_max and above, in every way of evaluating it; just below it is evaluated."""
    bound = LISTED[name]
    largest = Fraction(9, 5) if bound.label.startswith("T1-ep") else Fraction(5)
    for epsilon in (largest, 100):
        at = point_of(bound, epsilon=epsilon)
        for evaluate in (bound.evaluate, bound.log10, bound.ball, bound.parts, bound.require):
            with pytest.raises(ValueError, match=re.escape(f"{bound.label} does not apply: {NOT_BELOW}")):
                evaluate(**at)
    bound.require(**point_of(bound, epsilon=largest - Fraction(1, 10**30)))
    bound.log10(**point_of(bound, epsilon=1))


def test_there_are_bounds_that_list_it():
    """T1, T1+, T1-ep, X2, X4 with T1's m, and T2 on top of them; T1' lists it by its remaining assumptions."""
    labels = {bound.label for bound in LISTED.values()}
    assert {"T1", "T1+", "T1-ep", "T1 with X2", "T1 with X4"} <= labels
    assert len(LISTED) > 40


@pytest.mark.parametrize("family", [sharp.t1_deterministic(), sharp.t1_observed()])
def test_bounds_with_one_visit_refuse_a_large_epsilon_too(family):
    """m = 1 has no epsilon in its formula: it is refused where epsilon is named."""
    assert family.m.evaluate() == 1
    for bound in (family.m, family.steps):
        with pytest.raises(ValueError, match=NOT_BELOW):
            bound.evaluate(**point_of(bound, epsilon=5))


def test_t1_at_epsilon_100_has_no_number():
    """It was 384 steps at 64 states, 2 actions, discount .8."""
    at = {**POINT, **rmax.default_weights("continuing")}
    with pytest.raises(
        ValueError, match=r"T1 does not apply: .* give a smaller epsilon \(discount = 4/5, epsilon = 100"
    ):
        rmax.t1().steps.evaluate(**{**at, "epsilon": 100})
    with pytest.raises(ValueError, match=NOT_BELOW):
        rmax.t1().evaluate(**{**at, "epsilon": 100})
    with pytest.raises(ValueError, match=NOT_BELOW):
        rmax.t1().steps.elasticity("epsilon", **{**at, "epsilon": 100})


def test_arrays_have_nan_where_the_statement_does_not_apply():
    """1 and 4.9 are below 5, 5.1 and 100 are not (arrays hold floats, and .8 as a float is a trifle above 4/5)."""
    weights = {k: float(x) for k, x in rmax.default_weights("continuing").items()}
    bound = rmax.t1("known", False, "closed").steps
    found = bound.on_grid(**{**POINT, "epsilon": [1.0, 4.9, 5.1, 100.0]}, **weights)
    assert np.isnan(found).tolist() == [False, False, True, True]
    assert found[0] == pytest.approx(bound.evaluate(**{**POINT, "epsilon": 1}, **rmax.default_weights("continuing")))


def test_the_choice_of_weights_ends_where_the_bound_does_not_apply():
    """The search for a valid rate of X1 took the refusal for a rate that is too large, and halved it for ever."""
    for bound in (sharp.t1_plus(rate_is="free").steps, rmax.t1().steps):
        with pytest.raises(ValueError, match=NOT_BELOW):
            optimise(bound, **{**POINT, "epsilon": 5})


def test_t1_prime_is_for_one_successor():
    """Its certain count is false with two."""
    steps = sharp.t1_deterministic().steps
    with pytest.raises(ValueError, match=r"T1' does not apply: it is for one successor of each pair.*branching = 2"):
        steps.evaluate(**{**POINT, "w_plan": 0})
    assert steps.evaluate(**{**POINT, "branching": 1, "w_plan": 0}) == 64 * 2 * 8  # 5·(4/5)^8 = .84, ^7 = 1.05


def test_other_listed_ranges_are_checked():
    """Two laws are at most 2 apart; rivals are quoted for epsilon <= 1, two successors, and r_max = 1 alone."""
    p2_plus = bounds_of("P2+")["p2_plus"]
    at = {"eps_reward": "1/10", "discount": "1/2", "r_max": 1}
    assert p2_plus.evaluate(**at, eps_transition=2) == Fraction(6, 5)
    with pytest.raises(ValueError, match="at most 2 apart"):
        p2_plus.evaluate(**at, eps_transition="2.01")
    plain = {k: x for k, x in POINT.items() if k != "r_max"}
    found = rivals.rivals()
    assert found["generative model"].evaluate(**plain) == 64 * 2 * 125
    with pytest.raises(ValueError, match="epsilon is above 1"):
        found["generative model"].evaluate(**{**plain, "epsilon": "1.01"})
    with pytest.raises(ValueError, match="two successors"):
        found["UCRL-gamma"].evaluate(**{**plain, "branching": 3})
    with pytest.raises(TypeError, match="no symbol 'r_max'"):
        found["R-max"].evaluate(**POINT)


@pytest.mark.parametrize(
    "use",
    [
        lambda epsilon: run(PENNIES, Rmax(epsilon=epsilon), steps=9),
        lambda epsilon: run(PENNIES, Rmax(m=3, epsilon=epsilon), steps=9),
        lambda epsilon: run(PENNIES.to_mdp(), Rmax(epsilon=epsilon), steps=9),
        lambda epsilon: derived_m(PENNIES, Rmax(epsilon=epsilon)),
        lambda epsilon: ledger(PENNIES, Rmax(m=3), epsilon=epsilon, steps=9),
        lambda epsilon: least_sufficient_m(PENNIES, epsilon),
    ],
)
@pytest.mark.parametrize("epsilon", [5.0, 100])
def test_runs_refuse_an_epsilon_that_every_policy_has(use, epsilon):
    """Rewards 0 and 1, discount .8: V_max = 5."""
    with pytest.raises(ValueError, match=NOT_BELOW):
        use(epsilon)


def test_an_episode_is_worth_less():
    """Two steps at discount .8: 1 + .8 = 1.8."""
    assert derived_m(PENNIES, Rmax(epsilon=1.79, planning="episode"), horizon=2) >= 1
    with pytest.raises(ValueError, match=NOT_BELOW):
        derived_m(PENNIES, Rmax(epsilon=1.8, planning="episode"), horizon=2)


def test_no_theorem_covers_a_run_at_such_an_epsilon():
    """Coverage says why."""
    found = coverage(PENNIES, Rmax(epsilon=5.0))
    assert found.theorem is None
    assert NOT_BELOW in found.reason


def test_where_all_rewards_are_equal_every_epsilon_will_do():
    """V_max - V_min = 0: every policy is optimal, and one visit is asked for."""
    assert derived_m(rfos.TabularMDP([[0, 0]], [[1.0, 1.0]], 0.5), Rmax(epsilon=7.0)) == 1


SPEC = """
title = "a large epsilon"
seed = 0
[[grid]]
measure = ["{measure}"]
game = ["matching-pennies"]
opponent = ["window-q-learner"]
window = [1]
agent = ["{agent}"]
epsilon = [0.8, {epsilon}]
delta = [0.2]
discount = [0.8]
m = [5]
steps = [100]
seeds = 1
"""


@pytest.mark.parametrize(("measure", "agent"), [("run", "rmax"), ("ledger", "rmax"), ("ledger", "paper")])
def test_a_spec_with_such_an_epsilon_is_refused_as_a_whole(measure, agent):
    """Before anything runs."""
    assert len(parse_spec(SPEC.format(measure=measure, agent=agent, epsilon=4.9)).cells) == 2
    with pytest.raises(ValueError, match=f"spec: .*{NOT_BELOW}"):
        parse_spec(SPEC.format(measure=measure, agent=agent, epsilon=5.0))


def test_the_command_refuses_it_and_reads_a_number_without_a_leading_zero(tmp_path):
    """`--epsilon .1` is 0.1; at 100 the status is 2 and one line."""
    sizes = ("bound", "--states", "64", "--actions", "2", "--branching", "2", "--json")
    short, long = (here(*sizes, "--epsilon", e, cwd=tmp_path) for e in (".1", "0.1"))
    assert (short.returncode, long.returncode) == (0, 0), short.stderr
    assert short.stdout.replace('".1"', '"0.1"') == long.stdout
    refused = here(*sizes, "--epsilon", "100", cwd=tmp_path)
    assert refused.returncode == 2
    assert refused.stderr.count("\n") == 1
