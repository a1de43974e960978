"""The tables ``[calendars.NAME]`` of ``etc/akjob.toml``: dates, files of dates, and public holidays.

A calendar that is wrong costs the jobs that name it, and no others: it is kept with the reason, for their messages.
"""

import os
import re
from collections.abc import Iterator, Mapping
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any

from msgspec import Struct

from akjob.errors import Problem
from akjob.schedule.daysets import FIRST_YEAR, LAST_YEAR, pack, public_holidays
from akjob.schedule.model import DaySet, Schedule
from akjob.toml.faults import PathProblems, dotted, kind_of
from akjob.toml.near import did_you_mean

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
KEYS = ("dates", "file", "country", "subdivision")
_LARGEST = 16 * 2**20
_ISO = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_INSTALL = "pip install 'akjob[calendars]' where akjobd runs"
_EXAMPLE = 'write one of dates = [2026-12-24], file = "etc/freeze.ics", country = "DE"'


class Calendars(Struct, frozen=True, eq=False):
    """The calendars of one root. ``broken`` has the reason why a calendar cannot be used.

    ``files`` are the paths that the calendars were read from, as written: a change of one of them changes a calendar,
    and so does the appearance of one that was missing. ``problems`` are those of the files themselves.
    """

    known: Mapping[str, DaySet]
    broken: Mapping[str, str]
    files: tuple[str, ...]
    problems: tuple[Problem, ...]


NO_CALENDARS = Calendars({}, {}, (), ())


class _WrongError(Exception):
    """A calendar's file cannot be used: what is wrong, in which line, and what to do."""

    def __init__(self, message: str, line: int = 1, hint: str = "") -> None:
        super().__init__(message)
        self.message, self.line, self.hint = message, line, hint


def calendars_of(schedule: Schedule) -> set[DaySet]:
    """Return the calendars that a schedule and its limits name."""
    found = {*schedule.limits.not_on, *schedule.limits.only_on}
    return found | {schedule.workdays} if schedule.workdays is not None else found


def load_calendars(tables: object, root: Path | None, out: PathProblems) -> Calendars:
    """Return the calendars of the table ``[calendars]``; note what is wrong in it in ``out``.

    Reads the files that it names, below ``root`` or absolute, and nothing else; none if ``root`` is None.
    """
    loading = _Loading(root, out)
    if type(tables) is dict:
        for name, table in tables.items():
            loading.add(name, table)
    else:
        out.wrong_type(("calendars",), "a table", tables, "write [calendars.NAME] on a line of its own")
    return Calendars(loading.known, loading.broken, tuple(dict.fromkeys(loading.files)), tuple(loading.problems))


