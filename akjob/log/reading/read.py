"""Reading the log stream back: one run, one job or all, over rotated and archived files, each line once.

Lines of a run are in the files in the order of their numbers, copies aside: a sender begins again with the first
number that was not acknowledged, so a new line never comes before one with a smaller number. So nothing has to be
sorted, and a copy is a line whose number was there before.
"""

import base64
import contextlib
import gzip
import os
import re
import zlib
from bisect import bisect_left
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, TypedDict, Unpack

import msgspec
from msgspec import Struct

from akjob import instants
from akjob.config import Paths
from akjob.inotify import FolderWatch
from akjob.log import archive, files, index
from akjob.log.index import Extent
from akjob.log.reading.needle import holding
from akjob.log.reading.render import is_output, render

LEVELS = {"debug": 10, "info": 20, "warning": 30, "error": 40, "critical": 50}

_WINDOW = 1 << 20  # larger ones are slower: what is read leaves the processor's cache before it is searched
_STEP = 256 << 10
_PROBE = 64 << 10
_REMEMBERED = 8192
_RUNS_REMEMBERED = 100_000
_STAMP = b'{"timestamp":"'
_LOOK_S = 0.2

Line = dict[str, Any]


class LineFilter(TypedDict, total=False):
    """Which lines are read: those that fit all that is given and not None.

    ``level`` is the lowest one shown (a key of LEVELS), ``grep`` a regular expression that is searched for in the line
    as :func:`akjob.log.reading.render.render` shows it. A bad level raises KeyError, a bad pattern re.error.
    ``after`` leaves out the lines of ``run`` up to that number, and most of the reading of them. ``needle`` leaves out
    most lines that cannot fit a pattern, see :func:`akjob.log.reading.needle.needle_of`; the rest may fit or not.
    ``most_bytes`` ends the reading after so much, give or take a window.
    """

    job: str | None
    run: str | None
    since_us: int | None
    level: str | None
    grep: str | None
    after: int | None
    needle: bytes | None
    most_bytes: int | None


def lines(paths: Paths, **wanted: Unpack[LineFilter]) -> Iterator[Line]:
    """Yield the lines that are wanted, oldest first, each once. Torn lines are left out."""
    return _history(str(paths.log_dir), _Filter(**wanted))


def last(paths: Paths, count: int, **wanted: Unpack[LineFilter]) -> list[Line]:
    """Return the last ``count`` of what :func:`lines` yields, without reading what is before them.

    A copy counts as the line itself where that is before all these.
    """
    return _newest(str(paths.log_dir), _Filter(**wanted), count, None)


def follow(
    paths: Paths,
    *,
    history: bool = True,
    newest: int | None = None,
    stop: Callable[[], bool] | None = None,
    **wanted: Unpack[LineFilter],
) -> Iterator[Line]:
    """Yield what :func:`lines` does (nothing of the past if ``history`` is false), then what is added, over rotations.

    With ``newest`` it begins with so many lines, as :func:`last` has them. Sleeps until something is written. ``stop``
    is asked some times a second and ends it once everything written is yielded.
    """
    fits = _Filter(**wanted)
    log_dir = str(paths.log_dir)
    with FolderWatch(paths.log_dir) as watch:
        tail = _Tail(log_dir)
        try:
            if newest is not None:
                yield from _newest(log_dir, fits, newest, tail)
            elif history:
                yield from _history(log_dir, fits, until=tail)
            while True:
                ending = stop is not None and stop()
                for chunk in tail.chunks():
                    yield from fits.pick(chunk)
                if ending:
                    return
                watch.wait(_LOOK_S if stop is not None or tail.lost else None)
        finally:
            tail.close()


def choose(found: Iterable[Line], **wanted: Unpack[LineFilter]) -> Iterator[Line]:
    """Yield those of some lines, of which there are no copies, that are wanted."""
    return filter(_Filter(**wanted).wants, found)


def printed(found: Iterable[Line], stream: str | None = None) -> Iterator[bytes]:
    """Yield what a run printed, byte for byte, on ``stdout`` or ``stderr``; without ``stream`` on both, as it came."""
    for line in found:
        if is_output(line) and (stream is None or line.get("stream") == stream):
            yield bytes_of(line)


def bytes_of(line: Mapping[str, Any]) -> bytes:
    """Return what was printed, of one ``run.output`` line."""
    data = base64.b64decode(line["base64"]) if "base64" in line else str(line["line"]).encode("utf-8")
    return data if line.get("eol") is False else data + b"\n"


