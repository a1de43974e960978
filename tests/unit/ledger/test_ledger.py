"""The ledger: what was committed is there, once, and everything else is a clear error."""

import os
import sqlite3
import threading
from collections.abc import Iterator
from datetime import date, datetime, time, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest

from akjob.errors import AkjobError
from akjob.instants import DAY, HOUR, SECOND, to_text
from akjob.ledger import (
    Definition,
    JobRow,
    Ledger,
    LedgerBusyError,
    LedgerFullError,
    Reader,
    RunRow,
    Wait,
    Writes,
    checkpoint,
)
from akjob.ledger.migrate import migrations
from akjob.ledger.reader import history_tail
from tests.unit.world import row, us

COLUMNS = [
    "id", "job", "slot", "slot_last", "attempt", "trigger", "state", "reason", "count", "queued_at", "started_at",
    "ended_at", "exit_code", "signal", "error", "result", "pid", "host", "user_cpu_s", "system_cpu_s",
    "max_rss_bytes", "definition_sha256", "git_commit", "git_dirty",
]  # fmt: skip


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Return where the ledger is."""
    return tmp_path / "akjob.db"


@pytest.fixture
def ledger(path: Path) -> Iterator[Ledger]:
    """Open a new ledger."""
    opened = Ledger.open(path)
    yield opened
    opened.close()


def job_row(name: str = "a", **other: Any) -> JobRow:
    """Make a row of ``jobs``."""
    values: dict[str, Any] = {
        "job": name,
        "watermark_us": 0,
        "first_loaded_us": 0,
        "last_loaded_us": 0,
        "file": f"jobs.d/{name}.toml",
        "definition_sha256": "f00",
        "definition": 'command = ["true"]\n',
    }
    return JobRow(**(values | other))


def full_row() -> RunRow:
    """Make a row with every column filled."""
    return row(
        "01", job="reports/nightly", slot_us=us("10:00:00"), slot_last_us=us("10:00:00"), attempt=2, trigger="retry",
        state="failed", reason="exit code 3", queued_us=us("09:59:59"), started_us=us("10:00:00"),
        ended_us=us("10:00:01"), exit_code=3, signal=None, error="ValueError: no", result="[1]", pid=77, host="h",
        user_cpu_s=0.5, system_cpu_s=0.25, max_rss_bytes=1 << 20, definition_sha256="f00", git_commit="c0ffee",
        git_dirty=True,
    )  # fmt: skip


def test_a_new_ledger_is_private_and_has_its_columns(ledger: Ledger, path: Path) -> None:
    """The file is for akjobd's user alone; the table ``runs`` has the documented columns, in order."""
    assert path.stat().st_mode & 0o777 == 0o600
    ledger.commit(Writes(claims=[full_row()]))
    (read,) = Reader(path).history()
    assert list(read) == COLUMNS
    assert read["slot"] == "2026-03-02T10:00:00.000000Z"
    assert read["git_dirty"] is True
    assert (read["trigger"], read["attempt"], read["count"], read["error"]) == ("retry", 2, 1, "ValueError: no")


def test_it_is_durable_and_checkpoints_are_not_the_loops_matter(ledger: Ledger) -> None:
    """WAL, each commit on disk, no automatic checkpoint."""
    pragma = {name: ledger._connection.execute(f"PRAGMA {name}").fetchone()[0] for name in (
        "journal_mode", "synchronous", "wal_autocheckpoint")}  # fmt: skip
    assert pragma == {"journal_mode": "wal", "synchronous": 2, "wal_autocheckpoint": 0}


