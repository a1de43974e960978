"""Which job files a hint of the watcher can concern: often one, sometimes everything."""

import os
import stat
from collections.abc import Iterable, Iterator

from akjob.config import DEFAULTS, is_ignored
from akjob.errors import Problem
from akjob.jobset import scan
from akjob.jobset.contexts import folder_seen
from akjob.jobset.names import JobsFolder
from akjob.jobset.scan import SUFFIX, Listing


def files_meant(hint: str, listing: Listing, folder: JobsFolder) -> Iterable[str] | None:
    """Return the job files that a change of the path ``hint`` can concern, or None for a full scan."""
    parent, _, name = hint.rpartition("/")
    if not name or name == DEFAULTS or scan.is_leftover(name) or scan.original_of(name) is not None:
        return None
    if any(is_ignored(part) for part in hint.split("/")):
        return None if listing.linked else ()
    if parent not in listing.folders:
        return None
    path = folder.path(hint)
    if hint in listing.folders:
        return () if folder_seen(path) == listing.folders[hint] else None
    try:
        mode = os.lstat(path).st_mode
    except OSError:
        return (hint,) if name.endswith(SUFFIX) and hint not in listing.unreadable else ()
    if name.endswith(SUFFIX):
        return (hint,) if stat.S_ISREG(mode) and hint not in listing.unreadable else None
    return None if stat.S_ISDIR(mode) or stat.S_ISLNK(mode) else ()


def folder_problems(listing: Listing, folder: JobsFolder) -> Iterator[Problem]:
    """Yield what is wrong with the folder as a whole."""
    yield from listing.problems
    if listing.missing:
        message = f"the folder {folder.folder} is missing; akjobd keeps looking for it"
        hint = f"mkdir {folder.folder}"
        yield Problem(file=folder.shown, severity="warning", code="no-jobs-folder", message=message, hint=hint)
    for path, why in listing.unreadable.items():
        if not scan.is_job_path(path):
            message = f"it cannot be read: {why}; the jobs below stay as they are"
            yield Problem(file=folder.show(path), severity="warning", code="unreadable", message=message)
