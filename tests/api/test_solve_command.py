"""What `rfos solve` refuses, computes and prints, and the yardsticks that it rests on."""

import itertools
import json
import math
import time
import tracemalloc
from dataclasses import dataclass, replace
from fractions import Fraction

import numpy as np
import pytest
from studies import small_study

from rfos._system.randomness import seed_sequence
from rfos.commands import solve as solve_command
from rfos.commands.options import as_json
from rfos.games import wording
from rfos.games.named import (
    chicken,
    matching_pennies,
    named_game,
    public_goods,
    standard_prisoners_dilemma,
    zero_sum_matching_pennies,
)
from rfos.games.normal_form import NormalFormGame
from rfos.games.stochastic import StochasticGame, is_iterated, iterated, one_shot
from rfos.games.strategies import STRATEGIES, extortion, strategy
from rfos.laboratory.shaping_study import build, compare, measure
from rfos.laboratory.shaping_study import solve as solve_step
from rfos.laboratory.shaping_study.answer import Answer
from rfos.laboratory.shaping_study.request import ShapingRequest, learner_of
from rfos.laboratory.shaping_study.study import shaping_study
from rfos.metagames import sizes
from rfos.metagames.continuous import hold, mutual_learning, random_starts, roll_out, trajectory
from rfos.metagames.estimates import Returns, earned
from rfos.metagames.grids import CubeGrid, LevelGrid, SimplexGrid
from rfos.metagames.learners import LOLA, NAMED_LEARNERS, Fixed, NaiveLearner, SmoothedBestResponse
from rfos.metagames.policy import PolicyMetaGame
from rfos.metagames.sizes import even_grid, inner_game, require_levels
from rfos.metagames.tables import Dynamics, fill, reward_bounds
from rfos.metagames.yardsticks import discounted_value, yardsticks
from rfos.planning.mdp import TabularMDP
from rfos.planning.solution import Solution
from rfos.planning.solve import solve

pytestmark = pytest.mark.jit  # an answer solves other levels too, which takes minutes interpreted

GIB = 2**30
PENNIES = one_shot(matching_pennies())
IPD = iterated(standard_prisoners_dilemma(), 0.96)


@dataclass(frozen=True)
class Wrapped:
    """A learner that no kernel knows."""

    inner: NaiveLearner

    def update(self, game: StochasticGame, player: int, policies: list[np.ndarray]) -> np.ndarray:
        return self.inner.update(game, player, policies)


def asked(game: str = "matching-pennies", **options) -> Answer:
    """A small request, one-shot unless said otherwise."""
    small = {"levels": "3", "inner_discount": 0.0, "starts": 5, "steps": 6}
    return small_study(ShapingRequest(game, **(small | options)))


def printed(found: Answer) -> str:
    lines: list[str] = []
    solve_command.show(found, lines.append)
    return "\n".join(lines)


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> None:
    """Eight GiB of memory and two processors, whatever this machine has."""
    for module in ("rfos._system.memory", "rfos.metagames.sizes"):
        monkeypatch.setattr(f"{module}.available_bytes", lambda: 8 * GIB)
    monkeypatch.setattr("rfos._system.threads.processors", lambda: 2)


