"""Statements on samples and runs: concentration, counts of explorations, R-max itself (P1, P5, X1, X3, X4, T1)."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

import bounds.rmax
from bounds import Bound, concentration, exploration, sharp
from rfos.mdp import TabularMDP
from rfos.pac import ledger
from rfos.rmax import Rmax, run
from rfos.verification._engine import Sides, Statement, rate_sides
from rfos.verification._models import Float, optimum, value_of

TRIALS = 20_000


@dataclass(frozen=True)
class Setting:
    """Parameters of a simulation and the root of its stream."""

    values: dict[str, Any]
    seed: int

    @property
    def label(self) -> str:
        """The parameters in words."""
        return ", ".join(f"{name} {value:g}" for name, value in self.values.items())

    @property
    def rng(self) -> np.random.Generator:
        """The stream, from its start."""
        return np.random.default_rng(self.seed)


def _seed(rng: np.random.Generator) -> int:
    return int(rng.integers(2**62))


# P1 -----------------------------------------------------------------------------------------------------------------


def _sample_hoeffding(rng: np.random.Generator) -> Setting:
    m = int(rng.choice([1, 10, 100, 1000]))
    eps = float(round(rng.uniform(0.5, 2.5) / math.sqrt(m), 4))
    return Setting({"m": m, "eps_reward": eps, "mean": float(rng.choice([0.05, 0.3, 0.5]))}, _seed(rng))


def _p1_hoeffding(s: Setting, planted: bool) -> Sides:
    v = s.values
    errors = np.abs(s.rng.binomial(v["m"], v["mean"], TRIALS) / v["m"] - v["mean"])
    eps = v["eps_reward"]
    allowed = concentration.hoeffding().evaluate(m=v["m"], eps_reward=eps * (2 if planted else 1), r_max=1)
    return rate_sides(int((errors > eps).sum()), TRIALS, float(allowed))


def _sample_row(rng: np.random.Generator) -> Setting:
    m, size = int(rng.choice([10, 100, 1000])), int(rng.choice([1, 2, 3, 10, 50]))
    eps = float(round((math.sqrt(size - 1) + rng.uniform(0.5, 2.5)) / math.sqrt(m), 4))
    return Setting({"m": m, "branching": size, "eps_transition": eps}, _seed(rng))


def _row_failures(s: Setting) -> int:
    v, trials = s.values, TRIALS // 4
    counts = s.rng.multinomial(v["m"], np.full(v["branching"], 1 / v["branching"]), trials)
    errors = np.abs(counts / v["m"] - 1 / v["branching"]).sum(axis=1)
    return int((errors > v["eps_transition"] + 1e-12).sum())


def _p1_weissman(s: Setting, planted: bool) -> Sides:
    v = dict(s.values)
    if planted:
        v["eps_transition"] *= 2
    return rate_sides(_row_failures(s), TRIALS // 4, float(concentration.weissman().evaluate(**v)))


def _p1_mcdiarmid(s: Setting, planted: bool) -> Sides:
    v = dict(s.values)
    if planted:  # the mean of the error dropped
        allowed = math.exp(-v["m"] * v["eps_transition"] ** 2 / 2)
    else:
        allowed = float(concentration.mcdiarmid().evaluate(**v))
    return rate_sides(_row_failures(s), TRIALS // 4, allowed)


# P5, X1, X3 ---------------------------------------------------------------------------------------------------------


def _sample_blocks(rng: np.random.Generator) -> Setting:
    values = {"explorations": int(rng.integers(1, 200)), "escape": float(rng.choice([0.01, 0.1, 0.5, 0.9]))}
    return Setting({**values, "delta": float(rng.choice([0.02, 0.2, 0.8]))}, _seed(rng))


def _p5(s: Setting, planted: bool) -> Sides:
    """Blocks that explore with probability p exactly, until nothing is left to explore."""
    v = s.values
    blocks = v["explorations"] + s.rng.negative_binomial(v["explorations"], v["escape"], TRIALS)
    most = bounds.rmax.p5().evaluate(**v)
    most = v["explorations"] / v["escape"] if planted else most
    return rate_sides(int((blocks > most).sum()), TRIALS, v["delta"] / 2)


def _sample_count(rng: np.random.Generator) -> Setting:
    values = {"explorations": int(rng.integers(1, 300)), "discount": float(rng.choice([0.0, 0.5, 0.9, 0.99]))}
    return Setting(
        {**values, "delta": float(rng.choice([0.02, 0.2, 0.8])), "q": float(rng.choice([0.002, 0.1, 0.7]))}, _seed(rng)
    )


def _x1(s: Setting, planted: bool) -> Sides:
    """A wait with chance q of an exploration in each step: e = γq/(1-γ+γq) while waiting, 1 when exploring."""
    v = s.values
    k0, g, q = v["explorations"], v["discount"], v["q"]
    waits = k0 + s.rng.negative_binomial(k0, q, TRIALS)
    total = k0 + waits * g * q / (1 - g + g * q)
    most = float(exploration.x1().evaluate(explorations=k0, discount=g, delta=v["delta"]))
    most *= 1 - g if planted else 1
    return rate_sides(int((total > most).sum()), TRIALS, v["delta"] / 2)


def _x1_mean(s: Setting, planted: bool) -> Sides:
    """The mean of the same process, exactly: k0 (1 + γ/(1-γ+γq))."""
    v = s.values
    k0, g, q = v["explorations"], v["discount"], v["q"]
    most = float(exploration.x1_mean().evaluate(explorations=k0, discount=g))
    return Sides(k0 * (1 + g / (1 - g + g * q)), most * (1 - g) if planted else most)


def _sample_slow(rng: np.random.Generator) -> Setting:
    values = {"far_states": int(rng.integers(2, 12)), "n_actions": int(rng.integers(2, 5))}
    g, v = float(rng.choice([0.9, 0.95, 0.99])), float(rng.choice([0.1, 0.5, 1.0]))
    q = 2 * v * (1 - g) / (g * (1 / (1 - g) - v))
    m = int(rng.choice([100, 400, 2000]) / q) + 1
    return Setting({**values, "m": m, "discount": g, "safe_value": v}, _seed(rng))


def slow_tries(
    rng: np.random.Generator, *, far_states: int, n_actions: int, m: int, q: float, critical: float | None = None
) -> int:
    """Return how often R-max tries in X3's family, drawn from its exact law; each try is a bad step.

    A try reaches one of the far states with probability q, uniformly; q_c is `critical`, by default q/2. Once it is
    known, after m tries, its estimates are frozen, and R-max tries on while the estimated chance of an unfinished far
    state exceeds q_c. A far state is finished after n_actions * m visits.
    """
    critical = q / 2 if critical is None else critical
    first = rng.multinomial(m, [*([q / far_states] * far_states), 1 - q])[:far_states]
    missing = n_actions * m - first
    # With tries at the points of a Poisson process of rate 1, visits to each far state are independent of the others.
    rate = q / far_states
    ends = np.where(missing > 0, rng.gamma(np.maximum(missing, 1), 1 / rate), 0.0)
    hope = float(first.sum()) / m
    stop = 0.0
    last = -1
    for i in np.argsort(ends):
        if hope <= critical:
            break
        hope -= float(first[i]) / m
        stop, last = float(ends[i]), int(i)
    if stop <= 0:
        return m
    tries = m + int(rng.poisson((1 - q) * stop))
    for i in range(far_states):
        if i == last:
            tries += int(missing[i])
        elif ends[i] < stop:
            tries += max(0, int(missing[i])) + int(rng.poisson(rate * (stop - ends[i])))
        else:
            tries += int(rng.binomial(missing[i] - 1, stop / ends[i]))
    return tries


def _x3(s: Setting, planted: bool) -> Sides:
    """The probability that fewer bad steps are taken, over 40 runs."""
    v = s.values
    g, value = v["discount"], v["safe_value"]
    q = 2 * value * (1 - g) / (g * (1 / (1 - g) - value))
    sizes = {name: v[name] for name in ("far_states", "n_actions", "m")}
    rng = s.rng
    least = float(exploration.x3().evaluate(**v, r_max=1)) * (8 if planted else 1)
    tries = [slow_tries(rng, **sizes, q=q) for _ in range(40)]
    allowed = float(exploration.x3_failure().evaluate(**v, r_max=1))
    return rate_sides(sum(t < least for t in tries), len(tries), min(1.0, allowed))


# R-max --------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class World:
    """An MDP as arrays, with what is asked of R-max in it."""

    P: Float
    R: Float
    discount: float
    epsilon: float
    seed: int
    label: str

    def mdp(self) -> TabularMDP:
        """The MDP; integer successors where they are certain, so that it is known to be deterministic."""
        if (self.P.max(axis=2) == 1).all():
            return TabularMDP(self.P.argmax(axis=2), self.R, self.discount)
        return TabularMDP(self.P, self.R, self.discount)

    def bad_states(self, policy: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Where the policy is not ε-optimal, shape (S,)."""
        at = np.arange(len(self.R))
        best, _ = optimum(self.P, self.R, self.discount)
        values = value_of(self.P[at, policy], self.R[at, policy], self.discount)
        bad: NDArray[np.bool_] = values < best - self.epsilon - 1e-9
        return bad


