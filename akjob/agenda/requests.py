"""What people ask for: runs by hand, stops, pauses, resets, and to start nothing more."""

import difflib
from collections.abc import Mapping

from akjob.agenda.book import Book, Drainer
from akjob.agenda.deciding import Deciding
from akjob.agenda.jobs import AgendaJob, busy_with, check_arguments, pause_text
from akjob.agenda.life import IN_QUEUE, LiveRun
from akjob.agenda.refusals import Refusals
from akjob.agenda.waiting import Waiting
from akjob.due import done
from akjob.errors import AkjobError, UsageError
from akjob.instants import SECOND, to_text
from akjob.ledger.model import Detail
from akjob.spec.model import JobSpec


class AgendaRequests:
    """Does what people ask for, or raises AkjobError with the reason and what to do."""

    def __init__(self, book: Book, waiting: Waiting, deciding: Deciding, refusals: Refusals) -> None:
        self._book = book
        self._waiting = waiting
        self._deciding = deciding
        self._refusals = refusals

    def run(self, name: str, kwargs: Mapping[str, object] | None, now_us: int, by: str | None) -> str:
        """Claim a run by hand, whatever ``enabled``, pauses and limits say, and return its id."""
        spec = self.loaded(name)
        job = self._book.jobs[name]
        self.check_place(spec)
        for why in self._book.drained.values():
            raise why
        check_arguments(spec, kwargs)
        if spec.run.overlap != "allow":
            self._make_room(job, now_us)
        row = self._book.new_row(job, spec, _asked_slot(job, now_us), "manual", now_us, by=by)
        run = LiveRun(
            row=row,
            job=name,
            seq=self._book.next_seq(),
            not_before_us=now_us,
            manual=True,
            kwargs=kwargs or None,
        )
        self._waiting.enter(job, run, now_us)
        return row.id

    def check_place(self, spec: JobSpec) -> None:
        """Raise AkjobError where a job runs on every node that has what it needs, and this one does not."""
        here = self._book.here
        if here is not None and here.is_of_others(spec):
            needs = ", ".join(spec.run.needs)
            raise AkjobError(
                f"{spec.name} runs on every node with the tags {needs}, and node {here.node} does not have them",
                hint="ask on one that has them: `akjob nodes` lists the tags",
            )

    def loaded(self, name: str) -> JobSpec:
        """Return the definition of a job."""
        spec = self._named(name).spec
        if spec is None:
            raise self._not_loaded(name)
        return spec

    def _make_room(self, job: AgendaJob, now_us: int) -> None:
        """Call back what was ordered well ahead of its slot, where it is decided again; raise AkjobError if busy."""
        for run in job.all_runs():
            if self._waiting.is_well_ahead(run, now_us):
                continue
            if run.under_way or run.waiting_for in ("overlap", *IN_QUEUE):
                name = job.row.job
                raise AkjobError(
                    f"{name} is busy: {busy_with(run)}",
                    hint=f'`akjob stop {name}` ends it; overlap = "allow" in the job file lets two run at once',
                )
        self._waiting.defer(job, now_us)

    def stop(self, target: str, by: str, now_us: int) -> list[str]:
        """End a run, by its id or the beginning of it, or all runs of a job; return their ids."""
        runs = self._meant(target)
        ids = [run.row.id for run in runs]
        for run in runs:
            self._waiting.stop(run, f"stopped by {by}", now_us, by)
        return ids

    def _meant(self, target: str) -> list[LiveRun]:
        known = self._book.runs | self._book.elsewhere
        if target in known:
            return [known[target]]
        if target in self._book.jobs:
            others = [run for run in self._book.elsewhere.values() if run.job == target and run.row.scope]
            runs = [*self._book.jobs[target].all_runs(), *others]
            if not runs:
                raise AkjobError(f"{target} is not running", hint="`akjob status` shows what runs")
            return runs
        runs = [run for run_id, run in known.items() if target and run_id.startswith(target)]
        if len(runs) > 1:
            raise AkjobError(f"{target!r} matches {len(runs)} runs", hint="give more of the run's id")
        if not runs:
            raise UsageError(
                f"{target!r} is neither a job nor a run that is under way",
                hint="`akjob status` shows what runs, `akjob list` the jobs",
            )
        return runs

    def pause(self, name: str, until_us: int | None, reason: str, by: str, now_us: int) -> None:
        """Let a job start nothing until an instant, or until it is resumed."""
        job = self._named(name)
        if until_us is not None and until_us <= now_us:
            raise AkjobError(f"{to_text(until_us)} has passed", hint="give an instant that is still to come")
        if not self._book.draining:
            self._deciding.decide(job, now_us)
        row = job.row
        row.paused_at_us, row.paused_until_us = now_us, until_us
        row.pause_reason, row.paused_by = reason or None, by
        self._book.effects.job(name)
        until = None if until_us is None else to_text(until_us)
        self._book.effects.job_moved(name, "paused", now_us, Detail(by=by, reason=row.pause_reason, until=until))
        self._waiting.drop_all(job.scheduled_runs(), pause_text(row), now_us)
        self._book.wake_at(job, now_us)

    def resume(self, name: str, now_us: int, by: str | None) -> None:
        """End a job's pause; the slots up to now are skipped."""
        job = self._named(name)
        if not job.paused_at(now_us):
            raise AkjobError(f"{name} is not paused", hint="`akjob show` says what else may keep it from running")
        if not self._book.draining:
            self._deciding.decide(job, now_us)
        self._deciding.unpause(job, now_us, by)
        self._book.wake_at(job, now_us)

    def reset(self, name: str, now_us: int) -> None:
        """Forget how many runs a job has had, and a watermark that a wrong clock put into the future."""
        job = self._named(name)
        row = job.row
        was_done = job.spec is not None and done(job.spec, row.runs_started)
        if was_done or (row.watermark_us > now_us and not job.slots_ahead(now_us)):
            row.watermark_us = now_us
        row.runs_started = 0
        row.first_loaded_us = min(row.first_loaded_us, now_us)  # `again_after` counts from one of these
        if row.again_from_us is not None:
            row.again_from_us = min(row.again_from_us, now_us)
        job.next_us = None
        job.deleting = False
        self._book.effects.job(name)
        self._book.wake_at(job, now_us)

    def drain(self, by: Drainer, why: AkjobError, now_us: int, *, kill: bool, reason: str) -> None:
        """Start nothing more; with ``kill`` end what runs. What waits stays in the ledger for the next akjobd."""
        self._book.drained[by] = why
        for run in list(self._book.runs.values()):
            if run.phase == "ordered" and (run.not_before_us > now_us or kill):
                self._waiting.recall(run, now_us)
            if kill and run.phase == "recalled":
                run.stop = reason
            elif kill and run.phase != "waiting":
                self._waiting.stop(run, reason, now_us)

    def _named(self, name: str) -> AgendaJob:
        job = self._book.jobs.get(name)
        if job is None or (job.spec is None and job.row.removed_us is not None):
            raise self._not_loaded(name)
        return job

    def _not_loaded(self, name: str) -> AkjobError:
        broken = self._refusals.broken.get(name)
        if broken is not None:
            where = f"{broken.file}:{broken.line}:{broken.column}"
            return AkjobError(
                f"{name} cannot be loaded: {where}: {broken.message}",
                hint=broken.hint or f"`akjob validate {broken.file}`",
            )
        loaded = [job.row.job for job in self._book.jobs.values() if job.spec is not None]
        near = difflib.get_close_matches(name, loaded, 1)
        hint = f"did you mean {near[0]}?" if near else "`akjob list` shows the jobs"
        return UsageError(f"there is no job {name}", hint=hint)


def _asked_slot(job: AgendaJob, now_us: int) -> int:
    """Return the slot of a run by hand: the instant it is asked for. No two are the same, and none is a whole second.

    Whole seconds are for scheduled slots.
    """
    slot = job.asked_us + 1 if now_us <= job.asked_us < now_us + SECOND else now_us
    slot += slot % SECOND == 0
    job.asked_us = slot
    return slot
