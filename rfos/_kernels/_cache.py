"""Compiled kernels on disk, in folders that this user alone can write to; whatever is wrong with one there is a miss.

What is compiled is stored as a pickle, and who can write a pickle can run code in whoever loads it. So all folders down
to a file must be safe from other users, the file must belong to this one, and its bytes must have the digest that they
begin with before any of them is unpickled. Each file holds one kernel for one list of argument types, and takes its
place by a rename: processes that write at the same time write the same.
"""

from __future__ import annotations

import contextlib
import hashlib
import multiprocessing
import os
import pickle
import stat
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numba
from numba.core.compiler import CompileResult
from numba.core.serialize import dumps

ELSEWHERE = "set RFOS_CACHE_DIR to a folder of your own"
DIGEST_BYTES = hashlib.sha256().digest_size


def _me() -> int | None:
    """Return whose files are trusted; None where files have no numbered owners, as on Windows."""
    return os.geteuid() if hasattr(os, "geteuid") else None


def _others_write(found: os.stat_result) -> bool:
    return bool(found.st_mode & (stat.S_IWGRP | stat.S_IWOTH))


def _require_safe(folder: Path, own: bool) -> None:
    """Raise OSError unless other users can neither write to a folder nor replace what this user has in it."""
    found = os.lstat(folder)
    if not stat.S_ISDIR(found.st_mode):
        raise OSError(f"{str(folder)!r} is not a folder: {ELSEWHERE}")
    me = _me()
    if me is None:
        return
    if found.st_uid != me and (own or found.st_uid != 0):
        raise OSError(f"the folder {str(folder)!r} belongs to another user (uid {found.st_uid}): {ELSEWHERE}")
    # In a folder such as /tmp, with the sticky bit, everybody can write and nobody can replace what is another's.
    if _others_write(found) and (own or not found.st_mode & stat.S_ISVTX):
        raise OSError(f"other users can write to the folder {str(folder)!r}: run chmod go-w on it, or {ELSEWHERE}")


def _make(folder: Path) -> None:
    """Make a folder for this user alone, unless something has its name."""
    if not os.path.lexists(folder):
        with contextlib.suppress(FileExistsError):  # made at this moment by another process
            folder.mkdir(0o700)


def _chosen() -> Path:
    """Return the absolute path that the environment asks for; raise OSError if there is none."""
    chosen = os.environ.get("RFOS_CACHE_DIR")
    if chosen:
        path = os.path.expanduser(chosen)
        if not os.path.isabs(path):
            raise OSError(f"RFOS_CACHE_DIR is {chosen!r}, which is not an absolute path: give one")
        return Path(path)
    if sys.platform == "win32":
        base = os.environ.get("LOCALAPPDATA", "")
    else:
        base = os.environ.get("XDG_CACHE_HOME", "")
        if not os.path.isabs(base):  # the standard that names the variable says so
            base = os.path.expanduser("~/.cache")
    if not os.path.isabs(base):
        raise OSError(f"this user has no home folder: {ELSEWHERE}")
    return Path(base) / "rfos"


def _safe_folder(*inside: str) -> Path:
    """Return a folder below the chosen one, made where it was missing; raise OSError if it cannot be trusted."""
    chosen = _chosen()
    with contextlib.suppress(FileNotFoundError):
        os.lstat(chosen)  # refuses a name that is too long, or below a file, before anything is made
    for link in (chosen, *chosen.parents):
        if os.path.islink(link) and _me() is not None and os.lstat(link).st_uid not in (0, _me()):
            raise OSError(f"the link {str(link)!r} belongs to another user: {ELSEWHERE}")
    folder = Path(os.path.realpath(chosen))
    for parent in reversed(folder.parents):
        _make(parent)
        _require_safe(parent, own=False)
    for own in (folder, *(folder.joinpath(*inside[:depth]) for depth in range(1, len(inside) + 1))):
        _make(own)
        _require_safe(own, own=True)
    return folder.joinpath(*inside)