class _Loading:
    """One reading of all calendars."""

    def __init__(self, root: Path | None, out: PathProblems) -> None:
        self._root = root
        self._out = out
        self.known: dict[str, DaySet] = {}
        self.broken: dict[str, str] = {}
        self.files: list[str] = []
        self.problems: list[Problem] = []

    def add(self, name: str, table: object) -> None:
        """Read one calendar; it is known, or broken, afterwards."""
        path = ("calendars", name)
        before = len(self._out.found), len(self.problems)
        calendar = self._read(name, table, path)
        found = [fault.message for fault in self._out.found[before[0] :]]
        found += [problem.message for problem in self.problems[before[1] :]]
        if found or calendar is None:
            self.broken[name] = found[0] if found else "it cannot be read"
        else:
            self.known[name] = calendar

    def _read(self, name: str, table: object, path: tuple[str, ...]) -> DaySet | None:
        if _NAME.fullmatch(name) is None:
            message = f'"{name}" cannot be the name of a calendar'
            self._out.bad(path, "bad-name", message, "letters, digits, `.`, `_` and `-`", at_key=True)
            return None
        if type(table) is not dict:
            self._out.wrong_type(path, "a table", table, f"write [{dotted(path)}] on a line of its own")
            return None
        for key in table:
            if key not in KEYS:
                self._out.unknown_key((*path, key), KEYS)
        if not set(table) & {"dates", "file", "country"}:
            self._out.bad(path, "missing-key", f"`{dotted(path)}` names no days", _EXAMPLE)
        days = [*self._dates(table, path), *self._of_file(table, path)]
        country, subdivision = self._place(table, path)
        return DaySet(name, pack(days), country, subdivision)

    def _dates(self, table: Mapping[str, object], path: tuple[str, ...]) -> Iterator[date]:
        value = table.get("dates", [])
        if type(value) is not list:
            self._out.wrong_type((*path, "dates"), "an array of dates", value, "write dates = [2026-12-24]")
            return
        for index, day in enumerate(value):
            if type(day) is date:
                yield day
            else:
                hint = (
                    f"write {day}, without quotes" if type(day) is str and _ISO.fullmatch(day) else "write 2026-12-24"
                )
                self._out.bad((*path, "dates", index), "wrong-type", f"a date is needed, not {kind_of(day)}", hint)

    def _of_file(self, table: Mapping[str, object], path: tuple[str, ...]) -> list[date]:
        name = self._text(table, path, "file")
        if not name or self._root is None:
            return []
        self.files.append(name)
        try:
            data = _read_file(self._root / name)
        except _WrongError as error:
            self._out.bad((*path, "file"), "calendar-unreadable", f"{name}: {error.message}", error.hint)
            return []
        try:
            return list(_of_ics(data) if _is_ics(name, data) else _of_text(data))
        except _WrongError as error:
            self.problems.append(
                Problem(
                    file=name, line=error.line, code="bad-calendar", message=f"{name}: {error.message}", hint=error.hint
                )
            )
            return []

    def _place(self, table: Mapping[str, object], path: tuple[str, ...]) -> tuple[str, str]:
        country, subdivision = (self._text(table, path, key) for key in ("country", "subdivision"))
        if subdivision and not country:
            self._out.missing_key(path, "country", 'add country = "DE"')
        if not country:
            return "", ""
        try:
            public_holidays(country, subdivision)
        except ImportError:
            message = "the public holidays of countries need the package `holidays`, which is not installed"
            self._out.bad((*path, "country"), "calendar-package", message, _INSTALL)
        except NotImplementedError:
            self._unknown_place(country, subdivision, path)
        return country, subdivision

    def _unknown_place(self, country: str, subdivision: str, path: tuple[str, ...]) -> None:
        import holidays  # noqa: PLC0415 - an extra

        places = holidays.list_supported_countries(include_aliases=True)
        if country not in places:
            message = f'the package `holidays` has no country "{country}"{did_you_mean(country, places, chr(34))}'
            self._out.bad((*path, "country"), "unknown-country", message, 'an ISO 3166 code, as in "DE"')
            return
        known = places[country]
        message = f'{country} has no subdivision "{subdivision}"{did_you_mean(subdivision, known, chr(34))}'
        hint = f"known: {', '.join(known)}" if known else "remove it"
        self._out.bad((*path, "subdivision"), "unknown-country", message, hint)

    def _text(self, table: Mapping[str, object], path: tuple[str, ...], key: str) -> str:
        value = table.get(key, "")
        if type(value) is str and (value or key not in table):
            return value
        if type(value) is str:
            self._out.bad((*path, key), "empty-text", f"`{dotted((*path, key))}` is empty", "write something")
        else:
            self._out.wrong_type((*path, key), "a string", value)
        return ""


def _read_file(place: Path) -> bytes:
    """Return a regular file's bytes. Raises _WrongError."""
    try:
        with open(place, "rb", opener=lambda path, flags: os.open(path, flags | os.O_NONBLOCK | os.O_CLOEXEC)) as file:
            if not os.path.isfile(place):
                raise _WrongError("it is not a regular file", hint="name a file of dates")
            data = file.read(_LARGEST + 1)
    except FileNotFoundError:
        raise _WrongError("there is no such file", hint="make it, or correct its name") from None
    except OSError as error:
        hint = "make it a regular file that akjobd's user may read"
        raise _WrongError(f"cannot be read: {error.strerror}", hint=hint) from None
    if len(data) > _LARGEST:
        raise _WrongError("the file is larger than 16 MiB", hint="keep the days that jobs need")
    return data


def _is_ics(name: str, data: bytes) -> bool:
    return name.lower().endswith((".ics", ".ical")) or data.lstrip(b"\xef\xbb\xbf \r\n").startswith(b"BEGIN:VCALENDAR")


