"""Case I on random games: D1, D3 and X5 with actions, constants of learners, exact gradients and returns."""

import itertools
import math

import numpy as np
import pytest
import sympy as sp
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from strength import scaled

from rfos.games.named import matching_pennies, standard_prisoners_dilemma, three_player_matching_pennies
from rfos.games.normal_form import NormalFormGame
from rfos.games.stochastic import StochasticGame, iterated, one_shot
from rfos.metagames.discretisation import discretisation_error
from rfos.metagames.grids import LevelGrid, SimplexGrid
from rfos.metagames.learners import LOLA, FictitiousPlay, Fixed, Learner, NaiveLearner, QLearning, SmoothedBestResponse
from rfos.metagames.policy import PolicyMetaGame
from rfos.planning.solution import Solution
from rfos.planning.solve import solve

FINE = 64
COARSE = (2, 4, 8)


def payoffs(draw: st.DrawFn) -> NormalFormGame:
    """Two players, two actions, rewards in quarters between -1 and 1."""
    quarters = st.integers(-4, 4)
    numbers = [draw(quarters) / 4 for _ in range(8)]
    # Constant rewards have no span, and nothing to discretise.
    for i in (0, 4):
        if len(set(numbers[i : i + 4])) == 1:
            numbers[i] += 0.25
    return NormalFormGame(np.reshape(numbers, (2, 2, 2)))


@st.composite
def contracting_cases(draw: st.DrawFn) -> tuple[StochasticGame, object, float]:
    """A one-shot game, a learner that contracts there, and a meta discount."""
    learner = draw(
        st.one_of(
            st.sampled_from([0.1, 0.5, 1.5]).map(lambda step: NaiveLearner(step, "simplex")),
            st.tuples(st.sampled_from([0.3, 1.0]), st.sampled_from([0.2, 0.7])).map(lambda x: SmoothedBestResponse(*x)),
        )
    )
    return one_shot(payoffs(draw)), learner, draw(st.sampled_from([0.3, 0.6, 0.8]))


def on_grid(game: StochasticGame, learner, discount: float, k: int, rounding: str) -> PolicyMetaGame:
    return PolicyMetaGame(game, [learner], [SimplexGrid(1, 2, k)] * 2, discount, rounding)


def earned(coarse: PolicyMetaGame, solution: Solution, start: np.ndarray) -> tuple[float, float]:
    """Ends of what the nearest grid point's action earns in the continuous meta-game from an opponent's policy."""
    total, weight, x = 0.0, 1.0, start
    low, high = coarse.game.reward_range(0)
    while weight > 1e-5 * (1 - coarse.discount):
        own = coarse.grids[0].policy(int(solution.policy[coarse.nearest([x])]))
        total += weight * float(coarse.game.returns([own, x])[0])
        weight *= coarse.discount
        [x] = coarse.following([own, x])
    rest = weight / (1 - coarse.discount)
    return total + rest * low, total + rest * high


