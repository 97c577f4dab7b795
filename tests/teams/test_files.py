"""Problem files: what they say is what is read, and what is wrong is one line with its line number."""

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from strength import scaled

from rfos._system import memory
from rfos.teams import files
from rfos.teams.files import read_dpomdp
from rfos.teams.tasks import task

DEC_TIGER = """\
# two agents, two doors
agents: 2
discount: 1
values: reward
states: tiger-left tiger-right
start:
uniform
actions:
listen open-left open-right
listen open-left open-right
observations:
hear-left hear-right
hear-left hear-right
# transitions
T: * :
uniform
T: listen listen :
identity
# observations
O: * :
uniform
O: listen listen : tiger-left : hear-left hear-left : 0.7225
O: listen listen : tiger-left : hear-left hear-right : 0.1275
O: listen listen : tiger-left : hear-right hear-left : 0.1275
O: listen listen : tiger-left : hear-right hear-right : 0.0225
O: listen listen : tiger-right :
0.0225 0.1275
0.1275 0.7225
R: listen listen: * : * : * : -2
R: open-left open-left : tiger-left : * : * : -50
R: open-right open-right : tiger-right : * : * : -50
R: open-left open-left : tiger-right : * : * : 20
R: open-right open-right : tiger-left : * : * : 20
R: open-left open-right : * : * : * : -100
R: open-right open-left : * : * : * : -100
R: open-left listen : tiger-left : * : * : -101
R: listen open-right : tiger-right : * : * : -101
R: listen open-left : tiger-left : * : * : -101
R: open-right listen : tiger-right : * : * : -101
R: open-left listen : tiger-right : * : * : 9
R: listen open-right : tiger-left : * : * : 9
R: listen open-left : tiger-right : * : * : 9
R: open-right listen : tiger-left : * : * : 9
"""

TIGER = """\
discount: 0.95
values: reward
states: tiger-left tiger-right
actions: listen open-left open-right
observations: tiger-left tiger-right

T:listen
identity

T:open-left
uniform

T:open-right
uniform

O:listen
0.85 0.15
0.15 0.85

O:open-left
uniform

O:open-right
uniform

R:listen : * : * : * -1

R:open-left : tiger-left : * : * -100
R:open-left : tiger-right : * : * 10

R:open-right : tiger-left : * : * 10
R:open-right : tiger-right : * : * -100
"""


def recycling():
    """The recycling robots, written out: costs, joint numbers, a matrix over several lines, later lines override."""
    robot = {("high", 0): 1.0, ("low", 0): 1.0, ("high", 1): 0.7, ("low", 1): 0.2, ("high", 2): 0.5, ("low", 2): 0.3}
    states = [(one, two) for one in ("high", "low") for two in ("high", "low")]
    lines = ["agents: one two", "discount: 1", "values: cost", "states: 4", "start: 0"]
    lines += ["actions:", "3", "recharge small big", "observations:", "high low", "2", "T: * :", "uniform"]
    for a in range(3):
        for b in range(3):
            lines.append(f"T: {a} {('recharge', 'small', 'big')[b]} :")
            for one, two in states:
                p, q = robot[one, a], robot[two, b]
                lines.append(f"{p * q!r} {p * (1 - q)!r}")  # a row over two lines
                lines.append(f"{(1 - p) * q!r} {(1 - p) * (1 - q)!r}")
    lines += ["O: * * :"] + [" ".join(str(int(i == j)) for j in range(4)) for i in range(4)]
    listed = {
        0: {1: 2, 3: 2, 4: 4, 5: 2, 7: 2, 8: 5},
        1: {1: -0.4, 2: -3, 3: 2, 4: 1.2, 5: -1.6, 7: -0.4, 8: 0.5},
        2: {3: -0.4, 6: -3, 1: 2, 4: 1.2, 7: -1.6, 5: -0.4, 8: 0.5},
        3: {1: -0.4, 2: -3, 3: -0.4, 4: -1.44, 5: -3.88, 6: -3, 7: -3.88, 8: -3.55},
    }
    lines.append("R: * : * : * : * : 77")
    lines.append("R: * : * : * : * : 0")
    lines += [f"R: {a} : {s} : * : * : {-r}" for s, row in listed.items() for a, r in row.items()]
    return "\n".join(lines)


