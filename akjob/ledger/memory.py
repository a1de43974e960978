"""A ledger in memory: for simulations and tests, where nothing outlives the process."""

from collections import defaultdict
from collections.abc import Collection, Iterable
from contextlib import AbstractContextManager, nullcontext
from itertools import islice
from operator import attrgetter

from msgspec.structs import replace

from akjob.instants import SECOND, from_text, to_text
from akjob.ledger import counting, rows
from akjob.ledger.asking import SAMPLE, check_state, is_wanted, only_run, run_key, slot_columns, time_columns
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
    Definition,
    JobCounters,
    JobRow,
    NodeTags,
    Occurrence,
    OpenRun,
    Outcome,
    RunRow,
    SlotOutcome,
    State,
    Transition,
    Wait,
    Writes,
)
from akjob.ledger.no_file import NoFile
from akjob.ledger.statements import KEEP_TRANSITIONS

_LOADED_FIELDS = JobRow.__struct_fields__[JobRow.__struct_fields__.index("first_loaded_us") :]
_OPEN = ("queued", "running")
_COUNTED = frozenset({"succeeded", "failed", "timed_out", "lost", "missed"})


class MemoryStore(NoFile):
    """:class:`akjob.ledger.Store` in dictionaries. Rows that are committed belong to the store from then on."""

    def __init__(self) -> None:
        self.runs: dict[str, RunRow] = {}
        self.claimed: set[tuple[str, int, int, str]] = set()
        self.of_job: dict[str, list[RunRow]] = defaultdict(list)
        self.open: dict[str, RunRow] = {}
        self.jobs: dict[str, JobRow] = {}
        self.waits: dict[str, Wait] = {}
        self.backfills: dict[str, BackfillRow] = {}
        self.seen: dict[str, dict[str, tuple[int, int, int]]] = {}
        self.pending: dict[tuple[str, str], Occurrence] = {}
        self.definitions: dict[str, Definition] = {}
        self.transitions: list[Transition] = []
        self.uncounted: list[Transition] = []
        self.last_seq = 0
        self.counts: dict[counting.Key, float] = {}
        self.job_counts: dict[str, JobCounters] = {}
        self._boot: tuple[str, int] | None = None

    def commit(self, writes: Writes) -> Committed:
        """Take over a turn's changes."""
        for definition in writes.definitions:
            self.definitions[definition.sha256] = definition
        refused = frozenset(row.id for row in writes.claims if not self._claim(row))
        for row in writes.changes:
            if row.id in self.runs:
                self._put(row)
        self.jobs.update((row.job, row) for row in writes.loaded)
        for job in writes.jobs:
            if job.job in self.jobs:
                self.jobs[job.job] = _changed(self.jobs[job.job], job)
        for run in writes.waited:
            self.waits.pop(run, None)
        self.waits.update((wait.run, wait) for wait in writes.waits if wait.run not in refused)
        for key in writes.decided:
            self.pending.pop(key, None)
        self.pending.update(((one.job, one.key), one) for one in writes.occurrences)
        for seen in writes.seen:
            of_job = self.seen.setdefault(seen.job, {})
            for path, signature in seen.files.items():
                of_job.pop(path, None)
                of_job.update({} if signature is None else {path: signature})
        self.backfills.update((one.id, one) for one in (*writes.new_backfills, *writes.backfills))
        return Committed(refused, self._number(one for one in writes.transitions if one.run not in refused))

    def _claim(self, row: RunRow) -> bool:
        key = (row.job, row.slot_us, row.attempt, row.scope)
        if key in self.claimed or row.id in self.runs:
            return False
        self.claimed.add(key)
        self.of_job[row.job].append(row)
        self._put(row)
        return True

    def _put(self, row: RunRow) -> None:
        old = self.runs.get(row.id)
        if old is not None:
            rows_of = self.of_job[row.job]
            rows_of[next(at for at in range(len(rows_of) - 1, -1, -1) if rows_of[at] is old)] = row
        self.runs[row.id] = row
        if row.state in _OPEN:
            self.open[row.id] = row
        else:
            self.open.pop(row.id, None)

    def _number(self, transitions: Iterable[Transition]) -> tuple[Transition, ...]:
        numbered = rows.numbered(transitions, self.last_seq + 1)
        self.transitions += numbered
        self.uncounted += numbered
        self.last_seq += len(numbered)
        return numbered

    def count(self) -> None:
        """Count what was committed since the last time: few simulations ask for it."""
        numbered, self.uncounted = self.uncounted, []
        for key, by in counting.sums(numbered).items():
            self.counts[key] = self.counts.get(key, 0.0) + by
        self.job_counts.update(counting.count_jobs(numbered, self.job_counts.get))

    def jobs_state(self) -> list[JobRow]:
        """Return the rows of all jobs that were ever loaded."""
        return [replace(row) for row in self.jobs.values()]

    def open_runs(self) -> list[OpenRun]:
        """Return the runs that are queued or running, oldest first."""
        return [OpenRun(replace(self.open[run]), self.waits.get(run)) for run in sorted(self.open)]

    def occurrences(self) -> list[Occurrence]:
        """Return the occurrences that are not decided yet, oldest first."""
        return sorted(self.pending.values(), key=lambda one: (one.at_us, one.job, one.key))

    def last_attempt(self, job: str, slot_us: int) -> int:
        """Return the number of the last attempt that a slot has a row for; 0 if it has none."""
        attempt = 0
        while (job, slot_us, attempt + 1, "") in self.claimed:
            attempt += 1
        return attempt

    def seen_files(self) -> dict[str, dict[str, tuple[int, int, int]]]:
        """Return what each job with ``on_change`` has seen of its files, by job and path."""
        return {job: dict(files) for job, files in self.seen.items()}

    def open_backfills(self) -> list[BackfillRow]:
        """Return the backfills that are not over, oldest first."""
        return [self.backfills[one] for one in sorted(self.backfills) if self.backfills[one].is_open]

    def outcomes(self, job: str, from_us: int, until_us: int) -> list[SlotOutcome]:
        """Return what became of a job's slots with ``from_us`` <= slot < ``until_us``, in their order."""
        found = [row for row in self.of_job.get(job, ()) if from_us <= row.slot_us < until_us]
        return [SlotOutcome(row.slot_us, row.attempt, row.state) for row in sorted(found, key=_by_slot)]

    def boot_instant(self, boot_id: str, boot_us: int) -> tuple[int, bool]:
        """Return the instant of this boot as it was first recorded, and whether that is now."""
        if self._boot is not None and self._boot[0] == boot_id:
            return self._boot[1], False
        self._boot = boot_id, boot_us
        return boot_us, True

    def prune(self, keep_us: int, now_us: int, limit: int = 200) -> bool:  # noqa: ARG002 - memory needs no slices
        """Delete what ended more than ``keep_us`` ago; return False, for nothing is left."""
        before = now_us - keep_us
        for row in [row for row in self.runs.values() if row.ended_us is not None and row.ended_us < before]:
            del self.runs[row.id]
            self.of_job[row.job].remove(row)
            self.claimed.discard((row.job, row.slot_us, row.attempt, row.scope))
        keep_from = self.last_seq - KEEP_TRANSITIONS
        self.transitions = [one for one in self.transitions if one.seq > keep_from or one.at_us >= before]
        loaded = {row.definition_sha256 for row in self.jobs.values()}
        stale = {one.sha256 for one in self.definitions.values() if one.used_us < before - keep_us} - loaded
        self.definitions = {sha256: one for sha256, one in self.definitions.items() if sha256 not in stale}
        return False

    def close(self) -> None:
        """Keep everything: who holds the store may open it again."""

    def reader(self) -> "MemoryReader":
        """Return the reading side of this store."""
        return MemoryReader(self)


