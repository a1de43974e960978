"""The rules of triggers and local time, one by one."""

import hashlib
from datetime import date
from typing import Any

import pytest

from akjob.instants import DAY, HOUR, MINUTE, SECOND, from_text, to_datetime
from akjob.schedule import (
    Memory,
    Plan,
    compile_schedule,
    count_between,
    jitter_us,
    next_slot,
    next_slots,
    previous_slot,
    slots_between,
)
from akjob.schedule.daysets import pack
from akjob.schedule.model import WORKDAY, DaySet, Limits, Moment, Monthly, NthWeekday, Schedule, Weekly
from tests.unit.schedule.build import (
    BERLIN,
    FRI,
    MON,
    SAT,
    SUN,
    THU,
    WED,
    after,
    cron,
    daily,
    every,
    hours,
    local,
    monthly,
    weekly,
)
from tests.unit.schedule.oracle import allowed

SPRING = "2026-03-28T12:00:00+01:00"
AUTUMN = "2026-10-24T12:00:00+02:00"

TABLE: dict[str, tuple[Schedule, str, list[str]]] = {
    "a daily time in the gap runs at the first instant after it": (
        Schedule(zone=BERLIN, daily=daily("02:30")),
        SPRING,
        ["2026-03-29T03:00+02:00", "2026-03-30T02:30+02:00", "2026-03-31T02:30+02:00"],
    ),
    "several times in one gap are one slot": (
        Schedule(zone=BERLIN, daily=daily("02:00", "02:15", "02:59:59", "03:00")),
        SPRING,
        ["2026-03-29T03:00+02:00", "2026-03-30T02:00+02:00", "2026-03-30T02:15+02:00"],
    ),
    "a daily time that comes twice runs the first time only": (
        Schedule(zone=BERLIN, daily=daily("02:30")),
        AUTUMN,
        ["2026-10-25T02:30+02:00", "2026-10-26T02:30+01:00", "2026-10-27T02:30+01:00"],
    ),
    "the hour before the repeated one, and the one after it, run once": (
        Schedule(zone=BERLIN, daily=daily("01:59:59", "03:00")),
        AUTUMN,
        ["2026-10-25T01:59:59+02:00", "2026-10-25T03:00+01:00", "2026-10-26T01:59:59+01:00"],
    ),
    "an at in the gap": (
        Schedule(zone=BERLIN, at=(local("2026-03-29T02:30:00"), local("2026-03-29T02:45:00"))),
        SPRING,
        ["2026-03-29T03:00+02:00"],
    ),
    "an at that comes twice; one with its own offset means what it says": (
        Schedule(
            zone=BERLIN,
            at=(local("2026-10-25T02:30:00"), Moment(None, from_text("2026-10-25T02:40:00+01:00"), BERLIN)),
        ),
        AUTUMN,
        ["2026-10-25T02:30+02:00", "2026-10-25T02:40+01:00"],
    ),
    "a weekly time in the gap": (
        Schedule(zone=BERLIN, weekly=(weekly(SUN, at="02:30"),)),
        SPRING,
        ["2026-03-29T03:00+02:00", "2026-04-05T02:30+02:00", "2026-04-12T02:30+02:00"],
    ),
    "a monthly time in the gap": (
        Schedule(zone=BERLIN, monthly=(monthly(29, at="02:30"),)),
        SPRING,
        ["2026-03-29T03:00+02:00", "2026-04-29T02:30+02:00", "2026-05-29T02:30+02:00"],
    ),
    "a weekday that was left out runs when the next day begins (Samoa, 2011)": (
        Schedule(zone="Pacific/Apia", weekly=(weekly(FRI, at="09:00", zone="Pacific/Apia"),)),
        "2011-12-24T00:00:00Z",
        ["2011-12-31T00:00+14:00", "2012-01-06T09:00+14:00", "2012-01-13T09:00+14:00"],
    ),
    "a midnight in a gap runs at one o'clock, on the same day (Cairo)": (
        Schedule(zone="Africa/Cairo", weekly=(weekly(FRI, at="00:00", zone="Africa/Cairo"),)),
        "2026-04-20T00:00:00Z",
        ["2026-04-24T01:00+03:00", "2026-05-01T00:00+03:00", "2026-05-08T00:00+03:00"],
    ),
    "half an hour of daylight saving time (Lord Howe)": (
        Schedule(zone="Australia/Lord_Howe", daily=daily("02:10", zone="Australia/Lord_Howe")),
        "2026-10-03T00:00:00Z",
        ["2026-10-04T02:30+11:00", "2026-10-05T02:10+11:00", "2026-10-06T02:10+11:00"],
    ),
    "days that a month lacks are passed over": (
        Schedule(zone=BERLIN, monthly=(monthly(31), monthly(15))),
        "2026-01-31T12:00:00Z",
        ["2026-02-15T00:00+01:00", "2026-03-15T00:00+01:00", "2026-03-31T00:00+02:00"],
    ),
    "days from the end; the 31st from the end is the first of a long month": (
        Schedule(zone="UTC", monthly=(monthly(-1, -31, zone="UTC"),)),
        "2026-02-01T12:00:00Z",
        ["2026-02-28T00:00+00:00", "2026-03-01T00:00+00:00", "2026-03-31T00:00+00:00"],
    ),
    "29 February": (
        Schedule(zone="UTC", monthly=(monthly(29, zone="UTC"),), limits=Limits(months=(2,))),
        "2096-03-01T00:00:00Z",
        ["2104-02-29T00:00+00:00", "2108-02-29T00:00+00:00", "2112-02-29T00:00+00:00"],
    ),
    "the first Monday, the last Sunday": (
        Schedule(zone=BERLIN, monthly=(monthly(NthWeekday(1, MON), NthWeekday(-1, SUN)),)),
        "2026-01-10T00:00:00Z",
        ["2026-01-25T00:00+01:00", "2026-02-02T00:00+01:00", "2026-02-22T00:00+01:00"],
    ),
    "a fifth Friday, where there is one": (
        Schedule(zone=BERLIN, monthly=(monthly(NthWeekday(5, FRI)),)),
        "2026-01-10T00:00:00Z",
        ["2026-01-30T00:00+01:00", "2026-05-29T00:00+02:00", "2026-07-31T00:00+02:00"],
    ),
    "every follows elapsed time over the gap": (
        Schedule(zone=BERLIN, every=every(7200, local("2026-03-29T00:30:00"))),
        "2026-03-29T00:00:00+01:00",
        ["2026-03-29T00:30+01:00", "2026-03-29T03:30+02:00", "2026-03-29T05:30+02:00"],
    ),
    "every fires in the repeated hour, too": (
        Schedule(zone=BERLIN, every=every(3600, local("1970-01-01T00:00:00"))),
        "2026-10-25T01:30:00+02:00",
        ["2026-10-25T02:00+02:00", "2026-10-25T02:00+01:00", "2026-10-25T03:00+01:00"],
    ),
    "the grid goes on before its anchor": (
        Schedule(zone="UTC", every=every(86_400 * 3, local("2030-01-01T06:00:00", "UTC"))),
        "2026-01-01T12:00:00Z",
        ["2026-01-04T06:00+00:00", "2026-01-07T06:00+00:00", "2026-01-10T06:00+00:00"],
    ),
    "every may be a fraction of seconds more than one": (
        Schedule(zone="UTC", every=every(1.25)),
        "2026-01-01T00:00:00Z",
        ["2026-01-01T00:00:01.250000+00:00", "2026-01-01T00:00:02.500000+00:00", "2026-01-01T00:00:03.750000+00:00"],
    ),
    "an instant that several triggers name is one slot": (
        Schedule(zone="UTC", every=every(43_200), daily=daily("12:00", "18:00", zone="UTC")),
        "2026-01-01T00:00:00Z",
        ["2026-01-01T12:00+00:00", "2026-01-01T18:00+00:00", "2026-01-02T00:00+00:00"],
    ),
    "a table of another zone": (
        Schedule(zone=BERLIN, weekly=(weekly(MON, at="09:00", zone="Asia/Tokyo"), weekly(MON, at="09:00"))),
        "2026-01-01T00:00:00Z",
        ["2026-01-05T01:00+01:00", "2026-01-05T09:00+01:00", "2026-01-12T01:00+01:00"],
    ),
    "a fixed offset": (
        Schedule(zone="+05:30", daily=daily("09:00", zone="+05:30")),
        "2026-01-01T03:30:00Z",
        ["2026-01-02T09:00+05:30", "2026-01-03T09:00+05:30", "2026-01-04T09:00+05:30"],
    ),
    "cron with fixed minutes and hours: the gap": (
        cron("0,30 2 * * *"),
        SPRING,
        ["2026-03-29T03:00+02:00", "2026-03-30T02:00+02:00", "2026-03-30T02:30+02:00"],
    ),
    "cron with fixed minutes and hours: the repeated hour": (
        cron("30 2 * * *"),
        AUTUMN,
        ["2026-10-25T02:30+02:00", "2026-10-26T02:30+01:00", "2026-10-27T02:30+01:00"],
    ),
    "cron with six fields keeps the same rule": (
        cron("15 30 2 * * *"),
        SPRING,
        ["2026-03-29T03:00+02:00", "2026-03-30T02:30:15+02:00", "2026-03-31T02:30:15+02:00"],
    ),
    "a star in the seconds alone does not make it follow elapsed time": (
        cron("*/30 30 2 * * *"),
        SPRING,
        ["2026-03-29T03:00+02:00", "2026-03-30T02:30+02:00", "2026-03-30T02:30:30+02:00"],
    ),
    "cron with a star in the hours: the repeated hour has its minute, too": (
        cron("30 * * * *"),
        "2026-10-25T02:00:00+02:00",
        ["2026-10-25T02:30+02:00", "2026-10-25T02:30+01:00", "2026-10-25T03:30+01:00"],
    ),
    "cron with a star in the hours: nothing for the gap": (
        cron("30 * * * *"),
        "2026-03-29T01:00:00+01:00",
        ["2026-03-29T01:30+01:00", "2026-03-29T03:30+02:00", "2026-03-29T04:30+02:00"],
    ),
    "cron with a star in the minutes and a fixed hour that does not exist": (
        cron("*/30 2 * * *"),
        SPRING,
        ["2026-03-30T02:00+02:00", "2026-03-30T02:30+02:00", "2026-03-31T02:00+02:00"],
    ),
    "cron with a star in the minutes and a fixed hour that comes twice": (
        cron("*/30 2 * * *"),
        AUTUMN,
        ["2026-10-25T02:00+02:00", "2026-10-25T02:30+02:00", "2026-10-25T02:00+01:00"],
    ),
    "cron with a star and six fields: no slot names another local time (half an hour of gap)": (
        cron("0 0 * * * *", zone="Australia/Lord_Howe"),
        "2026-10-04T01:30:00+10:30",
        ["2026-10-04T03:00+11:00", "2026-10-04T04:00+11:00", "2026-10-04T05:00+11:00"],
    ),
    "a range that covers all minutes is no star": (
        cron("0-59 2 * * *"),
        "2026-10-25T02:58:30+02:00",
        ["2026-10-25T02:59+02:00", "2026-10-26T02:00+01:00", "2026-10-26T02:01+01:00"],
    ),
    "both day fields restricted: either is enough": (
        cron("0 0 13 * FRI"),
        "2026-02-01T00:00:00Z",
        ["2026-02-06T00:00+01:00", "2026-02-13T00:00+01:00", "2026-02-20T00:00+01:00"],
    ),
    "a day field that begins with a star must match as well": (
        cron("0 0 */2 * FRI"),
        "2026-02-01T00:00:00Z",
        ["2026-02-13T00:00+01:00", "2026-02-27T00:00+01:00", "2026-03-13T00:00+01:00"],
    ),
    "the last day, the last workday": (
        cron("0 0 L * *", "0 0 LW * *"),
        "2026-01-15T00:00:00Z",
        ["2026-01-30T00:00+01:00", "2026-01-31T00:00+01:00", "2026-02-27T00:00+01:00"],
    ),
    "the last Friday, the second Monday": (
        cron("0 0 * * 5L", "0 0 * * MON#2"),
        "2026-01-15T00:00:00Z",
        ["2026-01-30T00:00+01:00", "2026-02-09T00:00+01:00", "2026-02-27T00:00+01:00"],
    ),
    "Sunday is 0 and 7": (
        cron("0 0 * * 7", "0 1 * * 0"),
        "2026-01-15T00:00:00Z",
        ["2026-01-18T00:00+01:00", "2026-01-18T01:00+01:00", "2026-01-25T00:00+01:00"],
    ),
}


