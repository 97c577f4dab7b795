"""Results as figures: they draw what they are given and compute nothing.

Lines differ in style and lightness, not in hue alone, so that they stay legible in grey.
"""

from __future__ import annotations

import math
import textwrap
from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import NullLocator
from numpy.typing import NDArray

from rfos._system import arrays, checks
from rfos.games.stochastic import StochasticGame, is_iterated
from rfos.laboratory.reproduction.results import WindowResult, Yardstick

Float = NDArray[np.float64]

SHADES = ("#1b1b1b", "#2166ac", "#d6604d", "#7fbf7b", "#984ea3", "#999999")
DASHES = ("-", "--", "-.", ":", (0, (5, 1, 1, 1, 1, 1)), (0, (1, 3)))

LEGEND = 6
"""Most lines that a legend names."""

LABEL = 44
"""Most letters in a line of a legend."""


def learning_curves(
    bands: pd.DataFrame,
    yardsticks: Sequence[Yardstick] = (),
    official: pd.DataFrame | None = None,
    *,
    episode_length: int | None = None,
) -> Figure:
    """Draw mean reward per step against meta-episodes on a log axis, with a band from the lowest to the highest seed.

    Parameters
    ----------
    bands : DataFrame
        Columns window, episode, mean, low, high (`reproduction.curve_bands`).
    yardsticks : sequence of Yardstick
        Horizontal lines, rewards per step.
    official : DataFrame, optional
        The authors' own curve (`reproduction.official_curve`), drawn as points in the middle of its bins.
    episode_length : int, optional
        Inner steps of a meta-episode; the axis says how many where it is given.

    Returns
    -------
    Figure
    """
    columns = ("window", "episode", "mean", "low", "high")
    checks.frame(
        "bands",
        bands,
        columns,
        "curve_bands(report.curves, epsilon) of rfos.laboratory.reproduction makes one",
    )
    lines = checks.several("yardsticks", yardsticks, "give the yardsticks of a Report, or none")
    for yardstick in lines:
        members = ("name", "window", "reward", "low", "high")
        checks.offers("a yardstick", yardstick, "a Yardstick", members, "give those of a Report")
    if official is not None:
        checks.frame("official", official, (), "official_curve() of rfos.laboratory.reproduction makes one")
    figure = Figure(figsize=(7.2, 4.4), layout="constrained")
    axes = figure.subplots()
    for i, (window, band) in enumerate(bands.groupby("window")):
        shade, dash = SHADES[i % len(SHADES)], DASHES[i % len(DASHES)]
        axes.fill_between(band["episode"], band["low"], band["high"], color=shade, alpha=0.25, linewidth=0)
        axes.plot(band["episode"], band["mean"], color=shade, linestyle=dash, label=f"window {window}")
    if official is not None:
        width = official["episode_end"].iloc[0]
        axes.plot(
            official["episode_end"] - width / 2,
            official["mean_reward"],
            "o",
            color="black",
            markerfacecolor="white",
            markersize=3.5,
            markeredgewidth=0.8,
            linestyle="none",
            label="authors' code, window 2",
        )
    for yardstick in yardsticks:
        of = "" if yardstick.window is None else f", window {yardstick.window}"
        axes.axhline(yardstick.reward, color="0.45", linewidth=0.8)
        axes.annotate(
            f"{yardstick.name}{of}: {yardstick.reward:.3f}",
            (0.01, yardstick.reward),
            xycoords=("axes fraction", "data"),
            va="bottom",
            fontsize=8,
            color="0.25",
        )
    axes.set_xscale("log")
    each = "" if episode_length is None else f" ({episode_length} inner step{'s' * (episode_length != 1)} each)"
    axes.set_xlabel(f"meta-episodes{each}")
    axes.set_ylabel("shaper's mean reward per inner step")
    axes.margins(y=0.08)
    # Curves end high, so that this corner is free, and yardsticks are above it.
    axes.legend(fontsize=8, frameon=False, loc="lower right", title="bands: lowest to highest seed", title_fontsize=8)
    _tidy(axes)
    return figure


