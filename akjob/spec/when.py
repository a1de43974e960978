"""The keys of ``[schedule]`` and ``[limits]``, and how they become a :class:`~akjob.schedule.model.Schedule`."""

import re
from datetime import datetime
from typing import Any

from msgspec.structs import replace

from akjob.instants import from_datetime
from akjob.keys import values
from akjob.keys.key import Key, fields, keys, register_home
from akjob.keys.schemas import DATE, DATE_TIME, DURATION, TIME, WORD, any_case, one_or_some, some, spelled, table_schema
from akjob.keys.values import NTHS, WEEKDAYS, Reading
from akjob.schedule.cron import ALIASES, check_cron, cron_both_days, lacking_day, uneven_step
from akjob.schedule.cycles import uses_workdays
from akjob.schedule.events import EVENTS
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
from akjob.schedule.zones import is_zone, near_zones
from akjob.toml.faults import dotted
from akjob.toml.near import did_you_mean
from akjob.toml.scan import Path

_SECOND_US = 1_000_000
_EPOCH = datetime(1970, 1, 1)  # noqa: DTZ001 - a local time, in whichever zone
_EVERY_DAY = (0, 1, 2, 3, 4, 5, 6)

TRIGGERS = ("at", "every", "again_after", "daily", "weekly", "monthly", "cron", *EVENTS)

# -- readers


def _weekly(value: Any, path: Path, out: Reading) -> Weekly | None:
    example = 'write { days = ["mon"], at = 09:30:00 }'
    if not values.table(value, path, out, example):
        return None
    found = fields(value, path, out, WEEKLY)
    values.check_required(value, path, out, ("days", "at"))
    _both_or_neither(value, path, out, "week")
    return Weekly(**{"days": (), "times": (), "zone": out.zone, **found})


def _monthly(value: Any, path: Path, out: Reading) -> Monthly | None:
    if not values.table(value, path, out, "write { days = [1, -1], at = 09:30:00 }"):
        return None
    found = fields(value, path, out, MONTHLY)
    values.check_required(value, path, out, ("days", "at"))
    _both_or_neither(value, path, out, "month")
    monthly = Monthly(**{"days": (), "times": (), "zone": out.zone, **found})
    _note_lacking(value, path, out)
    return monthly


def _both_or_neither(value: dict[str, Any], path: Path, out: Reading, what: str) -> None:
    """Note ``every`` without ``from``, and the other way round."""
    if "every" in value and "from" not in value:
        hint = f"add from = 2026-01-05, a date in any {what} that counts"
        out.missing_key(path, "from", hint)
    elif "from" in value and "every" not in value:
        out.missing_key(path, "every", f"add every = 2 for each second {what}; for a first date use limits.dates")


_LACKING = {29: "February has no 29th in most years", 30: "February has no 30th", 31: "five months have no 31st"}


def _month_days(value: object, path: Path, out: Reading) -> Any:
    """Read ``limits.month_days``; note a day by itself that some months lack."""
    found = values.month_days(value, path, out)
    if found is not None and type(value) is list and len(value) == 1:
        _note_lacking({path[-1]: value}, path[:-1], out, key=path[-1])
    return found


def _note_lacking(value: dict[str | int, Any], path: Path, out: Reading, key: str | int = "days") -> None:
    """Note a day of the month that some months lack: it is passed over there, which is easily overlooked."""
    days = value.get(key)
    for index, day in enumerate(days if type(days) is list else ()):
        if type(day) is int and day in _LACKING:
            message = f"{_LACKING[day]}: those are passed over"
            hint = "write -1 for the last day of each month" if day == max(_LACKING) else "keep it if that is intended"
            out.bad((*path, key, index), "day-passed-over", message, hint, severity="info")
            return


