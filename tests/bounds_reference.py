"""The formulas of the theory once more, in plain mpmath at 80 digits, sharing no code with `bounds`.

`REFERENCE` maps a name of the catalogue to a function of a point, which returns the value, or for a family a dict of
its members' values. Numbers of a point are mpmath's; `exact` holds them as they were drawn. Binomial quantiles come as
a `Quantile`, which judges a proposed value.
"""

import math
from fractions import Fraction
from functools import partial

import mpmath

mp = mpmath.mp.clone()
mp.dps = 80
NEAR, BLUR = mp.mpf(10) ** -45, mp.mpf(10) ** -65


class Point:
    """Values as attributes, converted when they are first asked for."""

    def __init__(self, values):
        self.exact = values

    def __getattr__(self, name):
        value = self.exact[name]
        number = mp.mpf(value.numerator) / value.denominator
        setattr(self, name, number)
        return number


def up(x):
    """Smallest integer that is not below x; a whole number that rounding has blurred is that number."""
    n = mp.nint(x)
    return n if abs(x - n) <= BLUR * max(1, abs(x)) else mp.ceil(x)


def down(x):
    return -up(-x)


def tail(n, k, p):
    """Pr(Bin(n, p) <= k), by Lentz's continued fraction of the incomplete beta function I_{1-p}(n-k, k+1)."""
    if k >= n * p:
        return 1 - tail(n, n - k - 1, 1 - p)
    a, b, x = mp.mpf(k + 1), mp.mpf(n - k), mp.mpf(p)  # 1 - I_p(k+1, n-k), by symmetry of the smaller one
    flip = x > (a + 1) / (a + b + 2)
    if flip:
        a, b, x = b, a, 1 - x
    front = mp.exp(mp.loggamma(a + b) - mp.loggamma(a) - mp.loggamma(b) + a * mp.log(x) + b * mp.log(1 - x)) / a
    c, d = mp.mpf(1), 1 / (1 - (a + b) * x / (a + 1))
    f, i = d, 0
    while True:
        i += 1
        for factor in (
            i * (b - i) * x / ((a + 2 * i - 1) * (a + 2 * i)),
            -(a + i) * (a + b + i) * x / ((a + 2 * i) * (a + 2 * i + 1)),
        ):
            d, c = 1 / (1 + factor * d), 1 + factor / c
            f *= c * d
        if abs(c * d - 1) < NEAR:
            return front * f if flip else 1 - front * f


def saddle_tail(n, k, p):
    """Pr(Bin(n, p) <= k) by Lugannani and Rice's formula for lattices, off by 1/k^1.5 of itself at most.

    Against `tail` at k of 10^3 to 10^6, p of 0.3 and 0.01 and tails of 0.49 to 10^-60 by 0.22/k^1.5 at most.
    """
    own = mpmath.mp.clone()
    own.dps = 60 + 2 * int(mp.log10(n) + 1)
    n, x, p = own.mpf(n), own.mpf(k) + 1, own.mpf(p)
    tilt = own.log(x * (1 - p) / ((n - x) * p))
    root = own.sign(tilt) * own.sqrt(2 * (x * own.log(x / (n * p)) + (n - x) * own.log((n - x) / (n * (1 - p)))))
    if abs(root) > 1000:  # where 45 digits of N are many standard deviations
        return mp.mpf(root > 0)
    slope = (1 - own.exp(-tilt)) * own.sqrt(x * (n - x) / n)
    return mp.mpf(own.ncdf(root) + own.npdf(root) * (1 / root - 1 / slope))


def poisson_tail(mean, k):
    """Pr(Poisson(mean) <= k), mean >= k, summed from k down."""
    term = total = mp.mpf(1)
    for j in range(int(k), 0, -1):
        term *= j / mean
        total += term
        if term < BLUR * total:
            break
    return total * mp.exp(k * mp.log(mean) - mean - mp.loggamma(k + 1))


class Quantile:
    """factor·min{N : Pr(Bin(N, p) <= k) <= q}."""

    MOST = 10**5

    def __init__(self, k, p, q, factor=1):
        self.k, self.p, self.q, self.factor = k, p, q, factor

    def __rmul__(self, factor):
        return Quantile(self.k, self.p, self.q, factor * self.factor)

    def agrees(self, low, high):
        """Whether [low, high] holds it: to the trial where k is not too large, else as closely as saddle_tail can tell.

        One part in N moves the tail by some √k parts of itself, so that N is told to 10/k² of it; and to 45 digits at
        most, as the interval is not much narrower.
        """
        k, p, q = self.k, self.p, self.q
        low, high = low / self.factor, high / self.factor
        if p >= 1:
            return low == high == k + 1
        if k > self.MOST:
            blur = 10 / k**2 + NEAR
            return saddle_tail(high * (1 + blur), k, p) <= q < saddle_tail((low - 1) * (1 - blur), k, p)
        if k / p > 10**40:  # the law is Poisson's
            blur = k**2 * p + NEAR
            return poisson_tail(high * p * (1 + blur), k) <= q < poisson_tail((low - 1) * p * (1 - blur), k)
        n = int(mp.nint(low))
        if not abs(low - n) <= NEAR * n or low != high:
            return False
        return tail(n, int(k), p) <= q and (n == k + 1 or tail(n - 1, int(k), p) > q)


