"""What pages draw, and terminal output as HTML: pure."""

import re

import pytest

from akjob.query.strips import StripSlot
from akjob.web.pages.ansi import overwritten, plain, to_html
from akjob.web.pages.drawing import GLYPHS, WORDS, label, strip

STATES = ("succeeded", "failed", "timed_out", "lost", "cancelled", "skipped", "missed", "running")


def slot(state: str, duration_s: float | None = 1.0) -> StripSlot:
    """Make one slot."""
    return StripSlot(slot="2026-03-02T02:00:00.000000Z", state=state, run="r", duration_s=duration_s, count=1)


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
    assert heights[0] == 13
    assert heights[-1] == 0


def test_a_strip_says_itself_in_words() -> None:
    """For those who do not see it."""
    assert label([slot("succeeded"), slot("failed")]) == (
        "2 newest: 1 succeeded, 1 failed; newest 2026-03-02 02:00 UTC failed"
    )
    assert label([]) == "no slots yet"
    assert set(STATES) <= set(WORDS)


@pytest.mark.parametrize(
    ("text", "html"),
    [
        ("plain <b>", "plain &lt;b&gt;"),
        ("\x1b[31mred\x1b[0m", '<span class="f1">red</span>'),
        ("\x1b[1;32mok\x1b[m.", '<span class="bold f2">ok</span>.'),
        ("\x1b[38;5;196mx", '<span class="f9">x</span>'),
        ("\x1b[38;2;0;0;240mx", '<span class="f4">x</span>'),
        ("\x1b[48;5;2mx", '<span class="g2">x</span>'),
        ("\x1b[91mx\x1b[39my", '<span class="f9">x</span>y'),
        ("\x1b[2Ja\x1b[10;10Hb\x1b[?25l", "ab"),
        ("\x1b]8;;javascript:alert(1)\x07link\x1b]8;;\x07", "link"),
        ("\x1b]0;title\x1b\\x", "x"),
        ("\x1bPq#0;2;0;0;0\x1b\\y", "y"),
        ("10 %\r20 %\r100 %\n", "100 %"),
        ("a\x07\x08b\x9bc", "abc"),
        ("\x1b[999999999999m\x1b[38;5mz", "z"),
        ("\x1b", ""),
    ],
)
def test_terminal_output_as_html(text: str, html: str) -> None:
    """Colours become classes; what a terminal would act on is dropped; a carriage return overwrites."""
    assert to_html(text) == html


def test_copying_gives_plain_text() -> None:
    """No sequence is left."""
    assert plain("\x1b[31mred\x1b[0m and \x1b]8;;http://x\x07link\x1b]8;;\x07") == "red and link"
    assert overwritten("a\rb\r\n") == "b"
