"""What a sweep measures is in the game's own units, as in `run`."""

import json
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from rfos.games.named import named_game
from rfos.laboratory.sweeps.cells import Cell, canonical, meta_game
from rfos.laboratory.sweeps.fits import all_fits
from rfos.laboratory.sweeps.measures import measure
from rfos.laboratory.sweeps.rows import StoreRow
from rfos.laboratory.sweeps.spec import read_spec, without_verdict
from rfos.learning.agents import Rmax
from rfos.learning.ledger import ledger
from rfos.learning.run import run
from rfos.metagames.opponents import WindowQLearner
from rfos.metagames.window import WindowMetaGame

CELL = Cell(
    measure="run",
    game="chicken",
    opponent="window-q-learner",
    agent="rmax",
    epsilon=0.8,
    delta=0.2,
    discount=0.8,
    root=0,
    seed=0,
    window=1,
    steps=500,
    m=2,
)


@pytest.mark.parametrize(
    ("game", "span"),
    [("chicken", "101"), ("standard-prisoners-dilemma", "3"), ("matching-pennies", "1"), ("stag-hunt", "2")],
)
def test_the_range_of_rewards_of_a_cell_is_that_of_the_game(game, span):
    """Chicken pays from -100 to 1: r_max is 101, and not 1."""
    low, high = named_game(game).reward_range(0)
    assert high - low == Fraction(span)
    assert json.loads(measure(replace(CELL, game=game)).result)["r_max"] == span


def test_a_cell_is_the_run_that_a_user_makes():
    """The same game, opponent, agent and stream: the same rewards, and so the same meaning of epsilon."""
    found = json.loads(measure(CELL).result)
    played = WindowMetaGame(named_game("chicken"), WindowQLearner(), 1, 0.8)
    stream = np.random.SeedSequence(CELL.root, spawn_key=CELL.words)
    trace = run(played, Rmax(m=2, epsilon=0.8, delta=0.2), steps=500, bins=50, rng=stream)
    assert found["curve"]["reward"] == trace.mean_reward.tolist()
    assert min(found["curve"]["reward"]) < -1  # no reward of a scaled game


def test_epsilon_means_the_same_in_a_ledger_cell_as_in_a_ledger():
    """Chicken at epsilon 60: a policy that loses 50 is good enough in its own units, and none would be in [0, 1]."""
    cell = replace(CELL, measure="ledger", epsilon=60.0)
    found = json.loads(measure(cell).result)
    played = WindowMetaGame(named_game("chicken"), WindowQLearner(), 1, 0.8)
    stream = np.random.SeedSequence(cell.root, spawn_key=cell.words)
    direct = ledger(played, Rmax(m=2, epsilon=60.0, delta=0.2), steps=500, bins=1, rng=stream)
    assert (found["count"], found["undecided"]) == (direct.count, direct.undecided)


@pytest.mark.parametrize("name", ["states", "scaling"])
def test_the_shipped_specs_ask_for_the_same_share_of_each_games_range(name):
    """Epsilon is 0.4 of the range (0.1 to 0.8 where it is varied, and 0.8 in Matching Pennies' ledgers)."""
    for cell in read_spec(Path(name)).cells:
        low, high = named_game(cell.game).reward_range(0)
        assert round(cell.epsilon / (high - low), 5) in (0.1, 0.2, 0.4, 0.8)


def test_games_of_other_ranges_are_on_one_line_at_the_same_share_of_the_range():
    """Public goods of 2, 3 and 6 players span 1, 5/3 and 10/3: at 0.4 of these they are one line in the successors."""

    def line(epsilons, agent="rmax"):
        found = []
        for n, span in ((2, "1"), (3, "5/3"), (6, "10/3")):
            cell = replace(CELL, game=f"public-goods-{n}", window=6 // n, epsilon=epsilons[n], horizon=10, agent=agent)
            game = meta_game(cell)
            result = {"n_states": game.n_states, "n_actions": 2, "branching": game.branching, "r_max": span}
            result |= {"theorem": "X4", "m": 2, "steps": 100, "steps_all_known": 10 * n}
            found += [StoreRow("", "code", replace(cell, seed=i).name, canonical(result), None) for i in (0, 1)]
        return all_fits(found).fits.to_dict("records")

    shares = {2: 0.4, 3: 0.666667, 6: 1.33333}
    (fit,) = line(shares)
    assert (fit["variable"], fit["points"]) == ("branching", 3)
    assert line({2: 0.4, 3: 0.4, 6: 0.4}) == []  # they ask for different things
    assert line(shares, agent="rmax-paper-m") == []  # the paper's schedule does not look at the range


def test_two_values_on_an_axis_are_said_to_give_no_verdict():
    """Three do; so does an axis that has three somewhere, and one value is no axis."""
    two = [replace(CELL, window=window, epsilon=epsilon) for window in (1, 2) for epsilon in (0.1, 0.2, 0.4)]
    assert without_verdict(two) == ["window has 2 values where all else is equal: a verdict beside a bound needs 3"]
    assert without_verdict([*two, replace(CELL, window=3, epsilon=0.1)]) == []
    assert without_verdict([replace(CELL, seed=seed) for seed in (0, 1)]) == []
