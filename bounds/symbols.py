"""Every symbol of the theory once: its meaning, unit, range and assumptions.

`REGISTRY` maps a name to its `Parameter`, `SYMBOLS` to the sympy symbol alone. Values are read by
`exact`, which makes a Fraction of an int, a Fraction, a float (the decimal that it prints as) or a string
"p/q" or "0.05"; no string ever reaches sympy's parser.
"""

from __future__ import annotations

import math
import numbers
import re
from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from types import MappingProxyType
from typing import TypeAlias

import sympy as sp

Number: TypeAlias = int | float | Fraction | str

_STRING = re.compile(
    r"[+-]?([0-9]{1,4000}/[0-9]{1,4000}|([0-9]{1,4000}(\.[0-9]{0,4000})?|\.[0-9]{1,4000})([eE][+-]?[0-9]{1,4})?)"
)


@dataclass(frozen=True)
class Parameter:
    """A symbol with what it stands for and the values that it may take.

    Attributes
    ----------
    symbol : sympy.Symbol
        The symbol, with sympy's assumptions (integer, positive, nonnegative).
    meaning, unit : str
        What it stands for and what it is measured in.
    latex : str
        How formulas print it.
    integer : bool
        Whether it takes whole numbers only.
    low, high : Fraction or None
        Ends of its range; None is no end.
    low_open, high_open : bool
        Whether that end is excluded.
    """

    symbol: sp.Symbol
    meaning: str
    unit: str
    latex: str
    integer: bool
    low: Fraction
    high: Fraction | None
    low_open: bool
    high_open: bool

    @property
    def range(self) -> str:
        """The range in words, as error messages print it."""
        what = "a whole number" if self.integer else "a number"
        if self.high is None:
            return f"{what} greater than {self.low}" if self.low_open else f"{what}, at least {self.low}"
        left, right = "(" if self.low_open else "[", ")" if self.high_open else "]"
        return f"{what} in {left}{self.low}, {self.high}{right}"

    def read(self, value: Number) -> Fraction:
        """Return `value` as a Fraction.

        Raises
        ------
        TypeError, ValueError
            If it is not a number, or lies outside the range; the message names the symbol, the value and
            the range.
        """
        name = str(self.symbol)
        number = exact(value, name)
        too_low = number <= self.low if self.low_open else number < self.low
        too_high = self.high is not None and (number > self.high or (self.high_open and number == self.high))
        if too_low or too_high or (self.integer and number.denominator != 1):
            raise ValueError(f"{name} must be {self.range}; got {show(value)}")
        return number


def exact(value: Number, name: str = "the value") -> Fraction:
    """Return a number as the Fraction that it denotes; a float denotes the shortest decimal that prints it.

    Parameters
    ----------
    value : int, Fraction, float or str
        A string is "p/q" or a decimal, as in "1/3", "0.05", ".05", "1e-9".
    name : str
        What error messages call it.

    Raises
    ------
    TypeError
        If `value` is none of these types.
    ValueError
        If it is infinite, not a number, or a string of another form.

    Examples
    --------
    >>> exact(0.1), exact("1/3"), exact(7), exact(".1")
    (Fraction(1, 10), Fraction(1, 3), Fraction(7, 1), Fraction(1, 10))
    """
    if isinstance(value, bool):
        raise TypeError(f"{name} must be a number, not the truth value {value}; write 1 or 0")
    if isinstance(value, Fraction):
        return value
    if isinstance(value, numbers.Integral):
        return Fraction(int(value))
    if isinstance(value, float):
        if not math.isfinite(value):
            raise ValueError(f"{name} must be finite; got {float(value)}")
        return Fraction(float.__repr__(value))  # a subclass may print itself otherwise
    if isinstance(value, str):
        if not _STRING.fullmatch(value):
            raise ValueError(f'{name} must be a number such as "1/3" or "0.05"; got {show(value)}')
        if "/" in value and not int(value.partition("/")[2]):
            raise ValueError(f"{name} must have a denominator other than 0; got {show(value)}")
        return Fraction(value)
    raise TypeError(f"{name} must be an int, a float, a Fraction or a string such as '1/3'; got {type(value).__name__}")


def show(value: object) -> str:
    """Return a value as an error message prints it, however long it is."""
    try:
        text = repr(value) if isinstance(value, str) else str(value)
    except ValueError:  # an int beyond the limit of digits that Python prints
        return "a number of more than 4300 digits"
    return text if len(text) <= 60 else text[:57] + "..."


