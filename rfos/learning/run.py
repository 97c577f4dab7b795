"""Playing an agent in an environment."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from rfos._system import checks
from rfos._system.arrays import Int, hand_over
from rfos._system.checkpoints import Checkpoint, take_up, within
from rfos._system.memory import require_memory
from rfos._system.randomness import Seed
from rfos.learning.agents import PaperRmax, Rmax
from rfos.learning.coverage import check_fit, coverage, derived_m
from rfos.learning.environment import Environment, Process, as_environment
from rfos.learning.kernel_play import KernelPlay
from rfos.learning.observer import Observer, PlanEvent
from rfos.learning.play import Play
from rfos.learning.player import Agent, check_agent, visits_asked
from rfos.learning.python_play import PythonPlay
from rfos.learning.trace import Trace
from rfos.metagames.window import CONTINUING, WindowMetaGame

LONGEST_CALL = 10**7
"""Steps that are played before `run` looks up, so that a run can be watched and interrupted."""


def run_bytes(environment: Environment, agent: Agent) -> int:
    """Return an upper estimate of all that a run allocates, tables of the process included, in Python integers."""
    process = environment.process
    n_states, pairs = process.n_states, process.n_states * process.n_actions
    stages = int(environment.horizon or 1) if isinstance(agent, Rmax) and agent.planning == "episode" else 1
    # Values of states, their spare, and starts as they are checked; each policy once more when it is told.
    needed = n_states * (40 + 16 * stages)
    # Values of pairs and the probabilities of play; thresholds of the softmax and what they are made of.
    needed += pairs * (48 if isinstance(agent, PaperRmax) else 16)
    if isinstance(process, WindowMetaGame):
        # Visits of pairs, when each became known, and counts of branches; only the opponents' play is kept of the MDP.
        return needed + process.world_bytes + pairs * (8 * process.branching + 16)
    # Per branch: three tables as they come, four for the kernel with one in between, and a count. Per pair: as above.
    return needed + pairs * (72 * process.branching + 16)


def require_run(environment: Environment, agent: Agent) -> None:
    """Raise MemoryError unless a run fits, before anything is allocated or a policy meta-game is even filled."""
    process = environment.process
    if isinstance(agent, Rmax) and agent.planning == "episode":
        stages = int(environment.horizon or 1)
        what = f"a policy of {stages} stages"
        require_memory(stages * process.n_states * 8, what, "choose a shorter horizon")
    needed = run_bytes(environment, agent)
    if isinstance(process, WindowMetaGame):
        process.index.require(needed)
    else:
        require_memory(needed, "R-max's table of all branches", "use fewer states or levels")


def _bin_ends(environment: Environment, episodes: int | None, steps: int | None, bins: int | None) -> Int:
    """Return the steps done at the end of each bin, shape (bins,), of a run whose length may be given in two ways."""
    horizon = environment.horizon
    if (episodes is None) == (steps is None):
        raise ValueError("give the length of the run once, as episodes or as steps")
    if episodes is not None and horizon is None:
        raise ValueError("the run has no horizon: give its length in steps")
    unit = horizon if episodes is not None and horizon is not None else 1
    units = checks.whole("episodes", episodes) if steps is None else checks.whole("steps", steps)
    if units * unit >= CONTINUING:
        length = checks.shown(units * unit)
        raise ValueError(f"the run is {length} steps long, above the limit of {CONTINUING - 1}: shorten it")
    bins = min(100, units) if bins is None else checks.whole("bins", bins)
    if bins > units:
        raise ValueError(f"bins is {checks.shown(bins)}: give a whole number from 1 to the length of the run, {units}")
    return np.array([units * (i + 1) // bins * unit for i in range(bins)], np.int64)


class _Loop:
    """The bins of a run, filled while it goes on."""

    def __init__(self, play: Play, bin_end: Int, observer: Observer | None, checkpoint: Checkpoint | None) -> None:
        self.play, self.bin_end, self.observer, self.checkpoint = play, bin_end, observer, checkpoint
        self.mean_reward, self.known = np.zeros(len(bin_end)), np.zeros(len(bin_end), np.int64)
        # The bin under way, the steps at its beginning and when `run` last looked up, and the plans.
        self.bin = self.first = self.before = self.plans = 0
        self.ended = False
        # A play that cannot be left has no checkpoints.
        self.keeps = play.saved() is not None

    def tell(self) -> bool:
        """Tell the observer what is played and what is unknown; return whether the run may end here."""
        if self.observer is None:
            return False
        step, _, state = self.play.position.tolist()
        return self.observer.on_plan(PlanEvent(step, state, self.play.playing(), self.play.unknown()))

    def changing(self) -> dict[str, NDArray[Any]]:
        """Return the arrays that change while the run goes on."""
        return {**(self.play.saved() or {}), "mean_reward": self.mean_reward, "known": self.known}

    def begin(self) -> None:
        """Begin the run, or go on from where it was left."""
        if self.checkpoint is None or not self.checkpoint.saved or not self.keeps:
            self.tell()
            return
        loop = np.zeros(4, np.int64)
        take_up(self.checkpoint.saved, {**self.changing(), "loop": loop})
        if self.observer is not None:
            self.observer.restore(self.checkpoint.saved)
        self.bin, self.first, self.before, self.plans = loop.tolist()
        within("bin", loop[:1], 0, len(self.bin_end) - 1)
        end = int(self.bin_end[self.bin])
        within("steps", self.play.position[:1], self.before, end)
        within("steps before", loop[1:3], 0, end)
        self.play.check_restored()

    def leave_if_over(self) -> None:
        """Leave the run where a checkpoint is due."""
        if self.checkpoint is not None and self.keeps and not self.ended and self.checkpoint.due():
            noted = {} if self.observer is None else self.observer.state()
            loop = np.array([self.bin, self.first, self.before, self.plans])
            self.checkpoint.leave({**self.changing(), **noted, "loop": loop})

    def fill(self, progress: Callable[[int], None] | None) -> None:
        """Play one bin."""
        play, end = self.play, int(self.bin_end[self.bin])
        while self.before < end and not self.ended:
            stop = min(end, self.before + LONGEST_CALL)
            while play.position[0] < stop and not self.ended:
                change = play.advance(stop)
                if change is not None:
                    self.plans += change == "plan"
                    self.ended = self.tell()
                self.leave_if_over()
            if progress is not None:
                progress(int(play.position[0]) - self.before)
            self.before = int(play.position[0])
        self.bin_end[self.bin] = self.before
        self.mean_reward[self.bin] = play.total[0] / (self.before - self.first)
        self.known[self.bin] = play.known()
        play.total[0], self.first = 0.0, self.before
        self.bin += 1


def run(
    process: Environment | Process,
    agent: Agent,
    *,
    episodes: int | None = None,
    steps: int | None = None,
    horizon: int | None = None,
    starts: ArrayLike | None = None,
    bins: int | None = None,
    rng: Seed = None,
    progress: Callable[[int], None] | None = None,
    observer: Observer | None = None,
    checkpoint: Checkpoint | None = None,
) -> Trace:
    """Run an agent in a meta-game or an MDP and return what it learned.

    Memory does not grow with the number of steps: rewards are binned while the run goes on.

    Parameters
    ----------
    process : Environment, WindowMetaGame, PolicyMetaGame or TabularMDP
    agent : Rmax, PaperRmax or Agent
        The package's own run in kernels. An object of one's own, with ``begin(environment, rng) -> player``, runs in a
        loop of Python that takes about one microsecond a step beside the player's own time.
    episodes, steps : int
        Length of the run: one of the two; `episodes` needs a horizon.
    horizon, starts
        As of an `Environment`, where a process is given.
    bins : int, optional
        Number of bins of (nearly) equal length; default 100, or the length of the run if that is less.
    rng : int, SeedSequence or Generator, optional
        The same seed brings the same bytes.
    progress : callable, optional
        Called with the number of steps just played, at each bin's end and at least every ten million steps; an
        exception raised in it ends the run.
    observer : Observer, optional
        Told of each plan, and where an agent of one's own goes on as before of each change of what is unknown to it;
        where it answers that the run may end, the run ends there, and so does its trace.
    checkpoint : Checkpoint, optional
        For sweeps: where the run was left, and when it is to be left again. However often that is, the last
        trace is that of the whole run, but for its seconds. A run of an agent of one's own is not left.

    Returns
    -------
    Trace

    Raises
    ------
    Unfinished
        If it is left at a checkpoint before the run is over.
    ValueError
        If a length, the horizon, a start or the number of bins is out of range, or what a player returns is not an
        action or a policy, its actions are not those of its policy, or it does not say that its policy changed.
    MemoryError
        If the tables do not fit this machine; nothing is allocated then.

    Examples
    --------
    One state, action 1 pays: R-max tries each action m = 3 times and keeps to the better.

    >>> from rfos import Rmax, TabularMDP
    >>> trace = run(TabularMDP([[0, 0]], [[0.0, 1.0]], 0.5), Rmax(m=3), steps=100, bins=2, rng=1)
    >>> trace.policy.tolist(), trace.known.tolist(), trace.mean_reward.tolist()
    ([1], [2, 2], [0.94, 1.0])
    """
    environment = as_environment(process, horizon, starts)
    check_agent(agent)
    require_run(environment, agent)
    check_fit(environment, agent)
    bin_end = _bin_ends(environment, episodes, steps, bins)
    if progress is not None:
        checks.function("progress", progress, "give a function of the number of steps just played, or None")
    if observer is not None:
        mend = "give an object with on_plan(event), such as a rfos.learning.observer.Observer"
        checks.offers("observer", observer, "an observer", ("step_costs", "on_plan"), mend)
    play: Play
    if isinstance(agent, Rmax | PaperRmax):
        m: int | None = derived_m(environment, agent)
        play = KernelPlay(environment, agent, m or 1, rng, observer)
    else:
        m = visits_asked(agent)
        play = PythonPlay(environment, agent, rng, observer)
    began = time.thread_time()
    loop = _Loop(play, bin_end, observer, checkpoint)
    loop.begin()
    while loop.bin < len(bin_end) and not loop.ended:
        loop.fill(progress)
    learned = play.learned()._asdict()
    allowed = learned.pop("allowed")
    owned: dict[str, Any] = {name: None if array is None else hand_over(array) for name, array in learned.items()}
    return Trace(
        agent=agent,
        m=m,
        coverage=coverage(environment, agent),
        horizon=environment.horizon,
        n_steps=int(play.position[0]),
        bin_end=loop.bin_end[: loop.bin],
        mean_reward=loop.mean_reward[: loop.bin],
        known=loop.known[: loop.bin],
        plans=loop.plans,
        seconds=time.thread_time() - began,
        allowed=allowed,
        **owned,
    )
