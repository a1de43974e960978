"""What akjobd looks after below ``var/``: what it holds open itself, and what supervisord does.

inotify wakes the loop up when one of these is removed; each scan looks at all of them, too. The loop makes them again.
"""

import os
import selectors
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from akjob.akjobd.loop import Loop
from akjob.akjobd.writer import Writer
from akjob.config import Paths
from akjob.control.server import Server
from akjob.daemon_log import Say
from akjob.errors import AkjobError
from akjob.program import Holding, Holdings, HoldingsWatch, Listener, Lock, folder, lock_of
from akjob.run.shims import ShimManager

_BEGIN_AGAIN = (
    "import os, signal, sys; from supervisor.options import ServerOptions; "
    "ServerOptions().realize(['-c', sys.argv[1]]); os.kill(int(sys.argv[2]), signal.SIGHUP)"
)


class Places:
    """The loop's side: what is held open, watched from :meth:`begin` on."""

    def __init__(  # noqa: PLR0913 - all that is held
        self,
        loop: Loop,
        paths: Paths,
        *,
        lock: Lock,
        listener: Listener,
        server: Server,
        shims: ShimManager,
        writer: Writer,
        is_draining: Callable[[], bool],
        say: Say,
    ) -> None:
        own = _own(paths, lock=lock, listener=listener, server=server, shims=shims, writer=writer)
        supervisord = Supervisord(paths, is_draining)
        others = supervisord.holdings() if supervisord.is_of(paths, os.environ) else ()
        self.held = Holdings((*own, *others), say)
        self._loop = loop
        self._watch: HoldingsWatch | None = None
        loop.when_due("places", lambda _now: self._look(), self._due_us)

    def begin(self) -> None:
        """Begin to watch: everything is there now."""
        self._watch = watch = HoldingsWatch(self.held)
        if watch.fileno() >= 0:
            self._loop.selector.register(watch, selectors.EVENT_READ, lambda _mask: watch.note())

    def _look(self) -> None:
        if self._watch is not None:
            self._watch.look()

    def _due_us(self) -> int | None:
        return None if self._watch is None else self._loop.instant_of(self._watch.due)


def _own(  # noqa: PLR0913 - as above
    paths: Paths, *, lock: Lock, listener: Listener, server: Server, shims: ShimManager, writer: Writer
) -> Iterator[Holding]:
    """Yield what akjobd holds open, the outer folders first."""
    yield from map(folder, (paths.var, paths.run_dir, paths.runs, paths.folder_pool, paths.log_dir))
    yield lock_of(lock)
    yield Holding(listener.path, listener.is_in_place, lambda: server.replace(listener.renew()))
    yield Holding(paths.shims_socket, shims.is_reachable, shims.rebind)
    yield Holding(paths.db, lambda: writer.store.is_in_place(), lambda: writer.store.put_back())  # noqa: PLW0108 - the store of then
    said = paths.log_dir / "runs.err"
    yield Holding(
        said,
        _SeenBefore(said),
        lambda: os.kill(shims.zygote.pid, signal.SIGTERM),
        message="another program removed it; the zygote is started again, which writes to it; runs go on",
    )


class Supervisord:
    """The supervisord that started akjobd, where its socket is the root's: what it holds open below ``var/``.

    It makes its socket only when it begins, so it is asked to begin again, by SIGHUP: it ends its programs and starts
    them. It would end itself over a configuration that it cannot read, so that is tried before.
    """

    def __init__(self, paths: Paths, is_draining: Callable[[], bool]) -> None:
        self._paths = paths
        self._is_draining = is_draining
        self._pid = os.getppid()
        self._beginning: subprocess.Popen[bytes] | None = None

    @staticmethod
    def is_of(paths: Paths, environment: Mapping[str, str]) -> bool:
        """Return True if this process is a program of the supervisord of the root, and not of another one."""
        socket = environment.get("SUPERVISOR_SERVER_URL", "").removeprefix("unix://")
        return bool(socket) and os.path.realpath(socket) == os.path.realpath(paths.supervisor_socket)

    def holdings(self) -> Iterator[Holding]:
        """Yield what it holds open, as far as it was there when akjobd began: it may be configured otherwise."""
        number = self._paths.run_dir / "supervisord.pid"
        yield Holding(number, _SeenBefore(number), lambda: number.write_text(f"{self._pid}\n", encoding="ascii"))
        names = ("supervisord.log", "akjobd.out", "akjob-collector.out", "akjob-web.out", "akjob-notify.out")
        for said in (self._paths.log_dir / name for name in (*names, "akjob-node.out")):
            yield Holding(said, _SeenBefore(said), self._reopen)
        socket = self._paths.supervisor_socket
        yield Holding(
            socket,
            _SeenBefore(socket),
            self._begin_again,
            message="another program removed it; supervisord begins again, which makes it, and runs go on",
        )

    def _reopen(self) -> None:
        os.kill(self._pid, signal.SIGUSR2)

    def _begin_again(self) -> None:
        if self._is_draining():
            raise AkjobError("akjob goes down, and supervisord with it")
        if self._beginning is not None and self._beginning.poll():
            raise AkjobError("supervisord could not read its configuration again: see var/log/akjobd.out")
        if self._beginning is not None:
            return  # it ends its programs, this one too, or is about to
        argv = [sys.executable, "-P", "-c", _BEGIN_AGAIN, str(self._paths.etc / "supervisord.conf"), str(self._pid)]
        self._beginning = subprocess.Popen(argv, stdin=subprocess.DEVNULL)


class _SeenBefore:
    """Notices that a file is gone which was there before; one that was never there is not missed."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._seen = False

    def __call__(self) -> bool:
        is_there = self._path.exists()
        self._seen = self._seen or is_there
        return is_there or not self._seen
