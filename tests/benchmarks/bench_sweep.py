"""How much of a sweep of many small cells is spent outside kernels, and where.

Run it with ``python tests/benchmarks/bench_sweep.py [CELLS]``; it measures 10,000 cells of a million steps each in this
process, by the clock around the kernels that play and plan, then profiles a tenth of them. The mean final reward and
the number of rows are printed, so that a fast sweep that measures nothing shows.
"""

from __future__ import annotations

import cProfile
import pstats
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from rfos import _kernels
from rfos.laboratory.sweeps.driver import sweep
from rfos.laboratory.sweeps.executors import InProcess
from rfos.laboratory.sweeps.fingerprint import fingerprint
from rfos.laboratory.sweeps.measures import measure
from rfos.laboratory.sweeps.spec import Spec, parse_spec
from rfos.laboratory.sweeps.store import Store
from rfos.laboratory.sweeps.tables import cell_table

KERNELS = ("advance", "plan_stationary", "plan_horizon", "plan_paper", "softmax")
SPEC = """
title = "small cells"
seed = 0
[[grid]]
measure = ["run"]
game = ["matching-pennies", "chicken"]
opponent = ["window-q-learner"]
window = [1, 2]
agent = ["rmax"]
epsilon = [0.2, 0.4, 0.8, 1.6, 3.2]
delta = [0.05, 0.2]
discount = [0.8]
horizon = [10]
m = [10, 100]
steps = [1000000]
seeds = {seeds}
"""


class Clock:
    """Stands for the module of kernels: the same functions, with the time spent in them."""

    def __init__(self, module: object) -> None:
        self.module, self.seconds = module, 0.0

    def __getattr__(self, name: str) -> object:
        found = getattr(self.module, name)
        if name not in KERNELS:
            return found

        def timed(*arguments: object) -> object:
            began = time.perf_counter()
            result = found(*arguments)
            self.seconds += time.perf_counter() - began
            return result

        setattr(self, name, timed)
        return timed


def run(spec: Spec) -> tuple[float, int, float]:
    """Return the seconds of a sweep in a new store, its rows, and the mean final reward."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "store.db")
        began = time.perf_counter()
        sweep(spec, path, InProcess())
        seconds = time.perf_counter() - began
        with Store(path, read_only=True) as store:
            table = cell_table(store.rows(fingerprint()))
    return seconds, len(table), float(np.mean(table["final_reward"]))


def main() -> None:
    """Print the share outside kernels, and the profile."""
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 10_000
    began = time.perf_counter()
    spec = parse_spec(SPEC.format(seeds=-(-count // 80)))
    print(f"{len(spec.cells):,} cells; the spec was read and checked in {time.perf_counter() - began:.2f} s")
    measure(spec.cells[0])
    clock = Clock(_kernels.kernels)
    _kernels.kernels = clock  # type: ignore[assignment]
    seconds, rows, reward = run(spec)
    _kernels.kernels = clock.module  # type: ignore[assignment]
    outside = seconds - clock.seconds
    print(f"{seconds:.1f} s, {clock.seconds:.1f} s in kernels: {outside / seconds:.1%} outside, ", end="")
    print(f"{outside / rows * 1e3:.2f} ms a cell; {rows:,} rows, mean final reward {reward:.4f}\n")
    profile = cProfile.Profile()
    profile.enable()
    run(Spec(spec.title, spec.cells[:: max(1, len(spec.cells) // 1000)]))
    profile.disable()
    pstats.Stats(profile).sort_stats("tottime").print_stats(15)


if __name__ == "__main__":
    main()
