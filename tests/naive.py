"""The slow, obvious reference for every kernel: loops, dictionaries, NumPy's own generator.

A function here has the name of the kernel it mirrors and must agree with it bit for bit, so sums run in the
documented order (branches by index, oldest step first). Windows are lists of joint actions; numbering follows the
docstring of `rfos.WindowIndex`. The last part plays meta-games of policies from their definition; kernels
agree with it to rounding and to the accuracy that their tables state.
"""

import itertools
import math
from collections import Counter
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any, NamedTuple

import numpy as np

from rfos.metagames import opponents
from rfos.metagames.tables import OnTheFly, PolicyTable, fill
from rfos.planning.storages import Dense, Deterministic, Sparse

# Randomness ------------------------------------------------------------------------------------------------------


def generator(seed, key=()):
    """NumPy's own SFC64 generator of a seed and a key."""
    return np.random.Generator(np.random.SFC64(np.random.SeedSequence(seed, spawn_key=key)))


def sfc64(bits, n):
    """The next `n` words of a NumPy bit generator."""
    return [int(word) for word in bits.random_raw(n)]


def uniform(word):
    """The top 53 bits as a fraction of 2^53."""
    return (word >> 11) / 2**53


def fill_uniform(rng, n):
    return [rng.random() for _ in range(n)]


def sum_uniform(rng, n):
    total = 0.0
    for _ in range(n):
        total += rng.random()
    return total


def draw(probabilities, u):
    """Invert the distribution function: the first outcome whose cumulative probability exceeds u, else the last."""
    cumulative = 0.0
    for outcome, probability in enumerate(probabilities):
        cumulative += probability
        if u < cumulative:
            return outcome
    return len(probabilities) - 1


# Windows ---------------------------------------------------------------------------------------------------------


def number(digits, bases):
    """The number with these digits in mixed bases, highest digit first."""
    value = 0
    for digit, base in zip(digits, bases, strict=True):
        assert 0 <= digit < base
        value = value * base + digit
    return value


def encode(n_actions, history):
    """Opponents' joint actions are the high digits, own actions the low ones, each oldest first."""
    joint_size = math.prod(n_actions[1:])
    joint = [number(step[1:], n_actions[1:]) for step in history]
    own = [step[0] for step in history]
    return number(joint + own, [joint_size] * len(history) + [n_actions[0]] * len(history))


def all_windows(n_actions, window):
    """Every window, by its number."""
    joint_actions = list(itertools.product(*map(range, n_actions)))
    windows = itertools.product(joint_actions, repeat=window)
    return {encode(n_actions, history): list(history) for history in windows}


def epsilon_greedy(values, exploration):
    """A uniform action with probability `exploration`, else one of the largest value, ties at random."""
    best = [value == max(values) for value in values]
    low = exploration / len(values)
    return [low + (1.0 - exploration) / sum(best) if is_best else low for is_best in best]


def opponent_probabilities(opponent, game, player, history):
    """What an opponent that is a function of the window plays after a history."""
    n = game.n_actions[player]
    if isinstance(opponent, opponents.Always):
        return [1.0 if action == opponent.action else 0.0 for action in range(n)]
    if isinstance(opponent, opponents.MemoryOne):
        return [float(p) for p in opponent.table[tuple(history[-1])]]
    if isinstance(opponent, opponents.WindowQLearner):
        values = [opponent.initial] * n
        for joint in history:
            reward = float(game.payoffs[(player, *joint)])
            own = joint[player]
            values[own] = (1.0 - opponent.learning_rate) * values[own] + opponent.learning_rate * reward
        return epsilon_greedy(values, opponent.exploration)
    assert isinstance(opponent, opponents.WindowBestResponse)
    others = Counter(tuple(a for i, a in enumerate(joint) if i != player) for joint in history)
    payoff = []
    for action in range(n):
        earned = Fraction(0)
        for rest, count in others.items():
            joint = (*rest[:player], action, *rest[player:])
            earned += count * Fraction(float(game.payoffs[(player, *joint)]))
        payoff.append(earned)
    return epsilon_greedy(payoff, opponent.exploration)


# Grids -----------------------------------------------------------------------------------------------------------


def locate(levels, p):
    """The last cell that begins at or below p (the first where none does), and the share of it below p."""
    cell = max([c for c in range(len(levels) - 1) if levels[c] <= p], default=0)
    return cell, min(max((p - levels[cell]) / (levels[cell + 1] - levels[cell]), 0.0), 1.0)


def corners(n_levels, cells, fractions):
    """The corners (index, weight) on the way up: largest fraction first, of equal ones the later first."""
    digits = list(cells)
    walk = sorted(range(len(cells)), key=lambda i: (fractions[i], i), reverse=True)
    heights = [1.0, *(fractions[i] for i in walk), 0.0]
    result = []
    for t in range(len(cells) + 1):
        result.append((number(digits, [n_levels] * len(digits)), heights[t] - heights[t + 1]))
        if t < len(walk):
            digits[walk[t]] += 1
    return result


def walk(places, n_levels):
    """Index of the lowest corner and the steps up, (coordinate, 8192ths): one at the start of its cell stays there."""
    digits, parts = zip(*(divmod(int(place), 8192) for place in places), strict=True)
    order = sorted(range(len(parts)), key=lambda i: (parts[i], i), reverse=True)
    steps = [(i, parts[i]) if parts[i] > 0 else (len(parts), 0) for i in order]
    return number(digits, [n_levels] * len(digits)), steps


def walked(corner, steps, n_levels):
    """The corners of a walk with their weights."""
    result, left = [], 8192
    for coordinate, fraction in steps:
        result.append((corner, (left - fraction) / 8192))
        corner += n_levels ** (len(steps) - 1 - coordinate) if coordinate < len(steps) else 0
        left = fraction
    return [*result, (corner, left / 8192)]


