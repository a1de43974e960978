"""What akjob asks of a ledger, whatever keeps it: the writing side, the reading side, and how a write may fail."""

from collections.abc import Collection, Iterable
from contextlib import AbstractContextManager
from typing import Protocol

from akjob.errors import AkjobError
from akjob.ledger.columns import (
    BackfillColumns,
    DayCount,
    JobColumns,
    Measured,
    RunColumns,
    RunCount,
    RunFilter,
    RunKey,
    RunPage,
    SlotColumns,
    SlotTally,
    TimeColumns,
)
from akjob.ledger.model import (
    BackfillRow,
    Committed,
    Counter,
    JobCounters,
    JobRow,
    NodeTags,
    Occurrence,
    OpenRun,
    Outcome,
    SlotOutcome,
    Transition,
    Writes,
)


class LedgerBusyError(AkjobError):
    """Another program holds the ledger's lock. Nothing was written; the same writes may be tried again."""


class LedgerFullError(AkjobError):
    """The ledger cannot be written now: disk full, read-only or failing. Nothing was written; try again later."""


class LedgerStaleError(AkjobError):
    """What was decided must not be written, now or later. Nothing was written; begin again with what the ledger has."""


class Store(Protocol):
    """The writing side: akjobd's alone. Every method is one transaction, and none leaves one open.

    Each may raise LedgerBusyError or LedgerFullError, with nothing written, and AkjobError for a ledger that is
    damaged.
    """

    def commit(self, writes: Writes) -> Committed:
        """Write a turn's changes in one transaction, on disk when this returns.

        A claim whose (job, slot, attempt) the ledger has already is refused: its run must not start, and its
        transitions are not written. What was written bumps the counters in the same transaction.
        """

    def jobs_state(self) -> list[JobRow]:
        """Return the rows of all jobs that were ever loaded."""

    def open_runs(self) -> list[OpenRun]:
        """Return the runs that are queued or running, oldest first."""

    def occurrences(self) -> list[Occurrence]:
        """Return the occurrences that are not decided yet, oldest first."""

    def last_attempt(self, job: str, slot_us: int) -> int:
        """Return the number of the last attempt that a slot has a row for; 0 if it has none."""

    def seen_files(self) -> dict[str, dict[str, tuple[int, int, int]]]:
        """Return what each job with ``on_change`` has seen of its files (mtime in ns, size, inode), by job and path."""

    def open_backfills(self) -> list[BackfillRow]:
        """Return the backfills that are not over, oldest first."""

    def outcomes(self, job: str, from_us: int, until_us: int) -> list[SlotOutcome]:
        """Return what became of a job's slots with ``from_us`` <= slot < ``until_us``, in their order."""

    def boot_instant(self, boot_id: str, boot_us: int) -> tuple[int, bool]:
        """Return the instant of this boot as it was first recorded, and whether that is now.

        The kernel's own figure moves when the clock is set, and ``on_boot`` would fire again.
        """

    def prune(self, keep_us: int, now_us: int, limit: int = 200) -> bool:
        """Delete what ended more than ``keep_us`` ago, looking at ``limit`` rows at most; return True if more is left.

        Call it again, between turns of the loop, while it returns True. Counters are never pruned, nor are the
        newest 10,000 transitions.
        """

    def wal_bytes(self) -> int:
        """Return the size of what a checkpoint would move; 0 for a store that needs none."""

    def is_in_place(self) -> bool:
        """Return False if the file that is written is not the one at its path any more. Safe in another thread."""

    def put_back(self) -> None:
        """Write all of the ledger to its path again, after it was removed there. Raises as ``commit``."""

    def checkpoint(self) -> bool:
        """Move the write-ahead log into the database; return True if all of it was moved. Safe in another thread."""

    def close(self) -> None:
        """Close the store."""


