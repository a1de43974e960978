"""Where everything is, and what ``etc/akjob.toml`` says."""

import os
from collections.abc import Iterable, Mapping
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal
from urllib.parse import quote

from msgspec import Struct

from akjob.config import cluster, notify, web
from akjob.config.cluster import ClusterConfig, read_cluster, read_pools
from akjob.config.notify import Channel, Heartbeat, read_channels, read_heartbeat
from akjob.config.readers import (
    Reader,
    read_count,
    read_duration,
    read_flag,
    read_string,
    read_strings,
    read_table_keys,
)
from akjob.config.secrets import reveal
from akjob.config.web import WebConfig, read_web
from akjob.errors import AkjobError, Problem, UsageError
from akjob.toml.faults import PathProblems, dotted
from akjob.toml.read import read_table
from akjob.units import parse_size

if TYPE_CHECKING:
    from akjob.schedule.calendars import Calendars

_DAY_US = 86_400_000_000
DEFAULTS = "_defaults.toml"
_LONGEST_SOCKET = 107  # bytes: sun_path of struct sockaddr_un, without its final NUL
_LONGEST_PID = "4194304"


class Paths(Struct, frozen=True, dict=True):
    """Every place below one root."""

    root: Path

    @cached_property
    def jobs_d(self) -> Path:
        """The job files."""
        return self.root / "jobs.d"

    @cached_property
    def etc(self) -> Path:
        """The configuration's folder."""
        return self.root / "etc"

    @cached_property
    def config_file(self) -> Path:
        """The configuration; it need not exist."""
        return self.root / "etc" / "akjob.toml"

    @cached_property
    def var(self) -> Path:
        """All that the programs write; on a local disk."""
        return self.root / "var"

    @cached_property
    def runs(self) -> Path:
        """One folder for each run that has not been accounted for yet."""
        return self.root / "var" / "runs"

    @cached_property
    def run_dir(self) -> Path:
        """Sockets and process files."""
        return self.root / "var" / "run"

    @cached_property
    def folder_pool(self) -> Path:
        """Folders of runs that are accounted for, for the runs to come."""
        return self.root / "var" / "run" / "pool"

    @cached_property
    def log_dir(self) -> Path:
        """The log stream, today's and older ones."""
        return self.root / "var" / "log"

    @cached_property
    def log(self) -> Path:
        """The log stream that is written now."""
        return self.root / "var" / "log" / "akjob.jsonl"

    @cached_property
    def archive(self) -> Path:
        """Older log files, compressed."""
        return self.root / "var" / "log" / "archive"

    @cached_property
    def db(self) -> Path:
        """The ledger."""
        return self.root / "var" / "akjob.db"

    @cached_property
    def ledger_url(self) -> str:
        """The ledger's address, for ``akjob.ledger.open_store`` and ``open_reader``."""
        cluster = read_cluster_of(self)
        return f"sqlite://{quote(str(self.db.absolute()))}" if cluster is None else reveal(cluster.url, self.root)

    @cached_property
    def lease(self) -> Path:
        """Until when this node of a cluster may run what it runs."""
        return self.run_dir / "lease"

    @cached_property
    def web_db(self) -> Path:
        """The logins, the tokens and the audit of akjob-web."""
        return self.root / "var" / "web.db"

    @cached_property
    def notify_db(self) -> Path:
        """The outbox of akjob-notify."""
        return self.root / "var" / "notify.db"

    @cached_property
    def control_socket(self) -> Path:
        """Where akjobd answers the commands."""
        return self.root / "var" / "run" / "akjobd.sock"

    @cached_property
    def collector_socket(self) -> Path:
        """Where the collector takes log lines."""
        return self.root / "var" / "run" / "collector.sock"

    @cached_property
    def shims_socket(self) -> Path:
        """Where shims tell akjobd what happened."""
        return self.root / "var" / "run" / "shims.sock"

    @cached_property
    def supervisor_socket(self) -> Path:
        """Where supervisord answers supervisorctl."""
        return self.root / "var" / "run" / "supervisor.sock"


