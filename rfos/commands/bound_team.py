"""`rfos bound --case team`: what a team costs at one point, by three ways, and what cannot be avoided (M1 to M7)."""

from __future__ import annotations

import math
from fractions import Fraction
from typing import TYPE_CHECKING, Any

import typer

from rfos.commands.options import table, whole_numbers

if TYPE_CHECKING:
    from bounds import Bound

SPLITS = {
    "M5": {"w_plan": Fraction(0), "w_sim": Fraction(2, 3), "w_esc": Fraction(1, 3)},
    "M2": {"w_plan": Fraction(0), "w_sim": Fraction(4, 9), "w_esc": Fraction(5, 9)},
}
"""How each theorem shares out epsilon: the best to leading order, with exact planning."""

_AXES = ("n_rows", "branching", "horizon", "epsilon", "delta", "episode_discount", "n_actions", "log_policies")
_LONGEST = 10**6
_MOST_HISTORIES = 300  # decimal digits, so that logarithms of numbers of policies are floats
_SEARCHED = 60  # steps within which the crossing is looked for


def _takes(bound: Bound, values: dict[str, Any]) -> dict[str, Any]:
    """Return the values that a bound takes."""
    names = {*bound.symbols, *bound.parameters, *bound.weights}
    return {name: value for name, value in values.items() if name in names}


def _number(bound: Bound, values: dict[str, Any]) -> dict[str, Any]:
    """Return the logarithm, and the number itself where it is short enough to read."""
    here = _takes(bound, values)
    log10 = bound.log10(**here)
    value: Any = None
    if log10 < 15:
        value = bound.evaluate(**here)
        value = value if isinstance(value, int) else float(value)
    return {"log10": log10 if math.isfinite(log10) else None, "value": value}


def _entry(bound: Bound, values: dict[str, Any]) -> dict[str, Any]:
    """Return a bound with its elasticities and parts."""
    here = _takes(bound, values)
    slopes = {axis: bound.elasticity(axis, **here) for axis in _AXES if axis in bound.symbols}
    return {
        **_number(bound, values),
        "elasticities": slopes,
        "parts": {part.name: part.log10 for part in bound.parts(**here)},
        "label": bound.label,
        "source": bound.source,
        "assumptions": list(bound.assumptions),
    }


def _rungs(values: dict[str, Any], actions: tuple[int, ...], observations: tuple[int, ...]) -> dict[str, float]:
    """Return the logarithms of the three ways' episodes."""
    from bounds import team_rungs

    policies = team_rungs.m7_policies(actions, observations)
    here = {**values, **SPLITS["M5"]}
    here["log_policies"] = policies.ball(digits=30, horizon=values["horizon"])[1]
    return {name: bound.log10(**_takes(bound, here)) for name, bound in team_rungs.m7(form="closed").bounds.items()}


def _crossing(values: dict[str, Any], actions: tuple[int, ...], observations: tuple[int, ...]) -> int | None:
    """Return the shortest horizon at which the centralised model is cheapest, epsilon being the same share of V_T."""
    share = values["epsilon"] / _largest(values["episode_discount"], values["horizon"])
    for horizon in range(1, min(_SEARCHED, int(_MOST_HISTORIES / (1 + math.log10(max(observations))))) + 1):
        epsilon = share * _largest(values["episode_discount"], horizon)
        found = _rungs({**values, "horizon": horizon, "epsilon": epsilon}, actions, observations)
        if min(found, key=lambda name: found[name]) == "centralised":
            return horizon
    return None


def _largest(discount: Fraction, horizon: int) -> Fraction:
    """Return V_T, to some thirty digits where the fraction would be long."""
    if discount == 1:
        return Fraction(horizon)
    if horizon * discount.denominator.bit_length() <= 1 << 14:
        return (1 - discount**horizon) / (1 - discount)
    from bounds import Bound
    from bounds.teams import LARGEST

    whole = Bound(name="largest return", label="", expression=LARGEST, source="")
    return whole.ball(digits=30, episode_discount=discount, horizon=horizon)[0]


def _tree(values: dict[str, Any]) -> dict[str, Any] | None:
    """Return M6b for the deepest tree that has no more states than the team; None where there is none."""
    from bounds import team_rungs

    joint, depth, states = values["n_actions"], 0, 3  # a root, a good and a bad state
    while joint > 1 and states + joint ** (depth + 1) <= values["n_states"]:
        depth += 1
        states += joint**depth
    if states > values["n_states"]:
        return None
    bound = team_rungs.m6b()
    here = _takes(bound, {**values, "depth": depth})
    try:
        bound.require(**here)
    except ValueError:
        return None
    return {**_number(bound, here), "depth": depth}


