"""What a terminal shows: aligned tables and colours."""

import unicodedata
from collections.abc import Iterable, Mapping, Sequence

from akjob.errors import escape_control

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
        self.text = escape_control(text)
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
