"""What a run's time was made of, and what a failure has in common with others."""

from itertools import pairwise
from typing import Any

import pytest

from akjob.instants import HOUR, MINUTE, SECOND
from akjob.ledger import RunRow, Writes
from akjob.ledger.memory import MemoryStore
from akjob.query.likeness import likeness_of
from akjob.query.runs import Run, from_row
from akjob.query.steps import Step, WaitedFor, steps_of
from akjob.schedule import jitter_us
from tests.unit.world import job

SLOT = 10 * HOUR
MS = SECOND // 1000


def run(**values: Any) -> Run:
    """Return a run of noon."""
    fields: dict[str, Any] = {"id": "r", "job": "a", "slot_us": SLOT, "queued_us": SLOT, **values}
    store = MemoryStore()
    store.commit(Writes(claims=[RunRow(**{"slot_last_us": fields["slot_us"], **fields})]))
    return from_row(store.reader().history()[0])


def said(steps: list[Step]) -> list[tuple[str, int, bool]]:
    """Return the steps as name, milliseconds, and whether they are late."""
    return [(one.name, one.took_us // MS, one.is_late) for one in steps]


def held(what: str, begin_us: int, end_us: int, job: str = "b") -> WaitedFor:
    """Return what a run may have waited for."""
    return WaitedFor(what=what, run=f"{job}1", job=job, begin_us=begin_us, end_us=end_us)


def test_what_is_late_adds_up() -> None:
    """Deciding, the waits by name, the start; each begins where the one before ends."""
    one = run(state="succeeded", queued_us=SLOT + 40 * MS, started_us=SLOT + 500 * MS, ended_us=SLOT + 2 * SECOND)
    waits = [held("lock db", SLOT - MINUTE, SLOT + 300 * MS), held("lock db", SLOT - MINUTE, SLOT - SECOND, "c")]
    steps = steps_of(one, None, None, waits, SLOT + HOUR)
    assert said(steps) == [
        ("until akjobd decided it", 40, True),
        ("lock db: b", 260, True),
        ("the start", 200, True),
        ("ran", 1500, False),
    ]
    assert sum(step.took_us for step in steps if step.is_late) == 500 * MS
    assert all(before.end_us == after.begin_us for before, after in pairwise(steps))
    assert steps[1].run == "b1"


def test_a_short_wait_is_the_start_whoever_else_ran() -> None:
    """Nothing is blamed on others for some milliseconds."""
    one = run(state="succeeded", queued_us=SLOT - 20 * MS, started_us=SLOT + 2 * MS, ended_us=SLOT + SECOND)
    steps = steps_of(one, None, None, [held("lock db", SLOT - MINUTE, SLOT + MS)], SLOT + HOUR)
    assert said(steps) == [("the start", 2, True), ("ran", 998, False)]


def test_jitter_is_a_step_of_what_the_schedule_gives() -> None:
    """Not of what a person asked for."""
    jittery = job("a", '[schedule]\nevery = "1h"\njitter = "10m"\n')
    later_us = jitter_us(jittery.schedule, "a")
    times = {"started_us": SLOT + later_us + MS, "ended_us": SLOT + HOUR, "state": "failed"}
    assert said(steps_of(run(**times), jittery, None, (), SLOT + HOUR))[0] == ("jitter", later_us // MS, True)
    by_hand = run(**times, trigger="manual")
    assert said(steps_of(by_hand, jittery, None, (), SLOT + HOUR))[0][0] == "the start"


def test_a_retry_comes_after_the_attempt_before_it() -> None:
    """Its slot is the same: what was between is the attempt, and the delay."""
    first = run(id="r1", state="failed", started_us=SLOT, ended_us=SLOT + MINUTE)
    second = run(
        id="r2", attempt=2, trigger="retry", state="succeeded", queued_us=SLOT + MINUTE,
        started_us=SLOT + 2 * MINUTE, ended_us=SLOT + 3 * MINUTE,
    )  # fmt: skip
    assert said(steps_of(second, None, first, (), SLOT + HOUR)) == [
        ("attempt 1", 60_000, True), ("delay of the retry, and the start", 60_000, True), ("ran", 60_000, False),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("values", "steps"),
    [
        ({"state": "queued"}, [("waits", 3_600_000, True)]),
        ({"state": "cancelled", "ended_us": SLOT + MINUTE}, [("waited", 60_000, True)]),
        ({"state": "running", "started_us": SLOT}, [("runs", 3_600_000, False)]),
        ({"state": "skipped", "ended_us": SLOT}, []),
    ],
)
def test_what_is_not_over(values: dict[str, Any], steps: list[tuple[str, int, bool]]) -> None:
    """It has come as far as now."""
    assert said(steps_of(run(**values), None, None, (), SLOT + HOUR)) == steps


def test_what_a_failure_has_in_common() -> None:
    """Time and memory against the median of the successes, the exit code, and other jobs' failures nearby."""
    took = {"started_us": SLOT, "host": "here", "git_commit": "abc"}
    good = [run(id=f"g{n}", state="succeeded", started_us=0, ended_us=n * SECOND, max_rss_bytes=n) for n in (1, 2, 9)]
    failed = run(state="failed", exit_code=3, ended_us=SLOT + 6 * SECOND, **took)
    before = [run(id=f"f{code}", state="failed", exit_code=code) for code in (3, 3, 1)]
    others = [
        run(id="o1", job="b", state="failed", **took),
        run(id="o2", job="b", state="failed", **took),
        run(id="o3", job="c", state="failed", started_us=SLOT, host="there", git_commit="abc"),
        run(id="o4", job="d", state="failed", started_us=SLOT, host="there"),
        run(id="o5", job="a", state="failed", **took),
    ]
    found = likeness_of(failed, good, before, others, SLOT + HOUR)
    assert (found.usual_us, found.times_usual, found.usual_bytes) == (2 * SECOND, 3.0, 2)
    assert (found.code_seen, found.failures) == (2, 3)
    assert [(one.job, one.run, one.same) for one in found.others] == [
        ("b", "o1", ("commit", "host")),
        ("c", "o3", ("commit",)),
    ]
    assert likeness_of(failed, [], [], [], SLOT).times_usual is None
