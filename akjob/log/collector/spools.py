"""Reading in the spools: lines that runs kept in a file while there was no collector."""

import contextlib
import os
import time
from collections.abc import Callable
from typing import Protocol

from akjob.log import index
from akjob.log.collector import spool
from akjob.log.collector.report import report
from akjob.log.collector.sync import Syncer

_AGAIN_S = 5.0


class LineTarget(Protocol):
    """The log that the lines go to."""

    def write(self, data: memoryview | bytes, key: bytes | None) -> bool:
        """Write whole lines; return False if the collector ends before there is room for them."""

    def note(self, level: str, event: str, **fields: object) -> None:
        """Write an event of the collector's own."""


class Spools:
    """All spools below ``runs``. A spool is removed only after an fdatasync.

    ``answer`` is called with a run and ``ok``, ``busy`` or ``bad`` once that is known of a spool that was asked for.
    """

    def __init__(self, runs: str, log: LineTarget, syncer: Syncer, answer: Callable[[str, bytes], None]) -> None:
        self.due: float | None = time.monotonic()
        """When :meth:`scan` has something to do, a reading of the steady clock."""
        self._runs = runs
        self._log = log
        self._syncer = syncer
        self._answer = answer
        self._reading: dict[str, spool.Spool] = {}
        self._written: list[tuple[int, str]] = []  # the round of the syncer that brings it onto the disk, and the run

    @property
    def are_read(self) -> bool:
        """Return True while spools are being read in."""
        return bool(self._reading)

    def exists(self, run: str) -> bool:
        """Return True if a run has a spool."""
        return os.path.exists(self._path(run))

    def scan_later(self) -> None:
        """Look for spools some seconds from now."""
        if self.due is None:
            self.due = time.monotonic() + _AGAIN_S

    def scan(self) -> None:
        """Begin with the spools of shims that are gone; look again later while there are others."""
        self.due = None
        for run in spool.waiting(self._runs):
            self.ask(run)

    def ask(self, run: str) -> None:
        """Read a run's spool in, unless that is under way."""
        if run in self._reading or any(run == other for _, other in self._written):
            return
        path = self._path(run)
        try:
            if not os.path.exists(path):
                self._answer(run, b"bad\n" if os.path.exists(path + ".bad") else b"ok\n")
            elif not spool.shim_is_gone(os.path.dirname(path)):
                self._answer(run, b"busy\n")
                self.scan_later()
            else:
                self._reading[run] = spool.Spool(path)
        except (OSError, ValueError) as error:
            self._put_aside(run, error)

    def read(self, size: int) -> None:
        """Read ``size`` bytes of each spool into the log; remove those that are on the disk."""
        for run, each in list(self._reading.items()):
            try:
                data = each.next(size)
            except (OSError, ValueError) as error:
                each.close()
                del self._reading[run]
                self._put_aside(run, error)
                continue
            if data:
                if not self._log.write(data, index.key_of(each.hello.run, each.hello.job) if each.hello.run else None):
                    return
                each.take(data)
                continue
            each.close()
            del self._reading[run]
            names = {"run": run} if each.hello.job is None else {"run": run, "job": each.hello.job}
            self._log.note("info", "collector.spool_read", lines=each.lines, **names)
            self._written.append((self._syncer.begin(), run))
        while self._written and self._written[0][0] <= self._syncer.done:
            _, run = self._written.pop(0)
            with contextlib.suppress(FileNotFoundError):
                os.unlink(self._path(run))
            self._answer(run, b"ok\n")

    def close(self) -> None:
        """Close the files; what was not read in stays for the next collector."""
        while self._reading:
            self._reading.popitem()[1].close()

    def _put_aside(self, run: str, error: Exception) -> None:
        """Put a spool that cannot be read aside, so that a person can look at it and no sender waits for it."""
        path = self._path(run)
        with contextlib.suppress(OSError):
            os.rename(path, path + ".bad")
        report(f"cannot read {path}: {error}; renamed to spool.bad")
        self._log.note("error", "collector.spool_unreadable", run=run, error=str(error))
        self._answer(run, b"bad\n")

    def _path(self, run: str) -> str:
        return os.path.join(self._runs, run, "spool")
