"""Terminal output as HTML: pure."""

import pytest

from akjob.web.pages.ansi import overwritten, plain, to_html


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
