"""What one principal may know: every question of a page or of the API goes through here, and none around it."""

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from difflib import get_close_matches
from itertools import islice
from typing import TypeVar

from msgspec import UNSET, Struct
from msgspec.structs import replace

from akjob.config import Config
from akjob.control.status import BrokenFile, Status
from akjob.instants import HOUR, from_text, to_text
from akjob.ledger import (
    BackfillColumns,
    DayCount,
    Measured,
    Reader,
    RunCount,
    RunFilter,
    RunKey,
    SlotColumns,
    SlotTally,
    State,
    TimeColumns,
    Transition,
)
from akjob.ledger.asking import time_columns
from akjob.processes import lock_holder
from akjob.program import lock_file
from akjob.query import delays, why
from akjob.query.changes import Changes, since_success
from akjob.query.commits import CommitNote, commit_note
from akjob.query.found import Names, Traits, ended_between, starting_within
from akjob.query.jobs import JobView, Snapshot
from akjob.query.likeness import Likeness, likeness_of
from akjob.query.orders import By, Orders
from akjob.query.pace import Recent, RunPace
from akjob.query.runs import Run, from_row
from akjob.query.shown import ShownStates
from akjob.query.slots import ComingSlots, slots_of
from akjob.query.steps import WaitedFor
from akjob.query.strips import LENGTH, DrawnSlot, StripSlot, drawn_strip, strip
from akjob.query.visibility import Principal, visible
from akjob.query.why import Why
from akjob.spec.model import JobSpec

S = TypeVar("S", bound=StripSlot)

_ROWS_READ = 20_000  # so many rows a page of runs looks at, at most, for a principal who may see few of them
_STRIP_ROWS = (LENGTH + 2, 8 * LENGTH)  # a slot that was retried has several
_NEAR = 200
_DEFINED = 2000
_HOLDERS = 20
_OTHERS = 50
FAILURES: tuple[State, ...] = ("failed", "timed_out", "lost")
EXCEPTIONS: tuple[State, ...] = (*FAILURES, "missed")


class JobFilter(Struct, frozen=True, kw_only=True):
    """Which jobs are wanted: parts of the name, all of the tags, the owner, a state of the job or of its last run.

    ``shown`` are words of which a job has one as :attr:`JobView.shown_state`. ``next_within_us`` is how soon it starts
    next, ``ended_within_us`` and ``ended_before_us`` how long ago its last run ended. ``slow`` is how many times as
    long as usual the last run took, or the one under way has taken; ``late`` that a run is due and has not started;
    ``commit`` is the beginning of the name of one that touched a file of the job, ``folder`` what the jobs are below.
    """

    part: str | None = None
    tags: tuple[str, ...] = ()
    state: str | None = None
    shown: frozenset[str] | None = None
    owner: str | None = None
    next_within_us: int | None = None
    ended_within_us: int | None = None
    ended_before_us: int | None = None
    slow: float | None = None
    late: bool = False
    commit: str | None = None
    folder: str = ""

    def fits_state(self, job: JobView) -> bool:
        """Return True if ``state`` is the job's own or that of its last run."""
        last = None if job.last is None else job.last[0]
        return self.state in {job.state, last} or (self.state == "running" and bool(job.running))


class Kept(Struct, frozen=True, kw_only=True):
    """What is kept of all jobs between answers."""

    shown: ShownStates
    traits: Traits
    orders: Orders
    recent: Recent


class Tally(Struct, frozen=True, kw_only=True):
    """How many jobs have which :attr:`JobView.shown_state`, have something running, and are broken."""

    states: Counter[str]
    running: int
    broken: int


class RunList(Struct, frozen=True):
    """Some rows, newest first, and where to go on; None at the end. There may be fewer than asked for before it."""

    runs: list[Run]
    following: RunKey | None


