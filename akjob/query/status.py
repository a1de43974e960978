"""The state of a root: its programs, its job set, what is broken and what runs. From akjobd, or without it."""

from collections.abc import Mapping
from typing import Any

from msgspec import UNSET, Struct

from akjob.config import Config, Paths
from akjob.control.status import JobCounts, LoadedRevision, ProgramState, RunningRun, Status, beside_akjobd
from akjob.errors import AkjobError
from akjob.ledger import open_reader


class Degraded(Struct, frozen=True, kw_only=True):
    """The status without akjobd, and what could not be read for it."""

    status: Status
    error: AkjobError | None


def without_akjobd(paths: Paths, config: Config, now_us: int) -> Degraded:
    """Return the status as far as it is known without akjobd: what would be loaded, and what ran when it went away."""
    from akjob.query import jobs, orphans  # noqa: PLC0415 - the loader is not needed where akjobd answers

    error: AkjobError | None = None
    try:
        reader = open_reader(paths.ledger_url)
        snapshot = jobs.load(paths, config, now_us, reader)
        running = [_running(row) for row in reader.open_runs() if row["state"] == "running"]
    except AkjobError as unreadable:
        error = unreadable
        snapshot = jobs.load(paths, config, now_us, open_reader("memory:"))  # as where there is no ledger yet
        running = orphans.runs(paths)
    jobset = snapshot.jobset
    status = Status(
        root=str(paths.root),
        programs={"akjobd": ProgramState(), "zygote": ProgramState(), **beside_akjobd(paths, now_us)},
        jobs=JobCounts(loaded=len(jobset.jobs), broken=len(jobset.broken)),
        revision=_revision(paths),
        broken=tuple(snapshot.broken()),
        running=tuple(running),
    )
    return Degraded(status=status, error=error)


def _revision(paths: Paths) -> LoadedRevision:
    from akjob.jobset.git import Provenance  # noqa: PLC0415 - as above

    revision = Provenance(paths).refresh_now()
    dirty = None if revision.commit is None else bool(revision.dirty)
    return LoadedRevision(git_commit=revision.commit, git_dirty=dirty)


def _running(row: Mapping[str, Any]) -> RunningRun:
    return RunningRun(
        job=row["job"],
        run=row["id"],
        pid=row["pid"],
        shim_pid=None,
        started_at=row["started_at"],
        node=row["node"] or UNSET,
    )
