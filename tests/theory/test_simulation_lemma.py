"""The simulation lemma P2, its sharp form P2+, and what R-max makes of it: P3 and P4 along actual runs."""

from fractions import Fraction

import domains
import numpy as np
import pytest
from exact import ExactMDP, epochs

from rfos.learning.agents import Rmax
from rfos.learning.theorems import DEFAULT_ACCURACY, PLANNING_SHARE

RUNS = 40


def row_error(one: ExactMDP, other: ExactMDP) -> Fraction:
    """Largest L1 distance of two rows."""
    worst = Fraction(0)
    for left, right in zip(one.rows, other.rows, strict=True):
        for a, b in zip(left, right, strict=True):
            masses = dict.fromkeys(range(one.n_states), Fraction(0))
            for j, p, _ in a:
                masses[j] += p
            for j, p, _ in b:
                masses[j] -= p
            worst = max(worst, sum(map(abs, masses.values())))
    return worst


def nearby(rng, mdp: ExactMDP, share: Fraction, *, shift_rewards: bool) -> ExactMDP:
    """The MDP with a share of each row moved to other successors, rewards moved by up to `share` within [0, 1]."""
    rows = []
    for row in mdp.rows:
        new = []
        for branches in row:
            law = domains.random_law(rng, mdp.n_states)
            pay = branches[0][2]
            if shift_rewards:
                pay = min(Fraction(1), max(Fraction(0), pay + share * Fraction(int(rng.integers(-4, 5)), 4)))
            kept = {j: (1 - share) * p for j, p, _ in branches}
            new.append(tuple((j, kept.get(j, Fraction(0)) + share * law[j], pay) for j in range(mdp.n_states)))
        rows.append(tuple(new))
    return ExactMDP(tuple(rows), mdp.discount)


def pairs_of_models(count, seed, *, shift_rewards=True):
    """Yield a model with rewards in [0, 1], one nearby, and a random stochastic policy."""
    rng = np.random.default_rng(seed)
    for i in range(count):
        discount = domains.DISCOUNTS[i % 7]
        n_states, n_actions = (int(n) for n in (rng.integers(2, 6), rng.integers(1, 4)))
        one = domains.random_mdp(rng, n_states, n_actions, 3, discount, low=0, high=1)
        two = nearby(rng, one, Fraction(int(rng.integers(1, 12)), 12), shift_rewards=shift_rewards)
        yield one, two, [domains.random_law(rng, n_actions) for _ in range(n_states)]


def distance(one, two):
    return max(abs(x - y) for x, y in zip(one, two, strict=True))


def reward_error(one, two):
    return max(distance(x, y) for x, y in zip(one.rewards, two.rewards, strict=True))


def test_simulation_lemma_holds_for_every_policy():
    """P2: |V^ - V| <= (eps_R + γ eps_P V_max / 2)/(1-γ), in rational arithmetic."""
    for one, two, policy in pairs_of_models(200, seed=21):
        g = one.discount
        bound = (reward_error(one, two) + g * row_error(one, two) / (2 * (1 - g))) / (1 - g)
        assert distance(one.value(policy), two.value(policy)) <= bound


def test_sharp_simulation_lemma_holds_for_every_policy():
    """P2+: |V^ - V| <= eps_R/(1-γ) + V_max γt/(1-γ+γt), t = eps_P/2; it never exceeds P2."""
    for one, two, policy in pairs_of_models(200, seed=22):
        g, t = one.discount, row_error(one, two) / 2
        sharp = (reward_error(one, two) + g * t / (1 - g + g * t)) / (1 - g)
        assert distance(one.value(policy), two.value(policy)) <= sharp
        assert sharp <= (reward_error(one, two) + g * t / (1 - g)) / (1 - g)


@pytest.mark.parametrize("discount", ["0", "1/2", "9/10", "9999/10000"])
@pytest.mark.parametrize("t", ["0", "1/100", "1/3", "1"])
def test_sharp_simulation_lemma_is_attained(t, discount):
    """V(t = 0) - V(t) = V_max γt/(1-γ+γt), exactly, in the good state of `fall`."""
    g, t = Fraction(discount), Fraction(t)
    gap = domains.fall(0, g).v_star[0] - domains.fall(t, g).v_star[0]
    assert row_error(domains.fall(0, g), domains.fall(t, g)) == 2 * t
    assert gap == g * t / ((1 - g) * (1 - g + g * t))