# Backups ---------------------------------------------------------------------------------------------------------


def mdp_rows(mdp):
    """The branches of each pair, (probability, reward, successor), whatever the storage."""
    storage, rewards = mdp.storage, mdp.rewards
    if isinstance(storage, OnTheFly):
        rewards, storage = fill(storage.dynamics, storage.nearest)
    rows = {}
    for s, a in itertools.product(range(mdp.n_states), range(mdp.n_actions)):
        if isinstance(storage, Dense):
            row = [(float(p), float(rewards[s, a]), j) for j, p in enumerate(storage.transitions[s, a]) if p > 0]
        elif isinstance(storage, PolicyTable):
            steps = [divmod(int(step), 8192) for step in storage.steps[s, a]]
            found = walked(int(storage.corner[s, a]), steps, round(mdp.n_states ** (1 / max(1, len(steps)))))
            row = [(weight, float(rewards[s, a]), j) for j, weight in found]
        elif isinstance(storage, Deterministic):
            row = [(1.0, float(rewards[s, a]), int(storage.successor[s, a]))]
        elif isinstance(storage, Sparse):
            pair = s * mdp.n_actions + a
            stored = range(storage.indptr[pair], storage.indptr[pair + 1])
            row = [(float(storage.data[k]), float(rewards[s, a]), int(storage.indices[k])) for k in stored]
        else:
            row = [
                (float(p), float(rewards[a, b]), int(storage.shifted[s] + storage.offset[a, b]))
                for b, p in enumerate(storage.probability[s])
            ]
        rows[s, a] = row
    return rows


def backup_dense(transitions, rewards, discount, values):
    n_states, n_actions = np.shape(rewards)
    q = np.empty((n_states, n_actions))
    for s, a in itertools.product(range(n_states), range(n_actions)):
        q[s, a] = rewards[s][a] + discount * sum(p * v for p, v in zip(transitions[s][a], values, strict=True))
    return q


def backup_sparse(rows, rewards, discount, values):
    """`rows` maps a pair to its list of (successor, probability)."""
    q = np.empty(np.shape(rewards))
    for (s, a), row in rows.items():
        q[s, a] = rewards[s][a] + discount * sum(p * values[j] for j, p in row)
    return q


def backup_deterministic(successor, rewards, discount, values):
    q = np.empty(np.shape(rewards))
    for (s, a), reward in np.ndenumerate(rewards):
        q[s, a] = reward + discount * values[successor[s][a]]
    return q


def backup_shift(n_actions, window, probability, rewards, discount, values):
    """The next window drops the oldest joint action and appends (own action, opponents' joint action)."""
    windows = all_windows(n_actions, window)
    others = list(itertools.product(*map(range, n_actions[1:])))
    q = np.empty((len(windows), n_actions[0]))
    for s, history in windows.items():
        for a in range(n_actions[0]):
            expected = 0.0
            for b, rest in enumerate(others):
                following = values[encode(n_actions, [*history[1:], (a, *rest)])]
                expected += probability[s][b] * (rewards[a][b] + discount * following)
            q[s, a] = expected
    return q


def improve(q):
    """Maxima and their first actions."""
    return [max(row) for row in q.tolist()], [row.index(max(row)) for row in q.tolist()]


def chain(mdp, policy):
    """Rows of (successor, probability) and the expected rewards of a policy."""
    rows = mdp_rows(mdp)
    chosen = [rows[s, a] for s, a in enumerate(policy)]
    if isinstance(mdp.storage, Dense | Deterministic | Sparse):
        reward = [float(mdp.rewards[s, a]) for s, a in enumerate(policy)]
    else:
        reward = [sum(p * r for p, r, _ in row) for row in chosen]
    return [[(j, p) for p, _, j in row] for row in chosen], reward


def evaluate(rows, reward, discount, values):
    return [r + discount * sum(p * values[j] for j, p in row) for row, r in zip(rows, reward, strict=True)]


def correct(rows, residual, discount, values):
    """residual + discount * P values, every operation rounded to float32."""
    found = []
    for row, r in zip(rows, residual, strict=True):
        expected = np.float32(0)
        for j, p in row:
            expected += np.float32(p) * values[j]
        found.append(r + np.float32(discount) * expected)
    return found


def rate(older, old, new):
    """Least-squares factor between successive changes, their means left out, by moments summed in index order."""
    before, after = ([y - x for x, y in zip(*pair, strict=True)] for pair in ((older, old), (old, new)))
    square = sum(x * x for x in before) - sum(before) * sum(before) / len(new)
    product = sum(x * y for x, y in zip(before, after, strict=True)) - sum(before) * sum(after) / len(new)
    return product / square if square > 0 else 0.0


def seen(old, new, least, most, largest):
    """Extremes of new - old and of |old| with one more state; NaN makes the last infinite."""
    if math.isnan(new - old):
        return least, most, math.inf
    return min(least, new - old), max(most, new - old), max(largest, abs(old))


def enough(rows, enough):
    """The pairs (s, a) whose number is at least enough[s]; rows[s] lists (a, number)."""
    return [(s, a) for s, row in enumerate(rows) for a, number in row if number >= enough[s]]


def fill_in(pattern):
    """Entries below the diagonal of each column of L: eliminating k joins all later neighbours of k to each other."""
    neighbours = {k: {j for j, entry in enumerate(row) if entry and j != k} for k, row in enumerate(pattern)}
    count = []
    for k in range(len(pattern)):
        later = {j for j in neighbours[k] if j > k}
        count.append(len(later))
        for j in later:
            neighbours[j] |= later - {j}
    return count