def _days_of_month(value: object, path: Path, out: Reading) -> tuple[int | NthWeekday, ...] | None:
    """Read numbers and ``"first mon"``, in the order of the file, each once."""
    if type(value) is not list:
        out.wrong_type(path, "an array of days", value, f"write [{values.shown(value)}]")
        return None
    if not value:
        out.bad(path, "empty-list", f"`{dotted(path)}` is an empty array", "write the days, or remove the key")
        return None
    found = [_day_of_month(item, (*path, index), out) for index, item in enumerate(value)]
    values.once(value, path, out)
    return None if None in found else tuple(dict.fromkeys(found))  # type: ignore[arg-type]


def _day_of_month(value: object, path: Path, out: Reading) -> int | NthWeekday | None:
    if type(value) is not str:
        return values.month_day(value, path, out)
    first, _, second = (part.strip() for part in value.lower().partition(" "))
    if first in NTHS and second in WEEKDAYS:
        return NthWeekday(NTHS[first], WEEKDAYS[second])
    if first in _ENDS and second == "workday":
        return NthWeekday(NTHS[first], WORKDAY)
    if first == "workday" and _NUMBER.fullmatch(second) and 1 <= abs(int(second)) <= _MOST_WORKDAYS:
        return NthWeekday(int(second), WORKDAY)
    known = [f"{one} {name}" for one in NTHS for name in WEEKDAYS]
    hint = _day_hint(value.strip().lower())
    guess = "" if hint else did_you_mean(value, known, chr(34))
    out.bad(path, "bad-day", f'"{value}" is not a day of a month{guess}', hint or _DAY_HINT)
    return None


_ENDS = ("first", "last")
_NUMBER = re.compile(r"-?[0-9]{1,2}")
_MOST_WORKDAYS = 23
_DAY_HINT = (
    '1 to 31, -1 to -31 from the end, "first mon" … "fifth fri", "last sun", "first workday", "workday 3", "workday -2"'
)
_LAST_DAYS = {"last", "last day", "last day of month", "l", "end", "eom", "end of month", "ultimo"}


def _day_hint(value: str) -> str:
    """Return what to write for what other schedulers call a day of the month; an empty string if that is not known."""
    if _NUMBER.fullmatch(value):
        return f"write {int(value)}, without quotes"
    if value in _LAST_DAYS:
        return "write -1 for the last day of the month"
    if value in {"first", "first day"}:
        return "write 1 for the first day of the month"
    words = value.replace("-", " ").replace("working day", "workday").replace("business day", "workday").split()
    if value == "lw" or words in (["last", "weekday"], ["last", "workday"]):
        return 'write "last workday"'
    if len(words) == 2 and words[1] in {"workday", "weekday"} and words[0] in NTHS:  # noqa: PLR2004 - two words
        number = NTHS[words[0]]
        return f'write "workday {number}"' if words[0] not in _ENDS else f'write "{words[0]} workday"'
    if words[:1] == ["workday"]:
        return f"a month has at most {_MOST_WORKDAYS} workdays: write 1 to {_MOST_WORKDAYS}, or -1 for the last one"
    return ""


def _cron_habit(value: str) -> tuple[str, str] | None:
    """Return message and hint for what other dialects of cron have; None for an expression."""
    if value == "@reboot":
        return "`@reboot` is not a time", "write on_boot = true instead of cron"
    every = re.fullmatch(r"@every\s+(\S+)", value)
    if every is not None:
        return f"`{value}` is another scheduler's form", f'write every = "{every[1]}" instead of cron'
    zone = re.fullmatch(r"(?:CRON_)?TZ=(\S+)\s+(.+)", value)
    if zone is not None:
        message = "a cron expression cannot have a time zone"
        return message, f'write timezone = "{zone[1]}" and cron = "{zone[2]}"'
    backwards = re.search(r"(?i)\b(sat|6)-(sun|0)$", value)
    if backwards is not None:
        days = f"{backwards[1]},{backwards[2]}"
        message = f'"{value}" is not a cron expression: the week begins with Sunday'
        return message, f'write "{value[: backwards.start()]}{days}"'
    return None


