"""Leases: who may write, who is lost, and who takes what it had."""

from collections.abc import Iterator

import pytest

from akjob.errors import AkjobError
from akjob.instants import SECOND
from akjob.ledger import LedgerBusyError, Occurrence, Wait, Writes, open_reader
from akjob.ledger.model import BackfillRow
from akjob.ledger.nodes import Me, Nodes
from akjob.ledger.postgres import PostgresStore, connect
from tests.unit.ledger.samples import life, moved
from tests.unit.world import row


@pytest.fixture
def nodes(url: str, stores: object) -> Iterator[Nodes]:  # noqa: ARG001 - they make the schema
    """Return the table of nodes."""
    opened = Nodes(url)
    yield opened
    opened.close()


def me(node: str, **other: object) -> Me:
    """Return what a node says of itself."""
    values: dict[str, object] = {"tags": (), "slots": 4, "lease_us": 20 * SECOND, "version": "1"} | other
    return Me(node=node, **values)  # type: ignore[arg-type]


def end_lease(url: str, node: str) -> None:
    """Let the time of a node be over."""
    with connect(url) as connection:
        connection.execute(
            "UPDATE nodes SET lease_until = clock_timestamp() - interval '1 second' WHERE node = %s", [node]
        )


def test_a_node_that_renews_is_up(nodes: Nodes) -> None:
    """It is listed with what it says of itself, and lost to nobody."""
    assert nodes.renew(me("a", tags=("gpu", "db"), git_commit="c0ffee"), 0.001).lost == ()
    assert nodes.renew(me("b"), 0.0).may_claim
    first, second = nodes.list()
    assert (first.node, first.state, first.tags, first.git_commit, first.clock_offset_s) == (
        "a", "up", ("gpu", "db"), "c0ffee", 0.001,
    )  # fmt: skip
    assert (second.node, second.running) == ("b", 0)
    assert 0 <= first.lease_age_s < 20


def test_a_clock_that_is_off_claims_nothing(nodes: Nodes) -> None:
    """Half a second is too much, in both directions."""
    offsets = (0.4, 0.6, -0.6)
    assert [nodes.renew(me("a"), offset).may_claim for offset in offsets] == [True, False, False]
    assert abs(nodes.now_us() / 1e6 - nodes.now_us() / 1e6) < 1


def test_a_node_is_drained_and_resumed(nodes: Nodes) -> None:
    """The next renewal says so; an unknown node is an error."""
    nodes.renew(me("a"), 0.0)
    nodes.drain("a", draining=True)
    assert nodes.list()[0].state == "draining"
    assert not nodes.renew(me("a"), 0.0).may_claim
    nodes.drain("a", draining=False)
    assert nodes.renew(me("a"), 0.0).may_claim
    with pytest.raises(AkjobError, match="there is no node x"):
        nodes.drain("x", draining=True)


def test_what_a_lost_node_had_is_taken_by_one(
    nodes: Nodes, url: str, stores: tuple[PostgresStore, PostgresStore]
) -> None:
    """Another node takes its open runs, once, and writes their end; what the lost one writes later is refused."""
    store, other = stores
    third = PostgresStore(url, "c")
    for node in "abc":
        nodes.renew(me(node), 0.0)
    store.commit(
        Writes(
            claims=[row("1", state="running", started_us=1), row("2", slot_us=2), row("3", slot_us=3, state="failed")],
            waits=[Wait(run="2", not_before_us=7)],
            transitions=[moved("1", None, "running"), moved("2", None, "queued")],
        )
    )
    assert nodes.renew(me("b"), 0.0).lost == ()
    assert other.take_over(["a"]) == []
    end_lease(url, "a")
    assert [one.state for one in nodes.list()] == ["lost", "up", "up"]
    assert nodes.renew(me("b"), 0.0).lost == ("a",)
    taken = other.take_over(["a"])
    assert [(one.row.id, one.row.node) for one in taken] == [("1", "a"), ("2", "a")]
    assert taken[1].wait == Wait(run="2", not_before_us=7)
    assert third.take_over(["a"]) == []
    lost = Writes(changes=[row("1", state="lost", node="a")], transitions=[moved("1", "running", "lost")])
    assert len(other.commit(lost).transitions) == 1
    with pytest.raises(LedgerBusyError, match="the lease of node a is over"):
        store.commit(Writes(changes=[row("1", state="succeeded")]))
    nodes.renew(me("a"), 0.0)
    assert store.commit(Writes(changes=[row("1", state="succeeded")], transitions=life("1")[-1:])).transitions == ()
    assert open_reader(url).run("1")["state"] == "lost"
    assert open_reader(url).run("1")["node"] == "a"
    third.close()


def test_what_happened_on_a_node_is_its_own_until_it_is_lost(
    nodes: Nodes, url: str, stores: tuple[PostgresStore, PostgresStore]
) -> None:
    """Its occurrences and backfills: another node that starts leaves them alone, and takes them when it is lost."""
    a, b = stores
    occurrence = Occurrence(job="a", key="start:1", at_us=1, trigger="start")
    backfill = BackfillRow(id="f", job="a", at_us=1, from_us=1, until_us=9, slots=(1, 2))
    a.commit(Writes(occurrences=[occurrence], new_backfills=[backfill]))
    assert (a.occurrences(), a.open_backfills()) == ([occurrence], [backfill])
    assert (b.occurrences(), b.open_backfills()) == ([], [])
    for node in "ab":
        nodes.renew(me(node), 0.0)
    assert b.take_over_rest(["a"]) == ([], [])
    end_lease(url, "a")
    assert nodes.renew(me("b"), 0.0).lost == ("a",)
    assert b.take_over_rest(["a"]) == ([occurrence], [backfill])
    assert (b.occurrences(), b.open_backfills()) == ([occurrence], [backfill])
    assert nodes.renew(me("b"), 0.0).lost == ()


def test_a_node_that_stopped_without_runs_is_down(nodes: Nodes, url: str) -> None:
    """It is not lost, comes back as up, and can be forgotten meanwhile; one that is up cannot."""
    nodes.renew(me("a"), 0.0)
    with pytest.raises(AkjobError, match="node a is up"):
        nodes.forget("a")
    nodes.stop("a")
    end_lease(url, "a")
    assert [one.state for one in nodes.list()] == ["down"]
    assert nodes.renew(me("b"), 0.0).lost == ()
    nodes.renew(me("a"), 0.0)
    assert [one.state for one in nodes.list()] == ["up", "up"]
    end_lease(url, "a")
    nodes.forget("a")
    assert [one.node for one in nodes.list()] == ["b"]
