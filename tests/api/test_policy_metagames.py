"""Case I meta-games: tables, lumping, refusals, learners and the command."""

import json
import time
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
from commands import here
from studies import small_comparisons, small_study

from rfos.commands import solve as solve_module
from rfos.commands.options import as_json
from rfos.games.named import (
    matching_pennies,
    rock_paper_scissors,
    standard_prisoners_dilemma,
    three_player_matching_pennies,
)
from rfos.games.stochastic import StochasticGame, iterated, one_shot
from rfos.laboratory.shaping_study.request import ShapingRequest
from rfos.laboratory.shaping_study.starts import affordable_starts
from rfos.laboratory.shaping_study.study import shaping_study
from rfos.metagames.continuous import hold, mutual_learning, random_starts, roll_out, trajectory
from rfos.metagames.grids import LevelGrid, SimplexGrid
from rfos.metagames.learners import LOLA, FictitiousPlay, NaiveLearner, QLearning, SmoothedBestResponse, named_learner
from rfos.metagames.policy import PolicyMetaGame
from rfos.metagames.sizes import even_grid, inner_game
from rfos.planning.solve import solve

IPD = iterated(standard_prisoners_dilemma(), 0.96)
PENNIES = one_shot(matching_pennies())


@dataclass(frozen=True)
class Wrapped:
    """A learner that no kernel knows."""

    inner: NaiveLearner

    def update(self, game: StochasticGame, player: int, policies: list[np.ndarray]) -> np.ndarray:
        return self.inner.update(game, player, policies)


@pytest.mark.parametrize("rounding", ["barycentric", "nearest"])
def test_tables_of_kernels_and_of_single_pairs_have_the_same_value(rounding: str) -> None:
    """V* of the compressed table is that of the sparse one within the stated rounding of places and rewards."""
    grid = LevelGrid(5, (0.05, 0.95))
    fast = PolicyMetaGame(IPD, [NaiveLearner()], [grid, grid], 0.9, rounding)
    slow = PolicyMetaGame(IPD, [Wrapped(NaiveLearner())], [grid, grid], 0.9, rounding)
    assert fast.dynamics is not None
    assert slow.dynamics is None
    a, b = solve(fast.to_mdp(), tol=1e-9), solve(slow.to_mdp(), tol=1e-9)
    # 5 entries, each off by 1/16384 of a cell, each step of value span at most 30.
    assert np.abs(a.value - b.value).max() <= 10 * (5 / 16384 * 30 + 3 * 2**-24)


@pytest.mark.parametrize("rounding", ["barycentric", "nearest"])
def test_g2_the_joint_game_is_worth_the_lumped_one_after_the_learners_move(rounding: str) -> None:
    """V_joint(a, ψ) = V_lumped(L_d(a, ψ)) for nearest rounding; at most its mean for random corners."""
    grid = SimplexGrid(1, 2, 4)
    lumped = PolicyMetaGame(PENNIES, [NaiveLearner(0.6, "simplex")], [grid, grid], 0.8, rounding)
    joint = PolicyMetaGame(PENNIES, [NaiveLearner(0.6, "simplex")], [grid, grid], 0.8, rounding, joint=True)
    assert joint.n_states == 25
    mdp = lumped.to_mdp()
    successor, probability, _ = mdp.storage.branches(mdp.rewards)
    expected = (probability * solve(mdp, tol=1e-10).value[successor]).sum(axis=1)
    value = solve(joint.to_mdp(), tol=1e-10).value
    if rounding == "nearest":
        assert np.allclose(value, expected, atol=1e-6)
    else:
        assert (value <= expected + 1e-3).all()


def test_dropping_the_own_policy_from_the_joint_state_is_no_lumping() -> None:
    """V_joint varies with the own policy last played at a fixed opponent's policy (counterexample to the false G2)."""
    grid = SimplexGrid(1, 2, 4)
    joint = PolicyMetaGame(PENNIES, [NaiveLearner(0.6, "simplex")], [grid, grid], 0.8, joint=True)
    value = solve(joint.to_mdp()).value.reshape(5, 5)
    assert np.ptp(value, axis=1).max() > 0.05