def kappa(a):
    half = mp.floor(a / 2)
    return half * (a - half) / a


def simplex_radius(p):
    a, k = p.inner_actions, p.levels
    r = min(k, mp.floor(a / 2))
    return 2 * r * (a - r) / (a * k)


def compositions(k, a):
    return mp.mpf(math.comb(int(k) + a - 1, a - 1))


# Grids -----------------------------------------------------------------------------------------------------------


def n1(p):
    e = p.exact
    points = compositions(e["levels"], e["inner_actions"]) ** e["inner_states"]
    return {"points": points, "radius": simplex_radius(p)}


def l2_cells(p):
    return up(mp.sqrt(p.inner_states * p.inner_actions) / (2 * p.radius))


def n2(p, by="cells"):
    q = p.cells if by == "cells" else l2_cells(p)
    dimension = p.exact["inner_states"] * p.exact["inner_actions"]
    return {"points": q**dimension, "radius": p.inner_actions / (2 * q), "projected": 2 * kappa(p.inner_actions) / q}


def n3(p):
    a, alpha = p.exact["inner_actions"], Fraction(p.exact["radius"])
    if a == 1:
        k = 1
    elif alpha >= Fraction(2 * ((a + 1) // 2), a):
        k = max(1, math.ceil(a * (1 - alpha / 2)))
    else:
        k = math.ceil(2 * Fraction((a // 2) * ((a + 1) // 2), a) / alpha)
    return {"levels": mp.mpf(k), "points": compositions(k, a) ** p.exact["inner_states"]}


def n4(p):
    s, a, k = p.inner_states, p.inner_actions, p.levels
    if s == 1:
        displacement = simplex_radius(p)
    elif a == 1:
        displacement = mp.mpf(0)
    elif a == 2:
        n, other = mp.floor((s + 1) / 2), mp.ceil((s + 1) / 2)
        displacement = simplex_radius(p) * (2 - 1 / (n / (n + 1) + other / (other + 1)))
    else:
        displacement = min(mp.mpf(2), (a - (mp.mpf(1) / 2 if p.exact["inner_actions"] % 2 == 0 else 1)) / k)
    return {"branching": s * (a - 1) + 1, "displacement": displacement}


# Discretisation --------------------------------------------------------------------------------------------------


def lipschitz_return(p):
    return p.inner_span / (2 * (1 - p.inner_discount))


def mismatched(t, g):
    return t / (1 - g + g * t)


def contracting(p, l_reward, l_state, l_action):
    g = p.discount
    slope = l_reward / (1 - g * l_state)
    upper = (l_reward * p.alpha_action + g * slope * (l_action * p.alpha_action + p.alpha_state)) / (1 - g)
    return by_slope(p, slope, upper)


def by_slope(p, slope, upper):
    g = p.discount
    lower = g * slope * p.alpha_state / (1 - g)
    loss = (upper + lower + p.epsilon + 2 * slope * p.alpha_state) / (1 - g)
    return {"modulus": slope * p.distance, "upper": upper, "lower": lower, "loss": loss}


def d1(p):
    return contracting(p, p.l_reward, p.l_state, p.l_action)


def d1_gradient(p):
    return contracting(p, lipschitz_return(p), 1, 2 * p.step_size * kappa(p.inner_actions) * p.inner_span)


def d2(p):
    g = p.discount
    slope = p.l_reward + g * p.l_transition * p.meta_span / (1 - g)
    return by_slope(p, slope, slope * (p.alpha_action + g * p.alpha_state) / (1 - g))


def omega(p, d):
    """Least L_R d Σ_{t<H}(γL)^t + γ^H span(R)/(1-γ), by trying H = 0, 1, .."""
    g, grown, left = p.discount, p.l_reward * d, p.meta_span
    best, total, power = left / (1 - g), mp.mpf(0), mp.mpf(1)
    while grown < left:  # one more step costs γ^H L_R d L^H and saves γ^H span(R)
        total, power = total + power * grown, power * g
        grown *= p.l_state
        best = min(best, total + power * left / (1 - g))
    return best


def x5_lookahead(p):
    h, grown = 0, p.l_reward * p.distance
    while grown < p.meta_span:
        h, grown = h + 1, grown * p.l_state
    return mp.mpf(h)


def x5(p):
    g = p.discount
    modulus, near = omega(p, p.distance), omega(p, p.alpha_state)
    upper = (p.l_reward * p.alpha_action + g * omega(p, p.l_action * p.alpha_action + p.alpha_state)) / (1 - g)
    lower = g * near / (1 - g)
    look = p.l_reward * p.alpha_state + g * omega(p, p.l_state * p.alpha_state)
    loss = (upper + lower + p.epsilon + near + look) / (1 - g)
    return {"modulus": modulus, "upper": upper, "lower": lower, "loss": loss}


def neighbours(p):
    return 4 * p.inner_discount / (1 - p.inner_discount) ** 2 + 2 / (1 - p.inner_discount)


def gradient(p, stochastic=False):
    scale = p.step_size * kappa(p.inner_actions) * p.inner_span
    if not stochastic:
        return {"state": mp.mpf(1), "action": 2 * scale}
    state = 1 + 4 * scale * p.inner_discount / (1 - p.inner_discount) ** 2
    return {"state": state, "action": scale * neighbours(p)}


def gradient_of_two(p):
    """Opponents with 2 actions and span 1 (κ span = 1/2), with 3 actions and span 2 (κ span = 4/3)."""
    return {"state": 1 + p.step_size * 8 / 3, "action": p.step_size * 11 / 3}


def logit(p, stochastic=False):
    g = p.inner_discount if stochastic else mp.mpf(0)
    x = p.step_size * (p.inner_span / (1 - g) if stochastic else p.payoff_gap)
    state = mp.exp(x / 4) * (1 + x / (6 * mp.sqrt(3)))
    if not stochastic:
        return {"state": state, "action": p.step_size * p.payoff_gap_span / 16}
    state += p.step_size * g * p.inner_span / (4 * (1 - g) ** 2)
    return {"state": state, "action": p.step_size / 16 * p.inner_span * neighbours(p)}


def smoothed(p):
    return {"state": 1 - p.smoothing, "action": p.smoothing * p.inner_span / (2 * p.temperature)}


def d2_window(p):
    return p.inner_span * mismatched(min(mp.mpf(1), p.alpha_action / 2), p.discount) / (1 - p.discount)


# Concentration and simulation ------------------------------------------------------------------------------------


def log_subsets(branching):
    """ln(2^B - 2)."""
    return branching * mp.ln2 + mp.log1p(-(mp.mpf(2) ** (1 - branching)))


def rows(union, eps, branching):
    """Visits after which rows err by ε_P at most; `union` is the number of rows over δ."""
    if branching == 1:
        return mp.mpf(1)
    weissman = 2 * (mp.log(union) + log_subsets(branching)) / eps**2
    mcdiarmid = (mp.sqrt(branching - 1) + mp.sqrt(2 * mp.log(union))) ** 2 / eps**2
    return max(mp.mpf(1), min(up(weissman), up(mcdiarmid)))


def v_max(p):
    return p.r_max / (1 - p.discount)


def weissman(p):
    return (mp.mpf(2) ** p.branching - 2) * mp.exp(-p.m * p.eps_transition**2 / 2)


def mcdiarmid(p):
    return mp.exp(-p.m * max(mp.mpf(0), p.eps_transition - mp.sqrt((p.branching - 1) / p.m)) ** 2 / 2)


def p2(p, known=False):
    error = p.eps_transition * v_max(p) / 2
    return (error if known else p.eps_reward + p.discount * error) / (1 - p.discount)


def p2_plus(p, known=False):
    g, t = p.discount, p.eps_transition / 2
    coupled = v_max(p) * t / (1 - g + g * t)
    return coupled if known else p.eps_reward / (1 - g) + g * coupled


def aliased(p):
    g = p.discount
    return p.r_max * p.aliasing / ((1 - g) * (1 - g + g * p.aliasing))


# Exploration -----------------------------------------------------------------------------------------------------


def blocks(k0, p, delta, form):
    ell = mp.log(2 / delta)
    if form == "binomial":
        return Quantile(k0 - 1, p, delta / 2)
    if form == "closed":
        return up((k0 - 1 + ell + mp.sqrt(ell**2 + 2 * ell * (k0 - 1))) / p)
    return up(max(2 * k0, 8 * ell) / p)


def chosen_rate(k0, g, delta):
    """The positive root λ of aλ² + 2bλ = 2b(1-γ), a = k0 + γ, b = γ ln(2/δ)."""
    a, b = k0 + g, g * mp.log(2 / delta)
    return 2 * b * (1 - g) / (b + mp.sqrt(b**2 + 2 * a * b * (1 - g)))


def x1_rate(p):
    return chosen_rate(p.explorations, p.discount, p.delta)


def count(k0, g, delta, rate=None):
    """C of X1; without a rate at `chosen_rate`."""
    if g == 0:
        return k0
    ell = mp.log(2 / delta)
    if rate is None:
        rate = chosen_rate(k0, g, delta)
    share = -mp.expm1(-rate)
    return (k0 + g * (rate + ell) / share) / (1 - g * rate / share)


def reach(v, target, g):
    return mp.mpf(1) if g == 0 else max(mp.mpf(1), up(mp.log(v / target) / -mp.log(g)))


def critical(p):
    return p.safe_value * (1 - p.discount) / (p.discount * (v_max(p) - p.safe_value))


def x3(p):
    g = p.discount
    return g * p.far_states * p.n_actions * p.m * (v_max(p) - p.safe_value) / (8 * p.safe_value * (1 - g))


def x3_failure(p):
    visits = p.n_actions * p.m
    return (
        mp.exp(-p.m * 2 * critical(p) / 32) + p.far_states * mp.exp(-visits / 6) + mp.exp(-p.far_states * visits / 12)
    )


# R-max. Sizes are given as numbers, so that T2 can put in those of a meta-game. --------------------------------------


def sizes_of(p):
    return p.n_states, p.n_actions, p.branching


def visits(p, pairs, branching, per_reward, per_row, sampled):
    """Visits with per_reward ε_R + per_row ε_P = w_sim ε/2."""
    error = p.w_sim * p.epsilon / 2
    share = p.w_reward if sampled else mp.mpf(0)
    if not per_row:
        needed = mp.mpf(1)
    else:
        needed = rows(4 * pairs / p.delta, (1 - share) * error / per_row, branching)
    if sampled:
        eps = share * error / per_reward
        needed = max(needed, up(p.r_max**2 * mp.log(8 * pairs / p.delta) / (2 * eps**2)))
    return needed


def t1(p, sampled=False, form="binomial", pooled=False, sizes=None):
    s, a, b = sizes or sizes_of(p)
    g, v = p.discount, v_max(p)
    pairs = s if pooled else s * a
    per_row = v / (2 * (1 - g)) * (g if sampled else 1)
    m = visits(p, pairs, b, 1 / (1 - g), per_row, sampled)
    found = {"m": m}
    if "w_hor" in p.exact:
        threshold = min(mp.mpf(1), p.w_esc * p.epsilon / v)
        ahead, n = reach(v, p.w_hor * p.epsilon, g), blocks(pairs * m, threshold, p.delta, form)
        found |= {"effective_horizon": ahead, "escape": threshold, "blocks": n, "steps": ahead * n}
    return found


def t1_plus(p, sampled=False, pooled=False, sizes=None, free=False):
    s, a, b = sizes or sizes_of(p)
    g, v = p.discount, v_max(p)
    pairs = s if pooled else s * a
    root = mp.sqrt(mp.log((6 if sampled else 4) * pairs / p.delta))
    if b == 1:
        total = 2 * p.r_max * root if sampled else mp.mpf(0)
    else:
        row = min(mp.sqrt(root**2 + log_subsets(b)), mp.sqrt((b - 1) / 2) + root)
        total = p.r_max * root + g * v * row + v * root if sampled else v * (row + root)
    m = max(mp.mpf(1), up(total**2 / (2 * (p.w_sim * p.epsilon * (1 - g)) ** 2)))
    c = count(pairs * m, g, p.delta, p.rate if free else None)
    return {"m": m, "count": c, "steps": down(c * v / (p.w_esc * p.epsilon))}


def t1_deterministic(p, sizes=None):
    s, a, _ = sizes or (p.n_states, p.n_actions, 1)
    ahead = reach(v_max(p), (1 - p.w_plan) * p.epsilon, p.discount)
    return {"m": mp.mpf(1), "effective_horizon": ahead, "steps": min(ahead, s) * s * a}


def t1_observed(p, free=False):
    c = count(p.n_states * p.n_actions, p.discount, p.delta, p.rate if free else None)
    return {"m": mp.mpf(1), "count": c, "steps": down(c * v_max(p) / ((1 - p.w_plan) * p.epsilon))}


def t1_episodic(p, sampled=False, pooled=False):
    g, length = p.discount, p.exact["horizon"]
    pairs = p.n_states if pooled else p.n_states * p.n_actions
    returns = [mp.mpf(0)]  # V_j
    for _ in range(length):
        returns.append(p.r_max + g * returns[-1])
    if sampled:
        per_row = sum(g**k * g * returns[length - 1 - k] / 2 for k in range(length))
    else:
        per_row = sum(g**k * returns[length - k] / 2 for k in range(length))
    m = visits(p, pairs, p.branching, sum(g**k for k in range(length)), per_row, sampled)
    threshold = min(mp.mpf(1), p.w_esc * p.epsilon / returns[length])
    n = blocks(pairs * m, threshold, p.delta, "binomial")
    return {"m": m, "escape": threshold, "episodes": n, "steps": p.horizon * n}


def x4(p, softmax=False, m=None, sizes=None):
    s, a, _ = sizes or (p.n_states, p.n_actions, None)
    m = p.m if m is None else m
    n = Quantile(a * m - 1, 1 / (s * a if softmax else s), p.delta / (2 * s))
    return {"lower": up(s * a * m / p.horizon), "upper": n, "steps": p.horizon * n}


def t1_restarts(p, sampled=False, sizes=None):
    m = t1(p, sampled, sizes=sizes)["m"]
    found = x4(p, m=m, sizes=sizes)
    return {"m": m, "lower": found["lower"], "episodes": found["upper"], "steps": found["steps"]}


# Opponent shaping -------------------------------------------------------------------------------------------------


def sizes_one(p, grid):
    n, a = p.exact["players"], p.exact["inner_actions"]
    if grid == "refined":
        points = n3(p)["points"]
        return points ** (n - 1), points, mp.mpf(1)
    points = l2_cells(p) ** (p.exact["inner_states"] * a)
    return points**n, points, points**n if grid == "paper" else mp.mpf(1)


def sizes_two(p, several=False):
    a, n, h = p.inner_actions, p.exact["players"], p.exact["window"]
    if several:
        return p.inner_states * (p.inner_states * a**n) ** h, a, p.inner_branching * a ** (n - 1)
    return a ** (n * h), a, a ** (n - 1)


THEOREMS = {"T1": t1, "T1+": t1_plus, "T1'": t1_deterministic, "X4": t1_restarts}


def case_one(p, grid, theorem):
    return THEOREMS[theorem](p, sizes=sizes_one(p, grid))["steps"]


def case_two(p, theorem, support="exact", several=False, **options):
    s, a, b = sizes_two(p, several)
    return THEOREMS[theorem](p, sizes=(s, a, s if support == "paper" else b), **options)["steps"]


class At(Point):
    """A point with the radii of the grids, which depend on each other."""

    def __init__(self, p, alpha_action, alpha_state):
        super().__init__(p.exact)
        self.alpha_action, self.alpha_state = alpha_action, alpha_state


def t2(p, grid="refined", theorem="T1'", cost=d1):
    near = p.radius if grid == "refined" else p.inner_actions / (2 * l2_cells(p))
    found = cost(At(p, near, (p.players - 1) * near))
    steps = case_one(p, grid, theorem)
    accuracy = p.epsilon + found["upper"]
    return {"steps": steps, "samples": p.inner_steps * steps, "accuracy": accuracy, "loss": found["loss"]}


def sizes(p, case):
    names = ("n_states", "n_actions", "branching")
    return dict(zip(names, sizes_one(p, "refined") if case == "one" else sizes_two(p), strict=True))


def rivals(p):
    pairs, rest, e = p.n_states * p.n_actions, 1 / (1 - p.discount), 1 / p.epsilon
    return {
        "R-max": p.n_states * pairs * e**3 * rest**6,
        "R-max, B successors": pairs * p.branching * e**3 * rest**6,
        "Delayed Q-learning": pairs * e**4 * rest**8,
        "MoRmax": pairs * e**2 * rest**6,
        "UCRL-gamma": 2 * pairs * e**2 * rest**3,
        "UCB-Q": pairs * e**2 * rest**7,
        "generative model": pairs * e**2 * rest**3,
        "lower bound": pairs * e**2 * rest**3,
    }


def paper_m(p):
    return down(p.n_states * -mp.log(p.delta) / (p.epsilon * (1 - p.discount)) ** 2)


def paper_sweeps(p):
    return down(-mp.log(p.epsilon * (1 - p.discount)) / (1 - p.discount))


# Teams -------------------------------------------------------------------------------------------------------------


def returns(p):
    """V_T, summed."""
    return sum(p.episode_discount**h for h in range(p.exact["horizon"]))


def team_error(p, t, rho=0, more=0):
    """M1 as it is proved: Σ_h γ^{h-1}[1-(1-ρ)(1-t)^(h-1+more)]."""
    g = p.episode_discount
    return sum(g**h * (rho + (1 - rho) * missed(t, h + more)) for h in range(p.exact["horizon"]))


def missed(t, rows):
    """1-(1-t)^rows, also where t is 10^-500."""
    return mp.mpf(rows > 0) if t == 1 else -mp.expm1(rows * mp.log1p(-t))


def endless_error(p, more):
    """The same for ever: the sum of two geometric series."""
    g, t = p.discount, p.model_tv
    return 1 / (1 - g) - (1 - p.reward_error) * (1 - t) ** more / (1 - g + g * t)


def solved(grows, target):
    """The t in [0, 1] at which an increasing function reaches the target, by bisection and then secants."""
    if grows(mp.mpf(1)) <= target:
        return mp.mpf(1)
    low, high = mp.mpf(0), mp.mpf(1)
    for _ in range(40):
        middle = (low + high) / 2
        low, high = (middle, high) if grows(middle) < target else (low, middle)
    a, b = low, high
    fa, fb = grows(a) - target, grows(b) - target
    for _ in range(30):
        if fa == fb or abs(b - a) < mp.mpf(10) ** -78 * b:
            break
        a, b, fa = b, b - fb * (b - a) / (fb - fa), fb
        fb = grows(b) - target
    return b


def m1_known(p, more):
    error = team_error(p, p.model_tv, p.reward_error, more)
    width = returns(p) * p.escape
    return {"width": width, "change": team_error(p, p.model_tv, 0, more), "bracket": width + 2 * error}


def total_error(p, t, more):
    return p.return_range * (1 - (1 - t) ** (p.exact["horizon"] - 1 + more))


def team(p, explore, start="estimated", rewards="known", whole=False, form="binomial"):
    """M2 where `explore`, else M5."""
    more = (start == "estimated") + (rewards == "outcome")
    largest = p.return_range if whole else returns(p)
    target = p.w_sim * p.epsilon / 2
    part = (1 - p.w_reward) * target if rewards == "sampled" else target
    t = solved(lambda t: total_error(p, t, more) if whole else team_error(p, t, 0, more), part)
    m = rows((4 if rewards == "sampled" else 2) * p.n_rows / p.delta, 2 * t, p.branching)
    if rewards == "sampled":
        rho = (target - part) / (returns(p) - part)
        m = max(m, up(mp.log(8 * p.n_rows / p.delta) / (2 * rho**2)))
    k0 = p.n_rows * m
    threshold = min(mp.mpf(1), (p.w_esc * p.epsilon - (part if explore else 0)) / largest)
    found = {"m": m, "accuracy": t, "escape": threshold, "episodes": blocks(k0, threshold, p.delta, form)}
    return found if explore else {**found, "regret": largest * summed(k0, p.delta)}


def summed(k0, delta):
    ell = mp.log(2 / delta)
    return k0 + ell + mp.sqrt(ell * (ell + 2 * k0))


def histories(n, horizon):
    return sum(mp.mpf(n) ** h for h in range(horizon))


def m5_plus(p, start="estimated", form="binomial"):
    length, g = p.exact["horizon"], p.episode_discount
    more = int(start == "estimated")
    v = [sum(g**h for h in range(j)) for j in range(length + 1)]
    steps = sum(g ** (length - j) * v[j] for j in range(1, length + more))
    functions = p.n_states * histories(p.n_observations, length)
    found = {"optimism": steps * mp.sqrt(mp.log(functions / p.failure) / (2 * p.m))}
    if p.branching == 1:
        m = mp.mpf(1)
    else:
        union = mp.log(4 * p.n_rows / p.delta)
        row = min(mp.sqrt(union + log_subsets(p.branching)), mp.sqrt((p.branching - 1) / 2) + mp.sqrt(union))
        per_t = steps * mp.sqrt(mp.log(4 * functions / p.delta)) / row
        t = solved(lambda t: team_error(p, t, 0, more) + per_t * t, p.w_sim * p.epsilon)
        m = max(mp.mpf(1), up(row**2 / (2 * t**2)))
    threshold = min(mp.mpf(1), p.w_esc * p.epsilon / returns(p))
    return {**found, "m": m, "episodes": blocks(p.n_rows * m, threshold, p.delta, form)}


def leading(p, constant):
    cost = p.branching * mp.ln2 + mp.log(2 * p.n_rows / p.delta)
    return constant * p.n_rows * cost * p.horizon**3 * (p.horizon + 1) ** 2 / p.epsilon**3


def m6a(p):
    a, t = p.n_actions, p.horizon
    value = min(mp.mpf(1), (p.episodes + 1) * a**-t)
    return {"value": value, "blind": a**t, "hindsight": t * a - t + 1, "generic": a * t + a}


def m6b(p):
    k, left = p.n_actions * p.n_actions**p.depth, p.horizon - p.depth - 1
    doubt = max(mp.mpf(0), -(k - 2) * mp.log(p.delta) - 1 - mp.log(k - 1))
    return (left**2 - 16 * p.epsilon**2) * doubt / (8 * p.epsilon**2)


def m7(p, whole=False, form="binomial"):
    v = p.return_range if whole else returns(p)
    ell, e = p.log_policies + mp.log(2 / p.delta), p.epsilon
    return {
        "enumeration": mp.exp(p.log_policies) * up(2 * ell * (v / e) ** 2),
        "reuse": up((8 * v / e + mp.mpf(4) / 3) * v / e * p.n_actions**p.horizon * ell),
        "centralised": team(p, False, whole=whole, form=form)["episodes"],
    }


def m7_unstructured(p, whole=False):
    v, e = p.return_range if whole else returns(p), p.epsilon
    needed = max(mp.mpf(0), -(mp.exp(p.log_policies) - 2) * mp.log(p.delta) - 1 - p.log_policies)
    return (v**2 - 16 * e**2) * needed / (8 * e**2)


def m9_states(p):
    t, h = p.exact["horizon"], p.exact["window"]
    before = sum((s + 1) * 2**s for s in range(t))
    states = 4**h * ((t - 1 - h) * 2 ** (t - h) + h + 1)
    return {"opponent": mp.mpf(before), "states": mp.mpf(states)}


def m9_grid(p, data="grid"):
    apart = min(mp.mpf(1), 1 / (4 * p.temperature * p.levels * p.learning_rate))
    if data == "grid":
        t, g = p.model_tv, p.episode_discount
        both = [(missed(t, h + 1), missed(apart, h)) for h in range(p.exact["horizon"])]
        error = sum(g**h * (x + y - x * y) for h, (x, y) in enumerate(both))
    else:
        error = team_error(p, min(mp.mpf(1), p.model_tv + 2 * apart), 0, 1)
    states = (p.levels + 1) ** p.inner_actions
    return {"mismatch": apart, "states": states, "rounding": team_error(p, apart), "error": error}


TEAMS = {
    "m1": lambda p: team_error(p, p.model_tv, p.reward_error, 1),
    "m1, known start": lambda p: team_error(p, p.model_tv, p.reward_error),
    "m1, known rewards": lambda p: team_error(p, p.model_tv),
    "m1, outcome": lambda p: team_error(p, p.model_tv, 0, 2),
    "m1, infinite": partial(endless_error, more=1),
    "m1, infinite, known start": partial(endless_error, more=0),
    "m1_total": lambda p: total_error(p, p.model_tv, 1),
    "m1_total, known start": lambda p: total_error(p, p.model_tv, 0),
    "m1_known": partial(m1_known, more=1),
    "m1_known, known start": partial(m1_known, more=0),
    "m2": partial(team, explore=True),
    "m2, known start": partial(team, explore=True, start="known"),
    "m2, sampled": partial(team, explore=True, rewards="sampled"),
    "m2, total": partial(team, explore=True, whole=True),
    "m2, closed": partial(team, explore=True, form="closed"),
    "leading, M2": partial(leading, constant=mp.mpf(243) / 32),
    "m2_sum": lambda p: summed(p.explorations, p.delta),
    "m2_sum, free": lambda p: (p.rate * p.explorations + mp.log(2 / p.delta)) / -mp.expm1(-p.rate),
    "m4": lambda p: {
        "shortfall": p.bracket + 2 * p.eps_sim,
        "width": p.bracket + 2 * p.eps_sim,
        "at_stop": p.eps_plan + p.w_esc * p.epsilon,
    },
    "m5": partial(team, explore=False),
    "m5, known start": partial(team, explore=False, start="known"),
    "m5, sampled": partial(team, explore=False, rewards="sampled"),
    "m5, total": partial(team, explore=False, whole=True),
    "m5, closed": partial(team, explore=False, form="closed"),
    "leading, M5": partial(leading, constant=mp.mpf(27) / 8),
    "m5_deterministic": lambda p: p.n_states * p.n_actions,
    "m5_plus": m5_plus,
    "m5_plus, known start": partial(m5_plus, start="known", form="closed"),
    "m6a": m6a,
    "m6b": m6b,
    "m7": m7,
    "m7, total": partial(m7, whole=True, form="closed"),
    "m7_unstructured": m7_unstructured,
    "m7_unstructured, total": partial(m7_unstructured, whole=True),
    "m7_policies": lambda p: 2 * histories(2, p.exact["horizon"]) * mp.log(3),
    "m7_policies, first": lambda p: 4 * histories(4, p.exact["horizon"]) * mp.ln2 + p.horizon * mp.log(3),
    "m8_rows": lambda p: p.n_states * p.n_actions + 1,
    "m8_rows, known start": lambda p: p.n_states * p.n_actions,
    "m8_rows, pooled": lambda p: p.n_states * p.n_actions + 1,
    "m9": partial(team, explore=False, start="known", rewards="outcome"),
    "m9_states": m9_states,
    "m9_grid": m9_grid,
    "m9_grid, real": partial(m9_grid, data="real"),
}

REFERENCE = {
    **TEAMS,
    "g1": lambda p: lipschitz_return(p) * p.distance,
    "reward_lipschitz": lipschitz_return,
    "reward_lipschitz, held": lambda p: p.inner_span * (p.inner_steps + 1) / 4,
    "g1_plus": lambda p: p.inner_span * mismatched(p.mismatch, p.inner_discount),
    "g2": lambda p: p.l_reward * p.alpha_state / (1 - p.discount),
    "g3": lambda p: mp.mpf(0),
    "n1": n1,
    "n2": n2,
    "n2, l2": partial(n2, by="l2"),
    "n3": n3,
    "n4": n4,
    "d1": d1,
    "d1, gradient": d1_gradient,
    "projected_gradient": gradient,
    "projected_gradient, stochastic": partial(gradient, stochastic=True),
    "projected_gradient_many": gradient_of_two,
    "logit_gradient": logit,
    "logit_gradient, stochastic": partial(logit, stochastic=True),
    "smoothed_best_response": smoothed,
    "d2": d2,
    "d2_window": d2_window,
    "x5": x5,
    "x5_lookahead": x5_lookahead,
    "x5_exponent": lambda p: -mp.log(p.discount) / mp.log(p.l_state),
    "hoeffding": lambda p: 2 * mp.exp(-2 * p.m * p.eps_reward**2 / p.r_max**2),
    "weissman": weissman,
    "mcdiarmid": mcdiarmid,
    "mcdiarmid_radius": lambda p: mp.sqrt((p.branching - 1) / p.m) + mp.sqrt(-2 * mp.log(p.failure) / p.m),
    "reward_m": lambda p: max(mp.mpf(1), up(p.r_max**2 * mp.log(2 / p.failure) / (2 * p.eps_reward**2))),
    "transition_m": lambda p: rows(1 / p.failure, p.eps_transition, p.branching),
    "p2": p2,
    "p2, known": partial(p2, known=True),
    "p2_plus": p2_plus,
    "p2_plus, known": partial(p2_plus, known=True),
    "p3": lambda p: p.eps_plan + 2 * p.eps_sim,
    "planning_loss": lambda p: 2 * p.discount * p.model_change / (1 - p.discount),
    "p3_plus": lambda p: p.eps_plan + p.eps_sim + p.optimism / (1 - p.discount),
    "optimism_error": lambda p: v_max(p) * mp.sqrt(mp.log(p.n_states * p.n_actions / p.failure) / (2 * p.m)),
    "p4": lambda p: v_max(p) * p.exploring,
    "p4, horizon": lambda p: v_max(p) * (p.escape + p.discount ** p.exact["horizon"]),
    "p5": lambda p: blocks(p.explorations, p.escape, p.delta, "binomial"),
    "p5, closed": lambda p: blocks(p.explorations, p.escape, p.delta, "closed"),
    "p5, classical": lambda p: blocks(p.explorations, p.escape, p.delta, "classical"),
    "x1": lambda p: count(p.explorations, p.discount, p.delta),
    "x1, free": lambda p: count(p.explorations, p.discount, p.delta, p.rate),
    "x1_rate": x1_rate,
    "x1_mean": lambda p: p.explorations / (1 - p.discount),
    "t1": t1,
    "t1, sampled": partial(t1, sampled=True),
    "t1, closed": partial(t1, form="closed"),
    "t1, classical": partial(t1, form="classical"),
    "t1_plus": t1_plus,
    "t1_plus, sampled": partial(t1_plus, sampled=True),
    "t1_plus, free": partial(t1_plus, free=True),
    "t1_plus, pooled, free": partial(t1_plus, pooled=True, free=True),
    "t1_episodic": t1_episodic,
    "t1_episodic, sampled": partial(t1_episodic, sampled=True),
    "x4": x4,
    "x4, softmax": partial(x4, softmax=True),
    "t1_restarts": t1_restarts,
    "t1_restarts, sampled": partial(t1_restarts, sampled=True),
    "t1, pooled": partial(t1, pooled=True),
    "t1_plus, pooled": partial(t1_plus, pooled=True),
    "t1_episodic, pooled": partial(t1_episodic, pooled=True),
    "t1_deterministic": t1_deterministic,
    "t1_observed": t1_observed,
    "t1_observed, free": partial(t1_observed, free=True),
    "x3": x3,
    "x3_failure": x3_failure,
    "x6": aliased,
    "x6_accuracy": lambda p: p.epsilon + 2 * aliased(p),
    **{
        f"case_one, {grid}, {theorem}": partial(case_one, grid=grid, theorem=theorem)
        for grid in ("paper", "paper, B = 1", "refined")
        for theorem in THEOREMS
        if (grid, theorem) != ("paper", "T1'")
    },
    **{
        f"case_two, {support}, {theorem}": partial(case_two, theorem=theorem, support=support)
        for support in ("exact", "paper")
        for theorem in ("T1", "T1+", "X4")
    },
    "case_two, pooled": partial(case_two, theorem="T1+", pooled=True),
    "case_two, states": partial(case_two, theorem="T1+", several=True),
    "sizes, one": partial(sizes, case="one"),
    "sizes, two": partial(sizes, case="two"),
    "inner_samples": lambda p: p.inner_steps * case_two(p, "T1+"),
    "t2": t2,
    "t2, paper, gradient": partial(t2, grid="paper", theorem="T1+", cost=d1_gradient),
    "t2, x5": partial(t2, cost=x5),
    "accuracy": lambda p: p.epsilon + d1_gradient(p)["upper"],
    "paper_m": paper_m,
    "paper_sweeps": paper_sweeps,
    "rivals": rivals,
}
