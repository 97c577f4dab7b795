"""Files that are whole or not there: checks before work begins, writes by atomic rename."""

from __future__ import annotations

import contextlib
import os
import stat
import tempfile
from collections.abc import Iterator
from pathlib import Path


def require_writable(folder: Path, option: str = "--out") -> None:
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
        raise OSError(f"cannot write to {folder}: {_reason(error)}; choose another {option} folder") from error
    finally:
        for path in reversed(made):
            path.rmdir()


def read_regular(path: Path, most: int) -> bytes:
    """Return what a file has, which may be anything that a path leads to.

    Parameters
    ----------
    path : Path
    most : int
        Bytes above which it is refused; nothing of it is then kept.

    Raises
    ------
    OSError
        If it is a folder, a device or a pipe, has more bytes, or cannot be read.
    """
    # A pipe that nobody writes to would be waited for.
    descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0))
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise OSError("it is not a regular file")
    with open(descriptor, "rb") as file:
        content = file.read(most + 1)
    if len(content) > most:
        raise OSError(f"it has more than {most:,} bytes")
    return content


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
        temporary.chmod(0o666 & ~_umask())
        temporary.replace(path)
    except OSError as error:
        raise OSError(f"cannot write {path}: {_reason(error)}; make room or choose another folder") from error
    finally:
        temporary.unlink(missing_ok=True)


def create(path: Path, content: bytes) -> None:
    """Write a new file, whole and on the disk, or leave nothing; a file of that name is never replaced.

    Raises
    ------
    FileExistsError
        If there is a file of that name.
    OSError
        If it cannot be written, for want of room for instance.
    """
    descriptor, name = tempfile.mkstemp(prefix=".", suffix=".part", dir=path.parent)
    temporary = Path(name)
    try:
        with open(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(descriptor)
        temporary.chmod(0o666 & ~_umask())
        try:
            os.link(temporary, path)
        except FileExistsError:
            raise
        except OSError:  # some file systems have no second names
            os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY))
            temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
    if os.name == "posix":
        folder = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)


def _umask() -> int:
    umask = os.umask(0)
    os.umask(umask)
    return umask