def _make() -> dict[str, Parameter]:
    registry: dict[str, Parameter] = {}

    def add(
        name: str,
        latex: str,
        meaning: str,
        unit: str = "1",
        *,
        integer: bool = False,
        low: int = 0,
        high: int | None = None,
        low_open: bool = True,
        high_open: bool = True,
    ) -> None:
        positive = low > 0 or low_open
        symbol = sp.Symbol(
            name, integer=True if integer else None, real=True, nonnegative=True, positive=positive or None
        )
        top = None if high is None else Fraction(high)
        registry[name] = Parameter(symbol, meaning, unit, latex, integer, Fraction(low), top, low_open, high_open)

    def count(name: str, latex: str, meaning: str, unit: str = "1") -> None:
        add(name, latex, meaning, unit, integer=True, low=1, low_open=False)

    def share(name: str, latex: str, meaning: str, *, low_open: bool = True) -> None:
        add(name, latex, meaning, low_open=low_open, high=1, high_open=False)

    count("n_states", r"|\hat S|", "number of meta-states")
    count("n_actions", r"|\hat A|", "number of meta-actions")
    count("branching", "B", "largest number of successors of a pair: a known bound on the true support")
    count("m", "m", "visits that make a pair known", "visits")
    count("explorations", "k_0", "times that an unknown pair can be taken", "visits")
    count("horizon", "T", "length of an episode", "meta-steps")
    add("epsilon", r"\varepsilon", "accuracy of the value", "reward / (1 - discount)")
    add("delta", r"\delta", "failure probability of the whole statement", high=1)
    add("failure", r"\delta'", "failure probability of one estimate", high=1)
    add("discount", r"\hat\gamma", "meta discount factor", low_open=False, high=1)
    add("r_max", r"R_{\max}", "largest meta-reward, the smallest being 0", "reward per meta-step")
    add("eps_reward", r"\varepsilon_R", "error of one estimated mean reward", "reward per meta-step")
    add("eps_transition", r"\varepsilon_P", "L1 error of one estimated transition row")
    share("escape", "p", "probability of exploring above which a block counts")
    add("w_plan", r"w_{\mathrm{plan}}", "share of epsilon for planning", low_open=False, high=1)
    share("w_sim", r"w_{\mathrm{sim}}", "share of epsilon for the estimated model, twice")
    share("w_hor", r"w_{\mathrm{hor}}", "share of epsilon for the horizon", low_open=False)
    share("w_esc", r"w_{\mathrm{esc}}", "share of epsilon for unfinished exploration", low_open=False)
    add("w_reward", "w_R", "share of the model error that the rewards may take", high=1)

    def constant(name: str, latex: str, meaning: str, unit: str = "1", *, low_open: bool = False) -> None:
        add(name, latex, meaning, unit, low_open=low_open)

    count("inner_states", "|S|", "number of inner states")
    count("inner_actions", "|A|", "number of a player's actions")
    count("inner_steps", "K", "inner steps per meta-step", "inner steps")
    add("inner_discount", r"\gamma", "inner discount factor", low_open=False, high=1)
    add("inner_span", r"\mathrm{span}(r)", "largest less smallest inner reward of a player", "reward per inner step")
    add("meta_span", r"\mathrm{span}(R)", "largest less smallest meta-reward", "reward per meta-step")
    count("levels", "k", "steps of a simplex grid from 0 to 1")
    count("cells", "q", "cells per axis of a cube grid")
    add("radius", r"\alpha", "covering radius of a grid", "distance")
    constant("alpha_state", r"\alpha_s", "radius of the opponents' grids, summed", "distance")
    constant("alpha_action", r"\alpha_a", "radius of the shaper's grid", "distance")
    constant("distance", "d", "largest L1 distance over inner states, summed over players", "distance")
    add(
        "mismatch",
        r"\delta_\varphi",
        "largest probability of an action mismatch in an inner state",
        low_open=False,
        high=1,
        high_open=False,
    )
    constant("l_reward", "L_R", "Lipschitz constant of the meta-reward", "reward / distance", low_open=True)
    constant("l_state", "L_F^s", "Lipschitz constant of learning in the opponents' policies")
    constant("l_action", "L_F^a", "Lipschitz constant of learning in the shaper's policy")
    constant("l_transition", "L_P", "Lipschitz constant of the transition law in total variation", "1 / distance")
    add("step_size", r"\eta", "learning rate of a gradient step", "1 / reward")
    add("payoff_gap", r"\max|u_0-u_1|", "largest difference of a learner's two expected payoffs", "reward")
    constant("payoff_gap_span", r"\mathrm{span}(u_0-u_1)", "span of a learner's payoff difference", "reward")
    add("smoothing", r"\beta", "share of the best response in the next policy", high=1, high_open=False)
    add("temperature", r"\tau", "temperature of a softmax", "reward")

    add("rate", r"\lambda", "free parameter of the horizon-free count")
    constant("model_change", r"\tau_{\mathrm{VI}}", "largest change of the last sweep of value iteration", "value")
    constant("eps_plan", r"\varepsilon_{\mathrm{plan}}", "loss of the planned policy in its model", "value")
    constant("eps_sim", r"\varepsilon_{\mathrm{sim}}", "error of a policy's value in the model", "value")
    constant("optimism", r"\xi", "error of one backup of the optimal value", "value")
    share("exploring", "e", "expected discount until an unknown pair is taken", low_open=False)
    share("aliasing", r"\kappa", "total variation that a meta-state hides", low_open=False)
    add("safe_value", "v", "value of a safe loop", "value")
    count("far_states", r"n_{\mathrm{far}}", "far states of the slow family")
    count("players", "n", "number of players", "players")
    count("inner_branching", "b", "largest number of successors of an inner state and joint action")
    count("window", "h", "joint actions in the window")

    count("n_rows", "|Z|", "rows to estimate: pairs of state and joint action, and the start law if it is not known")
    count("n_observations", "|O|", "number of joint observations")
    count("episodes", "N", "episodes")
    add("depth", "d", "depth of the tree of decisions before the pairs that matter", integer=True, low_open=False)
    share("model_tv", "t", "largest total variation between an estimated and a true row", low_open=False)
    share("reward_error", r"\rho", "largest error of a mean reward, rewards lying in [0, 1]", low_open=False)
    share("episode_discount", r"\gamma_{\mathrm{ep}}", "discount factor within an episode, 1 included")
    share("learning_rate", r"\alpha_Q", "share of a new reward in a learner's value")
    constant("return_range", r"\bar V", "largest less smallest return of an episode", "return", low_open=True)
    constant("bracket", "U-L", "width of a certified bracket of the best value in the model", "value")
    constant("log_policies", r"\ln|\Pi|", "natural logarithm of the number of deterministic policies")
    return registry


