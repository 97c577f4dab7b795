"""`check_rmax` passes a plain R-max and reports planted faults, each in at least 9 of 10 seeds."""

import functools
import json
import re

import numpy as np
import pytest
import scipy.stats
from agents import PythonRmax
from strength import scaled

import rfos
from rfos import testing
from rfos.learning import check, check_worlds


def as_agent(player_class):
    """What makes an agent whose players are of a class: it says truly when its policy changed."""

    class Player:
        def __init__(self, environment, m):
            sizes = {"n_states": environment.n_states, "n_actions": environment.n_actions}
            self.inner = player_class(**sizes, r_max=environment.reward_range[1], discount=environment.discount, m=m)

        def act(self, state):
            return self.inner.act(state)

        def observe(self, state, action, reward, next_state):
            before = self.inner.policy.copy()
            self.inner.observe(state, action, reward, next_state)
            return bool((self.inner.policy != before).any())

        def policy(self):
            return self.inner.policy

    class Agent:
        def __init__(self, m):
            self.m = m

        def begin(self, environment, rng):
            return Player(environment, self.m)

    return Agent


def check_rmax(player_class, rng=0):
    return testing.check_rmax(as_agent(player_class), rng=rng)


class PlainRmax:
    """R-max as the textbook writes it; what the faults change are the small methods."""

    def __init__(self, *, n_states, n_actions, r_max, discount, m):
        self.shape, self.discount, self.m = (n_states, n_actions), discount, m
        self.r_max = r_max
        self.count = np.zeros(self.shape, int)
        self.reward = np.zeros(self.shape)
        self.next = np.zeros((*self.shape, n_states))
        self.values = np.full(n_states, self.optimism())
        self.plan()

    def needed(self):
        return self.m

    def optimism(self):
        return self.r_max / (1 - self.discount)

    def credited(self, reward):
        return reward

    def frozen(self, pair):
        return self.count[pair] >= self.needed()

    def known(self):
        return self.count >= self.needed()

    def plan(self):
        top, known = self.optimism(), self.known()
        visits = np.maximum(self.count, 1)
        values = self.values
        while True:
            model = self.reward / visits + self.discount * (self.next / visits[:, :, None]) @ values
            q = np.where(known, model, top)
            new = q.max(axis=1)
            if abs(new - values).max() < 1e-4:
                break
            values = new
        self.values = new
        best = q >= new[:, None] - 1e-12
        self.policy = np.where((best & ~known).any(axis=1), (best & ~known).argmax(axis=1), best.argmax(axis=1))

    def act(self, state):
        return int(self.policy[state])

    def observe(self, state, action, reward, next_state):
        pair = state, action
        if self.frozen(pair):
            return
        self.count[pair] += 1
        self.reward[pair] += self.credited(reward)
        self.next[pair][next_state] += 1
        if self.count[pair] >= self.needed():
            self.plan()


class Pessimist(PlainRmax):
    """Unknown pairs are worth nothing."""

    def optimism(self):
        return 0.0


class ShortSighted(PlainRmax):
    """Unknown pairs are worth one largest reward, not V_max."""

    def optimism(self):
        return self.r_max


class ForgetsTheScale(PlainRmax):
    """Unknown pairs are worth 1/(1-discount), whatever the largest reward is, and a tenth less."""

    def optimism(self):
        return 0.9 / (1 - self.discount)


