"""The store of a sweep: one SQLite file, written by one driver, that never loses what it has acknowledged.

A row is a cell with its result or its error. Rows are never changed, save that a failed cell may be tried again. A
result has one spelling (canonical JSON), so that "the same result" means the same bytes.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
from collections.abc import Iterable, Iterator
from pathlib import Path
from types import TracebackType
from typing import IO, NamedTuple

from rfos.sweeps.cells import Outcome

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

APPLICATION = 0x72666F73
"""SQLite's application_id of a store: "rfos"."""

VERSION = 1
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
    CHECK ((result IS NULL) <> (error IS NULL))
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
        Created if it does not exist, unless it is opened for reading.
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
        self._lock: IO[bytes] | None = None
        if read_only and not path.is_file():
            raise OSError(f"there is no store {path}: run rfos sweep first, or give another --store")
        self._check_header()
        if not read_only:
            self._take_lock()
        try:
            with _explained(path):
                mode = f"ro{self._immutable()}" if read_only else "rwc"
                # Transactions are begun and ended here, not by the module.
                self._connection = sqlite3.connect(
                    f"{path.absolute().as_uri()}?mode={mode}", uri=True, isolation_level=None
                )
                try:
                    self._open(read_only)
                except BaseException:
                    self._connection.close()
                    raise
        except BaseException:
            self._release()
            raise

    def _check_header(self) -> None:
        try:
            with self.path.open("rb") as file:
                header = file.read(len(_HEADER))
        except FileNotFoundError:
            return
        except OSError as error:
            reason = (error.strerror or str(error)).lower()
            raise OSError(f"cannot open the store {self.path}: {reason}; choose another --store") from error
        if header and header != _HEADER:
            raise ValueError(f"{self.path} is no store of rfos and was left as it is: choose another --store")

    def _immutable(self) -> str:
        """Return what lets SQLite read a store in a folder where it cannot put its shared memory."""
        log = self.path.with_name(self.path.name + "-wal")
        # With a log the file alone would be an older state: SQLite then says that it cannot read it.
        finished = not log.exists() or log.stat().st_size == 0
        return "&immutable=1" if finished and not os.access(self.path.parent, os.W_OK) else ""

    def _take_lock(self) -> None:
        """Hold a lock file beside the store; the system frees it when the driver ends, however it ends."""
        name = self.path.with_name(self.path.name + ".lock")
        try:
            self._lock = name.open("ab")
        except OSError as error:
            reason = (error.strerror or str(error)).lower()
            raise OSError(f"cannot write beside the store {self.path}: {reason}; choose another --store") from error
        if fcntl is not None:
            try:
                fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError as error:
                self._release()
                raise OSError(
                    f"the store {self.path} is in use by another sweep: wait until it has ended, or choose another "
                    "--store"
                ) from error

    def _release(self) -> None:
        if self._lock is not None:
            self._lock.close()
            self._lock = None

    def _open(self, read_only: bool) -> None:
        one = self._one
        application, version = one("PRAGMA application_id"), one("PRAGMA user_version")
        empty = one("SELECT count(*) FROM sqlite_master") == 0
        if (application, version) == (0, 0) and empty and not read_only:
            # An empty file: a new store, or one whose driver was killed before its first transaction.
            self._connection.execute("PRAGMA journal_mode = WAL")
            self._settings()
            with self._transaction():
                self._connection.execute(_TABLE)
                self._connection.execute(f"PRAGMA application_id = {APPLICATION}")
                self._connection.execute(f"PRAGMA user_version = {VERSION}")
            return
        if application != APPLICATION:
            raise ValueError(f"{self.path} is no store of rfos and was left as it is: choose another --store")
        if version != VERSION:
            raise ValueError(
                f"the store {self.path} has tables of version {version}, this code has {VERSION}: choose another "
                "--store"
            )
        found = one("PRAGMA quick_check")
        if found != "ok":
            raise sqlite3.DatabaseError(str(found).replace("\n", " "))
        if not read_only:
            self._connection.execute("PRAGMA journal_mode = WAL")
            self._settings()

    def _settings(self) -> None:
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
                key = outcome.cell.key(code)
                found = self._connection.execute("SELECT result FROM cells WHERE key = ?", (key,)).fetchone()
                if found is not None and found[0] is not None:
                    if found[0] != outcome.result:
                        raise NondeterminismError(_difference(key, outcome))
                    continue
                self._connection.execute(
                    "INSERT OR REPLACE INTO cells VALUES (?, ?, ?, ?, ?, ?)",
                    (key, code, outcome.cell.name, outcome.result, outcome.error, outcome.seconds),
                )

    def keys(self, code: str) -> dict[str, bool]:
        """Return the keys of a code's finished cells, and whether each has a result (else it failed)."""
        with _explained(self.path):
            return {
                key: bool(good)
                for key, good in self._connection.execute(
                    "SELECT key, result IS NOT NULL FROM cells WHERE code = ?", (code,)
                )
            }

    def codes(self) -> dict[str, int]:
        """Return how many cells each version of the code has here."""
        with _explained(self.path):
            return dict(self._connection.execute("SELECT code, count(*) FROM cells GROUP BY code ORDER BY code"))

    def rows(self, code: str) -> list[Row]:
        """Return the finished cells of a version of the code, failed ones too, in the order of their keys."""
        with _explained(self.path):
            found = self._connection.execute(
                "SELECT key, code, cell, result, error FROM cells WHERE code = ? ORDER BY key", (code,)
            )
            return [Row(*row) for row in found]

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