def test_rows_come_back_as_they_were(ledger: Ledger) -> None:
    """Jobs, open runs and what they wait for survive a restart unchanged, dates among the arguments too."""
    jobs = [
        job_row(),
        job_row(
            "b", watermark_us=us("10:00:00"), runs_started=3, paused_at_us=5, paused_until_us=us("11:00:00"),
            pause_reason="disk", paused_by="ann", again_from_us=7, last_run="r", last_state="failed", last_ended_us=8,
            removed_us=9, refused="x", refused_us=10, refused_commit="c0ffee", refused_dirty=True,
        ),
    ]  # fmt: skip
    open_row = row("02", queued_us=us("10:00:00"))
    running = row("03", slot_us=1, slot_last_us=1, state="running", started_us=4, git_dirty=False)
    berlin = timezone(timedelta(hours=1))
    kwargs = {
        "n": [1, 2.5, "x", True],
        "when": datetime(2026, 1, 2, 3, 4, 5, tzinfo=berlin),
        "d": {"on": date(2026, 1, 2)},
        "$toml": {"$toml": "x"},
    }
    arguments = {**kwargs, "at": time(9, 30)}
    wait = Wait(run="02", not_before_us=us("12:00:00"), after_previous=True, manual=True, kwargs=arguments)
    ledger.commit(Writes(claims=[full_row(), open_row, running], loaded=jobs, waits=[wait]))
    assert sorted(ledger.jobs_state(), key=lambda one: one.job) == jobs
    first, second = ledger.open_runs()
    assert (first.row, first.wait) == (open_row, wait)
    assert (second.row, second.wait) == (running, None)
    ledger.commit(Writes(waited=["02"]))
    assert ledger.open_runs()[0].wait is None


def test_a_job_row_that_changes_keeps_what_was_loaded(ledger: Ledger, path: Path) -> None:
    """``jobs`` writes what changes as the job runs, ``loaded`` all."""
    ledger.commit(Writes(loaded=[job_row()]))
    ledger.commit(Writes(jobs=[job_row(watermark_us=us("10:00:00"), runs_started=1, definition="other")]))
    (read,) = ledger.jobs_state()
    assert (read.watermark_us, read.runs_started, read.definition) == (us("10:00:00"), 1, 'command = ["true"]\n')
    read_by_name = Reader(path).job("a")
    assert read_by_name is not None
    assert read_by_name["mark"] == "2026-03-02T10:00:00.000000Z"


def test_a_slot_is_claimed_once(ledger: Ledger, path: Path) -> None:
    """A second claim of (job, slot, attempt) is refused and named; the rest of the burst is written."""
    assert ledger.commit(Writes(claims=[row("1", slot_us=5), row("2", slot_us=6)])) == []
    again = [row("3", slot_us=6), row("4", slot_us=6, attempt=2), row("5", slot_us=7), row("6", slot_us=6, job="b")]
    assert ledger.commit(Writes(claims=again)) == ["3"]
    assert {one["id"] for one in Reader(path).history()} == {"1", "2", "4", "5", "6"}


def test_a_burst_is_one_transaction(ledger: Ledger, path: Path) -> None:
    """A thousand claims, changes and job rows: one BEGIN, one COMMIT."""
    claims = [row(f"{n:05}", slot_us=n) for n in range(1000)]
    said: list[str] = []
    ledger._connection.set_trace_callback(said.append)
    ledger.commit(Writes(claims=claims, loaded=[job_row()]))
    assert [word for word in said if word.split()[0] in ("BEGIN", "COMMIT")] == ["BEGIN IMMEDIATE", "COMMIT"]
    assert len(Reader(path).history(n=2000)) == 1000


def test_what_is_no_utf8_does_not_stop_a_commit(ledger: Ledger, path: Path) -> None:
    """A message made of odd bytes is written with backslashes, not refused."""
    odd = b"caf\xe9".decode("utf-8", "surrogateescape")
    ledger.commit(Writes(claims=[row("1", reason=odd)], loaded=[job_row(pause_reason=odd, paused_by=odd)]))
    ledger.commit(Writes(changes=[row("1", state="failed", reason=odd, error=odd, result=odd)]))
    (read,) = Reader(path).history()
    assert [read[column] for column in ("reason", "error", "result")] == ["caf\\udce9"] * 3


def test_a_failed_commit_writes_nothing(ledger: Ledger, path: Path) -> None:
    """All or nothing, and the same writes can be tried again."""
    bad = Writes(claims=[row("1", slot_us=1)], jobs=[job_row(watermark_us=1 << 62)])
    with pytest.raises(OverflowError):
        ledger.commit(bad)
    assert Reader(path).history() == []
    assert ledger.commit(Writes(claims=[row("1", slot_us=1)])) == []


