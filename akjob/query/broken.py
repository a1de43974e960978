"""The files that were refused: what is wrong in them, since when, from which commit, and which jobs that costs."""

from collections.abc import Iterable

from msgspec import Struct

from akjob.control.status import BrokenFile
from akjob.errors import Problem
from akjob.instants import from_text, to_text
from akjob.jobset.model import BrokenJob


def of_job(broken: BrokenJob, commit: str | None, *, dirty: bool | None) -> BrokenFile:
    """Return what was refused of a job."""
    return BrokenFile(
        job=broken.job,
        file=broken.file,
        line=broken.line,
        column=broken.column,
        message=broken.message,
        hint=broken.hint,
        since=to_text(broken.since_us),
        git_commit=commit,
        git_dirty=dirty,
        running_last_good=broken.running_last_good,
    )


def of_settings(problem: Problem, since_us: int) -> BrokenFile:
    """Return what is wrong in ``etc/akjob.toml``: it costs no job, the default is in its place."""
    return BrokenFile(
        job=None,
        file=problem.file,
        line=problem.line,
        column=problem.column,
        message=problem.message,
        hint=problem.hint,
        since=to_text(since_us),
    )


class Mistake(Struct, frozen=True, kw_only=True):
    """One mistake, since when, and all ``jobs`` that it costs: one in a ``_defaults.toml`` may cost many."""

    place: str
    message: str
    hint: str
    jobs: tuple[str, ...]
    since_us: int
    git_commit: str | None
    git_dirty: bool | None
    running_last_good: bool | None


def mistakes(files: Iterable[BrokenFile]) -> list[Mistake]:
    """Return each mistake once, with the jobs that it costs, in the order of the first of them."""
    found: dict[tuple[object, ...], list[BrokenFile]] = {}
    for one in files:
        place = (one.file, one.line, one.column, one.message)
        found.setdefault((*place, one.git_commit, one.git_dirty, one.running_last_good), []).append(one)
    return [_mistake(together) for together in found.values()]


def _mistake(together: list[BrokenFile]) -> Mistake:
    first = together[0]
    return Mistake(
        place=f"{first.file}:{first.line}:{first.column}",
        message=first.message,
        hint=first.hint,
        jobs=tuple(one.job for one in together if one.job is not None),
        since_us=min(from_text(one.since) for one in together),
        git_commit=first.git_commit,
        git_dirty=first.git_dirty,
        running_last_good=first.running_last_good,
    )
