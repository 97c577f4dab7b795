"""The store of a sweep: one SQLite file, written by one driver, that never loses what it has acknowledged.

A row is a cell with its result or its error, and a digest of them that is checked when it is read. Rows are never
changed, save that a failed cell may be tried again. A result has one spelling (canonical JSON), so that "the same
result" means the same bytes. Beside them stands where the long cells were left that are not finished yet.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import sqlite3
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from types import TracebackType
from typing import IO, NamedTuple

from rfos.sweeps.cells import Outcome

APPLICATION = 0x72666F73
"""SQLite's application_id of a store: "rfos"."""

VERSION = 2
"""Version of the tables, SQLite's user_version."""

_HEADER = b"SQLite format 3\x00"
_TABLE = """
CREATE TABLE cells (
    key TEXT PRIMARY KEY NOT NULL,
    code TEXT NOT NULL,
    cell TEXT NOT NULL,
    result BLOB,
    error TEXT,
    seconds REAL NOT NULL,
    digest BLOB NOT NULL,
    CHECK ((result IS NULL) <> (error IS NULL))
) STRICT
"""
_CHECKPOINTS = """
CREATE TABLE checkpoints (
    key TEXT PRIMARY KEY NOT NULL,
    code TEXT NOT NULL,
    state BLOB NOT NULL,
    seconds REAL NOT NULL,
    digest BLOB NOT NULL
) STRICT
"""


class NondeterminismError(Exception):
    """The same cell and code brought different bytes."""


class Row(NamedTuple):
    """A finished cell: its key, the code's fingerprint, its name, and its result or its error."""

    key: str
    code: str
    cell: str
    result: bytes | None
    error: str | None


def digest(*parts: str | bytes | None) -> bytes:
    """Return the SHA-256 of the parts of a row, each with its length, so that no other parts have it."""
    found = hashlib.sha256()
    for part in parts:
        content = part.encode() if isinstance(part, str) else part or b""
        found.update(b"%d " % len(content) + content)
    return found.digest()


def _lock(file: IO[bytes]) -> None:
    """Lock a file until it is closed, or this process has ended; raise BlockingIOError where another one has."""
    if sys.platform == "win32":
        import msvcrt

        try:
            msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
        except PermissionError as error:
            raise BlockingIOError from error
    else:
        import fcntl

        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)


@contextlib.contextmanager
def _explained(path: Path) -> Iterator[None]:
    """Turn SQLite's errors into one sentence with the file and the mend."""
    try:
        yield
    except sqlite3.DatabaseError as error:
        name = getattr(error, "sqlite_errorname", "")
        if name.startswith(("SQLITE_FULL", "SQLITE_IOERR")):
            mend = "make room and run again; what was acknowledged is kept"
            raise OSError(f"cannot write to the store {path}: {error}; {mend}") from error
        if name.startswith(("SQLITE_CANTOPEN", "SQLITE_READONLY", "SQLITE_PERM")):
            raise OSError(f"cannot open the store {path}: {error}; choose another --store") from error
        if name.startswith(("SQLITE_BUSY", "SQLITE_LOCKED")):
            raise OSError(f"the store {path} is locked by another program: wait until it has ended") from error
        raise ValueError(
            f"the store {path} is damaged ({error}); nothing was changed: restore a copy, or choose another --store"
        ) from error


