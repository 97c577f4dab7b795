"""The ledger of a run: the steps that are not epsilon-optimal, and the sum of e_t, counted while it goes on.

At each change of policy V^pi and e_t = E[discount^tau], tau = steps until an unknown pair is taken (P4), are evaluated
in the true MDP; in between, each step costs a look-up. Values come with certified brackets, so that a step is counted,
not counted, or undecided; nothing is rounded away.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from rfos._kernels import ledger as kernels
from rfos._kernels.rmax import Meter
from rfos._legs import Arrays, Leg, take_up
from rfos._memory import require_memory
from rfos.iteration import Change
from rfos.mdp import TabularMDP
from rfos.metagames import WindowMetaGame, check_horizon
from rfos.pac._covering import covering
from rfos.planning import SMALLEST, UNIT_ROUNDOFF, Solution, _Certifier, evaluate_policy, solve
from rfos.policy_metagames import PolicyMetaGame
from rfos.randomness import Seed
from rfos.rmax import (
    NOTHING_YET,
    Agent,
    Moment,
    PaperRmax,
    Process,
    Progress,
    Trace,
    check_agent,
    check_delta,
    check_epsilon,
    check_process,
    require_accuracy,
    require_run,
    run,
    run_bytes,
)

Float = NDArray[np.float64]
Int = NDArray[np.int64]
Bool = NDArray[np.bool_]

FINE = 1e-9
"""Width below which a bracket of V^pi that leaves a state undecided is left so, as a share of epsilon."""

EXPLORING_TOL = 1e-4
"""Width of the brackets of e_t, which lies between 0 and 1."""

MARK = 2.0**26
"""What an undecided state is worth in the sum in which a bad one is worth 1."""


def fine(epsilon: float) -> float:
    """Return the width `FINE` at an epsilon; above 0, however small that is."""
    return max(FINE * epsilon, SMALLEST)


@dataclass(frozen=True, eq=False)
class Ledger:
    """What a run cost.

    Attributes
    ----------
    definition : str
        What is counted.
    unit : str
        "steps" or "episodes".
    epsilon, delta : float
        Accuracy in units of value, and the failure probability of the theorem.
    theorem : str or None
        The theorem that covers the run, of several the one that promises the smallest count; None where none does.
    reason : str
        The assumptions that hold, or the first that fails.
    count : int or None
        Steps (episodes) that are certainly not epsilon-optimal; None where the meta-state hides the opponent's state.
    undecided : int or None
        Steps (episodes) more that may not be: the brackets straddle epsilon.
    bound : int or None
        What the theorem promises of `count`, with probability 1 - delta.
    exploration : tuple of float, or None
        Certain lower and upper end of the sum of e_t; None where it is not defined (episodes, aliased processes).
    exploration_bound : float or None
        X1's bound of it, with probability 1 - delta/2; for runs without restarts.
    final_loss : tuple of float, or None
        Certain lower and upper end of the largest V*(s) - V^pi(s) of what is played at the end.
    evaluations : int
        Policies evaluated, one for each plan.
    trace : Trace
        The run.
    """

    definition: str
    unit: str
    epsilon: float
    delta: float
    theorem: str | None
    reason: str
    count: int | None
    undecided: int | None
    bound: int | None
    exploration: tuple[float, float] | None
    exploration_bound: float | None
    final_loss: tuple[float, float] | None
    evaluations: int
    trace: Trace

    @property
    def progress(self) -> Progress:
        """Whether no, some or all pairs became known in the run; where none did, the count says nothing yet."""
        return self.trace.progress

    def __repr__(self) -> str:
        """Return the numbers without the arrays of the run, and say where they mean nothing yet."""
        row = self.row()
        names = ("progress", "count", "undecided", "bound", "ratio", "final_is_optimal", "theorem", "m", "steps")
        said = f"Ledger({', '.join(f'{name}={row[name]!r}' for name in names)})"
        return f"{said}: {NOTHING_YET}" if self.progress is Progress.NONE else said

    @property
    def ratio(self) -> float | None:
        """Largest possible count over the bound; None without either or before a pair is known, 0 where both are."""
        if self.progress is Progress.NONE or self.count is None or self.undecided is None or self.bound is None:
            return None
        most = self.count + self.undecided
        return most / self.bound if self.bound else (0.0 if most == 0 else math.inf)

    @property
    def exploration_ratio(self) -> float | None:
        """Upper end of the sum of e_t over X1's bound; None without either, or before a pair is known."""
        if self.progress is Progress.NONE or self.exploration is None or self.exploration_bound is None:
            return None
        return self.exploration[1] / self.exploration_bound

    @property
    def final_is_optimal(self) -> bool | None:
        """Whether what is played at the end is epsilon-optimal in every state; None where that is not decided."""
        if self.final_loss is None or self.final_loss[0] <= self.epsilon < self.final_loss[1]:
            return None
        return self.final_loss[1] <= self.epsilon

    def row(self) -> dict[str, Any]:
        """Return the result as a dictionary of plain numbers and words."""
        low, high = self.exploration or (None, None)
        loss = self.final_loss or (None, None)
        return {
            "definition": self.definition,
            "unit": self.unit,
            "epsilon": self.epsilon,
            "delta": self.delta,
            "theorem": self.theorem,
            "reason": self.reason,
            "m": self.trace.m,
            "steps": self.trace.n_steps,
            "count": self.count,
            "undecided": self.undecided,
            "bound": self.bound,
            "ratio": self.ratio,
            "exploration_low": low,
            "exploration_high": high,
            "exploration_bound": self.exploration_bound,
            "exploration_ratio": self.exploration_ratio,
            "final_loss_low": loss[0],
            "final_loss_high": loss[1],
            "final_is_optimal": self.final_is_optimal,
            "evaluations": self.evaluations,
            "all_known_at": self.trace.all_known_at,
            "progress": str(self.progress),
        }


