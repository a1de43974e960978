"""The ledger in SQLite, the writing side: akjobd's own connection, and the checkpoints that stay off its loop."""

import os
import sqlite3
from collections.abc import Callable, Iterable, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any, TypeVar

from akjob.errors import AkjobError
from akjob.ledger.migrate import migrate
from akjob.ledger.sql_store import SqlStore
from akjob.ledger.store import LedgerBusyError, LedgerFullError
from akjob.processes import identity
from akjob.program import is_database_in_place, put_database_back, use_write_ahead_log

T = TypeVar("T")

BUSY_MS = 200  # how long a commit waits for another program's lock before akjobd goes on and tries again later


class SqliteStore(SqlStore):
    """The one writer of a ledger in a file: :class:`akjob.ledger.Store` in SQLite."""

    def __init__(self, connection: sqlite3.Connection, path: Path) -> None:
        super().__init__()
        self._connection = connection
        self._path = path
        self._identity = identity(path)

    @classmethod
    def open(cls, path: Path) -> "SqliteStore":
        """Open the ledger; create it (mode 0600), or bring it to the newest schema, where needed.

        Raises AkjobError when the file is not a database, is damaged or was written by a newer akjob, and
        LedgerBusyError or LedgerFullError when it cannot be written now.
        """
        try:
            os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
        except OSError as error:
            raise AkjobError(
                f"{path}: the ledger cannot be opened: {error.strerror}",
                hint="akjobd must be able to write its var/ folder",
            ) from error
        ledger = cls(_connect(path), path)
        try:
            ledger._guarded(ledger._prepare)
        except AkjobError:
            ledger.close()
            raise
        return ledger

    def _prepare(self) -> None:
        execute = self._connection.execute
        use_write_ahead_log(self._connection, BUSY_MS / 1000)
        execute("PRAGMA synchronous = FULL")
        execute("PRAGMA wal_autocheckpoint = 0")
        execute("PRAGMA cache_size = -8192")
        migrate(self._connection, str(self._path))

    def close(self) -> None:
        """Close the connection; the last one to close merges what the WAL still holds."""
        self._connection.close()

    def prune(self, keep_us: int, now_us: int, limit: int = 200) -> bool:
        """Delete what ended more than ``keep_us`` ago, of ``limit`` rows at most; return True if more is left."""
        # That a row is gone need not outlive a power cut: it would be pruned again. So this does not wait for the disk.
        self._guarded(lambda: self._connection.execute("PRAGMA synchronous = NORMAL"))
        try:
            return super().prune(keep_us, now_us, limit)
        finally:
            self._guarded(lambda: self._connection.execute("PRAGMA synchronous = FULL"))

    def _ask(self, sql: str, values: Sequence[object] = ()) -> list[Any]:
        return self._connection.execute(sql, values).fetchall()

    def _many(self, sql: str, values: Iterable[Sequence[object]]) -> int:
        return self._connection.executemany(sql, values).rowcount

    def _read(self, sql: str, values: Sequence[object] = ()) -> list[Any]:
        return self._guarded(lambda: self._ask(sql, values))  # reading needs no lock

    def _first_seq(self, count: int) -> int:  # noqa: ARG002 - this store has the only writer
        last = self._ask("SELECT seq FROM sqlite_sequence WHERE name = 'transitions'")
        return last[0][0] + 1 if last else 1

    def go_on_after(self, seq: int) -> None:
        """Do nothing: SQLite has noted the highest number itself."""

    def integrity(self) -> list[str]:
        """Return what SQLite finds wrong with the file."""
        return [row[0] for row in self._read("PRAGMA integrity_check") if row[0] != "ok"]

    def is_in_place(self) -> bool:
        """Return False if the database or one of the files next to it was removed or replaced."""
        return is_database_in_place(self._path, self._identity)

    def put_back(self) -> None:
        """Write all of the ledger to its path again: what was removed goes on in the files that are open.

        A ledger that another program put there stays, and is opened from now on.
        """
        if identity(self._path) in (None, self._identity):
            self._guarded(lambda: put_database_back(self._connection, self._path))
        else:
            self._connection.close()
        self._connection, self._identity = _connect(self._path), identity(self._path)
        self._guarded(self._prepare)
        self._defined.clear()

    def wal_bytes(self) -> int:
        """Return the size of the write-ahead log: the sign that a checkpoint is due."""
        return _wal_bytes(self._path)

    def checkpoint(self, *, bound_bytes: int = 64 * 1024 * 1024) -> bool:
        """Move the write-ahead log into the database; return True if all of it was moved. Safe in another thread.

        It has a connection of its own and does not hold up a commit, unless readers have kept the log from being
        started over until it is larger than ``bound_bytes``: then it is cut, which a commit waits for.
        """
        try:
            with closing(sqlite3.connect(self._path, timeout=BUSY_MS / 1000, isolation_level=None)) as connection:
                connection.execute("PRAGMA synchronous = FULL")
                busy, pages, moved = connection.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()
                if _wal_bytes(self._path) > bound_bytes:
                    busy, pages, moved = connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
        except sqlite3.Error as error:
            raise translated(error, self._path) from error
        return bool(not busy and pages == moved)

    def _transaction(self, work: Callable[[], T]) -> T:
        def whole() -> T:
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                result = work()
                self._connection.execute("COMMIT")
            except BaseException:
                if self._connection.in_transaction:
                    self._connection.execute("ROLLBACK")
                raise
            return result

        return self._guarded(whole)

    def _guarded(self, work: Callable[[], T]) -> T:
        try:
            return work()
        except sqlite3.Error as error:
            raise translated(error, self._path) from error


def _wal_bytes(path: Path) -> int:
    try:
        return os.stat(f"{path}-wal").st_size
    except FileNotFoundError:
        return 0


def translated(error: sqlite3.Error, path: Path) -> AkjobError:
    """Return the error that a failure of SQLite's means to the user and to akjobd."""
    code: Any = getattr(error, "sqlite_errorcode", None)
    primary = code & 0xFF if isinstance(code, int) else None
    if primary in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
        return LedgerBusyError(
            f"{path}: the ledger is locked by another program ({error})",
            hint="end the program that writes to it; akjobd holds what it has to write and tries again",
        )
    if primary in _UNWRITABLE:
        return LedgerFullError(
            f"{path}: the ledger cannot be written ({error})",
            hint="free space on that disk, or make it writable; akjobd holds what it has to write and tries again",
        )
    return AkjobError(
        f"{path}: the ledger cannot be read as a database ({error})",
        hint=f"move {path.name}, {path.name}-wal and {path.name}-shm aside together (a backup can take their place)",
    )


_UNWRITABLE = (
    sqlite3.SQLITE_FULL,
    sqlite3.SQLITE_IOERR,
    sqlite3.SQLITE_READONLY,
    sqlite3.SQLITE_CANTOPEN,
    sqlite3.SQLITE_PERM,
    sqlite3.SQLITE_NOMEM,
)


def _connect(path: Path) -> sqlite3.Connection:
    return sqlite3.connect(path, timeout=BUSY_MS / 1000, isolation_level=None, check_same_thread=False)
