"""The agenda: all jobs and all runs, and what is to be done about them next.

It reads no clock, does no I/O and waits for nothing. akjobd tells it what happened, asks for one :meth:`Agenda.turn`,
takes the :class:`~akjob.agenda.life.Effects` and does them. A turn costs something for the jobs that are due only.

The order at the start of akjobd: ``restore``, ``load``, then what the run folders tell (``started``, ``ended``,
``never_started``, ``lost``), then the first ``turn``: only then is it known which jobs are busy.
"""

import contextlib
import difflib
import heapq
from collections.abc import Callable, Collection, Iterable, Mapping
from typing import Any

import msgspec

from akjob.agenda.effects import EffectsBuilder
from akjob.agenda.jobs import (
    Job,
    backoff_us,
    busy,
    busy_with,
    check_arguments,
    counts_on,
    is_slot,
    new_row,
    pause_text,
    running_of,
    same_slots,
    unknown_row,
)
from akjob.agenda.life import CLOSE, RETRIED, UNDER_WAY, Effects, End, Run, Running, Start
from akjob.agenda.run_queue import RunQueue
from akjob.due import EARLY_US, FEW, FOREVER, GRACE_US, Decision, Known, Timing, Verdict, decide, done, timing
from akjob.errors import AkjobError
from akjob.instants import HOUR, SECOND, to_text
from akjob.jobset.git import Revision
from akjob.jobset.model import Broken, Change
from akjob.ledger.model import JobRow, OpenRun, RunRow, State, Trigger, Wait
from akjob.schedule import Memory, next_slot
from akjob.spec import load_definition
from akjob.spec.model import JobSpec

_SCHEDULED = ("schedule", "start", "missed")
_TRIES_UP_TO_US = 60 * SECOND
_MARK_AHEAD_US = HOUR  # a lead is shorter, as a rule
_DUE_A_TURN = 16  # so many starts are one commit; a burst of more goes on in the next turn, and others get a word in
_STEP_BACK_US = 2 * SECOND  # a clock that goes back by less is being slewed