def epochs(
    world: World, agent: Rmax, steps: int, mdp: TabularMDP | None = None, **options: Any
) -> list[tuple[int, int, NDArray[np.int64]]]:
    """Return (first step, last step + 1, policy) of each plan of a run, by runs that end with each plan."""
    mdp = world.mdp() if mdp is None else mdp
    final = run(mdp, agent, steps=steps, bins=1, rng=world.seed, **options)
    times = [0, *sorted({int(t) for t in final.known_at if t})]
    ends = [*times[1:], steps]
    policies = [np.zeros(mdp.n_states, np.int64)]
    policies += [run(mdp, agent, steps=t, bins=1, rng=world.seed, **options).policy for t in times[1:]]
    return [(a, b, policy) for a, b, policy in zip(times, ends, policies, strict=True) if b > a]


def suboptimal_steps(mdp: TabularMDP, agent: Rmax, *, steps: int, epsilon: float, seed: int = 0) -> int:
    """Return at most how many steps of a run from state 0 are not ε-optimal: all those of a plan that is bad somewhere.

    Parameters
    ----------
    mdp : TabularMDP
        Without restarts; small, as its values are found by elimination.
    agent : Rmax
        With stationary planning.
    steps : int
    epsilon : float
        In units of value, reward/(1-discount).
    seed : int

    Examples
    --------
    One state, action 1 pays: action 0 is tried m = 3 times first.

    >>> suboptimal_steps(TabularMDP([[0, 0]], [[0.0, 1.0]], 0.5), Rmax(m=3), steps=100, epsilon=0.1)
    3
    """
    successor, probability, reward = mdp.storage.branches(mdp.rewards)
    n, n_actions = mdp.n_states, mdp.n_actions
    P = np.zeros((n * n_actions, n))
    for column in range(successor.shape[1]):
        np.add.at(P, (np.arange(n * n_actions), successor[:, column]), probability[:, column])
    R = (probability * reward).sum(axis=1).reshape(n, n_actions)
    world = World(P.reshape(n, n_actions, n), R, mdp.discount, epsilon, seed, "")
    plans = epochs(world, agent, steps, mdp=mdp, starts=[0])
    return sum(end - start for start, end, policy in plans if world.bad_states(policy).any())


