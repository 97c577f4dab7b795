"""Time and achieved error of `solve`, side by side with QuantEcon's and mdpsolver's modified policy iteration.

Run it with ``python tests/benchmarks/bench_solve.py [random] [grid] [window] [policy] [near] [--side 1000]``; needs the
extra ``rfos[bench]``. Every solver gets the same MDP and the same tolerance and is timed in turn, in rounds; printed
are medians over the rounds of times and of ratios within a round. A peer runs at the best of a few settings, found
beforehand; `solve` runs at its defaults. Errors are distances from the certified interval of a sharper `solve`. A
sweep is compared with a plain copy of as many bytes as the sweep reads and writes.

"near" has no peers: slowly mixing chains at discount 1-1e-6, where `solve` turns to equations, beside sweeps alone that
are stopped after about ten times as long.
"""

from __future__ import annotations

import argparse
import statistics
import time
import warnings
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import mdpsolver
import numpy as np
import scipy.sparse as sp

from rfos import Solution, TabularMDP, WindowMetaGame, WindowQLearner, evaluate_policy, named_game, solve
from rfos._system.threads import Threads
from rfos.games.named import standard_prisoners_dilemma
from rfos.games.stochastic import iterated
from rfos.metagames.grids import LevelGrid
from rfos.metagames.learners import NaiveLearner
from rfos.metagames.policy import PolicyMetaGame
from rfos.planning.iteration import Iteration

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    from quantecon.markov import DiscreteDP

Solver = Callable[[], Any]


class Case(NamedTuple):
    """An MDP, a tolerance, rounds of timing, and the settings (sweeps per policy) that each peer may choose from.

    mdpsolver's are Gauss-Seidel, or parallel where negative.
    """

    name: str
    mdp: TabularMDP
    tol: float
    rounds: int
    settings: dict[str, tuple[int, ...]]


SETTINGS = {"quantecon": (5, 20, 50), "mdpsolver": (5, 20, 50, -20)}


def random_sparse(n_states: int = 100_000, n_actions: int = 8, branching: int = 10) -> Case:
    """Uniform successors, Dirichlet probabilities, rewards in [-1, 1], discount .99."""
    rng = np.random.default_rng(0)
    pairs = n_states * n_actions
    successor = rng.integers(0, n_states, (pairs, branching)).astype(np.int32)
    law = rng.dirichlet(np.ones(branching), pairs)
    start = np.arange(0, pairs * branching + 1, branching)
    matrix = sp.csr_array((law.ravel(), successor.ravel(), start), (pairs, n_states))
    mdp = TabularMDP(matrix, rng.uniform(-1, 1, (n_states, n_actions)), 0.99)
    return Case("random sparse, 100,000 states", mdp, 1e-6, 5, SETTINGS)