# Refusals --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("game", "options", "mend"),
    [
        ("ipd", {"levels": "200"}, r"choose at most \d levels"),
        ("ipd", {"levels": "8000"}, r"choose at most \d levels"),
        ("ipd", {"levels": "200", "joint": True}, r"choose at most \d levels"),
        ("ipd", {"levels": ",".join(str(i / 1000) for i in range(1, 200))}, r"choose at most \d levels"),
        ("rock-paper-scissors", {"levels": "200"}, "not even 2 levels fit, choose a game with fewer inner states"),
        ("three-player-matching-pennies", {"levels": "200"}, "not even 2 levels fit"),
        ("three-player-matching-pennies", {"levels": "8000", "inner_discount": 0.0}, r"choose at most \d+ levels"),
        ("public-goods-40", {"levels": "2"}, "at most 20 players"),
        ("public-goods-12", {"levels": "2"}, "play it once, or with fewer players"),
    ],
)
def test_what_does_not_fit_is_refused_within_50_ms(
    machine: None, monkeypatch: pytest.MonkeyPatch, game: str, options: dict[str, object], mend: str
) -> None:
    """One sentence with the bytes needed, the limit and what fits, before inner game, grids or errors are computed."""

    def reached(*arguments: object) -> None:
        raise AssertionError("something was built")

    for name in ("inner_game", "grid_of", "PolicyMetaGame", "discretisation_error"):
        monkeypatch.setattr(build, name, reached)
    began = time.process_time()
    with pytest.raises(MemoryError, match=f"need.* bytes.* limit .*{mend}") as caught:
        shaping_study(ShapingRequest(game, **options))
    assert time.process_time() - began < 0.05
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("game", "memory_one", "learner"),
    [
        ("ipd", True, NaiveLearner()),
        ("ipd", True, Wrapped(NaiveLearner())),
        ("matching-pennies", False, NaiveLearner()),
        ("rock-paper-scissors", False, NaiveLearner()),
    ],
)
@pytest.mark.parametrize("joint", [False, True])
def test_the_number_of_levels_named_is_the_largest_that_fits(
    machine: None, game: str, memory_one: bool, learner: object, joint: bool
) -> None:
    """Refused with K named: K is accepted and K + 1 refused, by counting alone and with the grids."""
    stage = named_game(game)

    def require(count: int) -> None:
        require_levels(stage, memory_one, [learner], count, joint=joint, patience=600.0)

    with pytest.raises((MemoryError, ValueError), match=r"choose at most \d+ levels") as caught:
        require(90_000)
    most = int(str(caught.value).rsplit("at most ", 1)[1].split()[0])
    require(most)
    with pytest.raises((MemoryError, ValueError)):
        require(most + 1)
    inner = iterated(stage, 0.9) if memory_one else one_shot(stage)
    grids = [even_grid(inner, i, most) for i in range(2)]
    PolicyMetaGame(inner, [learner], grids, 0.9, joint=joint).require_fit()


def test_finding_a_cell_among_many_levels_takes_time(machine: None) -> None:
    """The seconds estimated per pair grow with the levels, and a sweep of more than ten minutes is refused."""
    sizes = [
        PolicyMetaGame(PENNIES, [NaiveLearner()], [SimplexGrid(1, 2, k)] * 2, 0.9).size_estimate() for k in (7, 70_000)
    ]
    few, many = (size.seconds / size.pairs for size in sizes)
    assert 1.1 * few < many < 2 * few
    with pytest.raises(MemoryError, match=r"a sweep takes about .* hours: choose at most \d+ levels"):
        require_levels(matching_pennies(), False, [NaiveLearner()], 90_000)


def test_pairs_that_take_too_long_one_by_one_are_refused() -> None:
    """The sentence names the hours and the largest number of levels that takes at most ten minutes."""
    with pytest.raises(ValueError, match=r"pairs take about .* hours, since no kernel .*: choose at most 58 levels"):
        require_levels(public_goods(), False, [NaiveLearner()] * 2, 150, patience=40.0)


def test_iterated_games_count_their_tables_before_they_build_them(monkeypatch: pytest.MonkeyPatch) -> None:
    """The bytes demanded are at least those measured, and at most twice; too many are refused at once."""
    demanded = []
    monkeypatch.setattr("rfos.games.stochastic.require_memory", lambda needed, *words: demanded.append(needed))
    game = public_goods(6)
    tracemalloc.start()
    iterated(game, 0.9)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak <= demanded[0] <= 2 * peak
    monkeypatch.undo()
    monkeypatch.setattr("rfos._system.memory.available_bytes", lambda: 8 * GIB)
    began = time.process_time()
    with pytest.raises(MemoryError, match=r"iterated game of 1,024 joint actions needs .* bytes"):
        iterated(public_goods(10), 0.9)
    assert time.process_time() - began < 0.05


@pytest.mark.jit
@pytest.mark.parametrize(
    ("meta_game", "storage"),
    [
        (PolicyMetaGame(IPD, [NaiveLearner()], [LevelGrid(5, (0.1, 0.5, 0.9))] * 2, 0.9), "table"),
        (PolicyMetaGame(IPD, [NaiveLearner()], [LevelGrid(5, (0.1, 0.5, 0.9))] * 2, 0.9, "nearest"), "table"),
        (PolicyMetaGame(PENNIES, [Wrapped(NaiveLearner())], [SimplexGrid(1, 2, 40)] * 2, 0.9), "sparse"),
        (PolicyMetaGame(PENNIES, [Wrapped(NaiveLearner())], [SimplexGrid(1, 2, 40)] * 2, 0.9, "nearest"), "sparse"),
        (PolicyMetaGame(PENNIES, [NaiveLearner()], [SimplexGrid(1, 2, 12)] * 2, 0.9, joint=True), "sparse"),
        (PolicyMetaGame(PENNIES, [NaiveLearner()], [SimplexGrid(1, 2, 12)] * 2, 0.9, "nearest", joint=True), "sparse"),
    ],
)
def test_the_bytes_estimated_are_at_least_those_measured(meta_game: PolicyMetaGame, storage: str) -> None:
    """Estimate >= peak of building the MDP, and at most twice the peak, for table, sparse matrix and joint state."""
    size = meta_game.size_estimate()
    assert size.storage == storage
    replace(meta_game).to_mdp()  # compiles and imports
    tracemalloc.start()
    mdp = meta_game.to_mdp()
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert (mdp.n_states, mdp.n_actions) == (size.n_states, size.n_actions)
    overhead = 30_000  # what objects of Python take, whatever the size
    assert peak - overhead <= size.needed <= 2 * peak


