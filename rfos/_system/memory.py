"""Refuse what does not fit, before anything is allocated."""

from __future__ import annotations

import functools
import os
import time
from collections.abc import Iterator
from pathlib import Path

try:
    import resource
except ImportError:  # not on every system
    resource = None  # type: ignore[assignment]

PROC, GROUPS = Path("/proc"), Path("/sys/fs/cgroup")
"""Where Linux tells of memory; on other systems they are missing, and nine tenths of the machine's count."""

BLOCK_ROWS = 2**14
"""Rows of a large table that are worked on at once: temporaries of the table's own size would double its memory."""


def _numbers(path: Path) -> dict[str, int]:
    """Return the numbers of a file of lines such as "name: 12 kB" by their names; empty if it cannot be read."""
    found = {}
    try:
        for line in path.read_text().splitlines():
            name, _, rest = line.replace(":", " ").partition(" ")
            value = rest.split()
            if value and value[0].isdigit():
                found[name] = int(value[0]) * (1024 if value[1:] == ["kB"] else 1)
    except (OSError, ValueError):
        pass
    return found


def _number(path: Path) -> int | None:
    """Return the number that a file consists of; None where there is no such file, or it says "max"."""
    try:
        return int(path.read_text())
    except (OSError, ValueError):
        return None


def _groups() -> Iterator[int]:
    """Yield what each control group of this process has left, in both versions of them."""
    try:
        lines = (PROC / "self/cgroup").read_text().splitlines()
    except OSError:
        return
    for line in lines:
        _, kinds, place = line.split(":", 2)
        if kinds and "memory" not in kinds.split(","):
            continue
        root = GROUPS / "memory" if kinds else GROUPS
        limit, usage = ("memory.limit_in_bytes", "memory.usage_in_bytes") if kinds else ("memory.max", "memory.current")
        # The limits of all groups above hold too. In a container the place may be one outside: its root is there.
        folder = root / place.lstrip("/")
        for group in (folder, *folder.parents):
            most, used = _number(group / limit), _number(group / usage)
            if most is not None and used is not None:
                # Files that are kept in memory and not in use are given up first.
                yield most - used + _numbers(group / "memory.stat").get("inactive_file", 0)
            if group == root:
                break


def available_bytes() -> int:
    """Return how many bytes this process may still take, as of this second."""
    return _available(int(time.monotonic()))


# To read a dozen files costs a millisecond, as much as a small run.
@functools.lru_cache(maxsize=1)
def _available(second: int) -> int:
    """Return how many bytes this process may still take.

    That is the least of what the machine has left, at most nine tenths of all it has; of what the control groups
    (containers, batch systems) leave; and of the limit on address space (``ulimit -v``).
    """
    try:
        total = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError, OSError):  # not every system tells
        total = 8 * 2**30
    found = [total * 9 // 10, *_groups()]
    left = _numbers(PROC / "meminfo").get("MemAvailable")
    if left is not None:
        found.append(left)
    if resource is not None:
        most = resource.getrlimit(resource.RLIMIT_AS)[0]
        if most != resource.RLIM_INFINITY:
            found.append(most - _numbers(PROC / "self/status").get("VmSize", 0))
    return max(0, min(found))


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
