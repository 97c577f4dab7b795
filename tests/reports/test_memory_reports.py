"""What is built fits the memory that is asked for before, and is not asked for twice over; tables are built in place.

A guard is tested from outside: with a little less than the peak that was measured the call is refused, with twice the
peak it goes through. So its estimate lies between the peak and twice the peak.
"""

from __future__ import annotations

import sys
import tracemalloc
from collections.abc import Callable
from typing import Any

import commands
import numpy as np
import pytest
import scipy.sparse as sp

from rfos._system import memory as memory_module
from rfos.games.named import matching_pennies, prisoners_dilemma, public_goods
from rfos.games.stochastic import iterated
from rfos.learning import aliasing as aliasing_module
from rfos.learning.agents import PaperRmax, Rmax
from rfos.learning.aliasing import aliasing
from rfos.learning.ledger import ledger
from rfos.learning.run import run
from rfos.metagames import opponents, window
from rfos.metagames.automata import Automaton, fictitious_player, from_table, tsetlin
from rfos.metagames.continuous import roll_out
from rfos.metagames.grids import LevelGrid, SimplexGrid
from rfos.metagames.learners import NaiveLearner
from rfos.metagames.opponents import Always, QLearner, WindowBestResponse, WindowQLearner, tit_for_tat
from rfos.metagames.policy import PolicyMetaGame
from rfos.metagames.sizes import even_grid, inner_game
from rfos.metagames.window import WindowMetaGame
from rfos.metagames.windows import WindowIndex
from rfos.planning import bracketing, certificates, evaluate, iteration, storages
from rfos.planning import solve as solve_module
from rfos.planning.evaluate import evaluate_policy
from rfos.planning.interop import to_quantecon
from rfos.planning.mdp import TabularMDP
from rfos.planning.solve import solve
from rfos.planning.storages import ShiftRegister

SMALL_THINGS = 2**17
"""Bytes of all that is no table: objects of Python, and what the measuring takes."""


class Tables:
    """An opponent of a user: it makes its table itself, by the window's last action of the shaper."""

    def probabilities(self, game: Any, player: int, index: WindowIndex) -> np.ndarray:
        """Repeat that action."""
        table = np.zeros((index.n_states, 2))
        table[0::2, 0] = table[1::2, 1] = 1.0
        return table


def window_game(opponent: Any, window: int = 9, **given: Any) -> WindowMetaGame:
    return WindowMetaGame(given.pop("game", matching_pennies()), opponent, window=window, discount=0.8, **given)


def sparse(n_states: int, n_actions: int, branching: int) -> TabularMDP:
    rng = np.random.default_rng(5)
    pairs = n_states * n_actions
    columns = rng.integers(n_states, size=pairs * branching)
    data = rng.dirichlet(np.ones(branching), size=pairs).ravel()
    matrix = sp.csr_array((data, (np.repeat(np.arange(pairs), branching), columns)), shape=(pairs, n_states))
    return TabularMDP(matrix, rng.normal(size=(n_states, n_actions)), 0.9)


SHIFT = window_game(WindowQLearner()).to_mdp()
ZEROS = np.zeros(SHIFT.n_states)
SPARSE = sparse(6000, 4, 4)
COIN = inner_game("matching-pennies", 0.0)
POLICIES = PolicyMetaGame(COIN, [NaiveLearner()], [even_grid(COIN, player, 9) for player in (0, 1)], 0.9)
STARTS = np.array([[[0.5, 0.5]], [[0.1, 0.9]]])
MIXING = Automaton(np.full((2**13, 2), 0.5), np.random.default_rng(3).integers(2**13, size=(2**13, 4)))
MANY = from_table(7, np.random.default_rng(2).integers(2, size=4**7))
MIXED = [WindowQLearner(), WindowBestResponse(0.1)]
EPISODES = {"steps": None, "episodes": 40, "horizon": 5}


def play_once(process: Any, agent: Any, **given: Any) -> Any:
    return run(process, agent, **{"steps": 200, "bins": 2, "rng": 1, **given})


def ledger_once(process: Any, agent: Any, **given: Any) -> Any:
    return ledger(process, agent, **{"epsilon": 0.5, "steps": 200, "bins": 2, "rng": 1, **given})


