"""R-max: seeds, threads, coverage by theorems, schedules, refusals, and hand-worked runs."""

import dataclasses
import gc
import math
import re
import threading
from concurrent.futures import ThreadPoolExecutor

import numba
import numpy as np
import pytest
import scipy.sparse as sp
from agents import PythonRmax, Scripted
from commands import PATIENCE
from hypothesis import given, settings
from hypothesis import strategies as st
from strength import scaled

import rfos
import rfos._system.memory
from rfos._kernels import rmax as kernels
from rfos._system import checks
from rfos.games.named import matching_pennies, standard_prisoners_dilemma
from rfos.games.normal_form import NormalFormGame
from rfos.games.stochastic import iterated, one_shot
from rfos.learning.agents import PaperRmax, Rmax
from rfos.learning.coverage import coverage, derived_m
from rfos.learning.environment import Environment
from rfos.learning.kernel_play import world_of
from rfos.learning.run import run
from rfos.metagames.grids import LevelGrid, SimplexGrid
from rfos.metagames.learners import NaiveLearner
from rfos.metagames.opponents import Always, MemoryOne, QLearner, WindowQLearner
from rfos.metagames.policy import PolicyMetaGame
from rfos.metagames.window import WindowMetaGame
from rfos.planning.evaluate import evaluate_policy
from rfos.planning.mdp import TabularMDP
from rfos.planning.solve import solve
from rfos.testing import mdps

HIDDEN = WindowMetaGame(matching_pennies(), QLearner(), window=2, discount=0.8, horizon=10)
EXACT = WindowMetaGame(matching_pennies(), WindowQLearner(), window=2, discount=0.8)
CERTAIN = WindowMetaGame(matching_pennies(), Always(0), window=1, discount=0.8)
TWO_STATES = TabularMDP([[0, 1], [1, 0]], [[0.0, 0.0], [1.0, 0.0]], 0.5)
COINS = TabularMDP(np.full((2, 2, 2), 0.5), [[0.0, 0.0], [1.0, 0.0]], 0.5)
LINE = SimplexGrid(1, 2, 4)
PENNIES = [one_shot(matching_pennies()), [NaiveLearner(0.3, "simplex")], [LINE, LINE], 0.9]
ROUNDED, SPREAD = PolicyMetaGame(*PENNIES, "nearest"), PolicyMetaGame(*PENNIES, "barycentric")
UNSEEN = TabularMDP(SPREAD.to_mdp().storage, SPREAD.to_mdp().rewards, 0.9)
ARRAYS = ("bin_end", "mean_reward", "known", "known_at", "visits", "branch_counts", "q", "policy")


def fingerprint(trace):
    return b"".join(getattr(trace, name).tobytes() for name in ARRAYS)


# Seeds and threads -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("agent", [PaperRmax(m=5), Rmax(m=5)])
def test_the_same_seed_brings_the_same_bytes_and_another_seed_others(agent):
    """Seeds reproduce a run; seeds, sequences and generators are accepted."""
    first = fingerprint(run(HIDDEN, agent, episodes=40, rng=3))
    assert fingerprint(run(HIDDEN, agent, episodes=40, rng=3)) == first
    assert fingerprint(run(HIDDEN, agent, episodes=40, rng=np.random.SeedSequence(3))) == first
    assert fingerprint(run(HIDDEN, agent, episodes=40, rng=4)) != first
    generators = [np.random.default_rng(3), np.random.default_rng(3)]
    made = [fingerprint(run(HIDDEN, agent, episodes=40, rng=generator)) for generator in generators]
    assert made[0] == made[1]


def test_runs_in_several_threads_at_once_bring_the_bytes_of_runs_one_by_one():
    """Nothing is shared between runs, not even those of the same meta-game object."""
    steps = 200_000 if hasattr(kernels.advance, "signatures") else 300
    cells = [
        (process, agent, seed)
        for process in (HIDDEN, EXACT)
        for agent in (PaperRmax(m=50), Rmax(m=50))
        for seed in (1, 2)
    ]
    gate = threading.Barrier(4)

    def play(cell, together=True):
        process, agent, seed = cell
        if together:
            gate.wait(timeout=PATIENCE)
        return fingerprint(run(process, agent, steps=steps, bins=10, rng=seed))

    one_by_one = [play(cell, together=False) for cell in cells]
    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(play, cells)) == one_by_one


