"""Control groups: where akjobd's part of a cgroup v2 tree was delegated to it, each run gets a group of its own.

A group counts a run's memory and processes as a whole, and ``cgroup.kill`` ends all of it at once. Without a delegated
group runs are limited by rlimits and ended by walking their process tree; ``akjob status`` says which.
"""

import contextlib
import os
from pathlib import Path

from msgspec import Struct

_CONTROLLERS = ("memory", "pids")


class Groups(Struct, frozen=True):
    """``base`` is the folder in which runs' groups are made; ``controllers`` those that count there."""

    base: str
    controllers: frozenset[str]

    def of(self, run: str) -> str:
        """Return the folder of a run's group; the shim makes and removes it."""
        return f"{self.base}/{run}"

    def names(self) -> list[str]:
        """Return the runs that have a group."""
        return [entry.name for entry in os.scandir(self.base) if entry.is_dir()]


def end(group: str) -> None:
    """Kill whatever is in a run's group, and remove it with the groups that the run made in it.

    What is still dying keeps its group; another call, a little later, removes it.
    """
    with contextlib.suppress(OSError):  # there is none: the shim has removed it
        Path(group, "cgroup.kill").write_text("1", encoding="ascii")
    for place, _, _ in os.walk(group, topdown=False):
        with contextlib.suppress(OSError):
            os.rmdir(place)


def find(proc: str = "/proc/self") -> Groups | None:
    """Find the group that was delegated to this process, or None.

    Delegated means: we may make groups in our own group or in the one above it (systemd's ``Delegate=`` and
    ``DelegateSubgroup=``), and it is not the root of the machine.
    """
    own = _own_group(proc)
    if own is None:
        return None
    for group in (own, own.parent):
        # The machine's root group alone has no cgroup.type; below it, writing needs more than being root.
        if not (group / "cgroup.type").exists() or not os.access(group, os.W_OK):
            continue
        base = group / "akjob-runs"
        try:
            base.mkdir(exist_ok=True)
        except OSError:
            continue
        if not (base / "cgroup.kill").exists():
            return None
        return Groups(str(base), frozenset(name for name in _CONTROLLERS if _enabled(group, base, name)))
    return None


def _own_group(proc: str) -> Path | None:
    """Return the folder of our group in the mounted cgroup v2 tree: proc_pid_cgroup(5), proc_pid_mountinfo(5)."""
    try:
        groups = Path(proc, "cgroup").read_text(encoding="utf-8").splitlines()
        mounts = Path(proc, "mountinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return None
    own = next((line[3:] for line in groups if line.startswith("0::")), None)
    for mount in mounts:
        fields, _, kind = mount.partition(" - ")
        if own is not None and kind.startswith("cgroup2 "):
            root, point = fields.split()[3:5]
            if own == root or own.startswith(root.rstrip("/") + "/"):
                return Path(point, own[len(root) :].lstrip("/"))
    return None


def _enabled(group: Path, base: Path, name: str) -> bool:
    """Let a controller count in the runs' groups. The kernel refuses while processes are in a group above."""
    for place in (group, base):
        with contextlib.suppress(OSError):
            (place / "cgroup.subtree_control").write_text(f"+{name}", encoding="ascii")
    with contextlib.suppress(OSError):
        return name in (base / "cgroup.subtree_control").read_text(encoding="ascii").split()
    return False
