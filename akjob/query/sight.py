"""What one principal may know: every question of a page or of the API goes through here, and none around it."""

from collections.abc import Sequence
from difflib import get_close_matches
from threading import Lock

from msgspec import Struct
from msgspec.structs import replace

from akjob.config import Config, Paths
from akjob.control.status import BrokenFile, Status
from akjob.ledger import Reader, open_reader
from akjob.query.jobs import Folder, JobView, Snapshot
from akjob.query.runs import Run, from_row
from akjob.query.visibility import Principal, visible

_FRESH_US = 1_000_000


class JobFilter(Struct, frozen=True, kw_only=True):
    """Which jobs are wanted: a part of the name, all of the tags, a state of the job or of its last run."""

    part: str | None = None
    tags: tuple[str, ...] = ()
    state: str | None = None

    def fits(self, job: JobView) -> bool:
        """Return True if a job is wanted."""
        if self.part is not None and self.part.lower() not in job.name.lower():
            return False
        if self.tags and not (job.spec is not None and set(self.tags) <= set(job.spec.tags)):
            return False
        if self.state is None:
            return True
        last = None if job.last is None else job.last[0]
        return self.state in {job.state, last} or (self.state == "running" and bool(job.running))


class Sight:
    """The jobs and the runs that a principal may know of, at one instant."""

    def __init__(self, principal: Principal, snapshot: Snapshot, reader: Reader) -> None:
        self._principal = principal
        self._snapshot = snapshot
        self._reader = reader

    @property
    def now_us(self) -> int:
        """The instant of the answer."""
        return self._snapshot.now_us

    def sees(self, job: str | None) -> bool:
        """Return True if the principal may know of a job."""
        return visible(self._principal, job)

    def names(self) -> list[str]:
        """Return the jobs' names, sorted."""
        return [name for name in self._snapshot.names() if self.sees(name)]

    def jobs(self, wanted: JobFilter, after: str | None = None) -> list[JobView]:
        """Return the jobs that are wanted, sorted by name, those after a name where one is given."""
        views = (self._snapshot.job(name) for name in self.names() if after is None or name > after)
        return [view for view in views if wanted.fits(view)]

    def job(self, name: str) -> JobView | None:
        """Return one job; None for one that is not there, or not for this principal."""
        there = name in self._snapshot.jobset.jobs or name in self._snapshot.jobset.broken
        return self._snapshot.job(name) if there and self.sees(name) else None

    def nearest(self, name: str) -> list[str]:
        """Return the names nearest to one that is not there."""
        return get_close_matches(name, self.names(), n=3, cutoff=0.5)

    def run(self, run: str) -> Run | None:
        """Return one run by its id; None for one that is not there, or not for this principal."""
        row = self._reader.find_run(run)
        return from_row(row) if row is not None and self.sees(row["job"]) else None

    def newest(self, job: str, count: int) -> list[Run]:
        """Return the newest rows of a job, newest first."""
        return [from_row(row) for row in self._reader.history(job, count)] if self.sees(job) else []

    def broken(self) -> list[BrokenFile]:
        """Return the files that were refused."""
        return [file for file in self._snapshot.broken() if self.sees(file.job)]

    def status(self, status: Status) -> Status:
        """Return what a status says of the jobs that the principal may know of, and nothing of the others."""
        if self._principal.jobs is None:
            return status
        broken = [file for file in status.broken if self.sees(file.job)]
        loaded = sum(name in self._snapshot.jobset.jobs for name in self.names())
        counts = replace(status.jobs, loaded=loaded, broken=len(self._broken_jobs(broken)))
        running = [run for run in status.running if self.sees(run.job)]
        return replace(status, jobs=counts, broken=broken, running=running)

    @staticmethod
    def _broken_jobs(files: Sequence[BrokenFile]) -> set[str]:
        return {file.job for file in files if file.job is not None}


class Live:
    """The jobs of one root, kept between questions. May be asked from several threads."""

    def __init__(self, paths: Paths, config: Config) -> None:
        self._reader = open_reader(paths.ledger_url)
        self._folder = Folder(paths, config)
        self._lock = Lock()
        self._snapshot: Snapshot | None = None

    def sight(self, principal: Principal, now_us: int) -> Sight:
        """Return what a principal may know now."""
        return Sight(principal, self.snapshot(now_us), self._reader)

    def snapshot(self, now_us: int) -> Snapshot:
        """Return all jobs, as they are now."""
        return replace(self._current(now_us), now_us=now_us)

    def _current(self, now_us: int) -> Snapshot:
        with self._lock:
            kept = self._snapshot
            if kept is None or not 0 <= now_us - kept.now_us < _FRESH_US:
                kept = self._snapshot = self._folder.snapshot(now_us, self._reader)
            return kept
