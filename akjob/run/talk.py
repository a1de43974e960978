"""Whom a shim talks to about its run: akjobd, the collector, and the job's side of akjob.

Part of the zygote: it imports next to nothing.
"""

from __future__ import annotations

import _socket
import os
import time

from akjob.log.line.head import head, quote, timestamp
from akjob.log.line.output import Stream
from akjob.log.line.sender import Sender
from akjob.log.line.wrap import wrap
from akjob.run import folder

TYPE_CHECKING = False
if TYPE_CHECKING:
    from akjob.run.order import Order

_MESSAGE = 1 << 18
_LONGEST_END = 1 << 14


class ShimNotices:
    """Reports to akjobd: on the socket of its zygote, and when that akjobd is gone on the one that its successor has.

    None need be there: akjobd reads the folders when it starts.
    """

    def __init__(self, control: _socket.socket, address: str) -> None:
        self._socket: _socket.socket | None = control
        self._address = address
        self.waiting: list[bytes] = []

    def fileno(self) -> int:
        """Return the descriptor that becomes writable when akjobd has room for what waits."""
        return -1 if self._socket is None else self._socket.fileno()

    def report(self, text: str) -> None:
        """Send akjobd a notice, now or when it has room."""
        self.waiting.append(text.encode("utf-8", "replace"))
        self.send()

    def send(self) -> None:
        """Send what waits, as far as there is room."""
        while self.waiting:
            known = self._socket
            try:
                if known is None:
                    self._connect()
                self._socket.send(self.waiting[0], _socket.MSG_DONTWAIT)  # type: ignore[union-attr]
                del self.waiting[0]
            except BlockingIOError:
                return
            except OSError:
                self.close()
                if known is None:
                    self.waiting.clear()

    def _connect(self) -> None:
        self._socket = _socket.socket(_socket.AF_UNIX, _socket.SOCK_DGRAM)
        self._socket.setblocking(False)
        self._socket.connect(self._address)

    def close(self) -> None:
        """Close the socket."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None


class RunLog:
    """The run's lines on the log stream, numbered, on their way to the collector."""

    def __init__(self, order: Order) -> None:
        self.names = f'"job":{quote(order["job"])},"run":"{order["run"]}"'
        # No two orders of a run may give a number twice.
        first = (int(order["token"]) << 32) + 1
        spool = f"{order['folder']}/{folder.SPOOL}"
        self.sender = Sender(order["collector"], self._hello, first, spool=spool)

    def _hello(self, first: int) -> bytes:
        return b'{"v":1,%b,"seq":%d}\n' % (self.names.encode(), first)

    def say(self, level: str, event: str, fields: str, at_us: int | None = None) -> None:
        """Put one line about the run itself on the stream; ``fields`` is finished JSON that begins with a comma."""
        start = head(timestamp(time.time_ns() if at_us is None else at_us * 1000), level, f'"{event}"')
        line = f'{start},"source":"run",{self.names},"seq":{self.sender.next_seq}{fields}}}\n'
        self.sender.put(line.encode(), 1, time.monotonic())

    def pass_on(self, message: bytes) -> None:
        """Put what the job's process has logged on the stream. What is not a log event is kept as bytes."""
        seq = self.sender.next_seq
        line = wrap(message, f'"source":"job",{self.names},"seq":{seq}'.encode())
        if line is None:  # other code wrote on the descriptor
            line, _ = Stream("log", self.names).feed(message + b"\n", seq, time.time_ns())
        self.sender.put(line, line.count(b"\n"), time.monotonic())


class JobChannel:
    """The socket to the job's side of akjob; a message is one packet, by its first byte one of those in ``python``."""

    def __init__(self) -> None:
        self._socket, self.job_end = _socket.socketpair(_socket.AF_UNIX, _socket.SOCK_SEQPACKET, 0)
        self._socket.setblocking(False)

    def fileno(self) -> int:
        """Return the descriptor that becomes readable when there is a message; -1 once it is closed."""
        return self._socket.fileno()

    def receive(self) -> bytes | None:
        """Return the next message; None if there is none now. Closed by the other side, it closes."""
        if self._socket.fileno() < 0:
            return None
        try:
            message = self._socket.recv(_MESSAGE)
        except BlockingIOError:
            return None
        except OSError:
            message = b""
        if not message:
            self._socket.close()
            return None
        return message

    def close(self) -> None:
        """Close our end."""
        self._socket.close()


def started(run: str, pid: int, started_us: int, arrived_us: int) -> str:
    """Return the notice that a run has begun, and since when it waited at its gate (0: not known, or it had none)."""
    return f"started {run} {os.getpid()} {pid} {started_us} {arrived_us}"


def ended(run: str, end: str) -> str:
    """Return the notice that a run's end is in its folder, with the end itself unless it is long."""
    return f"ended {run} {os.getpid()}" + (f" {end}" if len(end) < _LONGEST_END else "")


def unable(run: str, token: int, error: OSError, where: str) -> str:
    """Return the notice that a shim cannot begin."""
    return f"unable {run} {os.getpid()} {token} {error.strerror or error}: {error.filename or where}"