class Reader(Protocol):
    """The reading side: read-only, and it needs no akjobd. Before akjobd's first start everything is empty.

    Instants are UTC text, as in the ledger's columns. Each method may raise AkjobError when the ledger cannot be read.
    """

    def at_once(self) -> AbstractContextManager[None]:
        """Let the questions that this thread asks in the block share what each would open by itself."""

    def nodes(self) -> list[NodeTags]:
        """Return the nodes of the cluster, by name; none of a ledger that is not shared."""

    def history(self, job: str | None = None, n: int = 20, state: str | None = None) -> list[RunColumns]:
        """Return the newest ``n`` rows, newest first: by id, or of one job by slot and attempt."""

    def slots_until(self, job: str, slot: str, n: int) -> list[RunColumns]:
        """Return a job's newest ``n`` rows whose slot is ``slot`` or earlier, newest first."""

    def rows_between(self, job: str, since: str, until: str, n: int | None = None) -> list[RunColumns]:
        """Return a job's rows, or the first ``n``, with slots in [since, until), by slot and attempt, oldest first."""

    def oldest_slot(self, job: str) -> str | None:
        """Return the slot of the oldest row that a job has; None where it has none."""

    def durations(self, jobs: Iterable[str], n: int) -> dict[str, list[float]]:
        """Return how many seconds the last ``n`` runs of each job took that succeeded; jobs without one are left out.

        Only the newest ``4 * n`` rows of a job are looked at.
        """

    def page(self, wanted: RunFilter, limit: int, after: RunKey | None = None) -> RunPage:
        """Return the newest ``limit`` rows that are wanted, those after a key where one is given, newest first.

        Of one job they are in the order of slot and attempt, of all in that of their ids.
        """

    def count(self, wanted: RunFilter, most: int) -> RunCount:
        """Return how many rows are wanted, up to ``most``; where no index helps, among the newest PAGE_ROWS."""

    def newest_slots(self, jobs: Iterable[str], n: int) -> dict[str, list[SlotColumns]]:
        """Return the newest ``n`` rows of each job, newest slot first; jobs without one are left out."""

    def times(self, jobs: Iterable[str], since: str, until: str, n: int) -> dict[str, list[TimeColumns]]:
        """Return the newest ``n`` rows of each job with slots in [since, until), and the one before; newest first."""

    def counts_by_hour(self, job: str, since: str, until: str, n: int) -> list[tuple[str, int]]:
        """Return how many of a job's newest ``n`` rows in [since, until) each hour has: ``2026-03-29T01``, in order."""

    def slot_tallies(self, jobs: Iterable[str], since: str, n: int) -> dict[str, SlotTally]:
        """Return how many slots of each job succeeded from ``since`` on; jobs without one are left out.

        Only the newest ``n`` rows of a job are looked at. Slots that were skipped or cancelled do not count.
        """

    def measured(self, job: str, n: int) -> list[Measured]:
        """Return what there is to draw of the runs that ended among a job's newest ``n`` rows, newest first."""

    def day_counts(self, job: str, since: str, n: int) -> list[DayCount]:
        """Return how many slots of a job came to which state, day by day in UTC, among its newest ``n`` rows."""

    def run(self, prefix: str) -> RunColumns:
        """Return the row whose id is, or alone begins with, ``prefix``. Raises AkjobError for none and for several."""

    def find_run(self, run: str) -> RunColumns | None:
        """Return the row with exactly this id, or None."""

    def outcomes(self, from_id: str, late_us: int, long_us: int, besides: Collection[str] = ()) -> list[Outcome]:
        """Return what ended in a way that may be worth a message, by the time of the ends, from an id on.

        These are the ends without success and the success that follows each, the runs that started ``late_us`` and more
        after their slots or took ``long_us`` and more (each at least a second), and all that ended of the jobs
        ``besides``.
        """

    def open_runs(self) -> list[RunColumns]:
        """Return the rows that are queued or running, oldest first."""

    def jobs(self, names: Iterable[str] | None = None) -> dict[str, JobColumns]:
        """Return the rows of all jobs, or of those named, by name."""

    def job(self, name: str) -> JobColumns | None:
        """Return one job's row, or None."""

    def definition(self, sha256: str) -> str | None:
        """Return the text of a definition that some run was made from, or that is loaded now; else None."""

    def backfills(self) -> list[BackfillColumns]:
        """Return all backfills, newest first."""

    def transitions(self, after_seq: int, limit: int = 1000) -> list[Transition]:
        """Return the first ``limit`` transitions that are newer than ``after_seq``, oldest first."""

    def job_transitions(self, job: str) -> list[Transition]:
        """Return the transitions of a job and of akjobd, oldest first, without those of runs."""

    def events(self) -> list[Transition]:
        """Return the transitions of all jobs and of akjobd, oldest first, without those of runs."""

    def last_seq(self) -> int:
        """Return the number of the newest transition; 0 where there was none yet."""

    def counters(self) -> list[Counter]:
        """Return all counters, sorted by name and labels."""

    def size_bytes(self) -> int:
        """Return the size of the ledger on its disk."""

    def job_counters(self) -> dict[str, JobCounters]:
        """Return what is counted of each job, by name."""
