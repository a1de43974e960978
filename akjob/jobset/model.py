"""The values that the loader hands out: what is loaded, what is broken, and what a scan of the folder changed."""

from collections.abc import Mapping

from msgspec import Struct

from akjob.errors import Problem
from akjob.spec.model import JobSpec


class BrokenJob(Struct, frozen=True, kw_only=True):
    """A job whose file was refused.

    ``file``, ``line``, ``column``, ``message``, ``hint`` and ``code`` are those of the first error, whose ``file`` may
    be a ``_defaults.toml`` or a folder; ``problems`` has all. ``content`` identifies what was refused, so that it is
    logged once. ``running_last_good`` says that an earlier version is still scheduled. ``sources`` are the files, below
    the root, whose commit is the one that the refused version is from.
    """

    job: str
    file: str
    line: int
    column: int
    message: str
    hint: str
    code: str
    since_us: int
    content: str
    problems: tuple[Problem, ...]
    running_last_good: bool
    sources: tuple[str, ...] = ()


class Counts(Struct, frozen=True, kw_only=True):
    """How many jobs are ``loaded`` (last good ones included), ``enabled`` among them, and ``broken``."""

    loaded: int
    enabled: int
    broken: int


class JobSet(Struct, frozen=True, kw_only=True):
    """All jobs at one instant. It is never changed; a scan that finds something new makes another.

    ``jobs`` has what is scheduled, by name, in no particular order; a job that is ``broken`` is among them with its
    last good definition if there is one.
    """

    jobs: Mapping[str, JobSpec]
    broken: Mapping[str, BrokenJob]
    loaded_us: int

    @property
    def counts(self) -> Counts:
        """Count the jobs: costs a walk through all of them."""
        enabled = sum(spec.enabled for spec in self.jobs.values())
        return Counts(loaded=len(self.jobs), enabled=enabled, broken=len(self.broken))


class RefusedVersion(Struct, frozen=True, kw_only=True):
    """What was refused before a restart: ``content`` as in :class:`BrokenJob`, and since when."""

    content: str
    since_us: int


class LastGood(Struct, frozen=True, kw_only=True):
    """The last good definition of a job, as it was stored: ``definition`` is the resolved text of the JobSpec.

    It is empty for a job that never was good and is here for what was ``refused``.
    """

    file: str
    definition: str
    loaded_us: int
    refused: RefusedVersion | None = None


class Changed(Struct, frozen=True, kw_only=True):
    """A job that is not what it was.

    ``old`` is None only when the stored definition cannot be read any more. ``schedule`` says that its triggers or
    limits changed. The content of its dill file may be all that changed.
    """

    job: str
    old: JobSpec | None
    new: JobSpec
    schedule: bool


class JobSetChange(Struct, frozen=True, kw_only=True):
    """What one scan found, against the scan before; the first is compared with what had been stored.

    ``broken`` has each refused content once; ``repaired`` names the jobs that are no longer broken. ``problems`` are
    the new ones that break no job (warnings, mostly). ``removed`` has the names whose stored definitions are to be
    dropped. ``scan_again_us`` is the instant by which the next scan is wanted, whatever happens:
    ``load(now_us, frozenset())`` scans only what was left open.
    """

    jobset: JobSet
    added: tuple[str, ...] = ()
    changed: tuple[Changed, ...] = ()
    removed: tuple[str, ...] = ()
    broken: tuple[BrokenJob, ...] = ()
    repaired: tuple[str, ...] = ()
    problems: tuple[Problem, ...] = ()
    scan_again_us: int | None = None
    files_read: int = 0
    swapped: bool = False

    @property
    def names(self) -> tuple[str, ...]:
        """Return the jobs that were added, changed or removed."""
        return (*self.added, *(one.job for one in self.changed), *self.removed)

    @property
    def is_news(self) -> bool:
        """Return True if there is anything to report: another job set, or a new problem."""
        return self.swapped or bool(self.broken or self.repaired or self.problems)
