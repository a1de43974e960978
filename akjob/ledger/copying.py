"""Copying a whole ledger into another database, and back: every table, every row, in one transaction."""

from collections.abc import Callable, Mapping

from akjob.errors import AkjobError
from akjob.ledger.columns import JOB_COLUMNS, RUN_COLUMNS
from akjob.ledger.sql_store import SqlStore
from akjob.ledger.statements import (
    BACKFILL_COLUMNS,
    JOB_COUNTER_COLUMNS,
    OCCURRENCE_COLUMNS,
    SEEN_COLUMNS,
    TRANSITION_COLUMNS,
    WAIT_COLUMNS,
)

BATCH = 5000

# What each table has, and by what its rows are in order.
TABLES: Mapping[str, tuple[tuple[str, ...], str]] = {
    "runs": ((*RUN_COLUMNS, "scope"), "id"),
    "waits": (WAIT_COLUMNS, "run"),
    "occurrences": (OCCURRENCE_COLUMNS, "job, key"),
    "seen_files": (SEEN_COLUMNS, "job, path"),
    "backfills": (BACKFILL_COLUMNS, "id"),
    "jobs": (JOB_COLUMNS, "job"),
    "definitions": (("sha256", "file", "definition", "last_used_at"), "sha256"),
    "meta": (("key", "value"), "key"),
    "transitions": (TRANSITION_COLUMNS, "seq"),
    "counters": (("name", "labels", "value"), "name, labels"),
    "job_counters": (("job", *JOB_COUNTER_COLUMNS), "job"),
}
_FLAGS = ("git_dirty", "refused_dirty", "behind", "manual")  # numbers in SQLite


def copy(source: SqlStore, target: SqlStore, progress: Callable[[str, int], None]) -> int:
    """Copy all rows; return how many. ``progress`` is called with each table and its number of rows.

    Raises AkjobError, with nothing written, where the target has rows already.
    """
    return target.whole(lambda: _fill(source, target, progress))


def _fill(source: SqlStore, target: SqlStore, progress: Callable[[str, int], None]) -> int:
    filled = [name for name in TABLES if target.ask(f"SELECT 1 FROM {name} LIMIT 1")]  # noqa: S608 - ours
    if filled:
        raise AkjobError(
            f"the target is not empty: {', '.join(filled)} have rows already",
            hint="give a new database or file; nothing was written",
        )
    copied = 0
    for name, (columns, order) in TABLES.items():
        rows = _copy_table(source, target, name, columns, order)
        progress(name, rows)
        copied += rows
    target.go_on_after(source.ask("SELECT max(seq) FROM transitions")[0][0] or 0)
    return copied


def _copy_table(source: SqlStore, target: SqlStore, name: str, columns: tuple[str, ...], order: str) -> int:
    listed = ", ".join(f'"{column}"' for column in columns)
    select = f"SELECT {listed} FROM {name} ORDER BY {order} LIMIT ? OFFSET ?"  # noqa: S608 - ours
    insert = f"INSERT INTO {name} ({listed}) VALUES ({', '.join('?' * len(columns))})"  # noqa: S608
    flags = [index for index, column in enumerate(columns) if column in _FLAGS]
    copied = 0
    while rows := source.ask(select, (BATCH, copied)):
        target.many(insert, [_with_flags(row, flags) for row in rows])
        copied += len(rows)
    return copied


def _with_flags(row: tuple[object, ...], flags: list[int]) -> tuple[object, ...]:
    values = list(row)
    for index in flags:
        values[index] = None if values[index] is None else bool(values[index])
    return tuple(values)