def _cron(value: object, path: Path, out: Reading) -> Cron | None:
    if type(value) is not str:
        out.wrong_type(path, "a cron expression in quotes", value, 'write it as "30 9 * * mon-fri"')
        return None
    habit = _cron_habit(value)
    if habit is not None:
        out.bad(path, "bad-cron", *habit)
        return None
    if value[:1] == "@" and value not in ALIASES:
        guess = did_you_mean(value, ALIASES)
        out.bad(path, "bad-cron", f"`{value}` is not a short form{guess}", f"one of {', '.join(ALIASES)}")
        return None
    expression = ALIASES.get(value, value)
    error = check_cron(expression)
    if error is not None:
        hint = error.hint or _cron_hint(expression)
        out.bad(path, "bad-cron", f'"{value}" is not a cron expression: {error}', hint)
        return None
    lacking = lacking_day(expression)
    if lacking is not None:
        day, every_month = lacking
        what = _LACKING[day] if every_month or day != max(_LACKING) else f"some of its months have no {day}st"
        message = f'"{value}": {what}: those are passed over'
        hint = "write L for the last day of each month" if day == max(_LACKING) else "keep it if that is intended"
        out.bad(path, "day-passed-over", message, hint, severity="info")
    uneven = uneven_step(expression)
    if uneven is not None:
        out.bad(path, "cron-uneven", f'"{value}": {uneven[0]}', uneven[1], severity="info")
    if cron_both_days(expression):
        message = f'"{value}": day of the month and day of the week are both given, so either is enough'
        out.bad(path, "cron-both-days", message, "for both at once use [limits]", severity="warning")
    return Cron(expression, out.zone)


def _cron_hint(expression: str) -> str:
    """Return what to write instead of another scheduler's extension, or how an expression is made."""
    if "?" in expression:
        return "write * for Quartz's ?"
    if re.search(r"(?<![A-Za-z])H(?![A-Za-z])", expression):
        return "write a number for Jenkins' H, and jitter to spread jobs"
    if "#" in expression.split()[5:]:
        return "put the comment outside the quotes"
    return _CRON_HINT


_CRON_HINT = "minute hour day month weekday, as in 30 9 * * mon-fri; with seconds first if there are six"
# Letters that people take for a zone; several places share most of them, so these are but guesses.
_LONGEST_ZONE = 64
_LETTERS = {
    "AEST": "Australia/Sydney",
    "BST": "Europe/London",
    "CDT": "America/Chicago",
    "CEST": "Europe/Berlin",
    "CST": "America/Chicago",
    "EDT": "America/New_York",
    "EEST": "Europe/Helsinki",
    "IST": "Asia/Kolkata",
    "JST": "Asia/Tokyo",
    "MDT": "America/Denver",
    "MSK": "Europe/Moscow",
    "PDT": "America/Los_Angeles",
    "PST": "America/Los_Angeles",
    "Z": "UTC",
    "LOCAL": "UTC",
}


def _zone(value: object, path: Path, out: Reading) -> str | None:
    if type(value) is not str:
        out.wrong_type(path, "the name of a time zone", value, 'write it as "Europe/Berlin" or "+05:30"')
    elif is_zone(value):
        return value
    else:
        letters = _LETTERS.get(value.strip().upper())
        near = [letters] if letters else near_zones(value) if len(value) < _LONGEST_ZONE else []
        guess = f"; did you mean {' or '.join(f'{chr(34)}{name}{chr(34)}' for name in near)}?" if near else ""
        hint = f'write "{near[0]}"' if near else 'an IANA name such as "Europe/Berlin", or an offset such as "+05:30"'
        out.bad(path, "unknown-zone", f'unknown time zone "{value}"{guess}', hint)
    return None


