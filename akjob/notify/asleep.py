"""What akjob-notify is while it has no channel: a process that waits for a first channel or ping, and no more.

A whole program with the ledger open would be too much for that. So akjob-notify becomes this one by execve(2), with the
same process id and the same lock, and becomes itself again once the settings are written or a job file mentions a ping.
It runs as ``python -I -S`` and imports next to nothing.
"""

import ctypes
import os
import select
import sys
from contextlib import suppress
from pathlib import Path

import akjob
from akjob.inotify import GONE, Inotify

_PR_SET_NAME = 15
_SETTLE_S = 0.5
_LOOK_S = 3600  # a change without an event, such as one on a network file system, is seen within the hour
_BLIND_S = 60  # where there is no inotify, or its watches are used up
_LARGEST = 1 << 20  # bytes; a larger file is not a job
_BETWEEN = b" \t\"'"  # what TOML allows around the dots and the end of a key
_BOOT = "import sys; sys.path.insert(0, {home!r}); from akjob.notify import asleep; asleep.main(*sys.argv[1:])"


def fall_asleep(lock: int, root: Path, seen: str) -> None:
    """Become this process. ``lock`` is the descriptor that holds the program's lock, ``seen`` the settings' stamp."""
    os.set_inheritable(lock, True)
    boot = _BOOT.format(home=os.path.dirname(os.path.dirname(akjob.__file__)))
    again = [sys.executable, *sys.orig_argv[1:]]
    os.execv(sys.executable, [sys.executable, "-I", "-S", "-c", boot, str(lock), str(root), seen, *again])  # noqa: S606


def main(lock: str, root: str, seen: str, *command: str) -> None:
    """Sleep, then become the program of ``command``, which takes its lock again."""
    ctypes.CDLL(None).prctl(_PR_SET_NAME, b"akjob-notify", 0, 0, 0)
    try:
        while _sleep(Path(root), seen, int(lock)):
            pass
    except KeyboardInterrupt:
        sys.exit(0)
    os.set_inheritable(int(lock), False)
    os.execv(command[0], command)  # noqa: S606 - the program that this was


def _sleep(root: Path, seen: str, lock: int) -> bool:
    """Wait for a possible reason to wake up. Return True if the only news is that there are new folders to watch.

    That the lock was removed is a reason: the program that this was makes it again.
    """
    own = (root / "var" / "run" / "notify").with_suffix(".lock")
    settings, jobs_d = root / "etc" / "akjob.toml", root / "jobs.d"
    folders = [Path(place) for place, _, _ in os.walk(jobs_d)]
    try:
        watch = Inotify([root, *([settings.parent] if settings.parent.is_dir() else []), *folders])
    except OSError:
        select.select([], [], [], _BLIND_S)
        return False
    try:
        place = Inotify([own, own.parent], GONE)
    except OSError:
        watch.close()
        return _is_lost(own, lock)
    try:
        if stamp(settings) != seen or has_pings(jobs_d):  # written before they were watched
            return False
        poll = select.poll()
        poll.register(watch, select.POLLIN)
        poll.register(place, select.POLLIN)
        while poll.poll(_LOOK_S * 1000):
            if place.changed() and _is_lost(own, lock):
                return False
            changed = watch.changed()
            if settings in changed or any(map(_mentions_ping, changed)):
                return False
            if any(path.is_dir() for path in changed):
                return True
        return False
    finally:
        watch.close()
        place.close()


def _is_lost(own: Path, lock: int) -> bool:
    """Return True, and say so, if the file at the lock's path is not the one that is locked; a moment later."""
    select.select([], [], [], _SETTLE_S)  # what removes one thing is about to remove the next
    held = os.fstat(lock)
    with suppress(OSError):
        found = os.stat(own)
        if (found.st_dev, found.st_ino) == (held.st_dev, held.st_ino):
            return False
    sys.stderr.write(f"akjob-notify: {own}: another program removed or replaced it; it is made again\n")
    return True


def stamp(file: Path) -> str:
    """Return what tells a file's content from one that is written later; empty where there is no file."""
    try:
        found = file.stat()
    except OSError:
        return ""
    return f"{found.st_mtime_ns}-{found.st_size}-{found.st_ino}"


def has_pings(jobs_d: Path) -> bool:
    """Return True if a job file may have a ping: it holds the word where a key may be, not within a URL."""
    return any(_mentions_ping(Path(place, file)) for place, _, files in os.walk(jobs_d) for file in files)


def _mentions_ping(file: Path) -> bool:
    if file.suffix != ".toml":
        return False
    try:
        with open(file, "rb", opener=lambda name, flags: os.open(name, flags | os.O_NONBLOCK)) as opened:
            return _has_key(opened.read(_LARGEST))
    except OSError:
        return False


def _has_key(text: bytes) -> bool:
    for rest in text.split(b"ping")[1:]:
        after = rest.lstrip(_BETWEEN)
        dotted = after.startswith(b".") and after[1:].lstrip(_BETWEEN).startswith((b"url", b"style"))
        if dotted or after.startswith((b"=", b"]")):
            return True
    return False
