"""Whether an agent is R-max: what `rfos.testing.check_rmax` plays and asks.

Bounds are loose, so that the instances are chosen for what shows a fault there: a state with many actions, where one
visit more of each is more than the count of T1' allows; coins of which m visits are just enough to tell the best one,
and m/10 are not; laws that show something else for a while after m visits. Some ask besides for what R-max does with
certainty: it takes a pair m times, and no more where nothing unknown could pay for it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any, Literal, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

import bounds.sharp
from rfos import _checks
from rfos.mdp import TabularMDP
from rfos.planning import evaluate_policy, solve
from rfos.randomness import Seed, seed_sequence

ACCURACY, PLANNED = Fraction(1, 10), Fraction(1, 100)
"""Epsilon, and what an agent's planning may lose, as shares of V_max."""

FALSE_ALARM = 1e-6
"""Chance that a correct R-max is reported, at most: that m visits mislead it in some run with coins."""

COIN, COIN_VISITS = 0.9, 20
"""The best coin shows 1 with this chance, the others 0 with it; the visits that make one known."""

Float = NDArray[np.float64]
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
    most_bad: int | None = None
    """Steps that may be bad; where there is such a bound the state at the end is judged, too."""
    ends_well: bool = False
    """Whether the policy at the end must be epsilon-optimal in every state."""
    visits: dict[tuple[int, int], tuple[int, str]] = field(default_factory=dict)
    """Visits that a pair must have in the end, and why."""
    r_max: float = 1.0


def _table(successor: list[list[int]], reward: list[list[float]]) -> Step:
    """Return the step of a deterministic MDP."""
    return lambda s, a, visit, rng: (reward[s][a], successor[s][a])


def _certain(
    name: str, successor: Any, reward: Any, discount: float, m: int, r_max: float = 1.0, share: Fraction = ACCURACY
) -> _Instance:
    """Return a deterministic MDP with the count of T1', each escape m times; epsilon is a share of V_max."""
    mdp = TabularMDP(np.array(successor), np.array(reward, np.float64), discount)
    n, n_actions = mdp.n_states, mdp.n_actions
    epsilon = float(share) * r_max / (1 - discount)
    promised = bounds.sharp.t1_deterministic().steps.evaluate(
        n_states=n, n_actions=n_actions, epsilon=epsilon, discount=discount, r_max=r_max, w_plan=PLANNED / share
    )
    most = int(promised) * m
    step = _table(np.array(successor).tolist(), np.array(reward, np.float64).tolist())
    return _Instance(name, mdp, m, 2 * most + 50, step, epsilon, most, r_max=r_max)


def _corridor() -> _Instance:
    """A safe loop, and four steps to the best reward; every wrong action leads back."""
    last = 4
    successor = [[0, min(s + 1, last)] for s in range(last + 1)]
    reward = [[0.0, 0.0] for _ in range(last + 1)]
    reward[0][0], reward[last][1] = 0.6, 2.0
    return _certain("corridor to the best reward", successor, reward, 0.9, 3, r_max=2.0)


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
    return _Instance(name, mdp, m, 8 * m, _table(successor, reward), 1.0, visits={(0, 1): (tries, why)})


def _one_visit() -> _Instance:
    """Six actions in one state, of which the last pays: each may be bad once, so that a second visit is too many."""
    return _certain("one visit of each action", [[0] * 6], [[0.0] * 5 + [1.0]], 0.5, 1)


def _close(best: int) -> _Instance:
    """Two actions pay .965, one pays 1: rewards that look larger by .035 are taken for V_max, and never left again."""
    reward = [0.965] * 3
    reward[best] = 1.0
    name = f"the last {0.035:g} of the reward, action {best}"
    return _certain(name, [[0] * 3], [reward], 0.5, 2, share=Fraction(1, 50))


def _frozen_rewards() -> _Instance:
    """Action 0 pays .8, but nothing on the m visits after its first m; action 1 pays .6: what is known stays known."""
    m = 20
    mdp = TabularMDP(np.array([[0, 0]]), np.array([[0.8, 0.6]]), 0.5)

    def step(s: int, a: int, visit: int, rng: np.random.Generator) -> tuple[float, int]:
        return (0.0 if m < visit <= 2 * m else 0.8) if a == 0 else 0.6, 0

    visits = {(0, 1): (m, "estimates are frozen at m, and the other action looked better then")}
    name = "rewards that fail for a while after m visits"
    return _Instance(name, mdp, m, 20 * m, step, 0.2, ends_well=True, visits=visits)


