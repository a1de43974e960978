"""What is delivered to a node: its queues, and what is delivered again."""

import asyncio
import os
from collections.abc import Awaitable, Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from akjob.config import Paths
from akjob.config.cluster import ClusterConfig
from akjob.control.requests import RunTaken
from akjob.ledger import Permit, Writes
from akjob.ledger.postgres import PostgresStore, connect
from akjob.program import Holdings, HoldingsWatch
from akjob.remote import deliveries as deliveries_module
from akjob.remote.deliveries import Deliveries, queues
from tests import postgres
from tests.unit.world import row

QUEUE = "akjob:gpu"


@pytest.fixture(scope="module")
def server() -> Iterator[postgres.Server]:
    """Run PostgreSQL, or skip."""
    with postgres.running() as found:
        yield found


@pytest.fixture
def url(server: postgres.Server) -> str:
    """Return a new, empty database."""
    return server.database()


@pytest.fixture
def store(url: str) -> Iterator[PostgresStore]:
    """Open it as node ``a``."""
    opened = PostgresStore(url, "a")
    yield opened
    opened.close()


@pytest.fixture
def watch() -> Iterator[HoldingsWatch]:
    """Watch over nothing, and leave no descriptor behind."""
    found = HoldingsWatch(Holdings((), print))
    yield found
    if found.fileno() >= 0:
        os.close(found.fileno())


def test_a_node_listens_to_what_its_tags_cover() -> None:
    """Each set of its tags, and the node itself."""
    assert queues("b2", []) == ["akjob:", "akjob:node:b2"]
    assert queues("b2", ["gpu", "db"]) == ["akjob:", "akjob:db", "akjob:gpu", "akjob:db+gpu", "akjob:node:b2"]
    assert len(queues("b2", map(str, range(100)))) == 2**10 + 1


def hand_over(store: PostgresStore) -> None:
    """Claim a run and hand it over."""
    permit = Permit(run="1", job="a", holds=("job:a",), queue=QUEUE)
    assert store.commit(Writes(claims=[row("1")], permits=[permit])).handed == {"1"}


def deliveries(url: str) -> list[tuple[object, ...]]:
    """Return queue, arguments and status of what procrastinate has."""
    with connect(url) as connection:
        return connection.execute(
            "SELECT queue_name, args, status::text FROM procrastinate_jobs ORDER BY id"
        ).fetchall()


def test_a_run_is_handed_over_in_the_commit_of_its_claim(url: str, store: PostgresStore) -> None:
    """Its row is nobody's, and one node takes it; a delivery of what is over is not a run."""
    hand_over(store)
    assert deliveries(url) == [(QUEUE, {"run": "1"}, "todo")]
    other = PostgresStore(url, "b")
    waiting = other.waiting("1")
    assert waiting is not None
    assert (waiting.id, other.owner("1")) == ("1", None)
    taken = other.take("1")
    assert taken is not None
    assert (taken.row.node, other.owner("1")) == ("b", "b")
    assert (store.take("1"), store.waiting("1"), store.take("unknown")) == (None, None, None)
    late = Writes(changes=[row("1", state="succeeded")])
    store.commit(late)
    assert other.owner("1") == "b"
    other.close()


def test_what_is_lost_is_delivered_again(url: str, store: PostgresStore, watch: HoldingsWatch) -> None:
    """A delivery that an operator deleted, and one that a worker held when it died; never what is on its way."""
    hand_over(store)
    node = Deliveries(_paths(url), ClusterConfig(url=url, node="a"), None, watch)

    async def keep() -> None:
        async with node.app.open_async():
            await node.redeliver()

    asyncio.run(keep())
    assert len(deliveries(url)) == 1
    with connect(url) as connection:
        connection.execute("DELETE FROM procrastinate_jobs")
    asyncio.run(keep())
    assert deliveries(url) == [(QUEUE, {"run": "1"}, "todo")]
    with connect(url) as connection:
        connection.execute(
            "WITH worker AS (INSERT INTO procrastinate_workers (last_heartbeat) "
            "VALUES (now() - interval '1 hour') RETURNING id) "
            "UPDATE procrastinate_jobs SET status = 'doing', worker_id = (SELECT id FROM worker)"
        )
    asyncio.run(keep())
    assert [status for _, _, status in deliveries(url)] == ["todo"]
    assert store.take("1") is not None
    with connect(url) as connection:
        connection.execute("DELETE FROM procrastinate_jobs")
    asyncio.run(keep())
    assert deliveries(url) == []


