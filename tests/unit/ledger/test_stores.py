"""One class of tests for every store: what was committed is there, once, whatever keeps it."""

import sqlite3
from collections import defaultdict
from collections.abc import Iterator
from contextlib import closing
from datetime import date, datetime, time, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from akjob.errors import AkjobError
from akjob.instants import DAY, HOUR, SECOND, to_text
from akjob.ledger import (
    Counter,
    DayCount,
    Definition,
    JobCounters,
    Occurrence,
    Reader,
    RunFilter,
    RunKey,
    RunPage,
    RunRow,
    SlotTally,
    Store,
    Transition,
    Wait,
    Writes,
    open_reader,
    open_store,
)
from akjob.ledger.asking import is_wanted
from akjob.ledger.checking import check
from akjob.ledger.memory import MemoryStore
from akjob.ledger.model import BackfillRow, SlotOutcome
from akjob.ledger.sql_store import SqlStore
from akjob.ledger.statements import KEEP_TRANSITIONS
from tests.unit.ledger.samples import full_row, job_row, life, moved
from tests.unit.world import row, us

COLUMNS = [
    "id", "job", "slot", "slot_last", "attempt", "trigger", "state", "reason", "count", "queued_at", "started_at",
    "ended_at", "exit_code", "signal", "error", "result", "pid", "host", "user_cpu_s", "system_cpu_s",
    "max_rss_bytes", "definition_sha256", "git_commit", "git_dirty", "by", "cause", "node",
]  # fmt: skip


class Ledger:
    """A store and its reader."""

    def __init__(self, store: Store, reader: Reader) -> None:
        self.store = store
        self.reader = reader


@pytest.fixture(params=["sqlite", "memory", "postgres"])
def ledger(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Ledger]:
    """Open a new ledger of each kind."""
    if request.param == "memory":
        memory = MemoryStore()
        yield Ledger(memory, memory.reader())
        return
    url = f"sqlite://{tmp_path}/akjob.db"
    if request.param == "postgres":
        url = request.getfixturevalue("server").database()
    opened = Ledger(open_store(url), open_reader(url))
    yield opened
    opened.store.close()