def uniform(process: TabularMDP) -> np.ndarray:
    return np.full((process.n_states, process.n_actions), 1 / process.n_actions)


BUILDERS: dict[str, Callable[[], Any]] = {
    "a window Q-learner's play": lambda: window_game(WindowQLearner()).opponents_play,
    "a window best response": lambda: window_game(WindowBestResponse(0.1)).opponents_play,
    "tit for tat": lambda: window_game(tit_for_tat()).opponents_play,
    "always one action": lambda: window_game(Always(1)).opponents_play,
    "a user's opponent": lambda: window_game(Tables()).opponents_play,
    "three players": lambda: window_game(MIXED, 6, game=public_goods(3)).opponents_play,
    "a window's MDP": lambda: window_game(WindowQLearner()).to_mdp(),
    "a window's world": lambda: window_game(WindowQLearner()).world(),
    "a hidden learner's world": lambda: window_game(QLearner()).world(),
    "the joint actions of all windows": lambda: WindowIndex((2, 2), 8).joint_action(3),
    "shifted windows": lambda: WindowIndex((2, 2), 9).shifted(),
    "R-max": lambda: play_once(window_game(WindowQLearner(), 7), Rmax(m=2)),
    "R-max against a hidden learner": lambda: play_once(window_game(QLearner(), 7), Rmax(m=2)),
    "R-max for episodes": lambda: play_once(
        window_game(WindowQLearner(), 7), Rmax(m=2, planning="episode"), **EPISODES
    ),
    "the paper's agent": lambda: play_once(window_game(WindowQLearner(), 7), PaperRmax(m=2)),
    "R-max in an MDP": lambda: play_once(SPARSE, Rmax(m=2)),
    "the paper's agent in an MDP": lambda: play_once(SPARSE, PaperRmax(m=2)),
    "a ledger": lambda: ledger_once(window_game(WindowQLearner(), 7), Rmax(m=2)),
    "a ledger of the paper's agent": lambda: ledger_once(window_game(WindowQLearner(), 7), PaperRmax(m=2)),
    "a ledger of episodes": lambda: ledger_once(
        window_game(WindowQLearner(), 7), Rmax(m=2, planning="episode"), **EPISODES
    ),
    "aliasing": lambda: aliasing(window_game(QLearner(), 3)),
    "aliasing with restarts": lambda: aliasing(window_game(QLearner(), 3, horizon=4)),
    "aliasing of an automaton": lambda: aliasing(window_game(tsetlin(matching_pennies()), 6)),
    "aliasing of an automaton with restarts": lambda: aliasing(window_game(MIXING, 1, horizon=9)),
    "an informed shaper's MDP": lambda: window_game(tsetlin(matching_pennies()), 6).to_mdp(informed=True),
    "R-max against an automaton": lambda: play_once(window_game(MANY, 2), Rmax(m=2)),
    "an automaton of many states": lambda: from_table(8, [0, 1] * 2**15),
    "a fictitious player": lambda: fictitious_player(matching_pennies(), memory=12),
    "a dense table": lambda: window_game(WindowQLearner(), 4).to_mdp().dense(),
    "action values": lambda: SHIFT.backup(ZEROS),
    "value iteration": lambda: solve(SHIFT, "value_iteration"),
    "modified policy iteration": lambda: solve(SHIFT, tol=1e-9),
    "a policy's value": lambda: evaluate_policy(SHIFT, np.zeros(SHIFT.n_states, np.int64)),
    "a stochastic policy's value": lambda: evaluate_policy(SHIFT, uniform(SHIFT)),
    "value iteration, sparse": lambda: solve(SPARSE, "value_iteration"),
    "modified policy iteration, sparse": lambda: solve(SPARSE),
    "a policy's value, sparse": lambda: evaluate_policy(SPARSE, np.zeros(SPARSE.n_states, np.int64)),
    "a stochastic policy's value, sparse": lambda: evaluate_policy(SPARSE, uniform(SPARSE)),
    "rationals": lambda: solve(sparse(40, 2, 3), "exact"),
    "rows for quantecon": lambda: to_quantecon(SPARSE),
    "policies on a simplex": lambda: SimplexGrid(2, 3, 16).policies(),
    "policies of two actions": lambda: SimplexGrid(1, 2, 50_000).policies(),
    "policies of levels": lambda: LevelGrid(5, (0.1, 0.3, 0.5, 0.7, 0.9)).policies(),
    "a roll-out": lambda: roll_out(POLICIES, [STARTS], policy=np.zeros(9, np.int64), steps=20_000),
    "an iterated game": lambda: iterated(public_goods(6), 0.9),
}


