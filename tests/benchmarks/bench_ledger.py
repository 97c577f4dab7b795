"""What the ledger adds to the time of a run: the same run with and without it, in turn.

Run it with ``python tests/benchmarks/bench_ledger.py [REPEATS]``; it plays R-max on the exact window-4 meta-game of
Matching Pennies with T1's m. Both runs must end with the same policy, and the count is printed, so that a fast ledger
that counts nothing shows.
"""

from __future__ import annotations

import statistics
import sys
import time

import numpy as np

from rfos.pac import ledger
from rfos.rmax import Rmax, run
from rfos.sweeps.cells import Cell, process

WINDOW, EPSILON, DELTA, EPISODES = 4, 0.8, 0.2, 10_000_000


def main() -> None:
    """Print the medians and their ratio."""
    repeats = int(sys.argv[1]) if len(sys.argv) > 1 else 7
    cell = Cell(
        measure="ledger", game="matching-pennies", opponent="window-q-learner", window=WINDOW, agent="rmax", horizon=10,
        epsilon=EPSILON, delta=DELTA, discount=0.8, steps=10 * EPISODES, root=0, seed=0,
    )  # fmt: skip
    played, agent = process(cell), Rmax(epsilon=EPSILON, delta=DELTA)

    def plain() -> np.ndarray[tuple[int, ...], np.dtype[np.int64]]:
        return run(played, agent, episodes=EPISODES, horizon=10, bins=1, rng=0).policy

    def counted() -> int | None:
        return ledger(played, agent, epsilon=EPSILON, delta=DELTA, episodes=EPISODES, horizon=10, bins=1, rng=0).count

    seconds: dict[str, list[float]] = {"run": [], "run with ledger": []}
    count = None
    for _ in range(repeats + 1):  # the first compiles
        for name, call in (("run", plain), ("run with ledger", counted)):
            began = time.perf_counter()
            found = call()
            seconds[name].append(time.perf_counter() - began)
            count = found if name != "run" else count
    medians = {name: statistics.median(times[1:]) for name, times in seconds.items()}
    for name, median in medians.items():
        print(f"{name:16} {median:.3f} s, {1e9 * median / (10 * EPISODES):.1f} ns a step, median of {repeats}")
    ratio = medians["run with ledger"] / medians["run"]
    print(f"the ledger adds {ratio - 1:+.1%}; it counts {count:,} steps that are not epsilon-optimal")


if __name__ == "__main__":
    main()
