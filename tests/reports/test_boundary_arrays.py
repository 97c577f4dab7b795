"""Arrays at the boundary: what kernels index with is checked, and what is given may change without changing anything.

Right values are worked out by hand, or are those of the same MDP given as nested lists.
"""

from __future__ import annotations

import dataclasses
import io
import time
import tracemalloc
from collections.abc import Callable

import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import find

import rfos._kernels.rmax as kernels
from rfos._system.checkpoints import LARGEST_STATE, Checkpoint, MisfitError, Unfinished, take_up
from rfos.games.named import matching_pennies, standard_prisoners_dilemma
from rfos.games.normal_form import NormalFormGame
from rfos.games.stochastic import StochasticGame, iterated, one_shot
from rfos.laboratory.sweeps.measures import measure
from rfos.laboratory.sweeps.spec import parse_spec
from rfos.learning.agents import Rmax
from rfos.learning.coverage import Coverage
from rfos.learning.least_m import least_sufficient_m
from rfos.learning.ledger import ledger
from rfos.learning.observer import Observer
from rfos.learning.run import run
from rfos.learning.trace import Trace
from rfos.metagames.continuous import hold, roll_out
from rfos.metagames.grids import LevelGrid, SimplexGrid
from rfos.metagames.learners import LARGEST_STEP, LOLA, Fixed, Learner, NaiveLearner
from rfos.metagames.opponents import MemoryOne, WindowQLearner
from rfos.metagames.policy import PolicyMetaGame
from rfos.metagames.sizes import even_grid, inner_game
from rfos.metagames.tables import Dynamics, PolicyTable, check_walks, fill
from rfos.metagames.window import WindowMetaGame
from rfos.metagames.windows import WindowIndex
from rfos.planning.bracketing import solution_of
from rfos.planning.certificates import bracket
from rfos.planning.evaluate import evaluate_policy
from rfos.planning.mdp import TabularMDP
from rfos.planning.solution import Accuracy, Ended, Solution
from rfos.planning.solve import solve
from rfos.planning.storages import Chain, Dense, Deterministic, ShiftRegister, Sparse
from rfos.testing import STORAGES, mdps

DATA = [0.5, 0.5, 1.0, 1.0, 0.25, 0.75]
COLUMNS = [0, 1, 0, 1, 0, 1]
POINTERS = [0, 2, 3, 4, 6]
R = [[0.0, 0.0], [1.0, 1.0]]
FORMATS = ("csr", "csc", "coo", "bsr", "dia", "dok", "lil")


def rows() -> sp.csr_array:
    """Rows of two states and two actions; the best there is: V = (90/11, 10) at discount 0.9."""
    return sp.csr_array((np.array(DATA), np.array(COLUMNS), np.array(POINTERS)), shape=(4, 2))


@pytest.mark.parametrize("form", FORMATS)
def test_every_sparse_format_is_the_same_mdp(form: str) -> None:
    """State 1 keeps its reward of 1 for ever: 10. State 0 gets there by halves: V = 0.9 (V/2 + 5), so V = 90/11."""
    found = solve(TabularMDP(rows().asformat(form), R, 0.9), "exact")
    assert found.value.round(9).tolist() == [round(90 / 11, 9), 10.0]


@pytest.mark.parametrize("column", [2, -1, 10**6, 2**31 - 1])
def test_a_column_outside_of_the_states_is_refused_by_pair_column_and_range(column: int) -> None:
    """It gave certified values of memory that is not the MDP's, or ended the process."""
    matrix = rows()
    matrix.indices[4] = column
    with pytest.raises(ValueError, match=rf"the successor of state 1, action 1 is {column}: states are 0 to 1"):
        TabularMDP(matrix, R, 0.9)
    listed = sp.coo_array(rows())
    listed.coords[1][4] = column
    with pytest.raises(ValueError, match=rf"the successor of state 1, action 1 is {column}: states are 0 to 1"):
        TabularMDP(listed, R, 0.9)


