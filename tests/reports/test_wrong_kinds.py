"""An object of another kind than was expected is told so: what it is, what was expected, the call that makes that.

A refusal is right where it is a ValueError, TypeError or MemoryError in this package's words; Python's own words
("has no attribute", "object is not iterable", ..) are never an answer.
"""

import inspect
import json
import math
import re

import numpy as np
import pandas as pd
import pytest
from commands import here

import rfos
from rfos import plots, testing
from rfos._system.checks import WrongKindError
from rfos.games import equilibria, strategies
from rfos.games.named import matching_pennies, named_game, public_goods
from rfos.games.normal_form import NormalFormGame
from rfos.games.stochastic import StochasticGame, iterated, one_shot
from rfos.laboratory.reproduction import experiment
from rfos.laboratory.sweeps import driver, executors, spec, store, tables
from rfos.laboratory.sweeps.cells import Cell
from rfos.laboratory.sweeps.fits import all_fits
from rfos.laboratory.sweeps.rows import StoreRow
from rfos.learning.agents import PaperRmax, Rmax
from rfos.learning.aliasing import aliasing
from rfos.learning.coverage import coverage, derived_m, theory_m
from rfos.learning.least_m import least_sufficient_m
from rfos.learning.ledger import ledger
from rfos.learning.run import run
from rfos.learning.trace import Progress
from rfos.metagames import continuous, discretisation, grids, yardsticks
from rfos.metagames.grids import MAX_LEVELS, CubeGrid, LevelGrid, SimplexGrid
from rfos.metagames.learners import FictitiousPlay, NaiveLearner, QLearning, SmoothedBestResponse, named_learner
from rfos.metagames.opponents import Always, MemoryOne, QLearner, WindowBestResponse, WindowQLearner, grim
from rfos.metagames.policy import PolicyMetaGame
from rfos.metagames.sizes import even_grid, inner_game, require_levels
from rfos.metagames.windows import WindowIndex
from rfos.planning import certificates, interop

NF = matching_pennies()
SG = one_shot(NF)
PURE = SimplexGrid(1, 2, 1)
WINDOW = rfos.WindowMetaGame(NF, WindowQLearner(), window=1, discount=0.8)
POLICY = PolicyMetaGame(SG, [NaiveLearner()], [PURE, PURE], 0.5)
MDP = rfos.TabularMDP([[0, 1], [1, 0]], [[0.0, 0.0], [1.0, 0.0]], 0.5)
STARTS = [np.array([[[1.0, 0.0]]])]
HUGE = 10**400