def _sizes(text: str | None, option: str, other: str) -> tuple[int, ...]:
    """Return one number for each agent."""
    if text is None:
        raise ValueError(f"{option} not given: --case team needs one number for each agent, such as {other}")
    found = whole_numbers(text, option)
    if min(found) < 1:
        raise ValueError(f"{option} is {text!r}: each number must be at least 1")
    return found


def evaluate_team(
    *,
    n_states: int | None,
    n_actions: int | None,
    branching: int | None,
    horizon: int | None,
    actions: str | None,
    observations: str | None,
    epsilon: Fraction,
    delta: Fraction,
    discount: Fraction,
    r_max: Fraction = Fraction(1),
) -> dict[str, Any]:
    """Return everything that the command prints.

    Parameters
    ----------
    n_states : int
        States.
    n_actions : int or None
        Joint actions, if given the product of `actions`.
    branching, horizon : int
        Successors of a pair (next state and joint observation), and steps of an episode.
    actions, observations : str
        Of each agent, separated by commas.
    epsilon, delta, discount : Fraction
        Accuracy of the value, failure probability, and discount within an episode, 1 included.
    r_max : Fraction
        Range of the rewards of a step.

    Raises
    ------
    ValueError
        If a size is missing or out of range, or epsilon is not below the largest return.

    Examples
    --------
    Dec-Tiger over four steps at 10 % of the range of returns:

    >>> sizes = dict(n_states=2, n_actions=None, branching=8, horizon=4, actions="3,3", observations="2,2")
    >>> found = evaluate_team(**sizes, epsilon=Fraction(4, 10), delta=Fraction(1, 10), discount=Fraction(1))
    >>> found["cheapest"], found["crossing"], {name: round(x["log10"], 1) for name, x in found["rungs"].items()}
    ('centralised', 4, {'enumeration': 18.2, 'reuse': 8.3, 'centralised': 7.3})
    """
    from bounds import team_rungs, teams
    from bounds.symbols import REGISTRY

    given = {"--states": n_states, "--branching": branching, "--horizon": horizon}
    missing = [option for option, value in given.items() if value is None]
    if missing:
        raise ValueError(f"{', '.join(missing)} not given: --case team needs the sizes of the team")
    for option, value in given.items():
        most = _LONGEST if option == "--horizon" else 10**15
        if not 1 <= value <= most:  # type: ignore[operator]  # none is missing
            raise ValueError(f"{option} is {value}: it must be from 1 to {most:,}")
    choices, seen = _sizes(actions, "--agent-actions", "3,3"), _sizes(observations, "--observations", "2,2")
    if len(choices) != len(seen):
        raise ValueError(
            f"--agent-actions are of {len(choices)} agents and --observations of {len(seen)}: give one each per agent"
        )
    joint = math.prod(choices) if n_actions is None else n_actions
    if joint != math.prod(choices):
        raise ValueError(f"--actions is {joint}: the agents have {math.prod(choices)} joint actions; leave it out")
    assert n_states is not None  # none is missing
    assert branching is not None
    assert horizon is not None
    if horizon * math.log10(max(seen)) > _MOST_HISTORIES:
        raise ValueError(f"--horizon {horizon} has more than 10^{_MOST_HISTORIES} histories: give a shorter one")
    if branching > n_states * math.prod(seen):
        raise ValueError(
            f"--branching is {branching}: a pair has at most |S||O| = {n_states * math.prod(seen)} successors"
        )
    if not 0 < discount <= 1:
        raise ValueError(f"--discount is {discount}: a team's must lie in (0, 1]")
    if not r_max > 0:
        raise ValueError(f"--r-max is {r_max}: it must be greater than 0")
    numbers = {"epsilon": epsilon / r_max, "delta": delta, "episode_discount": discount}
    values: dict[str, Any] = {name: REGISTRY[name].read(Fraction(value)) for name, value in numbers.items()}
    largest = _largest(values["episode_discount"], horizon)
    if values["epsilon"] >= largest:
        raise ValueError(
            f"epsilon is {epsilon}, not below the largest return {float(largest * r_max):g}: nothing to learn"
        )
    policies = team_rungs.m7_policies(choices, seen)
    values |= {"horizon": horizon, "branching": branching, "n_actions": joint, "n_states": n_states}
    values |= {"n_observations": math.prod(seen), "n_rows": n_states * joint + 1}
    values["log_policies"] = policies.ball(digits=30, horizon=horizon)[1]
    theorems: dict[str, Any] = {}
    for name, family in (("M2", teams.m2()), ("M5", teams.m5()), ("M5+", teams.m5_plus())):
        split = SPLITS["M2" if name == "M2" else "M5"]
        here = {**values, **split}
        theorems[name] = {
            "weights": {weight: str(value) for weight, value in split.items()},
            "m": _number(family.m, here),
            **{part: _number(getattr(family, part), here) for part in ("accuracy", "escape") if hasattr(family, part)},
            "episodes": _entry(family.episodes, here),
        }
    rungs = {}
    for name, bound in team_rungs.m7().bounds.items():
        rungs[name] = _entry(bound, {**values, **SPLITS["M5"]})
    lock = {name: bound for name, bound in team_rungs.m6a().bounds.items() if name != "value"}
    cheapest = min(rungs, key=lambda name: rungs[name]["log10"])
    sim, plan = SPLITS["M2"]["w_sim"], SPLITS["M2"]["w_esc"]
    return {
        "case": "team",
        "point": {
            "n_states": n_states,
            "agent_actions": list(choices),
            "observations": list(seen),
            "n_rows": values["n_rows"],
            "branching": branching,
            "horizon": horizon,
            "epsilon": str(epsilon),
            "delta": str(delta),
            "discount": str(discount),
            "r_max": str(r_max),
            "policies_log10": float(values["log_policies"]) / math.log(10),
        },
        "model": {  # M1 and M4 at M2's shares, in units of reward
            "error": float(sim * values["epsilon"] * r_max / 2),
            "bracket": float(plan * values["epsilon"] * r_max),
        },
        "theorems": theorems,
        "rungs": rungs,
        "cheapest": cheapest,
        "crossing": _crossing(values, choices, seen),
        "tree": _tree(values),
        "lock": {name: _number(bound, values) for name, bound in lock.items()},
    }


