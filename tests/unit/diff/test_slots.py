"""What a change does to the slots of the next days."""

import json
from pathlib import Path

import pytest

from akjob.config import Config, Paths
from akjob.diff import compare, render_json, render_markdown, render_text, slots_of
from akjob.diff.side import Side, at_revision, of_work_tree, read_side
from akjob.diff.slots import Slots
from akjob.instants import from_text, to_text
from tests.unit.jobset.test_git import git

NOW_US = from_text("2027-03-22T00:00:00Z")  # a Monday; summer time begins on the Sunday


def side(**schedules: str) -> Side:
    """Return a side of jobs with these schedules."""
    files = {f"{name}.toml": f'command = "{name}"\n[schedule]\n{one}\n'.encode() for name, one in schedules.items()}
    return read_side("here", files, Config(), [])


def slots(old: Side, new: Side, days: int = 7, durations: dict[str, list[float]] | None = None) -> Slots:
    """Compare the slots of some days."""
    return slots_of(old, new, compare(old, new, NOW_US), NOW_US, days, durations or {})


BERLIN = 'timezone = "Europe/Berlin"\n'


def test_a_slot_that_another_of_its_day_replaces_is_moved() -> None:
    """Counted in the job's own days, of 23 hours in spring too."""
    found = slots(side(a=BERLIN + "daily = 00:30:00"), side(a=BERLIN + "daily = 23:30:00"))
    [one] = found.jobs
    assert [to_text(slot) for slot in one.gained] == ["2027-03-22T22:30:00.000000Z"]  # that day's had been already
    assert one.lost == ()
    moved = [(to_text(before), to_text(after)) for before, after in one.moved]
    assert len(moved) == 7
    assert moved[-2] == ("2027-03-27T23:30:00.000000Z", "2027-03-28T21:30:00.000000Z")


def test_days_that_go_are_lost_and_days_that_come_are_gained() -> None:
    """What stays is neither."""
    daily, weekdays = "daily = 09:00:00", 'weekly = { days = ["mon-fri"], at = 09:00:00 }'
    [one] = slots(side(a=daily), side(a=weekdays)).jobs
    assert [to_text(slot)[:10] for slot in one.lost] == ["2027-03-27", "2027-03-28"]
    assert (one.gained, one.moved) == ((), ())
    [one] = slots(side(a=weekdays), side(a=daily)).jobs
    assert len(one.gained) == 2


def test_jobs_that_come_go_or_are_disabled() -> None:
    """All of their slots are gained or lost; one that is renamed keeps them."""
    daily = "daily = 09:00:00"
    found = slots(side(a=daily), side(b=daily, c=daily)).jobs
    assert [(one.job, len(one.gained), len(one.lost)) for one in found] == [("a", 0, 7), ("b", 7, 0), ("c", 7, 0)]
    off = read_side("off", {"a.toml": b'command = "a"\nenabled = false\n[schedule]\ndaily = 09:00:00\n'}, Config(), [])
    [one] = slots(side(a=daily), off).jobs
    assert len(one.lost) == 7
    old = read_side("old", {"a.toml": b'command = "x"\n[schedule]\ndaily = 09:00:00\n'}, Config(), [])
    new = read_side("new", {"b.toml": b'command = "x"\n[schedule]\ndaily = 09:00:00\n'}, Config(), [])
    assert slots(old, new).jobs == ()


def test_a_refused_job_goes_on_as_before() -> None:
    """Its last good version keeps its slots."""
    new = read_side("new", {"a.toml": b"command = 1\n"}, Config(), [])
    assert slots(side(a="daily = 09:00:00"), new).jobs == ()


def test_very_many_slots_are_compared_in_part() -> None:
    """And it is said up to when."""
    [one] = slots(side(a='every = "1s"'), side(a='every = "2s"')).jobs
    assert one.until_us is not None
    assert len(one.lost) == 10_000


