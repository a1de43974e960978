"""Pictures of what was measured, as SVG: the distribution of start latency, the course of a burst, the scale curves.

Every picture is a row of panels. Axes are logarithmic where ``log`` says so; a curve is a list of points.
"""

import math
from collections.abc import Sequence
from html import escape

from msgspec import Struct

from benchmarks.book import AKJOB, BASE, Book
from benchmarks.burst import JOBS

Points = Sequence[tuple[float, float]]

_WIDTH, _HEIGHT, _LEFT, _TOP, _BOTTOM, _GAP = 330, 230, 52, 34, 40, 24
_FONT = 'font-family="system-ui, sans-serif" font-size="11"'
_COLOURS = ("#0b6bcb", "#c2410c", "#15803d", "#7c3aed", "#a16207", "#64748b")


class Panel(Struct, kw_only=True):
    """One diagram: ``curves`` by name, each drawn through its points."""

    title: str
    x: str
    y: str
    curves: dict[str, Points]
    log: str = ""
    dots: bool = False


def picture(panels: Sequence[Panel]) -> str:
    """Return the SVG of the panels, three to a row."""
    columns = min(3, len(panels))
    rows = -(-len(panels) // 3)
    width, height = columns * (_WIDTH + _GAP) + _GAP, rows * (_HEIGHT + _GAP) + _GAP
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" {_FONT}>',
        f'<rect width="{width}" height="{height}" fill="#ffffff"/>',
    ]
    for index, panel in enumerate(panels):
        left, top = _GAP + index % 3 * (_WIDTH + _GAP), _GAP + index // 3 * (_HEIGHT + _GAP)
        parts.append(f'<g transform="translate({left} {top})">{_draw(panel)}</g>')
    return "\n".join([*parts, "</svg>\n"])


class _Axis:
    """From a value to its place between two ends, with the ticks that people expect."""

    def __init__(self, values: list[float], begin: float, end: float, *, log: bool) -> None:
        self._log = log
        least, most = min(values), max(values)
        if log:
            least = max(least, most / 1e7, 1e-9)
            self._least = float(math.floor(math.log10(least)))
            self._most = float(math.ceil(math.log10(max(most, least * 1.01))))
        else:
            self._least, self._most = min(0.0, least), most * 1.05 or 1.0
        self._begin, self._end = begin, end

    def at(self, value: float) -> float:
        """Return the place of a value."""
        value = max(self._least, math.log10(max(value, 1e-12))) if self._log else value
        share = (value - self._least) / (self._most - self._least or 1)
        return round(self._begin + share * (self._end - self._begin), 1)

    def ticks(self) -> list[float]:
        """Return values to write at the axis."""
        if self._log:
            return [10.0**power for power in range(int(self._least), int(self._most) + 1)]
        span = self._most - self._least
        power = 10.0 ** math.floor(math.log10(span))
        step = next(power * part for part in (0.1, 0.2, 0.5, 1.0, 2.0) if span / (power * part) <= 6)
        return [step * n for n in range(math.ceil(self._least / step), math.floor(self._most / step) + 1)]


def _draw(panel: Panel) -> str:
    points = [point for curve in panel.curves.values() for point in curve]
    parts = [f'<text x="0" y="14" font-size="13" font-weight="600">{escape(panel.title)}</text>']
    if not points:
        return "".join([*parts, '<text x="0" y="40" fill="#64748b">not measured</text>'])
    across = _Axis([x for x, _ in points], _LEFT, _WIDTH, log="x" in panel.log)
    up = _Axis([y for _, y in points], _HEIGHT - _BOTTOM, _TOP, log="y" in panel.log)
    for tick in across.ticks():
        x = across.at(tick)
        parts.append(f'<path d="M{x} {_TOP}V{_HEIGHT - _BOTTOM}" stroke="#e2e8f0"/>')
        parts.append(
            f'<text x="{x}" y="{_HEIGHT - _BOTTOM + 14}" text-anchor="middle" fill="#475569">{_number(tick)}</text>'
        )
    for tick in up.ticks():
        y = up.at(tick)
        parts.append(f'<path d="M{_LEFT} {y}H{_WIDTH}" stroke="#e2e8f0"/>')
        parts.append(f'<text x="{_LEFT - 5}" y="{y + 4}" text-anchor="end" fill="#475569">{_number(tick)}</text>')
    parts.append(f'<text x="{_WIDTH}" y="{_HEIGHT - 10}" text-anchor="end" fill="#475569">{escape(panel.x)}</text>')
    parts.append(f'<text x="0" y="{_TOP - 6}" fill="#475569">{escape(panel.y)}</text>')
    for index, (name, curve) in enumerate(panel.curves.items()):
        parts.append(_curve(curve, across, up, _COLOURS[index % len(_COLOURS)], dots=panel.dots))
        parts.append(_key(name, index))
    return "".join(parts)