def test_simulation_lemma_for_rewards_known_per_successor_holds():
    """|V^ - V| <= V_max t/(1-γ+γt) <= eps_P V_max/(2(1-γ)), t = eps_P/2, where r = r(s, a, s'): no factor γ."""
    rng = np.random.default_rng(23)
    for one, two, policy in pairs_of_models(200, seed=23, shift_rewards=False):
        tenths = rng.integers(0, 11, (one.n_states, one.n_actions, one.n_states)).tolist()
        left, right = (m.with_rewards(lambda s, a, j, t=tenths: Fraction(t[s][a][j], 10)) for m in (one, two))
        g, t = one.discount, row_error(one, two) / 2
        assert distance(left.value(policy), right.value(policy)) <= t / ((1 - g) * (1 - g + g * t))


@pytest.mark.parametrize("discount", ["0", "1/2", "9/10"])
@pytest.mark.parametrize("t", ["1/100", "1/3", "1"])
def test_simulation_lemma_for_rewards_known_per_successor_is_attained(t, discount):
    """V(0) - V(t) = V_max t/(1-γ+γt) in `slip`: the form with a factor γ is false there."""
    g, t = Fraction(discount), Fraction(t)
    gap = domains.slip(0, g).v_star[0] - domains.slip(t, g).v_star[0]
    assert gap == t / ((1 - g) * (1 - g + g * t))
    assert gap > g * t / ((1 - g) * (1 - g + g * t))


def test_simulation_lemma_of_episodes_holds_for_every_staged_policy():
    """T1-ep: |V^_T - V_T| <= sum_{k<T} γ^k (eps_R + γ eps_P V_{T-1-k}/2), V_j = (1-γ^j)/(1-γ)."""
    rng = np.random.default_rng(24)
    for one, two, _ in pairs_of_models(150, seed=24):
        g, horizon = one.discount, int(rng.integers(1, 7))
        policy = rng.integers(0, one.n_actions, (horizon, one.n_states)).tolist()
        largest = [(1 - g**j) / (1 - g) for j in range(horizon)]
        bound = sum(
            g**k * (reward_error(one, two) + g * row_error(one, two) * largest[horizon - 1 - k] / 2)
            for k in range(horizon)
        )
        assert distance(one.staged_return(policy), two.staged_return(policy)) <= bound


# --- along runs ----------------------------------------------------------------------------------------------------


class Snapshot:
    """The models of R-max at one plan: M_K (true on known pairs), M^_K (empirical), values in units of R_max = 1."""

    def __init__(self, exact: ExactMDP, trace) -> None:
        n_states, n_actions = exact.n_states, exact.n_actions
        self.exact = exact
        self.discount = float(exact.discount)
        self.v_max = 1 / (1 - self.discount)
        self.known = (trace.visits == trace.m).reshape(n_states, n_actions)
        self.true = exact.transitions()
        self.rewards = np.array([[float(r) for r in row] for row in exact.rewards])
        successor, probability, _ = exact.mdp().storage.branches(self.rewards)
        self.empirical = np.zeros((n_states * n_actions, n_states))
        for pair, counts in enumerate(trace.branch_counts):
            assert counts[probability[pair] == 0].sum() == 0
            np.add.at(self.empirical[pair], successor[pair], counts / max(1, counts.sum()))
        self.empirical = self.empirical.reshape(self.true.shape)
        error = np.abs(self.empirical - self.true).sum(axis=2)[self.known]
        self.eps_p = float(error.max(initial=0.0))
        self.eps_sim = self.discount * self.eps_p * self.v_max / 2 / (1 - self.discount)
        self.policy = trace.policy
        self.at = np.arange(n_states)

    def _solve(self, transitions, rewards, stop, worth):
        """V of the policy where pairs in `stop` are worth `worth` and end the run."""
        ends = stop[self.at, self.policy]
        matrix = np.eye(len(self.at)) - self.discount * transitions[self.at, self.policy] * ~ends[:, None]
        return np.linalg.solve(matrix, np.where(ends, worth, rewards[self.at, self.policy]))

    def value_in_true_model(self):
        return self._solve(self.true, self.rewards, ~self.known, self.v_max)

    def value_in_empirical_model(self):
        return self._solve(self.empirical, self.rewards, ~self.known, self.v_max)

    def true_value(self):
        return self._solve(self.true, self.rewards, np.zeros_like(self.known), 0.0)

    def escape(self):
        """e = E[γ^τ], τ = steps until an unknown pair is taken."""
        return self._solve(self.true, np.zeros_like(self.rewards), ~self.known, 1.0)

    def optimism_error(self):
        """ξ: largest [Q* - (R + γ P^ V*)]+ over known pairs."""
        v_star = np.array([float(x) for x in self.exact.v_star])
        q_star = self.rewards + self.discount * self.true @ v_star
        backed_up = self.rewards + self.discount * self.empirical @ v_star
        return float((q_star - backed_up)[self.known].max(initial=0.0))