@pytest.mark.jit
def test_kernels_are_compiled_with_and_without_learners_only():
    """Every storage and every kind of opponent runs the same machine code: the arguments have the same types."""
    one_window = WindowMetaGame(NormalFormGame(np.zeros((2, 1, 1))), Always(0), window=1, discount=0.0)
    sparse = TabularMDP(sp.csr_array(np.full((4, 2), 0.5)), COINS.rewards, 0.5)
    tables = (ROUNDED.to_mdp(), SPREAD.to_mdp())
    processes = (HIDDEN, EXACT, CERTAIN, one_window, TWO_STATES, COINS, sparse, EXACT.to_mdp(), *tables)
    worlds, learners = (
        {numba.typeof(part) for part in parts}
        for parts in zip(*(world_of(Environment(p, 5)) for p in processes), strict=True)
    )
    assert len(worlds) == 1, worlds
    assert len(learners) == 2, learners


def test_a_run_shorter_than_the_default_bins_has_a_bin_for_every_step():
    """100 bins, or as many as there are steps or episodes."""
    assert run(TWO_STATES, Rmax(m=1), steps=7, rng=1).bin_end.tolist() == [1, 2, 3, 4, 5, 6, 7]
    assert len(run(HIDDEN, Rmax(m=1), episodes=250, rng=1).bin_end) == 100


def test_a_run_counts_every_step_once_in_bins():
    """Bins end where they should, means are rewards per step, progress adds up to the run."""
    seen = []
    trace = run(HIDDEN, PaperRmax(m=5), episodes=7, bins=3, rng=1, progress=seen.append)
    assert trace.bin_end.tolist() == [20, 40, 70]
    assert sum(seen) == 70
    assert trace.n_steps == 70
    whole = run(HIDDEN, PaperRmax(m=5), episodes=7, bins=1, rng=1)
    assert trace.mean_reward @ [20, 20, 30] == pytest.approx(whole.mean_reward[0] * 70)
    assert (trace.branch_counts.sum(axis=1) == trace.visits).all()
    assert (trace.visits <= trace.m).all()


def test_an_exception_in_progress_ends_the_run():
    """Ctrl-C reaches the caller."""

    def interrupt(_):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(TWO_STATES, Rmax(m=1), steps=10, bins=2, progress=interrupt)


def test_traces_are_frozen_and_read_only():
    """Neither fields nor arrays can be changed."""
    trace = run(TWO_STATES, Rmax(m=1), steps=10, bins=2, rng=1)
    with pytest.raises(dataclasses.FrozenInstanceError):
        trace.m = 2
    for name in (*ARRAYS, "action_probabilities"):
        with pytest.raises(ValueError, match="read-only"):
            getattr(trace, name)[0] = 1


def test_all_known_at_is_the_last_or_none():
    """None as long as one row is unknown."""
    assert run(TWO_STATES, Rmax(m=1), steps=1, bins=1, rng=1).all_known_at is None
    trace = run(TWO_STATES, Rmax(m=1), steps=30, bins=1, rng=1)
    assert trace.all_known_at == trace.known_at.max()


# The algorithm -----------------------------------------------------------------------------------------------------


def test_a_pair_that_leads_only_to_unknown_states_is_worth_its_reward_and_the_discounted_largest_value():
    """Q(s,a) = r + discount V_max: from state 0 action 1 (reward 1/2) leads to state 1, of which nothing is known."""
    mdp = TabularMDP([[1], [1]], [[0.5], [1.0]], 0.5)
    trace = run(mdp, Rmax(m=1), steps=1, starts=[0], bins=1, rng=1)
    assert trace.q[0, 0] == pytest.approx(0.5 + 0.5 * 2, abs=1e-15)
    assert trace.q[1, 0] == 2


