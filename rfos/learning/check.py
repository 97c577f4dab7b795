"""Whether an agent is R-max: what `rfos.testing.check_rmax` plays and asks.

Bounds are loose, so that the instances are chosen for what shows a fault there: a state with many actions, where one
visit more of each is more than the count of T1' allows; coins of which m visits are just enough to tell the best one,
and m/10 are not; laws that show something else for a while after m visits. Some ask besides for what R-max does with
certainty: it takes a pair m times, and no more where nothing unknown could pay for it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from rfos._system import checks
from rfos._system.randomness import Seed, seed_sequence
from rfos.learning.agents import PaperRmax, Rmax
from rfos.learning.check_worlds import (
    Instance,
    close_rewards,
    corridor,
    detour,
    frozen_rewards,
    frozen_rows,
    one_visit,
    random_world,
    reward_coins,
    successor_coins,
)
from rfos.learning.environment import Environment
from rfos.learning.player import Player, PlayingAgent, begun, checked_policy, said_change
from rfos.planning.evaluate import evaluate_policy
from rfos.planning.solve import solve

FALSE_ALARM = 1e-6
"""Chance that a correct R-max is reported, at most: that m visits mislead it in some run with coins."""

Kind = Literal["outside of its bound", "not epsilon-optimal", "against the protocol"]


class RmaxAgent(PlayingAgent, Protocol):
    """An R-max of one's own: an agent as `run` and `ledger` take it, that takes a pair as known after m visits."""


class RmaxFactory(Protocol):
    """What makes such an agent: a function, or its class where m is a field."""

    def __call__(self, *, m: int) -> RmaxAgent:
        """Return an agent that takes a pair as known after m visits."""
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


REPEATED = ((reward_coins, 40), (successor_coins, 12))
"""What is played several times with a new agent each, and how often: a bad draw of m/10 visits is not the rule."""


class _AgainstError(Exception):
    """What an agent did against the protocol."""


def _made(factory: RmaxFactory, m: int) -> RmaxAgent:
    """Return an agent with this m, or raise WrongKindError where it is not one of one's own."""
    made: Any = factory(m=m)
    if isinstance(made, Rmax | PaperRmax):
        raise checks.WrongKindError(
            f"agent makes {checks.described(made)}, which runs in kernels and has no player that could be looked at: "
            "give what makes an agent of your own, with begin(environment, rng)"
        )
    mend = "let it return an object with begin(environment, rng) -> player"
    checks.offers("what agent makes", made, "an agent", ("begin",), mend)
    return made  # type: ignore[no-any-return]


def _greedy(player: Player, environment: Environment) -> NDArray[Any]:
    """Return the actions (S,) of a player's policy, which may be told as probabilities (S, A) of 0 and 1."""
    policy = checked_policy(player, environment)
    if policy.dtype.kind != "f":
        return policy
    if np.count_nonzero(policy) > len(policy):
        raise _AgainstError("its policy draws its actions: R-max takes one action in each state")
    actions: NDArray[Any] = policy.argmax(axis=1)
    return actions


def _play(factory: RmaxFactory, instance: Instance, rng: np.random.Generator) -> list[Finding]:
    """Let an agent act, and return what it did that R-max does not do."""
    try:
        return _played(factory, instance, rng)
    except _AgainstError as error:
        return [Finding(instance.name, "against the protocol", str(error))]


def _played(factory: RmaxFactory, instance: Instance, rng: np.random.Generator) -> list[Finding]:
    """Return it, or raise _AgainstError where the rest of the run would say nothing."""
    mdp, name = instance.mdp, instance.name
    n_states, n_actions = mdp.n_states, mdp.n_actions
    environment = Environment(mdp)
    player = begun(_made(factory, instance.m), environment, np.random.default_rng(rng.integers(2**32)))
    best = solve(mdp).lower - instance.epsilon
    judged: dict[bytes, Any] = {}
    visits = np.zeros((n_states, n_actions), np.int64)
    bad, state = 0, 0

    def falls_short(policy: NDArray[Any]) -> Any:
        key = policy.tobytes()
        if key not in judged:
            judged[key] = evaluate_policy(mdp, policy).upper < best
        return judged[key]

    policy, changed = _greedy(player, environment), True
    for _ in range(instance.steps):
        answers = player.act(state), player.act(state)
        for answer in answers:
            if not (isinstance(answer, int | np.integer) and 0 <= answer < n_actions):
                raise _AgainstError(f"act({state}) is {answer!r}: actions are 0 to {n_actions - 1}")
        action = int(answers[0])
        # Where each step is judged the policy is asked for at each; else where it is said to have changed.
        if instance.most_bad is not None or changed:
            now = _greedy(player, environment)
            if not changed and (now != policy).any():
                raise _AgainstError("its policy changed, and observe did not say so")
            policy = now
        if answers[1] != action or policy[state] != action:
            raise _AgainstError(f"act({state}) changes without a new observation")
        if instance.most_bad is not None:
            bad += bool(falls_short(policy)[state])
        visits[state, action] += 1
        reward, following = instance.step(state, action, int(visits[state, action]), rng)
        try:
            changed = said_change(player.observe(state, action, reward, following))
        except checks.WrongKindError as error:
            raise _AgainstError(str(error)) from None
        state = following
    findings = []
    if instance.most_bad is not None and bad > instance.most_bad:
        detail = f"{bad} of {instance.steps} steps are bad, the bound is {instance.most_bad}"
        findings.append(Finding(name, "outside of its bound", detail))
    if instance.most_bad is not None or instance.ends_well:
        short = falls_short(_greedy(player, environment))
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
    factory: RmaxFactory, make: Callable[[np.random.Generator], Instance], times: int, rng: np.random.Generator
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
    (largest reward)/(1-discount); it plays greedily for that model, unknown actions first among equals, planned to
    within a hundredth of V_max; `observe` comes before the next `act`, which only answers.

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
        Called with ``m=...``, as the class of an agent with that field is; returns an agent of one's own, with `begin`:
        the package's run in kernels. Rewards are at most the largest of `environment.reward_range`.
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
    ...     def __init__(self, m): pass
    ...     def begin(self, environment, rng):
    ...         self.actions = np.zeros(environment.n_states, int)
    ...         return self
    ...     def act(self, state): return 0
    ...     def observe(self, state, action, reward, next_state): return False
    ...     def policy(self): return self.actions
    >>> found = check_rmax(Stubborn)
    >>> found.passed, found.findings[0].instance, found.findings[0].kind
    (False, 'corridor to the best reward', 'outside of its bound')
    """
    if not callable(agent):
        mend = "give a class or function that takes m and returns an agent"
        raise checks.WrongKindError(f"agent is {checks.described(agent)}, which cannot be called: {mend}")
    stream = np.random.default_rng(seed_sequence(rng))
    instances = [corridor(), one_visit(), close_rewards(0), close_rewards(2), detour(True), detour(False)]
    instances += [frozen_rewards(), frozen_rows(), *(random_world(i, stream) for i in range(1, 5))]
    findings = [finding for instance in instances for finding in _play(agent, instance, stream)]
    names = [instance.name for instance in instances]
    for make, times in REPEATED:
        names.append(f"{make(stream).name}, {times} runs")
        findings += _play_often(agent, make, times, stream)
    return RmaxCheck(tuple(findings), tuple(names), FALSE_ALARM)
