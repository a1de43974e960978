"""Times as tests write them."""

from datetime import datetime, timedelta, tzinfo

from akjob.errors import UsageError
from akjob.instants import from_datetime
from akjob.units import parse_duration

Time = datetime | str
Span = timedelta | str


def instant_of(time: Time, zone: tzinfo) -> int:
    """Return the instant of a time, which is local in ``zone`` where it has no offset. Raises UsageError."""
    try:
        moment = datetime.fromisoformat(time) if isinstance(time, str) else time
    except ValueError:
        raise UsageError(f"{time!r} is not a time", hint="Write it as 2027-03-29T09:30:00.") from None
    return from_datetime(moment.replace(tzinfo=zone) if moment.tzinfo is None else moment)


def span_of(duration: Span) -> int:
    """Return the microseconds of a timedelta, or of a duration such as ``"5m"``. Raises UsageError."""
    if isinstance(duration, timedelta):
        return duration // timedelta(microseconds=1)
    try:
        return parse_duration(duration)
    except ValueError as error:
        raise UsageError(f"{duration!r} is not a duration: {error}", hint='Write it as "1h30m".') from None