def _sample_certain(rng: np.random.Generator) -> World:
    n, n_actions = int(rng.integers(2, 7)), int(rng.integers(1, 4))
    P = np.eye(n)[rng.integers(0, n, (n, n_actions))]
    R = rng.integers(0, 6, (n, n_actions)) / 5
    R.flat[rng.integers(R.size)] = 1.0
    g = float(rng.choice([0.5, 0.8, 0.9]))
    epsilon = float(rng.choice([0.05, 0.2])) / (1 - g)
    return World(P, R, g, epsilon, _seed(rng) % 2**32, f"{n} states, {n_actions} actions, discount {g:g}")


def _corridor(length: int, n_actions: int) -> World:
    """A safe loop at 0 and a corridor that every wrong action leaves: each pair costs a walk along it."""
    n = length + 2
    P, R = np.zeros((n, n_actions, n)), np.zeros((n, n_actions))
    P[:, :, 0], P[n - 1] = 1, np.eye(n)[n - 1]
    R[0, 0], R[n - 1] = 0.3, 1.0
    for i in range(length):
        P[i, n_actions - 1] = np.eye(n)[i + 1]
    P[length, :, 0] = 1
    return World(P, R, 0.9, 1.0, 0, f"corridor of {length}, {n_actions} actions")


def _t1_deterministic(world: World, planted: bool) -> Sides:
    n, n_actions = world.R.shape
    at = {"n_states": n, "n_actions": n_actions, "epsilon": world.epsilon, "discount": world.discount, "r_max": 1}
    promised = sharp.t1_deterministic().evaluate(**at, w_plan=bounds.rmax.default_weights("continuing")["w_plan"])
    most = int(promised["steps"])
    bad, state = 0, 0
    for start, end, policy in epochs(world, Rmax(m=1, epsilon=world.epsilon), 2 * most + 20, starts=[0]):
        wrong = world.bad_states(policy)
        for _ in range(start, end):
            bad += bool(wrong[state])
            state = int(world.P[state, policy[state]].argmax())
    return Sides(bad, most / (n * n_actions * int(promised["horizon"])) if planted else most)


