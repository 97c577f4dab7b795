"""The one decorator for kernels: compiled without the GIL, cached on disk, never stale.

Numba's own disk cache is keyed by the file that holds the decorated function and does not notice an edited helper in
another file; it trusts whatever folder it is given, and fails where a file in it is damaged. So kernels have a cache of
their own, in a folder that is keyed by a fingerprint of all kernel sources. Set ``RFOS_CACHE_DIR`` to move it, and
``RFOS_BOUNDSCHECK=1`` to compile every kernel with bounds checks.
"""

from __future__ import annotations

import functools
import hashlib
import os
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, ParamSpec, TypeVar

import numba
import numpy as np
from numba.core import config as numba_config

from rfos._kernels import _cache

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


def _cache_folder() -> Path | None:
    """Return the folder for compiled kernels of exactly these sources, or None where there is none to be trusted."""
    if INTERPRETED:
        return None
    mode = "checked" if BOUNDSCHECK else "plain"
    return _cache.cache_folder("kernels", f"{sources_fingerprint(Path(__file__).parent)}-{mode}")


CACHE_FOLDER = _cache_folder()


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
    if CACHE_FOLDER is not None:
        dispatcher._cache = _cache.Cache(function, CACHE_FOLDER)
    compiled: Callable[Parameters, Result] = dispatcher
    return compiled


def is_kept(kernel: Any, arguments: Iterable[Any]) -> bool:
    """Return whether a kernel for arguments of these types is on the disk and sound."""
    return kernel._cache.load_overload(tuple(map(numba.typeof, arguments)), kernel.targetctx) is not None


def compile_for(kernel: Any, arguments: Iterable[Any]) -> None:
    """Have a kernel ready for arguments of these types, without a call: from the disk, or compiled and kept there."""
    kernel.compile(tuple(map(numba.typeof, arguments)))
