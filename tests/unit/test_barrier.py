"""Whatever raises in what akjobd does for one job after the parser costs that job, once; the others go on."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from akjob.agenda import Agenda
from akjob.agenda.backfills import Asked, Backfills
from akjob.agenda.book import Book
from akjob.agenda.chains import Chains
from akjob.agenda.changes import FileChanges
from akjob.agenda.effects import EffectsBuilder
from akjob.agenda.life import LiveRun
from akjob.agenda.loading import Loading
from akjob.agenda.outcomes import Outcomes
from akjob.agenda.refusals import Refusals
from akjob.agenda.run_queue import RunQueue
from akjob.agenda.waiting import Waiting
from akjob.jobset.model import BrokenJob, JobSet, JobSetChange
from akjob.ledger.model import OpenRun
from akjob.sources.change import FilesChanged
from tests.unit.world import World, close_all, job, us

HOURLY = '[schedule]\nevery = "1h"\n'
ATTACKED = f'{HOURLY}[run]\nlock = "one"\noverlap = "queue"\nretry = {{ attempts = 2, delay = "1m" }}\n'
STEPS: tuple[tuple[type, str], ...] = (
    (Book, "wake_at"),
    (EffectsBuilder, "start"),
    (LiveRun, "wait"),
    (RunQueue, "blocked"),
    (RunQueue, "hold"),
    (RunQueue, "join"),
    (Waiting, "offer"),
    (Waiting, "is_well_ahead"),
    (Waiting, "_is_after_previous"),
    (Waiting, "_order"),
    (Waiting, "_promote"),
)


@pytest.fixture(autouse=True)
def _closed() -> Iterator[None]:
    yield
    close_all()


def concerns(value: Any, name: str) -> bool:
    """Return whether a value is of a job: the job, one of its runs or rows, its name."""
    row = getattr(value, "row", value)
    return name in (value if isinstance(value, str) else None, getattr(row, "job", None), getattr(value, "name", None))


def attack(monkeypatch: pytest.MonkeyPatch, owner: type, method: str, name: str) -> Callable[[], int]:
    """Let a method raise whenever it works for a job; return what counts how often it did."""
    whole, hits = getattr(owner, method), []

    def raises(*args: Any, **named: Any) -> Any:
        if any(concerns(value, name) for value in (*args, *named.values())):
            hits.append(args)
            raise RecursionError("maximum recursion depth exceeded")
        return whole(*args, **named)

    monkeypatch.setattr(owner, method, raises)
    return lambda: len(hits)


def finish_all(world: World) -> None:
    """Let all runs end; those of `a` fail."""
    for run, start in list(world.live.items()):
        world.finish(run, "failed" if start.job == "a" else "succeeded")


@pytest.mark.parametrize(("owner", "method"), STEPS, ids=lambda value: getattr(value, "__name__", value))
def test_the_others_go_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, owner: type, method: str) -> None:
    """The healthy job has each of its slots, and so has the one that shares a lock; the reason is said once."""
    specs = (job("a", ATTACKED), job("b", HOURLY), job("lock", f'{HOURLY}[run]\nlock = "one"\n'))
    world = World(tmp_path, *specs, now=us("10:30:00"))
    hits = attack(monkeypatch, owner, method, "a")
    for at in ("11:00:00", "11:00:01", "11:01:05", "11:20:00", "12:00:00", "12:00:01", "13:00:00", "13:00:01"):
        world.go(at)
        finish_all(world)
    world.turn("13:30:00")
    assert hits()
    for name in ("b", "lock"):
        assert [(slot, state) for slot, state, _ in world.table(name)] == [
            (f"{hour}:00:00", "succeeded") for hour in (11, 12, 13)
        ]
    assert [row["state"] for row in world.rows("a") if row["state"] not in ("failed", "skipped")] == []
    assert [event["job"] for event in world.events if event["event"] == "job.fault"] == ["a"]
    (fault,) = world.agenda.faults()
    assert fault.job == "a"
    assert "RecursionError: maximum recursion depth exceeded" in fault.message


@pytest.mark.parametrize(
    ("owner", "method"),
    [
        (Book, "ended"),
        (Book, "remove"),
        (EffectsBuilder, "change"),
        (EffectsBuilder, "say"),
        (EffectsBuilder, "waited"),
        (LiveRun, "advance"),
        (Outcomes, "_retry"),
        (Outcomes, "_retry_at"),
        (Waiting, "forget"),
        (Waiting, "release"),
    ],
    ids=lambda value: getattr(value, "__name__", value),
)
def test_a_report_that_cannot_be_taken_down(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, owner: type, method: str
) -> None:
    """The row of its run is closed all the same, and its lock goes to the next; a restart repeats nothing."""
    specs = (job("a", ATTACKED), job("b", HOURLY), job("lock", f'{HOURLY}[run]\nlock = "one"\n'))
    world = World(tmp_path, *specs, now=us("10:30:00"))
    hits = attack(monkeypatch, owner, method, "a")
    for at in ("11:00:00", "11:00:01", "11:01:05", "12:00:00", "12:00:01", "12:01:05"):
        world.go(at)
        finish_all(world)
    world.turn("12:30:00")
    assert hits()
    for name in ("b", "lock"):
        assert [(slot, state) for slot, state, _ in world.table(name)] == [
            (f"{hour}:00:00", "succeeded") for hour in (11, 12)
        ]
    assert {(row["slot"][11:16], row["state"]) for row in world.rows("a")} == {("11:00", "failed")}
    assert [fault.job for fault in world.agenda.faults()] == ["a"]
    assert world.ledger.open_runs() == []
    assert world.agenda.under_way == 0


def test_a_row_that_cannot_be_changed_says_why(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The reason is akjob's fault, in the row and in what is told of it."""
    world = World(tmp_path, job("a", HOURLY), job("b", HOURLY), now=us("10:30:00"))
    attack(monkeypatch, EffectsBuilder, "change", "a")
    world.go("11:00:00")
    finish_all(world)
    world.turn("11:00:01")
    (row,) = world.rows("a")
    assert (row["state"], row["attempt"]) == ("failed", 1)
    assert "it cannot decide about this job: RecursionError" in str(row["reason"])
    moves = [moved for seen in world.seen for moved in seen.writes.transitions if moved.run == row["id"]]
    assert [(moved.to_state, moved.detail.reason) for moved in moves if moved.to_state != "queued"] == [
        ("failed", row["reason"])
    ]


