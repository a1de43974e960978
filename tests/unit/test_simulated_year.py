"""A year of akjobd on a fake clock, with crashes, downtimes and clock steps: each slot exactly once."""

import random
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from akjob.instants import DAY, HOUR, MINUTE, SECOND, from_text, to_text
from akjob.schedule import compile_schedule, slots_between
from akjob.spec.model import JobSpec
from tests.unit.world import World, close_all, job, us

YEAR = [
    job("berlin", '[schedule]\ntimezone = "Europe/Berlin"\ndaily = 02:30:00\n'),
    job("newyork", '[schedule]\ntimezone = "America/New_York"\ncron = "30 1 * * *"\n[run]\noverlap = "queue"\n'),
    job("hours", '[schedule]\nevery = "5h"\n[run]\nmissed = "all"\nmissed_within = "1d"\n'),
    job("monthly", '[schedule]\nmonthly = { days = [-1, 31, "first mon"], at = 12:00:00 }\njitter = "3h"\n'),
    job("limited", '[schedule]\ncron = "0 */4 * * *"\n[limits]\nweekdays = ["sat"]\n[run]\nmissed = "skip"\n'),
    job("early", '[schedule]\nweekly = { days = ["tue"], at = 06:00:00 }\n[run]\nlead = "10s"\nlock = "x"\n'),
]


@pytest.fixture(autouse=True)
def closed() -> Iterator[None]:
    """Close what the test has opened."""
    yield
    close_all()


def check(world: World, spec: JobSpec, begin: int, end: int) -> None:
    """Fail unless the rows of a job are its slots from ``begin`` to ``end``, each once, and no start came twice."""
    plan = compile_schedule(spec.schedule)
    accounted: list[int] = []
    for row in world.rows(spec.name):
        if row["trigger"] in ("manual", "retry"):
            continue
        first, last = from_text(row["slot"]), from_text(row["slot_last"])
        slots = slots_between(plan, first - 1, last, 100_000)
        assert len(slots) == row["count"], row
        accounted += slots
    expected = slots_between(plan, begin, end, 100_000)
    assert [to_text(slot) for slot in sorted(accounted) if slot <= end] == [to_text(slot) for slot in expected]
    assert world.twice() == []


def crash_somewhere(world: World, chance: random.Random) -> None:
    """Kill akjobd at some step of its work: before or after the commit, the order, the start, the end."""
    step = chance.choice(["idle", "claimed", "committed", "ordered", "running"])
    if step != "idle" and world.agenda.wake_us is not None:
        world.now = max(world.now, world.agenda.wake_us)
        if step in ("ordered", "running"):
            world.turn()
            if step == "running":
                world.now += 20 * SECOND
                world.open_gates()
        else:
            world.agenda.turn(world.now)
            effects = world.agenda.effects()
            if step == "committed":
                world.ledger.commit(effects.writes)
    world.crash()


def test_a_simulated_year(tmp_path: Path) -> None:
    """Through both DST changes, some fifty crashes and downtimes of up to three days, nothing is lost or doubled."""
    chance = random.Random(7)  # noqa: S311 - a test
    begin = us("2026-01-01T00:00:00Z")
    world = World(tmp_path, *YEAR, now=begin)
    while world.now < begin + 365 * DAY:
        world.until(
            to_text(world.now + chance.randrange(2 * DAY, 12 * DAY)), lasts_us=chance.choice([SECOND, 6 * HOUR])
        )
        crash_somewhere(world, chance)
        world.now += chance.choice([0, 30 * SECOND, HOUR, chance.randrange(3 * DAY)])
        for run in [run for run, start in world.orders.items() if start.not_before_us <= world.now]:
            world.started.append((world.now, world.orders[run]))  # the shim releases it at the slot, without akjobd
            world.live[run] = world.orders.pop(run)
        world.folders = {run for run in world.live if chance.random() < 0.8}
        for run in world.folders:
            del world.live[run]
        world.boot()
        for run in sorted(world.folders):
            world.finish(run, chance.choice(["succeeded", "lost"]))
        world.folders.clear()
        for run in world.live:
            world.agenda.started(run, pid=7, shim_pid=6, at_us=world.now)
    world.until(to_text(world.now + DAY))
    for spec in YEAR:
        check(world, spec, begin - 1, world.now - 4 * HOUR)
    assert len(world.started) > 1200
    assert not [
        row for row in world.rows() if row["state"] in ("queued", "running") and row["slot"] < to_text(world.now - DAY)
    ]


OPERATION = st.one_of(
    st.tuples(st.just("pass"), st.integers(1, 20 * MINUTE)),
    st.tuples(st.just("jump"), st.integers(-10 * MINUTE, 3 * HOUR)),
    st.tuples(st.just("crash"), st.integers(0, 2 * HOUR)),
    st.tuples(st.just("pause"), st.none() | st.integers(1, HOUR)),
    st.tuples(st.just("resume"), st.just(0)),
    st.tuples(st.just("ask"), st.just(0)),
    st.tuples(st.just("stop"), st.just(0)),
    st.tuples(st.just("fail"), st.just(0)),
)


