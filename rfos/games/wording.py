"""A policy of an inner game in numbers and in words."""

from __future__ import annotations

from rfos._system.arrays import Float
from rfos.games.stochastic import StochasticGame, is_iterated


def as_strategy(row: Float) -> str:
    """Return the probabilities of a row but the last action's, which follows from the others, in two digits."""
    # The last action's probability follows from the others.
    return "/".join(f"{p:.2g}" for p in row[:-1])


def in_numbers(policy: Float) -> str:
    """Return a policy (S, A) as text: all probabilities but the last action's, inner states separated by commas.

    Examples
    --------
    >>> import numpy as np
    >>> in_numbers(np.array([[0.25, 0.75], [1.0, 0.0]])), in_numbers(np.array([[0.5, 0.25, 0.25]]))
    ('(0.25, 1)', '(0.5/0.25)')
    """
    return "(" + ", ".join(as_strategy(row) for row in policy) + ")"


def in_words(game: StochasticGame, policy: Float) -> str:
    """Return a policy (S, A) as text that says what each probability is of, where there are few.

    Examples
    --------
    C stands for action 0, D for action 1, the own one first:

    >>> from rfos.games.named import matching_pennies, rock_paper_scissors
    >>> from rfos.games.stochastic import iterated, one_shot
    >>> import numpy as np
    >>> from rfos.games.strategies import of_two
    >>> in_words(iterated(matching_pennies(), 0.9), of_two([1.0, 0.25, 0.0, 0.5, 1.0]))
    'C with 1 at the start, after CC 0.25, CD 0, DC 0.5, DD 1'
    >>> in_words(one_shot(matching_pennies()), of_two([0.25]))
    'action 0 with probability 0.25'
    >>> in_words(one_shot(rock_paper_scissors()), np.array([[0.5, 0.25, 0.25]]))
    'actions 0, 1, 2 with probabilities 0.5, 0.25, 0.25'
    """
    if is_iterated(game):
        first, *after = (f"{p:.2g}" for p in policy[:, 0])
        listed = ", ".join(f"{state} {p}" for state, p in zip(("CC", "CD", "DC", "DD"), after, strict=True))
        return f"C with {first} at the start, after {listed}"
    if game.n_states > 1:
        return in_numbers(policy)
    if policy.shape[1] == 2:
        return f"action 0 with probability {policy[0, 0]:.2g}"
    numbers = ", ".join(str(a) for a in range(policy.shape[1]))
    return f"actions {numbers} with probabilities {', '.join(f'{p:.2g}' for p in policy[0])}"
