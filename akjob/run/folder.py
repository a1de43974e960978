"""The files of a run, ``var/runs/<run id>/``: the shim's truth, which outlives every other process.

| file | written by | meaning |
|---|---|---|
| ``lock`` | shim | a record lock that only the shim holds, as long as it looks after this run; text: see :func:`note` |
| ``fence.N`` | shim, akjobd | who may start order N, first wins: the shim (a link to the lock) or none (a symlink) |
| ``stop`` | akjobd | why the run is to end: state, ``term`` or ``kill``, reason; the shim is then sent its signal |
| ``end.json`` | shim | what came of the run: a link to the lock, whose text is this now |
| ``spool`` | shim | log lines that the collector has not acknowledged |

``lock``, ``fence.N`` and ``end.json`` are one file under three names: to make a file costs some file systems a tenth of
a millisecond, a name next to nothing. Shims of version 1 call the fence ``right.N``; akjobd honours both names.

Part of the zygote: it imports next to nothing.
"""

from __future__ import annotations

import errno
import fcntl
import os

LOCK = "lock"
FENCE = "fence."
FENCE_VERSION_1 = "right."
NO_SHIM = "akjobd"
STOP = "stop"
END = "end.json"
SPOOL = "spool"

_NAMES = 3  # of the file in the folder of a run that simply began and ended: lock, fence, end

NOTE = 64
"""Bytes of the lock that are its note; what follows is of a run before."""


def make(folder: str, pool: str = "") -> None:
    """Make the folder, for its owner alone; it may be there already. One from ``pool`` is taken if there is any."""
    try:
        for name in os.listdir(pool) if pool else ():
            try:
                os.rename(f"{pool}/{name}", folder)
            except FileNotFoundError:  # another one was quicker
                continue
            return
    except OSError:  # none were ever kept, they are on another file system, the folder has something in it already
        pass
    try:
        os.mkdir(folder, 0o700)
    except FileExistsError:
        return


def write(folder: str, name: str, data: bytes) -> None:
    """Write a whole file or nothing: a temporary name, then a rename. Raises OSError and leaves no half."""
    path = f"{folder}/{name}"
    temporary = f"{folder}/.{name}.{os.getpid()}"
    fd = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    try:
        try:
            view = memoryview(data)
            while view:
                view = view[os.write(fd, view) :]
        finally:
            os.close(fd)
        os.rename(temporary, path)
    except OSError:
        os.unlink(temporary)
        raise


