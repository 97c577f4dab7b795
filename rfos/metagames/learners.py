"""How opponents learn between meta-steps: maps from the joint policy to the learner's next policy (Case I).

Every learner here is deterministic and without memory: its next policy is a function of the policies just played,
which is what makes the lumping of G2 exact. Steps are taken on the *un-normalised* return, the sum of
discount^t r_t, as in M-FOS; that is 1/(1-discount) times the normalised return.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Any, Literal, NamedTuple, Protocol

import numpy as np
from numpy.typing import ArrayLike

from rfos._kernels import learners as kernels
from rfos._kernels.learners import Rule
from rfos._system import checks
from rfos._system.arrays import Float
from rfos.games.stochastic import StochasticGame


class Learner(Protocol):
    """A deterministic learning rule without memory.

    It may say more of itself: ``rule() -> Rule or None``, the rule by which kernels play it, None where its numbers are
    too large for them; and ``lipschitz(game, player) -> Lipschitz or str``, how strongly it reacts to the policies just
    played, or why that is not known.
    """

    def update(self, game: StochasticGame, player: int, policies: Sequence[ArrayLike]) -> Float:
        """Return the player's next policy, shape (S, A), given the joint policy just played."""
        ...


def _check_step(step: float) -> None:
    if not 0 < checks.number(step) < float("inf"):
        raise ValueError(f"step is {checks.shown(step)}: give a positive step size on the un-normalised return")


def _check_mixing(mixing: float) -> None:
    if not 0 < checks.number(mixing) <= 1:
        raise ValueError(f"mixing is {checks.shown(mixing)}: give a weight in (0, 1]")


Numbers = dict[str, Fraction | float | int]
"""Values by the names of the symbols that they stand for."""


class Lipschitz(NamedTuple):
    """How strongly a learner's next policy depends on the present ones.

    Attributes
    ----------
    formula : str, bounds.discretisation.Learner or None
        The constants as formulas, or their name in `bounds.discretisation`; None: the learner never moves.
    values : dict
        Of the formulas' symbols.
    stochastic : bool
        Whether the formula is the one for inner games with more than one step; for those that have a name.
    """

    formula: Any = None
    values: Numbers = {}  # noqa: RUF012  never changed
    stochastic: bool = False


LARGEST_STEP = 1e100
"""Learners with larger steps are not played by kernels: infinity times 0 is NaN, which lies in no cell of a grid."""


def _says(learner: object, what: str) -> bool:
    """Return whether a learner has a method `what` that speaks of the `update` that it has, not of one above it.

    Whoever takes a class of this package and writes an `update` of his own does not learn as that class does.
    """
    if not callable(getattr(learner, what, None)):
        return False
    own = getattr(learner, "__dict__", {})
    order = [own, *(vars(kind) for kind in type(learner).__mro__)]
    first = [next((i for i, names in enumerate(order) if name in names), len(order)) for name in (what, "update")]
    return first[0] <= first[1]


def rule_of(learner: object) -> Rule | None:
    """Return the rule by which kernels play a learner, or None where only its `update` says how it learns.

    Raises
    ------
    ValueError
        If its method `rule` returns something else.

    Examples
    --------
    >>> class Mine(Fixed):
    ...     def update(self, game, player, policies):
    ...         return np.full((game.n_states, 2), 0.5)
    >>> rule_of(SmoothedBestResponse(temperature=0.5, mixing=0.25))
    Rule(kind=2, step=0.5, mixing=0.25)
    >>> rule_of(Mine()) is None
    True
    """
    if not _says(learner, "rule"):
        return None
    given: Any = learner
    found = given.rule()
    if found is None:
        return None
    numbers_of = [checks.number(number) for number in found[1:]] if isinstance(found, Rule) else []
    if not numbers_of or found.kind not in range(kernels.ADVANTAGES) or not np.isfinite(numbers_of).all():
        raise ValueError(
            f"rule() of {type(learner).__name__} is {checks.shown(found)}: give a Rule(kind, step, mixing) of "
            "rfos._kernels.learners with finite numbers, or None"
        )
    return Rule(found.kind, *numbers_of)


