"""Statements on samples and runs: concentration, counts of explorations, R-max itself (P1, P5, X1, X3, X4, T1, X6)."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
import scipy.special
import scipy.stats

import bounds.rmax
from bounds import concentration, exploration, sharp, simulation
from rfos.mdp import TabularMDP
from rfos.pac import ledger
from rfos.rmax import Rmax, run
from rfos.verification._engine import Sides, Statement, quantile_sides
from rfos.verification._models import Float

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


def _exponents(claimed: Any, exact: float) -> Sides:
    """Pr <= bound, as exponents: the bound's -ln against that of the exact probability."""
    return Sides(-math.log(float(claimed)), -math.log(exact) if exact > 0 else math.inf)


def _sample_hoeffding(rng: np.random.Generator) -> Setting:
    m = int(rng.choice([1, 10, 100, 1000]))
    eps = float(round(rng.uniform(0.5, 4) / math.sqrt(m), 4))
    return Setting({"m": m, "eps_reward": eps, "mean": float(rng.choice([0.05, 0.3, 0.5]))}, 0)


def _p1_hoeffding(s: Setting, planted: bool) -> Sides:
    """The exact probability of m Bernoulli rewards."""
    m, eps, mean = (s.values[name] for name in ("m", "eps_reward", "mean"))
    hits = np.arange(m + 1)
    far = np.abs(hits / m - mean) > eps
    exact = float(scipy.stats.binom.pmf(hits[far], m, mean).sum())
    eps *= math.sqrt(2) if planted else 1
    return _exponents(concentration.hoeffding().evaluate(m=m, eps_reward=eps, r_max=1), exact)


def _sample_row(rng: np.random.Generator) -> Setting:
    size = int(rng.choice([2, 2, 3, 5, 12]))
    m = int(rng.choice([1, 12, 36])) if size > 2 else int(rng.choice([1, 10, 100]))
    eps = float(round((math.sqrt(size - 1) + rng.uniform(0, 3)) / math.sqrt(m), 4))
    return Setting({"m": m, "branching": size, "eps_transition": eps}, 0)


def _distance_law(m: int, size: int) -> Float:
    """Return the exact law of size·m·‖P̂-P‖₁ = Σ|size·n_i - m| for m draws of a uniform row, by adding up cells."""
    counts = np.arange(m + 1)
    off = np.abs(size * counts - m)
    weight = np.exp(-scipy.special.gammaln(counts + 1))
    law = np.zeros((m + 1, 2 * size * m + 1))  # by draws used and by distance
    law[0, 0] = 1
    for _ in range(size):
        following = np.zeros_like(law)
        for n, away, w in zip(counts, off, weight, strict=True):
            following[n:, away:] += w * law[: m + 1 - n, : law.shape[1] - away]
        law = following
    scaled: Float = law[m] * math.exp(math.lgamma(m + 1) - m * math.log(size))
    return scaled


def _row_failure(s: Setting) -> float:
    m, size = s.values["m"], s.values["branching"]
    if size == 2:
        hits = np.arange(m + 1)
        return float(scipy.stats.binom.pmf(hits[np.abs(2 * hits / m - 1) > s.values["eps_transition"]], m, 0.5).sum())
    law = _distance_law(m, size)
    return float(law[np.arange(len(law)) / (size * m) > s.values["eps_transition"] + 1e-12].sum())


def _p1_weissman(s: Setting, planted: bool) -> Sides:
    v = dict(s.values)
    v["eps_transition"] *= math.sqrt(2) if planted else 1
    return _exponents(concentration.weissman().evaluate(**v), _row_failure(s))


def _p1_mcdiarmid(s: Setting, planted: bool) -> Sides:
    """The planted fault leaves half of the mean √((B-1)/m)."""
    v = dict(s.values)
    v["eps_transition"] += math.sqrt((v["branching"] - 1) / v["m"]) / 2 if planted else 0
    return _exponents(concentration.mcdiarmid().evaluate(**v), _row_failure(s))


# P5, X1, X3 ---------------------------------------------------------------------------------------------------------


def _sample_blocks(rng: np.random.Generator) -> Setting:
    values = {"explorations": int(rng.integers(1, 200)), "escape": float(rng.choice([0.01, 0.1, 0.5, 0.9]))}
    return Setting({**values, "delta": float(rng.choice([0.02, 0.2, 0.8]))}, _seed(rng))


def _p5(s: Setting, planted: bool) -> Sides:
    """Blocks that explore with probability p exactly, until nothing is left to explore."""
    v = s.values
    blocks = v["explorations"] + s.rng.negative_binomial(v["explorations"], v["escape"], TRIALS)
    most = int(bounds.rmax.p5().evaluate(**v))
    return quantile_sides(blocks, most / (2 if planted else 1), v["delta"] / 2)


