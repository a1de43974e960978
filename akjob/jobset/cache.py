"""What job files parsed to, kept over restarts, so that a start need not parse what it knows.

A record counts for the same path, the same content, the same defaults above it, the same configuration, and the same
code that parses. The content is known by its hash; and by ``stat`` alone where that says what it said when the file was
hashed, two seconds or more after its last change of any kind. So nothing in it can be out of date; at worst it is of no
use. The file may be deleted any time.
"""

import hashlib
import os
import sys
import zlib
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path

import msgspec
from msgspec import Struct

from akjob import __version__
from akjob.config import Config
from akjob.jobset.scan import Signature
from akjob.jobset.trust import Access, Who, distrust
from akjob.spec.model import JobSpec

_MAGIC = b"akjob jobs 2\n"
WORTH_KEEPING = 100  # files: parsing fewer costs less than keeping them
_SCALARS = (str, int, float, bool)
PARSING = ("config", "errors", "instants", "keys", "log", "schedule", "spec", "toml", "units")
"""The rooms of akjob.spec.parse and of all that it imports, wherever in them."""


class Record(Struct, array_like=True, frozen=True, gc=False):
    """What one file parsed to. ``stamp`` identifies its defaults; ``settled``: its ``signature`` can be trusted."""

    path: str
    signature: Signature
    settled: bool
    digest: bytes
    stamp: bytes
    spec: JobSpec


class _Kept(Struct, array_like=True):
    stamp: bytes
    records: msgspec.Raw


_encoder = msgspec.msgpack.Encoder()
_kept = msgspec.msgpack.Decoder(_Kept)
_records = msgspec.msgpack.Decoder(list[Record])


class ParseCache:
    """The cache of one loader. ``records`` are those of the process before, until the first full scan is over."""

    def __init__(self, file: Path | None, config_stamp: bytes) -> None:
        self._file = file
        self._wanted = False
        self.stamp = b""
        self.records: Mapping[str, Record] = {}
        self.reconfigure(config_stamp)

    @property
    def is_used(self) -> bool:
        """Return True if there is a file for it."""
        return self._file is not None

    def reconfigure(self, config_stamp: bytes) -> None:
        """Forget what was parsed under another configuration."""
        self.records = {}
        if self._file is not None:
            self.stamp = fingerprint() + config_stamp

    def load(self, trusted: Who) -> None:
        """Read the file."""
        if self._file is not None:
            self.records = load(self._file, trusted, self.stamp)

    def add(self, body: bytes) -> None:
        """Add what another process encoded under the same stamp."""
        self.records = {**self.records, **decode(body, self.stamp)}

    def end_start(self, files_read: int) -> None:
        """Drop the records, which are for the start alone; keep what was parsed now if that was much."""
        self.records = {}
        self._wanted |= files_read >= WORTH_KEEPING

    def keep(self, records: Iterable[Record]) -> None:
        """Write the file if it is worth it."""
        if self._file is not None and self._wanted:
            self._wanted = False
            save(self._file, self.stamp, records)


def load(file: Path, trusted: Who, stamp: bytes) -> dict[str, Record]:
    """Read what was kept under this stamp, by path. Empty when it is damaged, or others may write it."""
    try:
        with file.open("rb") as stream:
            found = os.fstat(stream.fileno())
            if distrust(Access(found.st_mode, found.st_uid, found.st_gid), trusted) is not None:
                return {}
            data = stream.read()
    except OSError:
        return {}
    head = len(_MAGIC) + 4
    body = memoryview(data)[head:]
    if data[: len(_MAGIC)] != _MAGIC or data[len(_MAGIC) : head] != zlib.crc32(body).to_bytes(4, "big"):
        return {}
    return decode(body, stamp)


def decode(body: bytes | memoryview, stamp: bytes) -> dict[str, Record]:
    """Read what :func:`encode` wrote; empty when it is damaged, or has another stamp."""
    try:
        kept = _kept.decode(body)
        return {record.path: record for record in _records.decode(kept.records)} if kept.stamp == stamp else {}
    except msgspec.MsgspecError:
        return {}


def encode(stamp: bytes, records: Iterable[Record]) -> bytes:
    """Write records down, those whose values come back as they were."""
    kept = _encoder.encode([record for record in records if _is_plain(record.spec)])
    return _encoder.encode(_Kept(stamp, msgspec.Raw(kept)))


def save(file: Path, stamp: bytes, records: Iterable[Record]) -> None:
    """Replace what is kept. What goes wrong (a full disk, a folder that is not there) costs time only."""
    body = encode(stamp, records)
    draft = file.with_name(f".{file.name}.new")
    with suppress(OSError):
        with open(draft, "wb", opener=_private) as stream:
            stream.write(_MAGIC + zlib.crc32(body).to_bytes(4, "big"))
            stream.write(body)
        draft.replace(file)


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)


def _is_plain(spec: JobSpec) -> bool:
    """Return True if the values that may be of any type come back as they were: dates and arrays would not."""
    values = (*spec.args, *spec.kwargs.values())
    return all(type(value) in _SCALARS and (type(value) is not int or abs(value) < 2**63) for value in values)


def stamp_of(config: Config) -> bytes:
    """Return a hash of a configuration."""
    return hashlib.sha256(repr(config).encode()).digest()


def fingerprint() -> bytes:
    """Return a hash of what parses: the version, the interpreter, and the state of the source files."""
    found = hashlib.sha256(f"{__version__} {sys.version} {msgspec.__version__}".encode())
    for path in sorted(_sources()):
        try:
            status = os.stat(path)
        except OSError:
            continue  # a room is a module or a folder, not both
        found.update(f"{path} {status.st_size} {status.st_mtime_ns} {status.st_ino}\n".encode())
    return found.digest()


def _sources() -> Iterator[str]:
    """Yield the source files of the rooms that a parser can import: none of them is read for that."""
    package = os.path.dirname(os.path.dirname(__file__))
    for room in PARSING:
        yield f"{package}/{room}.py"
        for folder, _, names in os.walk(f"{package}/{room}"):
            yield from (f"{folder}/{name}" for name in names if name.endswith(".py"))