def lipschitz_of(learner: object, game: StochasticGame, player: int) -> Lipschitz | str:
    """Return what is known of how strongly a learner's next policy depends on the present ones, or why nothing is.

    Raises
    ------
    ValueError
        If its method `lipschitz` returns something else.

    Examples
    --------
    >>> from rfos.games.named import matching_pennies
    >>> from rfos.games.stochastic import one_shot
    >>> lipschitz_of(FictitiousPlay(), one_shot(matching_pennies()), 1)
    'best responses jump where two actions are equally good, so there is no Lipschitz constant'
    >>> lipschitz_of(Fixed(), one_shot(matching_pennies()), 1).formula is None
    True
    """
    if game.n_actions[player] == 1:
        return Lipschitz()
    if not _says(learner, "lipschitz"):
        return f"no Lipschitz constants of {type(learner).__name__} are known"
    given: Any = learner
    found = given.lipschitz(game, player)
    if not isinstance(found, Lipschitz | str):
        raise ValueError(
            f"lipschitz() of {type(learner).__name__} is {checks.shown(found)}: give a Lipschitz(formula, values) of "
            "rfos.metagames.learners, or a sentence that says why there is none"
        )
    return found


def reward_span(game: StochasticGame, player: int) -> Fraction:
    """Return the largest difference of a player's rewards of a step."""
    low, high = map(Fraction, map(repr, game.reward_range(player)))
    return high - low


def _payoffs(game: StochasticGame, player: int) -> Float:
    """Return ρ(s) times the player's rewards of its actions, shape (S, joint actions of the others, A)."""
    rewards = game.rewards[player].reshape(game.n_states, *game.n_actions)
    last = np.moveaxis(rewards, 1 + player, -1).reshape(game.n_states, -1, game.n_actions[player])
    weighted: Float = game.initial[:, None, None] * last
    return weighted


def next_policy(learner: Learner, game: StochasticGame, player: int, policies: Sequence[ArrayLike]) -> Float:
    """Return a learner's next policy as an own read-only array (S, A), checked: whoever wrote the learner.

    Parameters
    ----------
    learner : Learner
    game : StochasticGame
    player : int
        Whose policy it learns.
    policies : sequence of ndarray, shapes (S, A_i)
        The joint policy just played; the learner sees it read-only.

    Raises
    ------
    ValueError
        If what `update` returns is not an array (S, A) of distributions: names the player, the learner, the policies
        that it answered, and the row.

    Examples
    --------
    >>> from rfos.games.named import matching_pennies
    >>> from rfos.games.stochastic import one_shot
    >>> next_policy(Fixed(), one_shot(matching_pennies()), 1, [[[1, 0]], [[0.5, 0.5]]]).tolist()
    [[0.5, 0.5]]
    """
    seen = []
    for policy in policies:
        view = np.asarray(policy).view()
        view.setflags(write=False)
        seen.append(view)
    given = learner.update(game, player, seen)

    def where(state: int) -> str:
        said = checks.shown([np.round(policy, 6).tolist() for policy in seen])
        return f"in state {state}, after the policies {said}"

    says = f"the learner of player {player} ({type(learner).__name__}) plays"
    return checks.distributions(says, given, (game.n_states, game.n_actions[player]), where)


def project_rows(rows: Float) -> Float:
    """Return the nearest points of the simplex, row by row (Euclidean; Held, Wolfe & Crowder 1974).

    Examples
    --------
    >>> project_rows(np.array([[0.5, 0.9], [2.0, 0.0]])).round(12).tolist()
    [[0.3, 0.7], [1.0, 0.0]]
    """
    descending = -np.sort(-rows, axis=-1)
    excess = (np.cumsum(descending, axis=-1) - 1) / np.arange(1, rows.shape[-1] + 1)
    support = (descending > excess).sum(axis=-1, keepdims=True)
    projected: Float = np.maximum(rows - np.take_along_axis(excess, support - 1, axis=-1), 0.0)
    return projected


