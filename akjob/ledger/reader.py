"""The reading side of the ledger, for the commands: read-only, without akjobd, and fine where there is no ledger."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote

from akjob.errors import AkjobError
from akjob.ledger.migrate import check_version
from akjob.ledger.rows import JOB_COLUMNS, RUN_COLUMNS, SELECT_RUNS
from akjob.ledger.store import BUSY_MS, translated

_SAMPLE = 5  # so many runs are named when a prefix fits several
_OPEN = "state IN ('queued', 'running')"
_EXCEPTIONS = "state IN ('failed', 'timed_out', 'cancelled', 'lost', 'skipped', 'missed')"
STATES = ("queued", "running", "succeeded", "failed", "timed_out", "cancelled", "lost", "skipped", "missed")


class Reader:
    """Questions to the ledger. Every call opens and closes it, so a Reader may be kept for long.

    Rows are dicts with the columns as keys; instants are UTC text, ``git_dirty`` is a bool or None. Raises
    AkjobError when the file is no ledger or of a newer akjob.
    """

    def __init__(self, path: Path) -> None:
        self._path = path

    def history(self, job: str | None = None, n: int = 20, state: str | None = None) -> list[dict[str, Any]]:
        """Return the newest ``n`` rows, newest first: by id, or of one job by slot and attempt."""
        if state is not None and state not in STATES:
            raise AkjobError(f"{state!r} is no state of a run", hint=f"one of {', '.join(STATES)}", exit_code=2)
        return self._runs(history_tail(state, of_job=job is not None), (n,) if job is None else (job, n))

    def run(self, prefix: str) -> dict[str, Any]:
        """Return the row whose id is, or alone begins with, ``prefix``. Raises AkjobError for none and for several."""
        found = self._runs(" WHERE id >= ? AND id < ? ORDER BY id LIMIT ?", (prefix, prefix + "\x7f", _SAMPLE + 1))
        if len(found) == 1 or (found and found[0]["id"] == prefix):
            return found[0]
        if not found or not prefix:
            raise AkjobError(f"no run {prefix!r} is in the ledger", hint="`akjob history` lists the runs")
        names = ", ".join(row["id"] for row in found[:_SAMPLE])
        raise AkjobError(f"{prefix!r} fits several runs: {names}", hint="give more of the run's id")

    def find_run(self, run: str) -> dict[str, Any] | None:
        """Return the row with exactly this id, or None."""
        found = self._runs(" WHERE id = ?", (run,))
        return found[0] if found else None

    def open_runs(self) -> list[dict[str, Any]]:
        """Return the rows that are queued or running, oldest first."""
        return self._runs(f" WHERE {_OPEN} ORDER BY id", ())

    def jobs(self) -> dict[str, dict[str, Any]]:
        """Return the rows of all jobs, by name: mark, pause, runs_started, last_state, last_ended, definition."""
        return {row["job"]: row for row in self._jobs("", ())}

    def job(self, name: str) -> dict[str, Any] | None:
        """Return one job's row, or None."""
        found = self._jobs(" WHERE job = ?", (name,))
        return found[0] if found else None

    def last_outcomes(self) -> dict[str, tuple[str, str]]:
        """Return the last outcome of every job that has one: its state and when it ended."""
        rows = self._select("SELECT job, last_state, last_ended FROM jobs WHERE last_state IS NOT NULL", ())
        return {job: (state, ended) for job, state, ended in rows}

    def definition(self, sha256: str) -> str | None:
        """Return the text of a definition that some run was made from, or that is loaded now; else None."""
        rows = self._select("SELECT definition FROM definitions WHERE sha256 = ?", (sha256,)) or self._select(
            "SELECT definition FROM jobs WHERE definition_sha256 = ?", (sha256,)
        )
        return rows[0][0] if rows else None

    def _runs(self, tail: str, values: tuple[Any, ...]) -> list[dict[str, Any]]:
        found = [dict(zip(RUN_COLUMNS, row, strict=True)) for row in self._select(SELECT_RUNS + tail, values)]
        for row in found:
            if row["git_dirty"] is not None:
                row["git_dirty"] = bool(row["git_dirty"])
        return found

    def _jobs(self, tail: str, values: tuple[Any, ...]) -> list[dict[str, Any]]:
        """Return rows of ``jobs``. After an upgrade, as long as the old akjobd runs, they may lack newer columns."""
        with self._connected() as connection:
            if connection is None:
                return []
            cursor = connection.execute(f"SELECT * FROM jobs{tail}", values)  # noqa: S608 - ours
            names = [column[0] for column in cursor.description]
            lacking = [column for column in JOB_COLUMNS if column not in names]
            names += lacking
            rest = (None,) * len(lacking)
            return [dict(zip(names, (*row, *rest), strict=True)) for row in cursor]

    def _select(self, sql: str, values: tuple[Any, ...]) -> list[Any]:
        with self._connected() as connection:
            return [] if connection is None else connection.execute(sql, values).fetchall()

    @contextmanager
    def _connected(self) -> Iterator[sqlite3.Connection | None]:
        if not self._path.exists() or not self._path.stat().st_size:
            yield None
            return
        try:
            with closing(_connect(self._path)) as connection:
                # A version of 0 is a ledger that akjobd is about to make.
                yield connection if check_version(connection, str(self._path)) else None
        except sqlite3.Error as error:
            raise translated(error, self._path) from error


def history_tail(state: str | None, *, of_job: bool) -> str:
    """Return what follows ``FROM runs`` for the newest rows: of one job or of all, in one state (see STATES) or in any.

    SQLite takes a partial index only where its condition stands in the query, word by word.
    """
    conditions = ["job = ?"] if of_job else []
    if state is not None:
        conditions += [f"state = '{state}'", *(clause for clause in (_OPEN, _EXCEPTIONS) if f"'{state}'" in clause)]
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
        # On a read-only medium nobody writes, and the WAL's index cannot be made: read the file as it stands.
        return sqlite3.connect(f"{uri}&immutable=1", uri=True, isolation_level=None)
    return connection
