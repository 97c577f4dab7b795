"""Results as figures: they draw what they are given, tables or traces, and compute no statistics of their own.

Every function draws into the axes that are given, or makes a figure of its own, and returns the axes; `figure_of(axes)`
is the figure, to be shown or saved. Lines differ in style and lightness, not in hue alone, so that they stay legible in
grey.
"""

from __future__ import annotations

import math
import textwrap
from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure, SubFigure
from matplotlib.ticker import NullLocator
from numpy.typing import NDArray

from rfos._system import arrays, checks
from rfos.games.stochastic import StochasticGame, is_iterated
from rfos.laboratory.bands import Traces, are_traces, known_points, reward_bands, shared_horizon
from rfos.laboratory.reproduction.results import WindowResult, Yardstick
from rfos.learning.trace import Trace

Float = NDArray[np.float64]

SHADES = ("#1b1b1b", "#2166ac", "#d6604d", "#7fbf7b", "#984ea3", "#999999")
DASHES = ("-", "--", "-.", ":", (0, (5, 1, 1, 1, 1, 1)), (0, (1, 3)))

LEGEND = 6
"""Most lines that a legend names."""

LABEL = 44
"""Most letters in a line of a legend."""


def learning_curves(
    bands: pd.DataFrame | Traces,
    yardsticks: Sequence[Yardstick] = (),
    official: pd.DataFrame | None = None,
    *,
    episode_length: int | None = None,
    ax: Axes | None = None,
) -> Axes:
    """Draw mean reward per step against meta-episodes on a log axis, with a band from the lowest to the highest seed.

    Parameters
    ----------
    bands : DataFrame, Trace, list of Trace, or dict of label to these
        A table has columns window, episode, mean, low, high (`rfos.laboratory.reproduction.curves.curve_bands`). Runs
        without a common episode length are drawn against meta-steps.
    yardsticks : sequence of Yardstick
        Horizontal lines, rewards per step.
    official : DataFrame, optional
        The authors' own curve (`reproduction.official_curve`), drawn as points in the middle of its bins.
    episode_length : int, optional
        Inner steps of a meta-episode; the axis says how many where it is given. By default that of the traces.
    ax : Axes, optional

    Returns
    -------
    Axes

    Examples
    --------
    >>> from rfos import Rmax, TabularMDP, run
    >>> coin = TabularMDP([[0, 0]], [[0.0, 1.0]], 0.5)
    >>> traces = {f"m = {m}": [run(coin, Rmax(m=m), steps=100, rng=seed) for seed in (0, 1)] for m in (2, 10)}
    >>> ax = learning_curves(traces)
    >>> ax.get_xlabel(), len(ax.lines)
    ('meta-steps', 2)
    """
    bands, x, length = _learned(bands, episode_length)
    lines = checks.several("yardsticks", yardsticks, "give the yardsticks of a Report, or none")
    for yardstick in lines:
        members = ("name", "window", "reward", "low", "high")
        checks.offers("a yardstick", yardstick, "a Yardstick", members, "give those of a Report")
    if official is not None:
        checks.frame("official", official, (), "official_curve() of rfos.laboratory.reproduction.published makes one")
    axes = _axes(ax, (7.2, 4.4))
    for i, (label, band) in enumerate(bands.groupby("label", sort=False)):
        _band(axes, i, band[x], band, 0.25, str(label) or "all runs")
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
    axes.set_xlabel(f"meta-episodes{_each(length)}" if x == "episode" else "meta-steps")
    axes.set_ylabel("shaper's mean reward per inner step")
    axes.margins(y=0.08)
    # Curves end high, so that this corner is free, and yardsticks are above it.
    axes.legend(fontsize=8, frameon=False, loc="lower right", title="bands: lowest to highest seed", title_fontsize=8)
    _tidy(axes)
    return axes


def _each(length: int | None) -> str:
    """Return how long an episode is, where that is known."""
    return "" if length is None else f" ({length} inner step{'s' * (length != 1)} each)"


def _learned(given: pd.DataFrame | Traces, episode_length: int | None) -> tuple[pd.DataFrame, str, int | None]:
    """Return bands with a label, the column that they are drawn against, and the steps of an episode if known."""
    if are_traces(given):
        length = shared_horizon(given) if episode_length is None else episode_length
        bands = reward_bands(given)
        if length is None:
            return bands, "steps", None
        return bands.assign(episode=bands["steps"] / length), "episode", length
    columns = ("window", "episode", "mean", "low", "high")
    mend = "give traces, or what curve_bands(report.curves, epsilon) of rfos.laboratory.reproduction.curves makes"
    checks.frame("bands", given, columns, mend)
    assert isinstance(given, pd.DataFrame)
    labels = given["window"].map("window {}".format)
    return given.assign(label=labels).sort_values("window", kind="stable"), "episode", episode_length


