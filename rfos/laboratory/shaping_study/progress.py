"""Sentences about work that is going on."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeAlias

Say: TypeAlias = Callable[[str], None]
"""What takes a sentence on how far the work is."""

EVERY = 10.0
"""Seconds between two lines of progress."""


def quiet(sentence: str) -> None:
    """Say nothing."""


class Share:
    """Says now and then how many pairs are filled."""

    def __init__(self, pairs: int, say: Say) -> None:
        """Begin with none of so many pairs."""
        self.pairs, self.say = pairs, say
        self.done, self.last = 0, time.monotonic()

    def __call__(self, pairs: int) -> None:
        """Take note that so many pairs more are filled."""
        self.done += pairs
        now = time.monotonic()
        if now - self.last >= EVERY:
            self.last = now
            self.say(f"{self.done / self.pairs:.0%} of pairs filled")


def in_time(seconds: float) -> str:
    """Return seconds as text.

    Examples
    --------
    >>> in_time(0.2), in_time(17.3), in_time(600.0)
    ('a second', '17 s', '10 minutes')
    """
    return f"{seconds / 60:.0f} minutes" if seconds >= 120 else f"{seconds:.0f} s" if seconds >= 1 else "a second"
