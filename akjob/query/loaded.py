"""What akjobd has loaded beside what the folder holds: they differ where it reads another folder, or reads no more."""

import os
from pathlib import Path

from msgspec import Struct

from akjob.control.client import Client
from akjob.control.requests import GetStatus
from akjob.errors import AkjobError
from akjob.instants import SECOND
from akjob.query.jobs import Snapshot

_TAKES_UP_WITHIN_US = 3 * SECOND


class LoadedDifference(Struct, frozen=True, kw_only=True):
    """The jobs that only one side has, or in another version, sorted; ``root`` is the one that akjobd reads."""

    root: str
    jobs: tuple[str, ...]


def difference(snapshot: Snapshot) -> LoadedDifference | None:
    """Return what akjobd has otherwise; None if that is nothing, or if it cannot be asked.

    A change of the last moments does not count: akjobd is about to load it.
    """
    jobs = tuple(sorted(name for name in {*snapshot.jobset.jobs, *snapshot.rows} if _differs(snapshot, name)))
    if not jobs:
        return None
    try:
        with Client(snapshot.paths) as client:
            return LoadedDifference(root=client.call(GetStatus()).status.root, jobs=jobs)
    except AkjobError:
        return None


def _differs(snapshot: Snapshot, name: str) -> bool:
    spec, row = snapshot.jobset.jobs.get(name), snapshot.rows.get(name)
    if name in snapshot.jobset.broken:
        return False
    loaded = None if row is None or row["removed_at"] is not None else row["definition_sha256"]
    if loaded == (None if spec is None else spec.sha256):
        return False
    files = [row["file"]] if spec is None and row is not None else [] if spec is None else spec.sources
    return all(_changed_us(snapshot.paths.root / file) < snapshot.now_us - _TAKES_UP_WITHIN_US for file in files)


def _changed_us(path: Path) -> int:
    """Return when a file was written; of one that is gone, when its folder last changed."""
    while True:
        try:
            return os.stat(path).st_mtime_ns // 1000
        except OSError:
            path = path.parent
