"""What is compiled in advance is all that the package calls."""

import json
import sys

import pytest
from commands import run

from rfos._kernels import warm

CALLS = """
import json, sys
import numpy as np
from numba.core.registry import CPUDispatcher
from rfos._kernels import (dp, grids, learners, ledger as ledgers, policies, random, returns, rmax, team_play, teams,
                           warm)
from rfos import *
from rfos.games.named import matching_pennies
from rfos.games.stochastic import one_shot
from rfos.learning.ledger import ledger
from rfos.metagames.continuous import roll_out
from rfos.metagames.policy import PolicyMetaGame
from rfos.metagames.sizes import even_grid
from rfos.planning.evaluate import evaluate_policy
from rfos.teams.baselines import TITLES, baseline
from rfos.teams.marco import marco
from rfos.teams.plan import plan
from rfos.teams.tasks import task

dispatchers = {f"{m.__name__}.{n}": f for m in (dp, grids, learners, ledgers, policies, random, returns, rmax,
                                                team_play, teams)
               for n, f in vars(m).items() if isinstance(f, CPUDispatcher)}
for number in range(len(warm.SPECIALISATIONS)):
    warm.warm(number)
before = {name: len(f.overloads) for name, f in dispatchers.items()}

rng = np.random.default_rng(0)
P, R = rng.dirichlet(np.ones(30), (30, 2)), rng.normal(size=(30, 2))
made = [TabularMDP(P, R, 0.9), TabularMDP(rng.integers(30, size=(30, 2)), R, 0.9)]
exact = WindowMetaGame(matching_pennies(), WindowQLearner(), window=2, discount=0.8, horizon=5)
hidden = WindowMetaGame(matching_pennies(), QLearner(), window=2, discount=0.8, horizon=5)
game = one_shot(matching_pennies())
grid = even_grid(game, 0, 5)
policy_game = PolicyMetaGame(game, [NaiveLearner()], [grid, grid], 0.9)
for mdp in (*made, exact.to_mdp(), policy_game.to_mdp()):
    for method in ("auto", "value_iteration", "policy_iteration", "modified_policy_iteration"):
        solution = solve(mdp, method)
    evaluate_policy(mdp, solution.policy)
    run(mdp, Rmax(m=2), steps=200)
    run(mdp, PaperRmax(m=2), steps=200)
for meta_game in (exact, hidden):
    run(meta_game, Rmax(m=2), episodes=20)
    run(meta_game, Rmax(m=2, planning="episode"), episodes=20)
    run(meta_game, PaperRmax(m=2), episodes=20)
ledger(exact, Rmax(m=2), epsilon=0.5, episodes=20)
ledger(exact, PaperRmax(m=2), epsilon=0.5, delta=0.1, episodes=20)
for name in ("dec-tiger", "grid-small", "switch-riddle", "reference-game"):
    for policies_of in ("decentralised", "reactive", "joint"):
        for tol in (0, 0.1):
            plan(task(name, 2), policies_of, restarts=1, nodes=5, tol=tol)
ledger(made[0], Rmax(m=2, epsilon=0.5), steps=200)
channel = task("broadcast-channel", 2)
for known in (False, True):
    for rewards in ("known", "sampled"):
        marco(channel, epsilon=0.5, m=3, states="hindsight", known_start=known, rewards=rewards, episodes=20)
for method in TITLES:
    baseline(channel, method, epsilon=0.5, m=3, episodes=20)
json.dump([name for name, f in dispatchers.items() if len(f.overloads) > before[name]], sys.stdout)
"""


@pytest.mark.jit
@pytest.mark.processes
def test_what_the_package_calls_is_on_the_list():
    """With all that is listed loaded, solving, playing and counting compile nothing and load nothing."""
    done = run([sys.executable, "-W", "ignore", "-c", CALLS])
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == []


@pytest.mark.jit
@pytest.mark.processes
def test_the_second_time_there_is_nothing_to_compile():
    """It says how many kernels there are."""
    command = [sys.executable, "-m", "rfos._kernels.warm"]
    done = run(command)
    if ", 0 of them new" not in done.stderr:  # it was the first time
        done = run(command)
    assert (done.returncode, done.stderr) == (
        0,
        f"{len(warm.SPECIALISATIONS)} kernels are on the disk, 0 of them new\n",
    )
