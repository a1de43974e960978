"""The files of a run, ``var/runs/<run id>/``: the shim's truth, which outlives every other process.

| file | written by | meaning |
|---|---|---|
| ``lock`` | shim | a record lock that only the shim holds, as long as it looks after this run; text: see :func:`note` |
| ``right.N`` | whoever is first | to start order N: a shim's file, or akjobd's link, and nobody starts it (any more) |
| ``stop`` | akjobd | why the run is to end: state, ``term`` or ``kill``, reason; the shim is then sent its signal |
| ``end.json`` | shim | what came of the run |
| ``spool`` | shim | log lines that the collector has not acknowledged |

Part of the zygote: it imports next to nothing.
"""

from __future__ import annotations

import fcntl
import os

LOCK = "lock"
RIGHT = "right."
NOBODY = "akjobd"
STOP = "stop"
END = "end.json"
SPOOL = "spool"

_NOTE_ROOM = 64


def make(folder: str) -> None:
    """Make the folder, for its owner alone; it may be there already."""
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


def take_lock(folder: str, bell: int) -> int:
    """Take the shim's lock until the descriptor is closed, and return that. Raises OSError, also if it is held."""
    fd = os.open(f"{folder}/{LOCK}", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.lockf(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        note(fd, 0, 0, bell)  # a full disk must be found now, not when the job runs
    except OSError:
        os.close(fd)
        raise
    return fd


def note(lock: int, pid: int, started_us: int, bell: int) -> None:
    """Note the job's pid, when it began (µs, 0 before) and the signal that makes the shim look for ``stop``.

    A shim of a version before has no third number: its signal is SIGTERM.
    """
    os.pwrite(lock, (b"%d %d %d" % (pid, started_us, bell)).ljust(_NOTE_ROOM - 1) + b"\n", 0)


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


def take_right(folder: str, order: int) -> bool:
    """Take the right to start this order. False: somebody was first."""
    try:
        fd = os.open(f"{folder}/{RIGHT}{order}", os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    except FileExistsError:
        return False
    os.close(fd)
    return True


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
