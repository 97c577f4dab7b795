"""The optimal value of an MDP, with its bracket, by several methods."""

from __future__ import annotations

from typing import Any

import numpy as np
import scipy.sparse as sp
from numpy.typing import ArrayLike

from rfos._system import checks
from rfos._system.arrays import Float
from rfos._system.memory import BLOCK_ROWS, require_memory
from rfos._system.threads import Threads
from rfos.planning.bracketing import (
    Advance,
    by_both,
    by_values,
    first_values,
    in_range,
    iterate,
    near,
    solution_of,
    solving,
    target_of,
    watched,
)
from rfos.planning.equations import DENSE_STATES, Equations, Outlook, fits
from rfos.planning.exact import solve_exactly
from rfos.planning.iteration import Iteration
from rfos.planning.mdp import TabularMDP
from rfos.planning.solution import Solution
from rfos.planning.storages import Chain, Dense, ShiftRegister, Sparse

METHODS = ("auto", "value_iteration", "policy_iteration", "modified_policy_iteration", "linear_programming", "exact")


def _linear_programme(mdp: TabularMDP) -> Float:
    """Return min sum V with V >= R + discount P V, or zeros if HiGHS finds none."""
    from scipy.optimize import linprog

    branches = mdp.n_states * mdp.n_actions * mdp.branching
    # As measured: tables and matrices, with HiGHS' own copies; the factors of its basis; and what it always takes.
    needed = 256 * branches + 24 * mdp.n_states**2 + 2**24
    require_memory(needed, "the linear programme", "use modified_policy_iteration")
    successor, probability, reward = mdp.storage.branches(mdp.finite_rewards)
    state = np.repeat(np.arange(mdp.n_states), mdp.n_actions)
    if mdp.allowed is not None:
        kept = mdp.allowed.ravel()
        successor, probability, reward, state = successor[kept], probability[kept], reward[kept], state[kept]
    rows, branching = successor.shape
    pair = np.repeat(np.arange(rows), branching)
    transitions: Any = sp.csr_array((probability.ravel(), (pair, successor.ravel())), shape=(rows, mdp.n_states))
    owner: Any = sp.csr_array((np.ones(rows), (np.arange(rows), state)))
    done = linprog(
        np.ones(mdp.n_states),
        A_ub=mdp.discount * transitions - owner,
        b_ub=-(probability * reward).sum(axis=1),
        bounds=(None, None),
        method="highs",
    )
    return np.zeros(mdp.n_states) if done.x is None else np.array(done.x)


def counting_bytes(mdp: TabularMDP) -> int:
    """Return the bytes that it takes to find the largest number of successors in tables that hold what rows need."""
    if isinstance(mdp.storage, Dense):
        return mdp.nbytes // 8 + 8 * mdp.n_states * mdp.n_actions
    return 8 * mdp.n_states * mdp.n_actions if isinstance(mdp.storage, Sparse) else 0


def require_solver(mdp: TabularMDP, method: str) -> None:
    """Raise MemoryError unless what a method keeps fits this machine; the MDP is there already."""
    n_states, entries = mdp.n_states, mdp.n_states if isinstance(mdp.storage, Dense) else mdp.branching
    # Values twice, a policy, the bracket and its middle, bytes to compare them; and as much again for a block.
    needed = 50 * n_states + 48 * min(n_states, BLOCK_ROWS) + counting_bytes(mdp)
    if method in ("modified_policy_iteration", "policy_evaluation", "policy_iteration"):
        # A chain: 4 bytes a successor, 8 a probability that is not the MDP's own, and a start and a reward a state.
        needed += n_states * (16 + entries * (4 if isinstance(mdp.storage, ShiftRegister) else 12))
    if method == "modified_policy_iteration":
        # The policy of that chain, its probabilities once more and four vectors in single precision.
        needed += n_states * (24 + 4 * entries) + Iteration.extra_bytes(mdp)
    elif method == "policy_evaluation":
        needed += 24 * n_states  # the policy as it was given, and the numbers of states and pairs
    elif method == "policy_iteration":
        # The equations as they are put together; their factors may take more, which nobody knows before.
        dense = n_states <= DENSE_STATES
        needed += 24 * n_states**2 if dense else 4 * n_states * (12 * entries + 16)
    require_memory(needed, f"{method} of {n_states:,} states", "use fewer states, or value_iteration")


