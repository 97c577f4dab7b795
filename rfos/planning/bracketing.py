"""Iterating until the bracket of a value is as narrow as asked, whatever takes the steps."""

from __future__ import annotations

import copy
import hashlib
import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from rfos._system import checks
from rfos._system.arrays import Float, Int, floats, hand_over
from rfos._system.memory import BLOCK_ROWS
from rfos.planning.certificates import LARGEST, SMALLEST, Certifier, Margins
from rfos.planning.equations import Equations, Outlook
from rfos.planning.iteration import Change, Iteration, Pair
from rfos.planning.mdp import TabularMDP
from rfos.planning.solution import Accuracy, Ended, Solution
from rfos.planning.storages import Chain

SCALED = 100
"""Rewards whose largest is not between 2^-100 and 2^100 are multiplied by a power of two while values are computed."""

Advance = Callable[[Float, Float, Change, "Margins | None"], "Pair | None"]
"""Makes the next v, and a spare vector, of T v, v, their change and the margins; None where nothing more is gained."""


def by_values(new: Float, old: Float, change: Change, margins: Margins | None) -> Pair:
    """Take the new values for both ends."""
    return new, old


def target_of(mdp: TabularMDP, tol: float) -> float:
    """Return the span of a change from which a bracket is well below `tol` wide."""
    return tol * (1 - mdp.discount) / 4


def solving(equations: Equations, chain_of: Callable[[], Chain | None], target: float) -> Advance:
    """Solve the equations of the chain at hand, in full; where that cannot be done, sweep.

    A chain that was solved already has only the rounding of its solution left to be mended; where that does not help,
    nothing does. After an attempt in vain that is not so, one sweep is made, then two, then four, before the next.
    """
    steps = equations.steps
    solved: set[bytes] = set()
    pause = patience = 0

    def advance(new: Float, old: Float, change: Change, margins: Margins | None) -> Pair | None:
        nonlocal pause, patience
        chain = chain_of() if pause == 0 else None
        if chain is None:
            pause = max(0, pause - 1)
            steps.lift(new, change)
            return new, old
        parts = chain.successor, chain.probability, chain.reward
        name = hashlib.blake2b(b"".join(part.tobytes() for part in parts), digest_size=16).digest()
        if name not in solved:
            values = equations.direct(chain, chain.reward)
            if values is not None:
                solved.add(name)
                return values, old
        better = equations.improve(chain, (new, old), change, target)
        if better is not None:
            return better
        if name in solved:
            return None
        pause, patience = patience, 2 * patience + 1
        steps.lift(new, change)
        return new, old

    return advance


def watched(
    sweep: Advance,
    equations: Equations,
    outlook: Outlook,
    chain_of: Callable[[], Chain | None],
    slow: Callable[[], bool],
) -> Advance:
    """Sweep, and solve the equations of the chain at hand where that takes less time.

    It does not where the bracket is wide because the policy is still wrong: `slow` says that its value is.
    """
    steps = equations.steps
    target = target_of(steps.mdp, outlook.tol)

    def advance(new: Float, old: Float, change: Change, margins: Margins | None) -> Pair | None:
        if margins is not None:
            width = margins.high - margins.low
            most = outlook.budget(width, margins.rounding)
            if most > 0 and slow():
                before, chain = steps.work, chain_of()
                better = None
                if chain is not None:
                    better = equations.improve(chain, (new, old), change, target, most, outlook.rate)
                outlook.attempted(steps.work - before, better is not None, width)
                if better is not None:
                    return better
        return sweep(new, old, change, margins)

    return advance


def by_both(steps: Iteration, policy: Int) -> Advance:
    """Leave out actions, then evaluate the policy roughly."""

    def advance(new: Float, old: Float, change: Change, margins: Margins | None) -> Pair:
        if margins is not None:
            steps.rule_out(new, change, margins.high - margins.low)
        steps.settle(policy, old, new, change)
        return new, old

    return advance


def lifted(steps: Iteration) -> Advance:
    """Lift T v by what the chain would add for ever."""

    def advance(new: Float, old: Float, change: Change, margins: Margins | None) -> Pair:
        steps.lift(new, change)
        return new, old

    return advance


def first_values(mdp: TabularMDP, tol: float, max_iterations: int | None, initial: ArrayLike | None) -> Float:
    """Return the values to start from, all arguments checked."""
    checks.kind("mdp", mdp, TabularMDP, mend="its method to_mdp() makes one" if hasattr(mdp, "to_mdp") else "")
    if not checks.number(tol) > 0:
        raise ValueError(f"tol is {checks.shown(tol)}: give a positive width for the brackets")
    if max_iterations is not None:
        checks.whole("max_iterations", max_iterations, give="at least 1, a whole number of sweeps")
    values = np.zeros(mdp.n_states) if initial is None else np.array(floats("initial", initial))
    if values.shape != (mdp.n_states,):
        raise ValueError(f"initial has shape {values.shape}, expected {(mdp.n_states,)}")
    if not np.isfinite(values).all():
        state = int(np.isfinite(values).argmin())
        raise ValueError(f"initial is {values[state]} in state {state}: give finite numbers")
    return values


