"""The ledger in SQLite: durable, one transaction a turn, and everything that goes wrong is a clear error."""

import os
import sqlite3
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from akjob.errors import AkjobError
from akjob.instants import DAY, HOUR, MINUTE, SECOND, to_text
from akjob.ledger import DayCount, LedgerBusyError, LedgerFullError, Transition, Writes, sqlite_reader
from akjob.ledger.migrate import migrations
from akjob.ledger.sql_reader import history_tail
from akjob.ledger.sqlite_reader import SqliteReader
from akjob.ledger.sqlite_store import SqliteStore
from tests.unit.ledger.samples import full_row, job_row
from tests.unit.world import row, us


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Return where the ledger is."""
    return tmp_path / "akjob.db"


@pytest.fixture
def ledger(path: Path) -> Iterator[SqliteStore]:
    """Open a new ledger."""
    opened = SqliteStore.open(path)
    yield opened
    opened.close()


def test_it_is_durable_and_checkpoints_are_not_the_loops_matter(ledger: SqliteStore) -> None:
    """WAL, each commit on disk, no automatic checkpoint."""
    pragma = {name: ledger._connection.execute(f"PRAGMA {name}").fetchone()[0] for name in (
        "journal_mode", "synchronous", "wal_autocheckpoint")}  # fmt: skip
    assert pragma == {"journal_mode": "wal", "synchronous": 2, "wal_autocheckpoint": 0}


def test_a_burst_is_one_transaction(ledger: SqliteStore, path: Path) -> None:
    """A thousand claims, changes and job rows: one BEGIN, one COMMIT."""
    claims = [row(f"{n:05}", slot_us=n) for n in range(1000)]
    said: list[str] = []
    ledger._connection.set_trace_callback(said.append)
    ledger.commit(Writes(claims=claims, loaded=[job_row()]))
    assert [word for word in said if word.split()[0] in ("BEGIN", "COMMIT")] == ["BEGIN IMMEDIATE", "COMMIT"]
    assert len(SqliteReader(path).history(n=2000)) == 1000


def test_a_failed_commit_writes_nothing(ledger: SqliteStore, path: Path) -> None:
    """All or nothing, and the same writes can be tried again."""
    bad = Writes(claims=[row("1", slot_us=1)], jobs=[job_row(watermark_us=1 << 62)])
    with pytest.raises(OverflowError):
        ledger.commit(bad)
    assert SqliteReader(path).history() == []
    assert ledger.commit(Writes(claims=[row("1", slot_us=1)])).refused == frozenset()


def test_a_locked_ledger_is_busy(ledger: SqliteStore, path: Path) -> None:
    """Another program's lock is said as such; once it is gone the same commit succeeds."""
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(LedgerBusyError, match="locked by another program"):
        ledger.commit(Writes(claims=[row("1")]))
    other.execute("ROLLBACK")
    other.close()
    assert ledger.commit(Writes(claims=[row("1")])).refused == frozenset()


def test_a_full_disk_is_said(ledger: SqliteStore, path: Path) -> None:
    """A ledger that cannot grow raises LedgerFullError, and goes on when there is room again."""
    ledger._connection.execute("PRAGMA max_page_count = 20")
    burst = Writes(claims=[row(f"{n:05}", slot_us=n, reason="x" * 2000) for n in range(100)])
    with pytest.raises(LedgerFullError, match="cannot be written"):
        ledger.commit(burst)
    assert SqliteReader(path).history() == []
    ledger._connection.execute("PRAGMA max_page_count = 1000000")
    assert ledger.commit(burst).refused == frozenset()


def test_no_database_is_said(path: Path) -> None:
    """A file that is something else is left alone, and the error says what to move."""
    path.write_bytes(b"this is not a database, whatever its name says" * 100)
    for question in (lambda: SqliteStore.open(path), lambda: SqliteReader(path).history()):
        with pytest.raises(AkjobError, match="cannot be read as a database") as raised:
            question()
        assert "akjob.db-wal" in raised.value.hint
    assert path.read_bytes().startswith(b"this is not")


