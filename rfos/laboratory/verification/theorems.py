"""Statements on whole runs of R-max (T1 and its kin)."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import scipy.special
import scipy.stats

import bounds.rmax
from bounds import sharp
from rfos.laboratory.verification.counts import slow_tries
from rfos.laboratory.verification.engine import Sides, Statement, quantile_sides
from rfos.laboratory.verification.settings import (
    DELTA,
    EXACT_RATE,
    RUNS,
    SLOW_RUNS,
    WEIGHTS,
    PlayedWorld,
    RunTheorem,
    promised,
    seed_of,
    small_world,
)
from rfos.learning.agents import Rmax
from rfos.learning.ledger import ledger


def _sample_certain(rng: np.random.Generator) -> PlayedWorld:
    n, n_actions = int(rng.integers(2, 7)), int(rng.integers(1, 4))
    P = np.eye(n)[rng.integers(0, n, (n, n_actions))]
    R = rng.integers(0, 6, (n, n_actions)) / 5
    best = int(rng.integers(R.size))
    R.flat[best], R.flat[best - 1] = 1.0, 0.0  # a span of 1, so that epsilon is below the largest return
    g = float(rng.choice([0.5, 0.8, 0.9]))
    epsilon = float(rng.choice([0.05, 0.2])) / (1 - g)
    return PlayedWorld(P, R, g, epsilon, seed_of(rng) % 2**32, f"{n} states, {n_actions} actions, discount {g:g}")


def _corridor(length: int, n_actions: int) -> PlayedWorld:
    """A safe loop at 0 and a corridor that every wrong action leaves: each pair costs a walk along it."""
    n = length + 2
    P, R = np.zeros((n, n_actions, n)), np.zeros((n, n_actions))
    P[:, :, 0], P[n - 1] = 1, np.eye(n)[n - 1]
    R[0, 0], R[n - 1] = 0.3, 1.0
    for i in range(length):
        P[i, n_actions - 1] = np.eye(n)[i + 1]
    P[length, :, 0] = 1
    return PlayedWorld(P, R, 0.9, 1.0, 0, f"corridor of {length}, {n_actions} actions")


def _tree(length: int, depth: int, n_actions: int) -> PlayedWorld:
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
    return PlayedWorld(np.eye(n)[following], R, 0.9, 1.0, 0, f"a tree at the end of a corridor, {n} states")


def _t1_deterministic(world: PlayedWorld, mutant: bool) -> Sides:
    n, n_actions = world.R.shape
    at = {"n_states": n, "n_actions": n_actions, "epsilon": world.epsilon, "discount": world.discount, "r_max": 1}
    most = int(sharp.t1_deterministic().steps.evaluate(**at, w_plan="1/100"))
    found = ledger(world.mdp(), Rmax(m=1, epsilon=world.epsilon), steps=2 * most + 20, starts=[0], rng=world.seed)
    assert found.count is not None
    return Sides(found.count, most / (2 if mutant else 1))


@dataclass(frozen=True)
class Worlds:
    """Several MDPs of one shape, for one rate."""

    worlds: tuple[PlayedWorld, ...]
    label: str


def _gamble(success: float, sure: float, seed: int) -> PlayedWorld:
    """Home: a sure reward, or 1 with some probability; after one bad draw of the gamble the sure thing looks better."""
    P, R = np.zeros((4, 2, 4)), np.zeros((4, 2))
    P[1:, :, 0] = 1
    P[0, 0, 3], P[0, 1, 1], P[0, 1, 2] = 1, success, 1 - success
    R[1], R[3] = 1, sure
    return PlayedWorld(P, R, 0.5, 0.25, seed, "")


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


def _slow_counts(slow: Slow, theorem: RunTheorem) -> tuple[list[int], int]:
    """Return the bad steps (episodes) of runs, and the most that the theorem promises."""
    at: dict[str, Any] = {"n_states": slow.far_states + (2 if slow.horizon else 1), "n_actions": slow.n_actions}
    at |= {"r_max": 1, "epsilon": slow.safe_value * (1 - 1e-6), "delta": DELTA, "discount": slow.discount}
    at |= dict(zip(WEIGHTS[theorem], slow.weights, strict=True))
    at |= {} if theorem == "T1', observed" else {"branching": slow.far_states + 1}
    m, most = promised(theorem, at, slow.horizon)
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
        far, discount, float(rng.choice([0.05, 0.2])), float(rng.uniform(1.05, 2)), weights, seed_of(rng), horizon
    )


def _sample_worlds(rng: np.random.Generator) -> Worlds:
    if rng.random() < 0.5:
        worlds = tuple(small_world(rng) for _ in range(RUNS))
        return Worlds(worlds, f"{RUNS} runs in random MDPs of 3 states, discount 0.5, epsilon 0.25")
    success = rng.uniform(0.45, 0.9, RUNS)
    gambles = zip(success, rng.uniform(0, success - 0.4), strict=True)  # so that 0.4/(2 - 1/2) can be lost
    worlds = tuple(_gamble(p, c, seed_of(rng) % 2**32) for p, c in gambles)
    return Worlds(worlds, f"{RUNS} runs of random gambles, discount 0.5, epsilon 0.25")


_GAMBLES = Worlds(
    tuple(_gamble(0.5, 0.05, i) for i in range(RUNS)), f"{RUNS} runs of the gamble, discount 0.5, epsilon 0.25"
)


def _count(most: int, world: PlayedWorld, m: int, horizon: int | None) -> int:
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


def _theorem(case: Worlds | Slow, theorem: RunTheorem, share: int = 1) -> Sides:
    """How many bad steps runs at the theorem's m take, against its count over `share`."""
    if isinstance(case, Slow):
        counts, most = _slow_counts(case, theorem)
        # The row is seen, so that δ/2 is not needed for the model.
        return quantile_sides(counts, most / share, DELTA / (2 if theorem == "T1', observed" else 1))
    world, horizon = case.worlds[0], 4 if theorem == "T1-ep" else None
    at: dict[str, Any] = {"n_states": world.R.shape[0], "n_actions": world.R.shape[1], "branching": 2, "r_max": 1}
    at |= {"epsilon": world.epsilon, "delta": DELTA, "discount": world.discount}
    at |= bounds.rmax.default_weights("continuing" if theorem == "T1" else "episodic")
    m, most = promised(theorem, at, horizon)
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