WRONG = {
    "None": None,
    "5": 5,
    "text": "x",
    "function": lambda *a, **k: 0,
    "NormalFormGame": NF,
    "StochasticGame": SG,
    "WindowMetaGame": WINDOW,
    "PolicyMetaGame": POLICY,
    "TabularMDP": MDP,
    "Rmax": Rmax(m=2),
    "class": Rmax,
    "list": [1, "a"],
    "dict": {},
    "10^400": HUGE,
    "True": True,
    "nan": math.nan,
    "1.5": 1.5,
    "1j": 1j,
}
CALLS = {
    "NormalFormGame": (NormalFormGame, {"payoffs": NF.payoffs, "action_names": (), "scaling": ()}),
    "named_game": (named_game, {"name": "chicken"}),
    "public_goods": (public_goods, {"n_players": 3, "multiplier": 2.0, "contribution": 1.0}),
    "StochasticGame": (
        StochasticGame,
        {"transitions": [[[1.0]]], "rewards": [[[1.0]]], "initial": [1.0], "n_actions": (1,), "discount": 0.5},
    ),
    "iterated": (iterated, {"game": NF, "discount": 0.9}),
    "one_shot": (one_shot, {"game": NF}),
    "inner_game": (inner_game, {"name": "ipd", "inner_discount": 0.5}),
    "CubeGrid": (CubeGrid, {"n_states": 1, "n_actions": 2, "cells": 2}),
    "LevelGrid": (LevelGrid, {"n_states": 1, "levels": (0.1, 0.9)}),
    "SimplexGrid": (SimplexGrid, {"n_states": 1, "n_actions": 2, "levels": 2}),
    "even_grid": (even_grid, {"game": SG, "player": 0, "count": 3}),
    "levels_for": (grids.levels_for, {"n_actions": 2, "radius": 0.1}),
    "largest_levels": (grids.largest_levels, {"n_states": 1, "n_actions": 2, "max_points": 5}),
    "logit_levels": (grids.logit_levels, {"n_levels": 3, "lowest": 0.1}),
    "WindowIndex": (WindowIndex, {"n_actions": (2, 2), "window": 2}),
    "NaiveLearner": (NaiveLearner, {"step": 1.0, "parameters": "logits"}),
    "QLearning": (QLearning, {"rate": 0.5, "temperature": 1.0}),
    "FictitiousPlay": (FictitiousPlay, {"mixing": 0.5}),
    "SmoothedBestResponse": (SmoothedBestResponse, {"temperature": 1.0, "mixing": 0.5}),
    "named_learner": (named_learner, {"name": "naive"}),
    "QLearner": (QLearner, {"learning_rate": 0.5, "exploration": 0.1, "initial": 0.0}),
    "WindowQLearner": (WindowQLearner, {"learning_rate": 0.5, "exploration": 0.1, "initial": 0.0}),
    "WindowBestResponse": (WindowBestResponse, {"exploration": 0.1}),
    "MemoryOne": (MemoryOne, {"table": [[[1, 0], [1, 0]], [[0, 1], [0, 1]]]}),
    "Always": (Always, {"action": 0}),
    "WindowMetaGame": (
        rfos.WindowMetaGame,
        {"game": NF, "opponent": WindowQLearner(), "window": 1, "discount": 0.8, "horizon": 5},
    ),
    "PolicyMetaGame": (
        PolicyMetaGame,
        {"game": SG, "opponents": [NaiveLearner()], "grids": [PURE, PURE], "discount": 0.5, "rounding": "nearest"},
    ),
    "require_levels": (require_levels, {"game": NF, "memory_one": False, "opponents": [NaiveLearner()], "count": 3}),
    "Rmax": (Rmax, {"m": 3, "epsilon": 0.5, "delta": 0.1, "planning": "stationary"}),
    "PaperRmax": (PaperRmax, {"epsilon": 0.8, "delta": 0.1, "temperature": 0.2, "m": 3}),
    "run": (run, {"process": MDP, "agent": Rmax(m=2), "steps": 9, "horizon": 3, "bins": 2, "progress": None}),
    "coverage": (coverage, {"process": MDP, "agent": Rmax(m=2), "horizon": 3}),
    "derived_m": (derived_m, {"process": MDP, "agent": Rmax(m=2), "horizon": 3}),
    "ledger": (ledger, {"process": MDP, "agent": Rmax(m=2), "epsilon": 0.5, "delta": 0.1, "steps": 9}),
    "least_sufficient_m": (
        least_sufficient_m,
        {"process": MDP, "epsilon": 0.5, "delta": 0.1, "error": 0.1, "resolution": 0.5, "horizon": 3},
    ),
    "theory_m": (theory_m, {"process": MDP, "agent": Rmax(epsilon=0.5)}),
    "aliasing": (aliasing, {"meta_game": WINDOW}),
    "solve": (rfos.solve, {"mdp": MDP, "method": "auto", "max_iterations": 9, "initial": [0.0, 0.0]}),
    "evaluate_policy": (rfos.evaluate_policy, {"mdp": MDP, "policy": [0, 0], "initial": [0.0, 0.0]}),
    "bracket": (certificates.bracket, {"mdp": MDP, "values": np.zeros(2), "backed_up": np.zeros(2)}),
    "roll_out": (continuous.roll_out, {"meta_game": POLICY, "starts": STARTS, "values": np.zeros(2), "steps": 2}),
    "hold": (continuous.hold, {"meta_game": POLICY, "policies": STARTS[0], "starts": STARTS, "steps": 2}),
    "trajectory": (
        continuous.trajectory,
        {"meta_game": POLICY, "start": [STARTS[0][0]], "own_policies": [STARTS[0][0]]},
    ),
    "mutual_learning": (
        continuous.mutual_learning,
        {"meta_game": POLICY, "own": NaiveLearner(), "starts": STARTS, "steps": 2},
    ),
    "strategy": (strategies.strategy, {"game": SG, "player": 0, "name": "random"}),
    "extortion": (strategies.extortion, {"game": SG, "factor": 3.0}),
    "yardsticks": (yardsticks.yardsticks, {"meta_game": POLICY, "starts": STARTS, "steps": 2}),
    "discounted_value": (yardsticks.discounted_value, {"meta_game": POLICY, "rewards": np.zeros((1, 2, 2))}),
    "discretisation_error": (discretisation.discretisation_error, {"meta_game": POLICY, "epsilon": 1e-6}),
    "nash_equilibria": (equilibria.nash_equilibria, {"game": NF}),
    "to_quantecon": (interop.to_quantecon, {"mdp": MDP}),
    "Experiment": (experiment.Experiment, {"game": "matching-pennies", "windows": (2,), "epsilon": 0.8, "seeds": 1}),
    "window_opponents": (testing.window_opponents, {"game": NF, "player": 1}),
    "sweep_curves": (plots.sweep_curves, {"bands": pd.DataFrame()}),
    "episodes_against_states": (plots.episodes_against_states, {"results": []}),
    "shaping_trajectory": (
        plots.shaping_trajectory,
        {"game": SG, "policies": [np.full((2, 1, 2), 0.5)] * 2, "rewards": np.zeros((2, 2)), "title": "x"},
    ),
    "parse_spec": (spec.parse_spec, {"text": ""}),
    "read_spec": (spec.read_spec, {"path": "no-such-file"}),
    "Processes": (executors.Processes, {"workers": 1}),
    "Dask": (executors.Dask, {"address": "tcp://nowhere:1"}),
}
FREE = {
    ("sweep_curves", "bands"),
    ("shaping_trajectory", "title"),
}  # what anything, or an error of the data, is right for
PYTHONS = re.compile(
    "has no attribute|object is not|unsupported operand|not supported between|must be real|object of type|"
    "an't convert|annot convert|invalid literal|could not convert|unexpected keyword|only integer|not callable|"
    "not iterable|not subscriptable|too large to|broadcast|unhashable|float\\(\\)|int\\(\\)|cannot be interpreted|ufunc"
)


