"""Playing an agent in an environment."""

from __future__ import annotations

import time
from collections.abc import Callable

import numpy as np
from numpy.typing import ArrayLike

from rfos._kernels import rmax as kernels
from rfos._system import checks
from rfos._system.arrays import Int, hand_over
from rfos._system.checkpoints import Leg, take_up, within
from rfos._system.memory import require_memory
from rfos._system.randomness import Seed, stream
from rfos.learning.agents import Agent, PaperRmax, Rmax, check_agent
from rfos.learning.environment import Played, Process, check_process, played, reveals, start_law
from rfos.learning.observer import Moment, Watcher, check_meter
from rfos.learning.planners import OptimisticPlanner, SoftmaxPlanner
from rfos.learning.theorems import check_fit, coverage, derived_m
from rfos.learning.trace import Trace
from rfos.metagames.window import CONTINUING, WindowMetaGame, check_horizon
from rfos.planning.mdp import TabularMDP
from rfos.planning.storages import thresholds

LONGEST_CALL = 10**7
"""Steps that a kernel plays before Python looks up, so that a run can be watched and interrupted."""


def run_bytes(process: Process, agent: Agent, horizon: int | None = None) -> int:
    """Return an upper estimate of all that a run allocates, tables of the process included, in Python integers."""
    n_states, pairs = process.n_states, process.n_states * process.n_actions
    stages = int(horizon or 1) if isinstance(agent, Rmax) and agent.planning == "episode" else 1
    # Values of states, their spare, and starts as they are checked; each policy once more when it is told.
    needed = n_states * (40 + 16 * stages)
    # Values of pairs and the probabilities of play; thresholds of the softmax and what they are made of.
    needed += pairs * (48 if isinstance(agent, PaperRmax) else 16)
    if isinstance(process, WindowMetaGame):
        # Visits of pairs, when each became known, and counts of branches; only the opponents' play is kept of the MDP.
        return needed + process.world_bytes + pairs * (8 * process.branching + 16)
    # Per branch: three tables as they come, four for the kernel with one in between, and a count. Per pair: as above.
    return needed + pairs * (72 * process.branching + 16)


def require_run(process: Process, agent: Agent, horizon: int | None) -> None:
    """Raise MemoryError unless a run fits, before anything is allocated or a policy meta-game is even filled."""
    if isinstance(agent, Rmax) and agent.planning == "episode":
        stages = int(horizon or 1)
        what = f"a policy of {stages} stages"
        require_memory(stages * process.n_states * 8, what, "choose a shorter horizon")
    needed = run_bytes(process, agent, horizon)
    if isinstance(process, WindowMetaGame):
        process.index.require(needed)
    else:
        require_memory(needed, "R-max's table of all branches", "use fewer states or levels")


def world_of(
    process: Played, horizon: int | None, starts: ArrayLike | None
) -> tuple[kernels.World, kernels.Learners | None]:
    """Return the kernel's world and the learners with a hidden state, or None."""
    if isinstance(process, WindowMetaGame):
        world, learners = process.world(), process.learners()
    else:
        successor, probability, reward = process.storage.branches(process.rewards)
        learners = None
        world = kernels.World(
            # Copies: views would be read-only here and not there, and every kernel would be compiled for both.
            np.array(successor),
            np.array(reward),
            thresholds(probability),
            np.array(probability) if reveals(process) else np.zeros((0, 0)),
            np.arange(process.n_states),
            0,
        )
    world = world._replace(
        starts=start_states(process, starts), horizon=CONTINUING if horizon is None else int(horizon)
    )
    return world, learners


def start_states(process: Played, starts: ArrayLike | None) -> Int:
    """Return the meta-states that episodes start in, shape (n_starts,), default all."""
    chosen = np.arange(process.n_states) if starts is None else np.array(starts, ndmin=1)
    whole = chosen.dtype.kind in "iu" and chosen.ndim == 1 and chosen.size > 0
    if not whole or chosen.min() < 0 or chosen.max() >= process.n_states:
        raise ValueError(f"starts are {starts!r}: give a list of meta-states from 0 to {process.n_states - 1}")
    result: Int = chosen.astype(np.int64)
    return result