@given(mdps(storage="deterministic"), st.integers(1, 60), st.integers(0, 99))
@settings(max_examples=scaled(60))
def test_optimistic_values_never_drop_below_the_optimum_where_the_model_is_exact(mdp, steps, seed):
    """Deterministic transitions, m = 1: max_a Q(s,a) >= V*(s) less rounding, at any time."""
    trace = run(mdp, Rmax(m=1), steps=steps, bins=1, rng=seed)
    assert (trace.q.max(axis=1) >= solve(mdp, tol=1e-9).lower - 1e-9).all()


@given(mdps(storage="deterministic"), st.integers(0, 99))
@settings(max_examples=scaled(40))
def test_with_uniform_restarts_and_certain_transitions_one_visit_is_enough(mdp, seed):
    """X4 with m = 1: restarts after every step make all pairs known, and the final policy is epsilon-optimal."""
    steps = 40 * mdp.n_states * mdp.n_actions
    trace = run(mdp, Rmax(m=1, epsilon=1e-6), steps=steps, horizon=1, bins=1, rng=seed)
    assert trace.all_known_at is not None
    assert (evaluate_policy(mdp, trace.policy, tol=1e-9).upper >= solve(mdp, tol=1e-9).lower - 1e-6).all()


def corridor():
    """Six states in a row: action 0 stays and earns 0.1, action 1 moves on; the prize 1 is in the last."""
    successor = [[s, min(s + 1, 5)] for s in range(6)]
    return TabularMDP(successor, [[0.1, 0.0]] * 5 + [[1.0, 1.0]], 0.9)


def test_in_a_corridor_with_resets_stationary_planning_walks_for_ever_and_episode_planning_does_not():
    """T1 is false with episodes shorter than the way to an unknown pair; planning for the episode (T1-ep) mends it."""
    arguments = {"episodes": 200, "horizon": 4, "starts": [0], "bins": 2, "rng": 1}
    walks = run(corridor(), Rmax(m=1), **arguments)
    assert walks.mean_reward[-1] == 0
    assert walks.coverage.theorem is None
    assert "T1 is false" in walks.coverage.reason
    plans = run(corridor(), Rmax(m=1, planning="episode"), **arguments)
    assert plans.mean_reward[-1] == pytest.approx(0.1)
    assert plans.coverage.theorem == "T1-ep"


def test_pooled_counts_make_all_actions_of_a_window_known_together():
    """X2: rows are windows, and m visits of a window are enough for both actions."""
    trace = run(EXACT, Rmax(m=4, pooled=True), steps=4_000, bins=1, rng=1)
    assert trace.visits.shape == (16,)
    assert trace.plans == np.count_nonzero(trace.known_at)


