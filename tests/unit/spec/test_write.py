# ruff: noqa: DTZ001 - local times are what is tested
"""Back to TOML: any job as a file, edits that keep comments, files that are replaced in one step."""

import os
import stat
import tomllib
from collections.abc import Mapping
from datetime import UTC, date, datetime, time, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from akjob.config import Config
from akjob.config.secrets import SecretFile
from akjob.errors import AkjobError
from akjob.instants import from_datetime
from akjob.schedule.calendars import Calendars
from akjob.schedule.cycles import uses_workdays
from akjob.schedule.daysets import pack
from akjob.schedule.event import Event
from akjob.schedule.events import EVENTS, FINAL_STATES, After, OnBoot, OnChange, OnStart
from akjob.schedule.model import (
    WORKDAY,
    Cron,
    DaySet,
    Every,
    Hours,
    Limits,
    Moment,
    Monthly,
    NthWeekday,
    Schedule,
    Weekly,
)
from akjob.spec import JobSpec, definition_table, edit_file, job_table, load_definition, parse_job, to_toml, write_file
from akjob.spec.canonical import value_text
from akjob.spec.model import Command, DillFile, DottedCallable, EnvFile, Resources, Retry, RunPolicy

# -- any JobSpec

SECOND = 1_000_000
YEAR_US = 366 * 86_400 * SECOND
TEXT = st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1, max_size=12).filter(
    lambda text: text.strip()
)
ANY_TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=20).filter(lambda text: "\0" not in text)
NAMES = st.from_regex(r"[a-z_][a-z0-9_]{0,8}", fullmatch=True)
DAYS = st.dates(date(1990, 1, 1), date(2090, 12, 31))
ZONES = st.sampled_from(["UTC", "Europe/Berlin", "+05:30", "America/New_York"])
TIMES = st.lists(st.integers(0, 86_399), min_size=1, max_size=3, unique=True).map(lambda one: tuple(sorted(one)))
WEEKDAYS = st.lists(st.integers(0, 6), min_size=1, unique=True).map(lambda one: tuple(sorted(one)))
MONTH_DAY = st.integers(1, 31) | st.integers(-31, -1)
NTH = st.builds(NthWeekday, st.sampled_from([1, 2, 3, 4, 5, -1]), st.integers(0, 6))
WORKDAYS = st.builds(NthWeekday, st.integers(1, 23) | st.integers(-23, -1), st.just(WORKDAY))
CALENDARS = {
    "holidays": DaySet("holidays", pack([date(2026, 12, 24), date(2026, 12, 31)])),
    "freeze": DaySet("freeze", pack(date(2027, 1, day) for day in range(1, 20))),
    "none": DaySet("none"),
    "de-be": DaySet("de-be", b"", "DE", "BE"),
}
CONFIG = Config(pools={"db": 1}, calendars=Calendars(CALENDARS, {}, (), ()))
CALENDAR = st.sampled_from(sorted(CALENDARS)).map(CALENDARS.__getitem__)
JOBS = st.lists(st.sampled_from(["a", "b/c", "d@emea"]), min_size=1, max_size=3, unique=True).map(tuple)
STATES = st.sets(st.sampled_from(FINAL_STATES), min_size=1).map(lambda on: tuple(s for s in FINAL_STATES if s in on))
AFTER = st.builds(
    After, jobs=JOBS, on=STATES, mode=st.sampled_from(["all", "any"]), within_us=st.none() | st.just(3_600_000_000)
)
PATTERNS = st.lists(st.sampled_from(["inbox/*.csv", "/srv/**/x", "*"]), min_size=1, max_size=2, unique=True).map(tuple)
ON_CHANGE = st.builds(
    OnChange,
    paths=PATTERNS,
    settle_us=st.sampled_from([0, 2_000_000, 250_000]),
    at_most_us=st.sampled_from([60_000_000, 3_600_000_000]),
    ignore=st.just(()) | st.just(("*.tmp", ".*")),
    deleted=st.booleans(),
)
DURATIONS = st.integers(1, YEAR_US // 1000).map(lambda one: one * 1000)
DELAY = st.just(0) | DURATIONS
EVENT: Mapping[str, st.SearchStrategy[Event]] = {
    "on_start": st.builds(OnStart, delay_us=DELAY),
    "on_boot": st.builds(OnBoot, delay_us=DELAY),
    "after": AFTER,
    "on_change": ON_CHANGE,
}
LOCAL = st.datetimes(datetime(1990, 1, 1), datetime(2090, 1, 1)).map(lambda one: one.replace(microsecond=0))
LONG = st.integers(SECOND, YEAR_US)
TOML = st.recursive(
    st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.floats(allow_nan=False)
    | ANY_TEXT
    | DAYS
    | st.times()
    | st.datetimes()
    | st.datetimes(timezones=st.sampled_from([UTC, timezone(timedelta(hours=5, minutes=30))])),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(ANY_TEXT, inner, max_size=3),
    max_leaves=5,
)


@st.composite
def moments(draw: st.DrawFn, zone: str) -> Moment:
    """Make one ``at``: local or an instant."""
    local = draw(LOCAL)
    if draw(st.booleans()):
        return Moment(local, None, zone)
    return Moment(None, from_datetime(local.replace(tzinfo=UTC)), zone)


@st.composite
def schedules(draw: st.DrawFn) -> Schedule:
    """Make any schedule; its zone holds for all but the tables that may have their own."""
    zone = draw(ZONES)
    own = st.just(zone) | ZONES
    every = st.sampled_from([(1, None), (1, date(2026, 1, 2)), (2, date(2026, 1, 2)), (13, date(1999, 12, 31))])
    weekly = st.builds(lambda *parts: Weekly(*parts[:3], *parts[3]), WEEKDAYS, TIMES, own, every)
    workdays = draw(st.none() | CALENDAR)
    days = st.lists(MONTH_DAY | NTH | WORKDAYS, min_size=1, max_size=4, unique=True).map(tuple)
    roll = st.sampled_from(["", "next", "previous"])
    monthly = st.builds(lambda *parts: _monthly(workdays, *parts), days, TIMES, own, roll, every)
    crons = st.sampled_from(["30 9 * * mon-fri", "*/5 * * * *", "0 0 L * *"]).map(lambda one: Cron(one, zone))
    anchors = st.just(Moment(datetime(1970, 1, 1), None, zone)) | moments(zone)
    return Schedule(
        zone=zone,
        at=tuple(draw(st.lists(moments(zone), max_size=2, unique=True))),
        every=draw(st.none() | st.builds(Every, LONG, anchors)),
        again_after_us=draw(st.none() | LONG),
        daily=draw(st.none() | TIMES.map(lambda times: Weekly((0, 1, 2, 3, 4, 5, 6), times, zone))),
        weekly=tuple(draw(st.lists(weekly, max_size=2, unique=True))),
        monthly=tuple(draw(st.lists(monthly, max_size=2, unique=True))),
        cron=tuple(draw(st.lists(crons, max_size=2, unique=True))),
        events=tuple(draw(EVENT[event]) for event in EVENTS if draw(st.booleans())),
        workdays=workdays,
        jitter_us=draw(st.just(0) | DURATIONS),
        limits=draw(limits(zone)),
    )


def _monthly(workdays: DaySet | None, *parts: Any) -> Monthly:
    """Make one ``monthly``; it has the calendar of the schedule where it asks for workdays."""
    days, times, zone, roll, every = parts
    plain = Monthly(days, times, zone, roll=roll, every=every[0], start=every[1])
    return replace(plain, holidays=workdays) if uses_workdays(plain) else plain


@st.composite
def limits(draw: st.DrawFn, zone: str) -> Limits:
    """Make any limits that leave some day and hour, so that a schedule below them is not refused."""
    some = draw(st.lists(st.integers(1, 12), max_size=3, unique=True))
    return Limits(
        zone=zone,
        hours=draw(
            st.none() | st.builds(Hours, st.integers(0, 100), st.integers(80_000, 86_399), st.just(zone) | ZONES)
        ),
        weekdays=draw(st.just(()) | WEEKDAYS),
        month_days=tuple(sorted(draw(st.lists(MONTH_DAY, max_size=3, unique=True)))),
        months=tuple(sorted(some)),
        first=draw(st.none() | st.just(date(1999, 1, 1))),
        last=draw(st.none() | st.just(date(2050, 1, 1))),
        except_dates=tuple(sorted(draw(st.lists(DAYS, max_size=2, unique=True)))),
        not_on=tuple(draw(st.lists(CALENDAR, max_size=2, unique=True))),
        only_on=tuple(draw(st.lists(CALENDAR, max_size=2, unique=True))),
    )


CODES = st.one_of(
    st.builds(DottedCallable, st.sampled_from(["a.b:c", "a.b.c", "größe:x.y"])),
    st.builds(DillFile, st.just("x.dill"), st.just("ab" * 32), st.just("3.11")),
    st.builds(Command, st.lists(TEXT, min_size=1, max_size=3).map(tuple), st.none()),
    st.builds(Command, st.none(), ANY_TEXT.filter(lambda text: text.strip() != "")),
)
RETRIES = st.just(Retry()) | st.builds(
    Retry,
    attempts=st.integers(2, 9),
    delay_us=st.just(0) | DURATIONS,
    factor=st.sampled_from([1.0, 1.5, 2.0]),
    codes=st.sampled_from([(), (75,), (1, 2)]),
    max_delay_us=st.none() | DURATIONS,
)
RESOURCES = st.builds(
    Resources,
    memory=st.none() | st.integers(1, 2**50),
    cpu_us=st.none() | LONG,
    open_files=st.none() | st.integers(1, 10**6),
    file_size=st.none() | st.integers(0, 2**50),
    processes=st.none() | st.integers(1, 10**6),
)
POLICIES = st.builds(
    RunPolicy,
    timeout_us=st.none() | DURATIONS,
    stop_signal=st.sampled_from([15, 2, 9, 10]),
    kill_after_us=st.just(0) | DURATIONS,
    overlap=st.sampled_from(["skip", "queue", "replace", "allow"]),
    lock=st.none() | TEXT,
    missed=st.sampled_from(["skip", "latest", "all"]),
    missed_within_us=DURATIONS,
    retry=RETRIES,
    success_codes=st.lists(st.integers(0, 255), min_size=1, max_size=3, unique=True).map(tuple),
    user=st.none() | st.just("www-data"),
    group=st.none() | st.just("1000"),
    umask=st.integers(0, 0o777),
    nice=st.none() | st.integers(-20, 19),
    cwd=st.none() | TEXT,
    env=st.dictionaries(NAMES, ANY_TEXT | st.builds(SecretFile, TEXT), max_size=3),
    env_files=st.lists(
        st.builds(EnvFile, TEXT.filter(lambda text: not text.startswith("~")), st.booleans()), max_size=2, unique=True
    ).map(tuple),
    path=st.lists(st.sampled_from(["bin", "/opt/bin"]), max_size=2, unique=True).map(tuple),
    stop_at=st.none() | st.integers(0, 86399),
    pool=st.sampled_from([None, "db"]),
    ionice=st.sampled_from([None, "idle", "best-effort:0", "best-effort:7"]),
    where=st.sampled_from(["any", "every", "node:b2"]),
    needs=st.lists(TEXT, max_size=2, unique=True).map(tuple),
    on_partition=st.sampled_from(["stop", "continue"]),
    resources=RESOURCES,
    interpreter=st.none() | TEXT,
    setup=st.lists(st.sampled_from(["a:b", "c.d"]), max_size=2).map(tuple),
    lead_us=st.just(0) | DURATIONS,
    output_limit=st.integers(0, 2**40),
)


@st.composite
def specs(draw: st.DrawFn) -> JobSpec:
    """Make any job."""
    code = draw(CODES)
    arguments = not isinstance(code, Command)
    return JobSpec(
        name="any",
        file="jobs.d/any.toml",
        sources=(),
        definition="",
        sha256="",
        description=draw(ANY_TEXT),
        enabled=draw(st.booleans()),
        tags=tuple(draw(st.lists(TEXT, max_size=2, unique=True))),
        code=code,
        args=tuple(draw(st.lists(TOML, max_size=2))) if arguments else (),
        kwargs=draw(st.dictionaries(NAMES, TOML, max_size=2)) if arguments else {},
        schedule=draw(schedules()),
        runs=draw(st.none() | st.integers(1, 10**6)),
        when_done=draw(st.sampled_from(["keep", "delete"])),
        run=draw(POLICIES),
    )


@settings(max_examples=40, deadline=None)
@given(specs())
def test_any_job_written_as_a_file_reads_as_the_same_job(spec: JobSpec) -> None:
    """Model → table → TOML → model loses nothing, and neither does the resolved definition."""
    config = replace(CONFIG, pools={spec.run.pool: 1} if spec.run.pool else {})
    result = parse_job("any", "jobs.d/any.toml", to_toml(job_table(spec)), config=config)
    errors = [problem for problem in result.problems if problem.severity == "error"]
    if [problem.code for problem in errors] == ["never-fires"]:
        return
    assert errors == []
    read = result.spec
    assert read is not None
    assert replace(read, sources=(), definition="", sha256="") == spec
    assert load_definition("any", "jobs.d/any.toml", read.definition) == read


@settings(max_examples=100, deadline=None)
@given(TOML)
def test_any_value_reads_back(value: Any) -> None:
    """Each TOML value is written so that tomllib reads the same, of the same type."""
    read = tomllib.loads(f"x = {value_text(value)}")["x"]
    assert read == value
    assert repr(type(read)) == repr(type(value))


def test_special_floats_are_written() -> None:
    """TOML has inf and nan, and an exponent is not mistaken for an integer."""
    assert [value_text(one) for one in (float("inf"), float("-inf"), float("nan"), 1e22, 1e-7)] == [
        "inf",
        "-inf",
        "nan",
        "1.0e+22",
        "1.0e-07",
    ]


# -- new files


def test_a_new_file_has_the_documented_layout() -> None:
    """Description, code, arguments, then the three tables, whatever the order of the dict."""
    table = {
        "run": {"timeout": "5m", "env": {"B": "1", "A": {"file": "/x"}}},
        "limits": {"runs": 3},
        "schedule": {"daily": time(9, 30), "timezone": "Europe/Berlin"},
        "args": ["emea"],
        "callable": "reports.sales:send",
        "description": "Mail it",
    }
    assert to_toml(table, schema="../etc/job.schema.json") == (
        "#:schema ../etc/job.schema.json\n"
        'description = "Mail it"\n'
        'callable = "reports.sales:send"\n'
        'args = ["emea"]\n'
        "\n[schedule]\n"
        'timezone = "Europe/Berlin"\n'
        "daily = 09:30:00\n"
        "\n[limits]\n"
        "runs = 3\n"
        "\n[run]\n"
        'timeout = "5m"\n'
        'env = { B = "1", A = { file = "/x" } }\n'
    )


def test_long_arrays_and_scripts_are_readable() -> None:
    """An array that is too long goes one value a line, a script stands as it is."""
    script = "set -e\nfor i in 'a' \"b\"; do\n\techo $i\ndone\n"
    argv = ["/usr/bin/rsync", *(f"--exclude=/some/folder/{n}" for n in range(6))]
    text = to_toml({"command": script})
    assert text == f"command = '''\n{script}'''\n"
    assert tomllib.loads(text)["command"] == script
    lines = to_toml({"command": argv}).split("\n")
    assert lines[:2] == ["command = [", '    "/usr/bin/rsync",']
    assert max(map(len, lines)) < 100


# -- edits

COMMENTED = """\
#:schema ../etc/job.schema.json
description = "x"  # what for

# the code
callable = "a:b"

[schedule]   # when
every = "5m"     # often

[run]
# patience
timeout = "5m"
"""


@pytest.mark.parametrize("end", ["\n", "\r\n"], ids=["unix", "windows"])
@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ('command = "x"  # a\n# of it\n[schedule]\n', 'command = "x"  # a\nNEW\n# of it\n[schedule]\n'),
        ('command = "x"\n\n# of it\n\n[[a]]\n', 'command = "x"\nNEW\n\n# of it\n\n[[a]]\n'),
        ("args = [[1], [\n  2,\n]]\n# end", "args = [[1], [\n  2,\n]]\nNEW\n# end"),
        ('command = """\n[x]\n"""\nrun.nice = 1', 'command = """\n[x]\n"""\nrun.nice = 1\nNEW\n'),
        ("#:schema x\n\n[run]\nnice = 1\n", "#:schema x\n\nNEW\n[run]\nnice = 1\n"),
        ("#:schema x\n# only this", "#:schema x\n# only this\nNEW\n"),
    ],
)
def test_a_new_key_stands_after_the_last_one_of_the_top(tmp_path: Path, text: str, wanted: str, end: str) -> None:
    """Not between a header and the comment above it."""
    path = tmp_path / "a.toml"
    path.write_bytes(text.replace("\n", end).encode())
    edit_file(path, {"enabled": False})
    assert path.read_bytes().decode() == wanted.replace("NEW", "enabled = false").replace("\n", end)


