"""Everything about runs that wait, up to their order: their time, the run before them, a lock, a place."""

import heapq
from collections.abc import Iterable, Mapping
from functools import partial

from akjob.agenda.book import Book
from akjob.agenda.faults import Faults
from akjob.agenda.jobs import AgendaJob, busy_with
from akjob.agenda.life import CLOSE, IN_QUEUE, LiveRun, Start
from akjob.agenda.run_queue import RunQueue, permit_of
from akjob.due import EARLY_US, GRACE_US
from akjob.instants import SECOND, to_text
from akjob.ledger.model import Detail, State, Wait
from akjob.spec.model import JobSpec

_TRIES_UP_TO_US = 60 * SECOND


class Waiting:
    """The runs that wait, and the orders that can be called back.

    A run is *offered* what it can wait for, one after the other, until it is in the queue and gets its place.
    """

    def __init__(self, book: Book, faults: Faults, max_running: int | None, pools: Mapping[str, int]) -> None:
        self.queue = RunQueue(max_running, pools)
        self._book = book
        self._faults = faults
        self._timed: list[tuple[int, int, LiveRun]] = []
        self._parked: list[LiveRun] = []
        self._stirred: dict[str, None] = {}  # jobs of which a run has ended or come back
        self._ahead: dict[str, LiveRun] = {}  # ordered well ahead of their slots

    # ------------------------------------------------------------------ a turn

    def release_due(self, now_us: int) -> None:
        """Offer the runs again whose time has come, and those that wait for the run before them."""
        parked, self._parked = self._parked, []
        for run in parked:
            if run.waiting_for == "definition":
                self._faults.guard_run(run, self.take_up, now_us)
        while self._timed and self._timed[0][0] <= now_us:
            _, _, run = heapq.heappop(self._timed)
            if run.waiting_for == "time":
                self._faults.guard_run(run, self.offer, now_us)
        self.promote(now_us)

    def promote(self, now_us: int) -> None:
        """Offer the runs again that had to wait for another run of their job, oldest slot first."""
        while self._stirred:
            name = next(iter(self._stirred))
            del self._stirred[name]
            self._faults.guard(name, partial(self._promote, self._book.jobs[name], now_us), None, now_us)

    def _promote(self, job: AgendaJob, now_us: int) -> None:
        waiting = [run for run in job.runs.values() if run.waiting_for == "overlap"]
        for run in sorted(waiting, key=lambda one: (one.row.slot_us, one.seq)):
            self.offer(run, now_us)
            if run.after_previous and run.waiting_for != "overlap":
                break
        self._book.wake_at(job, now_us)

    def order_all(self, now_us: int) -> None:
        """Send the orders of all runs that have a place."""
        for run in self.queue.take():
            self._faults.guard_run(run, self._order, now_us)
        self._make_places(now_us)

    @property
    def wake_us(self) -> int | None:
        """The instant at which to offer the next run again; 0 if something happened that one waits for."""
        if self._stirred:
            return 0
        while self._timed and self._timed[0][2].waiting_for != "time":
            heapq.heappop(self._timed)
        return self._timed[0][0] if self._timed else None

    def step_back(self, by_us: int, now_us: int) -> None:
        """Follow a clock that was set back: retries wait as long as they were to, not until the old clock's instant."""
        for run in list(self._book.runs.values()):
            if run.phase == "waiting" and (run.row.trigger == "retry" or run.backoff_until_us):
                run.not_before_us -= by_us if run.row.trigger == "retry" else 0
                run.backoff_until_us = max(0, run.backoff_until_us - by_us)
                if run.waiting_for == "time":
                    self._faults.guard_run(run, self.offer, now_us)

    # ------------------------------------------------------------------ what a run waits for

    def enter(self, job: AgendaJob, run: LiveRun, now_us: int) -> None:
        """Take in a new run, which is claimed with that, and what it needs beyond its row."""
        self.keep_wait(run)
        self._book.add(job, run)
        self.offer(run, now_us)

    def keep_wait(self, run: LiveRun) -> None:
        """Write down what a run needs beyond its row."""
        by_hand = run.row.trigger == "manual"
        wait = Wait(
            run=run.row.id,
            not_before_us=None if run.of_calendar or by_hand else run.not_before_us,
            after_previous=run.after_previous,
            manual=run.manual and not by_hand,
            kwargs=run.kwargs,
            first_attempt=run.first_attempt,
            files=run.files,
        )
        if wait != Wait(run=run.row.id):
            self._book.effects.wait(run, wait)

    def park(self, run: LiveRun) -> None:
        """Let a run wait for its definition."""
        run.wait("park")
        self._parked.append(run)

    def offer(self, run: LiveRun, now_us: int) -> None:
        """Let a waiting run go on to the next thing that it has to wait for, unless it waits for a node by now."""
        if run.elsewhere:
            return  # who takes it, be it this node, makes a run of its own of it
        job = self._book.jobs[run.job]
        early = job.when.ahead_us(self._book.early_us) if job.when is not None else 0
        at = max(run.not_before_us - early, run.backoff_until_us)
        if at > now_us:
            self._wait_until(run, at)
        elif not self._is_after_previous(job, run):
            self.queue.join(run)
        elif run.counts_toward_runs and not run.after_previous:
            self._meet(job, run, now_us)
        else:
            run.wait("job_busy")

    def take_up(self, run: LiveRun, now_us: int) -> None:
        """Decide about a claimed run that has not been started: in time, made up for by ``missed``, or missed."""
        spec = self._book.jobs[run.job].spec
        if spec is None:
            self.park(run)  # its file is broken and has no good version
            return
        late = now_us - run.not_before_us
        waits_for_nothing_else = run.of_calendar and not run.after_previous
        too_late = spec.run.missed == "skip" or late > spec.run.missed_within_us
        if waits_for_nothing_else and late > GRACE_US and too_late:
            self.close(run, "missed", "it was claimed, but could not be started in time", now_us)
        else:
            self.offer(run, now_us)

    def _wait_until(self, run: LiveRun, at_us: int, event: str = "too_early") -> None:
        if run.wait(event):
            heapq.heappush(self._timed, (at_us, run.seq, run))

    def _meet(self, job: AgendaJob, run: LiveRun, now_us: int) -> None:
        """Let a claimed slot meet a run of its job that came between: ``overlap`` decides, when the slot has come."""
        if run.not_before_us > now_us:
            self._wait_until(run, run.not_before_us)
            return
        overlap = "skip" if job.spec is None else job.spec.run.overlap
        others = [other for other in job.all_runs() if other is not run]
        if overlap == "skip":
            self.close(run, "skipped", busy_with(others[0]), now_us)
        elif overlap == "queue" and any(one.after_previous and one.phase == "waiting" for one in others):
            self.close(run, "skipped", "a slot is queued already", now_us)
        else:
            run.after_previous = True
            run.wait("job_busy")
            self.keep_wait(run)
            if overlap == "replace":
                self.make_way(job, run.row.slot_us, now_us, besides=run)

    def _is_after_previous(self, job: AgendaJob, run: LiveRun) -> bool:
        """Return True if a run has to wait for another one of its job."""
        if not run.after_previous and job.spec is not None and job.spec.run.overlap == "allow":
            return False
        others = [other for other in job.all_runs() if other is not run and not other.is_background]
        return any(
            not (run.backfill is not None and other.backfill is not None)
            and (
                other.under_way
                or other.waiting_for in IN_QUEUE
                or (other.waiting_for == "time" and other.row.trigger == "retry" and not run.manual)
            )
            and not (other.deferred and run.not_before_us < other.not_before_us)  # it is deferred for this one
            for other in others
        )

    # ------------------------------------------------------------------ the order

    def is_well_ahead(self, run: LiveRun, now_us: int) -> bool:
        """Return True if there is the time to call a run back before its slot."""
        return run.not_before_us > now_us + SECOND

    def hold_restored(self, run: LiveRun) -> None:
        """Give its place back to a run whose order went out from the akjobd before; its lock follows at the loading."""
        self.queue.hold(run, None)
        if run.phase == "ordered":
            self._ahead[run.row.id] = run

    def _order(self, run: LiveRun, now_us: int) -> None:
        """Send a run's order, unless its lock is held or its pool is full."""
        job = self._book.jobs[run.job]
        spec = job.spec
        if run.backfill is not None and self._is_after_previous(job, run):
            run.wait("job_busy")  # a run of the schedule has come before it
            return
        if spec is None or self.queue.blocked(run, spec) or not run.advance("order"):
            return
        self.queue.hold(run, spec)
        if self.is_well_ahead(run, now_us):
            self._ahead[run.row.id] = run
        row = run.row
        if row.definition_sha256 != spec.sha256:
            row.definition_sha256 = spec.sha256
            self._book.effects.change(row)
        self._start(run, spec, now_us)
        here = self._book.here
        if here is not None:
            self._book.effects.permit(permit_of(run, spec, self.queue, here.queue_of(run, spec)))

    def order_taken(self, run: LiveRun, spec: JobSpec, now_us: int) -> None:
        """Send the order of a run that another node decided about: it has all that it needs."""
        if run.advance("order"):
            self.queue.hold(run, spec)
            self._start(run, spec, now_us)

    def order_nothing(self, run: LiveRun) -> None:
        """Let a run be as if its order were out: it is about to end without a start."""
        run.advance("order")
        self.queue.hold(run, None)

    def _start(self, run: LiveRun, spec: JobSpec, now_us: int) -> None:
        row = run.row
        start = Start(
            run=row.id,
            job=row.job,
            spec=spec,
            slot_us=row.slot_us,
            attempt=row.attempt,
            trigger=row.trigger,
            not_before_us=run.not_before_us,
            kwargs=run.kwargs,
            cause=row.cause,
            files=run.files,
        )
        self._book.effects.start(start, now_us)

    def _make_places(self, now_us: int) -> None:
        """Call back runs that are prepared ahead, where runs whose time has come wait for their places.

        They are prepared on their slot then: to go on trying would throw one preparation away after another.
        """
        if not self._ahead:
            return
        self._ahead = {
            name: run for name, run in self._ahead.items() if run.under_way and self.is_well_ahead(run, now_us)
        }
        ahead = [run for run in self._ahead.values() if run.phase == "ordered"]
        wanted = self.queue.wanted(now_us + EARLY_US) - (len(self._ahead) - len(ahead))
        for run in sorted(ahead, key=lambda one: one.not_before_us, reverse=True)[: max(0, wanted)]:
            run.backoff_until_us = run.not_before_us - EARLY_US
            self._faults.guard_run(run, self.recall, now_us)

    def recall(self, run: LiveRun, now_us: int) -> None:
        """Call an order back; one that has not been handed out yet is simply withdrawn."""
        if run.advance("recall") and self._book.effects.recall(run):
            self.came_back(run, now_us, "")

    def came_back(self, run: LiveRun, now_us: int, reason: str) -> None:
        """Take down that a run's order has not been started and never will be; it goes out again if still wanted."""
        called_back, run.deferred = run.phase == "recalled", False
        if not run.advance("unstarted"):
            return
        self.release(run)
        if self._book.here is not None:
            self._book.effects.free(run)
        if run.drop is not None:
            self.close(run, *run.drop, now_us)
            return
        if not called_back:
            run.tries += 1
            wait_us = 0 if run.tries == 1 else min(SECOND << (run.tries - 2), _TRIES_UP_TO_US)
            run.backoff_until_us = now_us + wait_us if wait_us else 0
            run.row.reason = reason
            self._book.effects.change(run.row)
        if self._book.draining:
            self.park(run)
        else:
            self.take_up(run, now_us)

    def release(self, run: LiveRun) -> None:
        """Take back the place and the lock of a run whose order was out, and let others of its job go on."""
        self.queue.release(run)
        self._stirred[run.job] = None

    def prepare_again(self, job: AgendaJob, now_us: int) -> None:
        """Call back the orders that wait for their slot; they go out again, with the new definition."""
        for run in list(job.runs.values()):
            if run.phase == "ordered" and run.not_before_us > now_us:
                self.recall(run, now_us)

    def defer(self, job: AgendaJob, now_us: int) -> None:
        """Have what is prepared well ahead of its slot decided again at its slot, as another run comes before it."""
        for run in list(job.runs.values()):
            if not self.is_well_ahead(run, now_us):
                continue
            run.deferred = run.phase == "ordered"
            if run.deferred:
                self.recall(run, now_us)
            else:
                self._wait_until(run, run.not_before_us - EARLY_US, "put_back")

    # ------------------------------------------------------------------ ending what waits, and what is under way

    def close(self, run: LiveRun, state: State, reason: str, now_us: int) -> None:
        """End a run that waits."""
        if not run.advance(CLOSE[state]):
            return
        row, effects = run.row, self._book.effects
        row.state, row.reason, row.ended_us = state, reason, now_us
        effects.run_moved(row, "queued", now_us, Detail(trigger=row.trigger, reason=reason, by=row.by, cause=row.cause))
        self._book.ended(row, now_us)
        self._book.uncount(run)
        self.forget(run)
        if state == "cancelled":
            effects.say_of("run.finished", row)
        else:
            effects.say_of(f"run.{state}", row, slot_last=to_text(row.slot_last_us), count=row.count)

    def stir(self, job: str) -> None:
        """Offer the runs of a job again that wait for another one."""
        self._stirred[job] = None

    def forget(self, run: LiveRun) -> AgendaJob:
        """Remove a run that has ended, and return its job."""
        self._stirred[run.job] = None
        return self._book.remove(run)

    def refused(self, run: LiveRun) -> None:
        """Forget a claim that the ledger refused: its slot has a row already."""
        if run.under_way:
            self.queue.release(run)
        run.advance("refuse")
        self._book.uncount(run)
        self.forget(run)
        self._book.effects.unchange(run.row.id)

    def drop(self, run: LiveRun, state: State, reason: str, now_us: int) -> None:
        """End a run that has not started; one whose order is out is called back first."""
        if run.phase == "waiting":
            self.close(run, state, reason, now_us)
        elif run.phase in ("ordered", "recalled"):
            run.drop = (state, reason)
            self.recall(run, now_us)

    def drop_all(self, runs: Iterable[LiveRun], reason: str, now_us: int) -> None:
        """Skip runs that have not started."""
        for run in list(runs):
            self.drop(run, "skipped", reason, now_us)

    def stop(self, run: LiveRun, reason: str, now_us: int, by: str | None = None) -> None:
        """End a run wherever it stands."""
        if run.elsewhere:
            self._book.effects.stop_elsewhere(run, reason, by)
            return
        run.stop = reason
        run.row.by = by or run.row.by
        if run.can_be_called_back:
            self.drop(run, "cancelled", reason, now_us)
        elif run.advance("stop"):
            self._book.effects.stop(run, reason)

    def make_way(self, job: AgendaJob, slot_us: int, now_us: int, besides: LiveRun | None = None) -> None:
        """End the runs of a job for a later slot (``overlap = "replace"``)."""
        reason = f"replaced by the slot {to_text(slot_us)}"
        for run in job.all_runs():
            if run is besides:
                continue
            if run.can_be_called_back and not run.elsewhere:
                run.stop = reason
                self.drop(run, "skipped", reason, now_us)
            else:
                self.stop(run, reason, now_us)
