"""The agenda: all jobs and all runs, and what to do about them next.

It reads no clock, does no I/O and waits for nothing. akjobd reports what happened, asks for one :meth:`Agenda.turn`,
takes the :class:`~akjob.agenda.life.Effects` and does them. A turn costs something for the jobs that are due only.

The order at the start of akjobd: ``restore``, ``load``, then what the run folders say (``started``, ``ended``,
``never_started``, ``lost``), then the first ``turn``: only then is it known which jobs are busy.
"""

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping
from functools import partial
from types import MappingProxyType

from akjob.agenda.backfills import Asked, Backfills, Outcomes, no_outcomes
from akjob.agenda.book import Book, Drainer, Here
from akjob.agenda.chains import Chains
from akjob.agenda.changes import FileChanges
from akjob.agenda.deciding import Deciding
from akjob.agenda.elsewhere import Elsewhere
from akjob.agenda.faults import Fault, Faults
from akjob.agenda.jobs import AgendaJob, running_of, unknown_row
from akjob.agenda.life import Effects, LiveRun, Running
from akjob.agenda.loading import Loading
from akjob.agenda.outcomes import Outcomes as Reports
from akjob.agenda.refusals import Refusals
from akjob.agenda.requests import AgendaRequests
from akjob.agenda.waiting import Waiting
from akjob.errors import AkjobError
from akjob.instants import HOUR, SECOND, to_text
from akjob.jobset.git import Revision
from akjob.jobset.model import JobSetChange
from akjob.ledger.model import (
    BY_ITSELF,
    BackfillRow,
    Blocked,
    EndMeaning,
    JobRow,
    Join,
    Legacy,
    News,
    Occurrence,
    OpenRun,
    RunRow,
    Wait,
    backfill_of,
)
from akjob.run.end import End
from akjob.sources.after import PART
from akjob.sources.change import FilesChanged
from akjob.spec.model import JobSpec

_WATERMARK_AHEAD_US = HOUR  # a lead is shorter, as a rule
_DUE_A_TURN = 16  # so many starts are one commit; a burst of more goes on in the next turn, and others get a word in
_STEP_BACK_US = 2 * SECOND  # a clock that goes back by less is being slewed


