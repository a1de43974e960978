"""akjob-web of a test: the real application behind the real server, on a loopback port, in a thread."""

import asyncio
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from secrets import token_hex
from typing import Any

import httpx

from akjob.config import Config
from akjob.config.web import Address, WebConfig
from akjob.query.visibility import Scope
from akjob.web.app import build_app
from akjob.web.server import PageServer
from akjob.web.site import Site, build_site
from akjob.web.store import WebStore
from tests.unit.cli.root import NOW_US, Root

SAME = {"Sec-Fetch-Site": "same-origin"}


class Clock:
    """The clock that the site reads; a test moves it."""

    def __init__(self) -> None:
        self.now_us = NOW_US

    def __call__(self) -> int:
        """Return the instant."""
        return self.now_us


class Served:
    """One root that is served, and clients with credentials of every kind."""

    def __init__(self, root: Root, store: WebStore, clock: Clock, port: int) -> None:
        self.root = root
        self.store = store
        self.clock = clock
        self.port = port
        self.site: Site | None = None
        self._clients: list[httpx.Client] = []

    @property
    def url(self) -> str:
        """Where it is."""
        return f"http://127.0.0.1:{self.port}"

    def nobody(self) -> httpx.Client:
        """Return a client without a credential."""
        client = httpx.Client(base_url=self.url, timeout=20)
        self._clients.append(client)
        return client

    def token(self, scope: Scope = "read", jobs: str | None = None, name: str = "") -> httpx.Client:
        """Return a client with a new token."""
        name = name or f"{scope}-{token_hex(4)}"
        made = self.store.create_token(name, scope, jobs, None, self.clock.now_us)
        client = self.nobody()
        client.headers["Authorization"] = f"Bearer {made.token}"
        return client

    def browser(self, by: str = "ada") -> httpx.Client:
        """Return a client that has logged in with a code, and sends what a browser does."""
        client = self.nobody()
        code = self.store.create_code(by, self.clock.now_us)
        assert client.get("/login", params={"code": code}).status_code == 303
        client.headers.update(SAME)
        return client

    def close(self) -> None:
        """Close all clients."""
        for client in self._clients:
            client.close()


@contextmanager
def served(root: Root, web: WebConfig | None = None, config: Config | None = None) -> Iterator[Served]:
    """Serve a root while the block runs; where ``web`` is not given, on the loopback address alone."""
    listener = socket.create_server(("127.0.0.1", 0))
    listener.setblocking(False)
    port = listener.getsockname()[1]
    settings = config or Config(web=web or WebConfig(listen=(Address("127.0.0.1", port),)))
    clock = Clock()
    with WebStore.open(root.paths.web_db) as store:
        here = Served(root, store, clock, port)
        with _in_thread(lambda: _serve(here, settings, store, clock, listener)):
            try:
                yield here
            finally:
                here.close()


@contextmanager
def _in_thread(serve: Callable[[], Any]) -> Iterator[None]:
    started = threading.Event()
    running: list[tuple[asyncio.AbstractEventLoop, PageServer]] = []

    async def main() -> None:
        site, server, sock = serve()
        running.append((asyncio.get_running_loop(), server))
        started.set()
        await server.serve_on([sock])
        await site.close()

    thread = threading.Thread(target=lambda: asyncio.run(main()), name="akjob-web")
    thread.start()
    assert started.wait(20)
    try:
        yield
    finally:
        loop, server = running[0]
        loop.call_soon_threadsafe(server.stop)
        thread.join(20)


def _serve(
    here: Served, settings: Config, store: WebStore, clock: Clock, listener: socket.socket
) -> tuple[Site, PageServer, socket.socket]:
    site = here.site = build_site(here.root.paths, settings, store, clock)
    return site, PageServer(build_app(site), site.streams.end_all), listener