def _t1(case: Worlds | Slow, mutant: bool) -> Sides:
    return _theorem(case, "T1", 6 if mutant else 1)


def _t1_plus(case: Worlds | Slow, mutant: bool) -> Sides:
    return _theorem(case, "T1+", 2 if mutant else 1)


def _t1_episodic(case: Worlds | Slow, mutant: bool) -> Sides:
    return _theorem(case, "T1-ep", 2 if mutant else 1)


def _t1_observed(case: Slow, mutant: bool) -> Sides:
    return _theorem(case, "T1', observed", 2 if mutant else 1)


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


def _visits(arms: Arms, theorem: RunTheorem, mutant: bool) -> Sides:
    """The largest m found at which the probability of failing for ever exceeds δ, against the theorem's."""
    at: dict[str, Any] = {"n_states": arms.states, "n_actions": 2, "branching": 2, "r_max": 1, "discount": 0}
    # The gap is a little more than what may be lost.
    at |= {"epsilon": arms.epsilon * (1 - 1e-6), "delta": DELTA}
    others = [name for name in WEIGHTS[theorem] if name != "w_sim"]
    at |= dict.fromkeys(others, 0.005) | {"w_sim": 1 - 0.005 * len(others)}
    m, _ = promised(theorem, at, 1)
    low, high = 0, m + 1  # the theorem's m is looked at too
    while high - low > 1:
        middle = m if high == m + 1 else (low + high) // 2
        low, high = (middle, high) if arms.failure(middle) > DELTA else (low, middle)
    return Sides(low, m / (2.5 if mutant else 1))


def _t1_visits(arms: Arms, mutant: bool) -> Sides:
    return _visits(arms, "T1", mutant)


def _t1_plus_visits(arms: Arms, mutant: bool) -> Sides:
    return _visits(arms, "T1+", mutant)


def _t1_episodic_visits(arms: Arms, mutant: bool) -> Sides:
    return _visits(arms, "T1-ep", mutant)


def _resets(world: PlayedWorld, mutant: bool) -> Sides:
    """Bad steps of 2,000 episodes of 3 steps against T1''s count for one trajectory."""
    n, n_actions = world.R.shape
    at = {"n_states": n, "n_actions": n_actions, "epsilon": world.epsilon, "discount": world.discount, "r_max": 1}
    most = int(sharp.t1_deterministic().steps.evaluate(**at, w_plan="1/100"))
    found = ledger(world.mdp(), Rmax(m=1, epsilon=1.0), steps=6000, starts=[0], horizon=3)
    assert found.count is not None
    return Sides(found.count, most)


_LEDGER = "R-max itself in small MDPs, counted exactly by the ledger"

_SLOW = "X3's family at the theorem's m, 400 runs from their exact law"

_RING = "many states with two arms of ½ ± ε/2, discount 0; exact probabilities"

_TWO_AND_A_HALF = "m over 2.5 (half of m is enough, as two estimates must err at once: no smaller fault can be seen)"

