"""Taking over what a look at the folder found: new, edited and removed jobs, and those that are refused."""

import contextlib
from functools import partial

import msgspec

from akjob.agenda.book import Book
from akjob.agenda.chains import Chains
from akjob.agenda.deciding import Deciding
from akjob.agenda.faults import Faults
from akjob.agenda.jobs import AgendaJob, is_slot, new_row, same_slots
from akjob.agenda.refusals import Refusals
from akjob.agenda.waiting import Waiting
from akjob.due import timing
from akjob.errors import AkjobError
from akjob.jobset.model import JobSetChange
from akjob.ledger.model import Detail, JobRow
from akjob.sources import AFTER, KINDS, Loaded
from akjob.spec import load_definition
from akjob.spec.model import JobSpec

_OUTLIVES_THE_FILE = (
    "first_loaded_us", "runs_started", "again_from_us", "last_run", "last_state", "last_ended_us",
    "paused_at_us", "paused_until_us", "pause_reason", "paused_by",
)  # fmt: skip


class Loading:
    """Takes job sets over. The first one is all of the job set, at akjobd's start.

    ``started_us`` is that start, ``boot_us`` the instant that stands for the machine's boot (None: unknown);
    ``booted``: no akjobd has started since. The slots of a downtime are accounted for up to ``started_us``.
    """

    def __init__(  # noqa: PLR0913 - what a job set touches
        self,
        book: Book,
        waiting: Waiting,
        deciding: Deciding,
        refusals: Refusals,
        chains: Chains,
        *,
        faults: Faults,
        started_us: int,
        boot_us: int | None,
        booted: bool,
    ) -> None:
        self.is_first = True
        self._book = book
        self._waiting = waiting
        self._deciding = deciding
        self._refusals = refusals
        self._chains = chains
        self._faults = faults
        self._started_us = started_us
        self._boot_us = boot_us
        self._booted = booted

    def load(self, change: JobSetChange, now_us: int) -> None:
        """Take over what changed."""
        before = self._refusals.names() if self.is_first else list(self._refusals.broken)
        self._refusals.broken = change.jobset.broken
        jobs, olds = change.jobset.jobs, {changed.job: changed.old for changed in change.changed}
        for name in jobs if self.is_first else [*change.added, *olds]:
            if not self.is_first and self._faults.forgive(name):
                self._waiting.stir(name)
            self._load_guarded(jobs[name], olds.get(name), now_us, edited=name in olds)
        for name in change.removed:
            self._faults.forgive(name)
            self._faults.guard(name, partial(self._remove_job, name, now_us), None, now_us)
        for broken in change.broken:
            self._faults.guard(broken.job, partial(self._refusals.refuse, broken, now_us), None, now_us)
        self._refusals.accept([name for name in before if name not in change.jobset.broken], now_us)
        self._chains.reindex([*(jobs if self.is_first else (*change.added, *olds)), *change.removed])
        self.is_first = False

    def _load_guarded(self, spec: JobSpec, old: JobSpec | None, now_us: int, *, edited: bool) -> None:
        self._faults.guard(spec.name, lambda: self._load_job(spec, old, now_us, edited=edited), None, now_us)

    def _loading_us(self, now_us: int) -> int:
        """Return the instant up to which what was loaded before accounts for slots."""
        return self._started_us - 1 if self.is_first else now_us

    def _load_job(self, spec: JobSpec, old: JobSpec | None, now_us: int, *, edited: bool) -> None:
        job = self._book.jobs.get(spec.name)
        is_new = job is None or job.row.removed_us is not None
        if job is None or job.is_gone:
            job = self._add(spec, job, now_us)
        elif edited or spec.sha256 != job.row.definition_sha256:
            self._edit(job, spec, job.spec or old, now_us)
        elif job.spec is not None:
            return
        elif job.row.definition == spec.definition:
            _share_text(job.row, spec)
        self._store(job, spec, now_us)
        self._occur(job, spec, now_us, is_new=is_new)
        self._attach(job, spec, now_us)

    def _add(self, spec: JobSpec, job: AgendaJob | None, now_us: int) -> AgendaJob:
        """Take in a job that is new, or whose file is back: what people know of it outlives the file."""
        loading_us = self._loading_us(now_us)
        self._book.effects.loaded(spec.name)
        self._book.effects.job_moved(spec.name, "loaded", now_us, Detail(definition_sha256=spec.sha256, file=spec.file))
        if job is None:
            job = self._book.jobs[spec.name] = AgendaJob(row=new_row(spec, loading_us, now_us))
            return job
        kept = {name: getattr(job.row, name) for name in _OUTLIVES_THE_FILE}
        row = new_row(spec, max(loading_us, job.row.watermark_us), now_us)
        job.row = msgspec.structs.replace(row, **kept)
        return job

    def _store(self, job: AgendaJob, spec: JobSpec, now_us: int) -> None:
        """Keep a definition that is another one than that in the ledger: from now on it is the last good one."""
        row = job.row
        if row.definition_sha256 != spec.sha256:
            row.definition, row.definition_sha256, row.file = spec.definition, spec.sha256, spec.file
            row.last_loaded_us = now_us
            self._book.effects.loaded(spec.name)
            detail = Detail(definition_sha256=spec.sha256, file=spec.file)
            self._book.effects.job_moved(spec.name, "changed", now_us, detail)

    def _occur(self, job: AgendaJob, spec: JobSpec, now_us: int, *, is_new: bool) -> None:
        """Take in the occurrences that the loading comes to, and forget those that the definition knows no more."""
        if not (job.occurrences or job.parts or spec.schedule.events):
            return  # nearly every one of ten thousand jobs
        loaded = Loaded(
            now_us=now_us,
            started_us=self._started_us,
            boot_us=self._boot_us,
            first=self.is_first,
            booted=self._booted,
            is_new=is_new,
            watermark_us=job.row.watermark_us,
        )
        for kind in KINDS:
            for occurrence in kind.on_load(spec, loaded):
                self._book.occur(job, occurrence)
            of_kind = [one for one in job.occurrences.values() if one.key.startswith(f"{kind.name}:")]
            for occurrence in of_kind:
                if not kind.survives(spec, occurrence):
                    self._book.decided(job, occurrence)
        for part in [part for part in job.parts.values() if not (spec.enabled and AFTER.survives(spec, part))]:
            self._book.used(job, part)

    def _attach(self, job: AgendaJob, spec: JobSpec, now_us: int) -> None:
        """Let a definition hold from now on, for the open runs too."""
        here = self._book.here
        if job.spec is not None and here is not None:
            self._book.keep_former(job.spec)
        scope = "" if here is None else here.scope_of(spec)
        if job.row.scope != scope:
            job.row.scope = scope
            self._book.effects.loaded(spec.name)
        job.spec = spec
        job.when = timing(spec)
        job.next_us = None
        job.deleting = False
        queue = self._waiting.queue
        for run in job.runs.values():
            if run.inherited and run.under_way and not run.gates:
                queue.release(run)
                queue.hold(run, spec)
            if run.waiting_for in ("lock", "pool"):
                queue.join(run)  # the edit may have changed what it waits for
            if run.of_calendar and not run.has_wait and (run.inherited or run.phase == "waiting"):
                run.not_before_us = run.row.slot_us + job.when.jitter_us
            run.inherited = False
        self._book.wake_loaded(job, now_us)

    # ------------------------------------------------------------------ edits

    def _edit(self, job: AgendaJob, spec: JobSpec, old: JobSpec | None, now_us: int) -> None:
        """Account for the old schedule's slots if it changed; prepare again what has not started yet."""
        if old is not None and same_slots(old, spec):
            self._waiting.prepare_again(job, now_us)
            return
        loading_us = self._loading_us(now_us)
        if old is not None:
            self._close_schedule(job, spec, old, loading_us, now_us)
        ahead = job.slots_ahead(loading_us)
        if old is None:  # nothing is known of the schedule before
            job.row.watermark_us = max(job.row.watermark_us, loading_us)
        self._book.effects.job(job.row.job)
        if spec.enabled:
            self._keep_slots(job, spec, ahead, now_us)
        else:
            self._waiting.drop_all(job.scheduled_runs(), "the job is disabled", now_us)

    def _close_schedule(self, job: AgendaJob, spec: JobSpec, old: JobSpec, loading_us: int, now_us: int) -> None:
        """Let the schedule before an edit account for its slots, with the new rules of ``[run]``."""
        enabled = old.enabled and job.row.removed_us is None
        hybrid = msgspec.structs.replace(spec, schedule=old.schedule, runs=old.runs, enabled=enabled)
        if job.before is None:
            job.before = (hybrid, loading_us)
        if not self.is_first:
            self._deciding.account_for(job, now_us)

    def _keep_slots(self, job: AgendaJob, spec: JobSpec, ahead: set[int], now_us: int) -> None:
        """Keep the slots claimed ahead that the new schedule has too, and skip the others."""
        kept = frozenset(slot for slot in ahead if is_slot(spec, slot))
        dropped = [run for run in job.runs.values() if run.of_calendar and run.row.slot_us in ahead - kept]
        self._waiting.drop_all(dropped, "the schedule was changed before the slot", now_us)
        job.claimed = kept
        self._waiting.prepare_again(job, now_us)

    def _remove_job(self, name: str, now_us: int) -> None:
        job = self._book.jobs.get(name)
        if job is None or job.row.removed_us is not None:
            return
        spec = job.spec
        if self.is_first and spec is None and job.row.definition:
            with contextlib.suppress(AkjobError):  # written by another version of akjob: its slots are not known
                spec = load_definition(name, job.row.file, job.row.definition)
        if spec is not None:
            self._deciding.account_for(job, now_us)
            job.before = (spec, self._loading_us(now_us))
            self._deciding.account_for(job, now_us)
        self._waiting.drop_all(job.runs.values(), "the job was removed", now_us)
        for occurrence in list(job.occurrences.values()):
            self._book.decided(job, occurrence)
        for part in list(job.parts.values()):
            self._book.used(job, part)
        job.spec = job.when = job.next_us = job.wake_us = None
        job.row.removed_us = now_us
        self._book.effects.loaded(name)
        self._book.effects.job_moved(name, "removed", now_us)
        self._refusals.accept([name], now_us)


def _share_text(row: JobRow, spec: JobSpec) -> None:
    """Let the row have the definition's own strings: of ten thousand jobs there is one text each, and not two."""
    row.definition, row.definition_sha256 = spec.definition, spec.sha256
    row.job, row.file = spec.name, spec.file if row.file == spec.file else row.file