def _account_bytes(process: Process) -> int:
    """Return an upper estimate of the tables of an account."""
    # What a look at each array's size adds up to, where play is drawn, and some more.
    return process.n_states * (process.n_actions * (process.branching * 52 + 40) + 128)


def ledger_bytes(process: Process, agent: Agent, horizon: int | None = None) -> int:
    """Return an upper estimate of all that a ledger allocates, the run and the MDP of windows included."""
    return run_bytes(process, agent, horizon) + _account_bytes(process)


class _Account:
    """What the look-ups of a run add up to; the parts that depend on what is counted are left to two classes."""

    def __init__(self, mdp: TabularMDP, epsilon: float) -> None:
        require_memory(_account_bytes(mdp), "the ledger's tables", "use fewer states")
        self.mdp, self.epsilon = mdp, epsilon
        self.successor, self.probability, rewards = mdp.storage.branches(mdp.finite_rewards)
        self.successor, self.probability = self.successor.astype(np.int64), np.array(self.probability, np.float64)
        self.reward = (self.probability * rewards).sum(axis=1)
        self.certify = _Certifier(mdp)
        # The rewards in the table are filled in by the run.
        pairs = mdp.n_states * mdp.n_actions
        self.meter = Meter(np.zeros((pairs, 2 + mdp.branching)), np.zeros(mdp.n_states), np.zeros(2))
        self.step = self.evaluations = 0
        self.bad = self.possible = 0
        self.low = self.high = self.width = 0.0

    def close(self, step: int) -> None:
        """Take what the steps since the last plan have added up to."""
        played = step - self.step
        bad, exploring = self.meter.total.tolist()
        # bad + MARK * undecided, at most `played` in all: the smallest and the largest number of undecided ones.
        fewest = max(0, math.ceil((bad - played) / (MARK - 1)))
        most = int(bad // MARK)
        self.bad += int(bad - MARK * most)
        self.possible += int(bad - MARK * fewest) + fewest
        # Each of the additions rounds by one part in 2^53 of their sum at most.
        rounding = exploring * played * 2 * UNIT_ROUNDOFF
        low = (exploring - rounding) * (1 - 8 * UNIT_ROUNDOFF)
        high = (exploring + played * self.width + rounding) * (1 + 8 * UNIT_ROUNDOFF)
        # The sums over plans round too: outwards.
        self.low = math.nextafter(self.low + low, -math.inf)
        self.high = math.nextafter(self.high + high, math.inf)
        self.meter.total[:] = 0.0
        self.step = step

    def told(self, moment: Moment) -> bool:
        """Close the last plan's account and open the next one's."""
        self.close(moment.step)
        self.evaluations += 1
        self.open(moment)
        return False

    def open(self, moment: Moment) -> None:
        """Fill the meter for what is played from now on."""
        raise NotImplementedError

    def changing(self) -> dict[str, NDArray[Any]]:
        """Return the arrays that the account goes on from, none named as one of the run's."""
        return {"worth": self.meter.table[:, :2], "due": self.meter.starts, "added": self.meter.total}

    def kept(self) -> dict[str, NDArray[Any]]:
        """Return all that the account goes on from."""
        counts = np.array([self.step, self.evaluations, self.bad, self.possible])
        return {**self.changing(), "counts": counts, "sums": np.array([self.low, self.high, self.width])}

    def restore(self, saved: Arrays) -> None:
        """Go on from there."""
        counts, sums = np.zeros(4, np.int64), np.zeros(3)
        take_up(saved, {**self.changing(), "counts": counts, "sums": sums})
        self.step, self.evaluations, self.bad, self.possible = counts.tolist()
        self.low, self.high, self.width = sums.tolist()


class _Continuing(_Account):
    """Steps with V^pi(s_t) < V*(s_t) - epsilon, and e_t."""

    def __init__(self, mdp: TabularMDP, epsilon: float) -> None:
        super().__init__(mdp, epsilon)
        n_states = mdp.n_states
        self.best = solve(mdp, tol=fine(epsilon))
        # Outwards, so that a comparison with them is never right by rounding.
        self.below = np.nextafter(self.best.lower - epsilon, -np.inf)
        self.enough = np.nextafter(self.best.upper - epsilon, np.inf)
        self.values, self.exploring = np.array([self.best.value] * 2), np.ones(n_states)
        self.changes = np.empty(3), np.empty(2)
        self.alive, self.stop = np.zeros_like(self.probability), np.ones(len(self.reward))
        self.base = np.arange(n_states) * mdp.n_actions
        # From V_max to 2^-57 of it.
        self.limit = 3 + (math.ceil(-40 / math.log(mdp.discount)) if mdp.discount > 0 else 0)

    def open(self, moment: Moment) -> None:
        """Evaluate what is played."""
        mdp, play, unknown = self.mdp, moment.play, moment.unknown
        if len(unknown) == mdp.n_states:  # counts are pooled over actions, or there is one action
            unknown = np.repeat(unknown, mdp.n_actions)
        kernels.know(unknown, self.probability, self.alive, self.stop)
        rows = self._mixed(play) if play.ndim == 2 else self._pure(play)
        successor, probability, alive, reward, stop, row = rows
        gap = self.below, self.enough
        ends = self._value((successor, probability, reward, row))
        shift = self._exploring((successor, alive, stop, row))
        kernels.enter(self.values[0], *gap, *ends, MARK, self.exploring, shift, self.meter.table)

    def _pure(self, play: Int) -> tuple[Any, ...]:
        """Return the rows of all pairs, and which of them is played in each state (S,)."""
        return self.successor, self.probability, self.alive, self.reward, self.stop, self.base + play

    def _mixed(self, play: Float) -> tuple[Any, ...]:
        """Return one row for each state, averaged over its actions (S, A)."""
        mdp = self.mdp
        shape = (mdp.n_states, mdp.n_actions * mdp.branching)
        weight = play.reshape(-1, 1)
        self.certify.terms = max(self.certify.terms, 2 * shape[1] + 10)
        return (
            self.successor.reshape(shape),
            (self.probability * weight).reshape(shape),
            (self.alive * weight).reshape(shape),
            (self.reward.reshape(play.shape) * play).sum(axis=1),
            (self.stop.reshape(play.shape) * play).sum(axis=1),
            np.arange(mdp.n_states),
        )

    def _value(self, rows: tuple[Any, Any, Any, Any]) -> tuple[float, float]:
        """Evaluate what is played; return what the upper and the lower ends of the brackets add to the values."""
        end = fine(self.epsilon), self.limit
        gap = self.below, self.enough
        new = kernels.settle_value(*rows, self.mdp.discount, *gap, *end, self.values, self.changes[0])
        self.values[0] = self.values[new]
        change = Change(*self.changes[0].tolist())
        margins = self.certify.margins(change)
        if margins is None:  # beyond the range of floats: nothing is decided
            return math.nan, math.nan
        # Outwards by more than the few operations that follow round.
        rounding = 16 * UNIT_ROUNDOFF * (change.largest + abs(change.least) + abs(change.most))
        return margins.high + rounding, margins.low - rounding

    def _exploring(self, rows: tuple[Any, Any, Any, Any]) -> float:
        """Evaluate e; return what leads from it to the lower ends."""
        end = EXPLORING_TOL, self.limit
        if not kernels.settle_exploring(*rows, self.mdp.discount, *end, self.exploring, self.changes[1]):
            self.width = 0.0
            return -math.inf
        least, most = self.changes[1].tolist()
        factor = self.certify.factors[1]
        margin = 2 * (self.certify.terms * UNIT_ROUNDOFF + self.certify.defect) * (1 + 2 * factor)
        self.width = factor * (most - least) + 2 * margin
        return factor * least - margin

    def changing(self) -> dict[str, NDArray[Any]]:
        """Return also the values, which the next evaluation starts from, and what is known."""
        known = {"alive": self.alive, "stop": self.stop}
        return {**super().changing(), **known, "evaluated": self.values, "exploring": self.exploring}

    def final_loss(self, play: NDArray[Any]) -> tuple[float, float]:
        """Return both ends of the largest loss of what is played."""
        return largest_loss(self.mdp, self.best, play, fine(self.epsilon))


def _loss(best_low: Float, best_high: Float, low: Float, high: Float) -> tuple[float, float]:
    """Return both ends of max (V* - V), rounded outwards."""
    least, most = float((best_low - high).max()), float((best_high - low).max())
    return max(0.0, math.nextafter(least, -math.inf)), max(0.0, math.nextafter(most, math.inf))


def largest_loss(mdp: TabularMDP, best: Solution, play: NDArray[Any], tol: float) -> tuple[float, float]:
    """Return both ends of the largest V*(s) - V^pi(s) of a policy, `best` being the solution of the MDP."""
    found = evaluate_policy(mdp, play, tol=tol)
    return _loss(best.lower, best.upper, found.lower, found.upper)


class _Episodic(_Account):
    """Episodes with V_T^pi(s) < V_T*(s) - epsilon at their start s, pi what is played when they begin."""

    def __init__(self, mdp: TabularMDP, epsilon: float, horizon: int) -> None:
        super().__init__(mdp, epsilon)
        best = np.zeros(mdp.n_states)
        size = max(map(abs, mdp.reward_range))
        # The computed return of j + 1 steps is off by discount times that of j steps and one backup's rounding.
        self.error = largest = 0.0
        for _ in range(horizon):
            one = (self.certify.terms * UNIT_ROUNDOFF + mdp.row_defect) * (size + mdp.discount * largest) * (1 + 1e-9)
            self.error = (mdp.discount * self.error + one + self.certify.terms * SMALLEST) * (1 + 1e-15)
            best = mdp.backup(best).max(axis=1)
            largest = float(np.abs(best).max()) + self.error
        self.best = best
        self.below = np.nextafter(best - epsilon - 2 * self.error, -np.inf)
        self.enough = np.nextafter(best - epsilon + 2 * self.error, np.inf)
        self.value, self.spare = np.empty(mdp.n_states), np.empty(mdp.n_states)

    def evaluate(self, play: Int) -> Float:
        """Return the return of T steps from every state."""
        mdp = self.mdp
        rows = (self.successor, self.probability, self.reward)
        kernels.staged_return(*rows, play, mdp.discount, self.value, self.spare)
        return self.value

    def open(self, moment: Moment) -> None:
        """Mark the starts whose episode falls short."""
        value = self.evaluate(moment.play)
        bad = value < self.below
        undecided = ~bad & (value < self.enough)
        self.meter.starts[:] = np.where(undecided, MARK, bad)

    def final_loss(self, play: Int) -> tuple[float, float]:
        """Return both ends of the largest loss of what is played."""
        value = self.evaluate(play)
        return _loss(self.best - self.error, self.best + self.error, value - self.error, value + self.error)


def final_play(trace: Trace) -> NDArray[Any]:
    """Return what the agent would play next: actions (S,) or (T, S), or probabilities (S, A)."""
    if isinstance(trace.agent, PaperRmax) and trace.action_probabilities is not None:
        return trace.action_probabilities
    return trace.policy


def ledger(
    process: WindowMetaGame | PolicyMetaGame | TabularMDP,
    agent: Agent,
    *,
    epsilon: float | None = None,
    delta: float | None = None,
    episodes: int | None = None,
    steps: int | None = None,
    horizon: int | None = None,
    starts: ArrayLike | None = None,
    bins: int | None = None,
    rng: Seed = None,
    progress: Callable[[int], None] | None = None,
    leg: Leg | None = None,
) -> Ledger:
    """Run an agent and count its steps that are not epsilon-optimal.

    What is counted are steps with V^pi_t(s_t) < V*(s_t) - epsilon, for pi_t what is played at step t and the
    discounted return without end, restarts or not; where the agent plans for episodes (T1-ep), episodes of which the
    policy at their start falls short of the best return of T steps by more than epsilon.

    Parameters
    ----------
    process : WindowMetaGame, PolicyMetaGame or TabularMDP
    agent : Rmax or PaperRmax
    epsilon, delta : float, optional
        Accuracy in units of value, and failure probability; default the agent's.
    episodes, steps, horizon, starts, bins, rng, progress, leg
        As for `rfos.rmax.run`: the same seed brings the same run as without a ledger.

    Returns
    -------
    Ledger

    Raises
    ------
    ValueError
        If epsilon is missing or out of range, or `run` refuses its arguments.
    MemoryError
        If the tables do not fit this machine.

    Examples
    --------
    One state, action 1 pays 1, discount 1/2: V* = 2, and until action 0 has been tried m = 3 times V^pi = 0. In these
    steps and the three of action 1 an unknown pair is taken, so that e = 1; after them e = 0.

    >>> from rfos.rmax import Rmax
    >>> found = ledger(TabularMDP([[0, 0]], [[0.0, 1.0]], 0.5), Rmax(m=3), epsilon=0.5, steps=100, rng=1)
    >>> found.count, found.undecided, found.final_is_optimal
    (3, 0, True)
    >>> found.theorem, found.bound, tuple(round(x, 9) for x in found.exploration)
    ("T1'", 6, (6.0, 6.0))
    """
    check_process(process)
    check_agent(agent)
    epsilon = agent.epsilon if epsilon is None else epsilon
    if epsilon is None:
        raise ValueError("epsilon is not given, nor does the agent have one: give the accuracy that is asked for")
    check_epsilon(epsilon)
    delta = agent.delta if delta is None else delta
    check_delta(delta)
    epsilon, delta = float(epsilon), float(delta)
    if isinstance(process, WindowMetaGame):
        horizon = process.horizon if horizon is None else horizon
    check_horizon(horizon)
    require_run(process, agent, horizon)
    require_memory(ledger_bytes(process, agent, horizon), "the ledger's tables", "use fewer states")
    if isinstance(process, PolicyMetaGame):
        process = process.to_mdp()
    markov = not isinstance(process, WindowMetaGame) or process.is_markov
    staged = not isinstance(agent, PaperRmax) and agent.planning == "episode" and horizon is not None
    require_accuracy(process, epsilon, horizon if staged else None)
    account: _Continuing | _Episodic | None = None
    if markov:
        mdp = process.to_mdp() if isinstance(process, WindowMetaGame) else process
        account = _Episodic(mdp, epsilon, int(horizon or 1)) if staged else _Continuing(mdp, epsilon)
    options: dict[str, Any] = {"episodes": episodes, "steps": steps, "horizon": horizon, "starts": starts}
    trace = run(process, agent, **options, bins=bins, rng=rng, progress=progress, watcher=account, leg=leg)
    promised = covering(
        process, agent, trace.m, epsilon=epsilon, delta=delta, horizon=horizon, uniform_starts=starts is None
    )
    exploration, loss = None, None
    if account is not None:
        account.close(trace.n_steps)
        loss = account.final_loss(final_play(trace))
        if isinstance(account, _Continuing):
            exploration = max(0.0, account.low), account.high
    kind = "V_T^pi < V_T* - epsilon at the start, returns of T steps" if staged else "V^pi(s) < V*(s) - epsilon"
    return Ledger(
        definition=f"{'episodes' if staged else 'steps'} with {kind}",
        unit="episodes" if staged else "steps",
        epsilon=float(epsilon),
        delta=float(delta),
        theorem=promised.theorem,
        reason=promised.reason,
        count=None if account is None else account.bad,
        undecided=None if account is None else account.possible - account.bad,
        bound=promised.count,
        exploration=exploration,
        exploration_bound=promised.exploration,
        final_loss=loss,
        evaluations=0 if account is None else account.evaluations,
        trace=trace,
    )