def _show(cell: dict[str, Any]) -> str:
    if cell["value"] is None:
        return f"10^{cell['log10']:.3f}"
    return f"{cell['value']:,}" if isinstance(cell["value"], int) else f"{cell['value']:.4g}"


def print_team(found: dict[str, Any]) -> None:
    """Print what `evaluate_team` returned."""
    point = found["point"]
    shown = {name: "x".join(map(str, value)) if isinstance(value, list) else value for name, value in point.items()}
    shown["policies_log10"] = f"{point['policies_log10']:.1f}"
    typer.echo(", ".join(f"{name} {value}" for name, value in shown.items()))
    typer.echo("")
    rows = [
        [
            *(name, _show(e["m"]), _show(e["accuracy"]) if "accuracy" in e else "-"),
            *(_show(e["episodes"]), f"{e['episodes']['log10']:.3f}"),
        ]
        for name, e in found["theorems"].items()
    ]
    typer.echo(table(["theorem", "m", "t", "episodes at most", "log10"], rows))
    typer.echo("m: visits that make a pair known; t: total variation to which each row is then known")
    typer.echo("M2: exploration until the model answers every policy; M5, M5+: episodes that are not epsilon-optimal")
    typer.echo(
        f"M1: after M2 every policy's value is within {found['model']['error']:.4g} of the truth; M4: an exact plan is "
        f"epsilon-optimal, its bracket in the model being {found['model']['bracket']:.4g} wide at most"
    )
    typer.echo("\nthree ways to a good policy, episodes (M7)")
    typer.echo(table(["way", "log10"], [[name, f"{e['log10']:.3f}"] for name, e in found["rungs"].items()]))
    typer.echo(f"the cheapest is: {found['cheapest']}")
    if found["crossing"] is None:
        typer.echo(f"the centralised model is not the cheapest for up to {_SEARCHED} steps")
    else:
        typer.echo(
            f"the centralised model is the cheapest from {found['crossing']} steps on, at the same share of the range"
        )
    lock = {name: _show(cell) for name, cell in found["lock"].items()}
    typer.echo(
        f"a lock of this size (M6a): {lock['blind']} episodes without states, {lock['hindsight']} with them in "
        f"hindsight, {lock['generic']} for any R-max"
    )
    if found["tree"] is not None:
        typer.echo(
            f"a tree of this size, fully observed (M6b): at least {_show(found['tree'])} episodes, depth "
            f"{found['tree']['depth']}"
        )
    entries = {name: e["episodes"] for name, e in found["theorems"].items()}
    entries |= {name: e for name, e in found["rungs"].items() if name != "centralised"}
    typer.echo("\nelasticity in: the power of each variable that the bound grows with here, the others held fixed")
    axes = [axis for axis in _AXES if any(axis in e["elasticities"] for e in entries.values())]
    slopes = [
        [name, *(f"{e['elasticities'][a]:.3f}" if a in e["elasticities"] else "-" for a in axes)]
        for name, e in entries.items()
    ]
    typer.echo(table(["bound", *axes], slopes))
    typer.echo("\nfactors, as log10: they add up to that of the bound")
    for name, e in entries.items():
        typer.echo(f"  {name}: " + ", ".join(f"{part} {x + 0.0:.2f}" for part, x in e["parts"].items()))
    typer.echo("\nderived here; the paper on centralised models for teams states a polynomial bound")
