"""akjobd's own lines on the log stream: structlog makes them, a :class:`~akjob.log.sender.Sender` delivers them."""

import os
from collections.abc import Callable, MutableMapping
from pathlib import Path
from typing import Any

import msgspec
import structlog

from akjob.instants import to_text
from akjob.log.sender import Sender

LEVELS = {"debug", "info", "warning", "error", "critical"}


class _Lines:
    """What structlog writes to: each call is one finished line."""

    def __init__(self, put: Callable[[bytes], None]) -> None:
        self._put = put

    def msg(self, line: bytes) -> None:
        """Take one line without its newline."""
        self._put(line + b"\n")

    debug = info = warning = error = critical = msg


class Journal:
    """Says what akjobd does. Lines that the collector does not take wait in memory, then in ``spool``.

    ``now_us`` is the wall clock, ``monotonic`` the steady one in seconds.
    """

    def __init__(self, address: str, spool: Path, now_us: Callable[[], int], monotonic: Callable[[], float]) -> None:
        self._monotonic = monotonic
        old = _left_over(spool)
        self.sender = Sender(address, _hello, spool=str(spool))
        if old:
            self.sender.put(old, old.count(b"\n"), monotonic())

        def stamp(_logger: Any, method: str, event: MutableMapping[str, Any]) -> dict[str, Any]:
            when = event.pop("at_us", None)
            first = {"timestamp": to_text(now_us() if when is None else when), "level": method}
            return {**first, "event": event.pop("event"), "source": "akjobd", **event}

        self._logger = structlog.wrap_logger(
            _Lines(self._put), processors=[stamp, structlog.processors.JSONRenderer(serializer=_encode)]
        )

    def _put(self, line: bytes) -> None:
        self.sender.put(line, 1, self._monotonic())

    def say(self, level: str, event: str, **fields: Any) -> None:
        """Put one line on the stream. ``at_us`` is its instant, where that is not now."""
        getattr(self._logger, level)(event, **fields)

    def close(self) -> None:
        """Let go; what was not delivered stays in the spool for the next akjobd, as far as its disk takes it."""
        try:
            self.sender.save(self._monotonic())
        finally:
            self.sender.close()


def _encode(event: dict[str, Any], **_: Any) -> bytes:
    return msgspec.json.encode(event, enc_hook=str)


def _hello(first: int) -> bytes:
    return b'{"v":1,"job":null,"run":null,"seq":%d}\n' % first


def _left_over(spool: Path) -> bytes:
    """Return the whole lines that a former akjobd could not deliver, and remove the file."""
    try:
        data = spool.read_bytes()
    except FileNotFoundError:
        return b""
    os.unlink(spool)
    lines = data[: data.rfind(b"\n") + 1]
    return lines.partition(b"\n")[2]
