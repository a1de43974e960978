"""The documentation of the events, its schema, and the lines themselves say the same."""

import re
from typing import Any

import msgspec
import pytest
from jsonschema import Draft202012Validator  # type: ignore[import-untyped]

from akjob.log.collector.sink import event_line
from akjob.log.line import encode
from akjob.log.line.failure import describe
from akjob.log.line.wrap import wrap
from akjob.query.reference import entries
from tests.unit.log.lines import START_US, line
from tests.unit.log.schema import DOCS, SCHEMA, fields_of, problems

EVENTS: list[str] = SCHEMA["allOf"][0]["else"]["properties"]["event"]["enum"]
STAMP = "2026-03-29T00:00:00.000000Z"


def documented() -> str:
    """Return docs/reference/events.md."""
    return (DOCS / "events.md").read_text()


def test_the_schema_is_one() -> None:
    """It is valid JSON Schema."""
    Draft202012Validator.check_schema(SCHEMA)


@pytest.mark.parametrize("event", EVENTS)
def test_every_event_and_field_is_described(event: str) -> None:
    """Each event of the schema stands in a table, and each of its fields is named in the text."""
    text = documented()
    assert f"`{event}`" in text
    for field in fields_of(event):
        assert re.search(rf"`{field}[`:]", text), field


def test_no_event_is_described_that_the_schema_lacks() -> None:
    """The tables name no event that the schema does not know."""
    named = {entry.name for entry in entries() if entry.kind == "event"}
    assert named == {*EVENTS, "run.progress"}


def test_lines_of_a_run() -> None:
    """A line of output fits; one without its number, or with text and bytes at once, does not."""
    good = msgspec.json.decode(line("r1", 1))
    assert problems(good) == []
    assert problems({key: value for key, value in good.items() if key != "seq"})
    assert problems(good | {"base64": "AA=="})
    assert problems(good | {"unknown": 1})
    assert problems(good | {"event": "run.unknown"})
    assert problems(good | {"timestamp": "2026-03-29 00:00:00"})


@pytest.mark.parametrize(
    ("event", "fields"),
    [
        ("collector.opened", {"file": "akjob.jsonl", "pid": 1}),
        ("collector.rotated", {"file": "akjob-2026-03-29.jsonl", "reason": "day", "bytes": 10}),
        ("collector.stalled", {"error": "full", "seconds": 1.5}),
        ("collector.refused", {"reason": "no hello"}),
    ],
)
def test_lines_of_the_collector(event: str, fields: dict[str, Any]) -> None:
    """The collector's events are as documented."""
    assert problems(msgspec.json.decode(event_line(START_US, "info", event, **fields))) == []


def test_lines_of_a_job() -> None:
    """A job's line fits with any fields, and its exception is of the documented form."""
    try:
        try:
            raise ValueError("a")  # noqa: TRY301 - the point of it
        except ValueError:
            raise ExceptionGroup("g", [KeyError("k")]) from None
    except ExceptionGroup as error:
        error.add_note("n")
        fields = {"exception": describe(error), "anything": [1], "run": "x"}
    made = wrap(
        encode.message(STAMP, "error", "what I say", "me", fields), b'"source":"job","job":"j","run":"r","seq":1'
    )
    assert made is not None
    assert problems(msgspec.json.decode(made)) == []
