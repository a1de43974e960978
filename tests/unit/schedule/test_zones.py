"""Time zones as integers say what zoneinfo says."""

from datetime import UTC, datetime, timedelta
from random import Random
from zoneinfo import ZoneInfo

import pytest

from akjob.schedule import get_zone, is_zone, near_zones, zone_error, zone_names
from akjob.schedule.zones import CYCLE_S, FAR_FUTURE_S, integer_zone
from tests.unit.schedule.cases import ZONES

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
IANA = [name for name in ZONES if name[0] not in "+-"]


def _offset(instant: datetime, zone: ZoneInfo) -> int:
    return int((instant.astimezone(zone).utcoffset() or timedelta()).total_seconds())


def _instants(name: str) -> list[int]:
    """Return every change of the zone's offset until 2100, the second before it, and some instants until 9999."""
    random = Random(name)  # noqa: S311 - repeatable, no secret
    zone, changes, second = integer_zone(name), [], -(10**10)
    while second < 4_102_444_800:
        second = zone.segment(second).end
        changes += [second - 1, second]
    return [s for s in changes if s < FAR_FUTURE_S - 1] + [
        random.randrange(-3 * 10**9, 250_000_000_000) for _ in range(50)
    ]


@pytest.mark.parametrize("name", [*IANA, *Random(7).sample(zone_names(), 20)])  # noqa: S311 - repeatable, no secret
def test_offsets_are_those_of_zoneinfo(name: str) -> None:
    """Each change happens in the second in which it does for zoneinfo, and so does the far future."""
    zone, other = integer_zone(name), ZoneInfo(name)
    for second in _instants(name):
        assert zone.offset(second) == _offset(EPOCH + timedelta(seconds=second), other), (name, second)


@pytest.mark.parametrize("name", IANA)
def test_a_local_time_means_the_first_of_two(name: str) -> None:
    """The instant of a local time that exists is the one that zoneinfo gives with fold 0."""
    zone, other = integer_zone(name), ZoneInfo(name)
    for second in _instants(name):
        local = second + zone.offset(second)
        wall = (EPOCH + timedelta(seconds=local)).replace(tzinfo=other)
        assert zone.first(local) == (wall - EPOCH).total_seconds(), (name, second)


def test_a_local_time_that_does_not_exist_means_the_end_of_the_gap() -> None:
    """Every second of the gap leads to the first instant after it."""
    zone = integer_zone("Europe/Berlin")
    gap = int(datetime(2026, 3, 29, 2, tzinfo=UTC).timestamp())
    assert {zone.first(gap + second) for second in (0, 1, 1800, 3599)} == {gap - 3600}


@pytest.mark.parametrize("name", ["Europe/Berlin", "America/Nuuk", "Australia/Lord_Howe"])
def test_the_far_future_repeats_after_400_years(name: str) -> None:
    """Stretches beyond the table have their ends, and their offsets, 400 years later again."""
    zone = integer_zone(name)
    second = int(datetime(2900, 7, 1, tzinfo=UTC).timestamp())
    here, there = zone.segment(second), zone.segment(second + CYCLE_S)
    assert (here.start + CYCLE_S, here.end + CYCLE_S, *here[2:]) == tuple(there)
    assert here.start <= second < here.end


@pytest.mark.parametrize("year", [2026, 2099, 2101, 2500, 9000])
def test_what_is_still_to_come_of_a_rule(year: int) -> None:
    """However far ahead, both offsets of a rule are still to come, and its gap."""
    zone = integer_zone("Europe/Berlin")
    second = int(datetime(year, 12, 30, tzinfo=UTC).timestamp())
    assert zone.offsets_from(second) == {3600, 7200}
    assert zone.gaps_from(second) == {(7200, 3600, 7200)}


def test_a_fixed_offset_is_a_zone() -> None:
    """``+05:30`` needs no file and never changes."""
    assert integer_zone("+05:30").segment(0)[2:] == (19_800, 19_800)
    assert integer_zone("-03:00").offset(10**10) == -10_800
    assert get_zone("+05:30").utcoffset(None) == timedelta(hours=5, minutes=30)


@pytest.mark.parametrize("name", ["UTC", "Europe/Berlin", "+05:30", "-12:00", "Etc/GMT-3", "EST5EDT"])
def test_names_that_are_zones(name: str) -> None:
    """IANA names and offsets are zones."""
    assert is_zone(name)


@pytest.mark.parametrize(
    "name",
    [
        "",
        "Europe",
        "europe/berlin",
        "Berlin",
        "+5:30",
        "+0530",
        "+24:00",
        "../UTC",
        "/etc/passwd",
        "right/UTC",
        "Zürich",
    ],
)
def test_names_that_are_no_zones(name: str) -> None:
    """Anything else is not, and asking for it is a ValueError that says what to write."""
    assert not is_zone(name)
    with pytest.raises(ValueError, match="is not a time zone"):
        get_zone(name)
    with pytest.raises(ValueError, match="is not a time zone"):
        integer_zone(name)


@pytest.mark.parametrize(
    ("wrong", "right"),
    [
        ("europe/berlin", "Europe/Berlin"),
        ("Europe/Berln", "Europe/Berlin"),
        ("Berlin", "Europe/Berlin"),
        ("new york", "America/New_York"),
        ("+0530", "+05:30"),
        ("+2", "+02:00"),
        ("UTC-3", "-03:00"),
    ],
)
def test_the_nearest_names(wrong: str, right: str) -> None:
    """A slip of the pen is answered with the name that was meant."""
    assert near_zones(wrong)[0] == right


def test_nothing_is_near_to_nonsense() -> None:
    """Where no name is near, none is suggested."""
    assert near_zones("qqqqqqqq") == []
    assert (
        zone_error("qqqqqqqq")
        == "'qqqqqqqq' is not a time zone: write a name such as 'Europe/Berlin', or an offset such as '+05:30'"
    )


def test_the_error_suggests_a_name() -> None:
    """The message names what was meant."""
    assert zone_error("Europe/Berln") == "'Europe/Berln' is not a time zone: did you mean 'Europe/Berlin'?"
