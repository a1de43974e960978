"""What the page says while akjobd is down: when there was a last sign of it, what it logged, how to start it."""

from msgspec import Struct

from akjob.config import Paths
from akjob.errors import AkjobError
from akjob.instants import from_text
from akjob.log.reading.read import last
from akjob.log.reading.render import render
from akjob.query.sight import Sight

_LINES = 20
_LOOKED_AT = 400


class LastSigns(Struct, frozen=True, kw_only=True):
    """``seen_us`` is the last sign of akjobd, None where there is none; ``lines`` are the last that it logged."""

    seen_us: int | None
    lines: tuple[str, ...]


def seen_of(paths: Paths, sight: Sight, *, may_read_log: bool) -> LastSigns:
    """Return what is known of an akjobd that does not run. Its log is for those who may see all jobs."""
    seen_us = sight.last_sign_us()
    if not may_read_log:
        return LastSigns(seen_us=seen_us, lines=())
    try:
        found = [line for line in last(paths, _LOOKED_AT) if line.get("source") == "akjobd"][-_LINES:]
    except (AkjobError, OSError):
        found = []
    if found:
        seen_us = max(seen_us or 0, from_text(found[-1]["timestamp"]))
    return LastSigns(seen_us=seen_us, lines=tuple(render(line, False) for line in found))