def change(values, new_values):
    """Extremes over all states."""
    extremes = math.inf, -math.inf, 0.0
    for old, new in zip(values, new_values, strict=True):
        extremes = seen(old, new, *extremes)
    return extremes


# Planning in the learned model -------------------------------------------------------------------------------------
# A model maps each known pair to its branches, (count, reward, successor); the counts of a pair add up to m.


def threshold(cumulative):
    """How many of the floats k 2^-53 in [0, 1) lie below a cumulative probability."""
    return math.ceil(Fraction(float(cumulative)) * 2**53)


def softmax(q, temperature):
    """Cumulative softmax probabilities of each row."""
    cumulative = np.empty(np.shape(q))
    for s, row in enumerate(q):
        weights = [math.exp((value - max(row)) / temperature) for value in row]
        sums = list(itertools.accumulate(weights, initial=0.0))[1:]
        cumulative[s] = [partial / sums[-1] for partial in sums]
    return cumulative


def plan_paper(model, m, q, initial, sweeps, discount, temperature):
    """Return the values after the paper's in-place sweeps and the cumulative softmax."""
    q = np.array(q)
    for _ in range(sweeps):
        for s, a in sorted(model):
            rewards = values = 0.0
            for count, reward, successor in model[s, a]:
                learned = [float(v) for v in q[successor] if v != initial and v > -math.inf]
                rewards += count * reward
                values += count * max(learned, default=0.0)
            q[s, a] = rewards / m + discount * (values / m)
    return q, softmax(q, temperature)


def optimistic_backup(model, m, shape, discount, top, following):
    """Return q, its maxima, the greedy actions (ties: unknown first, then the lower index), the largest change."""
    n_states, n_actions = shape
    q = np.full(shape, top)
    for (s, a), branches in model.items():
        total = 0.0
        for count, reward, successor in branches:
            total += count * (reward + discount * following[successor])
        q[s, a] = min(total / m, top)
    action = []
    for s in range(n_states):
        best = [a for a in range(n_actions) if q[s, a] == q[s].max()]
        action.append(min(best, key=lambda a: ((s, a) in model, a)))
    values = q.max(axis=1)
    return q, values, action, max(abs(values - following))


def plan_stationary(model, m, shape, discount, top, threshold, values):
    """Iterate values until none changes by more than `threshold`; return q, values, greedy actions, iterations."""
    for iterations in itertools.count(1):
        q, values, action, change = optimistic_backup(model, m, shape, discount, top, values)
        if change <= threshold:
            return q, values, action, iterations
    raise AssertionError


def plan_horizon(model, m, shape, discount, tops):
    """Return q and values of an episode's first stage, and the actions of every stage, first to last."""
    values = np.zeros(shape[0])
    plan = []
    for top in tops:  # one step left, two steps left, ...
        q, values, action, _ = optimistic_backup(model, m, shape, discount, top, values)
        plan.insert(0, action)
    return q, values, plan


# What is played: its value, and how soon it meets an unknown pair --------------------------------------------------


def know(unknown, rows, alive, stop):
    """Rows and stops of e after some pairs became known."""
    new = [bool(end) and not u for end, u in zip(stop, unknown, strict=True)]
    return [r if n else a for n, r, a in zip(new, rows, alive, strict=True)], [
        0.0 if n else end for n, end in zip(new, stop, strict=True)
    ]


def enter(value, below, enough, high, low, mark, exploring, shift, n_actions):
    """What a step of each pair adds to a ledger."""
    worth = []
    for v, x, y, e in zip(value, below, enough, exploring, strict=True):
        bad, good = v < x - high, v >= y - low
        worth += [[1.0 if bad else 0.0 if good else mark, min(max(e + shift, 0.0), 1.0)]] * n_actions
    return worth


def settle_value(rows, reward, played, discount, below, enough, width, limit, values):
    """Back up until each state's bracket tells its side of the gap, or all are narrow; rows are lists of branches.

    Returns the values and the smallest change, the largest, and the largest absolute value before the last backup.
    """
    factor = discount / (1 - discount)
    for _ in range(limit):
        new = []
        for r in played:
            total = 0.0
            for successor, probability in rows[r]:
                total += probability * values[successor]
            new.append(reward[r] + discount * total)
        changes = [after - before for after, before in zip(new, values, strict=True)]
        low, high = min(changes), max(changes)
        largest = max(abs(value) for value in values)
        values = new
        brackets = [(value + factor * low, value + factor * high) for value in values]
        told = [b[1] < x or b[0] >= y for b, x, y in zip(brackets, below, enough, strict=True)]
        if all(told) or factor * (high - low) <= width:
            break
    return values, low, high, largest


def settle_exploring(rows, stop, played, discount, width, limit, exploring):
    """Sweep e in place until its bracket is narrow; return it, the smallest change or 0, and the largest or 0."""
    factor = discount / (1 - discount)
    exploring = list(exploring)
    for _ in range(limit):
        changes = [0.0]
        for s, r in enumerate(played):
            total = 0.0
            for successor, probability in rows[r]:
                total += probability * exploring[successor]
            before, exploring[s] = exploring[s], stop[r] + discount * total
            changes.append(exploring[s] - before)
        if factor * (max(changes) - min(changes)) <= width:
            break
    return exploring, min(changes), max(changes)


def staged_return(rows, reward, n_actions, action, discount):
    """Return of a policy of one row of actions per step, from every state."""
    values = [0.0] * len(action[0])
    for actions in reversed(action):
        new = []
        for s, a in enumerate(actions):
            total = 0.0
            for successor, probability in rows[s * n_actions + a]:
                total += probability * values[successor]
            new.append(reward[s * n_actions + a] + discount * total)
        values = new
    return values


# Hidden learners -------------------------------------------------------------------------------------------------


