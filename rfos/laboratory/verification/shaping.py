"""T2: the theorems on R-max with the sizes of a meta-game put in, against meta-games that are built and played."""

from __future__ import annotations

import math
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, Literal

import numpy as np

from bounds import Bound, shaping
from bounds.rmax import default_weights, t1_restarts
from bounds.sharp import t1_plus
from rfos._system.arrays import Float
from rfos.games.normal_form import NormalFormGame
from rfos.games.stochastic import one_shot
from rfos.laboratory.verification.engine import Sides, Statement, quantile_sides
from rfos.learning.agents import Rmax
from rfos.learning.ledger import ledger
from rfos.metagames.grids import CubeGrid, SimplexGrid
from rfos.metagames.learners import Learner, NaiveLearner, SmoothedBestResponse
from rfos.metagames.opponents import MemoryOne
from rfos.metagames.policy import PolicyMetaGame
from rfos.metagames.window import WindowMetaGame

# Sizes --------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Shape:
    """A meta-game's shape: its case, and the levels or cells of its grids or the length of its window."""

    case: Literal["simplex", "cube", "window"]
    players: int
    inner_actions: int
    fineness: int

    @property
    def label(self) -> str:
        """The parameters in words."""
        return f"{self.case} {self.fineness}, {self.players} players, {self.inner_actions} actions"


def _sample_shape(rng: np.random.Generator) -> Shape:
    cases: tuple[Literal["simplex", "cube", "window"], ...] = ("simplex", "cube", "window")
    return Shape(cases[rng.integers(3)], *(int(i) for i in rng.integers((2, 2, 1), (4, 4, 5))))


def _counted(shape: Shape) -> tuple[list[int], dict[str, Bound], dict[str, Any]]:
    """Meta-states, meta-actions and successors counted on the object; T2's formulas of them; where to evaluate them."""
    n, a, k = shape.players, shape.inner_actions, shape.fineness
    game = NormalFormGame(np.zeros((n, *[a] * n)))
    if shape.case == "window":
        uniform = MemoryOne(np.full((*[a] * n, a), 1 / a))
        window = WindowMetaGame(game, [uniform] * (n - 1), window=k, discount=0.5)
        return [window.n_states, window.n_actions, window.branching], shaping.sizes("two"), {"window": k}
    if shape.case == "cube":
        points = CubeGrid(1, a, k).n_points
        # The L2 radius of so many cells, √A/(2k), and a little more so that its rounding asks for no more of them.
        cubes = {"inner_states": 1, "radius": math.sqrt(a) / (2 * k) * (1 + 1e-9)}
        return [points**n, points, 1], shaping.sizes("one", "paper, B = 1"), cubes
    grid = SimplexGrid(1, a, k)
    learners = [NaiveLearner(0.1, "simplex")] * (n - 1)
    lumped = PolicyMetaGame(one_shot(game), learners, [grid] * n, 0.5, "nearest")
    return (
        [lumped.n_states, lumped.n_actions, lumped.branching],
        shaping.sizes("one"),
        {"inner_states": 1, "radius": grid.radius},
    )


def _sizes(shape: Shape, mutant: bool) -> Sides:
    """The largest ratio of a size and the one that is put into the theorem, either way round."""
    counted, formulas, at = _counted(shape)
    at |= {"players": shape.players - mutant, "inner_actions": shape.inner_actions}
    claimed = [int(formulas[name].evaluate(**at)) for name in ("n_states", "n_actions", "branching")]
    return Sides(max(max(x / y, y / x) for x, y in zip(counted, claimed, strict=True)), 1.0)


# Exponents ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Growth:
    """A bound of T2 at a radius of 10^-digits, or at a window of so many steps."""

    grid: Literal["paper", "paper, B = 1", "refined", "window"]
    players: int
    inner_states: int
    inner_actions: int
    digits: int

    @property
    def label(self) -> str:
        """The parameters in words."""
        sizes = f"{self.players} players, {self.inner_states} states, {self.inner_actions} actions"
        return f"{self.grid}, {sizes}, {self.digits}"


_GRIDS: tuple[Literal["paper", "paper, B = 1", "refined", "window"], ...] = (
    "paper",
    "paper, B = 1",
    "refined",
    "window",
)


def _sample_growth(rng: np.random.Generator) -> Growth:
    players, states, actions = (int(i) for i in rng.integers((2, 1, 2), (5, 4, 5)))
    return Growth(_GRIDS[rng.integers(4)], players, states, actions, int(rng.choice([20, 40, 80])))


