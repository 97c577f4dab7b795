"""Learners of one's own: what kernels play of them, and what is known of how strongly they react."""

import numpy as np
import pytest

import bounds.discretisation as theory
import rfos
from rfos._kernels.learners import NAIVE_SIMPLEX, Rule
from rfos.metagames.discretisation import discretisation_error
from rfos.metagames.learners import (
    LARGEST_STEP,
    LOLA,
    NAMED_LEARNERS,
    Fixed,
    Lipschitz,
    NaiveLearner,
    SmoothedBestResponse,
    lipschitz_of,
    rule_of,
)

PENNIES = rfos.one_shot(rfos.named_game("matching-pennies"))
GRIDS = [rfos.SimplexGrid(1, 2, 8)] * 2


class HalfSteps:
    """Gradient steps of 1/2 on probabilities, written anew; it knows its kernel and its constants."""

    def update(self, game, player, policies):
        return NaiveLearner(0.5, "simplex").update(game, player, policies)

    def rule(self):
        return Rule(NAIVE_SIMPLEX, 0.5, 1.0)

    def lipschitz(self, game, player):
        return Lipschitz("projected_gradient", {"step_size": 0.5, "inner_actions": 2, "inner_span": 1})


class Turning(HalfSteps):
    """Its own update: nothing that is said of `HalfSteps` holds of it."""

    def update(self, game, player, policies):
        return policies[player][:, ::-1]


def met(learner, **options):
    return rfos.PolicyMetaGame(PENNIES, [learner], GRIDS, 0.8, **options)


def test_a_learner_of_ones_own_with_a_rule_is_played_by_kernels():
    """The table is that of the learner of the package with the same rule, byte for byte."""
    ours, theirs = met(HalfSteps()), met(NaiveLearner(0.5, "simplex"))
    assert ours.dynamics is not None
    for part in ("corner", "steps"):
        assert getattr(ours.to_mdp().storage, part).tobytes() == getattr(theirs.to_mdp().storage, part).tobytes()
    assert discretisation_error(ours) == discretisation_error(theirs)


def test_whoever_writes_an_update_of_his_own_is_asked_nothing_of_the_class_above():
    """In a class below, and in the object itself; a rule beside the new update counts again."""
    turning, plain = Turning(), HalfSteps()
    plain.update = turning.update
    both = type("Both", (Turning,), {"update": HalfSteps.update, "rule": HalfSteps.rule})()
    for learner in (turning, plain):
        assert rule_of(learner) is None
        assert met(learner).dynamics is None
        assert "no Lipschitz constants of" in lipschitz_of(learner, PENNIES, 1)
        assert discretisation_error(met(learner)).statement is None
    assert rule_of(both) == rule_of(HalfSteps())
    assert isinstance(lipschitz_of(both, PENNIES, 1), str)
    below = type("Below", (NaiveLearner,), {})(0.25)
    assert rule_of(below) == rule_of(NaiveLearner(0.25))
    assert lipschitz_of(below, PENNIES, 1) == lipschitz_of(NaiveLearner(0.25), PENNIES, 1)


@pytest.mark.parametrize("name", NAMED_LEARNERS)
def test_every_learner_of_the_package_says_both(name):
    """A rule of a kind of its own, and constants or a sentence; who never moves has no formula."""
    learner = NAMED_LEARNERS[name]()
    rule, known = rule_of(learner), lipschitz_of(learner, PENNIES, 1)
    assert isinstance(rule, Rule)
    assert all(isinstance(number, float) for number in rule[1:])
    if isinstance(known, Lipschitz):
        assert (known.formula is None) == (name == "fixed")
    else:
        assert known


def test_a_formula_of_ones_own_enters_the_theorem():
    """l_state 1/2 and l_action 0 as a Learner of bounds: D1 with these constants."""
    half = theory.smoothed_best_response()
    told = Lipschitz(half, {"smoothing": 0.5, "temperature": 1.0, "inner_span": 1})
    mine = type("Mine", (Turning,), {"update": Turning.update, "lipschitz": lambda self, game, player: told})()
    found = discretisation_error(met(mine, rounding="nearest"))
    assert found.statement == "D1"
    assert found.constants["l_state"] == 0.5
    known = discretisation_error(met(SmoothedBestResponse(1.0, 0.5), rounding="nearest"))
    assert found.constants["l_action"] == known.constants["l_action"]


@pytest.mark.parametrize(
    ("method", "returned", "message"),
    [
        ("rule", (1, 0.5, 1.0), r"rule\(\) of Mine is \(1, 0.5, 1.0\): give a Rule\(kind, step, mixing\)"),
        ("rule", Rule(10, 0.5, 1.0), "rule.. of Mine is .*kind=10"),
        ("rule", Rule(1, float("nan"), 1.0), "with finite numbers, or None"),
        ("lipschitz", 0.5, r"lipschitz\(\) of Mine is 0.5: give a Lipschitz\(formula, values\)"),
        ("lipschitz", Lipschitz("x"), "the formula of a learner's constants is 'x': give a Learner .* projected_grad"),
    ],
)
def test_what_a_learner_says_of_itself_is_checked(method, returned, message):
    """One sentence that names the learner or the value, and what to give."""
    mine = type("Mine", (Turning,), {"update": Turning.update, method: lambda self, *given: returned})()
    with pytest.raises(ValueError, match=message):
        discretisation_error(met(mine))


def test_steps_that_are_too_large_are_for_update_alone():
    """Infinity times 0 lies in no cell of a grid."""
    assert rule_of(NaiveLearner(LARGEST_STEP)) is not None
    for learner in (NaiveLearner(2 * LARGEST_STEP), LOLA(2 * LARGEST_STEP), LOLA(1.0, 2 * LARGEST_STEP)):
        assert rule_of(learner) is None


def test_who_has_one_action_never_moves():
    """Whatever the learner."""
    game = rfos.one_shot(rfos.NormalFormGame(np.array([[[1.0], [3.0]], [[1.0], [2.0]]])))
    for learner in (LOLA(), Fixed(), Turning()):
        assert lipschitz_of(learner, game, 1) == Lipschitz()