class Hasty(PlainRmax):
    """m ten times too small."""

    def needed(self):
        return -(-self.m // 10)


class Late(PlainRmax):
    """Learns a step only after the next action has been chosen."""

    def __init__(self, **sizes):
        super().__init__(**sizes)
        self.pending = None

    def observe(self, *step):
        if self.pending is not None:
            super().observe(*self.pending)
        self.pending = step


class Generous(PlainRmax):
    """Rewards shifted up by a twentieth of the range."""

    def credited(self, reward):
        return reward + 0.05 * self.r_max


class Grudging(PlainRmax):
    """Rewards shifted down by a twentieth of the range."""

    def credited(self, reward):
        return reward - 0.05 * self.r_max


class OffByOneReward(PlainRmax):
    """The reward of the step before is credited."""

    last = 0.0

    def observe(self, state, action, reward, next_state):
        before, self.last = self.last, reward
        super().observe(state, action, before, next_state)


class Restless(PlainRmax):
    """Estimates are not frozen at m."""

    def frozen(self, pair):
        return False


class RestlessRows(PlainRmax):
    """Rewards are frozen, the law of the successor is not."""

    def observe(self, state, action, reward, next_state):
        pair = state, action
        if super().frozen(pair):
            mean = self.reward[pair] / self.count[pair]
            self.count[pair] += 1
            self.next[pair][next_state] += 1
            self.reward[pair] = mean * self.count[pair]
            self.plan()
            return
        super().observe(state, action, reward, next_state)


class RestlessRewards(PlainRmax):
    """The law of the successor is frozen, rewards are not."""

    def observe(self, state, action, reward, next_state):
        pair = state, action
        if super().frozen(pair):
            self.next[pair] *= 1 + 1 / self.count[pair]
            self.count[pair] += 1
            self.reward[pair] += reward
            self.plan()
            return
        super().observe(state, action, reward, next_state)


class LastSample(PlainRmax):
    """What is known is the last of the m visits, not their mean."""

    def observe(self, state, action, reward, next_state):
        pair = state, action
        if self.frozen(pair):
            return
        self.next[pair] = 0
        self.reward[pair] = self.next[pair][next_state] = self.count[pair]
        self.reward[pair] *= reward
        super().observe(state, action, reward, next_state)


class LastSuccessor(PlainRmax):
    """The mean reward, but the last successor."""

    def observe(self, state, action, reward, next_state):
        pair = state, action
        if self.frozen(pair):
            return
        self.next[pair] = 0
        self.next[pair][next_state] = self.count[pair]
        super().observe(state, action, reward, next_state)


class Wavering(PlainRmax):
    """Acts at random now and then."""

    def __init__(self, **sizes):
        super().__init__(**sizes)
        self.rng = np.random.default_rng(0)

    def act(self, state):
        return int(self.rng.integers(self.shape[1])) if self.rng.random() < 0.1 else super().act(state)


class OutOfRange(PlainRmax):
    """Numbers its actions from 1, backwards."""

    def act(self, state):
        return self.shape[1] - super().act(state)


FAULTS = {
    "wrong optimism": (Pessimist, ShortSighted, ForgetsTheScale),
    "m ten times too small": (Hasty,),
    "learning after acting": (Late,),
    "rewards shifted": (Generous, OffByOneReward),
    "estimates not frozen": (Restless, RestlessRows, RestlessRewards),
    "a model of the last sample": (LastSample, LastSuccessor),
}
QUIET = {"rewards shifted down": (Grudging,), "not greedy, not an action": (Wavering, OutOfRange)}
"""Faults that are found by what R-max must do, not by its bounds."""

SEEDS = scaled(10, 2)
ENOUGH = SEEDS - SEEDS // 10


def each(faults):
    """The agents of all faults, as parameters."""
    agents = [agent for agents in faults.values() for agent in agents]
    return pytest.mark.parametrize("agent", agents, ids=lambda agent: agent.__name__)


@pytest.mark.statistical
def test_a_plain_rmax_passes():
    """In all seeds; a correct one fails with probability 10·1e-6 at most."""
    for seed in range(SEEDS):
        found = check_rmax(PlainRmax, rng=seed)
        assert found.passed, str(found)
    assert found.false_alarm == 1e-6
    assert "passed 14 instances" in str(found)


def misled(n_actions, visits):
    """The chance that, among coins, some other one shows 1 at least as often as the best one."""
    best, other = (scipy.stats.binom(visits, p) for p in (check_worlds.COIN, 1 - check_worlds.COIN))
    k = np.arange(visits + 1)
    return best.pmf(k) @ (1 - other.cdf(k - 1) ** (n_actions - 1))


def test_a_correct_rmax_is_misled_by_coins_as_seldom_as_is_said():
    """In all runs together the best coin ties or loses with chance 1e-6 at most; with m/10, .2 in each.

    By hand, two coins and one visit: the best shows 0 or the other 1, 1 - .9².
    """
    visits = check_worlds.COIN_VISITS
    assert misled(2, 1) == pytest.approx(0.19)
    assert [times for _, times in check.REPEATED] == [40, 12]
    assert 40 * misled(8, visits) + 12 * misled(4, visits) <= check.FALSE_ALARM
    assert misled(8, visits // 10) > 0.2


@pytest.mark.statistical
@each(FAULTS)
def test_a_planted_fault_is_outside_of_its_bound_or_not_epsilon_optimal(agent):
    """In nine of ten seeds; in both where there are two."""
    kinds = [{f.kind for f in check_rmax(agent, rng=seed).findings} for seed in range(SEEDS)]
    assert sum(bool(kind - {"against the protocol"}) for kind in kinds) >= ENOUGH


@pytest.mark.statistical
@each(QUIET)
def test_other_faults_are_against_the_protocol(agent):
    """In nine of ten seeds; in both where there are two."""
    reported = [not check_rmax(agent, rng=seed).passed for seed in range(SEEDS)]
    assert sum(reported) >= ENOUGH


def test_findings_say_what_was_done():
    """Which instance, what kind, and the numbers; the row is plain."""
    found = check_rmax(Hasty)
    assert any(
        f.kind == "against the protocol" and "taken 2 times, not 20, with m = 20" in f.detail for f in found.findings
    )
    (coins,) = (f for f in found.findings if f.instance == "coins that pay")
    assert coins.kind == "not epsilon-optimal"
    assert re.fullmatch(r"in \d+ of 40 runs it still falls short by more than 0.2 after 170 steps", coins.detail)
    assert any(f.kind == "outside of its bound" for f in check_rmax(Pessimist).findings)
    late = check_rmax(Late).findings
    assert any(f.kind == "outside of its bound" and "10 of 62 steps are bad, the bound is 6" in f.detail for f in late)
    assert "act(0) changes without a new observation" in str(check_rmax(Wavering))
    assert "actions are 0 to 1" in str(check_rmax(OutOfRange))
    assert json.loads(json.dumps(found.row())) == found.row()


def test_rewards_that_are_too_small_stay_inside_of_every_bound():
    """They make an R-max for a larger r_max: it explores more than it must, and only its visits show that."""
    assert {f.kind for f in check_rmax(Grudging).findings} == {"against the protocol"}


def told(player_agent, **methods):
    """What makes agents whose players answer some questions otherwise."""

    class Agent:
        def __init__(self, m):
            self.agent = player_agent(m)

        def begin(self, environment, rng):
            player = self.agent.begin(environment, rng)
            for name, answer in methods.items():
                setattr(player, name, functools.partial(answer, getattr(player, name)))
            return player

    return Agent


def test_a_policy_may_be_told_as_probabilities_of_zero_and_one():
    """The same R-max passes; one that draws its actions is against the protocol."""
    actions = 8

    def certain(policy):
        return np.eye(actions)[policy()]

    def drawn(policy):
        return np.full((len(policy()), actions), 1 / actions)

    coins = check_worlds.reward_coins(np.random.default_rng(1))
    assert check._play(told(PythonRmax, policy=certain), coins, np.random.default_rng(2)) == []
    (found,) = check._play(told(PythonRmax, policy=drawn), coins, np.random.default_rng(2))
    assert found.detail == "its policy draws its actions: R-max takes one action in each state"


def test_what_is_no_agent_of_ones_own_is_refused_in_a_sentence():
    """The package's agents run in kernels; what has no begin, or whose player lacks a method, is named."""
    with pytest.raises(ValueError, match="agent makes an Rmax, which runs in kernels and has no player that could be"):
        testing.check_rmax(rfos.Rmax)
    with pytest.raises(ValueError, match=r"what agent makes is a dict, not an agent: let it return an object with"):
        testing.check_rmax(dict)
    with pytest.raises(ValueError, match="begin returned NoneType, which has no act"):
        testing.check_rmax(lambda m: type("Empty", (), {"begin": lambda *_: None})())


def test_an_observe_that_says_nothing_is_reported():
    """None is neither True nor False."""
    agent = told(PythonRmax, observe=lambda observe, *step: None)
    assert "observe returned None: return True where the policy changed, else False" in str(testing.check_rmax(agent))


def test_an_agent_that_plays_is_the_agent_that_is_checked():
    """One object for `run`, the ledger and this check; with m of a tenth it is found."""
    assert testing.check_rmax(PythonRmax).passed
    assert not testing.check_rmax(lambda m: PythonRmax(max(1, m // 10))).passed


def test_a_player_that_hides_a_change_of_its_policy_is_found():
    """The ledger evaluates a policy when it is told of one: it must be told."""

    class Silent:
        def __init__(self, m):
            self.agent = PythonRmax(m)

        def begin(self, environment, rng):
            player = self.agent.begin(environment, rng)
            observe = player.observe
            player.observe = lambda *step: observe(*step) and False
            return player

    assert "its policy changed, and observe did not say so" in str(testing.check_rmax(Silent))
