"""Teams: decision rules of a stage, bounds for those that are partly chosen, and histories with equal laws.

A stage is a team Bayesian game: joint histories j with a payoff for each joint action, and each agent acts by its own
history. Agents are numbered from 0; the last one answers the others best, which needs no search.
"""

from __future__ import annotations

import numpy as np

from rfos._kernels._jit import kernel

TIED = 1e-14
"""Bounds that are closer, as a share, differ by rounding."""


@kernel
def completion(payoffs, histories, parts, offsets, chosen, table):
    """Return the payoff if all joint histories could complete the rules each for itself, the last agent's excepted.

    `payoffs` (J, A); `histories` (n, J) and `parts` (n, A): each agent's part. `chosen[offsets[i] + h]` is the action
    of agent i after h, -1 where it is free. `table` (histories of the last agent, its actions) is filled with the
    payoffs of its actions, of which the best are taken.
    """
    last = histories.shape[0] - 1
    n_actions = table.shape[1]
    table[:, :] = 0.0
    best = np.empty(n_actions)
    for j in range(payoffs.shape[0]):
        best[:] = -np.inf
        for a in range(payoffs.shape[1]):
            allowed = True
            for i in range(last):
                action = chosen[offsets[i] + histories[i, j]]
                if action >= 0 and action != parts[i, a]:
                    allowed = False
                    break
            if allowed and payoffs[j, a] > best[parts[last, a]]:
                best[parts[last, a]] = payoffs[j, a]
        for action in range(n_actions):
            table[histories[last, j], action] += best[action]
    total = 0.0
    for h in range(table.shape[0]):
        most = table[h, 0]
        for action in range(1, n_actions):
            if table[h, action] > most:
                most = table[h, action]
        total += most
    return total


@kernel
def completions(payoffs, histories, parts, offsets, chosen, place, table, bounds):
    """Fill `bounds` (actions,) with the completion for each action at a free `place` of `chosen`, left free again."""
    for action in range(bounds.shape[0]):
        chosen[place] = action
        bounds[action] = completion(payoffs, histories, parts, offsets, chosen, table)
    chosen[place] = -1


@kernel
def best_rules(payoffs, histories, parts, offsets, choices, chosen, table, bounds, most):
    """Return the best payoff of decentralised rules, or a bound above it where that takes too long.

    Depth first over the places of `chosen`, scratch of -1, with `choices` (places,) actions each; `bounds` (places,
    most actions) is scratch. Bounds that are less than `TIED` above the best, as a share, are not looked into but
    returned. After `most` completions the largest open bound is returned.
    """
    n_places = chosen.shape[0]
    chosen[:] = -1
    if n_places == 0:
        return completion(payoffs, histories, parts, offsets, chosen, table)
    best = -np.inf
    top = -np.inf
    depth = 0
    count = choices[0]
    completions(payoffs, histories, parts, offsets, chosen, 0, table, bounds[0, : choices[0]])
    while depth >= 0:
        action = 0
        for other in range(1, choices[depth]):
            if bounds[depth, other] > bounds[depth, action]:
                action = other
        bound = bounds[depth, action]
        if bound <= best + TIED * abs(bound):
            top = max(top, bound)
            chosen[depth] = -1
            depth -= 1
        elif depth == n_places - 1:
            bounds[depth, action] = -np.inf
            best = bound
        else:
            bounds[depth, action] = -np.inf
            chosen[depth] = action
            depth += 1
            count += choices[depth]
            completions(payoffs, histories, parts, offsets, chosen, depth, table, bounds[depth, : choices[depth]])
            if count > most:
                for above in range(depth + 1):
                    for other in range(choices[above]):
                        top = max(top, bounds[above, other])
                return max(top, best)
    return max(top, best)


@kernel
def solve_games(games, histories, parts, offsets, choices, chosen, table, bounds, most, found):
    """Fill `found` (G,) with the best payoff of each of `games` (G, J, A); joint histories of zeros are left out."""
    n_joint = games.shape[1]
    payoffs = np.empty(games.shape[1:])
    kept = np.empty(histories.shape, np.int64)
    for g in range(games.shape[0]):
        size = 0
        for j in range(n_joint):
            there = False
            for a in range(games.shape[2]):
                if games[g, j, a] != 0.0:
                    there = True
                    break
            if there:
                payoffs[size] = games[g, j]
                kept[:, size] = histories[:, j]
                size += 1
        found[g] = best_rules(payoffs[:size], kept[:, :size], parts, offsets, choices, chosen, table, bounds, most)


@kernel
def merge_groups(pointer, rest, share, score, order, tol, label):
    """Fill `label` (G,) with a number for each group, equal for laws at most `tol` apart, and return how many.

    Group g has law `share[pointer[g]:pointer[g + 1]]` on `rest`, ascending. A group joins the first group of a number
    that is at most `tol` from it in total variation. `score` (G,) is the mean of a function from `rest` to [0, 1), and
    `order` sorts it, so that only groups with close scores are compared. Numbers count up in that order.
    """
    count = 0
    first = np.empty(pointer.shape[0] - 1, np.int64)
    for place in range(order.shape[0]):
        g = order[place]
        found = -1
        for number in range(count - 1, -1, -1):
            other = first[number]
            if score[g] - score[other] > tol:
                break
            x, y = pointer[g], pointer[other]
            apart = 0.0
            while (x < pointer[g + 1] or y < pointer[other + 1]) and apart <= 2.0 * tol:
                if y == pointer[other + 1] or (x < pointer[g + 1] and rest[x] < rest[y]):
                    apart += share[x]
                    x += 1
                elif x == pointer[g + 1] or rest[y] < rest[x]:
                    apart += share[y]
                    y += 1
                else:
                    apart += abs(share[x] - share[y])
                    x += 1
                    y += 1
            if apart <= 2.0 * tol:
                found = number
                break
        if found < 0:
            found = count
            first[count] = g
            count += 1
        label[g] = found
    return count
