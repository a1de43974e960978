"""``after``: what other jobs' ends come to, over restarts too."""

import json
import random
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import pytest

from akjob.instants import HOUR, MINUTE, SECOND
from akjob.schedule.events import After
from akjob.simulate import Simulator
from akjob.sources import UpstreamEnd
from akjob.sources.after import answer, circles
from tests.unit.world import World, close_all, job, us

HOURLY = '[schedule]\ncron = "0 * * * *"\n'


@pytest.fixture(autouse=True)
def closed() -> Iterator[None]:
    """Close what the test has opened."""
    yield
    close_all()


def after(value: str, rest: str = "") -> str:
    """Return a job file that runs after others."""
    return f"[schedule]\nafter = {value}\n{rest}"


def told(simulation: Simulator, name: str) -> list[tuple[str, int, str, str | None]]:
    """Return slot, attempt, state and reason of every row of a job."""
    rows = simulation.rows(name)
    return [(row["slot"][11:16], row["attempt"], row["state"], row["reason"]) for row in rows]


def run(*jobs: tuple[str, str]) -> Simulator:
    """Return a simulation that begins at half past ten."""
    return Simulator([job(name, text) for name, text in jobs], us("10:30:00"))


def test_a_job_runs_after_another_with_its_slot() -> None:
    """The slot is the upstream's, the trigger is ``after``, and the row says after which run."""
    simulation = run(("a", HOURLY), ("b", after('"a"')))
    simulation.takes("a", 10 * MINUTE)
    simulation.run(us("12:30:00"))
    assert told(simulation, "b") == [("11:00", 1, "succeeded", None), ("12:00", 1, "succeeded", None)]
    (first, _) = simulation.rows("b")
    assert (first["trigger"], (first["started_at"] or "")[11:16]) == ("after", "11:10")
    assert json.loads(first["cause"] or "") == {"after": {"a": simulation.rows("a")[0]["id"]}}


def test_an_end_that_does_not_fit_is_a_skipped_row_and_goes_on() -> None:
    """The row has the reason; it is an end itself, so that each job of the chain has a row for the slot."""
    simulation = run(("a", HOURLY), ("b", after('"a"')), ("c", after('"b"')))
    simulation.fail("a", us("11:00:00"))
    simulation.run(us("12:30:00"))
    assert told(simulation, "b") == [("11:00", 1, "skipped", "after a: failed"), ("12:00", 1, "succeeded", None)]
    assert told(simulation, "c") == [("11:00", 1, "skipped", "after b: skipped"), ("12:00", 1, "succeeded", None)]


def test_an_end_is_the_end_of_the_last_attempt() -> None:
    """A failure that is retried is none; the job runs once, after the attempt that succeeded."""
    retried = HOURLY + '[run]\nretry = { attempts = 2, delay = "5m" }\n'
    simulation = run(("a", retried), ("b", after('{ jobs = ["a"], on = ["failed"] }')))
    simulation.fail("a")
    simulation.run(us("11:30:00"))
    assert [row["state"] for row in simulation.rows("a")] == ["failed", "failed"]
    assert told(simulation, "b") == [("11:00", 1, "succeeded", None)]
    assert (simulation.rows("b")[0]["started_at"] or "")[11:16] == "11:05"


@pytest.mark.parametrize(
    ("on", "slots"),
    [('["succeeded"]', ["12:00"]), ('["timed_out"]', ["11:00"]), ('"ended"', ["11:00", "12:00"])],
)
def test_which_ends_fit(on: str, slots: list[str]) -> None:
    """``on`` names the final states; ``ended`` all of a run."""
    simulation = run(("a", HOURLY + '[run]\ntimeout = "5m"\n'), ("b", after(f'{{ jobs = ["a"], on = {on} }}')))
    simulation.takes("a", 10 * MINUTE)
    simulation.run(us("11:30:00"))
    simulation.takes("a", MINUTE)
    simulation.run(us("12:30:00"))
    assert [slot for slot, _, state, _ in told(simulation, "b") if state == "succeeded"] == slots


def test_all_waits_for_each() -> None:
    """The job is due once each of them has a fitting end that no slot has used; its slot is the latest of theirs."""
    simulation = run(("a", HOURLY), ("b", '[schedule]\ncron = "10 * * * *"\n'), ("c", after('["a", "b"]')))
    simulation.run(us("12:05:00"))
    assert told(simulation, "c") == [("11:10", 1, "succeeded", None)]
    simulation.run(us("12:30:00"))
    assert told(simulation, "c") == [("11:10", 1, "succeeded", None), ("12:10", 1, "succeeded", None)]
    cause = json.loads(simulation.rows("c")[0]["cause"] or "")
    assert list(cause["after"]) == ["a", "b"]


