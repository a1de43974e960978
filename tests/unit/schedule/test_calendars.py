"""The calendars of ``etc/akjob.toml``: dates, text files, iCalendar files, countries; what is wrong with one."""

import sys
from datetime import date
from pathlib import Path

import pytest

from akjob.config import load_config
from akjob.schedule.calendars import Calendars
from akjob.schedule.daysets import day_table, until_year, workdays
from tests.unit.schedule.oracle import days_of

EVENT = "BEGIN:VEVENT\r\nUID:{uid}\r\n{lines}\r\nEND:VEVENT\r\n"


def load(root: Path, text: str) -> tuple[Calendars, list[str]]:
    """Return the calendars of a configuration, and what is wrong with them as ``file:line code message``."""
    (root / "etc").mkdir(exist_ok=True)
    (root / "etc" / "akjob.toml").write_text(text)
    config, problems = load_config(root / "etc" / "akjob.toml")
    assert config.calendars is not None
    return config.calendars, [f"{one.file}:{one.line} {one.code} {one.message}" for one in problems]


def ics(*events: str) -> bytes:
    """Return a calendar file of these events, each given by its lines."""
    body = "".join(EVENT.format(uid=event.partition("|")[0], lines=event.partition("|")[2]) for event in events)
    lines = body.replace(";;", "\r\n")
    return f"BEGIN:VCALENDAR\r\nVERSION:2.0\r\nPRODID:x\r\n{lines}END:VCALENDAR\r\n".encode()


def days(root: Path, name: str, data: bytes) -> list[str]:
    """Return the days of a calendar that is a file with these contents."""
    (root / name).write_bytes(data)
    calendars, problems = load(root, f'[calendars.x]\nfile = "{name}"\n')
    assert problems == []
    assert calendars.files == (name,)
    return [str(day) for day in sorted(days_of(calendars.known["x"]))]


def test_dates_and_a_text_file_together(tmp_path: Path) -> None:
    """One calendar may have several sources; a day that is in two of them is one day."""
    (tmp_path / "freeze.txt").write_text("\ufeff# freeze\n2026-12-31\n\n2027-01-01  # New Year\n")
    text = '[calendars.freeze]\ndates = [2026-12-24, 2026-12-31]\nfile = "freeze.txt"\n'
    calendars, problems = load(tmp_path, text)
    assert problems == []
    found = sorted(days_of(calendars.known["freeze"]))
    assert found == [date(2026, 12, 24), date(2026, 12, 31), date(2027, 1, 1)]


def test_all_day_events(tmp_path: Path) -> None:
    """The end of an event is exclusive; an event with a time of day, or a cancelled one, gives no day."""
    data = ics(
        "a|DTSTART;VALUE=DATE:20261224;;DTEND;VALUE=DATE:20261227",
        "b|DTSTART:20270101T090000Z;;DTEND:20270101T100000Z",
        "c|DTSTART;VALUE=DATE:20270201;;STATUS:CANCELLED",
        "d|DTSTART;VALUE=DATE:20270301",
        "e|DTSTART;VALUE=DATE:20270401;;DURATION:P2D",
    )
    assert days(tmp_path, "a.ics", data.replace(b"DTSTART;;", b"DTSTART;")) == [
        *("2026-12-24", "2026-12-25", "2026-12-26", "2027-03-01", "2027-04-01", "2027-04-02"),
    ]


def test_recurring_events(tmp_path: Path) -> None:
    """Rules, added and excepted dates, and an occurrence that was moved or cancelled."""
    data = ics(
        "a|DTSTART;VALUE=DATE:20260101;;RRULE:FREQ=YEARLY;COUNT=4;;EXDATE;VALUE=DATE:20270101;;RDATE;VALUE=DATE:20260505",
        "b|DTSTART;VALUE=DATE:20260602;;RRULE:FREQ=WEEKLY;UNTIL=20260616T000000Z",
        "b|RECURRENCE-ID;VALUE=DATE:20260609;;DTSTART;VALUE=DATE:20260611",
        "b|RECURRENCE-ID;VALUE=DATE:20260616;;DTSTART;VALUE=DATE:20260616;;STATUS:CANCELLED",
    )
    assert days(tmp_path, "calendar", data) == [
        *("2026-01-01", "2026-05-05", "2026-06-02", "2026-06-11", "2028-01-01", "2029-01-01"),
    ]


def test_a_rule_without_end_is_known_until_2100(tmp_path: Path) -> None:
    """More than the 28 years that every search looks ahead."""
    found = days(tmp_path, "a.ics", ics("a|DTSTART;VALUE=DATE:20260229;;RRULE:FREQ=YEARLY".replace("0229", "1224")))
    assert (found[0], found[-1], len(found)) == ("2026-12-24", "2100-12-24", 75)


