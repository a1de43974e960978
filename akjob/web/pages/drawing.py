"""What a page draws, as SVG: strips of slots. Pure; a shape tells the state, not a colour alone.

One path for each state keeps fifty strips small: a bar is a few numbers, and its colour is a class of the style sheet.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from math import log2
from statistics import median_high

from markupsafe import Markup

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