def test_a_misfit_while_another_is_awaited_gives_no_row() -> None:
    """Only where the job would have been due is there a row; it uses up the ends so far."""
    simulation = run(("a", HOURLY), ("b", '[schedule]\ncron = "10 * * * *"\n'), ("c", after('["a", "b"]')))
    simulation.fail("a", us("11:00:00"))
    simulation.fail("b", us("12:10:00"))
    simulation.run(us("13:05:00"))
    assert told(simulation, "c") == [
        ("12:00", 1, "succeeded", None),  # after b of 11:10 and a of 12:00
    ]
    simulation.run(us("13:30:00"))
    assert told(simulation, "c")[1:] == [("13:10", 1, "succeeded", None)]
    simulation.fail("b", us("14:10:00"))
    simulation.run(us("14:30:00"))
    assert told(simulation, "c")[2:] == [("14:10", 1, "skipped", "after b: failed")]


def test_any_is_due_by_each_end() -> None:
    """Two ends with one slot are two attempts of it."""
    simulation = run(("a", HOURLY), ("b", HOURLY), ("c", after('{ jobs = ["a", "b"], mode = "any" }')))
    simulation.takes("b", 10 * MINUTE)
    simulation.run(us("11:30:00"))
    assert told(simulation, "c") == [("11:00", 1, "succeeded", None), ("11:00", 2, "succeeded", None)]


def test_within_bounds_the_age_of_the_oldest_end() -> None:
    """An end that is too old does not count; a later one of the same job takes its place."""
    text = after('{ jobs = ["a", "b"], within = "30m" }')
    simulation = run(
        ("a", HOURLY), ("b", "[schedule]\nat = [2026-03-02T11:40:00Z, 2026-03-02T12:20:00Z]\n"), ("c", text)
    )
    simulation.run(us("13:00:00") - SECOND)
    assert told(simulation, "c") == [("12:00", 1, "succeeded", None)]


def test_limits_look_at_the_instant_of_the_end() -> None:
    """The upstream's slot may lie outside the hours of the job, and its end within."""
    limits = "[limits]\nhours = { from = 11:05:00, until = 12:00:00 }\n"
    simulation = run(("a", HOURLY), ("b", after('"a"', limits)))
    simulation.takes("a", 10 * MINUTE)
    simulation.run(us("12:30:00"))
    assert told(simulation, "b") == [("11:00", 1, "succeeded", None)]


def test_a_pause_holds_for_after_too() -> None:
    """The slot is skipped with the pause's reason; disabled jobs have no slots."""
    simulation = run(("a", HOURLY), ("b", after('"a"')), ("c", "enabled = false\n" + after('"a"')))
    simulation.pause("b", None, "disk", "ann")
    simulation.run(us("11:30:00"))
    assert told(simulation, "b") == [("11:00", 1, "skipped", "the job is paused by ann: disk")]
    assert told(simulation, "c") == []


def test_a_job_that_meets_its_own_run_is_decided_by_overlap() -> None:
    """``queue`` lets one wait."""
    simulation = run(("a", '[schedule]\nevery = "5m"\n'), ("b", after('"a"', '[run]\noverlap = "queue"\n')))
    simulation.takes("b", 7 * MINUTE)
    simulation.run(us("10:44:00"))
    assert [(slot, state) for slot, _, state, _ in told(simulation, "b")] == [
        ("10:30", "succeeded"),
        ("10:35", "running"),
        ("10:40", "queued"),
    ]


def test_an_upstream_may_come_later() -> None:
    """A job whose upstream is not there waits for it."""
    simulation = run(("b", after('"a"')))
    simulation.run(us("11:30:00"))
    simulation.edit(job("a", HOURLY))
    simulation.run(us("12:30:00"))
    assert told(simulation, "b") == [("12:00", 1, "succeeded", None)]


def test_a_circle_stands_still() -> None:
    """Within a circle no end is handed on; a job outside of it goes on."""
    simulation = run(("a", HOURLY.replace("cron", 'after = "b"\ncron')), ("b", after('"a"')), ("c", after('"a"')))
    simulation.run(us("11:30:00"))
    assert told(simulation, "b") == []
    assert told(simulation, "c") == [("11:00", 1, "succeeded", None)]
    assert circles({"a": ("b",), "b": ("a",), "c": ("a",), "d": ("d",)}) == [("a", "b"), ("d",)]