def _p5_closed(s: Setting, planted: bool) -> Sides:
    binomial, closed = (int(bounds.rmax.p5(form).evaluate(**s.values)) for form in ("binomial", "closed"))
    return Sides(binomial, closed / (2 if planted else 1))


def _p5_classical(s: Setting, planted: bool) -> Sides:
    closed, classical = (int(bounds.rmax.p5(form).evaluate(**s.values)) for form in ("closed", "classical"))
    return Sides(closed, classical / (2 if planted else 1))


def _sample_count(rng: np.random.Generator) -> Setting:
    values = {"explorations": int(rng.integers(1, 300)), "discount": float(rng.choice([0.3, 0.5, 0.9, 0.99]))}
    return Setting(
        {**values, "delta": float(rng.choice([0.02, 0.2, 0.8])), "q": float(rng.choice([0.002, 0.1, 0.7]))}, _seed(rng)
    )


def _x1(s: Setting, planted: bool) -> Sides:
    """A wait with chance q of an exploration in each step: e = γq/(1-γ+γq) while waiting, 1 when exploring."""
    v = s.values
    k0, g, q = v["explorations"], v["discount"], v["q"]
    waits = s.rng.negative_binomial(k0, q, TRIALS)
    total = k0 + waits * (g * q / (1 - g + g * q))
    most = float(exploration.x1().evaluate(explorations=k0, discount=g, delta=v["delta"]))
    return quantile_sides(total, most / (2 if planted else 1), v["delta"] / 2)


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
    rng: np.random.Generator,
    *,
    far_states: int,
    n_actions: int,
    m: int,
    q: float,
    critical: float | None = None,
    observed: bool = False,
) -> int:
    """Return how often R-max tries in X3's family, drawn from its exact law; each try is a bad step.

    A try reaches one of the far states with probability q, uniformly; q_c is `critical`, by default q/2. Once it is
    known, after m tries, its estimates are frozen, and R-max tries on while the estimated chance of an unfinished far
    state exceeds q_c; with `observed` the true chance. A far state is finished after n_actions * m visits.
    """
    critical = q / 2 if critical is None else critical
    first = rng.multinomial(m, [*([q / far_states] * far_states), 1 - q])[:far_states]
    missing = n_actions * m - first
    # With tries at the points of a Poisson process of rate 1, visits to each far state are independent of the others.
    rate = q / far_states
    ends = np.where(missing > 0, rng.gamma(np.maximum(missing, 1), 1 / rate), 0.0)
    share = np.full(far_states, q / far_states) if observed else first / m
    hope = float(share.sum())
    stop = 0.0
    last = -1
    for i in np.argsort(ends):
        if hope <= critical:
            break
        hope -= float(share[i])
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
    """The bound against the number that 400 runs certainly fall short of no oftener than it allows."""
    v = s.values
    g, value = v["discount"], v["safe_value"]
    q = 2 * value * (1 - g) / (g * (1 / (1 - g) - value))
    sizes = {name: v[name] for name in ("far_states", "n_actions", "m")}
    rng = s.rng
    least = float(exploration.x3().evaluate(**v, r_max=1)) * (5 if planted else 1)
    tries = np.array([slow_tries(rng, **sizes, q=q) for _ in range(400)])
    allowed = min(1.0, float(exploration.x3_failure().evaluate(**v, r_max=1)))
    # As upper bounds of 1/tries.
    found = quantile_sides(1 / tries, 1 / least, allowed)
    return found._replace(left=least, right=1 / found.left if found.left else math.inf)


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


def _sample_certain(rng: np.random.Generator) -> World:
    n, n_actions = int(rng.integers(2, 7)), int(rng.integers(1, 4))
    P = np.eye(n)[rng.integers(0, n, (n, n_actions))]
    R = rng.integers(0, 6, (n, n_actions)) / 5
    best = int(rng.integers(R.size))
    R.flat[best], R.flat[best - 1] = 1.0, 0.0  # a span of 1, so that epsilon is below the largest return
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