def _along_logits(policy: Float, direction: Float) -> Float:
    """Return how probabilities (S, A) move when their logits move along a direction (S, A)."""
    moved: Float = policy * (direction - (policy * direction).sum(axis=1, keepdims=True))
    return moved


def _in_logits(policy: Float, gradient: Float) -> Float:
    """Return the gradient in logits, the last action's held at 0, from that in probabilities, shapes (S, A)."""
    found = _along_logits(policy, gradient)
    found[:, -1] = 0.0
    return found


def _logit_step(policy: Float, gradient: Float, step: float) -> Float:
    """Return softmax(logits + step * gradient in the logits), the last action's logit held at 0.

    For two actions that is the sigmoid parametrisation of M-FOS. Probabilities 0 and 1 stay.
    """
    ascent = _in_logits(policy, gradient)
    # Moving the logits by d multiplies the odds by exp(d); the largest exponent is taken out.
    weights = policy * np.exp(step * (ascent - ascent.max(axis=1, keepdims=True)))
    result: Float = weights / weights.sum(axis=1, keepdims=True)
    return result


@dataclass(frozen=True)
class NaiveLearner:
    """Exact gradient ascent on its own return, the others' policies taken as fixed.

    Parameters
    ----------
    step : float > 0
        Step size on the un-normalised return; M-FOS uses 1.
    parameters : {"logits", "simplex"}
        What is ascended: logits of all actions but the last, as in M-FOS, or the probabilities, projected back on the
        simplex.

    Examples
    --------
    Matching Pennies once, step 1 on the probabilities: against heads the gap of 1 moves the policy by a half each way,
    to tails for sure.

    >>> from rfos.games.named import matching_pennies
    >>> from rfos.games.stochastic import one_shot
    >>> learner = NaiveLearner(1.0, "simplex")
    >>> learner.update(one_shot(matching_pennies()), 1, [[[1, 0]], [[0.5, 0.5]]]).tolist()
    [[0.0, 1.0]]
    """

    step: float = 1.0
    parameters: Literal["logits", "simplex"] = "logits"

    def __post_init__(self) -> None:
        """Check the ranges."""
        _check_step(self.step)
        if self.parameters not in ("logits", "simplex"):
            raise ValueError(f"parameters is {checks.shown(self.parameters)}: choose logits or simplex")

    def update(self, game: StochasticGame, player: int, policies: Sequence[ArrayLike]) -> Float:
        """Return the player's next policy, shape (S, A), given the joint policy just played."""
        gradient = game.gradients(policies)[player] / (1 - game.discount)
        policy = np.asarray(policies[player], np.float64)
        if self.parameters == "logits":
            return _logit_step(policy, gradient, self.step)
        return project_rows(policy + self.step * gradient)

    def rule(self) -> Rule | None:
        """Return the kernel's rule; None for steps that are too large for it."""
        if self.step > LARGEST_STEP:
            return None
        kind = kernels.NAIVE_LOGITS if self.parameters == "logits" else kernels.NAIVE_SIMPLEX
        return Rule(kind, self.step, 1.0)

    def lipschitz(self, game: StochasticGame, player: int) -> Lipschitz | str:
        """Return the constants of gradient steps (G1), on logits for two actions only."""
        stochastic, span = game.discount > 0, reward_span(game, player)
        if span == 0 or (not stochastic and not np.ptp(_payoffs(game, player), axis=-1).any()):
            return Lipschitz()
        step = Fraction(repr(float(self.step))) / (1 - Fraction(repr(float(game.discount))))
        inner: Numbers = {"inner_discount": game.discount, "inner_span": span} if stochastic else {}
        if self.parameters == "simplex":
            own: Numbers = {"step_size": step, "inner_actions": game.n_actions[player], "inner_span": span}
            return Lipschitz("projected_gradient", own | inner, stochastic)
        if game.n_actions[player] != 2:
            return "constants of gradient steps on logits are proved for two actions only"
        if stochastic:
            return Lipschitz("logit_gradient", {"step_size": step, **inner}, stochastic)
        gaps = np.diff(_payoffs(game, player), axis=-1)[..., 0]
        largest, widest = float(np.abs(gaps).max()), float(np.ptp(gaps, axis=1).max())
        return Lipschitz("logit_gradient", {"step_size": step, "payoff_gap": largest, "payoff_gap_span": widest})


