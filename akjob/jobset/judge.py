"""From a job file's bytes to its jobs: parsed over their defaults, and refused where others could have changed them."""

from collections.abc import Iterator, Sequence

from msgspec import Struct

from akjob.config import Config
from akjob.errors import Problem
from akjob.jobset import scan, trust
from akjob.jobset.contexts import Context
from akjob.jobset.names import JobsFolder, job_name
from akjob.jobset.parts import access_of
from akjob.jobset.scan import Signature
from akjob.jobset.trust import Who
from akjob.spec import Defaults, parse_jobs
from akjob.spec.model import JobSpec


class FileVerdict(Struct, frozen=True):
    """One job that a file gives: its definition, None when it is refused, and what is wrong."""

    name: str
    spec: JobSpec | None
    problems: tuple[Problem, ...]

    @property
    def is_refused(self) -> bool:
        """Return True if the job has to go on with its last good version."""
        return self.spec is None or any(problem.severity == "error" for problem in self.problems)


def parsed(  # noqa: PLR0913, PLR0917 - a file, and all that its meaning depends on
    path: str, shown: str, data: bytes, chain: Sequence[Defaults], config: Config, now_us: int | None
) -> tuple[FileVerdict, ...]:
    """Return the jobs of a file, by what its text says. ``chain`` has its defaults, the outermost first.

    What it expects of its schedule is checked for the years from ``now_us`` on.
    """
    results = parse_jobs(job_name(path), shown, data, defaults=chain, config=config, check_us=now_us)
    return tuple(FileVerdict(one.name, one.spec, one.problems) for one in results)


def for_known(verdicts: tuple[FileVerdict, ...], path: str, known: Sequence[str]) -> tuple[FileVerdict, ...]:
    """Return the verdicts for the jobs that a file gave before, where it now is wrong as a whole.

    The instances of such a file are not known: those that there were go on with their last good versions.
    """
    own = job_name(path)
    if len(verdicts) == 1 and verdicts[0].spec is None and verdicts[0].name == own and own not in known:
        return refused(known, verdicts[0].problems)
    return verdicts


def refused(names: Sequence[str], problems: tuple[Problem, ...]) -> tuple[FileVerdict, ...]:
    """Return all jobs of a file refused for the same problems."""
    return tuple(FileVerdict(name, None, problems) for name in names)


def refusals(folder: JobsFolder, path: str, signature: Signature, context: Context, trusted: Who) -> Iterator[Problem]:
    """Yield what is wrong with a file before its text is looked at."""
    shown = folder.show(path)
    bad_name = scan.name_problem(path, shown)
    if bad_name is not None:
        yield bad_name
    yield from context.errors
    problem = trust.problem_of(folder.path(path), access_of(signature), trusted, shown=shown)
    if problem is not None:
        yield problem