def test_a_locked_ledger_is_busy(ledger: Ledger, path: Path) -> None:
    """Another program's lock is said as such; once it is gone the same commit succeeds."""
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(LedgerBusyError, match="locked by another program"):
        ledger.commit(Writes(claims=[row("1")]))
    other.execute("ROLLBACK")
    other.close()
    assert ledger.commit(Writes(claims=[row("1")])) == []


def test_a_full_disk_is_said(ledger: Ledger, path: Path) -> None:
    """A ledger that cannot grow raises LedgerFullError, and goes on when there is room again."""
    ledger._connection.execute("PRAGMA max_page_count = 20")
    burst = Writes(claims=[row(f"{n:05}", slot_us=n, reason="x" * 2000) for n in range(100)])
    with pytest.raises(LedgerFullError, match="cannot be written"):
        ledger.commit(burst)
    assert Reader(path).history() == []
    ledger._connection.execute("PRAGMA max_page_count = 1000000")
    assert ledger.commit(burst) == []


def test_no_database_is_said(path: Path) -> None:
    """A file that is something else is left alone, and the error says what to move."""
    path.write_bytes(b"this is not a database, whatever its name says" * 100)
    for question in (lambda: Ledger.open(path), lambda: Reader(path).history()):
        with pytest.raises(AkjobError, match="cannot be read as a database") as raised:
            question()
        assert "akjob.db-wal" in raised.value.hint
    assert path.read_bytes().startswith(b"this is not")


def test_a_damaged_database_is_said(path: Path) -> None:
    """Pages overwritten in the middle are no traceback."""
    ledger = Ledger.open(path)
    ledger.commit(Writes(claims=[row(f"{n:05}", slot_us=n) for n in range(500)]))
    ledger.close()
    with path.open("r+b") as file:
        file.seek(4096)
        file.write(os.urandom(path.stat().st_size - 4096))
    with pytest.raises(AkjobError, match="cannot be read as a database"):
        Reader(path).history()


def test_a_newer_schema_is_refused(path: Path) -> None:
    """An older akjob does not touch the ledger of a newer one."""
    Ledger.open(path).close()
    with sqlite3.connect(path) as connection:
        connection.execute("PRAGMA user_version = 99")
    connection.close()
    for question in (lambda: Ledger.open(path), lambda: Reader(path).history()):
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
    as_it_is = Reader(path).job("a")
    assert as_it_is is not None
    assert (as_it_is["refused"], as_it_is["refused_commit"]) == ("x", None)  # the akjobd before the upgrade still runs
    assert Reader(path).jobs() == {"a": as_it_is}
    ledger = Ledger.open(path)
    (read,) = ledger.jobs_state()
    ledger.close()
    assert (read.job, read.refused, read.refused_us) == ("a", "x", us("09:00:00"))
    assert (read.refused_commit, read.refused_dirty) == (None, None)


def test_a_folder_that_is_missing_is_said(tmp_path: Path) -> None:
    """The error names the path."""
    with pytest.raises(AkjobError, match="No such file"):
        Ledger.open(tmp_path / "nowhere" / "akjob.db")


def test_migrations_are_numbered_without_gaps(path: Path) -> None:
    """They begin with 1, and a new ledger has the last number."""
    numbers = [number for number, _ in migrations()]
    assert numbers == list(range(1, len(numbers) + 1))
    Ledger.open(path).close()
    connection = sqlite3.connect(path)
    assert connection.execute("PRAGMA user_version").fetchone()[0] == numbers[-1]
    connection.close()


def test_opening_again_changes_nothing(path: Path) -> None:
    """A second start finds everything."""
    first = Ledger.open(path)
    first.commit(Writes(claims=[full_row()]))
    first.close()
    second = Ledger.open(path)
    second.close()
    assert [one["id"] for one in Reader(path).history()] == ["01"]


