"""The value of a given policy, with its bracket."""

from __future__ import annotations

import functools
from collections.abc import Callable

import numpy as np
from numpy.typing import ArrayLike

from rfos._kernels import dp
from rfos._system import checks
from rfos._system.arrays import Float, Int, array_of, floats, integers
from rfos._system.memory import BLOCK_ROWS, require_memory
from rfos._system.threads import Threads
from rfos.planning.bracketing import (
    first_values,
    in_range,
    iterate,
    lifted,
    near,
    solution_of,
    solving,
    target_of,
    watched,
)
from rfos.planning.equations import DENSE_STATES, VECTORS, Equations, Outlook, fits, mixed
from rfos.planning.iteration import SWEEP, Change, Iteration
from rfos.planning.mdp import TabularMDP
from rfos.planning.solution import Solution
from rfos.planning.solve import counting_bytes, require_solver
from rfos.planning.storages import Chain


def _check_allowed(mdp: TabularMDP, state: Int, action: Int) -> None:
    """Raise ValueError unless an MDP allows all these actions in these states."""
    if mdp.allowed is None:
        return
    wrong = np.flatnonzero(~mdp.allowed[state, action])
    if wrong.size:
        s, a = int(state[wrong[0]]), int(action[wrong[0]])
        raise ValueError(
            f"the policy takes action {a} in state {s}, which is not allowed there: "
            f"choose of {np.flatnonzero(mdp.allowed[s]).tolist()}"
        )


def evaluate_policy(
    mdp: TabularMDP,
    policy: ArrayLike,
    tol: float = 1e-6,
    *,
    max_iterations: int | None = None,
    initial: ArrayLike | None = None,
) -> Solution:
    """Compute the value V^pi of a stationary policy, with a certified bracket.

    Up to 64 states the equations of its chain are solved. Above, the chain is swept, each sweep lifted by what the
    chain would add for ever, and where that shrinks the bracket too slowly the equations are solved too (see `solve`).

    Parameters
    ----------
    mdp : TabularMDP
    policy : array_like of int, shape (S,), or of float, shape (S, A)
        One action per state, or the probability of each action.
    tol, max_iterations, initial
        As for `solve`.

    Returns
    -------
    Solution
        Its `value`, `lower` and `upper` are those of the policy, its `policy` is the one given.

    Raises
    ------
    TypeError
        If `mdp` is no TabularMDP.
    ValueError
        If an action is out of range or not allowed, or a row of probabilities does not sum to 1 (names the state).

    Examples
    --------
    Never moving earns nothing in state 0 and 1/(1-0.5) = 2 in state 1.

    >>> evaluate_policy(TabularMDP([[0, 1], [1, 0]], [[0, 0], [1, 0]], 0.5), [0, 0]).value.round(6).tolist()
    [0.0, 2.0]
    """
    values = first_values(mdp, tol, max_iterations, initial)
    given = array_of("the policy", policy)

    def evaluated(
        steps: Iteration,
        backup: Callable[[Float, Float], Change],
        chain: Callable[[], Chain | None],
        entries: int,
        values: Float,
        tol: float,
    ) -> Solution:
        mdp, equations = steps.mdp, Equations(steps)
        if initial is not None:
            values = near(mdp, values)
        if mdp.n_states <= DENSE_STATES:
            advance = solving(equations, chain, target_of(mdp, tol))
        else:
            outlook = Outlook(steps, tol, entries)
            advance = watched(lifted(steps), equations, outlook, chain, lambda: True)
        return solution_of(given, "policy_evaluation", *iterate(mdp, backup, advance, values, tol, max_iterations))

    if given.shape == (mdp.n_states,) and given.dtype.kind in "iu":
        given = np.array(integers("the policy", given))
        bad = (given < 0) | (given >= mdp.n_actions)
        if bad.any():
            state = int(bad.argmax())
            raise ValueError(
                f"the policy's action in state {state} is {given[state]}: actions are 0 to {mdp.n_actions - 1}"
            )
        _check_allowed(mdp, np.arange(mdp.n_states), given)
        require_solver(mdp, "policy_evaluation")
        actions = given

        def run_chosen(mdp: TabularMDP, values: Float, tol: float) -> Solution:
            chain = mdp.storage.chain(mdp.rewards, actions)
            with Threads(len(chain.successor)) as threads:
                steps = Iteration(mdp, threads)
                backup = functools.partial(steps.evaluate, chain)
                entries = len(chain.successor)
                return evaluated(steps, backup, lambda: chain if fits(mdp.n_states, 0) else None, entries, values, tol)

        return in_range(run_chosen, mdp, values, tol)
    if given.shape != (mdp.n_states, mdp.n_actions):
        raise ValueError(
            f"a policy is integers ({mdp.n_states},) or probabilities {(mdp.n_states, mdp.n_actions)}, "
            f"not {given.dtype} {given.shape}"
        )
    pairs = given.size  # the weights twice, and the action values, weighted too
    needed = 34 * pairs + 60 * mdp.n_states + 48 * min(mdp.n_states, BLOCK_ROWS) + counting_bytes(mdp)
    require_memory(needed, "the evaluation of a stochastic policy", "give one action a state")
    given = floats("the policy", given)
    weights = np.array(given)
    bad = ~checks.are_distributions(weights)
    if bad.any():
        state = int(bad.argmax())
        raise ValueError(
            f"the policy's probabilities in state {state} are {weights[state].tolist()}: "
            "they must be at least 0 and sum to 1"
        )
    _check_allowed(mdp, *np.nonzero(weights))
    weights /= weights.sum(axis=1)[:, None]

    def run_mixed(mdp: TabularMDP, values: Float, tol: float) -> Solution:
        result = np.empty(3)
        with Threads(mdp.n_states * mdp.n_actions * mdp.branching) as threads:
            steps = Iteration(mdp, threads)

            def backup(old: Float, new: Float) -> Change:
                steps.work += mdp.n_states * mdp.n_actions * (mdp.branching + VECTORS) + SWEEP
                q = mdp.backup(old)
                if mdp.allowed is not None:
                    q[~mdp.allowed] = 0.0
                (q * weights).sum(axis=1, out=new)
                dp.change(old, new, 0, mdp.n_states, result)
                return Change(*result.tolist())

            entries = mdp.n_states * min(mdp.n_states, mdp.n_actions * mdp.branching)
            return evaluated(steps, backup, functools.cache(lambda: mixed(mdp, weights)), entries, values, tol)

    return in_range(run_mixed, mdp, values, tol)
