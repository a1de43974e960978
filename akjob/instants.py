"""Instants and how they are written.

An instant is an ``int``: microseconds since 1970-01-01T00:00:00Z, leap seconds not counted (POSIX time).
A duration is an ``int`` of microseconds too. Names that hold one end in ``_us``.
"""

from datetime import UTC, datetime, timedelta

SECOND = 1_000_000
MINUTE = 60 * SECOND
HOUR = 60 * MINUTE
DAY = 24 * HOUR

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_NAIVE_EPOCH = datetime(1970, 1, 1)  # noqa: DTZ001 - of UTC; without a zone it is written in three quarters of the time
_MICROSECOND = timedelta(microseconds=1)


def to_datetime(instant_us: int) -> datetime:
    """Return the aware UTC datetime of an instant. Raises OverflowError outside the years 1 to 9999."""
    return _EPOCH + timedelta(microseconds=instant_us)


def from_datetime(moment: datetime) -> int:
    """Return the instant of an aware datetime. Raises TypeError for a naive one."""
    return (moment - _EPOCH) // _MICROSECOND


def to_text(instant_us: int) -> str:
    """Write an instant as the ledger and the log do: ``2026-03-29T01:00:00.000000Z``; such texts sort."""
    return (_NAIVE_EPOCH + timedelta(0, 0, instant_us)).isoformat("T", "microseconds") + "Z"


def from_text(text: str) -> int:
    """Read an ISO 8601 date-time with an offset. Raises ValueError for anything else."""
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None:
        msg = f"{text!r} has no offset: write it as 2026-03-29T01:00:00Z or 2026-03-29T02:00:00+01:00"
        raise ValueError(msg)
    return from_datetime(moment)
