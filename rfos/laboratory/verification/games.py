"""Statements on inner games and meta-games (G1, G2, G3, X2), and the false ones near them."""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from bounds import discretisation as theory
from bounds.grids import n1
from bounds.simulation import p2_plus
from rfos._system.arrays import Float
from rfos.laboratory.verification.engine import Sides, Statement
from rfos.laboratory.verification.models import DISCOUNTS, NEARLY_ZERO, optimum, value_of


@dataclass(frozen=True)
class PolicyPair:
    """A stochastic game and two joint policies, one row (S, A_i) per player: P (S, joint, S), r (S, joint)."""

    P: Float
    r: Float
    policies: tuple[tuple[Float, ...], tuple[Float, ...]]
    discount: float
    label: str

    def returns(self, which: int) -> Float:
        """J from every state: (1-γ) V, normalised."""
        joint = self.policies[which][0]
        for policy in self.policies[which][1:]:
            joint = (joint[:, :, None] * policy[:, None, :]).reshape(len(joint), -1)
        P = np.einsum("sa,sat->st", joint, self.P)
        return (1 - self.discount) * value_of(P, (joint * self.r).sum(axis=1), self.discount)

    def l1(self) -> Float:
        """L1 distances, shape (players, S)."""
        return np.array([np.abs(x - y).sum(axis=1) for x, y in zip(*self.policies, strict=True)])


def _sample_policies(rng: np.random.Generator) -> PolicyPair:
    players, n = int(rng.integers(1, 4)), int(rng.integers(1, 4))
    actions = [int(a) for a in rng.integers(1, 4, players)]
    joint = math.prod(actions)
    first = tuple(rng.dirichlet(np.full(a, 0.5), n) for a in actions)
    mix = float(rng.choice([0.01, 0.2, 1.0]))
    second = tuple((1 - mix) * p + mix * rng.dirichlet(np.full(p.shape[1], 0.5), n) for p in first)
    discount = float(rng.choice(DISCOUNTS))
    label = f"{players} players, {n} states, discount {discount:g}, mix {mix:g}"
    return PolicyPair(
        rng.dirichlet(np.full(n, 0.5), (n, joint)), rng.random((n, joint)), (first, second), discount, label
    )


def _mismatch(delta: float, discount: float) -> PolicyPair:
    """A good state (reward 1, stays) and a bad absorbing one; a mismatch earns 0 and falls. G1+ is an equality."""
    P = np.array([[[1.0, 0.0], [0.0, 1.0]], [[0.0, 1.0], [0.0, 1.0]]])
    r = np.array([[1.0, 0.0], [0.0, 0.0]])
    one = np.array([[1.0, 0.0], [1.0, 0.0]])
    two = np.array([[1 - delta, delta], [1.0, 0.0]])
    return PolicyPair(P, r, ((one,), (two,)), discount, f"mismatch {delta:g}, discount {discount:g}")


def _gap(pair: PolicyPair) -> float:
    return float(np.abs(pair.returns(0) - pair.returns(1)).max())


def _inner(pair: PolicyPair) -> dict[str, float]:
    return {"inner_span": max(float(np.ptp(pair.r)), NEARLY_ZERO), "inner_discount": pair.discount}


def _g1(pair: PolicyPair, mutant: bool) -> Sides:
    distance = float(pair.l1().max(axis=1).sum())
    right = float(theory.g1().evaluate(**_inner(pair), distance=distance))
    return Sides(_gap(pair), right / 2 if mutant else right)


def _g1_plus(pair: PolicyPair, mutant: bool) -> Sides:
    delta = min(1.0, max(0.0, float((1 - np.prod(1 - pair.l1() / 2, axis=0)).max())))
    if mutant:
        right = float(np.ptp(pair.r)) * delta / (1 - pair.discount + delta)
    else:
        right = float(theory.g1_plus().evaluate(**_inner(pair), mismatch=delta))
    return Sides(_gap(pair), right)