@pytest.fixture
def read(tmp_path):
    """Read a text as a file."""

    def reader(text, horizon=3, name="f.dpomdp", **options):
        path = tmp_path / name
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return read_dpomdp(path, horizon, **options)

    return reader


def same(one, two):
    """Whether two teams have the same tables."""
    assert (one.n_actions, one.n_observations, one.horizon) == (two.n_actions, two.n_observations, two.horizon)
    assert np.array_equal(one.rewards, two.rewards)
    assert np.allclose(one.starts, two.starts, atol=1e-15)
    for name in ("pointer", "state", "observation"):
        assert np.array_equal(getattr(one.branches, name), getattr(two.branches, name))
    assert np.allclose(one.branches.probability, two.branches.probability, atol=1e-14)
    return True


def test_dec_tiger_of_a_file_is_the_task(read):
    """Wildcards, words, single probabilities, a row over two lines; names too."""
    team = read(DEC_TIGER, 4, "dectiger.dpomdp")
    known = task("dec-tiger")
    assert same(team, known)
    assert team.name == "dectiger"
    assert (team.state_names, team.action_names) == (known.state_names, known.action_names)
    assert team.observation_names == known.observation_names


def test_recycling_robots_of_a_file_are_the_task(read):
    """Costs, numbers for names and for joint actions, matrices, lines that override."""
    assert same(read(recycling(), 4), task("recycling-robots"))


def test_tiger_of_cassandra_is_a_team_of_one(read):
    """tiger.pomdp by hand: no colon before numbers, no agents."""
    team = read(TIGER, 2, "tiger.pomdp")
    assert (team.n_agents, team.discount) == (1, 0.95)
    assert team.rewards.tolist() == [[-1, -100, 10], [-1, 10, -100]]
    b = team.branches
    assert b.probability[: b.pointer[1]].tolist() == [0.85, 0.15]
    assert b.state[: b.pointer[1]].tolist() == [0, 0]
    assert np.allclose(b.probability[b.pointer[1] : b.pointer[2]], 0.25)
    # Two steps of listening, or listen and open: by hand -1 + .95 max(-1, .85 * 10 - .15 * 100).
    assert read(TIGER, 2, discount=1).discount == 1


HEAD = """\
discount: 1
values: reward
states: a b c
actions: x y
observations: u v
"""
REST = "T: * identity\nO: * uniform\nR: * : * : * : * 0\n"


@pytest.mark.parametrize(
    ("line", "law"),
    [
        ("", [1 / 3] * 3),
        ("start: uniform", [1 / 3] * 3),
        ("start:\nuniform", [1 / 3] * 3),
        ("start: 0.5 0.25\n0.25", [0.5, 0.25, 0.25]),
        ("start: b", [0, 1, 0]),
        ("start: 2", [0, 0, 1]),
        ("start include: a c", [0.5, 0, 0.5]),
        ("start exclude: a", [0, 0.5, 0.5]),
        ("start include: *", [1 / 3] * 3),
    ],
)
def test_every_form_of_start_is_read(read, line, law):
    """A distribution, uniform, a state, include and exclude."""
    assert read(HEAD + line + "\n" + REST).starts == pytest.approx(law)


def rows(team, state, action):
    """The row of a pair as an array (S, O)."""
    W = np.zeros((team.n_states, team.n_joint_observations))
    b = team.branches
    part = slice(b.pointer[state * team.n_joint_actions + action], b.pointer[state * team.n_joint_actions + action + 1])
    W[b.state[part], b.observation[part]] = b.probability[part]
    return W


