"""`rfos solve`: what shaping is worth in a game."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeAlias

import typer

from rfos.commands import options
from rfos.commands.options import AS_JSON, number, whole

if TYPE_CHECKING:
    from rfos.laboratory.shaping_study.answer import Answer
    from rfos.laboratory.shaping_study.compare import OtherLevels
    from rfos.metagames.estimates import Earned

Echo: TypeAlias = Callable[[str], None]
"""What takes a line of text."""


def solve(
    game: Annotated[
        str,
        typer.Argument(
            help="A named game; ipd and imp are the Prisoner's Dilemma and Matching Pennies of M-FOS, which plays "
            "chicken once: --inner-discount 0. public-goods-N is for N players. An unknown name lists them."
        ),
    ],
    opponent: Annotated[
        str,
        typer.Option(
            help="How the opponents learn: naive, lola (first-order, as in M-FOS), lola-exact (the look-ahead itself), "
            "lola-shaping (the rule that Foerster et al. 2018 print), best-response (a meta-step later), "
            "best-response-within (in the same one, as in M-FOS), smoothed-best-response, fictitious-play, q-learner, "
            "or fixed: from random starts, never moving. Or what they always play: always-cooperate (action 0), "
            "always-defect (action 1), random and, in iterated games of two, tit-for-tat, win-stay-lose-shift, grim."
        ),
    ] = "naive",
    levels: Annotated[
        str | None,
        typer.Option(
            help="Levels per probability: how many, or which, by commas. Default: as many as are solved in seconds, 5 "
            "for memory-one policies of two, 101 for games of two played once.",
            show_default=False,
        ),
    ] = None,
    rounding: Annotated[str, typer.Option(help="barycentric or nearest.")] = "barycentric",
    discount: Annotated[float, typer.Option(parser=number, metavar="NUMBER", help="Meta discount.")] = 0.99,
    inner_discount: Annotated[
        float, typer.Option(parser=number, metavar="NUMBER", help="Inner discount; 0: one-shot.")
    ] = 0.96,
    joint: Annotated[
        bool, typer.Option("--joint", help="The papers' meta-state: the joint policy last played.")
    ] = False,
    step: Annotated[
        float | None,
        typer.Option(
            parser=number,
            metavar="NUMBER",
            help="The opponents' step size on the un-normalised return, of naive and lola. Default: 1, as in M-FOS.",
            show_default=False,
        ),
    ] = None,
    starts: Annotated[
        int | None,
        typer.Option(
            parser=whole,
            metavar="N",
            help="Random starts. Default: from 64 doubled until intervals are narrow.",
            show_default=False,
        ),
    ] = None,
    steps: Annotated[int, typer.Option(parser=whole, metavar="N", help="Meta-steps of a roll-out.")] = 100,
    epsilon: Annotated[
        float,
        typer.Option(
            parser=number,
            metavar="NUMBER",
            help="Width of the certified brackets on the grid, in units of value: rewards per inner step / (1 - "
            "discount).",
        ),
    ] = 1e-3,
    reset: Annotated[
        str, typer.Option(help="random: begin at random policies; move: after the opponents learned once, as in M-FOS.")
    ] = "random",
    out: Annotated[Path | None, typer.Option(help="Folder for the figure of a roll-out.", show_default=False)] = None,
    policy: Annotated[
        Path | None,
        typer.Option(
            help="File for the shaping policy, .npz; rfos.load_shaper(FILE)(opponents) plays it.",
            metavar="FILE",
            show_default=False,
        ),
    ] = None,
    seed: Annotated[int, typer.Option(parser=whole, metavar="N", help="Root of the random starts.")] = 0,
    as_json: Annotated[bool, AS_JSON] = False,
) -> None:
    """Solve the meta-game of policies and print what shaping is worth in the continuous game."""
    from rfos._system.files import require_writable

    if out is not None:
        require_writable(out)
    from rfos.laboratory.shaping_study.request import ShapingRequest
    from rfos.laboratory.shaping_study.study import shaping_study
    from rfos.metagames.shaper import shaper_path

    if policy is not None:
        require_writable(shaper_path(policy).parent, "--policy")
    choice: dict[str, Any] = {"rounding": rounding, "reset": reset}
    request = ShapingRequest(
        game,
        opponent,
        levels,
        discount=discount,
        inner_discount=inner_discount,
        joint=joint,
        step=step,
        starts=starts,
        steps=steps,
        epsilon=epsilon,
        seed=seed,
        **choice,
    )
    found = shaping_study(request, lambda text: typer.echo(text, err=True))
    if out is not None:
        draw(found, out)
        typer.echo(f"written to {out}: trajectory (.png, .svg)", err=True)
    if policy is not None:
        found.solution.save(policy)
        typer.echo(f"written to {policy}: the {found.shaper} of this solution", err=True)
    if as_json:
        typer.echo(options.as_json(found.summary()))
    else:
        show(found, typer.echo)


def show(found: Answer, echo: Echo) -> None:
    """Print an answer: the request, the grid, the continuous game, what shaping is worth, what to beware of, moves."""
    r = found.request
    step = "" if r.step is None else f" with step {r.step:g}"
    echo(
        f"{r.game} against {r.opponent}{step}, {found.levels}, {r.rounding} rounding, discount {r.discount:g}, inner "
        f"discount {r.inner_discount:g}; rewards per inner step"
    )
    echo(f"inner game: {found.inner}\n")
    echo(f"meta-states {found.n_states:,}, meta-actions {found.n_actions:,}, {found.bytes / 2**20:,.1f} MiB")
    echo(f"frozen moves: nearest rounding leaves {found.frozen_share:.1%} of pairs where they are")
    stop = "" if found.converged else ", NOT converged"
    echo(f"solved by {found.method} in {found.iterations} iterations{stop}, {found.accuracy}\n")
    echo("on the grid, certified")
    for what, ends in (
        (f"from its point {found.start}", found.start_value),
        ("mean over its points", found.mean_value),
    ):
        echo(f"  {what:46} {ends[0]:9.4f} to {ends[1]:.4f}")
    _show_discretisation(found, echo)
    _show_rows(found, echo)
    known = _interval(found.worth, *found.worth_interval).removeprefix("-")
    sign = "-" if found.worth < 0 else "+"
    echo(f"\nshaping ({found.shaper}) is worth {sign}{known} a step over the best yardstick")
    echo(f"  against this opponent, {found.best}")
    if found.n_paired > 1:
        echo(f"  (differences from {found.n_paired} common starts)")
    if found.other_levels is not None:
        _show_other_levels(found.other_levels, echo)
    _show_discounted(found, echo)
    for warning in found.warnings:
        echo(f"WARNING: {warning}")
    for note in found.notes:
        echo(note)
    echo(f"\nfirst moves of the {found.shaper}; C is action 0, D action 1, the own one first")
    for whose, *moves in found.moves:
        echo(f"  opponents starting at {whose}")
        for words in moves:
            echo(f"    {words}")
    echo(f"\n{found.seconds:.1f} s")


def _show_discretisation(found: Answer, echo: Echo) -> None:
    """Print how far values on the grid may be off."""
    error = found.discretisation
    if error.statement is None:
        echo(f"discretisation error: does not apply, because {error.reason}")
        return
    listed = ", ".join(f"{name} {value:.4g}" for name, value in error.constants.items())
    listed += f" ({error.reason})" if error.reason else ""
    if error.vacuous:
        echo(f"discretisation error, {error.statement}: vacuous here (it allows the whole span of values); {listed}")
        return
    below, above, loss = ((1 - found.request.discount) * (x or 0.0) for x in (error.lower, error.upper, error.loss))
    echo(f"discretisation error, {error.statement}: V* is within -{below:.3g} and +{above:.3g} a step")
    echo(f"  of the value on the grid; {listed}")
    if (error.loss or 0.0) < error.limit:
        echo(f"  its policy, played at the nearest grid point, loses at most {loss:.3g} a step there (D3)")
    else:
        echo("  what its policy, played at the nearest grid point, loses there: D3 is vacuous")


def _show_rows(found: Answer, echo: Echo) -> None:
    """Print what shapers and yardsticks earn in the continuous game."""
    from rfos.games.strategies import STRATEGIES

    r = found.request
    moved = ", after the learner moved once" if r.reset == "move" else ""
    whence = f"against {r.opponent}" if r.opponent in STRATEGIES else f"from {found.n_starts} random starts{moved}"
    width = max(len(_label(row)) for row in (*found.continuous, *found.yardsticks))
    for title, rows in (
        (f"in the continuous game, mean of {r.steps} steps {whence}", found.continuous),
        ("yardsticks, the opponent learning against each", found.yardsticks),
    ):
        echo(f"\n{title}\n  {'':{width}} {'shaper':>27} {'opponent':>27}")
        for row in rows:
            own, other = (_interval(*ends) for ends in (row.shaper, row.opponent))
            few = f"  from {row.n_starts} starts" if row.n_starts != found.n_starts else ""
            echo(f"  {_label(row):{width}} {own:>27} {other:>27}{few}")
    if found.looks > 1:
        echo(
            f"  (intervals of 95 % whatever the number of starts, which is doubled up to {found.looks - 1} times until "
            f"half-widths are {found.target:.2g}: t at {found.confidence:.2%})"
        )
    elif found.n_starts > 1:
        echo("  (t intervals of 95 %)")


def _show_other_levels(others: OtherLevels, echo: Echo) -> None:
    """Print what other levels promise and earn."""
    kind = "finer" if others.finer else "coarser"
    many = "its start" if others.n_starts == 1 else f"{others.n_starts} of these starts"
    echo(f"with {others.levels} instead ({kind}; {others.n_states:,} meta-states), from {many}")
    for what, value in (
        ("promised by that grid", f"{_both(others.promised)}; by this one {_both(others.promised_here)}"),
        ("earned in the continuous game", _interval(*others.earned)),
        ("  less what is earned with these", _interval(*others.gain)),
    ):
        echo(f"  {what:32} {value}")
    if not others.finer:
        echo("  (finer levels take more than seconds: give --levels)")


def _show_discounted(found: Answer, echo: Echo) -> None:
    """Print what the grid promises beside what is earned with the discount."""
    r = found.request
    lasting, n = found.n_discounted
    echo(f"discounted by {r.discount:g} a step, " + (f"mean over {n} of these starts" if n > 1 else "from its start"))
    rounded = "of the nearest point" if r.rounding == "nearest" else "interpolated"
    for what, ends in (
        (f"promised by the grid, {rounded}", found.promised),
        (f"earned in the continuous game, {found.played}", found.discounted),
    ):
        echo(f"  {what:70} {ends[0]:9.4f} to {ends[1]:.4f}")
    echo(f"  (of what is earned {lasting} steps are played, and the rest bounded)")


def _label(row: Earned) -> str:
    """Return the name of a row, and whether it is of other opponents."""
    return row.name if row.same_opponent else f"{row.name} (other opponents)"


def _both(ends: tuple[float, float]) -> str:
    """Return certified ends as text."""
    return f"{ends[0]:.4f} to {ends[1]:.4f}"


def _interval(mean: float, low: float, high: float) -> str:
    """Return a mean as text, with its interval where it has one."""
    return f"{mean:.3f}" if math.isnan(low) else f"{mean:.3f} ({low:.3f} to {high:.3f})"


def draw(found: Answer, out: Path) -> None:
    """Write the figure of the first roll-out to a folder."""
    from rfos import plots
    from rfos._system.files import atomic

    r = found.request
    title = f"{r.game} against {r.opponent}, {found.shaper}"
    figure = plots.figure_of(plots.shaping_trajectory(found.game, found.policies, found.rewards, title))
    out.mkdir(parents=True, exist_ok=True)
    for suffix in (".png", ".svg"):
        with atomic(out / f"trajectory{suffix}") as path:
            figure.savefig(path, dpi=160)