@pytest.mark.parametrize("name", TABLE)
def test_a_rule_of_triggers(name: str) -> None:
    """The slots after an instant are those that the rule promises."""
    schedule, instant, expected = TABLE[name]
    assert after(schedule, instant, 3) == expected


LEAP_DAYS = tuple(date(year, 2, 29) for year in range(2028, 2829, 4) if year % 100 or year % 400 == 0)
MARCH_DAYS = tuple(date(year, 3, 25) for year in range(2026, 2829))

LIMITS: dict[str, tuple[Schedule, str, list[str]]] = {
    "from inclusive, until exclusive": (
        Schedule(zone=BERLIN, every=every(3600), limits=Limits(zone=BERLIN, hours=hours("09:00", "11:00"))),
        "2026-01-01T00:00:00Z",
        ["2026-01-01T09:00+01:00", "2026-01-01T10:00+01:00", "2026-01-02T09:00+01:00"],
    ),
    "hours across midnight": (
        Schedule(zone=BERLIN, every=every(7200), limits=Limits(zone=BERLIN, hours=hours("23:00", "02:00"))),
        "2026-01-01T12:00:00+01:00",
        ["2026-01-01T23:00+01:00", "2026-01-02T01:00+01:00", "2026-01-02T23:00+01:00"],
    ),
    "day limits look at the slot's own day after midnight": (
        Schedule(
            zone=BERLIN, every=every(7200), limits=Limits(zone=BERLIN, hours=hours("23:00", "02:00"), weekdays=(FRI,))
        ),
        "2026-01-01T12:00:00+01:00",
        ["2026-01-02T01:00+01:00", "2026-01-02T23:00+01:00", "2026-01-09T01:00+01:00"],
    ),
    "hours of another zone": (
        Schedule(
            zone=BERLIN,
            every=every(3600),
            limits=Limits(zone=BERLIN, hours=hours("09:00", "10:00", "America/New_York")),
        ),
        "2026-03-06T00:00:00Z",
        ["2026-03-06T15:00+01:00", "2026-03-07T15:00+01:00", "2026-03-08T14:00+01:00"],
    ),
    "days are those of the limits' zone, not of UTC": (
        Schedule(
            zone="America/New_York",
            daily=daily("22:00", zone="America/New_York"),
            limits=Limits(zone="America/New_York", weekdays=(MON,)),
        ),
        "2026-01-01T00:00:00Z",
        ["2026-01-05T22:00-05:00", "2026-01-12T22:00-05:00", "2026-01-19T22:00-05:00"],
    ),
    "the slot after a gap is judged by its real instant": (
        Schedule(zone=BERLIN, daily=daily("02:30"), limits=Limits(zone=BERLIN, hours=hours("02:00", "03:00"))),
        SPRING,
        ["2026-03-30T02:30+02:00", "2026-03-31T02:30+02:00", "2026-04-01T02:30+02:00"],
    ),
    "the slot after a gap may be the only one that is allowed": (
        Schedule(zone=BERLIN, daily=daily("02:30"), limits=Limits(zone=BERLIN, hours=hours("03:00", "03:01"))),
        SPRING,
        ["2026-03-29T03:00+02:00", "2027-03-28T03:00+02:00", "2028-03-26T03:00+02:00"],
    ),
    "the slot after a day that was left out is judged on the next day": (
        Schedule(
            zone="Pacific/Apia",
            weekly=(weekly(FRI, at="09:00", zone="Pacific/Apia"),),
            limits=Limits(zone="Pacific/Apia", weekdays=(SAT,)),
        ),
        "2011-12-01T00:00:00Z",
        ["2011-12-31T00:00+14:00"],
    ),
    "days of the month, from the end too": (
        Schedule(zone="UTC", daily=daily("06:00", zone="UTC"), limits=Limits(month_days=(1, -1))),
        "2026-02-02T00:00:00Z",
        ["2026-02-28T06:00+00:00", "2026-03-01T06:00+00:00", "2026-03-31T06:00+00:00"],
    ),
    "months": (
        Schedule(zone="UTC", monthly=(monthly(1, zone="UTC"),), limits=Limits(months=(2, 11))),
        "2026-02-02T00:00:00Z",
        ["2026-11-01T00:00+00:00", "2027-02-01T00:00+00:00", "2027-11-01T00:00+00:00"],
    ),
    "excepted dates": (
        Schedule(
            zone="UTC",
            weekly=(weekly(WED, at="00:00", zone="UTC"),),
            limits=Limits(except_dates=(date(2026, 1, 7), date(2026, 1, 21))),
        ),
        "2026-01-01T00:00:00Z",
        ["2026-01-14T00:00+00:00", "2026-01-28T00:00+00:00", "2026-02-04T00:00+00:00"],
    ),
    "the first and the last date are both allowed": (
        Schedule(
            zone=BERLIN,
            daily=daily("00:00", "23:59"),
            limits=Limits(zone=BERLIN, first=date(2026, 1, 7), last=date(2026, 1, 8)),
        ),
        "2026-01-01T00:00:00Z",
        ["2026-01-07T00:00+01:00", "2026-01-07T23:59+01:00", "2026-01-08T00:00+01:00", "2026-01-08T23:59+01:00"],
    ),
    "every minute on Mondays that are 29 February": (
        cron("* * * * *", limits=Limits(zone=BERLIN, weekdays=(MON,), month_days=(29,), months=(2,))),
        "2044-02-29T23:58:00+01:00",
        ["2044-02-29T23:59+01:00", "2072-02-29T00:00+01:00", "2072-02-29T00:01+01:00"],
    ),
    "a day in a zone ahead: its Mondays begin on our Sundays": (
        Schedule(zone=BERLIN, daily=daily("12:00", "23:30"), limits=Limits(zone="Asia/Tokyo", weekdays=(MON,))),
        "2026-01-01T00:00:00Z",
        ["2026-01-04T23:30+01:00", "2026-01-05T12:00+01:00", "2026-01-11T23:30+01:00"],
    ),
    "a day in a zone behind: its Mondays end on our Tuesdays": (
        Schedule(zone=BERLIN, daily=daily("01:00", "12:00"), limits=Limits(zone="America/New_York", weekdays=(MON,))),
        "2026-01-01T00:00:00Z",
        ["2026-01-05T12:00+01:00", "2026-01-06T01:00+01:00", "2026-01-12T12:00+01:00"],
    ),
    "the first of the month in a zone ahead, over the ends of months and years": (
        Schedule(zone=BERLIN, daily=daily("23:30"), limits=Limits(zone="Asia/Tokyo", month_days=(1,))),
        "2026-11-15T00:00:00Z",
        ["2026-11-30T23:30+01:00", "2026-12-31T23:30+01:00", "2027-01-31T23:30+01:00"],
    ),
    "the last of the month in a zone behind, over the ends of months and years": (
        Schedule(zone=BERLIN, daily=daily("01:00"), limits=Limits(zone="America/New_York", month_days=(-1,))),
        "2026-11-15T00:00:00Z",
        ["2026-12-01T01:00+01:00", "2027-01-01T01:00+01:00", "2027-02-01T01:00+01:00"],
    ),
    "excepted dates for 400 years, and for 800": (
        Schedule(
            zone="UTC",
            monthly=(monthly(29, zone="UTC"),),
            limits=Limits(months=(2,), except_dates=LEAP_DAYS),
        ),
        "2026-01-01T00:00:00Z",
        ["2832-02-29T00:00+00:00", "2836-02-29T00:00+00:00", "2840-02-29T00:00+00:00"],
    ),
    "excepted dates for longer than a slot takes to come again": (
        Schedule(
            zone=BERLIN,
            daily=daily("02:30"),
            limits=Limits(
                zone=BERLIN, hours=hours("03:00", "03:01"), months=(3,), month_days=(25,), except_dates=MARCH_DAYS
            ),
        ),
        "2026-01-01T00:00:00Z",
        ["2829-03-25T03:00+02:00", "2835-03-25T03:00+02:00", "2840-03-25T03:00+02:00"],
    ),
    "an at that the limits forbid": (
        Schedule(
            zone=BERLIN,
            at=(local("2026-01-03T12:00:00"), local("2026-01-05T12:00:00")),
            limits=Limits(zone=BERLIN, weekdays=(MON, THU)),
        ),
        "2026-01-01T00:00:00Z",
        ["2026-01-05T12:00+01:00"],
    ),
}


