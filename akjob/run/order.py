"""From a job and a slot to the order that the zygote is sent: everything a shim and a job's process need to know.

An order is a dictionary of plain types (``marshal`` carries it), so that the reading end needs no library;
:class:`Order` names its keys. Whoever reads one imports that for its type checker alone.
"""

from __future__ import annotations

import marshal
import resource
from datetime import date, datetime, time
from typing import TYPE_CHECKING, Any, TypedDict

from akjob import instants
from akjob.config import socket_address
from akjob.config.secrets import SecretFile
from akjob.spec.model import Command, DillFile, DottedCallable

if TYPE_CHECKING:
    from collections.abc import Mapping

    from akjob.config import Config, Paths
    from akjob.run.cgroup import Groups
    from akjob.spec.model import Code, JobSpec, Resources

VERSION = 1
_CPU_GRACE_S = 5


class GroupLimits(TypedDict):
    """What the run's control group counts; None: no limit, or nothing counts it."""

    memory: int | None
    processes: int | None


class Order(TypedDict):
    """One run. Paths are absolute, instants and durations in microseconds."""

    version: int
    """Of these keys; a zygote is only ever sent orders by the akjobd that started it."""
    run: str
    job: str
    attempt: int
    trigger: str
    slot_us: int
    token: int
    """Which order of this run: a run whose order was lost gets another one, with the next number."""
    start_us: int
    """The gate: not before this instant of the wall clock; 0 is at once."""
    import_ahead: bool
    """Whether the code is imported before the gate."""
    lead_us: int
    folder: str
    folder_pool: str
    """Where there may be a folder to be taken for the run's; empty: none."""
    shims: str
    """Address of the socket for notices."""
    collector: str
    """Address of the socket for lines."""
    root: str
    cwd: str
    pythonpath: list[str]
    interpreter: str | None
    setup: list[str]
    code: tuple[Any, ...]
    """``("callable", target)``, ``("dill", path, sha256, python)``, ``("command", argv)``."""
    args: list[Any]
    kwargs: dict[str, Any]
    env: dict[str, str | tuple[str]]
    """Strings, or ``(file,)`` for a secret."""
    env_file: list[tuple[str, bool]]
    names: dict[str, str]
    """The ``AKJOB_*`` of the run."""
    user: str | None
    group: str | None
    umask: int | None
    nice: int | None
    rlimits: list[tuple[str, int, int, int]]
    """Name, resource, soft and hard limit."""
    cgroup: str
    """The control group to make; empty: none."""
    limits: GroupLimits
    timeout_us: int | None
    stop_signal: int
    kill_after_us: int
    success_codes: list[int]
    output_limit: int
    warnings: list[str]
    """What goes on the log stream when the run starts."""


def make(  # noqa: PLR0913 - all that makes this run this run
    spec: JobSpec,
    paths: Paths,
    config: Config,
    *,
    run: str,
    slot_us: int,
    attempt: int,
    trigger: str,
    start_us: int = 0,
    token: int = 0,
    kwargs: Mapping[str, Any] | None = None,
    groups: Groups | None = None,
) -> Order:
    """Return the order of one run. ``kwargs`` are those of a manual run, over the job's own."""
    policy = spec.run
    root = str(paths.root)
    names = {
        "AKJOB_JOB": spec.name,
        "AKJOB_RUN": run,
        "AKJOB_SLOT": instants.to_text(slot_us),
        "AKJOB_ATTEMPT": str(attempt),
        "AKJOB_ROOT": root,
    }
    _, instance, named = spec.name.partition("@")
    if instance:
        names["AKJOB_INSTANCE"] = named
    rlimits, warnings = _rlimits(policy.resources, groups.controllers if groups is not None else frozenset())
    return {
        "version": VERSION,
        "run": run,
        "job": spec.name,
        "attempt": attempt,
        "trigger": trigger,
        "slot_us": slot_us,
        "token": token,
        "start_us": start_us,
        "import_ahead": policy.lead_us > 0 and not isinstance(spec.code, Command),
        "lead_us": policy.lead_us,
        "folder": f"{paths.runs}/{run}",
        "folder_pool": str(paths.folder_pool),
        "shims": socket_address(paths.shims_socket),
        "collector": socket_address(paths.collector_socket),
        "root": root,
        "cwd": _below(root, policy.cwd),
        "pythonpath": list(config.pythonpath),
        "interpreter": _below(root, policy.interpreter) if policy.interpreter else None,
        "setup": list(policy.setup),
        "code": _code(spec.code, spec, root),
        "args": _plain(list(spec.args)),
        "kwargs": _plain({**spec.kwargs, **(kwargs or {})}),
        "env": {key: (_below(root, v.file),) if isinstance(v, SecretFile) else v for key, v in policy.env.items()},
        "env_file": [(_below(root, one.file), one.optional) for one in policy.env_files],
        "names": names,
        "user": policy.user,
        "group": policy.group,
        "umask": policy.umask,
        "nice": policy.nice,
        "rlimits": rlimits,
        "cgroup": "" if groups is None else groups.of(run),
        "limits": _group_limits(policy.resources, groups),
        "timeout_us": policy.timeout_us,
        "stop_signal": policy.stop_signal,
        "kill_after_us": policy.kill_after_us,
        "success_codes": list(policy.success_codes),
        "output_limit": policy.output_limit,
        "warnings": warnings,
    }


