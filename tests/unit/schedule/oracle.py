"""A slow, simple answer to "when is this due?", to compare the engine with.

It walks through real time in small steps, looks at the wall clock through :mod:`zoneinfo`, and asks each rule of the
schedule about that one moment. It shares the schedule's values with the engine, and no code; the meaning of a cron
expression's fields comes from cronsim.
"""

import calendar
import struct
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta, timezone, tzinfo
from functools import lru_cache
from itertools import pairwise
from zoneinfo import ZoneInfo

from cronsim import CronSim

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

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MICROSECOND = timedelta(microseconds=1)


def slots(schedule: Schedule, start: datetime, end: datetime, step: timedelta) -> list[int]:
    """Return the slots in [start, end), in microseconds since 1970.

    ``step`` must divide the distance from ``start`` to every named local time and to every change of an offset.
    """
    found: set[int] = set()
    walk = list(_steps(start, end, step))
    for trigger in (schedule.daily, *schedule.weekly, *schedule.monthly, *schedule.cron):
        if trigger is not None:
            found.update(_calendar_slots(trigger, walk, step))
    if schedule.every is not None:
        found.update(_grid(schedule.every, start, end))
    found.update(_us(resolve(moment)) for moment in schedule.at if start <= resolve(moment) < end)
    return sorted(slot for slot in found if allowed(schedule.limits, EPOCH + timedelta(microseconds=slot)))


def _us(moment: datetime) -> int:
    return (moment - EPOCH) // MICROSECOND


def _steps(start: datetime, end: datetime, step: timedelta) -> Iterator[datetime]:
    # One step before the start is needed to see a gap that ends at the start.
    moment = start - step
    while moment < end:
        yield moment
        moment += step


def _calendar_slots(trigger: Weekly | Monthly | Cron, walk: list[datetime], step: timedelta) -> Iterator[int]:
    tz = zone(trigger.zone)
    elapsed = isinstance(trigger, Cron) and _follows_elapsed_time(trigger.expression)
    walls = [moment.astimezone(tz) for moment in walk]
    for (moment, wall), (_, before) in pairwise_backwards(walk, walls):
        local = wall.replace(tzinfo=None)
        if names(trigger, local) and (elapsed or wall.fold == 0):
            yield _us(moment)
            continue
        if elapsed:
            continue
        skipped = before.replace(tzinfo=None) + step
        while skipped < local:
            if names(trigger, skipped):
                yield _us(moment)
                break
            skipped += step


def pairwise_backwards(
    walk: list[datetime], walls: list[datetime]
) -> Iterator[tuple[tuple[datetime, datetime], tuple[datetime, datetime]]]:
    """Yield each step but the first with the one before it."""
    for before, here in pairwise(zip(walk, walls, strict=True)):
        yield here, before


def names(trigger: Weekly | Monthly | Cron, local: datetime) -> bool:
    """Return True if a trigger names this local time."""
    if isinstance(trigger, Cron):
        return _cron_names(trigger.expression, local)
    if local.hour * 3600 + local.minute * 60 + local.second not in trigger.times:
        return False
    if isinstance(trigger, Weekly):
        return local.weekday() in trigger.days and _week_counts(trigger, local.date())
    return local.date() in _rolled_near(trigger, local.year, local.month)


def _week_counts(trigger: Weekly, day: date) -> bool:
    """Walk from the week of ``start`` to that of ``day``."""
    if trigger.start is None:
        return True
    monday = trigger.start - timedelta(days=trigger.start.isocalendar().weekday - 1)
    return (day - timedelta(days=day.isocalendar().weekday - 1) - monday).days % (7 * trigger.every) == 0


@lru_cache(maxsize=10_000)
def _rolled_near(trigger: Monthly, year: int, month: int) -> frozenset[date]:
    """Return the days of a trigger that are named within three months of this one, each after it was rolled."""
    first = date(year, month, 1) - timedelta(days=100)
    return frozenset(
        _rolled(trigger, day) for day in (first + timedelta(days=n) for n in range(240)) if _is_named(trigger, day)
    )


def _is_named(trigger: Monthly, day: date) -> bool:
    if trigger.start is not None:
        months = (day.year - trigger.start.year) * 12 + day.month - trigger.start.month
        if months % trigger.every:
            return False
    return any(_is_day(one, day, trigger.holidays) for one in trigger.days)


