"""Windows of recent joint actions and their index: the meta-states of Case II."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from rfos._system import checks
from rfos._system.arrays import array_of
from rfos._system.memory import require_memory
from rfos.planning.storages import MAX_STATES

LONGEST_WINDOW = 10_000
"""Longest window of a game in which nobody has a choice, so that there is one window of each length."""


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
        given = checks.several("n_actions", self.n_actions, "give the number of actions of each player, such as (2, 2)")
        counts = tuple(checks.whole(f"n_actions[{i}]", n, 0) for i, n in enumerate(given))
        object.__setattr__(self, "n_actions", counts)
        if len(counts) < 2 or min(counts) < 1:
            shown = f"({', '.join(map(checks.shown, counts))}{',' * (len(counts) == 1)})"
            raise ValueError(f"a window needs at least two players with at least one action each, not {shown}")
        give = "a whole number of at least 1, the joint actions remembered"
        object.__setattr__(self, "window", checks.whole("window", self.window, give=give))
        joint = math.prod(self.n_actions)
        largest = max(1, int(math.log(MAX_STATES, joint))) if joint > 1 else LONGEST_WINDOW
        if joint == 1 and self.window > largest:
            raise ValueError(f"window is {checks.shown(self.window)}: the largest window here is {largest}")
        # Compared, not raised to the power: that may have millions of digits.
        if self.window > largest or joint > MAX_STATES:
            size = "too many"
            if self.window < 10**9:
                size = f"{checks.shown(joint)}^{self.window} = 10^{self.window * math.log10(joint):.1f}"
            raise ValueError(
                f"window {checks.shown(self.window)} means {size} meta-states, above the limit of {MAX_STATES}: the "
                f"largest window here is {largest}"
            )

    @property
    def branching(self) -> int:
        """Number of joint actions of the opponents, B."""
        return math.prod(self.n_actions[1:])

    @property
    def n_states(self) -> int:
        """Number of windows, (prod of all action counts) ** window."""
        return int(math.prod(self.n_actions) ** self.window)

    def by_time(self, time: int) -> tuple[int, int, int, int, int, int]:
        """Return the shape that takes a table (n_states, ...) apart at one time of the window (0 = oldest).

        Axes: opponents before that time, then, and after it; the shaper likewise. What depends on one joint action is
        written into such a table by broadcasting, without indices that take more memory than the table.

        Examples
        --------
        >>> WindowIndex((2, 3), 2).by_time(0)
        (1, 3, 3, 1, 2, 2)
        """
        lag = self.window - 1 - time
        own = self.n_actions[0]
        return self.branching**time, self.branching, self.branching**lag, own**time, own, own**lag

    def require(self, n_bytes: int) -> None:
        """Raise MemoryError unless so many bytes fit this machine; the message names the window."""
        what = f"a window of {self.window} ({self.n_states:,} meta-states)"
        require_memory(n_bytes, what, "choose a smaller window")

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
        actions = array_of("history", history)
        shape = (self.window, len(self.n_actions))
        if actions.shape[-2:] != shape or actions.dtype.kind not in "iu":
            raise ValueError(
                f"a history has integer actions with last axes (window, players) = {shape}, "
                f"not {actions.dtype} {actions.shape}"
            )
        limits = np.array(self.n_actions)
        if actions.size and (actions.min() < 0 or (actions >= limits).any()):
            raise ValueError(f"actions run from 0 to {tuple(n - 1 for n in self.n_actions)}, got {actions.max()}")
        actions = actions.astype(np.int64)
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
        MemoryError
            If the actions of all windows do not fit this machine.
        """
        if not 0 <= time < self.window:
            raise ValueError(f"time is {time!r}: the window's joint actions are 0 to {self.window - 1}, oldest first")
        if states is None:
            self.require(8 * self.n_states * len(self.n_actions))
            result = np.empty((*self.by_time(time), len(self.n_actions)), np.int64)
            result[..., 0] = np.arange(self.n_actions[0])[:, None]
            for player, digit in enumerate(np.indices(self.n_actions[1:]).reshape(-1, self.branching), start=1):
                result[..., player] = digit[:, None, None, None, None]
            return result.reshape(self.n_states, -1)
        index = array_of("states", states)
        if index.dtype.kind not in "iu" or (index.size and (index.min() < 0 or index.max() >= self.n_states)):
            raise ValueError(f"window indices are integers from 0 to {self.n_states - 1}, got {states!r}")
        own_size = self.n_actions[0]
        others, own = np.divmod(index.astype(np.int64, copy=False), own_size**self.window)
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
        self.require(4 * self.n_states)
        _, branching, others, _, n_own, own = self.by_time(0)
        result = np.empty((branching, others, n_own, own), np.int32)
        # All but the oldest joint action move up one place; int32 holds every index.
        step = np.int32(branching * n_own * own)
        result[:] = (step * np.arange(others, dtype=np.int32))[:, None, None]
        result += np.int32(n_own) * np.arange(own, dtype=np.int32)
        return result.reshape(-1)

    def offset(self) -> NDArray[np.int32]:
        """Return what appending (own action a, opponents' joint action b) adds, shape (n_actions[0], branching)."""
        own = np.arange(self.n_actions[0])[:, None]
        joint = np.arange(self.branching)[None, :]
        result: NDArray[np.int32] = (joint * self.n_actions[0] ** self.window + own).astype(np.int32)
        return result
