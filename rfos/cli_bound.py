"""`rfos bound`: the bounds at one point, classical beside sharp, with elasticities, parts and rivals."""

from __future__ import annotations

import json
import math
from fractions import Fraction
from typing import TYPE_CHECKING, Annotated, Any

import typer

from rfos._options import table, whole

if TYPE_CHECKING:
    from bounds import Bound

_AXES = ("n_states", "n_actions", "branching", "epsilon", "delta", "r_max", "horizon")
_SHOWN = {"horizon": "episode"}


def _point(case: str | None, game: str | None, **given: Any) -> dict[str, Any]:
    """Return |Ŝ|, |Â|, B and R_max of a case, or those given."""
    sizes = {name: given[name] for name in ("n_states", "n_actions", "branching")}
    if case is None:
        options = {"--states": "n_states", "--actions": "n_actions", "--branching": "branching"}
        missing = [option for option, name in options.items() if not sizes[name]]
        if missing:
            raise ValueError(f"{', '.join(missing)} not given: give all three sizes, or --case window or --case policy")
        return {**sizes, "r_max": given["r_max"] or "1"}
    if any(sizes.values()):
        raise ValueError(f"--case {case} sets the sizes: leave --states, --actions and --branching out")
    if game is None:
        raise ValueError(f"--case {case} needs a game: give --game, such as matching-pennies")
    from rfos.games import ITERATED_GAMES, named_game

    inner = named_game(game)
    payoffs = inner.payoffs[0]
    span = Fraction(repr(float(payoffs.max()))) - Fraction(repr(float(payoffs.min())))
    if span == 0:
        raise ValueError(f"all rewards of {game} are equal: every policy is optimal")
    actions = inner.n_actions
    found: dict[str, Any] = {"r_max": given["r_max"] or span}
    other = {"window": ("levels", "inner_states"), "policy": ("window",)}.get(case, ())
    for name in other:
        if given[name] is not None:
            raise ValueError(f"--{name.replace('_', '-')} does not go with --case {case}: leave it out")
    if case == "window":
        window = 2 if given["window"] is None else given["window"]
        if window < 1:
            raise ValueError(f"--window is {window}: it must be at least 1")
        if window * math.log10(math.prod(actions)) > 4000:
            raise ValueError(f"--window {window} has more than 10^4000 windows: give a shorter one")
        found["n_states"] = math.prod(actions) ** window
        found["n_actions"], found["branching"] = actions[0], math.prod(actions[1:])
        found["chain"] = {"window": {"n_states": window * math.log(math.prod(actions))}}
    elif case == "policy":
        levels = 10 if given["levels"] is None else given["levels"]
        rows = given["inner_states"] or (1 + math.prod(actions) if game in ITERATED_GAMES else 1)
        if levels < 1:
            raise ValueError(f"--levels is {levels}: it must be at least 1")
        digits = rows * sum(math.lgamma(levels + a) - math.lgamma(levels + 1) - math.lgamma(a) for a in actions)
        if digits > 4000 * math.log(10):
            raise ValueError(f"{rows} rows of {levels} levels have more than 10^4000 policies: give fewer")
        points = [math.comb(levels + a - 1, a - 1) ** rows for a in actions]
        found["n_states"], found["n_actions"], found["branching"] = math.prod(points[1:]), points[0], 1
        slopes = [rows * sum(levels / (levels + j) for j in range(1, a)) for a in actions]  # of N1's count
        found["chain"] = {"levels": {"n_states": sum(slopes[1:]), "n_actions": slopes[0]}}
    else:
        raise ValueError(f"unknown case {case!r}: choose window or policy")
    return found


def _theorems(case: str | None, branching: int) -> dict[str, tuple[Any, str | None]]:
    """Return (family, kind of default weights) by what the table calls it, classical first."""
    from bounds.rmax import t1, t1_restarts
    from bounds.sharp import t1_deterministic, t1_observed, t1_plus

    found: dict[str, tuple[Any, str | None]] = {}
    if case is not None:
        found["T1 with B = |S|"] = (t1("known", False, "classical"), "continuing")
    found["T1, classical count"] = (t1("known", False, "classical"), "continuing")
    found["T1"] = (t1(), "continuing")
    found["T1+"] = (t1_plus(), "episodic")
    if case == "window":
        found["T1+ with X2"] = (t1_plus("known", True), "episodic")
    found["T1 with X4"] = (t1_restarts(), "restarts")
    if branching == 1:
        found["T1'"] = (t1_deterministic(), None)
        found["T1' with X1"] = (t1_observed(), None)
    return found


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


