"""Charts of one job as SVG: how long its runs took, what they used, and its days by outcome. Pure."""

from collections.abc import Mapping, Sequence

from markupsafe import Markup
from msgspec import Struct

from akjob.instants import DAY, to_datetime
from akjob.ledger import DayCount

WIDTH, HEIGHT = 960, 120
_TOP, _BOTTOM = 12, HEIGHT - 4
_NEXT_TO = 110  # so far from each other the levels are named, which may be close
_DAYS = 90
_CELL, _GAP = 9, 1
_LEFT = 70
_SHADES = 4

_ROWS: Mapping[str, tuple[str, ...]] = {
    "succeeded": ("succeeded",),
    "failed": ("failed", "timed_out", "lost"),
    "missed": ("missed",),
    "skipped": ("skipped", "cancelled"),
}


class Point(Struct, frozen=True):
    """One run: its state, the value, and whether its definition or commit is another than that of the run before."""

    state: str
    value: float | None
    changed: bool = False


class Line(Struct, frozen=True):
    """A level of the chart with what it is called: p50, p95, a time limit."""

    name: str
    value: float
    said: str


def chart(title: str, points: Sequence[Point], lines: Sequence[Line]) -> Markup:
    """Return runs as dots, the oldest on the left, with levels across and a mark where something was changed."""
    values = [one.value for one in points if one.value is not None]
    levels = [one for one in lines if one.value <= 4 * max(values, default=0.0)]
    most = max([*values, *(one.value for one in levels)], default=0.0) or 1.0
    step = WIDTH / max(1, len(points))
    paths: dict[str, list[str]] = {}
    for index, one in enumerate(points):
        x = round(index * step)
        if one.changed:
            paths.setdefault("turn", []).append(f"M{x} {_TOP - 8}V{_BOTTOM}")
        if one.value is not None:
            paths.setdefault(f"b-{one.state}", []).append(_dot(x, _y(one.value, most), one.state))
    drawn = [Markup('<path class="{}" d="{}"/>').format(kind, "".join(found)) for kind, found in paths.items()]
    for index, line in enumerate(levels):
        y = _y(line.value, most)
        drawn.append(
            Markup('<path class="level" d="M0 {}H{}"/><text x="{}" y="{}">{}</text>').format(
                y, WIDTH, WIDTH - 4 - index * _NEXT_TO, max(_TOP, y - 3), f"{line.name} {line.said}"
            )
        )
    said = ", ".join(f"{line.name} {line.said}" for line in lines)
    return Markup('<svg class="chart" viewBox="0 0 {} {}" role="img" aria-label="{}">{}</svg>').format(
        WIDTH, HEIGHT, f"{title} of the newest {len(points)} runs: {said}", Markup("").join(drawn)
    )


def _y(value: float, most: float) -> int:
    return round(_BOTTOM - (_BOTTOM - _TOP) * min(1.0, value / most))


def _dot(x: int, y: int, state: str) -> str:
    """Return a square for a success, a cross for what failed: the shape says it without a colour."""
    if state == "succeeded":
        return f"M{x} {y - 2}h4v4h-4z"
    return f"M{x - 1} {y - 3}l1-1 2 2 2-2 1 1-2 2 2 2-1 1-2-2-2 2-1-1 2-2z"


class Day(Struct, frozen=True, kw_only=True):
    """One day (UTC) with what did not go well on it."""

    day: str
    failed: int
    missed: int
    skipped: int


def heat_map(counts: Sequence[DayCount], now_us: int, complete_from: str) -> Markup:
    """Return 90 days, the newest on the right, a row for each kind of outcome; the darker, the more of them.

    Of the days before ``complete_from`` not all is known: they are left empty.
    """
    days = [f"{to_datetime(now_us - back * DAY):%Y-%m-%d}" for back in range(_DAYS - 1, -1, -1)]
    column = {day: index for index, day in enumerate(days)}
    parts: list[Markup] = []
    for row, (name, states) in enumerate(_ROWS.items()):
        y = row * (_CELL + 5) + 2
        parts.append(Markup('<text x="0" y="{}">{}</text>').format(y + _CELL, name))
        found: dict[str, int] = {}
        for one in counts:
            if one.state in states and one.day in column and one.day >= complete_from:
                found[one.day] = found.get(one.day, 0) + one.count
        most = max(found.values(), default=1)
        shades: dict[int, list[str]] = {}
        for day, count in found.items():
            shade = min(_SHADES, 1 + (_SHADES * (count - 1)) // max(1, most))
            shades.setdefault(shade, []).append(_cell(column[day], y))
        empty = [_cell(index, y) for day, index in column.items() if day not in found]
        parts.append(Markup('<path class="none" d="{}"/>').format("".join(empty)))
        parts += [
            Markup('<path class="b-{} shade{}" d="{}"/>').format(name, shade, "".join(cells))
            for shade, cells in sorted(shades.items())
        ]
    height = len(_ROWS) * (_CELL + 5) + 16
    for index, day in enumerate(days):
        if day.endswith("-01"):
            parts.append(Markup('<text x="{}" y="{}">{}</text>').format(_x(index), height - 2, day[:7]))
    bad = sum(one.count for one in counts if one.state not in {"succeeded", "queued", "running"})
    return Markup('<svg class="heat" viewBox="0 0 {} {}" role="img" aria-label="{}">{}</svg>').format(
        _LEFT + _DAYS * (_CELL + _GAP), height, f"{_DAYS} days: {bad} slots did not succeed", Markup("").join(parts)
    )


def _x(index: int) -> int:
    return _LEFT + index * (_CELL + _GAP)


def _cell(index: int, y: int) -> str:
    return f"M{_x(index)} {y}h{_CELL}v{_CELL}h-{_CELL}z"


def bad_days(counts: Sequence[DayCount]) -> list[Day]:
    """Return the days on which not all went well, the newest first, with the numbers."""
    found: dict[str, dict[str, int]] = {}
    for one in counts:
        kind = next((name for name, states in _ROWS.items() if one.state in states), "succeeded")
        if kind != "succeeded":
            of_day = found.setdefault(one.day, {})
            of_day[kind] = of_day.get(kind, 0) + one.count
    return [
        Day(day=day, failed=one.get("failed", 0), missed=one.get("missed", 0), skipped=one.get("skipped", 0))
        for day, one in sorted(found.items(), reverse=True)
    ]
