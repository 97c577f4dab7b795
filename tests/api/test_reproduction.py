"""The parts that decide on claims, on data whose verdict is known."""

import math
from types import SimpleNamespace

import numpy as np
import pytest

from rfos import reproduction
from rfos.pac import convergence
from rfos.reproduction import Cell, Estimate, Experiment, WindowResult, fitted_exponent, rank_among
from rfos.rmax import Trace


def result(window: int, over_square: float, half: float = 0.1, **changes: object) -> WindowResult:
    size = 4**window
    times = Estimate(over_square * size**2, (over_square - half) * size**2, (over_square + half) * size**2, 5)
    values = {
        "window": window,
        "n_states": size,
        "epsilon": 0.8,
        "m": 100,
        "episodes": 10**6,
        "converged": times,
        "all_known": Estimate(1000.0, 990.0, 1010.0, 5),
        "x4": (100, 2000),
        "in_x4": True,
        "published": None,
        "final_reward": Estimate(0.7, 0.69, 0.71, 5),
        "steps_per_second": 1e8,
        "coverage": "",
        "optimal_value": None,
        "final_value": None,
        "largest_gap": None,
    }
    return WindowResult(**(values | changes))  # type: ignore[arg-type]


def test_the_official_curve_ships_with_the_package() -> None:
    """100 bins of window 2 at epsilon 0.8, ending with all 32 pairs known after 128,640 meta-episodes."""
    curve = reproduction.official_curve()
    assert len(curve) == 100
    assert curve["mean_known_pairs"].iloc[-1] == 32
    assert curve["episode_end"].iloc[-1] == 128_640


def test_the_rank_of_a_curve_of_the_same_law_is_uniform() -> None:
    """Rank 1 of n has probability 1/n: 400 draws of rank <= 2 of 20 lie within 5 sigma of 40."""
    rng = np.random.default_rng(0)
    ranks = [rank_among(rng.normal(size=8), rng.normal(size=(19, 8)), standardise=True) for _ in range(400)]
    assert abs(sum(rank <= 2 for rank in ranks) - 40) < 5 * 6


def test_a_curve_that_differs_in_one_bin_has_rank_one() -> None:
    """One bin five standard deviations out is the farthest of 100, standardised or not."""
    rng = np.random.default_rng(1)
    simulated = rng.normal(size=(99, 20))
    observed = rng.normal(size=20)
    observed[7] += 8
    assert rank_among(observed, simulated, standardise=True) == 1
    assert rank_among(observed, simulated, standardise=False) == 1


def test_bins_that_never_vary_do_not_divide_by_zero() -> None:
    """Equal constant bins count as distance 0; a constant bin that the observed curve misses is infinitely far."""
    simulated = np.zeros((9, 3))
    assert rank_among(np.zeros(3), simulated, standardise=True) == 10
    assert rank_among(np.array([0.0, 1.0, 0.0]), simulated, standardise=True) == 1


def test_the_fitted_exponent_of_a_square_law_is_two() -> None:
    """Times 3 |S|^2 have slope 2 exactly, and times with spread have an interval around it."""
    sizes = [16, 64, 256]
    exact = fitted_exponent(sizes, [[3.0 * s**2] * 5 for s in sizes])
    assert exact.mean == pytest.approx(2, abs=1e-12)
    noisy = fitted_exponent(sizes, [[3.0 * s**2 * f for f in (0.9, 1.0, 1.1)] for s in sizes])
    assert noisy.low < 2 < noisy.high


def test_convergence_is_the_first_time_from_which_the_average_stays_high() -> None:
    """A dip after an early rise moves it behind the dip; a curve that never stays there has none."""
    ends = np.arange(1, 11) * 10
    assert convergence(ends, [0, 1, 1, 0, 1, 1, 1, 1, 1, 1], average=1) == 50
    assert convergence(ends, [1] * 10, average=3) == 30
    assert convergence(ends, [1] * 9 + [0], average=1, final=1.0) is None
    assert convergence(ends, [0] * 10, average=1) is None