# Coverage ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("process", "agent", "settings", "theorem", "reason"),
    [
        (HIDDEN, Rmax(m=1), {}, None, "hidden: the meta-game is not an MDP"),
        (HIDDEN, PaperRmax(), {}, None, "hidden"),
        (EXACT, PaperRmax(), {}, None, "the preset departs from R-max"),
        (TWO_STATES, Rmax(m=1, pooled=True), {}, None, "X2 proves for window meta-games only"),
        (
            EXACT,
            Rmax(m=1, planning="episode"),
            {"horizon": 5},
            "T1-ep",
            "episode, for every epsilon and every delta that",
        ),
        (COINS, Rmax(m=1, planning="episode"), {"horizon": 5, "starts": [0]}, "T1-ep", "restarts every T"),
        (EXACT, Rmax(m=1, planning="episode"), {}, None, "there are no episodes: give a horizon"),
        (
            TWO_STATES,
            Rmax(m=1),
            {},
            "T1'",
            "for every epsilon of at least 0.01 and every delta that m = 1 is enough for",
        ),
        (EXACT, Rmax(m=30506, epsilon=0.8, delta=0.2), {}, "T1+", "an MDP without restarts"),
        (EXACT, Rmax(m=36353, epsilon=0.8, delta=0.2), {}, "T1", "an MDP without restarts"),
        (EXACT, Rmax(m=30505, epsilon=0.8, delta=0.2), {}, None, "m is 30505, below the 30506 that T1. needs"),
        (CERTAIN, Rmax(m=1), {}, "T1", "without restarts"),
        (TWO_STATES, Rmax(m=1), {"horizon": 5}, "X4", "deterministic, restarts uniformly"),
        (TWO_STATES, Rmax(m=1), {"horizon": 5, "starts": [0]}, None, "T1 is false then"),
        (EXACT, Rmax(m=1), {}, "T1", "an MDP without restarts"),
        (EXACT, Rmax(m=1, pooled=True), {}, "T1", "an MDP without restarts"),
        (EXACT, Rmax(m=1), {"horizon": 5}, "X4", "restarts uniformly in all meta-states"),
        (EXACT, Rmax(m=1), {"horizon": 5, "starts": [0]}, None, r"plan for the episode \(T1-ep\)"),
        (ROUNDED, Rmax(m=1), {}, "T1'", "deterministic: m = 1 is enough"),
        (ROUNDED.to_mdp(), Rmax(epsilon=0.1), {}, "T1'", "deterministic: m = 1 is enough"),
        (ROUNDED, Rmax(epsilon=0.1), {"horizon": 5}, "X4", "deterministic, restarts"),
        (SPREAD, Rmax(epsilon=0.1), {}, "T1' with X1", "reveals the row: m = 1 is enough; successors are random"),
        (SPREAD, Rmax(epsilon=0.1), {"horizon": 5}, "X4", "reveals the row, restarts"),
        (SPREAD, Rmax(epsilon=0.1), {"horizon": 5, "starts": [0]}, None, "T1 is false then"),
        (SPREAD, Rmax(m=1, planning="episode"), {"horizon": 5}, "T1-ep", "planned for the rest"),
        (UNSEEN, Rmax(epsilon=0.1), {}, "T1", "an MDP without restarts"),
        (UNSEEN, Rmax(m=1, epsilon=0.1), {}, None, r"m is 1, below the \d+ that T1\+ needs"),
        (SPREAD, PaperRmax(), {}, None, "the preset departs from R-max"),
        (SPREAD, Rmax(m=1, pooled=True), {}, None, "X2 proves for window meta-games only"),
    ],
)
def test_a_run_names_the_theorem_that_covers_it_or_the_assumption_that_fails(process, agent, settings, theorem, reason):
    """T1 without restarts, T1' for certain transitions, T1-ep for planned episodes, X4 for uniform restarts."""
    covered = coverage(process, agent, **settings)
    assert covered.theorem == theorem
    assert re.search(reason, covered.reason), covered.reason


def test_a_trace_carries_the_number_of_bad_steps_where_one_visit_is_enough():
    """min(H, 5)·25 steps with certainty, C·V_max/((1-w_plan)ε) with probability 1 - δ/2; none without ε or for m > 1.

    V_max = 10 and ε = 1: H = ⌈ln(10/.99)/ln(10/9)⌉ = 22. X1 at λ = .1 is a valid count too and not far off.
    """
    assert run(ROUNDED, Rmax(epsilon=1.0), steps=5, bins=1).coverage.bad_steps == 5 * 25
    found = run(SPREAD, Rmax(epsilon=1.0, delta=0.1), steps=5, bins=1).coverage.bad_steps
    share = 1 - math.exp(-0.1)
    count = (25 + 0.9 * (0.1 + math.log(20)) / share) / (1 - 0.9 * 0.1 / share)
    assert found == pytest.approx(count * 10 / 0.99, rel=0.05)
    for agent in (Rmax(m=1), Rmax(m=3, epsilon=1.0)):
        for process in (ROUNDED, SPREAD):
            assert coverage(process, agent).bad_steps is None
    assert coverage(UNSEEN, Rmax(epsilon=1.0)).bad_steps is None
    assert coverage(TabularMDP([[0, 0]], [[1.0, 1.0]], 0.5), Rmax(epsilon=1.0)).bad_steps == 0


def test_a_trace_carries_the_coverage_of_its_own_horizon_and_starts():
    """A meta-game's own horizon counts; giving starts makes them non-uniform."""
    restarting = dataclasses.replace(EXACT, horizon=5)
    assert run(restarting, Rmax(m=1), episodes=1, bins=1).coverage.theorem == "X4"
    assert run(restarting, Rmax(m=1), episodes=1, bins=1, starts=[0]).coverage.theorem is None
    assert run(EXACT, Rmax(m=1), steps=1, bins=1).coverage.theorem == "T1"


