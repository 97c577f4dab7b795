"""Steps per second of R-max, beside the cost of drawing its random numbers alone and beside the slow reference.

Run it with ``python tests/benchmarks/bench_rmax.py``; it prints one table. All ratios are taken between neighbours in
one run, the median over the repetitions is printed. Each row carries an achieved value, so that a fast wrong kernel
shows.
"""

from __future__ import annotations

import resource
import statistics
import sys
import time
from pathlib import Path

from rfos import PaperRmax, QLearner, Rmax, WindowMetaGame, WindowQLearner, named_game, run, solve
from rfos._kernels.random import sum_uniform
from rfos._system.randomness import stream
from rfos.planning.evaluate import evaluate_policy

sys.path.insert(0, str(Path(__file__).parents[1]))
import naive

REPETITIONS = 7
GAME = named_game("matching-pennies")


def seconds_per_draw(n: int = 20_000_000) -> float:
    """Return the time of one uniform float, drawn in a loop that does nothing else."""
    state = stream(0)
    began = time.perf_counter()
    sum_uniform(state, n)
    return (time.perf_counter() - began) / n


def paper(window: int) -> tuple[float, float]:
    """Return steps per second of the preset, learning included, and its final reward per step."""
    game = WindowMetaGame(GAME, QLearner(), window, 0.8, 10)
    trace = run(game, PaperRmax(), episodes=min(8 * (4023 if window == 3 else 1005) * game.n_states, 3_000_000), rng=0)
    return trace.n_steps / trace.seconds, float(trace.mean_reward[-10:].mean())


def canonical(window: int) -> tuple[float, float]:
    """Return steps per second of canonical R-max in an exact window MDP and its final policy's largest loss."""
    game = WindowMetaGame(GAME, WindowQLearner(), window, 0.8, 10)
    trace = run(game, Rmax(m=2000, epsilon=0.8), episodes=3_000_000, rng=0)
    mdp = game.to_mdp()
    loss = (solve(mdp).value - evaluate_policy(mdp, trace.policy).value).max()
    return trace.n_steps / trace.seconds, float(loss)


def reference() -> float:
    """Return steps per second of the slow reference of the preset, window 2."""
    game = WindowMetaGame(GAME, QLearner(), 2, 0.8, 10)
    began = time.perf_counter()
    naive.run_paper(game, seed=0, m=50, episodes=2_000)
    return 20_000 / (time.perf_counter() - began)


def main() -> None:
    """Print the table."""
    seconds_per_draw(1000)
    paper(2)
    canonical(2)
    print("median of", REPETITIONS, "repetitions; rates per core\n")
    print(f"{'what':44} {'million steps/s':>16} {'/ drawing alone':>16}  achieved")
    for name, measure, draws in (
        ("paper, window 2, hidden learner", lambda: paper(2), 2),
        ("paper, window 3, hidden learner", lambda: paper(3), 2),
        ("canonical, window 4, exact MDP", lambda: canonical(4), 1),
    ):
        rates, ratios = [], []
        achieved = 0.0
        for _ in range(REPETITIONS):
            before = seconds_per_draw()
            rate, achieved = measure()
            # One start per ten steps is drawn as well.
            drawing = (draws + 0.1) * (before + seconds_per_draw()) / 2
            rates.append(rate)
            ratios.append(1 / rate / drawing)
        what = "reward per step" if "paper" in name else "largest loss against V*"
        print(
            f"{name:44} {statistics.median(rates) / 1e6:16.1f} {statistics.median(ratios):16.2f}  {what} {achieved:.4f}"
        )
    pairs = [(paper(2)[0], reference()) for _ in range(3)]
    print(f"\npaper, window 2, over the slow reference: {statistics.median(a / b for a, b in pairs):,.0f} times")
    print(f"the slow reference: {statistics.median(b for _, b in pairs):,.0f} steps/s")
    print(f"peak memory: {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:,.0f} MiB")


if __name__ == "__main__":
    main()