def episodes_against_states(results: Sequence[WindowResult] | Traces, *, ax: Axes | None = None) -> Axes:
    """Draw episodes to convergence and until all pairs are known against |S|, with X4's bracket, on log axes.

    Parameters
    ----------
    results : sequence of WindowResult, or Trace, list of Trace, or dict of label to these
        Of traces only the time until all pairs are known is drawn, in meta-steps where they have no episodes.
    ax : Axes, optional

    Returns
    -------
    Axes
    """
    if are_traces(results) and not _are_results(results):
        return _known_against_states(results, ax)
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
    axes = _axes(ax, (6.4, 4.6))
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
    _against_states(axes, sizes, "meta-episodes")
    axes.legend(fontsize=8, loc="upper left", frameon=False)
    return axes


def _are_results(given: object) -> bool:
    """Return whether these are results of a report; of none at all they may be."""
    return isinstance(given, list | tuple) and not any(isinstance(each, Trace) for each in given)


def _known_against_states(traces: Traces, ax: Axes | None) -> Axes:
    """Draw how long it took until all pairs were known, a line per label."""
    points, length = known_points(traces), shared_horizon(traces)
    if points.empty:
        raise ValueError("in no run all pairs became known: give more steps, or a smaller m")
    axes = _axes(ax, (6.4, 4.6))
    for i, (label, line) in enumerate(points.groupby("label", sort=False)):
        ends = line[["middle", "lowest", "highest"]].sort_index() / (length or 1)
        spread = [ends["middle"] - ends["lowest"], ends["highest"] - ends["middle"]]
        name = f"{label}: " * bool(label) + "until all pairs are known"
        axes.errorbar(
            line["n_states"],
            ends["middle"],
            yerr=spread,
            marker="s",
            capsize=3,
            color=SHADES[i % len(SHADES)],
            linestyle=DASHES[i % len(DASHES)],
            label=name,
        )
    what = "meta-steps" if length is None else f"meta-episodes{_each(length)}"
    _against_states(axes, sorted(set(points["n_states"])), what)
    title = "bars: lowest to highest run"
    axes.legend(fontsize=8, loc="upper left", frameon=False, title=title, title_fontsize=8)
    return axes


def _against_states(axes: Axes, sizes: Sequence[int], what: str) -> None:
    axes.set_xscale("log", base=2)
    axes.set_yscale("log")
    axes.set_xticks(sizes, [str(size) for size in sizes])
    axes.minorticks_off()
    axes.set_xlabel("meta-states |S|")
    axes.set_ylabel(what)
    _tidy(axes)


def scaling(fits: pd.DataFrame, points: pd.DataFrame, variable: str, quantity: str, *, ax: Axes | None = None) -> Axes:
    """Draw what was measured against a variable on log axes, with the bound at the same points.

    Parameters
    ----------
    fits : DataFrame
        Lines of one quantity and variable (`sweeps.fits.all_fits`), indexed by their numbers.
    points : DataFrame
        The points of all fits.
    variable, quantity : str
        What the axes show, with units.
    ax : Axes, optional

    Returns
    -------
    Axes

    Notes
    -----
    Fits are of tables; of traces `episodes_against_states` draws how long they took.
    """
    mend = "all_fits(rows) of rfos.laboratory.sweeps.fits makes both tables"
    checks.frame("fits", fits, ("held", "slope"), mend)
    checks.frame("points", points, ("fit", "x", "middle", "lowest", "highest", "log10_bound"), mend)
    axes = _axes(ax, (6.4, 4.2))
    for i, (number, fit) in enumerate(fits.iterrows()):
        line = points[points["fit"] == number].astype({"x": float})
        if line.empty:
            continue
        shade = SHADES[i % len(SHADES)]
        # More lines than fit into a legend are drawn, and told apart in the table.
        held = fit["held"] if isinstance(fit["held"], str) else ""  # a file has no empty texts
        where = held if len(fits) > 1 and held else "measured"
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
    _legend(axes, ax is None)
    _tidy(axes)
    return axes