def test_sparse_matrices_that_do_not_hold_together_are_refused_before_scipy_uses_them() -> None:
    """Rows, pointers, blocks, offsets, numbers of entries: SciPy's conversions trust all of them."""

    def refused(form: str, pattern: str, change: object) -> None:
        matrix = rows().asformat(form)
        change(matrix)  # type: ignore[operator]
        with pytest.raises(ValueError, match=pattern):
            TabularMDP(matrix, R, 0.9)

    def put(name: str, place: int, value: object) -> object:
        return lambda matrix: getattr(matrix, name).__setitem__(place, value)

    refused("csr", r"state 1, action 1 has the entries 4 to 10000000 - 1", put("indptr", -1, 10**7))
    refused("csr", r"state 0, action 0 has the entries 0 to 9 - 1", put("indptr", 1, 9))
    refused("csr", r"state 0, action 0 has the entries -5 to 2 - 1", put("indptr", 0, -5))
    refused("csc", r"a row of P is 1000000: rows are 0 to 3", put("indices", 0, 10**6))
    refused("csc", r"column 1 of P has the entries 3 to 1000 - 1", put("indptr", 2, 1000))
    refused("bsr", r"the successor of state 0, action 0 is 14: states are 0 to 1", put("indices", 0, 7))
    refused("bsr", r"block row 0 of P has the entries 0 to -3 - 1", put("indptr", 1, -3))
    refused("lil", r"the successor of state 0, action 1 is -9", lambda m: m.rows[1].__setitem__(0, -9))
    refused("lil", r"as many entries as columns", lambda m: m.data[1].append(0.5))
    refused("dok", r"a row of P is 11: rows are 0 to 3", lambda m: m._dict.__setitem__((11, 0), 0.5))
    refused("csr", r"6 indices and 5 entries", lambda m: setattr(m, "data", m.data[:-1]))
    refused("csr", r"indices of P is float64", lambda m: setattr(m, "indices", m.indices.astype(float)))
    refused("csr", r"P holds complex128 values", lambda m: setattr(m, "data", m.data * 1j))


def test_hostile_sparse_matrices_never_reach_a_kernel() -> None:
    """300 matrices of every format with numbers exchanged: an MDP, or ValueError (kernels run with bounds checks)."""
    rng = np.random.default_rng(5)
    values = [-1, -(2**31), 2**31 - 1, 10**6, 0, 1, 2, 3]
    refusals = 0
    for i in range(300):
        matrix = rows().asformat(FORMATS[i % len(FORMATS)])
        for name in ("indptr", "indices", "offsets"):
            array = getattr(matrix, name, None)
            if array is not None and rng.random() < 0.7:
                array[rng.integers(len(array))] = values[rng.integers(len(values))]
        if matrix.format == "coo":
            matrix.coords[rng.integers(2)][rng.integers(matrix.nnz)] = values[rng.integers(len(values))]
        if matrix.format == "lil":
            matrix.rows[rng.integers(4)][0] = values[rng.integers(len(values))]
        try:
            mdp = TabularMDP(matrix, R, 0.5)
        except ValueError:
            refusals += 1
        else:
            solve(mdp, "modified_policy_iteration", 1e-2)
    assert refusals > 100


def test_refusal_of_a_large_sparse_matrix_takes_less_than_50_ms() -> None:
    """One bad column among 10^6."""
    size = 500_000
    matrix = sp.csr_array((np.ones(2 * size), np.zeros(2 * size, np.int32), np.arange(2 * size + 1)), (2 * size, size))
    matrix.indices[-1] = size
    rewards = np.zeros((size, 2))
    began = time.process_time()
    with pytest.raises(ValueError, match="the successor of state 499999, action 1 is 500000: states are 0 to 499999"):
        TabularMDP(matrix, rewards, 0.5)
    assert time.process_time() - began < 0.05