def test_a_meta_game_gives_the_same_mdp_twice() -> None:
    """Summing the duplicates of one MDP does not disturb what the next one is made of."""
    meta_game = PolicyMetaGame(PENNIES, [Wrapped(NaiveLearner())], [SimplexGrid(1, 2, 4)] * 2, 0.9)
    first, second = (meta_game.to_mdp() for _ in range(2))
    values = np.arange(5.0) ** 2
    assert (first.backup(values) == second.backup(values)).all()


@pytest.mark.parametrize("levels", ["inf", "nan", "-inf", "1", "0", "2.5", "-3", "1e999"])
def test_numbers_of_levels_that_are_none_are_named(levels: str) -> None:
    """One sentence, no traceback."""
    with pytest.raises(ValueError, match=f"levels is '{levels}': give a whole number of at least 2"):
        asked(levels=levels)


def test_games_and_grids_that_cannot_be_played_are_named() -> None:
    """One player; cube grids with barycentric rounding or look-ahead."""
    alone = StochasticGame([[[1.0]]], [[[1.0]]], [1.0], (1,), 0.5)
    with pytest.raises(ValueError, match="the game has one player: a meta-game needs an opponent"):
        PolicyMetaGame(alone, [], [SimplexGrid(1, 1, 1)], 0.9)
    cubes = [CubeGrid(1, 2, 2)] * 2
    with pytest.raises(ValueError, match="grid of player 1 is a CubeGrid, which has no barycentric weights: choose"):
        PolicyMetaGame(PENNIES, [NaiveLearner()], cubes, 0.9)
    nearest = PolicyMetaGame(PENNIES, [NaiveLearner()], cubes, 0.9, "nearest")
    solution = solve(nearest.to_mdp())
    starts = random_starts(PENNIES, 2, 0)
    assert roll_out(nearest, starts, policy=solution.policy, steps=2).mean_rewards.shape == (2, 2)
    with pytest.raises(ValueError, match="no barycentric weights"):
        roll_out(nearest, starts, values=solution.value, steps=2)


PURE = PolicyMetaGame(PENNIES, [NaiveLearner()], [SimplexGrid(1, 2, 1)] * 2, 0.9)
STARTS = [np.full((2, 1, 2), 0.5)]


@pytest.mark.parametrize(
    ("play", "message"),
    [
        (lambda: roll_out(PURE, STARTS), "give values to look ahead with, or a policy"),
        (lambda: roll_out(PURE, STARTS, values=np.zeros(3)), r"values have shape \(3,\), expected \(2,\)"),
        (lambda: roll_out(PURE, STARTS, policy=np.zeros(1, np.int64)), r"policy have shape \(1,\), expected \(2,\)"),
        (lambda: roll_out(PURE, [], values=np.zeros(2)), r"starts are \[\] policies for 1 opponents"),
        (lambda: roll_out(PURE, STARTS, values=np.zeros(2), steps=0), "steps is 0: play at least 1"),
        (
            lambda: hold(PURE, np.full((1, 2, 2), 0.5), STARTS),
            r"the shaper's policies have shape \(1, 2, 2\), expected",
        ),
        (lambda: hold(PURE, STARTS[0], [np.full((2, 1, 3), 1 / 3)]), r"starts of player 1 have shape \(2, 1, 3\)"),
        (lambda: mutual_learning(PURE, NaiveLearner(), STARTS, 0), "steps is 0"),
        (lambda: trajectory(PURE, [STARTS[0][0]], [np.ones((1, 3))]), r"policy of player 0 has shape \(1, 3\)"),
        (lambda: yardsticks(PURE, STARTS, steps=0), "steps is 0"),
        (lambda: PURE.known(np.zeros(2)), "the meta-game is lumped: use TabularMDP.backup"),
        (lambda: extortion(IPD, 1.0), "factor is 1.0: give a number above 1"),
        (lambda: strategy(PENNIES, 1, "tit-for-tat"), "tit-for-tat is for an iterated game of two players"),
        (lambda: strategy(IPD, 1, "grin"), "unknown strategy 'grin': choose one of always-cooperate"),
        (lambda: learner_of("x"), "unknown opponent 'x': choose one of naive, .* never learns: always"),
    ],
)
def test_what_cannot_be_played_is_named(play, message: str) -> None:
    """Each message names the value and what is expected."""
    with pytest.raises(ValueError, match=message):
        play()