def _tree(length: int, depth: int, n_actions: int) -> World:
    """A corridor to a tree, all of whose leaves lead home: nearly every pair costs a walk of H steps.

    The safe loop at home is worth 1.12 > ε/γ, so that all steps of the walk are bad, and as the last pairs are
    `length + depth` = 20 steps away, where 10 γ^20 = 1.22, the walk is planned as long as one of them is unknown.
    """
    nodes = (n_actions ** (depth + 1) - 1) // (n_actions - 1)
    inner = (n_actions**depth - 1) // (n_actions - 1)
    n = length + nodes + 1
    following = np.zeros((n, n_actions), np.int64)
    following[np.arange(length), n_actions - 1] = np.arange(1, length + 1)
    following[length : length + inner] = length + 1 + np.arange(inner * n_actions).reshape(inner, n_actions)
    following[n - 1] = n - 1
    R = np.zeros((n, n_actions))
    R[0, 0], R[n - 1] = 0.112, 1.0
    return World(np.eye(n)[following], R, 0.9, 1.0, 0, f"a tree at the end of a corridor, {n} states")


def _t1_deterministic(world: World, planted: bool) -> Sides:
    n, n_actions = world.R.shape
    at = {"n_states": n, "n_actions": n_actions, "epsilon": world.epsilon, "discount": world.discount, "r_max": 1}
    most = int(sharp.t1_deterministic().steps.evaluate(**at, w_plan="1/100"))
    found = ledger(world.mdp(), Rmax(m=1, epsilon=world.epsilon), steps=2 * most + 20, starts=[0], rng=world.seed)
    assert found.count is not None
    return Sides(found.count, most / (2 if planted else 1))


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
SLOW_RUNS = 400
DELTA = 0.05
Theorem = Literal["T1", "T1+", "T1-ep", "T1', observed"]


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


@dataclass(frozen=True)
class Slow:
    """X3's family at a theorem's own m, its runs drawn from their exact law.

    Home has a safe action of value `share` V_max and a try that reaches one of the far states; episodes have
    `horizon` steps, the safe action pays once, and after it, a failed try or a far state nothing more is earned.
    """

    far_states: int
    discount: float
    share: float
    above: float
    weights: tuple[float, ...]
    seed: int
    horizon: int = 0
    n_actions: int = 2

    @property
    def label(self) -> str:
        """The parameters in words."""
        episodes = f", episodes of {self.horizon}" if self.horizon else ""
        return f"{SLOW_RUNS} slow runs, {self.far_states} far states, discount {self.discount:g}{episodes}"

    @property
    def v_max(self) -> float:
        """The largest value, or return of an episode."""
        return (1 - self.discount ** (self.horizon or math.inf)) / (1 - self.discount)

    @property
    def safe_value(self) -> float:
        """What each step (episode) that tries loses."""
        return self.share * self.v_max

    @property
    def critical(self) -> float:
        """The chance of an unfinished far state above which trying looks better than the safe action."""
        g, v = self.discount, self.safe_value
        if self.horizon:
            return v * (1 - g) / (g * (1 - g ** (self.horizon - 1)))
        return v * (1 - g) / (g * (self.v_max - v))


def _promised(theorem: Theorem, values: dict[str, Any], horizon: int | None = None) -> tuple[int, int]:
    """Return m and the largest number of bad steps (episodes)."""
    if theorem == "T1":
        t1 = bounds.rmax.t1()
        return int(t1.m.evaluate(**values)), int(t1.steps.evaluate(**values))
    if theorem == "T1-ep":
        episodic = bounds.rmax.t1_episodic()
        values = {**values, "horizon": horizon}
        return int(episodic.m.evaluate(**values)), int(episodic.episodes.evaluate(**values))
    if theorem == "T1+":
        plus = sharp.t1_plus()
        return int(plus.m.evaluate(**values)), int(plus.steps.evaluate(**values))
    return 1, int(sharp.t1_observed().steps.evaluate(**values))


_WEIGHTS: dict[str, tuple[str, ...]] = {
    "T1": ("w_plan", "w_sim", "w_hor", "w_esc"),
    "T1+": ("w_plan", "w_sim", "w_esc"),
    "T1-ep": ("w_plan", "w_sim", "w_esc"),
    "T1', observed": ("w_plan",),
}


def _slow_counts(slow: Slow, theorem: Theorem) -> tuple[list[int], int]:
    """Return the bad steps (episodes) of runs, and the most that the theorem promises."""
    at: dict[str, Any] = {"n_states": slow.far_states + (2 if slow.horizon else 1), "n_actions": slow.n_actions}
    at |= {"r_max": 1, "epsilon": slow.safe_value * (1 - 1e-6), "delta": DELTA, "discount": slow.discount}
    at |= dict(zip(_WEIGHTS[theorem], slow.weights, strict=True))
    at |= {} if theorem == "T1', observed" else {"branching": slow.far_states + 1}
    m, most = _promised(theorem, at, slow.horizon)
    rng = np.random.default_rng(slow.seed)
    sizes: dict[str, Any] = {
        "far_states": slow.far_states,
        "n_actions": slow.n_actions,
        "m": m,
        "q": slow.above * slow.critical,
    }
    sizes |= {"critical": slow.critical, "observed": theorem == "T1', observed"}
    return [slow_tries(rng, **sizes) for _ in range(SLOW_RUNS)], most


