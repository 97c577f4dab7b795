"""Statements on models: the simulation lemma, optimism, explore or exploit, aliasing (P2-P4, X6)."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy.stats
from numpy.typing import NDArray

from bounds import simulation
from rfos._system.arrays import Float
from rfos.laboratory.verification.engine import Sides, Statement

DISCOUNTS = (0.0, 0.25, 0.5, 0.8, 0.9, 0.95, 0.99)

NEARLY_ZERO = 1e-300  # stands for 0 where a symbol must be positive


def value_of(P: Float, R: Float, discount: float) -> Float:
    """Return V = (I - discount P)^-1 R for the rows that a policy picked, shapes (S, S) and (S,)."""
    return np.asarray(np.linalg.solve(np.eye(len(R)) - discount * P, R), np.float64)


def optimum(P: Float, R: Float, discount: float) -> tuple[Float, NDArray[np.int64]]:
    """Return V* and an optimal policy by policy iteration, shapes (S, A, S) and (S, A)."""
    states = np.arange(len(R))
    policy = R.argmax(axis=1)
    while True:
        values = value_of(P[states, policy], R[states, policy], discount)
        q = R + discount * P @ values
        better = q.max(axis=1) > q[states, policy] + 1e-12 * (1 + np.abs(values).max())
        if not better.any():
            return values, policy
        policy = np.where(better, q.argmax(axis=1), policy)


@dataclass(frozen=True)
class Pair:
    """Two models with rewards in [0, 1] and a policy: the rows and rewards that it picks, and the discount."""

    P: Float
    P_hat: Float
    R: Float
    R_hat: Float
    discount: float
    label: str

    @property
    def eps_transition(self) -> float:
        """Largest L1 distance of rows."""
        return float(np.abs(self.P - self.P_hat).sum(axis=-1).max())

    @property
    def eps_reward(self) -> float:
        """Largest distance of expected rewards."""
        return float(np.abs(self.R - self.R_hat).max())


def _rows(rng: np.random.Generator, *shape: int) -> Float:
    rows: Float = rng.dirichlet(np.full(shape[-1], 0.5), shape[:-1])
    return rows


def _sample_pair(rng: np.random.Generator) -> Pair:
    n, discount = int(rng.integers(1, 6)), float(rng.choice(DISCOUNTS))
    mix = float(rng.choice([0.0, 0.01, 0.1, 0.5, 1.0]))
    P = _rows(rng, n, n)
    P_hat = (1 - mix) * P + mix * _rows(rng, n, n)
    R = rng.random(n)
    shift = float(rng.choice([0.0, 0.05, 0.5]))
    R_hat = np.clip(R + shift * rng.uniform(-1, 1, n), 0, 1)
    return Pair(P, P_hat, R, R_hat, discount, f"{n} states, discount {discount:g}, mix {mix:g}, shift {shift:g}")


def _fall(t: float, discount: float) -> Pair:
    """A good state (pays 1, left with probability t) and a bad one, against t = 0."""
    P = np.array([[1.0, 0.0], [0.0, 1.0]])
    P_hat = np.array([[1 - t, t], [0.0, 1.0]])
    R = np.array([1.0, 0.0])
    return Pair(P, P_hat, R, R, discount, f"fall, t {t:g}, discount {discount:g}")


FALLS = tuple(_fall(t, g) for t in (0.01, 0.2, 1.0) for g in (0.5, 0.9, 0.99))


def _error(pair: Pair) -> float:
    exact = value_of(pair.P, pair.R, pair.discount)
    return float(np.abs(value_of(pair.P_hat, pair.R_hat, pair.discount) - exact).max())


def _at(pair: Pair) -> dict[str, Any]:
    eps = {"eps_transition": max(pair.eps_transition, NEARLY_ZERO), "eps_reward": max(pair.eps_reward, NEARLY_ZERO)}
    return {**eps, "discount": pair.discount, "r_max": 1}


def _p2(pair: Pair, mutant: bool) -> Sides:
    at = _at(pair)
    if mutant:
        at["eps_transition"] /= 2
    return Sides(_error(pair), float(simulation.p2().evaluate(**at)))


def _p2_plus(pair: Pair, mutant: bool) -> Sides:
    right = float(simulation.p2_plus().evaluate(**_at(pair)))
    if mutant:
        g, t = pair.discount, pair.eps_transition / 2
        right = pair.eps_reward / (1 - g) + g * t / (1 - g) / (1 - g + t)
    return Sides(_error(pair), right)


def _sample_known(rng: np.random.Generator) -> Pair:
    """Rewards are a function of the successor, so that the expected ones follow the rows."""
    pair = _sample_pair(rng)
    r = rng.random(pair.P.shape)
    return Pair(pair.P, pair.P_hat, (pair.P * r).sum(1), (pair.P_hat * r).sum(1), pair.discount, pair.label)


def _slip(t: float, discount: float) -> Pair:
    """As `_fall`, but the step that falls pays nothing."""
    pair = _fall(t, discount)
    return Pair(pair.P, pair.P_hat, pair.R, np.array([1 - t, 0.0]), discount, f"slip, t {t:g}, discount {discount:g}")


def _p2_known(pair: Pair, mutant: bool) -> Sides:
    at = _at(pair)
    del at["eps_reward"]
    right = float(simulation.p2_plus("known").evaluate(**at))
    return Sides(_error(pair), right * pair.discount if mutant else right)


@dataclass(frozen=True)
class Snapshot:
    """R-max at one plan: the true model, the estimates, what is known, and the plan; rewards in [0, 1]."""

    P: Float
    R: Float
    P_hat: Float
    R_hat: Float
    known: NDArray[np.bool_]
    discount: float
    label: str

    def __post_init__(self) -> None:
        """Plan for the optimistic model."""
        # An unknown pair is worth V_max: it pays 1 and leads to a further state that pays 1 for ever.
        n, n_actions = self.R.shape
        P = np.zeros((n + 1, n_actions, n + 1))
        R = np.ones((n + 1, n_actions))
        P[n, :, n] = 1
        P[:n, :, :n] = np.where(self.known[:, :, None], self.P_hat, 0.0)
        P[:n, :, n] = ~self.known
        R[:n] = np.where(self.known, self.R_hat, 1.0)
        object.__setattr__(self, "_policy", optimum(P, R, self.discount)[1][:n])

    @property
    def policy(self) -> NDArray[np.int64]:
        """Greedy for the optimistic model, shape (S,)."""
        policy: NDArray[np.int64] = self.__dict__["_policy"]
        return policy

    def _picked(self, table: Any) -> Any:
        return table[np.arange(len(self.R)), self.policy]

    def optimistic_value(self) -> Float:
        """V of the policy in M_K, shape (S,)."""
        known = self._picked(self.known)
        P = self._picked(self.P) * known[:, None]
        R = np.where(known, self._picked(self.R), 1 / (1 - self.discount))
        return value_of(P, R, self.discount)

    def true_value(self) -> Float:
        """V of the policy, shape (S,)."""
        return value_of(self._picked(self.P), self._picked(self.R), self.discount)

    def exploring(self) -> Float:
        """e = E[discount^τ], shape (S,)."""
        known = self._picked(self.known)
        return value_of(self._picked(self.P) * known[:, None], (~known).astype(float), self.discount)

    def errors(self) -> tuple[float, float]:
        """Largest errors of known rewards and known rows."""
        if not self.known.any():
            return 0.0, 0.0
        rewards = np.abs(self.R - self.R_hat)[self.known].max()
        rows = np.abs(self.P - self.P_hat).sum(axis=2)[self.known].max()
        return float(rewards), float(rows)

    def eps_sim(self) -> float:
        """P2 at the measured errors."""
        rewards, rows = self.errors()
        at = {"eps_reward": max(rewards, NEARLY_ZERO), "eps_transition": max(rows, NEARLY_ZERO)}
        return float(simulation.p2().evaluate(**at, discount=self.discount, r_max=1))

    def optimism_error(self) -> float:
        """ξ, the largest [Q* - (R̂ + γP̂V*)]+ over known pairs."""
        values, _ = optimum(self.P, self.R, self.discount)
        gap = (self.R - self.R_hat) + self.discount * (self.P - self.P_hat) @ values
        return float(np.maximum(gap, 0)[self.known].max(initial=0.0))


def _sample_snapshot(rng: np.random.Generator) -> Snapshot:
    n, n_actions = int(rng.integers(1, 6)), int(rng.integers(1, 4))
    discount, m = float(rng.choice(DISCOUNTS)), int(rng.integers(1, 30))
    P, R = _rows(rng, n, n_actions, n), rng.random((n, n_actions))
    P_hat = np.array([[rng.multinomial(m, row) / m for row in rows] for rows in P])
    R_hat = rng.binomial(m, R) / m
    known = rng.random((n, n_actions)) < rng.choice([0.3, 0.7, 1.0])
    return Snapshot(
        P, R, P_hat, R_hat, known, discount, f"{n} states, {n_actions} actions, m {m}, discount {discount:g}"
    )


def _two_arms(gap: float, discount: float) -> Snapshot:
    """The worse arm looks better: each reward errs by half the gap, so that P3 is an equality; and a harmless state."""
    P = np.broadcast_to(np.eye(2)[:, None], (2, 2, 2))
    R = np.array([[0.5, 0.5 + gap], [0.5, 0.5]])
    R_hat = np.array([[0.5 + gap / 2 + 1e-9, 0.5 + gap / 2], [0.5, 0.5]])
    return Snapshot(P, R, P, R_hat, np.ones((2, 2), bool), discount, f"two arms, gap {gap:g}, discount {discount:g}")


def _unknown_arm(discount: float) -> Snapshot:
    """A known state whose only action leads to an unknown pair that pays nothing: P4 is an equality."""
    P = np.array([[[0.0, 1.0]], [[0.0, 1.0]]])
    R = np.zeros((2, 1))
    known = np.array([[True], [False]])
    return Snapshot(P, R, P, R, known, discount, f"unknown arm, discount {discount:g}")


ARMS = tuple(_two_arms(gap, g) for gap in (0.1, 0.4) for g in (0.0, 0.9))

UNKNOWN = tuple(_unknown_arm(g) for g in (0.5, 0.9))


def _shortfall(snapshot: Snapshot) -> float:
    best, _ = optimum(snapshot.P, snapshot.R, snapshot.discount)
    return float((best - snapshot.optimistic_value()).max())


def _p3(snapshot: Snapshot, mutant: bool) -> Sides:
    right = float(simulation.p3().evaluate(eps_plan=0, eps_sim=snapshot.eps_sim() / (2 if mutant else 1)))
    return Sides(_shortfall(snapshot), right)


@dataclass(frozen=True)
class Planning:
    """Value iteration from given values (S,) with so many backups, P (S, A, S) and R (S, A)."""

    P: Float
    R: Float
    values: Float
    backups: int
    discount: float
    label: str


def _sample_planning(rng: np.random.Generator) -> Planning:
    n, n_actions, backups = (int(i) for i in rng.integers((1, 1, 1), (5, 4, 6)))
    P, R = _rows(rng, n, n_actions, n), rng.random((n, n_actions))
    discount = float(rng.choice(DISCOUNTS))
    label = f"{n} states, {n_actions} actions, {backups} backups, discount {discount:g}"
    return Planning(P, R, rng.random(n) / (1 - discount), backups, discount, label)


def _misled(discount: float) -> Planning:
    """A choice between two absorbing states, one of which starts too high and the other too low: an equality."""
    P = np.zeros((3, 2, 3))
    P[0, 0, 1] = P[0, 1, 2] = P[1, :, 1] = P[2, :, 2] = 1
    error = discount**3 * (1 - 1e-9)  # what the last backup but one has left of 1
    R = np.array([[0.0, 0.0], [1 - discount] * 2, [(1 + 2 * error) * (1 - discount)] * 2])
    values = np.array([1.0, 2.0, 2 * error])  # one too high by 1, one too low by 1
    return Planning(P, R, values, 3, discount, f"misled, discount {discount:g}")


def _planning(case: Planning, mutant: bool) -> Sides:
    """Largest loss of the policy that is greedy in the last backup, which changed Q by τ at most."""
    q, values, last = np.zeros_like(case.R), case.values, np.zeros_like(case.R)
    for _ in range(1 + case.backups):
        last, q = q, case.R + case.discount * case.P @ values
        values = q.max(axis=1)
    at, policy = np.arange(len(q)), q.argmax(axis=1)
    loss = optimum(case.P, case.R, case.discount)[0] - value_of(case.P[at, policy], case.R[at, policy], case.discount)
    change = float(np.abs(q - last).max())
    right = float(simulation.planning_loss().evaluate(model_change=max(change, NEARLY_ZERO), discount=case.discount))
    return Sides(float(loss.max()), right / 2 if mutant else right)


@dataclass(frozen=True)
class Backups:
    """Pairs that lead to a state worth V_max or to one worth 0 with chance ½ each, and the two states' own pairs."""

    pairs: int
    m: int
    failure: float

    @property
    def label(self) -> str:
        """The parameters in words."""
        return f"{self.pairs} pairs, {self.m} visits, failure {self.failure:g}"


