"""Random points at which every bound of the catalogue applies."""

import math
import random
from fractions import Fraction

PRIME = 997
HUGE = (4**600, 10**500)
WEIGHTS = ("w_plan", "w_sim", "w_hor", "w_esc")


def fraction(rng, low, high):
    """A fraction with denominator 997 in [low, high]: no logarithm of such numbers is a ratio of small numbers."""
    return Fraction(rng.randint(math.ceil(low * PRIME), math.floor(high * PRIME)), PRIME)


def weights(rng, names):
    """Shares that sum to 1."""
    parts = [rng.randint(1, 400) for _ in names]
    return {name: Fraction(part, sum(parts)) for name, part in zip(names, parts, strict=True)}


def point(rng, bound, huge=False):
    """Values for what the bound needs; with `huge` the numbers of states and successors are astronomic."""
    v = {
        "n_states": rng.choice(HUGE) if huge else rng.randint(1, 10**6),
        "n_actions": rng.randint(1, 50),
        "branching": rng.choice([HUGE[0], rng.randint(1, 3000)]) if huge else rng.choice([1, 2, rng.randint(1, 3000)]),
        "m": rng.randint(1, 10**5),
        "explorations": rng.choice(HUGE) if huge else rng.randint(1, 10**7),
        "horizon": rng.randint(1, 40),
        "epsilon": fraction(rng, 0.02, 0.9),
        "delta": fraction(rng, 0.01, 0.99),
        "failure": fraction(rng, 0.01, 0.99),
        "discount": fraction(rng, 0.01, 0.99),
        "r_max": fraction(rng, 1, 5),
        "eps_reward": fraction(rng, 0.01, 1),
        "eps_transition": fraction(rng, 0.01, 2),
        "escape": fraction(rng, 0.01, 1),
        "w_reward": fraction(rng, 0.1, 0.9),
        "inner_states": rng.randint(1, 6),
        "inner_actions": rng.randint(1, 6),
        "inner_steps": rng.randint(1, 20),
        "inner_discount": fraction(rng, 0, 0.99),
        "inner_span": fraction(rng, 0.1, 5),
        "meta_span": fraction(rng, 0.1, 5),
        "levels": 10**500 if huge else rng.randint(1, 400),
        "cells": 10**500 if huge else rng.randint(1, 400),
        "radius": fraction(rng, 0.02, 2),
        "alpha_state": fraction(rng, 0.01, 1),
        "alpha_action": fraction(rng, 0.01, 1),
        "distance": fraction(rng, 0.01, 2),
        "mismatch": fraction(rng, 0.01, 1),
        "l_reward": fraction(rng, 0.1, 3),
        "l_action": fraction(rng, 0, 3),
        "l_transition": fraction(rng, 0, 1),
        "step_size": fraction(rng, 0.01, 3),
        "payoff_gap": fraction(rng, 0.1, 2),
        "payoff_gap_span": fraction(rng, 0.1, 4),
        "smoothing": fraction(rng, 0.01, 0.99),
        "temperature": fraction(rng, 0.05, 3),
        "model_change": fraction(rng, 0, 1),
        "eps_plan": fraction(rng, 0, 1),
        "eps_sim": fraction(rng, 0, 1),
        "optimism": fraction(rng, 0, 1),
        "exploring": fraction(rng, 0, 1),
        "aliasing": fraction(rng, 0, 1),
        "far_states": rng.randint(1, 100),
        "players": rng.randint(2, 4),
        "inner_branching": rng.randint(1, 4),
        "window": 600 if huge else rng.randint(1, 6),
    }
    # Where statements apply: D1 below, X5 above the border; X3 with q < 1; X1 with γλ < 1 - e^-λ.
    g = v["discount"]
    expansive = any("is not above 1" in text for _, text in bound.conditions)
    v["l_state"] = fraction(rng, 1.01, 3) if expansive else fraction(rng, 0, 0.99) / g
    if "D1" in bound.label and "inner_actions" in bound.symbols:
        v["inner_discount"] = Fraction(0) if bound.conditions else v["inner_discount"]
    if bound.label.startswith("X5") and bound.name.startswith("Hölder"):
        v["l_state"] = fraction(rng, 1.01, 3) / g
    v["safe_value"] = fraction(rng, 0.05, 0.95) * g * v["r_max"] / (1 - g) / (2 - g)
    v["rate"] = fraction(rng, 0.05, 0.95) * 2 * (1 - g)
    v |= weights(rng, [w for w in WEIGHTS if w in bound.weights or w in bound.symbols])
    needed = (*bound.symbols, *bound.weights)
    return {name: value for name, value in v.items() if name in needed}


def points(bound, count, seed=0):
    """Yield (huge or not, point), a tenth of them huge."""
    rng = random.Random(seed)
    for i in range(count):
        huge = i % 10 == 9
        yield huge, point(rng, bound, huge)
