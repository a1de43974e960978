"""What job files parsed to, remembered over restarts by their content, so that a start need not parse what it knows.

A key is a hash of everything that decides about the result: the file's content, its defaults, its name, the
configuration, and the code that parses. So nothing in it can be out of date; at worst it is of no use. The file may be
deleted any time.
"""

import hashlib
import os
import sys
import zlib
from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path

import msgspec

from akjob import __version__
from akjob.jobset.trust import Access, Who, distrust
from akjob.spec.model import JobSpec

_MAGIC = b"akjob jobs 1\n"
_SCALARS = (str, int, float, bool)
_PARSING = ("spec", "schedule", "toml", "units.py", "config.py", "errors.py", "instants.py")

_encoder = msgspec.msgpack.Encoder()
_index = msgspec.msgpack.Decoder(dict[bytes, msgspec.Raw])
_spec = msgspec.msgpack.Decoder(JobSpec)


def load(file: Path, trusted: Who) -> Mapping[bytes, msgspec.Raw]:
    """Read what was remembered, by key. Empty when there is nothing, it is damaged, or others may write it."""
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
    try:
        return _index.decode(body)
    except msgspec.MsgspecError:
        return {}


def spec_of(raw: msgspec.Raw) -> JobSpec | None:
    """Return the JobSpec, or None when it is no such thing."""
    try:
        return _spec.decode(raw)
    except msgspec.MsgspecError:
        return None


def save(file: Path, jobs: Iterable[tuple[bytes, JobSpec]]) -> None:
    """Replace what is remembered. What goes wrong (a full disk, a folder that is not there) costs time only."""
    kept: dict[bytes, msgspec.Raw] = {}
    for key, spec in jobs:
        if _is_plain(spec):
            kept[key] = msgspec.Raw(_encoder.encode(spec))
    body = _encoder.encode(kept)
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
