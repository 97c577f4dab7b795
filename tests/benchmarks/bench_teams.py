"""Time and value for each published optimum of a team: `python tests/benchmarks/bench_teams.py [REPEATS] [SECONDS]`.

The first plan compiles and is not counted. A line says the median of the seconds, the bracket's width, and the value
beside what is known; a bracket that does not close within SECONDS is reported as it is.
"""

from __future__ import annotations

import statistics
import sys
import time

from rfos.teams.plan import plan
from rfos.teams.tasks import TASKS, task

PLANS: tuple[tuple[str, int | None, dict[str, int]], ...] = (
    *(("dec-tiger", horizon, {}) for horizon in range(2, 8)),
    *(("broadcast-channel", horizon, {}) for horizon in range(2, 8)),
    *(("recycling-robots", horizon, {}) for horizon in range(2, 8)),
    *(("grid-small", horizon, {}) for horizon in range(2, 6)),
    ("switch-riddle", None, {"agents": 3}),
    ("reference-game", None, {"goals": 3, "symbols": 2}),
    ("reference-game", None, {"goals": 4, "symbols": 3}),
    ("lock", None, {}),
)


def main() -> None:
    """Measure all."""
    repeats = int(sys.argv[1]) if len(sys.argv) > 1 else 3
    limit = float(sys.argv[2]) if len(sys.argv) > 2 else 60.0
    plan(task("dec-tiger", 3))
    for name, horizon, sizes in PLANS:
        team, known = task(name, horizon, **sizes), TASKS[name].optimum(horizon, **sizes)
        seconds = []
        for _ in range(repeats):
            began = time.perf_counter()
            found = plan(team, seconds=limit)
            seconds.append(time.perf_counter() - began)
        says = "nothing is known" if known is None else f"known {known.value:.6f}"
        says += "" if known is None or known.exact else " (an upper bound)"
        what = " ".join([name, *(f"{key} {value}" for key, value in sizes.items()), f"h = {team.horizon}"])
        print(
            f"{what:40} {statistics.median(seconds):8.2f} s  value {found.value:.6f} ({says}), bracket "
            f"{found.upper - found.lower:.1e} wide, {found.ended.value}, {found.nodes:,} nodes, {found.bound}",
            flush=True,
        )
        assert known is None or not known.exact or found.lower <= known.value + 1e-6 <= found.upper + 2e-6


if __name__ == "__main__":
    main()