@pytest.mark.parametrize("name", LIMITS)
def test_a_rule_of_limits(name: str) -> None:
    """Slots that the limits forbid are none, and the others are as the rule promises."""
    schedule, instant, expected = LIMITS[name]
    assert after(schedule, instant, max(3, len(expected))) == expected


@pytest.mark.parametrize(
    "schedule",
    [
        Schedule(),
        cron("0 0 30 2 *"),
        cron("0 0 * * *", limits=Limits(zone=BERLIN, hours=hours("10:00", "11:00"))),
        cron("0 0 * * *", limits=Limits(zone=BERLIN, hours=hours("10:00", "11:00", "America/New_York"))),
        cron("* * * * *", limits=Limits(zone=BERLIN, months=(2,), month_days=(31,))),
        Schedule(zone=BERLIN, weekly=(weekly(SUN, at="02:30"),), limits=Limits(zone=BERLIN, weekdays=(MON,))),
        Schedule(every=every(3600), limits=Limits(zone=BERLIN, hours=hours("10:15", "10:45"))),
        Schedule(every=every(86_400 * 7), limits=Limits(weekdays=(MON,))),
        Schedule(every=every(86_400 * 378, local("2026-03-16T00:00:00", "UTC")), limits=Limits(months=(13,))),
        cron("0 0 * 2 MON#5", limits=Limits(zone=BERLIN, month_days=(28,))),
    ],
)
def test_never_is_an_answer(schedule: Schedule) -> None:
    """A schedule that can never fire has no next slot, whenever it is asked."""
    for instant in ("1975-01-01T00:00:00Z", "2026-01-01T00:00:00Z", "2300-01-01T00:00:00Z", "9998-01-01T00:00:00Z"):
        assert after(schedule, instant) == []