def sweep_curves(bands: pd.DataFrame | Traces, *, ax: Axes | None = None) -> Axes:
    """Draw mean reward per step against steps on a log axis, a line per point, with a band over the seeds.

    Parameters
    ----------
    bands : DataFrame, Trace, list of Trace, or dict of label to these
        A table has columns label, steps, mean, low, high (`rfos.laboratory.sweeps.tables.report_bands`). Of more labels
        than fit into a legend, some are drawn, spread evenly over them; the title says how many.
    ax : Axes, optional

    Returns
    -------
    Axes
    """
    if are_traces(bands):
        bands = reward_bands(bands)
    columns = ("label", "steps", "mean", "low", "high")
    mend = (
        "give traces, or what report_bands(cells, curves) of rfos.laboratory.sweeps.tables makes of a report's tables"
    )
    checks.frame("bands", bands, columns, mend)
    assert isinstance(bands, pd.DataFrame)
    axes = _axes(ax, (7.2, 4.0))
    labels = list(dict.fromkeys(bands["label"]))
    shown = [labels[i] for i in np.unique(np.linspace(0, len(labels) - 1, LEGEND).round().astype(int))]
    for i, label in enumerate(shown):
        band = bands[bands["label"] == label]
        _band(axes, i, band["steps"], band, 0.2, label or "all runs")
    if len(shown) < len(labels):
        axes.set_title(f"{len(shown)} of {len(labels)} settings", fontsize=10)
    axes.set_xscale("log")
    axes.set_xlabel("meta-steps")
    axes.set_ylabel("shaper's mean reward per step")
    _legend(axes, ax is None)
    _tidy(axes)
    return axes


def shaping_trajectory(
    game: StochasticGame,
    policies: Sequence[Float],
    rewards: Float,
    title: str = "",
    *,
    axes: Sequence[Axes] | None = None,
) -> tuple[Axes, ...]:
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
    axes : sequence of Axes, optional
        One for each player and a last one for the rewards.

    Returns
    -------
    tuple of Axes
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
    panels = _panels(axes, game.n_players + 1, title)
    *upper, lowest = panels
    for i, (panel, player, policy) in enumerate(zip(upper, players, policies, strict=True)):
        if iterated:
            assert game.views is not None
            lines = dict(zip(("start", "CC", "CD", "DC", "DD"), policy[:, game.views[i], 0].T, strict=True))
        else:
            lines = {str(a): policy[:, 0, a] for a in range(policy.shape[2] - 1)}
        _lines(panel, lines, "after (own first)" if iterated else "action")
        panel.set_ylabel(f"{player}:\nprobability" + (" of action 0" if policy.shape[2] == 2 else ""))
        panel.set_ylim(-0.03, 1.03)
    _lines(lowest, dict(zip(players, rewards.T, strict=True)), None)
    lowest.set_ylabel("reward\nper inner step")
    lowest.set_xlabel("meta-step")
    return panels


def marco_curves(
    frame: pd.DataFrame, *, optimum: tuple[float, float] | None = None, title: str | None = None, ax: Axes | None = None
) -> Axes:
    """Draw what plans really earn against episodes, and how the learned bracket closes on the optimum.

    Parameters
    ----------
    frame : DataFrame
        Columns title, seed, episodes, value, bracket_low, bracket_high, as of `MarcoStudy.to_frame`: a line for each
        title, the mean over its seeds, each with the last value it had; the bracket is the widest over the seeds.
    optimum : tuple of float, optional
        Bracket of the best value, a line at its middle.
    title : str, optional
    ax : Axes, optional

    Returns
    -------
    Axes

    Examples
    --------
    >>> ax = marco_curves(pd.DataFrame({"title": "MARCO", "seed": 0, "episodes": [1, 2], "value": [0.0, 1.0],
    ...                                 "bracket_low": [0.0, 0.9], "bracket_high": [2.0, 1.1]}), optimum=(1.0, 1.0))
    >>> ax.get_xlabel(), len(ax.lines)
    ('episodes', 2)
    """
    columns = ("title", "seed", "episodes", "value", "bracket_low", "bracket_high")
    checks.frame("frame", frame, columns, "give MarcoStudy.to_frame()")
    axes = _axes(ax, (7.2, 4.4))
    for i, (name, own) in enumerate(frame.groupby("title", sort=False)):
        shade, dash = SHADES[i % len(SHADES)], DASHES[i % len(DASHES)]
        wide = own.pivot_table(
            index="episodes", columns="seed", values=["value", "bracket_low", "bracket_high"], dropna=False
        ).ffill()
        axes.plot(wide.index, wide["value"].to_numpy().mean(axis=1), color=shade, linestyle=dash, label=str(name))
        low, high = wide["bracket_low"].to_numpy().min(axis=1), wide["bracket_high"].to_numpy().max(axis=1)
        if not np.isnan(low).all():
            axes.fill_between(
                wide.index, low, high, color=shade, alpha=0.12, linewidth=0, step="post", label=f"bracket, {name}"
            )
    if optimum is not None:
        axes.axhline(sum(optimum) / 2, color="#999999", lw=1, label="optimum")
    axes.set_xscale("log")
    axes.set_xlabel("episodes")
    axes.set_ylabel("return")
    if title:
        axes.set_title(title, fontsize=10)
    _legend(axes, below=ax is None)
    _tidy(axes)
    return axes


