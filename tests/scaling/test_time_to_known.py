"""Slow: how long until all pairs are known, how often T1 fails, how long X3's family keeps R-max busy."""

from fractions import Fraction

import domains
import numpy as np
import pytest
import scipy.stats
from exact import replay

import bounds.rmax
from rfos.games.named import matching_pennies
from rfos.learning.agents import PaperRmax, Rmax
from rfos.learning.coverage import derived_m
from rfos.learning.run import run
from rfos.metagames.opponents import QLearner, WindowQLearner
from rfos.metagames.window import WindowMetaGame

FALSE_ALARM = 1e-6
DELTA = 0.2


def assert_rate_at_most(failures: int, runs: int, rate: float) -> None:
    """Exact binomial test; if each run fails with probability `rate` at most, it errs with probability 1e-6."""
    assert scipy.stats.binom.sf(failures - 1, runs, rate) >= FALSE_ALARM, (failures, runs, rate)


def episodes_until_known(meta, agent, m, seeds):
    """Episodes until all pairs are known, one per seed, None where X4's upper end did not do; and X4's bracket."""
    softmax = isinstance(agent, PaperRmax)
    sizes = {"n_states": meta.n_states, "n_actions": meta.n_actions, "m": m, "horizon": meta.horizon, "delta": DELTA}
    bracket = bounds.rmax.x4(softmax=softmax).evaluate(**sizes)
    traces = [run(meta, agent, episodes=bracket["upper"], bins=1, rng=seed) for seed in seeds]
    known = [None if t.all_known_at is None else -(-t.all_known_at // meta.horizon) for t in traces]
    return known, bracket


@pytest.mark.statistical
@pytest.mark.parametrize("opponent", [QLearner(), WindowQLearner()], ids=["hidden", "window"])
@pytest.mark.parametrize("agent", [Rmax, PaperRmax])
def test_time_until_all_is_known_grows_with_m_inside_the_bracket(agent, opponent):
    """X4 at fixed |Ŝ|: the time lies in the bracket at every m, and doubling m doubles it to within 15 %."""
    meta = WindowMetaGame(matching_pennies(), opponent, window=2, discount=0.8, horizon=10)
    ms = [400, 800, 1600, 3200]  # below, the fluctuations of order √m still count
    runs = 20
    means, failures = [], 0
    for m in ms:
        known, bracket = episodes_until_known(meta, agent(m=m, delta=DELTA), m, range(runs))
        failures += sum(time is None for time in known)
        times = [time for time in known if time is not None]
        assert min(times) >= bracket["lower"]
        means.append(np.mean(times))
    assert_rate_at_most(failures, runs * len(ms), DELTA / 2)
    ratios = np.divide(means[1:], means[:-1])
    assert (abs(ratios - 2) < 0.3).all(), ratios


def test_time_until_all_is_known_follows_the_schedule_of_the_paper():
    """At fixed |Ŝ| a larger ε has a smaller m and is faster by the same factor: what is learned plays no part."""
    meta = WindowMetaGame(matching_pennies(), QLearner(), window=2, discount=0.8, horizon=10)
    m, means = [], []
    for epsilon in (0.8, 1.6):
        agent = PaperRmax(epsilon=epsilon, delta=DELTA)
        m.append(derived_m(meta, agent))
        known, bracket = episodes_until_known(meta, agent, m[-1], range(10))
        assert all(time is not None and bracket["lower"] <= time <= bracket["upper"] for time in known)
        means.append(np.mean(known))
    assert m == [1005, 251]
    assert means[0] / means[1] == pytest.approx(m[0] / m[1], rel=0.2)


@pytest.mark.statistical
def test_failure_fraction_of_t1_is_below_delta():
    """T1 at the derived m on RiverSwim and random chains: the last policy is ε-optimal save with probability δ."""
    rng = np.random.default_rng(51)
    chains = [domains.river_swim(3, "3/5"), domains.river_swim(4, "1/2")]
    chains += [domains.random_mdp(rng, 4, 2, 2, "3/5", low=0, high=1, connected=True) for _ in range(3)]
    for exact in chains:
        top = max(map(max, exact.rewards))
        exact = exact.with_rewards(lambda s, a, j, exact=exact, top=top: exact.rewards[s][a] / top)
        epsilon = Fraction(1, 4)
        agent = Rmax(epsilon=float(epsilon), delta=DELTA)
        failures, runs = 0, 40
        for seed in range(runs):
            policy = run(exact.mdp(), agent, steps=600_000, starts=[0], bins=1, rng=seed).policy.tolist()
            # The states that recur under the policy are those that count; from state 0 they are all reached.
            reached = recurrent_from(exact, policy, 0)
            values = exact.value(policy)
            failures += any(values[s] < exact.v_star[s] - epsilon for s in reached)
        assert_rate_at_most(failures, runs, DELTA)


def recurrent_from(exact, policy, start):
    """States that are reached from everywhere that the policy can go from `start`."""

    def reachable(s):
        seen, todo = {s}, [s]
        while todo:
            here = todo.pop()
            for j, p, _ in exact.rows[here][policy[here]]:
                if p and j not in seen:
                    seen.add(j)
                    todo.append(j)
        return seen

    everywhere = reachable(start)
    return [s for s in everywhere if all(s in reachable(j) for j in everywhere)]


@pytest.mark.statistical
@pytest.mark.parametrize(("n", "m"), [(3, 40), (6, 40), (3, 80)])
def test_far_states_force_many_bad_steps(n, m):
    """X3: at least γ̂ n A m (V_max-v)/(8 v (1-γ̂)) steps have V^{pi_t} < V*-ε, with the probability X3 states."""
    discount, n_actions, v = Fraction(4, 5), 2, Fraction(1, 2)
    largest = 1 / (1 - discount)
    q = 2 * v * (1 - discount) / (discount * (largest - v))
    exact = domains.far_states(n, n_actions, v, q, discount)
    agent = Rmax(m=m)
    epsilon = Fraction(9, 20)  # a little below v
    least = discount * n * n_actions * m * (largest - v) / (8 * v * (1 - discount))
    doubt = np.exp(-m * float(q) / 32) + n * np.exp(-n_actions * m / 6) + np.exp(-n * n_actions * m / 12)
    failures, runs = 0, 3
    for seed in range(runs):
        bad = 0
        for _, state, _, policy in replay(exact.mdp(), agent, steps=int(12 * least), starts=[0], rng=seed):
            bad += state == 0 and policy[0] == 1
        assert exact.value([1] * (n + 2))[0] == 0 < exact.v_star[0] - epsilon
        failures += bad < least
    assert_rate_at_most(failures, runs, min(1.0, doubt))
    assert failures == 0
