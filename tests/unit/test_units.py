"""Durations and sizes."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from akjob.units import format_duration, format_size, parse_duration, parse_size

SECOND = 1_000_000


@pytest.mark.parametrize(
    ("text", "duration_us"),
    [
        ("250ms", 250_000),
        ("30s", 30 * SECOND),
        ("5m", 300 * SECOND),
        ("1h30m", 5_400 * SECOND),
        ("2d", 172_800 * SECOND),
        ("1w", 604_800 * SECOND),
        ("1w2d3h4m5s6ms", 788_645_006_000),
        ("90m", 5_400 * SECOND),
        ("0s", 0),
        ("007s", 7 * SECOND),
        ("5m100ms", 300 * SECOND + 100_000),
        ("PT90M", 5_400 * SECOND),
        ("P1DT2H", 93_600 * SECOND),
        ("P2W", 1_209_600 * SECOND),
        ("PT0.25S", 250_000),
        ("PT1H30M5.000001S", 5_405 * SECOND + 1),
        ("36525d", 3_155_760_000 * SECOND),
    ],
)
def test_durations(text: str, duration_us: int) -> None:
    """Units in descending order, each once; and ISO 8601."""
    assert parse_duration(text) == duration_us


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        ("", 'write it as "30s"'),
        ("90", 'write "90s"'),
        ("5 min", 'write "5m"'),
        ("1 hour 30 minutes", 'write "1h30m"'),
        ("30m1h", 'write "1h30m"'),
        ("1H", 'write "1h"'),
        ("1h1h", 'write it as "30s"'),
        ("1.5h", 'write it as "30s"'),
        ("-5s", 'write it as "30s"'),
        ("1y", 'write it as "30s"'),
        ("P1M", "years and months have no fixed length"),
        ("P1Y2D", "years and months have no fixed length"),
        ("P", 'write it as "30s"'),
        ("PT", 'write it as "30s"'),
        ("P1DT", 'write it as "30s"'),
        ("PT5", 'write it as "30s"'),
        ("pt5m", 'write it as "30s"'),
        ("٣s", 'write it as "30s"'),
        ("36526d", "at most 36525d"),
        ("9999999999999s", 'write it as "30s"'),
    ],
)
def test_what_is_no_duration(text: str, hint: str) -> None:
    """The message shows the text and says what to write."""
    with pytest.raises(ValueError, match=r".") as caught:
        parse_duration(text)
    assert str(caught.value).startswith(f'"{text}" ')
    assert hint in str(caught.value)


@given(st.integers(0, 36_525 * 86_400 * SECOND))
def test_a_duration_reads_back(duration_us: int) -> None:
    """Whatever is written is read as the same, to the microsecond."""
    assert parse_duration(format_duration(duration_us)) == duration_us


@pytest.mark.parametrize(
    ("duration_us", "text"),
    [
        (0, "0s"),
        (5_400 * SECOND, "1h30m"),
        (604_800 * SECOND, "1w"),
        (10 * 86_400 * SECOND, "10d"),
        (14 * 86_400 * SECOND, "2w"),
        (1_500_000, "1s500ms"),
        (1, "PT0.000001S"),
    ],
)
def test_durations_are_written_short(duration_us: int, text: str) -> None:
    """The largest units, no zeros; weeks only when whole."""
    assert format_duration(duration_us) == text


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("0B", 0),
        ("512MiB", 2**29),
        ("2GB", 2 * 10**9),
        ("1kB", 1000),
        ("1KB", 1000),
        ("1KiB", 1024),
        ("3TiB", 3 * 2**40),
        ("1TB", 10**12),
    ],
)
def test_sizes(text: str, size: int) -> None:
    """Powers of 1024 with an i, of 1000 without."""
    assert parse_size(text) == size


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        ("", "write it as"),
        ("512", '"512MiB"'),
        ("512M", 'write "512MiB" (powers of 1024) or "512MB" (of 1000)'),
        ("1k", '"1KiB" (powers of 1024) or "1kB"'),
        ("512 MiB", 'write "512MiB"'),
        ("512mib", 'write "512MiB"'),
        ("1.5GB", "write it as"),
        ("-1B", "write it as"),
        ("1PB", "write it as"),
        ("99999999TiB", "at most"),
    ],
)
def test_what_is_no_size(text: str, hint: str) -> None:
    """The message shows the text and says what to write."""
    with pytest.raises(ValueError, match=r".") as caught:
        parse_size(text)
    assert str(caught.value).startswith(f'"{text}" ')
    assert hint in str(caught.value)


@given(st.integers(0, 2**62))
def test_a_size_reads_back(size: int) -> None:
    """Whatever is written is read as the same."""
    assert parse_size(format_size(size)) == size


@pytest.mark.parametrize(
    ("size", "text"), [(2**28, "256MiB"), (10**9, "1GB"), (1_000_001, "1000001B"), (0, "0B"), (1536, "1536B")]
)
def test_sizes_are_written_short(size: int, text: str) -> None:
    """The largest unit that gives a whole number."""
    assert format_size(size) == text
