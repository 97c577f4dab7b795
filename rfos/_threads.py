"""Kernels on all cores: threads run disjoint ranges, so results do not depend on how many there are."""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise


def n_cores() -> int:
    """Return the number of processors that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def in_ranges(work: Callable[[int, int], None], n: int, *, pieces_per_core: int = 8) -> None:
    """Call work(first, last) for ranges that cover 0 .. n-1, on all cores; an exception in one is raised here."""
    cores = n_cores()
    pieces = max(1, min(n, cores * pieces_per_core))
    edges = [n * i // pieces for i in range(pieces + 1)]
    with ThreadPoolExecutor(cores) as pool:
        for future in [pool.submit(work, first, last) for first, last in pairwise(edges)]:
            future.result()
