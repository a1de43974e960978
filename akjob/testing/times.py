"""Times as tests write them."""

from datetime import date, datetime, time, timedelta, tzinfo

from akjob.errors import UsageError
from akjob.instants import from_datetime
from akjob.units import parse_duration

Time = datetime | date | str
Span = timedelta | str


def instant_of(given: Time, zone: tzinfo) -> int:
    """Return the instant of a time, which is local in ``zone`` where it has no offset; a date is its beginning.

    Raises UsageError.
    """
    try:
        moment = datetime.fromisoformat(given) if isinstance(given, str) else given
    except ValueError:
        raise UsageError(f"{given!r} is not a time", hint="Write it as 2027-03-29T09:30:00.") from None
    if not isinstance(moment, datetime):
        moment = datetime.combine(moment, time(), zone)
    return from_datetime(moment.replace(tzinfo=zone) if moment.tzinfo is None else moment)


def span_of(duration: Span) -> int:
    """Return the microseconds of a timedelta, or of a duration such as ``"5m"``. Raises UsageError."""
    if isinstance(duration, timedelta):
        return duration // timedelta(microseconds=1)
    try:
        return parse_duration(duration)
    except ValueError as error:
        raise UsageError(f"{duration!r} is not a duration: {error}", hint='Write it as "1h30m".') from None
