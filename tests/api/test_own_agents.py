"""An agent of one's own: the same run as in kernels, under the same trace, ledger and checks."""

import numpy as np
import pytest
from agents import PythonRmax, Scripted

import rfos
from rfos.learning.theorems import Assumption

PENNIES = rfos.named_game("matching-pennies")
DILEMMA = rfos.named_game("prisoners-dilemma")


def random_mdp(**options):
    rng = np.random.default_rng(3)
    transitions = rng.dirichlet([0.4] * 3, (3, 2))
    return rfos.TabularMDP(transitions, rng.integers(0, 5, (3, 2)) / 4, 0.7, **options)


PROCESSES = {
    "an MDP": lambda: rfos.Environment(random_mdp()),
    "an MDP with restarts": lambda: rfos.Environment(random_mdp(), horizon=4),
    "an MDP with few starts": lambda: rfos.Environment(random_mdp(), horizon=4, starts=[2]),
    "an MDP with a start law": lambda: rfos.Environment(random_mdp(starts=[0.5, 0.25, 0.25]), horizon=3),
    "windows": lambda: rfos.Environment(
        rfos.WindowMetaGame(DILEMMA, rfos.WindowQLearner(0.3), window=1, discount=0.6, horizon=5)
    ),
    "a hidden learner": lambda: rfos.Environment(
        rfos.WindowMetaGame(PENNIES, rfos.QLearner(0.1, 0.2), window=1, discount=0.6, horizon=5)
    ),
    "two hidden learners": lambda: rfos.Environment(
        rfos.WindowMetaGame(
            rfos.named_game("three-player-matching-pennies"), [rfos.QLearner(), rfos.QLearner()], window=1, discount=0.6
        )
    ),
}


@pytest.mark.parametrize("name", PROCESSES)
def test_rmax_as_a_player_leaves_the_trace_of_the_kernel(name):
    """The same draws in the same order, the same counts, plans and rewards, to the last bit."""
    environment = PROCESSES[name]()
    options = {"steps": 3000, "bins": 7, "rng": 11}
    ours = rfos.run(environment, rfos.Rmax(m=6, epsilon=0.1), **options)
    own = rfos.run(environment, PythonRmax(m=6), **options)
    for field in ("bin_end", "mean_reward", "known", "known_at", "visits", "branch_counts", "policy"):
        assert getattr(ours, field).tobytes() == getattr(own, field).tobytes(), field
    assert (ours.plans, ours.n_steps, ours.horizon) == (own.plans, own.n_steps, own.horizon)
    assert ours.plans > 2


@pytest.mark.parametrize("name", [name for name in PROCESSES if "learner" not in name])
def test_the_ledger_of_the_player_is_that_of_the_kernel(name):
    """Counts and explorations are the same; no theorem covers an agent of one's own, and the result says so."""
    environment = PROCESSES[name]()
    ours = rfos.ledger(environment, rfos.Rmax(m=6, epsilon=0.1), steps=2000, rng=5)
    own = rfos.ledger(environment, PythonRmax(m=6), steps=2000, rng=5)
    assert (own.count, own.undecided, own.exploration) == (ours.count, ours.undecided, ours.exploration)
    assert (own.final_loss, own.evaluations) == (ours.final_loss, ours.evaluations)
    assert (own.theorem, own.bound, own.fails) == (None, None, Assumption.AGENT)


def test_the_least_m_of_the_player_is_that_of_the_kernel():
    """The search varies the field m of a dataclass."""
    environment = rfos.Environment(random_mdp(), horizon=3)
    options = {"delta": 0.3, "max_runs": 60, "largest": 8, "rng": 2}
    ours = rfos.least_sufficient_m(environment, 0.5, **options)
    own = rfos.least_sufficient_m(environment, 0.5, agent=PythonRmax(m=1, epsilon=0.5), **options)
    assert own.interval == ours.interval
    assert [c.successes for c in own.comparisons] == [c.successes for c in ours.comparisons]


