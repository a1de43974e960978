"""The values that the loader hands out: what is loaded, what is broken, and what a look at the folder changed."""

from collections.abc import Mapping

from msgspec import Struct

from akjob.errors import Problem
from akjob.spec.model import JobSpec


class Broken(Struct, frozen=True, kw_only=True):
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
    """All jobs at one instant. It is never changed; a look that finds something new makes another.

    ``jobs`` has what is scheduled, by name, in no particular order; a job that is ``broken`` is among them with its
    last good definition if there is one.
    """

    jobs: Mapping[str, JobSpec]
    broken: Mapping[str, Broken]
    loaded_us: int

    @property
    def counts(self) -> Counts:
        """Count the jobs: costs a walk through all of them."""
        enabled = sum(spec.enabled for spec in self.jobs.values())
        return Counts(loaded=len(self.jobs), enabled=enabled, broken=len(self.broken))


class Refused(Struct, frozen=True, kw_only=True):
    """What was refused before a restart: ``content`` as in :class:`Broken`, and since when."""

    content: str
    since_us: int


class LastGood(Struct, frozen=True, kw_only=True):
    """The last good definition of a job, as it was stored: ``definition`` is the resolved text of the JobSpec.

    It is empty for a job that never was good and is here for what was ``refused``.
    """

    file: str
    definition: str
    loaded_us: int
    refused: Refused | None = None


class Changed(Struct, frozen=True, kw_only=True):
    """A job that is not what it was.

    ``old`` is None only when the stored definition cannot be read any more. ``schedule`` says that its triggers or
    limits changed, ``code`` that the content of its dill file did.
    """

    job: str
    old: JobSpec | None
    new: JobSpec
    schedule: bool
    code: bool


class Change(Struct, frozen=True, kw_only=True):
    """What one look found, against the look before; the first is compared with what had been stored.

    ``broken`` has each refused content once; ``repaired`` names those that are broken no more. ``problems`` are the new
    ones that break no job (warnings, mostly). ``store`` has the definitions to store as last good, ``removed`` the
    names whose stored ones are to be dropped. ``look_again_us`` is the instant by which the next look is wanted,
    whatever happens: ``load(now_us, frozenset())`` looks at what was left open only. ``emptied`` counts the jobs that
    stay scheduled although the folder has been found empty.
    """

    jobset: JobSet
    added: tuple[str, ...] = ()
    changed: tuple[Changed, ...] = ()
    removed: tuple[str, ...] = ()
    broken: tuple[Broken, ...] = ()
    repaired: tuple[str, ...] = ()
    problems: tuple[Problem, ...] = ()
    store: tuple[JobSpec, ...] = ()
    look_again_us: int | None = None
    files_read: int = 0
    emptied: int = 0
    swapped: bool = False

    @property
    def is_news(self) -> bool:
        """Say whether there is anything to tell: another job set, or a new problem."""
        return self.swapped or bool(self.broken or self.repaired or self.problems)
