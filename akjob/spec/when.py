"""The keys of ``[schedule]`` and ``[limits]``, and how they become a :class:`~akjob.schedule.model.Schedule`."""

import re
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from typing import Any

from akjob.instants import from_datetime
from akjob.schedule.cron import ALIASES, check_cron, cron_both_days
from akjob.schedule.model import Cron, Every, Hours, Limits, Moment, Monthly, NthWeekday, Schedule, Weekly
from akjob.schedule.zones import is_zone, near_zones
from akjob.spec import values
from akjob.spec.keys import Key, fields, keys, register_home
from akjob.spec.values import NTHS, WEEKDAYS, Reader, Reading
from akjob.toml.faults import dotted
from akjob.toml.near import did_you_mean
from akjob.toml.scan import Path

_SECOND_US = 1_000_000
_EPOCH = datetime(1970, 1, 1)  # noqa: DTZ001 - a local time, in whichever zone
_EVERY_DAY = (0, 1, 2, 3, 4, 5, 6)

TRIGGERS = ("at", "every", "again_after", "daily", "weekly", "monthly", "cron", "on_start", "on_boot")

# -- readers


def _one_or_more(read: Callable[[Any, Path, Reading], Any], plural: str) -> Reader:
    """Make a reader of one value or an array of them, always as a tuple."""

    def read_all(value: Any, path: Path, out: Reading) -> tuple[Any, ...]:
        if type(value) is not list:
            return (read(value, path, out),)
        if not value:
            out.bad(path, "empty-list", f"`{dotted(path)}` is an empty array", f"write {plural}, or take the key away")
        elif len(value) > 1:
            values.once(value, path, out)
        return tuple(read(item, (*path, index), out) for index, item in enumerate(value))

    return read_all


def _weekly(value: Any, path: Path, out: Reading) -> Weekly | None:
    example = 'write { days = ["mon"], at = 09:30:00 }'
    if not values.table(value, path, out, example):
        return None
    found = fields(value, path, out, WEEKLY)
    values.check_required(value, path, out, ("days", "at"))
    return Weekly(found.get("days", ()), found.get("times", ()), found.get("zone", out.zone))


def _monthly(value: Any, path: Path, out: Reading) -> Monthly | None:
    if not values.table(value, path, out, "write { days = [1, -1], at = 09:30:00 }"):
        return None
    found = fields(value, path, out, MONTHLY)
    values.check_required(value, path, out, ("days", "at"))
    return Monthly(found.get("days", ()), found.get("times", ()), found.get("zone", out.zone))


def _days_of_month(value: Any, path: Path, out: Reading) -> tuple[int | NthWeekday, ...] | None:
    """Read numbers and ``"first mon"``, in the order of the file, each once."""
    if type(value) is not list:
        out.wrong_type(path, "an array of days", value, f"write [{values.shown(value)}]")
        return None
    if not value:
        out.bad(path, "empty-list", f"`{dotted(path)}` is an empty array", "write the days, or take the key away")
        return None
    found = [_day_of_month(item, (*path, index), out) for index, item in enumerate(value)]
    values.once(value, path, out)
    return None if None in found else tuple(dict.fromkeys(found))  # type: ignore[arg-type]


def _day_of_month(value: Any, path: Path, out: Reading) -> int | NthWeekday | None:
    if type(value) is not str:
        return values.month_day(value, path, out)
    nth, _, day = value.lower().partition(" ")
    if nth in NTHS and day.strip() in WEEKDAYS:
        return NthWeekday(NTHS[nth], WEEKDAYS[day.strip()])
    hint = '1 to 31, -1 to -31 from the end, or "first mon" … "fifth fri", "last sun"'
    known = [f"{one} {name}" for one in NTHS for name in WEEKDAYS]
    if re.fullmatch(r"-?[0-9]{1,2}", value):
        hint = f"write {value}, without quotes"
    out.bad(path, "bad-day", f'"{value}" is not a day of a month{did_you_mean(value, known, chr(34))}', hint)
    return None


def _cron(value: Any, path: Path, out: Reading) -> Cron | None:
    if type(value) is not str:
        out.wrong_type(path, "a cron expression in quotes", value, 'write it as "30 9 * * mon-fri"')
        return None
    if value == "@reboot":
        out.bad(path, "bad-cron", "`@reboot` is no time", "write on_boot = true instead of cron")
        return None
    if value[:1] == "@" and value not in ALIASES:
        guess = did_you_mean(value, ALIASES)
        out.bad(path, "bad-cron", f"`{value}` is no short form{guess}", f"one of {', '.join(ALIASES)}")
        return None
    expression = ALIASES.get(value, value)
    message = check_cron(expression)
    if message is not None:
        out.bad(path, "bad-cron", f'"{value}" is not a cron expression: {message}', _cron_hint(expression))
        return None
    if cron_both_days(expression):
        message = f'"{value}": day of the month and day of the week are both given, so either is enough'
        out.bad(path, "cron-both-days", message, "for both at once use [limits]", severity="warning")
    return Cron(expression, out.zone)


def _cron_hint(expression: str) -> str:
    """Say what to write for what other schedulers have and cron has not, or how an expression is made."""
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


def _zone(value: Any, path: Path, out: Reading) -> str | None:
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
        out.bad((*path, "until"), "equal-hours", message, "take hours away for the whole day")
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


# -- schemas of values

