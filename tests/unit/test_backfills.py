"""Backfills: slots that are over run again, or for the first time, while the job has nothing else to do."""

import random
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from akjob.agenda import Asked
from akjob.errors import AkjobError
from akjob.instants import HOUR, MINUTE, SECOND, to_text
from akjob.schedule import plan
from tests.unit.test_chains import crash_and_boot
from tests.unit.world import World, close_all, job, us

HOURLY = '[schedule]\ncron = "0 * * * *"\n'
SKIP = '[run]\nmissed = "skip"\n'


@pytest.fixture(autouse=True)
def closed() -> Iterator[None]:
    """Close what the test has opened."""
    yield
    close_all()


def after_a_downtime(tmp_path: Path, text: str = HOURLY + SKIP, begin: str = "06:30:00") -> World:
    """Return a world in which akjobd was down until half past eleven, and missed five slots."""
    world = World(tmp_path, job("a", text), now=us(begin))
    world.crash()
    world.now = us("11:30:00")
    world.boot()
    return world


def asked(begin: str = "00:00:00", until: str = "12:00:00", **other: object) -> Asked:
    """Return a backfill of a stretch of the day."""
    return Asked(job="a", from_us=us(begin), until_us=us(until), by="ann", **other)  # type: ignore[arg-type]


def of_backfill(world: World) -> list[tuple[str, int, str]]:
    """Return hour, attempt and state of the runs of backfills."""
    return [(row["slot"][11:13], row["attempt"], row["state"]) for row in world.rows() if row["trigger"] == "backfill"]


def progress(world: World) -> tuple[str, int, int, int, int]:
    """Return state, slots, done, failed and running of the newest backfill."""
    newest = world.reader.backfills()[0]
    return newest["state"], newest["slots"], newest["done"], newest["failed"], newest["running"]


def test_a_stretch_of_more_slots_than_a_backfill_takes_is_refused(tmp_path: Path, monkeypatch: Any) -> None:
    """akjobd finds no more of ten years of minutes than it takes to know that: starts wait while it does.

    It names the part to begin with, and takes that.
    """
    world = World(tmp_path, job("a", '[schedule]\ncron = ["* * * * *", "*/7 * * * *"]\n'), now=us("12:00:00"))
    made = 0
    slots_of = plan._slots  # every slot that is found comes from it

    def counting(*given: Any) -> Iterator[int]:
        nonlocal made
        for slot in slots_of(*given):
            made += 1
            yield slot

    monkeypatch.setattr(plan, "_slots", counting)
    begin = "2016-03-02T00:00:00Z"
    for only in ("all", "missing", "failed"):
        made = 0
        with pytest.raises(AkjobError, match="there are more than 5,000 slots in this time") as refused:
            world.agenda.ask_backfill(asked(begin, "2026-03-02T00:00:00Z", only=only), world.now)
        assert made == 5_001
    assert world.reader.backfills() == []
    (until,) = re.findall(r"until (\S+Z)", refused.value.hint)
    assert until == "2016-03-05T11:20:00.000000Z"
    assert len(world.agenda.backfill_slots(asked(begin, until), world.now)) == 5_000


def test_missing_slots_run_one_at_a_time_oldest_first(tmp_path: Path) -> None:
    """Slots with no row, or with skipped and missed ones only; each is the next attempt of its slot."""
    world = after_a_downtime(tmp_path)
    backfill = world.agenda.ask_backfill(asked("04:00:00"), world.now)
    assert [to_text(slot)[11:13] for slot in backfill.slots] == ["04", "05", "06", "07", "08", "09", "10", "11"]
    for hour in ("04", "05"):
        world.go("11:30:00")
        assert to_text(world.live[world.only()].slot_us)[11:13] == hour
        world.finish(world.only())
    world.go("11:30:00")
    assert progress(world) == ("running", 8, 2, 0, 1)
    world.until("11:40:00")
    for run in list(world.live):
        world.finish(run)
    world.until("11:50:00")
    assert progress(world) == ("done", 8, 8, 0, 0)
    assert of_backfill(world) == [
        *[(hour, 1, "succeeded") for hour in ("04", "05", "06")],
        *[(hour, 2, "succeeded") for hour in ("07", "08", "09", "10", "11")],
    ]
    (row,) = [row for row in world.rows() if row["slot"][11:13] == "09" and row["attempt"] == 2]
    assert (row["by"], row["cause"]) == ("ann", f'{{"backfill":"{backfill.id}"}}')


def test_which_slots_only_means(tmp_path: Path) -> None:
    """``failed``: the last attempt did; ``all``: all; slots that are still to come are none."""
    world = World(tmp_path, job("a", HOURLY), now=us("08:30:00"))
    for state in ("failed", "succeeded", "lost"):
        world.go(f"{9 + len(world.started):02}:00:00")
        world.finish(world.only(), state)
    world.turn("11:30:00")
    found = {
        only: [to_text(slot)[11:13] for slot in world.agenda.backfill_slots(asked("08:00:00", only=only), world.now)]
        for only in ("missing", "failed", "all")
    }
    assert found == {"missing": ["08"], "failed": ["09", "11"], "all": ["08", "09", "10", "11"]}
    newest = world.agenda.backfill_slots(asked("08:00:00", "23:00:00", only="all", newest_first=True), world.now)
    assert [to_text(slot)[11:13] for slot in newest] == ["11", "10", "09", "08"]