def _sample_slow_theorem(rng: np.random.Generator, weights: tuple[float, ...], horizon: int = 0) -> Slow:
    far, discount = int(rng.integers(2, 60)), float(rng.choice([0.8, 0.9, 0.95]))
    return Slow(
        far, discount, float(rng.choice([0.05, 0.2])), float(rng.uniform(1.05, 2)), weights, _seed(rng), horizon
    )


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


def _count(most: int, world: World, m: int, horizon: int | None) -> int:
    """The ledger's count of steps that are not ε-optimal in a run without end, or a number above `most`.

    With a horizon, episodes. A run that ends with all pairs known and an ε-optimal policy has no such step to come.
    Any other is followed until a policy that is bad for ever has been counted more than `most` times.
    """
    agent = Rmax(m=m, epsilon=world.epsilon, delta=DELTA, planning="stationary" if horizon is None else "episode")
    options: dict[str, Any] = {"epsilon": world.epsilon, "delta": DELTA, "horizon": horizon}
    options |= {"starts": [0], "rng": world.seed}
    found = ledger(world.mdp(), agent, steps=10 * m * world.R.size, **options)
    if found.trace.all_known_at is None or not found.final_is_optimal:
        found = ledger(world.mdp(), agent, steps=3 * (horizon or 1) * (most + 1), **options)
    assert found.count is not None
    return found.count


def _theorem(case: Worlds | Slow, theorem: Theorem, share: int = 1) -> Sides:
    """How many bad steps runs at the theorem's m take, against its count over `share`."""
    if isinstance(case, Slow):
        counts, most = _slow_counts(case, theorem)
        # The row is seen, so that δ/2 is not needed for the model.
        return quantile_sides(counts, most / share, DELTA / (2 if theorem == "T1', observed" else 1))
    world, horizon = case.worlds[0], 4 if theorem == "T1-ep" else None
    at: dict[str, Any] = {"n_states": world.R.shape[0], "n_actions": world.R.shape[1], "branching": 2, "r_max": 1}
    at |= {"epsilon": world.epsilon, "delta": DELTA, "discount": world.discount}
    at |= bounds.rmax.default_weights("continuing" if theorem == "T1" else "episodic")
    m, most = _promised(theorem, at, horizon)
    return quantile_sides([_count(most, world, m, horizon) for world in case.worlds], most / share, DELTA)


def _sample_t1(rng: np.random.Generator) -> Worlds | Slow:
    return _sample_worlds(rng) if rng.random() < 0.3 else _sample_slow_theorem(rng, (0.01, 0.14, 0.15, 0.7))


def _sample_t1_plus(rng: np.random.Generator) -> Worlds | Slow:
    return _sample_worlds(rng) if rng.random() < 0.3 else _sample_slow_theorem(rng, (0.01, 0.04, 0.95))


def _sample_t1_episodic(rng: np.random.Generator) -> Worlds | Slow:
    if rng.random() < 0.3:
        return _sample_worlds(rng)
    return _sample_slow_theorem(rng, (0.01, 0.04, 0.95), int(rng.integers(3, 15)))


def _sample_t1_observed(rng: np.random.Generator) -> Slow:
    return replace(_sample_slow_theorem(rng, (0.01,)), n_actions=int(rng.integers(2, 500)))


def _t1(case: Worlds | Slow, planted: bool) -> Sides:
    return _theorem(case, "T1", 6 if planted else 1)


def _t1_plus(case: Worlds | Slow, planted: bool) -> Sides:
    return _theorem(case, "T1+", 2 if planted else 1)


def _t1_episodic(case: Worlds | Slow, planted: bool) -> Sides:
    return _theorem(case, "T1-ep", 2 if planted else 1)


def _t1_observed(case: Slow, planted: bool) -> Sides:
    return _theorem(case, "T1', observed", 2 if planted else 1)


@dataclass(frozen=True)
class Arms:
    """States that follow each other in a ring, each with two arms of ½ ± ε/2; a discount of 0.

    Where the worse arm looks better after m visits of each it is taken for ever, and each time it is a bad step (or a
    bad episode of one step): the number of bad steps has no end.
    """

    states: int
    epsilon: float

    @property
    def label(self) -> str:
        """The parameters in words."""
        return f"{self.states:.3g} states of two arms that differ by {self.epsilon:g}"

    def failure(self, m: int) -> float:
        """The exact probability that in some state the worse arm looks better after m visits of each."""
        hits = np.arange(m + 1)
        better = scipy.stats.binom.pmf(hits, m, 0.5 + self.epsilon / 2)
        one = float(better @ scipy.stats.binom.sf(hits, m, 0.5 - self.epsilon / 2))
        return -math.expm1(self.states * math.log1p(-one))