# Schedules ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("window", "m"), [(2, 1005), (3, 4023), (4, 16094)])
def test_the_papers_schedule_is_the_published_one(window, m):
    """m = floor(|S| ln(1/delta) / (epsilon (1-discount))^2) at epsilon 0.8, delta 0.2, discount 0.8."""
    assert derived_m(dataclasses.replace(HIDDEN, window=window), PaperRmax()) == m


def test_a_given_m_is_taken_as_it_is():
    """Whatever epsilon says."""
    assert derived_m(EXACT, Rmax(m=7, epsilon=0.1)) == 7
    assert derived_m(EXACT, PaperRmax(m=9)) == 9
    assert run(EXACT, Rmax(m=7), steps=5, bins=1).m == 7


class Cautious(Rmax):
    """A class below R-max that would begin in a way of its own."""

    def begin(self, environment, rng):
        raise AssertionError


@pytest.mark.parametrize("kind", [Cautious, type("Below", (PaperRmax,), {})])
def test_a_class_below_those_of_the_package_is_refused(kind):
    """Kernels would play R-max itself, and a theorem would cover it."""
    message = f"agent is a {kind.__name__}, a class below {kind.__mro__[1].__name__}, which would be played as"
    for call in (run, rfos.ledger, coverage, derived_m):
        length = {"steps": 5} if call in (run, rfos.ledger) else {}
        with pytest.raises(checks.WrongKindError, match=message):
            call(TWO_STATES, kind(m=1, epsilon=0.5), **length)


def test_an_agent_of_ones_own_has_no_schedule_of_the_theory():
    """Neither the paper's nor a theorem's m is its own."""
    for agent in (PythonRmax(m=3), Scripted()):
        with pytest.raises(checks.WrongKindError, match=r"agent is a \w+, not an Rmax or a PaperRmax: Rmax\(epsilon"):
            derived_m(TWO_STATES, agent)


def test_certain_transitions_or_equal_rewards_need_one_visit():
    """T1': one successor per pair; or every policy is optimal."""
    assert derived_m(TWO_STATES, Rmax(epsilon=0.1)) == 1
    assert derived_m(TabularMDP(np.full((2, 2, 2), 0.5), np.ones((2, 2)), 0.5), Rmax(epsilon=0.1)) == 1
    assert derived_m(COINS, Rmax(epsilon=0.1)) > 1


def test_a_policy_meta_game_needs_one_visit_if_its_next_policies_are_seen():
    """T1': nearest rounding has one successor; a barycentric row is known from one visit, but not if it is not seen."""
    agent = Rmax(epsilon=0.1)
    assert derived_m(ROUNDED, agent) == derived_m(SPREAD, agent) == 1
    assert derived_m(UNSEEN, agent) > 1000
    # Jointly, rewards depend on the corner that comes up: one visit tells them only where there is one corner.
    assert derived_m(dataclasses.replace(ROUNDED, joint=True), agent) == 1
    assert derived_m(dataclasses.replace(SPREAD, joint=True), agent) > 1000
    assert derived_m(ROUNDED, PaperRmax()) == derived_m(UNSEEN, PaperRmax())  # its own formula


def test_a_revealed_row_is_learned_from_one_visit_and_an_empirical_one_is_not():
    """Q of a known pair is r + γ Σ p V with the true p; unseen, with the one successor that came."""
    storage, rewards = UNSEEN.storage, UNSEEN.rewards
    successor, probability, _ = storage.branches(rewards)
    top = float(rewards.max()) / (1 - 0.9)
    for mdp, rows in ((SPREAD.to_mdp(), probability), (UNSEEN, None)):
        trace = run(mdp, Rmax(m=1, epsilon=1e-6), steps=400, horizon=1, bins=1, rng=3)
        assert trace.known[-1] == 25
        weights = trace.branch_counts if rows is None else rows
        backed = rewards.ravel() + 0.9 * (weights * trace.q.max(axis=1)[successor]).sum(axis=1)
        assert np.allclose(np.minimum(backed, top), trace.q.ravel(), atol=1e-6)
    assert (probability.max(axis=1) < 1).any()


