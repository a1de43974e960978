"""What is told by the bytes of a line alone: the same lines are found as by decoding all of them."""

import base64
import re
from pathlib import Path
from typing import Any

import msgspec
import pytest

from akjob.config import Paths
from akjob.log.reading import read
from akjob.log.reading.needle import needle_of
from akjob.log.reading.render import render

RUN = "01m8"
HEAD = {"timestamp": "2026-03-29T01:00:00.000000Z", "level": "info"}


def printed(seq: int, **values: Any) -> dict[str, Any]:
    """Return a line of output."""
    head = {**HEAD, "event": "run.output", "source": "run", "job": "team/tick", "run": RUN, "seq": seq}
    return {**head, "stream": "stdout", **values}


LINES: list[dict[str, Any]] = [
    {**HEAD, "event": "run.started", "source": "akjobd", "job": "team/tick", "run": RUN, "seq": 0, "pid": 7},
    printed(1, line="fetched row 5 of customers"),
    printed(2, line='tab\there, quote " and \\ and \u00fc'),
    printed(3, line="\u001b[31mred\u001b[0m bell\u0007"),
    printed(4, base64=base64.b64encode(b"caf\xe9 fetched").decode()),
    printed(5, line="bidi \u202e end", stream="stderr"),
    {**HEAD, "event": "rows counted", "source": "job", "job": "team/tick", "run": RUN, "seq": 6, "rows": 3,
     "note": "two words", "level": "warning"},
    {**HEAD, "event": "failed", "source": "run", "job": "team/tick", "run": RUN, "seq": 7, "level": "error",
     "exception": {"type": "KeyError", "message": "'emea'", "frames": [
         {"file": "a.py", "line": 3, "function": "main", "source": "x[k]"}]}},
    printed(8, line="Run 123 tick | not a bar"),
    {**HEAD, "event": "other", "source": "run", "job": "other", "run": "01m9", "seq": 1},
    printed(9, line="last"),
]  # fmt: skip

PATTERNS = (
    "fetched", "row 5", "row \\d+", 'quote "', "tick", "team/tick", "| fetched", "tick | fetched", "tick ! bidi",
    "x1b", "u202e", "red", "warning rows", "rows=3", "counted", "two words", "Traceback", "KeyError: 'emea'", "main",
    "01:00", "2026", "info", "123 tick", "caf", "a.py", "line 3, in", "(?i)FETCHED", "fetched|red", "l.st", "last$",
    "^20", "pid=7", "nothing at all", " row", "row ", "tab", "there", ".*", "run.started", "customers$",
)  # fmt: skip


@pytest.fixture(params=["all", "output alone"])
def paths(tmp_path: Path, request: pytest.FixtureRequest) -> Paths:
    """Write the lines; chunks of output alone are looked at in another way."""
    found = Paths(tmp_path)
    found.log_dir.mkdir(parents=True)
    lines = [one for one in LINES if request.param == "all" or one["event"] == "run.output"]
    found.log.write_bytes(b"".join(msgspec.json.encode(line) + b"\n" for line in lines))
    return found


@pytest.mark.parametrize("pattern", PATTERNS)
def test_the_same_lines_are_found(paths: Paths, pattern: str) -> None:
    """With the needle as without it."""

    def found(needle: bytes | None) -> list[int]:
        lines = read.lines(paths, run=RUN, needle=needle)
        return [line["seq"] for line in lines if re.search(pattern, render(line, colour=False))]

    assert found(needle_of(pattern)) == found(None)


@pytest.mark.parametrize(
    ("pattern", "needle"),
    [("no line has this", b"no line has this"), ("row \\d+ of customers", b"of customers"), ("a|b", None),
     ("(?i)word", None), ("12 word", None), ("12:00", None), ("a \u00fc", None), ('say "x"', None), ("wor(d)", b"wor"),
     ("x1b", None)],
)  # fmt: skip
def test_what_must_be_in_the_text(pattern: str, needle: bytes | None) -> None:
    """The longest piece of plain text, where it can stand nowhere else."""
    assert needle_of(pattern) == needle
