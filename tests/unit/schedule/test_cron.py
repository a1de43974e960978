"""Cron expressions: read as cronsim reads them, refused with better words."""

from datetime import UTC, date, datetime, timedelta
from itertools import islice
from random import Random

import pytest
from cronsim import CronSim, CronSimError
from hypothesis import given, settings
from hypothesis import strategies as st

from akjob.instants import from_datetime
from akjob.schedule import check_cron, compile_schedule, cron_both_days, expand_alias, next_slots
from akjob.schedule.cron import parse_cron
from tests.unit.schedule.build import cron

VALUES = st.sampled_from(
    [
        "*",
        "0",
        "1",
        "5",
        "7",
        "8",
        "23",
        "24",
        "31",
        "32",
        "59",
        "60",
        "007",
        "",
        "L",
        "LW",
        "5L",
        "L5",
        "MON",
        "jan",
        "FEB",
    ]
)
PLAIN = st.one_of(VALUES, st.integers(0, 61).map(str))
RANGES = st.one_of(PLAIN, st.tuples(PLAIN, PLAIN).map("-".join))
STEPS = st.one_of(RANGES, st.tuples(RANGES, st.sampled_from(["1", "2", "7", "0", "x", "100"])).map("/".join))
TERMS = st.one_of(STEPS, st.tuples(PLAIN, st.sampled_from(["1", "2", "5", "6"])).map("#".join))
FIELDS = st.one_of(TERMS, st.lists(TERMS, min_size=1, max_size=3).map(",".join))
STARS = st.just("*")
EXPRESSIONS = st.one_of(
    # One odd field among stars, for otherwise hardly any expression is valid.
    st.tuples(st.integers(0, 4), FIELDS).map(lambda odd: " ".join(odd[1] if i == odd[0] else "*" for i in range(5))),
    st.tuples(st.integers(0, 5), FIELDS).map(lambda odd: " ".join(odd[1] if i == odd[0] else "*" for i in range(6))),
    st.lists(st.one_of(STARS, FIELDS), min_size=4, max_size=7).map(" ".join),
)


def _cronsim(expression: str, start: datetime = datetime(2026, 1, 1, tzinfo=UTC)) -> CronSim | None:
    try:
        return CronSim(expression, start)
    except (CronSimError, AssertionError):  # "5L,1/2" trips an assertion of cronsim's
        return None


@given(EXPRESSIONS)
@settings(max_examples=150, deadline=None)
def test_valid_is_what_cronsim_takes(expression: str) -> None:
    """The dialect is cronsim's; a day that no month has is a matter of never firing, not of the dialect."""
    other = _cronsim(expression)
    if other is None:
        assert check_cron(expression) or not next_slots(compile_schedule(cron(expression, zone="UTC")), 0, 1)
        return
    error = check_cron(expression)
    if error is not None:
        assert "the step leaves" in str(error)  # cronsim takes it and means something else than it says
        return
    plan = parse_cron(expression)
    day = date(2027, 12, 20)
    for _ in range(80):
        day += timedelta(days=1)
        first = day.replace(day=1)
        length = ((first + timedelta(days=32)).replace(day=1) - first).days
        named = bool(plan.days.mask(day.month, first.weekday(), length) >> day.day - 1 & 1)
        assert named == (day.month in other.months and other.match_day(day)), day
    for time in (0, 59, 60, 3599, 3600, 43_261, 86_399):
        moment = datetime(2026, 1, 1, tzinfo=UTC) + timedelta(seconds=time)
        named = moment.second in other.seconds and moment.minute in other.minutes and moment.hour in other.hours
        assert (plan.times.first(time) == time) == named