class TestStore:
    """What every store promises."""

    def test_rows_have_the_documented_columns(self, ledger: Ledger) -> None:
        """Readers return the columns of ``runs`` in order, instants as text."""
        ledger.store.commit(Writes(claims=[full_row()]))
        (read,) = ledger.reader.history()
        assert list(read) == COLUMNS
        assert read["slot"] == "2026-03-02T10:00:00.000000Z"
        assert read["git_dirty"] is True
        assert (read["trigger"], read["attempt"], read["count"], read["error"]) == ("retry", 2, 1, "ValueError: no")
        assert (read["by"], read["cause"], read["node"]) == ("ann", '{"after":["x"]}', "b2")

    def test_rows_come_back_as_they_were(self, ledger: Ledger) -> None:
        """Jobs, open runs and what they wait for survive a restart unchanged, dates among the arguments too."""
        jobs = [
            job_row(),
            job_row(
                "b", watermark_us=us("10:00:00"), runs_started=3, paused_at_us=5, paused_until_us=us("11:00:00"),
                pause_reason="disk", paused_by="ann", again_from_us=7, last_run="r", last_state="failed",
                last_ended_us=8, removed_us=9, refused="x", refused_us=10, refused_commit="c0ffee", refused_dirty=True,
            ),
        ]  # fmt: skip
        waiting = row("02", queued_us=us("10:00:00"), by="ann", cause="{}", node="b2")
        running = row("03", slot_us=1, slot_last_us=1, state="running", started_us=4, git_dirty=False)
        kwargs = {
            "n": [1, 2.5, "x", True],
            "when": datetime(2026, 1, 2, 3, 4, 5, tzinfo=timezone(timedelta(hours=1))),
            "d": {"on": date(2026, 1, 2)},
            "$toml": {"$toml": "x"},
            "at": time(9, 30),
        }
        wait = Wait(
            run="02", not_before_us=us("12:00:00"), after_previous=True, manual=True, kwargs=kwargs, first_attempt=3,
            files=("/in/a.csv", "/in/caf\udce9"),
        )  # fmt: skip
        ledger.store.commit(Writes(claims=[full_row(), waiting, running], loaded=jobs, waits=[wait]))
        assert sorted(ledger.store.jobs_state(), key=lambda one: one.job) == jobs
        first, second = ledger.store.open_runs()
        assert (first.row, first.wait) == (waiting, wait)
        assert (second.row, second.wait) == (running, None)
        assert [read["id"] for read in ledger.reader.open_runs()] == ["02", "03"]
        ledger.store.commit(Writes(waited=["02"]))
        assert ledger.store.open_runs()[0].wait is None

    def test_a_claim_that_is_refused_leaves_nothing(self, ledger: Ledger) -> None:
        """What its run would have waited for is not written either."""
        ledger.store.commit(Writes(loaded=[job_row()], claims=[row("1")]))
        again = Writes(claims=[row("2")], waits=[Wait(run="2", manual=True)])
        assert ledger.store.commit(again).refused == {"2"}
        if isinstance(ledger.store, SqlStore):
            assert list(check(ledger.store)) == []
        else:
            assert isinstance(ledger.store, MemoryStore)
            assert ledger.store.waits == {}

    def test_occurrences_are_kept_until_they_are_decided(self, ledger: Ledger) -> None:
        """Each is known by job and key, comes back as it was, oldest first, and is gone once it is decided."""
        later = Occurrence(job="a", key="on_change:2", at_us=2, trigger="change", files=("/in/caf\udce9",))
        end = Occurrence(job="a", key="after:r", at_us=1, slot_us=0, trigger="after", cause='{"after":{"b":"r"}}')
        other = Occurrence(job="b", key="after:r", at_us=3, trigger="after")
        ledger.store.commit(Writes(occurrences=[later, end, other]))
        assert ledger.store.occurrences() == [end, later, other]
        ledger.store.commit(Writes(decided=[("a", "after:r")], occurrences=[replace(later, at_us=4)]))
        assert ledger.store.occurrences() == [other, replace(later, at_us=4)]

    def test_backfills_are_kept(self, ledger: Ledger) -> None:
        """One that is not over comes back whole, with how far it is; readers list all, newest first."""
        first = BackfillRow(
            id="1", job="a", at_us=9, from_us=0, until_us=8, only="all", parallel=2, newest_first=True, by="ann",
            slots=(7, 6, 5),
        )  # fmt: skip
        ledger.store.commit(Writes(new_backfills=[first, replace(first, id="2", by=None)]))
        ledger.store.commit(Writes(backfills=[replace(first, position=2, done=1, failed=1)]))
        ledger.store.commit(Writes(backfills=[replace(first, id="2", by=None, state="stopped")]))
        assert ledger.store.open_backfills() == [replace(first, position=2, done=1, failed=1)]
        assert ledger.reader.backfills() == [
            {
                "id": "2", "job": "a", "from": to_text(0), "until": to_text(8), "slots": 3, "done": 0, "failed": 0,
                "running": 0, "state": "stopped", "by": None,
            },
            {
                "id": "1", "job": "a", "from": to_text(0), "until": to_text(8), "slots": 3, "done": 1, "failed": 1,
                "running": 1, "state": "running", "by": "ann",
            },
        ]  # fmt: skip

    def test_what_became_of_slots(self, ledger: Ledger) -> None:
        """Of a stretch of time each attempt, in order, the end of the stretch not included."""
        rows = [row("1", slot_us=5, state="failed"), row("2", slot_us=5, attempt=2), row("3", slot_us=6)]
        ledger.store.commit(Writes(claims=[*rows, row("4", slot_us=4), row("5", slot_us=5, job="b")]))
        assert ledger.store.outcomes("a", 5, 6) == [SlotOutcome(5, 1, "failed"), SlotOutcome(5, 2, "queued")]

    def test_ends_that_may_be_worth_a_message(self, ledger: Ledger) -> None:
        """No success, the success after it, what started late or took long; and all of the jobs that are named."""

        def ended(run: str, at: str, job: str = "a", **other: Any) -> RunRow:
            times = {"slot_us": us(at), "slot_last_us": us(at), "started_us": us(at), "ended_us": us(at) + SECOND}
            return row(run, job=job, **{"state": "succeeded", **times, **other})

        minute = us("10:01:00") - us("10:00:00")
        rows = [
            ended("01", "10:00:00"),
            ended("02", "10:01:00", state="failed"),
            ended("03", "10:02:00"),
            ended("04", "10:03:00"),
            ended("05", "10:04:00", started_us=us("10:05:00"), ended_us=us("10:05:01")),
            ended("06", "10:06:00", ended_us=us("10:11:00")),
            ended("07", "10:07:00", ended_us=us("10:08:59")),
            ended("08", "10:08:00", state="running", ended_us=None),
            ended("09", "10:00:00", job="b"),
            ended("10", "10:09:00", state="failed"),
            ended("11", "10:09:00", attempt=2),
        ]
        ledger.store.commit(Writes(claims=rows))

        def found(*besides: str, late_us: int = minute) -> list[str]:
            return sorted(one.id for one in ledger.reader.outcomes("01", late_us, 5 * minute, besides))

        assert found() == ["02", "03", "05", "06", "10", "11"]
        assert found("b") == ["02", "03", "05", "06", "09", "10", "11"]
        assert found(late_us=SECOND) == found()
        assert ledger.reader.outcomes("12", minute, 5 * minute) == []

    def test_events_are_those_of_jobs_and_of_akjobd(self, ledger: Ledger) -> None:
        """Of all jobs, without the runs."""
        changes = [moved("1", None, "queued"), Transition(at_us=1, kind="daemon", to_state="started")]
        changes += [Transition(at_us=2, kind="job", to_state="paused", job=name) for name in ("b", "a")]
        ledger.store.commit(Writes(transitions=changes))
        assert [(one.kind, one.job) for one in ledger.reader.events()] == [("daemon", None), ("job", "b"), ("job", "a")]

    def test_the_last_attempt_of_a_slot(self, ledger: Ledger) -> None:
        """A slot without a row has none; others of the job do not count."""
        ledger.store.commit(Writes(claims=[row("1", slot_us=5), row("2", slot_us=5, attempt=2), row("3", slot_us=6)]))
        assert [ledger.store.last_attempt("a", slot) for slot in (5, 6, 7)] == [2, 1, 0]
        assert ledger.store.last_attempt("b", 5) == 0

    def test_a_run_changes_in_place(self, ledger: Ledger) -> None:
        """A change writes everything that may change in a run, its host and who ended it too."""
        claimed = row("1", queued_us=us("10:00:00"))
        ledger.store.commit(Writes(claims=[replace(claimed)]))
        ended = replace(
            full_row(),
            id="1",
            job="a",
            slot_us=0,
            slot_last_us=0,
            attempt=1,
            trigger="schedule",
            queued_us=us("10:00:00"),
        )
        ledger.store.commit(Writes(changes=[replace(claimed, state="running", host="h")]))
        assert ledger.store.open_runs()[0].row == replace(claimed, state="running", host="h")
        ledger.store.commit(Writes(changes=[ended, row("unknown", state="lost")]))
        assert ledger.store.open_runs() == []
        (read,) = ledger.reader.history("a")
        assert (read["state"], read["host"], read["by"], read["node"]) == ("failed", "h", "ann", "b2")

    def test_a_job_row_that_changes_keeps_what_was_loaded(self, ledger: Ledger) -> None:
        """``jobs`` writes what changes as the job runs, ``loaded`` all."""
        ledger.store.commit(Writes(loaded=[job_row()]))
        changed = job_row(watermark_us=us("10:00:00"), runs_started=1, definition="other")
        ledger.store.commit(Writes(jobs=[changed, job_row("unknown")]))
        (read,) = ledger.store.jobs_state()
        assert (read.watermark_us, read.runs_started) == (us("10:00:00"), 1)
        assert read.definition == 'command = ["true"]\n'
        by_name = ledger.reader.job("a")
        assert by_name is not None
        assert by_name["mark"] == "2026-03-02T10:00:00.000000Z"
        assert ledger.reader.jobs() == {"a": by_name}

    def test_a_slot_is_claimed_once(self, ledger: Ledger) -> None:
        """A second claim of (job, slot, attempt) is refused and named; the rest of the burst is written."""
        assert ledger.store.commit(Writes(claims=[row("1", slot_us=5), row("2", slot_us=6)])).refused == set()
        again = [row("3", slot_us=6), row("4", slot_us=6, attempt=2), row("5", slot_us=7), row("6", slot_us=6, job="b")]
        assert ledger.store.commit(Writes(claims=again)).refused == {"3"}
        assert {one["id"] for one in ledger.reader.history()} == {"1", "2", "4", "5", "6"}

    def test_what_is_not_utf8_does_not_stop_a_commit(self, ledger: Ledger) -> None:
        """A message made of odd bytes is written with backslashes, not refused."""
        odd = b"caf\xe9".decode("utf-8", "surrogateescape")
        ledger.store.commit(Writes(claims=[row("1", reason=odd)], loaded=[job_row(pause_reason=odd, paused_by=odd)]))
        end = moved("1", "queued", "failed", reason=odd, error=odd, by=odd)
        ledger.store.commit(
            Writes(changes=[row("1", state="failed", reason=odd, error=odd, result=odd, by=odd)], transitions=[end])
        )
        (read,) = ledger.reader.history()
        assert [read["reason"], read["error"], read["result"], read["by"]] == ["caf\\udce9"] * 4
        assert [one.detail.reason for one in ledger.reader.transitions(0)] == ["caf\\udce9"]

    def test_the_boot_keeps_its_first_instant(self, ledger: Ledger) -> None:
        """However the clock was set since, one boot is one instant, new once; the next boot is another."""
        assert ledger.store.boot_instant("b1", us("10:00:00")) == (us("10:00:00"), True)
        assert ledger.store.boot_instant("b1", us("10:00:07")) == (us("10:00:00"), False)
        assert ledger.store.boot_instant("b2", us("12:00:00")) == (us("12:00:00"), True)

    def test_nothing_is_left_to_a_checkpoint_in_the_end(self, ledger: Ledger) -> None:
        """After a checkpoint that moved all, the database has all."""
        ledger.store.commit(Writes(claims=[row("1")]))
        assert ledger.store.checkpoint()
        assert len(ledger.reader.history()) == 1

    # ------------------------------------------------------------------ pruning

    def test_pruning_keeps_what_is_young_and_open(self, ledger: Ledger) -> None:
        """Old rows go, slice by slice; young ones, open ones and those that ended late stay."""
        now = 100 * DAY
        old = [row(f"{n:05}", slot_us=n, queued_us=n, ended_us=n, state="succeeded") for n in range(25)]
        late = row("00100", slot_us=100, queued_us=30, ended_us=95 * DAY, state="succeeded")
        open_ = row("00101", slot_us=101, queued_us=31, state="running")
        young = row("00102", slot_us=102, queued_us=95 * DAY, ended_us=95 * DAY, state="failed")
        ledger.store.commit(Writes(claims=[*old, late, open_, young], loaded=[job_row()]))
        while ledger.store.prune(10 * DAY, now, 10):
            pass
        assert {one["id"] for one in ledger.reader.history()} == {"00100", "00101", "00102"}
        assert {one["id"] for one in ledger.reader.history("a")} == {"00100", "00101", "00102"}
        assert ledger.store.prune(10 * DAY, now, 10) is False

    def test_definitions_outlive_their_runs(self, ledger: Ledger) -> None:
        """A definition goes when it was not used for twice the time that rows are kept, and is no job's."""
        texts = [
            Definition("old", "jobs.d/a.toml", "old text", DAY),
            Definition("f00", "jobs.d/a.toml", "loaded text", DAY),
            Definition("new", "jobs.d/a.toml", "new text", 80 * DAY),
        ]
        ledger.store.commit(Writes(definitions=texts, loaded=[job_row()]))
        ledger.store.prune(20 * DAY, 100 * DAY)
        read = ledger.reader.definition
        assert [read(sha) for sha in ("old", "f00", "new")] == [None, "loaded text", "new text"]
        assert read("nowhere") is None

    def test_the_newest_transitions_are_never_pruned(self, ledger: Ledger) -> None:
        """Old transitions go but for the newest 10,000; their numbers go on, and the counters stay as they are."""
        extra = 30
        burst = [moved(str(n), None, "skipped", at=n) for n in range(KEEP_TRANSITIONS + extra)]
        ledger.store.commit(Writes(transitions=burst))
        before = ledger.reader.counters(), ledger.reader.job_counters()
        while ledger.store.prune(DAY, 100 * DAY, 10):
            pass
        left = ledger.reader.transitions(0, limit=2 * KEEP_TRANSITIONS)
        assert (len(left), left[0].seq) == (KEEP_TRANSITIONS, extra + 1)
        assert (ledger.reader.counters(), ledger.reader.job_counters()) == before
        (next_one,) = ledger.store.commit(Writes(transitions=[moved("x", None, "queued")])).transitions
        assert next_one.seq == KEEP_TRANSITIONS + extra + 1
        assert ledger.reader.transitions(next_one.seq - 1) == [next_one]

    def test_young_transitions_are_kept_however_many(self, ledger: Ledger) -> None:
        """What is younger than ``keep`` stays, beyond the newest 10,000 too."""
        burst = [moved(str(n), None, "queued", at=99 * DAY) for n in range(KEEP_TRANSITIONS + 5)]
        ledger.store.commit(Writes(transitions=burst))
        ledger.store.prune(10 * DAY, 100 * DAY)
        assert ledger.reader.transitions(0, limit=1)[0].seq == 1

    # ------------------------------------------------------------------ transitions and counters

    def test_transitions_are_numbered_as_they_are_committed(self, ledger: Ledger) -> None:
        """The numbers have no gaps and go on from commit to commit; what is returned is what readers read."""
        assert (ledger.reader.last_seq(), ledger.reader.transitions(0)) == (0, [])
        started = Transition(at_us=us("09:00:00"), kind="daemon", to_state="started")
        loaded = Transition(at_us=us("09:00:01"), kind="job", job="a", to_state="loaded")
        first = ledger.store.commit(Writes(transitions=[started, loaded])).transitions
        second = ledger.store.commit(Writes(claims=[row("1")], transitions=life("1", error="x"))).transitions
        assert [one.seq for one in (*first, *second)] == [1, 2, 3, 4, 5]
        assert ledger.reader.transitions(0) == [*first, *second]
        assert ledger.reader.transitions(2, limit=2) == list(second[:2])
        assert ledger.reader.last_seq() == 5
        assert [replace(one, seq=0) for one in first] == [started, loaded]

    def test_each_node_claims_a_slot_of_its_own(self, ledger: Ledger) -> None:
        """A slot and attempt have one row in each scope; the ledger gives it back with an open run."""
        claims = [row("1", slot_us=5), row("2", slot_us=5, scope="a"), row("3", slot_us=5, scope="b")]
        assert ledger.store.commit(Writes(claims=claims)).refused == set()
        again = [row("4", slot_us=5, scope="b"), row("5", slot_us=5), row("6", slot_us=5, attempt=2, scope="b")]
        assert ledger.store.commit(Writes(claims=again)).refused == {"4", "5"}
        assert {one.row.id: one.row.scope for one in ledger.store.open_runs()} == {
            "1": "",
            "2": "a",
            "3": "b",
            "6": "b",
        }
        assert len(ledger.reader.history("a")) == 4
        if isinstance(ledger.store, SqlStore):  # in memory there is no cluster
            good = [replace(one, state="succeeded", ended_us=6) for one in claims[:2]]
            ledger.store.commit(Writes(changes=[*good, replace(claims[2], state="failed", ended_us=6)]))
            assert ledger.reader.slot_tallies(["a"], "", 9)["a"] == SlotTally(3, 2, to_text(5))
        if isinstance(ledger.store, SqlStore):
            assert "a slot has two rows for one attempt" not in {flaw.rule for flaw in check(ledger.store)}

    def test_a_refused_claim_has_no_transitions(self, ledger: Ledger) -> None:
        """What did not happen is not told: neither numbered, nor counted."""
        ledger.store.commit(Writes(claims=[row("1", slot_us=6)]))
        moves = [moved("2", None, "skipped"), moved("3", None, "skipped")]
        done = ledger.store.commit(
            Writes(claims=[row("2", slot_us=6), row("3", slot_us=7, state="skipped")], transitions=moves)
        )
        assert done.refused == {"2"}
        assert [one.run for one in done.transitions] == ["3"]
        assert ledger.reader.counters() == [Counter("slots_total", {"outcome": "skipped"}, 1.0)]

    def test_counters_count_each_slot_once(self, ledger: Ledger) -> None:
        """A slot has one outcome, a run one end; a stretch counts its slots, a retry no further slot."""
        ledger.store.commit(Writes(transitions=life("1", "failed", exit_code=3, retried=True)))
        ledger.store.commit(Writes(transitions=life("2", attempt=2, trigger="retry", at=60 * SECOND)))
        moves = [
            moved("3", None, "missed", count=40),
            moved("4", "queued", "skipped"),
            moved("5", "queued", "cancelled"),
        ]
        ledger.store.commit(Writes(transitions=moves))
        values = {(one.name, *one.labels.values()): one.value for one in ledger.reader.counters()}
        assert values == {
            ("slots_total", "ran"): 1,
            ("slots_total", "missed"): 40,
            ("slots_total", "skipped"): 2,
            ("runs_total", "failed", "schedule"): 1,
            ("runs_total", "succeeded", "retry"): 1,
            ("runs_total", "cancelled", "schedule"): 1,
            ("start_lateness_seconds_bucket", "0.005"): 2,
            ("start_lateness_seconds_sum",): pytest.approx(0.008),
        }

    def test_a_job_has_counters_of_its_own(self, ledger: Ledger) -> None:
        """Sums, the last success and failure, and how many slots failed in a row: a failure that is retried is none."""
        ends = [
            *life("1", at=HOUR, max_rss_bytes=7),
            *life("2", "failed", at=2 * HOUR, retried=True),
            *life("3", "timed_out", at=3 * HOUR, attempt=2),
            *life("4", "lost", at=4 * HOUR, max_rss_bytes=9),
        ]
        ledger.store.commit(Writes(transitions=ends[:6]))
        ledger.store.commit(Writes(transitions=[*ends[6:], moved("5", None, "missed", job="b", count=3)]))
        assert ledger.reader.job_counters() == {
            "a": JobCounters(
                ran=3, runs=4, run_s=8.0, last_success_us=HOUR, last_failure_us=4 * HOUR, last_duration_s=2.0,
                last_max_rss_bytes=9, failures=2,
            ),
            "b": JobCounters(missed=3),
        }  # fmt: skip
        ledger.store.commit(Writes(transitions=life("6", at=5 * HOUR)))
        after = ledger.reader.job_counters()["a"]
        assert (after.failures, after.last_success_us, after.last_failure_us) == (0, 5 * HOUR, 4 * HOUR)

    # ------------------------------------------------------------------ reading

    def test_history_is_newest_first(self, ledger: Ledger) -> None:
        """Of all jobs by id, of one by slot and attempt; by state too."""
        claims = [
            row("1", slot_us=10, state="succeeded"),
            row("2", slot_us=20, state="failed"),
            row("3", slot_us=20, attempt=2, state="succeeded"),
            row("4", job="b", slot_us=5, state="failed"),
            row("5", slot_us=15, state="missed"),
        ]
        ledger.store.commit(Writes(claims=claims))
        reader = ledger.reader
        assert [one["id"] for one in reader.history()] == ["5", "4", "3", "2", "1"]
        assert [one["id"] for one in reader.history("a")] == ["3", "2", "5", "1"]
        assert [one["id"] for one in reader.history("a", n=2)] == ["3", "2"]
        assert [one["id"] for one in reader.history(state="failed")] == ["4", "2"]
        assert [one["id"] for one in reader.history("a", state="failed")] == ["2"]
        assert reader.history("unknown") == []
        with pytest.raises(AkjobError, match="'fialed' is not a state") as raised:
            reader.history(state="fialed")
        assert raised.value.exit_code == 2

    def test_rows_by_their_slots(self, ledger: Ledger) -> None:
        """Of one job, up to a slot and in a range, with all attempts; other jobs' rows are not among them."""
        hours = {"r1": ("10", 1), "r2": ("11", 1), "r3": ("11", 2), "r4": ("12", 1)}
        ids = {run: (us(f"{hour}:00:00"), attempt) for run, (hour, attempt) in hours.items()}
        rows = [row(one, slot_us=slot, slot_last_us=slot, attempt=attempt) for one, (slot, attempt) in ids.items()]
        ledger.store.commit(Writes(claims=[*rows, row("x", job="x", slot_us=us("11:00:00"))]))
        at = {hour: to_text(us(f"{hour:02}:00:00")) for hour in (9, 10, 11, 12)}
        reader = ledger.reader
        assert [one["id"] for one in reader.slots_until("a", at[11], 2)] == ["r3", "r2"]
        assert reader.slots_until("a", at[9], 5) == []
        assert [one["id"] for one in reader.rows_between("a", at[10], at[12])] == ["r1", "r2", "r3"]
        assert reader.oldest_slot("a") == at[10]
        assert reader.oldest_slot("b") is None

    def test_rows_of_a_line_of_time(self, ledger: Ledger) -> None:
        """The newest in the range, newest first, and the one before it; how many began in each hour."""
        rows = [
            row(f"r{number}", slot_us=us(at), started_us=us(at), user_cpu_s=0.5, system_cpu_s=0.25, cause="{}")
            for number, at in enumerate(("08:00:00", "09:10:00", "10:20:00", "10:30:00", "12:00:00"))
        ]
        ledger.store.commit(Writes(claims=[*rows, row("x", job="x", slot_us=us("10:00:00"))]))
        since, until = to_text(us("10:00:00")), to_text(us("12:00:00"))
        found = ledger.reader.times(["a", "b"], since, until, 5)
        assert {job: [one.id for one in kept] for job, kept in found.items()} == {"a": ["r3", "r2", "r1"], "b": []}
        assert found["a"][0].started_at == to_text(us("10:30:00"))
        assert (found["a"][0].cpu_s, found["a"][0].cause, found["a"][0].trigger) == (0.75, "{}", "schedule")
        assert [one.id for one in ledger.reader.times(["a"], since, until, 1)["a"]] == ["r3"]
        day = to_text(us("10:20:00"))[:11]
        hours = ledger.reader.counts_by_hour("a", to_text(us("09:00:00")), to_text(us("13:00:00")), 3)
        assert hours == [(f"{day}10", 2), (f"{day}12", 1)]

    def test_how_many_rows_there_are(self, ledger: Ledger) -> None:
        """Exactly below a bound, of a job, a state, a trigger and a range of slots."""
        rows = [
            row(f"r{number}", job="ab"[number % 2], slot_us=us("10:00:00") + number * HOUR, state=state)
            for number, state in enumerate(("failed", "succeeded", "failed", "failed", "succeeded"))
        ]
        ledger.store.commit(Writes(claims=rows))
        reader, since = ledger.reader, to_text(us("11:30:00"))
        assert reader.count(RunFilter(), 100) == (5, True)
        assert reader.count(RunFilter(), 4) == (4, False)
        assert reader.count(RunFilter(state="failed"), 100) == (3, True)
        assert reader.count(RunFilter(job="a", state="failed", since=since), 100) == (1, True)
        assert reader.count(RunFilter(since=since), 100) == (3, True)
        assert reader.count(RunFilter(trigger="manual"), 100) == (0, True)
        assert reader.count(RunFilter(job="nothing"), 100) == (0, True)

    def test_how_long_the_last_runs_took(self, ledger: Ledger) -> None:
        """The newest that succeeded; a job without one is left out."""
        for number, state in enumerate(("succeeded", "failed", "succeeded", "succeeded")):
            slot = us("10:00:00") + number * HOUR
            ended = slot + (number + 1) * SECOND
            done = row(f"r{number}", slot_us=slot, state=state, started_us=slot, ended_us=ended)
            ledger.store.commit(Writes(claims=[done]))
        assert ledger.reader.durations(["a", "b"], 2) == {"a": [4.0, 3.0]}

    def test_what_became_of_a_job_without_its_runs(self, ledger: Ledger) -> None:
        """The transitions of the job and of akjobd, in order; nothing of other jobs and of runs."""
        moves = [
            Transition(at_us=1, kind="daemon", to_state="started"),
            Transition(at_us=2, kind="job", job="a", to_state="loaded"),
            Transition(at_us=3, kind="job", job="b", to_state="loaded"),
            Transition(at_us=4, kind="run", job="a", run="r", to_state="running"),
            Transition(at_us=5, kind="job", job="a", to_state="paused"),
        ]
        ledger.store.commit(Writes(transitions=moves))
        assert [one.at_us for one in ledger.reader.job_transitions("a")] == [1, 2, 5]

    def test_a_run_by_the_beginning_of_its_id(self, ledger: Ledger) -> None:
        """A prefix that fits one run is enough; none and several are errors that say so."""
        ledger.store.commit(Writes(claims=[row("abc1", slot_us=1), row("abc12", slot_us=2), row("abd", slot_us=3)]))
        reader = ledger.reader
        assert [reader.run(prefix)["id"] for prefix in ("abd", "abc12", "abc1")] == ["abd", "abc12", "abc1"]
        with pytest.raises(AkjobError, match="matches several runs: abc1, abc12, abd"):
            reader.run("ab")
        with pytest.raises(AkjobError, match="no run 'x' is in the ledger"):
            reader.run("x")
        assert reader.find_run("abc") is None
        found = reader.find_run("abd")
        assert found == reader.run("abd")

    def test_an_empty_ledger_answers(self, ledger: Ledger) -> None:
        """Before anything was written every question has an empty answer."""
        reader = ledger.reader
        assert (reader.history(), reader.jobs(), reader.job("a"), reader.open_runs()) == ([], {}, None, [])
        assert (reader.definition("x"), reader.find_run("x"), reader.transitions(0), reader.last_seq()) == (
            None,
            None,
            [],
            0,
        )
        assert (reader.counters(), reader.job_counters()) == ([], {})


