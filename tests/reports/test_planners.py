"""Agents near discount 1: a plan that rounding forbids, or that nobody would wait for, is refused at once."""

import numpy as np
import pytest
from commands import AT_ONCE

from rfos import NormalFormGame, PaperRmax, Rmax, TabularMDP, WindowMetaGame, WindowQLearner, run
from rfos.learning.least_m import least_sufficient_m
from rfos.learning.ledger import ledger


def random_mdp(discount: float) -> TabularMDP:
    """Five states, two actions, five successors each, rewards in [0, 1]."""
    rng = np.random.default_rng(0)
    return TabularMDP(rng.dirichlet(np.full(5, 0.3), (5, 2)), rng.random((5, 2)), discount)


@pytest.mark.parametrize(
    "play",
    [
        lambda mdp: run(mdp, Rmax(m=5), steps=50, rng=0),
        lambda mdp: run(mdp, PaperRmax(m=5), steps=50, rng=0),
        lambda mdp: ledger(mdp, Rmax(m=5), epsilon=1e8, steps=50, rng=0),
        lambda mdp: least_sufficient_m(mdp, 1e8, largest=1),
    ],
)
def test_a_plan_of_some_hundred_billion_products_is_refused(play) -> None:
    """At discount 1 - 1e-9 value iteration takes some 1e10 sweeps: it went on for ever."""
    with pytest.raises(ValueError, match=r"at discount 0\.999999999 one plan takes about .* sweeps over all pairs"):
        play(random_mdp(1 - 1e-9))


def test_a_plan_more_exact_than_values_are_rounded_is_refused() -> None:
    """Values of 1e5 are rounded by 1e-11; a plan for epsilon = 1e-9 may change by 1e-16 at most."""
    with pytest.raises(ValueError, match="are rounded by more than a plan may then miss: give an epsilon of at least"):
        run(random_mdp(1 - 1e-5), Rmax(m=5, epsilon=1e-9), steps=50, rng=0)


def test_where_only_m_is_given_planning_ends_at_rounding() -> None:
    """All pairs become known, and the plan of the known model is made."""
    trace = run(random_mdp(1 - 1e-5), Rmax(m=2), steps=500, rng=0)
    assert trace.all_known_at is not None
    assert np.isfinite(trace.q).all()


def test_the_paper_s_agent_is_refused_where_its_first_values_are_beyond_floats() -> None:
    """1.7e308 / (1 - .8) is: it was an OverflowError of Python's."""
    k = 1.7e308
    game = NormalFormGame.from_payoffs([[0.5 * k, 0], [k, 0.1 * k]], [[0.5 * k, k], [0, 0.1 * k]])
    with pytest.raises(ValueError, match="is beyond floats: scale the rewards"):
        run(WindowMetaGame(game, WindowQLearner(initial=0), 1, 0.8), PaperRmax(), steps=5)


def test_a_ledger_takes_the_smallest_epsilon() -> None:
    """A billionth of 5e-321 is 0, which is no width: the message spoke of a tolerance that nobody gave."""
    mdp = TabularMDP([[0, 0]], [[0.0, 1e-320]], 0.5)
    found = ledger(mdp, Rmax(m=3), epsilon=5e-321, steps=20, rng=0)
    assert found.count + found.undecided >= 3


def test_refusals_are_quick() -> None:
    """Before anything is planned."""
    import time

    began = time.process_time()
    with pytest.raises(ValueError, match="one plan takes"):
        run(random_mdp(1 - 1e-12), Rmax(m=5), steps=50, rng=0)
    assert time.process_time() - began < AT_ONCE
