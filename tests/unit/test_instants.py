"""Instants and their texts."""

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from akjob.instants import from_datetime, from_text, to_datetime, to_text

ANY = st.integers(from_text("0001-01-01T00:00:00Z"), from_text("9999-12-31T23:59:59.999999Z"))


@given(ANY)
def test_a_text_reads_back(instant_us: int) -> None:
    """Whatever is written is read as the same instant."""
    assert from_text(to_text(instant_us)) == instant_us


@given(ANY, ANY)
def test_texts_sort_as_instants_do(one: int, other: int) -> None:
    """The ledger compares texts; they all have the same length."""
    assert (to_text(one) < to_text(other)) == (one < other)
    assert len(to_text(one)) == len(to_text(other)) == 27


@given(ANY)
def test_datetimes_read_back(instant_us: int) -> None:
    """To a datetime and back loses no microsecond, before 1970 too."""
    assert from_datetime(to_datetime(instant_us)) == instant_us


@pytest.mark.parametrize(
    ("text", "instant_us"),
    [
        ("1970-01-01T00:00:00Z", 0),
        ("1970-01-01T01:00:00+01:00", 0),
        ("1969-12-31T23:59:59.999999Z", -1),
        ("2026-03-29T01:00:00.000000Z", 1_774_746_000_000_000),
    ],
)
def test_known_instants(text: str, instant_us: int) -> None:
    """Microseconds since 1970, UTC."""
    assert from_text(text) == instant_us


@pytest.mark.parametrize("text", ["2026-03-29T01:00:00", "2026-03-29", "", "now"])
def test_a_text_without_an_offset_is_refused(text: str) -> None:
    """No zone is guessed."""
    with pytest.raises(ValueError, match=r"offset|isoformat"):
        from_text(text)


def test_a_datetime_without_a_zone_is_refused() -> None:
    """No zone is guessed here either; any zone will do."""
    with pytest.raises(TypeError):
        from_datetime(datetime(2026, 1, 1))  # noqa: DTZ001 - the mistake
    assert from_datetime(datetime(1970, 1, 1, 2, tzinfo=timezone(timedelta(hours=2)))) == 0
    assert to_datetime(0) == datetime(1970, 1, 1, tzinfo=UTC)


def test_years_are_written_with_four_digits() -> None:
    """The first years too, or the texts would not sort."""
    assert to_text(from_text("0099-01-01T00:00:00Z")) == "0099-01-01T00:00:00.000000Z"