class Store:
    """A store opened by its driver, or for reading.

    Parameters
    ----------
    path : Path
        Created if it does not exist, unless it is opened for reading. A link stands for what it points to.
    read_only : bool
        For reports: no lock, nothing is written.

    Raises
    ------
    OSError
        If another driver holds the store, or it cannot be opened or written.
    ValueError
        If the file is no store, is damaged, or was written by another version of the tables; it is left as it is.
    """

    def __init__(self, path: Path, *, read_only: bool = False) -> None:
        """Open and check the file."""
        self.path = path
        # Two names of one store must find one lock.
        self._real = path.resolve()
        self._lock: IO[bytes] | None = None
        if read_only and not path.is_file():
            raise OSError(f"there is no store {path}: run rfos sweep first, or give another --store")
        self._check_header()
        if not read_only:
            self._take_lock()
        try:
            with _explained(path):
                if not read_only and not self._real.exists():
                    self._create()
                self._connection = self._connect(f"ro{self._immutable()}" if read_only else "rw")
                try:
                    self._open(read_only)
                except BaseException:
                    self._connection.close()
                    raise
        except BaseException:
            self._release()
            raise

    def _connect(self, mode: str, name: str = "") -> sqlite3.Connection:
        path = self._real.with_name(name or self._real.name)
        # Transactions are begun and ended here, not by the module.
        return sqlite3.connect(f"{path.as_uri()}?mode={mode}", uri=True, isolation_level=None)

    def _check_header(self) -> None:
        try:
            with self.path.open("rb") as file:
                header = file.read(len(_HEADER))
        except FileNotFoundError:
            return
        except OSError as error:
            reason = (error.strerror or str(error)).lower()
            raise OSError(f"cannot open the store {self.path}: {reason}; choose another --store") from error
        if not header:
            raise ValueError(
                f"the store {self.path} is empty, so it has been cut off (a store never is): restore a copy, or remove "
                "the file to begin anew"
            )
        if header != _HEADER:
            raise ValueError(f"{self.path} is no store of rfos and was left as it is: choose another --store")

    def _log_is_empty(self) -> bool:
        log = self._real.with_name(self._real.name + "-wal")
        return not log.exists() or log.stat().st_size == 0

    def _immutable(self) -> str:
        """Return what lets SQLite read a store in a folder where it cannot put its shared memory."""
        # With a log the file alone would be an older state: SQLite then says that it cannot read it.
        return "&immutable=1" if self._log_is_empty() and not os.access(self._real.parent, os.W_OK) else ""

    def _take_lock(self) -> None:
        """Hold a lock file beside the store; the system frees it when the driver ends, however it ends."""
        name = self._real.with_name(self._real.name + ".lock")
        try:
            self._lock = name.open("ab")
        except OSError as error:
            reason = (error.strerror or str(error)).lower()
            raise OSError(f"cannot write beside the store {self.path}: {reason}; choose another --store") from error
        try:
            _lock(self._lock)
        except BlockingIOError as error:
            self._release()
            raise OSError(
                f"the store {self.path} is in use by another sweep: wait until it has ended, or choose another --store"
            ) from error
        except (ImportError, OSError) as error:
            self._release()
            raise OSError(
                f"cannot lock the store {self.path} against a second sweep ({error}): choose a --store on a file "
                "system, and a system, that has locks"
            ) from error

    def _release(self) -> None:
        if self._lock is not None:
            self._lock.close()
            self._lock = None

    def _create(self) -> None:
        """Make a new store beside its place and move it there: at its place there is never a part of one."""
        name = self._real.name + ".new"
        for suffix in ("", "-wal", "-shm", "-journal"):
            self._real.with_name(name + suffix).unlink(missing_ok=True)
        connection = self._connect("rwc", name)
        try:
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute("PRAGMA synchronous = FULL")
            connection.execute("BEGIN IMMEDIATE")
            connection.execute(_TABLE)
            connection.execute(_CHECKPOINTS)
            connection.execute(f"PRAGMA application_id = {APPLICATION}")
            connection.execute(f"PRAGMA user_version = {VERSION}")
            connection.execute("COMMIT")
        finally:
            connection.close()
        self._real.with_name(name).replace(self._real)

    def _open(self, read_only: bool) -> None:
        one = self._one
        application, version = one("PRAGMA application_id"), one("PRAGMA user_version")
        if application != APPLICATION:
            raise ValueError(f"{self.path} is no store of rfos and was left as it is: choose another --store")
        if version != VERSION:
            raise ValueError(
                f"the store {self.path} has tables of version {version}, this code has {VERSION}: choose another "
                "--store"
            )
        # While there is a log, pages may be there only. SQLite itself rounds the size up and reads zeros.
        if self._log_is_empty():
            whole = int(str(one("PRAGMA page_count"))) * int(str(one("PRAGMA page_size")))
            size = self._real.stat().st_size
            if size < whole:
                raise sqlite3.DatabaseError(f"{size:,} of its {whole:,} bytes are there")
        found = one("PRAGMA quick_check")
        if found != "ok":
            raise sqlite3.DatabaseError(str(found).replace("\n", " "))
        if not read_only:
            self._connection.execute("PRAGMA journal_mode = WAL")
            self._connection.execute("PRAGMA synchronous = FULL")

    def _one(self, statement: str) -> object:
        return self._connection.execute(statement).fetchone()[0]

    @contextlib.contextmanager
    def _transaction(self) -> Iterator[None]:
        self._connection.execute("BEGIN IMMEDIATE")
        try:
            yield
            self._connection.execute("COMMIT")
        except BaseException:
            # A full disk has rolled back already.
            if self._connection.in_transaction:
                self._connection.execute("ROLLBACK")
            raise

    def __enter__(self) -> Store:
        """Return itself."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the file and free the lock."""
        # Closing moves the log into the file; where that fails the log stays and is read the next time.
        with contextlib.suppress(sqlite3.Error):
            self._connection.close()
        self._release()

    def put(self, code: str, outcomes: Iterable[Outcome]) -> None:
        """Write outcomes in one transaction; when this returns they are on the disk.

        Parameters
        ----------
        code : str
            Fingerprint of the code that brought them.
        outcomes : iterable of Outcome

        Raises
        ------
        NondeterminismError
            If a cell has another result already; nothing of the transaction is kept.
        OSError
            If they cannot be written; what was written before is kept.
        """
        with _explained(self.path), self._transaction():
            for outcome in outcomes:
                self._put(code, outcome)

    def _put(self, code: str, outcome: Outcome) -> None:
        key, cell, execute = outcome.cell.key(code), outcome.cell.name, self._connection.execute
        found = execute("SELECT result FROM cells WHERE key = ?", (key,)).fetchone()
        finished = found is not None and found[0] is not None
        if outcome.state is not None:
            if not finished:  # what an audit leaves half done is not taken up again
                before = execute("SELECT seconds FROM checkpoints WHERE key = ?", (key,)).fetchone() or (0.0,)
                seconds = before[0] + outcome.seconds
                left = (key, code, outcome.state, seconds, digest(key, outcome.state))
                execute("INSERT OR REPLACE INTO checkpoints VALUES (?, ?, ?, ?, ?)", left)
            return
        if finished:
            if found[0] != outcome.result:
                raise NondeterminismError(_difference(key, outcome))
            return
        before = execute("SELECT seconds FROM checkpoints WHERE key = ?", (key,)).fetchone() or (0.0,)
        seconds = before[0] + outcome.seconds
        what = (outcome.result, outcome.error)
        row = (key, code, cell, *what, seconds, digest(key, code, cell, *what))
        execute("INSERT OR REPLACE INTO cells VALUES (?, ?, ?, ?, ?, ?, ?)", row)
        if outcome.error is None:  # a cell whose worker died goes on there when it is tried again
            execute("DELETE FROM checkpoints WHERE key = ?", (key,))

    def checkpoint(self, key: str) -> bytes | None:
        """Return where an unfinished cell was left, or None."""
        with _explained(self.path):
            statement = "SELECT state, digest FROM checkpoints WHERE key = ?"
            state, written = self._connection.execute(statement, (key,)).fetchone() or (None, None)
            if state is not None and digest(key, state) != written:
                raise sqlite3.DatabaseError(f"the checkpoint of cell {key} is not what was written")
        return state

    def checkpoints(self, code: str) -> set[str]:
        """Return the keys of a code's cells that were left unfinished."""
        with _explained(self.path):
            found = self._connection.execute("SELECT key FROM checkpoints WHERE code = ?", (code,))
            return {key for (key,) in found}

    def keys(self, code: str) -> dict[str, bool]:
        """Return the keys of a code's finished cells, and whether each has a result (else it failed)."""
        return {row.key: row.result is not None for row in self._rows(code)}

    def codes(self) -> dict[str, int]:
        """Return how many cells each version of the code has here."""
        with _explained(self.path):
            return dict(self._connection.execute("SELECT code, count(*) FROM cells GROUP BY code ORDER BY code"))

    def rows(self, code: str) -> list[Row]:
        """Return the finished cells of a version of the code, failed ones too, in the order of their keys."""
        return list(self._rows(code))

    def _rows(self, code: str) -> Iterator[Row]:
        with _explained(self.path):
            found = self._connection.execute(
                "SELECT key, code, cell, result, error, digest FROM cells WHERE code = ? ORDER BY key", (code,)
            )
            for *parts, written in found:
                if digest(*parts) != written:
                    raise sqlite3.DatabaseError(f"cell {parts[0]} is not what was written")
                yield Row(*parts)

    def failures(self, code: str) -> list[tuple[str, str]]:
        """Return key and error of the failed cells of a version of the code, in the order of their keys."""
        with _explained(self.path):
            return self._connection.execute(
                "SELECT key, error FROM cells WHERE code = ? AND error IS NOT NULL ORDER BY key", (code,)
            ).fetchall()


def _difference(key: str, outcome: Outcome) -> str:
    came = f"failed ({outcome.error})" if outcome.result is None else "has another result now"
    return (
        f"cell {key} is not deterministic: it is in the store with a result and {came}, from the same code; the store "
        f"was left as it is. Its name is {outcome.cell.name}"
    )
