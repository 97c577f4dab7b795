"""Whether an agent is R-max: what `rfos.testing.check_rmax` plays and asks.

Bounds alone do not show every fault: an agent that counts to m/10, learns a step late or goes on learning usually does
well, for the bounds are loose. So some instances ask for what R-max does with certainty instead:
it takes a pair m times, no more where nothing unknown could pay for it, and what it knows does not change.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, Literal, NamedTuple, Protocol

import numpy as np

import bounds.rmax
import bounds.sharp
from rfos.mdp import TabularMDP
from rfos.planning import evaluate_policy, solve
from rfos.randomness import Seed, seed_sequence

PLANNING = Fraction(1, 10)
"""Share of epsilon that an agent's planning may lose."""

FALSE_ALARM = 1e-6
"""Chance that a correct R-max is reported, at most: the delta of the one instance that draws at random."""

Step = Callable[[int, int, int, np.random.Generator], tuple[float, int]]
Kind = Literal["outside of its bound", "not epsilon-optimal", "against the protocol"]


class RmaxAgent(Protocol):
    """An agent as `check_rmax` sees it."""

    def act(self, state: int) -> int:
        """Return the action that it would take in a state, by all it has observed; nothing else may change."""
        ...

    def observe(self, state: int, action: int, reward: float, next_state: int) -> None:
        """Take note of one step, before the next action is asked for."""
        ...


class RmaxFactory(Protocol):
    """What makes an agent."""

    def __call__(self, *, n_states: int, n_actions: int, r_max: float, discount: float, m: int) -> RmaxAgent:
        """Return an agent for rewards in [0, r_max] that takes a pair as known after m visits."""
        ...


class Finding(NamedTuple):
    """What an agent did that R-max does not do."""

    instance: str
    kind: Kind
    detail: str


@dataclass(frozen=True)
class RmaxCheck:
    """What `check_rmax` found.

    Attributes
    ----------
    findings : tuple of Finding
    instances : tuple of str
        What was played.
    false_alarm : float
        Chance that a correct R-max would have been reported, at most.
    """

    findings: tuple[Finding, ...]
    instances: tuple[str, ...]
    false_alarm: float

    @property
    def passed(self) -> bool:
        """Whether nothing was found."""
        return not self.findings

    def row(self) -> dict[str, Any]:
        """Return the result as a dictionary of plain numbers and words."""
        return {
            "passed": self.passed,
            "findings": [list(finding) for finding in self.findings],
            "instances": list(self.instances),
            "false_alarm": self.false_alarm,
        }

    def __str__(self) -> str:
        """Return one line for each finding."""
        if self.passed:
            return f"passed {len(self.instances)} instances (a correct R-max fails with chance {self.false_alarm:g})"
        return "\n".join(f"{f.instance}: {f.kind}: {f.detail}" for f in self.findings)


@dataclass(frozen=True, eq=False)
class _Instance:
    """A world to act in, and what is asked of the agent there."""

    name: str
    mdp: TabularMDP
    m: int
    steps: int
    step: Step
    epsilon: float
    most_bad: int | None
    """Steps that may be bad, None where only visits are asked for."""
    visits: dict[tuple[int, int], tuple[int, str]]
    """Visits that a pair must have in the end, and why."""
    r_max: float = 1.0


def _table(successor: list[list[int]], reward: list[list[float]]) -> Step:
    """Return the step of a deterministic MDP."""
    return lambda s, a, visit, rng: (reward[s][a], successor[s][a])


def _certain(name: str, successor: Any, reward: Any, discount: float, m: int, r_max: float) -> _Instance:
    """Return a deterministic MDP with the count of T1', each escape m times."""
    mdp = TabularMDP(np.array(successor), np.array(reward, np.float64), discount)
    n, n_actions = mdp.n_states, mdp.n_actions
    epsilon = 0.1 * r_max / (1 - discount)
    promised = bounds.sharp.t1_deterministic().steps.evaluate(
        n_states=n, n_actions=n_actions, epsilon=epsilon, discount=discount, r_max=r_max, w_plan=PLANNING
    )
    most = int(promised) * m
    step = _table(np.array(successor).tolist(), np.array(reward, np.float64).tolist())
    return _Instance(name, mdp, m, 2 * most + 50, step, epsilon, most, {}, r_max)


def _corridor() -> _Instance:
    """A safe loop, and four steps to the best reward; every wrong action leads back."""
    last = 4
    successor = [[0, min(s + 1, last)] for s in range(last + 1)]
    reward = [[0.0, 0.0] for _ in range(last + 1)]
    reward[0][0], reward[last][1] = 0.6, 2.0
    return _certain("corridor to the best reward", successor, reward, 0.9, 3, 2.0)