def test_a_damaged_database_is_said(path: Path) -> None:
    """Pages overwritten in the middle do not end in a traceback."""
    ledger = SqliteStore.open(path)
    ledger.commit(Writes(claims=[row(f"{n:05}", slot_us=n) for n in range(500)]))
    ledger.close()
    with path.open("r+b") as file:
        file.seek(4096)
        file.write(os.urandom(path.stat().st_size - 4096))
    with pytest.raises(AkjobError, match="cannot be read as a database"):
        SqliteReader(path).history()


def test_a_newer_schema_is_refused(path: Path) -> None:
    """An older akjob does not touch the ledger of a newer one."""
    SqliteStore.open(path).close()
    with sqlite3.connect(path) as connection:
        connection.execute("PRAGMA user_version = 99")
    connection.close()
    for question in (lambda: SqliteStore.open(path), lambda: SqliteReader(path).history()):
        with pytest.raises(AkjobError, match="schema version 99") as raised:
            question()
        assert "newer akjob" in raised.value.hint


def test_an_older_ledger_is_brought_up_to_date(path: Path) -> None:
    """What the first schema has stays as it is; what it did not know is not known."""
    _, first = migrations()[0]
    with sqlite3.connect(path) as connection:
        connection.executescript(f"{first}\nPRAGMA user_version = 1;")
        connection.execute(
            "INSERT INTO jobs (job, mark, first_loaded_at, last_loaded_at, file, definition_sha256, definition, "
            "refused, refused_since) VALUES ('a', ?, ?, ?, 'jobs.d/a.toml', 's', 'd', 'x', ?)",
            (to_text(us("09:00:00")),) * 4,
        )
    connection.close()
    as_it_is = SqliteReader(path).job("a")
    assert as_it_is is not None
    assert (as_it_is["refused"], as_it_is["refused_commit"]) == ("x", None)  # the akjobd before the upgrade still runs
    assert SqliteReader(path).jobs() == {"a": as_it_is}
    ledger = SqliteStore.open(path)
    (read,) = ledger.jobs_state()
    ledger.close()
    assert (read.job, read.refused, read.refused_us) == ("a", "x", us("09:00:00"))
    assert (read.refused_commit, read.refused_dirty) == (None, None)


def test_a_folder_that_is_missing_is_said(tmp_path: Path) -> None:
    """The error names the path."""
    with pytest.raises(AkjobError, match="No such file"):
        SqliteStore.open(tmp_path / "nowhere" / "akjob.db")


def test_migrations_are_numbered_without_gaps(path: Path) -> None:
    """They begin with 1, and a new ledger has the last number."""
    numbers = [number for number, _ in migrations()]
    assert numbers == list(range(1, len(numbers) + 1))
    SqliteStore.open(path).close()
    connection = sqlite3.connect(path)
    assert connection.execute("PRAGMA user_version").fetchone()[0] == numbers[-1]
    connection.close()


def test_opening_again_changes_nothing(path: Path) -> None:
    """A second start finds everything."""
    first = SqliteStore.open(path)
    first.commit(Writes(claims=[full_row()]))
    first.close()
    second = SqliteStore.open(path)
    second.close()
    assert [one["id"] for one in SqliteReader(path).history()] == ["01"]


# ---------------------------------------------------------------------- checkpoints


def test_a_checkpoint_from_another_thread_bounds_the_log(ledger: SqliteStore, path: Path) -> None:
    """The write-ahead log grows with commits; a checkpoint, on its own connection, lets it begin again."""
    for n in range(50):
        ledger.commit(Writes(claims=[row(f"{n:05}-{k:02}", slot_us=n * 100 + k) for k in range(100)]))
    grown = ledger.wal_bytes()
    done: list[bool] = []
    thread = threading.Thread(target=lambda: done.append(ledger.checkpoint()))
    thread.start()
    thread.join()
    assert done == [True]
    ledger.commit(Writes(claims=[row("next", slot_us=10**9)]))
    assert ledger.wal_bytes() == grown  # begun again from its start, not longer
    assert ledger.checkpoint(bound_bytes=1000)
    assert ledger.wal_bytes() == 0
    assert len(SqliteReader(path).history(n=10_000)) == 5001