RMAX_STATEMENTS = (
    Statement(
        "T1'",
        "R-max, deterministic",
        latex=r"\#\mathrm{bad} \le \min(H,|\hat S|)\,|\hat S||\hat A|",
        assumptions=("one successor, deterministic rewards, m = 1", "exact counts by the ledger"),
        sample=_sample_certain,
        sides=_t1_deterministic,
        mutant="a constant halved",
        extremal=(_tree(17, 3, 4), *(_corridor(length, a) for length, a in ((2, 2), (4, 3)))),
        share=0.1,
        detects=(1, 1.85),
    ),
    Statement(
        "T1', observed",
        "R-max where a visit reveals the row",
        latex=r"\Pr(\#\mathrm{bad} > CV_{\max}/((1-w_{\mathrm{plan}})\varepsilon)) \le \delta/2,\ k_0=|\hat S||\hat A|",
        assumptions=("m = 1", "X3's family, 400 runs from their exact law", EXACT_RATE),
        sample=_sample_t1_observed,
        sides=_t1_observed,
        mutant="a constant halved",
        extremal=(Slow(60, 0.95, 0.02, 1.02, (0.01,), 0, n_actions=2000),),
        share=0.01,
        probabilistic=True,
        detects=(1, 1.25),
    ),
    Statement(
        "T1",
        "R-max",
        latex=r"\Pr(\#\mathrm{bad} > HN) \le \delta",
        assumptions=(_LEDGER, _SLOW, EXACT_RATE),
        sample=_sample_t1,
        sides=_t1,
        mutant="a sixth of HN (whole blocks of H steps are counted where one step is bad: "
        "no smaller fault can be seen)",
        extremal=(Slow(60, 0.98, 0.3, 1.02, (0.005, 0.02, 0.26, 0.715), 0),),
        share=0.015,
        probabilistic=True,
        detects=(5, 5.5),  # counts blocks of H steps
    ),
    Statement(
        "T1, visits",
        "the m of R-max",
        latex=r"\Pr(\#\mathrm{bad} = \infty) > \delta \text{ at } m' \Rightarrow m' < m",
        assumptions=(_RING,),
        sample=_sample_arms,
        sides=_t1_visits,
        mutant=_TWO_AND_A_HALF,
        extremal=_MANY_ARMS,
        share=0.03,
        detects=(2, 2.2),  # adds up two errors of estimates that are independent
    ),
    Statement(
        "T1+",
        "R-max, sharp",
        latex=r"\Pr(\#\mathrm{bad} > CV_{\max}/(w_{\mathrm{esc}}\varepsilon)) \le \delta",
        assumptions=(_LEDGER, _SLOW, EXACT_RATE),
        sample=_sample_t1_plus,
        sides=_t1_plus,
        mutant="a constant halved",
        extremal=(Slow(60, 0.95, 0.02, 1.02, (0.01, 0.04, 0.95), 0),),
        share=0.015,
        probabilistic=True,
        detects=(1, 1.2),
    ),
    Statement(
        "T1+, visits",
        "the m of R-max, sharp",
        latex=r"\Pr(\#\mathrm{bad} = \infty) > \delta \text{ at } m' \Rightarrow m' < m",
        assumptions=(_RING,),
        sample=_sample_arms,
        sides=_t1_plus_visits,
        mutant=_TWO_AND_A_HALF,
        extremal=_MANY_ARMS,
        share=0.03,
        detects=(2, 2.2),  # adds up two errors of estimates that are independent
    ),
    Statement(
        "T1-ep",
        "R-max in episodes",
        latex=r"\Pr(\#\mathrm{bad\ episodes} > N) \le \delta",
        assumptions=("planned for episodes", _LEDGER, _SLOW, EXACT_RATE),
        sample=_sample_t1_episodic,
        sides=_t1_episodic,
        mutant="a constant halved",
        extremal=(Slow(60, 0.99, 0.05, 1.02, (0.01, 0.04, 0.95), 0, 10),),
        share=0.015,
        probabilistic=True,
        detects=(1, 1.25),
    ),
    Statement(
        "T1-ep, visits",
        "the m of R-max in episodes",
        latex=r"\Pr(\#\mathrm{bad\ episodes} = \infty) > \delta \text{ at } m' \Rightarrow m' < m",
        assumptions=(_RING, "episodes of one step"),
        sample=_sample_arms,
        sides=_t1_episodic_visits,
        mutant=_TWO_AND_A_HALF,
        extremal=_MANY_ARMS,
        share=0.03,
        detects=(2, 2.2),  # adds up two errors of estimates that are independent
    ),
)

FALSE_RMAX_STATEMENTS = (
    Statement(
        "false: T1 under resets",
        "R-max restarted every T < H steps has few bad steps",
        latex=r"\#\mathrm{bad} \le \min(H,|\hat S|)\,|\hat S||\hat A|",
        assumptions=("a corridor of 5 steps to an unknown pair, restarts every 3 steps: it is walked for ever",),
        sample=_sample_certain,
        sides=_resets,
        extremal=(_corridor(5, 2),),
        holds=False,
    ),
)
