"""Decision rules of one stage, best first: what each agent does after each of its histories."""

from __future__ import annotations

import heapq
import itertools
import math
import time
from collections.abc import Sequence
from typing import Any

import numpy as np

from rfos._kernels import teams as kernels
from rfos._system.arrays import Float, Int
from rfos.teams.model import split_index

MOST_OPEN = 200_000
"""Partly chosen rules that are kept; beyond, the deepest is taken up next, so that they hardly grow in number."""

Rules = tuple[Int, ...]
"""``rules[i][history]`` is the action of agent i."""


class RankedRules:
    """Joint decision rules in the order of their payoff in a team Bayesian game, found one at a time.

    Rules are chosen history by history. What a partly chosen rule can still bring is bounded by letting each joint
    history complete it for itself; the last agent's best response is exact. The search is that of A* (as in
    incremental expansion; Oliehoek, Spaan, Amato and Whiteson 2013), up to `MOST_OPEN` open rules.

    Parameters
    ----------
    payoffs : ndarray of float64, shape (J, A)
        Of joint history j and each joint action, weighted with the probability of j.
    histories : ndarray of int64, shape (n, J)
    sizes : sequence of int
        Histories of each agent.
    n_actions : tuple of int
    deadline : float
        Of `time.monotonic`; the search ends then.

    Examples
    --------
    Two agents who do not know what they see of each other; matching pays 1:

    >>> game = RankedRules(np.array([[1.0, 0.0, 0.0, 1.0]]), np.array([[0], [0]]), (1, 1), (2, 2))
    >>> payoff, rules = game.take(0.5)
    >>> payoff, [rule.tolist() for rule in rules] in ([[0], [0]], [[1], [1]])
    (1.0, True)
    >>> game.take(0.5)[0], game.take(0.5), game.rest
    (1.0, None, 0.0)
    """

    def __init__(
        self,
        payoffs: Float,
        histories: Int,
        sizes: Sequence[int],
        n_actions: tuple[int, ...],
        deadline: float = math.inf,
    ) -> None:
        """Bound all rules together."""
        n = len(sizes)
        effort = [sizes[i] * math.log(n_actions[i]) for i in range(n)]
        # The agent with the most rules comes last: its best response takes no search.
        self._agents = sorted(range(n), key=effort.__getitem__)
        parts = np.array([split_index(a, n_actions) for a in range(payoffs.shape[1])], np.int64).T
        self._payoffs = np.ascontiguousarray(payoffs)
        self._histories = np.ascontiguousarray(histories[self._agents])
        self._parts = np.ascontiguousarray(parts[self._agents])
        self._sizes = tuple(sizes)
        first = [sizes[i] for i in self._agents[:-1]]
        self._offsets = np.cumsum([0, *first])[:-1].astype(np.int64)
        self._n_places = sum(first)
        self._n_choices = np.repeat([n_actions[i] for i in self._agents[:-1]], first).astype(np.int64)
        last = self._agents[-1]
        self._table = np.zeros((sizes[last], n_actions[last]))
        self._order = self._heaviest_first()
        self._deadline, self._steps = deadline, 0
        self._count = itertools.count()
        self._dropped = -math.inf
        chosen = np.full(self._n_places, -1, np.int64)
        self._open: list[tuple[float, int, int, Any]] = []
        self._add(self._bound(chosen), 0, chosen, -math.inf)

    def _heaviest_first(self) -> Int:
        """Return the places of the rules in the order in which they are chosen: agents in turn, by what is at stake."""
        stake = self._payoffs.max(axis=1) - self._payoffs.min(axis=1)
        places = []
        for i, offset in enumerate(self._offsets):
            size = self._sizes[self._agents[i]]
            own = np.bincount(self._histories[i], stake, size)
            places.append(offset + np.argsort(-own, kind="stable"))
        return np.concatenate(places).astype(np.int64) if places else np.zeros(0, np.int64)

    def _bound(self, chosen: Int) -> float:
        return float(
            kernels.completion(self._payoffs, self._histories, self._parts, self._offsets, chosen, self._table)
        )

    def _add(self, bound: float, depth: int, what: Any, floor: float) -> None:
        """Keep an open rule, unless it can bring no more than a floor."""
        if bound <= floor:
            self._dropped = max(self._dropped, bound)
        else:
            heapq.heappush(self._open, (-bound, -depth, next(self._count), what))

    @property
    def rest(self) -> float:
        """An upper bound for the payoff of all rules that were not taken yet."""
        return max(self._dropped, -self._open[0][0] if self._open else -math.inf)

    def _unsorted(self) -> bool:
        return len(self._open) > MOST_OPEN

    def take(self, floor: float) -> tuple[float, Rules] | None:
        """Return the payoff and the best rules that were not taken yet, or None.

        None means that no rules bring more than the floor, or that the time is over; `rest` bounds what is left. Floors
        may not fall from call to call.
        """
        while self._open and -self._open[0][0] > floor:
            self._steps += 1
            if self._steps % 64 == 0 and time.monotonic() > self._deadline:
                return None
            # The end of the list is a leaf of the heap, one of the youngest: taking it keeps the heap in order.
            negative, depth, _, what = self._open.pop() if self._unsorted() else heapq.heappop(self._open)
            bound = -negative
            if bound <= floor:
                self._dropped = max(self._dropped, bound)
            elif isinstance(what, tuple):
                return self._response(bound, what, floor)
            elif -depth == self._n_places:
                bound = self._bound(what)
                table = self._table.copy()
                ranking = np.argsort(-table, axis=1, kind="stable")
                losses = table.max(axis=1)[:, None] - np.take_along_axis(table, ranking, 1)
                self._add(bound, -depth + 1, (what, ranking, losses, ()), -math.inf)
            else:
                place = int(self._order[-depth])
                bounds = np.empty(self._n_choices[place])
                kernels.completions(
                    self._payoffs, self._histories, self._parts, self._offsets, what, place, self._table, bounds
                )
                for action, found in enumerate(bounds):
                    # No completion is better than what it completes, but for rounding.
                    chosen = what.copy()
                    chosen[place] = action
                    self._add(min(float(found), bound), -depth + 1, chosen, floor)
        return None

    def _response(self, bound: float, what: tuple[Any, ...], floor: float) -> tuple[float, Rules]:
        """Return the rules of an entry that is complete, and open those of the next best responses to it."""
        chosen, ranking, losses, ranks = what
        place = ranks[-1][0] if ranks else -1
        depth = self._n_places + 1
        if place >= 0 and ranks[-1][1] + 1 < losses.shape[1]:
            rank = ranks[-1][1]
            loss = losses[place, rank + 1] - losses[place, rank]
            self._add(bound - float(loss), depth, (chosen, ranking, losses, (*ranks[:-1], (place, rank + 1))), floor)
        if losses.shape[1] > 1:
            for later in range(place + 1, len(losses)):
                self._add(
                    bound - float(losses[later, 1]), depth, (chosen, ranking, losses, (*ranks, (later, 1))), floor
                )
        answer = ranking[:, 0].copy()
        for history, rank in ranks:
            answer[history] = ranking[history, rank]
        rules: list[Any] = [None] * len(self._sizes)
        for i, agent in enumerate(self._agents[:-1]):
            rules[agent] = chosen[self._offsets[i] : self._offsets[i] + self._sizes[agent]].copy()
        rules[self._agents[-1]] = answer
        return bound, tuple(rules)