def is_ignored(name: str) -> bool:
    """Return True for a file or folder that is never a job's: hidden, private, or left behind by an editor."""
    return name[0] in "._#~" or name.endswith(("~", "#"))


def read_cluster_of(paths: Paths) -> ClusterConfig | None:
    """Return ``[cluster]`` of a root's settings; None for a root without. Raises AkjobError where it is wrong.

    A cluster's node whose settings are wrong must not go on with a ledger of its own: it would run each slot again.
    """
    try:
        if b"cluster" not in paths.config_file.read_bytes():
            return None
    except OSError:
        return None
    config, problems = load_config(paths.config_file)
    wrong = next((one for one in problems if one.severity == "error"), None)
    if wrong is not None and config.cluster is None:
        message = f"{wrong.file}:{wrong.line}:{wrong.column}: {wrong.message}"
        raise AkjobError(message, hint="while [cluster] may be meant, no ledger is opened")
    return config.cluster


def find_root(given: str | None, env: Mapping[str, str], cwd: Path) -> Path:
    """Return the root: ``--root``, else ``$AKJOB_ROOT``, else the nearest folder upward that looks like one.

    Looks like one: has ``etc/akjob.toml`` or ``jobs.d/``. Raises AkjobError (exit code 2) when there is none, or when
    the one named is not a folder.
    """
    cwd = as_entered(cwd, env)
    for named, source in ((given, "--root"), (env.get("AKJOB_ROOT"), "$AKJOB_ROOT")):
        if named is None or (named == "" and source == "$AKJOB_ROOT"):
            continue
        root = Path(os.path.abspath(cwd / named))
        if not named or not root.is_dir():
            hint = f"give an existing folder as {source}; `akjob init {named}` makes one" if named else "name a folder"
            raise UsageError(f"{source}: {named or 'an empty text'} is not a folder", hint=hint)
        return root
    here = Path(os.path.abspath(cwd))
    for folder in (here, *here.parents):
        if (folder / "jobs.d").is_dir() or (folder / "etc" / "akjob.toml").is_file():
            return folder
    message = f"no root: neither {here} nor a folder above it has jobs.d/ or etc/akjob.toml"
    hint = "go into a root, name it with --root DIR or AKJOB_ROOT, or make one with `akjob init DIR`"
    raise UsageError(message, hint=hint)


def excess_of_supervisor_socket(paths: Paths) -> int:
    """Return by how many bytes the path of supervisord's socket is too long for the kernel; 0 or less if it fits.

    supervisord binds ``<file>.<pid>`` and renames it, and ``etc/supervisord.conf`` names the file from its own folder.
    """
    longest = paths.etc / ".." / "var" / "run" / f"{paths.supervisor_socket.name}.{_LONGEST_PID}"
    return len(os.fsencode(longest)) - _LONGEST_SOCKET


def as_entered(cwd: Path, env: Mapping[str, str]) -> Path:
    """Return the working folder by the path that it was entered by, links in it kept, where the shell says so in $PWD.

    A root below a link that is switched with each deploy stays the root, whichever release the link leads to.
    """
    entered = env.get("PWD", "")
    if not entered.startswith("/") or {".", ".."} & {*entered.split("/")}:  # POSIX, pwd -L
        return cwd
    try:
        return Path(entered) if os.path.samefile(entered, cwd) else cwd
    except OSError:
        return cwd