def test_games_with_more_players_or_actions_are_built_pair_by_pair() -> None:
    """Three actions, three players: sizes as counted, rows that are distributions, a certified value."""
    grid = SimplexGrid(1, 3, 3)
    rps = PolicyMetaGame(one_shot(rock_paper_scissors()), [NaiveLearner(0.5)], [grid, grid], 0.9)
    assert (rps.n_states, rps.n_actions, rps.branching) == (10, 10, 3)
    small = SimplexGrid(1, 2, 2)
    three = PolicyMetaGame(one_shot(three_player_matching_pennies()), [NaiveLearner(0.5)] * 2, [small] * 3, 0.9)
    assert (three.n_states, three.n_actions, three.branching) == (9, 3, 4)
    for meta_game in (rps, three):
        assert solve(meta_game.to_mdp()).converged


def test_oversized_requests_are_refused_before_anything_is_allocated() -> None:
    """Thirty levels in five states: the message names bytes, limit and mend, in under 50 ms."""
    grid = LevelGrid(5, tuple(np.linspace(0.02, 0.98, 30)))
    meta_game = PolicyMetaGame(IPD, [NaiveLearner()], [grid, grid], 0.9)
    began = time.process_time()
    with pytest.raises(MemoryError, match=r"bytes, above the limit of .* hours: choose at most \d+ levels"):
        meta_game.require_fit()
    assert time.process_time() - began < 0.05


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            {"opponents": []},
            r"opponents holds 0 learners, and the game has 1 players .*: give one learner for each .* \[NaiveLearner",
        ),
        ({"grids": [SimplexGrid(1, 2, 2)]}, "1 grids for 2 players"),
        (
            {"grids": [SimplexGrid(1, 2, 2), SimplexGrid(1, 3, 2)]},
            r"grid of player 1 is for \(states, actions\) \(1, 3\)",
        ),
        ({"discount": 1.0}, "discount is 1.0"),
        ({"rounding": "up"}, "rounding is 'up'"),
    ],
)
def test_what_does_not_fit_is_named(arguments: dict[str, object], message: str) -> None:
    """Each message names the value."""
    grid = SimplexGrid(1, 2, 2)
    good = {"game": PENNIES, "opponents": [NaiveLearner()], "grids": [grid, grid], "discount": 0.9}
    with pytest.raises(ValueError, match=message):
        PolicyMetaGame(**(good | arguments))


def test_lola_ascends_its_own_return_through_the_imagined_step() -> None:
    """The step is η times the derivative of V_1(θ_0 + α ∇V_0, θ_1) in θ_1, against central differences."""
    rng = np.random.default_rng(0)
    own, other = rng.uniform(0.1, 0.9, (2, 5))

    def policies(first: np.ndarray, second: np.ndarray) -> list[np.ndarray]:
        return [np.stack([p, 1 - p], axis=1) for p in (1 / (1 + np.exp(-first)), 1 / (1 + np.exp(-second)))]

    def values(first: np.ndarray, second: np.ndarray) -> np.ndarray:
        return IPD.returns(policies(first, second)) / (1 - IPD.discount)

    logits = [np.log(p / (1 - p)) for p in (own, other)]
    steps = np.eye(5)

    def imagined(second: np.ndarray, h: float = 1e-5) -> np.ndarray:
        slope = [(values(logits[0] + h * d, second)[0] - values(logits[0] - h * d, second)[0]) / (2 * h) for d in steps]
        return logits[0] + 0.7 * np.array(slope)

    h = 1e-4
    slope = [
        (
            values(imagined(logits[1] + h * d), logits[1] + h * d)[1]
            - values(imagined(logits[1] - h * d), logits[1] - h * d)[1]
        )
        / (2 * h)
        for d in steps
    ]
    expected = 1 / (1 + np.exp(-(logits[1] + 0.3 * np.array(slope))))
    found = LOLA(0.3, 0.7, "exact").update(IPD, 1, policies(*logits))[:, 0]
    assert np.allclose(found, expected, atol=1e-4)