WRONG = {
    "begin": ({"acts": 2}, r"ScriptedPlayer.act\(\d\) is 2: actions are whole numbers from 0 to 1"),
    "half": ({"acts": 0.5}, r"act\(\d\) is 0.5: actions are whole numbers"),
    "negative": ({"acts": -1}, r"act\(\d\) is -1: actions are whole numbers"),
    "shape": (
        {"returns": np.zeros(4, int)},
        r"the policy of ScriptedPlayer has shape \(4,\): actions have shape \(3,\)",
    ),
    "range": ({"returns": np.array([0, 5, 0])}, "takes action 5: actions are 0 to 1"),
    "rows": ({"returns": np.full((3, 2), 0.6)}, r"the policy of ScriptedPlayer plays \[0.6, 0.6\] in state 0"),
    "kind": ({"returns": np.array(["a"] * 3)}, "is an array of <U1 and shape .3,.: give actions as integers"),
    "unknown": ({"wants": np.zeros(2, bool)}, r"unknown\(\) of ScriptedPlayer is an array of bool and shape \(2,\)"),
}


@pytest.mark.parametrize("case", WRONG)
def test_what_a_player_returns_is_checked_as_a_users_input(case):
    """One sentence that names the player, the state and the value."""
    options, message = WRONG[case]
    with pytest.raises(ValueError, match=message):
        rfos.ledger(random_mdp(), Scripted(**options), epsilon=0.5, steps=10, rng=1)


def test_a_forbidden_action_is_refused():
    """In the state where it is taken, and in the policy."""
    mdp = random_mdp(allowed=np.array([[True, True], [True, False], [True, True]]))
    with pytest.raises(ValueError, match="which is not allowed there"):
        rfos.run(mdp, Scripted(acts=1), steps=500, rng=1)
    with pytest.raises(ValueError, match="takes an action that is not allowed"):
        rfos.run(mdp, Scripted(returns=np.array([0, 1, 0])), steps=5, rng=1)


def test_a_policy_of_probabilities_and_one_of_stages_are_counted():
    """A fair coin in every state against its value by hand; a policy of stages counts episodes."""
    mdp = rfos.TabularMDP([[0, 0]], [[0.0, 1.0]], 0.5)
    found = rfos.ledger(mdp, Scripted(returns=np.full((1, 2), 0.5)), epsilon=0.9, steps=10, rng=1)
    assert (found.count, found.final_loss[0] <= 1 <= found.final_loss[1]) == (10, True)  # V = 1, V* = 2
    environment = rfos.Environment(mdp, horizon=2)
    staged = Scripted(returns=np.array([[1], [0]]), planning="episode")
    found = rfos.ledger(environment, staged, epsilon=0.4, steps=20, rng=1)
    assert (found.unit, found.count) == ("episodes", 10)  # 1 against 1.5
    with pytest.raises(ValueError, match='give the agent an attribute planning = "episode"'):
        rfos.ledger(environment, Scripted(returns=np.array([[1], [0]])), epsilon=0.4, steps=20, rng=1)


def test_what_is_no_agent_is_refused():
    """A class, and an object without begin, or whose begin returns no player."""
    with pytest.raises(ValueError, match="agent is the class Scripted"):
        rfos.run(random_mdp(), Scripted, steps=5)
    with pytest.raises(ValueError, match=r"agent is 5, not an agent: give Rmax\(epsilon=0.8\)"):
        rfos.run(random_mdp(), 5, steps=5)
    with pytest.raises(ValueError, match="begin returned NoneType, which has no act"):
        rfos.run(random_mdp(), type("Empty", (), {"begin": lambda *_: None})(), steps=5)


def test_an_environment_decides_once():
    """Beside an environment no horizon and no starts are taken."""
    environment = rfos.Environment(random_mdp(), horizon=4, starts=[2, 1])
    with pytest.raises(ValueError, match="horizon is given beside an Environment"):
        rfos.run(environment, rfos.Rmax(m=1), steps=5, horizon=3)
    with pytest.raises(ValueError, match=r"starts are .* meta-states from 0 to 2"):
        rfos.Environment(random_mdp(), starts=[3])
    same = rfos.run(random_mdp(), rfos.Rmax(m=2), steps=50, horizon=4, starts=[2, 1], rng=3)
    assert rfos.run(environment, rfos.Rmax(m=2), steps=50, rng=3).visits.tolist() == same.visits.tolist()
