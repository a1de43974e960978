"""procrastinate's side of a node: its worker is handed runs from the queues, and holds each until the run has ended.

A delivery is transport, never the truth. What stalls or is lost is delivered again; the ledger's row of the run decides
whether it is still wanted, and akjobd takes it there.
"""

import asyncio
import itertools
import secrets
from collections.abc import Awaitable, Callable, Iterable
from contextlib import suppress
from typing import Any

import msgspec
import psycopg
import psycopg.sql
from procrastinate import App, PsycopgConnector
from procrastinate.connector import LISTEN_TIMEOUT
from procrastinate.exceptions import ConnectorException

from akjob.config import Paths, socket_address
from akjob.config.cluster import ClusterConfig, places, queue_name
from akjob.control.requests import A, Request, TakeRun, WaitForRun, decode_answer
from akjob.errors import AkjobError, UnreachableError
from akjob.ledger.postgres import TASK, Patience, wire_options
from akjob.program import HoldingsWatch

_TRIES = 5  # akjobd may be restarting: so many seconds a delivery waits before another node gets it
_KEEP_S = 60.0
_LOOK_S = 60.0  # for a delivery that is due later, or whose announcement was lost in another way than is known
_HEARING_S = 2.0
_UNHEARD_S = 1.0  # where announcements do not arrive
_BACK_S = 1.0  # after which a delivery that was given back is due again
_ONCE_MORE_S = (0.25, _BACK_S)
_LOOK = {"channel": "", "payload": '{"type": "job_inserted", "job_id": 0}'}
_AGAIN_S = 1.0
_BEAT_S = 30.0
_ABORTS_S = 3600.0  # no delivery is aborted: `akjob stop` ends runs
_STALLED_S = 60.0
_MOST_TAGS = 10  # of which each set is a queue
_LINE = 1 << 26

# When a delivery is due again the database says by its own clock: that of this node may be wrong.
_DEFER = """
SELECT procrastinate_defer_jobs_v1(ARRAY[ROW(
    queue, %(task)s::text, 0, NULL, NULL, jsonb_build_object('run', runs.id),
    now() + %(after_s)s * interval '1 second'
)::procrastinate_job_to_defer_v1])
FROM runs WHERE state = 'queued' AND owner IS NULL AND queue IS NOT NULL
"""
_GIVE_BACK = f"{_DEFER} AND id = %(run)s"
_REDELIVER = f"""
WITH stalled AS (
    DELETE FROM procrastinate_jobs AS job WHERE status = 'doing' AND task_name = %(task)s::text AND NOT EXISTS (
        SELECT 1 FROM procrastinate_workers AS worker WHERE worker.id = job.worker_id
        AND worker.last_heartbeat > now() - %(stalled_s)s * interval '1 second'
    ) RETURNING id
)
{_DEFER} AND NOT EXISTS (
    SELECT 1 FROM procrastinate_jobs
    WHERE status IN ('todo', 'doing') AND task_name = %(task)s::text AND args->>'run' = runs.id
    AND id NOT IN (SELECT id FROM stalled)
)
"""  # noqa: S608 - ours


class _Connector(PsycopgConnector):
    """Looks for deliveries whenever it has begun to listen, as the first time and after the database was away."""

    async def listen_notify(self, on_notification: Any, channels: Iterable[str]) -> None:
        """Call ``on_notification`` with what is announced on ``channels``, and with what may have been."""
        names, looking = list(channels), _Looking(on_notification)
        while True:
            with suppress(ConnectorException):
                await super().listen_notify(looking.heard, names)
            await asyncio.sleep(_AGAIN_S)

    async def _loop_notify(
        self,
        on_notification: Any,
        connection: psycopg.AsyncConnection[Any],
        timeout: float = LISTEN_TIMEOUT,  # noqa: ASYNC109 - procrastinate's
    ) -> None:
        hears = await _hears(connection)
        await on_notification(**_LOOK)
        while not hears:
            await asyncio.sleep(_UNHEARD_S)
            await on_notification(**_LOOK)
        await super()._loop_notify(on_notification, connection, timeout)


async def _hears(connection: psycopg.AsyncConnection[Any]) -> bool:
    """Return True if announcements arrive on a connection; a pooler drops them."""
    own = psycopg.sql.Identifier(f"akjob_{secrets.token_hex(8)}")
    await connection.execute(psycopg.sql.SQL("LISTEN {}").format(own))
    await connection.execute(psycopg.sql.SQL("NOTIFY {}").format(own))
    found = [one async for one in connection.notifies(timeout=_HEARING_S, stop_after=1)]
    await connection.execute(psycopg.sql.SQL("UNLISTEN {}").format(own))
    return bool(found)


class _Looking:
    """Hands announcements on, and has the worker look again a moment and a second after them.

    procrastinate forgets an announcement that comes while it asks for the one before; and of a delivery that was given
    back it announces that it is there, not that it is due.
    """

    def __init__(self, hand_on: Callable[..., Awaitable[None]]) -> None:
        self._hand_on = hand_on
        self._has_heard = False
        self._again: asyncio.Task[None] | None = None

    async def heard(self, *, channel: str, payload: str) -> None:
        """Hand an announcement on."""
        self._has_heard = True
        if self._again is None or self._again.done():
            self._again = asyncio.create_task(self._look_again())
        await self._hand_on(channel=channel, payload=payload)

    async def _look_again(self) -> None:
        while self._has_heard:
            self._has_heard = False
            for pause_s in _ONCE_MORE_S:
                await asyncio.sleep(pause_s)
                await self._hand_on(**_LOOK)


class Deliveries:
    """The worker of one node. ``max_running`` bounds what it takes, as ``slots`` does."""

    def __init__(self, paths: Paths, cluster: ClusterConfig, max_running: int | None, watch: HoldingsWatch) -> None:
        self._watch = watch
        self._paths = paths
        self._queues = queues(cluster.name, cluster.tags)
        self._slots = places(cluster, max_running)
        self.app = App(connector=_Connector(conninfo=paths.ledger_url, min_size=1, max_size=4, kwargs=_CONNECTION))
        self.app.task(name=TASK)(self.take)

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
        """Have akjobd run what was delivered, and return when it is over here; give back what it does not take."""
        for _ in range(_TRIES):
            try:
                taken = await self._ask(TakeRun(run=run))
                if taken.state == "taken":
                    await self._ask(WaitForRun(run=run))
                if taken.state != "not_here":
                    return
                break
            except AkjobError:
                await asyncio.sleep(1)
        await self.app.connector.execute_query_async(_GIVE_BACK, task=TASK, run=run, after_s=_BACK_S)

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
        await self.app.connector.execute_query_async(_REDELIVER, task=TASK, after_s=0, stalled_s=_STALLED_S)


_CONNECTION = {"application_name": "akjob-node", **wire_options(Patience())}


def queues(node: str, tags: Iterable[str]) -> list[str]:
    """Return the queues whose needs a node's tags cover."""
    known = sorted(set(tags))[:_MOST_TAGS]
    sets = itertools.chain.from_iterable(itertools.combinations(known, size) for size in range(len(known) + 1))
    return [*(queue_name("any", needs) for needs in sets), queue_name(f"node:{node}", ())]
