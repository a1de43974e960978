"""Two nodes with roots of their own and one ledger in PostgreSQL: real programs, a real database."""

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from akjob.ledger import Reader, open_reader
from akjob.ledger.nodes import Nodes
from tests import postgres
from tests.roots import Place
from tests.support import until

pytestmark = [pytest.mark.process, postgres.needs_postgres]

EVERY_SECOND = 'command = ["true"]\n[schedule]\nevery = "1s"\n'
LONG = 'command = ["sleep", "300"]\n[run]\nretry = { attempts = 2 }\n'


@pytest.fixture
def url() -> Iterator[str]:
    """Run a database."""
    with postgres.running() as server:
        yield server.database()


@pytest.fixture
def nodes(tmp_path: Path, url: str) -> Iterator[list[Place]]:
    """Make two nodes; a test starts them."""
    places = []
    for name in ("a", "b"):
        root = tmp_path / name
        for folder in ("jobs.d", "etc", "var/run"):
            (root / folder).mkdir(parents=True)
        (root / "etc/akjob.toml").write_text(f'[cluster]\nurl = "{url}"\nnode = "{name}"\nlease = "4s"\n')
        places.append(Place(root))
    yield places
    for place in places:
        place.stop()


def states(url: str) -> dict[str, str]:
    """Return the state of each node."""
    table = Nodes(url)
    found: dict[str, str] = {one.node: one.state for one in table.list()}
    table.close()
    return found


def test_two_nodes_run_each_slot_once(nodes: list[Place], url: str) -> None:
    """Both decide about every slot; each has one row, and starts on one node."""
    for place in nodes:
        place.job("tick", EVERY_SECOND)
        place.start()
    reader = open_reader(url)
    until(lambda: len(ended(reader, "tick")) >= 8, 60.0)
    rows = ended(reader, "tick")
    assert len({row["slot"] for row in rows}) == len(rows)
    assert {row["state"] for row in rows} == {"succeeded"}
    assert {row["node"] for row in rows} <= {"a", "b"}
    assert states(url) == {"a": "up", "b": "up"}


def test_the_runs_of_a_dead_node_are_lost_and_retried_elsewhere(nodes: list[Place], url: str) -> None:
    """Nobody trusts the dead node: when its lease is over, another one takes what it had."""
    for place in nodes:
        place.job("long", LONG)
        place.start()
    first, second = nodes
    run = first.run("long")
    reader = open_reader(url)
    until(lambda: reader.run(run)["state"] == "running", 30.0)
    shim = first.status()["running"][0]["shim_pid"]
    job = first.status()["running"][0]["pid"]
    first.abandon()
    for pid in (first.pid("akjobd"), shim, job):
        os.kill(pid, signal.SIGKILL)
    until(lambda: reader.run(run)["state"] == "lost", 30.0)
    assert reader.run(run)["reason"] == "node a did not renew its lease"
    assert reader.run(run)["node"] == "a"
    assert states(url)["a"] == "lost"
    until(lambda: bool(second.status()["running"]), 30.0)
    (again,) = (row for row in reader.history("long") if row["attempt"] == 2)
    assert (again["node"], again["trigger"]) == ("b", "retry")


def test_a_drained_node_claims_nothing(nodes: list[Place], url: str) -> None:
    """Until it is resumed every slot is the other one's."""
    for place in nodes:
        place.job("tick", EVERY_SECOND)
        place.start()
    table = Nodes(url)
    until(lambda: states(url) == {"a": "up", "b": "up"}, 30.0)
    table.drain("a", draining=True)
    reader = open_reader(url)
    until(lambda: first_is_held(nodes[0]), 30.0)
    seen = len(ended(reader, "tick"))
    until(lambda: len(ended(reader, "tick")) >= seen + 4, 60.0)
    newest = reader.history("tick", 3)
    assert {row["node"] for row in newest} == {"b"}
    table.close()


def first_is_held(place: Place) -> bool:
    """Return True if akjobd starts nothing."""
    return bool(place.status()["draining"])


def ended(reader: Reader, job: str) -> list[dict[str, object]]:
    """Return the rows of runs that are over."""
    return [dict(row) for row in reader.history(job, 1000) if row["ended_at"] is not None]