class _Filter:
    """What is wanted, and what was there already."""

    def __init__(  # noqa: PLR0913 - as LineFilter
        self,
        *,
        job: str | None = None,
        run: str | None = None,
        since_us: int | None = None,
        level: str | None = None,
        grep: str | None = None,
        after: int | None = None,
        needle: bytes | None = None,
        most_bytes: int | None = None,
    ) -> None:
        self.needle = needle
        self.left = most_bytes
        self.job = job
        self.run = run
        self.since_us = since_us
        self.after = after
        self._key = f'"run":"{run}"'.encode() if run is not None else f'"job":"{job}"'.encode() if job else b""
        self._since = "" if since_us is None else instants.to_text(since_us)
        self._since_bytes = self._since.encode()
        self._least = 0 if level is None else LEVELS[level]
        self._pattern = None if grep is None else re.compile(grep)
        self._decode = msgspec.json.Decoder(Line).decode
        self._seen = _Seen()

    def newest(self, chunk: bytes) -> Iterator[tuple[Line, bytes]]:
        """Yield the wanted ones of whole lines with their bytes, the last one first, copies too."""
        plainly = self.needle is None and self._key
        for text in _with_backwards(chunk, self._key) if plainly else reversed(list(self._texts(chunk))):
            with contextlib.suppress(msgspec.DecodeError):
                line = self._decode(text)
                if self.wants(line):
                    yield line, text

    def _texts(self, chunk: bytes) -> Iterable[bytes]:
        """Return those of whole lines that may be wanted."""
        if self.needle is not None:
            return holding(chunk, self.needle)
        return _with(chunk, self._key) if self._key else chunk[:-1].split(b"\n")

    def first_time(self, line: Line, text: bytes) -> bool:
        """Return True unless a line is a copy of one that this, or :meth:`pick`, has seen."""
        return self._seen.first_time(line, text)

    def pick(self, chunk: bytes) -> Iterator[Line]:
        """Yield the wanted ones of whole lines."""
        for text in self._texts(chunk):
            # The quick look at the time spares decoding; lines begin with it.
            if self._since and text.startswith(_STAMP) and text[14:41] < self._since_bytes:
                continue
            try:
                line = self._decode(text)
            except msgspec.DecodeError:
                continue
            if self._fits(line) and self._seen.first_time(line, text) and self._shown(line):
                yield line

    def wants(self, line: Line) -> bool:
        """Return True if a line is wanted, copies aside."""
        return self._fits(line) and self._shown(line)

    def _fits(self, line: Line) -> bool:
        if self.run is not None and line.get("run") != self.run:
            return False
        if self.after is not None and line.get("seq", 0) <= self.after:
            return False
        return self.job is None or line.get("job") == self.job

    def _shown(self, line: Line) -> bool:
        if self._least and LEVELS.get(line.get("level", "info"), 20) < self._least:
            return False
        if self._since and line.get("timestamp", "") < self._since:
            return False
        return self._pattern is None or self._pattern.search(render(line, colour=False)) is not None


def _name_of(line: Line) -> tuple[str, int] | None:
    """Return what a line has in common with its copies alone; None for a line without a number."""
    run, seq = line.get("run"), line.get("seq")
    return (run, seq) if isinstance(run, str) and isinstance(seq, int) else None


class _Seen:
    """Recognizes copies: by (run, seq), and lines without a number by their bytes among the last few thousand."""

    def __init__(self) -> None:
        self._runs: dict[str, _Numbers] = {}
        self._texts: set[bytes] = set()
        self._recent: deque[bytes] = deque()

    def first_time(self, line: Line, text: bytes) -> bool:
        name = _name_of(line)
        if name is not None:
            run, seq = name
            numbers = self._runs.get(run)
            if numbers is None:
                if len(self._runs) > _RUNS_REMEMBERED:
                    del self._runs[next(iter(self._runs))]
                numbers = self._runs[run] = _Numbers()
            return numbers.first_time(seq)
        if text in self._texts:
            return False
        self._texts.add(text)
        self._recent.append(text)
        if len(self._recent) > _REMEMBERED:
            self._texts.discard(self._recent.popleft())
        return True