def _exponent(case: Growth, mutant: bool) -> Sides:
    """Distance of the elasticity from its limit, over what the logarithms still add so far out, a tenth over digits.

    Windows: of the elasticity in |Ŝ| from 1, and the fault makes it the paper's square.
    """
    n, s, a = case.players, case.inner_states, case.inner_actions
    at: dict[str, Any] = {"players": n, "inner_actions": a, "epsilon": 0.5, "discount": 0.8, "r_max": 1, "delta": 0.1}
    if case.grid == "window":
        bound = shaping.case_two("T1", support="paper" if mutant else "exact")
        at |= {**default_weights("continuing"), "window": 10 * case.digits}
        slope, limit = bound.elasticity("window", **at) / (10 * case.digits * n * math.log(a)), 1.0
    else:
        bound = shaping.case_one(case.grid)
        at |= default_weights("continuing") if case.grid == "paper" else {"w_plan": 0.01}
        at |= {"inner_states": s, "radius": Fraction(1, 10**case.digits)}
        if case.grid != "paper":
            del at["delta"]
        slope = -bound.elasticity("radius", **at)
        n -= mutant
        limit = {"paper": (2 * n + 1) * s * a, "paper, B = 1": (n + 1) * s * a, "refined": n * s * (a - 1)}[case.grid]
    return Sides(abs(slope - limit), 0.1 * limit / case.digits)


# Steps --------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class PolicyRun:
    """A one-shot 2 x 2 game against a learner on simplex grids of some levels, played by R-max with m = 1."""

    payoffs: Float
    learner: Learner
    levels: int
    discount: float
    epsilon: float
    seed: int

    @property
    def label(self) -> str:
        """The parameters in words."""
        return f"{self.levels} levels, {self.learner}, discount {self.discount:g}, epsilon {self.epsilon:g}"


def _sample_policy_run(rng: np.random.Generator) -> PolicyRun:
    payoffs = rng.integers(0, 5, (2, 2, 2)) / 4
    payoffs[0].flat[:2] = rng.permutation([0.0, 1.0])
    step = float(rng.choice([0.5, 1.0, 2.0]))
    learner: Learner = NaiveLearner(step, "simplex") if rng.random() < 0.5 else SmoothedBestResponse(0.3, 0.7)
    discount = float(rng.choice([0.5, 0.8]))
    seed = int(rng.integers(2**32))
    return PolicyRun(payoffs, learner, int(rng.integers(2, 7)), discount, float(rng.choice([0.1, 0.5])), seed)


def _policies(case: PolicyRun, mutant: bool) -> Sides:
    """The exact count of twice as many steps as may be bad."""
    grid = SimplexGrid(1, 2, case.levels)
    game = one_shot(NormalFormGame(case.payoffs))
    meta_game = PolicyMetaGame(game, [case.learner], [grid, grid], case.discount, "nearest")
    at: dict[str, Any] = {"players": 2, "inner_states": 1, "inner_actions": 2, "radius": grid.radius}
    at |= {"r_max": 1, "w_plan": "1/100"}
    most = int(shaping.case_one().evaluate(**at, epsilon=case.epsilon, discount=case.discount))
    agent = Rmax(m=1, epsilon=case.epsilon)
    found = ledger(meta_game.to_mdp(), agent, steps=2 * most, starts=[0], rng=case.seed)
    assert found.count is not None
    return Sides(found.count, most / (grid.n_points if mutant else 1))


ACTIONS = 3

WINDOW_RUNS = 40

_ASKED: dict[str, Any] = {"epsilon": 0.5, "delta": 0.2, "discount": 0.2, "r_max": 1}


@dataclass(frozen=True, eq=False)
class WindowRuns:
    """Windows of one joint action of three, random opponents (9 windows, 3), played by R-max at the theorem's m."""

    plays: tuple[Float, ...]
    theorem: Literal["T1+", "X4"]
    seed: int

    @property
    def label(self) -> str:
        """The parameters in words."""
        return f"{len(self.plays)} runs at the m of {self.theorem}, 9 windows, discount 0.2, epsilon 0.5"


def _window_runs(rng: np.random.Generator, theorem: Literal["T1+", "X4"]) -> WindowRuns:
    plays = tuple(rng.dirichlet(np.full(ACTIONS, 0.5), (ACTIONS, ACTIONS)) for _ in range(WINDOW_RUNS))
    return WindowRuns(plays, theorem, int(rng.integers(2**32)))


def _sample_window_runs(rng: np.random.Generator) -> WindowRuns:
    return _window_runs(rng, "T1+" if rng.random() < 0.5 else "X4")