def test_what_a_node_does_not_take_is_due_again_by_the_clock_of_the_database(
    url: str, store: PostgresStore, watch: HoldingsWatch, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A second later, whatever the node's own clock says; what is over is not delivered any more."""
    hand_over(store)
    node = Deliveries(_paths(url), ClusterConfig(url=url, node="a"), None, watch)

    async def not_here(_request: object) -> RunTaken:
        return RunTaken(state="not_here", reason="its clock is off")

    monkeypatch.setattr(node, "_ask", not_here)

    async def take() -> None:
        async with node.app.open_async():
            await node.take("1")

    due = "SELECT scheduled_at - now() BETWEEN interval '0' AND interval '1 second' FROM procrastinate_jobs"
    with connect(url) as connection:
        connection.execute("DELETE FROM procrastinate_jobs")
        asyncio.run(take())
        assert connection.execute(due).fetchall() == [(True,)]
        assert store.take("1") is not None
        connection.execute("DELETE FROM procrastinate_jobs")
        asyncio.run(take())
        assert connection.execute(due).fetchall() == []


LOOK = deliveries_module._LOOK["payload"]


class Heard:
    """What a worker is told to look for."""

    def __init__(self) -> None:
        self.payloads: list[str] = []
        self._news = asyncio.Event()

    async def __call__(self, *, channel: str, payload: str) -> None:  # noqa: ARG002 - procrastinate's
        """Take an announcement."""
        self.payloads.append(payload)
        self._news.set()

    async def until(self, count: int) -> list[str]:
        """Return the announcements once there are so many."""
        while len(self.payloads) < count:
            self._news.clear()
            await asyncio.wait_for(self._news.wait(), 20.0)
        return self.payloads


async def listened(node: Deliveries, heard: Heard, then: Callable[[], Awaitable[None]]) -> None:
    """Listen while something goes on."""
    async with node.app.open_async():
        listening = asyncio.create_task(node.app.connector.listen_notify(heard, ["test"]))
        await then()
        listening.cancel()
        with suppress(asyncio.CancelledError):
            await listening


def execute(url: str, sql: str) -> None:
    """Run a statement on a connection of its own."""
    with connect(url) as connection:
        connection.execute(sql)


def test_a_worker_looks_when_it_begins_to_listen_again(url: str, store: PostgresStore, watch: HoldingsWatch) -> None:
    """What was announced while its connection was gone is not lost; nor is what comes while it asks."""
    assert store.jobs_state() == []
    node, heard = Deliveries(_paths(url), ClusterConfig(url=url, node="a"), None, watch), Heard()

    async def story() -> None:
        assert await heard.until(1) == [LOOK]
        execute(url, "SELECT pg_notify('test', 'news')")
        assert await heard.until(4) == [LOOK, "news", LOOK, LOOK]
        execute(url, "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query LIKE 'UNLISTEN%'")
        assert await heard.until(5) == [LOOK, "news", LOOK, LOOK, LOOK]

    asyncio.run(listened(node, heard, story))


def test_a_worker_looks_all_the_time_where_it_hears_nothing(
    url: str, store: PostgresStore, watch: HoldingsWatch, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Behind a pooler no announcement arrives."""
    assert store.jobs_state() == []

    async def deaf(_connection: object) -> bool:
        return False

    monkeypatch.setattr(deliveries_module, "_hears", deaf)
    monkeypatch.setattr(deliveries_module, "_UNHEARD_S", 0.01)
    node, heard = Deliveries(_paths(url), ClusterConfig(url=url, node="a"), None, watch), Heard()

    async def story() -> None:
        assert set(await heard.until(5)) == {LOOK}

    asyncio.run(listened(node, heard, story))


def _paths(url: str) -> Paths:
    paths = Paths(Path("/nowhere"))
    paths.__dict__["ledger_url"] = url
    return paths
