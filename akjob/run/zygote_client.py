"""akjobd's end of the zygote: it is started, sent orders, and answers which shim has taken each.

What goes over the socket, and who else reads from it, is in :mod:`akjob.run.order_socket`.
"""

from __future__ import annotations

import array
import fcntl
import os
import pwd
import select
import selectors
import signal
import socket
import sys
import termios
from collections import deque
from pathlib import Path
from typing import TYPE_CHECKING

from msgspec import Struct

import akjob
from akjob.processes import is_given
from akjob.run import order_socket

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from akjob.config import Paths

_DESCRIPTOR = 3
_LONGEST_NOTICE = 1 << 16
_BESIDE = socket.CMSG_LEN(array.array("i").itemsize)
_TITLE_ROOM = 240
_QUICK_US = 1_000_000

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


class Zygote:
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
        env = _environment()
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
        """Return whether orders wait for room on the way to the zygote."""
        return bool(self._outbox)

    @property
    def unread(self) -> bool:
        """Return whether an order is not taken yet: it waits here, or on the socket (unix(7), SIOCOUTQ)."""
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

    def received(self) -> list[Spawned | bytes]:
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
        """Return whether the zygote is dead; it is reaped then."""
        if not select.select([self.pidfd], [], [], 0)[0]:
            return False
        os.waitpid(self.pid, 0)
        return True

    def close(self) -> None:
        """Close the socket: the zygote ends when it has forked what it was sent. Its shims live on."""
        self._socket.close()
        os.close(self.pidfd)


def _environment() -> dict[str, str]:
    """Return the environment of all jobs: akjobd's, with what its user has where that is not set.

    Without what supervisord says of akjobd, and what Python itself has set, here or in the supervisord above us.
    """
    kept = {key: value for key, value in os.environ.items() if not key.startswith("SUPERVISOR_")}
    if not is_given("LC_CTYPE", os.environ):
        kept.pop("LC_CTYPE", None)
    try:
        user = pwd.getpwuid(os.geteuid())
    except KeyError:
        return kept
    own = {"HOME": user.pw_dir, "USER": user.pw_name, "LOGNAME": user.pw_name, "SHELL": user.pw_shell or "/bin/sh"}
    return own | kept


class ZygoteClient:
    """Keeps one zygote running. Orders that are sent while there is none go out with the next one.

    ``receive`` gets every answer and notice; ``gone`` is called when a zygote has ended and all it said is received.
    ``start`` starts one. Call :meth:`step` at :attr:`due_us`; :attr:`trouble` says why there is none.
    """

    def __init__(
        self,
        start: Callable[[], Zygote],
        selector: selectors.BaseSelector,
        now_us: Callable[[], int],
        *,
        receive: Callable[[Spawned | bytes], None],
        gone: Callable[[], None],
    ) -> None:
        self._start = start
        self._selector = selector
        self._now_us = now_us
        self._receive = receive
        self._gone = gone
        self._zygote: Zygote | None = None
        self._backlog: list[bytes] = []
        self._watched = 0
        self._reads = True
        self.since_us = 0
        self.due_us: int | None = None
        self.trouble = ""

    @property
    def pid(self) -> int:
        """The zygote's process id, 0 when there is none."""
        return 0 if self._zygote is None else self._zygote.pid

    @property
    def unread(self) -> bool:
        """Return whether an order is not taken yet by a process that could."""
        return self._zygote is None or self._zygote.unread

    def start(self) -> None:
        """Start a zygote and send it what waits; where that cannot be, try again in a second."""
        self.due_us = None
        try:
            zygote = self._start()
        except OSError as error:
            self._fail(f"it cannot be started: {error.strerror}")
            return
        self._zygote = zygote
        self.since_us = self._now_us()
        self._watch()
        self._selector.register(zygote.pidfd, selectors.EVENT_READ, self._ended)
        backlog, self._backlog = self._backlog, []
        self.send(backlog)

    def step(self, now_us: int) -> None:
        """Start one if it is time to."""
        if self.due_us is not None and now_us >= self.due_us:
            self.start()

    def has_nothing_due(self, now_us: int) -> bool:
        """Return True unless the last one ended as soon as it was started, or could not be started."""
        return self.due_us is None and now_us - self.since_us > _QUICK_US

    def send(self, orders: list[bytes]) -> None:
        """Send encoded orders, or keep them for the next zygote."""
        if self._zygote is None:
            self._backlog += orders
        elif orders:
            self._zygote.send(orders)
            self._watch()

    def read(self, *, at_once: bool) -> None:
        """Receive answers and notices as they come, or at the next call of this."""
        self._reads = at_once
        if at_once and not self._watched & selectors.EVENT_READ:
            self._ready(selectors.EVENT_READ)
        self._watch()

    def close(self) -> None:
        """Close the connection to the zygote."""
        if self._zygote is not None:
            self._drop(self._zygote)

    def _fail(self, why: str) -> None:
        self.trouble = why
        self.due_us = self._now_us() + _QUICK_US

    def _watch(self) -> None:
        """Make the selector wait for what there is to read from the zygote, and for room for what there is to send."""
        zygote = self._zygote
        if zygote is None:
            return
        before = self._watched
        self._watched = selectors.EVENT_READ * self._reads | selectors.EVENT_WRITE * zygote.wants_write
        if before == self._watched:
            return
        if not before:
            self._selector.register(zygote, self._watched, self._ready)
        elif self._watched:
            self._selector.modify(zygote, self._watched, self._ready)
        else:
            self._selector.unregister(zygote)

    def _ready(self, mask: int) -> None:
        zygote = self._zygote
        if zygote is None:
            return
        if mask & selectors.EVENT_WRITE:
            zygote.flush()
            self._watch()
        for answer in zygote.received():
            self._receive(answer)

    def _ended(self, _mask: int) -> None:
        zygote = self._zygote
        if zygote is None or not zygote.ended():
            return
        self._ready(selectors.EVENT_READ)
        self._drop(zygote)
        self._gone()
        if self._now_us() - self.since_us < _QUICK_US:
            self._fail("it ended as soon as it was started: see var/log/runs.err")
        else:
            self.trouble = f"the zygote {zygote.pid} ended; another one is started"
            self.start()

    def _drop(self, zygote: Zygote) -> None:
        if self._watched:
            self._selector.unregister(zygote)
        self._selector.unregister(zygote.pidfd)
        zygote.close()
        self._zygote = None
        self._watched = 0


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
