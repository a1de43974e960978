"""What the handlers of akjob-web work with: one value, built when the program starts, handed to each of them."""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from msgspec import Struct
from starlette.requests import Request

from akjob.config import Config, Paths
from akjob.query.distant import DistantLog, LocalLog
from akjob.query.live import Live
from akjob.query.sight import Sight
from akjob.query.visibility import Principal
from akjob.web.door import Door
from akjob.web.events_log import WebLog
from akjob.web.feed import Feed
from akjob.web.simulator import Simulations
from akjob.web.store import WebStore
from akjob.web.streams import Streams

T = TypeVar("T")

_READERS = 4
_ACTORS = 8
_CALLERS = 4


class Site(Struct, kw_only=True):
    """One root's page: where everything is, the settings, who may log in, and the clock."""

    paths: Paths
    config: Config
    store: WebStore
    live: Live
    clock: Callable[[], int]
    streams: Streams
    closing: asyncio.Event
    readers: ThreadPoolExecutor
    actors: ThreadPoolExecutor
    callers: ThreadPoolExecutor
    door: Door
    feed: Feed
    log: WebLog
    simulations: Simulations

    async def read(self, question: Callable[[], T]) -> T:
        """Return what a question to files or to the ledger answers, asked in a thread: the loop serves others."""
        return await asyncio.get_running_loop().run_in_executor(self.readers, self._asked, question)

    def _asked(self, question: Callable[[], T]) -> T:
        with self.live.at_once():
            return question()

    async def act(self, request: Callable[[], T]) -> T:
        """Return what akjobd answers, asked in a thread: an akjobd that hangs holds up no reading."""
        return await asyncio.get_running_loop().run_in_executor(self.actors, request)

    async def read_log(self, log: LocalLog | DistantLog, question: Callable[[], T]) -> T:
        """Return what a question to a run's log answers: a node that hangs holds up those alone who ask for it."""
        threads = self.callers if isinstance(log, DistantLog) else self.readers
        return await asyncio.get_running_loop().run_in_executor(threads, question)

    async def close(self) -> None:
        """Let the threads end; what was not logged yet stays in the spool."""
        await self.log.close()
        self.readers.shutdown(cancel_futures=True)
        for threads in (self.actors, self.callers):
            threads.shutdown(wait=False, cancel_futures=True)


def build_site(paths: Paths, config: Config, store: WebStore, clock: Callable[[], int]) -> Site:
    """Return the site of a root. Called in the running loop."""
    closing = asyncio.Event()
    readers, callers = ThreadPoolExecutor(_READERS, "reader"), ThreadPoolExecutor(_CALLERS, "caller")
    return Site(
        paths=paths,
        config=config,
        store=store,
        live=Live(paths, config),
        clock=clock,
        streams=Streams(store, clock, closing),
        closing=closing,
        readers=readers,
        actors=ThreadPoolExecutor(_ACTORS, "actor"),
        callers=callers,
        door=Door(paths, config, callers),
        feed=Feed(paths, readers),
        log=WebLog(paths, clock),
        simulations=Simulations(closing),
    )


class Call(Struct, frozen=True, kw_only=True):
    """One request that the gate let through: who asks, when, and the nonce that this answer's scripts may carry."""

    site: Site
    request: Request
    principal: Principal
    now_us: int
    nonce: str

    async def sight(self) -> Sight:
        """Return the jobs and runs that the principal may know of."""
        return await self.site.read(lambda: self.site.live.sight(self.principal, self.now_us))

    def path(self, name: str) -> str:
        """Return a part of the path, as the route names it."""
        return str(self.request.path_params[name])

    def query(self, name: str) -> str | None:
        """Return a parameter of the query; the last one where it is repeated."""
        return self.request.query_params.get(name)
