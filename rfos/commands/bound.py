"""`rfos bound`: the bounds at one point, classical beside sharp, with elasticities, parts and rivals."""

from __future__ import annotations

import math
from fractions import Fraction
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple

import typer

from rfos._system.names import imported
from rfos.commands import options
from rfos.commands.options import AS_JSON, Written, rational, table, whole

if TYPE_CHECKING:
    from bounds import Bound
    from bounds.definitions import Definition
    from rfos.learning.theorems import Theorem

_AXES = ("n_states", "n_actions", "branching", "epsilon", "delta", "r_max", "horizon")

_SHOWN = {"horizon": "episode"}

_MOST_STEPS = 10**15

_AS_GOOD = 1.001  # a factor that is not worth a choice

_OBSERVED = (
    "a deterministic learner whose next policy is seen: one visit reveals a row (N4, T1'), so B = 1 whatever the "
    "rounding; T1' itself holds for nearest rounding only"
)


class _Shown(NamedTuple):
    """A theorem as the table shows it."""

    theorem: Theorem
    options: dict[str, Any]
    rated: bool = False
    """Whether its lambda can be chosen."""
    any_successor: bool = False
    """Whether B is taken to be |S|."""

    @property
    def family(self) -> Any:
        """Its symbolic parts."""
        return self.theorem.family(**self.options)

    @property
    def searched(self) -> Any:
        """Its parts as --optimise takes them, with lambda free where there is one."""
        return self.theorem.family(**self.options, rate_is="free") if self.rated else self.family


def _rows(game: str, actions: tuple[int, ...], given: dict[str, Any]) -> int:
    """Return the rows of a policy: one, or for the iterated game one per joint action and a first."""
    from rfos.games.named import ITERATED_GAMES

    return given["inner_states"] or (1 + math.prod(actions) if game in ITERATED_GAMES else 1)


