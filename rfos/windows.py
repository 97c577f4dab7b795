"""Windows of recent joint actions and their index: the meta-states of Case II."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

MAX_STATES = 2**31 - 1
"""Largest number of windows that are ever indexed: successors are stored as 32-bit integers."""


@dataclass(frozen=True)
class WindowIndex:
    """The bijection between windows of the last h joint actions and 0 .. n_states-1.

    The opponents' last h joint actions are the high digits, the shaper's own last h actions the low digits, each
    oldest first; the opponents' joint action is itself a number with player 1 as its highest digit. For two players
    with two actions this is the layout of the paper: opponent's bits high, own bits low.

    Parameters
    ----------
    n_actions : tuple of int
        Number of actions of each player, player 0 the shaper; at least two players.
    window : int
        Window length h, at least 1.

    Raises
    ------
    ValueError
        If there are fewer than two players, an action count or the window is below 1, or there are more than
        2**31 - 1 windows.

    Examples
    --------
    The opponent played 0 then 1, the shaper 1 then 1: bits 01 and 11, index 0b0111 = 7.

    >>> index = WindowIndex((2, 2), 2)
    >>> index.n_states
    16
    >>> int(index.encode([[1, 0], [1, 1]]))
    7
    >>> index.decode(7).tolist()
    [[1, 0], [1, 1]]
    """

    n_actions: tuple[int, ...]
    window: int

    def __post_init__(self) -> None:
        """Check the sizes with Python integers, before anything is allocated."""
        object.__setattr__(self, "n_actions", tuple(int(n) for n in self.n_actions))
        if len(self.n_actions) < 2 or min(self.n_actions) < 1:
            raise ValueError(f"a window needs at least two players with at least one action each, not {self.n_actions}")
        if isinstance(self.window, bool) or not isinstance(self.window, int | np.integer) or self.window < 1:
            raise ValueError(
                f"window is {self.window!r}: give a whole number of at least 1, the joint actions remembered"
            )
        joint = math.prod(self.n_actions)
        # By logarithms first: the power itself may have millions of digits.
        if self.window * math.log2(joint) > 64 or self.n_states > MAX_STATES:
            largest = max(1, int(math.log(MAX_STATES, joint))) if joint > 1 else self.window
            raise ValueError(
                f"window {self.window} means {joint}^{self.window} = 10^{self.window * math.log10(joint):.1f} "
                f"meta-states, above the limit of {MAX_STATES}: the largest window here is {largest}"
            )

    @property
    def branching(self) -> int:
        """Number of joint actions of the opponents, B."""
        return math.prod(self.n_actions[1:])

    @property
    def n_states(self) -> int:
        """Number of windows, (prod of all action counts) ** window."""
        return int(math.prod(self.n_actions) ** self.window)

    def encode(self, history: object) -> NDArray[np.int64]:
        """Return the index of windows of joint actions.

        Parameters
        ----------
        history : array_like of int, shape (..., window, n_players)
            Actions, oldest first.

        Returns
        -------
        ndarray of int64, shape (...)

        Raises
        ------
        ValueError
            If the last two axes do not fit, or an action is out of range.
        """
        actions = np.asarray(history)
        shape = (self.window, len(self.n_actions))
        if actions.shape[-2:] != shape or actions.dtype.kind not in "iu":
            raise ValueError(
                f"a history has integer actions with last axes (window, players) = {shape}, "
                f"not {actions.dtype} {actions.shape}"
            )
        limits = np.array(self.n_actions)
        if actions.size and (actions.min() < 0 or (actions >= limits).any()):
            raise ValueError(f"actions run from 0 to {tuple(n - 1 for n in self.n_actions)}, got {actions.max()}")
        others = np.zeros(actions.shape[:-2], np.int64)
        own = np.zeros(actions.shape[:-2], np.int64)
        for time in range(self.window):
            joint = np.zeros(actions.shape[:-2], np.int64)
            for player in range(1, len(self.n_actions)):
                joint = joint * self.n_actions[player] + actions[..., time, player]
            others = others * self.branching + joint
            own = own * self.n_actions[0] + actions[..., time, 0]
        result: NDArray[np.int64] = others * self.n_actions[0] ** self.window + own
        return result

    def decode(self, states: object) -> NDArray[np.int64]:
        """Return the joint actions of window indices, shape (..., window, n_players), oldest first."""
        return np.stack([self.joint_action(time, states) for time in range(self.window)], axis=-2)

    def joint_action(self, time: int, states: object = None) -> NDArray[np.int64]:
        """Return the actions at one time of the window (0 = oldest), shape (..., n_players).

        Without `states`, for all windows in order, shape (n_states, n_players).

        Raises
        ------
        ValueError
            If a state is not an index 0 .. n_states-1.
        """
        index = np.arange(self.n_states) if states is None else np.asarray(states)
        if index.dtype.kind not in "iu" or (index.size and (index.min() < 0 or index.max() >= self.n_states)):
            raise ValueError(f"window indices are integers from 0 to {self.n_states - 1}, got {states!r}")
        own_size = self.n_actions[0]
        others, own = np.divmod(index, own_size**self.window)
        lag = self.window - 1 - time
        result = np.empty((*index.shape, len(self.n_actions)), np.int64)
        result[..., 0] = own // own_size**lag % own_size
        joint = others // self.branching**lag % self.branching
        for player in range(len(self.n_actions) - 1, 0, -1):
            joint, result[..., player] = np.divmod(joint, self.n_actions[player])
        return result

    def shifted(self) -> NDArray[np.int32]:
        """Return each window with its oldest joint action dropped and zeros appended, shape (n_states,).

        The next window after own action a and opponents' joint action b is ``shifted[s] + offset[a, b]``.
        """
        own_size = self.n_actions[0] ** self.window
        states = np.arange(self.n_states, dtype=np.int64)
        others, own = np.divmod(states, own_size)
        others = others * self.branching % self.branching**self.window
        own = own * self.n_actions[0] % own_size
        result: NDArray[np.int32] = (others * own_size + own).astype(np.int32)
        return result

    def offset(self) -> NDArray[np.int32]:
        """Return what appending (own action a, opponents' joint action b) adds, shape (n_actions[0], branching)."""
        own = np.arange(self.n_actions[0])[:, None]
        joint = np.arange(self.branching)[None, :]
        result: NDArray[np.int32] = (joint * self.n_actions[0] ** self.window + own).astype(np.int32)
        return result