def figure_of(axes: Axes | Sequence[Axes]) -> Figure:
    """Return the figure that axes belong to, to be saved or shown.

    Examples
    --------
    >>> figure_of(Figure().subplots()).axes
    [<Axes: >]
    """
    found: Figure | SubFigure | None = (axes if isinstance(axes, Axes) else axes[0]).figure
    while isinstance(found, SubFigure):
        found = found.figure
    assert found is not None
    return found


def _axes(ax: Axes | None, size: tuple[float, float]) -> Axes:
    """Return the axes given, or those of a new figure of a size in inches."""
    if ax is None:
        return Figure(figsize=size, layout="constrained").subplots()
    checks.kind("ax", ax, Axes, mend="matplotlib.pyplot.subplots() makes a figure and one")
    return ax


def _panels(axes: Sequence[Axes] | None, n: int, title: str) -> tuple[Axes, ...]:
    """Return the n axes given, or those of a new figure with a title."""
    if axes is None:
        figure = Figure(figsize=(7.2, 1.6 + 1.9 * n), layout="constrained")
        figure.suptitle(title, fontsize=10)
        return tuple(figure.subplots(n, 1, sharex=True))
    mend = f"matplotlib.pyplot.subplots({n}) makes a figure and {n}"
    given = tuple(checks.several("axes", axes, mend))
    for each in given:
        checks.kind("one of axes", each, Axes, mend=mend)
    if len(given) != n:
        raise ValueError(f"axes are {len(given)} for {n - 1} players and their rewards: {mend}")
    given[0].set_title(title, fontsize=10)
    return given


def _band(axes: Axes, i: int, x: pd.Series[float], band: pd.DataFrame, alpha: float, label: str) -> None:
    """Draw the i-th line with its band."""
    shade, dash = SHADES[i % len(SHADES)], DASHES[i % len(DASHES)]
    axes.fill_between(x, band["low"], band["high"], color=shade, alpha=alpha, linewidth=0)
    axes.plot(x, band["mean"], color=shade, linestyle=dash, label=label)


def _lines(axes: Axes, lines: Mapping[str, Float], heading: str | None) -> None:
    for i, (name, values) in enumerate(lines.items()):
        axes.plot(values, color=SHADES[i % len(SHADES)], linestyle=DASHES[i % len(DASHES)], label=name)
    if len(lines) > 1:
        axes.legend(
            fontsize=8, frameon=False, title=heading, title_fontsize=8, loc="center left", bbox_to_anchor=(1, 0.5)
        )
    _tidy(axes)


def _legend(axes: Axes, below: bool) -> None:
    """Add a legend, in a figure of our own below the axes, where it covers no line, and the figure higher for it."""
    if not below:
        axes.legend(fontsize=8, frameon=False)
        return
    figure = figure_of(axes)
    handles, labels = axes.get_legend_handles_labels()
    labels = [textwrap.fill(label, LABEL, break_on_hyphens=False) for label in labels]
    half = -(-len(labels) // 2)
    lines = max(sum(1 + label.count("\n") for label in column) for column in (labels[:half], labels[half:]))
    figure.set_figheight(figure.get_figheight() + 0.15 + 0.18 * lines)
    figure.legend(handles, labels, fontsize=8, frameon=False, loc="outside lower center", ncols=2)


def _tidy(axes: Axes) -> None:
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(axis="y", color="0.92", linewidth=0.6)
    axes.set_axisbelow(True)