class MemoryReader:
    """:class:`akjob.ledger.Reader` of a MemoryStore."""

    def __init__(self, store: MemoryStore) -> None:
        self._store = store

    def at_once(self) -> AbstractContextManager[None]:
        """Do nothing: no question opens anything."""
        return nullcontext()

    def history(self, job: str | None = None, n: int = 20, state: str | None = None) -> list[RunColumns]:
        """Return the newest ``n`` rows, newest first: by id, or of one job by slot and attempt."""
        check_state(state)
        found = list(self._store.runs.values()) if job is None else self._store.of_job.get(job, [])
        found = [row for row in found if state in (None, row.state)]
        found.sort(key=_by_id if job is None else _by_slot, reverse=True)
        return [_columns(row) for row in found[:n]]

    def all_by_slot(self, job: str | None = None) -> list[RunColumns]:
        """Return all rows, or those of one job, in the order of slots, jobs and attempts."""
        found = self._store.runs.values() if job is None else self._store.of_job.get(job, [])
        return [_columns(row) for row in sorted(found, key=attrgetter("slot_us", "job", "attempt"))]

    def slots_until(self, job: str, slot: str, n: int) -> list[RunColumns]:
        """Return a job's newest ``n`` rows whose slot is ``slot`` or earlier, newest first."""
        until_us = from_text(slot)
        found = [row for row in self._store.of_job.get(job, []) if row.slot_us <= until_us]
        return [_columns(row) for row in sorted(found, key=_by_slot, reverse=True)[:n]]

    def rows_between(self, job: str, since: str, until: str, n: int | None = None) -> list[RunColumns]:
        """Return a job's rows, or the first ``n``, with slots in [since, until), by slot and attempt, oldest first."""
        since_us, until_us = from_text(since), from_text(until)
        found = [row for row in self._store.of_job.get(job, []) if since_us <= row.slot_us < until_us]
        return [_columns(row) for row in sorted(found, key=_by_slot)[:n]]

    def oldest_slot(self, job: str) -> str | None:
        """Return the slot of the oldest row that a job has; None where it has none."""
        found = self._store.of_job.get(job)
        return to_text(min(row.slot_us for row in found)) if found else None

    def durations(self, jobs: Iterable[str], n: int) -> dict[str, list[float]]:
        """Return how many seconds the last ``n`` runs of each job took that succeeded; jobs without one are left out.

        Only the newest ``4 * n`` rows of a job are looked at.
        """
        found = {job: self._durations(job, n) for job in jobs}
        return {job: took for job, took in found.items() if took}

    def _durations(self, job: str, n: int) -> list[float]:
        newest = sorted(self._store.of_job.get(job, []), key=_by_slot, reverse=True)[: 4 * n]
        took = (
            round((row.ended_us - row.started_us) / SECOND, 3)
            for row in newest
            if row.state == "succeeded" and row.started_us is not None and row.ended_us is not None
        )
        return list(islice(took, n))

    def page(self, wanted: RunFilter, limit: int, after: RunKey | None = None) -> RunPage:
        """Return the newest ``limit`` rows that are wanted, those after a key where one is given, newest first."""
        found = list(self._store.runs.values()) if wanted.job is None else self._store.of_job.get(wanted.job, [])
        key = _id_key if wanted.job is None else _slot_key
        limits = None if after is None else key(after)
        columns = sorted(map(_columns, found), key=lambda row: key(run_key(row)), reverse=True)
        fits = [row for row in columns if is_wanted(row, wanted) and (limits is None or key(run_key(row)) < limits)]
        return RunPage(fits[:limit], run_key(fits[limit - 1]) if len(fits) > limit else None)

    def count(self, wanted: RunFilter, most: int) -> RunCount:
        """Return how many rows are wanted, up to ``most``."""
        found = len(self.page(wanted, most).rows)
        return RunCount(found, is_exact=found < most)

    def newest_slots(self, jobs: Iterable[str], n: int) -> dict[str, list[SlotColumns]]:
        """Return the newest ``n`` rows of each job, newest slot first; jobs without one are left out."""
        found = {job: self.page(RunFilter(job=job), n).rows for job in jobs}
        return {job: [slot_columns(row) for row in newest] for job, newest in found.items() if newest}

    def times(self, jobs: Iterable[str], since: str, until: str, n: int) -> dict[str, list[TimeColumns]]:
        """Return the newest ``n`` rows of each job with slots in [since, until), and the one before; newest first."""
        found = {}
        for job in jobs:
            within = self.page(RunFilter(job=job, since=since, until=until), n).rows
            before = self.page(RunFilter(job=job, until=since), 1).rows if len(within) < n else []
            found[job] = [time_columns(row) for row in (*within, *before)]
        return found

    def counts_by_hour(self, job: str, since: str, until: str, n: int) -> list[tuple[str, int]]:
        """Return how many of a job's newest ``n`` rows in [since, until) each hour has: ``2026-03-29T01``, in order."""
        newest = self.page(RunFilter(job=job, since=since, until=until), n).rows
        hours = [row["slot"][:13] for row in newest]
        return [(hour, hours.count(hour)) for hour in sorted(set(hours))]

    def slot_tallies(self, jobs: Iterable[str], since: str, n: int) -> dict[str, SlotTally]:
        """Return how many slots of each job succeeded from ``since`` on; jobs without one are left out."""
        found = {}
        for job in jobs:
            rows = [row for row in self._newest(job, since, n) if row["state"] in _COUNTED]
            if rows:
                slots = len({row["slot"] for row in rows}) + sum(row["count"] - 1 for row in rows)
                good = len({row["slot"] for row in rows if row["state"] == "succeeded"})
                found[job] = SlotTally(slots, good, rows[-1]["slot"])
        return found

    def measured(self, job: str, n: int) -> list[Measured]:
        """Return what there is to draw of the runs that ended among a job's newest ``n`` rows, newest first."""
        return [
            Measured(
                row["slot"],
                row["state"],
                row["id"],
                row["started_at"],
                row["ended_at"],
                None
                if row["user_cpu_s"] is None or row["system_cpu_s"] is None
                else row["user_cpu_s"] + row["system_cpu_s"],
                row["max_rss_bytes"],
                row["definition_sha256"],
                row["git_commit"],
            )
            for row in self._newest(job, "", n)
            if row["started_at"] is not None and row["ended_at"] is not None
        ]

    def day_counts(self, job: str, since: str, n: int) -> list[DayCount]:
        """Return how many slots of a job came to which state, day by day in UTC, among its newest ``n`` rows."""
        counts: dict[tuple[str, State], int] = defaultdict(int)
        for row in self._newest(job, since, n):
            counts[row["slot"][:10], row["state"]] += row["count"]
        return [DayCount(day, state, count) for (day, state), count in sorted(counts.items())]

    def _newest(self, job: str, since: str, n: int) -> list[RunColumns]:
        return self.page(RunFilter(job=job, since=since or None), n).rows

    def run(self, prefix: str) -> RunColumns:
        """Return the row whose id is, or alone begins with, ``prefix``. Raises AkjobError for none and for several."""
        found = sorted(run for run in self._store.runs if run.startswith(prefix))[: SAMPLE + 1]
        return only_run(prefix, [_columns(self._store.runs[run]) for run in found])

    def find_run(self, run: str) -> RunColumns | None:
        """Return the row with exactly this id, or None."""
        row = self._store.runs.get(run)
        return None if row is None else _columns(row)

    def outcomes(self, from_id: str, late_us: int, long_us: int, besides: Collection[str] = ()) -> list[Outcome]:
        """Return what ended in a way that may be worth a message, by the time of the ends; see the protocol."""
        found: list[RunRow] = []
        bad: set[str] = set()  # jobs whose last row is not a success
        ended = [row for row in self._store.runs.values() if row.id >= from_id and row.ended_us is not None]
        for row in sorted(ended, key=lambda row: (row.slot_us, row.attempt, row.id)):
            started_us = row.slot_us if row.started_us is None else row.started_us
            slow = started_us - row.slot_us >= late_us or (row.ended_us or 0) - started_us >= long_us
            if row.state != "succeeded" or row.job in bad or slow or row.job in besides:
                found.append(row)
            (bad.discard if row.state == "succeeded" else bad.add)(row.job)
        return sorted(map(_outcome, found), key=lambda one: (one.ended_at, one.id))

    def nodes(self) -> list[NodeTags]:
        """Return no node: the ledger is not shared."""
        return []

    def open_runs(self) -> list[RunColumns]:
        """Return the rows that are queued or running, oldest first."""
        return [_columns(self._store.open[run]) for run in sorted(self._store.open)]

    def jobs(self, names: Iterable[str] | None = None) -> dict[str, JobColumns]:
        """Return the rows of all jobs, or of those named, by name."""
        wanted = None if names is None else set(names)
        found = {name: row for name, row in self._store.jobs.items() if wanted is None or name in wanted}
        return {name: rows.job_columns(rows.loaded_values(row)) for name, row in found.items()}

    def job(self, name: str) -> JobColumns | None:
        """Return one job's row, or None."""
        row = self._store.jobs.get(name)
        return None if row is None else rows.job_columns(rows.loaded_values(row))

    def definition(self, sha256: str) -> str | None:
        """Return the text of a definition that some run was made from, or that is loaded now; else None."""
        known = self._store.definitions.get(sha256)
        if known is not None:
            return known.text
        loaded = (row.definition for row in self._store.jobs.values() if row.definition_sha256 == sha256)
        return next(loaded, None)

    def backfills(self) -> list[BackfillColumns]:
        """Return all backfills, newest first."""
        store = self._store.backfills
        return [_backfill_columns(store[one]) for one in sorted(store, reverse=True)]

    def transitions(self, after_seq: int, limit: int = 1000) -> list[Transition]:
        """Return the first ``limit`` transitions that are newer than ``after_seq``, oldest first."""
        newer = len(self._store.transitions) - (self._store.last_seq - after_seq)
        return self._store.transitions[max(0, newer) :][:limit]

    def job_transitions(self, job: str) -> list[Transition]:
        """Return the transitions of a job and of akjobd, oldest first, without those of runs."""
        return [one for one in self._store.transitions if one.kind != "run" and one.job in {job, None}]

    def events(self) -> list[Transition]:
        """Return the transitions of all jobs and of akjobd, oldest first, without those of runs."""
        return [one for one in self._store.transitions if one.kind != "run"]

    def last_seq(self) -> int:
        """Return the number of the newest transition; 0 where there was none yet."""
        return self._store.last_seq

    def counters(self) -> list[Counter]:
        """Return all counters, sorted by name and labels."""
        self._store.count()
        values = ((name, rows.labels_text(labels), value) for (name, labels), value in self._store.counts.items())
        return [rows.counter(one) for one in sorted(values)]

    def size_bytes(self) -> int:
        """Return 0: nothing of it is on a disk."""
        return 0

    def job_counters(self) -> dict[str, JobCounters]:
        """Return what is counted of each job, by name."""
        self._store.count()
        return {job: replace(one) for job, one in self._store.job_counts.items()}