def test_iterated_games_have_two_actions_each_and_rewards_of_the_joint_action() -> None:
    """Four actions against one, and rewards that differ between inner states, are no memory-one games."""
    assert is_iterated(IPD)
    four_by_one = iterated(NormalFormGame(np.arange(8.0).reshape(2, 4, 1)), 0.9)
    assert four_by_one.n_states == 5
    assert not is_iterated(four_by_one)
    rewards = np.array(IPD.rewards)
    rewards[0, 3, 2] += 1
    uneven = StochasticGame(IPD.transitions, rewards, IPD.initial, (2, 2), 0.96)
    assert not is_iterated(uneven)
    grids = [SimplexGrid(5, 4, 1), SimplexGrid(5, 1, 1)]
    meta_game = PolicyMetaGame(four_by_one, [Fixed()], grids, 0.9)
    rows = yardsticks(meta_game, [np.ones((1, 5, 1))], steps=1, rng=0)
    assert not any("tit for tat" in row.name for row in rows)


def test_ranges_of_rewards_hold_after_rounding() -> None:
    """Returns a rounding above the largest reward round to the next float32: the range of an on-the-fly MDP has room.

    A constant reward midway between two float32 numbers rounds up in some pair, and down if it is negative.
    """
    for sign in (1, -1):
        constant = sign * (1 + 2.0**-24)
        game = iterated(NormalFormGame(np.full((2, 2, 2), constant)), 0.96)
        dynamics = Dynamics.of(game, Fixed(), (LevelGrid(5, (0.1, 0.6)),) * 2)
        assert dynamics is not None
        rewards, _ = fill(dynamics, nearest=True)
        assert np.abs(rewards).max() > 1
        low, high = reward_bounds(game)
        assert low <= rewards.min() <= rewards.max() <= high


# Values ----------------------------------------------------------------------------------------------------------


def exactly(meta_game: PolicyMetaGame) -> list[Fraction]:
    """(1-discount) V of each lumped state of a joint meta-game, in rationals, from its MDP and its own rewards."""
    discount = Fraction(meta_game.discount)
    values = solve(meta_game.to_mdp(), "exact").exact
    assert values is not None
    n_actions = meta_game.n_actions

    def worth(x: int, a: int) -> Fraction:
        reward = meta_game.game.returns([meta_game.grids[0].policy(a), *meta_game.policies(x)])[0]
        return Fraction(float(reward)) + discount * values[x * n_actions + a]

    states = range(meta_game.n_opponent_policies)
    return [(1 - discount) * max(worth(x, a) for a in range(n_actions)) for x in states]


def narrowly(mdp: TabularMDP, tol: float) -> Solution:
    """A solution whose ends are the floats next to the exact values: they leave no room for rounding."""
    found = solve(mdp, "exact")
    assert found.exact is not None
    ends = []
    for towards, outside in ((-math.inf, Fraction.__gt__), (math.inf, Fraction.__lt__)):
        near = [float(value) for value in found.exact]
        exact = zip(near, found.exact, strict=True)
        ends.append(np.array([math.nextafter(x, towards) if outside(Fraction(x), v) else x for x, v in exact]))
    return replace(found, lower=ends[0], upper=ends[1])