def _hours(value: Any, path: Path, out: Reading) -> Hours | None:
    if not values.table(value, path, out, "write { from = 08:00:00, until = 18:00:00 }"):
        return None
    found = fields(value, path, out, HOURS)
    values.check_required(value, path, out, ("from", "until"))
    start, end = found.get("start"), found.get("end")
    if start is None or end is None:
        return None
    if start == end:
        message = f"`{dotted(path)}`: from and until are equal"
        out.bad((*path, "until"), "equal-hours", message, "remove hours for the whole day")
        return None
    return Hours(start, end, found.get("zone", out.zone))


def _dates(value: Any, path: Path, out: Reading) -> dict[str, Any] | None:
    if not values.table(value, path, out, "write { first = 2026-01-01, last = 2026-12-31 }"):
        return None
    found = fields(value, path, out, DATES)
    if not value:
        out.bad(path, "missing-key", f"`{dotted(path)}` needs `first` or `last`", "write one of them, or both")
    first, last = found.get("first"), found.get("last")
    if first is not None and last is not None and first > last:
        message = f"`{dotted(path)}`: last ({last}) is before first ({first})"
        out.bad((*path, "last"), "reversed-dates", message, "exchange the two")
    return found


def _calendar(value: object, path: Path, out: Reading) -> DaySet | None:
    """Read the name of a calendar of ``etc/akjob.toml``."""
    if type(value) is not str:
        out.wrong_type(path, "the name of a calendar", value, "write the NAME of a table [calendars.NAME]")
        return None
    calendars = out.calendars
    if calendars is None:
        return DaySet(value)
    if value in calendars.known:
        found: DaySet = calendars.known[value]
        return found
    if value in calendars.broken:
        message = f'the calendar "{value}" cannot be used: {calendars.broken[value]}'
        out.bad(path, "broken-calendar", message, f"correct [calendars.{value}] in etc/akjob.toml")
        return None
    known = [*calendars.known, *calendars.broken]
    message = f'there is no calendar "{value}"{did_you_mean(value, known, chr(34))}'
    hint = f"known in etc/akjob.toml: {', '.join(known)}" if known else f"add [calendars.{value}] to etc/akjob.toml"
    out.bad(path, "unknown-calendar", message, hint)
    return None


def _calendars(value: Any, path: Path, out: Reading) -> tuple[DaySet, ...] | None:
    """Read an array of names of calendars, in the order of the file, each once."""
    if not values.filled(value, path, out, "an array of names of calendars", '["…"]'):
        return None
    found = [_calendar(item, (*path, index), out) for index, item in enumerate(value)]
    values.once(value, path, out)
    read = [one for one in found if one is not None]
    return tuple(dict.fromkeys(read)) if len(read) == len(found) else None


# -- schemas of values

_WEEKDAY_NAME = f"({spelled(WEEKDAYS)})"
WEEKDAY = {
    "anyOf": [{"enum": list(WEEKDAYS)}, {"type": "string", "pattern": f"^ *{_WEEKDAY_NAME} *(- *{_WEEKDAY_NAME} *)?$"}]
}
_DAY_OF_MONTH = {"type": "integer", "anyOf": [{"minimum": 1, "maximum": 31}, {"minimum": -31, "maximum": -1}]}
_NTH_DAY = {
    "type": "string",
    "pattern": f"^(({spelled(NTHS)}) +[A-Za-z]+|[Ww][Oo][Rr][Kk][Dd][Aa][Yy] +-?[0-9]{{1,2}})$",
    "examples": ["first mon", "last sun", "first workday", "workday -2"],
}
_EVERY = {"type": "integer", "minimum": 1}
_COUNT = values.integer(1, 10_000)
_CALENDAR = {"type": "string", "minLength": 1}
_ZONE = {"type": "string", "minLength": 1, "examples": ["UTC", "Europe/Berlin", "+05:30"]}
_ZONE_KEY = Key("timezone", _zone, "zone", "The zone of this table's times; else the schedule's.", _ZONE)