def test_the_boot_keeps_its_first_instant(ledger: Ledger) -> None:
    """However the clock was set since, one boot is one instant, new once; the next boot is another."""
    assert ledger.boot_instant("b1", us("10:00:00")) == (us("10:00:00"), True)
    assert ledger.boot_instant("b1", us("10:00:07")) == (us("10:00:00"), False)
    assert ledger.boot_instant("b2", us("12:00:00")) == (us("12:00:00"), True)


# ---------------------------------------------------------------------- checkpoints


def test_a_checkpoint_from_another_thread_bounds_the_log(ledger: Ledger, path: Path) -> None:
    """The write-ahead log grows with commits; a checkpoint, on its own connection, lets it begin anew."""
    for n in range(50):
        ledger.commit(Writes(claims=[row(f"{n:05}-{k:02}", slot_us=n * 100 + k) for k in range(100)]))
    grown = ledger.wal_bytes()
    done: list[bool] = []
    thread = threading.Thread(target=lambda: done.append(checkpoint(path)))
    thread.start()
    thread.join()
    assert done == [True]
    ledger.commit(Writes(claims=[row("next", slot_us=10**9)]))
    assert ledger.wal_bytes() == grown  # begun anew from its start, not longer
    assert checkpoint(path, bound_bytes=1000)
    assert ledger.wal_bytes() == 0
    assert len(Reader(path).history(n=10_000)) == 5001


def test_a_checkpoint_does_not_wait_for_a_reader(ledger: Ledger, path: Path) -> None:
    """A reader in the middle of its question holds up neither checkpoint nor commit."""
    ledger.commit(Writes(claims=[row("1")]))
    reader = sqlite3.connect(f"file:{path}?mode=ro", uri=True, isolation_level=None)
    reader.execute("BEGIN")
    reader.execute("SELECT count(*) FROM runs").fetchone()
    ledger.commit(Writes(claims=[row("2", slot_us=2)]))
    assert checkpoint(path) is False
    assert ledger.commit(Writes(claims=[row("3", slot_us=3)])) == []
    reader.close()


# ---------------------------------------------------------------------- pruning


def test_pruning_goes_in_slices(ledger: Ledger, path: Path) -> None:
    """Old rows go, slice by slice; young ones, open ones and those that ended late stay."""
    now = 100 * DAY
    old = [row(f"{n:05}", slot_us=n, queued_us=n, ended_us=n, state="succeeded") for n in range(25)]
    late = row("00100", slot_us=100, queued_us=30, ended_us=95 * DAY, state="succeeded")
    open_ = row("00101", slot_us=101, queued_us=31, state="running")
    young = row("00102", slot_us=102, queued_us=95 * DAY, ended_us=95 * DAY, state="failed")
    ledger.commit(Writes(claims=[*old, late, open_, young], loaded=[job_row()]))
    slices = 1
    while ledger.prune(10 * DAY, now, 10):
        slices += 1
    assert slices == 3
    assert {one["id"] for one in Reader(path).history()} == {"00100", "00101", "00102"}
    assert ledger.prune(10 * DAY, now, 10) is False


