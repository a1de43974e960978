"""A job as the agenda sees it, and what is said about it and its runs."""

from collections.abc import Iterable, Mapping

import msgspec
from msgspec import Struct

from akjob.agenda.life import LiveRun, Running
from akjob.due import AT_MOST_ALL, Timing, timing
from akjob.errors import AkjobError
from akjob.instants import DAY
from akjob.jobset.model import LastGood, RefusedVersion
from akjob.ledger.model import JobRow, Occurrence, RunRow
from akjob.schedule import next_slot
from akjob.spec.model import Command, JobSpec, Retry

_LONGEST_DELAY_US = 3650 * DAY  # a factor without max_delay gets out of the calendar's reach


class AgendaJob(Struct, kw_only=True, eq=False):
    """A job: its row, its definition while it is loaded, its open runs here and elsewhere, and when to look at it.

    ``before`` is a schedule that still has to account for its slots, up to the instant given; ``claimed`` are slots
    after the watermark that have a row; ``occurrences`` are those that are not decided yet, by key; ``parts`` the other
    jobs' ends that no slot has used yet, by job; ``tail`` is the row that further skipped slots of the same kind are
    added to; ``changing`` is when its last two runs by changed files began and ended, ``own_changes`` how many in a row
    were made due by changes during the one before.
    """

    row: JobRow
    spec: JobSpec | None = None
    when: Timing | None = None
    next_us: int | None = None
    wake_us: int | None = None
    runs: dict[str, LiveRun] = msgspec.field(default_factory=dict)
    elsewhere: dict[str, LiveRun] = msgspec.field(default_factory=dict)
    before: tuple[JobSpec, int] | None = None
    claimed: frozenset[int] = frozenset()
    tail: RunRow | None = None
    tail_length: int = 0
    asked_us: int = 0
    deleting: bool = False
    occurrences: dict[str, Occurrence] = msgspec.field(default_factory=dict)
    parts: dict[str, Occurrence] = msgspec.field(default_factory=dict)
    changing: tuple[tuple[int, int], ...] = ()
    own_changes: int = 0

    @property
    def is_gone(self) -> bool:
        """Return True if there is no file, or none was ever good."""
        return self.row.removed_us is not None or not self.row.definition

    def all_runs(self) -> list[LiveRun]:
        """Return the open runs, those of other nodes too."""
        return [*self.runs.values(), *self.elsewhere.values()] if self.elsewhere else list(self.runs.values())

    def slots_ahead(self, after_us: int) -> set[int]:
        """Return the slots after an instant that have been claimed."""
        return {run.row.slot_us for run in self.runs.values() if run.of_calendar and run.row.slot_us > after_us}

    def of_backfill(self, backfill: str) -> list[LiveRun]:
        """Return the open runs of a backfill."""
        return [run for run in self.runs.values() if run.backfill == backfill]

    def scheduled_runs(self) -> list[LiveRun]:
        """Return the runs that were started by a trigger, not by a person."""
        return [run for run in self.runs.values() if not run.manual and run.backfill is None]

    def paused_at(self, now_us: int) -> bool:
        """Return True if the job is paused at an instant; a pause that has run out is cleared at the next look."""
        row = self.row
        return row.paused_at_us is not None and (row.paused_until_us is None or row.paused_until_us > now_us)


def last_good(rows: Iterable[JobRow]) -> dict[str, LastGood]:
    """Return the last good definitions that the ledger has, and what was refused without one, for the loader."""
    return {
        row.job: LastGood(
            file=row.file,
            definition=row.definition if row.removed_us is None else "",
            loaded_us=row.last_loaded_us,
            refused=None if row.refused is None else RefusedVersion(content=row.refused, since_us=row.refused_us or 0),
        )
        for row in rows
        if row.removed_us is None or row.refused is not None
    }


def check_arguments(spec: JobSpec, kwargs: Mapping[str, object] | None) -> None:
    """Raise AkjobError where a job does not take the arguments that a run by hand was given."""
    if kwargs and isinstance(spec.code, Command):
        raise AkjobError(
            f"{spec.name} runs a command, which takes no --arg", hint="put the value into the command or its env"
        )


