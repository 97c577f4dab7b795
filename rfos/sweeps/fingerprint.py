"""The version of the code, as far as it can change the result of a cell."""

from __future__ import annotations

import functools
import hashlib
import importlib.metadata
from pathlib import Path

LIBRARIES = ("numpy", "scipy", "numba", "sympy")
"""Libraries that compute; their versions are part of the fingerprint, since the last digit may depend on them."""

SHOWING = (
    "__main__",
    "_options",
    "_processes",
    "_streams",
    "cli",
    "plots",
    "reproduction",
    "testing",
    "verification",
)
"""Beginnings of the names of modules that show, order or check results and compute none of a cell's."""


def sources() -> list[Path]:
    """Return all sources that can change the result of a cell, in an order that does not change."""
    here = Path(__file__).parent
    package = here.parent
    chosen = [here / "cells.py", *sorted((package.parent / "bounds").rglob("*.py"))]
    for path in sorted(package.rglob("*.py")):
        if path.parent != here and not path.relative_to(package).parts[0].startswith(SHOWING):
            chosen.append(path)
    return chosen


@functools.cache
def fingerprint() -> str:
    """Return the SHA-256 of these sources and of the libraries' versions, as 16 hexadecimal digits."""
    digest = hashlib.sha256()
    for path in sources():
        digest.update(path.name.encode() + b"\0" + path.read_bytes() + b"\0")
    for name in LIBRARIES:
        digest.update(f"{name} {importlib.metadata.version(name)}\0".encode())
    return digest.hexdigest()[:16]
