"""A schedule in words, for people: ``every Monday and Thursday at 09:30 Europe/Berlin``."""

from collections.abc import Iterator
from datetime import date, datetime, timedelta

from akjob.instants import SECOND, to_datetime
from akjob.schedule.cycles import uses_workdays
from akjob.schedule.daysets import until_year
from akjob.schedule.model import (
    WORKDAY,
    Cron,
    DaySet,
    Every,
    Limits,
    Moment,
    Monthly,
    NthWeekday,
    Schedule,
    Weekly,
)
from akjob.schedule.plan import Part, compile_schedule, schedule_parts
from akjob.schedule.triggers import Calendar, instant_of
from akjob.schedule.wording import duration_words, list_words
from akjob.schedule.zones import DAY_S, FAR_FUTURE_S, Segment, get_zone, integer_zone

WEEKDAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
MONTHS = (
    *("January", "February", "March", "April", "May", "June"),
    *("July", "August", "September", "October", "November", "December"),
)
_ORDINALS = {1: "first", 2: "second", 3: "third", 4: "fourth", 5: "fifth", -1: "last"}
_SHORTEST, _SHORTEST_WORK, _WEEKS = 28, 15, 4
_MOST_LISTED = 5
_CHANGES_LOOKED_AT = 24


def describe(schedule: Schedule, now_us: int) -> list[str]:
    """Return the schedule in words: a line for each trigger and limit, jitter, and what the clock does to it."""
    lines = [_trigger(part, schedule.zone) for _, part in schedule_parts(schedule)]
    if schedule.again_after_us is not None:
        lines.append(f"again {duration_words(schedule.again_after_us)} after the last run ended")
    lines += [event.words() for event in schedule.events]
    if not lines:
        return ["by hand only"]
    lines += _workdays(schedule)
    lines += _limits(schedule.limits, schedule.zone)
    if schedule.jitter_us:
        lines.append(f"each start up to {duration_words(schedule.jitter_us)} later, always by the same amount")
    return lines + _irregularity(schedule, now_us)


def _workdays(schedule: Schedule) -> Iterator[str]:
    """Yield what a workday is, where a trigger asks for it."""
    for calendar in dict.fromkeys(part.holidays for part in schedule.monthly if uses_workdays(part)):
        besides = f" without the days of {_calendar(calendar)}" if calendar is not None else ""
        yield f"workdays are Monday to Friday{besides}"


def _calendar(calendar: DaySet) -> str:
    """Return the name of a calendar, and until when its holidays are known."""
    if not calendar.country:
        return calendar.name
    place = f"{calendar.country}-{calendar.subdivision}" if calendar.subdivision else calendar.country
    return f"{calendar.name} (holidays of {place}, known until {until_year(calendar)})"


def _trigger(part: Part, zone: str) -> str:
    if isinstance(part, Weekly):
        return _weekly(part)
    if isinstance(part, Monthly):
        return _monthly(part)
    if isinstance(part, Cron):
        from cronsim.explain import explain  # noqa: PLC0415 - only for people, not for akjobd

        words = explain(part.expression)
        return f"{words[0].lower()}{words[1:]} {part.zone} (cron {part.expression})"
    if isinstance(part, Every):
        return _every(part, zone)
    shown = [_moment(moment, zone) for moment in sorted(part, key=instant_of)[:_MOST_LISTED]]
    if len(part) > _MOST_LISTED:
        shown[-1:] = [f"{len(part) - _MOST_LISTED + 1:,} more times"]
    return f"{'once ' if len(part) == 1 else ''}at {list_words(shown)}"


def _every(part: Every, zone: str) -> str:
    anchor = part.anchor
    text = f"every {duration_words(part.period_us, single=False)}"
    if anchor.local != datetime(1970, 1, 1) or anchor.instant_us is not None:  # noqa: DTZ001 - a local time
        text += f", counted from {_moment(anchor, zone)}"
    if part.period_us % (DAY_S * SECOND) == 0 and integer_zone(zone).rule_changes:
        text += f"; in elapsed time, so that it moves when the clock in {zone} changes"
    return text