def backoff_us(retry: Retry, attempt: int) -> int:
    """Return how long to wait after the failure of an attempt (1, 2, …) before the next."""
    try:
        delay = int(retry.delay_us * retry.factor ** (attempt - 1))
    except OverflowError:
        delay = _LONGEST_DELAY_US
    return min(delay, _LONGEST_DELAY_US if retry.max_delay_us is None else retry.max_delay_us)


def running_of(run: LiveRun) -> Running:
    """Return a run as ``status`` shows it."""
    return Running(
        job=run.job,
        run=run.row.id,
        state=run.row.state,
        waiting_for=run.waiting_for,
        slot_us=run.row.slot_us,
        attempt=run.row.attempt,
        pid=run.row.pid,
        shim_pid=run.shim_pid,
        started_us=run.row.started_us,
        definition_sha256=run.row.definition_sha256,
        trigger=run.row.trigger,
    )


def new_row(spec: JobSpec, watermark_us: int, now_us: int) -> JobRow:
    """Return the row of a job that is loaded for the first time, or again after its file had gone."""
    return JobRow(
        job=spec.name,
        watermark_us=watermark_us,
        first_loaded_us=now_us,
        last_loaded_us=now_us,
        file=spec.file,
        definition_sha256=spec.sha256,
        definition=spec.definition,
    )


def unknown_row(name: str, now_us: int) -> JobRow:
    """Return a row for a job that was never loaded: it has a run in the ledger, or its first version was refused."""
    return JobRow(
        job=name,
        watermark_us=now_us,
        first_loaded_us=now_us,
        last_loaded_us=now_us,
        removed_us=now_us,
        file="",
        definition_sha256="",
        definition="",
    )


def counts_on(job: AgendaJob) -> bool:
    """Return True if the next slot depends on the runs."""
    return job.spec is not None and job.spec.schedule.again_after_us is not None


def same_slots(old: JobSpec, new: JobSpec) -> bool:
    """Return True if an edit left the slots as they were: schedule, limits and ``enabled``."""
    return (old.schedule, old.runs, old.enabled) == (new.schedule, new.runs, new.enabled)


def is_slot(spec: JobSpec, slot_us: int) -> bool:
    """Return True if the calendar of a job has this slot."""
    return next_slot(timing(spec).plan, slot_us - 1) == slot_us


def pause_text(row: JobRow) -> str:
    """Return why a paused job's slots are skipped."""
    by = f" by {row.paused_by}" if row.paused_by else ""
    return f"the job is paused{by}" + (f": {row.pause_reason}" if row.pause_reason else "")


def busy(job: AgendaJob) -> str | None:
    """Return what keeps a job busy, or None. A run whose time is still to come does not."""
    for run in job.all_runs():
        if run.deferred or run.is_background:
            continue
        if run.waiting_for != "time" or run.tries or run.row.trigger == "retry":
            return busy_with(run)
    return None


def is_catching_up(job: AgendaJob, spec: JobSpec) -> bool:
    """Return True while slots that come line up behind the runs of the job, whatever ``overlap`` says.

    So it is while ``missed = "all"`` makes up for slots, and while only a backfill keeps the job busy.
    """
    if any(run.under_way for run in job.runs.values()) and all(run.backfill is not None for run in job.runs.values()):
        return True
    waits = any(run.row.trigger == "missed" for run in job.runs.values())
    return spec.run.missed == "all" and waits and len(job.runs) <= AT_MOST_ALL


def busy_with(run: LiveRun) -> str:
    """Return how a run keeps its job busy."""
    return f"run {run.row.id}{f' on node {run.row.node}' if run.elsewhere and run.row.node else ''} {doing(run)}"


def doing(run: LiveRun) -> str:
    """Return what an open run does."""
    if run.phase in ("running", "stopping"):
        return "still runs"
    if run.phase in ("ordered", "recalled"):
        return "is about to start"
    if run.row.trigger == "retry" and run.waiting_for == "time":
        return "waits for its retry"
    return "is queued"