def test_best_responses_earn_at_least_as_much_as_any_pure_policy() -> None:
    """The reply of FictitiousPlay(1) is optimal against the shaper's policy among all 32 pure memory-one policies."""
    rng = np.random.default_rng(3)
    shaper = rng.dirichlet([1, 1], 5)
    reply = FictitiousPlay().update(IPD, 1, [shaper, rng.dirichlet([1, 1], 5)])
    best = IPD.returns([shaper, reply])[1]
    for pure in np.ndindex(*[2] * 5):
        assert IPD.returns([shaper, np.eye(2)[list(pure)]])[1] <= best + 1e-9


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: NaiveLearner(0), "step is 0"),
        (lambda: NaiveLearner(1, "logit"), "parameters is 'logit'"),
        (lambda: SmoothedBestResponse(0.0), "temperature is 0.0"),
        (lambda: QLearning(rate=2), "mixing is 2"),
        (lambda: FictitiousPlay(0), "mixing is 0"),
        (lambda: LOLA(1, -1), "look_ahead is -1"),
        (lambda: LOLA(expansion="taylor"), "expansion is 'taylor': choose first-order, exact or shaping"),
        (lambda: named_learner("q-learner", 0.5), "q-learner takes no gradient steps: leave the step out"),
        (lambda: named_learner("naive", -1.0), "step is -1.0: give a positive step size"),
        (lambda: named_learner("x"), "unknown opponent 'x': choose one of naive"),
    ],
)
def test_bad_learners_are_refused(make, message: str) -> None:
    """Each message names the value."""
    with pytest.raises(ValueError, match=message):
        make()


def test_roll_outs_are_the_definition_played_step_by_step() -> None:
    """Projected policy: the same rewards as a loop over StochasticGame and the learner, to 1e-9."""
    learner = NaiveLearner(0.5)
    grid = LevelGrid(5, (0.1, 0.9))
    meta_game = PolicyMetaGame(IPD, [learner], [grid, grid], 0.9)
    solution = solve(meta_game.to_mdp())
    starts = random_starts(IPD, 3, rng=0)
    assert meta_game.dynamics is not None
    found = roll_out(meta_game, starts, policy=solution.policy, steps=7)
    for n, other in enumerate(starts[0]):
        for step in range(7):
            action = solution.policy[int(grid.nearest(other))]
            assert action == found.moves[n, step]
            assert np.allclose(found.policies[0][n, step], other, atol=1e-9)
            played = [grid.policy(int(action)), other]
            assert np.allclose(found.rewards[n, step], IPD.returns(played), atol=1e-9)
            other = learner.update(IPD, 1, played)


def without_kernels(meta_game):
    """The same meta-game, played by the definition."""
    plain = replace(meta_game)
    plain.__dict__["dynamics"] = None
    return plain


@pytest.mark.parametrize("learner", [NaiveLearner(0.5), LOLA(1.0, 0.5), FictitiousPlay(0.5)])
def test_kernels_play_what_the_definition_plays(learner) -> None:
    """Look-ahead, projection and held policies, to 1e-9; the moves are the same."""
    grid = LevelGrid(5, (0.1, 0.6))
    meta_game = PolicyMetaGame(IPD, [learner], [grid, grid], 0.9)
    solution = solve(meta_game.to_mdp())
    starts = random_starts(IPD, 2, rng=1)
    plain = without_kernels(meta_game)
    for shaper in ({"values": solution.value}, {"policy": solution.policy}):
        fast, slow = (roll_out(game, starts, **shaper, steps=4) for game in (meta_game, plain))
        assert np.allclose(fast.rewards, slow.rewards, atol=1e-9)
        assert np.allclose(fast.policies, slow.policies, atol=1e-9)
        assert (fast.moves == slow.moves).all()
    policies = np.array([grid.policy(a) for a in (0, 13)])
    assert np.allclose(*(hold(game, policies, starts, 4) for game in (meta_game, plain)), atol=1e-9)


def three_players():
    """Three-player Matching Pennies once, three levels, naive opponents with different steps."""
    game = one_shot(three_player_matching_pennies())
    return PolicyMetaGame(game, [NaiveLearner(0.5), NaiveLearner(1.0)], [SimplexGrid(1, 2, 2)] * 3, 0.9)


