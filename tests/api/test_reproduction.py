"""The parts that decide on claims, on data whose verdict is known."""

import math
from types import SimpleNamespace

import numpy as np
import pytest

from rfos.commands.options import as_json
from rfos.laboratory.reproduction import claims as claims_module
from rfos.laboratory.reproduction import estimates, published, reproduce, results
from rfos.laboratory.reproduction import experiment as experiment_module
from rfos.laboratory.reproduction.estimates import Estimate
from rfos.laboratory.reproduction.experiment import Experiment
from rfos.laboratory.reproduction.published import rank_among
from rfos.laboratory.reproduction.results import WindowResult
from rfos.laboratory.reproduction.runs import Run
from rfos.learning.agents import DEPARTURES, PaperRmax
from rfos.learning.convergence import convergence
from rfos.learning.trace import Trace


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
        "x4_greedy": 1000,
        "in_x4": 5,
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
    curve = published.official_curve()
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


def test_convergence_is_the_first_time_from_which_the_average_stays_high() -> None:
    """A dip after an early rise moves it behind the dip; a curve that never stays there has none."""
    ends = np.arange(1, 11) * 10
    assert convergence(ends, [0, 1, 1, 0, 1, 1, 1, 1, 1, 1], average=1) == 45
    assert convergence(ends, [1] * 10, average=3) == 15
    assert convergence(ends, [1] * 9 + [0], average=1, final=1.0) is None
    assert convergence(ends, [0] * 10, average=1) is None


@pytest.mark.parametrize("arguments", [{"average": 0}, {"average": 11}, {"fraction": 0.0}, {"final": 2.0}])
def test_convergence_refuses_parameters_out_of_range(arguments: dict[str, float]) -> None:
    """Each is named in the message."""
    with pytest.raises(ValueError, match=r"fit together|in \(0, 1\]"):
        convergence(np.arange(10), np.ones(10), **arguments)  # type: ignore[arg-type]


def schedule(second: list[WindowResult], first: list[WindowResult] | None = None) -> results.Claim:
    return claims_module.claim_schedule(first or [result(2, 12), result(3, 12, m=400)], second)


def test_the_schedule_claim_is_tautological_only_when_times_follow_m_inside_the_bracket() -> None:
    """m ∝ |S|, times in proportion to m, runs inside X4: tautological; other times, or runs outside: not."""
    second = [result(2, 12, m=256, all_known=Estimate(2560.0, 2500.0, 2600.0, 5))]
    assert schedule(second).verdict == "tautological"
    slower = [result(2, 12, m=256, all_known=Estimate(1000.0, 990.0, 1010.0, 5))]
    assert schedule(slower).verdict == "not reproduced"
    outside = [result(2, 12, in_x4=0), result(3, 12, m=400, in_x4=0)]
    assert schedule(second, outside).verdict == "not reproduced"
    one_out = [result(2, 12, in_x4=4), result(3, 12, m=400)]  # the upper end may fail in one run of ten
    assert schedule(second, one_out).verdict == "tautological"


def test_the_schedule_claim_says_nothing_of_other_schedules_or_unfinished_runs() -> None:
    """m that is not proportional to |S|, a single window, runs that do not know all pairs: undecided."""
    second = [result(2, 12, m=256, all_known=Estimate(2560.0, 2500.0, 2600.0, 5))]
    logarithmic = [result(2, 12), result(3, 12, m=120)]
    assert schedule(second, logarithmic).verdict == "undecided"
    assert schedule(second, [result(2, 12)]).verdict == "undecided"
    unfinished = [result(2, 12, m=256, all_known=None, in_x4=0)]
    assert schedule(unfinished).verdict == "undecided"


def test_every_run_has_its_own_stream() -> None:
    """Keys differ whenever a field does, and do not depend on anything else."""
    one = Run("matching-pennies", 2, 0.8, 0, "paper", "hidden")
    others = [
        Run("prisoners-dilemma", 2, 0.8, 0, "paper", "hidden"),
        Run("matching-pennies", 3, 0.8, 0, "paper", "hidden"),
        Run("matching-pennies", 2, 0.5, 0, "paper", "hidden"),
        Run("matching-pennies", 2, 0.8, 1, "paper", "hidden"),
        Run("matching-pennies", 2, 0.8, 0, "rmax", "hidden"),
        Run("matching-pennies", 2, 0.8, 0, "paper", "window"),
    ]
    assert len({c.key() for c in [one, *others]}) == 7
    assert one.key() == Run("matching-pennies", 2, 0.8, 0, "paper", "hidden").key()


def test_a_single_seed_has_no_interval() -> None:
    """One run gives a mean without an interval, and null in JSON."""
    estimate = estimates.estimate_of([3.0])
    assert estimate.mean == 3
    assert math.isnan(estimate.low)
    assert as_json({"a": [estimate.low]}) == '{"a": [null]}'