def test_a_country(tmp_path: Path) -> None:
    """Its holidays are those of the package, with those of the subdivision."""
    calendars, problems = load(tmp_path, '[calendars.berlin]\ncountry = "DE"\nsubdivision = "BE"\n')
    assert problems == []
    berlin = calendars.known["berlin"]
    assert until_year(berlin) == 2100
    rule = workdays(berlin)
    epoch = date(1970, 1, 1).toordinal()
    assert not rule.is_workday(date(2027, 3, 8).toordinal() - epoch)  # Women's Day, in Berlin alone
    assert not rule.is_workday(date(2027, 3, 26).toordinal() - epoch)  # Good Friday
    assert rule.is_workday(date(2027, 3, 25).toordinal() - epoch)
    assert rule.rolled(date(2026, 12, 25).toordinal() - epoch, 1) == date(2026, 12, 28).toordinal() - epoch
    assert day_table((berlin,)).last_day is not None


WRONG = {
    "no table": ("[calendars]\nx = 5\n", "etc/akjob.toml:2 wrong-type `calendars.x` must be a table, not an integer"),
    "nothing in it": ("[calendars.x]\n", "etc/akjob.toml:1 missing-key `calendars.x` names no days"),
    "a key": (
        "[calendars.x]\ndate = [2026-01-01]\ndates = []\n",
        "etc/akjob.toml:2 unknown-key unknown key `date`; did you mean `dates`?",
    ),
    "a string for a date": (
        '[calendars.x]\ndates = ["2026-01-01"]\n',
        "etc/akjob.toml:2 wrong-type a date is needed, not a string",
    ),
    "a missing file": (
        '[calendars.x]\nfile = "gone.ics"\n',
        "etc/akjob.toml:2 calendar-unreadable gone.ics: there is no such file",
    ),
    "a folder": (
        '[calendars.x]\nfile = "etc"\n',
        "etc/akjob.toml:2 calendar-unreadable etc: cannot be read: Is a directory",
    ),
    "a bad line": ('[calendars.x]\nfile = "bad.txt"\n', 'bad.txt:2 bad-calendar bad.txt: "2026-02-30" is not a date'),
    "no UTF-8": ('[calendars.x]\nfile = "latin.txt"\n', "latin.txt:2 bad-calendar latin.txt: it is not UTF-8"),
    "a country": (
        '[calendars.x]\ncountry = "XX"\n',
        'etc/akjob.toml:2 unknown-country the package `holidays` has no country "XX"',
    ),
    "a subdivision": (
        '[calendars.x]\ncountry = "DE"\nsubdivision = "BER"\n',
        'etc/akjob.toml:3 unknown-country DE has no subdivision "BER"; did you mean "BE"?',
    ),
    "a subdivision alone": (
        '[calendars.x]\ndates = [2026-01-01]\nsubdivision = "BE"\n',
        "etc/akjob.toml:1 missing-key `calendars.x` needs `country`",
    ),
}


@pytest.mark.parametrize(("text", "message"), WRONG.values(), ids=WRONG)
def test_what_is_wrong_costs_that_calendar(tmp_path: Path, text: str, message: str) -> None:
    """It is named with its position, kept as broken with the reason, and another calendar is not affected."""
    (tmp_path / "bad.txt").write_text("2026-01-01\n2026-02-30\n")
    (tmp_path / "latin.txt").write_bytes(b"2026-01-01\n# \xe4\n")
    calendars, problems = load(tmp_path, text + "[calendars.good]\ndates = [2026-01-01]\n")
    assert problems == [message]
    assert list(calendars.known) == ["good"]
    assert list(calendars.broken) == ["x"]
    assert calendars.broken["x"] in message


@pytest.mark.parametrize(
    "data", [b"BEGIN:VCALENDAR\r\nx", b"BEGIN:VCALENDAR\r\nBEGIN:VEVENT\r\nEND:VEVENT\r\nEND:VCALENDAR"]
)
def test_a_damaged_ics_file(tmp_path: Path, data: bytes) -> None:
    """It is one problem, not a traceback."""
    (tmp_path / "a.ics").write_bytes(data)
    calendars, problems = load(tmp_path, '[calendars.x]\nfile = "a.ics"\n')
    assert [problem.split()[1] for problem in problems] == ["bad-calendar"]
    assert list(calendars.broken) == ["x"]


@pytest.mark.parametrize(
    ("package", "text"),
    [("holidays", 'country = "FR"'), ("icalendar", 'file = "a.ics"')],
)
def test_without_the_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, package: str, text: str) -> None:
    """One sentence says what to install."""
    monkeypatch.setitem(sys.modules, package, None)
    (tmp_path / "a.ics").write_bytes(ics())
    _, problems = load(tmp_path, f"[calendars.x]\n{text}\n")
    assert len(problems) == 1
    assert f"need{'s' if package == 'icalendar' else ''} the package `{package}`, which is not installed" in problems[0]