# -- tables of keys

WEEKLY = keys(
    Key(
        "days",
        values.weekdays,
        "days",
        'Days of the week: "mon" … "sun", full names, or ranges such as "mon-fri".',
        some(WEEKDAY),
    ),
    Key("at", values.times_of_day, "times", "Local time or times of day.", one_or_some(TIME)),
    _ZONE_KEY,
    Key("every", _COUNT, "every", "Only each n-th ISO week, counted from that of `from`.", _EVERY),
    Key("from", values.day, "start", "A date in a week that counts; it does not limit the beginning.", DATE),
)
MONTHLY = keys(
    Key(
        "days",
        _days_of_month,
        "days",
        'Days of the month: 1 to 31, -1 to -31 from the end, "first mon" … "fifth fri", "last sun", "first workday", '
        '"last workday", "workday 3", "workday -2". A day that a month lacks is passed over.',
        some({"anyOf": [_DAY_OF_MONTH, _NTH_DAY]}),
    ),
    Key("at", values.times_of_day, "times", "Local time or times of day.", one_or_some(TIME)),
    _ZONE_KEY,
    Key(
        "roll",
        values.choice("next", "previous"),
        "roll",
        "Move a day that is not a workday to the next or previous workday, also out of the month.",
        {"enum": ["next", "previous"]},
    ),
    Key("every", _COUNT, "every", "Only each n-th month, counted from that of `from`.", _EVERY),
    Key("from", values.day, "start", "A date in a month that counts; it does not limit the beginning.", DATE),
)
HOURS = keys(
    Key("from", values.time_of_day, "start", "The first time of day at which the job may run.", TIME),
    Key("until", values.time_of_day, "end", "The first at which it may not; may be after midnight.", TIME),
    _ZONE_KEY,
)
DATES = keys(
    Key("first", values.day, "first", "The first day on which the job may run.", DATE),
    Key("last", values.day, "last", "The last day on which the job may run.", DATE),
)
SCHEDULE = keys(
    Key(
        "timezone",
        _zone,
        "zone",
        "IANA name or offset, for every local time in the file. Default from etc/akjob.toml, else UTC.",
        _ZONE,
    ),
    Key(
        "at",
        values.one_or_more(values.naive_or_aware, "the date-times"),
        "at",
        "These instants; a date-time without offset is local.",
        one_or_some(DATE_TIME),
    ),
    Key(
        "every",
        values.duration(_SECOND_US),
        "every",
        "A fixed grid: anchor + n x every, in elapsed time; at least 1s.",
        DURATION,
    ),
    Key(
        "anchor",
        values.naive_or_aware,
        "anchor",
        "The instant that the grid of `every` goes through; 1970-01-01T00:00:00 local if left out.",
        DATE_TIME,
    ),
    Key(
        "again_after",
        values.duration(_SECOND_US),
        "again_after_us",
        "This long after the last run ended; the first time this long after the job is first loaded; at least 1s.",
        DURATION,
    ),
    Key("daily", values.times_of_day, "daily", "Every day at this local time or these.", one_or_some(TIME)),
    Key(
        "weekly",
        values.one_or_more(_weekly, "the tables"),
        "weekly",
        "On these days of the week at these local times.",
        one_or_some(table_schema(WEEKLY, ("days", "at"))),
    ),
    Key(
        "monthly",
        values.one_or_more(_monthly, "the tables"),
        "monthly",
        "On these days of the month at these local times.",
        one_or_some(table_schema(MONTHLY, ("days", "at"))),
    ),
    Key(
        "cron",
        values.one_or_more(_cron, "the expressions"),
        "cron",
        "Cron expressions: five fields, or six with seconds first; @hourly, @daily, @weekly, @monthly, @yearly.",
        one_or_some({**WORD, "examples": ["30 9 * * mon-fri", "@hourly"]}),
    ),
    Key(
        "workdays",
        _calendar,
        "workdays",
        "The calendar of etc/akjob.toml whose days are not workdays, besides Saturday and Sunday.",
        _CALENDAR,
    ),
    *(event.as_key() for event in EVENTS.values()),
    Key(
        "jitter",
        values.duration(),
        "jitter_us",
        "Start later by a fixed offset below this, made from the job's name; the slot keeps its nominal time.",
        DURATION,
    ),
)
LIMITS = keys(
    Key(
        "hours",
        _hours,
        "hours",
        "Only in this part of the day; `from` inclusive, `until` exclusive, may cross midnight.",
        table_schema(HOURS, ("from", "until")),
    ),
    Key("weekdays", values.weekdays, "weekdays", "Only on these days of the week; ranges too.", some(WEEKDAY)),
    Key(
        "month_days",
        _month_days,
        "month_days",
        "Only on these days of the month, negative ones from its end.",
        some(_DAY_OF_MONTH),
    ),
    Key(
        "months",
        values.months,
        "months",
        'Only in these months: 1 to 12, "jan" to "dec", or full names.',
        some({"anyOf": [{"type": "integer", "minimum": 1, "maximum": 12}, any_case(values.MONTHS)]}),
    ),
    Key(
        "dates",
        _dates,
        "dates",
        "Only from `first` to `last`, both included; either may be left out.",
        {**table_schema(DATES), "minProperties": 1},
    ),
    Key("except_dates", values.days, "except_dates", "Never on these dates.", some(DATE)),
    Key("not_on", _calendars, "not_on", "Never on a day of these calendars.", some(_CALENDAR)),
    Key("only_on", _calendars, "only_on", "Only on days of these calendars.", some(_CALENDAR)),
    Key(
        "runs",
        values.integer(1, 2**31 - 1),
        "runs",
        "Scheduled slots started at most; then the job is done. `akjob reset JOB` counts from 0 again.",
        {"type": "integer", "minimum": 1},
    ),
    Key(
        "when_done",
        values.choice("keep", "delete"),
        "when_done",
        "What becomes of the file of a job that is done.",
        {"enum": ["keep", "delete"]},
        "keep",
    ),
)
register_home("[schedule]", SCHEDULE)
register_home("[limits]", LIMITS)