def episodes_against_states(results: Sequence[WindowResult]) -> Figure:
    """Draw episodes to convergence and until all pairs are known against |S|, with X4's bracket, on log axes.

    Parameters
    ----------
    results : sequence of WindowResult

    Returns
    -------
    Figure
    """
    results = checks.several("results", results, "give the results of a Report of rfos.laboratory.reproduction")
    for result in results:
        members = ("n_states", "x4", "all_known", "converged")
        checks.offers(
            "a result",
            result,
            "a WindowResult",
            members,
            "give those of a Report of rfos.laboratory.reproduction",
        )
    figure = Figure(figsize=(6.4, 4.6), layout="constrained")
    axes = figure.subplots()
    sizes = [r.n_states for r in results]
    lower, upper = [r.x4[0] for r in results], [r.x4[1] for r in results]
    axes.fill_between(sizes, lower, upper, color="0.88", label="X4's bracket for all pairs known")
    axes.plot(sizes, lower, color="0.6", linewidth=0.8)
    axes.plot(sizes, upper, color="0.6", linewidth=0.8)
    known = [(r.n_states, r.all_known.mean) for r in results if r.all_known is not None]
    converged = [(r.n_states, r.converged) for r in results if r.converged is not None]
    published = [(r.n_states, r.published * r.n_states**2) for r in results if r.published is not None]
    if known:
        axes.plot(*zip(*known, strict=True), "s-", color="#2166ac", label="until all pairs are known")
    if converged:
        axes.errorbar(
            [size for size, _ in converged],
            [e.mean for _, e in converged],
            # A single seed has no interval.
            yerr=[[(e.high - e.low) / 2 if e.n > 1 else 0.0 for _, e in converged]] * 2,
            fmt="o--",
            color="#1b1b1b",
            capsize=3,
            label="to 95 % of the final level",
        )
    if published:
        axes.plot(
            *zip(*published, strict=True), "x", color="#b2182b", markersize=9, markeredgewidth=2, label="published"
        )
    axes.set_xscale("log", base=2)
    axes.set_yscale("log")
    axes.set_xticks(sizes, [str(size) for size in sizes])
    axes.minorticks_off()
    axes.set_xlabel("meta-states |S|")
    axes.set_ylabel("meta-episodes")
    axes.legend(fontsize=8, loc="upper left", frameon=False)
    _tidy(axes)
    return figure


def scaling(fits: pd.DataFrame, points: pd.DataFrame, variable: str, quantity: str) -> Figure:
    """Draw what was measured against a variable on log axes, with the bound at the same points.

    Parameters
    ----------
    fits : DataFrame
        Lines of one quantity and variable (`sweeps.fits.all_fits`), indexed by their numbers.
    points : DataFrame
        The points of all fits.
    variable, quantity : str
        What the axes show.

    Returns
    -------
    Figure
    """
    mend = "all_fits(rows) of rfos.laboratory.sweeps.fits makes both tables"
    checks.frame("fits", fits, ("held", "slope"), mend)
    checks.frame("points", points, ("fit", "x", "middle", "lowest", "highest", "log10_bound"), mend)
    figure = Figure(figsize=(6.4, 4.2), layout="constrained")
    axes = figure.subplots()
    for i, (number, fit) in enumerate(fits.iterrows()):
        line = points[points["fit"] == number].astype({"x": float})
        if line.empty:
            continue
        shade = SHADES[i % len(SHADES)]
        # More lines than fit into a legend are drawn, and told apart in the table.
        where = fit["held"] if len(fits) > 1 and fit["held"] else "measured"
        slope = "no slope" if math.isnan(fit["slope"]) else f"slope {fit['slope']:.2f}"
        label = f"{where}: {slope}" if i < LEGEND else None
        spread = [line["middle"] - line["lowest"], line["highest"] - line["middle"]]
        axes.errorbar(
            line["x"], line["middle"], yerr=spread, fmt="o-", color=shade, capsize=3, markersize=4, label=label
        )
        if line["log10_bound"].notna().any():
            axes.plot(line["x"], 10.0 ** line["log10_bound"], ":", color=shade, linewidth=1.2)
    if points[points["fit"].isin(fits.index)]["log10_bound"].notna().any():
        axes.plot([], [], ":", color="0.3", label="the bound at the same points")
    axes.set_xscale("log")
    axes.set_yscale("log")
    ticks = np.unique(np.array(points[points["fit"].isin(fits.index)]["x"], np.float64))
    axes.set_xticks(ticks, [f"{x:.4g}" for x in ticks])
    axes.xaxis.set_minor_locator(NullLocator())
    axes.set_xlabel(variable)
    axes.set_ylabel(quantity)
    _legend_below(figure)
    _tidy(axes)
    return figure


