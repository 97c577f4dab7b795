"""Packages that need not be installed."""

from __future__ import annotations

import importlib
from typing import Any

from rfos._kernels._jit import INTERPRETED


def load(module: str, what: str) -> Any:
    """Return a module of another package, or raise ImportError that says what needs it and how to get it."""
    package = module.partition(".")[0]
    if package == "quantecon" and INTERPRETED:
        raise ImportError(f"{what} needs {package}, which runs compiled only: unset NUMBA_DISABLE_JIT")
    try:
        return importlib.import_module(module)
    except ImportError:
        raise ImportError(f"{what} needs {package}: pip install 'rfos[interop]'") from None
