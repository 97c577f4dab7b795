"""The store of a sweep: one SQLite file, written by one driver, that never loses what it has acknowledged.

A row is a cell with its result or its error, and a digest of them that is checked when it is read. Rows are never
changed, save that a failed cell may be tried again. A result has one spelling (canonical JSON), so that "the same
result" means the same bytes. Beside them stands where the long cells were left that are not finished yet.
"""

from __future__ import annotations

import contextlib
import errno
import os
import sqlite3
import stat
import sys
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from types import TracebackType
from typing import IO

from rfos._system import checks
from rfos._system.files import create
from rfos.laboratory.sweeps import rows
from rfos.laboratory.sweeps.cells import Cell, Outcome, printable
from rfos.laboratory.sweeps.rows import StoreRow, digest
from rfos.laboratory.sweeps.spec import text_of

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

_TITLES = """
CREATE TABLE titles (
    code TEXT NOT NULL,
    title TEXT NOT NULL,
    PRIMARY KEY (code, title)
) STRICT
"""

LARGEST_VALUE = 2**27
"""Most bytes of anything in a store; where a long cell was left has at most half of them."""


class NondeterminismError(Exception):
    """The same cell and code brought different bytes."""


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
        raise ValueError(_damaged(path, printable(str(error)))) from error


def _damaged(path: Path, why: str) -> str:
    return f"the store {path} is damaged ({why}); nothing was changed: restore a copy, or choose another --store"


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
        path = checks.path("path", path)
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

    def _connect(self, mode: str) -> sqlite3.Connection:
        # Transactions are begun and ended here, not by the module.
        connection = sqlite3.connect(f"{self._real.as_uri()}?mode={mode}", uri=True, isolation_level=None)
        connection.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, LARGEST_VALUE)
        return connection

    def _check_header(self) -> None:
        try:
            if not stat.S_ISREG(self.path.stat().st_mode):  # a pipe that nobody writes to would be waited for
                raise ValueError(f"{self.path} is not a file: choose another --store")
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
            raise ValueError(f"{self.path} is not a store of rfos and was left as it is: choose another --store")

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
        # What a link beside the store leads to is not the store's to make or to lock.
        flags = os.O_RDWR | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)
        try:
            if name.is_symlink():
                raise OSError(errno.ELOOP, f"{name.name} is a link")
            self._lock = os.fdopen(os.open(name, flags, 0o666), "r+b", buffering=0)
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
        """Make a new store, whole and on the disk, beside its place and name it so: at its place is never a part."""
        memory = sqlite3.connect(":memory:", isolation_level=None)
        try:
            for table in (_TABLE, _CHECKPOINTS, _TITLES):
                memory.execute(table)
            memory.execute(f"PRAGMA application_id = {APPLICATION}")
            memory.execute(f"PRAGMA user_version = {VERSION}")
            content = memory.serialize()
        finally:
            memory.close()
        try:
            create(self._real, content)
        except FileExistsError as error:
            raise OSError(f"the store {self.path} has just been made by another program: run again") from error
        except OSError as error:
            reason = (error.strerror or str(error)).lower()
            raise OSError(
                f"cannot make the store {self.path}: {reason}; make room and run again, or choose another --store"
            ) from error

    def _open(self, read_only: bool) -> None:
        one = self._one
        application, version = one("PRAGMA application_id"), one("PRAGMA user_version")
        if application != APPLICATION:
            raise ValueError(f"{self.path} is not a store of rfos and was left as it is: choose another --store")
        if version != VERSION:
            raise ValueError(
                f"the store {self.path} has tables of version {version}, this code has {VERSION}: choose another "
                "--store"
            )
        made = {("table", str(t).split()[2], t.lstrip()) for t in (_TABLE, _CHECKPOINTS, _TITLES)}
        found = set(self._connection.execute("SELECT type, name, sql FROM sqlite_master WHERE sql IS NOT NULL"))
        if not made - {("table", "titles", _TITLES.lstrip())} <= found <= made:
            raise sqlite3.DatabaseError("its tables are not those that a sweep makes")
        # While there is a log, pages may be there only. SQLite itself rounds the size up and reads zeros.
        if self._log_is_empty():
            whole = int(str(one("PRAGMA page_count"))) * int(str(one("PRAGMA page_size")))
            size = self._real.stat().st_size
            if size < whole:
                raise sqlite3.DatabaseError(f"{size:,} of its {whole:,} bytes are there")
        checked = one("PRAGMA integrity_check(1)")  # quick_check does not look into the index of the keys
        if checked != "ok":
            raise sqlite3.DatabaseError(str(checked).replace("\n", " "))
        if not read_only:
            self._connection.execute("PRAGMA journal_mode = WAL")
            self._connection.execute("PRAGMA synchronous = FULL")
            if ("table", "titles", _TITLES.lstrip()) not in found:  # a store of an earlier version of the code
                self._connection.execute(_TITLES)

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

    def add_title(self, code: str, title: str) -> None:
        """Write the title of a spec whose cells a version of the code measures here."""
        with _explained(self.path), self._transaction():
            self._connection.execute("INSERT OR IGNORE INTO titles VALUES (?, ?)", (code, title))

    def titles(self, code: str) -> list[str]:
        """Return the titles of the specs whose cells a version of the code has measured here, the first one first."""
        with _explained(self.path):
            if not self._one("SELECT count(*) FROM sqlite_master WHERE name = 'titles'"):
                return []
            found = self._connection.execute("SELECT title FROM titles WHERE code = ? ORDER BY rowid", (code,))
            return [text_of("title", title) for (title,) in found]

    def keys(self, code: str) -> dict[str, bool]:
        """Return the keys of a code's finished cells, and whether each has a result (else it failed)."""
        return {row.key: row.result is not None for row in self.rows(code)}

    def codes(self) -> dict[str, int]:
        """Return how many cells each version of the code has here."""
        return dict(sorted(Counter(row.code for row in self._sound(None)).items()))

    def rows(self, code: str) -> list[StoreRow]:
        """Return the finished cells of a version of the code, failed ones too, in the order of their keys.

        Raises
        ------
        ValueError
            If the store has rows that no sweep has written, of whatever code: how many, and what is wrong with the
            first. A row of this code must also be a cell that a spec may ask for, with a result that its measure may
            bring (`rfos.laboratory.sweeps.rows.read`), alike in all repetitions where they must be.
        """
        return [row for row in self._sound(code) if row.code == code]

    def failures(self, code: str) -> list[tuple[str, str]]:
        """Return key and error of the failed cells of a version of the code, in the order of their keys."""
        return [(row.key, row.error) for row in self.rows(code) if row.error is not None]

    def _sound(self, code: str | None) -> list[StoreRow]:
        """Return all rows, those of a version of the code read as well."""
        sound: list[StoreRow] = []
        wrong: list[str] = []
        points: dict[Cell, tuple[object, ...]] = {}
        # As bytes, since what is not UTF-8 could not be told apart from what is not there.
        texts = ", ".join(f"CAST({name} AS BLOB)" for name in rows.MOST_BYTES)
        with _explained(self.path):
            found = self._connection.execute(f"SELECT {texts}, result, digest FROM cells ORDER BY key")
            for *contents, result, stamp in found:
                try:
                    row = rows.written(dict(zip(rows.MOST_BYTES, contents, strict=True)), result, stamp)
                    if row.code == code:
                        cell, values = rows.read(row)
                        if values is not None:
                            same = rows.point(cell, values)
                            if points.setdefault(cell.point, same) != same:
                                raise ValueError("its result has other sizes than those of its point's other cells")
                    sound.append(row)
                except ValueError as error:
                    wrong.append(f"cell {rows.named(contents[0])}: {error}")
        if wrong:
            total = len(wrong) + len(sound)
            are = "rows is" if len(wrong) == 1 else "rows are"
            first = wrong[0] if len(wrong) == 1 else f"the first is {wrong[0]}"
            raise ValueError(_damaged(self.path, f"{len(wrong):,} of {total:,} {are} not what a sweep writes; {first}"))
        return sound


def _difference(key: str, outcome: Outcome) -> str:
    came = f"failed ({outcome.error})" if outcome.result is None else "has another result now"
    return (
        f"cell {key} is not deterministic: it is in the store with a result and {came}, from the same code; the store "
        f"was left as it is. Its name is {outcome.cell.name}"
    )
