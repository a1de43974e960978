"""The collector's loop: many senders' connections in, one sink out.

A chunk of a connection costs a handful of calls whatever it holds: receive, find the last newline, count the newlines,
write, acknowledge. One chunk a connection a turn, so a flood delays another sender's line by a few chunks at most.
Memory is bounded: of each connection no more than an unfinished line is kept, and of all together no more than HELD.

What is promised by an acknowledgement: the kernel has the line, so neither the collector's death nor anybody's ``kill
-9`` loses it. fdatasync follows within a second (in a thread, for it can take long), so a power failure can cost the
last second's lines. A spool is deleted only after an fdatasync.
"""

import contextlib
import errno
import os
import resource
import selectors
import signal
import socket
import time
from collections.abc import Callable, Iterable
from typing import Protocol

from akjob.log import index
from akjob.log.collector import spool
from akjob.log.collector.report import report
from akjob.log.collector.sink import Sink, event_line
from akjob.log.collector.spools import Spools
from akjob.log.collector.sync import Syncer
from akjob.program import RESTORED

CHUNK = 256 << 10
"""Bytes taken in one turn, shared by the connections that have something, ..."""

LEAST = 32 << 10
"""... but of each so many at least: with a hundred floods a turn still takes some milliseconds only."""

HELD = 64 << 20
"""Bytes of unfinished lines kept for all connections together."""

BACKLOG = 4096
_RETRY_S = 1.0
_PLACES_S = 30.0
_ACCEPTS = 64
_SECOND_US = 1_000_000
_ENDING = frozenset({signal.SIGTERM, signal.SIGINT})


def now_us() -> int:
    """Read the wall clock."""
    return time.time_ns() // 1000


class Upkeep(Protocol):
    """Compresses and removes old files, in a process of its own."""

    def start(self) -> None:
        """Look what there is to do, for a file was finished."""

    def reap(self) -> None:
        """Look after a child process that ended."""


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


