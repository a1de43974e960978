"""Instants, durations and numbers as people read them. Pure: the instant "now" is an argument."""

from datetime import datetime, tzinfo

from akjob.instants import DAY, HOUR, MINUTE, SECOND, to_datetime

WEEK = 7 * DAY


def stamp(instant_us: int, zone: tzinfo | None = None, *, fine: bool = False) -> str:
    """Return an instant with its offset, in ``zone`` or in the machine's: ``2026-03-30 02:30:00 +02:00``.

    ``fine`` shows a fraction of the second where there is one.
    """
    moment = to_datetime(instant_us).astimezone(zone)
    fraction = f".{moment.microsecond:06}".rstrip("0") if fine and moment.microsecond else ""
    return f"{moment:%Y-%m-%d %H:%M:%S}{fraction} {offset(moment)}"


def offset(moment: datetime) -> str:
    """Return the offset of an aware datetime: ``+02:00``."""
    return moment.isoformat()[len(moment.replace(tzinfo=None).isoformat()) :]


def relative(instant_us: int, now_us: int) -> str:
    """Return how far away an instant is: ``in 3 min``, ``2 h ago``, ``now``."""
    distance = instant_us - now_us
    if abs(distance) < SECOND:
        return "now"
    text = span(abs(distance))
    return f"in {text}" if distance > 0 else f"{text} ago"


def span(duration_us: int) -> str:
    """Return a duration in its one or two largest units: ``250 ms``, ``1.5 s``, ``3 min``, ``2 h 5 min``, ``12 d``."""
    if duration_us < SECOND:
        return f"{duration_us // 1000} ms"
    if duration_us < 10 * SECOND:
        return f"{duration_us / SECOND:.1f}".removesuffix(".0") + " s"
    if duration_us < MINUTE:
        return f"{duration_us // SECOND} s"
    if duration_us < 10 * MINUTE:
        return _two(duration_us, MINUTE, "min", SECOND, "s")
    if duration_us < HOUR:
        return f"{duration_us // MINUTE} min"
    if duration_us < DAY:
        return _two(duration_us, HOUR, "h", MINUTE, "min")
    if duration_us < WEEK:
        return _two(duration_us, DAY, "d", HOUR, "h")
    return f"{duration_us // DAY} d"


def _two(duration_us: int, large: int, large_name: str, small: int, small_name: str) -> str:
    rest = duration_us % large // small
    return f"{duration_us // large} {large_name}" + (f" {rest} {small_name}" if rest else "")


def size(count: int) -> str:
    """Return a number of bytes: ``812 B``, ``1.4 MiB``."""
    value = float(count)
    for unit in ("B", "KiB", "MiB", "GiB"):
        if value < 1024 or unit == "GiB":  # noqa: PLR2004 - the step between the units
            return f"{value:.0f} {unit}" if unit == "B" else f"{value:.1f} {unit}"
        value /= 1024
    raise AssertionError  # the loop returns at its last unit


def plural(count: int, noun: str, nouns: str = "") -> str:
    """Return ``1 job``, ``2 jobs``."""
    return f"{count} {noun if count == 1 else nouns or noun + 's'}"