def _small_world(rng: np.random.Generator) -> World:
    """Three states, two actions, two successors each, every state reached under every policy."""
    P = np.zeros((3, 2, 3))
    for s in range(3):
        for a in range(2):
            p = rng.uniform(0.1, 0.9)
            P[s, a, (s + 1) % 3] += p
            P[s, a, rng.choice([s, (s + 2) % 3])] += 1 - p
    R = rng.choice([0.0, 0.1, 1.0], (3, 2), p=[0.4, 0.4, 0.2])
    R[0, 0], R[2, 1] = 0.0, 1.0
    return World(P, R, 0.5, 0.25, _seed(rng) % 2**32, "")


RUNS = 40
DELTA = 0.05


@dataclass(frozen=True)
class Worlds:
    """Several MDPs of one shape, for one rate."""

    worlds: tuple[World, ...]
    label: str


def _gamble(success: float, sure: float, seed: int) -> World:
    """Home: a sure reward, or 1 with some probability; after one bad draw of the gamble the sure thing looks better."""
    P, R = np.zeros((4, 2, 4)), np.zeros((4, 2))
    P[1:, :, 0] = 1
    P[0, 0, 3], P[0, 1, 1], P[0, 1, 2] = 1, success, 1 - success
    R[1], R[3] = 1, sure
    return World(P, R, 0.5, 0.25, seed, "")


def _sample_worlds(rng: np.random.Generator) -> Worlds:
    if rng.random() < 0.5:
        worlds = tuple(_small_world(rng) for _ in range(RUNS))
        return Worlds(worlds, f"{RUNS} runs in random MDPs of 3 states, discount 0.5, epsilon 0.25")
    success = rng.uniform(0.45, 0.9, RUNS)
    gambles = zip(success, rng.uniform(0, success - 0.4), strict=True)  # so that 0.4/(2 - 1/2) can be lost
    worlds = tuple(_gamble(p, c, _seed(rng) % 2**32) for p, c in gambles)
    return Worlds(worlds, f"{RUNS} runs of random gambles, discount 0.5, epsilon 0.25")


_GAMBLES = Worlds(
    tuple(_gamble(0.5, 0.05, i) for i in range(RUNS)), f"{RUNS} runs of the gamble, discount 0.5, epsilon 0.25"
)


def _exceeds(most: int, world: World, m: int, horizon: int | None) -> bool:
    """Whether the ledger of a run counts more than `most` steps that are not ε-optimal; with a horizon, episodes.

    A run that ends with all pairs known and an ε-optimal policy has no such step to come: its count is that of the
    run without end. Any other is followed until a policy that is bad for ever has been counted more than `most` times.
    """
    agent = Rmax(m=m, epsilon=world.epsilon, delta=DELTA, planning="stationary" if horizon is None else "episode")
    options: dict[str, Any] = {"epsilon": world.epsilon, "delta": DELTA, "horizon": horizon}
    options |= {"starts": [0], "rng": world.seed}
    found = ledger(world.mdp(), agent, steps=10 * m * world.R.size, **options)
    if found.trace.all_known_at is None or not found.final_is_optimal:
        found = ledger(world.mdp(), agent, steps=3 * (horizon or 1) * (most + 1), **options)
    assert found.count is not None
    return found.count > most