def test_three_players_are_played_by_the_definition() -> None:
    """The look-ahead takes the best of all meta-actions by one backup; rewards are those of the policies played."""
    meta_game = three_players()
    assert meta_game.dynamics is None
    values = solve(meta_game.to_mdp()).value
    starts = random_starts(meta_game.game, 2, rng=3)
    found = roll_out(meta_game, starts, values=values, steps=3)
    moves = found.moves
    for n in range(2):
        others = [start[n] for start in starts]
        for step in range(3):
            worth = []
            for a in range(3):
                played = [meta_game.grids[0].policy(a), *others]
                after = [o.update(meta_game.game, i, played) for i, o in enumerate(meta_game.opponents, 1)]
                ahead = 0.0
                for x in range(9):
                    # Hat functions of the two levels beside a probability, 1/2 apart.
                    hats = [
                        max(0.0, 1 - 2 * abs(p[0, 0] - q[0, 0]))
                        for p, q in zip(after, meta_game.policies(x), strict=True)
                    ]
                    ahead += hats[0] * hats[1] * values[x]
                worth.append(meta_game.game.returns(played)[0] + 0.9 * ahead)
            assert worth[moves[n, step]] >= max(worth) - 1e-12
            played = [meta_game.grids[0].policy(int(moves[n, step])), *others]
            assert np.allclose(found.rewards[n, step], meta_game.game.returns(played), atol=1e-12)
            others = [o.update(meta_game.game, i, played) for i, o in enumerate(meta_game.opponents, 1)]
    policies, rewards = trajectory(
        meta_game, [start[1] for start in starts], [meta_game.grids[0].policy(int(move)) for move in moves[1]]
    )
    assert np.allclose(rewards.mean(axis=0), found.mean_rewards[1], atol=1e-12)
    assert all(np.allclose(a, b[1], atol=1e-12) for a, b in zip(policies, found.policies, strict=True))
    assert [path.shape for path in policies] == [(3, 1, 2)] * 2


def test_all_learn_at_once_from_their_policies_of_the_same_step() -> None:
    """Two steps of mutual learning, the shaper's first policy from its own stream."""
    meta_game = three_players()
    starts = random_starts(meta_game.game, 1, rng=3)
    found = mutual_learning(meta_game, NaiveLearner(0.25), starts, steps=2, rng=9)
    z = np.random.default_rng(np.random.SeedSequence(9)).standard_normal()
    first = np.array([[1 / (1 + np.exp(-z)), 1 / (1 + np.exp(z))]])
    played = [first, *(start[0] for start in starts)]
    learners = (NaiveLearner(0.25), *meta_game.opponents)
    second = [learner.update(meta_game.game, i, played) for i, learner in enumerate(learners)]
    assert np.allclose(found[0], (meta_game.game.returns(played) + meta_game.game.returns(second)) / 2, atol=1e-12)


def test_a_table_that_does_not_fit_is_refused_with_what_fits() -> None:
    """Three players, iterated: nothing does; once: the largest number of levels fits and one more does not."""

    def meta_game(discount: float, count: int) -> PolicyMetaGame:
        game = inner_game("three-player-matching-pennies", discount)
        return PolicyMetaGame(game, [NaiveLearner()] * 2, [even_grid(game, i, count) for i in range(3)], 0.9)

    with pytest.raises(MemoryError, match="not even 2 levels fit"):
        meta_game(0.9, 2).require_fit()
    with pytest.raises(MemoryError, match="choose at most") as caught:
        meta_game(0.0, 10_000).require_fit()
    most = int(str(caught.value).rsplit("at most ", 1)[1].split()[0])
    meta_game(0.0, most).require_fit()
    with pytest.raises(MemoryError):
        meta_game(0.0, most + 1).require_fit()


@pytest.mark.jit
def test_the_joint_state_has_the_lumped_values() -> None:
    """What `rfos solve --joint` prints of the meta-game is what it prints without, to the certified accuracy (G2)."""
    found = [
        shaping_study(
            ShapingRequest(
                "matching-pennies", "naive", "3", "nearest", inner_discount=0.0, joint=joint, starts=4, steps=5
            ),
        )
        for joint in (False, True)
    ]
    assert np.allclose(found[0].start_value, found[1].start_value, atol=1e-3)
    assert np.allclose(found[0].mean_value, found[1].mean_value, atol=1e-3)
    assert [row.shaper for row in found[0].continuous] == [row.shaper for row in found[1].continuous]
    assert found[1].n_states == found[0].n_states * found[0].n_actions