@pytest.mark.parametrize(
    ("line", "row"),
    [
        ("T: x : a : b 1\nT: x : a : a 0", [0, 1, 0]),
        ("T: x : a : b : 1\nT: x : a : * : 0\nT: x : a : c : 1", [0, 0, 1]),
        ("T: x : a\n0.5 0.5 0", [0.5, 0.5, 0]),
        ("T: x : a :\n0.5 0.5 0", [0.5, 0.5, 0]),
        ("T: x : a : 0.5 0.25 0.25", [0.5, 0.25, 0.25]),
        ("T: x : a uniform", [1 / 3] * 3),
        ("T: x : a reset", [0, 1, 0]),
        ("T: x reset", [0, 1, 0]),
        ("T: x\n0 0 1 1 0 0\n0 1 0", [0, 0, 1]),
        ("T: 0 :\n0 0 1\n1 0 0\n0 1 0", [0, 0, 1]),
        ("T: * : 0 : 2 1\nT: * : a : a 0 # what else\n# nothing", [0, 0, 1]),
        ("T: x : a : b 1e0\nT: x : a : a .0", [0, 1, 0]),
        ("T: x : a\n0.333333 0.333333 0.333333", [1 / 3] * 3),
        ("T: x\nuniform\nT: x\nidentity", [1, 0, 0]),
    ],
)
def test_every_form_of_transitions_is_read(read, line, row):
    """Single numbers, rows, matrices, words; names, numbers and wildcards; later lines override; rows are rescaled."""
    assert rows(read(HEAD + "start: b\n" + REST + line), 0, 0).sum(axis=1) == pytest.approx(row)


@pytest.mark.parametrize(
    ("line", "row"),
    [
        ("O: x : a : u 1\nO: x : a : v 0", [1, 0]),
        ("O: x : a : * 0.5\nO: x : * : u 0.25\nO: x : * : 1 : 0.75", [0.25, 0.75]),
        ("O: x : a\n0 1", [0, 1]),
        ("O: x\n0 1 1 0 1 0", [0, 1]),
        ("O: x : 0 uniform", [0.5, 0.5]),
    ],
)
def test_every_form_of_observations_is_read(read, line, row):
    """As transitions, by action and next state."""
    assert rows(read(HEAD + REST + line), 0, 0)[0] == pytest.approx(row)


@pytest.mark.parametrize(
    ("line", "reward"),
    [
        ("R: x : a : * : * 5", 5),
        ("R: x : a : * : * : 5\nR: * : * : * : * : -1", -1),
        ("R: x : a : b : * 6", 2),
        ("R: x : a : * : u 8", 2),
        ("R: x : a : b : v 12", 3),
        ("R: x : a : b\n4 8", 7 / 3),
        ("R: x : a\n1 2 3 4 5 6", (0.25 + 1.5 + 0.75 + 3 + 1.25 + 4.5) / 3),
        ("R: x : a : b : * 6\nR: x : a : b : v 2", (0.25 * 6 + 0.75 * 2) / 3),
    ],
)
def test_rewards_are_means_over_next_state_and_observation(read, line, reward):
    """R(s, a) = sum of P(s'|s,a) O(o|s',a) R(s, a, s', o), by hand for uniform P and O = (1/4, 3/4)."""
    text = HEAD + "T: * uniform\nO: *\n.25 .75 .25 .75 .25 .75\n" + line + "\n"
    assert read(text).rewards[0, 0] == pytest.approx(reward)
    assert read(text.replace("values: reward", "values: cost")).rewards[0, 0] == pytest.approx(-reward)


def test_what_is_not_given_costs_nothing_and_values_default_to_rewards(read):
    """No R: all rewards are zero; no values: rewards."""
    team = read(HEAD.replace("values: reward\n", "") + "T: * identity\nO: * uniform\n")
    assert not team.rewards.any()


TEAM = "agents: 2\ndiscount: 1\nstates: 2\nactions:\nx y\n2\nobservations:\n1\n1\n"

