"""Team tasks: sizes, rows and rewards by hand, and optima that can be found without a planner."""

import itertools
from fractions import Fraction

import numpy as np
import pytest

from rfos.teams.model import split_index
from rfos.teams.pooling import every_row, keys_of_one
from rfos.teams.tasks import TASKS, Known, task
from rfos.teams.tasks_reference import lock_code
from rfos.teams.tasks_riddles import all_drawn


def dense(team):
    """W as an array (S, A, S, O)."""
    b, seen = team.branches, team.n_joint_observations
    W = np.zeros((team.n_states * team.n_joint_actions, team.n_states, seen))
    W[np.repeat(np.arange(len(W)), np.diff(b.pointer)), b.state, b.observation] = b.probability
    return W.reshape(team.n_states, team.n_joint_actions, team.n_states, seen)


def best_of_two_steps(team):
    """Largest return of two agents in two steps without a first observation: every policy of the first is tried."""
    (a, b), (o, p) = team.n_actions, team.n_observations
    W = dense(team).reshape(team.n_states, a, b, team.n_states, o, p)
    R = team.rewards.reshape(team.n_states, a, b)
    best = -np.inf
    for first, second in itertools.product(range(a), range(b)):
        after = np.einsum("s,stop->top", team.starts, W[:, first, second])
        gains = np.einsum("top,tab->opab", after, R)
        for rule in itertools.product(range(a), repeat=o):
            replies = sum(gains[i, :, action] for i, action in enumerate(rule))  # (p, b)
            best = max(best, team.starts @ R[:, first, second] + replies.max(axis=1).sum())
    return best


@pytest.mark.parametrize("name", ["dec-tiger", "broadcast-channel", "recycling-robots", "grid-small"])
def test_benchmarks_have_the_published_optima_in_two_steps(name):
    """The masplan.org table, by brute force over all policies."""
    team = task(name, 2)
    known = TASKS[name].optimum(2)
    assert known.exact
    assert best_of_two_steps(team) == pytest.approx(known.value, abs=1e-9)


def best_of_three_steps(team):
    """The same in three steps: all rules of the first two, then all of one agent's last ones with the best replies."""
    (a, b), (o, p) = team.n_actions, team.n_observations
    W = dense(team).reshape(team.n_states, a, b, team.n_states, o, p)
    R = team.rewards.reshape(team.n_states, a, b)
    last = np.array(list(itertools.product(range(a), repeat=o * o)))
    best = -np.inf
    for first, second in itertools.product(range(a), range(b)):
        after = np.einsum("s,stop->top", team.starts, W[:, first, second])
        for one, two in itertools.product(itertools.product(range(a), repeat=o), itertools.product(range(b), repeat=p)):
            value = team.starts @ R[:, first, second]
            gains = np.zeros((o, o, p, p, a, b))  # by what each saw at either step
            for x, y in itertools.product(range(o), range(p)):
                value += after[:, x, y] @ R[:, one[x], two[y]]
                then = np.einsum("t,tuop->uop", after[:, x, y], W[:, one[x], two[y]])
                gains[x, :, y] = np.einsum("uop,uab->opab", then, R)
            gains = gains.reshape(o * o, p * p, a, b)
            replies = sum(gains[i][:, last[:, i]] for i in range(o * o))  # (p * p, rules, b)
            best = max(best, value + replies.max(axis=2).sum(axis=0).max())
    return best


@pytest.mark.parametrize("name", ["dec-tiger", "broadcast-channel", "recycling-robots"])
def test_benchmarks_have_the_published_optima_in_three_steps(name):
    """The masplan.org table once more, where what is heard matters."""
    assert best_of_three_steps(task(name, 3)) == pytest.approx(TASKS[name].optimum(3).value, abs=5e-7)


