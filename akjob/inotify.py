"""Waking up when files in some folders are written, made, renamed or removed, or leave their place: inotify(7)."""

import ctypes
import os
import select
import struct
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Self

_IN_MODIFY, _IN_MOVED_TO, _IN_CREATE, _IN_DELETE = 0x2, 0x80, 0x100, 0x200
# Not IN_CLOSE_WRITE: SQLite opens its write-ahead log for writing to read it, so that a reader would wake itself up.
_IN_ATTRIB, _IN_DELETE_SELF, _IN_MOVE_SELF, _IN_IGNORED = 0x4, 0x400, 0x800, 0x8000
WRITTEN = _IN_MODIFY | _IN_MOVED_TO | _IN_CREATE | _IN_DELETE | _IN_MOVE_SELF
"""What happens to the files in a folder, and that it was renamed itself."""

GONE = _IN_DELETE_SELF | _IN_MOVE_SELF
"""What happens to a folder that is removed, and to a file, whose links become fewer although it is open."""
_HEAD = struct.Struct("iIII")
_READ = 1 << 16
_SHORT_S = 0.2


class Inotify:
    """Reports the files in some folders, not below them, that something happened to; with GONE the paths themselves.

    Raises OSError where there is no inotify, or its watches are used up.
    """

    def __init__(self, folders: Iterable[Path], events: int = WRITTEN) -> None:
        self._libc = ctypes.CDLL(None, use_errno=True)
        self._fd: int = self._libc.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC)
        if self._fd < 0:
            raise OSError(ctypes.get_errno(), "inotify cannot be used")
        self._events = events
        self.has_lost = False
        """True once a watched path was removed or renamed: what is at that path now is not watched."""
        self._folders: dict[int, Path] = {}
        try:
            for folder in folders:
                self.watch(folder)
        except OSError:
            os.close(self._fd)
            raise

    def watch(self, path: Path) -> None:
        """Watch what is at a path now, too; once is enough. Raises OSError."""
        # Of a folder IN_ATTRIB would tell for each file in it.
        events = self._events if self._events != GONE or path.is_dir() else self._events | _IN_ATTRIB
        descriptor = self._libc.inotify_add_watch(self._fd, os.fsencode(path), events)
        if descriptor < 0:
            raise OSError(ctypes.get_errno(), "inotify cannot watch it", str(path))
        self._folders[descriptor] = path

    def fileno(self) -> int:
        """Return the descriptor to wait for."""
        return self._fd

    def changed(self) -> set[Path]:
        """Return which files something happened to since the last call; the descriptor is quiet until the next."""
        found: set[Path] = set()
        with suppress(BlockingIOError):
            while True:
                found.update(self._files(os.read(self._fd, _READ)))
        return found

    def _files(self, data: bytes) -> Iterable[Path]:
        at = 0
        while at < len(data):
            descriptor, events, _, length = _HEAD.unpack_from(data, at)
            name = data[at + _HEAD.size : at + _HEAD.size + length].rstrip(b"\0")
            at += _HEAD.size + length
            self.has_lost = self.has_lost or bool(events & (_IN_IGNORED | _IN_MOVE_SELF))
            if descriptor in self._folders:
                yield self._folders[descriptor] / os.fsdecode(name)

    def close(self) -> None:
        """Stop watching."""
        os.close(self._fd)


class FolderWatch:
    """Waits until something in a folder changes, in short waits where there is no inotify. A context manager."""

    def __init__(self, folder: Path) -> None:
        self._inotify: Inotify | None = None
        with suppress(OSError):
            self._inotify = Inotify([folder])

    def fileno(self) -> int:
        """Return the descriptor to wait for among other things; -1 where nothing can be waited for."""
        return -1 if self._inotify is None else self._inotify.fileno()

    def wait(self, seconds: float | None) -> None:
        """Wait for a change since the last call, at most so long; may return early."""
        if self._inotify is None:
            select.select([], [], [], _SHORT_S if seconds is None else min(seconds, _SHORT_S))
            return
        poll = select.poll()
        poll.register(self._inotify, select.POLLIN)
        if poll.poll(None if seconds is None else seconds * 1000):
            self._inotify.changed()

    def drain(self) -> None:
        """Take note of what changed: the descriptor is quiet until something changes again."""
        if self._inotify is not None:
            self._inotify.changed()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._inotify is not None:
            self._inotify.close()
            self._inotify = None