def _detour(worth: bool) -> _Instance:
    """A loop for ever, or a step to a state where nothing pays: worth it while 0.9 V_max is more than the loop's."""
    m, safe = 20, 0.882 if worth else 0.918
    successor, reward = [[0, 1], [0, 0]], [[safe, 0.0], [0.0, 0.0]]
    mdp = TabularMDP(np.array(successor), np.array(reward), 0.9)
    tries = 2 * m if worth else m
    why = (
        "its unknown pairs one step away are worth more than the loop"
        if worth
        else "after m visits the unknown pairs one step away are worth less than the loop"
    )
    name = f"detour {'just' if worth else 'not quite'} worth a try"
    return _Instance(name, mdp, m, 8 * m, _table(successor, reward), 1.0, None, {(0, 1): (tries, why)})


def _frozen_rewards() -> _Instance:
    """Action 0 pays .8 on its first m visits and nothing afterwards, action 1 pays .6: what is known stays known."""
    m = 20
    mdp = TabularMDP(np.array([[0, 0]]), np.array([[0.8, 0.6]]), 0.5)

    def step(s: int, a: int, visit: int, rng: np.random.Generator) -> tuple[float, int]:
        return (0.8 if visit <= m else 0.0) if a == 0 else 0.6, 0

    why = "estimates are frozen at m, and the other action looked better then"
    return _Instance("rewards that change after m visits", mdp, m, 20 * m, step, 1.0, None, {(0, 1): (m, why)})


def _frozen_rows() -> _Instance:
    """Action 0 leads to the state that pays on its first m visits, then to one that does not."""
    m = 20
    successor, reward = [[1, 0], [0, 0], [0, 0]], [[0.0, 0.3], [1.0, 1.0], [0.0, 0.0]]
    mdp = TabularMDP(np.array(successor), np.array(reward), 0.5)

    def step(s: int, a: int, visit: int, rng: np.random.Generator) -> tuple[float, int]:
        following = 2 if (s, a) == (0, 0) and visit > m else successor[s][a]
        return reward[s][a], following

    why = "estimates are frozen at m, and the other action looked better then"
    return _Instance("successors that change after m visits", mdp, m, 20 * m, step, 1.0, None, {(0, 1): (m, why)})


def _random(number: int, rng: np.random.Generator) -> _Instance:
    """Random successors, rewards i/5 with both ends attained."""
    n, n_actions = int(rng.integers(3, 6)), 2
    reward = rng.integers(0, 6, (n, n_actions)) / 5
    reward.flat[rng.choice(reward.size, 2, replace=False)] = 0.0, 1.0
    return _certain(f"random MDP {number}", rng.integers(0, n, (n, n_actions)), reward, 0.8, 2, 1.0)


def _coins() -> _Instance:
    """Two states that change places at random, rewards 1 with probability .9 or .5: T1+ at the m that it asks for."""
    P, R, discount, epsilon = np.full((2, 2, 2), 0.5), np.array([[0.5, 0.9], [0.9, 0.5]]), 0.5, 0.5
    at: dict[str, Any] = {"n_states": 2, "n_actions": 2, "branching": 2, "epsilon": epsilon, "discount": discount}
    # Half of what is not planning to the model, half to escapes; the reward is sampled.
    left = (1 - PLANNING) / 2
    at |= {"delta": FALSE_ALARM, "r_max": 1, "w_plan": PLANNING, "w_sim": left, "w_esc": left}
    family = bounds.sharp.t1_plus("sampled")
    m, most = int(family.m.evaluate(**at)), int(family.steps.evaluate(**at))

    def step(s: int, a: int, visit: int, rng: np.random.Generator) -> tuple[float, int]:
        return float(rng.random() < R[s, a]), int(rng.integers(2))

    # A run of the whole bound would take minutes; what is bad in the end is bad for ever.
    return _Instance("coins", TabularMDP(P, R, discount), m, 6 * m, step, epsilon, most, {})


