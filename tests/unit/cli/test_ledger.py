"""akjob ledger copy and check."""

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from akjob.instants import SECOND
from akjob.ledger import Definition, Occurrence, Wait, Writes, open_store
from akjob.ledger.copying import TABLES
from akjob.ledger.model import BackfillRow, SeenFiles
from akjob.ledger.sql_store import SqlStore
from tests import postgres
from tests.unit.cli.root import NOW_US, Root
from tests.unit.ledger.samples import full_row, job_row, life, moved
from tests.unit.world import row


@pytest.fixture
def root(tmp_path: Path) -> Root:
    """Return a root whose ledger has rows in every table."""
    (tmp_path / "root").mkdir()
    root = Root(tmp_path / "root")
    waiting = row("02", queued_us=NOW_US)
    ended = row("03", slot_us=SECOND, slot_last_us=SECOND, state="succeeded", started_us=1, ended_us=2, git_dirty=False)
    root.ledger(
        Writes(
            claims=[full_row(), waiting, ended, row("05", state="failed", ended_us=2, node="a", scope="a")],
            loaded=[job_row(), job_row("reports/nightly", refused_dirty=True, definition="ä = '\\n'\n")],
            definitions=[Definition("f00", "jobs.d/a.toml", "x", 1)],
            waits=[Wait(run="02", after_previous=True, kwargs={"a": 1}, files=("/x",))],
            occurrences=[Occurrence(job="a", key="after:1", at_us=1, trigger="after")],
            transitions=[*life("03"), moved("02", None, "queued")],
            new_backfills=[BackfillRow(id="04", job="a", at_us=1, from_us=1, until_us=9, slots=(1, 2), by="ann")],
            seen=[SeenFiles(job="a", files={"in/\udcff.csv": (1, 2, 3)})],
        )
    )
    store = open_store(root.paths.ledger_url)
    store.boot_instant("b", 1)
    store.close()
    return root


def rows_of(url: str) -> dict[str, list[tuple[object, ...]]]:
    """Return all rows of all tables; flags as SQLite has them."""
    store = open_store(url)
    assert isinstance(store, SqlStore)
    found = {}
    for table, (columns, order) in TABLES.items():
        listed = ", ".join(f'"{column}"' for column in columns)
        rows = store.ask(f"SELECT {listed} FROM {table} ORDER BY {order}")  # noqa: S608 - ours
        found[table] = [tuple(int(one) if isinstance(one, bool) else one for one in row) for row in rows]
    store.close()
    return found


def test_a_copy_has_every_row(root: Root, tmp_path: Path) -> None:
    """From file to file; the copy goes on with the next number."""
    url = f"sqlite:///{tmp_path}/copy.db"
    result = root.akjob("ledger", "copy", "--to", url)
    assert result.exit_code == 0, result.output
    before = rows_of(root.paths.ledger_url)
    assert all(before.values())
    assert rows_of(url) == before
    store = open_store(url)
    (told,) = store.commit(Writes(transitions=[moved("x", None, "queued")])).transitions
    store.close()
    assert told.seq == 5


@postgres.needs_postgres
def test_there_and_back_gives_equal_rows(root: Root, tmp_path: Path) -> None:
    """Into PostgreSQL, as a user that owns the database and has no other right, and out of it: nothing is lost.

    The first node that starts there has what was open.
    """
    with postgres.running() as server:
        url, back = server.database_of("plain"), f"sqlite:///{tmp_path}/back.db"
        assert root.akjob("ledger", "copy", "--to", url).exit_code == 0
        assert rows_of(url) == rows_of(root.paths.ledger_url)
        store = open_store(url)
        assert [one.row.id for one in store.open_runs()] == ["02"]
        assert store.commit(Writes(transitions=[moved("x", None, "queued")])).transitions[0].seq == 5
        store.close()
        for node, open_ones in (("a", (1, 1, 1)), ("b", (0, 0, 0))):
            store = open_store(url, node)
            counts = len(store.open_runs()), len(store.occurrences()), len(store.open_backfills())
            assert counts == open_ones
            store.close()
        expected = rows_of(url)
        root.paths.config_file.parent.mkdir(exist_ok=True)
        root.paths.config_file.write_text(f'[cluster]\nurl = "{url}"\nnode = "a"\n')
        result = root.akjob("ledger", "copy", "--to", back)
        assert result.exit_code == 0, result.output
    assert rows_of(back) == expected