@pytest.mark.parametrize("lumped", ["table", "on-the-fly", "sparse"])
@pytest.mark.parametrize("rounding", ["nearest", "barycentric"])
def test_ends_of_the_joint_state_are_certified(monkeypatch: pytest.MonkeyPatch, lumped: str, rounding: str) -> None:
    """The exact value, in rationals, is between the ends printed, whatever the lumped game is stored as."""
    learner = NaiveLearner(0.7)
    if lumped == "on-the-fly":
        monkeypatch.setattr(sizes, "pair_bytes", lambda *counts: 10**12)
    played = Wrapped(learner) if lumped == "sparse" else learner
    monkeypatch.setattr(build, "learner_of", lambda name, step: played)
    monkeypatch.setattr(solve_step, "solve", narrowly)
    found = asked(rounding=rounding, joint=True, discount=0.9)
    grid = SimplexGrid(1, 2, 2)
    joint = PolicyMetaGame(PENNIES, [played], [grid, grid], 0.9, rounding, joint=True)
    assert replace(joint, joint=False).size_estimate().storage == lumped
    exact = exactly(joint)
    assert Fraction(found.start_value[0]) <= exact[1] <= Fraction(found.start_value[1])
    assert Fraction(found.mean_value[0]) <= sum(exact) / 3 <= Fraction(found.mean_value[1])
    assert found.start_value[1] - found.start_value[0] < 1e-10


@pytest.mark.parametrize("rounding", ["nearest", "barycentric"])
@pytest.mark.parametrize("on_the_fly", [False, True])
def test_values_printed_are_those_of_the_states_named(
    monkeypatch: pytest.MonkeyPatch, rounding: str, on_the_fly: bool
) -> None:
    """Start, mean and promise are (1-discount) V at the nearest point to fair, over points, and at rounded starts."""
    if on_the_fly:
        monkeypatch.setattr(sizes, "pair_bytes", lambda *counts: 10**12)
    found = asked("chicken", rounding=rounding, levels="6", discount=0.8, starts=4)
    game = inner_game("chicken", 0.0)
    grids = [even_grid(game, i, 6) for i in range(2)]
    meta_game = PolicyMetaGame(game, [NaiveLearner()], grids, 0.8, rounding)
    value = 0.2 * solve(meta_game.to_mdp(), tol=1e-9).value
    fair = int(grids[1].nearest([[0.5, 0.5]]))
    assert fair not in (0, len(value) - 1)
    assert np.ptp(value) > 0.01
    assert found.start == wording.in_numbers(grids[1].policy(fair))
    assert found.start in printed(found)
    assert found.start_value == pytest.approx([value[fair]] * 2, abs=1e-3)
    assert found.mean_value == pytest.approx([value.mean()] * 2, abs=1e-3)
    promised = []
    for start in random_starts(game, 4, 0)[0]:
        p = float(start[0, 0])
        ordered = np.argsort(grids[1].policies()[:, 0, 0])
        at = grids[1].policies()[ordered, 0, 0]
        whole = value[ordered]
        promised.append(whole[np.abs(at - p).argmin()] if rounding == "nearest" else np.interp(p, at, whole))
    assert found.promised == pytest.approx([np.mean(promised)] * 2, abs=1e-3)


def test_what_is_earned_with_the_discount_is_bounded_by_what_comes_after() -> None:
    """(1-γ) Σ γ^t r_t of every start, the tail γ^T times the range; a longer roll-out lies inside."""
    game = inner_game("chicken", 0.5)
    meta_game = PolicyMetaGame(game, [NaiveLearner(0.3)], [even_grid(game, i, 2) for i in range(2)], 0.7)
    starts = random_starts(game, 3, 1)
    found = roll_out(meta_game, starts, policy=np.random.default_rng(2).integers(32, size=32), steps=60)
    low, high = discounted_value(meta_game, found.rewards[:, :5])
    for n in range(3):
        other, total = starts[0][n], 0.0
        for t in range(60):
            if t == 5:
                assert low[n] == pytest.approx(total - 100 * 0.7**5, abs=1e-12)
                assert high[n] == pytest.approx(total + 0.7**5, abs=1e-12)
            played = [meta_game.grids[0].policy(int(found.moves[n, t])), other]
            total += 0.3 * 0.7**t * game.returns(played)[0]
            (other,) = meta_game.following(played)
        assert low[n] <= total <= high[n]


def test_values_between_grid_points_are_means_over_all_corners() -> None:
    """A function linear in the probabilities is reproduced on a finer grid, for two opponents too."""
    game = one_shot(public_goods())
    coarse, fine = (
        PolicyMetaGame(game, [NaiveLearner()] * 2, [even_grid(game, i, n) for i in range(3)], 0.9) for n in (3, 6)
    )

    def linear(meta_game: PolicyMetaGame) -> np.ndarray:
        places = [meta_game.policies(x) for x in range(meta_game.n_states)]
        return np.array([2 * first[0, 0] - 5 * second[0, 0] for first, second in places])

    assert fine.interpolated(coarse, linear(coarse)) == pytest.approx(linear(fine), abs=1e-12)