def _sample_backups(rng: np.random.Generator) -> Backups:
    return Backups(int(rng.integers(1, 100)), int(rng.choice([1, 10, 100, 1000])), float(rng.choice([1e-6, 0.01, 0.2])))


def _xi(case: Backups, mutant: bool) -> Sides:
    """As exponents: -ln of the failure allowed against that of the exact probability; V_max = 1 at discount 0."""
    at = {"n_states": case.pairs + 2, "n_actions": 1, "failure": case.failure, "m": case.m, "discount": 0, "r_max": 1}
    claimed = float(simulation.optimism_error().evaluate(**at)) / (math.sqrt(2) if mutant else 1)
    hits = np.arange(case.m + 1)
    one = float(scipy.stats.binom.pmf(hits[0.5 - hits / case.m > claimed], case.m, 0.5).sum())
    exact = -math.expm1(case.pairs * math.log1p(-one))
    return Sides(-math.log(case.failure), -math.log(exact) if exact > 0 else math.inf)


def _p3_plus(snapshot: Snapshot, mutant: bool) -> Sides:
    at = {"eps_plan": 0, "eps_sim": snapshot.eps_sim(), "optimism": snapshot.optimism_error()}
    right = float(simulation.p3_plus().evaluate(**at, discount=snapshot.discount))
    return Sides(_shortfall(snapshot), at["eps_sim"] if mutant else right)


