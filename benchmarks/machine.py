"""What Linux tells about processes: CPU time, context switches, memory; and waiting for an instant."""

import os
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Self, TypeVar

T = TypeVar("T")

_V1 = Path("/sys/fs/cgroup/cpuacct")
_V2 = (Path("/sys/fs/cgroup"), Path("/sys/fs/cgroup/unified"))


class Cage:
    """A control group that counts the CPU time of all that is started in it, whoever reaps it.

    Where no group can be made the CPU time of the whole machine stands in, and :attr:`exact` is False.
    """

    def __init__(self) -> None:
        self._folder: Path | None = None
        self._usage = ""
        name = f"akjob-bench-{os.getpid()}-{time.monotonic_ns()}"
        for parent, usage in ((_V1, "cpuacct.usage"), *((folder, "cpu.stat") for folder in _V2)):
            with suppress(OSError):
                folder = parent / name
                if (parent / "cgroup.procs").exists():
                    folder.mkdir()
                    self._folder, self._usage = folder, usage
                    self.cpu_s()
                    break
                self._folder = None

    def __enter__(self) -> Self:
        """Use it."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Remove the group; what still runs in it is ended first."""
        self.close()

    @property
    def exact(self) -> bool:
        """Whether only the group's own CPU time is counted."""
        return self._folder is not None

    def take(self, pid: int) -> None:
        """Put a process, and with it all that it will start, into the group."""
        if self._folder is not None:
            (self._folder / "cgroup.procs").write_text(str(pid), encoding="ascii")

    def cpu_s(self) -> float:
        """Return the CPU seconds used in the group up to now."""
        if self._folder is None:
            fields = Path("/proc/stat").read_text(encoding="ascii").split("\n", 1)[0].split()[1:]
            user, nice, system = (int(one) for one in fields[:3])
            return (user + nice + system) / os.sysconf("SC_CLK_TCK")
        text = (self._folder / self._usage).read_text(encoding="ascii")
        return int(text) / 1e9 if self._usage == "cpuacct.usage" else int(text.split()[1]) / 1e6

    def pids(self) -> list[int]:
        """Return the processes in the group; empty without a group."""
        if self._folder is None:
            return []
        return [int(one) for one in (self._folder / "cgroup.procs").read_text(encoding="ascii").split()]

    def close(self) -> None:
        """Remove the group; what still runs in it is ended first."""
        folder = self._folder
        for _ in range(100):
            for pid in self.pids():
                with suppress(ProcessLookupError):
                    os.kill(pid, 9)
            with suppress(OSError):
                if folder is not None:
                    folder.rmdir()
                self._folder = None
                return
            time.sleep(0.05)


def cpu_s(pid: int) -> float:
    """Return the CPU seconds of a process, its threads included, to the nanosecond."""
    total = 0
    for task in Path(f"/proc/{pid}/task").iterdir():
        with suppress(OSError):
            total += int((task / "schedstat").read_text(encoding="ascii").split()[0])
    return total / 1e9


def wakeups(pid: int) -> int:
    """Return how often the threads of a process have waited for something: their voluntary context switches."""
    total = 0
    for task in Path(f"/proc/{pid}/task").iterdir():
        with suppress(OSError):
            for line in (task / "status").read_text(encoding="utf-8").splitlines():
                if line.startswith("voluntary_ctxt_switches"):
                    total += int(line.split()[1])
    return total


def pss_bytes(pids: Iterable[int]) -> int:
    """Return the proportional memory of processes; those that have ended count nothing."""
    total = 0
    for pid in pids:
        with suppress(OSError):
            text = Path(f"/proc/{pid}/smaps_rollup").read_text(encoding="ascii")
            total += next(int(line.split()[1]) for line in text.splitlines() if line.startswith("Pss:"))
    return total * 1024


def family(pid: int) -> list[int]:
    """Return a process and all that descend from it."""
    children: dict[int, list[int]] = {}
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            with suppress(OSError):
                parent = int((folder / "stat").read_text(encoding="utf-8").rpartition(")")[2].split()[1])
                children.setdefault(parent, []).append(int(folder.name))
    found, todo = [], [pid]
    while todo:
        one = todo.pop()
        found.append(one)
        todo += children.get(one, [])
    return found


def until(predicate: Callable[[], T | None], deadline_s: float, step_s: float = 0.01) -> T | None:
    """Return the first true value of ``predicate``, or None after the deadline."""
    end = time.monotonic() + deadline_s
    while True:
        value = predicate()
        if value:
            return value
        if time.monotonic() > end:
            return None
        time.sleep(step_s)


def sleep_until(instant_s: float) -> None:
    """Sleep until a wall-clock instant."""
    time.sleep(max(0.0, instant_s - time.time()))


def next_second(ahead_s: float) -> int:
    """Return the first whole second, by the wall clock, that is at least so far ahead."""
    return int(time.time() + ahead_s) + 1
