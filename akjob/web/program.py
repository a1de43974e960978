"""``akjob-web``: the program that serves the page and the API. It may die and start again without any run noticing."""

import asyncio
import os
import signal
import socket
import time
from collections.abc import Callable, Sequence
from importlib.util import find_spec
from typing import NoReturn

from akjob import program
from akjob.control import presence
from akjob.program import Program
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
        presence.write(frame.paths, presence.Presence(pid=os.getpid(), off=True, trouble=reason))
        frame.say(reason)
        return _wait
    store = WebStore.open(frame.paths.web_db)
    return lambda: _serve(frame, store)


def unavailable(frame: Program) -> str | None:
    """Return why there is no page at all, with what to do; None if there is one."""
    if not frame.config.web.enabled:
        return "the page is off: enabled = false in [web] of etc/akjob.toml"
    missing = [name for name in NEEDED if find_spec(name) is None]
    if missing:
        return f"the page needs {missing[0]}: pip install 'akjob[web]', then supervisorctl restart akjob-web"
    return None


def _serve(frame: Program, store: WebStore) -> None:
    sockets = _listen(frame)
    try:
        asyncio.run(_serve_on(frame, store, sockets))
    finally:
        store.close()
        presence.remove(frame.paths)


async def _serve_on(frame: Program, store: WebStore, sockets: Sequence[socket.socket]) -> None:
    from akjob.web.app import build_app  # noqa: PLC0415 - only where the extra is installed
    from akjob.web.server import PageServer  # noqa: PLC0415 - as above
    from akjob.web.site import build_site  # noqa: PLC0415 - as above

    site = build_site(frame.paths, frame.config, store, now_us)
    server = PageServer(build_app(site), site.streams.end_all)
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, server.stop)
    await server.serve_on(sockets)
    await site.close()


def _listen(frame: Program) -> list[socket.socket]:
    """Return the listening sockets: at once those that can be had; where none can, as soon as one can."""
    said = False
    while True:
        sockets, errors = listening.open_all(frame.paths, frame.config.web.listen)
        trouble = "; ".join(f"{error.message}. {error.hint}" for error in errors)
        if trouble and not said:
            frame.say(trouble)
            said = True
        presence.write(frame.paths, presence.Presence(pid=os.getpid(), trouble=trouble, serves=bool(sockets)))
        if sockets:
            return sockets
        time.sleep(_TRY_AGAIN_S)  # noqa: TID251 - nothing serves; SIGTERM ends it


def _wait() -> None:
    while True:
        signal.pause()


def _leave(*_: object) -> NoReturn:
    raise SystemExit(0)