def _frozen_rows() -> _Instance:
    """Action 0 leads to the state that pays, but on the 4 m visits after its first m to one that does not.

    Worth 2/3 at discount 1/2, the other action 2/5; while the second state is tried the first must fail longer than m.
    """
    m = 20
    successor, reward = [[1, 0], [0, 0], [0, 0]], [[0.0, 0.2], [1.0, 1.0], [0.0, 0.0]]
    mdp = TabularMDP(np.array(successor), np.array(reward), 0.5)

    def step(s: int, a: int, visit: int, rng: np.random.Generator) -> tuple[float, int]:
        following = 2 if (s, a) == (0, 0) and m < visit <= 5 * m else successor[s][a]
        return reward[s][a], following

    visits = {(0, 1): (m, "estimates are frozen at m, and the other action looked better then")}
    name = "successors that fail for a while after m visits"
    return _Instance(name, mdp, m, 40 * m, step, 0.2, ends_well=True, visits=visits)


def _random(number: int, rng: np.random.Generator) -> _Instance:
    """Random successors, rewards i/5 with both ends attained."""
    n, n_actions = int(rng.integers(3, 6)), 2
    reward = rng.integers(0, 6, (n, n_actions)) / 5
    reward.flat[rng.choice(reward.size, 2, replace=False)] = 0.0, 1.0
    return _certain(f"random MDP {number}", rng.integers(0, n, (n, n_actions)), reward, 0.8, 2)


def _chances(n_actions: int, rng: np.random.Generator) -> Float:
    """Return the chances of coins of which one at random is the best."""
    chances = np.full(n_actions, 1 - COIN)
    chances[rng.integers(n_actions)] = COIN
    return chances


def _reward_coins(rng: np.random.Generator) -> _Instance:
    """One state, eight coins that pay 1 or nothing."""
    chances = _chances(8, rng)
    mdp = TabularMDP(np.zeros((1, 8), np.int64), chances[None], 0.5)

    def step(s: int, a: int, visit: int, rng: np.random.Generator) -> tuple[float, int]:
        return float(rng.random() < chances[a]), 0

    return _Instance("coins that pay", mdp, COIN_VISITS, 170, step, 0.2, ends_well=True)


def _successor_coins(rng: np.random.Generator) -> _Instance:
    """Four coins that lead to a state that pays or to one that does not; both lead back."""
    chances = _chances(4, rng)
    rows = np.zeros((3, 4, 3))
    rows[0, :, 1], rows[0, :, 2], rows[1:, :, 0] = chances, 1 - chances, 1.0
    mdp = TabularMDP(rows, np.repeat([[0.0], [1.0], [0.0]], 4, axis=1), 0.5)

    def step(s: int, a: int, visit: int, rng: np.random.Generator) -> tuple[float, int]:
        return (0.0, 1 if rng.random() < chances[a] else 2) if s == 0 else (float(s == 1), 0)

    return _Instance("coins that lead on", mdp, COIN_VISITS, 500, step, 0.2, ends_well=True)


REPEATED = ((_reward_coins, 40), (_successor_coins, 12))
"""What is played several times with a new agent each, and how often: a bad draw of m/10 visits is not the rule."""


def _play(factory: RmaxFactory, instance: _Instance, rng: np.random.Generator) -> list[Finding]:
    """Let an agent act, and return what it did that R-max does not do."""
    mdp, name = instance.mdp, instance.name
    n_states, n_actions = mdp.n_states, mdp.n_actions
    sizes = {"n_states": n_states, "n_actions": n_actions}
    agent = factory(**sizes, r_max=instance.r_max, discount=mdp.discount, m=instance.m)
    best = solve(mdp).lower - instance.epsilon
    judged: dict[tuple[int, ...], Any] = {}
    visits = np.zeros((n_states, n_actions), np.int64)
    bad, state = 0, 0

    def ask(states: Sequence[int]) -> list[int] | Finding:
        answers = [agent.act(s) for s in states]
        for s, answer in zip(states, answers, strict=True):
            if not (isinstance(answer, int | np.integer) and 0 <= answer < n_actions):
                detail = f"act({s}) is {answer!r}: actions are 0 to {n_actions - 1}"
                return Finding(name, "against the protocol", detail)
        return [int(answer) for answer in answers]

    def falls_short(policy: tuple[int, ...]) -> Any:
        if policy not in judged:
            judged[policy] = evaluate_policy(mdp, np.array(policy)).upper < best
        return judged[policy]

    # Every state is asked where each step is judged, the own one twice.
    counts = instance.most_bad is not None
    for _ in range(instance.steps):
        answers = ask((state, *range(n_states), state) if counts else (state,))
        if isinstance(answers, Finding):
            return [answers]
        action = answers[0]
        if counts:
            policy = tuple(answers[1:-1])
            if policy[state] != action or answers[-1] != action:
                return [Finding(name, "against the protocol", f"act({state}) changes without a new observation")]
            bad += bool(falls_short(policy)[state])
        visits[state, action] += 1
        reward, following = instance.step(state, action, int(visits[state, action]), rng)
        agent.observe(state, action, reward, following)
        state = following
    findings = []
    if instance.most_bad is not None and bad > instance.most_bad:
        detail = f"{bad} of {instance.steps} steps are bad, the bound is {instance.most_bad}"
        findings.append(Finding(name, "outside of its bound", detail))
    if counts or instance.ends_well:
        answers = ask(range(n_states))
        if isinstance(answers, Finding):
            return [*findings, answers]
        short = falls_short(tuple(answers))
        # Where a state is met no more R-max promises nothing of it.
        if short.any() if instance.ends_well else short[state]:
            detail = f"it still falls short by more than {instance.epsilon:g} after {instance.steps} steps"
            findings.append(Finding(name, "not epsilon-optimal", detail))
    for (s, a), (expected, why) in instance.visits.items():
        if visits[s, a] != expected:
            detail = (
                f"action {a} of state {s} was taken {visits[s, a]} times, not {expected}, with m = {instance.m}: {why}"
            )
            findings.append(Finding(name, "against the protocol", detail))
    return findings


