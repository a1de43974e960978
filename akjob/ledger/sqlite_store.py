"""The ledger in SQLite, the writing side: akjobd's own connection, and the checkpoints that stay off its loop."""

import os
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any, TypeVar

from akjob.errors import AkjobError
from akjob.instants import from_text, to_text
from akjob.ledger import counting, rows, statements
from akjob.ledger.columns import JOB_COLUMNS
from akjob.ledger.migrate import migrate
from akjob.ledger.model import Committed, JobCounters, JobRow, Occurrence, OpenRun, RunRow, Transition, Writes
from akjob.ledger.store import LedgerBusyError, LedgerFullError

T = TypeVar("T")

_SELECT_JOBS = statements.select("jobs", JOB_COLUMNS)
_SELECT_JOB_COUNTERS = f"{statements.select('job_counters', statements.JOB_COUNTER_COLUMNS)} WHERE job = ?"

BUSY_MS = 200  # how long a commit waits for another program's lock before akjobd goes on and tries again later
_DEFINITION_KEEPS = 2  # a definition outlives its runs: a long run may end long after its definition was last used


class SqliteStore:
    """The one writer of a ledger in a file: :class:`akjob.ledger.Store` in SQLite."""

    def __init__(self, connection: sqlite3.Connection, path: Path) -> None:
        self._connection = connection
        self._path = path
        self._defined: set[str] = set()
        self._pruned_to = ""

    @classmethod
    def open(cls, path: Path) -> "SqliteStore":
        """Open the ledger; create it (mode 0600), or bring it to the newest schema, where needed.

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

    def commit(self, writes: Writes) -> Committed:
        """Write a turn's changes in one transaction, on disk when this returns."""
        return self._transaction(lambda: self._write(writes))

    def _write(self, writes: Writes) -> Committed:
        many = self._connection.executemany
        new = [one for one in writes.definitions if one.sha256 not in self._defined]
        if new:
            many(statements.DEFINE, [(one.sha256, one.file, one.text, to_text(one.used_us)) for one in new])
        refused = self._claim(writes.claims) if writes.claims else frozenset()
        if writes.changes:
            many(statements.CHANGE, [rows.change_values(row) for row in writes.changes])
        if writes.loaded:
            many(statements.LOADED, [rows.loaded_values(row) for row in writes.loaded])
        if writes.jobs:
            many(statements.JOB, [rows.job_values(row) for row in writes.jobs])
        if writes.waited:
            many(statements.WAITED, [(run,) for run in writes.waited])
        if writes.waits:
            many(statements.WAIT, [rows.wait_values(one) for one in writes.waits])
        if writes.decided:
            many(statements.DECIDED, writes.decided)
        if writes.occurrences:
            many(statements.OCCUR, [rows.occurrence_values(one) for one in writes.occurrences])
        return Committed(refused, self._number([one for one in writes.transitions if one.run not in refused]))

    def _claim(self, claims: list[RunRow]) -> frozenset[str]:
        made = self._connection.executemany(statements.CLAIM, [rows.run_values(row) for row in claims]).rowcount
        if made == len(claims):
            return frozenset()
        exists = "SELECT 1 FROM runs WHERE id = ?"
        return frozenset(row.id for row in claims if self._connection.execute(exists, (row.id,)).fetchone() is None)

    def _number(self, transitions: list[Transition]) -> tuple[Transition, ...]:
        """Write transitions and what they count; return them with their numbers."""
        if not transitions:
            return ()
        last = self._connection.execute("SELECT seq FROM sqlite_sequence WHERE name = 'transitions'").fetchone()
        first = 1 if last is None else last[0] + 1
        numbered = rows.numbered(transitions, first)
        many = self._connection.executemany
        many(statements.TRANSITION, map(rows.transition_values, numbered))
        sums = counting.sums(numbered)
        if sums:
            many(statements.COUNT, [(name, rows.labels_text(labels), n) for (name, labels), n in sums.items()])
        jobs = counting.count_jobs(numbered, self._job_counters)
        if jobs:
            many(statements.COUNT_JOB, [rows.job_counters_values(job, one) for job, one in jobs.items()])
        return numbered

    def _job_counters(self, job: str) -> JobCounters | None:
        found = self._connection.execute(_SELECT_JOB_COUNTERS, (job,)).fetchone()
        return None if found is None else rows.job_counters(found)

    def jobs_state(self) -> list[JobRow]:
        """Return the rows of all jobs that were ever loaded."""
        return self._guarded(lambda: [rows.job_row(row) for row in self._connection.execute(_SELECT_JOBS)])

    def open_runs(self) -> list[OpenRun]:
        """Return the runs that are queued or running, oldest first."""
        return self._guarded(lambda: [rows.open_run(row) for row in self._connection.execute(statements.SELECT_OPEN)])

    def occurrences(self) -> list[Occurrence]:
        """Return the occurrences that are not decided yet, oldest first."""
        found = self._guarded(lambda: self._connection.execute(statements.SELECT_OCCURRENCES).fetchall())
        return [rows.occurrence(row) for row in found]

    def last_attempt(self, job: str, slot_us: int) -> int:
        """Return the number of the last attempt that a slot has a row for; 0 if it has none."""
        values = (job, to_text(slot_us))
        found = self._guarded(lambda: self._connection.execute(statements.SELECT_LAST_ATTEMPT, values).fetchone())
        return int(found[0] or 0)

    def boot_instant(self, boot_id: str, boot_us: int) -> tuple[int, bool]:
        """Return the instant of this boot as it was first recorded, and whether that is now."""
        return self._transaction(lambda: self._boot_instant(boot_id, boot_us))

    def _boot_instant(self, boot_id: str, boot_us: int) -> tuple[int, bool]:
        known = self._connection.execute("SELECT value FROM meta WHERE key = 'boot'").fetchone()
        if known is not None and known[0].startswith(boot_id + " "):
            return from_text(known[0].removeprefix(boot_id + " ")), False
        self._connection.execute("INSERT OR REPLACE INTO meta VALUES ('boot', ?)", (f"{boot_id} {to_text(boot_us)}",))
        return boot_us, True

    def prune(self, keep_us: int, now_us: int, limit: int = 200) -> bool:
        """Delete what ended more than ``keep_us`` ago, of ``limit`` rows at most; return True if more is left."""
        # That a row is gone need not outlive a power cut: it would be pruned again. So this does not wait for the disk.
        self._guarded(lambda: self._connection.execute("PRAGMA synchronous = NORMAL"))
        try:
            return self._transaction(lambda: self._prune(to_text(now_us - keep_us), keep_us, now_us, limit))
        finally:
            self._guarded(lambda: self._connection.execute("PRAGMA synchronous = FULL"))

    def _prune(self, before: str, keep_us: int, now_us: int, limit: int) -> bool:
        more = self._prune_transitions(before, limit)
        return self._prune_runs(before, keep_us, now_us, limit) or more

    def _prune_transitions(self, before: str, limit: int) -> bool:
        newest = self._connection.execute("SELECT max(seq) FROM transitions").fetchone()[0]
        keep_from = (newest or 0) - statements.KEEP_TRANSITIONS
        slice_ = self._connection.execute(
            "SELECT seq FROM transitions WHERE seq <= ? AND at < ? ORDER BY seq LIMIT ?", (keep_from, before, limit)
        ).fetchall()
        if slice_:
            self._connection.execute("DELETE FROM transitions WHERE seq <= ?", slice_[-1])
        return len(slice_) == limit

    def _prune_runs(self, before: str, keep_us: int, now_us: int, limit: int) -> bool:
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