def _theorem(worlds: Worlds, visits: Bound, count: Bound, planted: bool, horizon: int | None = None) -> Sides:
    """How often runs at the theorem's m exceed its count; the fault puts 1 for m, wherever it stands."""
    world = worlds.worlds[0]
    at: dict[str, Any] = {"n_states": world.R.shape[0], "n_actions": world.R.shape[1], "branching": 2, "r_max": 1}
    at |= {"epsilon": world.epsilon, "delta": DELTA, "discount": world.discount}
    at |= bounds.rmax.default_weights("continuing" if "w_hor" in count.weights else "episodic")
    at |= {} if horizon is None else {"horizon": horizon}
    if planted:
        count = replace(count, expression=count.expression.xreplace({visits.expression: 1}))
    m, most = 1 if planted else int(visits.evaluate(**at)), int(count.evaluate(**at))
    failures = sum(_exceeds(most, world, m, horizon) for world in worlds.worlds)
    return rate_sides(failures, len(worlds.worlds), DELTA)


def _t1(worlds: Worlds, planted: bool) -> Sides:
    family = bounds.rmax.t1()
    return _theorem(worlds, family.m, family.steps, planted)


def _t1_plus(worlds: Worlds, planted: bool) -> Sides:
    family = sharp.t1_plus()
    return _theorem(worlds, family.m, family.steps, planted)


def _t1_episodic(worlds: Worlds, planted: bool) -> Sides:
    family = bounds.rmax.t1_episodic()
    return _theorem(worlds, family.m, family.episodes, planted, horizon=4)


def _sample_restarts(rng: np.random.Generator) -> Worlds:
    found = []
    for _ in range(40):
        n = 6
        P = rng.dirichlet(np.full(n, 0.2), (n, 2))
        R = rng.random((n, 2))
        found.append(World(P, R, 0.8, 0.5, _seed(rng) % 2**32, ""))
    return Worlds(tuple(found), "40 runs in MDPs of 6 states, m 20, episodes of 5 steps")


def _bandit() -> Worlds:
    """One state: every step counts until all is known."""
    P, R = np.ones((1, 2, 1)), np.array([[0.0, 1.0]])
    return Worlds(
        tuple(World(P, R, 0.8, 0.5, i, "") for i in range(4)), "4 runs with one state, m 20, episodes of 5 steps"
    )


