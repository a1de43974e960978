"""The ledger in PostgreSQL: many nodes, one claim; a database that goes away; what a node that was fenced writes."""

import threading
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from akjob.control.client import ANSWER_S
from akjob.errors import AkjobError
from akjob.instants import SECOND
from akjob.ledger import LedgerBusyError, Writes, open_reader, open_store
from akjob.ledger.postgres import Patience, PostgresStore, connect, shown, wire_options
from tests import postgres
from tests.unit.ledger.samples import full_row, life, moved
from tests.unit.world import row
from tests.wires import Wire


@pytest.fixture
def store(url: str) -> Iterator[PostgresStore]:
    """Open it as node ``a``."""
    opened = PostgresStore(url, "a")
    yield opened
    opened.close()


def execute(url: str, sql: str) -> list[tuple[object, ...]]:
    """Run a statement on a connection of its own."""
    with connect(url) as connection:
        cursor = connection.execute(sql)
        return cursor.fetchall() if cursor.description is not None else []


def test_three_nodes_claim_each_slot_once(url: str) -> None:
    """All of them decide the same, at the same time: each slot has one row, and all losers are told so."""
    slots, refused = range(200), {}

    def claim(node: str) -> None:
        store = open_store(url, node)
        lost = set[str]()
        for first in range(0, len(slots), 10):
            claims = [row(f"{node}-{slot}", slot_us=slot) for slot in slots[first : first + 10]]
            moves = [moved(one.id, None, "queued") for one in claims]
            lost |= store.commit(Writes(claims=claims, transitions=moves)).refused
        refused[node] = lost
        store.close()

    threads = [threading.Thread(target=claim, args=(node,)) for node in "abc"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    reader = open_reader(url)
    rows = reader.history(n=1000)
    assert sorted(one["slot"] for one in rows) == sorted({one["slot"] for one in rows})
    assert len(rows) == 200
    assert sum(map(len, refused.values())) == 400
    assert all(one["id"].split("-")[0] == one["node"] for one in rows)
    told = reader.transitions(0, limit=1000)
    assert [one.seq for one in told] == list(range(1, 201))
    assert {one.run for one in told} == {one["id"] for one in rows}


def test_a_node_restores_its_own_runs_only(url: str, store: PostgresStore) -> None:
    """What another node has under way is not this one's to take over."""
    other = PostgresStore(url, "b")
    store.commit(Writes(claims=[row("1", slot_us=1)]))
    other.commit(Writes(claims=[row("2", slot_us=2)]))
    assert [one.row.id for one in store.open_runs()] == ["1"]
    assert [one.row.id for one in other.open_runs()] == ["2"]
    assert [one["id"] for one in open_reader(url).open_runs()] == ["1", "2"]
    other.close()


def test_what_a_fenced_node_writes_is_refused(url: str, store: PostgresStore) -> None:
    """A run that was taken from its node stays as it is: neither its row nor a transition nor a counter changes."""
    store.commit(Writes(claims=[row("1")], transitions=[moved("1", None, "queued")]))
    execute(url, "UPDATE runs SET owner = 'b', state = 'lost' WHERE id = '1'")
    late = Writes(changes=[row("1", state="succeeded", node="a")], transitions=life("1")[-1:])
    assert store.commit(late).transitions == ()
    reader = open_reader(url)
    assert [one["state"] for one in reader.history()] == ["lost"]
    assert (reader.last_seq(), reader.counters()) == (1, [])


def test_a_commit_whose_answer_was_lost_is_not_done_twice(url: str, store: PostgresStore) -> None:
    """The same writes, tried again: nothing is refused, and everything is told and counted once."""
    store.commit(Writes(claims=[row("0", slot_us=9)]))
    writes = Writes(claims=[row("1"), row("2", slot_us=9)], transitions=[*life("1"), moved("2", None, "queued")])
    done = store._transaction(lambda: store._once("t", writes))
    store._tried = (writes, "t")
    again = store.commit(writes)
    assert again == done
    assert again.refused == {"2"}
    assert [one.seq for one in open_reader(url).transitions(0)] == [1, 2, 3]


def test_a_connection_that_breaks_is_made_again(url: str, store: PostgresStore) -> None:
    """One call is told that the database does not answer, with nothing written; the same writes succeed then."""
    writes = Writes(claims=[row("1")], transitions=life("1"))
    execute(url, "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid() AND datname = "
            "current_database()")  # fmt: skip
    with pytest.raises(LedgerBusyError, match="does not answer"):
        store.commit(writes)
    assert open_reader(url).history() == []
    assert store.commit(writes).refused == frozenset()
    assert open_reader(url).last_seq() == 3


def test_a_database_that_is_not_there() -> None:
    """Reader and store say so, with what to do, and without the password."""
    url = "postgresql://akjob:secret@/x?host=/nowhere"
    for opening in (open_store, lambda given: open_reader(given).history()):
        with pytest.raises(LedgerBusyError, match="does not answer") as raised:
            opening(url)
        assert "start PostgreSQL" in raised.value.hint
        assert "secret" not in raised.value.message


def test_a_password_is_never_shown() -> None:
    """What is left of the URL still says which database is meant."""
    assert shown("postgresql://me:secret@db.example.org:5433/x?sslmode=require") == (
        "postgresql://me@db.example.org:5433/x?sslmode=require"
    )
    assert shown("postgresql:///x") == "postgresql:///x"


def test_a_newer_schema_is_refused(url: str, store: PostgresStore) -> None:
    """An older akjob does not touch the ledger of a newer one."""
    assert store.jobs_state() == []
    execute(url, "UPDATE akjob_schema SET version = 99")
    for opening in (open_store, lambda given: open_reader(given).history()):
        with pytest.raises(AkjobError, match="schema version 99"):
            opening(url)


def test_nodes_that_start_at_once_make_one_schema(url: str) -> None:
    """The second waits for the first."""
    failed: list[Exception] = []

    def start(node: str) -> None:
        try:
            open_store(url, node).close()
        except AkjobError as error:
            failed.append(error)

    threads = [threading.Thread(target=start, args=(f"n{number}",)) for number in range(5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failed == []


def test_a_text_with_a_nul_is_written(url: str, store: PostgresStore) -> None:
    """PostgreSQL takes none: it is written with a backslash."""
    store.commit(Writes(claims=[row("1", reason="a\0b")]))
    assert open_reader(url).history()[0]["reason"] == "a\\x00b"


def test_an_empty_database_is_an_empty_ledger(url: str) -> None:
    """Before the first akjobd of the cluster has started."""
    assert open_reader(url).history() == []
    assert open_reader(url).size_bytes() == 0


def test_the_reader_cannot_write(url: str, store: PostgresStore) -> None:
    """Readers read."""
    store.commit(Writes(claims=[full_row()]))
    with pytest.raises(AkjobError), open_reader(url)._session() as (ask, _):  # type: ignore[attr-defined]
        ask("DELETE FROM runs", ())
    assert len(open_reader(url).history()) == 1
    assert open_reader(url).size_bytes() > 1_000_000


def test_a_database_that_says_nothing_is_given_up(url: str, server: postgres.Server, tmp_path: Path) -> None:
    """The statement fails; then nothing is waited for until another session has reached the database."""
    wire = Wire(tmp_path / "w", server.folder)
    try:
        store = PostgresStore(wire.url(urlsplit(url).path[1:]), "a", 4 * SECOND)
        wire.silence()
        with pytest.raises(LedgerBusyError, match="no answer within 2 s"):
            store.open_runs()
        connections = wire.taken
        for _ in "12":
            with pytest.raises(LedgerBusyError, match="no answer within 2 s"):
                store.open_runs()
        assert wire.taken == connections
        wire.mend()
        store.reached()
        assert store.open_runs() == []
        store.close()
    finally:
        wire.close()
    assert wire.taken == connections + 1


def test_a_lease_is_longer_than_what_a_silent_database_takes() -> None:
    """Of any lease: a renewal that begins after a quarter of it has failed when three quarters are over."""
    for lease_s in (4, 5, 20, 300):
        patience = Patience.within(lease_s * SECOND)
        assert lease_s / 4 + patience.answer_s <= lease_s * 3 / 4
        assert patience.statement_s < patience.answer_s < ANSWER_S  # the database says first what it waits for
        assert wire_options(patience)["tcp_user_timeout"] == patience.answer_s * 1000


def test_a_node_that_stands_still_in_a_commit_holds_the_others_up_for_a_moment(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The database ends what it holds; it hears of that when it goes on."""
    monkeypatch.setattr("akjob.ledger.postgres._STILL_S", 0.2)
    still, other = PostgresStore(url, "a"), PostgresStore(url, "b")

    def stand_still() -> list[object]:
        still._ask("UPDATE transition_seq SET last = last")
        other.commit(Writes(claims=[row("1")], transitions=[moved("1", None, "queued")]))
        return still._ask("SELECT 1")

    with pytest.raises(LedgerBusyError):
        still._transaction(stand_still)
    assert open_reader(url).last_seq() == 1
    still.close()
    other.close()