@settings(max_examples=40, deadline=None)
@given(
    operations=st.lists(OPERATION, min_size=1, max_size=14),
    overlap=st.sampled_from(["skip", "queue", "replace", "allow"]),
    missed=st.sampled_from(["skip", "latest", "all"]),
    lasts=st.sampled_from([SECOND, 7 * MINUTE, 40 * MINUTE]),
    lead=st.sampled_from(["", 'lead = "4m"\n']),
)
def test_whatever_happens_each_slot_has_one_row(  # noqa: C901 - one branch an operation
    operations: list[tuple[str, int | None]], overlap: str, missed: str, lasts: int, lead: str
) -> None:
    """Restarts, jumps, pauses, manual runs, stops and failures in any order leave each slot accounted for once."""
    text = (
        f'[schedule]\nevery = "5m"\n[run]\noverlap = "{overlap}"\nmissed = "{missed}"\nlock = "x"\n'
        f'retry = {{ attempts = 2, delay = "90s" }}\n{lead}'
    )
    spec, other = job("a", text), job("b", '[schedule]\nevery = "11m"\n[run]\nlock = "x"\n')
    begin = us("2026-03-02T10:00:30Z")
    with TemporaryDirectory() as folder:
        world = World(Path(folder), spec, other, now=begin)
        latest = begin
        for what, amount in operations:
            if what == "pass":
                world.until(to_text(world.now + (amount or 0)), lasts_us=lasts)
            elif what == "jump":
                world.now += amount or 0
                world.turn()
            elif what == "crash":
                world.crash()
                world.now += amount or 0
                world.boot()
            elif what == "pause":
                world.agenda.pause("a", None if amount is None else world.now + amount, "", "ann", world.now)
            elif what == "resume" and world.agenda._book.jobs["a"].paused_at(world.now):
                world.agenda.resume("a", world.now)
            elif what == "ask" and not world.agenda._book.jobs["a"].runs:
                world.agenda.ask_run("a", None, world.now)
            elif what == "stop" and world.agenda._book.jobs["a"].runs:
                world.agenda.ask_stop("a", "ann", world.now)
            elif what == "fail" and world.live:
                world.finish(next(iter(world.live)), "failed")
            world.turn()
            latest = max(latest, world.now)
        for run in list(world.live):
            world.finish(run)
        world.until(to_text(latest + 2 * HOUR), lasts_us=SECOND)
        close_all()
        for one in (spec, other):
            check(world, one, begin - 1, latest + HOUR)


STEP = st.tuples(st.sampled_from(["pass", "edit", "code", "crash", "crash and edit"]), st.integers(1, 25 * MINUTE))


@settings(max_examples=40, deadline=None)
@given(
    steps=st.lists(STEP, min_size=1, max_size=12),
    overlap=st.sampled_from(["skip", "queue", "allow"]),
    lead=st.sampled_from(["", 'lead = "4m"\n']),
)
def test_edits_leave_no_slot_unaccounted_for(steps: list[tuple[str, int]], overlap: str, lead: str) -> None:
    """Of each schedule all slots up to the next edit have their row, over restarts too, and none starts twice."""
    tail = f'[run]\noverlap = "{overlap}"\n{lead}'
    texts = [f'[schedule]\nevery = "{period}"\n{tail}' for period in ("5m", "7m")]
    begin = us("2026-03-02T10:00:30Z")
    with TemporaryDirectory() as folder:
        world = World(Path(folder), job("a", texts[0]), now=begin)
        which, since = 0, begin - 1
        expected: set[int] = set()
        for what, amount in steps:
            plan = compile_schedule(world.specs["a"].schedule)
            if what == "pass":
                world.until(to_text(world.now + amount), lasts_us=2 * MINUTE)
            elif what == "code":
                world.edit("a", texts[which] + f"nice = {amount % 19}\n")
            else:
                if what.startswith("crash"):
                    world.crash()
                    world.now += amount
                loading = world.now - (what != "edit")
                if what != "crash":
                    which = 1 - which
                    expected |= set(slots_between(plan, since, loading, 1000))
                    since = loading
                if what == "edit":
                    world.edit("a", texts[which])
                else:
                    world.specs["a"] = job("a", texts[which])
                    world.boot()
        for run in list(world.live):
            world.finish(run)
        end = world.now + HOUR
        world.until(to_text(end), lasts_us=SECOND)
        plan = compile_schedule(world.specs["a"].schedule)
        expected |= set(slots_between(plan, since, end, 1000))
        rows = world.rows("a")
        close_all()
    edited = [row for row in rows if row["reason"] == "the schedule was changed before the slot"]
    assert world.twice() == []
    accounted = {from_text(row["slot"]) for row in rows if row["count"] == 1}
    stretches = [(from_text(row["slot"]), from_text(row["slot_last"])) for row in rows if row["count"] > 1]
    missing = {slot for slot in expected - accounted if not any(first <= slot <= last for first, last in stretches)}
    assert [to_text(slot) for slot in sorted(missing)] == []
    extra = accounted - expected - {from_text(row["slot"]) for row in edited}
    assert [to_text(slot) for slot in sorted(extra) if slot <= end] == []