def _weekly(part: Weekly) -> str:
    when = f"at {_times(part.times)} {part.zone}"
    if part.every == 1 or part.start is None:
        return f"every {_weekdays(part.days)} {when}"
    days = "every day" if len(set(part.days)) == len(WEEKDAYS) else f"every {_weekdays(part.days)}"
    return f"{days} of {_each(part.every)} week {when}, counted from the week of {_date(part.start)}"


def _monthly(part: Monthly) -> str:
    days = list_words([_day_of_month(day) for day in part.days])
    months = "every month" if part.every == 1 else f"{_each(part.every)} month"
    text = f"on {days} of {months} at {_times(part.times)} {part.zone}"
    if part.every > 1 and part.start is not None:
        text += f", counted from {MONTHS[part.start.month - 1]} {part.start.year}"
    if part.roll:
        text += f", moved to the {part.roll} workday if that is not a workday"
    lacking = [_day_of_month(day) for day in part.days if _may_lack(day)]
    return f"{text}; a month without {list_words(lacking, 'or')} is passed over" if lacking else text


def _each(every: int) -> str:
    return f"every {_nth(every)}"


def _may_lack(day: int | NthWeekday) -> bool:
    """Return True if there are months without this day."""
    if isinstance(day, NthWeekday):
        return abs(day.nth) > (_SHORTEST_WORK if day.weekday == WORKDAY else _WEEKS)
    return abs(day) > _SHORTEST


def _limits(limits: Limits, zone: str) -> Iterator[str]:
    there = "" if limits.zone == zone else f" {limits.zone}"
    if limits.hours is not None:
        hours = limits.hours
        over = ", over midnight" if hours.start > hours.end and hours.end else ""
        where = "" if hours.zone == zone else f" {hours.zone}"
        yield f"only from {_time(hours.start)} to {_time(hours.end)}{where}{over}"
    if limits.weekdays:
        yield f"only on a {list_words([WEEKDAYS[day] for day in sorted(set(limits.weekdays))], 'or')}{there}"
    if limits.month_days:
        yield f"only on {list_words([_day_of_month(day) for day in limits.month_days], 'or')} of a month{there}"
    if limits.months:
        yield f"only in {list_words([MONTHS[month - 1] for month in sorted(set(limits.months))])}{there}"
    yield from _dates(limits, there)


def _dates(limits: Limits, there: str) -> Iterator[str]:
    if limits.first and limits.last:
        yield f"only from {_date(limits.first)} to {_date(limits.last)}{there}"
    elif limits.first:
        yield f"only from {_date(limits.first)} on{there}"
    elif limits.last:
        yield f"only until {_date(limits.last)}{there}"
    if limits.except_dates:
        days = [_date(day) for day in sorted(limits.except_dates)]
        if len(days) > _MOST_LISTED:
            days[_MOST_LISTED - 1 :] = [f"{len(days) - _MOST_LISTED + 1:,} more days"]
        yield f"never on {list_words(days)}{there}"
    if limits.not_on:
        yield f"never on a day of {list_words([_calendar(one) for one in limits.not_on], 'or')}{there}"
    if limits.only_on:
        yield f"only on a day of {list_words([_calendar(one) for one in limits.only_on], 'or')}{there}"