def sweep_curves(bands: pd.DataFrame) -> Figure:
    """Draw mean reward per step against steps on a log axis, a line per point, with a band over the seeds.

    Parameters
    ----------
    bands : DataFrame
        Columns label, steps, mean, low, high (`sweeps.tables.curve_bands`). Of more points than fit into a legend,
        some are drawn, spread evenly over them.

    Returns
    -------
    Figure
    """
    columns = ("label", "steps", "mean", "low", "high")
    checks.frame("bands", bands, columns, "curve_bands(rows) of rfos.laboratory.sweeps.tables makes one")
    figure = Figure(figsize=(7.2, 4.0), layout="constrained")
    axes = figure.subplots()
    labels = list(dict.fromkeys(bands["label"]))
    shown = [labels[i] for i in np.unique(np.linspace(0, len(labels) - 1, LEGEND).round().astype(int))]
    for i, label in enumerate(shown):
        band = bands[bands["label"] == label]
        shade, dash = SHADES[i % len(SHADES)], DASHES[i % len(DASHES)]
        axes.fill_between(band["steps"], band["low"], band["high"], color=shade, alpha=0.2, linewidth=0)
        axes.plot(band["steps"], band["mean"], color=shade, linestyle=dash, label=label or "all runs")
    axes.set_xscale("log")
    axes.set_xlabel("meta-steps")
    axes.set_ylabel("shaper's mean reward per step")
    _legend_below(figure)
    _tidy(axes)
    return figure


def shaping_trajectory(game: StochasticGame, policies: Sequence[Float], rewards: Float, title: str) -> Figure:
    """Draw everybody's policies and rewards along a roll-out of the continuous meta-game.

    Of an iterated game with two actions each the probability of action 0 is drawn in every inner state, from the
    own side; of other games all probabilities but the last in the first inner state.

    Parameters
    ----------
    game : StochasticGame
    policies : sequence of ndarray, shapes (T, S, A_i)
        Of each player, the shaper first.
    rewards : ndarray, shape (T, n_players)
        Per inner step.
    title : str
        The game, and who plays it how.

    Returns
    -------
    Figure
    """
    checks.kind("game", game, StochasticGame)
    mend = "give the policies of each player (T, S, A_i), the shaper first"
    policies = [arrays.floats("policies", policy) for policy in checks.several("policies", policies, mend)]
    rewards = arrays.floats("rewards", rewards)
    shapes = [policy.shape[1:] for policy in policies]
    if shapes != [(game.n_states, n) for n in game.n_actions] or len({len(p) for p in (*policies, rewards)}) != 1:
        raise ValueError(f"policies have shapes {[policy.shape for policy in policies]}: {mend}")
    if rewards.shape[1:] != (game.n_players,):
        raise ValueError(f"rewards have shape {rewards.shape}: give (T, {game.n_players})")
    iterated = is_iterated(game)
    players = ["shaper", *(["opponent"] if game.n_players == 2 else [f"player {i}" for i in range(1, game.n_players)])]
    figure = Figure(figsize=(7.2, 1.6 + 1.9 * (game.n_players + 1)), layout="constrained")
    figure.suptitle(title, fontsize=10)
    *upper, lowest = figure.subplots(game.n_players + 1, 1, sharex=True)
    for i, (axes, player, policy) in enumerate(zip(upper, players, policies, strict=True)):
        if iterated:
            assert game.views is not None
            lines = dict(zip(("start", "CC", "CD", "DC", "DD"), policy[:, game.views[i], 0].T, strict=True))
        else:
            lines = {str(a): policy[:, 0, a] for a in range(policy.shape[2] - 1)}
        _lines(axes, lines, "after (own first)" if iterated else "action")
        axes.set_ylabel(f"{player}:\nprobability" + (" of action 0" if policy.shape[2] == 2 else ""))
        axes.set_ylim(-0.03, 1.03)
    _lines(lowest, dict(zip(players, rewards.T, strict=True)), None)
    lowest.set_ylabel("reward\nper inner step")
    lowest.set_xlabel("meta-step")
    return figure


def _lines(axes: Axes, lines: Mapping[str, Float], heading: str | None) -> None:
    for i, (name, values) in enumerate(lines.items()):
        axes.plot(values, color=SHADES[i % len(SHADES)], linestyle=DASHES[i % len(DASHES)], label=name)
    if len(lines) > 1:
        axes.legend(
            fontsize=8, frameon=False, title=heading, title_fontsize=8, loc="center left", bbox_to_anchor=(1, 0.5)
        )
    _tidy(axes)


def _legend_below(figure: Figure) -> None:
    """Add a legend below the axes, where it covers no line, and make the figure higher by what it takes."""
    handles, labels = figure.axes[0].get_legend_handles_labels()
    labels = [textwrap.fill(label, LABEL, break_on_hyphens=False) for label in labels]
    half = -(-len(labels) // 2)
    lines = max(sum(1 + label.count("\n") for label in column) for column in (labels[:half], labels[half:]))
    figure.set_figheight(figure.get_figheight() + 0.15 + 0.18 * lines)
    figure.legend(handles, labels, fontsize=8, frameon=False, loc="outside lower center", ncols=2)


def _tidy(axes: Axes) -> None:
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(axis="y", color="0.92", linewidth=0.6)
    axes.set_axisbelow(True)