def test_the_year_9999_is_the_end() -> None:
    """The search ends before the calendar does, without an error."""
    assert after(cron("0 0 1 1 *"), "9998-06-01T00:00:00Z") == ["9999-01-01T00:00+01:00"]
    assert after(Schedule(every=every(1)), "9999-12-31T23:00:00Z") == []


def test_the_next_slot_is_strictly_after() -> None:
    """Asking at a slot gives the one after it, asking a microsecond before gives the slot."""
    plan = compile_schedule(Schedule(daily=daily("12:00", zone="UTC")))
    noon = from_text("2026-01-01T12:00:00Z")
    assert next_slot(plan, noon) == noon + DAY
    assert next_slot(plan, noon - 1) == noon


def test_a_stretch_includes_its_end_only() -> None:
    """``slots_between`` gives slots after its start, up to and with its end, and no more than asked for."""
    plan = compile_schedule(Schedule(every=every(60)))
    start = from_text("2026-01-01T12:00:00Z")
    assert slots_between(plan, start, start + 3 * MINUTE, 100) == [start + n * MINUTE for n in (1, 2, 3)]
    assert slots_between(plan, start, start + 3 * MINUTE, 2) == [start + MINUTE, start + 2 * MINUTE]
    assert slots_between(plan, start, start + MINUTE - 1, 100) == []


