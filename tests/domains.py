"""Tiny MDPs and games with their exact answers, and where each comes from."""

from __future__ import annotations

import itertools
from fractions import Fraction

import numpy as np
from exact import ExactMDP

from rfos.games.normal_form import NormalFormGame
from rfos.metagames.opponents import MemoryOne
from rfos.metagames.windows import WindowIndex
from rfos.planning.mdp import TabularMDP
from rfos.planning.storages import ShiftRegister

ONE = Fraction(1)
ZERO = Fraction(0)
DISCOUNTS = tuple(
    Fraction(x) for x in ("0", "1/2", "2/3", "4/5", "9/10", "29/30", "99/100", "999/1000", "2999/3000", "9999/10000")
)


def deterministic(successor, reward, discount) -> ExactMDP:
    """An MDP from tables (S, A) of successors and rewards."""
    rows = tuple(
        tuple(((int(j), ONE, Fraction(r)),) for j, r in zip(js, rs, strict=True))
        for js, rs in zip(successor, reward, strict=True)
    )
    return ExactMDP(rows, Fraction(discount))


def stay_or_move(discount) -> ExactMDP:
    """Action 0 stays, 1 moves to the other state; only staying in state 1 pays. V* = (γ, 1)/(1-γ).

    Source: textbook; Puterman 1994, section 3.1 has a variant.
    """
    return deterministic([[0, 1], [1, 0]], [[0, 0], [1, 0]], discount)


def corridor(discount, *, length: int = 5, safe=Fraction(3, 10)) -> ExactMDP:
    """State 0: action 0 stays and pays `safe`, action 1 enters a corridor; its end pays nothing for ever.

    State 1 + i is step i of the corridor, the last state its end. V*(0) = safe/(1-γ), V* = 0 elsewhere. One
    unreachable state pays 1, so that V_max = 1/(1-γ). Source: proof notes, section 5, "T1 under resets".
    """
    end = length + 1
    successor = [[0, 1], *([i + 1, i + 1] for i in range(1, end)), [end, end], [end + 1, end + 1]]
    reward = [[safe, 0], *([0, 0] for _ in range(1, end)), [0, 0], [1, 1]]
    return deterministic(successor, reward, discount)


def far_states(n: int, n_actions: int, v, q, discount) -> ExactMDP:
    """X3's family. Home: action 0 stays and pays v(1-γ); action 1 reaches one of n far states with probability q.

    The other home actions are copies of action 0. Far states pay nothing and lead home. V*(home) = v. One unreachable
    state pays 1. Source: proof notes, X3.
    """
    discount, v, q = Fraction(discount), Fraction(v), Fraction(q)
    stay = ((0, ONE, v * (1 - discount)),)
    far = tuple((1 + i, q / n, ZERO) for i in range(n))
    home = (stay, ((0, 1 - q, ZERO), *far), *(stay for _ in range(n_actions - 2)))
    back = tuple(((0, ONE, ZERO),) for _ in range(n_actions))
    out = tuple(((n + 1, ONE, ONE),) for _ in range(n_actions))
    return ExactMDP((home, *(back for _ in range(n)), out), discount)


def river_swim(n: int, discount) -> ExactMDP:
    """Swim right against the current: it carries back often; the far end pays 1, drifting left at the start 1/200.

    Source: Strehl & Littman 2008, "An analysis of model-based interval estimation", RiverSwim, with its
    probabilities .35/.6/.05 in mid-stream (rewards divided by the largest).
    """
    slow, keep, back = Fraction(35, 100), Fraction(60, 100), Fraction(5, 100)
    rows = []
    for s in range(n):
        left = ((max(s - 1, 0), ONE, Fraction(1, 200) if s == 0 else ZERO),)
        if s == 0:
            right = ((0, 1 - slow, ZERO), (1, slow, ZERO))
        elif s == n - 1:
            right = ((s - 1, 1 - keep, ZERO), (s, keep, ONE))
        else:
            right = ((s - 1, back, ZERO), (s, keep, ZERO), (s + 1, slow, ZERO))
        rows.append((left, right))
    return ExactMDP(tuple(rows), Fraction(discount))


def fall(t, discount) -> ExactMDP:
    """A good state (pays 1, left with probability t) and a bad absorbing one. V(good) = 1/(1-γ+γt).

    Against t = 0 it attains P2⁺ with ε_P = 2t. Source: proof notes, P2.
    """
    t = Fraction(t)
    return ExactMDP((((((0, 1 - t, ONE), (1, t, ONE)),)), (((1, ONE, ZERO),),)), Fraction(discount))


def slip(t, discount) -> ExactMDP:
    """As `fall`, but the step that falls pays nothing: the reward belongs to the successor.

    V(good) = (1-t)/(1-γ+γt). Against t = 0 it attains the form of P2⁺ for rewards known per successor.
    """
    t = Fraction(t)
    return ExactMDP((((((0, 1 - t, ONE), (1, t, ZERO)),)), (((1, ONE, ZERO),),)), Fraction(discount))


def random_law(rng, size: int) -> list[Fraction]:
    """Positive probabilities with small random denominators, hardly ever exact in floats."""
    weights = [int(w) for w in rng.integers(1, 12, size)]
    return [Fraction(w, sum(weights)) for w in weights]