class _Numbers:
    """The numbers of one run that were there: all below ``next`` but those in the gaps that a power failure left."""

    __slots__ = ("gaps", "next")

    def __init__(self) -> None:
        self.next = 0
        self.gaps: set[range] = set()

    def first_time(self, seq: int) -> bool:
        if seq >= self.next:
            if seq > self.next:
                self.gaps.add(range(self.next, seq))
            self.next = seq + 1
            return True
        for gap in self.gaps:
            if seq in gap:
                self.gaps.remove(gap)
                self.gaps.update(part for part in (range(gap.start, seq), range(seq + 1, gap.stop)) if part)
                return True
        return False


def _with(chunk: bytes, needle: bytes) -> Iterator[bytes]:
    """Yield the lines that hold the needle, without looking at the others one by one."""
    position = chunk.find(needle)
    while position >= 0:
        start = chunk.rfind(b"\n", 0, position) + 1
        end = chunk.find(b"\n", position)
        yield chunk[start:end]
        position = chunk.find(needle, end)


def _with_backwards(chunk: bytes, needle: bytes) -> Iterator[bytes]:
    """Yield the same, the last line first."""
    position = chunk.rfind(needle)
    while position >= 0:
        start = chunk.rfind(b"\n", 0, position) + 1
        yield chunk[start : chunk.find(b"\n", position)]
        position = chunk.rfind(needle, 0, start)


# -- the past


def _history(log_dir: str, wanted: _Filter, until: "_Tail | None" = None) -> Iterator[Line]:
    for chunk in _past(log_dir, wanted, until):
        yield from wanted.pick(chunk)


def _past(log_dir: str, wanted: _Filter, until: "_Tail | None") -> Iterator[bytes]:
    """Yield chunks of whole lines that may hold what is wanted, of all files, the oldest first."""
    # The current file is opened first: rotated meanwhile, it is found twice, and left out once; never not at all.
    current = until.fd if until is not None else _open(os.path.join(log_dir, files.CURRENT))
    own = None if current is None else _identity(current)
    try:
        for path in [*[file.path for file in files.finished(log_dir)], *files.rotated_by_others(log_dir)]:
            yield from _finished_file(log_dir, path, wanted, own)
        if current is not None:
            end = until.offset if until is not None else os.fstat(current).st_size
            yield from _plain(log_dir, current, end, wanted)
    finally:
        if until is None and current is not None:
            os.close(current)


def _finished_file(
    log_dir: str, path: str, wanted: _Filter, own: tuple[int, int] | None, *, backwards: bool = False
) -> Iterator[bytes]:
    fd = _open(path)
    if fd is None:  # compressed since the folder was read
        path = os.path.join(log_dir, files.ARCHIVE, os.path.basename(path) + ".gz")
        fd = _open(path)
    if fd is None:
        return
    try:
        status = os.fstat(fd)
        if (status.st_dev, status.st_ino) == own:
            return
        if wanted.since_us is not None and status.st_mtime_ns // 1000 < wanted.since_us:
            return
        if path.endswith(".gz"):
            yield from _packed(log_dir, path, fd, wanted, backwards=backwards)
        else:
            yield from _plain(log_dir, fd, status.st_size, wanted, backwards=backwards)
    finally:
        os.close(fd)


def _plain(log_dir: str, fd: int, size: int, wanted: _Filter, *, backwards: bool = False) -> Iterator[bytes]:
    mark = files.fingerprint(os.pread(fd, 4096, 0))
    extents = _extents(log_dir, mark, wanted, size)

    def part(extent: Extent) -> bytes:
        return os.pread(fd, extent.length, extent.offset)

    extents = _later(part, extents, wanted)
    return _pieces_backwards(part, extents) if backwards else _forwards(part, extents, wanted)


def _packed(log_dir: str, path: str, fd: int, wanted: _Filter, *, backwards: bool = False) -> Iterator[bytes]:
    mark = files.fingerprint_of(path)
    table = archive.read_table(files.blocks_path(log_dir, mark)) if mark is not None else None
    if (
        table is None or table.offsets[-1] != os.fstat(fd).st_size
    ):  # compressed by another program: from the beginning to the end
        with contextlib.suppress(EOFError, zlib.error, gzip.BadGzipFile), gzip.open(path) as unpacked:
            chunks = _whole_lines(_within(wanted, iter(lambda: unpacked.read(_WINDOW), b"")))
            yield from reversed(list(chunks)) if backwards else chunks
        return
    extents = _extents(log_dir, mark, wanted, table.size)

    def part(extent: Extent) -> bytes:
        return archive.read_extent(fd, table, extent)

    with contextlib.suppress(zlib.error):
        extents = _later(part, extents, wanted)
        yield from _pieces_backwards(part, extents) if backwards else _forwards(part, extents, wanted)