def _sample_arms(rng: np.random.Generator) -> Arms:
    return Arms(int(10 ** rng.uniform(0.5, 60)), float(rng.choice([0.2, 0.5])))


_MANY_ARMS = (Arms(10**12, 0.2), Arms(10**100, 0.2))


def _visits(arms: Arms, theorem: Theorem, planted: bool) -> Sides:
    """The largest m found at which the probability of failing for ever exceeds δ, against the theorem's."""
    at: dict[str, Any] = {"n_states": arms.states, "n_actions": 2, "branching": 2, "r_max": 1, "discount": 0}
    # The gap is a little more than what may be lost.
    at |= {"epsilon": arms.epsilon * (1 - 1e-6), "delta": DELTA}
    others = [name for name in _WEIGHTS[theorem] if name != "w_sim"]
    at |= dict.fromkeys(others, 0.005) | {"w_sim": 1 - 0.005 * len(others)}
    m, _ = _promised(theorem, at, 1)
    low, high = 0, m + 1  # the theorem's m is looked at too
    while high - low > 1:
        middle = m if high == m + 1 else (low + high) // 2
        low, high = (middle, high) if arms.failure(middle) > DELTA else (low, middle)
    return Sides(low, m / (2.5 if planted else 1))


def _t1_visits(arms: Arms, planted: bool) -> Sides:
    return _visits(arms, "T1", planted)


def _t1_plus_visits(arms: Arms, planted: bool) -> Sides:
    return _visits(arms, "T1+", planted)


def _t1_episodic_visits(arms: Arms, planted: bool) -> Sides:
    return _visits(arms, "T1-ep", planted)


# Restarts -----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Restarts:
    """Several MDPs of one shape, played in episodes from uniformly random states."""

    worlds: tuple[World, ...]
    horizon: int
    label: str


RESTARTED = 200
VISITS = 20


def _sample_restarts(rng: np.random.Generator, horizon: int | None = None) -> Restarts:
    horizon = int(rng.choice([1, 5])) if horizon is None else horizon
    seeds = range(_seed(rng) % 2**31, 2**32)
    P, R = rng.dirichlet(np.full(6, 0.2), (6, 2)), rng.random((6, 2))
    worlds = tuple(World(P, R, 0.8, 0.5, seed, "") for seed, _ in zip(seeds, range(RESTARTED), strict=False))
    return Restarts(worlds, horizon, f"{RESTARTED} runs in an MDP of 6 states, m {VISITS}, episodes of {horizon}")


def _bandit(n_actions: int, discount: float, epsilon: float, runs: int, horizon: int) -> Restarts:
    """One state whose last action pays: every step counts until all is known, and all but those of the last are bad."""
    P, R = np.ones((1, n_actions, 1)), np.eye(n_actions)[None, -1]
    worlds = tuple(World(P, R, discount, epsilon, i, "") for i in range(runs))
    return Restarts(worlds, horizon, f"{runs} runs with one state and {n_actions} actions, episodes of {horizon}")


