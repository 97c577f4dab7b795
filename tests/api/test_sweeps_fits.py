"""Fits on data whose law is known, and tables of a store's rows."""

import itertools
import json
import math
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import scipy.stats

import bounds.exploration
import bounds.rmax
from rfos.laboratory.statistics import INTERVAL_ERROR, Slope, slope, slope_of_intervals
from rfos.laboratory.sweeps import cells, measures
from rfos.laboratory.sweeps.cells import Cell, canonical
from rfos.laboratory.sweeps.fits import AS_BOUND, FASTER, SLOWER, UNDECIDED, all_fits, verdict
from rfos.laboratory.sweeps.rows import StoreRow
from rfos.laboratory.sweeps.spec import read_spec
from rfos.laboratory.sweeps.tables import cell_table, curve_bands, curve_table, labels
from rfos.laboratory.sweeps.variables import bound_of
from rfos.learning.coverage import derived_m

CELL = Cell(
    measure="run",
    game="matching-pennies",
    opponent="window-q-learner",
    agent="rmax",
    epsilon=0.8,
    delta=0.2,
    discount=0.8,
    root=0,
    seed=0,
    window=2,
    horizon=10,
    budget=8,
)


def sizes(cell):
    game = cells.meta_game(cell)
    return {"n_states": game.n_states, "n_actions": game.n_actions, "branching": game.branching, "r_max": "1"}


def row(cell, value):
    """A row as the store has it, with a number of steps until all pairs are known."""
    result = {**sizes(cell), "theorem": "X4", "m": 3, "steps": 100, "steps_all_known": value}
    return StoreRow(cell.key("code"), "code", cell.name, canonical(result), None)


def data(change, values, power, seeds=4, scale=0.01):
    """Rows whose numbers are the bound's, to a power, with a little noise."""
    rng = np.random.default_rng(0)
    found = []
    for value in values:
        for seed in range(seeds):
            cell = replace(CELL, seed=seed, **{change: value})
            bound, arguments = bound_of("steps_all_known", cell, sizes(cell))
            size = scale * 10 ** (power * bound.log10(**arguments))
            found.append(row(cell, float(size * rng.uniform(0.98, 1.02))))
    return found


@pytest.mark.parametrize(
    ("change", "values", "variable", "powers"),
    [
        ("window", [1, 2, 3, 4], "n_states", (1.0, 0.5, 2.0)),
        ("epsilon", [0.2, 0.4, 0.8], "epsilon", (1.0, 0.5, 2.0)),
        ("discount", [0.5, 0.8, 0.9, 0.95], "discount", (1.0, 0.5, 2.0)),
        # Exponents in ln(1/delta) are a few tenths; a factor of two would hide in the tolerance.
        ("delta", [0.3, 0.1, 0.01, 1e-4], "delta", (1.0, -1.0, 4.0)),
    ],
)
def test_what_grows_as_the_bound_is_told_from_what_grows_slower_or_faster(change, values, variable, powers):
    """The bound's own values, a lower power of them, and a higher one: as the bound, slower, faster; one line each."""
    for power, expected in zip(powers, (AS_BOUND, SLOWER, FASTER), strict=True):
        (line,) = all_fits(data(change, values, power)).fits.to_dict("records")
        assert line["variable"] == variable
        assert line["verdict"] == expected, line["reason"]
        assert (line["points"], line["runs"]) == (len(values), 4 * len(values))
        assert line["low"] <= line["slope"] <= line["high"]
        middle = power * (line["exponent_low"] + line["exponent_high"]) / 2
        assert abs(line["slope"] - middle) <= abs(power) * (line["exponent_high"] - line["exponent_low"]) / 2 + 0.03


def test_elasticities_are_those_of_the_bound_with_its_m():
    """By differences of the bound's value at m derived, near the point: in |S|, 1/epsilon and 1/(1-discount)."""

    def steps(cell):
        game = cells.meta_game(cell)
        m = derived_m(game, cells.agent(cell), horizon=10)
        return bounds.rmax.x4().steps.evaluate(n_states=game.n_states, n_actions=2, m=m, horizon=10, delta=0.2)

    for change, near, x in (
        ("epsilon", (0.82, 0.78), lambda v: 1 / v),
        ("discount", (0.795, 0.805), lambda v: 1 / (1 - v)),
    ):
        low, high = (replace(CELL, **{change: value}) for value in near)
        measured = math.log(steps(high) / steps(low)) / math.log(x(near[1]) / x(near[0]))
        fits = all_fits(data(change, [*near, getattr(CELL, change)], 1.0))
        (exponent,) = {round(e, 9) for e in fits.points["exponent"][fits.points["x"] == x(getattr(CELL, change))]}
        assert exponent == pytest.approx(measured, abs=0.01)