# ---------------------------------------------------------------------- addresses


@pytest.mark.parametrize("url", ["sqlite://{}/akjob.db", "sqlite:///{}/akjob.db"])
def test_a_sqlite_ledger_by_its_url(url: str, tmp_path: Path) -> None:
    """Both ways to write an absolute path are fine, and both sides find the same file."""
    store = open_store(url.format(tmp_path))
    store.commit(Writes(claims=[row("1")]))
    store.close()
    assert (tmp_path / "akjob.db").is_file()
    assert len(open_reader(url.format(tmp_path)).history()) == 1


@pytest.mark.parametrize("url", ["", "akjob.db", "/var/akjob.db", "sqlite://host/akjob.db", "mysql://host/akjob"])
def test_what_is_not_the_url_of_a_ledger(url: str) -> None:
    """The error says how to write it."""
    for opening in (open_store, open_reader):
        with pytest.raises(AkjobError, match="is not the URL of a ledger") as raised:
            opening(url)
        assert "sqlite:///PATH" in raised.value.hint


def test_a_memory_ledger_is_new_each_time() -> None:
    """``memory:`` is an empty ledger of its own."""
    open_store("memory:").commit(Writes(claims=[row("1")]))
    assert open_reader("memory:").history() == []


# ---------------------------------------------------------------------- the version before