def _window(actions: tuple[int, ...], given: dict[str, Any]) -> dict[str, Any]:
    """Return the sizes of a Case II meta-game, and how their logarithms grow in those of its variables."""
    window = 2 if given["window"] is None else given["window"]
    joint = math.prod(actions)
    if window < 1:
        raise ValueError(f"--window is {window}: it must be at least 1")
    if window > 4000 / math.log10(joint):
        raise ValueError(f"--window {_short(Fraction(window))} has more than 10^4000 windows: give a shorter one")
    chain = {"window": {"n_states": window * math.log(joint)}}
    if len(set(actions)) == 1:
        n, log = len(actions), math.log(actions[0])
        chain["players"] = {"n_states": n * window * log, "branching": n * log}
        chain["inner_actions"] = {"n_states": n * window, "n_actions": 1, "branching": n - 1}
    return {"n_states": joint**window, "n_actions": actions[0], "branching": joint // actions[0], "chain": chain}


def _policy(actions: tuple[int, ...], rows: int, given: dict[str, Any]) -> dict[str, Any]:
    """Return the same for a Case I meta-game on simplex grids of K levels, k = K-1 steps (N1)."""
    levels = 10 if given["levels"] is None else given["levels"]
    if levels < 2:
        raise ValueError(f"--levels is {levels}: it must be at least 2")
    logs = [sum(math.log10(levels - 1 + j) - math.log10(j) for j in range(1, a)) for a in actions]
    if rows > 20_000 or rows * sum(logs) > 4000:
        size = f"{_short(Fraction(rows))} rows of {_short(Fraction(levels))} levels"
        raise ValueError(f"{size} have more than 10^4000 policies: give fewer")
    points = [math.comb(levels + a - 2, a - 1) ** rows for a in actions]
    logs = [rows * math.log(10) * log for log in logs]

    def grow(slopes: list[float]) -> dict[str, float]:
        return {"n_states": sum(slopes[1:]), "n_actions": slopes[0]}

    chain = {
        "levels": grow([rows * sum(levels / (levels - 1 + j) for j in range(1, a)) for a in actions]),
        "inner_states": grow(logs),
    }
    if len(set(actions)) == 1:
        chain["players"] = {"n_states": len(actions) * logs[0]}
        if levels <= 10**6:  # a sum of as many terms
            chain["inner_actions"] = grow([rows * a * sum(1 / (a - 1 + i) for i in range(1, levels)) for a in actions])
    return {"n_states": math.prod(points[1:]), "n_actions": points[0], "branching": 1, "chain": chain}


def _point(case: str | None, game: str | None, **given: Any) -> dict[str, Any]:
    """Return |Ŝ|, |Â|, B and R_max of a case, or those given."""
    sizes = {name: given[name] for name in ("n_states", "n_actions", "branching")}
    foreign = {
        None: ("game", "window", "levels", "inner_states"),
        "window": ("levels", "inner_states"),
        "policy": ("window",),
    }
    if case not in foreign:
        raise ValueError(f"unknown case {case!r}: choose window or policy, or team")
    options = {**given, "game": game}
    for name in foreign[case]:
        if options[name] is not None:
            where = f"--case {case}" if case else "sizes of its own"
            raise ValueError(f"--{name.replace('_', '-')} does not go with {where}: leave it out")
    if case is None:
        needed = {"--states": "n_states", "--actions": "n_actions", "--branching": "branching"}
        missing = [option for option, name in needed.items() if sizes[name] is None]
        if missing:
            raise ValueError(f"{', '.join(missing)} not given: give all three sizes, or --case window or --case policy")
        for option, name in needed.items():
            if sizes[name] < 1:
                raise ValueError(f"{option} is {sizes[name]}: it must be at least 1")
        if sizes["branching"] > sizes["n_states"]:
            few, many = (_short(Fraction(sizes[name])) for name in ("n_states", "branching"))
            raise ValueError(f"--branching is {many}: a pair has at most |S| = {few} successors")
        return {**sizes, "r_max": Fraction(1) if given["r_max"] is None else given["r_max"]}
    if any(size is not None for size in sizes.values()):
        raise ValueError(f"--case {case} sets the sizes: leave --states, --actions and --branching out")
    if game is None:
        raise ValueError(f"--case {case} needs a game: give --game, such as matching-pennies")
    from rfos.games.named import named_game

    inner = named_game(game)
    payoffs = inner.payoffs[0]
    span = Fraction(repr(float(payoffs.max()))) - Fraction(repr(float(payoffs.min())))
    if span == 0:
        raise ValueError(f"all rewards of {game} are equal: every policy is optimal")
    if case == "window":
        found = _window(inner.n_actions, given)
    else:
        found = _policy(inner.n_actions, _rows(game, inner.n_actions, given), given)
    return {"r_max": span if given["r_max"] is None else given["r_max"], **found}


def _lemma(name: str) -> Bound:
    """Return the bound that `--rows` names."""
    from bounds.rmax import check_rows

    found: Bound = imported(name, "--rows")
    try:
        check_rows(found)
    except TypeError as wrong:
        raise ValueError(f"--rows is {name}: {wrong}") from None
    return found


def _theorems(case: str | None, branching: int, rows: Bound | None = None) -> dict[str, _Shown]:
    """Return the theorems by what the table calls them, classical first; `rows` takes the place of P1."""
    from rfos.learning.theorems import BY_NAME, TheoremName

    continuing, sharp = BY_NAME[TheoremName.CONTINUING], BY_NAME[TheoremName.SHARP]
    classical = {"form": "classical", "rows": rows}
    found: dict[str, _Shown] = {}
    if case is not None:
        found["T1 with B = |S|"] = _Shown(continuing, classical, any_successor=True)
    found["T1, classical count"] = _Shown(continuing, classical)
    found["T1"] = _Shown(continuing, {"rows": rows})
    found["T1+"] = _Shown(sharp, {"rows": rows}, rated=True)
    if case == "window":
        found["T1+ with X2"] = _Shown(sharp, {"rows": rows, "pooled": True}, rated=True)
    found["T1 with X4"] = _Shown(BY_NAME[TheoremName.RESTARTS], {"rows": rows})
    if branching == 1:
        found["T1'"] = _Shown(BY_NAME[TheoremName.DETERMINISTIC], {})
        found["T1' with X1"] = _Shown(BY_NAME[TheoremName.OBSERVED], {}, rated=True)
    return found


def _definitions(shown: _Shown) -> tuple[Definition, ...]:
    from bounds.definitions import Definition, definitions
    from bounds.symbols import branching, n_states

    support = (Definition(branching, n_states),) if shown.any_successor else ()
    return (*support, *definitions(shown.family))


def _known(bound: Bound, values: dict[str, Any]) -> dict[str, Any]:
    """Return the values that a bound takes."""
    names = (*bound.symbols, *bound.parameters, *bound.weights)
    return {name: value for name, value in values.items() if name in names}


def _applied(bound: Bound, values: dict[str, Any]) -> float | None:
    """Return the logarithm of a bound, or None where it does not apply."""
    known = _known(bound, values)
    try:
        bound.require(**known)
    except ValueError:
        return None
    return bound.log10(**known)


def _number(bound: Bound, values: dict[str, Any]) -> dict[str, Any]:
    """Return the logarithm, and the number itself where it is short enough to read."""
    log10 = bound.log10(**values)
    value: Any = None
    if log10 < 15:
        value = bound.evaluate(**values)
        value = value if isinstance(value, int) else float(value)
    return {"log10": log10 if math.isfinite(log10) else None, "value": value}


def _short(value: Fraction) -> str:
    if value.denominator == 1 and value >= 10**15:
        return f"10^{math.log10(int(value)):.2f}"
    return str(int(value)) if value.denominator == 1 else f"{float(value):g}"


def _elasticities(
    bound: Bound, values: dict[str, Any], chain: dict[str, dict[str, float]], tied: bool
) -> dict[str, float]:
    """Return the elasticities in the theorem's variables, and by the chain rule in those of the case."""
    slopes = {}
    for name in _AXES:
        if name in bound.symbols:
            slopes[name] = bound.elasticity(name, **values)
    gamma = Fraction(str(values["discount"]))
    if gamma > 0 and "discount" in bound.symbols:
        slopes["1/(1-discount)"] = bound.elasticity("discount", **values) * float((1 - gamma) / gamma)
    if tied:  # B = |Ŝ|: what the bound grows with in both is its power of |Ŝ|
        slopes["n_states"] += slopes.pop("branching")
    for variable, sizes in chain.items():
        slopes[variable] = sum(slopes.get(name, 0.0) * slope for name, slope in sizes.items())
    return {_SHOWN.get(name, name): slope for name, slope in slopes.items()}


def _default_rate(family: Any, values: dict[str, Any]) -> Fraction:
    """Return the λ of a theorem where none is chosen, to some six digits."""
    from bounds.exploration import x1_rate

    if values["discount"] == 0:
        return Fraction(1, 2)  # any will do
    pairs = values["n_states"] * (1 if family.steps.factors[0][0] == "states" else values["n_actions"])
    visits = int(family.m.ball(digits=10, **_known(family.m, values))[0])
    point = {"explorations": pairs * max(1, visits), "discount": values["discount"], "delta": values["delta"]}
    exact = x1_rate().ball(digits=10, **point)[0]
    grain = 2 ** max(20, 20 + exact.denominator.bit_length() - exact.numerator.bit_length())
    return Fraction(int(exact * grain), grain)


def _chosen(shown: _Shown, here: dict[str, Any], weights: dict[str, Any]) -> tuple[Any, dict[str, Any], Any, Any]:
    """Return the family and the weights (and λ) that --optimise takes, and how many times smaller the bound is.

    First than at equal weights and the default λ, then than at the default weights and λ; neither is below 1.
    """
    import bounds

    steps = shown.family.steps
    default = steps.log10(**_known(steps, {**here, **weights}))
    equal = default
    if steps.weights:
        share = Fraction(1, len(steps.weights))
        equal = steps.log10(**_known(steps, {**here, **dict.fromkeys(steps.weights, share)}))
    searched, start = shown.searched, dict(weights)
    if shown.rated:
        start["rate"] = _default_rate(shown.family, {**here, **weights})
    fixed = {} if steps.weights else weights
    choice = bounds.optimise(searched.steps, start=start, **_known(searched.steps, {**here, **fixed}))
    if choice.log10 >= default:
        return shown.family, weights, 10 ** (equal - default), 1.0
    return searched, {**weights, **choice.values}, 10 ** (equal - choice.log10), 10 ** (default - choice.log10)


def evaluate(
    point: dict[str, Any],
    *,
    case: str | None = None,
    inner_steps: int = 1,
    optimise: bool = False,
    episode: int = 10,
    rows: Bound | None = None,
) -> dict[str, Any]:
    """Return everything that the command prints.

    Parameters
    ----------
    point : dict
        n_states, n_actions, branching, epsilon, delta, discount, r_max; and "chain", how the logarithms of the sizes
        grow in those of the case's variables.
    case : str or None
        "window", "policy" or None.
    inner_steps : int
        Inner-environment samples of one meta-step.
    optimise : bool
        Choose the weights and λ.
    episode : int
        Steps between random restarts, for X4.
    rows : Bound, optional
        A lemma in the place of P1, as for `bounds.rmax.t1`.

    Examples
    --------
    >>> sizes = dict(n_states=16, n_actions=2, branching=2)
    >>> found = evaluate({**sizes, "epsilon": "0.8", "delta": "0.2", "discount": "0.8", "r_max": 1})
    >>> found["theorems"]["T1+"]["m"]["value"], found["theorems"]["T1+"]["steps"]["value"]
    (30506, 92804735)
    """
    from bounds.rivals import rivals
    from bounds.symbols import REGISTRY
    from rfos.learning.theorems import shares

    chain = point.get("chain", {})
    numbers = {name: Fraction(REGISTRY[name].read(value)) for name, value in point.items() if name != "chain"}
    v_max = numbers["r_max"] / (1 - numbers["discount"])
    if numbers["epsilon"] >= v_max:
        raise ValueError(
            f"epsilon is {point['epsilon']}, not below the largest return {float(v_max):g}: nothing to learn"
        )
    theorems = {}
    for name, shown in _theorems(case, point["branching"], rows).items():
        theorem, family = shown.theorem, shown.family
        here = {**numbers, "horizon": REGISTRY["horizon"].read(episode)}
        if shown.any_successor:
            here["branching"] = here["n_states"]
        gained = better_by = None
        weights: dict[str, Any] = dict(shares(theorem))
        if optimise and theorem.weights != "restarts" and (theorem.weights is not None or shown.rated):
            family, weights, gained, better_by = _chosen(shown, here, weights)
        values = {**here, **weights}
        entry: dict[str, Any] = {"weights": {k: str(x) for k, x in weights.items()}}
        for attribute in ("m", "effective_horizon", "blocks", "count", "episodes", "lower", "steps"):
            if hasattr(family, attribute):
                bound = getattr(family, attribute)
                entry[attribute] = _number(bound, _known(bound, values))
        steps = family.steps
        values = _known(steps, values)
        log10 = entry["steps"]["log10"]
        entry["samples_log10"] = None if log10 is None else log10 + math.log10(inner_steps)
        value = entry["steps"]["value"]
        entry["samples_value"] = None if value is None else value * inner_steps
        entry["elasticities"] = _elasticities(steps, values, chain, shown.any_successor)
        entry["parts"] = {part.name: part.log10 for part in steps.parts(**values)}
        entry["optimisation_gain"], entry["default_gain"] = gained, better_by
        entry["label"], entry["kind"], entry["sketch"] = steps.label, str(steps.kind), steps.sketch
        entry["formula"] = shown.family.steps.latex()
        entry["definitions"] = [definition.latex() for definition in _definitions(shown)]
        entry["source"] = steps.source
        entry["assumptions"] = list(steps.assumptions)
        theorems[name] = entry
    scaled = {**numbers, "epsilon": numbers["epsilon"] / numbers["r_max"]}  # rivals take R_max = 1
    others = {name: {"log10": _applied(b, scaled), "source": b.source} for name, b in rivals().items()}
    given = {name: point[name] for name in numbers}
    as_written = {name: str(x) for name, x in given.items() if isinstance(x, str | Written)}
    at = {name: as_written.get(name, _short(x)) for name, x in numbers.items()}
    at["v_max"] = _short(v_max)
    return {
        "point": at,
        "case": case,
        "inner_steps": inner_steps,
        "episode": episode,
        "rows": None if rows is None else {"name": rows.name, "label": rows.label, "source": rows.source},
        "theorems": theorems,
        "rivals": others,
        "rivals_epsilon": _short(scaled["epsilon"]),
    }


def _show(cell: dict[str, Any] | None) -> str:
    if cell is None:
        return "-"
    if cell["value"] is not None:
        return f"{cell['value']:,.0f}"
    return f"10^{cell['log10']:.3f}"


def _weights(entry: dict[str, Any]) -> str:
    """Return the shares of epsilon, and lambda where it is one of them."""
    names = [(name.replace("rate", "lambda"), float(Fraction(x))) for name, x in entry["weights"].items()]
    return ", ".join(f"{name} {x:.3g}" if name == "lambda" else f"{name} {x:.3f}" for name, x in names)


def _choice(entry: dict[str, Any]) -> str:
    """Return the line on what --optimise chose."""
    rated, shared = "rate" in entry["weights"], "w_esc" in entry["weights"]
    weights = _weights(entry)
    if not shared:
        return f"    chosen {weights}: {entry['default_gain']:.3f} times smaller than at the default lambda"
    gain = f"{entry['optimisation_gain']:.2f} times smaller than at equal weights{' and the default lambda' * rated}"
    if entry["default_gain"] > _AS_GOOD:
        gain += f", {entry['default_gain']:.3f} times than at the default weights{' and lambda' * rated}"
    return f"    chosen {weights}: {gain}"


def _print(found: dict[str, Any]) -> None:
    typer.echo(", ".join(f"{name} {value}" for name, value in found["point"].items()))
    typer.echo(f"inner steps of a meta-step {found['inner_steps']}, episode (X4 alone has restarts) {found['episode']}")
    lemma = found["rows"]
    if lemma is not None:
        label = f"{lemma['label']}, " if lemma["label"] else ""
        typer.echo(f"in the place of P1, the samples of a row: {label}{lemma['name']} ({lemma['source']})")
    if found["case"] == "policy":
        typer.echo(_OBSERVED)
        typer.echo(
            "a meta-step of Case I is an inner episode, whose length multiplies the inner samples: "
            f"give it as --inner-steps (here {found['inner_steps']})"
        )
    typer.echo("")
    theorems = found["theorems"]
    rows = []
    for name, e in theorems.items():
        reach = e.get("count") or e.get("blocks") or e.get("episodes")
        rows.append(
            [
                name,
                _show(e["m"]),
                _show(e.get("effective_horizon")),
                _show(reach),
                _show(e["steps"]),
                f"{e['steps']['log10']:.3f}",
                f"{e['samples_log10']:.3f}",
            ]
        )
    typer.echo(
        table(["theorem", "m", "H", "N or C", "at most suboptimal meta-steps", "log10", "log10 inner samples"], rows)
    )
    typer.echo(
        "m: visits that make a pair known; H: steps looked ahead; N: blocks, or episodes under X4; C: sum of e_t (X1)"
    )
    typer.echo("all but that many steps are epsilon-optimal, with probability 1-delta (T1': with certainty)")
    typer.echo("\nelasticity in: the power of each variable that the bound grows with here, the others held fixed")
    axes = list(dict.fromkeys(axis for e in theorems.values() for axis in e["elasticities"]))
    rows = [
        [name, *(f"{e['elasticities'][a]:.3f}" if a in e["elasticities"] else "-" for a in axes)]
        for name, e in theorems.items()
    ]
    typer.echo(table(["theorem", *axes], rows))
    typer.echo("\nfactors, as log10: they add up to that of the bound")
    for name, e in theorems.items():
        typer.echo(f"  {name}: " + ", ".join(f"{part} {x + 0.0:.2f}" for part, x in e["parts"].items()))
        if e["optimisation_gain"] is not None:
            typer.echo(_choice(e))
    good = [name for name, e in theorems.items() if e["default_gain"] and e["default_gain"] <= _AS_GOOD]
    if good:
        typer.echo(f"  the default weights are as good, to 0.1 %: {', '.join(good)}")
    if all(e["optimisation_gain"] is None for e in theorems.values()):
        shares: dict[str, list[str]] = {}
        for name, e in theorems.items():
            shares.setdefault(_weights(e), []).append(name)
        typer.echo("\nepsilon is shared out as follows; --optimise chooses")
        for weights, names in shares.items():
            typer.echo(f"  {weights}: {', '.join(names)}")
    typer.echo(
        "\nrivals: orders without constants and logarithms, values not normalised, R_max = 1 and so at epsilon/R_max = "
        f"{found['rivals_epsilon']}; not bounds at this point; -: its source does not cover this point"
    )
    typer.echo(
        table(
            ["algorithm", "log10", "source"],
            [[n, "-" if r["log10"] is None else f"{r['log10']:.3f}", r["source"]] for n, r in found["rivals"].items()],
        )
    )


def _print_latex(theorems: dict[str, _Shown]) -> None:
    """Print every theorem as definitions that build on each other, and what the symbols mean; needs amsmath."""
    from bounds.definitions import legend

    every: list[Definition] = []
    typer.echo(r"\begingroup\allowdisplaybreaks")
    for name, shown in theorems.items():
        formulas = _definitions(shown)
        every += formulas
        typer.echo(r"\paragraph{" + name.replace("B = |S|", r"$B = |\hat S|$") + "}")
        typer.echo(r"\begin{align*}")
        typer.echo(" \\\\\n".join(definition.latex() for definition in formulas))
        typer.echo(r"\end{align*}")
    typer.echo(r"\endgroup")
    typer.echo(r"\begin{description}")
    for symbol, meaning in legend(tuple(every)).items():
        typer.echo(rf"\item[${symbol}$] {meaning}")
    typer.echo(r"\end{description}")


def bound(
    states: Annotated[int | None, typer.Option(parser=whole, metavar="N", help="Meta-states; powers as 4^600.")] = None,
    actions: Annotated[int | None, typer.Option(parser=whole, metavar="N", help="Meta-actions.")] = None,
    branching: Annotated[int | None, typer.Option(parser=whole, metavar="N", help="Successors of a pair, B.")] = None,
    case: Annotated[
        str | None, typer.Option(help="window or policy: take the sizes from a game; team: M1 to M7.")
    ] = None,
    horizon: Annotated[
        int | None, typer.Option(parser=whole, metavar="T", help="Steps of an episode, for --case team.")
    ] = None,
    agent_actions: Annotated[
        str | None, typer.Option(metavar="N,N", help="Actions of each agent of a team, such as 3,3.")
    ] = None,
    observations: Annotated[
        str | None, typer.Option(metavar="N,N", help="Observations of each agent of a team, such as 2,2.")
    ] = None,
    game: Annotated[
        str | None, typer.Option(help="Inner game: matching-pennies, ..; ipd, imp: the iterated games of M-FOS.")
    ] = None,
    window: Annotated[
        int | None, typer.Option(parser=whole, metavar="H", help="Joint actions remembered; default 2.")
    ] = None,
    levels: Annotated[
        int | None,
        typer.Option(parser=whole, metavar="K", help="Levels per probability, as in rfos solve; default 10."),
    ] = None,
    inner_states: Annotated[
        int | None, typer.Option(parser=whole, metavar="N", help="Rows of a policy: 1; memory one (ipd, imp) has 5.")
    ] = None,
    inner_steps: Annotated[
        int, typer.Option(parser=whole, metavar="N", help="Inner steps of a meta-step; in Case I an episode.")
    ] = 1,
    episode: Annotated[int, typer.Option(parser=whole, metavar="T", help="Steps between restarts, for X4.")] = 10,
    epsilon: Annotated[
        Written, typer.Option(parser=rational, metavar="NUMBER", help="Accuracy, in reward/(1-discount).")
    ] = "0.8",  # type: ignore[assignment]  # the parser reads defaults too
    delta: Annotated[Written, typer.Option(parser=rational, metavar="NUMBER", help="Failure probability.")] = "0.2",  # type: ignore[assignment]
    discount: Annotated[
        Written | None,
        typer.Option(parser=rational, metavar="NUMBER", help="Meta discount, default 0.8; a team's, default 1."),
    ] = None,
    r_max: Annotated[
        Written | None,
        typer.Option(parser=rational, metavar="NUMBER", help="Largest meta-reward; default the game's."),
    ] = None,
    rows: Annotated[
        str | None,
        typer.Option(metavar="MODULE:NAME", help="A bound of your own on the samples of one row, in the place of P1."),
    ] = None,
    optimise: Annotated[bool, typer.Option("--optimise", help="Choose the free weights and lambda.")] = False,
    latex: Annotated[bool, typer.Option("--latex", help="Print the formulas for amsmath instead.")] = False,
    as_json: Annotated[bool, AS_JSON] = False,
) -> None:
    """Print the bounds on R-max at one point: classical beside sharp, what they are made of, and the rivals."""
    if case == "team":
        foreign = {"game": game, "window": window, "levels": levels, "inner-states": inner_states, "rows": rows}
        foreign |= {"optimise": optimise or None, "latex": latex or None}
        for option, given in foreign.items():
            if given is not None:
                raise ValueError(f"--{option} does not go with --case team: leave it out")
        from rfos.commands import bound_team

        team = bound_team.evaluate_team(
            n_states=states,
            n_actions=actions,
            branching=branching,
            horizon=horizon,
            actions=agent_actions,
            observations=observations,
            epsilon=epsilon,
            delta=delta,
            discount=Fraction(1) if discount is None else discount,
            r_max=Fraction(1) if r_max is None else r_max,
        )
        if as_json:
            typer.echo(options.as_json(team))
        else:
            bound_team.print_team(team)
        return
    for option, value in (("horizon", horizon), ("agent-actions", agent_actions), ("observations", observations)):
        if value is not None:
            raise ValueError(f"--{option} is for --case team: leave it out")
    discount = rational("0.8") if discount is None else discount
    for option, count in (("inner-states", inner_states), ("inner-steps", inner_steps), ("episode", episode)):
        if count is not None and not 1 <= count <= _MOST_STEPS:
            raise ValueError(f"--{option} is {_short(Fraction(count))}: it must be from 1 to 10^15")
    sizes = {"n_states": states, "n_actions": actions, "branching": branching}
    found = _point(case, game, **sizes, window=window, levels=levels, inner_states=inner_states, r_max=r_max)
    point = {**found, "epsilon": epsilon, "delta": delta, "discount": discount}
    lemma = None if rows is None else _lemma(rows)
    if latex and not as_json:  # the JSON object holds the formulas too
        _print_latex(_theorems(case, point["branching"], lemma))
        return
    result = evaluate(point, case=case, inner_steps=inner_steps, optimise=optimise, episode=episode, rows=lemma)
    if as_json:
        typer.echo(options.as_json(result))
    else:
        _print(result)