def _extents(log_dir: str, mark: str | None, wanted: _Filter, size: int) -> list[Extent]:
    """Return where to look: the extents of the index, and all that is not indexed yet."""
    found: list[Extent] = []
    covered = 0
    if mark is not None and (wanted.run is not None or wanted.job is not None):
        found, covered = index.lookup(files.index_path(log_dir, mark), run=wanted.run, job=wanted.job)
    if covered > size:  # of a file that was longer once
        return [Extent(0, size)]
    return [extent for extent in [*found, Extent(covered, size - covered)] if extent.length]


def _later(read: Callable[[Extent], bytes], extents: list[Extent], wanted: _Filter) -> list[Extent]:
    """Return the extents without most of what stands before ``wanted.after``: found by halving, not by reading.

    Numbers fall where a sender began again, so one of several places may be found: what is wanted stands after each.
    """
    after, run = wanted.after, wanted.run
    if after is None or run is None or not extents:
        return extents

    def is_later(extent: Extent) -> bool:
        number = _first_number(read, extent, run)
        return number is None or number > after

    # The first line that is wanted may stand in the extent before the first that begins later.
    place = max(0, bisect_left(extents, True, key=is_later) - 1)
    first = extents[place]
    found = bisect_left(range(0, first.length, _PROBE), True, key=lambda at: is_later(_rest(first, at)))
    return [_rest(first, max(0, found - 1) * _PROBE), *extents[place + 1 :]]


def _rest(extent: Extent, at: int) -> Extent:
    return Extent(extent.offset + at, extent.length - at)


class _Numbered(Struct):
    """What says which line of which run it is."""

    run: str | None = None
    seq: int | None = None


_numbered = msgspec.json.Decoder(_Numbered).decode


def _first_number(read: Callable[[Extent], bytes], extent: Extent, run: str) -> int | None:
    """Return the number of a run's first whole line in an extent, which may begin within one; None if there is none."""
    needle = f'"run":"{run}"'.encode()
    probes = (
        read(Extent(extent.offset + at, min(_PROBE, extent.length - at))) for at in range(0, extent.length, _PROBE)
    )
    for chunk in _whole_lines(probes):
        for text in _with(chunk, needle):
            try:
                line = _numbered(text)
            except msgspec.MsgspecError:
                continue  # the rest of a line that began before
            if line.run == run and line.seq is not None:
                return line.seq
    return None


def _forwards(read: Callable[[Extent], bytes], extents: Iterable[Extent], wanted: _Filter) -> Iterator[bytes]:
    return _whole_lines(_within(wanted, _pieces(read, extents)))


