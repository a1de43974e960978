"""Which schedules, or triggers among others, can never fire; and which lie wholly in the past."""

from collections.abc import Iterator
from datetime import date
from functools import lru_cache

from msgspec.structs import replace

from akjob.errors import Severity
from akjob.instants import SECOND, to_text
from akjob.schedule.daysets import day_number
from akjob.schedule.limits import LimitRule, limit_rule
from akjob.schedule.model import Cron, Limits, Moment, Schedule
from akjob.schedule.plan import Part, Plan, compile_schedule, make_trigger, schedule_parts
from akjob.schedule.triggers import START_S, Calendar, instant_of, open_windows
from akjob.schedule.zones import CYCLE_S, DAY_S, EPOCH_ORDINAL

Place = tuple[str | int, ...]
Finding = tuple[Place, str, Severity]
"""The key's path in the job file, what is wrong, and how bad it is."""


def never_fires(schedule: Schedule, now_us: int) -> list[Finding]:
    """Return what can never fire: an error for a whole schedule, a warning for one trigger among others.

    ``at`` and ``limits.dates`` that lie wholly before ``now_us`` are an info: time alone must not make a file wrong.
    A schedule without any trigger is fine: its job runs by hand.
    """
    return list(_found(schedule, now_us))


def fires_in_gaps_only(schedule: Schedule, now_us: int) -> list[tuple[Place, str]]:
    """Return the triggers whose every named time is outside of the hours, but that fire where a clock leaps forward.

    02:30 then means 03:00, which ``hours`` may allow: one slot a year, and hardly what is meant.
    """
    plan = compile_schedule(schedule)
    if schedule.limits.hours is None:
        return []
    why = "limits.hours allows it only in the night in which the clock goes forward"
    return [
        (("schedule", *place), why)
        for (place, _), trigger in zip(schedule_parts(schedule), plan.triggers, strict=True)
        if isinstance(trigger, Calendar) and trigger.only_in_gaps(now_us // SECOND)
    ]


@lru_cache(maxsize=4096)  # many jobs of a folder share their schedule
def _found(schedule: Schedule, now_us: int) -> tuple[Finding, ...]:
    plan = compile_schedule(schedule)
    if all(trigger.first(now_us + 1) is not None for trigger in plan.triggers):
        no_limits = plan.limits.trivial
        if no_limits or not (schedule.at or any(_remembered(schedule))):
            return ()
    return tuple(_examine(plan, now_us))


def _examine(plan: Plan, now_us: int) -> list[Finding]:
    schedule, limits = plan.schedule, plan.schedule.limits
    dead: dict[Place, str] = {}
    past: list[Place] = []
    for place, coming, ever, part in _triggers(plan, now_us):
        if not ever:
            dead[place] = _why(part, limits, now_us) if part else "the limits allow no instant at all"
        elif not coming:
            past.append(place)
    if dead and len(dead) == _count(plan):
        reasons = "; ".join(f"{_name(place)}: {why}" for place, why in dead.items())
        return [(("schedule",), f"the job can never be due: {reasons}", "error")]
    findings: list[Finding] = [
        (("schedule", *place), f"this can never fire: {why}", "warning") for place, why in dead.items()
    ]
    if schedule.at and ("at",) not in dead:
        findings += _forbidden_moments(schedule.at, plan.limits)
    if ("at",) in past:
        last = max(instant_of(moment) for moment in schedule.at)
        findings.append((("schedule", "at"), f"all of it lies in the past (the last is {_short(last)})", "info"))
    over = [place for place in past if place != ("at",)]
    last_day = plan.limits.last_day
    if over and limits.only_on and (limits.last is None or last_day != day_number(limits.last)):
        day = date.fromordinal(max(1, (last_day or 0) + EPOCH_ORDINAL))
        findings.append((("limits", "only_on"), f"all of it lies in the past (the last is {day})", "info"))
    elif over and limits.last is not None:
        findings.append((("limits", "dates"), f"all of it lies in the past (the last is {limits.last})", "info"))
    elif over:
        # Only what a zone's clock did once, such as leaving out a day, can end a schedule without a last date.
        findings += [(("schedule", *place), "all its slots lie in the past", "info") for place in over]
    return findings


def _triggers(plan: Plan, now_us: int) -> Iterator[tuple[Place, bool, bool, Part | None]]:
    """Yield each trigger: its place, whether it will fire, whether it fires at any time, and its part if it has one."""
    limits = plan.schedule.limits
    for (place, part), trigger in zip(schedule_parts(plan.schedule), plan.triggers, strict=True):
        coming = trigger.first(now_us + 1) is not None
        yield place, coming, coming or trigger.first(_beginning_us(limits, part, now_us)) is not None, part
    for name in _remembered(plan.schedule):
        coming = plan.opens(now_us) is not None
        yield (name,), coming, coming or _opens(limits, now_us), None


def _remembered(schedule: Schedule) -> Iterator[str]:
    """Yield the keys of the triggers that need more than the calendar."""
    if schedule.again_after_us is not None:
        yield "again_after"
    yield from (event.key for event in schedule.events)


def _count(plan: Plan) -> int:
    return len(plan.triggers) + len(list(_remembered(plan.schedule)))


def _beginning_us(limits: Limits, part: Part | None, now_us: int) -> int:
    """Return an instant from which on all that the file alone permits can be seen, whatever time it is now."""
    if isinstance(part, tuple):
        return START_S * SECOND
    begin = now_us
    rule = limit_rule(limits)
    for day, slack in ((rule.first_day, 2 * DAY_S), (rule.last_day, 2 * DAY_S + CYCLE_S)):
        if day is not None:
            begin = min(begin, (day * DAY_S - slack) * SECOND)
    return max(begin, START_S * SECOND)


def _why(part: Part, limits: Limits, now_us: int) -> str:
    """Return why a trigger can never fire, naming the limit that is to blame where it is one alone."""
    if not _fires(part, Limits(), now_us):
        what = f"cron {part.expression!r} names" if isinstance(part, Cron) else "it names"
        return f"{what} no day that exists"
    if not _opens(limits, now_us):
        return "the limits allow no instant at all"
    blamed = [name for name, fewer in _without_one(limits) if _fires(part, fewer, now_us)]
    if len(blamed) == 1:
        return f"limits.{blamed[0]} never allows it"
    if blamed:
        return " and ".join(f"limits.{name}" for name in blamed) + " together never allow it"
    return "the limits together never allow it"


def _without_one(limits: Limits) -> Iterator[tuple[str, Limits]]:
    if limits.hours is not None:
        yield "hours", replace(limits, hours=None)
    if limits.weekdays:
        yield "weekdays", replace(limits, weekdays=())
    if limits.month_days:
        yield "month_days", replace(limits, month_days=())
    if limits.months:
        yield "months", replace(limits, months=())
    if limits.first is not None or limits.last is not None:
        yield "dates", replace(limits, first=None, last=None)
    if limits.except_dates:
        yield "except_dates", replace(limits, except_dates=())
    if limits.not_on:
        yield "not_on", replace(limits, not_on=())
    if limits.only_on:
        yield "only_on", replace(limits, only_on=())


def _fires(part: Part, limits: Limits, now_us: int) -> bool:
    return make_trigger(part, LimitRule(limits)).first(_beginning_us(limits, part, now_us)) is not None


def _opens(limits: Limits, now_us: int) -> bool:
    return open_windows(LimitRule(limits)).first(_beginning_us(limits, None, now_us)) is not None


def _forbidden_moments(moments: tuple[Moment, ...], limits: LimitRule) -> Iterator[Finding]:
    for index, moment in enumerate(moments):
        if not limits.allows(instant_of(moment) // SECOND):
            yield ("schedule", "at", index), "this can never fire: the limits forbid it", "warning"


def _name(place: Place) -> str:
    return str(place[0]) + "".join(f"[{index}]" for index in place[1:])


def _short(instant_us: int) -> str:
    return to_text(instant_us - instant_us % SECOND)[:19] + "Z"
