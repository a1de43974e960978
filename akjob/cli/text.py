"""What people read: aligned tables, times with their offset, spans, colours. Pure: the instant "now" is an argument."""

import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, tzinfo

from akjob.errors import visible
from akjob.instants import DAY, HOUR, MINUTE, SECOND, to_datetime

WEEK = 7 * DAY

# what a run's state looks like on a terminal
STATE_COLOURS = {
    "queued": "cyan",
    "running": "blue",
    "succeeded": "green",
    "failed": "red",
    "timed_out": "red",
    "lost": "red",
    "cancelled": "yellow",
    "missed": "yellow",
    "skipped": "bright_black",
}


class Cell:
    """A table's cell: its text, with control characters written out, and the colour it has on a terminal."""

    __slots__ = ("colour", "text")

    def __init__(self, text: str, colour: str | None = None) -> None:
        self.text = visible(text)
        self.colour = colour


def state_cell(state: str) -> Cell:
    """Return a run's state in its colour."""
    return Cell(state, STATE_COLOURS.get(state))


def paint(text: str, colour: str | None, *, on: bool) -> str:
    """Return ``text`` in a colour of click's, or bold for ``"bold"``; as it is when colours are off."""
    if not on or colour is None or not text:
        return text
    import click

    if colour == "bold":
        return click.style(text, bold=True)
    return click.style(text, fg=colour)


def width(text: str) -> int:
    """Return how many columns of a terminal ``text`` takes."""
    if text.isascii():
        return len(text)
    return sum(
        0 if unicodedata.combining(char) else 2 if unicodedata.east_asian_width(char) in "WF" else 1 for char in text
    )


def table(
    heads: Sequence[str], rows: Iterable[Sequence[str | Cell]], *, colour: bool, right: frozenset[int] = frozenset()
) -> list[str]:
    """Align rows below their heads, two blanks between columns; columns in ``right`` end flush right.

    Columns in which no row has anything are left out; no line ends in blanks.
    """
    cells = [[cell if isinstance(cell, Cell) else Cell(cell) for cell in row] for row in rows]
    head = [Cell(text, "bold") for text in heads]
    shown = [i for i in range(len(heads)) if not cells or any(row[i].text for row in cells)]
    widths = {i: max(width(row[i].text) for row in (head, *cells)) for i in shown}
    return [_line(row, widths, colour=colour, right=right) for row in (head, *cells)]


def _line(row: Sequence[Cell], widths: Mapping[int, int], *, colour: bool, right: frozenset[int]) -> str:
    parts: list[str] = []
    for i, columns in widths.items():
        cell = row[i]
        blanks = " " * (columns - width(cell.text))
        text = paint(cell.text, cell.colour, on=colour)
        parts.append(blanks + text if i in right else text + blanks)
    return "  ".join(parts).rstrip()


def stamp(instant_us: int, zone: tzinfo | None = None, *, fine: bool = False) -> str:
    """Write an instant with its offset, in ``zone`` or in the machine's: ``2026-03-30 02:30:00 +02:00``.

    ``fine`` shows a fraction of the second where there is one.
    """
    moment = to_datetime(instant_us).astimezone(zone)
    fraction = f".{moment.microsecond:06}".rstrip("0") if fine and moment.microsecond else ""
    return f"{moment:%Y-%m-%d %H:%M:%S}{fraction} {offset(moment)}"


def offset(moment: datetime) -> str:
    """Write the offset of an aware datetime: ``+02:00``."""
    return moment.isoformat()[len(moment.replace(tzinfo=None).isoformat()) :]


def relative(instant_us: int, now_us: int) -> str:
    """Say how far away an instant is: ``in 3 min``, ``2 h ago``, ``now``."""
    distance = instant_us - now_us
    if abs(distance) < SECOND:
        return "now"
    text = span(abs(distance))
    return f"in {text}" if distance > 0 else f"{text} ago"


def span(duration_us: int) -> str:
    """Say a duration in its one or two largest units: ``250 ms``, ``1.5 s``, ``3 min``, ``2 h 5 min``, ``12 d``."""
    if duration_us < SECOND:
        return f"{duration_us // 1000} ms"
    if duration_us < 10 * SECOND:
        return f"{duration_us / SECOND:.1f}".removesuffix(".0") + " s"
    if duration_us < MINUTE:
        return f"{duration_us // SECOND} s"
    if duration_us < 10 * MINUTE:
        return _two(duration_us, MINUTE, "min", SECOND, "s")
    if duration_us < HOUR:
        return f"{duration_us // MINUTE} min"
    if duration_us < DAY:
        return _two(duration_us, HOUR, "h", MINUTE, "min")
    if duration_us < WEEK:
        return _two(duration_us, DAY, "d", HOUR, "h")
    return f"{duration_us // DAY} d"


def _two(duration_us: int, large: int, large_name: str, small: int, small_name: str) -> str:
    rest = duration_us % large // small
    return f"{duration_us // large} {large_name}" + (f" {rest} {small_name}" if rest else "")


def size(count: int) -> str:
    """Say a number of bytes: ``812 B``, ``1.4 MiB``."""
    value = float(count)
    for unit in ("B", "KiB", "MiB", "GiB"):
        if value < 1024 or unit == "GiB":  # noqa: PLR2004 - the step between the units
            return f"{value:.0f} {unit}" if unit == "B" else f"{value:.1f} {unit}"
        value /= 1024
    raise AssertionError  # the loop returns at its last unit


def plural(count: int, noun: str, nouns: str = "") -> str:
    """Say ``1 job``, ``2 jobs``."""
    return f"{count} {noun if count == 1 else nouns or noun + 's'}"
