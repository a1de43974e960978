"""Random schedules, limits, zones and stretches of time, made to hit what is hard about local time."""

from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from random import Random
from typing import TYPE_CHECKING, Any, NamedTuple

from akjob.schedule.daysets import pack
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
from tests.unit.schedule.oracle import zone

if TYPE_CHECKING:
    from collections.abc import Callable

DAY = 86_400

ZONES = {
    # zone: years in which its offset changes in an interesting way
    "Europe/Berlin": (1980, 1996, 2026, 2036, 2038, 2150, 2437, 2777),
    "America/New_York": (1987, 2006, 2007, 2026, 2100, 2600),
    "America/Sao_Paulo": (2008, 2017, 2018, 2019),  # at midnight; given up in 2019
    "Asia/Beirut": (1993, 2022, 2023, 2026),  # at midnight
    "Africa/Cairo": (2010, 2014, 2023, 2026),  # at midnight, with a pause from 2014 to 2023
    "America/Havana": (2006, 2013, 2026),  # the gap begins at midnight
    "Australia/Lord_Howe": (1981, 1985, 2026, 2040),  # half an hour
    "Antarctica/Troll": (2006, 2026),  # two hours
    "Pacific/Apia": (2010, 2011, 2012, 2020, 2021),  # 2011-12-30 was left out
    "Pacific/Kwajalein": (1969, 1993),  # 1993-08-21 was left out
    "Pacific/Kiritimati": (1979, 1994),
    "Africa/Casablanca": (2018, 2026, 2030, 2087),  # twice a year around Ramadan
    "Europe/Dublin": (1971, 2026),  # negative daylight saving time
    "America/Nuuk": (2022, 2023, 2024, 2026),  # the gap ends at 23:00, before midnight
    "America/Caracas": (2007, 2016),  # half an hour, once
    "Asia/Pyongyang": (2015, 2018),
    "Europe/Moscow": (1991, 2010, 2011, 2014),
    "Asia/Kathmandu": (1985, 1986),
    "America/St_Johns": (1988, 2007, 2011, 2026),  # at 00:01 until 2011, two hours in 1988
    "Asia/Gaza": (2015, 2023, 2026),
    "America/Asuncion": (2010, 2023, 2024),
    "America/Anchorage": (1983, 2026),
    "Australia/Sydney": (2000, 2026),
    "Asia/Tehran": (2008, 2021, 2022),
    "Asia/Kolkata": (2026,),
    "UTC": (2026, 2100),
    "+05:30": (2026,),
    "-03:00": (2026,),
    "+14:00": (2026,),
}


class Case(NamedTuple):
    """One question: the schedule's slots in [start, end), which a walk in steps of ``step`` can answer."""

    schedule: Schedule
    start: datetime
    end: datetime
    step: timedelta


