"""The jobs that a command is for: names, patterns and tags, confirmed where they are several."""

import sys
from collections.abc import Callable, Iterable, Sequence
from fnmatch import fnmatchcase
from typing import Any, TypeVar

import click

from akjob.cli import complain
from akjob.cli.common import now_us, settings
from akjob.cli.control import job_name
from akjob.config import Paths
from akjob.errors import AkjobError, UnreachableError, UsageError
from akjob.query.jobs import JobView, load
from akjob.query.names import names_meant, unknown_job
from akjob.query.text import plural

F = TypeVar("F", bound=Callable[..., Any])

_SIGNS = frozenset("*?[")
_SHOWN = 20


def jobs_arguments(function: F) -> F:
    """Add ``[JOB|PATTERN]...``, ``--tag`` and ``--yes`` to a command, as ``names``, ``tags`` and ``yes``."""
    function = click.option("--yes", is_flag=True, help="Do not ask before more than one job is changed.")(function)
    tag = click.option(
        "--tag", "tags", metavar="TAG", multiple=True, help="All jobs with this tag. Repeat to require several."
    )
    return click.argument("names", metavar="[JOB|PATTERN]...", nargs=-1)(tag(function))


def choose(paths: Paths, names: Sequence[str], tags: Sequence[str], *, yes: bool, what: str) -> list[str]:
    """Return the jobs that are meant, each once. More than one is listed and confirmed on a terminal.

    ``what`` is what happens to them: ``pause``. Raises UsageError where none is named or none fits, and where several
    are meant and there is no terminal.
    """
    if not names and not tags:
        raise UsageError("no job is named", hint="Name a JOB, a pattern such as 'reports/*', or --tag TAG.")
    if len(names) == 1 and not tags and not is_pattern(names[0]):
        return [job_name(paths, names[0])]
    jobs = load(paths, settings(paths), now_us()).jobs()
    found = list(dict.fromkeys(name for wanted in names or ("*",) for name in _fitting(paths, jobs, wanted, tags)))
    if not found:
        raise UsageError(f"no job matches {_said(names, tags)}", hint="`akjob list` shows all jobs and takes the same.")
    confirm(found, yes=yes, what=what)
    return found


def is_pattern(name: str) -> bool:
    """Return True for a name in which some characters stand for others."""
    return not _SIGNS.isdisjoint(name)


def has_tags(job: JobView, tags: Sequence[str]) -> bool:
    """Return True if a job has all the tags."""
    return not tags or (job.spec is not None and set(tags) <= set(job.spec.tags))


def confirm(names: Sequence[str], *, yes: bool, what: str) -> None:
    """Ask before several are changed. Raises UsageError without a terminal, SystemExit on a no."""
    if yes or len(names) == 1:
        return
    many = plural(len(names), "job")
    if not can_ask():
        hint = f"Add --yes. They are {', '.join(names[:_SHOWN])}{' …' if len(names) > _SHOWN else ''}."
        raise UsageError(f"this would {what} {many}", hint=hint)
    for name in names[:_SHOWN]:
        click.echo(f"  {name}", err=True)
    if len(names) > _SHOWN:
        click.echo(f"  and {len(names) - _SHOWN} more", err=True)
    if not click.confirm(f"{what.capitalize()} {many}?", err=True):
        raise SystemExit(1)


def can_ask() -> bool:
    """Return True if there is a person at a terminal."""
    return sys.stdin.isatty() and sys.stderr.isatty()


def for_each(names: Iterable[str], act: Callable[[str], None]) -> None:
    """Do something with each job; what fails for one does not keep it from the others. Exits as the first failure."""
    failed: AkjobError | None = None
    for name in names:
        try:
            act(name)
        except UnreachableError:
            raise
        except AkjobError as error:
            complain(error.message, error.hint)
            failed = failed or error
    if failed is not None:
        raise SystemExit(failed.exit_code)


def _fitting(paths: Paths, jobs: Sequence[JobView], wanted: str, tags: Sequence[str]) -> list[str]:
    """Return the jobs that one name or pattern means, with the tags. Raises UsageError for a name that no job has."""
    if is_pattern(wanted):
        return [job.name for job in jobs if fnmatchcase(job.name, wanted) and has_tags(job, tags)]
    meant = names_meant(paths, wanted)
    found = [job for name in meant for job in jobs if job.name == name]
    if not found:
        raise unknown_job(wanted, [job.name for job in jobs])
    return [found[0].name] if has_tags(found[0], tags) else []


def _said(names: Sequence[str], tags: Sequence[str]) -> str:
    return " ".join([*map(repr, names), *(f"--tag {tag}" for tag in tags)])
