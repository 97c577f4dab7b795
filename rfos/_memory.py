"""Refuse what does not fit, before anything is allocated."""

from __future__ import annotations

import os


def available_bytes() -> int:
    """Return the physical memory of this machine in bytes, less a tenth for everything else on it."""
    try:
        total = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError, OSError):  # not every system tells
        total = 8 * 2**30
    return total * 9 // 10


def in_digits(number: int) -> str:
    """Return a whole number with its digits grouped, or about how large it is where they would fill lines.

    Examples
    --------
    >>> in_digits(12345), in_digits(200**45)
    ('12,345', 'about 10^103')
    """
    # log10(2) = 0.30103: the digits of large numbers are slow to find, and Python refuses thousands of them.
    return f"{number:,}" if number < 10**30 else f"about 10^{int(number.bit_length() * 0.30103)}"


def require_memory(needed: int, what: str, mend: str) -> None:
    """Raise MemoryError unless `needed` bytes fit this machine.

    Parameters
    ----------
    needed : int
        Bytes, as a Python integer, so that it cannot wrap.
    what, mend : str
        What would be allocated, and what to do instead; they complete the message.

    Raises
    ------
    MemoryError
        One sentence with the bytes needed, the limit and the mend.
    """
    limit = available_bytes()
    if needed > limit:
        raise MemoryError(f"{what} needs {in_digits(needed)} bytes, above the limit of {limit:,} here: {mend}")