@pytest.mark.parametrize(
    ("storage", "arguments", "message"),
    [
        (Sparse, (POINTERS, [0, 1, 0, 1, 0, 2], DATA, 2), "the successor of state 1, action 1 is 2: states are 0 to 1"),
        (Sparse, (POINTERS, [0, 1, 0, 2**32, 0, 1], DATA, 2), "the successor of state 1, action 0 is 4294967296"),
        (Sparse, (POINTERS, COLUMNS, DATA, 3), r"with 3 actions give S \* 3 \+ 1 numbers"),
        (Sparse, (POINTERS, COLUMNS, DATA, 4), "is 1: states are 0 to 0"),
        (Sparse, (POINTERS, COLUMNS, DATA, 0), "n_actions is 0"),
        (Sparse, (POINTERS, COLUMNS, DATA, True), "n_actions is True"),
        (Sparse, ([0, 2, 1, 4, 6], COLUMNS, DATA, 2), "state 0, action 1 has the entries 2 to 1 - 1"),
        (Sparse, ([1, 2, 3, 4, 6], COLUMNS, DATA, 2), "state 0, action 0 has the entries 1 to 2 - 1"),
        (Sparse, ([0, 2, 3, 4, 7], COLUMNS, DATA, 2), "indptr ends at 7"),
        (Sparse, (POINTERS, COLUMNS, DATA[:-1], 2), r"shapes \(6,\) and \(5,\)"),
        (Sparse, (POINTERS, np.array(COLUMNS, float), DATA, 2), "indices of P holds float64"),
        (Sparse, ([0], [], [], 2), "P has 0 states"),
        (Dense, (np.full((2, 2, 3), 1 / 3),), r"a dense P has shape \(S, A, S\), not \(2, 2, 3\)"),
        (Dense, (np.zeros((0, 2, 0)),), "P has 0 states"),
        (Deterministic, ([[0.0, 1.0], [1.0, 0.0]],), "P holds float64 values: give whole numbers"),
        (Deterministic, ([[0, 2], [1, 0]],), "the successor of state 0, action 1 is 2: states are 0 to 1"),
        (Deterministic, ([0, 1],), r"a deterministic P has shape \(S, A\)"),
        (ShiftRegister, ([], [[0]], np.zeros((0, 1))), "P has 0 states"),
        (ShiftRegister, ([0.0, 0.0], [[0, 1]], np.full((2, 2), 0.5)), "shifted holds float64"),
        (ShiftRegister, ([0, 2**62], [[0, 2**62]], np.full((2, 2), 0.5)), "leads to 9223372036854775808"),
        (ShiftRegister, ([2**40] * 2, [[-(2**40), 1 - 2**40]], np.full((2, 2), 0.5)), "give 32-bit integers"),
        (ShiftRegister, ([0, 1], [[-1, 0]], np.full((2, 2), 0.5)), "branch 0 of state 0, action 0 leads to -1"),
        (PolicyTable, ([[3]], np.zeros((1, 1, 0), int), [1, 0]), "state 0, action 0 has corner 3"),
        (PolicyTable, ([[0], [1]], [[[0]], [[5]]], [1, 0]), "state 1, action 0 has corner 1 and steps"),
        (PolicyTable, ([[0], [0]], [[[9 << 13]], [[0]]], [1, 0]), "state 0, action 0 has corner 0 and steps"),
        (PolicyTable, ([[0]], [[[0, 0]]], [1, 0]), "corner, steps and strides have shapes"),
    ],
)
def test_storages_given_directly_are_checked(storage: type, arguments: tuple[object, ...], message: str) -> None:
    """Columns, pointers, shapes, types, numbers beyond 32 bits, walks of policy meta-games."""
    with pytest.raises(ValueError, match=message):
        storage(*arguments)


def test_a_table_that_kernels_fill_holds_only_walks() -> None:
    """What is handed over unchecked would pass the check, and gives the same values when it is given by a user."""
    game = inner_game("ipd", 0.96)
    mdp = PolicyMetaGame(game, [NaiveLearner()], [even_grid(game, i, 2) for i in (0, 1)], 0.9).to_mdp()
    table = mdp.storage
    assert isinstance(table, PolicyTable)
    again = TabularMDP(PolicyTable(table.corner, table.steps, table.strides), mdp.rewards, 0.9)
    assert solve(again, tol=1e-9).value.tolist() == solve(mdp, tol=1e-9).value.tolist()


class Foreign:
    """A storage as somebody else may write one: one state, two actions."""

    n_states, n_actions, branching, nbytes = 1, 2, 1, 0

    def __init__(self, **parts: object) -> None:
        self.successor: object = np.zeros((2, 1), np.int64)
        self.chosen = 1
        vars(self).update(parts)

    def check(self) -> float:
        return 0.0

    def reward_shape(self) -> tuple[int, int]:
        return (1, 2)

    def improve(self, sweep, first, last) -> None:  # type: ignore[no-untyped-def]
        q = sweep.rewards + sweep.discount * sweep.values[0]
        sweep.new_values[:], sweep.policy[:] = q.max(), self.chosen

    def backup(self, rewards, discount, values, q) -> None:  # type: ignore[no-untyped-def]
        q[:] = rewards + discount * values[0]

    def chain(self, rewards, policy, states=None) -> Chain:  # type: ignore[no-untyped-def]
        chosen = np.asarray(self.successor).ravel()[: len(policy)]
        return Chain(np.arange(len(policy) + 1), chosen, np.ones(len(policy)), rewards[0, policy])

    def branches(self, rewards) -> tuple[object, ...]:  # type: ignore[no-untyped-def]
        return self.successor, np.ones((2, 1)), rewards.reshape(2, 1)