def solve(
    mdp: TabularMDP,
    method: str = "auto",
    tol: float = 1e-6,
    *,
    max_iterations: int | None = None,
    initial: ArrayLike | None = None,
) -> Solution:
    """Compute the optimal value V* and an optimal policy, with a certified bracket.

    Every method but "exact" ends with one Bellman backup, from which the bracket (module docstring) comes, and stops
    when it is at most `tol` wide in every state. The policy then loses at most `tol` in every state, rounding
    included.

    value_iteration
        Backups alone (Bellman 1957), stopped by the span of their changes.
    policy_iteration
        Each greedy policy's equations are solved (Howard 1960), dense up to 64 states, else by sparse LU where its
        fill, which is counted beforehand, is below `equations.MOST_FILL` and fits the memory, else by BiCGSTAB (van der
        Vorst 1992). A policy that comes up again has its solution refined.
    modified_policy_iteration
        Each greedy policy is evaluated roughly (Puterman & Shin 1978), until the span of the changes is a thirtieth or
        it stops paying. After every sweep the values are raised by discount/(1-discount) times the least change: that
        skips what the chain would add for ever, and keeps T v >= v, from which the method converges at least as fast
        as backups alone. The slowest mode of the changes is taken to its limit now and then, and kept if that helps.
        Where a table of Q is small beside the MDP, actions that a bracket proves not to be optimal are left out.
    linear_programming
        min sum V with V >= R + discount P V, by SciPy's HiGHS, then policy iteration from its answer. Needs a table
        of all branches.
    exact
        Policy iteration in rational arithmetic on the floats as they are stored, each row divided by its sum; in
        python-flint where installed, else in fractions. For up to a few hundred states. `lower` and `upper` are the
        nearest floats around the value, `Solution.exact` is the value itself. The options below play no part.
    auto
        Policy iteration up to `DENSE_STATES` states, above modified policy iteration; the latter turns to the equations
        of its policies, as policy iteration does, where it shrinks the bracket so slowly that they would take less
        time. Time is counted in products, so the same MDP is always solved alike. This is for chains that mix slowly
        at discounts near 1; the explicit methods can take some 1/(1-discount) sweeps there.

    Rewards whose largest is below 2^-100 or above 2^100 are multiplied by a power of two meanwhile, which is exact but
    for numbers too small to be stored, and these are accounted for; so all this holds at every scale that floats have.

    Parameters
    ----------
    mdp : TabularMDP
    method : {"auto", "value_iteration", "policy_iteration", "modified_policy_iteration", "linear_programming", "exact"}
    tol : float > 0
        Width of the bracket, in units of value (reward/(1-discount)).
    max_iterations : int, optional
        Backups over all actions. Default: as many as the contraction by `discount` needs; where rounding alone is
        wider than `tol` they stop there. Either way `Solution.ended` says so.
    initial : array_like, shape (S,), optional
        Where to start; default zeros. What no policy can earn is replaced by the nearest value that one might.

    Returns
    -------
    Solution

    Raises
    ------
    TypeError
        If `mdp` is no TabularMDP, such as a meta-game, which becomes one by `to_mdp()`.
    ValueError
        If the method is unknown, `tol` is not positive or `initial` has another shape or is not finite.
    MemoryError
        If what the method keeps beside the MDP does not fit this machine.

    Examples
    --------
    Stay in state 1 for a reward of 1 per step; from state 0 it takes one step to get there: V* = (1, 2).

    >>> mdp = TabularMDP([[0, 1], [1, 0]], [[0.0, 0.0], [1.0, 0.0]], 0.5)
    >>> solution = solve(mdp)
    >>> solution.value.round(6).tolist(), solution.policy.tolist(), solution.converged
    ([1.0, 2.0], [1, 0], True)
    >>> solve(mdp, "exact").exact
    (Fraction(1, 1), Fraction(2, 1))
    """
    if method not in METHODS:
        raise ValueError(f"unknown method {checks.shown(method)}: choose {', '.join(METHODS[:-1])} or {METHODS[-1]}")
    values = first_values(mdp, tol, max_iterations, initial)
    small = method == "auto" and mdp.n_states <= DENSE_STATES
    swept = "policy_iteration" if small else "modified_policy_iteration"
    require_solver(mdp, swept if method == "auto" else method)
    if method == "exact":
        return solve_exactly(mdp)

    def run(mdp: TabularMDP, values: Float, tol: float) -> Solution:
        if initial is not None:
            values = near(mdp, values)
        if method == "linear_programming":
            values = _linear_programme(mdp)
        policy = np.zeros(mdp.n_states, np.int64)
        used = method
        with Threads(mdp.n_states * mdp.n_actions * mdp.branching) as threads:
            steps = Iteration(mdp, threads)
            equations = Equations(steps)
            outlook = Outlook(steps, tol, mdp.n_states * mdp.branching)

            def chain() -> Chain | None:
                if not fits(mdp.n_states, mdp.n_states * mdp.branching):
                    return None
                return mdp.storage.chain(mdp.rewards, policy)

            advance: Advance
            if method == "value_iteration":
                advance = by_values
            elif small or method in ("policy_iteration", "linear_programming"):
                advance = solving(equations, chain, target_of(mdp, tol))
            else:
                steps.prepare()
                advance = by_both(steps, policy)
                if method == "auto":
                    advance = watched(advance, equations, outlook, chain, lambda: steps.evaluates_slowly)
            found = iterate(mdp, lambda old, new: steps.improve(old, new, policy), advance, values, tol, max_iterations)
            if method == "auto":
                used = "policy_iteration" if small or outlook.helped else "modified_policy_iteration"
        return solution_of(policy, used, *found)

    return in_range(run, mdp, values, tol)
