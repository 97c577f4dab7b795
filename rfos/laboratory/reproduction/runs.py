"""One run of the experiment, with its own random stream."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import asdict, dataclass

import numpy as np

from rfos.laboratory.reproduction.experiment import Experiment, agent_of, episodes_of, meta_game
from rfos.learning.run import run
from rfos.learning.trace import Trace


@dataclass(frozen=True)
class Run:
    """One run of an experiment: what is played, and with which seed."""

    game: str
    window: int
    epsilon: float
    seed: int
    agent: str
    opponent: str

    def key(self) -> tuple[int, ...]:
        """Return eight 32-bit words, the SHA-256 of the run's canonical JSON: its own random stream."""
        text = json.dumps(asdict(self), sort_keys=True, separators=(",", ":"))
        return tuple(int(word) for word in np.frombuffer(hashlib.sha256(text.encode()).digest(), ">u4"))


def play_run(experiment: Experiment, one: Run, bins: int, progress: Callable[[int], None]) -> Trace:
    """Return the trace of one run of the experiment."""
    game = meta_game(experiment, one.window)
    agent = agent_of(experiment, one.epsilon)
    episodes = episodes_of(game, agent)
    seeds = np.random.SeedSequence(experiment.seed, spawn_key=one.key())
    return run(game, agent, episodes=episodes, bins=min(bins, episodes), rng=seeds, progress=progress)
