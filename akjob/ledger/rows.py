"""Between the values of :mod:`akjob.ledger.model` and the columns of the database."""

import json
from collections.abc import Iterable
from functools import lru_cache
from operator import attrgetter
from typing import Any, cast

import msgspec
from msgspec.structs import replace

from akjob.instants import from_text
from akjob.instants import to_text as _to_text
from akjob.ledger.columns import BACKFILL_SHOWN, JOB_COLUMNS, RUN_COLUMNS, BackfillColumns, JobColumns, RunColumns
from akjob.ledger.model import (
    BackfillRow,
    Counter,
    Detail,
    JobCounters,
    JobRow,
    Occurrence,
    OpenRun,
    RunRow,
    SeenFiles,
    Transition,
    Wait,
)
from akjob.toml.wire import from_json, to_json

_FREE_TEXTS = ("reason", "error", "by", "cause", "message")  # of a transition: written by jobs and people
_free_texts = attrgetter(*_FREE_TEXTS)
_WITHOUT = (None,) * len(_FREE_TEXTS)

_encode = msgspec.json.Encoder().encode
_decode_detail = msgspec.json.Decoder(Detail).decode
_decode_labels = msgspec.json.Decoder(dict[str, str]).decode

to_text = lru_cache(maxsize=4096)(_to_text)  # the rows of a burst share most of their instants
_shared_instant = lru_cache(maxsize=256)(from_text)  # so do the jobs that were loaded together


def text(instant_us: int | None) -> str | None:
    """Return the text of an instant that may be missing."""
    return None if instant_us is None else to_text(instant_us)


def instant(value: str | None) -> int | None:
    """Return the instant of a string that may be missing."""
    return None if value is None else from_text(value)


def clean(value: str | None) -> str | None:
    """Return a string with backslashes for what is not UTF-8 (lone surrogates): no database takes those."""
    return None if value is None else value.encode("utf-8", "backslashreplace").decode()


def run_values(row: RunRow) -> tuple[Any, ...]:
    """Return the values of a row of ``runs``, in the order of ``RUN_COLUMNS``."""
    slot = to_text(row.slot_us)
    return (
        row.id, row.job, slot, slot if row.slot_last_us == row.slot_us else to_text(row.slot_last_us), row.attempt,
        row.trigger, row.state, clean(row.reason), row.count, to_text(row.queued_us), text(row.started_us),
        text(row.ended_us), row.exit_code, row.signal, clean(row.error), clean(row.result), row.pid, row.host,
        row.user_cpu_s, row.system_cpu_s, row.max_rss_bytes, row.definition_sha256, row.git_commit, row.git_dirty,
        clean(row.by), clean(row.cause), row.node,
    )  # fmt: skip


def change_values(row: RunRow) -> tuple[Any, ...]:
    """Return the values of what may change in a row of ``runs``, and its id."""
    return (
        to_text(row.slot_last_us), row.state, clean(row.reason), row.count, text(row.started_us), text(row.ended_us),
        row.exit_code, row.signal, clean(row.error), clean(row.result), row.pid, row.host, row.user_cpu_s,
        row.system_cpu_s, row.max_rss_bytes, row.definition_sha256, row.git_commit, row.git_dirty, clean(row.by),
        clean(row.cause), row.node, row.id,
    )  # fmt: skip


def loaded_values(row: JobRow) -> tuple[Any, ...]:
    """Return the values of a row of ``jobs``, in the order of ``JOB_COLUMNS``."""
    return (
        *job_values(row)[-1:], *job_values(row)[:-1], to_text(row.first_loaded_us), to_text(row.last_loaded_us),
        text(row.removed_us), row.file, row.definition_sha256, row.definition, row.refused,
        text(row.refused_us), row.refused_commit, row.refused_dirty,
    )  # fmt: skip


def job_values(row: JobRow) -> tuple[Any, ...]:
    """Return the values of what changes in a row of ``jobs`` as its job runs, and the job."""
    return (
        to_text(row.watermark_us), row.runs_started, text(row.paused_at_us), text(row.paused_until_us),
        clean(row.pause_reason), clean(row.paused_by), text(row.again_from_us), row.last_run, row.last_state,
        text(row.last_ended_us), row.job,
    )  # fmt: skip