MALFORMED = [
    ("", ":1: discount is missing"),
    ("hello", ":1: 'hello' comes before any keyword: give one of agents, discount"),
    ("colour: red", ":1: unknown word 'colour' before a colon: give one of agents, discount"),
    (HEAD + "T: * identity\nX: * uniform", ":7: unknown word 'X' before a colon"),
    ("discount: 1\nstates: 2\nactions: 2\n", ":4: observations is missing"),
    (HEAD + "states: 3\n" + REST, ":6: states is given a second time, after line 3"),
    (HEAD + "T: * identity\nagents: 1", ":7: agents comes after T in line 6: give it before"),
    (HEAD.replace("discount: 1", "discount: 1.5") + REST, ":1: discount is '1.5': give a number from 0 to 1"),
    (HEAD.replace("discount: 1", "discount: nan") + REST, ":1: discount is 'nan'"),
    (HEAD.replace("discount: 1", "discount: 1 1") + REST, ":1: discount has 2 words: give one"),
    (HEAD.replace("reward", "money") + REST, ":2: values is 'money': give reward or cost"),
    (HEAD.replace("a b c", "a b a") + REST, ":3: states have the name 'a' twice"),
    (HEAD.replace("a b c", "a uniform c") + REST, ":3: 'uniform' is not a name of states"),
    (HEAD.replace("a b c", "0") + REST, ":3: the number of states is '0': give a whole number from 1"),
    (HEAD.replace("a b c", "-3") + REST, ":3: the number of states is '-3'"),
    (HEAD.replace("a b c", "9" * 5000) + REST, ":3: the number of states is '999"),
    (HEAD.replace("a b c", "") + REST, ":3: states has no states: give how many"),
    (HEAD + "start: 0.5 0.5\n" + REST, ":6: start has 2 words where there are 3 states"),
    (HEAD + "start: 0.5 0.5 0.5\n" + REST, ":6: the probabilities of start sum to 1.5, not 1"),
    (HEAD + "start: 0.5 0.6 -0.1\n" + REST, ":6: a probability is '-0.1': give a number from 0 to 1"),
    (HEAD + "start: d\n" + REST, ":6: 'd' is not one of the states: give *, a number below 3, or one of a, b, c"),
    (HEAD + "start exclude: *\n" + REST, ":6: start exclude leaves no state"),
    (HEAD + REST + "T: z : a : b 1", ":9: 'z' is not one of the actions of agent 1"),
    (HEAD + REST + "T: x : a : b\n1 2", ":10: T has 2 numbers here: give 1"),
    (HEAD + REST + "T: x : a : b 1.5", ":9: a probability is '1.5'"),
    (HEAD + REST + "T: x : a : b one", ":9: a probability is 'one'"),
    (HEAD + REST + "T: x\n1 0 0\n0 1", ":10: T has 5 numbers here: give 9"),
    (HEAD + REST + "T: x : a : b 1", ":9: the row of T for action 'x' and state a sums to 2, not 1"),
    (HEAD + REST + "O: y : c\n0.5 0.4", ":9: the row of O for action 'y' and next state c sums to 0.9, not 1"),
    (HEAD + "T: x identity\nO: * uniform", ":7: the row of T for action 'y' and state a is not given: add it"),
    (HEAD + REST + "O: x : a : w 1", ":9: 'w' is not one of the observations of agent 1"),
    (HEAD + REST + "R: x : a : b : u : v : 1", ":9: R has 6 parts"),
    (HEAD + REST + "R: x\n1 2 3", ":9: R has 1 parts before its numbers: give 2 at least"),
    (HEAD + REST + "R: x : a : b : u inf", ":9: a reward is 'inf': give a finite number"),
    (HEAD + REST + "R: x : a : b : u 1e999", ":9: a reward is '1e999': give a finite number"),
    (HEAD + REST + "R: x : a : b : u", ":9: R has 0 numbers here: give 1"),
    (HEAD + REST + "T: : a : b 1", ":9: part 1 of T has 0 words"),
    (HEAD + REST + "T: x y : a : b 1", ":9: part 1 of T has 2 words: give 1"),
    ("agents: 99\n" + HEAD + REST, ":1: the number of agents is not one from 1 to 16"),
    (TEAM.replace("2\nobs", "obs"), ":4: actions are given on 1 lines where there are 2 agents"),
    (TEAM + "T: x x x :\nidentity", ":10: part 1 of T has 3 words: give 2"),
    (TEAM + "T: x 7 :\nidentity", ":10: '7' is not one of the actions of agent 2"),
    (TEAM + "T: 9 :\nidentity", ":10: 1 words for the joint action of 2 agents"),
    (b"discount: 1\nstates: \xff", ":2: byte 0xff is not text"),
]


@pytest.mark.parametrize(("text", "says"), MALFORMED, ids=[says for _, says in MALFORMED])
def test_each_fault_is_one_line_with_its_line_number(read, text, says):
    """FILE:LINE: what is wrong, and what to give."""
    with pytest.raises(ValueError, match=r"f\.dpomdp") as caught:
        read(text)
    message = str(caught.value)
    assert "\n" not in message
    assert f"f.dpomdp{says}" in message
    assert len(message) < 600


