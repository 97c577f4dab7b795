"""What the ledger adds to the time of a run: the same run with and without it, in turn.

Run it with ``python tests/benchmarks/bench_ledger.py [REPEATS]``; it plays R-max on the exact window-4 meta-game of
Matching Pennies with T1's m, at two epsilons. Both runs must end with the same policy, and the count is printed, so
that a fast ledger that counts nothing shows.
"""

from __future__ import annotations

import statistics
import sys
import time
from typing import Any

from rfos.laboratory.sweeps.cells import Cell, process
from rfos.learning.agents import Rmax
from rfos.learning.ledger import ledger
from rfos.learning.run import run

WINDOW, DELTA = 4, 0.2
RUNS = {0.8: 10_000_000, 0.4: 40_000_000}
"""Episodes by epsilon; all pairs are known before the end."""


def measure(epsilon: float, episodes: int, repeats: int) -> None:
    """Print the medians of one length of run, and their ratio."""
    cell = Cell(
        measure="ledger", game="matching-pennies", opponent="window-q-learner", window=WINDOW, agent="rmax", horizon=10,
        epsilon=epsilon, delta=DELTA, discount=0.8, steps=10 * episodes, root=0, seed=0,
    )  # fmt: skip
    played, agent = process(cell), Rmax(epsilon=epsilon, delta=DELTA)
    options: dict[str, Any] = {"episodes": episodes, "horizon": 10, "bins": 1, "rng": 0}
    seconds: dict[str, list[float]] = {"run": [], "run with ledger": []}
    for _ in range(repeats + 1):  # the first compiles
        began = time.perf_counter()
        plain = run(played, agent, **options)
        between = time.perf_counter()
        counted = ledger(played, agent, epsilon=epsilon, delta=DELTA, **options)
        seconds["run with ledger"].append(time.perf_counter() - between)
        seconds["run"].append(between - began)
    assert (counted.trace.policy == plain.policy).all()
    assert plain.all_known_at is not None
    medians = {name: statistics.median(times[1:]) for name, times in seconds.items()}
    print(f"epsilon {epsilon}: m {plain.m:,}, all pairs known after {plain.all_known_at:,} of {plain.n_steps:,} steps")
    for name, median in medians.items():
        print(f"  {name:16} {median:.3f} s, {1e9 * median / plain.n_steps:.2f} ns a step, median of {repeats}")
    ratio = medians["run with ledger"] / medians["run"]
    print(f"  the ledger adds {ratio - 1:+.1%}; it counts {counted.count:,} steps that are not epsilon-optimal")


def main() -> None:
    """Measure the runs of both lengths."""
    repeats = int(sys.argv[1]) if len(sys.argv) > 1 else 7
    for epsilon, episodes in RUNS.items():
        measure(epsilon, episodes, repeats)


if __name__ == "__main__":
    main()
