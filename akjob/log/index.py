"""Where the lines of each run are: one text file next to each file of the log.

``OFFSET LENGTH RUN JOB`` says that between these bytes of the log stand lines of that run, possibly with others
between them (gaps of up to GAP bytes are bridged, so that many runs at once don't make the index as long as the log).
``-`` stands for no run, or no job. ``=OFFSET`` says that everything before that offset of the log is in the index.

The log is the truth, the index follows it: it is written a segment at a time, after the log; what is behind
its last ``=OFFSET`` line is found by reading that part of the log. A lost index costs time, never lines.
"""

import mmap
import os
import re
from collections.abc import Iterable, Iterator

from msgspec import Struct

from akjob.processes import identity

SEGMENT = 4 << 20
"""Bytes of the log after which the index is written: what a reader must look through at most."""

GAP = 32 << 10
"""Lines of a run that are so near to each other are in one extent."""

_RUN = re.compile(rb'"run":"([^"\\\s]+)"')
_JOB = re.compile(rb'"job":"([^"\\\s]+)"')


class Extent(Struct, frozen=True):
    """``length`` bytes from ``offset`` on: whole lines."""

    offset: int
    length: int


def key_of(run: str | None, job: str | None) -> bytes:
    """Return the end of an index line, made once for each connection. The names hold no white space."""
    return f" {run or '-'} {job or '-'}\n".encode()


def key_of_line(line: bytes) -> bytes:
    """Return the end of the index line of one log line, by what is in it.

    A quote inside a JSON string is escaped, so these patterns are found as keys only.
    """
    run, job = _RUN.search(line), _JOB.search(line)
    return b" %b %b\n" % (run[1] if run else b"-", job[1] if job else b"-")


class IndexWriter:
    """Keeps the index of the file that is written. Costs one dictionary look-up a chunk of lines."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o640)
        self._good = self._recover()
        self._open: dict[bytes, list[int]] = {}
        self._done: list[tuple[int, int, bytes]] = []
        self._flush_at = self.covered + SEGMENT
        self._broken = False

    def _recover(self) -> int:
        """Cut off what is behind the last checkpoint; return the size that is left."""
        content = os.pread(self._fd, os.fstat(self._fd).st_size, 0)
        self.covered, good = _checkpoint(content)
        os.ftruncate(self._fd, good)
        os.lseek(self._fd, good, os.SEEK_SET)
        return good

    def is_in_place(self) -> bool:
        """Return True if the file that is written is the one at its path."""
        return identity(self._path) == identity(self._fd)

    def clear(self) -> None:
        """Begin again: the index does not belong to the log as it is."""
        os.ftruncate(self._fd, 0)
        os.lseek(self._fd, 0, os.SEEK_SET)
        self._good = self.covered = 0
        self._flush_at = SEGMENT

    def catch_up(self, log_fd: int, size: int) -> None:
        """Read what the log holds, up to ``size``, and the index does not."""
        for offset, chunk in _chunks(log_fd, self.covered, size):
            self.add_lines(offset, chunk)

    def add_lines(self, offset: int, chunk: bytes) -> None:
        """Note whole lines, by what is in them."""
        for line in chunk[:-1].split(b"\n"):
            self.add(key_of_line(line), offset, len(line) + 1)
            offset += len(line) + 1

    def add(self, key: bytes, offset: int, length: int) -> None:
        """Note ``length`` bytes of whole lines of one run, written at the end of the log."""
        end = offset + length
        extent = self._open.get(key)
        if extent is None:
            self._open[key] = [offset, end]
        elif offset - extent[1] <= GAP:
            extent[1] = end
        else:
            self._done.append((extent[0], extent[1], key))
            self._open[key] = [offset, end]
        if end >= self._flush_at:
            self.flush(end)

    def flush(self, end: int) -> None:
        """Write what is known, and that it is all up to ``end``. After a failure readers look through the rest."""
        self._flush_at = end + SEGMENT
        if end <= self.covered:
            return
        extents = sorted(self._done + [(start, stop, key) for key, (start, stop) in self._open.items()])
        self._done.clear()
        self._open.clear()
        if self._broken:
            return
        data = b"".join([b"%d %d%b" % (start, stop - start, key) for start, stop, key in extents]) + b"=%d\n" % end
        try:
            if os.write(self._fd, data) < len(data):
                self._fail()
                return
        except OSError:
            self._fail()
            return
        self._good += len(data)
        self.covered = end

    def _fail(self) -> None:
        self._broken = True
        os.ftruncate(self._fd, self._good)

    def close(self) -> None:
        """Close the file; :meth:`flush` first."""
        os.close(self._fd)


def lookup(path: str, *, run: str | None = None, job: str | None = None) -> tuple[list[Extent], int]:
    """Return where a run's, or a job's, lines are, in order, and up to which offset the log is indexed.

    ``([], 0)`` when there is no index.
    """
    try:
        with open(path, "rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
            covered, good = _checkpoint(content)
            if run is not None:
                return merge(_matching(content, f" {run} ".encode(), 2, good)), covered
            return merge(_matching(content, f" {job}\n".encode(), 3, good)), covered
    except (FileNotFoundError, ValueError):  # an empty file cannot be mapped
        return [], 0


def _matching(content: mmap.mmap, wanted: bytes, before: int, end: int) -> Iterator[tuple[int, int]]:
    """Yield (start, end) of the lines of the index with ``before`` fields in front of ``wanted``."""
    position = content.find(wanted, 0, end)
    while position >= 0:
        start = content.rfind(b"\n", 0, position) + 1
        fields = content[start:position].split()
        if len(fields) == before:
            yield int(fields[0]), int(fields[0]) + int(fields[1])
        position = content.find(wanted, position + 1, end)


def merge(extents: Iterable[tuple[int, int]]) -> list[Extent]:
    """Return the union of (start, end) pairs, in order, each byte once."""
    out: list[list[int]] = []
    for start, end in sorted(extents):
        if out and start <= out[-1][1]:
            out[-1][1] = max(out[-1][1], end)
        else:
            out.append([start, end])
    return [Extent(start, end - start) for start, end in out]


def _checkpoint(content: bytes | mmap.mmap) -> tuple[int, int]:
    """Return the offset that the last complete ``=OFFSET`` line tells, and where that line ends; (0, 0) without one."""
    end = content.rfind(b"\n") + 1
    while end:
        start = content.rfind(b"\n", 0, end - 1) + 1
        if content[start : start + 1] == b"=" and content[start + 1 : end - 1].isdigit():
            return int(content[start + 1 : end - 1]), end
        end = start
    return 0, 0


def _chunks(fd: int, start: int, end: int) -> Iterator[tuple[int, bytes]]:
    """Read whole lines between two offsets, some MiB at a time; an incomplete line at the end is left out."""
    size = 4 << 20
    while start < end:
        chunk = os.pread(fd, min(size, end - start), start)
        cut = chunk.rfind(b"\n") + 1
        if cut:
            yield start, chunk[:cut]
            start += cut
            size = 4 << 20
        elif start + len(chunk) >= end or not chunk:
            return
        else:
            size *= 2