@pytest.mark.parametrize("call", CALLS)
def test_wrong_kinds_are_answered_in_words_of_this_package(call):
    """Each argument in turn is each of 18 kinds; what is not refused is used, which is right where it makes sense."""
    function, arguments = CALLS[call]
    assert set(arguments) <= set(inspect.signature(function).parameters)
    for name in arguments:
        for kind, wrong in WRONG.items():
            if (call, name) in FREE or (call == "least_sufficient_m" and kind == "nan"):
                continue
            try:
                function(**{**arguments, name: wrong})
            except (ValueError, TypeError, MemoryError, OSError) as error:
                said = str(error)
                assert said, (name, kind)
                assert "\n" not in said, (name, kind)
                assert not PYTHONS.search(said), (name, kind, said)
            except ImportError:
                pass


SAID = {
    "the game once": (
        lambda: PolicyMetaGame(NF, [NaiveLearner()], [PURE, PURE], 0.5),
        r"game is a NormalFormGame, not a StochasticGame: iterated\(game, discount\) or one_shot\(game\) makes one",
    ),
    "grids given as 5": (
        lambda: PolicyMetaGame(SG, [NaiveLearner()], 5, 0.5),
        r"grids is 5, not a sequence: give one grid for each player, such as \[even_grid\(game, i, 5\)",
    ),
    "a grid given as 5": (
        lambda: PolicyMetaGame(SG, [NaiveLearner()], [5, 5], 0.5),
        r"the grid of player 0 is 5, not a grid: even_grid\(game, player, levels\)",
    ),
    "a learner without update": (
        lambda: PolicyMetaGame(SG, [object()], [PURE, PURE], 0.5),
        r"the opponent of player 1 is an object, not a learner: .* an object with update\(game, player, policies\)",
    ),
    "a class of learners": (
        lambda: PolicyMetaGame(SG, [NaiveLearner], [PURE, PURE], 0.5),
        r"the opponent of player 1 is the class NaiveLearner, not a learner: give an object of it, such as Naive",
    ),
    "a name of an agent": (
        lambda: run(WINDOW, "rmax", steps=9),
        r"agent is 'rmax', not an agent: give Rmax\(epsilon=0\.8\), Rmax\(m=10\), PaperRmax\(\), or an object",
    ),
    "a function for an opponent": (
        lambda: rfos.WindowMetaGame(NF, lambda window: 0, 1, 0.8),
        r"the opponent of player 1 is a function, not an opponent: .*probabilities\(game, player, index\)",
    ),
    "a game to solve": (lambda: rfos.solve(NF), r"mdp is a NormalFormGame, not a TabularMDP: .* makes one"),
    "a meta-game to solve": (
        lambda: rfos.solve(WINDOW),
        r"mdp is a WindowMetaGame, not a TabularMDP: its method to_mdp\(\) makes one",
    ),
    "a game to run in": (
        lambda: run(NF, Rmax(m=2), steps=9),
        r"process is a NormalFormGame, not a WindowMetaGame, a PolicyMetaGame or a TabularMDP: give a WindowMetaGame\(",
    ),
    "an MDP's windows": (
        lambda: aliasing(MDP),
        "a TabularMDP hides nothing: give a WindowMetaGame",
    ),
    "an executor's name": (
        lambda: driver.sweep(spec.Spec("", ()), "s.db", "processes"),
        r"executor is 'processes', not an executor: give InProcess\(\) or Processes\(2\)",
    ),
    "a spec's name": (
        lambda: driver.sweep("states", "s.db", executors.InProcess()),
        r"spec is 'states', not a Spec: read_",
    ),
    "a store's number": (lambda: store.Store(5), "path is 5, not a path"),
    "an R-max that is none": (
        lambda: testing.check_rmax(Rmax(m=2)),
        "agent is an Rmax, which cannot be called: give a",
    ),
}


