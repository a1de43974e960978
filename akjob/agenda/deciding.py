"""Decisions about one job at a time: what :mod:`akjob.due` says becomes claims and rows."""

from akjob.agenda.book import Book
from akjob.agenda.jobs import AgendaJob, busy, is_catching_up, pause_text
from akjob.agenda.life import LiveRun
from akjob.agenda.waiting import Waiting
from akjob.due import FEW, FOREVER, Decision, Known, Timing, Verdict, decide, done, timing
from akjob.instants import to_text
from akjob.ledger.model import Detail, RunRow, State
from akjob.schedule import Memory, next_slot
from akjob.spec.model import JobSpec


class Deciding:
    """Looks at a job, and does what was decided about its slots."""

    def __init__(self, book: Book, waiting: Waiting) -> None:
        self._book = book
        self._waiting = waiting

    def decide(self, job: AgendaJob, now_us: int) -> bool:
        """Decide about one job, and say when to look again; return True if a slot was due."""
        job.wake_us = None
        self.account_for(job, now_us)
        spec, when = job.spec, job.when
        if spec is None or when is None or self.is_of_others(spec):
            return False
        if self._is_ordinary(job, spec, when):
            was_due = self._decide_ordinary(job, spec, when, now_us)
            if was_due is not None:
                return was_due
        if any(one.at_us <= now_us for one in job.occurrences.values()):
            self._waiting.defer(job, now_us)  # it comes before what is prepared well ahead of its slot
        decision = decide(spec, when, self._known(job, spec), now_us)
        self._apply(job, spec, decision, now_us)
        if job.row.paused_at_us is not None and not job.paused_at(now_us):
            self.unpause(job, now_us)
            self._book.wake_at(job, now_us)
        elif done(spec, job.row.runs_started):
            job.next_us = None  # no slot is left to account for
            self._delete_if_done(job, spec)
        else:
            job.next_us = decision.next_us
            self._book.wake_at(job, decision.wake_us)
        return bool(decision.verdicts)

    def is_of_others(self, spec: JobSpec) -> bool:
        """Return True if a job runs on every node that has what it needs, and this one does not."""
        here = self._book.here
        return here is not None and here.is_of_others(spec)

    def account_for(self, job: AgendaJob, now_us: int) -> None:
        """Let the schedule before an edit account for its slots up to the loading."""
        if job.before is None:
            return
        spec, loading_us = job.before
        job.before = None
        if job.row.watermark_us in job.slots_ahead(loading_us):
            job.row.watermark_us = loading_us
            return
        decision = decide(spec, timing(spec), self._known(job, spec), now_us, loading_us)
        self._apply(job, spec, decision, now_us)
        job.row.watermark_us = max(job.row.watermark_us, loading_us)
        job.next_us = None
        self._book.effects.job(job.row.job)
        if job.spec is not None and not job.spec.enabled:
            self._waiting.drop_all(job.scheduled_runs(), "the job is disabled", now_us)

    def unpause(self, job: AgendaJob, now_us: int, by: str | None = None) -> None:
        """End a job's pause."""
        row = job.row
        self._book.effects.job_moved(row.job, "resumed", now_us, Detail(by=by))
        row.paused_at_us = row.paused_until_us = row.pause_reason = row.paused_by = None
        self._book.effects.job(row.job)

    # ------------------------------------------------------------------ what is known

    def _is_ordinary(self, job: AgendaJob, spec: JobSpec, when: Timing) -> bool:
        """Return True if nothing but the calendar has a say in the next slot: no run, no bound, no pause, no event."""
        special = not spec.enabled or spec.runs is not None or when.stateful is not None
        waits = job.runs or job.elsewhere or job.claimed or job.occurrences
        return not (special or waits or job.row.paused_at_us is not None)

    def _decide_ordinary(self, job: AgendaJob, spec: JobSpec, when: Timing, now_us: int) -> bool | None:
        """Find the next slot of an ordinary job, and claim it where its order is due before its start.

        That is nearly every decision, and comes to what :func:`decide` comes to, without the values made for one.
        Return whether a slot was due, or None: all rules are to be asked.
        """
        row, upcoming = job.row, job.next_us
        if upcoming is None:
            upcoming = job.next_us = next_slot(when.plan, row.watermark_us)
            if upcoming is None:
                return False
        start_us, is_free = upcoming + when.jitter_us, self._waiting.queue.free(spec)
        wake_us = start_us - (when.ahead_us(self._book.early_us) if is_free else 0)
        if wake_us > now_us:
            self._book.wake_at(job, wake_us)
            return False
        if start_us <= now_us or spec.run.overlap == "allow" or upcoming <= row.watermark_us:
            return None
        begin = Verdict(action="start", slot_us=upcoming, slot_last_us=upcoming, not_before_us=start_us)
        self._claim(job, spec, begin, now_us)
        row.watermark_us = upcoming
        following = job.next_us = next_slot(when.plan, upcoming)
        # The run just claimed may be under way by then, so that its start has to come before that is decided.
        self._book.wake_at(job, None if following is None else following + when.jitter_us)
        return True

    def _known(self, job: AgendaJob, spec: JobSpec) -> Known:
        row = job.row
        until_us = None
        if row.paused_at_us is not None:
            until_us = FOREVER if row.paused_until_us is None else row.paused_until_us
        return Known(
            watermark_us=row.watermark_us,
            memory=Memory(
                loaded_us=row.first_loaded_us,
                last_end_us=row.again_from_us,
                running=bool(job.runs or job.elsewhere),
            ),
            next_us=job.next_us,
            started=row.runs_started,
            paused_until_us=until_us,
            pause_reason=pause_text(row),
            busy=busy(job),
            queued=any(run.after_previous and run.phase == "waiting" for run in job.runs.values()),
            catching_up=is_catching_up(job, spec),
            ahead=self._waiting.queue.free(spec),
            early_us=self._book.early_us,
            claimed=job.claimed,
            occurrences=tuple(job.occurrences.values()),
        )

    # ------------------------------------------------------------------ what was decided

    def _apply(self, job: AgendaJob, spec: JobSpec, decision: Decision, now_us: int) -> None:
        for verdict in decision.verdicts:
            if verdict.action in ("skipped", "missed"):
                self.close_slots(job, spec, verdict, now_us)
            else:
                if verdict.action == "replace":
                    self._waiting.make_way(job, verdict.slot_us, now_us)
                self._claim(job, spec, verdict, now_us)
        for occurrence in decision.decided:
            self._book.decided(job, occurrence)
        if decision.watermark_us != job.row.watermark_us:
            job.row.watermark_us = decision.watermark_us
            self._book.effects.job(job.row.job)

    def close_slots(self, job: AgendaJob, spec: JobSpec, verdict: Verdict, now_us: int) -> None:
        """Write down slots that start nothing: a row each, and when that goes on and on one row that grows."""
        state: State = "missed" if verdict.action == "missed" else "skipped"
        tail = job.tail
        goes_on = tail is not None and (tail.state, tail.reason) == (state, verdict.reason)
        job.tail_length = verdict.count + (job.tail_length if goes_on else 0)
        if tail is not None and goes_on and job.tail_length > FEW and tail.slot_last_us < verdict.slot_us:
            tail.slot_last_us = verdict.slot_last_us
            tail.count += verdict.count
            tail.ended_us = now_us
            self._book.effects.change(tail)
            self._closed(tail, verdict, now_us)
            return
        row = self._book.new_row(
            job, spec, verdict.slot_us, verdict.trigger, now_us, state=state, reason=verdict.reason, ended_us=now_us
        )
        row.slot_last_us, row.count = verdict.slot_last_us, verdict.count
        if verdict.occurrence is not None:
            row.attempt = self._book.next_attempt(row.job, row.slot_us)
            row.cause = verdict.occurrence.cause
        job.tail = row
        self._book.effects.claim(row)
        self._closed(row, verdict, now_us)
        self._book.effects.say_of(f"run.{state}", row, slot_last=to_text(row.slot_last_us), count=row.count)

    def _closed(self, row: RunRow, verdict: Verdict, now_us: int) -> None:
        """Emit that slots were skipped or missed."""
        last = to_text(verdict.slot_last_us) if verdict.count > 1 else None
        detail = Detail(
            trigger=verdict.trigger, reason=verdict.reason, count=verdict.count, slot_last=last, cause=row.cause
        )
        self._book.effects.run_moved(row, None, now_us, detail, verdict.slot_us)
        self._book.ended(row, now_us, (verdict.slot_us, verdict.slot_last_us, verdict.count))

    def _claim(self, job: AgendaJob, spec: JobSpec, verdict: Verdict, now_us: int) -> None:
        row, occurrence = self._book.new_row(job, spec, verdict.slot_us, verdict.trigger, now_us), verdict.occurrence
        run = LiveRun(
            row=row,
            job=job.row.job,
            seq=self._book.next_seq(),
            not_before_us=verdict.not_before_us,
            after_previous=verdict.action != "start",
            counts_toward_runs=True,
        )
        if occurrence is not None:
            row.attempt = run.first_attempt = self._book.next_attempt(row.job, row.slot_us)
            row.cause, run.files = occurrence.cause, occurrence.files
        job.row.runs_started += 1
        if done(spec, job.row.runs_started):
            self._book.effects.job_moved(row.job, "done", now_us)
        self._book.effects.job(job.row.job)
        self._waiting.enter(job, run, now_us)

    def _delete_if_done(self, job: AgendaJob, spec: JobSpec) -> None:
        if spec.when_done == "delete" and not job.runs and not job.deleting:
            job.deleting = True
            self._book.effects.delete(spec.file)
