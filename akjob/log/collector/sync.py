"""Bringing what was written onto the disk: fdatasync in a thread, for it can take long."""

import contextlib
import os
import queue
import threading
import time
from collections.abc import Callable

_SYNC_S = 1.0


class Syncer:
    """Calls fdatasync within a second of a write, one round at a time. ``asked`` and ``done`` count the rounds.

    ``fds`` returns copies of the descriptors to sync; ``wake`` is called after each round, from the thread.
    """

    def __init__(self, fds: Callable[[], list[int]], wake: Callable[[], None]) -> None:
        self.asked = 0
        self.done = 0
        self.due: float | None = None
        """When a round is due, a reading of the steady clock."""
        self._is_dirty = False
        self._fds = fds
        self._wake = wake
        self._rounds: queue.SimpleQueue[list[int] | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._work, name="fdatasync", daemon=True)
        self._thread.start()

    def written(self) -> None:
        """Note that something was written."""
        self._is_dirty = True
        if self.due is None:
            self.due = time.monotonic() + _SYNC_S

    def step(self) -> None:
        """Begin the round that is due; where the one before is still under way, a second later."""
        self.due = None
        if self.done < self.asked:
            self.due = time.monotonic() + _SYNC_S
            return
        self.begin()

    def begin(self) -> int:
        """Begin a round now; return its number: ``done`` has it once it is over."""
        self._is_dirty = False
        self.asked += 1
        self._rounds.put(self._fds())
        return self.asked

    def finish(self, seconds: float) -> None:
        """Sync what is written; wait so long for it."""
        if self._is_dirty:
            self.begin()
        self._rounds.put(None)
        self._thread.join(seconds)

    def _work(self) -> None:
        while (fds := self._rounds.get()) is not None:
            for fd in fds:
                # The file system reports an error found here to the next writer, too.
                with contextlib.suppress(OSError):
                    os.fdatasync(fd)
                os.close(fd)
            self.done += 1
            self._wake()