def _action_values(game: StochasticGame, player: int, policies: Sequence[ArrayLike]) -> Float:
    """Return the un-normalised value of each own action in each state, all going on as before, shape (S, A)."""
    checked = game.check_policies(policies)
    _, values, _ = game.solve_policies(checked)
    q = game.rewards[player] + game.discount * (game.transitions @ values[player])
    weighted = (game.joint(checked, without=player) * q).reshape(game.n_states, *game.n_actions)
    others = tuple(1 + j for j in range(game.n_players) if j != player)
    result: Float = weighted.sum(axis=others)
    return result


@dataclass(frozen=True)
class LOLA:
    """Gradient ascent that looks through one naive step of the shaper (LOLA; Foerster et al. 2018), derivatives exact.

    With θ_0 the shaper's logits, θ its own, V un-normalised returns and η the step imagined for the shaper, it moves by
    `step` times the gradient in θ of

    - "first-order": V_own + η ∇_0 V_own · ∇_0 V_0, the first-order Taylor expansion of what follows. That is the LOLA
      of M-FOS (Lu et al. 2022, the authors' code) and of Letcher et al. (2019).
    - "exact": V_own(θ_0 + η ∇_0 V_0(θ_0, θ), θ), the look-ahead itself, not expanded.
    - "shaping": V_own + η c · ∇_0 V_0 with c = ∇_0 V_own held fixed, so that its influence on the shaper's step is all
      that it looks through to. That is the learning rule that Foerster et al. (2018) print, and their code.

    They agree to first order in η at "first-order" and "exact"; where η times a gradient is large, as with step 1, they
    are different learners: in one-shot Chicken the mean step of a logit is 83 by the first, 0.6 by the second, 38 by
    the third. For two players.

    Parameters
    ----------
    step : float > 0
        Own step size on the un-normalised return.
    look_ahead : float >= 0
        Step size imagined for the shaper, η; 0 gives `NaiveLearner`.
    expansion : {"first-order", "exact", "shaping"}

    Examples
    --------
    Without look-ahead it is the naive learner:

    >>> from rfos.games.named import chicken, standard_prisoners_dilemma
    >>> from rfos.games.stochastic import iterated, one_shot
    >>> ipd = iterated(standard_prisoners_dilemma(), 0.96)
    >>> half = np.full((5, 2), 0.5)
    >>> bool(np.allclose(LOLA(1.0, 0.0).update(ipd, 1, [half, half]), NaiveLearner().update(ipd, 1, [half, half])))
    True

    Chicken once, both fair, η = 1. In logits the slope of either's own return is 1/4 of 49, its slope in the other's
    policy 1/4 of 51, and both mixed derivatives are -100/16. By the first-order term the learner swerves less often, by
    12.25 - 6.25 (12.25 + 12.75) = -144 times its step; by the second factor alone by 12.25 - 6.25 * 12.75 = -67.4375.

    >>> fair = np.full((1, 2), 0.5)
    >>> def moved(expansion):
    ...     swerve, straight = LOLA(0.01, 1.0, expansion).update(one_shot(chicken()), 1, [fair, fair])[0]
    ...     return round(float(np.log(swerve / straight)), 6)
    >>> moved("first-order"), moved("shaping")
    (-1.44, -0.674375)
    """

    step: float = 1.0
    look_ahead: float = 1.0
    expansion: Literal["first-order", "exact", "shaping"] = "first-order"

    def __post_init__(self) -> None:
        """Check the ranges."""
        _check_step(self.step)
        if not 0 <= checks.number(self.look_ahead) < float("inf"):
            raise ValueError(f"look_ahead is {checks.shown(self.look_ahead)}: give a step size of at least 0")
        if self.expansion not in ("first-order", "exact", "shaping"):
            raise ValueError(f"expansion is {self.expansion!r}: choose first-order, exact or shaping")

    def update(self, game: StochasticGame, player: int, policies: Sequence[ArrayLike]) -> Float:
        """Return the player's next policy, shape (S, A), given the joint policy just played."""
        if game.n_players != 2 or player != 1:
            raise ValueError(f"LOLA is for player 1 of two players, not player {player} of {game.n_players}")
        scale = 1 / (1 - game.discount)
        shaper, own = game.check_policies(policies)
        naive = scale * game.gradients([shaper, own])[0]
        imagined = _logit_step(shaper, naive, self.look_ahead) if self.expansion == "exact" else shaper
        direct, through = (scale * g for g in reversed(game.gradients([imagined, own], player=1)))
        # The shaper's step is η times the logit gradient of V_0. Its derivative in the own policy, along what the
        # imagined policy is worth to the learner, is a mixed second derivative, exact by differentiating the linear
        # systems.
        direction = _along_logits(shaper, _in_logits(imagined, through))
        mixed = scale * game.mixed_derivative([shaper, own], 0, direction)
        if self.expansion == "first-order":
            step = _along_logits(shaper, _in_logits(shaper, naive))
            mixed = mixed + scale * game.mixed_derivative([shaper, own], 1, step)
        return _logit_step(own, direct + self.look_ahead * mixed, self.step)

    def rule(self) -> Rule | None:
        """Return the kernel's rule; None for steps that are too large for it."""
        if max(self.step, self.look_ahead) > LARGEST_STEP:
            return None
        kinds = {
            "exact": kernels.LOLA_EXACT,
            "first-order": kernels.LOLA_FIRST_ORDER,
            "shaping": kernels.LOLA_SHAPING,
        }
        return Rule(kinds[self.expansion], self.step, self.look_ahead)

    def lipschitz(self, game: StochasticGame, player: int) -> str:
        """Say that there are no constants."""
        return "no Lipschitz constants of LOLA are proved"


