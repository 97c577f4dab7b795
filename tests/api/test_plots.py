"""Figures: into axes that are given or their own, from tables and from traces, with labelled axes."""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from matplotlib.axes import Axes
from matplotlib.figure import Figure

import rfos
from rfos import plots
from rfos.games.named import matching_pennies
from rfos.games.stochastic import one_shot
from rfos.laboratory import bands

TABLES = {
    "learning_curves": (
        plots.learning_curves,
        (pd.DataFrame({"window": 2, "episode": [1.0, 10.0], "mean": [0.5, 0.6], "low": 0.4, "high": 0.7}),),
    ),
    "sweep_curves": (
        plots.sweep_curves,
        (pd.DataFrame({"label": "w", "steps": [1.0, 10.0], "mean": [0.5, 0.6], "low": 0.4, "high": 0.7}),),
    ),
    "marco_curves": (
        plots.marco_curves,
        (
            pd.DataFrame(
                {"title": "MARCO", "seed": 0, "episodes": [1, 2], "value": 0.5, "bracket_low": 0.0, "bracket_high": 1.0}
            ),
        ),
    ),
    "scaling": (
        plots.scaling,
        (
            pd.DataFrame([{"held": "m 1", "slope": 2.0}]),
            pd.DataFrame(
                [{"fit": 0, "x": x, "middle": 3.0, "lowest": 2.0, "highest": 4.0, "log10_bound": 1.0} for x in (1, 2)]
            ),
            "window",
            "meta-steps",
        ),
    ),
}


def traces(horizon=10, windows=(1,), seeds=2, m=3, steps=2000, bins=40):
    """Runs by a label, of as many meta-states as the windows have."""
    found = {}
    for window in windows:
        game = rfos.WindowMetaGame(matching_pennies(), rfos.WindowQLearner(), window, 0.8, horizon)
        agent = rfos.Rmax(m=m, epsilon=0.8)
        found[f"window {window}"] = [rfos.run(game, agent, steps=steps, rng=i, bins=bins) for i in range(seeds)]
    return found


@pytest.mark.parametrize("name", TABLES)
def test_figures_are_made_only_where_no_axes_are_given(name):
    draw, arguments = TABLES[name]
    alone = draw(*arguments)
    assert isinstance(plots.figure_of(alone), Figure)
    figure = Figure()
    mine = figure.subplots()
    assert draw(*arguments, ax=mine) is mine
    assert plots.figure_of(mine) is figure
    assert not figure.legends
    assert mine.get_legend() is not None
    assert not plt.get_fignums(), "no figure is left open in pyplot"


@pytest.mark.parametrize("name", TABLES)
def test_axes_say_what_they_show(name):
    draw, arguments = TABLES[name]
    axes = draw(*arguments)
    assert axes.get_xlabel()
    assert axes.get_ylabel()


@pytest.mark.parametrize("name", TABLES)
def test_what_is_not_axes_is_told_what_makes_some(name):
    draw, arguments = TABLES[name]
    with pytest.raises(TypeError, match=r"ax is a Figure, not an Axes: matplotlib.pyplot.subplots\(\) makes"):
        draw(*arguments, ax=Figure())


@pytest.mark.parametrize("given", ["one", "list", "dict"])
@pytest.mark.parametrize("draw", [plots.learning_curves, plots.sweep_curves, plots.episodes_against_states])
def test_traces_are_drawn_alone_in_lists_and_by_labels(draw, given):
    runs = traces()
    [several] = runs.values()
    axes = draw({"one": several[0], "list": several, "dict": runs}[given])
    assert isinstance(axes, Axes)
    labels = axes.get_legend_handles_labels()[1] or [t.get_text() for t in plots.figure_of(axes).legends[0].texts]
    assert len(labels) == 1
    assert ("window 1" in labels[0]) == (given == "dict")


def test_curves_of_traces_are_means_between_the_lowest_and_the_highest_run():
    """Computed anew: the last point averages the bins since the one before."""
    [runs] = traces(bins=4).values()
    table = bands.reward_bands(runs)
    rewards = np.array([one.mean_reward for one in runs])
    assert table["mean"].iloc[-1] == pytest.approx(rewards[:, -1].mean())
    assert (table["low"].iloc[-1], table["high"].iloc[-1]) == (rewards[:, -1].min(), rewards[:, -1].max())
    assert table["steps"].tolist()[0] == runs[0].bin_end[0] / 2


def test_episodes_are_counted_where_all_runs_have_the_same():
    """Steps over the horizon; meta-steps where there is none, or several."""
    axes = plots.learning_curves(traces())
    assert axes.get_xlabel() == "meta-episodes (10 inner steps each)"
    assert axes.lines[0].get_xdata()[-1] == pytest.approx((1950 + 2000) / 2 / 10, abs=10)
    for given in (traces(horizon=None), {**traces(), "other": traces(horizon=5)["window 1"]}):
        assert plots.learning_curves(given).get_xlabel() == "meta-steps"
        assert plots.episodes_against_states(given).get_ylabel() == "meta-steps"


def test_times_until_all_is_known_are_drawn_at_their_numbers_of_states():
    """4 and 16 meta-states; the middle is the mean of the runs, in episodes."""
    runs = traces(windows=(1, 2), steps=20_000)
    flat = [one for several in runs.values() for one in several]
    axes = plots.episodes_against_states(flat)
    x, y = axes.lines[0].get_data()
    assert list(x) == [4, 16]
    assert list(y) == [np.mean([one.all_known_at for one in several]) / 10 for several in runs.values()]


def test_traces_that_cannot_be_drawn_are_refused_by_what_they_lack():
    [runs] = traces().values()
    [short] = traces(m=1000, steps=100).values()
    with pytest.raises(ValueError, match="in no run all pairs became known: give more steps, or a smaller m"):
        plots.episodes_against_states(short)
    with pytest.raises(ValueError, match="runs of '' have different bins: give them labels of their own"):
        plots.learning_curves([runs[0], short[0]])
    with pytest.raises(TypeError, match=r"a trace is 5, not a Trace: give a Trace, a list of them, or a dict"):
        plots.learning_curves([5])
    with pytest.raises(ValueError, match="traces are none: give a Trace"):
        plots.sweep_curves([])


def test_a_trajectory_takes_an_axes_for_each_player_and_one_for_the_rewards():
    game = one_shot(matching_pennies())
    policies, rewards = [np.full((3, 1, 2), 0.5)] * 2, np.zeros((3, 2))
    panels = plots.shaping_trajectory(game, policies, rewards, "title")
    assert len(panels) == 3
    assert plots.figure_of(panels).get_suptitle() == "title"
    figure = Figure()
    mine = figure.subplots(3, 1)
    assert plots.shaping_trajectory(game, policies, rewards, "mine", axes=mine) == tuple(mine)
    assert mine[0].get_title() == "mine"
    assert [ax.get_xlabel() for ax in mine] == ["", "", "meta-step"]
    assert mine[2].get_ylabel() == "reward\nper inner step"
    with pytest.raises(ValueError, match=r"axes are 2 for 2 players and their rewards: .*subplots\(3\)"):
        plots.shaping_trajectory(game, policies, rewards, axes=mine[:2])


def test_the_figure_of_axes_in_a_part_of_a_figure_is_the_whole():
    figure = Figure()
    left, _ = figure.subfigures(1, 2)
    assert plots.figure_of(left.subplots()) is figure