def _id_key(key: RunKey) -> tuple[str, ...]:
    return (key.id,)


def _slot_key(key: RunKey) -> tuple[str | int, ...]:
    return key.slot, key.attempt


def _columns(row: RunRow) -> RunColumns:
    return rows.run_columns(rows.run_values(row))


def _changed(old: JobRow, new: JobRow) -> JobRow:
    """Return a job's row with what changes as it runs from ``new``, and what was loaded from ``old``."""
    return replace(new, **{name: getattr(old, name) for name in _LOADED_FIELDS})


def _by_id(row: RunRow) -> str:
    return row.id


def _by_slot(row: RunRow) -> tuple[int, int]:
    return row.slot_us, row.attempt


def _outcome(row: RunRow) -> Outcome:
    return Outcome(
        row.id,
        row.job,
        to_text(row.slot_us),
        row.attempt,
        row.trigger,
        row.state,
        row.count,
        None if row.started_us is None else to_text(row.started_us),
        to_text(row.ended_us or 0),
    )


def _backfill_columns(one: BackfillRow) -> BackfillColumns:
    begin, until = rows.to_text(one.from_us), rows.to_text(one.until_us)
    counts = (len(one.slots), one.done, one.failed, one.position - one.done)
    return rows.backfill_columns((one.id, one.job, begin, until, *counts, one.state, one.by))
