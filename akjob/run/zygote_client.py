"""akjobd's end of the zygote: starting it, sending it orders, hearing which shim took each.

What goes over the socket, and who else reads from it, stands in :mod:`akjob.run.order_socket`.
"""

from __future__ import annotations

import array
import fcntl
import os
import select
import signal
import socket
import sys
import termios
from collections import deque
from pathlib import Path
from typing import TYPE_CHECKING

from msgspec import Struct

import akjob
from akjob.run import order_socket

if TYPE_CHECKING:
    from collections.abc import Iterable

    from akjob.config import Paths

_DESCRIPTOR = 3
_LONGEST_NOTICE = 1 << 16
_BESIDE = socket.CMSG_LEN(array.array("i").itemsize)
_TITLE_ROOM = 240

_BOOT = (
    "import sys; sys.path.insert(0, {home!r}); from akjob.run import child, zygote; "
    "del sys.path[0]; child.LIBRARY_PATH = list(sys.path); zygote.main({descriptor}, {warm_up_in!r})"
)


class Spawned(Struct, frozen=True):
    """The answer to an order: ``pid`` and ``pidfd`` of the shim (-1: it has ended already), or why not.

    ``call_signal`` makes this run's shim read ``stop`` in its folder (:mod:`akjob.run.folder`); ``left`` is the run
    that it looked after before, and is done with.
    """

    run: str
    pid: int = 0
    pidfd: int = -1
    call_signal: int = 0
    left: str = ""
    failed: str = ""


class ZygoteClient:
    """One zygote. When it ends, :attr:`pidfd` becomes readable: :meth:`close` this one and make another."""

    def __init__(self, paths: Paths, *, warm_up: bool = True) -> None:
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        ours.setblocking(False)
        self._socket = ours
        self._outbox: deque[bytes] = deque()
        warm_up_in = str(paths.run_dir) if warm_up else ""
        home = str(Path(akjob.__file__).resolve().parent.parent)
        argv = [
            sys.executable,
            "-I",
            "-S",
            "-X",
            "utf8",
            "-c",
            _BOOT.format(home=home, descriptor=_DESCRIPTOR, warm_up_in=warm_up_in),
            "-" * _TITLE_ROOM,
        ]
        env = {key: value for key, value in os.environ.items() if not key.startswith("SUPERVISOR_")}
        with theirs:
            self.pid = os.posix_spawn(
                sys.executable,
                argv,
                env,
                file_actions=[
                    (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
                    # Never a pipe of supervisord's: a run that outlives it would die of writing to it.
                    (
                        os.POSIX_SPAWN_OPEN,
                        1,
                        str(paths.log_dir / "runs.err"),
                        os.O_WRONLY | os.O_CREAT | os.O_APPEND,
                        0o600,
                    ),
                    (os.POSIX_SPAWN_DUP2, 1, 2),
                    (os.POSIX_SPAWN_DUP2, theirs.fileno(), _DESCRIPTOR),
                ],
                setsid=True,
                setsigmask=(),
                setsigdef=(signal.SIGPIPE, signal.SIGTERM),
            )
        self.pidfd = os.pidfd_open(self.pid)

    def fileno(self) -> int:
        """Return the descriptor on which answers arrive."""
        return self._socket.fileno()

    @property
    def wants_write(self) -> bool:
        """Whether orders wait for room on the way to the zygote."""
        return bool(self._outbox)

    @property
    def unread(self) -> bool:
        """Whether an order waits still for somebody to take it: here, or on the socket (unix(7), SIOCOUTQ)."""
        left = fcntl.ioctl(self._socket, termios.TIOCOUTQ, bytes(4))
        return bool(self._outbox) or int.from_bytes(left, sys.byteorder) > 0

    def send(self, orders: Iterable[bytes]) -> None:
        """Send encoded orders. Never waits: what has no room goes out by :meth:`flush`."""
        self._outbox += orders
        self.flush()

    def flush(self) -> None:
        """Send what waits, as far as there is room. What a dead zygote did not take is lost with it."""
        try:
            while self._outbox:
                self._send(self._outbox[0])
                self._outbox.popleft()
        except BlockingIOError:
            return
        except OSError:
            self._outbox.clear()

    def _send(self, data: bytes) -> None:
        if len(data) <= order_socket.LONGEST:
            self._socket.send(data)
            return
        with open(os.memfd_create("order"), "r+b") as file:
            file.write(data)
            file.seek(0)
            socket.send_fds(self._socket, [order_socket.IN_A_FILE], [file.fileno()])

    def heard(self) -> list[Spawned | bytes]:
        """Return the answers to orders, and the notices of shims, that came since the last call."""
        found: list[Spawned | bytes] = []
        while True:
            try:
                data, ancillary, _, _ = self._socket.recvmsg(_LONGEST_NOTICE, _BESIDE)
            except OSError:
                return found
            if not data:
                return found
            found.append(_answer(data.decode(), ancillary) if data.startswith((b"forked ", b"failed ")) else data)

    def ended(self) -> bool:
        """Whether the zygote is dead; it is reaped then."""
        if not select.select([self.pidfd], [], [], 0)[0]:
            return False
        os.waitpid(self.pid, 0)
        return True

    def close(self) -> None:
        """Let go of the zygote: it ends when it has forked what it was sent. Its shims live on."""
        self._socket.close()
        os.close(self.pidfd)


def _answer(text: str, ancillary: list[tuple[int, int, bytes]]) -> Spawned:
    kind, run, rest = text.split(" ", 2)
    if kind == "failed":
        return Spawned(run, failed=rest)
    pid, call_signal, left = rest.split(" ")
    pidfd = -1
    for level, kind_of, data in ancillary:
        if (level, kind_of) == (socket.SOL_SOCKET, socket.SCM_RIGHTS):
            pidfd = array.array("i", data)[0]
            os.set_inheritable(pidfd, False)
    return Spawned(run, int(pid), pidfd, int(call_signal), left)