@pytest.mark.parametrize(
    ("state", "action", "full", "reward"),
    [
        ("empty full", "send wait", (0.9, 1.0), 0),
        ("full empty", "send wait", (0.9, 0.1), 1),
        ("full empty", "wait send", (1.0, 0.1), 0),
        ("empty full", "wait send", (0.9, 0.1), 1),
        ("full empty", "wait wait", (1.0, 0.1), 0),
        ("full full", "send send", (0.9, 0.1), 0),
        ("empty empty", "wait wait", (0.9, 0.1), 0),
    ],
)
def test_buffers_of_the_broadcast_channel_fill_as_described(state, action, full, reward):
    """Which buffer is full next, by hand; both hear no collision with .81 unless both send."""
    team = task("broadcast-channel")
    s, a = team.state_names.index(state), [team.action_names[0].index(word) for word in action.split()]
    row = dense(team)[s, 2 * a[0] + a[1]]
    after = row.sum(axis=1)
    assert (after[:2].sum(), after[::2].sum()) == pytest.approx(full)
    assert after[0] == pytest.approx(full[0] * full[1])
    assert row.sum(axis=0)[0 if action == "send send" else 3] == pytest.approx(0.81)
    assert team.rewards[s, 2 * a[0] + a[1]] == reward


def full_information(team):
    """Largest return of a planner who sees the state."""
    value = np.zeros(team.n_states)
    for _ in range(team.horizon):
        q = team.rewards + (team.transitions @ value).reshape(team.rewards.shape)
        value = q.max(axis=1)
    starts = team.starts.sum(axis=1) if team.has_first_observation else team.starts
    return float(starts @ value)


@pytest.mark.parametrize(("name", "horizon", "value"), [("recycling-robots", 4, 14.07), ("broadcast-channel", 4, 3.97)])
def test_full_information_earns_what_was_computed_from_the_public_files(name, horizon, value):
    """Q_MDP at the root, as computed elsewhere from the public problem files."""
    assert full_information(task(name, horizon)) == pytest.approx(value, abs=0.005)


@pytest.mark.parametrize(("agents", "states"), [(3, 45), (4, 124), (5, 315)])
def test_switch_riddle_has_only_states_that_can_be_reached(agents, states):
    """45, 124, 315 and an end: all of them are reached, and none is missing."""
    team = task("switch-riddle", agents=agents)
    assert team.n_states == states + 1
    reached = team.starts.sum(axis=1) > 0
    jumps = team.transitions
    for _ in range(team.n_states):
        onward = np.zeros(len(team.rewards), bool)
        rows = np.repeat(reached, team.n_joint_actions)
        onward[jumps[rows].indices] = True
        if (onward <= reached).all():
            break
        reached |= onward
    assert reached.all()