@pytest.mark.parametrize("case", SAID)
def test_the_message_names_the_call_that_makes_what_was_expected(case):
    """A WrongKindError is a TypeError and a ValueError: whoever catches what the package refuses catches it."""
    call, message = SAID[case]
    with pytest.raises(WrongKindError, match=message) as caught:
        call()
    assert isinstance(caught.value, TypeError)
    assert isinstance(caught.value, ValueError)


def test_whole_numbers_are_neither_bools_nor_floats():
    """Windows, levels, horizons, visits, lengths, players, states, actions."""
    uses = {
        "window": lambda n: rfos.WindowMetaGame(NF, WindowQLearner(), n, 0.8),
        "horizon": lambda n: rfos.WindowMetaGame(NF, WindowQLearner(), 1, 0.8, n),
        "m": lambda n: Rmax(m=n),
        "steps": lambda n: run(MDP, Rmax(m=2), steps=n),
        "episodes": lambda n: run(MDP, Rmax(m=2), episodes=n, horizon=2),
        "bins": lambda n: run(MDP, Rmax(m=2), steps=9, bins=n),
        "levels": lambda n: SimplexGrid(1, 2, n),
        "n_states": lambda n: LevelGrid(n, (0.1, 0.9)),
        "count": lambda n: even_grid(SG, 0, n),
        "player": lambda n: even_grid(SG, n, 3),
        "n_players": lambda n: public_goods(n),
        "n_actions": lambda n: WindowIndex((2, n), 1),
        "action": Always,
        "workers": executors.Processes,
        "rollout steps": lambda n: continuous.roll_out(POLICY, STARTS, values=np.zeros(2), steps=n),
    }
    for name, use in uses.items():
        for wrong in (True, np.True_, 1.0, np.float64(2), "2", None):
            if wrong is None and name in ("horizon", "m", "steps", "episodes", "bins"):
                continue
            with pytest.raises(ValueError, match=r"give|play at least 1"):
                use(wrong)


