"""A real akjobd on a clock that libfaketime moves: a spring night, an autumn night, and clocks that jump.

The clock is set through libfaketime's file, for all processes of the root at once; then it goes on at its own pace.
Each test looks at a few seconds around the instants that matter and jumps over the hours in between. Files keep their
real times, and steady clocks are left alone: neither follows a wall clock that is set.
"""

import time
from collections.abc import Iterator
from glob import glob
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from akjob.instants import SECOND, from_text, to_text
from akjob.log.reading.read import lines
from tests.roots import Place
from tests.support import until
from tests.system.deploy import drained

LIBRARY = next(iter(glob("/usr/lib/*/faketime/libfaketime.so.1")), "")

pytestmark = pytest.mark.skipif(not LIBRARY, reason="libfaketime is not there: apt-get install libfaketime")

BERLIN = 'command = "true"\n[schedule]\ntimezone = "Europe/Berlin"\n'
NIGHT = {
    "daily": BERLIN + "daily = 02:30:00\n",
    "fixed": BERLIN + 'cron = "30 2 * * *"\n',
    "stars": BERLIN + 'cron = "*/2 * * * * *"\n',
    "every": BERLIN + 'every = "2s"\n',
}
FIXED = ("daily", "fixed")
ELAPSED = ("stars", "every")


class Night(Place):
    """A root whose processes live by a clock that the test sets."""

    def __init__(self, root: Path) -> None:
        self._offset = root / "faketimerc"
        super().__init__(
            root,
            LD_PRELOAD=LIBRARY,
            FAKETIME_TIMESTAMP_FILE=str(self._offset),
            FAKETIME_NO_CACHE="1",
            FAKETIME_DONT_FAKE_MONOTONIC="1",
            NO_FAKE_STAT="1",
        )
        self._ahead_us = 0

    def set_clock(self, text: str) -> None:
        """Let it be the instant ``text`` now, for every process.

        A clock that is really set wakes akjobd by its timer; libfaketime cannot do that, so that a request has to.
        """
        self._ahead_us = from_text(text) - time.time_ns() // 1000
        draft = self._offset.with_suffix(".new")
        draft.write_text(f"{self._ahead_us / 1e6:+.6f}")
        draft.rename(self._offset)
        if self.paths.control_socket.exists():
            self.ask("scan")

    @property
    def now_us(self) -> int:
        """What the clock shows."""
        return time.time_ns() // 1000 + self._ahead_us

    def live_until(self, text: str) -> None:
        """Let the time pass until the instant ``text``, and what was begun by then end."""
        instant = from_text(text)
        until(lambda: self.now_us >= instant, 60.0)
        until(lambda: not self.sql("SELECT 1 FROM runs WHERE state IN ('queued', 'running') AND slot <= ?", text))

    def rows(self, *jobs: str) -> list[dict[str, Any]]:
        """Return the ledger's rows of these jobs, by their slots."""
        marks = ", ".join("?" * len(jobs))
        return self.sql(f"SELECT * FROM runs WHERE job IN ({marks}) ORDER BY slot, id", *jobs)  # noqa: S608

    def ran(self, job: str) -> list[str]:
        """Return the slots of a job that ran, ``HH:MM:SS`` in UTC with the day before it, all of them succeeded."""
        return [row["slot"][:19] for row in self.rows(job) if row["state"] == "succeeded"]


@pytest.fixture
def night(root: Path) -> Iterator[Night]:
    """Yield a root of its own time, in which nothing runs yet."""
    place = Night(root)
    yield place
    with drained(place):
        place.stop()
    tidy_up()


def tidy_up() -> None:
    """Remove the shared memory of libfaketime that processes left which are gone: one that is killed leaves it."""
    for file in Path("/dev/shm").glob("*faketime_s[eh]m_*"):  # noqa: S108 - where libfaketime makes it
        if not Path("/proc", file.name.rpartition("_")[2]).exists():
            file.unlink(missing_ok=True)


def begin(night: Night, jobs: dict[str, str], text: str) -> None:
    """Start akjobd at an instant, with these jobs."""
    for name, definition in jobs.items():
        night.job(name, definition)
    night.set_clock(text)
    night.start()