# -- making the model


def moment(value: datetime, name: str) -> Moment:
    """Return a date-time as a Moment: local in the zone ``name``, or the instant of its own offset."""
    if value.tzinfo is None:
        return Moment(value, None, name)
    return Moment(None, from_datetime(value), name)


def _with_holidays(monthly: Monthly, holidays: DaySet | None) -> Monthly:
    """Give a trigger the calendar of the schedule where it asks for workdays."""
    if holidays is None or not uses_workdays(monthly):
        return monthly
    return replace(monthly, holidays=holidays)


def make_schedule(found: dict[str, Any], limits: dict[str, Any], name: str) -> Schedule:
    """Make the Schedule of what :func:`~akjob.keys.key.fields` read from the two tables, in the zone ``name``."""
    made: dict[str, Any] = {"zone": name}
    for field, value in found.items():
        if field == "every":
            anchor = found.get("anchor", _EPOCH)
            made["every"] = Every(value, moment(anchor, name))
        elif field == "at":
            made["at"] = tuple(moment(one, name) for one in value)
        elif field == "daily":
            made["daily"] = Weekly(_EVERY_DAY, value, name)
        elif field == "monthly":
            made["monthly"] = tuple(_with_holidays(one, found.get("workdays")) for one in value)
        elif field in EVENTS:
            made["events"] = tuple(found[event] for event in EVENTS if found.get(event) is not None)
        elif field != "anchor":
            made[field] = value
    dates = limits.pop("dates", None) or {}
    return Schedule(limits=Limits(zone=name, **limits, **dates), **made)