def test_an_edit_keeps_comments_and_order(tmp_path: Path) -> None:
    """Only the line of the changed key differs; a new key comes before the first table."""
    path = tmp_path / "a.toml"
    path.write_text(COMMENTED, encoding="utf-8")
    edit_file(path, {"enabled": False})
    first = path.read_text(encoding="utf-8")
    assert first == COMMENTED.replace('callable = "a:b"\n', 'callable = "a:b"\nenabled = false\n')
    edit_file(path, {"enabled": True, "run": {"timeout": "1h"}, "schedule": {"every": "1m"}})
    second = path.read_text(encoding="utf-8")
    expected = first.replace("enabled = false", "enabled = true").replace('timeout = "5m"', 'timeout = "1h"')
    assert second == expected.replace('every = "5m"', 'every = "1m"')
    edit_file(path, {"enabled": None, "run": {"timeout": None}, "limits": {"runs": 2}})
    third = tomllib.loads(path.read_text(encoding="utf-8"))
    assert ("enabled" in third, third.get("run"), third["limits"]) == (False, {}, {"runs": 2})
    assert "# patience" in path.read_text(encoding="utf-8")


@pytest.mark.parametrize(
    "text",
    [
        "[schedule]\nevery = '1m'\n",
        "# only\ncommand = 'x'",
        "command = 'x'\n\n# about the table\n[schedule]\nevery = '1m'\n",
        "schedule.every = '1m'\ncommand = 'x'\n",
        "enabled = true # yes\ncommand = 'x'\n[[schedule.weekly]]\ndays = ['mon']\nat = 01:00:00\n",
        "",
    ],
)
def test_switching_off_works_in_any_file(tmp_path: Path, text: str) -> None:
    """The edited file says the same but for ``enabled``, and keeps its comments."""
    path = tmp_path / "a.toml"
    path.write_text(text, encoding="utf-8")
    edit_file(path, {"enabled": False})
    edited = path.read_text(encoding="utf-8")
    assert tomllib.loads(edited) == {**tomllib.loads(text), "enabled": False}
    assert edited.count("#") == text.count("#")