@dataclass(frozen=True)
class MetaGame:
    """Case I on finite sets: the shaper's rewards (A, Ψ), the opponents' next policy (A, Ψ), the discount."""

    rewards: Float
    learns: NDArray[np.int64]
    discount: float
    label: str

    def lumped(self) -> Float:
        """V* per policy about to be played, shape (Ψ,)."""
        n_actions, n = self.rewards.shape
        P = np.zeros((n, n_actions, n))
        P[np.arange(n)[:, None], np.arange(n_actions)[None], self.learns.T] = 1
        return optimum(P, self.rewards.T, self.discount)[0]

    def joint(self) -> Float:
        """V* per joint policy last played, shape (A, Ψ)."""
        n_actions, n = self.rewards.shape
        size = n_actions * n
        P, R = np.zeros((size, n_actions, size)), np.zeros((size, n_actions))
        for last, psi, a in itertools.product(range(n_actions), range(n), range(n_actions)):
            now = self.learns[last, psi]
            P[last * n + psi, a, a * n + now] = 1
            R[last * n + psi, a] = self.rewards[a, now]
        return optimum(P, R, self.discount)[0].reshape(n_actions, n)


def _sample_meta_game(rng: np.random.Generator) -> MetaGame:
    n_actions, n = int(rng.integers(1, 4)), int(rng.integers(1, 6))
    discount = float(rng.choice(DISCOUNTS[:-1]))
    label = f"{n_actions} actions, {n} opponent policies, discount {discount:g}"
    return MetaGame(rng.random((n_actions, n)), rng.integers(0, n, (n_actions, n)), discount, label)


_TURNCOAT = MetaGame(
    np.array([[0.0, 1.0], [0.0, 1.0]]), np.array([[0, 0], [1, 1]]), 0.5, "the opponent copies the shaper's last action"
)


def _g2(game: MetaGame, mutant: bool) -> Sides:
    lumped, joint = game.lumped(), game.joint()
    there = np.broadcast_to(lumped, joint.shape) if mutant else lumped[game.learns]
    return Sides(float(np.abs(joint - there).max()), 1e-9 / (1 - game.discount))


@dataclass(frozen=True)
class RoundedGame:
    """Case I with two actions of the opponent on a grid of k + 1 points, and where the learner moves off the grid.

    The shaper earns payoffs (A, 2); `learns` (A, k+1) is the next probability of action 0.
    """

    payoffs: Float
    learns: Float
    discount: float
    label: str

    @property
    def levels(self) -> int:
        """k."""
        return int(self.learns.shape[1]) - 1

    def played(self, first: Float) -> Float:
        """The shaper's rewards for its actions against probabilities (...) of action 0, shape (A, ...)."""
        return np.multiply.outer(self.payoffs[:, 0], first) + np.multiply.outer(self.payoffs[:, 1], 1 - first)

    def gap(self) -> float:
        """Largest |V_joint(a,ψ) - V_lumped(ψ')|: opponents that *play* L(a,ψ), whose next state ψ' is rounded."""
        n_actions, n = self.learns.shape
        there = np.floor(self.learns * self.levels + 0.5).astype(np.int64)
        lumped = MetaGame(self.played(np.arange(n) / self.levels), there, self.discount, "").lumped()
        P, R = np.zeros((n_actions * n, n_actions, n_actions * n)), np.zeros((n_actions * n, n_actions))
        for last, x, a in itertools.product(range(n_actions), range(n), range(n_actions)):
            P[last * n + x, a, a * n + there[last, x]] = 1
            R[last * n + x, a] = self.played(self.learns[last, x])[a]
        return float(np.abs(optimum(P, R, self.discount)[0] - lumped[there].ravel()).max())