def _check_taken_up(
    process: Played,
    behaviour: kernels.Behaviour,
    memory: kernels.Memory,
    position: Int,
    horizon: int,
    bin_end: Int,
    loop: tuple[int, int, int],
) -> None:
    """Raise MisfitError unless all that kernels index with, taken up from a checkpoint, lies in its range."""
    i, first, before = loop
    within("bin", np.array(i), 0, len(bin_end) - 1)
    within("steps", position[:1], before, int(bin_end[i]))
    within("steps before", np.array([first, before]), 0, int(bin_end[i]))
    within("step of the episode", position[1:2], 0, horizon - 1)
    within("state", position[2:], 0, process.n_states - 1)
    within("visits", memory.visits, 0, memory.m)
    within("branches", memory.branches, 0, memory.m)
    within("known_at", memory.known_at, 0, int(position[0]))
    if not behaviour.drawn:
        within("play", behaviour.action, 0, process.n_actions - 1)


def run(
    process: Process,
    agent: Agent,
    *,
    episodes: int | None = None,
    steps: int | None = None,
    horizon: int | None = None,
    starts: ArrayLike | None = None,
    bins: int | None = None,
    rng: Seed = None,
    progress: Callable[[int], None] | None = None,
    watcher: Watcher | None = None,
    leg: Leg | None = None,
) -> Trace:
    """Run an agent in a meta-game or an MDP and return what it learned.

    Memory does not grow with the number of steps: rewards are binned while the run goes on.

    Parameters
    ----------
    process : WindowMetaGame, PolicyMetaGame or TabularMDP
        A policy meta-game is played as its MDP, the opponents rounded: T2 holds for that one only.
    agent : Rmax or PaperRmax
    episodes, steps : int
        Length of the run: one of the two; `episodes` needs a horizon.
    horizon : int, optional
        Steps per episode; default that of the meta-game, for an MDP none (no restarts).
    starts : array_like of int, optional
        Meta-states that episodes start in, uniformly; default all, or by the law of an MDP with `starts`.
    bins : int, optional
        Number of bins of (nearly) equal length; default 100, or the length of the run if that is less.
    rng : int, SeedSequence or Generator, optional
        The same seed brings the same bytes.
    progress : callable, optional
        Called with the number of steps just played, at each bin's end and at least every ten million steps; an
        exception raised in it ends the run.
    watcher : Watcher, optional
        Told of each plan; where it answers that the run may end, the run ends there, and so does its trace.
    leg : Leg, optional
        For sweeps: where the run was left, and when it is to be left again. However often that is, the trace of the
        last leg is that of the whole run, but for its seconds.

    Returns
    -------
    Trace

    Raises
    ------
    Unfinished
        If the leg is over before the run is.
    ValueError
        If a length, the horizon, a start or the number of bins is out of range.
    MemoryError
        If the tables do not fit this machine; nothing is allocated then.

    Examples
    --------
    One state, action 1 pays: R-max tries each action m = 3 times and keeps to the better.

    >>> trace = run(TabularMDP([[0, 0]], [[0.0, 1.0]], 0.5), Rmax(m=3), steps=100, bins=2, rng=1)
    >>> trace.policy.tolist(), trace.known.tolist(), trace.mean_reward.tolist()
    ([1], [2, 2], [0.94, 1.0])
    """
    check_process(process)
    check_agent(agent)
    if horizon is None and isinstance(process, WindowMetaGame):
        horizon = process.horizon
    check_horizon(horizon)
    require_run(process, agent, horizon)
    process = played(process)
    check_fit(process, agent, horizon)
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
    if progress is not None:
        checks.function("progress", progress, "give a function of the number of steps just played, or None")
    if watcher is not None:
        checks.offers(
            "watcher",
            watcher,
            "a watcher",
            ("meter", "told"),
            "give an object with told(moment), such as a rfos.rmax.Watcher",
        )
    if bins > units:
        raise ValueError(f"bins is {checks.shown(bins)}: give a whole number from 1 to the length of the run, {units}")
    uniform = starts is None
    m = derived_m(process, agent, horizon=horizon, uniform_starts=uniform)
    world, learners = world_of(process, horizon, starts)
    own_law = start_law(process) if uniform else None
    law = None if own_law is None else thresholds(own_law)
    pooled = isinstance(agent, Rmax) and agent.pooled
    rows = process.n_states if pooled else process.n_states * process.n_actions
    memory = kernels.Memory(
        np.zeros(rows, np.int64),
        np.zeros((rows, process.branching), np.int64),
        np.zeros(rows, np.int64),
        min(m, CONTINUING),  # no run is longer, so a larger m is never reached either
        pooled,
    )
    closed = ~process.allowed.ravel() if isinstance(process, TabularMDP) and process.allowed is not None else None
    if closed is not None:
        # The model that is planned for knows from the start that these pairs pay -inf.
        memory.visits[closed] = memory.branches[closed, 0] = memory.m
    planner = (
        SoftmaxPlanner(process, agent, world, memory)
        if isinstance(agent, PaperRmax)
        else OptimisticPlanner(process, agent, world, memory, horizon)
    )
    bin_end = np.array([units * (i + 1) // bins * unit for i in range(bins)], np.int64)
    mean_reward = np.zeros(bins)
    known = np.zeros(bins, np.int64)
    position = np.zeros(3, np.int64)
    meter = None if watcher is None else watcher.meter
    if meter is not None:
        check_meter(meter, world.reward.shape, process.n_states)
        meter.table[:, 2:] = world.reward

    def tell() -> bool:
        if watcher is None:
            return False
        return watcher.told(Moment(int(position[0]), int(position[2]), planner.play(), memory.visits < memory.m))

    state = stream(rng)
    total = np.zeros(1)
    # The bin under way, the steps at its beginning and at that of the kernel's call, and the plans.
    i = first = before = plans = 0
    changing = {
        **memory._asdict(),
        **planner.changing(),
        **({} if learners is None else {"learners": learners.q}),
        "position": position,
        "stream": state,
        "total": total,
        "mean_reward": mean_reward,
        "known": known,
    }
    del changing["m"], changing["pooled"]
    began = time.thread_time()
    ended = False
    if leg is not None and leg.saved:
        loop = np.zeros(4, np.int64)
        take_up(leg.saved, {**changing, "loop": loop})
        if watcher is not None:
            watcher.restore(leg.saved)
        i, first, before, plans = loop.tolist()
        _check_taken_up(process, planner.behaviour, memory, position, world.horizon, bin_end, (i, first, before))
    else:
        tell()
    while i < bins and not ended:
        end = int(bin_end[i])
        while before < end and not ended:
            stop = min(end, before + LONGEST_CALL)
            while position[0] < stop and not ended:
                if kernels.advance(
                    world, learners, planner.behaviour, memory, state, position, total, meter, law, stop
                ):
                    planner.plan()
                    plans += 1
                    ended = tell()
                if leg is not None and not ended and leg.over():
                    noted = {} if watcher is None else watcher.kept()
                    leg.leave({**changing, **noted, "loop": np.array([i, first, before, plans])})
            if progress is not None:
                progress(int(position[0]) - before)
            before = int(position[0])
        bin_end[i] = before
        mean_reward[i] = total[0] / (before - first)
        known[i] = np.count_nonzero(memory.known_at)
        total[0], first = 0.0, before
        i += 1
    if closed is not None:
        memory.visits[closed] = memory.branches[closed, 0] = 0
    probabilities = planner.action_probabilities()
    return Trace(
        agent=agent,
        m=m,
        coverage=coverage(process, agent, horizon=horizon, uniform_starts=uniform),
        horizon=horizon,
        n_steps=int(position[0]),
        bin_end=bin_end[:i],
        mean_reward=mean_reward[:i],
        known=known[:i],
        known_at=hand_over(memory.known_at),
        visits=hand_over(memory.visits),
        branch_counts=hand_over(memory.branches),
        q=hand_over(planner.q),
        policy=hand_over(planner.policy()),
        action_probabilities=None if probabilities is None else hand_over(probabilities),
        plans=plans,
        seconds=time.thread_time() - began,
        allowed=None if closed is None else ~closed,
    )
