"""What one principal may know: every question of a page or of the API goes through here, and none around it."""

from collections.abc import Iterable
from difflib import get_close_matches

from msgspec import UNSET, Struct
from msgspec.structs import replace

from akjob.config import Config
from akjob.control.status import BrokenFile, Status
from akjob.ledger import BackfillColumns, Reader, RunFilter, RunKey, Transition
from akjob.query import why
from akjob.query.changes import Changes, since_success
from akjob.query.jobs import JobView, Snapshot
from akjob.query.runs import Run, from_row
from akjob.query.slots import slots_of
from akjob.query.strips import LENGTH, StripSlot, strip
from akjob.query.visibility import Principal, visible
from akjob.query.why import Why

_ROWS_READ = 20_000  # so many rows a page of runs looks at, at most, for a principal who may see few of them
_STRIP_ROWS = (LENGTH + 2, 8 * LENGTH)  # a slot that was retried has several
_NEAR = 200


class JobFilter(Struct, frozen=True, kw_only=True):
    """Which jobs are wanted: a part of the name, all of the tags, a state of the job or of its last run."""

    part: str | None = None
    tags: tuple[str, ...] = ()
    state: str | None = None

    def fits(self, job: JobView) -> bool:
        """Return True if a job is wanted; its name is looked at first, for that costs least."""
        if self.part is not None and self.part.lower() not in job.name.lower():
            return False
        if self.tags and not (job.spec is not None and set(self.tags) <= set(job.spec.tags)):
            return False
        if self.state is None:
            return True
        last = None if job.last is None else job.last[0]
        return self.state in {job.state, last} or (self.state == "running" and bool(job.running))


class RunList(Struct, frozen=True):
    """Some rows, newest first, and where to go on; None at the end. There may be fewer than asked for before it."""

    runs: list[Run]
    following: RunKey | None


class Sight:
    """The jobs and the runs that a principal may know of, at one instant."""

    def __init__(self, principal: Principal, snapshot: Snapshot, reader: Reader, config: Config) -> None:
        self._principal = principal
        self._snapshot = snapshot
        self._reader = reader
        self._config = config

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
        return [name for name in self._snapshot.names() if self.sees(name)]

    def jobs(self, wanted: JobFilter, after: str | None = None, limit: int | None = None) -> list[JobView]:
        """Return the jobs that are wanted, sorted by name, those after a name where one is given, or the first few."""
        found: list[JobView] = []
        for name in self.names():
            if len(found) == limit:
                break
            if (after is None or name > after) and wanted.fits(view := self._snapshot.job(name)):
                found.append(view)
        return found

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

    def why(self, job: JobView, at_us: int | None) -> Why:
        """Return why an instant of a job became, or will become, what it did."""
        if self._principal.jobs is None:
            return why.ask(self._reader, self._snapshot, job, at_us)
        return why.ask(self._reader, self._narrowed(), job, at_us)

    # -- runs

    def runs(self, wanted: RunFilter, limit: int, after: RunKey | None = None) -> RunList:
        """Return rows that are wanted, newest first; a bounded number of rows is read for it."""
        if wanted.job is not None and not self.sees(wanted.job):
            return RunList([], None)
        found: list[Run] = []
        read = 0
        while True:
            page = self._reader.page(wanted, limit, after)
            rows = [row for row in page.rows if self.sees(row["job"])]
            for row in rows:
                found.append(from_row(row))
                if len(found) == limit and row is not page.rows[-1]:
                    return RunList(found, RunKey(row["id"], row["slot"], row["attempt"]))
            after, read = page.following, read + max(limit, len(page.rows))
            if after is None or len(found) == limit or read >= _ROWS_READ:
                return RunList(found, after)

    def rows_between(self, job: JobView, since: str, until: str, n: int) -> list[Run]:
        """Return the first ``n`` rows of a job whose slots lie in [since, until), oldest first."""
        return [from_row(row) for row in self._reader.rows_between(job.name, since, until, n)]

    def backfills(self) -> list[BackfillColumns]:
        """Return the backfills, newest first."""
        return [one for one in self._reader.backfills() if self.sees(one["job"])]

    def run(self, run: str) -> Run | None:
        """Return one run by its id; None for one that is not there, or not for this principal."""
        row = self._reader.find_run(run)
        return from_row(row) if row is not None and self.sees(row["job"]) else None

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