def _sample_rounded(rng: np.random.Generator) -> RoundedGame:
    n_actions, levels = int(rng.integers(1, 4)), int(rng.integers(1, 6))
    discount = float(rng.choice(DISCOUNTS[:-1]))
    label = f"{n_actions} actions, {levels} levels, discount {discount:g}"
    return RoundedGame(rng.random((n_actions, 2)), rng.random((n_actions, levels + 1)), discount, label)


def _drifting(levels: int, discount: float) -> RoundedGame:
    """A learner that moves up by almost half a cell and is put back each time: the difference is as large as can be."""
    learns = np.minimum(1, (np.arange(levels + 1) + 0.5 - 1e-9) / levels)[None]
    label = f"a drift that rounding stops, {levels} levels, discount {discount:g}"
    return RoundedGame(np.array([[1.0, 0.0]]), learns, discount, label)


_DRIFTING = tuple(_drifting(k, g) for k in (1, 4) for g in (0.0, 0.8))


def _g2_unrounded(game: RoundedGame, mutant: bool) -> Sides:
    """L_R α_s/(1-γ̂) with L_R of a one-shot game."""
    slope = theory.reward_lipschitz().evaluate(
        inner_span=max(float(np.ptp(game.payoffs)), NEARLY_ZERO), inner_discount=0
    )
    radius = n1().radius.evaluate(inner_states=1, inner_actions=2, levels=game.levels)
    right = float(slope * radius) / (1 - game.discount)
    return Sides(game.gap(), right / 2 if mutant else right)


def _g2_unrounded_equal(game: RoundedGame, mutant: bool) -> Sides:
    return Sides(game.gap(), 0.0)


@dataclass(frozen=True)
class RandomLearner:
    """Case I on finite sets with a random learner: rewards (A, Ψ), law of the next policy (A, Ψ, Ψ)."""

    rewards: Float
    learns: Float
    discount: float
    label: str

    def values(self) -> tuple[Float, Float]:
        """V_joint of the joint policy last played and E V_lumped of the opponents' next policy, both (A, Ψ)."""
        n_actions, n = self.rewards.shape
        lumped = optimum(self.learns.transpose(1, 0, 2), self.rewards.T, self.discount)[0]
        size = n_actions * n
        P, R = np.zeros((size, n_actions, size)), np.zeros((size, n_actions))
        for last, psi, a in itertools.product(range(n_actions), range(n), range(n_actions)):
            P[last * n + psi, a, a * n : (a + 1) * n] = self.learns[last, psi]
            R[last * n + psi, a] = self.learns[last, psi] @ self.rewards[a]
        return optimum(P, R, self.discount)[0].reshape(n_actions, n), self.learns @ lumped


def _sample_random_learner(rng: np.random.Generator) -> RandomLearner:
    n_actions, n = int(rng.integers(1, 4)), int(rng.integers(1, 5))
    learns = rng.dirichlet(np.full(n, float(rng.choice([0.02, 0.5]))), (n_actions, n))
    discount = float(rng.choice(DISCOUNTS[:-1]))
    label = f"{n_actions} actions, {n} opponent policies, discount {discount:g}"
    return RandomLearner(rng.random((n_actions, n)), learns, discount, label)


_REDRAWN = RandomLearner(
    np.eye(2), np.full((2, 2, 2), 0.5), 0.5, "Matching Pennies, a pure action redrawn: ½ a step against 1"
)

_COPIED = RandomLearner(
    _TURNCOAT.rewards, np.eye(2)[_TURNCOAT.learns], _TURNCOAT.discount, "the opponent copies: not random, equality"
)


def _g2_random(game: RandomLearner, mutant: bool) -> Sides:
    """Values are shifted by their common least possible amount, 0, so that the ratio is one of values."""
    joint, lumped = game.values()
    if mutant:  # the opponents' present policy for the next one
        lumped = np.broadcast_to(optimum(game.learns.transpose(1, 0, 2), game.rewards.T, game.discount)[0], joint.shape)
    worst = int(np.argmax(joint - lumped))
    return Sides(float(joint.flat[worst]), float(lumped.flat[worst]))


