"""A line as a person reads it."""

from datetime import UTC
from typing import Any

import pytest

from akjob.log.reading.render import render
from akjob.schedule.zones import get_zone

HEAD = {"timestamp": "2026-03-29T01:02:03.456789Z", "level": "info"}


def shown(colour: bool = False, **fields: Any) -> str:
    """Render a line in UTC."""
    return render({**HEAD, **fields}, colour, UTC)


@pytest.mark.parametrize(
    ("fields", "text"),
    [
        (
            {"event": "run.output", "source": "run", "job": "a/b", "seq": 2, "stream": "stdout", "line": "hi  you"},
            "2026-03-29 01:02:03.456 a/b | hi  you",
        ),
        (
            {"event": "run.output", "source": "run", "job": "a/b", "stream": "stderr", "base64": "/2E="},
            "2026-03-29 01:02:03.456 a/b ! \\xffa",
        ),
        (
            {"event": "run.finished", "source": "run", "job": "a/b", "run": "r1", "state": "failed", "exit_code": 3},
            "2026-03-29 01:02:03.456 a/b info run.finished run=r1 state=failed exit_code=3",
        ),
        (
            {"event": "sent mail", "source": "job", "job": "a/b", "logger": "m", "to": ["x y"], "n": None},
            '2026-03-29 01:02:03.456 a/b info sent mail [m] to=["x y"]',
        ),
        (
            {"event": "daemon.started", "source": "akjobd", "reason": "it was told to", "empty": ""},
            '2026-03-29 01:02:03.456 akjobd info daemon.started reason="it was told to" empty=""',
        ),
    ],
)  # fmt: skip
def test_texts(fields: dict[str, Any], text: str) -> None:
    """Time, job or program, level, event, fields; output without its keys; bytes that are not text as escapes."""
    assert shown(**fields) == text


def test_control_characters_do_not_act() -> None:
    """What a job prints cannot move the cursor or change the title of the reader's terminal."""
    text = shown(event="run.output", source="run", job="j", stream="stdout", line="\x1b]0;evil\x07\ttab \x9b2J")
    assert text.endswith("| \\x1b]0;evil\\x07\ttab \\x9b2J")
    assert "\x1b" not in shown(event="\x1b[2J", source="job", job="j", key="\x1b[1m")


def test_colours() -> None:
    """On a terminal the level has a colour, and every colour is ended."""
    text = shown(colour=True, event="x", source="akjobd", level="error")
    assert "\x1b[31merror\x1b[0m" in text
    assert text.count("\x1b[0m") == text.count("\x1b[") / 2


def test_the_zone_is_the_readers() -> None:
    """Times are shown in the zone that is asked for."""
    line = {**HEAD, "event": "x", "source": "akjobd"}
    assert render(line, False, get_zone("Europe/Berlin")).startswith("2026-03-29 03:02:03.456 ")
    assert render({"event": "x", "timestamp": "soon"}, False).startswith("soon ")


def test_a_traceback_stands_below() -> None:
    """The field ``exception`` is shown as Python shows a traceback."""
    frame = {"file": "/j.py", "line": 3, "function": "main", "source": "1 / 0\n~~^~~"}
    failure = {"type": "ZeroDivisionError", "message": "division by zero", "frames": [frame]}
    assert shown(event="uncaught exception", source="job", job="j", level="error", exception=failure) == (
        "2026-03-29 01:02:03.456 j error uncaught exception\n"
        "Traceback (most recent call last):\n"
        '  File "/j.py", line 3, in main\n'
        "    1 / 0\n"
        "    ~~^~~\n"
        "ZeroDivisionError: division by zero"
    )