@pytest.mark.parametrize("number", [HUGE, 10**5000, 10**18, 2**63], ids=["10^400", "10^5000", "10^18", "2^63"])
def test_numbers_however_large_are_refused_in_one_short_line_before_anything_is_allocated(number):
    """Neither NumPy's words nor Python's refusal to print 4301 digits."""
    uses = [
        lambda: rfos.WindowMetaGame(NF, WindowQLearner(), number, 0.8),
        lambda: WindowIndex((1, 1), number),
        lambda: WindowIndex((number, 2), 1),
        lambda: even_grid(SG, 0, number),
        lambda: even_grid(iterated(NF, 0.5), 0, number),
        lambda: even_grid(SG, number, 3),
        lambda: SimplexGrid(number, 2, 2),
        lambda: SimplexGrid(1, 2, number),
        lambda: CubeGrid(1, number, 2),
        lambda: LevelGrid(1, range(number)) if number < 2**63 else LevelGrid(1, [number]),
        lambda: public_goods(number),
        lambda: Always(number).probabilities(NF, 1, WINDOW.index),
        lambda: run(MDP, Rmax(m=2), steps=number * 10),
        lambda: run(MDP, Rmax(m=2), episodes=number, horizon=10),
        lambda: continuous.roll_out(POLICY, STARTS, values=np.zeros(2), steps=number),
        lambda: continuous.hold(POLICY, STARTS[0], STARTS, steps=number),
    ]
    for use in uses:
        with pytest.raises((ValueError, MemoryError)) as caught:
            use()
        assert len(str(caught.value)) < 300
        assert not PYTHONS.search(str(caught.value)), str(caught.value)


def test_a_million_levels_are_refused_before_the_grid_is_made():
    """`even_grid(game, 0, 10**6)` made a million levels first."""
    for game in (SG, iterated(NF, 0.5)):
        with pytest.raises(ValueError, match=f"count is 1000000: give a whole number of levels from 2 to {MAX_LEVELS}"):
            even_grid(game, 0, 10**6)


def test_an_m_that_is_never_reached_may_be_large():
    """No pair becomes known, and every result prints; beyond 10^30 it is refused."""
    found = ledger(WINDOW, Rmax(m=10**30), epsilon=0.5, steps=20, rng=0)
    assert found.progress is Progress.NONE
    assert found.exploration_bound > 1e30
    assert "about 10^" in str(found.trace)
    assert run(WINDOW, Rmax(m=10**30, epsilon=0.5), steps=20, rng=0).coverage.theorem == "T1"
    for m in (10**30 + 1, HUGE, 10**5000):
        with pytest.raises(
            ValueError, match=r"m is about 10\^\d+: give a whole number of visits of at least 1, and at"
        ):
            Rmax(m=m)


def test_an_epsilon_below_the_rounding_of_values_is_refused_and_promises_stay_in_range():
    """epsilon 1e-160 asks for some 10^330 visits, beyond floats; values of 5 are rounded by 1e-15 anyway."""
    with pytest.raises(ValueError, match="epsilon is 1e-160, and values of up to 5 are rounded by more"):
        ledger(WINDOW, Rmax(epsilon=1e-160), steps=20, rng=0)
    found = ledger(WINDOW, Rmax(m=10**30), epsilon=0.5, steps=20, rng=0)
    assert math.isfinite(found.exploration_bound)
    assert found.bound is not None
    assert found.bound > found.trace.m


