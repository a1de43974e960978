"""What job files parsed to, remembered over restarts, so that a start need not parse what it knows.

A record counts for the same path, the same content, the same defaults above it, the same configuration, and the same
code that parses. The content is known by its hash; and by ``stat`` alone where that says what it said when the file was
hashed, two seconds or more after its last change of any kind. So nothing in it can be out of date; at worst it is of no
use. The file may be deleted any time.
"""

import hashlib
import os
import sys
import zlib
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

import msgspec
from msgspec import Struct

from akjob import __version__
from akjob.jobset.scan import Signature
from akjob.jobset.trust import Access, Who, distrust
from akjob.spec.model import JobSpec

_MAGIC = b"akjob jobs 2\n"
_SCALARS = (str, int, float, bool)
_PARSING = ("spec", "schedule", "toml", "units.py", "config", "errors.py", "instants.py")


class Record(Struct, array_like=True, frozen=True, gc=False):
    """What one file parsed to. ``stamp`` identifies its defaults; ``settled``: its ``signature`` is to be trusted."""

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


def load(file: Path, trusted: Who, stamp: bytes) -> dict[str, Record]:
    """Read what was remembered under this stamp, by path. Empty when it is damaged, or others may write it."""
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
    """Replace what is remembered. What goes wrong (a full disk, a folder that is not there) costs time only."""
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
    """Say whether the values that may be of any type come back as they were: dates and arrays would not."""
    values = (*spec.args, *spec.kwargs.values())
    return all(type(value) in _SCALARS and (type(value) is not int or abs(value) < 2**63) for value in values)


def fingerprint() -> bytes:
    """Return a hash of what parses: the version, the interpreter, and the state of the source files."""
    found = hashlib.sha256(f"{__version__} {sys.version} {msgspec.__version__}".encode())
    package = Path(__file__).parents[1]
    for name in _PARSING:
        place = package / name
        for source in sorted(place.glob("*.py")) if place.is_dir() else (place,):
            with suppress(OSError):
                status = source.stat()
                found.update(f"{source} {status.st_size} {status.st_mtime_ns} {status.st_ino}\n".encode())
    return found.digest()
