"""How opponents learn between meta-steps: maps from the joint policy to the learner's next policy (Case I).

Every learner here is deterministic and without memory: its next policy is a function of the policies just played,
which is what makes the lumping of G2 exact. Steps are taken on the *un-normalised* return, the sum of
discount^t r_t, as in M-FOS; that is 1/(1-discount) times the normalised return.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray

from rfos.stochastic_games import StochasticGame

Float = NDArray[np.float64]


class Learner(Protocol):
    """A deterministic learning rule without memory."""

    def update(self, game: StochasticGame, player: int, policies: Sequence[ArrayLike]) -> Float:
        """Return the player's next policy, shape (S, A), given the joint policy just played."""
        ...


def _check_step(step: float) -> None:
    if not 0 < step < float("inf"):
        raise ValueError(f"step is {step!r}: give a positive step size on the un-normalised return")


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


def _logit_step(policy: Float, gradient: Float, step: float) -> Float:
    """Return softmax(logits + step * gradient in the logits), the last action's logit held at 0.

    For two actions that is the sigmoid parametrisation of M-FOS. Probabilities 0 and 1 stay.
    """
    ascent = policy * (gradient - (policy * gradient).sum(axis=1, keepdims=True))
    ascent[:, -1] = 0.0
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

    >>> from rfos.games import matching_pennies
    >>> from rfos.stochastic_games import one_shot
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
            raise ValueError(f"parameters is {self.parameters!r}: choose logits or simplex")

    def update(self, game: StochasticGame, player: int, policies: Sequence[ArrayLike]) -> Float:
        """Return the player's next policy, shape (S, A), given the joint policy just played."""
        gradient = game.gradients(policies)[player] / (1 - game.discount)
        policy = np.asarray(policies[player], np.float64)
        if self.parameters == "logits":
            return _logit_step(policy, gradient, self.step)
        return project_rows(policy + self.step * gradient)


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

    It ascends V_own(θ_0 + η ∇_0 V_0(θ_0, θ), θ) in its own logits θ, its own influence on the shaper's imagined step
    included. For two players.

    Parameters
    ----------
    step : float > 0
        Own step size on the un-normalised return.
    look_ahead : float >= 0
        Step size imagined for the shaper; 0 gives `NaiveLearner`.

    Examples
    --------
    Without look-ahead it is the naive learner:

    >>> from rfos.games import standard_prisoners_dilemma
    >>> from rfos.stochastic_games import iterated
    >>> ipd = iterated(standard_prisoners_dilemma(), 0.96)
    >>> half = np.full((5, 2), 0.5)
    >>> bool(np.allclose(LOLA(1.0, 0.0).update(ipd, 1, [half, half]), NaiveLearner().update(ipd, 1, [half, half])))
    True
    """

    step: float = 1.0
    look_ahead: float = 1.0

    def __post_init__(self) -> None:
        """Check the ranges."""
        _check_step(self.step)
        if not 0 <= self.look_ahead < float("inf"):
            raise ValueError(f"look_ahead is {self.look_ahead!r}: give a step size of at least 0")

    def update(self, game: StochasticGame, player: int, policies: Sequence[ArrayLike]) -> Float:
        """Return the player's next policy, shape (S, A), given the joint policy just played."""
        if game.n_players != 2 or player != 1:
            raise ValueError(f"LOLA is for player 1 of two players, not player {player} of {game.n_players}")
        scale = 1 / (1 - game.discount)
        shaper, own = (np.asarray(policy, np.float64) for policy in policies)
        imagined = _logit_step(shaper, scale * game.gradients([shaper, own])[0], self.look_ahead)
        direct, through = (scale * g for g in reversed(game.gradients([imagined, own], player=1)))
        # d imagined / d θ_0's step, pulled back: `through` on logits of the imagined policy.
        pulled = imagined * (through - (imagined * through).sum(axis=1, keepdims=True))
        pulled[:, -1] = 0.0
        # The step is η times the logit gradient of V_0; its derivative in the own policy along `pulled` is a mixed
        # second derivative, exact by differentiating the linear systems.
        direction = shaper * (pulled - (shaper * pulled).sum(axis=1, keepdims=True))
        mixed = scale * game.mixed_derivative([shaper, own], 0, direction)
        return _logit_step(own, direct + self.look_ahead * mixed, self.step)


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

    >>> from rfos.games import matching_pennies
    >>> from rfos.stochastic_games import one_shot
    >>> learner = SmoothedBestResponse(temperature=1.0, mixing=1.0)
    >>> learner.update(one_shot(matching_pennies()), 1, [[[1, 0]], [[0.5, 0.5]]]).round(4).tolist()
    [[0.2689, 0.7311]]
    """

    temperature: float = 1.0
    mixing: float = 0.5

    def __post_init__(self) -> None:
        """Check the ranges."""
        if not 0 < self.temperature < float("inf"):
            raise ValueError(f"temperature is {self.temperature!r}: give a positive number in units of value")
        if not 0 < self.mixing <= 1:
            raise ValueError(f"mixing is {self.mixing!r}: give a weight in (0, 1]")

    def update(self, game: StochasticGame, player: int, policies: Sequence[ArrayLike]) -> Float:
        """Return the player's next policy, shape (S, A), given the joint policy just played."""
        values = _action_values(game, player, policies)
        weights = np.exp((values - values.max(axis=1, keepdims=True)) / self.temperature)
        reply = weights / weights.sum(axis=1, keepdims=True)
        result: Float = (1 - self.mixing) * np.asarray(policies[player], np.float64) + self.mixing * reply
        return result


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

    >>> from rfos.games import matching_pennies
    >>> from rfos.stochastic_games import one_shot
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


