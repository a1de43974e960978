"""When a job file fires, asked by a test."""

from datetime import UTC, date, datetime, timedelta, timezone
from pathlib import Path

import pytest

from akjob.errors import AkjobError, UsageError
from akjob.testing import TestJob, dst_days, load

WEEKLY = """
command = "x"
[schedule]
timezone = "Europe/Berlin"
weekly = { days = ["mon", "thu"], at = 09:30:00 }
[limits]
dates = { last = 2027-12-31 }
"""


def test_a_job_says_when_it_fires() -> None:
    """Texts and datetimes, local ones in the job's zone or in another one."""
    job = load(WEEKLY)
    assert isinstance(job, TestJob)
    assert job.fires_at("2027-03-29T09:30:00")
    assert job.fires_at("2027-03-29T07:30:00Z")
    assert job.fires_at(datetime(2027, 3, 29, 7, 30, tzinfo=UTC))
    assert job.fires_at("2027-03-29T03:30:00", tz="America/New_York")
    assert not job.fires_at("2027-03-30T09:30:00")
    assert not job.fires_at("2028-01-03T09:30:00")


def test_its_slots_are_local_and_the_end_is_not_among_them() -> None:
    """The beginning is, and the offset is the one of the day."""
    found = load(WEEKLY).slots("2027-03-25T09:30:00", "2027-04-01T09:30:00")
    assert [one.isoformat() for one in found] == ["2027-03-25T09:30:00+01:00", "2027-03-29T09:30:00+02:00"]


def test_a_date_is_its_beginning() -> None:
    """What `dst_days` returns can be asked about as it is."""
    (day, _) = dst_days("Europe/Berlin", 2027)
    assert load(WEEKLY).slots(day, day + timedelta(days=2)) == load(WEEKLY).slots("2027-03-28", "2027-03-30T00:00:00")
    assert len(load(WEEKLY).slots(day, day + timedelta(days=2))) == 1


def test_more_slots_than_a_list_takes_are_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    """So none is left out without a word."""
    monkeypatch.setattr("akjob.testing.job._MOST_SLOTS", 2)
    job = load(WEEKLY)
    assert len(job.slots("2027-03-29", "2027-04-02T00:00:00")) == 2
    with pytest.raises(UsageError, match="job has more than 2 slots from 2027-03-29 until 2027-04-06"):
        job.slots("2027-03-29", "2027-04-06")


def test_the_next_slot_is_strictly_after() -> None:
    """None where there is none."""
    job = load(WEEKLY)
    following = job.next("2027-03-29T09:30:00")
    assert following == datetime(2027, 4, 1, 9, 30, tzinfo=timezone(timedelta(hours=2)))
    assert job.next("2028-01-01T00:00:00") is None


def test_the_schedule_in_words() -> None:
    """As `akjob show` has it."""
    assert load(WEEKLY).words[0] == "every Monday and Thursday at 09:30 Europe/Berlin"


def test_a_file_has_its_defaults(tmp_path: Path) -> None:
    """And its name; it may be named from the root."""
    folder = tmp_path / "jobs.d" / "reports"
    folder.mkdir(parents=True)
    (folder / "_defaults.toml").write_text('[schedule]\ntimezone = "Asia/Tokyo"\n')
    (folder / "nightly.toml").write_text('command = "x"\n[schedule]\ndaily = 02:00:00\n')
    job = load(folder / "nightly.toml")
    assert job.name == "reports/nightly"
    assert job.fires_at("2027-01-01T02:00:00+09:00")
    assert load("jobs.d/reports/nightly.toml", root=tmp_path).name == job.name


def test_a_file_with_instances_needs_one() -> None:
    """Each of them is a job of its own."""
    text = 'command = "x"\n[schedule]\nevery = "1h"\n[instances.emea]\n[instances.apac.schedule]\nevery = "2h"\n'
    assert load(text, instance="emea").fires_at("2027-01-01T01:00:00Z")
    assert not load(text, instance="apac").fires_at("2027-01-01T01:00:00Z")
    for instance in (None, "moon"):
        with pytest.raises(UsageError, match="2 instances") as raised:
            load(text, instance=instance)
        assert "emea, apac" in raised.value.hint


def test_what_is_wrong_is_raised() -> None:
    """All of it, with the places."""
    with pytest.raises(AkjobError, match=r"job.toml:1:1: .*(?s:.*)job.toml:3:2: ") as raised:
        load('evry = "1h"\ncommand = "x"\n[schedul]\n')
    assert raised.value.hint
    with pytest.raises(UsageError, match="'soon' is not a time"):
        load(WEEKLY).fires_at("soon")


def test_the_days_on_which_a_clock_changes() -> None:
    """Two a year in Berlin, none in Tokyo."""
    assert dst_days("Europe/Berlin", 2027) == [date(2027, 3, 28), date(2027, 10, 31)]
    assert dst_days("Asia/Tokyo", 2027) == []
