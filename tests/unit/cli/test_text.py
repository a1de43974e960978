"""Tables, times and spans as people read them."""

from zoneinfo import ZoneInfo

import pytest

from akjob.cli.text import Cell, paint, table, width
from akjob.instants import DAY, HOUR, MINUTE, SECOND, from_text
from akjob.query.text import plural, relative, size, span, stamp


def test_table_aligns_columns_and_ends_no_line_in_blanks() -> None:
    """Columns begin below their heads, numbers end flush right, and copying a line copies no blanks."""
    lines = table(("JOB", "N", "X"), [("a", "1", ""), ("long-name", "100", "y")], colour=False, right=frozenset({1}))
    assert lines == ["JOB          N  X", "a            1", "long-name  100  y"]


def test_table_measures_without_colours_and_in_terminal_columns() -> None:
    """Colours take no room, and a wide character takes two columns."""
    lines = table(("A", "B"), [(Cell("日本", "red"), "x"), ("abcd", "y")], colour=True)
    assert lines[1] == "\x1b[31m日本\x1b[0m  x"
    assert lines[2] == "abcd  y"
    assert width("é") == 1
    assert width("e\u0301") == 1


def test_columns_without_anything_are_left_out() -> None:
    """A column that no row fills takes no room."""
    assert table(("A", "B", "C"), [("1", "", "2"), ("3", "", "")], colour=False) == ["A  C", "1  2", "3"]


def test_a_table_without_rows_is_its_head() -> None:
    """A table without rows is not an error."""
    assert table(("A", "B"), [], colour=False) == ["A  B"]


@pytest.mark.parametrize(
    ("duration", "text"),
    [
        (0, "0 ms"),
        (250_000, "250 ms"),
        (SECOND, "1 s"),
        (1_540_000, "1.5 s"),
        (59 * SECOND, "59 s"),
        (MINUTE, "1 min"),
        (3 * MINUTE + 4 * SECOND, "3 min 4 s"),
        (45 * MINUTE + 50 * SECOND, "45 min"),
        (2 * HOUR + 5 * MINUTE, "2 h 5 min"),
        (DAY + 3 * HOUR, "1 d 3 h"),
        (12 * DAY + HOUR, "12 d"),
    ],
)
def test_spans(duration: int, text: str) -> None:
    """A duration is said in its one or two largest units."""
    assert span(duration) == text


def test_relative_looks_both_ways() -> None:
    """What is to come is "in", what is over is "ago", and what is within a second is now."""
    assert relative(3 * MINUTE, 0) == "in 3 min"
    assert relative(0, 2 * HOUR) == "2 h ago"
    assert relative(500_000, 0) == "now"


@pytest.mark.parametrize(
    ("instant", "zone", "text"),
    [
        ("2026-03-30T00:30:00Z", "Europe/Berlin", "2026-03-30 02:30:00 +02:00"),
        ("2026-10-25T00:30:00Z", "Europe/Berlin", "2026-10-25 02:30:00 +02:00"),
        ("2026-10-25T01:30:00Z", "Europe/Berlin", "2026-10-25 02:30:00 +01:00"),
        ("2026-01-01T00:00:00.250Z", "Asia/Kolkata", "2026-01-01 05:30:00.25 +05:30"),
    ],
)
def test_stamps_carry_their_offset(instant: str, zone: str, text: str) -> None:
    """The hour that exists twice is told apart by the offset; fractions are shown where there are some."""
    assert stamp(from_text(instant), ZoneInfo(zone), fine=True) == text


def test_stamps_are_of_whole_seconds_where_more_would_be_noise() -> None:
    """When a person typed a command, to the microsecond, is of no interest."""
    assert stamp(from_text("2026-01-01T00:00:00.999999Z"), ZoneInfo("UTC")) == "2026-01-01 00:00:00 +00:00"


def test_colours_are_off_where_they_are_off() -> None:
    """Nothing is painted without colours, and an empty text never is."""
    assert paint("x", "red", on=False) == "x"
    assert not paint("", "red", on=True)
    assert paint("x", "bold", on=True) == "\x1b[1mx\x1b[0m"


def test_sizes_and_plurals() -> None:
    """Bytes are said in binary units; one job, two jobs."""
    assert [size(812), size(1434), size(3 * 1024**3)] == ["812 B", "1.4 KiB", "3.0 GiB"]
    assert [plural(1, "job"), plural(2, "job"), plural(0, "entry", "entries")] == ["1 job", "2 jobs", "0 entries"]