def test_a_year_of_seconds_is_counted_at_once() -> None:
    """Counting does not walk: 31 million slots, some of them named twice, take no time."""
    schedule = Schedule(zone=BERLIN, every=every(1), daily=daily("02:30"), cron=cron("0 * * * *").cron)
    start, end = from_text("2026-01-01T00:00:00Z"), from_text("2027-01-01T00:00:00Z")
    assert count_between(compile_schedule(schedule), start, end) == (31_536_000, start + SECOND, end)


def test_counting_with_limits() -> None:
    """Counted are the slots that the limits allow, a spring day with an hour less too."""
    schedule = Schedule(zone=BERLIN, every=every(60), limits=Limits(zone=BERLIN, weekdays=(SUN,)))
    start, end = from_text("2026-03-01T00:00:00Z"), from_text("2026-04-01T00:00:00Z")
    # 1 March began an hour before the stretch does.
    assert count_between(compile_schedule(schedule), start, end)[0] == 5 * 1440 - 60 - 61


def test_counting_over_a_gap() -> None:
    """The slot at the end of a gap counts once, whether it is named by itself or not, and however many lead to it."""
    start, end = from_text("2026-03-28T23:00:00Z"), from_text("2026-03-29T12:00:00Z")
    for times in (("02:30",), ("02:15", "02:30"), ("02:30", "03:00"), ("03:00",)):
        slot = from_text("2026-03-29T01:00:00Z")
        assert count_between(compile_schedule(Schedule(zone=BERLIN, daily=daily(*times))), start, end) == (
            1,
            slot,
            slot,
        )


