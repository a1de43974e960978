"""uvicorn as akjob-web runs it: asleep without requests, closed to slow clients, gone within a second."""

import asyncio
import socket
from collections.abc import Callable, Sequence
from typing import Any

from uvicorn import Config, Server
from uvicorn.protocols.http.h11_impl import H11Protocol

HEAD_S = 10.0
"""So long a client has for the head of a request."""

STALLED_S = 30.0
"""So long an answer may wait for a client that takes nothing of it."""

MOST_CONNECTIONS = 1500
_KEEP_ALIVE_S = 15
_GRACE_S = 0.6
_LAST_WORDS_S = 0.1
_HEAD_BYTES = 32 * 1024


class Protocol(H11Protocol):
    """A connection that is closed when the head of a request does not come in time, or an answer is not taken."""

    _head: asyncio.TimerHandle | None = None
    _full: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begin to wait for the head of a request."""
        super().connection_made(transport)
        self._head = self.loop.call_later(HEAD_S, self._give_up)

    def handle_events(self) -> None:
        """Wait no more once the head is there."""
        before = self.cycle
        super().handle_events()
        if self.cycle is not before and self._head is not None:
            self._head.cancel()
            self._head = None

    def on_response_complete(self) -> None:
        """Begin to wait again, on a connection that is kept."""
        super().on_response_complete()
        if not self.transport.is_closing() and self._head is None:
            self._head = self.loop.call_later(_KEEP_ALIVE_S + HEAD_S, self._give_up)

    def connection_lost(self, exc: Exception | None) -> None:
        """Wait no more."""
        for wait in (self._head, self._full):
            if wait is not None:
                wait.cancel()
        self._head = self._full = None
        super().connection_lost(exc)

    def pause_writing(self) -> None:
        """Begin to wait for a client that takes nothing of an answer."""
        super().pause_writing()
        if self._full is None:
            self._full = self.loop.call_later(STALLED_S, self._give_up)

    def resume_writing(self) -> None:
        """Wait no more once it has taken most of what was sent."""
        super().resume_writing()
        if self._full is not None:
            self._full.cancel()
            self._full = None

    def _give_up(self) -> None:
        self._head = self._full = None
        self.transport.abort()


class PageServer(Server):
    """Serves an application until it is stopped. Nothing in it ticks, so an idle program sleeps."""

    def __init__(self, app: object, ending: Callable[[], None]) -> None:
        super().__init__(_settings(app))
        self._ending = ending
        self._asked = asyncio.Event()

    async def serve_on(self, sockets: Sequence[socket.socket]) -> None:
        """Serve on sockets that listen already."""
        self.config.load()
        self.lifespan = self.config.lifespan_class(self.config)
        await self.startup(sockets=list(sockets))
        await self._asked.wait()
        await self.shutdown(sockets=list(sockets))

    def stop(self) -> None:
        """Ask the server to stop; a handler of signals may do so."""
        self._asked.set()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """End within a second: streams are asked to end, other answers have a moment, what is left is cut."""
        for server in self.servers:
            server.close()
        for sock in sockets or []:
            sock.close()
        self._ending()
        for connection in list(self.server_state.connections):
            connection.shutdown()
        if self.server_state.tasks:
            await asyncio.wait(self.server_state.tasks, timeout=_GRACE_S)
        for task in list(self.server_state.tasks):
            task.cancel()
        for connection in list(self.server_state.connections):
            connection.transport.abort()
        if self.server_state.tasks:
            await asyncio.wait(self.server_state.tasks, timeout=_LAST_WORDS_S)


def _settings(app: Any) -> Config:
    return Config(
        app,
        http=Protocol,
        ws="none",
        lifespan="off",
        log_config=None,
        access_log=False,
        proxy_headers=False,
        server_header=False,
        date_header=False,
        limit_concurrency=MOST_CONNECTIONS,
        timeout_keep_alive=_KEEP_ALIVE_S,
        h11_max_incomplete_event_size=_HEAD_BYTES,
        backlog=512,
    )