def make_case(random: Random) -> Case:
    """Make a case: minutes around a change of the clock, seconds around it, or half hours over more than a year."""
    name = random.choice(list(ZONES))
    centre = _centre(random, name)
    kind = random.choice(("minutes", "minutes", "seconds", "year"))
    if kind == "minutes":
        start, end = centre - timedelta(days=random.choice((1, 2))), centre + timedelta(days=random.choice((1, 2)))
        step = 60
    elif kind == "seconds":
        start, end = centre - timedelta(minutes=random.randrange(100)), centre + timedelta(minutes=100)
        step = 1
    else:
        start, end = centre - timedelta(days=random.randrange(300)), centre + timedelta(days=100)
        step = 900 if name == "Asia/Kathmandu" else 1800
    schedule = make_schedule(random, name, centre, step)
    used = {name, schedule.limits.zone, *_zones_of(schedule)}
    if kind == "year" and (step == 900 or _odd(used, start, end)):
        start, end, step = centre - timedelta(days=3), centre + timedelta(days=3), 60
    start = start.replace(second=0, minute=start.minute // 30 * 30) if step > 1 else start
    return Case(schedule, start, end, timedelta(seconds=step))


def _zones_of(schedule: Schedule) -> set[str]:
    parts = (schedule.daily, *schedule.weekly, *schedule.monthly, *schedule.cron, schedule.limits.hours)
    return {part.zone for part in parts if part is not None}


def _odd(names: set[str], start: datetime, end: datetime) -> bool:
    """Return True if a clock of that time is off the half hours, or changes there: half hour steps would miss it."""
    half_hour = timedelta(minutes=30)
    for name in names:
        offset = start.astimezone(zone(name)).utcoffset() or timedelta()
        changes = [change for year in range(start.year, end.year + 1) for change in changes_of(name, year)]
        if offset % half_hour or any((change - start.replace(minute=0, second=0)) % half_hour for change in changes):
            return True
    return False


def make_schedule(random: Random, name: str, centre: datetime, step: int) -> Schedule:
    """Make a schedule of one to three triggers whose times are whole multiples of ``step`` seconds."""
    make: dict[str, Callable[[], dict[str, object]]] = {
        "daily": lambda: {"daily": Weekly(tuple(range(7)), _times(random, name, centre, step), name)},
        "weekly": lambda: {"weekly": tuple(_weekly(random, name, centre, step) for _ in range(random.choice((1, 2))))},
        "monthly": lambda: {"monthly": (_monthly(random, name, centre, step),)},
        "cron": lambda: {"cron": (Cron(make_cron(random, step), name),)},
        "every": lambda: {"every": _every(random, name, centre, step)},
        "at": lambda: {"at": tuple(_moment(random, name, centre, step) for _ in range(random.randrange(1, 6)))},
    }
    chosen = random.sample(list(make), random.choice((1, 1, 1, 2, 3)))
    parts: dict[str, object] = {}
    for kind in chosen:
        parts.update(make[kind]())
    limits = make_limits(random, name, centre, step) if random.random() < 0.6 else Limits(zone=name)
    return Schedule(zone=name, limits=limits, **parts)  # type: ignore[arg-type]


def make_limits(random: Random, name: str, centre: datetime, step: int) -> Limits:
    """Make limits of up to three kinds, at times in another zone."""
    today = centre.astimezone(zone(name)).date()
    near = [_shifted(today, days) for days in range(-4, 5)]
    make: dict[str, Callable[[], object]] = {
        "hours": lambda: _hours(random, name, centre, step),
        "weekdays": lambda: tuple({day.weekday() for day in random.sample(near, random.randrange(1, 6))}),
        "month_days": lambda: tuple({random.choice((day.day, -1, -2, 31, 29, 1)) for day in random.sample(near, 4)}),
        "months": lambda: tuple({today.month, *random.sample(range(1, 13), random.randrange(6))}),
        "first": lambda: random.choice(near),
        "last": lambda: random.choice(near),
        "except_dates": lambda: tuple(random.sample(near, random.randrange(1, 4))),
        "not_on": lambda: tuple(_calendar(random, today) for _ in range(random.choice((1, 1, 2)))),
        "only_on": lambda: tuple(_calendar(random, today) for _ in range(random.choice((1, 1, 2)))),
    }
    chosen = random.sample(list(make), random.choice((1, 1, 2, 3)))
    values: dict[str, object] = {kind: make[kind]() for kind in chosen}
    return Limits(zone=_zone_for(random, name), **values)  # type: ignore[arg-type]


def make_cron(random: Random, step: int) -> str:
    """Make a cron expression; with steps of a second it has six fields, of half an hour only their minutes."""
    if step >= 900:
        minute = random.choice(("0", "30", "0,30", "*/30"))
    else:
        minute = random.choice(
            ("*", "*/5", "*/7", "0", "30", "59", "5-20", "1-59/13", "0,15,45", f"{random.randrange(60)}")
        )
    hour = random.choice(
        ("*", "*/2", "*/5", "0", "1", "2", "3", "23", "0-3", "22,23", "1-23/2", f"{random.randrange(24)}")
    )
    day = random.choice(("*", "*", "*", "*/2", "*/3", "1", "30", "31", "L", "LW", "28-31", "1,L", "1-15", "10-31/3"))
    month = random.choice(("*", "*", "*", "*", "*/2", "1-6", "JAN,MAR,APR,OCT,NOV,DEC", "3", "10"))
    weekday = random.choice(
        ("*", "*", "*", "*/2", "SUN", "0", "7", "1-5", "SAT,SUN", "5L", "SUN#5", "0L,MON#1", "5-7", "6#4")
    )
    fields = [minute, hour, day, month, weekday]
    if step == 1:
        fields.insert(0, random.choice(("*", "0", "*/13", "30", "59", "10-20", "0,7,58")))
    return " ".join(fields)


def _centre(random: Random, name: str) -> datetime:
    """Return an instant at which the zone's offset changes, of one of its years; any instant when none changes."""
    year = random.choice(ZONES[name])
    changes = changes_of(name, year)
    if changes and random.random() < 0.9:
        return random.choice(changes)
    return datetime(year, 1, 1, tzinfo=UTC) + timedelta(hours=random.randrange(366 * 24))


@lru_cache(maxsize=1000)
def changes_of(name: str, year: int) -> tuple[datetime, ...]:
    """Return the instants of a year at which a zone's offset changes, by looking at each hour, then each second."""
    tz = zone(name)
    moment = datetime(year, 1, 1, tzinfo=UTC)
    hour = timedelta(hours=1)
    found = []
    while moment.year == year:
        if moment.astimezone(tz).utcoffset() != (moment + hour).astimezone(tz).utcoffset():
            second = moment
            while second.astimezone(tz).utcoffset() == moment.astimezone(tz).utcoffset():
                second += timedelta(seconds=1)
            found.append(second)
        moment += hour
    return tuple(found)


def _zone_for(random: Random, name: str) -> str:
    return name if random.random() < 0.7 else random.choice(list(ZONES))


def _times(random: Random, name: str, centre: datetime, step: int) -> tuple[int, ...]:
    """Return times of day, most of them near the clock's change."""
    return tuple({_time(random, name, centre, step) for _ in range(random.choice((1, 1, 2, 3)))})


def _time(random: Random, name: str, centre: datetime, step: int) -> int:
    local = (centre - timedelta(hours=random.randrange(3))).astimezone(zone(name))
    near = local.hour * 3600 + local.minute * 60 + random.randrange(-7200, 7200)
    time = near if random.random() < 0.7 else random.randrange(DAY)
    return time % DAY // step * step


def _weekly(random: Random, name: str, centre: datetime, step: int) -> Weekly:
    days = tuple(random.sample(range(7), random.randrange(1, 7)))
    times, zone_name = _times(random, name, centre, step), _zone_for(random, name)
    if random.random() < 0.6:
        return Weekly(days, times, zone_name)
    start = _shifted(centre.astimezone(zone(name)).date(), random.randrange(-1500, 1500))
    return Weekly(days, times, zone_name, every=random.choice((1, 2, 2, 2, 3, 4, 13, 52)), start=start)


def _monthly(random: Random, name: str, centre: datetime, step: int) -> Monthly:
    today = centre.astimezone(zone(name))
    days: set[int | NthWeekday] = set()
    for _ in range(random.randrange(1, 4)):
        near = (today + timedelta(days=random.randrange(-3, 4))).day
        nth = NthWeekday(random.choice((1, 2, 3, 4, 5, -1)), random.randrange(7))
        workday = NthWeekday(random.choice((1, 2, 3, 15, 20, 22, -1, -2, -20, -23)), WORKDAY)
        days.add(random.choice((near, near, 31, 30, 29, -1, -2, -31, nth, nth, workday)))
    more: dict[str, Any] = {}
    if random.random() < 0.4:
        more["roll"] = random.choice(("next", "previous"))
    if random.random() < 0.4:
        more["holidays"] = _calendar(random, today.date())
    if random.random() < 0.3:
        more["every"] = random.choice((1, 2, 3, 6, 12, 7))
        more["start"] = _shifted(today.date(), random.randrange(-1500, 1500))
    return Monthly(tuple(days), _times(random, name, centre, step), _zone_for(random, name), **more)


def _calendar(random: Random, today: date) -> DaySet:
    """Make a calendar of single days and stretches near a day, some of them far away; at times of none."""
    days: set[date] = set()
    for _ in range(random.randrange(5)):
        begin = _shifted(today, random.choice((random.randrange(-5, 5), random.randrange(-300, 300), 40_000)))
        days.update(_shifted(begin, n) for n in range(random.choice((1, 1, 2, 5, 40))))
    return DaySet(random.choice(("holidays", "freeze")), pack(days))


def _every(random: Random, name: str, centre: datetime, step: int) -> Every:
    if step == 1:
        period = random.choice((1, 7, 60, 61, 90, 599, 3600, 3601))
    elif step == 60:
        period = random.choice((60, 300, 420, 3600, 3660, 7200, DAY, 7 * DAY, 5400))
    else:
        period = random.choice(
            (1800, 3600, 7200, 5 * 3600, DAY, 2 * DAY, 7 * DAY, 25 * 3600, 61 * 3600, 19 * DAY + 1800)
        )
    fraction = random.choice((0, 0, 0, 250_000)) if period < 7200 else 0
    epoch = Moment(datetime(1970, 1, 1), None, name)  # noqa: DTZ001 - a local time
    anchor = epoch if random.random() < 0.5 else _moment(random, name, centre, step)
    return Every(period * 1_000_000 + fraction, anchor)


def _moment(random: Random, name: str, centre: datetime, step: int) -> Moment:
    instant = centre + timedelta(seconds=random.randrange(-3 * DAY, 3 * DAY) // step * step)
    if step == 1:
        instant = centre + timedelta(seconds=random.randrange(-7200, 7200))
    if random.random() < 0.2:
        return Moment(None, int((instant - datetime(1970, 1, 1, tzinfo=UTC)).total_seconds()) * 1_000_000, name)
    # Added to the wall clock, so that it may well be a local time that does not exist.
    local = centre.astimezone(zone(name)).replace(tzinfo=None) + (instant - centre)
    return Moment(local, None, name)


def _hours(random: Random, name: str, centre: datetime, step: int) -> Hours:
    start, end = _time(random, name, centre, step), _time(random, name, centre, step)
    if start == end:
        end = (start + max(step, 3600)) % DAY
    return Hours(start, end, _zone_for(random, name))


def _shifted(day: date, days: int) -> date:
    return day + timedelta(days=days)
