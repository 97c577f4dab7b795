"""Statements on teams: one model for all policies, as a whole, by occupancy, partly known, and the lock (M1, M6a)."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from bounds import team_rungs, teams
from rfos._system.arrays import Float
from rfos.laboratory.verification.engine import Sides, Statement

CLASSES = ("local", "reactive", "joint", "full")
"""What a policy goes by: each agent's own history, its last observation, the joint history, or hidden states too."""

_MOST_NODES = 20_000
_DISCOUNTS = (0.5, 0.9, 1.0)


class Model(NamedTuple):
    """A team problem as tables.

    Attributes
    ----------
    W : ndarray of float64, shape (S, A, S, O)
        Law of next state and joint observation for a state and a joint action.
    R : ndarray of float64, shape (S, A)
        Mean rewards.
    starts : ndarray of float64, shape (S, O)
        Law of first state and first joint observation.
    """

    W: Float
    R: Float
    starts: Float


@dataclass(frozen=True)
class Problem:
    """Two models of one team, a policy as a table for every history, and which pairs are known.

    Attributes
    ----------
    true, estimated : Model
    laws : tuple of ndarray of float64, shape (K_h, A)
        For each step and each of the K_h histories of states, joint observations and joint actions, whether they can
        happen or not, the law of the joint action.
    discount : float
    known : ndarray of bool, shape (S, A)
    start_known : bool
        Whether the start law is one of the known rows.
    label : str
    """

    true: Model
    estimated: Model
    laws: tuple[Float, ...]
    discount: float
    known: NDArray[np.bool_]
    start_known: bool
    label: str

    @property
    def returns(self) -> list[float]:
        """V_0, .., V_T, the largest returns of so many steps."""
        return [math.fsum(self.discount**h for h in range(j)) for j in range(len(self.laws) + 1)]

    def row_errors(self) -> tuple[Float, float]:
        """Return the total variation of every pair's row, shape (S, A), and of the start law."""
        rows = np.abs(self.true.W - self.estimated.W).sum(axis=(2, 3)) / 2
        return rows, float(np.abs(self.true.starts - self.estimated.starts).sum() / 2)

    def errors(self) -> tuple[float, float]:
        """Return t and ρ, the largest errors of known rows and rewards."""
        rows, start = self.row_errors()
        rewards = np.abs(self.true.R - self.estimated.R)[self.known].max(initial=0.0)
        t = max(float(rows[self.known].max(initial=0.0)), start if self.start_known else 0.0)
        return min(t, 1.0), float(rewards)

    def played(self, model: Model) -> tuple[float, float]:
        """Return what known pairs earn until the first unknown one, and the discounted steps from there, g."""
        left = self.returns
        if not self.start_known:
            return 0.0, left[-1]
        weight, earned, escaped = model.starts.ravel(), 0.0, 0.0
        states, observations = model.starts.shape
        state = np.repeat(np.arange(states), observations)
        for h, law in enumerate(self.laws):
            pairs = weight[:, None] * law
            staying = pairs * self.known[state]
            earned += self.discount**h * float((staying * model.R[state]).sum())
            escaped += self.discount**h * left[-1 - h] * float((pairs - staying).sum())
            if h + 1 < len(self.laws):
                weight = (staying[:, :, None, None] * model.W[state]).ravel()
                state = np.tile(np.repeat(np.arange(states), observations), len(weight) // (states * observations))
        return earned, escaped

    def visits(self) -> list[Float]:
        """Return the probability of each pair at each step in the true model, shapes (S, A)."""
        weight, found = self.true.starts.ravel(), []
        states, observations = self.true.starts.shape
        state = np.repeat(np.arange(states), observations)
        for law in self.laws:
            pairs = weight[:, None] * law
            total = np.zeros_like(self.true.R)
            np.add.at(total, state, pairs)
            found.append(total)
            if len(found) < len(self.laws):
                weight = (pairs[:, :, None, None] * self.true.W[state]).ravel()
                state = np.tile(np.repeat(np.arange(states), observations), len(weight) // (states * observations))
        return found


def _random_laws(
    rng: np.random.Generator, kind: str, n_states: int, actions: tuple[int, ...], seen: tuple[int, ...], horizon: int
) -> tuple[Float, ...]:
    """Return a random policy of a class: a law for each history that it can tell from others, the same elsewhere."""
    n_actions, n_observations = math.prod(actions), math.prod(seen)
    concentration = float(rng.choice([0.05, 1.0]))  # nearly deterministic, or not
    # What each agent tells apart, and what one who sees the joint history or everything does.
    observed = np.array(np.unravel_index(np.tile(np.arange(n_observations), n_states), seen))
    own = list(observed) if kind in ("local", "reactive") else [np.tile(np.arange(n_observations), n_states)]
    if kind == "full":
        own = [np.arange(n_states * n_observations)]
    choices = actions if kind in ("local", "reactive") else (n_actions,)
    acted = np.array(np.unravel_index(np.arange(n_actions), actions))
    laws: list[Float] = []
    for h in range(horizon):
        law = np.ones((len(own[0]), 1))
        for ids, size in zip(own, choices, strict=True):
            names, place = np.unique(ids, return_inverse=True)
            table = rng.dirichlet(np.full(size, concentration), len(names))
            law = (law[:, :, None] * table[place][:, None, :]).reshape(len(law), -1)
        laws.append(law)
        if h + 1 == horizon:
            break
        count = len(law)
        later = []
        for i, ids in enumerate(own):
            if kind == "full":
                later.append(np.arange(count * n_actions * n_states * n_observations))
                continue
            new = observed[i] if kind in ("local", "reactive") else np.tile(np.arange(n_observations), n_states)
            if kind == "reactive":
                later.append(np.tile(new, count * n_actions))
                continue
            before = np.unique(ids, return_inverse=True)[1]
            mine = acted[i] if kind == "local" else np.arange(n_actions)
            past = before[:, None] * n_actions + mine
            later.append((past[:, :, None] * n_observations + new).ravel())
        own = later
    return tuple(laws)


def _near(rng: np.random.Generator, table: Float, mix: float) -> Float:
    """Return laws over the last axis that are a share `mix` away."""
    other = rng.dirichlet(np.full(table.shape[-1], 0.5), table.shape[:-1])
    return np.asarray((1 - mix) * table + mix * other, np.float64)


def _sample(rng: np.random.Generator, *, known: bool = True, shift: bool = True) -> Problem:
    """A small team, a model of it, and a policy of any class."""
    n_states, n_agents = int(rng.integers(1, 4)), int(rng.integers(1, 3))
    actions = tuple(int(i) for i in rng.integers(1, 3, n_agents))
    seen = tuple(int(i) for i in rng.integers(1, 3, n_agents))
    joint, observed = math.prod(actions), math.prod(seen)
    horizon = int(rng.integers(1, 5))
    while horizon > 1 and n_states * observed * (joint * n_states * observed) ** (horizon - 1) * joint > _MOST_NODES:
        horizon -= 1
    mix = float(rng.choice([0.01, 0.1, 0.5, 1.0]))
    W = rng.dirichlet(np.full(n_states * observed, 0.3), (n_states, joint))
    starts = rng.dirichlet(np.full(n_states * observed, 0.3))
    R = rng.random((n_states, joint))
    R = np.where(rng.random(R.shape) < 0.3, np.round(R), R)
    noise = float(rng.choice([0.0, 0.05, 0.5])) if shift else 0.0
    shape = (n_states, joint, n_states, observed)
    estimated = Model(
        _near(rng, W, mix).reshape(shape),
        np.clip(R + noise * rng.uniform(-1, 1, R.shape), 0, 1),
        _near(rng, starts, mix).reshape(n_states, observed),
    )
    kind = str(rng.choice(CLASSES))
    mask = np.ones(R.shape, bool) if known else rng.random(R.shape) < 0.7
    return Problem(
        Model(W.reshape(shape), R, starts.reshape(n_states, observed)),
        estimated,
        _random_laws(rng, kind, n_states, actions, seen, horizon),
        float(rng.choice(_DISCOUNTS)),
        mask,
        known or bool(rng.random() < 0.9),
        f"{n_states} states, actions {actions}, observations {seen}, {horizon} steps, {kind} policy, mix {mix:g}",
    )


def _only(horizon: int, n_states: int) -> tuple[Float, ...]:
    """The laws of a problem with one joint action and one observation."""
    return tuple(np.ones((n_states ** (h + 1), 1)) for h in range(horizon))


def _fall(t: float, rho: float, horizon: int, discount: float) -> Problem:
    """A good state (pays 1, stays) and a bad one; in the model it pays 1-ρ and falls w.p. t, at the start too."""
    stays, falls = np.zeros((2, 1, 2, 1)), np.zeros((2, 1, 2, 1))
    stays[0, 0, 0], stays[1, 0, 1] = 1, 1
    falls[0, 0, :, 0], falls[1, 0, 1] = (1 - t, t), 1
    R, R_hat = np.array([[1.0], [0.0]]), np.array([[1 - rho], [0.0]])
    true = Model(stays, R, np.array([[1.0], [0.0]]))
    estimated = Model(falls, R_hat, np.array([[1 - t], [t]]))
    label = f"fall, t {t:g}, ρ {rho:g}, {horizon} steps, discount {discount:g}"
    return Problem(true, estimated, _only(horizon, 2), discount, np.ones((2, 1), bool), True, label)


def _hearsay(t: float, horizon: int, discount: float) -> Problem:
    """Observations alone: one state, action 1 pays 1, and is taken while every observation was 0; 1 comes w.p. t."""
    W, W_hat = np.zeros((1, 2, 1, 2)), np.zeros((1, 2, 1, 2))
    W[..., 0], W_hat[..., :] = 1, (1 - t, t)
    R = np.array([[0.0, 1.0]])
    quiet = np.array([True, False])
    laws = []
    for _ in range(horizon):
        laws.append(np.stack([~quiet, quiet], axis=1).astype(np.float64))
        quiet = (quiet[:, None, None] & np.ones((1, 2, 1), bool) & np.array([True, False])).ravel()
    label = f"observations alone, t {t:g}, {horizon} steps, discount {discount:g}"
    true, estimated = Model(W, R, np.array([[1.0, 0.0]])), Model(W_hat, R, np.array([[1 - t, t]]))
    return Problem(true, estimated, tuple(laws), discount, np.ones((1, 2), bool), True, label)


FAMILIES = (
    *(_fall(t, rho, h, g) for t, rho, h, g in ((0.1, 0.05, 5, 1.0), (0.5, 0.0, 3, 0.9), (0.01, 0.3, 8, 1.0))),
    *(_hearsay(t, h, g) for t, h, g in ((0.1, 4, 1.0), (0.5, 3, 0.5), (0.9, 4, 0.9))),
)


def _difference(problem: Problem) -> float:
    return abs(problem.played(problem.estimated)[0] - problem.played(problem.true)[0])


def _m1(problem: Problem, mutant: bool) -> Sides:
    t, rho = problem.errors()
    bound = teams.m1("known" if mutant else "estimated")
    at = {"model_tv": t, "reward_error": rho, "horizon": len(problem.laws), "episode_discount": problem.discount}
    return Sides(_difference(problem), float(bound.evaluate(**at)))


@dataclass(frozen=True)
class Whole:
    """A problem whose returns lie in an interval of the length given; known rewards."""

    problem: Problem
    length: float

    @property
    def label(self) -> str:
        """That of the problem."""
        return f"{self.problem.label}, returns within {self.length:g}"


def _sample_whole(rng: np.random.Generator) -> Whole:
    """Rewards of any sign; or paid once, by an action that ends the episode."""
    p = _sample(rng, shift=False)
    R = 2 * p.true.R - 1
    length = p.returns[-1] * float(R.max() - R.min())
    true, estimated = p.true, p.estimated
    if len(R) > 1 and R.shape[1] > 1 and rng.random() < 0.7:
        once = np.zeros_like(R)
        once[:-1, -1] = R[:-1, -1]  # the last action is paid, and leads to the last state, which pays nothing
        R, tables = once, []
        for model in (true, estimated):
            W = model.W.copy()
            ended = W[:, -1].sum(axis=1)
            W[:, -1], W[-1] = 0, 0
            W[:, -1, -1] = ended
            W[-1, :, -1] = ended[-1]
            tables.append(W)
        true, estimated = true._replace(W=tables[0]), estimated._replace(W=tables[1])
        length = float(max(R.max(), 0) - min(R.min(), 0))
    problem = Problem(true._replace(R=R), estimated._replace(R=R), p.laws, p.discount, p.known, True, p.label)
    return Whole(problem, max(length, 1e-12))


def _late(t: float, horizon: int) -> Whole:
    """Only the last step pays, unless the model has fallen before, at first or on the way."""
    n = horizon + 1
    true, falls = np.zeros((n, 1, n, 1)), np.zeros((n, 1, n, 1))
    for s in range(n):
        ahead = min(s + 1, horizon - 1) if s < horizon else horizon
        true[s, 0, ahead, 0] += 1
        falls[s, 0, ahead, 0] += 1 - t
        falls[s, 0, horizon, 0] += t
    R = np.zeros((n, 1))
    R[horizon - 1] = 1
    first = np.zeros((n, 1))
    first[0] = 1
    second = (1 - t) * first
    second[horizon] += t
    laws = _only(horizon, n)
    problem = Problem(
        Model(true, R, first), Model(falls, R, second), laws, 1.0, np.ones((n, 1), bool), True, f"late, t {t:g}"
    )
    return Whole(problem, 1.0)


def _m1_total(whole: Whole, mutant: bool) -> Sides:
    t, _ = whole.problem.errors()
    at = {"model_tv": t, "horizon": len(whole.problem.laws), "return_range": whole.length}
    return Sides(_difference(whole.problem), float(teams.m1_total("known" if mutant else "estimated").evaluate(**at)))


def _m1_occupancy(problem: Problem, mutant: bool) -> Sides:
    rows, start = problem.row_errors()
    rewards, left = np.abs(problem.true.R - problem.estimated.R), problem.returns
    right = 0.0 if mutant else start * left[-1]
    for h, pairs in enumerate(problem.visits()):
        errors = rewards + problem.discount * rows * left[len(problem.laws) - 1 - h]
        right += problem.discount**h * float((pairs * errors).sum())
    return Sides(_difference(problem), right)


def _once(t: float, horizon: int, discount: float) -> Problem:
    """`_fall` with one chance to fall: the start law's."""
    p = _fall(t, 0.0, horizon, discount)
    label = f"one fall at the start, t {t:g}, {horizon} steps"
    return Problem(p.true, p.estimated._replace(W=p.true.W), p.laws, discount, p.known, True, label)


def _sample_partly(rng: np.random.Generator) -> Problem:
    return _sample(rng, known=False)


def _m1_known(problem: Problem, mutant: bool) -> Sides:
    t, rho = problem.errors()
    earned, escaped = problem.played(problem.estimated)
    whole = Problem(
        problem.true,
        problem.estimated,
        problem.laws,
        problem.discount,
        np.ones_like(problem.known),
        True,
        problem.label,
    )
    value = whole.played(problem.true)[0]
    at = {"model_tv": t, "reward_error": rho, "horizon": len(problem.laws), "episode_discount": problem.discount}
    right = float(teams.m1("known" if mutant else "estimated").evaluate(**at))
    return Sides(max(value - earned - escaped, earned - value), right)


def _m1_escape(problem: Problem, mutant: bool) -> Sides:
    t, _ = problem.errors()
    change = abs(problem.played(problem.estimated)[1] - problem.played(problem.true)[1])
    at = {"model_tv": t, "horizon": len(problem.laws), "episode_discount": problem.discount}
    bound = teams.m1("known", "known") if mutant else teams.m1_known().change
    return Sides(change, float(bound.evaluate(**at)))


def _escaping(t: float) -> Problem:
    """One step: the good state's pair is unknown, and the model's start law misses it with probability t."""
    p = _fall(t, 0.0, 1, 1.0)
    return Problem(p.true, p.estimated, p.laws, 1.0, np.array([[False], [True]]), True, f"escape, t {t:g}")


@dataclass(frozen=True)
class Code:
    """A lock: the right joint action of each step, of so many."""

    digits: tuple[int, ...]
    n_actions: int

    @property
    def label(self) -> str:
        """The sizes."""
        return f"lock of {len(self.digits)} steps, {self.n_actions} joint actions"


def _sample_code(rng: np.random.Generator) -> Code:
    n_actions, horizon = int(rng.integers(1, 10)), int(rng.integers(1, 11))
    return Code(tuple(int(i) for i in rng.integers(0, n_actions, horizon)), n_actions)


def _lock(code: Code, mutant: bool) -> Sides:
    """Play the smallest actions not yet refuted; after the episode states tell the first wrong one."""
    guess, episodes = [0] * len(code.digits), 1
    while tuple(guess) != code.digits:
        wrong = next(i for i, (mine, right) in enumerate(zip(guess, code.digits, strict=True)) if mine != right)
        guess[wrong] += 1
        episodes += 1
    found = team_rungs.m6a().hindsight.evaluate(n_actions=code.n_actions, horizon=len(code.digits))
    return Sides(episodes, float(found) - mutant)


_PAIRS = "teams of one or two agents, local, reactive, joint and full-information policies, values by forward recursion"
_MARCO = teams.PAPER

TEAMS = (
    Statement(
        "M1",
        "one model for all policies",
        latex=r"|\hat V^\pi-V^\pi| \le G_T(\gamma)-(1-\rho)(1-t)\,G_T(\gamma(1-t))",
        assumptions=(_PAIRS, "rewards in [0, 1], the start law is estimated"),
        sample=_sample,
        sides=_m1,
        mutant="the start law's factor dropped",
        extremal=FAMILIES,
        attained=True,
        source=f"M1, {_MARCO}",
    ),
    Statement(
        "M1-tot",
        "one model for all policies, returns as a whole",
        latex=r"|\hat V^\pi-V^\pi| \le \bar V(1-(1-t)^T)",
        assumptions=(_PAIRS, "known rewards, returns in an interval"),
        sample=_sample_whole,
        sides=_m1_total,
        mutant="a step less",
        extremal=tuple(_late(t, h) for t, h in ((0.1, 1), (0.1, 4), (0.5, 3))),
        attained=True,
        source=f"M1-tot, {_MARCO}",
    ),
    Statement(
        "M1-occ",
        "one model for all policies, by what is visited",
        latex=r"|\hat V^\pi-V^\pi| \le t(\star)V_T+E\sum_h\gamma^{h-1}(\rho(z_h)+\gamma t(z_h)V_{T-h})",
        assumptions=(_PAIRS, "rewards in [0, 1], the start law is estimated"),
        sample=_sample,
        sides=_m1_occupancy,
        mutant="the start law's term dropped",
        extremal=tuple(_once(t, h, g) for t, h, g in ((0.1, 4, 1.0), (0.5, 3, 0.5))),
        attained=True,
        source=f"M1-occ, {_MARCO}",
    ),
    Statement(
        "M1K",
        "a partly known model brackets every policy",
        latex=r"V^\pi_{\hat M^-}-\sigma \le V^\pi \le V^\pi_{\hat M^+}+\sigma",
        assumptions=(_PAIRS, "any known pairs"),
        sample=_sample_partly,
        sides=_m1_known,
        mutant="the start law's factor dropped",
        extremal=FAMILIES,
        attained=True,
        source=f"M1K, {_MARCO}",
    ),
    Statement(
        "M1K, escape",
        "the escape value of a partly known model",
        latex=r"|g(\pi)-g_M(\pi)| \le \sigma(t,0)",
        assumptions=(_PAIRS, "any known pairs"),
        sample=_sample_partly,
        sides=_m1_escape,
        mutant="the start law's factor dropped",
        extremal=tuple(_escaping(t) for t in (0.1, 0.5)),
        attained=True,
        source=f"M1K, {_MARCO}",
    ),
    Statement(
        "M6a, hindsight",
        "a lock whose states are seen after the episode",
        latex=r"N \le T(|A|-1)+1",
        assumptions=("the learner plays the smallest joint actions that have not been refuted",),
        sample=_sample_code,
        sides=_lock,
        mutant="the last episode not counted",
        extremal=tuple(Code((a - 1,) * h, a) for a, h in ((9, 10), (3, 6), (1, 2))),
        attained=True,
        source=f"M6a, {_MARCO}",
    ),
)