@dataclass(frozen=True)
class SmoothedBestResponse:
    """A mixture of the old policy and a softmax reply: (1-mixing) ψ + mixing softmax(Q/temperature).

    Contracting with modulus 1 - mixing in a one-shot game, so that D1 always applies there.

    Parameters
    ----------
    temperature : float > 0
        In units of un-normalised value.
    mixing : float in (0, 1]

    Examples
    --------
    Matching Pennies once: against heads the values are (0, 1), so tails gets e/(1+e).

    >>> from rfos.games.named import matching_pennies
    >>> from rfos.games.stochastic import one_shot
    >>> learner = SmoothedBestResponse(temperature=1.0, mixing=1.0)
    >>> learner.update(one_shot(matching_pennies()), 1, [[[1, 0]], [[0.5, 0.5]]]).round(4).tolist()
    [[0.2689, 0.7311]]
    """

    temperature: float = 1.0
    mixing: float = 0.5

    def __post_init__(self) -> None:
        """Check the ranges."""
        if not 0 < checks.number(self.temperature) < float("inf"):
            raise ValueError(
                f"temperature is {checks.shown(self.temperature)}: give a positive number in units of value"
            )
        _check_mixing(self.mixing)

    def update(self, game: StochasticGame, player: int, policies: Sequence[ArrayLike]) -> Float:
        """Return the player's next policy, shape (S, A), given the joint policy just played."""
        values = _action_values(game, player, policies)
        weights = np.exp((values - values.max(axis=1, keepdims=True)) / self.temperature)
        reply = weights / weights.sum(axis=1, keepdims=True)
        result: Float = (1 - self.mixing) * np.asarray(policies[player], np.float64) + self.mixing * reply
        return result

    def rule(self) -> Rule:
        """Return the kernel's rule."""
        return Rule(kernels.SMOOTHED_BEST_RESPONSE, self.temperature, self.mixing)

    def lipschitz(self, game: StochasticGame, player: int) -> Lipschitz | str:
        """Return the constants of a softmax reply at inner discount 0."""
        if game.discount > 0:
            return "constants of smoothed best responses are proved at inner discount 0 only"
        # Whoever is indifferent replies the same to everything; the formula wants a span, however small.
        span = reward_span(game, player) or Fraction(1, 10**12)
        values: Numbers = {"smoothing": self.mixing, "temperature": self.temperature, "inner_span": span}
        return Lipschitz("smoothed_best_response", values)