def test_missed_slots_of_an_upstream_are_misfits() -> None:
    """A stretch is one row with a count, downstream as well."""
    simulation = run(("a", '[schedule]\nevery = "1m"\n[run]\nmissed = "skip"\n'), ("b", after('"a"')))
    simulation.down(us("10:31:30"), us("11:31:30"))
    simulation.run(us("11:40:00"))
    rows = simulation.rows("b")
    stretch = [(row["slot"][11:16], row["slot_last"][11:16], row["count"]) for row in rows if row["count"] > 1]
    assert stretch == [("10:32", "11:31", 60)]
    assert {row["reason"] for row in rows if row["state"] == "skipped"} == {"after a: missed"}


State = Literal["succeeded", "failed", "skipped"]


@pytest.mark.parametrize(("state", "what"), [("succeeded", "due"), ("failed", "misfit"), ("skipped", "misfit")])
def test_what_one_end_means(state: State, what: str) -> None:
    """With one job there is nothing to wait for."""
    ended = UpstreamEnd(job="a", run="r", state=state, slot_us=1, slot_last_us=1, at_us=2)
    found = answer("b", After(jobs=("a",)), {}, ended)
    assert found.what == what
    assert found.occurrence is not None
    assert (found.occurrence.slot, found.occurrence.at_us, found.occurrence.cause) == (1, 2, '{"after":{"a":"r"}}')


def crash_and_boot(world: World, chance: random.Random) -> None:
    """Kill akjobd somewhere between a decision and its commit, let runs end meanwhile, and start it again."""
    if chance.random() < 0.5 and world.agenda.wake_us is not None:
        world.now = max(world.now, world.agenda.wake_us)
        world.agenda.turn(world.now)
        effects = world.agenda.effects()
        if chance.random() < 0.5:
            world.ledger.commit(effects.writes)  # committed, and not acted on
    world.crash()
    world.now += chance.choice([0, SECOND, 20 * SECOND])
    for run_id in [run_id for run_id, start in world.orders.items() if start.not_before_us <= world.now]:
        world.started.append((world.now, world.orders[run_id]))
        world.live[run_id] = world.orders.pop(run_id)
    world.folders = {run_id for run_id in world.live if chance.random() < 0.7}
    for run_id in world.folders:
        del world.live[run_id]
    world.boot()
    for run_id in sorted(world.folders):
        world.finish(run_id)
        if chance.random() < 0.3:
            world.finish(run_id)  # the same end is reported again
    world.folders.clear()
    for run_id in world.live:
        world.agenda.started(run_id, pid=7, shim_pid=6, at_us=world.now)
    world.turn()


@pytest.mark.parametrize("seed", range(4))
def test_a_chain_under_random_kills_loses_and_doubles_nothing(tmp_path: Path, seed: int) -> None:
    """Whatever akjobd is killed at, each slot of ``a`` that succeeded has one run of ``b``, and that one of ``c``."""
    chance = random.Random(seed)  # noqa: S311 - a test
    specs = [
        job("a", '[schedule]\nevery = "1m"\n[run]\noverlap = "allow"\nmissed = "all"\nmissed_within = "1d"\n'),
        job("b", after('"a"', '[run]\noverlap = "allow"\n')),
        job("c", after('"b"', '[run]\noverlap = "allow"\n')),
    ]
    begin = us("10:00:30")
    world = World(tmp_path, *specs, now=begin)
    while world.now < begin + 4 * HOUR:
        world.until_us(world.now + chance.randrange(SECOND, 5 * MINUTE), lasts_us=chance.choice([SECOND, 30 * SECOND]))
        crash_and_boot(world, chance)
    for run_id in list(world.live):
        world.finish(run_id)
    world.until_us(world.now + 10 * MINUTE, lasts_us=SECOND)
    for run_id in list(world.live):
        world.finish(run_id)
    world.until_us(world.now + 30 * SECOND, lasts_us=SECOND)
    slots = {name: Counter(row["slot"] for row in world.rows(name) if row["state"] == "succeeded") for name in "abc"}
    assert len(slots["a"]) > 200
    assert slots["a"] == slots["b"] == slots["c"]
    assert set(slots["a"].values()) == {1}
    assert world.twice() == []
