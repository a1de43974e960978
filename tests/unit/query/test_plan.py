"""Every coming slot, and what the slots add up to."""

from typing import Any

import pytest

from akjob.config import Config
from akjob.errors import UsageError
from akjob.instants import DAY, HOUR, MINUTE, SECOND, from_text, to_text
from akjob.query.plan import Planned, advise, check_range, expected_us, hours, starts
from akjob.schedule import get_zone, jitter_us
from akjob.spec import parse_job
from akjob.spec.model import JobSpec

START_US = from_text("2026-03-28T00:00:00Z")
HOURLY = 'command = "x"\n[schedule]\nevery = "1h"\n'


def spec_of(name: str, text: str = HOURLY) -> JobSpec:
    """Parse a job file."""
    spec = parse_job(name, f"jobs.d/{name}.toml", text, defaults=(), config=Config()).spec
    assert spec is not None
    return spec


def planned(name: str, text: str = HOURLY, **values: Any) -> Planned:
    """Return a job as it is planned."""
    return Planned(spec=spec_of(name, text), **values)


def slots(*jobs: Planned, span_us: int = 3 * HOUR) -> list[tuple[str, str]]:
    """Return the time and the job of every slot."""
    return [(to_text(one.slot_us)[11:16], one.job) for one in starts(jobs, START_US, START_US + span_us)]


def test_the_slots_of_all_jobs_are_in_order() -> None:
    """From the beginning, which counts, until the end, which does not."""
    half = planned("b", 'command = "x"\n[schedule]\ncron = "30 * * * *"\n')
    assert slots(planned("a"), half, span_us=2 * HOUR) == [
        ("00:00", "a"),
        ("00:30", "b"),
        ("01:00", "a"),
        ("01:30", "b"),
    ]


def test_what_keeps_a_slot_from_starting() -> None:
    """A disabled job has none, a paused one none before the end, and `runs` cuts."""
    assert slots(planned("a", "enabled = false\n" + HOURLY)) == []
    assert slots(planned("a", from_us=START_US + 90 * MINUTE)) == [("02:00", "a")]
    assert slots(planned("a", runs_left=1)) == [("00:00", "a")]


def test_again_after_counts_from_the_expected_end() -> None:
    """From the last end in the ledger, as if each run took what its last ones took."""
    text = 'command = "x"\n[schedule]\nagain_after = "40m"\n'
    last = START_US - 10 * MINUTE
    assert slots(planned("a", text, last_end_us=last), span_us=2 * HOUR) == [
        ("00:30", "a"),
        ("01:10", "a"),
        ("01:50", "a"),
    ]
    took = planned("a", text, last_end_us=last, expected_us=20 * MINUTE)
    assert slots(took, span_us=2 * HOUR) == [("00:30", "a"), ("01:30", "a")]
    assert slots(planned("a", text, last_end_us=START_US - DAY - MINUTE))[0] == ("00:39", "a")


def test_a_start_has_the_jitter() -> None:
    """And what is expected of the run, in seconds."""
    text = HOURLY + 'jitter = "10m"\n'
    (found,) = starts([planned("a", text, expected_us=1_500_000)], START_US, START_US + HOUR)
    shown = found.shown()
    jitter = jitter_us(spec_of("a", text).schedule, "a")
    assert jitter > 0
    assert (shown.slot, shown.starts_at, shown.expected_s) == (to_text(START_US), to_text(START_US + jitter), 1.5)


def test_what_a_run_is_expected_to_take() -> None:
    """The median; nothing where none succeeded."""
    assert expected_us([1.0, 9.0, 2.0]) == 2 * SECOND
    assert expected_us([]) is None


def test_an_hour_adds_up() -> None:
    """Slots, jobs, and the most runs at once by what they are expected to take; empty hours are there too."""
    often = planned("a", 'command = "x"\n[schedule]\ncron = "*/20 1 * * *"\n', expected_us=30 * MINUTE)
    once = planned("b", 'command = "x"\n[schedule]\ncron = "40 1 * * *"\n')
    found = hours(starts([often, once], START_US, START_US + 3 * HOUR), START_US, START_US + 3 * HOUR, get_zone("UTC"))
    assert [(one.hour[11:16], one.slots, one.peak, one.jobs) for one in found] == [
        ("00:00", 0, 0, 0),
        ("01:00", 4, 3, 2),
        ("02:00", 0, 0, 0),
    ]


def test_hours_are_those_of_the_clock() -> None:
    """A zone with a half hour has its own, and a night in spring has one less."""
    kolkata = hours([], START_US, START_US + HOUR, get_zone("Asia/Kolkata"))
    assert [one.hour[11:16] for one in kolkata] == ["23:30", "00:30"]
    night = from_text("2026-03-28T23:00:00Z")
    assert len(hours([], night, night + 23 * HOUR, get_zone("Europe/Berlin"))) == 23


@pytest.mark.parametrize("days", [0, -1, 91])
def test_a_plan_covers_ninety_days(days: int) -> None:
    """Not nothing, and not more."""
    with pytest.raises(UsageError):
        check_range(START_US, START_US + days * DAY)
    check_range(START_US, START_US + 90 * DAY)


def test_advice() -> None:
    """About a crowd, about runs that will overlap, about a night in which the clock changes."""
    jobs = [planned(f"j{number}", 'command = "x"\n[schedule]\ndaily = 01:00:00\n') for number in range(6)]
    slow = planned("slow", expected_us=90 * MINUTE)
    berlin = planned("z", 'command = "x"\n[schedule]\ntimezone = "Europe/Berlin"\ndaily = 12:00:00\n')
    plans = [*jobs, slow, berlin]
    until = START_US + 2 * DAY
    found = advise(starts(plans, START_US, until), {plan.spec.name: plan.spec for plan in plans}, START_US, until)
    assert [one.kind for one in found] == ["crowd", "overlap", "clock"]
    assert found[0].message.startswith("7 jobs start at 2026-03-28T01:00:00.000000Z")
    assert found[1].message.startswith('slow: 47 slots come while the run before (5400 s) goes on: overlap = "skip"')
    assert found[2].message.startswith("Europe/Berlin: the clock changes before 2026-03-29T03:00:00+02:00")
    assert advise(starts([berlin], START_US, START_US + HOUR), {"z": berlin.spec}, START_US, START_US + HOUR) == []
