"""The files of a run, ``var/runs/<run id>/``: the shim's truth, which outlives every other process.

| file | written by | meaning |
|---|---|---|
| ``lock`` | shim | a record lock that only the shim holds, as long as it looks after this run; text: see :func:`note` |
| ``right.N`` | whoever is first | to start order N: the lock once more, or akjobd's symlink: nobody does (any more) |
| ``stop`` | akjobd | why the run is to end: state, ``term`` or ``kill``, reason; the shim is then sent its signal |
| ``end.json`` | shim | what came of the run: the lock once more, with this for its text |
| ``spool`` | shim | log lines that the collector has not acknowledged |

``lock``, ``right.N`` and ``end.json`` are one file under three names: to make a file costs some file systems a tenth of
a millisecond, a name next to nothing.

Part of the zygote: it imports next to nothing.
"""

from __future__ import annotations

import errno
import fcntl
import os

LOCK = "lock"
RIGHT = "right."
NOBODY = "akjobd"
STOP = "stop"
END = "end.json"
SPOOL = "spool"

NOTE = 64
"""Bytes of the lock that are its note; what follows is of a run before."""


def make(folder: str, spares: str = "") -> None:
    """Make the folder, for its owner alone; it may be there already. One of ``spares`` is taken if there is any."""
    try:
        for name in os.listdir(spares) if spares else ():
            try:
                os.rename(f"{spares}/{name}", folder)
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


def begin(folder: str, order: int, bell: int) -> int | None:
    """Take the shim's lock until the descriptor is closed, and the right to start this order; return the descriptor.

    None: somebody was first with the right. What the shim of another order has written is left alone then: it may be
    the run's end. Raises OSError, also when another shim has the lock.
    """
    fd = os.open(f"{folder}/{LOCK}", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.lockf(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        fresh = not os.fstat(fd).st_size
        if fresh:
            note(fd, 0, 0, bell)  # a full disk must be found now, not when the job runs
        if _take_right(folder, order):
            if not fresh:
                _note_or_give_back(fd, bell, f"{folder}/{RIGHT}{order}")
            return fd
    except OSError:
        os.close(fd)
        raise
    os.close(fd)
    return None


def _take_right(folder: str, order: int) -> bool:
    try:
        os.link(f"{folder}/{LOCK}", f"{folder}/{RIGHT}{order}")
    except FileExistsError:
        return False
    return True


def _note_or_give_back(lock: int, bell: int, right: str) -> None:
    try:
        note(lock, 0, 0, bell)
    except OSError:  # some file systems need room for what is written over as well
        os.unlink(right)
        raise


def note(lock: int, pid: int, started_us: int, bell: int) -> None:
    """Note the job's pid, when it began (µs, 0 before) and the signal that makes the shim look for ``stop``.

    A shim of a version before has no third number: its signal is SIGTERM.
    """
    os.pwrite(lock, (b"%d %d %d" % (pid, started_us, bell)).ljust(NOTE - 1) + b"\n", 0)


def put_by(folder: str, spare: str) -> None:
    """Make the folder of a run that is over, and its lock, a spare one. Raises OSError when that is not to be.

    That is for runs whose first order was taken and came to an end. After any other a shim may still come for an order
    that was denied, and must find that it was; and the lock of one that was lost has a note that looks like a true one.
    """
    names = os.listdir(folder)
    if SPOOL in names:
        raise OSError(errno.EBUSY, "its spool is still to be read in", folder)
    if END not in names or f"{RIGHT}0" not in names or f"{RIGHT}1" in names:
        raise OSError(errno.EINVAL, "it was not simply begun and ended", folder)
    for name in (f"{RIGHT}0", END):
        if not os.path.samefile(f"{folder}/{name}", f"{folder}/{LOCK}"):
            raise OSError(errno.EINVAL, "its end is not in its lock", folder)
    for name in names:
        if name != LOCK:
            os.unlink(f"{folder}/{name}")
    os.rename(folder, spare)


def remove(folder: str) -> bool:
    """Remove the folder of a run that is over. False: it has a spool that the collector must read in before."""
    names = os.listdir(folder)
    if SPOOL in names:
        return False
    for name in names:
        os.unlink(f"{folder}/{name}")
    os.rmdir(folder)
    return True


def deny_right(folder: str, order: int) -> bool:
    """Say that this order is never to be started. False: a shim was first. Raises OSError: it is not said."""
    try:
        os.symlink(NOBODY, f"{folder}/{RIGHT}{order}")
    except FileExistsError:
        return False
    return True


def withdraw_right(folder: str, order: int) -> None:
    """Take back the right from a shim that was called back and is gone: the next order has the next number."""
    temporary = f"{folder}/.{RIGHT}{order}"
    if os.path.lexists(temporary):
        os.unlink(temporary)
    os.symlink(NOBODY, temporary)
    os.rename(temporary, f"{folder}/{RIGHT}{order}")


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