@pytest.mark.parametrize("kind", [np.float64, np.float32])
def test_numpys_numbers_are_numbers(kind):
    """repr(np.float64(.5)) is no fraction: m could not be derived from a discount of that type."""
    game = rfos.WindowMetaGame(NF, WindowQLearner(), np.int32(1), kind(0.5), np.int64(5))
    plain = rfos.WindowMetaGame(NF, WindowQLearner(), 1, 0.5, 5)
    agent = Rmax(epsilon=kind(0.25), delta=kind(0.125))
    assert derived_m(game, agent, horizon=5) == derived_m(plain, Rmax(epsilon=0.25, delta=0.125), horizon=5)


NOTHING = "no pair became known"


def test_a_run_that_never_learned_says_so():
    """400,000 steps of m = 10^6: no pair can have been visited so often, whatever the count is."""
    game = rfos.WindowMetaGame(rfos.named_game("prisoners-dilemma"), grim(), 1, 0.5)
    found = ledger(game, Rmax(m=10**6), epsilon=0.5, steps=400_000, rng=0)
    assert (found.trace.visits < 10**6).all()
    assert found.progress is Progress.NONE
    assert found.row()["progress"] == "none"
    assert (found.ratio, found.exploration_ratio) == (None, None)
    assert NOTHING in repr(found)
    assert NOTHING in str(found.trace)
    learned = ledger(game, Rmax(m=1), epsilon=0.5, steps=1000, rng=0)
    assert learned.progress in (Progress.SOME, Progress.ALL)
    assert NOTHING not in repr(learned)


def rows_of(progress, counts=(4, 16, 64)):
    """Rows of a store, three windows with two seeds each; `progress` of the second seed at the second window."""
    for i, (window, count) in enumerate(zip((1, 2, 3), counts, strict=True)):
        for seed in (0, 1):
            cell = Cell(
                measure="ledger", game="matching-pennies", opponent="window-q-learner", agent="rmax", epsilon=0.8,
                delta=0.2, discount=0.8, root=0, seed=seed, window=window, m=5, steps=100,
            )  # fmt: skip
            result = {"n_states": 4**window, "n_actions": 2, "branching": 2, "r_max": "1", "theorem": None, "m": 5}
            result |= {"steps": 100, "count_most": count + seed, "exploration_high": float(count + seed)}
            result["progress"] = progress if (i, seed) == (1, 1) else "all"
            yield StoreRow(cell.key("code"), "code", cell.name, json.dumps(result).encode(), None)


def test_cells_that_never_learned_enter_no_fit():
    """The middle point is left out, and the reason says why; with progress there are three points."""
    for progress, points in (("all", 3), ("some", 3), ("none", 2)):
        rows = list(rows_of(progress))
        fits = all_fits(rows).fits
        line = fits[(fits["quantity"] == "count_most") & (fits["variable"] == "n_states")].iloc[0]
        assert line["points"] == points
        assert (NOTHING in line["reason"]) == (progress == "none")
        assert len(tables.not_learned(tables.cell_table(rows))) == (progress == "none")


def test_the_report_of_a_sweep_says_so(tmp_path):
    """One cell, m = 10^6 and 100 steps: on the terminal, as JSON and on the page."""
    (tmp_path / "spec.toml").write_text(
        'title = "t"\nseed = 0\n[[grid]]\nmeasure = ["ledger"]\ngame = ["matching-pennies"]\n'
        'opponent = ["window-q-learner"]\nwindow = [1]\nagent = ["rmax"]\nepsilon = [0.8]\ndelta = [0.2]\n'
        "discount = [0.8]\nm = [1000000]\nsteps = [100]\nseeds = 1\n"
    )
    assert here("sweep", "spec.toml", "--store", "s.db", "--jobs", "1", cwd=tmp_path).returncode == 0
    told = here("report", "--store", "s.db", "--out", "out", cwd=tmp_path)
    assert "no pair became known in the runs of 1 cell: its counts say nothing yet; they enter no fit" in told.stdout
    assert '"not_learned": 1' in here("report", "--store", "s.db", "--out", "out", "--json", cwd=tmp_path).stdout
    page = (tmp_path / "out" / "report.html").read_text()
    assert "Cells that have not learned anything" in page
    assert NOTHING in page
