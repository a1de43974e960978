"""From a job and a slot to the order that the zygote is sent: everything a shim and a job's process need to know.

An order is a dictionary of plain types (``marshal`` carries it), so that the reading end needs no library;
:class:`Order` names its keys. Readers import that for the type checker alone.
"""

from __future__ import annotations

import marshal
import resource
import tempfile
from datetime import date, datetime, time
from typing import TYPE_CHECKING, Any, TypedDict

from akjob import instants
from akjob.config import socket_address
from akjob.config.secrets import SecretFile
from akjob.run.names import names_of
from akjob.schedule.zones import integer_zone, next_local_time
from akjob.spec.model import Command, DillFile, DottedCallable

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from akjob.config import Config, Paths
    from akjob.run.cgroup import Groups
    from akjob.spec.model import Code, JobSpec, Resources

VERSION = 1
_CPU_GRACE_S = 5
_IO_CLASSES = {"best-effort": 2, "idle": 3}
_IO_CLASS_SHIFT = 13


class GroupLimits(TypedDict):
    """What the run's control group counts; None: no limit, or nothing counts it."""

    memory: int | None
    processes: int | None


class ProcessOrder(TypedDict):
    """What of an order makes the job's process."""

    cwd: str
    path: list[str]
    """Folders that are put in front of PATH."""
    pythonpath: list[str]
    interpreter: str | None
    setup: list[str]
    code: tuple[Any, ...]
    """``("callable", target)``, ``("dill", path, sha256, python)``, ``("command", argv)``."""
    args: list[Any]
    env: dict[str, str | tuple[str]]
    """Strings, or ``(file,)`` for a secret."""
    env_file: list[tuple[str, bool]]
    user: str | None
    group: str | None
    umask: int
    nice: int | None
    ionice: int | None
    """As ioprio_set(2) takes it: class << 13 | level."""
    rlimits: list[tuple[str, int, int, int]]
    """Name, resource, soft and hard limit."""
    limits: GroupLimits
    warnings: list[str]
    """What goes on the log stream when the run starts."""


class EndOrder(TypedDict):
    """What of an order says when and how the run is ended, and how its end is judged."""

    timeout_us: int | None
    stop_at_us: int | None
    """The instant at which the run is ended if it still goes on."""
    stop_at: str
    """The local time that this is, as the job file has it."""
    stop_signal: int
    kill_after_us: int
    success_codes: list[int]
    output_limit: int


class Order(ProcessOrder, EndOrder):
    """One run. Paths are absolute, instants and durations in microseconds."""

    version: int
    """Of these keys; a zygote is only ever sent orders by the akjobd that started it."""
    run: str
    job: str
    attempt: int
    trigger: str
    slot_us: int
    decided_us: int
    """When akjobd decided that this order goes out."""
    token: int
    """Which order of this run: a run whose order was lost gets another one, with the next number."""
    start_us: int
    """The gate: not before this instant of the wall clock; 0 is at once."""
    import_ahead: bool
    """True if the code is imported before the gate."""
    awake_us: int
    """So long before the gate the job does not sleep."""
    lead_us: int
    folder: str
    folder_pool: str
    """Where there may be a folder to be taken for the run's; empty: none."""
    shims: str
    """Address of the socket for notices."""
    collector: str
    """Address of the socket for lines."""
    root: str
    kwargs: dict[str, Any]
    names: dict[str, str]
    """The ``AKJOB_*`` of the run."""
    changed: list[str]
    """The files whose change made the run due, for the file ``changed_file``; empty: no such file is made."""
    changed_file: str
    cgroup: str
    """The control group to make; empty: none."""
    lease: str
    """The file that says until when the node may run it (:mod:`akjob.run.lease`); empty: for as long as it takes."""


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
    kwargs: Mapping[str, object] | None = None,
    cause: str | None = None,
    files: Sequence[str] = (),
    now_us: int = 0,
    groups: Groups | None = None,
    leased: bool = False,
) -> Order:
    """Return the order of one run. ``kwargs`` are those of a manual run, over the job's own.

    ``cause`` is the short JSON of its row, ``files`` are those whose change made it due, ``now_us`` is the wall clock.
    ``leased``: another node of a cluster may run it once this one has not renewed its lease.
    """
    policy = spec.run
    root = str(paths.root)
    own = {"AKJOB_RUN": run, "AKJOB_ATTEMPT": str(attempt), "AKJOB_ROOT": root}
    names = names_of(spec, slot_us, trigger, cause) | own
    changed_file = _changed_file(spec, f"{paths.runs}/{run}", run) if files else ""
    if changed_file:
        names["AKJOB_CHANGED_FILE"] = changed_file
    return {
        **_process(spec, root, config, groups),
        **_end(spec, max(start_us, now_us)),
        "version": VERSION,
        "run": run,
        "job": spec.name,
        "attempt": attempt,
        "trigger": trigger,
        "slot_us": slot_us,
        "decided_us": now_us,
        "token": token,
        "start_us": start_us,
        "import_ahead": policy.lead_us > 0 and not isinstance(spec.code, Command),
        "awake_us": 0,
        "lead_us": policy.lead_us,
        "folder": f"{paths.runs}/{run}",
        "folder_pool": str(paths.folder_pool),
        "shims": socket_address(paths.shims_socket),
        "collector": socket_address(paths.collector_socket),
        "root": root,
        "kwargs": _plain({**spec.kwargs, **(kwargs or {})}),
        "names": names,
        "changed": list(files),
        "changed_file": changed_file,
        "cgroup": "" if groups is None else groups.of(run),
        "lease": str(paths.lease) if leased and policy.on_partition == "stop" else "",
    }


