"""`check_rmax` passes a plain R-max and reports planted faults, each in at least 9 of 10 seeds."""

import json

import numpy as np
import pytest

from rfos.testing import check_rmax


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
            if abs(new - values).max() < 1e-6:
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
    "rewards shifted": (Generous, Grudging, OffByOneReward),
    "estimates not frozen": (Restless, RestlessRows),
    "not greedy, not an action": (Wavering, OutOfRange),
}
SEEDS = 10


def test_a_plain_rmax_passes():
    """In all seeds; a correct one fails with probability 10·1e-6 at most."""
    for seed in range(SEEDS):
        found = check_rmax(PlainRmax, rng=seed)
        assert found.passed, str(found)
    assert found.false_alarm == 1e-6
    assert "passed 10 instances" in str(found)


@pytest.mark.parametrize("agent", [agent for agents in FAULTS.values() for agent in agents], ids=lambda a: a.__name__)
def test_a_planted_fault_is_reported(agent):
    """In at least 9 of 10 seeds."""
    reported = [not check_rmax(agent, rng=seed).passed for seed in range(SEEDS)]
    assert sum(reported) >= 9


def test_findings_say_what_was_done():
    """Which instance, what kind, and the numbers; the row is plain."""
    found = check_rmax(Hasty)
    assert any(
        f.kind == "against the protocol" and "taken 2 times, not 20, with m = 20" in f.detail for f in found.findings
    )
    assert any(f.kind == "outside of its bound" for f in check_rmax(Pessimist).findings)
    assert any(f.kind == "not epsilon-optimal" for f in check_rmax(Pessimist).findings)
    assert "act(0) changes without a new observation" in str(check_rmax(Wavering))
    assert "actions are 0 to 1" in str(check_rmax(OutOfRange))
    assert json.loads(json.dumps(found.row())) == found.row()


def test_bounds_alone_do_not_show_the_quiet_faults():
    """Counting to m/10, learning late and never freezing stay inside every bound here: only the protocol shows them."""
    for agent in (Hasty, Late, Restless, RestlessRows):
        assert {f.kind for f in check_rmax(agent).findings} == {"against the protocol"}