def cache_folder(*inside: str) -> Path | None:
    """Return the folder for compiled kernels; None, and one line on stderr, where there is none that can be trusted.

    Parameters
    ----------
    *inside : str
        Names below ``RFOS_CACHE_DIR``, or else below the folder ``rfos`` among the user's caches.
    """
    try:
        return _safe_folder(*inside)
    except OSError as error:
        reason = str(error)
        if error.errno:
            reason = f"{os.strerror(error.errno).lower()}: {error.filename!r}: {ELSEWHERE}"
    except ValueError as error:  # a path that no system takes
        reason = f"{error}: {ELSEWHERE}"
    # Workers have the environment of the process that started them, which has said it.
    if sys.stderr is not None and multiprocessing.parent_process() is None:
        with contextlib.suppress(OSError, ValueError):
            sys.stderr.write(f"rfos: compiled kernels are not kept: {reason}\n")
    return None


def read(path: Path) -> bytes:
    """Return what `write` has put into a file.

    Raises
    ------
    OSError
        If it cannot be read, others could have written it, or its bytes are not those that were written.
    """
    # A link is not followed, a pipe not waited for: neither exists on Windows, where code is read as text otherwise.
    flags = sum(getattr(os, name, 0) for name in ("O_NOFOLLOW", "O_NONBLOCK", "O_BINARY", "O_CLOEXEC"))
    with open(os.open(path, os.O_RDONLY | flags), "rb") as file:
        found = os.fstat(file.fileno())
        if not stat.S_ISREG(found.st_mode) or (_me() is not None and (found.st_uid != _me() or _others_write(found))):
            raise OSError(f"{path} is not a file that this user alone can write")
        content = file.read()
    digest, payload = content[:DIGEST_BYTES], content[DIGEST_BYTES:]
    if hashlib.sha256(payload).digest() != digest:
        raise OSError(f"{path} is damaged")
    return payload


def write(path: Path, payload: bytes) -> None:
    """Write a file whole or not at all, for this user alone.

    Raises
    ------
    OSError
        If that is not possible; nothing is left behind.
    """
    descriptor, temporary = tempfile.mkstemp(prefix=".", dir=path.parent)
    try:
        with open(descriptor, "wb") as file:
            file.write(hashlib.sha256(payload).digest() + payload)
        os.replace(temporary, path)
    except BaseException:
        os.unlink(temporary)
        raise


class Cache:
    """What a Numba dispatcher asks for compiled code and gives it to.

    Parameters
    ----------
    function : callable
    folder : Path
        Of this function's sources only.
    """

    def __init__(self, function: Callable[..., Any], folder: Path) -> None:
        self.cache_path = str(folder)
        code = function.__code__
        self._name = f"{function.__module__.rpartition('.')[2]}.{function.__qualname__}-{code.co_firstlineno}"
        self._key = (sys.version, numba.__version__, function.__module__, code.co_code)

    def _path(self, signature: Any, codegen: Any) -> Path:
        key = repr((signature, codegen.magic_tuple(), self._key))
        return Path(self.cache_path, f"{self._name}.{hashlib.sha256(key.encode()).hexdigest()[:32]}.nbc")

    def load_overload(self, signature: Any, target_context: Any) -> Any:
        """Return the compiled function for argument types; None if it is not there, or cannot be used."""
        try:
            target_context.refresh()
            stored, *parts = pickle.loads(read(self._path(signature, target_context.codegen())))
            return CompileResult._rebuild(target_context, *parts) if stored == signature else None
        except Exception:
            return None

    def save_overload(self, signature: Any, compiled: Any) -> None:
        """Keep a compiled function, if that is possible."""
        if compiled.lifted or compiled.library.has_dynamic_globals:
            return
        with contextlib.suppress(Exception):
            write(self._path(signature, compiled.codegen), dumps((signature, *compiled._reduce())))

    def flush(self) -> None:
        """Forget nothing: a file is right for its name, or it is not used."""
