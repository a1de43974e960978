"""Times as people type them."""

import re
from datetime import datetime, tzinfo

from akjob.errors import UsageError
from akjob.instants import from_datetime, to_datetime
from akjob.units import parse_duration

_TIME_OF_DAY = re.compile(r"([01]?\d|2[0-3]):[0-5]\d(:[0-5]\d)?")


def moment(text: str, option: str, now: int, zone: tzinfo | None, *, past: bool) -> int:
    """Read a time as people type it, and return its instant.

    ISO 8601, without an offset in ``zone`` (None: the machine's); a date alone is its midnight; a duration such as
    ``2h30m`` counts from ``now``, backwards where ``past``. Raises AkjobError (exit code 2).
    """
    try:
        duration = parse_duration(text)
        return now - duration if past else now + duration
    except ValueError:
        pass
    try:
        read = datetime.fromisoformat(text)
        if read.tzinfo is None:
            read = read.astimezone() if zone is None else read.replace(tzinfo=zone)
        return from_datetime(read)
    except (ValueError, OverflowError):
        message = f"{option}: {text!r} is neither a time nor a duration"
        hint = 'Write a time as 2026-03-29T02:00:00+01:00 or 2026-03-29, a duration as "2h30m".'
        if _TIME_OF_DAY.fullmatch(text):
            message = f"{option}: {text!r} lacks its date"
            clock = text if text[2] == ":" else f"0{text}"
            hint = f"Write the date too, as in {to_datetime(now).astimezone(zone):%Y-%m-%d}T{clock}."
        raise UsageError(message, hint=hint) from None
