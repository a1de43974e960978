"""The reading side of a ledger in a database with SQL, as far as it is the same for all of them."""

import threading
from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from typing import Any, NamedTuple

from akjob.instants import DAY, MINUTE, from_text
from akjob.ledger import rows
from akjob.ledger.asking import SAMPLE, check_state, only_run, run_key
from akjob.ledger.columns import (
    JOB_COLUMNS,
    RUN_COLUMNS,
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
from akjob.ledger.model import Counter, JobCounters, NodeTags, Outcome, State, Transition
from akjob.ledger.statements import (
    BACKFILLS_SINCE,
    EXCEPTIONS,
    OPEN,
    OUTCOMES,
    SELECT_BACKFILLS,
    SELECT_COUNTERS,
    SELECT_COUNTS_BY_HOUR,
    SELECT_DAYS,
    SELECT_DURATIONS,
    SELECT_EVENTS,
    SELECT_JOB_COUNTERS,
    SELECT_JOB_TRANSITIONS,
    SELECT_MEASURED,
    SELECT_NEWEST,
    SELECT_TIMES_BEFORE,
    SELECT_TIMES_WITHIN,
    SELECT_TRANSITIONS,
    TRANSITIONS_SINCE,
    select,
    select_slot_tally,
)

PAGE_ROWS = 20_000
"""A page reads at most this many rows where no index helps."""

_ALL = 1 << 62  # as a LIMIT
_SECOND_OF, _MINUTE_OF = 19, 16  # so many characters of an instant's text
_JULIAN_S = 0.001  # julianday() is exact to a tenth of this
_AHEAD_US = 7 * DAY  # a run is claimed ahead of its slot by its `lead`, hardly longer

Ask = Callable[[str, Sequence[Any]], list[Any]]
Session = tuple[Ask | None, int]
"""How to ask, None where there is no ledger yet, and the version of its schema."""


class _Shared(threading.local):
    """The session that the questions of a thread share."""

    stack: ExitStack | None = None
    session: Session | None = None


class SqlReader(ABC):
    """:class:`akjob.ledger.Reader` over one primitive: a session in which questions are asked.

    After an upgrade, as long as the akjobd of the version before runs, the newest columns and tables may be missing:
    they read as empty.
    """

    def __init__(self) -> None:
        self._shared = _Shared()

    @abstractmethod
    def _opened(self) -> AbstractContextManager[Session]:
        """Begin to read; translate what goes wrong."""

    @contextmanager
    def at_once(self) -> Iterator[None]:
        """Let all questions that this thread asks in the block share one session, which begins with the first."""
        if self._shared.stack is not None:
            yield
            return
        with ExitStack() as stack:
            self._shared.stack = stack
            try:
                yield
            finally:
                self._shared.stack = self._shared.session = None

    @contextmanager
    def _session(self) -> Iterator[Session]:
        shared = self._shared
        if shared.stack is None:
            with self._opened() as session:
                yield session
            return
        if shared.session is None:
            shared.session = shared.stack.enter_context(self._opened())
        yield shared.session

    def history(self, job: str | None = None, n: int = 20, state: str | None = None) -> list[RunColumns]:
        """Return the newest ``n`` rows, newest first: by id, or of one job by slot and attempt."""
        check_state(state)
        return self._runs(history_tail(state, of_job=job is not None), (n,) if job is None else (job, n))

    def slots_until(self, job: str, slot: str, n: int) -> list[RunColumns]:
        """Return a job's newest ``n`` rows whose slot is ``slot`` or earlier, newest first."""
        return self._runs(" WHERE job = ? AND slot <= ? ORDER BY slot DESC, attempt DESC LIMIT ?", (job, slot, n))

    def rows_between(self, job: str, since: str, until: str, n: int | None = None) -> list[RunColumns]:
        """Return a job's rows, or the first ``n``, with slots in [since, until), by slot and attempt, oldest first."""
        tail = " WHERE job = ? AND slot >= ? AND slot < ? ORDER BY slot, attempt LIMIT ?"
        return self._runs(tail, (job, since, until, _ALL if n is None else n))

    def oldest_slot(self, job: str) -> str | None:
        """Return the slot of the oldest row that a job has; None where it has none."""
        found = self._select("SELECT min(slot) FROM runs WHERE job = ?", (job,))
        return found[0][0] if found else None

    def durations(self, jobs: Iterable[str], n: int) -> dict[str, list[float]]:
        """Return how many seconds the last ``n`` runs of each job took that succeeded; jobs without one are left out.

        Only the newest ``4 * n`` rows of a job are looked at.
        """
        with self._session() as (ask, _):
            if ask is None:
                return {}
            found = {job: ask(SELECT_DURATIONS, (job, 4 * n, n)) for job in jobs}
        return {job: [round(one[0], 3) for one in took] for job, took in found.items() if took}

    def page(self, wanted: RunFilter, limit: int, after: RunKey | None = None) -> RunPage:
        """Return the newest ``limit`` rows that are wanted, those after a key where one is given, newest first.

        Where no index helps (a trigger; a time of all jobs) it searches the next PAGE_ROWS rows.
        """
        tail = RunTail.of(wanted, after)
        with self._session() as (ask, version):
            if ask is None:
                return RunPage([], None)
            sql = f"{select('runs', RUN_COLUMNS, version)}{tail.among} ORDER BY {tail.order} LIMIT ?"
            found = ask(sql, (*tail.values, *tail.rest_values, *tail.cut(limit), limit + 1))
            columns = [rows.run_columns(row) for row in found[:limit]]
            if len(found) > limit:
                return RunPage(columns, run_key(columns[-1]))
            return RunPage(columns, _end_of(ask, tail, wanted.since) if tail.rest else None)

    def count(self, wanted: RunFilter, most: int) -> RunCount:
        """Return how many rows are wanted, up to ``most``; where no index helps, among the newest PAGE_ROWS."""
        tail = RunTail.of(wanted, None)
        with self._session() as (ask, _):
            if ask is None:
                return RunCount(0, is_exact=True)
            if not tail.rest:
                if ask(f"SELECT 1 FROM runs{tail.where} LIMIT 1 OFFSET ?", (*tail.values, most - 1)):  # noqa: S608
                    return RunCount(most, is_exact=False)
                ((found,),) = ask(f"SELECT count(*) FROM runs{tail.where}", tail.values)  # noqa: S608 - ours
                return RunCount(found, is_exact=True)
            ((found,),) = ask(
                f"SELECT count(*) FROM ({tail.looked_at}) AS seen{tail.rest}",  # noqa: S608 - ours
                (*tail.values, *tail.rest_values),
            )
            return RunCount(found, is_exact=_end_of(ask, tail, wanted.since) is None)

    def newest_slots(self, jobs: Iterable[str], n: int) -> dict[str, list[SlotColumns]]:
        """Return the newest ``n`` rows of each job, newest slot first; jobs without one are left out."""
        with self._session() as (ask, _):
            if ask is None:
                return {}
            found = {job: ask(SELECT_NEWEST, (job, n)) for job in jobs}
        return {job: [SlotColumns(*row) for row in newest] for job, newest in found.items() if newest}

    def times(self, jobs: Iterable[str], since: str, until: str, n: int) -> dict[str, list[TimeColumns]]:
        """Return the newest ``n`` rows of each job with slots in [since, until), and the one before; newest first."""
        found = {}
        with self._session() as (ask, _):
            if ask is None:
                return {job: [] for job in jobs}
            for job in jobs:
                within = ask(SELECT_TIMES_WITHIN, (job, since, until, n))
                before = ask(SELECT_TIMES_BEFORE, (job, since, 1)) if len(within) < n else []
                found[job] = [TimeColumns(*row) for row in (*within, *before)]
        return found

    def counts_by_hour(self, job: str, since: str, until: str, n: int) -> list[tuple[str, int]]:
        """Return how many of a job's newest ``n`` rows in [since, until) each hour has: ``2026-03-29T01``, in order."""
        return [(hour, count) for hour, count in self._select(SELECT_COUNTS_BY_HOUR, (job, since, until, n))]

    def slot_tallies(self, jobs: Iterable[str], since: str, n: int) -> dict[str, SlotTally]:
        """Return how many slots of each job succeeded from ``since`` on; jobs without one are left out."""
        with self._session() as (ask, version):
            if ask is None:
                return {}
            found = {job: ask(select_slot_tally(version), (job, since, n))[0] for job in jobs}
        return {job: SlotTally(int(row[0]), int(row[1]), row[2]) for job, row in found.items() if row[2] is not None}

    def measured(self, job: str, n: int) -> list[Measured]:
        """Return what there is to draw of the runs that ended among a job's newest ``n`` rows, newest first."""
        return [Measured(*row) for row in self._select(SELECT_MEASURED, (job, n))]

    def day_counts(self, job: str, since: str, n: int) -> list[DayCount]:
        """Return how many slots of a job came to which state, day by day in UTC, among its newest ``n`` rows."""
        values = (job, since, n - 1, since, *([job] * 5))
        return day_counts_of(self._select(SELECT_DAYS, values))

    def run(self, prefix: str) -> RunColumns:
        """Return the row whose id is, or alone begins with, ``prefix``. Raises AkjobError for none and for several."""
        found = self._runs(" WHERE id >= ? AND id < ? ORDER BY id LIMIT ?", (prefix, prefix + "\x7f", SAMPLE + 1))
        return only_run(prefix, found)

    def find_run(self, run: str) -> RunColumns | None:
        """Return the row with exactly this id, or None."""
        found = self._runs(" WHERE id = ?", (run,))
        return found[0] if found else None

    def outcomes(self, from_id: str, late_us: int, long_us: int, besides: Collection[str] = ()) -> list[Outcome]:
        """Return what ended in a way that may be worth a message, by the time of the ends; see the protocol."""
        same = _MINUTE_OF if min(late_us, long_us) >= MINUTE else _SECOND_OF
        statement = OUTCOMES.format(same=same, besides=", ".join("?" * len(besides)) or "NULL")
        values = (from_id, late_us / 1e6 - _JULIAN_S, long_us / 1e6 - _JULIAN_S, from_id, *besides)
        return [Outcome(*row) for row in self._select(statement, values)]

    def nodes(self) -> list[NodeTags]:
        """Return no node: the ledger is not shared."""
        return []

    def open_runs(self) -> list[RunColumns]:
        """Return the rows that are queued or running, oldest first."""
        return self._runs(f" WHERE {OPEN} ORDER BY id", ())

    def jobs(self, names: Iterable[str] | None = None) -> dict[str, JobColumns]:
        """Return the rows of all jobs, or of those named, by name."""
        if names is None:
            return {row["job"]: row for row in self._jobs("", ())}
        with self._session() as (ask, version):
            if ask is None:
                return {}
            sql = select("jobs", JOB_COLUMNS, version) + " WHERE job = ?"
            found = [row for name in names for row in ask(sql, (name,))]
        return {row["job"]: row for row in map(rows.job_columns, found)}

    def job(self, name: str) -> JobColumns | None:
        """Return one job's row, or None."""
        found = self._jobs(" WHERE job = ?", (name,))
        return found[0] if found else None

    def definition(self, sha256: str) -> str | None:
        """Return the text of a definition that some run was made from, or that is loaded now; else None."""
        found = self._select("SELECT definition FROM definitions WHERE sha256 = ?", (sha256,)) or self._select(
            "SELECT definition FROM jobs WHERE definition_sha256 = ?", (sha256,)
        )
        return found[0][0] if found else None

    def backfills(self) -> list[BackfillColumns]:
        """Return all backfills, newest first."""
        return [rows.backfill_columns(row) for row in self._select(SELECT_BACKFILLS, (), BACKFILLS_SINCE)]

    def transitions(self, after_seq: int, limit: int = 1000) -> list[Transition]:
        """Return the first ``limit`` transitions that are newer than ``after_seq``, oldest first."""
        found = self._select(SELECT_TRANSITIONS, (after_seq, limit), since=TRANSITIONS_SINCE)
        return [rows.transition(row) for row in found]

    def job_transitions(self, job: str) -> list[Transition]:
        """Return the transitions of a job and of akjobd, oldest first, without those of runs."""
        found = self._select(SELECT_JOB_TRANSITIONS, (job,), since=TRANSITIONS_SINCE)
        return [rows.transition(row) for row in found]

    def events(self) -> list[Transition]:
        """Return the transitions of all jobs and of akjobd, oldest first, without those of runs."""
        found = self._select(SELECT_EVENTS, (), since=TRANSITIONS_SINCE)  # sorted here: few are, of very many
        return sorted((rows.transition(row) for row in found), key=lambda one: one.seq)

    def last_seq(self) -> int:
        """Return the number of the newest transition; 0 where there was none yet."""
        found = self._select("SELECT max(seq) FROM transitions", (), since=TRANSITIONS_SINCE)
        return found[0][0] or 0 if found else 0

    def counters(self) -> list[Counter]:
        """Return all counters, sorted by name and labels."""
        return [rows.counter(row) for row in self._select(SELECT_COUNTERS, (), since=TRANSITIONS_SINCE)]

    def job_counters(self) -> dict[str, JobCounters]:
        """Return what is counted of each job, by name."""
        found = self._select(SELECT_JOB_COUNTERS, (), since=TRANSITIONS_SINCE)
        return {row[0]: rows.job_counters(row[1:]) for row in found}

    def _runs(self, tail: str, values: tuple[object, ...]) -> list[RunColumns]:
        return [rows.run_columns(row) for row in self._rows("runs", RUN_COLUMNS, tail, values)]

    def _jobs(self, tail: str, values: tuple[object, ...]) -> list[JobColumns]:
        return [rows.job_columns(row) for row in self._rows("jobs", JOB_COLUMNS, tail, values)]

    def _rows(self, table: str, columns: Iterable[str], tail: str, values: tuple[object, ...]) -> list[Any]:
        with self._session() as (ask, version):
            if ask is None:
                return []
            return ask(select(table, columns, version) + tail, values)

    def _select(self, sql: str, values: tuple[object, ...], since: int = 1) -> list[Any]:
        with self._session() as (ask, version):
            return [] if ask is None or version < since else ask(sql, values)


def day_counts_of(found: Iterable[Sequence[Any]]) -> list[DayCount]:
    """Return what :data:`SELECT_DAYS` found by day and state: what is left of all rows of a day succeeded."""
    slots: dict[tuple[str, State], int] = {}
    for day, state, of_rows, of_slots in found:
        succeeded: tuple[str, State] = (day, "succeeded")
        slots[succeeded] = slots.get(succeeded, 0) + (of_rows if state is None else -of_rows)
        if state is not None:
            slots[day, state] = int(of_slots)
    return [DayCount(day, state, count) for (day, state), count in sorted(slots.items()) if count]


def history_tail(state: str | None, *, of_job: bool) -> str:
    """Return what follows ``FROM runs`` for the newest rows: of one job or of all, in one state (see STATES) or in any.

    SQLite takes a partial index only where its condition is in the query, word by word.
    """
    conditions = ["job = ?"] if of_job else []
    if state is not None:
        conditions += [f"state = '{state}'", *(clause for clause in (OPEN, EXCEPTIONS) if f"'{state}'" in clause)]
    where = f" WHERE {' AND '.join(conditions)}" if conditions else ""
    return f"{where} ORDER BY {'slot DESC, attempt DESC' if of_job else 'id DESC'} LIMIT ?"


_Clause = tuple[str, tuple[Any, ...]]


class RunTail(NamedTuple):
    """A question for rows of ``runs``: an index serves ``where``; ``rest`` is searched among these."""

    where: str
    values: tuple[object, ...]
    rest: str
    rest_values: tuple[object, ...]
    order: str

    @classmethod
    def of(cls, wanted: RunFilter, after: RunKey | None) -> "RunTail":
        """Return the question for what is wanted."""
        indexed: list[_Clause] = []
        rest: list[_Clause] = []
        if wanted.state is not None:
            of_index: list[_Clause] = [(one, ()) for one in (OPEN, EXCEPTIONS) if f"'{wanted.state}'" in one]
            (indexed if of_index else rest).append((f"state = '{wanted.state}'", ()))
            indexed += of_index
        bounds = (("slot >= ?", wanted.since), ("slot < ?", wanted.until))
        slots: list[_Clause] = [(clause, (bound,)) for clause, bound in bounds if bound is not None]
        if wanted.job is not None:
            indexed += [("job = ?", (wanted.job,)), *slots]
            indexed += [("(slot, attempt) < (?, ?)", (after.slot, after.attempt))] if after is not None else []
        else:
            rest += slots
            indexed += [("id < ?", (after.id,))] if after is not None else []
        if wanted.trigger is not None:
            rest.append(("trigger = ?", (wanted.trigger,)))
        order = "id DESC" if wanted.job is None else "slot DESC, attempt DESC"
        return cls(*_clauses(indexed), *_clauses(rest), order)

    @property
    def looked_at(self) -> str:
        """The rows that are searched where no index helps."""
        columns = "id, slot, attempt, state, trigger, queued_at"
        return f"SELECT {columns} FROM runs{self.where} ORDER BY {self.order} LIMIT {PAGE_ROWS}"  # noqa: S608 - ours

    @property
    def among(self) -> str:
        """What follows ``FROM runs``. A subquery yields its rows in its order, so the look ends with the last one."""
        if not self.rest:
            return self.where
        return f" WHERE id IN (SELECT id FROM ({self.looked_at}) AS seen{self.rest} LIMIT ?)"  # noqa: S608 - ours

    def cut(self, limit: int) -> tuple[int, ...]:
        """Return the value of the inner limit, where there is one."""
        return (limit + 1,) if self.rest else ()


def _clauses(found: Sequence[_Clause]) -> tuple[str, tuple[Any, ...]]:
    where = f" WHERE {' AND '.join(clause for clause, _ in found)}" if found else ""
    return where, tuple(value for _, values in found for value in values)


def _end_of(ask: Ask, tail: RunTail, since: str | None) -> RunKey | None:
    """Return where a bounded look ended; None where nothing that is wanted can follow.

    Rows of all jobs come by id, so by the instant of their claim, which is not long before the slot.
    """
    sql = f"SELECT id, slot, attempt, queued_at FROM ({tail.looked_at}) AS seen LIMIT 1 OFFSET {PAGE_ROWS - 1}"  # noqa: S608
    found = ask(sql, tail.values)
    last = found[0] if found else None
    if last is None or (since is not None and from_text(last[3]) < from_text(since) - _AHEAD_US):
        return None
    return RunKey(*last[:3])