def test_pruning_waits_for_no_disk(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
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


def test_pruning_looks_at_old_rows_only(ledger: Ledger) -> None:
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


def test_definitions_outlive_their_runs(ledger: Ledger, path: Path) -> None:
    """A definition goes when it was not used for twice the time that rows are kept, and is no job's."""
    texts = [
        Definition("old", "jobs.d/a.toml", "old text", DAY),
        Definition("f00", "jobs.d/a.toml", "loaded text", DAY),
        Definition("new", "jobs.d/a.toml", "new text", 80 * DAY),
    ]
    ledger.commit(Writes(definitions=texts, loaded=[job_row()]))
    ledger.prune(20 * DAY, 100 * DAY)
    reader = Reader(path)
    assert [reader.definition(sha) for sha in ("old", "f00", "new")] == [None, "loaded text", "new text"]
    assert reader.definition("nowhere") is None


# ---------------------------------------------------------------------- reading


def test_a_reader_needs_no_ledger(path: Path) -> None:
    """Before akjobd's first start everything is empty, and reading makes no file."""
    reader = Reader(path)
    assert (reader.history(), reader.jobs(), reader.job("a"), reader.last_outcomes()) == ([], {}, None, {})
    assert (reader.open_runs(), reader.definition("x"), reader.find_run("x")) == ([], None, None)
    assert not path.exists()
    path.touch()
    assert reader.history() == []


def test_history_is_newest_first(ledger: Ledger, path: Path) -> None:
    """Of all jobs by id, of one by slot and attempt; by state too."""
    ledger.commit(
        Writes(
            claims=[
                row("1", slot_us=10, state="succeeded"),
                row("2", slot_us=20, state="failed"),
                row("3", slot_us=20, attempt=2, state="succeeded"),
                row("4", job="b", slot_us=5, state="failed"),
                row("5", slot_us=15, state="missed"),
            ]
        )
    )
    reader = Reader(path)
    assert [one["id"] for one in reader.history()] == ["5", "4", "3", "2", "1"]
    assert [one["id"] for one in reader.history("a")] == ["3", "2", "5", "1"]
    assert [one["id"] for one in reader.history("a", n=2)] == ["3", "2"]
    assert [one["id"] for one in reader.history(state="failed")] == ["4", "2"]
    assert [one["id"] for one in reader.history("a", state="failed")] == ["2"]
    assert reader.history("nobody") == []
    with pytest.raises(AkjobError, match="'fialed' is no state") as raised:
        reader.history(state="fialed")
    assert raised.value.exit_code == 2


def test_a_run_by_the_beginning_of_its_id(ledger: Ledger, path: Path) -> None:
    """A prefix that fits one run is enough; none and several are errors that say so."""
    ledger.commit(Writes(claims=[row("abc1", slot_us=1), row("abc12", slot_us=2), row("abd", slot_us=3)]))
    reader = Reader(path)
    assert reader.run("abd")["id"] == "abd"
    assert reader.run("abc12")["id"] == "abc12"
    assert reader.run("abc1")["id"] == "abc1"
    with pytest.raises(AkjobError, match="fits several runs: abc1, abc12, abd"):
        reader.run("ab")
    with pytest.raises(AkjobError, match="no run 'x' is in the ledger"):
        reader.run("x")


def test_the_reader_cannot_write(ledger: Ledger, path: Path) -> None:
    """Nobody but akjobd writes the ledger."""
    ledger.commit(Writes(claims=[row("1")]))
    reader = Reader(path)
    with reader._connected() as connection:
        assert connection is not None
        with pytest.raises(sqlite3.OperationalError, match="readonly"):
            connection.execute("DELETE FROM runs")


def test_a_reader_sees_what_is_committed_while_akjobd_runs(ledger: Ledger, path: Path) -> None:
    """Also what is in the write-ahead log only, and after akjobd has gone."""
    ledger.commit(Writes(claims=[row("1")]))
    assert len(Reader(path).history()) == 1
    ledger.close()
    assert len(Reader(path).history()) == 1


def test_a_path_with_odd_characters(tmp_path: Path) -> None:
    """A question mark or a per cent sign in the root's name is no option of SQLite's."""
    path = tmp_path / "a?b%20c#d" / "akjob.db"
    path.parent.mkdir()
    ledger = Ledger.open(path)
    ledger.commit(Writes(claims=[row("1")]))
    assert len(Reader(path).history()) == 1
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
def test_no_question_walks_through_the_ledger(ledger: Ledger, tail: str, index: str) -> None:
    """Each question has its index and needs no sorting, so its cost does not grow with the ledger."""
    question = "EXPLAIN QUERY PLAN SELECT * FROM runs" + tail  # noqa: S608 - the question under test
    values = ("a", 20)[-tail.count("?") :] if "?" in tail else ()
    plan = [line[3] for line in ledger._connection.execute(question, values)]
    assert len(plan) == 1
    assert index in plan[0]


def test_instants_sort_as_text() -> None:
    """The columns are text, and text order is time order."""
    instants = [0, SECOND, us("10:00:00"), us("10:00:00") + 1, us("10:00:00") + HOUR, us("9999-12-31T00:00:00Z")]
    assert sorted(map(to_text, instants)) == [to_text(one) for one in instants]