def _p4(snapshot: Snapshot, mutant: bool) -> Sides:
    gap = snapshot.optimistic_value() - snapshot.true_value()
    escape = snapshot.exploring()
    at = int(np.argmax(gap - escape / (1 - snapshot.discount)))
    right = simulation.p4().evaluate(exploring=min(1.0, float(escape[at])), discount=snapshot.discount, r_max=1)
    return Sides(float(gap[at]), float(right) * (1 - snapshot.discount) if mutant else float(right))


def _p4_horizon(snapshot: Snapshot, mutant: bool) -> Sides:
    """At a horizon of one step: p = 1 where an unknown pair is taken at once, else 0."""
    gap = snapshot.optimistic_value() - snapshot.true_value()
    unknown = ~snapshot._picked(snapshot.known)
    at = {"horizon": 1, "discount": snapshot.discount, "r_max": 1}
    bound, share = simulation.p4("horizon"), 0.5 if mutant else 1.0
    rights = [share * float(bound.evaluate(escape=max(float(u), NEARLY_ZERO), **at)) for u in unknown]
    sides = [Sides(float(left), right) for left, right in zip(gap, rights, strict=True)]
    return max(sides, key=lambda side: side.ratio)


@dataclass(frozen=True)
class Aliased:
    """A process on (w, z) of which w is seen: rows (Z, W, A, W), the next z, rewards (W, A, W), a mixture, a policy."""

    rows: Float
    next_z: NDArray[np.int64]
    rewards: Float
    mixture: Float
    policy: NDArray[np.int64]
    discount: float
    label: str

    @property
    def kappa(self) -> float:
        """Largest total variation between the laws of the next observation in a meta-state."""
        gaps = np.abs(self.rows[:, None] - self.rows[None]).sum(axis=-1)
        return float(gaps.max() / 2)