@given(contracting_cases(), st.sampled_from(COARSE), st.sampled_from(["nearest", "barycentric"]))
@settings(max_examples=scaled(40))
def test_d1_and_d3_the_value_on_the_grid_and_its_policy_are_within_their_errors(case, k: int, rounding: str) -> None:
    """-E₋ <= V* - V*_d <= E at grid states, V* - V^π <= D3's loss anywhere, of random games with actions.

    V* itself is bracketed by D1 on a grid 64 cells fine, so both sides are intervals, and a violation is a gap.
    """
    game, learner, discount = case
    coarse, fine = on_grid(game, learner, discount, k, rounding), on_grid(game, learner, discount, FINE, "nearest")
    found, reference = discretisation_error(coarse), discretisation_error(fine)
    assert found.statement == reference.statement == "D1"
    on_coarse, on_fine = solve(coarse.to_mdp(), tol=1e-9), solve(fine.to_mdp(), tol=1e-9)
    shared = np.arange(k + 1) * (FINE // k)
    least = on_fine.lower - reference.lower
    most = on_fine.upper + reference.upper
    assert (most[shared] >= on_coarse.lower - found.lower - 1e-9).all()
    assert (least[shared] <= on_coarse.upper + found.upper + 1e-9).all()
    for x in (0, 21, 50):
        _, most_earned = earned(coarse, on_coarse, fine.grids[1].policy(x))
        assert least[x] - most_earned <= found.loss


@st.composite
def driven_cases(draw: st.DrawFn) -> tuple[PolicyMetaGame, float]:
    """An expanding learner whom own action 0 always drives towards its own action 0, which is what the shaper wants.

    The opponent's gap u_0 - u_1 is `pull` against own action 0 and `pull - drop` against action 1; the shaper earns 1
    for the opponent's action 0, and `bonus` for its own. One step is monotone in both policies, so own action 0 for
    ever is optimal in the continuous meta-game, and V* is a sum along one orbit.
    """
    pull, drop = draw(st.integers(1, 8)) / 2, draw(st.integers(1, 12)) / 2
    bonus = draw(st.sampled_from([0.0, 0.25, 1.0]))
    payoffs = [[[1 + bonus, bonus], [1, 0]], [[pull, 0], [pull - drop, 0]]]
    # The odds of p are multiplied by exp(x p(1-p)), x = step·gap; below 10 that is monotone in p, above 2 it expands.
    step = draw(st.sampled_from([2.2, 3.0, 6.0])) / max(pull, abs(pull - drop))
    own = draw(st.sampled_from([SimplexGrid(1, 2, 1), SimplexGrid(1, 2, 32), LevelGrid(1, (0.1, 0.9))]))
    cells = draw(st.sampled_from([4, 32, 256]))
    other = draw(st.sampled_from([SimplexGrid(1, 2, cells), LevelGrid(1, np.linspace(0.05, 0.95, cells + 1))]))
    rounding = draw(st.sampled_from(["nearest", "barycentric"]))
    discount = draw(st.sampled_from([0.3, 0.5, 0.7]))
    game = one_shot(NormalFormGame(payoffs))
    return PolicyMetaGame(game, [NaiveLearner(step)], [own, other], discount, rounding), step * pull


def driven_value(meta_game: PolicyMetaGame, push: float, p: np.ndarray) -> np.ndarray:
    """V* by following own action 0, p -> p e^{push p(1-p)}/(..); what is cut off is below 1e-12."""
    total = np.zeros(len(p))
    at_1, at_0 = meta_game.game.rewards[0, 0, :2]
    for t in range(int(np.ceil(np.log(1e-13) / np.log(meta_game.discount)))):
        total += meta_game.discount**t * (p * at_1 + (1 - p) * at_0)
        p = p / (p + (1 - p) * np.exp(-push * p * (1 - p)))
    return total


@given(driven_cases())
@settings(max_examples=scaled(60))
def test_x5_and_d3_hold_where_the_continuous_game_is_solved_exactly(case) -> None:
    """-E₋ <= V* - V*_d <= E at grid states and V* - V^π <= D3's loss, γ̂L_F^s >= 1 mostly."""
    meta_game, push = case
    found = discretisation_error(meta_game)
    assert (found.statement == "X5") == (meta_game.discount * found.constants["l_state"] >= 1)
    solution = solve(meta_game.to_mdp(), tol=1e-9)
    exact = driven_value(meta_game, push, meta_game.grids[1].policies()[:, 0, 0])
    assert (exact - solution.upper <= found.upper + 1e-9).all()
    assert (solution.lower - exact <= found.lower + 1e-9).all()
    for p in (0.0, 0.03, 0.4, 0.77):
        _, most = earned(meta_game, solution, np.array([[p, 1 - p]]))
        assert driven_value(meta_game, push, np.array([p]))[0] - most <= found.loss + 1e-9


def test_x5_would_fail_with_a_tenth_of_its_error() -> None:
    """The check above can fail: an own grid without the pure actions needs more than a tenth of an E below the cap."""
    game = one_shot(NormalFormGame([[[2, 1], [1, 0]], [[2, 0], [-4, 0]]]))
    own = LevelGrid(1, (0.45, 0.55))
    meta_game = PolicyMetaGame(game, [NaiveLearner(0.6)], [own, SimplexGrid(1, 2, 64)], 0.5)
    found, solution = discretisation_error(meta_game), solve(meta_game.to_mdp())
    lost = driven_value(meta_game, 1.2, meta_game.grids[1].policies()[:, 0, 0]) - solution.value
    assert found.statement == "X5"
    assert 0.1 * found.upper < lost.max() <= found.upper < found.limit


def test_d1_would_fail_with_a_twentieth_of_its_error() -> None:
    """The check above can fail: some game needs more than a twentieth of E on a coarse grid."""
    game = one_shot(NormalFormGame([[[1, 0], [0, 1]], [[0, 1], [1, 0]]]))
    learner = NaiveLearner(0.1, "simplex")
    coarse, fine = on_grid(game, learner, 0.8, 2, "nearest"), on_grid(game, learner, 0.8, FINE, "nearest")
    difference = solve(fine.to_mdp()).value[[0, 32, 64]] - solve(coarse.to_mdp()).value
    error, reference = discretisation_error(coarse), discretisation_error(fine)
    assert np.abs(difference).max() - max(reference.upper, reference.lower) > 0.05 * max(error.upper, error.lower)


PENNIES = one_shot(matching_pennies())
IPD = iterated(standard_prisoners_dilemma(), 0.96)


def policies(rng: np.random.Generator, n_states: int, n_actions: int) -> np.ndarray:
    """Policies inside the simplex and at its corners."""
    return rng.dirichlet(np.full(n_actions, float(rng.choice([0.1, 1.0, 5.0]))), n_states)


@st.composite
def learning_cases(draw: st.DrawFn) -> tuple[StochasticGame, list[Learner], int]:
    """Any game and learners that have constants for it, and a seed for the policies."""
    seed = draw(st.integers(0, 2**32 - 1))
    rng = np.random.default_rng(seed)
    n_states, discount = draw(st.sampled_from([(1, 0.0), (3, 0.0), (2, 0.1), (2, 0.5)]))
    n_players = draw(st.sampled_from([2, 2, 3])) if discount == 0 else 2
    step = draw(st.sampled_from([0.05, 0.5, 4.0]))
    n_actions = tuple(draw(st.integers(2, 3)) for _ in range(n_players))
    simplex: list[Learner] = [NaiveLearner(step, "simplex"), Fixed(), NaiveLearner(2 * step, "simplex")]
    learners = [draw(st.sampled_from(simplex)) for _ in range(n_players - 1)]
    kind = draw(st.sampled_from(["simplex", "logits", "reply"])) if n_players == 2 else "simplex"
    if kind == "logits":
        n_actions, learners = (n_actions[0], 2), [NaiveLearner(step)]
    elif kind == "reply" and discount == 0:
        learners = [draw(st.sampled_from([SmoothedBestResponse(0.1, 0.3), QLearning(1.0, 0.5)]))]
    n_joint = math.prod(n_actions)
    # In some states nothing is at stake, and they are not equally likely.
    rewards = rng.uniform(-1, 1, (n_players, n_states, n_joint)) * rng.choice([0.0, 1.0, 3.0], (1, n_states, 1))
    rewards[0, 0, 0] = 4.0
    transitions = rng.dirichlet(np.full(n_states, 0.3), (n_states, n_joint))
    return StochasticGame(transitions, rewards, policies(rng, 1, n_states)[0], n_actions, discount), learners, seed


@given(learning_cases())
@settings(max_examples=scaled(150))
def test_the_constants_that_go_in_hold_for_the_learners_own_steps(case) -> None:
    """Σ d(L(a,ψ), L(a',ψ')) <= L_F^s Σ d(ψ,ψ') + L_F^a d(a,a') with the very constants of `discretisation_error`."""
    game, learners, seed = case
    grids = [SimplexGrid(game.n_states, n, 4) for n in game.n_actions]
    meta_game = PolicyMetaGame(game, learners, grids, 0.5)
    found = discretisation_error(meta_game)
    assert found.statement is not None
    rng = np.random.default_rng(seed)
    for _ in range(6):
        first = [policies(rng, game.n_states, n) for n in game.n_actions]
        near = float(rng.choice([1e-3, 0.1, 1.0]))
        share = [near * float(rng.choice([0.0, 1.0])) for _ in first]
        second = [x + t * (policies(rng, *x.shape) - x) for x, t in zip(first, share, strict=True)]
        moved = [np.abs(x - y).sum(axis=1).max() for x, y in zip(first, second, strict=True)]
        after = zip(meta_game.following(first), meta_game.following(second), strict=True)
        gone = sum(np.abs(x - y).sum(axis=1).max() for x, y in after)
        assert gone <= found.constants["l_state"] * sum(moved[1:]) + found.constants["l_action"] * moved[0] + 1e-9


def test_constants_of_states_that_never_matter_are_weighted_by_the_initial_law() -> None:
    """Inner discount 0, states of probability ¾ and ¼ with gaps 1 and 8: max(¾·1, ¼·8) = 2, not state 0's 1."""
    rewards = np.zeros((2, 2, 4))
    rewards[0, :, 0] = 1.0
    rewards[1, 0] = [1, 0, 0, 0]
    rewards[1, 1] = [8, 0, 0, 0]
    game = StochasticGame(np.full((2, 4, 2), 0.5), rewards, [0.75, 0.25], (2, 2), 0.0)
    found = discretisation_error(PolicyMetaGame(game, [NaiveLearner(0.5)], [SimplexGrid(2, 2, 4)] * 2, 0.5))
    assert (found.constants["payoff_gap"], found.constants["payoff_gap_span"]) == (2.0, 2.0)


def test_steps_are_stated_on_the_normalised_return() -> None:
    """Step 1 on the un-normalised return at inner discount 0.96 is one of 25 on the normalised one."""
    for parameters in ("simplex", "logits"):
        meta_game = PolicyMetaGame(IPD, [NaiveLearner(1.0, parameters)], [LevelGrid(5, (0.1, 0.9))] * 2, 0.9)
        assert discretisation_error(meta_game).constants["step_size"] == 25.0


@pytest.mark.parametrize(
    ("learner", "game", "reason"),
    [
        (FictitiousPlay(), PENNIES, "best responses jump"),
        (FictitiousPlay(0.5), PENNIES, "best responses jump"),
        (QLearning(0.5), PENNIES, "slope at probability 0 is infinite"),
        (LOLA(), PENNIES, "no Lipschitz constants of LOLA are proved"),
        (SmoothedBestResponse(), IPD, "smoothed best responses are proved at inner discount 0 only"),
        (QLearning(1.0), IPD, "smoothed best responses are proved at inner discount 0 only"),
        (NaiveLearner(), one_shot(NormalFormGame(np.arange(12).reshape(2, 2, 3))), "two actions only"),
        (NaiveLearner(1e6), IPD, "take a smaller step"),
    ],
    ids=repr,
)
def test_learners_without_constants_have_no_error_and_say_why(learner, game: StochasticGame, reason: str) -> None:
    """Each has its own reason, and no number is claimed."""
    grids = [SimplexGrid(game.n_states, n, 2) for n in game.n_actions]
    found = discretisation_error(PolicyMetaGame(game, [learner], grids, 0.8))
    assert (found.statement, found.upper, found.lower, found.loss, found.vacuous) == (None, None, None, None, False)
    assert reason in found.reason


@pytest.mark.parametrize(
    "learner", [Fixed(), NaiveLearner(), NaiveLearner(1.0, "simplex")], ids=["fixed", "logits", "simplex"]
)
def test_whoever_never_moves_is_a_learner_with_constants_1_and_0(learner) -> None:
    """Fixed opponents, and gradient learners that are indifferent, who stay: L_V = L_R/(1-γ̂), by D1.

    Rewards 1 and 0, one level per probability: L_R = ½, α = 1, γ̂ = ½: E = (½ + ½·1)/½ = 2, the span of values.
    """
    game = one_shot(NormalFormGame([[[1, 0], [0, 1]], [[2, 2], [0, 0]]]))
    meta_game = PolicyMetaGame(game, [learner], [SimplexGrid(1, 2, 1)] * 2, 0.5, "nearest")
    played = [np.array([[0.2, 0.8]]), np.array([[0.3, 0.7]])]
    assert np.allclose(meta_game.following(played), played[1:], atol=1e-15, rtol=0)
    found = discretisation_error(meta_game)
    assert found.statement == "D1"
    assert (found.constants["l_state"], found.constants["l_action"]) == (1.0, 0.0)
    assert found.upper == pytest.approx(2.0, abs=1e-6)
    assert found.lower == pytest.approx(1.0, abs=1e-6)


def test_several_gradient_learners_are_covered_by_the_sums_of_theory() -> None:
    """Three-player Matching Pennies: 1 + 2η·κ span and 2η·2κ span with η the larger step; α_s is a sum."""
    game = one_shot(three_player_matching_pennies())
    span = float(np.ptp(game.reward_range(1)))
    grids = [SimplexGrid(1, 2, k) for k in (2, 4, 5)]
    learners = [NaiveLearner(0.1, "simplex"), NaiveLearner(0.05, "simplex")]
    found = discretisation_error(PolicyMetaGame(game, learners, grids, 0.8))
    assert found.statement == "D1"
    assert found.constants["l_state"] == pytest.approx(1 + 2 * 0.1 * span / 2)
    assert found.constants["l_action"] == pytest.approx(2 * (0.1 + 0.05) * span / 2)
    assert found.constants["alpha_state"] == pytest.approx(1 / 4 + 1 / 5)
    mixed = discretisation_error(PolicyMetaGame(game, [learners[0], NaiveLearner(0.1)], grids, 0.8))
    assert mixed.statement is None
    assert "several opponents" in mixed.reason


def test_alpha_state_counts_the_mean_displacement_and_the_tables_own_rounding() -> None:
    """Rewards and means of the corners of every pair are within the stated terms of the exact ones, and not exact."""
    game = one_shot(NormalFormGame(np.random.default_rng(1).normal(size=(2, 2, 2))))
    grid = LevelGrid(1, (0.1, 0.35, 0.9))
    meta_game = PolicyMetaGame(game, [NaiveLearner(0.3)], [grid, grid], 0.8)
    found = discretisation_error(meta_game)
    slack = found.constants["alpha_state"] - float(grid.mean_displacement)
    mdp = meta_game.to_mdp()
    successor, probability, _ = mdp.storage.branches(mdp.rewards)
    means = np.einsum("pc,pcsa->psa", probability, grid.policies()[successor])
    off, moved = [], []
    for pair, (x, a) in enumerate(itertools.product(range(3), range(3))):
        played = [grid.policy(a), grid.policy(x)]
        off.append(abs(float(np.asarray(mdp.rewards)[x, a]) - game.returns(played)[0]))
        [after] = meta_game.following(played)
        p = np.clip(after[0, 0], 0.1, 0.9)
        moved.append(2 * abs(means[pair, 0, 0] - p))
    assert 0 < max(off) <= found.constants["reward_rounding"]
    assert 0 < max(moved) <= slack + 1e-15
    # Two entries: the mean displacement is larger than the radius, and clipping comes on top.
    two = iterated(standard_prisoners_dilemma(), 0.5)
    wide = LevelGrid(5, (0.262, 0.738))
    larger = PolicyMetaGame(two, [Fixed()], [wide, wide], 0.8)
    displaced = float(wide.mean_displacement)
    assert discretisation_error(larger).constants["alpha_state"] == pytest.approx(displaced + 0.476 / 8192, abs=1e-12)
    assert displaced > wide.radius


@pytest.mark.parametrize("discount", [0.5, 0.9, 0.99])
def test_no_error_exceeds_the_span_of_values(discount: float) -> None:
    """M-FOS's settings: both ends are capped at span/(1-γ̂), but for float32 rewards, and the result is vacuous."""
    meta_game = PolicyMetaGame(IPD, [NaiveLearner()], [LevelGrid(5, (0.02, 0.5, 0.98))] * 2, discount)
    found = discretisation_error(meta_game)
    span = 3 / (1 - discount)
    assert found.statement == "X5"
    assert found.vacuous
    assert found.limit == pytest.approx(span)
    assert span <= found.lower <= found.upper <= span * (1 + 1e-6)
    assert found.loss == pytest.approx(span)


def test_a_useful_error_is_not_vacuous() -> None:
    """Many cells for a contracting learner: E is below the span of values."""
    found = discretisation_error(on_grid(PENNIES, NaiveLearner(0.2, "simplex"), 0.8, 64, "nearest"))
    assert not found.vacuous
    assert found.lower < found.upper < found.limit == 5.0


@given(contracting_cases(), st.sampled_from([2, 4]), st.sampled_from(["nearest", "barycentric"]))
@settings(max_examples=scaled(15))
def test_d1_holds_one_backup_ahead_of_joint_meta_states(case, k: int, rounding: str) -> None:
    """-E₋ <= V*(ψ) - max_a [R(ψ,a) + γ̂V_joint(ψ,a)] <= E, although corners are drawn before the shaper sees them."""
    game, learner, discount = case
    lumped, fine = on_grid(game, learner, discount, k, rounding), on_grid(game, learner, discount, FINE, "nearest")
    joint = PolicyMetaGame(game, [learner], lumped.grids, discount, rounding, joint=True)
    found, reference = discretisation_error(joint), discretisation_error(fine)
    on_joint, on_fine = solve(joint.to_mdp(), tol=1e-9), solve(fine.to_mdp(), tol=1e-9)
    rewards = np.asarray(lumped.to_mdp().rewards, np.float64)
    low, high = ((rewards + discount * v.reshape(k + 1, k + 1)).max(axis=1) for v in (on_joint.lower, on_joint.upper))
    shared = np.arange(k + 1) * (FINE // k)
    assert ((on_fine.upper + reference.upper)[shared] >= low - found.lower - 1e-9).all()
    assert ((on_fine.lower - reference.lower)[shared] <= high + found.upper + 1e-9).all()


def test_joint_meta_states_have_x5_only_with_nearest_rounding() -> None:
    """The joint shaper does not see the corner before it acts, which X5 does not cover; D1 does."""
    grids = [SimplexGrid(1, 2, 4)] * 2
    for learner, rounding, expected in (
        (NaiveLearner(8.0), "nearest", "X5"),
        (NaiveLearner(8.0), "barycentric", None),
        (NaiveLearner(0.1, "simplex"), "barycentric", "D1"),
    ):
        meta_game = PolicyMetaGame(PENNIES, [learner], grids, 0.8, rounding, joint=True)
        assert discretisation_error(meta_game).statement == expected


def test_without_rewards_that_differ_a_grid_costs_nothing() -> None:
    """Equal rewards of the shaper: V* is the same everywhere, whatever the learner, and the error is 0."""
    game = one_shot(NormalFormGame([[[1, 1], [1, 1]], [[0, 1], [1, 0]]]))
    found = discretisation_error(on_grid(game, FictitiousPlay(), 0.8, 4, "nearest"))
    assert (found.statement, found.upper, found.lower, found.loss) == ("D1", 0.0, 0.0, 0.0)
    assert "equal" in found.reason


def symbolic_return(game: StochasticGame, player: int, symbols: list[list[list[sp.Expr]]]) -> sp.Expr:
    """J_i = (1-γ) ρ (I - γP)^-1 r, in the policies' probabilities as free coordinates."""
    n = game.n_states
    joint = list(itertools.product(*map(range, game.n_actions)))
    exact = np.vectorize(lambda x: sp.Rational(str(x)))
    transitions, rewards = exact(game.transitions), exact(game.rewards[player])
    step, reward = sp.zeros(n, n), sp.zeros(n, 1)
    for s in range(n):
        for j, actions in enumerate(joint):
            weight = sp.Mul(*(symbols[i][s][a] for i, a in enumerate(actions)))
            reward[s] += weight * rewards[s, j]
            for t in range(n):
                step[s, t] += weight * transitions[s, j, t]
    discount = sp.Rational(str(game.discount))
    system = sp.eye(n) - discount * step
    values = system.adjugate() * reward / system.det()
    initial = sp.Matrix([[sp.Rational(str(x)) for x in game.initial]])
    return (1 - discount) * (initial * values)[0]


@pytest.mark.parametrize(("n_states", "n_actions"), [(1, (2, 3)), (2, (2, 2)), (2, (2, 2, 2)), (2, (3, 2))])
def test_exact_gradients_are_those_of_the_symbolic_return(n_states: int, n_actions: tuple[int, ...]) -> None:
    """dJ_i/dφ_k(a|s) against sympy's derivative at a rational point, every player's return in every policy."""
    rng = np.random.default_rng(n_states + sum(n_actions))
    n_joint = math.prod(n_actions)
    transitions = rng.integers(1, 5, (n_states, n_joint, n_states)).astype(float)
    transitions = np.round(transitions / transitions.sum(axis=2, keepdims=True), 3)
    transitions[:, :, -1] = np.round(1 - transitions[:, :, :-1].sum(axis=2), 3)
    rewards = rng.integers(-8, 9, (len(n_actions), n_states, n_joint)) / 4
    initial = np.eye(n_states)[0]
    game = StochasticGame(transitions, rewards, initial, n_actions, 0.75)
    symbols = [
        [[sp.Symbol(f"p_{i}_{s}_{a}") for a in range(n)] for s in range(n_states)] for i, n in enumerate(n_actions)
    ]
    policies, point = [], {}
    for i, n in enumerate(n_actions):
        weights = rng.integers(1, 6, (n_states, n))
        policies.append(weights / weights.sum(axis=1, keepdims=True))
        for s, a in itertools.product(range(n_states), range(n)):
            point[symbols[i][s][a]] = sp.Rational(int(weights[s, a]), int(weights[s].sum()))
    for player in range(len(n_actions)):
        formula = symbolic_return(game, player, symbols)
        assert float(formula.subs(point)) == pytest.approx(game.returns(policies)[player], rel=1e-12)
        found = game.gradients(policies, player)
        for i, n in enumerate(n_actions):
            for s, a in itertools.product(range(n_states), range(n)):
                expected = float(sp.diff(formula, symbols[i][s][a]).subs(point))
                assert found[i][s, a] == pytest.approx(expected, rel=1e-11, abs=1e-12)


def determinant_return(game: StochasticGame, own: np.ndarray, other: np.ndarray, player: int) -> float:
    """The return of memory-one policies by Cramer's rule on the 4 x 4 system of outcomes (as Press & Dyson, 2012).

    The discounted law of outcomes is d = (1-γ) w (I - γW)^-1, and d r = det(..r..)/det by replacing rows.
    """

    def outcome(x: float, y: float) -> np.ndarray:
        return np.array([x * y, x * (1 - y), (1 - x) * y, (1 - x) * (1 - y)])

    g = game.discount
    first = outcome(own[0], other[0])
    after = np.array([outcome(own[k], other[k]) for k in range(1, 5)])
    system = np.eye(4) - g * after
    reward = game.rewards[player, 0]
    # w (I - γW)^-1 r = 1 - det(I - γW - r w) / det(I - γW), the matrix determinant lemma.
    return (1 - g) * (1 - np.linalg.det(system - np.outer(reward, first)) / np.linalg.det(system))


def test_memory_one_returns_are_a_ratio_of_determinants() -> None:
    """J_i of random memory-one policies against the determinant form, to 1e-10."""
    rng = np.random.default_rng(5)
    for _ in range(200):
        game = iterated(NormalFormGame(rng.normal(size=(2, 2, 2))), float(rng.choice([0.0, 0.5, 0.9, 0.99])))
        own, other = rng.uniform(0, 1, (2, 5))
        played = [np.stack([p, 1 - p], axis=1) for p in (own, other)]
        found = game.returns(played)
        for player in range(2):
            assert found[player] == pytest.approx(determinant_return(game, own, other, player), abs=1e-10)


@pytest.mark.statistical
def test_memory_one_returns_are_the_means_of_long_simulations() -> None:
    """E of r at a geometric time is the normalised return: 40,000 games, t interval at a false-alarm rate of 1e-6."""
    rng = np.random.default_rng(6)
    stage = NormalFormGame(rng.normal(size=(2, 2, 2)))
    game = iterated(stage, 0.9)
    own, other = rng.uniform(0, 1, (2, 5))
    n = 40_000
    last = np.zeros(n, np.int64)
    ends = rng.geometric(1 - 0.9, n)
    sampled = np.zeros((n, 2))
    for t in range(1, ends.max() + 1):
        a = (rng.random(n) >= own[last]).astype(int)
        b = (rng.random(n) >= other[last]).astype(int)
        now = ends == t
        sampled[now] = stage.payoffs[:, a[now], b[now]].T
        last = 1 + 2 * a + b
    exact = game.returns([np.stack([p, 1 - p], axis=1) for p in (own, other)])
    half = stats.norm.ppf(1 - 1e-6 / 4) * sampled.std(axis=0, ddof=1) / math.sqrt(n)
    assert (np.abs(sampled.mean(axis=0) - exact) <= half).all()
