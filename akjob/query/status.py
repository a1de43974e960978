"""The state of a root: its programs, its job set, what is broken and what runs. From akjobd, or without it."""

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
from msgspec import UNSET, Struct, UnsetType

from akjob.config import Config, Paths
from akjob.errors import AkjobError
from akjob.instants import to_text
from akjob.ledger import open_reader
from akjob.processes import lock_holder, started_us
from akjob.query.broken import BrokenFile


class Program(Struct, frozen=True, kw_only=True):
    """One process. ``state`` is ``running`` or ``stopped``; a stopped one has neither ``pid`` nor ``since``."""

    pid: int | None = None
    since: str | None = None
    state: str = "stopped"


class JobCounts(Struct, frozen=True, kw_only=True):
    """How many jobs are loaded, last good versions included, and how many are broken."""

    loaded: int
    broken: int


class Revision(Struct, frozen=True, kw_only=True):
    """The commit that is checked out, whether the files differ from it, and when the job set was loaded."""

    git_commit: str | None = None
    git_dirty: bool | None = None
    loaded_at: str | None = None


class Running(Struct, frozen=True, kw_only=True):
    """One run that is under way."""

    job: str
    run: str
    pid: int | None = None
    shim_pid: int | None = None
    started_at: str | None = None


class Status(Struct, frozen=True, kw_only=True):
    """What ``akjob status --json`` prints. What only akjobd knows is unset without it."""

    root: str
    programs: Mapping[str, Program]
    jobs: JobCounts
    revision: Revision
    broken: Sequence[BrokenFile]
    running: Sequence[Running]
    control_groups: Sequence[str] | UnsetType | None = UNSET
    held_back: int | UnsetType = UNSET
    draining: bool | UnsetType = UNSET
    accounted_until: str | UnsetType = UNSET
    queued: Mapping[str, int] | UnsetType = UNSET


class Degraded(Struct, frozen=True, kw_only=True):
    """The status without akjobd, and what could not be read for it."""

    status: Status
    error: AkjobError | None


def from_answer(answer: Mapping[str, Any]) -> Status:
    """Return akjobd's answer to ``status`` as a value."""
    return msgspec.convert(answer, Status)


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
        programs={"akjobd": Program(), "zygote": Program(), "akjob-collector": collector(paths, now_us)},
        jobs=JobCounts(loaded=len(jobset.jobs), broken=len(jobset.broken)),
        revision=_revision(paths),
        broken=snapshot.broken(),
        running=running,
    )
    return Degraded(status=status, error=error)


def collector(paths: Paths, now_us: int) -> Program:
    """Return the collector, found by the lock that it holds."""
    return program(lock_holder(paths.run_dir / "collector.lock"), now_us)


def program(pid: int, now_us: int) -> Program:
    """Return a process by its number; a stopped program for 0 and for a process that is gone."""
    since_us = started_us(pid, now_us) if pid else None
    return Program() if since_us is None else Program(pid=pid, since=to_text(since_us), state="running")


def _revision(paths: Paths) -> Revision:
    from akjob.jobset.git import Provenance  # noqa: PLC0415 - as above

    revision = Provenance(paths).refresh_now()
    dirty = None if revision.commit is None else bool(revision.dirty)
    return Revision(git_commit=revision.commit, git_dirty=dirty)


def _running(row: Mapping[str, Any]) -> Running:
    return Running(job=row["job"], run=row["id"], pid=row["pid"], shim_pid=None, started_at=row["started_at"])
