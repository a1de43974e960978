"""What a page draws, as SVG: strips of slots and lanes of time. Pure; a shape tells the state, not a colour alone.

One path for each state keeps fifty strips small: a bar is a few numbers, and its colour is a class of the style sheet.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from math import log2
from statistics import median_high

from markupsafe import Markup
from msgspec import Struct

from akjob.instants import DAY, to_datetime
from akjob.query.strips import StripSlot

HEIGHT = 16
_BAR, _STEP = 5, 6
_LOW = 3
_DEFAULT = 9

WORDS: Mapping[str, str] = {
    "succeeded": "succeeded",
    "failed": "failed",
    "timed_out": "timed out",
    "lost": "lost",
    "cancelled": "cancelled",
    "skipped": "skipped",
    "missed": "missed",
    "running": "running",
    "queued": "queued",
    "coming": "coming",
}
GLYPHS: Mapping[str, str] = {
    "succeeded": "✓", "failed": "✗", "timed_out": "⏱", "lost": "?", "cancelled": "⊘", "skipped": "↷", "missed": "○",
    "running": "▶", "queued": "…", "coming": "◇", "broken": "!", "paused": "⏸", "disabled": "-", "done": "■",
    "ready": "·",
}  # fmt: skip


def strip(slots: Sequence[StripSlot], length: int) -> Markup:
    """Return the newest slots as bars, the oldest on the left, with a label that says them in words."""
    usual = usual_s(slots)
    paths: dict[str, list[str]] = {}
    offset = (length - len(slots)) * _STEP
    for index, slot in enumerate(slots):
        paths.setdefault(slot.state, []).append(_bar(offset + index * _STEP, slot, usual))
    width = length * _STEP
    drawn = Markup("").join(
        Markup('<path class="b-{}" d="{}"/>').format(state, "".join(bars)) for state, bars in paths.items()
    )
    return Markup(
        '<svg class="strip" viewBox="0 0 {} {}" width="{}" height="{}" role="img" aria-label="{}">{}</svg>'
    ).format(width, HEIGHT, width, HEIGHT, label(slots), drawn)


def usual_s(slots: Sequence[StripSlot]) -> float:
    """Return how long half of the successes took at most, in seconds; 0 without any."""
    took = [one.duration_s for one in slots if one.state == "succeeded" and one.duration_s is not None]
    return median_high(took) if took else 0.0


def label(slots: Sequence[StripSlot]) -> str:
    """Return a strip in words, for those who do not see it."""
    if not slots:
        return "no slots yet"
    counts = Counter(slot.state for slot in slots)
    parts = [f"{count} {WORDS.get(state, state)}" for state, count in counts.most_common()]
    newest = slots[-1]
    last = f"newest {newest.slot[:16].replace('T', ' ')} UTC {WORDS[newest.state]}"
    return f"{len(slots)} newest: {', '.join(parts)}; {last}"


def _bar(x: int, slot: StripSlot, usual: float) -> str:
    """Return the path of one bar: the shape says the state, the height of a success its duration."""
    right, bottom = x + _BAR, HEIGHT
    match slot.state:
        case "succeeded":
            return f"M{x} {bottom}V{bottom - _height(slot.duration_s, usual)}H{right}V{bottom}Z"
        case "failed":  # full height, a corner cut
            return f"M{x} {bottom}V4L{x + 3} 0H{right}V{bottom}Z"
        case "timed_out":  # full height, a notch like a clock's hand
            return f"M{x} {bottom}V0H{right}V6H{x + 2}V8H{right}V{bottom}Z"
        case "lost":  # two halves
            return f"M{x} {bottom}V10H{right}V{bottom}ZM{x} 6V0H{right}V6Z"
        case "cancelled":
            return f"M{x} {bottom}V8H{right}V{bottom}ZM{x} 5V3H{right}V5Z"
        case "skipped":  # hollow: the inner rectangle runs the other way round
            return f"M{x} {bottom}V7H{right}V{bottom}ZM{x + 1} {bottom - 1}H{right - 1}V8H{x + 1}Z"
        case "missed":  # dashes at the base
            return f"M{x} {bottom}V{bottom - 2}H{x + 2}V{bottom}ZM{x + 3} {bottom}V{bottom - 2}H{right}V{bottom}Z"
        case "running":  # stripes
            return f"M{x} {bottom}V2H{x + 2}V{bottom}ZM{x + 3} {bottom}V2H{right}V{bottom}Z"
    return f"M{x} {bottom}V12H{right}V{bottom}Z"


def _height(duration_s: float | None, usual: float) -> int:
    if duration_s is None or usual <= 0:
        return _DEFAULT
    return max(_LOW, min(HEIGHT, round(_DEFAULT + 3 * log2(max(duration_s, usual / 64) / usual))))


class Mark(Struct, frozen=True, kw_only=True):
    """One run on the timeline: from ``start_us`` to ``end_us``, and what to say of it."""

    start_us: int
    end_us: int
    state: str
    run: str
    said: str


class Lane(Struct, frozen=True, kw_only=True):
    """One job on the timeline: what ran in [start, end) with its state, and the instants still to come."""

    job: str
    runs: tuple[Mark, ...]
    coming: tuple[int, ...] = ()
    ghost_us: int = 0
    goes_on: bool = False
    """More slots come than are drawn one by one."""


class Span(Struct, frozen=True, kw_only=True):
    """The stretch of time that a timeline shows."""

    start_us: int
    end_us: int
    now_us: int
    width: int = 960

    def x(self, at_us: int) -> float:
        """Return where an instant is, within the drawing."""
        place = (at_us - self.start_us) / (self.end_us - self.start_us) * self.width
        return round(max(0.0, min(float(self.width), place)), 1)


_LANE = 22
_MOST_MARKS = 2000
_MOST_LINKS = 100  # a link for each of many narrow bars is large, and hard to hit
_DIAMOND = 9


def lane(span: Span, one: Lane) -> Markup:
    """Return one lane: bars are runs, hollow diamonds are slots to come, the line is now."""
    parts: list[Markup] = []
    if len(one.runs) > _MOST_MARKS:
        parts.append(_density(span, one.runs))
    elif len(one.runs) > _MOST_LINKS:
        parts += _together(span, one.runs)
    else:
        parts += [_mark(span, run) for run in one.runs]
    parts += _coming(span, one)
    if one.goes_on and one.coming:
        parts.append(Markup('<path class="coming" d="M{} 11H{}"/>').format(span.x(one.coming[-1]), span.width))
    now = span.x(span.now_us)
    return Markup(
        '<svg class="lane" viewBox="0 0 {w} {h}" preserveAspectRatio="none" role="group" aria-label="{label}">{parts}'
        '<path class="now" d="M{now} 0V{h}"/></svg>'
    ).format(w=span.width, h=_LANE, label=_lane_label(one), parts=Markup("").join(parts), now=now)


def _mark(span: Span, one: Mark) -> Markup:
    return Markup('<a href="/runs/{}"><path class="{}" d="{}"><title>{}</title></path></a>').format(
        one.run, _class(one.state), _shape(span, one), one.said
    )


def _together(span: Span, runs: Iterable[Mark]) -> list[Markup]:
    """Return one path for each state, without links; the table has them, and a shorter span."""
    paths: dict[str, list[str]] = {}
    for run in runs:
        paths.setdefault(run.state, []).append(_shape(span, run))
    return [
        Markup('<path class="{}" d="{}"/>').format(_class(state), "".join(shapes)) for state, shapes in paths.items()
    ]


def _class(state: str) -> str:
    return f"{'l' if state in {'skipped', 'missed'} else 'b'}-{state}"


def _shape(span: Span, one: Mark) -> str:
    left = span.x(one.start_us)
    if one.state == "skipped":
        return f"M{left} 5l4 12M{left + 4} 5l-4 12"
    if one.state == "missed":
        return f"M{left} 16h6"
    width = max(1.5, round(span.x(one.end_us) - left, 1))
    return f"M{left} 5h{width}v12h-{width}z"


def _coming(span: Span, one: Lane) -> list[Markup]:
    """Return a diamond for each slot to come; a line with ticks where diamonds would cover each other."""
    places = [span.x(at_us) for at_us in one.coming[:_MOST_MARKS]]
    if not places:
        return []
    if len(places) > 1 and (places[-1] - places[0]) / (len(places) - 1) < _DIAMOND:
        ticks = "".join(f"M{x} 8v6" for x in sorted({int(place) // 3 * 3 for place in places}))
        return [Markup('<path class="coming" d="M{} 11H{}{}"/>').format(places[0], places[-1], ticks)]
    diamonds = "".join(f"M{round(x - 4, 1)} 11l4 -5l4 5l-4 5z" for x in places)
    return [*_ghosts(span, one), Markup('<path class="coming" d="{}"/>').format(diamonds)]


def _ghosts(span: Span, one: Lane) -> list[Markup]:
    """Return how long the slots to come will take, as the last ones did."""
    if not (one.ghost_us and one.coming):
        return []
    ends = [(span.x(at_us), span.x(at_us + one.ghost_us)) for at_us in one.coming[:_MOST_MARKS]]
    shapes = "".join(f"M{x} 8h{max(1.0, round(end - x, 1))}v6H{x}z" for x, end in ends)
    return [Markup('<path class="ghost" d="{}"/>').format(shapes)]


def _density(span: Span, runs: Iterable[Mark]) -> Markup:
    """Return a band that says by its height how many runs began, where single marks would be a blur."""
    columns: Counter[int] = Counter(int(span.x(run.start_us)) // 4 * 4 for run in runs)
    most = max(columns.values())
    path = "".join(f"M{x} 19h4V{19 - round(16 * count / most)}h-4z" for x, count in sorted(columns.items()))
    return Markup('<path class="b-succeeded" d="{}"/>').format(path)


def _lane_label(one: Lane) -> str:
    counts = Counter(run.state for run in one.runs)
    said = ", ".join(f"{count} {WORDS.get(state, state)}" for state, count in counts.most_common())
    return f"{one.job}: {said or 'no runs'}, {len(one.coming)} to come"


def ticks(span: Span, step_us: int) -> Markup:
    """Return the scale above the lanes: a line and a time in UTC for each step."""
    first = span.start_us - span.start_us % step_us + step_us
    marks = [
        Markup('<text x="{}" y="12">{}</text><path d="M{} 15V20"/>').format(x, _tick(at_us, step_us), x)
        for at_us in range(first, span.end_us, step_us)
        if (x := span.x(at_us)) < span.width - 30
    ]
    return Markup(
        '<svg class="ticks" viewBox="0 0 {} 20" preserveAspectRatio="none" aria-hidden="true">{}</svg>'
    ).format(span.width, Markup("").join(marks))


def _tick(at_us: int, step_us: int) -> str:
    moment = to_datetime(at_us)
    return f"{moment:%m-%d}" if step_us >= DAY or moment.hour == moment.minute == 0 else f"{moment:%H:%M}"