def near(mdp: TabularMDP, values: Float) -> Float:
    """Return values with those that no policy earns replaced by the nearest that one might."""
    return np.clip(values, *Certifier(mdp).trivial)


def _end(lower: Float, upper: Float, tol: float, otherwise: Ended) -> Ended:
    """Return CONVERGED if every bracket is at most `tol` wide, else why iterations ended."""
    with np.errstate(over="ignore", invalid="ignore"):
        blocks = (slice(first, first + BLOCK_ROWS) for first in range(0, len(lower), BLOCK_ROWS))
        return Ended.CONVERGED if all(bool((upper[b] - lower[b] <= tol).all()) for b in blocks) else otherwise


def solution_of(
    policy: NDArray[Any], method: str, lower: Float, upper: Float, iterations: int, ended: Ended
) -> Solution:
    """Return a solution whose values are the middles of its brackets."""
    value = np.empty(len(lower))
    for first in range(0, len(lower), BLOCK_ROWS):
        states = slice(first, first + BLOCK_ROWS)
        low, high = lower[states], upper[states]
        middle = low / 2 + high / 2
        value[states] = np.clip(np.where(np.isfinite(middle), middle, 0.0), low, high)
    ends, action = (hand_over(lower), hand_over(upper)), hand_over(policy)
    return Solution(hand_over(value), *ends, action, method, iterations, ended, Accuracy.CERTIFIED)


def in_range(
    run: Callable[[TabularMDP, Float, float], Solution], mdp: TabularMDP, values: Float, tol: float
) -> Solution:
    """Run on the MDP itself or, where its rewards are very large or small, on one scaled by a power of two.

    Numbers that become too small to be stored are rounded, never to 0: certificates count products that underflow.
    """
    exponent = math.frexp(max(map(abs, mdp.reward_range)))[1]
    if abs(exponent) <= SCALED:
        return run(mdp, values, tol)
    with np.errstate(over="ignore", under="ignore"):
        rewards = np.ldexp(mdp.rewards, -exponent)
        lost = (rewards == 0) & (mdp.rewards != 0)
        rewards[lost] = np.copysign(SMALLEST, mdp.rewards[lost])
        rewards.setflags(write=False)
        scaled = copy.copy(mdp)
        object.__setattr__(scaled, "rewards", rewards)
        found = run(scaled, np.ldexp(values, -exponent), float(np.ldexp(tol, -exponent)))
        ends = []
        for end, outwards in ((found.lower, -math.inf), (found.upper, math.inf)):
            back = np.ldexp(end, exponent)
            ends.append(np.where(np.ldexp(back, -exponent) == end, back, np.nextafter(back, outwards)))
        lower, upper = ends
        value = np.clip(np.ldexp(found.value, exponent), -LARGEST, LARGEST)
    ended = _end(lower, upper, tol, Ended.ROUNDING if found.converged else found.ended)
    return replace(found, value=value, lower=lower, upper=upper, ended=ended)


def iterate(
    mdp: TabularMDP,
    backup: Callable[[Float, Float], Change],
    advance: Advance,
    values: Float,
    tol: float,
    max_iterations: int | None,
) -> tuple[Float, Float, int, Ended]:
    """Back up, then `advance`, until the bracket is at most `tol` wide; return it, the number of backups and why."""
    certify = Certifier(mdp)
    spare = np.empty(mdp.n_states)
    limit = max_iterations
    iterations = 0
    while True:
        change = backup(values, spare)
        iterations += 1
        width = certify.width(change)
        if limit is None:
            # Between v and V* >= v the distance contracts by the discount at every backup, and the first is at most
            # the first width / (1 - discount); so this many suffice, rounding aside.
            shrink = math.log(max(tol, 1e-300)) + math.log1p(-mdp.discount) - math.log(min(max(width, 1e-300), LARGEST))
            limit = 3 + (math.ceil(shrink / math.log(mdp.discount)) if shrink < 0 and mdp.discount > 0 else 0)
        margins = certify.margins(change)
        stalled = margins is not None and width <= 2 * margins.rounding and margins.rounding > tol
        if width <= tol or stalled or iterations >= limit:
            lower, upper = certify.bracket(spare, change)
            ended = _end(lower, upper, tol, Ended.ROUNDING if stalled else Ended.LIMIT)
            if stalled or iterations >= limit or ended is Ended.CONVERGED:
                return lower, upper, iterations, ended
        following = advance(spare, values, change, margins)
        if following is None:
            lower, upper = certify.bracket(spare, change)
            return lower, upper, iterations, _end(lower, upper, tol, Ended.ROUNDING)
        values, spare = following
