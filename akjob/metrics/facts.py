"""What the metrics are made of, gathered in a few questions whatever the number of jobs."""

import os
from collections.abc import Mapping
from pathlib import Path

from msgspec import UNSET, Struct

from akjob.config import Paths
from akjob.control.status import Status
from akjob.errors import AkjobError
from akjob.instants import from_text
from akjob.ledger import Counter, Reader
from akjob.notify.outbox import Outbox
from akjob.query.jobs import JobView, Snapshot
from akjob.query.slots import slots_of


class Messages(Struct, frozen=True, kw_only=True):
    """How many messages each channel was sent, and how many are dead, by (channel, result); and how many wait."""

    counts: Mapping[tuple[str, str], int] = {}
    pending: int = 0


class MetricFacts(Struct, frozen=True, kw_only=True):
    """Everything at ``snapshot.now_us``. ``status`` is akjobd's answer, None while it does not answer."""

    snapshot: Snapshot
    status: Status | None
    counters: list[Counter]
    ledger_bytes: int
    log_bytes: int
    accounted_us: int
    messages: Messages


def gather(paths: Paths, snapshot: Snapshot, status: Status | None, reader: Reader) -> MetricFacts:
    """Read from the ledger and the folders what the metrics need besides."""
    return MetricFacts(
        snapshot=snapshot,
        status=status,
        counters=reader.counters(),
        ledger_bytes=reader.size_bytes(),
        log_bytes=_folder_bytes(paths.log_dir),
        accounted_us=_accounted_us(snapshot, status),
        messages=_messages(paths),
    )


def _messages(paths: Paths) -> Messages:
    """Return what the outbox counts: nothing where there is none yet, or it cannot be read now."""
    if not paths.notify_db.exists():
        return Messages()
    try:
        outbox = Outbox(paths.notify_db)
    except AkjobError:
        return Messages()
    try:
        return Messages(counts=outbox.counts(), pending=outbox.waiting())
    finally:
        outbox.close()


def _folder_bytes(folder: Path) -> int:
    """Return the size of all files in and below a folder; 0 where there is none."""
    total = 0
    for place, _, files in os.walk(folder):
        for file in files:
            try:
                total += os.lstat(os.path.join(place, file)).st_size
            except FileNotFoundError:
                continue  # rotated meanwhile
    return total


def _accounted_us(snapshot: Snapshot, status: Status | None) -> int:
    """Return the instant before which each slot has a row: from akjobd, else from the watermarks."""
    if status is not None and status.accounted_until is not UNSET:
        return from_text(status.accounted_until)
    upcoming = (_unaccounted_us(job) for job in snapshot.jobs())
    return min((slot for slot in upcoming if slot is not None), default=snapshot.now_us)


def _unaccounted_us(job: JobView) -> int | None:
    """Return the first slot up to now that has no row."""
    if job.spec is None or not job.spec.enabled or job.row is None:
        return None
    slots = slots_of(job.spec, job.row, from_text(job.row["mark"]), 1)
    return slots[0] if slots and slots[0] <= job.now_us else None