def draw_learner(values, exploration, u):
    return draw(epsilon_greedy([float(v) for v in values], exploration), u)


@dataclass
class Learner:
    """A hidden Q-learner in play."""

    learning_rate: float
    exploration: float
    initial: float
    reset: bool
    values: list[float]

    def learn(self, action, reward):
        self.values[action] = (1.0 - self.learning_rate) * self.values[action] + self.learning_rate * reward


def hidden_learners(meta_game):
    return [
        Learner(o.learning_rate, o.exploration, o.initial, o.reset, [o.initial] * n)
        for o, n in zip(meta_game.opponents, meta_game.game.n_actions[1:], strict=True)
        if isinstance(o, opponents.QLearner)
    ]


def restart(learners):
    for learner in learners:
        if learner.reset:
            learner.values = [learner.initial] * len(learner.values)


class Automaton:
    """A hidden opponent with finitely many states in play."""

    def __init__(self, opponent, game, player):
        self.play = np.asarray(opponent.probabilities(game, player), float).tolist()
        self.following = np.asarray(opponent.next_state(game, player)).tolist()
        self.start = self.state = int(opponent.start)


def automata(meta_game):
    pairs = enumerate(meta_game.opponents, start=1)
    return [Automaton(o, meta_game.game, player) for player, o in pairs if hasattr(o, "next_state")]


def play_informed(meta_game, rng, n_steps):
    """The summed reward of a shaper who sees the learners' values and plays the myopically best action."""
    game = meta_game.game
    learners = hidden_learners(meta_game)
    total = 0.0
    for step in range(n_steps):
        if (meta_game.horizon is None and step == 0) or (meta_game.horizon and step % meta_game.horizon == 0):
            restart(learners)
        play = [epsilon_greedy(learner.values, learner.exploration) for learner in learners]
        expected = []
        for a in range(game.n_actions[0]):
            value = 0.0
            for rest in itertools.product(*map(range, game.n_actions[1:])):
                value += math.prod(p[b] for p, b in zip(play, rest, strict=True)) * game.payoffs[(0, a, *rest)]
            expected.append(value)
        a = expected.index(max(expected))
        rest = [draw_learner(learner.values, learner.exploration, rng.random()) for learner in learners]
        for player, learner in enumerate(learners, start=1):
            learner.learn(rest[player - 1], float(game.payoffs[(player, a, *rest)]))
        total += float(game.payoffs[(0, a, *rest)])
    return total


# Whole runs ------------------------------------------------------------------------------------------------------


class MDPWorld:
    """An MDP in play; its states are numbers."""

    def __init__(self, mdp):
        self.rows = mdp_rows(mdp)
        self.n_states, self.n_actions = mdp.n_states, mdp.n_actions
        self.n_branches = max(map(len, self.rows.values()))
        self.row_feedback = mdp.row_feedback and self.n_branches > 1
        self.law = None if mdp.starts is None else mdp.starts.tolist()
        closed = [] if mdp.allowed is None else zip(*np.nonzero(~mdp.allowed), strict=True)
        self.closed = [(int(s), int(a)) for s, a in closed]

    def start(self, s):
        return s

    def number(self, s):
        return s

    def outcome(self, s, a, b):
        """Reward and next state of a branch."""
        return self.rows[s, a][b][1:]

    def respond(self, s, a, rng):
        """Draw a branch."""
        row = [p for p, _, _ in self.rows[s, a]]
        return draw_from_row(row, rng.random())

    def states(self):
        return {s: s for s in range(self.n_states)}


def draw_from_row(row, u):
    """Draw from a row that may sum to 1 within rounding: its cumulative sums are divided by the last."""
    sums = list(itertools.accumulate(row))
    return next(b for b, partial in enumerate(sums) if u < partial / sums[-1])


class WindowWorld:
    """A window meta-game in play; its states are lists of joint actions."""

    row_feedback = False
    law = None
    closed = ()

    def __init__(self, meta_game):
        self.game, self.opponents = meta_game.game, meta_game.opponents
        self.learners, self.automata = hidden_learners(meta_game), automata(meta_game)
        self.others = list(itertools.product(*map(range, self.game.n_actions[1:])))
        self.windows = all_windows(self.game.n_actions, meta_game.window)
        self.n_states, self.n_actions = len(self.windows), self.game.n_actions[0]
        self.n_branches = len(self.others)

    def start(self, s):
        restart(self.learners)
        for automaton in self.automata:
            automaton.state = automaton.start
        return self.windows[s]

    def number(self, history):
        return encode(self.game.n_actions, history)

    def outcome(self, history, a, b):
        joint = (a, *self.others[b])
        return float(self.game.payoffs[(0, *joint)]), [*history[1:], joint]

    def respond(self, history, a, rng):
        if self.automata:
            row = [
                math.prod(x.play[x.state][b] for x, b in zip(self.automata, rest, strict=True)) for rest in self.others
            ]
            b = draw_from_row(row, rng.random())
            joint = number((a, *self.others[b]), self.game.n_actions)
            for automaton in self.automata:
                automaton.state = automaton.following[automaton.state][joint]
            return b
        if not self.learners:
            players = enumerate(self.opponents, start=1)
            play = [opponent_probabilities(o, self.game, player, history) for player, o in players]
            row = [math.prod(p[b] for p, b in zip(play, rest, strict=True)) for rest in self.others]
            return draw_from_row(row, rng.random())
        rest = tuple(draw_learner(learner.values, learner.exploration, rng.random()) for learner in self.learners)
        for player, learner in enumerate(self.learners, start=1):
            learner.learn(rest[player - 1], float(self.game.payoffs[(player, a, *rest)]))
        return self.others.index(rest)

    def states(self):
        return self.windows


