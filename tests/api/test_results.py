"""Results know their table, their line and their page."""

import math

import numpy as np
import pandas as pd
import pytest

import rfos
from rfos.laboratory.reproduction.estimates import Estimate
from rfos.laboratory.reproduction.experiment import Experiment
from rfos.laboratory.reproduction.report import Report
from rfos.laboratory.reproduction.results import Claim, WindowResult
from rfos.laboratory.sweeps.fits import Fits

MDP = rfos.TabularMDP([[0, 1], [1, 0]], [[0.0, 1.0], [2.0, 0.0]], 0.5)


def test_a_solution_is_a_table_with_a_row_per_state():
    """V = (3, 4) by hand: from state 0 move on to 1, and stay there."""
    solution = rfos.solve(MDP)
    table = solution.to_frame()
    assert list(table.columns) == ["value", "lower", "upper", "action"]
    assert table.index.name == "state"
    assert table["value"].tolist() == pytest.approx([3, 4], abs=1e-9)
    assert table["action"].tolist() == [1, 0]
    mixed = rfos.evaluate_policy(MDP, [[0.5, 0.5], [1.0, 0.0]]).to_frame()
    assert list(mixed.columns) == ["value", "lower", "upper", "probability_0", "probability_1"]
    assert mixed["probability_1"].tolist() == [0.5, 0.0]


def test_a_solution_is_one_line_that_says_whether_it_converged():
    assert repr(rfos.solve(MDP)) == "<Solution of 2 states by policy_iteration: values 3 to 4, certified, converged>"
    early = rfos.solve(MDP, "value_iteration", tol=1e-12, max_iterations=1)
    assert "NOT converged (limit)" in repr(early)
    assert "\n" not in repr(early)


def test_the_page_of_a_large_solution_is_short():
    n = 5000
    chain = rfos.TabularMDP((np.arange(n) + 1)[:, None] % n, np.ones((n, 1)), 0.5)
    page = rfos.solve(chain)._repr_html_()
    assert len(page) < 10_000
    assert "&lt;Solution of 5,000 states" in page
    assert "units of reward/(1-discount)" in page


def test_a_trace_is_a_table_with_a_row_per_bin():
    """Both pairs of one state are known after a step each: rewards 0 and 1, then 1 a step."""
    mdp = rfos.TabularMDP([[0, 0]], [[0.0, 1.0]], 0.5)
    trace = rfos.run(mdp, rfos.Rmax(m=1), steps=4, bins=2, rng=1)
    table = trace.to_frame()
    assert table.to_dict("list") == {"steps": [2, 4], "mean_reward": [0.5, 1.0], "known": [2, 2]}
    assert repr(trace) == "<Trace of Rmax: 4 steps with m = 1: 2 of 2 rows became known, 2 plans>"
    assert "Covered by T1&#x27;: transitions and rewards are deterministic" in trace._repr_html_()


def test_a_ledger_is_a_table_of_one_row_and_a_page_with_every_number():
    mdp = rfos.TabularMDP([[0, 0]], [[0.0, 1.0]], 0.5)
    ledgers = [rfos.ledger(mdp, rfos.Rmax(m=m), epsilon=0.5, steps=50, rng=1) for m in (1, 3)]
    table = pd.concat([found.to_frame() for found in ledgers])
    assert table["count"].tolist() == [1, 3]
    assert list(table.columns) == list(ledgers[0].row())
    page = ledgers[1]._repr_html_()
    assert all(f"<td>{name}</td>" in page for name in table.columns if name not in ("theorem", "reason"))
    assert "Covered by T1&#x27;: " in page


def test_fits_are_one_line_and_a_table_of_their_verdicts():
    fits = Fits(pd.DataFrame({"slope": [1.0, 2.0], "verdict": ["slower", "slower"]}), pd.DataFrame({"x": [1, 2, 4]}))
    assert repr(fits) == "<Fits of 3 points: 2 slopes, 2 slower>"
    assert fits.to_frame() is not fits.fits
    assert "<td>slower</td>" in fits._repr_html_()
    assert repr(Fits(pd.DataFrame(), pd.DataFrame())) == "<Fits of 0 points: 0 slopes, no verdicts>"


def report() -> Report:
    """Of one window, without runs."""
    one = WindowResult(
        window=2,
        n_states=16,
        epsilon=0.8,
        m=1005,
        episodes=100,
        converged=None,
        all_known=Estimate(50.0, 40.0, 60.0, 5),
        x4=(10, 90),
        x4_greedy=80,
        in_x4=5,
        published=11,
        final_reward=Estimate(0.7, math.nan, math.nan, 1),
        steps_per_second=1e8,
        coverage="",
        optimal_value=None,
        final_value=None,
        largest_gap=None,
    )
    claims = (Claim("a < b", "reproduced", "seen", "rule"), Claim("c", "undecided", "not seen", "rule"))
    return Report(Experiment(windows=(2,)), pd.DataFrame(), (one,), (), (), claims)


def test_a_report_is_a_table_with_a_row_per_window_and_epsilon():
    [row] = report().to_frame().to_dict("records")
    assert (row["all_known"], row["all_known_low"], row["all_known_high"]) == (50.0, 40.0, 60.0)
    assert (row["x4_low"], row["x4_high"], row["m"], row["published"]) == (10, 90, 1005, 11)
    assert row["converged"] is None
    assert row["optimal_value_low"] is None
    assert math.isnan(row["final_reward_low"])


def test_a_report_is_one_line_and_a_page_of_its_claims():
    found = report()
    assert repr(found) == ("<Report matching-pennies, windows 2, 5 seeds a window: claims 1 reproduced, 1 undecided>")
    assert "reproduced: a &lt; b. seen" in found._repr_html_()