def test_a_place_in_the_queue_that_cannot_be_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A run that raises on its way into the queue is in no place where it would be seen to again: it has failed."""
    world = World(tmp_path, job("a", HOURLY), job("b", HOURLY), now=us("10:30:00"))
    broken = property(lambda run: 1 // 0 if run.job == "a" else (False, run.row.slot_us, run.seq))
    monkeypatch.setattr(LiveRun, "rank", broken)
    assert world.go("11:00:00") == ["b"]
    assert [(row["state"], "ZeroDivisionError" in str(row["reason"])) for row in world.rows("a")] == [("failed", True)]


def test_a_backfill_whose_runs_cannot_be_counted_costs_itself_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What ends of it is written down, and the other job's backfill goes on."""
    world = World(tmp_path, job("a", HOURLY), job("b", HOURLY), now=us("10:30:00"))
    for name in ("a", "b"):
        world.agenda.ask_backfill(Asked(job=name, from_us=us("08:00:00"), until_us=us("10:00:00")), world.now)
    assert sorted(world.go("10:31:00")) == ["a", "b"]
    hits = attack(monkeypatch, Backfills, "_change", "a")
    for at in ("10:31:01", "10:31:02", "10:31:03"):
        finish_all(world)
        world.go(at)
    assert hits()
    assert [state for _, state, _ in world.table("a")][:1] == ["failed"]
    assert [state for _, state, _ in world.table("b")] == ["succeeded", "succeeded"]
    assert [fault.job for fault in world.agenda.faults()] == ["a"]