def test_a_bound_is_stated_where_it_applies_and_with_the_agents_own_schedule():
    """X4 needs restarts; the paper's m, T1's and T1-ep's are its m, and a given m is itself."""
    assert bound_of("steps_all_known", replace(CELL, horizon=None), sizes(CELL)) is None
    for agent, m in (("rmax", None), ("rmax-pooled", None), ("rmax-episode", None), ("paper", None), ("rmax", 50)):
        cell = replace(CELL, agent=agent, m=m)
        bound, values = bound_of("steps_all_known", cell, sizes(cell))
        used = derived_m(cells.meta_game(cell), cells.agent(cell), horizon=10)
        actions = 1 if agent == "rmax-pooled" else 2
        expected = bounds.rmax.x4(agent == "paper").steps.evaluate(
            n_states=16, n_actions=actions, m=used, horizon=10, delta=0.2
        )
        assert bound.evaluate(**values) == expected, agent


def test_lines_differ_in_one_variable_alone():
    """A product of two epsilons and three windows: two lines in |S|, three in epsilon; no line mixes them."""
    found = []
    for window in (1, 2, 3):
        for epsilon in (0.4, 0.8):
            found += [row(replace(CELL, window=window, epsilon=epsilon, seed=seed), 10.0**window) for seed in (0, 1)]
    fits = all_fits(found).fits
    assert list(fits["variable"]) == ["n_states", "n_states", "epsilon", "epsilon", "epsilon"]
    assert list(fits["held"][:2]) == ["epsilon 0.4", "epsilon 0.8"]
    assert (fits["runs"] == [6, 6, 4, 4, 4]).all()
    points = all_fits(found).points
    assert ((points["lowest"] == points["middle"]) & (points["middle"] == points["highest"])).all()  # equal runs
    # Constant in epsilon: the slope is 0, and two points decide nothing.
    assert (fits["slope"][2:].abs() < 1e-12).all()
    assert set(fits["verdict"][2:]) == {UNDECIDED}