@dataclass(frozen=True)
class QLearning:
    """Q-learning on expected returns with softmax play: Q <- (1-rate) Q + rate Q^ψ, ψ' = softmax(Q/temperature).

    Q is read off the policy, temperature times its log odds, so that the policy is the whole state of the learner.

    Parameters
    ----------
    rate : float in (0, 1]
    temperature : float > 0
        In units of un-normalised value.

    Examples
    --------
    Matching Pennies once: against heads the values are (0, 1), so from a fair policy tails gets e/(1+e) at rate 1.

    >>> from rfos.games.named import matching_pennies
    >>> from rfos.games.stochastic import one_shot
    >>> QLearning(rate=1.0).update(one_shot(matching_pennies()), 1, [[[1, 0]], [[0.5, 0.5]]]).round(4).tolist()
    [[0.2689, 0.7311]]
    """

    rate: float = 0.5
    temperature: float = 1.0

    def __post_init__(self) -> None:
        """Check the ranges."""
        SmoothedBestResponse(self.temperature, self.rate)

    def update(self, game: StochasticGame, player: int, policies: Sequence[ArrayLike]) -> Float:
        """Return the player's next policy, shape (S, A), given the joint policy just played."""
        values = _action_values(game, player, policies)
        with np.errstate(divide="ignore"):  # the logarithm of 0: such an action is never played again
            old = np.log(np.asarray(policies[player], np.float64)) if self.rate < 1 else 0.0
        logits = (1 - self.rate) * old + self.rate * values / self.temperature
        weights = np.exp(logits - logits.max(axis=1, keepdims=True))
        result: Float = weights / weights.sum(axis=1, keepdims=True)
        return result

    def rule(self) -> Rule:
        """Return the kernel's rule."""
        return Rule(kernels.Q_LEARNING, self.temperature, self.rate)

    def lipschitz(self, game: StochasticGame, player: int) -> Lipschitz | str:
        """Return the constants at rate 1, where nothing is left of its old values."""
        if self.rate == 1:
            return SmoothedBestResponse(self.temperature, 1.0).lipschitz(game, player)
        return "Q-learning raises old probabilities to the power 1 - rate, whose slope at probability 0 is infinite"