def _g2_random_equal(game: RandomLearner, mutant: bool) -> Sides:
    joint, lumped = game.values()
    return Sides(float(np.abs(joint - lumped).max()), 0.0)


def _dropped(game: MetaGame, mutant: bool) -> Sides:
    """The spread of V_joint over the own policy at a fixed opponents' policy, claimed to be 0."""
    return Sides(float(np.ptp(game.joint(), axis=0).max()), 0.0)


@dataclass(frozen=True)
class HeldGame:
    """Windows of one joint action, K inner steps under a held mixed action: rewards (A, O), play (A·O, O).

    `switch` pays 1 where the two last own actions of a meta-step differ, instead of `rewards`.
    """

    rewards: Float
    play: Float
    discount: float
    steps: int
    switch: bool
    label: str

    def value(self, levels: int) -> Float:
        """V* with the mixed actions of `levels` levels (1: the pure ones), shape (A·O,)."""
        n_actions, n_joint = self.rewards.shape
        n = n_actions * n_joint
        mixed = [
            np.array(w) / levels for w in itertools.product(range(levels + 1), repeat=n_actions) if sum(w) == levels
        ]
        P, R = np.zeros((n, len(mixed), n)), np.zeros((n, len(mixed)))
        for i, weights in enumerate(mixed):
            step = np.einsum("a,so->sao", weights, self.play).reshape(n, n)
            reward = (step * self.rewards.ravel()).sum(axis=1)
            if self.switch:  # K = 2: the second own action differs from the first
                P[:, i], R[:, i] = step @ step, 1 - (weights**2).sum()
                continue
            reach, total = np.eye(n), np.zeros(n)
            for _ in range(self.steps):
                total, reach = total + reach @ reward, reach @ step
            P[:, i], R[:, i] = reach, total
        return optimum(P, R, self.discount)[0]


def _sample_held(rng: np.random.Generator) -> HeldGame:
    n_actions, n_joint = int(rng.integers(1, 4)), int(rng.integers(1, 3))
    discount = float(rng.choice(DISCOUNTS[:-1]))
    play = rng.dirichlet(np.full(n_joint, 0.5), n_actions * n_joint)
    label = f"{n_actions} actions, {n_joint} opponent actions, discount {discount:g}"
    return HeldGame(rng.random((n_actions, n_joint)), play, discount, 1, False, label)


_SWITCH = HeldGame(np.zeros((2, 1)), np.ones((2, 1)), 0.0, 2, True, "reward: the two own actions differ")


def _g3(game: HeldGame, mutant: bool) -> Sides:
    game = replace(game, steps=2, switch=game.rewards.shape[0] > 1) if mutant else game
    gain = game.value(2) - game.value(1)
    return Sides(float(gain.max()), 1e-9 / (1 - game.discount))


@dataclass(frozen=True)
class PooledGame:
    """A window of one joint action, laws of the opponents' joint action after each, estimated and true.

    The shaper's rewards (A, O) lie in [0, 1]; the laws `play` and `estimate` (A·O, O) do not depend on what the shaper
    plays at the same time.
    """

    rewards: Float
    play: Float
    estimate: Float
    policies: NDArray[np.int64]
    discount: float
    label: str

    def value(self, laws: Float, policy: NDArray[np.int64]) -> Float:
        """V of a policy (A·O,) if the opponents answer with laws (A·O, A, O), one for each own action."""
        n_actions, n_joint = self.rewards.shape
        at = np.arange(len(policy))
        P = np.zeros((len(policy), n_actions, n_joint))
        P[at, policy] = laws[at, policy]
        return value_of(P.reshape(len(policy), -1), (laws[at, policy] * self.rewards[policy]).sum(1), self.discount)