def test_branching_is_varied_by_the_number_of_players_at_the_same_number_of_states():
    """Public goods with 2, 3 and 6 players and windows 6, 4 and 2 have 4096 windows and B = 2, 4, 32."""
    points = [replace(CELL, game=f"public-goods-{n}", window=12 // n, m=5) for n in (2, 3, 6)]
    assert [sizes(cell)["n_states"] for cell in points] == [4096] * 3
    found = [row(replace(cell, seed=seed), float(sizes(cell)["branching"])) for cell in points for seed in (0, 1)]
    (line,) = all_fits(found).fits.to_dict("records")
    assert line["variable"] == "branching"
    assert line["slope"] == pytest.approx(1)


def test_points_without_a_logarithm_are_left_out_and_it_is_said_why():
    """A run that failed, did not get so far, or has 0 takes its point with it."""
    found = data("window", [1, 2, 3], 1.0)
    cell = replace(CELL, window=3, seed=1)
    broken = StoreRow(cell.key("code"), "code", cell.name, None, "Error: planted")
    for other, why in (
        (row(cell, None), "64 (a run has no number)"),
        (row(cell, 0), "64 (a run has 0, which has no logarithm)"),
        (broken, "64 (a run failed)"),
    ):
        kept = [r for r in found if r.key != other.key]
        (line,) = all_fits([*kept, other]).fits.to_dict("records")
        assert line["points"] == 2
        assert line["reason"].endswith(f"; left out: {why}")


def test_a_slope_is_exact_on_a_power_law_and_says_how_far_off_other_data_are():
    """7 x^1.5 has slope 1.5 and misfit 1; 1, 10, 10 is off its line by 10^(1/3), in the middle and at the ends half."""
    x = [1.0, 2.0, 8.0]
    found = slope(x, [[7 * v**1.5 * noise for noise in (0.9, 1.0, 1.1)] for v in x])
    assert (found.slope, found.misfit, found.bend) == pytest.approx((1.5, 1.0, 0.0))
    bent = slope([1, 10, 100], [[1, 1], [10, 10], [10, 10]])
    assert bent.slope == pytest.approx(0.5)
    assert bent.misfit == pytest.approx(10 ** (1 / 3))
    assert bent.bend == pytest.approx(2 / 3 / 2)


def test_runs_that_show_no_spread_have_no_interval():
    """One run a point, or the same slope in all seeds: no width of 0 is claimed, and nothing is decided."""
    for samples, why in (([[1], [2], [4]], "one run a point"), ([[1, 1], [2, 2], [4, 4]], "the same slope")):
        found = slope([1, 2, 4], samples)
        assert found.slope == pytest.approx(1)
        assert math.isnan(found.low)
        assert math.isnan(found.high)
        judged, reason = verdict(found, [1.0], 3)
        assert judged == UNDECIDED
        assert why in reason


@pytest.mark.statistical
@pytest.mark.parametrize("runs", [2, 3, 5, 12])
def test_the_interval_of_a_slope_covers_it_at_few_runs(runs):
    """The stated 95 %, of 300 samples at 4 points whose spreads differ tenfold: a power law of exponent 2.

    Fewer than the 1e-6 quantile of Bin(300, 0.95) has that false-alarm rate. The bootstrap alone has 72 to 92 %.
    """
    rng = np.random.default_rng(5)
    x, spread = np.array([1.0, 2.0, 4.0, 8.0]), np.array([0.4, 0.05, 0.1, 0.5])
    covered = 0
    for _ in range(300):
        samples = x[:, None] ** 2 * np.exp(spread[:, None] * rng.standard_normal((4, runs)))
        found = slope(list(x), samples.tolist())
        assert found.low <= found.slope <= found.high
        covered += found.low <= 2 <= found.high
    assert covered >= scipy.stats.binom.ppf(1e-6, 300, 0.95)


@pytest.mark.statistical
@pytest.mark.parametrize("runs", [2, 3, 5])
def test_the_interval_covers_a_slope_whose_runs_are_rounded(runs):
    """As above with results in bins, most wider than the spread; as if they were exact, 82 to 88 % are covered."""
    rng = np.random.default_rng(8)
    x, widths = np.array([1.0, 2.0, 4.0, 8.0]), np.array([0.3, 0.5, 1.0, 8.0])
    covered = 0
    for _ in range(300):
        samples = 4 * x[:, None] ** 2 * np.exp(0.01 * rng.standard_normal((4, runs)))
        binned = (np.floor(samples / widths[:, None]) + 0.5) * widths[:, None]
        found = slope(list(x), binned.tolist(), list(widths / 2))
        covered += found.low <= 2 <= found.high
    assert covered >= scipy.stats.binom.ppf(1e-6, 300, 0.95)
    wide = slope([1, 4], [[1, 1], [4, 4]], [1, 0])
    assert (wide.low, wide.high) == (-math.inf, math.inf)


@pytest.mark.statistical
@pytest.mark.parametrize("law", ["as the bound", "no power law"])
def test_a_verdict_is_wrong_as_seldom_as_is_said(law):
    """At 3 runs a point: the exponent just outside of the tolerance is called "as the bound" in 5 % at most.

    So is a bent line whose slopes between neighbours are 1 and 0, exponent 0.5.
    """
    rng, x, wrong = np.random.default_rng(6), np.array([1.0, 4.0, 16.0]), 0
    means = x**1.1001 if law == "as the bound" else np.array([1.0, 4.0, 4.0])
    for _ in range(300):
        samples = means[:, None] * np.exp(0.02 * rng.standard_normal((3, 3)))
        exponent = 1.0 if law == "as the bound" else 0.5
        wrong += verdict(slope(list(x), samples.tolist()), [exponent], 3)[0] == AS_BOUND
    assert scipy.stats.binom.sf(wrong - 1, 300, 0.05) >= 1e-6


def test_the_slope_of_intervals_is_that_of_all_values_within_them():
    """Against all combinations of ends, and random values; by hand: 1..2, 2, 4..8 at 1, 2, 4 have 1/2 to 3/2."""
    rng = np.random.default_rng(7)
    for _ in range(20):
        x = np.exp(np.cumsum(rng.uniform(0.1, 1, 4)))
        low = rng.integers(1, 9, 4)
        high = low + rng.integers(0, 5, 4)
        found = slope_of_intervals(x, low, high, 0.05)
        slopes = [np.polyfit(np.log(x), np.log(ends), 1)[0] for ends in itertools.product(*zip(low, high, strict=True))]
        assert (found.low, found.high) == pytest.approx((min(slopes), max(slopes)))
        inner = np.polyfit(np.log(x), np.log(rng.uniform(low, high)), 1)[0]
        assert found.low - 1e-9 <= inner <= found.high + 1e-9
    found = slope_of_intervals([1, 2, 4], [1, 2, 4], [2, 2, 8], 0.05)
    assert (found.low, found.slope, found.high, found.misfit) == pytest.approx((0.5, 1.0, 1.5, 1.0))
    assert math.isnan(slope_of_intervals([1, 2, 4], [1, 2, 4], [2, 2, 8], 0.051).low)
    # The nearest line to 1, 4..5, 4 rises from 2^(1/2) to 2^(5/2) and misses each by 2^(1/2).
    bent = slope_of_intervals([1, 2, 4], [1, 4, 4], [1, 5, 4], 0.05)
    assert (bent.misfit, bent.bend) == pytest.approx((2**0.5, 0.5))


@pytest.mark.parametrize(
    ("fit", "exponents", "points", "expected", "words"),
    [
        (Slope(2.0, 1.95, 2.05, 1, 0), [1.9, 2.1], 3, AS_BOUND, "lies within"),
        (Slope(2.0, 1.95, 2.21, 1, 0), [1.9, 2.1], 3, UNDECIDED, "reaches over"),
        (Slope(1.5, 1.4, 1.79, 1, 0), [1.9, 2.1], 3, SLOWER, "lies below"),
        (Slope(2.5, 2.21, 2.6, 1, 0), [1.9, 2.1], 3, FASTER, "lies above"),
        (Slope(2.0, 1.95, 2.05, 1, 0), [1.9, 2.1], 2, UNDECIDED, "a power law needs 3"),
        (Slope(2.0, math.nan, math.nan, 1, 0, "one run a point has none"), [2.0], 3, UNDECIDED, "one run a point"),
        (Slope(2.0, 1.95, 2.05, 1, 0), [], 3, UNDECIDED, "no bound"),
        (Slope(2.0, 1.95, 2.05, 1, 0), [math.nan], 3, UNDECIDED, "no bound"),
        # Off the line: each verdict holds for all slopes that the points may have.
        (Slope(2.0, 1.95, 2.05, 1.3, 0.1), [1.9, 2.1], 3, AS_BOUND, "0.10 wider each way since points are off"),
        (Slope(2.0, 1.95, 2.05, 2.0, 0.3), [1.9, 2.1], 3, UNDECIDED, "no power law"),
        (Slope(1.5, 1.4, 1.79, 1.3, 0.1), [1.9, 2.1], 3, UNDECIDED, "no power law"),
        (Slope(2.5, 2.21, 2.6, 1.3, 0.1), [1.9, 2.1], 3, UNDECIDED, "no power law"),
        (Slope(1.0, 0.9, 1.1, 1.3, 0.2), [1.9, 2.1], 3, SLOWER, "factor 1.30"),
        # A tolerance that has 0 within it cannot tell growth from none.
        (Slope(0.0, -0.01, 0.01, 1, 0), [0.05, 0.09], 3, UNDECIDED, "too small to tell"),
        (Slope(0.07, 0.06, 0.08, 1, 0), [0.05, 0.09], 3, UNDECIDED, "too small to tell"),
        (Slope(0.3, 0.29, 0.31, 1, 0), [0.05, 0.09], 3, FASTER, "lies above"),
        (Slope(0.0, -0.01, 0.01, 1, 0), [0.0, 0.0], 3, AS_BOUND, "lies within"),
    ],
)
def test_a_verdict_follows_from_the_interval(fit, exponents, points, expected, words):
    """Within the bound's exponents and 0.1 more, below, above, or across."""
    found, reason = verdict(fit, exponents, points)
    assert found == expected
    assert words in reason


def test_tables_hold_every_cell_and_its_numbers():
    """Failed cells too; whole numbers stay whole; a given m and the m that was used are apart."""
    good = row(replace(CELL, m=3), 7)
    bad = StoreRow("0" * 64, "code", CELL.name, None, "Error: planted")
    table = cell_table([good, bad])
    assert list(table["key"]) == sorted([good.key, bad.key])
    assert table["error"].dropna().to_list() == ["Error: planted"]
    line = table[table["key"] == good.key].iloc[0]
    assert (line["m"], line["m_used"], line["budget"], line["steps_played"], line["steps_all_known"]) == (
        3,
        3,
        8,
        100,
        7,
    )
    assert "steps" not in table
    assert str(table["m"].dtype) == "Int64"


def test_curves_are_kept_bin_by_bin_and_averaged_over_seeds():
    """Two seeds of one point, one of another."""

    def with_curve(cell, reward):
        content = json.loads(row(cell, 7).result)
        content["curve"] = {"steps": [10, 20], "reward": reward, "known": [1, 2]}
        return StoreRow(cell.key("code"), "code", cell.name, canonical(content), None)

    found = [with_curve(CELL, [0.0, 1.0]), with_curve(replace(CELL, seed=1), [1.0, 1.0])]
    found.append(with_curve(replace(CELL, window=3), [0.5, 0.5]))
    assert len(curve_table(found)) == 6
    bands = curve_bands(found)
    assert list(bands["label"]) == ["window 2", "window 2", "window 3", "window 3"]
    assert list(bands["mean"]) == [0.5, 1.0, 0.5, 0.5]
    assert list(bands["low"][:2]) == [0.0, 1.0]
    assert list(labels([CELL]).values()) == [""]


def other(cell, theorem, **numbers):
    """A row of another measurement."""
    return StoreRow(
        cell.key("code"), "code", cell.name, canonical({**sizes(cell), "theorem": theorem, **numbers}), None
    )


def test_the_least_m_and_the_ledger_are_fitted_beside_their_theorems():
    """m is T1's, whose exponent in 1/epsilon is 2 and in |S| a logarithm's; a count is X4's with m of the schedule."""
    least = [
        replace(CELL, measure="least-m", budget=None, window=w, seed=seed) for w in (1, 2, 3, 4) for seed in (0, 1)
    ]
    counted = [replace(CELL, measure="ledger", window=w, seed=seed) for w in (1, 2, 3, 4) for seed in (0, 1)]
    found = [other(cell, None, m_low=cell.window, m_high=cell.window, error=0.05) for cell in least]
    found += [other(cell, "X4", count_most=4**cell.window, exploration_high=1.0) for cell in counted]
    fits = all_fits(found).fits.set_index("quantity")
    assert (fits.loc["least_m", "bound"], fits.loc["count_most", "bound"]) == ("T1", "X4, m of T1")
    assert 0.1 < fits.loc["least_m", "exponent_low"] < fits.loc["least_m", "exponent_high"] < 0.25
    assert fits.loc["count_most", "slope"] == pytest.approx(1)
    assert 1.1 < fits.loc["count_most", "exponent_low"] < 1.3
    assert fits.loc["exploration_high", "bound"] == ""  # X1 is about runs without restarts
    cell = replace(CELL, measure="least-m", budget=None)
    bound, values = bound_of("least_m", cell, sizes(cell))
    assert bound.evaluate(**values) == derived_m(cells.meta_game(cell), cells.agent(cell), horizon=10)
    assert bound.elasticity("epsilon", **values) == pytest.approx(-2)


def least_rows(intervals, error=0.05):
    """Rows of searches, by window: the intervals of each seed."""
    return [
        other(
            replace(CELL, measure="least-m", budget=None, window=w, seed=seed),
            None,
            m_low=low,
            m_high=high,
            error=error,
        )
        for w, found in intervals.items()
        for seed, (low, high) in enumerate(found)
    ]


def test_the_least_m_is_all_that_its_searches_leave_open():
    """Seeds that agree on a middle decide nothing: their intervals allow every slope between those of the ends.

    4, 16, 64 states with m in 1 to 4, 2 to 8, 4 to 16: from 4 to 4, slope 0, to from 1 to 16, slope ln 16/ln 16.
    """
    (line,) = all_fits(least_rows({1: [(1, 4)] * 2, 2: [(2, 8)] * 2, 3: [(4, 16)] * 2})).fits.to_dict("records")
    assert (line["low"], line["slope"], line["high"]) == pytest.approx((0.0, 0.5, 1.0))
    assert line["verdict"] == UNDECIDED
    points = all_fits(least_rows({1: [(1, 2), (2, 3)], 2: [(2, 2)] * 2, 3: [(3, 4), (5, 6)]})).points
    assert (points["lowest"] <= points["middle"]).all()
    assert (points["middle"] <= points["highest"]).all()
    assert list(zip(points["lowest"], points["highest"], strict=True)) == [(1, 3), (2, 2), (3, 6)]


def test_what_is_wrong_in_the_searches_is_wrong_in_the_slope():
    """Every seed of a point must miss: 3 points err with 3·0.05² for 2 seeds at 0.05, and with 0.15 for one."""
    intervals = {1: [(1, 1)], 2: [(8, 9)], 3: [(64, 70)]}
    (line,) = all_fits(least_rows(intervals)).fits.to_dict("records")
    assert (line["verdict"], math.isnan(line["low"])) == (UNDECIDED, True)
    assert "some interval is wrong with chance up to 0.15" in line["reason"]
    (line,) = all_fits(least_rows({w: found * 2 for w, found in intervals.items()})).fits.to_dict("records")
    assert line["verdict"] == FASTER
    (line,) = all_fits(least_rows({**intervals, 4: [(64, None)]}, error=0.01)).fits.to_dict("records")
    assert line["reason"].endswith("left out: 256 (a search left the upper end open)")
    assert (line["points"], line["verdict"]) == (3, FASTER)


@pytest.mark.parametrize("name", ["states", "scaling"])
def test_the_shipped_searches_are_enough_for_a_verdict(name):
    """At each point of the least m: all seeds err together so seldom that a line of all errs with 5 % at most."""
    points = Counter(cell.point for cell in read_spec(Path(name)).cells if cell.measure == "least-m")
    assert sum(measures.LEAST_ERROR**seeds for seeds in points.values()) <= INTERVAL_ERROR


def test_a_bound_that_is_stated_at_some_points_alone_decides_nothing():
    """Its exponents stand there, and the reason says at how many points it does."""
    counted = [replace(CELL, measure="ledger", window=w, seed=seed) for w in (1, 2, 3, 4) for seed in (0, 1)]
    found = [
        other(cell, "X4" if cell.window > 1 else None, count_most=4**cell.window + cell.seed, exploration_high=1.0)
        for cell in counted
    ]
    line = all_fits(found).fits.set_index("quantity").loc["count_most"]
    assert (line["verdict"], line["reason"]) == (UNDECIDED, "a bound is stated at 3 of 4 points only")
    assert line["exponent_low"] > 1


@pytest.mark.parametrize(
    ("change", "theorem", "label"),
    [
        ({}, "X4", "X4, m of T1"),
        ({}, None, None),
        ({"m": 5}, None, None),
        ({"m": 10**6}, "X4", "X4"),
        ({"horizon": None}, "T1 with X1", "T1"),
        ({"horizon": None, "m": 10**6}, "T1", None),
        ({"agent": "rmax-paper-m"}, "X4", "X4, m of paper"),
        ({"agent": "rmax-episode"}, "T1-ep", "T1-ep"),
    ],
)
def test_a_count_has_the_bound_of_the_theorem_that_covers_its_run(change, theorem, label):
    """None where none does, or where its bound at a given m is not stated."""
    cell = replace(CELL, measure="ledger", **change)
    found = bound_of("count_most", cell, {**sizes(cell), "theorem": theorem})
    assert (found and found[0].label) == label


def test_the_sum_of_e_t_has_x1_for_every_m_without_restarts():
    """With k0 = |S||A|m, m given or of the schedule."""
    for m in (7, None):
        cell = replace(CELL, measure="ledger", horizon=None, m=m)
        bound, values = bound_of("exploration_high", cell, sizes(cell))
        used = derived_m(cells.meta_game(cell), cells.agent(cell))
        expected = bounds.exploration.x1().evaluate(explorations=32 * used, discount=0.8, delta=0.2)
        assert bound.evaluate(**values) == pytest.approx(expected)
    assert bound_of("exploration_high", CELL, sizes(CELL)) is None
