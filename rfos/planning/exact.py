"""The optimum in rational numbers."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from fractions import Fraction

import numpy as np

from rfos._system.arrays import Float
from rfos._system.memory import require_memory
from rfos.planning.certificates import LARGEST
from rfos.planning.mdp import TabularMDP
from rfos.planning.solution import Accuracy, Ended, Solution


def solve_system(matrix: list[list[Fraction]], right: list[Fraction]) -> list[Fraction]:
    """Return x with matrix x = right, in rationals."""
    try:
        import flint
    except ImportError:
        return _eliminate([[*row, end] for row, end in zip(matrix, right, strict=True)])
    size = len(right)
    entries = [flint.fmpq(x.numerator, x.denominator) for row in matrix for x in row]
    ends = [flint.fmpq(x.numerator, x.denominator) for x in right]
    solved = flint.fmpq_mat(size, size, entries).solve(flint.fmpq_mat(size, 1, ends))
    return [Fraction(int(solved[i, 0].p), int(solved[i, 0].q)) for i in range(size)]


def _eliminate(rows: list[list[Fraction]]) -> list[Fraction]:
    """Gauss-Jordan elimination; I - discount P is diagonally dominant, so no pivot is zero."""
    size = len(rows)
    for k in range(size):
        head = [x / rows[k][k] for x in rows[k]]
        rows = [
            head if i == k else [x - row[k] * y for x, y in zip(row, head, strict=True)] if row[k] else row
            for i, row in enumerate(rows)
        ]
    return [row[size] for row in rows]


def exact_optimum(
    transitions: Sequence[Sequence[Mapping[int, Fraction]]],
    rewards: Sequence[Sequence[Fraction | None]],
    discount: Fraction,
) -> tuple[list[Fraction], list[int], int]:
    """Compute V* and an optimal policy by policy iteration in rational arithmetic.

    It ends because each policy is better than the last in some state and worse in none (Howard 1960).

    Parameters
    ----------
    transitions : sequence (S, A) of mappings
        Probability of each successor; each row sums to exactly 1.
    rewards : sequence of Fraction, shape (S, A)
        None where an action is not allowed.
    discount : Fraction in [0, 1)

    Returns
    -------
    values : list of Fraction, length S
    policy : list of int, length S
    iterations : int
        Policies evaluated.

    Examples
    --------
    Paying 1/3 for ever at discount 1/2 is worth 2/3.

    >>> exact_optimum([[{0: Fraction(1)}]], [[Fraction(1, 3)]], Fraction(1, 2))
    ([Fraction(2, 3)], [0], 1)
    """
    size = len(rewards)
    choices = [{a: reward for a, reward in enumerate(row) if reward is not None} for row in rewards]
    policy = [next(iter(row)) for row in choices]
    iterations = 0
    while True:
        matrix = [[Fraction(int(i == j)) for j in range(size)] for i in range(size)]
        for s, a in enumerate(policy):
            for j, p in transitions[s][a].items():
                matrix[s][j] -= discount * p
        values = solve_system(matrix, [choices[s][a] for s, a in enumerate(policy)])
        iterations += 1
        improved = False
        for s, row in enumerate(transitions):
            q = {
                a: reward + discount * sum((p * values[j] for j, p in row[a].items()), Fraction(0))
                for a, reward in choices[s].items()
            }
            best = max(q, key=q.__getitem__)
            if q[best] > q[policy[s]]:
                policy[s] = best
                improved = True
        if not improved:
            return values, policy, iterations


def rational(mdp: TabularMDP) -> tuple[list[list[dict[int, Fraction]]], list[list[Fraction | None]]]:
    """Return the MDP's floats as rationals, rows divided by their sums, and expected rewards, None if not allowed."""
    successor, probability, reward = (part.tolist() for part in mdp.storage.branches(mdp.finite_rewards))
    transitions: list[list[dict[int, Fraction]]] = []
    rewards: list[list[Fraction | None]] = []
    for s in range(mdp.n_states):
        transitions.append([])
        rewards.append([])
        for pair in range(s * mdp.n_actions, (s + 1) * mdp.n_actions):
            total = sum(map(Fraction, probability[pair]))
            row: dict[int, Fraction] = {}
            expected = Fraction(0)
            for j, p, r in zip(successor[pair], probability[pair], reward[pair], strict=True):
                if p:
                    row[j] = row.get(j, Fraction(0)) + Fraction(p) / total
                    expected += Fraction(p) / total * Fraction(r)
            transitions[-1].append(row)
            rewards[-1].append(expected if mdp.allowed is None or mdp.allowed.flat[pair] else None)
    return transitions, rewards


def _enclose(values: Sequence[Fraction]) -> tuple[Float, Float, Float]:
    """Return the nearest floats, and the nearest ones below and above; all equal where the value is a float."""
    nearest = [float(x) if abs(x) <= LARGEST else math.inf if x > 0 else -math.inf for x in values]
    low = [f if f <= x else math.nextafter(f, -math.inf) for f, x in zip(nearest, values, strict=True)]
    high = [f if f >= x else math.nextafter(f, math.inf) for f, x in zip(nearest, values, strict=True)]
    return np.clip(nearest, -LARGEST, LARGEST), np.array(low), np.array(high)


def solve_exactly(mdp: TabularMDP) -> Solution:
    """Solve an MDP in rational arithmetic."""
    require_memory(200 * mdp.n_states**2, "rational policy iteration", "use modified_policy_iteration")
    values, policy, iterations = exact_optimum(*rational(mdp), Fraction(mdp.discount))
    return Solution(
        *_enclose(values), np.array(policy), "exact", iterations, Ended.CONVERGED, Accuracy.EXACT, tuple(values)
    )