def test_a_storage_from_outside_is_used_and_what_it_returns_is_checked() -> None:
    """Reward 2 for ever at discount 1/2 is worth 4; a successor or an action that is not there is refused."""
    mdp = TabularMDP(Foreign(), [[1.0, 2.0]], 0.5)
    assert solve(mdp).value.round(5).tolist() == [4.0]
    assert run(mdp, Rmax(m=2), steps=50, rng=1).policy.tolist() == [1]
    for bad in ([[9], [9]], [[-1], [-1]], [[0.5], [0.5]]):
        wrong = TabularMDP(Foreign(successor=np.array(bad)), [[1.0, 2.0]], 0.5)
        with pytest.raises(ValueError, match=r"states are 0 to 0|whole numbers"):
            evaluate_policy(wrong, [0])
        with pytest.raises(ValueError, match=r"states are 0 to 0|whole numbers"):
            run(wrong, Rmax(m=2), steps=50, rng=1)
    with pytest.raises(ValueError, match=r"improve\(\) of the storage plays 7 in state 0: actions are 0 to 1"):
        solve(TabularMDP(Foreign(chosen=7), [[1.0, 2.0]], 0.5))
    with pytest.raises(ValueError, match=r"branches\(\) of the storage returns shape \(1, 1\), expected \(2, 1\)"):
        run(TabularMDP(Foreign(successor=[[0]]), [[1.0, 2.0]], 0.5), Rmax(m=2), steps=50)
    with pytest.raises(ValueError, match="n_states of the storage is 0"):
        TabularMDP(Foreign(n_states=0), [[1.0, 2.0]], 0.5)


def test_vectors_of_the_wrong_length_are_refused_not_read_beyond_their_end() -> None:
    """Values, backed-up values, starts, policies."""
    mdp = TabularMDP([[0, 1], [1, 0]], R, 0.9)
    with pytest.raises(ValueError, match=r"values have shape \(1,\), expected \(2,\)"):
        mdp.backup([1.0])
    with pytest.raises(ValueError, match=r"backed_up have shape \(1,\), expected \(2,\)"):
        bracket(mdp, np.zeros(2), np.zeros(1))
    with pytest.raises(ValueError, match="the policy holds complex128"):
        evaluate_policy(mdp, [[1, 0], [1 + 2j, 0]])
    for starts in ([2], [-1], [0.5], [[0]], []):
        with pytest.raises(ValueError, match="give a list of meta-states from 0 to 1"):
            run(mdp, Rmax(m=2), steps=10, horizon=5, starts=starts)
        with pytest.raises(ValueError, match="give a list of meta-states from 0 to 1"):
            least_sufficient_m(mdp, 0.1, horizon=5, starts=starts)


def test_policies_and_starts_of_roll_outs_are_checked() -> None:
    """A start of NaN ended the process; an action beyond the grid was taken modulo its size."""
    game = iterated(standard_prisoners_dilemma(), 0.96)
    meta_game = PolicyMetaGame(game, [NaiveLearner()], [even_grid(game, i, 2) for i in (0, 1)], 0.9)
    half, actions = np.full((1, 5, 2), 0.5), np.zeros(32, np.int64)
    with pytest.raises(ValueError, match=r"the starts of player 1 hold \[nan, nan\] in policy 0, state 0"):
        roll_out(meta_game, [half * np.nan], policy=actions, steps=1)
    for bad in (32, -1):
        actions[3] = bad
        with pytest.raises(ValueError, match=rf"policy holds {bad}: give meta-actions from 0 to 31"):
            roll_out(meta_game, [half], policy=actions, steps=1)
    with pytest.raises(ValueError, match="policy holds float64"):
        roll_out(meta_game, [half], policy=np.zeros(32), steps=1)
    with pytest.raises(ValueError, match=r"the shaper's policies hold \[2.0, -1.0\] in policy 0, state 0"):
        hold(meta_game, np.broadcast_to([2.0, -1.0], (1, 5, 2)), [half], steps=1)