@dataclass(frozen=True)
class FictitiousPlay:
    """A mixture of the old policy and a best response, ties to the lower action: (1-mixing) ψ + mixing BR.

    `mixing` 1 is best-response dynamics; smaller weights average over the past, as fictitious play with a constant
    weight does (Brown 1951). The best response is to the others' stationary policies, exact by policy iteration.

    When it replies decides what a meta-step is worth. By default it plays what it held, sees the others' policies and
    plays its reply in the *next* meta-step, as all other learners do. With `within` it replies in the *same* one: the
    shaper commits to a policy first, and all rewards of the meta-step are those of the reply to it, as the best
    responder of M-FOS does (the authors' code, which replies by 1,000 gradient steps from random logits, where here the
    reply is exact). Either way its next policy is a function of the policies before, so that the meta-game stays an
    MDP: the shaper's reward for a is J_0(a, L(a, ψ)) instead of J_0(a, ψ), and the next meta-state L(a, ψ) in both.
    With `mixing` 1 and `within`, ψ does not matter and the best constant policy is optimal.

    Parameters
    ----------
    mixing : float in (0, 1]
    within : bool
        Reply within the meta-step.

    Examples
    --------
    Matching Pennies once: the best response to heads is tails.

    >>> from rfos.games.named import matching_pennies
    >>> from rfos.games.stochastic import one_shot
    >>> FictitiousPlay(0.5).update(one_shot(matching_pennies()), 1, [[[1, 0]], [[0.5, 0.5]]]).tolist()
    [[0.25, 0.75]]
    """

    mixing: float = 1.0
    within: bool = False

    def __post_init__(self) -> None:
        """Check the range."""
        _check_mixing(self.mixing)

    def update(self, game: StochasticGame, player: int, policies: Sequence[ArrayLike]) -> Float:
        """Return the player's next policy, shape (S, A), given the joint policy just played."""
        trial = game.check_policies(policies)
        old = trial[player]
        greedy = old.argmax(axis=1)
        # Policy iteration with strict improvement ends: there are finitely many pure policies.
        while True:
            trial[player] = np.eye(old.shape[1])[greedy]
            values = _action_values(game, player, trial)
            best = values.max(axis=1)
            improved = best - values[np.arange(len(greedy)), greedy] > 1e-12 * (1 + np.abs(best))
            if not improved.any():
                break
            greedy = np.where(improved, values.argmax(axis=1), greedy)
        # Ties to the lower action, whatever the iteration started from.
        scale = 1e-12 * (1 + np.abs(best))[:, None]
        reply = np.eye(old.shape[1])[(values >= best[:, None] - scale).argmax(axis=1)]
        result: Float = (1 - self.mixing) * old + self.mixing * reply
        return result

    def rule(self) -> Rule:
        """Return the kernel's rule."""
        return Rule(kernels.BEST_RESPONSE_WITHIN if self.within else kernels.BEST_RESPONSE, 1.0, self.mixing)

    def lipschitz(self, game: StochasticGame, player: int) -> str:
        """Say that there are no constants."""
        return "best responses jump where two actions are equally good, so there is no Lipschitz constant"


@dataclass(frozen=True)
class Fixed:
    """An opponent that does not learn."""

    def update(self, game: StochasticGame, player: int, policies: Sequence[ArrayLike]) -> Float:
        """Return the player's policy as it is, shape (S, A)."""
        return np.array(game.check_policies(policies)[player])

    def rule(self) -> Rule:
        """Return the kernel's rule."""
        return Rule(kernels.FIXED, 1.0, 0.0)

    def lipschitz(self, game: StochasticGame, player: int) -> Lipschitz:
        """Say that it never moves."""
        return Lipschitz()


NAMED_LEARNERS: Mapping[str, Callable[[], Learner]] = {
    "naive": NaiveLearner,
    "lola": LOLA,
    "lola-exact": lambda: LOLA(expansion="exact"),
    "lola-shaping": lambda: LOLA(expansion="shaping"),
    "best-response": FictitiousPlay,
    "best-response-within": lambda: FictitiousPlay(within=True),
    "smoothed-best-response": SmoothedBestResponse,
    "fictitious-play": lambda: FictitiousPlay(0.5),
    "q-learner": QLearning,
    "fixed": Fixed,
}
"""Learners by the names that commands take, with their default parameters.

"lola" is that of M-FOS, "lola-shaping" that of Foerster et al. (2018); the best responder of M-FOS replies "within".
"""


def named_learner(name: str, step: float | None = None) -> Learner:
    """Return the learner of a name in `NAMED_LEARNERS`, with another step size where one is given.

    LOLA imagines the same step for the shaper, as in M-FOS.

    Raises
    ------
    ValueError
        If the name is unknown, which lists the names, or a step is given to one that takes no gradient steps.

    Examples
    --------
    >>> named_learner("lola-exact", 0.5)
    LOLA(step=0.5, look_ahead=0.5, expansion='exact')
    """
    if not isinstance(name, str) or name not in NAMED_LEARNERS:
        raise ValueError(f"unknown opponent {checks.shown(name)}: choose one of {', '.join(NAMED_LEARNERS)}")
    learner = NAMED_LEARNERS[name]()
    if step is None:
        return learner
    if isinstance(learner, NaiveLearner):
        return replace(learner, step=step)
    if isinstance(learner, LOLA):
        return replace(learner, step=step, look_ahead=step)
    raise ValueError(f"{name} takes no gradient steps: leave the step out, or choose naive or lola")