def grid_world(side: int) -> Case:
    """Four moves that slip sideways with probability .2; each step costs 1 until an absorbing goal; discount .999.

    QuantEcon is left out: at a side of 1000 it was stopped after seven minutes, where mdpsolver takes two.
    """
    states = np.arange(side * side)
    row, column = divmod(states, side)
    moves = [
        np.clip(row + down, 0, side - 1) * side + np.clip(column + right, 0, side - 1)
        for down, right in ((-1, 0), (0, 1), (1, 0), (0, -1))
    ]
    successor = np.empty((len(states), 4, 3), np.int32)
    for a in range(4):
        for k, turned in enumerate((a, (a + 1) % 4, (a + 3) % 4)):
            successor[:, a, k] = moves[turned]
    goal = side * (7 * side // 10) + 3 * side // 10
    successor[goal] = goal
    rewards = np.full((len(states), 4), -1.0)
    rewards[goal] = 0.0
    law = np.tile([0.8, 0.1, 0.1], 4 * len(states))
    start = np.arange(0, len(law) + 1, 3)
    matrix = sp.csr_array((law, successor.ravel(), start), (4 * len(states), len(states)))
    return Case(f"grid world, {side} x {side}", TabularMDP(matrix, rewards, 0.999), 1e-4, 1, {"mdpsolver": (10, 20)})


def window(length: int = 9) -> Case:
    """The iterated Prisoner's Dilemma against a Q-learner on the window: 4^length states, discount .99."""
    game = WindowMetaGame(named_game("prisoners-dilemma"), WindowQLearner(), length, 0.99)
    return Case(f"window {length}, {game.n_states:,} states", game.to_mdp(), 1e-6, 5, SETTINGS)


def policy(levels: int = 4) -> Case:
    """The iterated Prisoner's Dilemma against the naive learner on barycentric levels: a million pairs at 4 levels."""
    spaced = tuple(float(p) for p in np.clip(np.linspace(0, 1, levels), 0.02, 0.98))
    grid = LevelGrid(5, spaced)
    game = iterated(standard_prisoners_dilemma(), 0.96)
    mdp = PolicyMetaGame(game, [NaiveLearner()], [grid, grid], 0.99).to_mdp()
    return Case(f"policy meta-game, {mdp.n_states:,} states", mdp, 1e-6, 5, SETTINGS)


def as_matrix(mdp: TabularMDP) -> tuple[Any, np.ndarray]:
    """Return transitions (S*A, S) and expected rewards (S*A,)."""
    successor, probability, reward = mdp.storage.branches(mdp.rewards)
    expected = (probability * reward).sum(axis=1)
    start = np.arange(0, successor.size + 1, successor.shape[1])
    matrix = sp.csr_matrix((probability.ravel(), successor.ravel(), start), shape=(len(successor), mdp.n_states))
    matrix.eliminate_zeros()
    matrix.sum_duplicates()  # both overwrite `probability`
    return matrix, expected


def quantecon_solver(mdp: TabularMDP, tol: float) -> Callable[[int], Solver]:
    """Return QuantEcon's modified policy iteration by its number of sweeps per policy."""
    matrix, reward = as_matrix(mdp)
    state, action = np.divmod(np.arange(mdp.n_states * mdp.n_actions), mdp.n_actions)
    problem = DiscreteDP(reward, matrix, mdp.discount, state, action)
    return lambda k: lambda: problem.solve("modified_policy_iteration", epsilon=tol, max_iter=10**6, k=k).v


def mdpsolver_solver(mdp: TabularMDP, tol: float) -> Callable[[int], Solver]:
    """Return mdpsolver's modified policy iteration, Gauss-Seidel for k > 0 and parallel standard for k < 0.

    Its time is the one it reports, which leaves out the conversion from and to Python lists. A model remembers its
    last solution and would start from it; it is handed zeros.
    """
    matrix, reward = as_matrix(mdp)
    start, columns, data = matrix.indptr.tolist(), matrix.indices.tolist(), matrix.data.tolist()
    cells = [range(s * mdp.n_actions, (s + 1) * mdp.n_actions) for s in range(mdp.n_states)]
    model = mdpsolver.model()
    model.mdp(
        discount=mdp.discount,
        rewards=reward.reshape(mdp.n_states, mdp.n_actions).tolist(),
        tranMatProbs=[[data[start[i] : start[i + 1]] for i in row] for row in cells],
        tranMatColumns=[[columns[start[i] : start[i + 1]] for i in row] for row in cells],
    )
    zeros = [0.0] * mdp.n_states

    def at(k: int) -> Solver:
        def run() -> tuple[float, np.ndarray]:
            update = "gs" if k > 0 else "standard"
            model.solve(
                algorithm="mpi",
                tolerance=tol,
                update=update,
                parIterLim=abs(k),
                initValueVector=zeros,
                initPolicy=[0] * mdp.n_states,
            )
            return model.getRuntime() / 1000, np.array(model.getValueVector())

        return run

    return at


def timed(run: Solver) -> tuple[float, np.ndarray]:
    """Return seconds and values."""
    began = time.perf_counter()
    found = run()
    seconds = time.perf_counter() - began
    return found if isinstance(found, tuple) else (seconds, found)


def fastest(solver: Callable[[int], Solver], settings: tuple[int, ...]) -> tuple[int, float, np.ndarray]:
    """Return the best setting, its time and its values."""
    tried = [(k, *timed(solver(k))) for k in settings]
    return min(tried, key=lambda row: row[1])


def bandwidth(case: Case) -> None:
    """Print what share of a plain copy's speed the two sweeps reach, by the bytes that they touch."""
    mdp = case.mdp
    values, spare = np.zeros(mdp.n_states), np.empty(mdp.n_states)
    policy = np.zeros(mdp.n_states, np.int64)
    chain = mdp.storage.chain(mdp.rewards, policy)
    vectors = values.nbytes + spare.nbytes
    with Threads(10**9) as threads:
        sweeps = Iteration(mdp, threads)
        for what, touched, run in (
            (
                "backup over all actions",
                mdp.nbytes + vectors + policy.nbytes,
                lambda: sweeps.improve(values, spare, policy),
            ),
            (
                "sweep along a policy",
                sum(x.nbytes for x in chain) + vectors,
                lambda: sweeps.evaluate(chain, values, spare),
            ),
        ):
            source = np.ones(touched // 8)
            target = np.zeros_like(source)
            ratios, rates = [], []
            for _ in range(9):
                began = time.perf_counter()
                target[:] = source
                middle = time.perf_counter()
                run()
                seconds = time.perf_counter() - middle
                ratios.append((middle - began) / seconds)
                rates.append(touched / seconds)
            print(f"  {what}: {statistics.median(rates) / 1e9:.1f} GB/s, {statistics.median(ratios):.2f} of a copy")


def measure(case: Case) -> float:
    """Print one case and return how many times faster `solve` is than the better peer."""
    mdp, tol = case.mdp, case.tol
    print(f"{case.name}, {mdp.n_actions} actions, discount {mdp.discount}, brackets of {tol:g}", flush=True)
    solve(mdp, tol=1e3, max_iterations=2)
    sharp = solve(mdp, tol=tol / 100)

    def error(values: np.ndarray) -> float:
        return float(np.maximum(sharp.lower - values, values - sharp.upper).max())

    makers = {"quantecon": quantecon_solver, "mdpsolver": mdpsolver_solver}
    peers = {name: (makers[name](mdp, tol), settings) for name, settings in case.settings.items()}
    best = {}
    for name, (solver, settings) in peers.items():
        k, seconds, values = fastest(solver, settings)
        best[name] = k
        print(f"  {name}: best with {k} sweeps per policy, {seconds:.2f} s, error {error(values):.1e}", flush=True)
    times: dict[str, list[float]] = {"rfos": [], **{name: [] for name in peers}}
    solution = sharp
    for _ in range(case.rounds):
        began = time.perf_counter()
        solution = solve(mdp, tol=tol)
        times["rfos"].append(time.perf_counter() - began)
        for name, (solver, _) in peers.items():
            times[name].append(timed(solver(best[name]))[0])
    width = float((solution.upper - solution.lower).max())
    print(
        f"  rfos: {statistics.median(times['rfos']):.3f} s, {solution.iterations} backups, converged "
        f"{solution.converged}, bracket {width:.1e}, error {error(solution.value):.1e}"
    )
    ratios = {}
    for name in peers:
        ratios[name] = statistics.median(a / b for a, b in zip(times[name], times["rfos"], strict=True))
        print(f"  {name}: {statistics.median(times[name]):.3f} s, {ratios[name]:.2f} times rfos")
    bandwidth(case)
    return min(ratios.values())


def slow_chains() -> Iterator[tuple[str, Any]]:
    """Yield names and transition matrices of chains that mix slowly."""
    for n in (10_000, 100_000):
        states = np.arange(n)
        ring = np.stack([(states + 1) % n, (states - 1) % n], axis=1)
        yield f"ring of {n:,} states", equal_shares(ring)
    for side in (100, 300):
        row, column = divmod(np.arange(side * side), side)
        moves = [
            np.clip(row + down, 0, side - 1) * side + np.clip(column + right, 0, side - 1)
            for down, right in ((-1, 0), (0, 1), (1, 0), (0, -1))
        ]
        yield f"grid of {side} x {side}", equal_shares(np.stack(moves, axis=1))
    n = 10_000
    halves = np.random.default_rng(0).integers(0, n, (2, n, 5)) + np.array([0, n])[:, None, None]
    halves[0, 0], halves[1, 0] = n, 0
    yield "two random halves that one edge joins", equal_shares(halves.reshape(2 * n, 5))


def equal_shares(successor: np.ndarray) -> Any:
    """Return the matrix that moves to each of the successors (S, B) with the same probability."""
    n_states, branching = successor.shape
    start = np.arange(0, successor.size + 1, branching)
    matrix = sp.csr_array(
        (np.full(successor.size, 1 / branching), successor.ravel(), start), shape=(n_states, n_states)
    )
    matrix.sum_duplicates()
    return matrix


def near_one(discount: float = 1 - 1e-6, tol: float = 1e-2) -> None:
    """Print time and achieved bracket of `solve` and `evaluate_policy` on slow chains, and of sweeps alone."""
    for name, moves in slow_chains():
        n_states = moves.shape[0]
        order = np.arange(2 * n_states).reshape(2, -1).T.ravel()
        rows = sp.vstack([moves, (moves + sp.eye_array(n_states)) / 2]).tocsr()[order]  # walk, or half as often
        mdp = TabularMDP(rows, np.random.default_rng(0).uniform(-1, 1, (n_states, 2)), discount)
        print(f"{name}, 2 actions, discount 1-{1 - discount:.0e}, brackets of {tol:g}", flush=True)

        def report(what: str, run: Callable[[], Solution]) -> float:
            began = time.perf_counter()
            found = run()
            seconds = time.perf_counter() - began
            width = float((found.upper - found.lower).max())
            how = f"{found.iterations} backups, ended by {found.ended.value}"
            print(f"  {what}: {seconds:.2f} s, {how}, bracket {width:.1e}", flush=True)
            return seconds

        solve(mdp, tol=1e9)
        seconds = report("solve", lambda mdp=mdp: solve(mdp, tol=tol))
        report("policy", lambda mdp=mdp: evaluate_policy(mdp, np.zeros(mdp.n_states, np.int64), tol))
        report("drawn policy", lambda mdp=mdp: evaluate_policy(mdp, np.full((mdp.n_states, 2), 0.5), tol))
        began = time.perf_counter()
        solve(mdp, "modified_policy_iteration", tol, max_iterations=200)
        most = int(200 * 10 * seconds / (time.perf_counter() - began))
        report("sweeps", lambda mdp=mdp, most=most: solve(mdp, "modified_policy_iteration", tol, max_iterations=most))


def main() -> None:
    """Print all cases, or those named."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("cases", nargs="*", default=["random", "window", "policy", "grid", "near"])
    parser.add_argument("--side", type=int, default=1000, help="side of the grid world")
    arguments = parser.parse_args()
    makers = {"random": random_sparse, "window": window, "policy": policy, "grid": lambda: grid_world(arguments.side)}
    if "near" in arguments.cases:
        near_one()
    ratios = [measure(makers[name]()) for name in arguments.cases if name != "near"]
    if not ratios:
        return
    mean = statistics.geometric_mean(ratios)
    print(f"over the better peer: {', '.join(f'{x:.2f}' for x in ratios)}; geometric mean {mean:.2f}")


if __name__ == "__main__":
    main()