def _windows(case: WindowRuns, mutant: bool) -> Sides:
    """Exact counts of runs until all is known; the last action pays 1, so that each step under the others is bad."""
    restarts = case.theorem == "X4"
    weights = {"w_plan": "1/100", "w_sim": "99/100"} if restarts else default_weights("episodic")
    visits = t1_restarts().m if restarts else t1_plus().m
    m = int(visits.evaluate(n_states=ACTIONS**2, n_actions=ACTIONS, branching=ACTIONS, **_ASKED, **weights))
    at = {"players": 2, "inner_actions": ACTIONS, "window": 1, **_ASKED, **weights}
    bound = shaping.case_two(case.theorem)
    most = int(bound.evaluate(**at, **({"horizon": 1} if restarts else {}))) / (2 if mutant else 1)
    payoffs = np.zeros((2, ACTIONS, ACTIONS))
    payoffs[0, -1] = 1
    agent, counts = Rmax(m=m, epsilon=_ASKED["epsilon"], delta=_ASKED["delta"]), []
    for i, play in enumerate(case.plays):
        meta_game = WindowMetaGame(
            NormalFormGame(payoffs),
            MemoryOne(play),
            window=1,
            discount=_ASKED["discount"],
            horizon=1 if restarts else None,
        )
        found = ledger(meta_game, agent, steps=10 * m * ACTIONS**3, rng=(case.seed + i) % 2**32)
        assert found.count is not None
        counts.append(found.count)
    return quantile_sides(counts, most, _ASKED["delta"])


SHAPING = (
    Statement(
        "T2, sizes",
        "the sizes that T2 puts in are those of meta-games",
        latex=r"|\hat S|=\prod_{i\ne0}N_i\ \text{or}\ \textstyle\prod_i N_i,\ |\hat A|=N_0,\ B=1;\quad "
        r"|\hat S|=(\prod_i|A_i|)^h,\ |\hat A|=|A_0|,\ B=\prod_{i\ne0}|A_i|",
        assumptions=(
            "2 or 3 players, 2 or 3 actions, simplex grids, cube grids and windows",
            "the left side is the larger ratio",
        ),
        sample=_sample_shape,
        sides=_sizes,
        mutant="a player dropped",
        extremal=(Shape("simplex", 2, 2, 3), Shape("cube", 2, 2, 2), Shape("window", 2, 2, 2)),
        share=0.05,
        attained=True,
    ),
    Statement(
        "T2, exponents",
        "how T2 grows as the grid becomes fine, or the window long",
        latex=r"\frac{\partial\ln(\mathrm{bound})}{\partial\ln(1/\alpha)} \to (2n+1)|S||A|,\ (n+1)|S||A|,\ n|S|(|A|-1);"
        r"\quad \text{windows: linear in }|\hat S|",
        assumptions=(
            "2 to 4 players; α = 10^-20 to 10^-80, windows of 200 to 800 steps",
            "distance from the limit; the right side is what the logarithms still add there",
        ),
        sample=_sample_growth,
        sides=_exponent,
        mutant="a player dropped; for windows, the paper's B = |Ŝ|",
        extremal=(*(Growth(grid, 2, 1, 2, 40) for grid in _GRIDS),),
        share=0.03,
        detects=(1, 1.5),
    ),
    Statement(
        "T2, policies",
        "R-FOS on a grid of policies",
        latex=r"\#\mathrm{bad} \le \min(H,N)\,N^2",
        assumptions=(
            "T1' with N1's sizes put in",
            "one-shot 2 x 2 games, 2 to 6 levels, nearest rounding; the ledger's exact count",
        ),
        sample=_sample_policy_run,
        sides=_policies,
        mutant="one N of N² dropped",
        extremal=(_sample_policy_run(np.random.default_rng(393)),),  # a third of the bound
        share=0.05,
        detects=(2.7, 2.95),
    ),
    Statement(
        "T2, windows",
        "R-FOS on windows",
        latex=r"\Pr(\#\mathrm{bad} > T N_{\mathrm{ep}}) \le \delta,\quad "
        r"\Pr(\#\mathrm{bad} > CV_{\max}/(w_{\mathrm{esc}}\varepsilon)) \le \delta",
        assumptions=(
            "X4 and T1+ with the sizes of windows put in, at their m",
            "three actions, random opponents; exact counts",
        ),
        sample=_sample_window_runs,
        sides=_windows,
        mutant="a constant halved",
        extremal=(_window_runs(np.random.default_rng(0), "X4"),),
        share=0.005,
        probabilistic=True,
        detects=(1, 1.7),
    ),
)
