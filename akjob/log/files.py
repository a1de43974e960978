"""The files of the log stream: what they are called, in which order they were written, how one is recognised.

``akjob.jsonl`` is the current one, ``akjob-DATE[.N].jsonl`` are finished ones, ``archive/akjob-DATE[.N].jsonl.gz``
compressed ones. DATE is the local date of the file's first line. Files that logrotate made of the current one
(``akjob.jsonl.1``, ``akjob.jsonl-20260101.gz``) are read as well.

A file is recognised by its first line, which holds a time in microseconds: its index (``index/FINGERPRINT``) stays
valid when the file is renamed, moved or compressed.
"""

import os
import re
import zlib
from hashlib import blake2b

from msgspec import Struct

CURRENT = "akjob.jsonl"
ARCHIVE = "archive"
INDEX = "index"

_FINGERPRINTED = 160
"""Bytes of the first line that make the fingerprint; a time, an event and a file name fit in."""

_DATED = re.compile(r"akjob-(\d{4}-\d{2}-\d{2})(?:\.(\d{1,9}))?\.jsonl(\.gz)?")
_ROTATED = re.compile(r"akjob\.jsonl[.-].*[0-9](\.gz)?")


class LogFile(Struct, frozen=True, kw_only=True):
    """One finished file. ``date`` is ISO 8601 text, ``number`` counts the files of a date from 0."""

    path: str
    date: str
    number: int

    @property
    def compressed(self) -> bool:
        """Return whether it is a gzip file."""
        return self.path.endswith(".gz")


def file_name(date: str, number: int) -> str:
    """Return the name of a finished file: ``akjob-2026-03-29.jsonl``, the next ``akjob-2026-03-29.1.jsonl``."""
    return f"akjob-{date}.{number}.jsonl" if number else f"akjob-{date}.jsonl"


def finished(log_dir: str) -> list[LogFile]:
    """Return the finished files, oldest first.

    Of one that is there twice, because it was just being compressed, the plain one is returned.
    """
    found: dict[tuple[str, int], LogFile] = {}
    for folder in (os.path.join(log_dir, ARCHIVE), log_dir):
        for name in _names(folder):
            match = _DATED.fullmatch(name)
            if match:
                date, number = match[1], int(match[2] or 0)
                found[date, number] = LogFile(path=os.path.join(folder, name), date=date, number=number)
    return [found[key] for key in sorted(found)]


def rotated_by_others(log_dir: str) -> list[str]:
    """Return the paths of files that another program, such as logrotate, made of the current one, oldest first."""
    found = []
    for name in _names(log_dir):
        if _ROTATED.fullmatch(name):
            path = os.path.join(log_dir, name)
            try:
                found.append((os.stat(path).st_mtime_ns, path))
            except FileNotFoundError:
                continue
    return [path for _, path in sorted(found)]


def next_number(log_dir: str, date: str) -> int:
    """Return the number of the next finished file of a date: never one that is or, as far as can be seen, was used."""
    return max((file.number + 1 for file in finished(log_dir) if file.date == date), default=0)


def fingerprint(first_bytes: bytes) -> str | None:
    """Return what a file is recognised by, from its first 160 bytes; None while its first line is unfinished."""
    head = first_bytes[:_FINGERPRINTED]
    line, newline, _ = head.partition(b"\n")
    if not newline and len(head) < _FINGERPRINTED:
        return None
    return blake2b(line, digest_size=12).hexdigest()


def fingerprint_of(path: str) -> str | None:
    """Return the fingerprint of a plain or gzip file; None if it has none or cannot be read."""
    try:
        with open(path, "rb") as file:
            head = file.read(4096)
    except OSError:
        return None
    if path.endswith(".gz"):
        try:
            head = zlib.decompressobj(wbits=31).decompress(head, _FINGERPRINTED)
        except zlib.error:
            return None
    return fingerprint(head)


def index_path(log_dir: str, mark: str) -> str:
    """Return the path of the index of the file with this fingerprint."""
    return os.path.join(log_dir, INDEX, mark)


def blocks_path(log_dir: str, mark: str) -> str:
    """Return the path of the block table of the archived file with this fingerprint."""
    return os.path.join(log_dir, INDEX, mark + ".blocks")


def _names(folder: str) -> list[str]:
    try:
        return os.listdir(folder)
    except (FileNotFoundError, NotADirectoryError):
        return []
