"""Games played once: payoffs of every player for every joint action."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from typing import overload

import numpy as np
from numpy.typing import ArrayLike, NDArray

from rfos._system import checks
from rfos._system.arrays import floats

MOST_BYTES = 2**28

MOST_PLAYERS = 20
"""Most players of a public goods game: the payoffs of one more take more than 256 MiB."""


@dataclass(frozen=True)
class AffineScaling:
    """Increasing affine map of one player's rewards, ``apply(x) = (x - shift) / scale``, and its inverse.

    Parameters
    ----------
    scale : float
        Length of one scaled unit, in original reward units; positive and finite.
    shift : float
        Original reward that is mapped to 0; finite.

    Raises
    ------
    ValueError
        If `scale` is not positive and finite, or `shift` is not finite.

    Notes
    -----
    For ``|x| <= M``, ``|shift| <= M`` and ``scale <= 2 M``, ``undo(apply(x))`` differs from ``x`` by at most
    ``4 * 2**-52 * M`` (four rounded operations), underflow apart.

    Both maps act on a reward per step, or on an average or expectation of such rewards. A discounted sum
    has to be multiplied by (1 - discount) first, or the shift is counted once instead of 1/(1 - discount)
    times.

    Examples
    --------
    >>> scaling = AffineScaling(scale=3.0, shift=-3.0)
    >>> scaling.apply(0.0), scaling.undo(0.0)
    (1.0, -3.0)
    """

    scale: float = 1.0
    shift: float = 0.0

    def __post_init__(self) -> None:
        """Validate the two numbers."""
        if not 0.0 < checks.number(self.scale) < math.inf:
            raise ValueError(f"scale is {checks.shown(self.scale)}: give a positive finite number")
        if not math.isfinite(checks.number(self.shift)):
            raise ValueError(f"shift is {checks.shown(self.shift)}: give a finite number")

    @overload
    def apply(self, reward: float) -> float: ...
    @overload
    def apply(self, reward: NDArray[np.float64]) -> NDArray[np.float64]: ...
    def apply(self, reward: float | NDArray[np.float64]) -> float | NDArray[np.float64]:
        """Scaled reward of an original reward (number or array of any shape)."""
        return (reward - self.shift) / self.scale

    @overload
    def undo(self, reward: float) -> float: ...
    @overload
    def undo(self, reward: NDArray[np.float64]) -> NDArray[np.float64]: ...
    def undo(self, reward: float | NDArray[np.float64]) -> float | NDArray[np.float64]:
        """Original reward of a scaled reward (number or array of any shape)."""
        return self.shift + self.scale * reward


@dataclass(frozen=True, eq=False)
class NormalFormGame:
    """Finite n-player game in normal form, stated by its payoff tensor.

    Parameters
    ----------
    payoffs : array_like, shape (n_players, A_0, ..., A_{n_players-1})
        ``payoffs[i, a_0, ..., a_{n-1}]`` is the reward per step of player i at that joint action; finite.
        Kept as a read-only, C-contiguous float64 copy.
    name : str
        What to call the game in tables and messages.
    action_names : tuple of tuple of str
        For each player the names of its actions, all different; "0", "1", ... where not given.
    source : str
        Where the payoffs come from: author, year, place.
    convention : str
        What the sign of a payoff means, as `source` states it, and who wants what.
    scaling : tuple of AffineScaling
        For each player the map from rewards as stated in `source` to the rewards of this game; the identity
        where not given. Set by `scaled`.

    Raises
    ------
    ValueError
        If the payoffs are not real and finite, are not shaped as above, leave a player without an action,
        span more than a float can hold, or if names or scalings do not fit the players.

    Examples
    --------
    >>> game = NormalFormGame.from_payoffs([[3, 0], [5, 1]], [[3, 5], [0, 1]], name="my dilemma")
    >>> game.n_players, game.n_actions, game.reward_range()
    (2, (2, 2), (0.0, 5.0))
    >>> float(game.payoffs[1, 0, 1])
    5.0
    """

    payoffs: NDArray[np.float64] = field(repr=False)
    name: str = "unnamed"
    action_names: tuple[tuple[str, ...], ...] = ()
    source: str = ""
    convention: str = "rewards per step, larger is better"
    scaling: tuple[AffineScaling, ...] = ()

    def __post_init__(self) -> None:
        """Validate, then keep a read-only copy of the payoffs and fill in the defaults."""
        payoffs = floats("the payoff tensor", self.payoffs)
        n_players = payoffs.ndim - 1
        if n_players < 1 or payoffs.shape[0] != n_players:
            raise ValueError(
                f"payoffs have shape {payoffs.shape}: give one tensor per player, so that n players "
                "(at least 1) make the shape (n, A_0, ..., A_{n-1})"
            )
        n_actions = payoffs.shape[1:]
        if 0 in n_actions:
            raise ValueError(
                f"player {n_actions.index(0)} has no action (payoffs have shape {payoffs.shape}): "
                "give every player at least one"
            )
        mend = 'give for each player the names of its actions, such as (("heads", "tails"), ("heads", "tails"))'
        given = checks.several("action_names", self.action_names, mend)
        action_names = tuple(checks.several("action_names", names, mend) for names in given) or tuple(
            tuple(str(action) for action in range(n)) for n in n_actions
        )
        if len(action_names) != n_players:
            raise ValueError(f"action_names are for {len(action_names)} players, the game has {n_players}")
        for player, (names, n) in enumerate(zip(action_names, n_actions, strict=True)):
            if len(set(names)) != n or len(names) != n:
                raise ValueError(
                    f"action_names of player {player} are {names}: give {n} different names, one for each action"
                )
        scaling = checks.several("scaling", self.scaling, "give an AffineScaling for each player, or nothing")
        for scale in scaling:
            checks.kind("scaling", scale, AffineScaling, mend="give an AffineScaling for each player, or nothing")
        scaling = scaling or (AffineScaling(),) * n_players
        if len(scaling) != n_players:
            raise ValueError(f"scaling is for {len(scaling)} players, the game has {n_players}")
        _check_finite(payoffs)

        object.__setattr__(self, "payoffs", payoffs)
        object.__setattr__(self, "action_names", action_names)
        object.__setattr__(self, "scaling", scaling)

    @classmethod
    def from_payoffs(
        cls,
        *payoffs: ArrayLike,
        name: str = "unnamed",
        action_names: tuple[tuple[str, ...], ...] = (),
        source: str = "",
        convention: str = "rewards per step, larger is better",
    ) -> NormalFormGame:
        """Game of one payoff tensor per player.

        Parameters
        ----------
        *payoffs : array_like, each of shape (A_0, ..., A_{n_players-1})
            Rewards per step of player 0, of player 1, and so on.
        name, action_names, source, convention
            As for `NormalFormGame`.

        Raises
        ------
        ValueError
            If the tensors differ in shape, or as `NormalFormGame` does.

        Examples
        --------
        >>> NormalFormGame.from_payoffs([[1, 0], [0, 1]], [[0, 1], [1, 0]]).payoffs.shape
        (2, 2, 2)
        """
        if not payoffs:
            raise ValueError("no payoffs given: give one payoff tensor for each player, at least one")
        tensors = [floats(f"the payoff tensor of player {player}", tensor) for player, tensor in enumerate(payoffs)]
        n_players = len(tensors)
        for player, tensor in enumerate(tensors):
            if tensor.ndim != n_players:
                raise ValueError(
                    f"payoffs of player {player} have shape {tensor.shape}: with {n_players} players give "
                    f"{n_players} axes, one for the actions of each"
                )
            if tensor.shape != tensors[0].shape:
                raise ValueError(
                    f"payoffs of player {player} have shape {tensor.shape} and those of player 0 "
                    f"{tensors[0].shape}: give all players tensors of the same shape"
                )
        return cls(np.stack(tensors), name=name, action_names=action_names, source=source, convention=convention)

    @property
    def n_players(self) -> int:
        """Number of players, at least 1; player 0 is the shaper."""
        return self.payoffs.ndim - 1

    @property
    def n_actions(self) -> tuple[int, ...]:
        """Number of actions of each player, ``(A_0, ..., A_{n_players-1})``."""
        return self.payoffs.shape[1:]

    def reward_range(self, player: int | None = None) -> tuple[float, float]:
        """Smallest and largest reward per step, of one player or (default) of all.

        Parameters
        ----------
        player : int, optional
            0 to ``n_players - 1``.

        Returns
        -------
        tuple of float
            ``(min, max)`` in the units of `payoffs`, attained.

        Raises
        ------
        ValueError
            If there is no such player.

        Examples
        --------
        >>> from rfos.games.named import chicken
        >>> chicken().reward_range(player=0)
        (-100.0, 1.0)
        """
        if player is not None and not (checks.is_whole(player) and 0 <= player < self.n_players):
            shown = checks.shown(player)
            raise ValueError(f"player {shown} does not exist: {self.name} has players 0 to {self.n_players - 1}")
        payoffs = self.payoffs if player is None else self.payoffs[player]
        return float(payoffs.min()), float(payoffs.max())

    def scaled(self) -> NormalFormGame:
        """Same game with each player's rewards mapped onto [0, 1], which remembers how to undo that.

        The smallest reward of a player becomes exactly 0 and the largest exactly 1; a player whose reward
        never changes gets 0 throughout. The map is affine and increasing, so best replies, equilibria and
        the ranking of policies stay as they are. ``scaled().scaling[i].undo(x)`` is the reward that player
        i's scaled reward x stands for. Scaling a scaled game changes nothing.

        Returns
        -------
        NormalFormGame
            With `payoffs` in [0, 1] and `scaling` leading back to the rewards that `source` states.

        Examples
        --------
        >>> from rfos.games.named import standard_prisoners_dilemma
        >>> game = standard_prisoners_dilemma().scaled()
        >>> game.payoffs[0, 1]  # defect against cooperate, defect against defect: 0 and -2
        array([1.        , 0.33333333])
        >>> game.scaling[0].undo(0.5)
        -1.5
        """
        steps = []
        for player in range(self.n_players):
            low, high = self.reward_range(player)
            steps.append(AffineScaling(scale=high - low if high > low else 1.0, shift=low))
        payoffs = np.stack([step.apply(rewards) for step, rewards in zip(steps, self.payoffs, strict=True)])
        scaling = tuple(
            AffineScaling(scale=before.scale * step.scale, shift=before.undo(step.shift))
            for before, step in zip(self.scaling, steps, strict=True)
        )
        return replace(self, payoffs=payoffs, scaling=scaling)

    def unscaled(self) -> NormalFormGame:
        """Same game with rewards as `source` states them, within the rounding that `AffineScaling` states.

        Examples
        --------
        >>> from rfos.games.named import chicken
        >>> bool((chicken().scaled().unscaled().payoffs == chicken().payoffs).all())
        True
        """
        payoffs = np.stack([s.undo(rewards) for s, rewards in zip(self.scaling, self.payoffs, strict=True)])
        return replace(self, payoffs=payoffs, scaling=())


def _check_finite(numbers: NDArray[np.float64]) -> None:
    """Refuse NaN, infinity, and a player whose largest minus smallest reward overflows."""
    if not np.isfinite(numbers).all():
        player, *joint = (int(i) for i in np.argwhere(~np.isfinite(numbers))[0])
        raise ValueError(
            f"payoff of player {player} at joint action {tuple(joint)} is {numbers[player, *joint]}: "
            "give a finite number"
        )
    for player, rewards in enumerate(numbers):
        low, high = float(rewards.min()), float(rewards.max())
        if math.isinf(high - low):
            raise ValueError(
                f"payoffs of player {player} range from {low} to {high}, more than a float can hold: "
                "give them in a larger unit"
            )