def _irregularity(schedule: Schedule, now_us: int) -> list[str]:
    """Return a line about the next change of a clock that a local time of the schedule falls into; none otherwise."""
    found: list[tuple[int, str]] = []
    plan = compile_schedule(schedule)
    for trigger in plan.triggers:
        if isinstance(trigger, Calendar):
            found += _of_calendar(trigger, now_us)
    for moment in schedule.at:
        if plan.limits.allows(instant_of(moment) // SECOND):
            found += _of_moment(moment, now_us)
    return [min(found)[1]] if found else []


def _of_calendar(trigger: Calendar, now_us: int) -> list[tuple[int, str]]:
    """Return (instant, words) of the first change of the clock that a slot of this trigger falls into."""
    segment = trigger.zone.segment(now_us // SECOND)
    for _ in range(_CHANGES_LOOKED_AT):
        if segment.end >= FAR_FUTURE_S:
            return []
        segment = trigger.zone.segment(segment.end)
        if trigger.elapsed:
            continue
        gap = segment.offset > segment.before
        low, high = sorted((segment.start + segment.before, segment.start + segment.offset))
        named = trigger.named_local(low, high)
        if named is None:
            continue
        slot = segment.start if gap else named - segment.before
        if trigger.first(slot * SECOND) == slot * SECOND:
            return [(slot, _change(named, segment, trigger.zone.name))]
    return []


def _of_moment(moment: Moment, now_us: int) -> list[tuple[int, str]]:
    """Return (instant, words) of a moment to come whose local time does not exist, or exists twice."""
    instant = instant_of(moment)
    if moment.local is None or instant <= now_us:
        return []
    zone = integer_zone(moment.zone)
    since = moment.local - datetime(1970, 1, 1)  # noqa: DTZ001 - a local time
    local = since.days * DAY_S + since.seconds
    segment = zone.segment(instant // SECOND)
    if local < instant // SECOND + segment.offset:
        return [(instant // SECOND, _change(local, segment, moment.zone))]
    following = zone.segment(segment.end)
    if following.start + following.offset <= local < following.start + following.before:
        return [(instant // SECOND, _change(local, following, moment.zone))]
    return []


def _change(named: int, segment: Segment, zone: str) -> str:
    day = _date(date(1970, 1, 1) + timedelta(days=named // DAY_S))
    if segment.offset < segment.before:
        return f"{day} {_time(named % DAY_S)} comes twice in {zone}: runs at the first of the two only"
    after = segment.start + segment.offset
    then = _time(after % DAY_S)
    if after // DAY_S != named // DAY_S:
        then = f"{_date(date(1970, 1, 1) + timedelta(days=after // DAY_S))} {then}"
    return f"{day} {_time(named % DAY_S)} does not exist in {zone}: runs at {then}"


def _weekdays(days: tuple[int, ...]) -> str:
    chosen = sorted(set(days))
    if len(chosen) == len(WEEKDAYS):
        return "day"
    if len(chosen) > 2 and chosen[-1] - chosen[0] == len(chosen) - 1:  # noqa: PLR2004 - two days are listed
        return f"day from {WEEKDAYS[chosen[0]]} to {WEEKDAYS[chosen[-1]]}"
    return list_words([WEEKDAYS[day] for day in chosen])


def _day_of_month(day: int | NthWeekday) -> str:
    if isinstance(day, NthWeekday):
        if day.weekday == WORKDAY:
            return f"the {_nth(day.nth)} workday"
        return f"the {_ORDINALS[day.nth]} {WEEKDAYS[day.weekday]}"
    if day > 0:
        return f"the {_ordinal(day)}"
    return "the last day" if day == -1 else f"the {_ordinal(-day)} to last day"


def _nth(number: int) -> str:
    """Return ``first``, ``6th``, ``last`` or ``2nd to last``."""
    if number in _ORDINALS:
        return _ORDINALS[number]
    return _ordinal(number) if number > 0 else f"{_ordinal(-number)} to last"


def _ordinal(number: int) -> str:
    suffix = "th" if number // 10 == 1 else {1: "st", 2: "nd", 3: "rd"}.get(number % 10, "th")
    return f"{number}{suffix}"


def _moment(moment: Moment, zone: str) -> str:
    local, name = moment.local, moment.zone
    if local is None:
        local, name = to_datetime(moment.instant_us or 0).astimezone(get_zone(zone)).replace(tzinfo=None), zone
    return f"{_date(local.date())} {_time(local.hour * 3600 + local.minute * 60 + local.second)} {name}"


def _date(day: date) -> str:
    return f"{day.day} {MONTHS[day.month - 1]} {day.year}"


def _times(times: tuple[int, ...]) -> str:
    return list_words([_time(time) for time in sorted(set(times))])


def _time(time: int) -> str:
    text = f"{time // 3600:02}:{time // 60 % 60:02}"
    return f"{text}:{time % 60:02}" if time % 60 else text
