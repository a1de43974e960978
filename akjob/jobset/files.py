"""What is known of each job file and of the jobs that it gives: what runs, and what is broken."""

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence

from msgspec import Struct, field

from akjob.errors import Problem
from akjob.jobset.changes import SeenJob
from akjob.jobset.contexts import Context
from akjob.jobset.judge import FileVerdict
from akjob.jobset.last_good import StoredJobs, lost_problem, restored
from akjob.jobset.model import BrokenJob, LastGood, RefusedVersion
from akjob.jobset.names import JobsFolder, job_name
from akjob.jobset.scan import Signature
from akjob.jobset.trust import Access
from akjob.spec.model import JobSpec


class JobState(Struct, gc=False):
    """One job: its last good ``spec``, and why the version in the file is ``broken``, if it is.

    ``stored`` is the last good version of an earlier process until the file has been judged, ``refused`` what that
    process had refused. ``code`` identifies the content of the dill file when ``spec`` was taken.
    """

    name: str
    spec: JobSpec | None = None
    broken: BrokenJob | None = None
    warnings: tuple[Problem, ...] = ()
    code: bytes | None = None
    stored: LastGood | None = None
    refused: RefusedVersion | None = None

    def seen(self) -> SeenJob:
        """Return the job as it is now."""
        return SeenJob(self.spec, self.broken, self.code)


class JobFile(Struct, gc=False):
    """One job file. ``signature`` None means: read it again, whatever it is."""

    path: str
    jobs: tuple[JobState, ...]
    signature: Signature | None = None
    digest: bytes = b""
    racy: bool = False
    context: Context | None = None
    parts: tuple[object, ...] = ()  # what its dill files and modules came to


class Pass(Struct):
    """What one scan has touched so far. ``before`` has the jobs as they were, with the paths of their files."""

    now_us: int
    before: dict[str, tuple[str, SeenJob]] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)
    visited: set[str] = field(default_factory=set)
    again_us: list[int] = field(default_factory=list)
    trusted: dict[Access, bool] = field(default_factory=dict)
    files_read: int = 0