def test_pairs_that_rest_are_not_frozen() -> None:
    """Without a kernel as with one: only learners that move and are put back count."""
    grid = SimplexGrid(1, 2, 4)
    learner = NaiveLearner(0.1, "simplex")
    for each in (learner, Wrapped(learner)):
        meta_game = PolicyMetaGame(PENNIES, [each], [grid, grid], 0.9, "nearest")
        assert meta_game.frozen_share == pytest.approx((25 - 5 - 4) / 25)


# Warnings --------------------------------------------------------------------------------------------------------

FROZEN = "WARNING: frozen learners: nearest rounding leaves"
ARTEFACT = "a step more than its policy earns in the continuous game: an artefact of the grid"


@pytest.mark.jit
def test_an_artefact_of_nearest_rounding_is_recognised() -> None:
    """Learners that cannot move are exploited on the grid: both warnings, in print and in JSON."""
    found = asked("ipd", levels="0.02,0.5,0.98", rounding="nearest", inner_discount=0.96, starts=3)
    text = printed(found)
    assert FROZEN in text
    assert ARTEFACT in text
    assert len(json.loads(as_json(found.summary()))["warnings"]) == 2
    assert found.promised[0] > found.discounted[1]


def test_a_grid_that_promises_what_is_earned_gets_no_warning() -> None:
    """Long steps on a fine grid: nothing is frozen and nothing invented, with either rounding."""
    for rounding in ("nearest", "barycentric"):
        found = asked("chicken", opponent="smoothed-best-response", levels="33", rounding=rounding, discount=0.9)
        assert found.frozen_share <= compare.FROZEN
        assert found.warnings == ()
        assert "WARNING" not in printed(found)


def test_random_corners_freeze_nobody() -> None:
    """Barycentric rounding moves short steps on the mean: no warning of frozen learners, though nearest would."""
    found = asked("matching-pennies", levels="9")
    assert found.frozen_share > compare.FROZEN
    assert FROZEN not in printed(found)


def test_an_artefact_that_no_roll_out_has_time_to_refute_is_no_warning() -> None:
    """The rest of a discounted sum is bounded: promises inside its bounds are not called artefacts."""
    found = asked("matching-pennies", levels="9", discount=0.999999)
    assert found.discounted[1] - found.discounted[0] > 0.99
    assert ARTEFACT not in printed(found)


# Yardsticks ------------------------------------------------------------------------------------------------------


def test_intervals_are_students() -> None:
    """Mean ± t(.975; N-1) s/√N, against the table for N = 4: 3.182."""
    sample = np.array([[1.0, 0.0], [2.0, 0.0], [4.0, 0.0], [5.0, 4.0]])
    row = earned("x", sample)
    half = 3.182446 * np.std(sample[:, 0], ddof=1) / 2
    assert row.shaper == pytest.approx((3.0, 3.0 - half, 3.0 + half), rel=1e-5)
    assert math.isnan(earned("x", sample[:1]).shaper[1])


def test_yardsticks_earn_what_their_policies_earn() -> None:
    """Tit for tat from its own side, the best constant policy the best of all, each against the same opponents."""
    game = iterated(chicken(), 0.5)
    meta_game = PolicyMetaGame(game, [Fixed()], [LevelGrid(5, (0.2, 0.9))] * 2, 0.9)
    other = np.array([0.9, 0.7, 0.1, 0.8, 0.3])
    start = np.stack([other, 1 - other], axis=1)
    rows = {row.name.split(" (")[0]: row for row in yardsticks(meta_game, [start[None]], steps=2, rng=0)}
    tit_for_tat = np.array([[1, 0], [1, 0], [0, 1], [1, 0], [0, 1]], float)
    assert rows["tit for tat"].shaper[0] == pytest.approx(game.returns([tit_for_tat, start])[0], abs=1e-9)
    constants = [game.returns([meta_game.grids[0].policy(a), start])[0] for a in range(32)]
    assert rows["best constant policy of the grid"].shaper[0] == pytest.approx(max(constants), abs=1e-9)
    assert max(constants) > min(constants) + 0.1