def test_switch_riddle_of_six_prisoners_fits():
    """763 states and 729 joint actions: 2,407,887 branches, where a dense W had 3 * 10^11."""
    team = task("switch-riddle", agents=6)
    assert len(team.branches.state) == (762 * 729 // 3) * (6 + 6 + 1) + 729
    assert team.horizon == 18


@pytest.mark.parametrize(("agents", "value"), [(3, 20 / 27), (4, 0.7806), (5, 0.7879), (6, 0.7847)])
def test_oracle_of_the_riddle_tells_when_all_have_been_drawn(agents, value):
    """Bounds derived from draws alone; equal to the full information of the model itself."""
    known = TASKS["switch-riddle"].optimum(agents=agents)
    assert known.value == pytest.approx(value, abs=5e-5)
    assert known.exact == (agents == 3)
    if agents < 6:
        assert full_information(task("switch-riddle", agents=agents)) == pytest.approx(known.value, abs=1e-12)


def test_flip_turns_the_light_on_and_off():
    """Each of the three days of a prisoner who flips; who has been is noted, and who comes next is uniform."""
    team = task("switch-riddle")
    states = {name: i for i, name in enumerate(team.state_names)}
    flip = team.action_names[0].index("flip") * 9  # of the first prisoner; the others' actions do not count
    for before, after in (("off, been nobody, now 1", "on, been 1"), ("on, been 12, now 1", "off, been 12")):
        row = states[before] * 27 + flip
        part = slice(team.branches.pointer[row], team.branches.pointer[row + 1])
        found = [team.state_names[i] for i in team.branches.state[part]]
        assert found == [f"{after}, now {i}" for i in (1, 2, 3)]
        assert team.branches.probability[part] == pytest.approx([1 / 3] * 3)


def play(team, rule):
    """Exact return of a joint policy rule(agent, own observations) -> action, over all histories."""
    views = [split_index(o, team.n_observations) for o in range(team.n_joint_observations)]
    law = {}
    for s, o in np.argwhere(team.starts > 0):
        law[int(s), tuple((part,) for part in views[o])] = team.starts[s, o]
    total = 0.0
    for _ in range(team.horizon):
        following = {}
        for (s, histories), p in law.items():
            action = 0
            for agent, history in enumerate(histories):
                action = action * team.n_actions[agent] + rule(agent, history)
            total += p * team.rewards[s, action]
            row = s * team.n_joint_actions + action
            b = team.branches
            for k in range(b.pointer[row], b.pointer[row + 1]):
                told = tuple((*h, v) for h, v in zip(histories, views[b.observation[k]], strict=True))
                key = (int(b.state[k]), told)
                following[key] = following.get(key, 0.0) + p * b.probability[k]
        law = following
    return total


def by_hand(agent, history):
    """New and light off: switch on, except on the first day. New and light on: tell."""
    out, off, on = 0, 1, 2
    new = all(view == out for view in history[:-1])
    if new and history[-1] == on:
        return 2
    return int(new and history[-1] == off and len(history) > 1)


@pytest.mark.parametrize("horizon", [3, 4, 6])
def test_three_prisoners_attain_the_oracle_by_hand(horizon):
    """20/27 in six days, and the oracle's value at any horizon."""
    assert all_drawn(3, 6) == Fraction(20, 27)
    team = task("switch-riddle", horizon)
    assert play(team, by_hand) == pytest.approx(float(all_drawn(3, horizon)), abs=1e-12)
    assert TASKS["switch-riddle"].optimum(horizon) == Known(
        float(all_drawn(3, horizon)), True, TASKS["switch-riddle"].optimum().source
    )


def test_three_prisoners_attain_the_oracle_over_a_bridge():
    """Each visit takes a step more; whose turn it is walks to the right, and sees the light in the room."""

    def over(agent, history):
        view = history[-1]
        if view == 1:
            return 4
        if view == 0:
            return 0
        visits = tuple(max(v - 1, 0) for v in history if v != 1)
        first_day = len(history) == 2
        return by_hand(agent, (visits[-1],) if first_day else (0, *visits))

    team = task("switch-bridge", 8)
    assert play(team, over) == pytest.approx(float(all_drawn(3, 4)), abs=1e-12)
    assert full_information(team) == pytest.approx(TASKS["switch-bridge"].optimum(8).value, abs=1e-12)


@pytest.mark.parametrize("cells", [1, 2, 3])
def test_a_bridge_delays_the_room(cells):
    """With b cells the first visit takes b + 1 steps; walking left on the first cell, and waiting, stay."""
    team = task("switch-bridge", cells=cells)
    assert team.n_states == 45 * (cells + 1) + 1
    assert team.horizon == 6 * (cells + 1)
    W = dense(team) if cells == 1 else None
    if W is not None:
        start = int(np.flatnonzero(team.starts.sum(axis=1))[0])
        right, left = 4 * 25 + 4 * 5 + 4, 3 * 25 + 3 * 5 + 3
        assert W[start, left].sum(axis=1)[start] == 1
        assert team.state_names[int(W[start, right].sum(axis=1).argmax())] == "off, been nobody, now 1, room"


@pytest.mark.parametrize(("goals", "symbols"), [(2, 1), (2, 2), (3, 2), (2, 3)])
def test_reference_game_is_worth_the_share_of_goals_that_symbols_tell(goals, symbols):
    """min(1, C/k), by brute force: each agent's message to the other, and the best picks for it."""
    team = task("reference-game", goals=goals, symbols=symbols)
    n = team.n_actions[0]
    best = 0.0
    for one, two in itertools.product(itertools.product(range(n), repeat=goals), repeat=2):
        gains = np.zeros((2, goals, goals + symbols, n))  # of each agent, by what it saw first, then heard, and picks
        for s, o in np.argwhere(team.starts > 0):
            saw = split_index(int(o), team.n_observations)
            row = s * team.n_joint_actions + one[saw[0]] * n + two[saw[1]]
            k = team.branches.pointer[row]
            heard = split_index(int(team.branches.observation[k]), team.n_observations)
            pays = team.rewards[team.branches.state[k]].reshape(n, n)
            # The reward is a sum of a part of each agent.
            gains[0, saw[0], heard[0]] += team.starts[s, o] * (pays[:, -1] - pays[:, -1].min())
            gains[1, saw[1], heard[1]] += team.starts[s, o] * (pays[-1] - pays[-1].min())
        best = max(best, gains.max(axis=3).sum())
    assert best == pytest.approx(min(1, symbols / goals))
    assert TASKS["reference-game"].optimum(goals=goals, symbols=symbols).value == pytest.approx(best)


def test_path_pays_by_the_distance_after_the_move():
    """Three cells, goals at both ends: who walks there at once is at distance 0 after one step."""
    team = task("reference-path")
    start = int(np.flatnonzero(team.starts.sum(axis=1))[1])  # goals 1 and 2
    assert team.state_names[start] == "cells 2 2, goals 1 2, heard 1 1"
    assert team.observation_names[0][split_index(int(team.starts[start].argmax()), team.n_observations)[0]] == (
        "cell 2, other's goal 2, heard 1"
    )
    left, right = (team.action_names[0].index(f"{way}, say 2") for way in ("left", "right"))
    assert team.rewards[start, left * 6 + right] == 0
    assert team.rewards[start, right * 6 + left] == -1
    k = team.branches.pointer[start * 36 + left * 6 + right]
    assert team.state_names[team.branches.state[k]] == "cells 1 3, goals 1 2, heard 2 2"
    k = team.branches.pointer[start * 36 + left * 6 + team.action_names[0].index("right, say 1")]
    assert team.state_names[team.branches.state[k]] == "cells 1 3, goals 1 2, heard 1 2"
    told = split_index(int(team.branches.observation[k]), team.n_observations)
    assert [names[view] for names, view in zip(team.observation_names, told, strict=True)] == [
        "cell 1, other's goal 2, heard 1",
        "cell 3, other's goal 1, heard 2",
    ]
    # From the start with both walking blindly, and with full information.
    assert full_information(team) == 0


@pytest.mark.parametrize("seed", [0, 1])
def test_lock_opens_by_its_code_alone(seed):
    """M6a: 1 for the code, 0 for any code with one wrong digit."""
    team = task("lock", digits=3, actions=2, seed=seed)
    code = lock_code(2, 2, 3, seed).tolist()

    def pays(actions):
        state, total = 0, 0.0
        for action in actions:
            total += team.rewards[state, action]
            state = int(team.branches.state[team.branches.pointer[state * 4 + action]])
        return total

    assert [actions for actions in itertools.product(range(4), repeat=3) if pays(actions)] == [tuple(code)]
    assert TASKS["lock"].optimum(2, digits=3).value == 0
    assert TASKS["lock"].optimum(digits=3).value == 1


@pytest.mark.parametrize("name", list(TASKS))
def test_rows_of_a_key_are_the_same(name):
    """What a task declares holds in its tables: same law, same reward; and keys have no gaps."""
    team = task(name)
    keys = TASKS[name].row_keys(team)
    assert keys.shape == (team.n_states * team.n_joint_actions,)
    assert np.array_equal(np.unique(keys), np.arange(keys.max() + 1))
    first = np.unique(keys, return_index=True)[1][keys]
    b = team.branches
    rewards = team.rewards.ravel()
    assert np.array_equal(rewards, rewards[first])
    for row, same in enumerate(first):
        one, two = (slice(b.pointer[r], b.pointer[r + 1]) for r in (row, same))
        for part in (b.state, b.observation, b.probability):
            assert np.array_equal(part[one], part[two])


@pytest.mark.parametrize(("agents", "rows"), [(3, 135), (4, 372), (5, 945)])
def test_only_the_prisoner_in_the_room_counts(agents, rows):
    """M8-pool: three rows a state, and one of the end."""
    team = task("switch-riddle", agents=agents)
    assert TASKS["switch-riddle"].row_keys(team).max() + 1 == rows + 1
    assert team.branching == agents


@pytest.mark.parametrize(("goals", "symbols"), [(3, 2), (2, 3), (1, 1), (4, 2), (2, 2), (4, 4)])
def test_symbols_said_alike_are_one_row(goals, symbols):
    """Actions beyond the symbols say one of them again."""
    team = task("reference-game", goals=goals, symbols=symbols)
    keys = TASKS["reference-game"].row_keys(team)
    said = min(max(goals, symbols), symbols) ** 2
    later = goals**2 * symbols**2 * max(goals, symbols) ** 2
    assert len(np.unique(keys)) == keys.max() + 1 == goals**2 * said + later


def test_every_row_is_its_own_without_structure():
    """Keys of two states and three joint actions."""
    assert every_row(2, 3).tolist() == list(range(6))
    assert keys_of_one(np.array([0, 1]), (3, 1)).tolist() == [0, 1, 2, 3, 3, 3]


@pytest.mark.parametrize(
    ("call", "says"),
    [
        (lambda: task("dec-tigre"), r"unknown task 'dec-tigre' \(closest: dec-tiger\): give one of switch-riddle, "),
        (lambda: task("x" * 10**6), "unknown task 'xxx"),
        (lambda: task(5), "name is 5, not a str: give one of switch-riddle"),
        (lambda: task("dec-tiger", agents=3), "dec-tiger has no size 'agents': it has one size only"),
        (lambda: task("switch-riddle", prisoners=3), "switch-riddle has no size 'prisoners': its sizes are agents"),
        (lambda: task("switch-riddle", agents=7), "agents of switch-riddle is 7: give a whole number from 3 to 6"),
        (lambda: task("switch-riddle", agents=3.0), r"agents of switch-riddle is 3.0: give a whole number"),
        (lambda: task("switch-bridge", cells=0), "cells of switch-bridge is 0: give a whole number from 1 to 8"),
        (lambda: task("dec-tiger", 0), "horizon is 0: give a whole number from 1 to 10000"),
        (lambda: task("dec-tiger", True), "horizon is True"),
        (lambda: task("reference-path", goals=4), "goals is 4, above the 3 cells of the path: choose at most 3"),
        (lambda: task("lock", digits=10**9), "digits of lock is 1000000000: give a whole number from 1 to 1000"),
        (lambda: TASKS["dec-tiger"].optimum(h=1), "dec-tiger has no size 'h'"),
    ],
)
def test_wrong_names_and_sizes_are_one_sentence(call, says):
    """What was given, and the choices."""
    with pytest.raises(ValueError, match=says) as caught:
        call()
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 400


@pytest.mark.parametrize(
    "call",
    [
        lambda: task("switch-bridge", agents=6, cells=8),
        lambda: task("reference-path", goals=16, symbols=16, cells=16),
        lambda: task("lock", agents=6, actions=32, digits=1000),
    ],
)
def test_what_does_not_fit_is_refused_before_it_is_built(call):
    """Memory is counted in Python integers, before anything is allocated."""
    with pytest.raises((MemoryError, ValueError), match=r"choose smaller sizes|choose fewer|above the limit"):
        call()


@pytest.mark.parametrize("name", list(TASKS))
def test_nothing_is_known_where_no_source_says_it(name):
    """Known optima name their source; the public table ends at six steps."""
    one = TASKS[name]
    known = one.optimum()
    assert known is None or known.source
    if one.row_keys is TASKS["dec-tiger"].row_keys and not one.sizes:
        assert one.optimum(1) is None
        assert one.optimum(7) is None