class JobFiles:
    """All job files, by path; a file takes up what an earlier process stored of its jobs."""

    def __init__(self, folder: JobsFolder, last_good: Mapping[str, LastGood]) -> None:
        self._folder = folder
        self._files: dict[str, JobFile] = {}
        self.stored = StoredJobs(last_good)

    def __len__(self) -> int:
        """Return how many files are known."""
        return len(self._files)

    def __iter__(self) -> Iterator[JobFile]:
        """Yield the files."""
        yield from self._files.values()

    def get(self, path: str) -> JobFile | None:
        """Return a file if it is known."""
        return self._files.get(path)

    def file(self, path: str) -> JobFile:
        """Return a file, known from now on."""
        file = self._files.get(path)
        if file is None:
            stored = self.stored.take(path)
            jobs = tuple(JobState(name, stored=one) for name, one in stored.items()) or (JobState(job_name(path)),)
            file = self._files[path] = JobFile(path, jobs)
        return file

    def drop(self, path: str, scan: Pass) -> None:
        """Forget a file that is gone."""
        file = self._files.pop(path, None)
        for state in () if file is None else file.jobs:
            self._remove(path, state, scan)

    def drop_stored(self, path: str, scan: Pass) -> None:
        """Forget the stored jobs of a file that is gone."""
        for name, stored in self.stored.take(path).items():
            self._remove(path, JobState(name, stored=stored), scan)

    def _remove(self, path: str, state: JobState, scan: Pass) -> None:
        if state.stored is not None:
            state.spec, state.stored = restored(state.name, state.stored), None
        _touch(path, state, scan)

    def apply(self, file: JobFile, verdicts: Sequence[FileVerdict], codes: Iterable[bytes | None], scan: Pass) -> None:
        """Take over what a file's jobs were judged to be; ``codes`` identify their dill files' contents."""
        known = {state.name: state for state in file.jobs}
        jobs = []
        for verdict, code in zip(verdicts, codes, strict=True):
            state = known.pop(verdict.name, None) or JobState(verdict.name)
            jobs.append(state)
            if verdict.spec is None or verdict.is_refused:
                stamp = file.context.stamp if file.context is not None else b""
                self._refuse(file.path, state, verdict.problems, file.digest + stamp, scan)
            else:
                self._take(file.path, state, verdict.spec, verdict.problems, code, scan)
        for state in known.values():
            self._remove(file.path, state, scan)
        file.jobs = tuple(jobs)

    def refuse(self, file: JobFile, problem: Problem, content: bytes, scan: Pass) -> None:
        """Refuse all jobs of a file that cannot be read. ``content`` stands for what it would be."""
        for state in file.jobs:
            self._refuse(file.path, state, (problem,), content, scan)

    def keep_stored(self, file: JobFile, scan: Pass) -> None:
        """Take the stored last good definitions as the jobs', for there are no better ones."""
        for state in file.jobs:
            self._keep_stored(file.path, state, scan)

    def _take(  # noqa: PLR0913, PLR0917 - what a job consists of
        self, path: str, state: JobState, spec: JobSpec, problems: tuple[Problem, ...], code: bytes | None, scan: Pass
    ) -> None:
        _touch(path, state, scan)
        if state.stored is not None:
            self._compare_with_stored(path, state, spec, code, scan)
        scan.problems += [problem for problem in problems if problem not in state.warnings]
        state.spec, state.broken, state.warnings, state.refused = spec, None, problems, None
        state.code = code or state.code

    def _compare_with_stored(self, path: str, state: JobState, spec: JobSpec, code: bytes | None, scan: Pass) -> None:
        """Compare the first good version of this process with the last one of the process before."""
        stored, state.stored = state.stored, None
        if stored is None or not stored.definition:
            return
        old = spec if stored.definition == spec.definition else restored(state.name, stored)
        _, before = scan.before[state.name]
        scan.before[state.name] = path, SeenJob(old, before.broken, code)
        if old is None:
            scan.problems.append(lost_problem(state.name, self._folder.show(path)))

    def _refuse(self, path: str, state: JobState, problems: tuple[Problem, ...], content: bytes, scan: Pass) -> None:
        """Note that a job is broken; its last good version stays."""
        self._keep_stored(path, state, scan)
        _touch(path, state, scan)
        first = next(problem for problem in problems if problem.severity == "error")
        digest = hashlib.sha256(content + str(first).encode()).hexdigest()
        if state.broken is not None and state.broken.content == digest:
            return
        known = state.broken or state.refused
        state.broken = BrokenJob(
            job=state.name,
            file=first.file,
            line=first.line,
            column=first.column,
            message=first.message,
            hint=first.hint,
            code=first.code,
            since_us=scan.now_us if known is None else known.since_us,
            content=digest,
            problems=problems,
            running_last_good=state.spec is not None,
            sources=(self._folder.show(path), first.file),
        )
        if state.refused is not None and state.refused.content == digest:
            _, before = scan.before[state.name]  # it was reported before the restart
            scan.before[state.name] = path, SeenJob(before.spec, state.broken, before.code)
        state.refused = None

    def _keep_stored(self, path: str, state: JobState, scan: Pass) -> None:
        stored, state.stored = state.stored, None
        if stored is None:
            return
        state.spec, state.refused = restored(state.name, stored), stored.refused
        scan.before[state.name] = path, state.seen()
        if state.spec is None and stored.definition:
            scan.problems.append(lost_problem(state.name, self._folder.show(path)))

    def after(self, scan: Pass) -> dict[str, SeenJob]:
        """Return the touched jobs as they are now; those that are gone are not among them."""
        now: dict[str, SeenJob] = {}
        for name, (path, _) in scan.before.items():
            file = self._files.get(path)
            state = next((one for one in file.jobs if one.name == name), None) if file is not None else None
            if state is not None:
                now[name] = state.seen()
            elif file is not None and name == job_name(path):
                now[name] = SeenJob()  # the file was wrong as a whole, and gives instances now
        return now


def _touch(path: str, state: JobState, scan: Pass) -> None:
    scan.before.setdefault(state.name, (path, state.seen()))
