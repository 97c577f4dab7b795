"""Random points at which the bounds of the catalogue apply."""

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


def base(rng, huge=False):
    """Values for all symbols; with `huge` the numbers of states, successors and levels are astronomic."""
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
    v["safe_value"] = fraction(rng, 0.05, 0.95) * v["discount"] * v["r_max"] / (1 - v["discount"]) / (2 - v["discount"])
    v["rate"] = fraction(rng, 0.05, 0.95) * 2 * (1 - v["discount"])  # X1: γλ < 1 - e^-λ
    v["l_state"] = fraction(rng, 0, 0.99)
    v |= {name: rng.randint(1, 400) for name in WEIGHTS}
    return v | team(random.Random(f"{v['m']} {v['rate']}"), huge)


def team(rng, huge):
    """Values for the symbols of teams, from a stream of their own."""
    return {
        "n_rows": rng.choice(HUGE) if huge else rng.randint(1, 10**6),
        "n_observations": rng.randint(1, 30),
        "episodes": rng.randint(1, 10**6),
        "depth": rng.randint(0, 4),
        "model_tv": fraction(rng, 0, 0.99),
        "reward_error": fraction(rng, 0, 1),
        "episode_discount": rng.choice([Fraction(1), fraction(rng, 0.01, 0.99)]),
        "learning_rate": fraction(rng, 0.01, 1),
        "return_range": fraction(rng, 1, 5),
        "bracket": fraction(rng, 0, 2),
        "log_policies": fraction(rng, 1, 10**5 if huge else 40),
    }


def fit(values, bounds):
    """Return what the bounds take of the values of `base`, moved to where the bounds apply."""
    names = {name for b in bounds for name in (*b.symbols, *b.parameters, *b.weights)}
    found = {name: value for name, value in values.items() if name in names}
    words = " ".join(text for b in bounds for _, text in b.conditions)
    if "l_state" in names:
        if "discount·l_state is not below 1" in words:  # D1
            found["l_state"] /= found["discount"]
        elif "discount·l_state is not above 1" in words:  # the Hölder exponent
            found["l_state"] = (Fraction(101, 100) + found["l_state"]) / found["discount"]
        else:  # X5
            found["l_state"] = 1 + (found["l_state"] or 1)
    if "branching" in names and "one successor" in words:
        found["branching"] = 1
    if "branching" in names and "two successors" in words:
        found["branching"] = min(2, found["branching"])
    shared = [w for w in WEIGHTS if any(w in b.weights for b in bounds)]
    total = sum(values[w] for w in shared)
    found |= {w: Fraction(values[w], total) for w in shared}
    if "w_esc must exceed half of w_sim" in words:  # M2
        moved = (found["w_sim"] * 3) / 4
        found |= {"w_sim": found["w_sim"] - moved, "w_esc": found["w_esc"] + moved}
    if "delta must be at most 1/2" in words:  # the lower bounds of teams
        found["delta"] /= 2
    if "below a quarter of the" in words:
        found["epsilon"] /= 4
    if "horizon must exceed depth" in words:
        found |= {"horizon": found["horizon"] + found["depth"] + 1, "n_actions": found["n_actions"] + 1}
    if "window must be shorter than the episode" in words:
        found["horizon"] += found["window"]
    return found | {w: Fraction(values[w], 401) for w in WEIGHTS if w in names and w not in shared}


def bases(count, seed=0, huge=10):
    """Return `count` values of `base`, one in `huge` of them astronomic."""
    rng = random.Random(seed)
    return [base(rng, i % huge == huge - 1) for i in range(count)]