def test_parallel_runs(tmp_path: Path) -> None:
    """So many of one backfill at once, whatever ``overlap`` says; locks and pools hold."""
    world = after_a_downtime(tmp_path)
    world.agenda.ask_backfill(asked(parallel=3), world.now)
    assert len(world.go("11:30:00")) == 3
    world.finish(next(iter(world.live)))
    assert len(world.go("11:30:01")) == 1
    world.crash()
    (tmp_path / "b").mkdir()
    locked = World(tmp_path / "b", job("a", HOURLY + '[run]\nlock = "x"\n'), now=us("11:30:00"))
    locked.agenda.ask_backfill(asked(parallel=3), locked.now)
    assert len(locked.go("11:30:00")) == 1


@pytest.mark.parametrize("overlap", ["skip", "queue", "replace"])
def test_scheduled_runs_go_first(tmp_path: Path, overlap: str) -> None:
    """A slot that meets a backfill's run waits for that run, and the backfill waits for the slot's."""
    world = after_a_downtime(tmp_path, HOURLY + f'[run]\nmissed = "skip"\noverlap = "{overlap}"\n')
    world.agenda.ask_backfill(asked(), world.now)
    world.go("11:59:00")
    first = world.only()
    world.turn("12:00:00")
    assert world.only() == first
    world.now = us("12:00:30")
    world.finish(first)
    world.go("12:00:30")
    assert to_text(world.live[world.only()].slot_us)[11:16] == "12:00"
    assert world.live[world.only()].trigger == "schedule"
    world.finish(world.only())
    world.go("12:00:40")
    assert world.live[world.only()].trigger == "backfill"
    assert world.rows()[-1]["state"] == "succeeded"


def test_failures_count_once_a_slot_with_their_retries(tmp_path: Path) -> None:
    """Each slot has its own attempts; the last one decides."""
    text = HOURLY + '[run]\nmissed = "skip"\nretry = { attempts = 2 }\n'
    world = after_a_downtime(tmp_path, text, begin="09:30:00")
    world.agenda.ask_backfill(asked("10:00:00"), world.now)
    for state in ("failed", "failed", "failed", "succeeded"):
        world.go("11:30:00")
        world.finish(world.only(), state)
    world.go("11:30:00")
    assert progress(world) == ("done", 2, 2, 1, 0)
    attempts = [(row["slot"][11:13], row["attempt"], row["state"]) for row in world.rows()]
    assert attempts == [
        ("10", 1, "missed"), ("10", 2, "failed"), ("10", 3, "failed"),
        ("11", 1, "missed"), ("11", 2, "failed"), ("11", 3, "succeeded"),
    ]  # fmt: skip


def test_pauses_and_runs_do_not_count(tmp_path: Path) -> None:
    """Who asks for a backfill wants it; it uses up none of the job's ``runs``."""
    text = HOURLY + "[limits]\nruns = 3\n" + SKIP
    world = after_a_downtime(tmp_path, text)
    world.agenda.pause("a", None, "", "ann", world.now)
    world.agenda.ask_backfill(asked("07:00:00"), world.now)
    world.until("11:50:00")
    assert progress(world)[:3] == ("done", 5, 5)
    assert world.reader.jobs()["a"]["runs_started"] == 0


def test_a_stopped_backfill_lets_its_run_end(tmp_path: Path) -> None:
    """Nothing more is started, also after a restart; an id that is none is not taken for one."""
    world = after_a_downtime(tmp_path)
    backfill = world.agenda.ask_backfill(asked(), world.now)
    world.go("11:30:00")
    assert world.agenda.stop_backfill("nothing") is None
    assert world.agenda.stop_backfill(backfill.id[:-1]) == backfill.id
    world.turn()
    assert len(world.live) == 1
    assert progress(world) == ("stopped", 12, 0, 0, 1)
    world.crash()
    world.boot()
    world.finish(world.only(), "failed")
    assert world.go("11:40:00") == []
    assert progress(world) == ("stopped", 12, 1, 1, 0)
    assert world.agenda.stop_backfill(backfill.id) is None


def test_what_cannot_be_backfilled_is_said(tmp_path: Path) -> None:
    """An unknown job, and no run at a time."""
    world = World(tmp_path, job("a", HOURLY), now=us("11:30:00"))
    with pytest.raises(AkjobError, match="there is no job b"):
        world.agenda.ask_backfill(Asked(job="b", from_us=0, until_us=1), world.now)
    with pytest.raises(AkjobError, match="parallel must be at least 1"):
        world.agenda.ask_backfill(asked(parallel=0), world.now)


@pytest.mark.parametrize("seed", range(3))
def test_a_backfill_under_random_kills_runs_each_slot_once(tmp_path: Path, seed: int) -> None:
    """Whatever akjobd is killed at, each missing slot has one run of the backfill, and the schedule goes on."""
    chance = random.Random(seed)  # noqa: S311 - a test
    world = World(tmp_path, job("a", '[schedule]\nevery = "5m"\n[run]\nmissed = "all"\n'), now=us("10:00:30"))
    begin = us("2026-03-01T10:00:00Z")
    world.agenda.ask_backfill(Asked(job="a", from_us=begin, until_us=begin + 12 * HOUR, parallel=2), world.now)
    world.turn()
    while world.reader.backfills()[0]["state"] == "running":
        world.until_us(world.now + chance.randrange(SECOND, 4 * MINUTE), lasts_us=chance.choice([SECOND, 20 * SECOND]))
        crash_and_boot(world, chance)
    filled = [row["slot"] for row in world.rows() if row["trigger"] == "backfill"]
    assert filled == [to_text(begin + n * 5 * MINUTE) for n in range(144)]
    assert world.twice() == []
    assert progress(world)[:4] == ("done", 144, 144, 0)
