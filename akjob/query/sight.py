"""What one principal may know: every question of a page or of the API goes through here, and none around it."""

from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from difflib import get_close_matches
from itertools import islice

from msgspec import UNSET, Struct
from msgspec.structs import replace

from akjob.config import Config
from akjob.control.status import BrokenFile, Status
from akjob.instants import HOUR, from_text, to_text
from akjob.ledger import BackfillColumns, Reader, RunCount, RunFilter, RunKey, State, TimeColumns, Transition
from akjob.ledger.asking import time_columns
from akjob.query import why
from akjob.query.changes import Changes, since_success
from akjob.query.jobs import JobView, Snapshot
from akjob.query.likeness import Likeness, likeness_of
from akjob.query.runs import Run, from_row
from akjob.query.slots import ComingSlots, slots_of
from akjob.query.steps import WaitedFor
from akjob.query.strips import LENGTH, StripSlot, strip
from akjob.query.visibility import Principal, visible
from akjob.query.why import Why
from akjob.spec.model import JobSpec

_ROWS_READ = 20_000  # so many rows a page of runs looks at, at most, for a principal who may see few of them
_STRIP_ROWS = (LENGTH + 2, 8 * LENGTH)  # a slot that was retried has several
_NEAR = 200
_HOLDERS = 20
_OTHERS = 50
FAILURES: tuple[State, ...] = ("failed", "timed_out", "lost")
EXCEPTIONS: tuple[State, ...] = (*FAILURES, "missed")


