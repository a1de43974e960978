"""procrastinate's side of a node: its worker is handed runs from the queues, and holds each until the run has ended.

A delivery is transport, never the truth. What stalls or is lost is delivered again; the ledger's row of the run decides
whether it is still wanted, and akjobd takes it there.
"""

import asyncio
import itertools
from collections.abc import Iterable
from contextlib import suppress

import msgspec
from procrastinate import App, PsycopgConnector, RetryStrategy
from procrastinate.exceptions import ConnectorException

from akjob.config import Paths, socket_address
from akjob.config.cluster import ClusterConfig, places, queue_name
from akjob.control.requests import A, Request, TakeRun, WaitForRun, decode_answer
from akjob.errors import AkjobError, UnreachableError
from akjob.ledger.postgres import TASK
from akjob.program import HoldingsWatch

_TRIES = 5  # akjobd may be restarting: so many seconds a delivery waits before another node gets it
_KEEP_S = 30.0
_LOOK_S = 5.0  # for a delivery whose announcement was lost, as all are once the database was restarted
_BEAT_S = 15.0
_ABORTS_S = 3600.0  # no delivery is aborted: `akjob stop` ends runs
_STALLED_S = 60.0
_MOST_TAGS = 10  # of which each set is a queue
_LINE = 1 << 26

_REDELIVER = """
SELECT procrastinate_defer_jobs_v1(ARRAY[ROW(
    queue, %(task)s::text, 0, NULL, NULL, jsonb_build_object('run', runs.id), NULL
)::procrastinate_job_to_defer_v1])
FROM runs WHERE state = 'queued' AND owner IS NULL AND queue IS NOT NULL AND NOT EXISTS (
    SELECT 1 FROM procrastinate_jobs
    WHERE status IN ('todo', 'doing') AND task_name = %(task)s::text AND args->>'run' = runs.id
)
"""


class NotHereError(Exception):
    """This node does not take the run now."""


class Deliveries:
    """The worker of one node. ``max_running`` bounds what it takes, as ``slots`` does."""

    def __init__(self, paths: Paths, cluster: ClusterConfig, max_running: int | None, watch: HoldingsWatch) -> None:
        self._watch = watch
        self._paths = paths
        self._queues = queues(cluster.name, cluster.tags)
        self._slots = places(cluster, max_running)
        self.app = App(
            connector=PsycopgConnector(conninfo=paths.ledger_url, min_size=1, max_size=4, kwargs=_CONNECTION)
        )
        self.app.task(name=TASK, retry=RetryStrategy(wait=1, retry_exceptions={NotHereError}))(self.take)

    def run(self) -> None:
        """Work until SIGTERM."""
        asyncio.run(self._run())

    async def _run(self) -> None:
        self._watch.attach(asyncio.get_running_loop())
        async with self.app.open_async():
            keeper = asyncio.create_task(self._keep())
            try:
                await self.app.run_worker_async(
                    queues=self._queues,
                    concurrency=self._slots,
                    install_signal_handlers=False,
                    delete_jobs="always",
                    fetch_job_polling_interval=_LOOK_S,
                    abort_job_polling_interval=_ABORTS_S,
                    update_heartbeat_interval=_BEAT_S,
                    stalled_worker_timeout=_STALLED_S,
                )
            finally:
                keeper.cancel()

    async def take(self, run: str) -> None:
        """Have akjobd run what was delivered, and return when it is over here. Raises NotHereError."""
        tries = 0
        while True:
            try:
                taken = await self._ask(TakeRun(run=run))
                if taken.state == "not_here":
                    raise NotHereError(taken.reason)
                if taken.state == "taken":
                    await self._ask(WaitForRun(run=run))
            except AkjobError as error:
                tries += 1
                if tries > _TRIES:
                    raise NotHereError(error.message) from error
                await asyncio.sleep(1)
            else:
                return

    async def _ask(self, request: Request[A]) -> A:
        try:
            reader, writer = await asyncio.open_unix_connection(socket_address(self._paths.control_socket), limit=_LINE)
        except OSError as error:
            raise UnreachableError(f"akjobd cannot be reached: {error.strerror}") from error
        try:
            writer.write(msgspec.json.encode(request) + b"\n")
            line = await reader.readline()
        except OSError as error:
            raise UnreachableError(f"akjobd went away: {error.strerror}") from error
        finally:
            writer.close()
        if not line:
            raise UnreachableError("akjobd went away before it answered")
        return decode_answer(line, request)

    async def _keep(self) -> None:
        """Deliver again what stalled with a worker that is gone, and what has no delivery at all."""
        while True:
            await asyncio.sleep(_KEEP_S)
            with suppress(ConnectorException):
                await self.redeliver()

    async def redeliver(self) -> None:
        """Deliver again what is lost."""
        for job in await self.app.job_manager.get_stalled_jobs(seconds_since_heartbeat=_STALLED_S):
            await self.app.job_manager.retry_job(job)
        await self.app.connector.execute_query_async(_REDELIVER, task=TASK)


_CONNECTION = {"application_name": "akjob-node"}


def queues(node: str, tags: Iterable[str]) -> list[str]:
    """Return the queues whose needs a node's tags cover."""
    known = sorted(set(tags))[:_MOST_TAGS]
    sets = itertools.chain.from_iterable(itertools.combinations(known, size) for size in range(len(known) + 1))
    return [*(queue_name("any", needs) for needs in sets), queue_name(f"node:{node}", ())]
