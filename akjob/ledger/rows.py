"""Between the values of :mod:`akjob.ledger.model` and the columns of the database."""

import json
from functools import lru_cache
from typing import Any

from akjob.instants import from_text
from akjob.instants import to_text as _to_text
from akjob.ledger.model import JobRow, OpenRun, RunRow, Wait
from akjob.toml.wire import from_json, to_json

RUN_COLUMNS = (
    "id", "job", "slot", "slot_last", "attempt", "trigger", "state", "reason", "count", "queued_at", "started_at",
    "ended_at", "exit_code", "signal", "error", "result", "pid", "host", "user_cpu_s", "system_cpu_s",
    "max_rss_bytes", "definition_sha256", "git_commit", "git_dirty",
)  # fmt: skip
JOB_COLUMNS = (
    "job", "mark", "runs_started", "paused_at", "paused_until", "pause_reason", "paused_by", "again_from", "last_run",
    "last_state", "last_ended", "first_loaded_at", "last_loaded_at", "removed_at", "file", "definition_sha256",
    "definition", "refused", "refused_since", "refused_commit", "refused_dirty",
)  # fmt: skip

_JOB_FIELDS = (
    11  # the columns of JOB_COLUMNS before first_loaded_at change as the job runs, the others when it is loaded
)

# `trigger` and `count` are words of SQL's, so every column is quoted.
_RUNS = ", ".join(f'"{column}"' for column in RUN_COLUMNS)
_JOBS = ", ".join(f'"{column}"' for column in JOB_COLUMNS)

CLAIM = (
    f"INSERT INTO runs ({_RUNS}) VALUES ({', '.join('?' * len(RUN_COLUMNS))}) "  # noqa: S608 - our own column names
    "ON CONFLICT (job, slot, attempt) DO NOTHING"
)
CHANGE = (
    "UPDATE runs SET slot_last = ?, state = ?, reason = ?, count = ?, started_at = ?, ended_at = ?, exit_code = ?, "
    "signal = ?, error = ?, result = ?, pid = ?, user_cpu_s = ?, system_cpu_s = ?, max_rss_bytes = ?, "
    "definition_sha256 = ?, git_commit = ?, git_dirty = ? WHERE id = ?"
)
LOADED = f"INSERT OR REPLACE INTO jobs ({_JOBS}) VALUES ({', '.join('?' * len(JOB_COLUMNS))})"  # noqa: S608
_SET = ", ".join(f"{column} = ?" for column in JOB_COLUMNS[1:_JOB_FIELDS])
JOB = f"UPDATE jobs SET {_SET} WHERE job = ?"  # noqa: S608
SELECT_RUNS = f"SELECT {_RUNS} FROM runs"  # noqa: S608
SELECT_JOBS = f"SELECT {_JOBS} FROM jobs"  # noqa: S608
SELECT_OPEN = (
    "SELECT " + ", ".join(f'runs."{column}"' for column in RUN_COLUMNS) + ", "  # noqa: S608
    "waits.run, waits.not_before, waits.behind, waits.manual, waits.kwargs FROM runs LEFT JOIN waits ON "
    "waits.run = runs.id WHERE runs.state IN ('queued', 'running') ORDER BY runs.id"
)


to_text = lru_cache(maxsize=4096)(_to_text)  # the rows of a burst share most of their instants
_shared_instant = lru_cache(maxsize=256)(from_text)  # so do the jobs that were loaded together


def text(instant_us: int | None) -> str | None:
    """Write an instant that may be missing."""
    return None if instant_us is None else to_text(instant_us)


def instant(value: str | None) -> int | None:
    """Read an instant that may be missing."""
    return None if value is None else from_text(value)


def clean(value: str | None) -> str | None:
    """Write what is no UTF-8 (a lone surrogate, from bytes that were none) with backslashes: SQLite takes no other."""
    return None if value is None else value.encode("utf-8", "backslashreplace").decode()


def claim_values(row: RunRow) -> tuple[Any, ...]:
    """Return the values of ``CLAIM``."""
    slot = to_text(row.slot_us)
    return (
        row.id, row.job, slot, slot if row.slot_last_us == row.slot_us else to_text(row.slot_last_us), row.attempt,
        row.trigger, row.state, clean(row.reason), row.count, to_text(row.queued_us), text(row.started_us),
        text(row.ended_us), row.exit_code, row.signal, clean(row.error), clean(row.result), row.pid, row.host,
        row.user_cpu_s, row.system_cpu_s, row.max_rss_bytes, row.definition_sha256, row.git_commit, row.git_dirty,
    )  # fmt: skip