class Agenda:
    """Everything that akjobd decides, behind one face. ``new_run_id`` makes a run id from an instant; ids sort by time.

    ``last_attempt`` asks the ledger for the last attempt of a job's slot. ``started_us`` is akjobd's start, ``boot_us``
    the instant that stands for the machine's boot (None: unknown); ``booted``: no akjobd has started since.
    ``pools`` says how many runs each pool holds.
    """

    def __init__(  # noqa: PLR0913 - the last two are akjobd's alone
        self,
        *,
        host: str,
        max_running: int | None,
        new_run_id: Callable[[int], str],
        started_us: int,
        last_attempt: Callable[[str, int], int],
        outcomes: Outcomes = no_outcomes,
        boot_us: int | None = None,
        booted: bool = False,
        pools: Mapping[str, int] = MappingProxyType({}),
    ) -> None:
        self._turned_us = started_us
        self._book = book = Book(host=host, new_run_id=new_run_id, last_attempt=last_attempt)
        self._faults = Faults(book)
        self._waiting = Waiting(book, self._faults, max_running, pools)
        self._deciding = Deciding(book, self._waiting)
        self._refusals = Refusals(book)
        self._outcomes = Reports(book, self._waiting)
        self._chains = Chains(book, self._deciding, self._faults)
        self._backfills = Backfills(book, self._waiting, self._faults, outcomes)
        self._requests = AgendaRequests(book, self._waiting, self._deciding, self._refusals)
        self._elsewhere = Elsewhere(book, self._waiting)
        self._changes = FileChanges(book, self._requests)
        self._loading = Loading(
            book,
            self._waiting,
            self._deciding,
            self._refusals,
            self._chains,
            faults=self._faults,
            started_us=started_us,
            boot_us=boot_us,
            booted=booted,
        )

    # ------------------------------------------------------------------ what was before, and the job set

    def restore(
        self,
        job_rows: Iterable[JobRow],
        open_runs: Iterable[OpenRun],
        now_us: int,
        ordered: Collection[str] = (),
        occurrences: Iterable[Occurrence] = (),
    ) -> None:
        """Take over from the akjobd before: the ledger's jobs, open runs and occurrences.

        ``ordered`` has the runs that have a folder: an order went out, and the shim's files say what came of it.
        """
        for row in job_rows:
            self._book.jobs[row.job] = AgendaJob(row=row)
            self._faults.guard(row.job, partial(self._refusals.restore, row), None, now_us)
        for open_run in open_runs:
            run, restore = open_run.row, partial(self._restore_run, open_run, now_us, ordered)
            self._faults.guard_always(run.job, restore, None, now_us)
            if run.id not in self._book.runs and run.state == "queued" and run.id not in ordered:
                self._outcomes.fail_row(run, self._faults.reason(run.job), now_us)
        for occurrence in occurrences:
            job = self._book.jobs.get(occurrence.job)
            if job is not None and occurrence.key.startswith(PART):
                job.parts[occurrence.key.removeprefix(PART)] = occurrence
            elif job is not None:
                job.occurrences[occurrence.key] = occurrence

    def restore_backfills(self, backfills: Iterable[BackfillRow]) -> None:
        """Take over the backfills that were not over."""
        self._backfills.restore(backfills)

    def _restore_run(self, open_run: OpenRun, now_us: int, ordered: Collection[str]) -> None:
        row, wait = open_run.row, open_run.wait or Wait(run=open_run.row.id)
        run = LiveRun(
            row=row,
            job=row.job,
            seq=self._book.next_seq(),
            not_before_us=wait.not_before_us or row.slot_us,
            after_previous=wait.after_previous,
            manual=wait.manual or row.trigger == "manual",
            counts_toward_runs=row.trigger in BY_ITSELF,
            inherited=True,
            kwargs=wait.kwargs,
            files=wait.files,
            first_attempt=wait.first_attempt,
            backfill=backfill_of(row),
            has_wait=open_run.wait is not None,
        )
        job = self._book.jobs.get(row.job)
        if job is None:
            job = self._book.jobs[row.job] = AgendaJob(row=unknown_row(row.job, now_us))
        job.runs[row.id] = self._book.runs[row.id] = run
        if row.state == "running" or row.id in ordered:
            run.phase = "running" if row.state == "running" else "ordered"
            self._waiting.hold_restored(run)
        else:
            self._waiting.park(run)

    def inherit(self, left: Legacy, now_us: int, reason: str) -> None:
        """Take over the open runs of a node that is lost: they are lost with it, and retried as any lost run is.

        A run that cannot have started, for its start is still to come or its order was not to go out, goes on from
        here, unless each node has one of its own: then that of a node which is forgotten is missed.
        """
        for open_run in left.open_runs:
            row, wait = open_run.row, open_run.wait
            starts_us = row.slot_us if wait is None or wait.not_before_us is None else wait.not_before_us
            is_ordered = row.id in left.ordered and starts_us <= now_us
            self._elsewhere.forget(row.id)
            self._restore_run(open_run, now_us, (row.id,) if is_ordered else ())
            if row.state == "running" or is_ordered:
                self.lost(row.id, now_us, reason)
            elif row.scope:
                self._waiting.close(self._book.runs[row.id], "missed", reason, now_us)

    def share(self, node: str, tags: Iterable[str]) -> None:
        """Ask the whole cluster before each start, and hand runs over: the ledger is shared with other nodes."""
        self._book.here = Here(node, frozenset(tags))

    def hear(self, news: News, now_us: int) -> None:
        """Take in what other nodes wrote. Call it while nothing is pending and nothing waits to be written."""
        self._elsewhere.take(news, now_us)
        for target, _, _ in news.stops:
            self._backfills.stop(target)

    def blocked(self, found: Iterable[Blocked], now_us: int) -> None:
        """Let starts that the cluster does not permit wait, or skip their slots. They must not be sent."""
        self._elsewhere.blocked(found, now_us)

    def behind(self, marks: Mapping[str, int], now_us: int) -> None:
        """Decide again about jobs of whose calendar other nodes have accounted for slots, up to an instant each."""
        self._elsewhere.behind(marks, now_us)

    def handed(self, run_ids: Iterable[str], now_us: int) -> None:
        """Give up runs that wait for a node to take them. Their starts must not be sent."""
        self._elsewhere.handed(run_ids, now_us)

    def definition_of(self, row: RunRow) -> JobSpec | None:
        """Return the definition that a run was claimed with, where this node's checkout has it or had it."""
        return self._elsewhere.definition(row)

    def fits(self, spec: JobSpec) -> bool:
        """Return True if runs of a job may be on this node."""
        return self._book.here is not None and self._book.here.fits(spec)

    def take(self, one: OpenRun, spec: JobSpec, now_us: int) -> None:
        """Run here what another node decided about and this one has taken."""
        self._elsewhere.take_over(one, spec, now_us)

    def fail(self, one: OpenRun, reason: str, now_us: int) -> None:
        """End a run that this node has taken and no node can run."""
        self._elsewhere.forget(one.row.id)
        run = self._elsewhere.adopt(one)
        self._waiting.order_nothing(run)
        self.ended(run.row.id, End(state="failed", ended_us=now_us, reason=reason), now_us)
        self._book.effects.say_of("run.finished", run.row)

    def cancel(self, one: OpenRun, reason: str, by: str | None, now_us: int) -> None:
        """End a run that no node had taken, and that this one has taken for that."""
        self._elsewhere.forget(one.row.id)
        self._waiting.stop(self._elsewhere.adopt(one), reason, now_us, by)

    def skip(self, one: OpenRun, reason: str, now_us: int) -> None:
        """Skip a run that this node has taken, and whose job is gone."""
        self._elsewhere.forget(one.row.id)
        self._waiting.close(self._elsewhere.adopt(one), "skipped", reason, now_us)

    def is_gone(self, name: str) -> bool:
        """Return True if there is no file of a job any more."""
        job = self._book.jobs.get(name)
        return job is None or (job.spec is None and job.is_gone)

    def is_elsewhere(self, run_id: str) -> bool:
        """Return True if this run is open on another node, or waits for one."""
        return run_id in self._book.elsewhere

    def load(self, change: JobSetChange, now_us: int) -> None:
        """Take over what a look at the folder changed; the first time, all of the job set."""
        first = self._loading.is_first
        self._loading.load(change, now_us)
        if first:
            self._book.effects.daemon_moved("started", now_us)
            self._warn_of_watermarks(now_us)

    def files_changed(self, found: FilesChanged, now_us: int) -> None:
        """Take in that files of a job with ``on_change`` changed."""
        self._faults.guard(found.job, partial(self._changes.found, found, now_us), None, now_us)

    @property
    def unattributed(self) -> bool:
        """Return True if something is refused of which no commit is known that has it."""
        return self._refusals.unattributed

    def attribute(self, revision: Revision) -> None:
        """Take in which commit is checked out: what was refused is from it."""
        self._refusals.attribute(revision)

    def refused_by(self, name: str) -> tuple[str | None, bool | None]:
        """Return the commit that the refused version of a job is from, and whether it differs from it."""
        return self._refusals.commit_of(name)

    # ------------------------------------------------------------------ time

    def turn(self, now_us: int) -> None:
        """Let the time be ``now_us``, and do what is due. Any jump of the clock is fine, in both directions.

        Of many jobs that are due only some are seen to: :attr:`wake_us` is not later than ``now_us`` then.
        """
        back_us, self._turned_us = self._turned_us - now_us, now_us
        if back_us > _STEP_BACK_US:
            self._waiting.step_back(back_us, now_us)
            self._warn_of_watermarks(now_us)
        if self.draining:
            return
        self._waiting.release_due(now_us)
        self._chains.follow()
        left = _DUE_A_TURN
        while left and (job := self._book.due(now_us)) is not None:
            left -= self._decide(job, now_us)
            self._waiting.promote(now_us)
            self._chains.follow()
        self._backfills.follow(now_us)
        self._waiting.order_all(now_us)
        self._end_faulty(now_us)

    def _decide(self, job: AgendaJob, now_us: int) -> int:
        return self._faults.guard(job.row.job, lambda: self._deciding.decide(job, now_us), 1, now_us)

    def _end_faulty(self, now_us: int) -> None:
        """End the runs with which akjob itself cannot go on: as any run ends, or by what needs least."""
        for run, reason in self._faults.take_runs():
            run.stop = reason  # no attempt after this one would fare better
            end = End(state="failed", ended_us=now_us, reason=reason)
            self._faults.guard_run(run, partial(self._ended, end), now_us)
            for failed, why in [(run, reason), *self._faults.take_runs()]:
                if failed.row.id in self._book.runs:
                    self._faults.guard_run(failed, partial(self._outcomes.give_up, why), now_us)
        self._faults.take_runs()  # the row is written by then: nothing is left to be done for them

    def _ended(self, end: End, run: LiveRun, now_us: int) -> None:
        self._outcomes.ended(run.row.id, end, now_us)

    def faults(self) -> list[Fault]:
        """Return the jobs for which nothing is decided, for something raised."""
        return self._faults.all()

    @property
    def wake_us(self) -> int | None:
        """The instant of the next turn if nothing happens before it; None: there is nothing to wait for."""
        if self.draining:
            return None
        decide_us, offer_us = self._book.wake_us, self._waiting.wake_us
        if decide_us is None or (offer_us is not None and offer_us < decide_us):
            return offer_us
        return decide_us

    def _warn_of_watermarks(self, now_us: int) -> None:
        """Log that jobs wait until the clock has passed slots that were accounted for: it is wrong, or was."""
        watermarks = [job.row.watermark_us for job in self._book.jobs.values() if job.spec is not None]
        ahead = [watermark for watermark in watermarks if watermark > now_us + _WATERMARK_AHEAD_US]
        if ahead:
            self._book.effects.say(
                "warning",
                "jobs.ahead",
                jobs=len(ahead),
                until=to_text(max(ahead)),
                message="the clock is behind slots that have been accounted for; these jobs wait until it has passed "
                "them, or until `akjob reset JOB` for each",
            )

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
        """Take down that a run's job has started. A report that comes twice, or is of no open run, is ignored."""
        self._outcomes.started(
            run_id, pid=pid, shim_pid=shim_pid, at_us=at_us, git_commit=git_commit, git_dirty=git_dirty
        )

    def ended(self, run_id: str, end: End, now_us: int) -> None:
        """Take down a run's end; a retry is claimed in the same commit. A report that comes twice is ignored."""
        run = self._book.runs.get(run_id)
        if run is not None:
            self._faults.guard_run(run, partial(self._ended, end), now_us)
            self._end_faulty(now_us)

    def lost(self, run_id: str, now_us: int, reason: str) -> None:
        """Take down that a run's shim is gone without an end."""
        self.ended(run_id, End(state="lost", ended_us=now_us, reason=reason), now_us)

    def never_started(self, run_id: str, now_us: int, reason: str) -> None:
        """Take down that an order has not been started and never will be: it was called back, or the fork failed.

        It goes out again, if it is still wanted and ``missed`` allows.
        """
        run = self._book.runs.get(run_id)
        if run is not None:
            self._faults.guard_run(run, lambda run, now_us: self._waiting.came_back(run, now_us, reason), now_us)
            self._end_faulty(now_us)

    def refused(self, run_ids: Iterable[str]) -> None:
        """Forget claims that the ledger refused: their slots have a row already. Their starts must not be sent."""
        self._outcomes.refused(run_ids)

    def renumbered(self, attempts: Mapping[str, int]) -> None:
        """Take over the attempts of runs whose slots had got a row from another node meanwhile."""
        for run_id, attempt in attempts.items():
            run = self._book.runs.get(run_id)
            if run is not None:
                run.first_attempt += attempt - run.row.attempt
                run.row.attempt = attempt

    def met(self, met: Iterable[tuple[Join, EndMeaning]], now_us: int) -> None:
        """Take in what ends meant together with those of other nodes."""
        for join, meaning in met:
            self._faults.guard(join.job, partial(self._chains.met, join, meaning, now_us), None, now_us)

    # ------------------------------------------------------------------ what people ask for: each raises AkjobError

    def ask_run(self, name: str, kwargs: Mapping[str, object] | None, now_us: int, by: str | None = None) -> str:
        """Claim a run by hand, whatever ``enabled``, pauses and limits say, and return its id."""
        return self._requests.run(name, kwargs, now_us, by)

    def backfill_slots(self, asked: Asked, now_us: int) -> list[int]:
        """Return the slots that a backfill would run, in its order."""
        return self._backfills.slots(self._requests.loaded(asked.job), asked, now_us)

    def ask_backfill(self, asked: Asked, now_us: int) -> BackfillRow:
        """Run slots that are over, while the job has nothing else to do."""
        spec = self._requests.loaded(asked.job)
        self._requests.check_place(spec)
        return self._backfills.begin(spec, asked, now_us)

    def stop_backfill(self, target: str) -> str | None:
        """End a backfill of this node, by its id or the beginning of it, and return its id; None: it has none."""
        return self._backfills.stop(target)

    def ask_stop(self, target: str, by: str, now_us: int) -> list[str]:
        """End a run, by its id or the beginning of it, or all runs of a job; return their ids."""
        return self._requests.stop(target, by, now_us)

    def pause(self, name: str, until_us: int | None, reason: str, by: str, now_us: int) -> None:
        """Let a job start nothing until an instant, or until it is resumed."""
        self._requests.pause(name, until_us, reason, by, now_us)

    def resume(self, name: str, now_us: int, by: str | None = None) -> None:
        """End a job's pause; the slots up to now are skipped."""
        self._requests.resume(name, now_us, by)

    def reset(self, name: str, now_us: int) -> None:
        """Forget how many runs a job has had, and a watermark that a wrong clock put into the future."""
        self._requests.reset(name, now_us)

    def drain(self, by: Drainer, why: AkjobError, now_us: int, *, kill: bool = False) -> None:
        """Start nothing more; with ``kill`` end what runs. What waits stays in the ledger for the next akjobd.

        Who asks for a run meanwhile is told ``why``.
        """
        self._requests.drain(by, why, now_us, kill=kill, reason="akjob down --kill")

    def end_drain(self, by: Drainer) -> None:
        """Start runs again, unless something else drains it, too."""
        self._book.drained.pop(by, None)

    def stopping(self, now_us: int) -> None:
        """Note that akjobd is about to end."""
        self._book.effects.daemon_moved("stopping", now_us)

    def set_bounds(self, max_running: int | None, pools: Mapping[str, int]) -> None:
        """Let other bounds hold from the next turn on; runs under way are left alone."""
        self._waiting.queue.max_running = max_running
        self._waiting.queue.set_pools(pools)

    @property
    def early_us(self) -> int:
        """How long before its start an order goes out, as this machine needs it."""
        return self._book.early_us

    @early_us.setter
    def early_us(self, early_us: int) -> None:
        self._book.early_us = early_us

    @property
    def draining(self) -> bool:
        """True while nothing is started."""
        return self._book.draining

    def is_drained_by(self, by: Drainer) -> bool:
        """Return True while ``by`` lets nothing start."""
        return by in self._book.drained

    # ------------------------------------------------------------------ what comes out

    @property
    def pending(self) -> bool:
        """True if :meth:`effects` has anything."""
        return self._book.effects.pending

    @property
    def urgent(self) -> bool:
        """True if a run waits for the effects; what is only to be written down may be gathered for a moment."""
        return self._book.effects.urgent

    def effects(self) -> Effects:
        """Return what to do, and begin to collect again. The rows in it are copies."""
        self._chains.follow()
        return self._book.effects.take(lambda name: self._book.jobs[name].row)

    def actions(self) -> Effects:
        """Return what to do besides writing, for a simulation: no power cut comes between the two."""
        return self._book.effects.take_actions()

    def running(self) -> list[Running]:
        """Return the runs whose orders are out, oldest first."""
        return [running_of(run) for run in self._book.runs.values() if run.under_way]

    def running_elsewhere(self) -> list[RunRow]:
        """Return the runs that run on other nodes, as far as this one has heard, oldest first."""
        found = [run.row for run in self._book.elsewhere.values() if run.row.state == "running"]
        return sorted(found, key=lambda row: row.id)

    def job_of(self, run_id: str) -> str | None:
        """Return the job of an open run, or None."""
        run = self._book.runs.get(run_id)
        return None if run is None else run.job

    def run(self, run_id: str) -> Running | None:
        """Return an open run, whether its order is out or it waits, or None."""
        run = self._book.runs.get(run_id)
        return None if run is None else running_of(run)

    def queued(self) -> dict[str, int]:
        """Return how many runs wait for a lock, a pool, a place or the run before them."""
        waits = Counter(run.waiting_for for run in self._book.runs.values())
        return {what: waits[what] for what in ("lock", "pool", "max_running", "overlap") if waits[what]}

    def accounted_until(self, now_us: int) -> int:
        """Return the instant, ``now_us`` at most, before which every slot has been decided."""
        if self._loading.is_first:
            return 0  # nothing is known of the jobs yet
        upcoming = (job.next_us for job in self._book.jobs.values() if job.spec is not None and job.spec.enabled)
        return min((slot for slot in upcoming if slot is not None and slot < now_us), default=now_us)

    @property
    def under_way(self) -> int:
        """How many runs have an order out; a drained agenda with none may end."""
        return self._waiting.queue.under_way

    def stops_on_partition(self, job: str) -> bool:
        """Return True if the runs of a job end when their node cannot renew its lease."""
        known = self._book.jobs.get(job)
        return known is None or known.spec is None or known.spec.run.on_partition == "stop"

    def knows(self, run_id: str) -> bool:
        """Return True if this run is open."""
        return run_id in self._book.runs