REGISTRY: Mapping[str, Parameter] = MappingProxyType(_make())
SYMBOLS: Mapping[str, sp.Symbol] = MappingProxyType({name: entry.symbol for name, entry in REGISTRY.items()})

n_states = SYMBOLS["n_states"]
n_actions = SYMBOLS["n_actions"]
branching = SYMBOLS["branching"]
m = SYMBOLS["m"]
explorations = SYMBOLS["explorations"]
horizon = SYMBOLS["horizon"]
epsilon = SYMBOLS["epsilon"]
delta = SYMBOLS["delta"]
failure = SYMBOLS["failure"]
discount = SYMBOLS["discount"]
r_max = SYMBOLS["r_max"]
eps_reward = SYMBOLS["eps_reward"]
eps_transition = SYMBOLS["eps_transition"]
escape = SYMBOLS["escape"]
w_plan = SYMBOLS["w_plan"]
w_sim = SYMBOLS["w_sim"]
w_hor = SYMBOLS["w_hor"]
w_esc = SYMBOLS["w_esc"]
w_reward = SYMBOLS["w_reward"]
inner_states = SYMBOLS["inner_states"]
inner_actions = SYMBOLS["inner_actions"]
inner_steps = SYMBOLS["inner_steps"]
inner_discount = SYMBOLS["inner_discount"]
inner_span = SYMBOLS["inner_span"]
meta_span = SYMBOLS["meta_span"]
levels = SYMBOLS["levels"]
cells = SYMBOLS["cells"]
radius = SYMBOLS["radius"]
alpha_state = SYMBOLS["alpha_state"]
alpha_action = SYMBOLS["alpha_action"]
distance = SYMBOLS["distance"]
mismatch = SYMBOLS["mismatch"]
l_reward = SYMBOLS["l_reward"]
l_state = SYMBOLS["l_state"]
l_action = SYMBOLS["l_action"]
l_transition = SYMBOLS["l_transition"]
step_size = SYMBOLS["step_size"]
payoff_gap = SYMBOLS["payoff_gap"]
payoff_gap_span = SYMBOLS["payoff_gap_span"]
smoothing = SYMBOLS["smoothing"]
temperature = SYMBOLS["temperature"]
rate = SYMBOLS["rate"]
model_change = SYMBOLS["model_change"]
eps_plan = SYMBOLS["eps_plan"]
eps_sim = SYMBOLS["eps_sim"]
optimism = SYMBOLS["optimism"]
exploring = SYMBOLS["exploring"]
aliasing = SYMBOLS["aliasing"]
safe_value = SYMBOLS["safe_value"]
far_states = SYMBOLS["far_states"]
players = SYMBOLS["players"]
inner_branching = SYMBOLS["inner_branching"]
window = SYMBOLS["window"]
n_rows = SYMBOLS["n_rows"]
n_observations = SYMBOLS["n_observations"]
episodes = SYMBOLS["episodes"]
depth = SYMBOLS["depth"]
model_tv = SYMBOLS["model_tv"]
reward_error = SYMBOLS["reward_error"]
episode_discount = SYMBOLS["episode_discount"]
learning_rate = SYMBOLS["learning_rate"]
return_range = SYMBOLS["return_range"]
bracket = SYMBOLS["bracket"]
log_policies = SYMBOLS["log_policies"]