def test_a_policy_meta_game_that_is_too_large_for_r_max_is_refused(monkeypatch):
    """Three levels where 25 MB are left: the compressed table fits, 3^10 pairs with 6 branches do not; unfilled."""
    monkeypatch.setattr(rfos._system.memory, "available_bytes", lambda: 25 * 10**6)
    grid = LevelGrid(5, (0.1, 0.5, 0.9))
    meta_game = PolicyMetaGame(iterated(standard_prisoners_dilemma(), 0.9), [NaiveLearner()], [grid, grid], 0.9)
    meta_game.require_fit()
    with pytest.raises(
        MemoryError, match=f"table of all branches needs {3**10 * (72 * 6 + 32) + 3**5 * 56:,} bytes, above"
    ):
        run(meta_game, Rmax(m=1), steps=5)
    assert "_table" not in vars(meta_game)


def test_the_derived_m_falls_with_epsilon_delta_pooling_and_restarts():
    """Fewer visits for less accuracy or confidence, smaller unions (X2), and no escape or horizon to pay (X4)."""
    base = derived_m(EXACT, Rmax(epsilon=0.5, delta=0.1))
    assert derived_m(EXACT, Rmax(epsilon=1.0, delta=0.1)) < base
    assert derived_m(EXACT, Rmax(epsilon=0.5, delta=0.2)) < base
    assert derived_m(EXACT, Rmax(epsilon=0.5, delta=0.1, pooled=True)) < base
    assert derived_m(EXACT, Rmax(epsilon=0.5, delta=0.1), horizon=10) < base
    assert derived_m(EXACT, Rmax(epsilon=0.5, delta=0.1, planning="episode"), horizon=3) < base


def test_shifted_rewards_need_the_same_m():
    """Only the range of rewards counts: the theory shifts them to [0, R_max]."""
    shifted = TabularMDP(np.full((2, 2, 2), 0.5), [[-3.0, -3.0], [-2.0, -3.0]], 0.5)
    assert derived_m(shifted, Rmax(epsilon=0.5)) == derived_m(COINS, Rmax(epsilon=0.5))


@pytest.mark.parametrize("agent", [Rmax(m=2**70), Rmax(epsilon=1e-9), Rmax(m=2**63)])
def test_an_m_beyond_64_bits_is_kept_and_never_reached(agent):
    """m is a Python integer; nothing becomes known."""
    trace = run(COINS, agent, steps=50, bins=1, rng=1)
    assert trace.m == derived_m(COINS, agent) > 2**62
    assert not trace.known.any()
    assert trace.visits.sum() == 50


@pytest.mark.parametrize("agent", [Rmax(m=1, epsilon=1e300), Rmax(epsilon=2), Rmax(m=1, epsilon=2)])
def test_an_epsilon_beyond_all_values_is_refused(agent):
    """Every policy is that good: the largest return is 1/(1-1/2) = 2."""
    with pytest.raises(ValueError, match="epsilon is not below the largest return"):
        run(TWO_STATES, agent, steps=50, bins=1, rng=1)


