"""Compile in advance, for all processors at once: ``python -m rfos._kernels.warm``.

A kernel is compiled for the types of its arguments when it is first called, which takes half a minute for all of them,
and is then kept on disk. Workers that start together would each compile the same, so a suite does it before they start.
All that the package itself calls is listed here; a kernel that is called otherwise is compiled when it is called.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from typing import Any

import numpy as np

from rfos._kernels import dp, grids, ledger, policies, random, team_play, teams
from rfos._kernels import rmax as kernels
from rfos._kernels._jit import CACHE_FOLDER, INTERPRETED, compile_for, is_kept
from rfos._kernels.learners import Rule
from rfos._kernels.returns import Game

LETTERS = {
    "f": np.float64,
    "s": np.float32,
    "i": np.int64,
    "j": np.int32,
    "h": np.uint16,
    "w": np.uint64,
    "b": np.bool_,
}
"""Types of numbers in the list below."""


def _example(word: str) -> Any:
    """Return an argument of a type: a letter, dimensions of an array, "!" where it is read-only, "~" strided.

    >>> _example("j2!").dtype, _example("j2!").ndim, _example("j2!").flags.writeable, _example("b"), _example("-")
    (dtype('int32'), 2, False, False, None)
    """
    if word == "-":
        return None
    if word in _RECORDS:
        kind, fields = _RECORDS[word]
        return kind(*map(_example, fields.split()))
    number = LETTERS[word[0]]
    if len(word) == 1:
        return number(0).item()
    array: Any = np.empty((4,) * int(word[1]), number)
    array.flags.writeable = not word.endswith("!")
    return array[::2] if word.endswith("~") else array


_RECORDS: dict[str, tuple[Callable[..., Any], str]] = {
    "Game": (Game, "i3 f3 f3 f1 f"),
    "Rule": (Rule, "i f f"),
    "World": (kernels.World, "i2 f2 i2 f2 i1 i"),
    "Learners": (kernels.Learners, "f2 f2 i1 i2 f3 f1 f1 b1"),
    "AutomatonTables": (kernels.AutomatonTables, "i2 i2 i i1"),
    "Behaviour": (kernels.Behaviour, "b i2 i2"),
    "Memory": (kernels.Memory, "i1 i2 i1 i b"),
    "StepCosts": (kernels.StepCosts, "f2 f1 f1"),
    "TeamWorld": (team_play.TeamWorld, "i1 i1 i1 i1 f1 i1 i1 i1 i i"),
    "Tally": (team_play.Tally, "i1 i1 i1 i1 i"),
    "Tally!": (team_play.Tally, "i1! i1! i1! i1! i"),
    "Rows": (team_play.Rows, "i1 i1 i1"),
    "Trees": (team_play.Trees, "i2 i1 i1 i2 i1 b i1"),
}

_CHAIN = "i1 j1 f1 f1 f f1 f1 i i f1"
_MEETING = "Game Rule b f1 f1"
_PLAY = "Behaviour Memory w1 i1 f1"
_MODEL = "World Memory f"

# The first takes as long as a third of all: it compiles what the last ones call, which another processor finds on the
# disk when it comes to them.
SPECIALISATIONS: tuple[tuple[Any, str], ...] = (
    (policies.roll_out, f"{_MEETING} i1 f f1 i1 f2 f3 i2 f3 i i"),
    (kernels.advance, f"World Learners - {_PLAY} - - i"),
    (kernels.advance, f"World - AutomatonTables {_PLAY} - - i"),
    (kernels.advance, f"World - - {_PLAY} StepCosts i1 i"),
    (kernels.advance, f"World - - {_PLAY} StepCosts - i"),
    (kernels.advance, f"World - - {_PLAY} - i1 i"),
    (kernels.advance, f"World - - {_PLAY} - - i"),
    (kernels.play_informed, "World Learners w1 i i"),
    (kernels.plan_horizon, f"{_MODEL} f1 f2 f1 f1 i2"),
    (kernels.plan_stationary, f"{_MODEL} f f f2 f1 f1 i2"),
    (kernels.plan_paper, "World Memory f2 f i f f i2"),
    (kernels.softmax, "f2 f i2"),
    (dp.correct, "i i1 j1 s1 s1 f s1 s1 i i f1"),
    (dp.improve_shift, "j1! j2! f2! f2! f f1 f1 i1 s2 i i"),
    (dp.improve_dense, "f3! f2! f f1 f1 i1 s2 i i"),
    (dp.improve_sparse, "i1! j1! f1! f2! f f1 f1 i1 s2 i i"),
    (dp.improve_deterministic, "i2! f2! f f1 f1 i1 s2 i i"),
    (dp.improve_rows, "i1 i1 i1 j1 f1 f1 f f1 f1 i1 s1 i i"),
    (dp.backup_shift, "j1! j2! f2! f2! f f1 f2"),
    (dp.backup_dense, "f3! f2! f f1 f2"),
    (dp.backup_sparse, "i1! j1! f1! f2! f f1 f2"),
    (dp.backup_deterministic, "i2! f2! f f1 f2"),
    (dp.chain_sparse, "i1! j1! f1! i1 i1 j1 f1 i i"),
    (dp.chain_shift, "j1! j2! f2! f2! i1 j1 f1"),
    (dp.chain_shift, "j1 j2! f2 f2! i1 j1 f1"),
    (dp.chain_shift, "j1 j2! f2 f2! i1~ j1 f1"),
    (dp.evaluate, _CHAIN),
    (dp.evaluate, _CHAIN.replace("f1", "f1!", 1)),
    (dp.enough_pairs, "s1 i1 i1 s1 i1 i1 i1 i i"),
    (dp.enough_counts, "s1 i1 s1 i i i1"),
    (dp.fill_in, "j1 j1 i i1 i1 i1"),
    (dp.change, "f1 f1 i i f1"),
    (dp.rate, "s1 s1 s1"),
    (grids.corners, "i1! i1! i2! i2 f2"),
    (grids.corners, "i1! h1! h2! i2 f2"),
    (grids.corners, "i1! h1 h2 j2 f2"),
    (grids.corners, "i1 h1 h2 j2 f2"),
    (ledger.settle_value, "i2 f2 f1 i1 f f1 f1 f i f2 f1"),
    (ledger.settle_exploring, "i2 f2 f1 i1 f f i f1 f1"),
    (ledger.staged_return, "i2 f2 f1 i2 f f1 f1"),
    (ledger.staged_return, "i2 f2 f1 i2! f f1 f1"),
    (ledger.enter, "f1 f1 f1 f f f f1 f f2"),
    (ledger.know, "b1 f2 f2 f1"),
    (random.fill_uniform, "w1 f1"),
    (policies.improve_on_the_fly, f"{_MEETING} b i1 f f1 f1 i1 s2 i i"),
    (policies.fill, f"{_MEETING} b i1 s2 h2 h3 i i"),
    (policies.fill_pairs, f"{_MEETING} b i1 i1 i1 s1 h1 h2 i i"),
    (policies.hold, "Game Rule b f2 f2 i f3 i i"),
    (policies.frozen_moves, f"{_MEETING} i1 i i"),
    (policies.improve_table, "s2! h2! h3! i1! f f1 f1 i1 s2 i i"),
    (policies.backup_table, "s2! h2! h3! i1! f f1 f2"),
    (team_play.play_team, "TeamWorld i2 - Tally w1 i1 i"),
    (team_play.play_team, "TeamWorld i2 Trees Tally w1 i1 i"),
    (team_play.plan_markov, "Rows Tally! f1 f1 f f1 f1 i2"),
    (team_play.learn_values, "TeamWorld Trees f2 b f f f w1 i"),
    (team_play.reuse_episodes, "TeamWorld Trees i2 i2 b1 f1 f w1 i"),
    (teams.completion, "f2 i2 i2 i1 i1 f2"),
    (teams.completions, "f2 i2 i2 i1 i1 i f2 f1"),
    (teams.solve_games, "f3 i2 i2 i1 i1 i1 f2 f2 i f1"),
    (teams.merge_groups, "i1 i1 f1 f1 i1 f i1"),
)
"""What the package calls: a kernel and the types of its arguments, a word for each (see `_example`)."""


def arguments(number: int) -> list[Any]:
    """Return an example of each argument of an entry of the list.

    Parameters
    ----------
    number : int
        Its place.
    """
    return [_example(word) for word in SPECIALISATIONS[number][1].split()]


def warm(number: int) -> None:
    """Have an entry of the list ready in this process: from the disk, or else compiled and kept there.

    Parameters
    ----------
    number : int
        Its place.

    Examples
    --------
    >>> warm(1)
    """
    if not INTERPRETED:
        compile_for(SPECIALISATIONS[number][0], arguments(number))


def main() -> int:
    """Compile what is not on the disk, on all processors, say how much that was, and return the exit status."""
    if INTERPRETED:
        sys.stderr.write("nothing is compiled: NUMBA_DISABLE_JIT is set\n")
        return 0
    if CACHE_FOLDER is None:
        return 2  # it has been said why
    everything = range(len(SPECIALISATIONS))
    missing = [number for number in everything if not is_kept(SPECIALISATIONS[number][0], arguments(number))]
    if missing:
        affinity = getattr(os, "sched_getaffinity", None)
        processors = (len(affinity(0)) if affinity else os.cpu_count()) or 1
        with ProcessPoolExecutor(processors, mp_context=get_context("spawn")) as pool:
            list(pool.map(warm, missing))
    sys.stderr.write(f"{len(everything)} kernels are on the disk, {len(missing)} of them new\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
