"""The writer: what is gathered, committed and held, in which order it acts, and what a row costs that is not a row."""

import errno
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from akjob.akjobd.writer import Doing, Writer
from akjob.instants import SECOND
from akjob.ledger import Committed, LedgerBusyError, Transition, Writes
from akjob.run.order import Order
from tests.unit.world import World, close_all, job, us

HOURLY = '[schedule]\nevery = "1h"\n'


class Spied:
    """A store that takes down what is committed, and fails as the test says."""

    def __init__(self, world: World) -> None:
        self.store = world.ledger
        self.said: list[str] = []
        self.more: bool | None = False
        self.fails: Callable[[Writes], Exception | None] = lambda _writes: None

    def commit(self, writes: Writes) -> Committed:
        """Write it, or raise."""
        error = self.fails(writes)
        if error is not None:
            raise error
        self.said.append("commit")
        return self.store.commit(writes)

    def prune(self, *_: Any) -> bool:
        """Say that there is more, or that the ledger is locked."""
        if self.more is None:
            raise LedgerBusyError("locked")
        return self.more

    def __getattr__(self, name: str) -> Any:
        """Be the store for everything else."""
        return getattr(self.store, name)


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    """Yield a world with two jobs, half an hour before their slot; its store can be made to fail."""
    yield World(tmp_path, job("a", HOURLY), job("b", HOURLY), now=us("10:30:00"))
    close_all()


def spy(world: World) -> Spied:
    """Put a spy between the writer and the store."""
    spied = Spied(world)
    world.writer.store = spied
    return spied


def states(world: World) -> list[tuple[str, str]]:
    """Return jobs and states of the rows."""
    return sorted((row["job"], row["state"]) for row in world.rows())