def _of_text(data: bytes) -> Iterator[date]:
    """Yield the days of a text file: one ISO date a line, ``#`` comments. Raises _WrongError."""
    try:
        lines = data.decode("utf-8-sig").splitlines()
    except UnicodeDecodeError as error:
        line = data[: error.start].count(b"\n") + 1
        raise _WrongError("it is not UTF-8", line, "save it as UTF-8") from None
    for number, written in enumerate(lines, 1):
        text = written.partition("#")[0].strip()
        if not text:
            continue
        try:
            day = date.fromisoformat(text) if _ISO.fullmatch(text) else None
        except ValueError:
            day = None
        if day is None:
            shown = text if len(text) <= 40 else f"{text[:40]}…"  # noqa: PLR2004 - fits on a line
            raise _WrongError(
                f'"{shown}" is not a date', number, "one date a line, as in 2026-12-24; # begins a comment"
            )
        yield day


# -- iCalendar (RFC 5545); what a component holds under a name may be of thirty types, so it is Any here


def _of_ics(data: bytes) -> Iterator[date]:
    """Yield the days of all-day events, recurring ones up to the year 2100. Raises _WrongError."""
    try:
        import icalendar  # noqa: PLC0415 - an extra
    except ImportError:
        message = "an .ics file needs the package `icalendar`, which is not installed"
        raise _WrongError(message, hint=_INSTALL) from None
    try:
        events = [event for one in icalendar.Calendar.from_ical(data, multiple=True) for event in one.walk("VEVENT")]
        moved = {_moved(event) for event in events if "RECURRENCE-ID" in event}
        for event in events:
            yield from _of_event(event, moved)
    except (ValueError, KeyError, TypeError, AttributeError, IndexError, OverflowError) as error:
        raise _WrongError(f"it is not an iCalendar file: {error}", hint="export it again") from None


def _moved(event: Any) -> tuple[str, date]:
    """Return which day of which recurring event an event stands in for."""
    return str(event.get("UID", "")), _as_day(event["RECURRENCE-ID"].dt)


def _of_event(event: Any, moved: set[tuple[str, date]]) -> Iterator[date]:
    """Yield the days of one event; none if it has a time of day, or was cancelled."""
    begin = event["DTSTART"].dt
    if isinstance(begin, datetime) or str(event.get("STATUS", "")).upper() == "CANCELLED":
        return
    length = _length(event, begin)
    uid = str(event.get("UID", ""))
    recurs = "RECURRENCE-ID" not in event
    for day in _recurrences(event, begin) if recurs else [begin]:
        if recurs and (uid, day) in moved:
            continue
        yield from (day + timedelta(days=number) for number in range(length))


def _length(event: Any, begin: date) -> int:
    if "DTEND" in event:
        return max(1, (_as_day(event["DTEND"].dt) - begin).days)
    return max(1, int(event["DURATION"].dt.days)) if "DURATION" in event else 1


def _recurrences(event: Any, begin: date) -> list[date]:
    """Return the first days of an event: its own, those of RRULE and RDATE, without those of EXDATE."""
    days = {begin}
    for rule in _several(event.get("RRULE")):
        days.update(_by_rule(rule.to_ical().decode(), begin))
    days.update(_as_day(one.dt) for many in _several(event.get("RDATE")) for one in many.dts)
    without = {_as_day(one.dt) for many in _several(event.get("EXDATE")) for one in many.dts}
    return sorted(day for day in days - without if FIRST_YEAR <= day.year <= LAST_YEAR)


def _by_rule(rule: str, begin: date) -> Iterator[date]:
    from dateutil.rrule import rrulestr  # noqa: PLC0415 - comes with icalendar

    # dateutil wants naive date-times throughout: UNTIL of a date that was written with a time of day loses it.
    rule = re.sub(r"(UNTIL=\d{8})T\d{6}Z?", r"\1", rule)
    start = datetime(begin.year, begin.month, begin.day)  # noqa: DTZ001 - a day
    for moment in rrulestr(rule, dtstart=start):
        if moment.year > LAST_YEAR:
            return
        yield moment.date()


def _several(value: object) -> list[Any]:
    if value is None:
        return []
    return value if isinstance(value, list) else [value]


def _as_day(value: Any) -> date:
    return value.date() if isinstance(value, datetime) else value
