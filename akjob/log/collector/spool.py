"""Spools: the lines that a shim could not deliver, in ``var/runs/<run id>/spool``, read in once the shim is gone."""

import errno
import os
from pathlib import Path

import msgspec

from akjob.processes import lock_holder

MAX_LINE = 4 << 20
"""Bytes of the longest line that the collector takes."""


class Hello(msgspec.Struct, frozen=True):
    """The first line of a connection or of a spool: whose lines follow, and the number of the first one.

    With ``spool`` it asks to read that run's spool in, and no lines follow.
    """

    v: int
    job: str | None = None
    run: str | None = None
    seq: int = 0
    spool: str | None = None


_LONGEST_NAME = 1024
_decoder = msgspec.json.Decoder(Hello)


def parse_hello(line: bytes) -> Hello:
    """Read a hello. Raises ValueError with what is wrong."""
    hello = _decoder.decode(line)
    if hello.v != 1:
        raise ValueError(
            f"version {hello.v} of the protocol; this collector speaks version 1: restart the older program"
        )
    for name in (hello.job, hello.run, hello.spool):
        if name is not None and not _is_name(name):
            raise ValueError(f"{name[:80]!r} cannot be the name of a job or a run")
    if hello.spool is not None and ("/" in hello.spool or hello.spool.startswith(".")):
        raise ValueError(f"{hello.spool[:80]!r} cannot be a run")
    return hello


def _is_name(text: str) -> bool:
    return (
        0 < len(text) <= _LONGEST_NAME
        and text.isprintable()
        and " " not in text
        and '"' not in text
        and "\\" not in text
    )


def shim_is_gone(folder: str) -> bool:
    """Return whether no process holds the record lock ``lock`` in a run's folder. It never takes the lock itself."""
    return not lock_holder(Path(folder, "lock"))


def waiting(runs: str) -> list[str]:
    """Return the ids of the runs that have a spool, in order."""
    try:
        with os.scandir(runs) as entries:
            names = [entry.name for entry in entries]
    except FileNotFoundError:
        return []
    return sorted(name for name in names if os.path.exists(os.path.join(runs, name, "spool")))


class Spool:
    """One spool while it is read in, a chunk at a time. Raises OSError, and ValueError for a spool without a hello."""

    def __init__(self, path: str) -> None:
        self.path = path
        self._fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
        try:
            head = os.pread(self._fd, 4096, 0)
            line, newline, _ = head.partition(b"\n")
            self.hello = parse_hello(line if newline else b"")
        except BaseException:
            os.close(self._fd)
            raise
        self._offset = len(line) + 1
        self.lines = 0

    def next(self, size: int) -> bytes:
        """Return the next whole lines, about ``size`` bytes; empty at the end, a torn last line left out.

        The same lines come again until :meth:`take` says that they are written.
        """
        while True:
            data = os.pread(self._fd, size, self._offset)
            cut = data.rfind(b"\n") + 1
            if cut or len(data) < size:
                return data[:cut]
            if size > 2 * MAX_LINE:
                raise OSError(errno.EMSGSIZE, "a line over 4 MiB", self.path)
            size *= 2

    def take(self, data: bytes) -> None:
        """Go on behind what :meth:`next` returned."""
        self._offset += len(data)
        self.lines += data.count(b"\n")

    def close(self) -> None:
        """Close the file; it stays."""
        os.close(self._fd)