@dataclass
class Play:
    """Everything that changes during a run."""

    world: MDPWorld | WindowWorld
    rng: np.random.Generator
    starts: list[int] | None
    horizon: int | None
    m: int
    pooled: bool
    step: int = 0
    state: Any = None
    total: float = 0.0
    counts: dict[Any, Counter[int]] = field(default_factory=dict)
    known_at: dict[Any, int] = field(default_factory=dict)

    def row(self, s, a):
        return s if self.pooled else s * self.world.n_actions + a

    def model(self, revealed=False):
        """The known pairs with their branches: counts, or shares of 1 where a visit has revealed the row."""
        if revealed:
            known = [divmod(row, self.world.n_actions) for row in self.known_at] + list(self.world.closed)
            return {pair: [branch for branch in self.world.rows[pair] if branch[0] > 0] for pair in known}
        model = {pair: [(self.m, -math.inf, pair[0])] for pair in self.world.closed}
        for s, state in self.world.states().items():
            for a in range(self.world.n_actions):
                if self.row(s, a) in self.known_at:
                    branches = []
                    for b, count in sorted(self.counts[self.row(s, a)].items()):
                        reward, following = self.world.outcome(state, a, b)
                        branches.append((count, reward, self.world.number(following)))
                    model[s, a] = branches
        return model


def draw_start(play, u):
    """One of the given states, all alike, or by the law of the process."""
    if play.starts is None:
        return draw_from_row(play.world.law, u)
    return play.starts[int(u * len(play.starts))]


def advance(play, choose, stop):
    """Play step by step until a row becomes known (true) or `stop` steps are done; `choose(stage, s)` acts."""
    while play.step < stop:
        stage = 0 if play.horizon is None else play.step % play.horizon
        if play.step == 0 or (play.horizon is not None and stage == 0):
            play.state = play.world.start(draw_start(play, play.rng.random()))
        s = play.world.number(play.state)
        a = choose(stage, s)
        b = play.world.respond(play.state, a, play.rng)
        reward, play.state = play.world.outcome(play.state, a, b)
        play.total += reward
        play.step += 1
        row = play.row(s, a)
        if row not in play.known_at:
            counts = play.counts.setdefault(row, Counter())
            counts[b] += 1
            if counts.total() == play.m:
                play.known_at[row] = play.step
                return True
    return False


class Run(NamedTuple):
    """What a run leaves behind, named as in `rfos.learning.trace.Trace`."""

    m: int
    bin_end: list[int]
    mean_reward: list[float]
    known: list[int]
    known_at: list[int]
    visits: list[int]
    branch_counts: list[list[int]]
    q: Any
    policy: Any
    action_probabilities: Any
    plans: int


def _begin(process, seed, m, horizon, starts, pooled=False):
    if hasattr(process, "game"):
        world = WindowWorld(process)
        horizon = process.horizon if horizon is None else horizon
    else:
        world = MDPWorld(process)
    if starts is not None or world.law is None:
        starts = list(range(world.n_states)) if starts is None else list(starts)
    return Play(world, generator(seed), starts, horizon, m, pooled)


