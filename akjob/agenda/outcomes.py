"""What became of orders: runs that started, ended, were lost, never started or were refused by the ledger."""

from collections.abc import Iterable

from akjob.agenda.book import Book
from akjob.agenda.jobs import AgendaJob, backoff_us
from akjob.agenda.life import RETRIED, LiveRun
from akjob.agenda.waiting import Waiting
from akjob.instants import SECOND, to_text
from akjob.ledger.model import Detail, RunRow, State
from akjob.run.end import End


class Outcomes:
    """Takes reports down. A report that comes twice, or is of no open run, is ignored."""

    def __init__(self, book: Book, waiting: Waiting) -> None:
        self._book = book
        self._waiting = waiting

    def started(  # noqa: PLR0913 - all that is known of a start
        self,
        run_id: str,
        *,
        pid: int | None,
        shim_pid: int | None,
        at_us: int,
        git_commit: str | None,
        git_dirty: bool | None,
    ) -> None:
        """Take down that a run's job has started."""
        run = self._book.runs.get(run_id)
        if run is None:
            return
        run.shim_pid = shim_pid if shim_pid is not None else run.shim_pid
        if not run.advance("started"):
            return
        run.deferred = False
        row = run.row
        row.state, row.pid, row.started_us = "running", pid, at_us
        row.git_commit, row.git_dirty = git_commit, git_dirty
        self._book.effects.change(row)
        detail = Detail(
            trigger=row.trigger,
            definition_sha256=row.definition_sha256,
            git_commit=git_commit,
            git_dirty=git_dirty,
            late_s=max(0, at_us - run.not_before_us) / SECOND,
        )
        self._book.effects.run_moved(row, "queued", at_us, detail)
        if run.stop is not None:
            self._waiting.stop(run, run.stop, at_us)

    def ended(self, run_id: str, end: End, now_us: int) -> None:
        """Take down a run's end; a retry is claimed in the same commit."""
        run = self._book.runs.get(run_id)
        has_place = run is not None and run.under_way
        if run is None or not run.advance(end.state):
            return
        if has_place:
            self._waiting.release(run)
        row, before = run.row, run.row.state
        row.started_us = end.started_us if end.started_us is not None else row.started_us
        row.state, row.reason, row.ended_us = end.state, end.reason, _not_before_start(row, end.ended_us)
        row.exit_code, row.signal, row.error, row.result = end.exit_code, end.signal, end.error, end.result
        row.pid = end.pid if end.pid is not None else row.pid
        row.user_cpu_s, row.system_cpu_s = end.user_cpu_s, end.system_cpu_s
        row.max_rss_bytes = end.max_rss_bytes
        job = self._waiting.forget(run)
        job.row.last_run, job.row.last_state, job.row.last_ended_us = row.id, end.state, row.ended_us
        job.row.again_from_us = end.ended_us
        if row.trigger == "change" and row.started_us is not None:
            job.changing = (*job.changing[-1:], (row.started_us, end.ended_us))
        at_us = self._retry_at(job, run, now_us)
        self._book.effects.run_moved(row, before, end.ended_us, _end_detail(row, retried=at_us is not None))
        if at_us is None:
            self._book.ended(row, end.ended_us)
        else:
            self._retry(job, run, at_us, now_us)
        self._book.effects.job(run.job)

    def give_up(self, reason: str, run: LiveRun, now_us: int) -> None:
        """End a run of which akjob can take down nothing else: its row says why, and nothing waits for it.

        It uses as little as can be of what every end uses: some of that has raised. No retry comes of it.
        """
        try:
            self.fail_row(run.row, reason, now_us)
        finally:
            self._book.drop(run)
            self._waiting.queue.release(run)

    def fail_row(self, row: RunRow, reason: str, now_us: int) -> None:
        """Write down that akjob can do nothing for an open row."""
        before: State = (
            "queued" if row.started_us is None else "running"
        )  # its state may be that of the end that has raised
        row.state, row.reason, row.ended_us = "failed", reason, _not_before_start(row, now_us)
        effects = self._book.effects
        effects.correct(row)
        effects.run_moved(row, before, now_us, Detail(trigger=row.trigger, reason=reason, cause=row.cause))

    def refused(self, run_ids: Iterable[str]) -> None:
        """Forget claims that the ledger refused: their slots have a row already. Their starts must not be sent."""
        ids = set(run_ids)
        for job in self._book.jobs.values() if ids else ():
            if job.tail is not None and job.tail.id in ids:
                job.tail = None
        for run_id in ids:
            run = self._book.runs.get(run_id)
            if run is not None:
                self._waiting.refused(run)

    def _retry_at(self, job: AgendaJob, run: LiveRun, now_us: int) -> int | None:
        """Return when the next attempt of a run that failed is to start, or None if there is none."""
        row, spec = run.row, job.spec
        if row.state not in RETRIED or spec is None or run.stop is not None:
            return None
        codes = spec.run.retry.codes
        if codes and row.state == "failed" and row.exit_code not in codes:
            return None
        here = self._book.here
        if row.scope and here is not None and here.node != row.scope:
            return None  # its node is lost, and the other nodes have runs of their own
        attempt = row.attempt - run.first_attempt + 1
        if attempt >= spec.run.retry.attempts:
            return None
        was_asked_for = run.manual or run.backfill is not None
        if not was_asked_for and (not spec.enabled or job.paused_at(now_us)):
            return None
        at_us = min(row.ended_us or now_us, now_us) + backoff_us(spec.run.retry, attempt)
        # one that failed while it was prepared: the slot may be still to come
        return at_us if row.started_us is not None else max(at_us, run.not_before_us)

    def _retry(self, job: AgendaJob, run: LiveRun, at_us: int, now_us: int) -> None:
        """Claim the next attempt."""
        spec, row = job.spec, run.row
        if spec is None:
            return
        again = self._book.new_row(job, spec, row.slot_us, "retry", now_us, cause=row.cause)
        again.attempt, again.scope = row.attempt + 1, row.scope
        following = LiveRun(
            row=again,
            job=run.job,
            seq=self._book.next_seq(),
            not_before_us=at_us,
            manual=run.manual,
            kwargs=run.kwargs,
            files=run.files,
            first_attempt=run.first_attempt,
            backfill=run.backfill,
        )
        self._waiting.enter(job, following, now_us)
        self._book.effects.say_of(
            "run.retrying", again, attempts=spec.run.retry.attempts, not_before=to_text(at_us), previous=row.id
        )


def _not_before_start(row: RunRow, ended_us: int) -> int:
    """Return when a run ended, as its row has it: not before its start, also where the clock was set back meanwhile."""
    return max(ended_us, row.started_us or 0)


def _end_detail(row: RunRow, *, retried: bool) -> Detail:
    return Detail(
        trigger=row.trigger,
        reason=row.reason,
        exit_code=row.exit_code,
        signal=row.signal,
        error=row.error,
        by=row.by,
        cause=row.cause,
        duration_s=None if row.started_us is None else max(0, (row.ended_us or 0) - row.started_us) / SECOND,
        max_rss_bytes=row.max_rss_bytes,
        retried=retried,
    )
