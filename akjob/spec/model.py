"""A job as a value. A :class:`JobSpec` that exists is valid; what is wrong with a file is a list of Problems."""

from collections.abc import Mapping
from typing import Any, Literal

from msgspec import Struct

from akjob.config.secrets import SecretFile
from akjob.schedule.model import Schedule

Overlap = Literal["skip", "queue", "replace", "allow"]
Missed = Literal["skip", "latest", "all"]
OnPartition = Literal["stop", "continue"]


class DottedCallable(Struct, frozen=True, gc=False, omit_defaults=True, tag="callable"):
    """``pkg.module:name.attr`` or ``pkg.module.name``, as written."""

    target: str


class DillFile(Struct, frozen=True, gc=False, omit_defaults=True, tag="dill"):
    """A dill file next to the TOML file: ``file`` as written, relative to the TOML file's folder."""

    file: str
    sha256: str
    python: str


class Command(Struct, frozen=True, gc=False, omit_defaults=True, tag="command"):
    """An argv, or a string for ``/bin/sh -c``."""

    argv: tuple[str, ...] | None
    shell: str | None


Code = DottedCallable | DillFile | Command


class Retry(Struct, frozen=True, gc=False, omit_defaults=True, kw_only=True):
    """``attempts`` in all; the n-th retry waits ``delay_us`` x ``factor`` ** (n - 1), at most ``max_delay_us``.

    With ``codes`` a failed run is tried again only after one of these exit codes; timed out and lost ones always are.
    """

    attempts: int = 1
    delay_us: int = 0
    factor: float = 1.0
    max_delay_us: int | None = None
    codes: tuple[int, ...] = ()


class Resources(Struct, frozen=True, gc=False, omit_defaults=True, kw_only=True):
    """Limits of one run: ``memory`` and ``file_size`` in bytes, ``cpu_us`` of CPU time; None means no limit."""

    memory: int | None = None
    cpu_us: int | None = None
    open_files: int | None = None
    file_size: int | None = None
    processes: int | None = None


class EnvFile(Struct, frozen=True, gc=False, omit_defaults=True):
    """A file of variables: one that is ``optional`` may be missing."""

    file: str
    optional: bool = False


class RunPolicy(Struct, frozen=True, gc=False, omit_defaults=True, kw_only=True):
    """Everything of ``[run]``. ``timeout_us`` None means ``"none"``.

    ``stop_at`` is a local time as seconds since midnight. ``user`` and ``group`` are names, or numbers as text.
    ``path`` has folders that are put in front of PATH. ``ionice`` is a class and, for ``best-effort``, a level.
    ``where`` is ``any``, ``every`` or ``node:NAME``; ``needs`` has the tags that a node must have.
    """

    timeout_us: int | None = 3_600_000_000
    stop_signal: int = 15
    kill_after_us: int = 10_000_000
    stop_at: int | None = None
    overlap: Overlap = "skip"
    lock: str | None = None
    pool: str | None = None
    missed: Missed = "latest"
    missed_within_us: int = 3_600_000_000
    retry: Retry = Retry()
    success_codes: tuple[int, ...] = (0,)
    user: str | None = None
    group: str | None = None
    umask: int = 0o022
    nice: int | None = None
    ionice: str | None = None
    cwd: str | None = None
    env: Mapping[str, str | SecretFile] = {}
    env_files: tuple[EnvFile, ...] = ()
    path: tuple[str, ...] = ()
    resources: Resources = Resources()
    interpreter: str | None = None
    setup: tuple[str, ...] = ()
    lead_us: int = 0
    output_limit: int = 100 * 1024 * 1024
    where: str = "any"
    needs: tuple[str, ...] = ()
    on_partition: OnPartition = "stop"


TOLD = frozenset({"failed", "recovered", "missed", "late", "long", "broken"})
"""The kinds of messages about a job without ``on`` in its ``[notify]``."""


class Ping(Struct, frozen=True, gc=False, omit_defaults=True, kw_only=True):
    """A service that gets each start and end of a job's runs; ``url`` may be in a file."""

    url: str | SecretFile
    style: Literal["healthchecks", "cronitor", "url"] = "healthchecks"


class Notify(Struct, frozen=True, gc=False, omit_defaults=True, kw_only=True):
    """Everything of ``[notify]``.

    ``long_after_us`` None means ``"auto"``: three times the 95th percentile of the job's last runs, at least five
    minutes, from ten runs on. ``repeat_us`` None means ``"none"``: one message for each trouble.
    """

    channels: tuple[str, ...] = ()
    on: frozenset[str] = TOLD
    after: int = 1
    late_after_us: int = 60_000_000
    long_after_us: int | None = None
    repeat_us: int | None = 86_400_000_000
    lines: int = 30
    ping: Ping | None = None

    def wants(self, kind: str) -> bool:
        """Return True if a message of this kind is asked for; ``failed`` covers what is not named next to it."""
        if kind in {"timed_out", "lost"} and not self.on & {"timed_out", "lost"}:
            return "failed" in self.on
        return kind in self.on


class JobSpec(Struct, frozen=True, gc=False, omit_defaults=True, kw_only=True):
    """One job, complete with all defaults.

    ``file`` is the job file's path below the root (``jobs.d/reports/nightly.toml``), ``sources`` that file, the
    ``_defaults.toml`` files and the dill file that it is made of, all below the root. ``definition`` is the resolved
    definition as TOML text, canonical, so that equal definitions have equal text; ``sha256`` is its hash, in hex.
    """

    name: str
    file: str
    sources: tuple[str, ...]
    definition: str
    sha256: str
    description: str = ""
    enabled: bool = True
    tags: tuple[str, ...] = ()
    owner: str | None = None
    runbook: str | None = None
    code: Code
    args: tuple[Any, ...] = ()
    kwargs: Mapping[str, Any] = {}
    schedule: Schedule = Schedule()
    runs: int | None = None
    when_done: Literal["keep", "delete"] = "keep"
    run: RunPolicy = RunPolicy()
    notify: Notify = Notify()