def _play(factory: RmaxFactory, instance: _Instance, rng: np.random.Generator) -> list[Finding]:
    """Let an agent act, and return what it did that R-max does not do."""
    mdp, name = instance.mdp, instance.name
    n_states, n_actions = mdp.n_states, mdp.n_actions
    sizes = {"n_states": n_states, "n_actions": n_actions}
    agent = factory(**sizes, r_max=instance.r_max, discount=mdp.discount, m=instance.m)
    best = solve(mdp).lower - instance.epsilon
    judged: dict[tuple[int, ...], Any] = {}
    visits = np.zeros((n_states, n_actions), np.int64)
    bad, state, is_bad = 0, 0, False
    asks_values = instance.most_bad is not None
    for _ in range(instance.steps):
        # Every state is asked where the whole policy is judged, the own one twice.
        asked = (state, *range(n_states), state) if asks_values else (state,)
        answers = [agent.act(s) for s in asked]
        for s, answer in zip(asked, answers, strict=True):
            if not (isinstance(answer, int | np.integer) and 0 <= answer < n_actions):
                detail = f"act({s}) is {answer!r}: actions are 0 to {n_actions - 1}"
                return [Finding(name, "against the protocol", detail)]
        action = int(answers[0])
        if asks_values:
            policy = tuple(int(answer) for answer in answers[1:-1])
            if policy[state] != action or answers[-1] != action:
                return [Finding(name, "against the protocol", f"act({state}) changes without a new observation")]
            if policy not in judged:
                judged[policy] = evaluate_policy(mdp, np.array(policy)).upper < best
            is_bad = bool(judged[policy][state])
            bad += is_bad
        visits[state, action] += 1
        reward, following = instance.step(state, action, int(visits[state, action]), rng)
        agent.observe(state, action, reward, following)
        state = following
    findings = []
    if instance.most_bad is not None and bad > instance.most_bad:
        detail = f"{bad} of {instance.steps} steps are bad, the bound is {instance.most_bad}"
        findings.append(Finding(name, "outside of its bound", detail))
    if is_bad:
        detail = f"it still falls short by more than {instance.epsilon:g} after {instance.steps} steps"
        findings.append(Finding(name, "not epsilon-optimal", detail))
    for (s, a), (expected, why) in instance.visits.items():
        if visits[s, a] != expected:
            detail = (
                f"action {a} of state {s} was taken {visits[s, a]} times, not {expected}, with m = {instance.m}: {why}"
            )
            findings.append(Finding(name, "against the protocol", detail))
    return findings


def check_rmax(agent: RmaxFactory, *, rng: Seed = 0) -> RmaxCheck:
    """Report what an agent does that R-max does not do, on a small family of MDPs.

    The agent must be the canonical R-max (Brafman & Tennenholtz 2002; Kakade 2003): a pair is known once it has been
    observed m times, and its mean reward and its law are frozen then; unknown pairs are worth V_max =
    r_max/(1-discount); it plays greedily for that model, unknown actions first among equals, planned to within a tenth
    of epsilon = V_max/10; `observe` comes before the next `act`, which only answers.

    What is looked at, and what it finds for certain:

    - a corridor to the best reward and random deterministic MDPs: the bad steps against the count of T1', and
      whether any is left at the end (no optimism, rewards credited to another step);
    - a detour that is just worth a try, and one that is not quite: how often it is taken (another m; learning after
      acting; optimism or rewards off by more than 0.02 r_max);
    - rewards and successors that change after m visits, which are no MDPs: known pairs must not change;
    - coins with the m of T1+ at delta = 1e-6: whether any step is bad at the end.

    An agent that passes may still be wrong in what these do not ask for, such as many states or long plans. Counting to
    less than m, learning late and going on learning are found by what R-max must do, not by its bounds, which they
    seldom break.

    Parameters
    ----------
    agent : RmaxFactory
        Called with ``n_states, n_actions, r_max, discount, m``; returns an object with `act` and `observe`.
    rng : int, SeedSequence or Generator, optional
        Of the random instances.

    Returns
    -------
    RmaxCheck
        A correct R-max is reported with probability 1e-6 at most.

    Examples
    --------
    An agent that never looks further than its first action:

    >>> class Stubborn:
    ...     def __init__(self, **sizes): pass
    ...     def act(self, state): return 0
    ...     def observe(self, state, action, reward, next_state): pass
    >>> found = check_rmax(Stubborn)
    >>> found.passed, found.findings[0].instance, found.findings[0].kind
    (False, 'corridor to the best reward', 'outside of its bound')
    """
    stream = np.random.default_rng(seed_sequence(rng))
    instances = [_corridor(), _detour(True), _detour(False), _frozen_rewards(), _frozen_rows()]
    instances += [_random(i, stream) for i in range(1, 5)]
    instances.append(_coins())
    findings = [finding for instance in instances for finding in _play(agent, instance, stream)]
    return RmaxCheck(tuple(findings), tuple(instance.name for instance in instances), FALSE_ALARM)