@pytest.mark.parametrize("learner", [NaiveLearner, LOLA, lambda step: NaiveLearner(step, "simplex")])
def test_the_largest_steps_do_not_leave_the_grid(learner: Callable[[float], Learner]) -> None:
    """Infinity times 0 was NaN, and a corner far outside of the grid. On logits pure policies stay where they are."""
    game = iterated(NormalFormGame(standard_prisoners_dilemma().payoffs * 1e29), 1 - 2.0**-53)
    grids = (LevelGrid(5, (0.0, 0.5, 1.0)),) * 2
    dynamics = Dynamics.of(game, learner(LARGEST_STEP), grids)
    assert dynamics is not None
    for nearest in (True, False):
        _, table = fill(dynamics, nearest)
        check_walks(table.corner.astype(np.int64), table.steps.astype(np.int64), table.strides)
    pure = [i for i in range(3**5) if "1" not in np.base_repr(i, 3)]
    if "simplex" not in repr(learner(1.0)):
        assert (fill(dynamics, True)[1].corner[pure] == np.array(pure)[:, None]).all()
    assert Dynamics.of(game, learner(2 * LARGEST_STEP), grids) is None
    assert Dynamics.of(game, LOLA(1.0, 1e308), grids) is None


# What is given may change. ------------------------------------------------------------------------------------------

INDEX = WindowIndex((2, 2), 1)
HALF = np.full((2, 2), 0.5)


def _solution(v: object) -> Solution:
    return Solution(v, v, v, [0, 1], "", 1, True, Accuracy.CERTIFIED)  # type: ignore[arg-type]


def _trace(v: object) -> Trace:
    counts = np.zeros(2, np.int64)
    whole = (counts,) * 4
    return Trace(Rmax(m=1), 1, Coverage(None, ""), None, 2, counts, v, *whole, np.zeros((1, 2)), [0], None, 0, 0.0)  # type: ignore[arg-type]


# Each takes an array of a given shape, and returns the object made of it.
MADE = {
    "rewards": ((2, 2), lambda x: TabularMDP([[0, 1], [1, 0]], x, 0.5)),
    "P": ((2, 2, 2), lambda x: TabularMDP(x, R, 0.5)),
    "Dense": ((2, 2, 2), Dense),
    "Sparse": ((6,), lambda x: Sparse(POINTERS, COLUMNS, x, 2)),
    "ShiftRegister": ((4, 2), lambda x: ShiftRegister(INDEX.shifted(), INDEX.offset(), x)),
    "NormalFormGame": ((2, 2, 2), NormalFormGame),
    "from_payoffs": ((2, 2), lambda x: NormalFormGame.from_payoffs(x, x)),
    "StochasticGame": ((2, 1, 4), lambda x: StochasticGame(np.ones((1, 4, 1)), x, [1.0], (2, 2), 0.5)),
    "Solution": ((2,), _solution),
    "Trace": ((2,), _trace),
}
WHOLE = {
    "P": ((2, 2), lambda x: TabularMDP(x, R, 0.5)),
    "Deterministic": ((2, 2), Deterministic),
    "Sparse": ((6,), lambda x: Sparse(POINTERS, x, DATA, 2)),
    "ShiftRegister": ((1, 2), lambda x: ShiftRegister([0, 0], x, HALF)),
    "PolicyTable": ((2, 2), lambda x: PolicyTable(x, np.zeros((2, 2, 0), int), [1, 0])),
    "views": ((2, 1), lambda x: StochasticGame(np.ones((1, 4, 1)), np.zeros((2, 1, 4)), [1.0], (2, 2), 0.5, "", x)),
}
TYPES = [">f8", "<f4", np.float16, np.longdouble, np.float64, ">i4", bool, object]


def arrays(thing: object) -> list[np.ndarray]:
    """All arrays that an object holds, those of its fields too."""
    found = []
    for field in dataclasses.fields(thing):  # type: ignore[arg-type]
        value = getattr(thing, field.name) if hasattr(thing, field.name) else None
        if isinstance(value, np.ndarray):
            found.append(value)
        elif dataclasses.is_dataclass(value) and not isinstance(value, Rmax | Coverage):
            found += arrays(value)
    return found