@pytest.mark.jit
def test_a_solved_optimum_is_at_least_what_any_policy_earns() -> None:
    """Backward induction's reward per step bounds the measured final reward of the experiment from above."""
    report = reproduce.reproduce(Experiment(windows=(1, 2), epsilon=2.0, seeds=2, agent="rmax", opponent="window"))
    best = {y.window: y.reward for y in report.yardsticks}
    for window in report.results:
        assert window.final_reward.mean <= best[window.window] + 0.01


def traces_converging_at(episodes: dict[int, tuple[int, int]]) -> dict[int, list[Trace]]:
    """Runs of 400,000 episodes in 400 bins whose reward steps to 0.92 and then to 1, with a little spread."""
    found: dict[int, list[Trace]] = {}
    for window, (first, second) in episodes.items():
        runs = []
        for shift in (-1000, 0, 1000):
            ends = np.arange(1000, 400_001, 1000)
            rewards = np.where(ends > first + shift, 0.92, 0.0)
            rewards[ends > second + shift] = 1.0
            steps = 400_000 * experiment_module.HORIZON
            runs.append(
                SimpleNamespace(
                    bin_end=ends * experiment_module.HORIZON,
                    mean_reward=rewards,
                    n_steps=steps,
                    all_known_at=steps // 2,
                )
            )
        found[window] = runs  # type: ignore[assignment]
    return found


PUBLISHED = Experiment()


@pytest.mark.parametrize(
    ("times", "verdict"),
    [
        ((110_000, 130_000), "reproduced"),  # 11 and 13 |S|^2
        ((110_000, 250_000), "undecided"),  # 11, but 25 at 95 %
        ((230_000, 250_000), "not reproduced"),
    ],
)
def test_the_constant_is_judged_under_both_criteria(times: tuple[int, int], verdict: str) -> None:
    """Both 90 % and 95 % inside 8 to 18: reproduced; both outside: not; one of them: undecided."""
    claim = claims_module.claim_constant(PUBLISHED, traces_converging_at({1: times}), {1: 100})
    assert claim.verdict == verdict
    other = Experiment(agent="rmax")
    assert claims_module.claim_constant(other, traces_converging_at({1: times}), {1: 100}).verdict == "undecided"


@pytest.mark.parametrize(
    ("second", "third", "verdict"),
    [
        ((64_000, 64_000), (256_000, 256_000), "reproduced"),  # four times the size squared: slopes 2
        ((32_000, 32_000), (128_000, 256_000), "undecided"),
        ((20_000, 20_000), (24_000, 24_000), "not reproduced"),
    ],
)
def test_the_exponent_is_judged_by_all_slopes_under_both_criteria(
    second: tuple[int, int], third: tuple[int, int], verdict: str
) -> None:
    """A slope between neighbours outside 1.75 to 2.25, or only one criterion inside, keeps the verdict open."""
    traces = traces_converging_at({1: (16_000, 16_000), 2: second, 3: third})
    assert claims_module.claim_exponent(PUBLISHED, traces, {1: 100, 2: 200, 3: 400}).verdict == verdict
    assert claims_module.claim_exponent(PUBLISHED, {1: traces[1]}, {1: 100}).verdict == "undecided"


@pytest.mark.parametrize(("seeds", "verdict"), [(1, "undecided"), (2, "undecided"), (5, "reproduced")])
def test_seeds_in_the_same_bins_decide_only_if_they_are_many(seeds: int, verdict: str) -> None:
    """A bin hides their spread: its width, not 0, is what the interval is made from."""
    traces = traces_converging_at({1: (16_000, 16_000), 2: (64_000, 64_000), 3: (256_000, 256_000)})
    alike = {window: [runs[1]] * seeds for window, runs in traces.items()}
    assert claims_module.claim_exponent(PUBLISHED, alike, {1: 100, 2: 200, 3: 400}).verdict == verdict


def test_a_run_too_short_for_its_average_has_no_convergence_time() -> None:
    """10,000 steps are averaged; where that is more than a twentieth of a run, the time would be the run's own."""
    traces = traces_converging_at({1: (1000, 1000)})[1]
    short = [SimpleNamespace(**{**vars(t), "n_steps": 150_000}) for t in traces]
    assert claims_module.times_of(traces, "converged") is not None
    assert claims_module.times_of(short, "converged") is None  # type: ignore[arg-type]


def test_departures_are_those_of_the_docstring() -> None:
    """What the command prints is what the docstring of the preset lists."""
    assert PaperRmax.__doc__ is not None
    text = " ".join(PaperRmax.__doc__.split())
    for departure in DEPARTURES:
        assert departure in text