def peak_of(call: Callable[[], Any]) -> int:
    """Return the largest number of bytes that were allocated at once; what is compiled or kept is so already."""
    call()
    tracemalloc.start()
    try:
        call()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("name", BUILDERS)
def test_a_guard_asks_for_the_peak_and_not_for_twice_the_peak(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    call = BUILDERS[name]
    monkeypatch.setattr(aliasing_module, "HISTORIES", 5000)
    peak = peak_of(call)
    assert peak > 2 * SMALL_THINGS, "too small to be measured"
    monkeypatch.setattr(memory_module, "available_bytes", lambda: peak - SMALL_THINGS)
    with pytest.raises(MemoryError, match=r"needs [\d,]+ bytes, above the limit of"):
        call()
    # A solver may leave out actions, and then keeps half of the MDP again: its guard is measured with the MDP.
    beside = SPARSE.nbytes if name.startswith("modified") else 0
    monkeypatch.setattr(memory_module, "available_bytes", lambda: 2 * (peak + beside))
    call()


@pytest.mark.parametrize("rounding", ["barycentric", "nearest"])
@pytest.mark.parametrize("joint", [False, True])
def test_the_size_of_a_policy_meta_game_is_its_peak(rounding: Any, joint: bool) -> None:
    """Tables are sized to the byte; sparse matrices to twice, since the policies of few pairs weigh too."""
    game = inner_game("matching-pennies", 0.0)
    count = 20 if joint else 600

    def built() -> PolicyMetaGame:
        grids = [even_grid(game, player, count) for player in (0, 1)]
        return PolicyMetaGame(game, [NaiveLearner()], grids, 0.9, rounding, joint)

    peak, needed = peak_of(lambda: built().to_mdp()), built().size_estimate().needed
    assert peak - 4 * SMALL_THINGS <= needed <= 2 * peak


def test_a_game_without_a_kernel_is_sized_too() -> None:
    game = inner_game("rock-paper-scissors", 0.0)

    def built() -> PolicyMetaGame:
        grids = [even_grid(game, player, count) for player, count in ((0, 3), (1, 9))]
        return PolicyMetaGame(game, [NaiveLearner()], grids, 0.9)

    peak, needed = peak_of(lambda: built().to_mdp()), built().size_estimate().needed
    assert peak - 4 * SMALL_THINGS <= needed <= 2 * peak


PROGRAM = """
from rfos.metagames.continuous import roll_out
from rfos.games.named import matching_pennies
from rfos.metagames.window import WindowMetaGame
from rfos.metagames.opponents import WindowQLearner
WindowMetaGame(matching_pennies(), WindowQLearner(), window=2, discount=0.8).to_mdp()
def peak():
    with open("/proc/self/status") as lines:
        return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM"))
before = peak()
mdp = WindowMetaGame(matching_pennies(), WindowQLearner(), window=11, discount=0.8).to_mdp()
print((peak() - before) / mdp.n_states)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells the peak of a process")
def test_a_window_s_mdp_is_built_in_little_more_than_its_own_memory() -> None:
    """The system's own account, of four million windows: 20 bytes each are kept; 4^14 take 5.4 GB."""
    done = commands.run([sys.executable, "-c", PROGRAM])
    assert 19 < float(done.stdout) < 24


def test_268_million_windows_ask_for_five_gigabytes(monkeypatch: pytest.MonkeyPatch) -> None:
    """20 bytes times 4^14, and blocks of 2^14 rows of 64; nothing is allocated before."""
    monkeypatch.setattr(memory_module, "available_bytes", lambda: 5 * 10**9)
    tracemalloc.start()
    with pytest.raises(MemoryError, match=r"^a window of 14 \(268,435,456 meta-states\) needs 5,369,757,696 bytes"):
        window_game(WindowQLearner(), 14).to_mdp()
    assert tracemalloc.get_traced_memory()[1] < 2**20
    tracemalloc.stop()


def told(index: WindowIndex, player: int, game: Any, learner: WindowQLearner) -> np.ndarray:
    """Values of a window Q-learner, every window for itself: the update of each step in turn."""
    values = np.full((index.n_states, game.n_actions[player]), learner.initial)
    every = np.arange(index.n_states)
    for step in index.decode(every).swapaxes(0, 1):
        rewards, own = game.payoffs[(player, *step.T)], step[:, player]
        values[every, own] = (1 - learner.learning_rate) * values[every, own] + learner.learning_rate * rewards
    return values


@pytest.mark.parametrize(("game", "window"), [(prisoners_dilemma(), 8), (public_goods(3), 4)])
def test_windows_that_share_their_beginning_get_the_values_of_each_alone(game: Any, window: int) -> None:
    """Bit for bit, over several blocks of rows."""
    learner = WindowQLearner(0.3, 0.2, -1.0)
    index = WindowIndex(game.n_actions, window)
    for player in range(1, game.n_players):
        values = told(index, player, game, learner)
        best = values == values.max(axis=1, keepdims=True)
        expected = 0.2 / values.shape[1] + (1 - 0.2) / best.sum(axis=1, keepdims=True) * best
        assert (learner.probabilities(game, player, index) == expected).all()


@pytest.mark.parametrize("opponent", [WindowQLearner(0.3), WindowBestResponse(0.1), tit_for_tat(), Tables()])
def test_blocks_do_not_change_a_byte(opponent: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Blocks of seven rows, and one block of all."""

    def everything() -> list[bytes]:
        meta_game = window_game(opponent, 4)
        process = meta_game.to_mdp()
        found, shown = solve(process), evaluate_policy(process, np.zeros(process.n_states, np.int64))
        parts = [*meta_game.world()[:5], meta_game.opponents_play, process.row_defect]
        for solution in (found, shown):
            parts += [solution.value, solution.lower, solution.upper, solution.policy, solution.converged]
        return [np.asarray(part).tobytes() for part in parts]

    whole = everything()
    for module in (iteration, solve_module, bracketing, evaluate, certificates, storages, window, opponents):
        monkeypatch.setattr(module, "BLOCK_ROWS", 7)
    assert everything() == whole


@pytest.mark.parametrize("sizes", [(2, 2), (3, 2), (2, 3, 2), (1, 4)])
def test_the_joint_actions_of_all_windows_are_those_of_each(sizes: tuple[int, ...]) -> None:
    index = WindowIndex(sizes, 3)
    every = np.arange(index.n_states)
    for time in range(3):
        assert (index.joint_action(time) == index.joint_action(time, every)).all()
    following = index.decode(index.shifted())
    assert (following[:, :-1] == index.decode(every)[:, 1:]).all()
    assert (following[:, -1] == 0).all()


@pytest.mark.parametrize("row", [[0.6, 0.6], [1.5, -0.5], [np.nan, 1.0]])
def test_a_check_by_blocks_names_the_right_state(row: list[float], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory_module, "BLOCK_ROWS", 4)
    index = WindowIndex((2, 2), 2)
    probability = np.full((16, 2), 0.5)
    probability[13] = row
    with pytest.raises(ValueError, match=r"of state 13, action 0"):
        TabularMDP(ShiftRegister(index.shifted(), index.offset(), probability), np.zeros((2, 2)), 0.9)


def test_a_user_s_table_is_neither_changed_nor_locked() -> None:
    """An opponent may hand out the table that it keeps."""

    class Keeps(Tables):
        def probabilities(self, game: Any, player: int, index: WindowIndex) -> np.ndarray:
            """Return what it keeps."""
            return kept

    kept = Tables().probabilities(None, 1, WindowIndex((2, 2), 3))
    before = kept.copy()
    game = window_game(Keeps(), 3)
    game.to_mdp()
    assert kept.flags.writeable
    kept[:] = 0.5
    assert (game.opponents_play == before).all()