def test_the_ledger_of_the_version_before_is_taken_over(tmp_path: Path) -> None:
    """Rows stay, what was open goes on, and the counters begin with what the rows tell."""
    path = tmp_path / "akjob.db"
    sample = Path(__file__).parents[2] / "samples" / "ledger_version_2.sql"
    with closing(sqlite3.connect(path)) as connection:
        connection.executescript(sample.read_text())
    reader = open_reader(f"sqlite://{path}")
    before, jobs_before = reader.history(n=100), reader.jobs()
    assert (len(before), sorted(jobs_before)) == (14, ["paused", "reports/nightly", "retried", "slow"])
    assert (reader.transitions(0), reader.last_seq(), reader.counters(), reader.job_counters()) == ([], 0, [], {})
    store = open_store(f"sqlite://{path}")
    assert (reader.history(n=100), reader.jobs()) == (before, jobs_before)
    assert [one.row.job for one in store.open_runs()] == ["slow", "reports/nightly", "retried"]
    assert store.open_runs()[-1].wait == Wait(run=store.open_runs()[-1].row.id, not_before_us=us("11:05:00"))
    values = {(one.name, *one.labels.values()): one.value for one in reader.counters()}
    assert values == {
        ("slots_total", "ran"): 7,
        ("slots_total", "skipped"): 3,
        ("runs_total", "succeeded", "schedule"): 5,
        ("runs_total", "failed", "schedule"): 2,
        ("runs_total", "failed", "retry"): 1,
    }
    retried = reader.job_counters()["retried"]
    assert (retried.ran, retried.runs, retried.last_success_us, retried.last_failure_us) == (
        3,
        4,
        us("09:00:00") + 1000,
        us("11:00:00"),
    )
    assert retried.run_s == pytest.approx(0.001, abs=1e-4)
    store.commit(Writes(transitions=life("x", job="retried")))
    assert reader.job_counters()["retried"].ran == 4
    store.close()


