"""Schedules that never fire, and those whose time is over."""

from datetime import date

import pytest

from akjob.instants import MINUTE, from_text
from akjob.schedule import never_fires
from akjob.schedule.daysets import pack
from akjob.schedule.events import After, OnStart
from akjob.schedule.model import DaySet, Limits, Monthly, Schedule
from akjob.schedule.never import fires_in_gaps_only
from tests.unit.schedule.build import BERLIN, FRI, MON, SAT, TUE, cron, daily, every, hours, local, monthly, weekly

NOW = from_text("2026-11-23T12:00:00Z")
NO_DAY = Limits(zone=BERLIN, months=(2,), month_days=(31,))
MORNING = Limits(zone=BERLIN, hours=hours("10:00", "11:00"))

SUNDAY = DaySet("sunday", pack([date(2027, 1, 3)]))
CENTURY = DaySet("century", pack(date.fromordinal(date(2026, 1, 1).toordinal() + n) for n in range(36_525)))

TABLE: dict[str, tuple[Schedule, list[tuple[tuple[str | int, ...], str, str]]]] = {
    "no trigger": (Schedule(), []),
    "no trigger, limits that never allow": (Schedule(limits=NO_DAY), []),
    "a daily job": (Schedule(daily=daily("12:00")), []),
    "a far slot": (cron("0 0 29 2 MON#5"), []),
    "a slot that is there once in 28 years": (
        cron("* * * * *", limits=Limits(zone=BERLIN, weekdays=(MON,), month_days=(29,), months=(2,))),
        [],
    ),
    "30 February": (
        cron("0 0 30 2 *"),
        [(("schedule",), "the job can never be due: cron[0]: cron '0 0 30 2 *' names no day that exists", "error")],
    ),
    "30 February among others": (
        cron("0 0 30 2 *", "0 0 * * *"),
        [(("schedule", "cron", 0), "this can never fire: cron '0 0 30 2 *' names no day that exists", "warning")],
    ),
    "hours that the times never fall into": (
        cron("0 0 * * *", limits=MORNING),
        [(("schedule",), "the job can never be due: cron[0]: limits.hours never allows it", "error")],
    ),
    "a grid that passes by the hours": (
        Schedule(every=every(3600), limits=Limits(zone=BERLIN, hours=hours("10:15", "10:45"))),
        [(("schedule",), "the job can never be due: every: limits.hours never allows it", "error")],
    ),
    "the weekdays": (
        Schedule(weekly=(weekly(MON, at="09:00"),), limits=Limits(zone=BERLIN, weekdays=(TUE,))),
        [(("schedule",), "the job can never be due: weekly[0]: limits.weekdays never allows it", "error")],
    ),
    "the months, for a short one": (
        Schedule(monthly=(monthly(31),), limits=Limits(zone=BERLIN, months=(2, 4))),
        [(("schedule",), "the job can never be due: monthly[0]: limits.months never allows it", "error")],
    ),
    "two limits that would do it alone": (
        Schedule(
            daily=daily("12:00"),
            limits=Limits(zone=BERLIN, hours=hours("10:00", "11:00"), months=(2,), month_days=(31,)),
        ),
        [(("schedule",), "the job can never be due: daily: the limits allow no instant at all", "error")],
    ),
    "one of two weekly tables": (
        Schedule(
            weekly=(weekly(MON, at="09:00"), weekly(TUE, at="09:00")), limits=Limits(zone=BERLIN, weekdays=(TUE,))
        ),
        [(("schedule", "weekly", 0), "this can never fire: limits.weekdays never allows it", "warning")],
    ),
    "again_after and limits that allow nothing": (
        Schedule(again_after_us=MINUTE, limits=NO_DAY),
        [(("schedule",), "the job can never be due: again_after: the limits allow no instant at all", "error")],
    ),
    "on_start keeps a job alive": (
        Schedule(events=(OnStart(),), daily=daily("00:00"), limits=MORNING),
        [(("schedule", "daily"), "this can never fire: limits.hours never allows it", "warning")],
    ),
    "after keeps a job alive": (
        Schedule(events=(After(jobs=("a",)),), daily=daily("00:00"), limits=MORNING),
        [(("schedule", "daily"), "this can never fire: limits.hours never allows it", "warning")],
    ),
    "a day that no third month has": (
        Schedule(monthly=(Monthly((29,), (0,), BERLIN, every=48, start=date(2025, 2, 1)),)),
        [(("schedule",), "the job can never be due: monthly[0]: it names no day that exists", "error")],
    ),
    "rolled days and a weekend": (
        Schedule(monthly=(Monthly((1, 15), (0,), BERLIN, "next"),), limits=Limits(zone=BERLIN, weekdays=(SAT,))),
        [(("schedule",), "the job can never be due: monthly[0]: limits.weekdays never allows it", "error")],
    ),
    "weeks that a calendar leaves out": (
        Schedule(weekly=(weekly(MON, at="09:00"),), limits=Limits(zone=BERLIN, only_on=(SUNDAY,))),
        [(("schedule",), "the job can never be due: weekly[0]: limits.only_on never allows it", "error")],
    ),
    "a calendar without days": (
        Schedule(daily=daily("09:00"), limits=Limits(zone=BERLIN, only_on=(DaySet("x"),))),
        [(("schedule",), "the job can never be due: daily: the limits allow no instant at all", "error")],
    ),
    "a calendar whose days are over": (
        Schedule(daily=daily("09:00"), limits=Limits(zone=BERLIN, only_on=(DaySet("x", pack([date(2020, 1, 1)])),))),
        [(("limits", "only_on"), "all of it lies in the past (the last is 2020-01-01)", "info")],
    ),
    "days that a calendar forbids for a hundred years": (
        Schedule(daily=daily("09:00"), limits=Limits(zone=BERLIN, not_on=(CENTURY,))),
        [],
    ),
    "an at in the past": (
        Schedule(at=(local("2020-01-01T12:00:00", "UTC"), local("2019-01-01T12:00:00", "UTC"))),
        [(("schedule", "at"), "all of it lies in the past (the last is 2020-01-01T12:00:00Z)", "info")],
    ),
    "an at in the past among others to come": (
        Schedule(at=(local("2020-01-01T12:00:00"), local("2030-01-01T12:00:00"))),
        [],
    ),
    "an at that the limits forbid, among others": (
        Schedule(at=(local("2030-01-01T12:00:00"), local("2030-01-01T10:00:00")), limits=MORNING),
        [(("schedule", "at", 0), "this can never fire: the limits forbid it", "warning")],
    ),
    "an at that the limits forbid": (
        Schedule(at=(local("2030-01-01T12:00:00"),), limits=MORNING),
        [(("schedule",), "the job can never be due: at: limits.hours never allows it", "error")],
    ),
    "dates in the past": (
        Schedule(daily=daily("12:00"), limits=Limits(zone=BERLIN, last=date(2025, 12, 31))),
        [(("limits", "dates"), "all of it lies in the past (the last is 2025-12-31)", "info")],
    ),
    "dates in the past, for on_start alone": (
        Schedule(events=(OnStart(),), limits=Limits(zone=BERLIN, last=date(2025, 12, 31))),
        [(("limits", "dates"), "all of it lies in the past (the last is 2025-12-31)", "info")],
    ),
    "dates in the past that the trigger never met": (
        Schedule(
            weekly=(weekly(MON, at="09:00"),),
            limits=Limits(zone=BERLIN, first=date(2020, 1, 7), last=date(2020, 1, 8)),
        ),
        [(("schedule",), "the job can never be due: weekly[0]: limits.dates never allows it", "error")],
    ),
    "a day that was left out once made the only slot": (
        Schedule(
            weekly=(weekly(FRI, at="09:00", zone="Pacific/Apia"),),
            limits=Limits(zone="Pacific/Apia", weekdays=(SAT,), first=date(2011, 12, 1)),
        ),
        [(("schedule", "weekly", 0), "all its slots lie in the past", "info")],
    ),
    "dates to come": (Schedule(daily=daily("12:00"), limits=Limits(zone=BERLIN, first=date(2090, 1, 1))), []),
}