# Of a cluster alone: which nodes there are, what they have accounted for and want ended, and what carries runs to them.
OF_A_CLUSTER = {
    "runs": {"owner", "fence", "gates", "queue", "continues"},
    "occurrences": {"owner"},
    "backfills": {"owner"},
    "transitions": {"node"},
}
TABLES_OF_A_CLUSTER = {
    "akjob_schema",
    "commits",
    "job_nodes",
    "node_token",
    "nodes",
    "seen_by_node",
    "stops",
    "transition_seq",
}


def test_all_tables_are_copied(root: Root) -> None:
    """Each table of the schema, with each of its columns."""
    with closing(sqlite3.connect(root.paths.ledger_url.removeprefix("sqlite://"))) as connection:
        names = [row[0] for row in connection.execute("SELECT name FROM sqlite_schema WHERE type = 'table'")]
        found = {
            name: {row[1] for row in connection.execute(f"PRAGMA table_info({name})")}
            for name in names
            if not name.startswith("sqlite_")
        }
    assert found == {name: set(columns) for name, (columns, _) in TABLES.items()}


@postgres.needs_postgres
def test_a_cluster_has_these_tables_and_its_own() -> None:
    """In PostgreSQL they are the same, but for what only a cluster has."""
    with postgres.running() as server:
        url = server.database()
        store = open_store(url)
        assert isinstance(store, SqlStore)
        listed = store.ask(
            "SELECT table_name, column_name FROM information_schema.columns WHERE table_schema = 'public' "
            "AND table_name NOT LIKE 'procrastinate%'"
        )
        store.close()
    found: dict[str, set[str]] = {}
    for table, column in listed:
        found.setdefault(table, set()).add(column)
    assert found.keys() - TABLES.keys() == TABLES_OF_A_CLUSTER
    for name, (columns, _) in TABLES.items():
        assert found[name] == set(columns) | OF_A_CLUSTER.get(name, set())


def test_a_target_with_rows_is_left_alone(root: Root, tmp_path: Path) -> None:
    """Nothing is mixed, nothing is written."""
    url = f"sqlite:///{tmp_path}/copy.db"
    assert root.akjob("ledger", "copy", "--to", url).exit_code == 0
    before = rows_of(url)
    result = root.akjob("ledger", "copy", "--to", url)
    assert result.exit_code == 1
    assert "the target is not empty: runs, waits" in result.stderr
    assert rows_of(url) == before


@pytest.mark.parametrize("url", ["memory:", "mysql://x/y", "akjob.db"])
def test_a_target_that_keeps_nothing(root: Root, url: str) -> None:
    """The error says how to write it."""
    result = root.akjob("ledger", "copy", "--to", url)
    assert result.exit_code == 2
    assert "sqlite:///PATH" in result.stderr


def test_the_ledger_itself_is_no_target(root: Root) -> None:
    """It would be empty or full of itself."""
    assert root.akjob("ledger", "copy", "--to", root.paths.ledger_url).exit_code == 2


def test_a_ledger_that_is_in_order(root: Root) -> None:
    """Nothing to say, and exit code 0."""
    result = root.akjob("ledger", "check")
    assert (result.exit_code, result.stdout) == (0, "The ledger is in order.\n")
    assert root.json("ledger", "check") == []


@pytest.mark.parametrize(
    ("damage", "rule"),
    [
        ("UPDATE runs SET state = 'gone' WHERE id = '03'", "a run has a state that akjob does not know"),
        ("UPDATE runs SET ended_at = NULL WHERE id = '03'", "a run is over but has no end"),
        ("UPDATE runs SET ended_at = slot WHERE id = '02'", "a run is not over but has an end"),
        ("UPDATE runs SET ended_at = '1970' WHERE id = '01'", "a run ended before it started"),
        ("UPDATE runs SET count = 0 WHERE id = '03'", "a row counts less than one slot"),
        ("DELETE FROM runs WHERE id = '02'", "something waits for a run that is over or not there"),
        ("DELETE FROM jobs WHERE job = 'a'", "a run has a job that is not in the table of jobs"),
        ("DELETE FROM transitions WHERE seq = 2", "the numbers of the transitions have a gap"),
        ("UPDATE counters SET value = -1 WHERE name = 'slots_total'", "a counter is negative"),
    ],
)
def test_what_is_wrong_is_named(root: Root, damage: str, rule: str) -> None:
    """Each rule that is broken, how often and by which rows; exit code 1."""
    with closing(sqlite3.connect(root.paths.db)) as connection, connection:
        connection.execute(damage)
    result = root.akjob("ledger", "check")
    assert result.exit_code == 1
    assert rule in result.stdout
    assert rule in root.akjob("ledger", "check", "--json").stdout