def _known_after(case: Restarts, episodes: int) -> list[float]:
    """Return the episodes after which all pairs are known, for each run; infinity where they are not."""
    options: dict[str, Any] = {"episodes": episodes, "horizon": case.horizon, "bins": 1}
    traces = (run(world.mdp(), Rmax(m=VISITS), **options, rng=world.seed) for world in case.worlds)
    return [math.inf if t.all_known_at is None else -(-t.all_known_at // case.horizon) for t in traces]


def _restarts(case: Restarts) -> dict[str, Any]:
    n, n_actions = case.worlds[0].R.shape
    return {"n_states": n, "n_actions": n_actions, "m": VISITS, "horizon": case.horizon, "delta": 0.2}


def _x4(case: Restarts, planted: bool) -> Sides:
    """Episodes until all is known."""
    most = int(bounds.rmax.x4().upper.evaluate(**_restarts(case)))
    return quantile_sides(_known_after(case, most), most / (2 if planted else 1), 0.1)


def _x4_least(case: Restarts, planted: bool) -> Sides:
    """The fewest episodes after which all pairs were known."""
    found = bounds.rmax.x4().evaluate(**_restarts(case))
    least = int(found["lower"]) * (2 if planted else 1)
    return Sides(least, min(_known_after(case, int(found["upper"]))))


def _sample_restarted_worlds(rng: np.random.Generator) -> Restarts:
    return Restarts(tuple(_small_world(rng) for _ in range(RUNS)), 4, f"{RUNS} random MDPs of 3 states, episodes of 4")


def _x4_steps(case: Restarts, planted: bool) -> Sides:
    """Bad steps at the m of T1, until all is known; after that there is none if the plan is good."""
    world = case.worlds[0]
    at: dict[str, Any] = {"n_states": world.R.shape[0], "n_actions": world.R.shape[1], "branching": 2, "r_max": 1}
    at |= {"epsilon": world.epsilon, "delta": DELTA, "discount": world.discount, "horizon": case.horizon}
    promised = bounds.rmax.t1_restarts().evaluate(**at, w_plan="1/100", w_sim="99/100")
    m, most = int(promised["m"]), int(promised["steps"])
    counts = []
    for each in case.worlds:
        options: dict[str, Any] = {"epsilon": each.epsilon, "delta": DELTA, "horizon": case.horizon, "rng": each.seed}
        found = ledger(each.mdp(), Rmax(m=m, epsilon=each.epsilon), episodes=3 * int(promised["episodes"]), **options)
        assert found.count is not None
        counts.append(found.count)
    return quantile_sides(counts, most / (2 if planted else 1), DELTA)


# Aliasing -----------------------------------------------------------------------------------------------------------


def _sample_turn(rng: np.random.Generator) -> Setting:
    values = {"aliasing": float(rng.choice([0.05, 0.2, 0.4])), "epsilon": float(rng.choice([0.02, 0.1]))}
    return Setting(values, _seed(rng))


def _x6_rmax(s: Setting, planted: bool) -> Sides:
    """Two equal arms of one meta-state, discount 0; hidden from the shaper, after their m visits the one that it came
    to prefer becomes worse by κ and the other better by κ: the loss from then on, in 400 runs.
    """
    kappa, eps = s.values["aliasing"], s.values["epsilon"]
    at = {"n_states": 1, "n_actions": 2, "branching": 2, "epsilon": eps, "delta": DELTA, "discount": 0, "r_max": 1}
    m, _ = _promised("T1+", {**at, **bounds.rmax.default_weights("episodic")})
    # The laws that are met in the two arms' m visits differ by chance alone; the one that looks worse may be better.
    rng = s.rng
    true = np.array([0.5, 0.5 + eps / 2])
    seen = rng.binomial(m, true, (400, 2))
    kept = seen.argmax(axis=1)
    loss = (true[1 - kept] + kappa) - (true[kept] - kappa)
    most = float(simulation.x6_accuracy().evaluate(epsilon=eps, aliasing=kappa, discount=0, r_max=1))
    return quantile_sides(loss, (most + eps) / 2 if planted else most, DELTA)


# What does not hold -------------------------------------------------------------------------------------------------


def _resets(world: World, planted: bool) -> Sides:
    """Bad steps of 2,000 episodes of 3 steps against T1''s count for one trajectory."""
    n, n_actions = world.R.shape
    at = {"n_states": n, "n_actions": n_actions, "epsilon": world.epsilon, "discount": world.discount, "r_max": 1}
    most = int(sharp.t1_deterministic().steps.evaluate(**at, w_plan="1/100"))
    found = ledger(world.mdp(), Rmax(m=1, epsilon=1.0), steps=6000, starts=[0], horizon=3)
    assert found.count is not None
    return Sides(found.count, most)


def _one_visit(s: Setting, planted: bool) -> Sides:
    """Bernoulli(.9) against (.5), one visit each: the worse arm looks better in .1·.5 of the runs, for ever."""
    return Sides((1 - s.values["first"]) * s.values["second"], 0.0)


_EXACT_RATE = "exact binomial limits, false alarms 1e-9 an instance and 1e-9 of all together"
_LEDGER = "R-max itself in small MDPs, counted exactly by the ledger"
_LOGS = "both sides as -ln, so that the ratio is one of exponents"
_SLOW = "X3's family at the theorem's m, 400 runs from their exact law"
_RING = "many states with two arms of ½ ± ε/2, discount 0; exact probabilities"
_TWO_AND_A_HALF = "m over 2.5 (half of m is enough, as two estimates must err at once: no smaller fault can be seen)"

RUNNING = (
    Statement(
        "P1, rewards",
        "Hoeffding",
        r"\Pr(|\hat R-R|>\varepsilon_R) \le 2e^{-2m\varepsilon_R^2/R_{\max}^2}",
        ("Bernoulli rewards, exact probabilities", _LOGS),
        _sample_hoeffding,
        _p1_hoeffding,
        "a constant doubled: 4 for 2 in the exponent",
        tuple(Setting({"m": 400, "eps_reward": eps, "mean": 0.5}, 0) for eps in (0.1249, 0.2499)),
        share=0.25,
    ),
    Statement(
        "P1, rows",
        "Weissman et al.",
        r"\Pr(\|\hat P-P\|_1>\varepsilon_P) \le (2^B-2)e^{-m\varepsilon_P^2/2}",
        ("uniform rows, exact probabilities", _LOGS),
        _sample_row,
        _p1_weissman,
        "a constant doubled: 1 for ½ in the exponent",
        tuple(Setting({"m": 400, "branching": 2, "eps_transition": eps}, 0) for eps in (0.2499, 0.4999)),
        share=0.1,
    ),
    Statement(
        "P1, rows, McDiarmid",
        "McDiarmid",
        r"\Pr(\|\hat P-P\|_1>\varepsilon_P) \le e^{-m(\varepsilon_P-\sqrt{(B-1)/m})^2/2}",
        ("uniform rows, exact probabilities", _LOGS),
        _sample_row,
        _p1_mcdiarmid,
        "the mean √((B-1)/m) halved",
        (
            Setting({"m": 40, "branching": 40, "eps_transition": 0.72}, 0),
            Setting({"m": 400, "branching": 2, "eps_transition": 0.7499}, 0),
        ),
        share=0.1,
    ),
    Statement(
        "P5",
        "few explorations",
        r"\Pr(\#\{\text{blocks with }p_t>p\}>N) \le \delta/2",
        ("blocks that explore with probability p exactly, 20,000 runs", _EXACT_RATE),
        _sample_blocks,
        _p5,
        "a constant halved",
        (Setting({"explorations": 100, "escape": 0.1, "delta": 0.2}, 0),),
        share=0.1,
        probabilistic=True,
    ),
    Statement(
        "P5, closed",
        "few explorations, in closed form",
        r"\min\{N:\Pr(\mathrm{Bin}(N,p)\le k_0-1)\le\delta/2\} \le "
        r"\lceil[k_0-1+\ell+\sqrt{\ell^2+2\ell(k_0-1)}]/p\rceil",
        ("exact quantiles",),
        _sample_blocks,
        _p5_closed,
        "a constant halved",
        (Setting({"explorations": 100_000, "escape": 0.01, "delta": 0.2}, 0),),
        share=0.1,
    ),
    Statement(
        "P5, classical",
        "few explorations, the classical form",
        r"\lceil[k_0-1+\ell+\sqrt{\ell^2+2\ell(k_0-1)}]/p\rceil \le \lceil\max(2k_0,8\ell)/p\rceil",
        ("equality near k_0 = 4 ln(2/δ)",),
        _sample_blocks,
        _p5_classical,
        "a constant halved",
        (Setting({"explorations": 18, "escape": 0.001, "delta": 0.022}, 0),),
        share=0.1,
    ),
    Statement(
        "X1",
        "horizon-free count",
        r"\Pr\Big(\sum_t e_t > C\Big) \le \delta/2",
        ("a wait with chance q of exploring in each step, 20,000 runs", _EXACT_RATE),
        _sample_count,
        _x1,
        "a constant halved",
        (Setting({"explorations": 100_000, "discount": 0.9, "delta": 0.2, "q": 1e-4}, 0),),
        share=0.1,
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
        ("400 runs from their exact law", _EXACT_RATE),
        _sample_slow,
        _x3,
        "5 times as many steps claimed (R-max takes 4 times as many, so that no smaller fault can be seen)",
        (Setting({"far_states": 40, "n_actions": 2, "m": 100_000, "discount": 0.9, "safe_value": 1.0}, 0),),
        share=0.02,
        probabilistic=True,
    ),
    Statement(
        "T1'",
        "R-max, deterministic",
        r"\#\mathrm{bad} \le \min(H,|\hat S|)\,|\hat S||\hat A|",
        ("one successor, deterministic rewards, m = 1", "exact counts by the ledger"),
        _sample_certain,
        _t1_deterministic,
        "a constant halved",
        (_tree(17, 3, 4), *(_corridor(length, a) for length, a in ((2, 2), (4, 3)))),
        share=0.1,
    ),
    Statement(
        "T1', observed",
        "R-max where a visit reveals the row",
        r"\Pr(\#\mathrm{bad} > CV_{\max}/((1-w_{\mathrm{plan}})\varepsilon)) \le \delta/2,\ k_0=|\hat S||\hat A|",
        ("m = 1", "X3's family, 400 runs from their exact law", _EXACT_RATE),
        _sample_t1_observed,
        _t1_observed,
        "a constant halved",
        (Slow(60, 0.95, 0.02, 1.02, (0.01,), 0, n_actions=2000),),
        share=0.01,
        probabilistic=True,
    ),
    Statement(
        "T1",
        "R-max",
        r"\Pr(\#\mathrm{bad} > HN) \le \delta",
        (_LEDGER, _SLOW, _EXACT_RATE),
        _sample_t1,
        _t1,
        "a sixth of HN (whole blocks of H steps are counted where one step is bad: no smaller fault can be seen)",
        (Slow(60, 0.98, 0.3, 1.02, (0.005, 0.02, 0.26, 0.715), 0),),
        share=0.015,
        probabilistic=True,
    ),
    Statement(
        "T1, visits",
        "the m of R-max",
        r"\Pr(\#\mathrm{bad} = \infty) > \delta \text{ at } m' \Rightarrow m' < m",
        (_RING,),
        _sample_arms,
        _t1_visits,
        _TWO_AND_A_HALF,
        _MANY_ARMS,
        share=0.03,
    ),
    Statement(
        "T1+",
        "R-max, sharp",
        r"\Pr(\#\mathrm{bad} > CV_{\max}/(w_{\mathrm{esc}}\varepsilon)) \le \delta",
        (_LEDGER, _SLOW, _EXACT_RATE),
        _sample_t1_plus,
        _t1_plus,
        "a constant halved",
        (Slow(60, 0.95, 0.02, 1.02, (0.01, 0.04, 0.95), 0),),
        share=0.015,
        probabilistic=True,
    ),
    Statement(
        "T1+, visits",
        "the m of R-max, sharp",
        r"\Pr(\#\mathrm{bad} = \infty) > \delta \text{ at } m' \Rightarrow m' < m",
        (_RING,),
        _sample_arms,
        _t1_plus_visits,
        _TWO_AND_A_HALF,
        _MANY_ARMS,
        share=0.03,
    ),
    Statement(
        "T1-ep",
        "R-max in episodes",
        r"\Pr(\#\mathrm{bad\ episodes} > N) \le \delta",
        ("planned for episodes", _LEDGER, _SLOW, _EXACT_RATE),
        _sample_t1_episodic,
        _t1_episodic,
        "a constant halved",
        (Slow(60, 0.99, 0.05, 1.02, (0.01, 0.04, 0.95), 0, 10),),
        share=0.015,
        probabilistic=True,
    ),
    Statement(
        "T1-ep, visits",
        "the m of R-max in episodes",
        r"\Pr(\#\mathrm{bad\ episodes} = \infty) > \delta \text{ at } m' \Rightarrow m' < m",
        (_RING, "episodes of one step"),
        _sample_arms,
        _t1_episodic_visits,
        _TWO_AND_A_HALF,
        _MANY_ARMS,
        share=0.03,
    ),
    Statement(
        "X4",
        "random restarts",
        r"\Pr(\text{episodes until all is known} > N_{\mathrm{ep}}) \le \delta/2",
        ("uniform starts, 200 runs", _EXACT_RATE),
        _sample_restarts,
        _x4,
        "a constant halved",
        (_sample_restarts(np.random.default_rng(0), 1),),
        share=0.01,
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
        (_bandit(2, 0.8, 0.5, 4, 5),),
        share=0.01,
    ),
    Statement(
        "X4, steps",
        "R-max under random restarts",
        r"\Pr(\#\mathrm{bad} > T N_{\mathrm{ep}}) \le \delta",
        ("the m of T1 for restarts", "uniform starts; exact counts by the ledger", _EXACT_RATE),
        _sample_restarted_worlds,
        _x4_steps,
        "a constant halved",
        (_bandit(10, 0.2, 0.8, RUNS, 1),),
        share=0.005,
        probabilistic=True,
    ),
    Statement(
        "X6, R-max",
        "what R-max loses by aliasing",
        r"V^{\mathcal A_t} \ge V^*-\varepsilon-2A_\kappa",
        ("two arms that change by κ against the shaper once it has chosen, discount 0, 400 runs", _EXACT_RATE),
        _sample_turn,
        _x6_rmax,
        "A_κ for 2A_κ",
        (Setting({"aliasing": 0.4, "epsilon": 0.02}, 0),),
        share=0.1,
        probabilistic=True,
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
        ("Bernoulli(.9) against (.5); the probability is .1·.5",),
        _sample_hoeffding,
        _one_visit,
        "",
        (Setting({"first": 0.9, "second": 0.5}, 0),),
        holds=False,
    ),
)
