"""Every change of a run, a job and akjobd is one numbered transition, written in the commit that made it."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from akjob.instants import SECOND, from_text
from akjob.jobset.model import BrokenJob, Change, JobSet
from akjob.ledger import Transition
from tests.unit.world import World, close_all, job, us

HOURLY = '[schedule]\nevery = "1h"\n'
MINUTELY = '[schedule]\nevery = "1m"\n'


@pytest.fixture(autouse=True)
def closed() -> Iterator[None]:
    """Close what the test has opened."""
    yield
    close_all()


def told(world: World, kind: str | None = None) -> list[Transition]:
    """Return the ledger's transitions, of one kind or all."""
    return [one for one in world.reader.transitions(0, limit=10_000) if kind in (None, one.kind)]


def steps(world: World) -> list[tuple[str | None, str]]:
    """Return the states that runs went through."""
    return [(one.from_state, one.to_state) for one in told(world, "run")]


def test_a_run_is_told_from_claim_to_end(tmp_path: Path) -> None:
    """Claimed, started, ended: each once, in order, with what a reader wants to know of it."""
    world = World(tmp_path, job("a", HOURLY), now=us("10:30:00"))
    world.until("11:00:30", lasts_us=2 * SECOND)
    assert steps(world) == [(None, "queued"), ("queued", "running"), ("running", "succeeded")]
    queued, running, ended = told(world, "run")
    (row,) = world.rows()
    assert {(one.job, one.run, one.slot_us, one.attempt) for one in (queued, running, ended)} == {
        ("a", row["id"], us("11:00:00"), 1)
    }
    assert (running.at_us, running.detail.late_s) == (us("11:00:00"), 0.0)
    assert (ended.at_us, ended.detail.duration_s, ended.detail.exit_code) == (us("11:00:02"), 2.0, 0)
    assert (ended.detail.trigger, ended.detail.git_commit, ended.detail.retried) == ("schedule", "c0ffee", False)
    assert [one.seq for one in told(world)] == list(range(1, world.reader.last_seq() + 1))


def test_a_start_says_how_late_it_is(tmp_path: Path) -> None:
    """From the slot with its jitter; a run by hand is never late."""
    world = World(tmp_path, job("a", HOURLY), now=us("10:30:00"))
    world.turn("11:00:00")
    world.now += 250_000
    world.open_gates()
    world.turn()
    world.finish(world.only())
    world.agenda.ask_run("a", None, world.now)
    world.turn()
    world.open_gates()
    world.turn()
    assert [one.detail.late_s for one in told(world, "run") if one.to_state == "running"] == [0.25, None]


def test_a_failure_says_that_another_attempt_follows(tmp_path: Path) -> None:
    """Only the last attempt's end is that of the slot."""
    world = World(tmp_path, job("a", HOURLY + '[run]\nretry = { attempts = 2, delay = "1m" }\n'), now=us("10:30:00"))
    world.go("11:00:00")
    world.finish(world.only(), "failed", "exit code 3")
    world.go("11:01:00")
    world.finish(world.only(), "failed", "exit code 3")
    world.turn()
    ends = [one for one in told(world, "run") if one.to_state == "failed"]
    assert [(one.attempt, one.detail.retried, one.detail.reason) for one in ends] == [
        (1, True, "exit code 3"),
        (2, False, "exit code 3"),
    ]
    assert world.reader.job_counters()["a"].failures == 1


def test_skipped_and_missed_slots_are_counted_however_they_are_written(tmp_path: Path) -> None:
    """Rows of their own or one row that grows: the counters have each slot once."""
    world = World(tmp_path, job("a", MINUTELY), now=us("10:00:30"))
    world.agenda.pause("a", None, "disk", "ann", world.now)
    world.turn()
    for minute in range(1, 41):
        world.turn(f"10:{minute:02}:00")
    assert sum(row["count"] for row in world.rows()) == 40
    assert len(world.rows()) < 40
    assert world.reader.job_counters()["a"].skipped == 40
    world.crash()
    world.now = us("13:00:00")
    world.specs["a"] = job("a", MINUTELY)
    world.boot()
    assert world.reader.job_counters()["a"].skipped == sum(row["count"] for row in world.rows())