def _play_often(
    factory: RmaxFactory, make: Callable[[np.random.Generator], _Instance], times: int, rng: np.random.Generator
) -> list[Finding]:
    """Let new agents act in new instances; return the first finding of each kind with how many runs had one."""
    found: dict[Kind, list[Finding]] = {}
    for _ in range(times):
        for finding in _play(factory, make(rng), rng):
            found.setdefault(finding.kind, []).append(finding)
    return [
        all_of_it[0]._replace(detail=f"in {len(all_of_it)} of {times} runs {all_of_it[0].detail}")
        for all_of_it in found.values()
    ]


def check_rmax(agent: RmaxFactory, *, rng: Seed = 0) -> RmaxCheck:
    """Report what an agent does that R-max does not do, on a small family of MDPs.

    The agent must be the canonical R-max (Brafman & Tennenholtz 2002; Kakade 2003): a pair is known once it has been
    observed m times, and its mean reward and its law are frozen then; unknown pairs are worth V_max =
    r_max/(1-discount); it plays greedily for that model, unknown actions first among equals, planned to within a
    hundredth of V_max; `observe` comes before the next `act`, which only answers.

    What is looked at, and what it finds:

    - a corridor to the best reward, random deterministic MDPs, a state with six actions, and one whose actions are
      close: the bad steps against the count of T1', and whether any is left at the end (no optimism, rewards too large
      or credited to another step, learning after acting);
    - coins that pay, and coins that lead on, with an m that is enough but for a chance of 1e-7 in all runs together:
      whether the policy at the end is epsilon-optimal (m/10, a model of the last sample);
    - rewards and successors that are different for a while after m visits, as no law is: whether the policy at the end
      is still the one that the first m visits show (estimates that are not frozen);
    - a detour that is just worth a try, and one that is not quite: how often it is taken (another m; optimism or
      rewards off by more than 0.02 r_max).

    Of two faults no bound can tell in an MDP. Means that go on are a martingale backwards, for which Hoeffding's bound
    at m holds for all visits from m on together: the proof of T1 covers an agent that never freezes, at the same m and
    delta. Hence the worlds that are no MDPs. And rewards too small by c make an R-max for rewards up to r_max + c,
    which explores more than it must and keeps nearly the same bounds: only its visits show it.

    An agent that passes may still be wrong in what these do not ask for, such as many states or long plans.

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
    if not callable(agent):
        mend = "give a class or function that takes n_states, n_actions, r_max, discount and m, and returns an agent"
        raise _checks.WrongKindError(f"agent is {_checks.described(agent)}, which cannot be called: {mend}")
    stream = np.random.default_rng(seed_sequence(rng))
    instances = [_corridor(), _one_visit(), _close(0), _close(2), _detour(True), _detour(False)]
    instances += [_frozen_rewards(), _frozen_rows(), *(_random(i, stream) for i in range(1, 5))]
    findings = [finding for instance in instances for finding in _play(agent, instance, stream)]
    names = [instance.name for instance in instances]
    for make, times in REPEATED:
        names.append(f"{make(stream).name}, {times} runs")
        findings += _play_often(agent, make, times, stream)
    return RmaxCheck(tuple(findings), tuple(names), FALSE_ALARM)