def test_windows_line_ends_are_kept(tmp_path: Path) -> None:
    """A file of CRLF lines stays one."""
    path = tmp_path / "a.toml"
    path.write_bytes(b"# c\r\ncommand = 'x'\r\n\r\n[schedule]\r\nevery = '1m'\r\n")
    edit_file(path, {"enabled": False})
    assert path.read_bytes() == b"# c\r\ncommand = 'x'\r\nenabled = false\r\n\r\n[schedule]\r\nevery = '1m'\r\n"


def test_a_broken_file_is_not_edited(tmp_path: Path) -> None:
    """The error names the place; the file stays as it is."""
    path = tmp_path / "a.toml"
    path.write_text("command = x\n", encoding="utf-8")
    with pytest.raises(AkjobError, match=r"a\.toml:1:11: error\[toml-syntax\]"):
        edit_file(path, {"enabled": False})
    assert path.read_text(encoding="utf-8") == "command = x\n"
    with pytest.raises(AkjobError, match=r"cannot read .*nothing\.toml: No such file"):
        edit_file(tmp_path / "nothing.toml", {"enabled": False})


# -- atomic


def test_a_written_file_keeps_mode_and_symlink(tmp_path: Path) -> None:
    """The mode of the old file is kept, a link still leads to the file, and nothing is left beside it."""
    path = tmp_path / "a.toml"
    path.write_text("old", encoding="utf-8")
    path.chmod(0o640)
    link = tmp_path / "link.toml"
    link.symlink_to("a.toml")
    before = path.stat().st_ino
    write_file(link, "new\n")
    assert link.is_symlink()
    assert path.read_text(encoding="utf-8") == "new\n"
    assert stat.S_IMODE(path.stat().st_mode) == 0o640
    assert path.stat().st_ino != before
    assert sorted(os.listdir(tmp_path)) == ["a.toml", "link.toml"]