def _process(spec: JobSpec, root: str, config: Config, groups: Groups | None) -> ProcessOrder:
    policy = spec.run
    rlimits, warnings = _rlimits(policy.resources, groups.controllers if groups is not None else frozenset())
    return {
        "cwd": _below(root, policy.cwd),
        "path": [_below(root, folder) for folder in policy.path],
        "pythonpath": list(config.pythonpath),
        "interpreter": _below(root, policy.interpreter) if policy.interpreter else None,
        "setup": list(policy.setup),
        "code": _code(spec.code, spec, root),
        "args": _plain(list(spec.args)),
        "env": {key: (_below(root, v.file),) if isinstance(v, SecretFile) else v for key, v in policy.env.items()},
        "env_file": [(_below(root, one.file), one.optional) for one in policy.env_files],
        "user": policy.user,
        "group": policy.group,
        "umask": policy.umask,
        "nice": policy.nice,
        "ionice": _ionice(policy.ionice),
        "rlimits": rlimits,
        "limits": _group_limits(policy.resources, groups),
        "warnings": warnings,
    }


def _end(spec: JobSpec, begins_us: int) -> EndOrder:
    policy = spec.run
    return {
        "timeout_us": policy.timeout_us,
        "stop_at_us": stop_at_us(spec, begins_us),
        "stop_at": stop_at_text(spec),
        "stop_signal": policy.stop_signal,
        "kill_after_us": policy.kill_after_us,
        "success_codes": list(policy.success_codes),
        "output_limit": policy.output_limit,
    }


def encode(order: Order) -> bytes:
    """Return an order as the zygote is sent it: its marshal."""
    return marshal.dumps(dict(order))


def _changed_file(spec: JobSpec, folder: str, run: str) -> str:
    """Return where the list of changed files goes: into the run's folder, unless another user has to read it."""
    if spec.run.user is None and spec.run.group is None:
        return f"{folder}/changed"
    return f"{tempfile.gettempdir()}/akjob-{run}-changed"


def _ionice(text: str | None) -> int | None:
    if text is None:
        return None
    name, _, level = text.partition(":")
    return _IO_CLASSES[name] << _IO_CLASS_SHIFT | int(level or 0)


def stop_at_us(spec: JobSpec, start_us: int) -> int | None:
    """Return the first instant after a run's start at which it is ``stop_at`` in the job's zone; None without one."""
    if spec.run.stop_at is None:
        return None
    return (
        next_local_time(integer_zone(spec.schedule.zone), spec.run.stop_at, start_us // instants.SECOND)
        * instants.SECOND
    )


def stop_at_text(spec: JobSpec) -> str:
    """Return a job's ``stop_at`` as people write it; empty without one."""
    second = spec.run.stop_at
    return "" if second is None else str(time(second // 3600, second // 60 % 60, second % 60))


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


def _plain(value: object) -> Any:
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