def test_an_epsilon_next_to_the_largest_value_still_plans():
    """The plan is made at least once: the unknown pair is optimistic, the known ones have their values."""
    for _ in range(3):
        gc.collect()
        low, high = TWO_STATES.reward_range
        largest = (high - low) / (1 - TWO_STATES.discount)
        trace = run(TWO_STATES, Rmax(m=1, epsilon=0.999 * largest), steps=50, bins=1, rng=1)
        assert trace.known.tolist() == [4]


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Rmax(), "m is not given and cannot be derived: give m, or epsilon and delta"),
        (lambda: Rmax(m=0), "m is 0: give a whole number of visits of at least 1"),
        (lambda: Rmax(m=2.5), "m is 2.5"),
        (lambda: Rmax(m=True), "m is True"),
        (lambda: Rmax(epsilon=0), "epsilon is 0: give a positive accuracy in units of value"),
        (lambda: Rmax(epsilon=-1), "epsilon is -1"),
        (lambda: Rmax(epsilon=math.nan), "epsilon is nan"),
        (lambda: Rmax(epsilon=math.inf), "epsilon is inf"),
        (lambda: Rmax(m=1, delta=0), "delta is 0: give a failure probability between 0 and 1"),
        (lambda: Rmax(m=1, delta=1), "delta is 1"),
        (lambda: Rmax(m=1, planning="never"), "unknown planning 'never': choose stationary or episode"),
        (lambda: PaperRmax(temperature=0), "temperature is 0: give a positive number in units of value"),
        (lambda: PaperRmax(temperature=math.inf), "temperature is inf"),
        (lambda: PaperRmax(epsilon=0), "epsilon is 0"),
        (
            lambda: derived_m(EXACT, PaperRmax(epsilon=50)),
            "epsilon 50 lets the paper's agent sweep 0 times.*: give a smaller epsilon",
        ),
        (
            lambda: derived_m(COINS, Rmax(epsilon=1, planning="episode")),
            "planning for the episode needs a horizon: give the steps per episode",
        ),
        (
            lambda: derived_m(COINS, Rmax(epsilon=1, pooled=True)),
            "counts are pooled over actions in window meta-games only",
        ),
    ],
)
def test_bad_agents_are_refused_with_the_value_and_the_mend(make, message):
    """Each message names the value."""
    with pytest.raises(ValueError, match=message):
        make()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({}, "give the length of the run once, as episodes or as steps"),
        ({"steps": 1, "episodes": 1}, "give the length of the run once"),
        ({"episodes": 5}, "the run has no horizon: give its length in steps"),
        ({"steps": 0}, "steps is 0: give a whole number of at least 1"),
        ({"steps": 10.5}, "steps is 10.5"),
        ({"episodes": -1, "horizon": 5}, "episodes is -1"),
        ({"episodes": 2**62, "horizon": 5}, "steps long, above the limit"),
        ({"steps": 5, "bins": 6}, "bins is 6: give a whole number from 1 to the length of the run, 5"),
        ({"steps": 5, "bins": 0}, "bins is 0"),
        ({"steps": 5, "bins": 2.5}, "bins is 2.5"),
        ({"steps": 5, "horizon": 0}, "horizon is 0"),
        ({"steps": 5, "starts": [2]}, r"starts are \[2\]: give a list of meta-states from 0 to 1"),
        ({"steps": 5, "starts": [-1]}, r"starts are \[-1\]"),
        ({"steps": 5, "starts": []}, r"starts are \[\]"),
        ({"steps": 5, "starts": [0.5]}, r"starts are \[0.5\]"),
        ({"steps": 5, "starts": [[0, 1]]}, r"starts are \[\[0, 1\]\]"),
        ({"steps": 5, "agent": Rmax(m=1, planning="episode")}, "planning for the episode needs a horizon"),
        ({"steps": 5, "agent": Rmax(m=1, pooled=True)}, "set pooled=False"),
    ],
)
def test_bad_runs_are_refused_with_the_value_and_the_mend(arguments, message):
    """Each message names the value."""
    arguments = {"agent": Rmax(m=1), "bins": 1} | arguments
    with pytest.raises(ValueError, match=message):
        run(TWO_STATES, **arguments)


def test_a_policy_of_too_many_stages_is_refused():
    """Planning an episode of 2^40 steps would need terabytes."""
    with pytest.raises(MemoryError, match=r"a policy of 1099511627776 stages needs .*: choose a shorter horizon"):
        run(TWO_STATES, Rmax(m=1, planning="episode"), steps=5, horizon=2**40, bins=1)


def test_a_branch_of_probability_zero_is_never_drawn():
    """Thresholds reach 2^53 at the last possible branch, even where a row sums to 1 - 9e-10."""
    game = NormalFormGame(np.zeros((2, 1, 3)))
    table = np.array([[[0.5, 0.5 - 9e-10, 0.0]] * 3])
    meta_game = WindowMetaGame(game, MemoryOne(table), window=1, discount=0.5)
    assert meta_game.world().thresholds[:, 1:].tolist() == [[2**53, 2**53]] * 3