def wait_values(wait: Wait) -> tuple[Any, ...]:
    """Return the values of a row of ``waits``."""
    kwargs = None if wait.kwargs is None else json.dumps({key: to_json(value) for key, value in wait.kwargs.items()})
    files = _files_text(wait.files)
    return wait.run, text(wait.not_before_us), wait.after_previous, wait.manual, kwargs, wait.first_attempt, files


def occurrence_values(one: Occurrence) -> tuple[Any, ...]:
    """Return the values of a row of ``occurrences``."""
    cause = clean(one.cause)
    return one.job, one.key, to_text(one.at_us), text(one.slot_us), one.trigger, cause, _files_text(one.files)


def occurrence(values: tuple[Any, ...]) -> Occurrence:
    """Return the value of a row of ``occurrences``."""
    job, key, at, slot, trigger, cause, files = values
    return Occurrence(
        job=job,
        key=key,
        at_us=_shared_instant(at),
        slot_us=instant(slot),
        trigger=trigger,
        cause=cause,
        files=_files(files),
    )


def seen_values(seen: SeenFiles) -> list[tuple[Any, ...]]:
    """Return the values of rows of ``seen_files``, that of the job itself too."""
    kept = [(seen.job, json.dumps(path), *one) for path, one in seen.files.items() if one is not None]
    return [(seen.job, "", 0, 0, 0), *kept]


def gone_values(seen: SeenFiles) -> list[tuple[str, str]]:
    """Return job and path of the rows of ``seen_files`` to delete."""
    return [(seen.job, json.dumps(path)) for path, one in seen.files.items() if one is None]


def seen_files(values: Iterable[tuple[Any, ...]]) -> dict[str, dict[str, tuple[int, int, int]]]:
    """Return what rows of ``seen_files`` say, by job and path."""
    found: dict[str, dict[str, tuple[int, int, int]]] = {}
    for job, path, *signature in values:
        of_job = found.setdefault(job, {})
        if path:
            of_job[json.loads(path)] = (signature[0], signature[1], signature[2])
    return found


def backfill_values(one: BackfillRow) -> tuple[Any, ...]:
    """Return the values of a row of ``backfills``."""
    return (
        one.id, one.job, to_text(one.at_us), to_text(one.from_us), to_text(one.until_us), one.only, one.parallel,
        int(one.newest_first), clean(one.by), json.dumps(one.slots), len(one.slots), one.position, one.done, one.failed,
        one.state,
    )  # fmt: skip


def backfill(values: tuple[Any, ...]) -> BackfillRow:
    """Return the value of a row of ``backfills``."""
    name, job, at, begin, until, only, parallel, newest_first, by, slots, _, position, done, failed, state = values
    return BackfillRow(
        id=name, job=job, at_us=from_text(at), from_us=from_text(begin), until_us=from_text(until), only=only,
        parallel=parallel, newest_first=bool(newest_first), by=by, slots=tuple(json.loads(slots)), position=position,
        done=done, failed=failed, state=state,
    )  # fmt: skip


def backfill_columns(values: tuple[object, ...]) -> BackfillColumns:
    """Return a row of ``SELECT_BACKFILLS`` as readers show it."""
    return cast("BackfillColumns", dict(zip(BACKFILL_SHOWN, values, strict=True)))


def _files_text(files: tuple[str, ...]) -> str | None:
    """Return the names of files as JSON: it can hold a name that is not UTF-8, as ``surrogateescape`` reads it."""
    return json.dumps(files) if files else None


def _files(value: str | None) -> tuple[str, ...]:
    return tuple(json.loads(value)) if value else ()


def run_row(values: tuple[Any, ...]) -> RunRow:
    """Return the value of a row of ``runs``."""
    named = dict(zip(RUN_COLUMNS, values, strict=True))
    for column, name in _RUN_INSTANTS:
        named[name] = instant(named.pop(column))
    if named["git_dirty"] is not None:
        named["git_dirty"] = bool(named["git_dirty"])
    return RunRow(**named)