def test_what_is_ordered_was_committed_before(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """The claim comes first, whatever happens in between."""
    spied = spy(world)
    send = world.engine.send

    def sent(orders: list[Order]) -> None:
        spied.said += [f"order {one['job']}" for one in orders]
        send(orders)

    monkeypatch.setattr(world.engine, "send", sent)
    world.turn("11:00:00")
    assert spied.said == ["commit", "order a", "order b"]


def test_a_stop_does_not_wait_for_the_ledger(world: World) -> None:
    """It ends what runs already: a full disk must not keep a job running."""
    world.go("11:00:00")
    spied = spy(world)
    spied.fails = lambda _writes: LedgerBusyError("locked")
    world.agenda.ask_stop("a", "ann", world.now)
    world.turn("11:00:01")
    assert [run.job for run in world.live.values()] == ["b"]


def test_what_cannot_be_written_is_held_in_order_and_tried_again(world: World) -> None:
    """Nothing of it is done before; it is said once that it waits, and once that it does no more."""
    spied = spy(world)
    spied.fails = lambda _writes: LedgerBusyError("locked")
    world.turn("11:00:00")
    assert world.writer.is_held
    assert (world.orders, world.writer.held_starts) == ({}, 2)
    assert world.writer.held_since_us == us("11:00:00")
    world.turn("11:00:00.6")
    spied.fails = lambda _writes: None
    world.turn("11:00:00.8")
    assert world.orders == {}  # it is tried each half second, not each turn
    world.turn("11:00:01.2")
    assert len(world.orders) == 2
    assert not world.writer.is_held
    told = [event["event"] for event in world.events if event["event"].startswith("ledger.")]
    assert told == ["ledger.unwritable", "ledger.writable"]


def test_a_clock_set_back_does_not_hold_the_next_try_up(world: World) -> None:
    """The next try is never further away than it was to begin with."""
    spied = spy(world)
    spied.fails = lambda _writes: LedgerBusyError("locked")
    world.turn("11:00:00")
    spied.fails = lambda _writes: None
    world.writer.write(us("10:00:00"))
    assert not world.writer.is_held


def test_what_nobody_waits_for_is_gathered(world: World) -> None:
    """A burst of ends is one commit; a start that waits for it makes it at once."""
    world.go("11:00:00")
    spied = spy(world)
    for run in list(world.live):
        world.finish(run)
        world.writer.take_in(run)
        assert not world.writer.write(world.now)
    assert spied.said == []
    assert world.writer.due_us == world.now + 20_000
    assert world.writer.is_open(run)
    world.writer.write(world.now + 20_000)
    assert spied.said == ["commit"]
    assert not world.writer.is_open(run)


def test_subscribers_get_what_was_written_after_it_was_written(world: World) -> None:
    """Numbered, in order, and never what the ledger did not take."""
    told: list[tuple[Transition, int]] = []

    def hear(moved: tuple[Transition, ...]) -> None:
        told.extend((one, world.reader.last_seq()) for one in moved)

    doing = Doing(make_order=world.make_order, delete=lambda _file: None, subscribers=(hear,))
    world.writer = Writer(world.agenda, world.ledger, world.engine, world.say, doing)
    world.turn("11:00:00")
    assert [one.to_state for one, _ in told] == ["queued", "queued"]
    assert all(one.seq <= seq for one, seq in told)


# -- the barrier: whatever raises after the parser costs one job or one run, once


def test_an_order_that_cannot_be_made_fails_its_run_once(world: World) -> None:
    """The row says why; the other job runs, and no akjobd after this one tries it again."""
    make = world.make_order

    def broken(start: Any, now_us: int) -> Order:
        if start.job == "a":
            raise RecursionError("maximum recursion depth exceeded")
        return make(start, now_us)

    doing = Doing(make_order=broken, delete=lambda _file: None)
    world.writer = Writer(world.agenda, world.ledger, world.engine, world.say, doing)
    assert world.go("11:00:00") == ["b"]
    assert states(world) == [("a", "failed"), ("b", "running")]
    assert world.rows("a")[0]["reason"] == (
        "a fault of akjob: no order could be made of its definition: RecursionError: maximum recursion depth exceeded"
    )
    world.crash()
    world.boot()
    world.turn("11:00:30")
    assert states(world) == [("a", "failed"), ("b", "running")]
    assert [event["job"] for event in world.events if event["event"] == "job.fault"] == ["a"]


@pytest.mark.parametrize("what", ["claims", "transitions", "changes"])
def test_a_row_that_cannot_be_written_costs_its_job_alone(world: World, what: str) -> None:
    """The commit is taken apart; what is left of the job's rows says why it failed."""
    if what == "changes":
        world.go("11:00:00")
    spied = spy(world)

    def fails(writes: Writes) -> Exception | None:
        rows = [*getattr(writes, what)]
        bad = any(row.job == "a" and getattr(row, "reason", None) is None for row in rows)
        return OverflowError("Python int too large to convert to SQLite INTEGER") if bad else None

    spied.fails = fails
    if what == "changes":
        for run in list(world.live):
            world.finish(run)
        world.turn("11:00:01")
        assert states(world) == [("a", "succeeded"), ("b", "succeeded")]
        assert "its row cannot be written: OverflowError" in str(world.rows("a")[0]["reason"])
    else:
        assert world.go("11:00:00") == ["b"]
        assert states(world) == [("a", "failed"), ("b", "running")]
    world.turn("11:30:00")
    assert not world.writer.is_held


def test_a_disk_that_fails_is_no_fault_of_a_row(world: World) -> None:
    """What the store calls busy or full is held as a whole, not taken apart."""
    spied = spy(world)
    spied.fails = lambda _writes: LedgerBusyError(errno.errorcode[errno.ENOSPC])
    world.turn("11:00:00")
    assert world.writer.held_starts == 2
    assert [event for event in world.events if event["event"] == "job.fault"] == []


def test_pruning_says_when_it_goes_on(world: World) -> None:
    """At once while more is left, else in an hour; while the ledger is locked, too."""
    now = us("12:00:00")
    assert world.writer.prune(90 * 24 * 3600 * SECOND, now) == now + 3600 * SECOND
    spied = spy(world)

    spied.more = None
    assert world.writer.prune(SECOND, now) == now + 3600 * SECOND
    spied.more = True
    assert world.writer.prune(SECOND, now) == now + 50_000


@pytest.mark.parametrize("where", ["decide", "load"])
def test_a_decision_that_raises_costs_its_job_alone(world: World, monkeypatch: pytest.MonkeyPatch, where: str) -> None:
    """It is broken with the reason, said once; a new version of its file is tried again."""
    name = {"decide": "_deciding", "load": "_loading"}[where]
    method = {"decide": "decide", "load": "_load_job"}[where]
    whole = getattr(getattr(world.agenda, name), method)
    failing = True

    def fails(subject: Any, *rest: Any, **named: Any) -> Any:
        of = subject.row.job if where == "decide" else subject.name
        if of == "a" and failing:
            raise RecursionError("maximum recursion depth exceeded")
        return whole(subject, *rest, **named)

    monkeypatch.setattr(getattr(world.agenda, name), method, fails)
    world.edit("a", HOURLY + '[run]\ntimeout = "7m"\n')
    assert world.go("11:00:00") == ["b"]
    world.finish(world.only())
    assert world.go("12:00:00") == ["b"]
    (fault,) = world.agenda.faults()
    assert (fault.job, fault.file) == ("a", "jobs.d/a.toml")
    assert "it cannot decide about this job: RecursionError" in fault.message
    assert [event["job"] for event in world.events if event["event"] == "job.fault"] == ["a"]
    failing = False
    world.edit("a", HOURLY + '[run]\ntimeout = "8m"\n')
    assert world.agenda.faults() == []
    world.finish(world.only())
    assert sorted(world.go("13:00:00")) == ["a", "b"]


def test_what_is_decided_from_a_stale_watermark_is_not_written(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is decided again from the ledger's; where more was decided meanwhile, akjobd begins again as a whole."""
    spied, again = spy(world), list[str]()
    began = replace(world.writer._doing, begin_again=again.append)
    monkeypatch.setattr(world.writer, "_doing", began)
    commit = spied.store.commit

    def behind(writes: Writes) -> Committed:
        refused = frozenset(row.id for row in writes.claims)
        commit(Writes(definitions=writes.definitions))
        return Committed(refused=refused, behind={row.job: us("10:00:00") for row in writes.claims})

    monkeypatch.setattr(spied.store, "commit", behind)
    world.turn("11:00:00")
    assert (states(world), again) == ([], [])
    monkeypatch.setattr(spied.store, "commit", commit)
    world.turn("11:00:00.1")
    assert states(world) == [("a", "queued"), ("b", "queued")]
    spied.fails = lambda _writes: LedgerBusyError("away")
    world.turn("12:00:00")
    world.turn("13:00:00")
    spied.fails = lambda _writes: None
    monkeypatch.setattr(spied.store, "commit", behind)
    before = states(world)
    world.turn("13:00:01")
    assert (len(again), states(world)) == (1, before)