@pytest.mark.parametrize("name", TABLE)
def test_what_can_never_fire(name: str) -> None:
    """A whole schedule is an error, one trigger among others a warning, the past an info."""
    schedule, expected = TABLE[name]
    assert never_fires(schedule, NOW) == expected


def test_time_alone_makes_no_error() -> None:
    """A file that was fine when it was written has no more than an info a thousand years later."""
    schedule = Schedule(
        daily=daily("12:00"), at=(local("2026-11-24T12:00:00"),), limits=Limits(zone=BERLIN, last=date(2026, 12, 31))
    )
    assert never_fires(schedule, NOW) == []
    assert {severity for _, _, severity in never_fires(schedule, from_text("3026-01-01T00:00:00Z"))} == {"info"}


@pytest.mark.parametrize(
    ("schedule", "found"),
    [
        (Schedule(daily=daily("02:30"), limits=Limits(hours=hours("03:00", "05:00"))), True),
        (Schedule(daily=daily("02:30", "04:00"), limits=Limits(hours=hours("03:00", "05:00"))), False),
        (Schedule(daily=daily("01:30"), limits=Limits(hours=hours("03:00", "05:00"))), False),
        (Schedule(daily=daily("02:30")), False),
    ],
)
def test_what_fires_in_the_spring_night_alone(schedule: Schedule, found: bool) -> None:
    """02:30 means 03:00 in that one night: hardly what hours from 03:00 on are meant for."""
    assert [path for path, _ in fires_in_gaps_only(schedule, NOW)] == ([("schedule", "daily")] if found else [])