def _pieces(read: Callable[[Extent], bytes], extents: Iterable[Extent]) -> Iterator[bytes]:
    for extent in extents:
        begin, end = extent.offset, extent.offset + extent.length
        while begin < end:
            cut = min(end, (begin // _WINDOW + 1) * _WINDOW)  # as the blocks of an archive: each is unpacked once
            yield read(Extent(begin, cut - begin))
            begin = cut


def _within(wanted: _Filter, pieces: Iterable[bytes]) -> Iterator[bytes]:
    """Yield pieces until as much was read as may be, counted over all files."""
    if wanted.left is not None and wanted.left <= 0:
        return
    for piece in pieces:
        yield piece
        if wanted.left is not None:
            wanted.left -= len(piece)
            if wanted.left <= 0:
                return


def _whole_lines(pieces: Iterable[bytes]) -> Iterator[bytes]:
    """Join what the cuts between pieces tore; extents hold whole lines. A line that never ended is left out."""
    rest = b""
    for piece in pieces:
        cut = piece.rfind(b"\n") + 1
        if not cut:
            rest += piece
            continue
        yield rest + piece[:cut]
        rest = piece[cut:]


# -- the past, from its end


def _newest(log_dir: str, wanted: _Filter, count: int, until: "_Tail | None") -> list[Line]:
    found: deque[tuple[Line, bytes]] = deque()
    different: set[object] = set()
    for line, text in (one for chunk in _backwards(log_dir, wanted, until) for one in wanted.newest(chunk)):
        found.appendleft((line, text))
        different.add(_name_of(line) or text)
        if len(different) >= count:
            break
    once = [line for line, text in found if wanted.first_time(line, text)]
    return once[max(0, len(once) - count) :]


def _backwards(log_dir: str, wanted: _Filter, until: "_Tail | None") -> Iterator[bytes]:
    """Yield what :func:`_past` does, in smaller chunks, the last one first."""
    current = until.fd if until is not None else _open(os.path.join(log_dir, files.CURRENT))
    own = None if current is None else _identity(current)
    try:
        paths = [*[file.path for file in files.finished(log_dir)], *files.rotated_by_others(log_dir)]
        if current is not None:
            end = until.offset if until is not None else _last_line_end(current)
            yield from _plain(log_dir, current, end, wanted, backwards=True)
        for path in reversed(paths):
            yield from _finished_file(log_dir, path, wanted, own, backwards=True)
    finally:
        if until is None and current is not None:
            os.close(current)


def _pieces_backwards(read: Callable[[Extent], bytes], extents: list[Extent]) -> Iterator[bytes]:
    """Yield whole lines, the last ones first: what a cut tore is joined to the piece before it."""
    for extent in reversed(extents):
        end, rest = extent.offset + extent.length, b""
        while end > extent.offset:
            start = max(extent.offset, end - _STEP)
            piece = read(Extent(start, end - start)) + rest
            cut = 0 if start == extent.offset else piece.find(b"\n") + 1
            whole, rest, end = piece[cut:], piece[:cut], start
            if not cut and start > extent.offset:
                whole, rest = b"", piece  # one long line
            whole = whole[: whole.rfind(b"\n") + 1]  # a line that never ended is left out
            if whole:
                yield whole


# -- what is added


class _Tail:
    """The growing end of the stream. ``offset`` is where the next line begins in the file of ``fd``."""

    def __init__(self, log_dir: str) -> None:
        self._log_dir = log_dir
        self._path = os.path.join(log_dir, files.CURRENT)
        self.fd = _open(self._path)
        self.offset = 0
        self.lost = self.fd is None
        """Return whether there is no current file just now, so that it has to be looked for."""
        if self.fd is not None:
            self.offset = _last_line_end(self.fd)

    def chunks(self) -> Iterator[bytes]:
        """Yield the whole lines written since the last call; go on with the next file where one was finished."""
        while True:
            if self.fd is not None:
                # Asked before reading: what the old file got before it was replaced is read for sure.
                replaced = _identity_of(self._path) != _identity(self.fd)
                yield from self._read(self.fd)
                if not replaced:
                    return
            if not self._next():
                return

    def _read(self, fd: int) -> Iterator[bytes]:
        size = _WINDOW
        while data := os.pread(fd, size, self.offset):
            cut = data.rfind(b"\n") + 1
            if cut:
                self.offset += cut
                yield data[:cut]
            elif len(data) < size:
                return
            else:
                size *= 2

    def _next(self) -> bool:
        """Open the file that follows; False while there is none."""
        paths = [*[f.path for f in files.finished(self._log_dir) if not f.compressed], self._path]
        own = None if self.fd is None else _identity(self.fd)
        after = [_identity_of(path) for path in paths]
        # Several rotations at once: the one after ours. Ours is gone when it was archived: then the current one.
        place = after.index(own) + 1 if own is not None and own in after else len(paths) - 1
        fresh = _open(paths[min(place, len(paths) - 1)])
        self.lost = fresh is None
        if fresh is None:
            return False
        if self.fd is not None:
            os.close(self.fd)
        self.fd, self.offset = fresh, 0
        return True

    def close(self) -> None:
        if self.fd is not None:
            os.close(self.fd)


def _last_line_end(fd: int) -> int:
    end = os.fstat(fd).st_size
    step = 1 << 16
    while end > 0:
        start = max(0, end - step)
        cut = os.pread(fd, end - start, start).rfind(b"\n") + 1
        if cut:
            return start + cut
        end = start
    return 0


def _open(path: str) -> int | None:
    try:
        return os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return None


def _identity(fd: int) -> tuple[int, int]:
    status = os.fstat(fd)
    return status.st_dev, status.st_ino


def _identity_of(path: str) -> tuple[int, int] | None:
    try:
        status = os.stat(path)
    except FileNotFoundError:
        return None
    return status.st_dev, status.st_ino
