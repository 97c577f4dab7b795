"""An agent of one's own: the same run as in kernels, under the same trace, ledger and checks."""

from dataclasses import dataclass

import numpy as np
import pytest
from agents import PythonRmax, PythonRmaxPlayer, Scripted, ScriptedPlayer

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
        rfos.run(mdp, Scripted(acts=1, returns=np.array([1, 0, 1])), steps=500, rng=1)
    with pytest.raises(ValueError, match="takes an action that is not allowed"):
        rfos.run(mdp, Scripted(returns=np.array([0, 1, 0])), steps=5, rng=1)


def test_a_policy_of_probabilities_and_one_of_stages_are_counted():
    """A fair coin in every state against its value by hand; a policy of stages counts episodes."""
    mdp = rfos.TabularMDP([[0, 0]], [[0.0, 1.0]], 0.5)
    found = rfos.ledger(mdp, Scripted(returns=np.full((1, 2), 0.5)), epsilon=0.9, steps=10, rng=1)
    assert (found.count, found.final_loss[0] <= 1 <= found.final_loss[1]) == (10, True)  # V = 1, V* = 2
    environment = rfos.Environment(mdp, horizon=2)
    staged = Scripted(returns=np.array([[1], [0]]), acts=lambda step: 1 - step % 2, planning="episode")
    found = rfos.ledger(environment, staged, epsilon=0.4, steps=20, rng=1)
    assert (found.unit, found.count) == ("episodes", 10)  # 1 against 1.5
    with pytest.raises(ValueError, match='give the agent an attribute planning = "episode"'):
        rfos.ledger(environment, Scripted(returns=staged.returns), epsilon=0.4, steps=20, rng=1)


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


ONE_STATE = rfos.TabularMDP([[0, 0]], [[0.0, 1.0]], 0.5)


class Quiet(PythonRmaxPlayer):
    """R-max that says truly whether its policy changed, not whether it planned."""

    def observe(self, *step):
        before = self.policy()
        super().observe(*step)
        return bool((self.policy() != before).any())


class Telling(Quiet):
    """The same, and it says what is unknown to it."""

    def unknown(self):
        return np.array(self.visits).ravel() < self.m


class Telltale:
    """The configuration of `Telling`, without a field m."""

    def begin(self, environment, rng):
        return Telling(environment, 3, 0.1)


@dataclass(frozen=True)
class QuietRmax(PythonRmax):
    """The configuration of `Quiet`."""

    def begin(self, environment, rng):
        return Quiet(environment, self.m, self.epsilon)


@pytest.mark.parametrize("own", [QuietRmax(m=3), Telltale()])
@pytest.mark.parametrize("steps", [4, 100, 1000])
def test_explorations_end_where_a_pair_becomes_known_and_the_policy_stays(own, steps):
    """One state, two actions, m = 3: six steps with e = 1, by hand; the policy changes once, after the third."""
    ours = rfos.ledger(ONE_STATE, rfos.Rmax(m=3, epsilon=0.1), epsilon=0.5, steps=steps, rng=1)
    found = rfos.ledger(ONE_STATE, own, epsilon=0.5, steps=steps, rng=1)
    low, high = found.exploration
    assert low <= min(6, steps) <= high < min(6, steps) + 1e-9
    assert (found.exploration, found.count, found.trace.plans) == (ours.exploration, 3, 1)


def test_explorations_of_a_quiet_player_are_those_of_the_kernel():
    """In a random MDP, where some pairs become known and the policy stays."""
    ours = rfos.ledger(random_mdp(), rfos.Rmax(m=4, epsilon=0.1), steps=500, rng=5)
    own = rfos.ledger(random_mdp(), QuietRmax(m=4), steps=500, rng=5)
    assert (own.exploration, own.evaluations) == (ours.exploration, ours.evaluations)
    assert own.trace.plans < ours.trace.plans


@pytest.mark.parametrize("said", [None, "no", float("nan"), 0, np.zeros(3), np.zeros(3, bool)], ids=repr)
def test_observe_says_true_or_false(said):
    """What is forgotten is not taken for False, nor a word for True."""
    wanted = "observe returned .*: return True where the policy changed, else False"
    with pytest.raises(ValueError, match=wanted):
        rfos.run(random_mdp(), Scripted(changes=said), steps=5, rng=1)
    assert rfos.run(random_mdp(), Scripted(changes=np.True_), steps=5, rng=1).plans == 5
    assert rfos.run(random_mdp(), Scripted(changes=np.False_), steps=5, rng=1).plans == 0


def test_the_policy_that_is_judged_is_the_one_that_is_played():
    """An action against the policy, in the stage where it is taken, or where it has no probability."""
    wrong = r"ScriptedPlayer.act\(\d\) is 1, which its policy\(\) does not take there: return from observe True where"
    with pytest.raises(ValueError, match=wrong):
        rfos.ledger(random_mdp(), Scripted(acts=1), epsilon=0.5, steps=5, rng=1)
    with pytest.raises(ValueError, match=wrong):
        rfos.run(random_mdp(), Scripted(acts=1, returns=np.array([[1.0, 0.0]] * 3)), steps=5, rng=1)
    rfos.run(random_mdp(), Scripted(acts=1, returns=np.array([[0.9, 0.1]] * 3)), steps=5, rng=1)
    environment = rfos.Environment(ONE_STATE, horizon=2)
    staged = Scripted(acts=1, returns=np.array([[1], [0]]), planning="episode")
    assert rfos.run(environment, staged, steps=1, rng=1).n_steps == 1
    with pytest.raises(ValueError, match=wrong):
        rfos.run(environment, staged, steps=2, rng=1)


def test_a_change_that_was_not_told_is_found_at_the_end():
    """The state of which the policy changed need not be met again."""

    class Player(ScriptedPlayer):
        def observe(self, state, *rest):
            self.table = np.array([0, 0, 1])
            return False

    class Forgetful:
        def begin(self, environment, rng):
            return Player(Scripted(), environment)

    with pytest.raises(ValueError, match="the policy of Player changed, and observe did not say so: return True"):
        rfos.run(rfos.TabularMDP([[0, 1], [1, 1], [2, 2]], [[0.0, 1.0]] * 3, 0.5), Forgetful(), steps=1, rng=1)


def test_an_observer_cannot_write_to_what_is_played():
    """The event's arrays are its own, or read-only."""

    class Meddler:
        step_costs = None

        def on_plan(self, event):
            with pytest.raises(ValueError, match="read-only"):
                event.policy[0] = 1
            event.unknown[:] = False
            return False

    wants = np.ones(6, bool)
    rfos.run(random_mdp(), Scripted(wants=wants), steps=5, rng=1, observer=Meddler())
    assert wants.all()


def test_pairs_that_are_not_allowed_are_not_unknown():
    """An observer is told of those that can be taken alone."""
    mdp = random_mdp(allowed=np.array([[True, True], [True, False], [True, True]]))
    seen = []

    class Watcher:
        step_costs = None

        def on_plan(self, event):
            seen.append(event.unknown.tolist())
            return False

    for agent in (Scripted(wants=np.ones(6, bool)), rfos.Rmax(m=2)):
        rfos.run(mdp, agent, steps=1, rng=1, observer=Watcher())
    assert seen[0] == seen[1] == [True, True, True, False, True, True]
