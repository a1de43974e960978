"""Which job a person means: by its name, by the path of its file, or by a pattern."""

import os
import pwd
from collections.abc import Sequence

from akjob.config import Paths
from akjob.errors import AkjobError, UsageError
from akjob.jobset.names import file_of
from akjob.jobset.scan import SUFFIX, is_job_path
from akjob.ledger import open_reader


def name_of_file(wanted: str) -> str:
    """Return the job that ``jobs.d/reports/nightly.toml`` means; any other string as it is."""
    if not wanted.endswith(SUFFIX):
        return wanted
    return wanted.removeprefix("./").removeprefix("jobs.d/").removesuffix(SUFFIX)


def names_meant(paths: Paths, wanted: str) -> list[str]:
    """Return the jobs that a person may mean by ``wanted``, the likeliest first. They need not exist.

    The job of exactly this name; the job whose file has this path; the job whose file has this path below the root or
    below ``jobs.d/``. None of them lies outside of ``jobs.d/``.
    """
    names = [wanted]
    if wanted.endswith(SUFFIX):
        folder, file = os.path.split(os.path.abspath(wanted))
        # As it is written, for jobs.d/ may lead elsewhere in parts; and as it is, for the root may have been given so.
        for top, place in ((str(paths.jobs_d), folder), (os.path.realpath(paths.jobs_d), os.path.realpath(folder))):
            names.append(os.path.relpath(os.path.join(place, file), top).removesuffix(SUFFIX))
        names.append(name_of_file(wanted))
    return [name for name in dict.fromkeys(names) if is_job_path(name + SUFFIX)]


def has_file(paths: Paths, name: str) -> bool:
    """Return True if the job ``name``, one of :func:`names_meant`, has a file."""
    return (paths.jobs_d / file_of(name)).is_file()


def known_job(paths: Paths, wanted: str) -> str | None:
    """Return the job that a person means by ``wanted``: one that exists, or else one that the ledger remembers."""
    names = names_meant(paths, wanted)
    reader = open_reader(paths.ledger_url)
    rows = reader.jobs()
    there = {name for name, row in rows.items() if row["removed_at"] is None}
    there.update(row["job"] for row in reader.open_runs())
    present = (name for name in names if name in there or has_file(paths, name))
    past = (name for name in names if name in rows or reader.history(name, 1))
    return next(present, None) or next(past, None)


def unknown_job(wanted: str, names: Sequence[str]) -> AkjobError:
    """Return the error for a name that no job has, with the nearest names."""
    from difflib import get_close_matches  # noqa: PLC0415 - only for a name that no job has

    near = get_close_matches(wanted, names, n=3, cutoff=0.5)
    near += [name for name in names if name.rpartition("/")[2] == wanted and name not in near]
    hint = f"Did you mean {' or '.join(near)}?" if near else "`akjob list` shows all jobs."
    return UsageError(f"there is no job {wanted!r}", hint=hint)


def user_name() -> str:
    """Return the calling user's name, for the record of a pause, a stop or a run."""
    try:
        return pwd.getpwuid(os.getuid()).pw_name
    except KeyError:
        return str(os.getuid())
