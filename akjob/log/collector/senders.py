"""The senders of the collector: their connections, and what of their lines is not written yet.

A chunk of a connection costs a handful of calls whatever it holds: receive, find the last newline, count the newlines,
write, acknowledge. Memory is bounded: of each connection no more than an unfinished line is kept, and of all together
no more than HELD.
"""

import errno
import selectors
import socket
import time

from akjob.log import index
from akjob.log.collector import spool
from akjob.log.collector.report import report
from akjob.log.collector.spools import LineTarget, Spools

CHUNK = 256 << 10
"""Bytes taken in one turn, shared by the connections that have something, ..."""

LEAST = 32 << 10
"""... but of each so many at least: with a hundred floods a turn still takes some milliseconds only."""

HELD = 64 << 20
"""Bytes of unfinished lines kept for all connections together."""

RETRY_S = 1.0
_ACCEPTS = 64


class Connection:
    """One sender: the beginning of a line that it sent (``tail``), and answers not sent to it yet (``out``)."""

    __slots__ = ("greeted", "key", "mask", "out", "run", "seq", "sock", "tail", "waits_for")

    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock
        self.greeted = False
        self.run: str | None = None
        self.key: bytes | None = None
        self.seq = 0
        self.tail = b""
        self.out = b""
        self.mask = selectors.EVENT_READ
        self.waits_for: str | None = None


class Senders:
    """All connections. ``log`` takes the whole lines, ``spools`` what a sender kept while there was no collector."""

    def __init__(
        self, listener: socket.socket, selector: selectors.BaseSelector, log: LineTarget, spools: Spools
    ) -> None:
        self.due: float | None = None
        """When :meth:`listen` has something to do, a reading of the steady clock."""
        self._listener = listener
        self._selector = selector
        self._log = log
        self._spools = spools
        self._buffer = bytearray(spool.MAX_LINE + CHUNK)
        self._view = memoryview(self._buffer)
        self._connections: set[Connection] = set()
        self._held = 0
        self._waiting: dict[str, list[Connection]] = {}

    def listen(self) -> None:
        """Take connections, or take them again after there was no room for another."""
        self.due = None
        self._listener.setblocking(False)
        self._selector.register(self._listener, selectors.EVENT_READ, self._accept)

    def _accept(self) -> None:
        for _ in range(_ACCEPTS):
            try:
                sock, _address = self._listener.accept()
            except BlockingIOError:
                return
            except OSError as error:
                if error.errno not in (errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.ENOBUFS):
                    continue
                report(
                    f"cannot take another sender: {error}; {len(self._connections)} are connected; next try in a second"
                )
                self._selector.unregister(self._listener)
                self.due = time.monotonic() + RETRY_S
                return
            sock.setblocking(False)
            connection = Connection(sock)
            self._connections.add(connection)
            self._selector.register(sock, selectors.EVENT_READ, connection)

    def _close(self, connection: Connection) -> None:
        if connection not in self._connections:
            return
        self._connections.discard(connection)
        self._held -= len(connection.tail)
        connection.tail = b""
        self._selector.unregister(connection.sock)
        connection.sock.close()
        if connection.run is not None and self._spools.exists(connection.run):
            self._spools.scan_later()

    def _refuse(self, connection: Connection, why: str) -> None:
        report(f"closed a connection of {connection.run or 'an unknown sender'}: {why}")
        fields = {"run": connection.run} if connection.run else {}
        self._close(connection)
        self._log.note("warning", "collector.refused", reason=why, **fields)

    def serve(self, connection: Connection, mask: int, share: int) -> None:
        """Take at most ``share`` bytes of what a connection has, and send it the answer that waits."""
        if mask & selectors.EVENT_WRITE:
            self._tell(connection)
        if not mask & selectors.EVENT_READ or connection not in self._connections:
            return
        kept = len(connection.tail)
        view = self._view
        if kept:
            view[:kept] = connection.tail
        try:
            received = connection.sock.recv_into(view[kept : kept + share])
        except BlockingIOError:
            return
        except OSError:
            received = 0
        if not received:
            self._close(connection)  # half a line at the end is dropped: it was not acknowledged
            return
        end = kept + received
        cut = self._buffer.rfind(b"\n", kept, end) + 1
        if cut and not self._take(connection, cut):
            return
        self._keep(connection, bytes(view[cut:end]))

    def _keep(self, connection: Connection, tail: bytes) -> None:
        self._held += len(tail) - len(connection.tail)
        connection.tail = tail
        if len(tail) > spool.MAX_LINE:
            self._refuse(connection, "a line over 4 MiB")
        elif self._held > HELD:
            # Safe: its sender connects again and sends again what was not acknowledged.
            self._close(max(self._connections, key=lambda each: len(each.tail)))

    def _take(self, connection: Connection, cut: int) -> bool:
        """Write the whole lines in the buffer up to ``cut``; False when the connection is closed."""
        start = 0
        if not connection.greeted:
            start = self._buffer.find(b"\n", 0, cut) + 1
            try:
                hello = spool.parse_hello(bytes(self._view[: start - 1]))
            except ValueError as error:
                self._refuse(connection, f"no hello: {error}")
                return False
            connection.greeted = True
            if hello.spool is not None:
                connection.waits_for = hello.spool
                self._waiting.setdefault(hello.spool, []).append(connection)
                self._spools.ask(hello.spool)
                return connection in self._connections
            connection.run = hello.run
            connection.key = None if hello.run is None else index.key_of(hello.run, hello.job)
            connection.seq = hello.seq - 1
        if connection.waits_for is not None or start == cut:
            return True
        if not self._log.write(self._view[start:cut], connection.key):
            return False
        connection.seq += self._buffer.count(b"\n", start, cut)
        connection.out = self._unsent(connection) + b"%d\n" % connection.seq
        self._tell(connection)
        return connection in self._connections

    @staticmethod
    def _unsent(connection: Connection) -> bytes:
        """Return the end of an answer that was sent in part; whole answers that wait are superseded."""
        head, newline, _ = connection.out.partition(b"\n")
        return head + newline if newline and connection.mask & selectors.EVENT_WRITE else b""

    def _tell(self, connection: Connection) -> None:
        """Send the answers; what the sender does not take yet, later."""
        try:
            sent = connection.sock.send(connection.out)
        except BlockingIOError:
            sent = 0
        except OSError:
            self._close(connection)
            return
        connection.out = connection.out[sent:]
        mask = selectors.EVENT_READ | (selectors.EVENT_WRITE if connection.out else 0)
        if mask != connection.mask:
            connection.mask = mask
            self._selector.modify(connection.sock, mask, connection)

    def replace_listener(self, listener: socket.socket) -> None:
        """Take connections from another socket."""
        if self.due is None:
            self._selector.unregister(self._listener)
        self._listener.close()
        self._listener = listener
        self.listen()

    def answer(self, run: str, text: bytes) -> None:
        """Send the senders that wait for a run's spool what has become of it."""
        for connection in self._waiting.pop(run, []):
            if connection in self._connections:
                connection.out = text
                self._tell(connection)

    def close(self) -> None:
        """Close all connections and the socket; an incomplete line is sent again."""
        self._listener.close()
        for connection in list(self._connections):
            self._close(connection)