def _sample_aliased(rng: np.random.Generator) -> Aliased:
    n_z, n_w, n_actions = int(rng.integers(1, 4)), int(rng.integers(1, 4)), int(rng.integers(1, 3))
    base, mix = _rows(rng, n_w, n_actions, n_w), float(rng.choice([0.0, 0.05, 0.3, 1.0]))
    rows = (1 - mix) * base + mix * _rows(rng, n_z, n_w, n_actions, n_w)
    next_z = rng.integers(0, n_z, (n_z, n_w, n_actions, n_w))
    weights = np.moveaxis(rng.dirichlet(np.ones(n_z), (n_w, n_actions)), -1, 0)
    mixture = (weights[..., None] * rows).sum(axis=0)
    discount = float(rng.choice(DISCOUNTS))
    policy = rng.integers(0, n_actions, n_w)
    label = f"{n_z} hidden, {n_w} seen, mix {mix:g}, discount {discount:g}"
    return Aliased(rows, next_z, rng.random((n_w, n_actions, n_w)), mixture, policy, discount, label)


def _hidden_slip(kappa: float, discount: float) -> Aliased:
    """In truth nothing falls; the model has a fall of probability κ, which costs the reward too."""
    stay, slip = np.array([[[1.0, 0.0]], [[0.0, 1.0]]]), np.array([[[1 - kappa, kappa]], [[0.0, 1.0]]])
    rewards = np.array([[[1.0, 0.0]], [[0.0, 0.0]]])
    next_z = np.broadcast_to(np.arange(2)[:, None, None, None], (2, 2, 1, 2))
    rows = np.stack([stay, slip])
    return Aliased(rows, next_z, rewards, slip, np.zeros(2, np.int64), discount, f"slip, κ {kappa:g}, {discount:g}")


