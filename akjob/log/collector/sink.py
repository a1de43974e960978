"""Where the collector writes: the current log file with its rotation and its index, or standard output."""

import contextlib
import os
from datetime import datetime, timedelta, tzinfo
from typing import Protocol

import msgspec

from akjob import instants
from akjob.log import files
from akjob.log.index import IndexWriter
from akjob.log.line import head

MODE = 0o640
_COPIED = 1 << 20
_TRY_AGAIN_US = 60 * instants.SECOND


def event_line(now_us: int, level: str, event: str, **fields: object) -> bytes:
    """Make one finished line of the collector's own."""
    return msgspec.json.encode(head.fields(now_us * 1000, level, event, "collector") | fields) + b"\n"


def local_date(now_us: int, zone: tzinfo) -> str:
    """Return the local calendar day of an instant, ISO 8601."""
    return instants.to_datetime(now_us).astimezone(zone).date().isoformat()


def next_midnight(now_us: int, zone: tzinfo) -> int:
    """Return the first instant of the next local day, also where that day begins at 01:00, or 00:00 comes twice."""
    today = instants.to_datetime(now_us).astimezone(zone).date()
    # fold=0: of two midnights the first; a midnight that a gap swallowed counts with the offset before the gap,
    # which is the instant at which the gap ends.
    midnight = datetime.combine(today + timedelta(days=1), datetime.min.time(), tzinfo=zone)
    return instants.from_datetime(midnight)


class Sink(Protocol):
    """What the collector's loop asks of the place that it writes to. Whatever the disk refuses is an OSError."""

    rotations: int
    """How many files were begun; a change means that there may be something to compress."""
    trouble: str
    """What went wrong that cost no line, for standard error; empty again once it is said."""
    waiting: bool
    """Return whether :meth:`append` waits for another program just now."""

    def open(self, now_us: int) -> None:
        """Get ready."""

    def append(self, data: memoryview | bytes, key: bytes | None, now_us: int) -> None:
        """Write whole lines; all or none. ``key`` is an index key, None where the lines say whose they are."""

    def reopen(self, now_us: int) -> None:
        """Begin a new file if another program renamed the old one."""

    def restore(self, now_us: int) -> str:
        """Make again what is not in its place any more; return its path, or nothing where all is in its place."""

    def rotate_if_due(self, now_us: int) -> None:
        """Rotate if it is time, although nothing is written."""

    def due_us(self) -> int | None:
        """Return when :meth:`rotate_if_due` has something to do; None for never."""

    def sync_fds(self) -> list[int]:
        """Return descriptors to call fdatasync on and to close."""

    def close(self) -> None:
        """Write the rest of the index, and close."""


