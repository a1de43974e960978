"""When a note goes out: gathered for ten seconds, held for quiet hours, held when a channel has had enough.

Pure: instants are arguments. One :class:`Parcel` is what one channel is sent at once; it is open, and takes further
notes, until it is sealed.
"""

from bisect import bisect_right
from datetime import datetime, timedelta
from typing import Literal

from msgspec import Struct

from akjob.config import Config
from akjob.config.notify import Quiet
from akjob.instants import HOUR, SECOND, from_datetime, to_datetime
from akjob.schedule.zones import get_zone, is_zone

GATHER_US = 10 * SECOND


def quiet_until_us(quiet: Quiet, timezone: str, at_us: int) -> int | None:
    """Return when the quiet hours that hold at an instant end; None if none hold. ``timezone`` is the default."""
    zone = get_zone(quiet.timezone or timezone)
    local = to_datetime(at_us).astimezone(zone)
    now, crosses = local.time(), quiet.from_ > quiet.until
    inside = now >= quiet.from_ or now < quiet.until if crosses else quiet.from_ <= now < quiet.until
    if not inside:
        return None
    day = local.date() + timedelta(days=crosses and now >= quiet.from_)
    return max(from_datetime(datetime.combine(day, quiet.until, tzinfo=zone)), at_us + SECOND)


class Pace(Struct, frozen=True, kw_only=True):
    """How a channel wants to be sent to; ``timezone`` is that of quiet hours which name none."""

    quiet: Quiet | None = None
    timezone: str = "UTC"
    max_an_hour: int = 60


def paces_of(config: Config) -> dict[str, Pace]:
    """Return how each channel wants to be sent to."""
    timezone = config.timezone if is_zone(config.timezone) else "UTC"  # a mistake there must not end the program
    return {
        name: Pace(quiet=channel.quiet, timezone=timezone, max_an_hour=channel.max_an_hour)
        for name, channel in config.channels.items()
    }


class Parcel(Struct, kw_only=True):
    """What one channel is sent at once, as long as further notes may join it."""

    id: str
    channel: str
    opened_us: int
    due_us: int
    state: Literal["pending", "held"] = "pending"


def ripen(parcel: Parcel, pace: Pace, sealed_us: list[int], now_us: int) -> bool:
    """Return True if a parcel whose time has come goes out now; else hold it, and set when to ask again.

    ``sealed_us`` are the instants at which the channel was sent something, oldest first; those of the last hour count.
    """
    until_us = None if pace.quiet is None else quiet_until_us(pace.quiet, pace.timezone, now_us)
    if until_us is not None:
        parcel.state, parcel.due_us = "held", until_us
        return False
    if len(sealed_us) - bisect_right(sealed_us, now_us - HOUR) >= pace.max_an_hour:
        parcel.state, parcel.due_us = "held", sealed_us[-pace.max_an_hour] + HOUR
        return False
    return True
