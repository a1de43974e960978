"""Looks after finished log files: compresses them after a day, removes the oldest, and what no file needs any more.

Run by the collector as ``python -m akjob.log.archive LOG_DIR TODAY KEEP_DAYS MAX_TOTAL``, in a process of its own with
the lowest priority. Everything is made under another name and renamed, so it may be killed at any time and is begun
again.

The archive is a gzip file like any other (``zcat`` reads it), made of members of BLOCK bytes each; where they begin
is in a block table next to the index, so that a part is read without what is before it.
"""

import contextlib
import ctypes
import json
import os
import signal
import sys
import zlib
from collections.abc import Iterator
from datetime import date, timedelta

from msgspec import Struct

from akjob.log import files
from akjob.log.index import Extent
from akjob.processes import die_with_parent

BLOCK = 1 << 20
"""Bytes of the log in one gzip member."""

_LEVEL = 6
_ARGUMENTS = 5
_IOPRIO_SET = {"x86_64": 251, "aarch64": 30}


class Table(Struct, frozen=True):
    """The block table: the file's bytes before compression; where each member begins, and where the last one ends."""

    size: int
    offsets: list[int]


def maintain(log_dir: str, today: str, keep_days: int, max_total: int) -> Iterator[dict[str, object]]:
    """Do what is due on the local day ``today``; yield what was done, as events. Sizes in bytes."""
    oldest_kept = (date.fromisoformat(today) - timedelta(days=keep_days)).isoformat()
    yesterday = (date.fromisoformat(today) - timedelta(days=1)).isoformat()
    for file in files.finished(log_dir):
        if file.date < oldest_kept:
            yield _remove(file, "age")
    for file in files.finished(log_dir):
        # Half of the cap is reason enough to compress before the day is over: better than to remove.
        if not file.compressed and (file.date < yesterday or _total(log_dir) > max_total // 2):
            yield compress(log_dir, file)
    for file in files.finished(log_dir):
        if _total(log_dir) <= max_total:
            break
        yield _remove(file, "max_total")
    _clean(log_dir)


def compress(log_dir: str, file: files.LogFile) -> dict[str, object]:
    """Move one finished file into the archive. Return the event that says so."""
    folder = os.path.join(log_dir, files.ARCHIVE)
    os.makedirs(folder, mode=0o750, exist_ok=True)
    name = os.path.basename(file.path) + ".gz"
    target = os.path.join(folder, name)
    mark = files.fingerprint_of(file.path)
    offsets, size = [0], 0
    with open(file.path, "rb") as source, open(target + ".new", "wb") as out:
        while block := source.read(BLOCK):
            packer = zlib.compressobj(_LEVEL, zlib.DEFLATED, wbits=31)
            out.write(packer.compress(block))
            out.write(packer.flush())
            offsets.append(out.tell())
            size += len(block)
        out.flush()
        os.fsync(out.fileno())
    os.chmod(target + ".new", 0o640)
    # The time of the last line, which `--since` goes by.
    written = os.stat(file.path).st_mtime_ns
    os.utime(target + ".new", ns=(written, written))
    if mark is not None:
        _write_table(files.blocks_path(log_dir, mark), Table(size, offsets))
    os.rename(target + ".new", target)
    _sync_folder(folder)
    os.unlink(file.path)
    return {
        "level": "info",
        "event": "collector.archived",
        "file": f"{files.ARCHIVE}/{name}",
        "bytes": size,
        "compressed_bytes": offsets[-1],
    }


def _write_table(path: str, table: Table) -> None:
    os.makedirs(os.path.dirname(path), mode=0o750, exist_ok=True)
    with open(path + ".new", "w", encoding="ascii") as file:
        file.write("".join([f"{number}\n" for number in (table.size, *table.offsets)]))
    os.rename(path + ".new", path)


def read_table(path: str) -> Table | None:
    """Return the block table of an archived file, None where there is none or a power cut tore it."""
    try:
        with open(path, encoding="ascii") as file:
            size, *offsets = [int(line) for line in file]
    except (FileNotFoundError, ValueError):
        return None
    return Table(size, offsets) if offsets else None


def read_extent(fd: int, table: Table, extent: Extent) -> bytes:
    """Return a part of the log out of an archived file, by its block table. Raises zlib.error for a damaged file."""
    offsets = table.offsets
    first = extent.offset // BLOCK
    last = min((extent.offset + extent.length - 1) // BLOCK, len(offsets) - 2)
    parts = []
    for block in range(first, last + 1):
        packed = os.pread(fd, offsets[block + 1] - offsets[block], offsets[block])
        parts.append(zlib.decompress(packed, wbits=31))
    start = extent.offset - first * BLOCK
    return b"".join(parts)[start : start + extent.length]


def _remove(file: files.LogFile, reason: str) -> dict[str, object]:
    size = os.path.getsize(file.path)
    os.unlink(file.path)
    name = os.path.basename(file.path)
    return {"level": "info", "event": "collector.removed", "file": name, "bytes": size, "reason": reason}


def _total(log_dir: str) -> int:
    """Return the bytes of all that is kept: current, finished and archived files, and their indexes."""
    total = 0
    for folder, _, names in os.walk(log_dir):
        for name in names:
            if name.startswith("akjob") or os.path.basename(folder) == files.INDEX:
                with contextlib.suppress(FileNotFoundError):
                    total += os.path.getsize(os.path.join(folder, name))
    return total


def _clean(log_dir: str) -> None:
    """Remove indexes of files that are gone, and what a killed process left half done."""
    archive = os.path.join(log_dir, files.ARCHIVE)
    with contextlib.suppress(FileNotFoundError):
        for name in os.listdir(archive):
            if name.endswith(".new"):
                os.unlink(os.path.join(archive, name))
    index = os.path.join(log_dir, files.INDEX)
    # Listed first: the index of a file that begins after this is not in question.
    names = os.listdir(index) if os.path.isdir(index) else []
    current = os.path.join(log_dir, files.CURRENT)
    # The current one twice: it may be rotated between the look at it and the look at the finished ones.
    paths = [current, *files.rotated_by_others(log_dir), *[file.path for file in files.finished(log_dir)], current]
    marks = {files.fingerprint_of(path) for path in paths}
    for name in names:
        if name.endswith(".new") or name.partition(".")[0] not in marks:
            os.unlink(os.path.join(index, name))


def _sync_folder(path: str) -> None:
    fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def _lowest_priority() -> None:
    """Run at the lowest priority, and end with the collector."""
    os.nice(19)
    libc = ctypes.CDLL(None, use_errno=True)
    die_with_parent(signal.SIGKILL)
    ioprio_set = _IOPRIO_SET.get(os.uname().machine)
    if ioprio_set is not None:
        who_process, idle = 1, 3 << 13
        libc.syscall(ioprio_set, who_process, 0, idle)


def main() -> None:
    """See the module. Says each event as one JSON line on standard output."""
    if len(sys.argv) != _ARGUMENTS:
        sys.exit("usage: python -m akjob.log.archive LOG_DIR TODAY KEEP_DAYS MAX_TOTAL")
    log_dir, today, keep_days, max_total = sys.argv[1:]
    _lowest_priority()
    for event in maintain(log_dir, today, int(keep_days), int(max_total)):
        sys.stdout.write(json.dumps(event) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