def evaluate(
    point: dict[str, Any], *, case: str | None = None, inner_steps: int = 1, optimise: bool = False, episode: int = 10
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
        Choose the weights.
    episode : int
        Steps between random restarts, for X4.

    Examples
    --------
    >>> sizes = dict(n_states=16, n_actions=2, branching=2)
    >>> found = evaluate({**sizes, "epsilon": "0.8", "delta": "0.2", "discount": "0.8", "r_max": 1})
    >>> found["theorems"]["T1+"]["m"]["value"], found["theorems"]["T1+"]["steps"]["value"]
    (30506, 92804735)
    """
    import bounds
    from bounds.rivals import rivals
    from bounds.rmax import default_weights
    from bounds.symbols import REGISTRY

    chain = point.get("chain", {})
    numbers = {name: REGISTRY[name].read(value) for name, value in point.items() if name != "chain"}
    v_max = numbers["r_max"] / (1 - numbers["discount"])
    if numbers["epsilon"] >= v_max:
        raise ValueError(
            f"epsilon is {point['epsilon']}, not below the largest return {float(v_max):g}: nothing to learn"
        )
    theorems = {}
    for name, (family, kind) in _theorems(case, point["branching"]).items():
        here = {**numbers, **({"horizon": REGISTRY["horizon"].read(episode)} if kind == "restarts" else {})}
        if name == "T1 with B = |S|":
            here["branching"] = here["n_states"]
        gained = better_by = None
        weights: dict[str, Any] = {"w_plan": Fraction(1, 100)}
        if kind == "restarts":
            weights |= {"w_sim": Fraction(99, 100)}  # there is nothing else to pay
        elif kind is None:
            pass
        else:
            weights = dict(default_weights(kind))  # type: ignore[arg-type]
            if optimise:
                choice = bounds.optimise(family.steps, **here)
                default = family.steps.log10(**here, **weights)
                gained = 10 ** (choice.equal_log10 - min(choice.log10, default))
                better_by = 10 ** (default - min(choice.log10, default))
                weights = choice.values if choice.log10 < default else weights
        values = {**here, **weights}
        entry: dict[str, Any] = {"weights": {k: str(x) for k, x in weights.items()}}
        for attribute in ("m", "horizon", "blocks", "count", "episodes", "lower", "steps"):
            if hasattr(family, attribute):
                bound = getattr(family, attribute)
                known = (*bound.symbols, *bound.parameters, *bound.weights)
                entry[attribute] = _number(bound, {k: x for k, x in values.items() if k in known})
        steps = family.steps
        values = {k: x for k, x in values.items() if k in (*steps.symbols, *steps.parameters, *steps.weights)}
        log10 = entry["steps"]["log10"]
        entry["samples_log10"] = None if log10 is None else log10 + math.log10(inner_steps)
        value = entry["steps"]["value"]
        entry["samples_value"] = None if value is None else value * inner_steps
        entry["elasticities"] = _elasticities(steps, values, chain, name == "T1 with B = |S|")
        entry["parts"] = {part.name: part.log10 for part in steps.parts(**values)}
        entry["optimisation_gain"], entry["default_gain"] = gained, better_by
        entry["label"], entry["kind"], entry["sketch"] = steps.label, str(steps.kind), steps.sketch
        entry["formula"] = steps.latex()
        entry["source"] = steps.source
        entry["assumptions"] = list(steps.assumptions)
        theorems[name] = entry
    others = {
        name: {"log10": b.log10(**{k: x for k, x in numbers.items() if k in b.symbols}), "source": b.source}
        for name, b in rivals().items()
    }
    shown = {name: _short(value) for name, value in numbers.items()}
    shown["v_max"] = _short(v_max)
    return {
        "point": shown,
        "case": case,
        "inner_steps": inner_steps,
        "episode": episode,
        "theorems": theorems,
        "rivals": others,
    }


def _show(cell: dict[str, Any] | None) -> str:
    if cell is None:
        return "-"
    if cell["value"] is not None:
        return f"{cell['value']:,.0f}"
    return f"10^{cell['log10']:.3f}"


def _print(found: dict[str, Any]) -> None:
    typer.echo(", ".join(f"{name} {value}" for name, value in found["point"].items()))
    typer.echo(
        f"inner steps of a meta-step {found['inner_steps']}, episode (X4 alone has restarts) {found['episode']}\n"
    )
    theorems = found["theorems"]
    rows = []
    for name, e in theorems.items():
        reach = e.get("count") or e.get("blocks") or e.get("episodes")
        rows.append(
            [
                name,
                _show(e["m"]),
                _show(e.get("horizon")),
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
    typer.echo("\nelasticity in: the power of each variable that the bound grows with here")
    axes = list(dict.fromkeys(axis for e in theorems.values() for axis in e["elasticities"]))
    rows = [
        [name, *(f"{e['elasticities'][a]:.3f}" if a in e["elasticities"] else "-" for a in axes)]
        for name, e in theorems.items()
    ]
    typer.echo(table(["theorem", *axes], rows))
    typer.echo("\nfactors, as log10: they add up to that of the bound")
    for name, e in theorems.items():
        typer.echo(f"  {name}: " + ", ".join(f"{part} {x:.2f}" for part, x in e["parts"].items()))
        if e["optimisation_gain"] is not None:
            weights = ", ".join(f"{w} {float(Fraction(x)):.3f}" for w, x in e["weights"].items())
            gain = f"{e['optimisation_gain']:.2f} times smaller than at equal weights"
            typer.echo(f"    chosen {weights}: {gain}, {e['default_gain']:.3f} than at the default ones")
    typer.echo(
        "\nrivals: orders without constants and logarithms, values not normalised, R_max = 1; not bounds at this point"
    )
    typer.echo(
        table(
            ["algorithm", "log10", "source"],
            [[n, f"{r['log10']:.3f}", r["source"]] for n, r in found["rivals"].items()],
        )
    )


def bound(
    states: Annotated[int | None, typer.Option(parser=whole, metavar="N", help="Meta-states; powers as 4^600.")] = None,
    actions: Annotated[int | None, typer.Option(parser=whole, metavar="N", help="Meta-actions.")] = None,
    branching: Annotated[int | None, typer.Option(parser=whole, metavar="N", help="Successors of a pair, B.")] = None,
    case: Annotated[str | None, typer.Option(help="window or policy: take the sizes from a game.")] = None,
    game: Annotated[
        str | None, typer.Option(help="Inner game: matching-pennies, ..; ipd, imp: the iterated games of M-FOS.")
    ] = None,
    window: Annotated[int | None, typer.Option(parser=whole, metavar="H", help="Joint actions remembered.")] = None,
    levels: Annotated[
        int | None, typer.Option(parser=whole, metavar="K", help="Steps of the policy grid from 0 to 1.")
    ] = None,
    inner_states: Annotated[
        int | None, typer.Option(parser=whole, metavar="N", help="Rows of a policy: 1; memory one (ipd, imp) has 5.")
    ] = None,
    inner_steps: Annotated[int, typer.Option(parser=whole, metavar="N", help="Inner steps of a meta-step.")] = 1,
    episode: Annotated[int, typer.Option(parser=whole, metavar="T", help="Steps between restarts, for X4.")] = 10,
    epsilon: Annotated[str, typer.Option(metavar="NUMBER", help="Accuracy, in reward/(1-discount).")] = "0.8",
    delta: Annotated[str, typer.Option(metavar="NUMBER", help="Failure probability.")] = "0.2",
    discount: Annotated[str, typer.Option(metavar="NUMBER", help="Meta discount.")] = "0.8",
    r_max: Annotated[
        str | None, typer.Option(metavar="NUMBER", help="Largest meta-reward; default the game's.")
    ] = None,
    optimise: Annotated[bool, typer.Option("--optimise", help="Choose the free weights.")] = False,
    latex: Annotated[bool, typer.Option("--latex", help="Print the formulas instead.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Print the bounds on R-max at one point: classical beside sharp, what they are made of, and the rivals."""
    if min(1 if inner_states is None else inner_states, inner_steps, episode) < 1:
        raise ValueError("--inner-states, --inner-steps and --episode must be at least 1")
    sizes = {"n_states": states, "n_actions": actions, "branching": branching}
    found = _point(case, game, **sizes, window=window, levels=levels, inner_states=inner_states, r_max=r_max)
    point = {**found, "epsilon": epsilon, "delta": delta, "discount": discount}
    if latex:
        for name, (family, _) in _theorems(case, point["branching"]).items():
            for attribute in ("m", "steps"):
                typer.echo(f"% {name}: {getattr(family, attribute).name}")
                typer.echo(rf"\[ {getattr(family, attribute).latex()} \]")
        return
    result = evaluate(point, case=case, inner_steps=inner_steps, optimise=optimise, episode=episode)
    if as_json:
        typer.echo(json.dumps(result))
    else:
        _print(result)
