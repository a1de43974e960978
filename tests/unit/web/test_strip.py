"""Strips of slots: what they draw, and what they say."""

import re

from akjob.ledger import Trigger
from akjob.query.strips import DrawnSlot
from akjob.web.pages.drawing import GLYPHS, WORDS
from akjob.web.pages.strip import label, said_of, strip

STATES = ("succeeded", "failed", "timed_out", "lost", "cancelled", "skipped", "missed", "running")


def slot(state: str, duration_s: float | None = 1.0, count: int = 1, trigger: Trigger = "schedule") -> DrawnSlot:
    """Make one slot."""
    return DrawnSlot(
        slot="2026-03-02T02:00:00.000000Z", state=state, run="r", duration_s=duration_s, count=count, trigger=trigger
    )


def test_each_state_has_a_shape_of_its_own() -> None:
    """Without any colour no two states look alike."""
    shapes = {re.findall(r' d="([^"]+)"', strip([slot(state)], 1))[0] for state in STATES}
    assert len(shapes) == len(STATES)
    assert len({GLYPHS[state] for state in STATES}) == len(STATES)


def test_fifty_strips_are_small() -> None:
    """One path a state: thirty bars are some hundred bytes."""
    drawn = strip([slot(STATES[index % 3]) for index in range(30)], 30)
    assert drawn.count("<path") == 3
    assert len(drawn) < 2048


def test_the_height_says_how_long_it_took() -> None:
    """A run four times as long as usual is higher, a quarter lower, within the strip."""
    usual = [slot("succeeded", 1.0)] * 5
    heights = [
        int(re.findall(r"V(\d+)H", strip([*usual, slot("succeeded", took)], 6))[-1])
        for took in (0.001, 0.25, 1, 4, 1000)
    ]
    assert heights == sorted(heights, reverse=True)
    assert heights[0] == 17
    assert heights[-1] == 4


def test_a_strip_says_itself_in_words() -> None:
    """For those who do not see it; of each slot how long it took, and how it came about."""
    assert label([slot("succeeded"), slot("failed")]) == (
        "2 newest: 1 succeeded, 1 failed; newest 2026-03-02 02:00:00 UTC failed after 1 s"
    )
    assert said_of(slot("missed", None, count=12)) == "2026-03-02 02:00:00 UTC missed × 12 slots in a row"
    assert said_of(slot("succeeded", trigger="missed")).endswith("succeeded after 1 s (made up for)")
    assert label([]) == "no slots yet"
    assert set(STATES) <= set(WORDS)


def test_above_a_bar_stands_how_it_came_about() -> None:
    """A dot where it was made up for, a tick where it was run by hand, a bracket over a stretch; else nothing."""
    plain, made_up, by_hand, stretch = (
        str(strip([one], 1))
        for one in (
            slot("succeeded"),
            slot("succeeded", trigger="missed"),
            slot("succeeded", trigger="manual"),
            slot("missed", count=12),
        )
    )
    assert 'class="mark"' not in plain
    marks = [drawn.partition('class="mark" d="')[2].partition('"')[0] for drawn in (made_up, by_hand, stretch)]
    assert all(marks)
    assert len(set(marks)) == 3