class TestPages:
    """Pages of rows: the same rows as the whole list, in its order, whatever is asked for."""

    @pytest.fixture
    def filled(self, ledger: Ledger) -> Ledger:
        """Write forty rows of two jobs, some retried, of several states and triggers."""
        claims = []
        for n in range(40):
            at_us = n // 4 * HOUR
            where = {"job": "ab"[n % 2], "slot_us": at_us, "slot_last_us": at_us, "attempt": 1 + n // 2 % 2}
            state = ("succeeded", "failed", "skipped")[n % 3]
            trigger = "manual" if n % 5 == 0 else "schedule"
            claims.append(row(f"r{n:03}", **where, queued_us=at_us, state=state, trigger=trigger))
        ledger.store.commit(Writes(claims=claims))
        return ledger

    @pytest.mark.parametrize(
        "wanted",
        [
            RunFilter(),
            RunFilter(job="a"),
            RunFilter(state="failed"),
            RunFilter(job="b", state="skipped"),
            RunFilter(trigger="manual"),
            RunFilter(since=to_text(3 * HOUR), until=to_text(7 * HOUR)),
            RunFilter(job="a", since=to_text(3 * HOUR), until=to_text(7 * HOUR)),
            RunFilter(job="none"),
        ],
        ids=repr,
    )
    def test_pages_are_the_list_cut(self, filled: Ledger, wanted: RunFilter) -> None:
        """No row is lost or repeated between pages, and the last page says that it is."""
        whole = filled.reader.page(wanted, 1000)
        assert whole.following is None
        assert all(is_wanted(one, wanted) for one in whole.rows)
        everything = filled.reader.history(n=1000)
        assert len(whole.rows) == sum(is_wanted(one, wanted) for one in everything)
        found, after = [], None
        while True:
            page = filled.reader.page(wanted, 3, after)
            found += page.rows
            after = page.following
            if after is None:
                break
        assert found == whole.rows

    def test_order(self, filled: Ledger) -> None:
        """Of one job by slot and attempt, of all by id; the newest first."""
        of_all = [one["id"] for one in filled.reader.page(RunFilter(), 1000).rows]
        assert of_all == sorted(of_all, reverse=True)
        of_one = [(one["slot"], one["attempt"]) for one in filled.reader.page(RunFilter(job="a"), 1000).rows]
        assert of_one == sorted(of_one, reverse=True)

    def test_newest_slots(self, filled: Ledger) -> None:
        """The newest rows of several jobs at once; a job without rows is left out."""
        found = filled.reader.newest_slots(["a", "b", "c"], 5)
        assert sorted(found) == ["a", "b"]
        for job, slots in found.items():
            rows = filled.reader.page(RunFilter(job=job), 5).rows
            assert [one.id for one in slots] == [one["id"] for one in rows]
            assert [one.state for one in slots] == [one["state"] for one in rows]

    def test_slots_that_succeeded(self, ledger: Ledger) -> None:
        """A retried slot counts once, a stretch for all its slots, what was left out on purpose not at all."""
        states = ("succeeded", "failed", "skipped", "running", "missed", "succeeded")
        claims = [row(f"r{n}", slot_us=n * HOUR, state=state) for n, state in enumerate(states)]
        claims[4].count = 5
        claims.append(row("r6", slot_us=1 * HOUR, attempt=2, state="succeeded"))
        claims.append(row("r7", slot_us=0, attempt=2, state="succeeded", trigger="backfill"))
        ledger.store.commit(Writes(claims=claims))
        tallies = ledger.reader.slot_tallies(["a", "x"], to_text(0), 100)
        assert tallies == {"a": SlotTally(8, 3, to_text(0))}
        assert ledger.reader.slot_tallies(["a"], to_text(1), 100)["a"].since == to_text(HOUR)
        assert ledger.reader.slot_tallies(["a"], to_text(0), 2) == {"a": SlotTally(6, 1, to_text(4 * HOUR))}

    def test_what_charts_need(self, ledger: Ledger) -> None:
        """Runs that ended, the newest first, with CPU and memory; days by state among so many rows."""
        one = full_row()
        claims = [replace(one, id=f"r{n}", slot_us=n * DAY, slot_last_us=n * DAY, count=n + 1) for n in range(3)]
        claims.append(row("r8", slot_us=2 * DAY + HOUR, job=one.job, state="missed", started_us=None, ended_us=None))
        ledger.store.commit(Writes(claims=claims))
        found = ledger.reader.measured(one.job, 10)
        assert [one.id for one in found] == ["r2", "r1", "r0"]
        assert one.user_cpu_s is not None
        assert one.system_cpu_s is not None
        assert found[0].cpu_s == pytest.approx(one.user_cpu_s + one.system_cpu_s)
        assert (found[0].max_rss_bytes, found[0].git_commit) == (one.max_rss_bytes, one.git_commit)
        days = ledger.reader.day_counts(one.job, to_text(DAY), 10)
        assert days == [
            DayCount("1970-01-02", one.state, 2),
            DayCount("1970-01-03", one.state, 3),
            DayCount("1970-01-03", "missed", 1),
        ]
        assert ledger.reader.day_counts(one.job, to_text(0), 1) == [DayCount("1970-01-03", "missed", 1)]

    def test_days_by_state(self, ledger: Ledger) -> None:
        """All states, retries and stretches, days without a row, other jobs; and the rest of the day that begins."""
        cycle = ("succeeded", "failed", "succeeded", "skipped", "succeeded", "missed", "cancelled", "succeeded")
        claims = [row(f"r{n:02}", slot_us=n * 7 * HOUR, state=state) for n, state in enumerate(cycle * 3)]
        claims[3].count, claims[5].count = 4, 2
        claims += [row("r90", slot_us=7 * HOUR, attempt=2, state="succeeded"), row("r91", slot_us=8 * DAY)]
        claims += [row("r92", slot_us=9 * DAY, state="queued"), row("x1", slot_us=DAY, job="x", state="failed")]
        ledger.store.commit(Writes(claims=claims))
        for since_us, n in ((0, 100), (DAY + HOUR, 100), (0, 9), (3 * DAY, 4), (20 * DAY, 5), (0, 1)):
            expected: dict[tuple[str, str], int] = defaultdict(int)
            own = sorted((one for one in claims if one.job == "a"), key=lambda one: (one.slot_us, one.attempt))
            for one in [one for one in own if one.slot_us >= since_us][-n:]:
                expected[to_text(one.slot_us)[:10], one.state] += one.count
            found = ledger.reader.day_counts("a", to_text(since_us), n)
            assert [((one.day, one.state), one.count) for one in found] == sorted(expected.items())

    def test_some_jobs(self, ledger: Ledger) -> None:
        """The rows of the jobs named, and of no other."""
        ledger.store.commit(Writes(loaded=[job_row("a"), job_row("b/c"), job_row("d")]))
        assert sorted(ledger.reader.jobs(["a", "b/c", "x"])) == ["a", "b/c"]
        assert sorted(ledger.reader.jobs()) == ["a", "b/c", "d"]


def test_a_page_reads_a_bounded_number_of_rows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What no index tells is looked for among so many rows; the next page goes on behind them."""
    monkeypatch.setattr("akjob.ledger.sql_reader.PAGE_ROWS", 10)
    url = f"sqlite://{tmp_path}/akjob.db"
    store, reader = open_store(url), open_reader(url)
    claims = [row(f"r{n:03}", slot_us=n * HOUR, slot_last_us=n * HOUR, queued_us=n * HOUR) for n in range(25)]
    claims[3].trigger = "manual"
    store.commit(Writes(claims=claims))
    store.close()
    wanted = RunFilter(trigger="manual")
    first = reader.page(wanted, 5)
    assert (first.rows, first.following) == ([], RunKey("r015", to_text(15 * HOUR), 1))
    rest = reader.page(wanted, 5, RunKey("r010", to_text(10 * HOUR), 1))
    assert ([one["id"] for one in rest.rows], rest.following) == (["r003"], RunKey("r000", to_text(0), 1))
    assert reader.page(wanted, 5, rest.following) == RunPage([], None)