def test_look_ahead_is_left_out_where_it_would_take_too_long() -> None:
    """The answer says so, and that equilibria need a solver."""
    game = inner_game("rock-paper-scissors", 0.0)
    meta_game = PolicyMetaGame(game, [NaiveLearner()], [even_grid(game, i, 3) for i in range(2)], 0.9)
    assert affordable_starts(meta_game, 10**6, 64) == 0
    assert affordable_starts(meta_game, 10, 64) == 64


@pytest.mark.jit
@pytest.mark.parametrize(
    ("game", "inner"), [("rock-paper-scissors", 0.0), ("three-player-matching-pennies", 0.0), ("chicken", 0.5)]
)
def test_an_answer_is_printed_drawn_and_written_as_json(tmp_path: Path, monkeypatch, game: str, inner: float) -> None:
    """Every kind of game: yardsticks, moves, a figure; a note where no solver of equilibria is installed."""
    monkeypatch.setattr("rfos.metagames.yardsticks.nash_equilibria", no_solver)
    found = small_study(ShapingRequest(game, levels="2", inner_discount=inner, discount=0.8, starts=3, steps=4))
    lines: list[str] = []
    solve_module.show(found, lines.append)
    text = "\n".join(lines)
    for part in ("best constant policy of the grid (", "mutual naive learning", "first moves of the ", "rfos[interop]"):
        assert part in text
    solve_module.draw(found, tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {"trajectory.png", "trajectory.svg"}
    plain = json.loads(as_json(found.summary()))
    assert np.array(plain["rewards"]).shape == (4, len(found.policies))


@pytest.mark.parametrize(
    ("opponent", "inner", "parts"),
    [
        ("naive", 0.5, ["X5: vacuous here (it allows the whole span of values); ", "l_state ", "l_action "]),
        ("fixed", 0.0, ["D1: V* is within -", "a step", "l_state 1, l_action 0", "(D3)"]),
        ("best-response", 0.0, ["does not apply, because best responses jump"]),
    ],
)
@pytest.mark.jit
def test_the_discretisation_error_is_printed_with_its_constants(opponent: str, inner: float, parts: list[str]) -> None:
    """A vacuous error is one line without numbers that nobody can use; what applies has its constants."""
    levels = "0.1,0.9" if inner else "60"
    request = ShapingRequest(
        "matching-pennies", opponent, levels, discount=0.5, inner_discount=inner, starts=3, steps=4
    )
    lines: list[str] = []
    solve_module.show(shaping_study(request), lines.append)
    [first] = [n for n, line in enumerate(lines) if line.startswith("discretisation error")]
    text = "\n".join(lines[first : first + 3])
    assert all(part in text for part in parts)
    assert ("a step" in text) == (opponent == "fixed")


def no_solver(game):
    """As without nashpy and quantecon."""
    raise ImportError("none")


@pytest.mark.jit
def test_solve_prints_one_json_object_and_says_what_shaping_is_worth(tmp_path: Path) -> None:
    """A small request; one that is too large is refused in one line."""
    with small_comparisons():
        result = here("solve", "ipd", "--levels", "2", "--starts", "60", "--json", cwd=tmp_path)
    assert result.returncode == 0, result.stderr
    found = json.loads(result.stdout)
    assert found["n_states"] == found["n_actions"] == 32
    assert found["converged"]
    assert found["start_value"][0] <= found["start_value"][1]
    assert found["continuous"][0]["name"] == "one-step look-ahead"
    assert "artefact of the grid" in found["warnings"][0]
    assert isinstance(found["worth"], float)
    refused = here("solve", "ipd", "--levels", "200", cwd=tmp_path)
    assert refused.returncode == 2
    assert "bytes" in refused.stderr
    assert "levels" in refused.stderr
    assert len(refused.stderr.strip().splitlines()) == 1
