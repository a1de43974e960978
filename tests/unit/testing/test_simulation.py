"""What akjobd would do, asked by a test."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from time import process_time

import pytest

from akjob.errors import AkjobError
from akjob.testing import Simulation, load

HOURLY = 'command = "x"\n[schedule]\nevery = "1h"\n'
START = "2027-01-01T00:30:00"


def told(simulation: Simulation, job: str | None = None) -> list[tuple[str, str]]:
    """Return the hour and the state of every row."""
    return [(row["slot"][11:13], row["state"]) for row in simulation.rows(job)]


def test_time_passes() -> None:
    """Each slot has a row as `akjob history --json` has it."""
    simulation = Simulation({"tick": HOURLY}, START)
    simulation.run("2027-01-01T03:30:00")
    assert told(simulation) == [("01", "succeeded"), ("02", "succeeded"), ("03", "succeeded")]
    row = simulation.rows("tick")[0]
    assert (row["job"], row["slot"], row["attempt"]) == ("tick", "2027-01-01T01:00:00.000000Z", 1)
    assert simulation.rows("other") == []


def test_runs_fail_and_take_long() -> None:
    """A slot, or all of them; a run that meets the one before is skipped by `overlap`."""
    simulation = Simulation([load(HOURLY)], datetime(2027, 1, 1, 0, 30, tzinfo=UTC))
    simulation.fail("job", "2027-01-01T01:00:00", exit_code=75)
    simulation.run("2027-01-01T02:30:00")
    assert simulation.rows()[0]["exit_code"] == 75
    simulation.takes("job", timedelta(minutes=59))
    simulation.fail("job")
    simulation.run("2027-01-01T04:30:00")
    assert [state for _, state in told(simulation)] == ["failed", "succeeded", "failed", "running"]


def test_a_downtime_and_a_pause() -> None:
    """`missed` decides about the one, the other skips."""
    simulation = Simulation({"tick": HOURLY}, START)
    simulation.down("2027-01-01T01:30:00", "2027-01-01T03:40:00")
    simulation.run("2027-01-01T04:30:00")
    assert told(simulation) == [("01", "succeeded"), ("02", "missed"), ("03", "succeeded"), ("04", "succeeded")]
    simulation.pause("tick", until="2027-01-01T05:30:00")
    simulation.run("2027-01-01T06:30:00")
    assert told(simulation)[-2:] == [("05", "skipped"), ("06", "succeeded")]


def test_files_are_edited_and_removed_and_clocks_set() -> None:
    """At the time that it is."""
    simulation = Simulation({"tick": HOURLY}, START)
    simulation.run("2027-01-01T01:30:00")
    simulation.edit("tick", HOURLY.replace("1h", "30m"))
    simulation.edit("new", HOURLY)
    simulation.run("2027-01-01T02:15:00")
    assert told(simulation, "tick") == [("01", "succeeded"), ("02", "succeeded")]
    simulation.remove("new")
    simulation.clock_step(timedelta(hours=1))
    simulation.run("2027-01-01T04:15:00")
    assert len(told(simulation, "new")) == 1
    with pytest.raises(AkjobError, match="unknown key"):
        simulation.edit("tick", "evry = 1\n")


def test_a_root_is_simulated_with_its_messages(tmp_path: Path) -> None:
    """By its settings; a broken file is an error."""
    (tmp_path / "jobs.d").mkdir()
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc" / "akjob.toml").write_text('[channels.ops]\ncommand = ["true"]\n[notify]\nchannels = ["ops"]\n')
    (tmp_path / "jobs.d" / "tick.toml").write_text(HOURLY)
    simulation = Simulation(tmp_path, START)
    simulation.fail("tick", "2027-01-01T02:00:00")
    simulation.run("2027-01-01T04:30:00")
    found = [(one["channel"], one["kind"], one["jobs"]) for one in simulation.messages]
    assert found == [("ops", "failed", ["tick"]), ("ops", "recovered", ["tick"])]
    (tmp_path / "jobs.d" / "bad.toml").write_text("evry = 1\n")
    with pytest.raises(AkjobError, match=r"jobs.d/bad.toml:1:1"):
        Simulation(tmp_path, START)


def test_a_year_of_a_hundred_jobs_takes_no_time() -> None:
    """36,500 runs in seconds; ten are allowed on a busy machine."""
    began = process_time()
    simulation = Simulation({f"j{n}": 'command = "x"\n[schedule]\ndaily = 02:00:00\n' for n in range(100)}, START)
    simulation.run("2028-01-01T00:30:00")
    assert len(simulation.rows()) == 36_500
    assert process_time() - began < 10