class FileSink:
    """``akjob.jsonl``, its rotation and its index. After an OSError the file ends where it ended before."""

    def __init__(self, log_dir: str, zone: tzinfo, max_size: int) -> None:
        self.path = os.path.join(log_dir, files.CURRENT)
        self.rotations = 0
        self.trouble = ""
        self.waiting = False
        self._log_dir = log_dir
        self._zone = zone
        self._max_size = max_size
        self._fd = -1
        self._size = 0
        self._known_size = 0  # when the file was last seen in its place
        self._date = ""
        self._day_ends_us = 0
        self._not_before_us = 0
        self._index: IndexWriter | None = None
        self._unsynced: list[int] = []

    def open(self, now_us: int) -> None:
        """Open, or make, the current file; end a line that a crash tore; bring the index up to date."""
        os.makedirs(os.path.join(self._log_dir, files.INDEX), mode=0o750, exist_ok=True)
        fd = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, MODE)
        try:
            size = os.fstat(fd).st_size
            if size and os.pread(fd, 1, size - 1) != b"\n":
                # No reader takes a torn line for one, and its sender sends it again: it was not acknowledged.
                _write_all(fd, b"\n", size)
                size += 1
            if not size:
                first = event_line(now_us, "info", "collector.opened", file=files.CURRENT, pid=os.getpid())
                _write_all(fd, first, 0)
                size = len(first)
            self._take(fd, size, now_us)
        except BaseException:
            os.close(fd)
            raise
        self._finish_rotation(now_us)

    def _take(self, fd: int, size: int, now_us: int) -> None:
        head = os.pread(fd, 4096, 0)
        today = local_date(now_us, self._zone)
        self._fd, self._size = fd, size
        self._date = _first_date(head, self._zone) or today
        self._day_ends_us = now_us if self._date < today else next_midnight(now_us, self._zone)
        self._known_size = size
        self._index = None
        mark = files.fingerprint(head)
        if mark is None:
            return
        try:
            index = IndexWriter(files.index_path(self._log_dir, mark))
            if index.covered > size:
                index.clear()
            index.catch_up(fd, size)
        except OSError as error:  # costs readers time, must not cost lines
            self.trouble = f"no index for {self.path}: {error}; reading a run back takes longer"
            return
        self._index = index

    def _finish_rotation(self, now_us: int) -> None:
        """End a rotation that was cut short between its two steps: the current file has its final name already."""
        if os.fstat(self._fd).st_nlink == 1:
            return
        own = _identity(self._fd)
        for file in files.finished(self._log_dir):
            if _identity(file.path) == own:
                self._begin(now_us, os.path.basename(file.path), "restart")
                return

    def append(self, data: memoryview | bytes, key: bytes | None, now_us: int) -> None:
        """See :class:`Sink`."""
        length = len(data)
        if now_us >= self._day_ends_us or self._size + length > self._max_size:
            self._rotate_if_due(now_us, length)
        offset = self._size
        _write_all(self._fd, data, offset)
        self._size = offset + length
        if self._index is None:
            return
        if key is None:
            self._index.add_lines(offset, bytes(data))
        else:
            self._index.add(key, offset, length)

    def _rotate_if_due(self, now_us: int, length: int) -> None:
        if now_us < self._not_before_us:
            return
        if self._date < local_date(now_us, self._zone):
            reason = "day"
        elif length and self._size + length > self._max_size:
            reason = "size"
        else:  # the clock was set back into the file's own day
            self._day_ends_us = next_midnight(now_us, self._zone)
            return
        name = files.file_name(self._date, files.next_number(self._log_dir, self._date))
        try:
            os.link(self.path, os.path.join(self._log_dir, name))  # fails rather than replace a file
            self._begin(now_us, name, reason)
        except OSError as error:
            self._not_before_us = now_us + _TRY_AGAIN_US
            self.trouble = (
                f"cannot rotate {self.path} to {name}: {error}; going on in the same file, next try in a minute"
            )

    def _begin(self, now_us: int, name: str, reason: str) -> None:
        """Put a fresh file in the place of the current one, which is called ``name`` by now."""
        first = event_line(now_us, "info", "collector.rotated", file=name, reason=reason, bytes=self._size)
        fresh = self.path + ".new"
        fd = os.open(fresh, os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND | os.O_CLOEXEC, MODE)
        try:
            _write_all(fd, first, 0)
            os.rename(fresh, self.path)
        except OSError:
            os.close(fd)
            with contextlib.suppress(OSError):
                os.unlink(fresh)
            with contextlib.suppress(OSError):
                os.unlink(os.path.join(self._log_dir, name))  # its other name, akjob.jsonl, is still there
            raise
        self._let_go()
        self._take(fd, len(first), now_us)
        self.rotations += 1

    def _let_go(self) -> None:
        if self._index is not None:
            self._index.flush(self._size)
            self._index.close()
            self._index = None
        self._unsynced.append(self._fd)
        self._fd = -1

    def reopen(self, now_us: int) -> None:
        """See :class:`Sink`. A file that was cut short in place (``copytruncate``) is taken as it is now."""
        if _identity(self.path) == _identity(self._fd) and os.fstat(self._fd).st_size == self._size:
            return
        self._let_go()
        self.open(now_us)
        self.rotations += 1

    def restore(self, now_us: int) -> str:
        """See :class:`Sink`. What was written since the last call goes into the new file as well."""
        in_place = _identity(self.path) == _identity(self._fd)
        if in_place and os.fstat(self._fd).st_size == self._size and (self._index is None or self._index.is_in_place()):
            self._known_size = self._size
            return ""
        old, begin, end = self._fd, self._known_size, self._size
        missing = self.path if not in_place else files.INDEX
        self._let_go()
        self.open(now_us)
        while not in_place and begin < end:
            chunk = os.pread(old, min(_COPIED, end - begin), begin)
            if not chunk:
                break
            self.append(chunk, None, now_us)
            begin += len(chunk)
        self._known_size = self._size
        self.rotations += 1
        return missing

    def rotate_if_due(self, now_us: int) -> None:
        """See :class:`Sink`."""
        if now_us >= self._day_ends_us:
            self._rotate_if_due(now_us, 0)

    def due_us(self) -> int | None:
        """See :class:`Sink`."""
        return max(self._day_ends_us, self._not_before_us)

    def sync_fds(self) -> list[int]:
        """See :class:`Sink`: the current file, and those finished since the last call."""
        fds = [*self._unsynced, os.dup(self._fd)]
        self._unsynced.clear()
        return fds

    def close(self) -> None:
        """See :class:`Sink`."""
        if self._fd >= 0:
            self._let_go()
        for fd in self._unsynced:
            os.close(fd)
        self._unsynced.clear()


