"""systemd's calendar expressions (systemd.time(7)) as triggers of a job file."""

import itertools
import re
from calendar import monthrange
from datetime import date, datetime, time

from msgspec import Struct

from akjob.imports import is_number

DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_NTH = ("first", "second", "third", "fourth", "fifth")
_MOST_TIMES = 24  # more times of day than that are better said by a cron expression

_SHORTHANDS = {
    "minutely": "*-*-* *:*:00",
    "hourly": "*-*-* *:00:00",
    "daily": "*-*-* 00:00:00",
    "monthly": "*-*-01 00:00:00",
    "weekly": "Mon *-*-* 00:00:00",
    "quarterly": "*-01,04,07,10-01 00:00:00",
    "semiannually": "*-01,07-01 00:00:00",
    "semi-annually": "*-01,07-01 00:00:00",
    "bi-annually": "*-01,07-01 00:00:00",
    "biannually": "*-01,07-01 00:00:00",
    "yearly": "*-01-01 00:00:00",
    "annually": "*-01-01 00:00:00",
    "anually": "*-01-01 00:00:00",
}

_DATE = re.compile(r"(?:(?P<year>[\d*,./]+)-)?(?P<month>[\d*,./]+)(?P<sign>[-~])(?P<day>[\d*,./]+)")
_TIME = re.compile(r"[\d*,./]+:[\d*,./]+(?::[\d*,./]+)?")
_DAY_LIST = re.compile(r"[A-Za-z]{3,9}(?:(?:\.\.|-|,)[A-Za-z]{3,9})*,?")
_YEARS = (1970, 2199)


class OnCalendar(Struct, frozen=True, kw_only=True):
    """What one expression means. Empty tuples mean "any"; ``days`` are negative when counted from the month's end."""

    weekdays: tuple[int, ...] = ()
    years: tuple[int, ...] = ()
    months: tuple[int, ...] = ()
    days: tuple[int, ...] = ()
    hours: tuple[int, ...] = ()
    minutes: tuple[int, ...] = ()
    seconds: tuple[int, ...] = ()
    zone: str | None = None


class OnCalendarTrigger(Struct, frozen=True, kw_only=True):
    """A key of ``[schedule]`` with its value, and the keys of ``[limits]`` that it takes to say the same."""

    key: str
    value: object
    limits: dict[str, object] = {}


def parse_calendar(text: str) -> OnCalendar:
    """Read an ``OnCalendar=`` value. Raises ValueError with what is not understood."""
    words = text.split()
    if not words:
        raise ValueError("it is empty")
    zone = None
    if len(words) > 1 and (words[-1] == "UTC" or re.fullmatch(r"[A-Za-z_]+(?:/[A-Za-z0-9_+-]+)+", words[-1])):
        zone = words.pop()
    if len(words) == 1 and words[0].lower() in _SHORTHANDS:
        words = _SHORTHANDS[words[0].lower()].split()
    weekdays: tuple[int, ...] = ()
    if words and _DAY_LIST.fullmatch(words[0]):
        weekdays = _weekdays(words.pop(0))
    years: tuple[int, ...] = ()
    months: tuple[int, ...] = ()
    days: tuple[int, ...] = ()
    if words and (match := _DATE.fullmatch(words[0])):
        words.pop(0)
        years = _numbers(match["year"] or "*", *_YEARS)
        months = _numbers(match["month"], 1, 12)
        days = _days(match["day"], from_end=match["sign"] == "~")
    clock = "00:00:00"
    if words and _TIME.fullmatch(words[0]):
        clock = words.pop(0)
    if words:
        raise ValueError(f"{' '.join(words)!r} is not understood")
    hour, minute, second = [*clock.split(":"), "00"][:3]
    return OnCalendar(
        weekdays=weekdays,
        years=years,
        months=months,
        days=days,
        hours=_numbers(hour, 0, 23),
        minutes=_numbers(minute, 0, 59),
        seconds=_numbers(second, 0, 59),
        zone=zone,
    )