def _play(play, steps, episodes, bins, choose, replan):
    """Play all bins; return everything of a `Run` but the agent's part."""
    unit = 1 if steps is not None else play.horizon
    units = steps if steps is not None else episodes
    ends = [units * (i + 1) // bins * unit for i in range(bins)]
    mean_reward, known, plans = [], [], 0
    for end in ends:
        play.total, before = 0.0, play.step
        while play.step < end:
            if advance(play, choose, end):
                replan()
                plans += 1
        mean_reward.append(play.total / (end - before))
        known.append(len(play.known_at))
    rows = range(play.world.n_states * (1 if play.pooled else play.world.n_actions))
    return {
        "m": play.m,
        "bin_end": ends,
        "mean_reward": mean_reward,
        "known": known,
        "known_at": [play.known_at.get(row, 0) for row in rows],
        "visits": [play.counts.get(row, Counter()).total() for row in rows],
        "branch_counts": [[play.counts.get(row, Counter())[b] for b in range(play.world.n_branches)] for row in rows],
        "plans": plans,
    }


def run_paper(
    process,
    *,
    seed,
    steps=None,
    episodes=None,
    horizon=None,
    starts=None,
    bins=1,
    m=None,
    epsilon=0.8,
    delta=0.2,
    temperature=0.25,
):
    """The agent of the paper's experiment."""
    discount = process.discount
    gap = Fraction(repr(epsilon)) * (1 - Fraction(repr(discount)))
    if m is None:
        m = math.floor(process.n_states * math.log(1 / delta) / gap**2)
    sweeps = math.floor(math.log(1 / gap) / (1 - Fraction(repr(discount))))
    initial = float(Fraction(repr(process.reward_range[1])) / (1 - Fraction(repr(discount))))
    play = _begin(process, seed, m, horizon, starts)
    q = np.full((play.world.n_states, play.world.n_actions), initial)
    for pair in play.world.closed:
        q[pair] = -math.inf
    state = {"q": q, "cumulative": softmax(q, temperature)}

    def choose(_, s):
        u = play.rng.random()
        return next(a for a, cumulative in enumerate(state["cumulative"][s]) if u < cumulative)

    def replan():
        arguments = (play.model(), m, state["q"], initial, sweeps, discount, temperature)
        state["q"], state["cumulative"] = plan_paper(*arguments)

    played = _play(play, steps, episodes, bins, choose, replan)
    cumulative = state["cumulative"]
    # What a float of 53 bits plays exactly: the share of its values below each cumulative probability.
    below = [[0, *map(threshold, row)] for row in cumulative]
    probabilities = [[(high - low) / 2**53 for low, high in itertools.pairwise(row)] for row in below]
    policy = [list(row).index(max(row)) for row in state["q"]]
    return Run(**played, q=state["q"], policy=policy, action_probabilities=probabilities)


def rounded_up(x):
    """Smallest float that is at least the Fraction x."""
    nearest = float(x)
    return nearest if Fraction(nearest) >= x else math.nextafter(nearest, math.inf)


def run_rmax(
    process,
    *,
    seed,
    m,
    steps=None,
    episodes=None,
    horizon=None,
    starts=None,
    bins=1,
    epsilon=None,
    planning="stationary",
    pooled=False,
):
    """R-max: greedy for the optimistic model, which is planned anew when a row becomes known.

    An unknown pair is worth the largest value there is, rounded up. Planning loses at most 1 % of epsilon (0.01 where
    none is given): value iteration that stops at a change tau loses at most 2 discount tau / (1 - discount); for
    discounts below 1/2 tau is what it is at 1/2.
    """
    discount, high = process.discount, process.reward_range[1]
    play = _begin(process, seed, m, horizon, starts, pooled)
    shape = (play.world.n_states, play.world.n_actions)
    top = rounded_up(Fraction(high) / (1 - Fraction(discount)))
    loss = 0.01 * (0.01 if epsilon is None else epsilon)
    revealed = play.world.row_feedback
    total = 1 if revealed else m
    threshold = loss * (1 - discount) / (2 * max(discount, 0.5))
    plan = {"values": np.full(shape[0], top)}

    def replan():
        if planning == "episode":
            tops = [rounded_up(Fraction(high))]
            while len(tops) < play.horizon:
                tops.append(rounded_up(Fraction(high) + Fraction(discount) * Fraction(tops[-1])))
            plan["q"], plan["values"], plan["action"] = plan_horizon(play.model(revealed), total, shape, discount, tops)
        else:
            arguments = (play.model(revealed), total, shape, discount, top, threshold, plan["values"])
            plan["q"], plan["values"], action, _ = plan_stationary(*arguments)
            plan["action"] = [action]

    def choose(stage, s):
        return plan["action"][stage if planning == "episode" else 0][s]

    replan()
    played = _play(play, steps, episodes, bins, choose, replan)
    if planning == "episode":
        return Run(**played, q=plan["q"], policy=plan["action"], action_probabilities=None)
    greedy = plan["action"][0]
    probabilities = [[float(a == chosen) for a in range(shape[1])] for chosen in greedy]
    return Run(**played, q=plan["q"], policy=greedy, action_probabilities=probabilities)


# Meta-games of policies ------------------------------------------------------------------------------------------


def own_values(game, policies, player):
    """Un-normalised value of each inner state, by inverting I - discount P, and the law of the first state."""
    step = np.zeros((game.n_states, game.n_states))
    reward = np.zeros(game.n_states)
    for s in range(game.n_states):
        for j, actions in enumerate(itertools.product(*map(range, game.n_actions))):
            weight = math.prod(float(policy[s][a]) for policy, a in zip(policies, actions, strict=True))
            reward[s] += weight * game.rewards[player, s, j]
            step[s] += weight * game.transitions[s, j]
    return np.linalg.inv(np.eye(game.n_states) - game.discount * step) @ reward


def own_return(game, policies, player):
    """The normalised return."""
    return (1 - game.discount) * float(game.initial @ own_values(game, policies, player))


def step_on_logits(game, policies, player, size):
    """Ascent of the un-normalised return in the logits of all actions but the last, by five-point differences."""
    with np.errstate(divide="ignore"):
        logits = np.log(policies[player] / policies[player][:, -1:])

    def value(moved):
        weights = np.exp(moved)
        changed = [*policies]
        changed[player] = weights / weights.sum(axis=1, keepdims=True)
        return own_return(game, changed, player) / (1 - game.discount), changed[player]

    h = 2e-3
    slope = np.zeros_like(logits)
    for s, a in np.ndindex(game.n_states, game.n_actions[player] - 1):
        unit = np.zeros_like(logits)
        unit[s, a] = h
        far, near = (value(logits + k * unit)[0] - value(logits - k * unit)[0] for k in (2, 1))
        slope[s, a] = (8 * near - far) / (12 * h)
    return value(logits + size * slope)[1]


def derivative(function, at):
    """Gradient by five-point differences."""
    h = 2e-3
    slope = np.zeros_like(at)
    for i in np.ndindex(at.shape):
        unit = np.zeros_like(at)
        unit[i] = h
        far, near = (function(at + k * unit) - function(at - k * unit) for k in (2, 1))
        slope[i] = (8 * near - far) / (12 * h)
    return slope


def lola_slope(game, policies, look_ahead, expansion):
    """What LOLA ascends, differentiated in the learner's logits of action 0 (S,), by nested differences.

    The shaper is player 0, both have two actions; returns are un-normalised.
    """

    def of_logits(x):
        return np.stack([1 / (1 + np.exp(-x)), 1 / (1 + np.exp(x))], axis=1)

    def worth(player, first, second):
        return own_return(game, [of_logits(first), of_logits(second)], player) / (1 - game.discount)

    def slope(player, second):
        return derivative(lambda first: worth(player, first, second), shaper)

    shaper, own = (np.log(policy[:, 0] / policy[:, 1]) for policy in policies)
    if expansion == "exact":
        return derivative(lambda x: worth(1, shaper + look_ahead * slope(0, x), x), own)
    held = slope(1, own)
    factor = (lambda x: held) if expansion == "shaping" else (lambda x: slope(1, x))
    return derivative(lambda x: worth(1, shaper, x) + look_ahead * factor(x) @ slope(0, x), own)


def softmax_reply(game, policies, player, temperature, mixing):
    """(1-mixing) of the old policy plus mixing times the softmax of the values of deviating once."""
    values = own_values(game, policies, player)
    replies = np.zeros((game.n_states, game.n_actions[player]))
    for s, own in np.ndindex(*replies.shape):
        for j, actions in enumerate(itertools.product(*map(range, game.n_actions))):
            if actions[player] == own:
                others = [policies[i][s][a] for i, a in enumerate(actions) if i != player]
                after = game.rewards[player, s, j] + game.discount * float(game.transitions[s, j] @ values)
                replies[s, own] += math.prod(others) * after
    weights = np.exp(replies / temperature)
    return (1 - mixing) * policies[player] + mixing * weights / weights.sum(axis=1, keepdims=True)


def nearest_point(points, policy):
    """The grid point at the smallest Euclidean distance."""
    return int(np.argmin([((point - policy) ** 2).sum() for point in points]))


def in_a_simplex(corners, point):
    """Barycentric weights of a point in the simplex of these corners, or None outside of it."""
    system = np.vstack([np.array(corners).T, np.ones(len(corners))])
    weights, *_ = np.linalg.lstsq(system, np.append(point, 1.0), rcond=None)
    exact = np.abs(system @ weights - np.append(point, 1.0)).max() < 1e-9
    return weights if exact and weights.min() > -1e-9 else None


def kuhn_weights(levels, probabilities):
    """{digits: weight} of the Kuhn simplex around probabilities, of all orders of going up in all cells."""
    clipped = np.clip(probabilities, levels[0], levels[-1])
    for cell in itertools.product(range(len(levels) - 1), repeat=len(clipped)):
        if not all(levels[c] <= p <= levels[c + 1] for c, p in zip(cell, clipped, strict=True)):
            continue
        for order in itertools.permutations(range(len(clipped))):
            path = [list(cell)]
            for i in order:
                path.append([c + (k == i) for k, c in enumerate(path[-1])])
            weights = in_a_simplex([[levels[c] for c in digits] for digits in path], clipped)
            if weights is not None:
                return {tuple(digits): float(w) for digits, w in zip(path, weights, strict=True)}
    raise AssertionError("no simplex holds the point")


def triangle_weights(points, policy, side):
    """{index: weight} of the small triangle around a policy of three actions, sides `side` in L1."""
    for triple in itertools.combinations(range(len(points)), 3):
        if all(abs(np.abs(points[i] - points[j]).sum() - side) < 1e-9 for i, j in itertools.combinations(triple, 2)):
            weights = in_a_simplex([points[i] for i in triple], policy)
            if weights is not None:
                return {i: float(w) for i, w in zip(triple, weights, strict=True)}
    raise AssertionError("no triangle holds the point")


# Teams: decision rules of a stage and groups of equal laws ---------------------------------------------------------


def completion(payoffs, histories, parts, offsets, chosen, table):
    """Each joint history completes the rules for itself, the last agent's own history answers all of its own."""
    *others, last = range(len(histories))
    table[:] = 0.0
    for j in range(len(payoffs)):
        given = [int(chosen[offsets[i] + histories[i][j]]) for i in others]
        for action in range(table.shape[1]):
            table[histories[last][j], action] += max(
                (
                    payoffs[j][a]
                    for a in range(len(payoffs[j]))
                    if parts[last][a] == action
                    and all(own in (-1, parts[i][a]) for i, own in zip(others, given, strict=True))
                ),
                default=-math.inf,
            )
    total = 0.0
    for row in table:
        total += max(row)
    return total


def best_rules(payoffs, histories, parts, offsets, choices):
    """All rules of all agents but the last, one by one."""
    table = np.zeros((1 + max(histories[-1]), 1 + max(parts[-1])))
    return max(
        completion(payoffs, histories, parts, offsets, rules, table)
        for rules in itertools.product(*(range(n) for n in choices))
    )


def merge_groups(laws, tol):
    """Numbers of laws (dictionaries of shares): that of the first of a number that is at most `tol` from it."""
    first, label = [], []
    for law in laws:
        for number, other in enumerate(first):
            if sum(abs(law.get(x, 0.0) - other.get(x, 0.0)) for x in {*law, *other}) <= 2 * tol:
                label.append(number)
                break
        else:
            label.append(len(first))
            first.append(law)
    return label


# Teams in play ---------------------------------------------------------------------------------------------------


@dataclass
class TeamPlay:
    """A team problem that is played: successors of each pair as a list of (next state, joint observation, p)."""

    team: Any
    rng: Any
    m: int = 1
    keys: Any = None  # the row of each pair; None: its own
    drawn_rewards: bool = False
    known: set = field(default_factory=set)
    visits: Counter = field(default_factory=Counter)
    seen: Counter = field(default_factory=Counter)  # (row, next state, joint observation)
    paid: Counter = field(default_factory=Counter)
    known_at: dict = field(default_factory=dict)
    episode: int = 0

    def row(self, s, a):
        pair = s * self.team.n_joint_actions + a
        return pair if self.keys is None else self.keys[pair]

    def branches(self, s, a):
        b = self.team.branches
        pair = s * self.team.n_joint_actions + a
        first, last = int(b.pointer[pair]), int(b.pointer[pair + 1])
        return [(int(b.state[e]), int(b.observation[e]), float(b.probability[e])) for e in range(first, last)]

    def beginnings(self):
        law = self.team.starts.reshape(self.team.n_states, -1)
        return [(s, o, float(law[s, o])) for s in range(law.shape[0]) for o in range(law.shape[1]) if law[s, o]]

    def follow(self, branches):
        """Draw a branch: the first whose cumulative share of the sum exceeds a uniform float."""
        cumulative, shares = 0.0, []
        for _, _, probability in branches:
            cumulative += probability
            shares.append(cumulative)
        u = self.rng.random()
        for (s, o, _), share in zip(branches, shares, strict=True):
            if u < share / cumulative:
                return s, o
        raise AssertionError("a uniform float is below 1")

    def joint(self, parts, sizes):
        joint = 0
        for part, size in zip(parts, sizes, strict=True):
            joint = joint * size + part
        return joint

    def parts(self, joint, sizes):
        found = []
        for size in reversed(sizes):
            joint, part = divmod(joint, size)
            found.insert(0, part)
        return found

    def first_histories(self, o):
        team = self.team
        return (
            [[part] for part in self.parts(o, team.n_observations)] if team.starts.ndim == 2 else [[]] * team.n_agents
        )

    def node(self, i, history):
        """The number of a history: the oldest observation is the highest digit."""
        return number(history, [self.team.n_observations[i]] * len(history))

    def least_visited(self, s):
        visits = [self.visits[self.row(s, a)] for a in range(self.team.n_joint_actions)]
        return visits.index(min(visits))

    def count(self, row, s, o):
        if self.visits[row] >= self.m or row in self.known:
            return False
        self.visits[row] += 1
        self.seen[row, s, o] += 1
        if self.visits[row] == self.m:
            self.known_at[row] = self.episode + 1
        return self.visits[row] == self.m


def play_team(play, markov, trees, stop):
    """Play until an episode in which a row became known; `markov` [step][state], or trees, or neither: uniformly."""
    team = play.team
    low, high = float(team.rewards.min()), float(team.rewards.max())
    found = False
    while play.episode < stop and not found:
        s, o = play.follow(play.beginnings())
        found = play.count("start", s, o) or found
        histories = play.first_histories(o)
        for t in range(team.horizon):
            if trees is not None:
                own = [trees[i][t][play.node(i, histories[i])] for i in range(team.n_agents)]
                a = play.joint([int(x) for x in own], team.n_actions)
            elif markov is None:
                a = int(play.rng.random() * team.n_joint_actions)
            else:
                a = int(markov[t][s])
                if a < 0:
                    a = play.least_visited(s)
            row = play.row(s, a)
            following, o = play.follow(play.branches(s, a))
            if play.drawn_rewards:
                mean = float(team.rewards[s, a])
                share = 0.0 if low == high else (mean - low) / (high - low)
                if play.rng.random() < share and play.visits[row] < play.m:
                    play.paid[row] += 1
            found = play.count(row, following, o) or found
            s = following
            histories = [[*h, x] for h, x in zip(histories, play.parts(o, team.n_observations), strict=True)]
        play.episode += 1
    return found


def plan_markov(play, reward, escapes, discount):
    """Optimal joint actions [step][state] of the known rows, unknown ones being worth `escapes`, and first values."""
    team = play.team
    values = [0.0] * team.n_states
    actions = []
    for left in range(team.horizon):
        new, chosen = [], []
        for s in range(team.n_states):
            options = []
            for a in range(team.n_joint_actions):
                row = play.row(s, a)
                if play.visits[row] < play.m:
                    options.append((escapes[left], True, -a))
                    continue
                total = 0.0
                for following, o, _ in play.branches(s, a):
                    total += play.seen[row, following, o] * values[following]
                options.append((reward[s][a] + discount * (total / play.visits[row]), False, -a))
            best = max(options)
            new.append(best[0])
            chosen.append(-1 if best[1] else -best[2])
        values = new
        actions.insert(0, chosen)
    return actions, values


def learn_values(play, q, shared, rate, exploration, discount, n_episodes):
    """Learn `q[i][history]` lists of action values, each agent's error its own, or that of the sum of all values."""
    team = play.team
    for _ in range(n_episodes):
        s, o = play.follow(play.beginnings())
        histories = [tuple(h) for h in play.first_histories(o)]
        for t in range(team.horizon):
            own = []
            for i, size in enumerate(team.n_actions):
                values = q[i][t, histories[i]]
                u = play.rng.random()
                greedy = values.index(max(values))
                own.append(min(int(u / exploration * size), size - 1) if u < exploration else greedy)
            a = play.joint(own, team.n_actions)
            reward = float(team.rewards[s, a])
            s, o = play.follow(play.branches(s, a))
            after = [(*h, x) for h, x in zip(histories, play.parts(o, team.n_observations), strict=True)]
            last = t + 1 == team.horizon
            ahead = [0.0 if last else max(q[i][t + 1, after[i]]) for i in range(team.n_agents)]
            old = [q[i][t, histories[i]][own[i]] for i in range(team.n_agents)]
            error = reward
            for i in range(team.n_agents):
                error += discount * ahead[i] - old[i]
            for i in range(team.n_agents):
                mine = error if shared else reward + discount * ahead[i] - old[i]
                q[i][t, histories[i]][own[i]] = old[i] + rate * mine
            histories = after


def reuse_episodes(play, policies, discount, n_episodes):
    """The summed returns of the uniformly played episodes that follow each policy (trees) all along."""
    team = play.team
    sums = [0.0] * len(policies)
    for _ in range(n_episodes):
        s, o = play.follow(play.beginnings())
        histories = play.first_histories(o)
        followed = set(range(len(policies)))
        total, weight = 0.0, 1.0
        for t in range(team.horizon):
            a = int(play.rng.random() * team.n_joint_actions)
            for i, own in enumerate(play.parts(a, team.n_actions)):
                followed -= {k for k in followed if policies[k][i][t][play.node(i, histories[i])] != own}
            total += weight * float(team.rewards[s, a])
            weight *= discount
            s, o = play.follow(play.branches(s, a))
            histories = [[*h, x] for h, x in zip(histories, play.parts(o, team.n_observations), strict=True)]
        for k in followed:
            sums[k] += total
    return sums