def assert_on_time(night: Night, *slots: str) -> None:
    """Each of these slots of the jobs with fixed times began on the slot, not before, and soon."""
    for row in night.rows(*FIXED):
        if row["slot"][:19] in slots:
            late_us = from_text(row["started_at"]) - from_text(row["slot"])
            assert 0 <= late_us < 2 * SECOND, row
            assert row["trigger"] == "schedule", row


def assert_every_two_seconds(night: Night) -> None:
    """No even second between the first slot and the last is without a row, and none has two: elapsed time, no gap."""
    for job in ELAPSED:
        rows = night.rows(job)
        for before, after in pairwise(rows):
            assert from_text(after["slot"]) - from_text(before["slot_last"]) == 2 * SECOND, (before, after)
        for row in rows:
            assert from_text(row["slot_last"]) - from_text(row["slot"]) == (row["count"] - 1) * 2 * SECOND, row


def test_a_spring_night(night: Night) -> None:
    """02:30 does not exist on 29 March 2026 in Berlin: it runs once, at 03:00, the first instant after the gap."""
    begin(night, NIGHT, "2026-03-29T00:30:00Z")
    night.set_clock("2026-03-29T00:59:57.500000Z")
    night.live_until("2026-03-29T01:00:02.500000Z")  # from 01:59:57 CET over the gap to 03:00:02 CEST
    night.set_clock("2026-03-29T01:29:59Z")
    night.live_until("2026-03-29T01:30:01Z")  # 02:30 by the winter's clock
    night.set_clock("2026-03-30T00:29:59Z")
    night.live_until("2026-03-30T00:30:01Z")  # 02:30 CEST of the next day
    slots = ["2026-03-29T01:00:00", "2026-03-30T00:30:00"]
    for job in FIXED:
        assert night.ran(job) == slots
        assert len(night.rows(job)) == len(slots)
    assert_on_time(night, *slots)
    assert_every_two_seconds(night)
    over_the_gap = [f"2026-03-29T{clock}" for clock in ("00:59:58", "01:00:00", "01:00:02")]
    for job in ELAPSED:
        assert set(over_the_gap) <= {row["slot"][:19] for row in night.rows(job) if row["count"] == 1}


def test_an_autumn_night(night: Night) -> None:
    """02:30 exists twice on 25 October 2026 in Berlin: it runs the first time only, also with a kill -9 in between."""
    begin(night, NIGHT, "2026-10-25T00:20:00Z")
    night.set_clock("2026-10-25T00:29:59Z")
    night.live_until("2026-10-25T00:30:01Z")  # 02:30 CEST, the first
    night.set_clock("2026-10-25T00:59:57.500000Z")
    night.live_until("2026-10-25T01:00:02.500000Z")  # from 02:59:57 CEST back to 02:00:02 CET
    killed = night.pid("akjobd")
    night.kill("akjobd")
    until(lambda: night.pid("akjobd") != killed and night.loaded())
    night.set_clock("2026-10-25T01:29:59Z")
    night.live_until("2026-10-25T01:30:01Z")  # 02:30 CET, the second
    for job in FIXED:
        assert night.ran(job) == ["2026-10-25T00:30:00"]
        assert len(night.rows(job)) == 1
    assert_on_time(night, "2026-10-25T00:30:00")
    assert_every_two_seconds(night)
    over_the_overlap = [f"2026-10-25T{clock}" for clock in ("00:59:58", "01:00:00", "01:00:02")]
    for job in ELAPSED:
        assert set(over_the_overlap) <= {row["slot"][:19] for row in night.rows(job) if row["count"] == 1}


MISSED = 'command = "true"\n[schedule]\ncron = "*/10 * * * *"\n[run]\nmissed = "%s"\nmissed_within = "%s"\n'