@pytest.mark.parametrize("states", ["1000000", "99999999"])
def test_too_many_states_are_refused_before_allocation(read, states, monkeypatch):
    """10^6 states and one action: 3 * 10^13 bytes, counted and refused before a state has its name."""
    monkeypatch.setattr(files, "_named", lambda *_: pytest.fail("a name was made"))
    with pytest.raises(MemoryError, match=f"f.dpomdp: a problem of {states} states") as caught:
        read(f"discount: 1\nstates: {states}\nactions: 1\nobservations: 1\nT: * identity\nO: * uniform")
    assert "\n" not in str(caught.value)


def test_rewards_that_do_not_fit_are_refused_before_allocation(read, monkeypatch):
    """Rewards by next state and observation are the largest table: 20 * 2 * 20 * 5 of them."""
    text = "discount: 1\nstates: 20\nactions: 2\nobservations: 5\nT: * identity\nO: * uniform\nR: * : * : * : "
    monkeypatch.setattr(memory, "available_bytes", lambda: 100_000)
    assert read(text + "* 1").n_states == 20
    with pytest.raises(MemoryError, match="a problem of 20 states, 2 joint actions and 5 joint observations"):
        read(text + "0 1\nR: * : * : 3 : * 1")


def test_files_that_are_none_are_refused(tmp_path, monkeypatch):
    """Folders, missing files, and files that are too long."""
    with pytest.raises(ValueError, match=r"cannot read .*: no such file or directory; give"):
        read_dpomdp(tmp_path / "none.pomdp", 3)
    with pytest.raises(ValueError, match="cannot read"):
        read_dpomdp(tmp_path, 3)
    long = tmp_path / "long.pomdp"
    long.write_text("#" * 101)
    monkeypatch.setattr(files, "LARGEST_FILE", 100)
    with pytest.raises(ValueError, match="it has more than 100 bytes"):
        read_dpomdp(long, 3)


@pytest.mark.parametrize(
    ("options", "says"),
    [({"horizon": 0}, "horizon is 0"), ({"horizon": 3, "discount": 2}, "discount is 2: give a number in")],
)
def test_horizon_and_discount_are_checked(tmp_path, options, says):
    """Before the file is opened."""
    with pytest.raises(ValueError, match=says):
        read_dpomdp(tmp_path / "none.pomdp", **options)


WORDS = ["T:", "O:", "R:", ":", "*", "1", "-1", "0.5", "nan", "uniform", "identity", "reset", "start:", "9" * 40, "x"]


@st.composite
def mutated(draw):
    """A good file with some lines, words or characters left out, doubled, swapped or replaced."""
    text = draw(st.sampled_from([DEC_TIGER, TIGER, HEAD + REST]))
    for _ in range(draw(st.integers(1, 4))):
        how = draw(st.sampled_from(["line", "word", "character", "swap"]))
        parts = text.split("\n") if how in ("line", "swap") else text.split(" ") if how == "word" else list(text)
        i, j = (draw(st.integers(0, len(parts) - 1)) for _ in range(2))
        if how == "swap":
            parts[i], parts[j] = parts[j], parts[i]
        elif draw(st.booleans()):
            parts[i] = draw(st.sampled_from(WORDS) | st.text(max_size=3)) if how != "line" else parts[j]
        else:
            del parts[i]
        text = {"word": " ", "character": ""}.get(how, "\n").join(parts)
    return text


@settings(max_examples=scaled(1500, 300))
@given(text=mutated())
@example(text="")
@example(text="T:")
def test_mutated_files_are_read_or_refused_in_one_line(tmp_path_factory, text):
    """Nothing but ValueError and MemoryError, of one line with the file's name."""
    path = tmp_path_factory.getbasetemp() / "mutated.pomdp"
    path.write_bytes(text.encode("utf-8", "surrogatepass"))
    try:
        message = ""
        read_dpomdp(path, 2)
    except (ValueError, MemoryError) as error:
        message = str(error) if type(error) in (ValueError, MemoryError) else "another kind"
    assert "\n" not in message
    assert not message or "mutated.pomdp" in message
