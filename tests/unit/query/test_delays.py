"""What of the runs under way goes on for too long."""

from akjob.instants import MINUTE, SECOND
from akjob.query.delays import Underway, late, long
from akjob.query.pace import RunPace
from akjob.spec import parse_job
from akjob.spec.model import JobSpec

NOW_US = 1_000_000 * SECOND


def run(name: str, due_s: float, started_s: float | None = None, trigger: str = "schedule") -> Underway:
    """Make a run that was due, and began, so many seconds ago."""
    started_us = None if started_s is None else NOW_US - round(started_s * SECOND)
    return Underway(run=name, job="a", trigger=trigger, due_us=NOW_US - round(due_s * SECOND), started_us=started_us)


def spec(text: str) -> JobSpec:
    """Read a job."""
    found = parse_job("a", "jobs.d/a.toml", f'command = "true"\n{text}').spec
    assert found is not None
    return found


def test_late_is_what_is_due_and_has_not_started() -> None:
    """After ``late_after`` of the job; what runs, is retried or was asked for by hand is not late."""
    runs = [run("new", 30), run("late", 240), run("latest", 300), run("runs", 300, 200)]
    runs += [run("by hand", 300, trigger="manual"), run("again", 300, trigger="retry")]
    found = late(runs, {"a": spec("")}, NOW_US)
    assert [(one.run, one.by_us) for one in found] == [("latest", 5 * MINUTE), ("late", 4 * MINUTE)]
    assert late(runs, {"a": spec('[notify]\nlate_after = "10m"\n')}, NOW_US) == []
    jittered = spec('[schedule]\nevery = "1h"\njitter = "59m"\n')
    assert late([run("jitter", 70)], {"a": jittered}, NOW_US) == []


def test_long_is_three_times_what_is_usual() -> None:
    """A run of seconds is none; without a success nothing is known to be usual."""
    runs = [run("x", 95, 91), run("y", 61, 60), run("short", 9, 9)]
    assert [one.run for one in long(runs, {"a": RunPace(last_s=1, usual_s=30)}, NOW_US)] == ["x"]
    assert [one.run for one in long(runs, {"a": RunPace(last_s=1, usual_s=0.1)}, NOW_US)] == ["x", "y"]
    assert long(runs, {"a": RunPace()}, NOW_US) == []
    assert long(runs, {}, NOW_US) == []