def _known_after(worlds: Worlds, episodes: int) -> list[int | None]:
    """Return the episodes of 5 steps after which all pairs are known at m = 20, for each run."""
    runs = (
        run(world.mdp(), Rmax(m=20), episodes=episodes, horizon=5, bins=1, rng=world.seed) for world in worlds.worlds
    )
    return [None if trace.all_known_at is None else -(-trace.all_known_at // 5) for trace in runs]


def _restarts(worlds: Worlds) -> dict[str, Any]:
    n, n_actions = worlds.worlds[0].R.shape
    return {"n_states": n, "n_actions": n_actions, "m": 20, "horizon": 5, "delta": 0.2}


def _x4(worlds: Worlds, planted: bool) -> Sides:
    """How often not all pairs are known after N_ep episodes."""
    high = int(bounds.rmax.x4().upper.evaluate(**_restarts(worlds))) // (8 if planted else 1)
    known = _known_after(worlds, high)
    return rate_sides(known.count(None), len(known), 0.1)


def _x4_least(worlds: Worlds, planted: bool) -> Sides:
    """The fewest episodes after which all pairs were known."""
    found = bounds.rmax.x4().evaluate(**_restarts(worlds))
    known = _known_after(worlds, int(found["upper"]))
    least = int(found["lower"]) * (2 if planted else 1)
    return Sides(least, min((episodes for episodes in known if episodes is not None), default=math.inf))


# What does not hold -------------------------------------------------------------------------------------------------


def _resets(world: World, planted: bool) -> Sides:
    """Bad steps of 2,000 episodes of 3 steps against T1''s count for one trajectory."""
    n, n_actions = world.R.shape
    at = {"n_states": n, "n_actions": n_actions, "epsilon": world.epsilon, "discount": world.discount, "r_max": 1}
    most = int(sharp.t1_deterministic().steps.evaluate(**at, w_plan="1/100"))
    bad, state = 0, 0
    for start, end, policy in epochs(world, Rmax(m=1, epsilon=1.0), 6000, starts=[0], horizon=3):
        wrong = world.bad_states(policy)
        for t in range(start, end):
            state = 0 if t % 3 == 0 else state
            bad += bool(wrong[state])
            state = int(world.P[state, policy[state]].argmax())
    return Sides(bad, most)


def _one_visit(s: Setting, planted: bool) -> Sides:
    """Bernoulli(.9) against (.5), one visit each: the worse arm looks better in .1·.5 of the runs, for ever."""
    rng = s.rng
    first, second = rng.random(TRIALS) < 0.9, rng.random(TRIALS) < 0.5
    return rate_sides(int((second & ~first).sum()), TRIALS, 0.0)


_EXACT_RATE = "exact binomial limits, false alarms 1e-9 an instance"
_LEDGER = "exact counts by the ledger, of runs whose last bad step is behind them or that have exceeded the bound"
_ONE_FOR_M = "1 for m: about 5 visits would do in these instances, the bounds ask for thousands"

RUNNING = (
    Statement(
        "P1, rewards",
        "Hoeffding",
        r"\Pr(|\hat R-R|>\varepsilon_R) \le 2e^{-2m\varepsilon_R^2/R_{\max}^2}",
        ("Bernoulli rewards", _EXACT_RATE),
        _sample_hoeffding,
        _p1_hoeffding,
        "2ε for ε in the exponent",
        tuple(Setting({"m": 100, "eps_reward": 0.0999, "mean": 0.5}, i) for i in range(2)),
        share=0.25,
        probabilistic=True,
    ),
    Statement(
        "P1, rows",
        "Weissman et al.",
        r"\Pr(\|\hat P-P\|_1>\varepsilon_P) \le (2^B-2)e^{-m\varepsilon_P^2/2}",
        ("uniform rows", _EXACT_RATE),
        _sample_row,
        _p1_weissman,
        "2ε for ε in the exponent",
        tuple(Setting({"m": 100, "branching": 2, "eps_transition": 0.1999}, i) for i in range(2)),
        share=0.25,
        probabilistic=True,
    ),
    Statement(
        "P1, rows, McDiarmid",
        "McDiarmid",
        r"\Pr(\|\hat P-P\|_1>\varepsilon_P) \le e^{-m(\varepsilon_P-\sqrt{(B-1)/m})^2/2}",
        ("uniform rows", _EXACT_RATE),
        _sample_row,
        _p1_mcdiarmid,
        "the mean √((B-1)/m) dropped",
        tuple(Setting({"m": 100, "branching": 50, "eps_transition": 0.6}, i) for i in range(2)),
        share=0.25,
        probabilistic=True,
    ),
    Statement(
        "P5",
        "few explorations",
        r"\Pr(\#\{\text{blocks with }p_t>p\}>N) \le \delta/2",
        ("blocks that explore with probability p exactly", _EXACT_RATE),
        _sample_blocks,
        _p5,
        "the mean k0/p for the quantile",
        (Setting({"explorations": 100, "escape": 0.1, "delta": 0.2}, 0),),
        share=0.25,
        probabilistic=True,
    ),
    Statement(
        "X1",
        "horizon-free count",
        r"\Pr\Big(\sum_t e_t > C\Big) \le \delta/2",
        ("a wait with chance q of exploring in each step", _EXACT_RATE),
        _sample_count,
        _x1,
        "1-γ for 1: the factor 1/(1-γ) dropped",
        (Setting({"explorations": 50, "discount": 0.9, "delta": 0.2, "q": 0.002}, 0),),
        share=0.25,
        probabilistic=True,
    ),
    Statement(
        "X1, mean",
        "horizon-free count, in expectation",
        r"\mathbb E\sum_t e_t \le \frac{k_0}{1-\hat\gamma}",
        ("the same process, its mean computed",),
        _sample_count,
        _x1_mean,
        "the factor 1/(1-γ) dropped",
        tuple(Setting({"explorations": 50, "discount": g, "delta": 0.2, "q": 1e-9}, 0) for g in (0.5, 0.9, 0.99)),
    ),
    Statement(
        "X3",
        "a family in which R-max is slow",
        r"\Pr\Big(\#\mathrm{bad} < \frac{\hat\gamma nAm(V_{\max}-v)}{8v(1-\hat\gamma)}\Big)"
        r" \le e^{-mq/32}+ne^{-Am/6}+e^{-nAm/12}",
        ("simulated from its exact law, 40 runs", _EXACT_RATE),
        _sample_slow,
        _x3,
        "8 times as many steps claimed",
        (Setting({"far_states": 8, "n_actions": 2, "m": 4000, "discount": 0.9, "safe_value": 1.0}, 0),),
        share=0.03,
        probabilistic=True,
    ),
    Statement(
        "T1'",
        "R-max, deterministic",
        r"\#\mathrm{bad} \le \min(H,|\hat S|)\,|\hat S||\hat A|",
        ("one successor, deterministic rewards, m = 1", "every step of the run counted"),
        _sample_certain,
        _t1_deterministic,
        "the number of pairs and H dropped",
        tuple(_corridor(length, a) for length, a in ((2, 2), (4, 3))),
        share=0.1,
    ),
    Statement(
        "T1",
        "R-max",
        r"\Pr(\#\mathrm{bad} > HN) \le \delta",
        ("m from the theorem", _LEDGER, _EXACT_RATE),
        _sample_worlds,
        _t1,
        _ONE_FOR_M,
        (_GAMBLES,),
        share=0.005,
        probabilistic=True,
    ),
    Statement(
        "T1+",
        "R-max, sharp",
        r"\Pr(\#\mathrm{bad} > CV_{\max}/(w_{\mathrm{esc}}\varepsilon)) \le \delta",
        ("m from the theorem", _LEDGER, _EXACT_RATE),
        _sample_worlds,
        _t1_plus,
        _ONE_FOR_M,
        (_GAMBLES,),
        share=0.005,
        probabilistic=True,
    ),
    Statement(
        "T1-ep",
        "R-max in episodes",
        r"\Pr(\#\mathrm{bad\ episodes} > N) \le \delta",
        ("m from the theorem", "episodes of 4 steps, planned for them", _LEDGER, _EXACT_RATE),
        _sample_worlds,
        _t1_episodic,
        _ONE_FOR_M,
        (_GAMBLES,),
        share=0.005,
        probabilistic=True,
    ),
    Statement(
        "X4",
        "random restarts",
        r"\Pr(\text{episodes until all is known} > N_{\mathrm{ep}}) \le \delta/2",
        ("uniform starts", _EXACT_RATE),
        _sample_restarts,
        _x4,
        "an eighth of N_ep",
        share=0.02,
        probabilistic=True,
    ),
    Statement(
        "X4, lower end",
        "random restarts, fewest episodes",
        r"\lceil k_0/T\rceil \le \text{episodes until all is known}",
        ("uniform starts", "the fewest episodes of all runs"),
        _sample_restarts,
        _x4_least,
        "twice as many episodes",
        (_bandit(),),
        share=0.02,
    ),
)

FALSE_RUNNING = (
    Statement(
        "false: T1 under resets",
        "R-max restarted every T < H steps has few bad steps",
        r"\#\mathrm{bad} \le \min(H,|\hat S|)\,|\hat S||\hat A|",
        ("a corridor of 5 steps to an unknown pair, restarts every 3 steps: it is walked for ever",),
        _sample_certain,
        _resets,
        "",
        (_corridor(5, 2),),
        holds=False,
    ),
    Statement(
        "false: T1' with random rewards",
        "one successor is enough for m = 1",
        r"\Pr(\text{the worse arm is kept}) = 0",
        ("Bernoulli(.9) against (.5)", _EXACT_RATE),
        _sample_hoeffding,
        _one_visit,
        "",
        (Setting({"first": 0.9, "second": 0.5}, 0),),
        probabilistic=True,
        holds=False,
    ),
)
