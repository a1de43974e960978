"""The jobs of this repository, tested as any project tests its own: when they fire, what they would do and do."""

from pathlib import Path

import pytest

from akjob.testing import Simulation, dst_days, load, run

ROOT = Path(__file__).parents[2]


def test_the_load_is_logged_every_five_seconds() -> None:
    """Without regard to the clock's changes, and an old one is never made up for."""
    job = load("jobs.d/load.toml", root=ROOT)
    assert len(job.slots("2027-03-28T00:00:00", "2027-03-28T01:00:00")) == 720
    assert job.spec.run.missed == "skip"


@pytest.mark.parametrize("day", dst_days("Europe/Berlin", 2027))
def test_the_report_is_made_once_a_day(day: object) -> None:
    """At seven, also on the days on which clocks change."""
    job = load("jobs.d/report.toml", root=ROOT)
    assert [slot.isoformat()[:16] for slot in job.slots(f"{day}T00:00:00", f"{day}T23:59:59")] == [f"{day}T07:00"]


def test_a_pull_that_hangs_is_over_before_the_next() -> None:
    """It is disabled as it is delivered; switched on, a run of a minute is ended by its timeout and meets no other."""
    text = (ROOT / "jobs.d" / "pull.toml").read_text().replace("enabled     = false", "enabled = true")
    simulation = Simulation({"pull": text}, "2027-01-01T00:00:30")
    simulation.takes("pull", "2m")
    simulation.run("2027-01-01T00:10:00")
    states = [row["state"] for row in simulation.rows()][:9]
    assert states == ["timed_out"] * 9


def test_the_disk_is_watched() -> None:
    """A real run of the real code: it warns below the limit given, and the limit of the file is not reached by 0 %."""
    job = load("jobs.d/disk-space.toml", root=ROOT)
    assert run(job, {"warn_percent": 100}).state == "succeeded"
    warned = run(job, {"warn_percent": 0})
    assert [event["level"] for event in warned.events if event["level"] == "warning"]
