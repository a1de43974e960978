"""All jobs and runs of the agenda. Its parts share one Book, and nothing else."""

import heapq
from collections import deque
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Literal

from msgspec import Struct

from akjob.agenda.effects import EffectsBuilder
from akjob.agenda.jobs import AgendaJob, counts_on
from akjob.agenda.life import LiveRun
from akjob.config.cluster import queue_name
from akjob.due import EARLY_US
from akjob.ledger.model import Detail, Occurrence, RunRow, State, Trigger, backfill_of
from akjob.schedule.events import EVENTS
from akjob.sources import UpstreamEnd
from akjob.spec.model import JobSpec

if TYPE_CHECKING:
    from akjob.errors import AkjobError

_ATTEMPTS_KEPT = 10_000
_FORMER_KEPT = 1000
_LOCAL = frozenset(event.trigger for event in EVENTS.values() if event.is_local)

Drainer = Literal["down", "node"]
"""What drains an agenda: `akjob down`, or the cluster's word about this node."""

Slots = tuple[int, int, int]
"""The first and the last of several slots, and how many they are."""


class Here(Struct, frozen=True):
    """This node of a cluster: its name and its tags."""

    node: str
    tags: frozenset[str]

    def fits(self, spec: JobSpec) -> bool:
        """Return True if runs of a job may be on this node."""
        return spec.run.where in ("any", "every", f"node:{self.node}") and self.tags.issuperset(spec.run.needs)

    def scope_of(self, spec: JobSpec) -> str:
        """Return the scope of a job's slots: this node, where each node that fits has a run of its own."""
        return self.node if spec.run.where == "every" and self.fits(spec) else ""

    def is_of_others(self, spec: JobSpec) -> bool:
        """Return True if a job runs on every node that has what it needs, and this one does not."""
        return spec.run.where == "every" and not self.fits(spec)

    def queue_of(self, run: LiveRun, spec: JobSpec) -> str | None:
        """Return where a run waits for a node that takes it; None: it starts here.

        What a person asked for on this node, and what happened to it, stays on it where it fits.
        """
        is_of_here = run.manual or run.backfill is not None or run.files or run.row.trigger in _LOCAL
        if run.row.scope or spec.run.where == "every" or (is_of_here and self.fits(spec)):
            return None
        return queue_name(spec.run.where, spec.run.needs)


