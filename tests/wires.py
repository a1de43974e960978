"""The way from one node to the database, which a test can cut or silence: a Unix socket that is passed on."""

import asyncio
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

_SOCKET = ".s.PGSQL.5432"
_CHUNK = 1 << 16


class Wire:
    """Passes on what comes in at ``folder``, where clients look for a server, to the server's own folder.

    ``cut`` ends what is connected and takes nothing new, ``silence`` keeps all connections and passes nothing on, and
    ``mend`` ends both: what was said in silence arrives then, late. ``taken`` counts the connections.
    """

    def __init__(self, folder: Path, server: Path) -> None:
        folder.mkdir()
        self.folder = folder
        self._server = str(server / _SOCKET)
        self._is_cut = False
        self.taken = 0
        self._writers: set[asyncio.StreamWriter] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        ready = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._run(ready)), name=f"wire {folder.name}")
        self._thread.start()
        ready.wait()

    def url(self, database: str) -> str:
        """Return the URL of a database at the other end."""
        return f"postgresql://akjob@/{database}?host={self.folder}"

    def cut(self) -> None:
        """End all connections, and refuse new ones."""
        self._do(self._cut)

    def silence(self) -> None:
        """Pass nothing on, in both directions."""
        self._do(self._open.clear)

    @property
    def is_silent(self) -> bool:
        """Return True once nothing is passed on."""
        return not self._open.is_set()

    def mend(self) -> None:
        """Pass everything on again."""
        self._do(self._mend)

    def close(self) -> None:
        """End everything."""
        self._do(self._closed.set)
        self._thread.join()

    def _do(self, what: Callable[[], object]) -> None:
        self._loop.call_soon_threadsafe(what)

    def _cut(self) -> None:
        self._is_cut = True
        for task in self._tasks:
            task.cancel()

    def _mend(self) -> None:
        self._is_cut = False
        self._open.set()

    async def _run(self, ready: threading.Event) -> None:
        self._loop = asyncio.get_running_loop()
        self._open, self._closed = asyncio.Event(), asyncio.Event()
        self._open.set()
        server = await asyncio.start_unix_server(self._serve, str(self.folder / _SOCKET))
        (self.folder / _SOCKET).chmod(0o777)
        ready.set()
        await self._closed.wait()
        server.close()
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        self.taken += 1
        there: asyncio.StreamWriter | None = None
        try:
            if not self._is_cut:
                back, there = await asyncio.open_unix_connection(self._server)
                ways = [
                    asyncio.ensure_future(self._pass(reader, there)),
                    asyncio.ensure_future(self._pass(back, writer)),
                ]
                try:
                    await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
                finally:
                    for way in ways:
                        way.cancel()
        except (OSError, asyncio.CancelledError):
            pass  # the server is away, or the wire was cut
        finally:
            self._tasks.discard(task)
            for one in (writer, there):
                if one is not None:
                    with suppress(OSError):
                        one.transport.abort()

    async def _pass(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError):
            while data := await reader.read(_CHUNK):
                await self._open.wait()
                writer.write(data)
                await writer.drain()
