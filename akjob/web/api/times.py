"""Instants and durations in the query of a request."""

import re

from akjob.instants import from_text
from akjob.units import parse_duration
from akjob.web.api.lists import text_of
from akjob.web.problems import bad_parameter
from akjob.web.site import Call

# In a query `+` means a space: an offset that was not encoded comes as one.
_OFFSET = re.compile(r"(T.*) (\d\d:\d\d)")
_EXPECTED = "an ISO 8601 time with an offset, as 2026-03-29T01:00:00Z"


def instant_of(call: Call, name: str) -> int | None:
    """Return a parameter that is an instant. Raises ProblemError for another text."""
    text = text_of(call, name)
    if text is None:
        return None
    found = read_instant(text)
    if found is None:
        raise bad_parameter(name, text, _EXPECTED)
    return found


def read_instant(text: str) -> int | None:
    """Return the instant that a text means; None for a text that means none."""
    try:
        return from_text(_OFFSET.sub(r"\1+\2", text))
    except (ValueError, OverflowError):
        return None


def duration_of(call: Call, name: str, most_us: int) -> int | None:
    """Return a parameter that is a duration up to a length. Raises ProblemError for another text."""
    text = text_of(call, name)
    if text is None:
        return None
    try:
        found = parse_duration(text)
    except ValueError:
        found = most_us + 1
    if found > most_us:
        raise bad_parameter(name, text, "a duration up to 10m, as 60s")
    return found