class Hub:
    """The loop. ``listener`` listens already; ``runs`` is the runs' folder; ``upkeep`` looks after finished files.

    ``restore`` makes again what else the collector holds open and is gone, and returns the paths.
    """

    def __init__(
        self,
        listener: socket.socket,
        sink: Sink,
        runs: str,
        upkeep: Upkeep,
        restore: Callable[[], Iterable[str]] = tuple,
    ) -> None:
        self._restore = restore
        self._listener = listener
        self._sink = sink
        self._upkeep = upkeep
        self._rotations = sink.rotations
        self._selector = selectors.DefaultSelector()
        self._buffer = bytearray(spool.MAX_LINE + CHUNK)
        self._view = memoryview(self._buffer)
        self._connections: set[Connection] = set()
        self._held = 0
        self._share = CHUNK
        self._signals: set[int] = set()
        self._wake_in, self._wake_out = socket.socketpair()
        self._listen_at: float | None = None
        self._places_at = time.monotonic() + _PLACES_S
        self._waiting: dict[str, list[Connection]] = {}
        self._now_us = now_us()
        self._stop = False
        self._stuck = False
        self._syncer = Syncer(sink.sync_fds, self.wake)
        self._spools = Spools(runs, self, self._syncer, self._answer)

    # -- the life of the loop -----------------------------------------------------------------------------------------

    def wake(self) -> None:
        """Make the loop turn; from another thread or a signal handler."""
        with contextlib.suppress(BlockingIOError, OSError):
            self._wake_out.send(b"\0")

    def on_signal(self, number: int, _frame: object) -> None:
        """Note a signal; the loop acts on it. The one wait that it cannot leave by itself is left by an exception."""
        self._signals.add(number)
        if self._sink.waiting and number in _ENDING:
            raise InterruptedError(errno.EINTR, "asked to stop while standard output took nothing")

    def catch_signals(self) -> None:
        """SIGTERM and SIGINT end the loop, SIGHUP reopens the file, SIGCHLD looks after the upkeep's child."""
        self._wake_in.setblocking(False)
        self._wake_out.setblocking(False)
        signal.set_wakeup_fd(self._wake_out.fileno(), warn_on_full_buffer=False)
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGCHLD):
            signal.signal(number, self.on_signal)

    def run(self) -> None:
        """Work until SIGTERM or SIGINT."""
        self._wake_in.setblocking(False)
        self._wake_out.setblocking(False)
        self._listener.setblocking(False)
        self._selector.register(self._wake_in, selectors.EVENT_READ)
        self._selector.register(self._listener, selectors.EVENT_READ)
        while not self._stop:
            self.turn()
        self._finish()

    def turn(self) -> None:
        """Wait for something to do, and do it."""
        ready = self._selector.select(self._timeout())
        self._now_us = now_us()
        self._share = max(LEAST, CHUNK // max(1, len(ready)))
        for key, mask in ready:
            if key.data is not None:
                self._serve(key.data, mask)
            elif key.fileobj is self._listener:
                self._accept()
            else:
                self._drain_wake()
        self._act_on_signals()
        self._spools.read(CHUNK)
        self._timers()

    def _timeout(self) -> float | None:
        if self._spools.are_read:
            return 0.0
        dues = (self._syncer.due, self._listen_at, self._spools.due, self._places_at)
        times = [at for at in dues if at is not None]
        wait = min(times) - time.monotonic() if times else None
        due_us = self._sink.due_us()
        if due_us is not None:
            seconds = (due_us - now_us()) / _SECOND_US
            wait = seconds if wait is None else min(wait, seconds)
        return None if wait is None else max(0.0, min(wait, 3600.0))

    def _timers(self) -> None:
        now = time.monotonic()
        due_us = self._sink.due_us()
        if due_us is not None and self._now_us >= due_us:
            self._sink.rotate_if_due(self._now_us)
        if self._syncer.due is not None and now >= self._syncer.due:
            self._check_places()
            self._syncer.step()
        if self._listen_at is not None and now >= self._listen_at:
            self._listen_at = None
            self._selector.register(self._listener, selectors.EVENT_READ)
        if now >= self._places_at:
            self._check_places()
        if self._spools.due is not None and now >= self._spools.due:
            self._spools.scan()
        if self._sink.trouble:
            report(self._sink.trouble)
            self._sink.trouble = ""
        if self._sink.rotations != self._rotations:
            self._rotations = self._sink.rotations
            self._upkeep.start()

    def _act_on_signals(self) -> None:
        if not self._signals:
            return
        signals, self._signals = self._signals, set()
        if signals & _ENDING:
            self._stop = True
        if signal.SIGHUP in signals:
            self._reopen()
        if signal.SIGCHLD in signals:
            self._upkeep.reap()

    def _reopen(self) -> None:
        try:
            self._sink.reopen(self._now_us)
        except OSError as error:
            report(f"cannot reopen the log: {error}; trying again each second")
            while not self._stop:
                self._wait_for_signals()
                with contextlib.suppress(OSError):
                    self._sink.open(self._now_us)
                    return

    def _drain_wake(self) -> None:
        with contextlib.suppress(BlockingIOError):
            while self._wake_in.recv(4096):
                continue

    def _finish(self) -> None:
        """Everything that was received is written and acknowledged by now; an incomplete line is sent again."""
        self._listener.close()
        for connection in list(self._connections):
            self._close(connection)
        self._spools.close()
        with contextlib.suppress(OSError):
            if not self._stuck:
                self._sink.append(event_line(now_us(), "info", "collector.stopping", pid=os.getpid()), None, now_us())
        self._syncer.finish(2.0)
        self._sink.close()

    # -- lines in -----------------------------------------------------------------------------------------------------

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
                self._listen_at = time.monotonic() + _RETRY_S
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
        self.note("warning", "collector.refused", reason=why, **fields)

    def note(self, level: str, event: str, **fields: object) -> None:
        """Write an event of the collector's own."""
        self.write(event_line(self._now_us, level, event, **fields), None)

    def _serve(self, connection: Connection, mask: int) -> None:
        if mask & selectors.EVENT_WRITE:
            self._tell(connection)
        if not mask & selectors.EVENT_READ or connection not in self._connections:
            return
        kept = len(connection.tail)
        view = self._view
        if kept:
            view[:kept] = connection.tail
        try:
            received = connection.sock.recv_into(view[kept : kept + self._share])
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
        if not self.write(self._view[start:cut], connection.key):
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

    # -- lines out ----------------------------------------------------------------------------------------------------

    def write(self, data: memoryview | bytes, key: bytes | None) -> bool:
        """Write whole lines. While the disk takes none, wait here: no sender is read or acknowledged, and they spool.

        False: the collector was asked to stop before the disk had room; the lines are not written.
        """
        try:
            self._sink.append(data, key, self._now_us)
        except OSError as error:
            if not self._wait_for_room(data, key, error):
                return False
        self._syncer.written()
        return True

    def _wait_for_room(self, data: memoryview | bytes, key: bytes | None, error: OSError) -> bool:
        report(f"cannot write the log: {error}; senders keep their lines; trying again each second")
        since_us = self._now_us
        while True:
            self._wait_for_signals()
            if (
                self._stop or error.errno == errno.EPIPE
            ):  # a pipe without a reader stays so: the next collector gets a new one
                self._stop = self._stuck = True
                return False
            try:
                self._sink.append(data, key, self._now_us)
            except OSError:
                continue
            report("the log can be written again")
            seconds = round((self._now_us - since_us) / _SECOND_US, 3)
            line = event_line(self._now_us, "error", "collector.stalled", error=str(error), seconds=seconds)
            with contextlib.suppress(OSError):
                self._sink.append(line, None, self._now_us)
            self._spools.scan_later()
            return True

    def _wait_for_signals(self) -> None:
        with selectors.DefaultSelector() as signals:
            signals.register(self._wake_in, selectors.EVENT_READ)
            signals.select(_RETRY_S)
        self._drain_wake()
        self._now_us = now_us()
        if self._signals & _ENDING:
            self._stop = True

    def _check_places(self) -> None:
        """Make again what was removed: the log within a second of writing, everything else within half a minute."""
        self._places_at = time.monotonic() + _PLACES_S
        lost = []
        try:
            lost = [str(path) for path in (self._sink.restore(self._now_us), *self._restore()) if path]
        except OSError as error:
            report(f"the log is not in its place any more, and cannot be opened: {error}; trying again each second")
            self._places_at = time.monotonic() + _RETRY_S
        for path in lost:
            report(f"{path}: {RESTORED}")
            self.note("warning", "var.restored", path=path, message=RESTORED)

    def replace_listener(self, listener: socket.socket) -> None:
        """Take connections from another socket."""
        if self._listen_at is None:
            self._selector.unregister(self._listener)
        self._listener.close()
        self._listener, self._listen_at = listener, None
        self._selector.register(listener, selectors.EVENT_READ)

    # -- spools -------------------------------------------------------------------------------------------------------

    def _answer(self, run: str, text: bytes) -> None:
        for connection in self._waiting.pop(run, []):
            if connection in self._connections:
                connection.out = text
                self._tell(connection)


def raise_open_files() -> None:
    """Take as many descriptors as the system allows: each run has a connection."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        with contextlib.suppress(OSError, ValueError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
