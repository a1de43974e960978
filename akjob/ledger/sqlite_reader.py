"""The ledger in SQLite, the reading side: read-only, without akjobd, and fine where there is no ledger."""

import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote

from akjob.ledger import rows
from akjob.ledger.asking import SAMPLE, check_state, only_run
from akjob.ledger.columns import JOB_COLUMNS, RUN_COLUMNS, JobColumns, RunColumns
from akjob.ledger.migrate import check_version
from akjob.ledger.model import Counter, JobCounters, Outcome, Transition
from akjob.ledger.sqlite_store import BUSY_MS, translated
from akjob.ledger.statements import (
    OPEN,
    OUTCOMES,
    SELECT_COUNTERS,
    SELECT_DURATIONS,
    SELECT_JOB_COUNTERS,
    SELECT_JOB_TRANSITIONS,
    SELECT_TRANSITIONS,
    TRANSITIONS_SINCE,
    select,
)

_EXCEPTIONS = "state IN ('failed', 'timed_out', 'cancelled', 'lost', 'skipped', 'missed')"


class SqliteReader:
    """Questions to a ledger in a file: :class:`akjob.ledger.Reader` in SQLite.

    Every call opens and closes the file, so a reader may be kept for long. After an upgrade, as long as the akjobd of
    the version before runs, the file may lack the newest columns and tables: they read as empty.
    """

    def __init__(self, path: Path) -> None:
        self._path = path

    def history(self, job: str | None = None, n: int = 20, state: str | None = None) -> list[RunColumns]:
        """Return the newest ``n`` rows, newest first: by id, or of one job by slot and attempt."""
        check_state(state)
        return self._runs(history_tail(state, of_job=job is not None), (n,) if job is None else (job, n))

    def slots_until(self, job: str, slot: str, n: int) -> list[RunColumns]:
        """Return a job's newest ``n`` rows whose slot is ``slot`` or earlier, newest first."""
        return self._runs(" WHERE job = ? AND slot <= ? ORDER BY slot DESC, attempt DESC LIMIT ?", (job, slot, n))

    def rows_between(self, job: str, since: str, until: str) -> list[RunColumns]:
        """Return a job's rows whose slots lie in [since, until), by slot and attempt, oldest first."""
        return self._runs(" WHERE job = ? AND slot >= ? AND slot < ? ORDER BY slot, attempt", (job, since, until))

    def oldest_slot(self, job: str) -> str | None:
        """Return the slot of the oldest row that a job has; None where it has none."""
        found = self._select("SELECT min(slot) FROM runs WHERE job = ?", (job,))
        return found[0][0] if found else None

    def durations(self, jobs: Iterable[str], n: int) -> dict[str, list[float]]:
        """Return how many seconds the last ``n`` runs of each job took that succeeded; jobs without one are left out.

        Only the newest ``4 * n`` rows of a job are looked at.
        """
        with self._connected() as (connection, _):
            if connection is None:
                return {}
            found = {job: connection.execute(SELECT_DURATIONS, (job, 4 * n, n)).fetchall() for job in jobs}
        return {job: [one[0] for one in took] for job, took in found.items() if took}

    def run(self, prefix: str) -> RunColumns:
        """Return the row whose id is, or alone begins with, ``prefix``. Raises AkjobError for none and for several."""
        found = self._runs(" WHERE id >= ? AND id < ? ORDER BY id LIMIT ?", (prefix, prefix + "\x7f", SAMPLE + 1))
        return only_run(prefix, found)

    def find_run(self, run: str) -> RunColumns | None:
        """Return the row with exactly this id, or None."""
        found = self._runs(" WHERE id = ?", (run,))
        return found[0] if found else None

    def outcomes(self, from_id: str) -> list[Outcome]:
        """Return what ended of the jobs that had any trouble, by the time of their ends; see the protocol."""
        return [Outcome(*row) for row in self._select(OUTCOMES, (from_id, from_id))]

    def open_runs(self) -> list[RunColumns]:
        """Return the rows that are queued or running, oldest first."""
        return self._runs(f" WHERE {OPEN} ORDER BY id", ())

    def jobs(self) -> dict[str, JobColumns]:
        """Return the rows of all jobs, by name."""
        return {row["job"]: row for row in self._jobs("", ())}

    def job(self, name: str) -> JobColumns | None:
        """Return one job's row, or None."""
        found = self._jobs(" WHERE job = ?", (name,))
        return found[0] if found else None

    def definition(self, sha256: str) -> str | None:
        """Return the text of a definition that some run was made from, or that is loaded now; else None."""
        found = self._select("SELECT definition FROM definitions WHERE sha256 = ?", (sha256,)) or self._select(
            "SELECT definition FROM jobs WHERE definition_sha256 = ?", (sha256,)
        )
        return found[0][0] if found else None

    def transitions(self, after_seq: int, limit: int = 1000) -> list[Transition]:
        """Return the first ``limit`` transitions that are newer than ``after_seq``, oldest first."""
        found = self._select(SELECT_TRANSITIONS, (after_seq, limit), since=TRANSITIONS_SINCE)
        return [rows.transition(row) for row in found]

    def job_transitions(self, job: str) -> list[Transition]:
        """Return the transitions of a job and of akjobd, oldest first, without those of runs."""
        found = self._select(SELECT_JOB_TRANSITIONS, (job,), since=TRANSITIONS_SINCE)
        return [rows.transition(row) for row in found]

    def last_seq(self) -> int:
        """Return the number of the newest transition; 0 where there was none yet."""
        found = self._select("SELECT max(seq) FROM transitions", (), since=TRANSITIONS_SINCE)
        return found[0][0] or 0 if found else 0

    def counters(self) -> list[Counter]:
        """Return all counters, sorted by name and labels."""
        return [rows.counter(row) for row in self._select(SELECT_COUNTERS, (), since=TRANSITIONS_SINCE)]

    def job_counters(self) -> dict[str, JobCounters]:
        """Return what is counted of each job, by name."""
        found = self._select(SELECT_JOB_COUNTERS, (), since=TRANSITIONS_SINCE)
        return {row[0]: rows.job_counters(row[1:]) for row in found}

    def size_bytes(self) -> int:
        """Return the size of the database and its write-ahead log."""
        files = (self._path, Path(f"{self._path}-wal"))
        return sum(file.stat().st_size for file in files if file.exists())

    def _runs(self, tail: str, values: tuple[Any, ...]) -> list[RunColumns]:
        return [rows.run_columns(row) for row in self._rows("runs", RUN_COLUMNS, tail, values)]

    def _jobs(self, tail: str, values: tuple[Any, ...]) -> list[JobColumns]:
        return [rows.job_columns(row) for row in self._rows("jobs", JOB_COLUMNS, tail, values)]

    def _rows(self, table: str, columns: Iterable[str], tail: str, values: tuple[Any, ...]) -> list[Any]:
        with self._connected() as (connection, version):
            if connection is None:
                return []
            return connection.execute(select(table, columns, version) + tail, values).fetchall()

    def _select(self, sql: str, values: tuple[Any, ...], since: int = 1) -> list[Any]:
        with self._connected() as (connection, version):
            return [] if connection is None or version < since else connection.execute(sql, values).fetchall()

    @contextmanager
    def _connected(self) -> Iterator[tuple[sqlite3.Connection | None, int]]:
        """Yield a connection and the version of its schema, or None where there is no ledger yet."""
        if not self._path.exists() or not self._path.stat().st_size:
            yield None, 0
            return
        try:
            with closing(_connect(self._path)) as connection:
                version = check_version(connection, str(self._path))
                yield connection if version else None, version  # a version of 0 is a ledger about to be created
        except sqlite3.Error as error:
            raise translated(error, self._path) from error


