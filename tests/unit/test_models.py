"""The ancestor's way of making jobs: its example, each attribute there and back, its rules and their messages."""

import os
import subprocess
import sys
import tomllib
from collections.abc import Callable
from datetime import UTC, date, datetime, time, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from akjob.code.load import load_dill
from akjob.config import Config
from akjob.errors import AkjobError
from akjob.instants import from_datetime, to_datetime
from akjob.ledger import JobRow, Writes, open_reader, open_store
from akjob.models import Job, JobCallable, ValidationError, own_job
from akjob.query.slots import slots_of
from akjob.spec import parse_job

HOUR = timedelta(hours=1)
MST = timedelta(hours=-7)
NOW = datetime(2026, 1, 15, 12, 30, tzinfo=UTC)
RETRY = {"retry": {"attempts": 3}}


class Counter:
    """A code object that counts its runs, as the ancestor's readme shows."""

    def __init__(self) -> None:
        self.count = 0

    def run(self, ownjob: Job) -> int:
        """Count, and delete the job when it is enough."""
        self.count += 1
        if self.count > 2:
            ownjob.deleteme = True
        ownjob.save()
        return self.count


@pytest.fixture(autouse=True)
def jobs_d(root: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Give each test a root of its own."""
    monkeypatch.setenv("AKJOB_ROOT", str(root))
    return root / "jobs.d"


def a_job(name: str = "A job", **attributes: Any) -> Job:
    """Return a job that could be saved."""
    return Job(**{"name": name, "job_code_object": JobCallable(print, "x"), **attributes})


def saved(**attributes: Any) -> dict[str, Any]:
    """Save a job with these attributes; return the table in its file."""
    a_job(**attributes).save()
    return tomllib.loads((Path(os.environ["AKJOB_ROOT"]) / "jobs.d" / "a-job.toml").read_text())


def test_the_example_of_the_readme(jobs_d: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The ancestor's own example works as it stands, and what it saves prints what it should."""
    myjob_code = JobCallable(print, "Hello", "World")
    myjob = Job()
    myjob.job_code_object = myjob_code
    myjob.name = "Print Hello World"
    myjob.run_every = timedelta(hours=2)
    myjob.save()
    table = tomllib.loads((jobs_d / "print-hello-world.toml").read_text())
    dill = table.pop("dill")
    assert table == {
        "description": "Print Hello World",
        "schedule": {"again_after": "2h"},
        "run": {"timeout": "5m"},
    }
    assert sorted(path.name for path in jobs_d.iterdir()) == [
        "print-hello-world.dill",
        "print-hello-world.dill.json",
        "print-hello-world.toml",
    ]
    load_dill(str(jobs_d / dill["file"]), dill["sha256"], dill["python"])()
    assert capsys.readouterr().out == "Hello World\n"


ALL: dict[str, Any] = {
    "run_once_at": datetime(2027, 3, 1, 8, 0, tzinfo=timezone(MST)),
    "dates_list": [datetime(2027, 1, 1, tzinfo=UTC), datetime(2027, 1, 1, 5, 30, 1)],  # noqa: DTZ001 - also naive ones
    "run_every": timedelta(days=1, minutes=5),
    "monthly_days_list": [1, 15, 31],
    "monthly_time": time(1, 30),
    "monthly_time_tz_offset_timedelta": timedelta(hours=5, minutes=30),
    "weekly_days_list": [1, 2, 7],
    "weekly_time": time(22, 0, 5),
    "weekly_time_tz_offset_timedelta": MST,
    "job_enabled": False,
    "run_count_limit": 10,
    "active_time_begin": time(8),
    "active_time_end": time(16),
    "active_time_tz_offset_timedelta": timedelta(hours=-9, minutes=-30),
    "active_weekly_days_list": [2, 3, 4, 5, 6],
    "active_monthly_days_list": [1, 31],
    "active_months_list": [1, 12],
    "active_date_begin": date(2026, 1, 1),
    "active_date_end": date(2027, 12, 31),
    "timeout": 90,
    "delete_on_run_count_limit": True,
}


def test_all_attributes_there_and_back() -> None:
    """Every attribute of the ancestor, all at once, is the same after saving and loading."""
    job = a_job(**ALL)
    job.save()
    again = Job.load("A job")
    assert {name: getattr(again, name) for name in ALL} == ALL
    assert again == job
    assert {*ALL, "name", "deleteme"} == set(Job.ATTRIBUTES)


def moments() -> st.SearchStrategy[datetime]:
    """Return whole seconds, naive or with an offset of whole minutes."""
    offsets = st.integers(-1439, 1439).map(lambda minutes: timezone(timedelta(minutes=minutes)))
    return st.datetimes(
        datetime(2027, 1, 2),  # noqa: DTZ001
        datetime(2040, 1, 1),  # noqa: DTZ001
        timezones=st.one_of(st.none(), offsets),
    ).map(lambda moment: moment.replace(microsecond=0))


TIMES = st.times().map(lambda moment: moment.replace(microsecond=0))
OFFSETS = st.one_of(st.just(timedelta(0)), st.integers(-1439, 1439).map(lambda minutes: timedelta(minutes=minutes)))


def some(low: int, high: int) -> st.SearchStrategy[list[int] | None]:
    """Return some of the numbers, or None."""
    return st.one_of(st.none(), st.sets(st.integers(low, high), min_size=1).map(sorted))


ATTRIBUTES = st.fixed_dictionaries(
    {
        "run_once_at": st.one_of(st.none(), moments()),
        "dates_list": st.one_of(st.none(), st.lists(moments(), min_size=1, max_size=3)),
        "run_every": st.one_of(st.none(), st.integers(1000, 10**9).map(lambda ms: timedelta(milliseconds=ms))),
        "monthly_days_list": some(1, 28),
        "monthly_time": TIMES,
        "monthly_time_tz_offset_timedelta": OFFSETS,
        "weekly_days_list": some(1, 7),
        "weekly_time": TIMES,
        "weekly_time_tz_offset_timedelta": OFFSETS,
        "job_enabled": st.booleans(),
        "active_time_begin": st.just(time(1)),
        "active_time_end": TIMES.filter(lambda moment: moment != time(1)),
        "active_time_tz_offset_timedelta": OFFSETS,
        "timeout": st.one_of(st.none(), st.integers(1, 10**6)),
    }
)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(ATTRIBUTES)
def test_any_attributes_there_and_back(attributes: dict[str, Any]) -> None:
    """Whatever is set, also what has no effect yet, comes back; a second save changes nothing."""
    file = Path(os.environ["AKJOB_ROOT"]) / "jobs.d" / "any.toml"
    file.unlink(missing_ok=True)
    job = a_job("any", **attributes)
    try:
        job.save()
    except ValidationError as error:
        assert "never" in str(error)  # noqa: PT017 - a schedule that its limits leave nothing of
        return
    again = Job.load("any")
    assert {name: getattr(again, name) for name in attributes} == attributes
    before = file.read_bytes()
    again.save()
    assert file.read_bytes() == before


@pytest.mark.parametrize(
    ("attributes", "expected"),
    [
        ({"run_once_at": NOW}, {"schedule": {"at": NOW}}),
        ({"dates_list": [NOW]}, {"schedule": {"at": [NOW]}}),
        (
            {"weekly_days_list": [1, 2, 7], "weekly_time": time(22)},
            {"schedule": {"timezone": "UTC", "weekly": {"days": ["sun", "mon", "sat"], "at": time(22)}}},
        ),
        (
            {"weekly_days_list": 2, "weekly_time": time(22), "weekly_time_tz_offset_timedelta": MST},
            {"schedule": {"timezone": "-07:00", "weekly": {"days": ["mon"], "at": time(22)}}},
        ),
        (
            {"monthly_days_list": [1, 15], "monthly_time": time(1, 30)},
            {"schedule": {"timezone": "UTC", "monthly": {"days": [1, 15], "at": time(1, 30)}}},
        ),
        (
            {
                "run_every": timedelta(minutes=15),
                "active_time_begin": time(8),
                "active_time_end": time(16),
                "active_time_tz_offset_timedelta": MST,
                "active_weekly_days_list": [2, 3, 4, 5, 6],
            },
            {
                "schedule": {"timezone": "-07:00", "again_after": "15m"},
                "limits": {
                    "hours": {"from": time(8), "until": time(16)},
                    "weekdays": ["mon", "tue", "wed", "thu", "fri"],
                },
            },
        ),
        ({"run_count_limit": 3, "delete_on_run_count_limit": True}, {"limits": {"runs": 3, "when_done": "delete"}}),
        ({"job_enabled": False}, {"enabled": False}),
        ({"timeout": None}, {"run": {"timeout": "none"}}),
        ({"timeout": 7200}, {"run": {"timeout": "2h"}}),
    ],
)
def test_what_an_attribute_is_in_the_file(attributes: dict[str, Any], expected: dict[str, Any]) -> None:
    """Each attribute is the key that a person would write."""
    table = saved(**attributes)
    del table["dill"], table["description"]
    assert {"run": {"timeout": "5m"}} | expected == table


def test_two_offsets_stand_in_their_tables() -> None:
    """Where offsets differ each table has its own; the file's is UTC."""
    table = saved(
        weekly_days_list=[1],
        weekly_time=time(1),
        weekly_time_tz_offset_timedelta=MST,
        monthly_days_list=[1],
        monthly_time=time(1),
    )["schedule"]
    assert table["timezone"] == "UTC"
    assert table["weekly"]["timezone"] == "-07:00"
    assert table["monthly"]["timezone"] == "UTC"


@pytest.mark.parametrize(
    ("name", "value", "error", "message"),
    [
        ("name", 5, TypeError, "name must be a string, not 5"),
        ("name", " ", ValueError, "name must have 1 to 100 characters"),
        ("name", "x" * 101, ValueError, "name must have 1 to 100 characters; this one has 101"),
        ("run_every", 5, TypeError, "run_every must be a timedelta, not 5"),
        ("run_every", timedelta(milliseconds=999), ValueError, "run_every must be at least one second"),
        ("run_once_at", date(2026, 1, 1), TypeError, "run_once_at must be a datetime"),
        ("dates_list", [1], TypeError, "dates_list must be a datetime or a list of datetimes"),
        ("monthly_days_list", [0], ValueError, "monthly_days_list must have numbers from 1 to 31, not 0"),
        ("monthly_days_list", [32], ValueError, "not 32"),
        ("monthly_days_list", ["1"], TypeError, "a number or a list of numbers from 1 to 31"),
        ("weekly_days_list", [8], ValueError, "weekly_days_list must have numbers from 1 to 7, not 8"),
        ("weekly_days_list", [True], TypeError, "weekly_days_list must be"),
        ("active_months_list", 13, ValueError, "active_months_list must have numbers from 1 to 12, not 13"),
        ("weekly_time", datetime(2026, 1, 1, tzinfo=UTC), TypeError, "weekly_time must be a datetime.time"),
        ("weekly_time", time(1, tzinfo=UTC), ValueError, "weekly_time must have no tzinfo"),
        ("weekly_time_tz_offset_timedelta", -7, TypeError, "must be a timedelta, not -7"),
        ("weekly_time_tz_offset_timedelta", timedelta(days=1), ValueError, "less than a day"),
        ("weekly_time_tz_offset_timedelta", timedelta(seconds=1), ValueError, "in whole minutes"),
        ("job_enabled", 1, TypeError, "job_enabled must be True or False, not 1"),
        ("run_count_limit", 0, ValueError, "run_count_limit must be 1 or more, not 0"),
        ("run_count_limit", 1.5, TypeError, "run_count_limit must be an integer"),
        ("active_date_begin", NOW, TypeError, "active_date_begin must be a datetime.date"),
        ("timeout", 0, ValueError, "timeout must be more than 0 seconds"),
        ("timeout", "5m", TypeError, "timeout must be a number of seconds"),
        ("job_code_object", 5, TypeError, "job_code_object must be callable or have a run method, not 5"),
    ],
)
def test_wrong_values_are_refused_at_once(name: str, value: Any, error: type[Exception], message: str) -> None:
    """What is assigned is checked where it is assigned, and the message names the attribute."""
    with pytest.raises(error, match=message.replace("(", r"\(")):
        setattr(Job(), name, value)


@pytest.mark.parametrize(
    ("attributes", "message"),
    [
        ({"name": ""}, "the job has no name"),
        ({"job_code_object": None}, "job_code_object is not set"),
        ({"weekly_days_list": [1]}, "weekly_days_list is set and weekly_time is not"),
        ({"monthly_days_list": [1]}, "monthly_days_list is set and monthly_time is not"),
        ({"active_time_begin": time(1)}, "active_time_begin and active_time_end go together"),
        ({"active_date_end": date(2026, 1, 1)}, "active_date_begin and active_date_end go together"),
        ({"delete_on_run_count_limit": True}, "run_count_limit is not"),
        ({"active_time_begin": time(1), "active_time_end": time(1)}, "limits.hours"),
        ({"name": "…"}, "has no letter or digit"),
    ],
)
def test_what_does_not_go_together_is_refused_on_save(jobs_d: Path, attributes: dict[str, Any], message: str) -> None:
    """Such a job is not saved: no file is left, and the message says what to do."""
    job = a_job()
    for name, value in attributes.items():
        if (name, value) == ("name", ""):
            del job.name
        else:
            setattr(job, name, value)
    with pytest.raises(ValidationError, match=message) as caught:
        job.save()
    assert caught.value.hint
    assert list(jobs_d.iterdir()) == []


def test_unknown_attribute_is_refused() -> None:
    """A misspelt attribute in the constructor is an error that names the right ones."""
    with pytest.raises(TypeError, match="a Job has no attribute 'run_evry'; it has name, run_once_at"):
        Job(run_evry=HOUR)


def test_getters_and_deleters() -> None:
    """An empty list reads as None, ``del`` clears, and changing a list that was read changes nothing."""
    job = a_job(weekly_days_list=[3, 1, 3])
    read = job.weekly_days_list
    assert read == [1, 3]
    read.append(5)
    assert job.weekly_days_list == [1, 3]
    del job.weekly_days_list
    assert job.weekly_days_list is None
    job.dates_list = []
    assert job.dates_list is None


def test_saving_twice_writes_once(jobs_d: Path) -> None:
    """A second save, also of the same job made again, touches no file."""
    a_job(run_every=HOUR).save()
    before = {path.name: (path.stat().st_ino, path.stat().st_mtime_ns) for path in jobs_d.iterdir()}
    a_job(run_every=HOUR).save()
    Job.load("a-job").save()
    assert {path.name: (path.stat().st_ino, path.stat().st_mtime_ns) for path in jobs_d.iterdir()} == before


def test_saving_in_another_process_gives_the_same_bytes(jobs_d: Path) -> None:
    """The same program gives the same files, whatever the order of its sets is this time."""
    script = (
        "from akjob.models import Job\nclass Code:\n    names = {'a', 'b', 'c', 'd'}\n"
        "    def run(self, ownjob): return 'x' in {'u', 'v', 'w'}\n"
        "Job(name='made', job_code_object=Code()).save()\n"
    )
    seen = set()
    for seed in ("1", "2", "3"):
        env = {**os.environ, "PYTHONHASHSEED": seed, "PYTHONPATH": str(Path(__file__).parents[2])}
        subprocess.run([sys.executable, "-c", script], check=True, env=env)
        seen.add((jobs_d / "made.dill").read_bytes())
    assert len(seen) == 1


def test_comments_and_other_keys_stay(jobs_d: Path) -> None:
    """A file that a person wrote keeps its comments, its zone and the keys that have no attribute."""
    text = """# nightly, ask Ann
description = "Nightly"
callable = "builtins:print"
args = ["x"]

[schedule]
timezone = "Europe/Berlin"  # where we are
weekly = { days = ["mon"], at = 09:30:00 }
cron = "5 4 * * *"

[run]
retry = { attempts = 3 }
"""
    (jobs_d / "reports").mkdir()
    file = jobs_d / "reports" / "nightly.toml"
    file.write_text(text)
    job = Job.load("reports/nightly")
    assert (job.name, job.weekly_days_list, job.weekly_time, job.timeout) == ("Nightly", [2], time(9, 30), 3600)
    assert job.weekly_time_tz_offset_timedelta is None
    assert job.job_code_object is None
    job.save()
    assert file.read_text() == text
    job.job_enabled = False
    job.weekly_time = time(10)
    job.save()
    after = file.read_text()
    assert "# nightly, ask Ann" in after
    assert "# where we are" in after
    table = tomllib.loads(after)
    assert table["enabled"] is False
    assert table["schedule"]["weekly"] == {"days": ["mon"], "at": time(10)}
    assert table["schedule"]["cron"] == "5 4 * * *"
    assert table["run"] == {"retry": {"attempts": 3}}


@pytest.mark.parametrize(
    ("text", "cleared", "left"),
    [
        (
            '[schedule]\ncron = "0 6 * * *"\nagain_after = "1h"\n[limits]\nexcept_dates = [2026-12-25]\nruns = 5\n',
            ["run_every", "run_count_limit"],
            {"schedule": {"cron": "0 6 * * *"}, "limits": {"except_dates": [date(2026, 12, 25)]}},
        ),
        (
            '[schedule]\ntimezone = "Europe/Berlin"\ndaily = 09:00:00\n[limits]\nweekdays = ["mon"]\n',
            ["active_weekly_days_list"],
            {"schedule": {"timezone": "Europe/Berlin", "daily": time(9)}},
        ),
        (
            '[schedule]\ntimezone = "Europe/Berlin"\nagain_after = "1h"\nat = 2027-01-01T08:00:00\n',
            ["run_once_at"],
            {"schedule": {"timezone": "Europe/Berlin", "again_after": "1h"}},
        ),
        ('[schedule]\nagain_after = "1h"\n[run]\nretry = { attempts = 3 }\n', ["run_every"], {"run": RETRY}),
    ],
)
def test_what_is_cleared_takes_nothing_else_with_it(
    jobs_d: Path, text: str, cleared: list[str], left: dict[str, Any]
) -> None:
    """A table goes when nothing is left in it, and not before: triggers and limits without attribute stay."""
    file = jobs_d / "a.toml"
    file.write_text('command = "true"\n' + text)
    job = Job.load("a")
    for name in cleared:
        setattr(job, name, None)
    job.save()
    assert tomllib.loads(file.read_text()) == {"command": "true", **left}


@pytest.mark.parametrize(
    ("schedule", "changes", "expected"),
    [
        (
            'timezone = "Europe/Berlin"\ndaily = 09:00:00',
            {"active_months_list": [1, 2, 11, 12]},
            {"timezone": "Europe/Berlin", "daily": time(9)},
        ),
        (
            'timezone = "Europe/Berlin"\ndaily = 09:00:00',
            {"run_once_at": datetime(2027, 1, 1, 8)},  # noqa: DTZ001 - in the file's zone
            {"timezone": "Europe/Berlin", "daily": time(9), "at": datetime(2027, 1, 1, 8)},  # noqa: DTZ001
        ),
        (
            'timezone = "Europe/Berlin"\ndaily = 09:00:00',
            {"weekly_days_list": [2], "weekly_time": time(8), "weekly_time_tz_offset_timedelta": MST},
            {
                "timezone": "Europe/Berlin",
                "daily": time(9),
                "weekly": {"days": ["mon"], "at": time(8), "timezone": "-07:00"},
            },
        ),
        (
            'timezone = "-07:00"\ndaily = 09:00:00\nweekly = { days = ["mon"], at = 08:00:00 }',
            {"weekly_time_tz_offset_timedelta": timedelta(0)},
            {
                "timezone": "-07:00",
                "daily": time(9),
                "weekly": {"days": ["mon"], "at": time(8), "timezone": "UTC"},
            },
        ),
        (
            'daily = 09:00:00\nweekly = { days = ["mon"], at = 08:00:00, timezone = "-07:00" }',
            {"weekly_time_tz_offset_timedelta": timedelta(0)},
            {"daily": time(9), "weekly": {"days": ["mon"], "at": time(8)}},
        ),
        (
            'weekly = { days = ["mon"], at = 08:00:00, timezone = "Europe/Berlin" }',
            {"weekly_time": time(10), "monthly_days_list": [1], "monthly_time": time(1)},
            {
                "weekly": {"days": ["mon"], "at": time(10), "timezone": "Europe/Berlin"},
                "monthly": {"days": [1], "at": time(1)},
            },
        ),
        (
            'weekly = [{ days = ["mon"], at = 08:00:00 }, { days = ["tue"], at = 09:00:00 }]',
            {"weekly_days_list": [4], "weekly_time": time(10)},
            {"weekly": {"days": ["wed"], "at": time(10)}},
        ),
    ],
)
def test_a_file_keeps_its_zone(jobs_d: Path, schedule: str, changes: dict[str, Any], expected: dict[str, Any]) -> None:
    """What a file says beyond the attributes is at the hours that it was: other offsets stand in their tables."""
    file = jobs_d / "a.toml"
    file.write_text(f'command = "true"\n[schedule]\n{schedule}\n')
    job = Job.load("a")
    for name, value in changes.items():
        setattr(job, name, value)
    job.save()
    assert tomllib.loads(file.read_text())["schedule"] == expected
    again = Job.load("a")
    assert {name: getattr(again, name) for name in changes} == changes


def test_a_file_keeps_the_zone_of_the_configuration(jobs_d: Path) -> None:
    """One that it does not say itself, too."""
    (jobs_d.parent / "etc" / "akjob.toml").write_text('timezone = "Europe/Berlin"\n')
    (jobs_d / "a.toml").write_text('command = "true"\n[schedule]\ndaily = 09:00:00\n')
    job = Job.load("a")
    job.active_months_list = [1]
    assert job.next_run(NOW) == datetime(2026, 1, 16, 8, tzinfo=UTC)
    job.save()
    assert tomllib.loads((jobs_d / "a.toml").read_text())["schedule"] == {"daily": time(9)}


def test_next_run_is_what_akjob_next_shows(jobs_d: Path) -> None:
    """``again_after`` counts from the last end in the ledger as if each run since then had ended at once."""
    job = a_job(run_every=timedelta(hours=2))
    job.save()
    text = next(jobs_d.glob("*.toml")).read_text()
    spec = parse_job(next(jobs_d.glob("*.toml")).stem, "x", text, defaults=(), config=Config()).spec
    assert spec is not None
    ended_us = from_datetime(datetime(2026, 1, 16, 10, tzinfo=UTC))
    row = JobRow(
        job=spec.name, watermark_us=ended_us, first_loaded_us=ended_us, last_loaded_us=ended_us, again_from_us=ended_us,
        file="x", definition_sha256=spec.sha256, definition=spec.definition,
    )  # fmt: skip
    (jobs_d.parent / "var").mkdir(exist_ok=True)
    url = f"sqlite://{jobs_d.parent}/var/akjob.db"
    ledger = open_store(url)
    ledger.commit(Writes(loaded=[row]))
    ledger.close()
    asked = datetime(2026, 1, 16, 13, 30, tzinfo=UTC)
    shown = slots_of(spec, open_reader(url).job(spec.name), from_datetime(asked), 1)
    assert job.next_run(asked) == to_datetime(shown[0]) == datetime(2026, 1, 16, 14, tzinfo=UTC)


def test_new_code_replaces_a_callable(jobs_d: Path) -> None:
    """A job that ran a dotted callable gets a code object: exactly one way to run it is left in the file."""
    file = jobs_d / "a-job.toml"
    file.write_text('callable = "builtins:print"\n')
    job = Job.load("a-job")
    job.job_code_object = JobCallable(print)
    job.save()
    assert set(tomllib.loads(file.read_text())) == {"dill"}


def test_all_and_delete(jobs_d: Path) -> None:
    """``all`` has every job; a broken file costs one, with a warning; ``delete`` removes what ``save`` wrote."""
    a_job("One").save()
    a_job("Two").save()
    assert [job.name for job in Job.all()] == ["One", "Two"]
    (jobs_d / "broken.toml").write_text("evry = 1\n")
    (jobs_d / "_defaults.toml").write_text("")
    with pytest.warns(UserWarning, match=r"broken\.toml is left out"):
        assert len(Job.all()) == 2
    Job.load("one").delete()
    Job.load("two").delete()
    assert sorted(path.name for path in jobs_d.iterdir()) == ["_defaults.toml", "broken.toml"]
    with pytest.raises(Job.DoesNotExist, match="there is no job 'one'"):
        Job.load("one")


def test_objects(jobs_d: Path) -> None:
    """``Job.objects`` does what the ancestor's examples ask of it."""
    job = Job.objects.create(name="Interval")
    assert list(jobs_d.iterdir()) == []
    job.run_every = HOUR
    job.job_code_object = JobCallable(print)
    job.save()
    assert Job.objects.get(name="Interval") == job
    Job.objects.create(name="Other", job_code_object=JobCallable(print))
    assert [job.name for job in Job.objects.all()] == ["Interval", "Other"]
    with pytest.raises(Job.DoesNotExist):
        Job.objects.get(name="Third")


def test_load_stays_below_the_root(jobs_d: Path) -> None:
    """A name cannot lead out of the folder."""
    (jobs_d.parent / "etc" / "x.toml").write_text('command = "true"\n')
    with pytest.raises(Job.DoesNotExist):
        Job.load("../etc/x")


def test_deleteme_deletes_on_save(jobs_d: Path) -> None:
    """``deleteme`` is what a code object sets to end its own job."""
    job = a_job()
    job.save()
    job.deleteme = True
    job.save()
    assert list(jobs_d.iterdir()) == []


@pytest.mark.parametrize(
    ("attributes", "expected"),
    [
        ({}, None),
        ({"run_once_at": NOW}, None),
        ({"run_once_at": NOW + HOUR}, NOW + HOUR),
        ({"dates_list": [NOW + 2 * HOUR, NOW + HOUR]}, NOW + HOUR),
        ({"run_every": HOUR}, NOW + HOUR),
        ({"run_every": HOUR, "job_enabled": False}, None),
        # 15 January 2026 is a Thursday, the ancestor's 5; 22:00 at UTC-7 is 05:00 UTC of the day after.
        (
            {"weekly_days_list": [5], "weekly_time": time(22), "weekly_time_tz_offset_timedelta": MST},
            datetime(2026, 1, 16, 5, tzinfo=UTC),
        ),
        ({"monthly_days_list": [31], "monthly_time": time(1)}, datetime(2026, 1, 31, 1, tzinfo=UTC)),
        (
            {"run_every": HOUR, "active_time_begin": time(23), "active_time_end": time(2)},
            datetime(2026, 1, 15, 23, tzinfo=UTC),
        ),
        ({"run_every": HOUR, "active_weekly_days_list": [1]}, datetime(2026, 1, 18, tzinfo=UTC)),
    ],
)
def test_next_run(attributes: dict[str, Any], expected: datetime | None) -> None:
    """``next_run`` is the next slot by the attributes as they are, saved or not; it saves nothing."""
    assert a_job(**attributes).next_run(NOW) == expected
    assert a_job(**attributes).schedule_run(NOW) == expected
    assert list((Path(os.environ["AKJOB_ROOT"]) / "jobs.d").iterdir()) == []


def in_a_run(monkeypatch: pytest.MonkeyPatch, jobs_d: Path, job: str) -> Callable[[], Any]:
    """Return the call that a run of a saved job makes."""
    monkeypatch.setenv("AKJOB_JOB", job)
    table = tomllib.loads((jobs_d / f"{job}.toml").read_text())["dill"]
    return load_dill(str(jobs_d / table["file"]), table["sha256"], table["python"])


def test_a_code_object_keeps_its_state_and_ends_its_job(monkeypatch: pytest.MonkeyPatch, jobs_d: Path) -> None:
    """``ownjob.save()`` in a run saves what the code object holds by then; ``deleteme`` deletes the job."""
    a_job("Counting", job_code_object=Counter()).save()
    assert [in_a_run(monkeypatch, jobs_d, "counting")() for _ in range(2)] == [1, 2]
    assert in_a_run(monkeypatch, jobs_d, "counting")() == 3
    assert list(jobs_d.iterdir()) == []


def test_ownjob_that_was_not_changed_saves_nothing(monkeypatch: pytest.MonkeyPatch, jobs_d: Path) -> None:
    """A run that saves its job unchanged touches no file."""
    a_job().save()
    before = {path.name: path.stat().st_mtime_ns for path in jobs_d.iterdir()}
    monkeypatch.setenv("AKJOB_JOB", "a-job")
    own_job(JobCallable(print, "x")).save()
    assert {path.name: path.stat().st_mtime_ns for path in jobs_d.iterdir()} == before


def test_ownjob_sets_another_schedule(monkeypatch: pytest.MonkeyPatch, jobs_d: Path) -> None:
    """In a run the job may be disabled and given another schedule."""
    a_job(run_every=HOUR).save()
    monkeypatch.setenv("AKJOB_JOB", "a-job")
    job = own_job()
    job.job_enabled = False
    job.run_every = 2 * HOUR
    job.save()
    table = tomllib.loads((jobs_d / "a-job.toml").read_text())
    assert (table["enabled"], table["schedule"]) == (False, {"again_after": "2h"})


def test_ownjob_of_a_broken_file_can_be_read_not_saved(monkeypatch: pytest.MonkeyPatch, jobs_d: Path) -> None:
    """The last good version runs on while the file is broken: its run must not fail before it saves."""
    monkeypatch.setenv("AKJOB_JOB", "broken")
    (jobs_d / "broken.toml").write_text("evry = 1\n")
    job = own_job()
    assert job.name == "broken"
    with pytest.raises(AkjobError, match="evry"):
        job.save()


def test_ownjob_outside_a_run(monkeypatch: pytest.MonkeyPatch) -> None:
    """Outside a run there is no own job, and the message says so."""
    monkeypatch.delenv("AKJOB_JOB", raising=False)
    with pytest.raises(AkjobError, match="not running inside an akjob run"):
        own_job()


def test_importing_models_is_light() -> None:
    """Importing the module brings in neither dill nor tomlkit: a run that asks for its job pays for little."""
    script = "import sys, akjob.models; print({'dill', 'tomlkit', 'asyncio', 'structlog', 'rich'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"
