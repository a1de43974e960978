"""Where the job files of a root are, and what jobs and files are called."""

from pathlib import PurePath

from msgspec import Struct

from akjob.config import DEFAULTS, Paths
from akjob.jobset.scan import SUFFIX, printable

INSTANCE = "@"
"""Stands between the name of a file with instances and that of the instance: ``import@emea``."""


class JobsFolder(Struct, frozen=True):
    """The folder of job files: ``root`` and ``folder`` are absolute, ``shown`` is what messages call the folder."""

    root: str
    folder: str
    shown: str

    @classmethod
    def of(cls, paths: Paths) -> "JobsFolder":
        """Return a root's folder of job files."""
        shown = PurePath(paths.jobs_d).relative_to(paths.root)
        return cls(str(paths.root), str(paths.jobs_d), str(shown))

    def path(self, below: str) -> str:
        """Return the absolute path of what is called ``below`` in the folder; the folder's own for ``""``."""
        return f"{self.folder}/{below}" if below else self.folder

    def show(self, below: str) -> str:
        """Return what messages call it."""
        return f"{self.shown}/{printable(below)}" if below else self.shown


def folder_of(path: str) -> str:
    """Return the folder that a file is in, below the folder of job files: ``""`` for that itself."""
    return path.rpartition("/")[0]


def defaults_in(folder: str) -> str:
    """Return the path of a folder's ``_defaults.toml``."""
    return f"{folder}/{DEFAULTS}" if folder else DEFAULTS


def job_name(path: str) -> str:
    """Return the name of the job, or of the file's jobs before their ``@``, that the file ``path`` gives.

    A path with an ``@`` gives no job and keeps its suffix, so that it cannot be taken for an instance of another file.
    """
    return printable(path if INSTANCE in path else path.removesuffix(SUFFIX))


def file_of(job: str) -> str:
    """Return the path of the file that gives a job; for a name that can be printed the very path."""
    if job.endswith(SUFFIX) and INSTANCE in job:
        return job
    return job.partition(INSTANCE)[0] + SUFFIX
