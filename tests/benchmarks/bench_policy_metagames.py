"""Build and solve the meta-game of the iterated Prisoner's Dilemma: seconds, memory, and what was achieved.

Run it with ``python tests/benchmarks/bench_policy_metagames.py fill`` for nanoseconds per pair and processor beside
the error against the definition, or ``... solve --levels 7`` for one build and solve; add ``--record`` to append the
line to ``records/policy_metagames.md``.
"""

from __future__ import annotations

import argparse
import os
import resource
import statistics
import time
from pathlib import Path

import numpy as np

from rfos._system.threads import processors
from rfos.games.named import standard_prisoners_dilemma
from rfos.games.stochastic import iterated
from rfos.metagames.grids import LevelGrid
from rfos.metagames.learners import LOLA, FictitiousPlay, Learner, NaiveLearner
from rfos.metagames.policy import PolicyMetaGame
from rfos.metagames.tables import fill
from rfos.planning.solve import solve

RECORD = Path(__file__).parent / "records" / "policy_metagames.md"
IPD = iterated(standard_prisoners_dilemma(), 0.96)
DISCOUNT = 0.99


def meta_game_on(levels: int, learner: Learner) -> PolicyMetaGame:
    """Barycentric, levels evenly spaced but for the ends at .02 and .98."""
    spaced = np.clip(np.linspace(0, 1, levels), 0.02, 0.98)
    grid = LevelGrid(5, tuple(float(p) for p in spaced))
    return PolicyMetaGame(IPD, [learner], [grid, grid], DISCOUNT)


def measure_fill() -> None:
    """Print nanoseconds per pair and processor of filling 4 levels, and the error of sampled pairs."""
    for learner in (NaiveLearner(), LOLA(), FictitiousPlay(0.5)):
        meta_game = meta_game_on(4, learner)
        assert meta_game.dynamics is not None
        fill(meta_game.dynamics, nearest=False)
        seconds = []
        for _ in range(5):
            began = time.process_time()  # of all threads: processor time, whatever else runs
            rewards, table = fill(meta_game.dynamics, nearest=False)
            seconds.append(time.process_time() - began)
        rng = np.random.default_rng(0)
        worst_reward = worst_place = 0.0
        sampled = rng.integers(0, meta_game.n_states, (200, 2))
        chain = table.chain(rewards, sampled[:, 1], sampled[:, 0])
        for i, (x, a) in enumerate(sampled):
            played = [meta_game.grids[0].policy(int(a)), *meta_game.policies(int(x))]
            worst_reward = max(worst_reward, abs(float(rewards[x, a]) - IPD.returns(played)[0]))
            following = learner.update(IPD, 1, played)
            successor, probability = chain.successor[6 * i : 6 * i + 6], chain.probability[6 * i : 6 * i + 6]
            placed = sum(p * meta_game.policies(int(j))[0][:, 0] for j, p in zip(successor, probability, strict=True))
            inside = np.clip(following[:, 0], 0.02, 0.98)
            worst_place = max(worst_place, float(np.abs(placed - inside).max()))
        per_pair = statistics.median(seconds) / meta_game.n_states / meta_game.n_actions
        print(
            f"{type(learner).__name__}: {per_pair * 1e9:.0f} ns per pair and processor, error of 200 rewards "
            f"{worst_reward:.1e}, of their next policies {worst_place:.1e}"
        )


def measure_solve(levels: int, warm: int | None, tol: float, record: bool) -> None:
    """Print, and on request record, one build and solve."""
    began = time.perf_counter()
    meta_game = meta_game_on(levels, NaiveLearner())
    initial = None
    if warm is not None:
        coarser = meta_game_on(warm, NaiveLearner())
        initial = meta_game.interpolated(coarser, solve(coarser.to_mdp(), tol=tol).value)
    warmed = time.perf_counter()
    mdp = meta_game.to_mdp()
    built = time.perf_counter()
    solution = solve(mdp, tol=tol, initial=initial)
    done = time.perf_counter()
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    width = float((solution.upper - solution.lower).max())
    fair = meta_game.nearest([np.full((5, 2), 0.5)])
    row = (
        f"| {levels} | {meta_game.n_states * meta_game.n_actions:,} | {meta_game.size_estimate().storage} "
        f"| {'-' if warm is None else f'{warm} levels, {warmed - began:.0f} s'} | {built - warmed:.0f} s "
        f"| {done - built:.0f} s | {solution.iterations} | {width:.1e} | {(1 - DISCOUNT) * solution.value[fair]:.4f} "
        f"| {done - began:.0f} s | {peak / 1e9:.2f} GB |"
    )
    print(row)
    if record:
        with RECORD.open("a", encoding="utf-8") as file:
            file.write(row + "\n")


def main() -> None:
    """Run what was asked for."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("what", choices=["fill", "solve"])
    parser.add_argument("--levels", type=int, default=5)
    parser.add_argument("--warm", type=int, help="solve this many levels first and start from them")
    parser.add_argument("--tol", type=float, default=0.01, help="width of the brackets, in units of value")
    parser.add_argument("--record", action="store_true")
    arguments = parser.parse_args()
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    print(f"{processors()} processors, {memory:.0f} GiB")
    if arguments.what == "fill":
        measure_fill()
    else:
        measure_solve(arguments.levels, arguments.warm, arguments.tol, arguments.record)


if __name__ == "__main__":
    main()
