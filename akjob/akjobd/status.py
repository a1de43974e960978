"""What `akjob status` shows of a running akjobd."""

import os
from collections.abc import Callable, Iterator

from msgspec import UNSET, Struct
from msgspec.structs import replace

from akjob import program
from akjob.agenda import Agenda, Fault, Running
from akjob.akjobd.cluster import Cluster
from akjob.akjobd.commits import Commits
from akjob.akjobd.scanning import Scanning
from akjob.akjobd.writer import Writer
from akjob.config import Paths
from akjob.control.status import BrokenFile, JobCounts, LoadedRevision, ProgramState, RunningRun, Status, beside_akjobd
from akjob.errors import Problem
from akjob.instants import to_text
from akjob.query import broken
from akjob.run.shims import ShimManager


class StatusOf(Struct, frozen=True, kw_only=True):
    """Makes the status from those who know: nothing is kept here."""

    paths: Paths
    started_us: int
    agenda: Agenda
    shims: ShimManager
    scanning: Scanning
    commits: Commits
    writer: Writer
    cluster: Cluster
    settings_problems: Callable[[], list[Problem]]
    collector_is_silent: Callable[[], bool]

    def at(self, now_us: int) -> Status:
        """Return what ``akjob status --json`` prints."""
        jobset = self.scanning.jobset
        revision = self.commits.current()
        groups = self.shims.groups
        return Status(
            root=str(self.paths.root),
            programs=self._programs(now_us),
            jobs=JobCounts(
                loaded=0 if jobset is None else len(jobset.jobs), broken=0 if jobset is None else len(jobset.broken)
            ),
            revision=LoadedRevision(
                git_commit=revision.commit,
                git_dirty=bool(revision.dirty) if revision.commit else None,
                loaded_at=None if jobset is None else to_text(jobset.loaded_us),
            ),
            broken=tuple(sorted(self._broken(), key=lambda one: one.file)),
            running=(*self.running(), *self._elsewhere()),
            control_groups=None if groups is None else tuple(sorted(groups.controllers)),
            held_back=self.writer.held_starts,
            draining=self.agenda.is_drained_by("down"),
            held=self.cluster.held or UNSET,
            accounted_until=to_text(self._accounted_us(now_us)),
            queued=self.agenda.queued(),
        )

    def running(self) -> tuple[RunningRun, ...]:
        """Return the runs that run here; what is ordered ahead of its slot is left out, for nothing of it runs yet."""
        return tuple(self._running_run(row) for row in self.agenda.running() if row.state == "running")

    def _running_run(self, row: Running) -> RunningRun:
        handle = self.shims.handle(row.run)
        return RunningRun(
            job=row.job,
            run=row.run,
            pid=row.pid,
            shim_pid=row.shim_pid if handle is None else handle.shim_pid or row.shim_pid,
            started_at=None if row.started_us is None else to_text(row.started_us),
            node=self.cluster.node,
        )

    def _elsewhere(self) -> Iterator[RunningRun]:
        """Yield the runs that run on other nodes of the cluster."""
        for row in self.agenda.running_elsewhere():
            started_at = None if row.started_us is None else to_text(row.started_us)
            yield RunningRun(job=row.job, run=row.id, pid=row.pid, started_at=started_at, node=row.node or UNSET)

    def _accounted_us(self, now_us: int) -> int:
        """Return the instant before which each slot has a row: what is held back has none yet."""
        until = self.agenda.accounted_until(now_us)
        held_us = self.writer.held_since_us
        return until if held_us is None else min(until, held_us)

    def _broken(self) -> list[BrokenFile]:
        jobset = self.scanning.jobset
        found = [
            broken.of_settings(one, self.started_us) for one in self.settings_problems() if one.severity == "error"
        ]
        for one in [] if jobset is None else jobset.broken.values():
            commit, dirty = self.agenda.refused_by(one.job)
            found.append(broken.of_job(one, commit, dirty=dirty))
        found += [_broken(fault) for fault in self.agenda.faults()]
        return found

    def _programs(self, now_us: int) -> dict[str, ProgramState]:
        zygote = self.shims.zygote
        return {
            "akjobd": self._akjobd(),
            "zygote": ProgramState.of((zygote.pid, zygote.since_us) if zygote.pid else None),
            **beside_akjobd(self.paths, now_us),
            "akjob-collector": self._collector(now_us),
        }

    def _akjobd(self) -> ProgramState:
        """Return the state of akjobd itself: without the database of its cluster it starts nothing."""
        found = ProgramState.of((os.getpid(), self.started_us))
        away = self.cluster.away
        if away is None:
            return found
        return replace(found, state="blocked", trouble=f"nothing starts: {away.said}")

    def _collector(self, now_us: int) -> ProgramState:
        """Return the collector's state: one that acknowledges nothing of what akjobd logs is ``silent``."""
        found = ProgramState.of(program.find(self.paths, "akjob-collector", now_us))
        return replace(found, state="silent") if found.pid and self.collector_is_silent() else found


def _broken(fault: Fault) -> BrokenFile:
    """Return a job for which akjobd decides nothing: it is broken, though its file is not."""
    return BrokenFile(
        job=fault.job,
        file=fault.file,
        line=1,
        column=1,
        message=fault.message,
        hint="save the file again in another form, or restart akjobd; please report it",
        since=to_text(fault.since_us),
        running_last_good=False,
    )