def test_the_peak_before_and_after() -> None:
    """By what the last runs took."""
    old = side(a="daily = 09:00:00", b="daily = 10:00:00")
    new = side(a="daily = 09:00:00", b="daily = 09:10:00")
    peak = slots(old, new, durations={"a": [900.0]}).peak
    assert (peak.before, peak.after) == (1, 2)


def test_how_it_is_shown() -> None:
    """As text, as JSON with instants in UTC, and as a table for a pull request."""
    old = side(a=BERLIN + "daily = 02:00:00", b="daily = 01:00:00")
    new = side(a=BERLIN + "daily = 03:00:00", b='weekly = { days = ["mon"], at = 01:00:00 }')
    difference, found = compare(old, new, NOW_US), slots(old, new)
    text = "\n".join(render_text(difference, found))
    assert "slots of the next 7 days\n  a: 6 moved\n" in text
    assert "    moved    Mon 2027-03-22 02:00:00+01:00 -> Mon 2027-03-22 03:00:00+01:00\n" in text
    assert "  b: 6 lost\n    lost     Tue 2027-03-23 01:00:00+00:00\n" in text
    assert "    lost     and 1 more\n" in text
    assert text.endswith("at most 2 at once before, 1 after")
    objects = [json.loads(line) for line in render_json(difference, found)]
    by_job = {item["job"]: item for item in objects}
    assert by_job["b"]["lost"][0] == "2027-03-23T01:00:00.000000Z"
    assert by_job["a"]["moved"][0] == ["2027-03-22T01:00:00.000000Z", "2027-03-22T02:00:00.000000Z"]
    assert objects[-1] == {"change": "peak", "job": None, "before": 2, "after": 1}
    table = "\n".join(render_markdown(difference, found))
    assert "#### Slots of the next 7 days\n\n| job | lost | gained | moved |\n" in table
    assert "| `b` | 6: Tue 2027-03-23 01:00:00+00:00<br>" in table


def test_nothing_changes() -> None:
    """It is said."""
    one = side(a="daily = 09:00:00")
    found = slots(one, one)
    assert "none gained, lost or moved" in "\n".join(render_text(compare(one, one, NOW_US), found))
    assert "None gained, lost or moved." in "\n".join(render_markdown(compare(one, one, NOW_US), found))


@pytest.mark.parametrize("commit", [True, False])
def test_calendars_and_expectations_of_a_commit(tmp_path: Path, *, commit: bool) -> None:
    """The files of calendars are those of the commit; an expectation that fails refuses the job."""
    git(tmp_path, "init", "-q", "-b", "main")
    (tmp_path / "etc").mkdir()
    (tmp_path / "jobs.d").mkdir()
    (tmp_path / "etc/akjob.toml").write_text('[calendars.free]\nfile = "etc/free.txt"\n')
    (tmp_path / "etc/free.txt").write_text("2027-03-23\n")
    (tmp_path / "jobs.d/a.toml").write_text(
        'command = "x"\n[schedule]\ndaily = 09:00:00\n[limits]\nnot_on = ["free"]\n'
    )
    (tmp_path / "jobs.d/b.toml").write_text('command = "x"\n[[expect]]\nfires = 2027-03-23T09:00:00\n')
    git(tmp_path, "add", ".")
    git(tmp_path, "commit", "-q", "-m", "one")
    (tmp_path / "etc/free.txt").write_text("2027-03-23\n2027-03-24\n")
    if commit:
        git(tmp_path, "commit", "-q", "-a", "-m", "two")
    paths = Paths(tmp_path)
    old = at_revision(paths, "HEAD~1" if commit else "HEAD", NOW_US)
    new = at_revision(paths, "HEAD", NOW_US) if commit else of_work_tree(paths, NOW_US)
    assert [problem.code for problem in new.refused["b"]] == ["expectation-failed"]
    [one] = slots(old, new).jobs
    assert [to_text(slot)[:10] for slot in one.lost] == ["2027-03-24"]