def _unharmed(made: object, given: np.ndarray, base: np.ndarray) -> None:
    """Change the given array and its base: the object keeps its numbers, its types, its order and its locks."""
    kept = arrays(made)
    before = [array.tobytes() for array in kept]
    assert kept
    given.setflags(write=True)
    base[...] = 1 if base.dtype.kind in "iub" else 7
    given[...] = 1 if given.dtype.kind in "iub" else 7
    assert [array.tobytes() for array in kept] == before
    for array in kept:
        assert not array.flags.writeable
        assert array.flags.c_contiguous
        assert array.dtype.isnative
        assert array.dtype in (np.float64, np.int64, np.int32)
        assert not np.shares_memory(array, base)


@pytest.mark.parametrize("name", MADE)
@pytest.mark.parametrize("dtype", TYPES, ids=str)
def test_every_real_array_becomes_an_own_one(name: str, dtype: object) -> None:
    """Read-only views, locked arrays, Fortran order, foreign types: changed afterwards, nothing changes."""
    shape, make = MADE[name]
    base = np.zeros(shape[::-1], dtype).T  # type: ignore[call-overload]
    base[..., 0] = 1
    if name == "Sparse":
        base[...] = 1
    view = base[...]
    view.setflags(write=False)
    plain = arrays(make(np.array(base.tolist(), float)))
    made = make(view)
    assert [x.tolist() for x in arrays(made)] == [x.tolist() for x in plain]
    _unharmed(made, view, base)


@pytest.mark.parametrize("name", WHOLE)
@pytest.mark.parametrize("dtype", [">i4", "<i8", np.int8, np.uint64, ">u2"], ids=str)
def test_every_whole_array_becomes_an_own_one(name: str, dtype: object) -> None:
    """The same for successors, columns, offsets, corners and views."""
    shape, make = WHOLE[name]
    base = np.zeros(shape[::-1], dtype).T  # type: ignore[call-overload]
    view = base[...]
    view.setflags(write=False)
    _unharmed(make(view), view, base)


@pytest.mark.parametrize("name", MADE)
def test_complex_and_text_are_refused_everywhere(name: str) -> None:
    """A complex number lost its imaginary part."""
    shape, make = MADE[name]
    for dtype in (complex, np.complex64, "U1"):
        with pytest.raises(ValueError, match=r"holds|P is"):
            make(np.ones(shape).astype(dtype))


def test_a_locked_broadcast_view_does_not_change_a_solved_mdp() -> None:
    """r[:] = 100 once made 8.18 of state 0 into 1000; a Memory-one table and a policy are own arrays too."""
    r = np.array([0.0, 1.0])
    mdp = TabularMDP(rows(), np.broadcast_to(r[:, None], (2, 2)), 0.9)
    policy = np.array([0, 1])
    found = evaluate_policy(mdp, policy)
    table = np.full((2, 2, 2), 0.5)
    opponent = MemoryOne(table)
    r[:], policy[:], table[:] = 100, 1, 7
    assert solve(mdp, "exact").value.round(9).tolist() == [round(90 / 11, 9), 10.0]
    assert found.policy.tolist() == [0, 1]
    assert opponent.table.tolist() == [[[0.5, 0.5]] * 2] * 2
    assert policy.flags.writeable


def test_a_storage_that_was_unlocked_is_copied() -> None:
    """What is given is not trusted for having been checked once; a look at `branching` before does no harm."""
    storage = Sparse(POINTERS, COLUMNS, DATA, 2)
    assert storage.branching == 2
    mdp = TabularMDP(storage, R, 0.9)
    storage.indices.setflags(write=True)
    storage.indices[:] = 10**6
    assert solve(mdp, "exact").value.round(9).tolist() == [round(90 / 11, 9), 10.0]
    with pytest.raises(ValueError, match="the successor of state 0, action 0 is 1000000"):
        TabularMDP(storage, R, 0.9)


def test_masked_entries_are_refused() -> None:
    """The mask was dropped, and what lies under it taken."""
    with pytest.raises(ValueError, match="R has masked entries"):
        TabularMDP([[0, 1], [1, 0]], np.ma.array(R, mask=[[0, 1], [0, 0]]), 0.5)


def test_a_view_that_stands_for_more_than_the_memory_is_refused_before_it_is_copied() -> None:
    """10^12 numbers in 8 bytes."""
    with pytest.raises(MemoryError, match="a copy of P needs 8,000,000,000,000 bytes"):
        TabularMDP(np.broadcast_to(0, (10**12, 1)), np.broadcast_to(0.0, (2, 1)), 0.5)


# What the package makes is handed over. -----------------------------------------------------------------------------