def snapshots(seed):
    """Yield (V*, snapshot, planning loss) for every plan of runs of R-max in random MDPs with rewards in [0, 1]."""
    rng = np.random.default_rng(seed)
    for i in range(RUNS):
        discount = ("1/2", "4/5", "9/10", "29/30")[i % 4]
        exact = domains.random_mdp(rng, int(rng.integers(2, 6)), 2, 3, discount, low=0, high=1, connected=True)
        exact = _with_largest_reward(exact)
        agent = Rmax(m=int(rng.integers(1, 25)))
        _, planned = epochs(exact.mdp(), agent, steps=20_000, starts=[0], rng=i)
        v_star = np.array([float(x) for x in exact.v_star])
        for _, trace in planned:
            yield v_star, Snapshot(exact, trace), float(PLANNING_SHARE) * DEFAULT_ACCURACY


def _with_largest_reward(exact):
    """The MDP with its largest reward moved to 1, so that V_max = 1/(1-γ) is what the agent assumes."""
    top = max(map(max, exact.rewards)) or Fraction(1)
    return exact.with_rewards(lambda s, a, j: exact.rewards[s][a] / top if top else 1)


def test_planned_policy_is_optimistic_along_runs():
    """P3: V^pi_{M_K} >= V* - eps_plan - 2 eps_sim in every state, after every plan, with the measured eps_P."""
    checked = 0
    for v_star, model, loss in snapshots(seed=25):
        assert (model.value_in_true_model() >= v_star - loss - 2 * model.eps_sim - 1e-9).all()
        checked += 1
    assert checked > 150


def test_planned_policy_pays_for_successors_once():
    """P3+: V^pi_{M_K} >= V* - eps_plan - eps_sim - ξ/(1-γ), ξ = max [Q* - (R + γ P^ V*)]+ over known pairs."""
    for v_star, model, loss in snapshots(seed=26):
        slack = model.eps_sim + model.optimism_error() / (1 - model.discount)
        assert (model.value_in_true_model() >= v_star - loss - slack - 1e-9).all()


def test_models_differ_by_the_simulation_lemma_along_runs():
    """P2 for the planned policy: |V^pi_{M^_K} - V^pi_{M_K}| <= eps_sim, unknown pairs worth V_max in both."""
    for _, model, _ in snapshots(seed=27):
        gap = np.abs(model.value_in_empirical_model() - model.value_in_true_model()).max()
        assert gap <= model.eps_sim + 1e-9


def test_planned_policy_explores_or_exploits_along_runs():
    """P4: V^pi >= V^pi_{M_K} - V_max e, e = E[γ^τ], τ = steps until an unknown pair is taken."""
    explored = 0
    for _, model, _ in snapshots(seed=28):
        escape = model.escape()
        explored += int((escape > 0.01).any() and not model.known.all())
        assert (model.true_value() >= model.value_in_true_model() - model.v_max * escape - 1e-9).all()
    assert explored > 20
