"""The few Linux calls that the standard library lacks. Part of the zygote: it imports next to nothing."""

from __future__ import annotations

# The C half of ctypes alone: the Python half would cost every fork some fifty pages.
import _ctypes
import errno
import os

_PR_SET_PDEATHSIG = 1
_PR_SET_NAME = 15
_PR_SET_TIMERSLACK = 29
_PR_SET_CHILD_SUBREAPER = 36

_IOPRIO_WHO_PROCESS = 1
_IOPRIO_SET = {"x86_64": 251, "aarch64": 30, "riscv64": 30, "armv7l": 314, "i686": 289, "ppc64le": 273, "s390x": 282}
"""The number of the system call on each kind of machine."""

_libc = _ctypes.dlopen(None, os.RTLD_NOW)  # type: ignore[arg-type] # None is the program itself
_prctl_address = _ctypes.dlsym(_libc, "prctl")
_syscall_address = _ctypes.dlsym(_libc, "syscall")
_memmove_address = _ctypes.dlsym(_libc, "memmove")


def _prctl(option: int, value: int | bytes) -> None:
    if _ctypes.call_function(_prctl_address, (option, value, 0, 0, 0)):
        raise OSError(f"prctl({option}) failed")


def die_with_parent(signum: int) -> None:
    """Ask for ``signum`` when the parent dies. setuid clears it; the caller must check getppid() afterwards."""
    _prctl(_PR_SET_PDEATHSIG, signum)


def adopt_orphans() -> None:
    """Become the parent of descendants whose own parent ends (PR_SET_CHILD_SUBREAPER)."""
    _prctl(_PR_SET_CHILD_SUBREAPER, 1)


def precise_timers() -> None:
    """Wake as near to the asked instant as the kernel can, instead of up to 50 microseconds later."""
    _prctl(_PR_SET_TIMERSLACK, 1)


def set_io_priority(priority: int) -> None:
    """Set the class and level of this process's disk access: ioprio_set(2), which the C library does not wrap."""
    number = _IOPRIO_SET.get(os.uname().machine)
    if number is None:
        raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS))
    # With the integers of a long: on these machines the call takes them as they are.
    if _ctypes.call_function(_syscall_address, (number, _IOPRIO_WHO_PROCESS, 0, priority)):
        raise OSError(errno.EPERM, os.strerror(errno.EPERM))


def given_environment(process: str = "self") -> set[bytes]:
    """Return the names of the variables that a process was started with, without what it has set since."""
    with open(f"/proc/{process}/environ", "rb") as file:
        return {entry.partition(b"=")[0] for entry in file.read().split(b"\0")}


class _Address(_ctypes._SimpleCData):  # type: ignore[type-arg] # noqa: SLF001 - ctypes' own c_void_p
    _type_ = "P"


_title_area: tuple[_Address, int] | None = None


def keep_title_area() -> None:
    """Remember where this process's command line is in memory; forks inherit the place."""
    global _title_area  # noqa: PLW0603 - known once, in the zygote
    with open("/proc/self/stat", "rb") as file:
        fields = file.read().rpartition(b")")[2].split()
    # proc(5): arg_start and arg_end are fields 48 and 49; field 3 is the first after the name.
    start, end = int(fields[45]), int(fields[46])
    _title_area = _Address(start), end - start


def set_title(title: str) -> None:
    """Show ``title`` in ``ps``, cut to the room there is."""
    if _title_area is None:
        return
    start, room = _title_area
    data = title.encode("utf-8", "replace")[: room - 1].ljust(room, b"\0")
    _ctypes.call_function(_memmove_address, (start, data, room))


def descendants(root: int) -> list[int]:
    """Return the processes below ``root``, parents before children. What forks meanwhile may be missing."""
    found = []
    level = [root]
    while level:
        below = []
        for pid in level:
            below += _children(pid)
        found += below
        level = below
    return found


def _children(pid: int) -> list[int]:
    children = []
    try:
        for thread in os.listdir(f"/proc/{pid}/task"):
            with open(f"/proc/{pid}/task/{thread}/children", "rb") as file:
                children += [int(child) for child in file.read().split()]
    except FileNotFoundError:
        if not os.path.exists("/proc/self/task/%d/children" % os.getpid()):  # noqa: UP031 - CONFIG_PROC_CHILDREN is off
            return _children_by_scan(pid)
    except ProcessLookupError:
        pass  # it ended while being looked at; its children are the subreaper's now
    return children


def _children_by_scan(parent: int) -> list[int]:
    children = []
    for name in os.listdir("/proc"):
        if not name.isdigit():
            continue
        try:
            with open(f"/proc/{name}/stat", "rb") as file:
                fields = file.read().rpartition(b")")[2].split()
        except (FileNotFoundError, ProcessLookupError):
            continue
        if int(fields[1]) == parent:
            children.append(int(name))
    return children


def command_name(pid: int) -> str:
    """Return a process's short name (comm), or an empty text when it is gone."""
    try:
        with open(f"/proc/{pid}/comm", "rb") as file:
            return file.read().decode("utf-8", "replace").strip()
    except (FileNotFoundError, ProcessLookupError):
        return ""


def is_zombie(pid: int) -> bool:
    """Return whether a process has ended and waits to be reaped; one that is gone counts as ended too.

    One whose first thread has ended looks the same while other threads of it live.
    """
    if _state(pid) not in {b"Z", b"X", b""}:
        return False
    try:
        return len(os.listdir(f"/proc/{pid}/task")) <= 1
    except (FileNotFoundError, ProcessLookupError):
        return True


def is_runnable(pid: int) -> bool:
    """Return whether a process uses a processor, or waits for one or for the disk."""
    return _state(pid) in {b"R", b"D"}


def _state(pid: int) -> bytes:
    """Return a process's state as proc_pid_stat(5) has it; nothing when it is gone."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            return file.read().rpartition(b")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return b""