def _extra(work: object) -> int:
    """Most bytes at once while something is made, beside what is left in the end."""
    tracemalloc.start()
    kept = work()  # type: ignore[operator]
    left, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert kept is not None
    return peak - left


def test_no_large_table_of_a_meta_game_is_copied() -> None:
    """A table of 2^14 * 27 pairs is filled and handed over: beside it a byte a pair, while rewards are checked.

    A window game keeps its opponent's play, which the MDP shares.
    """
    game = inner_game("matching-pennies", 0.0)
    meta_game = PolicyMetaGame(game, [Fixed()], [SimplexGrid(1, 2, 63), SimplexGrid(1, 2, 4095)], 0.9)
    pairs = 64 * 4096
    PolicyMetaGame(game, [Fixed()], [SimplexGrid(1, 2, 1)] * 2, 0.9).to_mdp()  # compiled before
    assert _extra(meta_game.to_mdp) < 1.5 * pairs + 200_000
    mdp = meta_game.to_mdp()
    assert mdp.rewards is meta_game.to_mdp().rewards
    assert mdp.rewards.dtype == np.float32
    window = WindowMetaGame(matching_pennies(), WindowQLearner(), 8, 0.8)
    assert np.shares_memory(window.to_mdp().storage.probability, window.opponents_play)  # type: ignore[attr-defined]


def test_solutions_take_over_what_solvers_made() -> None:
    """No array of a Solution is copied on the way out of a solver."""
    low, high, policy = np.zeros(2), np.ones(2), np.array([0, 1])
    found = solution_of(policy, "", low, high, 1, Ended.CONVERGED)
    assert found.lower is low
    assert found.upper is high
    assert found.policy is policy
    assert found.value.tolist() == [0.5, 0.5]


# What is read back from files. --------------------------------------------------------------------------------------


def _left(work: object) -> dict[str, np.ndarray]:
    with pytest.raises(Unfinished) as left:
        work(Checkpoint(0.0))  # type: ignore[operator]
    return dict(Checkpoint(0.0, left.value.state).saved)


def _bytes(arrays: dict[str, np.ndarray]) -> bytes:
    written = io.BytesIO()
    np.savez(written, **arrays)
    return written.getvalue()


def test_a_checkpoint_that_would_lead_a_kernel_astray_is_refused() -> None:
    """Each array in turn holds numbers outside of its range, has another shape or type, or is missing."""
    mdp = TabularMDP(rows(), R, 0.9)

    def play(checkpoint: Checkpoint) -> Trace:
        return run(mdp, Rmax(m=50), steps=10**5, horizon=7, rng=1, checkpoint=checkpoint)

    saved = _left(play)
    whole = play(Checkpoint(state=_bytes(saved)))
    assert whole.q.tolist() == play(Checkpoint()).q.tolist()
    for name in ("play", "position", "visits", "branches", "known_at", "loop"):
        for bad in (-1, 10**6):
            with pytest.raises(MisfitError, match="in the checkpoint runs from"):
                play(Checkpoint(state=_bytes({**saved, name: np.full_like(saved[name], bad)})))
    for name in saved:
        for wrong in ({**saved, name: saved[name][..., None]}, {**saved, name: saved[name].astype(np.int8)}):
            with pytest.raises(MisfitError, match=f"{name} in the checkpoint is"):
                play(Checkpoint(state=_bytes(wrong)))
        with pytest.raises(MisfitError, match=f"{name} in the checkpoint is missing"):
            play(Checkpoint(state=_bytes({other: array for other, array in saved.items() if other != name})))


def test_checkpoints_of_ledgers_and_searches_are_checked_too() -> None:
    """An array of another shape was broadcast; an outcome of 7 was an IndexError."""
    mdp = TabularMDP(rows(), R, 0.9)

    def count(checkpoint: Checkpoint) -> object:
        return ledger(mdp, Rmax(m=50), epsilon=0.1, steps=10**5, rng=1, checkpoint=checkpoint)

    saved = _left(count)
    with pytest.raises(MisfitError, match="counts in the checkpoint is int64 of shape"):
        count(Checkpoint(state=_bytes({**saved, "counts": np.array(1)})))

    def search(checkpoint: Checkpoint) -> object:
        return least_sufficient_m(mdp, 0.5, 0.2, horizon=5, largest=4, jobs=1, checkpoint=checkpoint)

    found = _left(search)
    with pytest.raises(MisfitError, match="outcome in the checkpoint runs from 7 to 7"):
        search(Checkpoint(state=_bytes({"runs": np.full_like(found["runs"], 7)})))
    with pytest.raises(MisfitError, match="holds no runs"):
        search(Checkpoint(state=_bytes({"runs": np.zeros(3)})))


