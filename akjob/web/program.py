"""``akjob-web``: the program that serves the page and the API. It may die and start again without any run noticing."""

import asyncio
import os
import signal
import socket
import time
from collections.abc import Callable, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import NoReturn

from akjob import program
from akjob.control import presence
from akjob.control.presence import Presence
from akjob.processes import identity
from akjob.program import Holding, Holdings, HoldingsWatch, Program
from akjob.web import listening
from akjob.web.store import WebStore

NEEDED = ("starlette", "uvicorn", "jinja2", "prometheus_client")
_TRY_AGAIN_S = 15.0


def now_us() -> int:
    """Read the wall clock."""
    return time.time_ns() // 1000


def main() -> NoReturn:
    """Run akjob-web of the root that ``--root``, ``$AKJOB_ROOT`` or the working folder names."""
    program.run(presence.NAME, build)


def build(frame: Program) -> Callable[[], None]:
    """Return what works until SIGTERM. What keeps the page away is said once, and then waited out: nothing spins."""
    signal.signal(signal.SIGTERM, _leave)  # for as long as nothing serves
    for problem in frame.problems:
        frame.say(str(problem))
    reason = unavailable(frame)
    if reason is not None:
        frame.say(reason)
        return _PageProgram(frame, None, Presence(pid=os.getpid(), off=True, trouble=reason)).wait
    store = WebStore.open(frame.paths.web_db)
    return _PageProgram(frame, store, Presence(pid=os.getpid())).serve


def unavailable(frame: Program) -> str | None:
    """Return why there is no page at all, with what to do; None if there is one."""
    if not frame.config.web.enabled:
        return "the page is off: enabled = false in [web] of etc/akjob.toml"
    missing = [name for name in NEEDED if find_spec(name) is None]
    if missing:
        return f"the page needs {missing[0]}: pip install 'akjob[web]', then supervisorctl restart akjob-web"
    return None


class _PageProgram:
    """akjob-web at work: it looks after what it holds open, and says of itself whether it serves."""

    def __init__(self, frame: Program, store: WebStore | None, found: Presence) -> None:
        self._frame = frame
        self._store = store
        self._presence = found
        presence.write(frame.paths, found)
        held = [*frame.holdings(), presence.holding(frame.paths, lambda: self._presence)]
        if store is not None:
            held.append(store.holding())
        self._watch = HoldingsWatch(Holdings(held, frame.report))

    def wait(self) -> None:
        """Wait for SIGTERM: there is no page."""
        self._watch.wait()

    def serve(self) -> None:
        """Serve as soon as there is an address to listen on."""
        if self._store is None:
            return
        sockets = self._listen()
        try:
            asyncio.run(self._serve_on(sockets, self._store))
        finally:
            self._store.close()
            presence.remove(self._frame.paths)

    async def _serve_on(self, sockets: Sequence[socket.socket], store: WebStore) -> None:
        from akjob.web.app import build_app  # noqa: PLC0415 - only where the extra is installed
        from akjob.web.server import PageServer  # noqa: PLC0415 - as above
        from akjob.web.site import build_site  # noqa: PLC0415 - as above

        loop = asyncio.get_running_loop()
        site = build_site(self._frame.paths, self._frame.config, store, now_us)
        server = PageServer(build_app(site), site.streams.end_all)
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, server.stop)
        held = [
            *self._frame.holdings(),
            presence.holding(self._frame.paths, lambda: self._presence),
            store.holding(),
            *(self._socket_holding(path, server.stop) for path in self._paths()),
        ]
        HoldingsWatch(Holdings(held, site.log.tell)).attach(loop)
        await server.serve_on(sockets)
        await site.close()

    def _paths(self) -> list[Path]:
        """Return the Unix sockets that are listened on."""
        root = self._frame.paths.root
        return [root / one.path for one in self._frame.config.web.listen if one.path and (root / one.path).exists()]

    def _socket_holding(self, path: Path, end: Callable[[], None]) -> Holding:
        """Return the holding of a Unix socket. There is no other one within this life: supervisord begins the next."""
        known = identity(path)
        message = "another program removed it; akjob-web starts again, which makes it"
        return Holding(path, lambda: identity(path) == known, end, message=message)

    def _listen(self) -> list[socket.socket]:
        """Return the listening sockets: at once those that can be had; where none can, as soon as one can."""
        said = False
        while True:
            sockets, errors = listening.open_all(self._frame.paths, self._frame.config.web.listen)
            trouble = "; ".join(f"{error.message}. {error.hint}" for error in errors)
            if trouble and not said:
                self._frame.say(trouble)
                said = True
            self._presence = Presence(pid=os.getpid(), trouble=trouble, serves=bool(sockets))
            presence.write(self._frame.paths, self._presence)
            if sockets:
                return sockets
            self._watch.wait(_TRY_AGAIN_S)


def _leave(*_: object) -> NoReturn:
    raise SystemExit(0)