class JobFilter(Struct, frozen=True, kw_only=True):
    """Which jobs are wanted: parts of the name, all of the tags, the owner, a state of the job or of its last run.

    ``shown`` are words of which a job has one as :attr:`JobView.shown_state`. ``next_within_us`` is how soon it starts
    next, ``ended_within_us`` and ``ended_before_us`` how long ago its last run ended.
    """

    part: str | None = None
    tags: tuple[str, ...] = ()
    state: str | None = None
    shown: frozenset[str] | None = None
    owner: str | None = None
    next_within_us: int | None = None
    ended_within_us: int | None = None
    ended_before_us: int | None = None

    def may_fit(self, name: str, shown: str) -> bool:
        """Return False if the name and the word for a job tell already that it is not wanted: that costs least."""
        if self.part is not None and not all(word in name.lower() for word in self.part.lower().split()):
            return False
        return self.shown is None or shown in self.shown

    def fits(self, job: JobView) -> bool:
        """Return True if a job that may fit is wanted."""
        return self._fits_spec(job.spec) and self._fits_state(job) and self._fits_times(job)

    def _fits_spec(self, spec: JobSpec | None) -> bool:
        if self.tags and not (spec is not None and set(self.tags) <= set(spec.tags)):
            return False
        return self.owner is None or (spec is not None and self.owner.lower() in (spec.owner or "").lower())

    def _fits_state(self, job: JobView) -> bool:
        if self.state is None:
            return True
        last = None if job.last is None else job.last[0]
        return self.state in {job.state, last} or (self.state == "running" and bool(job.running))

    def _fits_times(self, job: JobView) -> bool:
        if self.next_within_us is not None:
            start_us = job.next_start_us
            if start_us is None or start_us - job.now_us > self.next_within_us:
                return False
        if self.ended_within_us is None and self.ended_before_us is None:
            return True
        if job.last is None:
            return False
        age_us = job.now_us - job.last[1]
        soon_enough = self.ended_within_us is None or age_us <= self.ended_within_us
        return soon_enough and (self.ended_before_us is None or age_us >= self.ended_before_us)

    @property
    def looks_closer(self) -> bool:
        """True if :meth:`may_fit` does not decide alone."""
        return self != JobFilter(part=self.part, shown=self.shown)


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
        shown: Mapping[str, str],
        reader: Reader,
        config: Config,
        slots: ComingSlots | None = None,
    ) -> None:
        """Look at a snapshot; ``shown`` has the :attr:`JobView.shown_state` of each of its jobs, sorted by name."""
        self._principal = principal
        self._snapshot = snapshot
        self._shown = shown
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

    def tally(self) -> Tally:
        """Return how many jobs are in which state."""
        states = self._states()
        return Tally(
            states=Counter(states.values()),
            running=sum(name in states for name in self._snapshot.running),
            broken=sum(name in states for name in self._snapshot.jobset.broken),
        )

    def find(self, wanted: JobFilter) -> Iterator[str]:
        """Yield the names of the jobs that are wanted, sorted; a job is looked at only where its word does not tell."""
        closer = wanted.looks_closer
        for name, shown in self._states().items():
            if wanted.may_fit(name, shown) and not (closer and not wanted.fits(self._snapshot.job(name))):
                yield name

    def jobs(self, wanted: JobFilter, after: str | None = None, limit: int | None = None) -> list[JobView]:
        """Return the jobs that are wanted, sorted by name, those after a name where one is given, or the first few."""
        names = (name for name in self.find(wanted) if after is None or name > after)
        return self.views(islice(names, limit))

    def views(self, names: Iterable[str]) -> list[JobView]:
        """Return jobs that :meth:`find` has named."""
        return [self._snapshot.job(name) for name in names]

    def _states(self) -> Mapping[str, str]:
        if self._principal.jobs is None:
            return self._shown
        return {name: shown for name, shown in self._shown.items() if self.sees(name)}

    def job(self, name: str) -> JobView | None:
        """Return one job; None for one that is not there, or not for this principal."""
        there = name in self._snapshot.jobset.jobs or name in self._snapshot.jobset.broken
        return self._snapshot.job(name) if there and self.sees(name) else None

    def nearest(self, name: str) -> list[str]:
        """Return the names nearest to one that is not there."""
        return get_close_matches(name[:_NEAR], self.names(), n=3, cutoff=0.5)

    def strips(self, jobs: Iterable[str], length: int = LENGTH) -> dict[str, tuple[StripSlot, ...]]:
        """Return the newest slots of each job, oldest first."""
        names = [name for name in jobs if self.sees(name)]
        found: dict[str, tuple[StripSlot, ...]] = dict.fromkeys(names, ())
        for rows in (length + _STRIP_ROWS[0] - LENGTH, length * _STRIP_ROWS[1] // LENGTH):
            newest = self._reader.newest_slots(names, rows)
            found |= {name: strip(slots, length) for name, slots in newest.items()}
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

    def upstreams(self, job: JobView) -> list[str]:
        """Return the jobs that a job runs after."""
        after = None if job.spec is None else job.spec.schedule.after
        return [] if after is None else [name for name in after.jobs if self.sees(name)]

    def downstreams(self, job: JobView) -> list[str]:
        """Return the jobs that run after a job, sorted."""
        jobs = self._snapshot.jobset.jobs
        found = [name for name, spec in jobs.items() if (after := spec.schedule.after) and job.name in after.jobs]
        return sorted(name for name in found if self.sees(name))

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
        since, key = to_text(from_text(run.slot) - HOUR), RunKey(run.id, run.slot, run.attempt)
        others = [
            one for state in FAILURES for one in self.runs(RunFilter(state=state, since=since), _OTHERS, key).runs
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

    def last_seq(self) -> int:
        """Return the number of the newest transition."""
        return self._reader.last_seq()

    def transitions(self, after_seq: int, limit: int) -> tuple[list[Transition], int]:
        """Return the transitions of the jobs that the principal may know of, and the number of the last one read."""
        read = self._reader.transitions(after_seq, limit)
        return [one for one in read if self.sees(one.job)], read[-1].seq if read else after_seq

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
        return replace(
            status, jobs=counts, broken=broken, running=running, held_back=UNSET, queued=UNSET, messages=UNSET
        )

    def _narrowed(self) -> Snapshot:
        """Return the snapshot without the jobs that the principal may not know of."""
        jobset = self._snapshot.jobset
        jobs = {name: spec for name, spec in jobset.jobs.items() if self.sees(name)}
        broken = {name: one for name, one in jobset.broken.items() if self.sees(name)}
        return replace(self._snapshot, jobset=replace(jobset, jobs=jobs, broken=broken))
