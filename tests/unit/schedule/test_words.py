"""Schedules in words."""

from datetime import date
from random import Random

import pytest

from akjob.instants import MINUTE, from_text
from akjob.schedule import describe
from akjob.schedule.daysets import pack
from akjob.schedule.events import ENDED, After, OnBoot, OnChange, OnStart
from akjob.schedule.model import DaySet, Limits, Moment, Monthly, NthWeekday, Schedule, Weekly
from tests.unit.schedule.build import (
    BERLIN,
    FRI,
    MON,
    SUN,
    THU,
    TUE,
    WED,
    cron,
    daily,
    every,
    hours,
    local,
    monthly,
    weekly,
)
from tests.unit.schedule.cases import make_case

NOW = from_text("2026-01-23T00:00:00Z")
GAP = "29 March 2026 02:30 does not exist in Europe/Berlin: runs at 03:00"
EPOCH = local("1970-01-01T00:00:00")

FREEZE = DaySet("freeze", pack([date(2026, 12, 24)]))
BERLIN_DAYS = DaySet("de", b"", "DE", "BE")
AT_NINE = (9 * 3600,)

TABLE: dict[str, tuple[Schedule, list[str]]] = {
    "weeks": (
        Schedule(zone=BERLIN, weekly=(Weekly((0, 3), AT_NINE, BERLIN, 2, date(2026, 1, 2)),)),
        [
            (
                "every Monday and Thursday of every second week at 09:00 Europe/Berlin, "
                "counted from the week of 2 January 2026"
            )
        ],
    ),
    "months that are rolled": (
        Schedule(zone=BERLIN, monthly=(Monthly((15,), AT_NINE, BERLIN, "next", BERLIN_DAYS, 6, date(2026, 1, 1)),)),
        [
            (
                "on the 15th of every 6th month at 09:00 Europe/Berlin, counted from January 2026, "
                "moved to the next workday if that is not a workday"
            ),
            "workdays are Monday to Friday without the days of de (holidays of DE-BE, known until 2100)",
        ],
    ),
    "workdays": (
        Schedule(zone=BERLIN, monthly=(Monthly(tuple(NthWeekday(n, 7) for n in (1, 8, -1, -2)), AT_NINE, BERLIN),)),
        [
            (
                "on the first workday, the 8th workday, the last workday and the 2nd to last workday of every month "
                "at 09:00 Europe/Berlin"
            ),
            "workdays are Monday to Friday",
        ],
    ),
    "a day that months lack": (
        Schedule(zone=BERLIN, monthly=(Monthly((1, 31), AT_NINE, BERLIN),)),
        ["on the 1st and the 31st of every month at 09:00 Europe/Berlin; a month without the 31st is passed over"],
    ),
    "whole days of elapsed time": (
        Schedule(zone=BERLIN, every=every(86_400, EPOCH)),
        ["every day; in elapsed time, so that it moves when the clock in Europe/Berlin changes"],
    ),
    "calendars as limits": (
        Schedule(zone=BERLIN, daily=daily("12:00"), limits=Limits(zone=BERLIN, not_on=(FREEZE,), only_on=(FREEZE,))),
        ["every day at 12:00 Europe/Berlin", "never on a day of freeze", "only on a day of freeze"],
    ),
    "delays": (
        Schedule(events=(OnStart(delay_us=90 * MINUTE), OnBoot(delay_us=2 * MINUTE))),
        ["1 hour 30 minutes after each start of akjobd", "once 2 minutes after each boot of the machine"],
    ),
    "after one": (Schedule(events=(After(jobs=("a",)),)), ["after a has succeeded"]),
    "after any end": (
        Schedule(events=(After(jobs=("a", "b"), on=ENDED, mode="any"),)),
        ["each time that a or b has ended"],
    ),
    "after all": (
        Schedule(events=(After(jobs=("a", "b"), on=("succeeded", "timed_out"), within_us=90 * MINUTE),)),
        ["after a and b have each succeeded or timed out, the oldest of them at most 1 hour 30 minutes ago"],
    ),
    "changed files": (
        Schedule(events=(OnChange(paths=("a/*", "b"), ignore=("*.tmp",), deleted=True, settle_us=0),)),
        [
            (
                "when files change or disappear: a/* or b, without *.tmp, once they have changed, "
                "or 1 minute after the first change"
            ),
        ],
    ),
    "nothing": (Schedule(), ["by hand only"]),
    "weekly": (
        Schedule(
            zone=BERLIN,
            weekly=(weekly(MON, THU, at="09:30"),),
            limits=Limits(zone=BERLIN, hours=hours("06:00", "18:00")),
        ),
        ["every Monday and Thursday at 09:30 Europe/Berlin", "only from 06:00 to 18:00"],
    ),
    "the clock's next change": (
        Schedule(zone=BERLIN, daily=daily("02:30", "18:00")),
        ["every day at 02:30 and 18:00 Europe/Berlin", GAP],
    ),
    "a change that the limits leave out": (
        Schedule(zone=BERLIN, weekly=(weekly(SUN, at="02:30"),), limits=Limits(zone=BERLIN, months=(10,))),
        [
            "every Sunday at 02:30 Europe/Berlin",
            "only in October",
            "25 October 2026 02:30 comes twice in Europe/Berlin: runs at the first of the two only",
        ],
    ),
    "a change of an at": (
        Schedule(zone=BERLIN, at=(local("2026-03-29T02:30:00"),)),
        ["once at 29 March 2026 02:30 Europe/Berlin", GAP],
    ),
    "a change that leads into the next day": (
        Schedule(zone="America/Nuuk", daily=daily("23:30", zone="America/Nuuk")),
        [
            "every day at 23:30 America/Nuuk",
            "28 March 2026 23:30 does not exist in America/Nuuk: runs at 29 March 2026 00:00",
        ],
    ),
    "workdays and limits of days": (
        Schedule(
            zone=BERLIN,
            weekly=(weekly(MON, TUE, WED, THU, FRI, at="12:00:30"),),
            limits=Limits(
                zone="UTC",
                hours=hours("22:00", "06:00", "UTC"),
                weekdays=(MON, FRI),
                month_days=(1, -1, -2),
                months=(1, 3),
                first=date(2026, 1, 1),
                except_dates=(date(2026, 12, 24),),
            ),
        ),
        [
            "every day from Monday to Friday at 12:00:30 Europe/Berlin",
            "only from 22:00 to 06:00 UTC, over midnight",
            "only on a Monday or Friday UTC",
            "only on the 1st, the last day or the 2nd to last day of a month UTC",
            "only in January and March UTC",
            "only from 1 January 2026 on UTC",
            "never on 24 December 2026 UTC",
        ],
    ),
    "monthly, with jitter": (
        Schedule(
            zone=BERLIN,
            monthly=(monthly(1, 22, 13, -1, NthWeekday(1, MON), NthWeekday(-1, SUN), at="12:00"),),
            jitter_us=5 * MINUTE,
        ),
        [
            (
                "on the 1st, the 22nd, the 13th, the last day, the first Monday and the last Sunday of every month"
                " at 12:00 Europe/Berlin"
            ),
            "each start up to 5 minutes later, always by the same amount",
        ],
    ),
    "cron": (cron("0 9 * * 1-5"), ["at 09:00 on Monday through Friday Europe/Berlin (cron 0 9 * * 1-5)"]),
    "elapsed time and starts": (
        Schedule(zone=BERLIN, every=every(5400, EPOCH), again_after_us=90 * MINUTE, events=(OnStart(), OnBoot())),
        [
            "every 1 hour 30 minutes",
            "again 1 hour 30 minutes after the last run ended",
            "each time akjobd starts",
            "once after each boot of the machine",
        ],
    ),
    "an anchor": (
        Schedule(zone=BERLIN, every=every(3600, local("2026-01-01T00:30:00"))),
        ["every hour, counted from 1 January 2026 00:30 Europe/Berlin"],
    ),
    "many instants": (
        Schedule(zone=BERLIN, at=tuple(local(f"2026-05-0{day}T12:00:00") for day in range(9, 0, -1))),
        [
            (
                "at 1 May 2026 12:00 Europe/Berlin, 2 May 2026 12:00 Europe/Berlin, 3 May 2026 12:00 Europe/Berlin,"
                " 4 May 2026 12:00 Europe/Berlin and 5 more times"
            )
        ],
    ),
    "an instant with an offset, and dates": (
        Schedule(
            zone=BERLIN,
            at=(Moment(None, from_text("2026-05-01T12:00:00Z"), "UTC"),),
            limits=Limits(zone=BERLIN, first=date(2026, 1, 1), last=date(2026, 12, 31)),
        ),
        ["once at 1 May 2026 14:00 Europe/Berlin", "only from 1 January 2026 to 31 December 2026"],
    ),
    "an instant in a gap that the limits forbid": (
        Schedule(zone=BERLIN, at=(local("2026-03-29T02:30:00"),), limits=Limits(zone=BERLIN, weekdays=(MON,))),
        ["once at 29 March 2026 02:30 Europe/Berlin", "only on a Monday"],
    ),
    "an instant in a gap that the limits allow": (
        Schedule(zone=BERLIN, at=(local("2026-03-29T02:30:00"),), limits=Limits(zone=BERLIN, weekdays=(SUN,))),
        ["once at 29 March 2026 02:30 Europe/Berlin", "only on a Sunday", GAP],
    ),
}


@pytest.mark.parametrize("name", TABLE)
def test_words(name: str) -> None:
    """A schedule reads as a person would say it."""
    schedule, expected = TABLE[name]
    assert describe(schedule, NOW) == expected


@pytest.mark.parametrize("seed", range(60))
def test_every_schedule_has_words(seed: int) -> None:
    """There are words for anything that can be written."""
    case = make_case(Random(seed))  # noqa: S311 - repeatable, no secret
    lines = describe(case.schedule, int(case.start.timestamp()) * 1_000_000)
    assert lines
    assert all(line and "None" not in line for line in lines)
