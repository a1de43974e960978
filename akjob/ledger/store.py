"""The writing side of the ledger: akjobd's own connection, and the checkpoints that stay off its loop."""

import os
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any, TypeVar

from akjob.errors import AkjobError
from akjob.instants import from_text, to_text
from akjob.ledger import rows
from akjob.ledger.migrate import migrate
from akjob.ledger.model import JobRow, OpenRun, RunRow, Writes

T = TypeVar("T")

BUSY_MS = 200  # how long a commit waits for another program's lock before akjobd goes on and tries again later
_DEFINITION_KEEPS = 2  # a definition outlives its runs: a long run may end long after its definition was last used


class LedgerBusyError(AkjobError):
    """Another program holds the ledger's lock. Nothing was written; the same writes may be tried again."""


class LedgerFullError(AkjobError):
    """The ledger cannot be written now: disk full, read-only or failing. Nothing was written; try again later."""


class Ledger:
    """The one writer of the ledger. Every method is one transaction; none leaves one open."""

    def __init__(self, connection: sqlite3.Connection, path: Path) -> None:
        self._connection = connection
        self._path = path
        self._defined: set[str] = set()
        self._pruned_to = ""

    @classmethod
    def open(cls, path: Path) -> "Ledger":
        """Open the ledger, made anew (mode 0600) or brought to the newest schema where needed.

        Raises AkjobError when the file is no database, is damaged or was written by a newer akjob, and
        LedgerBusyError or LedgerFullError when it cannot be written now.
        """
        try:
            os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
        except OSError as error:
            raise AkjobError(
                f"{path}: the ledger cannot be opened: {error.strerror}",
                hint="akjobd must be able to write its var/ folder",
            ) from error
        connection = sqlite3.connect(path, timeout=BUSY_MS / 1000, isolation_level=None, check_same_thread=False)
        ledger = cls(connection, path)
        try:
            ledger._guarded(ledger._prepare)
        except AkjobError:
            connection.close()
            raise
        return ledger

    def _prepare(self) -> None:
        execute = self._connection.execute
        execute("PRAGMA journal_mode = WAL")
        execute("PRAGMA synchronous = FULL")
        execute("PRAGMA wal_autocheckpoint = 0")
        execute("PRAGMA cache_size = -8192")
        migrate(self._connection, str(self._path))

    def close(self) -> None:
        """Close the connection; the last one to close merges what the WAL still holds."""
        self._connection.close()

    def commit(self, writes: Writes) -> list[str]:
        """Write a turn's changes in one transaction, on disk when this returns.

        Returns the ids of the claims that were refused because their (job, slot, attempt) is in the ledger already:
        these runs must not start. Raises LedgerBusyError or LedgerFullError with nothing written.
        """
        return self._transaction(lambda: self._write(writes))

    def _write(self, writes: Writes) -> list[str]:
        many = self._connection.executemany
        new = [one for one in writes.definitions if one.sha256 not in self._defined]
        if new:
            many(
                "INSERT INTO definitions VALUES (?, ?, ?, ?) ON CONFLICT (sha256) DO UPDATE SET last_used_at = "
                "excluded.last_used_at",
                [(one.sha256, one.file, one.text, to_text(one.used_us)) for one in new],
            )
        refused = self._claim(writes.claims) if writes.claims else []
        if writes.changes:
            many(rows.CHANGE, [rows.change_values(row) for row in writes.changes])
        if writes.loaded:
            many(rows.LOADED, [rows.loaded_values(row) for row in writes.loaded])
        if writes.jobs:
            many(rows.JOB, [rows.job_values(row) for row in writes.jobs])
        if writes.waited:
            many("DELETE FROM waits WHERE run = ?", [(run,) for run in writes.waited])
        if writes.waits:
            many("INSERT OR REPLACE INTO waits VALUES (?, ?, ?, ?, ?)", [rows.wait_values(one) for one in writes.waits])
        return refused

    def _claim(self, claims: list[RunRow]) -> list[str]:
        made = self._connection.executemany(rows.CLAIM, [rows.claim_values(row) for row in claims]).rowcount
        if made == len(claims):
            return []
        exists = "SELECT 1 FROM runs WHERE id = ?"
        return [row.id for row in claims if self._connection.execute(exists, (row.id,)).fetchone() is None]

    def jobs_state(self) -> list[JobRow]:
        """Return the rows of all jobs that were ever loaded."""
        return self._guarded(lambda: [rows.job_row(row) for row in self._connection.execute(rows.SELECT_JOBS)])

    def open_runs(self) -> list[OpenRun]:
        """Return the runs that are queued or running, oldest first."""
        return self._guarded(lambda: [rows.open_run(row) for row in self._connection.execute(rows.SELECT_OPEN)])

    def boot_instant(self, boot_id: str, boot_us: int) -> tuple[int, bool]:
        """Return the instant of this boot as it was first recorded, and whether that is now.

        The kernel's own figure moves when the clock is set, and ``on_boot`` would fire again.
        """
        return self._transaction(lambda: self._boot_instant(boot_id, boot_us))

    def _boot_instant(self, boot_id: str, boot_us: int) -> tuple[int, bool]:
        known = self._connection.execute("SELECT value FROM meta WHERE key = 'boot'").fetchone()
        if known is not None and known[0].startswith(boot_id + " "):
            return from_text(known[0].removeprefix(boot_id + " ")), False
        self._connection.execute("INSERT OR REPLACE INTO meta VALUES ('boot', ?)", (f"{boot_id} {to_text(boot_us)}",))
        return boot_us, True

    def prune(self, keep_us: int, now_us: int, limit: int = 200) -> bool:
        """Delete what ended more than ``keep_us`` ago, looking at ``limit`` rows at most; return whether more is left.

        Call it again, between turns of the loop, while it returns True.
        """
        # That a row is gone need not outlive a power cut: it would be pruned again. So nobody waits for the disk here.
        self._guarded(lambda: self._connection.execute("PRAGMA synchronous = NORMAL"))
        try:
            return self._transaction(lambda: self._prune(to_text(now_us - keep_us), keep_us, now_us, limit))
        finally:
            self._guarded(lambda: self._connection.execute("PRAGMA synchronous = FULL"))

    def _prune(self, before: str, keep_us: int, now_us: int, limit: int) -> bool:
        slice_ = self._connection.execute(
            "SELECT id, queued_at, ended_at FROM runs WHERE id > ? ORDER BY id LIMIT ?", (self._pruned_to, limit)
        ).fetchall()
        old = [(run,) for run, _, ended in slice_ if ended is not None and ended < before]
        if old:
            self._connection.executemany("DELETE FROM runs WHERE id = ?", old)
        if len(slice_) == limit and slice_[-1][1] < before:
            self._pruned_to = slice_[-1][0]
            return True
        self._pruned_to = ""
        stale = to_text(now_us - _DEFINITION_KEEPS * keep_us)
        self._connection.execute(
            "DELETE FROM definitions WHERE last_used_at < ? AND sha256 NOT IN (SELECT definition_sha256 FROM jobs)",
            (stale,),
        )
        self._defined.clear()
        return False

    def wal_bytes(self) -> int:
        """Return the size of the write-ahead log: the sign that a checkpoint is due."""
        try:
            return os.stat(f"{self._path}-wal").st_size
        except FileNotFoundError:
            return 0

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


def checkpoint(path: Path, *, bound_bytes: int = 64 * 1024 * 1024) -> bool:
    """Move the write-ahead log into the database, from a worker thread; return whether all of it was moved.

    It has a connection of its own and does not hold up a commit, unless readers have kept the log from being begun
    anew until it is larger than ``bound_bytes``: then it is cut, which a commit waits for. Raises as ``commit``.
    """
    try:
        with closing(sqlite3.connect(path, timeout=BUSY_MS / 1000, isolation_level=None)) as connection:
            connection.execute("PRAGMA synchronous = FULL")
            busy, pages, moved = connection.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()
            wal = Path(f"{path}-wal")
            if wal.exists() and wal.stat().st_size > bound_bytes:
                busy, pages, moved = connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
    except sqlite3.Error as error:
        raise translated(error, path) from error
    return bool(not busy and pages == moved)


def translated(error: sqlite3.Error, path: Path) -> AkjobError:
    """Return what a failure of SQLite's means to the user and to akjobd."""
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