def test_a_clock_set_ahead(night: Night) -> None:
    """What the clock jumped over is missed or made up for as the job says; each slot has a row, none two."""
    rules = {"latest": "1h", "skip": "1h", "all": "1h", "strict": "5m"}
    jobs = {name: MISSED % ("all" if name == "strict" else name, within) for name, within in rules.items()}
    begin(night, jobs, "2026-06-01T12:01:00Z")
    night.set_clock("2026-06-01T12:56:00Z")
    until(lambda: len(night.ran("all")) == 5)
    night.live_until("2026-06-01T12:56:00Z")
    slots = [f"2026-06-01T12:{minute}:00" for minute in (10, 20, 30, 40, 50)]
    for job in rules:
        assert [row["slot"][:19] for row in night.rows(job)] == slots
    assert night.ran("latest") == slots[-1:]
    assert night.ran("skip") == []
    assert night.ran("all") == slots
    assert night.ran("strict") == []
    made_up = [row for row in night.rows(*rules) if row["state"] == "succeeded"]
    assert {row["trigger"] for row in made_up} == {"missed"}
    assert all(row["reason"] for row in night.rows(*rules) if row["state"] == "missed")
    assert all(earlier["ended_at"] <= later["started_at"] for earlier, later in pairwise(night.rows("all")))


def test_a_clock_set_back(night: Night) -> None:
    """What ran does not run again when the clock comes to it once more; after it the schedule goes on."""
    jobs = {"tick": 'command = "true"\n[schedule]\nevery = "1s"\n', "noon": BERLIN + "daily = 14:00:00\n"}
    begin(night, jobs, "2026-06-01T11:50:00Z")
    night.set_clock("2026-06-01T11:59:59Z")
    night.live_until("2026-06-01T12:00:01.500000Z")
    assert until(lambda: night.ran("noon")) == ["2026-06-01T12:00:00"]
    last = night.rows("tick")[-1]["slot"]
    night.set_clock("2026-06-01T11:59:58.500000Z")
    until(lambda: any(slot > last[:19] for slot in night.ran("tick")), 30.0)
    rows = night.rows("tick")
    assert len({row["slot"] for row in rows}) == len(rows)
    after = [row for row in rows if row["slot"] > last]
    assert from_text(after[0]["slot"]) - from_text(last) == SECOND
    assert all(0 <= from_text(row["started_at"]) - from_text(row["slot"]) < 2 * SECOND for row in after if row["pid"])
    assert night.ran("noon") == ["2026-06-01T12:00:00"]


def test_a_clock_set_back_by_hours(night: Night) -> None:
    """Jobs that wait for the clock to get past what has been are told of; a restart in that time starts none twice."""
    begin(night, {"tick": 'command = "true"\n[schedule]\nevery = "1s"\n'}, "2026-06-01T12:00:00Z")
    until(lambda: night.ran("tick"))
    night.set_clock("2026-06-01T09:00:00Z")
    until(lambda: '"jobs.ahead"' in night.paths.log.read_text())
    told = night.pid("akjobd")
    night.kill("akjobd")
    until(lambda: night.pid("akjobd") != told and night.loaded())
    rows = night.rows("tick")
    start = from_text("2026-06-01T09:00:00Z")
    assert all(from_text(row["slot"]) > start + 3600 * SECOND for row in rows)
    night.set_clock(to_text(from_text(rows[-1]["slot"]) - SECOND))
    until(lambda: len(night.rows("tick")) > len(rows))
    slots = [row["slot"] for row in night.rows("tick")]
    assert len(set(slots)) == len(slots)


@pytest.mark.parametrize("at", ["2026-03-03T14:00:00Z", "2026-03-03T10:00:00Z"])
def test_a_run_takes_as_long_as_it_takes(night: Night, at: str) -> None:
    """A clock that is set while it runs makes it neither hours long nor shorter than nothing."""
    begin(night, {"long": 'command = "while ! test -e go; do sleep 0.05; done"\n'}, "2026-03-03T12:00:00Z")
    run = night.run("long")
    until(lambda: night.running(run))
    night.set_clock(at)
    (night.root / "go").touch()
    night.wait(run)
    (end,) = until(lambda: [line for line in lines(night.paths, run=run) if line["event"] == "run.finished"])
    assert 0 < end["duration_s"] < 60