@pytest.mark.parametrize("seed", range(40))
def test_the_slots_are_cronsims_where_no_clock_changes(seed: int) -> None:
    """In UTC, the next slots of an expression are those of cronsim."""
    random = Random(seed)  # noqa: S311 - repeatable, no secret
    fields = [
        random.choice(("*", "*/7", "0", "5-50/9", "1,2,59")),
        random.choice(("*", "*/5", "3", "9-17", "0,23")),
        random.choice(("*", "*/3", "1", "31", "L", "LW", "15-20")),
        random.choice(("*", "2", "*/3", "JAN-MAR", "11")),
        random.choice(("*", "*/2", "1", "MON-FRI", "5L", "SUN#1", "0,7")),
    ]
    if random.random() < 0.5:
        fields.insert(0, random.choice(("*", "*/20", "30", "0,59")))
    expression = " ".join(fields)
    start = datetime(2026, 1, 1, tzinfo=UTC) + timedelta(minutes=random.randrange(2_000_000))
    simulated = _cronsim(expression, start)
    expected = [from_datetime(moment) for moment in islice(simulated, 20)] if simulated else []
    assert next_slots(compile_schedule(cron(expression, zone="UTC")), from_datetime(start), 20) == expected, expression


@pytest.mark.parametrize(
    ("expression", "message"),
    [
        ("61 * * * *", "bad minute '61' in the cron expression: 0 to 59 are possible"),
        ("* 24 * * *", "bad hour '24' in the cron expression: 0 to 23 are possible"),
        ("* * 0 * *", "bad day of month '0' in the cron expression: 1 to 31 are possible"),
        ("* * * 13 *", "bad month '13' in the cron expression: 1 to 12 or JAN to DEC are possible"),
        ("* * * * MOO", "bad weekday 'MOO' in the cron expression: 0 to 7 or SUN to SAT are possible"),
        ("60 * * * * *", "bad second '60' in the cron expression: 0 to 59 are possible"),
        ("5-1 * * * *", "bad minute '5-1' in the cron expression: the range ends before it begins"),
        ("*/0 * * * *", "bad minute '*/0' in the cron expression: the step after / is a number from 1 on"),
        ("1,,2 * * * *", "bad minute an empty value in the cron expression: 0 to 59 are possible"),
        ("* * * * 1#6", "bad weekday '1#6' in the cron expression: write 1 to 5 after #"),
        ("* * * *", "a cron expression has 5 fields, or 6 with seconds first; '* * * *' has 4"),
        ("", "a cron expression has 5 fields, or 6 with seconds first; '' has 0"),
        (
            "@dialy",
            (
                "'@dialy' is not a cron alias: write one of @hourly, @daily, @midnight, @weekly, @monthly, @yearly, "
                "@annually"
            ),
        ),
    ],
)
def test_the_error_says_what_can_stand_there(expression: str, message: str) -> None:
    """A wrong expression is answered with the field, the value and what is right."""
    assert str(check_cron(expression)) == message


@pytest.mark.parametrize(
    ("alias", "expression"),
    [
        ("@hourly", "0 * * * *"),
        ("@daily", "0 0 * * *"),
        ("@midnight", "0 0 * * *"),
        ("@weekly", "0 0 * * 0"),
        ("@monthly", "0 0 1 * *"),
        ("@yearly", "0 0 1 1 *"),
        ("@annually", "0 0 1 1 *"),
        ("1 2 3 4 5", "1 2 3 4 5"),
    ],
)
def test_aliases(alias: str, expression: str) -> None:
    """An alias stands for its expression, and is valid."""
    assert expand_alias(alias) == expression
    assert check_cron(alias) is None


@pytest.mark.parametrize(
    ("expression", "both"),
    [
        ("0 0 1 * *", False),
        ("0 0 * * 1", False),
        ("0 0 1 * 1", True),
        ("0 0 */2 * 1", False),
        ("0 0 1 * */2", False),
        ("0 0 0 1,15 * MON", True),
        ("0 0 1-31 * 0-6", True),
        ("@weekly", False),
    ],
)
def test_both_day_fields_restricted(expression: str, both: bool) -> None:
    """Restricted is a field that does not begin with a star."""
    assert cron_both_days(expression) is both