def test_a_run_that_outlived_akjobd_goes_on_from_its_state(tmp_path: Path) -> None:
    """After a restart the end of a run is one from ``running``, not a new beginning."""
    world = World(tmp_path, job("a", HOURLY), now=us("10:30:00"))
    world.go("11:00:00")
    world.crash()
    world.boot()
    world.finish(world.only(), "timed_out")
    world.turn()
    assert steps(world) == [(None, "queued"), ("queued", "running"), ("running", "timed_out")]
    assert [one.to_state for one in told(world, "daemon")] == ["started", "started"]


def test_a_refused_claim_is_not_told(tmp_path: Path) -> None:
    """Where the ledger has the slot already, nothing is told of the second claim, nor later."""
    world = World(tmp_path, job("a", HOURLY), now=us("10:30:00"))
    world.ledger._connection.execute(
        "INSERT INTO runs (id, job, slot, slot_last, trigger, state, queued_at) VALUES ('x', 'a', ?, ?, 'schedule', "
        "'succeeded', ?)",
        ("2026-03-02T11:00:00.000000Z",) * 3,
    )
    world.until("11:00:30")
    assert steps(world) == []
    assert world.reader.job_counters() == {}


def test_what_happens_to_a_job_is_told(tmp_path: Path) -> None:
    """Loaded, changed, paused, resumed, broken, repaired, removed; a restart alone tells nothing of it."""
    world = World(tmp_path, job("a", HOURLY), now=us("10:30:00"))
    world.edit("a", '[schedule]\nevery = "2h"\n')
    world.agenda.pause("a", from_text("2026-03-03T00:00:00Z"), "disk", "ann", world.now)
    world.turn()
    world.agenda.resume("a", world.now)
    world.turn()
    wrong = BrokenJob(
        job="a", file="jobs.d/a.toml", line=3, column=1, message="no such key", hint="", code="c", since_us=world.now,
        content="x", problems=(), running_last_good=True, sources=("jobs.d/a.toml",),
    )  # fmt: skip
    refused = Change(jobset=JobSet(jobs=world.specs, broken={"a": wrong}, loaded_us=world.now), broken=(wrong,))
    world.agenda.load(refused, world.now)
    world.turn()
    world.crash()
    world.boot(broken={"a": wrong})
    world.agenda.load(refused, world.now)
    world.load()
    world.remove("a")
    events = told(world, "job")
    assert [one.to_state for one in events] == [
        "loaded", "changed", "paused", "resumed", "broken", "repaired", "removed",
    ]  # fmt: skip
    paused, broken = events[2].detail, events[4].detail
    assert (paused.reason, paused.by, paused.until) == ("disk", "ann", "2026-03-03T00:00:00.000000Z")
    assert (broken.file, broken.line, broken.message) == ("jobs.d/a.toml", 3, "no such key")


def test_a_pause_that_runs_out_is_told(tmp_path: Path) -> None:
    """Its end is a transition like any other, at the instant it was noticed."""
    world = World(tmp_path, job("a", HOURLY), now=us("10:30:00"))
    world.agenda.pause("a", us("11:30:00"), "", "ann", world.now)
    world.until("12:00:00")
    resumed = [one for one in told(world, "job") if one.to_state == "resumed"]
    assert [one.detail.reason for one in resumed] == ["the pause is over"]


def test_a_job_that_is_done_is_told_once(tmp_path: Path) -> None:
    """When the last of its ``runs`` has ended, and not again after a restart or a run by hand."""
    world = World(tmp_path, job("a", HOURLY + "[limits]\nruns = 2\n"), now=us("10:30:00"))
    world.until("14:00:00")
    world.crash()
    world.boot()
    world.agenda.ask_run("a", None, world.now)
    world.until("15:00:00")
    done = [one for one in told(world, "job") if one.to_state == "done"]
    assert [one.at_us for one in done] == [us("12:00:00") + 1000]
