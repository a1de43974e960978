"""Waiting until something in a folder is written or renamed: inotify, or short waits where that cannot be had."""

import ctypes
import os
import select
from types import TracebackType
from typing import Self

_IN_MODIFY, _IN_MOVED_TO, _IN_CREATE = 0x2, 0x80, 0x100
_SHORT_S = 0.2


class Watch:
    """A context manager; :meth:`wait` returns when something changed since it was called last. May return early."""

    def __init__(self, folder: str) -> None:
        libc = ctypes.CDLL(None, use_errno=True)
        self._fd: int = libc.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC)
        mask = _IN_MODIFY | _IN_MOVED_TO | _IN_CREATE
        if self._fd >= 0 and libc.inotify_add_watch(self._fd, os.fsencode(folder), mask) < 0:
            os.close(self._fd)
            self._fd = -1

    def wait(self, seconds: float | None) -> None:
        """Wait for a change, at most so long."""
        if self._fd < 0:
            select.select([], [], [], _SHORT_S if seconds is None else min(seconds, _SHORT_S))
            return
        poll = select.poll()
        poll.register(self._fd, select.POLLIN)
        if poll.poll(None if seconds is None else seconds * 1000):
            os.read(self._fd, 1 << 16)

    def fileno(self) -> int:
        """Return the descriptor to wait for beside other things; -1 where nothing can be waited for."""
        return self._fd

    def drain(self) -> None:
        """Take note of what changed: the descriptor is quiet until something changes again."""
        while True:
            try:
                os.read(self._fd, 1 << 16)
            except OSError:  # nothing more
                return

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1
