"""The processes of a run as a whole: its control group, and whatever descends from its shim.

Part of the zygote: it imports next to nothing.
"""

from __future__ import annotations

import _signal  # type: ignore[import-not-found] # the module signal would bring in enum
import errno
import os

from akjob.run import folder, linux

TYPE_CHECKING = False
if TYPE_CHECKING:
    from akjob.run.order import GroupLimits


class ProcessTree:
    """Everything below this process. ``group`` is the path of the run's control group; empty: it has none."""

    def __init__(self, group: str) -> None:
        self._group = group
        self.trouble = ""

    def make_group(self, limits: GroupLimits) -> str:
        """Make the run's control group with its limits; return why it could not be made, or an empty string."""
        if not self._group:
            return ""
        try:
            folder.make(self._group)
            if limits["memory"] is not None:
                write(self._group + "/memory.max", str(limits["memory"]))
                write(self._group + "/memory.swap.max", "0")
            if limits["processes"] is not None:
                write(self._group + "/pids.max", str(limits["processes"]))
        except OSError as error:
            return f"the run's control group cannot be set up: {error}"
        return ""

    def remove_group(self) -> None:
        """Remove the group; one with a process in it that cannot be killed stays, and akjobd's sweep removes it."""
        if self._group:
            try:
                os.rmdir(self._group)
            except OSError:
                return

    def oom_kills(self) -> int | None:
        """Return how many processes of the run the OOM killer has killed; None where no control group counts it."""
        try:
            with open(self._group + "/memory.events", encoding="ascii") as file:
                return int(dict([line.split() for line in file]).get("oom_kill", "0"))
        except (OSError, ValueError):
            return None

    def alive(self) -> list[int]:
        """Return the processes of the run that have not ended."""
        return [pid for pid in linux.descendants(os.getpid()) if not linux.is_zombie(pid)]

    def signal(self, number: int) -> bool:
        """Send a signal to every process of the run. Return True if there was one."""
        alive = self.alive()
        for pid in alive:
            kill(pid, number)
        return bool(alive)

    def end(self, number: int) -> None:
        """Ask every process of the run to end, stopped ones too."""
        self.signal(number)
        self.signal(_signal.SIGCONT)

    def kill(self) -> bool:
        """Kill every process of the run; none may slip away by a fork. Return True if there was one.

        Where the control group cannot be killed, :attr:`trouble` says why; the processes found are killed all the same.
        """
        if self._group:
            try:
                kill_group(self._group)
            except OSError as error:
                self.trouble = f"its control group could not be killed: {error.strerror}"
        found = self._stop_all()
        for pid in found:
            kill(pid, _signal.SIGKILL)
        return bool(found)

    def _stop_all(self) -> set[int]:
        """Stop every process and return them. Stopped ones do not fork: look until no new one turns up."""
        stopped: set[int] = set()
        while fresh := set(self.alive()) - stopped:
            for pid in fresh:
                kill(pid, _signal.SIGSTOP)
            stopped |= fresh
        return stopped


def kill_group(group: str) -> None:
    """Kill whatever is in a control group. Raises OSError, also when it is not there."""
    write(group + "/cgroup.kill", "1")


def write(path: str, text: str) -> None:
    """Write a file of the kernel's."""
    with open(path, "w", encoding="ascii") as file:
        file.write(text)


def kill(pid: int, number: int) -> None:
    """Send a signal to a process that may be gone, or, being setuid, beyond our rights."""
    try:
        os.kill(pid, number)
    except OSError as error:
        if error.errno not in (errno.ESRCH, errno.EPERM):
            raise