def encode(order: Order) -> bytes:
    """Return an order as the zygote is sent it: its marshal."""
    return marshal.dumps(dict(order))


def _below(root: str, path: str | None) -> str:
    if path is None:
        return root
    return path if path.startswith("/") else f"{root}/{path}"


def _code(code: Code, spec: JobSpec, root: str) -> tuple[Any, ...]:
    match code:
        case DottedCallable(target):
            return ("callable", target)
        case DillFile(file, sha256, python):
            return ("dill", f"{root}/{spec.file.rpartition('/')[0]}/{file}", sha256, python)
        case Command(argv, shell):
            return ("command", ["/bin/sh", "-c", shell] if argv is None else list(argv))
    raise TypeError(code)


def _plain(value: Any) -> Any:
    """Write TOML's dates and times as ``(type, text)``: marshal knows none, and tuples are free for it."""
    if isinstance(value, (str, int, float)):
        return value
    if isinstance(value, datetime):
        return ("datetime", value.isoformat())
    if isinstance(value, date):
        return ("date", value.isoformat())
    if isinstance(value, time):
        return ("time", value.isoformat())
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    return value


def _group_limits(resources: Resources, groups: Groups | None) -> GroupLimits:
    counted = frozenset() if groups is None else groups.controllers
    return {
        "memory": resources.memory if "memory" in counted else None,
        "processes": resources.processes if "pids" in counted else None,
    }


def _rlimits(resources: Resources, counted: frozenset[str]) -> tuple[list[tuple[str, int, int, int]], list[str]]:
    """Return (name, resource, soft, hard) and what has to be said about them."""
    limits, warnings = [], []
    if resources.memory is not None and "memory" not in counted:
        limits.append(("memory", resource.RLIMIT_DATA, resources.memory, resources.memory))
        warnings.append(
            "resources.memory limits each process alone (RLIMIT_DATA): no control group is delegated to akjobd"
        )
    if resources.processes is not None and "pids" not in counted:
        limits.append(("processes", resource.RLIMIT_NPROC, resources.processes, resources.processes))
        warnings.append(
            "resources.processes counts all processes of the run's user, and none of root's (RLIMIT_NPROC): no control "
            "group is delegated to akjobd"
        )
    if resources.cpu_us is not None:
        # setrlimit(2): at the soft limit SIGXCPU, which says what happened; SIGKILL only at the hard one.
        seconds = max(1, -(-resources.cpu_us // instants.SECOND))
        limits.append(("cpu", resource.RLIMIT_CPU, seconds, seconds + _CPU_GRACE_S))
    if resources.open_files is not None:
        limits.append(("open_files", resource.RLIMIT_NOFILE, resources.open_files, resources.open_files))
    if resources.file_size is not None:
        limits.append(("file_size", resource.RLIMIT_FSIZE, resources.file_size, resources.file_size))
    return limits, warnings
