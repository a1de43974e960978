"""Short ways to write schedules and to read slots in the tests of this room."""

from datetime import datetime

from akjob.instants import SECOND, from_text, to_datetime
from akjob.schedule import Memory, compile_schedule, get_zone, next_slots
from akjob.schedule.model import Cron, Every, Hours, Limits, Moment, Monthly, NthWeekday, Schedule, Weekly

BERLIN = "Europe/Berlin"
MON, TUE, WED, THU, FRI, SAT, SUN = range(7)


def clock(text: str) -> int:
    """Return the seconds since midnight of ``09:30`` or ``09:30:15``."""
    hour, minute, second = (*(int(part) for part in text.split(":")), 0)[:3]
    return hour * 3600 + minute * 60 + second


def daily(*times: str, zone: str = BERLIN) -> Weekly:
    """Return every day at these times."""
    return Weekly(tuple(range(7)), tuple(clock(text) for text in times), zone)


def weekly(*days: int, at: str, zone: str = BERLIN) -> Weekly:
    """Return these weekdays at one time."""
    return Weekly(days, (clock(at),), zone)


def monthly(*days: int | NthWeekday, at: str = "00:00", zone: str = BERLIN) -> Monthly:
    """Return these days of the month at one time."""
    return Monthly(days, (clock(at),), zone)


def hours(start: str, end: str, zone: str = BERLIN) -> Hours:
    """Return the limit on the hours."""
    return Hours(clock(start), clock(end), zone)


def local(text: str, zone: str = BERLIN) -> Moment:
    """Return a local moment."""
    return Moment(datetime.fromisoformat(text), None, zone)


def every(seconds: float, anchor: Moment | None = None) -> Every:
    """Return a grid; its anchor is the epoch of UTC unless given."""
    return Every(round(seconds * SECOND), anchor or local("1970-01-01T00:00:00", "UTC"))


def cron(*expressions: str, zone: str = BERLIN, limits: Limits | None = None) -> Schedule:
    """Return a schedule of cron expressions alone."""
    return Schedule(zone=zone, cron=tuple(Cron(text, zone) for text in expressions), limits=limits or Limits(zone=zone))


def after(schedule: Schedule, instant: str, count: int = 3, memory: Memory | None = None) -> list[str]:
    """Return the next slots as ``2026-03-29T03:00+02:00``, in the schedule's zone, seconds where there are any."""
    found = next_slots(compile_schedule(schedule), from_text(instant), count, memory)
    return [_text(slot, schedule.zone) for slot in found]


def _text(slot: int, zone: str) -> str:
    moment = to_datetime(slot).astimezone(get_zone(zone))
    return moment.isoformat(timespec="auto" if moment.second or moment.microsecond else "minutes")