class Agenda:
    """Everything that akjobd decides. ``new_run_id`` makes a run id from an instant; ids sort by time.

    ``started_us`` is akjobd's start, ``boot_us`` the instant that stands for the machine's boot (None: unknown);
    ``booted``: no akjobd has started since.
    """

    def __init__(  # noqa: PLR0913 - the last two are akjobd's alone
        self,
        *,
        host: str,
        max_running: int | None,
        new_run_id: Callable[[int], str],
        started_us: int,
        boot_us: int | None = None,
        booted: bool = False,
    ) -> None:
        self._host = host
        self._new_run_id = new_run_id
        self._started_us = started_us
        self._boot_us = boot_us
        self._booted = booted
        self._now = started_us
        self._jobs: dict[str, Job] = {}
        self._runs: dict[str, Run] = {}
        self._broken: Mapping[str, Broken] = {}
        self._unattributed: set[str] = set()  # refused, and no commit is known that has the refused version
        self._queue = RunQueue(max_running)
        self._wakes: list[tuple[int, str]] = []
        self._timed: list[tuple[int, int, Run]] = []
        self._stirred: dict[str, None] = {}
        self._restored: list[Run] = []
        self._ahead: dict[str, Run] = {}  # ordered well ahead of their slots
        self._seq = 0
        self._loaded = False
        self.draining = False
        self._effects = EffectsBuilder()

    # ------------------------------------------------------------------ what was before

    def restore(
        self, job_rows: Iterable[JobRow], open_runs: Iterable[OpenRun], now_us: int, ordered: Collection[str] = ()
    ) -> None:
        """Take over from the akjobd before: the ledger's jobs and open runs.

        ``ordered`` has the runs that have a folder: an order went out, and the shim's files will tell what came of it.
        """
        self._now = now_us
        for row in job_rows:
            self._jobs[row.job] = Job(row=row)
            if row.refused is not None and (row.refused_commit is None or row.refused_dirty):
                self._unattributed.add(row.job)
        for open_run in open_runs:
            self._restore_run(open_run, ordered)

    def _restore_run(self, open_run: OpenRun, ordered: Collection[str]) -> None:
        row, wait = open_run.row, open_run.wait or Wait(run=open_run.row.id)
        run = Run(
            row=row,
            job=row.job,
            seq=self._next_seq(),
            not_before_us=wait.not_before_us or row.slot_us,
            after_previous=wait.after_previous,
            manual=wait.manual or row.trigger == "manual",
            counts_toward_runs=row.trigger in _SCHEDULED,
            kwargs=wait.kwargs,
            has_wait=open_run.wait is not None,
        )
        if row.state == "running":
            run.phase = "running"
        elif row.id in ordered:
            run.phase = "ordered"
            self._ahead[row.id] = run
        else:
            run.place = "restored"
            self._restored.append(run)
        job = self._jobs.get(row.job)
        if job is None:
            job = self._jobs[row.job] = Job(row=unknown_row(row.job, self._now))
        job.runs[row.id] = run
        self._runs[row.id] = run
        if run.phase in UNDER_WAY:
            self._queue.hold(run, None)

    # ------------------------------------------------------------------ the job set

    def load(self, change: Change, now_us: int) -> None:
        """Take over what a look at the folder changed; the first time, all of the job set."""
        self._now = now_us
        first, self._loaded = not self._loaded, True
        before, self._broken = self._broken, change.jobset.broken
        refused = [name for name, job in self._jobs.items() if job.row.refused is not None] if first else before
        jobs = change.jobset.jobs
        olds = {changed.job: changed.old for changed in change.changed}
        names = jobs if first else [*change.added, *olds]
        for name in names:
            self._load_job(jobs[name], olds.get(name), edited=name in olds, first=first)
        for name in change.removed:
            self._remove_job(name, first=first)
        for broken in change.broken:
            self._refuse(broken)
        for name in [name for name in refused if name not in self._broken]:
            self._accept(name)
        if first:
            self._warn_of_marks()

    def _load_job(self, spec: JobSpec, old: JobSpec | None, *, edited: bool, first: bool) -> None:
        job = self._jobs.get(spec.name)
        is_new = job is None or job.row.removed_us is not None
        loading = self._started_us - 1 if first else self._now
        if job is None:
            job = self._jobs[spec.name] = Job(row=new_row(spec, loading, self._now))
            self._effects.loaded(spec.name)
        elif job.row.removed_us is not None or not job.row.definition:
            job.row = msgspec.structs.replace(
                new_row(spec, max(loading, job.row.watermark_us), self._now),
                first_loaded_us=job.row.first_loaded_us,
                runs_started=job.row.runs_started,
                again_from_us=job.row.again_from_us,
                last_run=job.row.last_run,
                last_state=job.row.last_state,
                last_ended_us=job.row.last_ended_us,
                paused_at_us=job.row.paused_at_us,
                paused_until_us=job.row.paused_until_us,
                pause_reason=job.row.pause_reason,
                paused_by=job.row.paused_by,
            )
            self._effects.loaded(spec.name)
        elif edited or spec.sha256 != job.row.definition_sha256:
            self._edit_job(job, spec, job.spec or old, loading, first=first)
        elif job.spec is not None:
            return
        elif job.row.definition == spec.definition:
            job.row.definition, job.row.definition_sha256 = spec.definition, spec.sha256  # one text, not two
            job.row.job, job.row.file = spec.name, spec.file if job.row.file == spec.file else job.row.file
        if job.row.definition_sha256 != spec.sha256:
            job.row.definition, job.row.definition_sha256, job.row.file = spec.definition, spec.sha256, spec.file
            job.row.last_loaded_us = self._now
            self._effects.loaded(spec.name)
        if first:
            job.start_us = self._started_us
            job.starts = (self._started_us,)
            if self._booted and self._boot_us is not None and not is_new:
                job.starts = (self._boot_us, self._started_us)
        self._attach(job, spec)

    def _attach(self, job: Job, spec: JobSpec) -> None:
        job.spec = spec
        job.when = timing(spec)
        job.next_us = None
        job.deleting = False
        for run in job.runs.values():
            if run.phase in UNDER_WAY and run.lock is None and spec.run.lock is not None and run.token == 0:
                self._queue.release(run)
                self._queue.hold(run, spec.run.lock)
            if run.place == "locked":
                self._queue.join(run)  # the edit may have changed what it waits for
            if run.counts_toward_runs and not run.has_wait and run.token == 0:
                run.not_before_us = run.row.slot_us + job.when.jitter_us
        self._wake_at(job, self._now)

    def _edit_job(self, job: Job, spec: JobSpec, old: JobSpec | None, loading: int, *, first: bool) -> None:
        """Account for the old schedule's slots if it changed; prepare anew what has not started yet."""
        if old is not None and same_slots(old, spec):
            self._prepare_anew(job)
            return
        if old is not None:
            hybrid = msgspec.structs.replace(
                spec, schedule=old.schedule, runs=old.runs, enabled=old.enabled and job.row.removed_us is None
            )
            if job.before is None:
                job.before = (hybrid, loading)
            if not first:
                self._account_for(job)
        ahead = {run.row.slot_us for run in job.runs.values() if run.counts_toward_runs and run.row.slot_us > loading}
        if old is None:  # nothing is known of the schedule before
            job.row.watermark_us = max(job.row.watermark_us, loading)
        self._effects.job(job.row.job)
        if not spec.enabled:
            self._drop_waiting(job, "the job is disabled")
            return
        kept = frozenset(slot for slot in ahead if is_slot(spec, slot))
        for run in list(job.runs.values()):
            if run.counts_toward_runs and run.row.slot_us in ahead - kept:
                self._drop(run, "skipped", "the schedule was changed before the slot")
        job.claimed = kept
        self._prepare_anew(job)

    def _account_for(self, job: Job) -> None:
        """Let the schedule before an edit account for its slots up to the loading."""
        if job.before is None:
            return
        spec, loading = job.before
        job.before = None
        ahead = {run.row.slot_us for run in job.runs.values() if run.counts_toward_runs and run.row.slot_us > loading}
        if job.row.watermark_us in ahead:
            job.row.watermark_us = loading
            return
        decision = decide(spec, timing(spec), self._known(job, spec), self._now, loading)
        self._apply(job, spec, decision)
        job.row.watermark_us = max(job.row.watermark_us, loading)
        job.next_us = None
        self._effects.job(job.row.job)
        if job.spec is not None and not job.spec.enabled:
            self._drop_waiting(job, "the job is disabled")

    def _prepare_anew(self, job: Job) -> None:
        """Call back the orders that wait for their slot; they go out again, with the new definition."""
        for run in list(job.runs.values()):
            if run.phase == "ordered" and run.not_before_us > self._now:
                self._recall(run)

    def _remove_job(self, name: str, *, first: bool) -> None:
        job = self._jobs.get(name)
        if job is None or job.row.removed_us is not None:
            return
        spec = job.spec
        if first and spec is None and job.row.definition:
            with contextlib.suppress(AkjobError):  # written by another version of akjob: nothing is known of its slots
                spec = load_definition(name, job.row.file, job.row.definition)
        if spec is not None:
            self._account_for(job)
            job.before = (spec, self._started_us - 1 if first else self._now)
            self._account_for(job)
        self._drop_waiting(job, "the job was removed", manual=True)
        job.spec = job.when = job.next_us = job.wake_us = None
        job.row.removed_us = self._now
        self._effects.loaded(name)
        self._accept(name)

    def _refuse(self, broken: Broken) -> None:
        """Note what was refused, also of a job that never was good: since when is told after a restart too."""
        job = self._jobs.get(broken.job)
        if job is None:
            job = self._jobs[broken.job] = Job(row=unknown_row(broken.job, self._now))
        row = job.row
        if (row.refused, row.refused_us) != (broken.content, broken.since_us):
            row.refused_commit = row.refused_dirty = None
        row.refused, row.refused_us = broken.content, broken.since_us
        if row.refused_commit is None or row.refused_dirty:
            self._unattributed.add(broken.job)
        self._effects.loaded(broken.job)

    def _accept(self, name: str) -> None:
        """Forget what was refused: the file is good again, or gone."""
        self._unattributed.discard(name)
        job = self._jobs.get(name)
        if job is not None and job.row.refused is not None:
            row = job.row
            row.refused = row.refused_us = row.refused_commit = row.refused_dirty = None
            self._effects.loaded(name)

    @property
    def unattributed(self) -> bool:
        """Whether something was refused of which no commit is known that has it."""
        return bool(self._unattributed)

    def attribute(self, revision: Revision) -> None:
        """Take in which commit is checked out: what was refused is from it.

        A version that differs from the first commit that was seen with it is followed until a commit has it: then the
        mistake is in that one. A pull writes the files first, and only then says of which commit they are.
        """
        for name in [name for name in self._unattributed if name in self._broken]:
            row, dirty = self._jobs[name].row, revision.is_dirty(self._broken[name].sources)
            if dirty is None or (dirty and row.refused_commit is not None):
                continue
            row.refused_commit, row.refused_dirty = revision.commit, dirty
            if not dirty:
                self._unattributed.discard(name)
            self._effects.loaded(name)

    def refused_by(self, name: str) -> tuple[str | None, bool | None]:
        """Return the commit that the refused version of a job is from, and whether it differs from it."""
        job = self._jobs.get(name)
        return (None, None) if job is None else (job.row.refused_commit, job.row.refused_dirty)

    # ------------------------------------------------------------------ time

    def turn(self, now_us: int) -> None:
        """Let the time be ``now_us``, and do what is due. Any jump of the clock is fine, in both directions.

        Of many jobs that are due only some are seen to: :attr:`wake_us` is not later than ``now_us`` then.
        """
        back_us, self._now = self._now - now_us, now_us
        if back_us > _STEP_BACK_US:
            self._step_back(back_us)
        if self.draining:
            return
        restored, self._restored = self._restored, []
        for run in restored:
            if run.phase == "waiting":
                self._take_up(run)
        while self._timed and self._timed[0][0] <= now_us:
            _, _, run = heapq.heappop(self._timed)
            if run.phase == "waiting" and run.place == "timed":
                self._offer(run)
        self._promote_stirred()
        left = _DUE_A_TURN
        while left and self._wakes and self._wakes[0][0] <= now_us:
            wake, name = heapq.heappop(self._wakes)
            job = self._jobs[name]
            if job.wake_us == wake:
                left -= self._look(job)
                self._promote_stirred()
        for run in self._queue.take():
            self._order(run)
        self._make_places()

    @property
    def wake_us(self) -> int | None:
        """The instant of the next turn if nothing happens before it; None: there is nothing to wait for."""
        if self.draining:
            return None
        while self._wakes and self._jobs[self._wakes[0][1]].wake_us != self._wakes[0][0]:
            heapq.heappop(self._wakes)
        while self._timed and (self._timed[0][2].phase != "waiting" or self._timed[0][2].place != "timed"):
            heapq.heappop(self._timed)
        heads = [heap[0][0] for heap in (self._wakes, self._timed) if heap]
        if self._stirred:
            heads.append(self._now)
        return min(heads, default=None)

    def _step_back(self, by_us: int) -> None:
        """Follow a clock that was set back: retries wait as long as they were to, not until the old clock's instant."""
        for run in self._runs.values():
            if run.phase == "waiting" and (run.row.trigger == "retry" or run.backoff_until_us):
                run.not_before_us -= by_us if run.row.trigger == "retry" else 0
                run.backoff_until_us = max(0, run.backoff_until_us - by_us)
                if run.place == "timed":
                    self._offer(run)
        self._warn_of_marks()

    def _warn_of_marks(self) -> None:
        """Say that jobs wait for the clock to get past slots that have been: a clock was wrong, or is."""
        marks = [job.row.watermark_us for job in self._jobs.values() if job.spec is not None]
        ahead = [mark for mark in marks if mark > self._now + _MARK_AHEAD_US]
        if ahead:
            self._effects.say(
                "warning",
                "jobs.ahead",
                jobs=len(ahead),
                until=to_text(max(ahead)),
                message="the clock is behind slots that have been accounted for; these jobs wait until it has passed "
                "them, or until `akjob reset JOB` for each",
            )

    def _wake_at(self, job: Job, wake_us: int | None) -> None:
        job.wake_us = wake_us
        if wake_us is not None:
            heapq.heappush(self._wakes, (wake_us, job.row.job))

    def _look(self, job: Job) -> bool:
        """Decide about one job, and say when to look again; return whether a slot was due."""
        job.wake_us = None
        starts, job.starts = job.starts, ()
        self._account_for(job)
        spec, when = job.spec, job.when
        if spec is None or when is None or self._is_calm(job, spec, when):
            return False
        passed_starts = self._passed_starts(job, spec, starts)
        decision = decide(spec, when, self._known(job, spec, passed_starts), self._now)
        self._apply(job, spec, decision)
        if job.row.paused_at_us is not None and not job.paused_at(self._now):
            self._unpause(job)
            self._wake_at(job, self._now)
        elif done(spec, job.row.runs_started):
            self._delete_if_done(job, spec)
        else:
            job.next_us = decision.next_us
            self._wake_at(job, decision.wake_us)
        return bool(decision.verdicts)

    def _passed_starts(self, job: Job, spec: JobSpec, starts: tuple[int, ...]) -> tuple[int, ...]:
        """Return the start and the boot where the watermark is ahead of them already, and make room for their run.

        A slot claimed ahead puts it there, or a clock that was ahead once. They are due all the same.
        """
        wanted = {
            *((job.start_us,) if spec.schedule.on_start else ()),
            *((self._boot_us,) if spec.schedule.on_boot else ()),
        }
        passed_starts = tuple(slot for slot in starts if slot in wanted and slot <= job.row.watermark_us)
        if passed_starts:
            self._defer(job)
        return passed_starts

    def _is_calm(self, job: Job, spec: JobSpec, when: Timing) -> bool:
        """Say whether nothing is to be decided but when to look again, and do that: as it is with most jobs at a start.

        It comes to what :func:`decide` comes to, without the values made for a decision.
        """
        if (
            not spec.enabled
            or spec.runs is not None
            or when.stateful is not None
            or job.runs
            or job.claimed
            or job.row.paused_at_us is not None
        ):
            return False
        upcoming = job.next_us
        if upcoming is None:
            upcoming = job.next_us = next_slot(when.plan, job.row.watermark_us)
            if upcoming is None:
                return True
        wake = upcoming + when.jitter_us - (when.early_us if self._queue.free(spec.run.lock) else 0)
        if wake <= self._now:
            return False
        self._wake_at(job, wake)
        return True

    def _known(self, job: Job, spec: JobSpec, passed_starts: tuple[int, ...] = ()) -> Known:
        row = job.row
        until = None
        if row.paused_at_us is not None:
            until = FOREVER if row.paused_until_us is None else row.paused_until_us
        return Known(
            watermark_us=row.watermark_us,
            memory=Memory(
                loaded_us=row.first_loaded_us,
                last_end_us=row.again_from_us,
                running=bool(job.runs),
                started_us=job.start_us,
                boot_us=self._boot_us,
            ),
            next_us=job.next_us,
            started=row.runs_started,
            paused_until_us=until,
            pause_reason=pause_text(row),
            busy=busy(job),
            queued=any(run.after_previous and run.phase == "waiting" for run in job.runs.values()),
            ahead=self._queue.free(spec.run.lock),
            claimed=job.claimed,
            passed_starts=passed_starts,
        )

    def _apply(self, job: Job, spec: JobSpec, decision: Decision) -> None:
        for verdict in decision.verdicts:
            if verdict.action in ("skipped", "missed"):
                self._close_slots(job, spec, verdict)
            else:
                if verdict.action == "replace":
                    self._make_way(job, verdict.slot_us)
                self._claim(job, spec, verdict)
        if decision.watermark_us != job.row.watermark_us:
            job.row.watermark_us = decision.watermark_us
            self._effects.job(job.row.job)

    def _close_slots(self, job: Job, spec: JobSpec, verdict: Verdict) -> None:
        """Write down slots that start nothing: a row each, and when that goes on and on one row that grows."""
        state: State = "missed" if verdict.action == "missed" else "skipped"
        tail = job.tail
        if tail is not None and (tail.state, tail.reason) == (state, verdict.reason):
            job.tail_length += verdict.count
            if job.tail_length > FEW and tail.slot_last_us < verdict.slot_us:
                tail.slot_last_us = verdict.slot_last_us
                tail.count += verdict.count
                tail.ended_us = self._now
                self._effects.change(tail)
                return
        else:
            job.tail_length = verdict.count
        row = self._row(
            job, spec, verdict.slot_us, verdict.trigger, state=state, reason=verdict.reason, ended_us=self._now
        )
        row.slot_last_us, row.count = verdict.slot_last_us, verdict.count
        job.tail = row
        self._effects.claim(row)
        self._effects.say_of(f"run.{state}", row, slot_last=to_text(row.slot_last_us), count=row.count)

    def _claim(self, job: Job, spec: JobSpec, verdict: Verdict) -> None:
        row = self._row(job, spec, verdict.slot_us, verdict.trigger)
        run = Run(
            row=row,
            job=job.row.job,
            seq=self._next_seq(),
            not_before_us=verdict.not_before_us,
            after_previous=verdict.action != "start",
            counts_toward_runs=True,
        )
        job.row.runs_started += 1
        self._effects.job(job.row.job)
        if run.after_previous:
            self._effects.wait(run, Wait(run=row.id, after_previous=True))
        self._enter(job, run)

    def _row(self, job: Job, spec: JobSpec, slot_us: int, trigger: Trigger, **other: Any) -> RunRow:
        return RunRow(
            id=self._new_run_id(self._now),
            job=job.row.job,
            slot_us=slot_us,
            slot_last_us=slot_us,
            trigger=trigger,
            queued_us=self._now,
            host=self._host,
            definition_sha256=spec.sha256,
            **other,
        )

    def _enter(self, job: Job, run: Run) -> None:
        """Take a new run in."""
        job.tail = None
        job.next_us = None if counts_on(job) else job.next_us
        job.runs[run.row.id] = run
        self._runs[run.row.id] = run
        self._effects.claim(run.row)
        self._offer(run)

    # ------------------------------------------------------------------ waiting, and the order

    def _offer(self, run: Run) -> None:
        """Let a waiting run go on to the next thing it has to wait for."""
        job = self._jobs[run.job]
        early = job.when.early_us if job.when is not None else 0
        at = max(run.not_before_us - early, run.backoff_until_us)
        if at > self._now:
            run.place = "timed"
            heapq.heappush(self._timed, (at, run.seq, run))
        elif not self._is_after_previous(job, run):
            self._queue.join(run)
        elif run.counts_toward_runs and not run.after_previous:
            self._meet(job, run)
        else:
            run.place = "after_previous"

    def _meet(self, job: Job, run: Run) -> None:
        """Let a claimed slot meet a run of its job that came between: ``overlap`` decides, when the slot has come."""
        if run.not_before_us > self._now:
            run.place = "timed"
            heapq.heappush(self._timed, (run.not_before_us, run.seq, run))
            return
        overlap = "skip" if job.spec is None else job.spec.run.overlap
        others = [other for other in job.runs.values() if other is not run]
        if overlap == "skip" or (
            overlap == "queue" and any(one.after_previous and one.phase == "waiting" for one in others)
        ):
            self._close(run, "skipped", busy_with(others[0]) if overlap == "skip" else "a slot is queued already")
            return
        run.after_previous = True
        run.place = "after_previous"
        self._effects.wait(run, Wait(run=run.row.id, after_previous=True))
        if overlap == "replace":
            self._make_way(job, run.row.slot_us, besides=run)

    def _is_after_previous(self, job: Job, run: Run) -> bool:
        """Say whether a run has to wait for another one of its job."""
        if not run.after_previous and job.spec is not None and job.spec.run.overlap == "allow":
            return False
        return any(
            other is not run
            and (
                other.phase in UNDER_WAY
                or other.place in ("ready", "locked")
                or (other.place == "timed" and other.row.trigger == "retry" and not run.manual)
            )
            and not (other.deferred and run.not_before_us < other.not_before_us)  # for this one, see _defer
            for other in job.runs.values()
        )

    def _promote_stirred(self) -> None:
        """Offer the runs again that had to wait for another run of their job, oldest slot first."""
        while self._stirred:
            name = next(iter(self._stirred))
            del self._stirred[name]
            job = self._jobs[name]
            waiting = [run for run in job.runs.values() if run.place == "after_previous" and run.phase == "waiting"]
            for run in sorted(waiting, key=lambda one: (one.row.slot_us, one.seq)):
                self._offer(run)
                if run.after_previous and run.place != "after_previous":
                    break
            self._wake_at(job, self._now)

    def _make_places(self) -> None:
        """Call back runs that are prepared ahead, where runs whose time has come wait for their places.

        They are prepared on their slot then: to go on trying would throw one preparation away after another.
        """
        if not self._ahead:
            return
        self._ahead = {
            name: run for name, run in self._ahead.items() if run.phase in UNDER_WAY and self._is_well_ahead(run)
        }
        ahead = [run for run in self._ahead.values() if run.phase == "ordered"]
        wanted = self._queue.wanted(self._now + EARLY_US) - (len(self._ahead) - len(ahead))
        for run in sorted(ahead, key=lambda one: one.not_before_us, reverse=True)[: max(0, wanted)]:
            run.backoff_until_us = run.not_before_us - EARLY_US
            self._recall(run)

    def _is_well_ahead(self, run: Run) -> bool:
        """Say whether there is the time to call a run back before its slot."""
        return run.not_before_us > self._now + SECOND

    def _order(self, run: Run) -> None:
        """Send a run's order, unless its lock is held."""
        job = self._jobs[run.job]
        spec = job.spec
        if spec is None or self._queue.locked(run, spec.run.lock) or not run.advance("order"):
            return
        self._queue.hold(run, spec.run.lock)
        if self._is_well_ahead(run):
            self._ahead[run.row.id] = run
        row = run.row
        if row.definition_sha256 != spec.sha256:
            row.definition_sha256 = spec.sha256
            self._effects.change(row)
        run.token = max(run.token + 1, self._now)
        start = Start(
            run=row.id,
            job=row.job,
            spec=spec,
            slot_us=row.slot_us,
            attempt=row.attempt,
            trigger=row.trigger,
            not_before_us=run.not_before_us,
            kwargs=run.kwargs,
            token=run.token,
        )
        self._effects.start(start, self._now)

    def _take_up(self, run: Run) -> None:
        """Decide about a claimed run that has not been started: in time, made up for by ``missed``, or missed."""
        job = self._jobs[run.job]
        if job.spec is None:
            run.place = "restored"
            self._restored.append(run)  # its file is broken and has no good version: it waits until there is one
            return
        late = self._now - run.not_before_us
        policy = job.spec.run
        if not run.counts_toward_runs or run.after_previous or late <= GRACE_US:
            self._offer(run)
        elif policy.missed == "skip" or late > policy.missed_within_us:
            self._close(run, "missed", "it was claimed, but could not be started in time")
        else:
            self._offer(run)

    # ------------------------------------------------------------------ what became of an order

    def started(  # noqa: PLR0913 - all that is known of a start
        self,
        run_id: str,
        *,
        pid: int | None,
        shim_pid: int | None,
        at_us: int,
        git_commit: str | None = None,
        git_dirty: bool | None = None,
    ) -> None:
        """Take down that a run's job has started. News that comes twice, or of no open run, is ignored."""
        run = self._runs.get(run_id)
        if run is None:
            return
        run.shim_pid = shim_pid if shim_pid is not None else run.shim_pid
        if not run.advance("started"):
            return
        run.deferred = False
        row = run.row
        row.state, row.pid, row.started_us = "running", pid, at_us
        row.git_commit, row.git_dirty = git_commit, git_dirty
        self._effects.change(row)
        if run.stop is not None:
            self._stop(run, run.stop)

    def adopted(self, run_id: str, *, shim_pid: int) -> None:
        """Take down the shim of a run that the akjobd before had started."""
        run = self._runs.get(run_id)
        if run is not None:
            run.shim_pid = shim_pid

    def ended(self, run_id: str, end: End, now_us: int) -> None:
        """Take down a run's end; a retry is claimed in the same commit. News that comes twice is ignored."""
        self._now = now_us
        run = self._runs.get(run_id)
        if run is None or not run.advance(end.state):
            return
        self._queue.release(run)
        row = run.row
        row.state, row.reason, row.ended_us = end.state, end.reason, end.ended_us
        row.started_us = end.started_us if end.started_us is not None else row.started_us
        row.exit_code, row.signal, row.error, row.result = end.exit_code, end.signal, end.error, end.result
        row.pid = end.pid if end.pid is not None else row.pid
        row.user_cpu_s, row.system_cpu_s = end.user_cpu_s, end.system_cpu_s
        row.max_rss_bytes = end.max_rss_bytes
        job = self._forget(run)
        job.row.last_run, job.row.last_state, job.row.last_ended_us = row.id, end.state, end.ended_us
        job.row.again_from_us = end.ended_us
        self._retry(job, run)
        self._effects.job(run.job)

    def lost(self, run_id: str, now_us: int, reason: str) -> None:
        """Take down that a run's shim is gone without an end."""
        self.ended(run_id, End(state="lost", ended_us=now_us, reason=reason), now_us)

    def never_started(self, run_id: str, now_us: int, reason: str, token: int | None = None) -> None:
        """Take down that an order has not been started and never will be: it was called back, or the fork failed.

        It goes out again with another token, if it is still wanted and ``missed`` allows. ``token`` says which order
        this is about: late news of an earlier one are ignored.
        """
        self._now = now_us
        run = self._runs.get(run_id)
        if run is None or (token is not None and run.token not in (0, token)):
            return
        called_back, run.deferred = run.phase == "recalled", False
        if not run.advance("unstarted"):
            return
        self._queue.release(run)
        self._stirred[run.job] = None
        if run.drop is not None:
            self._close(run, *run.drop)
            return
        if not called_back:
            run.tries += 1
            run.backoff_until_us = 0 if run.tries == 1 else now_us + min(SECOND << (run.tries - 2), _TRIES_UP_TO_US)
            run.row.reason = reason
            self._effects.change(run.row)
        if self.draining:
            run.place = "restored"
            self._restored.append(run)
        else:
            self._take_up(run)

    def refused(self, run_ids: Iterable[str]) -> None:
        """Forget claims that the ledger refused: their slots have a row already. Their starts must not be sent."""
        ids = set(run_ids)
        for job in self._jobs.values() if ids else ():
            if job.tail is not None and job.tail.id in ids:
                job.tail = None
        for run_id in ids:
            run = self._runs.get(run_id)
            if run is not None:
                if run.phase in UNDER_WAY:
                    self._queue.release(run)
                run.phase = "skipped"
                self._uncount(run)
                self._forget(run)
                self._effects.unchange(run_id)

    def _retry(self, job: Job, run: Run) -> None:
        """Claim the next attempt of a run that failed, if there is one."""
        row, spec = run.row, job.spec
        if row.state not in RETRIED or spec is None or row.attempt >= spec.run.retry.attempts or run.stop is not None:
            return
        if not run.manual and (not spec.enabled or job.paused_at(self._now)):
            return
        at = (row.ended_us or self._now) + backoff_us(spec.run.retry, row.attempt)
        if row.started_us is None:  # it failed while it was prepared: the slot may be still to come
            at = max(at, run.not_before_us)
        again = self._row(job, spec, row.slot_us, "retry")
        again.attempt = row.attempt + 1
        following = Run(
            row=again,
            job=run.job,
            seq=self._next_seq(),
            not_before_us=at,
            manual=run.manual,
            kwargs=run.kwargs,
        )
        self._effects.wait(following, Wait(run=again.id, not_before_us=at, manual=run.manual, kwargs=run.kwargs))
        self._enter(job, following)
        self._effects.say_of(
            "run.retrying", again, attempts=spec.run.retry.attempts, not_before=to_text(at), previous=row.id
        )

    # ------------------------------------------------------------------ ending what is under way or waits

    def _close(self, run: Run, state: State, reason: str) -> None:
        """End a run that waits."""
        if not run.advance(CLOSE[state]):
            return
        row = run.row
        row.state, row.reason, row.ended_us = state, reason, self._now
        self._uncount(run)
        self._forget(run)
        if state == "cancelled":
            self._effects.say_of("run.finished", row)
        else:
            self._effects.say_of(f"run.{state}", row, slot_last=to_text(row.slot_last_us), count=row.count)

    def _drop(self, run: Run, state: State, reason: str) -> None:
        """End a run that has not started; one whose order is out is called back first."""
        if run.phase == "waiting":
            self._close(run, state, reason)
        elif run.phase in ("ordered", "recalled"):
            run.drop = (state, reason)
            self._recall(run)

    def _drop_waiting(self, job: Job, reason: str, *, manual: bool = False) -> None:
        for run in list(job.runs.values()):
            if manual or not run.manual:
                self._drop(run, "skipped", reason)

    def _recall(self, run: Run) -> None:
        """Call an order back; one that has not been handed out yet is simply withdrawn."""
        if not run.advance("recall"):
            return
        if self._effects.recall(run):
            self.never_started(run.row.id, self._now, "")

    def _stop(self, run: Run, reason: str) -> None:
        """End a run wherever it stands."""
        run.stop = reason
        if run.phase in ("waiting", "ordered", "recalled"):
            self._drop(run, "cancelled", reason)
        elif run.advance("stop"):
            self._effects.stop(run, reason)

    def _make_way(self, job: Job, slot_us: int, besides: Run | None = None) -> None:
        """End the runs of a job for a later slot (``overlap = "replace"``)."""
        reason = f"replaced by the slot {to_text(slot_us)}"
        for run in list(job.runs.values()):
            if run is besides:
                continue
            if run.phase in ("waiting", "ordered", "recalled"):
                run.stop = reason
                self._drop(run, "skipped", reason)
            else:
                self._stop(run, reason)

    def _uncount(self, run: Run) -> None:
        if run.counts_toward_runs:
            job = self._jobs[run.job]
            job.row.runs_started = max(0, job.row.runs_started - 1)
            self._effects.job(run.job)

    def _forget(self, run: Run) -> Job:
        """Let go of a run that has ended."""
        job = self._jobs[run.job]
        self._effects.change(run.row)
        self._runs.pop(run.row.id, None)
        job.runs.pop(run.row.id, None)
        self._effects.waited(run)
        if counts_on(job):
            job.next_us = None
        self._stirred[run.job] = None
        return job

    def _delete_if_done(self, job: Job, spec: JobSpec) -> None:
        if spec.when_done == "delete" and not job.runs and not job.deleting:
            job.deleting = True
            self._effects.delete(spec.file)

    # ------------------------------------------------------------------ what people ask for

    def ask_run(self, name: str, kwargs: Mapping[str, Any] | None, now_us: int) -> str:
        """Claim a run by hand, whatever ``enabled``, pauses and limits say, and return its id. Raises AkjobError."""
        self._now = now_us
        job = self._named(name)
        spec = job.spec
        if spec is None:
            raise self._not_loaded(name)
        if self.draining:
            raise AkjobError("akjobd is being stopped and starts nothing more", hint="start it again with `akjob up`")
        check_arguments(spec, kwargs)
        if spec.run.overlap != "allow":
            self._make_room(job)
        slot = job.asked_us + 1 if now_us <= job.asked_us < now_us + SECOND else now_us  # no two are the same
        slot += slot % SECOND == 0  # whole seconds are for scheduled slots
        job.asked_us = slot
        row = self._row(job, spec, slot, "manual")
        run = Run(row=row, job=name, seq=self._next_seq(), not_before_us=now_us, manual=True, kwargs=kwargs or None)
        if kwargs:
            self._effects.wait(run, Wait(run=row.id, manual=True, kwargs=kwargs))
        self._enter(job, run)
        return row.id

    def _make_room(self, job: Job) -> None:
        """Call back what was ordered well ahead of its slot, where it is decided anew; raise AkjobError if busy."""
        for run in job.runs.values():
            if self._is_well_ahead(run):
                continue
            if run.phase in UNDER_WAY or run.place in ("ready", "locked", "after_previous"):
                name = job.row.job
                raise AkjobError(
                    f"{name} is busy: {busy_with(run)}",
                    hint=f'`akjob stop {name}` ends it; overlap = "allow" in the job file lets two run at once',
                )
        self._defer(job)

    def _defer(self, job: Job) -> None:
        """Have what is prepared well ahead of its slot decided anew there, for something comes before it."""
        for run in list(job.runs.values()):
            if not self._is_well_ahead(run):
                continue
            run.deferred = run.phase == "ordered"
            if run.deferred:
                self._recall(run)
            elif run.phase == "waiting" and run.place in ("ready", "locked"):
                run.place = "timed"
                heapq.heappush(self._timed, (run.not_before_us - EARLY_US, run.seq, run))

    def ask_stop(self, target: str, by: str, now_us: int) -> list[str]:
        """End a run, by its id or the beginning of it, or all runs of a job; return their ids. Raises AkjobError."""
        self._now = now_us
        runs = [self._runs[target]] if target in self._runs else []
        if not runs and target in self._jobs:
            runs = list(self._jobs[target].runs.values())
            if not runs:
                raise AkjobError(f"{target} is not running", hint="`akjob status` shows what runs")
        if not runs:
            runs = [run for run_id, run in self._runs.items() if target and run_id.startswith(target)]
            if len(runs) > 1:
                raise AkjobError(f"{target!r} fits {len(runs)} runs", hint="give more of the run's id")
        if not runs:
            raise AkjobError(
                f"{target!r} is neither a job nor a run that is under way",
                hint="`akjob status` shows what runs, `akjob list` the jobs",
                exit_code=2,
            )
        ids = [run.row.id for run in runs]
        for run in runs:
            self._stop(run, f"stopped by {by}")
        return ids

    def pause(self, name: str, until_us: int | None, reason: str, by: str, now_us: int) -> None:
        """Let a job start nothing until an instant, or until it is resumed. Raises AkjobError."""
        self._now = now_us
        job = self._named(name)
        if until_us is not None and until_us <= now_us:
            raise AkjobError(f"{to_text(until_us)} has passed", hint="give an instant that is still to come")
        if not self.draining:
            self._look(job)
        row = job.row
        row.paused_at_us, row.paused_until_us = now_us, until_us
        row.pause_reason, row.paused_by = reason or None, by
        self._effects.job(name)
        self._drop_waiting(job, pause_text(row))
        self._wake_at(job, now_us)

    def resume(self, name: str, now_us: int) -> None:
        """End a job's pause; the slots up to now are skipped. Raises AkjobError."""
        self._now = now_us
        job = self._named(name)
        if not job.paused_at(now_us):
            raise AkjobError(f"{name} is not paused", hint="`akjob show` tells what else may keep it from running")
        if not self.draining:
            self._look(job)
        self._unpause(job)
        self._wake_at(job, now_us)

    def reset(self, name: str, now_us: int) -> None:
        """Forget how many runs a job has had, and a mark that a wrong clock put into the future. Raises AkjobError."""
        self._now = now_us
        job = self._named(name)
        was_done = job.spec is not None and done(job.spec, job.row.runs_started)
        ahead = any(run.counts_toward_runs and run.row.slot_us > now_us for run in job.runs.values())
        if was_done or (job.row.watermark_us > now_us and not ahead):
            job.row.watermark_us = now_us
        job.row.runs_started = 0
        job.row.first_loaded_us = min(job.row.first_loaded_us, now_us)  # `again_after` counts from one of these
        if job.row.again_from_us is not None:
            job.row.again_from_us = min(job.row.again_from_us, now_us)
        job.next_us = None
        job.deleting = False
        self._effects.job(name)
        self._wake_at(job, now_us)

    def set_max_running(self, max_running: int | None) -> None:
        """Let another bound hold from the next turn on; runs under way are left alone."""
        self._queue.max_running = max_running

    def drain(self, now_us: int, *, kill: bool = False, reason: str = "akjob down --kill") -> None:
        """Start nothing more; with ``kill`` end what runs. What waits stays in the ledger for the next akjobd."""
        self._now = now_us
        self.draining = True
        for run in list(self._runs.values()):
            if run.phase == "ordered" and (run.not_before_us > now_us or kill):
                self._recall(run)
            if kill and run.phase != "waiting":
                if run.phase == "recalled":
                    run.stop = reason
                else:
                    self._stop(run, reason)

    def _unpause(self, job: Job) -> None:
        row = job.row
        row.paused_at_us = row.paused_until_us = row.pause_reason = row.paused_by = None
        self._effects.job(row.job)

    def _named(self, name: str) -> Job:
        job = self._jobs.get(name)
        if job is None or (job.spec is None and job.row.removed_us is not None):
            raise self._not_loaded(name)
        return job

    def _not_loaded(self, name: str) -> AkjobError:
        broken = self._broken.get(name)
        if broken is not None:
            where = f"{broken.file}:{broken.line}:{broken.column}"
            return AkjobError(
                f"{name} cannot be loaded: {where}: {broken.message}",
                hint=broken.hint or f"`akjob validate {broken.file}`",
            )
        near = difflib.get_close_matches(name, [job.row.job for job in self._jobs.values() if job.spec is not None], 1)
        hint = f"did you mean {near[0]}?" if near else "`akjob list` shows the jobs"
        return AkjobError(f"there is no job {name}", hint=hint, exit_code=2)

    # ------------------------------------------------------------------ what comes out

    @property
    def pending(self) -> bool:
        """Whether :meth:`effects` has anything."""
        return self._effects.pending

    @property
    def urgent(self) -> bool:
        """Whether a run waits for the effects; what is only to be written down may be gathered for a moment."""
        return self._effects.urgent

    def effects(self) -> Effects:
        """Return what is to be done, and begin to collect anew. The rows in it are copies."""
        return self._effects.take(lambda name: self._jobs[name].row)

    def running(self) -> list[Running]:
        """Return the runs whose orders are out, oldest first."""
        return [running_of(run) for run in self._runs.values() if run.phase in UNDER_WAY]

    def run(self, run_id: str) -> Running | None:
        """Return an open run, whether its order is out or it waits, or None."""
        run = self._runs.get(run_id)
        return None if run is None else running_of(run)

    @property
    def under_way(self) -> int:
        """How many runs have an order out; a drained agenda with none may end."""
        return self._queue.under_way

    def knows(self, run_id: str) -> bool:
        """Say whether this run is open."""
        return run_id in self._runs

    def _next_seq(self) -> int:
        self._seq += 1
        return self._seq