def test_a_checkpoint_does_not_wait_for_a_reader(ledger: SqliteStore, path: Path) -> None:
    """A reader in the middle of its question holds up neither checkpoint nor commit."""
    ledger.commit(Writes(claims=[row("1")]))
    reader = sqlite3.connect(f"file:{path}?mode=ro", uri=True, isolation_level=None)
    reader.execute("BEGIN")
    reader.execute("SELECT count(*) FROM runs").fetchone()
    ledger.commit(Writes(claims=[row("2", slot_us=2)]))
    assert ledger.checkpoint() is False
    assert ledger.commit(Writes(claims=[row("3", slot_us=3)])).refused == frozenset()
    reader.close()


# ---------------------------------------------------------------------- pruning


def test_pruning_waits_for_no_disk(ledger: SqliteStore, monkeypatch: pytest.MonkeyPatch) -> None:
    """A row that is back after a power cut is pruned again; what a claim writes is on disk when it returns, as ever."""
    synced = []

    def noted(*args: Any) -> bool:
        synced.append(ledger._connection.execute("PRAGMA synchronous").fetchone()[0])
        return prune(*args)

    prune = ledger._prune
    monkeypatch.setattr(ledger, "_prune", noted)
    ledger.prune(10 * DAY, 100 * DAY)
    assert synced == [1]
    assert ledger._connection.execute("PRAGMA synchronous").fetchone()[0] == 2


def test_pruning_looks_at_old_rows_only(ledger: SqliteStore) -> None:
    """Its cost follows from what there is to prune, not from the length of the ledger."""
    ledger.commit(Writes(claims=[row(f"{n:05}", slot_us=n, queued_us=DAY, ended_us=DAY) for n in range(5000)]))
    steps = 0

    def count() -> int:
        nonlocal steps
        steps += 1
        return 0

    ledger._connection.set_progress_handler(count, 10)
    ledger.prune(10 * DAY, 2 * DAY, 100)
    ledger._connection.set_progress_handler(None, 0)
    assert steps < 500


# ---------------------------------------------------------------------- reading


def test_the_reader_cannot_write(ledger: SqliteStore, path: Path) -> None:
    """Nobody but akjobd writes the ledger."""
    ledger.commit(Writes(claims=[row("1")]))
    reader = SqliteReader(path)
    with reader._session() as (ask, _version):
        assert ask is not None
        with pytest.raises(AkjobError, match="readonly"):
            ask("DELETE FROM runs", ())


def connections(monkeypatch: pytest.MonkeyPatch) -> list[sqlite3.Connection]:
    """Return the list that gets each connection of a reader from now on."""
    made: list[sqlite3.Connection] = []
    connect = sqlite_reader._connect

    def noted(path: Path) -> sqlite3.Connection:
        made.append(connect(path))
        return made[-1]

    monkeypatch.setattr(sqlite_reader, "_connect", noted)
    return made