def job_row(values: tuple[Any, ...]) -> JobRow:
    """Return the value of a row of ``jobs``. There are ten thousand of them when akjobd starts."""
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
    """Return an open run from its row of ``runs``, followed by its scope and its row of ``waits`` or NULLs."""
    own = len(RUN_COLUMNS)
    row, (scope, run, not_before, behind, manual, kwargs, first_attempt, files) = run_row(values[:own]), values[own:]
    row.scope = scope
    if run is None:
        return OpenRun(row, None)
    wait = Wait(
        run=run,
        not_before_us=instant(not_before),
        after_previous=bool(behind),
        manual=bool(manual),
        kwargs=None if kwargs is None else {key: from_json(value) for key, value in json.loads(kwargs).items()},
        first_attempt=first_attempt,
        files=_files(files),
    )
    return OpenRun(row, wait)


def run_columns(values: tuple[object, ...]) -> RunColumns:
    """Return a row of ``runs`` as readers show it."""
    row = dict(zip(RUN_COLUMNS, values, strict=True))
    if row["git_dirty"] is not None:
        row["git_dirty"] = bool(row["git_dirty"])
    return cast("RunColumns", row)


def job_columns(values: tuple[object, ...]) -> JobColumns:
    """Return a row of ``jobs`` as readers show it."""
    row = dict(zip(JOB_COLUMNS, values, strict=True))
    if row["refused_dirty"] is not None:
        row["refused_dirty"] = bool(row["refused_dirty"])
    return cast("JobColumns", row)


def numbered(transitions: Iterable[Transition], first: int) -> tuple[Transition, ...]:
    """Return transitions with their numbers, from ``first`` on, and their texts as any database takes them."""
    return tuple(replace(one, seq=seq, detail=_clean(one.detail)) for seq, one in enumerate(transitions, first))


def _clean(detail: Detail) -> Detail:
    if _free_texts(detail) == _WITHOUT:
        return detail
    return replace(detail, **{name: clean(getattr(detail, name)) for name in _FREE_TEXTS})


def transition_values(one: Transition) -> tuple[Any, ...]:
    """Return the values of a row of ``transitions``, its number first."""
    return (
        one.seq, to_text(one.at_us), one.kind, one.job, one.run, text(one.slot_us), one.attempt, one.from_state,
        one.to_state, _encode(one.detail).decode(),
    )  # fmt: skip


def transition(values: tuple[Any, ...]) -> Transition:
    """Return the value of a row of ``transitions``."""
    seq, at, kind, job, run, slot, attempt, from_state, to_state, detail = values
    return Transition(
        seq=seq, at_us=from_text(at), kind=kind, job=job, run=run, slot_us=instant(slot), attempt=attempt,
        from_state=from_state, to_state=to_state, detail=_decode_detail(detail),
    )  # fmt: skip


def labels_text(labels: tuple[tuple[str, str], ...]) -> str:
    """Return labels as JSON; equal ones have equal texts."""
    return _encode(dict(sorted(labels))).decode()


def counter(values: tuple[Any, ...]) -> Counter:
    """Return the value of a row of ``counters``."""
    name, labels, value = values
    return Counter(name, _decode_labels(labels), value)


def job_counters(values: tuple[Any, ...]) -> JobCounters:
    """Return the value of a row of ``job_counters``, but for its job."""
    ran, skipped, missed, runs, run_s, success, failure, duration_s, max_rss_bytes, failures = values
    return JobCounters(
        ran=ran, skipped=skipped, missed=missed, runs=runs, run_s=run_s, last_success_us=instant(success),
        last_failure_us=instant(failure), last_duration_s=duration_s, last_max_rss_bytes=max_rss_bytes,
        failures=failures,
    )  # fmt: skip


def job_counters_values(job: str, one: JobCounters) -> tuple[Any, ...]:
    """Return the values of a row of ``job_counters``."""
    return (
        job, one.ran, one.skipped, one.missed, one.runs, one.run_s, text(one.last_success_us),
        text(one.last_failure_us), one.last_duration_s, one.last_max_rss_bytes, one.failures,
    )  # fmt: skip


_RUN_INSTANTS = (
    ("slot", "slot_us"),
    ("slot_last", "slot_last_us"),
    ("queued_at", "queued_us"),
    ("started_at", "started_us"),
    ("ended_at", "ended_us"),
)