def test_mutual_naive_learning_is_between_naive_learners() -> None:
    """Against LOLA it has other opponents, and says so; against naive learners of any step it is theirs."""
    grid = LevelGrid(5, (0.2, 0.9))
    starts = random_starts(IPD, 4, 0)
    naive, lola = (
        yardsticks(PolicyMetaGame(IPD, [learner], [grid, grid], 0.9), starts, steps=3, rng=5)[-2:]
        for learner in (NaiveLearner(0.5), LOLA(1.0, 1.0))
    )
    meta_game = PolicyMetaGame(IPD, [NaiveLearner(0.5)], [grid, grid], 0.9)
    expected = mutual_learning(meta_game, NaiveLearner(0.5), starts, 3, rng=5)
    assert naive[-1] == earned("mutual naive learning", expected)
    assert [row.same_opponent for row in lola] == [True, False]
    assert lola[0].name == "naive learning against this opponent"
    against = PolicyMetaGame(IPD, [LOLA(1.0, 1.0)], [grid, grid], 0.9)
    assert lola[0] == earned(lola[0].name, mutual_learning(against, NaiveLearner(), starts, 3, rng=5))
    elsewhere = random_starts(IPD, 16, seed_sequence(5, (1,)))
    expected = mutual_learning(replace(meta_game, opponents=[NaiveLearner()]), NaiveLearner(), elsewhere, 3, rng=5)
    assert lola[1] == earned("mutual naive learning", expected, same_opponent=False)


def test_worth_is_over_the_best_row_with_the_same_opponent(monkeypatch: pytest.MonkeyPatch) -> None:
    """A better row with another opponent does not count, nor a worse one with the same."""
    constant = [("worst", -5.0), ("best", 0.25)]
    elsewhere = [Returns("elsewhere", np.full((5, 2), 9.0), same_opponent=False)]
    monkeypatch.setattr(measure, "constant_shapers", lambda *arguments, **options: constant)
    monkeypatch.setattr(measure, "learning_shapers", lambda *arguments, **options: elsewhere)
    monkeypatch.setattr(measure, "hold", lambda game, own, starts, steps: np.full((1, len(starts[0]), 2), own[0]))
    constant[:] = [(name, np.float64(number)) for name, number in constant]
    found = asked()
    top = max(found.continuous, key=lambda row: row.shaper[0])
    assert top.shaper[0] > min(row.shaper[0] for row in found.continuous)
    assert found.worth == pytest.approx(top.shaper[0] - 0.25, abs=1e-12)
    assert found.shaper == top.name
    assert found.best == "best"
    text = printed(found)
    assert f"is worth {found.worth:+.3f} (" in text
    assert "elsewhere (other opponents)" in text


@pytest.mark.parametrize("discount", [0.9, 0.96, 0.999])
@pytest.mark.parametrize(
    "stage",
    [standard_prisoners_dilemma(), NormalFormGame([[[3, 0], [5, 1]], [[3, 5], [0, 1]]])],
    ids=["-1-302", "3051"],
)
def test_extortion_takes_a_fixed_multiple_of_what_the_other_gains(stage: NormalFormGame, discount: float) -> None:
    """Own J - P = χ (other's J - P), discounted, to 1e-9 against random opponents; probabilities in [0, 1]."""
    game = iterated(stage, discount)
    punishment = float(stage.payoffs[0, 1, 1])
    rng = np.random.default_rng(3)
    for factor in (1.5, 3.0):
        found = extortion(game, factor)
        assert found is not None
        assert found.min() >= 0
        assert found.max() <= 1
        assert found[0] == 0
        shaper = np.stack([found, 1 - found], axis=1)
        for _ in range(50):
            other = rng.dirichlet([0.5, 0.5], 5)
            own, others = game.returns([shaper, other]) - punishment
            assert own == pytest.approx(factor * others, abs=1e-9)


def test_extortion_needs_a_symmetric_dilemma_and_patience() -> None:
    """None where the other player's rewards are not the same from its seat, in other games, and at small discounts."""
    dilemma = standard_prisoners_dilemma().payoffs
    assert extortion(iterated(NormalFormGame(dilemma), 0.9)) is not None
    other = np.array(dilemma)
    other[1, 0, 0] = -0.5
    assert extortion(iterated(NormalFormGame(other), 0.9)) is None
    assert extortion(iterated(NormalFormGame(dilemma), 0.1)) is None
    assert extortion(iterated(chicken(), 0.9)) is None
    assert extortion(iterated(zero_sum_matching_pennies(), 0.9)) is None
    assert extortion(one_shot(standard_prisoners_dilemma())) is None


# Opponents that never learn --------------------------------------------------------------------------------------