class Book:
    """The jobs by name, the open runs by id, when to decide about each job, and the effects.

    ``new_run_id`` makes a run id from an instant; ids sort by time. ``last_attempt`` asks the ledger for the last
    attempt of a slot (0: it has none). ``early_us`` is how long before its start an order goes out. While
    ``drained`` has a reason, nothing is started. ``downstreams`` are the jobs that run after a job, ``ends`` those that
    have not been handed on to them; ``backfilled`` are the backfills of which a slot has ended, and how. In a cluster
    ``elsewhere`` are the open runs of other nodes, this node is ``here`` among them, and ``former`` are definitions
    that were loaded before, by their hashes.
    """

    def __init__(self, *, host: str, new_run_id: Callable[[int], str], last_attempt: Callable[[str, int], int]) -> None:
        self.jobs: dict[str, AgendaJob] = {}
        self.runs: dict[str, LiveRun] = {}
        self.elsewhere: dict[str, LiveRun] = {}
        self.here: Here | None = None
        self.former: dict[str, JobSpec] = {}
        self.effects = EffectsBuilder()
        self.drained: dict[Drainer, AkjobError] = {}
        self.early_us = EARLY_US
        self.downstreams: Mapping[str, tuple[str, ...]] = {}
        self.ends: deque[UpstreamEnd] = deque()
        self.backfilled: deque[tuple[str, State]] = deque()
        self._host = host
        self._new_run_id = new_run_id
        self._last_attempt = last_attempt
        self._attempts: dict[tuple[str, int], int] = {}  # taken lately: the ledger may not have them yet
        self._seq = 0
        self._wakes: list[tuple[int, str]] = []
        self._loaded: deque[tuple[int, AgendaJob]] = deque()  # in the order of their instants

    @property
    def draining(self) -> bool:
        """True while nothing is started, for whatever reason."""
        return bool(self.drained)

    def next_seq(self) -> int:
        """Return a number for a run: of two with one slot the smaller one is first."""
        self._seq += 1
        return self._seq

    def keep_former(self, spec: JobSpec) -> None:
        """Remember a definition that was loaded: runs that wait for a node may be of it."""
        self.former[spec.sha256] = spec
        if len(self.former) > _FORMER_KEPT:
            del self.former[next(iter(self.former))]

    def new_id(self, now_us: int) -> str:
        """Return an id that no run and no backfill has."""
        return self._new_run_id(now_us)

    def new_row(
        self, job: AgendaJob, spec: JobSpec, slot_us: int, trigger: Trigger, now_us: int, **other: Any
    ) -> RunRow:
        """Return a row of ``runs`` for a slot."""
        return RunRow(
            id=self._new_run_id(now_us),
            job=job.row.job,
            slot_us=slot_us,
            slot_last_us=slot_us,
            trigger=trigger,
            queued_us=now_us,
            host=self._host,
            definition_sha256=spec.sha256,
            scope=job.row.scope,
            **other,
        )

    def next_attempt(self, job: str, slot_us: int) -> int:
        """Return the next free attempt of a slot that may have rows already, and take it."""
        last = max(self._last_attempt(job, slot_us), self._attempts.get((job, slot_us), 0))
        self._attempts[job, slot_us] = last + 1
        if len(self._attempts) > _ATTEMPTS_KEPT:
            del self._attempts[next(iter(self._attempts))]
        return last + 1

    def add(self, job: AgendaJob, run: LiveRun) -> None:
        """Add a new run, and claim it."""
        row = run.row
        job.tail = None
        job.next_us = None if counts_on(job) else job.next_us
        job.runs[row.id] = run
        self.runs[row.id] = run
        self.effects.claim(row)
        detail = Detail(trigger=row.trigger, by=row.by, cause=row.cause, definition_sha256=row.definition_sha256)
        self.effects.run_moved(row, None, row.queued_us, detail)

    def remove(self, run: LiveRun) -> AgendaJob:
        """Remove a run that has ended, and return its job."""
        job = self.jobs[run.job]
        self.effects.change(run.row)
        self.runs.pop(run.row.id, None)
        job.runs.pop(run.row.id, None)
        self.effects.waited(run)
        if counts_on(job):
            job.next_us = None
        return job

    def drop(self, run: LiveRun) -> None:
        """Forget a run, and write nothing down."""
        self.runs.pop(run.row.id, None)
        self.jobs[run.job].runs.pop(run.row.id, None)

    def uncount(self, run: LiveRun) -> None:
        """Take a run that came to nothing off the job's ``runs``."""
        if run.counts_toward_runs:
            job = self.jobs[run.job]
            job.row.runs_started = max(0, job.row.runs_started - 1)
            self.effects.job(run.job)

    def occur(self, job: AgendaJob, occurrence: Occurrence) -> None:
        """Take in what makes a job due; each is known by its key, and happens once."""
        job.occurrences[occurrence.key] = occurrence
        self.effects.occur(occurrence)

    def decided(self, job: AgendaJob, occurrence: Occurrence) -> None:
        """Forget an occurrence: it has been decided, or it holds no more."""
        if job.occurrences.pop(occurrence.key, None) is not None:
            self.effects.decided(occurrence)

    def keep(self, job: AgendaJob, upstream: str, part: Occurrence) -> None:
        """Keep another job's end until a slot uses it."""
        job.parts[upstream] = part
        self.effects.occur(part)

    def used(self, job: AgendaJob, part: Occurrence) -> None:
        """Forget another job's end: a slot has used it, or it is waited for no more."""
        job.parts = {upstream: one for upstream, one in job.parts.items() if one is not part}
        self.effects.decided(part)

    def ended(self, row: RunRow, at_us: int, slots: Slots | None = None) -> None:
        """Take in the end of a slot's last attempt, or of several slots in one, where a job runs after it."""
        backfill = backfill_of(row)
        if backfill is not None:
            self.backfilled.append((backfill, row.state))
        if row.job in self.downstreams:
            first_us, last_us, count = slots or (row.slot_us, row.slot_us, 1)
            self.ends.append(
                UpstreamEnd(
                    job=row.job,
                    run=row.id,
                    state=row.state,
                    slot_us=first_us,
                    slot_last_us=last_us,
                    at_us=at_us,
                    count=count,
                )
            )

    def wake_at(self, job: AgendaJob, wake_us: int | None) -> None:
        """Have a job looked at when an instant comes, and not before; None: not by itself."""
        job.wake_us = wake_us
        if wake_us is not None:
            heapq.heappush(self._wakes, (wake_us, job.row.job))

    def wake_loaded(self, job: AgendaJob, now_us: int) -> None:
        """Have a job looked at that is loaded now: of ten thousand with one instant a heap would compare the names."""
        if self._loaded and self._loaded[-1][0] > now_us:  # the clock was set back
            self.wake_at(job, now_us)
            return
        job.wake_us = now_us
        self._loaded.append((now_us, job))

    @property
    def wake_us(self) -> int | None:
        """The instant of the next decision about a job."""
        while self._wakes and self.jobs[self._wakes[0][1]].wake_us != self._wakes[0][0]:
            heapq.heappop(self._wakes)
        while self._loaded and self._loaded[0][1].wake_us != self._loaded[0][0]:
            self._loaded.popleft()
        if self._loaded and not (self._wakes and self._wakes[0][0] < self._loaded[0][0]):
            return self._loaded[0][0]
        return self._wakes[0][0] if self._wakes else None

    def due(self, now_us: int) -> AgendaJob | None:
        """Return the next job that needs a decision by an instant, or None, and forget its instant."""
        if not self._loaded and (not self._wakes or self._wakes[0][0] > now_us):
            return None  # so it is at the end of nearly every turn
        wake_us = self.wake_us
        if wake_us is None or wake_us > now_us:
            return None
        if self._loaded and self._loaded[0][0] == wake_us:
            _, job = self._loaded.popleft()
        else:
            job = self.jobs[heapq.heappop(self._wakes)[1]]
        job.wake_us = None
        return job