def _rolled(trigger: Monthly, day: date) -> date:
    step = {"": 0, "next": 1, "previous": -1}[trigger.roll]
    while step and not is_workday(day, trigger.holidays):
        day += timedelta(days=step)
    return day


def is_workday(day: date, holidays: DaySet | None) -> bool:
    """Return True if a day is one from Monday to Friday and not in the calendar."""
    return day.isoweekday() <= 5 and (holidays is None or day not in days_of(holidays))


@lru_cache(maxsize=1000)
def days_of(calendar: DaySet) -> frozenset[date]:
    """Return the days of a calendar, which has no country."""
    assert not calendar.country
    numbers = struct.unpack(f"{len(calendar.dates) // 4}i", calendar.dates)
    return frozenset(EPOCH.date() + timedelta(days=number) for number in numbers)


def _is_day(named: int | NthWeekday, day: date, holidays: DaySet | None) -> bool:
    length = calendar.monthrange(day.year, day.month)[1]
    if not isinstance(named, NthWeekday):
        return day.day == named if named > 0 else day.day - length - 1 == named
    of_month = [day.replace(day=number) for number in range(1, length + 1)]
    if named.weekday == WORKDAY:
        like = [one for one in of_month if is_workday(one, holidays)]
    else:
        like = [one for one in of_month if one.weekday() == named.weekday]
    return day in like and (like.index(day) + 1 == named.nth or like.index(day) - len(like) == named.nth)


@lru_cache(maxsize=1000)
def _cronsim(expression: str) -> CronSim:
    return CronSim(expression, datetime(2000, 1, 1, tzinfo=UTC))


def _cron_names(expression: str, local: datetime) -> bool:
    cron = _cronsim(expression)
    return (
        local.minute in cron.minutes
        and local.hour in cron.hours
        and local.second in cron.seconds
        and local.month in cron.months
        and cron.match_day(local.date())
    )


def _follows_elapsed_time(expression: str) -> bool:
    minute, hour = expression.split()[-5:-3]
    return minute[0] == "*" or hour[0] == "*"


def _grid(every: Every, start: datetime, end: datetime) -> Iterator[int]:
    slot = _us(resolve(every.anchor))
    slot += (_us(start) - slot) // every.period_us * every.period_us
    while slot < _us(end):
        if slot >= _us(start):
            yield slot
        slot += every.period_us


def resolve(moment: Moment) -> datetime:
    """Return the instant of a moment: the first of two; after a gap, found by walking to its end second by second."""
    if moment.instant_us is not None:
        return EPOCH + timedelta(microseconds=moment.instant_us)
    assert moment.local is not None
    tz = zone(moment.zone)
    instant = moment.local.replace(tzinfo=tz).astimezone(UTC)
    if instant.astimezone(tz).replace(tzinfo=None) == moment.local:
        return instant
    after = instant.astimezone(tz).utcoffset()
    while (instant - timedelta(seconds=1)).astimezone(tz).utcoffset() == after:
        instant -= timedelta(seconds=1)
    return instant


def allowed(limits: Limits, instant: datetime) -> bool:
    """Return True if the limits allow an instant."""
    local = instant.astimezone(zone(limits.zone))
    today = local.date()
    length = calendar.monthrange(local.year, local.month)[1]
    return not (
        (limits.hours is not None and not _in_hours(limits.hours, instant))
        or (limits.weekdays and local.weekday() not in limits.weekdays)
        or (limits.month_days and not {local.day, local.day - length - 1} & set(limits.month_days))
        or (limits.months and local.month not in limits.months)
        or (limits.first is not None and today < limits.first)
        or (limits.last is not None and today > limits.last)
        or today in limits.except_dates
        or any(today in days_of(one) for one in limits.not_on)
        or (limits.only_on and not any(today in days_of(one) for one in limits.only_on))
    )


def _in_hours(hours: Hours, instant: datetime) -> bool:
    local = instant.astimezone(zone(hours.zone))
    time = local.hour * 3600 + local.minute * 60 + local.second
    if hours.start < hours.end:
        return hours.start <= time < hours.end
    return time >= hours.start or time < hours.end


@lru_cache(maxsize=1000)
def zone(name: str) -> tzinfo:
    """Return the zone of an IANA name or an offset such as ``+05:30``."""
    if name[0] not in "+-":
        return ZoneInfo(name)
    offset = timedelta(hours=int(name[1:3]), minutes=int(name[4:6]))
    return timezone(-offset if name[0] == "-" else offset)