@pytest.mark.parametrize("state", [b"", b"PK\x03\x04nonsense", b"x" * 1000])
def test_damaged_bytes_are_one_sentence(state: bytes) -> None:
    """They were BadZipFile, ValueError about pickles or EOFError."""
    with pytest.raises(MisfitError, match="the checkpoint is damaged"):
        Checkpoint(0.0, state)


def test_a_checkpoint_that_unpacks_to_much_is_refused() -> None:
    """A compressed archive of zeros, a thousandth of its size."""
    written = io.BytesIO()
    np.savez_compressed(written, big=np.zeros(LARGEST_STATE // 8 + 2**18))
    with pytest.raises(MisfitError, match="damaged"):
        Checkpoint(0.0, written.getvalue())


def test_take_up_names_what_is_missing() -> None:
    """Nothing is filled by broadcasting."""
    with pytest.raises(MisfitError, match=r"count in the checkpoint is float64 of shape \(\), expected float64"):
        take_up({"count": np.array(1.0)}, {"count": np.zeros(2)})


def test_a_sweep_begins_a_cell_again_where_its_checkpoint_does_not_fit() -> None:
    """The bytes are those of the cell that was never left."""
    grid = """
    title = "one cell"
    seed = 0
    [[grid]]
    measure = ["run"]
    game = ["matching-pennies"]
    opponent = ["window-q-learner"]
    window = [1]
    agent = ["rmax"]
    epsilon = [0.8]
    delta = [0.2]
    discount = [0.8]
    steps = [1000]
    seeds = 1
    """
    cell = parse_spec(grid).cells[0]
    assert measure(cell, b"nonsense").result == measure(cell).result is not None


def test_an_observers_step_costs_are_checked() -> None:
    """Kernels add up in it without looking."""

    class Looks(Observer):
        def __init__(self, meter: kernels.StepCosts) -> None:
            self.given = meter

        @property
        def step_costs(self) -> kernels.StepCosts:
            return self.given

        def on_plan(self, event: object) -> bool:
            return False

    mdp = TabularMDP(rows(), R, 0.9)
    for meter in (
        kernels.StepCosts(np.zeros((4, 3)), np.zeros(2), np.zeros(2)),
        kernels.StepCosts(np.zeros((4, 4)), np.zeros(1), np.zeros(2)),
        kernels.StepCosts(np.zeros((4, 4)), np.zeros(2), np.zeros(2, np.float32)),
    ):
        with pytest.raises(ValueError, match="the step costs'"):
            run(mdp, Rmax(m=2), steps=10, rng=1, observer=Looks(meter))  # type: ignore[arg-type]


# Small. -------------------------------------------------------------------------------------------------------------


def test_mdps_draws_no_storage_that_it_does_not_know() -> None:
    """ "Dense" was drawn as dense, silently, as was every other word."""
    with pytest.raises(ValueError, match="unknown storage 'Dense': choose dense, sparse, deterministic or shift"):
        find(mdps(storage="Dense"), lambda mdp: True)  # type: ignore[arg-type]
    for storage in STORAGES:
        assert find(mdps(storage=storage), lambda mdp: True).n_states >= 1


def test_histories_of_unsigned_numbers_have_whole_indices() -> None:
    """uint64 and int64 met in floats."""
    assert WindowIndex((2, 2), 2).encode(np.array([[1, 0], [1, 1]], np.uint64)).dtype == np.int64
    with pytest.raises(ValueError, match="time is 2: the window's joint actions are 0 to 1"):
        WindowIndex((2, 2), 2).joint_action(2)


def test_values_of_other_lengths_are_not_interpolated() -> None:
    """Values beyond the lumped meta-states were ignored."""
    game = one_shot(matching_pennies())
    coarse = PolicyMetaGame(game, [Fixed()], [SimplexGrid(1, 2, 1)] * 2, 0.5)
    with pytest.raises(ValueError, match=r"values have shape \(3,\), expected \(2,\)"):
        coarse.interpolated(coarse, np.zeros(3))
    with pytest.raises(ValueError, match=r"values have shape \(3,\), expected \(4,\)"):
        dataclasses.replace(coarse, joint=True).known(np.zeros(3))
