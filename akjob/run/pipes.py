"""The pipes on which the job's output arrives, as lines of the log up to ``output_limit``.

Part of the zygote: it imports next to nothing.
"""

from __future__ import annotations

import os
import time

from akjob.log.line.output import Stream

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from akjob.log.line.sender import Sender

_READ = 1 << 18
_PROGRESS_S = 0.1


class Pipes:
    """stdout and stderr of a job. ``open`` maps each descriptor that is still open to its stream.

    ``due`` is when :meth:`show_progress` has something to do, a reading of the steady clock.
    ``dropped`` counts the bytes beyond ``limit``; ``on_limit`` is called once, before the first of them is dropped.
    """

    def __init__(self, names: str, sender: Sender, limit: int, on_limit: Callable[[], None]) -> None:
        self.open: dict[int, Stream] = {}
        self.dropped = 0
        self.due: float | None = None
        self._names = names
        self._limit = limit
        self._kept = 0
        self._on_limit = on_limit
        self._sender = sender

    def make(self) -> tuple[int, int]:
        """Make both pipes; return the job's ends."""
        out, out_end = os.pipe2(os.O_CLOEXEC)
        err, err_end = os.pipe2(os.O_CLOEXEC)
        self.open = {out: Stream("stdout", self._names), err: Stream("stderr", self._names)}
        for fd in self.open:
            os.set_blocking(fd, False)
        return out_end, err_end

    def abandon(self) -> None:
        """Close our ends in a job, which has the others."""
        for fd in self.open:
            os.close(fd)

    def read(self, fd: int) -> bool:
        """Read once from one of the pipes. Return False if there is nothing (more) to read now."""
        try:
            data = os.read(fd, _READ)
        except BlockingIOError:
            return False
        except OSError:
            data = b""
        if not data:
            self._close(fd)
            return False
        kept = self._within_limit(data)
        if kept:
            self._put(self.open[fd].feed(kept, self._sender.next_seq, time.time_ns()))
            if self.due is None and self.open[fd].shows_progress:
                self.due = time.monotonic() + _PROGRESS_S
        if len(kept) < len(data):
            self._drop(len(data) - len(kept))
        return True

    def show_progress(self, now: float) -> None:
        """Put unfinished lines that are written over and over on the log, some ten times a second at most."""
        if self.due is None or now < self.due:
            return
        self.due = None
        for stream in self.open.values():
            if stream.shows_progress:
                self._put(stream.so_far(self._sender.next_seq, time.time_ns()))

    def drain(self) -> None:
        """Read both to their end, as far as the log takes it, and close them.

        Nothing of the run lives: an end that is still open is held by a process that is not the run's.
        """
        for fd in list(self.open):
            while not self._sender.full:
                if not self.read(fd):
                    if fd in self.open:
                        self._close(fd)
                    break

    def _within_limit(self, data: bytes) -> bytes:
        kept = data[: max(0, self._limit - self._kept)]
        self._kept += len(kept)
        return kept

    def _drop(self, size: int) -> None:
        if not self.dropped:
            for stream in self.open.values():
                self._end_line(stream)
            self._on_limit()
        self.dropped += size

    def _close(self, fd: int) -> None:
        self._end_line(self.open.pop(fd))
        os.close(fd)

    def _end_line(self, stream: Stream) -> None:
        """Put what a stream has kept of an unfinished line on the log."""
        self._put(stream.end(self._sender.next_seq, time.time_ns()))

    def _put(self, lines: tuple[bytes, int]) -> None:
        if lines[1]:
            self._sender.put(*lines, time.monotonic())
