"""A daemon's own lines on the log stream, in the form that structlog gives those of the jobs.

structlog itself stays out of akjobd: it would bring in asyncio, a tenth of the time that akjobd takes to start.
"""

import contextlib
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

import msgspec

from akjob.log.line import head
from akjob.log.line.sender import Sender


class Say(Protocol):
    """Puts one line on the stream: :meth:`DaemonLog.say`, for those who need no more of it."""

    def __call__(self, level: str, event: str, **fields: object) -> None:
        """Put one line on the stream."""


class DaemonLog:
    """Logs what a daemon does. Lines that the collector does not take wait in ``spool``, at once where there is none.

    ``now_us`` is the wall clock, ``monotonic`` the steady one in seconds; ``source`` names the daemon in each line.
    """

    def __init__(
        self,
        address: str,
        spool: Path,
        now_us: Callable[[], int],
        monotonic: Callable[[], float],
        *,
        source: str = "akjobd",
    ) -> None:
        self._source = source
        self._now_us = now_us
        self._monotonic = monotonic
        old = _left_over(spool)
        self.sender = Sender(address, _hello, spool=str(spool), careful=True)
        if old:
            self.sender.put(old, old.count(b"\n"), monotonic())
            with contextlib.suppress(OSError):  # its disk is full: the file stays as it is
                self.sender.save(monotonic())

    def say(self, level: str, event: str, **fields: object) -> None:
        """Put one line on the stream; ``level`` is one of debug, info, warning, error, critical."""
        line = head.fields(self._now_us() * 1000, level, event, self._source) | fields
        self.sender.put(msgspec.json.encode(line, enc_hook=str) + b"\n", 1, self._monotonic())

    def close(self) -> None:
        """Close the connection; what was not delivered stays in the spool, as far as its disk takes it."""
        try:
            self.sender.save(self._monotonic())
        finally:
            self.sender.close()


def _hello(first: int) -> bytes:
    return b'{"v":1,"job":null,"run":null,"seq":%d}\n' % first


def _left_over(spool: Path) -> bytes:
    """Return the whole lines that a former akjobd could not deliver."""
    try:
        data = spool.read_bytes()
    except FileNotFoundError:
        return b""
    lines = data[: data.rfind(b"\n") + 1]
    return lines.partition(b"\n")[2]
