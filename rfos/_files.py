"""Files that are whole or not there: checks before work begins, writes by atomic rename."""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path


def require_writable(folder: Path) -> None:
    """Raise OSError unless files can be created in a folder, which need not exist yet; leaves nothing behind.

    Raises
    ------
    OSError
        One sentence that names the folder and the cause.
    """
    missing = []
    place = folder
    while not place.exists() and place.parent != place:
        missing.append(place)
        place = place.parent
    made: list[Path] = []
    try:
        for path in reversed(missing):
            path.mkdir()
            made.append(path)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise OSError(f"cannot write to {folder}: {_reason(error)}; choose another --out folder") from error
    finally:
        for path in reversed(made):
            path.rmdir()


def _reason(error: OSError) -> str:
    """Return what the system calls the cause, whatever a library that wrote the file made of it."""
    return (os.strerror(error.errno) if error.errno else str(error)).lower()


@contextlib.contextmanager
def atomic(path: Path) -> Iterator[Path]:
    """Give a temporary path beside `path`; on success it takes the place of `path`, on failure it is removed.

    Raises
    ------
    OSError
        One sentence that names the file and the cause, such as a full disk.
    """
    descriptor, name = tempfile.mkstemp(prefix=".", suffix=path.suffix, dir=path.parent)
    os.close(descriptor)
    temporary = Path(name)
    try:
        yield temporary
        # mkstemp makes private files; results are for everybody whom the umask allows.
        umask = os.umask(0)
        os.umask(umask)
        temporary.chmod(0o666 & ~umask)
        temporary.replace(path)
    except OSError as error:
        raise OSError(f"cannot write {path}: {_reason(error)}; make room or choose another folder") from error
    finally:
        temporary.unlink(missing_ok=True)