def random_mdp(
    rng,
    n_states: int,
    n_actions: int,
    branching: int,
    discount,
    *,
    low: int = -30,
    high: int = 30,
    connected: bool = False,
    branch_rewards: bool = False,
) -> ExactMDP:
    """Random rational MDP; rewards k/d with d in {1, 3, 7, 10}, low <= k/d <= high.

    If `connected`, every pair of state s can lead to s + 1, so every policy reaches every state.
    """
    branching = min(branching, n_states)
    rows = []
    for s in range(n_states):
        row = []
        for _ in range(n_actions):
            support = [int(j) for j in rng.permutation(n_states)[:branching]]
            if connected and (s + 1) % n_states not in support:
                support[0] = (s + 1) % n_states
            law = random_law(rng, branching)
            scale = int(rng.choice([1, 3, 7, 10]))
            pays = [Fraction(int(k), scale) for k in rng.integers(low * scale, high * scale + 1, branching)]
            if not branch_rewards:
                pays = [pays[0]] * branching
            row.append(tuple(zip(support, law, pays, strict=True)))
        rows.append(tuple(row))
    return ExactMDP(tuple(rows), Fraction(discount))


def random_deterministic(rng, n_states: int, n_actions: int, discount, *, levels: int = 5) -> ExactMDP:
    """Random successors and rewards i/levels in [0, 1], the largest attained."""
    successor = rng.integers(0, n_states, (n_states, n_actions))
    reward = rng.integers(0, levels + 1, (n_states, n_actions))
    reward.flat[rng.integers(reward.size)] = levels
    return deterministic(successor, [[Fraction(int(r), levels) for r in row] for row in reward], discount)


def random_game(rng, n_actions: tuple[int, ...] = (2, 2), scale: int = 20) -> NormalFormGame:
    """Payoffs k/scale in [0, 1], both ends attained by the shaper."""
    payoffs = rng.integers(0, scale + 1, (len(n_actions), *n_actions))
    payoffs[0].flat[:2] = 0, scale
    return NormalFormGame(payoffs / scale, name="random game")


def random_memory_one(rng, game: NormalFormGame, player: int = 1, scale: int = 20) -> MemoryOne:
    """Probabilities k/scale, all positive."""
    n = game.n_actions[player]
    weights = np.stack([_composition(rng, scale, n) for _ in range(int(np.prod(game.n_actions)))])
    return MemoryOne(weights.reshape(*game.n_actions, n) / scale)


def _composition(rng, total: int, parts: int) -> np.ndarray:
    cuts = np.sort(rng.choice(np.arange(1, total), parts - 1, replace=False))
    return np.diff(np.concatenate([[0], cuts, [total]]))


def exact_window_game(game: NormalFormGame, law, discount, *, levels: int = 1) -> ExactMDP:
    """A window-1 meta-game as an exact MDP whose actions are the shaper's mixed actions with `levels` levels.

    `law[state]` are the opponents' probabilities as Fractions; states are numbered as in `rfos.metagames.windows`: the
    opponents' joint action, then the own action. With levels = 1 the actions are the pure ones, in order.
    """
    n_own = game.n_actions[0]
    payoff = game.payoffs[0].reshape(n_own, -1)
    n_joint = payoff.shape[1]
    mixed = [
        [Fraction(w, levels) for w in weights]
        for weights in itertools.product(range(levels + 1), repeat=n_own)
        if sum(weights) == levels
    ]
    mixed.sort(key=lambda w: [-x for x in w])
    rows = tuple(
        tuple(
            tuple(
                (o * n_own + a, w * p, Fraction(repr(float(payoff[a, o]))))
                for a, w in enumerate(weights)
                for o, p in enumerate(law[state])
                if w * p
            )
            for weights in mixed
        )
        for state in range(n_own * n_joint)
    )
    return ExactMDP(rows, Fraction(discount))


# Random MDPs -------------------------------------------------------------------------------------------------------

STORAGES = ("dense", "sparse", "deterministic", "shift")


def random_shift(rng, discount) -> tuple[ExactMDP, TabularMDP]:
    """A window meta-game with random opponents and rewards, exact and in floats."""
    index = WindowIndex([(2, 2), (1, 3), (3, 2), (2, 2), (1, 2, 2)][rng.integers(5)], 1)
    index = WindowIndex(index.n_actions, 1 + int(rng.integers(2)) * (index.n_states < 4))
    n_actions, branching = index.n_actions[0], index.branching
    rewards = [[Fraction(int(k), 7) for k in row] for row in rng.integers(-50, 50, (n_actions, branching))]
    laws = [random_law(rng, branching) for _ in range(index.n_states)]
    shifted, offset = index.shifted(), index.offset()
    rows = tuple(
        tuple(
            tuple((int(shifted[s] + offset[a, b]), laws[s][b], rewards[a][b]) for b in range(branching))
            for a in range(n_actions)
        )
        for s in range(index.n_states)
    )
    law = np.array([[float(p) for p in row] for row in laws])
    floats = TabularMDP(ShiftRegister(shifted, offset, law), [[float(r) for r in row] for row in rewards], discount)
    return ExactMDP(rows, Fraction(discount)), floats


def instances(count: int, seed: int, discounts=DISCOUNTS):
    """Yield `count` random MDPs of all storages, exact and in floats, of 2 to 8 states and 1 to 4 actions."""
    rng = np.random.default_rng(seed)
    for discount, storage in itertools.islice(itertools.cycle(itertools.product(discounts, STORAGES)), count):
        if storage == "shift":
            yield random_shift(rng, discount)
            continue
        n_states, n_actions = (int(n) for n in (rng.integers(2, 9), rng.integers(1, 5)))
        branching = 1 if storage == "deterministic" else int(rng.integers(1, 5))
        exact = random_mdp(rng, n_states, n_actions, branching, discount)
        yield exact, exact.mdp(storage)


def encloses(lower, upper, exact) -> bool:
    """Compare in rational arithmetic; infinite ends count as such."""
    return all(low <= x <= high for low, x, high in zip(lower.tolist(), exact, upper.tolist(), strict=True))