@pytest.mark.parametrize("arguments", [{"average": 0}, {"average": 11}, {"fraction": 0.0}, {"final": 2.0}])
def test_convergence_refuses_parameters_out_of_range(arguments: dict[str, float]) -> None:
    """Each is named in the message."""
    with pytest.raises(ValueError, match=r"fit together|in \(0, 1\]"):
        convergence(np.arange(10), np.ones(10), **arguments)  # type: ignore[arg-type]


def test_the_schedule_claim_is_tautological_only_when_times_follow_m_inside_the_bracket() -> None:
    """Times in proportion to m within X4: tautological; otherwise not."""
    second = [result(2, 12, m=256, all_known=Estimate(2560.0, 2500.0, 2600.0, 5))]
    assert reproduction._claim_schedule([result(2, 12)], second).verdict == "tautological"
    slower = [result(2, 12, m=256, all_known=Estimate(1000.0, 990.0, 1010.0, 5))]
    assert reproduction._claim_schedule([result(2, 12)], slower).verdict == "not reproduced"
    outside = [result(2, 12, in_x4=False)]
    assert reproduction._claim_schedule(outside, second).verdict == "not reproduced"
    unfinished = [result(2, 12, m=256, all_known=None, in_x4=False)]
    assert reproduction._claim_schedule([result(2, 12)], unfinished).verdict != "tautological"


def test_every_cell_has_its_own_stream() -> None:
    """Keys differ whenever a field does, and do not depend on anything else."""
    cell = Cell("matching-pennies", 2, 0.8, 0, "paper", "hidden")
    others = [
        Cell("prisoners-dilemma", 2, 0.8, 0, "paper", "hidden"),
        Cell("matching-pennies", 3, 0.8, 0, "paper", "hidden"),
        Cell("matching-pennies", 2, 0.5, 0, "paper", "hidden"),
        Cell("matching-pennies", 2, 0.8, 1, "paper", "hidden"),
        Cell("matching-pennies", 2, 0.8, 0, "rmax", "hidden"),
        Cell("matching-pennies", 2, 0.8, 0, "paper", "window"),
    ]
    assert len({c.key() for c in [cell, *others]}) == 7
    assert cell.key() == Cell("matching-pennies", 2, 0.8, 0, "paper", "hidden").key()


def test_a_single_seed_has_no_interval() -> None:
    """One run gives a mean without an interval, and null in JSON."""
    estimate = reproduction._estimate([3.0])
    assert estimate.mean == 3
    assert math.isnan(estimate.low)
    assert reproduction._without_nan({"a": [estimate.low]}) == {"a": [None]}


@pytest.mark.jit
def test_a_solved_optimum_is_at_least_what_any_policy_earns() -> None:
    """Backward induction's reward per step bounds the measured final reward of the experiment from above."""
    report = reproduction.reproduce(Experiment(windows=(1, 2), epsilon=2.0, seeds=2, agent="rmax", opponent="window"))
    best = {y.window: y.reward for y in report.yardsticks}
    for window in report.results:
        assert window.final_reward.mean <= best[window.window] + 0.01


def traces_converging_at(episodes: dict[int, tuple[int, int]]) -> dict[int, list[Trace]]:
    """Runs of 4000 episodes in 400 bins whose reward steps to 0.92 and then to 1, with a little spread."""
    found: dict[int, list[Trace]] = {}
    for window, (first, second) in episodes.items():
        runs = []
        for shift in (-10, 0, 10):
            ends = np.arange(10, 4001, 10)
            rewards = np.where(ends > first + shift, 0.92, 0.0)
            rewards[ends > second + shift] = 1.0
            runs.append(SimpleNamespace(bin_end=ends * reproduction.HORIZON, mean_reward=rewards))
        found[window] = runs  # type: ignore[assignment]
    return found


@pytest.mark.parametrize(
    ("times", "verdict"),
    [
        ((1100, 1300), "reproduced"),  # 11 and 13 |S|^2
        ((1100, 2500), "undecided"),  # 11, but 25 at 95 %
        ((2300, 2500), "not reproduced"),
    ],
)
def test_the_constant_is_judged_under_both_criteria(times: tuple[int, int], verdict: str) -> None:
    """Both 90 % and 95 % inside 8 to 18: reproduced; both outside: not; one of them: undecided."""
    claim = reproduction._claim_constant(traces_converging_at({1: times}), {1: 10})
    assert claim.verdict == verdict