@pytest.mark.parametrize("zone", ["UTC", BERLIN])
@pytest.mark.parametrize(
    ("seconds", "limits"),
    [
        (86_399, {"hours": ("10:00", "10:00:01")}),
        (86_399, {"hours": ("10:00", "10:00:07"), "weekdays": (MON, THU)}),
        (3660, {"hours": ("10:00", "10:01"), "month_days": (15,)}),
        (25_200, {"hours": ("01:30", "02:30"), "months": (3, 10), "weekdays": (SUN,)}),
        (100_003, {"hours": ("23:59:50", "00:00:10"), "month_days": (-1,)}),
    ],
)
def test_a_grid_that_seldom_meets_the_limits(zone: str, seconds: int, limits: dict[str, Any]) -> None:
    """The slots are those that trying each point of the grid finds, decades ahead."""
    values = {**limits, "hours": hours(limits["hours"][0], limits["hours"][1], zone)}
    schedule = Schedule(zone=zone, every=every(seconds), limits=Limits(zone=zone, **values))
    start = from_text("2026-01-01T00:00:00Z")
    point, expected = (start // SECOND // seconds + 1) * seconds, []
    for _ in range(40_000):
        if allowed(schedule.limits, to_datetime(point * SECOND)):
            expected.append(point * SECOND)
        point += seconds
    assert slots_between(compile_schedule(schedule), start, (point - 1) * SECOND, 1000) == expected[:1000]


def test_no_slot_counts_as_none() -> None:
    """A stretch without a slot has neither a first nor a last."""
    plan = compile_schedule(Schedule(daily=daily("12:00", zone="UTC")))
    noon = from_text("2026-01-01T12:00:00Z")
    assert count_between(plan, noon, noon + HOUR) == (0, None, None)


NOW = from_text("2026-01-05T10:00:00Z")
AGAIN = Schedule(again_after_us=10 * MINUTE)


def test_again_after_counts_from_the_last_end() -> None:
    """The slot is that long after the last run's end, the first one after the job was loaded."""
    plan = compile_schedule(AGAIN)
    assert next_slot(plan, NOW, Memory(loaded_us=NOW)) == NOW + 10 * MINUTE
    assert (
        next_slot(plan, NOW + HOUR, Memory(loaded_us=NOW, last_end_us=NOW + HOUR - 7)) == NOW + HOUR + 10 * MINUTE - 7
    )


def test_again_after_waits_for_the_end_of_a_run() -> None:
    """While a run is under way there is no next slot."""
    assert next_slot(compile_schedule(AGAIN), NOW, Memory(last_end_us=NOW - HOUR, running=True)) is None


def test_again_after_goes_on_after_a_slot_that_came_to_nothing() -> None:
    """A slot that was skipped does not end the job: the next one follows from it."""
    plan = compile_schedule(AGAIN)
    assert next_slot(plan, NOW + 10 * MINUTE, Memory(last_end_us=NOW)) == NOW + 20 * MINUTE


def test_again_after_is_one_slot_of_a_downtime() -> None:
    """However long nothing ran, only one slot was missed."""
    plan = compile_schedule(AGAIN)
    memory = Memory(last_end_us=NOW)
    assert slots_between(plan, NOW, NOW + 30 * DAY, 100, memory) == [NOW + 10 * MINUTE]
    assert count_between(plan, NOW, NOW + 30 * DAY, memory) == (1, NOW + 10 * MINUTE, NOW + 10 * MINUTE)


def test_again_after_takes_the_first_allowed_instant() -> None:
    """What falls outside the hours waits until they begin."""
    schedule = Schedule(again_after_us=10 * MINUTE, limits=Limits(hours=hours("08:00", "10:05", "UTC")))
    tomorrow = from_text("2026-01-06T08:00:00Z")
    assert next_slot(compile_schedule(schedule), NOW, Memory(last_end_us=NOW)) == tomorrow
    assert next_slots(compile_schedule(schedule), NOW, 2, Memory(last_end_us=NOW)) == [tomorrow, tomorrow + 10 * MINUTE]


def test_again_after_is_listed_as_if_each_run_ended_at_once() -> None:
    """The list of next slots counts from slot to slot, whatever trigger a slot is of."""
    schedule = Schedule(again_after_us=40 * MINUTE, every=every(3600))
    expected = [40, 60, 100, 120]
    assert next_slots(compile_schedule(schedule), NOW, 4) == [NOW + minutes * MINUTE for minutes in expected]


def _part(part: Weekly | Monthly) -> Schedule:
    return Schedule(zone=BERLIN, **{"weekly" if isinstance(part, Weekly) else "monthly": (part,)})  # type: ignore[arg-type]


CHRISTMAS = DaySet("christmas", pack(date(2026, 12, day) for day in range(24, 32)))


@pytest.mark.parametrize(
    ("part", "expected"),
    [
        # the week of Friday, 2 January 2026 began in 2025; counted in both directions
        (Weekly((0, 4), (0,), BERLIN, 2, date(2026, 1, 2)), ["2026-12-04", "2026-12-14", "2026-12-18", "2026-12-28"]),
        (Weekly((0, 4), (0,), BERLIN, 2, date(2044, 1, 8)), ["2026-12-04", "2026-12-14", "2026-12-18", "2026-12-28"]),
        (Monthly((1,), (0,), BERLIN, every=5, start=date(2026, 7, 31)), ["2026-12-01", "2027-05-01", "2027-10-01"]),
        (
            Monthly((NthWeekday(-1, WORKDAY),), (0,), BERLIN, holidays=CHRISTMAS),
            ["2026-12-23", "2027-01-29", "2027-02-26"],
        ),
        (Monthly((NthWeekday(3, WORKDAY),), (0,), BERLIN), ["2026-12-03", "2027-01-05", "2027-02-03"]),
        (Monthly((NthWeekday(23, WORKDAY),), (0,), BERLIN), ["2026-12-31", "2027-03-31"]),
        # 26 and 27 December are a weekend, the rest is Christmas: out of the month, where two meet in one slot
        (Monthly((26, -1), (0,), BERLIN, "next", CHRISTMAS), ["2027-01-01", "2027-01-26", "2027-02-01"]),
        (Monthly((26, 28), (0,), BERLIN, "previous", CHRISTMAS), ["2026-12-23", "2027-01-26", "2027-01-28"]),
        (
            Monthly((1,), (0,), BERLIN, "previous"),
            ["2026-12-01", "2027-01-01", "2027-02-01", "2027-03-01", "2027-04-01"],
        ),
        # 1 May 2027 is a Saturday: its slot is in April, although only May counts
        (Monthly((1,), (0,), BERLIN, "previous", every=12, start=date(2026, 5, 1)), ["2027-04-30", "2028-05-01"]),
    ],
)
def test_weeks_months_workdays_and_rolled_days(part: Weekly | Monthly, expected: list[str]) -> None:
    """The local days of the next slots after 30 November 2026."""
    found = after(_part(part), "2026-11-30T12:00:00Z", len(expected))
    assert [slot[:10] for slot in found] == expected


def test_jitter_is_a_fixed_share_of_the_jobs_name() -> None:
    """The offset lies in [0, jitter), depends on the name alone, and spreads the jobs."""
    schedule = Schedule(jitter_us=5 * MINUTE)
    assert jitter_us(schedule, "reports/nightly") == jitter_us(schedule, "reports/nightly")
    offsets = {jitter_us(schedule, f"job-{number}") for number in range(100)}
    assert len(offsets) > 95
    assert all(0 <= offset < 5 * MINUTE for offset in offsets)
    assert jitter_us(Schedule(), "reports/nightly") == 0


def test_the_jitter_of_a_name_never_changes() -> None:
    """The same offset on every machine and in every version: a SHA-256, not Python's hash."""
    digest = hashlib.sha256(b"a").hexdigest()
    assert jitter_us(Schedule(jitter_us=1000), "a") == int(digest, 16) % 1000


def test_equal_schedules_share_one_plan() -> None:
    """Thousands of jobs with one schedule cost one plan."""
    assert compile_schedule(cron("0 0 * * *")) is compile_schedule(cron("0 0 * * *"))


def test_a_known_gap_is_the_same_for_every_instant_in_it() -> None:
    """Asked forwards, backwards and at the edges, a plan that remembers its last answer is as good as a fresh one."""
    schedule = Schedule(weekly=(Weekly(days=(0, 3), times=(9 * 3600, 10 * 3600), zone="Europe/Berlin"),))
    remembering = compile_schedule(schedule)
    first = next_slot(remembering, 0)
    assert first is not None
    second = next_slot(remembering, first)
    assert second is not None
    for instant in (first, first - 1, second - 1, second, 0, first + 1, second + 1, first, -1, second):
        assert next_slot(remembering, instant) == next_slot(Plan(schedule), instant)


@pytest.mark.parametrize(
    ("schedule", "before", "slot"),
    [
        (Schedule(zone=BERLIN, daily=daily("02:30")), "2026-03-30T00:30:00", "2026-03-29T01:00:00"),
        (Schedule(zone=BERLIN, daily=daily("02:30")), "2026-03-29T01:00:01", "2026-03-29T01:00:00"),
        (Schedule(every=every(90)), "2026-03-29T00:00:00", "2026-03-28T23:58:30"),
        (cron("0 0 29 2 *", zone="UTC"), "2026-01-01T00:00:00", "2024-02-29T00:00:00"),
        (Schedule(), "2026-01-01T00:00:00", None),
        (Schedule(again_after_us=HOUR), "2026-01-01T00:00:00", None),
    ],
)
def test_the_slot_before(schedule: Schedule, before: str, slot: str | None) -> None:
    """Strictly before the instant; what follows from runs has no calendar."""
    expected = None if slot is None else from_text(f"{slot}.000000Z")
    assert previous_slot(compile_schedule(schedule), from_text(f"{before}.000000Z")) == expected
