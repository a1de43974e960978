"""Checks of the machine: kernel, limits, control groups, inotify, clock, time zones."""

import ctypes
import os
import resource
from collections.abc import Iterator
from pathlib import Path
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from akjob.doctor.diagnosis import Diagnosis, Subject
from akjob.errors import AkjobError
from akjob.inotify import Inotify
from akjob.instants import from_text, to_text
from akjob.ledger import open_reader
from akjob.query.text import plural
from akjob.timer import Alarm

_FEW_FILES = 1024
_TIME_ERROR = 5  # adjtimex(2): the clock is not synchronized
_TIMEX_BYTES = 512  # struct timex has 208 bytes on 64-bit machines
_SLACK_US = 60_000_000


def kernel(_subject: Subject) -> Iterator[Diagnosis]:
    """Make the calls that akjobd needs; old kernels lack them, and sandboxes refuse them."""
    try:
        os.close(os.pidfd_open(os.getpid()))
        alarm = Alarm()
        alarm.close()
    except OSError as error:
        message = f"Linux {os.uname().release} refuses what akjobd needs: {error.strerror}"
        hint = "Linux 5.3 or newer; in a container let its seccomp profile allow pidfd_open and timerfd_create."
        yield Diagnosis("kernel", "wrong", message, hint)
    else:
        yield Diagnosis("kernel", "fine", f"Linux {os.uname().release}")


def limits(_subject: Subject) -> Iterator[Diagnosis]:
    """Look at the limits that the programs would inherit from this shell."""
    most, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if most != resource.RLIM_INFINITY and most < _FEW_FILES:
        message = f"a process may open {most} files, and each run needs a few"
        yield Diagnosis("limits", "warning", message, "ulimit -n 65536, or LimitNOFILE=65536 in the systemd unit.")
    else:
        yield Diagnosis("limits", "fine", f"a process may open {most} files")


def control_groups(subject: Subject) -> Iterator[Diagnosis]:
    """Yield whether runs have control groups according to akjobd; while it is down, whether the machine has any."""
    if subject.status is None:
        mounts = Path(subject.proc, "self", "mountinfo").read_text(encoding="utf-8", errors="replace")
        if " - cgroup2 " in mounts:
            yield Diagnosis(
                "cgroups",
                "fine",
                "the machine has cgroup v2; ask again while akjobd is up to see whether it may use it",
            )
        else:
            message = "the machine has no cgroup v2: runs are limited by rlimits and ended by their process trees"
            yield Diagnosis("cgroups", "warning", message, "Boot with systemd.unified_cgroup_hierarchy=1.")
        return
    groups = subject.status.control_groups
    if isinstance(groups, tuple):
        counted = f"; {' and '.join(groups)} counted for each run as a whole" if groups else ""
        yield Diagnosis("cgroups", "fine", f"each run has a control group of its own{counted}")
    else:
        message = (
            "no control group is delegated to akjobd: runs are limited by rlimits and ended by their process trees"
        )
        hint = "Delegate=yes in the systemd unit; `akjob init --systemd` writes one that has it."
        yield Diagnosis("cgroups", "warning", message, hint)


def inotify(subject: Subject) -> Iterator[Diagnosis]:
    """Watch each folder of ``jobs.d/`` for a moment, as akjobd does."""
    folders = [Path(place) for place, _, _ in os.walk(subject.paths.jobs_d)]
    try:
        Inotify(folders).close()
    except OSError as error:
        message = f"inotify cannot watch more: {os.strerror(error.errno or 0)}"
        hint = (
            "Raise fs.inotify.max_user_instances and fs.inotify.max_user_watches by sysctl; until then a change of\n"
            "jobs.d/ is live within 30 seconds instead of one."
        )
        yield Diagnosis("inotify", "wrong", message, hint)
    else:
        yield Diagnosis("inotify", "fine", f"{plural(len(folders), 'folder')} of jobs.d/ can be watched")


def clock(subject: Subject) -> Iterator[Diagnosis]:
    """Compare the clock with the ledger, and ask the kernel whether a service keeps it right."""
    newest = _newest_slot_us(subject)
    if newest is not None and newest > subject.now_us + _SLACK_US:
        message = f"the clock says {to_text(subject.now_us)}, but the ledger has a run of {to_text(newest)}"
        yield Diagnosis("clock", "wrong", message, "Set the clock; slots before that run are accounted for already.")
    elif not is_synchronized():
        message = "the kernel reports that no program synchronizes the clock"
        hint = "Run chrony or systemd-timesyncd; in a container or a virtual machine the host may do it."
        yield Diagnosis("clock", "warning", message, hint)
    else:
        yield Diagnosis("clock", "fine", f"{to_text(subject.now_us)}, synchronized")


def _newest_slot_us(subject: Subject) -> int | None:
    """Return when the newest run of the ledger started; None without runs, or where it cannot be read."""
    try:
        rows = open_reader(subject.paths.ledger_url).history(n=20)
    except AkjobError:
        return None
    started = [from_text(row["started_at"]) for row in rows if row["started_at"] is not None]
    return max(started, default=None)


def is_synchronized() -> bool:
    """Return True if the kernel's clock is disciplined: adjtimex(2). True, too, where the kernel cannot be asked."""
    buffer = ctypes.create_string_buffer(_TIMEX_BYTES)
    return int(ctypes.CDLL(None).adjtimex(buffer)) != _TIME_ERROR


def zones(subject: Subject) -> Iterator[Diagnosis]:
    """Look for the rules of time zones, the machine's or those of the package tzdata."""
    try:
        ZoneInfo("Europe/Berlin")
    except (ZoneInfoNotFoundError, OSError) as error:
        yield Diagnosis("zones", "wrong", f"there are no time zones: {error}", "pip install tzdata")
        return
    local = Path("/etc/localtime")
    yield Diagnosis("zones", "fine", f"jobs: {subject.config.timezone}; this machine: {_zone_of(local)}")


def _zone_of(link: Path) -> str:
    name = os.path.realpath(link).partition("zoneinfo/")[2]
    return name or "UTC"
