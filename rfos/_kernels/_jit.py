"""The one decorator for kernels: compiled without the GIL, cached on disk, never stale.

Numba keys its disk cache by the file that holds the decorated function and does not notice an edited helper in
another file, so the cache folder is keyed by a fingerprint of all kernel sources. Set ``RFOS_CACHE_DIR`` to
move the cache, and ``RFOS_BOUNDSCHECK=1`` to compile every kernel with bounds checks.
"""

from __future__ import annotations

import functools
import hashlib
import os
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, ParamSpec, TypeVar

import numba
import numpy as np
from numba.core import config as numba_config

Parameters = ParamSpec("Parameters")
Result = TypeVar("Result")

INTERPRETED = bool(numba_config.DISABLE_JIT)
BOUNDSCHECK = os.environ.get("RFOS_BOUNDSCHECK", "0") == "1"


def sources_fingerprint(folder: Path) -> str:
    """Return the SHA-256 of all Python sources in a folder, names included, as 16 hexadecimal digits."""
    digest = hashlib.sha256()
    for path in sorted(folder.glob("*.py")):
        digest.update(path.name.encode() + b"\0" + path.read_bytes() + b"\0")
    return digest.hexdigest()[:16]


def _user_cache_folder() -> Path:
    chosen = os.environ.get("RFOS_CACHE_DIR")
    if chosen:
        return Path(chosen)
    if sys.platform == "win32":
        base = os.environ.get("LOCALAPPDATA") or tempfile.gettempdir()
    else:
        base = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
    return Path(base) / "rfos"


def _cache_directory() -> Path | None:
    """Return the folder for compiled kernels of exactly these sources, or None where none can be written."""
    here = Path(__file__).parent
    mode = "checked" if BOUNDSCHECK else "plain"
    folder = _user_cache_folder() / "kernels" / f"{sources_fingerprint(here)}-{mode}"
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError:
        return None
    return folder if os.access(folder, os.W_OK) else None


_CACHE_DIRECTORY = _cache_directory()


def kernel(function: Callable[Parameters, Result]) -> Callable[Parameters, Result]:
    """Compile a kernel: no GIL, no fastmath, integers wrap, divisions by zero are the caller's to exclude.

    With ``NUMBA_DISABLE_JIT=1`` the plain Python function runs, with NumPy's warnings off: compiled code gives
    none, and the random stream wraps by design.
    """
    if INTERPRETED:

        @functools.wraps(function)
        def interpreted(*args: Parameters.args, **kwargs: Parameters.kwargs) -> Result:
            with np.errstate(all="ignore"):
                return function(*args, **kwargs)

        return interpreted
    dispatcher: Any = numba.njit(nogil=True, error_model="numpy", boundscheck=BOUNDSCHECK)(function)
    if _CACHE_DIRECTORY is not None:
        # Numba reads its cache folder from a global when caching is enabled; it is set for this moment only,
        # so that the kernels of other packages stay where they were.
        previous = numba_config.CACHE_DIR
        numba_config.CACHE_DIR = str(_CACHE_DIRECTORY)
        try:
            dispatcher.enable_caching()
        finally:
            numba_config.CACHE_DIR = previous
    compiled: Callable[Parameters, Result] = dispatcher
    return compiled
