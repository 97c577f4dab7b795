"""The preset `paper`: its numbers, and each departure from R-max made visible on the smallest MDP that shows it."""

import domains
import numpy as np
import pytest

from rfos.games.named import matching_pennies
from rfos.learning.agents import PaperRmax, Rmax
from rfos.learning.coverage import coverage, derived_m
from rfos.learning.run import run
from rfos.metagames.opponents import QLearner, WindowQLearner
from rfos.metagames.window import WindowMetaGame
from rfos.planning.mdp import TabularMDP

TWO_STATES = domains.deterministic([[1, 1], [0, 0]], [["1/4", "1/4"], [1, "1/2"]], "1/2").mdp()
AGENT = PaperRmax(epsilon=0.5, delta=0.2, m=1)
"""Two sweeps: ⌊ln(1/(ε(1-γ)))/(1-γ)⌋ = ⌊2 ln 4⌋ = 2 at discount 1/2."""


def after(steps, mdp=TWO_STATES, agent=AGENT, start=0, seed=0):
    return run(mdp, agent, steps=steps, starts=[start], bins=1, rng=seed)


def test_unknown_successors_are_worth_nothing_to_the_paper_agent():
    """Departure 2: Q(s,a) = r + γ·0 where all successors are unknown; R-max has r + γ V_max."""
    paper = after(1)
    tried = int(paper.visits.argmax())
    assert paper.q[0, tried] == 0.25
    assert run(TWO_STATES, Rmax(m=1), steps=1, starts=[0], bins=1, rng=0).q[0, 0] == pytest.approx(0.25 + 0.5 * 2)


def test_values_of_a_known_cycle_are_those_worked_by_hand():
    """Two in-place sweeps over a known cycle 0 -> 1 -> 0 with rewards ¼ and r, all else left at V_max = 2.

    The first plan gave Q(0) = ¼ (its successor was unknown). Then, in index order:
    sweep 1: Q(0) = ¼ + ½·0 = ¼ (Q(1) is still at 2 and left out), Q(1) = r + ½·¼;
    sweep 2: Q(0) = ¼ + ½ Q(1), Q(1) = r + ½ Q(0).
    """
    trace = after(2)
    first, second = int(trace.visits[:2].argmax()), int(trace.visits[2:].argmax())
    reward = [1, 0.5][second]
    q1 = reward + 0.5 * 0.25
    q0 = 0.25 + 0.5 * q1
    q1 = reward + 0.5 * q0
    assert trace.q[0, first] == q0
    assert trace.q[1, second] == q1
    assert trace.q[0, 1 - first] == trace.q[1, 1 - second] == 2.0


def test_sweeps_stop_before_the_values_do():
    """Departure 4: a loop that pays 1 is worth 1 + ½ = 1.5 after the two sweeps of ε = ½, not 1/(1-½) = 2."""
    loop = TabularMDP([[0]], [[1.0]], 0.5)
    assert after(1, mdp=loop).q[0, 0] == 1.5
    assert after(1, mdp=loop, agent=PaperRmax(epsilon=0.2, m=1)).q[0, 0] == 1.875  # ⌊2 ln 10⌋ = 4 sweeps
    assert run(loop, Rmax(m=1), steps=1, bins=1, rng=0).q[0, 0] == pytest.approx(2.0)


def test_paper_agent_plays_a_softmax():
    """Departure 1: untried actions are drawn evenly; a known action worth d less has odds exp(-d/0.25)."""
    trace = after(1)
    tried = int(trace.visits[:2].argmax())
    odds = np.exp((0.25 - 2.0) / 0.25)
    assert trace.action_probabilities[0, tried] == pytest.approx(odds / (1 + odds), rel=1e-12)
    assert trace.action_probabilities[1].tolist() == [0.5, 0.5]
    known = [int(after(2, seed=seed).visits[:2].argmax()) for seed in range(40)]
    assert 5 < sum(known) < 35  # the first action of R-max would be the same in all


@pytest.mark.parametrize(("window", "m"), [(2, 1005), (3, 4023), (4, 16094)])
def test_paper_schedule_is_far_below_the_theorem(window, m):
    """Departure 3: m = ⌊|Ŝ| ln(1/δ)/(ε(1-γ̂))²⌋; T1 needs more, against the window opponent that it covers."""
    hidden = WindowMetaGame(matching_pennies(), QLearner(), window=window, discount=0.8)
    exact = WindowMetaGame(matching_pennies(), WindowQLearner(), window=window, discount=0.8)
    assert derived_m(hidden, PaperRmax()) == derived_m(exact, PaperRmax()) == m
    if window == 2:
        assert derived_m(exact, Rmax(epsilon=0.8, delta=0.2)) > 10 * m


def test_schedule_of_the_paper_grows_with_the_states_and_that_of_the_theorem_hardly():
    """m ∝ |Ŝ| in the paper; with B = 2 successors T1's m grows by a logarithm only."""
    games = [WindowMetaGame(matching_pennies(), WindowQLearner(), window=h, discount=0.8) for h in (2, 4)]
    paper = [derived_m(game, PaperRmax()) for game in games]
    theorem = [derived_m(game, Rmax(epsilon=0.8, delta=0.2)) for game in games]
    assert paper[1] / paper[0] == pytest.approx(16, rel=1e-2)
    assert theorem[1] / theorem[0] < 1.6


def test_hidden_opponent_leaves_the_paper_agent_without_a_theorem():
    """Departure 5: the opponent's state is hidden, so the meta-game is no MDP and nothing covers the run."""
    hidden = WindowMetaGame(matching_pennies(), QLearner(), window=2, discount=0.8, horizon=10)
    assert not hidden.is_markov
    assert coverage(hidden, PaperRmax()).theorem is None
    with pytest.raises(ValueError, match="hidden"):
        hidden.to_mdp()


def test_preset_lists_its_departures():
    """The docstring names all five."""
    assert all(f"{i}. " in (PaperRmax.__doc__ or "") for i in range(1, 6))
