"""What a definition's schedule says of one instant: a slot, excluded by a limit, or moved by a change of the clock."""

from datetime import datetime, timedelta, tzinfo

from msgspec import Struct
from msgspec.structs import replace

from akjob.instants import SECOND, to_datetime
from akjob.schedule import compile_schedule, get_zone, next_slot, previous_slot
from akjob.schedule.limits import limit_rule
from akjob.schedule.model import Limits, Schedule

_CALENDARS = ("not_on", "only_on")
_KEYS = {"first": "dates", "last": "dates"}


class Excluded(Struct, frozen=True):
    """A key of ``[limits]`` that does not allow an instant."""

    key: str
    is_calendar: bool


def is_slot(schedule: Schedule, at_us: int) -> bool:
    """Return True if an instant is a slot by the calendar: by the triggers that need no past, within the limits."""
    return next_slot(compile_schedule(schedule), at_us - 1) == at_us


def slot_before(schedule: Schedule, until_us: int) -> int | None:
    """Return the last slot by the calendar up to an instant, ``until_us`` included; None for none in 28 years."""
    return previous_slot(compile_schedule(schedule), until_us + 1)


def excluded_by(schedule: Schedule, at_us: int) -> tuple[Excluded, ...]:
    """Return the limits without which an instant would be a slot; empty where the triggers do not name it either."""
    limits = schedule.limits
    if not is_slot(replace(schedule, limits=Limits(zone=limits.zone)), at_us):
        return ()
    found: dict[str, Excluded] = {}
    for field in Limits.__struct_fields__:
        value = getattr(limits, field)
        alone = Limits(zone=limits.zone) if field == "zone" else Limits(**{"zone": limits.zone, field: value})
        if not limit_rule(alone).allows(at_us // SECOND):
            key = _KEYS.get(field, field)
            found[key] = Excluded(key, key in _CALENDARS)
    return tuple(found.values())


def excluded_days(schedule: Schedule, after_us: int, until_us: int, count: int) -> list[int]:
    """Return the first instants between two that a calendar or a date excludes, and that would be slots without it."""
    limits = schedule.limits
    if not (limits.except_dates or limits.not_on or limits.only_on):
        return []
    without = replace(limits, except_dates=(), not_on=(), only_on=())
    plan, found = compile_schedule(replace(schedule, limits=without)), list[int]()
    at_us: int | None = after_us
    while len(found) < count and at_us is not None:
        at_us = next_slot(plan, at_us)
        if at_us is None or at_us >= until_us:
            break
        if not is_slot(schedule, at_us):
            found.append(at_us)
    return found


def clock_note(schedule: Schedule, at_us: int) -> str:
    """Return what a change of the local clock has to do with an instant; empty where it has nothing to do with it."""
    zone = get_zone(schedule.zone)
    if is_slot(schedule, at_us):
        gap = _gap_ending_at(at_us, zone)
        if not gap or is_slot(_with_fixed_offset(schedule, at_us, zone), at_us):
            return ""
        return f"{_clocks(at_us, gap, zone)}: what falls in between starts at that instant"
    return _in_or_after_gap(schedule, at_us, zone) or _second_time(schedule, at_us, zone)


def _with_fixed_offset(schedule: Schedule, at_us: int, zone: tzinfo) -> Schedule:
    """Return a schedule as if its clock were always set as it is at an instant."""
    moment = to_datetime(at_us).astimezone(zone)
    fixed = f"{moment:%z}"[:5]
    name = f"{fixed[:3]}:{fixed[3:]}"
    return replace(
        schedule,
        zone=name,
        at=tuple(replace(one, zone=name) for one in schedule.at),
        daily=None if schedule.daily is None else replace(schedule.daily, zone=name),
        weekly=tuple(replace(one, zone=name) for one in schedule.weekly),
        monthly=tuple(replace(one, zone=name) for one in schedule.monthly),
        cron=tuple(replace(one, zone=name) for one in schedule.cron),
    )


def _in_or_after_gap(schedule: Schedule, at_us: int, zone: tzinfo) -> str:
    """Return a note for a time that the clock skipped, as it would be with the offset before."""
    start_us = at_us - at_us % (15 * 60 * SECOND)
    for back in range(9):
        end_us = start_us - back * 15 * 60 * SECOND
        gap = _gap_ending_at(end_us, zone)
        if gap and at_us < end_us + gap and is_slot(schedule, end_us):
            return (
                f"{_clocks(end_us, gap, zone)}: a time in between does not exist, and its slot is {_wall(end_us, zone)}"
            )
    return ""


def _second_time(schedule: Schedule, at_us: int, zone: tzinfo) -> str:
    """Return a note for a time that the clock shows for the second time."""
    local = to_datetime(at_us).astimezone(zone)
    if not local.fold:
        return ""
    back = (local.replace(fold=0).utcoffset() or timedelta()) - (local.utcoffset() or timedelta())
    first_us = at_us - back // timedelta(microseconds=1)
    if not is_slot(schedule, first_us):
        return ""
    return (
        f"{local:%H:%M:%S} exists twice on {local:%Y-%m-%d}: the slot is the first of the two, {_wall(first_us, zone)}"
    )


def _gap_ending_at(at_us: int, zone: tzinfo) -> int:
    """Return by how much the local clock jumps forward at an instant; 0 where it does not."""
    after, before = (to_datetime(one).astimezone(zone).utcoffset() or timedelta() for one in (at_us, at_us - SECOND))
    return max(0, (after - before) // timedelta(microseconds=1))


def _clocks(at_us: int, gap_us: int, zone: tzinfo) -> str:
    local = to_datetime(at_us).astimezone(zone)
    before: datetime = local.replace(tzinfo=None) - timedelta(microseconds=gap_us)
    return f"on {local:%Y-%m-%d} the clock jumps from {before:%H:%M} to {local:%H:%M}"


def _wall(at_us: int, zone: tzinfo) -> str:
    return to_datetime(at_us).astimezone(zone).isoformat()
