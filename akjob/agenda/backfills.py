"""Backfills: runs of slots that are over, one after another, while the job has nothing else to do."""

from collections.abc import Callable, Iterable
from functools import partial

import msgspec

from akjob.agenda.book import Book
from akjob.agenda.faults import Faults
from akjob.agenda.jobs import AgendaJob
from akjob.agenda.life import LiveRun
from akjob.agenda.waiting import Waiting
from akjob.errors import AkjobError
from akjob.instants import to_text
from akjob.ledger.model import BackfillRow, Only, SlotOutcome
from akjob.schedule import compile_schedule, slots_between
from akjob.spec.model import JobSpec

MOST_SLOTS = 5_000  # are found and compared with the ledger in some 50 ms of akjobd's loop, where starts wait meanwhile
_FAILED = ("failed", "timed_out", "lost")

Outcomes = Callable[[str, int, int], list[SlotOutcome]]
"""Asks the ledger for what became of a job's slots between two instants, the first of them included."""


def no_outcomes(_job: str, _from_us: int, _until_us: int) -> list[SlotOutcome]:
    """Answer for a ledger without rows."""
    return []


class Asked(msgspec.Struct, frozen=True, kw_only=True):
    """A request for a backfill: slots with ``from_us`` <= slot < ``until_us``."""

    job: str
    from_us: int
    until_us: int
    only: Only = "missing"
    parallel: int = 1
    newest_first: bool = False
    by: str | None = None


class Backfills:
    """The backfills that are not over. Scheduled runs go first: a backfill starts a run only while its job is idle.

    One that was stopped is over once the runs that were under way have ended.
    """

    def __init__(self, book: Book, waiting: Waiting, faults: Faults, outcomes: Outcomes) -> None:
        self._book = book
        self._waiting = waiting
        self._faults = faults
        self._outcomes = outcomes
        self._open: dict[str, BackfillRow] = {}

    def restore(self, backfills: Iterable[BackfillRow]) -> None:
        """Take over from the akjobd before, or from a node that is lost."""
        self._open |= {one.id: one for one in backfills}

    def slots(self, spec: JobSpec, asked: Asked, now_us: int) -> list[int]:
        """Return the slots that a backfill would run, in its order."""
        if asked.parallel < 1:
            raise AkjobError("parallel must be at least 1", hint="leave it out for one run at a time")
        until_us = min(asked.until_us, now_us)
        slots = _calendar_slots(spec, asked.from_us, until_us)
        rows = self._outcomes(spec.name, asked.from_us, until_us)
        found = _to_fill(slots, rows, asked.only)
        return found[::-1] if asked.newest_first else found

    def begin(self, spec: JobSpec, asked: Asked, now_us: int) -> BackfillRow:
        """Begin a backfill."""
        backfill = BackfillRow(
            id=self._book.new_id(now_us),
            job=spec.name,
            at_us=now_us,
            from_us=asked.from_us,
            until_us=asked.until_us,
            only=asked.only,
            parallel=asked.parallel,
            newest_first=asked.newest_first,
            by=asked.by,
            slots=tuple(self.slots(spec, asked, now_us)),
        )
        self._keep(backfill)
        self._book.effects.backfill(backfill, new=True)
        return backfill

    def stop(self, target: str) -> str | None:
        """End a backfill, by its id or the beginning of it; the runs under way end by themselves. None: no such one."""
        going = [one for one in self._open.values() if one.state == "running"]
        found = [one for one in going if target and one.id.startswith(target)]
        if len(found) != 1:
            return None
        self._change(found[0], state="stopped")
        return found[0].id

    def follow(self, now_us: int) -> None:
        """Take down what has ended, and start what may start now."""
        while self._book.backfilled:
            name, state = self._book.backfilled.popleft()
            known = self._open.get(name)
            if known is not None:
                failed = known.failed + (state != "succeeded")
                count = partial(self._change, known, done=known.done + 1, failed=failed)
                self._faults.guard_always(known.job, count, None, now_us)
        for backfill in [one for one in self._open.values() if one.state == "running"]:
            self._faults.guard(backfill.job, partial(self._feed, backfill, now_us), None, now_us)

    def _feed(self, backfill: BackfillRow, now_us: int) -> None:
        job = self._book.jobs.get(backfill.job)
        spec = None if job is None else job.spec
        if job is None or spec is None:
            if job is None or job.row.removed_us is not None:
                self._change(backfill, state="stopped")
            return
        position = backfill.position
        while position < len(backfill.slots) and self._may_start(job, spec, backfill):
            self._claim(job, spec, backfill, backfill.slots[position], now_us)
            position += 1
        state = backfill.state
        if position == len(backfill.slots) and not job.of_backfill(backfill.id):
            state = "done"
        if (position, state) != (backfill.position, backfill.state):
            self._change(backfill, position=position, state=state)

    def _may_start(self, job: AgendaJob, spec: JobSpec, backfill: BackfillRow) -> bool:
        """Return True if there is a place for one more run, and nothing of the schedule comes first."""
        if len(job.of_backfill(backfill.id)) >= backfill.parallel or not self._waiting.queue.free(spec):
            return False
        return spec.run.overlap == "allow" or all(run.backfill == backfill.id for run in job.runs.values())

    def _claim(self, job: AgendaJob, spec: JobSpec, backfill: BackfillRow, slot_us: int, now_us: int) -> None:
        cause = msgspec.json.encode({"backfill": backfill.id}).decode()
        row = self._book.new_row(job, spec, slot_us, "backfill", now_us, by=backfill.by, cause=cause)
        row.attempt = self._book.next_attempt(row.job, slot_us)
        run = LiveRun(
            row=row,
            job=row.job,
            seq=self._book.next_seq(),
            not_before_us=now_us,
            first_attempt=row.attempt,
            backfill=backfill.id,
        )
        self._waiting.enter(job, run, now_us)

    def _change(self, backfill: BackfillRow, **changes: object) -> None:
        self._keep(msgspec.structs.replace(backfill, **changes))
        self._book.effects.backfill(msgspec.structs.replace(backfill, **changes), new=False)

    def _keep(self, backfill: BackfillRow) -> None:
        if backfill.is_open:
            self._open[backfill.id] = backfill
        else:
            self._open.pop(backfill.id, None)


def _calendar_slots(spec: JobSpec, from_us: int, until_us: int) -> list[int]:
    """Return the slots of a job's calendar with ``from_us`` <= slot < ``until_us``.

    Raises AkjobError for more than a backfill takes; no more of them are made than it takes to know that.
    """
    calendar = msgspec.structs.replace(spec.schedule, again_after_us=None)
    slots = slots_between(compile_schedule(calendar), from_us - 1, until_us - 1, MOST_SLOTS + 1)
    if len(slots) > MOST_SLOTS:
        message = f"there are more than {MOST_SLOTS:,} slots in this time, the most that one backfill takes"
        hint = f"ask for the {MOST_SLOTS:,} until {to_text(slots[-1])}, and for the rest when these are done"
        raise AkjobError(message, hint=hint)
    return slots


def _to_fill(slots: list[int], rows: Iterable[SlotOutcome], only: Only) -> list[int]:
    """Return those of ``slots`` that are missing, or failed, or all.

    ``rows`` has what became of the slots, the last attempt last. A slot is missing that has no row but skipped and
    missed ones.
    """
    if only == "all":
        return slots
    last = {row.slot_us: row.state for row in rows if row.state not in ("skipped", "missed")}
    if only == "failed":
        return [slot for slot in slots if last.get(slot) in _FAILED]
    return [slot for slot in slots if slot not in last]
