"""The ledger of a run: the steps that are not epsilon-optimal, and the sum of e_t, counted while it goes on.

At each change of policy V^pi and e_t = E[discount^tau], tau = steps until an unknown pair is taken (P4), are evaluated
in the true MDP; in between, each step costs a look-up. Values come with certified brackets, so that a step is counted,
not counted, or undecided; nothing is rounded away.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from numpy.typing import ArrayLike, NDArray

from rfos._system.checkpoints import Checkpoint
from rfos._system.display import page
from rfos._system.memory import require_memory
from rfos._system.randomness import Seed
from rfos.learning.accounts import ContinuingAccount, EpisodicAccount, account_bytes
from rfos.learning.agents import PaperRmax, check_delta, check_epsilon
from rfos.learning.coverage import Coverage, guarantee, require_accuracy
from rfos.learning.environment import Environment, Process, as_environment
from rfos.learning.player import Agent, check_agent
from rfos.learning.run import require_run, run, run_bytes
from rfos.learning.theorems import BY_NAME, Assumption, TheoremName
from rfos.learning.trace import NOTHING_YET, Progress, Trace

if TYPE_CHECKING:
    import pandas as pd

DEFAULT_DELTA = 0.05
"""Failure probability where neither a call nor its agent has one."""


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
        Policies evaluated, one for each plan, and one more where pairs become known to an agent of one's own whose
        policy stays.
    trace : Trace
        The run.
    fails : Assumption or None
        The first assumption of a theorem that fails; None where one covers the run.
    """

    definition: str
    unit: str
    epsilon: float
    delta: float
    theorem: TheoremName | None
    reason: str
    count: int | None
    undecided: int | None
    bound: int | None
    exploration: tuple[float, float] | None
    exploration_bound: float | None
    final_loss: tuple[float, float] | None
    evaluations: int
    trace: Trace
    fails: Assumption | None = None

    @property
    def progress(self) -> Progress:
        """Whether no, some or all pairs became known in the run; where none did, the count says nothing yet."""
        return self.trace.progress

    def __repr__(self) -> str:
        """Return the numbers without the arrays of the run, and what covers it or why nothing does."""
        row = self.row()
        names = ("progress", "count", "undecided", "bound", "ratio", "final_is_optimal", "theorem", "m", "steps")
        said = f"Ledger({', '.join(f'{name}={row[name]!r}' for name in names)})"
        return f"{said}: {'; '.join(self._remarks())}"

    def _remarks(self) -> list[str]:
        """Return what is to be said of the numbers: what the theorem is or why there is none, and what means nothing.

        That the opponent's state is hidden is said once, be it the reason that no theorem covers the run or not.
        """
        remarks = [self.reason if self.theorem is None else f"{self.theorem} is {BY_NAME[self.theorem].title}"]
        if self.count is None and self.fails is not Assumption.MARKOV:
            remarks.append("there is no count, for the opponent's state is hidden and V* is no function of the window")
        return [*remarks, NOTHING_YET] if self.progress is Progress.NONE else remarks

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

    def to_frame(self) -> pd.DataFrame:
        """Return the result as a table of one row, so that tables of several runs can be put together.

        Returns
        -------
        DataFrame
            The columns are the names of `row`; the curve of the run is `trace.to_frame()`.
        """
        import pandas as pd

        return pd.DataFrame([self.row()])

    def _repr_html_(self) -> str:
        """Return the line, which theorem covers the run or what fails, and the numbers, for a notebook."""
        said = Coverage(self.theorem, self.reason)
        numbers = self.to_frame().drop(columns=["theorem", "reason"]).T.reset_index()
        return page(repr(self), numbers.set_axis(["quantity", "value"], axis=1), [f"Covered by {said}."])


def ledger_bytes(environment: Environment, agent: Agent) -> int:
    """Return an upper estimate of all that a ledger allocates, the run and the MDP of windows included."""
    return run_bytes(environment, agent) + account_bytes(environment.process)


def final_play(trace: Trace) -> NDArray[Any]:
    """Return what the agent would play next: actions (S,) or (T, S), or probabilities (S, A)."""
    if isinstance(trace.agent, PaperRmax) and trace.action_probabilities is not None:
        return trace.action_probabilities
    return trace.policy


def ledger(
    process: Environment | Process,
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
    checkpoint: Checkpoint | None = None,
) -> Ledger:
    """Run an agent and count its steps that are not epsilon-optimal.

    What is counted are steps with V^pi_t(s_t) < V*(s_t) - epsilon, for pi_t what is played at step t and the
    discounted return without end, restarts or not; where the agent plans for episodes (T1-ep), episodes of which the
    policy at their start falls short of the best return of T steps by more than epsilon.

    Parameters
    ----------
    process : Environment, WindowMetaGame, PolicyMetaGame or TabularMDP
    agent : Rmax, PaperRmax or Agent
        One's own, of which ``planning = "episode"`` says that it plans for episodes.
    epsilon, delta : float, optional
        Accuracy in units of value, and failure probability; default the agent's, of delta .05 where it has none.
    episodes, steps, horizon, starts, bins, rng, progress, checkpoint
        As for `run`: the same seed brings the same run as without a ledger.

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

    >>> from rfos import Rmax, TabularMDP
    >>> found = ledger(TabularMDP([[0, 0]], [[0.0, 1.0]], 0.5), Rmax(m=3), epsilon=0.5, steps=100, rng=1)
    >>> found.count, found.undecided, found.final_is_optimal
    (3, 0, True)
    >>> str(found.theorem), found.bound, tuple(round(x, 9) for x in found.exploration)
    ("T1'", 6, (6.0, 6.0))
    """
    environment = as_environment(process, horizon, starts)
    check_agent(agent)
    epsilon = getattr(agent, "epsilon", None) if epsilon is None else epsilon
    if epsilon is None:
        raise ValueError("epsilon is not given, nor does the agent have one: give the accuracy that is asked for")
    check_epsilon(epsilon)
    delta = getattr(agent, "delta", DEFAULT_DELTA) if delta is None else delta
    check_delta(delta)
    epsilon, delta = float(epsilon), float(delta)
    require_run(environment, agent)
    require_memory(ledger_bytes(environment, agent), "the ledger's tables", "use fewer states")
    staged = getattr(agent, "planning", None) == "episode" and environment.horizon is not None
    require_accuracy(environment, epsilon, environment.horizon if staged else None)
    account: ContinuingAccount | EpisodicAccount | None = None
    if environment.is_markov:
        mdp, steps_of_episode = environment.mdp, int(environment.horizon or 1)
        account = EpisodicAccount(mdp, epsilon, steps_of_episode) if staged else ContinuingAccount(mdp, epsilon)
    options: dict[str, Any] = {"episodes": episodes, "steps": steps, "bins": bins, "rng": rng, "progress": progress}
    trace = run(environment, agent, **options, observer=account, checkpoint=checkpoint)
    promised = guarantee(environment, agent, trace.m, epsilon=epsilon, delta=delta)
    exploration, loss = None, None
    if account is not None:
        account.close(trace.n_steps)
        loss = account.final_loss(final_play(trace))
        if isinstance(account, ContinuingAccount) and account.explores:
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
        fails=promised.fails,
    )