def _curve(curve: Points, across: _Axis, up: _Axis, colour: str, *, dots: bool) -> str:
    places = [(across.at(x), up.at(y)) for x, y in curve]
    line = " ".join(f"{x},{y}" for x, y in places)
    drawn = f'<polyline points="{line}" fill="none" stroke="{colour}" stroke-width="1.8"/>'
    if dots:
        drawn += "".join(f'<circle cx="{x}" cy="{y}" r="2.6" fill="{colour}"/>' for x, y in places)
    return drawn


def _key(name: str, index: int) -> str:
    x, y = _LEFT + 8, _TOP + 12 + 14 * index
    colour = _COLOURS[index % len(_COLOURS)]
    halo = 'stroke="#ffffff" stroke-width="3" paint-order="stroke"'
    return (
        f'<rect x="{x}" y="{y - 8}" width="10" height="3" fill="{colour}"/>'
        f'<text x="{x + 15}" y="{y - 3}" fill="#0f172a" {halo}>{escape(name)}</text>'
    )


def _number(value: float) -> str:
    if value >= 1000:
        return f"{value / 1000:g}k"
    return f"{value:g}"


# -- which pictures there are -----------------------------------------------------------------------------------------


def latency(book: Book) -> str:
    """Return the distribution of start latency: the share of starts that were no later than so much."""
    panels = []
    for what in ("callable", "argv", "sh -c"):
        curves = {who: _shares(book.samples.get(f"a {what} {who}", [])) for who in (AKJOB, BASE, "fork+import")}
        panels.append(
            Panel(
                title=what, x="ms after the slot", y="% started", log="x", curves={k: v for k, v in curves.items() if v}
            )
        )
    lead = _shares(book.samples.get(f"a callable with lead {AKJOB}", []))
    panels.append(
        Panel(
            title="callable with lead (3 s import)", x="ms after the slot", y="% started", log="x", curves={AKJOB: lead}
        )
    )
    return picture(panels)


def _shares(values: list[float]) -> Points:
    ordered = sorted(max(value, 0.01) for value in values)
    return [(value, 100 * (index + 1) / len(ordered)) for index, value in enumerate(ordered)]


def burst(book: Book) -> str:
    """Return the course of a burst: how many had started after so many seconds, in the last round of each."""
    panels = []
    for what in ("callable", "argv", "sh -c"):
        curves: dict[str, Points] = {}
        prefix = f"b {what} "
        for name, values in book.samples.items():
            if name.startswith(prefix):
                last = sorted(values[-JOBS:])
                every = max(1, len(last) // 200)
                curves[name.removeprefix(prefix)] = [(at, index + 1.0) for index, at in enumerate(last)][::every]
        panels.append(Panel(title=what, x="s after the slot", y="started", curves=curves))
    return picture(panels)


def scale(book: Book) -> str:
    """Return the scale curves."""

    def curve(pattern: str, counts: Sequence[int]) -> Points:
        found = [(n, book.get("g", pattern.format(n=f"{n:,}"), AKJOB)) for n in counts]
        return [(n, figure.median) for n, figure in found if figure is not None]

    files, runs = (10, 100, 1_000, 10_000), (1, 10, 100, 1_000)
    panels = [
        ("ready", "definitions", "s", curve("{n} definitions: ready", files)),
        ("an edit is live after, p50", "definitions", "ms", curve("edit 1 of {n}: live after, p50", files)),
        ("akjobd's CPU per due run", "definitions", "ms", curve("{n} definitions: akjobd's CPU per due run", files)),
        ("memory of akjobd", "definitions", "MB", curve("{n} definitions: akjobd (PSS)", files)),
        ("the last of a burst starts after", "jobs at once", "s", curve("{n} at once: last started after", runs)),
        ("CPU per run of a burst", "jobs at once", "ms", curve("{n} at once: CPU per run", runs)),
    ]
    return picture(
        [Panel(title=title, x=x, y=y, log="xy", curves={AKJOB: points}, dots=True) for title, x, y, points in panels]
    )
