"""What other nodes of a cluster do: their open runs, their word about jobs, and starts that are not permitted."""

from collections.abc import Iterable, Mapping

from akjob.agenda.book import Book
from akjob.agenda.jobs import AgendaJob, pause_text, unknown_row
from akjob.agenda.life import CALENDAR, LiveRun
from akjob.agenda.waiting import Waiting
from akjob.instants import SECOND
from akjob.ledger.model import BY_ITSELF, Blocked, JobRow, News, OpenRun, RunRow, Wait, backfill_of
from akjob.spec.model import JobSpec

_AGAIN_US = 5 * SECOND  # news of an end comes at once; this is for news that was lost
_SHARED = (
    "watermark_us", "runs_started", "paused_at_us", "paused_until_us", "pause_reason", "paused_by", "again_from_us",
    "last_run", "last_state", "last_ended_us", "first_loaded_us",
)  # fmt: skip


class Elsewhere:
    """Takes news in. Each job knows its open runs on other nodes, and is busy with them as with its own."""

    def __init__(self, book: Book, waiting: Waiting) -> None:
        self._book = book
        self._waiting = waiting
        self._blocked: dict[str, LiveRun] = {}

    def take(self, news: News, now_us: int) -> None:
        """Take in what other nodes wrote."""
        for row in news.jobs:
            self._merge(row, now_us)
        for run_id in news.over:
            self.forget(run_id)
        for one in news.open_runs:
            self._learn(one, now_us)
        for run_id, reason, by in news.stops:
            run = self._book.runs.get(run_id)
            if run is not None:
                self._waiting.stop(run, reason, now_us, by)
        if news.over:
            self._try_again(now_us)

    def blocked(self, found: Iterable[Blocked], now_us: int) -> None:
        """Let starts that the cluster does not permit wait, or skip their slots. They must not be sent."""
        for one in found:
            run = self._book.runs.get(one.run)
            if run is None or not run.advance("unstarted"):
                continue
            self._waiting.release(run)
            self._wait(self._book.jobs[run.job], run, one, now_us)

    def _wait(self, job: AgendaJob, run: LiveRun, one: Blocked, now_us: int) -> None:
        overlap = "skip" if job.spec is None else job.spec.run.overlap
        is_slot = run.counts_toward_runs and not run.after_previous
        if one.kind == "pause":
            self._waiting.close(run, "skipped", one.reason, now_us)
            return
        if one.kind == "job" and is_slot and overlap == "skip":
            self._waiting.close(run, "skipped", f"{one.reason} still runs", now_us)
            return
        if one.kind == "job":
            run.after_previous = True
            self._waiting.keep_wait(run)
        if one.kind == "job" and is_slot and overlap == "replace":
            self._waiting.make_way(job, run.row.slot_us, now_us, besides=run)
        run.backoff_until_us = now_us + _AGAIN_US
        self._blocked[run.row.id] = run
        self._waiting.offer(run, now_us)

    def _try_again(self, now_us: int) -> None:
        """Offer the runs again that waited for what another node holds."""
        blocked, self._blocked = self._blocked, {}
        for run in sorted(blocked.values(), key=lambda one: one.rank):
            run.backoff_until_us = 0
            if run.phase == "waiting":
                self._waiting.offer(run, now_us)

    def behind(self, marks: Mapping[str, int], now_us: int) -> None:
        """Decide again about jobs, from what other nodes have accounted for."""
        for name, mark_us in marks.items():
            job = self._book.jobs[name]
            job.row.watermark_us = mark_us
            job.next_us = job.tail = None
            self._book.wake_at(job, now_us)

    def handed(self, run_ids: Iterable[str], now_us: int) -> None:
        """Give up runs that wait for a node to take them. Their starts must not be sent."""
        for run_id in run_ids:
            run = self._book.runs.pop(run_id, None)
            if run is None:
                continue
            self._waiting.release(run)
            job = self._book.jobs[run.job]
            job.runs.pop(run_id, None)
            run.elsewhere, run.phase, run.row.node = True, "waiting", None
            run.waiting_for = "time" if run.not_before_us > now_us + SECOND else "max_running"
            job.elsewhere[run_id] = self._book.elsewhere[run_id] = run

    def definition(self, row: RunRow) -> JobSpec | None:
        """Return the definition that a run was claimed with, where this node's checkout has it or had it."""
        job = self._book.jobs.get(row.job)
        spec = None if job is None else job.spec
        if spec is not None and spec.sha256 == row.definition_sha256:
            return spec
        return self._book.former.get(row.definition_sha256 or "") if spec is not None else None

    def take_over(self, one: OpenRun, spec: JobSpec, now_us: int) -> None:
        """Run here what another node decided about, by the definition that it was claimed with."""
        self.forget(one.row.id)
        run = self.adopt(one)
        self._waiting.order_taken(run, spec, now_us)

    def adopt(self, one: OpenRun) -> LiveRun:
        """Make a run that has not started this node's own."""
        row, wait = one.row, one.wait or Wait(run=one.row.id)
        job = self._book.jobs.setdefault(row.job, AgendaJob(row=unknown_row(row.job, row.queued_us)))
        jitter_us = job.when.jitter_us if job.when is not None and row.trigger in CALENDAR else 0
        run = LiveRun(
            row=row,
            job=row.job,
            seq=self._book.next_seq(),
            not_before_us=wait.not_before_us or row.slot_us + jitter_us,
            after_previous=wait.after_previous,
            manual=wait.manual or row.trigger == "manual",
            counts_toward_runs=row.trigger in BY_ITSELF,
            kwargs=wait.kwargs,
            files=wait.files,
            first_attempt=wait.first_attempt,
            backfill=backfill_of(row),
            has_wait=one.wait is not None,
        )
        job.runs[row.id] = self._book.runs[row.id] = run
        return run

    def _learn(self, one: OpenRun, now_us: int) -> None:
        row, wait = one.row, one.wait
        job = self._book.jobs.get(row.job)
        if job is None or row.id in self._book.runs:
            return
        starts_us = row.slot_us if wait is None or wait.not_before_us is None else wait.not_before_us
        run = LiveRun(row=row, job=row.job, seq=0, not_before_us=starts_us, elsewhere=True, backfill=backfill_of(row))
        if row.state == "running":
            run.phase = "running"
        else:
            run.waiting_for = "time" if starts_us > now_us else "overlap"
        if not row.scope:  # one of its own for each node: they do not keep each other busy
            job.elsewhere[row.id] = run
        self._book.elsewhere[row.id] = run

    def forget(self, run_id: str) -> None:
        """Drop a run that has ended, or that is this node's now."""
        run = self._book.elsewhere.pop(run_id, None)
        if run is not None:
            self._book.jobs[run.job].elsewhere.pop(run_id, None)
            self._waiting.stir(run.job)

    def _merge(self, theirs: JobRow, now_us: int) -> None:
        """Take over what the ledger has of a job: nothing of this node waits to be written."""
        job = self._book.jobs.get(theirs.job)
        if job is None:
            self._book.jobs[theirs.job] = AgendaJob(row=theirs)
            return
        row, was_paused_us = job.row, job.row.paused_at_us
        for name in _SHARED:
            setattr(row, name, getattr(theirs, name))
        job.next_us = None
        if row.paused_at_us is not None and row.paused_at_us != was_paused_us:
            self._waiting.drop_all(job.scheduled_runs(), pause_text(row), now_us)
        self._book.wake_at(job, now_us)