class StdoutSink:
    """Standard output, for containers and journald.

    While its reader does not read, the collector waits with it and acknowledges nothing: the senders spool.
    """

    def __init__(self, fd: int = 1) -> None:
        self.rotations = 0
        self.trouble = ""
        self.waiting = False
        self._fd = fd

    def open(self, now_us: int) -> None:
        """See :class:`Sink`. Nothing to get ready."""

    def append(self, data: memoryview | bytes, key: bytes | None, now_us: int) -> None:  # noqa: ARG002
        """See :class:`Sink`. Only the process's end can tear a line, which is sent again."""
        view = memoryview(data)
        self.waiting = True
        try:
            while view:
                view = view[os.write(self._fd, view) :]
        finally:
            self.waiting = False

    def reopen(self, now_us: int) -> None:
        """See :class:`Sink`. Standard output has no other name."""

    def restore(self, now_us: int) -> str:  # noqa: ARG002
        """See :class:`Sink`. Standard output has no path."""
        return ""

    def rotate_if_due(self, now_us: int) -> None:
        """See :class:`Sink`. The reader of standard output rotates."""

    def due_us(self) -> int | None:
        """See :class:`Sink`."""
        return None

    def sync_fds(self) -> list[int]:
        """See :class:`Sink`. Behind a pipe nothing can be synced."""
        return []

    def close(self) -> None:
        """See :class:`Sink`."""


def _write_all(fd: int, data: memoryview | bytes, size: int) -> None:
    """Append; when the disk takes a part only, cut the file back to ``size`` and raise the OSError."""
    written = 0
    try:
        written = os.write(fd, data)
        while written < len(data):
            written += os.write(fd, memoryview(data)[written:])
    except OSError:
        if written:
            os.ftruncate(fd, size)
        raise


def _identity(path_or_fd: str | int) -> tuple[int, int] | None:
    try:
        status = os.stat(path_or_fd)
    except FileNotFoundError:
        return None
    return status.st_dev, status.st_ino


def _first_date(head: bytes, zone: tzinfo) -> str | None:
    """Return the local date of a file's first line; None where it tells none."""
    try:
        first = msgspec.json.decode(head.partition(b"\n")[0])
        return local_date(instants.from_text(first["timestamp"]), zone)
    except (ValueError, KeyError, TypeError):
        return None