def test_questions_that_are_asked_at_once_share_a_connection(
    ledger: SqliteStore, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of one thread; it begins with the first of them, sees what is committed meanwhile, and is closed at the end."""
    ledger.commit(Writes(claims=[row("1")]))
    reader, made = SqliteReader(path), connections(monkeypatch)
    with reader.at_once(), ThreadPoolExecutor(1) as thread:
        assert made == []
        with reader.at_once():
            assert len(reader.history()) == 1
        ledger.commit(Writes(claims=[row("2", slot_us=1)]))
        assert (len(reader.history()), len(made)) == (2, 1)
        assert len(thread.submit(reader.history).result()) == 2
        assert len(made) == 2
        with pytest.raises(AkjobError, match="no such table"):
            reader._select("SELECT 1 FROM not_there", ())
        assert reader.last_seq() == 0
    with pytest.raises(sqlite3.ProgrammingError, match="closed"):
        made[0].execute("SELECT 1")
    assert (len(reader.history()), len(made)) == (2, 3)


def test_a_reader_sees_what_is_committed_while_akjobd_runs(ledger: SqliteStore, path: Path) -> None:
    """Also what is in the write-ahead log only, and after akjobd has gone."""
    ledger.commit(Writes(claims=[row("1")]))
    assert len(SqliteReader(path).history()) == 1
    ledger.close()
    assert len(SqliteReader(path).history()) == 1


def test_a_path_with_odd_characters(tmp_path: Path) -> None:
    """A question mark or a per cent sign in the root's name is not an option of SQLite's."""
    path = tmp_path / "a?b%20c#d" / "akjob.db"
    path.parent.mkdir()
    ledger = SqliteStore.open(path)
    ledger.commit(Writes(claims=[row("1")]))
    assert len(SqliteReader(path).history()) == 1
    ledger.close()


@pytest.mark.parametrize(
    ("tail", "index"),
    [
        (history_tail(None, of_job=True), "runs_claim (job=?)"),
        (history_tail(None, of_job=False), "sqlite_autoindex_runs_1"),
        (history_tail("failed", of_job=False), "runs_exceptions (state=?)"),
        (history_tail("lost", of_job=True), "runs_exceptions_of_job (job=? AND state=?)"),
        (history_tail("running", of_job=False), "runs_open"),
        (" WHERE id >= 'a' AND id < 'b' ORDER BY id LIMIT 6", "sqlite_autoindex_runs_1 (id>? AND id<?)"),
    ],
)
def test_no_question_walks_through_the_ledger(ledger: SqliteStore, tail: str, index: str) -> None:
    """Each question has its index and needs no sorting, so its cost does not grow with the ledger."""
    question = "EXPLAIN QUERY PLAN SELECT * FROM runs" + tail  # noqa: S608 - the question under test
    values = ("a", 20)[-tail.count("?") :] if "?" in tail else ()
    plan = [line[3] for line in ledger._connection.execute(question, values)]
    assert len(plan) == 1
    assert index in plan[0]


def steps_of(monkeypatch: pytest.MonkeyPatch, question: Callable[[], object]) -> int:
    """Return how many steps of its machine the database takes for a question."""
    connect, steps = sqlite_reader._connect, [0]

    def step() -> int:
        steps[0] += 1
        return 0

    def watched(path: Path) -> sqlite3.Connection:
        connection = connect(path)
        connection.set_progress_handler(step, 1)
        return connection

    with monkeypatch.context() as patched:
        patched.setattr(sqlite_reader, "_connect", watched)
        question()
    return steps[0]


def test_what_became_of_a_job_is_read_without_what_became_of_others(
    ledger: SqliteStore, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However many transitions there are of other jobs, and of runs."""
    reader = SqliteReader(path)
    loaded = [Transition(at_us=at_us, kind="job", job="a", to_state="loaded") for at_us in range(3)]
    ledger.commit(Writes(transitions=[*loaded, Transition(at_us=9, kind="daemon", to_state="started")]))
    few = steps_of(monkeypatch, lambda: reader.job_transitions("a"))
    others = [Transition(at_us=at_us, kind="job", job=f"b{at_us}", to_state="loaded") for at_us in range(1000)]
    ledger.commit(Writes(transitions=[*others, replace(loaded[0], at_us=2000)]))
    found = reader.job_transitions("a")
    assert [one.at_us for one in found] == [0, 1, 2, 9, 2000]
    assert steps_of(monkeypatch, lambda: reader.job_transitions("a")) < few + 60


def test_days_are_counted_in_an_index(ledger: SqliteStore, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A few steps for each of so many rows, and nothing for those that are older."""
    rows = 3000
    ledger.commit(Writes(claims=[row(f"{n:05}", slot_us=n * MINUTE, state="succeeded") for n in range(rows)]))
    reader = SqliteReader(path)
    assert reader.day_counts("a", to_text(0), rows) == [
        DayCount("1970-01-01", "succeeded", 1440),
        DayCount("1970-01-02", "succeeded", 1440),
        DayCount("1970-01-03", "succeeded", 120),
    ]
    assert sum(one.count for one in reader.day_counts("a", to_text(0), 1600)) == 1600
    assert steps_of(monkeypatch, lambda: reader.day_counts("a", to_text(0), rows)) < 10 * rows
    assert steps_of(monkeypatch, lambda: reader.day_counts("a", to_text(0), 100)) < 2000


def test_instants_sort_as_text() -> None:
    """The columns are text, and text order is time order."""
    instants = [0, SECOND, us("10:00:00"), us("10:00:00") + 1, us("10:00:00") + HOUR, us("9999-12-31T00:00:00Z")]
    assert sorted(map(to_text, instants)) == [to_text(one) for one in instants]