DURATION = {
    "type": "string",
    "pattern": "^((?=[0-9])([0-9]+w)?([0-9]+d)?([0-9]+h)?([0-9]+m(?!s))?([0-9]+s)?([0-9]+ms)?"
    "|P(?=[0-9T])([0-9]+W)?([0-9]+D)?(T(?=[0-9])([0-9]+H)?([0-9]+M)?([0-9]+(\\.[0-9]+)?S)?)?)$",
}
SIZE = {"type": "string", "pattern": "^[0-9]+(B|kB|KB|MB|GB|TB|KiB|MiB|GiB|TiB)$"}
# TOML's own times and dates reach a JSON Schema as texts; editors know them by these formats.
TIME = {"type": "string", "format": "partial-time"}
DATE = {"type": "string", "format": "date"}
DATE_TIME = {
    "anyOf": [{"type": "string", "format": "date-time"}, {"type": "string", "format": "partial-date-time"}],
}
_WORD = {"type": "string", "minLength": 1}


def some(schema: Mapping[str, Any]) -> dict[str, Any]:
    """Return the schema of a non-empty array."""
    return {"type": "array", "items": schema, "minItems": 1}


def one_or_some(schema: Mapping[str, Any]) -> dict[str, Any]:
    """Return the schema of one value or a non-empty array."""
    return {"anyOf": [schema, some(schema)]}


def any_case(names: Mapping[str, int]) -> dict[str, Any]:
    """Return the schema of these words in any case."""
    return {"anyOf": [{"enum": list(names)}, {"type": "string", "pattern": f"^({_spelled(names)})$"}]}


def _spelled(names: Iterable[str]) -> str:
    """Return the pattern of these words in any case."""
    return "|".join("".join(f"[{sign}{sign.upper()}]" for sign in name) for name in names)


def table_schema(members: Mapping[str, Key], required: tuple[str, ...] = ()) -> dict[str, Any]:
    """Return the schema of a table with these keys and no others."""
    schema: dict[str, Any] = {
        "type": "object",
        "additionalProperties": False,
        "properties": {key.name: _property(key) for key in members.values()},
    }
    if required:
        schema["required"] = list(required)
    return schema


def _property(key: Key) -> dict[str, Any]:
    schema = {"description": key.doc, **key.schema}
    if key.default is not None:
        schema["default"] = key.default
    return schema


_DAY_OF_MONTH = {"type": "integer", "anyOf": [{"minimum": 1, "maximum": 31}, {"minimum": -31, "maximum": -1}]}
_NTH_DAY = {
    "type": "string",
    "pattern": f"^({_spelled(NTHS)}) +[A-Za-z]+$",
    "examples": ["first mon", "last sun"],
}
_ZONE = {"type": "string", "minLength": 1, "examples": ["UTC", "Europe/Berlin", "+05:30"]}
_ZONE_KEY = Key("timezone", _zone, "zone", "The zone of this table's times; else the schedule's.", _ZONE)

# -- tables of keys

WEEKLY = keys(
    Key("days", values.weekdays, "days", 'Days of the week: "mon" … "sun", or full names.', some(any_case(WEEKDAYS))),
    Key("at", values.times_of_day, "times", "Local time or times of day.", one_or_some(TIME)),
    _ZONE_KEY,
)
MONTHLY = keys(
    Key(
        "days",
        _days_of_month,
        "days",
        'Days of the month: 1 to 31, -1 to -31 from the end, or "first mon" … "fifth fri", "last sun". '
        "A day that a month lacks is passed over.",
        some({"anyOf": [_DAY_OF_MONTH, _NTH_DAY]}),
    ),
    Key("at", values.times_of_day, "times", "Local time or times of day.", one_or_some(TIME)),
    _ZONE_KEY,
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
        _one_or_more(values.naive_or_aware, "the date-times"),
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
        _one_or_more(_weekly, "the tables"),
        "weekly",
        "On these days of the week at these local times.",
        one_or_some(table_schema(WEEKLY, ("days", "at"))),
    ),
    Key(
        "monthly",
        _one_or_more(_monthly, "the tables"),
        "monthly",
        "On these days of the month at these local times.",
        one_or_some(table_schema(MONTHLY, ("days", "at"))),
    ),
    Key(
        "cron",
        _one_or_more(_cron, "the expressions"),
        "cron",
        "Cron expressions: five fields, or six with seconds first; @hourly, @daily, @weekly, @monthly, @yearly.",
        one_or_some({**_WORD, "examples": ["30 9 * * mon-fri", "@hourly"]}),
    ),
    Key(
        "on_start", values.boolean, "on_start", "Each time akjobd starts, never on reload.", {"type": "boolean"}, False
    ),
    Key("on_boot", values.boolean, "on_boot", "Once after each boot of the machine.", {"type": "boolean"}, False),
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
    Key("weekdays", values.weekdays, "weekdays", "Only on these days of the week.", some(any_case(WEEKDAYS))),
    Key(
        "month_days",
        values.month_days,
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
    Key(
        "runs",
        values.integer(1, 2**31 - 1),
        "runs",
        "Scheduled slots started at most; then the job is done. `akjob reset JOB` counts anew.",
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


def make_schedule(found: dict[str, Any], limits: dict[str, Any], name: str) -> Schedule:
    """Make the Schedule of what :func:`~akjob.spec.keys.fields` read from the two tables, in the zone ``name``."""
    made: dict[str, Any] = {"zone": name}
    for field, value in found.items():
        if field == "every":
            anchor = found.get("anchor", _EPOCH)
            made["every"] = Every(value, moment(anchor, name))
        elif field == "at":
            made["at"] = tuple(moment(one, name) for one in value)
        elif field == "daily":
            made["daily"] = Weekly(_EVERY_DAY, value, name)
        elif field != "anchor":
            made[field] = value
    dates = limits.pop("dates", None) or {}
    return Schedule(limits=Limits(zone=name, **limits, **dates), **made)