@dataclass(frozen=True)
class FictitiousPlay:
    """A mixture of the old policy and a best response, ties to the lower action: (1-mixing) ψ + mixing BR.

    `mixing` 1 is best-response dynamics; smaller weights average over the past, as fictitious play with a constant
    weight does (Brown 1951). The best response is to the others' stationary policies, exact by policy iteration.

    Parameters
    ----------
    mixing : float in (0, 1]

    Examples
    --------
    Matching Pennies once: the best response to heads is tails.

    >>> from rfos.games import matching_pennies
    >>> from rfos.stochastic_games import one_shot
    >>> FictitiousPlay(0.5).update(one_shot(matching_pennies()), 1, [[[1, 0]], [[0.5, 0.5]]]).tolist()
    [[0.25, 0.75]]
    """

    mixing: float = 1.0

    def __post_init__(self) -> None:
        """Check the range."""
        if not 0 < self.mixing <= 1:
            raise ValueError(f"mixing is {self.mixing!r}: give a weight in (0, 1]")

    def update(self, game: StochasticGame, player: int, policies: Sequence[ArrayLike]) -> Float:
        """Return the player's next policy, shape (S, A), given the joint policy just played."""
        old = np.asarray(policies[player], np.float64)
        trial = [np.asarray(policy, np.float64) for policy in policies]
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


@dataclass(frozen=True)
class Fixed:
    """An opponent that does not learn."""

    def update(self, game: StochasticGame, player: int, policies: Sequence[ArrayLike]) -> Float:
        """Return the player's policy as it is, shape (S, A)."""
        return np.array(policies[player], np.float64)


NAMED_LEARNERS: Mapping[str, Callable[[], Learner]] = {
    "naive": NaiveLearner,
    "lola": LOLA,
    "best-response": FictitiousPlay,
    "smoothed-best-response": SmoothedBestResponse,
    "fictitious-play": lambda: FictitiousPlay(0.5),
    "q-learner": QLearning,
    "fixed": Fixed,
}
"""Learners by the names that commands take, with their default parameters."""


def named_learner(name: str) -> Learner:
    """Return the learner of a name in `NAMED_LEARNERS`.

    Raises
    ------
    ValueError
        If the name is unknown; the message lists the names.
    """
    if name not in NAMED_LEARNERS:
        raise ValueError(f"unknown opponent {name!r}: choose one of {', '.join(NAMED_LEARNERS)}")
    return NAMED_LEARNERS[name]()