def _weekdays(text: str) -> tuple[int, ...]:
    found: set[int] = set()
    for part in text.strip(",").split(","):
        first, *last = (_weekday(word) for word in re.split(r"\.\.|-", part))
        end = last[0] if last else first
        found.update((first + i) % 7 for i in range((end - first) % 7 + 1))
    return () if len(found) == len(DAYS) else tuple(sorted(found))


def _weekday(word: str) -> int:
    short = word[:3].lower()
    full = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
    if short in DAYS and word.lower() in (short, full[DAYS.index(short)]):
        return DAYS.index(short)
    raise ValueError(f"{word!r} is not a day of the week")


def _numbers(text: str, low: int, high: int) -> tuple[int, ...]:
    """Read a component: ``*``, ``5``, ``1,3``, ``1..5``, ``*/15``, ``5/10``, ``1..9/2``. Empty means any."""
    found: set[int] = set()
    for part in text.split(","):
        span, _, step = part.partition("/")
        if "." in span.replace("..", ""):
            raise ValueError(f"{part!r}: fractions of a second have no counterpart")
        first, dots, last = span.partition("..")
        if first == "*":
            begin, end = low, high
        else:
            begin = _number(first, low, high)
            end = _number(last, low, high) if dots else high if step else begin
        if step and not (is_number(step) and int(step)):
            raise ValueError(f"{part!r}: {step!r} is not a step")
        if end < begin:
            raise ValueError(f"{part!r} ends before it begins")
        found.update(range(begin, end + 1, int(step or 1)))
    return () if found == set(range(low, high + 1)) else tuple(sorted(found))


def _number(text: str, low: int, high: int) -> int:
    if not is_number(text) or not low <= int(text) <= high:
        raise ValueError(f"{text!r} is not a number from {low} to {high}")
    return int(text)


def _days(text: str, *, from_end: bool) -> tuple[int, ...]:
    """Read the day of the month; behind a ``~`` it counts from the end, and ``~07/1`` means the last seven days."""
    if not from_end:
        return _numbers(text, 1, 31)
    first, slash, step = text.partition("/")
    if slash:  # counts towards the month's end: ~07/1 is the 7th last, the 6th last, … the last
        if not (is_number(step) and int(step)):
            raise ValueError(f"{text!r}: {step!r} is not a step")
        return tuple(-day for day in range(_number(first, 1, 31), 0, -int(step)))
    return tuple(sorted(-day for day in _numbers(text, 1, 31)))


def trigger_of(calendar: OnCalendar, *, alone: bool) -> OnCalendarTrigger:
    """Return a calendar expression as a trigger.

    ``alone``: the job has no other trigger, so that limits may be used. Raises ValueError where akjob has no words.
    """
    if calendar.years:
        return _with_years(calendar, alone=alone)
    times = _times(calendar)
    if calendar.days and (calendar.weekdays or min(calendar.days) < 0):
        return _monthly(calendar, times, alone=alone)
    if times is None or calendar.months:
        return OnCalendarTrigger(key="cron", value=_cron(calendar))
    at = times[0] if len(times) == 1 else times
    if calendar.days:
        return OnCalendarTrigger(key="monthly", value={"days": list(calendar.days), "at": at})
    if calendar.weekdays:
        return OnCalendarTrigger(key="weekly", value={"days": [DAYS[day] for day in calendar.weekdays], "at": at})
    return OnCalendarTrigger(key="daily", value=at)


def _times(calendar: OnCalendar) -> list[time] | None:
    """List the times of day; None when they are too many to list."""
    if not (calendar.hours and calendar.minutes and calendar.seconds):
        return None
    if len(calendar.hours) * len(calendar.minutes) * len(calendar.seconds) > _MOST_TIMES:
        return None
    clock = itertools.product(calendar.hours, calendar.minutes, calendar.seconds)
    return [time(*parts) for parts in clock]