SLIPS = tuple(_hidden_slip(k, g) for k in (0.01, 0.3, 0.9) for g in (0.5, 0.9))


def _x6(process: Aliased, mutant: bool) -> Sides:
    n_z, n_w = process.rows.shape[:2]
    seen = np.arange(n_w)
    rows = process.rows[:, seen, process.policy]  # (Z, W, W)
    rewards = process.rewards[seen, process.policy]
    goes = process.next_z[:, seen, process.policy]
    full = np.zeros((n_z, n_w, n_z, n_w))
    for z, w, v in np.ndindex(n_z, n_w, n_w):
        full[z, w, goes[z, w, v], v] += rows[z, w, v]
    size = n_z * n_w
    pays = (rows * rewards).sum(axis=-1).ravel()
    truth = value_of(full.reshape(size, size), pays, process.discount).reshape(n_z, n_w)
    model = process.mixture[seen, process.policy]
    value = value_of(model, (model * rewards).sum(axis=-1), process.discount)
    kappa = min(1.0, process.kappa)
    right = float(simulation.x6().evaluate(aliasing=kappa, discount=process.discount, r_max=1))
    return Sides(float(np.abs(truth - value).max()), right * process.discount if mutant else right)


_UNIT = "rewards in [0, 1]"

MODELS = (
    Statement(
        "P2",
        "simulation lemma",
        latex=r"\|\hat V-V\|_\infty \le \frac{\varepsilon_R+\frac12\hat\gamma\varepsilon_P V_{\max}}{1-\hat\gamma}",
        assumptions=(_UNIT, "every policy"),
        sample=_sample_pair,
        sides=_p2,
        mutant="ε_P halved",
        # t -> 0 is where P2 is sharp.
        extremal=tuple(_fall(t, 0.9) for t in (1e-6, 1e-3)),
        attained=True,
    ),
    Statement(
        "P2+",
        "simulation lemma, sharp",
        latex=r"\|\hat V-V\|_\infty \le \frac{\varepsilon_R}{1-\hat\gamma}"
        r"+V_{\max}\frac{\hat\gamma t}{1-\hat\gamma+\hat\gamma t},\ t=\varepsilon_P/2",
        assumptions=(_UNIT, "every policy"),
        sample=_sample_pair,
        sides=_p2_plus,
        mutant="t for γt in the denominator",
        extremal=FALLS,
        attained=True,
    ),
    Statement(
        "P2+, known",
        "simulation lemma, rewards known per successor",
        latex=r"\|\hat V-V\|_\infty \le V_{\max}\frac{t}{1-\hat\gamma+\hat\gamma t},\ t=\varepsilon_P/2",
        assumptions=("rewards in [0, 1], a function of the successor too",),
        sample=_sample_known,
        sides=_p2_known,
        mutant="a factor γ, as where rewards are expected ones",
        extremal=tuple(_slip(t, g) for t in (0.01, 0.2, 1.0) for g in (0.0, 0.5, 0.9)),
        attained=True,
    ),
    Statement(
        "P3",
        "optimism",
        latex=r"V^{\pi_t}_{M_K} \ge V^*-\varepsilon_{\mathrm{plan}}-2\varepsilon_{\mathrm{sim}}",
        assumptions=(_UNIT, "any known pairs, estimates from samples, exact planning"),
        sample=_sample_snapshot,
        sides=_p3,
        mutant="ε_sim paid once instead of twice",
        extremal=ARMS,
        share=0.5,
        attained=True,
    ),
    Statement(
        "P3, planning",
        "what a value iteration loses that was stopped",
        latex=r"V^* - V^{\pi} \le \frac{2\hat\gamma\tau}{1-\hat\gamma}",
        assumptions=("greedy in the last backup, which changed Q by τ at most", _UNIT, "from any values in [0, V_max]"),
        sample=_sample_planning,
        sides=_planning,
        mutant="a constant halved",
        extremal=tuple(_misled(g) for g in (0.5, 0.9)),
        share=0.5,
        attained=True,
        source="P3; Williams and Baird 1993",
    ),
    Statement(
        "P3+, ξ",
        "the error of one backup of V*",
        latex=r"\Pr\Big(\xi > V_{\max}\sqrt{\tfrac{\ln(|\hat S||\hat A|/\delta')}{2m}}\Big) \le \delta'",
        assumptions=("pairs that lead to V_max or 0 with chance ½, exact probabilities", "both sides as -ln"),
        sample=_sample_backups,
        sides=_xi,
        mutant="a constant doubled: 4 for 2 under the root",
        extremal=(Backups(1000, 10_000, 1e-6), Backups(1, 10_000, 1e-12)),
        share=0.1,
        detects=(1, 1.2),
    ),
    Statement(
        "P3+",
        "optimism, the support paid once",
        latex=r"V^{\pi_t}_{M_K} \ge V^*"
        r"-\varepsilon_{\mathrm{plan}}-\varepsilon_{\mathrm{sim}}-\frac{\xi}{1-\hat\gamma}",
        assumptions=(_UNIT, "any known pairs, estimates from samples, exact planning"),
        sample=_sample_snapshot,
        sides=_p3_plus,
        mutant="ξ dropped",
        extremal=ARMS,
        share=0.5,
        attained=True,
    ),
    Statement(
        "P4",
        "explore or exploit",
        latex=r"V^{\pi_t}(s) \ge V^{\pi_t}_{M_K}(s)-V_{\max}e_t,\ e_t=\mathbb E[\hat\gamma^\tau]",
        assumptions=(_UNIT, "any known pairs, estimates from samples, exact planning"),
        sample=_sample_snapshot,
        sides=_p4,
        mutant="R_max for V_max",
        extremal=UNKNOWN,
        share=0.5,
        attained=True,
    ),
    Statement(
        "P4, horizon",
        "explore or exploit, with a horizon",
        latex=r"V^{\pi_t}(s) \ge V^{\pi_t}_{M_K}(s)-V_{\max}(p_t+\hat\gamma^H),\ p_t=\Pr(\tau<H)",
        assumptions=(_UNIT, "H = 1", "any known pairs, estimates from samples, exact planning"),
        sample=_sample_snapshot,
        sides=_p4_horizon,
        mutant="a constant halved",
        extremal=UNKNOWN,
        share=0.5,
        attained=True,
    ),
    Statement(
        "X6",
        "aliasing",
        latex=r"|V^\pi(w,z)-\bar V^\pi(w)| \le \frac{R_{\max}\kappa}{(1-\hat\gamma)(1-\hat\gamma+\hat\gamma\kappa)}",
        assumptions=(_UNIT, "a function of what is seen", "any mixture of the hidden states' laws as the model"),
        sample=_sample_aliased,
        sides=_x6,
        mutant="a factor γ",
        extremal=SLIPS,
        attained=True,
    ),
)