def change_values(row: RunRow) -> tuple[Any, ...]:
    """Return the values of ``CHANGE``."""
    return (
        to_text(row.slot_last_us), row.state, clean(row.reason), row.count, text(row.started_us), text(row.ended_us),
        row.exit_code, row.signal, clean(row.error), clean(row.result), row.pid, row.user_cpu_s, row.system_cpu_s,
        row.max_rss_bytes, row.definition_sha256, row.git_commit, row.git_dirty, row.id,
    )  # fmt: skip


def loaded_values(row: JobRow) -> tuple[Any, ...]:
    """Return the values of ``LOADED``."""
    return (
        *job_values(row)[-1:], *job_values(row)[:-1], to_text(row.first_loaded_us), to_text(row.last_loaded_us),
        text(row.removed_us), row.file, row.definition_sha256, row.definition, row.refused,
        text(row.refused_us), row.refused_commit, row.refused_dirty,
    )  # fmt: skip


def job_values(row: JobRow) -> tuple[Any, ...]:
    """Return the values of ``JOB``."""
    return (
        to_text(row.watermark_us), row.runs_started, text(row.paused_at_us), text(row.paused_until_us),
        clean(row.pause_reason), clean(row.paused_by), text(row.again_from_us), row.last_run, row.last_state,
        text(row.last_ended_us), row.job,
    )  # fmt: skip


def wait_values(wait: Wait) -> tuple[Any, ...]:
    """Return the values of a row of ``waits``."""
    kwargs = None if wait.kwargs is None else json.dumps({key: to_json(value) for key, value in wait.kwargs.items()})
    return wait.run, text(wait.not_before_us), wait.after_previous, wait.manual, kwargs


def run_row(values: tuple[Any, ...]) -> RunRow:
    """Read a row of ``SELECT_RUNS``."""
    named = dict(zip(RUN_COLUMNS, values, strict=True))
    for column, name in _RUN_INSTANTS:
        named[name] = instant(named.pop(column))
    if named["git_dirty"] is not None:
        named["git_dirty"] = bool(named["git_dirty"])
    return RunRow(**named)


def job_row(values: tuple[Any, ...]) -> JobRow:
    """Read a row of ``SELECT_JOBS``. There are ten thousand of them when akjobd starts."""
    (
        job, mark, runs_started, paused_at, paused_until, pause_reason, paused_by, again_from, last_run, last_state,
        last_ended, first_loaded_at, last_loaded_at, removed_at, file, sha256, definition, refused, refused_since,
        refused_commit, refused_dirty,
    ) = values  # fmt: skip
    row = JobRow(
        job=job,
        watermark_us=_shared_instant(mark),
        runs_started=runs_started,
        last_run=last_run,
        last_state=last_state,
        first_loaded_us=_shared_instant(first_loaded_at),
        last_loaded_us=_shared_instant(last_loaded_at),
        file=file,
        definition_sha256=sha256,
        definition=definition,
        refused=refused,
        refused_us=instant(refused_since),
        refused_commit=refused_commit,
        refused_dirty=None if refused_dirty is None else bool(refused_dirty),
    )
    if last_ended is not None:
        row.last_ended_us = from_text(last_ended)
    if again_from is not None:
        row.again_from_us = from_text(again_from)
    if removed_at is not None:
        row.removed_us = from_text(removed_at)
    if paused_at is not None:
        row.paused_at_us, row.paused_until_us = from_text(paused_at), instant(paused_until)
        row.pause_reason, row.paused_by = pause_reason, paused_by
    return row


def open_run(values: tuple[Any, ...]) -> OpenRun:
    """Read a row of ``SELECT_OPEN``."""
    row, (run, not_before, behind, manual, kwargs) = run_row(values[:-5]), values[-5:]
    if run is None:
        return OpenRun(row, None)
    wait = Wait(
        run=run,
        not_before_us=instant(not_before),
        after_previous=bool(behind),
        manual=bool(manual),
        kwargs=None if kwargs is None else {key: from_json(value) for key, value in json.loads(kwargs).items()},
    )
    return OpenRun(row, wait)


_RUN_INSTANTS = (
    ("slot", "slot_us"),
    ("slot_last", "slot_last_us"),
    ("queued_at", "queued_us"),
    ("started_at", "started_us"),
    ("ended_at", "ended_us"),
)