def test_strategies_are_played_from_the_own_side() -> None:
    """Returns against always-defect: tit for tat is exploited once, from either seat; two of a kind cooperate."""
    defect = [strategy(IPD, player, "always-defect") for player in range(2)]
    for player in range(2):
        played = [*defect]
        played[player] = strategy(IPD, player, "tit-for-tat")
        assert IPD.returns(played)[player] == pytest.approx(-2.04)
        played[player] = strategy(IPD, player, "always-cooperate")
        assert IPD.returns(played)[player] == pytest.approx(-3)
        # After CD it defects, after DD it is back: every second step is lost.
        played[player] = strategy(IPD, player, "win-stay-lose-shift")
        assert IPD.returns(played)[player] == pytest.approx((-3 - 2 * 0.96) / 1.96)
        played[player] = strategy(IPD, player, "grim")  # exploited once
        assert IPD.returns(played)[player] == pytest.approx(-2.04)
    for name in ("tit-for-tat", "win-stay-lose-shift", "grim"):
        assert IPD.returns([strategy(IPD, player, name) for player in range(2)]).tolist() == pytest.approx([-1, -1])
    fair = strategy(one_shot(named_game("rock-paper-scissors")), 1, "random")
    assert fair == pytest.approx(np.full((1, 3), 1 / 3))


def test_an_opponent_with_a_strategy_keeps_it() -> None:
    """From the start named, its policy is the same at every step, and all starts are that one."""
    found = asked("ipd", opponent="tit-for-tat", levels="2", inner_discount=0.96, steps=4)
    expected = strategy(IPD, 1, "tit-for-tat")
    assert (found.policies[1] == expected).all()
    assert found.n_starts == 1
    assert found.start == "(0.98, 0.98, 0.02, 0.98, 0.02)"
    text = printed(found)
    assert "mean of 4 steps against tit-for-tat" in text
    assert "nan" not in text


def test_the_help_names_every_opponent(capsys: pytest.CaptureFixture[str]) -> None:
    """Learners and strategies, as the option takes them."""
    from rfos.commands.main import main

    with pytest.raises(SystemExit):
        main(["solve", "--help"])
    words = " ".join(capsys.readouterr().out.replace("│", " ").split())
    for name in itertools.chain(NAMED_LEARNERS, STRATEGIES):
        assert name in words.replace("- ", "-"), name


# Print -----------------------------------------------------------------------------------------------------------


def test_json_has_warnings_and_worth_and_no_numbers_that_are_none() -> None:
    """One start has no interval: null, since JSON knows no NaN."""

    def refuse(text: str) -> None:
        raise AssertionError(text)

    found = asked("ipd", levels="2", inner_discount=0.9, starts=1)
    plain = json.loads(as_json(found.summary()), parse_constant=refuse)
    assert plain["continuous"][0]["shaper"][1:] == [None, None]
    assert plain["worth"] == found.worth
    assert plain["warnings"] == list(found.warnings)
    assert np.array(plain["policies"]).shape == (2, 6, 5, 2)
    assert "nan" not in printed(found)


def test_first_moves_are_told_in_words() -> None:
    """Each probability with its state in iterated games of two; actions by number once; starts from their own side."""
    found = asked("ipd", levels="2", inner_discount=0.96, starts=2)
    whose, *moves = found.moves[0]
    start = random_starts(IPD, 2, 0)[0][0]
    assert whose == wording.in_numbers(start[[0, 1, 3, 2, 4]])
    assert all(" x C with 0." in words and ", DD 0." in words for words in moves)
    assert sum(int(words.split(" x ")[0]) for words in moves) <= 6
    assert "action 0 with probability" in printed(asked())
    assert "actions 0, 1, 2 with probabilities" in printed(asked("rock-paper-scissors", levels="2"))


@pytest.mark.parametrize("learner", [SmoothedBestResponse(), NaiveLearner(0.2, "simplex")], ids=["smoothed", "simplex"])
def test_constant_rows_and_look_ahead_meet_where_nothing_can_be_shaped(learner) -> None:
    """Equal rewards of the shaper: worth, promise and earnings are that reward."""
    game = one_shot(NormalFormGame([[[1, 1], [1, 1]], [[0, 1], [1, 0]]]))
    meta_game = PolicyMetaGame(game, [learner], [SimplexGrid(1, 2, 3)] * 2, 0.9)
    rows = yardsticks(meta_game, random_starts(game, 3, 0), steps=3, rng=0)
    assert all(row.shaper[0] == pytest.approx(1.0) for row in rows)
