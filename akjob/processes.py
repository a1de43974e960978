"""What the kernel knows of processes: who holds a lock, when one started, what becomes of one when its parent dies."""

import ctypes
import fcntl
import os
import signal
import struct
import sys
import time
from collections.abc import Mapping
from pathlib import Path

_PR_SET_PDEATHSIG = 1
_FLOCK = "@hhqqi"  # struct flock of fcntl(2) where off_t has 64 bits: type, whence, start, length, pid


def lock_holder(path: Path) -> int:
    """Return the pid that holds the record lock of a file; 0 for no process, or if it cannot be asked."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return 0
    try:
        answer = fcntl.fcntl(fd, fcntl.F_GETLK, struct.pack(_FLOCK, fcntl.F_WRLCK, os.SEEK_SET, 0, 0, 0))
    finally:
        os.close(fd)
    kind, _, _, _, pid = struct.unpack(_FLOCK, answer)
    return 0 if kind == fcntl.F_UNLCK else int(pid)


def started_us(pid: int, now_us: int) -> int | None:
    """Return when a process started, None when it is gone; ``now_us`` is the wall clock now.

    proc_pid_stat(5): field 22 counts clock ticks since the boot.
    """
    booted_us = now_us - time.clock_gettime_ns(time.CLOCK_BOOTTIME) // 1000
    try:
        fields = Path("/proc", str(pid), "stat").read_bytes().rpartition(b")")[2].split()
    except OSError:
        return None
    return booted_us + int(fields[19]) * 1_000_000 // os.sysconf("SC_CLK_TCK")


def is_given(variable: str, environment: Mapping[str, str]) -> bool:
    """Return True if a variable came to this process from outside, and not from Python's own start (PEP 538).

    supervisord is a Python program too: a variable that was not given to it either comes from Python's start.
    """
    givers = ["self", str(os.getppid())] if "SUPERVISOR_ENABLED" in environment else ["self"]
    for process in givers:
        try:
            given = Path("/proc", process, "environ").read_bytes()
        except OSError:  # it is another user's: what it has passed on is taken for given
            continue
        if not any(entry.startswith(f"{variable}=".encode()) for entry in given.split(b"\0")):
            return False
    return True


def identity(path_or_fd: Path | str | int) -> tuple[int, int] | None:
    """Return what tells a file from another one that takes its place; None where there is none."""
    try:
        found = os.stat(path_or_fd)
    except OSError:
        return None
    return found.st_dev, found.st_ino


def give_memory_back() -> None:
    """Have the C library give free memory back to the kernel: glibc keeps it; others have no such call."""
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)


def die_with_parent(number: signal.Signals, parent: int | None = None) -> None:
    """Ask the kernel for a signal when the parent dies; with ``parent``, its pid, also if it has died already."""
    ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, number, 0, 0, 0)
    if parent is not None and os.getppid() != parent:
        os.kill(os.getpid(), number)


def die_with_supervisord(environment: Mapping[str, str]) -> None:
    """Ask the kernel for SIGTERM when supervisord dies, if that started this: none is left behind."""
    if "SUPERVISOR_ENABLED" not in environment:
        return
    parent = os.getppid()
    die_with_parent(signal.SIGTERM)
    if os.getppid() != parent:
        sys.exit(1)