def _sample_pooled(rng: np.random.Generator) -> PooledGame:
    n_actions, n_joint, m = int(rng.integers(1, 5)), int(rng.integers(1, 4)), int(rng.integers(1, 200))
    n = n_actions * n_joint
    play = rng.dirichlet(np.full(n_joint, 0.5), n)
    # What the shaper plays at the m visits to a window does not matter, so it is not even drawn.
    estimate = rng.multinomial(m, play) / m
    discount = float(rng.choice(DISCOUNTS))
    label = f"{n_actions} actions, {n_joint} opponent actions, {m} visits a window, discount {discount:g}"
    policies = rng.integers(0, n_actions, (8, n))
    return PooledGame(rng.random((n_actions, n_joint)), play, estimate, policies, discount, label)


def _lapse(t: float, discount: float) -> PooledGame:
    """One own action; an opponent that pays until, with probability t, it stops for ever, estimated never to stop."""
    play, estimate = np.array([[1 - t, t], [0.0, 1.0]]), np.eye(2)
    policies = np.zeros((1, 2), np.int64)
    label = f"lapse {t:g}, discount {discount:g}"
    return PooledGame(np.array([[1.0, 0.0]]), play, estimate, policies, discount, label)


def _x2(game: PooledGame, mutant: bool) -> Sides:
    """Largest error of eight policies' values; the right side is paid once per window, whatever |Â|."""
    shape = (*game.play.shape[:1], *game.rewards.shape)
    estimate = np.broadcast_to(game.estimate[:, None], shape)
    play = np.array(np.broadcast_to(game.play[:, None], shape))
    if mutant:
        play[:, 1:] = np.roll(play[:, 1:], 1, axis=2)
    left = max(float(np.abs(game.value(estimate, p) - game.value(play, p)).max()) for p in game.policies)
    error = max(float(np.abs(game.estimate - game.play).sum(axis=1).max()), NEARLY_ZERO)
    return Sides(left, float(p2_plus("known").evaluate(eps_transition=error, discount=game.discount, r_max=1)))


_STATE_GAMES = ("1 to 3 players, 1 to 3 states", "all players may change")

