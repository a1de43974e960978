"""What the program's ancestor got wrong about time, each with the right result."""

from datetime import date

from akjob.schedule.model import Limits, Schedule
from tests.unit.schedule.build import FRI, MON, THU, TUE, WED, after, daily, every, hours, local, monthly, weekly

WORKDAYS = (MON, TUE, WED, THU, FRI)


def test_weekday_evenings_west_of_greenwich() -> None:
    """Weekdays at 22:00 at UTC-7 are due on those days there; by the day of UTC, the next one, they never were."""
    zone = "-07:00"
    schedule = Schedule(
        zone=zone,
        weekly=(weekly(*WORKDAYS, at="22:00", zone=zone),),
        limits=Limits(zone=zone, weekdays=WORKDAYS),
    )
    assert after(schedule, "2026-01-08T00:00:00-07:00") == [
        "2026-01-08T22:00-07:00",
        "2026-01-09T22:00-07:00",
        "2026-01-12T22:00-07:00",
    ]


def test_days_that_february_lacks_do_not_take_the_others_with_them() -> None:
    """Day 31 is passed over in February; the 15th beside it runs."""
    schedule = Schedule(zone="UTC", monthly=(monthly(15, 29, 30, 31, zone="UTC"),))
    assert after(schedule, "2026-01-31T12:00:00Z", 4) == [
        "2026-02-15T00:00+00:00",
        "2026-03-15T00:00+00:00",
        "2026-03-29T00:00+00:00",
        "2026-03-30T00:00+00:00",
    ]


def test_a_window_across_midnight_matches() -> None:
    """22:00 to 02:00 allows both its evening and its morning."""
    schedule = Schedule(zone="UTC", every=every(3600), limits=Limits(hours=hours("22:00", "02:00", "UTC")))
    assert after(schedule, "2026-01-01T12:00:00Z", 5) == [
        "2026-01-01T22:00+00:00",
        "2026-01-01T23:00+00:00",
        "2026-01-02T00:00+00:00",
        "2026-01-02T01:00+00:00",
        "2026-01-02T22:00+00:00",
    ]


def test_month_days_are_those_of_the_jobs_zone() -> None:
    """The first of the month begins in the job's zone, not in UTC."""
    zone = "+10:00"
    schedule = Schedule(
        zone=zone, monthly=(monthly(1, at="05:00", zone=zone),), limits=Limits(zone=zone, month_days=(1,))
    )
    assert after(schedule, "2026-01-31T00:00:00Z", 2) == ["2026-02-01T05:00+10:00", "2026-03-01T05:00+10:00"]


def test_the_hours_end_before_their_end() -> None:
    """From is inclusive, until is exclusive; the dates are both inclusive."""
    limits = Limits(hours=hours("08:00", "10:00", "UTC"), first=date(2026, 1, 2), last=date(2026, 1, 3))
    schedule = Schedule(zone="UTC", daily=daily("08:00", "09:59:59", "10:00", zone="UTC"), limits=limits)
    assert after(schedule, "2026-01-01T00:00:00Z", 9) == [
        "2026-01-02T08:00+00:00",
        "2026-01-02T09:59:59+00:00",
        "2026-01-03T08:00+00:00",
        "2026-01-03T09:59:59+00:00",
    ]


def test_triggers_are_a_union() -> None:
    """A job with several triggers is due when any of them says so, once for each instant."""
    schedule = Schedule(
        zone="UTC",
        at=(local("2026-01-05T07:00:00", "UTC"),),
        daily=daily("12:00", zone="UTC"),
        weekly=(weekly(MON, at="12:00", zone="UTC"),),
    )
    assert after(schedule, "2026-01-05T00:00:00Z") == [
        "2026-01-05T07:00+00:00",
        "2026-01-05T12:00+00:00",
        "2026-01-06T12:00+00:00",
    ]


def test_an_at_that_has_passed_never_runs() -> None:
    """An instant is due once; after it there is nothing."""
    schedule = Schedule(zone="UTC", at=(local("2026-01-05T07:00:00", "UTC"),))
    assert after(schedule, "2026-01-05T07:00:00Z") == []
