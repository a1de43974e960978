"""Strips: the newest slots of a job as bars. Pure; a shape tells the state, not a colour alone.

One path for each state keeps fifty strips small: a bar is a few numbers, and its colour is a class of the style sheet.
"""

from collections import Counter
from collections.abc import Sequence
from functools import lru_cache
from math import log2

from markupsafe import Markup

from akjob.instants import SECOND
from akjob.query.pace import pace_of
from akjob.query.strips import DrawnSlot
from akjob.query.text import span
from akjob.web.pages.drawing import WORDS

HEIGHT = 20
_TOP = 4  # what is above the bars: how a run came about
_BAR, _STEP = 5, 6
_LOW = 3
_DEFAULT = 9
_KEPT = 400
_MARKS = {"missed": "made up for", "manual": "run by hand", "backfill": "backfilled", "retry": "tried again"}


def strip(slots: Sequence[DrawnSlot], length: int) -> Markup:
    """Return the newest slots as bars, the oldest on the left; :func:`label` says them in words."""
    return _strip(tuple(slots), length)


@lru_cache(maxsize=_KEPT)
def _strip(slots: tuple[DrawnSlot, ...], length: int) -> Markup:
    """Draw a strip. Most strips of a page are those of its last answer."""
    usual = pace_of(slots).usual_s
    paths: dict[str, list[str]] = {}
    offset = (length - len(slots)) * _STEP
    for index, slot in enumerate(slots):
        x = offset + index * _STEP
        paths.setdefault(f"b-{slot.state}", []).append(_bar(x, slot, usual))
        mark = _mark(x, slot)
        if mark:
            paths.setdefault("mark", []).append(mark)
    width = length * _STEP
    drawn = Markup("").join(
        Markup('<path class="{}" d="{}"/>').format(kind, "".join(bars)) for kind, bars in paths.items()
    )
    return Markup('<svg class="strip" viewBox="0 0 {} {}" width="{}" height="{}" aria-hidden="true">{}</svg>').format(
        width, HEIGHT, width, HEIGHT, drawn
    )


def label(slots: Sequence[DrawnSlot]) -> str:
    """Return a strip in words, for those who do not see it."""
    if not slots:
        return "no slots yet"
    counts = Counter(slot.state for slot in slots)
    parts = [f"{count} {WORDS.get(state, state)}" for state, count in counts.most_common()]
    return f"{len(slots)} newest: {', '.join(parts)}; newest {said_of(slots[-1])}"


def said_of(slot: DrawnSlot) -> str:
    """Return one slot in words: when, what became of it, how long it took, how it came about."""
    parts = [f"{slot.slot[:19].replace('T', ' ')} UTC {WORDS.get(slot.state, slot.state)}"]
    if slot.duration_s is not None:
        parts.append(f"after {span(round(slot.duration_s * SECOND))}")
    if slot.count > 1:
        parts.append(f"× {slot.count} slots in a row")
    if slot.trigger in _MARKS:
        parts.append(f"({_MARKS[slot.trigger]})")
    return " ".join(parts)


def _bar(x: int, slot: DrawnSlot, usual: float) -> str:
    """Return the path of one bar: the shape says the state, the height of a success its duration."""
    right, bottom, top = x + _BAR, HEIGHT, _TOP
    match slot.state:
        case "succeeded":
            return f"M{x} {bottom}V{bottom - _height(slot.duration_s, usual)}H{right}V{bottom}Z"
        case "failed":  # full height, a corner cut
            return f"M{x} {bottom}V{top + 4}L{x + 4} {top}H{right}V{bottom}Z"
        case "timed_out":  # full height, a notch like a clock's hand
            return f"M{x} {bottom}V{top}H{right}V{top + 6}H{x + 2}V{top + 8}H{right}V{bottom}Z"
        case "lost":  # two halves
            return f"M{x} {bottom}V{top + 10}H{right}V{bottom}ZM{x} {top + 6}V{top}H{right}V{top + 6}Z"
        case "cancelled":
            return f"M{x} {bottom}V{top + 8}H{right}V{bottom}ZM{x} {top + 5}V{top + 3}H{right}V{top + 5}Z"
        case "skipped":  # hollow: the inner rectangle runs the other way round
            return f"M{x} {bottom}V{top + 7}H{right}V{bottom}ZM{x + 1} {bottom - 1}H{right - 1}V{top + 8}H{x + 1}Z"
        case "missed":  # dashes at the base
            return f"M{x} {bottom}V{bottom - 2}H{x + 2}V{bottom}ZM{x + 3} {bottom}V{bottom - 2}H{right}V{bottom}Z"
        case "running":  # stripes
            return f"M{x} {bottom}V{top + 2}H{x + 2}V{bottom}ZM{x + 3} {bottom}V{top + 2}H{right}V{bottom}Z"
    return f"M{x} {bottom}V{top + 12}H{right}V{bottom}Z"


def _mark(x: int, slot: DrawnSlot) -> str:
    """Return what is above a bar: a bracket over a stretch, a dot where it was made up for, a tick for a person."""
    if slot.count > 1:
        return f"M{x} 3V0H{x + _BAR}V3H{x + _BAR - 1}V1H{x + 1}V3Z"
    if slot.trigger == "missed":
        return f"M{x + 1} 1.5a1.5 1.5 0 1 1 3 0a1.5 1.5 0 1 1 -3 0Z"
    return f"M{x + 2} 0h1v3h-1Z" if slot.trigger == "manual" else ""


def _height(duration_s: float | None, usual: float) -> int:
    if duration_s is None or usual <= 0:
        return _DEFAULT
    most = HEIGHT - _TOP
    return max(_LOW, min(most, round(_DEFAULT + 3 * log2(max(duration_s, usual / 64) / usual))))