def test_a_claim_of_the_akjobd_before_that_cannot_be_taken_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its row has failed with the reason, and no akjobd after this one finds it open."""
    text = f'{HOURLY}[run]\nlock = "one"\n'
    world = World(tmp_path, job("a", text), job("b", text), now=us("10:30:00"))
    world.go("11:00:00")
    world.crash()  # `b` waits for the lock
    with monkeypatch.context() as patched:
        whole = Agenda._restore_run

        def raises(self: Agenda, open_run: OpenRun, *rest: Any) -> None:
            assert open_run.row.job != "b", "attacked"
            whole(self, open_run, *rest)

        patched.setattr(Agenda, "_restore_run", raises)
        world.boot()
    (row,) = world.rows("b")
    assert row["state"] == "failed"
    assert "AssertionError: attacked" in str(row["reason"])
    finish_all(world)
    assert world.go("12:00:00") == ["a"]


def test_a_run_that_waits_has_failed_with_the_reason(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its row says why, and no akjobd after this one tries it again; a new version of the file is taken again."""
    world = World(tmp_path, job("a", ATTACKED), now=us("10:30:00"))
    with monkeypatch.context() as patched:
        attack(patched, Waiting, "_order", "a")
        world.go("11:00:00")
        world.turn("11:02:00")
        world.turn("11:02:01")
    rows = [(row["state"], row["attempt"]) for row in world.rows("a")]
    assert rows == [("failed", 1)]
    assert "a fault of akjob: it cannot decide about this job: RecursionError" in str(world.rows("a")[0]["reason"])
    world.crash()
    world.boot()
    assert world.go("11:30:00") == []
    assert world.go("12:00:00") == ["a"]


def test_what_runs_after_a_job_costs_itself_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The end of `b` makes `a` and `c` due; only `a` cannot be decided."""
    after = '[schedule]\nafter = "b"\n'
    world = World(tmp_path, job("a", after), job("b", HOURLY), job("c", after), now=us("10:30:00"))
    attack(monkeypatch, Chains, "_hand_on", "a")
    world.go("11:00:00")
    finish_all(world)
    assert world.go("11:00:01") == ["c"]
    assert [fault.job for fault in world.agenda.faults()] == ["a"]


def test_a_backfill_costs_its_job_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The backfill of the other job goes on."""
    world = World(tmp_path, job("a", HOURLY), job("b", HOURLY), now=us("10:30:00"))
    attack(monkeypatch, Backfills, "_feed", "a")
    for name in ("a", "b"):
        world.agenda.ask_backfill(Asked(job=name, from_us=us("08:00:00"), until_us=us("10:00:00")), world.now)
    assert world.go("10:31:00") == ["b"]
    assert [fault.job for fault in world.agenda.faults()] == ["a"]


@pytest.mark.parametrize(("owner", "method"), [(Loading, "_remove_job"), (Refusals, "refuse"), (FileChanges, "found")])
def test_what_is_heard_of_a_file_costs_its_job_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, owner: type, method: str
) -> None:
    """A file that goes, one that is refused, files that changed: nothing of it stops the others."""
    world = World(tmp_path, job("a", HOURLY), job("b", HOURLY), now=us("10:30:00"))
    hits = attack(monkeypatch, owner, method, "a")
    if method == "_remove_job":
        world.remove("a")
    elif method == "found":
        world.agenda.files_changed(
            FilesChanged(job="a", at_us=world.now, first_us=world.now, last_us=world.now, files=(), seen={}), world.now
        )
    else:
        refused = BrokenJob(
            job="a",
            file="jobs.d/a.toml",
            line=1,
            column=1,
            message="no",
            hint="",
            code="toml-syntax",
            since_us=world.now,
            content="1",
            problems=(),
            running_last_good=True,
        )
        jobset = JobSet(jobs=world.specs, broken={"a": refused}, loaded_us=world.now)
        world.agenda.load(JobSetChange(jobset=jobset, broken=(refused,)), world.now)
    assert hits() == 1
    assert "b" in world.go("11:00:00")
    assert [fault.job for fault in world.agenda.faults()] == ["a"]


@pytest.mark.parametrize(("owner", "method"), [(Waiting, "park"), (Waiting, "take_up"), (Refusals, "restore")])
def test_what_was_before_costs_its_job_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, owner: type, method: str
) -> None:
    """A row of the ledger that cannot be taken over does not keep akjobd from starting."""
    text = f'{HOURLY}[run]\nlock = "one"\n'
    world = World(tmp_path, job("a", text), job("b", text), now=us("10:30:00"))
    world.go("11:00:00")
    world.crash()
    hits = attack(monkeypatch, owner, method, "b")  # it waits for the lock
    world.boot()
    assert hits()
    finish_all(world)
    assert world.go("12:00:00") == ["a"]
    assert [fault.job for fault in world.agenda.faults()] == ["b"]