def _monthly(calendar: OnCalendar, times: list[time] | None, *, alone: bool) -> OnCalendarTrigger:
    """Days from the month's end, and days that must be a certain day of the week as well."""
    limits: dict[str, object] = {}
    if times is None:
        raise ValueError("too many times of day together with such days of the month")
    days: list[int | str] = list(calendar.days)
    if calendar.weekdays:
        nth = _nth(calendar.days)
        if nth is not None:
            days = [f"{nth} {DAYS[day]}" for day in calendar.weekdays]
        elif alone:
            limits["weekdays"] = [DAYS[day] for day in calendar.weekdays]
        else:
            raise ValueError("days of the week and days of the month must both match, which one trigger cannot say")
    if calendar.months:
        if not alone:
            raise ValueError("months and such days of the month must both match, which one trigger cannot say")
        limits["months"] = list(calendar.months)
    at = times[0] if len(times) == 1 else times
    return OnCalendarTrigger(key="monthly", value={"days": days, "at": at}, limits=limits)


def _nth(days: tuple[int, ...]) -> str | None:
    """Name the week that a stretch of seven days is: 1..7 is "first", -7..-1 "last"."""
    if sorted(days) == list(range(-7, 0)):
        return "last"
    for n, name in enumerate(_NTH):
        if list(days) == [day for day in range(7 * n + 1, 7 * n + 8) if day <= 31]:  # noqa: PLR2004 - a month's days
            return name
    return None


def _with_years(calendar: OnCalendar, *, alone: bool) -> OnCalendarTrigger:
    """Single dates become ``at``, whole years a limit."""
    times = _times(calendar)
    if calendar.months and calendar.days and min(calendar.days) > 0 and not calendar.weekdays and times is not None:
        dates = itertools.product(calendar.years, calendar.months, calendar.days)
        moments = [datetime.combine(date(*day), at) for day in dates if _exists(*day) for at in times]
        if len(moments) <= 366:  # noqa: PLR2004 - a year of days; a longer list is not readable
            return OnCalendarTrigger(key="at", value=moments[0] if len(moments) == 1 else moments)
    first, last = calendar.years[0], calendar.years[-1]
    if not alone or len(calendar.years) != last - first + 1:
        raise ValueError("these years cannot be said by one trigger")
    plain = OnCalendar(**{**{name: getattr(calendar, name) for name in OnCalendar.__struct_fields__}, "years": ()})
    inner = trigger_of(plain, alone=True)
    limit = {"first": date(first, 1, 1)}
    if last < _YEARS[1]:
        limit["last"] = date(last, 12, 31)
    return OnCalendarTrigger(key=inner.key, value=inner.value, limits={**inner.limits, "dates": limit})


def _exists(year: int, month: int, day: int) -> bool:
    return day <= monthrange(year, month)[1]


def _cron(calendar: OnCalendar) -> str:
    """Write five fields, or six when the seconds are not just 0."""
    fields = [
        _field(calendar.minutes, 0, 59),
        _field(calendar.hours, 0, 23),
        _field(calendar.days, 1, 31),
        _field(calendar.months, 1, 12),
        ",".join(DAYS[day] for day in calendar.weekdays) or "*",
    ]
    if calendar.seconds != (0,):
        fields.insert(0, _field(calendar.seconds, 0, 59))
    return " ".join(fields)


def _field(values: tuple[int, ...], low: int, high: int) -> str:
    if not values:
        return "*"
    step = values[1] - values[0] if len(values) > 1 else 0
    if step > 1 and low == 0 and list(values) == list(range(low, high + 1, step)):
        return f"*/{step}"
    if len(values) > 2 and list(values) == list(range(values[0], values[-1] + 1)):  # noqa: PLR2004 - two are a list
        return f"{values[0]}-{values[-1]}"
    return ",".join(map(str, values))