GAMES = (
    Statement(
        "G1",
        "the return is Lipschitz in the policies",
        latex=r"|J(\varphi)-J(\varphi')| \le \frac{\mathrm{span}(r)}{2(1-\gamma)}\,d(\varphi,\varphi')",
        assumptions=_STATE_GAMES,
        sample=_sample_policies,
        sides=_g1,
        mutant="½ for 1 (a constant halved)",
        extremal=tuple(_mismatch(d, g) for d, g in ((1.0, 0.0), (1e-6, 0.9))),
        attained=True,
    ),
    Statement(
        "G1+",
        "the same, sharp at every distance",
        latex=r"|J(\varphi)-J(\varphi')| \le \mathrm{span}(r)\frac{\delta_\varphi}{1-\gamma+\gamma\delta_\varphi}",
        assumptions=_STATE_GAMES,
        sample=_sample_policies,
        sides=_g1_plus,
        mutant="δ for γδ in the denominator",
        extremal=tuple(_mismatch(d, g) for d in (0.01, 0.3, 1.0) for g in (0.0, 0.5, 0.96)),
        attained=True,
    ),
    Statement(
        "G2",
        "exact lumping",
        latex=r"V^*_{\mathrm{joint}}(\varphi) = V^*_{\mathrm{lumped}}(L(\varphi))",
        assumptions=("deterministic learners without memory", "the right side is rounding"),
        sample=_sample_meta_game,
        sides=_g2,
        mutant="the own policy dropped: V_lumped(ψ)",
        extremal=(_TURNCOAT,),
        share=0.5,
    ),
    Statement(
        "G2, unrounded play",
        "what lumping costs if only the next state is rounded",
        latex=r"|V^*_{\mathrm{joint}}(\varphi) - V^*_{\mathrm{lumped}}(L_d(\varphi))| \le "
        r"\frac{L_R\,\alpha_s}{1-\hat\gamma}",
        assumptions=(
            "the opponents play L(φ), the next state is its nearest grid point",
            "two opponent actions, one inner state",
        ),
        sample=_sample_rounded,
        sides=_g2_unrounded,
        mutant="a constant halved",
        extremal=_DRIFTING,
        share=0.5,
        attained=True,
    ),
    Statement(
        "G2, random learners",
        "the lumped shaper sees what is drawn before it acts",
        latex=r"V^*_{\mathrm{joint}}(\varphi) \le \mathbb E\,V^*_{\mathrm{lumped}}(\psi')",
        assumptions=("random learners without memory", "rewards in [0, 1]; the states where the difference is largest"),
        sample=_sample_random_learner,
        sides=_g2_random,
        mutant="the opponents' present policy for the one drawn",
        extremal=(_COPIED,),
        share=0.5,
        attained=True,
    ),
    Statement(
        "G3",
        "pure actions suffice",
        latex=r"V^*_{\mathrm{mixed}} = V^*_{\mathrm{pure}}",
        assumptions=(
            "exact windows, one inner step, simultaneous moves",
            "mixed actions in halves; the right side is rounding",
        ),
        sample=_sample_held,
        sides=_g3,
        mutant="the action held for two inner steps",
        share=0.5,
    ),
    Statement(
        "X2",
        "counts per window",
        latex=r"\|\hat V^\pi-V^\pi\|_\infty \le \frac{V_{\max}\,t}{1-\hat\gamma+\hat\gamma t},"
        r"\ t=\tfrac12\max_w\|\hat\sigma(w)-\sigma(w)\|_1",
        assumptions=("exact windows of one joint action, simultaneous moves, known rewards", "8 policies, all windows"),
        sample=_sample_pooled,
        sides=_x2,
        mutant="opponents that see the shaper's action before they move",
        extremal=tuple(_lapse(t, g) for t in (0.1, 0.5) for g in (0.5, 0.9)),
        share=0.5,
        source="X2, of this package",
        attained=True,
    ),
)

FALSE_GAMES = (
    Statement(
        "false: G2 by dropping the own policy",
        "V_joint depends on the opponents' last policy alone",
        latex=r"V^*_{\mathrm{joint}}(a,\psi) = V^*_{\mathrm{joint}}(a',\psi)",
        assumptions=("the meta-state is the joint policy last played",),
        sample=_sample_meta_game,
        sides=_dropped,
        extremal=(_TURNCOAT,),
        holds=False,
    ),
    Statement(
        "false: G2 with unrounded play",
        "lumping is exact on a grid whatever the opponents play",
        latex=r"V^*_{\mathrm{joint}}(\varphi) = V^*_{\mathrm{lumped}}(L_d(\varphi))",
        assumptions=("the opponents play L(φ), only the next state is rounded",),
        sample=_sample_rounded,
        sides=_g2_unrounded_equal,
        extremal=_DRIFTING,
        holds=False,
    ),
    Statement(
        "false: G2 for random learners",
        "lumping is exact for random learners",
        latex=r"V^*_{\mathrm{joint}}(\varphi) = \mathbb E\,V^*_{\mathrm{lumped}}(\psi')",
        assumptions=("Matching Pennies, an opponent that redraws a pure action: ½ a step against 1",),
        sample=_sample_random_learner,
        sides=_g2_random_equal,
        extremal=(_REDRAWN,),
        holds=False,
    ),
    Statement(
        "false: G3 under held policies",
        "pure actions suffice for two inner steps under one policy",
        latex=r"V^*_{\mathrm{mixed}} = V^*_{\mathrm{pure}},\ K=2",
        assumptions=("reward 1 where the two own actions differ: pure 0, mixed ½",),
        sample=_sample_held,
        sides=_g3,
        extremal=(_SWITCH,),
        holds=False,
    ),
)