def begin(folder: str, order: int, call_signal: int) -> int | None:
    """Take the shim's lock until the descriptor is closed, and the fence of this order; return the descriptor.

    None: another was first. What the shim of another order has written is left alone then: it may be the run's end.
    Raises OSError, also when another shim has the lock.
    """
    fd = os.open(f"{folder}/{LOCK}", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.lockf(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        fresh = not os.fstat(fd).st_size
        if fresh:
            note(fd, 0, 0, call_signal)  # a full disk must be found now, not when the job runs
        if _take_fence(folder, order):
            if not fresh:
                _note_or_give_back(fd, call_signal, f"{folder}/{FENCE}{order}")
            return fd
    except OSError:
        os.close(fd)
        raise
    os.close(fd)
    return None


def _take_fence(folder: str, order: int) -> bool:
    try:
        os.link(f"{folder}/{LOCK}", f"{folder}/{FENCE}{order}")
    except FileExistsError:
        return False
    return True


def _note_or_give_back(lock: int, call_signal: int, fence: str) -> None:
    try:
        note(lock, 0, 0, call_signal)
    except OSError:  # some file systems need room for what is written over as well
        os.unlink(fence)
        raise


def note(lock: int, pid: int, started_us: int, call_signal: int) -> None:
    """Note the job's pid, when it began (µs, 0 before) and the signal that makes the shim look for ``stop``.

    A shim of a version before has no third number: its signal is SIGTERM.
    """
    os.pwrite(lock, (b"%d %d %d" % (pid, started_us, call_signal)).ljust(NOTE - 1) + b"\n", 0)


def recycle(folder: str, pooled: str) -> None:
    """Move the folder of a run that is over, with its lock, into the pool. Raises OSError when it does not fit there.

    Only runs whose first order was taken and came to an end fit. After any other a shim may still come for an order
    that was denied, and must find that it was; and the lock of a lost run has a note that looks like a true one.
    """
    names = os.listdir(folder)
    if SPOOL in names:
        raise OSError(errno.EBUSY, "its spool is still to be read in", folder)
    if END not in names or fences(names) != [f"{FENCE}0"]:
        raise OSError(errno.EINVAL, "it was not simply begun and ended", folder)
    # With no other name in the folder, three names are these three: one call instead of four, in each run's burst.
    if len(names) > _NAMES or os.stat(f"{folder}/{LOCK}").st_nlink != _NAMES:
        for name in (f"{FENCE}0", END):
            if not os.path.samefile(f"{folder}/{name}", f"{folder}/{LOCK}"):
                raise OSError(errno.EINVAL, "its end is not in its lock", folder)
    for name in names:
        if name != LOCK:
            os.unlink(f"{folder}/{name}")
    os.rename(folder, pooled)


def remove(folder: str) -> bool:
    """Remove the folder of a run that is over. False: it has a spool that the collector must read in before."""
    names = os.listdir(folder)
    if SPOOL in names:
        return False
    for name in names:
        os.unlink(f"{folder}/{name}")
    os.rmdir(folder)
    return True


def fences(names: list[str]) -> list[str]:
    """Return those of a folder's names that are fences."""
    return [name for name in names if name.startswith((FENCE, FENCE_VERSION_1))]


def last_order(folder: str) -> tuple[int, bool]:
    """Return the number of the last order that has a fence (-1: none), and whether a shim has made it.

    What akjobd denies or withdraws is a link. The folder is read once: a shim may make a fence at any moment.
    """
    try:
        found = fences(os.listdir(folder))
    except FileNotFoundError:
        found = []
    last = max([int(name.rpartition(".")[2]) for name in found], default=-1)
    return last, any(name.endswith(f".{last}") and not os.path.islink(f"{folder}/{name}") for name in found)


def deny(folder: str, order: int) -> bool:
    """Make the fence so that no shim may ever start this order. False: a shim was first. Raises OSError: not made.

    An order may be with a shim of version 1 still, which knows one of the two names alone.
    """
    for name in (FENCE, FENCE_VERSION_1):
        try:
            os.symlink(NO_SHIM, f"{folder}/{name}{order}")
        except FileExistsError:
            if not os.path.islink(f"{folder}/{name}{order}"):
                return False
    return True


def withdraw(folder: str, order: int) -> None:
    """Take the fence from a shim that was called back and is gone: the next order has the next number."""
    for name in (FENCE, FENCE_VERSION_1):
        temporary = f"{folder}/.{name}{order}"
        if os.path.lexists(temporary):
            os.unlink(temporary)
        os.symlink(NO_SHIM, temporary)
        os.rename(temporary, f"{folder}/{name}{order}")


def write_end(folder: str, lock: int, data: bytes) -> None:
    """Write ``end.json``, whole or not at all. Raises OSError; then call it again."""
    view = memoryview(data)
    while view:
        view = view[os.pwrite(lock, view, len(data) - len(view)) :]
    os.ftruncate(lock, len(data))
    try:
        os.link(f"{folder}/{LOCK}", f"{folder}/{END}")
    except FileExistsError:  # of an order that was called back, and could not be put away
        os.unlink(f"{folder}/{END}")
        os.link(f"{folder}/{LOCK}", f"{folder}/{END}")


def put_away(folder: str) -> None:
    """Remove what a shim that was called back has left, so that the next order finds none of it. Raises OSError."""
    for name in (END, STOP, LOCK):
        try:
            os.unlink(f"{folder}/{name}")
        except FileNotFoundError:
            continue


def stop_text(state: str, reason: str, *, kill: bool) -> bytes:
    """Write what ``stop`` holds: the state that the run gets, how it ends, why."""
    return f"{state}\n{'kill' if kill else 'term'}\n{reason}".encode("utf-8", "replace")


def read_stop(folder: str) -> tuple[str, str, bool] | None:
    """Return (state, reason, kill at once) that akjobd wrote, or None."""
    try:
        with open(f"{folder}/{STOP}", "rb") as file:
            state, how, reason = file.read().decode("utf-8", "replace").split("\n", 2)
    except (OSError, ValueError):
        return None
    return state, reason, how == "kill"