def history_tail(state: str | None, *, of_job: bool) -> str:
    """Return what follows ``FROM runs`` for the newest rows: of one job or of all, in one state (see STATES) or in any.

    SQLite takes a partial index only where its condition stands in the query, word by word.
    """
    conditions = ["job = ?"] if of_job else []
    if state is not None:
        conditions += [f"state = '{state}'", *(clause for clause in (OPEN, _EXCEPTIONS) if f"'{state}'" in clause)]
    where = f" WHERE {' AND '.join(conditions)}" if conditions else ""
    return f"{where} ORDER BY {'slot DESC, attempt DESC' if of_job else 'id DESC'} LIMIT ?"


def _connect(path: Path) -> sqlite3.Connection:
    uri = f"file:{quote(str(path.absolute()))}?mode=ro"
    connection = sqlite3.connect(uri, uri=True, timeout=10 * BUSY_MS / 1000, isolation_level=None)
    try:
        connection.execute("PRAGMA user_version")
    except sqlite3.Error as error:
        connection.close()
        if not isinstance(error, sqlite3.OperationalError) or error.sqlite_errorcode == sqlite3.SQLITE_BUSY:
            raise
        # On a read-only medium nothing writes, and the WAL's index cannot be created: read the file as it stands.
        return sqlite3.connect(f"{uri}&immutable=1", uri=True, isolation_level=None)
    return connection
