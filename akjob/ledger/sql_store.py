"""The writing side of a ledger in a database with SQL, as far as it is the same for all of them."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Sequence
from typing import Any, TypeVar

from akjob.instants import from_text, to_text
from akjob.ledger import counting, rows, statements
from akjob.ledger.columns import JOB_COLUMNS
from akjob.ledger.model import (
    BackfillRow,
    Committed,
    JobCounters,
    JobRow,
    Join,
    Occurrence,
    OpenRun,
    RunRow,
    SlotOutcome,
    Transition,
    Writes,
)

T = TypeVar("T")

_SELECT_JOBS = statements.select("jobs", JOB_COLUMNS)
_SELECT_JOB_COUNTERS = f"{statements.select('job_counters', statements.JOB_COUNTER_COLUMNS)} WHERE job = ?"
_DEFINITION_KEEPS = 2  # a definition outlives its runs: a long run may end long after its definition was last used


class SqlStore(ABC):
    """:class:`akjob.ledger.Store` over four primitives: a transaction, one statement, many of one, a number."""

    def __init__(self) -> None:
        self._defined: set[str] = set()
        self._pruned_to = ""

    @abstractmethod
    def _transaction(self, work: Callable[[], T]) -> T:
        """Do ``work`` in one transaction, on disk when this returns; translate what goes wrong."""

    @abstractmethod
    def _ask(self, sql: str, values: Sequence[object] = ()) -> list[Any]:
        """Run one statement in a transaction and return its rows."""

    @abstractmethod
    def _many(self, sql: str, values: Iterable[Sequence[object]]) -> int:
        """Run a statement for each of ``values``; return how many rows it changed."""

    @abstractmethod
    def _first_seq(self, count: int) -> int:
        """Return the first of the next ``count`` numbers for transitions."""

    @abstractmethod
    def go_on_after(self, seq: int) -> None:
        """Begin with ``seq`` + 1 when the next transition is numbered."""

    @abstractmethod
    def integrity(self) -> list[str]:
        """Return what the database finds wrong with itself."""

    # ------------------------------------------------------------------ all of it, for copying and checking

    def whole(self, work: Callable[[], T]) -> T:
        """Do ``work``, which calls ``ask`` and ``many``, in one transaction."""
        return self._transaction(work)

    def ask(self, sql: str, values: Sequence[object] = ()) -> list[Any]:
        """Return the rows of a statement that both databases take."""
        return self._ask(sql, values)

    def many(self, sql: str, values: Iterable[Sequence[object]]) -> int:
        """Run a statement that both databases take for each of ``values``."""
        return self._many(sql, values)

    @abstractmethod
    def close(self) -> None:
        """Close the store."""

    def _read(self, sql: str, values: Sequence[object] = ()) -> list[Any]:
        return self._transaction(lambda: self._ask(sql, values))

    # ------------------------------------------------------------------ a turn

    def commit(self, writes: Writes) -> Committed:
        """Write a turn's changes in one transaction, on disk when this returns."""
        return self._transaction(lambda: self._write(writes))

    def _write(self, writes: Writes) -> Committed:
        many = self._many
        new = [one for one in writes.definitions if one.sha256 not in self._defined]
        if new:
            many(statements.DEFINE, [(one.sha256, one.file, one.text, to_text(one.used_us)) for one in new])
        refused = self._claim(writes.claims) if writes.claims else frozenset()
        fenced = self._change(writes.changes) if writes.changes else frozenset()
        self._write_jobs(writes)
        untold = refused | fenced
        self._write_waits(writes, untold)
        self._write_what_waits(writes)
        self._join([one for one in writes.joins if one.ended.run not in untold])
        return Committed(refused, self._number([one for one in writes.transitions if one.run not in untold]))

    def _write_jobs(self, writes: Writes) -> None:
        if writes.loaded:
            self._many(statements.LOADED, [rows.loaded_values(row) for row in writes.loaded])
        if writes.jobs:
            self._many(statements.JOB, [rows.job_values(row) for row in writes.jobs])

    def _write_waits(self, writes: Writes, without: frozenset[str]) -> None:
        """Write what runs wait for, but for those ``without`` a row that this writer may change."""
        waited = [(run,) for run in writes.waited if run not in without]
        if waited:
            self._many(statements.WAITED, waited)
        waits = [rows.wait_values(one) for one in writes.waits if one.run not in without]
        if waits:
            self._many(statements.WAIT, waits)

    def _write_what_waits(self, writes: Writes) -> None:
        """Write the occurrences and the backfills."""
        many = self._many
        if writes.decided:
            many(statements.DECIDED, writes.decided)
        if writes.occurrences:
            many(statements.OCCUR, [rows.occurrence_values(one) for one in writes.occurrences])
        if writes.seen:
            many(statements.SAW, [values for one in writes.seen for values in rows.seen_values(one)])
            many(statements.SEE_NO_MORE, [values for one in writes.seen for values in rows.gone_values(one)])
        if writes.new_backfills:
            many(statements.NEW_BACKFILL, [rows.backfill_values(one) for one in writes.new_backfills])
        if writes.backfills:
            changes = [(one.position, one.done, one.failed, one.state, one.id) for one in writes.backfills]
            many(statements.BACKFILL, changes)

    def _join(self, joins: list[Join]) -> None:  # noqa: B027 - for a store that several nodes share
        """Answer what ends mean together with those of other nodes: there are none here."""

    def _claim(self, claims: list[RunRow]) -> frozenset[str]:
        """Insert claims; return the runs whose slot and attempt have a row already."""
        made = self._many(statements.CLAIM, [(*rows.run_values(row), row.scope) for row in claims])
        if made == len(claims):
            return frozenset()
        exists = "SELECT 1 FROM runs WHERE id = ?"
        return frozenset(row.id for row in claims if not self._ask(exists, (row.id,)))

    def _change(self, changes: list[RunRow]) -> frozenset[str]:
        """Write runs again; return those that are another node's by now: of these nothing is written."""
        self._many(statements.CHANGE, [rows.change_values(row) for row in changes])
        return frozenset()

    def _number(self, transitions: list[Transition]) -> tuple[Transition, ...]:
        """Write transitions and what they count; return them with their numbers."""
        if not transitions:
            return ()
        numbered = rows.numbered(transitions, self._first_seq(len(transitions)))
        self._many(statements.TRANSITION, map(rows.transition_values, numbered))
        sums = counting.sums(numbered)
        if sums:
            counts = [(name, rows.labels_text(labels), n) for (name, labels), n in sorted(sums.items())]
            self._many(statements.COUNT, counts)
        jobs = counting.count_jobs(numbered, self._job_counters)
        if jobs:
            self._many(statements.COUNT_JOB, [rows.job_counters_values(job, jobs[job]) for job in sorted(jobs)])
        return numbered

    def _job_counters(self, job: str) -> JobCounters | None:
        found = self._ask(_SELECT_JOB_COUNTERS, (job,))
        return rows.job_counters(found[0]) if found else None

    # ------------------------------------------------------------------ what akjobd asks at its start

    def jobs_state(self) -> list[JobRow]:
        """Return the rows of all jobs that were ever loaded."""
        return [rows.job_row(row) for row in self._read(_SELECT_JOBS)]

    def open_runs(self) -> list[OpenRun]:
        """Return the runs that are queued or running, oldest first."""
        return [rows.open_run(row) for row in self._read(statements.SELECT_OPEN)]

    def occurrences(self) -> list[Occurrence]:
        """Return the occurrences that are not decided yet, oldest first."""
        return [rows.occurrence(row) for row in self._read(statements.SELECT_OCCURRENCES)]

    def last_attempt(self, job: str, slot_us: int) -> int:
        """Return the number of the last attempt that a slot has a row for; 0 if it has none."""
        return int(self._read(statements.SELECT_LAST_ATTEMPT, (job, to_text(slot_us)))[0][0] or 0)

    def seen_files(self) -> dict[str, dict[str, tuple[int, int, int]]]:
        """Return what each job with ``on_change`` has seen of its files, by job and path."""
        return rows.seen_files(self._read(statements.SELECT_SEEN))

    def open_backfills(self) -> list[BackfillRow]:
        """Return the backfills that are not over, oldest first."""
        return [rows.backfill(row) for row in self._read(statements.SELECT_OPEN_BACKFILLS)]

    def outcomes(self, job: str, from_us: int, until_us: int) -> list[SlotOutcome]:
        """Return what became of a job's slots with ``from_us`` <= slot < ``until_us``, in their order."""
        found = self._read(statements.SELECT_OUTCOMES, (job, to_text(from_us), to_text(until_us)))
        return [SlotOutcome(from_text(slot), attempt, state) for slot, attempt, state in found]

    def boot_instant(self, boot_id: str, boot_us: int) -> tuple[int, bool]:
        """Return the instant of this boot as it was first recorded, and whether that is now."""
        return self._transaction(lambda: self._boot_instant(self._boot_key(), boot_id, boot_us))

    def _boot_key(self) -> str:
        return "boot"

    def _boot_instant(self, key: str, boot_id: str, boot_us: int) -> tuple[int, bool]:
        known = self._ask("SELECT value FROM meta WHERE key = ?", (key,))
        if known and known[0][0].startswith(boot_id + " "):
            return from_text(known[0][0].removeprefix(boot_id + " ")), False
        self._many(statements.KEEP, [(key, f"{boot_id} {to_text(boot_us)}")])
        return boot_us, True

    # ------------------------------------------------------------------ pruning

    def prune(self, keep_us: int, now_us: int, limit: int = 200) -> bool:
        """Delete what ended more than ``keep_us`` ago, of ``limit`` rows at most; return True if more is left."""
        return self._transaction(lambda: self._prune(to_text(now_us - keep_us), keep_us, now_us, limit))

    def _prune(self, before: str, keep_us: int, now_us: int, limit: int) -> bool:
        more = self._prune_transitions(before, limit)
        return self._prune_runs(before, keep_us, now_us, limit) or more

    def _prune_transitions(self, before: str, limit: int) -> bool:
        newest = self._ask("SELECT max(seq) FROM transitions")[0][0]
        keep_from = (newest or 0) - statements.KEEP_TRANSITIONS
        old = "SELECT seq FROM transitions WHERE seq <= ? AND at < ? ORDER BY seq LIMIT ?"
        slice_ = self._ask(old, (keep_from, before, limit))
        if slice_:
            self._many("DELETE FROM transitions WHERE seq <= ?", [tuple(slice_[-1])])
        return len(slice_) == limit

    def _prune_runs(self, before: str, keep_us: int, now_us: int, limit: int) -> bool:
        following = "SELECT id, queued_at, ended_at FROM runs WHERE id > ? ORDER BY id LIMIT ?"
        slice_ = self._ask(following, (self._pruned_to, limit))
        old = [(run,) for run, _, ended in slice_ if ended is not None and ended < before]
        if old:
            self._many("DELETE FROM runs WHERE id = ?", old)
        if len(slice_) == limit and slice_[-1][1] < before:
            self._pruned_to = slice_[-1][0]
            return True
        self._pruned_to = ""
        stale = to_text(now_us - _DEFINITION_KEEPS * keep_us)
        unused = "DELETE FROM definitions WHERE last_used_at < ? AND sha256 NOT IN (SELECT definition_sha256 FROM jobs)"
        self._many(unused, [(stale,)])
        self._defined.clear()
        return False