def socket_address(path: Path) -> str:
    """Return an address for ``bind`` and ``connect``: the path, or ``/proc/self/fd/N/name`` when it is too long.

    The long form opens the folder and keeps it open for the rest of the process's life, once per folder.
    Raises FileNotFoundError when the path is too long and its folder does not exist.
    """
    text = os.fspath(path)
    if len(os.fsencode(text)) <= _LONGEST_SOCKET:
        return text
    folder = os.path.dirname(text)
    status = os.stat(folder)
    key = (folder, status.st_dev, status.st_ino)
    if key not in _folders:
        _folders[key] = os.open(folder, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    return f"/proc/self/fd/{_folders[key]}/{os.path.basename(text)}"


_folders: dict[tuple[str, int, int], int] = {}


# -- etc/akjob.toml


class LogConfig(Struct, frozen=True, kw_only=True):
    """``[log]``: where the stream goes, how many days are kept, sizes in bytes."""

    to: Literal["file", "stdout"] = "file"
    keep_days: int = 15
    max_size: int = 256 * 2**20
    max_total: int = 4 * 2**30


class LedgerConfig(Struct, frozen=True, kw_only=True):
    """``[ledger]``: how long rows are kept."""

    keep_us: int = 90 * _DAY_US


class TrustConfig(Struct, frozen=True, kw_only=True):
    """``[trust]``: whose job files are taken besides root's and akjobd's own, and whether a group may write them."""

    owners: tuple[str, ...] = ()
    group_writable: bool = False


class Config(Struct, frozen=True, kw_only=True):
    """What ``etc/akjob.toml`` says, complete with all defaults.

    ``run_defaults`` and ``notify_defaults`` are the tables ``[run]`` and ``[notify]`` as written; they and ``timezone``
    are the outermost defaults of all jobs, and are checked with them. ``calendars`` is None where there is no table
    ``[calendars]``. ``text`` is the file's text, for positions.
    """

    timezone: str = "UTC"
    pythonpath: tuple[str, ...] = ()
    max_running: int | None = None
    pools: Mapping[str, int] = {}
    cluster: ClusterConfig | None = None
    log: LogConfig = LogConfig()
    ledger: LedgerConfig = LedgerConfig()
    trust: TrustConfig = TrustConfig()
    web: WebConfig = WebConfig()
    channels: Mapping[str, Channel] = {}
    heartbeat: Heartbeat | None = None
    notify_defaults: Mapping[str, Any] = {}
    calendars: "Calendars | None" = None
    run_defaults: Mapping[str, Any] = {}
    file: str = "etc/akjob.toml"
    text: str = ""


def load_config(path: Path) -> tuple[Config, list[Problem]]:
    """Read ``etc/akjob.toml``. A missing file means the defaults; a wrong value means its default and a Problem.

    ``[run]`` and ``timezone`` are the outermost defaults of all jobs: their values are checked by
    :func:`akjob.spec.config_problems`, which knows the keys of a job.
    """
    file = f"{path.parent.name}/{path.name}"
    try:
        raw = path.read_bytes()
    except FileNotFoundError:
        return Config(file=file), []
    except OSError as error:
        message = f"cannot be read: {error.strerror}"
        hint = "make it a regular file that akjobd's user may read"
        return Config(file=file), [Problem(file=file, code="unreadable", message=message, hint=hint)]
    table, text, problem = read_table(file, raw)
    if problem is not None:
        return Config(file=file), [problem]
    out = PathProblems()
    found = read_table_keys(table, (), out, _TOP)
    table_types: dict[str, type[Struct]] = {"log": LogConfig, "ledger": LedgerConfig, "trust": TrustConfig}
    log = found.get("log", {})
    if "max_total" in log:  # the current file is part of the total
        log.setdefault("max_size", min(LogConfig().max_size, max(1, log["max_total"] // 4)))
    for name, table_type in table_types.items():
        if name in found:
            found[name] = table_type(**found[name])
    of_files: tuple[Problem, ...] = ()
    if "calendars" in found:
        found["calendars"] = calendars = _load_calendars(found["calendars"], path.parent.parent, out)
        of_files = calendars.problems
    return Config(file=file, text=text, **found), [*out.problems(file, text), *of_files]


def _load_calendars(tables: object, root: Path, out: PathProblems) -> "Calendars":
    from akjob.schedule.calendars import load_calendars  # noqa: PLC0415 - the collector needs nothing of schedules

    return load_calendars(tables, root, out)


def _size(value: object, path: tuple[str, ...], out: PathProblems) -> int | None:
    if type(value) is not str:
        out.wrong_type(path, "a size in quotes", value, 'write it as "256MiB" or "4GB"')
        return None
    try:
        size = parse_size(value)
    except ValueError as error:
        out.bad(path, "bad-size", f"`{dotted(path)}`: {error}", str(error).partition("; ")[2] or "write less")
        return None
    if size == 0:
        out.bad(path, "out-of-range", f"`{dotted(path)}` must be more than nothing", 'write it as "256MiB"')
        return None
    return size


def _duration(value: object, path: tuple[str, ...], out: PathProblems) -> int | None:
    if type(value) is int:
        out.wrong_type(path, "a duration in quotes", value, f'write "{value}d"')
        return None
    return read_duration(value, path, out, _DAY_US)


def _days(value: object, path: tuple[str, ...], out: PathProblems) -> int | None:
    duration_us = _duration(value, path, out)
    if duration_us is not None and duration_us % _DAY_US:
        out.bad(path, "bad-duration", f'`{dotted(path)}`: "{value}" is not a whole number of days', 'write it as "15d"')
        return None
    return None if duration_us is None else duration_us // _DAY_US


def _target(value: object, path: tuple[str, ...], out: PathProblems) -> str | None:
    if value in {"file", "stdout"} and type(value) is str:
        return str(value)
    if type(value) is not str:
        out.wrong_type(path, 'one of "file", "stdout"', value)
    else:
        out.bad(path, "bad-value", f'`{dotted(path)}` cannot be "{value}"', 'one of "file", "stdout"')
    return None


def _table(value: object, path: tuple[str, ...], out: PathProblems) -> dict[str, Any] | None:
    if type(value) is dict:
        return value
    out.wrong_type(path, "a table", value, f"write [{dotted(path)}] on a line of its own")
    return None


_LOG: Mapping[str, tuple[str, Reader]] = {
    "to": ("to", _target),
    "keep": ("keep_days", _days),
    "max_size": ("max_size", _size),
    "max_total": ("max_total", _size),
}
_LEDGER: Mapping[str, tuple[str, Reader]] = {"keep": ("keep_us", _duration)}
_TRUST: Mapping[str, tuple[str, Reader]] = {
    "owners": ("owners", read_strings),
    "group_writable": ("group_writable", read_flag),
}
_TOP: Mapping[str, tuple[str, Reader]] = {
    "timezone": ("timezone", read_string),
    "pythonpath": ("pythonpath", read_strings),
    "max_running": ("max_running", read_count),
    "pools": ("pools", read_pools),
    "cluster": ("cluster", read_cluster),
    "log": ("log", lambda value, path, out: read_table_keys(value, path, out, _LOG)),
    "ledger": ("ledger", lambda value, path, out: read_table_keys(value, path, out, _LEDGER)),
    "trust": ("trust", lambda value, path, out: read_table_keys(value, path, out, _TRUST)),
    "web": ("web", read_web),
    "channels": ("channels", read_channels),
    "heartbeat": ("heartbeat", read_heartbeat),
    "notify": ("notify_defaults", _table),
    "calendars": ("calendars", lambda value, _path, _out: value),
    "run": ("run_defaults", _table),
}
TABLES: Mapping[str, Iterable[str]] = {
    "": _TOP,
    **cluster.TABLES,
    "log": _LOG,
    "ledger": _LEDGER,
    "trust": _TRUST,
    **web.TABLES,
    **notify.TABLES,
    "calendars": ("NAME",),
    "calendars.NAME": ("dates", "file", "country", "subdivision"),
}
"""The keys of each table, for the reference; NAME stands for a name that the user gives."""