class Sight:
    """The jobs and the runs that a principal may know of, at one instant."""

    def __init__(  # noqa: PLR0913, PLR0917 - what it looks at
        self,
        principal: Principal,
        snapshot: Snapshot,
        kept: Kept,
        reader: Reader,
        config: Config,
        slots: ComingSlots | None = None,
    ) -> None:
        """Look at a snapshot; ``kept`` is of the same jobs."""
        self._principal = principal
        self._snapshot = snapshot
        self._kept = kept
        self._reader = reader
        self._config = config
        self._slots = slots or ComingSlots()

    @property
    def now_us(self) -> int:
        """The instant of the answer."""
        return self._snapshot.now_us

    def sees(self, job: str | None) -> bool:
        """Return True if the principal may know of a job."""
        return visible(self._principal, job)

    # -- jobs

    def names(self) -> list[str]:
        """Return the jobs' names, sorted."""
        return list(self._states())

    def states(self) -> Mapping[str, str]:
        """Return the word for each job, sorted by name."""
        return self._states()

    def tally(self) -> Tally:
        """Return how many jobs are in which state."""
        states = self._states()
        return Tally(
            states=self._kept.shown.counts(self._principal.jobs),
            running=sum(name in states for name in self._snapshot.running),
            broken=sum(name in states for name in self._snapshot.jobset.broken),
        )

    def find(self, wanted: JobFilter, by: By | None = None, *, backwards: bool = False) -> list[str]:
        """Return the names of the jobs that are wanted, by name or in another order; ``backwards`` turns it round.

        Jobs are found by what is kept of all of them; only ``state`` looks at those that are left.
        """
        states, chosen = self._states(), self._chosen(wanted)
        if by is None:
            parts = (wanted.part or "").split()
            names: Iterable[str] = self._kept.traits.named(parts) if parts else states
        else:
            part = None if wanted.part is None else frozenset(self._kept.traits.named(wanted.part.split()))
            chosen = part if chosen is None else chosen if part is None else chosen & part
            names = (name for _, name in self._kept.orders.ranked(by))
        if chosen is not None:
            names = [name for name in names if name in chosen]
        if wanted.folder:
            names = [name for name in names if name.startswith(f"{wanted.folder}/")]
        shown = wanted.shown
        if shown is None and self._principal.jobs is None:
            found = list(names)
        else:
            found = [name for name in names if name in states and (shown is None or states[name] in shown)]
        if wanted.state is not None:
            found = [name for name in found if wanted.fits_state(self._snapshot.job(name))]
        return found[::-1] if backwards else found

    def _chosen(self, wanted: JobFilter) -> Names | None:
        """Return the jobs that the words of a filter leave; None where it has none of them."""
        kept, now_us = self._kept, self._snapshot.now_us
        sets: list[Names] = [kept.traits.tags.get(tag, frozenset()) for tag in wanted.tags]
        if wanted.owner is not None:
            sets.append(kept.traits.owned(wanted.owner))
        if wanted.next_within_us is not None:
            sets.append(starting_within(kept.orders, now_us, wanted.next_within_us))
        if wanted.ended_within_us is not None or wanted.ended_before_us is not None:
            sets.append(ended_between(kept.orders, now_us, wanted.ended_within_us, wanted.ended_before_us))
        if wanted.late:
            sets.append(frozenset(one.job for one in self.late()))
        if wanted.commit is not None:
            note = self.commit(wanted.commit)
            sets.append(kept.traits.made_of(() if note is None else note.files))
        if wanted.slow is not None:
            sets.append(self._slow(wanted.slow))
        return frozenset.intersection(*sets) if sets else None

    def _slow(self, times: float) -> Names:
        paces = self._kept.recent.paces.of(self._states(), self._snapshot.rows, self._snapshot.now_us)
        long = (
            one.job for one in delays.long(self._snapshot.underway, paces, self._snapshot.now_us) if one.times >= times
        )
        return frozenset([*(name for name, pace in paces.items() if pace.times >= times), *long])

    def paces(self, names: Iterable[str]) -> dict[str, RunPace]:
        """Return how long jobs take, those that the principal may know of."""
        seen = [name for name in names if self.sees(name)]
        return self._kept.recent.paces.of(seen, self._snapshot.rows, self._snapshot.now_us)

    def successes(self, names: Iterable[str]) -> dict[str, SlotTally | None]:
        """Return how many of the slots of the last 30 days succeeded, of jobs that the principal may know of."""
        seen = [name for name in names if self.sees(name)]
        return self._kept.recent.successes.of(seen, self._snapshot.rows, self._snapshot.now_us)

    def late(self) -> list[delays.Delay]:
        """Return the runs that are due and have not started, the latest first."""
        runs = [one for one in self._snapshot.underway if self.sees(one.job)]
        return delays.late(runs, self._snapshot.jobset.jobs, self._snapshot.now_us)

    def running(self, jobs: Collection[str]) -> list[delays.Underway]:
        """Return the runs of some jobs that run now, the oldest first."""
        runs = [one for one in self._snapshot.underway if one.started_us is not None and one.job in jobs]
        return sorted(runs, key=lambda one: one.started_us or 0)

    def long(self) -> list[delays.Delay]:
        """Return the runs that take unusually long, the longest for its job first."""
        now_us = self._snapshot.now_us
        runs = [one for one in self._snapshot.underway if delays.takes_long(one, now_us) and self.sees(one.job)]
        return delays.long(runs, self.paces({one.job for one in runs}), now_us)

    def jobs(self, wanted: JobFilter, after: str | None = None, limit: int | None = None) -> list[JobView]:
        """Return the jobs that are wanted, sorted by name, those after a name where one is given, or the first few."""
        names = (name for name in self.find(wanted) if after is None or name > after)
        return self.views(islice(names, limit))

    def views(self, names: Iterable[str]) -> list[JobView]:
        """Return jobs that :meth:`find` has named."""
        return [self._snapshot.job(name) for name in names]

    def _states(self) -> Mapping[str, str]:
        return self._kept.shown.visible(self._principal.jobs)

    def job(self, name: str) -> JobView | None:
        """Return one job; None for one that is not there, or not for this principal."""
        there = name in self._snapshot.jobset.jobs or name in self._snapshot.jobset.broken
        return self._snapshot.job(name) if there and self.sees(name) else None

    def nearest(self, name: str) -> list[str]:
        """Return the names nearest to one that is not there."""
        return get_close_matches(name[:_NEAR], self.names(), n=3, cutoff=0.5)

    def strips(self, jobs: Iterable[str], length: int = LENGTH) -> dict[str, tuple[StripSlot, ...]]:
        """Return the newest slots of each job, oldest first."""
        return self._strips(jobs, length, strip)

    def drawn_strips(self, jobs: Iterable[str], length: int = LENGTH) -> dict[str, tuple[DrawnSlot, ...]]:
        """Return the same with what is drawn of each slot."""
        return self._strips(jobs, length, drawn_strip)

    def _strips(
        self, jobs: Iterable[str], length: int, of_rows: Callable[[Iterable[SlotColumns], int], tuple[S, ...]]
    ) -> dict[str, tuple[S, ...]]:
        names = [name for name in jobs if self.sees(name)]
        found: dict[str, tuple[S, ...]] = dict.fromkeys(names, ())
        for rows in (length + _STRIP_ROWS[0] - LENGTH, length * _STRIP_ROWS[1] // LENGTH):
            newest = self._reader.newest_slots(names, rows)
            found |= {name: of_rows(slots, length) for name, slots in newest.items()}
            names = [name for name, slots in newest.items() if len(slots) == rows and len(found[name]) < length]
        return found

    def coming(self, job: JobView, after_us: int, count: int) -> list[int]:
        """Return the next slots of a job, pauses and ``enabled`` aside, as ``runs`` allows."""
        return [] if job.spec is None else slots_of(job.spec, job.row, after_us, count)

    def coming_until(self, job: JobView, until_us: int, most: int) -> list[int]:
        """Return the first ``most`` slots that will start before ``until_us``; none of a job that is held."""
        pause, after_us = job.pause, self.now_us
        if job.spec is None or not job.spec.enabled or (pause is not None and pause.until_us is None):
            return []
        if pause is not None and pause.until_us is not None:
            after_us = max(after_us, pause.until_us - 1)
        return self._slots.between(job.spec, job.row, after_us, until_us - 1, most) if after_us < until_us else []

    def why(self, job: JobView, at_us: int | None) -> Why:
        """Return why an instant of a job became, or will become, what it did."""
        if self._principal.jobs is None:
            return why.ask(self._reader, self._snapshot, job, at_us)
        return why.ask(self._reader, self._narrowed(), job, at_us)

    def outlook(self, job: JobView, instants: Sequence[int]) -> list[Why]:
        """Return what is known today of instants to come of a job."""
        snapshot = self._snapshot if self._principal.jobs is None else self._narrowed()
        return why.outlook(self._reader, snapshot, job, instants)

    def definitions(self, job: JobView) -> dict[str, Measured]:
        """Return the definitions that a job's newest runs were made from, each with the newest run, newest first."""
        found: dict[str, Measured] = {}
        for run in self._reader.measured(job.name, _DEFINED):
            if run.definition_sha256 is not None:
                found.setdefault(run.definition_sha256, run)
        return found

    def definition_text(self, job: JobView, sha256: str) -> str | None:
        """Return the text of a definition that a run of this job was made from; None for any other."""
        return self._reader.definition(sha256) if sha256 in self.definitions(job) else None

    def upstreams(self, job: JobView) -> list[str]:
        """Return the jobs that a job runs after."""
        return [] if job.spec is None else [name for name in job.spec.schedule.upstreams if self.sees(name)]

    def downstreams(self, job: JobView) -> list[str]:
        """Return the jobs that run after a job, sorted."""
        return [name for name in self._kept.traits.downstreams.get(job.name, ()) if self.sees(name)]

    # -- runs

    def runs(
        self, wanted: RunFilter, limit: int, after: RunKey | None = None, among: Collection[str] | None = None
    ) -> RunList:
        """Return rows that are wanted, newest first, of some jobs or of all; it reads a bounded number of rows."""
        if (wanted.job is not None and not self.sees(wanted.job)) or (among is not None and not among):
            return RunList([], None)
        found: list[Run] = []
        read = 0
        while True:
            page = self._reader.page(wanted, limit, after)
            rows = [row for row in page.rows if self.sees(row["job"]) and (among is None or row["job"] in among)]
            for row in rows:
                found.append(from_row(row))
                if len(found) == limit and row is not page.rows[-1]:
                    return RunList(found, RunKey(row["id"], row["slot"], row["attempt"]))
            after, read = page.following, read + max(limit, len(page.rows))
            if after is None or len(found) == limit or read >= _ROWS_READ:
                return RunList(found, after)

    def count(self, wanted: RunFilter, most: int) -> RunCount | None:
        """Return how many rows are wanted, up to ``most``; None for a principal who may not see all of them."""
        of_all = self._principal.jobs is None if wanted.job is None else self.sees(wanted.job)
        return self._reader.count(wanted, most) if of_all else None

    def rows_between(self, job: JobView, since: str, until: str, n: int) -> list[Run]:
        """Return the first ``n`` rows of a job whose slots lie in [since, until), oldest first."""
        return [from_row(row) for row in self._reader.rows_between(job.name, since, until, n)]

    def times(self, jobs: Iterable[str], since: str, until: str, n: int) -> dict[str, list[TimeColumns]]:
        """Return the newest ``n`` rows of each job with slots in [since, until), and the one before; newest first."""
        return self._reader.times([name for name in jobs if self.sees(name)], since, until, n)

    def counts_by_hour(self, job: JobView, since: str, until: str) -> list[tuple[str, int]]:
        """Return how many slots of a job's newest rows in [since, until) each hour has; not of more than 20,000."""
        return self._reader.counts_by_hour(job.name, since, until, _ROWS_READ)

    def exceptions(self, job: JobView, since: str, until: str, n: int) -> list[TimeColumns]:
        """Return a job's newest ``n`` rows of each state that is one to look at, with slots in [since, until)."""
        wanted = (RunFilter(job=job.name, state=state, since=since, until=until) for state in EXCEPTIONS)
        rows = [time_columns(row) for one in wanted for row in self._reader.page(one, n).rows]
        return sorted(rows, key=lambda row: row.slot, reverse=True)

    def measured(self, job: JobView, n: int) -> list[Measured]:
        """Return what there is to draw of the runs that ended among a job's newest ``n`` rows, newest first."""
        return self._reader.measured(job.name, n)

    def day_counts(self, job: JobView, since_us: int, n: int) -> list[DayCount]:
        """Return how many slots of a job came to which state, day by day in UTC, among its newest ``n`` rows."""
        return self._reader.day_counts(job.name, to_text(since_us), n)

    def backfills(self) -> list[BackfillColumns]:
        """Return the backfills, newest first."""
        return [one for one in self._reader.backfills() if self.sees(one["job"])]

    def run(self, run: str) -> Run | None:
        """Return one run by its id; None for one that is not there, or not for this principal."""
        row = self._reader.find_run(run)
        return from_row(row) if row is not None and self.sees(row["job"]) else None

    def held(self, run: Run, spec: JobSpec | None) -> list[WaitedFor]:
        """Return the runs that had, between a run's slot and its start, what it needs: its job, its lock, its pool."""
        if spec is None:
            return []
        policy, until_us = spec.run, self.now_us if run.started_at is None else from_text(run.started_at)
        whats = {run.job: f"the run before it ({policy.overlap})"}
        for name, other in self._snapshot.jobset.jobs.items():
            if name == run.job or not self.sees(name):
                continue
            if policy.lock is not None and other.run.lock == policy.lock:
                whats[name] = f"lock {policy.lock}"
            elif policy.pool is not None and other.run.pool == policy.pool:
                whats[name] = f"pool {policy.pool}"
        names = list(whats)[:_HOLDERS]
        rows = self._reader.times(names, to_text(from_text(run.slot) - HOUR), to_text(until_us), _HOLDERS)
        return [
            WaitedFor(
                what=whats[job],
                run=row.id,
                job=job,
                begin_us=from_text(row.started_at),
                end_us=until_us if row.ended_at is None else from_text(row.ended_at),
            )
            for job, found in rows.items()
            for row in found
            if row.started_at is not None and row.id != run.id
        ]

    def likeness(self, run: Run, rows: Sequence[Run]) -> Likeness:
        """Return what a failed run has in common with others; ``rows`` are the newest of its job."""
        # The rows come by id, so by the time of their claims: what is too old is left out here, not looked for.
        since, key = to_text(from_text(run.slot) - HOUR), RunKey(run.id, run.slot, run.attempt)
        others = [
            one
            for state in FAILURES
            for one in self.runs(RunFilter(state=state), _OTHERS, key).runs
            if one.slot >= since
        ]
        failures = [
            one
            for state in FAILURES
            for one in self.runs(RunFilter(job=run.job, state=state, until=run.slot), _OTHERS).runs
        ]
        others.sort(key=lambda one: one.id, reverse=True)
        return likeness_of(run, rows, failures, others, self.now_us)

    def definition(self, run: Run) -> str | None:
        """Return the text of the definition that a run was made from; None where the ledger no longer has it."""
        return None if run.definition_sha256 is None else self._reader.definition(run.definition_sha256)

    def changes(self, run: Run) -> Changes | None:
        """Return what changed between the last success before a run and that run; None for a job that is gone."""
        view = self.job(run.job)
        return None if view is None else since_success(self._reader, self._snapshot.paths, self._config, view, run)

    # -- what happened

    def akjobd_runs(self) -> bool:
        """Return True if akjobd runs."""
        return lock_holder(lock_file(self._snapshot.paths, "akjobd")) != 0

    def last_sign_us(self) -> int | None:
        """Return when akjobd last changed something in the ledger; None where it never did."""
        newest = self._reader.transitions(self._reader.last_seq() - 1, 1)
        return newest[0].at_us if newest else None

    def commit(self, commit: str) -> CommitNote | None:
        """Return what git says of a commit that a job or a run names; None where it knows none of that name."""
        return commit_note(self._snapshot.paths.root, commit, self._snapshot.now_us)

    def last_seq(self) -> int:
        """Return the number of the newest transition."""
        return self._reader.last_seq()

    def transitions(self, after_seq: int, limit: int) -> tuple[list[Transition], int]:
        """Return the transitions of the jobs that the principal may know of, and the number of the last one read."""
        read = self._reader.transitions(after_seq, limit)
        return [one for one in read if self.sees(one.job)], read[-1].seq if read else after_seq

    def starts(self) -> list[int]:
        """Return when akjobd started, as far as the transitions go back, the last one at the end."""
        events = self._reader.job_transitions("")
        return [one.at_us for one in events if one.kind == "daemon" and one.to_state == "started"]

    # -- the whole

    def broken(self) -> list[BrokenFile]:
        """Return the files that were refused."""
        return [file for file in self._snapshot.broken() if self.sees(file.job)]

    def status(self, status: Status) -> Status:
        """Return what a status says of the jobs that the principal may know of, and nothing of the others."""
        if self._principal.jobs is None:
            return status
        broken = tuple(file for file in status.broken if self.sees(file.job))
        loaded = sum(name in self._snapshot.jobset.jobs for name in self.names())
        costs = {file.job for file in broken if file.job is not None}
        counts = replace(status.jobs, loaded=loaded, broken=len(costs))
        running = tuple(run for run in status.running if self.sees(run.job))
        waiting = UNSET if status.waiting is UNSET else tuple(one for one in status.waiting if self.sees(one.job))
        return replace(
            status,
            jobs=counts,
            broken=broken,
            running=running,
            waiting=waiting,
            held_back=UNSET,
            queued=UNSET,
            messages=UNSET,
        )

    def _narrowed(self) -> Snapshot:
        """Return the snapshot without the jobs that the principal may not know of."""
        jobset = self._snapshot.jobset
        jobs = {name: spec for name, spec in jobset.jobs.items() if self.sees(name)}
        broken = {name: one for name, one in jobset.broken.items() if self.sees(name)}
        return replace(self._snapshot, jobset=replace(jobset, jobs=jobs, broken=broken))
