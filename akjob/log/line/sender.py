"""The sending end of the log stream: keeps every line until the collector has acknowledged it.

Used by the shims and by akjobd. It never blocks: its owner waits for :meth:`Sender.fileno` in its own selector and
calls :meth:`Sender.step`. Part of the zygote, so it imports next to nothing.

On the wire (``var/run/collector.sock``, a stream) the sender says hello, ``{"v":1,"job":…,"run":…,"seq":FIRST}``, and
sends finished JSON lines; line k after the hello has the number FIRST + k. The collector answers with the highest
number that is on disk, in decimal, a line each time. After a reconnect the sender says hello with its first
unacknowledged number and sends again from there, so a line can arrive twice, never not at all.
"""

from __future__ import annotations

import _socket
import errno
import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

SILENCE_S = 5.0
"""So long without an acknowledgement, and what waits goes into the spool file."""

WINDOW = 1 << 20
"""Bytes kept in memory, sent or not; the owner stops producing above it (back-pressure)."""

_RETRY_S = 0.05
_RETRY_MAX_S = 1.0
_CHUNK = 256 * 1024


class Sender:
    """Lines on their way to the collector, in memory, and in a spool file while the collector is silent.

    ``hello`` makes the first line of a connection from the number of the next line. ``spool`` is the path of the spool
    file, or None: then nothing is ever spooled and what exceeds the window makes :attr:`full` true. ``careful``: lines
    do not wait for the silence in memory when no collector is there.
    ``now`` is ``time.monotonic()`` of the caller, seconds.
    """

    def __init__(
        self,
        address: str,
        hello: Callable[[int], bytes],
        first_seq: int = 1,
        spool: str | None = None,
        *,
        careful: bool = False,
    ) -> None:
        self.address = address
        self.careful = careful
        self.hello = hello
        self.spool = spool
        self.next_seq = first_seq
        self.acked = first_seq - 1
        # (first number, lines, bytes), in order; the first `_sent` of them are on the wire
        self._queue: list[tuple[int, int, bytes]] = []
        self._overflow: list[bytes] = []  # what the spool file could not take, its disk being full
        self._held = 0
        self._sent = 0
        self._outbox = b""
        self._inbox = b""
        self._socket: _socket.socket | None = None
        self._retry_at = 0.0
        self._retry_s = _RETRY_S
        self._heard_at: float | None = None
        self._spool_fd: int | None = None
        self._spool_read = 0
        self._spool_end = 0
        self._spool_seq = 0

    # -- what the owner puts in -----------------------------------------------------------------------------------

    def put(self, data: bytes, lines: int, now: float) -> None:
        """Take ``lines`` complete lines; they have the numbers from :attr:`next_seq` on."""
        if self._heard_at is None:
            self._heard_at = now
        first = self.next_seq
        self.next_seq = first + lines
        if self._spool_fd is not None:
            self._overflow.append(data)
            self._held += len(data)
            self._append()
            return
        self._queue.append((first, lines, data))
        self._held += len(data)

    @property
    def full(self) -> bool:
        """Return whether the owner should wait with producing more."""
        return self._held > WINDOW or bool(self._overflow)

    @property
    def idle(self) -> bool:
        """Return whether every line is acknowledged."""
        return self.acked == self.next_seq - 1

    # -- what the owner's loop asks -----------------------------------------------------------------------------------

    def fileno(self) -> int:
        """Return the descriptor to wait for, -1 when not connected."""
        return -1 if self._socket is None else self._socket.fileno()

    @property
    def wants_write(self) -> bool:
        """Return whether the owner should wait for the descriptor to be writable as well as readable."""
        return bool(self._outbox) or self._sent < len(self._queue)

    def deadline(self, now: float) -> float | None:
        """Return when :meth:`step` must be called although nothing happened; None for never."""
        if self.idle:
            return None
        times = []
        if self._socket is None:
            times.append(self._retry_at)
        if self.spool is not None and self._spool_fd is None and self._heard_at is not None:
            times.append(self._heard_at + SILENCE_S)
        return max(now, min(times)) if times else None

    def step(self, now: float) -> None:
        """Connect, send, read acknowledgements, spool: whatever can be done now without waiting."""
        if self.idle and self._socket is None:
            return
        if self._socket is None and now >= self._retry_at:
            self._connect(now)
        if self._socket is not None:
            self._read(now)
        self._append()
        self._load()
        if self._socket is not None:
            self._write(now)
        if self.idle:
            self._heard_at = None
        if self._spool_fd is not None and self._spool_read == self._spool_end and not self.silent(now):
            self._drop_spool()  # the rest is in memory, on its way to a collector that answers
        elif self.spool is not None and self._spool_fd is None and (self.silent(now) or self._alone):
            self._try_spool(self.spool, now)

    @property
    def _alone(self) -> bool:
        """Return whether a careful sender has lines and no collector to send them to."""
        return self.careful and self._socket is None and bool(self._queue)

    def silent(self, now: float) -> bool:
        """Return whether lines wait and nothing was acknowledged for SILENCE_S."""
        return not self.idle and self._heard_at is not None and now - self._heard_at >= SILENCE_S

    def save(self, now: float) -> None:
        """Make sure that every unacknowledged line is in the spool file. Raises OSError when it cannot."""
        if self.idle or self.spool is None:
            return
        if self._spool_fd is None:
            self._start_spool(self.spool, now)
        self._append()
        if self._overflow:
            raise OSError(errno.ENOSPC, "the spool file cannot take the last lines", self.spool)

    def close(self) -> None:
        """Close the connection; what was not acknowledged stays in the spool file if :meth:`save` was called."""
        self._hang_up()
        if self._spool_fd is not None:
            os.close(self._spool_fd)
            self._spool_fd = None

    # -- the connection -----------------------------------------------------------------------------------------------

    def _hang_up(self) -> None:
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def _connect(self, now: float) -> None:
        sock = _socket.socket(_socket.AF_UNIX, _socket.SOCK_STREAM)
        try:
            os.set_inheritable(sock.fileno(), False)
            sock.setblocking(False)
            sock.connect(self.address)
        except OSError:  # not there, or its backlog is full: come back
            sock.close()
            self._retry_at = now + self._retry_s
            self._retry_s = min(self._retry_s * 2, _RETRY_MAX_S)
            return
        self._socket = sock
        self._retry_s = _RETRY_S
        self._sent = 0
        self._inbox = b""
        first = self._queue[0][0] if self._queue else self._spool_seq if self._spool_fd is not None else self.next_seq
        self._outbox = self.hello(first)

    def _lost(self, now: float) -> None:
        self._hang_up()
        self._retry_at = now
        self._sent = 0
        self._outbox = b""

    def _read(self, now: float) -> None:
        while self._socket is not None:
            try:
                data = self._socket.recv(4096)
            except BlockingIOError:
                return
            except OSError:
                self._lost(now)
                return
            if not data:
                self._lost(now)
                return
            whole, newline, rest = (self._inbox + data).rpartition(b"\n")
            self._inbox = rest
            if newline:
                self._acknowledged(int(whole.rpartition(b"\n")[2]), now)

    def _acknowledged(self, seq: int, now: float) -> None:
        if seq <= self.acked:
            return
        self.acked = seq
        self._heard_at = now
        done = 0
        for first, lines, data in self._queue:
            if first + lines - 1 > seq:
                break
            self._held -= len(data)
            done += 1
        del self._queue[:done]
        self._sent = max(0, self._sent - done)

    def _write(self, now: float) -> None:
        while self._socket is not None:
            if not self._outbox:
                if self._sent >= len(self._queue):
                    return
                # Small lines go out together: one call, one acknowledgement.
                parts, size = [], 0
                while self._sent < len(self._queue) and size < _CHUNK:
                    data = self._queue[self._sent][2]
                    parts.append(data)
                    size += len(data)
                    self._sent += 1
                self._outbox = parts[0] if len(parts) == 1 else b"".join(parts)
            try:
                n = self._socket.send(self._outbox)
            except BlockingIOError:
                return
            except OSError as error:
                if error.errno not in (errno.EPIPE, errno.ECONNRESET, errno.ENOTCONN):
                    raise
                self._lost(now)
                return
            self._outbox = self._outbox[n:]

    # -- the spool file -----------------------------------------------------------------------------------------------

    def _try_spool(self, path: str, now: float) -> None:
        try:
            self._start_spool(path, now)
        except OSError:
            self._heard_at = now  # its disk is full: again after the next silence

    def _start_spool(self, path: str, now: float) -> None:
        """Move what waits in memory into the file. On a full disk it stays in memory, and the job waits for room."""
        first = self._queue[0][0]
        head = self.hello(first)
        temporary = path + ".new"
        fd = os.open(temporary, os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        try:
            _write_all(fd, head)
            for _, _, data in self._queue:
                _write_all(fd, data)
            os.rename(temporary, path)
        except OSError:
            os.close(fd)
            _remove(temporary)
            raise
        self._spool_fd = fd
        self._spool_read = len(head)
        self._spool_end = len(head) + sum([len(data) for _, _, data in self._queue])
        self._spool_seq = first
        self._queue.clear()
        self._held = 0
        # The connection may be in the middle of a line: the next one starts afresh, from the file.
        self._lost(now)

    def _append(self) -> None:
        """Move what came since the last call into the spool file, as far as its disk takes it."""
        if self._spool_fd is None:
            return
        while self._overflow:
            data = self._overflow[0]
            try:
                _write_all(self._spool_fd, data)
            except OSError:
                os.ftruncate(self._spool_fd, self._spool_end)
                os.lseek(self._spool_fd, self._spool_end, os.SEEK_SET)
                return
            del self._overflow[0]
            self._held -= len(data)
            self._spool_end += len(data)

    def _load(self) -> None:
        """Take the next piece of the spool file into memory, once there is room and a collector to send it to."""
        if self._spool_fd is None or self._socket is None:
            return
        while self._spool_read < self._spool_end and self._held < _CHUNK:
            size = _CHUNK
            while True:
                data = os.pread(self._spool_fd, size, self._spool_read)
                cut = data.rfind(b"\n") + 1
                if cut:
                    break
                size *= 4
            data = data[:cut]
            lines = data.count(b"\n")
            self._queue.append((self._spool_seq, lines, data))
            self._held += len(data)
            self._spool_seq += lines
            self._spool_read += len(data)

    def _drop_spool(self) -> None:
        if self._spool_fd is not None and self.spool is not None:
            os.close(self._spool_fd)
            self._spool_fd = None
            _remove(self.spool)


def _write_all(fd: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(fd, view) :]


def _remove(path: str) -> None:
    try:
        os.unlink(path)
    except FileNotFoundError:
        return