def test_a_new_file_has_the_mode_of_the_umask(tmp_path: Path) -> None:
    """As any editor would make it."""
    mask = os.umask(0o027)
    try:
        write_file(tmp_path / "a.toml", "x = 1\n")
    finally:
        os.umask(mask)
    assert stat.S_IMODE((tmp_path / "a.toml").stat().st_mode) == 0o640


def test_a_failed_write_leaves_the_old_file_and_nothing_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """When the disk is full nothing changes, and the error says what could not be written."""
    path = tmp_path / "a.toml"
    path.write_text("old", encoding="utf-8")

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(AkjobError, match=r"cannot write .*a\.toml: No space left on device"):
        write_file(path, "new")
    assert path.read_text(encoding="utf-8") == "old"
    assert os.listdir(tmp_path) == ["a.toml"]
    monkeypatch.undo()
    with pytest.raises(AkjobError, match=r"cannot write .*: No such file or directory"):
        write_file(tmp_path / "none" / "a.toml", "new")


# -- what is in force, as JSON


def test_the_definition_as_json_is_complete() -> None:
    """What is given, what defaults say, and no key that says nothing; dates and times as TOML writes them."""
    text = (
        'callable = "a:b"\nkwargs = { when = 2026-01-01, n = nan }\n'
        "[schedule]\ndaily = [09:30:00]\nat = [2099-01-01T00:00:00Z, 2099-01-01T00:00:00]\n[run]\nnice = 5\n"
    )
    spec = parse_job("a", "a.toml", text).spec
    assert spec is not None
    table = definition_table(spec)
    assert table["callable"] == "a:b"
    assert table["kwargs"] == {"when": "2026-01-01", "n": "nan"}
    assert table["schedule"]["daily"] == ["09:30:00"]
    assert table["schedule"]["at"] == ["2099-01-01T00:00:00Z", "2099-01-01T00:00:00"]
    assert table["schedule"]["timezone"] == "UTC"
    assert (table["run"]["nice"], table["run"]["timeout"], table["enabled"]) == (5, "1h", True)
    assert "lock" not in table["run"]
    assert "command" not in table
